//! The stream of commits: what each says of itself, and when it was committed.
mod common;

use std::fs;
use std::ops::RangeInclusive;

use common::*;
use delta_engine::arrow::array::RecordBatch;
use delta_engine::{
    BatchStream, CatalogCommit, DEFAULT_HISTORY_COLUMNS, Error, ErrorKind, HISTORY_COLUMNS,
    HistoryOptions, Result, Scan, Snapshot,
};
use serde_json::{Value, json};

const T: i64 = 1_700_000_000_000;
const NONE: [u64; 0] = [];

fn all() -> HistoryOptions {
    HistoryOptions::new()
}

/// The batches of a history, which must be the same for every number of threads.
#[track_caller]
fn batches(
    snapshot: impl Fn(usize) -> Snapshot,
    how: impl Fn(Scan) -> Result<BatchStream>,
) -> Result<Vec<RecordBatch>> {
    let read = |threads, units| -> Result<Vec<RecordBatch>> {
        let mut stream = how(snapshot(threads).scan().window_units(units))?;
        let schema = stream.schema();
        let batches = stream.by_ref().collect::<Result<Vec<_>>>()?;
        assert!(batches.iter().all(|batch| batch.schema() == schema));
        assert!(stream.next().is_none());
        Ok(batches)
    };
    let serial = read(0, 1);
    for (threads, units) in [(1, 1), (2, 1), (2, 8), (4, 64)] {
        match (&serial, read(threads, units)) {
            (Ok(serial), Ok(found)) => assert_eq!(*serial, found, "{threads} threads"),
            (Err(serial), Err(found)) => assert_eq!(serial.to_string(), found.to_string()),
            (serial, found) => panic!("{threads} threads: {found:?}, not {serial:?}"),
        }
    }
    serial
}

#[track_caller]
fn rows_by(table: &TestTable, how: impl Fn(Scan) -> Result<BatchStream>) -> Result<Vec<Value>> {
    let root = table.root();
    let open = |threads| engine(threads).snapshot(root.to_str().unwrap()).unwrap();
    Ok(rows_of(&batches(open, how)?))
}

/// The values of one column.
#[track_caller]
fn column(table: &TestTable, name: &str, options: &HistoryOptions) -> Result<Vec<Value>> {
    let rows = rows_by(table, |scan| scan.columns([name]).history(options))?;
    Ok(rows.into_iter().map(|row| row[name].clone()).collect())
}

#[track_caller]
fn versions(table: &TestTable, options: &HistoryOptions) -> Vec<u64> {
    let versions = column(table, "version", options).unwrap();
    versions.iter().map(|version| version.as_u64().unwrap()).collect()
}

/// A table whose first commit makes it one, and has these lines behind it.
fn table_and(lines: impl IntoIterator<Item = Action>) -> TestTable {
    lines
        .into_iter()
        .fold(TestTable::new().commit([protocol(1, 2), metadata("id long")]), |table, line| {
            table.commit([line, add("a")])
        })
}

/// The rows of commits with these first lines, newest last, without the first.
#[track_caller]
fn rows_of_lines(lines: impl IntoIterator<Item = Action>, columns: &[&str]) -> Vec<Value> {
    let table = table_and(lines);
    let columns = || columns.iter().copied();
    let mut rows = rows_by(&table, |scan| scan.columns(columns()).history(&all())).unwrap();
    rows.pop();
    rows.reverse();
    rows
}

// What a commit says.

