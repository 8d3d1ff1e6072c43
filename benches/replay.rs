//! How fast is a log replayed? `replay/<table>/<how>`.
//!
//! An iteration opens the newest version of a table and drains its stream of
//! live files: `serial` on the caller's thread, `threads_1` and `threads_2` with
//! workers, `paths_only` with two workers and one column. `one_day` and
//! `one_day_serial` list the files of one day of 366, by a filter. A number is judged by
//! the floors beside it: `floor_read` reads the same files' bytes, `floor_lines`
//! splits the lines of the commits, `floor_parquet_1` and `floor_parquet_2` decode
//! the checkpoint's same columns with the plain Parquet reader, on as many threads,
//! and do nothing with them. They are meant for tables of full size: on one that
//! is scaled down, what a file costs to open can outweigh its decoding.
//!
//! ```sh
//! cargo bench --bench replay -- commits_10k            # one table
//! cargo bench --bench replay -- 'checkpoint_1m/(serial|floor_parquet_1)'
//! DELTA_BENCH_SCALE=0.01 cargo bench --bench replay    # every table, a hundredth of it
//! ```
//!
//! A table is made when the first bench asks for it, in DELTA_BENCH_TABLES
//! (`target/bench-tables` without it), and kept there.

mod floors;
mod log_shapes;

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::Array;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};
use delta_engine::{DEFAULT_FILE_COLUMNS, Engine, Predicate, Value, column};
use floors::LogFiles;
use log_shapes::{SHAPES, Table, one_day};

/// The columns of an add that fill [`DEFAULT_FILE_COLUMNS`].
const LEAVES: [&str; 7] = [
    "path",
    "size",
    "modificationTime",
    "partitionValues",
    "stats",
    "stats_parsed",
    "deletionVector",
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let engines = [0, 1, 2].map(|n| Engine::builder().threads(n).build().expect("an engine"));
    for shape in SHAPES {
        replay(&mut criterion, shape.scaled(scale()), &engines);
    }
    criterion.final_summary();
}

fn replay(criterion: &mut Criterion, table: Table, [serial, one, two]: &[Engine; 3]) {
    let mut group = criterion.benchmark_group(format!("replay/{}", table.shape.name));
    // An iteration takes a second where it matters.
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(table.live_files()));

    let mut drained = |how: &str, engine: &Engine, columns: &[&str], filter: Option<&Predicate>| {
        let expected = if filter.is_some() { table.files_of_one_day() } else { table.live_files() };
        group.bench_function(how, |bencher| {
            let root = made(&table);
            bencher.iter(|| {
                let files = drain(engine, &root, columns, filter);
                assert_eq!(files, expected, "{}", root.display());
            });
        });
    };
    drained("serial", serial, DEFAULT_FILE_COLUMNS, None);
    drained("threads_1", one, DEFAULT_FILE_COLUMNS, None);
    drained("threads_2", two, DEFAULT_FILE_COLUMNS, None);
    drained("paths_only", two, &["path"], None);
    let one_day = column("date").equal(Value::Date(one_day()));
    drained("one_day", two, DEFAULT_FILE_COLUMNS, Some(&one_day));
    drained("one_day_serial", serial, DEFAULT_FILE_COLUMNS, Some(&one_day));

    floor(&mut group, "floor_read", &table, |log| {
        let mut buffer = vec![0; 1 << 20];
        log.commits.iter().chain(&log.checkpoint).map(|path| read(path, &mut buffer)).sum()
    });
    if table.shape.has_checkpoint() {
        for (how, threads) in [("floor_parquet_1", 1), ("floor_parquet_2", 2)] {
            floor(&mut group, how, &table, |log| {
                let adds = count_adds(&log.checkpoint, threads);
                assert_eq!(adds, table.checkpoint_adds());
                adds
            });
        }
    } else {
        floor(&mut group, "floor_lines", &table, |log| {
            let mut text = Vec::new();
            log.commits.iter().map(|path| longest_line(path, &mut text)).sum()
        });
    }
}

fn floor(
    group: &mut BenchmarkGroup<'_, WallTime>,
    how: &str,
    table: &Table,
    mut work: impl FnMut(&LogFiles) -> u64,
) {
    group.bench_function(how, |bencher| {
        let log = LogFiles::of(&made(table));
        bencher.iter(|| black_box(work(&log)));
    });
}

/// Opens the newest version, and counts the live files of its whole stream.
fn drain(engine: &Engine, root: &Path, columns: &[&str], filter: Option<&Predicate>) -> u64 {
    let snapshot = engine.snapshot(root.to_str().expect("a path in UTF-8")).expect("a table");
    let mut scan = snapshot.scan().columns(columns.iter().copied());
    if let Some(filter) = filter {
        scan = scan.filter(filter.clone()).expect("a filter of its columns");
    }
    let stream = scan.files().expect("a stream");
    stream.map(|batch| black_box(batch.expect("a batch")).num_rows() as u64).sum()
}

fn read(path: &Path, buffer: &mut [u8]) -> u64 {
    let mut file = File::open(path).expect("a file of the log");
    let mut bytes = 0;
    loop {
        match file.read(buffer).expect("bytes") {
            0 => return bytes,
            n => bytes += n as u64,
        }
    }
}

/// The length of the longest line: what no counter of newlines could say.
fn longest_line(path: &Path, text: &mut Vec<u8>) -> u64 {
    text.clear();
    File::open(path).and_then(|mut file| file.read_to_end(text)).expect("a commit");
    let mut longest = 0;
    let mut begin = 0;
    for end in memchr::memchr_iter(b'\n', text) {
        longest = longest.max(end - begin);
        begin = end + 1;
    }
    longest as u64
}

/// Decodes the adds of checkpoint files on `threads`, and counts them.
fn count_adds(files: &[PathBuf], threads: usize) -> u64 {
    let count = AtomicU64::new(0);
    floors::decode(files, threads, &LEAVES, |adds| {
        count.fetch_add((adds.len() - adds.null_count()) as u64, Ordering::Relaxed);
    });
    count.into_inner()
}

/// The table's folder. It is made now if it is not there.
fn made(table: &Table) -> PathBuf {
    let folder = std::env::var_os("DELTA_BENCH_TABLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-tables"),
        PathBuf::from,
    );
    table.kept_in(&folder).expect("a table that can be written")
}

/// By how much the tables are smaller or bigger than their shapes say.
fn scale() -> f64 {
    match std::env::var("DELTA_BENCH_SCALE") {
        Ok(scale) => scale.parse().expect("DELTA_BENCH_SCALE is a number"),
        // Without this argument criterion runs each bench once, as a test.
        Err(_) if !std::env::args().any(|argument| argument == "--bench") => 0.01,
        Err(_) => 1.0,
    }
}
