//! What a writer counted, in a version's checksum and in and beside its
//! checkpoints: it spares reading the log, and a listing that disagrees with it
//! never passes for a good one.
mod common;

use bytes::Bytes;
use common::*;
use delta_engine::{
    CancelHandle, Error, ErrorKind, FILE_COLUMNS, FileStat, Snapshot, Source, Storage,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::sync::{Arc, Mutex};

/// Versions 0 to 2, whose live files are `b`, `c` and `d`, of 2, 3 and 4 bytes.
fn table() -> TestTable {
    let features = ["inCommitTimestamp", "domainMetadata"];
    let info = |ms: i64| commit_info().with("inCommitTimestamp", ms);
    TestTable::new()
        .commit([
            info(1_000),
            protocol_features(&["deletionVectors"], &features),
            metadata("id long, p string")
                .partitioned_by(&["p"])
                .property("delta.enableInCommitTimestamps", "true"),
            txn("old", 1),
            txn("stream", 1),
            domain_metadata("kept", "{\"n\":0}"),
            domain_metadata("changed", "{\"n\":0}"),
            add("a").size(1).partition("p", Some("x")),
            add("b").size(2).partition("p", None),
        ])
        .commit([info(2_000), txn("stream", 2), remove("a"), add("c").size(3)])
        .commit([info(3_000), add("d").size(4), domain_metadata("other", "{}")])
}

const LIVE: [&str; 3] = ["b", "c", "d"];

fn columns() -> [&'static [&'static str]; 5] {
    [&["path"], &["size"], &["path", "size", "stats"], &["partition", "num_records"], FILE_COLUMNS]
}

/// The newest version, and what is asked of its storage.
fn opened(table: &TestTable) -> (Snapshot, Arc<Watched>) {
    let storage = Watched::of(table);
    let snapshot = engine(0).open_in(Arc::clone(&storage) as _).snapshot();
    (snapshot.expect("a snapshot"), storage)
}

fn domains(snapshot: &Snapshot) -> BTreeMap<String, String> {
    snapshot.domain_metadata().expect("domains").clone()
}

fn txns(snapshot: &Snapshot) -> BTreeMap<String, i64> {
    let txns = snapshot.txns().expect("transactions");
    txns.into_iter().map(|(app, txn)| (app.to_owned(), txn.version)).collect()
}

/// That a snapshot says of all but the files what the oracle does.
#[track_caller]
fn assert_says_what_the_log_does(snapshot: &Snapshot, table: &TestTable) {
    let state = table.state();
    let text = |action: &Action, field: &str| action.field(field).as_str().unwrap().to_owned();
    let expected: BTreeMap<_, _> = state
        .domains
        .values()
        .map(|domain| (text(domain, "domain"), text(domain, "configuration")))
        .collect();
    assert_eq!(domains(snapshot), expected);
    let expected: BTreeMap<_, _> = state
        .txns
        .values()
        .map(|txn| (text(txn, "appId"), txn.field("version").as_i64().unwrap()))
        .collect();
    assert_eq!(txns(snapshot), expected);
    let metadata = state.metadata.unwrap();
    assert_eq!(snapshot.metadata().schema_string, text(&metadata, "schemaString"));
    assert_eq!(json!(snapshot.metadata().configuration), *metadata.field("configuration"));
    let protocol = state.protocol.unwrap();
    assert_eq!(json!(snapshot.protocol().writer_features), *protocol.field("writerFeatures"));
}

// What spares reading the log.

#[test]
fn all_but_the_files_comes_from_the_checksum_of_the_version() {
    let table = table().checksum();
    let (snapshot, storage) = opened(&table);
    assert_says_what_the_log_does(&snapshot, &table);
    assert_eq!(snapshot.timestamp_ms().unwrap(), 3_000);
    assert_eq!(snapshot.txn_version("stream").unwrap(), Some(2));
    assert_eq!(snapshot.file_statistics().unwrap().num_files, 3);

    let record = storage.take();
    assert_eq!(record.read(), [checksum_name(2)]);
    let origin = snapshot.origin();
    let source = Source::Checksum(2);
    assert_eq!((origin.protocol, origin.metadata), (source, source));
    assert_eq!((origin.domain_metadata, origin.txns), (Some(source), Some(source)));
    assert_eq!(origin.checksum, Some(2));
    assert_eq!((origin.files_read, origin.bytes_read), (1, record.bytes));
    assert_eq!(record.bytes, fs::metadata(table.log().join(checksum_name(2))).unwrap().len());
    assert_eq!(table.live_files(), LIVE);
}

