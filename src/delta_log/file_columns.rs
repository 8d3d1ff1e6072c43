//! The columns that a line's action fills: builders that take values straight
//! from the cursor, each unescaped where it will stay.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int32Builder, Int64Builder, MapArray, NullBufferBuilder, StringArray,
    StructArray, TimestampMillisecondBuilder,
};
use arrow::buffer::{Buffer, OffsetBuffer};
use arrow::datatypes::DataType;

use super::json::{Cursor, RawStr, SURROGATE, Scan, Text};
use crate::actions::{
    ActionKind, ActionKinds, FileColumns, FileField, FileFields, deletion_vector_fields,
};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::utf8_array::utf8_array;

/// Builders of the wanted columns.
pub(super) struct FileBuilders {
    want: FileFields,
    /// Of these, the ones that are null where the action does not have them:
    /// all but those that are made of several, or of another.
    optional: FileFields,
    /// What each row is; `None` where all of them are adds.
    kinds: Option<Vec<ActionKind>>,
    pub(super) path: Utf8Builder,
    size: Int64Builder,
    modification_time: TimestampMillisecondBuilder,
    data_change: BooleanBuilder,
    partition_values: MapBuilder,
    stats: Utf8Builder,
    num_records: Int64Builder,
    tags: MapBuilder,
    base_row_id: Int64Builder,
    default_row_commit_version: Int64Builder,
    clustering_provider: Utf8Builder,
    deletion_timestamp: TimestampMillisecondBuilder,
    extended_file_metadata: BooleanBuilder,
    body: Utf8Builder,
    vectors: VectorBuilder,
    memory: Memory,
}

impl FileBuilders {
    /// Builders of the columns `want` for about `bytes` of lines, whose actions
    /// of the kinds `rows` are rows.
    pub(super) fn new(want: FileFields, rows: ActionKinds, bytes: usize, memory: &Memory) -> Self {
        // Statistics are most of a line, and shrink as they are unescaped.
        let stats = if want.has(FileField::Stats) { bytes / 4 * 3 } else { 0 };
        let stats = memory.take(stats).unwrap_or_default();
        let made = [FileField::Path, FileField::NumRecords, FileField::DeletionVector];
        let only_adds = rows == ActionKinds::from_iter([ActionKind::ADD]);
        FileBuilders {
            want,
            optional: want.without(FileFields::from_iter(made)),
            kinds: (!only_adds).then(Vec::new),
            path: Utf8Builder::default(),
            size: Int64Builder::new(),
            modification_time: TimestampMillisecondBuilder::new(),
            data_change: BooleanBuilder::new(),
            partition_values: MapBuilder::default(),
            stats: Utf8Builder::within(stats),
            memory: memory.clone(),
            num_records: Int64Builder::new(),
            tags: MapBuilder::default(),
            base_row_id: Int64Builder::new(),
            default_row_commit_version: Int64Builder::new(),
            clustering_provider: Utf8Builder::default(),
            deletion_timestamp: TimestampMillisecondBuilder::new(),
            extended_file_metadata: BooleanBuilder::new(),
            body: Utf8Builder::default(),
            vectors: VectorBuilder::default(),
        }
    }

    /// The rows so far.
    pub(super) fn rows(&self) -> usize {
        self.path.len()
    }

    /// Appends the value that comes next, or skips it where its column is not
    /// wanted.
    pub(super) fn value(
        &mut self,
        field: FileField,
        cursor: &mut Cursor<'_>,
        scratch: &mut Text,
    ) -> Scan<()> {
        let wants_records = field == FileField::Stats && self.want.has(FileField::NumRecords);
        if !self.want.has(field) && !wants_records {
            // A number is checked even so: a size that is none is a corrupt log.
            return match field {
                FileField::Size => non_negative(cursor).map(|_| ()),
                _ => cursor.skip_value(),
            };
        }
        match field {
            FileField::Size => self.size.append_value(non_negative(cursor)?),
            FileField::ModificationTime => self.modification_time.append_value(cursor.i64()?),
            FileField::DataChange => self.data_change.append_value(cursor.bool()?),
            FileField::BaseRowId => self.base_row_id.append_value(cursor.i64()?),
            FileField::DefaultRowCommitVersion => {
                self.default_row_commit_version.append_value(cursor.i64()?);
            }
            FileField::ClusteringProvider => self.clustering_provider.append_next(cursor)?,
            FileField::PartitionValues => self.partition_values.append_json(cursor)?,
            FileField::Tags => self.tags.append_json(cursor)?,
            FileField::Stats => {
                let text = if self.want.has(FileField::Stats) {
                    self.stats.append_next(cursor)?;
                    self.stats.last()
                } else {
                    cursor.string()?.resolve(scratch).map_err(|_| cursor.fault(SURROGATE))?
                };
                if wants_records {
                    self.num_records.append_option(num_records(text));
                }
            }
            FileField::DeletionTimestamp => self.deletion_timestamp.append_value(cursor.i64()?),
            FileField::ExtendedFileMetadata => {
                self.extended_file_metadata.append_value(cursor.bool()?);
            }
            FileField::Path
            | FileField::NumRecords
            | FileField::DeletionVector
            | FileField::Body => {}
        }
        Ok(())
    }

