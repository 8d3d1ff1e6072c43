//! The contest of rows: who delivers all data of a table fastest, as Arrow.
//!
//! A measurement is a process of its own, as in the contest of listings. First
//! each contestant runs once with every value hashed, and all must agree; then come
//! the rounds, in which rows are counted and one column is summed up.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use clap::ValueEnum;
use delta_kernel::Snapshot;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::child::{cpu_s, median, memory_bytes, stdout_of, threads};
use crate::log_shapes::Result;
use crate::log_shapes::rows::{COLUMNS, DATA_TABLES, DataTable};
use crate::readers::{KERNEL, KERNEL_BATCHES, Tuning, kernel_engine};
use crate::{Arguments, folder, report, warmed};

/// The rows of a batch where that can be told and is not the point.
const BATCH_ROWS: usize = 8_192;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Contestant {
    DeltaEngine,
    #[value(name = "delta-engine-1")]
    DeltaEngine1,
    #[value(name = "delta-engine-0")]
    DeltaEngine0,
    Kernel,
    KernelBatches,
    Loop,
}

impl Contestant {
    const ALL: [Contestant; 6] = [
        Contestant::DeltaEngine,
        Contestant::DeltaEngine1,
        Contestant::DeltaEngine0,
        Contestant::Kernel,
        Contestant::KernelBatches,
        Contestant::Loop,
    ];

    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    fn about(self) -> &'static str {
        match self {
            Contestant::DeltaEngine => "`scan().rows()`, as many workers as threads",
            Contestant::DeltaEngine1 => "the same with one worker",
            Contestant::DeltaEngine0 => "the same without workers, on the caller's thread",
            Contestant::Kernel => {
                "`Scan::execute` with `DefaultEngine` on `TokioMultiThreadExecutor`"
            }
            Contestant::KernelBatches => "`kernel` with batches of 8192 rows in place of 1000",
            Contestant::Loop => {
                "the Parquet crate in a loop over the same files, on one thread: it reads no log, \
                 and is told which rows are deleted"
            }
        }
    }
}

/// One measurement.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Task {
    contestant: Contestant,
    root: PathBuf,
    threads: usize,
    /// The table, which the loop does not read from its log.
    table: String,
    scale: f64,
    /// Hashes every value, and counts threads: not to be timed.
    #[arg(long)]
    check: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    wall_s: f64,
    cpu_s: f64,
    first_s: f64,
    peak_bytes: u64,
    threads_max: usize,
    rows: u64,
    /// The sum of the first column, wrapping.
    ids: i64,
    /// Of each column the sum of its values' hashes, in any order.
    hashes: [u64; COLUMNS.len()],
}

struct Contest {
    table: DataTable,
    bytes: u64,
    entries: Vec<Entry>,
}

struct Entry {
    contestant: Contestant,
    checked: Measured,
    runs: Vec<Measured>,
}

