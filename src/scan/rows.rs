//! The stream of rows: what the data files of a version hold.
//!
//! Three streams, each the plan of the next, so that all of it runs ahead: the
//! listing gives live files, of each file the footer and the deletion vector are
//! read, and then its row groups are decoded. What is the same for a whole file,
//! its partition values and its path, is made once and handed out in slices.

use std::iter::repeat_n;
use std::ops::Range;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;
use std::vec;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    StructArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{Int64Type, SchemaRef};
use crossbeam_channel::Select;

use super::columns::Rows;
use super::data_file::{BATCH_ROWS_MAX, DataFile, FileFilter, Filtered, RowFilter};
use super::deletion_vector::{self, DeletedRows, Descriptor, Vector};
use super::place::{Place, outside_root, place_of, shown};
use super::row_columns::{CHANGE_TYPE, ChangeColumn, Column, MetadataColumn, RowColumns};
use super::stream::{Counts, Units};
use super::{BATCH_ROWS, BatchStream, Filter, Scan};
use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::parquet_file::{ParquetFile, Piece};
use crate::read_ahead::{Cancel, Counters, Planned, ReadAhead, Source, Window};
use crate::span::{Label, SpanKind};
use crate::storage::Storage;

/// What is read of a data file's end: its footer, as a rule, and all of a small
/// one.
const TAIL_BYTES: u64 = 64 << 10;

impl Scan {
    /// Starts the stream of the table's rows, file by file in the order of
    /// [`files`](Self::files), in the order that each file has them, or
    /// [as they are decoded](Self::unordered).
    ///
    /// Its columns are those of the table, or those at the paths given to
    /// [`columns`](Self::columns), in Arrow types of
    /// [`Snapshot::arrow_schema`](crate::Snapshot::arrow_schema). A path is a name, or names
    /// with dots between them: the field of a struct (`s.a`), of a list's elements
    /// (`l.element.a`), of a map's values (`m.value.a`); backticks go about a name
    /// that has a dot. Paths into one struct make one struct of what is wanted of
    /// it. No other column's bytes are read. There are, too, each a column of just
    /// that name ([`ROW_METADATA_COLUMNS`](crate::ROW_METADATA_COLUMNS)):
    ///
    /// | name | Arrow type | holds |
    /// |---|---|---|
    /// | `_metadata.file_path` | `Utf8`, not null | the path of the data file as the log has it |
    /// | `_metadata.row_index` | `Int64`, not null | the row's place in its file, from 0, deleted rows counted |
    /// | `_metadata.file_modification_time` | `Timestamp(us, UTC)` | when the log says that the file was made |
    /// | `_metadata.row_id` | `Int64`, not null | the row's id ("Row Tracking") |
    /// | `_metadata.row_commit_version` | `Int64`, not null | the version that last changed the row |
    ///
    /// Each of its three steps has the window for itself: the listing, the files
    /// that are opened (64 KiB each, and their deletion vectors), the rows, of which
    /// one unit a worker is always allowed.
    ///
    /// With a [filter](Self::filter) there are just the rows that it wants. Of each file
    /// the row groups are left out, and then the pages, whose statistics, page index
    /// or Bloom filters rule them out; of the others its columns are decoded, and the
    /// rest for the rows alone that are left. [`Progress`](crate::Progress) counts them.
    ///
    /// Deleted rows are left out. A column that a file does not have is null. A
    /// value that a file has in a narrower type is widened; one that does not fit
    /// the table's type is an error.
    ///
    /// # Errors
    /// `InvalidArgument`, naming it, for a column that does not exist or is named
    /// twice, and for row ids where the table tracks none; what a look at the
    /// log's files gives. Of the stream: `Storage` for a data file that cannot be
    /// had, `CorruptLog` for one that cannot be read as the table's columns,
    /// `LimitExceeded` for one that claims absurdly much, `Unsupported` for one
    /// outside the table's root without
    /// [`reads_outside_root`](Self::reads_outside_root); each names the file.
    pub fn rows(&self) -> Result<BatchStream> {
        let snapshot = &self.snapshot;
        let columns = Arc::new(RowColumns::of_table(snapshot, self.columns.as_deref())?);
        let filter = self.row_filter()?;
        let names = Some(listing_columns(&columns, filter.as_deref()));
        let listing = Scan { columns: names, batch_rows: BATCH_ROWS, ..self.clone() };
        let projection = listing.resolve(Rows::Files)?;
        let (cancel, counts, listing) = listing.listing(projection)?;
        let files = Files { listing, batch: None, root: counts.storage.root().to_owned() };
        self.rows_of(columns, filter, cancel, counts, files)
    }

