//! The C and C++ programs of `ffi-tests/` compile, link and return 0: as they
//! are, and again under the address and undefined-behaviour sanitizers.
//!
//! Each program gets a table that is written here, and the number of its live
//! files. `$CC` and `$CXX` choose the compilers.

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use common::{TestTable, cdc, inline_dv, metadata, protocol, protocol_features, remove};
use delta_engine::arrow;
use tempfile::TempDir;

/// A program that takes longer hangs.
const RUN_MAX: Duration = Duration::from_secs(120);

const ADDS_PER_COMMIT: usize = 1000;
const REMOVES: usize = 250;
const LIVE_FILES: usize = 3 * ADDS_PER_COMMIT - REMOVES;

// ---------------------------------------------------------------- the tests

#[test]
fn list_files_prints_each_live_file_once() {
    let tables = Tables::new();
    for build in Build::with_and_without_sanitizers("list_files.c") {
        let program = build.compile("list_files.c", &tables.dir);
        let output = run(Command::new(program).arg(tables.good()));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut paths: Vec<&str> = text.lines().collect();
        paths.sort_unstable();
        assert_eq!(paths, tables.live_paths());
    }
}

#[test]
fn read_rows_prints_each_row_in_order() {
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(["pear", "fig", "", "kiwi"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values([3, -1, 0, 1 << 40]));
    let rows = RecordBatch::try_from_iter([("qty", numbers), ("name", names)]).unwrap();
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows).dv(inline_dv(&[1]));
    let more = table.data_file("b.parquet", &rows.slice(0, 1));
    let protocol = protocol_features(&["deletionVectors"], &["deletionVectors"]);
    let table = table.commit([protocol, metadata("name string, qty long"), file, more]);
    let dir = TempDir::new().unwrap();
    for build in Build::with_and_without_sanitizers("read_rows.c") {
        let output = run(Command::new(build.compile("read_rows.c", &dir)).arg(table.root()));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "pear 3\n 0\nkiwi 1099511627776\npear 3\n");
    }
    for build in Build::with_and_without_sanitizers("rows.c") {
        run(Command::new(build.compile("rows.c", &dir)).arg(table.root()).arg("4"));
    }
    std::fs::remove_file(table.root().join("b.parquet")).unwrap();
    let program = Build::default().compile("read_rows.c", &dir);
    let output = Command::new(program).arg(table.root()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "what came before a missing file is no answer");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("storage: ") && text.contains("b.parquet"), "{text}");
}

#[test]
fn change_rows_keeps_a_sum_up_to_date() {
    let rows = |qty: &[i64]| {
        let names: ArrayRef =
            Arc::new(StringArray::from_iter_values(qty.iter().map(|qty| format!("{qty} pears"))));
        let qty: ArrayRef = Arc::new(Int64Array::from(qty.to_vec()));
        RecordBatch::try_from_iter([("name", names), ("qty", qty)]).unwrap()
    };
    let table = TestTable::new();
    let one = table.data_file("1.parquet", &rows(&[1, 20, 300]));
    let two = table.data_file("2.parquet", &rows(&[4000]));
    let changed = {
        let update = rows(&[4000, 5000]);
        let types: ArrayRef =
            Arc::new(StringArray::from(vec!["update_preimage", "update_postimage"]));
        let [name, qty] = [0, 1].map(|i| Arc::clone(update.column(i)));
        let columns = [("name", name), ("qty", qty), ("_change_type", types)];
        table.data_file("_change_data/3.parquet", &RecordBatch::try_from_iter(columns).unwrap())
    };
    let three = table.data_file("3.parquet", &rows(&[5000]));
    let columns = metadata("name string, qty long");
    let unrecorded = TestTable::new().commit([protocol(1, 2), columns.clone()]);
    let table = table
        .commit([
            protocol_features(&["deletionVectors"], &["deletionVectors", "changeDataFeed"]),
            columns.property("delta.enableChangeDataFeed", "true"),
            one.clone(),
        ])
        .commit([two.clone()])
        .commit([remove(one.path()), one.dv(inline_dv(&[1]))])
        .commit([cdc(changed.path()), remove(two.path()), three]);
    let dir = TempDir::new().unwrap();
    for build in Build::with_and_without_sanitizers("change_rows.c") {
        let program = build.compile("change_rows.c", &dir);
        let output = run(Command::new(program).arg(table.root()).arg(unrecorded.root()));
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text, "321\n4321\n4301\n5301\n");
    }
}

