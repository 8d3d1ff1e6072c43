//! The columns of a stream of rows: paths into the table's schema, and what is
//! known of a row beside its values.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Schema, SchemaRef, TimeUnit};

use super::data_file::Wanted;
use crate::error::{Error, Result, escaped};
use crate::properties::PropertyValue;
use crate::schema::{ArrayType, DataType, MapType, StructField, StructType, column_path};
use crate::snapshot::Snapshot;

/// What a stream of rows can say of a row beside the table's columns;
/// [`Scan::rows`](crate::Scan::rows) says what each one holds.
pub const ROW_METADATA_COLUMNS: &[&str] = &[
    "_metadata.file_path",
    "_metadata.row_index",
    "_metadata.file_modification_time",
    "_metadata.row_id",
    "_metadata.row_commit_version",
];

/// What a stream of changed rows can say of a row beside those;
/// [`Scan::change_rows`](crate::Scan::change_rows) says what each one holds.
pub const CHANGE_ROW_COLUMNS: &[&str] = &[CHANGE_TYPE, "_commit_version", "_commit_timestamp"];

/// In a change data file this is a column too ("Change Data Files").
pub(super) const CHANGE_TYPE: &str = "_change_type";

const MATERIALIZED_ROW_ID: &str = "delta.rowTracking.materializedRowIdColumnName";
const MATERIALIZED_COMMIT_VERSION: &str =
    "delta.rowTracking.materializedRowCommitVersionColumnName";

/// One of [`ROW_METADATA_COLUMNS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetadataColumn {
    FilePath,
    RowIndex,
    ModificationTime,
    RowId,
    CommitVersion,
}

impl MetadataColumn {
    fn named(name: &str) -> Option<MetadataColumn> {
        use MetadataColumn::*;
        let at = ROW_METADATA_COLUMNS.iter().position(|&known| known == name)?;
        [FilePath, RowIndex, ModificationTime, RowId, CommitVersion].get(at).copied()
    }

    pub(super) fn data_type(self) -> ArrowType {
        match self {
            MetadataColumn::FilePath => ArrowType::Utf8,
            MetadataColumn::ModificationTime => {
                ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            MetadataColumn::RowIndex | MetadataColumn::RowId | MetadataColumn::CommitVersion => {
                ArrowType::Int64
            }
        }
    }

    /// The property that names the column of data files in which a writer that
    /// moves rows keeps what they have ("Row Tracking").
    fn materialized_by(self) -> Option<&'static str> {
        match self {
            MetadataColumn::RowId => Some(MATERIALIZED_ROW_ID),
            MetadataColumn::CommitVersion => Some(MATERIALIZED_COMMIT_VERSION),
            _ => None,
        }
    }
}

/// One of [`CHANGE_ROW_COLUMNS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChangeColumn {
    ChangeType,
    CommitVersion,
    CommitTimestamp,
}

impl ChangeColumn {
    fn named(name: &str) -> Option<ChangeColumn> {
        use ChangeColumn::*;
        let at = CHANGE_ROW_COLUMNS.iter().position(|&known| known == name)?;
        [ChangeType, CommitVersion, CommitTimestamp].get(at).copied()
    }

    fn data_type(self) -> ArrowType {
        match self {
            ChangeColumn::ChangeType => ArrowType::Utf8,
            ChangeColumn::CommitVersion => ArrowType::Int64,
            ChangeColumn::CommitTimestamp => MetadataColumn::ModificationTime.data_type(),
        }
    }
}

/// Where a column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    /// The column of data files at this place of [`RowColumns::wanted`].
    Data(usize),
    /// The partition column at this place among the table's.
    Partition(usize),
    /// What is known of the row; `materialized` is the place in
    /// [`RowColumns::wanted`] of the column of data files that knows better where
    /// it is not null.
    Metadata { column: MetadataColumn, materialized: Option<usize> },
    /// What is known of the change that the row is.
    Change(ChangeColumn),
}

