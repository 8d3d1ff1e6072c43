//! A compaction stands for its commits, or does not matter: no compaction makes
//! a table read as anything else than its commits.
mod common;

use common::*;
use delta_engine::{FILE_COLUMNS, Snapshot, Source};
use serde_json::Value;
use std::fs;
use std::sync::Arc;

/// Versions 0 to 7. Each but the first adds a file of its name and says something
/// about version 0 and the one before it.
fn table() -> TestTable {
    let features = ["deletionVectors", "v2Checkpoint"];
    let mut table = TestTable::new().commit([
        protocol_features(&features, &features),
        metadata("id long"),
        txn("stream", 0),
        domain_metadata("kept", "{}"),
        domain_metadata("removed", "{}"),
        add("z"),
        add("0"),
    ]);
    for n in 1..8i64 {
        let (path, before) = (n.to_string(), (n - 1).to_string());
        let mut commit = vec![commit_info(), add(&path).size(n), txn("stream", n)];
        match n {
            2 | 5 => commit.push(remove(&before)),
            3 => commit.extend([remove(&before), add(&before).dv(dv(1))]),
            4 => commit.push(domain_metadata("removed", "").removed()),
            6 => commit.push(remove("z")),
            _ => {}
        }
        table = table.commit(commit);
    }
    table
}

/// A compaction with a file that no commit has: it tells whether it was used.
fn telling(table: TestTable, first: u64, last: u64) -> TestTable {
    let mut actions = table.compacted(first, last);
    actions.push(add(&format!("of {first} to {last}")));
    table.compaction_of(first, last, actions)
}

/// What was used of tables made by [`telling`].
fn told_by(files: &[String]) -> Vec<&str> {
    files.iter().map(String::as_str).filter(|file| file.starts_with("of ")).collect()
}

fn log_of(snapshot: &Snapshot) -> Vec<Value> {
    let stream = snapshot.scan().columns(FILE_COLUMNS.iter().copied()).files().unwrap();
    let batches: Vec<_> = stream.collect::<Result<_, _>>().unwrap();
    sorted_by_path(rows_of(&batches))
}

/// The newest version, and what is asked of its storage.
fn opened(table: &TestTable) -> (Snapshot, Arc<Watched>) {
    let storage = Watched::of(table);
    let snapshot = engine(0).open_in(Arc::clone(&storage) as _).snapshot();
    (snapshot.expect("a snapshot"), storage)
}

// What is used.

#[test]
fn a_compaction_is_read_in_place_of_its_commits() {
    let table = table().compaction(2, 5);
    let (snapshot, storage) = opened(&table);
    assert_eq!(snapshot.origin().compactions, 1);
    assert_eq!(snapshot.origin().commits, 8);
    assert_eq!(log_of(&snapshot), log_of(&self::table().snapshot()));
    let read =
        [commit_name(0), commit_name(1), compaction_name(2, 5), commit_name(6), commit_name(7)];
    let found = storage.take();
    assert_eq!(found.read.len(), 5);
    assert!(read.iter().all(|name| found.read.contains(name)), "{found:?}");
    assert_eq!(table.live_files(), table.state().live_files());
}

#[test]
fn the_longest_compaction_that_ends_where_the_newest_commit_is_wins() {
    for (compactions, used) in [
        (&[(2, 5)][..], &["of 2 to 5"][..]),
        (&[(1, 7)], &["of 1 to 7"]),
        (&[(0, 7)], &["of 0 to 7"]),
        // Several in a row.
        (&[(1, 2), (3, 4), (5, 7)], &["of 1 to 2", "of 3 to 4", "of 5 to 7"]),
        (&[(0, 1), (6, 7)], &["of 0 to 1", "of 6 to 7"]),
        // One within another, with one end or none in common.
        (&[(2, 5), (3, 5), (4, 5)], &["of 2 to 5"]),
        (&[(2, 6), (3, 5)], &["of 2 to 6"]),
        (&[(2, 6), (2, 3)], &["of 2 to 6"]),
        // Those that overlap: the one that ends later, then what is left.
        (&[(1, 4), (3, 6)], &["of 3 to 6"]),
        (&[(1, 4), (3, 6), (1, 2)], &["of 1 to 2", "of 3 to 6"]),
        (&[(0, 5), (4, 7), (2, 3)], &["of 2 to 3", "of 4 to 7"]),
    ] {
        let mut table = table();
        for &(first, last) in compactions {
            table = telling(table, first, last);
        }
        let files = table.listing().with_few_readers().live_files();
        assert_eq!(told_by(&files), used, "{compactions:?}");
        let mut expected = table.state().live_files();
        expected.extend(used.iter().map(|&file| file.to_owned()));
        expected.sort();
        assert_eq!(files, expected, "{compactions:?}");
        assert_eq!(table.snapshot().origin().compactions, used.len(), "{compactions:?}");
    }
}

