//! Table features: which tables this library may read.
//!
//! What a feature asks of a reader is data, one row of a table each; one
//! function weighs a protocol against it. The rules are those of "Protocol
//! Evolution", "Table Features" and "Reader Version Requirements".
//!
//! Only what a reader must know can refuse a read: an unknown writer feature or
//! writer version says nothing about reading.

use std::collections::BTreeMap;

use crate::actions::Protocol;
use crate::error::{Error, Result, escaped};
use crate::schema::ColumnMappingMode;

/// The reader version that lists reader features.
const READER_VERSION_OF_FEATURES: i32 = 3;
/// The writer version that lists writer features.
const WRITER_VERSION_OF_FEATURES: i32 = 7;
/// "Column Mapping" is the only feature that a reader version stands for.
const COLUMN_MAPPING: &str = "columnMapping";

/// Whether this library reads tables with a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// It does what the feature asks of a reader.
    Supported,
    /// It does not.
    Unsupported,
    /// A catalog says which commits count, so the file system does not suffice.
    NeedsCatalog,
}
use Support::*;

/// A row of [`FEATURES`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Feature {
    /// As `readerFeatures` and `writerFeatures` spell it.
    pub name: &'static str,
    /// Whether readers must know it too; otherwise only writers must.
    pub reader: bool,
    /// Whether tables with it are read here.
    pub support: Support,
    /// The reader and writer versions from which on it is implied, for the
    /// features older than feature lists. 0: no version implies it.
    pub legacy_versions: (i32, i32),
    /// What a reader must do.
    pub reader_duty: &'static str,
    /// Where that stands: a section of the protocol, else the text it is from.
    pub source: &'static str,
}

const fn writer(
    name: &'static str,
    legacy_writer_version: i32,
    reader_duty: &'static str,
    source: &'static str,
) -> Feature {
    let legacy_versions = (0, legacy_writer_version);
    Feature { name, reader: false, support: Supported, legacy_versions, reader_duty, source }
}

const fn reader(
    name: &'static str,
    support: Support,
    reader_duty: &'static str,
    source: &'static str,
) -> Feature {
    Feature { name, reader: true, support, legacy_versions: (0, 0), reader_duty, source }
}

const NOTHING: &str = "nothing";