/// The columns of a stream of rows, resolved against the table.
pub(super) struct RowColumns {
    pub(super) columns: Vec<Column>,
    pub(super) schema: SchemaRef,
    /// What is read of data files.
    wanted: Arc<Wanted>,
    /// The same of change data files, in a stream of changes: behind all others
    /// there is what they say the change is, if that is wanted.
    wanted_of_changes: Option<Arc<Wanted>>,
}

/// What the rows of a stream are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RowsAre {
    Live,
    Changes,
}

impl RowColumns {
    /// The columns at `paths`; `None`: all of the table's.
    pub(super) fn of_table(snapshot: &Snapshot, paths: Option<&[String]>) -> Result<RowColumns> {
        RowColumns::resolve(snapshot, paths, RowsAre::Live)
    }

    /// As `of_table`, of a stream of changes: `None` has [`CHANGE_ROW_COLUMNS`] behind
    /// the table's.
    pub(super) fn of_changes(snapshot: &Snapshot, paths: Option<&[String]>) -> Result<RowColumns> {
        RowColumns::resolve(snapshot, paths, RowsAre::Changes)
    }

    fn resolve(snapshot: &Snapshot, paths: Option<&[String]>, rows: RowsAre) -> Result<RowColumns> {
        let table = snapshot.schema();
        let of_changes: &[&str] = match rows {
            RowsAre::Live => &[],
            RowsAre::Changes => CHANGE_ROW_COLUMNS,
        };
        // "Change Data Files": the names are reserved in such a table.
        if let Some(taken) = of_changes.iter().find(|name| table.field(name).is_some()) {
            return Err(Error::unsupported(format!(
                "the table has a column {taken} of its own, which a stream of changes has as well"
            )));
        }
        let mut wishes = Wish::default();
        match paths {
            Some(paths) => paths.iter().try_for_each(|path| wishes.add_path(table, path))?,
            None => {
                let own = of_changes.iter().map(|&name| (name.to_owned(), Wish::default()));
                wishes.children = table.fields.iter().map(Wish::all_of).chain(own).collect();
            }
        }
        // By the schema's spelling: the metaData's own may differ in case.
        let partition: HashMap<&str, usize> = snapshot
            .metadata()
            .partition_columns
            .iter()
            .enumerate()
            .filter_map(|(at, name)| Some((table.field(name)?.name.as_str(), at)))
            .collect();
        let known: HashMap<&str, &StructField> =
            table.fields.iter().map(|field| (field.name.as_str(), field)).collect();
        let find = |name: &str| known.get(name).copied().or_else(|| table.field(name));
        let mut data = Vec::new();
        for (name, wish) in &wishes.children {
            if let Some(field) = find(name).filter(|f| !partition.contains_key(f.name.as_str())) {
                data.push(wish.prune(field, name)?);
            }
        }
        let wanted = Wanted::new(&data, snapshot.column_mapping())?;
        let mut columns = Vec::with_capacity(wishes.children.len());
        let mut fields: Vec<FieldRef> = Vec::with_capacity(wishes.children.len());
        let (mut of_data, mut extras) = (0, Vec::new());
        for (name, wish) in &wishes.children {
            let (column, field) = match find(name) {
                None if of_changes.contains(&name.as_str()) && wish.children.is_empty() => {
                    let column = ChangeColumn::named(name).ok_or_else(|| no_column(name))?;
                    let field = Field::new(name, column.data_type(), false);
                    (Column::Change(column), Arc::new(field))
                }
                None => {
                    let (column, extra) = metadata_column(snapshot, name, rows)?;
                    let materialized = extra.map(|extra| {
                        extras.push(extra);
                        data.len() + extras.len() - 1
                    });
                    let nullable = column == MetadataColumn::ModificationTime;
                    let field = Field::new(name, column.data_type(), nullable);
                    (Column::Metadata { column, materialized }, Arc::new(field))
                }
                Some(field) => match partition.get(field.name.as_str()) {
                    Some(&at) => {
                        let field = StructField { nullable: true, ..wish.prune(field, name)? };
                        let schema = StructType { fields: vec![field] }.to_arrow();
                        (Column::Partition(at), Arc::clone(&schema.fields()[0]))
                    }
                    None => {
                        of_data += 1;
                        let field = &wanted.schema().fields()[of_data - 1];
                        (Column::Data(of_data - 1), Arc::clone(field))
                    }
                },
            };
            columns.push(column);
            fields.push(field);
        }
        let long = |wanted: Wanted, name| wanted.and_extra(name, &DataType::Long);
        let wanted = Arc::new(extras.into_iter().fold(wanted, long));
        let wanted_of_changes = match rows {
            RowsAre::Live => None,
            RowsAre::Changes if columns.contains(&Column::Change(ChangeColumn::ChangeType)) => {
                let wanted = Wanted::new(&data, snapshot.column_mapping())?;
                Some(Arc::new(wanted.and_extra(CHANGE_TYPE, &DataType::String)))
            }
            RowsAre::Changes => Some(Arc::clone(&wanted)),
        };
        let schema = Arc::new(Schema::new(fields));
        Ok(RowColumns { columns, schema, wanted, wanted_of_changes })
    }

