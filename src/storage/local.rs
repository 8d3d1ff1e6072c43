//! The local file system.
//!
//! Listing trusts the directory entry's type, so that a folder of a million
//! files costs no stat each; only a symbolic link is looked at. Opening never
//! follows a link out of the table and never blocks on a FIFO.

use std::collections::HashSet;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::{FileStat, Storage};
use crate::error::{Error, ErrorKind, Result, escaped};
use crate::memory::{KEPT_BYTES_MIN, Memory};

/// Files below one directory.
pub(crate) struct LocalStorage {
    /// Canonical, so that a prefix check by components decides what is inside.
    root: PathBuf,
    root_text: String,
    /// Directories already found to lie below the root, by name.
    inside: RwLock<HashSet<String>>,
    /// Files that are read in ranges, the last used last.
    opened: Mutex<Vec<(String, Arc<File>, KeptOpen)>>,
    /// How many are open of all storages; a test has its own.
    open_of_all: &'static AtomicUsize,
    memory: Memory,
}

/// So many stay open: as many as are read at once, and few beside a host's own.
const OPEN_FILES_MAX: usize = 16;
/// And so many of all storages of the process: a host may hold many snapshots.
const OPEN_FILES_OF_ALL_MAX: usize = 64;

static OPEN_FILES_OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// One of those files, and their count.
struct KeptOpen(&'static AtomicUsize);

impl KeptOpen {
    fn one_more(count: &'static AtomicUsize) -> Option<KeptOpen> {
        let add = |open| (open < OPEN_FILES_OF_ALL_MAX).then_some(open + 1);
        let added = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        added.is_ok().then(|| KeptOpen(count))
    }
}

impl Drop for KeptOpen {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LocalStorage {
    pub(crate) fn open(root: &Path, memory: &Memory) -> Result<LocalStorage> {
        let shown = escaped(&root.to_string_lossy());
        let root = root.canonicalize().map_err(|e| io_error(&e, &format!("table {shown}")))?;
        if !root.is_dir() {
            return Err(Error::not_found(format!("table {shown} is not a directory")));
        }
        let root_text = root.to_string_lossy().into_owned();
        Ok(LocalStorage {
            root,
            root_text,
            inside: RwLock::new(HashSet::new()),
            opened: Mutex::default(),
            open_of_all: &OPEN_FILES_OF_ALL,
            memory: memory.clone(),
        })
    }

    /// The path of `name`, once its directory is known to lie inside the root.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.join(name);
        if let Some((dir, _)) = name.rsplit_once('/') {
            self.check_inside(dir, name)?;
        }
        Ok(path)
    }

    /// Checks that `dir` lies inside the root, for a use of `name`.
    fn check_inside(&self, dir: &str, name: &str) -> Result<()> {
        let known = self.inside.read().unwrap_or_else(PoisonError::into_inner).contains(dir);
        if known {
            return Ok(());
        }
        self.canonical_inside(&self.root.join(dir), name)?;
        self.inside.write().unwrap_or_else(PoisonError::into_inner).insert(dir.to_owned());
        Ok(())
    }

    /// Where `path` really leads; an error when that is outside the root.
    fn canonical_inside(&self, path: &Path, name: &str) -> Result<PathBuf> {
        let real = path.canonicalize().map_err(|e| io_error(&e, &escaped(name)))?;
        // Whole components are compared: a sibling with a longer name is outside.
        if real.starts_with(&self.root) {
            Ok(real)
        } else {
            Err(Error::storage(format!(
                "{}: a symbolic link leads out of the table's root, which is not followed",
                escaped(name)
            )))
        }
    }

    fn file(&self, name: &str) -> Result<(File, Metadata)> {
        let path = self.path(name)?;
        let fail = |e: &io::Error| io_error(e, &escaped(name));
        // Without O_NONBLOCK, opening a FIFO waits for a writer.
        let open = |path: &Path| {
            OpenOptions::new()
                .read(true)
                .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
                .open(path)
        };
        let file = match open(&path) {
            Err(e) if e.raw_os_error() == Some(libc::ELOOP) => {
                open(&self.canonical_inside(&path, name)?).map_err(|e| fail(&e))?
            }
            opened => opened.map_err(|e| fail(&e))?,
        };
        let metadata = file.metadata().map_err(|e| fail(&e))?;
        if !metadata.is_file() {
            return Err(Error::storage(format!("{}: not a regular file", escaped(name))));
        }
        Ok((file, metadata))
    }

    /// The file `name`, to be read here and there: one of the last few is open
    /// still. What is read of it is then of one file, even if another takes its
    /// name meanwhile.
    fn opened(&self, name: &str) -> Result<(Arc<File>, Metadata)> {
        let opened = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let known = {
            let mut opened = opened();
            let at = opened.iter().position(|(known, ..)| known == name);
            at.map(|at| {
                let entry = opened.remove(at);
                let file = Arc::clone(&entry.1);
                opened.push(entry);
                file
            })
        };
        if let Some(file) = known {
            let metadata = file.metadata().map_err(|e| io_error(&e, &escaped(name)))?;
            return Ok((file, metadata));
        }
        let (file, metadata) = self.file(name)?;
        let file = Arc::new(file);
        let mut opened = opened();
        if opened.len() == OPEN_FILES_MAX {
            opened.remove(0);
        }
        if let Some(kept) = KeptOpen::one_more(self.open_of_all) {
            opened.push((name.to_owned(), Arc::clone(&file), kept));
        }
        Ok((file, metadata))
    }

    /// `len` bytes from `start` on, which the file was seen to have.
    fn read_exactly(&self, file: &File, start: u64, len: u64, name: &str) -> Result<Bytes> {
        let too_many = || Error::limit(format!("{}: {len} bytes do not fit", escaped(name)));
        let len = usize::try_from(len).map_err(|_| too_many())?;
        // What is read is soon decoded: a buffer that is large enough to come back
        // spares clearing one for each small file.
        let bytes = self.memory.take(len.max(KEPT_BYTES_MIN));
        let mut bytes = bytes.ok_or_else(too_many)?;
        file.read_exact_at(&mut bytes[..len], start).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => Error::storage(format!(
                "{}: {len} bytes were wanted and fewer came: the file was cut while it was read",
                escaped(name)
            )),
            _ => io_error(&e, &escaped(name)),
        })?;
        Ok(self.memory.lend(bytes, len))
    }
}

