//! What does it take to keep every core busy? The same units of work are run by
//!
//! - `serial`: a lazy iterator, drained on the main thread,
//! - `tokio`: one task a unit in a `JoinSet`, on the multi-threaded runtime with
//!   one worker a core; the work runs within the task, without `spawn_blocking`,
//! - `rayon`: a parallel iterator, collected before anything is consumed,
//! - `engine`: delta-engine's stream, with one worker a core.
//!
//! The jobs are `commits` (read a commit, parse its lines with serde_json),
//! `row_groups` (decode a checkpoint's row group with the Parquet crate) and
//! `rsa` (make a key: nothing but arithmetic). The engine reads the same two
//! tables in its own way, reconciliation included, so its time is a listing's
//! and not a decoder's; and it has nothing to do with keys, because what runs
//! its units is not public.
//!
//! `first` is when the consumer had its first result, and `held` how many results
//! were decoded and not yet consumed at the worst moment: what an executor
//! without a window costs in memory. Linux only: CPU time is from `/proc`.
//!
//! ```sh
//! DELTA_BENCH_SCALE=0.1 cargo run --release --manifest-path benches/executors/Cargo.toml [JOB]
//! ```

#[path = "../../log_shapes/mod.rs"]
mod log_shapes;

use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use delta_engine::Engine;
use log_shapes::{Result, Shape, Table};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;
use rsa::RsaPrivateKey;
use tokio::task::JoinSet;

/// Each way is run so often; the median by wall time is printed.
const RUNS: usize = 3;
const KEYS: f64 = 400.0;
const KEY_BITS: usize = 512;

fn main() -> Result<()> {
    let only = std::env::args().nth(1);
    let wanted = |job: &str| only.as_deref().is_none_or(|only| only == job);
    let cores = std::thread::available_parallelism()?.get();
    println!("{cores} cores; median of {RUNS} runs\n");
    println!("job         how      units   wall s    cpu s  cores  first s   held");

    if wanted("commits") {
        let table = named("commits_10k")?;
        let root = kept(&table)?;
        compare("commits", cores, files_below(&root.join("_delta_log"), ".json")?, parse_commit)?;
        listing("commits", cores, &table, &root)?;
    }
    if wanted("row_groups") {
        let table = named("parts_1m")?;
        let root = kept(&table)?;
        let mut groups = Vec::new();
        for path in files_below(&root.join("_delta_log"), ".parquet")? {
            let metadata = ArrowReaderMetadata::load(&File::open(&path)?, Default::default())?;
            let count = metadata.metadata().num_row_groups();
            groups.extend((0..count).map(|group| (path.clone(), group)));
        }
        compare("row_groups", cores, groups, decode_row_group)?;
        listing("row_groups", cores, &table, &root)?;
    }
    if wanted("rsa") {
        compare("rsa", cores, (0..(KEYS * scale()?) as u64).collect(), make_key)?;
    }
    Ok(())
}

/// What one commit adds.
#[derive(serde::Deserialize)]
struct Add {
    path: String,
    size: i64,
    #[serde(rename = "modificationTime")]
    modification_time: i64,
    stats: Option<String>,
}

#[derive(serde::Deserialize)]
struct Line {
    add: Option<Add>,
}

fn parse_commit(path: &PathBuf) -> Result<Vec<Add>> {
    let text = fs::read(path)?;
    let lines = serde_json::Deserializer::from_slice(&text).into_iter::<Line>();
    let mut adds = Vec::new();
    for line in lines {
        adds.extend(line?.add);
    }
    // So that no field is for nothing.
    black_box(
        adds.iter()
            .map(|add| {
                (add.path.len() + add.stats.as_ref().map_or(0, String::len)) as i64
                    + add.size
                    + add.modification_time
            })
            .max(),
    );
    Ok(adds)
}

fn decode_row_group((path, group): &(PathBuf, usize)) -> Result<Vec<RecordBatch>> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?
        .with_row_groups(vec![*group])
        .with_batch_size(8_192)
        .build()?;
    Ok(reader.collect::<std::result::Result<_, _>>()?)
}

/// The same key for the same seed, so every way has the same work.
fn make_key(seed: &u64) -> Result<RsaPrivateKey> {
    Ok(RsaPrivateKey::new(&mut ChaCha8Rng::seed_from_u64(*seed), KEY_BITS)?)
}

