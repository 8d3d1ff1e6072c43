//! Which files of `_delta_log` make up a version.
mod common;

use common::*;
use delta_engine::{Error, ErrorKind, Snapshot};
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::sync::Arc;

/// Versions 0 to 4; version `n` adds `n`.
fn five_commits() -> TestTable {
    let mut table =
        TestTable::new().commit([protocol(1, 2), metadata("id long"), add("0"), commit_info()]);
    for n in 1..5 {
        table = table.commit([commit_info(), add(&n.to_string())]);
    }
    table
}

/// The same, with checkpoints at versions 1 and 3.
fn five_commits_and_two_checkpoints() -> TestTable {
    TestTable::new()
        .commit([protocol(1, 2), metadata("id long"), add("0")])
        .commit([add("1")])
        .checkpoint()
        .commit([add("2")])
        .commit([add("3")])
        .checkpoint()
        .commit([add("4")])
}

const ALL: [&str; 5] = ["0", "1", "2", "3", "4"];

// Gaps.

#[test]
fn a_missing_commit_is_an_error_that_names_its_version() {
    assert_eq!(five_commits().live_files(), ALL);
    for missing in 1..4 {
        let table = five_commits().delete(missing);
        let result = table.try_live_files();
        assert_error(result, ErrorKind::CorruptLog, &[&missing.to_string()]);
    }
}

#[test]
fn a_missing_commit_matters_only_after_the_checkpoint() {
    let table = five_commits_and_two_checkpoints;
    assert_eq!(table().delete(2).live_files(), ALL);
    assert_eq!(table().delete(0).delete(3).live_files(), ALL);
    let newest = table().commit([add("5")]).delete(4);
    assert_error(newest.try_live_files(), ErrorKind::CorruptLog, &["4"]);
}

#[test]
fn a_log_may_begin_at_its_checkpoint() {
    let table = five_commits_and_two_checkpoints().delete_before(3);
    assert_eq!(table.live_files(), ALL);
    let table = table.delete(3);
    assert_eq!(table.live_files(), ALL);
    assert_eq!(table.live_files_at(3), ["0", "1", "2", "3"]);
    // A checkpoint alone is a version.
    assert_eq!(table.delete(4).live_files(), ["0", "1", "2", "3"]);
}

#[test]
fn a_log_that_begins_in_the_middle_without_a_checkpoint_is_refused() {
    let table =
        five_commits().commit([protocol(1, 2), metadata("id long"), add("5")]).commit([add("6")]);
    assert_eq!(table.live_files().len(), 7);
    for first in 1..=5 {
        let table = five_commits()
            .commit([protocol(1, 2), metadata("id long"), add("5")])
            .commit([add("6")])
            .delete_before(first);
        assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[]);
        assert_error(table.listing().at(6).try_live_files(), ErrorKind::CorruptLog, &[]);
    }
}

#[test]
fn a_directory_without_a_log_is_no_table() {
    let table = TestTable::new();
    assert_error(table.try_live_files(), ErrorKind::NotFound, &[]);
    fs::remove_dir(table.log()).unwrap();
    assert_error(table.try_live_files(), ErrorKind::NotFound, &[]);
    fs::remove_dir(table.root()).unwrap();
    assert_error(table.try_live_files(), ErrorKind::NotFound, &[]);
}

#[test]
fn a_log_without_protocol_or_metadata_is_refused() {
    let table = TestTable::new().commit([metadata("id long"), add("a")]);
    assert_error(table.try_snapshot().map(|_| ()), ErrorKind::CorruptLog, &["protocol"]);
    let table = TestTable::new().commit([protocol(1, 2), add("a")]);
    assert_error(table.try_snapshot().map(|_| ()), ErrorKind::CorruptLog, &["metaData"]);
    // Later commits may bring them.
    let table = TestTable::new().commit([protocol(1, 2), add("a")]).commit([metadata("id long")]);
    assert_eq!(table.live_files(), ["a"]);
}

