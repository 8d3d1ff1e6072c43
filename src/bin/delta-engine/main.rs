//! The command line: a look at a Delta table from a shell.
//!
//! It uses the library as any other program does, through its public API. What
//! was asked for goes to stdout; the summary, the progress and the one line of
//! an error go to stderr, and below it the place in a text that it is about. It exits with 0 when the answer is complete or nobody
//! reads it any more, 1 when there is none, 2 when the question made no sense.

mod chrome_trace;
mod commits;
mod demo;
mod describe;
mod explain;
mod files;
mod filter;
#[path = "../../../benches/log_shapes/mod.rs"]
mod log_shapes;
mod output;
mod recording;
mod rows;
mod sink;
mod summary;
mod table;
mod text;
mod timeline;
mod values;

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use arrow::error::ArrowError;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use parquet::errors::ParquetError;

#[derive(Parser)]
#[command(name = "delta-engine", version, about = "Looks at Delta Lake tables")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lists the live files of a table
    Files(files::Arguments),
    /// Prints the rows of a table
    Rows(rows::Arguments),
    /// Prints what became of a table's files between two versions
    Changes(commits::Changes),
    /// Prints the rows that a range of versions inserted, updated and deleted, the
    /// oldest first
    ChangeRows(commits::ChangeRows),
    /// Prints the actions of a range of commits, the oldest first
    Actions(commits::Actions),
    /// Prints who committed what, and when, the newest commit first
    History(commits::History),
    /// Tells what a filter asks of a table, and which files it spares to read
    Explain(explain::Arguments),
    /// Describes one version of a table: protocol, metadata, properties
    Snapshot(describe::Arguments),
    /// Prints the schema of a table
    Schema(describe::Arguments),
    /// Prints the table properties in force, and which of them are set
    Properties(describe::Arguments),
    /// Makes a table in a temporary folder, and lists it
    Demo(demo::Arguments),
}

fn main() -> ExitCode {
    let started = Instant::now();
    let outcome = match Arguments::parse().command {
        Command::Files(arguments) => files::run(&arguments, started),
        Command::Rows(arguments) => rows::run(&arguments, started),
        Command::Changes(arguments) => commits::changes(&arguments, started),
        Command::ChangeRows(arguments) => commits::change_rows(&arguments, started),
        Command::Actions(arguments) => commits::actions(&arguments, started),
        Command::History(arguments) => commits::history(&arguments, started),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Snapshot(arguments) => describe::snapshot(&arguments),
        Command::Schema(arguments) => describe::schema(&arguments),
        Command::Properties(arguments) => describe::properties(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
    };
    match outcome {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            let error = Arguments::command().error(ErrorKind::ArgumentConflict, message);
            let _ = error.print();
            ExitCode::from(2)
        }
        Err(Failure::Said(message)) => {
            // Not `eprintln`, which panics when stderr is closed too.
            let _ = writeln!(io::stderr(), "delta-engine: {}", text::printable(&message));
            ExitCode::FAILURE
        }
        Err(Failure::Text(message, shown)) => {
            let message = text::printable(&message);
            let shown = shown.map_or_else(String::new, |shown| shown + "\n");
            let _ = write!(io::stderr(), "delta-engine: {message}\n{shown}");
            ExitCode::from(2)
        }
    }
}

/// Why a command ended early.
enum Failure {
    /// Whoever read stdout has seen enough (`| head`). Not an error.
    OutputClosed,
    /// The arguments contradict each other.
    Usage(&'static str),
    /// What to say on stderr.
    Said(String),
    /// What is wrong with a text that was given, and the place in it, to be shown as
    /// it is.
    Text(String, Option<String>),
}

impl Failure {
    fn said(message: impl fmt::Display) -> Self {
        Failure::Said(message.to_string())
    }

    /// What a failed write to stdout means.
    fn of_output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Said(format!("cannot write the output: {error}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::OutputClosed => f.write_str("the reader of the output has left"),
            Failure::Usage(message) => f.write_str(message),
            Failure::Said(message) | Failure::Text(message, _) => f.write_str(message),
        }
    }
}

impl From<delta_engine::Error> for Failure {
    fn from(error: delta_engine::Error) -> Self {
        Failure::said(error)
    }
}

impl From<ParquetError> for Failure {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(error) => match error.downcast::<io::Error>() {
                Ok(error) => Failure::of_output(*error),
                Err(error) => Failure::said(error),
            },
            error => Failure::said(error),
        }
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::IoError(_, error) => Failure::of_output(error),
            error => Failure::said(error),
        }
    }
}