#[test]
fn a_checksum_stands_before_a_checkpoint_too() {
    // A footer of nonsense: nothing but the checksum is looked at.
    let table = table().log_file(&checkpoint_name(2), b"nonsense").checksum();
    let (snapshot, storage) = opened(&table);
    assert_says_what_the_log_does(&snapshot, &table);
    assert_eq!(snapshot.origin().checkpoint, Some(2));
    assert_eq!(storage.take().read(), [checksum_name(2)]);
}

#[test]
fn what_was_not_asked_for_has_no_source_yet() {
    let table = table().checksum();
    let origin = opened(&table).0.origin();
    assert_eq!((origin.domain_metadata, origin.txns), (None, None));
}

#[test]
fn newer_commits_are_applied_to_an_older_checksum() {
    let table = table().checksum().commit([
        metadata("id long, p string, q long").partitioned_by(&["p"]),
        domain_metadata("changed", "{\"n\":1}"),
        domain_metadata("kept", "").removed(),
        domain_metadata("new", "{}"),
        txn("stream", 9),
        txn("newer", 1),
        add("e").size(5),
    ]);
    let (snapshot, storage) = opened(&table);
    assert_says_what_the_log_does(&snapshot, &table);
    assert_eq!(domains(&snapshot)["changed"], "{\"n\":1}");
    assert!(!domains(&snapshot).contains_key("kept"));
    assert_eq!(
        txns(&snapshot),
        BTreeMap::from(
            [("newer", 1), ("old", 1), ("stream", 9)].map(|(app, n)| (app.to_owned(), n))
        )
    );

    assert_eq!(storage.take().read(), [checksum_name(2), commit_name(3)]);
    let origin = snapshot.origin();
    assert_eq!(origin.protocol, Source::Checksum(2));
    assert_eq!(origin.metadata, Source::Commit(3));
    let both = Some(Source::Replay);
    assert_eq!((origin.domain_metadata, origin.txns), (both, both));
    // It says nothing of the files of this version.
    assert_eq!(snapshot.file_statistics(), None);
    assert_eq!(table.live_files(), ["b", "c", "d", "e"]);
}

#[test]
fn the_newest_checksum_is_the_base() {
    let table = table().checksum().commit([txn("stream", 5)]).checksum().commit([txn("old", 6)]);
    let (snapshot, storage) = opened(&table);
    assert_says_what_the_log_does(&snapshot, &table);
    assert_eq!(storage.take().read(), [checksum_name(3), commit_name(4)]);
    assert_eq!(snapshot.origin().checksum, Some(3));
}

#[test]
fn a_checksum_older_than_the_checkpoint_is_no_source() {
    let table = table().checksum().commit([add("e")]).checkpoint();
    let (snapshot, storage) = opened(&table);
    assert_says_what_the_log_does(&snapshot, &table);
    assert_eq!(snapshot.origin().checksum, None);
    assert_eq!(storage.take().read(), [checkpoint_name(3)]);
    // That of the checkpoint's own version is one.
    let table = table.checksum().commit([add("f")]);
    let (snapshot, storage) = opened(&table);
    assert_says_what_the_log_does(&snapshot, &table);
    assert_eq!(storage.take().read(), [checksum_name(3), commit_name(4)]);
}

