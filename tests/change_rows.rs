//! The stream of changed rows: what each version did to which row.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use common::*;
use delta_engine::arrow;
use delta_engine::{CHANGE_ROW_COLUMNS, CatalogCommit, ErrorKind, Result, Scan, Snapshot};
use serde_json::{Value, json};

const ENABLED: &str = "delta.enableChangeDataFeed";
/// When the commits of a table were made: a second apart, unless they are touched.
const T0: i64 = 1_700_000_000_000;

fn opened(table: &TestTable) -> Result<Snapshot> {
    engine(4).snapshot(table.root().to_str().unwrap())
}

fn at(table: &TestTable, version: u64) -> Result<Snapshot> {
    engine(4).snapshot_at(table.root().to_str().unwrap(), version)
}

/// Rows of these ids, each with a name that says it.
fn rows(ids: impl IntoIterator<Item = i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.into_iter().collect();
    let names = StringArray::from_iter_values(ids.iter().map(|id| format!("row {id}")));
    let ids: ArrayRef = Arc::new(Int64Array::from(ids));
    let names: ArrayRef = Arc::new(names);
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("name", names, true)]).unwrap()
}

/// The same with what a change data file says of each.
fn change_rows_of(changes: &[(i64, &str)]) -> RecordBatch {
    let batch = rows(changes.iter().map(|(id, _)| *id));
    let types: ArrayRef = Arc::new(StringArray::from_iter_values(changes.iter().map(|(_, t)| *t)));
    RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::clone(batch.column(0)), true),
        ("name", Arc::clone(batch.column(1)), true),
        ("_change_type", types, true),
    ])
    .unwrap()
}

/// A change data file, and its action.
fn change_file(table: &TestTable, path: &str, batch: &RecordBatch) -> Action {
    let written = table.data_file(path, batch);
    cdc(written.path()).size(written.body()["size"].as_i64().unwrap())
}

fn described(columns: &str) -> Action {
    metadata(columns).property(ENABLED, "true")
}

fn begin() -> [Action; 2] {
    [
        protocol_features(&["deletionVectors"], &["deletionVectors", "changeDataFeed"]),
        described("id long, name string"),
    ]
}

/// A remove that says all that a writer can say.
fn removed(add: &Action) -> Action {
    let fields = ["partitionValues", "size", "deletionVector"];
    fields.into_iter().fold(remove(add.path()), |remove, field| match add.field(field) {
        Value::Null => remove,
        value => remove.with(field, value.clone()),
    })
}

/// The batches of the changed rows: by every number of threads and window the same.
#[track_caller]
fn batches(
    snapshot: &Snapshot,
    first: u64,
    ask: impl Fn(Scan) -> Scan,
) -> Result<Vec<RecordBatch>> {
    let read = |scan: Scan| {
        let stream = ask(scan).change_rows(first)?;
        let schema = stream.schema();
        let batches = stream.collect::<Result<Vec<_>>>()?;
        assert!(batches.iter().all(|batch| batch.schema() == schema));
        Ok(batches)
    };
    let expected = read(snapshot.scan().threads(0));
    for (threads, units, bytes) in
        [(1, 8, 1 << 25), (2, 1, 1), (2, 2, 1 << 25), (4, 64, 1 << 25), (3, 8, 1)]
    {
        let scan = snapshot.scan().threads(threads).window_units(units).window_bytes(bytes);
        match (read(scan), &expected) {
            (Ok(found), Ok(expected)) => assert_eq!(&found, expected, "{threads} {units} {bytes}"),
            (Err(found), Err(expected)) => {
                let _: &delta_engine::Error = expected;
                assert_eq!(found.to_string(), expected.to_string());
            }
            (found, expected) => panic!("{threads} {units} {bytes}: {found:?} and {expected:?}"),
        }
    }
    expected
}

/// As lines of JSON.
#[track_caller]
fn lines(table: &TestTable, first: u64, ask: impl Fn(Scan) -> Scan) -> Result<Vec<String>> {
    batches(&opened(table)?, first, ask).map(|batches| data_lines_of(&batches))
}

fn plainly(scan: Scan) -> Scan {
    scan
}

/// Each change as `version type id`.
#[track_caller]
fn feed(table: &TestTable, first: u64) -> Vec<String> {
    short(&opened(table).unwrap(), first, plainly).unwrap()
}

#[track_caller]
fn short(snapshot: &Snapshot, first: u64, ask: impl Fn(Scan) -> Scan) -> Result<Vec<String>> {
    Ok(in_short(&batches(snapshot, first, |scan| ask(scan.columns(SHORT)))?))
}

const SHORT: [&str; 3] = ["_commit_version", "_change_type", "id"];