    /// What the filter asks of rows, if there is one.
    pub(super) fn row_filter(&self) -> Result<Option<Arc<RowFilter>>> {
        let Some(Filter { question, .. }) = &self.filter else { return Ok(None) };
        let (schema, mode) = (self.snapshot.schema(), self.snapshot.column_mapping());
        RowFilter::new(question, schema, mode, self.whole_files).map(|filter| Some(filter.into()))
    }

    /// Starts the stream of the rows of `files`, those that `filter` wants.
    pub(super) fn rows_of(
        &self,
        columns: Arc<RowColumns>,
        filter: Option<Arc<RowFilter>>,
        cancel: Cancel,
        counts: Arc<Counts>,
        files: impl Source<Item = Result<Planned<Job>>> + 'static,
    ) -> Result<BatchStream> {
        let others = columns.columns.iter().filter(|c| !matches!(c, Column::Data(_))).count();
        let schema = Arc::clone(&columns.schema);
        let batch_rows = self.batch_rows.clamp(1, BATCH_ROWS_MAX);
        let storage: Arc<dyn Storage> = Arc::clone(&counts.storage) as _;
        let opener = Opener {
            storage,
            outside: self.outside_storage()?,
            filter: filter.map(|filter| Filters::new(&columns, &filter)).transpose()?,
            columns: Arc::clone(&columns),
            memory: self.snapshot.engine().memory().clone(),
            counts: Arc::clone(&counts),
            batch_rows,
        };
        let engine = self.snapshot.engine();
        let window = self.rows_window();
        let share = window.bytes / window.threads.max(1);
        let opened = ReadAhead::of(
            engine.pool(),
            window,
            cancel.clone(),
            Arc::new(Counters::default()),
            files,
            move |file: Job| opener.open(&file),
        );
        let opened = if self.unordered { opened.unordered() } else { opened };
        let decoded = ReadAhead::of(
            engine.pool(),
            window,
            cancel.clone(),
            Arc::clone(&counts.units),
            Pieces { opened, at: None, rows_left: self.limit, others, share },
            move |unit: Unit| unit.file.decode(&unit, &columns, batch_rows),
        );
        let decoded = if self.unordered { decoded.unordered() } else { decoded };
        let rows = Limited {
            rows: Units::new(decoded, engine.memory()),
            rows_left: self.limit.unwrap_or(u64::MAX),
        };
        Ok(BatchStream::new(schema, cancel, counts, rows))
    }

    /// The schema of the stream of rows, without starting it.
    ///
    /// # Errors
    /// `InvalidArgument` as [`rows`](Self::rows).
    pub fn rows_schema(&self) -> Result<SchemaRef> {
        Ok(RowColumns::of_table(&self.snapshot, self.columns.as_deref())?.schema)
    }

