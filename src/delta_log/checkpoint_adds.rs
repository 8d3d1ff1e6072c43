//! The adds of a checkpoint's Parquet file, piece by piece, to columns.
//!
//! Path and deletion vector come first: they say which adds are live, and the
//! statistics, which are most of the bytes, are copied for those alone. What is
//! small is decoded for several pieces at once. Columns are found by name, in
//! any order; one that is missing is null.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, MapArray, RecordBatch, StringArray,
    StructArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{CastOptions, cast_with_options, filter, kernels::zip::zip};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::basic::Type as PhysicalType;

use super::file_columns;
use super::parsed;
use super::ruled_out;
use super::skipping::{Judged, Skipping};
use super::stats::PARSED;
use crate::actions::{
    FileColumns, FileField, FileFields, KeyHasher, decode_path, deletion_vector_fields,
};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::parquet_file::{
    Batches, ParquetFile, Piece, SharedPages, TextBatch, TextColumn, select,
};
use crate::predicate::Bounds;
use crate::schema;
use crate::seen::Seen;

/// Rows decoded at once: their columns stay in the processor's cache, and are
/// allocated at their size.
const BATCH_ROWS: usize = 4096;

/// A checkpoint file prepared to be decoded for some fields of `add`.
pub(crate) struct AddReader {
    file: ParquetFile,
    want: FileFields,
    /// What leaves files out, and where it finds what is known of them.
    skipping: Option<(Arc<Skipping>, Known)>,
    /// The leaf columns that are always decoded, but for the next two.
    leaves: Vec<usize>,
    path: Option<usize>,
    /// The statistics as text, where they are wanted from it.
    stats: Option<usize>,
    /// Those that may be needed where statistics turn out to be missing.
    fallback: Vec<usize>,
    memory: Memory,
    pieces: Vec<Piece>,
    shared: SharedPages,
    spans: Vec<Span>,
}

/// Where a checkpoint has what skipping needs to know.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// Partition values are in `partitionValues_parsed`, else in `partitionValues`.
    partition_parsed: bool,
    /// Statistics are in `stats_parsed`, else in `stats`.
    stats_parsed: bool,
}

/// Some pieces in a row whose other columns are decoded at once.
///
/// Those columns are small, and each read of one begins with its dictionary,
/// which often is as large as the values of many pieces.
struct Span {
    row_group: usize,
    rows: Range<usize>,
    /// Its pieces, by their place.
    pieces: Range<usize>,
    slot: Mutex<SpanSlot>,
}

#[derive(Default)]
struct SpanSlot {
    add: Option<StructArray>,
    /// Pieces that have taken their rows.
    taken: usize,
}

/// What there is to do for a file, in order.
pub(crate) enum Step {
    /// The small columns of the span at this place, for pieces that come later.
    Ahead(usize),
    Piece(Piece),
}

