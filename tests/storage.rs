//! A host's own storage behind the trait: what it may do, and what comes of it
//! when it fails.
mod common;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use common::*;
use delta_engine::arrow::array::AsArray;
use delta_engine::{Engine, Error, ErrorKind, FileStat, Result, Storage};

/// What a storage does at its `n`th read, counted from 0.
#[derive(Clone, Copy)]
enum Fault {
    Fails,
    Panics,
    /// Gives fewer bytes than the file has.
    CutsShort,
}

/// Files in memory, listed backwards and every name twice.
struct Memory {
    files: BTreeMap<String, Bytes>,
    reads: Arc<AtomicUsize>,
    fault: Option<(usize, Fault)>,
}

impl Memory {
    fn of(table: &TestTable) -> Memory {
        let files = std::fs::read_dir(table.log()).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let name = format!("_delta_log/{}", entry.file_name().to_str().unwrap());
            (name, Bytes::from(std::fs::read(entry.path()).unwrap()))
        });
        Memory { files: files.collect(), reads: Arc::default(), fault: None }
    }

    fn file(&self, name: &str) -> Result<&Bytes> {
        let missing = || Error::new(ErrorKind::NotFound, format!("{name}: not in memory"));
        self.files.get(name).ok_or_else(missing)
    }
}

impl Storage for Memory {
    fn list(&self, dir: &str, from: &str, visit: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        for name in self.files.keys().rev() {
            if let Some(name) = name.strip_prefix(&format!("{dir}/"))
                && name >= from
            {
                visit(name)?;
                visit(name)?;
            }
        }
        Ok(())
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.file(name)?.slice(range.start as usize..range.end as usize);
        let read = self.reads.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Some((at, Fault::Fails)) if at == read => {
                Err(Error::new(ErrorKind::Storage, format!("{name}: the line went dead")))
            }
            Some((at, Fault::Panics)) if at == read => panic!("the storage of {name} panics"),
            Some((at, Fault::CutsShort)) if at == read => Ok(bytes.slice(..bytes.len() / 2)),
            _ => Ok(bytes),
        }
    }

    fn stat(&self, name: &str) -> Result<FileStat> {
        Ok(FileStat { size: self.file(name)?.len() as u64, modified_ms: 1 })
    }

    fn root(&self) -> &str {
        "memory"
    }
}

fn live_files(storage: Memory, threads: usize) -> Result<Vec<String>> {
    let engine = Engine::builder().threads(threads).build()?;
    let snapshot = engine.open_in(Arc::new(storage)).snapshot()?;
    let mut paths = Vec::new();
    for batch in snapshot.scan().columns(["path"]).files()? {
        paths.extend(batch?.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    paths.sort();
    Ok(paths)
}

fn table() -> TestTable {
    TestTable::new()
        .commit([protocol(1, 2), metadata("id long"), add("a"), add("b")])
        .checkpoint()
        .commit([add("c"), remove("a")])
        .commit([add("d")])
        .commit([add("e"), remove("d")])
        .commit([add("d")])
}

#[test]
fn a_host_s_own_storage_is_read_whatever_order_it_lists_in() {
    for threads in [0, 2] {
        assert_eq!(live_files(Memory::of(&table()), threads).unwrap(), ["b", "c", "d", "e"]);
    }
}

#[test]
fn a_storage_that_fails_anywhere_gives_an_error_and_never_a_shorter_table() {
    let table = table();
    for threads in [0, 2] {
        for fault in [Fault::Fails, Fault::Panics, Fault::CutsShort] {
            let mut failed = 0;
            for at in 0.. {
                let storage = Memory { fault: Some((at, fault)), ..Memory::of(&table) };
                let reads = Arc::clone(&storage.reads);
                match live_files(storage, threads) {
                    Ok(files) => assert_eq!(files, ["b", "c", "d", "e"], "at read {at}"),
                    Err(e) => {
                        assert!(e.message().contains("_delta_log/"), "at read {at}: {e}");
                        failed += 1;
                    }
                }
                // The fault lay beyond the last read.
                if reads.load(Ordering::Relaxed) <= at {
                    break;
                }
            }
            assert!(failed > 4, "only {failed} reads could fail");
        }
    }
}
