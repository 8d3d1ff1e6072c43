//! Checkpoints to actions: V1, multi-part, V2 with its sidecars ("Checkpoints",
//! "Checkpoint Specs", "Checkpoint Schema").
//!
//! A checkpoint's rows are actions that have been reconciled already, so an
//! `add` in it is live unless a newer commit says otherwise, and a `remove` is
//! a tombstone that matters to nobody who reads. Columns are found by name, in
//! any order; one that is missing is null.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, MapArray, RecordBatch, StringArray,
    StructArray, new_null_array,
};
use arrow::buffer::NullBuffer;
use arrow::compute::{CastOptions, cast_with_options, filter, kernels::zip::zip};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use serde_json::Value;

use super::add_columns;
use super::commit::{self, LogText};
use super::path;
use super::segment::CheckpointFiles;
use super::stats_parsed;
use crate::actions::{
    AddColumns, AddField, AddFields, KeyHasher, RareAction, RareKind, deletion_vector_fields,
};
use crate::error::{Error, Result, escaped};
use crate::parquet_file::{ParquetFile, Piece, select};
use crate::storage::Storage;

/// A checkpoint whose top-level files have been opened.
pub(crate) struct Checkpoint {
    pub(crate) parts: Vec<Part>,
    /// The names of its sidecars, each once.
    pub(crate) sidecars: Vec<String>,
    /// Its name, and the number of its adds by `_last_checkpoint`.
    pub(crate) adds_said: Option<(String, u64)>,
}

/// One top-level file of a checkpoint.
pub(crate) enum Part {
    Parquet(ParquetFile),
    Json(LogText),
}

impl Part {
    /// Opens the file `name` and reads its rare actions of `kinds`, no other
    /// column.
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        files: &CheckpointFiles,
        name: &str,
        kinds: &[RareKind],
    ) -> Result<(Part, Vec<RareAction>)> {
        if files.is_json {
            let rare = commit::rare_actions(storage.as_ref(), name, kinds)?;
            let text = LogText {
                name: Arc::from(name),
                version: files.version,
                size: rare.size,
                bytes: rare.bytes,
            };
            return Ok((Part::Json(text), rare.actions));
        }
        let file = ParquetFile::open(storage, name)?;
        let actions = rare_actions(&file, kinds)?;
        Ok((Part::Parquet(file), actions))
    }

    pub(crate) fn rare_actions(
        &self,
        storage: &dyn Storage,
        kinds: &[RareKind],
    ) -> Result<Vec<RareAction>> {
        match self {
            Part::Parquet(file) => rare_actions(file, kinds),
            Part::Json(text) => Ok(commit::rare_actions(storage, &text.name, kinds)?.actions),
        }
    }
}

impl Checkpoint {
    /// The checkpoint `files` of `parts`, in which `rare` actions were found.
    pub(crate) fn new(
        files: &CheckpointFiles,
        parts: Vec<Part>,
        rare: &[RareAction],
    ) -> Result<Checkpoint> {
        let mut known = HashSet::new();
        let mut sidecars = Vec::new();
        for action in rare {
            let RareAction::Sidecar(sidecar) = action else { continue };
            let name = path::sidecar(&sidecar.path).ok_or_else(|| {
                Error::corrupt(format!(
                    "a checkpoint names the sidecar \"{}\": it must be a Parquet file of the \
                     table's own _delta_log/_sidecars",
                    escaped(&sidecar.path)
                ))
            })?;
            // A sidecar that is named twice still holds its files once.
            if known.insert(name.clone()) {
                sidecars.push(name);
            }
        }
        let rows = parts.iter().map(|part| match part {
            Part::Parquet(file) => Some(file.rows()),
            Part::Json(_) => None,
        });
        // A file that is valid and holds fewer rows than its writer put there
        // shows only here. With sidecars, writers differ in what they count;
        // and old writers that state no adds are known to state sizes that
        // were never true.
        let said = files.said.filter(|said| said.num_of_add_files.is_some());
        if let (Some(rows), Some(size)) =
            (rows.sum::<Option<u64>>(), said.and_then(|said| said.size))
            && sidecars.is_empty()
            && rows != size
        {
            return Err(Error::corrupt(format!(
                "{}: {rows} actions where _last_checkpoint says {size}",
                files.names[0]
            )));
        }
        let adds_said = files.said.and_then(|said| said.num_of_add_files);
        let adds_said = adds_said.map(|adds| (files.names[0].clone(), adds));
        Ok(Checkpoint { parts, sidecars, adds_said })
    }
}

