//! `rows`: the data of a table.

use std::io::{self, Write};
use std::time::Instant;

use clap::Args;
use delta_engine::Scan;

use crate::Failure;
use crate::files::Leniency;
use crate::filter::Filter;
use crate::output::{Holds, Opened, Output};
use crate::table::Version;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    version: Version,

    #[command(flatten)]
    reading: Reading,

    /// Print only how many rows there are: as the log tells, or with --where, by
    /// reading its columns
    #[arg(long, conflicts_with_all = ["columns", "limit", "unordered", "outside_root", "whole_files",
                                      "format", "output", "summary", "trace", "timeline"])]
    count: bool,

    #[command(flatten)]
    leniency: Leniency,

    #[command(flatten)]
    output: Output,
}

/// What is read of data files.
#[derive(Args)]
pub(crate) struct Reading {
    /// The columns to read, in this order, and fields within them: id,address.city.
    /// Backticks stand about a name with a dot or a comma [default: all of the
    /// table's]
    #[arg(long, value_name = "A,B.C", value_parser = paths)]
    columns: Option<Paths>,

    /// So many rows at the most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,

    /// Print rows as they are decoded, in no order
    #[arg(long)]
    unordered: bool,

    /// Read data files and deletion vectors that lie outside the table's folder
    /// too, as those of a shallow clone do
    #[arg(long)]
    outside_root: bool,

    #[command(flatten)]
    filter: Filter,

    /// With --where, print all rows of what has to be decoded for the wanted ones
    #[arg(long, requires = "sql")]
    whole_files: bool,
}

impl Reading {
    /// `scan` with what was asked for, of it and of its `output`.
    pub(crate) fn of(&self, scan: Scan, output: &Output) -> Result<Scan, Failure> {
        let columns = self.columns.as_ref().map_or(&[][..], |paths| &paths.0);
        let mut scan = self.filter.of(output.scan(scan, columns))?;
        if self.whole_files {
            scan = scan.whole_files();
        }
        if let Some(rows) = self.limit {
            scan = scan.limit(rows);
        }
        if self.unordered {
            scan = scan.unordered();
        }
        if self.outside_root {
            scan = scan.reads_outside_root();
        }
        Ok(scan)
    }
}

/// Prints what `arguments` ask for; `started` is when the program did.
pub(crate) fn run(arguments: &Arguments, started: Instant) -> Result<(), Failure> {
    let Arguments { version, reading, count, leniency, output } = arguments;
    if *count {
        let snapshot = version.open(&output.engine(None)?)?;
        let scan = leniency.of(reading.filter.of(snapshot.scan())?);
        let rows = match scan.predicate() {
            None => scan.count()?,
            // The log does not say. No column of the files is read but the filter's.
            Some(_) => {
                let mut rows = scan.columns(["_metadata.row_index"]).rows()?;
                rows.try_fold(0, |rows, batch| batch.map(|batch| rows + batch.num_rows() as u64))?
            }
        };
        return writeln!(io::stdout(), "{rows}").map_err(Failure::of_output);
    }
    output.print(Holds::Rows, version.table.name(), started, |engine| {
        let scan = reading.of(version.open(engine)?.scan(), output)?;
        Ok(Opened::of(leniency.of(scan), Scan::rows)?)
    })
}

/// Paths of columns.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Paths(Vec<String>);

/// The paths between commas that stand in no backticks.
fn paths(text: &str) -> Result<Paths, String> {
    let mut is_quoted = false;
    let paths = text.split(|c| {
        is_quoted ^= c == '`';
        c == ',' && !is_quoted
    });
    let paths: Vec<_> = paths.map(str::to_owned).collect();
    match is_quoted {
        true => Err("a backtick has no other one".to_owned()),
        false => Ok(Paths(paths)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_within_backticks_are_part_of_a_name() {
        let of = |text| paths(text).map(|paths| paths.0);
        assert_eq!(of("id"), Ok(vec!["id".to_owned()]));
        let two = vec!["a.b".to_owned(), "`x,y`.`.`".to_owned()];
        assert_eq!(of("a.b,`x,y`.`.`"), Ok(two));
        assert_eq!(of("`a``,`,b"), Ok(vec!["`a``,`".to_owned(), "b".to_owned()]));
        assert!(of("`a,b").is_err());
    }
}
