//! One Parquet file of a storage, cut into pieces that decode independently.
//!
//! A checkpoint of a million files often is a single file of a single row
//! group. To keep every core busy, and memory bounded, a row group is cut at
//! the places where the pages of its heaviest column begin, so that hardly a
//! page is decoded twice. Where a page begins is in the file's offset index;
//! many writers leave that out, and then the page headers are walked, which
//! costs a few bytes read for each page. This module knows nothing of Delta.

use std::io::Read;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{RecordBatch, RecordBatchReader};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Type;
use parquet::column::page::PageReader;
use parquet::errors::ParquetError;
use parquet::file::metadata::page_index::{PageIndexBuilder, PageIndexProvider};
use parquet::file::metadata::{
    ColumnChunkMetaData, OffsetIndexBuilder, ParquetMetaData, ParquetMetaDataReader,
    RowGroupMetaData,
};
use parquet::file::page_index::index_reader::decode_offset_index;
use parquet::file::page_index::offset_index::{OffsetIndexMetaData, PageLocation};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::SchemaDescriptor;

use crate::error::{Error, Result, escaped, text_of_panic};
use crate::storage::Storage;

mod bounds;
mod columns;
mod delta;
mod index;
mod levels;
mod text;
mod thrift;
mod unpack;

pub(crate) use bounds::{LeafBounds, number};
use columns::Allowance;
pub(crate) use columns::{Columns, DECODED_BYTES_MAX, GroupPages, Take};
pub(crate) use index::ChunkPages;
use levels::{PageRows, definition_levels, each_run, rows_of};
pub(crate) use text::{SharedPages, TextBatch, TextColumn};

/// A footer with the statistics of a few row groups, and the eight bytes behind
/// it that say how long it is.
const FOOTER_BYTES: u64 = 16 << 10;
/// So much is read ahead for one unit; a larger row group is read page by page.
const FETCHED_BYTES_MAX: u64 = 64 << 20;
/// Column chunks with no more than this between them are one read.
const GAP_BYTES_MAX: u64 = 16 << 10;
/// About how many bytes of decoded columns one piece has.
const PIECE_BYTES: u64 = 8 << 20;
/// A row group of fewer bytes than make so many pieces is cut into smaller ones,
/// so that workers are done with it at about the same time.
const PIECES: u64 = 32;
/// A smaller piece costs more than it saves.
const PIECE_BYTES_MIN: u64 = 2 << 20;
/// So many rows may hold a rare action. A few bytes can claim billions.
const FOUND_ROWS_MAX: usize = 4 << 20;

/// A Parquet file: its footer, and where its bytes come from. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ParquetFile {
    chunks: Chunks,
    metadata: ArrowReaderMetadata,
}

/// Rows of one row group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) row_group: usize,
    /// Within the row group.
    pub(crate) rows: Range<usize>,
    /// The decoded columns, estimated.
    pub(crate) bytes: u64,
}

impl Piece {
    /// The piece in about `count` pieces of as many rows.
    pub(crate) fn in_parts(self, count: u64) -> Vec<Piece> {
        let rows = self.rows.len();
        let part = usize::try_from((rows as u64).div_ceil(count.max(1))).unwrap_or(rows).max(1);
        let parts = self.rows.clone().step_by(part).map(|begin| {
            let rows = begin..self.rows.end.min(begin.saturating_add(part));
            let share = rows.len() as u128 * u128::from(self.bytes) / self.rows.len() as u128;
            Piece { row_group: self.row_group, rows, bytes: share as u64 }
        });
        parts.collect()
    }
}

impl ParquetFile {
    /// Reads the footer of `name`.
    pub(crate) fn open(storage: &Arc<dyn Storage>, name: &str) -> Result<ParquetFile> {
        ParquetFile::open_tail(storage, name, FOOTER_BYTES)
    }

