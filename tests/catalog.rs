//! Catalog-managed tables: the catalog says which commits count, and only they do.
mod common;

use common::*;
use delta_engine::{CatalogCommit, Engine, Error, ErrorKind, FILE_COLUMNS, Snapshot, Source};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A catalog-managed table whose versions 0 and 1 are published; version `n` adds
/// `n`.
fn table() -> TestTable {
    let feature = ["catalogManaged"];
    TestTable::new()
        .commit([
            info(0),
            protocol_features(&feature, &["catalogManaged", "inCommitTimestamp"]),
            metadata("id long").property("delta.enableInCommitTimestamps", "true"),
            add("0"),
        ])
        .commit([info(1), add("1")])
}

fn info(version: i64) -> Action {
    commit_info().with("inCommitTimestamp", 1_000 + version)
}

fn text(actions: impl IntoIterator<Item = Action>) -> Vec<u8> {
    let mut text = Vec::new();
    for action in actions {
        text.extend(action.line());
        text.push(b'\n');
    }
    text
}

/// What version `n` holds.
fn content(n: i64) -> Vec<u8> {
    text([info(n), add(&n.to_string())])
}

const UUID: &str = "3a0d65cd-4056-49b8-937b-95f9e3ee90e5";

fn staged_name(version: u64) -> String {
    format!("{version:020}.{UUID}.json")
}

/// The table with a staged commit.
fn staged(table: TestTable, version: u64, text: &[u8]) -> TestTable {
    table.log_file(&format!("_staged_commits/{}", staged_name(version)), text)
}

fn of_staged(version: u64) -> CatalogCommit {
    CatalogCommit::Staged(staged_name(version))
}

fn inline(version: u64, content: Vec<u8>) -> CatalogCommit {
    CatalogCommit::Inline { version, content: content.into() }
}

fn open(
    table: &TestTable,
    version: u64,
    commits: impl IntoIterator<Item = CatalogCommit>,
) -> Result<Snapshot, Error> {
    let root = table.root();
    engine(0).open(root.to_str().unwrap()).catalog(version, commits).snapshot()
}

fn listed(snapshot: &Snapshot) -> Result<Vec<Value>, Error> {
    let stream = snapshot.scan().columns(FILE_COLUMNS.iter().copied()).files()?;
    let batches = stream.collect::<Result<Vec<_>, _>>()?;
    Ok(sorted_by_path(rows_of(&batches)))
}

#[track_caller]
fn paths(snapshot: &Snapshot) -> Vec<String> {
    let rows = listed(snapshot).unwrap_or_else(|error| panic!("{error}"));
    rows.iter().map(|row| row["path"].as_str().unwrap().to_owned()).collect()
}

fn named(versions: impl IntoIterator<Item = u64>) -> Vec<String> {
    versions.into_iter().map(|version| version.to_string()).collect()
}

// What counts.

#[test]
fn without_the_catalogs_version_the_refusal_says_what_to_give() {
    let table = table();
    let says = ["catalog-managed", "give the catalog's version", "ratified commits"];
    assert_error(table.try_live_files(), ErrorKind::Unsupported, &says);
    // At an older version too, and after a refresh.
    let older = table.listing().at(0).try_live_files();
    assert_error(older, ErrorKind::Unsupported, &["catalog"]);
    let snapshot = open(&table, 1, []).unwrap();
    assert_error(snapshot.refresh().map(|_| ()), ErrorKind::Unsupported, &["catalog"]);
}

#[test]
fn a_catalog_that_has_published_all_gives_its_version_alone() {
    let table = table();
    let snapshot = open(&table, 1, []).unwrap();
    assert_eq!(snapshot.version(), 1);
    assert_eq!(paths(&snapshot), ["0", "1"]);
    let published = open(&table, 1, [CatalogCommit::Published(0), CatalogCommit::Published(1)]);
    assert_eq!(paths(&published.unwrap()), ["0", "1"]);
}

