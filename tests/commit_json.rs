//! What the lines of a commit may and may not be.
mod common;

use common::*;
use delta_engine::ErrorKind;
use serde_json::{Value, json};

fn table() -> TestTable {
    TestTable::new().commit([protocol(1, 2), metadata("id long"), add("a")])
}

/// [`table`] with a second commit of these bytes.
fn with_commit(bytes: impl AsRef<[u8]>) -> TestTable {
    table().commit_bytes(1, bytes.as_ref())
}

/// [`table`] with a second commit of `commitInfo` and this action.
fn with_action(action: Action) -> TestTable {
    table().commit([commit_info(), action])
}

fn line(action: Action) -> String {
    String::from_utf8(action.line()).unwrap()
}

// Lines.

#[test]
fn a_commit_cut_anywhere_in_its_last_line_is_an_error() {
    let first = line(add("b")) + "\n";
    let last = line(remove("a"));
    assert_eq!(with_commit(format!("{first}{last}")).live_files(), ["b"]);
    assert_eq!(with_commit(&first).live_files(), ["a", "b"]);
    for cut in 1..last.len() {
        let table = with_commit(format!("{first}{}", &last[..cut]));
        let result = table.listing().try_live_files_serially();
        assert_corrupt_line(result, 1, 2);
    }
    let half = with_commit(format!("{first}{}", &last[..last.len() / 2]));
    assert_corrupt_line(half.try_live_files(), 1, 2);
}

#[test]
fn a_commit_without_bytes_has_no_actions() {
    assert_eq!(with_commit("").live_files(), ["a"]);
    assert_eq!(with_commit("").commit([add("b")]).live_files(), ["a", "b"]);
}

#[test]
fn a_line_that_is_no_action_is_named() {
    for garbage in [
        "garbage",
        "{",
        "{}}",
        "[]",
        "1",
        "null",
        "\"add\"",
        "{\"add\"}",
        "{'add':{}}",
        "{\"add\":{\"path\":\"b\",}}",
        "\0",
        "{\"commitInfo\":{}}x",
        "{\"commitInfo\":{}} {\"commitInfo\":{}}",
    ] {
        let bytes =
            format!("{}\n{}\n{garbage}\n{}\n", line(commit_info()), line(add("b")), line(add("c")));
        assert_corrupt_line(with_commit(bytes).try_live_files(), 1, 3);
    }
}

#[test]
fn an_add_that_is_no_object_is_refused() {
    for bad in ["{\"add\":1}", "{\"add\":[]}", "{\"add\":\"b\"}", "{\"remove\":true}"] {
        assert_corrupt_line(with_action(raw_line(bad)).try_live_files(), 1, 2);
    }
}

#[test]
fn line_ends_of_any_kind_are_accepted() {
    let (b, info) = (line(add("b")), line(commit_info()));
    for bytes in [
        format!("{info}\n{b}\n"),
        format!("{info}\n{b}"),
        format!("{info}\r\n{b}\r\n"),
        format!("\n\n{info}\n\n{b}\n\n\n"),
        format!("\r\n{info}\r\n \t\r\n{b}\r\n"),
        format!("  {info}  \n\t{b} "),
    ] {
        assert_eq!(with_commit(&bytes).live_files(), ["a", "b"], "{bytes:?}");
    }
    for bytes in ["\n", "\r\n\r\n", " \n\t\n"] {
        assert_eq!(with_commit(bytes).live_files(), ["a"], "{bytes:?}");
    }
}

#[test]
fn blank_lines_count_when_a_line_is_named() {
    let bytes = format!("\n{}\n\nbroken\n", line(commit_info()));
    assert_corrupt_line(with_commit(bytes).try_live_files(), 1, 4);
}

#[test]
fn a_byte_order_mark_is_an_error_never_a_shorter_commit() {
    let bytes = format!("\u{feff}{}\n{}\n", line(add("b")), line(add("c")));
    assert_corrupt_line(with_commit(bytes).try_live_files(), 1, 1);
}

