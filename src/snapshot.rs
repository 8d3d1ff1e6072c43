//! One version of one table: its protocol, metadata, schema and properties.
//!
//! Opening decodes no file action. It looks at the first key of each line of
//! the commits, in parallel and newest first, and stops once it has a protocol
//! and a metadata action; of a checkpoint it reads the columns of those actions
//! alone. The commits' bytes that pass through its hands are kept, up to the
//! window, for the first scan, so that an open and a scan read nothing twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use crate::actions::{Metadata, Protocol, RareAction, RareKind};
use crate::delta_log::checkpoint::{Checkpoint, Part};
use crate::delta_log::commit::{self, LogText, Rare};
use crate::delta_log::path;
use crate::delta_log::segment::{CheckpointFiles, LogSegment};
use crate::engine::{Engine, EventLevel};
use crate::error::{Error, ErrorKind, Result, escaped};
use crate::features;
use crate::read_ahead::{Cancel, Counters, Planned, ReadAhead, Window};
use crate::schema::{self, ColumnMappingMode, StructType};
use crate::span::{Label, SpanKind};
use crate::storage::{self, Metered, Storage};

/// One version of one table. Cheap to clone; any thread may use it.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    storage: Arc<dyn Storage>,
    segment: LogSegment,
    protocol: Protocol,
    metadata: Metadata,
    schema: StructType,
    arrow_schema: SchemaRef,
    mapping: ColumnMappingMode,
    /// What the open read of the commits, for the first scan to take.
    read: Mutex<HashMap<u64, LogText>>,
    checkpoint: OnceLock<Arc<Checkpoint>>,
    state: OnceLock<ApplicationState>,
}

/// What applications have put beside the files, reconciled.
struct ApplicationState {
    domains: BTreeMap<String, String>,
    txns: BTreeMap<String, i64>,
}

impl Engine {
    /// Opens the latest version of the table at `table`, a path or a `file://`
    /// URL.
    ///
    /// # Errors
    /// `NotFound` when there is no table; `CorruptLog` when its log breaks the
    /// protocol (a gap, a missing prefix, a line that is no action);
    /// `Unsupported`, with its name, when it needs a feature that is not read.
    pub fn snapshot(&self, table: &str) -> Result<Snapshot> {
        self.snapshot_in(storage::open(table, self.memory())?, None)
    }

    /// Opens `version` of the table at `table`.
    ///
    /// # Errors
    /// As [`Engine::snapshot`], and `NotFound` when the log does not reach
    /// that version.
    pub fn snapshot_at(&self, table: &str, version: u64) -> Result<Snapshot> {
        self.snapshot_in(storage::open(table, self.memory())?, Some(version))
    }

    /// Opens the table of a storage that the host brings: its latest version,
    /// or `version`.
    ///
    /// # Errors
    /// As [`Engine::snapshot_at`].
    pub fn snapshot_in(&self, storage: Arc<dyn Storage>, version: Option<u64>) -> Result<Snapshot> {
        let storage: Arc<dyn Storage> = Arc::new(Metered::new(storage));
        let watch = self.pool().watch(|| Label::new(SpanKind::List, path::LOG_DIR));
        let segment = match version {
            None => LogSegment::latest(storage.as_ref())?,
            Some(version) => LogSegment::at_version(storage.as_ref(), version)?,
        };
        drop(watch);
        Snapshot::open(self, storage, segment)
    }
}

