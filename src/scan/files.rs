//! The stream of live files.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::{
    Array, ArrayRef, AsArray, MapArray, RecordBatch, RecordBatchOptions, StructArray,
};
use arrow::datatypes::{DataType, SchemaRef};

use super::{Column, PartitionField, Projection, Scan};
use crate::actions::{AddColumns, AddField};
use crate::error::{Error, ErrorKind, Result};
use crate::partition_value::PartitionColumn;
use crate::read_ahead::{Cancel, Counters, Window};
use crate::replay::{Plan, Projected, Replay};
use crate::storage::Metered;

/// Batches of live files, decoded ahead on the engine's workers.
///
/// The order of rows is the same for every number of threads: newest commit
/// first, then the checkpoint. After an error it answers the same error for
/// ever; after the end, `None`. A stream that ended without an error is
/// complete. Dropping it stops the decoding.
pub struct FileStream {
    schema: SchemaRef,
    cancel: Cancel,
    counts: Arc<Counts>,
    state: State,
}

enum State {
    Running(Box<Replay>),
    Ended,
    Failed(Error),
}

/// The counters behind [`Progress`].
struct Counts {
    storage: Arc<Metered>,
    units: Arc<Counters>,
    files_seen: AtomicU64,
    batches_delivered: AtomicU64,
    partition_values_missing: AtomicU64,
}

impl FileStream {
    pub(super) fn start(scan: &Scan) -> Result<FileStream> {
        let projection = scan.resolve()?;
        let snapshot = &scan.snapshot;
        let engine = snapshot.engine();
        let default = engine.window();
        let threads = scan.threads.map_or(default.threads, |n| n.min(default.threads));
        let window = Window {
            threads,
            units: scan.window_units.unwrap_or(default.units),
            bytes: scan.window_bytes.unwrap_or(default.bytes),
        };
        let storage = Arc::new(Metered::new(Arc::clone(snapshot.storage())));
        let counts = Arc::new(Counts {
            storage: Arc::clone(&storage),
            units: Arc::new(Counters::default()),
            files_seen: AtomicU64::new(0),
            batches_delivered: AtomicU64::new(0),
            partition_values_missing: AtomicU64::new(0),
        });
        let schema = Arc::clone(&projection.schema);
        let want = projection.want;
        let projected = Arc::clone(&counts);
        let mut plan = Plan {
            memory: engine.memory().clone(),
            storage,
            commits: snapshot.take_commits()?,
            checkpoint: snapshot.checkpoint()?,
            want,
            project: Arc::new(move |adds: &AddColumns| projection.project(adds, &projected)),
            batch_rows: scan.batch_rows,
            last_action_wins: scan.last_action_wins,
            window,
        };
        if scan.threads.is_none() && engine.spares_threads() && plan.is_small() {
            plan.window.threads = 0;
        }
        let cancel = Cancel::default();
        let replay = Replay::new(engine.pool(), cancel.clone(), Arc::clone(&counts.units), plan);
        Ok(FileStream { schema, cancel, counts, state: State::Running(Box::new(replay)) })
    }

    /// The schema of every batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Like `next`, but gives up after `wait` with an error of kind
    /// [`Timeout`](ErrorKind::Timeout): the stream is as it was, and may be
    /// asked again. Without workers the work is done here, and is not
    /// interrupted.
    pub fn next_within(&mut self, wait: Duration) -> Option<Result<RecordBatch>> {
        self.next_until(Instant::now().checked_add(wait))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Result<RecordBatch>> {
        let replay = match &mut self.state {
            State::Running(replay) => replay,
            State::Ended => return None,
            State::Failed(e) => return Some(Err(e.clone())),
        };
        let next = match self.cancel.check() {
            Ok(()) => replay.next_until(deadline),
            Err(e) => Some(Err(e)),
        };
        match &next {
            Some(Ok(batch)) => {
                self.counts.files_seen.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                self.counts.batches_delivered.fetch_add(1, Ordering::Relaxed);
            }
            Some(Err(e)) if e.kind() == ErrorKind::Timeout => {}
            // Dropping the replay frees what was decoded ahead.
            Some(Err(e)) => self.state = State::Failed(e.clone()),
            None => self.state = State::Ended,
        }
        next
    }

    /// A handle that cancels this stream from any thread.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle { cancel: self.cancel.clone() }
    }

    /// A handle that reads this stream's counters from any thread.
    pub fn progress_handle(&self) -> ProgressHandle {
        ProgressHandle { counts: Arc::clone(&self.counts) }
    }
}

impl Iterator for FileStream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }
}