    /// How many rows the table has, by the log alone: no data file is read.
    ///
    /// # Errors
    /// `Unsupported` where the statistics of a live file do not say how many rows
    /// it has: they would have to be counted in the file, which is named.
    /// `CorruptLog` where a deletion vector has more rows than its file. Else as
    /// [`files`](Self::files).
    pub fn count(&self) -> Result<u64> {
        self.refuse_filter("a count by the log alone")?;
        let mut total = 0_u64;
        for batch in self.clone().columns(["path", "num_records", "deletion_vector"]).files()? {
            let batch = batch?;
            let paths = batch.column(0).as_string::<i32>();
            let records = batch.column(1).as_primitive::<Int64Type>();
            let vectors = batch.column(2).as_struct();
            let deleted = vectors.column_by_name("cardinality");
            let deleted = deleted.ok_or_else(|| Error::bug("a vector without cardinality"))?;
            let deleted = deleted.as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                let path = || shown(paths.value(row));
                if records.is_null(row) {
                    return Err(Error::unsupported(format!(
                        "{}: the log does not say how many rows the file has (numRecords): they \
                         can be counted by reading them",
                        path()
                    )));
                }
                let dead = match vectors.is_valid(row) && deleted.is_valid(row) {
                    true => deleted.value(row),
                    false => 0,
                };
                let live = u64::try_from(records.value(row)).ok().filter(|_| dead >= 0);
                let live = live.and_then(|records| records.checked_sub(dead as u64));
                let live = live.ok_or_else(|| {
                    let records = records.value(row);
                    Error::corrupt(format!("{}: {records} rows, {dead} of them deleted", path()))
                })?;
                total = total.saturating_add(live);
            }
        }
        Ok(total)
    }

    fn rows_window(&self) -> Window {
        let default = self.snapshot.engine().window();
        Window {
            threads: self.threads.unwrap_or(default.threads).min(default.threads),
            units: self.window_units.unwrap_or(default.units),
            bytes: self.window_bytes.unwrap_or(default.bytes),
        }
    }

    /// The local file system as a whole, if the scan may read it.
    fn outside_storage(&self) -> Result<Option<Arc<dyn Storage>>> {
        let memory = self.snapshot.engine().memory();
        self.outside_root.then(|| crate::storage::open("/", memory)).transpose()
    }
}

/// The columns of the listing that rows with these columns need.
pub(super) fn listing_columns(columns: &RowColumns, filter: Option<&RowFilter>) -> Vec<String> {
    let mut names = vec!["path", "modification_time", "deletion_vector"];
    let is = |wanted| move |column| matches!(column, Column::Metadata { column, .. } if column == wanted);
    if wants_partition(columns, filter) {
        names.push("partition");
    }
    if columns.has(is(MetadataColumn::RowId)) {
        names.push("base_row_id");
    }
    if columns.has(is(MetadataColumn::CommitVersion)) {
        names.push("default_row_commit_version");
    }
    names.into_iter().map(str::to_owned).collect()
}

/// Whether the values of partition columns are wanted, or asked for.
pub(super) fn wants_partition(columns: &RowColumns, filter: Option<&RowFilter>) -> bool {
    columns.has(|column| matches!(column, Column::Partition(_)))
        || filter.is_some_and(RowFilter::asks_partition)
}

/// A batch of the listing, or of other actions that speak of files.
pub(super) struct Listed {
    pub(super) paths: StringArray,
    modified: ArrayRef,
    /// Their deletion vectors, by row.
    pub(super) vectors: Vec<Option<Vector>>,
    pub(super) partition: Option<StructArray>,
    base_row_ids: Option<Int64Array>,
    commit_versions: Option<Int64Array>,
}

impl Listed {
    pub(super) fn new(batch: &RecordBatch, root: &str) -> Result<Listed> {
        let numbers =
            |name| batch.column_by_name(name).map(|c| c.as_primitive::<Int64Type>().clone());
        let missing = || Error::bug("a column of the listing is missing");
        let column = |name| batch.column_by_name(name).ok_or_else(missing);
        let paths = column("path")?.as_string::<i32>().clone();
        let descriptors = column("deletion_vector")?.as_struct();
        let vectors =
            (0..paths.len()).map(|row| (paths.value(row), Descriptor::of_row(descriptors, row)));
        let micros = MetadataColumn::ModificationTime.data_type();
        let modified = cast(column("modification_time")?, &micros)
            .map_err(|e| Error::bug(format!("modification times of the listing: {e}")))?;
        Ok(Listed {
            modified,
            vectors: deletion_vector::plan(root, vectors),
            partition: batch.column_by_name("partition").map(|c| c.as_struct().clone()),
            base_row_ids: numbers("base_row_id"),
            commit_versions: numbers("default_row_commit_version"),
            paths: paths.clone(),
        })
    }
}