impl AddReader {
    pub(crate) fn new(
        file: &ParquetFile,
        want: FileFields,
        skipping: Option<&Arc<Skipping>>,
        memory: &Memory,
    ) -> Result<AddReader> {
        let mut want = want;
        let mut skipping_leaves = Vec::new();
        let skipping = skipping.map(|skipping| {
            let (known, leaves) = known(file, skipping);
            skipping_leaves = leaves;
            want.insert(FileField::Size);
            if skipping.wants().has(FileField::PartitionValues) && !known.partition_parsed {
                want.insert(FileField::PartitionValues);
            }
            if skipping.wants().has(FileField::Stats) && !known.stats_parsed {
                want.insert(FileField::Stats);
            }
            (Arc::clone(skipping), known)
        });
        let parsed = file.leaves(|path| path.starts_with(&["add", STATS_PARSED]));
        let parsed_records = file.leaves(|path| path == ["add", STATS_PARSED, "numRecords"]);
        let text = file.leaves(|path| path == ["add", "stats"]);
        let path = file.leaves(|path| path == ["add", "path"]).first().copied();

        let mut leaves = skipping_leaves;
        let mut fallback = Vec::new();
        let mut stats = None;
        for field in FileField::ALL.into_iter().filter(|&field| want.has(field)) {
            let Some(name) = column_name(field) else { continue };
            if !matches!(field, FileField::Path | FileField::Stats) {
                let found = file.leaves(|path| path.starts_with(&["add", name]));
                if found.is_empty() && field == FileField::PartitionValues {
                    leaves.extend(file.leaves(|path| path.starts_with(&["add", PARTITION_PARSED])));
                }
                leaves.extend(found);
            }
        }
        // The key of a logical file needs its deletion vector, wanted or not.
        leaves.extend(file.leaves(|path| {
            matches!(path, ["add", "deletionVector", "storageType" | "pathOrInlineDv" | "offset"])
        }));
        if want.has(FileField::Stats) {
            stats = text.first().copied();
            if stats.is_none() { &mut leaves } else { &mut fallback }.extend(&parsed);
        } else if want.has(FileField::NumRecords) {
            // One column of numbers, where there is one, instead of all the text.
            if parsed_records.is_empty() {
                stats = text.first().copied();
            } else {
                leaves.extend(&parsed_records);
                fallback.extend(&text);
            }
        }
        leaves.sort_unstable();
        leaves.dedup();
        // A file without the column holds no such action; with the column it
        // must hold the key.
        if path.is_none() && !(leaves.is_empty() && stats.is_none()) {
            return Err(file.error("the column add has no path"));
        }
        let all: Vec<usize> = leaves.iter().copied().chain(path).chain(stats).collect();
        let file = file.with_page_locations(&all)?;
        for row_group in 0..file.row_groups().len() {
            file.check_levels(row_group, &fallback)?;
        }
        let mut pieces = if path.is_some() { file.pieces(&all) } else { Vec::new() };
        if let (Some((skipping, known)), Some(path)) = (&skipping, path)
            && (known.partition_parsed || known.stats_parsed)
        {
            let rows =
                |pieces: &[Piece]| pieces.iter().map(|piece| piece.rows.len()).sum::<usize>();
            let all = rows(&pieces);
            pieces = ruled_out::pieces_kept(&file, skipping, known.partition_parsed, path, pieces)?;
            let ruled_out = (all - rows(&pieces)) as u64;
            skipping.tally.rows_ruled_out.fetch_add(ruled_out, Ordering::Relaxed);
        }
        let shared = SharedPages::new(&pieces);
        let spans = if leaves.is_empty() { Vec::new() } else { spans(&file, &pieces, &leaves) };
        let memory = memory.clone();
        Ok(AddReader {
            file,
            want,
            skipping,
            leaves,
            path,
            stats,
            fallback,
            memory,
            pieces,
            shared,
            spans,
        })
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        self.file.name()
    }