#[test]
fn staged_inline_and_published_commits_make_one_log() {
    let table = staged(table(), 2, &content(2));
    let table = staged(table, 4, &text([info(4), remove("0"), txn("stream", 4)]));
    let commits = || {
        [
            CatalogCommit::Published(1),
            of_staged(2),
            inline(3, text([info(3), add("3"), domain_metadata("d", "{}")])),
            of_staged(4),
            inline(5, text([metadata("id long, more long"), add("5")])),
        ]
    };
    for threads in [0, 2] {
        let engine = Engine::builder().threads(threads).build().unwrap();
        let opened = engine.open(table.root().to_str().unwrap()).catalog(5, commits());
        let snapshot = opened.snapshot().unwrap();
        assert_eq!(snapshot.version(), 5);
        assert_eq!(snapshot.txn_version("stream").unwrap(), Some(4));
        assert_eq!(snapshot.domain_metadata().unwrap()["d"], "{}");
        assert_eq!(snapshot.schema().fields.len(), 2);
        assert_eq!(snapshot.origin().metadata, Source::Commit(5));
        // As often as it is asked.
        for _ in 0..3 {
            assert_eq!(paths(&snapshot), ["1", "2", "3", "5"]);
        }
    }
    // Inline commits are no files: none is looked for.
    let storage = Watched::of(&table);
    let opened = engine(0).open_in(Arc::clone(&storage) as _).catalog(5, commits());
    assert_eq!(paths(&opened.snapshot().unwrap()), ["1", "2", "3", "5"]);
    let staged = |version| format!("_staged_commits/{}", staged_name(version));
    let read = [commit_name(0), commit_name(1), staged(2), staged(4)];
    assert_eq!(storage.take().read(), read);
}

#[test]
fn a_big_inline_commit_is_cut_as_a_file_would_be() {
    let adds = |n: usize| (0..n).map(|n| add(&format!("part-{n:06}")).stats(&"x".repeat(200)));
    let table = table();
    let big = inline(2, text(adds(6_000)));
    let snapshot = open(&table, 2, [big]).unwrap();
    for _ in 0..2 {
        assert_eq!(paths(&snapshot).len(), 6_002);
    }
}

#[test]
fn the_commit_that_the_catalog_gives_wins_over_the_published_one() {
    let other = text([info(2), add("of the catalog")]);
    let table = table().commit([info(2), add("of the log")]);
    let given = || [inline(2, other.clone())];
    assert_eq!(paths(&open(&table, 2, []).unwrap()), ["0", "1", "of the log"]);
    assert_eq!(paths(&open(&table, 2, given()).unwrap()), ["0", "1", "of the catalog"]);
    let table = staged(table, 2, &other);
    assert_eq!(paths(&open(&table, 2, [of_staged(2)]).unwrap()), ["0", "1", "of the catalog"]);
    // And over a compaction of the published ones.
    let table = table.compaction(1, 2);
    assert_eq!(open(&table, 2, []).unwrap().origin().compactions, 1);
    let snapshot = open(&table, 2, given()).unwrap();
    assert_eq!(snapshot.origin().compactions, 0);
    assert_eq!(paths(&snapshot), ["0", "1", "of the catalog"]);
}

