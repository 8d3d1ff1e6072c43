//! Which files are live, and what the stream of them promises.
mod common;

use arrow::datatypes::{DataType, Fields, TimeUnit};
use common::*;
use delta_engine::{DEFAULT_FILE_COLUMNS, ErrorKind, FILE_COLUMNS};
use serde_json::{Value, json};
use std::sync::LazyLock;
use std::time::Duration;

fn table() -> TestTable {
    TestTable::new().commit([protocol(1, 2), metadata("id long"), add("a"), add("b")])
}

/// A table whose adds may have deletion vectors.
fn dv_table() -> TestTable {
    let features = ["deletionVectors", "v2Checkpoint"];
    TestTable::new().commit([protocol_features(&features, &features), metadata("id long")])
}

/// `(path, pathOrInlineDv)` of each live file.
fn paths_and_dvs(table: &TestTable) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let pair = |row: Value| {
        let dv = text(&row["deletion_vector"]["path_or_inline_dv"]);
        (text(&row["path"]).expect("a path"), dv)
    };
    table.rows(["path", "deletion_vector"]).into_iter().map(pair).collect()
}

fn dv_path(n: u32) -> Option<String> {
    dv(n)["pathOrInlineDv"].as_str().map(str::to_owned)
}

// Action reconciliation.

#[test]
fn a_remove_hides_the_add_of_an_older_commit() {
    let table = table().commit([remove("a")]);
    assert_eq!(table.live_files(), ["b"]);
}

#[test]
fn a_remove_does_not_hide_the_add_of_a_newer_commit() {
    let table = table().commit([remove("a")]).commit([add("a")]);
    assert_eq!(table.live_files(), ["a", "b"]);
}

#[test]
fn a_remove_of_what_was_never_added_hides_nothing() {
    let table = table().commit([remove("c")]);
    assert_eq!(table.live_files(), ["a", "b"]);
}

