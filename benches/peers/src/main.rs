//! Readers of Delta logs, on the same tables in one run: which lists the live files
//! fastest, with how much CPU and memory, and how far each is from the least that
//! could be done.
//!
//! ```sh
//! cargo run --release --manifest-path benches/peers/Cargo.toml
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --scale 0.01 --results /tmp
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --contest rows
//! cargo run --release --manifest-path benches/peers/Cargo.toml -- --contest one-day
//! ```
//!
//! Each measurement is a child process. First every contestant runs once with every
//! value summed up, and all that deliver a value must agree; then come the rounds,
//! each with every contestant once, beginning with another one. Where a checkpoint
//! is big there is a second contest for paths and sizes alone. A ratio is never of
//! two runs of this program.
//!
//! deltalake is installed for Python below the target folder when it is first
//! asked. Linux only: memory and threads are from `/proc`.

mod chart;
mod child;
#[path = "../../floors/mod.rs"]
mod floors;
#[path = "../../log_shapes/mod.rs"]
mod log_shapes;
mod readers;
mod report;
mod rows;
mod tally;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use child::{Measured, REPEATS, Task};
use clap::{Parser, Subcommand};
use log_shapes::{Error, Result, Shape, Table};
use mimalloc::MiMalloc;
use readers::{CONTESTANTS, Columns, Contestant};
use tally::FIELDS;

// The same for all that are Rust, so that no allocator is compared.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const TABLES: [&str; 6] =
    ["checkpoint_1m", "parts_1m", "sidecars_1m", "commits_10k", "commits_40_big", "small"];
/// A tuning of the kernel that takes so many times as long as the best one in the
/// first round has no more rounds.
const TUNING_IS_OUT: f64 = 1.15;
const DELTALAKE: &str = "deltalake==1.6.6";
const PYARROW: &str = "pyarrow==22.0.0";

#[derive(Parser)]
struct Arguments {
    /// What is wanted of a table.
    #[arg(long, value_enum, default_value_t = Wanted::Files)]
    contest: Wanted,
    /// Tables of benches/log_shapes; without it those that matter.
    #[arg(long, value_delimiter = ',')]
    tables: Vec<String>,
    /// Names of contestants; all without it.
    #[arg(long, value_delimiter = ',')]
    contestants: Vec<String>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The tables' numbers of files are multiplied by it.
    #[arg(long, default_value_t = 1.0)]
    scale: f64,
    /// Workers of those that can be told; one for each core without it.
    #[arg(long)]
    threads: Option<usize>,
    /// The folder for peers.md and peers.svg, rows.md, or one_day.md.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../results"))]
    results: PathBuf,
    #[command(subcommand)]
    command: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Wanted {
    /// The live files, of a log.
    Files,
    /// The data.
    Rows,
    /// The live files of one day of 366, by a predicate on the partition column and
    /// by one on statistics.
    OneDay,
}

impl Wanted {
    fn columns(self) -> [Columns; 2] {
        match self {
            Wanted::OneDay => [Columns::OneDay, Columns::OneDayStats],
            _ => [Columns::All, Columns::Paths],
        }
    }

    fn default_tables(self) -> &'static [&'static str] {
        match self {
            Wanted::OneDay => &["checkpoint_1m", "sidecars_1m", "dated_1m", "commits_40_big"],
            _ => &TABLES,
        }
    }
}

#[derive(Subcommand)]
enum Child {
    /// One measurement; the program calls itself so.
    #[command(hide = true)]
    Child(Task),
    /// The same of the contest of rows.
    #[command(hide = true)]
    RowsChild(rows::Task),
}

