//! One version of one table: its protocol, metadata, schema and properties.
//!
//! `open` says which version is wanted, `timeline` which one a time means, and
//! `log` finds the parts of it that are no files. Opening decodes no file action.
//! The commits' bytes that pass through its hands are kept, up to the window, for
//! the first scan, so that an open and a scan read nothing twice.

mod log;
mod open;
mod timeline;

pub(crate) use crate::delta_log::checksum::FileStatistics;
pub use log::Source;
pub use open::{CatalogCommit, SnapshotBuilder};
pub(crate) use timeline::Clock;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use crate::actions::{Metadata, Protocol, RareKind, Txn};
use crate::delta_log::checkpoint::Checkpoint;
use crate::delta_log::checksum::VersionChecksum;
use crate::delta_log::commit::{CommitText, LogText};
use crate::delta_log::path;
use crate::delta_log::segment::{CommitFile, Compaction, LogSegment, Stretch};
use crate::engine::{Engine, EventLevel};
use crate::error::{Error, ErrorKind, Result, escaped};
use crate::features;
use crate::properties::{
    self, CLUSTERING_DOMAIN, PropertyValue, ROW_TRACKING_DOMAIN, TableProperties,
};
use crate::read_ahead::Cancel;
use crate::schema::{self, ColumnMappingMode, DataType, StructType};
use crate::span::{Label, SpanKind};
use crate::storage::Storage;
use log::{ApplicationState, Ask, Log, Prior};

/// One version of one table. Cheap to clone; any thread may use it.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    log: Log,
    described: Described,
    /// What the open read of the commits, for the first scan to take.
    read: Mutex<HashMap<Arc<str>, LogText>>,
    state: OnceLock<Arc<ApplicationState>>,
}

/// What protocol and metadata say, checked to be what can be read.
struct Described {
    protocol: (Protocol, Source),
    metadata: (Metadata, Source),
    schema: StructType,
    arrow_schema: SchemaRef,
    mapping: ColumnMappingMode,
}

/// Where a snapshot's parts come from, and what reading it has cost so far.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// Where the protocol was found.
    pub protocol: Source,
    /// Where the metadata was found.
    pub metadata: Source,
    /// Where the domain metadata was found; `None` if it was not asked for yet.
    pub domain_metadata: Option<Source>,
    /// Where the transaction identifiers were found; `None` likewise.
    pub txns: Option<Source>,
    /// The version of the checkpoint that the files are read from, if there is one.
    pub checkpoint: Option<u64>,
    /// How many commits there are after it, compacted ones included.
    pub commits: usize,
    /// How many compactions can stand for some of them.
    pub compactions: usize,
    /// The version of the newest checksum.
    pub checksum: Option<u64>,
    /// Files read, whole or in part, scans included.
    pub files_read: u64,
    /// Bytes read, scans included.
    pub bytes_read: u64,
}

impl Described {
    fn new(
        log: &Log,
        protocol: Option<(Protocol, Source)>,
        metadata: Option<(Metadata, Source)>,
    ) -> Result<Described> {
        let no = |what: &str| {
            let files = match &log.segment.checkpoint {
                Some(checkpoint) => format!("{} and the commits after it", checkpoint.names[0]),
                None => format!("the commits up to version {}", log.segment.version),
            };
            Error::corrupt(format!("no {what} action in {files}"))
        };
        let protocol = protocol.ok_or_else(|| no("protocol"))?;
        features::check_readable(&protocol.0, log.request.catalog.is_some())?;
        let metadata = metadata.ok_or_else(|| no("metaData"))?;
        let mapping = features::column_mapping_mode(&protocol.0, &metadata.0.configuration)?;
        let schema = StructType::from_json(&metadata.0.schema_string)
            .map_err(|e| e.at("metaData.schemaString"))?;
        for column in &metadata.0.partition_columns {
            if schema.field(column).is_none() {
                return Err(Error::corrupt(format!(
                    "metaData names the partition column \"{}\", which the schema does not have",
                    escaped(column)
                )));
            }
        }
        let widens = |feature: &String| feature.starts_with("typeWidening");
        if protocol.0.reader_features.iter().flatten().any(widens)
            && let Some(change) = schema::unsupported_type_change(&schema)
        {
            return Err(Error::unsupported(format!("type change {change}")));
        }
        let arrow_schema = schema.to_arrow();
        Ok(Described { protocol, metadata, schema, arrow_schema, mapping })
    }
}

