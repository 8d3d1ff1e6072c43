//! One data file, read as the table's columns.
//!
//! A data file knows nothing of the table: it may be older than some columns and
//! have others that were dropped since, under physical names, in any order, of
//! narrower types, nested in layouts of ten years of writers. Here each wanted
//! column is found in the file once ("Column Mapping") and what has to become of
//! its values is decided by the types alone; a value is touched only where the
//! types differ ("Type Widening"). What cannot be read without losing anything
//! is refused when the file is opened, by an error that names both types.
//!
//! Deleted rows are left out on the way: long runs of them are not decoded, and
//! of the rest only what is live is copied. A filter makes more rows dead: those of
//! row groups and pages that cannot have what it wants, and, once its own columns
//! are decoded, each that it does not want. The other columns follow for what is
//! left.

mod convert;
mod filter;
mod resolve;
mod skipping;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions,
    new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType as ArrowType, FieldRef, Schema, SchemaRef};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::parquet_file::{Columns, DECODED_BYTES_MAX, GroupPages, ParquetFile, Piece, Take};
use crate::predicate::{AskedColumn, Question};
use crate::schema::{ColumnMappingMode, DataType, StructField, arrow_type};
use convert::{At, Live, Source};
pub(super) use filter::{Filtered, RowFilter};
use resolve::{Column, Resolver};
pub(super) use skipping::Skipped;
use skipping::{AskedLeaf, Kept};

/// A row group that is decoded into more bytes is cut, if its file says where
/// pages begin: the pieces keep every worker busy, and memory bounded.
const ROW_GROUP_BYTES_MAX: u64 = 16 << 20;
/// About how many bytes of decoded columns a piece then has. Columns of which a
/// page begins elsewhere, and dictionaries, are decoded by two pieces: twice as
/// many pieces took 5% more.
const PIECE_BYTES: u64 = 10 << 20;
/// The same where the file does not say it. Each cut then goes through a page of
/// every column, which both of its pieces decode.
const UNINDEXED_BYTES_MAX: u64 = 128 << 20;
const UNINDEXED_PIECE_BYTES: u64 = 64 << 20;
/// And no piece has more rows, whatever they cost.
const PIECE_ROWS_MAX: u64 = 16 << 20;
/// A file that claims more rows is refused: a few bytes can claim any number.
const FILE_ROWS_MAX: u64 = 1 << 40;
/// Rows are decoded at once that have so many bytes on average, and no more: a
/// batch's texts are at most 2 GiB.
const BATCH_BYTES: u64 = 64 << 20;
/// And never more rows than this.
pub(super) const BATCH_ROWS_MAX: usize = 1 << 20;
/// The rows of a larger row group are left out by page as well, where a filter does
/// not want them: then it is read where pages begin.
const FILTERED_BYTES_MAX: u64 = 1 << 20;
/// Columns of a filter are decoded so many rows at once, however small a batch.
const ASKED_ROWS_MIN: usize = 8192;
/// A shorter run of dead rows is decoded with those around it.
const SKIPPED_ROWS_MIN: usize = 4096;
/// The same where at most one row in so many is live: to begin anew is then cheaper than
/// what lies between.
const SKIPPED_ROWS_MIN_OF_FEW: usize = 64;
const FEW: usize = 32;

/// The columns wanted of every data file of a scan.
pub(super) struct Wanted {
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl Wanted {
    /// The table's columns `fields`, which files have under the names of `mode`.
    ///
    /// # Errors
    /// `CorruptLog` where a field has no physical name, or no id, and needs it.
    pub(super) fn new(fields: &[StructField], mode: ColumnMappingMode) -> Result<Wanted> {
        let columns = resolve::columns(fields, mode)?;
        Ok(Wanted { schema: schema_of(&columns), columns })
    }

    /// These columns and one more, last: a top-level column of a primitive type that
    /// is no column of the table and has this name in files that have it.
    pub(super) fn and_extra(mut self, physical_name: &str, data_type: &DataType) -> Wanted {
        self.columns.push(Column::extra(physical_name, data_type));
        self.schema = schema_of(&self.columns);
        self
    }

    /// The schema of the batches: the table's, under its logical names, with its
    /// metadata, but every field may be null. A file may lack a column that the
    /// table calls `NOT NULL`, or have nulls there; Spark reads both as nulls.
    /// Keys of maps stay what they are, a null one is an error.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

fn schema_of(columns: &[Column]) -> SchemaRef {
    let fields: Vec<FieldRef> = columns.iter().map(|column| Arc::clone(&column.field)).collect();
    Arc::new(Schema::new(fields))
}

/// One file, and how its columns become the wanted ones.
pub(super) struct DataFile {
    file: ParquetFile,
    picked: Picked,
    filter: Option<OfFile>,
    /// Of each row group, which rows may be wanted; of none where all are.
    kept: Vec<Kept>,
    skipped: Skipped,
    pieces: Vec<Piece>,
    memory: Memory,
}

/// Wanted columns of a file, and how they are decoded.
struct Picked {
    wanted: Arc<Wanted>,
    sources: Vec<Source>,
    /// None where the file has no wanted column.
    taken: Vec<(usize, Take)>,
    /// What is decoded, made when it is needed.
    plain: OnceLock<Columns>,
    /// The same with texts as views.
    views: OnceLock<Columns>,
    /// Of each row group that is cut, what its pieces have in common.
    shared: HashMap<usize, Arc<GroupPages>>,
}

/// What a filter asks of the rows of a file.
struct OfFile {
    filtered: Arc<Filtered>,
    /// What the file as a whole leaves open.
    question: Question,
    asked: Picked,
    rest: Picked,
    /// Of each row group, the pieces of which some row may be wanted still.
    open: Vec<AtomicUsize>,
}

/// Rows of a piece, decoded.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) batches: Vec<RecordBatch>,
    /// Which rows of the piece they are; `None`: all.
    pub(super) live: Option<BooleanBuffer>,
    /// How many the filter left out, by their values.
    pub(super) filtered: u64,
    /// Whether no row of the whole row group was left by the filter.
    pub(super) is_last_of_empty_group: bool,
}

impl Picked {
    fn new(file: &ParquetFile, wanted: &Arc<Wanted>) -> Result<Picked> {
        let mut resolver = Resolver::new(file);
        let sources = resolver.table(&wanted.columns)?;
        let taken = resolver.taken();
        let (plain, views) = (OnceLock::new(), OnceLock::new());
        let (wanted, shared) = (Arc::clone(wanted), HashMap::new());
        Ok(Picked { wanted, sources, taken, plain, views, shared })
    }

    fn leaves(&self) -> impl Iterator<Item = usize> + '_ {
        self.taken.iter().map(|(leaf, _)| *leaf)
    }

    /// What is decoded: with texts as views where some rows will be left out, so
    /// that a text is copied once, when it is known to stay.
    fn columns(&self, file: &ParquetFile, views: bool) -> Result<&Columns> {
        let made = if views { &self.views } else { &self.plain };
        if made.get().is_none() {
            let _ = made.set(match views {
                true => file.columns_of_views(&self.taken)?,
                false => file.columns(&self.taken)?,
            });
        }
        made.get().ok_or_else(|| Error::bug("no columns to decode"))
    }

    /// The wanted columns of `rows` rows, out of what was decoded: of its live rows.
    fn batch(
        &self,
        file: &ParquetFile,
        decoded: &[ArrayRef],
        live: Option<&Live>,
        rows: usize,
    ) -> Result<RecordBatch> {
        let columns = self.wanted.columns.iter().zip(&self.sources).map(|(column, source)| {
            source
                .live_array(decoded, live, column.field.data_type(), rows)
                .map_err(|e| file.error(format_args!("column {}: {e}", column.field.name())))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.wanted.schema), columns, &options)
            .map_err(|e| file.error(e))
    }
}

impl OfFile {
    /// `None` where the file as a whole has only wanted rows.
    fn new(file: &ParquetFile, of: FileFilter<'_>) -> Result<Option<OfFile>> {
        let filtered = Arc::clone(of.filtered);
        let filter = &filtered.filter;
        let asked = Picked::new(file, &filter.wanted)?;
        let at = |place: usize| {
            let (&first, below) = filter.places.get(place)?.as_ref()?.split_first()?;
            Some(asked.sources.get(first)?.at(below))
        };
        // What the file does not have is null in all of it.
        let is_absent = |place: usize| at(place) == Some(At::Absent);
        let columns = of.question.columns();
        let null = |place: usize| {
            let data_type = arrow_type(&columns.get(place)?.data_type);
            is_absent(place).then(|| new_null_array(&data_type, 1))
        };
        let question = of.question.given(null)?;
        if question.constant().is_some_and(|outcome| outcome.is_true()) {
            return Ok(None);
        }
        let rest = Picked::new(file, &filtered.rest)?;
        Ok(Some(OfFile { question, asked, rest, open: Vec::new(), filtered }))
    }

    /// The leaf columns of the file that tell what is asked.
    fn leaves(&self, file: &ParquetFile) -> Vec<AskedLeaf> {
        let columns = self.question.columns().iter().zip(&self.filtered.filter.places);
        let leaf = |(place, (column, path)): (usize, (&AskedColumn, &Option<Vec<usize>>))| {
            let (&first, below) = path.as_ref()?.split_first()?;
            let At::Leaf(leaf) = self.asked.sources.get(first)?.at(below) else { return None };
            let taken = self.asked.taken.binary_search_by_key(&leaf, |(leaf, _)| *leaf).ok()?;
            let (take, data_type) = (self.asked.taken[taken].1, column.data_type.clone());
            let found = file.arrow_type(leaf)?;
            let is_asked = self.question.asks(place);
            is_asked.then_some(AskedLeaf { place, leaf, take, found, data_type })
        };
        columns.enumerate().filter_map(leaf).collect()
    }
}

/// A filter, and what is left of its question in a file.
pub(super) struct FileFilter<'a> {
    pub(super) filtered: &'a Arc<Filtered>,
    pub(super) question: Question,
}

