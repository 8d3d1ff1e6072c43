//! Some columns of a file, each decoded as what the reader makes of it.
//!
//! The decoder takes a column for what its annotation says, and trusts the pages
//! it is given. So two things stand between it and the file. The schema that it
//! sees is the file's with other annotations where those would cost something:
//! a text that is not called one would not be checked for being UTF-8, and the
//! old timestamps of twelve bytes would wrap around. And each page is looked at
//! on its way: what it claims to be decompressed, whether its levels end before
//! it does (the decoder would skip over such a page for ever), whether it has the
//! rows that the offset index says, and how many bytes it can be decoded into: a
//! few can claim any number of values, or repeat one of a megabyte a million times.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, RowGroups, RowSelection};
use parquet::arrow::{FieldLevels, ProjectionMask, parquet_to_arrow_field_levels};
use parquet::basic::{Compression, ConvertedType, Encoding, LogicalType, Type as PhysicalType};
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::schema::types::{ColumnDescPtr, SchemaDescriptor, Type, TypePtr};

use super::delta;
use super::levels::{PageRows, are_whole, behind_repetition, rows_of};
use super::thrift::{self, Flaw};
use super::unpack::Codec;
use super::{Batches, Chunks, ParquetFile, Walk};
use crate::error::{Error, Result};
use crate::memory::Memory;

/// A page may be as large as its column chunk is said to be, and no writer is
/// blamed for a smaller one than this.
const PAGE_BYTES_MIN: u64 = 64 << 20;
/// More than this is not decoded of one unit.
pub(crate) const DECODED_BYTES_MAX: u64 = 4 << 30;
/// No more than this is copied out of dictionaries for one batch, where each row
/// may refer to the longest text of each.
const COPIED_BYTES_MAX: u64 = 1 << 30;
/// What the levels of a repeated value take.
const LEVELS_BYTES: u64 = 4;
/// So many bytes are looked for a page's header in, and then more, if it has long
/// statistics.
const HEADER_BYTES: [u64; 4] = [2 << 10, 32 << 10, 512 << 10, 16 << 20];
/// Bytes of an INT96.
const INT96_BYTES: i32 = 12;

/// What the values of a leaf column are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// What their annotation says.
    Annotated,
    /// Text, which is checked for being UTF-8; or bytes not checked, as views.
    Text,
    /// Text, which is checked, and never views.
    CheckedText,
    /// Bytes.
    Bytes,
    /// Twelve bytes: an INT96, undecoded.
    TwelveBytes,
}

/// Leaf columns of a file, and how they are decoded.
pub(crate) struct Columns {
    levels: FieldLevels,
    leaves: Vec<usize>,
    /// Those that are decoded as views.
    views: Vec<usize>,
}

impl ParquetFile {
    /// The columns of the file, as Arrow has them. Its leaves, in depth-first order,
    /// are the file's leaf columns.
    pub(crate) fn arrow_fields(&self) -> &Fields {
        self.metadata.schema().fields()
    }

    /// What the values of a leaf column are in the file.
    pub(crate) fn physical_type(&self, leaf: usize) -> PhysicalType {
        self.schema().column(leaf).physical_type()
    }

    /// Whether the values of a leaf column may be taken for text: they are called
    /// so, or are bytes of which nothing else is said.
    pub(crate) fn may_be_text(&self, leaf: usize) -> bool {
        use ConvertedType as C;
        use LogicalType as L;
        let column = self.schema().column(leaf);
        matches!(column.converted_type(), C::NONE | C::UTF8 | C::ENUM | C::JSON)
            && matches!(column.logical_type_ref(), None | Some(L::String | L::Enum | L::Json))
    }

    /// The leaf columns `taken`, one at least, by ascending number.
    pub(crate) fn columns(&self, taken: &[(usize, Take)]) -> Result<Columns> {
        self.columns_as(taken, false)
    }

    /// The same with texts and bytes as views of the file's pages. Texts, too, are
    /// views of bytes then, and not checked: few of them may be wanted.
    pub(crate) fn columns_of_views(&self, taken: &[(usize, Take)]) -> Result<Columns> {
        let bytes = |&(leaf, take)| match take {
            Take::Text => (leaf, Take::Bytes),
            take => (leaf, take),
        };
        self.columns_as(&taken.iter().map(bytes).collect::<Vec<_>>(), true)
    }