    /// Reads the last `tail` bytes of `name`, which hold the footer or else its
    /// length, and keeps them: a small file is then read once.
    pub(crate) fn open_tail(
        storage: &Arc<dyn Storage>,
        name: &str,
        tail: u64,
    ) -> Result<ParquetFile> {
        let (held, len) = storage.read_tail(name, tail)?;
        let chunks = Chunks {
            storage: Arc::clone(storage),
            name: Arc::from(name),
            len,
            held: Arc::new(vec![(len - held.len() as u64, held)]),
            failed: Arc::default(),
        };
        let with_footer = chunks.with_footer()?;
        let metadata = chunks.decoded(|| {
            let metadata = ParquetMetaDataReader::new().parse_and_finish(&with_footer)?;
            ArrowReaderMetadata::try_new(Arc::new(metadata), options())
        })?;
        let file = ParquetFile { chunks, metadata };
        file.check_counts()?;
        Ok(file)
    }

    /// Checks that the footer's counts of rows agree, and that columns lie within the
    /// file: the decoder takes them at their word, and a count too small would leave
    /// rows out unseen.
    fn check_counts(&self) -> Result<()> {
        let mut total = 0i64;
        for (i, group) in self.row_groups().iter().enumerate() {
            let rows = group.num_rows();
            let is_within = |column: &ColumnChunkMetaData| {
                let data = column.data_page_offset();
                let start = column.dictionary_page_offset().unwrap_or(data);
                let end = start.checked_add(column.compressed_size());
                end.is_some_and(|end| u64::try_from(end).is_ok_and(|end| end <= self.size()))
                    && [data, start, column.compressed_size()].iter().all(|&number| number >= 0)
            };
            if let Some(column) = group.columns().iter().find(|column| !is_within(column)) {
                return Err(self.error(format_args!(
                    "{} of row group {i} lies outside the file",
                    column.column_path()
                )));
            }
            // A column that is not repeated has a value, null or not, in each row.
            let mut flat = group.columns().iter().filter(|c| c.column_descr().max_rep_level() == 0);
            if let Some(column) = flat.find(|column| column.num_values() != rows) {
                return Err(self.error(format_args!(
                    "row group {i} has {rows} rows and {} values of {}",
                    column.num_values(),
                    column.column_path()
                )));
            }
            total = match total.checked_add(rows) {
                Some(total) if rows >= 0 => total,
                _ => return Err(self.error(format_args!("row group {i} has {rows} rows"))),
            };
        }
        let stated = self.metadata.metadata().file_metadata().num_rows();
        if stated != total {
            return Err(
                self.error(format_args!("{stated} rows in the footer, {total} in row groups"))
            );
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.chunks.name
    }

    /// The same file, its bytes to come from `storage`, which is a view of the
    /// same table: its own counters, say.
    pub(crate) fn with_storage(&self, storage: &Arc<dyn Storage>) -> ParquetFile {
        let storage = Arc::clone(storage);
        ParquetFile {
            chunks: Chunks { storage, failed: Arc::default(), ..self.chunks.clone() },
            metadata: self.metadata.clone(),
        }
    }

    /// Its bytes, as they lie there.
    pub(crate) fn size(&self) -> u64 {
        self.chunks.len
    }

    pub(crate) fn rows(&self) -> u64 {
        self.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(0)).sum()
    }

