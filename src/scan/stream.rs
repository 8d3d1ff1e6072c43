//! A stream of batches, whatever they hold: its state, its end, its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::vec;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use crossbeam_channel::Select;

use super::data_file::Skipped;
use crate::delta_log::skipping::{Tally, Verdict};
use crate::error::{Error, Result};
use crate::memory::{ClearsAtEnd, Memory};
use crate::read_ahead::{Cancel, Counters, ReadAhead, Source};
use crate::storage::{Metered, Storage};

/// The batches of units, one after the other.
pub(super) struct Units {
    decoded: ReadAhead<Vec<RecordBatch>>,
    /// Of the unit at hand, those that are still to be delivered.
    unit: vec::IntoIter<RecordBatch>,
    /// The last field: what the others hold comes back first.
    _clears: ClearsAtEnd,
}

impl Units {
    pub(super) fn new(decoded: ReadAhead<Vec<RecordBatch>>, memory: &Memory) -> Units {
        let _clears = ClearsAtEnd(memory.clone());
        Units { decoded, unit: Vec::new().into_iter(), _clears }
    }
}

impl Source for Units {
    type Item = Result<RecordBatch>;

    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<RecordBatch>>> {
        loop {
            if let Some(batch) = self.unit.next() {
                return Poll::Ready(Some(Ok(batch)));
            }
            match self.decoded.next_until(deadline) {
                Poll::Ready(Some(Ok(unit))) => self.unit = unit.into_iter(),
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(e))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.decoded.wakes(select);
    }
}

/// Batches of a table, decoded ahead on the engine's workers: what their rows
/// are says the method that began the stream.
///
/// The order of rows is the same for every number of threads. After an error it answers the same error for
/// ever; after the end, `None`. A stream that ended without an error is
/// complete. Dropping it stops the decoding.
pub struct BatchStream {
    schema: SchemaRef,
    cancel: Cancel,
    counts: Arc<Counts>,
    state: State,
}

enum State {
    Running(Box<dyn Source<Item = Result<RecordBatch>>>),
    Ended,
    Failed(Error),
}

/// The counters behind [`Progress`].
pub(super) struct Counts {
    /// The stream's own view of the table's storage.
    pub(super) storage: Arc<Metered>,
    pub(super) units: Arc<Counters>,
    rows_delivered: AtomicU64,
    batches_delivered: AtomicU64,
    pub(super) partition_values_missing: AtomicU64,
    pub(super) skipped: SkippedCounts,
}

/// The counters of what a filter leaves out.
#[derive(Default)]
pub(super) struct SkippedCounts {
    pub(super) listing: Arc<Tally>,
    pub(super) row_groups: AtomicU64,
    pub(super) row_groups_skipped: AtomicU64,
    pub(super) pages_skipped: AtomicU64,
    pub(super) rows_skipped: AtomicU64,
    pub(super) rows_filtered: AtomicU64,
}

impl SkippedCounts {
    /// What was left out of a file when it was opened.
    pub(super) fn add(&self, skipped: Skipped) {
        let add = |counter: &AtomicU64, more| counter.fetch_add(more, Ordering::Relaxed);
        add(&self.row_groups, skipped.row_groups);
        add(&self.row_groups_skipped, skipped.row_groups_skipped);
        add(&self.pages_skipped, skipped.pages_skipped);
        add(&self.rows_skipped, skipped.rows_skipped);
    }

    /// Rows that were left out when the columns of the filter were decoded, and
    /// whether they were the last of a row group of which none is left.
    pub(super) fn add_filtered(&self, rows: u64, is_last_of_group: bool) {
        self.rows_filtered.fetch_add(rows, Ordering::Relaxed);
        self.row_groups_skipped.fetch_add(u64::from(is_last_of_group), Ordering::Relaxed);
    }
}

impl BatchStream {
    pub(super) fn new(
        schema: SchemaRef,
        cancel: Cancel,
        counts: Arc<Counts>,
        batches: impl Source<Item = Result<RecordBatch>> + 'static,
    ) -> Self {
        BatchStream { schema, cancel, counts, state: State::Running(Box::new(batches)) }
    }

    /// The schema of every batch.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Like `next`, but gives up after `wait` with an error of kind
    /// [`Timeout`](crate::ErrorKind::Timeout): the stream is as it was, and may be
    /// asked again. Without workers the work is done here, and is not
    /// interrupted; nor is what compares a listing, at its end, with what the
    /// table counts itself.
    pub fn next_within(&mut self, wait: Duration) -> Option<Result<RecordBatch>> {
        self.next_until(Instant::now().checked_add(wait))
    }

