//! `files`: the live files of a table.

use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use delta_engine::{FILE_COLUMNS, Scan};

use crate::Failure;
use crate::filter::Filter;
use crate::output::{Holds, Opened, Output};
use crate::table::Version;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    version: Version,

    /// The columns to list, in this order
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        value_parser = PossibleValuesParser::new(FILE_COLUMNS.iter().copied())
    )]
    columns: Vec<String>,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    leniency: Leniency,

    #[command(flatten)]
    output: Output,
}

/// What of a log is no error when it is asked for.
#[derive(Args)]
pub(crate) struct Leniency {
    /// Where one commit adds and removes the same file, which the protocol
    /// forbids, let its last action win
    #[arg(long)]
    last_action_wins: bool,

    /// Where the live files are not what the table's own counts say, warn instead
    /// of failing
    #[arg(long)]
    disagreements_warn: bool,
}

impl Leniency {
    /// `scan` with what was asked for.
    pub(crate) fn of(&self, mut scan: Scan) -> Scan {
        if self.last_action_wins {
            scan = scan.last_action_wins();
        }
        if self.disagreements_warn {
            scan = scan.disagreements_warn();
        }
        scan
    }
}

/// Lists what `arguments` ask for; `started` is when the program did.
pub(crate) fn run(arguments: &Arguments, started: Instant) -> Result<(), Failure> {
    let Arguments { version, columns, filter, leniency, output } = arguments;
    output.print(Holds::Files, version.table.name(), started, |engine| {
        let scan = output.scan(version.open(engine)?.scan(), columns);
        Ok(Opened::of(leniency.of(filter.of(scan)?), Scan::files)?)
    })
}
