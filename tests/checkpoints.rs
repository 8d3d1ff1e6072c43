//! What a checkpoint says is what its commits said, in whatever form it is
//! written; and a checkpoint that is broken is never half of an answer.
mod common;

use arrow::datatypes::DataType;
use common::*;
use delta_engine::{Error, ErrorKind, FILE_COLUMNS};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::panic::catch_unwind;
use std::sync::mpsc;
use std::time::Duration;

/// Versions 0 to 2, whose live files are `b`, `c` and `d`, with all that an add
/// and the other actions can say. Checkpoints of every kind are allowed.
fn table() -> TestTable {
    let features = ["deletionVectors", "v2Checkpoint"];
    TestTable::new()
        .commit([
            protocol_features(&features, &features),
            metadata("id long, p string").partitioned_by(&["p"]).property("k", "v"),
            txn("stream", 7),
            domain_metadata("domain", "{}"),
            add("a").partition("p", Some("x")),
            add("b").partition("p", None),
        ])
        .commit([
            add("c")
                .partition("p", Some("y z"))
                .size(33)
                .modified(1_600_000_000_123)
                .stats(r#"{"numRecords":3,"minValues":{"id":1},"maxValues":{"id":9},"nullCount":{"id":0}}"#)
                .tags(&[("t", "1"), ("u", "")])
                .base_row_id(5)
                .default_row_commit_version(1)
                .clustering_provider("liquid"),
            remove("a"),
        ])
        .commit([add("d").dv(dv(1)).stats(r#"{"numRecords":8}"#)])
}

const LIVE: [&str; 3] = ["b", "c", "d"];

fn all_rows(table: &TestTable) -> Vec<Value> {
    table.listing().columns(FILE_COLUMNS.iter().copied()).rows()
}

/// Every kind of checkpoint of a table.
fn every_kind(table: impl Fn() -> TestTable) -> Vec<(&'static str, TestTable)> {
    let layout = Layout::default;
    vec![
        ("classic", table().checkpoint()),
        ("classic, small row groups", table().checkpoint_as(&layout().row_group_rows(2))),
        ("classic, row groups of one", table().checkpoint_as(&layout().row_group_rows(1))),
        ("classic, no page index", table().checkpoint_as(&layout().no_page_index())),
        ("classic, small pages", table().checkpoint_as(&layout().page_rows(1))),
        ("classic, reversed", table().checkpoint_as(&layout().reversed())),
        ("classic, extra columns", table().checkpoint_as(&layout().extra_columns())),
        ("classic, both statistics", table().checkpoint_as(&layout().stats(StatsForm::Both))),
        ("classic, required fields", table().checkpoint_as(&layout().required_fields())),
        (
            "classic, required fields, row groups of one",
            table().checkpoint_as(&layout().required_fields().row_group_rows(1)),
        ),
        (
            "classic, parsed partition values",
            table().checkpoint_as(&layout().parsed_partition_values()),
        ),
        (
            "classic, no columns for what is not needed",
            table().checkpoint_as(
                &layout().without("checkpointMetadata").without("sidecar").without("remove"),
            ),
        ),
        ("classic, large strings", table().checkpoint_as(&layout().strings(DataType::LargeUtf8))),
        ("multi-part, 2", table().multi_part_checkpoint(2)),
        ("multi-part, more than rows", table().multi_part_checkpoint(12)),
        ("V2 JSON", table().v2_checkpoint_json(0)),
        ("V2 JSON, 1 sidecar", table().v2_checkpoint_json(1)),
        ("V2 JSON, 9 sidecars", table().v2_checkpoint_json(9)),
        ("V2 Parquet", table().v2_checkpoint_parquet(0)),
        ("V2 Parquet, 2 sidecars", table().v2_checkpoint_parquet(2)),
        ("V2 classic name", table().v2_checkpoint_classic(0)),
        ("V2 classic name, 2 sidecars", table().v2_checkpoint_classic(2)),
    ]
}

// Forms.

#[test]
fn every_kind_of_checkpoint_reads_as_its_commits() {
    let expected = all_rows(&table());
    for (kind, table) in every_kind(table) {
        let table = table.delete_before(3);
        assert_eq!(all_rows(&table), expected, "{kind}");
    }
}

#[test]
fn every_kind_of_checkpoint_gives_the_table_its_actions() {
    let by_commits = table();
    let expected = by_commits.snapshot();
    for (kind, table) in every_kind(table) {
        let table = table.delete_before(3);
        let found = table.snapshot();
        assert_eq!(found.version(), 2, "{kind}");
        assert_eq!(found.protocol(), expected.protocol(), "{kind}");
        assert_eq!(found.metadata(), expected.metadata(), "{kind}");
        assert_eq!(found.txn_version("stream").unwrap(), Some(7), "{kind}");
        let domains = found.domain_metadata().unwrap();
        assert_eq!(domains, expected.domain_metadata().unwrap(), "{kind}");
        assert_eq!(domains["domain"], "{}", "{kind}");
    }
}

#[test]
fn partition_values_that_are_there_as_a_struct_alone_are_read_as_text() {
    let table = || {
        TestTable::new().commit([
            protocol(1, 2),
            metadata("id long, p string, n string").partitioned_by(&["p", "n"]),
            add("a").partition("p", Some("x")).partition("n", Some("7")),
            add("b").partition("p", None).partition("n", None),
        ])
    };
    let layout = Layout::default().parsed_partition_values().without("add.partitionValues");
    assert_eq!(all_rows(&table().checkpoint_as(&layout)), all_rows(&table()));
}

#[test]
fn commits_after_every_kind_of_checkpoint_win() {
    for (kind, table) in every_kind(table) {
        let table = table.delete_before(3).commit([remove("b"), add("e")]).commit([
            remove("d").dv(dv(1)),
            add("d").dv(dv(2)),
            add("c").size(44),
        ]);
        let sizes = table.rows(["path", "size"]);
        let row = |path: &str, size: i64| json!({"path": path, "size": size});
        assert_eq!(sizes, [row("c", 44), row("d", 1), row("e", 1)], "{kind}");
    }
}

#[test]
fn a_checkpoint_reads_the_same_in_every_compression() {
    let expected = all_rows(&table());
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4_RAW,
    ] {
        let table =
            table().checkpoint_as(&Layout::default().compression(compression)).delete_before(3);
        assert_eq!(all_rows(&table), expected, "{compression}");
    }
}

#[test]
fn a_column_that_is_missing_is_null() {
    let strip = |rows: Vec<Value>, columns: &[&str]| -> Vec<Value> {
        let null = |mut row: Value| {
            for column in columns {
                row[*column] = Value::Null;
            }
            row
        };
        rows.into_iter().map(null).collect()
    };
    for (missing, columns) in [
        ("add.stats", &["stats", "num_records"][..]),
        ("add.tags", &["tags"]),
        ("add.baseRowId", &["base_row_id"]),
        ("add.defaultRowCommitVersion", &["default_row_commit_version"]),
        ("add.clusteringProvider", &["clustering_provider"]),
        ("add.deletionVector", &["deletion_vector"]),
    ] {
        let table = table().checkpoint_as(&Layout::default().without(missing)).delete_before(3);
        let expected = strip(all_rows(&self::table()), columns);
        assert_eq!(all_rows(&table), expected, "without {missing}");
    }
}

#[test]
fn adds_without_a_column_for_their_paths_are_refused() {
    let layout = Layout::default().without("add.path");
    let table = table().checkpoint_as(&layout).delete_before(3);
    assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[&checkpoint_name(2), "path"]);
}

#[test]
fn a_checkpoint_without_a_column_for_adds_has_none() {
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long")])
        .checkpoint_as(&Layout::default().without("add").without("remove"))
        .delete(0);
    assert_eq!(table.live_files(), [""; 0]);
    assert_eq!(table.commit([add("a")]).live_files(), ["a"]);
}

#[test]
fn strings_may_be_large_or_in_dictionaries() {
    let expected = all_rows(&table());
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    for strings in [DataType::LargeUtf8, DataType::Utf8View, dictionary] {
        let layout = Layout::default().strings(strings.clone());
        let table = table().checkpoint_as(&layout).delete_before(3);
        assert_eq!(all_rows(&table), expected, "{strings}");
    }
}

#[test]
fn tombstones_of_a_checkpoint_are_not_listed() {
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long"), add("a"), add("b"), add("c")])
        .commit([remove("a"), remove("b")]);
    assert_eq!(table.state().removes.len(), 2);
    assert_eq!(table.checkpoint().delete_before(2).live_files(), ["c"]);
}

#[test]
fn a_tombstone_and_an_add_of_one_path_with_other_deletion_vectors_live_together() {
    let features = ["deletionVectors"];
    let table = TestTable::new()
        .commit([protocol_features(&features, &features), metadata("id long"), add("a")])
        .commit([remove("a"), add("a").dv(dv(1))])
        .checkpoint()
        .delete_before(2);
    assert_eq!(table.live_files(), ["a"]);
}

#[test]
fn a_deletion_vector_struct_of_nulls_is_no_deletion_vector() {
    let nulls = json!({
        "storageType": null, "pathOrInlineDv": null, "offset": null, "sizeInBytes": null,
        "cardinality": null,
    });
    let table = TestTable::new()
        .commit([
            protocol(1, 2),
            metadata("id long"),
            add("a").with("deletionVector", nulls),
            add("b"),
        ])
        .checkpoint()
        .delete_before(1);
    let row = |path: &str| json!({"path": path, "deletion_vector": null});
    assert_eq!(table.rows(["path", "deletion_vector"]), [row("a"), row("b")]);
    // And its key is that of a file without one.
    assert_eq!(table.commit([remove("a")]).live_files(), ["b"]);
}

#[test]
fn parts_may_have_different_columns() {
    let layout = Layout::default;
    let parts = [
        layout(),
        layout().reversed(),
        layout().without("remove").without("txn"),
        layout().extra_columns().row_group_rows(1),
        layout().without("add.tags").without("metaData").without("protocol"),
    ];
    // Ten rows: two a part. The fifth part has no tags to lose.
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long")])
        .commit((0..8).map(|n| add(&n.to_string()).size(n)));
    let expected = all_rows(&table);
    let table = table.multi_part_checkpoint_as(&parts).delete_before(2);
    assert_eq!(all_rows(&table), expected);
}

#[test]
fn parts_with_different_types_are_unified_or_refused() {
    let parts = [Layout::default(), Layout::default().size_type(DataType::Int32)];
    let table = table();
    let expected = all_rows(&table);
    let table = table.multi_part_checkpoint_as(&parts).delete_before(3);
    match table.listing().columns(FILE_COLUMNS.iter().copied()).try_rows() {
        Ok(rows) => assert_eq!(rows, expected),
        Err(error) => {
            assert_error(Err::<(), _>(error), ErrorKind::CorruptLog, &["size"]);
        }
    }
}

#[test]
fn a_checkpoint_of_many_row_groups_reads_as_its_commits() {
    let adds: Vec<_> = (0..3_000)
        .map(|n| {
            let stats = format!(r#"{{"numRecords":{n},"nullCount":{{"id":0}}}}"#);
            add(&format!("part-{n:05}")).size(n).stats(&stats)
        })
        .collect();
    let table =
        || TestTable::new().commit([protocol(1, 2), metadata("id long")]).commit(adds.clone());
    let columns = ["path", "size", "num_records", "stats"];
    let expected: Vec<_> = (0..3_000)
        .map(|n| {
            let stats = format!(r#"{{"numRecords":{n},"nullCount":{{"id":0}}}}"#);
            json!({"path": format!("part-{n:05}"), "size": n, "num_records": n, "stats": stats})
        })
        .collect();
    let layout = Layout::default;
    for layout in [
        layout().row_group_rows(500),
        layout().row_group_rows(77).page_rows(10),
        layout().row_group_rows(1_000).no_page_index(),
        layout().page_rows(100),
    ] {
        let table = table().checkpoint_as(&layout).delete_before(2);
        let rows = table.listing().columns(columns).with_few_readers().rows();
        assert!(rows == expected, "{layout:?}");
    }
    let table = table().v2_checkpoint_parquet_as(4, &layout().row_group_rows(100));
    let table = table.delete_before(2).commit([remove("part-00000")]);
    let rows = table.listing().columns(columns).with_few_readers().rows();
    assert!(rows == expected[1..]);
}

// Statistics in a struct.

const STATS_SCHEMA: &str = "l long, i integer, s string, d double, f float, dt date, \
    ts timestamp, dec decimal(10,2), b boolean, p string";

fn stats_texts() -> [&'static str; 4] {
    [
        r#"{"numRecords":10,"tightBounds":true,"minValues":{"l":-5,"i":1,"s":"a\"é","d":-1.5,"f":0.5,"dt":"1969-12-31","ts":"2024-02-29T12:34:56.789Z","dec":-12.34},"maxValues":{"l":9223372036854775807,"i":2,"s":"z","d":1e300,"f":2.25,"dt":"2024-02-29","ts":"2024-02-29T12:34:56.789Z","dec":99999999.99},"nullCount":{"l":0,"i":1,"s":2,"d":0,"f":0,"dt":0,"ts":0,"dec":0,"b":3}}"#,
        r#"{"numRecords":0}"#,
        r#"{"numRecords":4,"minValues":{"l":1},"maxValues":{"l":1,"s":"only max"},"nullCount":{"l":0,"s":4}}"#,
        r#"{"tightBounds":false,"nullCount":{"b":1}}"#,
    ]
}

#[test]
fn parsed_statistics_mean_what_the_text_meant() {
    let adds = stats_texts().into_iter().enumerate();
    let adds: Vec<_> = adds
        .map(|(n, text)| add(&n.to_string()).partition("p", Some("x")).stats(text))
        .chain([add("none").partition("p", Some("x"))])
        .collect();
    let table = || {
        TestTable::new()
            .commit([protocol(1, 2), metadata(STATS_SCHEMA).partitioned_by(&["p"])])
            .commit(adds.clone())
    };
    let columns = ["path", "num_records", "stats"];
    let expected: Vec<_> = table().rows(columns).into_iter().map(normal_row).collect();
    assert_eq!(expected[0]["stats"]["minValues"]["l"], json!(-5.0));
    for layout in [
        Layout::default().stats(StatsForm::Parsed),
        Layout::default().stats(StatsForm::Parsed).row_group_rows(2),
        Layout::default().stats(StatsForm::Parsed).reversed(),
        Layout::default().stats(StatsForm::Both),
    ] {
        let table = table().checkpoint_as(&layout).delete_before(2);
        let found: Vec<_> = table.rows(columns).into_iter().map(normal_row).collect();
        assert_eq!(found, expected, "{layout:?}");
    }
}

#[test]
fn parsed_statistics_of_nested_columns_keep_their_shape() {
    let schema = json!({"type": "struct", "fields": [
        {"name": "a", "nullable": true, "metadata": {}, "type": {"type": "struct", "fields": [
            {"name": "b", "nullable": true, "metadata": {}, "type": {"type": "struct", "fields": [
                {"name": "c", "nullable": true, "metadata": {}, "type": "long"},
            ]}},
            {"name": "quote\"d", "nullable": true, "metadata": {}, "type": "string"},
        ]}},
    ]});
    let text = r#"{"numRecords":2,"minValues":{"a":{"b":{"c":1},"quote\"d":"\u0001\\"}},"maxValues":{"a":{"b":{"c":2},"quote\"d":"x"}},"nullCount":{"a":{"b":{"c":0},"quote\"d":1}}}"#;
    let table = TestTable::new().commit([
        protocol(1, 2),
        metadata("id long").with("schemaString", schema.to_string()),
        add("f").stats(text),
    ]);
    let columns = ["path", "num_records", "stats"];
    let expected: Vec<_> = table.rows(columns).into_iter().map(normal_row).collect();
    let table = table.checkpoint_as(&Layout::default().stats(StatsForm::Parsed)).delete_before(1);
    let found: Vec<_> = table.rows(columns).into_iter().map(normal_row).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_number_of_records_comes_from_either_form_of_statistics() {
    let table = || {
        TestTable::new()
            .commit([protocol(1, 2), metadata("id long")])
            .commit([add("a").stats(r#"{"numRecords":3}"#), add("b")])
    };
    let expected = table().rows(["path", "num_records"]);
    for form in [StatsForm::Json, StatsForm::Parsed, StatsForm::Both] {
        let table = table().checkpoint_as(&Layout::default().stats(form)).delete_before(2);
        assert_eq!(table.rows(["path", "num_records"]), expected, "{form:?}");
        assert_eq!(table.rows(["num_records"]).len(), 2, "{form:?}");
    }
}

/// A row whose `stats` are parsed and brought to one spelling: numbers as f64,
/// times without trailing zeros, nothing that is null or empty.
fn normal_row(mut row: Value) -> Value {
    if let Some(text) = row["stats"].as_str() {
        row["stats"] = normal(serde_json::from_str(text).expect("statistics in JSON"));
    }
    row
}

fn normal(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().expect("a number")),
        Value::String(text) => {
            let time = text.len() > 19 && text.as_bytes()[10] == b'T' && text.contains('.');
            let Some(text) = time.then(|| text.trim_end_matches('Z')) else {
                return Value::String(text);
            };
            text.trim_end_matches('0').into()
        }
        Value::Object(object) => {
            let members = object.into_iter().map(|(key, value)| (key, normal(value)));
            let kept = members.filter(|(_, value)| match value {
                Value::Null => false,
                Value::Object(object) => !object.is_empty(),
                _ => true,
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        other => other,
    }
}

// Broken checkpoint files.

/// A checkpoint of these bytes beside all commits gives the whole answer or an
/// error; alone it gives an error that names it.
#[track_caller]
fn assert_never_partial(name: &str, broken: &[u8], why: &str) {
    let listing = |table: &TestTable| {
        let listing = table.listing().with_few_readers();
        without_hanging(move || listing.try_live_files())
    };
    let beside = table().log_file(name, broken);
    match listing(&beside) {
        Ok(files) => assert_eq!(files, LIVE, "{why}"),
        Err(error) => assert!(error.message().contains(name), "{why}: {error}"),
    }
    let alone = beside.delete_before(3);
    match listing(&alone) {
        Ok(files) => panic!("{why}: {files:?}"),
        Err(error) => {
            assert!(error.message().contains(name), "{why}: {error}");
            assert_eq!(error.kind(), ErrorKind::CorruptLog, "{why}: {error}");
        }
    }
}

fn checkpoint_bytes() -> Vec<u8> {
    let table = table().checkpoint();
    std::fs::read(table.log().join(checkpoint_name(2))).unwrap()
}

#[test]
fn a_checkpoint_that_is_cut_or_garbage_is_never_part_of_an_answer() {
    let name = checkpoint_name(2);
    let whole = checkpoint_bytes();
    for len in [0, 1, 4, 7, 8, 11, 12, 13, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        assert_never_partial(&name, &whole[..len], &format!("cut to {len} bytes"));
    }
    assert_never_partial(&name, b"PAR1PAR1", "two magic numbers");
    assert_never_partial(&name, b"PAR1\0\0\0\0PAR1", "an empty footer");
    assert_never_partial(&name, &vec![0x5a; 4096], "garbage");

    // From the middle: the footer is whole, the pages are gone.
    let mut hollow = whole.clone();
    hollow.drain(100..200);
    assert_never_partial(&name, &hollow, "without 100 bytes of its middle");
}

#[test]
fn a_footer_that_claims_to_be_huge_is_refused() {
    let whole = checkpoint_bytes();
    for len in [0x7fff_ffff_u32, 0xffff_ffff, 0x8000_0000, 0, 1] {
        let mut broken = whole.clone();
        let at = broken.len() - 8;
        broken[at..at + 4].copy_from_slice(&len.to_le_bytes());
        assert_never_partial(&checkpoint_name(2), &broken, &format!("footer of {len} bytes"));
    }
}

#[test]
fn a_broken_part_of_a_multi_part_checkpoint_is_never_part_of_an_answer() {
    for part in 1..=2 {
        let table = table().multi_part_checkpoint(2).delete_before(3);
        let name = table.part_name(2, part, 2);
        let table = table.log_file(&name, b"garbage");
        let result = table.try_live_files();
        assert_error(result, ErrorKind::CorruptLog, &[&name]);
    }
}

#[test]
fn a_broken_json_checkpoint_is_never_part_of_an_answer() {
    let table = table().v2_checkpoint_json(0).delete_before(3);
    let name = table.log_names("checkpoint").remove(0);
    let whole = std::fs::read(table.log().join(&name)).unwrap();
    let table = table.log_file(&name, &whole[..whole.len() - 9]);
    assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[&name]);
    // Whole lines are missing: protocol and metaData with them.
    let table = table.log_file(&name, b"");
    assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[]);
}

/// With the counts of the hint at hand, a flipped bit may change a value but
/// not the number of files, and it never panics or hangs.
#[test]
fn flipped_bits_do_not_crash_or_lose_files() {
    const FLIPS: u64 = 1_500;
    let whole = checkpoint_bytes();
    let state = table().state();
    let rows = state.table_actions().len() + state.file_actions().len();
    let hint = format!(r#"{{"version":2,"size":{rows},"numOfAddFiles":{}}}"#, state.adds.len());
    let table = table().checkpoint().last_checkpoint(&hint).delete_before(3);
    assert_eq!(table.live_files(), LIVE);

    let mut numbers = Numbers::from_seed(52);
    let mut flips: VecDeque<_> = (0..FLIPS)
        .map(|_| (numbers.below(whole.len() as u64) as usize, numbers.below(8)))
        .collect();
    let mut wrong = Vec::new();
    let mut hanging = 0;
    while !flips.is_empty() && hanging < 3 {
        // One thread goes on until it is done or hangs; then another takes over.
        let (reader, whole) = (table.listing(), whole.clone());
        let path = table.log().join(checkpoint_name(2));
        let todo = flips.clone();
        let (done, results) = mpsc::channel();
        std::thread::spawn(move || {
            for (byte, bit) in todo {
                let mut broken = whole.clone();
                broken[byte] ^= 1 << bit;
                std::fs::write(&path, &broken).unwrap();
                let listed = catch_unwind(|| reader.try_live_files_serially());
                if done.send(listed.map_err(drop)).is_err() {
                    return;
                }
            }
        });
        while let Some((byte, bit)) = flips.pop_front() {
            match results.recv_timeout(Duration::from_secs(20)) {
                Ok(Ok(Err(_))) => {}
                Ok(Ok(Ok(files))) if files.len() == LIVE.len() => {}
                Ok(Ok(Ok(files))) => {
                    wrong.push(format!("bit {bit} of byte {byte} gives {files:?}"));
                }
                Ok(Err(())) => wrong.push(format!("bit {bit} of byte {byte} panics")),
                Err(_) => {
                    wrong.push(format!("bit {bit} of byte {byte} hangs"));
                    hanging += 1;
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_checkpoint_with_fewer_rows_than_its_hint_says_is_refused() {
    let state = table().state();
    let (rows, adds) = (state.table_actions().len() + state.file_actions().len(), state.adds.len());
    let hint = |rows: usize, adds: usize| {
        format!(r#"{{"version":2,"size":{rows},"numOfAddFiles":{adds}}}"#)
    };
    let table = || table().checkpoint().delete_before(3);
    assert_eq!(table().last_checkpoint(&hint(rows, adds)).live_files(), LIVE);

    for wrong in [hint(rows + 1, adds), hint(rows, adds + 1), hint(rows + 1, adds + 1)] {
        let result = table().last_checkpoint(&wrong).try_live_files();
        assert_error(result, ErrorKind::CorruptLog, &[&checkpoint_name(2)]);
    }
    // A hint to another checkpoint says nothing of this one.
    let older = r#"{"version":1,"size":99,"numOfAddFiles":98}"#;
    assert_eq!(table().last_checkpoint(older).live_files(), LIVE);
}

#[test]
fn a_checkpoint_without_protocol_or_metadata_is_refused() {
    let table = || TestTable::new().commit([protocol(1, 2), metadata("id long"), add("a")]);
    let whole = [protocol(1, 2), metadata("id long"), add("a")];
    let read = |actions: Vec<Action>| {
        table().checkpoint_of(actions, &Layout::default()).delete(0).try_live_files()
    };
    assert_eq!(read(whole.to_vec()).unwrap(), ["a"]);
    assert_error(read(whole[1..].to_vec()), ErrorKind::CorruptLog, &["protocol"]);
    assert_error(
        read(vec![whole[0].clone(), whole[2].clone()]),
        ErrorKind::CorruptLog,
        &["metaData"],
    );
}

#[test]
fn a_checkpoint_with_a_path_that_climbs_out_of_the_table_is_refused() {
    for path in ["../a", "%2e%2e/a", ""] {
        let table = TestTable::new()
            .commit([protocol(1, 2), metadata("id long")])
            .checkpoint_of([protocol(1, 2), metadata("id long"), add(path)], &Layout::default());
        let result = table.delete(0).try_live_files();
        assert_error(result, ErrorKind::CorruptLog, &[&checkpoint_name(0)]);
    }
}

#[test]
fn a_negative_size_in_a_checkpoint_is_refused() {
    let table = TestTable::new().commit([protocol(1, 2), metadata("id long")]).checkpoint_of(
        [protocol(1, 2), metadata("id long"), add("a").size(-5)],
        &Layout::default(),
    );
    let result = table.delete(0).try_live_files();
    assert_error(result, ErrorKind::CorruptLog, &[&checkpoint_name(0), "-5"]);
}

// Sidecars.

/// A V2 checkpoint in JSON of version 0, put together by hand.
fn by_hand(
    prepare: impl FnOnce(TestTable) -> (TestTable, Vec<Action>),
) -> Result<Vec<String>, Error> {
    let features = ["v2Checkpoint"];
    let table_actions = [protocol_features(&features, &features), metadata("id long")];
    let (table, more) = prepare(TestTable::new().commit(table_actions.clone()));
    let mut actions = vec![checkpoint_metadata(0)];
    actions.extend(table_actions);
    actions.extend(more);
    table.v2_checkpoint_json_of(actions).delete(0).try_live_files()
}

#[test]
fn a_sidecar_is_named_by_its_file_name() {
    let files = by_hand(|table| {
        let (table, size) = table.sidecar_file("s.parquet", [add("a"), add("b")]);
        (table, vec![sidecar("s.parquet", size)])
    });
    assert_eq!(files.unwrap(), ["a", "b"]);

    // The name is URI-encoded.
    let files = by_hand(|table| {
        let (table, size) = table.sidecar_file("s 1%.parquet", [add("a")]);
        (table, vec![sidecar("s%201%25.parquet", size)])
    });
    assert_eq!(files.unwrap(), ["a"]);
}

#[test]
fn a_sidecar_that_is_missing_is_an_error_that_names_it() {
    let files = by_hand(|table| (table, vec![sidecar("gone.parquet", 1_000)]));
    let error = files.expect_err("a missing sidecar");
    assert!(error.message().contains("gone.parquet"), "{error}");

    let files = by_hand(|table| {
        let (table, size) = table.sidecar_file("here.parquet", [add("a")]);
        (table, vec![sidecar("here.parquet", size), sidecar("gone.parquet", size)])
    });
    let error = files.expect_err("a missing sidecar");
    assert!(error.message().contains("gone.parquet"), "{error}");
}

#[test]
fn a_snapshot_can_be_built_although_a_sidecar_is_missing() {
    let table = table().v2_checkpoint_json(2).delete_before(3);
    let sidecar = std::fs::read_dir(table.log().join("_sidecars")).unwrap().next().unwrap();
    std::fs::remove_file(sidecar.unwrap().path()).unwrap();
    let snapshot = table.snapshot();
    assert_eq!(snapshot.version(), 2);
    let listed: Result<Vec<_>, _> = snapshot.scan().files().and_then(|stream| stream.collect());
    assert!(listed.is_err());
}

/// Writers are known to state a stale size; what counts is that the file reads
/// whole.
#[test]
fn a_sidecar_of_another_size_than_stated_is_read_if_it_is_whole() {
    for wrong in [-1_i64, 1, 1_000] {
        let files = by_hand(|table| {
            let (table, size) = table.sidecar_file("s.parquet", [add("a")]);
            (table, vec![sidecar("s.parquet", size.checked_add_signed(wrong).unwrap())])
        });
        assert_eq!(files.unwrap(), ["a"]);
    }
}

#[test]
fn a_sidecar_outside_of_its_directory_is_refused() {
    for path in [
        "../s.parquet",
        "../_sidecars/s.parquet",
        "%2e%2e/s.parquet",
        "..%2fs.parquet",
        r"..\s.parquet",
        "sub/../../s.parquet",
        "/etc/passwd",
        "file:///etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "s3://bucket/s.parquet",
        "",
        ".",
        "..",
        "s\0.parquet",
    ] {
        let files = by_hand(|table| {
            let (table, size) = table.sidecar_file("s.parquet", [add("a")]);
            let layout = Layout::default();
            let (table, _) = table.parquet_file("_delta_log/s.parquet", [add("a")], &layout);
            (table, vec![sidecar(path, size)])
        });
        assert_error(files, ErrorKind::CorruptLog, &["00000.checkpoint.", "_sidecars"]);
    }
}

#[test]
fn adds_in_the_checkpoint_and_in_its_sidecars_are_refused() {
    let files = by_hand(|table| {
        let (table, size) = table.sidecar_file("s.parquet", [add("a")]);
        (table, vec![add("b"), sidecar("s.parquet", size)])
    });
    assert_error(files, ErrorKind::CorruptLog, &["sidecar"]);
    // Without a sidecar they may be there.
    assert_eq!(by_hand(|table| (table, vec![add("b")])).unwrap(), ["b"]);
}

#[test]
fn a_sidecar_named_twice_does_not_give_its_files_twice() {
    let files = by_hand(|table| {
        let (table, size) = table.sidecar_file("s.parquet", [add("a")]);
        (table, vec![sidecar("s.parquet", size), sidecar("s.parquet", size)])
    });
    match files {
        Ok(files) => assert_eq!(files, ["a"]),
        Err(error) => {
            assert_error(Err::<(), _>(error), ErrorKind::CorruptLog, &["s.parquet"]);
        }
    }
}

#[test]
fn a_uuid_named_checkpoint_is_found_without_a_hint() {
    for sidecars in [0, 2] {
        let json = table().v2_checkpoint_json(sidecars).delete_before(3);
        assert_eq!(json.live_files(), LIVE);
        let parquet = table().v2_checkpoint_parquet(sidecars).delete_before(3);
        assert_eq!(parquet.live_files(), LIVE);
    }
}

#[test]
fn a_big_json_checkpoint_reads_as_its_commits() {
    let padding = "é".repeat(200);
    let features = ["v2Checkpoint"];
    let adds = (0..20_000).map(|n| {
        add(&format!("part-{n:05}")).stats(&format!(r#"{{"numRecords":{n},"x":"{padding}"}}"#))
    });
    let table = TestTable::new()
        .commit([protocol_features(&features, &features), metadata("id long")])
        .commit(adds)
        .v2_checkpoint_json(0)
        .delete_before(2)
        .commit([remove("part-00000")]);
    let listing = table.listing().columns(["path", "num_records"]).with_few_readers();
    let rows = listing.rows();
    assert_eq!(rows.len(), 19_999);
    for (n, row) in (1..).zip(rows) {
        assert_eq!(row, json!({"path": format!("part-{n:05}"), "num_records": n}));
    }
}