fn in_short(batches: &[RecordBatch]) -> Vec<String> {
    let of_batch = |batch: &RecordBatch| {
        let versions = batch.column(0).as_primitive::<Int64Type>().clone();
        let types = batch.column(1).as_string::<i32>().clone();
        let ids = batch.column(2).as_primitive::<Int64Type>().clone();
        (0..batch.num_rows())
            .map(|i| format!("{} {} {}", versions.value(i), types.value(i), ids.value(i)))
            .collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

#[test]
fn files_that_are_added_are_inserts_and_those_removed_deletes_version_by_version() {
    let table = TestTable::new();
    let files: Vec<_> = (0..3)
        .map(|i| table.data_file(&format!("{i}.parquet"), &rows([10 * i, 10 * i + 1])))
        .collect();
    let table = table
        .commit(begin().into_iter().chain([files[0].clone()]))
        .commit([files[1].clone(), removed(&files[0]), files[2].clone()])
        .commit([txn("app", 1)])
        .commit([removed(&files[2])])
        .modified_at(0, T0)
        .modified_at(1, T0 + 1000)
        .modified_at(2, T0 + 5000)
        // Not later than the one before.
        .modified_at(3, T0 + 2000);
    let line = |id: i64, change: &str, version: i64, ms: i64| {
        json!({
            "id": id, "name": format!("row {id}"), "_change_type": change,
            "_commit_version": version, "_commit_timestamp": (T0 + ms) * 1000,
        })
        .to_string()
    };
    let all = [
        line(0, "insert", 0, 0),
        line(1, "insert", 0, 0),
        line(10, "insert", 1, 1000),
        line(11, "insert", 1, 1000),
        line(0, "delete", 1, 1000),
        line(1, "delete", 1, 1000),
        line(20, "insert", 1, 1000),
        line(21, "insert", 1, 1000),
        line(20, "delete", 3, 5001),
        line(21, "delete", 3, 5001),
    ];
    assert_eq!(lines(&table, 0, plainly).unwrap(), all);
    assert_eq!(lines(&table, 1, plainly).unwrap(), all[2..]);
    assert_eq!(lines(&table, 2, plainly).unwrap(), all[8..]);
    let history = data_lines_of(
        &opened(&table)
            .unwrap()
            .scan()
            .columns(["version", "timestamp"])
            .history(&delta_engine::HistoryOptions::new())
            .unwrap()
            .collect::<Result<Vec<_>>>()
            .unwrap(),
    );
    assert!(history[0].contains(&(T0 + 5001).to_string()), "{history:?}");

    let older = at(&table, 1).unwrap();
    assert_eq!(data_lines_of(&batches(&older, 1, plainly).unwrap()), all[2..8]);
    let schema = older.scan().change_rows_schema().unwrap();
    let of_changes: Vec<_> = schema.fields()[2..].iter().collect();
    assert!(of_changes.iter().map(|field| field.name()).eq(CHANGE_ROW_COLUMNS));
    assert!(of_changes.iter().all(|field| !field.is_nullable()));
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    assert_eq!(of_changes[2].data_type(), &micros);
}

#[test]
fn a_version_with_change_data_files_has_their_rows_alone() {
    let table = TestTable::new();
    let (a, b) = (
        table.data_file("a.parquet", &rows([1, 2, 3])),
        table.data_file("b.parquet", &rows([3, 12])),
    );
    let updates = change_rows_of(&[
        (2, "update_preimage"),
        (12, "update_postimage"),
        (1, "delete"),
        (7, "insert"),
        (7, "delete"),
    ]);
    let updates = change_file(&table, "_change_data/u.parquet", &updates);
    let empty = change_file(&table, "_change_data/e.parquet", &change_rows_of(&[]));
    let table = table
        .commit(begin().into_iter().chain([a.clone()]))
        // The change is known when the last line is.
        .commit([removed(&a), b.clone(), empty, updates])
        .commit([removed(&b)]);
    assert_eq!(
        feed(&table, 1),
        [
            "1 update_preimage 2",
            "1 update_postimage 12",
            "1 delete 1",
            "1 insert 7",
            "1 delete 7",
            "2 delete 3",
            "2 delete 12",
        ]
    );
    // In the stream's order of columns, wherever the file has them.
    assert_eq!(
        lines(&table, 1, |scan| scan.columns(["_change_type", "name"]).limit(2)).unwrap(),
        [
            r#"{"_change_type":"update_preimage","name":"row 2"}"#,
            r#"{"_change_type":"update_postimage","name":"row 12"}"#,
        ]
    );
    assert_eq!(lines(&table, 1, |scan| scan.columns(["id"])).unwrap().len(), 7);
}

#[test]
fn a_change_data_file_that_does_not_say_what_a_change_is_is_corrupt() {
    let nulls: ArrayRef = Arc::new(StringArray::from(vec![Some("insert"), None]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let some = RecordBatch::try_from_iter_with_nullable([
        ("id", ids, true),
        ("_change_type", nulls, true),
    ]);
    for batch in [rows([1]), some.unwrap()] {
        let table = TestTable::new();
        let file = change_file(&table, "_change_data/c.parquet", &batch);
        let table = table.commit(begin().into_iter().chain([file]));
        let says = ["c.parquet", "_change_type"];
        assert_error(lines(&table, 0, plainly), ErrorKind::CorruptLog, &says);
        assert_eq!(
            lines(&table, 0, |scan| scan.columns(["id"])).unwrap().len(),
            batch.num_rows(),
            "where nobody asks"
        );
    }
}

#[test]
fn of_a_file_whose_deletion_vector_was_replaced_the_difference_was_deleted_or_restored() {
    let table = TestTable::new();
    let layout = FileLayout::default().row_group_rows(10);
    let file = table.data_file_as("a.parquet", &rows(0..100), &layout);
    let vectors = table.dv_file("", &[&[1, 2, 50], &[1, 2, 50, 99], &[2, 30]]);
    let with = |i: usize| file.clone().dv(vectors[i].clone());
    let table = table
        .commit(begin().into_iter().chain([file.clone()]))
        .commit([removed(&file), with(0)])
        // In the other order.
        .commit([with(1), removed(&with(0))])
        .commit([removed(&with(1)), with(2)])
        .commit([with(2).dv(inline_dv(&[30, 2])), removed(&with(2))])
        .commit([removed(&file.clone().dv(inline_dv(&[30, 2]))), file.clone()]);
    assert_eq!(
        feed(&table, 1),
        [
            "1 delete 1",
            "1 delete 2",
            "1 delete 50",
            "2 delete 99",
            "3 delete 30",
            "3 insert 1",
            "3 insert 50",
            "3 insert 99",
            "5 insert 2",
            "5 insert 30",
        ]
    );
    // Of row groups without such a row nothing is decoded, and in version 4 not even
    // the file is opened.
    let snapshot = opened(&table).unwrap();
    let read = |first| {
        let mut stream = snapshot.scan().threads(0).change_rows(first).unwrap();
        stream.by_ref().for_each(|batch| drop(batch.unwrap()));
        stream.progress_handle().read().units_decoded
    };
    // One unit of the log, and 2 + 1 + 1 + 3 + 0 + 2 row groups.
    assert_eq!(read(1), 1 + 9);
    assert_eq!(read(4), 1 + 2);
    assert_eq!(short(&snapshot, 1, |scan| scan.limit(5)).unwrap(), feed(&table, 1)[..5]);
    let columns = ["_metadata.row_index", "_metadata.file_path", "_change_type"];
    assert_eq!(
        lines(&table, 5, |scan| scan.columns(columns).limit(1)).unwrap(),
        [r#"{"_metadata.row_index":2,"_metadata.file_path":"a.parquet","_change_type":"insert"}"#]
    );
}

#[test]
fn rows_that_a_removed_files_vector_had_deleted_are_not_deleted_again() {
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows(0..4)).dv(inline_dv(&[0, 3]));
    let table = table.commit(begin().into_iter().chain([file.clone()])).commit([removed(&file)]);
    assert_eq!(feed(&table, 0), ["0 insert 1", "0 insert 2", "1 delete 1", "1 delete 2"]);
}

#[test]
fn what_changes_no_data_is_no_change() {
    let table = TestTable::new();
    let (a, b) =
        (table.data_file("a.parquet", &rows([1])), table.data_file("b.parquet", &rows([1])));
    let table = table
        .commit(begin().into_iter().chain([a.clone()]))
        .commit([removed(&a).data_change(false), b.clone().data_change(false)])
        // A file that was there is said again, with its statistics.
        .commit([b.clone().data_change(false)])
        .commit([removed(&b)]);
    assert_eq!(feed(&table, 1), ["3 delete 1"]);
    let table = table.commit([b.without("dataChange")]);
    let says = ["4.json", "b.parquet", "dataChange"];
    assert_error(lines(&table, 3, plainly), ErrorKind::CorruptLog, &says);
}

#[test]
fn partition_columns_are_those_of_the_action() {
    let table = TestTable::new();
    let file = |name: &str, ids: &[i64], day| {
        let batch = rows(ids.iter().copied()).project(&[0]).unwrap();
        table.data_file(name, &batch).partition("day", day)
    };
    let (a, b) = (file("day=1/a.parquet", &[1], Some("1")), file("b.parquet", &[2], None));
    let c = file("day=3/c.parquet", &[3, 4], Some("3"));
    let update = {
        let batch = change_rows_of(&[(3, "delete")]).project(&[0, 2]).unwrap();
        change_file(&table, "_change_data/day=3/u.parquet", &batch).partition("day", Some("3"))
    };
    let table = table
        .commit([
            begin()[0].clone(),
            described("id long, day integer").partitioned_by(&["day"]),
            a.clone(),
            b.clone(),
            c.clone(),
        ])
        .commit([removed(&a), removed(&b)])
        .commit([update])
        // The remove need not say what the add of the same file does.
        .commit([remove(c.path()), c.clone().dv(inline_dv(&[1]))]);
    let columns = ["day", "id", "_change_type"];
    let line = |day: Option<i64>, id: i64, change: &str| {
        json!({"day": day, "id": id, "_change_type": change}).to_string()
    };
    let expected = [
        line(Some(1), 1, "delete"),
        line(None, 2, "delete"),
        line(Some(3), 3, "delete"),
        line(Some(3), 4, "delete"),
    ];
    assert_eq!(lines(&table, 1, |scan| scan.columns(columns)).unwrap(), expected);

    let table = table.commit([remove(c.path()).dv(inline_dv(&[1]))]);
    let error = lines(&table, 4, |scan| scan.columns(columns));
    let says = ["4.json", "day=3/c.parquet", "partitionValues"];
    assert_error(error, ErrorKind::Unsupported, &says);
    assert_eq!(feed(&table, 4), ["4 delete 3"]);
    let table = table.commit([cdc("_change_data/day=3/u.parquet").without("partitionValues")]);
    let error = lines(&table, 5, |scan| scan.columns(columns));
    assert_error(error, ErrorKind::Unsupported, &["5.json", "u.parquet", "partitionValues"]);
    let bad = add("day=x/d.parquet").partition("day", Some("x"));
    let table = table.commit([bad.clone().data_change(false)]).commit([bad]);
    assert_eq!(lines(&table, 6, |scan| scan.columns(["_change_type"]).limit(0)).unwrap().len(), 0);
    let error = lines(&table, 6, |scan| scan.columns(columns));
    assert_error(error, ErrorKind::CorruptLog, &["7.json", "day"]);
}

#[test]
fn times_are_in_commit_timestamps_from_the_version_on_that_has_them() {
    let table = TestTable::new();
    let files: Vec<_> =
        (0..4).map(|i| table.data_file(&format!("{i}.parquet"), &rows([i]))).collect();
    let since = metadata_in_commit_since(2, T0 - 7).property(ENABLED, "true");
    let table = table
        .commit([protocol_in_commit(), described("id long"), files[0].clone()])
        .commit([files[1].clone()])
        .commit([commit_info_at(T0 - 7), since, files[2].clone()])
        .commit([commit_info_at(T0 - 3), files[3].clone()])
        .modified_at(0, T0)
        .modified_at(1, T0 + 1)
        .modified_at(2, T0 + 2)
        .modified_at(3, T0 + 3);
    let times =
        |table: &TestTable, first| lines(table, first, |scan| scan.columns(["_commit_timestamp"]));
    let expected =
        [0, 1, -7, -3].map(|ms| format!(r#"{{"_commit_timestamp":{}}}"#, (T0 + ms) * 1000));
    assert_eq!(times(&table, 0).unwrap(), expected);
    assert_eq!(times(&table, 3).unwrap(), expected[3..]);
    let table = table.commit([txn("app", 1)]);
    let says = ["4.json", "inCommitTimestamp"];
    assert_error(times(&table, 2), ErrorKind::CorruptLog, &says);
    // Of nobody who does not ask.
    assert_eq!(feed(&table, 2), ["2 insert 2", "3 insert 3"]);
    let table = table.commit([commit_info_at(i64::MAX / 10)]);
    assert_error(times(&table, 5), ErrorKind::CorruptLog, &["5.json", "no time"]);
}

#[test]
fn a_version_that_recorded_no_changes_is_named() {
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows([1]));
    let table = table
        .commit([begin()[0].clone(), metadata("id long, name string")])
        .commit([file.clone()])
        .commit([begin()[1].clone(), removed(&file)])
        .commit([txn("app", 1)])
        .commit([described("id long, name string").property(ENABLED, "TRUE")])
        .commit([
            metadata("id long, name string").property("delta.enableChangeDataCapture", "true")
        ]);
    let refused = |table: &TestTable, first, version| {
        let says = [&format!("version {version} "), ENABLED];
        assert_error(lines(table, first, plainly), ErrorKind::Unsupported, &says);
    };
    for first in [0, 1] {
        refused(&table, first, first);
        // At once.
        assert!(opened(&table).unwrap().scan().change_rows(first).is_err());
    }
    assert_eq!(feed(&table, 2), ["2 delete 1"]);
    let table = table.commit([metadata("id long, name string").property(ENABLED, "false")]);
    for first in 2..7 {
        refused(&table, first, 6);
    }
    let table = table.commit(begin());
    refused(&table, 2, 6);
    assert!(feed(&table, 7).is_empty());
    // What is known of the version comes from a checkpoint as well.
    let table = table.checkpoint().commit([file]);
    refused(&table, 4, 6);
    assert_eq!(feed(&table, 7), ["8 insert 1"]);
    assert_eq!(feed(&table, 8), ["8 insert 1"]);
}

#[test]
fn columns_that_were_added_since_are_null_and_any_other_change_is_refused() {
    let table = TestTable::new();
    let old = table.data_file("a.parquet", &rows([1]));
    let new = table.data_file("b.parquet", &rows([2]));
    let table = table
        .commit([begin()[0].clone(), described("id long"), old.clone()])
        .commit([described("id long, name string, more double"), new])
        .commit([removed(&old)]);
    let columns = ["id", "name", "more", "_change_type"];
    let of_columns = |scan: Scan| scan.columns(columns);
    assert_eq!(
        lines(&table, 0, of_columns).unwrap(),
        [
            r#"{"id":1,"name":"row 1","more":null,"_change_type":"insert"}"#,
            r#"{"id":2,"name":"row 2","more":null,"_change_type":"insert"}"#,
            r#"{"id":1,"name":"row 1","more":null,"_change_type":"delete"}"#,
        ]
    );
    for (changed, says) in [
        (described("id long, more double"), "name was renamed or dropped"),
        (described("id long, Name string, more double"), "name was renamed or dropped"),
        (described("id double, name string, more double"), "id was long, and is double"),
        (
            described("id long, name string, more double").partitioned_by(&["name"]),
            "partition columns",
        ),
    ] {
        let table = TestTable::new();
        let old = table.data_file("a.parquet", &rows([1]));
        let table = table
            .commit([begin()[0].clone(), described("id long, name string")])
            .commit([described("id long, name string, more double"), old])
            .commit([changed.clone()])
            .commit([txn("app", 1)]);
        let error = lines(&table, 1, plainly);
        assert_error(error, ErrorKind::Unsupported, &["version 1 ", "version 3", says]);
        assert!(feed(&table, 2).is_empty());
        // As of a version before that it is none of the snapshot's.
        assert_eq!(short(&at(&table, 1).unwrap(), 0, plainly).unwrap(), ["1 insert 1"]);
        // There and back: the versions between are what does not fit.
        let back = described("id long, name string, more double");
        let table = table.commit([back]).commit([txn("app", 2)]);
        let error = lines(&table, 1, plainly);
        match says {
            // It is only added.
            "name was renamed or dropped"
                if changed.field("schemaString").as_str().unwrap().contains("Name") =>
            {
                assert_error(error, ErrorKind::Unsupported, &["version 2 ", "Name"]);
            }
            "name was renamed or dropped" => assert!(error.is_ok()),
            _ => drop(assert_error(error, ErrorKind::Unsupported, &["version 2 ", "version 5"])),
        }
    }
}

/// A schema of mapped columns: logical and physical name of each.
fn mapped(columns: &[(&str, &str)]) -> Action {
    let fields: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(i, (name, physical))| {
            json!({"name": name, "type": "long", "nullable": true, "metadata": {
                "delta.columnMapping.id": i, "delta.columnMapping.physicalName": physical}})
        })
        .collect();
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    described("id long")
        .with("schemaString", schema)
        .property("delta.columnMapping.mode", "name")
        .property("delta.columnMapping.maxColumnId", "9")
}

#[test]
fn where_columns_are_mapped_a_rename_is_refused_and_switching_it_on_is_not() {
    let table = TestTable::new();
    let file = |name: &str, column: &str, id: i64| {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![id]));
        table.data_file(name, &RecordBatch::try_from_iter([(column, ids)]).unwrap())
    };
    let (a, b) = (file("a.parquet", "id", 1), file("b.parquet", "col-9", 2));
    let update: ArrayRef = Arc::new(StringArray::from(vec!["update_postimage"]));
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![3]));
    let update = RecordBatch::try_from_iter([("_change_type", update), ("id", ids)]).unwrap();
    let update = change_file(&table, "_change_data/c.parquet", &update);
    let features = protocol_features(&["columnMapping"], &["columnMapping", "changeDataFeed"]);
    let table = table
        .commit([protocol(1, 4), described("id long")])
        .commit([a])
        .commit([features, mapped(&[("id", "id")])])
        .commit([update])
        .commit([mapped(&[("id", "id"), ("more", "col-9")]), b]);
    assert_eq!(
        lines(&table, 0, |scan| scan.columns(["id", "more"])).unwrap(),
        [r#"{"id":1,"more":null}"#, r#"{"id":3,"more":null}"#, r#"{"id":null,"more":2}"#,]
    );
    let renamed = mapped(&[("id", "id"), ("most", "col-9")]);
    let table = table.commit([renamed]).commit([txn("app", 1)]);
    let error = lines(&table, 1, plainly);
    // Before the rename every column was one of the newest.
    assert_error(error, ErrorKind::Unsupported, &["version 4 ", "more was renamed"]);
    assert_error(lines(&table, 4, plainly), ErrorKind::Unsupported, &["version 4 "]);
    assert!(lines(&table, 5, plainly).unwrap().is_empty());
}

#[test]
fn the_protocol_of_every_version_must_be_one_that_is_read() {
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows([1]));
    let unknown = protocol_features(&["fromTheFuture"], &["fromTheFuture"]);
    let table = table
        .commit(begin())
        .commit([file])
        .commit([unknown])
        .commit([txn("app", 1)])
        .commit([begin()[0].clone()]);
    for first in 0..3 {
        let error = lines(&table, first, plainly);
        assert_error(error, ErrorKind::Unsupported, &["version 2", "fromTheFuture"]);
    }
    let error = lines(&table, 3, plainly);
    assert_error(error, ErrorKind::Unsupported, &["version 3", "fromTheFuture"]);
    assert!(feed(&table, 4).is_empty());
    assert_eq!(short(&at(&table, 1).unwrap(), 0, plainly).unwrap(), ["1 insert 1"]);
}

