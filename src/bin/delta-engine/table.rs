//! Which table, and which version of it.

use std::io::{self, Write};

use clap::Args;
use delta_engine::{CatalogCommit, Engine, EngineBuilder, EventLevel, Snapshot, SnapshotBuilder};

use crate::Failure;
use crate::text::printable;

#[derive(Args)]
pub(crate) struct Table {
    /// The table: a path or a file:// URL
    table: String,

    /// Look at this version of the table instead of the latest
    #[arg(long, value_name = "N")]
    version: Option<u64>,

    /// Of a catalog-managed table: its latest version, as its catalog knows it
    #[arg(long, value_name = "N")]
    catalog_version: Option<u64>,

    /// Of a catalog-managed table: a ratified commit in _delta_log/_staged_commits,
    /// by its name; for several, the oldest first
    #[arg(long, value_name = "FILE", requires = "catalog_version")]
    staged: Vec<String>,
}

impl Table {
    pub(crate) fn name(&self) -> &str {
        &self.table
    }

    /// What was asked for.
    pub(crate) fn open(&self, engine: &Engine) -> Result<Snapshot, Failure> {
        Ok(self.builder(engine).snapshot()?)
    }

    fn builder(&self, engine: &Engine) -> SnapshotBuilder {
        let mut builder = engine.open(&self.table);
        if let Some(version) = self.version {
            builder = builder.version(version);
        }
        if let Some(version) = self.catalog_version {
            builder =
                builder.catalog(version, self.staged.iter().cloned().map(CatalogCommit::Staged));
        }
        builder
    }
}

/// An engine whose warnings go to stderr.
pub(crate) fn engine() -> EngineBuilder {
    Engine::builder().on_event(|event| {
        if event.level == EventLevel::Warning {
            let _ = writeln!(io::stderr(), "delta-engine: warning: {}", printable(event.message));
        }
    })
}