impl std::fmt::Debug for FileStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileStream").field("progress", &self.counts.read()).finish_non_exhaustive()
    }
}

/// Cancels a stream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    cancel: Cancel,
}

impl CancelHandle {
    /// Asks the stream to stop: a waiting consumer gets an error of kind
    /// [`Cancelled`](ErrorKind::Cancelled) at once, units that have not begun
    /// never do. Touches only an atomic.
    pub fn cancel(&self) {
        self.cancel.cancel();
    }
}

/// Reads a stream's counters. Cheap to clone.
#[derive(Clone)]
pub struct ProgressHandle {
    counts: Arc<Counts>,
}

impl ProgressHandle {
    /// The counters now.
    pub fn read(&self) -> Progress {
        self.counts.read()
    }
}

impl std::fmt::Debug for ProgressHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(f)
    }
}

/// What a stream has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Decode units submitted.
    pub units_planned: u64,
    /// Decode units finished.
    pub units_decoded: u64,
    /// Bytes read from storage for the stream.
    pub bytes_read: u64,
    /// Live files in the batches delivered.
    pub files_seen: u64,
    /// Batches delivered.
    pub batches_delivered: u64,
    /// Bytes in the window now, by estimate: decoded or being decoded, and not
    /// yet delivered.
    pub window_bytes: u64,
    /// The most bytes that the window has held.
    pub window_bytes_peak: u64,
    /// Values of `partition` that are null because the log leaves out the key.
    pub partition_values_missing: u64,
}

impl Counts {
    fn read(&self) -> Progress {
        Progress {
            units_planned: self.units.units_planned(),
            units_decoded: self.units.units_decoded(),
            bytes_read: self.storage.bytes_read(),
            files_seen: self.files_seen.load(Ordering::Relaxed),
            batches_delivered: self.batches_delivered.load(Ordering::Relaxed),
            window_bytes: self.units.window_bytes(),
            window_bytes_peak: self.units.window_bytes_peak(),
            partition_values_missing: self.partition_values_missing.load(Ordering::Relaxed),
        }
    }
}

impl Projection {
    fn project(&self, adds: &AddColumns, counts: &Counts) -> Result<Projected> {
        let mut bad_rows = Vec::new();
        let columns = self
            .columns
            .iter()
            .map(|column| match column {
                Column::Field(field) => adds.column(*field).cloned(),
                Column::Partition => {
                    let values = adds.column(AddField::PartitionValues)?.as_map();
                    self.partition(values, counts, &mut bad_rows)
                }
            })
            .collect::<Result<Vec<ArrayRef>>>()?;
        // The row count stands apart: a stream may have no column at all.
        let options = RecordBatchOptions::new().with_row_count(Some(adds.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::bug(format!("a batch of files: {e}")))?;
        Ok(Projected { batch, bad_rows })
    }

    /// The partition values, typed.
    fn partition(
        &self,
        values: &MapArray,
        counts: &Counts,
        bad_rows: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        let mut missing = 0;
        let mut columns = Vec::with_capacity(self.partition.len());
        for PartitionField { physical_name, field } in &self.partition {
            let mut column = PartitionColumn::new(&field.name, &field.data_type)?;
            for row in 0..values.len() {
                let value = match value_of(values, row, physical_name) {
                    Some(value) => value,
                    None => {
                        missing += 1;
                        None
                    }
                };
                if let Err(e) = column.append(value) {
                    bad_rows.push((row, e));
                    column.append(None)?;
                }
            }
            columns.push(column.finish());
        }
        counts.partition_values_missing.fetch_add(missing, Ordering::Relaxed);
        let DataType::Struct(fields) = self.partition_type() else {
            return Err(Error::bug("the partition column is not a struct"));
        };
        let built = StructArray::try_new_with_length(fields, columns, None, values.len());
        Ok(Arc::new(built.map_err(|e| Error::bug(format!("typed partition values: {e}")))?))
    }

    fn partition_type(&self) -> DataType {
        DataType::Struct(super::partition_types(&self.partition))
    }
}

/// The value of `key` in a row's map: `None` where the key is not there.
fn value_of<'a>(map: &'a MapArray, row: usize, key: &str) -> Option<Option<&'a str>> {
    if map.is_null(row) {
        return None;
    }
    let (keys, values) = (map.keys().as_string::<i32>(), map.values().as_string::<i32>());
    let offsets = map.value_offsets();
    let entries = offsets[row] as usize..offsets[row + 1] as usize;
    let at = entries.into_iter().find(|&at| keys.value(at) == key)?;
    Some(values.is_valid(at).then(|| values.value(at)))
}
