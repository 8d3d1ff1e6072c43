//! What changed between two versions, and what the commits of a range say.
mod common;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, TimeUnit};
use common::*;
use delta_engine::{
    ACTION_COLUMNS, ACTION_KINDS, BatchStream, CHANGE_COLUMNS, CatalogCommit, DEFAULT_FILE_COLUMNS,
    Error, ErrorKind, FILE_COLUMNS, Scan, Snapshot,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// What is known of a file: enough to see whether the newest action told it.
const FILE: [&str; 5] = ["path", "size", "stats", "deletion_vector", "tags"];

fn open(root: &Path, version: u64, threads: usize) -> Snapshot {
    let root = root.to_str().expect("a UTF-8 path");
    engine(threads).snapshot_at(root, version).expect("a snapshot")
}

fn batches(stream: Result<BatchStream, Error>) -> Result<Vec<RecordBatch>, Error> {
    let stream = stream?;
    let schema = stream.schema();
    let batches = stream.collect::<Result<Vec<_>, Error>>()?;
    for batch in &batches {
        assert_eq!(batch.schema(), schema);
        assert_ne!(batch.num_rows(), 0, "a batch without rows");
    }
    Ok(batches)
}

fn rows(stream: Result<BatchStream, Error>) -> Result<Vec<Value>, Error> {
    Ok(rows_of(&batches(stream)?))
}

/// The batches of a stream of `snapshot`, which every number of threads, every
/// window and every way to open it must give alike; or the error.
#[track_caller]
fn by_every_reader(
    root: &Path,
    version: u64,
    start: impl Fn(Scan) -> Result<BatchStream, Error>,
) -> Result<Vec<RecordBatch>, Error> {
    let serial = batches(start(open(root, version, 0).scan()));
    for (threads, units, bytes) in
        [(1, 1, None), (1, 8, None), (2, 2, None), (2, 64, Some(1)), (4, 1, None), (4, 64, None)]
    {
        let snapshot = open(root, version, threads);
        let mut scan = snapshot.scan().window_units(units);
        if let Some(bytes) = bytes {
            scan = scan.window_bytes(bytes);
        }
        // What the open read is there for the first stream, and not for the next.
        for _ in 0..2 {
            let found = batches(start(scan.clone()));
            let how = format!("{threads} threads, {units} units, {bytes:?} bytes");
            match (&serial, &found) {
                (Ok(serial), Ok(found)) => assert!(serial == found, "other batches by {how}"),
                (Err(serial), Err(found)) => {
                    assert_eq!(serial.to_string(), found.to_string(), "{how}");
                }
                _ => panic!("{serial:?} serially, {found:?} by {how}"),
            }
        }
    }
    serial
}

/// The live files of a version.
fn list(snapshot: &Snapshot, columns: &[&str]) -> BTreeMap<Key, Value> {
    let files = rows(snapshot.scan().columns(columns.iter().copied()).files()).expect("a listing");
    files.into_iter().map(|row| (key_of_row(&row), row)).collect()
}

/// What a host does with its list.
#[track_caller]
fn apply(files: &mut BTreeMap<Key, Value>, changes: Vec<Value>) {
    let mut keys = Vec::new();
    for mut row in changes {
        let key = key_of_row(&row);
        keys.push(key.clone());
        let change = row.as_object_mut().expect("an object").shift_remove("change");
        match change.expect("a change").as_str() {
            Some("add") => drop(files.insert(key, row)),
            Some("remove") => drop(files.remove(&key)),
            other => panic!("a change {other:?}"),
        }
    }
    let count = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), count, "a key comes twice");
}