    /// The steps of the file: its pieces in row order, and before them, early
    /// enough that none has to wait, what several have in common.
    pub(crate) fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut spans = self.spans.iter().enumerate().peekable();
        for (i, piece) in self.pieces.iter().enumerate() {
            // Half a span ahead of its first piece.
            let is_due =
                |(_, span): &(usize, &Span)| span.pieces.start <= i + span.pieces.len().div_ceil(2);
            while let Some((place, span)) = spans.next_if(is_due) {
                if span.pieces.len() > 1 {
                    steps.push(Step::Ahead(place));
                }
            }
            steps.push(Step::Piece(piece.clone()));
        }
        steps
    }

    /// About how many bytes the small columns of a span have.
    pub(crate) fn bytes_ahead(&self, span: usize) -> usize {
        let Span { row_group, rows, .. } = &self.spans[span];
        let group_rows = self.file.row_groups()[*row_group].num_rows().max(1) as u128;
        let bytes = u128::from(self.file.bytes_of(*row_group, &self.leaves));
        usize::try_from(bytes * rows.len() as u128 / group_rows).unwrap_or(usize::MAX)
    }

    /// Decodes the small columns of a span, if no piece has needed them before.
    pub(crate) fn decode_ahead(&self, span: usize) -> Result<()> {
        let span = &self.spans[span];
        let mut slot = lock(&span.slot);
        if slot.add.is_none() && slot.taken == 0 {
            slot.add = Some(self.small_columns(span)?);
        }
        Ok(())
    }

    /// The small columns of a piece; `None` where there are none.
    fn small_columns_of(&self, piece: &Piece) -> Result<Option<SmallColumns>> {
        let is_in = |span: &&Span| {
            span.row_group == piece.row_group && span.rows.contains(&piece.rows.start)
        };
        let Some(span) = self.spans.iter().find(is_in) else { return Ok(None) };
        if span.pieces.len() == 1 {
            let batches = self.batches(piece.row_group, piece.rows.clone(), &self.leaves)?;
            return Ok(Some(SmallColumns::Alone(batches)));
        }
        let mut slot = lock(&span.slot);
        let add = match slot.add.take() {
            Some(add) => add,
            None => self.small_columns(span)?,
        };
        slot.taken += 1;
        let begin = piece.rows.start - span.rows.start;
        let of_piece = add.slice(begin, piece.rows.len());
        if slot.taken < span.pieces.len() {
            slot.add = Some(add);
        }
        Ok(Some(SmallColumns::Shared(of_piece)))
    }

    fn small_columns(&self, span: &Span) -> Result<StructArray> {
        let rows = select(span.rows.clone());
        self.adds(&self.file.read(span.row_group, rows, &self.leaves)?)
    }

    /// Decodes one piece, batch by batch. From the moment that `seen` is known,
    /// adds whose keys are in it are left out.
    pub(crate) fn decode<'a>(
        &'a self,
        piece: &Piece,
        hasher: &KeyHasher,
        seen: &'a OnceLock<Seen>,
    ) -> Result<AddBatches<'a>> {
        let text =
            |leaf| TextColumn::new(&self.file, piece, leaf, BATCH_ROWS, &self.memory, &self.shared);
        let path = self.path.ok_or_else(|| Error::bug("a piece of a file without adds"))?;
        Ok(AddBatches {
            reader: self,
            hasher: hasher.clone(),
            seen,
            rest: piece.rows.clone(),
            path: text(path)?,
            stats: self.stats.map(text).transpose()?,
            others: None,
            piece: piece.clone(),
            fallback: None,
        })
    }

    fn batches(&self, row_group: usize, rows: Range<usize>, leaves: &[usize]) -> Result<Batches> {
        self.file.batches(row_group, select(rows), leaves, BATCH_ROWS)
    }

    /// The `add` structs of a batch.
    fn adds(&self, batch: &RecordBatch) -> Result<StructArray> {
        let column = batch.column_by_name("add");
        match column.and_then(|column| column.as_struct_opt()) {
            Some(add) => Ok(add.clone()),
            None => Err(self.file.error("the column add is not a struct")),
        }
    }

    /// The rows of `array` that `keep` says.
    fn filtered(&self, array: &dyn Array, keep: &BooleanBuffer) -> Result<ArrayRef> {
        filter(array, &BooleanArray::new(keep.clone(), None)).map_err(|e| self.file.error(e))
    }

    /// The columns of the adds, but for the statistics.
    fn columns(&self, paths: StringArray, add: &StructArray) -> Result<FileColumns> {
        let rows = paths.len();
        let mut columns: [Option<ArrayRef>; FileField::COUNT] = Default::default();
        for field in FileField::ALL.into_iter().filter(|&field| self.want.has(field)) {
            let column = match field {
                FileField::Path => Arc::new(paths.clone()),
                FileField::Stats | FileField::NumRecords => continue,
                _ => self.column(add, field)?,
            };
            if field == FileField::Size {
                self.check_sizes(&column)?;
            }
            columns[field as usize] = Some(column);
        }
        Ok(FileColumns { rows, kinds: Vec::new(), columns })
    }

    /// Adds the columns of the statistics: from `text` where the file has it.
    fn statistics(
        &self,
        columns: &mut FileColumns,
        text: Option<StringArray>,
        add: &StructArray,
    ) -> Result<()> {
        let text = match text {
            Some(text) => Some(Arc::new(text) as ArrayRef),
            None if self.want.has(FileField::Stats) => Some(self.stats(add)?),
            None => None,
        };
        if self.want.has(FileField::NumRecords) {
            let records = match &text {
                Some(text) => records_of(text),
                None => self.num_records(add)?,
            };
            columns.columns[FileField::NumRecords as usize] = Some(records);
        }
        if self.want.has(FileField::Stats) {
            columns.columns[FileField::Stats as usize] = text;
        }
        Ok(())
    }

    fn column(&self, add: &StructArray, field: FileField) -> Result<ArrayRef> {
        let wanted = field.data_type();
        let is_partition = field == FileField::PartitionValues;
        let column = column_name(field).and_then(|name| add.column_by_name(name));
        let Some(column) = column else {
            // Where the text is left out, the values are there as a struct.
            let parsed = add.column_by_name(PARTITION_PARSED).filter(|_| is_partition);
            return match parsed.and_then(|parsed| parsed.as_struct_opt()) {
                Some(parsed) => {
                    let values = parsed::partition_values(parsed);
                    self.map(&values.map_err(|e| self.file.error(e))?, &wanted)
                }
                None => Ok(new_null_array(&wanted, add.len())),
            };
        };
        match (field, column.data_type()) {
            (FileField::PartitionValues | FileField::Tags, DataType::Map(..)) => {
                self.map(column.as_map(), &wanted)
            }
            (FileField::DeletionVector, DataType::Struct(_)) => self.vectors(column.as_struct()),
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
        if let Some(parsed) = add.column_by_name(STATS_PARSED)
            && let Some(parsed) = parsed.as_struct_opt()
        {
            return Ok(Arc::new(parsed::json_text(parsed)?));
        }
        self.column(add, FileField::Stats)
    }

    fn num_records(&self, add: &StructArray) -> Result<ArrayRef> {
        if let Some(parsed) = add.column_by_name(STATS_PARSED)
            && let Some(parsed) = parsed.as_struct_opt()
            && let Some(records) = parsed.column_by_name("numRecords")
        {
            return self.cast(records, &DataType::Int64);
        }
        Ok(records_of(&self.column(add, FileField::Stats)?))
    }

    /// The statistics column that has nulls which the other form may fill.
    fn missing_stats(&self, columns: &FileColumns) -> Option<FileField> {
        let field =
            if self.want.has(FileField::Stats) { FileField::Stats } else { FileField::NumRecords };
        let column = columns.columns[field as usize].as_ref()?;
        (!self.fallback.is_empty() && column.null_count() > 0).then_some(field)
    }

    /// Fills the nulls of the statistics column `missing` from the other form.
    fn fill_stats(
        &self,
        columns: &mut FileColumns,
        missing: FileField,
        add: &StructArray,
    ) -> Result<()> {
        let found = match missing {
            FileField::Stats => self.stats(add)?,
            _ => self.num_records(add)?,
        };
        let slot = &mut columns.columns[missing as usize];
        if let Some(first) = slot {
            let has = arrow::compute::is_not_null(first).map_err(|e| self.file.error(e))?;
            *first = zip(&has, &*first, &found).map_err(|e| self.file.error(e))?;
        }
        if missing == FileField::Stats && self.want.has(FileField::NumRecords) {
            columns.columns[FileField::NumRecords as usize] =
                columns.columns[missing as usize].as_ref().map(records_of);
        }
        Ok(())
    }

    /// Judges files by what the small columns say of them.
    fn judge(&self, columns: &FileColumns, add: &StructArray) -> Result<Option<Judged>> {
        let Some((skipping, known)) = &self.skipping else { return Ok(None) };
        let partition = self.partition_bounds(skipping, *known, columns, add)?;
        let mut judged = skipping.judge(columns, &partition, None)?;
        let stats = add.column_by_name(STATS_PARSED).and_then(|stats| stats.as_struct_opt());
        if let Some(stats) = stats.filter(|_| known.stats_parsed) {
            let stats = skipping.stats.of_struct(stats)?;
            judged.narrow_where_kept(&skipping.judge(columns, &partition, Some(stats))?);
        }
        Ok(Some(judged))
    }

    /// Judges those that are left by their statistics as text, and leaves out those that
    /// are not kept.
    fn judge_by_text(
        &self,
        columns: &mut FileColumns,
        add: &StructArray,
        judged: &mut Judged,
    ) -> Result<()> {
        let Some((skipping, known)) = &self.skipping else { return Ok(()) };
        if known.stats_parsed || skipping.stats.is_empty() {
            return Ok(());
        }
        let texts = columns.column(FileField::Stats)?.as_string::<i32>();
        let stats = skipping.stats.of_texts(texts)?.into_iter().map(Some).collect();
        let partition = self.partition_bounds(skipping, *known, columns, add)?;
        let found = skipping.judge(columns, &partition, Some(stats))?;
        columns.filter(&found.kept())?;
        judged.narrow(&found);
        Ok(())
    }

    fn partition_bounds(
        &self,
        skipping: &Skipping,
        known: Known,
        columns: &FileColumns,
        add: &StructArray,
    ) -> Result<Vec<Option<Bounds>>> {
        let parsed = add.column_by_name(PARTITION_PARSED).and_then(|parsed| parsed.as_struct_opt());
        match parsed.filter(|_| known.partition_parsed) {
            Some(parsed) => Ok(skipping.partition_of_struct(parsed)),
            None => skipping.partition_of_text(columns),
        }
    }

    fn keys(
        &self,
        add: &StructArray,
        columns: &FileColumns,
        hasher: &KeyHasher,
        only_check: bool,
    ) -> Result<Vec<u128>> {
        let paths = columns.column(FileField::Path)?.as_string::<i32>();
        let vectors = match &columns.columns[FileField::DeletionVector as usize] {
            Some(vectors) => Arc::clone(vectors),
            None => self.column(add, FileField::DeletionVector)?,
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
            if only_check {
                let checked = decode_path(paths.value(row).as_bytes(), &mut scratch);
                checked.map_err(|e| e.at(self.name()))?;
                continue;
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

/// Where `file` has what `skipping` needs to know, and the leaf columns to read for it
/// beside those of fields.
fn known(file: &ParquetFile, skipping: &Skipping) -> (Known, Vec<usize>) {
    let mut leaves = Vec::new();
    let mut partition_parsed = true;
    for column in skipping.partition_columns() {
        let name = column.physical.first().map(String::as_str);
        let found =
            file.leaves(|path| matches!(path, ["add", PARTITION_PARSED, of] if Some(*of) == name));
        // A time without a zone was another one in the session of whoever parsed it.
        partition_parsed &= !found.is_empty() && column.data_type != schema::DataType::Timestamp;
        leaves.extend(found);
    }
    if !partition_parsed {
        leaves.clear();
    }
    let mut stats_parsed = false;
    for wanted in skipping.stats.paths() {
        let found = file.leaves(|path| match path {
            ["add", STATS_PARSED, object, path @ ..] => PARSED.contains(object) && path == wanted,
            _ => false,
        });
        // Decoded, an INT96 is not known (see `stats`); the text may be.
        let is_known = |&leaf: &usize| file.physical_type(leaf) != PhysicalType::INT96;
        stats_parsed |= found.iter().any(is_known);
        leaves.extend(found.into_iter().filter(is_known));
    }
    if stats_parsed {
        leaves.extend(file.leaves(|path| path == ["add", STATS_PARSED, "numRecords"]));
    }
    (Known { partition_parsed, stats_parsed }, leaves)
}

/// The spans of `pieces`: as many in a row as have few bytes of `leaves`.
fn spans(file: &ParquetFile, pieces: &[Piece], leaves: &[usize]) -> Vec<Span> {
    const SPAN_BYTES: u64 = 2 << 20;
    const SPAN_PIECES: usize = 8;
    /// Rows that are all null have no bytes to go by.
    const SPAN_ROWS: usize = 1 << 20;
    let mut spans: Vec<Span> = Vec::new();
    for (i, piece) in pieces.iter().enumerate() {
        let row_group = piece.row_group;
        let group_rows = file.row_groups()[row_group].num_rows().max(1) as u128;
        let bytes_of = |rows: &Range<usize>| {
            u128::from(file.bytes_of(row_group, leaves)) * rows.len() as u128 / group_rows
        };
        match spans.last_mut() {
            Some(span)
                if span.row_group == row_group
                    // None that is left out between them.
                    && span.rows.end == piece.rows.start
                    // The first is short: nothing can be decoded before it is.
                    && span.pieces.len() < if span.pieces.start == 0 { 1 } else { SPAN_PIECES }
                    && piece.rows.end - span.rows.start <= SPAN_ROWS
                    && bytes_of(&(span.rows.start..piece.rows.end)) <= u128::from(SPAN_BYTES) =>
            {
                span.rows.end = piece.rows.end;
                span.pieces.end = i + 1;
            }
            _ => spans.push(Span {
                row_group,
                rows: piece.rows.clone(),
                pieces: i..i + 1,
                slot: Mutex::default(),
            }),
        }
    }
    spans
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The adds of one piece, batch by batch.
pub(crate) struct AddBatches<'a> {
    reader: &'a AddReader,
    hasher: KeyHasher,
    seen: &'a OnceLock<Seen>,
    /// Rows of the row group that are still to come.
    rest: Range<usize>,
    path: TextColumn,
    stats: Option<TextColumn>,
    piece: Piece,
    /// The small columns of the piece, once its first paths have been decoded.
    others: Option<Option<SmallColumns>>,
    /// The other form of statistics, once it was needed.
    fallback: Option<Batches>,
}

/// The small columns of a piece.
enum SmallColumns {
    /// Decoded with those of other pieces.
    Shared(StructArray),
    Alone(Batches),
}

/// Some adds of a checkpoint.
pub(crate) struct CheckpointAdds {
    pub(crate) columns: FileColumns,
    /// The key of each, still to be asked for; `None` where that was done, and
    /// only live ones are left.
    pub(crate) keys: Option<Vec<u128>>,
    /// The adds there were, live or not.
    pub(crate) count: usize,
    /// Where some are left out: the verdicts on all that `keys` speaks of, or on all
    /// live ones. The columns then hold those that are kept.
    pub(crate) judged: Option<Judged>,
}

impl Iterator for AddBatches<'_> {
    type Item = Result<CheckpointAdds>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.rest.is_empty()).then(|| self.decode_next())
    }
}

impl AddBatches<'_> {
    /// The path and the deletion vector say which rows are live; the statistics,
    /// which are most of the bytes, are then copied for those alone. What can be
    /// wrong with a value is looked for in all of them, so that an error does
    /// not depend on when a piece is decoded.
    fn decode_next(&mut self) -> Result<CheckpointAdds> {
        let reader = self.reader;
        let rows = BATCH_ROWS.min(self.rest.len());
        let fallback_rows = self.rest.clone();
        let begin = self.rest.start - self.piece.rows.start;
        self.rest.start += rows;

        let TextBatch { values: mut paths, parents } = self.path.next(None)?;
        let others = match &mut self.others {
            Some(others) => others,
            None => self.others.insert(reader.small_columns_of(&self.piece)?),
        };
        let mut add = match others {
            None => None,
            Some(SmallColumns::Shared(add)) => Some(add.slice(begin, rows)),
            Some(SmallColumns::Alone(batches)) => match batches.next().transpose()? {
                Some(batch) => Some(reader.adds(&batch)?),
                None => return Err(Error::bug("the columns of a piece end before its rows")),
            },
        };
        // Rows of other actions go first.
        let is_add = parents.filter(|parents| parents.null_count() > 0);
        if let Some(is_add) = &is_add {
            let is_add = is_add.inner();
            paths = reader.filtered(&paths, is_add)?.as_string::<i32>().clone();
            if let Some(add) = &mut add {
                *add = reader.filtered(add, is_add)?.as_struct().clone();
            }
        }
        let count = paths.len();
        let add = add.unwrap_or_else(|| StructArray::new_empty_fields(count, None));
        let mut columns = reader.columns(paths, &add)?;

        let seen = self.seen.get();
        let keys = reader.keys(&add, &columns, &self.hasher, seen.is_some_and(Seen::is_empty))?;
        let live = seen
            .filter(|seen| !seen.is_empty())
            .map(|seen| BooleanBuffer::collect_bool(count, |i| !seen.contains(keys[i])));
        let live = live.filter(|live| live.count_set_bits() < count);
        let mut keep = is_add.map(|is_add| is_add.into_inner());
        let mut parsed = add;
        if let Some(live) = live {
            columns.filter(&live)?;
            if self.stats.is_none() || reader.skipping.is_some() {
                parsed = reader.filtered(&parsed, &live)?.as_struct().clone();
            }
            keep = Some(of_kept(keep.as_ref(), &live, rows));
        }
        let mut judged = reader.judge(&columns, &parsed)?;
        if let Some(judged) = &judged {
            let kept = judged.kept();
            if kept.count_set_bits() < kept.len() {
                columns.filter(&kept)?;
                parsed = reader.filtered(&parsed, &kept)?.as_struct().clone();
                keep = Some(of_kept(keep.as_ref(), &kept, rows));
            }
        }
        let text = match &mut self.stats {
            Some(stats) => Some(stats.next(keep.as_ref())?.values),
            None => None,
        };
        reader.statistics(&mut columns, text, &parsed)?;

        let missing = reader.missing_stats(&columns);
        if missing.is_some() && self.fallback.is_none() {
            self.fallback =
                Some(reader.batches(self.piece.row_group, fallback_rows, &reader.fallback)?);
        }
        // Once begun, it keeps step with the batches.
        let other = self.fallback.as_mut().and_then(Iterator::next).transpose()?;
        if let (Some(missing), Some(other)) = (missing, other) {
            let mut other = reader.adds(&other)?;
            if let Some(keep) = &keep {
                other = reader.filtered(&other, keep)?.as_struct().clone();
            }
            reader.fill_stats(&mut columns, missing, &other)?;
        }
        if let Some(judged) = &mut judged {
            reader.judge_by_text(&mut columns, &parsed, judged)?;
        }
        Ok(CheckpointAdds { columns, keys: seen.is_none().then_some(keys), count, judged })
    }
}