impl Snapshot {
    fn new(log: Log, read: HashMap<Arc<str>, LogText>) -> Result<Snapshot> {
        const KINDS: &[RareKind] = &[RareKind::Protocol, RareKind::Metadata];
        let engine = &log.engine;
        let segment = &log.segment;
        for warning in &segment.warnings {
            engine.events().tell(EventLevel::Warning, warning);
        }
        let keep_bytes = engine.window().bytes as u64;
        let found = log.look_up(&Ask { keep_bytes, ..Ask::new(KINDS) })?;
        let by_checksum = found.is_by_checksum();
        let mut kept = read;
        kept.extend(found.read);
        bound(&mut kept, segment, keep_bytes);
        let described = match Described::new(&log, found.protocol, found.metadata) {
            // A checksum keeps nobody from a table that its log describes well.
            Err(bad) if by_checksum => {
                let found = log.look_up(&Ask { by_summaries: false, ..Ask::new(KINDS) })?;
                let described = Described::new(&log, found.protocol, found.metadata)?;
                let message = format!("a checksum's protocol and metaData are not used: {bad}");
                engine.events().tell(EventLevel::Warning, &message);
                described
            }
            described => described?,
        };
        engine.events().tell(
            EventLevel::Debug,
            &format!(
                "opened version {} of {}: {} commits after {}",
                segment.version,
                escaped(log.storage.root()),
                segment.commits.len(),
                segment.checkpoint.as_ref().map_or("nothing", |c| &c.names[0]),
            ),
        );
        let inner = Inner { log, described, read: Mutex::new(kept), state: OnceLock::new() };
        Ok(Snapshot { inner: Arc::new(inner) })
    }

    /// The version.
    pub fn version(&self) -> u64 {
        self.inner.log.segment.version
    }

    /// The table's root: an absolute path.
    pub fn table_root(&self) -> &str {
        self.inner.log.storage.root()
    }

    /// The protocol that holds for this version.
    pub fn protocol(&self) -> &Protocol {
        &self.inner.described.protocol.0
    }

    /// The metadata that holds for this version: the schema as Delta JSON, the
    /// partition columns, the table's properties.
    pub fn metadata(&self) -> &Metadata {
        &self.inner.described.metadata.0
    }

    /// The schema, with logical names.
    pub fn schema(&self) -> &StructType {
        &self.inner.described.schema
    }

    /// The schema as an Arrow schema, with logical names: see
    /// [`StructType::to_arrow`].
    pub fn arrow_schema(&self) -> SchemaRef {
        Arc::clone(&self.inner.described.arrow_schema)
    }

    /// How logical and physical names differ.
    pub fn column_mapping(&self) -> ColumnMappingMode {
        self.inner.described.mapping
    }

