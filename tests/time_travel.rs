//! Which version a time means: in-commit timestamps, modification times, the
//! edge between them, and how far back a time may go.
mod common;

use std::collections::BTreeSet;
use std::fs;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use common::*;
use delta_engine::{
    CatalogCommit, Engine, Error, ErrorKind, FileStat, Result, Snapshot, SnapshotBuilder, Storage,
};

/// Times are told from here on, to be short.
const T: i64 = 1_700_000_000_000;

fn open(table: &TestTable) -> SnapshotBuilder {
    open_by(&engine(0), table)
}

fn open_by(engine: &Engine, table: &TestTable) -> SnapshotBuilder {
    engine.open(table.root().to_str().unwrap())
}

fn as_of(table: &TestTable, ms: i64) -> Result<u64> {
    Ok(open(table).timestamp(T + ms).snapshot()?.version())
}

fn until(table: &TestTable, ms: i64) -> Result<u64> {
    open(table).version_at_or_before(T + ms)
}

fn from(table: &TestTable, ms: i64) -> Result<u64> {
    open(table).version_at_or_after(T + ms)
}

fn between(table: &TestTable, ms: RangeInclusive<i64>) -> Result<RangeInclusive<u64>> {
    open(table).versions_between(T + ms.start(), T + ms.end())
}

/// A table without in-commit timestamps, its commits modified at these times.
fn modified_at(times: &[i64]) -> TestTable {
    let mut table = TestTable::new();
    for (version, ms) in times.iter().enumerate() {
        let first = [protocol(1, 2), metadata("id long"), add("0")];
        table = match version {
            0 => table.commit(first),
            _ => table.commit([commit_info(), add(&version.to_string())]),
        };
        table = table.modified_at(version as u64, T + ms);
    }
    table
}

/// A table with in-commit timestamps alone; its files were modified backwards.
fn committed_at(times: &[i64]) -> TestTable {
    let mut table = TestTable::new();
    for (version, ms) in times.iter().enumerate() {
        let info = commit_info_at(T + ms);
        table = match version {
            0 => table.commit([info, protocol_in_commit(), metadata_in_commit()]),
            _ => table.commit([info, add(&version.to_string())]),
        };
        table = table.modified_at(version as u64, T - version as i64);
    }
    table
}

/// Versions 0 and 1 modified at 100 and 200, versions 2 and 3 committed at 300
/// and 400, their files modified at 1 and 2.
fn enabled_at_2() -> TestTable {
    modified_at(&[100, 200])
        .commit([
            commit_info_at(T + 300),
            protocol_in_commit(),
            metadata_in_commit_since(2, T + 300),
        ])
        .modified_at(2, T + 1)
        .commit([commit_info_at(T + 400), add("3")])
        .modified_at(3, T + 2)
}

// What a time means.

#[test]
fn a_time_means_the_latest_version_that_is_not_after_it() {
    for table in [modified_at(&[100, 200, 300]), committed_at(&[100, 200, 300])] {
        for (ms, version) in [(100, 0), (199, 0), (200, 1), (299, 1), (300, 2)] {
            assert_eq!(as_of(&table, ms).unwrap(), version, "{ms}");
            assert_eq!(until(&table, ms).unwrap(), version, "{ms}");
        }
        for (ms, version) in [(100, 0), (101, 1), (200, 1), (201, 2), (300, 2)] {
            assert_eq!(from(&table, ms).unwrap(), version, "{ms}");
        }
    }
}

#[test]
fn the_snapshot_of_a_time_is_that_of_its_version() {
    let table = modified_at(&[100, 200, 300]);
    let snapshot = open(&table).timestamp(T + 250).snapshot().unwrap();
    let listed: Vec<_> = snapshot.scan().files().unwrap().map(Result::unwrap).collect();
    assert_eq!(rows_of(&listed), table.listing().at(1).batches().map(|b| rows_of(&b)).unwrap());
    assert_eq!(snapshot.timestamp_ms().unwrap(), T + 200);
}