/// Every feature known by name: the protocol's "Valid Feature Names", what its
/// other sections and requests for comments name, and what Spark and the kernels
/// have written under preview names.
#[rustfmt::skip]
pub const FEATURES: &[Feature] = &[
    // Writers only.
    writer("appendOnly", 2, NOTHING, "Append-only Tables"),
    writer("invariants", 2, NOTHING, "Column Invariants"),
    writer("checkConstraints", 3, NOTHING, "CHECK Constraints"),
    writer("changeDataFeed", 4, "pass over cdc actions", "Add CDC File"),
    writer("generatedColumns", 4, NOTHING, "Generated Columns"),
    writer("identityColumns", 6, NOTHING, "Identity Columns"),
    writer("allowColumnDefaults", 0, NOTHING, "Default Columns"),
    writer("rowTracking", 0, "nothing, unless row ids are asked for", "Row Tracking"),
    writer("domainMetadata", 0, "reconcile domains, or pass over them", "Domain Metadata"),
    writer("clustering", 0, NOTHING, "Clustered Table"),
    writer("inCommitTimestamp", 0, "take commit times from commitInfo", "In-Commit Timestamps"),
    writer("inCommitTimestamp-preview", 0, "as inCommitTimestamp", "Spark"),
    writer("icebergCompatV1", 0, NOTHING, "Iceberg Compatibility V1"),
    writer("icebergCompatV2", 0, NOTHING, "Iceberg Compatibility V2"),
    writer("icebergCompatV3", 0, NOTHING, "RFC iceberg-compat-v3"),
    writer("icebergWriterCompatV1", 0, NOTHING, "RFC iceberg-writer-compat-v1"),
    writer("icebergWriterCompatV3", 0, NOTHING, "delta kernel"),
    writer("materializePartitionColumns", 0, "still take partition values from the log", "RFC materialize-partition-columns"),
    writer("checkpointProtection", 0, NOTHING, "RFC checkpoint-protection"),
    writer("columnMappingUsageTracking", 0, NOTHING, "RFC column-mapping-usage-tracking"),
    writer("collations", 0, "skip no file by bounds of another collation", "RFC collated-string-type"),
    writer("collations-preview", 0, "as collations", "Databricks"),
    writer("coordinatedCommits-preview", 0, "nothing: published commits are read", "Spark"),
    writer("redirectWriterOnly-preview", 0, NOTHING, "Spark"),

    // Readers and writers.
    Feature { legacy_versions: (2, 5), ..reader(COLUMN_MAPPING, Supported, "find columns by id or physical name", "Column Mapping") },
    reader("deletionVectors", Supported, "leave out the rows a vector marks", "Deletion Vectors"),
    reader("timestampNtz", Supported, "read timestamps without a zone", "Timestamp without timezone"),
    reader("v2Checkpoint", Supported, "read V2 checkpoints and their sidecars", "V2 Checkpoint Table Feature"),
    reader("vacuumProtocolCheck", Supported, NOTHING, "VACUUM Protocol Check"),
    reader("typeWidening", Supported, "read older files as the wider type, refuse other changes", "Type Widening"),
    reader("typeWidening-preview", Supported, "as typeWidening", "Spark"),
    reader("variantType", Supported, "read variants", "Variant Data Type"),
    reader("variantType-preview", Supported, "as variantType", "Spark"),
    reader("variantShredding", Supported, "put shredded variants together", "Variant Shredding"),
    reader("variantShredding-preview", Supported, "as variantShredding", "Spark"),
    reader("catalogManaged", NeedsCatalog, "ask the catalog which commits count", "Catalog-managed tables"),
    reader("catalogOwned", NeedsCatalog, "as catalogManaged", "RFC catalog-owned"),
    reader("catalogOwned-preview", NeedsCatalog, "as catalogManaged", "RFC catalog-owned"),
    // Not in the protocol yet: their rules may still change, so no promise.
    reader("geospatial", Unsupported, "read geometry and geography", "RFC geospatial-types"),
    reader("intervalTypes", Unsupported, "read intervals", "RFC interval-types"),
    reader("intervalType-preview", Unsupported, "read intervals", "delta kernel"),
    reader("materializedVoidType", Unsupported, "read void columns that files hold", "RFC void-type"),
    reader("timestampNanos", Unsupported, "read timestamps in nanoseconds", "delta kernel"),
    reader("adaptiveMetadata-preview", Unsupported, "read content trees", "RFC iceberg-v4-metadata"),
    reader("redirectReaderWriter-preview", Unsupported, "follow the table elsewhere", "Spark"),
];

/// The row of `name`, if the feature is known. Names are compared as spelt.
pub(crate) fn feature(name: &str) -> Option<&'static Feature> {
    FEATURES.iter().find(|feature| feature.name == name)
}

/// Whether this library may read a table of `protocol`; `has_catalog` says that
/// the caller gave what the table's catalog knows.
///
/// Fails with `CorruptLog` where the action contradicts itself, and with
/// `Unsupported` where the table needs more than this library has: the message
/// then names every such feature.
pub(crate) fn check_readable(protocol: &Protocol, has_catalog: bool) -> Result<()> {
    let Protocol { min_reader_version: reader, min_writer_version: writer, .. } = *protocol;
    let invalid = |problem: &str| {
        Err(Error::corrupt(format!(
            "invalid protocol: minReaderVersion {reader}, minWriterVersion {writer}: {problem}"
        )))
    };
    if reader < 1 {
        return invalid("versions begin at 1");
    }
    if reader > READER_VERSION_OF_FEATURES {
        return Err(Error::unsupported(format!(
            "the table needs reader version {reader}, this library reads up to \
             {READER_VERSION_OF_FEATURES}"
        )));
    }
    let lists_features = reader == READER_VERSION_OF_FEATURES;
    // A writer version from the future may do with these lists what it likes, but
    // up to 7 their presence is settled. An empty list where there should be none
    // names nothing, and some checkpoint writers make one of a null.
    if lists_features && writer < WRITER_VERSION_OF_FEATURES {
        return invalid("reader version 3 comes with writer version 7");
    }
    if lists_features && protocol.reader_features.is_none() {
        return invalid("readerFeatures is missing");
    }
    if !lists_features && !listed(&protocol.reader_features).is_empty() {
        return invalid("readerFeatures belongs to reader version 3");
    }
    if writer == WRITER_VERSION_OF_FEATURES && protocol.writer_features.is_none() {
        return invalid("writerFeatures is missing");
    }
    if writer < WRITER_VERSION_OF_FEATURES && !listed(&protocol.writer_features).is_empty() {
        return invalid("writerFeatures belongs to writer version 7");
    }

    // Every reader feature should be a writer feature too ("It is illegal to
    // support reader but not writer features"), but a reader loses nothing where
    // one is not, and the other way round a known writer feature among the
    // readers' asks nothing of them.
    let (mut unreadable, mut needs_catalog) = (Vec::new(), false);
    for name in listed(&protocol.reader_features) {
        match feature(name).map(|feature| feature.support) {
            Some(Supported) => {}
            Some(NeedsCatalog) => needs_catalog = !has_catalog,
            Some(Unsupported) => unreadable.push(escaped(name)),
            None => unreadable.push(format!("{} (unknown)", escaped(name))),
        }
    }
    let catalog = "the table is catalog-managed: only its catalog knows which commits count, so \
                   the caller must give the catalog's version and the ratified commits that are \
                   not published";
    match (unreadable.is_empty(), needs_catalog) {
        (true, false) => Ok(()),
        (true, true) => Err(Error::unsupported(catalog)),
        (false, needs_catalog) => {
            let mut message =
                format!("the table needs unsupported reader features: {}", unreadable.join(", "));
            if needs_catalog {
                message = format!("{message}; {catalog}");
            }
            Err(Error::unsupported(message))
        }
    }
}