    /// When this version was committed: milliseconds since the Unix epoch, the
    /// in-commit timestamp where the table has them enabled ("In-Commit
    /// Timestamps"), else the commit file's modification time. A version that
    /// has lost its commit has that of its checkpoint.
    ///
    /// A modification time is not moved behind that of the version before, as it
    /// is where [a time is looked for](SnapshotBuilder::timestamp): it would cost
    /// a look at every older commit.
    ///
    /// # Errors
    /// `CorruptLog` where an in-commit timestamp is enabled and missing;
    /// `Storage` when the file cannot be looked at.
    pub fn timestamp_ms(&self) -> Result<i64> {
        let log = &self.inner.log;
        let segment = &log.segment;
        let (clock, version) = (self.clock()?, self.version());
        let commit = clock.commit(version);
        let is_in_commit = clock.split(&(version..version + 1)) == version;
        if is_in_commit {
            let timestamp = self.checksum().and_then(|checksum| checksum.in_commit_timestamp);
            if let Some(timestamp) = timestamp {
                return Ok(timestamp);
            }
        }
        let timestamp = match is_in_commit {
            true => timeline::in_commit_ms(self, &commit),
            false => log.storage.stat(&commit.name).map(|stat| stat.modified_ms),
        };
        match (timestamp, &segment.checkpoint) {
            // Clean-up may leave a checkpoint without its commit.
            (Err(e), Some(checkpoint)) if e.kind() == ErrorKind::NotFound => {
                Ok(log.storage.stat(&checkpoint.names[0])?.modified_ms)
            }
            (timestamp, _) => timestamp,
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

    /// What each application last committed ("Transaction Identifiers"), by
    /// its id. The first call reads the log for it.
    ///
    /// Where the table sets `delta.setTransactionRetentionDuration`, those that
    /// have not been updated for longer are gone, as in Spark; so are then those
    /// that do not say when they were.
    ///
    /// # Errors
    /// As [`Engine::snapshot`]; `CorruptLog` where that property is no interval.
    pub fn txns(&self) -> Result<BTreeMap<&str, &Txn>> {
        let retention = self.properties().get("delta.setTransactionRetentionDuration")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let oldest = match retention {
            Some(PropertyValue::Interval { micros }) => Some(now.saturating_sub(micros / 1000)),
            _ => None,
        };
        let is_kept = |txn: &Txn| {
            oldest.is_none_or(|oldest| txn.last_updated.is_some_and(|updated| updated > oldest))
        };
        let txns = self.state()?.txns.iter().filter(|(_, txn)| is_kept(txn));
        Ok(txns.map(|(app_id, txn)| (app_id.as_str(), txn)).collect())
    }

    /// The version that application `app_id` last committed, `None` if it
    /// never did; else as [`txns`](Self::txns).
    ///
    /// # Errors
    /// As [`txns`](Self::txns).
    pub fn txn_version(&self, app_id: &str) -> Result<Option<i64>> {
        Ok(self.txns()?.get(app_id).map(|txn| txn.version))
    }

    fn state(&self) -> Result<&ApplicationState> {
        const KINDS: &[RareKind] = &[RareKind::Txn, RareKind::DomainMetadata];
        if let Some(state) = self.inner.state.get() {
            return Ok(state);
        }
        let state = Arc::new(self.inner.log.look_up(&Ask::new(KINDS))?.into_state());
        Ok(self.inner.state.get_or_init(|| state))
    }

    /// The table's properties by name, with the defaults of those that are not
    /// set ("Table Properties"). What is set stands in
    /// [`metadata`](Self::metadata), those of no known name too.
    pub fn properties(&self) -> TableProperties<'_> {
        TableProperties::new(&self.metadata().configuration)
    }

    /// The columns that the table is clustered by: the logical names on the way
    /// to each ("Clustered Table"). `None` where it is not clustered; empty
    /// where it is to be, by no column yet. The first call reads the log for it.
    ///
    /// # Errors
    /// As [`Engine::snapshot`]; `CorruptLog` where they are no columns.
    pub fn clustering_columns(&self) -> Result<Option<Vec<Vec<String>>>> {
        let Some(configuration) = self.domain_metadata()?.get(CLUSTERING_DOMAIN) else {
            return Ok(None);
        };
        let columns = properties::clustering_columns(configuration)?;
        let logical = |path: Vec<String>| {
            let mut fields = Some(&self.inner.described.schema.fields);
            path.iter()
                .map(|physical| {
                    let mut candidates = fields.into_iter().flatten();
                    let field = candidates.find(|field| {
                        field
                            .physical_name(self.column_mapping())
                            .is_ok_and(|name| name == physical)
                    });
                    let field = field.ok_or_else(|| {
                        Error::corrupt(format!(
                            "metadata domain {CLUSTERING_DOMAIN}: the schema has no column \"{}\"",
                            escaped(&path.join("."))
                        ))
                    })?;
                    fields = match &field.data_type {
                        DataType::Struct(inner) => Some(&inner.fields),
                        _ => None,
                    };
                    Ok(field.name.clone())
                })
                .collect::<Result<Vec<_>>>()
        };
        columns.into_iter().map(logical).collect::<Result<_>>().map(Some)
    }

    /// The highest row id that was given out ("Row Tracking"); `None` where the
    /// table tracks no rows. The first call reads the log for it.
    ///
    /// # Errors
    /// As [`Engine::snapshot`]; `CorruptLog` where it is no number.
    pub fn row_id_high_water_mark(&self) -> Result<Option<i64>> {
        let configuration = self.domain_metadata()?.get(ROW_TRACKING_DOMAIN);
        configuration.map(|text| properties::row_id_high_water_mark(text)).transpose()
    }

    /// Numbers and sizes of the live files, where this version has a checksum
    /// that says them ("Version Checksum File"); no file action is read.
    ///
    /// `None` where it has none; a scan adds them up.
    pub fn file_statistics(&self) -> Option<FileStatistics> {
        Some(self.checksum()?.files.clone())
    }

    /// Where the parts of this snapshot come from.
    pub fn origin(&self) -> Origin {
        let Inner { log, described: Described { protocol, metadata, .. }, state, .. } =
            &*self.inner;
        let opened = log.opened();
        let segment = opened.as_ref().map_or(&log.segment, |opened| &opened.segment);
        let is_compaction = |stretch: &&Stretch| matches!(stretch, Stretch::Compaction(_));
        Origin {
            protocol: protocol.1,
            metadata: metadata.1,
            domain_metadata: state.get().map(|state| state.domains_from),
            txns: state.get().map(|state| state.txns_from),
            checkpoint: segment.checkpoint.as_ref().map(|checkpoint| checkpoint.version),
            commits: segment.commits.len(),
            compactions: segment.stretches(segment.versions()).iter().filter(is_compaction).count(),
            checksum: segment.checksum,
            files_read: log.storage.files_read(),
            bytes_read: log.storage.bytes_read(),
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.log.engine
    }

    pub(crate) fn storage(&self) -> Arc<dyn Storage> {
        self.inner.log.storage()
    }

    /// The texts of the segment's commits, newest first, with what the open
    /// kept of them, which is given once; and its checkpoint, opened.
    pub(crate) fn take_log(&self) -> Result<(Vec<CommitText>, Option<Arc<Checkpoint>>)> {
        let log = &self.inner.log;
        let (readable, _) = log.readable(&[])?;
        let segment = &readable.segment;
        let mut read = self.read();
        let mut kept = std::mem::take(&mut *read);
        let _watch = log.engine.pool().watch(|| Label::new(SpanKind::List, path::LOG_DIR));
        let mut text = |name: Arc<str>, version, inline: Option<Bytes>| {
            if let Some(text) = kept.remove(&name).filter(|_| inline.is_none()) {
                return Ok(text);
            }
            let size = match &inline {
                Some(content) => content.len() as u64,
                None => log.storage.stat(&name)?.size,
            };
            Ok::<_, Error>(LogText { name, version, size, bytes: inline })
        };
        let mut texts: Vec<CommitText> = Vec::new();
        for stretch in segment.stretches(segment.versions()) {
            match stretch {
                Stretch::Commit(CommitFile { version, name, inline }) => {
                    texts.push(CommitText::of_commit(text(name, version, inline)?));
                }
                Stretch::Compaction(Compaction { name, commits }) => {
                    let version = commits[0].version;
                    let compacted: Vec<LogText> = commits
                        .into_iter()
                        .map(|commit| text(commit.name, commit.version, commit.inline))
                        .collect::<Result<_>>()?;
                    // One that vanished saves no work either.
                    match text(name, version, None) {
                        Ok(text) => {
                            let compaction = CommitText { text, compacted };
                            if compaction.saves_work() {
                                texts.push(compaction);
                            } else {
                                let commits = compaction.compacted.into_iter();
                                texts.extend(commits.map(CommitText::of_commit));
                            }
                        }
                        Err(_) => texts.extend(compacted.into_iter().map(CommitText::of_commit)),
                    }
                }
            }
        }
        // Sizes are kept: the next scan cuts its units as this one does.
        let all = texts.iter().flat_map(|t| std::iter::once(&t.text).chain(&t.compacted));
        let without_bytes = |text: &LogText| LogText { bytes: None, ..text.clone() };
        *read = all.map(|text| (Arc::clone(&text.name), without_bytes(text))).collect();
        Ok((texts, readable.checkpoint.clone()))
    }

    /// The checksum of this very version.
    pub(crate) fn checksum(&self) -> Option<Arc<VersionChecksum>> {
        let log = &self.inner.log;
        log.checksum().filter(|_| log.segment.checksum == Some(self.version()))
    }

    /// The protocol and the metadata as the log itself has them: another look,
    /// where they came from a checksum.
    pub(crate) fn logged(&self, cancel: &Cancel) -> Result<(Protocol, Metadata)> {
        const KINDS: &[RareKind] = &[RareKind::Protocol, RareKind::Metadata];
        let Inner { log, described: Described { protocol, metadata, .. }, .. } = &*self.inner;
        let is_logged = |source| !matches!(source, Source::Checksum(_));
        if is_logged(protocol.1) && is_logged(metadata.1) {
            return Ok((protocol.0.clone(), metadata.0.clone()));
        }
        let cancel = cancel.clone();
        let found = log.look_up(&Ask { by_summaries: false, cancel, ..Ask::new(KINDS) })?;
        match (found.protocol, found.metadata) {
            (Some((protocol, _)), Some((metadata, _))) => Ok((protocol, metadata)),
            _ => Err(Error::corrupt(format!(
                "the log up to version {} has no protocol or no metaData, and its checksum has",
                self.version()
            ))),
        }
    }

    fn read(&self) -> MutexGuard<'_, HashMap<Arc<str>, LogText>> {
        self.inner.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts of the commits of `versions`, newest first, with what the open
    /// kept of them. No compaction stands for any of them.
    ///
    /// # Errors
    /// `NotFound` for a commit that is gone, saying how far back the log goes.
    pub(crate) fn commits(&self, versions: Range<u64>) -> Result<Vec<LogText>> {
        let log = &self.inner.log;
        let read = self.read();
        let _watch = log.engine.pool().watch(|| Label::new(SpanKind::List, path::LOG_DIR));
        let text = |version| {
            let CommitFile { name, inline, .. } = log.segment.commit(version, &log.request);
            if let Some(kept) = read.get(&name).filter(|text| text.bytes.is_some()) {
                return Ok(kept.clone());
            }
            let size = match &inline {
                Some(content) => content.len() as u64,
                None => match log.storage.stat(&name) {
                    Err(e) if e.kind() == ErrorKind::NotFound => {
                        return Err(self.commit_is_gone(&name));
                    }
                    stat => stat?.size,
                },
            };
            Ok(LogText { name, version, size, bytes: inline })
        };
        versions.rev().map(text).collect()
    }

    #[cold]
    fn commit_is_gone(&self, name: &str) -> Error {
        let Inner { log, .. } = &*self.inner;
        match log.segment.reaches_back_to(log.storage.as_ref(), &log.request) {
            Ok(Some(version)) => Error::not_found(format!(
                "{name} is gone: the log reaches back to the commit of version {version} and no \
                 further"
            )),
            Ok(None) => Error::not_found(format!(
                "{name} is gone, and so is the commit of version {}",
                self.version()
            )),
            Err(e) => e,
        }
    }

    /// What a refresh need not look for again.
    fn prior(&self) -> Prior {
        let Inner { log, described: Described { protocol, metadata, .. }, state, .. } =
            &*self.inner;
        Prior {
            version: self.version(),
            protocol: protocol.clone(),
            metadata: metadata.clone(),
            state: state.get().cloned(),
            readable: log.opened(),
        }
    }
}

/// Leaves of what older snapshots and this one read what the segment has, and
/// of its bytes the newest up to `keep_bytes`: refreshes must not pile it up.
fn bound(kept: &mut HashMap<Arc<str>, LogText>, segment: &LogSegment, keep_bytes: u64) {
    kept.retain(|_, text| segment.versions().contains(&text.version));
    let mut texts: Vec<&mut LogText> =
        kept.values_mut().filter(|text| text.bytes.is_some()).collect();
    texts.sort_by_key(|text| std::cmp::Reverse(text.version));
    let mut bytes = 0;
    for text in texts {
        bytes += text.size;
        if bytes > keep_bytes {
            text.bytes = None;
        }
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
