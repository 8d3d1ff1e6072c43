//! `engine_snapshot`: one version of one table, as C holds it.
//!
//! The strings are copied out once, when the snapshot is opened, so that the
//! getters lend memory that stays where it is, cannot fail and cannot wait.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use arrow::ffi::FFI_ArrowSchema;

use super::handle::{self, Handle, object};
use super::input;
use super::look_up::LookedUp;
use super::status::{engine_error, engine_status, produce};
use super::text::{Pairs, Text, engine_property, engine_str, lent};
use crate::error::{Error, Result};
use crate::snapshot::Snapshot;

/// What engine_snapshot_version gives for something that is not a snapshot. No
/// table has this version.
pub const ENGINE_VERSION_NONE: u64 = u64::MAX;

/// One version of one table. It does not change, and any number of threads may
/// use it at once.
pub struct engine_snapshot {
    handle: Handle<Opened>,
}

object!(engine_snapshot, Opened, b"d.snapsh");

/// What a table asks of its readers and writers: the protocol action.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_protocol {
    /// minReaderVersion.
    pub min_reader_version: i32,
    /// minWriterVersion.
    pub min_writer_version: i32,
    /// How many reader features engine_snapshot_reader_feature_at has.
    pub reader_feature_count: usize,
    /// How many writer features engine_snapshot_writer_feature_at has.
    pub writer_feature_count: usize,
}

/// A snapshot and the strings it lends.
pub(super) struct Opened {
    pub(super) snapshot: Snapshot,
    table_root: Text,
    schema_json: Text,
    id: Text,
    name: Option<Text>,
    description: Option<Text>,
    partition_columns: Vec<Text>,
    properties: Pairs,
    check_constraints: Pairs,
    reader_features: Vec<Text>,
    writer_features: Vec<Text>,
    pub(super) looked_up: LookedUp,
}

impl Opened {
    pub(super) fn new(snapshot: Snapshot) -> Self {
        fn texts(strings: &[String]) -> Vec<Text> {
            strings.iter().map(|s| Text::new(s)).collect()
        }
        let metadata = snapshot.metadata();
        let protocol = snapshot.protocol();
        let properties = metadata.configuration.iter();
        Opened {
            table_root: Text::new(snapshot.table_root()),
            schema_json: Text::new(&metadata.schema_string),
            id: Text::new(&metadata.id),
            name: metadata.name.as_deref().map(Text::new),
            description: metadata.description.as_deref().map(Text::new),
            partition_columns: texts(&metadata.partition_columns),
            properties: Pairs::new(properties.map(|(key, value)| (key.as_str(), value.as_str()))),
            check_constraints: Pairs::new(metadata.check_constraints()),
            reader_features: texts(protocol.reader_features.as_deref().unwrap_or_default()),
            writer_features: texts(protocol.writer_features.as_deref().unwrap_or_default()),
            looked_up: LookedUp::default(),
            snapshot,
        }
    }
}

/// Frees a snapshot, and with it the strings it lent. Its scans and streams
/// stay usable. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_free(snapshot: Option<Box<engine_snapshot>>) {
    handle::free(snapshot, |_| ());
}

/// The version; ENGINE_VERSION_NONE if snapshot is not a snapshot.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_version(snapshot: Option<&engine_snapshot>) -> u64 {
    handle::peek(snapshot).map_or(ENGINE_VERSION_NONE, |opened| opened.snapshot.version())
}

/// When this version was committed: milliseconds since 1970 in UTC, as the
/// protocol defines a commit's timestamp. It may have to read the commit.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_timestamp_ms(
    snapshot: Option<&engine_snapshot>,
    out: Option<&mut MaybeUninit<i64>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, 0, error, || handle::on(snapshot, |opened| opened.snapshot.timestamp_ms()))
}

/// The table's root, as the library resolved it.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_table_root(snapshot: Option<&engine_snapshot>) -> engine_str {
    lent(handle::peek(snapshot).map(|opened| &opened.table_root))
}

/// The table's schema, with logical column names, as an Arrow schema: a struct
/// with one child for each column.
///
/// A child's metadata has what the log says of the column, where it says more
/// than name, type and nullability: the JSON object DELTA:metadata, and the id
/// that column mapping gave it as PARQUET:field_id.
///
/// On success the caller owns *out and calls out->release(out) when done; it
/// may outlive the snapshot. On failure out->release is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_schema(
    snapshot: Option<&engine_snapshot>,
    out: Option<&mut MaybeUninit<FFI_ArrowSchema>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, FFI_ArrowSchema::empty(), error, || {
        handle::on(snapshot, |opened| exported(&opened.snapshot.arrow_schema()))
    })
}

/// `schema` for C. A name with a NUL inside cannot be given to C.
pub(super) fn exported(schema: &arrow::datatypes::Schema) -> Result<FFI_ArrowSchema> {
    FFI_ArrowSchema::try_from(schema).map_err(|e| {
        Error::unsupported(format!(
            "the schema cannot be given to C: {}",
            crate::error::escaped(&e.to_string())
        ))
    })
}