impl Snapshot {
    fn open(engine: &Engine, storage: Arc<dyn Storage>, segment: LogSegment) -> Result<Snapshot> {
        let found = Found::read(engine, &storage, &segment)?;
        let Found { protocol, metadata, read, checkpoint } = found;
        let no = |what: &str| {
            let files = match &segment.checkpoint {
                Some(checkpoint) => format!("{} and the commits after it", checkpoint.names[0]),
                None => format!("the commits up to version {}", segment.version),
            };
            Error::corrupt(format!("no {what} action in {files}"))
        };
        let protocol = protocol.ok_or_else(|| no("protocol"))?;
        features::check_readable(&protocol)?;
        let metadata = metadata.ok_or_else(|| no("metaData"))?;
        let mapping = features::column_mapping_mode(&protocol, &metadata.configuration)?;
        let schema = StructType::from_json(&metadata.schema_string)
            .map_err(|e| e.at("metaData.schemaString"))?;
        for column in &metadata.partition_columns {
            if schema.field(column).is_none() {
                return Err(Error::corrupt(format!(
                    "metaData names the partition column \"{}\", which the schema does not have",
                    escaped(column)
                )));
            }
        }
        let widens = |feature: &String| feature.starts_with("typeWidening");
        if protocol.reader_features.iter().flatten().any(widens)
            && let Some(change) = schema::unsupported_type_change(&schema)
        {
            return Err(Error::unsupported(format!("type change {change}")));
        }
        let arrow_schema = Arc::new(schema::to_arrow(&schema));
        for warning in &segment.warnings {
            engine.event(EventLevel::Warning, warning);
        }
        engine.event(
            EventLevel::Debug,
            &format!(
                "opened version {} of {}: {} commits after {}",
                segment.version,
                escaped(storage.root()),
                segment.commits.len(),
                segment.checkpoint.as_ref().map_or("nothing", |c| &c.names[0]),
            ),
        );
        let inner = Inner {
            engine: engine.clone(),
            storage,
            segment,
            protocol,
            metadata,
            schema,
            arrow_schema,
            mapping,
            read: Mutex::new(read),
            checkpoint: checkpoint.map(|c| OnceLock::from(Arc::new(c))).unwrap_or_default(),
            state: OnceLock::new(),
        };
        Ok(Snapshot { inner: Arc::new(inner) })
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.inner.segment.version
    }

    /// The table's root: an absolute path.
    pub fn table_root(&self) -> &str {
        self.inner.storage.root()
    }

    /// The protocol that holds for this version.
    pub fn protocol(&self) -> &Protocol {
        &self.inner.protocol
    }