    pub(crate) fn row_groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    /// The bytes of all columns, decoded, as the footer says.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes = self.row_groups().iter().map(RowGroupMetaData::total_byte_size);
        bytes.map(|bytes| u64::try_from(bytes).unwrap_or(u64::MAX)).fold(0, u64::saturating_add)
    }

    /// The bytes of the columns `leaves` of a row group, as its footer says.
    pub(crate) fn bytes_of(&self, row_group: usize, leaves: &[usize]) -> u64 {
        bytes_of(&self.row_groups()[row_group], leaves)
    }

    /// About how many bytes the columns `leaves` of a row group are decoded into. A
    /// number has its width, however well it was encoded; of texts that a
    /// dictionary has once the footer may know more than their pages' size.
    pub(crate) fn decoded_bytes_of(&self, row_group: usize, leaves: &[usize]) -> u64 {
        let group = &self.row_groups()[row_group];
        let bytes = leaves.iter().map(|&leaf| {
            let column = group.column(leaf);
            let positive = |number: i64| u64::try_from(number).unwrap_or(0);
            let values = positive(column.num_values());
            let width = match column.column_type() {
                Type::BOOLEAN => return values / 8,
                Type::INT32 | Type::FLOAT => 4,
                Type::INT64 | Type::DOUBLE | Type::INT96 => 8,
                Type::FIXED_LEN_BYTE_ARRAY => {
                    u64::try_from(column.column_descr().type_length()).unwrap_or(0)
                }
                Type::BYTE_ARRAY => {
                    let texts = column.unencoded_byte_array_data_bytes().unwrap_or(0);
                    let texts = positive(texts).max(positive(column.uncompressed_size()));
                    return texts.saturating_add(values.saturating_mul(4));
                }
            };
            values.saturating_mul(width)
        });
        bytes.fold(0, u64::saturating_add)
    }

    fn schema(&self) -> &SchemaDescriptor {
        self.metadata.parquet_schema()
    }

    /// The leaf columns whose path `wants` says are wanted.
    pub(crate) fn leaves(&self, wants: impl Fn(&[&str]) -> bool) -> Vec<usize> {
        let columns = self.schema().columns().iter().enumerate();
        columns
            .filter(|(_, column)| {
                let parts: Vec<&str> = column.path().parts().iter().map(String::as_str).collect();
                wants(&parts)
            })
            .map(|(i, _)| i)
            .collect()
    }

    /// The file with what is needed to cut `leaves` into pieces: the offset
    /// index of each column chunk that is worth cutting, read or made.
    pub(crate) fn with_page_locations(&self, leaves: &[usize]) -> Result<ParquetFile> {
        let big: Vec<usize> = (0..self.row_groups().len())
            .filter(|&i| bytes_of(&self.row_groups()[i], leaves) > PIECE_BYTES)
            .collect();
        self.with_offset_index(&big, leaves, |i, leaf, read| match read {
            Some(read) if !self.is_repeated(leaf) => Ok(Some(read)),
            Some(read) => Ok(self.walk_pages(i, leaf)?.and(Some(read))),
            None => self.walk_pages(i, leaf),
        })
    }

    /// The file with the offset index of `leaves` of some of its row groups: what
    /// `accept` makes of what was read, where it was there and is sound.
    pub(crate) fn with_offset_index(
        &self,
        row_groups: &[usize],
        leaves: &[usize],
        accept: impl Fn(
            usize,
            usize,
            Option<OffsetIndexMetaData>,
        ) -> Result<Option<OffsetIndexMetaData>>,
    ) -> Result<ParquetFile> {
        if row_groups.is_empty() {
            return Ok(self.clone());
        }
        let metadata = ParquetMetaData::clone(self.metadata.metadata());
        let chunks = self.chunks.with_offset_indexes(&metadata, row_groups, leaves)?;
        let mut index = PageIndexBuilder::default();
        index.allocate_offset_indexes(metadata.num_row_groups(), self.schema().num_columns());
        for &i in row_groups {
            for &leaf in leaves {
                let range = metadata.row_group(i).column(leaf).offset_index_range();
                let read = range.map(|Range { start, end }| {
                    self.chunks.decoded(|| {
                        let bytes = chunks.get_bytes(start, usize::try_from(end - start)?)?;
                        decode_offset_index(&bytes)
                    })
                });
                let read = read.transpose()?;
                let read = read.filter(|read| is_sound(read.page_locations(), &metadata, i, leaf));
                if let Some(found) = accept(i, leaf, read)? {
                    index.put_offset_index(found, i, leaf);
                }
            }
        }
        let index: Arc<dyn PageIndexProvider> = Arc::new(index.build());
        let metadata = metadata.into_builder().set_page_index(Some(index)).build();
        let metadata = ArrowReaderMetadata::try_new(Arc::new(metadata), options())
            .map_err(|e| self.chunks.error(e))?;
        Ok(ParquetFile { chunks: self.chunks.clone(), metadata })
    }

    pub(crate) fn is_repeated(&self, leaf: usize) -> bool {
        self.schema().column(leaf).max_rep_level() > 0
    }

    /// Checks that rows of `leaves` can be skipped: the decoder loops for ever
    /// over a repeated column whose levels end before its page does.
    pub(crate) fn check_levels(&self, row_group: usize, leaves: &[usize]) -> Result<()> {
        leaves
            .iter()
            .filter(|&&leaf| self.is_repeated(leaf))
            .try_for_each(|&leaf| self.walk_pages(row_group, leaf).map(|_| ()))
    }

    /// The rows of a row group in which `leaf`, which is not repeated, has a value,
    /// by its levels alone: where nearly all are null that costs nearly nothing.
    /// `None` where the levels are written in a way of long ago.
    pub(crate) fn rows_with_value(
        &self,
        row_group: usize,
        leaf: usize,
    ) -> Result<Option<Vec<usize>>> {
        let group = &self.row_groups()[row_group];
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let column = group.column(leaf);
        let max_level = column.column_descr().max_def_level();
        if max_level == 0 || self.is_repeated(leaf) {
            return Ok(None);
        }
        let reader = SerializedPageReader::new(Arc::new(self.chunks.clone()), column, rows, None);
        let mut reader = reader.map_err(|e| self.error(e))?;
        let mut found = Vec::new();
        let mut row = 0;
        while let Some(page) = reader.get_next_page().map_err(|e| self.error(e))? {
            let Some((levels, count)) = definition_levels(&page) else {
                if page.is_data_page() { return Ok(None) } else { continue }
            };
            let mut too_many = false;
            each_run(levels, max_level, count, |level, run| {
                if level == max_level as u64 {
                    too_many |= run > FOUND_ROWS_MAX - found.len();
                    found.extend(row..row + if too_many { 0 } else { run });
                }
                row += run;
            })
            .ok_or_else(|| self.error("the levels of a page end too early"))?;
            if too_many {
                return Err(Error::limit(format!(
                    "{}: {} has more than {FOUND_ROWS_MAX} values",
                    self.name(),
                    column.column_path()
                )));
            }
        }
        if row != rows {
            return Err(self.error(format_args!(
                "row group {row_group} has {rows} rows and {} has {row}",
                column.column_path()
            )));
        }
        Ok(Some(found))
    }

    /// Where the pages of one column chunk begin, and how many rows each has:
    /// from the headers, and for a repeated column from the levels, which are
    /// checked on the way. `None` where a page begins within a row.
    fn walk_pages(&self, row_group: usize, leaf: usize) -> Result<Option<OffsetIndexMetaData>> {
        let group = &self.row_groups()[row_group];
        let column = group.column(leaf);
        let (start, len) = column.byte_range();
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let walked =
            Arc::new(Walked { chunks: self.chunks.clone(), header: AtomicU64::new(start) });
        let reader = SerializedPageReader::new(Arc::clone(&walked), column, rows, None);
        let mut reader = reader.map_err(|e| self.error(e))?;

        let mut pages: Vec<(u64, usize)> = Vec::new();
        let mut begin_rows = true;
        // The header that was read last begins the page at hand.
        let header = || walked.header.load(Ordering::Relaxed);
        if self.is_repeated(leaf) {
            while let Some(page) = reader.get_next_page().map_err(|e| self.error(e))? {
                let rows = rows_of(&page, column.column_descr().max_rep_level());
                let rows = rows.ok_or_else(|| {
                    self.error(format_args!(
                        "row group {row_group}: the levels of {} end before its page",
                        column.column_path()
                    ))
                })?;
                if let Some(PageRows { count, begins_row }) = rows {
                    pages.push((header(), count));
                    begin_rows &= begins_row;
                }
            }
        } else {
            while let Some(page) = reader.peek_next_page().map_err(|e| self.error(e))? {
                if let Some(rows) = page.num_rows.or(page.num_levels).filter(|_| !page.is_dict) {
                    pages.push((header(), rows));
                }
                reader.skip_next_page().map_err(|e| self.error(e))?;
            }
        }
        if !begin_rows {
            return Ok(None);
        }
        // A chunk whose pages do not add up is left to the decoder to refuse.
        if pages.iter().map(|(_, rows)| rows).sum::<usize>() != rows {
            return Ok(None);
        }
        let mut index = OffsetIndexBuilder::new();
        let ends = pages.iter().skip(1).map(|&(offset, _)| offset).chain([start + len]);
        for (&(offset, rows), end) in pages.iter().zip(ends) {
            let Ok(size) = i32::try_from(end.saturating_sub(offset)) else { return Ok(None) };
            index.append_row_count(rows as i64);
            index.append_offset_and_size(offset as i64, size);
        }
        Ok(Some(index.build()))
    }

    /// The pieces of the file for the columns `leaves`, in row order. The cut
    /// depends on the file alone.
    pub(crate) fn pieces(&self, leaves: &[usize]) -> Vec<Piece> {
        let pieces_of = |i| {
            let bytes = bytes_of(&self.row_groups()[i], leaves);
            let piece_bytes = (bytes / PIECES).clamp(PIECE_BYTES_MIN, PIECE_BYTES);
            self.cut(i, leaves, bytes, bytes.div_ceil(piece_bytes))
        };
        (0..self.row_groups().len()).flat_map(pieces_of).collect()
    }

    /// A row group of `bytes`, cut into about `count` pieces where pages of its
    /// heaviest leaf begin; one piece where that is not known.
    pub(crate) fn cut(
        &self,
        row_group: usize,
        leaves: &[usize],
        bytes: u64,
        count: u64,
    ) -> Vec<Piece> {
        let group = &self.row_groups()[row_group];
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let heaviest =
            leaves.iter().copied().max_by_key(|&leaf| group.column(leaf).uncompressed_size());
        let index = self.metadata.metadata().page_index();
        let pages = heaviest
            .and_then(|leaf| index?.offset_index(row_group, leaf))
            .map_or(&[][..], |index| index.page_locations().as_slice());

        let target = (rows as u64).div_ceil(count.max(1)).max(1);
        let mut pieces = Vec::new();
        let mut begin = 0;
        let mut push = |begin: usize, end: usize| {
            if begin < end {
                let share = (end - begin) as u128 * u128::from(bytes) / (rows.max(1) as u128);
                pieces.push(Piece { row_group, rows: begin..end, bytes: share as u64 });
            }
        };
        for page in pages {
            let first = usize::try_from(page.first_row_index).unwrap_or(rows).min(rows);
            if (first.saturating_sub(begin)) as u64 >= target {
                push(begin, first);
                begin = first;
            }
        }
        push(begin, rows);
        pieces
    }

    /// Decodes the columns `leaves` of some rows of a row group, as one batch.
    pub(crate) fn read(
        &self,
        row_group: usize,
        selection: RowSelection,
        leaves: &[usize],
    ) -> Result<RecordBatch> {
        let rows = selection.row_count();
        let mut batches = self.batches(row_group, selection, leaves, rows)?;
        let schema = batches.reader.schema();
        batches.next().unwrap_or_else(|| Ok(RecordBatch::new_empty(schema)))
    }

    /// Decodes the columns `leaves` of some rows of a row group, `batch_rows` at
    /// a time; the last batch may have fewer.
    pub(crate) fn batches(
        &self,
        row_group: usize,
        selection: RowSelection,
        leaves: &[usize],
        batch_rows: usize,
    ) -> Result<Batches> {
        let rows = selection.row_count();
        let metadata = self.metadata.clone();
        let mask = ProjectionMask::leaves(self.schema(), leaves.iter().copied());
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.chunks.clone(), metadata)
                .with_row_groups(vec![row_group])
                .with_row_selection(selection)
                .with_projection(mask)
                .with_batch_size(batch_rows.clamp(1, rows.max(1)))
                .build()
                .map_err(|e| self.error(e))?;
        let (chunks, allowance) = (self.chunks.clone(), Arc::default());
        Ok(Batches { chunks, row_group, reader, batch_rows, rows, allowance })
    }

    /// An error about this file's content.
    pub(crate) fn error(&self, what: impl std::fmt::Display) -> Error {
        self.chunks.error(what)
    }
}

