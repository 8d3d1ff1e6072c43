//! How much memory does a listing need, whatever the number of files?
//!
//! For checkpoints of 100,000, a million and four million adds: the bytes that
//! the allocator has handed out at the peak, under a consumer that waits before
//! each batch until the window is full. Writes `benches/results/memory.md`.
//!
//! ```sh
//! cargo bench --bench memory
//! ```

mod log_shapes;
mod peak;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use delta_engine::DEFAULT_FILE_COLUMNS;
use log_shapes::Shape;

const SHAPES: [&str; 5] =
    ["checkpoint_100k", "checkpoint_1m", "checkpoint_4m", "commits_10k", "commits_40_big"];
const MIB: f64 = (1 << 20) as f64;

fn main() {
    // `cargo test --benches` asks for nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tables = std::env::var_os("DELTA_BENCH_TABLES")
        .map_or_else(|| here.join("target/bench-tables"), PathBuf::from);
    let mut text = String::from(
        "# Memory of a listing\n\nThe most bytes that the allocator had handed out at once, from \
         before the open to the end, under a\nconsumer that waits before each batch until all that \
         may be decoded ahead of it has been. All default\ncolumns; `window` is the most that the \
         engine held decoded and not delivered, by its estimate.\n\n`cargo bench --bench memory`\n\n\
         | table | live files | workers | window MiB of | window reached MiB | peak MiB |\n\
         |---|--:|--:|--:|--:|--:|\n",
    );
    for name in SHAPES {
        let table = Shape::named(name).expect("a shape").scaled(1.0);
        let root = table.kept_in(&tables).expect("a table that can be written");
        for (threads, window) in [(0, 32), (2, 32), (2, 16)] {
            let peak = peak::listing(&root, threads, window << 20, DEFAULT_FILE_COLUMNS);
            assert_eq!(peak.rows, table.live_files(), "{name}");
            writeln!(
                text,
                "| {name} | {} | {threads} | {window} | {:.1} | {:.1} |",
                peak.rows,
                peak.window_bytes as f64 / MIB,
                peak.bytes as f64 / MIB
            )
            .expect("room");
        }
    }
    print!("{text}");
    let results = here.join("benches/results");
    std::fs::create_dir_all(&results).expect("a folder");
    std::fs::write(results.join("memory.md"), text).expect("the results");
}
