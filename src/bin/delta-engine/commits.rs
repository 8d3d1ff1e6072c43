//! `changes`, `change-rows`, `actions` and `history`: what the commits of a range of
//! versions say.

use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use delta_engine::{
    ACTION_COLUMNS, ACTION_KINDS, CHANGE_COLUMNS, Engine, FILE_COLUMNS, HISTORY_COLUMNS,
    HistoryOptions, Snapshot,
};

use crate::Failure;
use crate::output::{Holds, Opened, Output};
use crate::rows::Reading;
use crate::table::{Table, Version};

#[derive(Args)]
pub(crate) struct Changes {
    #[command(flatten)]
    range: Range,

    /// The columns to print, in this order
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        value_parser = one_of(CHANGE_COLUMNS)
    )]
    columns: Vec<String>,

    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(crate) struct ChangeRows {
    #[command(flatten)]
    range: Range,

    #[command(flatten)]
    reading: Reading,

    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(crate) struct Actions {
    #[command(flatten)]
    range: Range,

    /// The actions to print
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(ACTION_KINDS.iter().copied())
    )]
    kinds: Vec<String>,

    /// The columns to print, in this order
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        value_parser = one_of(ACTION_COLUMNS)
    )]
    columns: Vec<String>,

    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(crate) struct History {
    #[command(flatten)]
    version: Version,

    /// So many commits at the most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// No commit older than this version
    #[arg(long, value_name = "N")]
    from: Option<u64>,

    /// The columns to print, in this order
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(HISTORY_COLUMNS.iter().copied())
    )]
    columns: Vec<String>,

    #[command(flatten)]
    output: Output,
}

/// The versions of a table from one to another.
#[derive(Args)]
struct Range {
    #[command(flatten)]
    table: Table,

    /// The version to begin with; of changes, the version that is known
    #[arg(long, value_name = "N")]
    from: u64,

    /// The version to end with [default: the latest]
    #[arg(long, value_name = "N")]
    to: Option<u64>,
}

impl Range {
    fn open(&self, engine: &Engine) -> Result<Snapshot, Failure> {
        let builder = self.table.builder(engine);
        Ok(match self.to {
            Some(version) => builder.version(version).snapshot()?,
            None => builder.snapshot()?,
        })
    }
}

fn one_of(columns: &[&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(columns.iter().chain(FILE_COLUMNS).copied())
}

/// Prints what became of the files between two versions.
pub(crate) fn changes(arguments: &Changes, started: Instant) -> Result<(), Failure> {
    let Changes { range, columns, output } = arguments;
    output.print(Holds::Files, range.table.name(), started, |engine| {
        let scan = output.scan(range.open(engine)?.scan(), columns);
        Ok(Opened::of(scan, |scan| scan.changes_since(range.from))?)
    })
}

/// Prints the rows that the versions of a range inserted, updated and deleted.
pub(crate) fn change_rows(arguments: &ChangeRows, started: Instant) -> Result<(), Failure> {
    let ChangeRows { range, reading, output } = arguments;
    output.print(Holds::Rows, range.table.name(), started, |engine| {
        let scan = reading.of(range.open(engine)?.scan(), output)?;
        Ok(Opened::of(scan, |scan| scan.change_rows(range.from))?)
    })
}

/// Prints who committed what, and when, the newest commit first.
pub(crate) fn history(arguments: &History, started: Instant) -> Result<(), Failure> {
    let History { version, limit, from, columns, output } = arguments;
    output.print(Holds::Files, version.table.name(), started, |engine| {
        let snapshot = version.open(engine)?;
        let mut options = HistoryOptions::new();
        if let Some(from) = *from {
            if from > snapshot.version() {
                return Err(Failure::said(format_args!(
                    "no history from version {from} down to version {}",
                    snapshot.version()
                )));
            }
            options = options.versions(from..=snapshot.version());
        }
        if let Some(limit) = *limit {
            options = options.limit(limit);
        }
        let scan = output.scan(snapshot.scan(), columns);
        Ok(Opened::of(scan, |scan| scan.history(&options))?)
    })
}

/// Prints the actions of the commits from one version to another.
pub(crate) fn actions(arguments: &Actions, started: Instant) -> Result<(), Failure> {
    let Actions { range, kinds, columns, output } = arguments;
    output.print(Holds::Files, range.table.name(), started, |engine| {
        let snapshot = range.open(engine)?;
        let mut scan = output.scan(snapshot.scan(), columns);
        if !kinds.is_empty() {
            scan = scan.action_kinds(kinds);
        }
        Ok(Opened::of(scan, |scan| scan.actions(range.from..=snapshot.version()))?)
    })
}
