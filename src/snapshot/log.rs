//! Where the parts of a snapshot come from that are no files: its protocol, its
//! metadata, what applications have put beside them.
//!
//! One look-up answers for all of them. It goes down the log from the newest
//! version and stops as soon as nothing is missing: at commits, newest first and
//! in parallel, of which only the first key of each line is looked at; at what
//! sums up a version, its checksum or an older snapshot of the same table; and
//! last at the checkpoint, of which it reads the columns of those actions alone.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::actions::{Metadata, Protocol, RareAction, RareKind, Txn};
use crate::delta_log::checkpoint::{Checkpoint, Part};
use crate::delta_log::checksum::{self, VersionChecksum};
use crate::delta_log::commit::{self, LogText};
use crate::delta_log::segment::{CheckpointFiles, CommitFile, LogSegment, Request, Stretch};
use crate::engine::{Engine, EventLevel, Events};
use crate::error::{Error, ErrorKind, Result};
use crate::read_ahead::{Cancel, Counters, Planned, ReadAhead, Window};
use crate::span::{Label, SpanKind};
use crate::storage::{FileStat, Metered, Storage};

/// Where a part of a snapshot was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Source {
    /// In the commit of this version.
    Commit(u64),
    /// In the compaction of commits up to this version.
    Compaction(u64),
    /// In the checksum (`.crc`) of this version.
    Checksum(u64),
    /// In the checkpoint of this version.
    Checkpoint(u64),
    /// In several of them, or in none: what is not there has been looked for
    /// down to where the log begins.
    Replay,
}

/// A log's files, and what has been learnt of them.
pub(super) struct Log {
    pub(super) engine: Engine,
    pub(super) storage: Arc<Metered>,
    /// Where the table lies, unless the storage is a host's.
    pub(super) path: Option<String>,
    pub(super) segment: LogSegment,
    pub(super) request: Request,
    /// The segment whose checkpoint could be opened: another one where that of
    /// `segment` is unreadable.
    readable: OnceLock<Arc<Readable>>,
    checksum: OnceLock<Option<Arc<VersionChecksum>>>,
    /// Of the segment's newest file.
    newest: Option<FileStat>,
    /// What was known of an older version.
    prior: Option<Prior>,
}

/// A segment, and its checkpoint with its top-level files opened.
pub(super) struct Readable {
    pub(super) segment: LogSegment,
    pub(super) checkpoint: Option<Arc<Checkpoint>>,
}

/// What is known of a version, to look no further down than there.
#[derive(Clone)]
pub(super) struct Prior {
    pub(super) version: u64,
    pub(super) protocol: (Protocol, Source),
    pub(super) metadata: (Metadata, Source),
    pub(super) state: Option<Arc<ApplicationState>>,
    pub(super) readable: Option<Arc<Readable>>,
}

/// What applications have put beside the files, reconciled.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ApplicationState {
    pub(super) domains: BTreeMap<String, String>,
    pub(super) domains_from: Source,
    pub(super) txns: BTreeMap<String, Txn>,
    pub(super) txns_from: Source,
}

/// What a look-up finds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) protocol: Option<(Protocol, Source)>,
    pub(super) metadata: Option<(Metadata, Source)>,
    /// `None` for one that is removed.
    domains: HashMap<String, Option<String>>,
    domains_from: Option<Source>,
    txns: BTreeMap<String, Txn>,
    txns_from: Option<Source>,
    /// What was read of commits and compactions, by their names.
    pub(super) read: HashMap<Arc<str>, LogText>,
}

impl Found {
    /// Takes what is newer than anything later.
    fn take(&mut self, actions: Vec<RareAction>, source: Source) {
        for action in actions {
            match action {
                RareAction::Protocol(protocol) => {
                    self.protocol.get_or_insert((protocol, source));
                }
                RareAction::Metadata(metadata) => {
                    self.metadata.get_or_insert((metadata, source));
                }
                RareAction::Txn(txn) => {
                    self.txns.entry(txn.app_id.clone()).or_insert(txn);
                }
                RareAction::DomainMetadata(domain) => {
                    if let Entry::Vacant(entry) = self.domains.entry(domain.domain) {
                        entry.insert((!domain.removed).then_some(domain.configuration));
                    }
                }
                RareAction::Sidecar(_) | RareAction::CheckpointMetadata(_) => {}
            }
        }
    }