    /// What is read of a data file, or of a change data file: columns of the table,
    /// or what is wanted of them, and behind them others, which are none of the
    /// table's.
    pub(super) fn wanted(&self, is_change_file: bool) -> Result<&Arc<Wanted>> {
        if !is_change_file {
            return Ok(&self.wanted);
        }
        let wanted = self.wanted_of_changes.as_ref();
        wanted.ok_or_else(|| Error::bug("a change data file among those of a table"))
    }

    /// Whether any of the columns is `wanted`.
    pub(super) fn has(&self, wanted: impl Fn(Column) -> bool) -> bool {
        self.columns.iter().any(|&column| wanted(column))
    }
}

/// The metadata column `name`, and the column of data files that knows it better.
fn metadata_column<'a>(
    snapshot: &'a Snapshot,
    name: &str,
    rows: RowsAre,
) -> Result<(MetadataColumn, Option<&'a str>)> {
    let column = MetadataColumn::named(name).ok_or_else(|| no_column(name))?;
    let Some(property) = column.materialized_by() else { return Ok((column, None)) };
    if rows == RowsAre::Changes {
        return Err(Error::invalid(format!(
            "column \"{name}\": a stream of changes does not have it, because the log gives change \
             data files no row ids"
        )));
    }
    let enabled = snapshot.properties().get("delta.enableRowTracking")?;
    if enabled != Some(PropertyValue::Boolean(true)) {
        return Err(Error::invalid(format!(
            "column \"{name}\": the table tracks no rows (delta.enableRowTracking)"
        )));
    }
    Ok((column, snapshot.metadata().configuration.get(property).map(String::as_str)))
}

/// What is wanted of a field: all of it, or some of what is in it.
#[derive(Default)]
struct Wish {
    /// In the order of their first mention; none: all.
    children: Vec<(String, Wish)>,
    /// Where each of them is, by its name in lower case, for the schema's names
    /// differ in more than case.
    known: HashMap<String, usize>,
}

impl Wish {
    fn all_of(field: &StructField) -> (String, Wish) {
        (field.name.clone(), Wish::default())
    }

    fn add_path(&mut self, table: &StructType, path: &str) -> Result<()> {
        // A host that hands on the names of the schema need not quote them.
        let is_name = path.contains(['.', '`']) && table.fields.iter().any(|f| f.name == path);
        if is_name || MetadataColumn::named(path).is_some() && table.field("_metadata").is_none() {
            return self.add(&[path], path);
        }
        let parts = column_path(path)?;
        self.add(&parts.iter().map(String::as_str).collect::<Vec<_>>(), path)
    }