#[test]
fn versions_that_are_not_there_are_refused() {
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows([1]));
    let table = table.commit(begin()).commit([file.clone()]).commit([removed(&file)]);
    let says = ["from version 3 on", "version 2"];
    assert_error(lines(&table, 3, plainly), ErrorKind::InvalidArgument, &says);
    assert_error(lines(&table, u64::MAX, plainly), ErrorKind::InvalidArgument, &["older"]);
    let table = table.checkpoint().commit([file.clone()]).delete_before(2);
    let says = ["0001.json is gone", "version 2"];
    assert_error(lines(&table, 1, plainly), ErrorKind::NotFound, &says);
    assert_eq!(feed(&table, 2), ["2 delete 1", "3 insert 1"]);
    // The data file of an old version may have been cleaned up.
    let table = table.delete_file("a.parquet");
    assert_error(lines(&table, 2, plainly), ErrorKind::Storage, &["a.parquet"]);
}

#[test]
fn of_a_catalog_managed_table_the_commits_are_read_that_the_catalog_knows() {
    const UUID: &str = "3a0d65cd-4056-49b8-937b-95f9e3ee90e5";
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows([1]));
    let protocol = protocol_features(
        &["catalogManaged"],
        &["catalogManaged", "inCommitTimestamp", "changeDataFeed"],
    );
    let described = |columns| described(columns).property("delta.enableInCommitTimestamps", "true");
    let text = |actions: &[Action]| -> Vec<u8> {
        actions.iter().flat_map(|action| [action.line(), b"\n".to_vec()].concat()).collect()
    };
    let staged = format!("{:020}.{UUID}.json", 1);
    let table = table.commit([commit_info_at(T0), protocol, described("id long")]).log_file(
        &format!("_staged_commits/{staged}"),
        &text(&[commit_info_at(T0 + 1), file.clone()]),
    );
    let content =
        text(&[commit_info_at(T0 + 2), described("id long, name string"), removed(&file)]);
    let commits = [
        CatalogCommit::Staged(staged),
        CatalogCommit::Inline { version: 2, content: content.into() },
    ];
    let builder = engine(2).open(table.root().to_str().unwrap());
    let snapshot = builder.catalog(2, commits).snapshot().unwrap();
    let columns = ["_commit_timestamp", "name", "_change_type"];
    for first in 0..=1 {
        assert_eq!(
            data_lines_of(&batches(&snapshot, first, |scan| scan.columns(columns)).unwrap()),
            [(1, "insert"), (2, "delete")].map(|(ms, change)| {
                let time = (T0 + ms) * 1000;
                format!(
                    r#"{{"_commit_timestamp":{time},"name":"row 1","_change_type":"{change}"}}"#
                )
            })
        );
    }
}

