//! The files of one checkpoint, in Parquet as the protocol's "Checkpoint Schema"
//! has it.

use std::fs::{self, File};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int32Array, Int64Array, ListArray,
    MapArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::commit::{APP_ID, Metadata, PROPERTY};
use super::data_file::{
    Bounds, COLUMNS, DAY_ZERO, DataFile, Random, partition_columns, push_number,
};
use super::{CHECKPOINT_MS, CHECKPOINT_VERSION, Kind, MINUTE_MS, Naming, Result, Table, share};

/// The rows of a file that are built at a time.
const BATCH_ROWS: u64 = 8_192;

/// Writes the checkpoint into `log`, and says how many bytes its files have.
pub(super) fn write(table: &Table, naming: Naming, log: &Path) -> Result<u64> {
    let version = CHECKPOINT_VERSION;
    let mut total = Written::default();
    let mut parts = None;
    match naming {
        Naming::Classic => {
            let path = log.join(format!("{version:020}.checkpoint.parquet"));
            total.add(write_file(table, &path, Rare::All(&[]), 0, 1)?);
        }
        Naming::Parts(count) => {
            parts = Some(count);
            for part in 0..count {
                let name = format!("{version:020}.checkpoint.{:010}.{count:010}.parquet", part + 1);
                let rare = if part == 0 { Rare::All(&[]) } else { Rare::None };
                total.add(write_file(table, &log.join(name), rare, part, count)?);
            }
        }
        Naming::Sidecars(count) => {
            fs::create_dir(log.join("_sidecars"))?;
            let mut random = Random::of(table.seed, u64::MAX / 2);
            let mut sidecars = Vec::new();
            for place in 0..count {
                let name = format!("{}.parquet", random.uuid());
                let path = log.join("_sidecars").join(&name);
                let written = write_file(table, &path, Rare::None, place, count)?;
                total.add(written);
                sidecars.push((name, written.bytes));
            }
            let name = format!("{version:020}.checkpoint.{}.parquet", random.uuid());
            total.add(write_file(table, &log.join(name), Rare::All(&sidecars), count, count)?);
        }
    }
    let parts = parts.map_or(String::new(), |parts| format!(",\"parts\":{parts}"));
    let hint = format!(
        "{{\"version\":{version},\"size\":{},\"sizeInBytes\":{},\"numOfAddFiles\":{}{parts}}}",
        total.rows, total.bytes, table.files,
    );
    fs::write(log.join("_last_checkpoint"), hint)?;
    Ok(total.bytes)
}

#[derive(Clone, Copy, Default)]
struct Written {
    rows: u64,
    bytes: u64,
}

