//! The columns of a stream: which there are, and how they are made of decoded
//! actions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray, StructArray,
};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use super::stream::Counts;
use crate::actions::{ActionKind, FileColumns, FileField, FileFields, value_of};
use crate::delta_log::commit::SliceEnd;
use crate::error::{Error, Result, escaped};
use crate::partition_value::PartitionColumn;
use crate::replay::Projected;
use crate::schema::{self, StructField};
use crate::snapshot::Snapshot;

/// The columns a file stream has when none are named.
pub const DEFAULT_FILE_COLUMNS: &[&str] = &[
    "path",
    "size",
    "modification_time",
    "partition_values",
    "num_records",
    "stats",
    "deletion_vector",
];

/// Every column that a file stream can have; [`Scan::columns`](crate::Scan::columns) says what each
/// one holds.
pub const FILE_COLUMNS: &[&str] = &[
    "path",
    "size",
    "modification_time",
    "partition_values",
    "partition",
    "num_records",
    "stats",
    "deletion_vector",
    "tags",
    "data_change",
    "base_row_id",
    "default_row_commit_version",
    "clustering_provider",
];

/// The columns that a stream of changes can have beside [`FILE_COLUMNS`];
/// [`Scan::changes_since`](crate::Scan::changes_since) says what each one holds.
pub const CHANGE_COLUMNS: &[&str] =
    &["change", "version", "deletion_timestamp", "extended_file_metadata"];

/// The columns that a stream of actions can have beside [`FILE_COLUMNS`];
/// [`Scan::actions`](crate::Scan::actions) says what each one holds.
pub const ACTION_COLUMNS: &[&str] =
    &["version", "action", "deletion_timestamp", "extended_file_metadata", "json"];

/// What the rows of a stream are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rows {
    Files,
    Changes,
    Actions,
}

impl Rows {
    fn stream(self) -> &'static str {
        match self {
            Rows::Files => "a file stream",
            Rows::Changes => "a stream of changes",
            Rows::Actions => "a stream of actions",
        }
    }

    /// The columns that only such rows have.
    fn own_columns(self) -> &'static [&'static str] {
        match self {
            Rows::Files => &[],
            Rows::Changes => CHANGE_COLUMNS,
            Rows::Actions => ACTION_COLUMNS,
        }
    }

    fn default_columns(self) -> Vec<&'static str> {
        let (before, after): (&[_], &[_]) = match self {
            Rows::Files => (&[], &[]),
            Rows::Changes => (&["change"], &[]),
            Rows::Actions => (&["version", "action"], &["data_change", "json"]),
        };
        [before, DEFAULT_FILE_COLUMNS, after].concat()
    }
}

/// A column of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// As decoded.
    Field(FileField),
    /// The partition values, typed.
    Partition,
    /// The action's name.
    Kind,
    /// The version whose commit holds the action.
    Version,
}

impl Column {
    fn named(name: &str) -> Option<Column> {
        Some(Column::Field(match name {
            "path" => FileField::Path,
            "size" => FileField::Size,
            "modification_time" => FileField::ModificationTime,
            "partition_values" => FileField::PartitionValues,
            "partition" => return Some(Column::Partition),
            "num_records" => FileField::NumRecords,
            "stats" => FileField::Stats,
            "deletion_vector" => FileField::DeletionVector,
            "tags" => FileField::Tags,
            "data_change" => FileField::DataChange,
            "base_row_id" => FileField::BaseRowId,
            "default_row_commit_version" => FileField::DefaultRowCommitVersion,
            "clustering_provider" => FileField::ClusteringProvider,
            "deletion_timestamp" => FileField::DeletionTimestamp,
            "extended_file_metadata" => FileField::ExtendedFileMetadata,
            "json" => FileField::Body,
            "change" | "action" => return Some(Column::Kind),
            "version" => return Some(Column::Version),
            _ => return None,
        }))
    }

    /// The field that a decoder has to fill for it.
    fn source(self) -> Option<FileField> {
        match self {
            Column::Field(field) => Some(field),
            Column::Partition => Some(FileField::PartitionValues),
            Column::Kind | Column::Version => None,
        }
    }
}

/// The columns that are asked of `stream`, by what each of `names` means among
/// `all` that it can have.
pub(super) fn named<C: PartialEq>(
    names: &[&str],
    stream: &str,
    all: &[&str],
    named: impl Fn(&str) -> Option<C>,
) -> Result<Vec<C>> {
    let mut columns = Vec::with_capacity(names.len());
    for &name in names {
        let column = named(name).ok_or_else(|| {
            Error::invalid(format!(
                "no column \"{}\" in {stream}; there are {}",
                escaped(name),
                all.join(", ")
            ))
        })?;
        if columns.contains(&column) {
            return Err(Error::invalid(format!("column \"{name}\" is named twice")));
        }
        columns.push(column);
    }
    Ok(columns)
}

/// A partition column of the table: how the log calls it, and what it is.
struct PartitionField {
    physical_name: String,
    field: StructField,
}

/// The columns of a stream, resolved against the table.
pub(super) struct Projection {
    rows: Rows,
    columns: Vec<Column>,
    pub(super) want: FileFields,
    partition: Vec<PartitionField>,
    /// Of all that is made, and of what was asked for: the first of it.
    schema: SchemaRef,
    pub(super) delivered: SchemaRef,
}