impl Storage for LocalStorage {
    fn list(&self, dir: &str, from: &str, visit: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        let fail = |e: io::Error| io_error(&e, &escaped(dir));
        self.check_inside(dir, dir)?;
        for entry in std::fs::read_dir(self.root.join(dir)).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name();
            // No file of a log has a name that is not UTF-8.
            let Some(name) = name.to_str() else { continue };
            if name < from {
                continue;
            }
            let file_type = entry.file_type().map_err(fail)?;
            // A link that leads nowhere, in a circle or to no file is no file;
            // one that leads out of the root is refused when it is read.
            let is_file = file_type.is_file()
                || file_type.is_symlink()
                    && std::fs::metadata(entry.path()).is_ok_and(|m| m.is_file());
            if is_file {
                visit(name)?;
            }
        }
        Ok(())
    }

    fn lists_from(&self) -> bool {
        false
    }

    fn read_head(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        let (file, metadata) = self.file(name)?;
        let size = metadata.len();
        Ok((self.read_exactly(&file, 0, size.min(limit), name)?, size))
    }

    fn read_tail(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        let (file, metadata) = self.opened(name)?;
        let size = metadata.len();
        let start = size.saturating_sub(limit);
        Ok((self.read_exactly(&file, start, size - start, name)?, size))
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let (file, metadata) = self.opened(name)?;
        // Checked against the real size before anything is allocated.
        if range.start > range.end || range.end > metadata.len() {
            return Err(Error::storage(format!(
                "{}: bytes {}..{} were wanted, the file has {}",
                escaped(name),
                range.start,
                range.end,
                metadata.len()
            )));
        }
        self.read_exactly(&file, range.start, range.end - range.start, name)
    }

    fn stat(&self, name: &str) -> Result<FileStat> {
        let (_, metadata) = self.file(name)?;
        let modified = metadata.modified().map_err(|e| io_error(&e, &escaped(name)))?;
        Ok(FileStat { size: metadata.len(), modified_ms: unix_ms(modified) })
    }

    fn root(&self) -> &str {
        &self.root_text
    }
}

fn unix_ms(time: SystemTime) -> i64 {
    let ms = |d: std::time::Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => ms(after),
        Err(before) => -ms(before.duration()),
    }
}

