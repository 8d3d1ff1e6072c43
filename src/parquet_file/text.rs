//! One column of text, some rows at a time: what most of a checkpoint is.
//!
//! The general reader builds every value of the rows it is asked for, and what
//! is not wanted of them is copied away afterwards. Here the rows to keep may be
//! named when they are already known by another column, so that a value is
//! copied once, into memory of its size. That covers the pages that writers make
//! of such columns: plain values, Snappy or bare. From the first other page on,
//! the general reader takes over, with the same results.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray, BooleanArray, NullBufferBuilder, StringArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{CastOptions, cast_with_options, filter};
use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use super::levels::{each_run, split_levels};
use super::unpack::unsnapped;
use super::{Batches, Chunks, ParquetFile, Piece, select};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::utf8_array::utf8_array;

/// A page of more rows is left to the general reader: its levels are read whole.
const PAGE_ROWS_MAX: u32 = 16 << 20;

/// A text column that is a direct member of a top-level struct.
pub(crate) struct TextColumn {
    file: ParquetFile,
    row_group: usize,
    leaf: usize,
    /// The rows still to come.
    rest: Range<usize>,
    batch_rows: usize,
    source: Source,
}

enum Source {
    Pages(Box<Pages>),
    General(Batches),
}

/// Some rows of a [`TextColumn`].
pub(crate) struct TextBatch {
    /// The values of the rows to keep.
    pub(crate) values: StringArray,
    /// In which of all the rows the struct is there.
    pub(crate) parents: Option<NullBuffer>,
}

impl TextColumn {
    /// The column `leaf` of a piece, `batch_rows` at a time.
    pub(crate) fn new(
        file: &ParquetFile,
        piece: &Piece,
        leaf: usize,
        batch_rows: usize,
        memory: &Memory,
        shared: &SharedPages,
    ) -> Result<TextColumn> {
        let Piece { row_group, rows, .. } = piece.clone();
        let source = match Pages::open(file, row_group, rows.clone(), leaf, memory, shared)? {
            Some(pages) => Source::Pages(Box::new(pages)),
            None => Source::General(file.batches(
                row_group,
                select(rows.clone()),
                &[leaf],
                batch_rows,
            )?),
        };
        Ok(TextColumn { file: file.clone(), row_group, leaf, rest: rows, batch_rows, source })
    }

    /// The next rows, those of which `keep` says so; all where it says nothing.
    /// Rows that are not kept are checked all the same.
    pub(crate) fn next(&mut self, keep: Option<&BooleanBuffer>) -> Result<TextBatch> {
        let rows = self.batch_rows.min(self.rest.len());
        let mut read = match &mut self.source {
            Source::Pages(pages) => pages.next(&self.file, rows, keep)?,
            Source::General(batches) => Some(general(&self.file, batches, keep)?),
        };
        if read.is_none() {
            let rest = select(self.rest.clone());
            let mut batches =
                self.file.batches(self.row_group, rest, &[self.leaf], self.batch_rows)?;
            read = Some(general(&self.file, &mut batches, keep)?);
            self.source = Source::General(batches);
        }
        self.rest.start += rows;
        read.ok_or_else(|| Error::bug("no reader for a text column"))
    }
}

fn general(
    file: &ParquetFile,
    batches: &mut Batches,
    keep: Option<&BooleanBuffer>,
) -> Result<TextBatch> {
    let Some(batch) = batches.next().transpose()? else {
        return Err(file.error("a text column ends before the others"));
    };
    let Some(parent) = batch.columns().first().and_then(|column| column.as_struct_opt()) else {
        return Err(file.error("a text column is not a member of a struct"));
    };
    let options = CastOptions { safe: false, ..Default::default() };
    let text = cast_with_options(parent.column(0), &DataType::Utf8, &options);
    let mut text = text.map_err(|e| file.error(e))?;
    if let Some(keep) = keep {
        let keep = BooleanArray::new(keep.clone(), None);
        text = filter(&text, &keep).map_err(|e| file.error(e))?;
    }
    Ok(TextBatch { values: text.as_string::<i32>().clone(), parents: parent.nulls().cloned() })
}

/// Pages that several pieces have rows of: the pieces are decoded at about the
/// same time, and such a page is read and decompressed for one of them.
pub(crate) struct SharedPages {
    /// Where the pieces begin, by row group.
    begins: Vec<Vec<usize>>,
    slots: Mutex<HashMap<PageKey, (Slot, usize)>>,
}

