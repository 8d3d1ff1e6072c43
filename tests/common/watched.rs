//! What the engine asks of a host: a storage that keeps a record of its reads,
//! and an engine whose warnings are kept.
use super::TestTable;
use bytes::Bytes;
use delta_engine::{Engine, Error, ErrorKind, EventLevel, FileStat, Snapshot, Storage};
use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

/// A table's directory, and what was asked of it. Names are those in `_delta_log`.
pub struct Watched {
    root: PathBuf,
    lists_from: bool,
    record: Mutex<Record>,
}

/// What a storage was asked for.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The name that each listing began with.
    pub lists: Vec<String>,
    /// The names that the listings gave.
    pub names_listed: usize,
    /// The files that were read, each once.
    pub read: BTreeSet<String>,
    pub bytes: u64,
}

impl Watched {
    pub fn of(table: &TestTable) -> Arc<Watched> {
        Watched::at(&table.root())
    }

    pub fn at(root: &Path) -> Arc<Watched> {
        Arc::new(Watched { root: root.to_owned(), lists_from: true, record: Mutex::default() })
    }

    /// As a local folder is: a listing costs all of its names, wherever it begins.
    pub fn folder_of(table: &TestTable) -> Arc<Watched> {
        let root = table.root();
        Arc::new(Watched { root, lists_from: false, record: Mutex::default() })
    }

    /// What was asked for since the last time.
    pub fn take(&self) -> Record {
        std::mem::take(&mut *self.record())
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, name: &str) -> Result<File, Error> {
        File::open(self.root.join(name)).map_err(|e| failed(name, &e))
    }

    fn read_of(&self, name: &str, bytes: usize) {
        let mut record = self.record();
        record.bytes += bytes as u64;
        record.read.insert(name.strip_prefix("_delta_log/").unwrap_or(name).to_owned());
    }
}

impl Record {
    /// The files that were read, sorted.
    pub fn read(&self) -> Vec<&str> {
        self.read.iter().map(String::as_str).collect()
    }
}

fn failed(name: &str, error: &std::io::Error) -> Error {
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    let kind = if is_missing { ErrorKind::NotFound } else { ErrorKind::Storage };
    Error::new(kind, format!("{name}: {error}"))
}

impl Storage for Watched {
    fn list(
        &self,
        dir: &str,
        from: &str,
        visit: &mut dyn FnMut(&str) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.record().lists.push(from.to_owned());
        for entry in std::fs::read_dir(self.root.join(dir)).map_err(|e| failed(dir, &e))? {
            let entry = entry.map_err(|e| failed(dir, &e))?;
            let name = entry.file_name().into_string().expect("UTF-8");
            if name.as_str() >= from && entry.file_type().is_ok_and(|t| t.is_file()) {
                self.record().names_listed += 1;
                visit(&name)?;
            }
        }
        Ok(())
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let file = self.open(name)?;
        file.read_exact_at(&mut bytes, range.start).map_err(|e| failed(name, &e))?;
        self.read_of(name, bytes.len());
        Ok(bytes.into())
    }

    fn stat(&self, name: &str) -> Result<FileStat, Error> {
        let metadata = self.open(name)?.metadata().map_err(|e| failed(name, &e))?;
        let modified = metadata.modified().expect("a time").duration_since(UNIX_EPOCH);
        let modified_ms = modified.expect("a time after 1970").as_millis() as i64;
        Ok(FileStat { size: metadata.len(), modified_ms })
    }

    fn lists_from(&self) -> bool {
        self.lists_from
    }

    fn root(&self) -> &str {
        self.root.to_str().expect("a UTF-8 path")
    }
}

/// An engine that keeps its warnings.
pub struct Listening {
    pub engine: Engine,
    told: Arc<Mutex<Vec<String>>>,
}

impl Listening {
    pub fn with_threads(threads: usize) -> Listening {
        let told = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&told);
        let engine = Engine::builder().threads(threads).on_event(move |event| {
            if event.level == EventLevel::Warning {
                let mut told = sink.lock().unwrap_or_else(PoisonError::into_inner);
                told.push(event.message.to_owned());
            }
        });
        Listening { engine: engine.build().expect("an engine"), told }
    }

    /// The newest version of `table`, opened by it.
    pub fn snapshot(&self, table: &TestTable) -> Result<Snapshot, Error> {
        self.engine.snapshot(table.root().to_str().expect("a UTF-8 path"))
    }

    /// The warnings since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