#[test]
fn columns_are_those_of_rows_and_of_changes_and_no_others() {
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows([1])).modified(T0);
    let update = change_file(&table, "_change_data/u.parquet", &change_rows_of(&[(1, "delete")]));
    let table = table
        .commit(begin().into_iter().chain([file.clone()]))
        .commit([removed(&file)])
        .commit([update]);
    let columns =
        ["_metadata.file_modification_time", "_metadata.file_path", "_metadata.row_index", "name"];
    let line = |time: Option<i64>, path: &str| {
        json!({"_metadata.file_modification_time": time, "_metadata.file_path": path,
            "_metadata.row_index": 0, "name": "row 1"})
        .to_string()
    };
    assert_eq!(
        lines(&table, 0, |scan| scan.columns(columns)).unwrap(),
        [
            line(Some(T0 * 1000), "a.parquet"),
            line(None, "a.parquet"),
            line(None, "_change_data/u.parquet")
        ]
    );
    assert_eq!(lines(&table, 0, |scan| scan.columns([""; 0])).unwrap(), ["{}"; 3]);
    for (columns, says) in [
        (&["none"][..], "no column"),
        (&["_change_type.x"], "no column"),
        (&["id.x"], "no column"),
        (&["_commit_version", "_commit_version"], "named twice"),
        (&["version"], "no column"),
        (&["_metadata.row_id"], "_metadata.row_id"),
        (&["_metadata.row_commit_version"], "_metadata.row_commit_version"),
    ] {
        let ask = |scan: Scan| scan.columns(columns.iter().copied());
        assert_error(lines(&table, 0, ask), ErrorKind::InvalidArgument, &[says]);
        let schema = ask(opened(&table).unwrap().scan()).change_rows_schema();
        assert_error(schema, ErrorKind::InvalidArgument, &[says]);
    }
    // They are no columns of rows.
    let rows = opened(&table).unwrap().scan().columns(["_change_type"]).rows();
    assert_error(rows, ErrorKind::InvalidArgument, &["_change_type"]);
    let table = table.commit([described("id long, _Change_Type string")]);
    assert_error(lines(&table, 3, plainly), ErrorKind::Unsupported, &["_change_type", "its own"]);
}