    fn columns_as(&self, taken: &[(usize, Take)], views: bool) -> Result<Columns> {
        let leaves: Vec<usize> = taken.iter().map(|(leaf, _)| *leaf).collect();
        let root = self.schema().root_schema_ptr();
        let retyped = Retype { taken, next_leaf: 0 }.retype(&root).map_err(|e| self.error(e))?;
        let schema = retyped.map(SchemaDescriptor::new);
        let schema = schema.as_ref().unwrap_or(self.schema());
        let mask = || ProjectionMask::leaves(schema, leaves.iter().copied());
        let levels = |hint: Option<&Fields>| parquet_to_arrow_field_levels(schema, mask(), hint);
        // A hint has to be of the schema's form, which a group of no columns has in
        // Parquet alone. Then there are no views.
        let hint = views.then(|| AsViews { taken, next_leaf: 0 }.fields(self.arrow_fields()));
        let with_views = hint.and_then(|hint| levels(Some(&hint)).ok());
        let is_view = |take| matches!(take, Take::Text | Take::Bytes);
        let views = match with_views {
            Some(_) => taken.iter().filter(|(_, t)| is_view(*t)).map(|(leaf, _)| *leaf).collect(),
            None => Vec::new(),
        };
        let levels = with_views.map_or_else(|| levels(None), Ok).map_err(|e| self.error(e))?;
        Ok(Columns { levels, leaves, views })
    }

    /// Decodes columns of some rows of a row group, all where nothing is selected,
    /// `batch_rows` at a time; the last batch may have fewer. An error where that can
    /// be more than [`DECODED_BYTES_MAX`], or where [texts](Batches::want_views)
    /// should be decoded as views.
    pub(crate) fn batches_of(
        &self,
        columns: &Columns,
        row_group: usize,
        selection: Option<RowSelection>,
        batch_rows: usize,
        memory: &Memory,
        shared: Option<&Arc<GroupPages>>,
    ) -> Result<Batches> {
        let group_rows = self.row_groups()[row_group].num_rows();
        let group_rows = usize::try_from(group_rows).unwrap_or(0);
        let rows = selection.as_ref().map_or(group_rows, RowSelection::row_count);
        let batch_rows = batch_rows.clamp(1, rows.max(1));
        let allowance = Arc::new(Allowance::default());
        let mut group = Group {
            file: self,
            row_group,
            chunks: self.chunks.clone(),
            columns,
            batch_rows,
            allowance: Arc::clone(&allowance),
            memory,
            shared,
        };
        group.fetch(&columns.leaves, selection.as_ref()).map_err(|e| self.error(e))?;
        let reader = self.chunks.decoded(|| {
            ParquetRecordBatchReader::try_new_with_row_groups(
                &columns.levels,
                &group,
                batch_rows,
                selection,
            )
        })?;
        let chunks = self.chunks.clone();
        Ok(Batches { chunks, row_group, reader, batch_rows, rows, allowance })
    }
}

/// Changes the annotations of leaf columns.
struct Retype<'a> {
    taken: &'a [(usize, Take)],
    next_leaf: usize,
}

impl Retype<'_> {
    /// `None` where nothing changes.
    fn retype(&mut self, of: &TypePtr) -> parquet::errors::Result<Option<TypePtr>> {
        match of.as_ref() {
            Type::GroupType { basic_info, fields } => {
                let mut changed: Option<Vec<TypePtr>> = None;
                for (i, field) in fields.iter().enumerate() {
                    if let Some(retyped) = self.retype(field)? {
                        changed.get_or_insert_with(|| fields.clone())[i] = retyped;
                    }
                }
                Ok(changed.map(|fields| {
                    Arc::new(Type::GroupType { basic_info: basic_info.clone(), fields })
                }))
            }
            Type::PrimitiveType { basic_info, physical_type, .. } => {
                let leaf = self.next_leaf;
                self.next_leaf += 1;
                let (logical, converted) =
                    (basic_info.logical_type_ref(), basic_info.converted_type());
                let (physical, annotation, length) = match take_of(self.taken, leaf) {
                    None | Some(Take::Annotated) => return Ok(None),
                    // The decoder goes by the older annotation.
                    Some(Take::Text | Take::CheckedText) if converted == ConvertedType::UTF8 => {
                        return Ok(None);
                    }
                    Some(Take::Bytes) if converted == ConvertedType::NONE && logical.is_none() => {
                        return Ok(None);
                    }
                    Some(Take::Text | Take::CheckedText) => {
                        (*physical_type, Some(LogicalType::String), -1)
                    }
                    Some(Take::Bytes) => (*physical_type, None, -1),
                    Some(Take::TwelveBytes) => {
                        (PhysicalType::FIXED_LEN_BYTE_ARRAY, None, INT96_BYTES)
                    }
                };
                let retyped = Type::primitive_type_builder(basic_info.name(), physical)
                    .with_repetition(basic_info.repetition())
                    .with_logical_type(annotation)
                    .with_length(length)
                    .build()?;
                Ok(Some(Arc::new(retyped)))
            }
        }
    }
}

