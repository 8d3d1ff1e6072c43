//! A checkpoint that cannot be read is no loss where the log reaches back to an
//! older one or to its beginning; and where it does not, it is never half of an
//! answer.
mod common;

use common::*;
use delta_engine::{ErrorKind, Snapshot};
use serde_json::json;
use std::fs;

/// Versions 0 to 4; version `n` adds `n`, and 4 removes `0`. With a good
/// checkpoint at version 2.
fn table() -> TestTable {
    commits(|table| if table.version() == 2 { table.checkpoint() } else { table })
}

fn commits(after_each: impl Fn(TestTable) -> TestTable) -> TestTable {
    let features = ["v2Checkpoint"];
    let mut table = after_each(TestTable::new().commit([
        protocol_features(&features, &features),
        metadata("id long"),
        txn("stream", 1),
        add("0"),
    ]));
    for n in 1..4 {
        table = after_each(table.commit([commit_info(), add(&n.to_string())]));
    }
    table.commit([commit_info(), add("4"), remove("0")])
}

/// Two commits more.
fn and_after(table: TestTable) -> TestTable {
    table.commit([commit_info(), add("5")]).commit([commit_info(), add("6"), remove("1")])
}

const LIVE: [&str; 5] = ["2", "3", "4", "5", "6"];

/// What is wrong with the newest checkpoint: the change makes it, and the name is
/// of the file that is bad.
type Bad = (&'static str, fn(TestTable) -> TestTable, &'static str);

const BAD: [Bad; 13] = [
    ("of 0 bytes", |t| t.log_file(&checkpoint_name(4), b""), "4.checkpoint.parquet"),
    ("garbage", |t| t.log_file(&checkpoint_name(4), b"garbage"), "4.checkpoint.parquet"),
    (
        "with a footer of garbage",
        |t| t.log_file(&checkpoint_name(4), b"PAR1 garbage \x09\0\0\0PAR1"),
        "4.checkpoint.parquet",
    ),
    (
        "with a footer larger than the file",
        |t| t.log_file(&checkpoint_name(4), b"PAR1\xff\xff\xff\x7fPAR1"),
        "4.checkpoint.parquet",
    ),
    (
        "cut off",
        |t| {
            let t = t.checkpoint();
            let bytes = fs::read(t.log().join(checkpoint_name(4))).unwrap();
            t.log_file(&checkpoint_name(4), &bytes[..bytes.len() - 10])
        },
        "4.checkpoint.parquet",
    ),
    (
        "with a part of garbage",
        |t| {
            let t = t.multi_part_checkpoint(3);
            let part = t.part_name(4, 2, 3);
            t.log_file(&part, b"garbage")
        },
        "4.checkpoint.0000000002.0000000003.parquet",
    ),
    (
        "with a last part of 0 bytes",
        |t| {
            let t = t.multi_part_checkpoint(3);
            let part = t.part_name(4, 3, 3);
            t.log_file(&part, b"")
        },
        "4.checkpoint.0000000003.0000000003.parquet",
    ),
    ("of JSON that is none", |t| uuid_json(t, b"garbage\n"), UUID_JSON),
    (
        "of JSON that is cut off",
        |t| uuid_json(t, b"{\"checkpointMetadata\":{\"version\":4"),
        UUID_JSON,
    ),
    ("of UTF-8 that is none", |t| uuid_json(t, b"\xff\xfe\n"), UUID_JSON),
    (
        "whose sidecar lies outside",
        |t| {
            let actions = manifest(&t, sidecar("../../elsewhere.parquet", 1));
            t.v2_checkpoint_json_of(actions)
        },
        "4.checkpoint.",
    ),
    (
        "whose sidecar is a URL",
        |t| {
            let actions = manifest(&t, sidecar("file:///etc/passwd.parquet", 1));
            t.v2_checkpoint_json_of(actions)
        },
        "4.checkpoint.",
    ),
    (
        "of another version by its own metadata",
        |t| {
            let actions = manifest(&t, checkpoint_metadata(3));
            t.v2_checkpoint_json_of(actions)
        },
        "4.checkpoint.",
    ),
];

const UUID_JSON: &str = "4.checkpoint.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json";

fn uuid_json(table: TestTable, text: &[u8]) -> TestTable {
    table.log_file(&format!("0000000000000000000{UUID_JSON}"), text)
}

/// The actions of a checkpoint without files, and one more.
fn manifest(table: &TestTable, more: Action) -> Vec<Action> {
    let mut actions = table.state().table_actions();
    actions.push(more);
    actions
}