/// A file that is to be opened, and which of its rows are wanted.
pub(super) struct Job {
    listed: Arc<Listed>,
    row: usize,
    /// Those that this vector deletes, where there is one; else all of them.
    only: Option<Vector>,
    /// But none that this one deletes.
    without: Option<Vector>,
    /// What they are, in a stream of changes.
    change: Option<Change>,
}

/// What the rows of a file are in a stream of changes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// `None`: a change data file, which says it of each row.
    pub(super) change_type: Option<&'static str>,
    pub(super) version: i64,
    /// Microseconds since the Unix epoch.
    pub(super) timestamp: i64,
}

impl Change {
    /// A column of it, as many times as there are rows; `None` where it is another
    /// for each.
    fn constant(&self, column: ChangeColumn, rows: usize) -> Option<ArrayRef> {
        Some(match column {
            ChangeColumn::ChangeType => {
                Arc::new(StringArray::from_iter_values(repeat_n(self.change_type?, rows)))
            }
            ChangeColumn::CommitVersion => Arc::new(Int64Array::from_value(self.version, rows)),
            ChangeColumn::CommitTimestamp => {
                let times = TimestampMicrosecondArray::from_value(self.timestamp, rows);
                Arc::new(times.with_timezone("UTC"))
            }
        })
    }
}

impl Job {
    /// The live rows of the file in a row of `listed`.
    pub(super) fn live(listed: &Arc<Listed>, row: usize) -> Job {
        let without = listed.vectors[row].clone();
        Job { listed: Arc::clone(listed), row, only: None, without, change: None }
    }

    /// Those of its rows alone that `only` deletes and `without` does not.
    pub(super) fn between(self, only: Vector, without: Option<Vector>) -> Job {
        Job { only: Some(only), without, ..self }
    }

    pub(super) fn changed(self, change: Change) -> Job {
        Job { change: Some(change), ..self }
    }

    pub(super) fn planned(self) -> Planned<Job> {
        let label = Label::new(SpanKind::Open, self.listed.paths.value(self.row));
        Planned { unit: self, bytes: TAIL_BYTES as usize, label }
    }
}

/// The live files, one by one, as a plan of what to open.
struct Files<L> {
    listing: L,
    /// The batch at hand, and its next row.
    batch: Option<(Arc<Listed>, usize)>,
    root: String,
}

impl<L: Source<Item = Result<RecordBatch>>> Source for Files<L> {
    type Item = Result<Planned<Job>>;

    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some((listed, row)) = &mut self.batch
                && *row < listed.paths.len()
            {
                let job = Job::live(listed, *row);
                *row += 1;
                return Poll::Ready(Some(Ok(job.planned())));
            }
            let batch = match self.listing.next_until(deadline) {
                Poll::Ready(Some(batch)) => batch,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            match batch.and_then(|batch| Listed::new(&batch, &self.root)) {
                Ok(listed) => self.batch = Some((Arc::new(listed), 0)),
                Err(e) => return Poll::Ready(Some(Err(e))),
            }
        }
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.listing.wakes(select);
    }
}

/// Opens data files, on the workers.
struct Opener {
    storage: Arc<dyn Storage>,
    /// The local file system as a whole, where it may be read.
    outside: Option<Arc<dyn Storage>>,
    columns: Arc<RowColumns>,
    filter: Option<Filters>,
    memory: Memory,
    counts: Arc<Counts>,
    batch_rows: usize,
}

/// A filter, beside the wanted columns of each kind of file.
struct Filters {
    filter: Arc<RowFilter>,
    of_rows: Arc<Filtered>,
    of_changes: Arc<Filtered>,
}