fn with_change(columns: &[&'static str]) -> Vec<&'static str> {
    [&["change"], columns].concat()
}

fn changes(table: &TestTable, base: u64) -> Result<Vec<Value>, Error> {
    let start = |scan: Scan| scan.columns(with_change(&FILE)).changes_since(base);
    Ok(rows_of(&by_every_reader(&table.root(), table.version(), start)?))
}

/// `(change, path, pathOrInlineDv)` of each row.
fn told(rows: &[Value]) -> Vec<(&str, &str, Option<&str>)> {
    fn of(row: &Value) -> (&str, &str, Option<&str>) {
        let text = |column: &str| row[column].as_str().expect("a text");
        (text("change"), text("path"), row["deletion_vector"]["path_or_inline_dv"].as_str())
    }
    rows.iter().map(of).collect()
}

fn table() -> TestTable {
    let features = ["deletionVectors", "v2Checkpoint"];
    TestTable::new().commit([
        protocol_features(&features, &features),
        metadata("id long"),
        add("a"),
        add("b"),
    ])
}

// Changes between two versions.

#[test]
fn only_the_newest_action_of_a_file_is_a_change() {
    let table = table()
        .commit([remove("a"), add("c").size(1)])
        .commit([add("a").size(7), remove("c"), add("d")])
        .commit([add("d").size(9).data_change(false), remove("never")]);
    let rows = changes(&table, 0).unwrap();
    assert_eq!(
        told(&rows),
        [("add", "d", None), ("remove", "never", None), ("add", "a", None), ("remove", "c", None),]
    );
    assert_eq!((&rows[0]["size"], &rows[2]["size"]), (&json!(9), &json!(7)));
    assert_eq!(told(&changes(&table, 2).unwrap()), [("add", "d", None), ("remove", "never", None)]);
}

#[test]
fn a_replaced_deletion_vector_is_a_remove_and_an_add() {
    let path = |n| dv(n)["pathOrInlineDv"].as_str().unwrap().to_owned();
    let table = table()
        .commit([remove("a"), add("a").dv(dv(1))])
        .commit([add("a").dv(dv(2)), remove("a").dv(dv(1))]);
    let (one, two) = (path(1), path(2));
    let both = [("add", "a", Some(&*two)), ("remove", "a", Some(&*one))];
    assert_eq!(told(&changes(&table, 1).unwrap()), both);
    let all = [&both[..], &[("remove", "a", None)]].concat();
    assert_eq!(told(&changes(&table, 0).unwrap()), all);
}

#[test]
fn a_file_is_the_same_however_its_path_is_spelled() {
    let table = table()
        .commit([add("x%20y").size(1)])
        .commit([remove("x y")])
        .commit([add("x%2520y")])
        .commit([add("x y").size(2)]);
    let rows = changes(&table, 0).unwrap();
    assert_eq!(told(&rows), [("add", "x y", None), ("add", "x%2520y", None)]);
}

#[test]
fn there_are_no_changes_since_the_version_itself() {
    let table = table().commit([add("c")]);
    assert_eq!(changes(&table, 1).unwrap(), Vec::<Value>::new());
    let mut stream = table.snapshot().scan().changes_since(1).unwrap();
    assert!(stream.next().is_none() && stream.next().is_none());
}

#[test]
fn changes_since_a_newer_version_are_no_question() {
    let table = table().commit([add("c")]);
    for base in [2, u64::MAX] {
        assert_error(
            changes(&table, base),
            ErrorKind::InvalidArgument,
            &["version 1", &base.to_string()],
        );
    }
}

/// A commit whose paths no other commit of the history has in the same way.
fn random_commit(
    numbers: &mut Numbers,
    live: &mut BTreeMap<String, Option<u32>>,
    n: &mut u64,
) -> Vec<Action> {
    let mut actions = vec![commit_info()];
    let mut touched = Vec::new();
    for _ in 0..numbers.below(8) {
        *n += 1;
        let numbered = |action: Action| {
            let action = action.size(*n as i64).tags(&[("n", &n.to_string())]);
            action.stats(&format!(r#"{{"numRecords":{n}}}"#))
        };
        let with_dv = |action: Action, vector: Option<u32>| match vector {
            Some(n) => action.dv(dv(n)),
            None => action,
        };
        let path = match numbers.below(3) {
            0 => format!("p {n}"),
            _ => format!("p {}", numbers.below(12)),
        };
        if touched.contains(&path) {
            continue;
        }
        touched.push(path.clone());
        let spelled = match numbers.below(2) {
            0 => path.clone(),
            _ => path.replace(' ', "%20"),
        };
        let known = live.get(&path).copied();
        match (known, numbers.below(4)) {
            (Some(vector), 0) => {
                // Committed again, with other statistics.
                actions.push(numbered(with_dv(add(&spelled), vector)));
            }
            (Some(vector), 1 | 2) => {
                let other = Some(numbers.below(90) as u32).filter(|&n| Some(n) != vector);
                let (Some(_), removed) = (other, with_dv(remove(&path), vector)) else { continue };
                let added = numbered(with_dv(add(&spelled), other));
                let swapped = numbers.below(2) == 0;
                actions.extend(if swapped { [added, removed] } else { [removed, added] });
                live.insert(path, other);
            }
            (Some(vector), _) => {
                actions.push(with_dv(remove(&spelled), vector));
                live.remove(&path);
            }
            (None, 0) => actions.push(remove(&spelled)),
            (None, vector) => {
                let vector = (vector == 1).then(|| numbers.below(90) as u32);
                actions.push(numbered(with_dv(add(&spelled), vector)));
                live.insert(path, vector);
            }
        }
    }
    actions
}

#[test]
fn changes_bring_the_files_of_any_version_to_those_of_any_newer_one() {
    const VERSIONS: u64 = 9;
    let mut pairs_with_changes = 0;
    for seed in 0..12 {
        let mut numbers = Numbers::from_seed(seed);
        let (mut live, mut n) = (BTreeMap::new(), 100);
        let mut table = table();
        for version in 1..=VERSIONS {
            table = table.commit(random_commit(&mut numbers, &mut live, &mut n));
            if version % 4 == seed % 4 {
                table = match seed % 3 {
                    0 => table.checkpoint(),
                    1 => table.v2_checkpoint_json(2),
                    _ => table,
                };
            }
        }
        let snapshots: Vec<_> =
            (0..=VERSIONS).map(|version| open(&table.root(), version, 2)).collect();
        let lists: Vec<_> = snapshots.iter().map(|snapshot| list(snapshot, &FILE)).collect();
        for (version, files) in lists.iter().enumerate() {
            let expected = table.state_at(version as u64).adds;
            assert!(files.keys().eq(expected.keys()), "seed {seed}, version {version}");
            for (key, add) in expected {
                assert_eq!(files[&key]["size"], *add.field("size"), "seed {seed} {version}");
                assert_eq!(files[&key]["stats"], *add.field("stats"), "seed {seed} {version}");
            }
        }
        for (base, files) in lists.iter().enumerate() {
            for (version, expected) in lists.iter().enumerate().skip(base) {
                let scan = snapshots[version].scan().columns(with_change(&FILE));
                let changes = rows(scan.changes_since(base as u64)).expect("changes");
                pairs_with_changes += usize::from(!changes.is_empty());
                let mut files = files.clone();
                apply(&mut files, changes);
                assert_eq!(files, *expected, "seed {seed}: from {base} to {version}");
            }
        }
    }
    assert!(pairs_with_changes > 300, "{pairs_with_changes}");
}

#[test]
fn a_snapshot_that_is_refreshed_tells_what_is_new() {
    let table = table();
    let old = table.snapshot();
    let mut files = list(&old, &FILE);
    let table = table.commit([remove("a"), add("c")]).checkpoint().commit([add("d")]);
    let new = old.refresh().unwrap();
    apply(
        &mut files,
        rows(new.scan().columns(with_change(&FILE)).changes_since(old.version())).unwrap(),
    );
    assert_eq!(files, list(&table.snapshot(), &FILE));
    assert_eq!(new.version(), 2);
}

#[test]
fn checkpoints_and_compactions_on_the_way_make_no_difference() {
    let history = || {
        table()
            .commit([add("c").size(1), remove("a")])
            .commit([add("c").size(2), remove("b")])
            .commit([add("a").size(3), remove("c")])
            .commit([add("e")])
    };
    let lines = |actions: &[Action]| {
        actions.iter().flat_map(|action| [action.line(), b"\n".to_vec()].concat()).collect()
    };
    let compacted: Vec<u8> = lines(&[add("c").size(2), remove("a"), remove("b")]);
    let plain = history();
    let name = format!("{:020}.{:020}.compacted.json", 1, 2);
    let others = [
        history().checkpoint(),
        history().log_file(&name, &compacted),
        history().log_file(&name, b"garbage\n"),
        table()
            .commit([add("c").size(1), remove("a")])
            .commit([add("c").size(2), remove("b")])
            .checkpoint()
            .commit([add("a").size(3), remove("c")])
            .checkpoint()
            .commit([add("e")]),
    ];
    for base in 0..=plain.version() {
        let expected = changes(&plain, base).unwrap();
        for other in &others {
            assert_eq!(changes(other, base).unwrap(), expected, "since {base}");
        }
    }
}

#[test]
fn a_commit_that_is_gone_is_named_and_so_is_the_version_that_the_log_reaches_back_to() {
    let table = table()
        .commit([add("c")])
        .commit([add("d")])
        .commit([add("e")])
        .checkpoint()
        .commit([add("f")])
        .delete_before(2);
    let gone = [&commit_name(1), "version 2"];
    let error = assert_error(changes(&table, 0), ErrorKind::NotFound, &gone);
    assert!(error.message().contains("gone"), "{error}");
    assert_eq!(told(&changes(&table, 1).unwrap()).len(), 3);
    assert_error(actions(&table, 0..=4, &["path"]), ErrorKind::NotFound, &gone);
    // However little of what is gone is asked for.
    assert_error(
        actions(&table, 0..=0, &["path"]),
        ErrorKind::NotFound,
        &[&commit_name(0), "version 2"],
    );

    // A gap before the checkpoint; what is beyond it does not help.
    let table = table.delete(3);
    let gone = [&commit_name(3), "version 4"];
    for base in [0, 1, 2] {
        assert_error(changes(&table, base), ErrorKind::NotFound, &gone);
    }
    assert_eq!(told(&changes(&table, 3).unwrap()), [("add", "f", None)]);

    // A checkpoint alone.
    let table = table.delete(4).checkpoint();
    assert_error(changes(&table, 3), ErrorKind::NotFound, &[&commit_name(4), "version 4"]);
    assert_eq!(changes(&table, 4).unwrap(), Vec::<Value>::new());
}

#[test]
fn a_commit_that_vanishes_after_the_open_is_an_error_and_no_shorter_stream() {
    let table = table().commit([add("c")]).commit([add("d")]).checkpoint();
    let snapshot = table.snapshot();
    let table = table.delete(1);
    assert_error(
        rows(snapshot.scan().changes_since(0)),
        ErrorKind::NotFound,
        &[&commit_name(1), "version 2"],
    );
    drop(table);
}

#[test]
fn a_commit_that_contradicts_itself_is_an_error_as_it_is_in_a_listing() {
    for (actions, what) in [
        (vec![add("x"), add("x").size(2)], "adds the path twice"),
        (vec![add("x"), add("x").dv(dv(1))], "adds the path twice"),
        (vec![remove("x"), add("x")], "adds and removes"),
    ] {
        let last = actions.last().unwrap().clone();
        let table = table().commit(actions).commit([add("c")]);
        let error = assert_error(
            changes(&table, 0),
            ErrorKind::CorruptLog,
            &[&commit_name(1), what, "\"x\""],
        );
        let listed = table.try_live_files().unwrap_err();
        assert_eq!(error.message(), listed.message());
        // But not of a commit that is not asked for.
        assert_eq!(told(&changes(&table, 1).unwrap()), [("add", "c", None)]);

        let scan = table.snapshot().scan().columns(with_change(&FILE)).last_action_wins();
        let rows = rows(scan.changes_since(0)).unwrap();
        let x: Vec<_> = rows.iter().filter(|row| key_of_row(row).0 == b"x").collect();
        assert!(x.iter().any(|row| row["size"] == *last.field("size")), "{x:?}");
    }
}

#[test]
fn what_makes_an_add_corrupt_makes_a_remove_corrupt_that_is_told() {
    for remove in [
        r#"{"remove":{"path":"a","size":-5}}"#,
        r#"{"remove":{"path":"a","path":"b"}}"#,
        r#"{"remove":{"path":"a","size":1,"size":1}}"#,
        r#"{"remove":{"path":null}}"#,
        r#"{"remove":{"path":"a"},"add":{"path":"b"}}"#,
    ] {
        let table = table().commit([add("c"), raw_line(remove)]);
        assert_corrupt_line(changes(&table, 0), 1, 2);
    }
}

#[test]
fn a_removed_file_of_an_older_schema_has_no_typed_partition_value() {
    let table = TestTable::new()
        .commit([
            protocol(1, 2),
            metadata("id long, p string").partitioned_by(&["p"]),
            add("a").partition("p", Some("text")),
        ])
        .commit([
            metadata("id long, p integer").partitioned_by(&["p"]),
            remove("a").with("partitionValues", json!({"p": "text"})),
            remove("b").with("partitionValues", json!({"p": "5"})),
            add("c").partition("p", Some("6")),
            remove("d"),
        ]);
    let start = |scan: Scan| {
        scan.columns(["change", "path", "partition", "partition_values"]).changes_since(0)
    };
    let found = rows_of(&by_every_reader(&table.root(), 1, start).unwrap());
    let values =
        |i: usize| (found[i]["partition"]["p"].clone(), found[i]["partition_values"].clone());
    assert_eq!(values(0), (json!(null), json!({"p": "text"})));
    assert_eq!(values(1), (json!(5), json!({"p": "5"})));
    assert_eq!(values(2), (json!(6), json!({"p": "6"})));
    assert_eq!(values(3), (json!(null), json!(null)));

    // Where the log is told as it is, a value that cannot be typed is an error.
    let scan = table.snapshot().scan().columns(["partition"]);
    assert_error(rows(scan.actions(0..=1)), ErrorKind::CorruptLog, &[&commit_name(0), "text"]);
    assert_error(rows(scan.actions(1..=1)), ErrorKind::CorruptLog, &[&commit_name(1), "text"]);
    let rare = scan.action_kinds(["cdc", "metaData"]).actions(0..=1);
    assert_eq!(rows(rare).unwrap(), vec![json!({"partition": null}); 2]);
    assert_eq!(actions(&table, 0..=1, &["partition_values"]).unwrap().len(), 8);
}

#[test]
fn every_column_of_changes_and_of_actions_can_be_had_and_no_other() {
    let table = table().commit([remove("a")]);
    let scan = table.snapshot().scan();
    let timestamp = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let types: BTreeMap<_, _> = [
        ("change", (DataType::Utf8, false)),
        ("action", (DataType::Utf8, false)),
        ("version", (DataType::Int64, false)),
        ("deletion_timestamp", (timestamp, true)),
        ("extended_file_metadata", (DataType::Boolean, true)),
        ("json", (DataType::Utf8, true)),
    ]
    .into();
    let changes = |scan: Scan| scan.changes_since(0);
    let actions = |scan: Scan| scan.actions(0..=1);
    type Start<'a> = &'a dyn Fn(Scan) -> Result<BatchStream, Error>;
    let streams: [(Start<'_>, &[&str], bool, &str); 2] =
        [(&changes, CHANGE_COLUMNS, false, "json"), (&actions, ACTION_COLUMNS, true, "change")];
    for (start, own, path_is_nullable, not_there) in streams {
        let all = [own, FILE_COLUMNS].concat();
        let stream = start(scan.clone().columns(all.iter().copied())).unwrap();
        let schema = stream.schema();
        for (field, name) in schema.fields().iter().zip(&all) {
            assert_eq!(field.name(), name);
            if let Some((data_type, is_nullable)) = types.get(name) {
                assert_eq!(field.data_type(), data_type, "{name}");
                assert_eq!(field.is_nullable(), *is_nullable, "{name}");
            }
        }
        assert_eq!(schema.field_with_name("path").unwrap().is_nullable(), path_is_nullable);
        assert!(stream.map(|batch| batch.unwrap().num_rows()).sum::<usize>() > 0);

        for bad in [not_there, "nonsense", "Path"] {
            let bad = start(scan.clone().columns([bad])).map(|_| ());
            let error = assert_error(bad, ErrorKind::InvalidArgument, &["path"]);
            own.iter().for_each(|name| assert!(error.message().contains(name), "{error}"));
        }
        let twice = start(scan.clone().columns(["version", "version"])).map(|_| ());
        assert_error(twice, ErrorKind::InvalidArgument, &["version", "twice"]);
    }
    for name in CHANGE_COLUMNS.iter().chain(ACTION_COLUMNS) {
        let files = scan.clone().columns([*name]).files().map(|_| ());
        assert_error(files, ErrorKind::InvalidArgument, &[name]);
    }

    let names = |stream: BatchStream| -> Vec<String> {
        stream.schema().fields().iter().map(|field| field.name().clone()).collect()
    };
    assert_eq!(names(scan.changes_since(0).unwrap()), with_change(DEFAULT_FILE_COLUMNS));
    let by_default = [&["version", "action"], DEFAULT_FILE_COLUMNS, &["data_change", "json"]];
    assert_eq!(names(scan.actions(0..=1).unwrap()), by_default.concat());
}

#[test]
fn a_change_says_the_version_of_its_commit_and_when_a_file_was_removed() {
    let table = table()
        .commit([add("c")])
        .commit([remove("a").with("extendedFileMetadata", true), remove("c")])
        .commit([add("a")]);
    let columns = ["version", "path", "deletion_timestamp", "extended_file_metadata"];
    let start = |scan: Scan| scan.columns(columns).changes_since(0);
    let found = rows_of(&by_every_reader(&table.root(), 3, start).unwrap());
    let row = |version, path, removed: Value, extended: Value| {
        json!({
            "version": version, "path": path, "deletion_timestamp": removed,
            "extended_file_metadata": extended,
        })
    };
    let removed = json!(1_700_000_000_000_i64);
    assert_eq!(
        found,
        [row(3, "a", json!(null), json!(null)), row(2, "c", removed.clone(), json!(null))]
    );
    let start = |scan: Scan| scan.columns(columns).changes_since(1);
    let found = rows_of(&by_every_reader(&table.root(), 2, start).unwrap());
    assert_eq!(
        found,
        [row(2, "a", removed.clone(), json!(true)), row(2, "c", removed, json!(null))]
    );
}

#[test]
fn a_batch_of_changes_has_no_more_rows_than_asked_for() {
    let mut table = table();
    for version in 0..5 {
        table = table.commit((0..20).map(|file| add(&format!("{}", version * 10 + file))));
    }
    let sizes = |batch_rows| -> Vec<usize> {
        let start = |scan: Scan| scan.batch_rows(batch_rows).changes_since(0);
        let found = by_every_reader(&table.root(), 5, start).unwrap();
        found.iter().map(RecordBatch::num_rows).collect()
    };
    assert_eq!(sizes(1000).iter().sum::<usize>(), 60);
    assert!(sizes(7).iter().all(|&rows| rows <= 7) && sizes(7).iter().sum::<usize>() == 60);
}

// Actions of a range of commits.

fn actions(
    table: &TestTable,
    versions: RangeInclusive<u64>,
    columns: &[&str],
) -> Result<Vec<Value>, Error> {
    let start = |scan: Scan| scan.columns(columns.iter().copied()).actions(versions.clone());
    Ok(rows_of(&by_every_reader(&table.root(), table.version(), start)?))
}

/// The rows that a stream of `columns` must have of a commit of these actions.
fn rows_of_commit(version: u64, actions: &[Action], columns: &[&str]) -> Vec<Value> {
    let row = |action: &Action| -> Option<Value> {
        let name = action.name().filter(|name| ACTION_KINDS.contains(name))?;
        let is_of_file = ["add", "remove", "cdc"].contains(&name);
        let line: Value = serde_json::from_slice(&action.line()).unwrap();
        let of_file =
            |field: &str| if is_of_file { line[name][field].clone() } else { json!(null) };
        let value = |column: &str| match column {
            "version" => json!(version),
            "action" => json!(name),
            "json" if is_of_file => json!(null),
            "json" => json!(line[name].to_string()),
            "modification_time" => of_file("modificationTime"),
            "deletion_timestamp" => of_file("deletionTimestamp"),
            "extended_file_metadata" => of_file("extendedFileMetadata"),
            "partition_values" => of_file("partitionValues"),
            "data_change" => of_file("dataChange"),
            "base_row_id" => of_file("baseRowId"),
            column => of_file(column),
        };
        let row: Map<_, _> = columns.iter().map(|c| ((*c).to_owned(), value(c))).collect();
        Some(row.into())
    };
    actions.iter().filter_map(row).collect()
}

const ACTION: [&str; 13] = [
    "version",
    "action",
    "path",
    "size",
    "modification_time",
    "partition_values",
    "stats",
    "tags",
    "data_change",
    "base_row_id",
    "deletion_timestamp",
    "extended_file_metadata",
    "json",
];

/// Commits with every kind of action, and lines that are none.
fn every_action() -> Vec<Vec<Action>> {
    let unknown = r#"{"somethingNew":{"path":"no","deep":[[1,{"x":null}]]}}"#;
    vec![
        vec![
            commit_info(),
            protocol_features(&[], &["changeDataFeed", "domainMetadata"]),
            metadata("id long").property("delta.enableChangeDataFeed", "true"),
            add("a").stats(r#"{"numRecords":3}"#).tags(&[("k", "v")]).base_row_id(5),
        ],
        vec![
            commit_info(),
            cdc("_change_data/c%20d").partition("p", Some("1")).tags(&[("t", "u")]),
            remove("a")
                .with("extendedFileMetadata", true)
                .with("partitionValues", json!({"p": null}))
                .size(5)
                .stats(r#"{"numRecords":3}"#),
            raw_line(unknown),
            raw_line("{}"),
            raw_line(""),
            add("b").with("newField", json!({"x": [1, 2]})),
        ],
        vec![
            txn("app \"1\"", 3),
            domain_metadata("d", "{\"x\":\"\\u00e9\"}").removed(),
            add("b").data_change(false),
            remove("c").data_change(false).without("deletionTimestamp"),
            cdc("_change_data/e").with("stats", "ignored").with("deletionTimestamp", "ignored"),
        ],
        vec![],
        vec![commit_info()],
    ]
}

fn drawn(commits: &[Vec<Action>]) -> TestTable {
    commits.iter().fold(TestTable::new(), |table, commit| table.commit(commit.iter().cloned()))
}

#[test]
fn the_actions_of_a_range_are_the_lines_that_were_written() {
    let commits = every_action();
    let table = drawn(&commits).checkpoint();
    for first in 0..commits.len() {
        for last in first..commits.len() {
            let expected: Vec<_> = (first..=last)
                .flat_map(|version| rows_of_commit(version as u64, &commits[version], &ACTION))
                .map(|mut row| {
                    // No field of a cdc ("Add CDC File").
                    if row["action"] == "cdc" {
                        row["stats"] = json!(null);
                        row["deletion_timestamp"] = json!(null);
                    }
                    row
                })
                .collect();
            let found = actions(&table, first as u64..=last as u64, &ACTION).unwrap();
            assert_eq!(found, expected, "{first}..={last}");
        }
    }
    assert_eq!(actions(&table, 1..=1, &ACTION).unwrap().len(), 4);
}

#[test]
fn an_action_that_is_no_file_action_is_text_of_the_log_to_the_byte() {
    let bodies = [
        r#"{ "timestamp" : 1.50e3,	"operation":"WRITE", "x":[ ] }"#,
        r#"{"timestamp":1,"timestamp":2,"a":"\u0061\/"}"#,
        r#"{}"#,
        // "Any valid JSON-formatted data" ("Commit Provenance Information").
        r#""text""#,
    ];
    let lines: Vec<_> =
        bodies.iter().map(|body| raw_line(format!("{{\"commitInfo\" : {body} }}\r"))).collect();
    let table = table().commit(lines);
    let found = actions(&table, 1..=1, &["json", "action"]).unwrap();
    let expected: Vec<_> =
        bodies.iter().map(|body| json!({"json": body, "action": "commitInfo"})).collect();
    assert_eq!(found, expected);
}

#[test]
fn only_the_kinds_that_are_asked_for_come_and_only_they_are_looked_into() {
    let commits = every_action();
    let table = drawn(&commits);
    let last = table.version();
    for kinds in [
        &["cdc"][..],
        &["remove", "add"],
        &["txn", "commitInfo", "domainMetadata"],
        &["metaData", "protocol"],
        &[],
        ACTION_KINDS,
    ] {
        let start = |scan: Scan| {
            scan.columns(["version", "action", "path"])
                .action_kinds(kinds.iter().copied())
                .actions(0..=last)
        };
        let found = rows_of(&by_every_reader(&table.root(), last, start).unwrap());
        let columns = ["version", "action", "path"];
        let all = commits.iter().zip(0..);
        let all = all.flat_map(|(commit, version)| rows_of_commit(version, commit, &columns));
        let expected: Vec<_> =
            all.filter(|row| kinds.contains(&row["action"].as_str().unwrap())).collect();
        assert_eq!(found, expected, "{kinds:?}");
    }
    for kind in ["sidecar", "checkpointMetadata", "Add", ""] {
        let scan = table.snapshot().scan().action_kinds(["add", kind]);
        assert_error(
            scan.actions(0..=0).map(|_| ()),
            ErrorKind::InvalidArgument,
            &[&format!("\"{kind}\""), "domainMetadata"],
        );
    }

    // An add that a listing refuses does not concern who asks for cdc alone.
    let table = table.commit([raw_line(r#"{"add":{"path":"x","size":-1}}"#), cdc("y")]);
    let of = |kind| {
        let last = table.version();
        rows(table.snapshot().scan().columns(["path"]).action_kinds([kind]).actions(last..=last))
    };
    assert_eq!(of("cdc").unwrap(), [json!({"path": "y"})]);
    assert_corrupt_line(of("add"), table.version(), 1);
    // But a line that is no JSON does.
    let table = table.commit([raw_line(r#"{"add":{"path":"x","size":}}"#), cdc("y")]);
    let last = table.version();
    let scan = table.snapshot().scan().action_kinds(["cdc"]);
    assert_corrupt_line(rows(scan.actions(last..=last)), last, 1);
}

#[test]
fn actions_of_a_commit_that_contradicts_itself_come_as_they_are() {
    let table = table().commit([add("x"), remove("x"), add("x").size(2)]);
    let found = actions(&table, 1..=1, &["action", "size"]).unwrap();
    let expected = [("add", json!(1)), ("remove", json!(null)), ("add", json!(2))];
    let expected = expected.map(|(action, size)| json!({"action": action, "size": size}));
    assert_eq!(found, expected);
}

#[test]
fn a_range_may_be_empty_and_must_not_end_after_the_snapshot() {
    let table = table().commit([add("c")]).commit([add("d")]);
    #[expect(clippy::reversed_empty_ranges, reason = "that is the question")]
    for empty in [1..=0, 3..=2, 9..=2, u64::MAX..=0] {
        assert_eq!(actions(&table, empty, &ACTION).unwrap(), Vec::<Value>::new());
    }
    for last in [3, u64::MAX] {
        assert_error(
            actions(&table, 0..=last, &ACTION),
            ErrorKind::InvalidArgument,
            &["version 2", &last.to_string()],
        );
    }
    // Of an older snapshot, the commits up to it.
    let old = open(&table.root(), 1, 2);
    assert_eq!(rows(old.scan().actions(1..=1)).unwrap().len(), 1);
    assert_error(rows(old.scan().actions(1..=2)), ErrorKind::InvalidArgument, &["version 1"]);
}

/// A commit of more than three shares, between small ones.
fn big_history() -> Vec<Vec<Action>> {
    let mut numbers = Numbers::from_seed(7);
    let long = "x".repeat(300);
    let mut big = vec![commit_info()];
    for n in 0..4500 {
        let path = format!("{n:05}-{long}");
        big.push(match numbers.below(4) {
            0 => remove(&path).size(n),
            1 => cdc(&path).size(n),
            2 => txn(&path, n),
            _ => add(&path).size(n).stats(&format!(r#"{{"numRecords":{n}}}"#)),
        });
    }
    let mut commits = every_action();
    commits.push(big);
    commits.extend(every_action().into_iter().skip(1));
    commits
}

#[test]
fn a_big_commit_is_told_in_the_order_of_its_lines_too() {
    let commits = big_history();
    let table = drawn(&commits);
    let bytes = std::fs::metadata(table.log().join(commit_name(5))).unwrap().len();
    assert!(bytes > 3 * (512 << 10), "{bytes}");

    let columns = ["version", "action", "path", "size"];
    let last = table.version();
    let expected: Vec<_> = commits
        .iter()
        .zip(0..)
        .flat_map(|(commit, version)| rows_of_commit(version, commit, &columns))
        .collect();
    let found = actions(&table, 0..=last, &columns).unwrap();
    assert!(found == expected);

    let only =
        |scan: Scan| scan.columns(columns).action_kinds(["cdc"]).batch_rows(100).actions(5..=last);
    let batches = by_every_reader(&table.root(), last, only).unwrap();
    assert!(batches.iter().all(|batch| batch.num_rows() <= 100));
    let expected: Vec<_> = expected
        .into_iter()
        .filter(|row| row["action"] == "cdc" && row["version"].as_u64() >= Some(5))
        .collect();
    assert!(rows_of(&batches) == expected && expected.len() > 900);
}

#[test]
fn changes_go_over_a_big_commit_as_over_any_other() {
    let (long, removed) = ("y".repeat(250), || (0..5000).step_by(3).map(|n| format!("z{n}")));
    let mut big: Vec<_> = (0..4000).map(|n| add(&format!("{n}-{long}"))).collect();
    big.extend(removed().map(|path| remove(&path)));
    let table = table().commit(removed().map(|path| add(&path))).commit(big).commit([remove("a")]);
    let bytes = std::fs::metadata(table.log().join(commit_name(2))).unwrap().len();
    assert!(bytes > 2 * (512 << 10), "{bytes}");

    let columns = ["path", "size", "deletion_vector"];
    for base in [0, 1] {
        let mut files = list(&open(&table.root(), base, 2), &columns);
        let start = |scan: Scan| scan.columns(with_change(&columns)).changes_since(base);
        let changes = by_every_reader(&table.root(), 3, start).unwrap();
        apply(&mut files, rows_of(&changes));
        assert!(files == list(&table.snapshot(), &columns), "since {base}");
    }
}

#[test]
fn a_stream_of_actions_is_cancelled_and_counted_as_any_other() {
    let table = drawn(&big_history());
    let snapshot = open(&table.root(), table.version(), 2);
    let mut stream = snapshot.scan().window_units(1).actions(0..=table.version()).unwrap();
    let first = stream.next().unwrap().unwrap();
    assert_eq!(stream.progress_handle().read().rows_delivered, first.num_rows() as u64);
    stream.cancel_handle().cancel();
    for _ in 0..2 {
        assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    }
    let mut stream = snapshot.scan().actions(0..=table.version()).unwrap();
    assert!(stream.by_ref().all(|batch| batch.is_ok()));
    let progress = stream.progress_handle().read();
    assert_eq!(progress.units_planned, progress.units_decoded);
    assert!(progress.window_bytes == 0 && progress.window_bytes_peak > 0);
}

#[test]
fn a_catalog_s_own_commits_are_told_as_well() {
    let features = ["catalogManaged"];
    let inline = |actions: &[Action]| {
        actions
            .iter()
            .flat_map(|action| [action.line(), b"\n".to_vec()].concat())
            .collect::<Vec<_>>()
    };
    let staged = "00000000000000000002.00000000-0000-4000-8000-000000000002.json";
    let table = TestTable::new()
        .commit([
            protocol_features(&features, &features),
            metadata("id long").property("delta.enableInCommitTimestamps", "true"),
            add("a"),
        ])
        .commit([add("b")])
        .log_file(
            &format!("_staged_commits/{staged}"),
            &inline(&[remove("a"), add("c"), commit_info()]),
        );
    let commits = [
        CatalogCommit::Staged(staged.to_owned()),
        CatalogCommit::Inline { version: 3, content: inline(&[remove("b"), cdc("x")]).into() },
    ];
    let opened = engine(2).open(table.root().to_str().unwrap()).catalog(3, commits).snapshot();
    let snapshot = opened.unwrap();
    for _ in 0..2 {
        let changes = rows(snapshot.scan().columns(with_change(&FILE)).changes_since(0)).unwrap();
        assert_eq!(
            told(&changes),
            [("remove", "b", None), ("remove", "a", None), ("add", "c", None),]
        );
        let actions = snapshot.scan().columns(["version", "action"]).actions(1..=3);
        let found: Vec<_> = rows(actions)
            .unwrap()
            .iter()
            .map(|row| {
                (row["version"].as_u64().unwrap(), row["action"].as_str().unwrap().to_owned())
            })
            .collect();
        let expected =
            [(1, "add"), (2, "remove"), (2, "add"), (2, "commitInfo"), (3, "remove"), (3, "cdc")];
        assert_eq!(found, expected.map(|(version, action)| (version, action.to_owned())));
    }
}

// Tables that other engines wrote.

#[test]
fn changes_bring_every_version_of_every_table_to_its_latest() {
    let root = std::env::var_os("DELTA_ACCEPTANCE_TABLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tables"),
        PathBuf::from,
    );
    let Ok(entries) = std::fs::read_dir(&root) else {
        println!("skipped: no acceptance tables in {}", root.display());
        return;
    };
    // Of the statistics a checkpoint may have another spelling.
    let columns = ["path", "size", "modification_time", "deletion_vector", "partition_values"];
    let mut pairs = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        let Ok(text) = std::fs::read_to_string(path.join("expected.json")) else { continue };
        let expected: Value = serde_json::from_str(&text).expect("expected.json in JSON");
        if expected["verdict"] != "read" {
            continue;
        }
        let table = path.join("table");
        let name = table.to_str().expect("a UTF-8 path");
        let latest = engine(2).snapshot(name).expect(name);
        let newest = list(&latest, &columns);
        for version in expected["versions"].as_array().into_iter().flatten() {
            let base = version["version"].as_u64().expect("a version");
            // Where a version cannot be opened or listed, there is nothing to
            // bring to the latest.
            let Ok(old) = engine(2).snapshot_at(name, base) else { continue };
            let Ok(old) = rows(old.scan().columns(columns).files()) else { continue };
            let changes = rows(latest.scan().columns(with_change(&columns)).changes_since(base));
            let changes = changes.unwrap_or_else(|e| panic!("{name} since {base}: {e}"));
            let mut files = old.into_iter().map(|row| (key_of_row(&row), row)).collect();
            apply(&mut files, changes);
            assert!(files == newest, "{name} since {base}");
            pairs += 1;
        }
    }
    println!("{pairs} pairs of versions");
    assert!(pairs > 0);
}
