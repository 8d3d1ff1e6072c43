//! The stream of changed rows: a change data feed ("Change Data Files").
//!
//! What a commit did to the table's rows is known when all of its actions are: a
//! `cdc` action anywhere in it speaks for all of it, and an add and a remove of one
//! path are a file of which a few rows were deleted or restored. So commits are
//! decoded ahead, oldest first, and the actions of one are gathered before the first
//! of its files is planned. Those files are then opened and decoded as those of a
//! listing are, each with what its rows mean.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use std::vec;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use crossbeam_channel::Select;

use super::columns::{Projection, Rows};
use super::history::ModificationTimes;
use super::older_schema::Described;
use super::place::shown;
use super::row_columns::{ChangeColumn, Column, RowColumns};
use super::rows::{Change, Job, Listed, listing_columns, wants_partition};
use super::stream::Counts;
use super::{BatchStream, Scan};
use crate::actions::{
    ActionKey, ActionKind, ActionKinds, FileField, FileKind, KeyHasher, Metadata, Protocol,
    RareKind,
};
use crate::delta_log::commit::{self, Actions, Order, TextSlice, Wanted};
use crate::delta_log::commit_info::CommitInfo;
use crate::error::{Error, Result, escaped};
use crate::features;
use crate::memory::Memory;
use crate::properties::{PropertyValue, TableProperties};
use crate::read_ahead::{Cancel, Planned, ReadAhead, Source};
use crate::replay::planned_text;
use crate::schema::StructType;
use crate::seen::Seen;
use crate::snapshot::{Clock, Snapshot};
use crate::storage::Storage;

const ENABLED: &str = "delta.enableChangeDataFeed";

const INSERT: &str = "insert";
const DELETE: &str = "delete";