impl Filters {
    fn new(columns: &RowColumns, filter: &Arc<RowFilter>) -> Result<Filters> {
        let of_rows = Arc::new(Filtered::new(columns.wanted(false)?, filter));
        let of_changes = match columns.wanted(true) {
            Ok(wanted) => Arc::new(Filtered::new(wanted, filter)),
            // There are no such files.
            Err(_) => Arc::clone(&of_rows),
        };
        Ok(Filters { filter: Arc::clone(filter), of_rows, of_changes })
    }

    /// What is asked of a file with these partition values; `None` where none of its
    /// rows is wanted.
    fn of_file(
        &self,
        partition: Option<&StructArray>,
        row: usize,
        is_change_file: bool,
    ) -> Result<Option<FileFilter<'_>>> {
        let value = |column: usize| Some(partition?.columns().get(column)?.slice(row, 1));
        let filtered = if is_change_file { &self.of_changes } else { &self.of_rows };
        let question = self.filter.of_file(value)?;
        Ok(question.map(|question| FileFilter { filtered, question }))
    }
}

/// A data file, ready to be decoded.
struct OpenFile {
    data: DataFile,
    wanted: WantedRows,
    counts: Arc<Counts>,
    /// Of each column that is the same in all rows, as many of them as a batch can
    /// have.
    constants: Vec<Option<ArrayRef>>,
    base_row_id: Option<i64>,
    commit_version: Option<i64>,
}

impl Opener {
    /// Opens the file; `None` where no row of it is wanted.
    fn open(&self, job: &Job) -> Result<Option<Arc<OpenFile>>> {
        let (listed, row) = (&job.listed, job.row);
        let path = listed.paths.value(row);
        let place = place_of(self.storage.root(), path)?;
        let is_change_file = job.change.is_some_and(|change| change.change_type.is_none());
        let partition = listed.partition.as_ref();
        let filter = self.filter.as_ref();
        let filter = filter.map(|filter| filter.of_file(partition, row, is_change_file));
        let filter = match filter.transpose()? {
            Some(None) => return Ok(None),
            filter => filter.flatten(),
        };
        // Before the file is: two vectors may say that there is nothing to read of it.
        let (only, without) = (self.load(job.only.as_ref())?, self.load(job.without.as_ref())?);
        let wanted = WantedRows::between(only.as_ref(), without.as_ref());
        if matches!(&wanted, WantedRows::Only(rows) if rows.len() == 0) {
            return Ok(None);
        }
        let (storage, name) = self.storage_of(&place)?;
        let file =
            ParquetFile::open_tail(storage, name, TAIL_BYTES).map_err(Error::of_listed_file)?;
        let rows = file.rows();
        for vector in [&only, &without].into_iter().flatten() {
            vector.check_rows(rows).map_err(|e| e.at(&place))?;
        }
        let wanted_columns = self.columns.wanted(is_change_file)?;
        let data = DataFile::new(file, wanted_columns, filter, &self.memory);
        let data = data.map_err(Error::of_listed_file)?;
        self.counts.skipped.add(data.skipped());
        let number = |values: &Option<Int64Array>| {
            values.as_ref().filter(|values| values.is_valid(row)).map(|values| values.value(row))
        };
        let in_a_batch = usize::try_from(rows).unwrap_or(usize::MAX).min(self.batch_rows);
        let constants = self.columns.columns.iter().map(|column| {
            let of_one = match *column {
                Column::Data(_) => return Ok(None),
                Column::Partition(at) => {
                    let missing = || Error::bug("the listing has no partition values");
                    Arc::clone(partition.ok_or_else(missing)?.column(at))
                }
                Column::Metadata { column, .. } => match column {
                    MetadataColumn::FilePath => Arc::new(listed.paths.clone()) as ArrayRef,
                    MetadataColumn::ModificationTime => Arc::clone(&listed.modified),
                    _ => return Ok(None),
                },
                Column::Change(column) => {
                    let change = job.change.ok_or_else(|| Error::bug("rows of no change"))?;
                    return Ok(change.constant(column, in_a_batch));
                }
            };
            repeated(&of_one, row, in_a_batch).map(Some)
        });
        Ok(Some(Arc::new(OpenFile {
            constants: constants.collect::<Result<_>>()?,
            data,
            wanted,
            counts: Arc::clone(&self.counts),
            base_row_id: number(&listed.base_row_ids),
            commit_version: number(&listed.commit_versions),
        })))
    }

