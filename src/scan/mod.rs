//! What to read of a snapshot: the stream of live files.
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use std::time::Duration;

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
/// Every column a file stream can have.
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

/// What to read, and how.
#[derive(Clone)]
pub struct Scan {}

impl Snapshot {
    /// A scan of this snapshot.
    pub fn scan(&self) -> Scan {
        Scan {}
    }
}

impl Scan {
    /// The columns, in the order they shall have; see [`FILE_COLUMNS`].
    pub fn columns<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        let _ = names.into_iter();
        self
    }
    /// At most this many workers; 0: the caller's thread. Default: the engine's.
    pub fn threads(self, threads: usize) -> Self {
        let _ = threads;
        self
    }
    /// Bytes decoded and not yet delivered. Default: the engine's.
    pub fn window_bytes(self, bytes: usize) -> Self {
        let _ = bytes;
        self
    }
    /// Decode units submitted and not yet delivered, at least 1. Default: 4 a worker.
    pub fn window_units(self, units: usize) -> Self {
        let _ = units;
        self
    }
    /// The most rows of a batch, at least 1. Default: 8192.
    pub fn batch_rows(self, rows: usize) -> Self {
        let _ = rows;
        self
    }
    /// Lets the last action of a commit win where the protocol forbids two, as Spark does.
    pub fn last_action_wins(self) -> Self {
        self
    }
    /// The stream's schema, without starting it.
    pub fn files_schema(&self) -> Result<SchemaRef> {
        Err(Error::bug("not built yet"))
    }
    /// Starts the stream of live files; decoding has begun when it returns.
    pub fn files(&self) -> Result<FileStream> {
        Err(Error::bug("not built yet"))
    }
}

/// Batches of live files. After an error, the same error; after the end, `None`.
pub struct FileStream {}

impl FileStream {
    /// The schema of each batch.
    pub fn schema(&self) -> SchemaRef {
        unreachable!()
    }
    /// Like `next`, but gives up after `wait` with an error of kind `Timeout`;
    /// the stream is as it was, and may be asked again.
    pub fn next_within(&mut self, wait: Duration) -> Option<Result<RecordBatch>> {
        let _ = wait;
        None
    }
    /// A handle that cancels this stream from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle {}
    }
    /// A handle that reads this stream's counters from any thread.
    pub fn progress_handle(&self) -> ProgressHandle {
        ProgressHandle {}
    }
}

impl Iterator for FileStream {
    type Item = Result<RecordBatch>;
    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

/// Cancels a stream; cheap to clone.
#[derive(Clone)]
pub struct CancelHandle {}
impl CancelHandle {
    /// Asks the stream to stop; touches only an atomic.
    pub fn cancel(&self) {}
}

/// Reads a stream's counters; cheap to clone.
#[derive(Clone)]
pub struct ProgressHandle {}
impl ProgressHandle {
    /// The counters now.
    pub fn read(&self) -> Progress {
        Progress::default()
    }
}

/// Counters of a stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Decode units submitted.
    pub units_planned: u64,
    /// Decode units finished.
    pub units_decoded: u64,
    /// Bytes read from storage.
    pub bytes_read: u64,
    /// Live files in the batches delivered.
    pub files_seen: u64,
    /// Batches delivered.
    pub batches_delivered: u64,
    /// The most bytes that the window has held.
    pub window_bytes_peak: u64,
}