impl Scan {
    /// Starts the stream of the rows that the versions from `first_version` to the
    /// snapshot's own inserted, updated and deleted: a change data feed. The oldest
    /// version comes first, the files of one in the order of its actions, and the
    /// rows in the order of their file; or [as they are decoded](Self::unordered).
    ///
    /// The columns are those of [`rows`](Self::rows), in the snapshot's schema, and
    /// of [`CHANGE_ROW_COLUMNS`](crate::CHANGE_ROW_COLUMNS), which by default stand
    /// behind them:
    ///
    /// | name | Arrow type | holds |
    /// |---|---|---|
    /// | `_change_type` | `Utf8`, not null | `insert`, `delete`, `update_preimage` or `update_postimage` |
    /// | `_commit_version` | `Int64`, not null | the version that made the change |
    /// | `_commit_timestamp` | `Timestamp(us, UTC)`, not null | when, as in a [`history`](Self::history) of these versions |
    ///
    /// A version with `cdc` actions has just the rows of its change data files; they
    /// tell updates. In any other, the rows of the files that it adds were inserted
    /// and those of the files that it removes were deleted, so far as it changes
    /// data (`dataChange`) and they were not deleted already. Where it gives a file
    /// another deletion vector, only the rows that the one vector has and the other
    /// has not were deleted or restored ("Reader Requirements for AddCDCFile").
    ///
    /// `_metadata.file_modification_time` is null where the file was not added;
    /// row ids there are none.
    ///
    /// The table must have recorded its changes (`delta.enableChangeDataFeed`) in
    /// all of these versions, and their columns must be columns of the snapshot, of
    /// the same names and types: those that were added since are null. So it is in
    /// Spark.
    ///
    /// A [filter](Self::filter) is asked of the table's columns in each changed row, of
    /// what a row was before an update as of what it is since.
    ///
    /// Beside what `rows` holds in memory there are the file actions of one commit.
    ///
    /// # Errors
    /// `InvalidArgument` where `first_version` is newer than the snapshot, and for a
    /// column as in `rows`. `NotFound` if a commit is gone, as in
    /// [`changes_since`](Self::changes_since). `Unsupported`, of the call for
    /// `first_version` and else of the stream, where a version recorded no changes,
    /// has columns that do not fit or needs a feature that is not read, each naming
    /// the version; and where a partition column is wanted of a removed file whose
    /// action does not say its values. `CorruptLog`, naming the commit, for what the
    /// protocol forbids one commit, as in [`files`](Self::files). Of data files as in
    /// `rows`; a clean-up (`VACUUM`) may have deleted those of old versions.
    pub fn change_rows(&self, first_version: u64) -> Result<BatchStream> {
        let snapshot = &self.snapshot;
        let version = snapshot.version();
        let columns = RowColumns::of_changes(snapshot, self.columns.as_deref())?;
        if first_version > version {
            return Err(Error::invalid(format!(
                "changed rows from version {first_version} on were asked of version {version}, \
                 which is older"
            )));
        }
        let versions = first_version..version + 1;
        let mut texts = snapshot.commits(versions.clone())?;
        texts.reverse();
        let (protocol, metadata) = snapshot
            .described_at(first_version)
            .map_err(|e| e.at(format_args!("version {first_version}")))?;
        let check = Check { snapshot: snapshot.clone(), protocol };
        check.metadata(first_version, &metadata)?;

        let engine = snapshot.engine();
        let window = self.window(texts.iter().map(|text| text.size).sum());
        let clock = snapshot.clock()?;
        let is_time = |column| column == Column::Change(ChangeColumn::CommitTimestamp);
        let wants_time = columns.has(is_time);
        let times = match wants_time {
            true => ModificationTimes::of(snapshot, &clock, &versions, window)?,
            false => ModificationTimes::default(),
        };
        let times = wants_time.then_some(times);
        let filter = self.row_filter()?;
        let mut names = listing_columns(&columns, filter.as_deref());
        names.extend([DATA_CHANGE, JSON].map(str::to_owned));
        let projection = Projection::resolve(snapshot, Rows::Actions, Some(&names))?;

        let counts = Counts::new(&snapshot.storage());
        let cancel = Cancel::default();
        let has_in_commit_times = wants_time && clock.split(&versions) < versions.end;
        let infos = has_in_commit_times.then_some(RareKind::CommitInfo);
        let decoder = Decoder {
            storage: Arc::clone(&counts.storage) as _,
            wanted: Wanted {
                rows: KINDS.into_iter().chain(infos.map(ActionKind::Rare)).collect(),
                fields: projection.want,
                keys: ActionKinds::from_iter([ActionKind::ADD, ActionKind::REMOVE]),
            },
            hasher: KeyHasher::new(),
            memory: engine.memory().clone(),
            projection,
            counts: Arc::clone(&counts),
        };
        let plan = commit::plan(texts, Order::OldestFirst);
        let decoded = ReadAhead::new(
            engine.pool(),
            window,
            cancel.clone(),
            Arc::clone(&counts.units),
            plan.map(|slices| Ok(planned_text(slices, |slices| slices))),
            move |slices: Vec<TextSlice>| decoder.decode(&slices),
        );
        let changes = Changes {
            decoded,
            parts: Vec::new().into_iter(),
            gathered: Vec::new(),
            commit: None,
            reader: Reader {
                check,
                first_version,
                clock,
                times,
                wants_partition: wants_partition(&columns, filter.as_deref()),
                last_action_wins: self.last_action_wins,
            },
        };
        self.rows_of(Arc::new(columns), filter, cancel, counts, changes)
    }

    /// The schema of the stream of changed rows, without starting it.
    ///
    /// # Errors
    /// `InvalidArgument` for a column as in [`rows`](Self::rows), `Unsupported` where
    /// the table has a column of its own by a name of the stream's.
    pub fn change_rows_schema(&self) -> Result<SchemaRef> {
        Ok(RowColumns::of_changes(&self.snapshot, self.columns.as_deref())?.schema)
    }
}

