//! One corpus, every reader: each listing, of a table's files or of its rows, is
//! read serially, which is the oracle, and then by every other reader, and all must
//! agree on every batch and every error.
use super::c_readers::{ArrowStream, CStream};
use super::values::{rows_of, sorted_by_path};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use delta_engine::{BatchStream, Engine, Error};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

/// What a stream's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// Live files.
    Files,
    /// The table's data.
    Rows,
}

/// Which table, which version, which columns.
#[derive(Clone, Debug)]
pub struct Listing {
    pub(super) holds: Holds,
    pub(super) table: PathBuf,
    pub(super) version: Option<u64>,
    pub(super) columns: Option<Vec<String>>,
    pub(super) batch_rows: Option<usize>,
    pub(super) last_action_wins: bool,
    pub(super) unordered: bool,
    pub(super) limit: Option<u64>,
    few_readers: bool,
}

/// What a reader saw: the batches, and the error that came after them.
#[derive(Debug)]
pub struct Outcome {
    pub schema: Option<SchemaRef>,
    pub batches: Vec<RecordBatch>,
    pub error: Option<Error>,
}

/// A way to read a listing.
pub trait Reader {
    fn name(&self) -> String;
    fn read(&self, listing: &Listing) -> Outcome;

    /// How this reader tells `error`, which came before or after the stream had
    /// `started`.
    fn told(&self, error: &Error, _started: bool) -> Error {
        error.clone()
    }
}

/// An engine with `threads` workers, one for all tests of a process.
pub fn engine(threads: usize) -> Engine {
    static ENGINES: LazyLock<Mutex<HashMap<usize, Engine>>> = LazyLock::new(Mutex::default);
    let mut engines = ENGINES.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    engines
        .entry(threads)
        .or_insert_with(|| Engine::builder().threads(threads).build().expect("an engine"))
        .clone()
}

/// All readers but the serial one.
pub fn every_reader() -> Vec<Box<dyn Reader>> {
    let mut readers: Vec<Box<dyn Reader>> = Vec::new();
    for threads in [1, 2, 4] {
        for units in [1, 2, 8, 64] {
            readers.push(Box::new(RustIterator { threads, units: Some(units), bytes: None }));
        }
    }
    readers.push(Box::new(RustIterator { threads: 2, units: None, bytes: Some(1) }));
    readers.push(Box::new(RustIterator { threads: 0, units: Some(8), bytes: None }));
    readers.push(Box::new(RustNextWithin));
    for threads in [0, 2] {
        readers.push(Box::new(CStream { threads }));
        readers.push(Box::new(ArrowStream { threads }));
    }
    readers
}

/// The readers that are most unlike each other, for the tables that are big.
pub fn few_readers() -> Vec<Box<dyn Reader>> {
    vec![
        Box::new(RustIterator { threads: 1, units: Some(1), bytes: None }),
        Box::new(RustIterator { threads: 4, units: Some(8), bytes: None }),
        Box::new(RustIterator { threads: 2, units: None, bytes: Some(1) }),
        Box::new(CStream { threads: 2 }),
    ]
}

/// The readers of rows but the serial one.
pub fn row_readers() -> Vec<Box<dyn Reader>> {
    vec![
        Box::new(RustIterator { threads: 1, units: None, bytes: None }),
        Box::new(RustIterator { threads: 2, units: Some(1), bytes: Some(1) }),
        Box::new(RustIterator { threads: 2, units: None, bytes: None }),
        Box::new(CStream { threads: 0 }),
        Box::new(CStream { threads: 2 }),
        Box::new(ArrowStream { threads: 2 }),
    ]
}

/// The same for the tables that are big.
pub fn few_row_readers() -> Vec<Box<dyn Reader>> {
    vec![
        Box::new(RustIterator { threads: 2, units: Some(1), bytes: Some(1) }),
        Box::new(CStream { threads: 2 }),
    ]
}

