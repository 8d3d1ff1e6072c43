//! The action model: rare actions typed, file actions columnar.
//!
//! A log holds a handful of `protocol`, `metaData`, `txn` and `domainMetadata`
//! actions and millions of `add` and `remove` actions. The rare ones are these
//! types, read with serde from a commit's line or from a checkpoint's row made
//! JSON; the file actions never become values of their own, they are decoded
//! straight into columns (see `delta_log`).

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, MapArray, MapBuilder, MapFieldNames, StringBuilder,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use serde::{Deserialize, de};
use serde_json::Value;
use siphasher::sip128::SipHasher13;
use wide::u8x16;

use crate::error::{Error, Result, escaped};

/// The `protocol` action ("Protocol Evolution").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Protocol {
    /// `minReaderVersion`.
    pub min_reader_version: i32,
    /// `minWriterVersion`.
    pub min_writer_version: i32,
    /// `readerFeatures`: present exactly at reader version 3.
    pub reader_features: Option<Vec<String>>,
    /// `writerFeatures`: present exactly at writer version 7.
    pub writer_features: Option<Vec<String>>,
}

/// The `metaData` action ("Change Metadata").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Metadata {
    /// Unique identifier of the table.
    pub id: String,
    /// User-provided name.
    pub name: Option<String>,
    /// User-provided description.
    pub description: Option<String>,
    /// How the table's files are encoded.
    #[serde(default)]
    pub format: Format,
    /// The table's schema as Delta JSON, as it is in the log.
    pub schema_string: String,
    /// Logical names of the partition columns, in order.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub partition_columns: Vec<String>,
    /// The table's properties.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub configuration: BTreeMap<String, String>,
    /// Milliseconds since the Unix epoch.
    pub created_time: Option<i64>,
}

/// The `format` of a [`Metadata`] ("Format Specification").
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Format {
    /// `parquet`, the only one that today's tables have.
    #[serde(default)]
    pub provider: String,
    /// Options of the encoding.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub options: BTreeMap<String, String>,
}

/// The `txn` action ("Transaction Identifiers").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Txn {
    /// Unique identifier of the application.
    pub app_id: String,
    /// How far it has come, by its own count.
    pub version: i64,
    /// When it last committed: milliseconds since the Unix epoch.
    pub last_updated: Option<i64>,
}

/// The `domainMetadata` action ("Domain Metadata").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DomainMetadata {
    pub(crate) domain: String,
    pub(crate) configuration: String,
    #[serde(default)]
    pub(crate) removed: bool,
}

/// The `sidecar` action of a V2 checkpoint ("Sidecar File Information").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sidecar {
    pub(crate) path: String,
    pub(crate) size_in_bytes: Option<i64>,
}

/// The `checkpointMetadata` action of a V2 checkpoint ("Checkpoint Metadata").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct CheckpointMetadata {
    pub(crate) version: i64,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(crate) tags: BTreeMap<String, Option<String>>,
}

/// One rare action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RareAction {
    Protocol(Protocol),
    Metadata(Metadata),
    Txn(Txn),
    DomainMetadata(DomainMetadata),
    Sidecar(Sidecar),
    CheckpointMetadata(CheckpointMetadata),
}

/// The kinds of [`RareAction`], to say which are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RareKind {
    Protocol,
    Metadata,
    Txn,
    DomainMetadata,
    CommitInfo,
    Sidecar,
    CheckpointMetadata,
}

impl RareAction {
    pub(crate) fn kind(&self) -> RareKind {
        match self {
            RareAction::Protocol(_) => RareKind::Protocol,
            RareAction::Metadata(_) => RareKind::Metadata,
            RareAction::Txn(_) => RareKind::Txn,
            RareAction::DomainMetadata(_) => RareKind::DomainMetadata,
            RareAction::Sidecar(_) => RareKind::Sidecar,
            RareAction::CheckpointMetadata(_) => RareKind::CheckpointMetadata,
        }
    }
}