#[test]
fn a_time_outside_of_the_log_is_refused_and_the_range_in_reach_is_told() {
    for table in [modified_at(&[100, 200]), committed_at(&[100, 200])] {
        let range = [
            "are 0, of 2023-11-14 22:13:20.100 UTC (1700000000100 ms)",
            "to 1, of 2023-11-14 22:13:20.200 UTC (1700000000200 ms)",
        ];
        let before =
            ["2023-11-14 22:13:20.099 UTC (1700000000099 ms) is before", range[0], range[1]];
        let after = ["2023-11-14 22:13:20.201 UTC (1700000000201 ms) is after", range[0], range[1]];
        assert_error(as_of(&table, 99), ErrorKind::NotFound, &before);
        assert_error(as_of(&table, 201), ErrorKind::NotFound, &after);
        // The latest version before a time is known there as well, and so is the
        // first after one.
        assert_error(until(&table, 99), ErrorKind::NotFound, &before);
        assert_eq!(until(&table, 201).unwrap(), 1);
        assert_eq!(from(&table, 99).unwrap(), 0);
        assert_error(from(&table, 201), ErrorKind::NotFound, &after);
        // No calendar has these.
        let first = open(&table).timestamp(i64::MIN).snapshot();
        assert_error(first, ErrorKind::NotFound, &["-9223372036854775808 ms is before"]);
        let latest = open(&table).timestamp(i64::MAX).snapshot();
        assert_error(latest, ErrorKind::NotFound, &["9223372036854775807 ms is after"]);
    }
}

#[test]
fn a_range_of_time_has_the_versions_committed_within_it() {
    for table in [modified_at(&[100, 200, 300]), committed_at(&[100, 200, 300])] {
        assert_eq!(between(&table, 100..=300).unwrap(), 0..=2);
        assert_eq!(between(&table, 101..=299).unwrap(), 1..=1);
        assert_eq!(between(&table, 0..=900).unwrap(), 0..=2);
        assert_eq!(between(&table, 200..=200).unwrap(), 1..=1);
        let nothing = ["no version", "version 0 was before, version 1 after"];
        assert_error(between(&table, 101..=199), ErrorKind::NotFound, &nothing);
        assert_error(between(&table, 0..=99), ErrorKind::NotFound, &["before the first"]);
        assert_error(between(&table, 301..=900), ErrorKind::NotFound, &["after the latest"]);
        let backwards = open(&table).versions_between(T + 2, T + 1);
        assert_error(backwards, ErrorKind::InvalidArgument, &["ends before"]);
    }
}

#[test]
fn no_version_is_newer_than_the_one_that_is_asked_for() {
    for table in [modified_at(&[100, 200, 300]), committed_at(&[100, 200, 300])] {
        let upto = || open(&table).version(1);
        assert_eq!(upto().timestamp(T + 150).snapshot().unwrap().version(), 0);
        assert_error(upto().timestamp(T + 250).snapshot(), ErrorKind::NotFound, &["to 1, of"]);
        assert_eq!(upto().version_at_or_before(T + 300).unwrap(), 1);
        assert_error(upto().version_at_or_after(T + 300), ErrorKind::NotFound, &["to 1, of"]);
        assert_eq!(upto().versions_between(T + 100, T + 300).unwrap(), 0..=1);
    }
}

#[test]
fn a_snapshot_is_refreshed_to_a_time() {
    let table = modified_at(&[100, 200]);
    let old = table.snapshot();
    let table = table.commit([add("2")]).modified_at(2, T + 300).commit([add("3")]);
    let table = table.modified_at(3, T + 400);
    let version = |ms| old.refresh_to().timestamp(T + ms).snapshot().unwrap().version();
    assert_eq!([version(100), version(200), version(399), version(400)], [0, 1, 2, 3]);
    drop(table);
}

// Modification times.

#[test]
fn a_modification_time_that_is_not_later_counts_as_one_millisecond_later() {
    // As 100, 101, 102, 103, 200.
    let table = modified_at(&[100, 50, 102, 100, 200]);
    let versions: Vec<_> = (100..=104).map(|ms| as_of(&table, ms).unwrap()).collect();
    assert_eq!(versions, [0, 1, 2, 3, 3]);
    assert_eq!(from(&table, 101).unwrap(), 1);
    assert_eq!(from(&table, 103).unwrap(), 3);
    // A version alone is not compared with others.
    let raw = |version| open(&table).version(version).snapshot().unwrap().timestamp_ms().unwrap();
    assert_eq!([raw(1), raw(3)], [T + 50, T + 100]);

    // The last of them is told as it counts.
    let table = modified_at(&[100, 50]);
    assert_error(as_of(&table, 102), ErrorKind::NotFound, &["(1700000000101 ms)"]);
    assert_eq!(as_of(&table, 101).unwrap(), 1);
}