/// The rare actions of `kinds` in a Parquet checkpoint file.
///
/// One column of each kind says which rows hold it; the others are decoded for
/// those rows only. Row groups whose statistics say that the column is all null
/// are not read at all.
fn rare_actions(file: &ParquetFile, kinds: &[RareKind]) -> Result<Vec<RareAction>> {
    const STEP: usize = 64 << 10;
    let mut actions = Vec::new();
    let required = |kind: &RareKind| {
        file.leaves(|path| path == [kind.key(), kind.required_field()]).first().copied()
    };
    for (row_group, group) in file.row_groups().iter().enumerate() {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        for kind in kinds {
            let Some(leaf) = required(kind) else { continue };
            let nulls = group.column(leaf).statistics().and_then(|s| s.null_count_opt());
            if nulls == Some(rows as u64) {
                continue;
            }
            let mut found: Vec<usize> = Vec::new();
            for begin in (0..rows).step_by(STEP) {
                let end = rows.min(begin + STEP);
                let batch = file.read(row_group, select(begin..end), &[leaf])?;
                let Some(parent) = batch.column(0).as_struct_opt() else {
                    return Err(file.error(format!("{} is not a struct", kind.key())));
                };
                // A required field of a null struct has a value of no meaning.
                let column = parent.column(0);
                let is_there = |&i: &usize| parent.is_valid(i) && column.is_valid(i);
                found.extend((0..parent.len()).filter(is_there).map(|i| begin + i));
            }
            if found.is_empty() {
                continue;
            }
            let leaves = file.leaves(|path| path.first() == Some(&kind.key()));
            file.check_levels(row_group, &leaves)?;
            let batch = file.read(row_group, select_rows(&found), &leaves)?;
            for row in 0..batch.num_rows() {
                let value = json_value(batch.column(0), row, 0).map_err(|e| file.error(e))?;
                let action =
                    kind.action(value).map_err(|e| file.error(format!("{}: {e}", kind.key())))?;
                actions.push(action);
            }
        }
    }
    for kind in [RareKind::Protocol, RareKind::Metadata] {
        if actions.iter().filter(|action| action.kind() == kind).count() > 1 {
            return Err(file.error(format!("more than one {} action", kind.key())));
        }
    }
    Ok(actions)
}

/// The selection of single rows, in order.
fn select_rows(rows: &[usize]) -> RowSelection {
    let mut selectors = Vec::with_capacity(rows.len() * 2);
    let mut at = 0;
    for &row in rows {
        selectors.push(RowSelector::skip(row - at));
        selectors.push(RowSelector::select(1));
        at = row + 1;
    }
    RowSelection::from(selectors)
}

/// One value as JSON, to be read by the same types that read a commit's line.
fn json_value(array: &ArrayRef, row: usize, depth: usize) -> Result<Value, String> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    if depth > 8 {
        return Err("a rare action nests deeper than any of the protocol".into());
    }
    Ok(match array.data_type() {
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Int32 => Value::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            columns
                .map(|(field, column)| {
                    Ok((field.name().clone(), json_value(column, row, depth + 1)?))
                })
                .collect::<Result<_, String>>()
                .map(Value::Object)?
        }
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            (0..values.len())
                .map(|i| json_value(&values, i, depth + 1))
                .collect::<Result<_, _>>()
                .map(Value::Array)?
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            (0..entries.len())
                .map(|i| {
                    let key = json_value(entries.column(0), i, depth + 1)?;
                    let key = key.as_str().ok_or("a map's key is not a string")?.to_owned();
                    Ok((key, json_value(entries.column(1), i, depth + 1)?))
                })
                .collect::<Result<_, String>>()
                .map(Value::Object)?
        }
        // Strings that a writer did not mark as text.
        DataType::Binary => Value::from(
            std::str::from_utf8(array.as_binary::<i32>().value(row)).map_err(|e| e.to_string())?,
        ),
        other => return Err(format!("a column of type {other} where no action has one")),
    })
}

