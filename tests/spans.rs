//! The hook for spans, as a host sees it.

use std::fs;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use delta_engine::{Engine, EngineBuilder, SpanKind};
use tempfile::TempDir;

#[derive(Debug)]
struct Told {
    thread: ThreadId,
    worker: Option<usize>,
    kind: SpanKind,
    name: String,
    start: Instant,
    end: Instant,
}

fn log_name(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

/// A span's name, taken apart: the file, what is counted, from where to where.
fn share(name: &str) -> (String, String, Range<u64>) {
    let mut words = name.split(' ');
    let file = words.next().unwrap().to_owned();
    let what = words.next().unwrap_or("").to_owned();
    let (start, end) = words.next().and_then(|range| range.split_once("..")).unwrap_or(("0", "0"));
    (file, what, start.parse().unwrap()..end.parse().unwrap())
}

/// A table of four commits, one file each; the third is too big for one unit.
fn table() -> TempDir {
    table_with(5_000)
}

/// The same, the third commit with so many KB more.
fn table_with(filler_lines: usize) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("_delta_log")).unwrap();
    let add = |path: &str| {
        format!(
            r#"{{"add":{{"path":"{path}","partitionValues":{{}},"size":1,"modificationTime":0,"dataChange":true}}}}"#
        )
    };
    let head = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"t","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{}}}
"#;
    let filler = format!("{{\"commitInfo\":{{\"filler\":\"{}\"}}}}\n", "x".repeat(1000));
    for version in 0..4 {
        let mut text = add(&format!("file-{version}"));
        text.push('\n');
        match version {
            0 => text.insert_str(0, head),
            2 => text.push_str(&filler.repeat(filler_lines)),
            _ => {}
        }
        fs::write(root.path().join(log_name(version)), text).unwrap();
    }
    root
}

fn list(engine: &Engine, table: &TempDir) -> usize {
    let snapshot = engine.snapshot(table.path().to_str().unwrap()).unwrap();
    snapshot.scan().files().unwrap().map(|batch| batch.unwrap().num_rows()).sum()
}

/// The spans of opening and listing `table`.
fn spans_of(table: &TempDir, threads: usize) -> Vec<Told> {
    spans_by(table, Engine::builder().threads(threads))
}

fn spans_by(table: &TempDir, builder: EngineBuilder) -> Vec<Told> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let engine = builder.on_span(move |span| {
        hook.lock().unwrap_or_else(PoisonError::into_inner).push(Told {
            thread: thread::current().id(),
            worker: span.worker,
            kind: span.kind,
            name: span.name.to_owned(),
            start: span.start,
            end: span.end,
        });
    });
    let engine = engine.build().unwrap();
    assert_eq!(list(&engine, table), 4);
    drop(engine);
    Arc::into_inner(told).expect("the hook is gone with the engine").into_inner().unwrap()
}

#[test]
fn a_small_table_is_decoded_where_it_is_asked_for_unless_workers_are() {
    let workers = |table: &TempDir, builder| {
        let told = spans_by(table, builder);
        let of = |kind| told.iter().filter(move |span| span.kind == kind);
        assert!(of(SpanKind::Decode).count() > 0);
        of(SpanKind::Decode).filter(|span| span.worker.is_some()).count()
    };
    assert_eq!(workers(&table_with(0), Engine::builder()), 0);
    assert!(workers(&table_with(0), Engine::builder().threads(1)) > 0);
    assert!(workers(&table(), Engine::builder()) > 0);
}

#[test]
fn spans_of_one_thread_do_not_overlap_and_lie_within_the_run() {
    let table = table();
    for threads in [0, 1, 3] {
        let started = Instant::now();
        let mut told = spans_of(&table, threads);
        let ended = Instant::now();
        assert!(told.iter().all(|span| started <= span.start && span.end <= ended));
        told.sort_by_key(|span| (span.worker, span.start));
        for pair in told.windows(2) {
            let [a, b] = pair else { unreachable!() };
            assert!(a.worker != b.worker || a.end <= b.start, "{a:?} overlaps {b:?}");
            assert_eq!(a.worker == b.worker, a.thread == b.thread, "{a:?} {b:?}");
        }
        assert!(told.iter().all(|span| span.worker < Some(threads)), "{told:?}");
    }
}

#[test]
fn each_unit_is_decoded_once_under_the_name_of_its_share() {
    let table = table();
    for threads in [0, 2] {
        let told = spans_of(&table, threads);
        let decoded = told.iter().filter(|span| span.kind == SpanKind::Decode);
        let shares: Vec<_> = decoded.map(|span| share(&span.name)).collect();
        let of = |what| {
            let ranges = shares.iter().filter(move |share| share.1 == what);
            let mut ranges: Vec<_> = ranges.map(|share| share.2.clone()).collect();
            ranges.sort_by_key(|range| range.start);
            ranges
        };
        let bytes = of("bytes");
        assert!(bytes.len() > 1, "{shares:?}");
        assert!(bytes.windows(2).all(|pair| pair[0].end == pair[1].start), "{shares:?}");
        let size = fs::metadata(table.path().join(log_name(2))).unwrap().len();
        assert_eq!(bytes.last().unwrap().end, size);
        // A last share that is small goes with the small commits before it.
        let end = if bytes[0].start == 0 { 2 } else { 3 };
        let versions = of("versions");
        assert!(versions.len() == 1 && versions[0] == (0..end), "{shares:?}");
        let whole: Vec<_> = shares.iter().filter(|share| share.1.is_empty()).collect();
        assert_eq!(whole, [&(log_name(3), String::new(), 0..0)]);

        let is_right = |span: &Told| span.worker.is_some() == (threads > 0);
        assert!(told.iter().filter(|span| span.kind == SpanKind::Decode).all(is_right));
        // The consumer reconciles what it is given, and lists the log itself.
        let consumer = |kind| {
            let own = told.iter().filter(|span| span.worker.is_none());
            own.filter(|span| span.kind == kind).count()
        };
        assert_eq!(consumer(SpanKind::Probe), shares.len());
        assert!(consumer(SpanKind::List) > 0);
        assert!(threads > 0 || consumer(SpanKind::Wait) == 0);
    }
}

#[test]
fn a_hook_that_panics_changes_no_answer() {
    let table = table();
    for threads in [0, 2] {
        let engine = Engine::builder().threads(threads);
        let engine = engine.on_span(|_| std::panic::resume_unwind(Box::new("no"))).build().unwrap();
        assert_eq!(list(&engine, &table), 4);
    }
}