/// A table, and what is wanted of it.
struct Contest {
    table: Table,
    columns: Columns,
    entries: Vec<Entry>,
    /// Who did not take part, and why.
    absent: Vec<(&'static str, String)>,
}

struct Entry {
    contestant: Contestant,
    checked: Measured,
    runs: Vec<Measured>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Child::Child(task)) => {
            println!("{}", serde_json::to_string(&child::main(task)?)?);
            return Ok(());
        }
        Some(Child::RowsChild(task)) => {
            println!("{}", serde_json::to_string(&rows::main(task)?)?);
            return Ok(());
        }
        None => {}
    }
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    if arguments.contest == Wanted::Rows {
        return rows::run(&arguments, threads);
    }
    let contestants = chosen(&arguments.contestants)?;
    let mut tables = Vec::new();
    let names = arguments.tables.iter().map(String::as_str);
    let wanted = arguments.contest;
    let default = if arguments.tables.is_empty() { wanted.default_tables() } else { &[] };
    for name in names.chain(default.iter().copied()) {
        let shape = Shape::named(name).ok_or_else(|| format!("no shape is called {name}"))?;
        tables.push(shape.scaled(arguments.scale));
    }
    let python = match contestants.iter().any(|contestant| contestant.is_python()) {
        true => python().map_err(|error| format!("could not be installed: {error}")),
        false => Err(String::new()),
    };

    let mut contests = Vec::new();
    for table in tables {
        let root = kept(table)?;
        for columns in wanted.columns() {
            if columns != Columns::Paths || table.shape.has_checkpoint() {
                let mut contest = Contest { table, columns, entries: vec![], absent: vec![] };
                contest.check(&contestants, &root, threads, &python)?;
                contest.measure(arguments.rounds, &root, threads, &python)?;
                contests.push(contest);
            }
        }
    }
    fs::create_dir_all(&arguments.results)?;
    let results = report::Run { threads, rounds: arguments.rounds, contests: &contests };
    let name = if wanted == Wanted::OneDay { "one_day.md" } else { "peers.md" };
    let results_file = arguments.results.join(name);
    fs::write(&results_file, results.markdown()?)?;
    if wanted != Wanted::OneDay {
        chart::draw(&contests, &arguments.results.join("peers.svg"))?;
    }
    eprintln!("wrote {}", results_file.display());
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<Contestant>> {
    if names.is_empty() {
        return Ok(CONTESTANTS.to_vec());
    }
    let named = |name: &String| {
        let contestant = Contestant::named(name);
        contestant.ok_or_else(|| Error::from(format!("no contestant is called {name}")))
    };
    names.iter().map(named).collect()
}

impl Contest {
    fn name(&self) -> String {
        match self.columns {
            Columns::All => self.table.shape.name.to_owned(),
            Columns::Paths => format!("{}, paths and sizes", self.table.shape.name),
            Columns::OneDay => format!("{}, where date = one day", self.table.shape.name),
            Columns::OneDayStats => {
                format!("{}, where event_date = one day", self.table.shape.name)
            }
        }
    }

    /// A table of a few files is listed over and over by one process.
    fn repeats(&self) -> usize {
        if self.table.files < 100 { REPEATS } else { 1 }
    }

    fn run(
        &self,
        contestant: Contestant,
        root: &Path,
        threads: usize,
        check: bool,
        python: &std::result::Result<PathBuf, String>,
    ) -> Result<Measured> {
        let python = match contestant.is_python() {
            true => Some(python.as_deref().map_err(String::clone)?),
            false => None,
        };
        let task = Task {
            contestant: contestant.name.to_owned(),
            root: root.to_owned(),
            columns: self.columns,
            threads,
            repeats: self.repeats(),
            check,
        };
        let measured = child::run(&task, python)?;
        let expected = contestant.files_expected(self.table, self.columns);
        match measured.tally.files == expected {
            true => Ok(measured),
            false => {
                Err(format!("{} live files, expected {expected}", measured.tally.files).into())
            }
        }
    }

    /// Runs every contestant once, untimed, and compares all that they list.
    fn check(
        &mut self,
        contestants: &[Contestant],
        root: &Path,
        threads: usize,
        python: &std::result::Result<PathBuf, String>,
    ) -> Result<()> {
        for &contestant in contestants {
            if !contestant.takes_part(self.table, self.columns) {
                continue;
            }
            eprintln!("{}: checking {}", self.name(), contestant.name);
            match self.run(contestant, root, threads, true, python) {
                Ok(checked) => self.entries.push(Entry { contestant, checked, runs: vec![] }),
                // That another project cannot read a table is a result.
                Err(error) if contestant.is_python() || contestant.is_kernel() => {
                    eprintln!("{}: {} is absent: {error}", self.name(), contestant.name);
                    self.absent.push((contestant.name, error.to_string()));
                }
                Err(error) => {
                    return Err(format!("{}: {}: {error}", self.name(), contestant.name).into());
                }
            }
        }

        for (field, names) in FIELDS.iter().enumerate() {
            let mut groups = BTreeMap::<u64, Vec<&str>>::new();
            for Entry { contestant, checked, .. } in &self.entries {
                if let Some(sum) = checked.tally.checksums[field]
                    && !contestant.skips_commits(self.table)
                {
                    groups.entry(sum).or_default().push(contestant.name);
                }
            }
            if groups.len() > 1 {
                let groups: Vec<_> = groups.values().map(|names| names.join(", ")).collect();
                let groups = groups.join(" / ");
                return Err(format!("{}: {} differs: {groups}", self.name(), names[0]).into());
            }
        }
        Ok(())
    }