#[test]
fn modification_times_are_looked_at_and_no_commit_is_read_for_them() {
    let times: Vec<_> = (0..1000).map(|version| version * 10).collect();
    // What an open needs is in the checkpoint.
    let table = modified_at(&times).checkpoint();
    let storage = Watched::of(&table);
    let version = engine(2).open_in(storage.clone()).version_at_or_after(T + 5_001).unwrap();
    assert_eq!(version, 501);
    assert_eq!(storage.commits_read(), BTreeSet::new());
    let looked_at = storage.commits_looked_at();
    assert!((0..=501).all(|version| looked_at.contains(&version)), "{looked_at:?}");
}

#[test]
fn a_commit_that_vanishes_meanwhile_is_the_storages_error() {
    for table in [modified_at(&[100, 200, 300]), committed_at(&[100, 200, 300])] {
        let table = table.checkpoint();
        let storage = Watched::without(&table, 1);
        let found = engine(0).open_in(storage).version_at_or_before(T + 200);
        assert_error(found, ErrorKind::Storage, &[&commit_name(1)]);
    }
}

// In-commit timestamps.

#[test]
fn in_commit_timestamps_are_found_by_reading_a_few_commits() {
    let times: Vec<_> = (0..1000).map(|version| version * 10).collect();
    let table = committed_at(&times).checkpoint();
    for (ms, version) in [(0, 0), (4_999, 499), (5_000, 500), (9_989, 998), (9_990, 999)] {
        let storage = Watched::of(&table);
        let found = engine(2).open_in(storage.clone()).version_at_or_before(T + ms).unwrap();
        assert_eq!(found, version);
        // So often are 1000 versions halved.
        let read = storage.commits_read();
        assert!((1..=10).contains(&read.len()), "{read:?}");
        assert_eq!(storage.commits_looked_at(), BTreeSet::new());
    }
}

#[test]
fn in_commit_timestamps_count_from_the_version_on_that_enabled_them() {
    let table = enabled_at_2();
    for (ms, version) in [(100, 0), (199, 0), (200, 1), (299, 1), (300, 2), (399, 2), (400, 3)] {
        assert_eq!(as_of(&table, ms).unwrap(), version, "{ms}");
    }
    for (ms, version) in [(0, 0), (101, 1), (200, 1), (201, 2), (300, 2), (301, 3), (400, 3)] {
        assert_eq!(from(&table, ms).unwrap(), version, "{ms}");
    }
    let first_and_last = ["are 0, of", "(1700000000100 ms), to 3, of", "(1700000000400 ms)"];
    assert_error(as_of(&table, 401), ErrorKind::NotFound, &first_and_last);
    assert_error(as_of(&table, 99), ErrorKind::NotFound, &first_and_last);
    let ms = |version| open(&table).version(version).snapshot().unwrap().timestamp_ms().unwrap();
    assert_eq!([ms(0), ms(1), ms(2), ms(3)], [T + 100, T + 200, T + 300, T + 400]);
    // Before, nobody knew of them.
    assert_eq!(open(&table).version(1).version_at_or_before(T + 900).unwrap(), 1);
}

#[test]
fn a_time_is_looked_for_on_its_side_of_the_enablement_alone() {
    // Someone copied the files of versions 0 and 1 long after.
    let table = enabled_at_2().modified_at(0, T + 350).modified_at(1, T + 5_000);
    assert_eq!(as_of(&table, 350).unwrap(), 2);
    assert_eq!(from(&table, 350).unwrap(), 3);
    assert_error(as_of(&table, 299), ErrorKind::NotFound, &["before the first"]);
    assert_eq!(from(&table, 299).unwrap(), 0);
}