/// What a version must be, for its rows to be told.
struct Check {
    snapshot: Snapshot,
    /// That of the version at hand.
    protocol: Protocol,
}

impl Check {
    fn protocol(&mut self, version: u64, protocol: Protocol) -> Result<()> {
        // Which commits count is known: they lead to the snapshot.
        const HAS_CATALOG: bool = true;
        features::check_readable(&protocol, HAS_CATALOG)
            .map_err(|e| e.at(format_args!("version {version}")))?;
        self.protocol = protocol;
        Ok(())
    }

    fn metadata(&self, version: u64, metadata: &Metadata) -> Result<()> {
        let at = |e: Error| e.at(format_args!("version {version}"));
        // As in Spark, the property alone counts, whatever the protocol lists.
        let enabled = TableProperties::new(&metadata.configuration).get(ENABLED).map_err(at)?;
        if enabled != Some(PropertyValue::Boolean(true)) {
            return Err(Error::unsupported(format!(
                "version {version} records no changes of rows: {ENABLED} is not true"
            )));
        }
        let newer = &self.snapshot;
        let mapping = features::column_mapping_mode(&self.protocol, &metadata.configuration);
        let mapping = mapping.map_err(at)?;
        let schema = StructType::from_json(&metadata.schema_string).map_err(at)?;
        let older = Described::new(&schema, metadata, mapping);
        let newest = Described::new(newer.schema(), newer.metadata(), newer.column_mapping());
        match older.misfit(&newest).map_err(at)? {
            None => Ok(()),
            Some(misfit) => Err(Error::unsupported(format!(
                "rows of version {version} cannot be given as those of version {}: {misfit}",
                newer.version()
            ))),
        }
    }
}

const DATA_CHANGE: &str = "data_change";
const JSON: &str = "json";

/// The actions that matter in every commit.
const KINDS: [ActionKind; 5] = [
    ActionKind::ADD,
    ActionKind::REMOVE,
    ActionKind::CDC,
    ActionKind::Rare(RareKind::Protocol),
    ActionKind::Rare(RareKind::Metadata),
];

/// What the workers run.
struct Decoder {
    storage: Arc<dyn Storage>,
    wanted: Wanted,
    hasher: KeyHasher,
    memory: Memory,
    projection: Projection,
    counts: Arc<Counts>,
}

/// What a unit has of one commit.
struct Part {
    name: Arc<str>,
    version: u64,
    /// Whether the commit ends with it.
    is_last: bool,
    /// Its file actions that may change rows, in order: what they are, and the keys
    /// of those that have one.
    listed: Arc<Listed>,
    kinds: Vec<FileKind>,
    keys: Vec<ActionKey>,
    /// Those with a partition value that could not be understood, and why.
    bad_rows: HashMap<usize, Error>,
    /// Its other actions, as JSON.
    rare: Vec<(RareKind, String)>,
}