/// A checkpoint file prepared to be decoded for some fields of `add`.
#[derive(Clone)]
pub(crate) struct AddReader {
    file: ParquetFile,
    want: AddFields,
    /// The leaf columns that are always decoded.
    leaves: Vec<usize>,
    /// Those that may be needed where statistics turn out to be missing.
    fallback: Vec<usize>,
}

impl AddReader {
    pub(crate) fn new(file: &ParquetFile, want: AddFields) -> Result<AddReader> {
        let parsed = file.leaves(|path| path.starts_with(&["add", "stats_parsed"]));
        let parsed_records = file.leaves(|path| path == ["add", "stats_parsed", "numRecords"]);
        let text = file.leaves(|path| path == ["add", "stats"]);

        let mut leaves = Vec::new();
        let mut fallback = Vec::new();
        for field in AddField::ALL.into_iter().filter(|&field| want.has(field)) {
            let Some(name) = column_name(field) else { continue };
            if field != AddField::Stats {
                leaves.extend(file.leaves(|path| path.starts_with(&["add", name])));
            }
        }
        // The key of a logical file needs its deletion vector, wanted or not.
        leaves.extend(file.leaves(|path| {
            matches!(path, ["add", "deletionVector", "storageType" | "pathOrInlineDv" | "offset"])
        }));
        if want.has(AddField::Stats) {
            if text.is_empty() {
                leaves.extend(&parsed);
            } else {
                leaves.extend(&text);
                fallback.extend(&parsed);
            }
        } else if want.has(AddField::NumRecords) {
            // One column of numbers, where there is one, instead of all the text.
            if parsed_records.is_empty() {
                leaves.extend(&text);
            } else {
                leaves.extend(&parsed_records);
                fallback.extend(&text);
            }
        }
        leaves.sort_unstable();
        leaves.dedup();
        // A file without the column holds no such action; with the column it
        // must hold the key.
        if !leaves.is_empty() && file.leaves(|path| path == ["add", "path"]).is_empty() {
            return Err(file.error("the column add has no path"));
        }
        let file = file.with_page_locations(&leaves)?;
        for row_group in 0..file.row_groups().len() {
            file.check_levels(row_group, &fallback)?;
        }
        Ok(AddReader { file, want, leaves, fallback })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        self.file.name()
    }

    pub(crate) fn pieces(&self) -> Vec<Piece> {
        if self.leaves.is_empty() { Vec::new() } else { self.file.pieces(&self.leaves) }
    }

    /// Decodes one piece: the adds, and the key of each.
    pub(crate) fn decode(
        &self,
        piece: &Piece,
        hasher: &KeyHasher,
    ) -> Result<(AddColumns, Vec<u128>)> {
        let add = self.adds(piece, &self.leaves)?;
        let mut columns = self.columns(&add)?;
        if let Some(missing) = self.missing_stats(&columns) {
            let add = self.adds(piece, &self.fallback)?;
            let found = match missing {
                AddField::Stats => self.stats(&add)?,
                _ => self.num_records(&add)?,
            };
            let slot = &mut columns.columns[missing as usize];
            if let Some(first) = slot {
                let has = arrow::compute::is_not_null(first).map_err(|e| self.file.error(e))?;
                *first = zip(&has, &*first, &found).map_err(|e| self.file.error(e))?;
            }
            if missing == AddField::Stats && self.want.has(AddField::NumRecords) {
                columns.columns[AddField::NumRecords as usize] =
                    columns.columns[missing as usize].as_ref().map(records_of);
            }
        }
        let keys = self.keys(&add, &columns, hasher)?;
        Ok((columns, keys))
    }