/// Some rows of a row group, batch by batch.
pub(crate) struct Batches {
    chunks: Chunks,
    row_group: usize,
    reader: ParquetRecordBatchReader,
    batch_rows: usize,
    /// Still to come.
    rows: usize,
    allowance: Arc<Allowance>,
}

impl Batches {
    /// Whether it has failed because rows refer to long texts of a dictionary: as
    /// views those cost nothing, however many refer to one.
    pub(crate) fn want_views(&self) -> bool {
        self.allowance.wants_views()
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    /// The next batch. It is full: only the last one has fewer rows.
    fn next(&mut self) -> Option<Self::Item> {
        let wanted = self.batch_rows.min(self.rows);
        if wanted == 0 {
            return None;
        }
        let batch = match self.chunks.decoded(|| self.reader.next().transpose()) {
            Err(e) => Err(e),
            Ok(Some(batch)) if batch.num_rows() == wanted => Ok(batch),
            Ok(other) => Err(self.chunks.error(format_args!(
                "row group {} gave {} rows where {wanted} were expected",
                self.row_group,
                other.map_or(0, |batch| batch.num_rows())
            ))),
        };
        self.rows = if batch.is_ok() { self.rows - wanted } else { 0 };
        Some(batch)
    }
}

/// The selection of the rows `rows` of a row group.
pub(crate) fn select(rows: Range<usize>) -> RowSelection {
    RowSelection::from(vec![
        RowSelector::skip(rows.start),
        RowSelector::select(rows.end - rows.start),
    ])
}

fn options() -> ArrowReaderOptions {
    // The Parquet schema says what the columns are; an Arrow schema that a
    // writer put beside it could ask for any other type.
    ArrowReaderOptions::new().with_skip_arrow_metadata(true)
}

fn bytes_of(group: &RowGroupMetaData, leaves: &[usize]) -> u64 {
    leaves
        .iter()
        .map(|&leaf| u64::try_from(group.column(leaf).uncompressed_size()).unwrap_or(0))
        .fold(0, u64::saturating_add)
}

/// Whether an offset index that was read can be trusted to cut by: its pages
/// lie in their chunk, one after the other, and cover rows in order.
fn is_sound(
    pages: &[PageLocation],
    metadata: &ParquetMetaData,
    row_group: usize,
    leaf: usize,
) -> bool {
    let group = metadata.row_group(row_group);
    let (start, len) = group.column(leaf).byte_range();
    let mut at = start;
    let mut row = -1;
    let in_order = pages.iter().all(|page| {
        let Ok(offset) = u64::try_from(page.offset) else { return false };
        let Ok(size) = u64::try_from(page.compressed_page_size) else { return false };
        let good = offset >= at && page.first_row_index > row;
        at = offset.saturating_add(size);
        row = page.first_row_index;
        good
    });
    in_order
        && pages.first().is_some_and(|page| page.first_row_index == 0)
        && at <= start.saturating_add(len)
        && row < group.num_rows()
}

/// The bytes of one file.
#[derive(Clone)]
struct Chunks {
    storage: Arc<dyn Storage>,
    name: Arc<str>,
    len: u64,
    /// What of the file is in memory, by where it begins.
    held: Arc<Vec<(u64, Bytes)>>,
    /// What the storage failed with. The decoder passes an error on as text,
    /// but a file that vanished is not a corrupt one.
    failed: Arc<OnceLock<Error>>,
}

impl Chunks {
    /// The bytes `range`, if they are in memory.
    fn held(&self, range: Range<u64>) -> Option<Bytes> {
        let at = self.held.partition_point(|(begin, _)| *begin <= range.start).checked_sub(1)?;
        let (begin, bytes) = &self.held[at];
        let range = (range.start - begin) as usize..(range.end.checked_sub(*begin)?) as usize;
        (range.start <= range.end && range.end <= bytes.len()).then(|| bytes.slice(range))
    }

