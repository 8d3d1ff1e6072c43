//! The results as Markdown.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::child::REPEATS;
use crate::log_shapes::{Result, Table};
use crate::readers::{CONTESTANTS, Contestant};
use crate::{Contest, DELTALAKE, Entry, PYARROW};

pub(crate) struct Run<'a> {
    pub(crate) threads: usize,
    pub(crate) rounds: usize,
    pub(crate) contests: &'a [Contest],
}

impl Run<'_> {
    pub(crate) fn markdown(&self) -> Result<String> {
        let mut text = String::from("# Readers of Delta logs, compared\n\n");
        for (name, value) in facts(self.threads, self.rounds)? {
            writeln!(text, "- {name}: {value}")?;
        }
        text.push_str(METHOD);
        let has_picture = |contest: &Contest| contest.columns.date().is_none();
        if self.contests.iter().any(|contest| contest.entries.len() > 1 && has_picture(contest)) {
            text.push_str("\n![Wall time over the floor](peers.svg)\n");
        }
        text.push_str("\n## Contestants\n\n");
        for Contestant { name, about, .. } in CONTESTANTS {
            writeln!(text, "- `{name}`: {about}")?;
        }
        text.push_str(LIMITS);
        for contest in self.contests {
            contest.append(&mut text)?;
        }
        Ok(text)
    }
}

/// What the numbers depend on.
pub(crate) fn facts(threads: usize, rounds: usize) -> Result<Vec<(&'static str, String)>> {
    let first = |path: &str, name: &str| -> Result<String> {
        let text = fs::read_to_string(path)?;
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or("");
        Ok(line.split_once(':').map_or(line, |(_, value)| value).trim().to_owned())
    };
    let memory = first("/proc/meminfo", "MemTotal")?;
    let memory: u64 = memory.trim_end_matches(" kB").parse()?;
    let cores = std::thread::available_parallelism()?;
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments = match arguments.is_empty() {
        true => String::new(),
        false => format!(" -- {}", arguments.join(" ")),
    };
    Ok(vec![
        ("date", said("date", &["-u", "+%Y-%m-%d"])),
        (
            "machine",
            format!(
                "{}, {cores} cores, {} GiB, Linux {}",
                first("/proc/cpuinfo", "model name")?,
                memory >> 20,
                fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
            ),
        ),
        (
            "command",
            format!("`cargo run --release --manifest-path benches/peers/Cargo.toml{arguments}`"),
        ),
        ("delta-engine", format!("{} at {}", locked("delta-engine"), commit())),
        (
            "others",
            format!(
                "delta_kernel {}, {DELTALAKE}, {PYARROW}, {}; arrow {}, parquet {}, mimalloc {}, {}",
                locked("delta_kernel"),
                said("python3", &["--version"]),
                locked("arrow"),
                locked("parquet"),
                locked("mimalloc"),
                said("rustc", &["--version"]),
            ),
        ),
        ("threads", format!("{} for whoever can be told", threads)),
        ("rounds", rounds.to_string()),
    ])
}

const METHOD: &str = "
A measurement is a process of its own, with the log's pages in memory. The clock runs from before
the reader is made (its threads and runtimes included) to when all is freed; `first` is when the
first batch is there. Each round runs every contestant once, beginning with another one; the numbers
are medians over the rounds, and `cores` is CPU by wall time. A tuning of the kernel that takes 1.15
times as long as its best in the first round has no more of them, as `runs` says. `peak` is the
process's resident memory. `threads` is the most that the process had between two batches, its main
thread included, in a run that is not timed. All Rust contestants have mimalloc.

Wanted are path, size, modification time, partition values, stats text and deletion vector of each
live file, as Arrow; in the contests for paths and sizes these two alone, and in those of one day of
the files of that day alone, by a predicate. In a run that is not timed
all values of all files are hashed: whoever delivers a value has delivered the same one. In the timed
runs only files are counted and sizes summed up.
";

const LIMITS: &str = "
The kernel also delivers tags and row tracking, which cannot be left out; its selection vector is
applied when files are counted, and its batches are not filtered. Row transforms are what a host that
reads rows needs of it, so `kernel` has them; without them it delivers what is wanted here all the same.
deltalake has no stats text (it delivers parsed statistics), no deletion vectors and typed partition
values; its first batch is its last, and its memory begins with that of Python and pyarrow.

The floor of a table with a checkpoint decodes its columns and reads no commit, so it reconciles
nothing. That of a table of commits knows the generator's order of keys and takes 64-bit hashes for
paths. Neither is a reader.
";