    /// The `add` structs of a piece, without the rows of other actions.
    fn adds(&self, piece: &Piece, leaves: &[usize]) -> Result<StructArray> {
        let batch: RecordBatch =
            self.file.read(piece.row_group, select(Range::clone(&piece.rows)), leaves)?;
        let column = batch.column_by_name("add");
        let Some(add) = column.and_then(|column| column.as_struct_opt()) else {
            return Err(self.file.error("the column add is not a struct"));
        };
        match add.nulls() {
            Some(nulls) if nulls.null_count() > 0 => {
                let is_add = BooleanArray::new(nulls.inner().clone(), None);
                let kept = filter(add, &is_add).map_err(|e| self.file.error(e))?;
                Ok(kept.as_struct().clone())
            }
            _ => Ok(add.clone()),
        }
    }

    fn columns(&self, add: &StructArray) -> Result<AddColumns> {
        let mut columns: [Option<ArrayRef>; AddField::COUNT] = Default::default();
        for field in AddField::ALL.into_iter().filter(|&field| self.want.has(field)) {
            let column = match field {
                AddField::Stats => self.stats(add)?,
                AddField::NumRecords => match &columns[AddField::Stats as usize] {
                    Some(stats) => records_of(stats),
                    None => self.num_records(add)?,
                },
                _ => self.column(add, field)?,
            };
            if field == AddField::Size {
                self.check_sizes(&column)?;
            }
            columns[field as usize] = Some(column);
        }
        Ok(AddColumns { rows: add.len(), columns })
    }

    fn column(&self, add: &StructArray, field: AddField) -> Result<ArrayRef> {
        let wanted = field.data_type();
        let column = column_name(field).and_then(|name| add.column_by_name(name));
        let Some(column) = column else {
            return Ok(new_null_array(&wanted, add.len()));
        };
        match (field, column.data_type()) {
            (AddField::PartitionValues | AddField::Tags, DataType::Map(..)) => {
                self.map(column.as_map(), &wanted)
            }
            (AddField::DeletionVector, DataType::Struct(_)) => self.vectors(column.as_struct()),
            (_, have) if *have == wanted => Ok(Arc::clone(column)),
            _ => self.cast(column, &wanted),
        }
    }

    /// A size is a number of bytes.
    fn check_sizes(&self, sizes: &ArrayRef) -> Result<()> {
        match arrow::compute::min(sizes.as_primitive::<Int64Type>()) {
            Some(least) if least < 0 => {
                Err(self.file.error(format_args!("a size is negative: {least}")))
            }
            _ => Ok(()),
        }
    }

    fn cast(&self, column: &ArrayRef, wanted: &DataType) -> Result<ArrayRef> {
        let options = CastOptions { safe: false, ..Default::default() };
        cast_with_options(column, wanted, &options).map_err(|e| self.file.error(e))
    }

    /// A map under the field names that every batch has.
    fn map(&self, map: &MapArray, wanted: &DataType) -> Result<ArrayRef> {
        let DataType::Map(entries_field, sorted) = wanted else {
            return Err(Error::bug("a map column without a map's type"));
        };
        let DataType::Struct(fields) = entries_field.data_type() else {
            return Err(Error::bug("a map column without entries"));
        };
        let columns = vec![
            self.cast(map.keys(), &DataType::Utf8)?,
            self.cast(map.values(), &DataType::Utf8)?,
        ];
        let built = StructArray::try_new(fields.clone(), columns, None).and_then(|entries| {
            MapArray::try_new(
                Arc::clone(entries_field),
                map.offsets().clone(),
                entries,
                map.nulls().cloned(),
                *sorted,
            )
        });
        Ok(Arc::new(built.map_err(|e| self.file.error(e))?))
    }

