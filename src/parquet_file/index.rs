//! What a file says of the values in its column chunks beside the chunks: the page
//! index, and Bloom filters.
//!
//! Both are there to save reading. So what is flawed in them is as if it were not
//! there: the pages themselves say what they hold.

use std::ops::Range;

use arrow::datatypes::DataType;
use bytes::Bytes;
use parquet::basic::ColumnOrder;
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::page_index::index_reader::{decode_column_index, decode_offset_index};
use parquet::file::reader::ChunkReader;
use parquet::schema::types::ColumnDescPtr;

use super::{ParquetFile, is_sound, thrift};
use crate::error::Result;

/// A longer index or filter is not read: it would not save more than it costs.
const INDEX_BYTES_MAX: u64 = 16 << 20;
/// The header of a Bloom filter has about twenty bytes.
const BLOOM_HEADER_BYTES: u64 = 64;
/// The bits of a Bloom filter are in blocks of so many bytes.
const BLOOM_BLOCK_BYTES: u64 = 32;

/// The pages of a column chunk, and what is said of their values.
pub(crate) struct ChunkPages {
    /// The row of the row group that each page begins with.
    pub(crate) begins: Vec<usize>,
    pub(crate) index: ColumnIndexMetaData,
}

impl ParquetFile {
    /// What a leaf column is in the file.
    pub(crate) fn column(&self, leaf: usize) -> ColumnDescPtr {
        self.schema().column(leaf)
    }

    /// What a leaf column is decoded as, by its annotation.
    pub(crate) fn arrow_type(&self, leaf: usize) -> Option<DataType> {
        fn nth(of: &DataType, leaf: &mut usize) -> Option<DataType> {
            match of {
                DataType::Struct(fields) => {
                    fields.iter().find_map(|field| nth(field.data_type(), leaf))
                }
                DataType::List(field) | DataType::Map(field, _) => nth(field.data_type(), leaf),
                of if *leaf == 0 => Some(of.clone()),
                _ => {
                    *leaf -= 1;
                    None
                }
            }
        }
        nth(&DataType::Struct(self.arrow_fields().clone()), &mut { leaf })
    }

    /// The order that bounds of a leaf column's values are of, if that is said.
    pub(crate) fn column_order(&self, leaf: usize) -> Option<ColumnOrder> {
        let orders = self.metadata.metadata().file_metadata().column_orders()?;
        orders.get(leaf).copied()
    }

    /// The page indexes of some column chunks, given by row group and leaf, read at
    /// once; `None` for one that is not there, or is unsound.
    ///
    /// # Errors
    /// What the storage fails with.
    pub(crate) fn page_indexes(&self, of: &[(usize, usize)]) -> Result<Vec<Option<ChunkPages>>> {
        let ranges = |&(row_group, leaf): &(usize, usize)| {
            let column = self.row_groups()[row_group].column(leaf);
            let index = self.within(column.column_index_offset(), column.column_index_length())?;
            Some((index, self.within(column.offset_index_offset(), column.offset_index_length())?))
        };
        let found: Vec<_> = of.iter().map(ranges).collect();
        let reads = found.iter().flatten().flat_map(|(a, b)| [a.clone(), b.clone()]).collect();
        let chunks = self.chunks.with(reads).map_err(|e| self.error(e))?;
        let read = |range: Range<u64>| {
            let bytes = chunks.get_bytes(range.start, (range.end - range.start) as usize);
            bytes.map_err(|e| self.error(e))
        };
        of.iter()
            .zip(found)
            .map(|(&(row_group, leaf), ranges)| match ranges {
                Some((index, offsets)) => {
                    Ok(self.chunk_pages(row_group, leaf, &read(index)?, &read(offsets)?))
                }
                None => Ok(None),
            })
            .collect()
    }

    fn chunk_pages(
        &self,
        row_group: usize,
        leaf: usize,
        index: &Bytes,
        offsets: &Bytes,
    ) -> Option<ChunkPages> {
        thrift::check_column_index(index).ok()?;
        thrift::check_struct(offsets).ok()?;
        let physical_type = self.physical_type(leaf);
        let index = self.chunks.decoded(|| decode_column_index(index, physical_type)).ok()?;
        let offsets = self.chunks.decoded(|| decode_offset_index(offsets)).ok()?;
        let pages = offsets.page_locations();
        let is_whole = is_sound(pages, self.metadata.metadata(), row_group, leaf)
            && index.num_pages() == pages.len() as u64;
        let begins = pages.iter().map(|page| usize::try_from(page.first_row_index));
        let begins = begins.collect::<std::result::Result<_, _>>().ok()?;
        is_whole.then_some(ChunkPages { begins, index })
    }

    /// The Bloom filter of a column chunk; `None` where there is none, or one that is
    /// unsound.
    ///
    /// # Errors
    /// What the storage fails with.
    pub(crate) fn bloom_filter(&self, row_group: usize, leaf: usize) -> Result<Option<Sbbf>> {
        let column = self.row_groups()[row_group].column(leaf);
        let Some(range) = self.bloom_range(column) else { return Ok(None) };
        let read = |range: Range<u64>| {
            let bytes = self.chunks.get_bytes(range.start, (range.end - range.start) as usize);
            bytes.map_err(|e| self.error(e))
        };
        let mut bytes = read(range.clone())?;
        let Ok(header) = thrift::bloom_header(&bytes) else { return Ok(None) };
        let begin = range.start + header.len as u64;
        let is_sound = (BLOOM_BLOCK_BYTES..=INDEX_BYTES_MAX).contains(&header.bits)
            && header.bits.is_multiple_of(BLOOM_BLOCK_BYTES)
            && begin + header.bits <= self.size();
        if !is_sound {
            return Ok(None);
        }
        let length = header.bits as usize;
        let bits = match column.bloom_filter_length() {
            // Its length is said twice.
            Some(_) if bytes.len() == header.len + length => bytes.split_off(header.len),
            Some(_) => return Ok(None),
            None => read(begin..begin + header.bits)?,
        };
        Ok(self.chunks.decoded(|| Ok::<_, String>(Sbbf::new(&bits))).ok())
    }

    /// Where a Bloom filter is, or its header where its length is not said.
    fn bloom_range(&self, column: &ColumnChunkMetaData) -> Option<Range<u64>> {
        match column.bloom_filter_length() {
            Some(length) => self.within(column.bloom_filter_offset(), Some(length)),
            None => {
                let start = u64::try_from(column.bloom_filter_offset()?).ok()?;
                let end = self.size().min(start.saturating_add(BLOOM_HEADER_BYTES));
                (start < end).then_some(start..end)
            }
        }
    }

    /// These bytes, if they lie in the file and are not too many.
    fn within(&self, offset: Option<i64>, length: Option<i32>) -> Option<Range<u64>> {
        let start = u64::try_from(offset?).ok()?;
        let length = u64::try_from(length?).ok().filter(|&length| length <= INDEX_BYTES_MAX)?;
        let end = start.checked_add(length)?;
        (end <= self.size()).then_some(start..end)
    }
}