    /// These bytes with `ranges` in memory, as far as they were not: read at once,
    /// those together that lie close to each other. Where they are too many, each
    /// is read when it is asked for.
    fn with(&self, mut ranges: Vec<Range<u64>>) -> parquet::errors::Result<Chunks> {
        ranges.retain(|range| range.start < range.end && self.held(range.clone()).is_none());
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        if ranges.is_empty() || bytes > FETCHED_BYTES_MAX {
            return Ok(self.clone());
        }
        ranges.sort_unstable_by_key(|range| range.start);
        let mut reads: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match reads.last_mut() {
                Some(last) if range.start <= last.end.saturating_add(GAP_BYTES_MAX) => {
                    last.end = last.end.max(range.end);
                }
                _ => reads.push(range),
            }
        }
        let mut held = Vec::with_capacity(reads.len() + self.held.len());
        for read in reads {
            let length = usize::try_from(read.end - read.start)?;
            held.push((read.start, self.get_bytes(read.start, length)?));
        }
        held.extend(self.held.iter().cloned());
        held.sort_by_key(|(begin, _)| *begin);
        Ok(Chunks { held: Arc::new(held), ..self.clone() })
    }

    /// What a decoder makes of the file. Some that are corrupt make it panic: on
    /// counts that do not agree, say, which to find would take decoding twice. That
    /// is an error like another, and the decoder is not asked again.
    fn decoded<R, E: std::fmt::Display>(
        &self,
        decode: impl FnOnce() -> std::result::Result<R, E>,
    ) -> Result<R> {
        match catch_unwind(AssertUnwindSafe(decode)) {
            Ok(decoded) => decoded.map_err(|e| self.error(e)),
            Err(panic) => {
                let text = text_of_panic(&*panic);
                Err(self.error(format_args!("the decoder cannot make sense of it: {text}")))
            }
        }
    }

