//! Which columns of a file the wanted ones are.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType as ArrowType, Field, FieldRef, Fields, TimeUnit};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::basic::Type as PhysicalType;

use super::convert::{Convert, Source};
use crate::error::{Error, Result, escaped};
use crate::parquet_file::{ParquetFile, Take};
use crate::schema::{
    ColumnMappingMode, DataType, StructField, StructType, arrow_type, is_readable_change,
};

/// A wanted column, or a field within one.
#[derive(Clone, PartialEq)]
pub(super) struct Column {
    key: Key,
    kind: Kind,
    /// What is delivered.
    pub(super) field: FieldRef,
}

/// What a column is found by.
#[derive(Clone, PartialEq)]
enum Key {
    Name(String),
    Id(i64),
}

/// A wanted type, as far as it has columns of its own.
#[derive(Clone, PartialEq)]
enum Kind {
    Leaf(DataType),
    /// A column of "Variant Data Type": two of bytes.
    Variant,
    Struct(Vec<Column>),
    List(Box<Kind>),
    Map(Box<Kind>, Box<Kind>),
}

/// The wanted columns, for files that are mapped in `mode`.
pub(super) fn columns(fields: &[StructField], mode: ColumnMappingMode) -> Result<Vec<Column>> {
    let arrow = StructType { fields: fields.to_vec() }.to_arrow();
    columns_of(fields, arrow.fields(), mode)
}

fn columns_of(
    fields: &[StructField],
    arrow: &Fields,
    mode: ColumnMappingMode,
) -> Result<Vec<Column>> {
    fields.iter().zip(arrow).map(|(field, arrow)| column(field, arrow, mode)).collect()
}

fn column(field: &StructField, arrow: &FieldRef, mode: ColumnMappingMode) -> Result<Column> {
    let key = match (mode, field.column_mapping_id()) {
        (ColumnMappingMode::Id, Some(id)) => Key::Id(id),
        (ColumnMappingMode::Id, None) => {
            return Err(Error::corrupt(format!(
                "schema column {}: columns are mapped by id, and it has none",
                escaped(&field.name)
            )));
        }
        _ => Key::Name(field.physical_name(mode)?.to_owned()),
    };
    let (kind, data_type) = kind(&field.data_type, arrow.data_type(), mode)?;
    Ok(Column { key, kind, field: nullable(arrow, data_type) })
}

fn nullable(field: &Field, data_type: ArrowType) -> FieldRef {
    Arc::new(field.clone().with_data_type(data_type).with_nullable(true))
}

/// The columns of a type, and the type with fields that may be null.
fn kind(of: &DataType, arrow: &ArrowType, mode: ColumnMappingMode) -> Result<(Kind, ArrowType)> {
    Ok(match (of, arrow) {
        // Its two fields are never null: that is the type's, not the table's.
        (DataType::Variant, _) => (Kind::Variant, arrow.clone()),
        (DataType::Struct(schema), ArrowType::Struct(fields)) => {
            let columns = columns_of(&schema.fields, fields, mode)?;
            let fields = columns.iter().map(|column| Arc::clone(&column.field)).collect();
            (Kind::Struct(columns), ArrowType::Struct(fields))
        }
        (DataType::Array(array), ArrowType::List(element)) => {
            let (kind, data_type) = kind(&array.element_type, element.data_type(), mode)?;
            (Kind::List(Box::new(kind)), ArrowType::List(nullable(element, data_type)))
        }
        (DataType::Map(map), ArrowType::Map(entries, sorted)) => match entries.data_type() {
            ArrowType::Struct(fields) if fields.len() == 2 => {
                let (keys, key_type) = kind(&map.key_type, fields[0].data_type(), mode)?;
                let (values, value_type) = kind(&map.value_type, fields[1].data_type(), mode)?;
                let key = Arc::new(Field::clone(&fields[0]).with_data_type(key_type));
                let fields = Fields::from(vec![key, nullable(&fields[1], value_type)]);
                let entries = Field::clone(entries).with_data_type(ArrowType::Struct(fields));
                let kind = Kind::Map(Box::new(keys), Box::new(values));
                (kind, ArrowType::Map(Arc::new(entries), *sorted))
            }
            _ => return Err(Error::bug("a map of something else than keys and values")),
        },
        _ => (Kind::Leaf(of.clone()), arrow.clone()),
    })
}