    /// Appends the row of an action that is no file action: of its own it has a
    /// body and nothing else.
    pub(super) fn rare_row(&mut self, kind: ActionKind, body: &[u8]) -> Result<(), &'static str> {
        self.path.append_null();
        let mut seen = FileFields::default();
        if self.want.has(FileField::Body) {
            self.body.append_bytes(body)?;
            seen.insert(FileField::Body);
        }
        self.end_row(kind, seen, None)
    }

    /// Ends a row: a wanted field that the action did not have is null.
    pub(super) fn end_row(
        &mut self,
        kind: ActionKind,
        seen: FileFields,
        vector: Option<&DeletionVector<'_>>,
    ) -> Result<(), &'static str> {
        if let Some(kinds) = &mut self.kinds {
            kinds.push(kind);
        }
        let missing = self.optional.without(seen);
        if !missing.is_empty() {
            self.append_nulls(missing);
        }
        if self.want.has(FileField::NumRecords) && !seen.has(FileField::Stats) {
            self.num_records.append_null();
        }
        if self.want.has(FileField::DeletionVector) {
            self.vectors.append(vector)?;
        }
        Ok(())
    }

    fn append_nulls(&mut self, missing: FileFields) {
        for field in FileField::ALL {
            if !missing.has(field) {
                continue;
            }
            match field {
                FileField::Size => self.size.append_null(),
                FileField::ModificationTime => self.modification_time.append_null(),
                FileField::DataChange => self.data_change.append_null(),
                FileField::PartitionValues => self.partition_values.append_null(),
                FileField::Stats => self.stats.append_null(),
                FileField::Tags => self.tags.append_null(),
                FileField::BaseRowId => self.base_row_id.append_null(),
                FileField::DefaultRowCommitVersion => {
                    self.default_row_commit_version.append_null();
                }
                FileField::ClusteringProvider => self.clustering_provider.append_null(),
                FileField::DeletionTimestamp => self.deletion_timestamp.append_null(),
                FileField::ExtendedFileMetadata => self.extended_file_metadata.append_null(),
                FileField::Body => self.body.append_null(),
                FileField::Path | FileField::NumRecords | FileField::DeletionVector => {}
            }
        }
    }

    pub(super) fn finish(mut self) -> Result<FileColumns> {
        let rows = self.path.len();
        let mut columns: [Option<ArrayRef>; FileField::COUNT] = Default::default();
        for field in FileField::ALL {
            if !self.want.has(field) {
                continue;
            }
            let array: ArrayRef = match field {
                FileField::Path => Arc::new(std::mem::take(&mut self.path).finish()?),
                FileField::Size => Arc::new(self.size.finish()),
                FileField::ModificationTime => {
                    Arc::new(self.modification_time.finish().with_timezone("UTC"))
                }
                FileField::DataChange => Arc::new(self.data_change.finish()),
                FileField::PartitionValues => {
                    Arc::new(std::mem::take(&mut self.partition_values).finish(field)?)
                }
                FileField::Stats => {
                    Arc::new(std::mem::take(&mut self.stats).finish_in(&self.memory)?)
                }
                FileField::NumRecords => Arc::new(self.num_records.finish()),
                FileField::Tags => Arc::new(std::mem::take(&mut self.tags).finish(field)?),
                FileField::BaseRowId => Arc::new(self.base_row_id.finish()),
                FileField::DefaultRowCommitVersion => {
                    Arc::new(self.default_row_commit_version.finish())
                }
                FileField::ClusteringProvider => {
                    Arc::new(std::mem::take(&mut self.clustering_provider).finish()?)
                }
                FileField::DeletionTimestamp => {
                    Arc::new(self.deletion_timestamp.finish().with_timezone("UTC"))
                }
                FileField::ExtendedFileMetadata => Arc::new(self.extended_file_metadata.finish()),
                FileField::Body => Arc::new(std::mem::take(&mut self.body).finish()?),
                FileField::DeletionVector => Arc::new(std::mem::take(&mut self.vectors).finish()?),
            };
            columns[field as usize] = Some(array);
        }
        Ok(FileColumns { rows, kinds: self.kinds.unwrap_or_default(), columns })
    }
}