    /// These bytes with the footer in memory, looked at before it is decoded. Where
    /// there is none the decoder says so.
    fn with_footer(&self) -> Result<Chunks> {
        let end = self.len.saturating_sub(8);
        let Some(tail) = self.held(end..self.len) else { return Ok(self.clone()) };
        let len = tail.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
        if len > end || !tail.ends_with(b"PAR1") {
            return Ok(self.clone());
        }
        let footer = Range { start: end - len, end };
        let chunks = self.with(vec![footer]).map_err(|e| self.error(e))?;
        let footer = chunks.get_bytes(end - len, usize::try_from(len).unwrap_or(0));
        let footer = footer.map_err(|e| self.error(e))?;
        thrift::check_footer(&footer).map_err(|flaw| self.error(flaw))?;
        Ok(chunks)
    }

    /// These bytes with the offset indexes of some column chunks in memory, looked at
    /// before they are decoded.
    fn with_offset_indexes(
        &self,
        metadata: &ParquetMetaData,
        row_groups: &[usize],
        leaves: &[usize],
    ) -> Result<Chunks> {
        let of_chunk = |column: &ColumnChunkMetaData| {
            let start = u64::try_from(column.offset_index_offset()?).ok()?;
            let len = u64::try_from(column.offset_index_length()?).ok()?;
            let end = start.checked_add(len).filter(|&end| end <= self.len);
            Some(end.map(|end| start..end))
        };
        let groups = row_groups.iter().map(|&i| metadata.row_group(i));
        let all = groups.flat_map(|group| leaves.iter().map(|&leaf| of_chunk(group.column(leaf))));
        let Some(ranges) = all.flatten().collect::<Option<Vec<_>>>() else {
            return Err(self.error("an offset index lies outside the file"));
        };
        let chunks = self.with(ranges.clone()).map_err(|e| self.error(e))?;
        for Range { start, end } in ranges {
            let index = chunks.get_bytes(start, usize::try_from(end - start).unwrap_or(0));
            let index = index.map_err(|e| self.error(e))?;
            thrift::check_struct(&index).map_err(|flaw| self.error(flaw))?;
        }
        Ok(chunks)
    }

