//! The command line, run as a person runs it: on small tables that each test
//! writes itself.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use arrow::array::{AsArray, RecordBatchReader};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A table whose commits are written out in full.
struct TestTable {
    root: TempDir,
    next_version: u64,
}

impl TestTable {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("_delta_log")).unwrap();
        TestTable { root, next_version: 0 }
    }

    /// Protocol 1, 2 and a table `t` of these columns.
    fn of_columns(columns: &[(&str, &str)], partition_columns: &[&str]) -> Self {
        let fields: Vec<_> = columns
            .iter()
            .map(|(name, kind)| json!({"name": name, "type": kind, "nullable": true, "metadata": {}}))
            .collect();
        TestTable::new().commit([
            json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
            json!({"metaData": {
                "id": "11111111-2222-4333-8444-555555555555",
                "name": "t",
                "format": {"provider": "parquet", "options": {}},
                "schemaString": json!({"type": "struct", "fields": fields}).to_string(),
                "partitionColumns": partition_columns,
                "configuration": {"delta.appendOnly": "false"},
                "createdTime": 1_717_200_000_000_i64,
            }}),
        ])
    }

    fn commit(self, actions: impl IntoIterator<Item = Value>) -> Self {
        let text: String = actions.into_iter().map(|action| format!("{action}\n")).collect();
        self.commit_text(&text)
    }

    fn commit_text(mut self, text: &str) -> Self {
        let name = format!("_delta_log/{:020}.json", self.next_version);
        fs::write(self.root.path().join(name), text).unwrap();
        self.next_version += 1;
        self
    }

    fn path(&self) -> &str {
        self.root.path().to_str().unwrap()
    }
}

fn add(path: &str, size: i64) -> Value {
    json!({"add": {
        "path": path,
        "partitionValues": {},
        "size": size,
        "modificationTime": 1_717_200_000_123_i64,
        "dataChange": true,
        "stats": "{\"numRecords\":3}",
    }})
}

fn remove(path: &str) -> Value {
    json!({"remove": {"path": path, "deletionTimestamp": 1_717_200_000_124_i64, "dataChange": true}})
}

