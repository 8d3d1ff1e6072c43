//! One version of one table.
use crate::engine::Engine;
use crate::error::{Error, Result};
use arrow::datatypes::SchemaRef;
use std::collections::BTreeMap;

/// The `protocol` action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// `minReaderVersion`.
    pub min_reader_version: i32,
    /// `minWriterVersion`.
    pub min_writer_version: i32,
    /// `readerFeatures`; present exactly at reader version 3.
    pub reader_features: Option<Vec<String>>,
    /// `writerFeatures`; present exactly at writer version 7.
    pub writer_features: Option<Vec<String>>,
}

/// The `metaData` action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Unique identifier of the table.
    pub id: String,
    /// User-provided name.
    pub name: Option<String>,
    /// User-provided description.
    pub description: Option<String>,
    /// `format.provider`: `parquet`.
    pub format_provider: String,
    /// `format.options`.
    pub format_options: BTreeMap<String, String>,
    /// The schema as Delta JSON, as in the log.
    pub schema_string: String,
    /// Logical names of the partition columns, in order.
    pub partition_columns: Vec<String>,
    /// The table properties.
    pub configuration: BTreeMap<String, String>,
    /// Milliseconds since the Unix epoch.
    pub created_time: Option<i64>,
}

/// One version of one table. Cheap to clone; any thread may use it.
#[derive(Clone)]
pub struct Snapshot {}

impl Engine {
    /// Opens the latest version of the table at `table`, a path or a `file://` URL.
    pub fn snapshot(&self, table: &str) -> Result<Snapshot> {
        let _ = table;
        Err(Error::bug("not built yet"))
    }
    /// Opens `version` of the table at `table`.
    pub fn snapshot_at(&self, table: &str, version: u64) -> Result<Snapshot> {
        let _ = (table, version);
        Err(Error::bug("not built yet"))
    }
}

impl Snapshot {
    /// The version.
    pub fn version(&self) -> u64 {
        0
    }
    /// The table's root, as a path.
    pub fn table_root(&self) -> &str {
        ""
    }
    /// The protocol.
    pub fn protocol(&self) -> &Protocol {
        unreachable!()
    }
    /// The metadata.
    pub fn metadata(&self) -> &Metadata {
        unreachable!()
    }
    /// The logical schema as an Arrow schema.
    pub fn arrow_schema(&self) -> SchemaRef {
        unreachable!()
    }
    /// When this version was committed: milliseconds since the Unix epoch.
    pub fn timestamp_ms(&self) -> Result<i64> {
        unreachable!()
    }
    /// Every domain that is not removed, with its configuration.
    pub fn domain_metadata(&self) -> Result<BTreeMap<String, String>> {
        unreachable!()
    }
    /// The version that application `app_id` last committed.
    pub fn txn_version(&self, app_id: &str) -> Result<Option<i64>> {
        let _ = app_id;
        unreachable!()
    }
}