/// Runs `work` on all `units` in each way.
fn compare<U, R>(job: &str, cores: usize, units: Vec<U>, work: fn(&U) -> Result<R>) -> Result<()>
where
    U: Clone + Send + Sync + 'static,
    R: Send + 'static,
{
    let count = units.len();
    print(job, "serial", count, || {
        let results = Results::new();
        for result in units.iter().map(|unit| results.made(work(unit))) {
            results.consume(result)?;
        }
        Ok(results)
    })?;

    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(cores).build()?;
    print(job, "tokio", count, || {
        let results = Arc::new(Results::new());
        tokio.block_on(async {
            let mut tasks = JoinSet::new();
            for unit in &units {
                // A task owns what it works on: it may outlive the loop.
                let (unit, results) = (unit.clone(), Arc::clone(&results));
                tasks.spawn(async move { results.made(work(&unit)) });
            }
            while let Some(result) = tasks.join_next().await {
                results.consume(result?)?;
            }
            Ok::<_, log_shapes::Error>(())
        })?;
        Arc::into_inner(results).ok_or_else(|| "a task is still running".into())
    })?;
    drop(tokio);

    let rayon = rayon::ThreadPoolBuilder::new().num_threads(cores).build()?;
    print(job, "rayon", count, || {
        let results = Results::new();
        let all: Vec<_> =
            rayon.install(|| units.par_iter().map(|unit| results.made(work(unit))).collect());
        for result in all {
            results.consume(result)?;
        }
        Ok(results)
    })
}

/// The engine's own way through the same table.
fn listing(job: &str, cores: usize, table: &Table, root: &Path) -> Result<()> {
    let engine = Engine::builder().threads(cores).build()?;
    let root = root.to_str().ok_or("a path that is not UTF-8")?;
    print(job, "engine", table.live_files() as usize, || {
        // A batch leaves the window when it is consumed: it counts as held here
        // for a moment only. The window is 32 MiB at most.
        let results = Results::new();
        let mut files = 0;
        for batch in engine.snapshot(root)?.scan().files()? {
            let batch = batch?;
            files += batch.num_rows() as u64;
            results.consume(results.made(Ok(batch)))?;
        }
        match files == table.live_files() {
            true => Ok(results),
            false => Err(format!("{files} live files, expected {}", table.live_files()).into()),
        }
    })
}

/// Counts results as they are made and consumed.
struct Results {
    started: Instant,
    first: std::sync::OnceLock<Duration>,
    held: AtomicUsize,
    held_max: AtomicUsize,
}

impl Results {
    fn new() -> Results {
        Results {
            started: Instant::now(),
            first: std::sync::OnceLock::new(),
            held: AtomicUsize::new(0),
            held_max: AtomicUsize::new(0),
        }
    }

    fn made<R>(&self, result: Result<R>) -> Result<R> {
        let held = self.held.fetch_add(1, Ordering::Relaxed) + 1;
        self.held_max.fetch_max(held, Ordering::Relaxed);
        result
    }

    fn consume<R>(&self, result: Result<R>) -> Result<()> {
        self.first.get_or_init(|| self.started.elapsed());
        self.held.fetch_sub(1, Ordering::Relaxed);
        drop(black_box(result?));
        Ok(())
    }
}

/// Runs one way, and prints its median run.
fn print(
    job: &str,
    how: &str,
    units: usize,
    mut run: impl FnMut() -> Result<Results>,
) -> Result<()> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let (started, cpu) = (Instant::now(), cpu_seconds()?);
        let results = run()?;
        let wall = started.elapsed().as_secs_f64();
        let first = results.first.get().map_or(0.0, Duration::as_secs_f64);
        runs.push((wall, cpu_seconds()? - cpu, first, results.held_max.into_inner()));
    }
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (wall, cpu, first, held) = runs[RUNS / 2];
    println!(
        "{job:<11} {how:<7} {units:>6} {wall:>8.3} {cpu:>8.2} {:>6.2} {first:>8.3} {held:>6}",
        cpu / wall
    );
    Ok(())
}

/// User and system time of the process, all threads, in steps of 10 ms: a Linux
/// kernel shows programs a hundred ticks a second.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program may hold blanks; it ends with the last parenthesis.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/self/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(ticks.sum::<std::result::Result<u64, _>>()? as f64 / 100.0)
}

fn named(name: &str) -> Result<Table> {
    Ok(Shape::named(name).ok_or("no such shape")?.scaled(scale()?))
}

fn kept(table: &Table) -> Result<PathBuf> {
    let folder = std::env::var_os("DELTA_BENCH_TABLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench-tables"),
        PathBuf::from,
    );
    table.kept_in(&folder)
}

fn scale() -> Result<f64> {
    Ok(std::env::var("DELTA_BENCH_SCALE").map_or(Ok(1.0), |scale| scale.parse())?)
}

fn files_below(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let paths: std::io::Result<Vec<_>> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.retain(|path| path.to_string_lossy().ends_with(ending));
    paths.sort();
    Ok(paths)
}