#[test]
fn what_the_catalog_has_not_ratified_is_ignored() {
    let ratified = |table: &TestTable| paths(&open(table, 1, []).unwrap());
    let table = table()
        .commit([info(2), add("2")])
        .commit([info(3), remove("0"), txn("stream", 3)])
        .checkpoint()
        .checksum()
        .compaction(1, 3)
        .last_checkpoint(r#"{"version":3,"size":1,"numOfAddFiles":99}"#)
        .commit_at(9, [add("beyond a gap")]);
    let table = staged(table, 2, b"garbage");
    assert_eq!(ratified(&table), ["0", "1"]);
    let snapshot = open(&table, 1, []).unwrap();
    assert_eq!(snapshot.txn_version("stream").unwrap(), None);
    let origin = snapshot.origin();
    assert_eq!((origin.checkpoint, origin.checksum, origin.compactions), (None, None, 0));
    // Nor does a staged commit that the catalog does not give count.
    let with_one = open(&table, 2, [inline(2, text([info(2), add("ratified")]))]).unwrap();
    assert_eq!(paths(&with_one), ["0", "1", "ratified"]);
    // A later version has what it may have.
    let newest = open(&table, 3, []);
    assert_error(
        newest.and_then(|snapshot| listed(&snapshot)),
        ErrorKind::CorruptLog,
        &["_last_checkpoint says"],
    );
}

#[test]
fn a_checkpoint_and_a_checksum_of_ratified_versions_are_used() {
    let table = table().commit([info(2), add("2")]).checkpoint().checksum().delete_before(3);
    let commits = || [inline(3, text([info(3), add("3"), txn("stream", 3)]))];
    let storage = Watched::of(&table);
    let opened = engine(0).open_in(Arc::clone(&storage) as _).catalog(3, commits());
    let snapshot = opened.snapshot().unwrap();
    assert_eq!(snapshot.txn_version("stream").unwrap(), Some(3));
    assert_eq!(storage.take().read(), [checksum_name(2)]);
    assert_eq!(snapshot.origin().checkpoint, Some(2));
    assert_eq!(paths(&snapshot), named(0..=3));
    // Commits before it may be given all the same.
    let more = [CatalogCommit::Published(1), CatalogCommit::Published(2)];
    let snapshot = open(&table, 3, more.into_iter().chain(commits())).unwrap();
    assert_eq!(paths(&snapshot), named(0..=3));
}

#[test]
fn the_timestamp_of_a_version_is_that_of_its_ratified_commit() {
    let table = staged(table(), 2, &content(2));
    let commits = [of_staged(2), inline(3, content(3))];
    for version in 0..=3u64 {
        let root = table.root();
        let builder = engine(0).open(root.to_str().unwrap()).version(version);
        let snapshot = builder.catalog(3, commits.clone()).snapshot().unwrap();
        assert_eq!(snapshot.timestamp_ms().unwrap(), 1_000 + version as i64);
    }
}

// Versions.

#[test]
fn every_version_up_to_the_catalogs_can_be_read() {
    let table = staged(staged(table(), 2, &content(2)), 4, &content(4));
    let commits = [of_staged(2), inline(3, content(3)), of_staged(4)];
    let root = table.root();
    let at = |version: u64| {
        let builder = engine(0).open(root.to_str().unwrap()).version(version);
        builder.catalog(4, commits.clone()).snapshot()
    };
    for version in 0..=4 {
        let snapshot = at(version).unwrap();
        assert_eq!(snapshot.version(), version);
        assert_eq!(paths(&snapshot), named(0..=version));
    }
    let beyond = at(5).map(|_| ());
    assert_error(beyond, ErrorKind::NotFound, &["version 5", "latest version is 4"]);
}

#[test]
fn a_catalogs_version_that_nothing_leads_to_is_not_found_or_a_gap() {
    let table = table();
    let missing = open(&table, 3, []).map(|_| ());
    assert_error(missing, ErrorKind::NotFound, &["3", "ends at version 1"]);
    // A gap between what is published and what is given.
    let gap = open(&table, 3, [inline(3, content(3))]).map(|_| ());
    assert_error(gap, ErrorKind::CorruptLog, &[&commit_name(2)]);
    let missing = open(&table, 2, [of_staged(2)]).and_then(|snapshot| listed(&snapshot));
    assert_error(missing, ErrorKind::NotFound, &[&staged_name(2)]);
}

#[test]
fn a_broken_ratified_commit_is_named() {
    let cut = b"{\"add\":{\"path\":\"x\"";
    let staged = staged(table(), 2, cut);
    let result = open(&staged, 2, [of_staged(2)]).and_then(|snapshot| listed(&snapshot));
    assert_error(result, ErrorKind::CorruptLog, &[&staged_name(2), "line 1"]);
    let result = open(&table(), 2, [inline(2, cut.to_vec())]).and_then(|s| listed(&s));
    assert_error(result, ErrorKind::CorruptLog, &[&commit_name(2), "line 1"]);
    let twice = text([add("x"), remove("x")]);
    let result = open(&table(), 2, [inline(2, twice)]).and_then(|s| listed(&s));
    assert_error(result, ErrorKind::CorruptLog, &[&commit_name(2), "\"x\""]);
}

#[test]
fn a_refresh_takes_what_the_catalog_now_says() {
    let table = staged(staged(table(), 2, &content(2)), 3, &content(3));
    let first = open(&table, 2, [of_staged(2)]).unwrap();
    assert_eq!(first.txn_version("stream").unwrap(), None);
    let refreshed = |from: &Snapshot, version, commits: &[CatalogCommit]| {
        from.refresh_to().catalog(version, commits.to_vec()).snapshot()
    };
    // One more is staged, and then all that is staged is published.
    let second = refreshed(&first, 3, &[of_staged(2), of_staged(3)]).unwrap();
    assert_eq!(paths(&second), named(0..=3));
    let mut table = table;
    for version in 2..=3 {
        let staged = table.log().join("_staged_commits").join(staged_name(version));
        std::fs::rename(staged, table.log().join(commit_name(version))).unwrap();
    }
    let third = refreshed(&second, 3, &[]).unwrap();
    assert_eq!(paths(&third), named(0..=3));
    table = table.log_file(&commit_name(4), &content(4));
    let fourth = refreshed(&third, 5, &[inline(5, text([info(5), txn("stream", 5)]))]).unwrap();
    assert_eq!(paths(&fourth), named(0..=4));
    assert_eq!(fourth.txn_version("stream").unwrap(), Some(5));
    // What was inline is published.
    table = table.log_file(&commit_name(5), &text([info(5), txn("stream", 5)]));
    for from in [&first, &second, &third, &fourth] {
        let newest = refreshed(from, 5, &[]).unwrap();
        assert_eq!(paths(&newest), named(0..=4));
        assert_eq!(newest.txn_version("stream").unwrap(), Some(5));
        assert_eq!(newest.protocol(), first.protocol());
        let older = from.refresh_to().catalog(5, []).version(3).snapshot().unwrap();
        assert_eq!(paths(&older), named(0..=3));
    }
    drop(table);
}

// What is no catalog's answer.

#[test]
fn commits_that_are_no_log_are_refused() {
    let table = table();
    let refused = |version: u64, commits: &[u64], says: &[&str]| {
        let commits = commits.iter().map(|&version| inline(version, content(version as i64)));
        let result = open(&table, version, commits).map(|_| ());
        assert_error(result, ErrorKind::InvalidArgument, says);
    };
    refused(4, &[2, 4], &["from version 2 to 4"]);
    refused(3, &[3, 2], &["from version 3 to 2"]);
    refused(2, &[2, 2], &["from version 2 to 2"]);
    refused(2, &[2, 3], &["up to version 3", "version 2"]);
    refused(u64::MAX, &[u64::MAX, 0], &["to 0"]);
}

#[test]
fn a_staged_commit_has_the_name_of_one() {
    let name = staged_name(2);
    let bare = table();
    for good in [
        name.clone(),
        format!("_staged_commits/{name}"),
        format!("_delta_log/_staged_commits/{name}"),
    ] {
        let table = staged(table(), 2, &content(2));
        let snapshot = open(&table, 2, [CatalogCommit::Staged(good)]).unwrap();
        assert_eq!(paths(&snapshot), named(0..=2));
    }
    for bad in [
        String::new(),
        "..".to_owned(),
        commit_name(2),
        format!("2.{UUID}.json"),
        format!("{:020}..json", 2),
        format!("{:020}.{UUID}", 2),
        format!("{:020}.{UUID}.crc", 2),
        format!("{:020}.{UUID}.json.tmp", 2),
        format!("{:020}.not a uuid.json", 2),
        format!("{:020}.../../{UUID}.json", 2),
        format!("{:020}.{UUID}/../x.json", 2),
        format!("../{name}"),
        format!("../../elsewhere/{name}"),
        format!("_staged_commits/../{name}"),
        format!("elsewhere/{name}"),
        format!("elsewhere/_delta_log/_staged_commits/{name}"),
        format!("_delta_log/{name}"),
        format!("/{name}"),
        format!("/tmp/{name}"),
        format!("file:///tmp/{name}"),
        format!("s3://key:secret@bucket/_delta_log/_staged_commits/{name}"),
        format!("{}.{UUID}.json", "9".repeat(20)),
        format!("+{:019}.{UUID}.json", 2),
        format!("{name}\u{1b}[31m"),
    ] {
        let result = open(&bare, 2, [CatalogCommit::Staged(bad.clone())]).map(|_| ());
        let error =
            assert_error(result, ErrorKind::InvalidArgument, &["commit 1", "staged commit"]);
        assert!(!error.message().contains("secret"), "{error}");
    }
}

#[test]
fn a_catalogs_version_is_refused_for_any_other_table() {
    let plain = TestTable::new().commit([protocol(1, 2), metadata("id long"), add("a")]);
    let result = open(&plain, 0, []).map(|_| ());
    assert_error(result, ErrorKind::InvalidArgument, &["not catalog-managed"]);
    let refreshed = plain.snapshot().refresh_to().catalog(0, []).snapshot();
    assert_error(refreshed.map(|_| ()), ErrorKind::InvalidArgument, &["not catalog-managed"]);
    // The preview's name is as good as the other.
    let preview = ["catalogOwned-preview"];
    let table = TestTable::new().commit([
        protocol_features(&preview, &preview),
        metadata("id long"),
        add("a"),
    ]);
    assert_eq!(paths(&open(&table, 0, []).unwrap()), ["a"]);
}

#[test]
fn a_table_that_its_catalog_has_let_go_is_a_plain_one() {
    let table = table().commit([info(2), protocol_features(&[], &["inCommitTimestamp"])]);
    assert_eq!(table.live_files(), ["0", "1"]);
    let result = open(&table, 2, []).map(|_| ());
    assert_error(result, ErrorKind::InvalidArgument, &["not catalog-managed"]);
    // As it was before, it is its catalog's.
    assert_error(table.listing().at(1).try_live_files(), ErrorKind::Unsupported, &["catalog"]);
    assert_eq!(paths(&open(&table, 1, []).unwrap()), ["0", "1"]);
}

// Tables that others wrote.

fn acceptance_table(name: &str) -> Option<PathBuf> {
    Some(acceptance_tables()?.join(name).join("table"))
}

/// The rows of each version of an acceptance table, and when it was committed.
#[track_caller]
fn assert_versions(table: &Path, staged: &[&str], expected: &[(i64, Vec<Value>)]) {
    let latest = expected.len() as u64 - 1;
    for (version, (timestamp, rows)) in expected.iter().enumerate() {
        for threads in [0, 2] {
            let commits = staged.iter().map(|name| CatalogCommit::Staged((*name).to_owned()));
            let builder = engine(threads).open(table.to_str().unwrap());
            let snapshot = builder.version(version as u64).catalog(latest, commits).snapshot();
            let snapshot = snapshot.unwrap();
            let stream = snapshot.scan().columns(["path", "size", "num_records", "partition"]);
            let batches: Vec<_> = stream.files().unwrap().collect::<Result<_, _>>().unwrap();
            assert_eq!(sorted_by_path(rows_of(&batches)), *rows, "version {version}");
            if *timestamp > 0 {
                assert_eq!(snapshot.timestamp_ms().unwrap(), *timestamp, "version {version}");
            }
        }
    }
    let refused = engine(0).snapshot(table.to_str().unwrap()).map(|_| ());
    assert_error(refused, ErrorKind::Unsupported, &["catalog"]);
}

#[test]
fn a_benchmarks_table_reads_by_its_staged_commits() {
    let Some(table) = acceptance_table("delta-bench__basic_catalog_managed.delta") else { return };
    let file = |name: &str, size: i64, rows: i64| {
        let path = format!("part-00000-{name}-c000.snappy.parquet");
        json!({"path": path, "size": size, "num_records": rows, "partition": {}})
    };
    let first = file("c9f44819-b06d-45dd-b33d-ae9aa1b96909", 996, 3);
    let second = file("a9daef62-5a40-43c5-ac63-3ad4a7d749ae", 984, 2);
    assert_versions(
        &table,
        &[
            "00000000000000000002.a1b2c3d4-e5f6-4a7b-8c9d-0e1f2a3b4c5d.json",
            "00000000000000000003.f7e8d9c0-b1a2-4536-9748-5a6b7c8d9e0f.json",
        ],
        &[
            (1_712_091_396_253, vec![first.clone()]),
            // The commit lacks the timestamp that the table demands: its file's is taken.
            (0, vec![second, first.clone()]),
            // The staged commits remove one file each.
            (1_712_091_410_000, vec![first]),
            (1_712_091_415_000, vec![]),
        ],
    );
}

#[test]
fn a_kernels_table_reads_by_its_staged_commits() {
    let Some(table) = acceptance_table("delta-kernel__catalog-owned-preview") else { return };
    let file = |part: i32, name: &str, size: i64| {
        let path = format!("part1={part}/part-00000-{name}.c000.snappy.parquet");
        json!({"path": path, "size": size, "num_records": 100, "partition": {"part1": part}})
    };
    let first = file(0, "13fefaba-8ec2-4762-b17e-aeda657451c5", 889);
    let second = file(1, "8afb1c56-2018-4af2-aa4f-4336c1b39efd", 891);
    assert_versions(
        &table,
        &[
            "00000000000000000001.4cb9708e-b478-44de-b203-53f9ba9b2876.json",
            "00000000000000000002.5b9bba4a-0085-430d-a65e-b0d38c1afbe9.json",
        ],
        &[
            (1_749_830_855_993, vec![]),
            (1_749_830_871_085, vec![first.clone()]),
            (1_749_830_881_799, vec![first, second]),
        ],
    );
}
