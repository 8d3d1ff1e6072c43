//! What to read of a snapshot: a scan, and its streams.

mod actions;
mod change_rows;
mod changes;
mod checks;
mod columns;
mod data_file;
mod deletion_vector;
mod files;
mod history;
mod older_schema;
mod place;
mod row_columns;
mod rows;
mod stream;

pub use actions::ACTION_KINDS;
pub use columns::{ACTION_COLUMNS, CHANGE_COLUMNS, DEFAULT_FILE_COLUMNS, FILE_COLUMNS};
pub use history::{DEFAULT_HISTORY_COLUMNS, HISTORY_COLUMNS, HistoryOptions};
pub use row_columns::{CHANGE_ROW_COLUMNS, ROW_METADATA_COLUMNS};
pub use stream::{BatchStream, CancelHandle, Progress, ProgressHandle};

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result, escaped};
use crate::predicate::{AskedColumn, Predicate, Question};
use crate::read_ahead::Window;
use crate::replay;
use crate::schema::DataType;
use crate::snapshot::Snapshot;
use columns::{Projection, Rows};

/// The most rows of a batch where nothing is said of it.
const BATCH_ROWS: usize = 8192;

/// What to read of a snapshot, and how. Each method has a default that suits.
#[derive(Debug, Clone)]
pub struct Scan {
    snapshot: Snapshot,
    /// `None`: those that the stream has by default.
    columns: Option<Vec<String>>,
    /// `None`: all.
    action_kinds: Option<Vec<String>>,
    threads: Option<usize>,
    window_bytes: Option<usize>,
    window_units: Option<usize>,
    batch_rows: usize,
    last_action_wins: bool,
    checks_warn: bool,
    limit: Option<u64>,
    unordered: bool,
    outside_root: bool,
    filter: Option<Filter>,
    whole_files: bool,
}

/// A predicate, bound to the table.
#[derive(Debug, Clone)]
struct Filter {
    predicate: Predicate,
    question: Arc<Question>,
}

/// A column that a [filter](Scan::filter) is about, or a field within one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct FilterColumn {
    /// The names on the way, from the top, as the table's schema spells them.
    pub path: Vec<String>,
    /// Its type.
    pub data_type: DataType,
    /// Whether it is one by which the table is partitioned: then it is known of each
    /// file, exactly.
    pub is_partition_column: bool,
}

impl Snapshot {
    /// A scan of this snapshot.
    pub fn scan(&self) -> Scan {
        Scan {
            snapshot: self.clone(),
            columns: None,
            action_kinds: None,
            threads: None,
            window_bytes: None,
            window_units: None,
            batch_rows: BATCH_ROWS,
            last_action_wins: false,
            checks_warn: false,
            limit: None,
            unordered: false,
            outside_root: false,
            filter: None,
            whole_files: false,
        }
    }
}

impl Scan {
    /// The columns of the stream, in the order they shall have. What is not
    /// named is not decoded. Default for live files: [`DEFAULT_FILE_COLUMNS`].
    /// [`changes_since`](Scan::changes_since) and [`actions`](Scan::actions)
    /// have these columns and some of their own, a [`history`](Self::history) has
    /// others; those of live files are
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
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// The actions that a stream of [`actions`](Scan::actions) shall have, by
    /// their names, which are those of [`ACTION_KINDS`]. An action that is not
    /// named is not decoded, but for being JSON. Default: all of them.
    pub fn action_kinds<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.action_kinds = Some(names.into_iter().map(Into::into).collect());
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
    /// as well, so they often have fewer. Default: 8192; of rows, at most 1,048,576.
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
    /// and bytes of the files, protocol and metadata ("State Validation"), those
    /// two also where an older checksum is what the snapshot has them from; and
    /// with what `_last_checkpoint` and the checkpoint's own metadata say of the
    /// checkpoint. Where a table has none of them, there is nothing to compare.
    ///
    /// [`EventLevel::Warning`]: crate::EventLevel::Warning
    pub fn disagreements_warn(mut self) -> Self {
        self.checks_warn = true;
        self
    }

    /// Ends a stream of [`rows`](Self::rows), or of
    /// [changed ones](Self::change_rows), after so many. No more is decoded than
    /// they take, but for what was under way already. Default: all of them.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Gives the batches of [`rows`](Self::rows), or of
    /// [changed ones](Self::change_rows), as they are decoded: one that takes long
    /// holds up no other, and their order is another each time.
    pub fn unordered(mut self) -> Self {
        self.unordered = true;
        self
    }