#[test]
fn a_compaction_that_reaches_into_the_checkpoint_is_left_alone() {
    for (compactions, used) in [
        (&[(3, 5)][..], &[][..]),
        (&[(2, 5)], &[]),
        (&[(0, 3)], &[]),
        (&[(1, 3)], &[]),
        (&[(3, 5), (4, 5)], &["of 4 to 5"]),
        (&[(4, 7)], &["of 4 to 7"]),
    ] {
        let mut table = TestTable::new();
        for version in 0..8u64 {
            let actions = self::table().compacted(version, version);
            table = table.commit(actions);
            if version == 3 {
                table = table.v2_checkpoint_parquet(1);
            }
        }
        for &(first, last) in compactions {
            table = telling(table, first, last);
        }
        let table = table.delete_before(4);
        let files = table.listing().with_few_readers().live_files();
        assert_eq!(told_by(&files), used, "{compactions:?}");
        assert_eq!(files.len(), table.state().adds.len() + used.len(), "{compactions:?}");
    }
}

#[test]
fn a_compaction_serves_no_version_within_it() {
    let table = telling(telling(table(), 2, 5), 1, 3);
    for (version, used) in [
        (0, &[][..]),
        (1, &[]),
        (2, &[]),
        (3, &["of 1 to 3"]),
        (4, &["of 1 to 3"]),
        (5, &["of 2 to 5"]),
        (6, &["of 2 to 5"]),
    ] {
        let files = table.listing().at(version).with_few_readers().live_files();
        assert_eq!(told_by(&files), used, "version {version}");
        let expected = table.state_at(version).adds.len() + used.len();
        assert_eq!(files.len(), expected, "version {version}");
    }
}

#[test]
fn a_compaction_of_versions_that_are_not_there_yet_is_left_alone() {
    let table = table()
        .compaction_of(6, 9, [add("of the future")])
        .log_file(&compaction_name(8, 12), b"garbage");
    let listening = Listening::with_threads(0);
    let snapshot = listening.snapshot(&table).unwrap();
    assert_eq!(log_of(&snapshot), log_of(&self::table().snapshot()));
    assert_eq!(listening.take(), [""; 0]);
    assert_eq!(table.live_files(), table.state().live_files());
}

#[test]
fn a_compaction_does_not_hide_that_a_commit_is_missing() {
    // "Log Compaction Files" replace commits in reconciliation, not in the log.
    let table = table().compaction(2, 5).delete(3);
    let result = table.try_live_files();
    assert_error(result, delta_engine::ErrorKind::CorruptLog, &[&commit_name(3)]);
}

#[test]
fn a_compaction_hides_what_is_before_it() {
    // Its removes are of files that commits before it have, and a checkpoint.
    let base = || {
        TestTable::new().commit([protocol(1, 2), metadata("id long"), add("a"), add("b"), add("c")])
    };
    let commits = |table: TestTable| {
        table
            .commit([commit_info(), remove("a"), add("d")])
            .commit([commit_info(), remove("d"), add("e"), add("a").size(7)])
            .commit([commit_info(), remove("a"), remove("b")])
            .compaction(1, 3)
    };
    for table in [base(), base().checkpoint(), base().multi_part_checkpoint(2)] {
        let table = commits(table);
        assert_eq!(table.live_files(), ["c", "e"]);
        let table = table.delete_before(1);
        if !table.log_names("checkpoint").is_empty() {
            assert_eq!(table.live_files(), ["c", "e"]);
        }
        // And is hidden by what is after it.
        let table = table.commit([remove("e"), add("b").size(9)]);
        if !table.log_names("checkpoint").is_empty() {
            assert_eq!(table.live_files(), ["b", "c"]);
        }
    }
}

#[test]
fn what_is_no_file_is_read_of_a_compaction_too() {
    let changed = metadata("id long").property("k", "v");
    let table = || {
        TestTable::new()
            .commit([
                protocol(1, 2),
                metadata("id long"),
                txn("stream", 1),
                domain_metadata("kept", "0"),
                domain_metadata("changed", "0"),
                domain_metadata("removed", "0"),
            ])
            .commit([commit_info(), txn("stream", 2), domain_metadata("changed", "1")])
            .commit([commit_info(), changed.clone(), domain_metadata("removed", "").removed()])
            .commit([commit_info(), txn("stream", 4), domain_metadata("new", "3")])
            .commit([commit_info(), txn("other", 1)])
    };
    let commits = table();
    let of_commits = commits.snapshot();
    let table = table().compaction(1, 3);
    let (snapshot, storage) = opened(&table);
    assert_eq!(snapshot.metadata(), of_commits.metadata());
    assert_eq!(snapshot.metadata().configuration["k"], "v");
    let origin = snapshot.origin();
    assert_eq!(origin.metadata, Source::Compaction(3));
    assert_eq!(origin.protocol, Source::Commit(0));
    let read = storage.take();
    assert_eq!(read.read(), [commit_name(0), compaction_name(1, 3), commit_name(4)]);
    assert_eq!(snapshot.domain_metadata().unwrap(), of_commits.domain_metadata().unwrap());
    assert_eq!(snapshot.txns().unwrap(), of_commits.txns().unwrap());
}