    fn load(&self, vector: Option<&Vector>) -> Result<Option<Arc<DeletedRows>>> {
        let read = |place: &Place, range| {
            let (storage, name) = self.storage_of(place)?;
            storage.read_range(name, range)
        };
        vector.map(|vector| vector.load(&read)).transpose()
    }

    fn storage_of<'a>(&'a self, place: &'a Place) -> Result<(&'a Arc<dyn Storage>, &'a str)> {
        match place {
            Place::Inside(name) => Ok((&self.storage, name)),
            Place::Outside(path) => match &self.outside {
                Some(outside) => Ok((outside, path.trim_start_matches('/'))),
                None => Err(outside_root(path)),
            },
        }
    }
}

/// Which rows of a file are wanted.
enum WantedRows {
    All,
    Without(Arc<DeletedRows>),
    Only(Arc<DeletedRows>),
}

impl WantedRows {
    fn between(only: Option<&Arc<DeletedRows>>, without: Option<&Arc<DeletedRows>>) -> WantedRows {
        match (only, without) {
            (None, None) => WantedRows::All,
            (None, Some(without)) => WantedRows::Without(Arc::clone(without)),
            (Some(only), None) => WantedRows::Only(Arc::clone(only)),
            (Some(only), Some(without)) => WantedRows::Only(Arc::new(only.without(without))),
        }
    }

    /// How many of `rows` are wanted.
    fn count(&self, rows: Range<u64>) -> u64 {
        match self {
            WantedRows::All => rows.end - rows.start,
            WantedRows::Without(deleted) => rows.end - rows.start - deleted.count(rows),
            WantedRows::Only(wanted) => wanted.count(rows),
        }
    }

    /// True for each of `rows` that is wanted; `None` where all are.
    fn mask(&self, rows: Range<u64>) -> Option<BooleanBuffer> {
        match self {
            WantedRows::All => None,
            WantedRows::Without(deleted) => deleted.live_mask(rows),
            WantedRows::Only(wanted) => {
                let length = usize::try_from(rows.end - rows.start).unwrap_or(0);
                let others = wanted.live_mask(rows);
                Some(others.map_or_else(|| BooleanBuffer::new_unset(length), |others| !&others))
            }
        }
    }
}

/// The value in one row of `values`, again and again.
fn repeated(values: &ArrayRef, row: usize, rows: usize) -> Result<ArrayRef> {
    let row = u32::try_from(row).map_err(|_| Error::bug("a batch of so many files"))?;
    take(values, &UInt32Array::from(vec![row; rows]), None)
        .map_err(|e| Error::limit(format!("a value of {rows} rows: {e}")))
}