    /// The metadata that holds for this version: the schema as Delta JSON, the
    /// partition columns, the table's properties.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.metadata
    }

    /// The schema, with logical names.
    pub fn schema(&self) -> &StructType {
        &self.inner.schema
    }

    /// The schema as an Arrow schema, with logical names.
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.inner.arrow_schema)
    }

    /// How logical and physical names differ.
    pub fn column_mapping(&self) -> ColumnMappingMode {
        self.inner.mapping
    }

    /// When this version was committed: milliseconds since the Unix epoch, the
    /// in-commit timestamp where the table has them enabled ("In-Commit
    /// Timestamps"), else the commit file's modification time.
    ///
    /// # Errors
    /// `Storage` when the file cannot be looked at.
    pub fn timestamp_ms(&self) -> Result<i64> {
        let Inner { storage, segment, metadata, .. } = &*self.inner;
        let commit = path::commit(segment.version);
        let enabled = metadata.configuration.get("delta.enableInCommitTimestamps");
        let looked = if enabled.is_some_and(|enabled| enabled.eq_ignore_ascii_case("true")) {
            commit::rare_actions(storage.as_ref(), &commit, &[RareKind::CommitInfo]).map(|rare| {
                rare.actions.into_iter().find_map(|action| match action {
                    RareAction::CommitInfo(info) => info.in_commit_timestamp,
                    _ => None,
                })
            })
        } else {
            Ok(None)
        };
        if let Ok(Some(timestamp)) = looked {
            return Ok(timestamp);
        }
        match (storage.stat(&commit), &segment.checkpoint) {
            (Ok(stat), _) => Ok(stat.modified_ms),
            // Clean-up may leave a checkpoint without its commit.
            (Err(e), Some(checkpoint)) if e.kind() == ErrorKind::NotFound => {
                Ok(storage.stat(&checkpoint.names[0])?.modified_ms)
            }
            (Err(e), _) => Err(e),
        }
    }

    /// The configuration of every domain that is not removed ("Domain
    /// Metadata"). The first call reads the log for it.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn domain_metadata(&self) -> Result<&BTreeMap<String, String>> {
        Ok(&self.state()?.domains)
    }

    /// The version that application `app_id` last committed ("Transaction
    /// Identifiers"), `None` if it never did. The first call reads the log for
    /// it.
    ///
    /// # Errors
    /// As [`Engine::snapshot`].
    pub fn txn_version(&self, app_id: &str) -> Result<Option<i64>> {
        Ok(self.state()?.txns.get(app_id).copied())
    }

    fn state(&self) -> Result<&ApplicationState> {
        const KINDS: &[RareKind] = &[RareKind::Txn, RareKind::DomainMetadata];
        if let Some(state) = self.inner.state.get() {
            return Ok(state);
        }
        let Inner { engine, storage, segment, .. } = &*self.inner;
        let mut actions = Vec::new();
        let commits: Vec<u64> = segment.commits.iter().rev().copied().collect();
        for run in look_at_commits(engine, storage, &commits, KINDS, 0, engine.window()) {
            actions.extend(run?.into_iter().flat_map(|(_, rare)| rare.actions));
        }
        if let Some(checkpoint) = self.checkpoint()? {
            for part in &checkpoint.parts {
                actions.extend(part.rare_actions(storage.as_ref(), KINDS)?);
            }
        }
        // Newest first: what is there already hides what comes later.
        let mut domains = HashMap::new();
        let mut txns = BTreeMap::new();
        for action in actions {
            match action {
                RareAction::Txn(txn) => {
                    txns.entry(txn.app_id).or_insert(txn.version);
                }
                RareAction::DomainMetadata(domain) => {
                    if let Entry::Vacant(entry) = domains.entry(domain.domain) {
                        entry.insert((!domain.removed).then_some(domain.configuration));
                    }
                }
                _ => {}
            }
        }
        let domains = domains.into_iter().filter_map(|(name, kept)| Some((name, kept?))).collect();
        Ok(self.inner.state.get_or_init(|| ApplicationState { domains, txns }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.inner.storage
    }

    /// The commits of the segment, newest first, with what the open kept of
    /// them; it is given once.
    pub(crate) fn take_commits(&self) -> Result<Vec<LogText>> {
        let mut read =
            std::mem::take(&mut *self.inner.read.lock().unwrap_or_else(PoisonError::into_inner));
        let versions = self.inner.segment.commits.iter().rev();
        let pool = self.inner.engine.pool();
        let _watch = pool.watch(|| Label::new(SpanKind::List, path::LOG_DIR));
        let commits: Vec<LogText> = versions
            .map(|&version| match read.remove(&version) {
                Some(text) => Ok(text),
                None => {
                    let name = path::commit(version);
                    let size = self.inner.storage.stat(&name)?.size;
                    Ok(LogText { name: Arc::from(name), version, size, bytes: None })
                }
            })
            .collect::<Result<_>>()?;
        // Sizes are kept: the next scan cuts its units as this one does.
        let sizes =
            commits.iter().map(|text| (text.version, LogText { bytes: None, ..text.clone() }));
        *self.inner.read.lock().unwrap_or_else(PoisonError::into_inner) = sizes.collect();
        Ok(commits)
    }

    /// The segment's checkpoint, its top-level files opened.
    pub(crate) fn checkpoint(&self) -> Result<Option<Arc<Checkpoint>>> {
        let Inner { engine, storage, segment, checkpoint, .. } = &*self.inner;
        let Some(files) = &segment.checkpoint else { return Ok(None) };
        if let Some(opened) = checkpoint.get() {
            return Ok(Some(Arc::clone(opened)));
        }
        let (opened, _) = open_checkpoint(engine, storage, files, &[RareKind::Sidecar])?;
        Ok(Some(Arc::clone(checkpoint.get_or_init(|| Arc::new(opened)))))
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("table_root", &self.table_root())
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}

/// How long a look at commits may take before workers are asked: a few times as
/// long as it takes to start them.
const HERE_AT_MOST: Duration = Duration::from_millis(1);

/// What an open finds.
#[derive(Default)]
struct Found {
    protocol: Option<Protocol>,
    metadata: Option<Metadata>,
    read: HashMap<u64, LogText>,
    checkpoint: Option<Checkpoint>,
}

impl Found {
    fn read(engine: &Engine, storage: &Arc<dyn Storage>, segment: &LogSegment) -> Result<Found> {
        const KINDS: &[RareKind] = &[RareKind::Protocol, RareKind::Metadata];
        let mut found = Found::default();
        let window = engine.window();
        let look = |commits: &[u64], window: Window| {
            look_at_commits(engine, storage, commits, KINDS, window.bytes as u64, window)
        };
        let commits: Vec<u64> = segment.commits.iter().rev().copied().collect();
        let mut rest = &commits[..];
        if engine.spares_threads() {
            let began = Instant::now();
            let mut here = look(rest, Window { threads: 0, ..window });
            while began.elapsed() < HERE_AT_MOST
                && !found.is_complete()
                && let Some(run) = here.next()
            {
                let run = run?;
                rest = &rest[run.len()..];
                found.take_run(run);
            }
        }
        if !found.is_complete() && !rest.is_empty() {
            for run in look(rest, window) {
                found.take_run(run?);
                if found.is_complete() {
                    break;
                }
            }
        }
        if let Some(files) = segment.checkpoint.as_ref().filter(|_| !found.is_complete()) {
            let kinds = [KINDS, &[RareKind::Sidecar]].concat();
            let (checkpoint, actions) = open_checkpoint(engine, storage, files, &kinds)?;
            let has = |kind| actions.iter().any(|action: &RareAction| action.kind() == kind);
            // "The checkpoint must contain" both ("Checkpoints").
            for kind in KINDS {
                if !has(*kind) {
                    return Err(Error::corrupt(format!(
                        "{}: no {} action, which every checkpoint must have",
                        files.names[0],
                        kind.key()
                    )));
                }
            }
            found.checkpoint = Some(checkpoint);
            found.take(actions);
        }
        Ok(found)
    }

    /// Takes commits, newest first, up to the one that has what was missing.
    fn take_run(&mut self, run: Vec<(u64, Rare)>) {
        for (version, rare) in run {
            if self.is_complete() {
                return;
            }
            let Rare { actions, bytes, size } = rare;
            let name = Arc::from(path::commit(version));
            self.read.insert(version, LogText { name, version, size, bytes });
            self.take(actions);
        }
    }

    /// Takes what is newer than anything later.
    fn take(&mut self, actions: Vec<RareAction>) {
        for action in actions {
            match action {
                RareAction::Protocol(protocol) => {
                    self.protocol.get_or_insert(protocol);
                }
                RareAction::Metadata(metadata) => {
                    self.metadata.get_or_insert(metadata);
                }
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.protocol.is_some() && self.metadata.is_some()
    }
}

/// Looks for rare actions of `kinds` in commits, newest first, ahead on the
/// workers: a run of commits each. The content of the first comes
/// with them, `keep_bytes` at the most.
fn look_at_commits(
    engine: &Engine,
    storage: &Arc<dyn Storage>,
    newest_first: &[u64],
    kinds: &'static [RareKind],
    keep_bytes: u64,
    window: Window,
) -> ReadAhead<Vec<(u64, Rare)>> {
    /// A commit's size is not known before it is read; most are small.
    const COMMIT_BYTES: usize = 64 << 10;
    // Runs long enough that handing them over costs nothing beside them, short
    // enough that all workers have some.
    let run = (newest_first.len() / 64).clamp(1, 64);
    let runs: Vec<Vec<u64>> = newest_first.chunks(run).map(<[u64]>::to_vec).collect();
    let plan = runs.into_iter().map(|run| {
        let mut label = Label::new(SpanKind::Open, path::commit(run[0]));
        if let [newest, .., oldest] = run[..] {
            label = label.share("versions", oldest..newest + 1);
        }
        Ok(Planned { bytes: run.len() * COMMIT_BYTES, label, unit: run })
    });
    let storage = Arc::clone(storage);
    let kept = AtomicU64::new(0);
    ReadAhead::new(
        engine.pool(),
        window,
        Cancel::default(),
        Arc::new(Counters::default()),
        plan,
        move |run: Vec<u64>| {
            let look = |version| {
                let mut rare =
                    commit::rare_actions(storage.as_ref(), &path::commit(version), kinds)?;
                // A copy, since what was read into may be larger by far.
                rare.bytes = rare.bytes.filter(|bytes| {
                    let before = kept.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    before + bytes.len() as u64 <= keep_bytes
                });
                rare.bytes = rare.bytes.map(|bytes| Bytes::copy_from_slice(&bytes));
                Ok((version, rare))
            };
            run.into_iter().map(look).collect()
        },
    )
}

/// Opens a checkpoint's top-level files, in parallel.
fn open_checkpoint(
    engine: &Engine,
    storage: &Arc<dyn Storage>,
    files: &CheckpointFiles,
    kinds: &[RareKind],
) -> Result<(Checkpoint, Vec<RareAction>)> {
    /// A footer and a few rows, about.
    const FILE_BYTES: usize = 256 << 10;
    let names: Vec<String> = files.names.clone();
    let plan = names.into_iter().map(|name| {
        let label = Label::new(SpanKind::Open, name.as_str());
        Ok(Planned { bytes: FILE_BYTES, label, unit: name })
    });
    let (storage, kinds) = (Arc::clone(storage), kinds.to_vec());
    let part_of = files.clone();
    let mut window = engine.window();
    if engine.spares_threads() && files.names.len() == 1 {
        // Nothing could be done beside it.
        window.threads = 0;
    }
    let opened = ReadAhead::new(
        engine.pool(),
        window,
        Cancel::default(),
        Arc::new(Counters::default()),
        plan,
        move |name: String| Part::open(&storage, &part_of, &name, &kinds),
    );
    let mut parts = Vec::new();
    let mut actions = Vec::new();
    for part in opened {
        let (part, rare) = part?;
        parts.push(part);
        actions.extend(rare);
    }
    Ok((Checkpoint::new(files, parts, &actions)?, actions))
}
