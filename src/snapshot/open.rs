//! Which version of which table is to be opened.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use super::log::{Log, Source};
use super::timeline::Timeline;
use super::{Origin, Snapshot};
use crate::actions::{Metadata, Protocol};
use crate::delta_log::path;
use crate::delta_log::segment::{Catalog, CommitFile, LogSegment, Request};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::features;
use crate::span::{Label, SpanKind};
use crate::storage::{self, Metered, Storage};

/// Which version of which table is to be opened. Without more, the latest.
#[must_use]
pub struct SnapshotBuilder {
    engine: Engine,
    table: Table,
    version: Option<u64>,
    timestamp: Option<i64>,
    catalog: Option<(u64, Vec<CatalogCommit>)>,
}

enum Table {
    At(String),
    In(Arc<dyn Storage>),
    Of(Snapshot),
}

/// A ratified commit, as the catalog of a table knows it ("Catalog-managed
/// tables").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatalogCommit {
    /// A file in `_delta_log/_staged_commits`, by its name: `<version>.<uuid>.json`,
    /// alone or after that directory.
    Staged(String),
    /// A commit whose content the catalog stores itself.
    Inline {
        /// Its version.
        version: u64,
        /// Its content, as a commit's file would have it.
        content: Bytes,
    },
    /// A commit that is where every table has it, by its version.
    Published(u64),
}

impl CatalogCommit {
    /// Its version; `None` where it is [`Staged`](Self::Staged) and its name is
    /// none of a staged commit.
    pub fn version(&self) -> Option<u64> {
        match self {
            CatalogCommit::Staged(name) => Some(path::staged_commit(name)?.0),
            CatalogCommit::Inline { version, .. } | CatalogCommit::Published(version) => {
                Some(*version)
            }
        }
    }
}

impl Engine {
    /// Opens the table at `table`, a path or a `file://` URL: the builder says
    /// which version.
    pub fn open(&self, table: impl Into<String>) -> SnapshotBuilder {
        SnapshotBuilder::new(self, Table::At(table.into()))
    }

    /// Opens the table of a storage that the host brings.
    pub fn open_in(&self, storage: Arc<dyn Storage>) -> SnapshotBuilder {
        SnapshotBuilder::new(self, Table::In(storage))
    }

    /// Opens the latest version of the table at `table`, a path or a `file://`
    /// URL.
    ///
    /// # Errors
    /// `NotFound` when there is no table; `CorruptLog` when its log breaks the
    /// protocol (a gap, a missing prefix, a line that is no action);
    /// `Unsupported`, with its name, when it needs a feature that is not read.
    pub fn snapshot(&self, table: &str) -> Result<Snapshot> {
        self.open(table).snapshot()
    }

    /// Opens `version` of the table at `table`.
    ///
    /// # Errors
    /// As [`Engine::snapshot`], and `NotFound` when the log does not reach
    /// that version.
    pub fn snapshot_at(&self, table: &str, version: u64) -> Result<Snapshot> {
        self.open(table).version(version).snapshot()
    }
}

impl Snapshot {
    /// This table's latest version. It equals a snapshot that is opened anew,
    /// and costs what is new: the listing begins at this version, and what has
    /// not changed since is taken over. Where a storage can only list a whole
    /// folder, as a local one, the next commits are asked for by name, and one
    /// beyond a gap is not there yet.
    ///
    /// # Errors
    /// As [`Engine::snapshot`]. This snapshot is not affected.
    pub fn refresh(&self) -> Result<Snapshot> {
        self.refresh_to().snapshot()
    }

    /// As [`refresh`](Self::refresh), where the builder says which version. A
    /// catalog-managed table needs what its catalog now says.
    pub fn refresh_to(&self) -> SnapshotBuilder {
        SnapshotBuilder::new(self.engine(), Table::Of(self.clone()))
    }
}

