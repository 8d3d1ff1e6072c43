//! The memory of a stream is bounded: by the window and by what the workers
//! hold, not by the table. Counted by the allocator, so the tests of this
//! program run one after the other, within one test.

mod common;
#[path = "../benches/log_shapes/mod.rs"]
mod log_shapes;
#[path = "../benches/peak/mod.rs"]
mod peak;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use common::{FileLayout, TestTable, add, metadata, protocol};
use delta_engine::{DEFAULT_FILE_COLUMNS, arrow};
use log_shapes::Shape;

const MIB: usize = 1 << 20;

#[test]
fn memory_does_not_grow_with_the_table() {
    rows_of_a_checkpoint_add_nothing();
    a_key_of_a_commit_adds_a_few_bytes();
    a_large_row_group_is_held_in_pieces();
    small_files_are_held_by_the_window();
}

/// Of one row group, which decodes into 64 KiB a row.
fn a_large_row_group_is_held_in_pieces() {
    let table_of = |rows: i64| {
        let texts = ["x".repeat(64 << 10), "y".repeat(64 << 10)];
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(
            (0..rows).map(|row| &texts[usize::from(row % 50 == 0)]),
        ));
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("id", ids), ("text", texts)]).unwrap();
        let table = TestTable::new();
        let file = table.data_file_as("a.parquet", &batch, &FileLayout::default().page_rows(32));
        table.commit([protocol(1, 2), metadata("id long, text string"), file])
    };
    let (small, large) = (table_of(1_500), table_of(3_000));
    for threads in [0, 2] {
        let peak_of = |table: &TestTable, rows: u64| {
            let peak =
                peak::of(&table.root(), threads, 32 * MIB, |snapshot| snapshot.scan().rows());
            assert_eq!(peak.rows, rows);
            peak.bytes
        };
        let (small, large) = (peak_of(&small, 1_500), peak_of(&large, 3_000));
        println!("{threads} workers: {} KiB, then {} KiB", small >> 10, large >> 10);
        // The window, and for each worker a piece of 16 MiB, which grows by doubling
        // while it is decoded. All of it is 94 MiB, and then 188.
        let bound = (32 + 48 * threads.max(1) + 8) * MIB;
        assert!(large < bound, "{threads} workers: {large} of {bound}");
        assert!(large - small.min(large) < 24 * MIB, "{threads} workers: {small}, then {large}");
    }
}

/// As many as there are: the window holds some, and their footers.
fn small_files_are_held_by_the_window() {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..50));
    let batch = RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let bytes = FileLayout::default().parquet_of(&batch);
    let table_of = |files: usize| {
        let table = TestTable::new();
        fs::create_dir_all(table.root()).unwrap();
        let adds = (0..files).map(|n| {
            let name = format!("{n}.parquet");
            fs::write(table.root().join(&name), &bytes).unwrap();
            add(&name).size(bytes.len() as i64)
        });
        let actions: Vec<_> =
            [protocol(1, 2), metadata("id long")].into_iter().chain(adds).collect();
        table.commit(actions)
    };
    let (few, many) = (table_of(500), table_of(2_000));
    for threads in [0, 2] {
        let peak_of = |table: &TestTable, files: u64| {
            let peak = peak::of(&table.root(), threads, 4 * MIB, |snapshot| snapshot.scan().rows());
            assert_eq!(peak.rows, files * 50);
            peak.bytes
        };
        let (few, many) = (peak_of(&few, 500), peak_of(&many, 2_000));
        println!("{threads} workers: {} KiB, then {} KiB", few >> 10, many >> 10);
        // What a file adds is its line of the log.
        assert!(many < (4 + 8) * MIB, "{threads} workers: {many}");
        assert!(many - few.min(many) < 2 * MIB, "{threads} workers: {few}, then {many}");
    }
}

fn rows_of_a_checkpoint_add_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let peak_of = |files: u64, threads: usize| {
        let table = Shape::named("checkpoint_100k").unwrap().table(files);
        let root = table.kept_in(folder.path()).unwrap();
        let peak = peak::listing(&root, threads, 4 * MIB, DEFAULT_FILE_COLUMNS);
        assert_eq!(peak.rows, table.live_files());
        peak.bytes
    };
    for threads in [0, 2] {
        let (small, large) = (peak_of(60_000, threads), peak_of(120_000, threads));
        println!("{threads} workers: {} KiB, then {} KiB", small >> 10, large >> 10);
        // The window, a unit of up to 8 MiB for each worker or the consumer, what
        // lies idle to be used again, and the pages that are being read. The
        // decoded columns are 50 MB, and then 100.
        let bound = (4 + 8 * threads.max(1) + 16 + 8) * MIB;
        assert!(large < bound, "{threads} workers: {large} of {bound}");
        assert!(large - small.min(large) < 10 * MIB, "{threads} workers: {small}, then {large}");
    }
}

fn a_key_of_a_commit_adds_a_few_bytes() {
    let folder = tempfile::tempdir().unwrap();
    // Just before the table of keys would grow: 7/8 of a power of two.
    let (few, many) = (14_000, 112_000);
    let peak_of = |name: &str, keys: usize| {
        let root = folder.path().join(name);
        write_commits(&root, keys);
        // A window of one unit, so that what grows is the keys.
        let peak = peak::listing(&root, 2, 64 << 10, &["path"]);
        assert_eq!(peak.rows, keys as u64);
        assert!(peak.window_bytes < 2 * MIB as u64);
        peak.bytes
    };
    let (small, large) = (peak_of("few", few), peak_of("many", many));
    let per_key = (large.saturating_sub(small)) as f64 / (many - few) as f64;
    println!("{per_key:.1} bytes a key");
    // 16 bytes an entry in a table that is half to seven eighths full. While it
    // grows, the old table is there too.
    assert!(per_key < 64.0, "{per_key} bytes a key: {small}, then {large}");
}

/// Commits of a thousand adds each.
fn write_commits(root: &Path, keys: usize) {
    let log = root.join("_delta_log");
    fs::create_dir_all(&log).unwrap();
    for version in 0..keys / 1_000 {
        let mut text = String::new();
        if version == 0 {
            text.push_str(
                r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"t","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{}}}
"#,
            );
        }
        for key in version * 1_000..(version + 1) * 1_000 {
            writeln!(
                text,
                r#"{{"add":{{"path":"{key}","partitionValues":{{}},"size":1,"modificationTime":0,"dataChange":true}}}}"#
            )
            .unwrap();
        }
        fs::write(log.join(format!("{version:020}.json")), text).unwrap();
    }
}