impl Column {
    /// A column that is not the table's.
    pub(super) fn extra(physical_name: &str, data_type: &DataType) -> Column {
        let field = Field::new(physical_name, arrow_type(data_type), true);
        Column {
            key: Key::Name(physical_name.to_owned()),
            kind: Kind::Leaf(data_type.clone()),
            field: Arc::new(field),
        }
    }
}

/// Finds wanted columns in a file, and which of its leaf columns they need.
pub(super) struct Resolver<'a> {
    file: &'a ParquetFile,
    taken: Vec<(usize, Take)>,
    /// Where in the table it is, for messages.
    path: Vec<&'a str>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(file: &'a ParquetFile) -> Resolver<'a> {
        Resolver { file, taken: Vec::new(), path: Vec::new() }
    }

    /// The leaf columns that were found, in order.
    pub(super) fn taken(mut self) -> Vec<(usize, Take)> {
        self.taken.sort_unstable_by_key(|(leaf, _)| *leaf);
        self.taken.dedup_by_key(|(leaf, _)| *leaf);
        self.taken
    }

    pub(super) fn table(&mut self, wanted: &'a [Column]) -> Result<Vec<Source>> {
        let file = self.file;
        let by_id = wanted.iter().any(|column| matches!(column.key, Key::Id(_)));
        // "Reader Requirements for Column Mapping": such a file is refused or read as
        // nulls. Spark refuses it, and so does this: nulls would look like values.
        if by_id && !has_ids(file.arrow_fields()) {
            return Err(file.error("has no field ids, and the table's columns are mapped by id"));
        }
        self.fields(wanted, file.arrow_fields(), 0)
    }

    /// The sources of wanted fields among `fields`, whose first leaf column is
    /// `first_leaf`.
    fn fields(
        &mut self,
        wanted: &'a [Column],
        fields: &Fields,
        first_leaf: usize,
    ) -> Result<Vec<Source>> {
        let names = Names::new(fields);
        let begins = begins(fields, first_leaf);
        let mut sources = Vec::with_capacity(wanted.len());
        for column in wanted {
            self.path.push(column.field.name());
            let found = names.find(&column.key).map_err(|what| self.error(what))?;
            let before = self.taken.len();
            let source = match found {
                Some(i) => {
                    let to = column.field.data_type();
                    let found = fields[i].data_type();
                    Source::Column(i, self.convert(&column.kind, to, found, begins[i])?)
                }
                None => Source::Absent,
            };
            // What needs no column of the file is null in every row.
            sources.push(if self.taken.len() > before { source } else { Source::Absent });
            self.path.pop();
        }
        // The decoder leaves out the fields that nothing is read of.
        let mut read: Vec<usize> = sources.iter().filter_map(Source::column).collect();
        read.sort_unstable();
        read.dedup();
        for source in &mut sources {
            source.renumber(|i| read.binary_search(&i).unwrap_or(i));
        }
        Ok(sources)
    }

    /// How the columns of a file's type become those of the wanted one.
    fn convert(
        &mut self,
        kind: &'a Kind,
        to: &ArrowType,
        found: &ArrowType,
        first_leaf: usize,
    ) -> Result<Convert> {
        Ok(match (kind, to, found) {
            (Kind::Leaf(data_type), _, _) => {
                if let Some(take) = self.take(data_type, found, first_leaf)? {
                    self.taken.push((first_leaf, take));
                }
                Convert::Leaf(to.clone(), first_leaf)
            }
            (Kind::Struct(columns), ArrowType::Struct(to), ArrowType::Struct(found)) => {
                let before = self.taken.len();
                let sources = self.fields(columns, found, first_leaf)?;
                if self.taken.len() == before {
                    // Where the struct is null has to be known all the same.
                    let (_, leaves) = self.cheapest_of(found, first_leaf);
                    self.taken.extend(leaves.into_iter().map(|leaf| (leaf, Take::Annotated)));
                }
                Convert::Struct(to.clone(), sources)
            }
            (Kind::Variant, ArrowType::Struct(to), ArrowType::Struct(found)) => {
                self.variant(to, found, first_leaf)?
            }
            (Kind::List(kind), ArrowType::List(to), ArrowType::List(found)) => {
                self.path.push("element");
                let element =
                    self.convert_all(kind, to.data_type(), found.data_type(), first_leaf)?;
                self.path.pop();
                Convert::List(Arc::clone(to), Box::new(element))
            }
            (Kind::Map(keys, values), ArrowType::Map(to, _), ArrowType::Map(found, _)) => {
                let (ArrowType::Struct(to_fields), ArrowType::Struct(found_fields)) =
                    (to.data_type(), found.data_type())
                else {
                    return Err(self.error("a map of something else than keys and values"));
                };
                let begins = begins(found_fields, first_leaf);
                let mut converts = Vec::with_capacity(2);
                for (i, (kind, step)) in [(keys, "key"), (values, "value")].into_iter().enumerate()
                {
                    self.path.push(step);
                    let (to, found) = (to_fields[i].data_type(), found_fields[i].data_type());
                    converts.push(self.convert_all(kind, to, found, begins[i])?);
                    self.path.pop();
                }
                match <[Convert; 2]>::try_from(converts) {
                    Ok([keys, values]) => {
                        Convert::Map(Arc::clone(to), Box::new(keys), Box::new(values))
                    }
                    Err(_) => return Err(Error::bug("a map without keys and values")),
                }
            }
            (_, to, found) => return Err(self.unlike(&to.to_string(), &found.to_string())),
        })
    }

    /// The same for what is repeated, which needs a column of the file even where it
    /// is null throughout: there would be no count of it.
    fn convert_all(
        &mut self,
        kind: &'a Kind,
        to: &ArrowType,
        found: &ArrowType,
        first_leaf: usize,
    ) -> Result<Convert> {
        let before = self.taken.len();
        let convert = self.convert(kind, to, found, first_leaf)?;
        if self.taken.len() > before {
            return Ok(convert);
        }
        let (_, leaves) = self.cheapest(found, first_leaf);
        self.taken.extend(leaves.into_iter().map(|leaf| (leaf, Take::Annotated)));
        Ok(Convert::Nulls(to.clone()))
    }

    /// What a leaf column is taken for, to be read as a type of the table: `None`
    /// where it is null throughout.
    fn take(&self, to: &DataType, found: &ArrowType, leaf: usize) -> Result<Option<Take>> {
        use ArrowType as A;
        let unlike = || self.unlike(&to.to_string(), &found.to_string());
        if *to == DataType::Void || *found == A::Null {
            return Ok(None);
        }
        if is_nested(found) {
            return Err(unlike());
        }
        let physical = self.file.physical_type(leaf);
        let take = match (to, found) {
            (DataType::String, A::Utf8 | A::Binary) if self.file.may_be_text(leaf) => Take::Text,
            (DataType::Binary, A::Utf8 | A::Binary) => Take::Bytes,
            (DataType::Binary, A::FixedSizeBinary(_)) => Take::Annotated,
            (DataType::Timestamp | DataType::TimestampNtz, A::Timestamp(..))
                if physical == PhysicalType::INT96 =>
            {
                Take::TwelveBytes
            }
            // Spark reads either timestamp as the other, as the same number.
            (DataType::Timestamp | DataType::TimestampNtz, A::Timestamp(unit, _))
                if *unit != TimeUnit::Second =>
            {
                Take::Annotated
            }
            // Spark writes these, and only these, without annotation.
            (DataType::IntervalYearMonth, A::Int32) | (DataType::IntervalDayTime, A::Int64) => {
                Take::Annotated
            }
            (DataType::Date, A::Int32) => Take::Annotated,
            // A number that no annotation makes small may be small all the same, which
            // some writers leave to the table's schema: each value is checked.
            (DataType::Byte | DataType::Short, A::Int32) => Take::Annotated,
            _ => match delta_type(found) {
                Some(from) if is_readable_change(&from, to) => Take::Annotated,
                _ => return Err(unlike()),
            },
        };
        Ok(Some(take))
    }

    /// The two columns of a variant, and those that it is shredded into.
    fn variant(&mut self, to: &Fields, found: &Fields, first_leaf: usize) -> Result<Convert> {
        if found.iter().any(|field| field.name() == "typed_value") {
            self.take_all(&ArrowType::Struct(found.clone()), first_leaf);
            return Ok(Convert::Shredded(to.clone()));
        }
        let begins = begins(found, first_leaf);
        let mut sources = Vec::with_capacity(to.len());
        for field in to {
            let at = found.iter().position(|found| found.name() == field.name());
            match at.filter(|&i| *found[i].data_type() == ArrowType::Binary) {
                Some(i) => {
                    self.taken.push((begins[i], Take::Bytes));
                    sources.push(Source::Column(i, Convert::Leaf(ArrowType::Binary, begins[i])));
                }
                None => {
                    let found = ArrowType::Struct(found.clone()).to_string();
                    return Err(self.unlike("variant", &found));
                }
            }
        }
        let mut read: Vec<usize> = sources.iter().filter_map(Source::column).collect();
        read.sort_unstable();
        for source in &mut sources {
            source.renumber(|i| read.binary_search(&i).unwrap_or(i));
        }
        Ok(Convert::Struct(to.clone(), sources))
    }

    /// Takes every leaf column of a type for what it is: nothing that follows knows
    /// a text from bytes, or asks for one.
    fn take_all(&mut self, of: &ArrowType, first_leaf: usize) {
        match of {
            ArrowType::Struct(fields) => {
                let begins = begins(fields, first_leaf);
                let each = fields.iter().zip(begins);
                each.for_each(|(field, begin)| self.take_all(field.data_type(), begin));
            }
            ArrowType::List(field) | ArrowType::Map(field, _) => {
                self.take_all(field.data_type(), first_leaf);
            }
            ArrowType::Utf8 => self.taken.push((first_leaf, Take::CheckedText)),
            _ => self.taken.push((first_leaf, Take::Annotated)),
        }
    }

    /// The leaf columns that tell most cheaply where a type is null and how often it
    /// is repeated, and their cost.
    fn cheapest(&self, of: &ArrowType, first_leaf: usize) -> (u64, Vec<usize>) {
        /// Lists are read in full for what one of their levels says.
        const REPEATED: u64 = 1 << 40;
        match of {
            ArrowType::Struct(fields) => self.cheapest_of(fields, first_leaf),
            ArrowType::List(element) => {
                let (cost, leaves) = self.cheapest(element.data_type(), first_leaf);
                (cost.saturating_add(REPEATED), leaves)
            }
            // Neither keys nor values are decoded alone.
            ArrowType::Map(entries, _) => match entries.data_type() {
                ArrowType::Struct(fields) => {
                    let each = fields.iter().zip(begins(fields, first_leaf));
                    each.map(|(field, begin)| self.cheapest(field.data_type(), begin)).fold(
                        (REPEATED, Vec::new()),
                        |(cost, mut leaves), (more, others)| {
                            leaves.extend(others);
                            (cost.saturating_add(more), leaves)
                        },
                    )
                }
                _ => (u64::MAX, Vec::new()),
            },
            _ => {
                let groups = 0..self.file.row_groups().len();
                let bytes = groups.map(|group| self.file.bytes_of(group, &[first_leaf]));
                (bytes.fold(0, u64::saturating_add), vec![first_leaf])
            }
        }
    }

    fn cheapest_of(&self, fields: &Fields, first_leaf: usize) -> (u64, Vec<usize>) {
        let each = fields.iter().zip(begins(fields, first_leaf));
        each.map(|(field, begin)| self.cheapest(field.data_type(), begin))
            .min_by_key(|(cost, _)| *cost)
            .unwrap_or_default()
    }

    fn column(&self) -> String {
        escaped(&self.path.join("."))
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        self.file.error(format_args!("column {}: {what}", self.column()))
    }

    fn unlike(&self, to: &str, found: &str) -> Error {
        self.error(format_args!("{found} in the file cannot be read as the table's {to}"))
    }
}