/// Which of `rows` rows stay, where of those that `keep` says only some are `kept`.
fn of_kept(keep: Option<&BooleanBuffer>, kept: &BooleanBuffer, rows: usize) -> BooleanBuffer {
    let Some(keep) = keep else { return kept.clone() };
    let mut kept = kept.iter();
    BooleanBuffer::collect_bool(rows, |i| keep.value(i) && kept.next().unwrap_or(false))
}

/// `numRecords` of each statistics text.
fn records_of(stats: &ArrayRef) -> ArrayRef {
    let stats: &StringArray = stats.as_string::<i32>();
    Arc::new(
        stats
            .iter()
            .map(|text| text.and_then(|text| file_columns::num_records(text.as_bytes())))
            .collect::<Int64Array>(),
    )
}

/// The column below `add` with the statistics as a struct.
pub(super) const STATS_PARSED: &str = "stats_parsed";

/// The column below `add` with the partition values as a struct.
pub(super) const PARTITION_PARSED: &str = "partitionValues_parsed";

/// The name of a field's column below `add`.
fn column_name(field: FileField) -> Option<&'static str> {
    Some(match field {
        FileField::Path => "path",
        FileField::Size => "size",
        FileField::ModificationTime => "modificationTime",
        FileField::PartitionValues => "partitionValues",
        FileField::Stats => "stats",
        FileField::NumRecords
        | FileField::DeletionTimestamp
        | FileField::ExtendedFileMetadata
        | FileField::Body => return None,
        FileField::DeletionVector => "deletionVector",
        FileField::Tags => "tags",
        FileField::DataChange => "dataChange",
        FileField::BaseRowId => "baseRowId",
        FileField::DefaultRowCommitVersion => "defaultRowCommitVersion",
        FileField::ClusteringProvider => "clusteringProvider",
    })
}
