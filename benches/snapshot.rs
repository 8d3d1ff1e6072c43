//! What does a long log cost that need not be read? `snapshot/long_log/<how>`.
//!
//! The table has 100,000 commits and a checkpoint of 1,000 files every ten, so
//! that its folder has 110,000 names and its newest version is one checkpoint and
//! five commits. `open` finds that by `_last_checkpoint`, `open_unhinted` by a
//! listing alone, `open_old` is an older version; `refresh` brings a snapshot
//! forward by one commit, `refresh_nothing` finds that there is none. A number is
//! judged by the floors beside it: `floor_list` lists the folder, which a local
//! open cannot do without, `floor_short` opens the same version where the folder
//! has nothing else, and `floor_commit` reads the one new commit.
//!
//! ```sh
//! cargo bench --bench snapshot
//! ```
//!
//! The log is made of hard links, in DELTA_BENCH_TABLES (`target/bench-tables`
//! without it), and kept there.

mod log_shapes;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::Criterion;
use delta_engine::Engine;
use log_shapes::Shape;

/// The last of the long log's checkpoints.
const NEWEST_CHECKPOINT: u64 = 100_000;
const COMMITS_AFTER: u64 = 5;
/// A file system may count no more than 65,000 names of one file.
const NAMES_OF_A_FILE: u64 = 20_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    // Without this argument criterion runs each bench once, as a test.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let newest = if is_bench { NEWEST_CHECKPOINT } else { 1_000 };
    let long = long_log(newest, "long_log", 10);
    let short = long_log(newest, "short_log", newest);
    let version = newest + COMMITS_AFTER;
    let engine = Engine::new().expect("an engine");
    let open = |root: &Path| engine.open(root.to_str().expect("a path in UTF-8"));

    let mut group = criterion.benchmark_group("snapshot/long_log");
    group.sample_size(20);
    let hint = |root: &Path| root.join("_delta_log/_last_checkpoint");
    group.bench_function("open", |bencher| {
        fs::write(hint(&long), format!("{{\"version\":{newest}}}")).expect("a hint");
        bencher.iter(|| assert_eq!(open(&long).snapshot().expect("a table").version(), version));
    });
    group.bench_function("open_unhinted", |bencher| {
        let _ = fs::remove_file(hint(&long));
        bencher.iter(|| assert_eq!(open(&long).snapshot().expect("a table").version(), version));
    });
    group.bench_function("open_old", |bencher| {
        let old = newest / 2 + COMMITS_AFTER;
        bencher.iter(|| black_box(open(&long).version(old).snapshot().expect("a table")));
    });
    group.bench_function("refresh", |bencher| {
        let before = open(&long).version(version - 1).snapshot().expect("a table");
        bencher.iter(|| assert_eq!(before.refresh().expect("a table").version(), version));
    });
    group.bench_function("refresh_nothing", |bencher| {
        let newest = open(&long).snapshot().expect("a table");
        bencher.iter(|| assert_eq!(newest.refresh().expect("a table").version(), version));
    });
    group.bench_function("floor_list", |bencher| {
        bencher.iter(|| fs::read_dir(long.join("_delta_log")).expect("a folder").count());
    });
    group.bench_function("floor_short", |bencher| {
        bencher.iter(|| assert_eq!(open(&short).snapshot().expect("a table").version(), version));
    });
    group.bench_function("floor_commit", |bencher| {
        let commit = long.join(format!("_delta_log/{version:020}.json"));
        bencher.iter(|| black_box(fs::read(&commit).expect("a commit")));
    });
    group.finish();
    criterion.final_summary();
}

/// A log with a checkpoint of the same files every `every` versions up to
/// `newest`, and a few commits after the last.
fn long_log(newest: u64, name: &str, every: u64) -> PathBuf {
    let folder = std::env::var_os("DELTA_BENCH_TABLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-tables"),
        PathBuf::from,
    );
    let root = folder.join(format!("{name}-{newest}"));
    let log = root.join("_delta_log");
    if root.join("complete").exists() {
        return root;
    }
    let _ = fs::remove_dir_all(&root);
    let shape = Shape::named("checkpoint_1m").expect("a shape");
    let made = root.join("made");
    shape.table(1_000).write(&made).expect("a table that can be written");
    fs::create_dir_all(&log).expect("a folder");

    let mut copies = Vec::new();
    let mut link = |kind: &str, n: u64, name: String| {
        // Each so many names of one file begin another copy of it.
        let copy = made.join(format!("{kind}-{}", n / NAMES_OF_A_FILE));
        if !copies.contains(&copy) {
            fs::copy(made.join("_delta_log").join(kind), &copy).expect("a copy");
            copies.push(copy.clone());
        }
        fs::hard_link(copy, log.join(name)).expect("a link");
    };
    let commit = "00000000000000000101.json";
    let checkpoint = "00000000000000000100.checkpoint.parquet";
    let first = if every == newest { newest } else { 0 };
    for version in first..=newest + COMMITS_AFTER {
        link(commit, version - first, format!("{version:020}.json"));
    }
    for version in (first.max(every)..=newest).step_by(usize::try_from(every).expect("a step")) {
        link(checkpoint, version / every, format!("{version:020}.checkpoint.parquet"));
    }
    fs::write(log.join("_last_checkpoint"), format!("{{\"version\":{newest}}}")).expect("a hint");
    fs::write(root.join("complete"), "").expect("a file");
    root
}