    /// Which of `kinds` may still be further down.
    fn missing(&self, kinds: &[RareKind]) -> Vec<RareKind> {
        let is_missing = |kind: &RareKind| match kind {
            RareKind::Protocol => self.protocol.is_none(),
            RareKind::Metadata => self.metadata.is_none(),
            RareKind::DomainMetadata => self.domains_from.is_none(),
            RareKind::Txn => self.txns_from.is_none(),
            RareKind::CommitInfo | RareKind::Sidecar | RareKind::CheckpointMetadata => false,
        };
        kinds.iter().copied().filter(is_missing).collect()
    }

    /// Whether a checksum has a part in the protocol and metadata.
    pub(super) fn is_by_checksum(&self) -> bool {
        let protocol = self.protocol.as_ref().map(|found| found.1);
        let metadata = self.metadata.as_ref().map(|found| found.1);
        [protocol, metadata].iter().any(|source| matches!(source, Some(Source::Checksum(_))))
    }

    /// Notes that all of the domains are known, with those of `source`.
    fn end_domains(&mut self, source: Source) {
        let source = if self.domains.is_empty() { source } else { Source::Replay };
        self.domains_from.get_or_insert(source);
    }

    fn end_txns(&mut self, source: Source) {
        let source = if self.txns.is_empty() { source } else { Source::Replay };
        self.txns_from.get_or_insert(source);
    }

    fn take_checksum(&mut self, version: u64, checksum: &VersionChecksum, kinds: &[RareKind]) {
        let source = Source::Checksum(version);
        let missing = self.missing(kinds);
        if let Some(domains) = &checksum.domains
            && missing.contains(&RareKind::DomainMetadata)
        {
            self.end_domains(source);
            let domains = domains.iter().cloned().map(RareAction::DomainMetadata);
            self.take(domains.collect(), source);
        }
        if let Some(txns) = &checksum.txns
            && missing.contains(&RareKind::Txn)
        {
            self.end_txns(source);
            self.take(txns.iter().cloned().map(RareAction::Txn).collect(), source);
        }
        let protocol = checksum.protocol.clone().map(RareAction::Protocol);
        let metadata = checksum.metadata.clone().map(RareAction::Metadata);
        // A checksum with one of them is half a one, and serves to check alone.
        if let (Some(protocol), Some(metadata)) = (protocol, metadata) {
            self.take(vec![protocol, metadata], source);
        }
    }

    fn take_prior(&mut self, prior: &Prior, kinds: &[RareKind]) {
        self.protocol.get_or_insert_with(|| prior.protocol.clone());
        self.metadata.get_or_insert_with(|| prior.metadata.clone());
        let missing = self.missing(kinds);
        let Some(state) = &prior.state else { return };
        if missing.contains(&RareKind::DomainMetadata) {
            self.end_domains(state.domains_from);
            for (domain, configuration) in &state.domains {
                let configuration = Some(configuration.clone());
                self.domains.entry(domain.clone()).or_insert(configuration);
            }
        }
        if missing.contains(&RareKind::Txn) {
            self.end_txns(state.txns_from);
            for (app_id, txn) in &state.txns {
                self.txns.entry(app_id.clone()).or_insert_with(|| txn.clone());
            }
        }
    }

    /// The domains and transactions of a look-up for both.
    pub(super) fn into_state(self) -> ApplicationState {
        let domains = self.domains.into_iter();
        ApplicationState {
            domains: domains.filter_map(|(name, kept)| Some((name, kept?))).collect(),
            domains_from: self.domains_from.unwrap_or(Source::Replay),
            txns: self.txns,
            txns_from: self.txns_from.unwrap_or(Source::Replay),
        }
    }
}

/// A place further down than which the log need not be read, if it has it all.
enum Summary {
    Checksum(u64),
    Prior(u64),
}

impl Summary {
    fn version(&self) -> u64 {
        match self {
            Summary::Checksum(version) | Summary::Prior(version) => *version,
        }
    }
}

impl Log {
    pub(super) fn new(
        engine: &Engine,
        storage: Arc<Metered>,
        path: Option<String>,
        segment: LogSegment,
        request: Request,
        prior: Option<Prior>,
    ) -> Log {
        let mut prior = prior;
        let readable = prior.as_mut().and_then(|prior| prior.readable.take());
        // An opened checkpoint is as good for a newer segment that begins with it.
        let readable = readable.filter(|old| old.segment.checkpoint == segment.checkpoint);
        let readable = readable
            .map(|old| Readable { segment: segment.clone(), checkpoint: old.checkpoint.clone() });
        let mut log = Log {
            engine: engine.clone(),
            storage,
            path,
            segment,
            request,
            readable: readable.map(|r| OnceLock::from(Arc::new(r))).unwrap_or_default(),
            checksum: OnceLock::new(),
            newest: None,
            prior,
        };
        log.newest = log.stat_newest();
        log
    }

