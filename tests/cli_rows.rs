//! `delta-engine rows`, run as a person runs it.
mod common;

use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use common::{
    EVERY_TYPE, TestTable, canonical, every_type, expected_tables, lines_of_every_type, metadata,
    protocol, remove, rows_of_every_type,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;

fn run(table: &TestTable, arguments: &[&str]) -> Output {
    run_on(table.root().to_str().unwrap(), arguments)
}

fn run_on(table: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_delta-engine"));
    command.arg("rows").arg(table).args(arguments).stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn stdout_of(output: Output) -> Vec<u8> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[track_caller]
fn text_of(table: &TestTable, arguments: &[&str]) -> String {
    String::from_utf8(stdout_of(run(table, arguments))).unwrap()
}

#[track_caller]
fn lines_of(table: &TestTable, arguments: &[&str]) -> Vec<String> {
    let arguments = [arguments, &["--format", "jsonl"]].concat();
    text_of(table, &arguments).lines().map(str::to_owned).collect()
}

#[track_caller]
fn assert_fails(output: &Output, says: &str) {
    let line = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert!(line.contains(says) && line.lines().count() == 1, "{line}");
}

#[test]
fn jsonl_has_every_value_exactly() {
    let lines = lines_of(&every_type(), &[]);
    let first = lines_of_every_type();
    let second = [first[0], first[2]].map(|line| line.replace("\"part\":0}", "\"part\":1}"));
    let mut expected = first.map(str::to_owned).to_vec();
    expected.extend(second);
    assert_eq!(lines, expected);
}

#[test]
fn csv_has_iso_dates_and_json_for_what_is_nested() {
    let columns = "string,long,float,date,timestamp,timestamp_ntz,decimal,struct,list,map";
    let text = text_of(&every_type(), &["--format", "csv", "--columns", columns, "--limit", "3"]);
    let expected = [
        columns,
        "\"ü\"\"\\",
        concat!(
            ",\",4,0.1,2024-02-29,2024-06-01T00:00:00.000001Z,1969-12-31T23:59:59.999999,1.500,",
            r#""{""a"":1,""b"":""x""}","[1,null]","{""k"":1,""j"":null}""#,
        ),
        concat!(
            "\"\",-9223372036854775808,NaN,1900-03-01,1969-12-31T23:59:59.999999Z,",
            "3000-01-01T00:00:00.000000,-99999999999999999.999,",
            r#""{""a"":null,""b"":null}",[],{}"#,
        ),
        ",,,,,,,,,",
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn arrow_and_parquet_hold_the_same_rows() {
    let table = every_type();
    let columns = ["--columns", &EVERY_TYPE.join(",")];
    let bytes = |format| stdout_of(run(&table, &[&columns[..], &["--format", format]].concat()));
    let whole = |batches: Vec<RecordBatch>| {
        concat_batches(&batches[0].schema(), &batches).expect("batches of one schema")
    };
    let stream = Bytes::from(bytes("arrow"));
    let stream = StreamReader::try_new(&stream[..], None).unwrap();
    let arrow = whole(stream.map(Result::unwrap).collect());
    let file = ParquetRecordBatchReader::try_new(Bytes::from(bytes("parquet")), 1024).unwrap();
    let parquet = whole(file.map(Result::unwrap).collect());
    assert_eq!(arrow, parquet);

    let written = rows_of_every_type();
    assert_eq!(arrow.num_rows(), 5);
    for (name, column) in written.schema().fields().iter().zip(written.columns()) {
        let found = arrow.column_by_name(name.name()).unwrap().slice(0, 3);
        assert_eq!(found.to_data(), column.to_data(), "{name}");
    }
}

#[test]
fn a_person_gets_a_table() {
    let text = text_of(&every_type(), &["--columns", "long,date,struct.b,part", "--limit", "2"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[2].contains("2024-02-29") && lines[2].contains(r#"{"b":"x"}"#), "{text}");
}

#[test]
fn columns_are_paths_in_the_order_they_are_asked_for() {
    let lines = lines_of(&every_type(), &["--columns", "part,`struct`.b,long", "--limit", "1"]);
    assert_eq!(lines, [r#"{"part":0,"struct":{"b":"x"},"long":4}"#]);
    assert_fails(&run(&every_type(), &["--columns", "color"]), "color");
    let output = run(&every_type(), &["--columns", "`long"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn rows_are_limited_unordered_and_counted() {
    let table = every_type();
    let all = lines_of(&table, &[]);
    assert_eq!(lines_of(&table, &["--limit", "4"]), all[..4]);
    assert_eq!(lines_of(&table, &["--limit", "0"]).len(), 0);
    let mut unordered = lines_of(&table, &["--unordered", "--threads", "2"]);
    unordered.sort();
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!(unordered, sorted);
    assert_eq!(lines_of(&table, &["--threads", "0", "--batch-rows", "1"]), all);
    assert_eq!(text_of(&table, &["--count"]), "5\n");
    assert_eq!(run(&table, &["--count", "--limit", "1"]).status.code(), Some(2));
}

#[test]
fn an_older_version_has_the_rows_it_had() {
    let table = every_type();
    let batch = rows_of_every_type();
    let more = table.data_file("part=2/c.parquet", &batch).partition("part", Some("2"));
    let table = table.commit([more]);
    assert_eq!(lines_of(&table, &["--version", "0"]).len(), 5);
    assert_eq!(lines_of(&table, &[]).len(), 8);
    assert_eq!(text_of(&table, &["--count", "--version", "0"]), "5\n");
}

#[test]
fn the_summary_counts_rows_and_the_bytes_that_were_read() {
    let output = run(&every_type(), &["--format", "none", "--summary"]);
    let says = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = says.lines().collect();
    assert_eq!(lines[0], "rows          5");
    assert!(lines[1].starts_with("read          ") && lines[1].ends_with("KiB"), "{says}");
}

#[test]
fn a_data_file_that_is_gone_is_an_error_in_every_format() {
    let table = every_type().delete_file("part=1/b b.parquet");
    for format in ["table", "jsonl", "csv", "arrow", "parquet", "none"] {
        let output = run(&table, &["--format", format]);
        assert_fails(&output, "part=1/b");
        if format == "parquet" {
            assert!(ParquetRecordBatchReader::try_new(Bytes::from(output.stdout), 1).is_err());
        }
    }
    let file = table.outside().join("rows.csv");
    let output = run(&table, &["--format", "csv", "--output", file.to_str().unwrap()]);
    assert_fails(&output, "part=1/b");
    assert!(!file.exists());
}

#[test]
fn a_table_of_no_rows_has_a_header() {
    let table = TestTable::new().commit([protocol(1, 2), metadata("id long, name string")]);
    assert_eq!(text_of(&table, &["--format", "csv"]), "id,name\n");
    assert_eq!(text_of(&table, &[]), "id  name\n--  ----\n");
    assert_eq!(text_of(&table, &["--format", "jsonl"]), "");
    assert_eq!(text_of(&table, &["--count"]), "0\n");
}

#[test]
fn a_file_outside_the_table_is_read_when_that_is_asked_for() {
    let table = every_type();
    let outside = table.outside().join("a.parquet");
    fs::rename(table.root().join("part=0/a.parquet"), &outside).unwrap();
    let path = format!("file://{}", outside.display());
    let [metadata, protocol] = ["metaData", "protocol"].map(|name| {
        let state = table.state();
        let mut actions = state.table_actions().into_iter();
        actions.find(|action| action.name() == Some(name)).unwrap()
    });
    let clone = TestTable::new();
    let add = table.state().adds.into_values().find(|add| add.path() == "part=0/a.parquet");
    let clone = clone.commit([protocol, metadata, add.unwrap().with("path", path)]);
    assert_fails(&run(&clone, &[]), "reads_outside_root");
    assert_eq!(lines_of(&clone, &["--outside-root"]), lines_of_every_type());
}

#[test]
fn the_demo_makes_a_table_with_rows_and_shows_them() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_delta-engine"));
    let output = demo.args(["demo", "--rows", "2000"]).output().unwrap();
    let text = String::from_utf8(stdout_of(output)).unwrap();
    assert!(text.contains("10 data files of 2,000 rows together"), "{text}");
    assert!(text.lines().any(|line| line.starts_with(r#"{"id":"#)), "{text}");
    let count = text.lines().filter_map(|line| line.parse::<u64>().ok()).next();
    assert!(count.is_some_and(|rows| (1_700..1_900).contains(&rows)), "{text}");
}

#[test]
fn the_lines_of_tables_that_others_wrote_are_those_expected() {
    let Some(tables) = expected_tables() else { return };
    let mut compared = 0;
    for table in tables.iter().filter(|table| table.verdict() == "read") {
        let Ok(text) = fs::read_to_string(table.directory.join("rows.jsonl")) else { continue };
        let mut expected: Vec<_> = text.lines().map(canonical).collect();
        let output = run_on(table.root().to_str().unwrap(), &["--format", "jsonl"]);
        let found = String::from_utf8(stdout_of(output)).unwrap();
        let mut found: Vec<_> = found.lines().map(canonical).collect();
        expected.sort();
        found.sort();
        assert!(found == expected, "{}", table.name);
        compared += found.len();
    }
    println!("{compared} rows were compared");
}

/// Files of 100 rows, the first of `n` from 0 to 99, the next from 100 to 199 and so on.
fn five_hundred_rows() -> TestTable {
    let table = TestTable::new();
    let files: Vec<_> = (0..5_i64)
        .map(|i| {
            let n: ArrayRef = Arc::new(Int64Array::from_iter_values(i * 100..(i + 1) * 100));
            let day = if i < 2 { "2025-01-01" } else { "2025-01-02" };
            let rows = RecordBatch::try_from_iter([("n", n)]).unwrap();
            table.data_file(&format!("{i}.parquet"), &rows).partition("day", Some(day))
        })
        .collect();
    let described = metadata("n long, day date").partitioned_by(&["day"]);
    table.commit([protocol(1, 2), described]).commit(files)
}

#[test]
fn rows_are_those_that_are_wanted() {
    let table = five_hundred_rows();
    let lines = |sql: &str| lines_of(&table, &["--columns", "n", "--where", sql]);
    assert_eq!(lines("n IN (99, 100, 1000)"), [r#"{"n":99}"#, r#"{"n":100}"#]);
    assert_eq!(lines("day = DATE '2025-01-02' AND n < 202"), [r#"{"n":200}"#, r#"{"n":201}"#]);
    assert_eq!(lines("n IS NULL"), [""; 0]);
    assert_eq!(lines("n >= 0").len(), 500);
    let day = ["--columns", "day", "--where", "n = 450"];
    assert_eq!(lines_of(&table, &day), [r#"{"day":20090}"#]);
    assert_eq!(text_of(&table, &["--count", "--where", "n < 150"]), "150\n");
    assert_eq!(text_of(&table, &["--count", "--where", "day < DATE '2025-01-02'"]), "200\n");
    // All rows of what had to be decoded: of one file of five.
    let whole = ["--whole-files", "--where", "n = 450", "--columns", "n"];
    assert_eq!(lines_of(&table, &whole).len(), 100);
    assert_eq!(run(&table, &["--whole-files"]).status.code(), Some(2));
}

#[test]
fn explain_tells_what_a_filter_spares_within_the_files_that_are_kept() {
    let table = five_hundred_rows();
    let mut command = Command::new(env!("CARGO_BIN_EXE_delta-engine"));
    command.arg("explain").arg(table.root()).args(["--rows", "--format", "json"]);
    command.args(["--where", "day = DATE '2025-01-02' AND n < 202"]);
    let explained: serde_json::Value =
        serde_json::from_slice(&stdout_of(command.output().unwrap())).unwrap();
    assert_eq!(explained["pruned_by_partition"]["files"], 2, "{explained}");
    assert_eq!(
        (&explained["row_groups"], &explained["row_groups_skipped"]),
        (&3.into(), &2.into())
    );
    assert_eq!(
        (&explained["rows_skipped"], &explained["rows_filtered"]),
        (&200.into(), &98.into())
    );
    assert_eq!(explained["pages_skipped"], 0);
}

#[test]
fn the_summary_tells_what_a_filter_left_out_of_the_data() {
    let table = five_hundred_rows();
    let sql = "day = DATE '2025-01-02' AND n < 202";
    let output = run(&table, &["--format", "none", "--summary", "--where", sql]);
    let says = String::from_utf8(output.stderr).unwrap();
    let value = |name: &str| {
        let line = says.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("{name}: {says}"))[24..].to_owned()
    };
    assert!(says.starts_with("rows          2\n"), "{says}");
    assert!(value("files looked at").starts_with("5 ("), "{says}");
    assert!(value("pruned by partition").starts_with("2 ("), "{says}");
    assert_eq!(value("row groups skipped"), "2 of 3");
    assert_eq!((value("rows skipped"), value("rows filtered")), ("200".into(), "98".into()));
    let all = run(&table, &["--format", "none", "--summary"]);
    assert!(!String::from_utf8(all.stderr).unwrap().contains("skipped"), "there is no filter");
}

#[test]
fn change_rows_are_those_of_a_range_of_versions() {
    let table = TestTable::new();
    let file = |name: &str, ids: &[i64]| {
        let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
        table.data_file(name, &RecordBatch::try_from_iter([("id", ids)]).unwrap())
    };
    let (a, b) = (file("a.parquet", &[1, 2]), file("b.parquet", &[3]));
    let described = metadata("id long").property("delta.enableChangeDataFeed", "true");
    let table = table
        .commit([protocol(1, 4), described, a.clone()])
        .commit([remove(a.path())])
        .commit([b])
        .modified_at(0, 1_700_000_000_000)
        .modified_at(1, 1_700_000_001_000)
        .modified_at(2, 1_700_000_002_000);
    let changes = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_delta-engine"));
        let command = command.arg("change-rows").arg(table.root()).args(arguments);
        command.args(["--format", "jsonl"]).stdin(Stdio::null()).output().unwrap()
    };
    let line = |id: i64, change: &str, version: i64| {
        let time = (1_700_000_000 + version) * 1_000_000;
        format!(
            r#"{{"id":{id},"_change_type":"{change}","_commit_version":{version},"_commit_timestamp":{time}}}"#
        )
    };
    let text = |output: Output| String::from_utf8(stdout_of(output)).unwrap();
    let all = [line(1, "delete", 1), line(2, "delete", 1), line(3, "insert", 2)];
    assert_eq!(text(changes(&["--from", "1"])), all.join("\n") + "\n");
    assert_eq!(text(changes(&["--from", "1", "--to", "1"])), all[..2].join("\n") + "\n");
    let some = ["--from", "0", "--columns", "_change_type,id", "--limit", "1"];
    assert_eq!(text(changes(&some)), "{\"_change_type\":\"insert\",\"id\":1}\n");
    let wanted = ["--from", "0", "--columns", "id", "--where", "id <> 1"];
    assert_eq!(text(changes(&wanted)), "{\"id\":2}\n{\"id\":2}\n{\"id\":3}\n");
    assert_fails(&changes(&["--from", "3"]), "version 2");
    assert_fails(&changes(&["--from", "0", "--columns", "none"]), "no column");
    assert_eq!(changes(&[]).status.code(), Some(2));
}