impl RareKind {
    /// The action's name in the log.
    pub(crate) fn key(self) -> &'static str {
        match self {
            RareKind::Protocol => "protocol",
            RareKind::Metadata => "metaData",
            RareKind::Txn => "txn",
            RareKind::DomainMetadata => "domainMetadata",
            RareKind::CommitInfo => "commitInfo",
            RareKind::Sidecar => "sidecar",
            RareKind::CheckpointMetadata => "checkpointMetadata",
        }
    }

    /// The field that every action of this kind has: where it is null in a
    /// checkpoint's row, the row is another action's.
    pub(crate) fn required_field(self) -> &'static str {
        match self {
            RareKind::Protocol => "minReaderVersion",
            RareKind::Metadata => "id",
            RareKind::Txn => "appId",
            RareKind::DomainMetadata => "domain",
            RareKind::CommitInfo => "inCommitTimestamp",
            RareKind::Sidecar => "path",
            RareKind::CheckpointMetadata => "version",
        }
    }

    /// The action that `value` holds, or what is wrong with it.
    pub(crate) fn action(self, value: Value) -> serde_json::Result<RareAction> {
        Ok(match self {
            RareKind::Protocol => RareAction::Protocol(serde_json::from_value(value)?),
            RareKind::Metadata => RareAction::Metadata(serde_json::from_value(value)?),
            RareKind::Txn => RareAction::Txn(serde_json::from_value(value)?),
            RareKind::DomainMetadata => RareAction::DomainMetadata(serde_json::from_value(value)?),
            // Free-form: `delta_log` reads it field by field.
            RareKind::CommitInfo => return Err(de::Error::custom("it has no form")),
            RareKind::Sidecar => RareAction::Sidecar(serde_json::from_value(value)?),
            RareKind::CheckpointMetadata => {
                RareAction::CheckpointMetadata(serde_json::from_value(value)?)
            }
        })
    }
}

/// The actions that speak of files ("Add File and Remove File", "Add CDC File").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Add,
    Remove,
    Cdc,
}

impl FileKind {
    pub(crate) const COUNT: usize = 3;

    /// The kind in a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            FileKind::Add => "an add",
            FileKind::Remove => "a remove",
            FileKind::Cdc => "a cdc",
        }
    }

    /// Whether the protocol knows `field` in such an action; in one where it
    /// does not, the field is to be ignored ("Protocol Evolution").
    pub(crate) fn has(self, field: FileField) -> bool {
        match field {
            FileField::Path
            | FileField::Size
            | FileField::PartitionValues
            | FileField::Tags
            | FileField::DataChange => true,
            FileField::Stats
            | FileField::NumRecords
            | FileField::DeletionVector
            | FileField::BaseRowId
            | FileField::DefaultRowCommitVersion => self != FileKind::Cdc,
            FileField::ModificationTime | FileField::ClusteringProvider => self == FileKind::Add,
            FileField::DeletionTimestamp | FileField::ExtendedFileMetadata => {
                self == FileKind::Remove
            }
            FileField::Body => false,
        }
    }
}

/// Every action that the protocol knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ActionKind {
    File(FileKind),
    Rare(RareKind),
}

impl ActionKind {
    pub(crate) const ADD: ActionKind = ActionKind::File(FileKind::Add);
    pub(crate) const REMOVE: ActionKind = ActionKind::File(FileKind::Remove);
    pub(crate) const CDC: ActionKind = ActionKind::File(FileKind::Cdc);

    pub(crate) const ALL: [ActionKind; 10] = [
        ActionKind::ADD,
        ActionKind::REMOVE,
        ActionKind::CDC,
        ActionKind::Rare(RareKind::Protocol),
        ActionKind::Rare(RareKind::Metadata),
        ActionKind::Rare(RareKind::Txn),
        ActionKind::Rare(RareKind::DomainMetadata),
        ActionKind::Rare(RareKind::CommitInfo),
        ActionKind::Rare(RareKind::Sidecar),
        ActionKind::Rare(RareKind::CheckpointMetadata),
    ];

    /// The kind of the action that the log calls `key`.
    pub(crate) fn from_key(key: &[u8]) -> Option<ActionKind> {
        ActionKind::ALL.into_iter().find(|kind| kind.key().as_bytes() == key)
    }