fn hint(version: u64) -> String {
    json!({"version": version}).to_string()
}

fn paths(snapshot: &Snapshot) -> Vec<String> {
    let stream = snapshot.scan().columns(["path"]).files().unwrap();
    let batches: Vec<_> = stream.collect::<Result<_, _>>().unwrap();
    let rows = sorted_by_path(rows_of(&batches));
    rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

/// Opens and lists a table: the paths, the checkpoint they came from, and the
/// warnings of each of the two.
#[track_caller]
fn read(table: &TestTable) -> (Vec<String>, Option<u64>, [Vec<String>; 2]) {
    let listening = Listening::with_threads(0);
    let snapshot = listening.snapshot(table).unwrap();
    let at_open = listening.take();
    let paths = paths(&snapshot);
    let at_scan = listening.take();
    assert_eq!(self::paths(&snapshot), paths, "the second time");
    assert_eq!(listening.take(), [""; 0], "told again");
    (paths, snapshot.origin().checkpoint, [at_open, at_scan])
}

// What is read in its place.

#[test]
fn an_older_checkpoint_and_the_commits_after_it_are_read_in_its_place() {
    for (what, make, name) in BAD {
        for hinted in [None, Some(4), Some(2)] {
            let mut table = and_after(make(table())).delete_before(3);
            if let Some(version) = hinted {
                table = table.last_checkpoint(&hint(version));
            }
            let (paths, checkpoint, [told, at_scan]) = read(&table);
            assert_eq!(paths, LIVE, "{what}");
            assert_eq!(checkpoint, Some(2), "{what}");
            assert_eq!(told.len(), 1, "{what}: {told:?}");
            assert!(told[0].contains(name), "{what}: {told:?}");
            assert!(told[0].contains(&checkpoint_name(2)), "{what}: {told:?}");
            assert_eq!(at_scan, [""; 0], "{what}");
            if hinted.is_none() {
                assert_eq!(table.listing().with_few_readers().live_files(), LIVE, "{what}");
            }
        }
    }
}

#[test]
fn the_commits_alone_are_read_in_its_place_where_they_are_all_there() {
    for (what, make, name) in BAD {
        for hinted in [false, true] {
            let mut table = and_after(make(commits(|table| table)));
            if hinted {
                table = table.last_checkpoint(&hint(4));
            }
            let (paths, checkpoint, [told, at_scan]) = read(&table);
            assert_eq!(paths, LIVE, "{what}");
            assert_eq!(checkpoint, None, "{what}");
            assert_eq!(told.len(), 1, "{what}: {told:?}");
            assert!(told[0].contains(name) && told[0].contains("commits alone"), "{told:?}");
            assert_eq!(at_scan, [""; 0], "{what}");
        }
    }
}

#[test]
fn another_checkpoint_of_the_same_version_is_read_in_its_place() {
    let good: [fn(TestTable) -> TestTable; 3] = [
        |table| table.v2_checkpoint_json(1),
        |table| table.v2_checkpoint_parquet(0),
        |table| table.multi_part_checkpoint(2),
    ];
    for good in good {
        for hinted in [false, true] {
            let table = good(table()).log_file(&checkpoint_name(4), b"garbage");
            let mut table = and_after(table).delete_before(5);
            if hinted {
                table = table.last_checkpoint(&hint(4));
            }
            let (paths, checkpoint, [told, _]) = read(&table);
            assert_eq!(paths, LIVE);
            assert_eq!(checkpoint, Some(4));
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(&checkpoint_name(4)), "{told:?}");
        }
    }
    // Two bad ones, and an older one.
    let table = uuid_json(table().log_file(&checkpoint_name(4), b"garbage"), b"nonsense\n");
    let (paths, checkpoint, [told, _]) = read(&and_after(table).delete_before(3));
    assert_eq!((&paths[..], checkpoint), (&LIVE.map(str::to_owned)[..], Some(2)));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains(&format!("instead: corrupt log: _delta_log/{}", checkpoint_name(4))));
    assert!(told[1].contains(UUID_JSON), "each is told with its own reason: {told:?}");
}

