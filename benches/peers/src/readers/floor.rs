//! The floors: the least work that gives the answer for the generator's tables,
//! with none of what a reader is there for (any other table, any error).
//!
//! A table with a checkpoint: the plain Parquet crate decodes the columns, and the
//! commits are not read. A table of commits: one pass over each file takes the
//! values from where the generator writes them, in its order of keys, and
//! reconciliation knows a path by its 64-bit hash alone.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{
    Array, ArrayRef, Int64Array, MapArray, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, Fields};
use memchr::memmem::Finder;

use super::{Columns, Reader, Sink};
use crate::floors::{LogFiles, decode};
use crate::log_shapes::{Error, Result};

pub(super) struct Floor {
    pub(super) threads: usize,
}

impl Reader for Floor {
    fn list(&self, root: &Path, columns: Columns, sink: &Sink<'_>) -> Result<()> {
        let log = LogFiles::of(root);
        if log.checkpoint.is_empty() {
            return scan_commits(&log.commits, self.threads, columns, sink);
        }
        let leaves: &[&str] = match columns {
            Columns::All => {
                &["path", "size", "modificationTime", "partitionValues", "stats", "deletionVector"]
            }
            Columns::Paths => &["path", "size"],
            // It has no part in a filtered listing.
            Columns::OneDay | Columns::OneDayStats => return Err("a floor filters nothing".into()),
        };
        let failed = Mutex::new(Ok(()));
        decode(&log.checkpoint, self.threads, leaves, |adds| {
            let live: Vec<bool> = (0..adds.len()).map(|row| adds.is_valid(row)).collect();
            let (fields, arrays, _) = adds.clone().into_parts();
            let batch = RecordBatch::from(StructArray::new(fields, arrays, None));
            if let Err(error) = sink(&batch, &live) {
                *failed.lock().expect("no thread panics here") = Err(error);
            }
        });
        failed.into_inner()?
    }
}

/// Scans the commits, newest first, each on one of the threads.
fn scan_commits(
    files: &[PathBuf],
    threads: usize,
    columns: Columns,
    sink: &Sink<'_>,
) -> Result<()> {
    let next = AtomicUsize::new(0);
    let replay = Mutex::new(Replay::default());
    let work = || -> Result<()> {
        let mut text = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(path) = files.iter().nth_back(place) else { return Ok(()) };
            text.clear();
            File::open(path)?.read_to_end(&mut text)?;
            let commit = Commit::scan(&text, columns)
                .ok_or_else(|| format!("{} is not the generator's", path.display()))?;
            replay.lock().map_err(|_| "a thread panicked")?.take(place, commit, sink)?;
        }
    };
    // A thread takes longer to start than a few small commits take to read.
    let threads = threads.min(files.len().div_ceil(16));
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        work()?;
        others
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| Error::from("a thread panicked"))?)
    })
}

/// Reconciliation. Commits come in any order, and wait for the newer ones.
#[derive(Default)]
struct Replay {
    waiting: BTreeMap<usize, Commit>,
    delivered: usize,
    /// Of the files that newer commits add or remove.
    seen: HashSet<u64, BuildHasherDefault<Keep>>,
}

impl Replay {
    fn take(&mut self, place: usize, commit: Commit, sink: &Sink<'_>) -> Result<()> {
        self.waiting.insert(place, commit);
        while let Some(commit) = self.waiting.remove(&self.delivered) {
            self.delivered += 1;
            let live: Vec<bool> = commit.adds.iter().map(|&key| self.seen.insert(key)).collect();
            self.seen.extend(commit.removes);
            sink(&commit.batch.into_arrow()?, &live)?;
        }
        Ok(())
    }
}

/// A hasher of what is a hash already.
#[derive(Default)]
struct Keep(u64);