#[test]
fn a_commit_says_who_did_what_and_when() {
    let info = json!({
        "timestamp": T,
        "userId": "1", "userName": "Ada",
        "operation": "MERGE",
        "operationParameters": {"predicate": "[\"a = 1\"]", "matched": [{"x": 1.50}], "n": null, "on": true},
        "operationMetrics": {"numTargetRowsInserted": "3", "seconds": 4},
        "readVersion": 0,
        "isolationLevel": "Serializable",
        "isBlindAppend": false,
        "engineInfo": "Tëst/1",
        "userMetadata": "{\"why\":\"not\"}",
        "txnId": "7",
        "tags": {"delta.rowTracking.preserved": "false"},
        "inCommitTimestamp": T + 5,
    });
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long")])
        .modified_at(0, T)
        .commit([raw_line(json!({"commitInfo": info}).to_string()), add("a")])
        .modified_at(1, T + 100);
    let rows =
        rows_by(&table, |scan| scan.columns(HISTORY_COLUMNS.iter().copied()).history(&all()));
    let rows = rows.unwrap();
    let mut newest = rows[0].clone();
    let text = newest["commit_info"].take();
    assert_eq!(serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap(), info);
    assert_eq!(
        newest,
        json!({
            "version": 1,
            // In-commit timestamps are not enabled.
            "timestamp": T + 100,
            "in_commit_timestamp": T + 5,
            "operation": "MERGE",
            "operation_parameters": {"predicate": "[\"a = 1\"]", "matched": "[{\"x\":1.5}]", "n": null, "on": "true"},
            "operation_metrics": {"numTargetRowsInserted": "3", "seconds": "4"},
            "engine_info": "Tëst/1",
            "user_metadata": "{\"why\":\"not\"}",
            "user_id": "1",
            "user_name": "Ada",
            "isolation_level": "Serializable",
            "read_version": 0,
            "is_blind_append": false,
            "txn_id": "7",
            "tags": {"delta.rowTracking.preserved": "false"},
            "commit_info": null,
        })
    );
    // The other commit says nothing of itself.
    for name in HISTORY_COLUMNS {
        let expected = match *name {
            "version" => json!(0),
            "timestamp" => json!(T),
            _ => Value::Null,
        };
        assert_eq!(rows[1][name], expected, "{name}");
    }
    assert_eq!(rows.len(), 2);
}