#[test]
fn each_unreadable_checkpoint_is_told_with_its_own_reason() {
    let table = commits(|table| match table.version() {
        1 => table.checkpoint(),
        2 => table.log_file(&checkpoint_name(2), b""),
        3 => table.log_file(&checkpoint_name(3), b"garbage of three"),
        _ => table,
    });
    let table = and_after(table.log_file(&checkpoint_name(4), b"garbage"));
    let (paths, checkpoint, [told, _]) = read(&table);
    assert_eq!((&paths[..], checkpoint), (&LIVE.map(str::to_owned)[..], Some(1)));
    assert_eq!(told.len(), 3, "{told:?}");
    for (told, version) in told.iter().zip([4, 3, 2]) {
        let (what, why) = told.split_once("instead: ").unwrap();
        assert!(why.contains(&checkpoint_name(version)), "{told}");
        assert!(!what.contains(&checkpoint_name(version)), "{told}");
    }
}

// When it is found out.

#[test]
fn a_scan_falls_back_where_the_open_needed_no_checkpoint() {
    for (what, make, name) in BAD {
        for [older, hinted] in [[true, true], [true, false], [false, true], [false, false]] {
            let table = if older { table() } else { commits(|table| table) };
            let mut table = and_after(make(table)).checksum();
            if hinted {
                table = table.last_checkpoint(&hint(4));
            }
            let (paths, checkpoint, [at_open, told]) = read(&table);
            assert_eq!(paths, LIVE, "{what}");
            assert_eq!(checkpoint, older.then_some(2), "{what}");
            assert_eq!(at_open, [""; 0], "{what}");
            assert_eq!(told.len(), 1, "{what}: {told:?}");
            assert!(told[0].contains(name), "{what}: {told:?}");
        }
    }
}

#[test]
fn a_checkpoint_that_is_deleted_after_the_listing_is_no_loss_either() {
    let checkpoints: [fn(TestTable) -> TestTable; 4] = [
        |table| table.checkpoint(),
        |table| table.multi_part_checkpoint(3),
        |table| table.v2_checkpoint_json(1),
        |table| table.v2_checkpoint_parquet(0),
    ];
    for make in checkpoints {
        for asked in [false, true] {
            let mut table = and_after(make(table())).checksum();
            let listening = Listening::with_threads(0);
            let snapshot = listening.snapshot(&table).unwrap();
            // The last of its files.
            let name = table.log_names("00004.checkpoint").pop().unwrap();
            table = table.delete_file(&format!("_delta_log/{name}"));
            if asked {
                // Nothing of that is in the checkpoint's place.
                assert_eq!(snapshot.txn_version("stream").unwrap(), Some(1));
            }
            assert_eq!(paths(&snapshot), LIVE);
            let told = listening.take();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains(&name), "{told:?}");
            assert_eq!(snapshot.origin().checkpoint, Some(2));
        }
    }
}

#[test]
fn domains_and_transactions_are_found_below_an_unreadable_checkpoint() {
    for (what, make, _) in BAD {
        // The checksum spares the open the checkpoint, and says neither of the two.
        let table = make(table()).commit([txn("late", 5), domain_metadata("d", "{}")]);
        let table = table.checksum_as(|checksum| {
            ["domainMetadata", "setTransactions"]
                .iter()
                .for_each(|field| checksum[field] = json!(null));
        });
        let snapshot = table.snapshot();
        assert_eq!(snapshot.txn_version("stream").unwrap(), Some(1), "{what}");
        assert_eq!(snapshot.txn_version("late").unwrap(), Some(5), "{what}");
        assert_eq!(snapshot.domain_metadata().unwrap()["d"], "{}", "{what}");
        assert_eq!(snapshot.origin().checkpoint, Some(2), "{what}");
    }
}

#[test]
fn time_travel_falls_back_as_well() {
    for (what, make, _) in BAD {
        let table = and_after(make(table())).delete_before(3).last_checkpoint(&hint(4));
        for (version, live) in [
            (2, &["0", "1", "2"][..]),
            (3, &["0", "1", "2", "3"]),
            (4, &["1", "2", "3", "4"]),
            (5, &["1", "2", "3", "4", "5"]),
        ] {
            let listening = Listening::with_threads(0);
            let root = table.root();
            let snapshot = listening.engine.snapshot_at(root.to_str().unwrap(), version).unwrap();
            assert_eq!(paths(&snapshot), live, "{what}, version {version}");
            let expected = usize::from(version >= 4);
            assert_eq!(listening.take().len(), expected, "{what}, version {version}");
        }
    }
}