/// The fields with those that are taken for text or bytes as views.
struct AsViews<'a> {
    taken: &'a [(usize, Take)],
    next_leaf: usize,
}

impl AsViews<'_> {
    fn fields(&mut self, fields: &Fields) -> Fields {
        fields.iter().map(|field| self.field(field)).collect()
    }

    fn field(&mut self, field: &FieldRef) -> FieldRef {
        let data_type = match field.data_type() {
            DataType::Struct(fields) => DataType::Struct(self.fields(fields)),
            DataType::List(element) => DataType::List(self.field(element)),
            DataType::Map(entries, sorted) => DataType::Map(self.field(entries), *sorted),
            _ => {
                self.next_leaf += 1;
                match take_of(self.taken, self.next_leaf - 1) {
                    Some(Take::Bytes) => DataType::BinaryView,
                    _ => return Arc::clone(field),
                }
            }
        };
        Arc::new(Field::clone(field).with_data_type(data_type))
    }
}

fn take_of(taken: &[(usize, Take)], leaf: usize) -> Option<Take> {
    let at = taken.binary_search_by_key(&leaf, |(leaf, _)| *leaf).ok()?;
    Some(taken[at].1)
}

/// What may be decoded of one unit, by what its pages say before they are.
#[derive(Default)]
pub(super) struct Allowance {
    spent: AtomicU64,
    /// What one batch may copy out of dictionaries.
    copied: AtomicU64,
    wants_views: AtomicBool,
}

impl Allowance {
    /// Whether the unit was stopped because it would copy too much.
    pub(super) fn wants_views(&self) -> bool {
        self.wants_views.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: u64, chunks: &Chunks) -> parquet::errors::Result<()> {
        let before = self.spent.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= DECODED_BYTES_MAX {
            return Ok(());
        }
        let text = format!(
            "{}: some rows of a row group may be more than {DECODED_BYTES_MAX} bytes when they \
             are decoded",
            chunks.name
        );
        // The decoder knows no limits, only errors.
        let _ = chunks.failed.set(Error::limit(&*text));
        Err(ParquetError::General(text))
    }

    fn copy(&self, bytes: u64) -> parquet::errors::Result<()> {
        let before = self.copied.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= COPIED_BYTES_MAX {
            return Ok(());
        }
        self.wants_views.store(true, Ordering::Relaxed);
        Err(ParquetError::General("a dictionary has texts too long to be copied".into()))
    }
}

/// One row group, for the decoder.
struct Group<'a> {
    file: &'a ParquetFile,
    row_group: usize,
    chunks: Chunks,
    columns: &'a Columns,
    batch_rows: usize,
    allowance: Arc<Allowance>,
    memory: &'a Memory,
    shared: Option<&'a Arc<GroupPages>>,
}