impl OpenFile {
    /// The wanted rows of a unit.
    fn decode(
        &self,
        unit: &Unit,
        columns: &RowColumns,
        batch_rows: usize,
    ) -> Result<Vec<RecordBatch>> {
        let rows = unit.rows();
        let live = self.wanted.mask(rows.clone());
        let read = self.data.read(&unit.piece, live.as_ref(), batch_rows);
        let read = read.map_err(Error::of_listed_file)?;
        self.counts.skipped.add_filtered(read.filtered, read.is_last_of_empty_group);
        if read.batches.is_empty() {
            return Ok(Vec::new());
        }
        let wants_index = columns.has(|column| {
            let is_index =
                |column| matches!(column, MetadataColumn::RowIndex | MetadataColumn::RowId);
            matches!(column, Column::Metadata { column, .. } if is_index(column))
        });
        let indexes = wants_index.then(|| row_indexes(rows, read.live.as_ref()));
        let mut at = 0;
        let batch = |data: RecordBatch| {
            let rows = data.num_rows();
            let indexes = indexes.as_ref().map(|indexes| indexes.slice(at, rows));
            at += rows;
            let arrays =
                columns.columns.iter().zip(&self.constants).map(|(column, constant)| {
                    match (*column, constant) {
                        (Column::Data(column), _) => Ok(Arc::clone(data.column(column))),
                        (_, Some(constant)) if constant.len() >= rows => {
                            Ok(constant.slice(0, rows))
                        }
                        (Column::Metadata { column, materialized }, None) => {
                            let materialized = materialized.map(|at| data.column(at));
                            self.of_row(column, materialized, indexes.as_ref(), rows)
                        }
                        (Column::Change(_), None) => self.recorded(&data),
                        _ => Err(Error::bug("a batch of more rows than were asked for")),
                    }
                });
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            let arrays = arrays.collect::<Result<_>>()?;
            RecordBatch::try_new_with_options(Arc::clone(&columns.schema), arrays, &options)
                .map_err(|e| self.data.file().error(e))
        };
        read.batches.into_iter().map(batch).collect()
    }

    /// What a change data file says that its rows are ("Change Data Files").
    fn recorded(&self, data: &RecordBatch) -> Result<ArrayRef> {
        let column = data.columns().last().filter(|column| column.null_count() == 0);
        column.cloned().ok_or_else(|| {
            Error::corrupt(format!(
                "{}: a row of a change data file has no {CHANGE_TYPE}",
                self.data.file().name()
            ))
        })
    }

    /// A column of numbers that differ from row to row.
    fn of_row(
        &self,
        column: MetadataColumn,
        materialized: Option<&ArrayRef>,
        indexes: Option<&Int64Array>,
        rows: usize,
    ) -> Result<ArrayRef> {
        let indexes = || indexes.ok_or_else(|| Error::bug("rows without their indexes"));
        let lacks = |what: &str| {
            Error::corrupt(format!(
                "{}: the log gives the file no {what}, which row tracking demands",
                self.data.file().name()
            ))
        };
        // "Row Tracking": the materialized value where there is one, else the default.
        let stored = materialized.map(|column| column.as_primitive::<Int64Type>());
        if let Some(stored) = stored.filter(|stored| stored.null_count() == 0) {
            return Ok(Arc::new(stored.clone()));
        }
        let default: Int64Array = match column {
            MetadataColumn::RowIndex => return Ok(Arc::new(indexes()?.clone())),
            MetadataColumn::RowId => {
                let base = self.base_row_id.ok_or_else(|| lacks("baseRowId"))?;
                indexes()?.unary(|index| base.wrapping_add(index))
            }
            _ => {
                let version =
                    self.commit_version.ok_or_else(|| lacks("defaultRowCommitVersion"))?;
                Int64Array::from_value(version, rows)
            }
        };
        Ok(match stored {
            Some(stored) => Arc::new(
                stored
                    .iter()
                    .zip(default.values())
                    .map(|(own, &d)| Some(own.unwrap_or(d)))
                    .collect::<Int64Array>(),
            ),
            None => Arc::new(default),
        })
    }
}

/// Which rows of the file the live ones of `rows` are.
fn row_indexes(rows: Range<u64>, live: Option<&BooleanBuffer>) -> Int64Array {
    // A file has fewer than 2^63 rows by its footer.
    let start = rows.start as i64;
    match live {
        None => Int64Array::from_iter_values(start..rows.end as i64),
        Some(live) => Int64Array::from_iter_values(live.set_indices().map(|i| start + i as i64)),
    }
}

/// A decode unit: rows of one file.
struct Unit {
    file: Arc<OpenFile>,
    piece: Piece,
    /// Which row of the file the first one of the piece's row group is.
    group_start: u64,
}

impl Unit {
    /// The rows of the file.
    fn rows(&self) -> Range<u64> {
        let Range { start, end } = self.piece.rows;
        self.group_start + start as u64..self.group_start + end as u64
    }
}