impl Listing {
    pub fn of(table: &Path) -> Self {
        Listing {
            holds: Holds::Files,
            table: table.to_owned(),
            version: None,
            columns: None,
            batch_rows: None,
            last_action_wins: false,
            unordered: false,
            limit: None,
            few_readers: false,
        }
    }

    /// The rows of the table's data in place of its files.
    pub fn of_rows(table: &Path) -> Self {
        Listing { holds: Holds::Rows, ..Listing::of(table) }
    }

    pub fn at(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    pub fn columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(names.into_iter().map(Into::into).collect());
        self
    }

    pub fn batch_rows(mut self, rows: usize) -> Self {
        self.batch_rows = Some(rows);
        self
    }

    pub fn last_action_wins(mut self) -> Self {
        self.last_action_wins = true;
        self
    }

    /// Of rows: in whichever order they come, which readers do not agree on.
    pub fn unordered(mut self) -> Self {
        self.unordered = true;
        self
    }

    /// Of rows: so many at the most.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// By [`few_readers`] only.
    pub fn with_few_readers(mut self) -> Self {
        self.few_readers = true;
        self
    }

    /// What every reader saw.
    #[track_caller]
    pub fn outcome(&self) -> Outcome {
        let expected = self.serial_outcome();
        let readers = match (self.holds, self.few_readers) {
            (Holds::Files, true) => few_readers(),
            (Holds::Files, false) => every_reader(),
            (Holds::Rows, true) => few_row_readers(),
            (Holds::Rows, false) => row_readers(),
        };
        for reader in readers {
            let found = reader.read(self);
            expected.assert_same(&found, &*reader, &self.table);
        }
        expected
    }

    /// What the iterator saw with so many workers.
    pub fn outcome_with(&self, threads: usize) -> Outcome {
        RustIterator { threads, units: None, bytes: None }.read(self)
    }

    /// What the serial reader saw.
    pub fn serial_outcome(&self) -> Outcome {
        self.outcome_with(0)
    }

    /// The batches of a whole listing, by every reader.
    #[track_caller]
    pub fn batches(&self) -> Result<Vec<RecordBatch>, Error> {
        self.outcome().into_batches()
    }

    /// The live files as JSON objects sorted by path, by every reader.
    #[track_caller]
    pub fn try_rows(&self) -> Result<Vec<Value>, Error> {
        Ok(sorted_by_path(rows_of(&self.batches()?)))
    }

    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        match self.try_rows() {
            Ok(rows) => rows,
            Err(error) => panic!("{error}"),
        }
    }

    /// The paths of the live files, sorted, by every reader.
    #[track_caller]
    pub fn try_live_files(&self) -> Result<Vec<String>, Error> {
        Ok(paths_of(&self.batches()?))
    }

    #[track_caller]
    pub fn live_files(&self) -> Vec<String> {
        match self.try_live_files() {
            Ok(paths) => paths,
            Err(error) => panic!("{error}"),
        }
    }

    /// The paths of the live files, sorted, by the serial reader.
    pub fn try_live_files_serially(&self) -> Result<Vec<String>, Error> {
        Ok(paths_of(&self.serial_outcome().into_batches()?))
    }

    fn start(&self, reader: &RustIterator) -> Result<BatchStream, Error> {
        let engine = engine(reader.threads);
        let table = self.table.to_str().expect("a UTF-8 path");
        let snapshot = match self.version {
            Some(version) => engine.snapshot_at(table, version)?,
            None => engine.snapshot(table)?,
        };
        let mut scan = snapshot.scan();
        if let Some(columns) = &self.columns {
            scan = scan.columns(columns.iter().cloned());
        }
        if let Some(rows) = self.batch_rows {
            scan = scan.batch_rows(rows);
        }
        if let Some(units) = reader.units {
            scan = scan.window_units(units);
        }
        if let Some(bytes) = reader.bytes {
            scan = scan.window_bytes(bytes);
        }
        if self.last_action_wins {
            scan = scan.last_action_wins();
        }
        match self.holds {
            Holds::Files => scan.files(),
            Holds::Rows => {
                if self.unordered {
                    scan = scan.unordered();
                }
                if let Some(rows) = self.limit {
                    scan = scan.limit(rows);
                }
                scan.rows()
            }
        }
    }
}