    /// The action's name in the log.
    pub(crate) fn key(self) -> &'static str {
        match self {
            ActionKind::File(FileKind::Add) => "add",
            ActionKind::File(FileKind::Remove) => "remove",
            ActionKind::File(FileKind::Cdc) => "cdc",
            ActionKind::Rare(kind) => kind.key(),
        }
    }

    fn place(self) -> usize {
        match self {
            ActionKind::File(kind) => kind as usize,
            ActionKind::Rare(kind) => FileKind::COUNT + kind as usize,
        }
    }
}

/// A set of [`ActionKind`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ActionKinds(u16);

impl ActionKinds {
    #[inline]
    pub(crate) fn has(self, kind: ActionKind) -> bool {
        self.0 & (1 << kind.place()) != 0
    }
}

impl FromIterator<ActionKind> for ActionKinds {
    fn from_iter<I: IntoIterator<Item = ActionKind>>(kinds: I) -> Self {
        ActionKinds(kinds.into_iter().fold(0, |set, kind| set | 1 << kind.place()))
    }
}

/// A writer that spells an empty list or map as null means the same.
fn null_is_empty<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A field of an action that a decoder can fill a column with ("Add File and
/// Remove File", "Add CDC File").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileField {
    Path,
    Size,
    ModificationTime,
    PartitionValues,
    Stats,
    /// `numRecords` of the statistics ("Per-file Statistics").
    NumRecords,
    DeletionVector,
    Tags,
    DataChange,
    BaseRowId,
    DefaultRowCommitVersion,
    ClusteringProvider,
    DeletionTimestamp,
    ExtendedFileMetadata,
    /// All of an action that is no file action, as JSON.
    Body,
}

impl FileField {
    pub(crate) const COUNT: usize = 15;

    pub(crate) const ALL: [FileField; FileField::COUNT] = [
        FileField::Path,
        FileField::Size,
        FileField::ModificationTime,
        FileField::PartitionValues,
        FileField::Stats,
        FileField::NumRecords,
        FileField::DeletionVector,
        FileField::Tags,
        FileField::DataChange,
        FileField::BaseRowId,
        FileField::DefaultRowCommitVersion,
        FileField::ClusteringProvider,
        FileField::DeletionTimestamp,
        FileField::ExtendedFileMetadata,
        FileField::Body,
    ];

    /// The column's type. All strings are UTF-8 as the log has them, escapes
    /// of JSON resolved and nothing else; a body is text of the log itself.
    pub(crate) fn data_type(self) -> DataType {
        match self {
            FileField::Path
            | FileField::Stats
            | FileField::ClusteringProvider
            | FileField::Body => DataType::Utf8,
            FileField::Size
            | FileField::NumRecords
            | FileField::BaseRowId
            | FileField::DefaultRowCommitVersion => DataType::Int64,
            FileField::ModificationTime | FileField::DeletionTimestamp => {
                DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
            }
            FileField::DataChange | FileField::ExtendedFileMetadata => DataType::Boolean,
            FileField::PartitionValues | FileField::Tags => string_map(),
            FileField::DeletionVector => DataType::Struct(deletion_vector_fields()),
        }
    }
}

/// The type of a map from text to text.
pub(crate) fn string_map() -> DataType {
    let entry = DataType::Struct(Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]));
    DataType::Map(Arc::new(Field::new("key_value", entry, false)), false)
}

/// Builds a column of that type.
pub(crate) fn string_map_builder() -> MapBuilder<StringBuilder, StringBuilder> {
    let names =
        MapFieldNames { entry: "key_value".into(), key: "key".into(), value: "value".into() };
    MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
}

/// The value of `key` in a row's map: `None` where the key is not there.
pub(crate) fn value_of<'a>(map: &'a MapArray, row: usize, key: &str) -> Option<Option<&'a str>> {
    if map.is_null(row) {
        return None;
    }
    let (keys, values) = (map.keys().as_string::<i32>(), map.values().as_string::<i32>());
    let offsets = map.value_offsets();
    let entries = offsets[row] as usize..offsets[row + 1] as usize;
    let at = entries.into_iter().find(|&at| keys.value(at) == key)?;
    Some(values.is_valid(at).then(|| values.value(at)))
}