/// How far a file is planned.
struct AtFile {
    file: Arc<OpenFile>,
    pieces: vec::IntoIter<Piece>,
    row_group: usize,
    /// Which row of the file the row group's first one is.
    group_start: u64,
}

/// The pieces of opened files, as a plan of what to decode.
struct Pieces {
    opened: ReadAhead<Option<Arc<OpenFile>>>,
    at: Option<AtFile>,
    /// How many rows are still wanted, where there is a limit.
    rows_left: Option<u64>,
    /// How many columns are not of the files.
    others: usize,
    /// A unit that is larger counts as this much of the window, so that there is one
    /// for each worker: a row group without an index is what it is.
    share: usize,
}

impl Pieces {
    /// The next unit of the file at hand.
    fn next_piece(&mut self) -> Option<Planned<Unit>> {
        let AtFile { file, pieces, row_group, group_start } = self.at.as_mut()?;
        let groups = file.data.file().row_groups();
        loop {
            let mut piece = pieces.next()?;
            while *row_group < piece.row_group {
                *group_start += u64::try_from(groups[*row_group].num_rows()).unwrap_or(0);
                *row_group += 1;
            }
            let mut unit =
                Unit { file: Arc::clone(file), piece: piece.clone(), group_start: *group_start };
            let in_file = |run: &Range<usize>| {
                let of_group = |row: usize| *group_start + row as u64;
                file.wanted.count(of_group(run.start)..of_group(run.end))
            };
            let wanted: u64 = file.data.kept_rows(&piece).iter().map(in_file).sum();
            if wanted == 0 {
                continue;
            }
            // How many rows a filter leaves of a piece shows when they are decoded.
            let is_filtered = file.data.is_filtered(&piece);
            if let Some(left) = self.rows_left.as_mut().filter(|_| !is_filtered) {
                let all = piece.rows.len();
                let others = (all as u64).saturating_sub(wanted);
                let enough = usize::try_from(left.saturating_add(others)).unwrap_or(usize::MAX);
                if enough < all {
                    piece.bytes = piece.bytes / all as u64 * enough as u64;
                    piece.rows.end = piece.rows.start + enough;
                }
                unit.piece = piece;
                *left -= (unit.piece.rows.len() as u64).saturating_sub(others).min(*left);
            }
            let label = Label::new(SpanKind::Decode, Arc::clone(file.data.file().name()));
            let own = unit.piece.rows.len().saturating_mul(8 * self.others);
            let bytes = usize::try_from(unit.piece.bytes).unwrap_or(usize::MAX);
            let bytes = bytes.saturating_add(own).min(self.share);
            return Some(Planned { bytes, label: label.share("rows", unit.rows()), unit });
        }
    }
}

impl Source for Pieces {
    type Item = Result<Planned<Unit>>;

    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Self::Item>> {
        loop {
            if self.rows_left == Some(0) {
                return Poll::Ready(None);
            }
            if let Some(planned) = self.next_piece() {
                return Poll::Ready(Some(Ok(planned)));
            }
            match self.opened.next_until(deadline) {
                Poll::Ready(Some(Ok(None))) => {}
                Poll::Ready(Some(Ok(Some(file)))) => {
                    let pieces = file.data.pieces().to_vec().into_iter();
                    self.at = Some(AtFile { file, pieces, row_group: 0, group_start: 0 });
                }
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Some(Err(e))),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.opened.wakes(select);
    }
}

/// The first rows of a stream.
struct Limited {
    rows: Units,
    rows_left: u64,
}

impl Source for Limited {
    type Item = Result<RecordBatch>;

    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<RecordBatch>>> {
        if self.rows_left == 0 {
            return Poll::Ready(None);
        }
        self.rows.next_until(deadline).map_ok(|batch| {
            let wanted =
                usize::try_from(self.rows_left).unwrap_or(usize::MAX).min(batch.num_rows());
            self.rows_left -= wanted as u64;
            batch.slice(0, wanted)
        })
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.rows.wakes(select);
    }
}
