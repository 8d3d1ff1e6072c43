//! Action reconciliation, newest first, to batches of live files ("Action
//! Reconciliation").
//!
//! Everything that can be done for a unit alone is done on the workers: its
//! decoding, its keys' hashes, its final Arrow batch. What is left for the
//! consumer is to ask, in order, a set of 16-byte keys. Rows of a commit ask
//! and are remembered. Rows of a checkpoint only ask: nothing is older than a
//! checkpoint, so remembering them would cost memory and hide nothing. And once
//! the last commit is in, the set is final, so that workers ask it themselves
//! and whole checkpoint units go straight through.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Instant;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use crossbeam_channel::Select;

use crate::actions::{
    ActionKey, ActionKind, ActionKinds, FileColumns, FileField, FileFields, KeyHasher,
};
use crate::delta_log::checkpoint::{Checkpoint, Part, SidecarFile};
use crate::delta_log::checkpoint_adds::{AddReader, CheckpointAdds, Step};
use crate::delta_log::commit::{
    self, Actions, CommitText, LogText, Order, SliceEnd, TextSlice, Wanted,
};
use crate::delta_log::skipping::{Judged, Skipping};
use crate::engine::{EventLevel, Events};
use crate::error::{Error, Result};
use crate::memory::{ClearsAtEnd, Memory};
use crate::parquet_file::{ParquetFile, Piece};
use crate::read_ahead::{Cancel, Counters, Planned, Pool, ReadAhead, Source, Window};
use crate::seen::{Conflict, Seen};
use crate::span::{Label, SpanKind};
use crate::storage::Storage;

/// Makes a consumer's batch of decoded actions; where each commit's rows end is
/// given too, and is not for a checkpoint's.
pub(crate) type Project = dyn Fn(&FileColumns, &[SliceEnd]) -> Result<Projected> + Send + Sync;

/// A consumer's batch, before it is known which of its rows stay.
pub(crate) struct Projected {
    pub(crate) batch: RecordBatch,
    /// Rows with a value that could not be understood, and why. That matters
    /// only if the row stays: an older schema's file that is long removed must
    /// not fail a scan.
    pub(crate) bad_rows: Vec<(usize, Error)>,
}

/// What a replay is to do.
pub(crate) struct Plan {
    pub(crate) memory: Memory,
    pub(crate) storage: Arc<dyn Storage>,
    /// The commits of the segment, newest first.
    pub(crate) commits: Vec<CommitText>,
    /// Told of what is bad and not needed.
    pub(crate) events: Events,
    pub(crate) checkpoint: Option<Arc<Checkpoint>>,
    /// The actions of commits that are rows where they are the newest of their
    /// logical file: adds, for the live files, or removes too, for what has
    /// become of each file.
    pub(crate) rows: ActionKinds,
    /// The fields that `project` needs.
    pub(crate) want: FileFields,
    /// What leaves files out of the rows.
    pub(crate) skipping: Option<Arc<Skipping>>,
    pub(crate) project: Arc<Project>,
    /// Of the batches that `project` makes, the column of the files' sizes, to
    /// add them up, and how many columns are delivered: the first.
    pub(crate) size_column: Option<usize>,
    pub(crate) delivered_columns: usize,
    pub(crate) batch_rows: usize,
    /// Accept what the protocol forbids within one commit: the last action of a
    /// file wins, as in Spark.
    pub(crate) last_action_wins: bool,
    pub(crate) window: Window,
}

/// Whether so many bytes of log are decoded before a worker could begin.
pub(crate) fn is_small(log_bytes: u64) -> bool {
    const SMALL_BYTES: u64 = 256 << 10;
    log_bytes <= SMALL_BYTES
}

/// A decode unit.
enum Unit {
    Commits(Vec<TextSlice>),
    Compaction(CommitText),
    /// A share of a JSON checkpoint.
    CheckpointText(Vec<TextSlice>, Adds),
    Piece(Arc<AddReader>, Piece, Adds),
    /// What several pieces have in common.
    Ahead(Arc<AddReader>, usize),
}