/// The deletion vector's descriptor as it is delivered ("Deletion Vector
/// Descriptor Schema").
pub(crate) fn deletion_vector_fields() -> Fields {
    Fields::from(vec![
        Field::new("storage_type", DataType::Utf8, true),
        Field::new("path_or_inline_dv", DataType::Utf8, true),
        Field::new("offset", DataType::Int32, true),
        Field::new("size_in_bytes", DataType::Int32, true),
        Field::new("cardinality", DataType::Int64, true),
    ])
}

/// A set of [`FileField`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FileFields(u16);

impl FileFields {
    pub(crate) fn has(self, field: FileField) -> bool {
        self.0 & (1 << field as u16) != 0
    }

    pub(crate) fn insert(&mut self, field: FileField) {
        self.0 |= 1 << field as u16;
    }

    pub(crate) fn with(self, other: FileFields) -> FileFields {
        FileFields(self.0 | other.0)
    }

    pub(crate) fn without(self, other: FileFields) -> FileFields {
        FileFields(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<FileField> for FileFields {
    fn from_iter<I: IntoIterator<Item = FileField>>(fields: I) -> Self {
        let mut set = FileFields::default();
        fields.into_iter().for_each(|field| set.insert(field));
        set
    }
}

/// Decoded actions, a row each: the columns of the wanted fields. What an action
/// does not have is null, the path too of one that is no file action.
#[derive(Debug, Clone)]
pub(crate) struct FileColumns {
    pub(crate) rows: usize,
    /// What each row is; empty where all of them are adds.
    pub(crate) kinds: Vec<ActionKind>,
    pub(crate) columns: [Option<ArrayRef>; FileField::COUNT],
}

impl FileColumns {
    pub(crate) fn kind(&self, row: usize) -> ActionKind {
        self.kinds.get(row).copied().unwrap_or(ActionKind::ADD)
    }

    pub(crate) fn column(&self, field: FileField) -> Result<&ArrayRef> {
        self.columns[field as usize]
            .as_ref()
            .ok_or_else(|| Error::bug(format!("column {field:?} was not decoded")))
    }

    /// Leaves out the rows that `keep` does not say.
    pub(crate) fn filter(&mut self, keep: &BooleanBuffer) -> Result<()> {
        let kept = keep.count_set_bits();
        if kept == self.rows {
            return Ok(());
        }
        let keep = BooleanArray::new(keep.clone(), None);
        for column in self.columns.iter_mut().flatten() {
            *column = filter(column, &keep)
                .map_err(|e| Error::bug(format!("some rows of decoded actions: {e}")))?;
        }
        if !self.kinds.is_empty() {
            let kinds = self.kinds.iter().zip(keep.values());
            self.kinds = kinds.filter(|(_, keep)| *keep).map(|(kind, _)| *kind).collect();
        }
        self.rows = kept;
        Ok(())
    }
}

/// The key of one file action of a commit, hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActionKey {
    /// Of the logical file: (decoded path, deletion vector id).
    pub(crate) file: u128,
    /// Of the decoded path alone.
    pub(crate) path: u128,
    pub(crate) is_add: bool,
}

/// Hashes logical files to 128 bits.
///
/// The hash stands for the key, so a collision would hide a file. SipHash with
/// a key that the table's writer cannot know makes that as unlikely for a
/// hostile table as for any other.
#[derive(Clone)]
pub(crate) struct KeyHasher {
    sip: SipHasher13,
}

impl KeyHasher {
    pub(crate) fn new() -> Self {
        // The standard library's own source of random keys.
        let random = || RandomState::new().build_hasher().finish();
        KeyHasher { sip: SipHasher13::new_with_keys(random(), random()) }
    }

    /// The hash of a path as the log has it; it is decoded first, so that every
    /// spelling of one file is one key.
    pub(crate) fn path(&self, raw: &[u8], scratch: &mut Vec<u8>) -> Result<u128> {
        Ok(self.sip.hash(decode_path(raw, scratch)?).as_u128())
    }

    /// The hash of the logical file (`path`, deletion vector), the vector given
    /// by the parts of its unique id ("Derived Fields").
    pub(crate) fn file(
        &self,
        path: u128,
        storage_type: &[u8],
        path_or_inline: &[u8],
        offset: Option<i64>,
        scratch: &mut Vec<u8>,
    ) -> u128 {
        scratch.clear();
        scratch.extend_from_slice(&path.to_le_bytes());
        scratch.extend_from_slice(storage_type);
        scratch.extend_from_slice(path_or_inline);
        if let Some(offset) = offset {
            scratch.push(b'@');
            scratch.extend_from_slice(offset.to_string().as_bytes());
        }
        self.sip.hash(scratch).as_u128()
    }
}

/// The path that `raw`, a URI reference, stands for: percent-decoded exactly
/// once, and with the spellings `file:/x` and `file:///x` of `/x` made one.
///
/// A path that climbs out of the table is refused here already: a host that
/// joins it to the table's root would open what it should not.
pub(crate) fn decode_path<'a>(raw: &'a [u8], scratch: &'a mut Vec<u8>) -> Result<&'a [u8]> {
    if is_plain_path(raw) {
        return Ok(raw);
    }
    let path = without_file_scheme(raw);
    let decoded: &[u8] = if memchr::memchr(b'%', path).is_some() {
        scratch.clear();
        scratch.extend(percent_encoding::percent_decode(path));
        scratch
    } else {
        path
    };
    check_path(decoded, raw)?;
    Ok(decoded)
}

/// Checks that a decoded path is one and stays in the table; `raw` is what the
/// log has.
pub(crate) fn check_path(decoded: &[u8], raw: &[u8]) -> Result<()> {
    let bad = |what: &str| {
        Err(Error::corrupt(format!("path \"{}\" {what}", escaped(&String::from_utf8_lossy(raw)))))
    };
    if decoded.is_empty() {
        return bad("is empty");
    }
    if memchr::memchr(0, decoded).is_some() {
        return bad("has a NUL byte");
    }
    if memchr::memmem::find(decoded, b"..").is_some()
        && decoded.split(|&b| b == b'/' || b == b'\\').any(|part| part == b"..")
    {
        return bad("climbs out of the table with \"..\"");
    }
    Ok(())
}

/// `raw` without a scheme that only says the local file system.
///
/// Spark compares paths as Java URIs. There a scheme may be in any case, an
/// empty authority is none, and one that names a host, `localhost` too, is
/// another place: Hadoop does not read it as local. The scheme is looked for
/// before decoding, because `file%3A/x` is a file of the table, not `/x`.
fn without_file_scheme(raw: &[u8]) -> &[u8] {
    if !has_file_scheme(raw) {
        return raw;
    }
    let path = &raw[FILE_SCHEME.len()..];
    match path {
        [b'/', b'/', b'/', ..] => &path[2..],
        [b'/', b'/', ..] => raw,
        [b'/', ..] => path,
        _ => raw,
    }
}

const FILE_SCHEME: &[u8] = b"file:";

fn has_file_scheme(raw: &[u8]) -> bool {
    // The colon first: that one byte sorts out nearly every path.
    raw.get(FILE_SCHEME.len() - 1) == Some(&b':')
        && raw[..FILE_SCHEME.len()].eq_ignore_ascii_case(FILE_SCHEME)
}

/// Whether `raw` is a path of which [`decode_path`] would change and refuse
/// nothing, as nearly all are: one pass finds out.
fn is_plain_path(raw: &[u8]) -> bool {
    const LANES: usize = 16;
    let mut after_dot = false;
    let mut blocks = raw.chunks_exact(LANES);
    let mut is_plain = |block: [u8; LANES]| {
        let block = u8x16::new(block);
        let special = block.simd_eq(u8x16::splat(b'%')) | block.simd_eq(u8x16::splat(0));
        let dots = block.simd_eq(u8x16::splat(b'.')).to_bitmask();
        let pairs = dots & (dots << 1 | u32::from(after_dot));
        after_dot = dots >> (LANES - 1) & 1 != 0;
        pairs == 0 && special.to_bitmask() == 0
    };
    if raw.is_empty() || has_file_scheme(raw) {
        return false;
    }
    if !blocks.by_ref().all(|block| is_plain(block.try_into().unwrap_or([0; LANES]))) {
        return false;
    }
    let mut last = [b'a'; LANES];
    let rest = blocks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    is_plain(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_action_is_found_by_its_name_and_has_a_place_of_its_own_in_a_set() {
        for kind in ActionKind::ALL {
            assert_eq!(ActionKind::from_key(kind.key().as_bytes()), Some(kind));
            let set = ActionKinds::from_iter([kind]);
            let held: Vec<_> = ActionKind::ALL.into_iter().filter(|&k| set.has(k)).collect();
            assert_eq!(held, [kind]);
        }
        assert_eq!(ActionKind::from_key(b"added"), None);
    }

    fn decoded(raw: &str) -> Result<String> {
        let mut scratch = Vec::new();
        Ok(String::from_utf8(decode_path(raw.as_bytes(), &mut scratch)?.to_vec()).unwrap())
    }

    #[test]
    fn a_path_is_percent_decoded_exactly_once() {
        for (raw, path) in [
            ("a%20b", "a b"),
            ("a%2520b", "a%20b"),
            ("a%b", "a%b"),
            ("a+b", "a+b"),
            ("p=%C3%BC/x", "p=ü/x"),
            ("a..b/c..", "a..b/c.."),
        ] {
            assert_eq!(decoded(raw).unwrap(), path);
        }
    }

    #[test]
    fn a_path_is_plain_wherever_nothing_of_it_is_special() {
        for length in 1..70 {
            let plain = "a".repeat(length);
            assert!(is_plain_path(plain.as_bytes()));
            for at in 0..length {
                let with = |special: &str| {
                    let mut path = plain.clone();
                    path.replace_range(at..(at + special.len()).min(length), special);
                    path
                };
                assert!(is_plain_path(with(".").as_bytes()));
                for special in ["%", "\0", ".."] {
                    assert!(!is_plain_path(with(special).as_bytes()), "{length} {at} {special}");
                }
            }
        }
        assert!(!is_plain_path(b"") && !is_plain_path(b"file:/a") && !is_plain_path(b"FiLe:/a"));
    }

    #[test]
    fn the_spellings_of_a_local_uri_are_one_path() {
        for raw in [
            "/x/y",
            "file:/x/y",
            "file:///x/y",
            "file:///x%2Fy",
            "%2Fx/y",
            "FILE:/x/y",
            "File:///x/y",
        ] {
            assert_eq!(decoded(raw).unwrap(), "/x/y", "{raw}");
        }
        assert_eq!(decoded("s3://bucket/x").unwrap(), "s3://bucket/x");
        // Names that only begin like it.
        for raw in ["file", "file:", "file:x", "files:/x", "filer/x"] {
            assert_eq!(decoded(raw).unwrap(), raw);
        }
    }

    #[test]
    fn a_file_of_a_named_host_is_not_the_local_one() {
        for raw in ["file://host/x", "file://localhost/x", "FILE://localhost/x", "file://"] {
            assert_eq!(decoded(raw).unwrap(), raw);
        }
    }

    #[test]
    fn a_percent_encoded_scheme_is_a_name_of_the_table() {
        assert_eq!(decoded("file%3A/x").unwrap(), "file:/x");
        assert_eq!(decoded("%66ile:///x").unwrap(), "file:///x");
        assert_eq!(decoded("file:%2Fx").unwrap(), "file:/x");
    }

    #[test]
    fn a_local_uri_is_checked_as_its_path_is() {
        for raw in ["file:/../x", "FILE:///a/%2e%2e/x", "file:///a%00b"] {
            assert!(decoded(raw).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_path_that_climbs_out_is_empty_or_has_a_nul_is_refused() {
        for raw in ["../x", "a/../../x", "..", "%2e%2e/x", "..%2fx", ".\\..\\x", "", "a%00b", "\0"]
        {
            let error = decoded(raw).unwrap_err();
            assert!(error.message().starts_with("path"), "{raw}: {error}");
        }
    }

    #[test]
    fn a_deletion_vector_makes_another_key_of_the_same_path() {
        let hasher = KeyHasher::new();
        let mut scratch = Vec::new();
        let path = hasher.path(b"a", &mut scratch).unwrap();
        let one = hasher.file(path, b"u", b"xy", Some(1), &mut scratch);
        assert_ne!(path, one);
        assert_ne!(one, hasher.file(path, b"u", b"xy", Some(2), &mut scratch));
        assert_eq!(one, hasher.file(path, b"u", b"xy", Some(1), &mut scratch));
    }
}