#[test]
fn bytes_that_are_no_utf_8_are_an_error() {
    let b = line(add("b@"));
    let mut bytes = format!("{}\n{b}\n", line(commit_info())).into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'@').unwrap();
    for bad in [0xff, 0xc0, 0x80] {
        bytes[at] = bad;
        assert_corrupt_line(with_commit(&bytes).try_live_files(), 1, 2);
    }
}

#[test]
fn bytes_that_are_no_utf_8_are_an_error_in_an_action_that_is_not_needed_too() {
    let mut bytes = b"{\"commitInfo\":{\"operation\":\"@\"}}\n".to_vec();
    let at = bytes.iter().position(|byte| *byte == b'@').unwrap();
    bytes[at] = 0xff;
    assert_corrupt_line(with_commit(&bytes).try_live_files(), 1, 1);
}

#[test]
fn an_unknown_action_is_ignored_however_deep_or_wide_it_is() {
    let deep = format!("{{\"future\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let objects = format!("{{\"future\":{}1{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    let keys: Vec<_> = (0..100_000).map(|n| format!("\"k{n}\":{{}}")).collect();
    let wide = format!("{{\"future\":{{{}}}}}", keys.join(","));
    for action in [deep, objects, wide] {
        let table = table().commit([raw_line(action), add("b")]);
        let listing = table.listing().with_few_readers();
        assert_eq!(without_hanging(move || listing.live_files()), ["a", "b"]);
    }
}

#[test]
fn an_unknown_field_is_ignored_however_deep_it_is() {
    let (open, close) = ("[".repeat(200_000), "]".repeat(200_000));
    let add_b = line(add("b"));
    let deep = format!("{},\"future\":{open}{close}}}}}", &add_b[..add_b.len() - 2]);
    let info = format!("{{\"commitInfo\":{{\"future\":{open}{close}}}}}");
    let table = table().commit([raw_line(info), raw_line(deep)]);
    let listing = table.listing().with_few_readers();
    match without_hanging(move || listing.try_live_files()) {
        Ok(files) => assert_eq!(files, ["a", "b"]),
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::LimitExceeded | ErrorKind::CorruptLog),
            "{error}"
        ),
    }
}

#[test]
fn nesting_that_is_not_closed_is_an_error() {
    for open in ["[", "{\"a\":"] {
        let bad = format!("{{\"future\":{}", open.repeat(200_000));
        let listing = with_action(raw_line(bad));
        let result = without_hanging(move || listing.listing().with_few_readers().try_live_files());
        assert!(result.is_err(), "{result:?}");
    }
}