#[test]
fn an_add_again_replaces_what_the_older_one_said() {
    let table = table().commit([add("a").size(7).stats(r#"{"numRecords":3}"#)]);
    assert_eq!(
        table.rows(["path", "size", "num_records"]),
        [
            json!({"path": "a", "size": 7, "num_records": 3}),
            json!({"path": "b", "size": 1, "num_records": null}),
        ]
    );
}

#[test]
fn every_version_reads_as_it_was() {
    let table = table()
        .commit([remove("a"), add("c")])
        .commit([commit_info()])
        .checkpoint()
        .commit([add("a"), remove("b")])
        .commit([remove("c")]);

    assert_eq!(table.live_files_at(0), ["a", "b"]);
    assert_eq!(table.live_files_at(1), ["b", "c"]);
    assert_eq!(table.live_files_at(2), ["b", "c"]);
    assert_eq!(table.live_files_at(3), ["a", "c"]);
    assert_eq!(table.live_files_at(4), ["a"]);
    assert_eq!(table.live_files(), ["a"]);
}

#[test]
fn an_add_with_a_deletion_vector_replaces_the_add_without_whatever_their_order() {
    let replacement = [remove("a"), add("a").dv(dv(1))];
    let [first, second] = replacement.clone();
    for order in [replacement, [second, first]] {
        let table = dv_table().commit([add("a")]).commit(order);
        assert_eq!(paths_and_dvs(&table), [("a".to_owned(), dv_path(1))]);
    }
}

#[test]
fn one_deletion_vector_replaces_another() {
    let table =
        dv_table().commit([add("a").dv(dv(1))]).commit([add("a").dv(dv(2)), remove("a").dv(dv(1))]);
    assert_eq!(paths_and_dvs(&table), [("a".to_owned(), dv_path(2))]);
}

#[test]
fn a_remove_hides_only_the_add_with_its_own_deletion_vector() {
    let table = dv_table().commit([add("a").dv(dv(1))]).commit([remove("a")]);
    assert_eq!(table.live_files(), ["a"]);

    let table = table.commit([remove("a").dv(dv(1))]);
    assert_eq!(table.live_files(), [""; 0]);
}

#[test]
fn deletion_vectors_that_differ_in_their_offset_alone_are_two() {
    let at = |offset: Value| {
        let mut descriptor = dv(1);
        descriptor["offset"] = offset;
        descriptor
    };
    let table = dv_table().commit([add("a").dv(at(json!(1)))]);
    assert_eq!(table.commit([remove("a").dv(at(json!(2)))]).live_files(), ["a"]);

    // An absent offset and offset 0 spell two different ids.
    let table = dv_table().commit([add("a").dv(at(Value::Null))]);
    let table = table.commit([remove("a").dv(at(json!(0)))]);
    assert_eq!(table.live_files(), ["a"]);
    assert_eq!(table.commit([remove("a").dv(at(Value::Null))]).live_files(), [""; 0]);
}

#[test]
fn a_deletion_vector_counts_although_the_table_property_is_off() {
    let features = ["deletionVectors"];
    let table = TestTable::new().commit([
        protocol_features(&features, &features),
        metadata("id long").property("delta.enableDeletionVectors", "false"),
        add("a").dv(dv(1)),
    ]);
    assert_eq!(paths_and_dvs(&table), [("a".to_owned(), dv_path(1))]);
}

#[test]
fn the_newest_version_of_an_application_wins() {
    let table =
        table().commit([txn("stream", 1), txn("other", 5)]).checkpoint().commit([txn("stream", 2)]);
    let snapshot = table.snapshot();
    assert_eq!(snapshot.txn_version("stream").unwrap(), Some(2));
    assert_eq!(snapshot.txn_version("other").unwrap(), Some(5));
    assert_eq!(snapshot.txn_version("nobody").unwrap(), None);
}

#[test]
fn a_removed_domain_is_gone_until_it_is_set_again() {
    let domains = |table: &TestTable| -> Vec<_> {
        let snapshot = table.snapshot();
        let domains = snapshot.domain_metadata().unwrap();
        domains.iter().map(|(domain, text)| (domain.clone(), text.clone())).collect()
    };
    let pair = |domain: &str, configuration: &str| (domain.to_owned(), configuration.to_owned());

    let features = ["domainMetadata"];
    let table = TestTable::new()
        .commit([
            protocol(1, 7).with("writerFeatures", features.to_vec()),
            metadata("id long"),
            domain_metadata("one", "1"),
            domain_metadata("two", "2"),
        ])
        .commit([domain_metadata("one", "1").removed()]);
    assert_eq!(domains(&table), [pair("two", "2")]);

    let table = table.checkpoint().commit([domain_metadata("one", "3")]);
    assert_eq!(domains(&table), [pair("one", "3"), pair("two", "2")]);
}

#[test]
fn the_newest_metadata_and_protocol_win() {
    let table = table()
        .commit([metadata("id long, name string").with("name", "second")])
        .commit([protocol(2, 5)]);
    let snapshot = table.snapshot();
    assert_eq!(snapshot.version(), 2);
    assert_eq!(snapshot.metadata().name.as_deref(), Some("second"));
    assert_eq!(snapshot.arrow_schema().fields().len(), 2);
    assert_eq!(snapshot.protocol().min_reader_version, 2);
}

#[test]
fn data_change_cdc_and_commit_info_do_not_decide_what_is_live() {
    let table = table().commit([
        raw_line(
            r#"{"commitInfo":{"operationParameters":{"n":1,"list":[1,{"a":null}],"b":true}}}"#,
        ),
        add("c").data_change(false),
        remove("a").data_change(false),
        cdc("_change_data/b"),
        cdc("c"),
    ]);
    assert_eq!(table.live_files(), ["b", "c"]);
}

/// Legal histories of a dozen paths, with checkpoints of every kind.
#[test]
fn random_histories_read_as_the_oracle_says() {
    for seed in 0..40 {
        let table = random_table(seed);
        assert_eq!(found(&table.listing()), expected(&table.state()), "seed {seed}");

        let version = Numbers::from_seed(seed + 1000).below(table.version() + 1);
        if table.log_names("").contains(&commit_name(0)) {
            let listing = table.listing().at(version);
            let expected = expected(&table.state_at(version));
            assert_eq!(found(&listing), expected, "seed {seed}, version {version}");
        }
    }

    fn random_table(seed: u64) -> TestTable {
        let mut numbers = Numbers::from_seed(seed);
        let mut table = random_beginning(&mut numbers);
        for _ in 0..2 + numbers.below(12) {
            let commit = random_commit(&table, &mut numbers);
            table = table.commit(commit);
            if numbers.below(12) < 5 {
                table = random_checkpoint(table, &mut numbers);
                if numbers.below(5) == 0 {
                    let newest = table.version();
                    table = table.delete_before(newest);
                }
            }
        }
        table
    }

    fn expected(state: &State) -> Vec<Value> {
        let row = |add: &Action| {
            let dv = &add.field("deletionVector")["pathOrInlineDv"];
            json!({"path": add.path(), "size": add.field("size"), "dv": dv})
        };
        sorted_by_path(state.adds.values().map(row).collect())
    }

    fn found(listing: &Listing) -> Vec<Value> {
        let rows = listing.clone().columns(["path", "size", "deletion_vector"]).rows();
        let row = |row: Value| {
            let dv = &row["deletion_vector"]["path_or_inline_dv"];
            json!({"path": row["path"], "size": row["size"], "dv": dv})
        };
        sorted_by_path(rows.into_iter().map(row).collect())
    }
}

// Paths: keys are decoded once, and what leaves the table is refused.

#[test]
fn a_path_is_one_file_however_it_is_encoded() {
    for (added, removed) in [
        ("a%20b", "a b"),
        ("a b", "a%20b"),
        ("p=%2F", "p=%2f"),
        ("%61", "a"),
        ("caf%C3%A9", "café"),
        ("a%2Bb", "a+b"),
        ("p=1/%23%3F%3A", "p=1/#?:"),
        ("100%25", "100%"),
    ] {
        let table = TestTable::new()
            .commit([protocol(1, 2), metadata("id long"), add(added), add("other")])
            .commit([remove(removed)]);
        assert_eq!(table.live_files(), ["other"], "add {added:?}, remove {removed:?}");
    }
}

#[test]
fn a_path_is_decoded_exactly_once() {
    for (added, removed) in
        [("a%2520b", "a b"), ("a%2520b", "a%20b"), ("a+b", "a b"), ("a%25", "a%2525")]
    {
        let table = TestTable::new()
            .commit([protocol(1, 2), metadata("id long"), add(added)])
            .commit([remove(removed)]);
        assert_eq!(table.live_files(), [added], "add {added:?}, remove {removed:?}");
    }
}

#[test]
fn the_listing_gives_paths_as_the_log_spells_them() {
    let mut paths = [
        "a b",
        "a%20c",
        "a%2520b",
        "a+b",
        "100%",
        "%zz",
        "p=%C3%A9/ü",
        "q#?:&",
        "x\u{1f980}",
        "'\"",
        "s p/%5B1%5D",
        "..a/b..",
        "...",
        "p=.%2E./x",
    ];
    let table =
        TestTable::new().commit([protocol(1, 2), metadata("id long")]).commit(paths.map(add));
    paths.sort();
    assert_eq!(table.live_files(), paths);
    assert_eq!(table.checkpoint().live_files(), paths);
}

#[test]
fn an_absolute_path_is_listed_as_it_is() {
    let paths = ["file:///elsewhere/part%201.parquet", "s3://bucket/part-0.parquet"];
    let table =
        TestTable::new().commit([protocol(1, 2), metadata("id long")]).commit(paths.map(add));
    assert_eq!(table.live_files(), paths);
}

#[test]
fn a_path_that_climbs_out_of_the_table_is_refused() {
    for path in [
        "../a",
        "../../etc/passwd",
        "a/../../b",
        "a/..",
        "%2e%2e/a",
        "%2E%2e%2fa",
        "..%2fa",
        r"..\a",
        r".\..\a",
        "a%5C..%5Cb",
    ] {
        let table = table().commit([commit_info(), add(path)]);
        assert_corrupt_line(table.try_live_files(), 1, 2);
    }
}

#[test]
fn an_empty_path_or_one_with_a_nul_is_refused() {
    for path in ["", "a\0b", "a%00b", "%00"] {
        let table = table().commit([commit_info(), add(path)]);
        assert_corrupt_line(table.try_live_files(), 1, 2);
    }
}

#[test]
fn a_path_in_a_message_cannot_steer_a_terminal() {
    let path = "a\u{1b}[31m\r\nforged\u{7}\u{202e}";
    let table = table().commit([add(path), add(path).size(2)]);
    // assert_error looks for control characters.
    let error = assert_error(table.try_live_files(), ErrorKind::CorruptLog, &["forged"]);
    assert!(!error.message().contains('\u{202e}'), "{error}");
}

// Two actions of one file in one commit.

#[test]
fn an_add_and_a_remove_of_one_logical_file_in_one_commit_are_refused() {
    for commit in [[add("c"), remove("c")], [remove("c"), add("c")]] {
        let table = table().commit(commit);
        assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[&commit_name(1), "c"]);
    }
}

#[test]
fn the_last_action_of_a_commit_wins_where_the_caller_asks_for_it() {
    let listed = |commit: [Action; 2]| {
        let table = table().commit(commit);
        table.listing().columns(["path", "size"]).last_action_wins().rows()
    };
    let row = |path: &str, size: i64| json!({"path": path, "size": size});

    assert_eq!(listed([add("c"), remove("c")]), [row("a", 1), row("b", 1)]);
    assert_eq!(listed([remove("c"), add("c")]), [row("a", 1), row("b", 1), row("c", 1)]);
    assert_eq!(listed([remove("a"), add("a").size(5)]), [row("a", 5), row("b", 1)]);
    assert_eq!(listed([add("a").size(5), add("a").size(6)]), [row("a", 6), row("b", 1)]);
}

#[test]
fn a_path_added_twice_in_one_commit_is_refused() {
    for (first, second) in [
        (add("c"), add("c")),
        (add("c"), add("c").size(2)),
        (add("c%20d"), add("c d")),
        (add("c"), add("c").dv(dv(1))),
        (add("c").dv(dv(2)), add("c").dv(dv(1))),
    ] {
        let features = ["deletionVectors"];
        let table = table().commit([protocol_features(&features, &features)]).commit([
            commit_info(),
            first,
            second,
        ]);
        assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[&commit_name(2), "c"]);
    }
}

#[test]
fn two_removes_of_one_path_in_one_commit_are_tolerated() {
    let table = table().commit([remove("a"), remove("a")]);
    assert_eq!(table.live_files(), ["b"]);
}

#[test]
fn the_same_path_in_two_commits_is_no_conflict() {
    let table = table().commit([add("a")]).commit([add("a")]).commit([remove("b")]);
    assert_eq!(table.live_files(), ["a"]);
}

// A commit so big that several workers decode it.

/// Adds that are more bytes than a snapshot reads in one piece.
const MANY: usize = 5_000;
/// Adds that are more bytes than two decode units.
const SOME: usize = 2_300;

/// A commit of so many adds, each some 1.9 KiB; mostly characters of two and
/// four bytes, so that a cut in the wrong place would show.
fn big_commit(adds: usize) -> Vec<Action> {
    let padding = "é🦀".repeat(300);
    let stats = |n: usize| format!(r#"{{"numRecords":{n},"padding":"{padding}"}}"#);
    (0..adds).map(|n| add(&format!("part-{n:05}")).size(n as i64).stats(&stats(n))).collect()
}

#[test]
fn a_big_commit_reads_as_its_lines() {
    let table = table()
        .commit([add("part-00007").size(99), add("part-99999")])
        .commit(big_commit(MANY))
        .commit([remove("part-00001"), remove("part-04999"), remove("part-02500")]);
    assert!(std::fs::metadata(table.log().join(commit_name(2))).unwrap().len() > 8 << 20);

    let rows = table.listing().columns(["path", "size", "num_records"]).with_few_readers().rows();
    let live = table.state().live_files();
    assert_eq!(rows.len(), live.len());
    for (row, path) in rows.iter().zip(&live) {
        let (size, records) = match path.strip_prefix("part-").map(|n| n.parse().unwrap()) {
            Some(99_999) | None => (1, Value::Null),
            Some(n) => (n, json!(n)),
        };
        assert_eq!(*row, json!({"path": path, "size": size, "num_records": records}));
    }
}

/// A big commit with a line before and a line after it, which are in two
/// decode units with a third between them.
fn big_commit_between(first: &Action, last: &Action) -> Vec<u8> {
    static LINES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut lines = Vec::new();
        for action in big_commit(SOME) {
            lines.extend(action.line());
            lines.push(b'\n');
        }
        assert!(lines.len() > 4 << 20);
        lines
    });
    [first.line().as_slice(), b"\n", LINES.as_slice(), last.line().as_slice()].concat()
}