/// The table's schema as the log has it: JSON in Delta's own notation.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_schema_json(snapshot: Option<&engine_snapshot>) -> engine_str {
    lent(handle::peek(snapshot).map(|opened| &opened.schema_json))
}

/// How many columns the table is partitioned by; 0 if it is not.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_partition_column_count(
    snapshot: Option<&engine_snapshot>,
) -> usize {
    handle::peek(snapshot).map_or(0, |opened| opened.partition_columns.len())
}

/// The logical name of a partition column; data is NULL if there are not so
/// many.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_partition_column_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
) -> engine_str {
    lent(handle::peek(snapshot).and_then(|opened| opened.partition_columns.get(index)))
}

/// How many table properties there are.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_property_count(snapshot: Option<&engine_snapshot>) -> usize {
    handle::peek(snapshot).map_or(0, |opened| opened.properties.len())
}

/// One table property, in the order of the keys; both data are NULL if there
/// are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_property_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
) -> engine_property {
    let property = handle::peek(snapshot).and_then(|opened| opened.properties.at(index));
    property.unwrap_or(engine_property::NONE)
}

/// The value of a table property, such as "delta.appendOnly", as the log has
/// it. ENGINE_STATUS_NOT_FOUND: the table does not set it;
/// engine_snapshot_property_in_force knows the defaults.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_property(
    snapshot: Option<&engine_snapshot>,
    key: *const c_char,
    out: Option<&mut MaybeUninit<engine_str>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, engine_str::NONE, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header
        // asks for it.
        let key = unsafe { input::text(key, "key") }?;
        handle::on(snapshot, |opened| {
            opened.properties.value(key).ok_or_else(|| missing("property", key))
        })
    })
}

/// The error for what a table does not have.
pub(super) fn missing(what: &str, key: &str) -> Error {
    Error::not_found(format!("the table has no {what} \"{}\"", crate::error::escaped(key)))
}

/// How many CHECK constraints there are.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_check_constraint_count(
    snapshot: Option<&engine_snapshot>,
) -> usize {
    handle::peek(snapshot).map_or(0, |opened| opened.check_constraints.len())
}

/// One CHECK constraint: its name, and the SQL that is true of every row, in
/// the order of the names; both data are NULL if there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_check_constraint_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
) -> engine_property {
    let constraint = handle::peek(snapshot).and_then(|opened| opened.check_constraints.at(index));
    constraint.unwrap_or(engine_property::NONE)
}

/// The protocol; all fields are 0 if snapshot is not a snapshot.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_protocol(snapshot: Option<&engine_snapshot>) -> engine_protocol {
    match handle::peek(snapshot) {
        None => engine_protocol {
            min_reader_version: 0,
            min_writer_version: 0,
            reader_feature_count: 0,
            writer_feature_count: 0,
        },
        Some(opened) => {
            let protocol = opened.snapshot.protocol();
            engine_protocol {
                min_reader_version: protocol.min_reader_version,
                min_writer_version: protocol.min_writer_version,
                reader_feature_count: opened.reader_features.len(),
                writer_feature_count: opened.writer_features.len(),
            }
        }
    }
}

/// The name of a reader feature; data is NULL if there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_reader_feature_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
) -> engine_str {
    lent(handle::peek(snapshot).and_then(|opened| opened.reader_features.get(index)))
}

/// The name of a writer feature; data is NULL if there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_writer_feature_at(
    snapshot: Option<&engine_snapshot>,
    index: usize,
) -> engine_str {
    lent(handle::peek(snapshot).and_then(|opened| opened.writer_features.get(index)))
}

/// The table's unique id: the metadata's id, which stays the same over all
/// versions of one table.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_table_id(snapshot: Option<&engine_snapshot>) -> engine_str {
    lent(handle::peek(snapshot).map(|opened| &opened.id))
}

/// The name that the table's owner gave it; data is NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_table_name(snapshot: Option<&engine_snapshot>) -> engine_str {
    lent(handle::peek(snapshot).and_then(|opened| opened.name.as_ref()))
}

/// The table's description; data is NULL if there is none.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_table_description(
    snapshot: Option<&engine_snapshot>,
) -> engine_str {
    lent(handle::peek(snapshot).and_then(|opened| opened.description.as_ref()))
}

/// When the metadata was written: milliseconds since 1970 in UTC.
/// ENGINE_STATUS_NOT_FOUND: the log does not say.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_created_time_ms(
    snapshot: Option<&engine_snapshot>,
    out: Option<&mut MaybeUninit<i64>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, 0, error, || {
        handle::on(snapshot, |opened| {
            let time = opened.snapshot.metadata().created_time;
            time.ok_or_else(|| Error::not_found("the metadata has no createdTime"))
        })
    })
}