impl Snapshot {
    /// The protocol and the metadata that held for an older version. Where they are
    /// known to be those of this one, nothing is read.
    ///
    /// # Errors
    /// As [`Engine::snapshot_at`].
    pub(crate) fn described_at(&self, version: u64) -> Result<(Protocol, Metadata)> {
        let Origin { protocol, metadata, .. } = self.origin();
        // Of a summary only its version is known, which is no older than the action.
        let is_of = |source| match source {
            Source::Commit(last)
            | Source::Compaction(last)
            | Source::Checksum(last)
            | Source::Checkpoint(last) => last <= version,
            Source::Replay => false,
        };
        if version >= self.version() || is_of(protocol) && is_of(metadata) {
            return Ok((self.protocol().clone(), self.metadata().clone()));
        }
        let log = &self.inner.log;
        let storage = Arc::clone(log.storage.inner());
        let request = Request { version: Some(version), ..log.request.clone() };
        let older = open(self.engine(), storage, log.path.clone(), None, request)?;
        Ok((older.protocol().clone(), older.metadata().clone()))
    }
}

impl SnapshotBuilder {
    fn new(engine: &Engine, table: Table) -> Self {
        let engine = engine.clone();
        SnapshotBuilder { engine, table, version: None, timestamp: None, catalog: None }
    }

    /// This version, instead of the latest.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// The latest version that was committed at or before `ms`, milliseconds
    /// since the Unix epoch, of those up to [`version`](Self::version).
    ///
    /// A version was committed at its in-commit timestamp where the table has
    /// them enabled, and at its commit file's modification time before ("In-Commit
    /// Timestamps"). A modification time that is not later than that of the
    /// version before counts as one millisecond later than that, from the first
    /// version in reach on: the first that can be opened, whose commit is there,
    /// and after which no commit is missing.
    ///
    /// A time before the first version in reach is `NotFound`, and so is one
    /// after the latest version. The protocol is silent on both, and Spark's
    /// `TIMESTAMP AS OF` refuses them.
    pub fn timestamp(mut self, ms: i64) -> Self {
        self.timestamp = Some(ms);
        self
    }

    /// What the catalog of a catalog-managed table says: the latest ratified
    /// version, and the ratified commits that it knows of, oldest first, without
    /// a gap. They count in place of what is published, and whatever is newer
    /// than `version` is ignored ("Reading Catalog-managed Tables").
    ///
    /// Such a table is refused without it, and any other table with it.
    pub fn catalog(
        mut self,
        version: u64,
        commits: impl IntoIterator<Item = CatalogCommit>,
    ) -> Self {
        self.catalog = Some((version, commits.into_iter().collect()));
        self
    }

    /// Opens it.
    ///
    /// # Errors
    /// As [`Engine::snapshot_at`]; `InvalidArgument` where the catalog's
    /// commits have a gap, go beyond its version, or are not named as staged
    /// commits are; and for a [`timestamp`](Self::timestamp), `NotFound` where it
    /// is outside of what is in reach, which the message says.
    pub fn snapshot(mut self) -> Result<Snapshot> {
        let timestamp = self.timestamp.take();
        let (latest, mut request) = self.latest()?;
        let Some(ms) = timestamp else { return Ok(latest) };
        let version = Timeline::up_to(&latest)?.as_of(ms)?;
        if version == latest.version() {
            return Ok(latest);
        }
        request.version = Some(version);
        let Log { engine, storage, path, .. } = &latest.inner.log;
        open(engine, Arc::clone(storage.inner()), path.clone(), None, request)
    }

    /// The latest version that was committed at or before `ms`, without opening
    /// it: what [`timestamp`](Self::timestamp) would open, but for a time after
    /// the latest version, which gives the latest.
    ///
    /// What a `timestamp` was set to has no part in this.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot), and `NotFound` for a time before the
    /// first version in reach.
    pub fn version_at_or_before(self, ms: i64) -> Result<u64> {
        Timeline::up_to(&self.latest()?.0)?.at_or_before(ms)
    }