impl DataFile {
    /// Finds the wanted columns in a file, and which of its rows a filter may want.
    ///
    /// # Errors
    /// `CorruptLog`, naming the file, the column and both types, where a column
    /// cannot be read as the table's type without losing anything, and on a file
    /// without field ids in a table that maps by id; `LimitExceeded` on a file that
    /// claims absurdly many rows.
    pub(super) fn new(
        file: ParquetFile,
        wanted: &Arc<Wanted>,
        filter: Option<FileFilter<'_>>,
        memory: &Memory,
    ) -> Result<DataFile> {
        if file.rows() > FILE_ROWS_MAX {
            return Err(Error::limit(format!("{}: claims {} rows", file.name(), file.rows())));
        }
        let picked = Picked::new(&file, wanted)?;
        let groups = file.row_groups().len();
        let mut skipped = Skipped::default();
        if filter.is_some() {
            skipped.row_groups = groups as u64;
        }
        let filter = filter.map(|filter| OfFile::new(&file, filter)).transpose()?.flatten();
        let mut kept = Vec::new();
        if let Some(filter) = &filter {
            (kept, skipped) = skipping::kept(&file, &filter.question, &filter.leaves(&file))?;
        }
        let filter = filter.filter(|filter| !filter.filtered.filter.keeps_units);
        let mut leaves: Vec<usize> = picked.leaves().collect();
        leaves.extend(filter.iter().flat_map(|filter| filter.asked.leaves()));
        leaves.sort_unstable();
        leaves.dedup();
        // Where rows are left out as well: pages without any need not be read.
        let is_indexed = |i: usize| match kept.get(i) {
            Some(Kept::Runs(runs)) if runs.is_empty() => false,
            Some(Kept::Runs(_)) => true,
            Some(Kept::All) if filter.is_some() => {
                file.decoded_bytes_of(i, &leaves) > FILTERED_BYTES_MAX
            }
            _ => file.decoded_bytes_of(i, &leaves) > ROW_GROUP_BYTES_MAX,
        };
        let indexed: Vec<usize> = (0..groups).filter(|&i| is_indexed(i)).collect();
        let file = file.with_offset_index(&indexed, &leaves, |_, _, read| Ok(read))?;
        let mut data = DataFile {
            file,
            picked,
            filter,
            kept,
            skipped,
            pieces: Vec::new(),
            memory: memory.clone(),
        };
        data.cut(&leaves);
        Ok(data)
    }

    pub(super) fn file(&self) -> &ParquetFile {
        &self.file
    }

    pub(super) fn skipped(&self) -> Skipped {
        self.skipped
    }

    /// The pieces that the file is decoded in, in row order: its row groups, and
    /// parts of large ones, without those of which no row may be wanted. The cut
    /// depends on the file, the wanted columns and the filter alone.
    pub(super) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    fn cut(&mut self, leaves: &[usize]) {
        let is_repeated = leaves.iter().any(|&leaf| self.file.is_repeated(leaf));
        let mut pieces = Vec::new();
        for i in 0..self.file.row_groups().len() {
            let bytes = self.file.decoded_bytes_of(i, leaves);
            let count = if bytes > ROW_GROUP_BYTES_MAX { bytes.div_ceil(PIECE_BYTES) } else { 1 };
            for piece in self.file.cut(i, leaves, bytes, count) {
                // What is not cut where pages begin can be cut anywhere, but for lists:
                // which of its pages a row is in is known when all are decoded.
                let by_bytes = match piece.bytes {
                    0..=UNINDEXED_BYTES_MAX => 1,
                    bytes => bytes.div_ceil(UNINDEXED_PIECE_BYTES),
                };
                let parts = match is_repeated {
                    true => 1,
                    false => by_bytes.max((piece.rows.len() as u64).div_ceil(PIECE_ROWS_MAX)),
                };
                let parts = piece.in_parts(parts).into_iter();
                pieces.extend(parts.filter_map(|piece| self.without_ends(piece)));
            }
        }
        self.picked.shared = shared_of(&pieces);
        if let Some(filter) = &mut self.filter {
            filter.asked.shared = shared_of(&pieces);
            filter.rest.shared = shared_of(&pieces);
            let mut open = vec![0; self.file.row_groups().len()];
            pieces.iter().for_each(|piece| open[piece.row_group] += 1);
            filter.open = open.into_iter().map(AtomicUsize::new).collect();
        }
        self.pieces = pieces;
    }

    /// The piece from the first row of it that may be wanted to the last, if there
    /// is one.
    fn without_ends(&self, piece: Piece) -> Option<Piece> {
        let kept = self.kept_rows(&piece);
        let rows = kept.first()?.start..kept.last()?.end;
        let count: usize = kept.iter().map(ExactSizeIterator::len).sum();
        let bytes = u128::from(piece.bytes) * count as u128 / piece.rows.len().max(1) as u128;
        Some(Piece { rows, bytes: bytes as u64, ..piece })
    }

    /// The rows of a piece that may be wanted, as those of its row group are counted.
    pub(super) fn kept_rows(&self, piece: &Piece) -> Vec<Range<usize>> {
        let all = &piece.rows;
        match self.kept.get(piece.row_group) {
            Some(Kept::Runs(runs)) => {
                let first = runs.partition_point(|run| run.end <= all.start);
                let within = runs[first..].iter().take_while(|run| run.start < all.end);
                within.map(|run| run.start.max(all.start)..run.end.min(all.end)).collect()
            }
            _ => vec![all.clone()],
        }
    }

    /// Whether rows of a piece may be left out that are not known to be yet.
    pub(super) fn is_filtered(&self, piece: &Piece) -> bool {
        self.filter.is_some() && self.kept.get(piece.row_group) != Some(&Kept::Wanted)
    }

    /// The wanted columns of the wanted rows of a piece, in batches of at most
    /// `batch_rows` rows. `live` has a bit for each row of the piece, set where the
    /// row is to stay; without it, all stay.
    pub(super) fn read(
        &self,
        piece: &Piece,
        live: Option<&BooleanBuffer>,
        batch_rows: usize,
    ) -> Result<Read> {
        let kept = self.kept_mask(piece);
        let live = match (live, kept) {
            (Some(live), Some(_)) if live.len() != piece.rows.len() => {
                return Err(Error::bug("a mask is not of its piece's length"));
            }
            (Some(live), Some(kept)) => Some(live & &kept),
            (None, kept) => kept,
            (live, None) => live.cloned(),
        };
        let batch_rows = batch_rows.clamp(1, BATCH_ROWS_MAX);
        match self.filter.as_ref().filter(|_| self.is_filtered(piece)) {
            Some(filter) => self.read_filtered(filter, piece, live, batch_rows),
            None => Ok(Read {
                batches: self.read_picked(&self.picked, piece, live.as_ref(), batch_rows)?,
                live,
                filtered: 0,
                is_last_of_empty_group: false,
            }),
        }
    }

    /// True for each row of a piece that may be wanted; `None` where all may.
    fn kept_mask(&self, piece: &Piece) -> Option<BooleanBuffer> {
        let kept = self.kept_rows(piece);
        if matches!(&kept[..], [run] if *run == piece.rows) {
            return None;
        }
        let mut mask = BooleanBufferBuilder::new(piece.rows.len());
        for run in kept {
            mask.append_n(run.start - piece.rows.start - mask.len(), false);
            mask.append_n(run.len(), true);
        }
        mask.append_n(piece.rows.len() - mask.len(), false);
        Some(mask.finish())
    }

    /// The same where rows are asked: first the filter's columns, then the others of
    /// what is left.
    fn read_filtered(
        &self,
        filter: &OfFile,
        piece: &Piece,
        live: Option<BooleanBuffer>,
        batch_rows: usize,
    ) -> Result<Read> {
        let OfFile { filtered, question, asked, rest, open } = filter;
        let rows = piece.rows.len();
        let live_rows = live.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
        let at_once = batch_rows.max(ASKED_ROWS_MIN);
        let mut wanted = BooleanBufferBuilder::new(live_rows);
        let mut parts = VecDeque::new();
        let mut wanted_rows = 0;
        for batch in self.read_picked(asked, piece, live.as_ref(), at_once)? {
            let mask = filtered.mask(question, &batch)?;
            let count = mask.count_set_bits();
            wanted.append_buffer(&mask);
            wanted_rows += count;
            let delivered = filtered.of_asked(&batch)?;
            match count {
                0 => {}
                _ if count == batch.num_rows() => parts.push_back(delivered),
                _ => parts.push_back(
                    filter_record_batch(&delivered, &BooleanArray::new(mask, None))
                        .map_err(|e| self.file.error(e))?,
                ),
            }
        }
        if wanted.len() != live_rows {
            return Err(Error::bug("a filter of fewer rows than there are"));
        }
        let live = match live {
            live if wanted_rows == live_rows => live,
            None => Some(wanted.finish()),
            Some(live) => Some(within(&live, &wanted.finish())),
        };
        let filtered_rows = (live_rows - wanted_rows) as u64;
        if wanted_rows == 0 {
            if let Some(shared) = rest.shared.get(&piece.row_group) {
                shared.piece_is_decoded();
            }
            let open = open.get(piece.row_group);
            let is_last = open.is_some_and(|open| open.fetch_sub(1, Ordering::Relaxed) == 1);
            let filtered = filtered_rows;
            let is_last_of_empty_group = is_last;
            return Ok(Read { batches: Vec::new(), live, filtered, is_last_of_empty_group });
        }
        let others = self.read_picked(rest, piece, live.as_ref(), batch_rows)?;
        let batches = filtered.joined(parts, others, &self.picked.wanted.schema);
        let batches = batches.map_err(|e| self.file.error(e))?;
        Ok(Read { batches, live, filtered: filtered_rows, is_last_of_empty_group: false })
    }