impl Decoder {
    fn decode(&self, slices: &[TextSlice]) -> Result<Vec<Part>> {
        let storage = self.storage.as_ref();
        let Actions { rows, keys, ends } =
            commit::decode(storage, slices, self.wanted, &self.hasher, &self.memory)?;
        let projected = self.projection.project(&rows, &ends, &self.counts)?;
        let batch = projected.batch;
        let mut bad: HashMap<usize, Error> = projected.bad_rows.into_iter().collect();
        let data_change = column_of(&batch, DATA_CHANGE)?.as_boolean();
        let json = column_of(&batch, JSON)?.as_string::<i32>();
        let mut keys = keys.into_iter();
        let mut parts = Vec::with_capacity(slices.len());
        let mut first = 0;
        for (slice, end) in slices.iter().zip(&ends) {
            let mut part = Part {
                name: Arc::clone(&slice.text.name),
                version: slice.text.version,
                is_last: slice.range.end == slice.text.size,
                listed: Arc::new(Listed::new(&batch.slice(0, 0), storage.root())?),
                kinds: Vec::new(),
                keys: Vec::new(),
                bad_rows: HashMap::new(),
                rare: Vec::new(),
            };
            let mut kept = vec![false; end.rows - first];
            for row in first..end.rows {
                let kind = match rows.kind(row) {
                    ActionKind::Rare(kind) => {
                        part.rare.push((kind, json.value(row).to_owned()));
                        continue;
                    }
                    ActionKind::File(kind) => kind,
                };
                let key = match kind {
                    FileKind::Cdc => None,
                    _ => Some(keys.next().ok_or_else(|| Error::bug("a file without its key"))?),
                };
                // Of a cdc action it is always false.
                if key.is_some() && data_change.is_null(row) {
                    let path = rows.column(FileField::Path)?.as_string::<i32>().value(row);
                    return Err(Error::corrupt(format!(
                        "{}: {} of {} does not say its dataChange",
                        part.name,
                        kind.noun(),
                        shown(path)
                    )));
                }
                if key.is_none() || data_change.value(row) {
                    kept[row - first] = true;
                    if let Some(e) = bad.remove(&row) {
                        part.bad_rows.insert(part.kinds.len(), e.at(&part.name));
                    }
                    part.kinds.push(kind);
                    part.keys.extend(key);
                }
            }
            if !part.kinds.is_empty() {
                let of_slice = batch.slice(first, end.rows - first);
                let files = filter_record_batch(&of_slice, &BooleanArray::from(kept))
                    .map_err(|e| Error::bug(format!("the file actions of a commit: {e}")))?;
                part.listed = Arc::new(Listed::new(&files, storage.root())?);
            }
            parts.push(part);
            first = end.rows;
        }
        Ok(parts)
    }
}

fn column_of<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array> {
    let column = batch.column_by_name(name).map(AsRef::as_ref);
    column.ok_or_else(|| Error::bug("a column of the actions is missing"))
}

/// Where a file action is: its part of the commit, and its row there.
type At = (usize, usize);

/// The files whose rows changed, commit by commit, as a plan of what to open.
struct Changes {
    decoded: ReadAhead<Vec<Part>>,
    /// Of the unit at hand, what is still to be looked at.
    parts: vec::IntoIter<Part>,
    /// The parts of the commit that has not ended yet.
    gathered: Vec<Part>,
    commit: Option<Commit>,
    reader: Reader,
}

/// What is the same for all commits, and what each leaves to the next.
struct Reader {
    check: Check,
    first_version: u64,
    clock: Clock,
    /// `None` where nobody asks when.
    times: Option<ModificationTimes>,
    wants_partition: bool,
    last_action_wins: bool,
}

/// A commit of which all is known.
struct Commit {
    parts: Vec<Part>,
    /// The next file action to look at.
    at: At,
    version: i64,
    /// Microseconds since the Unix epoch.
    timestamp: i64,
    /// Whether only its change data files count.
    has_change_files: bool,
    /// By their paths, the removes of files that it adds as well, and those adds.
    replaced: HashMap<u128, (At, At)>,
    /// Actions that count for nothing.
    void: HashSet<At>,
}

impl Reader {
    /// The commit of `parts`, which are all that it has.
    fn commit(&mut self, parts: Vec<Part>) -> Result<Commit> {
        let Some(Part { name, version, .. }) = parts.first() else {
            return Err(Error::bug("a commit of no parts"));
        };
        let (name, version) = (Arc::clone(name), *version);
        // What the first version is was checked before the stream began.
        if version > self.first_version {
            self.check(&name, version, &parts)?;
        }
        let mut commit = Commit {
            at: (0, 0),
            version: i64::try_from(version).map_err(|_| Error::bug("no version is so high"))?,
            timestamp: self.timestamp(&name, version, &parts)?,
            has_change_files: parts.iter().any(|part| part.kinds.contains(&FileKind::Cdc)),
            replaced: HashMap::new(),
            void: HashSet::new(),
            parts,
        };
        if !commit.has_change_files {
            commit.reconcile(&name, version, self.last_action_wins)?;
        }
        Ok(commit)
    }

