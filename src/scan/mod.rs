//! What to read of a snapshot: a scan, and its streams.

mod checks;
mod files;
mod stream;

pub use stream::{BatchStream, CancelHandle, Progress, ProgressHandle};

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};

use crate::actions::{FileField, FileFields};
use crate::error::{Error, Result, escaped};
use crate::partition_value::PartitionColumn;
use crate::read_ahead::Window;
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

/// Every column that a file stream can have; [`Scan::columns`] says what each
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

/// A column of the file stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// As decoded.
    Field(FileField),
    /// The partition values, typed.
    Partition,
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
            _ => return None,
        }))
    }

    /// The field that a decoder has to fill for it.
    fn source(self) -> FileField {
        match self {
            Column::Field(field) => field,
            Column::Partition => FileField::PartitionValues,
        }
    }
}

/// A partition column of the table: how the log calls it, and what it is.
struct PartitionField {
    physical_name: String,
    field: StructField,
}

/// What to read of a snapshot, and how. Each method has a default that suits.
#[derive(Debug, Clone)]
pub struct Scan {
    snapshot: Snapshot,
    columns: Vec<String>,
    threads: Option<usize>,
    window_bytes: Option<usize>,
    window_units: Option<usize>,
    batch_rows: usize,
    last_action_wins: bool,
    checks_warn: bool,
}

impl Snapshot {
    /// A scan of this snapshot.
    pub fn scan(&self) -> Scan {
        Scan {
            snapshot: self.clone(),
            columns: DEFAULT_FILE_COLUMNS.iter().map(|&name| name.to_owned()).collect(),
            threads: None,
            window_bytes: None,
            window_units: None,
            batch_rows: 8192,
            last_action_wins: false,
            checks_warn: false,
        }
    }
}

impl Scan {
    /// The columns of the file stream, in the order they shall have. Default:
    /// [`DEFAULT_FILE_COLUMNS`]. What is not named is not decoded.
    ///
    /// | name | Arrow type | holds |
    /// |---|---|---|
    /// | `path` | `Utf8`, not null | the path as the log has it: a URI reference, percent-encoded |
    /// | `size` | `Int64` | bytes of the data file |
    /// | `modification_time` | `Timestamp(ms, UTC)` | when the file was made |
    /// | `partition_values` | `Map<Utf8, Utf8>` | as the log has them: physical names, text |
    /// | `partition` | `Struct` | the same, typed, under logical names; an empty text is null |
    /// | `num_records` | `Int64` | rows of the data file by its statistics, deleted ones included; null where they do not say |
    /// | `stats` | `Utf8` | the statistics as JSON; null where there are none |
    /// | `deletion_vector` | `Struct<storage_type: Utf8, path_or_inline_dv: Utf8, offset: Int32, size_in_bytes: Int32, cardinality: Int64>` | the descriptor; null where no row is deleted |
    /// | `tags` | `Map<Utf8, Utf8>` | as in the log |
    /// | `data_change` | `Boolean` | as in the log |
    /// | `base_row_id` | `Int64` | the row id of the file's first row |
    /// | `default_row_commit_version` | `Int64` | the version that first added the path |
    /// | `clustering_provider` | `Utf8` | as in the log |
    ///
    /// A field that the log leaves out is null. See the protocol's "Add File
    /// and Remove File" and "Deletion Vector Descriptor Schema".
    pub fn columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.columns = names.into_iter().map(Into::into).collect();
        self
    }

    /// Lets at most this many of the engine's workers decode for the stream at
    /// once; with 0, it is decoded on the thread that asks for batches. The
    /// batches are the same for every number. Default: all of them.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The most bytes decoded and not yet delivered, by estimate; one decode
    /// unit is always allowed. Default: the engine's.
    pub fn window_bytes(mut self, bytes: usize) -> Self {
        self.window_bytes = Some(bytes);
        self
    }

    /// The most decode units submitted and not yet delivered, from 1 to 4096.
    /// Default: 4 a worker.
    pub fn window_units(mut self, units: usize) -> Self {
        self.window_units = Some(units);
        self
    }

    /// The most rows of a batch, at least 1. Batches end where decode units do
    /// as well, so they often have fewer. Default: 8192.
    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = rows;
        self
    }

    /// Accepts a commit that adds one path twice, or adds and removes one
    /// logical file: the last action of each logical file wins, as in Spark.
    /// Without it such a commit is an error, because the protocol forbids it
    /// and does not say which action counts ("Add File and Remove File").
    pub fn last_action_wins(mut self) -> Self {
        self.last_action_wins = true;
        self
    }

    /// Tells the host of a disagreement ([`EventLevel::Warning`]), where without
    /// it the stream ends with an error of kind `CorruptLog` in place of its end.
    ///
    /// A complete listing is compared with the checksum of its version: number
    /// and bytes of the files, protocol and metadata ("State Validation"); and
    /// with what `_last_checkpoint` and the checkpoint's own metadata say of the
    /// checkpoint. Where a table has none of them, there is nothing to compare.
    ///
    /// [`EventLevel::Warning`]: crate::EventLevel::Warning
    pub fn disagreements_warn(mut self) -> Self {
        self.checks_warn = true;
        self
    }

    /// The schema of the file stream, without starting it.
    ///
    /// # Errors
    /// `InvalidArgument`, naming it, for a column that does not exist or is
    /// named twice.
    pub fn files_schema(&self) -> Result<SchemaRef> {
        Ok(self.resolve()?.schema)
    }

    /// The window of a stream of this scan.
    fn window(&self) -> Window {
        let default = self.snapshot.engine().window();
        Window {
            threads: self.threads.map_or(default.threads, |n| n.min(default.threads)),
            units: self.window_units.unwrap_or(default.units),
            bytes: self.window_bytes.unwrap_or(default.bytes),
        }
    }

    fn resolve(&self) -> Result<Projection> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            let column = Column::named(name).ok_or_else(|| {
                Error::invalid(format!(
                    "no column \"{}\" in a file stream; there are {}",
                    escaped(name),
                    FILE_COLUMNS.join(", ")
                ))
            })?;
            if columns.contains(&column) {
                return Err(Error::invalid(format!("column \"{name}\" is named twice")));
            }
            columns.push(column);
        }
        let partition = if columns.contains(&Column::Partition) {
            partition_fields(&self.snapshot)?
        } else {
            Vec::new()
        };
        let fields: Vec<Field> = self
            .columns
            .iter()
            .zip(&columns)
            .map(|(name, column)| {
                let data_type = match column {
                    Column::Field(field) => field.data_type(),
                    Column::Partition => DataType::Struct(partition_types(&partition)),
                };
                Field::new(name, data_type, *column != Column::Field(FileField::Path))
            })
            .collect();
        Ok(Projection {
            want: columns.iter().map(|column| column.source()).collect(),
            columns,
            partition,
            schema: Arc::new(Schema::new(fields)),
        })
    }
}

/// The columns of a stream, resolved against the table.
struct Projection {
    columns: Vec<Column>,
    want: FileFields,
    partition: Vec<PartitionField>,
    schema: SchemaRef,
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