#[test]
fn the_lines_of_a_big_commit_conflict_however_far_apart_they_are() {
    let cases: [(Action, Action); 3] =
        [(add("c"), add("c").size(2)), (add("c"), remove("c")), (remove("c"), add("c"))];
    for (first, last) in cases {
        let table = table().commit_bytes(1, &big_commit_between(&first, &last));
        let result = table.listing().columns(["path"]).with_few_readers().try_live_files();
        assert_error(result, ErrorKind::CorruptLog, &[&commit_name(1), "c"]);
    }
}

#[test]
fn a_replaced_deletion_vector_may_span_a_big_commit() {
    let (new, old) = (add("c").dv(dv(1)), remove("c"));
    for (first, last) in [(&new, &old), (&old, &new)] {
        let table = dv_table().commit([add("c")]).commit_bytes(2, &big_commit_between(first, last));
        let listing = table.listing().columns(["path", "deletion_vector"]).with_few_readers();
        let rows = listing.rows();
        assert_eq!(rows.len(), SOME + 1);
        assert_eq!(rows[0]["path"], "c");
        assert_eq!(rows[0]["deletion_vector"]["path_or_inline_dv"], dv(1)["pathOrInlineDv"]);
    }
}

#[test]
fn the_last_action_wins_across_a_big_commit() {
    let listed = |first: Action, last: Action| {
        let table = dv_table().commit_bytes(1, &big_commit_between(&first, &last));
        let listing = table.listing().columns(["path"]).with_few_readers().last_action_wins();
        listing.live_files()[0].clone()
    };
    assert_eq!(listed(remove("c"), add("c")), "c");
    assert_eq!(listed(add("c"), remove("c")), "part-00000");
}