/// The type of Delta that holds all values of a decoded one, and no others.
fn delta_type(of: &ArrowType) -> Option<DataType> {
    Some(match of {
        ArrowType::Boolean => DataType::Boolean,
        ArrowType::Int8 => DataType::Byte,
        ArrowType::Int16 => DataType::Short,
        ArrowType::Int32 => DataType::Integer,
        ArrowType::Int64 => DataType::Long,
        // As Spark: the next larger type has all of them.
        ArrowType::UInt8 => DataType::Short,
        ArrowType::UInt16 => DataType::Integer,
        ArrowType::UInt32 => DataType::Long,
        ArrowType::UInt64 => DataType::Decimal { precision: 20, scale: 0 },
        ArrowType::Float16 | ArrowType::Float32 => DataType::Float,
        ArrowType::Float64 => DataType::Double,
        ArrowType::Date32 => DataType::Date,
        ArrowType::Decimal128(precision, scale) | ArrowType::Decimal256(precision, scale) => {
            DataType::Decimal { precision: *precision, scale: u8::try_from(*scale).ok()? }
        }
        _ => return None,
    })
}

fn is_nested(data_type: &ArrowType) -> bool {
    matches!(data_type, ArrowType::Struct(_) | ArrowType::List(_) | ArrowType::Map(..))
}