#[test]
fn list_files_says_what_failed() {
    let tables = Tables::new();
    let program = Build::default().compile("list_files.c", &tables.dir);
    let output = Command::new(program).arg(tables.path("none")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("not found: "), "{text}");
}

/// One test for a program whose own checks are enough.
macro_rules! programs {
    ($($name:ident: $file:literal $(with $table:literal)*;)*) => {
        $(#[test]
        fn $name() {
            let tables = Tables::new();
            for build in Build::with_and_without_sanitizers($file) {
                let program = build.compile($file, &tables.dir);
                run(Command::new(program)
                    .arg(tables.good())
                    .arg(LIVE_FILES.to_string())
                    $(.arg(tables.path($table)))*);
            }
        })*
    };
}

programs! {
    a_failure_has_a_status_a_text_and_no_handle:
        "errors.c" with "none" with "corrupt" with "unsupported";
    a_snapshot_says_what_is_in_the_log: "snapshot.c";
    a_snapshot_is_kept_up_to_date: "refresh.c" with "growing";
    a_list_of_files_is_kept_up_to_date: "changes.c" with "changing" with "cleaned_up";
    each_commit_says_what_it_did: "actions.c";
    a_tables_history_is_told: "history.c" with "timed";
    a_time_leads_to_a_version: "times.c" with "timed";
    a_catalog_says_which_commits_count: "catalog.c" with "catalog_managed";
    wanted_rows_are_told_in_sql_and_in_calls: "predicate.c";
    a_disagreement_is_an_error_or_a_warning: "disagreement.c" with "disagreeing";
    a_stream_is_cancelled_from_another_thread: "cancel.c";
    misuse_is_an_error: "misuse.c";
    many_threads_read_many_streams: "threads.c";
    abandoned_streams_leave_nothing_behind: "abandoned.c";
    a_wait_can_be_bounded: "timeout.c";
    a_stream_is_handed_over_as_an_arrow_stream: "arrow_stream.c";
    handles_are_freed_in_any_order: "free_order.c";
    a_batch_outlives_the_engine: "outlives.c";
    a_forked_child_is_told_and_the_parent_goes_on: "fork.c";
    a_process_may_end_with_everything_open: "exit_live.c";
    a_host_hears_events_and_cannot_call_back: "events.c" with "lying_hint";
    an_exception_from_the_callback_ends_the_process: "callback_throws.cpp" with "lying_hint";
    the_cpp_wrapper_frees_and_throws: "raii.cpp";
    the_layout_is_what_programs_were_compiled_with: "layout.c";
    the_header_may_come_twice: "header_twice.c";
}

#[test]
fn the_library_can_be_loaded_and_unloaded() {
    let tables = Tables::new();
    let build = Build { library: Library::None, ..Build::default() };
    let program = build.compile("load_unload.c", &tables.dir);
    run(Command::new(program)
        .arg(tables.good())
        .arg(LIVE_FILES.to_string())
        .arg(library("libdelta_engine.so")));
}

#[test]
fn the_headers_compile_alone_in_every_language_version() {
    let dir = TempDir::new().unwrap();
    let compile = |language: &str, std: &str, header: &str| {
        let source = dir.path().join(format!("{std}_{header}"));
        std::fs::write(&source, format!("#include \"{header}\"\n#include \"{header}\"\n")).unwrap();
        let compiler = if language == "c" { cc() } else { cxx() };
        run(command(&compiler)
            .args(["-x", language, &format!("-std={std}"), "-fsyntax-only"])
            .args(WARNINGS)
            .arg("-I")
            .arg(root().join("include"))
            .arg(source));
    };
    for header in ["delta_engine.h", "delta_engine_arrow.h"] {
        for std in ["c99", "c11"] {
            compile("c", std, header);
        }
        for std in ["c++11", "c++17"] {
            compile("c++", std, header);
        }
    }
    compile("c++", "c++17", "delta_engine.hpp");
}