#[test]
fn a_domain_whose_removal_a_compaction_left_out_stays_removed() {
    let table = TestTable::new()
        .commit([protocol(1, 2), metadata("id long"), domain_metadata("gone", "{}")])
        .checkpoint()
        .commit([commit_info(), domain_metadata("gone", "").removed()])
        .commit([commit_info(), add("a")]);
    // As Spark writes it: without what only says that something is no more.
    let table = table.compaction_of(1, 2, [add("a")]);
    let (snapshot, _) = opened(&table);
    assert_eq!(snapshot.origin().compactions, 1);
    assert!(snapshot.domain_metadata().unwrap().is_empty());
}

#[test]
fn a_compaction_no_smaller_than_its_commits_is_left_alone() {
    let padded = |bytes: usize| {
        let table = telling(table(), 2, 5);
        let name = table.log().join(compaction_name(2, 5));
        let mut text = fs::read(&name).unwrap();
        text.extend(vec![b' '; bytes]);
        text.push(b'\n');
        fs::write(name, text).unwrap();
        table
    };
    assert_eq!(told_by(&padded(0).live_files()), ["of 2 to 5"]);
    assert_eq!(told_by(&padded(9_000).live_files()), [""; 0]);
}

// What is bad.

#[test]
fn a_bad_compaction_gives_way_to_its_commits() {
    let good = fs::read(table().compaction(2, 5).log().join(compaction_name(2, 5))).unwrap();
    let lines: Vec<_> = good.split_inclusive(|&b| b == b'\n').collect();
    let with = |more: &[u8]| [&good[..], more].concat();
    let line = |action: Action| [action.line(), b"\n".to_vec()].concat();
    let first = serde_json::from_slice::<Value>(lines[lines.len() - 3]).unwrap();
    assert!(first["remove"].is_object() || first["add"].is_object());
    for (what, text) in [
        ("empty", Vec::new()),
        ("garbage", b"garbage".to_vec()),
        ("no UTF-8", with(b"\xff\xfe\n")),
        ("no JSON after all", with(b"{\"add\":\n")),
        ("no JSON before all", [b"{]\n", &good[..]].concat()),
        ("cut off", good[..good.len() - 9].to_vec()),
        ("cut off early", good[..good.len() / 2].to_vec()),
        ("a line that is no action", with(b"[]\n")),
        ("an add without a path", with(b"{\"add\":{\"size\":1}}\n")),
        ("a file twice", with(lines[lines.len() - 3])),
        ("a file added and removed", with(&[line(add("q")), line(remove("q"))].concat())),
        ("a path added twice", with(&[line(add("q")), line(add("q").dv(dv(3)))].concat())),
        (
            "two actions in a line",
            with(b"{\"add\":{\"path\":\"q\"},\"remove\":{\"path\":\"q\"}}\n"),
        ),
    ] {
        let table = table().log_file(&compaction_name(2, 5), &text);
        let listening = Listening::with_threads(0);
        let snapshot = listening.snapshot(&table).unwrap();
        assert_eq!(log_of(&snapshot), log_of(&self::table().snapshot()), "{what}");
        assert_eq!(
            snapshot.domain_metadata().unwrap(),
            self::table().snapshot().domain_metadata().unwrap(),
            "{what}"
        );
        assert_eq!(snapshot.txn_version("stream").unwrap(), Some(7), "{what}");
        let told = listening.take();
        assert!(!told.is_empty(), "{what}");
        for told in told {
            assert!(told.contains(&compaction_name(2, 5)), "{what}: {told}");
            assert!(told.contains("not used"), "{what}: {told}");
        }
        let files = table.listing().with_few_readers().live_files();
        assert_eq!(files, table.state().live_files(), "{what}");
    }
}

