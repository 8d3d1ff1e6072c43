//! The stream of rows: what is delivered of which file, and what is read for it.

mod common;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use common::*;
use delta_engine::arrow;
use delta_engine::{ErrorKind, Result, Scan, Snapshot};
use serde_json::json;

fn opened(table: &TestTable, threads: usize) -> Result<Snapshot> {
    engine(threads).snapshot(table.root().to_str().unwrap())
}

/// Rows `from..to`: a number and a text that says it.
fn numbers(from: i64, to: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
    let names: ArrayRef =
        Arc::new(StringArray::from_iter_values((from..to).map(|id| format!("row {id}"))));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("name", names, true)]).unwrap()
}

fn table() -> TestTable {
    TestTable::new()
}

fn begin() -> [Action; 2] {
    [
        protocol_features(&["deletionVectors"], &["deletionVectors"]),
        metadata("id long, name string"),
    ]
}

/// The batches of the rows: by every number of threads and window the same.
#[track_caller]
fn batches(snapshot: &Snapshot, ask: impl Fn(Scan) -> Scan) -> Result<Vec<RecordBatch>> {
    let read = |scan: Scan| ask(scan).rows().and_then(Iterator::collect::<Result<Vec<_>>>);
    let expected = read(snapshot.scan().threads(0));
    for (threads, units, bytes) in
        [(1, 8, 1 << 25), (2, 1, 1), (2, 2, 1 << 25), (4, 64, 1 << 25), (3, 8, 1)]
    {
        let scan = snapshot.scan().threads(threads).window_units(units).window_bytes(bytes);
        match (read(scan), &expected) {
            (Ok(found), Ok(expected)) => assert_eq!(&found, expected, "{threads} {units} {bytes}"),
            (Err(found), Err(expected)) => assert_eq!(found.to_string(), expected.to_string()),
            (found, expected) => panic!("{threads} {units} {bytes}: {found:?} and {expected:?}"),
        }
    }
    expected
}

/// As lines of JSON.
#[track_caller]
fn lines(table: &TestTable, ask: impl Fn(Scan) -> Scan) -> Result<Vec<String>> {
    let snapshot = opened(table, 4)?;
    batches(&snapshot, ask).map(|batches| data_lines_of(&batches))
}