/// Two files: `a` of 10 bytes and `b` of 20.
fn two_files() -> TestTable {
    TestTable::of_columns(&[("id", "long")], &[])
        .commit([add("a", 10), add("gone", 99)])
        .commit([remove("gone"), add("b", 20)])
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delta-engine"));
    command.args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Stdout of a run that must succeed.
#[track_caller]
fn stdout_of(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Stdout's lines, sorted: which file comes first is the stream's affair.
#[track_caller]
fn sorted_lines_of(arguments: &[&str]) -> Vec<String> {
    let mut lines: Vec<_> = stdout_of(arguments).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_fails_with_one_line(output: &Output, says: &str) {
    let line = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.starts_with("delta-engine: "), "{line}");
    assert!(line.contains(says), "{line}");
    assert_eq!(line.trim_end_matches('\n').lines().count(), 1, "{line}");
}

#[test]
fn jsonl_is_one_object_a_live_file_with_the_default_columns() {
    let table = two_files();
    let line = |path: &str, size: i64| {
        format!(
            r#"{{"path":"{path}","size":{size},"modification_time":1717200000123,"partition_values":{{}},"num_records":3,"stats":"{{\"numRecords\":3}}","deletion_vector":null}}"#
        )
    };
    let expected = [line("a", 10), line("b", 20)];
    assert_eq!(sorted_lines_of(&["files", table.path(), "--format", "jsonl"]), expected);
}

#[test]
fn a_file_url_names_the_same_table_as_its_path() {
    let table = two_files();
    let url = format!("file://{}", table.path());
    assert_eq!(
        stdout_of(&["files", &url, "--format", "jsonl"]),
        stdout_of(&["files", table.path(), "--format", "jsonl"]),
    );
}

#[test]
fn columns_come_in_the_order_they_are_asked_for() {
    let table = two_files();
    let lines =
        sorted_lines_of(&["files", table.path(), "--format", "jsonl", "--columns", "size,path"]);
    assert_eq!(lines, [r#"{"size":10,"path":"a"}"#, r#"{"size":20,"path":"b"}"#]);
}

#[test]
fn typed_partition_values_have_json_types_or_agreed_text() {
    let types = [
        ("n", "integer"),
        ("x", "decimal(5,2)"),
        ("d", "date"),
        ("t", "timestamp"),
        ("b", "binary"),
        ("f", "double"),
        ("s", "string"),
        ("l", "boolean"),
    ];
    let names = types.map(|(name, _)| name);
    let add = |path: &str, values: Value| {
        let mut add = add(path, 1);
        add["add"]["partitionValues"] = values;
        add
    };
    let table = TestTable::of_columns(&types, &names).commit([
        add(
            "p",
            json!({"n": "-7", "x": "1.50", "d": "2024-02-29", "t": "2024-06-01T12:00:00.000001Z",
                   "b": "\u{1}A", "f": "NaN", "s": "ü\"\\", "l": "true"}),
        ),
        add(
            "q",
            json!({"n": null, "x": null, "d": null, "t": null,
                   "b": null, "f": null, "s": null, "l": null}),
        ),
    ]);
    let lines = sorted_lines_of(&[
        "files",
        table.path(),
        "--format",
        "jsonl",
        "--columns",
        "path,partition",
    ]);
    let expected = [
        r#"{"path":"p","partition":{"n":-7,"x":"1.50","d":"2024-02-29","t":"2024-06-01T12:00:00.000001Z","b":"0141","f":"NaN","s":"ü\"\\","l":true}}"#,
        r#"{"path":"q","partition":{"n":null,"x":null,"d":null,"t":null,"b":null,"f":null,"s":null,"l":null}}"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn strings_keep_their_bytes() {
    let stats = "{\"numRecords\":1,\"maxValues\":{\"s\":\"ü\\\"\u{7f}\u{2028}/\\n\"}}";
    let mut add = add("a", 1);
    add["add"]["stats"] = json!(stats);
    let table = TestTable::of_columns(&[("s", "string")], &[]).commit([add]);
    let out = stdout_of(&["files", table.path(), "--format", "jsonl", "--columns", "stats"]);
    let row: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(row["stats"], stats);
}

#[test]
fn an_older_version_can_be_listed() {
    let table = two_files();
    let lines = sorted_lines_of(&[
        "files",
        table.path(),
        "--version",
        "1",
        "--format",
        "jsonl",
        "--columns",
        "path",
    ]);
    assert_eq!(lines, [r#"{"path":"a"}"#, r#"{"path":"gone"}"#]);
}

#[test]
fn threads_window_and_batch_size_do_not_change_the_listing() {
    let actions = (0..3_000).map(|i| add(&format!("part-{i}"), i));
    let table = TestTable::of_columns(&[("id", "long")], &[]).commit(actions);
    let list =
        |more: &[&str]| stdout_of(&[&["files", table.path(), "--format", "jsonl"], more].concat());
    let serial = list(&["--threads", "0"]);
    assert_eq!(serial.lines().count(), 3_000);
    assert!(list(&["--threads", "3", "--window", "64KiB"]) == serial);
    assert!(list(&["--batch-rows", "7"]) == serial);
}

#[test]
fn the_table_format_aligns_its_columns() {
    let table = two_files();
    let out = stdout_of(&[
        "files",
        table.path(),
        "--version",
        "1",
        "--columns",
        "path,size,modification_time",
    ]);
    let mut lines: Vec<_> = out.lines().collect();
    lines[2..].sort_unstable();
    let expected = [
        "path  size  modification_time",
        "----  ----  ------------------------",
        "a       10  2024-06-01T00:00:00.123Z",
        "gone    99  2024-06-01T00:00:00.123Z",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_table_of_no_files_has_a_header_and_no_lines() {
    let table = TestTable::of_columns(&[("id", "long")], &[]);
    let arguments = ["files", table.path(), "--columns", "path,size"];
    assert_eq!(stdout_of(&arguments), "path  size\n----  ----\n");
    assert_eq!(stdout_of(&[&arguments[..], &["--format", "jsonl"]].concat()), "");
}

#[test]
fn a_name_in_a_table_does_not_steer_the_terminal() {
    let mut add = add("a", 1);
    add["add"]["stats"] = json!("\u{1b}[2J");
    let table = TestTable::of_columns(&[("id", "long")], &[]).commit([add]);
    let out = stdout_of(&["files", table.path(), "--columns", "stats"]);
    assert!(!out.contains('\u{1b}') && out.contains("\\u{1b}[2J"), "{out}");
}

#[test]
fn the_arrow_format_is_an_ipc_stream_of_the_same_files() {
    let table = two_files();
    let output = run(&[
        "files",
        table.path(),
        "--format",
        "arrow",
        "--columns",
        "size",
        "--batch-rows",
        "1",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let reader = arrow::ipc::reader::StreamReader::try_new(&output.stdout[..], None).unwrap();
    assert_eq!(reader.schema().field(0).name(), "size");
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 2);
}

#[test]
fn csv_has_a_header_and_tells_a_null_from_an_empty_string() {
    let plain = |path: &str| add(path, 1)["add"].clone();
    let with = |path: &str, stats: Value, values: Value| {
        let mut add = plain(path);
        add["stats"] = stats;
        add["partitionValues"] = values;
        json!({"add": add})
    };
    let table = TestTable::of_columns(&[("id", "long"), ("day", "date")], &["day"]).commit([
        with("a", json!("say \"x\",\ny"), json!({"day": "2024-02-29"})),
        with("b", json!(""), json!({"day": null})),
        with("c", Value::Null, json!({"day": "1970-01-01"})),
    ]);
    let print = |columns: &str| {
        let arguments = ["files", table.path(), "--format", "csv", "--columns", columns];
        stdout_of(&arguments)
    };
    assert_eq!(
        print("path,stats,partition_values,size"),
        "path,stats,partition_values,size\n\
         a,\"say \"\"x\"\",\ny\",\"{\"\"day\"\":\"\"2024-02-29\"\"}\",1\n\
         b,\"\",\"{\"\"day\"\":null}\",1\n\
         c,,\"{\"\"day\"\":\"\"1970-01-01\"\"}\",1\n",
    );
    // A line that is empty would be no row to many readers.
    assert_eq!(print("tags"), "tags\n\"\"\n\"\"\n\"\"\n");
    let empty = TestTable::of_columns(&[("id", "long")], &[]);
    let arguments = ["files", empty.path(), "--format", "csv", "--columns", "path,size"];
    assert_eq!(stdout_of(&arguments), "path,size\n");
}

#[test]
fn the_parquet_format_is_a_file_of_the_same_files() {
    let table = two_files();
    let columns = "path,size,modification_time,partition_values,deletion_vector";
    let output = run(&["files", table.path(), "--format", "parquet", "--columns", columns]);
    assert!(output.status.success(), "{}", stderr(&output));
    let reader = ParquetRecordBatchReader::try_new(Bytes::from(output.stdout), 100).unwrap();
    let names: Vec<_> = reader.schema().fields().iter().map(|f| f.name().clone()).collect();
    assert_eq!(names.join(","), columns);
    let sizes = reader.map(|batch| {
        let batch = batch.unwrap();
        batch.column(1).as_primitive::<Int64Type>().values().to_vec()
    });
    assert_eq!(sizes.flatten().sum::<i64>(), 30);
}

#[test]
fn an_output_file_is_there_when_it_is_complete() {
    let table = two_files();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("files.jsonl");
    let to_file = |table: &str, format: &str| {
        run(&["files", table, "--format", format, "--output", file.to_str().unwrap()])
    };
    let names = || fs::read_dir(folder.path()).unwrap().count();

    let output = to_file(table.path(), "jsonl");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(output.stdout, b"");
    let expected = stdout_of(&["files", table.path(), "--format", "jsonl"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);

    let broken = two_files().commit_text("{");
    for format in ["table", "jsonl", "csv", "arrow", "parquet"] {
        assert_fails_with_one_line(&to_file(broken.path(), format), "00000000000000000003.json");
        assert_eq!(fs::read_to_string(&file).unwrap(), expected, "{format}");
        assert_eq!(names(), 1, "{format}");
    }
    for format in ["table", "csv", "arrow", "parquet"] {
        let output = to_file(table.path(), format);
        assert!(output.status.success(), "{}", stderr(&output));
        assert_ne!(fs::read(&file).unwrap(), expected.as_bytes(), "{format}");
        assert_eq!(names(), 1, "{format}");
    }
    let output = run(&["files", table.path(), "--output", folder.path().to_str().unwrap()]);
    assert_fails_with_one_line(&output, "is no file");
    assert_eq!(to_file(table.path(), "none").status.code(), Some(2));
}

#[test]
fn the_summary_counts_files_and_bytes_and_prints_nothing_else() {
    let table = two_files();
    let output = run(&["files", table.path(), "--format", "none", "--summary"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(output.stdout, b"");

    let summary = stderr(&output);
    let lines: Vec<_> = summary.lines().collect();
    assert_eq!(lines[..2], ["files         2", "bytes         30 (30 B)"]);
    let names: Vec<_> = lines.iter().map(|line| line[..14].trim_end()).collect();
    let expected =
        ["files", "bytes", "wall", "cpu", "cores used", "first batch", "peak memory", "batches"];
    assert_eq!(names, expected);
    assert_eq!(lines[7], "batches       1");
}

#[test]
fn without_the_size_column_the_summary_does_not_invent_bytes() {
    let table = two_files();
    let output =
        run(&["files", table.path(), "--format", "none", "--summary", "--columns", "path"]);
    assert!(stderr(&output).contains("bytes         unknown"), "{}", stderr(&output));
}

#[test]
fn a_commit_that_adds_and_removes_one_file_is_an_error_unless_the_last_action_wins() {
    let table = TestTable::of_columns(&[("id", "long")], &[]).commit([
        add("a", 1),
        add("b", 1),
        remove("a"),
    ]);
    let arguments = ["files", table.path(), "--format", "jsonl", "--columns", "path"];
    assert_fails_with_one_line(&run(&arguments), "corrupt log");
    let lines = sorted_lines_of(&[&arguments[..], &["--last-action-wins"]].concat());
    assert_eq!(lines, [r#"{"path":"b"}"#]);
}

/// Files of three days, `n` of each from 0 to 9, from 10 to 19 and so on.
fn nine_files() -> TestTable {
    let table = TestTable::of_columns(&[("n", "long"), ("day", "date")], &["day"]);
    table.commit((0..9).map(|i| {
        let (low, high) = (i * 10, i * 10 + 9);
        let mut add = add(&format!("f{i}"), 1 << i);
        add["add"]["partitionValues"] = json!({"day": format!("2025-01-0{}", i / 3 + 1)});
        let stats = json!({"numRecords": 3, "minValues": {"n": low}, "maxValues": {"n": high},
                           "nullCount": {"n": 0}});
        add["add"]["stats"] = json!(stats.to_string());
        add
    }))
}

#[test]
fn a_listing_has_the_files_that_may_hold_wanted_rows() {
    let table = nine_files();
    let listed = |sql: &str| {
        let arguments =
            ["files", table.path(), "--format", "csv", "--columns", "path", "--where", sql];
        let mut lines = sorted_lines_of(&arguments);
        assert_eq!(lines.remove(lines.len() - 1), "path");
        lines.join(" ")
    };
    assert_eq!(listed("day = DATE '2025-01-02'"), "f3 f4 f5");
    assert_eq!(listed("n BETWEEN 19 AND 20 OR n > 85"), "f1 f2 f8");
    assert_eq!(listed("day > '2025-01-01' AND n < 45"), "f3 f4");
    assert_eq!(listed("n IS NULL"), "");
    assert_eq!(listed("n = 5 OR NOT n = 5"), "f0 f1 f2 f3 f4 f5 f6 f7 f8");
}

#[test]
fn the_summary_tells_what_a_filter_left_out() {
    let table = nine_files();
    let arguments = ["files", table.path(), "--format", "none", "--summary"];
    let output =
        run(&[&arguments[..], &["--where", "day >= DATE '2025-01-02' AND n < 42"]].concat());
    let summary = stderr(&output);
    let expected = [
        "files         2",
        "files looked at         9 (511 B)",
        "  pruned by partition   3 (7 B)",
        "  skipped by statistics 4 (480 B)",
        "  kept                  2 (24 B)",
        "checkpoint rows skipped 0",
    ];
    for line in expected {
        assert!(summary.lines().any(|found| found == line), "{line}: {summary}");
    }
    assert!(!stderr(&run(&arguments)).contains("pruned"), "there is no filter");
}

#[test]
fn explain_tells_what_a_filter_asks_and_what_it_spares() {
    let table = nine_files();
    let sql = "Day >= '2025-01-02' and 42 > n";
    let expected = "\
predicate               Day >= '2025-01-02' AND n < 42
columns                 day: date, partition column
                        n: long
files looked at         9 (511 B)
  pruned by partition   3 (7 B)
  skipped by statistics 4 (480 B)
  kept                  2 (24 B)
checkpoint rows skipped 0
";
    assert_eq!(stdout_of(&["explain", table.path(), "--where", sql]), expected);
    let json = stdout_of(&["explain", table.path(), "--where", sql, "--format", "json"]);
    let expected = json!({
        "predicate": "Day >= '2025-01-02' AND n < 42",
        "columns": [
            {"path": ["day"], "type": "date", "is_partition_column": true},
            {"path": ["n"], "type": "long", "is_partition_column": false},
        ],
        "pruned_by_partition": {"files": 3, "bytes": 7},
        "skipped_by_statistics": {"files": 4, "bytes": 480},
        "kept": {"files": 2, "bytes": 24},
        "checkpoint_rows_skipped": 0,
    });
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), expected);
    assert_eq!(run(&["explain", table.path()]).status.code(), Some(2));
}

#[test]
fn a_mistake_in_a_filter_is_shown_at_its_place() {
    let table = nine_files();
    for (sql, says) in [
        (
            "n = 5 AND\n  color = 'red'",
            "delta-engine: invalid argument: predicate, line 2, column 3: no column color in the table\n\
             \u{20}   color = 'red'\n\
             \u{20}   ^\n",
        ),
        (
            "n = 'five'",
            "delta-engine: invalid argument: predicate, column 5: 'five' is no value of type long, which n has\n\
             \u{20} n = 'five'\n\
             \u{20}     ^\n",
        ),
        (
            "n =",
            "delta-engine: invalid argument: predicate, column 4: expected a column or a value, found the end\n\
             \u{20} n =\n\
             \u{20}    ^\n",
        ),
    ] {
        for command in ["files", "rows", "explain"] {
            let output = run(&[command, table.path(), "--where", sql]);
            assert_eq!(stderr(&output), says);
            assert_eq!((output.status.code(), &output.stdout[..]), (Some(2), &b""[..]));
        }
    }
    let output = run(&["files", table.path(), "--where", " "]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stderr(&output), "delta-engine: invalid argument: predicate: its text is empty\n");
}

#[test]
fn what_cannot_be_answered_is_one_line_and_exit_code_1() {
    let table = two_files();
    let nowhere = table.root.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for command in ["files", "snapshot", "schema"] {
        assert_fails_with_one_line(&run(&[command, nowhere]), "nowhere");
        assert_fails_with_one_line(&run(&[command, table.path(), "--version", "9"]), "9");
    }
}

#[test]
fn a_log_that_breaks_off_is_an_error_and_not_a_short_listing() {
    let table = TestTable::of_columns(&[("id", "long")], &[])
        .commit([add("a", 1)])
        .commit_text("{\"add\":{\"path\":\"b\",\"si");
    for format in ["table", "jsonl", "csv", "arrow", "parquet", "none"] {
        let output = run(&["files", table.path(), "--format", format]);
        assert_fails_with_one_line(&output, "00000000000000000002.json");
    }
}

#[test]
fn what_makes_no_sense_is_exit_code_2_with_the_usage() {
    let table = two_files();
    let wrong: [&[&str]; 8] = [
        &[],
        &["files"],
        &["list", table.path()],
        &["files", table.path(), "--columns", "path,color"],
        &["files", table.path(), "--window", "5q"],
        &["files", table.path(), "--batch-rows", "0"],
        &["files", table.path(), "--version", "-1"],
        &["snapshot", table.path(), "--columns", "path"],
    ];
    for arguments in wrong {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", stderr(&output));
        assert_eq!(output.stdout, b"", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_unknown_column_is_answered_with_those_there_are() {
    let table = two_files();
    let output = run(&["files", table.path(), "--columns", "color"]);
    for column in delta_engine::FILE_COLUMNS {
        assert!(stderr(&output).contains(column), "{column}: {}", stderr(&output));
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    // Well beyond what a pipe holds, so that the program must meet the closed end.
    let actions = (0..20_000).map(|i| add(&format!("part-{i}"), i));
    let table = TestTable::of_columns(&[("id", "long")], &[]).commit(actions);
    for format in ["table", "jsonl", "csv", "arrow"] {
        let mut child = program(&["files", table.path(), "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = Vec::new();
        BufReader::new(child.stdout.take().unwrap()).read_until(b'\n', &mut first).unwrap();
        assert!(!first.is_empty(), "{format}");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{format}: {}", stderr(&output));
        assert_eq!(stderr(&output), "", "{format}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error() {
    let table = two_files();
    let wrong: [&[&str]; 8] = [
        &["files", table.path()],
        &["files", table.path(), "--format", "jsonl"],
        &["files", table.path(), "--format", "csv"],
        &["files", table.path(), "--format", "parquet"],
        &["files", table.path(), "--format", "arrow"],
        &["snapshot", table.path()],
        &["schema", table.path()],
        &["demo", "--files", "10"],
    ];
    for arguments in wrong {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = program(arguments).stdout(full).output().unwrap();
        assert_fails_with_one_line(&output, "cannot write the output");
    }
}

#[test]
fn schema_prints_a_tree_or_the_delta_json() {
    let schema = json!({"type": "struct", "fields": [
        {"name": "id", "type": "long", "nullable": false, "metadata": {}},
        {"name": "at", "nullable": true, "metadata": {"comment": "where"}, "type": {
            "type": "struct", "fields": [
                {"name": "x", "type": "double", "nullable": true, "metadata": {}}]}},
        {"name": "tags", "nullable": true, "metadata": {}, "type": {
            "type": "map", "keyType": "string", "valueType": "string", "valueContainsNull": true}},
    ]});
    let table = TestTable::new().commit([
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": "x",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": schema.to_string(),
            "partitionColumns": [],
            "configuration": {},
        }}),
    ]);
    let expected = "\
root
 |-- id: long (not null)
 |-- at: struct (nullable)
 |    |-- x: double (nullable)
 |-- tags: map (nullable)
 |    |-- key: string (not null)
 |    |-- value: string (nullable)
";
    assert_eq!(stdout_of(&["schema", table.path()]), expected);
    let out = stdout_of(&["schema", table.path(), "--format", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), schema);
}

#[test]
fn snapshot_describes_a_version_for_a_person() {
    let table = TestTable::of_columns(&[("id", "long"), ("day", "date")], &["day"]);
    let out = stdout_of(&["snapshot", table.path()]);
    let expected = [
        "version        0",
        "id             11111111-2222-4333-8444-555555555555",
        "name           t",
        "created        2024-06-01T00:00:00.000Z",
        "format         parquet",
        "reader         version 1",
        "writer         version 2",
        "columns        2",
        "partitions     day",
        "properties",
        "  delta.appendOnly = false",
    ];
    for line in expected {
        assert!(out.lines().any(|l| l == line), "no line `{line}` in\n{out}");
    }
    assert!(out.lines().any(|l| l.starts_with("timestamp      20") && l.ends_with('Z')), "{out}");
}

#[test]
fn snapshot_is_one_json_object_on_one_line() {
    let table = TestTable::of_columns(&[("id", "long")], &[]).commit([
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 7,
                            "writerFeatures": ["domainMetadata"]}}),
        json!({"domainMetadata": {"domain": "d", "configuration": "{}", "removed": false}}),
    ]);
    for format in ["json", "jsonl"] {
        let out = stdout_of(&["snapshot", table.path(), "--format", format]);
        assert_eq!(out.lines().count(), 1, "{out}");
        let snapshot: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(snapshot["version"], 1);
        assert_eq!(snapshot["name"], "t");
        assert_eq!(snapshot["description"], Value::Null);
        assert_eq!(snapshot["columns"], 1);
        assert_eq!(snapshot["protocol"]["min_writer_version"], 7);
        assert_eq!(snapshot["protocol"]["reader_features"], Value::Null);
        assert_eq!(snapshot["protocol"]["writer_features"], json!(["domainMetadata"]));
        assert_eq!(snapshot["configuration"], json!({"delta.appendOnly": "false"}));
        assert_eq!(snapshot["domain_metadata"], json!({"d": "{}"}));
        assert!(snapshot["timestamp_ms"].as_i64().unwrap() > 0);
    }
}

#[test]
fn changes_are_the_difference_of_two_versions() {
    let table = TestTable::of_columns(&[("id", "long")], &[])
        .commit([add("a", 1), add("b", 2)])
        .commit([remove("a"), add("c", 3)])
        .commit([remove("c"), add("d", 4)]);
    let print = |more: &[&str]| {
        let arguments = ["changes", table.path(), "--columns", "change,path", "--format", "jsonl"];
        sorted_lines_of(&[&arguments, more].concat())
    };
    let added = |path: &str| format!(r#"{{"change":"add","path":"{path}"}}"#);
    let removed = |path: &str| format!(r#"{{"change":"remove","path":"{path}"}}"#);
    assert_eq!(print(&["--from", "1"]), [added("d"), removed("a"), removed("c")]);
    assert_eq!(print(&["--from", "1", "--to", "2"]), [added("c"), removed("a")]);
    assert!(print(&["--from", "3"]).is_empty());
    let output = run(&["changes", table.path(), "--from", "9"]);
    assert_fails_with_one_line(&output, "9");
    let output = run(&["changes", table.path()]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn actions_are_the_lines_of_a_range_of_commits() {
    let table = TestTable::of_columns(&[("id", "long")], &[])
        .commit([add("a", 1)])
        .commit([json!({"txn": {"appId": "x", "version": 1}}), remove("a")]);
    let print = |more: &[&str]| {
        let columns = "version,action,path,json";
        let arguments =
            ["actions", table.path(), "--from", "1", "--columns", columns, "--format", "jsonl"];
        stdout_of(&[&arguments, more].concat())
    };
    assert_eq!(
        print(&[]).lines().collect::<Vec<_>>(),
        [
            r#"{"version":1,"action":"add","path":"a","json":null}"#,
            r#"{"version":2,"action":"txn","path":null,"json":"{\"appId\":\"x\",\"version\":1}"}"#,
            r#"{"version":2,"action":"remove","path":"a","json":null}"#,
        ]
    );
    assert_eq!(print(&["--to", "1"]).lines().count(), 1);
    assert_eq!(print(&["--kinds", "add,remove"]).lines().count(), 2);
}

#[test]
fn history_goes_from_the_newest_commit_down() {
    let info = |operation: &str| json!({"commitInfo": {"operation": operation, "timestamp": 1}});
    let table = TestTable::of_columns(&[("id", "long")], &[])
        .commit([info("WRITE"), add("a", 1)])
        .commit([info("DELETE"), remove("a")]);
    let print = |more: &[&str]| {
        let columns = "version,operation";
        let arguments = ["history", table.path(), "--columns", columns, "--format", "jsonl"];
        let out = stdout_of(&[&arguments, more].concat());
        out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let line = |version: u64, operation: &str| {
        format!(r#"{{"version":{version},"operation":"{operation}"}}"#)
    };
    let all = print(&[]);
    assert_eq!(all[..2], [line(2, "DELETE"), line(1, "WRITE")]);
    assert_eq!(all.len(), 3);
    assert_eq!(print(&["--limit", "1"]), [line(2, "DELETE")]);
    assert_eq!(print(&["--from", "1"]).len(), 2);
    assert_eq!(print(&["--version", "1", "--limit", "1"]), [line(1, "WRITE")]);
    assert_fails_with_one_line(&run(&["history", table.path(), "--from", "3"]), "3");
}

#[test]
fn a_time_leads_to_the_version_of_then() {
    let table = TestTable::of_columns(&[("id", "long")], &[]).commit([add("a", 1)]);
    for (version, seconds) in [(0, 1_700_000_000), (1, 1_700_000_100)] {
        let commit = format!("{}/_delta_log/{version:020}.json", table.path());
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        std::fs::File::options().append(true).open(commit).unwrap().set_modified(time).unwrap();
    }
    let version_at = |time: &str| {
        let out = stdout_of(&["snapshot", table.path(), "--timestamp", time, "--format", "json"]);
        serde_json::from_str::<Value>(&out).unwrap()["version"].as_u64().unwrap()
    };
    assert_eq!(version_at("1700000000000"), 0);
    assert_eq!(version_at("2023-11-14T22:14:59.999Z"), 0);
    assert_eq!(version_at("2023-11-14T22:15:00Z"), 1);
    let output = run(&["files", table.path(), "--timestamp", "2001-01-01"]);
    assert_fails_with_one_line(&output, "2001-01-01");
    let output = run(&["files", table.path(), "--timestamp", "then"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

#[test]
fn snapshot_says_where_its_parts_come_from_and_what_they_cost() {
    let table = TestTable::of_columns(&[("id", "long")], &[])
        .commit([add("a", 1)])
        .commit([json!({"txn": {"appId": "app", "version": 7}})]);
    let out = stdout_of(&["snapshot", table.path(), "--format", "json"]);
    let snapshot: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(snapshot["txns"]["app"]["version"], 7);
    let origin = &snapshot["origin"];
    assert_eq!(origin["protocol"], "commit 0");
    assert_eq!(origin["checkpoint"], Value::Null);
    assert_eq!(origin["commits"], 3);
    assert_eq!(origin["files_read"], 3);
    assert!(origin["bytes_read"].as_u64().unwrap() > 0);

    let out = stdout_of(&["snapshot", table.path()]);
    let found = "found          protocol from commit 0; metadata from commit 0; domain metadata \
                 from the whole log; txns from the whole log";
    assert!(out.lines().any(|line| line == found), "{out}");
    assert!(out.lines().any(|line| line == "log            3 commits"), "{out}");
}

#[test]
fn properties_are_printed_with_their_defaults() {
    let table = TestTable::of_columns(&[("id", "long")], &[]);
    let out = stdout_of(&["properties", table.path()]);
    for line in ["delta.appendOnly = false  (set)", "delta.checkpointInterval = 10  (default)"] {
        assert!(out.lines().any(|l| l == line), "no line `{line}` in\n{out}");
    }
    let out = stdout_of(&["properties", table.path(), "--format", "json"]);
    let properties: Value = serde_json::from_str(&out).unwrap();
    let append_only = json!({"value": "false", "is_set": true});
    assert_eq!(properties["delta.appendOnly"], append_only);
    let interval = json!({"value": "10", "is_set": false});
    assert_eq!(properties["delta.checkpointInterval"], interval);
}

#[test]
fn the_demo_makes_a_table_and_lists_all_of_it() {
    let output = run(&["demo", "--files", "1000"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(out.contains("1,010 live files"), "{out}");
    assert!(out.contains("name           events"), "{out}");
    assert!(stderr(&output).contains("files         1,010\n"), "{}", stderr(&output));

    let made = out.strip_prefix("made ").and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(!Path::new(made).exists(), "{made} was left behind");
}

#[test]
fn a_demo_that_is_kept_is_the_same_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let list = |name: &str| {
        let root = folder.path().join(name);
        let root = root.to_str().unwrap();
        stdout_of(&["demo", "--files", "1000", "--keep", root]);
        sorted_lines_of(&["files", root, "--format", "jsonl"])
    };
    let first = list("first");
    let paths: std::collections::HashSet<_> = first
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["path"].to_string())
        .collect();
    assert_eq!(paths.len(), 1_010);
    assert!(first == list("second"));

    let again = run(&["demo", "--keep", folder.path().to_str().unwrap()]);
    assert_fails_with_one_line(&again, "the folder is not empty");
}

#[test]
fn the_demo_makes_a_table_of_the_shape_it_is_asked_for() {
    let output = run(&["demo", "--shape", "small"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(out.contains("12 commits of 12 adds and 7 removes in all"), "{out}");
    assert!(stderr(&output).contains("files         5\n"), "{}", stderr(&output));

    let output = run(&["demo", "--shape", "sidecars_1m", "--files", "500"]);
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(out.contains("a checkpoint of 500 adds and 2 removes in 20 sidecars"), "{out}");

    let unknown = run(&["demo", "--shape", "round"]);
    assert_eq!(unknown.status.code(), Some(2), "{}", stderr(&unknown));
    assert!(stderr(&unknown).contains("checkpoint_4m"), "{}", stderr(&unknown));
}
