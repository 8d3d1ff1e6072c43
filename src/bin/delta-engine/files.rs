//! `files`: the live files of a table.

use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use delta_engine::FILE_COLUMNS;

use crate::Failure;
use crate::output::{Holds, Output};
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

    /// Where one commit adds and removes the same file, which the protocol
    /// forbids, let its last action win
    #[arg(long)]
    last_action_wins: bool,

    /// Where the list is not what the table's own counts say, warn instead of
    /// failing
    #[arg(long)]
    disagreements_warn: bool,

    #[command(flatten)]
    output: Output,
}

/// Lists what `arguments` ask for; `started` is when the program did.
pub(crate) fn run(arguments: &Arguments, started: Instant) -> Result<(), Failure> {
    let Arguments { version, columns, output, .. } = arguments;
    output.print(Holds::Files, version.table.name(), started, |engine| {
        let mut scan = output.scan(version.open(engine)?.scan(), columns);
        if arguments.last_action_wins {
            scan = scan.last_action_wins();
        }
        if arguments.disagreements_warn {
            scan = scan.disagreements_warn();
        }
        Ok(scan.files()?)
    })
}
