//! Rows through a storage of the host's own: what it is asked for, what becomes of
//! its failures, and that a consumer that stops, waits or goes is never held up
//! by a read that hangs.

mod common;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use bytes::Bytes;
use common::*;
use delta_engine::arrow;
use delta_engine::{BatchStream, Engine, Error, ErrorKind, FileStat, Result, Scan, Storage};

/// A table's directory. Reads of data files, and of what stands beside them, are
/// counted, and one of them may go wrong.
struct Fickle {
    inner: Arc<Watched>,
    root: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By file: reads of its end, and others.
    asked: BTreeMap<String, (usize, usize)>,
    reads: usize,
    /// The read, counted from 0, that goes wrong, and how.
    fault: Option<(usize, Fault)>,
    /// Reads wait from this one on.
    closed_from: Option<usize>,
    waiting: usize,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Fails,
    IsShort,
    Vanished,
}

impl Fickle {
    fn of(table: &TestTable) -> Arc<Fickle> {
        Arc::new(Fickle {
            inner: Watched::of(table),
            root: table.root(),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts again from here.
    fn reset(&self, fault: Option<(usize, Fault)>) {
        *self.state() = State { fault, ..State::default() };
    }

    fn close_from(&self, read: usize) {
        *self.state() = State { closed_from: Some(read), ..State::default() };
    }

    fn open(&self) {
        self.state().closed_from = None;
        self.changed.notify_all();
    }

    /// Asks for batches until a read waits: files are opened as the stream is asked.
    fn ask_until_held_up(&self, stream: &mut BatchStream) {
        while self.state().waiting == 0 {
            match stream.next_within(Duration::from_millis(1)) {
                Some(Err(e)) => assert_eq!(e.kind(), ErrorKind::Timeout, "{e}"),
                next => assert!(next.is_some(), "the stream ended"),
            }
        }
    }

    fn read(
        &self,
        name: &str,
        is_tail: bool,
        read: impl FnOnce() -> Result<(Bytes, u64)>,
    ) -> Result<(Bytes, u64)> {
        if name.starts_with("_delta_log/") {
            return read();
        }
        let mut state = self.state();
        let asked = state.asked.entry(name.to_owned()).or_default();
        *(if is_tail { &mut asked.0 } else { &mut asked.1 }) += 1;
        let at = state.reads;
        state.reads += 1;
        let fault = state.fault.filter(|(faulty, _)| *faulty == at).map(|(_, fault)| fault);
        let is_closed = |state: &mut State| state.closed_from.is_some_and(|from| at >= from);
        if is_closed(&mut state) {
            state.waiting += 1;
            self.changed.notify_all();
            state =
                self.changed.wait_while(state, is_closed).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        drop(state);
        match fault {
            None => read(),
            Some(Fault::Fails) => {
                Err(Error::new(ErrorKind::Storage, format!("{name}: the disk is on fire")))
            }
            Some(Fault::Vanished) => Err(Error::new(ErrorKind::NotFound, format!("{name}: gone"))),
            Some(Fault::IsShort) => {
                let (bytes, size) = read()?;
                Ok((bytes.slice(..bytes.len() - 1), size))
            }
        }
    }
}

impl Storage for Fickle {
    fn list(&self, dir: &str, from: &str, visit: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        self.inner.list(dir, from, visit)
    }

    fn read_tail(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        self.read(name, true, || self.inner.read_tail(name, limit))
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let read = || self.inner.read_range(name, range).map(|bytes| (bytes, 0));
        self.read(name, false, read).map(|(bytes, _)| bytes)
    }

    fn stat(&self, name: &str) -> Result<FileStat> {
        self.inner.stat(name)
    }

    fn root(&self) -> &str {
        self.root.to_str().expect("a path in UTF-8")
    }
}

fn rows(from: i64, to: i64) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..to));
    // Not to be packed.
    let mut numbers = Numbers::from_seed(from as u64);
    let texts =
        (from..to).map(|_| (0..4).map(|_| numbers.below(1 << 30).to_string()).collect::<String>());
    let texts: ArrayRef = Arc::new(StringArray::from_iter_values(texts));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("text", texts, true)]).unwrap()
}

/// Small files, the first with a deletion vector beside it, and a large one, last,
/// of four row groups: [`ROWS`] live rows.
fn table() -> TestTable {
    let table = TestTable::new();
    let mut files: Vec<_> = (0..6)
        .map(|n| table.data_file(&format!("small-{n}.parquet"), &rows(n * 10, n * 10 + 10)))
        .collect();
    files[0] = files[0].clone().dv(table.dv_file("", &[&[1, 2, 3]]).remove(0));
    let layout = FileLayout::default().row_group_rows(2500);
    files.push(table.data_file_as("large.parquet", &rows(0, 10_000), &layout));
    let begin = [
        protocol_features(&["deletionVectors"], &["deletionVectors"]),
        metadata("id long, text string"),
    ];
    table.commit(begin.into_iter().chain(files))
}

const ROWS: usize = 57 + 10_000;

struct Reading {
    engine: Engine,
    storage: Arc<Fickle>,
    scan: Scan,
    _table: TestTable,
}