/// Whether only a catalog knows which commits of a table count.
pub(crate) fn is_catalog_managed(protocol: &Protocol) -> bool {
    let support = |name: &String| feature(name).map(|feature| feature.support);
    listed(&protocol.reader_features).iter().any(|name| support(name) == Some(NeedsCatalog))
}

/// How the columns of a table are found in its files.
///
/// The table property counts only where the protocol supports column mapping
/// ("Column Mapping"): at reader version 2, or where the feature is listed. By
/// "Supported Features" either list will do, and it must: Spark has written
/// Iceberg-compatible tables that list it for writers alone, and whose files
/// have physical names all the same.
pub(crate) fn column_mapping_mode(
    protocol: &Protocol,
    configuration: &BTreeMap<String, String>,
) -> Result<ColumnMappingMode> {
    let mut names =
        listed(&protocol.reader_features).iter().chain(listed(&protocol.writer_features));
    if protocol.min_reader_version == 2 || names.any(|name| name == COLUMN_MAPPING) {
        ColumnMappingMode::from_configuration(configuration)
    } else {
        Ok(ColumnMappingMode::None)
    }
}

/// Since when a table has in-commit timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InCommitTimestamps {
    /// The first version that has one.
    pub(crate) version: u64,
    /// The in-commit timestamp of that version, in milliseconds; where all
    /// versions have one, before any time.
    pub(crate) ms: i64,
}