    /// Lets [`rows`](Self::rows) and [`change_rows`](Self::change_rows) read data files and deletion vectors that lie
    /// outside the table's root, by absolute paths of the local file system: a
    /// shallow clone has them. The log then names any file that this process may
    /// read. Without it they are an error of kind `Unsupported`.
    pub fn reads_outside_root(mut self) -> Self {
        self.outside_root = true;
        self
    }

    /// Wants only rows for which `predicate` is true; a second filter is one more
    /// condition.
    ///
    /// [`files`](Self::files) then has the live files that may hold such rows: all
    /// but those whose partition values or statistics rule it out. What is not known
    /// keeps a file. [`rows`](Self::rows) and [`change_rows`](Self::change_rows) have
    /// just the wanted rows, or [all of those files'](Self::whole_files). Columns of
    /// the predicate need not be among those of the stream.
    ///
    /// Values compare as in Spark: NaN equals itself and is greater than any other
    /// number, the two zeros are equal, texts are compared by their bytes, and a date
    /// is midnight of its day in UTC. Statistics are taken for what their writer may
    /// have meant ("Per-file Statistics"): cut texts and times, a NaN that they leave
    /// out. A listing with a filter is not complete, so its files are not counted
    /// against what the table says of them; [`Progress`] counts what was left out.
    ///
    /// # Errors
    /// `InvalidArgument`, saying where, for a column that the table does not have, and for
    /// a value that is none of its column's type.
    pub fn filter(mut self, predicate: Predicate) -> Result<Self> {
        let predicate = match self.filter.take() {
            Some(filter) => filter.predicate.and(predicate),
            None => predicate,
        };
        let snapshot = &self.snapshot;
        let partition_columns = &snapshot.metadata().partition_columns;
        let mode = snapshot.column_mapping();
        let question = Question::new(&predicate, snapshot.schema(), partition_columns, mode)?;
        self.filter = Some(Filter { predicate, question: Arc::new(question) });
        Ok(self)
    }

    /// [`filter`](Self::filter) by an SQL text, as [`Predicate::parse`] reads it.
    ///
    /// # Errors
    /// Those of both.
    pub fn filter_sql(self, text: &str) -> Result<Self> {
        self.filter(Predicate::parse(text)?)
    }

    /// What rows are wanted for, if there is a [filter](Self::filter).
    pub fn predicate(&self) -> Option<&Predicate> {
        self.filter.as_ref().map(|filter| &filter.predicate)
    }

    /// The columns that the [filter](Self::filter) is about, each once, in no order
    /// that means anything.
    pub fn filter_columns(&self) -> Vec<FilterColumn> {
        let columns = self.filter.as_ref().map_or(&[][..], |filter| filter.question.columns());
        let column = |column: &AskedColumn| FilterColumn {
            path: column.path.clone(),
            data_type: column.data_type.clone(),
            is_partition_column: column.partition.is_some(),
        };
        columns.iter().map(column).collect()
    }

    /// Gives all rows of the files that a [filter](Self::filter) keeps, for a host
    /// that filters them itself: row groups and pages that it rules out are left
    /// out, all that is decoded is given.
    pub fn whole_files(mut self) -> Self {
        self.whole_files = true;
        self
    }

    /// For a stream that a filter means nothing to.
    fn refuse_filter(&self, stream: &str) -> Result<()> {
        match &self.filter {
            None => Ok(()),
            Some(Filter { predicate, .. }) => Err(Error::unsupported(format!(
                "{stream} cannot be filtered, and the scan has a filter: {}",
                escaped(&predicate.to_string())
            ))),
        }
    }

    /// The schema of the file stream, without starting it.
    ///
    /// # Errors
    /// `InvalidArgument`, naming it, for a column that does not exist or is
    /// named twice.
    pub fn files_schema(&self) -> Result<SchemaRef> {
        Ok(self.resolve(Rows::Files)?.delivered)
    }

    /// The window of a stream of so many bytes of log.
    fn window(&self, log_bytes: u64) -> Window {
        let engine = self.snapshot.engine();
        let default = engine.window();
        Window {
            threads: match self.threads {
                Some(threads) => threads.min(default.threads),
                None if engine.spares_threads() && replay::is_small(log_bytes) => 0,
                None => default.threads,
            },
            units: self.window_units.unwrap_or(default.units),
            bytes: self.window_bytes.unwrap_or(default.bytes),
        }
    }

    fn resolve(&self, rows: Rows) -> Result<Projection> {
        Projection::resolve(&self.snapshot, rows, self.columns.as_deref())
    }
}