fn reading(threads: usize) -> Reading {
    let table = table();
    let storage = Fickle::of(&table);
    let engine = Engine::builder().threads(threads).build().unwrap();
    let scan = engine.open_in(Arc::clone(&storage) as _).snapshot().unwrap().scan();
    Reading { engine, storage, scan, _table: table }
}

/// How many rows a scan gives.
fn count(scan: &Scan) -> Result<usize> {
    scan.rows()?.map(|batch| batch.map(|batch| batch.num_rows())).sum()
}

#[test]
fn a_small_file_is_one_request_and_a_row_group_of_a_large_one_another() {
    for threads in [0, 1, 3] {
        let Reading { storage, scan, _table, .. } = reading(threads);
        storage.reset(None);
        assert_eq!(count(&scan).unwrap(), ROWS);
        let asked = storage.state().asked.clone();
        assert_eq!(asked.len(), 8, "{asked:?}");
        for (name, (tails, others)) in asked {
            let expected = match &name[..5] {
                "small" => (1, 0),
                "large" => (1, 4),
                _ => (0, 1),
            };
            assert_eq!((tails, others), expected, "{name}");
        }
    }
}

#[test]
fn a_limit_asks_for_no_more_files_than_the_window_has_room_for() {
    let Reading { storage, scan, _table, .. } = reading(0);
    storage.reset(None);
    assert_eq!(count(&scan.limit(3)).unwrap(), 3);
    assert_eq!(storage.state().reads, 2, "a file and its deletion vector");
}

#[test]
fn a_read_that_fails_is_an_error_and_never_fewer_rows() {
    for threads in [0, 2] {
        let Reading { storage, scan, _table, .. } = reading(threads);
        storage.reset(None);
        assert_eq!(count(&scan).unwrap(), ROWS);
        let reads = storage.state().reads;
        assert_eq!(reads, 12);
        for at in 0..reads {
            for fault in [Fault::Fails, Fault::IsShort, Fault::Vanished] {
                storage.reset(Some((at, fault)));
                let scan = scan.clone();
                let read = without_hanging(move || count(&scan));
                let error = assert_error(read, ErrorKind::Storage, &[]);
                let of_asked =
                    |state: &State| state.asked.keys().any(|name| error.message().contains(name));
                assert!(of_asked(&storage.state()), "{at} {fault:?}: {error}");
            }
        }
        // Nothing of it stays.
        storage.reset(None);
        assert_eq!(count(&scan).unwrap(), ROWS);
    }
}

#[test]
fn a_stream_that_is_dropped_waits_for_no_read_and_begins_none() {
    for at in 0..12 {
        let Reading { engine, storage, scan, _table } = reading(2);
        storage.close_from(at);
        let mut stream = scan.rows().unwrap();
        let reader = Arc::clone(&storage);
        let reads = without_hanging(move || {
            reader.ask_until_held_up(&mut stream);
            drop(stream);
            reader.state().reads
        });
        storage.open();
        // The last handles: units that run are waited for.
        without_hanging(move || drop((scan, engine)));
        let state = storage.state();
        // One that was on its way to its first read when the stream was dropped.
        assert!(state.reads <= reads + 2, "{at}: {reads}, then {}", state.reads);
        assert_eq!(state.waiting, 0);
    }
}

#[test]
fn a_cancel_is_heard_while_files_are_being_opened() {
    for at in [0, 1, 7, 8] {
        let Reading { storage, scan, _table, .. } = reading(2);
        storage.close_from(at);
        let mut stream = scan.rows().unwrap();
        let cancel = stream.cancel_handle();
        let reader = Arc::clone(&storage);
        let canceller = std::thread::spawn(move || {
            let state = reader.state();
            drop(reader.changed.wait_while(state, |state| state.waiting == 0));
            cancel.cancel();
        });
        let error = without_hanging(move || {
            let error = stream.find_map(Result::err);
            assert_eq!(stream.next().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
            error
        });
        assert_eq!(error.unwrap().kind(), ErrorKind::Cancelled);
        canceller.join().unwrap();
        storage.open();
    }
}

#[test]
fn a_consumer_that_only_looks_gets_every_row_and_a_timeout_costs_none() {
    for threads in [0, 1, 3] {
        let Reading { storage, scan, _table, .. } = reading(threads);
        let mut stream = scan.rows().unwrap();
        let rows = without_hanging(move || {
            let (mut rows, mut timeouts) = (0, 0);
            while let Some(next) = stream.next_within(Duration::ZERO) {
                match next {
                    Ok(batch) => rows += batch.num_rows(),
                    Err(e) if e.kind() == ErrorKind::Timeout => timeouts += 1,
                    Err(e) => panic!("{e}"),
                }
            }
            println!("{timeouts} timeouts");
            rows
        });
        assert_eq!(rows, ROWS);

        if threads > 0 {
            storage.close_from(0);
            let mut stream = scan.rows().unwrap();
            let (stalled, mut asked) = (Arc::clone(&storage), stream);
            stream = without_hanging(move || {
                stalled.ask_until_held_up(&mut asked);
                asked
            });
            for _ in 0..3 {
                let next = stream.next_within(Duration::from_millis(1)).unwrap();
                assert_eq!(next.unwrap_err().kind(), ErrorKind::Timeout);
            }
            storage.open();
            let rows = stream.map(|batch| batch.unwrap().num_rows()).sum::<usize>();
            assert_eq!(rows, ROWS);
        }
    }
}