#[test]
fn in_commit_timestamps_count_only_where_they_are_enabled() {
    let said = |protocol: Action, enabled: Option<&str>| {
        let mut metadata = metadata_in_commit_since(0, T + 900);
        if let Some(enabled) = enabled {
            metadata = metadata.property("delta.enableInCommitTimestamps", enabled);
        } else {
            metadata = metadata.with("configuration", serde_json::json!({}));
        }
        let table = TestTable::new()
            .commit([commit_info_at(T + 900), protocol, metadata])
            .modified_at(0, T + 100);
        let snapshot = table.snapshot();
        let found = open(&table).version_at_or_after(T + 500).is_ok();
        assert_eq!(found, snapshot.timestamp_ms().unwrap() == T + 900);
        found
    };
    assert!(said(protocol_in_commit(), Some("true")));
    assert!(said(protocol_in_commit(), Some("True")));
    assert!(!said(protocol_in_commit(), Some("false")));
    assert!(!said(protocol_in_commit(), None));
    // "The feature must exist in the table protocol's writerFeatures."
    assert!(!said(protocol(1, 2), Some("true")));
    let other = protocol_in_commit().with("writerFeatures", vec!["appendOnly"]);
    assert!(!said(other, Some("true")));
}

#[test]
fn a_commit_without_the_in_commit_timestamp_it_must_have_is_corrupt() {
    for first_line in [commit_info(), commit_info_at(0).with("inCommitTimestamp", "0"), add("1")] {
        let table = TestTable::new()
            .commit([commit_info_at(T + 100), protocol_in_commit(), metadata_in_commit()])
            .commit([first_line])
            .modified_at(1, T + 200);
        let parts = [&*commit_name(1), "inCommitTimestamp"];
        assert_error(as_of(&table, 200), ErrorKind::CorruptLog, &parts);
        assert_error(table.snapshot().timestamp_ms(), ErrorKind::CorruptLog, &parts);
    }
}

#[test]
fn what_contradicts_itself_about_the_enablement_is_corrupt() {
    let version = "delta.inCommitTimestampEnablementVersion";
    let timestamp = "delta.inCommitTimestampEnablementTimestamp";
    let refused = |metadata: Action, parts: &[&str]| {
        let table = modified_at(&[100])
            .commit([commit_info_at(T + 300), protocol_in_commit(), metadata])
            .modified_at(1, T + 300);
        assert_error(as_of(&table, 250), ErrorKind::CorruptLog, parts);
    };
    let both = [version, timestamp, "only one"];
    refused(metadata_in_commit().property(version, "1"), &both);
    refused(metadata_in_commit().property(timestamp, "1"), &both);
    let since = || metadata_in_commit_since(1, T + 300);
    refused(since().property(version, "x\u{1b}"), &[version, "x\\u{1b}"]);
    refused(since().property(version, "-1"), &[version, "-1"]);
    refused(since().property(timestamp, "9223372036854775808"), &[timestamp]);
    refused(metadata_in_commit_since(2, T + 300), &["version 2", "version 1"]);
    refused(metadata_in_commit_since(1, T + 200), &[timestamp, &commit_name(1)]);
}

// How far back.

#[test]
fn the_first_version_in_reach_is_the_first_that_can_be_opened() {
    let times: Vec<_> = (0..10).map(|version| version * 100).collect();
    let first = |table: &TestTable| {
        let first = from(table, 0).unwrap();
        let error = until(table, first as i64 * 100 - 1);
        let said = format!("are {first}, of");
        assert_error(error, ErrorKind::NotFound, &[&said]);
        assert_eq!(as_of(table, first as i64 * 100).unwrap(), first);
        assert!(open(table).version(first).snapshot().is_ok());
        first
    };
    // A checkpoint of version `n`, or of a part of it.
    let checkpoint = |parts: usize| {
        let mut table = modified_at(&times[..6]);
        table = if parts == 1 { table.checkpoint() } else { table.multi_part_checkpoint(parts) };
        for version in 6..10 {
            table = table.commit([add(&version.to_string())]);
            table = table.modified_at(version, T + times[version as usize]);
            if version == 7 {
                table = table.checkpoint();
            }
        }
        table
    };
    assert_eq!(first(&checkpoint(1)), 0);
    assert_eq!(first(&checkpoint(1).delete_before(1)), 5);
    assert_eq!(first(&checkpoint(1).delete_before(5)), 5);
    // The checkpoint can be opened, but without its commit it has no time.
    assert_eq!(first(&checkpoint(1).delete_before(6)), 6);
    assert_eq!(first(&checkpoint(1).delete_before(7)), 7);
    // A gap is no way to get back.
    assert_eq!(first(&checkpoint(1).delete(3)), 5);
    let part = checkpoint(2).part_name(5, 2, 2);
    assert_eq!(first(&checkpoint(2).delete(3)), 5);
    let table = checkpoint(2).delete(3).delete_file(&format!("_delta_log/{part}"));
    assert_eq!(first(&table), 7);
    let error = until(&checkpoint(1).delete_before(8).delete(8).delete(9), 0);
    assert_error(error, ErrorKind::NotFound, &[&commit_name(7), "is missing"]);
}