impl Projection {
    /// The columns `names` of a stream of `rows`; `None`: those it has by default.
    pub(super) fn resolve(
        snapshot: &Snapshot,
        rows: Rows,
        names: Option<&[String]>,
    ) -> Result<Projection> {
        let names: Vec<&str> = match names {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => rows.default_columns(),
        };
        let own = rows.own_columns();
        let is_there = |name: &str| own.contains(&name) || FILE_COLUMNS.contains(&name);
        let columns = named(&names, rows.stream(), &[own, FILE_COLUMNS].concat(), |name| {
            Column::named(name).filter(|_| is_there(name))
        })?;
        let partition = if columns.contains(&Column::Partition) {
            partition_fields(snapshot)?
        } else {
            Vec::new()
        };
        let fields: Vec<Field> = names
            .iter()
            .zip(&columns)
            .map(|(&name, column)| {
                let (data_type, is_nullable) = match column {
                    // What is no file action has no path.
                    Column::Field(FileField::Path) => {
                        (FileField::Path.data_type(), rows == Rows::Actions)
                    }
                    Column::Field(field) => (field.data_type(), true),
                    Column::Partition => (DataType::Struct(partition_types(&partition)), true),
                    Column::Kind => (DataType::Utf8, false),
                    Column::Version => (DataType::Int64, false),
                };
                Field::new(name, data_type, is_nullable)
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        Ok(Projection {
            rows,
            want: columns.iter().filter_map(|column| column.source()).collect(),
            columns,
            partition,
            schema: Arc::clone(&schema),
            delivered: schema,
        })
    }

    /// The column of sizes, which is put behind the others if it is none of them.
    pub(super) fn size_column(&mut self) -> usize {
        let size = Column::Field(FileField::Size);
        if let Some(at) = self.columns.iter().position(|&column| column == size) {
            return at;
        }
        let field = Field::new("size", FileField::Size.data_type(), true);
        let fields = self.schema.fields().iter().cloned().chain([Arc::new(field)]);
        self.schema = Arc::new(Schema::new(fields.collect::<Fields>()));
        self.columns.push(size);
        self.want.insert(FileField::Size);
        self.columns.len() - 1
    }

    /// The batch of decoded actions; of those that commits hold, `ends` says
    /// whose they are.
    pub(super) fn project(
        &self,
        actions: &FileColumns,
        ends: &[SliceEnd],
        counts: &Counts,
    ) -> Result<Projected> {
        let mut bad_rows = Vec::new();
        let columns = self
            .columns
            .iter()
            .map(|column| match column {
                Column::Field(field) => actions.column(*field).cloned(),
                Column::Partition => self.partition(actions, counts, &mut bad_rows),
                Column::Kind => {
                    let kinds = (0..actions.rows).map(|row| actions.kind(row).key());
                    Ok(Arc::new(StringArray::from_iter_values(kinds)) as ArrayRef)
                }
                Column::Version => versions(ends),
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        // The row count stands apart: a stream may have no column at all.
        let options = RecordBatchOptions::new().with_row_count(Some(actions.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::bug(format!("a batch of {}: {e}", self.rows.stream())))?;
        Ok(Projected { batch, bad_rows })
    }

    /// The partition values, typed. Where a file is no longer live, a value that
    /// the schema does not understand is null: it was an older schema's file.
    fn partition(
        &self,
        actions: &FileColumns,
        counts: &Counts,
        bad_rows: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        let values = actions.column(FileField::PartitionValues)?.as_map();
        let mut missing = 0;
        let mut columns = Vec::with_capacity(self.partition.len());
        for PartitionField { physical_name, field } in &self.partition {
            let mut column = PartitionColumn::new(&field.name, &field.data_type)?;
            for row in 0..values.len() {
                let value = match value_of(values, row, physical_name) {
                    Some(value) => value,
                    None => {
                        missing += u64::from(actions.kind(row) == ActionKind::ADD);
                        None
                    }
                };
                if let Err(e) = column.append(value) {
                    if self.rows != Rows::Changes || actions.kind(row) != ActionKind::REMOVE {
                        bad_rows.push((row, e));
                    }
                    column.append(None)?;
                }
            }
            columns.push(column.finish());
        }
        counts.partition_values_missing.fetch_add(missing, Ordering::Relaxed);
        let DataType::Struct(fields) = self.partition_type() else {
            return Err(Error::bug("the partition column is not a struct"));
        };
        // Many a remove has no partition values at all, and not every action is a
        // file's; an add has them, by the protocol.
        let nulls = values.nulls().filter(|_| self.rows != Rows::Files).cloned();
        let built = StructArray::try_new_with_length(fields, columns, nulls, values.len());
        Ok(Arc::new(built.map_err(|e| Error::bug(format!("typed partition values: {e}")))?))
    }

    fn partition_type(&self) -> DataType {
        DataType::Struct(partition_types(&self.partition))
    }
}

/// The version of each row of commits that end at `ends`.
fn versions(ends: &[SliceEnd]) -> Result<ArrayRef> {
    let mut versions: Vec<i64> = Vec::new();
    for end in ends {
        let version = i64::try_from(end.version)
            .map_err(|_| Error::bug(format!("version {} is no version", end.version)))?;
        versions.resize(end.rows, version);
    }
    Ok(Arc::new(Int64Array::from(versions)))
}

fn partition_fields(snapshot: &Snapshot) -> Result<Vec<PartitionField>> {
    let names = &snapshot.metadata().partition_columns;
    names
        .iter()
        .map(|name| {
            let field = snapshot.schema().field(name).ok_or_else(|| {
                Error::bug(format!("partition column \"{}\" is not in the schema", escaped(name)))
            })?;
            // A column whose values cannot be typed is refused before any is read.
            PartitionColumn::new(&field.name, &field.data_type)?;
            let physical_name = field.physical_name(snapshot.column_mapping())?.to_owned();
            Ok(PartitionField { physical_name, field: field.clone() })
        })
        .collect()
}

fn partition_types(partition: &[PartitionField]) -> Fields {
    partition
        .iter()
        .map(|p| Field::new(&p.field.name, schema::arrow_type(&p.field.data_type), true))
        .collect()
}