    /// Whether the log is the one that it was, as far as its segment goes. A table
    /// that was deleted and made anew in the same place has files of the same names,
    /// but not the same files.
    pub(super) fn is_unchanged(&self) -> bool {
        self.newest.is_some() && self.newest == self.stat_newest()
    }

    fn stat_newest(&self) -> Option<FileStat> {
        self.storage.stat(self.segment.newest_file()?).ok()
    }

    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage) as Arc<dyn Storage>
    }

    /// The opened checkpoint, if it has been needed.
    pub(super) fn opened(&self) -> Option<Arc<Readable>> {
        self.readable.get().cloned()
    }

    /// The segment's checksum; `None` where there is none that can be read.
    pub(super) fn checksum(&self) -> Option<Arc<VersionChecksum>> {
        let version = self.segment.checksum?;
        let checksum = self.checksum.get_or_init(|| {
            match checksum::read(self.storage.as_ref(), version) {
                Ok(checksum) => Some(Arc::new(checksum)),
                // "Readers MUST continue functioning if Version Checksum files
                // are missing"; a bad one is no better.
                Err(e) => {
                    let message = format!("a checksum is not used: {e}");
                    self.engine.events().tell(EventLevel::Warning, &message);
                    None
                }
            }
        });
        checksum.clone()
    }

    /// Looks for what is asked.
    pub(super) fn look_up(&self, ask: &Ask) -> Result<Found> {
        let Ask { kinds, by_summaries, .. } = *ask;
        let opened = self.opened();
        let segment = opened.as_ref().map_or(&self.segment, |opened| &opened.segment);
        let versions = segment.versions();
        let mut summaries: Vec<Summary> = Vec::new();
        summaries.extend(segment.checksum.map(Summary::Checksum));
        summaries.extend(self.prior.as_ref().map(|prior| Summary::Prior(prior.version)));
        summaries.retain(|summary| by_summaries && summary.version() + 1 >= versions.start);
        summaries.sort_by_key(|summary| std::cmp::Reverse(summary.version()));

        let keep = Arc::new(Keep { at_most: ask.keep_bytes, kept: AtomicU64::new(0) });
        let mut found = Found::default();
        // Down to which version all has been looked at.
        let mut down_to = versions.end;
        for summary in summaries {
            let above = summary.version() + 1;
            self.look_at(&mut found, segment, above..down_to, ask, &keep)?;
            down_to = down_to.min(above);
            if !found.missing(kinds).is_empty() {
                self.take(&mut found, &summary, kinds);
            }
        }
        self.look_at(&mut found, segment, versions.start..down_to, ask, &keep)?;
        let missing = found.missing(kinds);
        if missing.is_empty() {
            return Ok(found);
        }
        let (readable, actions) = self.readable(&missing)?;
        let first = readable.segment.versions().start;
        if first < versions.start {
            let between = first..versions.start;
            self.look_at(&mut found, &readable.segment, between, ask, &keep)?;
        }
        let mut source = Source::Replay;
        if let Some(files) = &readable.segment.checkpoint {
            source = Source::Checkpoint(files.version);
            // "The checkpoint must contain" both ("Checkpoints").
            for kind in [RareKind::Protocol, RareKind::Metadata] {
                if missing.contains(&kind) && !actions.iter().any(|action| action.kind() == kind) {
                    return Err(Error::corrupt(format!(
                        "{}: no {} action, which every checkpoint must have",
                        files.names[0],
                        kind.key()
                    )));
                }
            }
        }
        found.end_domains(source);
        found.end_txns(source);
        found.take(actions, source);
        Ok(found)
    }

    fn take(&self, found: &mut Found, summary: &Summary, kinds: &[RareKind]) {
        match (summary, &self.prior) {
            (Summary::Checksum(version), _) => {
                if let Some(checksum) = self.checksum() {
                    found.take_checksum(*version, &checksum, kinds);
                }
            }
            (Summary::Prior(_), Some(prior)) => found.take_prior(prior, kinds),
            (Summary::Prior(_), None) => {}
        }
    }

    /// Looks at the commits of `versions`, until nothing is missing.
    fn look_at(
        &self,
        found: &mut Found,
        segment: &LogSegment,
        versions: Range<u64>,
        ask: &Ask,
        keep: &Arc<Keep>,
    ) -> Result<()> {
        let kinds = ask.kinds;
        if versions.is_empty() || found.missing(kinds).is_empty() {
            return Ok(());
        }
        // Spark's compactions leave out that a domain was removed, and would bring
        // back what an older checkpoint has of it.
        let stretches = match kinds.contains(&RareKind::DomainMetadata) {
            true => segment.single_commits(versions),
            false => segment.stretches(versions),
        };
        let mut rest = &stretches[..];
        let engine = &self.engine;
        let window = engine.window();
        if engine.spares_threads() {
            let began = Instant::now();
            let mut here = self.look(rest, Window { threads: 0, ..window }, ask, keep);
            while began.elapsed() < HERE_AT_MOST
                && let Some(run) = here.next()
            {
                let run = run?;
                rest = &rest[run.stretches..];
                if found.take_run(run, kinds) {
                    return Ok(());
                }
            }
        }
        if !rest.is_empty() {
            for run in self.look(rest, window, ask, keep) {
                if found.take_run(run?, kinds) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Looks for what is asked, newest first, ahead on the workers: a
    /// run of commits each. The content of the first comes with them, as much as
    /// is kept.
    fn look(
        &self,
        newest_first: &[Stretch],
        window: Window,
        ask: &Ask,
        keep: &Arc<Keep>,
    ) -> ReadAhead<Run> {
        /// A commit's size is not known before it is read; most are small.
        const COMMIT_BYTES: usize = 64 << 10;
        // Runs long enough that handing them over costs nothing beside them, short
        // enough that all workers have some.
        let run = (newest_first.len() / 64).clamp(1, 64);
        let runs: Vec<Vec<Stretch>> = newest_first.chunks(run).map(<[Stretch]>::to_vec).collect();
        let plan = runs.into_iter().map(|run| {
            let mut label = Label::new(SpanKind::Open, Arc::clone(run[0].name()));
            if let [newest, .., oldest] = &run[..] {
                label = label.share("versions", oldest.oldest()..newest.newest() + 1);
            }
            Ok(Planned { bytes: run.len() * COMMIT_BYTES, label, unit: run })
        });
        let (kinds, keep) = (ask.kinds, Arc::clone(keep));
        let (storage, events) = (self.storage(), self.engine.events().clone());
        ReadAhead::new(
            self.engine.pool(),
            window,
            ask.cancel.clone(),
            Arc::new(Counters::default()),
            plan,
            move |run: Vec<Stretch>| {
                let stretches = run.len();
                let mut looked = Vec::with_capacity(stretches);
                for stretch in run {
                    look_at_stretch(storage.as_ref(), &events, stretch, kinds, &keep, &mut looked)?;
                }
                Ok(Run { stretches, looked })
            },
        )
    }

    /// The segment whose checkpoint can be opened, and the actions of `kinds`
    /// of that.
    ///
    /// An unreadable checkpoint is no loss where the log reaches back to an
    /// older one or to its beginning: then that is what is read.
    pub(super) fn readable(&self, kinds: &[RareKind]) -> Result<(Arc<Readable>, Vec<RareAction>)> {
        if let Some(readable) = self.readable.get() {
            let mut actions = Vec::new();
            for part in readable.checkpoint.iter().flat_map(|checkpoint| &checkpoint.parts) {
                actions.extend(part.rare_actions(self.storage.as_ref(), kinds)?);
            }
            return Ok((Arc::clone(readable), actions));
        }
        let mut kinds = kinds.to_vec();
        kinds.extend([RareKind::Sidecar, RareKind::CheckpointMetadata]);
        let mut segment = self.segment.clone();
        let mut request = Request { version: Some(segment.version), ..self.request.clone() };
        let mut newest_error = None;
        loop {
            let Some(files) = &segment.checkpoint else {
                return Ok((self.keep(Readable { segment, checkpoint: None }), Vec::new()));
            };
            let error = match self.open_checkpoint(files, &kinds) {
                Ok((checkpoint, actions)) => {
                    let checkpoint = Some(Arc::new(checkpoint));
                    return Ok((self.keep(Readable { segment, checkpoint }), actions));
                }
                Err(e) => e,
            };
            let is_of_the_table = |e: &Error| {
                use ErrorKind::{CorruptLog, LimitExceeded, NotFound};
                matches!(e.kind(), CorruptLog | NotFound | LimitExceeded)
            };
            if !is_of_the_table(&error) {
                return Err(error);
            }
            let newest_error = newest_error.get_or_insert_with(|| error.clone());
            request.avoid.extend(files.names.iter().cloned());
            // Whatever is wrong with the older log, the newest checkpoint is what a
            // reader has to know of.
            segment = LogSegment::find(self.storage.as_ref(), &request)
                .map_err(|e| if is_of_the_table(&e) { newest_error.clone() } else { e })?;
            let instead = match &segment.checkpoint {
                Some(older) => format!("{} and the commits after it are", older.names[0]),
                None => "the commits alone are".to_owned(),
            };
            let message = format!("a checkpoint cannot be read, {instead} read instead: {error}");
            self.engine.events().tell(EventLevel::Warning, &message);
        }
    }

    fn keep(&self, readable: Readable) -> Arc<Readable> {
        Arc::clone(self.readable.get_or_init(|| Arc::new(readable)))
    }

    /// Opens a checkpoint's top-level files, in parallel.
    fn open_checkpoint(
        &self,
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
        let (storage, kinds) = (self.storage(), kinds.to_vec());
        let part_of = files.clone();
        let mut window = self.engine.window();
        if self.engine.spares_threads() && files.names.len() == 1 {
            // Nothing could be done beside it.
            window.threads = 0;
        }
        let opened = ReadAhead::new(
            self.engine.pool(),
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
}

/// What a look-up looks for.
pub(super) struct Ask {
    pub(super) kinds: &'static [RareKind],
    /// How much of the commits' bytes is kept.
    pub(super) keep_bytes: u64,
    /// Whether to rely on what sums up the log: not, where it is to be compared.
    pub(super) by_summaries: bool,
    pub(super) cancel: Cancel,
}

impl Ask {
    pub(super) fn new(kinds: &'static [RareKind]) -> Ask {
        Ask { kinds, keep_bytes: 0, by_summaries: true, cancel: Cancel::default() }
    }
}

/// How long a look at commits may take before workers are asked: a few times as
/// long as it takes to start them.
const HERE_AT_MOST: Duration = Duration::from_millis(1);

/// What was found in a run of stretches.
struct Run {
    stretches: usize,
    looked: Vec<Looked>,
}

struct Looked {
    source: Source,
    text: LogText,
    actions: Vec<RareAction>,
}

/// How much of what is read is kept.
struct Keep {
    at_most: u64,
    kept: AtomicU64,
}

impl Found {
    /// Takes a run, up to what has all that was missing; says whether it has.
    fn take_run(&mut self, run: Run, kinds: &[RareKind]) -> bool {
        for Looked { source, text, actions } in run.looked {
            self.read.insert(Arc::clone(&text.name), text);
            self.take(actions, source);
            if self.missing(kinds).is_empty() {
                return true;
            }
        }
        false
    }
}

fn look_at_stretch(
    storage: &dyn Storage,
    events: &Events,
    stretch: Stretch,
    kinds: &[RareKind],
    keep: &Keep,
    looked: &mut Vec<Looked>,
) -> Result<()> {
    let commits = match stretch {
        Stretch::Commit(commit) => vec![commit],
        Stretch::Compaction(compaction) => {
            let version = compaction.commits[0].version;
            match look_at_file(storage, &compaction.name, None, version, kinds, keep) {
                // A compaction of commits that have a commitInfo at least is not empty.
                Ok((text, actions)) if text.size > 0 => {
                    looked.push(Looked { source: Source::Compaction(version), text, actions });
                    return Ok(());
                }
                bad => {
                    let why = bad.map_or_else(|e| e.to_string(), |_| "it is empty".to_owned());
                    let message = format!("{} is not used: {why}", compaction.name);
                    events.tell(EventLevel::Warning, &message);
                    compaction.commits
                }
            }
        }
    };
    for CommitFile { version, name, inline } in commits {
        let (text, actions) = look_at_file(storage, &name, inline, version, kinds, keep)?;
        looked.push(Looked { source: Source::Commit(version), text, actions });
    }
    Ok(())
}

fn look_at_file(
    storage: &dyn Storage,
    name: &Arc<str>,
    inline: Option<Bytes>,
    version: u64,
    kinds: &[RareKind],
    keep: &Keep,
) -> Result<(LogText, Vec<RareAction>)> {
    let text = |size, bytes| LogText { name: Arc::clone(name), version, size, bytes };
    if let Some(content) = inline {
        let rare = commit::rare_actions_in(name, content, kinds)?;
        return Ok((text(rare.size, rare.bytes), rare.actions));
    }
    let rare = commit::rare_actions(storage, name, kinds)?;
    let bytes = rare.bytes.filter(|bytes| {
        let before = keep.kept.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        before + bytes.len() as u64 <= keep.at_most
    });
    // A copy, since what was read into may be larger by far.
    let bytes = bytes.map(|bytes| Bytes::copy_from_slice(&bytes));
    Ok((text(rare.size, bytes), rare.actions))
}