/// Whether a checkpoint file may hold adds: a V2 checkpoint has its file
/// actions all in itself or all in its sidecars ("V2 Spec").
#[derive(Clone, Copy, PartialEq, Eq)]
enum Adds {
    Allowed,
    InSidecars,
}

/// A decoded unit.
struct Decoded {
    rows: Projected,
    keys: Keys,
    /// Where files are left out: the verdicts on all whose keys there are. The rows
    /// are those that are kept.
    judged: Option<Judged>,
    /// The adds that it has if it is a checkpoint's, live or not.
    checkpoint_adds: usize,
}

enum Keys {
    Commits(CommitKeys),
    /// One key a row, still to be asked for.
    Checkpoint(Vec<u128>),
    /// Every row is live.
    Asked,
}

struct CommitKeys {
    keys: Vec<ActionKey>,
    ends: Vec<SliceEnd>,
}

/// What a replay has counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    /// Live files, and their bytes where the plan has a column of sizes.
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Adds of the checkpoint, live or not.
    pub(crate) checkpoint_adds: u64,
    /// Actions of its sidecars.
    pub(crate) sidecar_actions: u64,
}

/// The live files of a version, as batches.
pub(crate) struct Replay {
    decoded: ReadAhead<Vec<Decoded>>,
    /// Of the unit at hand, the batches that are still to be looked at.
    unit: std::vec::IntoIter<Decoded>,
    /// Units of commits that are still to come.
    commit_units: usize,
    seen: Seen,
    /// The final set, once the commits are in; the workers hold it too.
    final_seen: Arc<OnceLock<Seen>>,
    rows: ActionKinds,
    last_action_wins: bool,
    skipping: Option<Arc<Skipping>>,
    blame: Blame,
    totals: Totals,
    /// Rows of the sidecars opened so far.
    sidecar_actions: Arc<AtomicU64>,
    /// The column of the batches that has the files' sizes.
    size_column: Option<usize>,
    delivered_columns: usize,
    batch_rows: usize,
    /// Cut from a unit and not yet delivered.
    ready: VecDeque<RecordBatch>,
    /// The last field: what the others hold comes back first.
    _clears: ClearsAtEnd,
}

impl Replay {
    /// Starts the replay: decoding has begun when it returns.
    pub(crate) fn new(
        pool: &Arc<Pool>,
        cancel: Cancel,
        counters: Arc<Counters>,
        plan: Plan,
    ) -> Replay {
        let Plan { storage, commits, checkpoint, rows, want, project, batch_rows, window, .. } =
            plan;
        let mut want = want;
        want.insert(FileField::Path);
        let skipping = plan.skipping.clone();
        let hasher = KeyHasher::new();
        let memory = plan.memory;
        let clears = ClearsAtEnd(memory.clone());
        let blame = Blame {
            storage: Arc::clone(&storage),
            commits: commits.iter().flat_map(texts_of).cloned().collect(),
            hasher: hasher.clone(),
        };
        let units = commit_units(commits);
        let commit_units = units.len();
        let final_seen = Arc::new(OnceLock::new());
        if commit_units == 0 {
            let _ = final_seen.set(Seen::default());
        }

        let sidecar_actions = Arc::<AtomicU64>::default();
        let manifest = checkpoint.map(|checkpoint| {
            let open = SidecarOpener {
                storage: Arc::clone(&storage),
                events: plan.events.clone(),
                actions: Arc::clone(&sidecar_actions),
            };
            let (skipping, memory) = (skipping.clone(), memory.clone());
            let reader_of =
                move |file: &ParquetFile| AddReader::new(file, want, skipping.as_ref(), &memory);
            checkpoint_units(pool, window, &cancel, open, &checkpoint, reader_of)
        });
        let decoder = Decoder {
            storage,
            rows,
            want: skipping.iter().fold(want, |want, skipping| want.with(skipping.wants())),
            skipping,
            hasher,
            project,
            memory,
            events: plan.events,
            final_seen: Arc::clone(&final_seen),
        };
        let decoded = ReadAhead::new(
            pool,
            window,
            cancel,
            counters,
            units.into_iter().map(Ok).chain(manifest.into_iter().flatten()),
            move |unit| decoder.decode(unit),
        );
        Replay {
            decoded,
            unit: Vec::new().into_iter(),
            commit_units,
            seen: Seen::default(),
            final_seen,
            rows,
            last_action_wins: plan.last_action_wins,
            skipping: plan.skipping,
            blame,
            totals: Totals::default(),
            sidecar_actions,
            size_column: plan.size_column,
            delivered_columns: plan.delivered_columns,
            batch_rows,
            ready: VecDeque::new(),
            _clears: clears,
        }
    }