impl Group<'_> {
    /// Reads what will be decoded of `leaves`.
    fn fetch(
        &mut self,
        leaves: &[usize],
        selection: Option<&RowSelection>,
    ) -> parquet::errors::Result<()> {
        let index = self.file.metadata.metadata().page_index();
        let mut ranges = Vec::new();
        for &leaf in leaves {
            let (start, len) = self.file.row_groups()[self.row_group].column(leaf).byte_range();
            let pages = index.and_then(|index| index.page_locations(self.row_group, leaf));
            match (pages, selection) {
                (Some(pages), Some(selection)) => {
                    let is_known = |page| self.shared.is_some_and(|known| known.has(leaf, page));
                    // What is in front of the first page is the dictionary.
                    if let Some(first) = pages.first().filter(|_| !is_known(DICTIONARY)) {
                        ranges.push(start..u64::try_from(first.offset)?);
                    }
                    ranges.extend(selection.scan_ranges(pages).into_iter().filter(|range| {
                        let at = pages.partition_point(|page| page.offset as u64 <= range.start);
                        !is_known(at.wrapping_sub(1))
                    }));
                }
                (_, None) => ranges.push(start..start.saturating_add(len)),
                // Which of its pages are needed, their headers tell.
                (None, Some(_)) => {}
            }
        }
        self.chunks = self.chunks.with(ranges)?;
        Ok(())
    }
}

/// What one piece of a row group decompresses and others need as well: the
/// dictionaries, and the pages that have rows of two pieces.
///
/// Pieces that lie side by side are decoded at about the same time, so what is
/// kept is little.
pub(crate) struct GroupPages {
    /// The rows at which pieces meet, ascending.
    cuts: Vec<usize>,
    /// Pieces that are still to be decoded.
    pieces: AtomicUsize,
    /// By leaf and place in its chunk.
    pages: Mutex<HashMap<(usize, usize), Page>>,
}

/// The place of a chunk's dictionary among its pages.
const DICTIONARY: usize = usize::MAX;

impl GroupPages {
    /// Those of a row group that is cut at the rows `cuts`.
    pub(crate) fn new(cuts: Vec<usize>) -> GroupPages {
        let pieces = AtomicUsize::new(cuts.len() + 1);
        GroupPages { cuts, pieces, pages: Mutex::default() }
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<(usize, usize), Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.pages().is_empty()
    }

    fn has(&self, leaf: usize, page: usize) -> bool {
        self.pages().contains_key(&(leaf, page))
    }

    /// A page that another piece has decompressed: a dictionary again and again,
    /// another page for the second piece.
    fn get(&self, leaf: usize, page: usize) -> Option<Page> {
        match page {
            DICTIONARY => self.pages().get(&(leaf, page)).cloned(),
            _ => self.pages().remove(&(leaf, page)),
        }
    }

    /// Keeps a page that has `rows`, if another piece needs it too.
    fn put(&self, leaf: usize, place: usize, rows: Range<usize>, page: &Page) {
        let after = self.cuts.partition_point(|&cut| cut <= rows.start);
        if place == DICTIONARY || self.cuts.get(after).is_some_and(|&cut| cut < rows.end) {
            self.pages().insert((leaf, place), page.clone());
        }
    }

    /// A piece is decoded: with the last one, all is forgotten.
    pub(crate) fn piece_is_decoded(&self) {
        if self.pieces.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.pages().clear();
        }
    }
}