    /// The error behind a decoder's: the storage's own, if it was that.
    fn error(&self, e: impl std::fmt::Display) -> Error {
        match self.failed.get() {
            Some(own) => own.clone(),
            None => Error::corrupt(format!("{}: {}", self.name, escaped(&e.to_string()))),
        }
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = Walk;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Walk> {
        Ok(Walk { chunks: self.clone(), at: start, read: Bytes::new(), step: 256 })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        let end = start.saturating_add(length as u64);
        if let Some(held) = self.held(start..end) {
            return Ok(held);
        }
        self.storage.read_range(&self.name, start..end).map_err(|e| {
            let text = e.to_string();
            let _ = self.failed.set(e);
            ParquetError::General(text)
        })
    }
}

/// Reads on from a place, a little at first: a page header is short.
struct Walk {
    chunks: Chunks,
    at: u64,
    read: Bytes,
    step: u64,
}

impl Walk {
    /// Some of the bytes to come, none at the end.
    fn peek(&mut self) -> std::io::Result<&[u8]> {
        let end = self.chunks.len.min(self.at.saturating_add(self.step));
        if self.read.is_empty() && self.at < end {
            let len = (end - self.at) as usize;
            self.read = self.chunks.get_bytes(self.at, len).map_err(std::io::Error::other)?;
            self.at = end;
            self.step = (self.step * 8).min(1 << 20);
        }
        Ok(&self.read)
    }
}

impl Walk {
    /// The bytes to come, `most` of them, where those at hand do not do.
    fn more(&mut self, most: u64) -> std::io::Result<Bytes> {
        let start = self.at - self.read.len() as u64;
        let end = self.chunks.len.min(start.saturating_add(most));
        let len = usize::try_from(end - start).map_err(std::io::Error::other)?;
        self.chunks.get_bytes(start, len).map_err(std::io::Error::other)
    }
}

impl Read for Walk {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let len = out.len().min(self.peek()?.len());
        out[..len].copy_from_slice(&self.read.split_to(len));
        Ok(len)
    }
}