    /// Descriptors under the field names that every batch has. A struct without
    /// a storage type is none: some writers leave an empty one.
    fn vectors(&self, vectors: &StructArray) -> Result<ArrayRef> {
        let names = ["storageType", "pathOrInlineDv", "offset", "sizeInBytes", "cardinality"];
        let fields = deletion_vector_fields();
        let columns = names
            .iter()
            .zip(fields.iter())
            .map(|(name, field)| match vectors.column_by_name(name) {
                Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
                Some(column) => self.cast(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), vectors.len())),
            })
            .collect::<Result<Vec<_>>>()?;
        let storage_type = columns[0].as_string::<i32>();
        let has_vector: NullBuffer = (0..vectors.len())
            .map(|i| {
                vectors.is_valid(i) && storage_type.is_valid(i) && !storage_type.value(i).is_empty()
            })
            .collect();
        let built = StructArray::try_new(fields, columns, Some(has_vector));
        Ok(Arc::new(built.map_err(|e| self.file.error(e))?))
    }

    fn stats(&self, add: &StructArray) -> Result<ArrayRef> {
        if let Some(parsed) = add.column_by_name("stats_parsed")
            && let Some(parsed) = parsed.as_struct_opt()
        {
            return Ok(Arc::new(stats_parsed::json_text(parsed)?));
        }
        self.column(add, AddField::Stats)
    }

    fn num_records(&self, add: &StructArray) -> Result<ArrayRef> {
        if let Some(parsed) = add.column_by_name("stats_parsed")
            && let Some(parsed) = parsed.as_struct_opt()
            && let Some(records) = parsed.column_by_name("numRecords")
        {
            return self.cast(records, &DataType::Int64);
        }
        Ok(records_of(&self.column(add, AddField::Stats)?))
    }

    /// The statistics column that has nulls which the other form may fill.
    fn missing_stats(&self, columns: &AddColumns) -> Option<AddField> {
        let field =
            if self.want.has(AddField::Stats) { AddField::Stats } else { AddField::NumRecords };
        let column = columns.columns[field as usize].as_ref()?;
        (!self.fallback.is_empty() && column.null_count() > 0).then_some(field)
    }

    fn keys(
        &self,
        add: &StructArray,
        columns: &AddColumns,
        hasher: &KeyHasher,
    ) -> Result<Vec<u128>> {
        let paths = columns.column(AddField::Path)?.as_string::<i32>();
        let vectors = match &columns.columns[AddField::DeletionVector as usize] {
            Some(vectors) => Arc::clone(vectors),
            None => self.column(add, AddField::DeletionVector)?,
        };
        let vectors = vectors.as_struct();
        let storage_types = vectors.column(0).as_string::<i32>();
        let inlines = vectors.column(1).as_string::<i32>();
        let offsets = vectors.column(2).as_primitive::<Int32Type>();

        let mut scratch = Vec::new();
        let mut keys = Vec::with_capacity(paths.len());
        for row in 0..paths.len() {
            if paths.is_null(row) {
                return Err(self.file.error("an add has no path"));
            }
            let path = hasher
                .path(paths.value(row).as_bytes(), &mut scratch)
                .map_err(|e| e.at(self.name()))?;
            keys.push(if vectors.is_null(row) {
                path
            } else {
                let offset = offsets.is_valid(row).then(|| i64::from(offsets.value(row)));
                let (storage_type, inline) = (storage_types.value(row), inlines.value(row));
                hasher.file(path, storage_type.as_bytes(), inline.as_bytes(), offset, &mut scratch)
            });
        }
        Ok(keys)
    }
}

/// `numRecords` of each statistics text.
fn records_of(stats: &ArrayRef) -> ArrayRef {
    let stats: &StringArray = stats.as_string::<i32>();
    Arc::new(
        stats.iter().map(|text| text.and_then(add_columns::num_records)).collect::<Int64Array>(),
    )
}

/// The name of a field's column below `add`.
fn column_name(field: AddField) -> Option<&'static str> {
    Some(match field {
        AddField::Path => "path",
        AddField::Size => "size",
        AddField::ModificationTime => "modificationTime",
        AddField::PartitionValues => "partitionValues",
        AddField::Stats => "stats",
        AddField::NumRecords => return None,
        AddField::DeletionVector => "deletionVector",
        AddField::Tags => "tags",
        AddField::DataChange => "dataChange",
        AddField::BaseRowId => "baseRowId",
        AddField::DefaultRowCommitVersion => "defaultRowCommitVersion",
        AddField::ClusteringProvider => "clusteringProvider",
    })
}
