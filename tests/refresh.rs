//! A refreshed snapshot is what a fresh one would be, and costs what is new.
mod common;

use common::*;
use delta_engine::{Engine, ErrorKind, FILE_COLUMNS, PROPERTIES, Snapshot, Source};
use serde_json::json;
use std::fs;
use std::sync::Arc;

/// Versions 0 to 2; version `n` adds `n`.
fn table() -> TestTable {
    TestTable::new()
        .commit([protocol(1, 2), metadata("id long"), add("0"), domain_metadata("d", "0")])
        .commit([commit_info(), add("1")])
        .commit([commit_info(), add("2"), txn("stream", 2)])
}

fn batches(snapshot: &Snapshot) -> Vec<arrow::array::RecordBatch> {
    let stream = snapshot.scan().columns(FILE_COLUMNS.iter().copied()).files();
    stream.and_then(|stream| stream.collect()).unwrap_or_else(|error| panic!("{error}"))
}

fn paths(snapshot: &Snapshot) -> Vec<String> {
    let rows = sorted_by_path(rows_of(&batches(snapshot)));
    rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

/// That two snapshots are the same in every respect that a caller sees.
#[track_caller]
fn assert_same(found: &Snapshot, fresh: &Snapshot, what: &str) {
    assert_eq!(found.version(), fresh.version(), "{what}");
    assert_eq!(found.table_root(), fresh.table_root(), "{what}");
    assert_eq!(found.protocol(), fresh.protocol(), "{what}");
    assert_eq!(found.metadata(), fresh.metadata(), "{what}");
    assert_eq!(found.schema(), fresh.schema(), "{what}");
    assert_eq!(found.arrow_schema(), fresh.arrow_schema(), "{what}");
    assert_eq!(found.column_mapping(), fresh.column_mapping(), "{what}");
    assert_eq!(found.timestamp_ms().unwrap(), fresh.timestamp_ms().unwrap(), "{what}");
    assert_eq!(found.domain_metadata().unwrap(), fresh.domain_metadata().unwrap(), "{what}");
    assert_eq!(found.txns().unwrap(), fresh.txns().unwrap(), "{what}");
    assert_eq!(found.file_statistics(), fresh.file_statistics(), "{what}");
    for property in PROPERTIES {
        let value = |snapshot: &Snapshot| snapshot.properties().get(property.name).unwrap();
        assert_eq!(value(found), value(fresh), "{what}: {}", property.name);
    }
    let (found_batches, fresh_batches) = (batches(found), batches(fresh));
    let rows = |batches: &[_]| sorted_by_path(rows_of(batches));
    assert_eq!(rows(&found_batches), rows(&fresh_batches), "{what}");
    // A checkpoint or a compaction that begins before the older snapshot's version
    // may not be seen; without them, one segment is like the other.
    let segment = |snapshot: &Snapshot| {
        let origin = snapshot.origin();
        (origin.compactions == 0).then_some((origin.checkpoint, origin.commits))
    };
    if segment(found).is_some() && segment(found) == segment(fresh) {
        assert!(found_batches == fresh_batches, "{what}: batches in another order");
    }
}

fn fresh(table: &TestTable) -> Snapshot {
    engine(0).snapshot(table.root().to_str().unwrap()).unwrap_or_else(|error| panic!("{error}"))
}

// Histories.

/// What happens beside a commit: all that a writer may do.
fn beside(mut table: TestTable, numbers: &mut Numbers) -> TestTable {
    let newest = table.version();
    if numbers.below(2) == 0 {
        let left_out = ["setTransactions", "domainMetadata", "protocol", "txnId"];
        let left_out = left_out[numbers.below(4) as usize];
        table = table.checksum_as(|checksum| {
            checksum.as_object_mut().unwrap().shift_remove(left_out);
        });
    }
    if numbers.below(4) == 0 && newest > 1 {
        let first = newest - 1 - numbers.below(newest.min(5) - 1);
        if table.log().join(commit_name(first)).exists() {
            table = table.compaction(first, newest);
        }
    }
    if numbers.below(4) == 0 {
        table = random_checkpoint(table, numbers);
        match numbers.below(4) {
            0 => {}
            1 => table = table.last_checkpoint(&json!({"version": newest / 2}).to_string()),
            _ => table = table.last_checkpoint(&json!({"version": newest}).to_string()),
        }
        if numbers.below(3) == 0 {
            table = table.clean_up(newest);
        }
    }
    table
}

#[test]
fn a_snapshot_of_any_version_refreshed_to_any_other_is_a_fresh_one() {
    let (mut compared, mut in_order) = (0, 0);
    for seed in 0..10 {
        let mut numbers = Numbers::from_seed(seed);
        let mut table = random_beginning(&mut numbers);
        // A storage that lists from a name on, and one that is asked for names.
        let storage = if seed % 2 == 0 { Watched::of(&table) } else { Watched::folder_of(&table) };
        let newest = || engine(0).open_in(Arc::clone(&storage) as _);
        let fresh = || newest().snapshot().unwrap_or_else(|error| panic!("{error}"));
        let at = |version| newest().version(version).snapshot();
        let mut chain = fresh();
        let mut opened = vec![chain.clone()];
        for _ in 0..3 + numbers.below(12) {
            let commit = random_commit(&table, &mut numbers);
            table = beside(table.commit(commit), &mut numbers);
            let what = format!("seed {seed}, version {}", table.version());
            let newest = fresh();
            // What was asked of a snapshot decides what its refresh may take over.
            match numbers.below(4) {
                0 => _ = chain.txns(),
                1 => drop(batches(&newest)),
                _ => {}
            }
            if numbers.below(3) > 0 {
                chain = chain.refresh().unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_same(&chain, &newest, &format!("the chain, {what}"));
            }
            opened.push(newest);
        }
        opened.extend((0..=table.version()).filter_map(|version| at(version).ok()));
        for old in opened {
            let what = format!("seed {seed}, {} to {}", old.version(), table.version());
            let newest = old.refresh().unwrap_or_else(|error| panic!("{what}: {error}"));
            let expected = fresh();
            in_order += usize::from(newest.origin().commits == expected.origin().commits);
            assert_same(&newest, &expected, &what);
            let version = numbers.below(table.version() + 1);
            let what = format!("seed {seed}, {} to {version}", old.version());
            if let Ok(expected) = at(version) {
                let found = old.refresh_to().version(version).snapshot();
                assert_same(&found.unwrap_or_else(|e| panic!("{what}: {e}")), &expected, &what);
                compared += 1;
            }
        }
    }
    assert!(compared > 50 && in_order > 50, "{compared} {in_order}");
}

#[test]
fn a_refresh_reads_the_same_with_workers() {
    let mut numbers = Numbers::from_seed(77);
    let mut table = random_beginning(&mut numbers);
    let engine = Engine::builder().threads(3).build().unwrap();
    let mut chain = engine.snapshot(table.root().to_str().unwrap()).unwrap();
    for _ in 0..20 {
        let commit = random_commit(&table, &mut numbers);
        table = beside(table.commit(commit), &mut numbers);
        chain = chain.refresh().unwrap();
        assert_same(&chain, &fresh(&table), &format!("version {}", table.version()));
    }
}

// What it costs.

#[test]
fn a_refresh_after_one_commit_reads_that_commit() {
    let mut table = table();
    for _ in 3..2_000 {
        table = table.commit([commit_info()]);
    }
    for hint in [false, true] {
        if hint {
            table = table.checkpoint().last_checkpoint(r#"{"version":1999}"#);
        }
        let storage = Watched::of(&table);
        let old = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
        let _ = old.domain_metadata().unwrap();
        storage.take();

        let version = table.version() + 1;
        table = table.commit([commit_info(), add("new"), txn("stream", 9)]);
        let new = old.refresh().unwrap();
        assert_eq!(new.version(), version);
        assert_eq!(new.txn_version("stream").unwrap(), Some(9));
        let record = storage.take();
        assert_eq!(record.lists, [format!("{:020}.", version - 1)]);
        // Its own version, the new one, and the names beside them.
        assert!(record.names_listed <= 4, "{record:?}");
        let mut read = vec![commit_name(version)];
        read.extend(hint.then(|| "_last_checkpoint".to_owned()));
        assert_eq!(record.read(), read);
        assert_eq!(new.origin().protocol, old.origin().protocol);
        assert_same(&new, &fresh(&table), "2,000 commits");

        // Where a listing would cost the folder, the next names are asked for.
        let storage = Watched::folder_of(&table);
        let old = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
        let _ = old.domain_metadata().unwrap();
        storage.take();
        table = table.commit([commit_info(), add("newer")]);
        let new = old.refresh().unwrap();
        let record = storage.take();
        assert!(record.lists.is_empty(), "{record:?}");
        let mut read = vec![commit_name(version + 1)];
        read.extend(hint.then(|| "_last_checkpoint".to_owned()));
        assert_eq!(record.read(), read);
        assert_same(&new, &fresh(&table), "2,000 commits in a folder");
    }
}

#[test]
fn a_refresh_over_many_commits_lists_them() {
    for commits in [15, 16, 17, 40u64] {
        let mut table = table();
        let storage = Watched::folder_of(&table);
        let old = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
        storage.take();
        for n in 0..commits {
            table = table.commit([commit_info(), add(&format!("new {n}"))]);
        }
        let new = old.refresh().unwrap();
        assert_eq!(storage.take().lists.len(), usize::from(commits >= 16), "{commits} commits");
        assert_same(&new, &fresh(&table), &format!("{commits} commits"));
        // An intermediate version is near enough to be asked for.
        let within = old.refresh_to().version(5).snapshot().unwrap();
        assert_eq!(storage.take().lists, [""; 0]);
        assert_eq!(paths(&within), table.state_at(5).live_files());
    }
}

#[test]
fn a_chain_of_refreshes_finds_a_checkpoint_that_no_hint_tells_of() {
    let mut table = TestTable::new().commit([protocol(1, 2), metadata("id long")]);
    let storage = Watched::folder_of(&table);
    let mut chain = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
    storage.take();
    for n in 1..=70 {
        table = table.commit([commit_info(), add(&format!("{n}"))]);
        if n == 30 {
            table = table.checkpoint();
        }
        chain = chain.refresh().unwrap();
    }
    assert_eq!(storage.take().lists.len(), 1);
    assert_eq!(chain.origin().checkpoint, Some(30));
    assert_same(&chain, &fresh(&table), "70 refreshes");
}

#[test]
fn a_refresh_of_a_table_that_has_not_changed_reads_no_commit() {
    for table in [table(), table().checkpoint(), table().checksum(), table().compaction(1, 2)] {
        let storage = Watched::of(&table);
        let old = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
        let _ = old.domain_metadata().unwrap();
        let listed = batches(&old);
        storage.take();
        let new = old.refresh().unwrap();
        assert_eq!(new.domain_metadata().unwrap(), old.domain_metadata().unwrap());
        assert_eq!(new.metadata(), old.metadata());
        let read: Vec<_> = storage.take().read.into_iter().collect();
        assert!(read.is_empty() || read == [checksum_name(2)], "{read:?}");
        assert!(batches(&new) == listed);
        assert_same(&new, &fresh(&table), "unchanged");
    }
}

#[test]
fn a_checkpoint_that_was_opened_is_not_opened_again() {
    let table = table().checkpoint();
    let storage = Watched::of(&table);
    let old = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
    drop(batches(&old));
    let table = table.commit([commit_info(), add("3")]);
    storage.take();
    let new = old.refresh().unwrap();
    let _ = new.domain_metadata().unwrap();
    let opened = storage.take();
    assert_eq!(paths(&new), ["0", "1", "2", "3"]);
    let size = fs::metadata(table.log().join(checkpoint_name(2))).unwrap().len();
    assert!(opened.bytes < size, "{opened:?}");
    assert_same(&new, &fresh(&table), "a checkpoint");
}

#[test]
fn a_chain_of_refreshes_keeps_no_older_snapshot_alive() {
    let mut table = table();
    let storage = Watched::of(&table);
    let mut chain = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
    let mut after = Vec::new();
    for n in 0..1_000 {
        if n % 100 == 50 {
            table = table.commit([commit_info(), txn("stream", n)]);
        }
        if n == 500 {
            table = table.checkpoint();
        }
        chain = chain.refresh().unwrap();
        match n % 3 {
            0 => _ = chain.txns(),
            1 if n % 100 == 1 => drop(batches(&chain)),
            _ => {}
        }
        after.push(Arc::strong_count(&storage));
    }
    assert_eq!(chain.version(), table.version());
    // The test, the snapshot, and the checkpoint that an older one has opened.
    assert!(after.iter().all(|&handles| handles <= 4), "{after:?}");
    drop(chain);
    assert_eq!(Arc::strong_count(&storage), 1);
}

#[test]
fn a_chain_of_refreshes_keeps_no_more_bytes_than_one_snapshot_may() {
    const COMMIT_BYTES: usize = 10_000;
    const WINDOW_BYTES: usize = 65_536;
    let table = TestTable::new().commit([protocol(1, 2), metadata("id long")]);
    let engine = Engine::builder().threads(0).window_bytes(WINDOW_BYTES).build().unwrap();
    let storage = Watched::of(&table);
    let mut chain = engine.open_in(Arc::clone(&storage) as _).snapshot().unwrap();
    let mut table = table;
    for n in 0..40 {
        let stats = "x".repeat(COMMIT_BYTES);
        table = table.commit([add(&n.to_string()).stats(&stats)]);
        chain = chain.refresh().unwrap();
    }
    storage.take();
    assert_eq!(batches(&chain).iter().map(|batch| batch.num_rows()).sum::<usize>(), 40);
    let read = storage.take().bytes as usize;
    let all = 40 * COMMIT_BYTES;
    assert!(read >= all - WINDOW_BYTES, "{read} bytes were read again of {all}");
    // And it does keep what it may.
    assert!(read <= all + 40 * 300 - WINDOW_BYTES / 2, "{read} of {all}");
}

#[test]
fn what_a_checkpoint_has_made_old_is_not_kept() {
    const WINDOW_BYTES: usize = 30_000;
    let engine = Engine::builder().threads(0).window_bytes(WINDOW_BYTES).build().unwrap();
    let mut table = TestTable::new().commit([protocol(1, 2), metadata("id long")]);
    let storage = Watched::of(&table);
    let mut chain = engine.open_in(Arc::clone(&storage) as _).snapshot().unwrap();
    let big = |n: u32| add(&n.to_string()).stats(&"x".repeat(10_000));
    for n in 0..4 {
        table = table.commit([big(n)]);
        chain = chain.refresh().unwrap();
    }
    let table = table.checkpoint().commit([big(4)]).commit([big(5)]);
    let last = chain.refresh().unwrap();
    storage.take();
    assert_eq!(paths(&last).len(), 6);
    // There is room for the new ones, since the old ones have gone.
    assert_eq!(storage.take().read(), [checkpoint_name(4)]);
    drop(table);
}

// What has become of the table.

#[test]
fn a_table_that_was_made_anew_is_another_table() {
    let old_table = |checkpoint: bool| {
        let table = TestTable::new()
            .commit([protocol(1, 2), metadata("id long"), add("old 0"), txn("stream", 1)])
            .commit([commit_info(), add("old 1")])
            .commit([commit_info(), add("old 2")]);
        if checkpoint { table.checkpoint() } else { table }
    };
    let begin = [
        protocol(1, 2),
        metadata("other string").with("id", "99999999-2222-3333-4444-555555555555"),
        add("new 0"),
        domain_metadata("new", "{}"),
    ];
    for versions in 1..6u64 {
        for checkpoint in [None, Some(2)] {
            for old_checkpoint in [false, true] {
                let table = old_table(old_checkpoint);
                let old = fresh(&table);
                let _ = old.txns().unwrap();
                let before = paths(&old);
                // In the same place.
                let old_log = table.log();
                fs::remove_dir_all(&old_log).unwrap();
                fs::create_dir(&old_log).unwrap();
                let mut new = TestTable::new();
                for version in 0..versions {
                    new = match version {
                        0 => new.commit(begin.clone()),
                        // Of as many bytes as the old ones.
                        n => new.commit([commit_info(), add(&format!("new {n}"))]),
                    };
                    if checkpoint == Some(version) {
                        // Without the commits nothing else can be read in its place.
                        new = new.checkpoint().clean_up(version);
                    }
                }
                for name in new.log_names("") {
                    fs::copy(new.log().join(&name), old_log.join(&name)).unwrap();
                }
                let what =
                    format!("{versions} versions, checkpoints {checkpoint:?} {old_checkpoint}");
                let found = old.refresh().unwrap_or_else(|error| panic!("{what}: {error}"));
                assert_same(&found, &fresh(&table), &what);
                assert_eq!(paths(&found), new.state().live_files(), "{what}");
                assert_eq!(found.txn_version("stream").unwrap(), None, "{what}");
                assert_eq!(found.schema().fields[0].name, "other", "{what}");
                assert_eq!(before, ["old 0", "old 1", "old 2"]);
            }
        }
    }
}

#[test]
fn a_table_that_is_gone_is_not_found() {
    let table = table();
    let old = fresh(&table);
    for name in table.log_names("") {
        fs::remove_file(table.log().join(name)).unwrap();
    }
    assert_error(old.refresh().map(|_| ()), ErrorKind::NotFound, &[]);
    fs::remove_dir_all(table.log()).unwrap();
    assert_error(old.refresh().map(|_| ()), ErrorKind::NotFound, &[]);
    assert_eq!(old.version(), 2);
}

#[test]
fn a_log_that_was_cleaned_up_below_a_snapshot_is_read_from_its_checkpoint() {
    for with_hint in [false, true] {
        for opened in 0..=3u64 {
            let mut table = table().commit([commit_info(), add("3"), remove("0")]);
            let root = table.root();
            let old = engine(0).snapshot_at(root.to_str().unwrap(), opened).unwrap();
            drop(batches(&old));
            table = table.checkpoint();
            if with_hint {
                table = table.last_checkpoint(r#"{"version":3}"#);
            }
            table = table.commit([commit_info(), add("4")]).clean_up(3);
            let new = old.refresh().unwrap();
            let what = format!("from version {opened}");
            assert_same(&new, &fresh(&table), &what);
            assert_eq!(new.origin().checkpoint, Some(3), "{what}");
        }
    }
}

#[test]
fn a_checkpoint_below_the_snapshots_own_version_is_found_once_the_log_before_it_is_gone() {
    // Written after the snapshot was opened, at a version before it, without a
    // hint: a listing that begins at the snapshot's version does not show it.
    for scanned in [false, true] {
        let features = ["v2Checkpoint"];
        let table = TestTable::new()
            .commit([protocol_features(&features, &features), metadata("id long"), add("0")])
            .checkpoint()
            .commit([commit_info(), add("1")]);
        let later = table.commit([commit_info(), add("2")]).commit([commit_info(), add("3")]);
        let old = fresh(&later);
        if scanned {
            drop(batches(&old));
        }
        let state = later.state_at(2);
        let mut actions = state.table_actions();
        actions.extend(state.file_actions());
        let (table, _) = later.parquet_file(
            &format!("_delta_log/{}", checkpoint_name(2)),
            actions,
            &Layout::default(),
        );
        let table = table.clean_up(2).commit([commit_info(), add("4")]);
        let new = old.refresh().unwrap();
        assert_same(&new, &fresh(&table), "cleaned up");
        assert_eq!(paths(&new), ["0", "1", "2", "3", "4"]);
    }
}

#[test]
fn new_commits_that_are_not_whole_are_the_errors_of_a_fresh_open() {
    let gap = table();
    let storage = Watched::of(&gap);
    let old = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
    let local = fresh(&gap);
    let gap = gap.commit_at(4, [commit_info()]);
    let error = assert_error(old.refresh().map(|_| ()), ErrorKind::CorruptLog, &[&commit_name(3)]);
    let expected = engine(0).snapshot(gap.root().to_str().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), expected.to_string());

    // Asked for by name, what is beyond a gap is not there yet.
    assert_eq!(local.refresh().unwrap().version(), 2);

    let cut = table();
    let old = fresh(&cut);
    let cut = cut.commit_bytes(3, b"{\"add\":{\"path\":\"x\"");
    let error = assert_error(old.refresh().map(|_| ()), ErrorKind::CorruptLog, &[&commit_name(3)]);
    let expected = engine(0).snapshot(cut.root().to_str().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), expected.to_string());

    let refused = table();
    let old = fresh(&refused);
    let refused = refused.commit([protocol(99, 99)]);
    assert_error(old.refresh().map(|_| ()), ErrorKind::Unsupported, &["99"]);
    // The old snapshot is what it was.
    assert_eq!(paths(&old), ["0", "1", "2"]);
    drop(refused);
}

#[test]
fn a_refresh_goes_to_the_version_that_is_asked_for() {
    let table = table().checkpoint().commit([add("3")]).commit([add("4")]);
    for from in 0..=4 {
        let old = engine(0).snapshot_at(table.root().to_str().unwrap(), from).unwrap();
        for to in 0..=4u64 {
            let new = old.refresh_to().version(to).snapshot().unwrap();
            let expected: Vec<_> = (0..=to).map(|n| n.to_string()).collect();
            assert_eq!(paths(&new), expected, "{from} to {to}");
        }
        let beyond = old.refresh_to().version(5).snapshot();
        assert_error(beyond.map(|_| ()), ErrorKind::NotFound, &["5"]);
    }
}

#[test]
fn what_an_older_snapshot_knew_is_the_base_of_a_newer_one() {
    let table = table();
    let old = fresh(&table);
    assert_eq!(old.domain_metadata().unwrap()["d"], "0");
    let table = table.commit([
        commit_info(),
        domain_metadata("d", "").removed(),
        domain_metadata("e", "3"),
        txn("stream", 3),
        metadata("id long").property("k", "v"),
    ]);
    let new = old.refresh().unwrap();
    assert_eq!(new.domain_metadata().unwrap().keys().collect::<Vec<_>>(), ["e"]);
    assert_eq!(new.txn_version("stream").unwrap(), Some(3));
    assert_eq!(new.origin().protocol, Source::Commit(0));
    assert_eq!(new.origin().metadata, Source::Commit(3));
    assert_same(&new, &fresh(&table), "a base");
    // The old one is as it was.
    assert_eq!(old.domain_metadata().unwrap()["d"], "0");
    assert_eq!(old.txn_version("stream").unwrap(), Some(2));
}