    /// Picked columns of the live rows of a piece.
    fn read_picked(
        &self,
        picked: &Picked,
        piece: &Piece,
        live: Option<&BooleanBuffer>,
        batch_rows: usize,
    ) -> Result<Vec<RecordBatch>> {
        let rows = piece.rows.len();
        let live_rows = live.map_or(rows, BooleanBuffer::count_set_bits);
        if live.is_some_and(|live| live.len() != rows) {
            return Err(Error::bug("a mask is not of its piece's length"));
        }
        if live_rows == 0 {
            return Ok(Vec::new());
        }
        if picked.taken.is_empty() {
            let begins = (0..live_rows).step_by(batch_rows);
            return begins
                .map(|at| picked.batch(&self.file, &[], None, batch_rows.min(live_rows - at)))
                .collect();
        }
        let live = live.filter(|_| live_rows < rows);
        let kept = live.map_or_else(|| std::iter::once(0..rows).collect(), long_runs);
        let decoded_rows: usize = kept.iter().map(ExactSizeIterator::len).sum();
        // Few of the decoded rows may be live, and a batch should not be tiny.
        let at_once = batch_rows.saturating_mul((decoded_rows / live_rows).max(1));
        let leaves: Vec<usize> = picked.leaves().collect();
        let group_rows = self.file.row_groups()[piece.row_group].num_rows();
        let group_rows = u64::try_from(group_rows).unwrap_or(0).max(1);
        let group_bytes = self.file.decoded_bytes_of(piece.row_group, &leaves);
        let row_bytes = group_bytes.div_ceil(group_rows).max(1);
        let at_once = at_once.min((BATCH_BYTES / row_bytes).max(1) as usize).min(BATCH_ROWS_MAX);

        let mask = live.map(|live| kept_bits(live, &kept));
        // Views are worth it where rows are left out. Where they are all that fits into
        // memory shows when the dictionaries are read; few rows at once is for what
        // cannot be a view.
        let ways = [(mask.is_some(), at_once), (true, at_once), (true, (at_once / 256).max(1))];
        for (views, at_once) in ways {
            let how = How { views, at_once, batch_rows };
            if let Some(batches) = self.decode(picked, piece, &kept, mask.clone(), how)? {
                return Ok(batches);
            }
        }
        Err(self.too_large(piece))
    }

    /// The rows of a piece that are set in `mask`, which is of those `kept`; `None`
    /// where they have to be decoded in another way.
    fn decode(
        &self,
        picked: &Picked,
        piece: &Piece,
        kept: &[Range<usize>],
        mut mask: Option<BooleanBuffer>,
        how: How,
    ) -> Result<Option<Vec<RecordBatch>>> {
        let shared = picked.shared.get(&piece.row_group);
        let mut decoded = self.file.batches_of(
            picked.columns(&self.file, how.views)?,
            piece.row_group,
            self.selection(piece, kept),
            how.at_once,
            &self.memory,
            shared,
        )?;
        let mut batches = Vec::new();
        let mut bytes = 0;
        while let Some(next) = decoded.next() {
            if next.is_err() && decoded.want_views() {
                return Ok(None);
            }
            let next = next?;
            let rows = next.num_rows();
            let of_batch = mask.as_mut().map(|mask| {
                let of_batch = mask.slice(0, rows);
                *mask = mask.slice(rows, mask.len() - rows);
                of_batch
            });
            let texts = |batch: &RecordBatch| {
                batch.columns().iter().map(text_bytes).fold(0, u64::saturating_add)
            };
            if (bytes as u64).saturating_add(texts(&next)) > DECODED_BYTES_MAX {
                return Err(self.too_large(piece));
            }
            // Texts become the batch's own: no more at once than a batch should have.
            let mut parts = vec![(next, of_batch)];
            while let Some((part, mask)) = parts.pop() {
                let rows = part.num_rows();
                let live_rows = mask.as_ref().map_or(rows, BooleanBuffer::count_set_bits);
                if live_rows == 0 {
                    continue;
                }
                if rows > 1 && texts(&part) > BATCH_BYTES {
                    // The second half waits behind the first. A copy, for what is nested
                    // has all its texts in a slice still.
                    for half in [rows / 2..rows, 0..rows / 2] {
                        let of_half = (0..rows).map(|row| Some(half.contains(&row))).collect();
                        let copied = filter_record_batch(&part, &of_half);
                        let copied = copied.map_err(|e| self.file.error(e))?;
                        let mask = mask.as_ref().map(|mask| mask.slice(half.start, half.len()));
                        parts.push((copied, mask));
                    }
                    continue;
                }
                let live = mask.filter(|_| live_rows < rows).map(Live::new);
                let batch = picked.batch(&self.file, part.columns(), live.as_ref(), live_rows)?;
                bytes += batch.get_array_memory_size();
                let begins = (0..live_rows).step_by(how.batch_rows);
                batches
                    .extend(begins.map(|at| batch.slice(at, how.batch_rows.min(live_rows - at))));
            }
            if bytes as u64 > DECODED_BYTES_MAX {
                return Err(self.too_large(piece));
            }
        }
        if let Some(shared) = shared {
            shared.piece_is_decoded();
        }
        Ok(Some(batches))
    }

    fn too_large(&self, piece: &Piece) -> Error {
        Error::limit(format!(
            "{}: some rows of row group {} have more than {DECODED_BYTES_MAX} bytes",
            self.file.name(),
            piece.row_group
        ))
    }

    /// The rows `kept` of a piece, `None` where that is a whole row group.
    fn selection(&self, piece: &Piece, kept: &[Range<usize>]) -> Option<RowSelection> {
        let group_rows = self.file.row_groups()[piece.row_group].num_rows();
        if matches!(kept, [run] if i64::try_from(run.len()) == Ok(group_rows)) {
            return None;
        }
        let mut selectors = Vec::with_capacity(kept.len() * 2);
        let mut at = 0;
        for run in kept {
            let begin = piece.rows.start + run.start;
            selectors.push(RowSelector::skip(begin - at));
            selectors.push(RowSelector::select(run.len()));
            at = begin + run.len();
        }
        Some(RowSelection::from(selectors))
    }
}

/// How a piece is decoded.
#[derive(Clone, Copy)]
struct How {
    /// Texts as views.
    views: bool,
    /// So many rows at once, dead ones counted.
    at_once: usize,
    /// So many in a batch.
    batch_rows: usize,
}

/// The bytes of the texts that are there as views, each as often as it is there.
fn text_bytes(array: &ArrayRef) -> u64 {
    // A view's length is in its low half.
    let lengths = |views: &[u128]| views.iter().map(|view| u64::from(*view as u32)).sum();
    match array.data_type() {
        ArrowType::Utf8View => lengths(array.as_string_view().views()),
        ArrowType::BinaryView => lengths(array.as_binary_view().views()),
        ArrowType::Struct(_) => array.as_struct().columns().iter().map(text_bytes).sum(),
        ArrowType::List(_) => text_bytes(array.as_list::<i32>().values()),
        ArrowType::Map(..) => {
            let map = array.as_map();
            text_bytes(map.keys()) + text_bytes(map.values())
        }
        _ => 0,
    }
}

/// What the pieces of a row group that is cut have in common, by row group.
fn shared_of(pieces: &[Piece]) -> HashMap<usize, Arc<GroupPages>> {
    let groups = pieces.chunk_by(|one, next| one.row_group == next.row_group);
    let cut = groups.filter(|pieces| pieces.len() > 1);
    cut.map(|pieces| {
        let cuts = pieces.iter().skip(1).map(|piece| piece.rows.start).collect();
        (pieces[0].row_group, Arc::new(GroupPages::new(cuts)))
    })
    .collect()
}

/// `live` with those of its set bits alone that are set in `wanted`, which has one
/// for each of them.
fn within(live: &BooleanBuffer, wanted: &BooleanBuffer) -> BooleanBuffer {
    let mut both = BooleanBufferBuilder::new(live.len());
    let mut at = 0;
    for (begin, end) in live.set_slices() {
        both.append_n(begin - both.len(), false);
        both.append_buffer(&wanted.slice(at, end - begin));
        at += end - begin;
    }
    both.append_n(live.len() - both.len(), false);
    both.finish()
}

/// The runs of rows to decode: all but long runs of dead ones.
fn long_runs(live: &BooleanBuffer) -> Vec<Range<usize>> {
    let skipped_min = match live.count_set_bits().saturating_mul(FEW) <= live.len() {
        true => SKIPPED_ROWS_MIN_OF_FEW,
        false => SKIPPED_ROWS_MIN,
    };
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (begin, end) in live.set_slices() {
        match runs.last_mut() {
            Some(run) if begin - run.end < skipped_min => run.end = end,
            _ => runs.push(begin..end),
        }
    }
    // The ends of a piece cost nothing to decode if they are short as well.
    if let Some(first) = runs.first_mut().filter(|first| first.start < skipped_min) {
        first.start = 0;
    }
    if let Some(last) = runs.last_mut().filter(|last| live.len() - last.end < skipped_min) {
        last.end = live.len();
    }
    runs
}