/// The ids of all rows, in the order of the stream.
#[track_caller]
fn ids(table: &TestTable, ask: impl Fn(Scan) -> Scan) -> Vec<i64> {
    let snapshot = opened(table, 4).unwrap();
    let batches = batches(&snapshot, |scan| ask(scan.columns(["id"]))).unwrap();
    batches.iter().flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn in_order(scan: Scan) -> Scan {
    scan
}

#[test]
fn the_rows_of_live_files_come_file_by_file_in_their_own_order() {
    let table = table();
    let (a, b, c) = (
        table.data_file("a.parquet", &numbers(0, 3)),
        table.data_file("b.parquet", &numbers(3, 5)),
        table.data_file("c.parquet", &numbers(5, 7)),
    );
    let table =
        table.commit(begin().into_iter().chain([a, b.clone()])).commit([c, remove(b.path())]);
    assert_eq!(
        lines(&table, in_order).unwrap(),
        [5, 6, 0, 1, 2].map(|id| json!({"id": id, "name": format!("row {id}")}).to_string())
    );
}

#[test]
fn row_groups_and_page_ranges_are_units_and_batches_have_at_most_the_rows_asked_for() {
    let table = table();
    let layout = FileLayout::default().row_group_rows(1000).page_rows(100);
    let file = table.data_file_as("a.parquet", &numbers(0, 4500), &layout);
    let table = table.commit(begin().into_iter().chain([file]));
    let snapshot = opened(&table, 4).unwrap();
    let sizes: Vec<usize> = batches(&snapshot, |scan| scan.batch_rows(400))
        .unwrap()
        .iter()
        .map(RecordBatch::num_rows)
        .collect();
    assert_eq!(sizes, [400, 400, 200, 400, 400, 200, 400, 400, 200, 400, 400, 200, 400, 100]);
    assert!(ids(&table, in_order).into_iter().eq(0..4500));
}

#[test]
fn deleted_rows_are_left_out() {
    let table = table();
    let layout = FileLayout::default().row_group_rows(100).page_rows(10);
    let files: Vec<_> = ["a", "b", "c", "d"]
        .into_iter()
        .zip([0, 1000, 2000, 3000])
        .map(|(name, from)| {
            table.data_file_as(&format!("{name}.parquet"), &numbers(from, from + 250), &layout)
        })
        .collect();
    let dead_groups: Vec<u64> = (0..100).chain([130, 199, 200]).collect();
    let vectors = table.dv_file("", &[&dead_groups, &[0, 249]]);
    let all: Vec<u64> = (0..250).collect();
    let files = [
        files[0].clone().dv(vectors[0].clone()),
        files[1].clone().dv(vectors[1].clone()),
        files[2].clone().dv(inline_dv(&all)),
        files[3].clone().dv(inline_dv(&[7])),
    ];
    let table = table.commit(begin().into_iter().chain(files));
    let expected: Vec<i64> = (100..250)
        .filter(|row| ![130, 199, 200].contains(row))
        .chain(1001..1249)
        .chain((3000..3250).filter(|&row| row != 3007))
        .collect();
    assert_eq!(ids(&table, in_order), expected);
    assert_eq!(ids(&table, |scan| scan.batch_rows(7)), expected);
}

#[test]
fn partition_columns_and_what_is_known_of_a_row_stand_where_they_were_asked_for() {
    let table = table();
    let file = table.data_file("p=x y/a.parquet", &numbers(0, 3));
    let file = file.partition("p", Some("x y")).partition("day", None).modified(1_700_000_000_123);
    let table = table.commit([
        protocol_features(&["deletionVectors"], &["deletionVectors"]),
        metadata("id long, p string, name string, day date").partitioned_by(&["p", "day"]),
        file.dv(inline_dv(&[1])),
    ]);
    assert_eq!(
        lines(&table, in_order).unwrap(),
        [
            r#"{"id":0,"p":"x y","name":"row 0","day":null}"#,
            r#"{"id":2,"p":"x y","name":"row 2","day":null}"#
        ]
    );
    let columns = [
        "_metadata.row_index",
        "day",
        "_metadata.file_path",
        "id",
        "_metadata.file_modification_time",
    ];
    assert_eq!(
        lines(&table, |scan| scan.columns(columns)).unwrap(),
        [0, 2].map(|row| {
            format!(
                r#"{{"_metadata.row_index":{row},"day":null,"_metadata.file_path":"p=x%20y/a.parquet","id":{row},"_metadata.file_modification_time":1700000000123000}}"#
            )
        })
    );
    // Of no column of the file, and of no column at all.
    assert_eq!(lines(&table, |scan| scan.columns(["p"])).unwrap(), [r#"{"p":"x y"}"#; 2]);
    assert_eq!(lines(&table, |scan| scan.columns([""; 0])).unwrap(), ["{}"; 2]);
}

#[test]
fn row_ids_and_commit_versions_are_the_materialized_ones_or_else_the_defaults() {
    let table = table();
    let moved = {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![10, 11, 12]));
        let own: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9)]));
        let versions: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(3), None]));
        let columns = [("id", ids, true), ("_own-id", own, true), ("_own-version", versions, true)];
        RecordBatch::try_from_iter_with_nullable(columns).unwrap()
    };
    let files = [
        table.data_file("a.parquet", &numbers(0, 3)).base_row_id(100).default_row_commit_version(0),
        table.data_file("b.parquet", &moved).base_row_id(200).default_row_commit_version(5),
    ];
    let table = table.commit(
        [
            protocol_features(
                &["deletionVectors"],
                &["deletionVectors", "rowTracking", "domainMetadata"],
            ),
            metadata("id long")
                .property("delta.enableRowTracking", "true")
                .property("delta.rowTracking.materializedRowIdColumnName", "_own-id")
                .property(
                    "delta.rowTracking.materializedRowCommitVersionColumnName",
                    "_own-version",
                ),
        ]
        .into_iter()
        .chain([files[0].clone().dv(inline_dv(&[1])), files[1].clone()]),
    );
    let columns = ["_metadata.row_commit_version", "id", "_metadata.row_id"];
    assert_eq!(
        lines(&table, |scan| scan.columns(columns)).unwrap(),
        [(0, 0, 100), (0, 2, 102), (5, 10, 7), (3, 11, 201), (5, 12, 9)].map(|(version, id, row)| {
            format!(
                r#"{{"_metadata.row_commit_version":{version},"id":{id},"_metadata.row_id":{row}}}"#
            )
        })
    );
}