    /// What has been counted: of the whole version, once it has ended.
    pub(crate) fn totals(&self) -> Totals {
        let sidecar_actions = self.sidecar_actions.load(Ordering::Relaxed);
        Totals { sidecar_actions, ..self.totals }
    }

    /// The live rows of a unit.
    fn live(&mut self, decoded: Decoded) -> Result<Option<RecordBatch>> {
        let Decoded { rows, keys, judged, checkpoint_adds } = decoded;
        self.totals.checkpoint_adds += checkpoint_adds as u64;
        let skipping = self.skipping.as_deref();
        match keys {
            Keys::Asked => Ok((rows.batch.num_rows() > 0).then_some(rows.batch)),
            Keys::Checkpoint(keys) => {
                let _watch = self.decoded.watch(SpanKind::Probe);
                let seen = self.final_seen.get().unwrap_or(&self.seen);
                keep(rows, unseen(&keys, seen), judged.as_ref(), skipping)
            }
            Keys::Commits(keys) => {
                let _watch = self.decoded.watch(SpanKind::Probe);
                let files = judged.as_ref().map_or(rows.batch.num_rows(), Judged::len);
                let live = self.reconcile(&keys, files)?;
                self.commit_units -= 1;
                if self.commit_units == 0 {
                    let _ = self.final_seen.set(std::mem::take(&mut self.seen));
                    self.blame.commits = Vec::new();
                }
                keep(rows, live, judged.as_ref(), self.skipping.as_deref())
            }
        }
    }

    /// Which rows of a unit of commits are the newest action of their logical
    /// file.
    ///
    /// Each slice is walked backwards: its order does not matter to a commit
    /// that keeps to the protocol, and for one that does not, the last action
    /// of a file comes first.
    fn reconcile(&mut self, unit: &CommitKeys, rows: usize) -> Result<BooleanBufferBuilder> {
        let mut live = BooleanBufferBuilder::new(rows);
        live.append_n(rows, false);
        let removes_are_rows = self.rows.has(ActionKind::REMOVE);
        let mut first = 0;
        for end in &unit.ends {
            let slice = unit.keys.get(first..end.keys).unwrap_or_default();
            let mut row = end.rows;
            for key in slice.iter().rev() {
                let is_newest = self
                    .seen
                    .is_newest(end.version, key, self.last_action_wins)
                    .map_err(|conflict| self.blame.error(end.version, key, conflict))?;
                if key.is_add || removes_are_rows {
                    row -= 1;
                    live.set_bit(row, is_newest);
                }
            }
            first = end.keys;
        }
        Ok(live)
    }

    /// Counts the rows of a batch that is to be delivered, and cuts it.
    fn count(&mut self, mut batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        self.totals.files += rows as u64;
        if let Some(column) = self.size_column {
            let sizes = batch.column(column).as_primitive::<Int64Type>();
            let bytes = arrow::compute::sum(sizes).unwrap_or(0);
            self.totals.bytes = self.totals.bytes.wrapping_add_signed(bytes);
        }
        if batch.num_columns() > self.delivered_columns {
            let delivered: Vec<usize> = (0..self.delivered_columns).collect();
            batch = batch
                .project(&delivered)
                .map_err(|e| Error::bug(format!("the delivered columns of a batch: {e}")))?;
        }
        self.ready.extend(cut(&batch, self.batch_rows));
        Ok(())
    }
}