#[test]
fn a_commit_that_contradicts_itself_is_corrupt_unless_its_last_action_wins() {
    let table = TestTable::new();
    let file = table.data_file("a.parquet", &rows([1, 2]));
    let other = table.data_file("b.parquet", &rows([3]));
    let with = |row| file.clone().dv(inline_dv(&[row]));
    let table = table.commit(begin());
    let both = |actions: &[Action]| {
        let next = TestTable::new();
        for name in ["a.parquet", "b.parquet"] {
            let bytes = std::fs::read(table.root().join(name)).unwrap();
            std::fs::write(next.root().join(name), bytes).unwrap();
        }
        let next = next.commit(begin()).commit(actions.iter().cloned());
        let snapshot = opened(&next).unwrap();
        let strictly = short(&snapshot, 1, plainly);
        (strictly, short(&snapshot, 1, Scan::last_action_wins))
    };
    let twice = "adds the path twice";
    let and_removes = "adds and removes the same logical file";
    for (actions, says, wins) in [
        (vec![file.clone(), file.clone()], twice, &["1 insert 1", "1 insert 2"][..]),
        (vec![file.clone(), removed(&file)], and_removes, &["1 delete 1", "1 delete 2"]),
        (vec![removed(&file), file.clone()], and_removes, &[]),
        (vec![removed(&with(0)), with(0), other.clone()], and_removes, &["1 insert 3"]),
    ] {
        let (strictly, winning) = both(&actions);
        assert_error(strictly, ErrorKind::CorruptLog, &["1.json", "a.parquet", says]);
        assert_eq!(winning.unwrap(), wins);
    }
    for actions in [
        vec![removed(&file), removed(&with(0)), other.clone()],
        vec![removed(&file), with(0), with(1)],
    ] {
        let (strictly, winning) = both(&actions);
        assert_error(strictly, ErrorKind::CorruptLog, &["1.json", "a.parquet", "twice"]);
        assert_error(winning, ErrorKind::CorruptLog, &["1.json", "a.parquet", "twice"]);
    }
    // The same remove again says nothing new.
    let expected = ["1 delete 1", "1 delete 2"];
    assert_eq!(both(&[removed(&file), removed(&file)]).0.unwrap(), expected);
    let (again, _) = both(&[removed(&file), removed(&file), other.clone()]);
    assert_eq!(again.unwrap(), ["1 delete 1", "1 delete 2", "1 insert 3"]);
    let (again, _) = both(&[removed(&file), with(0), removed(&file)]);
    assert_eq!(again.unwrap(), ["1 delete 1"]);
    // Paths are compared as what they stand for.
    let (spelt, _) = both(&[remove("%61.parquet"), with(1)]);
    assert_eq!(spelt.unwrap(), ["1 delete 2"]);
}