#[test]
fn a_compaction_with_two_metadata_gives_way_to_its_commits() {
    let two = [metadata("id long").property("k", "1"), metadata("id long").property("k", "2")];
    let table = table();
    let mut actions = table.compacted(2, 5);
    actions.extend(two);
    let table = table.compaction_of(2, 5, actions);
    let listening = Listening::with_threads(0);
    let snapshot = listening.snapshot(&table).unwrap();
    assert!(!snapshot.metadata().configuration.contains_key("k"));
    assert!(listening.take()[0].contains(&compaction_name(2, 5)));
}

#[test]
fn a_bad_compaction_takes_no_good_one_with_it() {
    let table = telling(table(), 1, 2).log_file(&compaction_name(3, 5), b"garbage");
    let table = telling(table, 6, 7);
    let files = table.live_files();
    assert_eq!(told_by(&files), ["of 1 to 2", "of 6 to 7"]);
    assert_eq!(files.len(), table.state().adds.len() + 2);
}

#[test]
fn a_compaction_that_vanishes_under_a_snapshot_is_no_loss() {
    let table = table().compaction(2, 5);
    let snapshot = table.snapshot();
    let table = table.delete_file(&format!("_delta_log/{}", compaction_name(2, 5)));
    assert_eq!(log_of(&snapshot), log_of(&self::table().snapshot()));
    drop(table);
}

#[test]
fn a_commit_that_contradicts_itself_is_no_reason_against_its_compaction() {
    // The last of them wins in Spark's compaction; who asks for the same reads both alike.
    let table = || {
        TestTable::new()
            .commit([protocol(1, 2), metadata("id long"), add("a")])
            .commit([commit_info(), add("b"), commit_info(), remove("b")])
            .commit([commit_info(), add("c")])
    };
    let compacted = table().compaction_of(1, 2, [remove("b"), add("c")]);
    assert_eq!(compacted.live_files(), ["a", "c"]);
    let result = table().try_live_files();
    assert_error(result, delta_engine::ErrorKind::CorruptLog, &[&commit_name(1)]);
    assert_eq!(table().listing().last_action_wins().live_files(), ["a", "c"]);
}

// Histories.

#[test]
fn random_histories_with_compactions_read_as_the_oracle_says() {
    let mut used = 0;
    for seed in 0..30 {
        let mut numbers = Numbers::from_seed(seed);
        let mut table = random_beginning(&mut numbers);
        for _ in 0..4 + numbers.below(12) {
            let commit = random_commit(&table, &mut numbers);
            table = table.commit(commit);
            if numbers.below(8) == 0 {
                table = random_checkpoint(table, &mut numbers);
            }
            let last = table.version();
            if numbers.below(3) == 0 && last > 1 {
                let first = last - 1 - numbers.below(last.min(6) - 1);
                table = match numbers.below(8) {
                    0 => table.log_file(&compaction_name(first, last), b"{\"add\":{\"path\""),
                    _ => table.compaction(first, last),
                };
            }
        }
        used += table.snapshot().origin().compactions;
        for version in [table.version(), numbers.below(table.version() + 1)] {
            let state = table.state_at(version);
            let listing = table.listing().at(version).columns(["path", "size", "deletion_vector"]);
            let found = listing.with_few_readers().rows();
            let expected = state.adds.values().map(|add| {
                let dv = &add.field("deletionVector")["pathOrInlineDv"];
                (add.path().to_owned(), add.field("size").clone(), dv.clone())
            });
            let mut expected: Vec<_> = expected.collect();
            let found = found.iter().map(|row| {
                let dv = &row["deletion_vector"]["path_or_inline_dv"];
                (row["path"].as_str().unwrap().to_owned(), row["size"].clone(), dv.clone())
            });
            let mut found: Vec<_> = found.collect();
            expected.sort_by_key(|(path, ..)| path.clone());
            found.sort_by_key(|(path, ..)| path.clone());
            assert_eq!(found, expected, "seed {seed}, version {version}");

            let root = table.root();
            let snapshot = engine(0).snapshot_at(root.to_str().unwrap(), version).unwrap();
            let domains = snapshot.domain_metadata().unwrap();
            let names: Vec<_> = domains.keys().collect();
            assert_eq!(names, state.domains.keys().collect::<Vec<_>>(), "seed {seed}");
            for (name, domain) in &state.domains {
                assert_eq!(*domain.field("configuration"), domains[name], "seed {seed}");
            }
            for (app, txn) in &state.txns {
                let found = snapshot.txn_version(app).unwrap();
                assert_eq!(found, txn.field("version").as_i64(), "seed {seed}");
            }
            let text = state.metadata.as_ref().unwrap().field("configuration");
            assert_eq!(serde_json::json!(snapshot.metadata().configuration), *text, "seed {seed}");
        }
    }
    assert!(used > 10, "{used} compactions were used");
}