impl Source for Replay {
    type Item = Result<RecordBatch>;

    /// The next batch. After an error it is of no more use.
    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<RecordBatch>>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(batch)));
            }
            let Some(decoded) = self.unit.next() else {
                match self.decoded.next_until(deadline) {
                    Poll::Ready(Some(Ok(unit))) => self.unit = unit.into_iter(),
                    Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(e))),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            };
            match self.live(decoded).and_then(|live| live.map_or(Ok(()), |batch| self.count(batch)))
            {
                Ok(()) => {}
                Err(e) => return Poll::Ready(Some(Err(e))),
            }
        }
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.decoded.wakes(select);
    }
}

/// The rows of `batch` in batches of at most `batch_rows`, none of them empty.
pub(crate) fn cut(batch: &RecordBatch, batch_rows: usize) -> impl Iterator<Item = RecordBatch> {
    let rows = batch.num_rows();
    let begins = (0..rows).step_by(batch_rows.max(1));
    begins.map(move |begin| batch.slice(begin, batch_rows.max(1).min(rows - begin)))
}

/// Which rows of a checkpoint's unit have keys that no commit has.
fn unseen(keys: &[u128], seen: &Seen) -> BooleanBufferBuilder {
    let mut live = BooleanBufferBuilder::new(keys.len());
    if seen.is_empty() {
        live.append_n(keys.len(), true);
    } else {
        keys.iter().for_each(|key| live.append(!seen.contains(*key)));
    }
    live
}

/// The rows that stay, of all that were `judged` where that was done; none of them may
/// be a bad one.
fn keep(
    rows: Projected,
    mut live: BooleanBufferBuilder,
    judged: Option<&Judged>,
    skipping: Option<&Skipping>,
) -> Result<Option<RecordBatch>> {
    let mut live = live.finish();
    if let (Some(judged), Some(skipping)) = (judged, skipping) {
        live = judged.count(|file| live.value(file), &skipping.tally);
    }
    let live = BooleanArray::new(live, None);
    if let Some((_, e)) = rows.bad_rows.into_iter().find(|&(row, _)| live.value(row)) {
        return Err(e);
    }
    match live.true_count() {
        0 => Ok(None),
        count if count == rows.batch.num_rows() => Ok(Some(rows.batch)),
        _ => filter_record_batch(&rows.batch, &live)
            .map(Some)
            .map_err(|e| Error::bug(format!("keeping the live rows of a batch: {e}"))),
    }
}

/// What the workers run.
struct Decoder {
    storage: Arc<dyn Storage>,
    rows: ActionKinds,
    want: FileFields,
    skipping: Option<Arc<Skipping>>,
    hasher: KeyHasher,
    project: Arc<Project>,
    memory: Memory,
    events: Events,
    final_seen: Arc<OnceLock<Seen>>,
}

impl Decoder {
    fn decode(&self, unit: Unit) -> Result<Vec<Decoded>> {
        match unit {
            Unit::Commits(slices) => {
                let actions = self.lines(&slices, self.rows)?;
                Ok(vec![self.commits(actions, &slices[0].text.name)?])
            }
            Unit::Compaction(compaction) => Ok(vec![self.compaction(compaction)?]),
            Unit::CheckpointText(slices, allowed) => {
                let actions = self.lines(&slices, ActionKinds::from_iter([ActionKind::ADD]))?;
                let adds = actions.keys.iter().filter(|key| key.is_add);
                let keys = adds.map(|key| key.file).collect();
                let (count, mut columns) = (actions.rows.rows, actions.rows);
                let judged = self.judge(&mut columns)?;
                let adds = CheckpointAdds { keys: Some(keys), count, columns, judged };
                Ok(vec![self.checkpoint(adds, &slices[0].text.name, allowed)?])
            }
            Unit::Ahead(reader, span) => {
                reader.decode_ahead(span)?;
                Ok(Vec::new())
            }
            Unit::Piece(reader, piece, allowed) => reader
                .decode(&piece, &self.hasher, &self.final_seen)?
                .map(|adds| self.checkpoint(adds?, reader.name(), allowed))
                .collect(),
        }
    }