#[test]
fn a_commit_of_many_units_is_one_change() {
    let table = TestTable::new();
    let (a, b) =
        (table.data_file("a.parquet", &rows([1, 2])), table.data_file("b.parquet", &rows([3])));
    let update = change_file(&table, "_change_data/u.parquet", &change_rows_of(&[(9, "delete")]));
    // What changes nothing, and makes several units of a commit.
    let padding = |n: usize| {
        let path = format!("{n:0250}.parquet");
        add(&path).data_change(false)
    };
    let padded = |first: Action, last: Vec<Action>| {
        std::iter::once(first).chain((0..5000).map(padding)).chain(last)
    };
    let table = table
        .commit(begin().into_iter().chain([a.clone()]))
        .commit(padded(removed(&a), vec![b.clone(), a.clone().dv(inline_dv(&[0]))]))
        .commit(padded(removed(&b), vec![update]))
        .commit([removed(&b)]);
    assert!(std::fs::metadata(table.log().join(commit_name(1))).unwrap().len() > 3 << 19);
    assert_eq!(feed(&table, 1), ["1 delete 1", "1 insert 3", "2 delete 9", "3 delete 3"]);
    let table = table.commit(padded(removed(&b), vec![b.clone()]));
    let error = lines(&table, 4, plainly);
    assert_error(error, ErrorKind::CorruptLog, &["4.json", "b.parquet"]);
}