    fn check(&mut self, name: &str, version: u64, parts: &[Part]) -> Result<()> {
        fn read<T: serde::de::DeserializeOwned>(
            name: &str,
            kind: RareKind,
            text: &str,
        ) -> Result<T> {
            serde_json::from_str(text).map_err(|e| {
                let what = escaped(&e.to_string());
                Error::corrupt(format!("{name}: {}: {what}", kind.key()))
            })
        }
        let of_kind = |kind| {
            let rare = parts.iter().flat_map(|part| &part.rare);
            rare.filter(move |(other, _)| *other == kind).map(|(_, text)| text)
        };
        // The metadata is read by the protocol, wherever in the commit that stands.
        for text in of_kind(RareKind::Protocol) {
            self.check.protocol(version, read(name, RareKind::Protocol, text)?)?;
        }
        for text in of_kind(RareKind::Metadata) {
            self.check.metadata(version, &read(name, RareKind::Metadata, text)?)?;
        }
        Ok(())
    }

    /// When the commit was made, in microseconds since the Unix epoch.
    fn timestamp(&self, name: &str, version: u64, parts: &[Part]) -> Result<i64> {
        let Some(times) = &self.times else { return Ok(0) };
        let ms = match times.get(version) {
            Some(ms) => ms,
            None => {
                let mut rare = parts.iter().flat_map(|part| &part.rare);
                let text = rare.find(|(kind, _)| *kind == RareKind::CommitInfo);
                let info = text.map(|(_, text)| CommitInfo { text: text.clone() });
                let commit = self.clock.commit(version);
                CommitInfo::required_in_commit_timestamp(info.as_ref(), &commit)?
            }
        };
        ms.checked_mul(1000).ok_or_else(|| {
            Error::corrupt(format!("{name}: {ms} ms is no time that counts in microseconds"))
        })
    }