#[test]
fn commits_out_of_reach_move_no_time() {
    let table = modified_at(&[100, 900]).checkpoint();
    let table = table.commit([add("2")]).modified_at(2, T + 300).checkpoint();
    let table = table.commit([add("3")]).modified_at(3, T + 400);
    // As 100, 900, 901, 902.
    assert_eq!(as_of(&table, 400).unwrap(), 0);
    let table = table.delete(0).delete(1);
    assert_eq!(as_of(&table, 400).unwrap(), 3);
    assert_eq!(as_of(&table, 399).unwrap(), 2);
}

#[test]
fn a_version_without_its_commit_is_as_old_as_its_checkpoint() {
    for table in [modified_at(&[100]), committed_at(&[100])] {
        let table = table.checkpoint().delete(0);
        let checkpoint = fs::metadata(table.log().join(checkpoint_name(0))).unwrap();
        let modified = checkpoint.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        assert_eq!(table.snapshot().timestamp_ms().unwrap(), modified.as_millis() as i64);
    }
}

// Catalog-managed tables.

const UUID: &str = "3a0d65cd-4056-49b8-937b-95f9e3ee90e5";

fn lines(actions: &[Action]) -> Vec<u8> {
    actions.iter().flat_map(|action| [action.line(), b"\n".to_vec()].concat()).collect()
}

fn managed() -> Action {
    protocol_features(&["catalogManaged"], &["catalogManaged", "inCommitTimestamp"])
}

#[test]
fn a_commit_of_the_catalog_is_dated_by_its_in_commit_timestamp() {
    let staged = format!("{:020}.{UUID}.json", 2);
    let table = TestTable::new()
        .commit([commit_info_at(T + 100), managed(), metadata_in_commit()])
        .commit([commit_info_at(T + 200), add("1")])
        .log_file(&format!("_staged_commits/{staged}"), &lines(&[commit_info_at(T + 300)]))
        // A commit that was not ratified.
        .log_file(&commit_name(2), &lines(&[commit_info_at(T + 250)]));
    let open = || {
        let content = lines(&[commit_info_at(T + 400), add("3")]).into();
        let inline = CatalogCommit::Inline { version: 3, content };
        open(&table).catalog(3, [CatalogCommit::Staged(staged.clone()), inline])
    };
    for (ms, version) in [(100, 0), (200, 1), (299, 1), (300, 2), (399, 2), (400, 3)] {
        let snapshot = open().timestamp(T + ms).snapshot().unwrap();
        assert_eq!(snapshot.version(), version, "{ms}");
    }
    assert_error(open().timestamp(T + 401).snapshot(), ErrorKind::NotFound, &["to 3, of"]);
    assert_eq!(open().version(2).version_at_or_before(T + 900).unwrap(), 2);
    assert_eq!(open().snapshot().unwrap().timestamp_ms().unwrap(), T + 400);
}

#[test]
fn a_time_may_lead_to_before_a_table_had_a_catalog() {
    let staged = format!("{:020}.{UUID}.json", 3);
    let table = enabled_at_2().delete(3);
    // Whatever the properties say, a staged commit is dated by what is in it.
    for metadata in [metadata_in_commit_since(2, T + 300), metadata("id long")] {
        let second = [commit_info_at(T + 300), managed(), metadata];
        fs::write(table.log().join(commit_name(2)), lines(&second)).unwrap();
        let staged_commit = table.log().join("_staged_commits").join(&staged);
        fs::create_dir_all(staged_commit.parent().unwrap()).unwrap();
        fs::write(staged_commit, lines(&[commit_info_at(T + 400)])).unwrap();
        let table = open(&table).catalog(3, [CatalogCommit::Staged(staged.clone())]);
        assert_eq!(table.timestamp(T + 150).snapshot().unwrap().version(), 0);
    }
    let none = open(&modified_at(&[100])).catalog(0, []).timestamp(T + 100).snapshot();
    assert_error(none, ErrorKind::InvalidArgument, &["not catalog-managed"]);
    let last = open(&table).catalog(3, [CatalogCommit::Staged(staged)]);
    assert_eq!(last.timestamp(T + 400).snapshot().unwrap().version(), 3);
}