impl Written {
    fn add(&mut self, other: Written) {
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// Which actions other than adds and removes a file has.
#[derive(Clone, Copy)]
enum Rare<'a> {
    None,
    /// With these sidecars: their names and sizes.
    All(&'a [(String, u64)]),
}

/// Writes one file with the `place`th of `of` shares of the adds and removes;
/// with none of them when there is no such share.
fn write_file(table: &Table, path: &Path, rare: Rare, place: u64, of: u64) -> Result<Written> {
    let rare = match rare {
        Rare::None => Vec::new(),
        Rare::All(sidecars) => rare_actions(table, sidecars)?,
    };
    let mut fields: Vec<_> = rare.iter().map(|(name, action)| nullable(name, action)).collect();
    let has_files = place < of;
    if has_files {
        fields.push(nullable("add", &adds(table, 0..0)?));
        fields.push(nullable("remove", &removes(table, 0..0)?));
    }
    let schema = Arc::new(Schema::new(fields));
    let mut writer =
        ArrowWriter::try_new(File::create(path)?, Arc::clone(&schema), Some(properties()))?;
    let mut rows = 0;
    let mut write = |name: &str, action: StructArray| -> Result<()> {
        rows += action.len() as u64;
        Ok(writer.write(&only(&schema, name, action)?)?)
    };
    for (name, action) in rare {
        write(name, action)?;
    }
    if has_files {
        for files in batches(share(table.files, place, of)) {
            write("add", adds(table, files)?)?;
        }
        for tombstones in batches(share(table.tombstones(), place, of)) {
            write("remove", removes(table, tombstones)?)?;
        }
    }
    writer.close()?;
    Ok(Written { rows, bytes: fs::metadata(path)?.len() })
}

fn batches(files: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let end = files.end;
    files.step_by(BATCH_ROWS as usize).map(move |first| first..end.min(first + BATCH_ROWS))
}

fn properties() -> WriterProperties {
    let path = |parts: [&str; 2]| ColumnPath::from(parts.map(str::to_owned).to_vec());
    // Every value of these is another one. Writers find that out when the
    // dictionary has grown full; here it is known.
    WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_column_dictionary_enabled(path(["add", "path"]), false)
        .set_column_dictionary_enabled(path(["add", "stats"]), false)
        .build()
}

/// Rows that hold the action `name` alone: every other column is null.
fn only(schema: &Arc<Schema>, name: &str, action: StructArray) -> Result<RecordBatch> {
    let rows = action.len();
    let mut columns: Vec<ArrayRef> =
        schema.fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
    columns[schema.index_of(name)?] = Arc::new(action);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

fn adds(table: &Table, numbers: Range<u64>) -> Result<StructArray> {
    let files: Vec<_> = numbers.map(|n| table.file(n)).collect();
    let mut fields = vec![
        ("path", paths(&files)?),
        ("partitionValues", partition_values(table, &files)?),
        ("size", longs(files.iter().map(|file| file.size))),
        ("modificationTime", longs(files.iter().map(|file| file.modified_ms))),
        // "dataChange" is false in a checkpoint: it changes nothing.
        ("dataChange", booleans(false, files.len())),
        ("tags", tags(&files)?),
    ];
    if table.shape.kind != Kind::ParsedStats {
        fields.push(("stats", texts(files.len(), |i, out| files[i].push_stats(out))?));
    }
    if matches!(table.shape.kind, Kind::ParsedStats | Kind::Dated) {
        fields.push(("stats_parsed", stats_parsed(&files)?));
    }
    if table.shape.kind == Kind::Dated {
        let days = files.iter().map(|file| (DAY_ZERO + file.min.day) as i32);
        let date: ArrayRef = Arc::new(Date32Array::from_iter_values(days));
        fields.push(("partitionValues_parsed", Arc::new(structs(vec![("date", date)]))));
    }
    if table.shape.kind == Kind::DeletionVectors {
        fields.push(("deletionVector", vectors(&files)?));
    }
    Ok(structs(fields))
}

fn removes(table: &Table, numbers: Range<u64>) -> Result<StructArray> {
    let first = table.first_tombstone();
    let files: Vec<_> = numbers.map(|n| table.file(first + n)).collect();
    let mut fields = vec![
        ("path", paths(&files)?),
        ("deletionTimestamp", longs(files.iter().map(|_| CHECKPOINT_MS - MINUTE_MS))),
        ("dataChange", booleans(false, files.len())),
        ("extendedFileMetadata", booleans(true, files.len())),
        ("partitionValues", partition_values(table, &files)?),
        ("size", longs(files.iter().map(|file| file.size))),
    ];
    if table.shape.kind == Kind::DeletionVectors {
        fields.push(("deletionVector", vectors(&files)?));
    }
    Ok(structs(fields))
}

/// Everything but adds and removes, with the sidecars of a V2 checkpoint.
fn rare_actions(
    table: &Table,
    sidecars: &[(String, u64)],
) -> Result<Vec<(&'static str, StructArray)>> {
    let (reader, writer) = table.protocol();
    // Without table features there is no list of them, which is not an empty one.
    let features = match table.features() {
        [] => new_null_array(list(&[])?.data_type(), 1),
        features => list(features)?,
    };
    let metadata = Metadata::of(table);
    let format = structs(vec![
        ("provider", strings(["parquet"])),
        ("options", map(1, 0, |_, _, _| {}, |_, _, _| {})?),
    ]);
    let columns: Vec<_> =
        partition_columns(table.shape.kind).iter().map(|(name, _)| *name).collect();
    let mut actions = vec![
        (
            "protocol",
            structs(vec![
                ("minReaderVersion", ints([reader])),
                ("minWriterVersion", ints([writer])),
                ("readerFeatures", Arc::clone(&features)),
                ("writerFeatures", features),
            ]),
        ),
        (
            "metaData",
            structs(vec![
                ("id", strings([metadata.id.as_str()])),
                ("name", strings([metadata.name])),
                ("description", strings([metadata.description])),
                ("format", Arc::new(format)),
                ("schemaString", strings([metadata.schema.as_str()])),
                ("partitionColumns", list(&columns)?),
                (
                    "configuration",
                    map(
                        1,
                        1,
                        |_, _, out| push(out, PROPERTY.0),
                        |_, _, out| push(out, PROPERTY.1),
                    )?,
                ),
                ("createdTime", longs([metadata.created_ms])),
            ]),
        ),
        (
            "txn",
            structs(vec![
                ("appId", strings([APP_ID])),
                ("version", longs([CHECKPOINT_VERSION])),
                ("lastUpdated", longs([CHECKPOINT_MS])),
            ]),
        ),
    ];
    if !sidecars.is_empty() {
        actions
            .push(("checkpointMetadata", structs(vec![("version", longs([CHECKPOINT_VERSION]))])));
        actions.push((
            "sidecar",
            structs(vec![
                ("path", strings(sidecars.iter().map(|(name, _)| name.as_str()))),
                ("sizeInBytes", longs(sidecars.iter().map(|(_, bytes)| *bytes))),
                ("modificationTime", longs(sidecars.iter().map(|_| CHECKPOINT_MS))),
            ]),
        ));
    }
    Ok(actions)
}

fn paths(files: &[DataFile]) -> Result<ArrayRef> {
    texts(files.len(), |i, out| files[i].push_path(out))
}

fn partition_values(table: &Table, files: &[DataFile]) -> Result<ArrayRef> {
    let columns = partition_columns(table.shape.kind);
    map(
        files.len(),
        columns.len(),
        |_, entry, out| push(out, columns[entry].0),
        |row, entry, out| files[row].push_partition_value(entry, out),
    )
}

fn tags(files: &[DataFile]) -> Result<ArrayRef> {
    map(
        files.len(),
        4,
        |row, entry, out| push(out, files[row].tags()[entry].0),
        |row, entry, out| push_number(out, files[row].tags()[entry].1),
    )
}

/// The statistics as a struct of the columns' own types.
fn stats_parsed(files: &[DataFile]) -> Result<ArrayRef> {
    let nulls = COLUMNS
        .iter()
        .enumerate()
        .map(|(i, (name, _))| (*name, longs(files.iter().map(move |file| file.nulls[i]))));
    Ok(Arc::new(structs(vec![
        ("numRecords", longs(files.iter().map(|file| file.records))),
        ("minValues", bounds(files, |file| &file.min)?),
        ("maxValues", bounds(files, |file| &file.max)?),
        ("nullCount", Arc::new(structs(nulls.collect()))),
    ])))
}

fn bounds(files: &[DataFile], of: impl Fn(&DataFile) -> &Bounds) -> Result<ArrayRef> {
    let bounds: Vec<&Bounds> = files.iter().map(of).collect();
    let column = |i: usize| -> Result<ArrayRef> {
        Ok(match i {
            0..3 => longs(bounds.iter().map(|bounds| bounds.longs[i])),
            3..6 => texts(bounds.len(), |row, out| bounds[row].push_string(i, out))?,
            6 => Arc::new(Date32Array::from_iter_values(
                bounds.iter().map(|bounds| (DAY_ZERO + bounds.day) as i32),
            )),
            7 | 8 => Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    bounds.iter().map(|bounds| bounds.times_ms[i - 7] as i64 * 1_000),
                )
                .with_timezone("UTC"),
            ),
            _ => Arc::new(Float64Array::from_iter_values(
                bounds.iter().map(|bounds| bounds.amount_cents as f64 / 100.0),
            )),
        })
    };
    let columns = COLUMNS.iter().enumerate().map(|(i, (name, _))| Ok((*name, column(i)?)));
    Ok(Arc::new(structs(columns.collect::<Result<_>>()?)))
}

/// Descriptors, null where a file has no deletion vector.
fn vectors(files: &[DataFile]) -> Result<ArrayRef> {
    let has: NullBuffer = files.iter().map(|file| file.vector.is_some()).collect();
    let vectors: Vec<_> = files.iter().map(|file| file.vector.as_ref()).collect();
    let rows = structs(vec![
        ("storageType", strings(vectors.iter().map(|_| "u"))),
        (
            "pathOrInlineDv",
            texts(vectors.len(), |i, out| {
                if let Some(vector) = vectors[i] {
                    vector.push_id(out);
                }
            })?,
        ),
        ("offset", ints(vectors.iter().map(|v| v.map_or(0, |v| v.offset)))),
        ("sizeInBytes", ints(vectors.iter().map(|v| v.map_or(0, |v| v.size)))),
        ("cardinality", longs(vectors.iter().map(|v| v.map_or(0, |v| v.cardinality)))),
    ]);
    let (fields, columns, _) = rows.into_parts();
    Ok(Arc::new(StructArray::try_new(fields, columns, Some(has))?))
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn nullable(name: &str, array: &dyn Array) -> FieldRef {
    Arc::new(Field::new(name, array.data_type().clone(), true))
}

fn structs(fields: Vec<(&str, ArrayRef)>) -> StructArray {
    let fields: Vec<_> =
        fields.into_iter().map(|(name, array)| (nullable(name, &array), array)).collect();
    StructArray::from(fields)
}

/// Texts that are appended one by one to the buffer that the array will have.
fn texts(count: usize, mut push: impl FnMut(usize, &mut Vec<u8>)) -> Result<ArrayRef> {
    let mut bytes = Vec::new();
    let mut offsets = Vec::with_capacity(count + 1);
    offsets.push(0);
    for i in 0..count {
        push(i, &mut bytes);
        offsets.push(i32::try_from(bytes.len())?);
    }
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(bytes), None)?))
}