impl Contest {
    fn append(&self, text: &mut String) -> Result<()> {
        let is_warm = self.repeats() > 1;
        let unit = if is_warm { "ms" } else { "s" };
        writeln!(text, "\n## {}\n\n{}\n", self.name(), about(self.table))?;
        if is_warm {
            writeln!(
                text,
                "One process lists it {REPEATS} times; a run's number is the median of these.\n"
            )?;
        }
        let kernel = self.wall_s_of("kernel");
        let best = self.best_kernel();
        let floor = self.wall_s_of("floor");
        writeln!(
            text,
            "| | wall {unit} | by kernel | by kernel's best | by floor | first {unit} | CPU {unit} \
             | cores | peak MiB | threads | runs |"
        )?;
        writeln!(text, "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")?;
        for entry in self.entries.iter().filter(|entry| !entry.runs.is_empty()) {
            let wall_s = entry.wall_s();
            let cpu_s = entry.median(|run| run.cpu_s);
            let time = |seconds: f64| match is_warm {
                true => format!("{:.3}", seconds * 1e3),
                false => format!("{seconds:.3}"),
            };
            let by = |other: Option<f64>| match other {
                Some(other) => format!("{:.2}", wall_s / other),
                None => "–".to_owned(),
            };
            writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {:.2} | {:.0} | {} | {} |",
                entry.contestant.name,
                time(wall_s),
                by(kernel),
                by(best.map(Entry::wall_s)),
                by(floor),
                time(entry.median(|run| run.first_s)),
                time(cpu_s),
                cpu_s / wall_s,
                entry.median(|run| run.peak_bytes as f64) / f64::from(1 << 20),
                entry.checked.threads_max,
                entry.runs.len(),
            )?;
        }
        let mut notes = Vec::new();
        if let Some(best) = best {
            notes.push(format!("The kernel's best is `{}`.", best.contestant.name));
        }
        for entry in self.entries.iter().filter(|entry| entry.contestant.is_python()) {
            notes.push(format!(
                "Python and pyarrow have {} MiB before the table is opened.",
                entry.checked.base_bytes >> 20
            ));
        }
        for (name, reason) in &self.absent {
            notes.push(format!("`{name}` is absent: {reason}."));
        }
        if !notes.is_empty() {
            writeln!(text, "\n{}", notes.join(" "))?;
        }
        Ok(())
    }

    pub(crate) fn wall_s_of(&self, name: &str) -> Option<f64> {
        let entry = self.entries.iter().find(|entry| entry.contestant.name == name)?;
        Some(entry.wall_s())
    }

    /// The kernel with the tuning that is fastest here, of those that had every round.
    pub(crate) fn best_kernel(&self) -> Option<&Entry> {
        let rounds = self.entries.iter().map(|entry| entry.runs.len()).max()?;
        let kernels = self.entries.iter().filter(|entry| entry.contestant.is_kernel());
        kernels
            .filter(|entry| entry.runs.len() == rounds)
            .min_by(|a, b| a.wall_s().total_cmp(&b.wall_s()))
    }
}

fn about(table: Table) -> String {
    let Table { shape, .. } = table;
    let commits = format!(
        "{} commits with {} adds and {} removes",
        table.commits(),
        table.commit_adds(),
        table.commit_removes()
    );
    match shape.has_checkpoint() {
        true => format!(
            "{} live files: a checkpoint of {} adds in {}, then {commits}.",
            table.live_files(),
            table.checkpoint_adds(),
            table.checkpoint_files()
        ),
        false => format!("{} live files: {commits}, no checkpoint.", table.live_files()),
    }
}

/// The version in the lock file.
fn locked(package: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let entry = format!("name = \"{package}\"\nversion = \"");
    let version = lock.split_once(&entry).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("of an unknown version", |(version, _)| version)
}

/// The commit of this repository, and whether there is more than it says.
fn commit() -> String {
    let here = env!("CARGO_MANIFEST_DIR");
    let commit = said("git", &["-C", here, "rev-parse", "--short", "HEAD"]);
    match said("git", &["-C", here, "status", "--porcelain", "--untracked-files=no"]).as_str() {
        "" => commit,
        _ => format!("{commit}, with changes"),
    }
}

/// What a program prints; nothing if it cannot be run.
fn said(program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let output = Command::new(program.as_ref()).args(arguments).output();
    let output = output.map_or_else(|_| Vec::new(), |output| output.stdout);
    String::from_utf8_lossy(&output).trim().to_owned()
}