/// Runs the contest, and writes `rows.md`.
pub(crate) fn run(arguments: &Arguments, threads: usize) -> Result<()> {
    let tables = match arguments.tables.is_empty() {
        true => DATA_TABLES.to_vec(),
        false => {
            let named = |name: &String| {
                DataTable::named(name).ok_or_else(|| format!("no table is called {name}"))
            };
            arguments.tables.iter().map(named).collect::<std::result::Result<_, _>>()?
        }
    };
    let contestants = match arguments.contestants.is_empty() {
        true => Contestant::ALL.to_vec(),
        false => {
            let named = |name: &String| Contestant::from_str(name, false);
            arguments.contestants.iter().map(named).collect::<std::result::Result<_, _>>()?
        }
    };
    let mut contests = Vec::new();
    for table in tables {
        let table = table.scaled(arguments.scale);
        let root = fs::canonicalize(table.kept_in(&folder())?)?;
        let files = data_files(&root)?;
        let bytes = warmed(&files)?;
        let mut contest = Contest { table, bytes, entries: Vec::new() };
        for &contestant in &contestants {
            eprintln!("{}: checking {}", table.name, contestant.name());
            let checked = contest.measured(contestant, &root, threads, arguments.scale, true)?;
            contest.entries.push(Entry { contestant, checked, runs: Vec::new() });
        }
        contest.agree()?;
        for round in 0..arguments.rounds {
            let count = contest.entries.len();
            for place in (0..count).map(|i| (i + round) % count) {
                let contestant = contest.entries[place].contestant;
                let run = contest.measured(contestant, &root, threads, arguments.scale, false)?;
                let name = contestant.name();
                eprintln!("{}: round {}: {name} {:.4} s", table.name, round + 1, run.wall_s);
                contest.entries[place].runs.push(run);
            }
            contest.agree()?;
        }
        contests.push(contest);
    }
    fs::create_dir_all(&arguments.results)?;
    let path = arguments.results.join("rows.md");
    fs::write(&path, markdown(&contests, threads, arguments.rounds)?)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

impl Contest {
    /// Has a child do it.
    fn measured(
        &self,
        contestant: Contestant,
        root: &Path,
        threads: usize,
        scale: f64,
        check: bool,
    ) -> Result<Measured> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["rows-child", &contestant.name()]).arg(root);
        command.args([&threads.to_string(), self.table.name, &scale.to_string()]);
        command.args(check.then_some("--check"));
        let output = stdout_of(&mut command)
            .map_err(|error| format!("{}: {}: {error}", self.table.name, contestant.name()))?;
        Ok(serde_json::from_slice(&output)?)
    }

    /// Whether all runs have delivered the same.
    fn agree(&self) -> Result<()> {
        let Some(first) = self.entries.first().map(|entry| &entry.checked) else { return Ok(()) };
        for Entry { contestant, checked, runs } in &self.entries {
            let is_same = |run: &Measured| (run.rows, run.ids) == (first.rows, first.ids);
            if checked.hashes != first.hashes || !is_same(checked) || !runs.iter().all(is_same) {
                let (table, name) = (self.table.name, contestant.name());
                return Err(format!("{table}: {name} delivers other rows").into());
            }
        }
        Ok(())
    }

    fn wall_s_of(&self, contestant: Contestant) -> Option<f64> {
        let entry = self.entries.iter().find(|entry| entry.contestant == contestant)?;
        Some(entry.median(|run| run.wall_s))
    }

    fn append(&self, text: &mut String) -> Result<()> {
        let DataTable { name, files, rows_a_file, has_vectors } = self.table;
        let deleted = if has_vectors { ", a tenth of them deleted" } else { "" };
        let mebibytes = self.bytes >> 20;
        writeln!(
            text,
            "\n## {name}\n\n{files} files of {rows_a_file} rows{deleted}, {mebibytes} MiB.\n\n\
             | | wall s | by loop | by kernel | first s | CPU s | cores | million rows/s \
             | peak MiB | threads |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        )?;
        for entry in &self.entries {
            let wall_s = entry.median(|run| run.wall_s);
            let cpu_s = entry.median(|run| run.cpu_s);
            let by = |other| match self.wall_s_of(other) {
                Some(other) => format!("{:.2}", wall_s / other),
                None => "–".to_owned(),
            };
            writeln!(
                text,
                "| {} | {wall_s:.3} | {} | {} | {:.3} | {cpu_s:.3} | {:.2} | {:.2} | {:.0} | {} |",
                entry.contestant.name(),
                by(Contestant::Loop),
                by(Contestant::Kernel),
                entry.median(|run| run.first_s),
                cpu_s / wall_s,
                entry.checked.rows as f64 / wall_s / 1e6,
                entry.median(|run| run.peak_bytes as f64) / f64::from(1 << 20),
                entry.checked.threads_max,
            )?;
        }
        Ok(())
    }
}

impl Entry {
    fn median(&self, value: impl Fn(&Measured) -> f64) -> f64 {
        median(self.runs.iter().map(value).collect())
    }
}

fn markdown(contests: &[Contest], threads: usize, rounds: usize) -> Result<String> {
    let mut text = String::from("# Readers of rows, compared\n\n");
    for (name, value) in report::facts(threads, rounds)? {
        writeln!(text, "- {name}: {value}")?;
    }
    text.push_str(
        "
A measurement is a process of its own, with the data's pages in memory. The clock runs from before
the reader is made (its threads and runtimes included) to when all is freed; each round runs every
contestant once, beginning with another one, and the numbers are medians over the rounds. Wanted are
all twelve columns of every row that is not deleted. In a run that is not timed all values are hashed:
all contestants deliver the same ones. In the timed runs rows are counted and one column is summed up.
`threads` is the most that the process had between two batches of the run that is not timed. All have
mimalloc.

",
    );
    for contestant in Contestant::ALL {
        writeln!(text, "- `{}`: {}", contestant.name(), contestant.about())?;
    }
    for contest in contests {
        contest.append(&mut text)?;
    }
    Ok(text)
}