#[test]
fn a_checksum_is_no_source_for_what_it_leaves_out() {
    for (left_out, from_checksum) in [("setTransactions", "domains"), ("domainMetadata", "txns")] {
        for absent in [true, false] {
            let table = table().checksum_as(|checksum| {
                if absent {
                    checksum.as_object_mut().unwrap().shift_remove(left_out);
                } else {
                    checksum[left_out] = Value::Null;
                }
            });
            let snapshot = opened(&table).0;
            assert_says_what_the_log_does(&snapshot, &table);
            let origin = snapshot.origin();
            assert_eq!(origin.protocol, Source::Checksum(2));
            let (replayed, summed) = match from_checksum {
                "domains" => (origin.txns, origin.domain_metadata),
                _ => (origin.domain_metadata, origin.txns),
            };
            assert_eq!(replayed, Some(Source::Replay), "without {left_out}");
            assert_eq!(summed, Some(Source::Checksum(2)), "without {left_out}");
        }
    }
    // An empty list says that there is none.
    let table = TestTable::new().commit([protocol(1, 2), metadata("id long")]).checksum();
    let (snapshot, storage) = opened(&table);
    assert!(txns(&snapshot).is_empty() && domains(&snapshot).is_empty());
    assert_eq!(storage.take().read(), [checksum_name(0)]);
}

#[test]
fn a_checksum_without_a_protocol_or_metadata_serves_to_check_alone() {
    for left_out in [&["protocol"][..], &["metadata"], &["protocol", "metadata"]] {
        let without = |files: u64| {
            table().checksum_as(|checksum| {
                let fields = checksum.as_object_mut().unwrap();
                left_out.iter().for_each(|field| drop(fields.shift_remove(*field)));
                fields["numFiles"] = json!(files);
            })
        };
        let table = without(3);
        let snapshot = opened(&table).0;
        assert_says_what_the_log_does(&snapshot, &table);
        assert_eq!(snapshot.origin().protocol, Source::Commit(0), "{left_out:?}");
        assert_eq!(snapshot.origin().metadata, Source::Commit(0), "{left_out:?}");
        assert_eq!(table.live_files(), LIVE);
        assert_error(without(4).try_live_files(), ErrorKind::CorruptLog, &[&checksum_name(2)]);
    }
}

#[test]
fn a_broken_checksum_is_told_and_not_used() {
    let good = fs::read(table().checksum().log().join(checksum_name(2))).unwrap();
    let changed = |field: &str, value: Value| {
        let mut checksum: Value = serde_json::from_slice(&good).unwrap();
        checksum[field] = value;
        checksum.to_string().into_bytes()
    };
    for bad in [
        Vec::new(),
        b"garbage".to_vec(),
        b"\xff\xfe".to_vec(),
        good[..good.len() / 2].to_vec(),
        changed("numFiles", json!(-3)),
        changed("numMetadata", json!(2)),
        changed("tableSizeBytes", Value::Null),
        changed("setTransactions", json!([{"version": 1}])),
    ] {
        let table = table().log_file(&checksum_name(2), &bad);
        let listening = Listening::with_threads(0);
        let snapshot = listening.snapshot(&table).unwrap();
        assert_says_what_the_log_does(&snapshot, &table);
        assert_eq!(snapshot.timestamp_ms().unwrap(), 3_000);
        assert_eq!(snapshot.file_statistics(), None);
        assert_eq!(snapshot.origin().protocol, Source::Commit(0));
        let listed: Result<Vec<_>, _> = snapshot.scan().files().unwrap().collect();
        assert_eq!(rows_of(&listed.unwrap()).len(), 3);
        let told = listening.take();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&checksum_name(2)), "{told:?}");
        assert_eq!(table.live_files(), LIVE);
    }
    // Nor does an older one take its place.
    let table = table().checksum().commit([add("e")]).log_file(&checksum_name(3), b"garbage");
    assert_says_what_the_log_does(&opened(&table).0, &table);
    assert_eq!(table.live_files(), ["b", "c", "d", "e"]);
}