/// Remembers where the last header was read.
struct Walked {
    chunks: Chunks,
    header: AtomicU64,
}

impl Length for Walked {
    fn len(&self) -> u64 {
        self.chunks.len
    }
}

impl ChunkReader for Walked {
    type T = Walk;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Walk> {
        self.header.store(start, Ordering::Relaxed);
        self.chunks.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        self.chunks.get_bytes(start, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use arrow::array::{ArrayRef, Int64Array};
    use parquet::arrow::ArrowWriter;

    /// A file of `rows` rows whose footer says `said` of its one row group.
    fn opened(rows: i64, said: i64) -> Result<ParquetFile> {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let metadata =
            ParquetMetaDataReader::new().parse_and_finish(&Bytes::from(bytes.clone())).unwrap();
        let group = metadata.row_group(0).clone().into_builder().set_num_rows(said).build();
        let lying = metadata.clone().into_builder().set_row_groups(vec![group.unwrap()]).build();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("f"), bytes).unwrap();
        let storage =
            crate::storage::open(dir.path().to_str().unwrap(), &Memory::default()).unwrap();
        let mut file = ParquetFile::open(&storage, "f")?;
        file.metadata = ArrowReaderMetadata::try_new(Arc::new(lying), options()).unwrap();
        file.check_counts().map(|()| file)
    }

    #[test]
    fn a_few_bytes_that_claim_many_values_are_refused() {
        for (rows, is_limit) in [(FOUND_ROWS_MAX, false), (FOUND_ROWS_MAX + 1, true)] {
            let column: ArrayRef = Arc::new(arrow::array::BooleanArray::from(vec![true; rows]));
            let batch = RecordBatch::try_from_iter_with_nullable([("a", column, true)]).unwrap();
            let dir = tempfile::tempdir().unwrap();
            let target = std::fs::File::create(dir.path().join("f")).unwrap();
            let one_group = parquet::file::properties::WriterProperties::builder()
                .set_max_row_group_row_count(None)
                .build();
            let mut writer = ArrowWriter::try_new(target, batch.schema(), Some(one_group)).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
            let storage =
                crate::storage::open(dir.path().to_str().unwrap(), &Memory::default()).unwrap();
            let found = ParquetFile::open(&storage, "f").unwrap().rows_with_value(0, 0);
            match found {
                Ok(found) => {
                    assert_eq!((is_limit, found.map(|found| found.len())), (false, Some(rows)))
                }
                Err(e) => assert!(is_limit && e.message().starts_with("f: \"a\" has more"), "{e}"),
            }
        }
    }

    #[test]
    fn a_footer_whose_row_counts_disagree_is_refused() {
        assert_eq!(opened(10, 10).unwrap().rows(), 10);
        for said in [9, 11, 0, -1] {
            let error = opened(10, said).err().unwrap();
            assert!(error.message().starts_with("f: row group 0 has"), "{error}");
        }
    }
}
