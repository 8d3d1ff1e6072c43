//! Tables that other engines wrote, with what they must read as.
//!
//! `DELTA_ACCEPTANCE_ONLY` narrows them to names that contain it.
mod common;

use common::{Listing, engine, expected_tables, rows_of, text_of_panic};
use delta_engine::{Error, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

/// Answers for single versions come from one peer. Where it fails to list what
/// the protocol lets a reader list, the listing must succeed all the same.
const LISTED_ALTHOUGH_A_PEER_FAILS: [(&str, &str); 2] = [
    (
        "trino__databricks153.type_widening_partition",
        "a partition value written before its type was widened is spelt in the old type",
    ),
    (
        "trino__databricks73.read_timestamps",
        "years of five digits in a partition value do not concern a listing",
    ),
];

/// Tables with a defect that a reader may refuse or see past.
const LISTED_OR_REFUSED: [(&str, &str); 1] = [(
    "trino__databricks154.clone_checkpoint_version_zero.checkpoint_v2.shallow_cloned_table",
    "the sidecar is bigger than its checkpoint says",
)];

/// Where the protocol, or the test of those who wrote the table, says other
/// than the peers that gave the answer: the files of the latest version.
const FILES_OTHER_THAN_THE_PEERS_SAY: [(&str, usize, &str); 2] = [
    (
        "kernel-golden__canonicalized-paths-special-a",
        0,
        "the remove spells the absolute path of the add as a file: URL; it is one file",
    ),
    ("kernel-golden__canonicalized-paths-special-b", 0, "as -a, with file:///"),
];

#[test]
fn every_table_reads_as_expected() {
    let Some(tables) = expected_tables() else { return };
    let mut counts = BTreeMap::<String, (usize, usize, usize)>::new();
    let mut report = String::new();
    for entry in tables {
        let table = Table {
            root: entry.root(),
            name: entry.name.clone(),
            failures: Vec::new(),
            refreshed: 0,
        };
        let verdict = entry.verdict().to_owned();
        let (failures, refreshed) = table.failures(&verdict, &entry.expected);
        let count = counts.entry(verdict).or_default();
        count.0 += 1;
        count.1 += usize::from(!failures.is_empty());
        count.2 += refreshed;
        for failure in failures {
            writeln!(report, "{failure}").unwrap();
        }
    }
    for (verdict, (tables, failed, refreshed)) in counts {
        println!(
            "{verdict}: {tables} tables, {failed} not as expected, {refreshed} versions refreshed"
        );
    }
    assert!(report.is_empty(), "not as expected:\n{report}");
}

struct Table {
    name: String,
    root: PathBuf,
    failures: Vec<String>,
    /// Versions that were refreshed to the latest.
    refreshed: usize,
}

impl Table {
    /// What is not as expected, a panic being one such thing; and how many versions
    /// were refreshed.
    fn failures(mut self, verdict: &str, expected: &Value) -> (Vec<String>, usize) {
        let checked = catch_unwind(AssertUnwindSafe(|| self.check(verdict, expected)));
        if let Err(panic) = checked {
            self.fail(format!("panicked: {}", text_of_panic(&*panic)));
        }
        (self.failures, self.refreshed)
    }

    fn fail(&mut self, what: impl AsRef<str>) {
        self.failures.push(format!("{}: {}", self.name, what.as_ref()));
    }

    fn same(&mut self, what: &str, found: &Value, expected: &Value) {
        if found != expected {
            self.fail(format!("{what} is {found}, not {expected}"));
        }
    }

    fn check(&mut self, verdict: &str, expected: &Value) {
        let listing = Listing::of(&self.root);
        let opened = self.open();
        let latest = &expected["latest"];
        match verdict {
            "read" | "log-only" => {
                match opened {
                    Ok(snapshot) => {
                        self.check_snapshot(&snapshot, latest);
                        self.check_files(&listing, latest);
                    }
                    Err(error) => self.fail(format!("does not open: {error}")),
                }
                self.check_versions(&expected["versions"]);
                self.check_refreshes(&expected["versions"]);
            }
            "scan-fails" => {
                match opened {
                    Ok(snapshot) => self.check_snapshot(&snapshot, latest),
                    Err(error) => self.fail(format!("does not open: {error}")),
                }
                if expected["scan"]["must_fail_at"] == "files" {
                    if listing.batches().is_ok() {
                        self.fail("the listing must fail");
                    }
                } else {
                    self.check_files(&listing, latest);
                }
                self.check_versions(&expected["versions"]);
                self.check_refreshes(&expected["versions"]);
            }
            "refuse" => {
                if opened.is_ok() {
                    self.fail(format!("must be refused: {}", expected["refuse_reason"]));
                }
                // Every reader agrees on that too.
                drop(listing.batches());
            }
            "disputed" => {
                let listed = opened.and_then(|snapshot| Ok((snapshot, listing.batches()?)));
                match listed {
                    Ok((snapshot, batches)) => {
                        println!("disputed {}: {} files", self.name, rows_of(&batches).len());
                        if latest["version"].is_number() {
                            self.check_snapshot(&snapshot, latest);
                            self.check_files(&listing, latest);
                        }
                    }
                    Err(error) => println!("disputed {}: {error}", self.name),
                }
            }
            other => self.fail(format!("an unknown verdict {other}")),
        }
    }

    fn open(&self) -> Result<Snapshot, Error> {
        engine(0).snapshot(self.root.to_str().expect("a UTF-8 path"))
    }

    fn check_snapshot(&mut self, snapshot: &Snapshot, latest: &Value) {
        self.same("the version", &json!(snapshot.version()), &latest["version"]);

        let protocol = snapshot.protocol();
        let expected = &latest["protocol"];
        let found = json!({
            "minReaderVersion": protocol.min_reader_version,
            "minWriterVersion": protocol.min_writer_version,
            "readerFeatures": sorted(json!(protocol.reader_features)),
            "writerFeatures": sorted(json!(protocol.writer_features)),
        });
        let expected = json!({
            "minReaderVersion": expected["minReaderVersion"],
            "minWriterVersion": expected["minWriterVersion"],
            "readerFeatures": sorted(expected["readerFeatures"].clone()),
            "writerFeatures": sorted(expected["writerFeatures"].clone()),
        });
        self.same("the protocol", &found, &expected);

        let metadata = snapshot.metadata();
        match serde_json::from_str::<Value>(&metadata.schema_string) {
            Ok(schema) => self.same("the schema", &schema, &latest["schema"]),
            Err(error) => self.fail(format!("the schema: {error}")),
        }
        let columns = json!(metadata.partition_columns);
        self.same("the partition columns", &columns, &latest["partition_columns"]);
        let configuration = json!(metadata.configuration);
        self.same("the configuration", &configuration, &latest["configuration"]);
        if latest["metadata"].is_object() {
            let found = json!({
                "id": metadata.id,
                "name": metadata.name,
                "description": metadata.description,
                "created_time": metadata.created_time,
            });
            self.same("the metadata", &found, &latest["metadata"]);
        }

        if latest["in_commit_timestamp"].is_number() {
            match snapshot.timestamp_ms() {
                Ok(ms) => self.same("the timestamp", &json!(ms), &latest["in_commit_timestamp"]),
                Err(error) => self.fail(format!("the timestamp: {error}")),
            }
        }
        if latest["domains"].is_array() {
            match snapshot.domain_metadata() {
                Ok(domains) => {
                    let names = json!(domains.keys().collect::<Vec<_>>());
                    self.same("the domains", &names, &sorted(latest["domains"].clone()));
                    for domain in latest["domain_metadata"].as_array().into_iter().flatten() {
                        let name = domain["domain"].as_str().expect("a name");
                        let found = json!(domains.get(name));
                        self.same(&format!("domain {name}"), &found, &domain["configuration"]);
                    }
                }
                Err(error) => self.fail(format!("the domains: {error}")),
            }
        }
    }

    /// The files of the latest version, by every reader.
    fn check_files(&mut self, listing: &Listing, latest: &Value) {
        let rows = match listing.try_rows() {
            Ok(rows) => rows,
            Err(error) => {
                if !refused_or_listed(&self.name) {
                    self.fail(format!("does not list: {error}"));
                }
                return;
            }
        };
        if let Some((_, files, why)) = other_than_the_peers_say(&self.name) {
            if rows.len() != *files {
                self.fail(format!("{} files, not {files}: {why}", rows.len()));
            }
            return;
        }
        let expected = latest["files"].as_array().expect("files");
        if let (Some(found), Some(expected)) = (records_of(&rows), latest["num_rows"].as_i64())
            && found != expected
        {
            self.fail(format!("{found} rows by the statistics, not {expected}"));
        }

        const DV: [(&str, &str); 5] = [
            ("storage_type", "storageType"),
            ("path_or_inline_dv", "pathOrInlineDv"),
            ("offset", "offset"),
            ("size_in_bytes", "sizeInBytes"),
            ("cardinality", "cardinality"),
        ];
        let vector = |dv: &Value, key: fn(&(&'static str, &'static str)) -> &'static str| {
            if dv.is_null() { json!(null) } else { json!(DV.map(|pair| dv[key(&pair)].clone())) }
        };
        let mut found: Vec<_> = rows
            .iter()
            .map(|row| {
                let mut row = row.clone();
                row["dv"] = vector(&row["deletion_vector"], |pair| pair.0);
                row
            })
            .collect();
        let is_same = |found: &Value, expected: &Value| {
            let same = |field: &str| match expected.get(field) {
                // What is not stated may be anything.
                None => true,
                Some(value) => found[field] == *value,
            };
            // The expectation knows statistics in JSON text only. A number that
            // comes from the parsed form is held to the number of rows instead.
            let records = same("num_records") || expected["num_records"].is_null();
            let dv = found["dv"] == vector(&expected["dv"], |pair| pair.1);
            let fields = ["path", "size", "modification_time", "partition_values"];
            records && dv && fields.into_iter().all(same)
        };
        let mut missing = Vec::new();
        for file in expected {
            match found.iter().position(|other| is_same(other, file)) {
                Some(at) => drop(found.swap_remove(at)),
                None => missing.push(file),
            }
        }
        if !missing.is_empty() || !found.is_empty() {
            let first = |file: Option<&Value>| file.map(Value::to_string).unwrap_or_default();
            self.fail(format!(
                "{} of {} files missing, the first {}; {} not expected, the first {}",
                missing.len(),
                expected.len(),
                first(missing.first().copied()),
                found.len(),
                first(found.first()),
            ));
        }
    }

    fn check_versions(&mut self, versions: &Value) {
        for entry in versions.as_array().into_iter().flatten() {
            let version = entry["version"].as_u64().expect("a version");
            let listing = Listing::of(&self.root)
                .at(version)
                .columns(["path", "num_records", "deletion_vector"])
                .with_few_readers();
            let listed = listing.try_rows();
            match (entry["error_stage"].as_str(), listed) {
                (Some("snapshot"), Ok(_)) => {
                    self.fail(format!("version {version} must not open: {}", entry["error"]));
                }
                (Some("snapshot"), Err(_)) => {
                    let root = self.root.to_str().expect("a UTF-8 path");
                    if engine(0).snapshot_at(root, version).is_ok() {
                        self.fail(format!("version {version} must not open"));
                    }
                }
                (Some("files"), listed) => {
                    let must_list =
                        LISTED_ALTHOUGH_A_PEER_FAILS.iter().any(|(table, _)| *table == self.name);
                    match listed {
                        _ if refused_or_listed(&self.name) => {}
                        Ok(_) if must_list => {}
                        Ok(_) => self.fail(format!("version {version} must not list")),
                        Err(error) if must_list => {
                            self.fail(format!("version {version} does not list: {error}"));
                        }
                        Err(_) => {}
                    }
                }
                (_, Err(error)) => {
                    self.fail(format!("version {version} does not list: {error}"));
                }
                (_, Ok(rows)) => self.check_counts(version, &rows, entry),
            }
        }
    }

    /// Every version that opens, refreshed, is the latest.
    fn check_refreshes(&mut self, versions: &Value) {
        let Ok(latest) = self.open() else { return };
        let paths = |snapshot: &Snapshot| -> Result<Vec<String>, String> {
            let stream = snapshot.scan().columns(["path"]).files().map_err(|e| e.to_string())?;
            let batches: Result<Vec<_>, _> = stream.collect();
            let rows = rows_of(&batches.map_err(|e| e.to_string())?);
            let mut paths: Vec<_> = rows.iter().map(|row| row["path"].to_string()).collect();
            paths.sort();
            Ok(paths)
        };
        let expected = paths(&latest);
        for version in versions.as_array().into_iter().flatten() {
            let version = version["version"].as_u64().expect("a version");
            let root = self.root.to_str().expect("a UTF-8 path");
            let Ok(old) = engine(0).snapshot_at(root, version) else { continue };
            let is_same = old.refresh().is_ok_and(|new| {
                new.version() == latest.version()
                    && new.protocol() == latest.protocol()
                    && new.metadata() == latest.metadata()
                    && paths(&new) == expected
            });
            self.refreshed += 1;
            if !is_same {
                self.fail(format!("version {version}, refreshed, is not the latest"));
            }
        }
    }

    fn check_counts(&mut self, version: u64, rows: &[Value], entry: &Value) {
        if other_than_the_peers_say(&self.name).is_some() {
            return;
        }
        let what = format!("the number of files of version {version}");
        self.same(&what, &json!(rows.len()), &entry["num_files"]);
        if let (Some(records), Some(_)) = (records_of(rows), entry["num_rows"].as_i64()) {
            let what = format!("the number of rows of version {version} by its statistics");
            self.same(&what, &json!(records), &entry["num_rows"]);
        }
    }
}

/// The rows of files by their statistics and deletion vectors, where all know
/// theirs.
fn records_of(rows: &[Value]) -> Option<i64> {
    let records = |row: &Value| {
        let deleted = row["deletion_vector"]["cardinality"].as_i64().unwrap_or_default();
        Some(row["num_records"].as_i64()? - deleted)
    };
    rows.iter().map(records).sum()
}

fn other_than_the_peers_say(name: &str) -> Option<&'static (&'static str, usize, &'static str)> {
    FILES_OTHER_THAN_THE_PEERS_SAY.iter().find(|(table, ..)| *table == name)
}

fn refused_or_listed(name: &str) -> bool {
    LISTED_OR_REFUSED.iter().any(|(table, _)| *table == name)
}

fn sorted(mut list: Value) -> Value {
    if let Value::Array(items) = &mut list {
        items.sort_by_key(Value::to_string);
    }
    list
}