#[test]
fn c_programs_are_cpp_programs_where_the_languages_agree() {
    let dir = TempDir::new().unwrap();
    for file in ["layout.c", "header_twice.c"] {
        let object = dir.path().join("object.o");
        run(command(&cxx())
            .args(["-x", "c++", "-std=c++11", "-c"])
            .args(WARNINGS)
            .arg("-I")
            .arg(root().join("include"))
            .arg(root().join("ffi-tests").join(file))
            .arg("-o")
            .arg(object));
    }
}

#[test]
fn two_rust_libraries_live_in_one_program() {
    let tables = Tables::new();
    let source = tables.dir.path().join("other.rs");
    let other = tables.dir.path().join("libother.a");
    std::fs::write(
        &source,
        r#"
        #[unsafe(no_mangle)]
        pub extern "C" fn other_library_panics_and_survives() -> i32 {
            std::panic::set_hook(Box::new(|_| ()));
            let caught = std::panic::catch_unwind(|| panic!("of the other library"));
            let _ = std::panic::take_hook();
            i32::from(caught.is_err())
        }
        "#,
    )
    .unwrap();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    run(Command::new(rustc)
        .args(["--edition=2024", "--crate-type=staticlib", "-Cpanic=unwind", "-o"])
        .arg(&other)
        .arg(&source));
    let build = Build { library: Library::StaticAfter(other), ..Build::default() };
    let program = build.compile("two_libraries.c", &tables.dir);
    run(Command::new(program).arg(tables.good()));
}

// ------------------------------------------------------- compiling, running

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];
const SANITIZE: [&str; 2] =
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=address,undefined"];

/// Programs that run with the static library when they are not sanitized. It
/// takes seconds to link, the shared one a tenth of a second; so these are the
/// ones whose subject the way of linking could change.
const LINKED_STATICALLY: [&str; 5] =
    ["list_files.c", "raii.cpp", "threads.c", "fork.c", "exit_live.c"];

/// How a program is built.
#[derive(Default)]
struct Build {
    sanitized: bool,
    library: Library,
}

#[derive(Default, Clone)]
enum Library {
    #[default]
    Shared,
    Static,
    /// The static one, and another static library before it.
    StaticAfter(PathBuf),
    /// The program loads it itself.
    None,
}

impl Build {
    fn with_and_without_sanitizers(file: &str) -> Vec<Build> {
        let is_static = LINKED_STATICALLY.contains(&file);
        let library = if is_static { Library::Static } else { Library::Shared };
        let mut builds = vec![Build { sanitized: false, library }];
        if has_sanitizers() {
            builds.push(Build { sanitized: true, library: Library::Shared });
        }
        builds
    }