// Time travel.

#[test]
fn a_version_that_is_not_there_is_not_found() {
    let table = five_commits();
    for version in [5, 99, u64::MAX - 1, u64::MAX] {
        let result = table.listing().at(version).try_live_files();
        assert_error(result, ErrorKind::NotFound, &[&version.to_string()]);
    }
}

#[test]
fn a_version_before_the_oldest_checkpoint_is_out_of_reach() {
    let table = five_commits_and_two_checkpoints().delete_before(2);
    assert_eq!(table.live_files_at(1), ["0", "1"]);
    assert_eq!(table.live_files_at(2), ["0", "1", "2"]);
    let result = table.listing().at(0).try_live_files();
    assert!(result.is_err(), "{result:?}");
}

#[test]
fn a_checkpoint_newer_than_the_wanted_version_is_not_read() {
    let table = five_commits()
        .log_file(&checkpoint_name(3), b"not a checkpoint")
        .last_checkpoint(r#"{"version":3,"size":9}"#);
    for version in 0..3 {
        let expected: Vec<_> = (0..=version).map(|n| n.to_string()).collect();
        assert_eq!(table.live_files_at(version), expected);
    }
}

// The hint.

#[test]
fn a_hint_that_says_nothing_is_ignored() {
    for hint in [
        "",
        " ",
        "null",
        "[]",
        "{}",
        "not json",
        r#"{"version":"#,
        r#"{"version":-1,"size":1}"#,
        r#"{"version":"3","size":1}"#,
        r#"{"version":1.5,"size":1}"#,
        r#"{"version":99999999999999999999999,"size":1}"#,
        r#"{"version":18446744073709551615,"size":1}"#,
        "\u{feff}{}",
    ] {
        assert_eq!(five_commits().last_checkpoint(hint).live_files(), ALL, "{hint:?}");
        let table = five_commits_and_two_checkpoints().last_checkpoint(hint).delete_before(4);
        assert_eq!(table.live_files(), ALL, "{hint:?}");
    }
    let table = five_commits().log_file("_last_checkpoint", b"\xff\xfe");
    assert_eq!(table.live_files(), ALL);
}

#[test]
fn a_hint_is_only_a_pointer() {
    // To a checkpoint that was deleted, to one of the future, to a part too many.
    for hint in [
        r#"{"version":2,"size":3}"#,
        r#"{"version":77,"size":3}"#,
        r#"{"version":2,"size":3,"parts":4}"#,
    ] {
        assert_eq!(five_commits().last_checkpoint(hint).live_files(), ALL, "{hint}");
        let table = five_commits_and_two_checkpoints().last_checkpoint(hint).delete_before(3);
        assert_eq!(table.live_files(), ALL, "{hint}");
        // The other side: nothing complete to start from.
        let table = five_commits().last_checkpoint(hint).delete(0);
        assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[]);
    }
}