#[test]
fn a_checksum_keeps_nobody_from_a_table_that_its_log_describes_well() {
    let changes: [fn(&mut Value); 6] = [
        |c| c["protocol"]["minReaderVersion"] = json!(99),
        |c| c["protocol"]["minWriterVersion"] = json!(1),
        |c| c["protocol"]["readerFeatures"] = json!(["ofTheFuture"]),
        |c| c["metadata"]["schemaString"] = json!("nonsense"),
        |c| c["metadata"]["partitionColumns"] = json!(["no column"]),
        |c| c["protocol"]["readerFeatures"] = json!(["catalogManaged"]),
    ];
    for change in changes {
        // At the version itself, and as the base of a newer one.
        for newer in [false, true] {
            let table = table().checksum_as(change);
            let table = if newer { table.commit([add("e")]) } else { table };
            let listening = Listening::with_threads(0);
            let snapshot = listening.snapshot(&table).unwrap();
            assert_says_what_the_log_does(&snapshot, &table);
            assert_eq!(snapshot.origin().protocol, Source::Commit(0));
            let told = listening.take();
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(
                told[0].contains("a checksum's protocol and metaData are not used"),
                "{told:?}"
            );
            // Only where it speaks of this very version does it disagree.
            if newer {
                assert_eq!(table.live_files(), ["b", "c", "d", "e"]);
            } else {
                let result = table.listing().with_few_readers().try_live_files();
                assert_error(result, ErrorKind::CorruptLog, &[&checksum_name(2)]);
            }
        }
    }
    // The other side: what the log says too is no fault of the checksum.
    let refused = |reader: i32| {
        TestTable::new().commit([protocol(reader, 99), metadata("id long")]).checksum()
    };
    assert_error(refused(99).try_snapshot().map(|_| ()), ErrorKind::Unsupported, &["99"]);
    assert!(refused(1).try_snapshot().is_ok());
}

#[test]
fn the_files_are_counted_without_reading_them() {
    let table = table().checksum_as(|checksum| {
        checksum["numDeletionVectorsOpt"] = json!(0);
        checksum["histogramOpt"] =
            json!({"sortedBinBoundaries": [0, 3], "fileCounts": [1, 2], "totalBytes": [2, 7]});
    });
    let (snapshot, storage) = opened(&table);
    let files = snapshot.file_statistics().unwrap();
    assert_eq!((files.num_files, files.size_bytes), (3, 9));
    assert_eq!((files.num_deletion_vectors, files.num_deleted_records), (Some(0), None));
    assert_eq!(files.size_histogram.unwrap().file_counts, [1, 2]);
    assert_eq!(storage.take().read(), [checksum_name(2)]);
    // Of an older version there is none.
    let older = engine(0).snapshot_at(table.root().to_str().unwrap(), 1).unwrap();
    assert_eq!(older.file_statistics(), None);
}

#[test]
fn the_timestamp_is_the_commits_own_where_the_checksum_has_none() {
    let table = table().checksum_as(|checksum| checksum["inCommitTimestampOpt"] = Value::Null);
    let (snapshot, storage) = opened(&table);
    assert_eq!(snapshot.timestamp_ms().unwrap(), 3_000);
    assert_eq!(storage.take().read(), [checksum_name(2), commit_name(2)]);
}

// A listing that disagrees.

/// A disagreement: the name, the change, and what the error says of it.
type Disagreement = (&'static str, fn(&mut Value), &'static str);

const DISAGREEMENTS: [Disagreement; 8] = [
    ("a file more", |c| c["numFiles"] = json!(4), "live files"),
    ("a file less", |c| c["numFiles"] = json!(2), "live files"),
    ("no file", |c| c["numFiles"] = json!(0), "live files"),
    ("a byte more", |c| c["tableSizeBytes"] = json!(10), "bytes of live files"),
    ("a byte less", |c| c["tableSizeBytes"] = json!(8), "bytes of live files"),
    ("another protocol", |c| c["protocol"]["readerFeatures"] = json!([]), "protocol"),
    ("another table", |c| c["metadata"]["id"] = json!("another"), "metaData"),
    ("another property", |c| c["metadata"]["configuration"]["k"] = json!("v"), "metaData"),
];