impl RowGroups for Group<'_> {
    fn num_rows(&self) -> usize {
        usize::try_from(self.file.row_groups()[self.row_group].num_rows()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> parquet::errors::Result<Box<dyn PageIterator>> {
        let pages = Pages::open(self, leaf)?;
        Ok(Box::new(OneChunk(Some(Box::new(pages)))))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        Box::new(self.file.row_groups().get(self.row_group).into_iter())
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.file.metadata.metadata()
    }
}

struct OneChunk(Option<Box<dyn PageReader>>);

impl Iterator for OneChunk {
    type Item = parquet::errors::Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl PageIterator for OneChunk {}

/// The pages of a column chunk, each looked at before it is decoded.
struct Pages {
    reader: SerializedPageReader<Chunk>,
    chunks: Chunks,
    leaf: usize,
    column: ColumnDescPtr,
    is_view: bool,
    batch_rows: usize,
    allowance: Arc<Allowance>,
    /// Values that may still come, by the footer.
    values_left: u64,
    has_dictionary: bool,
    /// The rows of each data page, where the offset index says them.
    rows: Option<Vec<Range<usize>>>,
    /// Data pages that were read or skipped.
    passed: usize,
    /// Where pages are decompressed here, into memory that is used again.
    codec: Option<(Codec, Memory)>,
    page_bytes_max: u64,
    shared: Option<Arc<GroupPages>>,
    /// What the page whose header was read last claims to be decompressed.
    claim: Arc<AtomicU64>,
    /// Whether the dictionary was skipped and may be asked for still, and its claim.
    is_deferred: bool,
    deferred_claim: u64,
}

impl Pages {
    fn open(group: &Group<'_>, leaf: usize) -> parquet::errors::Result<Pages> {
        let Group { file, row_group, ref chunks, memory, shared, batch_rows, .. } = *group;
        let (columns, allowance) = (group.columns, Arc::clone(&group.allowance));
        let group = &file.row_groups()[row_group];
        let column = group.column(leaf);
        let group_rows = usize::try_from(group.num_rows())?;
        let values_left = u64::try_from(column.num_values())?;
        let index = file.metadata.metadata().page_index();
        let locations = index.and_then(|index| index.page_locations(row_group, leaf)).cloned();
        let rows = locations.as_ref().map(|pages| {
            let begins = pages.iter().map(|page| page.first_row_index as usize);
            let ends = begins.clone().skip(1).chain([group_rows]);
            begins.zip(ends).map(|(begin, end)| begin..end).collect()
        });
        let claim = u64::try_from(column.uncompressed_size()).unwrap_or(0);
        let page_bytes_max = claim.max(PAGE_BYTES_MIN);
        let is_by_pages = locations.is_some();
        let claim = Arc::<AtomicU64>::default();
        let seen = Arc::clone(&claim);
        let chunk = Chunk { chunks: chunks.clone(), is_by_pages, page_bytes_max, claim: seen };
        let codec = Codec::of(column.compression());
        // The reader then hands pages out as they are.
        let bare = column.clone().into_builder().set_compression(Compression::UNCOMPRESSED);
        let bare = if codec.is_some() { &bare.build()? } else { column };
        Ok(Pages {
            reader: SerializedPageReader::new(Arc::new(chunk), bare, group_rows, locations)?,
            chunks: chunks.clone(),
            leaf,
            column: column.column_descr_ptr(),
            is_view: columns.views.binary_search(&leaf).is_ok(),
            batch_rows,
            allowance,
            values_left,
            has_dictionary: false,
            rows,
            passed: 0,
            codec: codec.map(|codec| (codec, memory.clone())),
            page_bytes_max,
            shared: shared.filter(|_| is_by_pages).cloned(),
            claim,
            is_deferred: false,
            deferred_claim: 0,
        })
    }

    /// The page, decompressed.
    fn unpacked(&self, mut page: Page, claim: u64) -> parquet::errors::Result<Page> {
        let Some((codec, memory)) = &self.codec else { return Ok(page) };
        let unpack = |buf: &Bytes, bare| {
            let unpacked = codec.unpack(buf, bare, claim, self.page_bytes_max, memory);
            unpacked.map_err(ParquetError::General)
        };
        match &mut page {
            Page::DataPage { buf, .. } | Page::DictionaryPage { buf, .. } => *buf = unpack(buf, 0)?,
            Page::DataPageV2 {
                buf,
                is_compressed,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                if std::mem::take(is_compressed) {
                    let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                    *buf = unpack(buf, usize::try_from(levels)?)?;
                }
            }
        }
        Ok(page)
    }

    /// Looks at a page before it is decoded: a data page has `rows`, as far as the
    /// offset index says it.
    fn look_at(&mut self, page: &Page, rows: Option<Range<usize>>) -> parquet::errors::Result<()> {
        self.allowance.spend(page.buffer().len() as u64, &self.chunks)?;
        if let Page::DictionaryPage { buf, num_values, .. } = page {
            self.has_dictionary = true;
            return self.look_at_dictionary(buf, *num_values);
        }
        self.check_rows(page, rows)?;
        let count = page.num_values() as usize;
        self.values_left = self.values_left.checked_sub(count as u64).ok_or_else(|| {
            ParquetError::General("pages have more values than their column chunk".into())
        })?;
        let (max_rep, max_def) = (self.column.max_rep_level(), self.column.max_def_level());
        let behind = behind_repetition(page, max_rep, max_def).filter(|behind| {
            behind.definition.is_none_or(|levels| are_whole(levels, max_def, count))
        });
        let values = behind.ok_or_else(levels_end_early)?.values;
        if max_rep > 0 {
            let each = LEVELS_BYTES + self.value_bytes();
            self.allowance.spend((count as u64).saturating_mul(each), &self.chunks)?;
        }
        self.look_at_values(page.encoding(), values, count)
    }

    /// Checks that as many values as a dictionary claims are there, and that its
    /// texts are not too long to be copied for each row.
    fn look_at_dictionary(&self, buf: &[u8], count: u32) -> parquet::errors::Result<()> {
        let claimed = u64::from(count).saturating_mul(self.value_bytes());
        if claimed > buf.len() as u64 {
            return Err(ParquetError::General(format!(
                "a dictionary of {} bytes claims {count} values",
                buf.len()
            )));
        }
        if self.column.physical_type() != PhysicalType::BYTE_ARRAY || self.is_view {
            return Ok(());
        }
        let mut longest = 0;
        let mut rest = buf;
        while let Some((len, after)) = rest.split_first_chunk::<4>() {
            let len = u32::from_le_bytes(*len);
            longest = longest.max(len);
            rest = after.get(len as usize..).unwrap_or(&[]);
        }
        // How many of a repeated column's values one batch has is not known.
        let in_batch = if self.column.max_rep_level() > 0 {
            self.values_left
        } else {
            self.values_left.min(self.batch_rows as u64)
        };
        self.allowance.copy(in_batch.saturating_mul(longest.into()))
    }

    /// Checks what values claim by which the decoder would take memory.
    fn look_at_values(
        &self,
        encoding: Encoding,
        values: &[u8],
        count: usize,
    ) -> parquet::errors::Result<()> {
        let wrong = |what: &str| Err(ParquetError::General(what.into()));
        let too_many = "a page's lengths are more than its values, end early or are negative";
        match encoding {
            Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY
                if !self.has_dictionary && !self.is_deferred =>
            {
                wrong("a page refers to a dictionary that is not there")
            }
            // Of nulls alone nothing need be there.
            _ if values.is_empty() => Ok(()),
            Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                match delta::count_of(values) {
                    Some(claimed) if claimed <= count as u64 => Ok(()),
                    _ => wrong(too_many),
                }
            }
            Encoding::DELTA_BYTE_ARRAY => {
                // What each value has in common with the one before it, then what is
                // its own.
                let Some(common) = delta::lengths_of(values, count) else { return wrong(too_many) };
                match delta::count_of(&values[common.end..]) {
                    Some(claimed) if claimed <= count as u64 => {
                        self.allowance.spend(common.sum, &self.chunks)
                    }
                    _ => wrong(too_many),
                }
            }
            _ => Ok(()),
        }
    }

    /// The bytes of a value, of a text those of its length.
    fn value_bytes(&self) -> u64 {
        match self.column.physical_type() {
            PhysicalType::BOOLEAN => 0,
            PhysicalType::INT32 | PhysicalType::FLOAT | PhysicalType::BYTE_ARRAY => 4,
            PhysicalType::INT64 | PhysicalType::DOUBLE => 8,
            PhysicalType::INT96 => INT96_BYTES as u64,
            PhysicalType::FIXED_LEN_BYTE_ARRAY => {
                u64::try_from(self.column.type_length()).unwrap_or(0)
            }
        }
    }

    fn check_rows(&self, page: &Page, said: Option<Range<usize>>) -> parquet::errors::Result<()> {
        let max_rep_level = self.column.max_rep_level();
        if max_rep_level == 0 && self.rows.is_none() {
            return Ok(());
        }
        let found = if max_rep_level == 0 {
            PageRows { count: page.num_values() as usize, begins_row: true }
        } else {
            match rows_of(page, max_rep_level) {
                Some(Some(rows)) => rows,
                _ => return Err(levels_end_early()),
            }
        };
        let said = said.map(|rows| rows.end.saturating_sub(rows.start));
        match self.rows {
            Some(_) if said != Some(found.count) || !found.begins_row => {
                Err(ParquetError::General(format!(
                    "a page has {} rows where the offset index says {}",
                    found.count,
                    said.unwrap_or(0)
                )))
            }
            _ => Ok(()),
        }
    }

    /// The next page's place among those that are shared, if it is one of them.
    fn shared_place(&mut self) -> parquet::errors::Result<Option<(Arc<GroupPages>, usize)>> {
        let Some(shared) = self.shared.clone() else { return Ok(None) };
        let is_dictionary = self.reader.peek_next_page()?.is_some_and(|page| page.is_dict);
        Ok(Some((shared, if is_dictionary { DICTIONARY } else { self.passed })))
    }

    /// The rows of the data page at `place`, where they are known.
    fn rows_at(&self, place: usize) -> Option<Range<usize>> {
        self.rows.as_ref()?.get(place).cloned()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> parquet::errors::Result<Option<Page>> {
        let shared = self.shared_place()?;
        if let Some((pages, place)) = &shared
            && let Some(page) = pages.get(self.leaf, *place)
        {
            self.reader.skip_next_page()?;
            self.look_at(&page, self.rows_at(*place))?;
            self.passed += usize::from(*place != DICTIONARY);
            return Ok(Some(page));
        }
        let Some(page) = self.reader.get_next_page()? else { return Ok(None) };
        let page = self.unpacked(page, self.claim.load(Ordering::Relaxed))?;
        let rows = self.rows_at(self.passed);
        self.look_at(&page, rows.clone())?;
        self.passed += usize::from(page.is_data_page());
        if let Some((pages, place)) = shared {
            pages.put(self.leaf, place, rows.unwrap_or(0..0), &page);
        }
        Ok(Some(page))
    }

    fn peek_next_page(&mut self) -> parquet::errors::Result<Option<PageMetadata>> {
        self.reader.peek_next_page()
    }

    fn skip_next_page(&mut self) -> parquet::errors::Result<()> {
        match self.reader.peek_next_page()? {
            Some(page) if page.is_dict => {
                self.is_deferred = true;
                self.deferred_claim = self.claim.load(Ordering::Relaxed);
            }
            Some(_) => self.passed += 1,
            None => {}
        }
        self.reader.skip_next_page()
    }

    fn supports_deferred_dictionary(&self) -> bool {
        self.reader.supports_deferred_dictionary()
    }

    fn take_deferred_dictionary(&mut self) -> parquet::errors::Result<Option<Page>> {
        if !std::mem::take(&mut self.is_deferred) {
            return Ok(None);
        }
        let shared = self.shared.as_ref();
        if let Some(known) = shared.and_then(|shared| shared.get(self.leaf, DICTIONARY)) {
            self.look_at(&known, None)?;
            return Ok(Some(known));
        }
        let Some(page) = self.reader.take_deferred_dictionary()? else { return Ok(None) };
        // Its header was read when it was skipped, or is read with it.
        let claim = match self.rows {
            None => self.deferred_claim,
            Some(_) => self.claim.load(Ordering::Relaxed),
        };
        let page = self.unpacked(page, claim)?;
        self.look_at(&page, None)?;
        if let Some(shared) = &self.shared {
            shared.put(self.leaf, DICTIONARY, 0..0, &page);
        }
        Ok(Some(page))
    }

    fn at_record_boundary(&mut self) -> parquet::errors::Result<bool> {
        self.reader.at_record_boundary()
    }
}

impl Iterator for Pages {
    type Item = parquet::errors::Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

fn levels_end_early() -> ParquetError {
    ParquetError::General("a page's levels end before it".into())
}

/// The bytes of a column chunk. A page that claims too much is refused by its
/// header, before there is memory for it.
struct Chunk {
    chunks: Chunks,
    /// Whether a page is read at once, its header in front.
    is_by_pages: bool,
    page_bytes_max: u64,
    /// Where the last page's claim is left.
    claim: Arc<AtomicU64>,
}

impl Length for Chunk {
    fn len(&self) -> u64 {
        self.chunks.len()
    }
}

impl ChunkReader for Chunk {
    type T = Headers;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Headers> {
        let walk = self.chunks.get_read(start)?;
        Ok(Headers { walk, unseen: Some((self.page_bytes_max, Arc::clone(&self.claim))) })
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<bytes::Bytes> {
        let bytes = self.chunks.get_bytes(start, length)?;
        if self.is_by_pages {
            let claim = check_header(&bytes, self.page_bytes_max);
            let claim = claim.map_err(|flaw| ParquetError::General(flaw.to_string()))?;
            self.claim.store(claim, Ordering::Relaxed);
        }
        Ok(bytes)
    }
}

/// Reads the header of a page.
struct Headers {
    walk: Walk,
    /// What the page may be decompressed, until that is checked, and where to leave
    /// what it claims.
    unseen: Option<(u64, Arc<AtomicU64>)>,
}

impl std::io::Read for Headers {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if let Some((max, seen)) = self.unseen.take() {
            let mut claim = check_header(self.walk.peek()?, max);
            // One with long statistics.
            for bytes in HEADER_BYTES {
                if claim != Err(Flaw::CutOff) {
                    break;
                }
                claim = check_header(&self.walk.more(bytes)?, max);
            }
            seen.store(claim.map_err(|e| std::io::Error::other(e.to_string()))?, Ordering::Relaxed);
        }
        self.walk.read(out)
    }
}

/// What a page claims to be decompressed, no more than `max`. That is the second
/// field of its header, after another number: so every writer has them, for the
/// fields of a header are written in their order, and none that is left out comes
/// before.
fn check_header(bytes: &[u8], max: u64) -> Result<u64, Flaw> {
    thrift::check_struct(bytes)?;
    const NEXT_IS_I32: u8 = 0x15;
    let mut bytes = bytes.iter().copied();
    let mut number = || -> Option<u64> {
        if bytes.next()? != NEXT_IS_I32 {
            return None;
        }
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = bytes.next()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                // Zigzag: an even one is positive.
                return (value & 1 == 0).then_some(value >> 1);
            }
        }
        None
    };
    match number().and_then(|_| number()) {
        Some(claim) if claim <= max => Ok(claim),
        Some(_) => Err(Flaw::Wrong("a page claims more bytes than its column chunk may have")),
        None => Err(Flaw::Wrong("a page does not begin with its type and its size")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use parquet::arrow::ArrowWriter;

    #[test]
    fn a_page_that_claims_more_than_its_chunk_is_refused_by_its_header() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let target = std::fs::File::create(dir.path().join("f")).unwrap();
        let mut writer = ArrowWriter::try_new(target, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let storage =
            crate::storage::open(dir.path().to_str().unwrap(), &Memory::default()).unwrap();
        let file = ParquetFile::open(&storage, "f").unwrap();
        let file = file.with_offset_index(&[0], &[0], |_, _, read| Ok(read)).unwrap();
        let index = file.metadata.metadata().page_index().unwrap();
        let locations = index.page_locations(0, 0).cloned();
        assert!(locations.is_some());

        // The dictionary's page has 8,000 bytes.
        for (page_bytes_max, is_read) in [(8_000, true), (7_999, false)] {
            for locations in [None, locations.clone()] {
                let chunk = Chunk {
                    chunks: file.chunks.clone(),
                    is_by_pages: locations.is_some(),
                    page_bytes_max,
                    claim: Arc::default(),
                };
                let column = file.row_groups()[0].column(0);
                let pages =
                    SerializedPageReader::new(Arc::new(chunk), column, 1000, locations).unwrap();
                let read = pages.collect::<Result<Vec<_>, _>>();
                assert_eq!(read.is_ok(), is_read, "{read:?}");
                if let Err(e) = read {
                    assert!(
                        e.to_string().contains("claims more bytes than its column chunk"),
                        "{e}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_claim_is_found_in_a_header_of_any_length() {
        // Zigzag: twice the number, in groups of seven bits. A zero ends the header.
        let header = [0x15, 0x00, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0x10, 0x00];
        let max = i32::MAX as u64;
        assert_eq!(check_header(&header, max), Ok(max));
        assert!(check_header(&header, max - 1).is_err());
        assert_eq!(check_header(&[0x15, 0x00, 0x15, 0x14, 0x00], 10), Ok(10));
        assert!(check_header(&[0x15, 0x00, 0x15, 0x14, 0x00], 9).is_err());
        // One that does not begin with both numbers is none.
        for other in [&[][..], &[0x00], &[0x15, 0x00, 0x00], &[0x15, 0x00, 0x15, 0xff], &[0x19]] {
            assert!(check_header(other, u64::MAX).is_err(), "{other:?}");
        }
    }
}