    fn commits(&self, mut actions: Actions, name: &str) -> Result<Decoded> {
        let judged = self.judge(&mut actions.rows)?;
        let rows = self.project(&actions.rows, &actions.ends, name)?;
        let keys = CommitKeys { keys: actions.keys, ends: actions.ends };
        Ok(Decoded { rows, keys: Keys::Commits(keys), judged, checkpoint_adds: 0 })
    }

    /// Leaves out files that are not wanted; their keys stay, for they hide older ones.
    fn judge(&self, files: &mut FileColumns) -> Result<Option<Judged>> {
        self.skipping.as_ref().map(|skipping| skipping.judge_all(files)).transpose()
    }

    /// A compaction is decoded whole or not at all: one that is bad gives way
    /// to the commits that it stands for.
    fn compaction(&self, compaction: CommitText) -> Result<Decoded> {
        let CommitText { text, compacted } = compaction;
        let name = Arc::clone(&text.name);
        let decoded = self.lines(&[TextSlice::whole(text)], self.rows).and_then(|actions| {
            // What was reconciled holds each file once.
            let mut seen = Seen::default();
            for &key in &actions.keys {
                if !matches!(seen.is_newest(0, &key, false), Ok(true)) {
                    return Err(Error::corrupt(format!("{name}: a file stands in it twice")));
                }
            }
            self.commits(actions, &name)
        });
        decoded.or_else(|e| {
            let message = format!("a compaction is not used: {e}");
            self.events.tell(EventLevel::Warning, &message);
            let slices: Vec<_> = compacted.into_iter().map(TextSlice::whole).collect();
            self.commits(self.lines(&slices, self.rows)?, &slices[0].text.name)
        })
    }

    fn lines(&self, slices: &[TextSlice], rows: ActionKinds) -> Result<Actions> {
        let wanted = Wanted::reconciled(rows, self.want);
        commit::decode(self.storage.as_ref(), slices, wanted, &self.hasher, &self.memory)
    }

    fn checkpoint(&self, adds: CheckpointAdds, name: &str, allowed: Adds) -> Result<Decoded> {
        let CheckpointAdds { columns, keys, count, judged } = adds;
        let skipping = self.skipping.as_deref();
        if allowed == Adds::InSidecars && count > 0 {
            return Err(Error::corrupt(format!(
                "{name}: a checkpoint holds adds itself and in sidecars, which the protocol forbids"
            )));
        }
        let mut rows = self.project(&columns, &[], name)?;
        let keys = match (keys, self.final_seen.get()) {
            // Asked for at once where the set is final already.
            (Some(keys), Some(seen)) => {
                let schema = rows.batch.schema();
                let batch = keep(rows, unseen(&keys, seen), judged.as_ref(), skipping)?;
                let batch = batch.unwrap_or_else(|| RecordBatch::new_empty(schema));
                rows = Projected { batch, bad_rows: Vec::new() };
                Keys::Asked
            }
            (Some(keys), None) => Keys::Checkpoint(keys),
            (None, _) => {
                if let Some((_, e)) = std::mem::take(&mut rows.bad_rows).into_iter().next() {
                    return Err(e);
                }
                if let (Some(judged), Some(skipping)) = (&judged, skipping) {
                    judged.count(|_| true, &skipping.tally);
                }
                Keys::Asked
            }
        };
        Ok(Decoded { rows, keys, judged, checkpoint_adds: count })
    }

    fn project(&self, rows: &FileColumns, ends: &[SliceEnd], name: &str) -> Result<Projected> {
        let mut rows = (self.project)(rows, ends).map_err(|e| e.at(name))?;
        rows.bad_rows.iter_mut().for_each(|(_, e)| *e = e.at(name));
        Ok(rows)
    }
}

