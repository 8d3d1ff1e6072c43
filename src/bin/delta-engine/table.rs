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

    /// Of a catalog-managed table: its latest version, as its catalog knows it
    #[arg(long, value_name = "N")]
    catalog_version: Option<u64>,

    /// Of a catalog-managed table: a ratified commit in _delta_log/_staged_commits,
    /// by its name; for several, the oldest first
    #[arg(long, value_name = "FILE", requires = "catalog_version")]
    staged: Vec<String>,
}

/// A version of a table; the latest, if none is named.
#[derive(Args)]
pub(crate) struct Version {
    #[command(flatten)]
    pub(crate) table: Table,

    /// Look at this version of the table instead of the latest
    #[arg(long, value_name = "N")]
    version: Option<u64>,
}

impl Version {
    /// What was asked for.
    pub(crate) fn open(&self, engine: &Engine) -> Result<Snapshot, Failure> {
        let builder = self.table.builder(engine);
        Ok(match self.version {
            Some(version) => builder.version(version).snapshot()?,
            None => builder.snapshot()?,
        })
    }
}

impl Table {
    pub(crate) fn name(&self) -> &str {
        &self.table
    }

    pub(crate) fn builder(&self, engine: &Engine) -> SnapshotBuilder {
        let mut builder = engine.open(&self.table);
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