    /// Compiles `ffi-tests/<file>` into `dir`.
    fn compile(&self, file: &str, dir: &TempDir) -> PathBuf {
        let source = root().join("ffi-tests").join(file);
        let program =
            dir.path().join(format!("{file}.{}", if self.sanitized { "san" } else { "out" }));
        let (compiler, std) =
            if file.ends_with(".cpp") { (cxx(), "-std=c++17") } else { (cc(), "-std=c11") };
        let mut compile = command(&compiler);
        compile.arg(std).args(WARNINGS);
        if self.sanitized {
            compile.args(SANITIZE);
        }
        compile.arg("-I").arg(root().join("include")).arg(source).arg("-o").arg(&program);
        match &self.library {
            Library::Shared => {
                let library = library("libdelta_engine.so");
                compile.arg(&library);
                compile.arg(format!("-Wl,-rpath,{}", library.parent().unwrap().display()));
            }
            // What the program does not use, and the library's own debug
            // information, would only cost time: a hundred megabytes a program.
            Library::Static => {
                compile.arg(library("libdelta_engine.a"));
                compile.args(["-Wl,--strip-debug", "-Wl,--gc-sections"]);
            }
            Library::StaticAfter(other) => {
                compile.arg(other).arg(library("libdelta_engine.a"));
                compile.arg("-Wl,--strip-debug");
            }
            Library::None => {}
        }
        compile.args(["-lpthread", "-ldl", "-lm"]);
        run(&mut compile);
        program
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The library that cargo built for this very test: it lies beside the test's
/// executable, in `deps`. The copy one level up is of an earlier `cargo build`,
/// if there is any.
fn library(name: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join(name);
    assert!(library.exists(), "{} was not built", library.display());
    library
}

fn cc() -> String {
    std::env::var("CC").unwrap_or_else(|_| "cc".to_owned())
}

fn cxx() -> String {
    std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned())
}

/// `compiler` may have arguments of its own, as in CC="ccache gcc".
fn command(compiler: &str) -> Command {
    let mut words = compiler.split_whitespace();
    let mut command = Command::new(words.next().expect("CC and CXX are not empty"));
    command.args(words);
    command
}

/// Runs `command`, which must end in time and return 0.
fn run(command: &mut Command) -> Output {
    let described = format!("{command:?}");
    let child = command
        .env("ASAN_OPTIONS", "detect_leaks=1")
        .env("UBSAN_OPTIONS", "print_stacktrace=1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{described}: {e}"));
    let id = child.id();
    let (done, is_done) = std::sync::mpsc::channel();
    // A full pipe would stop the program, so a thread empties it meanwhile.
    let reader = std::thread::spawn(move || {
        let output = child.wait_with_output();
        let _ = done.send(());
        output
    });
    if is_done.recv_timeout(RUN_MAX).is_err() {
        // By its id, since the reader has the child.
        let _ = Command::new("kill").args(["-9", &id.to_string()]).status();
        panic!("{described}: still running after {RUN_MAX:?}");
    }
    let output = reader.join().unwrap().unwrap();
    assert!(
        output.status.success(),
        "{described}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// Whether the compiler has the sanitizers' runtime; says so once if not.
fn has_sanitizers() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let source = dir.path().join("empty.c");
        let program = dir.path().join("empty");
        std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
        let works = [cc(), cxx()].iter().all(|compiler| {
            let mut compile = command(compiler);
            compile.args(SANITIZE).arg(&source).arg("-o").arg(&program);
            compile.output().is_ok_and(|output| output.status.success())
                && Command::new(&program).output().is_ok_and(|output| output.status.success())
        });
        if !works {
            eprintln!("skipped: {} cannot build a program with {}", cc(), SANITIZE[0]);
        }
        works
    })
}

// ---------------------------------------------------------------- the tables

/// Tables of the simplest shape: commits, and nothing else.
struct Tables {
    dir: TempDir,
}

const PROTOCOL: &str = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["appendOnly","domainMetadata","clustering","rowTracking","checkConstraints"]}}"#;
const METADATA: &str = r#"{"metaData":{"id":"b2b0a2c6-6f5f-4f7e-8d58-0d6a1f6d8f10","name":"table ü","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}},{\"name\":\"day\",\"type\":\"date\",\"nullable\":true,\"metadata\":{}},{\"name\":\"place\",\"type\":{\"type\":\"struct\",\"fields\":[{\"name\":\"city\",\"type\":\"string\",\"nullable\":true,\"metadata\":{}}]},\"nullable\":true,\"metadata\":{}}]}","partitionColumns":["day"],"configuration":{"delta.appendOnly":"false","delta.checkpointInterval":"often","delta.constraints.recent":"day > '2020-01-01'","delta.isolationLevel":"writeserializable","owner":""},"createdTime":1700000000000}}"#;
const TXN: &str = r#"{"txn":{"appId":"loader","version":42,"lastUpdated":1700000000000}}"#;
const DOMAIN: &str =
    r#"{"domainMetadata":{"domain":"app.settings","configuration":"{\"a\":1}","removed":false}}"#;