#[test]
fn a_limit_and_no_order_are_kept_to() {
    let table = TestTable::new();
    let layout = FileLayout::default().row_group_rows(50);
    let files: Vec<_> = (0..8)
        .map(|i| {
            let batch = rows(i * 100..i * 100 + 100);
            table.data_file_as(&format!("{i}.parquet"), &batch, &layout)
        })
        .collect();
    let mut table = table.commit(begin());
    for file in &files {
        table = table.commit([file.clone()]);
    }
    for file in &files {
        table = table.commit([removed(file), file.clone().dv(inline_dv(&[3, 4, 77]))]);
    }
    let snapshot = opened(&table).unwrap();
    let all = short(&snapshot, 0, plainly).unwrap();
    assert_eq!(all.len(), 8 * 103);
    for limit in [0, 1, 50, 99, 100, 101, 799, 800, 801, 803, 823, 824, 9999] {
        let some = short(&snapshot, 0, |scan| scan.limit(limit)).unwrap();
        assert_eq!(some, all[..all.len().min(limit as usize)], "{limit}");
    }
    let expected: BTreeSet<_> = all.into_iter().collect();
    for (threads, units) in [(0, 1), (1, 3), (4, 2), (4, 64)] {
        let scan = snapshot.scan().unordered().threads(threads).window_units(units);
        let stream = scan.columns(SHORT).change_rows(0).unwrap();
        let found = in_short(&stream.collect::<Result<Vec<_>>>().unwrap());
        assert_eq!(found.len(), expected.len());
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}

#[test]
fn a_file_outside_the_root_is_read_only_when_the_caller_allows_it() {
    let elsewhere = TestTable::new();
    let file = elsewhere.data_file("x.parquet", &rows([1]));
    let uri = format!("file://{}/x.parquet", elsewhere.root().to_str().unwrap());
    let file = add(&uri).size(file.body()["size"].as_i64().unwrap());
    let table = TestTable::new().commit(begin()).commit([file]);
    let says = ["x.parquet", "reads_outside_root"];
    assert_error(lines(&table, 1, plainly), ErrorKind::Unsupported, &says);
    let snapshot = opened(&table).unwrap();
    assert_eq!(short(&snapshot, 1, Scan::reads_outside_root).unwrap(), ["1 insert 1"]);
}

#[test]
fn a_cancel_ends_the_stream_with_an_error() {
    let table = TestTable::new();
    let files: Vec<_> =
        (0..20).map(|n| table.data_file(&format!("{n}.parquet"), &rows(0..10))).collect();
    let table = table.commit(begin().into_iter().chain(files));
    for threads in [0, 2] {
        let mut stream = opened(&table).unwrap().scan().threads(threads).change_rows(0).unwrap();
        stream.next().unwrap().unwrap();
        stream.cancel_handle().cancel();
        assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    }
}

// ---------------------------------------------------------------- random histories

/// A data file of a random history.
#[derive(Clone)]
struct File {
    add: Action,
    ids: Vec<i64>,
    deleted: BTreeSet<u64>,
}

impl File {
    fn action(&self) -> Action {
        match self.deleted.is_empty() {
            true => self.add.clone(),
            false => {
                let rows: Vec<u64> = self.deleted.iter().copied().collect();
                self.add.clone().dv(inline_dv(&rows))
            }
        }
    }

    fn removed(&self) -> Action {
        removed(&self.action())
    }

    fn live(&self) -> Vec<i64> {
        let rows = self.ids.iter().zip(0..);
        rows.filter(|(_, row)| !self.deleted.contains(row)).map(|(id, _)| *id).collect()
    }
}

/// A table under random commits, and what each of them did.
struct Writer {
    table: TestTable,
    numbers: Numbers,
    live: BTreeMap<String, File>,
    gone: Vec<File>,
    made: i64,
    /// Of each version, the live ids and the changes, sorted.
    versions: Vec<(Vec<i64>, Vec<String>)>,
}

impl Writer {
    fn new(seed: u64) -> Writer {
        let table = TestTable::new().commit(begin());
        let numbers = Numbers::from_seed(seed);
        let versions = vec![(Vec::new(), Vec::new())];
        Writer { table, numbers, live: BTreeMap::new(), gone: Vec::new(), made: 0, versions }
    }

    fn file(&mut self, ids: Vec<i64>) -> File {
        self.made += 1;
        let layout = FileLayout::default().row_group_rows(1 + self.numbers.below(8) as usize);
        let batch = rows(ids.iter().copied());
        let add = self.table.data_file_as(&format!("{}.parquet", self.made), &batch, &layout);
        File { add, ids, deleted: BTreeSet::new() }
    }

    fn new_ids(&mut self) -> Vec<i64> {
        // Some ids are given again: rows need not be unique.
        let count = 1 + self.numbers.below(12) as i64;
        (0..count).map(|_| self.numbers.below(50) as i64).collect()
    }

    /// Some of the rows of a file.
    fn some_rows(&mut self, file: &File) -> BTreeSet<u64> {
        let count = file.ids.len() as u64;
        (0..self.numbers.below(count + 1)).map(|_| self.numbers.below(count)).collect()
    }

    fn commit(mut self) -> Writer {
        let mut actions: Vec<Action> = Vec::new();
        let mut changes: Vec<(&'static str, i64)> = Vec::new();
        let each = |changes: &mut Vec<_>, kind: &'static str, ids: &[i64]| {
            changes.extend(ids.iter().map(|id| (kind, *id)));
        };
        let mut touched = BTreeSet::new();
        for _ in 0..1 + self.numbers.below(4) {
            let names: Vec<_> =
                self.live.keys().filter(|n| !touched.contains(*n)).cloned().collect();
            let some = (!names.is_empty())
                .then(|| names[self.numbers.below(names.len() as u64) as usize].clone());
            match (self.numbers.below(7), some) {
                // Its deletion vector becomes another: rows deleted, restored, or both.
                (0..=2, Some(name)) => {
                    let mut file = self.live[&name].clone();
                    let before = file.deleted.clone();
                    actions.push(file.removed());
                    file.deleted = self.some_rows(&file);
                    if before == file.deleted {
                        actions.pop();
                        continue;
                    }
                    actions.push(file.action());
                    let of = |rows: Vec<&u64>| -> Vec<i64> {
                        rows.into_iter().map(|row| file.ids[*row as usize]).collect()
                    };
                    each(&mut changes, "delete", &of(file.deleted.difference(&before).collect()));
                    each(&mut changes, "insert", &of(before.difference(&file.deleted).collect()));
                    touched.insert(name.clone());
                    self.live.insert(name, file);
                }
                (3, Some(name)) => {
                    let file = self.live.remove(&name).unwrap();
                    each(&mut changes, "delete", &file.live());
                    actions.push(file.removed());
                    touched.insert(name);
                    self.gone.push(file);
                }
                // What was removed is back, as in a restore.
                (4, _) if !self.gone.is_empty() => {
                    let at = self.numbers.below(self.gone.len() as u64) as usize;
                    let name = self.gone[at].add.path().to_owned();
                    if touched.contains(&name) {
                        continue;
                    }
                    let file = self.gone.remove(at);
                    each(&mut changes, "insert", &file.live());
                    actions.push(file.action());
                    touched.insert(name.clone());
                    self.live.insert(name, file);
                }
                // Rewritten in another order, without a change.
                (5, Some(name)) => {
                    let file = self.live.remove(&name).unwrap();
                    let mut ids = file.live();
                    ids.reverse();
                    let new = self.file(ids);
                    actions.push(file.removed().data_change(false));
                    actions.push(new.action().data_change(false));
                    touched.extend([name, new.add.path().to_owned()]);
                    self.live.insert(new.add.path().to_owned(), new);
                }
                _ => {
                    let ids = self.new_ids();
                    let file = self.file(ids);
                    each(&mut changes, "insert", &file.ids);
                    actions.push(file.action());
                    touched.insert(file.add.path().to_owned());
                    self.live.insert(file.add.path().to_owned(), file);
                }
            }
        }
        if self.numbers.below(3) == 0 {
            // The changes are written down, and some of them as updates.
            for name in self.live.keys().cloned().collect::<Vec<_>>() {
                if touched.contains(&name) || self.numbers.below(2) == 0 {
                    continue;
                }
                let file = self.live.remove(&name).unwrap();
                let old = file.live();
                let new: Vec<i64> =
                    old.iter().map(|id| id + self.numbers.below(2) as i64).collect();
                for (old, new) in old.iter().zip(&new).filter(|(old, new)| old != new) {
                    changes.extend([("update_preimage", *old), ("update_postimage", *new)]);
                }
                let new = self.file(new);
                actions.extend([file.removed(), new.action()]);
                self.live.insert(new.add.path().to_owned(), new);
            }
            let recorded: Vec<(i64, &str)> = changes.iter().map(|&(kind, id)| (id, kind)).collect();
            for (i, some) in recorded.chunks(5).enumerate() {
                let path = format!("_change_data/{}-{i}.parquet", self.versions.len());
                let file = change_file(&self.table, &path, &change_rows_of(some));
                let at = self.numbers.below(actions.len() as u64 + 1) as usize;
                actions.insert(at, file);
            }
            if recorded.is_empty() {
                let path = format!("_change_data/{}.parquet", self.versions.len());
                actions.push(change_file(&self.table, &path, &change_rows_of(&[])));
            }
        }
        let version = self.versions.len();
        let mut changes: Vec<String> =
            changes.into_iter().map(|(kind, id)| format!("{version} {kind} {id}")).collect();
        changes.sort();
        let mut live: Vec<i64> = self.live.values().flat_map(File::live).collect();
        live.sort_unstable();
        self.versions.push((live, changes));
        self.table = self.table.commit(actions);
        self
    }
}

#[test]
fn the_changes_of_random_histories_lead_from_each_version_to_the_next() {
    for seed in 0..10 {
        let writer = (0..10).fold(Writer::new(seed), |writer, _| writer.commit());
        let Writer { table, versions, .. } = writer;
        let latest = versions.len() as u64 - 1;
        let snapshot = opened(&table).unwrap();
        let feeds: Vec<Vec<String>> = (0..=latest)
            .map(|first| match first % 4 {
                0 => short(&snapshot, first, plainly).unwrap(),
                _ => {
                    let scan = snapshot.scan().columns(SHORT);
                    let batches = scan.change_rows(first).unwrap().collect::<Result<Vec<_>>>();
                    in_short(&batches.unwrap())
                }
            })
            .collect();
        let mut applied: BTreeMap<i64, i64> = BTreeMap::new();
        for (version, (live, changes)) in (0..).zip(&versions) {
            let snapshot = at(&table, version).unwrap();
            let mut found: Vec<i64> = Vec::new();
            for batch in snapshot.scan().columns(["id"]).rows().unwrap() {
                found.extend(batch.unwrap().column(0).as_primitive::<Int64Type>().values());
            }
            found.sort_unstable();
            assert_eq!(&found, live, "seed {seed}: rows of version {version}");

            let prefix = format!("{version} ");
            let of_version = |feed: &Vec<String>| -> Vec<String> {
                feed.iter().filter(|change| change.starts_with(&prefix)).cloned().collect()
            };
            let ordered = of_version(&feeds[0]);
            for feed in &feeds[..=version as usize] {
                assert_eq!(of_version(feed), ordered, "seed {seed}: another first version");
            }
            assert_eq!(short(&snapshot, version, plainly).unwrap(), ordered);
            let mut sorted = ordered.clone();
            sorted.sort();
            assert_eq!(&sorted, changes, "seed {seed}: changes of version {version}");
            for change in &ordered {
                let (kind, id) = change[prefix.len()..].split_once(' ').unwrap();
                let by = if ["insert", "update_postimage"].contains(&kind) { 1 } else { -1 };
                *applied.entry(id.parse().unwrap()).or_default() += by;
            }
            let ids = applied.iter().flat_map(|(id, n)| std::iter::repeat_n(*id, *n as usize));
            assert!(ids.eq(live.iter().copied()), "seed {seed}: applied up to version {version}");
        }
    }
}

// ---------------------------------------------------------------- other engines' tables

/// A table whose changes are not what its versions differ in.
const CHANGES_OTHER_THAN_THE_ROWS: (&str, &str) = (
    "kernel-data__cdf-table-simple",
    "made by hand: its last commit has change data files and no file that was changed",
);

/// One whose changes can be told up to a version.
const TOLD_UP_TO: (&str, u64, &str) = (
    "kernel-data__cdf-table-with-dv",
    4,
    "the inline vector of version 5 has a block of Z85 that is more than 32 bits",
);

/// How many there are of each row, as JSON.
type Counted = BTreeMap<String, i64>;

fn count(counted: &mut Counted, row: &Value, by: i64) {
    *counted.entry(row.to_string()).or_default() += by;
}

#[test]
fn the_changes_of_other_engines_tables_are_the_difference_of_their_versions() {
    let Some(root) = acceptance_tables() else { return };
    let (mut compared, mut changed) = (0, 0);
    let mut tables: Vec<_> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).collect();
    tables.sort();
    for directory in tables {
        let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
        let path = directory.join("table");
        let open = |version| {
            let builder = engine(2).open(path.to_str().unwrap());
            match version {
                Some(version) => builder.version(version).snapshot(),
                None => builder.snapshot(),
            }
        };
        let last = (name == TOLD_UP_TO.0).then_some(TOLD_UP_TO.1);
        let Ok(latest) = open(last) else { continue };
        let is_enabled = latest.properties().get(ENABLED);
        let is_recorded =
            is_enabled.is_ok_and(|value| value == Some(delta_engine::PropertyValue::Boolean(true)));
        if !is_recorded {
            continue;
        }
        // The first version from which on all is told.
        for first in 0..=latest.version() {
            let changes = batches(&latest, first, plainly);
            let changes = match changes {
                Ok(changes) => changes,
                Err(e) if [ErrorKind::Unsupported, ErrorKind::NotFound].contains(&e.kind()) => {
                    continue;
                }
                // The files of old versions may not be there.
                Err(e) if e.kind() == ErrorKind::Storage => continue,
                Err(e) => panic!("{name} from version {first}: {e}"),
            };
            let rows_at = |version| {
                let batches = open(Some(version))?.scan().rows()?.collect::<Result<Vec<_>>>()?;
                let lines = data_lines_of(&batches);
                Ok(lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
            };
            let before: Result<Vec<Value>> =
                if first == 0 { Ok(Vec::new()) } else { rows_at(first - 1) };
            let (Ok(before), Ok(after)) = (before, rows_at(latest.version())) else { continue };
            let schema = latest.arrow_schema();
            let complete = |row: &Value| {
                let names = schema.fields().iter().map(|field| field.name().as_str());
                let row: serde_json::Map<_, _> =
                    names.map(|name| (name.to_owned(), row[name].clone())).collect();
                Value::Object(row)
            };
            let mut counted = Counted::new();
            before.iter().for_each(|row| count(&mut counted, &complete(row), 1));
            for line in data_lines_of(&changes) {
                let row: Value = serde_json::from_str(&line).unwrap();
                let by = match row["_change_type"].as_str().unwrap() {
                    "insert" | "update_postimage" => 1,
                    "delete" | "update_preimage" => -1,
                    other => panic!("{name}: {other}"),
                };
                let versions = first..=latest.version();
                assert!(versions.contains(&row["_commit_version"].as_u64().unwrap()), "{name}");
                count(&mut counted, &complete(&row), by);
                changed += 1;
            }
            after.iter().for_each(|row| count(&mut counted, &complete(row), -1));
            counted.retain(|_, n| *n != 0);
            let (other, why) = CHANGES_OTHER_THAN_THE_ROWS;
            assert_eq!(counted.is_empty(), name != other, "{name}: {counted:?} ({why})");
            compared += 1;
            println!("{name}: from version {first} to {}", latest.version());
            break;
        }
    }
    println!("{compared} tables, {changed} changes");
    assert!(compared > 8 && changed > 100, "{compared} tables, {changed} changes");
}
