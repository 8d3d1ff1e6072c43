//! `demo`: makes a table, then looks at it with the commands a person would use.
//!
//! The table is the log of a busy event table just after a checkpoint, or of
//! another shape that the benches know: every name and number in it follows from
//! a seed, so two demos list the same. Its data files do not exist, because
//! listing a table never opens them; a smaller table has them when it is asked for
//! by its number of rows. The commands run as processes of their own,
//! so that what they report is theirs.

use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use clap::Args;
use clap::builder::PossibleValuesParser;
use indicatif::{BinaryBytes, HumanCount};

use crate::Failure;
use crate::log_shapes::rows::DataTable;
use crate::log_shapes::{SHAPES, Shape};

/// What is made when nothing is asked for: the shape, and its files.
const SHAPE: &str = "checkpoint_1m";
const FILES: u64 = 200_000;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The shape of the table's log. Without it, 200,000 files in one checkpoint
    /// with some commits after it
    #[arg(long, value_name = "NAME",
          value_parser = PossibleValuesParser::new(SHAPES.iter().map(|shape| shape.name)))]
    shape: Option<String>,

    /// The files that the table's checkpoint lists, or that its commits add where
    /// the shape has no checkpoint [default: as many as the shape is named for]
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    files: Option<u64>,

    /// Instead, a table that has data: so many rows in ten files, a tenth of them
    /// deleted by deletion vectors
    #[arg(long, value_name = "N", conflicts_with_all = ["shape", "files"],
          value_parser = clap::value_parser!(u64).range(10..=100_000_000))]
    rows: Option<u64>,

    /// Make the table in this new or empty folder, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Makes the table, and shows it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Dropped, and so removed, at the end: also when a command fails.
    let mut temporary = None;
    let root = match &arguments.keep {
        Some(folder) => folder.clone(),
        None => {
            let made = tempfile::Builder::new().prefix("delta-engine-demo-").tempdir();
            let made = made.map_err(|e| Failure::said(format!("no temporary folder: {e}")))?;
            temporary.insert(made).path().to_owned()
        }
    };

    match arguments.rows {
        Some(rows) => demonstrate_rows(&root, rows)?,
        None => demonstrate_files(&root, arguments)?,
    }

    match temporary {
        Some(folder) => {
            folder.close().map_err(Failure::said)?;
            say(format_args!("\nremoved it; --keep DIR keeps it"))
        }
        None => say(format_args!("\nkept it in {}", root.display())),
    }
}

/// A table whose log is big, and that has no data.
fn demonstrate_files(root: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let name = arguments.shape.as_deref().unwrap_or(SHAPE);
    let shape = Shape::named(name).ok_or_else(|| Failure::said(format!("no shape {name}")))?;
    let default = if arguments.shape.is_some() { shape.files } else { FILES };
    let table = shape.table(arguments.files.unwrap_or(default));

    let started = Instant::now();
    let made = table
        .write(root)
        .map_err(|e| Failure::said(format!("cannot make a table in {}: {e}", root.display())))?;
    let seconds = started.elapsed().as_secs_f64();
    say(format_args!("made {} in {seconds:.1} s", root.display()))?;
    if shape.has_checkpoint() {
        say(format_args!(
            "  a checkpoint of {adds} adds and {removes} removes in {files}, {bytes}",
            adds = HumanCount(table.checkpoint_adds()),
            removes = HumanCount(table.tombstones()),
            files = table.checkpoint_files(),
            bytes = BinaryBytes(made.checkpoint_bytes),
        ))?;
    }
    say(format_args!(
        "  {commits} commits{after} of {adds} adds and {removes} removes in all, {bytes}\n  \
         so {live} live files; no data files, for a listing opens none",
        commits = HumanCount(table.commits()),
        after = if shape.has_checkpoint() { " after it" } else { "" },
        adds = HumanCount(table.commit_adds()),
        removes = HumanCount(table.commit_removes()),
        bytes = BinaryBytes(made.commit_bytes),
        live = HumanCount(table.live_files()),
    ))?;

    show(root, &["snapshot"], usize::MAX)?;
    let few = ["files", "--columns", "path,size,modification_time,num_records"];
    show(root, &few, 5)?;
    show(root, &["files", "--format", "none", "--summary"], usize::MAX)
}

/// A table with data.
fn demonstrate_rows(root: &Path, rows: u64) -> Result<(), Failure> {
    const FILES: u64 = 10;
    let table =
        DataTable { name: "demo", files: FILES, rows_a_file: rows / FILES, has_vectors: true };
    let started = Instant::now();
    let bytes = table
        .write(root)
        .map_err(|e| Failure::said(format!("cannot make a table in {}: {e}", root.display())))?;
    let seconds = started.elapsed().as_secs_f64();
    say(format_args!(
        "made {} in {seconds:.1} s\n  {FILES} data files of {} rows together, {}",
        root.display(),
        HumanCount(table.rows()),
        BinaryBytes(bytes),
    ))?;
    show(root, &["files", "--columns", "path,size,num_records,deletion_vector"], 5)?;
    show(root, &["rows", "--columns", "id,customer,price,day,status", "--limit", "5"], usize::MAX)?;
    show(root, &["rows", "--limit", "2", "--format", "jsonl"], usize::MAX)?;
    show(root, &["rows", "--count"], usize::MAX)?;
    show(root, &["rows", "--format", "none", "--summary"], usize::MAX)
}

fn say(line: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::of_output)
}

/// Runs this program on the table with `arguments`, and shows its first lines.
fn show(root: &Path, arguments: &[&str], lines_max: usize) -> Result<(), Failure> {
    let head = match lines_max {
        usize::MAX => String::new(),
        lines => format!(" | head -n {lines}"),
    };
    let (command, options) = arguments.split_first().unwrap_or((&"", &[]));
    let options: String = options.iter().map(|option| format!(" {option}")).collect();
    say(format_args!("\n$ delta-engine {command} {}{options}{head}", root.display()))?;

    let program = std::env::current_exe()
        .map_err(|e| Failure::said(format!("cannot find this program: {e}")))?;
    let mut child = Command::new(program)
        .arg(command)
        .arg(root)
        .args(&arguments[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::said(format!("cannot run this program: {e}")))?;
    let output = child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines());
    let shown = output.take(lines_max).try_for_each(|line| match line {
        Ok(line) => say(format_args!("{line}")),
        Err(error) => Err(Failure::said(error)),
    });
    // The pipe is closed by now, so a command cut short ends as well.
    let status = child.wait().map_err(Failure::said)?;
    shown?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::said(format!("the command above failed: {status}"))),
    }
}