/// How many leaf columns a type has.
fn leaves(of: &ArrowType) -> usize {
    match of {
        ArrowType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        ArrowType::List(field) | ArrowType::Map(field, _) => leaves(field.data_type()),
        _ => 1,
    }
}

/// The first leaf column of each field.
fn begins(fields: &Fields, first_leaf: usize) -> Vec<usize> {
    let mut next = first_leaf;
    let begins = fields.iter().map(|field| {
        let begin = next;
        next += leaves(field.data_type());
        begin
    });
    begins.collect()
}

fn id_of(field: &Field) -> Option<i64> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

fn has_ids(fields: &Fields) -> bool {
    fields.iter().any(|field| {
        id_of(field).is_some()
            || match field.data_type() {
                ArrowType::Struct(fields) => has_ids(fields),
                ArrowType::List(field) | ArrowType::Map(field, _) => {
                    has_ids(&Fields::from(vec![Arc::clone(field)]))
                }
                _ => false,
            }
    })
}

/// The fields of one struct of a file, by what they are found by.
struct Names<'a> {
    fields: &'a Fields,
    /// `None` for a name that several have.
    exact: HashMap<&'a str, Option<usize>>,
    ids: HashMap<i64, Option<usize>>,
}

impl<'a> Names<'a> {
    fn new(fields: &'a Fields) -> Names<'a> {
        let mut names = Names { fields, exact: HashMap::new(), ids: HashMap::new() };
        for (i, field) in fields.iter().enumerate() {
            let unless_known = |known: &mut Option<usize>| *known = None;
            names.exact.entry(field.name()).and_modify(unless_known).or_insert(Some(i));
            if let Some(id) = id_of(field) {
                names.ids.entry(id).and_modify(unless_known).or_insert(Some(i));
            }
        }
        names
    }

    fn find(&self, key: &Key) -> Result<Option<usize>, String> {
        match key {
            Key::Id(id) => match self.ids.get(id) {
                Some(None) => Err(format!("the file has two columns of the field id {id}")),
                found => Ok(found.copied().flatten()),
            },
            Key::Name(name) => match self.exact.get(name.as_str()) {
                Some(None) => Err(format!("the file has two columns of the name {name}")),
                Some(found) => Ok(*found),
                None => self.find_in_any_case(name),
            },
        }
    }

    /// As Spark does, whose names do not differ in case alone.
    fn find_in_any_case(&self, name: &str) -> Result<Option<usize>, String> {
        let name = name.to_lowercase();
        let mut alike =
            self.fields.iter().enumerate().filter(|(_, field)| field.name().to_lowercase() == name);
        match (alike.next(), alike.next()) {
            (Some((_, one)), Some((_, other))) => {
                Err(format!("the file has both {} and {}", one.name(), other.name()))
            }
            (found, _) => Ok(found.map(|(i, _)| i)),
        }
    }
}
