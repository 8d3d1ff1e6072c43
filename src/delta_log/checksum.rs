//! The version checksum: what a writer counted when it committed a version
//! ("Version Checksum File").
//!
//! It is an aid and no part of the log: most versions of most tables have none.
//! Where there is one, it says in a few kilobytes what replay would find out:
//! how many files there are and how large, and, from newer writers, the
//! protocol, the metadata, the transactions and the domains. Whether replay
//! agrees is not asked here.

use serde::Deserialize;

use super::path;
use crate::actions::{DomainMetadata, Metadata, Protocol, Txn};
use crate::error::{Error, Result, escaped};
use crate::storage::Storage;

/// The largest version checksum that is read. Real ones have kilobytes; what
/// could make one large is a long schema or very many transactions.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// How many files a version of a table has, and how large they are, as its
/// writer counted them ("Version Checksum File Schema").
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileStatistics {
    /// The live files.
    pub num_files: u64,
    /// The bytes of all live files together.
    pub size_bytes: u64,
    /// The deletion vectors of the live files, where the writer counts them.
    pub num_deletion_vectors: Option<u64>,
    /// The rows that those deletion vectors delete, where the writer counts
    /// them.
    pub num_deleted_records: Option<u64>,
    /// How the sizes of the live files are distributed. It is optional, so one
    /// that breaks the protocol's rules is left out and is no error.
    pub size_histogram: Option<FileSizeHistogram>,
    /// How many live files have how many deleted rows: none, 1 to 9, 10 to 99
    /// and so on in powers of ten to 9,999,999, then to 2,147,483,646, then more
    /// ("Deleted Record Counts Histogram Schema"). It is optional, so one that
    /// breaks the protocol's rules is left out and is no error.
    pub deleted_record_counts: Option<[u64; 10]>,
}

/// How the sizes of a table's files are distributed ("File Size Histogram
/// Schema"): three lists of one length, with an item for each bin.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileSizeHistogram {
    /// The smallest size, in bytes, of each bin's files: ascending, from 0. A
    /// bin ends before the next begins; the last has no end.
    pub sorted_bin_boundaries: Vec<u64>,
    /// The number of files of each bin.
    pub file_counts: Vec<u64>,
    /// The bytes of each bin's files together.
    pub total_bytes: Vec<u64>,
}

/// What the version checksum of a version says.
///
/// The protocol requires `protocol` and `metadata`; writers older than that
/// rule leave them out, and such a checksum serves for cross-checks only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionChecksum {
    pub(crate) protocol: Option<Protocol>,
    pub(crate) metadata: Option<Metadata>,
    /// All live transaction identifiers; `None` where the writer does not say.
    pub(crate) txns: Option<Vec<Txn>>,
    /// All live domains, without tombstones; `None` where the writer does not
    /// say.
    pub(crate) domains: Option<Vec<DomainMetadata>>,
    /// Milliseconds since the Unix epoch.
    pub(crate) in_commit_timestamp: Option<i64>,
    pub(crate) files: FileStatistics,
}

/// The version checksum of `version`.
///
/// Fails with `NotFound` where there is none, which is no fault of the table,
/// with `LimitExceeded` where it has more than 16 MiB, and with `CorruptLog`,
/// naming the file, where it is not what the protocol says.
pub(crate) fn read(storage: &dyn Storage, version: u64) -> Result<VersionChecksum> {
    let name = path::checksum(version);
    let (bytes, size) = storage.read_head(&name, FILE_BYTES_MAX)?;
    if size > FILE_BYTES_MAX {
        return Err(Error::limit(format!(
            "{name}: {size} bytes, where a version checksum may have {FILE_BYTES_MAX}"
        )));
    }
    parse(&bytes).map_err(|e| e.at(name))
}

/// The fields that must be what they should be. `allFiles` is no field here, so
/// that it is stepped over and never built: who wants files reads the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    table_size_bytes: i64,
    num_files: i64,
    num_metadata: i64,
    num_protocol: i64,
    in_commit_timestamp_opt: Option<i64>,
    set_transactions: Option<Vec<Txn>>,
    domain_metadata: Option<Vec<DomainMetadata>>,
    metadata: Option<Metadata>,
    protocol: Option<Protocol>,
    num_deleted_records_opt: Option<i64>,
    num_deletion_vectors_opt: Option<i64>,
}