fn non_negative(cursor: &mut Cursor<'_>) -> Scan<i64> {
    let value = cursor.i64()?;
    if value < 0 {
        return Err(cursor.fault(format!("a size is negative: {value}")));
    }
    Ok(value)
}

/// A null mask that costs nothing until the first null.
struct Nulls(NullBufferBuilder);

impl Default for Nulls {
    fn default() -> Self {
        Nulls(NullBufferBuilder::new(0))
    }
}

/// Builds strings from raw JSON: each is unescaped where it will stay.
#[derive(Default)]
pub(super) struct Utf8Builder {
    values: Text,
    ends: Vec<i32>,
    nulls: Nulls,
}

const TOO_LONG: &str = "the strings of a unit have more than 2 GiB";

impl Utf8Builder {
    fn len(&self) -> usize {
        self.ends.len()
    }

    /// Empty, to be filled within `memory`.
    fn within(memory: Vec<u8>) -> Self {
        Utf8Builder { values: Text::within(memory), ..Utf8Builder::default() }
    }

    /// Appends the string that is next.
    pub(super) fn append_next(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
        cursor.string_into(&mut self.values)?;
        self.end(true).map_err(|what| cursor.fault(what))
    }

    fn append_raw(&mut self, raw: RawStr<'_>) -> Result<(), &'static str> {
        raw.append_to(&mut self.values).map_err(|_| SURROGATE)?;
        self.end(true)
    }

    fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.values.push(bytes);
        self.end(true)
    }

    fn append_null(&mut self) {
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.push(end);
        self.nulls.0.append(false);
    }

    fn end(&mut self, is_valid: bool) -> Result<(), &'static str> {
        self.ends.push(i32::try_from(self.values.len()).map_err(|_| TOO_LONG)?);
        self.nulls.0.append(is_valid);
        Ok(())
    }

    /// The bytes of the last value.
    pub(super) fn last(&self) -> &[u8] {
        let begin = match self.ends[..] {
            [.., before, _] => before as usize,
            _ => 0,
        };
        &self.values.as_slice()[begin..]
    }

    fn finish(self) -> Result<StringArray> {
        self.finish_as(|mut text, used| {
            text.truncate(used);
            Buffer::from(text)
        })
    }

    /// The same, the text to go back to `memory` when it is dropped.
    fn finish_in(self, memory: &Memory) -> Result<StringArray> {
        self.finish_as(|text, used| memory.lend(text, used).into())
    }

    fn finish_as(mut self, buffer: impl FnOnce(Vec<u8>, usize) -> Buffer) -> Result<StringArray> {
        let (text, used) = self.values.into_parts();
        utf8_array(&self.ends, buffer(text, used), self.nulls.0.finish())
            .map_err(|what| Error::bug(format!("decoded strings: {what}")))
    }
}

fn offsets(ends: &[i32]) -> OffsetBuffer<i32> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend_from_slice(ends);
    OffsetBuffer::new(offsets.into())
}

/// Builds maps from string to string.
#[derive(Default)]
struct MapBuilder {
    keys: Utf8Builder,
    values: Utf8Builder,
    ends: Vec<i32>,
    nulls: Nulls,
}

impl MapBuilder {
    fn append_json(&mut self, cursor: &mut Cursor<'_>) -> Scan<()> {
        cursor.begin_object()?;
        let mut first = true;
        while let Some(key) = cursor.next_key(&mut first)? {
            self.keys.append_raw(key).map_err(|what| cursor.fault(what))?;
            if cursor.null()? {
                self.values.append_null();
                continue;
            }
            if cursor.peek() == Some(b'"') {
                self.values.append_next(cursor)?;
                continue;
            }
            // Spark reads a bare number or boolean of such a map as its text.
            let text = cursor.scalar()?;
            self.values.append_bytes(text).map_err(|what| cursor.fault(what))?;
        }
        self.end(true);
        Ok(())
    }

    fn append_null(&mut self) {
        self.end(false);
    }

    fn end(&mut self, is_valid: bool) {
        // Each entry has at least a byte of text, whose builder checks the bound.
        self.ends.push(self.keys.len() as i32);
        self.nulls.0.append(is_valid);
    }

    fn finish(mut self, field: FileField) -> Result<MapArray> {
        let DataType::Map(entries_field, sorted) = field.data_type() else {
            return Err(Error::bug("a map column without a map's type"));
        };
        let DataType::Struct(fields) = entries_field.data_type().clone() else {
            return Err(Error::bug("a map column without entries"));
        };
        let columns: Vec<ArrayRef> =
            vec![Arc::new(self.keys.finish()?), Arc::new(self.values.finish()?)];
        let built = StructArray::try_new(fields, columns, None).and_then(|entries| {
            let nulls = self.nulls.0.finish();
            MapArray::try_new(entries_field, offsets(&self.ends), entries, nulls, sorted)
        });
        built.map_err(|e| Error::bug(format!("decoded maps: {e}")))
    }
}