#[test]
fn a_listing_that_disagrees_with_the_checksum_ends_with_an_error_that_names_it() {
    for (what, change, said) in DISAGREEMENTS {
        let table = table().checksum_as(change);
        let name = checksum_name(2);
        let result = table.listing().with_few_readers().try_live_files();
        assert_error(result, ErrorKind::CorruptLog, &[&name, said]);
        // The snapshot itself is no listing.
        assert_eq!(table.snapshot().version(), 2, "{what}");
    }
    for columns in columns() {
        let (_, change, said) = DISAGREEMENTS[3];
        let listing = table().checksum_as(change);
        let listing = listing.listing().columns(columns.iter().copied());
        assert_error(listing.batches(), ErrorKind::CorruptLog, &[&checksum_name(2), said]);
    }
}

/// The batches of a scan by an engine of so many threads, and its warnings.
fn listed(
    table: &TestTable,
    threads: usize,
    columns: &[&str],
    warns: bool,
) -> (Vec<arrow::array::RecordBatch>, Option<Error>, Vec<String>) {
    let listening = Listening::with_threads(threads);
    let mut scan = listening.snapshot(table).unwrap().scan().columns(columns.iter().copied());
    if warns {
        scan = scan.disagreements_warn();
    }
    let stream = scan.files().unwrap();
    let schema = stream.schema();
    let mut batches = Vec::new();
    let mut error = None;
    for batch in stream {
        match batch {
            Ok(batch) => {
                assert_eq!(batch.schema(), schema);
                batches.push(batch);
            }
            Err(e) => {
                error = Some(e);
                break;
            }
        }
    }
    (batches, error, listening.take())
}

#[test]
fn a_disagreement_can_be_a_warning_and_the_batches_are_the_same() {
    let none: &[&str] = &[];
    for columns in columns().into_iter().chain([none]) {
        let (expected, error, told) = listed(&table(), 0, columns, false);
        assert!(error.is_none() && told.is_empty());
        assert_eq!(expected.iter().map(|batch| batch.num_rows()).sum::<usize>(), 3);
        for (what, change, said) in DISAGREEMENTS {
            for threads in [0, 2] {
                let table = table().checksum_as(change);
                let (batches, error, told) = listed(&table, threads, columns, true);
                assert!(batches == expected && error.is_none(), "{what}: {error:?}");
                assert_eq!(told.len(), 1, "{what}: {told:?}");
                assert!(told[0].contains(&checksum_name(2)) && told[0].contains(said), "{told:?}");
                // Without leave to go on, all batches come before the error.
                let (batches, error, told) = listed(&table, threads, columns, false);
                assert!(batches == expected && told.is_empty(), "{what}: {told:?}");
                assert_error(error.map_or(Ok(()), Err), ErrorKind::CorruptLog, &[said]);
            }
        }
        // All of them at once are told at once.
        let all =
            table().checksum_as(|c| DISAGREEMENTS.iter().for_each(|(_, change, _)| change(c)));
        let told = listed(&all, 0, columns, true).2;
        assert_eq!(told.len(), 4, "{told:?}");
    }
}

#[test]
fn an_older_checksum_that_the_snapshot_relies_on_is_held_to_its_word() {
    let with = |change: fn(&mut Value)| table().checksum_as(change).commit([commit_info()]);
    assert_eq!(with(|_| {}).live_files(), LIVE);
    let table = with(|checksum| checksum["metadata"]["configuration"]["k"] = json!("v"));
    let name = checksum_name(2);
    assert_error(table.try_live_files(), ErrorKind::CorruptLog, &["metaData", &name]);
    let table = with(|checksum| checksum["protocol"]["writerFeatures"] = json!(["new"]));
    assert_error(table.try_live_files(), ErrorKind::CorruptLog, &["protocol", &name]);
    // Its counts are of another version.
    let table = with(|checksum| checksum["numFiles"] = json!(99));
    assert_eq!(table.live_files(), LIVE);
}

/// A storage whose stream is cancelled by the first read of a commit after the
/// listing itself.
struct Cancels {
    inner: Arc<Watched>,
    cancel: Mutex<Option<CancelHandle>>,
}