/// The fields that are left out where they are not what they should be.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Histograms {
    file_size_histogram: Option<RawFileSizeHistogram>,
    /// What Spark calls the same.
    histogram_opt: Option<RawFileSizeHistogram>,
    deleted_record_counts_histogram_opt: Option<RawDeletedRecordCounts>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFileSizeHistogram {
    sorted_bin_boundaries: Vec<u64>,
    file_counts: Vec<u64>,
    total_bytes: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDeletedRecordCounts {
    deleted_record_counts: [u64; 10],
}

fn parse(bytes: &[u8]) -> Result<VersionChecksum> {
    let fields: Fields =
        serde_json::from_slice(bytes).map_err(|e| Error::corrupt(escaped(&e.to_string())))?;
    // A second look, so that what is wrong here takes nothing else with it.
    let histograms: Histograms = serde_json::from_slice(bytes).unwrap_or_default();
    for (field, count) in
        [("numMetadata", fields.num_metadata), ("numProtocol", fields.num_protocol)]
    {
        if count != 1 {
            return Err(Error::corrupt(format!("{field} is {count} and must be 1")));
        }
    }
    let files = FileStatistics {
        num_files: count("numFiles", fields.num_files)?,
        size_bytes: count("tableSizeBytes", fields.table_size_bytes)?,
        num_deletion_vectors: fields
            .num_deletion_vectors_opt
            .map(|n| count("numDeletionVectorsOpt", n))
            .transpose()?,
        num_deleted_records: fields
            .num_deleted_records_opt
            .map(|n| count("numDeletedRecordsOpt", n))
            .transpose()?,
        size_histogram: histograms
            .file_size_histogram
            .or(histograms.histogram_opt)
            .and_then(file_size_histogram),
        deleted_record_counts: histograms
            .deleted_record_counts_histogram_opt
            .map(|histogram| histogram.deleted_record_counts),
    };
    Ok(VersionChecksum {
        protocol: fields.protocol,
        metadata: fields.metadata,
        txns: fields.set_transactions,
        domains: fields.domain_metadata,
        in_commit_timestamp: fields.in_commit_timestamp_opt,
        files,
    })
}

fn count(field: &str, value: i64) -> Result<u64> {
    u64::try_from(value)
        .map_err(|_| Error::corrupt(format!("{field} is {value} and must not be negative")))
}

fn file_size_histogram(raw: RawFileSizeHistogram) -> Option<FileSizeHistogram> {
    let RawFileSizeHistogram { sorted_bin_boundaries, file_counts, total_bytes } = raw;
    let is_valid = sorted_bin_boundaries.first() == Some(&0)
        && sorted_bin_boundaries.is_sorted_by(|a, b| a < b)
        && file_counts.len() == sorted_bin_boundaries.len()
        && total_bytes.len() == sorted_bin_boundaries.len();
    is_valid.then_some(FileSizeHistogram { sorted_bin_boundaries, file_counts, total_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance_tables;
    use crate::delta_log::path::LogFile;
    use crate::error::ErrorKind;
    use crate::memory::Memory;
    use crate::storage::LocalStorage;
    use serde_json::{Value, json};
    use std::fs;

    /// What `checksum` reads as, from a file of version 7.
    fn read_text(checksum: &str) -> Result<VersionChecksum> {
        let table = tempfile::tempdir().unwrap();
        let file = table.path().join(path::checksum(7));
        fs::create_dir(file.parent().unwrap()).unwrap();
        fs::write(file, checksum).unwrap();
        read(&LocalStorage::open(table.path(), &Memory::default()).unwrap(), 7)
    }

    /// A checksum with what every one has, and `fields`.
    fn with(fields: Value) -> String {
        let mut checksum =
            json!({"tableSizeBytes": 30, "numFiles": 2, "numMetadata": 1, "numProtocol": 1});
        let object = checksum.as_object_mut().unwrap();
        object.extend(fields.as_object().unwrap().clone());
        object.retain(|_, value| *value != json!("absent"));
        checksum.to_string()
    }

    fn corrupt(checksum: &str) -> String {
        let error = read_text(checksum).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptLog, "{checksum}");
        let name = "_delta_log/00000000000000000007.crc: ";
        error.message().strip_prefix(name).expect("the file's name").to_owned()
    }

    #[test]
    fn a_full_checksum_says_all_that_it_has() {
        let checksum = read_text(&with(json!({
            "txnId": "t",
            "inCommitTimestampOpt": 1234,
            "setTransactions": [{"appId": "a", "version": 3, "lastUpdated": 99}],
            "domainMetadata": [{"domain": "d", "configuration": "{}", "removed": false}],
            "metadata": {"id": "m", "schemaString": "s", "format": {"provider": "parquet"}},
            "protocol": {"minReaderVersion": 1, "minWriterVersion": 2},
            "fileSizeHistogram": {
                "sortedBinBoundaries": [0, 20], "fileCounts": [1, 1], "totalBytes": [10, 20]
            },
            "numDeletedRecordsOpt": 5,
            "numDeletionVectorsOpt": 1,
            "deletedRecordCountsHistogramOpt": {"deletedRecordCounts": [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]},
            "allFiles": [{"path": "a"}, {"path": "b", "size": "no number"}],
            "unknown": [[]],
        })))
        .unwrap();
        let txn = Txn { app_id: "a".into(), version: 3, last_updated: Some(99) };
        let domain =
            DomainMetadata { domain: "d".into(), configuration: "{}".into(), removed: false };
        assert_eq!(checksum.txns, Some(vec![txn]));
        assert_eq!(checksum.domains, Some(vec![domain]));
        assert_eq!(checksum.metadata.unwrap().id, "m");
        assert_eq!(checksum.protocol.unwrap().min_writer_version, 2);
        assert_eq!(checksum.in_commit_timestamp, Some(1234));
        let histogram = FileSizeHistogram {
            sorted_bin_boundaries: vec![0, 20],
            file_counts: vec![1, 1],
            total_bytes: vec![10, 20],
        };
        let files = FileStatistics {
            num_files: 2,
            size_bytes: 30,
            num_deletion_vectors: Some(1),
            num_deleted_records: Some(5),
            size_histogram: Some(histogram),
            deleted_record_counts: Some([1, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
        };
        assert_eq!(checksum.files, files);
    }

    #[test]
    fn a_checksum_of_an_old_writer_counts_files_and_says_no_more() {
        let nulls = json!({"setTransactions": null, "metadata": null, "histogramOpt": null});
        for fields in [json!({"numTransactions": 0}), nulls] {
            let checksum = read_text(&with(fields)).unwrap();
            assert_eq!((checksum.files.num_files, checksum.files.size_bytes), (2, 30));
            assert_eq!((checksum.protocol, checksum.metadata), (None, None));
            assert_eq!((checksum.txns, checksum.domains), (None, None));
            assert_eq!(checksum.files.size_histogram, None);
            assert_eq!(checksum.files.deleted_record_counts, None);
        }
    }

    #[test]
    fn a_checksum_that_breaks_the_protocol_is_corrupt_and_names_its_file() {
        for (fields, found) in [
            (json!({"numMetadata": 2}), "numMetadata is 2"),
            (json!({"numProtocol": 0}), "numProtocol is 0"),
            (json!({"numFiles": -1}), "numFiles is -1"),
            (json!({"tableSizeBytes": -1}), "tableSizeBytes is -1"),
            (json!({"numDeletedRecordsOpt": -1}), "numDeletedRecordsOpt is -1"),
            (json!({"numDeletionVectorsOpt": -1}), "numDeletionVectorsOpt is -1"),
            (json!({"numFiles": "absent"}), "missing field `numFiles`"),
            (json!({"tableSizeBytes": "absent"}), "missing field `tableSizeBytes`"),
            (json!({"numMetadata": "absent"}), "missing field `numMetadata`"),
            (json!({"numProtocol": "absent"}), "missing field `numProtocol`"),
            (json!({"numFiles": 1.5}), "floating point"),
            (json!({"numFiles": 9_223_372_036_854_775_808u64}), "9223372036854775808"),
            (json!({"metadata": {"id": "m"}}), "schemaString"),
            (json!({"protocol": {"minReaderVersion": 1}}), "minWriterVersion"),
            (json!({"setTransactions": [{"version": 1}]}), "appId"),
        ] {
            let message = corrupt(&with(fields));
            assert!(message.contains(found), "{found}: {message}");
        }
        for text in ["", "[]", "{", "{}{}", "\u{feff}{}", r#"{"numFiles":1,"numFiles":1}"#] {
            corrupt(text);
        }
        // What the table says steers no terminal.
        assert!(!corrupt(&with(json!({"numFiles": "\u{1b}[31m"}))).contains('\u{1b}'));
    }

    #[test]
    fn a_histogram_that_breaks_its_rules_is_left_out() {
        let bins = |boundaries: Value, counts: Value, bytes: Value| {
            let histogram = json!({
                "sortedBinBoundaries": boundaries, "fileCounts": counts, "totalBytes": bytes
            });
            let read = read_text(&with(json!({"histogramOpt": histogram}))).unwrap();
            assert_eq!(read.files.num_files, 2);
            read.files.size_histogram
        };
        assert!(bins(json!([0]), json!([2]), json!([30])).is_some());
        for (boundaries, counts, bytes) in [
            (json!([]), json!([]), json!([])),
            (json!([1, 2]), json!([1, 1]), json!([10, 20])),
            (json!([0, 0]), json!([1, 1]), json!([10, 20])),
            (json!([0, 5, 4]), json!([1, 1, 0]), json!([10, 20, 0])),
            (json!([0, 5]), json!([2]), json!([10, 20])),
            (json!([0, 5]), json!([1, 1]), json!([30])),
            (json!([0, 5]), json!([3, -1]), json!([10, 20])),
            (json!([0, 5]), json!([1, 1]), json!([40, -10])),
            (json!([-1, 5]), json!([1, 1]), json!([10, 20])),
            (json!("no list"), json!([1, 1]), json!([10, 20])),
        ] {
            assert_eq!(bins(boundaries.clone(), counts, bytes), None, "{boundaries}");
        }
        for counts in [json!([1, 1]), json!([-1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), json!(null)] {
            let histogram = json!({"deletedRecordCounts": counts});
            let read = read_text(&with(json!({"deletedRecordCountsHistogramOpt": histogram})));
            assert_eq!(read.unwrap().files.deleted_record_counts, None);
        }
    }

    #[test]
    fn a_checksum_that_is_too_large_is_not_read_and_a_missing_one_is_not_found() {
        let padded = |size: u64| {
            let text = with(json!({}));
            let padding = " ".repeat(size as usize - text.len());
            read_text(&(text + &padding))
        };
        assert!(padded(FILE_BYTES_MAX).is_ok());
        assert_eq!(padded(FILE_BYTES_MAX + 1).unwrap_err().kind(), ErrorKind::LimitExceeded);

        let table = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open(table.path(), &Memory::default()).unwrap();
        assert_eq!(read(&storage, 7).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn the_acceptance_tables_checksums_count_what_their_tables_have() {
        let (mut read_in_all, mut full, mut compared) = (0, 0, 0);
        for table in acceptance_tables::all() {
            let root = table.directory.join("table");
            let Ok(log) = fs::read_dir(root.join(path::LOG_DIR)) else { continue };
            let storage = LocalStorage::open(&root, &Memory::default()).unwrap();
            for entry in log {
                let file = entry.unwrap().file_name().into_string().unwrap();
                let Some((version, LogFile::Checksum)) = path::parse(&file) else { continue };
                let checksum = read(&storage, version).unwrap_or_else(|e| panic!("{file}: {e}"));
                read_in_all += 1;
                full += usize::from(checksum.protocol.is_some() && checksum.metadata.is_some());

                let name = format!("{}, version {version}", table.name);
                let FileStatistics { num_files, size_bytes, .. } = checksum.files;
                if let Some(histogram) = checksum.files.size_histogram {
                    assert_eq!(histogram.file_counts.iter().sum::<u64>(), num_files, "{name}");
                    assert_eq!(histogram.total_bytes.iter().sum::<u64>(), size_bytes, "{name}");
                }
                let versions = table.expected["versions"].as_array();
                let expected = versions.into_iter().flatten().find(|v| v["version"] == version);
                if let Some(expected) = expected.and_then(|v| v["num_files"].as_u64()) {
                    assert_eq!(num_files, expected, "{name}");
                    compared += 1;
                }
                let latest = &table.expected["latest"];
                if latest["version"] == version {
                    let sizes = latest["files"].as_array().unwrap().iter();
                    let sum: u64 = sizes.map(|file| file["size"].as_u64().unwrap()).sum();
                    assert_eq!(size_bytes, sum, "{name}");
                    if let Some(metadata) = checksum.metadata {
                        assert_eq!(json!(metadata.configuration), latest["configuration"]);
                    }
                }
            }
        }
        if read_in_all == 0 {
            return eprintln!("skipped: no acceptance tables");
        }
        assert!(
            read_in_all > 200 && full > 120 && compared > 100,
            "{read_in_all} {full} {compared}"
        );
    }
}