#[test]
fn a_hint_older_than_the_newest_checkpoint_does_not_hide_it() {
    // With commit 2 gone only the checkpoint of version 3 leads to version 4.
    let table =
        five_commits_and_two_checkpoints().delete(2).last_checkpoint(r#"{"version":1,"size":4}"#);
    assert_eq!(table.live_files(), ALL);
}

#[test]
fn a_hint_newer_than_the_wanted_version_is_ignored() {
    let table = five_commits_and_two_checkpoints().last_checkpoint(r#"{"version":3,"size":6}"#);
    assert_eq!(table.live_files_at(2), ["0", "1", "2"]);
    assert_eq!(table.live_files_at(0), ["0"]);
}

// Multi-part checkpoints.

#[test]
fn a_complete_multi_part_checkpoint_is_used() {
    let table = five_commits().multi_part_checkpoint(3).delete_before(5);
    assert_eq!(table.live_files(), ALL);
    assert_eq!(table.commit([remove("2")]).live_files(), ["0", "1", "3", "4"]);
}

#[test]
fn a_multi_part_checkpoint_with_a_missing_part_is_ignored() {
    for missing in 1..=3 {
        let table = five_commits().multi_part_checkpoint(3);
        let part = table.part_name(4, missing, 3);
        let table = table.delete_file(&format!("_delta_log/{part}"));
        assert_eq!(table.live_files(), ALL, "by the commits, without part {missing}");
        let table = table.last_checkpoint(r#"{"version":4,"size":7,"parts":3}"#);
        assert_eq!(table.live_files(), ALL, "with a hint to it, without part {missing}");

        let table = five_commits_and_two_checkpoints().multi_part_checkpoint(3);
        let table = table.delete_file(&format!("_delta_log/{part}")).delete_before(4);
        assert_eq!(table.live_files(), ALL, "by the older checkpoint, without part {missing}");

        let table = five_commits().multi_part_checkpoint(3);
        let table = table.delete_file(&format!("_delta_log/{part}")).delete_before(4);
        assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[]);
    }
}

#[test]
fn parts_of_two_multi_part_checkpoints_do_not_make_one() {
    // Part 1 of 2 and part 2 of 3.
    let table = five_commits().multi_part_checkpoint(2).multi_part_checkpoint(3);
    let mut table = table;
    for (part, parts) in [(2, 2), (1, 3), (3, 3)] {
        let name = table.part_name(4, part, parts);
        table = table.delete_file(&format!("_delta_log/{name}"));
    }
    assert_eq!(table.live_files(), ALL);
    assert_error(table.delete_before(4).try_live_files(), ErrorKind::CorruptLog, &[]);
}

#[test]
fn two_checkpoints_of_one_version_give_one_answer() {
    let features = ["v2Checkpoint"];
    let table = || {
        TestTable::new()
            .commit([protocol_features(&features, &features), metadata("id long")])
            .commit([add("a"), add("b")])
            .commit([remove("a")])
    };
    let both: [TestTable; 4] = [
        table().checkpoint().v2_checkpoint_json(1),
        table().checkpoint().multi_part_checkpoint(2),
        table().v2_checkpoint_json(1).v2_checkpoint_parquet(2),
        table().v2_checkpoint_parquet(0).multi_part_checkpoint(2).checkpoint(),
    ];
    for table in both {
        let table = table.delete_before(3);
        assert_eq!(table.live_files(), ["b"]);
        assert_eq!(table.commit([add("c")]).live_files(), ["b", "c"]);
    }
}

// Names that are none.

#[test]
fn stray_names_are_ignored() {
    let mut table = five_commits();
    for name in [
        "5.json",
        "0000000000000000005.json",
        "000000000000000000005.json",
        "00000000000000000005.json.tmp",
        ".00000000000000000005.json.crc",
        "00000000000000000005.json~",
        "_00000000000000000005.json",
        "00000000000000000005.JSON",
        "00000000000000000005.crc",
        "00000000000000000005.checkpoint",
        "00000000000000000005.checkpoint.json",
        "00000000000000000005.checkpoint.parquet.tmp",
        "00000000000000000005.checkpoint.0000000001.0000000000.parquet",
        "00000000000000000005.checkpoint.0000000002.0000000001.parquet",
        "00000000000000000005.checkpoint.0000000000.0000000001.parquet",
        "00000000000000000005.checkpoint.1.1.parquet",
        "00000000000000000005.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json",
        "0000000000000000000x.json",
        "+0000000000000000005.json",
        "-0000000000000000005.json",
        "٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٠٥.json",
        "_last_checkpoint.tmp",
        "_last_vacuum_info",
    ] {
        table = table.log_file(name, b"stray");
    }
    assert_eq!(table.live_files(), ALL);
    assert_eq!(table.checkpoint().delete_before(5).live_files(), ALL);
}

#[test]
fn a_version_too_big_for_its_type_neither_overflows_nor_hides_files() {
    for name in [
        "99999999999999999999.json",
        "18446744073709551616.json",
        "18446744073709551615.json",
        "09999999999999999999.json",
        "99999999999999999999.checkpoint.parquet",
        "18446744073709551616.checkpoint.parquet",
    ] {
        let table = five_commits().log_file(name, b"{\"commitInfo\":{}}\n");
        match table.try_live_files() {
            Ok(files) => assert_eq!(files, ALL, "{name}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::CorruptLog, "{name}: {error}"),
        }
    }
}

#[test]
fn a_commit_of_the_far_future_is_a_gap() {
    let table = five_commits().log_file("09223372036854775807.json", b"{\"commitInfo\":{}}\n");
    assert_error(table.try_live_files(), ErrorKind::CorruptLog, &["5"]);
}

// What is not a regular file.

/// Live files or an error, but neither a hang nor less than the whole.
fn complete_or_failed(table: &TestTable, name: &str) {
    let listing = table.listing().with_few_readers();
    match without_hanging(move || listing.try_live_files()) {
        Ok(files) => assert_eq!(files, ALL, "{name}"),
        Err(error) => assert!(!error.message().is_empty(), "{name}"),
    }
}

const NAMES_OF_A_LOG: [&str; 4] = [
    "00000000000000000005.json",
    "00000000000000000004.checkpoint.parquet",
    "00000000000000000004.checkpoint.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json",
    "_last_checkpoint",
];

#[test]
fn a_directory_named_like_a_log_file_does_no_harm() {
    for name in NAMES_OF_A_LOG {
        let table = five_commits();
        fs::create_dir(table.log().join(name)).unwrap();
        complete_or_failed(&table, name);
    }
}

#[test]
fn a_fifo_named_like_a_log_file_does_not_block() {
    for name in NAMES_OF_A_LOG {
        let table = five_commits();
        let made = Command::new("mkfifo").arg(table.log().join(name)).status().unwrap();
        assert!(made.success());
        complete_or_failed(&table, name);
    }
}

#[test]
fn a_socket_named_like_a_log_file_does_no_harm() {
    for name in NAMES_OF_A_LOG {
        let table = five_commits();
        // A socket's address is short, so it is made elsewhere and moved.
        let short = table.outside().join("s");
        let _listener = UnixListener::bind(&short).unwrap();
        fs::rename(short, table.log().join(name)).unwrap();
        complete_or_failed(&table, name);
    }
}

#[test]
fn a_loop_of_symbolic_links_does_no_harm() {
    for name in NAMES_OF_A_LOG {
        let table = five_commits();
        symlink(name, table.log().join(name)).unwrap();
        complete_or_failed(&table, name);
    }
}

#[test]
fn a_log_file_that_lies_outside_the_table_is_refused() {
    let commit = commit_name(5);
    let line = b"{\"add\":{\"path\":\"x\",\"partitionValues\":{},\"size\":1,\
        \"modificationTime\":1,\"dataChange\":true}}\n";

    let table = five_commits();
    let outside = table.outside().join("elsewhere.json");
    fs::write(&outside, line).unwrap();
    symlink(&outside, table.log().join(&commit)).unwrap();
    let error = table.try_live_files().expect_err("a commit outside of the table");
    assert!(error.message().contains(&commit), "{error}");

    // A sibling whose name begins with the table's is outside as well.
    let table = five_commits();
    let sibling = table.outside().join("table-evil");
    fs::create_dir(&sibling).unwrap();
    fs::write(sibling.join("x.json"), line).unwrap();
    symlink(sibling.join("x.json"), table.log().join(&commit)).unwrap();
    let error = table.try_live_files().expect_err("a commit in a sibling of the table");
    assert!(error.message().contains(&commit), "{error}");
}

#[test]
fn the_table_itself_may_be_reached_through_a_symbolic_link() {
    let table = five_commits();
    let link = table.outside().join("link");
    symlink(table.root(), &link).unwrap();
    assert_eq!(Listing::of(&link).live_files(), ALL);
}

#[test]
fn a_table_may_be_named_by_a_path_or_a_file_url() {
    let table = five_commits();
    let root = table.root();
    let root = root.to_str().unwrap();
    for name in [root.to_owned(), format!("{root}/"), format!("file://{root}")] {
        let snapshot = engine(0).snapshot(&name).unwrap();
        assert_eq!(snapshot.version(), 4, "{name}");
    }
}

// Long logs.

/// Versions 0 to 20,004 with a checkpoint at every tenth, each a link to one commit
/// or one checkpoint without files.
fn twenty_thousand_commits() -> TestTable {
    let table = TestTable::new().commit([protocol(1, 2), metadata("id long")]).checkpoint();
    let (commit, checkpoint) =
        (table.outside().join("commit"), table.log().join(checkpoint_name(0)));
    fs::write(&commit, [commit_info().line(), b"\n".to_vec()].concat()).unwrap();
    for version in 1..=20_004 {
        fs::hard_link(&commit, table.log().join(commit_name(version))).unwrap();
        if version % 10 == 0 {
            fs::hard_link(&checkpoint, table.log().join(checkpoint_name(version))).unwrap();
        }
    }
    table
}

#[test]
fn a_long_log_costs_what_is_after_its_newest_checkpoint() {
    let table = twenty_thousand_commits();
    let names = table.log_names("").len();
    let first = |version: u64| format!("{version:020}.");
    let tail: Vec<_> = (20_001..=20_004).map(commit_name).collect();
    let read_of = |snapshot: &Snapshot, storage: &Watched| {
        let listed: Vec<_> = snapshot.scan().files().unwrap().collect::<Result<_, _>>().unwrap();
        assert!(listed.is_empty());
        storage.take()
    };
    // Without a hint all names are listed, once; with one, those from its version on,
    // however old it is.
    for (hint, from, listed) in [
        (None, 0, names),
        (Some(20_000), 20_000, 6),
        (Some(19_000), 19_000, 1_106),
        (Some(0), 0, names),
    ] {
        let hint_text = |version: u64| format!(r#"{{"version":{version},"size":2}}"#);
        let mut expected = vec![checkpoint_name(20_000)];
        expected.extend(tail.iter().cloned());
        if let Some(version) = hint {
            fs::write(table.log().join("_last_checkpoint"), hint_text(version)).unwrap();
            expected.push("_last_checkpoint".to_owned());
        }
        let storage = Watched::of(&table);
        let snapshot = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
        assert_eq!(snapshot.version(), 20_004);
        assert_eq!(snapshot.origin().checkpoint, Some(20_000));
        let record = read_of(&snapshot, &storage);
        assert_eq!(record.lists, [first(from)], "hint {hint:?}");
        // The hint's own name comes after the digits.
        let listed = listed + usize::from(hint.is_some());
        assert_eq!(record.names_listed, listed, "hint {hint:?}");
        expected.sort();
        assert_eq!(record.read(), expected, "hint {hint:?}");
        assert!(record.bytes < 50_000, "{record:?}");
    }
    // An older version is between two checkpoints as well.
    let storage = Watched::of(&table);
    let opened = engine(0).open_in(Arc::clone(&storage) as _).version(12_345).snapshot();
    let record = read_of(&opened.unwrap(), &storage);
    let mut expected: Vec<_> = (12_341..=12_345).map(commit_name).collect();
    expected.extend([checkpoint_name(12_340), "_last_checkpoint".to_owned()]);
    expected.sort();
    assert_eq!(record.read(), expected);
    assert_eq!(record.names_listed, names + 1);
}

// Compaction files and staged commits.

#[test]
fn compaction_files_change_nothing() {
    let table = || {
        five_commits_and_two_checkpoints()
            .log_file(&compaction_name(0, 2), b"garbage")
            .log_file(&compaction_name(1, 4), b"garbage")
            .log_file(&compaction_name(2, 4), b"")
            .log_file(&compaction_name(3, 3), b"garbage")
            .log_file(&compaction_name(4, 2), b"garbage")
            .log_file(&compaction_name(4, 9), b"garbage")
    };
    assert_eq!(table().live_files(), ALL);
    assert_eq!(table().live_files_at(2), ["0", "1", "2"]);
    assert_eq!(table().delete_before(4).live_files(), ALL);
}

#[test]
fn staged_commits_of_a_table_without_a_catalog_are_ignored() {
    let line = "{\"remove\":{\"path\":\"0\",\"dataChange\":true}}\n";
    let staged = |version: u64| {
        format!("_staged_commits/{version:020}.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json")
    };
    let table =
        five_commits().log_file(&staged(4), line.as_bytes()).log_file(&staged(5), line.as_bytes());
    assert_eq!(table.live_files(), ALL);
}

#[test]
fn a_catalog_managed_table_is_refused() {
    for feature in ["catalogManaged", "catalogOwned-preview"] {
        let table = TestTable::new().commit([
            protocol_features(&[feature], &[feature]),
            metadata("id long"),
            add("a"),
        ]);
        assert_error(table.try_live_files(), ErrorKind::Unsupported, &["catalog"]);
    }
}

#[test]
fn a_file_that_vanishes_under_a_snapshot_is_an_error_that_names_it() {
    let table = five_commits_and_two_checkpoints();
    let snapshot = table.snapshot();
    let table = table.delete_file(&format!("_delta_log/{}", checkpoint_name(3)));
    let listed: Result<Vec<_>, Error> = snapshot.scan().files().and_then(|stream| stream.collect());
    match listed {
        // What was read when the snapshot was opened may still be there.
        Ok(batches) => assert_eq!(rows_of(&batches).len(), 5),
        Err(error) => {
            // The table is not to blame, so opening it again may succeed.
            assert!(matches!(error.kind(), ErrorKind::Storage | ErrorKind::NotFound), "{error}");
            assert!(error.message().contains(&checkpoint_name(3)), "{error}");
        }
    }
    drop(table);
}

/// What an engine with a log callback was told while it opened `version`.
fn warnings_of(table: &TestTable, version: u64) -> Vec<String> {
    let listening = Listening::with_threads(0);
    listening.engine.snapshot_at(table.root().to_str().unwrap(), version).unwrap();
    listening.take()
}

#[test]
fn what_was_survived_is_told_to_the_host() {
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long"), add("0")])
        .commit([add("1")])
        .multi_part_checkpoint(2)
        .commit([add("2")]);
    assert_eq!(warnings_of(&table, 2), [""; 0]);
    let part = "_delta_log/00000000000000000001.checkpoint.0000000002.0000000002.parquet";
    let table = table.delete_file(part).last_checkpoint(r#"{"version":1,"size":4,"parts":2}"#);
    let told = warnings_of(&table, 2);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("_last_checkpoint points to version 1"), "{told:?}");
    assert!(told[1].contains("version 1 lacks a part"), "{told:?}");
    // It does not matter to a version before it.
    assert_eq!(warnings_of(&table, 0), [""; 0]);
}

#[test]
fn a_torn_hint_is_told_and_the_whole_log_is_listed() {
    // The checksum is that of version 3: a reader saw two texts at once.
    let torn = r#"{"version":1,"size":5,"checksum":"9c1b912de93a35ea47fdce7224326bd7"}"#;
    let table = five_commits_and_two_checkpoints().last_checkpoint(torn);
    assert_eq!(table.live_files(), ALL);
    let told = warnings_of(&table, 4);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("_last_checkpoint is not used: its checksum"), "{told:?}");

    let whole = torn.replace("\"version\":1", "\"version\":3");
    let table = five_commits_and_two_checkpoints().last_checkpoint(&whole);
    assert_eq!(table.live_files(), ALL);
    assert_eq!(warnings_of(&table, 4), [""; 0]);
}