#[test]
fn a_broken_line_of_a_big_commit_is_named_by_its_number() {
    let mut commit = big_commit(MANY);
    commit[3_750] = raw_line("{\"add\":");
    let table = table().commit(commit);
    let result = table.listing().columns(["path"]).with_few_readers().try_live_files();
    assert_corrupt_line(result, 1, 3_751);
}

// Columns.

/// One file with everything an add can say.
fn one_full_file() -> TestTable {
    let features = ["deletionVectors", "rowTracking", "clustering", "domainMetadata"];
    TestTable::new().commit([
        protocol_features(&features[..1], &features),
        metadata("id long, p string").partitioned_by(&["p"]),
        add("p=x/a")
            .size(11)
            .modified(1_600_000_000_123)
            .partition("p", Some("x"))
            .stats(r#"{"numRecords":5,"tightBounds":false}"#)
            .dv(dv(3))
            .tags(&[("k", "v")])
            .data_change(false)
            .base_row_id(100)
            .default_row_commit_version(0)
            .clustering_provider("liquid"),
    ])
}

fn the_full_row() -> Value {
    json!({
        "path": "p=x/a",
        "size": 11,
        "modification_time": 1_600_000_000_123_i64,
        "partition_values": {"p": "x"},
        "partition": {"p": "x"},
        "num_records": 5,
        "stats": r#"{"numRecords":5,"tightBounds":false}"#,
        "deletion_vector": {
            "storage_type": "u",
            "path_or_inline_dv": dv(3)["pathOrInlineDv"],
            "offset": 1,
            "size_in_bytes": 36,
            "cardinality": 2,
        },
        "tags": {"k": "v"},
        "data_change": false,
        "base_row_id": 100,
        "default_row_commit_version": 0,
        "clustering_provider": "liquid",
    })
}

#[test]
fn every_column_gives_what_the_add_says() {
    let table = one_full_file();
    let listing = table.listing().columns(FILE_COLUMNS.iter().copied());
    assert_eq!(listing.rows(), [the_full_row()]);
    // And from a checkpoint.
    let table = table.checkpoint();
    assert_eq!(table.listing().columns(FILE_COLUMNS.iter().copied()).rows(), [the_full_row()]);
}

#[test]
fn every_column_can_be_asked_for_alone() {
    for table in [one_full_file(), one_full_file().checkpoint()] {
        for &column in FILE_COLUMNS {
            let expected = json!({column: the_full_row()[column]});
            assert_eq!(table.rows([column]), [expected]);
        }
    }
}

#[test]
fn what_an_add_leaves_out_is_null() {
    let row = &table().listing().columns(FILE_COLUMNS.iter().copied()).rows()[0];
    for column in [
        "num_records",
        "stats",
        "deletion_vector",
        "tags",
        "base_row_id",
        "default_row_commit_version",
        "clustering_provider",
    ] {
        assert_eq!(row[column], Value::Null, "{column}");
    }
    assert_eq!(row["partition_values"], json!({}));
    assert_eq!(row["data_change"], true);
}

#[test]
fn columns_come_in_the_order_they_are_asked_for() {
    let names = |listing: Listing| -> Vec<String> {
        let schema = listing.outcome().schema.expect("a schema");
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let table = table();
    assert_eq!(names(table.listing()), DEFAULT_FILE_COLUMNS);
    assert_eq!(names(table.listing().columns(["size", "path"])), ["size", "path"]);
    let reversed: Vec<_> = FILE_COLUMNS.iter().rev().copied().collect();
    assert_eq!(names(table.listing().columns(reversed.clone())), reversed);
}

#[test]
fn columns_have_the_types_that_are_promised() {
    use DataType::{Boolean, Int32, Int64, Map, Struct, Timestamp, Utf8};
    // Names and types; whether a field may be null is not looked at.
    fn shape(fields: &Fields) -> Vec<(&str, DataType)> {
        fields.iter().map(|field| (field.name().as_str(), field.data_type().clone())).collect()
    }
    let scan = one_full_file().snapshot().scan().columns(FILE_COLUMNS.iter().copied());
    let schema = scan.files_schema().unwrap();

    let flat = shape(schema.fields()).into_iter().filter(|(_, kind)| !kind.is_nested());
    let expected = [
        ("path", Utf8),
        ("size", Int64),
        ("modification_time", Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
        ("num_records", Int64),
        ("stats", Utf8),
        ("data_change", Boolean),
        ("base_row_id", Int64),
        ("default_row_commit_version", Int64),
        ("clustering_provider", Utf8),
    ];
    assert_eq!(flat.collect::<Vec<_>>(), expected);

    for (name, kind) in shape(schema.fields()).into_iter().filter(|(_, kind)| kind.is_nested()) {
        let (fields, expected) = match (name, &kind) {
            ("partition", Struct(fields)) => (fields, vec![("p", Utf8)]),
            ("deletion_vector", Struct(fields)) => (
                fields,
                vec![
                    ("storage_type", Utf8),
                    ("path_or_inline_dv", Utf8),
                    ("offset", Int32),
                    ("size_in_bytes", Int32),
                    ("cardinality", Int64),
                ],
            ),
            ("partition_values" | "tags", Map(entries, _)) => {
                let Struct(fields) = entries.data_type() else { unreachable!() };
                // The names of a map's entries are Arrow's own affair.
                let names: Vec<_> = fields.iter().map(|field| field.name().as_str()).collect();
                (fields, vec![(names[0], Utf8), (names[1], Utf8)])
            }
            other => panic!("not promised: {other:?}"),
        };
        assert_eq!(shape(fields), expected, "{name}");
    }
}

#[test]
fn an_unknown_column_is_named() {
    let result = table().listing().columns(["path", "colour"]).batches();
    assert_error(result, ErrorKind::InvalidArgument, &["colour"]);
}

#[test]
fn a_column_named_twice_is_named() {
    let result = table().listing().columns(["path", "size", "path"]).batches();
    assert_error(result, ErrorKind::InvalidArgument, &["path"]);
}

#[test]
fn the_schema_is_known_before_the_stream_starts() {
    let scan = table().snapshot().scan().columns(["path", "num_records"]);
    assert_eq!(scan.files_schema().unwrap(), scan.files().unwrap().schema());
}

#[test]
fn statistics_that_are_no_json_keep_the_file() {
    let table = TestTable::new().commit([
        protocol(1, 2),
        metadata("id long"),
        add("a").stats("not json"),
        add("b").stats(r#"{"numRecords":"#),
        add("c").stats(""),
        add("d").stats("[1]"),
        add("e").stats(r#"{"numRecords":"4"}"#),
        add("f").stats(r#"{"numRecords":4}"#),
        add("g").stats(r#"{"minValues":{"numRecords":9}}"#),
        add("h").stats(r#"{"minValues":{"numRecords":9},"numRecords":3}"#),
    ]);
    let found = table.rows(["path", "num_records"]);
    let expected = ["a", "b", "c", "d", "e", "f", "g", "h"].map(|path| {
        let records = match path {
            "f" => json!(4),
            "h" => json!(3),
            _ => Value::Null,
        };
        json!({"path": path, "num_records": records})
    });
    assert_eq!(found, expected);
}

// Typed partition values.

#[test]
fn partition_values_have_the_types_of_their_columns() {
    let columns = [
        ("b1", "boolean", "true", json!(true)),
        ("i8", "byte", "-128", json!(-128)),
        ("i16", "short", "32767", json!(32767)),
        ("i32", "integer", "-2147483648", json!(-2147483648_i64)),
        ("i64", "long", "9223372036854775807", json!(9223372036854775807_i64)),
        ("f32", "float", "1.5", json!(1.5)),
        ("f64", "double", "-2.5E10", json!(-2.5e10)),
        ("s", "string", "a b", json!("a b")),
        ("d", "date", "1969-12-31", json!(-1)),
        ("t", "timestamp", "1970-01-01 00:00:01.000002", json!(1_000_002)),
        ("tz", "timestamp", "1970-01-01T00:00:01.000002Z", json!(1_000_002)),
        ("ntz", "timestamp_ntz", "1970-01-02 00:00:00", json!(86_400_000_000_i64)),
        ("dec", "decimal(10,2)", "-12.30", json!("-12.30")),
        // Written before the type was widened.
        ("wide", "decimal(12,2)", "1", json!("1.00")),
        ("bin", "binary", "\u{1}\u{2}A", json!("010241")),
    ];
    let names = columns.iter().map(|(name, ..)| *name).collect::<Vec<_>>();
    let schema = columns.iter().map(|(name, kind, ..)| format!("{name} {kind}"));
    let schema = schema.collect::<Vec<_>>().join(", ") + ", id long";

    let add_with = |path: &str, value: fn(&'static str) -> Option<&'static str>| {
        columns.iter().fold(add(path), |add, (name, _, text, _)| add.partition(name, value(text)))
    };
    let features = ["timestampNtz"];
    let table = TestTable::new().commit([
        protocol_features(&features, &features),
        metadata(&schema).partitioned_by(&names),
        add_with("a", Some),
        add_with("b", |_| None),
        // An empty string is null, by "Partition Value Serialization".
        add_with("c", |_| Some("")),
        // A key that is missing.
        add("d"),
    ]);

    let values = columns.iter().map(|(name, .., value)| ((*name).to_owned(), value.clone()));
    let nulls = columns.iter().map(|(name, ..)| ((*name).to_owned(), Value::Null));
    let values = Value::Object(values.collect());
    let nulls = Value::Object(nulls.collect());
    let expected = [("a", &values), ("b", &nulls), ("c", &nulls), ("d", &nulls)]
        .map(|(path, partition)| json!({"path": path, "partition": partition}));
    assert_eq!(table.rows(["path", "partition"]), expected);
    assert_eq!(table.checkpoint().rows(["path", "partition"]), expected);
}

#[test]
fn the_raw_partition_values_are_those_of_the_log() {
    let table = TestTable::new().commit([
        protocol(1, 2),
        metadata("id long, p string, q integer").partitioned_by(&["p", "q"]),
        add("a").partition("p", Some("")).partition("q", None),
        add("b").partition("q", Some("007")),
    ]);
    let expected = [
        json!({"path": "a", "partition_values": {"p": "", "q": null}}),
        json!({"path": "b", "partition_values": {"q": "007"}}),
    ];
    assert_eq!(table.rows(["path", "partition_values"]), expected);
    assert_eq!(table.checkpoint().rows(["path", "partition_values"]), expected);
}

#[test]
fn the_partition_struct_has_logical_names_and_the_map_physical_ones() {
    let field = |id: i32, name: &str, physical: &str, kind: &str| {
        json!({
            "name": name, "type": kind, "nullable": true,
            "metadata": {
                "delta.columnMapping.id": id,
                "delta.columnMapping.physicalName": physical,
            },
        })
    };
    let fields = [field(1, "id", "col-1", "long"), field(2, "day", "col-2", "date")];
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    let table = TestTable::new().commit([
        protocol(2, 5),
        metadata("id long")
            .with("schemaString", schema)
            .partitioned_by(&["day"])
            .property("delta.columnMapping.mode", "name")
            .property("delta.columnMapping.maxColumnId", "2"),
        add("a").partition("col-2", Some("1970-01-11")),
    ]);
    let expected = [json!({"partition": {"day": 10}, "partition_values": {"col-2": "1970-01-11"}})];
    assert_eq!(table.rows(["partition", "partition_values"]), expected);
    assert_eq!(table.checkpoint().rows(["partition", "partition_values"]), expected);
}

#[test]
fn a_partition_value_of_the_wrong_type_is_an_error_only_where_it_is_typed() {
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long, p integer").partitioned_by(&["p"])])
        .commit([add("a").partition("p", Some("seven"))]);
    assert_eq!(table.rows(["partition_values"]), [json!({"partition_values": {"p": "seven"}})]);
    let result = table.listing().columns(["path", "partition"]).batches();
    assert_error(result, ErrorKind::CorruptLog, &["seven", "p"]);
}

#[test]
fn an_unpartitioned_table_has_a_partition_struct_without_fields() {
    let table = TestTable::new().commit([protocol(1, 2), metadata("id long"), add("a")]);
    assert_eq!(table.rows(["path", "partition"]), [json!({"path": "a", "partition": {}})]);
}

// The stream.

#[test]
fn an_empty_table_gives_a_schema_and_no_batches() {
    for table in [
        TestTable::new().commit([protocol(1, 2), metadata("id long")]),
        table().commit([remove("a"), remove("b")]),
        TestTable::new().commit([protocol(1, 2), metadata("id long")]).checkpoint(),
    ] {
        let outcome = table.listing().outcome();
        assert_eq!(outcome.schema.expect("a schema").fields().len(), DEFAULT_FILE_COLUMNS.len());
        assert_eq!(outcome.batches.len(), 0);
        assert!(outcome.error.is_none());
    }
}

#[test]
fn no_batch_has_more_rows_than_asked_for() {
    let adds = (0..100).map(|n| add(&format!("part-{n:03}")));
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long")])
        .commit(adds)
        .commit([remove("part-050"), add("x")]);
    for rows in [1, 7, 99, 1000] {
        let batches = table.listing().batch_rows(rows).batches().unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= rows));
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 100);
    }
    let table = table.checkpoint_as(&Layout::default().row_group_rows(30));
    for rows in [1, 7, 99, 1000] {
        let batches = table.listing().batch_rows(rows).batches().unwrap();
        assert!(batches.iter().all(|batch| batch.num_rows() <= rows));
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 100);
    }
}

#[test]
fn a_batch_or_a_window_of_nothing_is_refused_or_one() {
    let table = table();
    for threads in [0, 2] {
        let snapshot = engine(threads).snapshot(table.root().to_str().unwrap()).unwrap();
        for scan in [
            snapshot.scan().batch_rows(0),
            snapshot.scan().window_units(0),
            snapshot.scan().window_bytes(0),
        ] {
            match scan.files() {
                Ok(stream) => {
                    assert_eq!(stream.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}"),
            }
        }
    }
}

#[test]
fn after_the_end_there_is_the_end_again() {
    for threads in [0, 2] {
        let table = table();
        let snapshot = engine(threads).snapshot(table.root().to_str().unwrap()).unwrap();
        let mut stream = snapshot.scan().files().unwrap();
        assert_eq!(stream.by_ref().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
        for _ in 0..3 {
            assert!(stream.next().is_none());
            assert!(stream.next_within(Duration::ZERO).is_none());
        }
    }
}

#[test]
fn after_an_error_there_is_the_same_error_again() {
    for threads in [0, 2] {
        // Opening the table looks at no file action, so it succeeds.
        let table = table().commit([add("c"), add("c")]).commit([add("d")]);
        let snapshot = engine(threads).snapshot(table.root().to_str().unwrap()).unwrap();
        let mut stream = snapshot.scan().files().unwrap();
        let first = stream.find_map(Result::err).expect("an error");
        for _ in 0..3 {
            let again = stream.next().expect("not the end").expect_err("not a batch");
            assert_eq!(again.to_string(), first.to_string());
        }
    }
}

#[test]
fn a_cancelled_stream_ends_in_an_error() {
    for threads in [0, 1, 4] {
        let adds = (0..200).map(|n| add(&format!("part-{n}"))).collect::<Vec<_>>();
        let mut table = TestTable::new().commit([protocol(1, 2), metadata("id long")]);
        for chunk in adds.chunks(5) {
            table = table.commit(chunk.to_vec());
        }
        let snapshot = engine(threads).snapshot(table.root().to_str().unwrap()).unwrap();
        let mut stream = snapshot.scan().batch_rows(1).window_units(2).files().unwrap();
        stream.next().expect("a batch").expect("no error");
        let handle = stream.cancel_handle();
        std::thread::spawn(move || handle.cancel()).join().unwrap();

        let error = stream.find_map(Result::err).expect("cancelled is not the end");
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        let again = stream.next().expect("not the end").expect_err("not a batch");
        assert_eq!(again.kind(), ErrorKind::Cancelled);
    }
}

#[test]
fn a_stream_may_be_dropped_at_any_point() {
    let mut table = TestTable::new().commit([protocol(1, 2), metadata("id long")]);
    for n in 0..20 {
        table = table.commit([add(&format!("part-{n}"))]);
    }
    for threads in [0, 1, 4] {
        let snapshot = engine(threads).snapshot(table.root().to_str().unwrap()).unwrap();
        for taken in 0..22 {
            let mut stream = snapshot.scan().batch_rows(1).window_units(3).files().unwrap();
            for _ in 0..taken {
                stream.next();
            }
        }
    }
    assert_eq!(table.live_files().len(), 20);
}

#[test]
fn one_snapshot_gives_the_same_listing_as_often_as_it_is_asked() {
    let table = table().commit([add("c")]).checkpoint().commit([remove("b")]);
    for threads in [0, 2] {
        let snapshot = engine(threads).snapshot(table.root().to_str().unwrap()).unwrap();
        let listed =
            || -> Vec<_> { snapshot.scan().files().unwrap().map(Result::unwrap).collect() };
        let first = listed();
        assert_eq!(listed(), first);
        assert_eq!(listed(), first);
    }
}

#[test]
fn a_snapshot_does_not_see_what_is_committed_after_it() {
    let table = table();
    let snapshot = table.snapshot();
    let table = table.commit([remove("a")]).checkpoint();
    let rows: usize = snapshot.scan().files().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, 2);
    assert_eq!(table.live_files(), ["b"]);
}

#[test]
fn progress_counts_what_was_delivered() {
    let table = table().commit([add("c")]);
    let mut stream = table.snapshot().scan().files().unwrap();
    let progress = stream.progress_handle();
    let batches = stream.by_ref().map(Result::unwrap).count() as u64;
    let progress = progress.read();
    assert_eq!(progress.rows_delivered, 3);
    assert_eq!(progress.batches_delivered, batches);
    assert_eq!(progress.units_decoded, progress.units_planned);
}