fn io_error(error: &io::Error, what: &str) -> Error {
    let kind = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn table(files: &[(&str, &str)]) -> (tempfile::TempDir, LocalStorage) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("log")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mut storage = LocalStorage::open(dir.path(), &Memory::default()).unwrap();
        storage.open_of_all = Box::leak(Box::default());
        (dir, storage)
    }

    fn names(storage: &LocalStorage, from: &str) -> Vec<String> {
        let mut names = Vec::new();
        storage
            .list("log", from, &mut |name| {
                names.push(name.to_owned());
                Ok(())
            })
            .unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_listing_has_the_regular_files_from_a_name_on() {
        let (dir, storage) = table(&[("log/a", ""), ("log/b", ""), ("log/c", "")]);
        std::fs::create_dir(dir.path().join("log/d")).unwrap();
        symlink("d", dir.path().join("log/e")).unwrap();
        symlink("g", dir.path().join("log/f")).unwrap();
        symlink("f", dir.path().join("log/g")).unwrap();
        symlink("c", dir.path().join("log/h")).unwrap();
        assert_eq!(names(&storage, "b"), ["b", "c", "h"]);
    }

    #[test]
    fn a_fifo_is_neither_listed_nor_waited_for() {
        let (dir, storage) = table(&[]);
        let fifo = dir.path().join("log/fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(names(&storage, "").is_empty());
        let error = storage.read("log/fifo").unwrap_err();
        assert!(error.message().contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_link_inside_the_root_is_followed_and_one_out_of_it_is_not() {
        let (outside, _) = table(&[("secret", "x")]);
        let (dir, storage) = table(&[("log/a", "inside")]);
        symlink("a", dir.path().join("log/in")).unwrap();
        symlink(outside.path().join("secret"), dir.path().join("log/out")).unwrap();
        symlink(outside.path(), dir.path().join("away")).unwrap();
        assert_eq!(storage.read("log/in").unwrap(), "inside");
        for name in ["log/out", "away/secret"] {
            let error = storage.read(name).unwrap_err();
            assert!(error.message().contains("leads out of the table"), "{error}");
        }
    }

    #[test]
    fn a_range_beyond_the_end_is_an_error_that_says_both_sizes() {
        let (_dir, storage) = table(&[("log/a", "0123456789")]);
        assert_eq!(storage.read_range("log/a", 2..5).unwrap(), "234");
        let error = storage.read_range("log/a", 8..(1 << 60)).unwrap_err();
        assert!(error.message().contains("the file has 10"), "{error}");
    }

    #[test]
    fn a_tail_is_the_end_of_a_file_and_its_size() {
        let (_dir, storage) = table(&[("log/a", "0123456789")]);
        for (limit, tail) in [(0, ""), (3, "789"), (10, "0123456789"), (u64::MAX, "0123456789")] {
            assert_eq!(storage.read_tail("log/a", limit).unwrap(), (tail.into(), 10));
        }
        assert_eq!(storage.read_tail("log/b", 3).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    fn only_a_few_files_stay_open_of_one_storage_and_of_all() {
        let names: Vec<String> = (0..3 * OPEN_FILES_MAX).map(|i| format!("log/{i}")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
        let count: &'static AtomicUsize = Box::leak(Box::default());
        let mut tables: Vec<_> = (0..6).map(|_| table(&files)).collect();
        tables.iter_mut().for_each(|(_, storage)| storage.open_of_all = count);
        let open = |storage: &LocalStorage| storage.opened.lock().unwrap().len();
        for (_, storage) in &tables {
            for name in names.iter().chain(&names[40..]) {
                assert_eq!(storage.read_range(name, 2..4).unwrap(), name[2..4]);
                assert!(open(storage) <= OPEN_FILES_MAX);
            }
        }
        let of_all: usize = tables.iter().map(|(_, storage)| open(storage)).sum();
        assert_eq!(of_all, OPEN_FILES_OF_ALL_MAX);
        assert_eq!(count.load(Ordering::Relaxed), of_all);
        drop(tables);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn ranges_of_a_file_are_of_one_file_though_another_takes_its_name() {
        let (dir, storage) = table(&[("log/a", "0123456789"), ("log/b", "abcdefghij")]);
        assert_eq!(storage.read_range("log/a", 0..5).unwrap(), "01234");
        std::fs::rename(dir.path().join("log/b"), dir.path().join("log/a")).unwrap();
        assert_eq!(storage.read_range("log/a", 5..10).unwrap(), "56789");
        // A file that is cut in place shows it.
        std::fs::write(dir.path().join("log/c"), "0123456789").unwrap();
        assert_eq!(storage.read_range("log/c", 0..5).unwrap(), "01234");
        std::fs::write(dir.path().join("log/c"), "0123456").unwrap();
        let error = storage.read_range("log/c", 5..10).unwrap_err();
        assert!(error.message().contains("the file has 7"), "{error}");
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let (_dir, storage) = table(&[]);
        assert_eq!(storage.stat("log/none").unwrap_err().kind(), ErrorKind::NotFound);
    }
}
