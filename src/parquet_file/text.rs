//! One column of text, some rows at a time: what most of a checkpoint is.
//!
//! The general reader builds every value of the rows it is asked for, and what
//! is not wanted of them is copied away afterwards. Here the rows to keep may be
//! named when they are already known by another column, so that a value is
//! copied once, into memory of its size. That covers the pages that writers make
//! of such columns: plain values, Snappy or bare. From the first other page on,
//! the general reader takes over, with the same results.

use std::ops::Range;
use std::sync::Arc;

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
use super::{Batches, ParquetFile, Piece, select};
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
    ) -> Result<TextColumn> {
        let Piece { row_group, rows, .. } = piece.clone();
        let source = match Pages::open(file, row_group, rows.clone(), leaf, memory)? {
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

/// Plain pages.
struct Pages {
    pages: SerializedPageReader<Bytes>,
    /// The rows that each page has by the offset index, as far as that was read.
    index_rows: std::vec::IntoIter<usize>,
    decoder: Option<snap::raw::Decoder>,
    memory: Memory,
    /// The decompressed page, or its values.
    buffer: Vec<u8>,
    page: OpenPage,
    max_level: i16,
    /// The level from which the parent is there.
    parent_level: u8,
    /// Rows of the first page that are another piece's.
    skip: usize,
}

/// The page at hand.
#[derive(Default)]
struct OpenPage {
    /// A definition level for each row.
    levels: Vec<u8>,
    /// The next row.
    row: usize,
    /// The page where it is not in the buffer.
    bare: Option<Bytes>,
    /// Where the next value begins.
    at: usize,
    /// Where the values end.
    end: usize,
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.memory.put(std::mem::take(&mut self.buffer));
    }
}

impl Pages {
    /// `None` where this is no column for it.
    fn open(
        file: &ParquetFile,
        row_group: usize,
        rows: Range<usize>,
        leaf: usize,
        memory: &Memory,
    ) -> Result<Option<Pages>> {
        let group = &file.row_groups()[row_group];
        let column = group.column(leaf);
        let descriptor = column.column_descr();
        let decoder = match column.compression() {
            Compression::UNCOMPRESSED => None,
            Compression::SNAPPY => Some(snap::raw::Decoder::new()),
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
        let index = file.metadata.metadata().page_index();
        let (range, locations, skip) = match index.and_then(|i| i.offset_index(row_group, leaf)) {
            Some(index) => {
                let pages = index.page_locations();
                let first_row = |page: &PageLocation| page.first_row_index as usize;
                let first = pages.partition_point(|page| first_row(page) <= rows.start);
                let end = pages.partition_point(|page| first_row(page) < rows.end);
                let Some(pages) = pages.get(first.saturating_sub(1)..end) else { return Ok(None) };
                let [begin, ..] = pages else { return Ok(None) };
                let last = &pages[pages.len() - 1];
                let end = last.offset as u64 + last.compressed_page_size as u64;
                (begin.offset as u64..end, Some(pages.to_vec()), rows.start - first_row(begin))
            }
            None if rows == (0..group_rows) => (start..start + len, None, 0),
            None => return Ok(None),
        };
        let mut index_rows = Vec::new();
        let locations = locations.map(|mut locations| {
            let next = file_rows_after(file, row_group, leaf, &locations, group_rows);
            let begins = locations.iter().map(|page| page.first_row_index as usize);
            let ends = begins.clone().skip(1).chain([next]);
            index_rows.extend(begins.zip(ends).map(|(begin, end)| end.saturating_sub(begin)));
            for page in &mut locations {
                page.offset -= range.start as i64;
            }
            locations
        });
        // The pages as they are in the file: a page that is called uncompressed
        // is handed over so. A dictionary in front is nothing for plain pages.
        let chunk = column
            .clone()
            .into_builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_dictionary_page_offset(None)
            .set_data_page_offset(0)
            .set_total_compressed_size((range.end - range.start) as i64)
            .build()
            .map_err(|e| file.error(e))?;
        let bytes = file.bytes(range)?;
        let pages = SerializedPageReader::new(Arc::new(bytes), &chunk, group_rows, locations)
            .map_err(|e| file.error(e))?;
        Ok(Some(Pages {
            pages,
            index_rows: index_rows.into_iter(),
            decoder,
            memory: memory.clone(),
            buffer: Vec::new(),
            page: OpenPage::default(),
            max_level,
            parent_level,
            skip,
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
        let mut text: Vec<u8> = Vec::new();
        let mut nulls = NullBufferBuilder::new(kept);
        let mut parents = NullBufferBuilder::new(rows);
        let mut values: Vec<(usize, usize)> = Vec::with_capacity(rows.min(kept));
        let mut row = 0;
        while row < rows || self.skip > 0 {
            if self.page.row == self.page.levels.len() {
                match self.open_page() {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(what) => return Err(file.error(what)),
                }
                continue;
            }
            let OpenPage { levels, bare, .. } = &self.page;
            let page = bare.as_deref().unwrap_or(&self.buffer).get(..self.page.end);
            let page = page.unwrap_or_default();
            let mut at = self.page.at;
            // The values that begin in this page.
            let mut next_value = || -> Option<(usize, usize)> {
                let begin = at + 4;
                let len = u32::from_le_bytes(page.get(at..begin)?.try_into().ok()?) as usize;
                at = begin.checked_add(len).filter(|&end| end <= page.len())?;
                Some((begin, at))
            };
            let cut_off = || file.error("a page of text ends before its last value");

            let skipped = self.skip.min(levels.len() - self.page.row);
            for &level in &levels[self.page.row..self.page.row + skipped] {
                if i16::from(level) == self.max_level {
                    next_value().ok_or_else(cut_off)?;
                }
            }
            let first = self.page.row + skipped;
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
                    let end = i32::try_from(text.len() + bytes)
                        .map_err(|_| file.error("the texts of a few rows have more than 2 GiB"))?;
                    ends.push(end);
                    nulls.append_non_null();
                } else if simdutf8::basic::from_utf8(&page[begin..end]).is_err() {
                    return Err(file.error("a text is not UTF-8"));
                }
            }
            if text.capacity() - text.len() < bytes {
                // The rows that come from other pages will be about as long.
                let rest = bytes.saturating_mul(rows - row - count) / count.max(1);
                let room = text.len() + bytes + rest + rest / 16;
                let larger = self.memory.take(room);
                let mut larger =
                    larger.ok_or_else(|| Error::limit(format!("{room} bytes do not fit")))?;
                larger.clear();
                larger.extend_from_slice(&text);
                self.memory.put(std::mem::replace(&mut text, larger));
            }
            for &(begin, end) in &values {
                text.extend_from_slice(&page[begin..end]);
            }
            self.page.at = at;
            self.page.row = first + count;
            self.skip -= skipped;
            row += count;
        }
        let text = self.memory.lend(text).into();
        let values = utf8_array(&ends, text, nulls.finish()).map_err(|what| file.error(what))?;
        Ok(Some(TextBatch { values, parents: parents.finish() }))
    }

    /// Opens the next page; false where it is none that is read here.
    fn open_page(&mut self) -> Result<bool, String> {
        let page = self.pages.get_next_page().map_err(|e| e.to_string())?;
        let page = page.ok_or("the pages of a text column have too few rows")?;
        let count = match page {
            Page::DataPage { num_values, .. } | Page::DataPageV2 { num_values, .. }
                if num_values > PAGE_ROWS_MAX =>
            {
                return Ok(false);
            }
            Page::DataPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                def_level_encoding: Encoding::RLE,
                ..
            } => {
                self.decompress(buf)?;
                let page = self.page.bare.as_deref().unwrap_or(&self.buffer);
                let page = page.get(..self.page.end).unwrap_or_default();
                let (levels, values) =
                    split_levels(page).ok_or("the levels of a page end too early")?;
                self.page.at = page.len() - values.len();
                read_levels(levels, self.max_level, num_values as usize, &mut self.page.levels)?;
                num_values as usize
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
                let levels = buf.get(..def_levels_byte_len as usize);
                let levels = levels.ok_or("the levels of a page end too early")?;
                read_levels(levels, self.max_level, num_values as usize, &mut self.page.levels)?;
                let values = buf.slice(levels.len()..);
                if is_compressed && !values.is_empty() {
                    self.decompress(values)?;
                } else {
                    self.page.end = values.len();
                    self.page.bare = Some(values);
                }
                self.page.at = 0;
                num_values as usize
            }
            _ => return Ok(false),
        };
        self.page.row = 0;
        // Where the index and the pages disagree, rows of one column would
        // stand beside those of another.
        match self.index_rows.next() {
            Some(said) if said != count => {
                Err(format!("a page has {count} rows where the offset index says {said}"))
            }
            _ => Ok(true),
        }
    }

    fn decompress(&mut self, page: Bytes) -> Result<(), String> {
        let Some(decoder) = &mut self.decoder else {
            self.page.end = page.len();
            self.page.bare = Some(page);
            return Ok(());
        };
        self.page.bare = None;
        let len = snap::raw::decompress_len(&page).map_err(|e| e.to_string())?;
        // Three bytes copy 64 at the most: what claims more is no such page,
        // and should not be given the memory.
        if len / 22 > page.len() {
            return Err(format!("a page of {} bytes claims to hold {len}", page.len()));
        }
        if self.buffer.len() < len {
            if self.buffer.capacity() < len {
                self.memory.put(std::mem::take(&mut self.buffer));
                let buffer = self.memory.take(len);
                self.buffer = buffer.ok_or_else(|| format!("{len} bytes do not fit"))?;
            }
            self.buffer.resize(self.buffer.len().max(len), 0);
        }
        self.page.end = decoder.decompress(&page, &mut self.buffer).map_err(|e| e.to_string())?;
        Ok(())
    }
}

/// The first row behind the pages `locations`.
fn file_rows_after(
    file: &ParquetFile,
    row_group: usize,
    leaf: usize,
    locations: &[PageLocation],
    group_rows: usize,
) -> usize {
    let index = file.metadata.metadata().page_index();
    let pages = index.and_then(|index| index.offset_index(row_group, leaf));
    let last = locations.last().map_or(0, |page| page.first_row_index);
    let mut pages = pages.map_or(&[][..], |index| index.page_locations()).iter();
    let next = pages.find(|page| page.first_row_index > last);
    next.map_or(group_rows, |page| page.first_row_index as usize)
}

/// Decodes the definition levels of `count` rows.
fn read_levels(
    levels: &[u8],
    max_level: i16,
    count: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    out.clear();
    each_run(levels, max_level, count, |level, run| {
        out.resize(out.len() + run, u8::try_from(level).unwrap_or(u8::MAX));
    })
    .ok_or("the levels of a page end too early")?;
    if out.iter().any(|&level| i16::from(level) > max_level) {
        return Err("a level of a page is higher than its column has".to_owned());
    }
    Ok(())
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
        let storage = crate::storage::open(dir.path().to_str().unwrap()).unwrap();
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
        let memory = Memory::default();
        let piece = Piece { row_group: 0, rows: rows.clone(), bytes: 0 };
        let mut took_over = false;
        for leaf in [0, 1] {
            let mut column = TextColumn::new(file, &piece, leaf, batch_rows, &memory).unwrap();
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
            let mut column = TextColumn::new(&file, &piece, 0, 10, &Memory::default()).unwrap();
            let error = column.next(keep.as_ref()).err().unwrap();
            assert!(matches!(column.source, Source::Pages(_)));
            assert!(error.message().starts_with("f: "), "{error}");
        }
    }
}