#[test]
fn unknown_actions_and_fields_are_ignored() {
    let table = table().commit([
        raw_line(r#"{"actionOfTheFuture":{"add":{"path":"x"}}}"#),
        raw_line(r#"{"futureNumber":1}"#),
        raw_line("{}"),
        add("b").with("fieldOfTheFuture", json!({"path": "x", "size": [1]})),
    ]);
    assert_eq!(table.live_files(), ["a", "b"]);
}

#[test]
fn a_line_with_two_actions_is_refused() {
    let (b, a) = (json!(body_of(add("b"))), json!(body_of(remove("a"))));
    for two in [
        json!({"add": b, "remove": a}),
        json!({"remove": a, "add": b}),
        json!({"add": b, "commitInfo": {}}),
        json!({"txn": {"appId": "x", "version": 1}, "add": b}),
    ] {
        let table = with_action(raw_line(two.to_string()));
        assert_corrupt_line(table.try_live_files(), 1, 2);
    }
}

#[test]
fn keys_that_are_null_beside_an_action_are_tolerated() {
    let (b, a) = (json!(body_of(add("b"))), json!(body_of(remove("a"))));
    let table = table().commit([
        raw_line(json!({"add": b, "remove": null, "txn": null}).to_string()),
        raw_line(json!({"add": null, "remove": a}).to_string()),
        raw_line(json!({"commitInfo": null, "protocol": null}).to_string()),
    ]);
    assert_eq!(table.live_files(), ["b"]);
}

#[test]
fn a_key_of_the_future_beside_an_action_is_ignored() {
    let b = json!(body_of(add("b")));
    let table = table().commit([
        raw_line(json!({"add": b, "actionOfTheFuture": ["a", 1]}).to_string()),
        raw_line(json!({"actionOfTheFuture": {}, "remove": {"path": "a"}}).to_string()),
    ]);
    assert_eq!(table.live_files(), ["b"]);
}

#[test]
fn the_same_action_twice_on_one_line_is_refused() {
    let b = body_of(add("b")).to_string();
    let c = body_of(add("c")).to_string();
    let table = with_action(raw_line(format!(r#"{{"add":{b},"add":{c}}}"#)));
    assert_corrupt_line(table.try_live_files(), 1, 2);
}

fn body_of(action: Action) -> Value {
    match action {
        Action::Known { body, .. } => Value::Object(body),
        Action::Raw(_) => unreachable!("a known action"),
    }
}

// Fields of an add.

#[test]
fn a_number_that_does_not_fit_is_refused() {
    for size in [
        "9223372036854775808",
        "-9223372036854775809",
        "1e400",
        "99999999999999999999999999",
        "12.5",
        "-5",
        "\"1\"",
        "true",
        "[]",
    ] {
        let text = line(add("b").size(77)).replace("77", size);
        assert_corrupt_line(with_action(raw_line(text)).try_live_files(), 1, 2);
    }
}

#[test]
fn the_smallest_and_the_biggest_size_are_accepted() {
    let table = table().commit([add("b").size(0), add("c").size(i64::MAX)]);
    assert_eq!(
        table.rows(["path", "size"])[1..],
        [json!({"path": "b", "size": 0}), json!({"path": "c", "size": i64::MAX})]
    );
}

#[test]
fn a_key_given_twice_is_refused() {
    for (once, twice) in [
        (r#""path":"b""#, r#""path":"b","path":"c""#),
        (r#""path":"b""#, r#""path":"b","path":"b""#),
        (r#""size":1"#, r#""size":1,"size":2"#),
        // The same key, spelt with an escape.
        (r#""path":"b""#, r#""path":"b","p\u0061th":"c""#),
    ] {
        let text = line(add("b"));
        assert!(text.contains(once));
        let table = with_action(raw_line(text.replace(once, twice)));
        assert_corrupt_line(table.try_live_files(), 1, 2);
    }
}

#[test]
fn keys_may_be_spelt_with_escapes() {
    let text =
        line(add("b")).replace("\"path\"", "\"p\\u0061th\"").replace("\"add\"", "\"\\u0061dd\"");
    assert_eq!(with_action(raw_line(text)).live_files(), ["a", "b"]);
}

#[test]
fn fields_may_come_in_any_order() {
    let features = ["deletionVectors"];
    let full = add("b")
        .dv(dv(1))
        .stats(r#"{"numRecords":2}"#)
        .tags(&[("\"quoted\"", "\\")])
        .partition("\"", Some("\""))
        .clustering_provider("\\x");
    let Action::Known { body, .. } = full else { unreachable!() };
    let fields: Vec<_> = body.into_iter().collect();
    for start in 0..fields.len() {
        for reversed in [false, true] {
            let mut order = fields.clone();
            order.rotate_left(start);
            if reversed {
                order.reverse();
            }
            let add = json!({"add": Value::Object(order.into_iter().collect())});
            let table = TestTable::new().commit([
                protocol_features(&features, &features),
                metadata("id long"),
                raw_line(add.to_string()),
            ]);
            assert_eq!(
                table.rows(["path", "num_records", "tags", "clustering_provider"]),
                [json!({
                    "path": "b", "num_records": 2, "tags": {"\"quoted\"": "\\"},
                    "clustering_provider": "\\x",
                })],
                "{add}"
            );
        }
    }
}

#[test]
fn escapes_in_a_path_are_characters() {
    let text = line(add("b@")).replace('@', r"\u00e9\ud83e\udd80\/\n");
    assert_eq!(with_action(raw_line(text)).live_files(), ["a", "bé🦀/\n"]);
    // Half a surrogate pair is no character.
    let text = line(add("b@")).replace('@', r"\ud83e");
    assert_corrupt_line(with_action(raw_line(text)).try_live_files(), 1, 2);
}

#[test]
fn an_add_or_a_remove_without_a_path_is_refused() {
    for action in [
        add("b").with("path", Value::Null),
        add("b").without("path"),
        add("b").with("path", 5),
        remove("a").with("path", Value::Null),
        remove("a").without("path"),
    ] {
        assert_corrupt_line(with_action(action).try_live_files(), 1, 2);
    }
}

#[test]
fn the_oldest_removes_have_little_more_than_a_path() {
    let table = table().commit([raw_line(r#"{"remove":{"path":"a"}}"#), add("b")]);
    assert_eq!(table.live_files(), ["b"]);
}

#[test]
fn fields_that_are_null_are_absent() {
    let table = table().commit([add("b")
        .with("stats", Value::Null)
        .with("tags", Value::Null)
        .with("deletionVector", Value::Null)
        .with("baseRowId", Value::Null)]);
    assert_eq!(
        table.rows(["path", "stats", "tags", "deletion_vector", "base_row_id"])[1],
        json!({
            "path": "b", "stats": null, "tags": null, "deletion_vector": null, "base_row_id": null,
        })
    );
}

#[test]
fn a_deletion_vector_that_lacks_what_it_needs_is_refused() {
    let features = ["deletionVectors"];
    for field in ["storageType", "pathOrInlineDv"] {
        let mut descriptor = dv(1);
        descriptor.as_object_mut().unwrap().remove(field);
        let table = table()
            .commit([protocol_features(&features, &features)])
            .commit([commit_info(), add("b").dv(descriptor)]);
        assert_corrupt_line(table.try_live_files(), 2, 2);
    }
}

#[test]
fn statistics_are_the_text_of_the_log() {
    let text = r#"{ "numRecords" : 1 , "minValues":{"x":"é \"quoted\"\n"}, "x": 1.0 }"#;
    let table = table().commit([add("b").stats(text)]);
    assert_eq!(table.rows(["path", "stats"])[1], json!({"path": "b", "stats": text}));
}

// Protocol and metadata.

#[test]
fn a_reader_version_or_feature_that_is_unknown_is_named() {
    let table = table().commit([protocol(99, 5)]);
    assert_error(table.try_live_files(), ErrorKind::Unsupported, &["99"]);

    let features = ["deletionVectors", "featureOfTheFuture"];
    let table =
        TestTable::new().commit([protocol_features(&features, &features), metadata("id long")]);
    assert_error(table.try_live_files(), ErrorKind::Unsupported, &["featureOfTheFuture"]);
}

#[test]
fn a_writer_feature_that_is_unknown_does_not_concern_a_reader() {
    let table = TestTable::new().commit([
        protocol_features(&["deletionVectors"], &["deletionVectors", "featureOfTheFuture"]),
        metadata("id long"),
        add("a"),
    ]);
    assert_eq!(table.live_files(), ["a"]);
}

#[test]
fn reader_features_stand_exactly_at_reader_version_3() {
    let broken = [
        protocol(3, 7).with("writerFeatures", json!([])),
        protocol(1, 2).with("readerFeatures", json!(["deletionVectors"])),
        protocol(2, 7)
            .with("readerFeatures", json!(["columnMapping"]))
            .with("writerFeatures", json!(["columnMapping"])),
    ];
    for protocol in broken {
        let table = TestTable::new().commit([protocol, metadata("id long"), add("a")]);
        assert_error(table.try_live_files(), ErrorKind::CorruptLog, &["readerFeatures"]);
    }
    let table =
        TestTable::new().commit([protocol_features(&[], &[]), metadata("id long"), add("a")]);
    assert_eq!(table.live_files(), ["a"]);
}

#[test]
fn two_protocols_or_two_metadata_in_one_commit_are_refused() {
    for (name, twice) in [("protocol", protocol(1, 2)), ("metaData", metadata("id long"))] {
        let table = table().commit([commit_info(), twice.clone(), twice]);
        assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[&commit_name(1), name]);
    }
}

#[test]
fn a_schema_that_cannot_be_one_is_refused() {
    let repeated =
        |one: &str, two: &str| flat_schema(&format!("{one} long, {two} string")).to_string();
    let open = r#"{"type":"struct","fields":[{"name":"x","nullable":true,"metadata":{},"type":"#;
    let nested = format!("{}\"long\"{}", open.repeat(10_000), "}]}".repeat(10_000));
    for schema in
        [repeated("id", "id"), repeated("id", "ID"), nested, "{".to_owned(), String::new()]
    {
        let table = TestTable::new().commit([
            protocol(1, 2),
            metadata("id long").with("schemaString", schema.clone()),
            add("a"),
        ]);
        let result = without_hanging(move || table.listing().with_few_readers().try_live_files());
        let error = result.expect_err("a schema that cannot be one");
        assert!(
            matches!(error.kind(), ErrorKind::CorruptLog | ErrorKind::LimitExceeded),
            "{} gives {error}",
            &schema[..schema.len().min(100)]
        );
    }
}

#[test]
fn a_schema_of_many_columns_is_read() {
    let columns: Vec<_> = (0..5_000).map(|n| format!("column_{n} long")).collect();
    let table = TestTable::new().commit([protocol(1, 2), metadata(&columns.join(", ")), add("a")]);
    assert_eq!(table.live_files(), ["a"]);
    assert_eq!(table.snapshot().arrow_schema().fields().len(), 5_000);
}

#[test]
fn metadata_gives_what_the_log_says() {
    let table = TestTable::new().commit([
        protocol(1, 2),
        metadata("id long, p string")
            .partitioned_by(&["p"])
            .property("delta.appendOnly", "true")
            .with("name", "a name")
            .with("description", "a description"),
    ]);
    let snapshot = table.snapshot();
    let found = snapshot.metadata();
    assert_eq!(found.id, "11111111-2222-3333-4444-555555555555");
    assert_eq!(found.name.as_deref(), Some("a name"));
    assert_eq!(found.description.as_deref(), Some("a description"));
    assert_eq!(found.partition_columns, ["p"]);
    assert_eq!(found.created_time, Some(1_700_000_000_000));
    assert_eq!(found.configuration["delta.appendOnly"], "true");
    assert_eq!(found.schema_string, flat_schema("id long, p string").to_string());

    // And from a checkpoint.
    assert_eq!(table.checkpoint().delete(0).snapshot().metadata(), found);
}

#[test]
fn a_line_beyond_the_limit_is_an_error_in_bounded_memory() {
    use std::io::Write;
    let table = table();
    let mut file = std::fs::File::create(table.log().join(commit_name(1))).unwrap();
    let chunk = vec![b'x'; 1 << 20];
    file.write_all(b"{\"commitInfo\":{\"text\":\"").unwrap();
    for _ in 0..70 {
        file.write_all(&chunk).unwrap();
    }
    file.write_all(b"\"}}\n").unwrap();
    drop(file);
    let result = table.listing().try_live_files_serially();
    assert_error(result, ErrorKind::LimitExceeded, &[&commit_name(1)]);
}
