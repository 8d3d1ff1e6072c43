//! Which version of which table is to be opened.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Snapshot;
use super::log::Log;
use crate::delta_log::path;
use crate::delta_log::segment::{Catalog, CommitFile, LogSegment, Request};
use crate::engine::Engine;
use crate::error::{Error, Result, escaped};
use crate::span::{Label, SpanKind};
use crate::storage::{self, Metered, Storage};

/// Which version of which table is to be opened. Without more, the latest.
#[must_use]
pub struct SnapshotBuilder {
    engine: Engine,
    table: Table,
    version: Option<u64>,
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
    /// A file in `_delta_log/_staged_commits`, by its name: `<version>.<uuid>.json`.
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

impl SnapshotBuilder {
    fn new(engine: &Engine, table: Table) -> Self {
        SnapshotBuilder { engine: engine.clone(), table, version: None, catalog: None }
    }

    /// This version, instead of the latest.
    pub fn version(mut self, version: u64) -> Self {
        self.version = Some(version);
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
    /// As [`Engine::snapshot_at`]; and `InvalidArgument` where the catalog's
    /// commits have a gap, go beyond its version, or are not named as staged
    /// commits are.
    pub fn snapshot(self) -> Result<Snapshot> {
        let SnapshotBuilder { engine, table, version, catalog } = self;
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
        Snapshot::new(Log::new(&engine, storage, path, segment, request, prior), read)
    }
}

fn catalog_of(version: u64, commits: Vec<CatalogCommit>) -> Result<Catalog> {
    let commits = commits
        .into_iter()
        .map(|commit| {
            Ok(match commit {
                CatalogCommit::Published(version) => CommitFile::published(version),
                CatalogCommit::Inline { version, content } => {
                    CommitFile { inline: Some(content), ..CommitFile::published(version) }
                }
                CatalogCommit::Staged(name) => {
                    let (version, path) = path::staged_commit(&name).ok_or_else(|| {
                        Error::invalid(format!(
                            "\"{}\" is no staged commit's name: <version>.<uuid>.json, the \
                             version in 20 digits",
                            escaped(&name)
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