    /// The first version that was committed at or after `ms`; for a time before
    /// the first version in reach, that one. Otherwise as
    /// [`version_at_or_before`](Self::version_at_or_before).
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot), and `NotFound` for a time after the
    /// latest version.
    pub fn version_at_or_after(self, ms: i64) -> Result<u64> {
        Timeline::up_to(&self.latest()?.0)?.at_or_after(ms)
    }

    /// The versions that were committed from `from_ms` to `to_ms`, both
    /// included: from [`version_at_or_after`](Self::version_at_or_after) the one
    /// to [`version_at_or_before`](Self::version_at_or_before) the other.
    ///
    /// # Errors
    /// As those two; `NotFound` where no version was committed meanwhile, and
    /// `InvalidArgument` where the end is before the beginning.
    pub fn versions_between(self, from_ms: i64, to_ms: i64) -> Result<RangeInclusive<u64>> {
        Timeline::up_to(&self.latest()?.0)?.between(from_ms, to_ms)
    }

    /// Opens the latest version that is asked for, whatever its time.
    fn latest(self) -> Result<(Snapshot, Request)> {
        let SnapshotBuilder { engine, table, version, catalog, timestamp: _ } = self;
        let catalog = catalog.map(|(version, commits)| catalog_of(version, commits)).transpose()?;
        let request = Request { version, catalog, avoid: Vec::new() };
        let memory = engine.memory();
        let (storage, path, old) = match table {
            Table::At(table) => {
                let storage = storage::open(&table, memory)?;
                let path = storage.root().to_owned();
                (storage, Some(path), None)
            }
            Table::In(storage) => (storage, None, None),
            Table::Of(old) => {
                let Log { storage, path, .. } = &old.inner.log;
                let storage = Arc::clone(storage.inner());
                let path = path.clone();
                if old.inner.log.is_unchanged() {
                    (storage, path, Some(old))
                } else {
                    // What is known of another table says nothing of this one, and
                    // the files that are still open are not its own.
                    let anew = path.as_ref().map(|path| storage::open(path, memory));
                    (anew.transpose()?.unwrap_or(storage), path, None)
                }
            }
        };
        let snapshot = open(&engine, storage, path, old, request.clone())?;
        if request.catalog.is_some() && !features::is_catalog_managed(snapshot.protocol()) {
            return Err(Error::invalid(
                "a catalog's version was given for a table that is not catalog-managed: its own \
                 log says which commits count",
            ));
        }
        Ok((snapshot, request))
    }
}

/// Opens what `request` asks for, with what is still true of an `old` snapshot.
fn open(
    engine: &Engine,
    storage: Arc<dyn Storage>,
    path: Option<String>,
    old: Option<Snapshot>,
    request: Request,
) -> Result<Snapshot> {
    let storage = Arc::new(Metered::new(storage));
    let watch = engine.pool().watch(|| Label::new(SpanKind::List, path::LOG_DIR));
    let segment = match &old {
        None => LogSegment::find(storage.as_ref(), &request)?,
        Some(old) => old.inner.log.segment.newer(storage.as_ref(), &request)?,
    };
    drop(watch);
    // An older version is no base for a newer one.
    let old = old.filter(|old| old.version() <= segment.version);
    let read = old.as_ref().map_or_else(HashMap::new, |old| old.read().clone());
    let prior = old.map(|old| old.prior());
    Snapshot::new(Log::new(engine, storage, path, segment, request, prior), read)
}

fn catalog_of(version: u64, commits: Vec<CatalogCommit>) -> Result<Catalog> {
    let commits = commits
        .into_iter()
        .zip(1..)
        .map(|(commit, place)| {
            Ok(match commit {
                CatalogCommit::Published(version) => CommitFile::published(version),
                CatalogCommit::Inline { version, content } => {
                    CommitFile { inline: Some(content), ..CommitFile::published(version) }
                }
                CatalogCommit::Staged(name) => {
                    let (version, path) = path::staged_commit(&name).ok_or_else(|| {
                        // It is not shown: a catalog's URL may hold a credential.
                        Error::invalid(format!(
                            "commit {place} of the catalog's has no staged commit's name: \
                             <version>.<uuid>.json, the version in 20 digits, without a directory \
                             or with that of staged commits"
                        ))
                    })?;
                    CommitFile { version, name: path.into(), inline: None }
                }
            })
        })
        .collect::<Result<Vec<_>>>()?;
    for pair in commits.windows(2) {
        let (before, after) = (pair[0].version, pair[1].version);
        if before.checked_add(1) != Some(after) {
            return Err(Error::invalid(format!(
                "the catalog's commits go from version {before} to {after}: they must be in \
                 order, without a gap"
            )));
        }
    }
    if let Some(last) = commits.last().filter(|last| last.version > version) {
        return Err(Error::invalid(format!(
            "the catalog's commits go up to version {}, beyond its latest version {version}",
            last.version
        )));
    }
    Ok(Catalog { version, commits })
}