// Against an oracle.

/// A log of which everything is known.
struct Known {
    table: TestTable,
    /// The versions that can be opened.
    versions: Range<u64>,
    /// Of all versions, by the rules.
    times: Vec<i64>,
    /// The version that enabled in-commit timestamps, if one did.
    enabled: Option<u64>,
}

impl Known {
    fn from_seed(seed: u64) -> Known {
        let mut numbers = Numbers::from_seed(seed);
        let count = 1 + numbers.below(40);
        let enabled = Some(numbers.below(count * 2)).filter(|&version| version < count);
        let reaches_back_to = Some(numbers.below(count * 2)).filter(|&version| version < count);
        let spread = 1 + numbers.below(300);
        let modified: Vec<_> = (0..count).map(|_| numbers.below(spread) as i64).collect();
        let mut in_commit = numbers.below(300) as i64;

        let mut table = TestTable::new();
        let mut times = Vec::new();
        for version in 0..count {
            let has_in_commit = enabled.is_some_and(|enabled| version >= enabled);
            in_commit += 1 + numbers.below(20) as i64;
            let info = if has_in_commit { commit_info_at(T + in_commit) } else { commit_info() };
            let mut actions = vec![info];
            if version == 0 {
                actions.extend([protocol_in_commit(), metadata("id long")]);
            }
            if enabled == Some(version) {
                actions.retain(|action| action.name() != Some("metaData"));
                actions.push(match version {
                    0 => metadata_in_commit(),
                    _ => metadata_in_commit_since(version, T + in_commit),
                });
            }
            let modified = modified[version as usize];
            table = table.commit(actions).modified_at(version, T + modified);
            times.push(if has_in_commit { in_commit } else { modified });
            if reaches_back_to == Some(version) {
                table = table.checkpoint();
            }
        }
        let mut first = 0;
        if let Some(version) = reaches_back_to.filter(|_| numbers.below(2) == 0) {
            table = table.delete_before(version);
            first = version;
        }
        for version in first as usize + 1..enabled.unwrap_or(count) as usize {
            times[version] = times[version].max(times[version - 1] + 1);
        }
        Known { table, versions: first..count, times, enabled }
    }

    fn time(&self, version: u64) -> i64 {
        self.times[version as usize]
    }

    /// The versions among which a time is looked for.
    fn candidates(&self, ms: i64) -> Range<u64> {
        let Range { start, end } = self.versions;
        match self.enabled {
            Some(enabled) if start >= enabled => start..end,
            Some(enabled) if ms >= self.time(enabled) => enabled..end,
            Some(enabled) => start..enabled,
            None => start..end,
        }
    }

    fn until(&self, ms: i64) -> Option<u64> {
        self.candidates(ms).rev().find(|&version| self.time(version) <= ms)
    }

    fn as_of(&self, ms: i64) -> Option<u64> {
        let last = self.versions.end - 1;
        self.until(ms).filter(|&version| version < last || self.time(last) == ms)
    }

    fn from(&self, ms: i64) -> Option<u64> {
        let candidates = self.candidates(ms);
        let next = Some(candidates.end).filter(|end| self.versions.contains(end));
        candidates.into_iter().find(|&version| self.time(version) >= ms).or(next)
    }

    fn between(&self, from_ms: i64, to_ms: i64) -> Option<RangeInclusive<u64>> {
        let versions = self.from(from_ms)?..=self.until(to_ms)?;
        (!versions.is_empty()).then_some(versions)
    }
}

#[test]
fn every_time_means_what_the_rules_say() {
    let found = |result: Result<u64>| match result {
        Ok(version) => Some(version),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => panic!("{error}"),
    };
    for seed in 0..60 {
        let known = Known::from_seed(seed);
        let threads = [0, 1, 4][seed as usize % 3];
        let open = || open_by(&engine(threads), &known.table);
        let mut numbers = Numbers::from_seed(!seed);
        let last = known.times.iter().max().unwrap() + 3;
        for _ in 0..8 {
            let ms = numbers.below(last as u64) as i64;
            let context = format!("seed {seed}, {threads} threads, {ms} ms");
            let opened = open().timestamp(T + ms).snapshot().map(|s: Snapshot| s.version());
            assert_eq!(found(opened), known.as_of(ms), "as of: {context}");
            let until = open().version_at_or_before(T + ms);
            assert_eq!(found(until), known.until(ms), "until: {context}");
            let from = open().version_at_or_after(T + ms);
            assert_eq!(found(from), known.from(ms), "from: {context}");
            let to = ms + numbers.below(30) as i64;
            let between = open().versions_between(T + ms, T + to).ok();
            assert_eq!(between, known.between(ms, to), "to {to}: {context}");
        }
    }
}