impl Outcome {
    pub(super) fn failed(error: Error) -> Self {
        Outcome { schema: None, batches: Vec::new(), error: Some(error) }
    }

    pub fn into_batches(self) -> Result<Vec<RecordBatch>, Error> {
        match self.error {
            None => Ok(self.batches),
            Some(error) => Err(error),
        }
    }

    #[track_caller]
    fn assert_same(&self, found: &Outcome, by: &dyn Reader, table: &Path) {
        let reader = format!("{} of {}", by.name(), table.display());
        let expected = self.error.as_ref().map(|error| by.told(error, self.schema.is_some()));
        let text = |error: &Option<Error>| error.as_ref().map(Error::to_string);
        assert_eq!(text(&expected), text(&found.error), "the error by {reader}");
        assert_eq!(self.schema, found.schema, "the schema by {reader}");
        let rows = |batches: &[RecordBatch]| -> Vec<_> {
            batches.iter().map(RecordBatch::num_rows).collect()
        };
        assert_eq!(rows(&self.batches), rows(&found.batches), "rows of each batch by {reader}");
        for (i, (expected, found)) in self.batches.iter().zip(&found.batches).enumerate() {
            assert!(expected == found, "batch {i} by {reader}");
        }
    }
}

struct RustIterator {
    threads: usize,
    units: Option<usize>,
    bytes: Option<usize>,
}

impl Reader for RustIterator {
    fn name(&self) -> String {
        let RustIterator { threads, units, bytes } = self;
        format!("the iterator, {threads} threads, window {units:?} units, {bytes:?} bytes")
    }

    fn read(&self, listing: &Listing) -> Outcome {
        match listing.start(self) {
            Ok(mut stream) => drained(stream.schema(), || stream.next()),
            Err(error) => Outcome::failed(error),
        }
    }
}

struct RustNextWithin;

impl Reader for RustNextWithin {
    fn name(&self) -> String {
        "next_within".to_owned()
    }

    fn read(&self, listing: &Listing) -> Outcome {
        let how = RustIterator { threads: 2, units: Some(2), bytes: None };
        match listing.start(&how) {
            Ok(mut stream) => {
                drained(stream.schema(), || stream.next_within(Duration::from_secs(60)))
            }
            Err(error) => Outcome::failed(error),
        }
    }
}

/// All that a stream gives. On the way: no batch is empty, each has the
/// stream's schema, the end comes again, and so does an error.
pub(super) fn drained(
    schema: SchemaRef,
    mut next: impl FnMut() -> Option<Result<RecordBatch, Error>>,
) -> Outcome {
    let mut batches = Vec::new();
    let error = loop {
        match next() {
            Some(Ok(batch)) => {
                assert_eq!(batch.schema(), schema, "each batch has the stream's schema");
                assert_ne!(batch.num_rows(), 0, "a batch without rows");
                batches.push(batch);
            }
            Some(Err(error)) => {
                for _ in 0..2 {
                    let again = next().expect("the error again, not the end");
                    let again = again.expect_err("the error again, not a batch");
                    assert_eq!(again.to_string(), error.to_string(), "the same error again");
                }
                break Some(error);
            }
            None => {
                for _ in 0..2 {
                    assert!(next().is_none(), "the end again");
                }
                break None;
            }
        }
    };
    Outcome { schema: Some(schema), batches, error }
}

fn paths_of(batches: &[RecordBatch]) -> Vec<String> {
    let mut paths = Vec::new();
    for batch in batches {
        let column = batch.column_by_name("path").expect("a column `path`").as_string::<i32>();
        assert_eq!(column.null_count(), 0, "a file without a path");
        paths.extend(column.iter().flatten().map(str::to_owned));
    }
    paths.sort();
    paths
}