impl Storage for Cancels {
    fn list(
        &self,
        dir: &str,
        from: &str,
        visit: &mut dyn FnMut(&str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.inner.list(dir, from, visit)
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, Error> {
        if let Some(cancel) = self.cancel.lock().unwrap().take() {
            cancel.cancel();
        }
        self.inner.read_range(name, range)
    }

    fn stat(&self, name: &str) -> Result<FileStat, Error> {
        self.inner.stat(name)
    }

    fn root(&self) -> &str {
        self.inner.root()
    }
}

#[test]
fn the_comparison_with_the_log_ends_when_the_stream_is_cancelled() {
    let mut table = table();
    for n in 0..200 {
        table = table.commit([commit_info().with("inCommitTimestamp", 4_000 + n)]);
    }
    let table = table.checksum();
    let inner = Watched::of(&table);
    let storage = Arc::new(Cancels { inner: Arc::clone(&inner), cancel: Mutex::default() });
    let snapshot = engine(0).open_in(Arc::clone(&storage) as _).snapshot().unwrap();
    let mut stream = snapshot.scan().batch_rows(1).files().unwrap();
    for _ in LIVE {
        stream.next().unwrap().unwrap();
    }
    *storage.cancel.lock().unwrap() = Some(stream.cancel_handle());
    inner.take();
    assert_error(stream.next().unwrap(), ErrorKind::Cancelled, &[]);
    let read = inner.take().read.len();
    assert!((1..20).contains(&read), "{read} files");
}

#[test]
fn features_in_another_order_are_no_disagreement() {
    let features = ["deletionVectors", "v2Checkpoint", "timestampNtz"];
    let reversed: Vec<_> = features.iter().rev().collect();
    let table = || {
        TestTable::new().commit([
            protocol_features(&features, &features),
            metadata("id long"),
            add("a"),
        ])
    };
    let other_order = table().checksum_as(|checksum| {
        checksum["protocol"]["readerFeatures"] = json!(reversed);
        checksum["protocol"]["writerFeatures"] = json!(reversed);
    });
    assert_eq!(other_order.live_files(), ["a"]);
    let fewer = table()
        .checksum_as(|checksum| checksum["protocol"]["writerFeatures"] = json!(reversed[..2]));
    assert_error(fewer.try_live_files(), ErrorKind::CorruptLog, &["protocol"]);
}

#[test]
fn a_checksum_of_another_version_is_not_compared() {
    let table = table().checksum_as(|checksum| checksum["numFiles"] = json!(99)).commit([add("e")]);
    assert_eq!(table.live_files(), ["b", "c", "d", "e"]);
    assert_eq!(table.live_files_at(1), ["b", "c"]);
    let result = table.listing().at(2).try_live_files();
    assert_error(result, ErrorKind::CorruptLog, &[&checksum_name(2), "99"]);
}

#[test]
fn a_listing_is_compared_whatever_its_files_are_read_from() {
    let features = ["v2Checkpoint"];
    let base = || {
        TestTable::new()
            .commit([protocol_features(&features, &features), metadata("id long")])
            .commit((0..20).map(|n| add(&format!("f{n:02}")).size(n)))
            .commit([remove("f00"), remove("f19")])
    };
    for table in [
        base(),
        base().checkpoint(),
        base().multi_part_checkpoint(3),
        base().v2_checkpoint_json(2),
        base().v2_checkpoint_parquet(0),
        base().compaction(1, 2),
        base().checkpoint().commit([remove("f01")]),
    ] {
        let table = table.checksum();
        let live = table.state().live_files();
        assert_eq!(table.listing().columns(["path"]).live_files(), live);
        assert_eq!(table.listing().columns(["size"]).rows().len(), live.len());
        // The second listing of a snapshot is compared as well.
        let table = table.checksum_as(|checksum| checksum["tableSizeBytes"] = json!(7));
        let snapshot = table.snapshot();
        for _ in 0..2 {
            let listed: Result<Vec<_>, _> = snapshot.scan().files().unwrap().collect();
            assert_error(listed.map(|_| ()), ErrorKind::CorruptLog, &["bytes of live files"]);
        }
    }
}

// What is said of a checkpoint.

/// Versions 0 and 1, with ten files.
fn table_to_checkpoint() -> TestTable {
    let features = ["v2Checkpoint"];
    TestTable::new()
        .commit([protocol_features(&features, &features), metadata("id long")])
        .commit((0..10).map(|n| add(&n.to_string())))
}

/// A kind of checkpoint: its table, its files and its actions, without those of sidecars.
type Kind = (&'static str, fn() -> TestTable, usize, u64);

const KINDS: [Kind; 6] = [
    ("classic", || table_to_checkpoint().checkpoint(), 1, 12),
    ("multi-part", || table_to_checkpoint().multi_part_checkpoint(3), 3, 12),
    ("V2 Parquet", || table_to_checkpoint().v2_checkpoint_parquet(0), 1, 13),
    ("V2 JSON", || table_to_checkpoint().v2_checkpoint_json(0), 1, 13),
    ("V2 Parquet, sidecars", || table_to_checkpoint().v2_checkpoint_parquet(2), 1, 5),
    ("V2 JSON, sidecars", || table_to_checkpoint().v2_checkpoint_json(2), 1, 5),
];

/// A table two commits after a checkpoint of which the hint says this.
fn with_hint((_, table, files, actions): Kind, change: impl FnOnce(&mut Value)) -> TestTable {
    let mut hint = json!({"version": 1, "size": actions, "numOfAddFiles": 10});
    if files > 1 {
        hint["parts"] = json!(files);
    }
    change(&mut hint);
    let table = table().last_checkpoint(&hint.to_string());
    table.commit([add("e"), remove("0")]).commit([remove("1")])
}

const AFTER: [&str; 9] = ["2", "3", "4", "5", "6", "7", "8", "9", "e"];

#[test]
fn a_checkpoint_with_other_adds_than_the_hint_says_is_no_whole_one() {
    for kind in KINDS {
        let agreed = with_hint(kind, |_| {}).listing().with_few_readers().live_files();
        assert_eq!(agreed, AFTER, "{}", kind.0);
        for adds in [0, 9, 11] {
            let table = with_hint(kind, |hint| hint["numOfAddFiles"] = json!(adds));
            for columns in [&["path"][..], &["stats", "size"]] {
                let listing = table.listing().columns(columns.iter().copied());
                let listed = listing.with_few_readers().batches();
                let says = format!("10 adds where _delta_log/_last_checkpoint says {adds}");
                let name = format!("{:020}.checkpoint", 1);
                assert_error(listed, ErrorKind::CorruptLog, &[&name, &says]);
            }
            let (batches, error, told) = listed(&table, 2, &["path"], true);
            assert_eq!(rows_of(&batches).len(), 9, "{}", kind.0);
            assert!(error.is_none());
            assert_eq!(told.len(), 1, "{}: {told:?}", kind.0);
        }
    }
}

#[test]
fn a_checkpoint_with_other_actions_than_the_hint_says_is_no_whole_one() {
    for kind in KINDS {
        let table = with_hint(kind, |hint| hint["size"] = json!(99));
        // Writers differ in whether the actions of sidecars count, and a JSON
        // checkpoint's lines are not counted.
        if kind.0.contains("sidecars") || kind.0.contains("JSON") {
            assert_eq!(table.live_files(), AFTER, "{}", kind.0);
        } else {
            let says = format!("{} actions where _delta_log/_last_checkpoint says 99", kind.3);
            assert_error(table.try_live_files(), ErrorKind::CorruptLog, &[&says]);
        }
        // Writers that count no adds are known to count the rest wrongly.
        let table = with_hint(kind, |hint| {
            hint["size"] = json!(99);
            hint.as_object_mut().unwrap().shift_remove("numOfAddFiles");
        });
        assert_eq!(table.live_files(), AFTER, "{}", kind.0);
    }
}

#[test]
fn a_hint_that_is_not_its_checksums_or_not_of_this_checkpoint_is_not_compared() {
    for kind in KINDS {
        let torn = with_hint(kind, |hint| {
            hint["numOfAddFiles"] = json!(99);
            hint["checksum"] = json!("9c1b912de93a35ea47fdce7224326bd7");
        });
        let listening = Listening::with_threads(0);
        let snapshot = listening.snapshot(&torn).unwrap();
        assert_eq!(listening.take().len(), 1, "{}", kind.0);
        let listed: Result<Vec<_>, _> = snapshot.scan().files().unwrap().collect();
        assert_eq!(rows_of(&listed.unwrap()).len(), 9, "{}", kind.0);
        assert_eq!(torn.live_files(), AFTER, "{}", kind.0);
        // Of another version, and of another number of parts.
        let other = with_hint(kind, |hint| {
            hint["version"] = json!(0);
            hint["numOfAddFiles"] = json!(99);
        });
        assert_eq!(other.live_files(), AFTER, "{}", kind.0);
        let other = with_hint(kind, |hint| {
            hint["parts"] = json!(kind.2 + 1);
            hint["numOfAddFiles"] = json!(99);
        });
        assert_eq!(other.live_files(), AFTER, "{}", kind.0);
    }
}

#[test]
fn a_checkpoint_says_itself_how_many_adds_it_has() {
    let tagged = |tags: Value, sidecars: bool| {
        let table = table_to_checkpoint();
        let state = table.state();
        let mut actions = vec![checkpoint_metadata(1).with("tags", tags)];
        actions.extend(state.table_actions());
        let table = if sidecars {
            let (table, size) = table.sidecar_file("one.parquet", state.file_actions());
            actions.push(sidecar("one.parquet", size));
            table
        } else {
            actions.extend(state.file_actions());
            table
        };
        table.v2_checkpoint_json_of(actions).delete_before(2).commit([remove("0"), remove("1")])
    };
    let live = &AFTER[..8];
    for sidecars in [true, false] {
        for tags in [
            json!({}),
            json!({"numOfAddFiles": "10", "sidecarNumActions": if sidecars { "10" } else { "0" }}),
            json!({"numOfAddFiles": "many", "sidecarNumActions": null}),
            json!({"numOfAddFiles": ""}),
        ] {
            assert_eq!(tagged(tags.clone(), sidecars).live_files(), live, "{tags}");
        }
        for (tags, says) in [
            (json!({"numOfAddFiles": "9"}), "10 adds where its checkpointMetadata says 9"),
            (json!({"numOfAddFiles": "11"}), "10 adds where its checkpointMetadata says 11"),
            (json!({"sidecarNumActions": "7"}), "actions in sidecars where its checkpointMetadata"),
        ] {
            let table = tagged(tags, sidecars);
            let listing = table.listing().columns(["path"]);
            let name = "00000000000000000001.checkpoint.";
            assert_error(listing.batches(), ErrorKind::CorruptLog, &[name, says]);
            let (batches, error, told) = listed(&table, 2, &["path"], true);
            assert_eq!(rows_of(&batches).len(), 8);
            assert!(error.is_none() && told.len() == 1, "{told:?}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_version_by_its_own_metadata_is_not_read() {
    let table = table_to_checkpoint();
    let state = table.state();
    let mut actions = vec![checkpoint_metadata(0)];
    actions.extend(state.table_actions());
    actions.extend(state.file_actions());
    let table = table.v2_checkpoint_json_of(actions);
    assert_eq!(table.live_files().len(), 10, "by the commits");
    let error = assert_error(table.delete(0).try_live_files(), ErrorKind::CorruptLog, &[]);
    assert!(error.message().contains("00000000000000000001.checkpoint."), "{error}");
}

#[test]
fn a_sidecar_of_another_size_is_told_and_read() {
    let table = table_to_checkpoint();
    let state = table.state();
    let (table, size) = table.sidecar_file("one.parquet", state.file_actions());
    let mut actions = vec![checkpoint_metadata(1), sidecar("one.parquet", size + 1)];
    actions.extend(state.table_actions());
    let table = table.v2_checkpoint_json_of(actions).delete_before(2);
    assert_eq!(table.live_files().len(), 10);
    let (batches, error, told) = listed(&table, 0, &["path"], false);
    assert_eq!(rows_of(&batches).len(), 10);
    assert!(error.is_none());
    assert_eq!(told.len(), 1, "{told:?}");
    let says =
        format!("_sidecars/one.parquet: {size} bytes where its checkpoint says {}", size + 1);
    assert!(told[0].contains(&says), "{told:?}");
}