#[test]
fn what_a_commit_says_as_another_type_is_null() {
    let of = |key: &str, name: &str, values: &[&str]| {
        let line = |value: &&str| raw_line(format!(r#"{{"commitInfo":{{"{key}":{value}}}}}"#));
        let rows = rows_of_lines(values.iter().map(line), &[name]);
        rows.into_iter().map(|row| row[name].clone()).collect::<Vec<_>>()
    };
    let null = Value::Null;
    assert_eq!(
        of("operation", "operation", &["5", "null", r#""""#]),
        [null.clone(), null.clone(), json!("")]
    );
    assert_eq!(
        of("readVersion", "read_version", &[r#""5""#, "5.0", "-5"]),
        [null.clone(), null.clone(), json!(-5)]
    );
    assert_eq!(
        of("isBlindAppend", "is_blind_append", &[r#""true""#, "true"]),
        [null.clone(), json!(true)]
    );
    assert_eq!(
        of("tags", "tags", &["[]", r#""{}""#, "{}"]),
        [null.clone(), null.clone(), json!({})]
    );
    assert_eq!(
        of("inCommitTimestamp", "in_commit_timestamp", &["1e3", "1000"]),
        [null.clone(), json!(1000)]
    );
    // Half of a surrogate pair is no text.
    assert_eq!(
        of("operation", "operation", &[r#""\ud800""#, r#""\ud83d\ude00""#]),
        [null.clone(), json!("😀")]
    );
    let maps = [r#"{"a":"\ud800"}"#, r#"{"\ud800":"a"}"#, r#"{"\u0061":"\u0062"}"#];
    assert_eq!(of("tags", "tags", &maps), [json!({"a": null}), null.clone(), json!({"a": "b"})]);
}

#[test]
fn any_json_is_a_commit_info() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let texts = ["5", "[1, 2.50]", r#"{ "operation" : "A", "operation":"B" }"#, &deep];
    let lines = texts.map(|text| raw_line(format!(r#"{{ "commitInfo" : {text} }}"#)));
    let rows = rows_of_lines(lines, &["commit_info", "operation"]);
    for (row, text) in rows.iter().zip(texts) {
        assert_eq!(row["commit_info"], text, "as the log has it");
    }
    assert_eq!(rows[0]["operation"], Value::Null);
    // Of a key that is there twice the last counts.
    assert_eq!(rows[2]["operation"], "B");
    assert_eq!(
        rows_of_lines([raw_line(r#"{"commitInfo":null}"#)], &["operation"])[0]["operation"],
        Value::Null
    );
    // Of two, the first.
    let both =
        raw_line("{\"commitInfo\":{\"operation\":\"A\"}}\n{\"commitInfo\":{\"operation\":\"B\"}}");
    assert_eq!(rows_of_lines([both], &["operation"])[0]["operation"], "A");
}

#[test]
fn a_line_that_is_no_json_is_an_error_that_names_it() {
    // With a checkpoint, so that the table opens.
    let table =
        |content: &str| table_and([commit_info()]).commit_bytes(2, content.as_bytes()).checkpoint();
    let (info, add) = (r#"{"commitInfo":{"operation":"A"}}"#, r#"{"add":{"path":"b"}}"#);
    for (content, line) in [
        (r#"{"commitInfo":{"operation":}}"#.to_owned(), 1),
        (format!("garbage\n{info}\n"), 1),
        (format!("{add}\n{{\"commitInfo\":{{"), 2),
        // Cut off, and no commitInfo before that.
        (format!("{add}\n{{\"add\":{{"), 2),
    ] {
        assert_corrupt_line(column(&table(&content), "operation", &all()), 2, line);
        // Nothing of a commit is looked at where nothing of it is wanted.
        assert_eq!(versions(&table(&content), &all()), [2, 1, 0]);
    }
    // What stands behind the commitInfo is not looked at.
    let cut = table(&format!("{info}\n{{\"add\":{{"));
    assert_eq!(column(&cut, "operation", &all()).unwrap()[0], "A");
}

#[test]
fn of_a_big_commit_only_its_beginning_is_read() {
    let adds: Vec<u8> = (0..40_000)
        .flat_map(|i| [add(&format!("{i:060}")).line(), b"\n".to_vec()].concat())
        .collect();
    let info = [commit_info().line(), b"\n".to_vec()].concat();
    let table = table_and([]);
    let read = |content: &[u8]| {
        assert!(content.len() > 5 << 20);
        let path = table.log().join(commit_name(1));
        fs::write(path, content).unwrap();
        let snapshot = engine(0).snapshot(table.root().to_str().unwrap()).unwrap();
        let options = all().limit(1);
        let mut history = snapshot.scan().columns(["operation"]).history(&options).unwrap();
        let rows = rows_of(&[history.next().unwrap().unwrap()]);
        assert_eq!(rows, [json!({"operation": "WRITE"})]);
        history.progress_handle().read().bytes_read
    };
    let first = read(&[&info[..], &adds].concat());
    assert!(first <= 16 << 10, "{first} bytes read");
    // Where it stands last, all of it.
    let last = read(&[&adds[..], &info].concat());
    assert_eq!(last, (adds.len() + info.len()) as u64);
    // And as far as there.
    let middle = adds[..2 << 20].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    let read = read(&[&adds[..middle], &info, &adds[middle..]].concat());
    assert!(read < 3 << 20, "{read} bytes read");
}

#[test]
fn what_commits_say_has_a_limit() {
    let long = "x".repeat(23 << 20);
    let table = table_and([commit_info(), commit_info(), commit_info()]);
    for version in 1..=3 {
        let info = commit_info().with("userMetadata", long.as_str());
        fs::write(table.log().join(commit_name(version)), info.line()).unwrap();
    }
    let history = |options: &HistoryOptions| {
        let snapshot = table.try_snapshot()?;
        let mut history = snapshot.scan().columns(["operation"]).history(options)?;
        let rows = history.next().expect("an answer")?.num_rows();
        Ok::<_, Error>(rows)
    };
    assert_error(history(&all()), ErrorKind::LimitExceeded, &[&commit_name(1)]);
    assert_eq!(history(&all().limit(2)).unwrap(), 2);
}

// Which commits.

#[test]
fn commits_come_newest_first_from_the_snapshot_down() {
    let table = table_and((0..100).map(|_| commit_info()));
    assert_eq!(versions(&table, &all()), (0..=100).rev().collect::<Vec<_>>());
    let snapshot = open_at(&table, 7);
    let history = snapshot.scan().columns(["version"]).history(&all()).unwrap();
    let rows = rows_of(&history.map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[0]["version"], 7);
}

fn open_at(table: &TestTable, version: u64) -> Snapshot {
    engine(2).snapshot_at(table.root().to_str().unwrap(), version).unwrap()
}

#[test]
fn a_history_is_bounded_by_a_number_of_commits_and_by_versions() {
    let table = table_and((0..9).map(|_| commit_info()));
    let of = |options: HistoryOptions| versions(&table, &options);
    assert_eq!(of(all().limit(3)), [9, 8, 7]);
    assert_eq!(of(all().limit(0)), NONE);
    assert_eq!(of(all().limit(u64::MAX)).len(), 10);
    assert_eq!(of(all().versions(3..=5)), [5, 4, 3]);
    assert_eq!(of(all().versions(3..=5).limit(2)), [5, 4]);
    assert_eq!(of(all().versions(8..=u64::MAX)), [9, 8]);
    assert_eq!(of(all().versions(10..=12)), NONE);
    let backwards = RangeInclusive::new(5, 3);
    let error = column(&table, "version", &all().versions(backwards));
    assert_error(error, ErrorKind::InvalidArgument, &["begin at 5", "at 3"]);
}

#[test]
fn a_history_ends_where_the_log_begins() {
    let table = table_and((0..4).map(|_| commit_info())).checkpoint();
    let table = table.commit([commit_info()]);
    assert_eq!(versions(&table, &all()), [5, 4, 3, 2, 1, 0]);
    let table = table.delete_before(3);
    assert_eq!(versions(&table, &all()), [5, 4, 3]);
    assert_eq!(versions(&table, &all().versions(0..=2)), NONE);
    // Nothing but the checkpoint.
    let table = table.delete_before(6);
    assert_eq!(versions(&table, &all()), NONE);
}

#[test]
fn a_commit_that_is_missing_between_others_is_an_error() {
    let table = table_and((0..5).map(|_| commit_info())).checkpoint().delete(3);
    let name = commit_name(3);
    assert_error(column(&table, "version", &all()), ErrorKind::CorruptLog, &[&name, "is missing"]);
    assert_eq!(versions(&table, &all().limit(2)), [5, 4]);
    assert_eq!(versions(&table, &all().versions(0..=2)), [2, 1, 0]);
    // The newest one too.
    let error = column(&table, "version", &all().versions(0..=3));
    assert_error(error, ErrorKind::CorruptLog, &[&name]);
}

#[test]
fn a_commit_that_vanishes_meanwhile_is_the_storages_error() {
    let table = table_and((0..40).map(|_| commit_info()));
    let history = table.snapshot().scan().columns(["operation"]).history(&all()).unwrap();
    let table = table.delete(3);
    let read: Result<Vec<_>> = history.collect();
    assert_error(read, ErrorKind::Storage, &[&commit_name(3)]);
    drop(table);
}

#[test]
fn commits_of_a_catalog_count_in_place_of_published_ones() {
    let name = format!("{:020}.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json", 2);
    let lines = |operation: &str, ms: i64| {
        [commit_info_at(T + ms).with("operation", operation).line(), b"\n".to_vec()].concat()
    };
    let managed = protocol_features(&["catalogManaged"], &["catalogManaged", "inCommitTimestamp"]);
    let table = TestTable::new()
        .commit([commit_info_at(T + 100), managed, metadata_in_commit()])
        .commit([commit_info_at(T + 200)])
        .log_file(&format!("_staged_commits/{name}"), &lines("STAGED", 300))
        .log_file(&commit_name(2), &lines("NOT RATIFIED", 250))
        .log_file(&commit_name(4), &lines("NEITHER", 450));
    let root = table.root();
    let open = |threads| {
        let content = lines("INLINE", 400).into();
        let inline = CatalogCommit::Inline { version: 3, content };
        let commits = [CatalogCommit::Staged(name.clone()), inline];
        engine(threads).open(root.to_str().unwrap()).catalog(3, commits).snapshot().unwrap()
    };
    let columns = ["version", "timestamp", "operation"];
    let rows = rows_of(&batches(open, |scan| scan.columns(columns).history(&all())).unwrap());
    let row = |version, ms, operation| json!({"version": version, "timestamp": T + ms, "operation": operation});
    let expected =
        [row(3, 400, "INLINE"), row(2, 300, "STAGED"), row(1, 200, "WRITE"), row(0, 100, "WRITE")];
    assert_eq!(rows, expected);
}

// When.

fn times(table: &TestTable, options: &HistoryOptions) -> Vec<i64> {
    let times = column(table, "timestamp", options).unwrap();
    times.iter().map(|time| time.as_i64().unwrap() - T).collect()
}

/// Versions 0 to 2 modified at 100, 50 and 200, versions 3 and 4 committed at
/// 300 and 400, their files modified at 1 and 2.
fn enabled_at_3() -> TestTable {
    table_and([commit_info(), commit_info()])
        .modified_at(0, T + 100)
        .modified_at(1, T + 50)
        .modified_at(2, T + 200)
        .commit([
            commit_info_at(T + 300),
            protocol_in_commit(),
            metadata_in_commit_since(3, T + 300),
        ])
        .modified_at(3, T + 1)
        .commit([commit_info_at(T + 400)])
        .modified_at(4, T + 2)
}

#[test]
fn a_commit_is_dated_by_its_in_commit_timestamp_from_when_they_were_enabled() {
    let table = enabled_at_3();
    assert_eq!(times(&table, &all()), [400, 300, 200, 101, 100]);
    assert_eq!(times(&table, &all().limit(1)), [400]);
    // Before, nobody knew of them.
    let history = open_at(&table, 2).scan().columns(["timestamp"]).history(&all()).unwrap();
    let rows = rows_of(&history.map(Result::unwrap).collect::<Vec<_>>());
    assert_eq!(rows[0]["timestamp"], T + 200);
    let off =
        table.commit([metadata_in_commit().property("delta.enableInCommitTimestamps", "false")]);
    let off = off.modified_at(5, T + 500);
    assert_eq!(times(&off, &all()), [500, 202, 201, 200, 101, 100]);
}

#[test]
fn a_modification_time_that_is_not_later_counts_as_one_millisecond_later() {
    let table = enabled_at_3();
    // From the oldest commit of the history on, as in Spark.
    assert_eq!(times(&table, &all().versions(0..=1)), [101, 100]);
    assert_eq!(times(&table, &all().versions(1..=2)), [200, 50]);
}

#[test]
fn a_commit_without_the_in_commit_timestamp_it_must_have_is_corrupt_where_that_is_wanted() {
    let table = enabled_at_3().commit([commit_info()]);
    let error = column(&table, "timestamp", &all());
    assert_error(error, ErrorKind::CorruptLog, &[&commit_name(5), "inCommitTimestamp"]);
    assert_eq!(column(&table, "in_commit_timestamp", &all()).unwrap()[0], Value::Null);
}

#[test]
fn the_time_of_a_commit_leads_back_to_its_version() {
    let mut table = table_and((0..49).map(|_| commit_info()));
    let mut numbers = Numbers::from_seed(7);
    for version in 0..50 {
        table = table.modified_at(version, T + numbers.below(60) as i64);
    }
    for (row, version) in times(&table, &all()).into_iter().zip((0..50).rev()) {
        let open = engine(2).open(table.root().to_str().unwrap());
        assert_eq!(open.timestamp(T + row).snapshot().unwrap().version(), version);
    }
}

// The stream.

#[test]
fn a_history_has_the_columns_that_are_asked_for() {
    let table = table_and([commit_info()]);
    let scan = table.snapshot().scan();
    let names = |scan: &Scan| -> Vec<String> {
        let schema = scan.history_schema().unwrap();
        assert_eq!(schema, scan.history(&all()).unwrap().schema());
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    assert_eq!(names(&scan), DEFAULT_HISTORY_COLUMNS);
    assert_eq!(names(&scan.clone().columns(HISTORY_COLUMNS.iter().copied())), HISTORY_COLUMNS);
    assert_eq!(names(&scan.clone().columns(["tags", "version"])), ["tags", "version"]);
    let none = scan.clone().columns([""; 0]).history(&all()).unwrap().next().unwrap().unwrap();
    assert_eq!((none.num_columns(), none.num_rows()), (0, 2));
    for (column, what) in [("path", "in a history"), ("tags", "named twice")] {
        let wrong = scan.clone().columns(["tags", column]);
        assert_error(wrong.history(&all()), ErrorKind::InvalidArgument, &[column, what]);
        assert_error(wrong.history_schema(), ErrorKind::InvalidArgument, &[column, what]);
    }
    // A scan may be told the columns of one stream and be asked for another.
    assert_error(
        scan.columns(["tags", "operation"]).files(),
        ErrorKind::InvalidArgument,
        &["operation"],
    );
}

#[test]
fn a_batch_has_as_many_rows_as_are_asked_for() {
    let table = table_and((0..69).map(|_| commit_info()));
    let root = table.root();
    let open = |threads| engine(threads).snapshot(root.to_str().unwrap()).unwrap();
    let sizes = |rows: usize| -> Vec<usize> {
        let read = batches(open, |scan| scan.batch_rows(rows).history(&all())).unwrap();
        read.iter().map(RecordBatch::num_rows).collect()
    };
    assert_eq!(sizes(8192), [32, 32, 6]);
    assert_eq!(sizes(30), [30, 30, 10]);
    assert_eq!(sizes(1).len(), 70);
}

/// What a reader of JSON makes of a commit.
fn expected_row(version: u64, content: &str) -> Value {
    let lines = content.lines().filter(|line| !line.trim().is_empty());
    let mut actions = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let info = actions.find_map(|action| action.get("commitInfo").cloned()).unwrap_or_default();
    let map = |key: &str| match &info[key] {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let text = match value {
                    Value::String(_) | Value::Null => value.clone(),
                    other => json!(other.to_string()),
                };
                (key.clone(), text)
            })
            .collect(),
        _ => Value::Null,
    };
    json!({
        "version": version,
        "in_commit_timestamp": info["inCommitTimestamp"],
        "operation": info["operation"],
        "operation_parameters": map("operationParameters"),
        "operation_metrics": map("operationMetrics"),
        "engine_info": info["engineInfo"],
        "user_metadata": info["userMetadata"],
        "user_id": info["userId"],
        "user_name": info["userName"],
        "isolation_level": info["isolationLevel"],
        "read_version": info["readVersion"],
        "is_blind_append": info["isBlindAppend"],
        "txn_id": info["txnId"],
        "tags": map("tags"),
        "commit_info": info,
    })
}

#[test]
fn the_histories_of_tables_that_others_wrote_are_read() {
    let Some(tables) = acceptance_tables() else { return };
    let mut tables: Vec<_> =
        fs::read_dir(tables).unwrap().map(|entry| entry.unwrap().path().join("table")).collect();
    tables.sort();
    let mut commits = 0;
    for root in tables.iter().filter(|root| root.is_dir()) {
        let Ok(snapshot) = engine(2).snapshot(root.to_str().unwrap()) else { continue };
        let columns = HISTORY_COLUMNS.iter().filter(|&&name| name != "timestamp");
        let mut rows = Vec::new();
        for batch in snapshot.scan().columns(columns.copied()).history(&all()).unwrap() {
            rows.extend(rows_of(&[batch.unwrap_or_else(|e| panic!("{}: {e}", root.display()))]));
        }
        let mut expected = Vec::new();
        for version in (0..=snapshot.version()).rev() {
            let path = root.join("_delta_log").join(commit_name(version));
            let Ok(content) = fs::read_to_string(path) else { break };
            expected.push(expected_row(version, &content));
        }
        for row in &mut rows {
            let text = row["commit_info"].as_str().unwrap_or("null");
            row["commit_info"] = serde_json::from_str(text).unwrap();
        }
        assert_eq!(rows, expected, "{}", root.display());
        // Every commit has a time, unless it lacks one that it must have.
        let dated = snapshot.scan().columns(["timestamp"]).history(&all()).unwrap();
        let dated: usize = dated.map(|batch| batch.map_or(0, |batch| batch.num_rows())).sum();
        assert_eq!(dated, expected.len(), "{}", root.display());
        commits += rows.len();
    }
    assert!(commits > 1000, "only {commits} commits were compared");
}