#[test]
fn a_refresh_of_what_fell_back_is_a_fresh_open() {
    let table = table().log_file(&checkpoint_name(4), b"garbage");
    let old = table.snapshot();
    assert_eq!(paths(&old), ["1", "2", "3", "4"]);
    let table = and_after(table);
    let new = old.refresh().unwrap();
    assert_eq!(paths(&new), LIVE);
    assert_eq!(new.origin().checkpoint, Some(2));
    assert_eq!(new.txn_version("stream").unwrap(), Some(1));
    // Once there is a good one, that is read.
    let table = table.checkpoint().commit([add("7")]);
    let newest = new.refresh().unwrap();
    assert_eq!(paths(&newest), ["2", "3", "4", "5", "6", "7"]);
    assert_eq!(newest.origin().checkpoint, Some(6));
    drop(table);
}

#[test]
fn a_checkpoint_with_two_protocols_is_unreadable_to_who_looks_for_one() {
    let two_protocols = || {
        let table = table();
        let mut actions = manifest(&table, protocol(1, 2));
        actions.extend(table.state().file_actions());
        and_after(table.v2_checkpoint_json_of(actions)).delete_before(3)
    };
    let (paths, checkpoint, [told, _]) = read(&two_protocols());
    assert_eq!((&paths[..], checkpoint), (&LIVE.map(str::to_owned)[..], Some(2)));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("2 protocol actions"), "{told:?}");
    // Where a checksum had it, the look comes when all files have been listed.
    let table = two_protocols().checksum();
    let result = table.listing().with_few_readers().try_live_files();
    assert_error(result, ErrorKind::CorruptLog, &["4.checkpoint.", "2 protocol actions"]);
}

// Where nothing can take its place.

#[test]
fn where_the_log_does_not_reach_back_the_error_names_the_newest_checkpoint() {
    for (what, make, name) in BAD {
        // Nothing before it; an older one, but not the commits between; an older
        // one that is bad too.
        for damage in [
            |table: TestTable| {
                table.delete_before(5).delete_file(&format!("_delta_log/{}", checkpoint_name(2)))
            },
            |table: TestTable| table.delete_before(3).delete(3),
            |table: TestTable| table.delete_before(3).log_file(&checkpoint_name(2), b"bad"),
        ] {
            for hinted in [false, true] {
                let mut table = damage(and_after(make(table())));
                if hinted {
                    table = table.last_checkpoint(&hint(4));
                }
                let result = table.try_snapshot().map(|_| ());
                assert!(result.is_err(), "{what}");
                let error = assert_error(result, ErrorKind::CorruptLog, &[name]);
                assert!(!error.message().contains(&checkpoint_name(2)), "{what}: {error}");
                // And where the open needs none, the listing says the same.
                let table = table.checksum();
                let listed = table.snapshot().scan().files().map(|_| ());
                assert_error(listed, ErrorKind::CorruptLog, &[name]);
            }
        }
    }
}

#[test]
fn a_checkpoint_without_protocol_or_metadata_is_an_error_all_the_same() {
    // It can be read, and says less than every checkpoint must.
    for (left_out, says) in [("protocol", "no protocol action"), ("metaData", "no metaData action")]
    {
        let without = || {
            let table = table();
            let state = table.state();
            let mut actions = state.table_actions();
            actions.retain(|action| action.name() != Some(left_out));
            actions.extend(state.file_actions());
            and_after(table.checkpoint_of(actions, &Layout::default()))
        };
        for table in [without(), without().delete_before(3), without().last_checkpoint(&hint(4))] {
            let result = table.listing().with_few_readers().try_live_files();
            assert_error(result, ErrorKind::CorruptLog, &[&checkpoint_name(4), says]);
        }
    }
}

#[test]
fn a_storage_that_fails_is_not_taken_for_a_bad_checkpoint() {
    // A link out of the table is refused, whatever lies there: no older checkpoint
    // takes its place.
    let table = table();
    let outside = table.outside().join("elsewhere.parquet");
    fs::write(&outside, b"x").unwrap();
    std::os::unix::fs::symlink(&outside, table.log().join(checkpoint_name(4))).unwrap();
    let table = and_after(table);
    let result = table.listing().with_few_readers().try_live_files();
    assert_error(result, ErrorKind::Storage, &[&checkpoint_name(4)]);

    // Nor where it is the older one that fails: the log may be whole.
    let table = commits(|table| {
        if table.version() == 2 {
            let outside = table.outside().join("elsewhere.parquet");
            fs::write(&outside, b"x").unwrap();
            let name = table.log().join(checkpoint_name(2));
            std::os::unix::fs::symlink(&outside, name).unwrap();
        }
        table
    });
    let table = and_after(table.log_file(&checkpoint_name(4), b"garbage"));
    let result = table.listing().with_few_readers().try_live_files();
    assert_error(result, ErrorKind::Storage, &[&checkpoint_name(2)]);
}