    fn add(&mut self, parts: &[&str], path: &str) -> Result<()> {
        let twice = || Error::invalid(format!("column \"{}\" is named twice", escaped(path)));
        let mut wish = self;
        for (i, part) in parts.iter().enumerate() {
            let is_last = i + 1 == parts.len();
            let at = match wish.known.get(&part.to_lowercase()).copied() {
                Some(at) if is_last || wish.children[at].1.children.is_empty() => {
                    return Err(twice());
                }
                Some(at) => at,
                None => {
                    wish.known.insert(part.to_lowercase(), wish.children.len());
                    wish.children.push(((*part).to_owned(), Wish::default()));
                    wish.children.len() - 1
                }
            };
            wish = &mut wish.children[at].1;
        }
        Ok(())
    }

    /// `field` with nothing in it that is not wanted; `path` leads to it.
    fn prune(&self, field: &StructField, path: &str) -> Result<StructField> {
        Ok(StructField { data_type: self.prune_type(&field.data_type, path)?, ..field.clone() })
    }

    fn prune_type(&self, data_type: &DataType, path: &str) -> Result<DataType> {
        if self.children.is_empty() {
            return Ok(data_type.clone());
        }
        let below = |name: &str| format!("{path}.{name}");
        match data_type {
            DataType::Struct(schema) => {
                let wanted = |(name, wish): &(String, Wish)| {
                    let path = below(name);
                    let field = schema.field(name).ok_or_else(|| no_column(&path))?;
                    wish.prune(field, &path)
                };
                let fields = self.children.iter().map(wanted).collect::<Result<_>>()?;
                Ok(DataType::Struct(StructType { fields }))
            }
            DataType::Array(array) => {
                let [(name, wish)] = &self.children[..] else { return Err(self.stranger(path)) };
                if name != "element" {
                    return Err(no_column(&below(name)));
                }
                let element_type = wish.prune_type(&array.element_type, &below(name))?;
                Ok(DataType::Array(Box::new(ArrayType { element_type, ..**array })))
            }
            // Keys come whole and always: a map without them is none.
            DataType::Map(map) => {
                let mut value_type = &map.value_type;
                let pruned;
                for (name, wish) in &self.children {
                    match name.as_str() {
                        "key" if wish.children.is_empty() => {}
                        "value" => {
                            pruned = wish.prune_type(&map.value_type, &below(name))?;
                            value_type = &pruned;
                            break;
                        }
                        _ => return Err(self.stranger(path)),
                    }
                }
                let (key_type, value_type) = (map.key_type.clone(), value_type.clone());
                Ok(DataType::Map(Box::new(MapType { key_type, value_type, ..**map })))
            }
            _ => Err(self.stranger(path)),
        }
    }

    /// An error for the first child that cannot be one.
    fn stranger(&self, path: &str) -> Error {
        let known = ["element", "key", "value"];
        let mut names = self.children.iter().map(|(name, _)| name);
        let name = names.find(|name| !known.contains(&name.as_str()));
        let name = name.or_else(|| self.children.first().map(|(name, _)| name));
        no_column(&format!("{path}.{}", name.map_or("", String::as_str)))
    }
}