    /// The next file of `commit` that has to be opened.
    fn next_job(&self, commit: &mut Commit) -> Result<Option<Job>> {
        while let Some(part) = commit.parts.get(commit.at.0) {
            let at = commit.at;
            let Some(kind) = part.kinds.get(at.1).copied() else {
                commit.at = (at.0 + 1, 0);
                continue;
            };
            commit.at.1 += 1;
            if commit.has_change_files != (kind == FileKind::Cdc) || commit.void.contains(&at) {
                continue;
            }
            if let Some(job) = self.job(commit, at, kind)? {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }

    /// What is read of the file of the action at `at`; `None` where that is nothing.
    fn job(&self, commit: &Commit, at: At, kind: FileKind) -> Result<Option<Job>> {
        let change_type = match kind {
            FileKind::Add => Some(INSERT),
            FileKind::Remove => Some(DELETE),
            FileKind::Cdc => None,
        };
        let Commit { version, timestamp, .. } = *commit;
        let change = Change { change_type, version, timestamp };
        let vector = |at: At| commit.parts[at.0].listed.vectors[at.1].clone();
        let replaced = match kind {
            FileKind::Cdc => None,
            _ => commit.key(at).and_then(|key| commit.replaced.get(&key.path)),
        };
        let Some(&(remove, add)) = replaced else {
            let Part { name, listed, bad_rows, .. } = &commit.parts[at.0];
            if let Some(e) = bad_rows.get(&at.1) {
                return Err(e.clone());
            }
            let partition = listed.partition.as_ref().filter(|_| self.wants_partition);
            if kind != FileKind::Add && partition.is_some_and(|partition| partition.is_null(at.1)) {
                return Err(Error::unsupported(format!(
                    "{name}: {} of {} does not say its partitionValues, and columns of them are \
                     wanted",
                    kind.noun(),
                    shown(listed.paths.value(at.1))
                )));
            }
            return Ok(Some(Job::live(listed, at.1).changed(change)));
        };
        // The same file as before: what it is stands in the add, for a remove need not
        // say it.
        let Part { listed, bad_rows, .. } = &commit.parts[add.0];
        if let Some(e) = bad_rows.get(&add.1) {
            return Err(e.clone());
        }
        let (before, after) = (vector(remove), vector(add));
        let (only, without) = match kind {
            FileKind::Remove => (after, before),
            _ => (before, after),
        };
        let file = Job::live(listed, add.1).changed(change);
        Ok(only.map(|only| file.between(only, without)))
    }
}

impl Commit {
    /// The key of the action at `at`, in a commit whose actions all have one.
    fn key(&self, at: At) -> Option<&ActionKey> {
        self.parts[at.0].keys.get(at.1)
    }

    /// Finds the actions that are about one file, as in a replay.
    fn reconcile(&mut self, name: &str, version: u64, last_action_wins: bool) -> Result<()> {
        let path = |at: At| self.parts[at.0].listed.paths.value(at.1);
        let actions = || {
            let parts = self.parts.iter().enumerate();
            parts.flat_map(|(i, part)| {
                part.keys.iter().enumerate().map(move |(row, key)| ((i, row), key))
            })
        };
        let has_adds = actions().any(|(_, key)| key.is_add);
        let (mut seen, mut void) = (Seen::default(), HashSet::new());
        for (at, key) in actions().rev() {
            let is_newest = seen
                .is_newest(version, key, last_action_wins)
                .map_err(|conflict| conflict.error(name, Some(path(at))))?;
            // A remove before an add of the same file is no change, below.
            if !is_newest && (key.is_add || !has_adds) {
                void.insert(at);
            }
        }
        drop(seen);
        let twice = |at: At| {
            Error::corrupt(format!(
                "{name}: one commit adds or removes the path \"{}\" twice, with different deletion \
                 vectors: which of them holds is not said",
                shown(path(at))
            ))
        };
        let mut replaced: HashMap<u128, (At, Option<At>)> = HashMap::new();
        for (at, key) in actions().filter(|(_, key)| has_adds && !key.is_add) {
            match replaced.entry(key.path) {
                Entry::Vacant(entry) => drop(entry.insert((at, None))),
                Entry::Occupied(entry) => {
                    let (first, _) = *entry.get();
                    if self.key(first).is_none_or(|first| first.file != key.file) {
                        return Err(twice(at));
                    }
                    void.insert(at);
                }
            }
        }
        for (at, key) in actions().filter(|(_, key)| key.is_add) {
            if let Some((_, add)) = replaced.get_mut(&key.path).filter(|_| !void.contains(&at))
                && add.replace(at).is_some()
            {
                return Err(twice(at));
            }
        }
        let both =
            replaced.into_iter().filter_map(|(path, (remove, add))| Some((path, (remove, add?))));
        self.replaced = both.collect();
        self.void = void;
        Ok(())
    }
}

impl Source for Changes {
    type Item = Result<Planned<Job>>;

    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(commit) = &mut self.commit {
                match self.reader.next_job(commit) {
                    Ok(Some(job)) => return Poll::Ready(Some(Ok(job.planned()))),
                    Ok(None) => self.commit = None,
                    Err(e) => return Poll::Ready(Some(Err(e))),
                }
            }
            let Some(part) = self.parts.next() else {
                match self.decoded.next_until(deadline) {
                    Poll::Ready(Some(Ok(parts))) => self.parts = parts.into_iter(),
                    Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(e))),
                    Poll::Ready(None) => return Poll::Ready(None),
                    Poll::Pending => return Poll::Pending,
                }
                continue;
            };
            let is_last = part.is_last;
            self.gathered.push(part);
            if is_last {
                match self.reader.commit(std::mem::take(&mut self.gathered)) {
                    Ok(commit) => self.commit = Some(commit),
                    Err(e) => return Poll::Ready(Some(Err(e))),
                }
            }
        }
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.decoded.wakes(select);
    }
}