#[test]
fn row_ids_of_a_table_that_tracks_none_are_refused_and_a_file_without_them_is_corrupt() {
    let table = table();
    let file = table.data_file("a.parquet", &numbers(0, 3));
    let table = table.commit(begin().into_iter().chain([file.clone()]));
    let row_ids = |scan: Scan| scan.columns(["_metadata.row_id"]);
    assert_error(lines(&table, row_ids), ErrorKind::InvalidArgument, &["tracks no rows"]);
    let table = table.commit([metadata("id long").property("delta.enableRowTracking", "true")]);
    assert_error(lines(&table, row_ids), ErrorKind::CorruptLog, &["a.parquet", "baseRowId"]);
}

#[test]
fn only_the_bytes_of_the_columns_asked_for_are_read() {
    let table = table();
    let file = table.data_file("a.parquet", &numbers(0, 100_000));
    let table = table.commit(begin().into_iter().chain([file]));
    let snapshot = opened(&table, 2).unwrap();
    let bytes_read = |columns: &[&str]| {
        let mut rows = snapshot.scan().columns(columns.iter().copied()).rows().unwrap();
        assert_eq!(rows.by_ref().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 100_000);
        rows.progress_handle().read().bytes_read
    };
    let (none, id, name) = (bytes_read(&[]), bytes_read(&["id"]), bytes_read(&["name"]));
    let both = bytes_read(&["id", "name"]);
    assert!(none < id && none < name && id < both && name < both, "{none} {id} {name} {both}");
    // What is the same for all: the log and the footer.
    assert!(id + name <= both + 2 * none, "{none} {id} {name} {both}");
}

#[test]
fn a_limit_gives_the_first_rows_and_reads_no_more_than_they_take() {
    let table = table();
    let layout = FileLayout::default().row_group_rows(1000).page_rows(100);
    let files: Vec<_> = (0..20)
        .map(|n| {
            let file = format!("{n}.parquet");
            let file = table.data_file_as(&file, &numbers(n * 5000, n * 5000 + 5000), &layout);
            if n == 0 { file.dv(inline_dv(&[0, 1, 2, 999, 1000])) } else { file }
        })
        .collect();
    let table = table.commit(begin().into_iter().chain(files));
    let all = ids(&table, in_order);
    for limit in [0, 1, 994, 995, 996, 997, 4995, 4996, 20_000, 99_995, 200_000] {
        let wanted = all.len().min(limit as usize);
        assert_eq!(ids(&table, |scan| scan.limit(limit)), all[..wanted], "{limit}");
    }
    let snapshot = opened(&table, 2).unwrap();
    let units = |scan: Scan| {
        let mut rows = scan.rows().unwrap();
        rows.by_ref().for_each(|batch| drop(batch.unwrap()));
        rows.progress_handle().read().units_decoded
    };
    // One of the log, and of rows those that are needed.
    assert_eq!(units(snapshot.scan().limit(1)), 2);
    assert_eq!(units(snapshot.scan().limit(997)), 3);
    assert_eq!(units(snapshot.scan()), 101);
}

#[test]
fn unordered_rows_are_the_same_rows() {
    let table = table();
    let layout = FileLayout::default().row_group_rows(100);
    let files: Vec<_> = (0..9)
        .map(|n| {
            table.data_file_as(&format!("{n}.parquet"), &numbers(n * 300, n * 300 + 300), &layout)
        })
        .collect();
    let table = table.commit(begin().into_iter().chain(files));
    let snapshot = opened(&table, 4).unwrap();
    for (threads, units) in [(0, 1), (1, 3), (4, 2), (4, 64)] {
        let scan = snapshot.scan().unordered().threads(threads).window_units(units);
        let rows = scan.rows().unwrap().collect::<Result<Vec<_>>>().unwrap();
        let mut ids: Vec<i64> = rows
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec())
            .collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(0..2700));
        let some = snapshot.scan().unordered().threads(threads).limit(250).rows().unwrap();
        assert_eq!(some.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 250);
    }
}