fn no_column(path: &str) -> Error {
    Error::invalid(format!(
        "no column \"{}\" in the table; beside its columns there are {}, and of changes {}",
        escaped(path),
        ROW_METADATA_COLUMNS.join(", "),
        CHANGE_ROW_COLUMNS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> StructType {
        StructType::from_json(
            r#"{"type":"struct","fields":[
                {"name":"id","type":"long","nullable":true,"metadata":{}},
                {"name":"a.b","type":"long","nullable":true,"metadata":{}},
                {"name":"s","nullable":true,"metadata":{},"type":{"type":"struct","fields":[
                    {"name":"x","type":"long","nullable":true,"metadata":{}},
                    {"name":"y.z","type":"long","nullable":true,"metadata":{}},
                    {"name":"t","nullable":true,"metadata":{},"type":{"type":"struct","fields":[
                        {"name":"u","type":"long","nullable":true,"metadata":{}},
                        {"name":"v","type":"long","nullable":true,"metadata":{}}]}}]}},
                {"name":"l","nullable":true,"metadata":{},"type":{"type":"array","containsNull":true,
                    "elementType":{"type":"struct","fields":[
                        {"name":"x","type":"long","nullable":true,"metadata":{}},
                        {"name":"y","type":"long","nullable":true,"metadata":{}}]}}},
                {"name":"m","nullable":true,"metadata":{},"type":{"type":"map","keyType":"string",
                    "valueContainsNull":true,"valueType":{"type":"struct","fields":[
                        {"name":"x","type":"long","nullable":true,"metadata":{}},
                        {"name":"y","type":"long","nullable":true,"metadata":{}}]}}}
            ]}"#,
        )
        .unwrap()
    }

    /// The pruned fields, in short: `s{x,t{u}}`.
    fn pruned(paths: &[&str]) -> Result<String> {
        fn short(data_type: &DataType) -> String {
            match data_type {
                DataType::Struct(schema) => {
                    let fields = schema.fields.iter();
                    let fields: Vec<_> =
                        fields.map(|f| format!("{}{}", f.name, short(&f.data_type))).collect();
                    format!("{{{}}}", fields.join(","))
                }
                DataType::Array(array) => format!("[{}]", short(&array.element_type)),
                DataType::Map(map) => format!("<{}>", short(&map.value_type)),
                _ => String::new(),
            }
        }
        let table = table();
        let mut wishes = Wish::default();
        paths.iter().try_for_each(|path| wishes.add_path(&table, path))?;
        let fields = wishes.children.iter().map(|(name, wish)| {
            let field = wish.prune(table.field(name).ok_or_else(|| no_column(name))?, name)?;
            Ok(format!("{}{}", field.name, short(&field.data_type)))
        });
        Ok(fields.collect::<Result<Vec<_>>>()?.join(" "))
    }

    #[test]
    fn paths_of_one_struct_make_one_pruned_struct_in_the_order_of_their_mention() {
        for (paths, expected) in [
            (&["id"][..], "id"),
            (&["m", "id"], "m<{x,y}> id"),
            (&["s.t.v", "id", "s.x", "s.t.u"], "s{t{v,u},x} id"),
            (&["l.element.y"], "l[{y}]"),
            (&["l.element"], "l[{x,y}]"),
            (&["m.value.y"], "m<{y}>"),
            (&["m.key", "m.value.x"], "m<{x}>"),
            (&["m.key"], "m<{x,y}>"),
            (&["S.T.U"], "s{t{u}}"),
        ] {
            assert_eq!(pruned(paths).unwrap(), expected, "{paths:?}");
        }
    }

    #[test]
    fn a_name_with_a_dot_is_quoted_or_stands_alone() {
        for (path, expected) in
            [("a.b", "a.b"), ("`a.b`", "a.b"), ("s.`y.z`", "s{y.z}"), ("`s`.`y.z`", "s{y.z}")]
        {
            assert_eq!(pruned(&[path]).unwrap(), expected);
        }
        assert_eq!(column_path("`a``b`.c").unwrap(), ["a`b", "c"]);
    }

    #[test]
    fn what_is_no_column_or_named_twice_is_refused() {
        for paths in [
            &["none"][..],
            &["s.none"],
            &["s.y.z"],
            &["id.x"],
            &["l.x"],
            &["l.element.none"],
            &["m.x"],
            &["m.key.x"],
            &["m.value.none"],
        ] {
            let error = pruned(paths).unwrap_err();
            assert!(error.message().starts_with("no column"), "{paths:?}: {error}");
        }
        for paths in [&["id", "ID"][..], &["s", "s.x"], &["s.x", "s"], &["s.t.u", "s.t"]] {
            let error = pruned(paths).unwrap_err();
            assert!(error.message().ends_with("is named twice"), "{paths:?}: {error}");
        }
        for path in ["", ".", "a.", ".a", "`a", "`a`b", "a..b", "``"] {
            let error = pruned(&[path]).unwrap_err();
            assert!(error.message().contains("is no path"), "{path}: {error}");
        }
    }
}