/// Whether commits carry their own time, and since when ("In-Commit Timestamps"):
/// `None` where they do not, whatever else is set.
///
/// What Spark wrote under a preview's name is no such property to it either.
pub(crate) fn in_commit_timestamps(
    protocol: &Protocol,
    configuration: &BTreeMap<String, String>,
) -> Result<Option<InCommitTimestamps>> {
    const VERSION: &str = "delta.inCommitTimestampEnablementVersion";
    const TIMESTAMP: &str = "delta.inCommitTimestampEnablementTimestamp";
    let enabled = configuration.get("delta.enableInCommitTimestamps");
    let supported =
        listed(&protocol.writer_features).iter().any(|name| name == "inCommitTimestamp");
    if !supported || !enabled.is_some_and(|enabled| enabled.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let number = |key: &str| {
        let value = configuration.get(key).map(|value| {
            value.trim().parse::<i64>().map_err(|_| {
                Error::corrupt(format!("{key} is \"{}\", which is no number", escaped(value)))
            })
        });
        value.transpose()
    };
    match (number(VERSION)?, number(TIMESTAMP)?) {
        (None, None) => Ok(Some(InCommitTimestamps { version: 0, ms: i64::MIN })),
        (Some(version), Some(ms)) => {
            let version = u64::try_from(version).map_err(|_| {
                Error::corrupt(format!("{VERSION} is {version}, which is no version"))
            })?;
            Ok(Some(InCommitTimestamps { version, ms }))
        }
        // "Provenance information [..] must be tracked" in both.
        _ => Err(Error::corrupt(format!("of {VERSION} and {TIMESTAMP} only one is set"))),
    }
}

fn listed(features: &Option<Vec<String>>) -> &[String] {
    features.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance_tables;
    use crate::error::ErrorKind;
    use serde_json::Value;
    use std::collections::BTreeSet;
    use std::fs;

    fn strings(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn legacy(reader: i32, writer: i32) -> Protocol {
        Protocol {
            min_reader_version: reader,
            min_writer_version: writer,
            reader_features: None,
            writer_features: None,
        }
    }

    fn listing(names: &[&str]) -> Protocol {
        Protocol {
            reader_features: strings(names),
            writer_features: strings(names),
            ..legacy(3, 7)
        }
    }

    fn check_readable(protocol: &Protocol) -> Result<()> {
        super::check_readable(protocol, false)
    }

    fn refusal(protocol: &Protocol) -> (ErrorKind, String) {
        let error = check_readable(protocol).unwrap_err();
        (error.kind(), error.message().to_owned())
    }

    #[test]
    fn every_feature_stands_once_in_the_table() {
        let names: BTreeSet<_> = FEATURES.iter().map(|feature| feature.name).collect();
        assert_eq!(names.len(), FEATURES.len());
        for feature in FEATURES {
            assert!(!feature.reader_duty.is_empty() && !feature.source.is_empty());
            // Only what a reader must do can keep it from reading.
            assert!(feature.reader || feature.support == Supported, "{}", feature.name);
        }
        assert_eq!(feature("columnMapping").unwrap().legacy_versions, (2, 5));
        assert_eq!(feature("identityColumns").unwrap().legacy_versions, (0, 6));
        assert_eq!(feature("deletionVectors").unwrap().legacy_versions, (0, 0));
    }

    #[test]
    fn reader_versions_one_to_three_are_read() {
        assert!(check_readable(&legacy(1, 1)).is_ok());
        assert!(check_readable(&legacy(1, 2)).is_ok());
        assert!(check_readable(&legacy(2, 5)).is_ok());
        assert!(check_readable(&listing(&[])).is_ok());
    }

    #[test]
    fn a_reader_version_below_one_is_corrupt_and_above_three_unsupported() {
        for version in [0, -1, i32::MIN] {
            let (kind, message) = refusal(&legacy(version, 2));
            assert_eq!(kind, ErrorKind::CorruptLog);
            assert!(message.starts_with("invalid protocol"), "{message}");
        }
        for version in [4, 99, i32::MAX] {
            let (kind, message) = refusal(&legacy(version, 7));
            assert_eq!(kind, ErrorKind::Unsupported);
            assert!(message.contains(&version.to_string()), "{message}");
        }
    }

    #[test]
    fn feature_lists_belong_to_their_versions() {
        let reader_list = |reader, writer, names| {
            check_readable(&Protocol { reader_features: names, ..legacy(reader, writer) })
        };
        let writer_list = |reader, writer, names| {
            check_readable(&Protocol { writer_features: names, ..legacy(reader, writer) })
        };
        let corrupt = |result: Result<()>| {
            assert_eq!(result.unwrap_err().kind(), ErrorKind::CorruptLog);
        };
        corrupt(check_readable(&legacy(3, 7)));
        corrupt(reader_list(3, 7, strings(&[])));
        corrupt(writer_list(3, 7, strings(&[])));
        corrupt(reader_list(3, 6, strings(&[])));
        corrupt(reader_list(1, 2, strings(&["columnMapping"])));
        corrupt(reader_list(2, 5, strings(&["columnMapping"])));
        corrupt(writer_list(1, 2, strings(&["appendOnly"])));
        corrupt(check_readable(&legacy(1, 7)));
        // Empty lists name nothing.
        assert!(reader_list(1, 2, strings(&[])).is_ok());
        assert!(writer_list(1, 2, strings(&[])).is_ok());
        assert!(writer_list(2, 7, strings(&["columnMapping"])).is_ok());
    }

    #[test]
    fn what_only_writers_must_know_refuses_no_read() {
        let unknown = strings(&["appendOnly", "fromTheFuture"]);
        let protocol = Protocol { writer_features: unknown, ..legacy(1, 7) };
        assert!(check_readable(&protocol).is_ok());
        assert!(check_readable(&Protocol { min_writer_version: 8, ..protocol }).is_ok());
        assert!(check_readable(&legacy(1, 8)).is_ok());
        assert!(check_readable(&Protocol { min_writer_version: 8, ..listing(&[]) }).is_ok());
    }

    #[test]
    fn every_supported_feature_is_read_and_no_other() {
        for feature in FEATURES {
            let answer = check_readable(&listing(&[feature.name]));
            assert_eq!(answer.is_ok(), feature.support == Supported, "{}", feature.name);
        }
    }

    #[test]
    fn every_feature_in_the_way_is_named() {
        let (kind, message) = refusal(&listing(&[
            "deletionVectors",
            "geospatial",
            "fromTheFuture",
            "v3\nCheckpoint",
        ]));
        assert_eq!(kind, ErrorKind::Unsupported);
        assert!(message.contains("geospatial"), "{message}");
        assert!(message.contains("fromTheFuture (unknown)"), "{message}");
        assert!(message.contains("v3\\nCheckpoint"), "{message}");
        assert!(!message.contains("deletionVectors"), "{message}");
    }

    #[test]
    fn a_catalog_managed_table_asks_for_its_catalog() {
        for name in ["catalogManaged", "catalogOwned", "catalogOwned-preview"] {
            let (kind, message) = refusal(&listing(&[name]));
            assert_eq!(kind, ErrorKind::Unsupported);
            assert!(message.contains("catalog's version"), "{message}");
            assert!(super::check_readable(&listing(&[name]), true).is_ok());
        }
        let (_, message) = refusal(&listing(&["catalogManaged", "geospatial"]));
        assert!(message.contains("geospatial") && message.contains("catalog's version"));
    }

    #[test]
    fn a_reader_feature_that_is_no_writer_feature_is_read() {
        let protocol = Protocol { writer_features: strings(&[]), ..listing(&["deletionVectors"]) };
        assert!(check_readable(&protocol).is_ok());
    }

    #[test]
    fn a_mapping_mode_counts_only_where_the_protocol_supports_it() {
        let configuration =
            BTreeMap::from([("delta.columnMapping.mode".to_owned(), "name".to_owned())]);
        let mode = |protocol: Protocol| column_mapping_mode(&protocol, &configuration).unwrap();
        assert_eq!(mode(legacy(1, 2)), ColumnMappingMode::None);
        assert_eq!(mode(legacy(2, 5)), ColumnMappingMode::Name);
        assert_eq!(mode(listing(&[])), ColumnMappingMode::None);
        assert_eq!(mode(listing(&["columnMapping"])), ColumnMappingMode::Name);
        let writers_only =
            Protocol { reader_features: strings(&[]), ..listing(&["columnMapping"]) };
        assert_eq!(mode(writers_only), ColumnMappingMode::Name);
    }

    fn protocol_of(action: &Value) -> Protocol {
        let version = |key: &str| action[key].as_i64().unwrap().try_into().unwrap();
        let features = |key: &str| serde_json::from_value(action[key].clone()).unwrap();
        Protocol {
            min_reader_version: version("minReaderVersion"),
            min_writer_version: version("minWriterVersion"),
            reader_features: features("readerFeatures"),
            writer_features: features("writerFeatures"),
        }
    }

    #[test]
    fn the_acceptance_tables_that_open_are_readable() {
        for table in acceptance_tables::that_open() {
            let protocol = protocol_of(&table.expected["latest"]["protocol"]);
            check_readable(&protocol).unwrap_or_else(|e| panic!("{}: {e}", table.name));
            let configuration =
                serde_json::from_value(table.expected["latest"]["configuration"].clone()).unwrap();
            let mode = column_mapping_mode(&protocol, &configuration).unwrap();
            let asked = ColumnMappingMode::from_configuration(&configuration).unwrap();
            assert_eq!(mode, asked, "{}", table.name);
        }
    }

    #[test]
    fn the_acceptance_tables_refused_for_their_protocol_are_refused() {
        let reasons = ["catalog-managed", "unknown/unsupported table feature", "invalid protocol"];
        for table in acceptance_tables::all() {
            let reason = table.expected["refuse_reason"].as_str().unwrap_or_default();
            if table.verdict() != "refuse" || !reasons.iter().any(|r| reason.starts_with(r)) {
                continue;
            }
            let mut commits: Vec<_> = fs::read_dir(table.directory.join("table/_delta_log"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|e| e == "json"))
                .collect();
            commits.sort();
            let last = commits
                .iter()
                .flat_map(|path| {
                    let text = fs::read_to_string(path).unwrap();
                    text.lines().map(str::to_owned).collect::<Vec<_>>()
                })
                .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
                .filter_map(|action| action.get("protocol").cloned())
                .next_back()
                .unwrap();
            assert!(check_readable(&protocol_of(&last)).is_err(), "{}: {reason}", table.name);
        }
    }
}