/// The texts that `commit` may be read from.
fn texts_of(commit: &CommitText) -> impl Iterator<Item = &LogText> {
    std::iter::once(&commit.text).filter(|_| commit.compacted.is_empty()).chain(&commit.compacted)
}

/// The units of commits, newest first.
fn commit_units(commits: Vec<CommitText>) -> Vec<Planned<Unit>> {
    let mut units = Vec::new();
    let mut run = Vec::new();
    let end_run = |run: &mut Vec<LogText>, units: &mut Vec<_>| {
        let slices = commit::plan(std::mem::take(run), Order::NewestFirst);
        units.extend(slices.map(|slices| planned_text(slices, Unit::Commits)));
    };
    for commit in commits {
        if commit.compacted.is_empty() {
            run.push(commit.text);
            continue;
        }
        end_run(&mut run, &mut units);
        units.push(Planned {
            bytes: usize::try_from(commit.text.size).unwrap_or(usize::MAX),
            label: Label::new(SpanKind::Decode, Arc::clone(&commit.text.name)),
            unit: Unit::Compaction(commit),
        });
    }
    end_run(&mut run, &mut units);
    units
}

/// A unit of commits, with what it weighs and what it is called.
pub(crate) fn planned_text<U>(
    slices: Vec<TextSlice>,
    unit: impl FnOnce(Vec<TextSlice>) -> U,
) -> Planned<U> {
    let bytes = slices.iter().map(TextSlice::bytes).sum::<u64>();
    Planned {
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
        label: label_of(&slices),
        unit: unit(slices),
    }
}

fn label_of(slices: &[TextSlice]) -> Label {
    let first @ TextSlice { text, .. } = &slices[0];
    let label = Label::new(SpanKind::Decode, Arc::clone(&text.name));
    let last = &slices[slices.len() - 1];
    // Newest first or oldest first, and so are the shares of one commit.
    let bytes = first.range.start.min(last.range.start)..first.range.end.max(last.range.end);
    let (one, other) = (text.version, last.text.version);
    if one != other {
        label.share("versions", one.min(other)..one.max(other) + 1)
    } else if bytes != (0..text.size) {
        label.share("bytes", bytes)
    } else {
        label
    }
}

/// Opens sidecars, and counts what is in them.
struct SidecarOpener {
    storage: Arc<dyn Storage>,
    events: Events,
    actions: Arc<AtomicU64>,
}

impl SidecarOpener {
    fn open(&self, sidecar: &SidecarFile) -> Result<ParquetFile> {
        let file = ParquetFile::open(&self.storage, &sidecar.name)?;
        self.actions.fetch_add(file.rows(), Ordering::Relaxed);
        // No reason to fail where the file reads whole: shallow clones are known
        // to keep the size of another file.
        if let Some(said) = sidecar.size.filter(|&said| u64::try_from(said) != Ok(file.size())) {
            let (name, size) = (&sidecar.name, file.size());
            let message = format!("{name}: {size} bytes where its checkpoint says {said}");
            self.events.tell(EventLevel::Warning, &message);
        }
        Ok(file)
    }
}