fn kept_bits(live: &BooleanBuffer, kept: &[Range<usize>]) -> BooleanBuffer {
    if let [run] = kept {
        return live.slice(run.start, run.len());
    }
    let mut bits = BooleanBufferBuilder::new(kept.iter().map(ExactSizeIterator::len).sum());
    kept.iter().for_each(|run| bits.append_buffer(&live.slice(run.start, run.len())));
    bits.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ArrayType, MapType, StructType};
    use crate::storage::{Metered, Storage};
    use arrow::array::*;
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::compute::{concat_batches, filter_record_batch};
    use arrow::datatypes::{DataType as ArrowType, Field, Int32Type};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_writer::ArrowWriterOptions;
    use parquet::file::properties::WriterProperties;
    use serde_json::json;

    /// A file that was written, in a directory of its own.
    struct Written {
        _dir: tempfile::TempDir,
        storage: Arc<Metered>,
    }

    impl Written {
        fn bytes(bytes: &[u8]) -> Written {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("f"), bytes).unwrap();
            let storage =
                crate::storage::open(dir.path().to_str().unwrap(), &Memory::default()).unwrap();
            Written { _dir: dir, storage: Arc::new(Metered::new(storage)) }
        }

        fn with(batch: &RecordBatch, properties: WriterProperties) -> Written {
            let mut bytes = Vec::new();
            let options = ArrowWriterOptions::new().with_properties(properties);
            let mut writer =
                ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options).unwrap();
            writer.write(batch).unwrap();
            writer.close().unwrap();
            Written::bytes(&bytes)
        }

        fn new(batch: &RecordBatch) -> Written {
            Written::with(batch, WriterProperties::default())
        }

        fn open(&self, wanted: Wanted) -> Result<DataFile> {
            let storage: Arc<dyn Storage> = Arc::clone(&self.storage) as _;
            DataFile::new(
                ParquetFile::open(&storage, "f").unwrap(),
                &Arc::new(wanted),
                None,
                &Memory::default(),
            )
        }

        /// The whole file as the columns `fields`.
        fn read(&self, fields: &[StructField], mode: ColumnMappingMode) -> Result<RecordBatch> {
            let wanted = Wanted::new(fields, mode).unwrap();
            let schema = Arc::clone(wanted.schema());
            let file = self.open(wanted)?;
            let mut batches = Vec::new();
            for piece in file.pieces() {
                batches.extend(file.read(piece, None, 1000)?.batches);
            }
            assert!(batches.iter().all(|batch| batch.schema() == schema));
            Ok(concat_batches(&schema, &batches).unwrap())
        }

        /// The values of a column, as text.
        fn values(&self, field: StructField) -> Vec<String> {
            let batch = self.read(&[field], ColumnMappingMode::None).unwrap();
            texts(batch.column(0))
        }

        fn error(&self, field: StructField) -> Error {
            let error = self.read(&[field], ColumnMappingMode::None).unwrap_err();
            assert!(error.message().starts_with("f: "), "{error}");
            error
        }
    }

    fn texts(array: &ArrayRef) -> Vec<String> {
        use arrow::util::display::{ArrayFormatter, FormatOptions};
        // Names of zones need their database.
        let zoned = matches!(array.data_type(), ArrowType::Timestamp(_, Some(_)));
        if zoned {
            let times = array.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
            let local: ArrayRef = Arc::new(times.clone().with_timezone_opt(None::<&str>));
            return texts(&local).iter().map(|time| format!("{time}Z")).collect();
        }
        let options = FormatOptions::new().with_null("null");
        let formatter = ArrayFormatter::try_new(array, &options).unwrap();
        (0..array.len()).map(|i| formatter.value(i).to_string()).collect()
    }

    fn field(name: &str, data_type: DataType) -> StructField {
        StructField::new(name, data_type, true)
    }

    fn mapped(name: &str, physical: &str, id: i64, data_type: DataType) -> StructField {
        let mut field = field(name, data_type);
        field.metadata.insert("delta.columnMapping.id".into(), json!(id));
        field.metadata.insert("delta.columnMapping.physicalName".into(), json!(physical));
        field
    }

    fn structure(fields: impl IntoIterator<Item = StructField>) -> DataType {
        DataType::Struct(StructType { fields: fields.into_iter().collect() })
    }

    fn array_of(element_type: DataType) -> DataType {
        DataType::Array(Box::new(ArrayType { element_type, contains_null: true }))
    }

    fn map_of(key_type: DataType, value_type: DataType) -> DataType {
        DataType::Map(Box::new(MapType { key_type, value_type, value_contains_null: true }))
    }

    fn ints(values: impl IntoIterator<Item = i32>) -> ArrayRef {
        Arc::new(Int32Array::from_iter_values(values))
    }

    fn strings(values: &[&str]) -> ArrayRef {
        Arc::new(StringArray::from(values.to_vec()))
    }

    fn batch<const N: usize>(columns: [(&str, ArrayRef); N]) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, a)| (name, a, true))).unwrap()
    }

    /// A struct that is null in its second row.
    fn half_null(fields: &[(&str, ArrayRef)]) -> ArrayRef {
        let rows = fields[0].1.len();
        let nulls = NullBuffer::from_iter((0..rows).map(|row| row != 1));
        let (fields, arrays): (Vec<Field>, Vec<ArrayRef>) = fields
            .iter()
            .map(|(name, a)| (Field::new(*name, a.data_type().clone(), true), Arc::clone(a)))
            .unzip();
        Arc::new(StructArray::new(fields.into(), arrays, Some(nulls)))
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_a_missing_one_is_null() {
        let file = Written::new(&batch([("b", strings(&["x", "y"])), ("a", ints([1, 2]))]));
        let missing = StructField::new("new", DataType::String, false);
        let fields = [field("a", DataType::Integer), missing, field("b", DataType::String)];
        let read = file.read(&fields, ColumnMappingMode::None).unwrap();
        assert_eq!(texts(read.column(0)), ["1", "2"]);
        assert_eq!(texts(read.column(1)), ["null", "null"]);
        assert_eq!(texts(read.column(2)), ["x", "y"]);
        // A column that must not be null is missing, so its field may be.
        assert!(read.schema().field(1).is_nullable());
    }

    #[test]
    fn a_name_in_another_case_is_found_and_two_of_them_are_an_error() {
        let file = Written::new(&batch([("Aa", ints([1])), ("b", ints([2])), ("B", ints([3]))]));
        assert_eq!(file.values(field("aA", DataType::Integer)), ["1"]);
        assert_eq!(file.values(field("b", DataType::Integer)), ["2"]);
        assert_eq!(file.values(field("B", DataType::Integer)), ["3"]);

        let file = Written::new(&batch([("bB", ints([2])), ("Bb", ints([3]))]));
        let error = file.error(field("bb", DataType::Integer));
        assert!(error.message().contains("both bB and Bb"), "{error}");
    }

    #[test]
    fn mapped_columns_are_found_by_physical_name_at_every_level() {
        let inner = half_null(&[("p2", ints([1, 2, 3])), ("a", ints([7, 8, 9]))]);
        let file = Written::new(&batch([("p1", inner), ("s", ints([4, 5, 6]))]));
        let a = mapped("a", "p2", 2, DataType::Integer);
        let fields = [mapped("s", "p1", 1, structure([a]))];
        let read = file.read(&fields, ColumnMappingMode::Name).unwrap();
        assert_eq!(texts(read.column(0)), ["{a: 1}", "null", "{a: 3}"]);
    }

    /// A file with the field ids `ids` of two columns, a struct of one and another.
    fn with_ids(ids: [Option<i32>; 3]) -> Written {
        let tag = |field: Field, id: Option<i32>| match id {
            Some(id) => field.with_metadata([("PARQUET:field_id", id.to_string())]),
            None => field,
        };
        let inner = tag(Field::new("x", ArrowType::Int32, true), ids[1]);
        let inner = StructArray::new(vec![inner].into(), vec![ints([1, 2])], None);
        let schema = Schema::new(vec![
            tag(Field::new("s", inner.data_type().clone(), true), ids[0]),
            tag(Field::new("y", ArrowType::Int32, true), ids[2]),
        ]);
        let columns: Vec<ArrayRef> = vec![Arc::new(inner), ints([3, 4])];
        Written::new(&RecordBatch::try_new(Arc::new(schema), columns).unwrap())
    }

    #[test]
    fn columns_mapped_by_id_are_found_by_that_alone() {
        let fields = [
            mapped("y", "s", 11, structure([mapped("z", "y", 12, DataType::Integer)])),
            mapped("gone", "y", 14, DataType::Integer),
            mapped("x", "x", 13, DataType::Integer),
        ];
        let file = with_ids([Some(11), Some(12), Some(13)]);
        let read = file.read(&fields, ColumnMappingMode::Id).unwrap();
        assert_eq!(texts(read.column(0)), ["{z: 1}", "{z: 2}"]);
        assert_eq!(texts(read.column(1)), ["null", "null"]);
        assert_eq!(texts(read.column(2)), ["3", "4"]);

        let twice = with_ids([Some(11), Some(12), Some(11)]);
        let error = twice.read(&fields, ColumnMappingMode::Id).unwrap_err();
        assert!(error.message().contains("two columns of the field id 11"), "{error}");
        let without = with_ids([None, None, None]);
        let error = without.read(&fields, ColumnMappingMode::Id).unwrap_err();
        assert!(error.message().contains("no field ids"), "{error}");
        assert!(Wanted::new(&[field("a", DataType::Long)], ColumnMappingMode::Id).is_err());
    }

    #[test]
    fn an_extra_column_is_found_by_name_or_is_null() {
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        let file = Written::new(&batch([("_row_id", ids), ("a", ints([1, 2]))]));
        let wanted = |mode| {
            let a = mapped("a", "a", 1, DataType::Integer);
            Wanted::new(&[a], mode)
                .unwrap()
                .and_extra("_version", &DataType::Long)
                .and_extra("_row_id", &DataType::Long)
        };
        let file = file.open(wanted(ColumnMappingMode::None)).unwrap();
        let read = file.read(&file.pieces()[0], None, 10).unwrap().batches;
        assert_eq!(texts(read[0].column(1)), ["null", "null"]);
        assert_eq!(texts(read[0].column(2)), ["7", "null"]);
    }

    #[test]
    fn a_struct_none_of_whose_fields_is_there_is_null_where_it_was() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), Some(2)]),
            None,
            Some(vec![]),
        ]);
        let element = half_null(&[("old", ints([1, 2, 3]))]);
        let listed = ListArray::new(
            Arc::new(Field::new("element", element.data_type().clone(), true)),
            OffsetBuffer::from_lengths([2, 0, 1]),
            element,
            None,
        );
        let file = Written::new(&batch([
            ("s", half_null(&[("l", Arc::new(lists) as ArrayRef), ("old", ints([1, 2, 3]))])),
            ("l", Arc::new(listed)),
        ]));
        let new = || structure([field("new", DataType::Long)]);
        let nothing = ["{new: null}", "null", "{new: null}"];
        assert_eq!(file.values(field("s", new())), nothing);
        let listed = ["[{new: null}, null]", "[]", "[{new: null}]"];
        assert_eq!(file.values(field("l", array_of(new()))), listed);
    }

    #[test]
    fn keys_and_values_of_maps_are_resolved_like_columns() {
        let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
        maps.keys().append_value("k");
        maps.values().append_value(1);
        maps.append(true).unwrap();
        maps.append(false).unwrap();
        maps.keys().append_value("l");
        maps.values().append_null();
        maps.append(true).unwrap();
        let file = Written::new(&batch([("m", Arc::new(maps.finish()))]));
        let map = map_of(DataType::String, DataType::Long);
        assert_eq!(file.values(field("m", map)), ["{k: 1}", "null", "{l: null}"]);
        let void = map_of(DataType::String, DataType::Void);
        assert_eq!(file.values(field("m", void)), ["{k: null}", "null", "{l: null}"]);
        let wrong = field("m", map_of(DataType::String, DataType::Byte));
        assert_eq!(file.values(wrong), ["{k: 1}", "null", "{l: null}"]);
        let error = file.error(field("m", map_of(DataType::Date, DataType::Long)));
        assert!(error.message().contains("column m.key: Utf8"), "{error}");
    }

    #[test]
    fn where_no_column_is_wanted_or_there_rows_are_counted_and_nothing_is_read() {
        let file = Written::new(&batch([("a", ints(0..2500))]));
        for fields in [vec![], vec![field("new", DataType::Long)], vec![field("a", DataType::Void)]]
        {
            let opened = file.open(Wanted::new(&fields, ColumnMappingMode::None).unwrap()).unwrap();
            let before = file.storage.bytes_read();
            let piece = &opened.pieces()[0];
            let rows = |live: Option<&BooleanBuffer>| {
                let batches = opened.read(piece, live, 1000).unwrap().batches;
                batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
            };
            assert_eq!(rows(None), [1000, 1000, 500]);
            let live = BooleanBuffer::collect_bool(2500, |i| i < 1200);
            assert_eq!(rows(Some(&live)), [1000, 200]);
            assert_eq!(rows(Some(&BooleanBuffer::new_unset(2500))), [0; 0]);
            assert_eq!(file.storage.bytes_read(), before);
        }
    }

    #[test]
    fn only_the_chunks_of_wanted_columns_are_read() {
        // Neither is in the end of the file, which is read for its footer.
        let texts = (0..10_000).map(|i| format!("{:x}", i * 0x9e37_79b9_i64));
        let wide: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
        let plain = WriterProperties::builder().set_dictionary_enabled(false).build();
        let columns = [("first", Arc::clone(&wide)), ("a", ints(0..10_000)), ("last", wide)];
        let file = Written::with(&batch(columns), plain);
        let wanted = Wanted::new(&[field("a", DataType::Integer)], ColumnMappingMode::None);
        let opened = file.open(wanted.unwrap()).unwrap();
        let before = file.storage.bytes_read();
        opened.read(&opened.pieces()[0], None, 1000).unwrap();
        let read = file.storage.bytes_read() - before;
        assert!((40_000..42_000).contains(&read), "{read} bytes");
    }

    /// A file of every kind of column, with small pages, and its columns.
    fn mixed(rows: usize, properties: WriterProperties) -> (Written, Vec<StructField>) {
        let texts: StringArray = (0..rows)
            .map(|i| (i % 7 > 0).then(|| format!("a text of more than twelve bytes {}", i % 100)))
            .collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..rows)
                .map(|i| (i % 5 > 0).then(move || (0..i % 4).map(move |j| Some((i + j) as i32)))),
        );
        let bytes = BinaryArray::from_iter((0..rows).map(|i| Some(i.to_be_bytes())));
        let written = Written::with(
            &batch([
                ("i", ints((0..rows).map(|i| i as i32))),
                ("t", Arc::new(texts.clone())),
                ("b", Arc::new(bytes)),
                ("l", Arc::new(lists)),
                ("s", half_null(&[("t", Arc::new(texts)), ("i", ints(0..rows as i32))])),
            ]),
            properties,
        );
        let inner = structure([field("t", DataType::String), field("i", DataType::Long)]);
        let fields = vec![
            field("i", DataType::Integer),
            field("t", DataType::String),
            field("b", DataType::Binary),
            field("l", array_of(DataType::Integer)),
            field("s", inner),
        ];
        (written, fields)
    }

    fn small_pages() -> WriterProperties {
        WriterProperties::builder()
            .set_data_page_row_count_limit(500)
            .set_write_batch_size(100)
            .set_max_row_group_row_count(Some(20_000))
            .build()
    }

    #[test]
    fn what_is_live_of_a_mask_is_what_a_filter_of_all_rows_leaves() {
        let rows = 30_000;
        let (file, fields) = mixed(rows, small_pages());
        let whole = file.read(&fields, ColumnMappingMode::None).unwrap();
        let masks: [&dyn Fn(usize) -> bool; 7] = [
            &|i| i % 10 != 3,
            &|i| i % 1000 == 7,
            &|i| !(9_000..29_990).contains(&i),
            &|i| (12_345..12_350).contains(&i) || i == 25_000,
            &|i| i > 100 && i % 3 == 0,
            &|i| i != 20_000,
            &|_| false,
        ];
        for (columns, batch_rows) in
            [(&fields[..], 1000), (&fields[..3], 333), (&fields[3..], 8192)]
        {
            let wanted = Wanted::new(columns, ColumnMappingMode::None).unwrap();
            let schema = Arc::clone(wanted.schema());
            let file = file.open(wanted).unwrap();
            for (i, mask) in masks.iter().enumerate() {
                let mut read = Vec::new();
                let mut first = 0;
                for piece in file.pieces() {
                    let live = BooleanBuffer::collect_bool(piece.rows.len(), |i| mask(first + i));
                    first += live.len();
                    read.extend(file.read(piece, Some(&live), batch_rows).unwrap().batches);
                }
                assert!(read.iter().all(|b| (1..=batch_rows).contains(&b.num_rows())));
                let all = BooleanArray::from_iter((0..rows).map(|i| Some(mask(i))));
                let names: Vec<usize> = columns
                    .iter()
                    .map(|field| whole.schema().index_of(&field.name).unwrap())
                    .collect();
                let expected = filter_record_batch(&whole.project(&names).unwrap(), &all).unwrap();
                assert_eq!(concat_batches(&schema, &read).unwrap(), expected, "mask {i}");
            }
        }
    }

    #[test]
    fn the_parts_of_a_row_group_make_up_the_whole() {
        for indexed in [true, false] {
            let properties = small_pages();
            let properties = properties.into_builder().set_offset_index_disabled(!indexed).build();
            let (file, fields) = mixed(20_000, properties);
            let whole = file.read(&fields, ColumnMappingMode::None).unwrap();
            let wanted = Wanted::new(&fields, ColumnMappingMode::None).unwrap();
            let schema = Arc::clone(wanted.schema());
            let mut file = file.open(wanted).unwrap();
            let leaves: Vec<usize> = file.picked.leaves().collect();
            file.file = file
                .file
                .with_offset_index(&[0], &leaves, |_, _, read| {
                    assert_eq!(read.is_some(), indexed);
                    Ok(read)
                })
                .unwrap();
            for count in [1, 2, 7] {
                let pieces = match indexed {
                    true => file.file.cut(0, &leaves, 1 << 20, count),
                    false => file.pieces()[0].clone().in_parts(count),
                };
                assert_eq!(pieces.len(), count as usize);
                // In any order, for workers are; what pieces share makes no difference.
                let order = [|i, _| i, |i, n| n - 1 - i, |i, n| (i * 3 + 2) % n];
                for order in order {
                    file.picked.shared = shared_of(&pieces);
                    let mut read: Vec<_> = (0..pieces.len())
                        .map(|i| order(i, pieces.len()))
                        .map(|i| (i, file.read(&pieces[i], None, 700).unwrap().batches))
                        .collect();
                    read.sort_by_key(|(i, _)| *i);
                    let read: Vec<RecordBatch> = read.into_iter().flat_map(|(_, b)| b).collect();
                    assert_eq!(concat_batches(&schema, &read).unwrap(), whole);
                    assert!(file.picked.shared.values().all(|shared| shared.is_empty()));
                }
            }
        }
    }

    #[test]
    fn pages_without_live_rows_are_not_read() {
        let plain = small_pages().into_builder().set_dictionary_enabled(false).build();
        let file = Written::with(&batch([("i", ints(0..20_000))]), plain);
        let wanted = Wanted::new(&[field("i", DataType::Integer)], ColumnMappingMode::None);
        let opened = file.open(wanted.unwrap()).unwrap();
        let read = |live: BooleanBuffer| {
            let before = file.storage.bytes_read();
            let read = opened.read(&opened.pieces()[0], Some(&live), 8192).unwrap().batches;
            (read, file.storage.bytes_read() - before)
        };
        let (batches, bytes) = read(BooleanBuffer::collect_bool(20_000, |i| i == 12_345));
        assert_eq!(texts(batches[0].column(0)), ["12345"]);
        let (_, of_all) = read(BooleanBuffer::collect_bool(20_000, |i| i != 12_345));
        assert!(bytes < of_all / 2, "{bytes} bytes, {of_all} of all pages");
    }

    #[test]
    fn a_null_in_a_column_that_must_not_have_any_is_delivered() {
        let nulls: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None]));
        let file =
            Written::new(&batch([("a", Arc::clone(&nulls)), ("s", half_null(&[("x", nulls)]))]));
        let inner = structure([StructField::new("x", DataType::Integer, false)]);
        let fields =
            [StructField::new("a", DataType::Integer, false), StructField::new("s", inner, false)];
        let read = file.read(&fields, ColumnMappingMode::None).unwrap();
        assert_eq!(texts(read.column(0)), ["1", "null"]);
        assert_eq!(texts(read.column(1)), ["{x: 1}", "null"]);
    }

    #[test]
    fn batches_have_the_tables_metadata() {
        let a = mapped("a", "p", 3, DataType::Integer);
        let wanted = Wanted::new(std::slice::from_ref(&a), ColumnMappingMode::Name).unwrap();
        let table = StructType { fields: vec![a] }.to_arrow();
        assert_eq!(wanted.schema().field(0), table.field(0));
    }

    /// The values of a leaf column as they lie in a file.
    enum Raw<'a> {
        I32(&'a [i32]),
        I64(&'a [i64]),
        I96(&'a [(i64, i32)]),
        F32(&'a [f32]),
        Bytes(&'a [&'a [u8]]),
        Fixed(&'a [&'a [u8]]),
    }
    use Raw::*;

    /// A file of the Parquet schema `message`, its columns required: their values;
    /// or with their definition and repetition levels.
    fn raw_levels(message: &str, columns: &[(Raw, &[i16], &[i16])]) -> Written {
        use parquet::data_type::*;
        use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
        fn write<T: DataType>(
            writer: &mut SerializedColumnWriter,
            values: impl Iterator<Item = T::T>,
            levels: (&[i16], &[i16]),
        ) {
            let some = |levels| Some(levels).filter(|levels: &&[i16]| !levels.is_empty());
            let values: Vec<T::T> = values.collect();
            let writer = writer.typed::<T>();
            writer.write_batch(&values, some(levels.0), some(levels.1)).unwrap();
        }
        let schema = Arc::new(parquet::schema::parser::parse_message_type(message).unwrap());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        for (raw, definitions, repetitions) in columns {
            let mut column = group.next_column().unwrap().unwrap();
            let (to, levels) = (&mut column, (*definitions, *repetitions));
            match raw {
                I32(values) => write::<Int32Type>(to, values.iter().copied(), levels),
                I64(values) => write::<Int64Type>(to, values.iter().copied(), levels),
                F32(values) => write::<FloatType>(to, values.iter().copied(), levels),
                I96(values) => {
                    let values = values.iter().map(|(nanos, day)| {
                        let mut value = Int96::new();
                        value.set_data(*nanos as u32, (*nanos >> 32) as u32, *day as u32);
                        value
                    });
                    write::<Int96Type>(to, values, levels);
                }
                Bytes(values) => {
                    let values = values.iter().map(|value| ByteArray::from(value.to_vec()));
                    write::<ByteArrayType>(to, values, levels);
                }
                Fixed(values) => {
                    let values = values.iter().map(|value| ByteArray::from(value.to_vec()).into());
                    write::<FixedLenByteArrayType>(to, values, levels);
                }
            }
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();
        Written::bytes(&bytes)
    }

    /// A file of one required column `a`, of the type and annotation `declared`.
    fn raw(declared: (&str, &str), values: Raw) -> Written {
        let (physical, annotation) = declared;
        let message = format!("message m {{ required {physical} a {annotation}; }}");
        raw_levels(&message, &[(values, &[], &[])])
    }

    fn decimal(precision: u8, scale: u8) -> DataType {
        DataType::Decimal { precision, scale }
    }

    #[test]
    fn every_widening_of_the_protocol_keeps_the_values() {
        use DataType::*;
        let whole = ["-7", "0", "127"];
        let hundredths = ["-7.00", "0.00", "127.00"];
        for (bits, types) in [
            ("(INTEGER(8,true))", vec![Byte, Short, Integer, Long]),
            ("(INTEGER(16,true))", vec![Short, Integer, Long]),
            ("(INTEGER(32,true))", vec![Integer, Long]),
            ("", vec![Integer, Long]),
        ] {
            let file = raw(("int32", bits), I32(&[-7, 0, 127]));
            for to in types {
                assert_eq!(file.values(field("a", to.clone())), whole, "{bits} {to}");
            }
            assert_eq!(file.values(field("a", Double)), ["-7.0", "0.0", "127.0"]);
            assert_eq!(file.values(field("a", decimal(10, 0))), whole);
            assert_eq!(file.values(field("a", decimal(38, 2))), hundredths);
        }
        let long = raw(("int64", ""), I64(&[i64::MIN, i64::MAX]));
        let largest = ["-9223372036854775808", "9223372036854775807"];
        assert_eq!(long.values(field("a", Long)), largest);
        assert_eq!(long.values(field("a", decimal(20, 0))), largest);
        let thousandths = largest.map(|text| format!("{text}.000"));
        assert_eq!(long.values(field("a", decimal(23, 3))), thousandths);

        let float = raw(("float", ""), F32(&[1.5, f32::MIN_POSITIVE, f32::NEG_INFINITY]));
        let wide = f64::from(f32::MIN_POSITIVE).to_string();
        let wide: f64 = wide.parse().unwrap();
        let read = float.read(&[field("a", Double)], ColumnMappingMode::None).unwrap();
        let read = read.column(0).as_primitive::<arrow::datatypes::Float64Type>();
        assert_eq!(read.values()[..], [1.5, wide, f64::NEG_INFINITY]);

        let date = raw(("int32", "(DATE)"), I32(&[0, -1, -200_000]));
        let midnights = ["1970-01-01T00:00:00", "1969-12-31T00:00:00", "1422-06-03T00:00:00"];
        assert_eq!(date.values(field("a", TimestampNtz)), midnights);
    }

    #[test]
    fn decimals_of_every_encoding_are_read_and_widened() {
        let negative = (-12345_i128).to_be_bytes();
        let files = [
            raw(("int32", "(DECIMAL(7,2))"), I32(&[-12345, 0])),
            raw(("int64", "(DECIMAL(7,2))"), I64(&[-12345, 0])),
            raw(("fixed_len_byte_array(4)", "(DECIMAL(7,2))"), Fixed(&[&negative[12..], &[0; 4]])),
            raw(("fixed_len_byte_array(16)", "(DECIMAL(7,2))"), Fixed(&[&negative, &[0; 16]])),
            raw(
                ("fixed_len_byte_array(20)", "(DECIMAL(7,2))"),
                Fixed(&[&[&[255; 4], &negative[..]].concat(), &[0; 20]]),
            ),
            raw(("binary", "(DECIMAL(7,2))"), Bytes(&[&negative[13..], &[0]])),
        ];
        for (i, file) in files.iter().enumerate() {
            assert_eq!(file.values(field("a", decimal(7, 2))), ["-123.45", "0.00"], "{i}");
            assert_eq!(file.values(field("a", decimal(9, 2))), ["-123.45", "0.00"], "{i}");
            assert_eq!(file.values(field("a", decimal(38, 4))), ["-123.4500", "0.0000"], "{i}");
            for narrower in [decimal(6, 2), decimal(7, 1), decimal(8, 4), decimal(5, 0)] {
                let error = file.error(field("a", narrower));
                assert!(error.message().contains("column a: Decimal"), "{error}");
            }
        }
    }

    #[test]
    fn a_decimal_of_more_digits_than_its_type_is_an_error() {
        let file = raw(("int32", "(DECIMAL(4,2))"), I32(&[9999, 10_000]));
        let error = file.error(field("a", decimal(4, 2)));
        assert!(error.message().contains("column a: a decimal of 4 digits"), "{error}");
        // It fits a wider one, whatever the file calls it.
        assert_eq!(file.values(field("a", decimal(5, 2))), ["99.99", "100.00"]);
        let most = raw(("fixed_len_byte_array(16)", "(DECIMAL(38,0))"), Fixed(&[&[0x7f; 16]]));
        most.error(field("a", decimal(38, 0)));
    }

    #[test]
    fn timestamps_of_every_encoding_are_microseconds() {
        let utc = DataType::Timestamp;
        for (annotation, unit) in [
            ("(TIMESTAMP(MILLIS,true))", 1000),
            ("(TIMESTAMP(MILLIS,false))", 1000),
            ("(TIMESTAMP_MILLIS)", 1000),
            ("(TIMESTAMP(MICROS,true))", 1),
            ("(TIMESTAMP(MICROS,false))", 1),
            ("(TIMESTAMP_MICROS)", 1),
        ] {
            let file = raw(("int64", annotation), I64(&[-1_000_000 / unit, 0]));
            let read = file.values(field("a", utc.clone()));
            assert_eq!(read, ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"], "{annotation}");
            let read = file.values(field("a", DataType::TimestampNtz));
            assert_eq!(read, ["1969-12-31T23:59:59", "1970-01-01T00:00:00"], "{annotation}");
        }
        for annotation in ["(TIMESTAMP(NANOS,true))", "(TIMESTAMP(NANOS,false))"] {
            let file = raw(("int64", annotation), I64(&[-1, 999, 1_000_001]));
            let read = file.read(&[field("a", utc.clone())], ColumnMappingMode::None).unwrap();
            let read = read.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
            assert_eq!(read.values()[..], [-1, 0, 1000]);
        }
        let far = raw(("int64", "(TIMESTAMP(MILLIS,true))"), I64(&[i64::MAX]));
        let error = far.error(field("a", utc.clone()));
        assert!(error.message().contains("column a: a time is too far away"), "{error}");
        // Spark reads no number that is not called a time as one.
        raw(("int64", ""), I64(&[0])).error(field("a", utc));
    }

    #[test]
    fn an_int96_is_read_over_its_whole_range_and_never_wraps_around() {
        const EPOCH: i32 = 2_440_588;
        const DAY: i64 = 86_400_000_000_000;
        let file = raw(
            ("int96", ""),
            I96(&[(1_999, EPOCH), (DAY - 1, EPOCH - 1), (0, 1), (DAY - 1000, 5_373_484)]),
        );
        let expected = [
            "1970-01-01T00:00:00.000001",
            "1969-12-31T23:59:59.999999",
            "-4713-11-25T00:00:00",
            "9999-12-31T23:59:59.999999",
        ];
        assert_eq!(file.values(field("a", DataType::TimestampNtz)), expected);
        let utc = expected.map(|time| format!("{time}Z"));
        assert_eq!(file.values(field("a", DataType::Timestamp)), utc);
        for (nanos, day) in [(0, i32::MAX), (0, i32::MIN), (0, EPOCH + 106_751_992)] {
            let far = raw(("int96", ""), I96(&[(nanos, day)]));
            let error = far.error(field("a", DataType::Timestamp));
            assert!(error.message().contains("a time is too far away"), "{error}");
        }
        let most = raw(("int96", ""), I96(&[(0, EPOCH + 106_751_991)]));
        let read = most.read(&[field("a", DataType::Timestamp)], ColumnMappingMode::None).unwrap();
        let read = read.column(0).as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        assert_eq!(read.value(0), 106_751_991 * 86_400_000_000);
        file.error(field("a", DataType::Long));
    }

    #[test]
    fn an_int96_is_found_beside_others_and_within_lists() {
        let day = 2_440_588;
        let file = raw_levels(
            "message m {
                optional group s { optional binary t (JSON); optional int96 a; }
                optional group l (LIST) { repeated group list { optional int96 element; } }
                required int32 i;
            }",
            &[
                (Bytes(&[b"{}"]), &[2, 1, 0], &[]),
                (I96(&[(0, day)]), &[1, 2, 0], &[]),
                (I96(&[(0, day), (1000, day)]), &[3, 2, 3, 0, 1], &[0, 1, 1, 0, 0]),
                (I32(&[1, 2, 3]), &[], &[]),
            ],
        );
        let inner = [field("a", DataType::TimestampNtz), field("t", DataType::String)];
        let s = file.values(field("s", structure(inner)));
        assert_eq!(s, ["{a: null, t: {}}", "{a: 1970-01-01T00:00:00, t: null}", "null"]);
        let l = file.values(field("l", array_of(DataType::TimestampNtz)));
        let first = "[1970-01-01T00:00:00, null, 1970-01-01T00:00:00.000001]";
        assert_eq!(l, [first, "null", "[]"]);
        assert_eq!(file.values(field("i", DataType::Integer)), ["1", "2", "3"]);
    }

    #[test]
    fn days_are_counted_as_they_are() {
        for annotation in ["(DATE)", ""] {
            let file = raw(("int32", annotation), I32(&[0, -141_428, -719_162]));
            let read = file.values(field("a", DataType::Date));
            assert_eq!(read, ["1970-01-01", "1582-10-14", "0001-01-01"]);
        }
        raw(("int32", "(DATE)"), I32(&[0])).error(field("a", DataType::Timestamp));
        raw(("int32", "(DATE)"), I32(&[0])).error(field("a", DataType::Integer));
    }

    #[test]
    fn text_is_read_from_bytes_that_are_called_so_or_nothing_else() {
        for annotation in ["(UTF8)", "(STRING)", "(ENUM)", "(JSON)", ""] {
            let file = raw(("binary", annotation), Bytes(&["häß".as_bytes(), b""]));
            assert_eq!(file.values(field("a", DataType::String)), ["häß", ""], "{annotation}");
            assert_eq!(file.values(field("a", DataType::Binary)), ["68c3a4c39f", ""]);
            let file = raw(("binary", annotation), Bytes(&[b"fine", b"\xff not a text"]));
            let binary = file.values(field("a", DataType::Binary));
            assert_eq!(binary[1], "ff206e6f7420612074657874", "{annotation}");
            let wanted = Wanted::new(&[field("a", DataType::String)], ColumnMappingMode::None);
            let file = file.open(wanted.unwrap()).unwrap();
            for live in [None, Some(BooleanBuffer::from_iter([false, true]))] {
                let error = file.read(&file.pieces()[0], live.as_ref(), 10).unwrap_err();
                assert!(error.message().starts_with("f: "), "{error}");
            }
            let live = BooleanBuffer::from_iter([true, false]);
            let read = file.read(&file.pieces()[0], Some(&live), 10).unwrap().batches;
            assert_eq!(texts(read[0].column(0)), ["fine"]);
        }
        raw(("binary", "(BSON)"), Bytes(&[b"x"])).error(field("a", DataType::String));
        raw(("binary", "(DECIMAL(5,2))"), Bytes(&[b"x"])).error(field("a", DataType::String));
        let fixed = raw(("fixed_len_byte_array(3)", ""), Fixed(&[b"abc"]));
        assert_eq!(fixed.values(field("a", DataType::Binary)), ["616263"]);
        fixed.error(field("a", DataType::String));
    }

    #[test]
    fn unsigned_numbers_are_read_as_types_that_hold_them_all() {
        use DataType::*;
        for (bits, largest, fits, narrow) in [
            (8, 255, vec![Short, Integer, Long, decimal(5, 0)], vec![Byte]),
            (16, 65_535, vec![Integer, Long, Double, decimal(10, 0)], vec![Short]),
            (32, -1, vec![Long, decimal(20, 0)], vec![Integer, Double, decimal(10, 0)]),
        ] {
            let file = raw(("int32", &format!("(INTEGER({bits},false))")), I32(&[largest]));
            let value = (largest as u32).to_string();
            for to in fits {
                let read = file.values(field("a", to));
                assert_eq!(read[0].trim_end_matches(".0"), value);
            }
            narrow.into_iter().for_each(|to| drop(file.error(field("a", to))));
        }
        let long = raw(("int64", "(INTEGER(64,false))"), I64(&[-1]));
        assert_eq!(long.values(field("a", decimal(20, 0))), ["18446744073709551615"]);
        long.error(field("a", Long));
    }

    #[test]
    fn a_number_that_nothing_calls_small_is_read_as_small_if_it_is() {
        let file = raw(("int32", ""), I32(&[-128, 127]));
        assert_eq!(file.values(field("a", DataType::Byte)), ["-128", "127"]);
        let file = raw(("int32", ""), I32(&[128]));
        assert_eq!(file.values(field("a", DataType::Short)), ["128"]);
        let error = file.error(field("a", DataType::Byte));
        assert!(error.message().starts_with("f: column a: "), "{error}");
    }

    #[test]
    fn intervals_are_read_from_the_numbers_that_spark_writes() {
        let months = raw(("int32", ""), I32(&[14]));
        assert_eq!(months.values(field("a", DataType::IntervalYearMonth)), ["1 years 2 mons"]);
        let micros = raw(("int64", ""), I64(&[1_500_000]));
        assert_eq!(micros.values(field("a", DataType::IntervalDayTime)), ["PT1.5S"]);
        micros.error(field("a", DataType::IntervalYearMonth));
    }

    #[test]
    fn what_would_lose_something_is_refused_and_both_types_are_named() {
        use DataType::*;
        let long = raw(("int64", ""), I64(&[1]));
        for to in [Integer, Short, Double, Boolean, Date, String, decimal(19, 0), array_of(Long)] {
            let error = long.error(field("a", to.clone()));
            let expected =
                format!("column a: Int64 in the file cannot be read as the table's {to}");
            assert!(error.message().contains("column a: Int64 in the file"), "{expected}: {error}");
        }
        let nested = Written::new(&batch([("s", half_null(&[("x", ints([1]))]))]));
        let error = nested.error(field("s", structure([field("x", String)])));
        assert!(error.message().contains("column s.x: Int32"), "{error}");
        nested.error(field("s", Long));
        nested.error(field("s", array_of(Long)));
    }

    #[test]
    fn a_variant_is_its_two_columns_in_whatever_order() {
        let file = raw_levels(
            "message m { optional group v { required binary value; required binary metadata; } }",
            &[(Bytes(&[b"v"]), &[1, 0], &[]), (Bytes(&[b"m"]), &[1, 0], &[])],
        );
        assert_eq!(
            file.values(field("v", DataType::Variant)),
            ["{metadata: 6d, value: 76}", "null"]
        );
        let none = Written::new(&batch([("v", half_null(&[("value", ints([1, 2]))]))]));
        let error = none.error(field("v", DataType::Variant));
        assert!(error.message().contains("column v: Struct"), "{error}");
    }

    #[test]
    fn a_shredded_text_is_a_text_among_deleted_rows_too() {
        let file = raw_levels(
            "message m { required group v {
                required binary metadata;
                optional binary value;
                optional binary typed_value (STRING);
            } }",
            &[
                (Bytes(&[&[1, 0, 0], &[1, 0, 0], &[1, 0, 0]]), &[], &[]),
                (Bytes(&[&[4]]), &[0, 0, 1], &[]),
                (Bytes(&[b"a", b"b"]), &[1, 1, 0], &[]),
            ],
        );
        let wanted = Wanted::new(&[field("v", DataType::Variant)], ColumnMappingMode::None);
        let file = file.open(wanted.unwrap()).unwrap();
        let live = BooleanBuffer::from_iter([false, true, true]);
        let read = file.read(&file.pieces()[0], Some(&live), 10).unwrap().batches;
        // A short text of one byte.
        let expected = ["{metadata: 010000, value: 0562}", "{metadata: 010000, value: 04}"];
        assert_eq!(texts(read[0].column(0)), expected);
    }

    #[test]
    fn a_shredded_variant_is_put_together() {
        let file = raw_levels(
            "message m { optional group v (LIST) { repeated group list { optional group element {
                required binary metadata;
                optional binary value;
                optional int64 typed_value;
            } } } }",
            &[
                // A number of its own column, a boolean, no variant; and no list.
                (Bytes(&[&[1, 0, 0], &[1, 0, 0]]), &[3, 3, 2, 0], &[0, 1, 1, 0]),
                (Bytes(&[&[4]]), &[3, 4, 2, 0], &[0, 1, 1, 0]),
                (I64(&[5]), &[4, 3, 2, 0], &[0, 1, 1, 0]),
            ],
        );
        let read = file.values(field("v", array_of(DataType::Variant)));
        let five = "{metadata: 010000, value: 180500000000000000}";
        assert_eq!(read, [&format!("[{five}, {{metadata: 010000, value: 04}}, null]"), "null"]);
    }

    /// Old layouts of lists: "Backward-compatibility rules" of Parquet's logical
    /// types, Lists.
    #[test]
    fn lists_of_every_old_layout_are_read() {
        // Two rows, of two elements and of none, then of no list where that can be.
        let levels: (&[i16], &[i16]) = (&[2, 2, 1, 0], &[0, 1, 0, 0]);
        let numbers = ["[1, 2]", "[]", "null"];
        for (name, message) in [
            ("list.element", "repeated group list { required int32 element; }"),
            ("bag.array_element", "repeated group bag { required int32 array_element; }"),
            ("two levels", "repeated int32 element;"),
            ("array", "repeated int32 array;"),
        ] {
            let message = format!("message m {{ optional group l (LIST) {{ {message} }} }}");
            let file = raw_levels(&message, &[(I32(&[1, 2]), levels.0, levels.1)]);
            let read = file.values(field("l", array_of(DataType::Long)));
            assert_eq!(read, numbers, "{name}");
        }
        // One field within what is repeated is the element, but for these names.
        for message in [
            "repeated group array { required int32 x; }",
            "repeated group l_tuple { required int32 x; }",
        ] {
            let message = format!("message m {{ optional group l (LIST) {{ {message} }} }}");
            let file = raw_levels(&message, &[(I32(&[1, 2]), levels.0, levels.1)]);
            let x = structure([field("x", DataType::Integer)]);
            let read = file.values(field("l", array_of(x)));
            assert_eq!(read, ["[{x: 1}, {x: 2}]", "[]", "null"]);
        }
        // So are several, of which one may be wanted alone, or none.
        let file = raw_levels(
            "message m { optional group l (LIST) { repeated group element {
                required int32 x; required int32 y; } } }",
            &[(I32(&[1, 2]), levels.0, levels.1), (I32(&[3, 4]), levels.0, levels.1)],
        );
        let element = |name: &str| array_of(structure([field(name, DataType::Integer)]));
        assert_eq!(file.values(field("l", element("y"))), ["[{y: 3}, {y: 4}]", "[]", "null"]);
        let nulls = file.values(field("l", element("z")));
        assert_eq!(nulls, ["[{z: null}, {z: null}]", "[]", "null"]);
        // And what is repeated without being called a list.
        let file = raw_levels(
            "message m { repeated int32 l; repeated group s { required int32 x; } }",
            &[(I32(&[1, 2]), &[1, 1, 0], &[0, 1, 0]), (I32(&[3, 4]), &[1, 1, 0], &[0, 1, 0])],
        );
        assert_eq!(file.values(field("l", array_of(DataType::Integer))), ["[1, 2]", "[]"]);
        assert_eq!(file.values(field("s", element("x"))), ["[{x: 3}, {x: 4}]", "[]"]);
    }

    /// The same, Maps.
    #[test]
    fn maps_of_every_old_layout_are_read() {
        for (outer, entries) in [
            ("(MAP)", "repeated group key_value"),
            ("(MAP)", "repeated group map (MAP_KEY_VALUE)"),
            ("(MAP_KEY_VALUE)", "repeated group map"),
            ("(MAP)", "repeated group entries"),
        ] {
            for key in ["required", "optional"] {
                let message = format!(
                    "message m {{ optional group m {outer} {{ {entries} {{
                        {key} binary k (UTF8); optional int32 v; }} }} }}"
                );
                let there = if key == "required" { 2 } else { 3 };
                let file = raw_levels(
                    &message,
                    &[
                        (Bytes(&[b"a", b"b"]), &[there, there, 1, 0], &[0, 1, 0, 0]),
                        (I32(&[1]), &[3, 2, 1, 0], &[0, 1, 0, 0]),
                    ],
                );
                let map = map_of(DataType::String, DataType::Long);
                assert_eq!(file.values(field("m", map)), ["{a: 1, b: null}", "{}", "null"]);
            }
        }
        let file = raw_levels(
            "message m { optional group m (MAP) { repeated group key_value {
                optional binary k (UTF8); optional int32 v; } } }",
            &[(Bytes(&[]), &[2], &[0]), (I32(&[1]), &[3], &[0])],
        );
        let error = file.error(field("m", map_of(DataType::String, DataType::Integer)));
        assert!(error.message().starts_with("f: column m: "), "{error}");
    }

    #[test]
    fn nested_lists_and_maps_are_converted_at_every_level() {
        let file = raw_levels(
            "message m { optional group m (MAP) { repeated group key_value {
                required int32 key (INTEGER(8,true));
                optional group value (LIST) { repeated group list {
                    optional group element { optional int32 x (DATE); optional float y; } } } } } }",
            &[
                (I32(&[1, 2]), &[2, 2, 0], &[0, 1, 0]),
                (I32(&[0, 1]), &[6, 5, 6, 2, 0], &[0, 2, 2, 1, 0]),
                (F32(&[0.5]), &[5, 6, 5, 2, 0], &[0, 2, 2, 1, 0]),
            ],
        );
        let element = [field("y", DataType::Double), field("x", DataType::TimestampNtz)];
        let map = map_of(DataType::Short, array_of(structure(element)));
        let epoch = "{y: null, x: 1970-01-01T00:00:00}";
        let next = "{y: null, x: 1970-01-02T00:00:00}";
        let expected = format!("{{1: [{epoch}, {{y: 0.5, x: null}}, {next}], 2: null}}");
        assert_eq!(file.values(field("m", map)), [&expected, "null"]);
    }

    /// A file of lists of one number each, whose repetition levels are one run.
    fn lists_of_one(rows: i16) -> Vec<u8> {
        use parquet::data_type::Int32Type;
        use parquet::file::writer::SerializedFileWriter;
        let message = "message m { repeated int32 l; }";
        let schema = Arc::new(parquet::schema::parser::parse_message_type(message).unwrap());
        let plain = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_offset_index_disabled(true)
            .build();
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(plain)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<i32> = (0..i32::from(rows)).collect();
        let levels = (vec![1; values.len()], vec![0; values.len()]);
        column.typed::<Int32Type>().write_batch(&values, Some(&levels.0), Some(&levels.1)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    #[test]
    fn levels_that_end_too_early_are_an_error_where_rows_are_skipped_too() {
        let rows = 16_000;
        let mut bytes = lists_of_one(rows);
        // The length of the levels, and a run of `rows` zeros: 32,000 in groups of seven bits.
        let run = [4, 0, 0, 0, 0x80, 0xfa, 0x01, 0];
        let at = bytes.windows(run.len()).position(|found| found == run).unwrap();
        let fields = [field("l", array_of(DataType::Integer))];
        for is_cut in [false, true] {
            if is_cut {
                bytes[at + 5] = 0xf8;
            }
            let file = Written::bytes(&bytes);
            let file = file.open(Wanted::new(&fields, ColumnMappingMode::None).unwrap()).unwrap();
            let last = BooleanBuffer::collect_bool(rows as usize, |row| row == 15_999);
            for live in [None, Some(&last)] {
                match file.read(&file.pieces()[0], live, 8192) {
                    Ok(read) => {
                        assert!(!is_cut);
                        let last = read.batches.last().unwrap();
                        assert_eq!(texts(last.column(0)).last().unwrap(), "[15999]");
                    }
                    Err(e) => {
                        assert!(is_cut && e.message().starts_with("f: "), "{e}");
                        assert!(e.message().contains("levels end"), "{e}");
                    }
                }
            }
        }
    }

    #[test]
    fn an_offset_index_that_is_wrong_about_rows_is_found_out() {
        use parquet::file::metadata::OffsetIndexBuilder;
        let (written, fields) = mixed(20_000, small_pages());
        for (i, columns) in [&fields[..1], &fields[3..4]].into_iter().enumerate() {
            for off in [0, 1] {
                let wanted = Wanted::new(columns, ColumnMappingMode::None).unwrap();
                let mut file = written.open(wanted).unwrap();
                let leaves: Vec<usize> = file.picked.leaves().collect();
                let shifted = file.file.with_offset_index(&[0], &leaves, |_, _, read| {
                    let mut index = OffsetIndexBuilder::new();
                    let read = read.unwrap();
                    let ends =
                        read.page_locations().iter().skip(1).map(|page| page.first_row_index);
                    for (page, end) in read.page_locations().iter().zip(ends.chain([20_000])) {
                        index.append_offset_and_size(page.offset, page.compressed_page_size);
                        // Each page is said to have one row less.
                        index.append_row_count(end - page.first_row_index - off);
                    }
                    Ok(Some(index.build()))
                });
                file.file = shifted.unwrap();
                let piece = Piece { row_group: 0, rows: 9_000..12_000, bytes: 1 };
                match file.read(&piece, None, 8192) {
                    Ok(_) => assert_eq!(off, 0, "{i}"),
                    Err(e) => assert!(off == 1 && e.message().starts_with("f: "), "{e}"),
                }
            }
        }
    }

    #[test]
    fn a_mask_of_another_length_is_a_bug_and_not_a_panic() {
        let file = Written::new(&batch([("a", ints(0..10))]));
        let wanted = Wanted::new(&[field("a", DataType::Integer)], ColumnMappingMode::None);
        let file = file.open(wanted.unwrap()).unwrap();
        let live = BooleanBuffer::new_set(11);
        let error = file.read(&file.pieces()[0], Some(&live), 10).unwrap_err();
        assert_eq!(error.kind(), crate::error::ErrorKind::Bug);
    }

    #[test]
    fn a_wrong_bit_anywhere_in_a_file_makes_nothing_panic() {
        let (_, fields) = mixed(300, small_pages());
        let mut bytes = Vec::new();
        let texts: StringArray = (0..300).map(|i| Some(format!("text {}", i % 9))).collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..300).map(|i| (i % 5 > 0).then(|| (0..i % 4).map(move |j| Some(i + j)))),
        );
        let whole = batch([("i", ints(0..300)), ("t", Arc::new(texts)), ("l", Arc::new(lists))]);
        let mut writer = ArrowWriter::try_new(&mut bytes, whole.schema(), None).unwrap();
        writer.write(&whole).unwrap();
        writer.close().unwrap();
        let mut outcomes = (0, 0);
        for at in (4..bytes.len() - 8).step_by(3) {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            let file = Written::bytes(&bytes);
            let storage: Arc<dyn Storage> = Arc::clone(&file.storage) as _;
            let read = || {
                let wanted = Arc::new(Wanted::new(&fields, ColumnMappingMode::None)?);
                let file = DataFile::new(
                    ParquetFile::open(&storage, "f")?,
                    &wanted,
                    None,
                    &Memory::default(),
                )?;
                let live = BooleanBuffer::collect_bool(300, |i| i % 3 > 0);
                for piece in file.pieces() {
                    let live = Some(&live).filter(|live| live.len() == piece.rows.len());
                    file.read(piece, live, 100)?;
                }
                Ok::<_, Error>(())
            };
            match read() {
                Ok(()) => outcomes.0 += 1,
                Err(_) => outcomes.1 += 1,
            }
        }
        assert!(outcomes.0 > 100 && outcomes.1 > 100, "{outcomes:?}");
    }
}