#[test]
fn times_are_found_in_tables_that_others_wrote() {
    let Some(tables) = acceptance_tables() else { return };
    let table = |name: &str| {
        engine(2).open(tables.join(name).join("table").to_str().expect("a UTF-8 path"))
    };
    let open = || table("trino__deltalake.in_commit_timestamp_history_read");
    let as_of = |ms| open().timestamp(ms).snapshot().map(|snapshot| snapshot.version());
    assert_eq!(as_of(1_739_859_743_394).unwrap(), 2);
    assert_eq!(as_of(1_739_859_755_479).unwrap(), 2);
    assert_eq!(as_of(1_739_859_755_480).unwrap(), 3);
    assert_error(as_of(1_739_859_755_481), ErrorKind::NotFound, &["to 3, of"]);
    // When the first two were copied is nobody's business here, but then it was
    // after that.
    assert_error(as_of(1_000_000_000_000), ErrorKind::NotFound, &["are 0, of"]);

    let staged = [
        "00000000000000000001.4cb9708e-b478-44de-b203-53f9ba9b2876.json",
        "00000000000000000002.5b9bba4a-0085-430d-a65e-b0d38c1afbe9.json",
    ];
    let open = || {
        let staged = staged.map(|name| CatalogCommit::Staged(name.to_owned()));
        table("delta-kernel__catalog-owned-preview").catalog(2, staged)
    };
    let versions = open().versions_between(1_749_830_855_993, 1_749_830_881_798).unwrap();
    assert_eq!(versions, 0..=1);
    assert_eq!(open().version_at_or_before(1_749_830_881_799).unwrap(), 2);
}

// A storage that notes what it is asked for.

#[derive(Default)]
struct Watched {
    root: PathBuf,
    /// This commit is listed, and is not there.
    vanished: Option<u64>,
    read: Mutex<BTreeSet<u64>>,
    looked_at: Mutex<BTreeSet<u64>>,
}

impl Watched {
    fn of(table: &TestTable) -> Arc<Watched> {
        Arc::new(Watched { root: table.root(), ..Watched::default() })
    }

    fn without(table: &TestTable, version: u64) -> Arc<Watched> {
        Arc::new(Watched { root: table.root(), vanished: Some(version), ..Watched::default() })
    }

    fn commits_read(&self) -> BTreeSet<u64> {
        self.read.lock().unwrap().clone()
    }

    fn commits_looked_at(&self) -> BTreeSet<u64> {
        self.looked_at.lock().unwrap().clone()
    }

    fn file(&self, name: &str, noted: &Mutex<BTreeSet<u64>>) -> Result<PathBuf> {
        let bare = name.rsplit('/').next().unwrap();
        let version = bare.strip_suffix(".json").and_then(|version| version.parse().ok());
        noted.lock().unwrap().extend(version);
        let path = self.root.join(name);
        if version.is_some() && version == self.vanished || !path.exists() {
            return Err(Error::new(ErrorKind::NotFound, format!("{name}: not there")));
        }
        Ok(path)
    }
}

impl Storage for Watched {
    fn list(&self, dir: &str, from: &str, visit: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        for entry in fs::read_dir(self.root.join(dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.as_str() >= from {
                visit(&name)?;
            }
        }
        Ok(())
    }

    fn read_head(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        let bytes = Bytes::from(fs::read(self.file(name, &self.read)?).unwrap());
        let size = bytes.len() as u64;
        Ok((bytes.slice(..size.min(limit) as usize), size))
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let bytes = Bytes::from(fs::read(self.file(name, &self.read)?).unwrap());
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    fn stat(&self, name: &str) -> Result<FileStat> {
        let found = fs::metadata(self.file(name, &self.looked_at)?).unwrap();
        let modified = found.modified().unwrap().duration_since(UNIX_EPOCH).unwrap();
        Ok(FileStat { size: found.len(), modified_ms: modified.as_millis() as i64 })
    }

    fn root(&self) -> &str {
        "watched"
    }
}