/// The units of a checkpoint: of its top-level files, then of its sidecars.
///
/// Footers and page locations are read ahead by the same pool, beginning now,
/// while the commits are still being decoded.
fn checkpoint_units<R>(
    pool: &Arc<Pool>,
    window: Window,
    cancel: &Cancel,
    open: SidecarOpener,
    checkpoint: &Checkpoint,
    reader_of: R,
) -> impl Iterator<Item = Result<Planned<Unit>>> + Send + use<R>
where
    R: Fn(&ParquetFile) -> Result<AddReader> + Send + Sync + 'static,
{
    enum Top {
        File(ParquetFile),
        Sidecar(SidecarFile),
    }
    /// A footer and its index, about.
    const FILE_BYTES: usize = 64 << 10;

    let manifest = if checkpoint.sidecars.is_empty() { Adds::Allowed } else { Adds::InSidecars };
    let mut texts = Vec::new();
    let mut sources = Vec::new();
    for part in &checkpoint.parts {
        match part {
            Part::Json(text) => texts.push(text.clone()),
            Part::Parquet(file) => sources.push(Top::File(file.with_storage(&open.storage))),
        }
    }
    sources.extend(checkpoint.sidecars.iter().cloned().map(Top::Sidecar));

    let plan = sources.into_iter().map(|source| {
        let name = match &source {
            Top::File(file) => Arc::clone(file.name()),
            Top::Sidecar(sidecar) => Arc::from(sidecar.name.as_str()),
        };
        let label = Label::new(SpanKind::Open, name);
        Ok(Planned { unit: source, bytes: FILE_BYTES, label })
    });
    let readers = ReadAhead::new(
        pool,
        window,
        cancel.clone(),
        Arc::new(Counters::default()),
        plan,
        move |source| {
            let (file, allowed) = match source {
                Top::File(file) => (file, manifest),
                Top::Sidecar(sidecar) => (open.open(&sidecar)?, Adds::Allowed),
            };
            Ok((Arc::new(reader_of(&file)?), allowed))
        },
    );
    let texts = commit::plan(texts, Order::NewestFirst).map(move |slices| {
        Ok(planned_text(slices, |slices| Unit::CheckpointText(slices, manifest)))
    });
    let pieces = readers.flat_map(|reader| -> Box<dyn Iterator<Item = _> + Send> {
        match reader {
            Err(e) => Box::new(std::iter::once(Err(e))),
            Ok((reader, allowed)) => {
                // Rows of the file; a piece counts within its row group.
                let mut row = 0;
                Box::new(reader.steps().into_iter().map(move |step| {
                    let label = Label::new(SpanKind::Decode, Arc::clone(reader.name()));
                    let reader = Arc::clone(&reader);
                    Ok(match step {
                        Step::Ahead(span) => {
                            let bytes = reader.bytes_ahead(span);
                            let label = label.share("columns", span as u64..span as u64 + 1);
                            Planned { bytes, label, unit: Unit::Ahead(reader, span) }
                        }
                        Step::Piece(piece) => {
                            let rows = row..row + piece.rows.len() as u64;
                            row = rows.end;
                            Planned {
                                bytes: usize::try_from(piece.bytes).unwrap_or(usize::MAX),
                                label: label.share("rows", rows),
                                unit: Unit::Piece(reader, piece, allowed),
                            }
                        }
                    })
                }))
            }
        }
    });
    texts.chain(pieces)
}

/// Says what is wrong with a commit.
struct Blame {
    storage: Arc<dyn Storage>,
    commits: Vec<LogText>,
    hasher: KeyHasher,
}

impl Blame {
    /// Names the path, which the hash does not tell: the commit is read again.
    #[cold]
    fn error(&self, version: u64, key: &ActionKey, conflict: Conflict) -> Error {
        let text = self.commits.iter().find(|text| text.version == version);
        let path = text.and_then(|text| self.path_of(text, key));
        let name = text.map_or("a commit", |text| &text.name);
        conflict.error(name, path.as_deref())
    }

    fn path_of(&self, text: &LogText, key: &ActionKey) -> Option<String> {
        commit::plan(vec![text.clone()], Order::NewestFirst).find_map(|slices| {
            let rows = ActionKinds::from_iter([ActionKind::ADD]);
            let wanted = Wanted::reconciled(rows, FileFields::from_iter([FileField::Path]));
            let actions = commit::decode(
                self.storage.as_ref(),
                &slices,
                wanted,
                &self.hasher,
                &Memory::default(),
            )
            .ok()?;
            let adds = actions.keys.iter().filter(|key| key.is_add);
            let row = adds.into_iter().position(|add| add.path == key.path)?;
            let paths: &ArrayRef = actions.rows.column(FileField::Path).ok()?;
            let paths = paths.as_string::<i32>();
            (row < paths.len()).then(|| paths.value(row).to_owned())
        })
    }
}