/// Builds deletion vector descriptors.
#[derive(Default)]
struct VectorBuilder {
    storage_type: Utf8Builder,
    path_or_inline: Utf8Builder,
    offset: Int32Builder,
    size_in_bytes: Int32Builder,
    cardinality: Int64Builder,
    nulls: Nulls,
}

impl VectorBuilder {
    fn append(&mut self, vector: Option<&DeletionVector<'_>>) -> Result<(), &'static str> {
        match vector {
            Some(vector) => {
                self.storage_type.append_raw(vector.storage_type)?;
                self.path_or_inline.append_raw(vector.path_or_inline)?;
                self.offset.append_option(vector.offset);
                self.size_in_bytes.append_value(vector.size_in_bytes);
                self.cardinality.append_value(vector.cardinality);
            }
            None => {
                self.storage_type.append_null();
                self.path_or_inline.append_null();
                self.offset.append_null();
                self.size_in_bytes.append_null();
                self.cardinality.append_null();
            }
        }
        self.nulls.0.append(vector.is_some());
        Ok(())
    }

    fn finish(mut self) -> Result<StructArray> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.storage_type.finish()?),
            Arc::new(self.path_or_inline.finish()?),
            Arc::new(self.offset.finish()),
            Arc::new(self.size_in_bytes.finish()),
            Arc::new(self.cardinality.finish()),
        ];
        StructArray::try_new(deletion_vector_fields(), columns, self.nulls.0.finish())
            .map_err(|e| Error::bug(format!("decoded deletion vectors: {e}")))
    }
}

/// A deletion vector's descriptor in a line ("Deletion Vector Descriptor
/// Schema").
#[derive(Clone, Copy)]
pub(super) struct DeletionVector<'a> {
    pub(super) storage_type: RawStr<'a>,
    pub(super) path_or_inline: RawStr<'a>,
    pub(super) offset: Option<i32>,
    pub(super) size_in_bytes: i32,
    pub(super) cardinality: i64,
}

pub(super) fn deletion_vector<'a>(cursor: &mut Cursor<'a>) -> Scan<DeletionVector<'a>> {
    let begin = cursor.pos();
    cursor.begin_object()?;
    let (mut storage_type, mut path_or_inline) = (None, None);
    let (mut offset, mut size_in_bytes, mut cardinality) = (None, None, None);
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first)? {
        if cursor.null()? {
            continue;
        }
        match key {
            key if key.is("storageType") => storage_type = Some(cursor.string()?),
            key if key.is("pathOrInlineDv") => path_or_inline = Some(cursor.string()?),
            key if key.is("offset") => offset = Some(i32_of(cursor)?),
            key if key.is("sizeInBytes") => size_in_bytes = Some(i32_of(cursor)?),
            key if key.is("cardinality") => cardinality = Some(cursor.i64()?),
            _ => cursor.skip_value()?,
        }
    }
    match (storage_type, path_or_inline, size_in_bytes, cardinality) {
        (Some(storage_type), Some(path_or_inline), Some(size_in_bytes), Some(cardinality)) => {
            Ok(DeletionVector { storage_type, path_or_inline, offset, size_in_bytes, cardinality })
        }
        _ => {
            cursor.seek(begin);
            Err(cursor.fault(
                "a deletionVector lacks storageType, pathOrInlineDv, sizeInBytes or cardinality",
            ))
        }
    }
}

fn i32_of(cursor: &mut Cursor<'_>) -> Scan<i32> {
    let value = cursor.i64()?;
    i32::try_from(value)
        .map_err(|_| cursor.fault(format!("expected a whole number of 32 bits, found {value}")))
}

/// `numRecords` of the statistics `stats`: null where they are not JSON, do not
/// say, or say nonsense ("Per-file Statistics").
pub(crate) fn num_records(stats: &[u8]) -> Option<i64> {
    // Most writers begin with it.
    if let Some(rest) = stats.strip_prefix(b"{\"numRecords\":") {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if (1..=18).contains(&digits)
            && rest[0] != b'0'
            && matches!(rest.get(digits), Some(b',' | b'}'))
        {
            let number = |n, &digit: &u8| n * 10 + i64::from(digit - b'0');
            return Some(rest[..digits].iter().fold(0, number));
        }
    }
    let mut cursor = Cursor::new(std::str::from_utf8(stats).ok()?);
    cursor.begin_object().ok()?;
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first).ok()? {
        if key.is("numRecords") {
            return cursor.i64().ok().filter(|&n| n >= 0);
        }
        cursor.skip_value().ok()?;
    }
    None
}