impl Hasher for Keep {
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What one commit adds and removes: the hashes of the paths, and the values.
#[derive(Default)]
struct Commit {
    adds: Vec<u64>,
    removes: Vec<u64>,
    batch: Values,
}

#[derive(Default)]
struct Values {
    paths: Texts,
    sizes: Vec<i64>,
    /// None of these if only paths are wanted.
    times: Vec<i64>,
    partition_keys: Texts,
    partition_values: Texts,
    /// How many partition values each file has.
    partition_counts: Vec<usize>,
    stats: Texts,
}

impl Commit {
    /// None where a line is not as the generator writes it.
    fn scan(text: &[u8], columns: Columns) -> Option<Commit> {
        let tags = Finder::new(b"\",\"tags\":{");
        let size = Finder::new(b"},\"size\":");
        let mut commit = Commit::default();
        // Most of a commit is statistics.
        commit.batch.stats.bytes.reserve(text.len());
        let mut rest = Rest(text);
        while !rest.0.is_empty() {
            if rest.skips(b"{\"add\":{\"path\":\"") {
                let path = rest.until(b'"')?;
                commit.adds.push(hash(path));
                let values = &mut commit.batch;
                values.paths.push(path);
                if columns == Columns::Paths {
                    rest.past(&size)?;
                    values.sizes.push(rest.number(b',')?);
                    rest.until(b'\n')?;
                    continue;
                }
                rest.skip(b",\"partitionValues\":{")?;
                let mut count = 0;
                while rest.skips(b"\"") {
                    values.partition_keys.push(rest.until(b'"')?);
                    rest.skip(b":\"")?;
                    values.partition_values.push(rest.until(b'"')?);
                    rest.skips(b",");
                    count += 1;
                }
                values.partition_counts.push(count);
                rest.skip(b"},\"size\":")?;
                values.sizes.push(rest.number(b',')?);
                rest.skip(b"\"modificationTime\":")?;
                values.times.push(rest.number(b',')?);
                rest.skip(b"\"dataChange\":true,\"stats\":\"")?;
                values.stats.push_unescaped(rest.past(&tags)?);
                rest.until(b'}')?;
                // What could come here instead is a deletion vector, which no table
                // without a checkpoint has.
                rest.skip(b"}}\n")?;
            } else if rest.skips(b"{\"remove\":{\"path\":\"") {
                commit.removes.push(hash(rest.until(b'"')?));
                rest.until(b'\n')?;
            } else {
                rest.until(b'\n')?;
            }
        }
        Some(commit)
    }
}

fn hash(path: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// What is left of a text.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Whether it begins so; then that is skipped.
    fn skips(&mut self, text: &[u8]) -> bool {
        self.skip(text).is_some()
    }

    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// What is before the byte, which is skipped too.
    fn until(&mut self, byte: u8) -> Option<&'a [u8]> {
        let (before, after) = self.0.split_at(memchr::memchr(byte, self.0)?);
        self.0 = &after[1..];
        Some(before)
    }

    /// What is before the text, which is skipped too.
    fn past(&mut self, text: &Finder<'_>) -> Option<&'a [u8]> {
        let (before, after) = self.0.split_at(text.find(self.0)?);
        self.0 = &after[text.needle().len()..];
        Some(before)
    }

    fn number(&mut self, end: u8) -> Option<i64> {
        let mut number = 0;
        loop {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'0'..=b'9' => number = number * 10 + i64::from(byte - b'0'),
                _ => return (byte == end).then_some(number),
            }
        }
    }
}

/// A column of strings that grows.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl Texts {
    fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len() as i32);
    }

    /// The generator escapes quotes, and nothing else.
    fn push_unescaped(&mut self, text: &[u8]) {
        let begin = self.bytes.len();
        self.bytes.resize(begin + text.len(), 0);
        let room = &mut self.bytes[begin..];
        let mut end = 0;
        // Every byte is written, and a backslash is written over by the next one.
        for &byte in text {
            room[end] = byte;
            end += usize::from(byte != b'\\');
        }
        self.bytes.truncate(begin + end);
        self.ends.push(self.bytes.len() as i32);
    }

    fn into_arrow(self) -> Result<ArrayRef> {
        let mut offsets = Vec::with_capacity(self.ends.len() + 1);
        offsets.push(0);
        offsets.extend(self.ends);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(StringArray::try_new(offsets, Buffer::from_vec(self.bytes), None)?))
    }
}

impl Values {
    fn into_arrow(self) -> Result<RecordBatch> {
        let longs = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
        let rows = self.sizes.len();
        let has_all = self.times.len() == rows;
        let mut columns = vec![("path", self.paths.into_arrow()?), ("size", longs(self.sizes))];
        if has_all {
            let entry = Fields::from(vec![
                Field::new("key", DataType::Utf8, false),
                Field::new("value", DataType::Utf8, true),
            ]);
            let values =
                vec![self.partition_keys.into_arrow()?, self.partition_values.into_arrow()?];
            let entries = StructArray::try_new(entry, values, None)?;
            let field = Arc::new(Field::new("entries", entries.data_type().clone(), false));
            let offsets = OffsetBuffer::from_lengths(self.partition_counts);
            let map = MapArray::try_new(field, offsets, entries, None, false)?;
            let vector = DataType::Struct(Fields::from(vec![
                Field::new("storage_type", DataType::Utf8, true),
                Field::new("path_or_inline_dv", DataType::Utf8, true),
                Field::new("offset", DataType::Int32, true),
                Field::new("size_in_bytes", DataType::Int32, true),
                Field::new("cardinality", DataType::Int64, true),
            ]));
            columns.extend([
                ("modification_time", longs(self.times)),
                ("partition_values", Arc::new(map) as ArrayRef),
                ("stats", self.stats.into_arrow()?),
                ("deletion_vector", new_null_array(&vector, rows)),
            ]);
        }
        Ok(RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )?)
    }
}