fn strings<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Numbers of the generator are far below the end of a long.
fn longs(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values.into_iter().map(|value| value as i64)))
}

fn ints(values: impl IntoIterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn booleans(value: bool, rows: usize) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![value; rows]))
}

/// One row: the list of `values`.
fn list(values: &[&str]) -> Result<ArrayRef> {
    let element = Arc::new(Field::new("element", DataType::Utf8, true));
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    Ok(Arc::new(ListArray::try_new(element, offsets, strings(values.iter().copied()), None)?))
}

/// Maps of strings with `entries` entries each, their parts named as Parquet's
/// own specification names them.
fn map(
    rows: usize,
    entries: usize,
    mut push_key: impl FnMut(usize, usize, &mut Vec<u8>),
    mut push_value: impl FnMut(usize, usize, &mut Vec<u8>),
) -> Result<ArrayRef> {
    // With no entry there is no row to be found by division, and none is asked.
    let at = |i: usize| (i / entries.max(1), i % entries.max(1));
    let keys = texts(rows * entries, |i, out| push_key(at(i).0, at(i).1, out))?;
    let values = texts(rows * entries, |i, out| push_value(at(i).0, at(i).1, out))?;
    let fields = Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Utf8, true),
    ]);
    let pairs = StructArray::try_new(fields, vec![keys, values], None)?;
    let field = Arc::new(Field::new("key_value", pairs.data_type().clone(), false));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(entries, rows));
    Ok(Arc::new(MapArray::try_new(field, offsets, pairs, None, false)?))
}