    fn next_until(&mut self, deadline: Option<Instant>) -> Option<Result<RecordBatch>> {
        let batches = match &mut self.state {
            State::Running(batches) => batches,
            State::Ended => return None,
            State::Failed(e) => return Some(Err(e.clone())),
        };
        let next = match self.cancel.check() {
            Ok(()) => batches.next_until(deadline),
            Err(e) => Poll::Ready(Some(Err(e))),
        };
        let Poll::Ready(next) = next else {
            return Some(Err(Error::timeout("the next batch is not decoded yet")));
        };
        match &next {
            Some(Ok(batch)) => {
                self.counts.rows_delivered.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                self.counts.batches_delivered.fetch_add(1, Ordering::Relaxed);
            }
            // Dropping the source frees what was decoded ahead.
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

impl Iterator for BatchStream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }
}

impl std::fmt::Debug for BatchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchStream").field("progress", &self.counts.read()).finish_non_exhaustive()
    }
}

/// Cancels a stream. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CancelHandle {
    cancel: Cancel,
}

impl CancelHandle {
    /// Asks the stream to stop: a waiting consumer gets an error of kind
    /// [`Cancelled`](crate::ErrorKind::Cancelled) at once, units that have not begun
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
    /// Rows of the batches delivered: of a listing, live files.
    pub rows_delivered: u64,
    /// Batches delivered.
    pub batches_delivered: u64,
    /// Bytes in the window now, by estimate: decoded or being decoded, and not
    /// yet delivered.
    pub window_bytes: u64,
    /// The most bytes that the window has held.
    pub window_bytes_peak: u64,
    /// Values of `partition` that are null because the log leaves out the key.
    pub partition_values_missing: u64,
    /// With a [filter](crate::Scan::filter), as are all that follow: live files
    /// that may have wanted rows, and their bytes.
    pub files_kept: u64,
    /// The bytes of those files.
    pub bytes_kept: u64,
    /// Live files left out by their partition values alone.
    pub files_pruned: u64,
    /// The bytes of those files.
    pub bytes_pruned: u64,
    /// Live files left out by their statistics.
    pub files_skipped: u64,
    /// The bytes of those files.
    pub bytes_skipped: u64,
    /// Rows of checkpoints that were not decoded, because what the checkpoint's
    /// own columns say of them rules them out: nearly all are live files, which
    /// are counted nowhere else.
    pub checkpoint_rows_skipped: u64,
    /// Row groups of the data files that were opened.
    pub row_groups: u64,
    /// Those of which no row was decoded: by their statistics, Bloom filters, or
    /// because no row was left when the columns of the filter were.
    pub row_groups_skipped: u64,
    /// Pages of the filter's columns that were left out by the page index.
    pub pages_skipped: u64,
    /// Rows of data files that were left out undecoded, by row group or by page.
    pub rows_skipped: u64,
    /// Rows that were decoded, as far as the filter's columns go, and not wanted.
    pub rows_filtered: u64,
}

impl Counts {
    pub(super) fn new(storage: &Arc<dyn Storage>) -> Arc<Counts> {
        Arc::new(Counts {
            storage: Arc::new(Metered::new(Arc::clone(storage))),
            units: Arc::new(Counters::default()),
            rows_delivered: AtomicU64::new(0),
            batches_delivered: AtomicU64::new(0),
            partition_values_missing: AtomicU64::new(0),
            skipped: SkippedCounts::default(),
        })
    }

    fn read(&self) -> Progress {
        let skipped = &self.skipped;
        let listing = &skipped.listing;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            files_kept: listing.of(Verdict::Kept).0,
            bytes_kept: listing.of(Verdict::Kept).1,
            files_pruned: listing.of(Verdict::Pruned).0,
            bytes_pruned: listing.of(Verdict::Pruned).1,
            files_skipped: listing.of(Verdict::Skipped).0,
            bytes_skipped: listing.of(Verdict::Skipped).1,
            checkpoint_rows_skipped: count(&listing.rows_ruled_out),
            row_groups: count(&skipped.row_groups),
            row_groups_skipped: count(&skipped.row_groups_skipped),
            pages_skipped: count(&skipped.pages_skipped),
            rows_skipped: count(&skipped.rows_skipped),
            rows_filtered: count(&skipped.rows_filtered),
            units_planned: self.units.units_planned(),
            units_decoded: self.units.units_decoded(),
            bytes_read: self.storage.bytes_read(),
            rows_delivered: self.rows_delivered.load(Ordering::Relaxed),
            batches_delivered: self.batches_delivered.load(Ordering::Relaxed),
            window_bytes: self.units.window_bytes(),
            window_bytes_peak: self.units.window_bytes_peak(),
            partition_values_missing: self.partition_values_missing.load(Ordering::Relaxed),
        }
    }
}