const LATER_TXN: &str = r#"{"txn":{"appId":"counter","version":7}}"#;
const CLUSTERING: &str = r#"{"domainMetadata":{"domain":"delta.clustering","configuration":"{\"clusteringColumns\":[[\"id\"],[\"place\",\"city\"]]}","removed":false}}"#;
const ROW_TRACKING: &str = r#"{"domainMetadata":{"domain":"delta.rowTracking","configuration":"{\"rowIdHighWaterMark\":2999}","removed":false}}"#;

/// Of a table that may have deletion vectors and V2 checkpoints.
const NEWER_PROTOCOL: &str = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["deletionVectors","v2Checkpoint"],"writerFeatures":["deletionVectors","v2Checkpoint"]}}"#;
const V2_CHECKPOINT: &str =
    "00000000000000000002.checkpoint.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json";

/// Of a table whose commits only its catalog knows.
const CATALOG_PROTOCOL: &str = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["catalogManaged"],"writerFeatures":["catalogManaged","inCommitTimestamp"]}}"#;
const TIMED_METADATA: &str = r#"{"metaData":{"id":"c","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[]}","partitionColumns":[],"configuration":{"delta.enableInCommitTimestamps":"true"}}}"#;
/// Of a table whose commits hold their time.
const TIMED_PROTOCOL: &str = r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["inCommitTimestamp"]}}"#;
/// The name that `catalog.c` has of it.
const STAGED: &str = "00000000000000000001.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json";

fn path_of(commit: usize, i: usize) -> String {
    format!("day=2024-01-0{}/part-{i:05}.parquet", commit + 1)
}

fn adds(commit: usize) -> String {
    let mut lines = String::new();
    for i in 0..ADDS_PER_COMMIT {
        let path = path_of(commit, i);
        writeln!(
            lines,
            r#"{{"add":{{"path":"{path}","partitionValues":{{"day":"2024-01-0{}"}},"size":{},"modificationTime":1700000000000,"dataChange":true,"stats":"{{\"numRecords\":{i}}}"}}}}"#,
            commit + 1,
            size_of_file(i)
        )
        .unwrap();
    }
    lines
}

/// The add of a small file.
fn add_of(path: &str, time: u64) -> String {
    format!(
        r#"{{"add":{{"path":"{path}","partitionValues":{{}},"size":1,"modificationTime":{time},"dataChange":true}}}}"#
    )
}

/// What the writer of the good table's version 2 counted.
fn checksum() -> String {
    let sizes = (0..3).flat_map(|commit| {
        (first_live(commit)..ADDS_PER_COMMIT).map(size_of_file).collect::<Vec<_>>()
    });
    let (small, large): (Vec<usize>, Vec<usize>) = sizes.partition(|size| *size < 1500);
    let bytes = |sizes: &[usize]| sizes.iter().sum::<usize>();
    format!(
        r#"{{"tableSizeBytes":{},"numFiles":{LIVE_FILES},"numMetadata":1,"numProtocol":1,"fileSizeHistogram":{{"sortedBinBoundaries":[0,1500],"fileCounts":[{},{}],"totalBytes":[{},{}]}},"numDeletedRecordsOpt":0,"deletedRecordCountsHistogramOpt":{{"deletedRecordCounts":[{LIVE_FILES},0,0,0,0,0,0,0,0,0]}}}}"#,
        bytes(&small) + bytes(&large),
        small.len(),
        large.len(),
        bytes(&small),
        bytes(&large),
    )
}

fn first_live(commit: usize) -> usize {
    if commit == 0 { REMOVES } else { 0 }
}

fn size_of_file(i: usize) -> usize {
    1000 + i
}