/// A row group, a leaf column, and where in the file the page is.
type PageKey = (usize, usize, i64);
type Slot = Arc<Mutex<Option<Arc<OpenPage>>>>;

impl SharedPages {
    /// Those of a file that is read in `pieces`.
    pub(crate) fn new(pieces: &[Piece]) -> SharedPages {
        let mut begins: Vec<Vec<usize>> = Vec::new();
        for piece in pieces {
            begins.resize_with(begins.len().max(piece.row_group + 1), Vec::new);
            begins[piece.row_group].push(piece.rows.start);
        }
        SharedPages { begins, slots: Mutex::default() }
    }

    /// The place of the page with `rows`, kept until each of its pieces has asked
    /// for it; `None` where it is one piece's alone.
    fn slot(&self, key: PageKey, rows: Range<usize>) -> Option<Slot> {
        let begins = self.begins.get(key.0)?;
        let before = |row: usize| begins.partition_point(|&begin| begin < row);
        let within = before(rows.end).saturating_sub(before(rows.start + 1));
        if within == 0 {
            return None;
        }
        let mut slots = lock(&self.slots);
        let (slot, pieces) = slots.entry(key).or_insert_with(|| (Slot::default(), within + 1));
        *pieces -= 1;
        let slot = Arc::clone(slot);
        if *pieces == 0 {
            slots.remove(&key);
        }
        Some(slot)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plain pages.
struct Pages {
    pages: SerializedPageReader<Chunks>,
    /// What the offset index says of them, as far as that was read.
    index: std::vec::IntoIter<IndexedPage>,
    is_snappy: bool,
    memory: Memory,
    max_level: i16,
    /// The level from which the parent is there.
    parent_level: u8,
    /// Rows of the first page that are another piece's.
    skip: usize,
    page: Arc<OpenPage>,
    /// The next row of the page, and where the next value begins.
    row: usize,
    at: usize,
}

struct IndexedPage {
    rows: usize,
    /// Where it has rows of another piece.
    shared: Option<Slot>,
}

/// A page, decompressed.
#[derive(Default)]
struct OpenPage {
    /// A definition level for each row.
    levels: Vec<u8>,
    /// The values, and before them what there may be of other things.
    bytes: Bytes,
    values: usize,
}

impl Pages {
    /// `None` where this is no column for it.
    fn open(
        file: &ParquetFile,
        row_group: usize,
        rows: Range<usize>,
        leaf: usize,
        memory: &Memory,
        shared: &SharedPages,
    ) -> Result<Option<Pages>> {
        let group = &file.row_groups()[row_group];
        let column = group.column(leaf);
        let descriptor = column.column_descr();
        let is_snappy = match column.compression() {
            Compression::UNCOMPRESSED => false,
            Compression::SNAPPY => true,
            _ => return Ok(None),
        };
        let max_level = descriptor.max_def_level();
        if descriptor.physical_type() != Type::BYTE_ARRAY
            || descriptor.max_rep_level() > 0
            || !(1..=2).contains(&max_level)
            || column.column_path().parts().len() != 2
        {
            return Ok(None);
        }
        let is_optional = descriptor.self_type().is_optional();
        let parent_level = (max_level - i16::from(is_optional)) as u8;

        let group_rows = usize::try_from(group.num_rows()).unwrap_or(0);
        let (start, len) = column.byte_range();
        let all = file.metadata.metadata().page_index();
        let mut index = Vec::new();
        let (range, locations, skip) = match all.and_then(|all| all.offset_index(row_group, leaf)) {
            Some(pages) => {
                let pages = pages.page_locations();
                let first_row = |page: &PageLocation| page.first_row_index as usize;
                let first = pages.partition_point(|page| first_row(page) <= rows.start);
                let first = first.saturating_sub(1);
                let end = pages.partition_point(|page| first_row(page) < rows.end);
                let locations = match pages.get(first..end) {
                    Some(pages) if !pages.is_empty() => pages.to_vec(),
                    _ => return Ok(None),
                };
                let ends = pages[first..].iter().skip(1).map(first_row).chain([group_rows]);
                for (page, end) in locations.iter().zip(ends) {
                    let rows = first_row(page)..end;
                    let key = (row_group, leaf, page.offset);
                    let shared = shared.slot(key, rows.clone());
                    index.push(IndexedPage { rows: rows.len(), shared });
                }
                let (begin, last) = (&locations[0], &locations[locations.len() - 1]);
                let end = last.offset as u64 + last.compressed_page_size as u64;
                let skip = rows.start - first_row(begin);
                (begin.offset as u64..end, Some(locations), skip)
            }
            None if rows == (0..group_rows) => (start..start + len, None, 0),
            None => return Ok(None),
        };
        // The pages as they are in the file: a page that is called uncompressed
        // is handed over so. A dictionary in front is nothing for plain pages.
        let chunk = column
            .clone()
            .into_builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_dictionary_page_offset(None)
            .set_data_page_offset(range.start as i64)
            .set_total_compressed_size((range.end - range.start) as i64)
            .build()
            .map_err(|e| file.error(e))?;
        let chunks = Arc::new(file.chunks.clone());
        let pages = SerializedPageReader::new(chunks, &chunk, group_rows, locations)
            .map_err(|e| file.error(e))?;
        Ok(Some(Pages {
            pages,
            index: index.into_iter(),
            is_snappy,
            memory: memory.clone(),
            max_level,
            parent_level,
            skip,
            page: Arc::default(),
            row: 0,
            at: 0,
        }))
    }

    /// The next `rows` rows; `None` where a page is none that is read here.
    fn next(
        &mut self,
        file: &ParquetFile,
        rows: usize,
        keep: Option<&BooleanBuffer>,
    ) -> Result<Option<TextBatch>> {
        let kept = keep.map_or(rows, BooleanBuffer::count_set_bits);
        let mut ends: Vec<i32> = Vec::with_capacity(kept);
        // The text of the values to keep is in front.
        let mut text: Vec<u8> = Vec::new();
        let mut used = 0;
        let mut nulls = NullBufferBuilder::new(kept);
        let mut parents = NullBufferBuilder::new(rows);
        let mut values: Vec<(usize, usize)> = Vec::with_capacity(rows.min(kept));
        let mut row = 0;
        while row < rows || self.skip > 0 {
            if self.row == self.page.levels.len() {
                match self.open_page() {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(what) => return Err(file.error(what)),
                }
                continue;
            }
            let OpenPage { levels, bytes: page, .. } = &*self.page;
            let mut at = self.at;
            // The values that begin in this page.
            let mut next_value = || -> Option<(usize, usize)> {
                let begin = at + 4;
                let len = u32::from_le_bytes(page.get(at..begin)?.try_into().ok()?) as usize;
                at = begin.checked_add(len).filter(|&end| end <= page.len())?;
                Some((begin, at))
            };
            let cut_off = || file.error("a page of text ends before its last value");

            let skipped = self.skip.min(levels.len() - self.row);
            for &level in &levels[self.row..self.row + skipped] {
                if i16::from(level) == self.max_level {
                    next_value().ok_or_else(cut_off)?;
                }
            }
            let first = self.row + skipped;
            let count = (rows - row).min(levels.len() - first);
            values.clear();
            let mut bytes = 0;
            for (i, &level) in levels[first..first + count].iter().enumerate() {
                parents.append(level >= self.parent_level);
                let is_kept = keep.is_none_or(|keep| keep.value(row + i));
                if i16::from(level) != self.max_level {
                    if is_kept {
                        ends.push(ends.last().copied().unwrap_or(0));
                        nulls.append_null();
                    }
                    continue;
                }
                let (begin, end) = next_value().ok_or_else(cut_off)?;
                if is_kept {
                    values.push((begin, end));
                    bytes += end - begin;
                    let end = i32::try_from(used + bytes)
                        .map_err(|_| file.error("the texts of a few rows have more than 2 GiB"))?;
                    ends.push(end);
                    nulls.append_non_null();
                } else if simdutf8::basic::from_utf8(&page[begin..end]).is_err() {
                    return Err(file.error("a text is not UTF-8"));
                }
            }
            if text.len() - used < bytes {
                // The rows that come from other pages will be about as long.
                let rest = bytes.saturating_mul(rows - row - count) / count.max(1);
                let room = used + bytes + rest + rest / 16;
                let larger = self.memory.take(room);
                let mut larger =
                    larger.ok_or_else(|| Error::limit(format!("{room} bytes do not fit")))?;
                larger[..used].copy_from_slice(&text[..used]);
                self.memory.put(std::mem::replace(&mut text, larger));
            }
            for &(begin, end) in &values {
                let to = used + (end - begin);
                text[used..to].copy_from_slice(&page[begin..end]);
                used = to;
            }
            self.at = at;
            self.row = first + count;
            self.skip -= skipped;
            row += count;
        }
        let text = self.memory.lend(text, used).into();
        let values = utf8_array(&ends, text, nulls.finish()).map_err(|what| file.error(what))?;
        Ok(Some(TextBatch { values, parents: parents.finish() }))
    }

    /// Opens the next page; false where it is none that is read here.
    fn open_page(&mut self) -> Result<bool, String> {
        let indexed = self.index.next();
        let said = indexed.as_ref().map(|indexed| indexed.rows);
        let page = match indexed.and_then(|indexed| indexed.shared) {
            None => self.read_page()?.map(Arc::new),
            Some(slot) => {
                // Whoever else wants the page waits here: it is nearly there.
                let mut slot = lock(&slot);
                if slot.is_some() {
                    self.pages.skip_next_page().map_err(|e| e.to_string())?;
                } else {
                    *slot = self.read_page()?.map(Arc::new);
                }
                slot.clone()
            }
        };
        let Some(page) = page else { return Ok(false) };
        let count = page.levels.len();
        self.row = 0;
        self.at = page.values;
        self.page = page;
        // Where the index and the pages disagree, rows of one column would
        // stand beside those of another.
        match said {
            Some(said) if said != count => {
                Err(format!("a page has {count} rows where the offset index says {said}"))
            }
            _ => Ok(true),
        }
    }

    fn read_page(&mut self) -> Result<Option<OpenPage>, String> {
        let page = self.pages.get_next_page().map_err(|e| e.to_string())?;
        let page = page.ok_or("the pages of a text column have too few rows")?;
        let cut_off = "the levels of a page end too early";
        Ok(Some(match page {
            Page::DataPage { num_values, .. } | Page::DataPageV2 { num_values, .. }
                if num_values > PAGE_ROWS_MAX =>
            {
                return Ok(None);
            }
            Page::DataPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                def_level_encoding: Encoding::RLE,
                ..
            } => {
                let bytes = if self.is_snappy {
                    unsnapped(&[], &buf, u64::MAX, &self.memory)?
                } else {
                    buf
                };
                let (levels, values) = split_levels(&bytes).ok_or(cut_off)?;
                let values = bytes.len() - values.len();
                let levels = read_levels(levels, self.max_level, num_values as usize)?;
                OpenPage { levels, bytes, values }
            }
            Page::DataPageV2 {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                def_levels_byte_len,
                rep_levels_byte_len: 0,
                is_compressed,
                ..
            } => {
                let levels = buf.get(..def_levels_byte_len as usize).ok_or(cut_off)?;
                let values = buf.slice(levels.len()..);
                let is_bare = !(self.is_snappy && is_compressed) || values.is_empty();
                let levels = read_levels(levels, self.max_level, num_values as usize)?;
                let bytes =
                    if is_bare { values } else { unsnapped(&[], &values, u64::MAX, &self.memory)? };
                OpenPage { levels, bytes, values: 0 }
            }
            _ => return Ok(None),
        }))
    }
}

/// The definition levels of `count` rows.
fn read_levels(levels: &[u8], max_level: i16, count: usize) -> Result<Vec<u8>, String> {
    let mut read = Vec::with_capacity(count);
    each_run(levels, max_level, count, |level, run| {
        read.resize(read.len() + run, u8::try_from(level).unwrap_or(u8::MAX));
    })
    .ok_or("the levels of a page end too early")?;
    if read.iter().any(|&level| i16::from(level) > max_level) {
        return Err("a level of a page is higher than its column has".to_owned());
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, RecordBatch, StructArray};
    use arrow::datatypes::{Field, Fields};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{
        EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
    };

    const ROWS: usize = 6_000;

    /// A struct that is null in every seventh row, with a member that is null in
    /// every third of the others, and one that never is.
    fn batch(value: impl Fn(usize) -> String) -> RecordBatch {
        let is_there = NullBuffer::from_iter((0..ROWS).map(|i| i % 7 != 0));
        let optional: StringArray =
            (0..ROWS).map(|i| (i % 7 != 0 && i % 3 != 0).then(|| value(i))).collect();
        let required = StringArray::from_iter_values((0..ROWS).map(&value));
        let fields = Fields::from(vec![
            Field::new("optional", DataType::Utf8, true),
            Field::new("required", DataType::Utf8, false),
        ]);
        let columns: Vec<ArrayRef> = vec![Arc::new(optional), Arc::new(required)];
        let parent = StructArray::new(fields, columns, Some(is_there));
        RecordBatch::try_from_iter_with_nullable([("add", Arc::new(parent) as ArrayRef, true)])
            .unwrap()
    }

    struct Written {
        _dir: tempfile::TempDir,
        file: ParquetFile,
    }

    fn written(batch: &RecordBatch, properties: WriterProperties) -> Written {
        let dir = tempfile::tempdir().unwrap();
        let target = std::fs::File::create(dir.path().join("f")).unwrap();
        let mut writer = ArrowWriter::try_new(target, batch.schema(), Some(properties)).unwrap();
        writer.write(batch).unwrap();
        writer.close().unwrap();
        let storage =
            crate::storage::open(dir.path().to_str().unwrap(), &Memory::default()).unwrap();
        let file = ParquetFile::open(&storage, "f").unwrap();
        let leaves = file.leaves(|_| true);
        Written { _dir: dir, file: file.with_page_locations(&leaves).unwrap() }
    }

    fn small_pages() -> WriterPropertiesBuilder {
        WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .set_data_page_row_count_limit(250)
            .set_write_batch_size(50)
    }

    /// Reads `rows` of both columns here and by the general reader, and says
    /// whether the general reader had to take over.
    fn compare(
        file: &ParquetFile,
        rows: &Range<usize>,
        batch_rows: usize,
        keep_each: usize,
    ) -> bool {
        let piece = Piece { row_group: 0, rows: rows.clone(), bytes: 0 };
        let (memory, shared) = (Memory::default(), SharedPages::new(&[]));
        let mut took_over = false;
        for leaf in [0, 1] {
            let mut column =
                TextColumn::new(file, &piece, leaf, batch_rows, &memory, &shared).unwrap();
            let mut batches = file.batches(0, select(rows.clone()), &[leaf], batch_rows).unwrap();
            let mut begin = rows.start;
            while begin < rows.end {
                let count = batch_rows.min(rows.end - begin);
                // What is not there cannot be kept.
                let keep = (keep_each > 1).then(|| {
                    BooleanBuffer::collect_bool(count, |i| {
                        let row = begin + i;
                        !row.is_multiple_of(7) && (row / keep_each).is_multiple_of(2)
                    })
                });
                let read = column.next(keep.as_ref()).unwrap();
                let expected = general(file, &mut batches, keep.as_ref()).unwrap();
                let is_there = |parents: &Option<NullBuffer>| {
                    (0..count)
                        .map(|i| parents.as_ref().is_none_or(|nulls| nulls.is_valid(i)))
                        .collect::<Vec<_>>()
                };
                let there = is_there(&expected.parents);
                assert_eq!(is_there(&read.parents), there, "{begin}");
                assert_eq!(read.values.len(), expected.values.len());
                for (i, &is_there) in there.iter().enumerate().take(read.values.len()) {
                    let value = |values: &StringArray| {
                        values.is_valid(i).then(|| values.value(i).to_owned())
                    };
                    // A required member of a null struct has a value of no meaning.
                    if keep.is_some() || is_there {
                        assert_eq!(value(&read.values), value(&expected.values), "{begin} {i}");
                    }
                }
                begin += count;
            }
            took_over |= matches!(column.source, Source::General(_));
        }
        took_over
    }

    #[test]
    fn plain_pages_read_as_the_general_reader_reads_them() {
        // More than one piece's bytes, so that the file has page locations.
        let batch = batch(|i| format!("{i}ü").repeat(i % 400));
        let small = small_pages().set_data_page_size_limit(50_000);
        for (name, properties) in [
            ("snappy", small.clone().build()),
            ("bare", small.clone().set_compression(Compression::UNCOMPRESSED).build()),
            (
                "v2",
                small
                    .clone()
                    .set_writer_version(WriterVersion::PARQUET_2_0)
                    .set_encoding(Encoding::PLAIN)
                    .build(),
            ),
            (
                "no index",
                small
                    .clone()
                    .set_offset_index_disabled(true)
                    .set_statistics_enabled(EnabledStatistics::None)
                    .build(),
            ),
            ("one page", small.set_data_page_row_count_limit(ROWS).build()),
        ] {
            let Written { file, _dir } = written(&batch, properties);
            assert!(file.pieces(&[0, 1]).len() > 1 || name == "one page", "{name}");
            for rows in [0..ROWS, 0..1, 249..251, 4_100..5_999] {
                for (batch_rows, keep_each) in [(4_096, 1), (1_999, 5)] {
                    assert!(!compare(&file, &rows, batch_rows, keep_each), "{name} {rows:?}");
                }
            }
        }
    }

    #[test]
    fn a_page_of_several_pieces_is_decompressed_for_one_and_kept_for_the_others() {
        let batch = batch(|i| format!("{i}").repeat(300));
        let Written { file, _dir } = written(&batch, small_pages().build());
        let cuts = [0, 100, 200, 900, 1_010, 1_020, 1_030, ROWS];
        let pieces: Vec<Piece> = cuts
            .windows(2)
            .map(|cut| Piece { row_group: 0, rows: cut[0]..cut[1], bytes: 0 })
            .collect();
        let (memory, shared) = (Memory::default(), SharedPages::new(&pieces));
        let mut kept = Vec::new();
        // The second piece begins before the first one ends, as it does on workers.
        for i in [1, 0, 2, 3, 5, 4, 6] {
            let rows = pieces[i].rows.clone();
            for leaf in [0, 1] {
                let mut column =
                    TextColumn::new(&file, &pieces[i], leaf, ROWS, &memory, &shared).unwrap();
                let mut batches = file.batches(0, select(rows.clone()), &[leaf], ROWS).unwrap();
                let expected = general(&file, &mut batches, None).unwrap().values;
                let read = column.next(None).unwrap();
                // What stands in a null struct has no meaning.
                let values = read.values.iter().zip(expected.iter());
                for (row, (value, expected)) in rows.clone().zip(values) {
                    assert!(row.is_multiple_of(7) || value == expected, "{row}");
                }
                kept.push(lock(&shared.slots).len());
            }
        }
        assert!(kept.iter().any(|&kept| kept >= 2), "{kept:?}");
        assert_eq!(kept.last(), Some(&0));
    }

    #[test]
    fn the_general_reader_takes_over_where_pages_are_not_plain() {
        let batch = batch(|i| format!("{i}").repeat(700));
        let dictionary = small_pages().set_dictionary_enabled(true);
        for (name, properties) in [
            // The writer gives up the dictionary when it is full.
            ("dictionary", dictionary.clone().set_dictionary_page_size_limit(100_000).build()),
            ("delta", small_pages().set_encoding(Encoding::DELTA_LENGTH_BYTE_ARRAY).build()),
            ("lz4", small_pages().set_compression(Compression::LZ4_RAW).build()),
        ] {
            let Written { file, _dir } = written(&batch, properties);
            assert!(file.pieces(&[0, 1]).len() > 1, "{name}");
            assert!(compare(&file, &(0..ROWS), 1_000, 3), "{name}");
            // The pages behind the dictionary are plain.
            assert_eq!(compare(&file, &(4_000..ROWS), 1_000, 1), name != "dictionary", "{name}");
        }
    }

    #[test]
    fn a_text_that_is_no_text_is_refused_kept_or_not() {
        let bad = [b'x', 0xff];
        let binary = arrow::array::BinaryArray::from_iter_values([&b"a"[..], &bad[..]]);
        let field = Fields::from(vec![Field::new("b", DataType::Binary, true)]);
        let parent = StructArray::new(field, vec![Arc::new(binary)], None);
        let batch =
            RecordBatch::try_from_iter_with_nullable([("add", Arc::new(parent) as ArrayRef, true)]);
        let Written { file, _dir } = written(&batch.unwrap(), small_pages().build());
        let piece = Piece { row_group: 0, rows: 0..2, bytes: 0 };
        for keep in [None, Some(BooleanBuffer::from(vec![true, false]))] {
            let mut column =
                TextColumn::new(&file, &piece, 0, 10, &Memory::default(), &SharedPages::new(&[]))
                    .unwrap();
            let error = column.next(keep.as_ref()).err().unwrap();
            assert!(matches!(column.source, Source::Pages(_)));
            assert!(error.message().starts_with("f: "), "{error}");
        }
    }
}