    fn measure(
        &mut self,
        rounds: usize,
        root: &Path,
        threads: usize,
        python: &std::result::Result<PathBuf, String>,
    ) -> Result<()> {
        let count = self.entries.len();
        for round in 0..rounds {
            for i in 0..count {
                let place = (i + round) % count;
                let Entry { contestant, checked, .. } = &self.entries[place];
                if self.is_out(&self.entries[place], round) {
                    continue;
                }
                let measured = self.run(*contestant, root, threads, false, python)?;
                let (tally, expected) = (&measured.tally, &checked.tally);
                if (tally.files, tally.bytes) != (expected.files, expected.bytes) {
                    let name = contestant.name;
                    return Err(format!("{}: {name} lists other files", self.name()).into());
                }
                eprintln!(
                    "{}: round {}: {} {:.4} s",
                    self.name(),
                    round + 1,
                    contestant.name,
                    measured.wall_s
                );
                self.entries[place].runs.push(measured);
            }
        }
        Ok(())
    }

    /// Some tunings of the kernel take many times as long as others, and only its
    /// best counts: the first round decides which are worth the others.
    fn is_out(&self, entry: &Entry, round: usize) -> bool {
        let is_tuned = entry.contestant.is_kernel() && entry.contestant.name != "kernel";
        let first = |entry: &Entry| entry.runs.first().map(|run| run.wall_s);
        let Some(wall_s) = first(entry) else { return false };
        let kernels = self.entries.iter().filter(|entry| entry.contestant.is_kernel());
        let best_s = kernels.filter_map(first).fold(wall_s, f64::min);
        round > 0 && is_tuned && wall_s > best_s * TUNING_IS_OUT
    }
}

impl Entry {
    /// The median over the rounds.
    fn median(&self, value: impl Fn(&Measured) -> f64) -> f64 {
        child::median(self.runs.iter().map(value).collect())
    }

    fn wall_s(&self) -> f64 {
        self.median(|run| run.wall_s)
    }
}

/// The table's folder, made now if it is not there, and read so that its pages are
/// in memory.
fn kept(table: Table) -> Result<PathBuf> {
    let root = fs::canonicalize(table.kept_in(&folder())?)?;
    let log = floors::LogFiles::of(&root);
    let files: Vec<_> = log.commits.iter().chain(&log.checkpoint).cloned().collect();
    warmed(&files)?;
    Ok(root)
}

/// Where tables are kept.
fn folder() -> PathBuf {
    std::env::var_os("DELTA_BENCH_TABLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-tables"),
        PathBuf::from,
    )
}

/// Reads files, so that their pages are in memory, and gives their bytes.
fn warmed(files: &[PathBuf]) -> Result<u64> {
    let mut bytes = 0;
    for path in files {
        bytes += io::copy(&mut File::open(path)?, &mut io::sink())?;
    }
    Ok(bytes)
}

/// The interpreter of a virtual environment that has deltalake.
fn python() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("no target folder")?;
    let environment = target.join(DELTALAKE.replace("==", "-"));
    let python = environment.join("bin/python");
    // Written last, so an installation that was interrupted is none.
    let finished = environment.join("finished");
    if !finished.exists() {
        let run = |command: &mut Command| -> Result<()> {
            let output = command.output()?;
            match output.status.success() {
                true => Ok(()),
                false => Err(String::from_utf8_lossy(&output.stderr).trim().into()),
            }
        };
        eprintln!("installing {DELTALAKE} in {}", environment.display());
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        run(Command::new(&python).args(["-m", "pip", "install", "-q", DELTALAKE, PYARROW]))?;
        fs::write(&finished, "")?;
    }
    Ok(python)
}