fn removes() -> String {
    let mut lines = String::new();
    for i in 0..REMOVES {
        let path = path_of(0, i);
        writeln!(
            lines,
            r#"{{"remove":{{"path":"{path}","deletionTimestamp":1700000000000,"dataChange":true}}}}"#
        )
        .unwrap();
    }
    lines
}

impl Tables {
    fn new() -> Self {
        let tables = Tables { dir: TempDir::new().unwrap() };
        let first = format!("{PROTOCOL}\n{METADATA}\n{TXN}\n{DOMAIN}\n{}", adds(0));
        let second = format!("{}{LATER_TXN}\n{CLUSTERING}\n", adds(1));
        let last = format!("{}{ROW_TRACKING}\n{}", adds(2), removes());
        tables.write("good", &[&first, &second, &last]);
        tables.write_beside("good", "00000000000000000002.crc", &checksum());
        tables.write("growing", &[&first]);
        tables.write("disagreeing", &[&first]);
        let counts_one = r#"{"tableSizeBytes":1000,"numFiles":1,"numMetadata":1,"numProtocol":1}"#;
        tables.write_beside("disagreeing", "00000000000000000000.crc", counts_one);
        let commit_info = |ms: u64| {
            format!(r#"{{"commitInfo":{{"inCommitTimestamp":{ms},"operation":"WRITE"}}}}"#)
        };
        tables.write("changing", &[&format!("{NEWER_PROTOCOL}\n{METADATA}\n{}", adds(0))]);
        // Its commits up to the checkpoint are gone.
        let checkpoint = format!(
            "{{\"checkpointMetadata\":{{\"version\":2}}}}\n{NEWER_PROTOCOL}\n{METADATA}\n{}\n",
            add_of("old.parquet", 1)
        );
        let after = add_of("new.parquet", 2);
        tables.write_beside("cleaned_up", V2_CHECKPOINT, &checkpoint);
        tables.write_beside("cleaned_up", "00000000000000000003.json", &after);
        let first = format!("{}\n{TIMED_PROTOCOL}\n{TIMED_METADATA}\n", commit_info(1000));
        tables.write("timed", &[&first, &commit_info(2000), &commit_info(3000)]);
        let (published, staged) = (
            format!(
                "{}\n{CATALOG_PROTOCOL}\n{TIMED_METADATA}\n{}\n",
                commit_info(1_700_000_000_000),
                add_of("published.parquet", 1)
            ),
            format!("{}\n{}\n", commit_info(1_700_000_001_000), add_of("staged.parquet", 2)),
        );
        tables.write("catalog_managed", &[&published]);
        tables.write_beside("catalog_managed", &format!("_staged_commits/{STAGED}"), &staged);
        tables.write("lying_hint", &[&first]);
        tables.write_beside("lying_hint", "_last_checkpoint", r#"{"version":50,"size":3}"#);
        tables.write("corrupt", &[&first, "{\"add\":{\"path\":\"x\"\n"]);
        let future = r#"{"protocol":{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["someFutureFeature"],"writerFeatures":["someFutureFeature"]}}"#;
        tables.write("unsupported", &[&format!("{future}\n{METADATA}\n")]);
        tables
    }

    fn write(&self, name: &str, commits: &[&str]) {
        let log = self.path(name).join("_delta_log");
        std::fs::create_dir_all(&log).unwrap();
        for (version, commit) in commits.iter().enumerate() {
            std::fs::write(log.join(format!("{version:020}.json")), commit).unwrap();
        }
    }

    /// Writes a file that is no published commit to a table's log.
    fn write_beside(&self, name: &str, file: &str, content: &str) {
        let file = self.path(name).join("_delta_log").join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn good(&self) -> PathBuf {
        self.path("good")
    }

    fn live_paths(&self) -> Vec<String> {
        (0..3)
            .flat_map(|commit| {
                (first_live(commit)..ADDS_PER_COMMIT).map(move |i| path_of(commit, i))
            })
            .collect()
    }
}