/// Does the task in this process.
pub(crate) fn main(task: &Task) -> Result<Measured> {
    let table = DataTable::named(&task.table).ok_or("no such table")?.scaled(task.scale);
    let files = data_files(&task.root)?;
    // What the loop is told is not on its clock.
    let deleted = match task.contestant {
        Contestant::Loop if table.has_vectors => masks(table),
        _ => Vec::new(),
    };
    let mut measured = Measured::default();
    let cpu_before_s = cpu_s()?;
    let started = Instant::now();
    let mut sink = |batch: &RecordBatch| -> Result<()> {
        if measured.rows == 0 {
            measured.first_s = started.elapsed().as_secs_f64();
        }
        measured.rows += batch.num_rows() as u64;
        let ids = batch.column(0).as_primitive::<Int64Type>().values();
        measured.ids = ids.iter().fold(measured.ids, |sum, id| sum.wrapping_add(*id));
        if task.check {
            measured.threads_max = measured.threads_max.max(threads()?);
            for (hash, column) in measured.hashes.iter_mut().zip(batch.columns()) {
                *hash = hash.wrapping_add(hash_of(column)?);
            }
        }
        Ok(())
    };
    match task.contestant {
        Contestant::DeltaEngine => by_engine(&task.root, task.threads, &mut sink)?,
        Contestant::DeltaEngine1 => by_engine(&task.root, 1, &mut sink)?,
        Contestant::DeltaEngine0 => by_engine(&task.root, 0, &mut sink)?,
        Contestant::Kernel => by_kernel(&task.root, KERNEL, task.threads, &mut sink)?,
        Contestant::KernelBatches => {
            by_kernel(&task.root, KERNEL_BATCHES, task.threads, &mut sink)?;
        }
        Contestant::Loop => by_loop(&files, &deleted, &mut sink)?,
    }
    measured.wall_s = started.elapsed().as_secs_f64();
    measured.cpu_s = cpu_s()? - cpu_before_s;
    measured.peak_bytes = memory_bytes("VmHWM:")?;
    Ok(measured)
}

type Sink<'a> = dyn FnMut(&RecordBatch) -> Result<()> + 'a;

fn by_engine(root: &Path, threads: usize, sink: &mut Sink<'_>) -> Result<()> {
    let engine = delta_engine::Engine::builder().threads(threads).build()?;
    let snapshot = engine.snapshot(root.to_str().ok_or("a path that is not UTF-8")?)?;
    for batch in snapshot.scan().batch_rows(BATCH_ROWS).rows()? {
        sink(&batch?)?;
    }
    Ok(())
}

fn by_kernel(root: &Path, tuning: Tuning, threads: usize, sink: &mut Sink<'_>) -> Result<()> {
    let engine = kernel_engine(tuning, threads)?;
    let url = Url::from_directory_path(root).map_err(|()| "a path that is not absolute")?;
    let snapshot = Snapshot::builder_for(url).build(engine.as_ref())?;
    let scan = snapshot.scan_builder().build()?;
    for data in scan.execute(engine)? {
        sink(ArrowEngineData::try_from_engine_data(data?)?.record_batch())?;
    }
    Ok(())
}

fn by_loop(files: &[PathBuf], deleted: &[BooleanArray], sink: &mut Sink<'_>) -> Result<()> {
    for (number, path) in files.iter().enumerate() {
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
        let mut first = 0;
        for batch in builder.with_batch_size(BATCH_ROWS).build()? {
            let batch = batch?;
            match deleted.get(number) {
                None => sink(&batch)?,
                Some(mask) => {
                    let mask = mask.slice(first, batch.num_rows());
                    sink(&filter_record_batch(&batch, &mask)?)?;
                }
            }
            first += batch.num_rows();
        }
    }
    Ok(())
}

/// The rows of each file that are not deleted.
fn masks(table: DataTable) -> Vec<BooleanArray> {
    let mask = |file| {
        let mut mask = vec![true; table.rows_a_file as usize];
        for row in table.deleted(file) {
            mask[row as usize] = false;
        }
        BooleanArray::from(mask)
    };
    (0..table.files).map(mask).collect()
}

/// In the order of the log, which is that of their names.
fn data_files(root: &Path) -> Result<Vec<PathBuf>> {
    let paths = fs::read_dir(root)?.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
    paths.sort();
    Ok(paths)
}

/// The sum of the hashes of a column's values: in any order, in batches of any size.
fn hash_of(column: &ArrayRef) -> Result<u64> {
    let hash = |bytes: &[u8]| {
        let mut hasher = DefaultHasher::new();
        hasher.write(bytes);
        hasher.finish()
    };
    let text = match column.data_type() {
        DataType::Utf8 => column.clone(),
        _ => cast(column, &DataType::Utf8)?,
    };
    let hashes = text.as_string::<i32>().iter().map(|value| match value {
        Some(value) => hash(value.as_bytes()),
        None => 1,
    });
    Ok(hashes.fold(0, u64::wrapping_add))
}