#[test]
fn a_file_that_is_missing_or_broken_ends_the_stream_with_an_error_that_names_it() {
    for (break_it, kind, says) in [
        (None, ErrorKind::Storage, "b.parquet"),
        (Some(&b""[..]), ErrorKind::CorruptLog, "b.parquet"),
        (Some(b"PAR1 and then nothing"), ErrorKind::CorruptLog, "b.parquet"),
        (Some(b"PAR1\xff\xff\xff\x7fPAR1"), ErrorKind::CorruptLog, "b.parquet"),
    ] {
        let table = table();
        let files: Vec<_> = ["a", "b", "c"]
            .map(|name| table.data_file(&format!("{name}.parquet"), &numbers(0, 3)))
            .into();
        let table = table.commit(begin().into_iter().chain(files));
        let path = table.root().join("b.parquet");
        match break_it {
            Some(bytes) => std::fs::write(path, bytes).unwrap(),
            None => std::fs::remove_file(path).unwrap(),
        }
        assert_error(lines(&table, in_order), kind, &[says]);
        // What came before it is no answer, and the failure stays.
        let snapshot = opened(&table, 2).unwrap();
        let mut rows = snapshot.scan().rows().unwrap();
        assert!(rows.next().unwrap().is_ok());
        let first = rows.next().unwrap().unwrap_err();
        assert_eq!(rows.next().unwrap().unwrap_err().to_string(), first.to_string());
    }
}

#[test]
fn a_file_outside_the_root_is_read_only_when_the_caller_allows_it() {
    let (table, elsewhere) = (table(), TestTable::new());
    let file = elsewhere.data_file("x y.parquet", &numbers(0, 3));
    let path = elsewhere.root().join("x y.parquet");
    let uri = format!("file://{}", path.to_str().unwrap().replace(' ', "%20"));
    let table = table
        .commit(begin().into_iter().chain([add(&uri).size(file.body()["size"].as_i64().unwrap())]));
    assert_error(
        lines(&table, in_order),
        ErrorKind::Unsupported,
        &["x y.parquet", "reads_outside_root"],
    );
    assert_eq!(ids(&table, Scan::reads_outside_root), [0, 1, 2]);
    let table = TestTable::new()
        .commit(begin().into_iter().chain([add("s3://key:secret@bucket/x.parquet")]));
    let error =
        assert_error(lines(&table, Scan::reads_outside_root), ErrorKind::Unsupported, &["s3:"]);
    assert!(!error.message().contains("secret"), "{error}");
}

#[test]
fn rows_are_counted_by_the_log_or_not_at_all() {
    let table = table();
    let (a, b) = (
        table.data_file("a.parquet", &numbers(0, 30)),
        table.data_file("b.parquet", &numbers(0, 4)),
    );
    let table = table.commit(begin().into_iter().chain([a.dv(inline_dv(&[1, 2])), b.clone()]));
    let count = |table: &TestTable| opened(table, 2).unwrap().scan().count();
    assert_eq!(count(&table).unwrap(), 32);
    let table = table.commit([remove(b.path()), add("c.parquet")]);
    assert_error(count(&table), ErrorKind::Unsupported, &["c.parquet", "numRecords"]);
    let table =
        table.commit([remove("c.parquet"), b.stats(r#"{"numRecords":1}"#).dv(inline_dv(&[0, 3]))]);
    assert_error(count(&table), ErrorKind::CorruptLog, &["b.parquet", "2 of them deleted"]);
}

#[test]
fn a_vector_that_deletes_what_the_file_does_not_have_is_an_error() {
    let table = table();
    let file = table.data_file("a.parquet", &numbers(0, 3)).dv(inline_dv(&[3]));
    let table = table.commit(begin().into_iter().chain([file]));
    assert_error(lines(&table, in_order), ErrorKind::CorruptLog, &["a.parquet", "row 3"]);
}

#[test]
fn a_cancel_ends_the_stream_with_an_error() {
    let table = table();
    let files: Vec<_> =
        (0..50).map(|n| table.data_file(&format!("{n}.parquet"), &numbers(0, 10))).collect();
    let table = table.commit(begin().into_iter().chain(files));
    for threads in [0, 2] {
        let snapshot = opened(&table, 2).unwrap();
        let mut rows = snapshot.scan().threads(threads).rows().unwrap();
        rows.next().unwrap().unwrap();
        rows.cancel_handle().cancel();
        assert_eq!(rows.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    }
}
