//! Which table, and which version of it.

use std::io::{self, Write};

use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::TimestampMillisecondType;
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
    #[arg(long, value_name = "N", conflicts_with = "timestamp")]
    version: Option<u64>,

    /// Look at the table as it was at this time: 2026-01-31, 2026-01-31T12:00:00Z,
    /// UTC where no zone is named, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = millis_of, allow_hyphen_values = true)]
    timestamp: Option<i64>,
}

impl Version {
    /// What was asked for.
    pub(crate) fn open(&self, engine: &Engine) -> Result<Snapshot, Failure> {
        let mut builder = self.table.builder(engine);
        if let Some(version) = self.version {
            builder = builder.version(version);
        }
        if let Some(ms) = self.timestamp {
            builder = builder.timestamp(ms);
        }
        Ok(builder.snapshot()?)
    }
}

/// A point in time as milliseconds since the Unix epoch.
fn millis_of(text: &str) -> Result<i64, String> {
    let millis = text.parse().ok().or_else(|| TimestampMillisecondType::parse(text));
    millis.ok_or_else(|| "no time such as 2026-01-31T12:00:00Z, nor milliseconds".to_owned())
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
            warn(event.message);
        }
    })
}

/// Says on stderr what is odd and no reason to stop.
pub(crate) fn warn(message: &str) {
    let _ = writeln!(io::stderr(), "delta-engine: warning: {}", printable(message));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_a_moment_or_milliseconds() {
        for (text, millis) in [
            ("0", 0),
            ("-1", -1),
            ("1717200000123", 1_717_200_000_123),
            ("2024-06-01", 1_717_200_000_000),
            ("2024-06-01T00:00:00.123Z", 1_717_200_000_123),
            ("2024-06-01 02:00:00+02:00", 1_717_200_000_000),
        ] {
            assert_eq!(millis_of(text), Ok(millis), "{text}");
        }
        for text in ["", "yesterday", "2024-13-01", "1e9"] {
            assert!(millis_of(text).is_err(), "{text}");
        }
    }
}
