//! Where a table's bytes come from.
//!
//! A [`Storage`] is rooted at one table: every name is relative to the table's
//! root, with `/` between its parts, and is the file's real name (percent
//! encoding is a matter of the log, not of storage). It is synchronous, because
//! an asynchronous runtime does not cross a foreign function boundary well; the
//! workers are what hides latency.

mod local;

pub(crate) use local::LocalStorage;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::error::{Error, Result, escaped};
use crate::memory::Memory;

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Bytes.
    pub size: u64,
    /// Last modification, milliseconds since the Unix epoch.
    pub modified_ms: i64,
}

/// The files of one table, by their names below its root.
///
/// Each method answers whole or fails: a listing is complete, a read has every
/// byte that was asked for. A missing file is an error of kind
/// [`NotFound`](crate::ErrorKind::NotFound).
pub trait Storage: Send + Sync {
    /// Calls `visit` with the name of every regular file directly in `dir`
    /// that is not below `from` in byte order, in any order, without its
    /// directory. An error of `visit` ends the listing and is returned.
    fn list(&self, dir: &str, from: &str, visit: &mut dyn FnMut(&str) -> Result<()>) -> Result<()>;

    /// Whether a listing costs what comes from `from` on, as in an object store.
    /// Where it costs the whole directory, a refresh asks for the next files by
    /// their names instead.
    fn lists_from(&self) -> bool {
        true
    }

    /// The first `limit` bytes of a file, or the whole of one that has no
    /// more, and its size. A storage that can do it in one request should.
    fn read_head(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        let size = self.stat(name)?.size;
        Ok((self.read_range(name, 0..size.min(limit))?, size))
    }

    /// The last `limit` bytes of a file, or the whole of one that has no more,
    /// and its size. A storage that can do it in one request should.
    fn read_tail(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        let size = self.stat(name)?.size;
        Ok((self.read_range(name, size.saturating_sub(limit)..size)?, size))
    }

    /// The whole of a file.
    fn read(&self, name: &str) -> Result<Bytes> {
        Ok(self.read_head(name, u64::MAX)?.0)
    }

    /// The bytes `range` of a file; a file that ends before `range.end` is an error.
    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes>;

    /// A file's size and modification time.
    fn stat(&self, name: &str) -> Result<FileStat>;

    /// The root, for a person to read: never with a credential.
    fn root(&self) -> &str;
}

/// A view of a storage that counts the bytes it reads, and holds it to its word:
/// a read that comes back short is an error, whoever wrote the storage.
pub(crate) struct Metered {
    inner: Arc<dyn Storage>,
    bytes_read: AtomicU64,
    /// The names of the files that were read, hashed.
    files_read: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

impl Metered {
    pub(crate) fn new(inner: Arc<dyn Storage>) -> Metered {
        Metered {
            inner,
            bytes_read: AtomicU64::new(0),
            files_read: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// How many files were read, whole or in part.
    pub(crate) fn files_read(&self) -> u64 {
        self.files_read.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    pub(crate) fn inner(&self) -> &Arc<dyn Storage> {
        &self.inner
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    fn check(&self, name: &str, bytes: &Bytes, wanted: u64) -> Result<()> {
        let len = bytes.len() as u64;
        self.bytes_read.fetch_add(len, Ordering::Relaxed);
        let hash = self.hasher.hash_one(name);
        self.files_read.lock().unwrap_or_else(PoisonError::into_inner).insert(hash);
        if len == wanted {
            return Ok(());
        }
        Err(Error::storage(format!(
            "{}: {wanted} bytes were wanted and {len} came from the storage",
            escaped(name)
        )))
    }
}

impl Storage for Metered {
    fn list(&self, dir: &str, from: &str, visit: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
        self.inner.list(dir, from, visit)
    }

    fn lists_from(&self) -> bool {
        self.inner.lists_from()
    }

    fn read_head(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        let (bytes, size) = self.inner.read_head(name, limit)?;
        self.check(name, &bytes, size.min(limit))?;
        Ok((bytes, size))
    }

    fn read_tail(&self, name: &str, limit: u64) -> Result<(Bytes, u64)> {
        let (bytes, size) = self.inner.read_tail(name, limit)?;
        self.check(name, &bytes, size.min(limit))?;
        Ok((bytes, size))
    }

    fn read_range(&self, name: &str, range: Range<u64>) -> Result<Bytes> {
        let wanted = range.end.saturating_sub(range.start);
        let bytes = self.inner.read_range(name, range)?;
        self.check(name, &bytes, wanted)?;
        Ok(bytes)
    }

    fn stat(&self, name: &str) -> Result<FileStat> {
        self.inner.stat(name)
    }

    fn root(&self) -> &str {
        self.inner.root()
    }
}

/// The storage of the table at `table`: a plain path or a `file://` URL. It reads
/// into `memory`.
pub(crate) fn open(table: &str, memory: &Memory) -> Result<Arc<dyn Storage>> {
    if table.is_empty() {
        return Err(Error::invalid("the table's path is empty"));
    }
    if table.contains('\0') {
        return Err(Error::invalid("the table's path has a NUL byte"));
    }
    // A scheme of one letter is a Windows drive, not a URL.
    let scheme = table.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) if scheme.len() > 1 && scheme.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            if !scheme.eq_ignore_ascii_case("file") {
                // Only the scheme is shown: the rest may hold a credential.
                return Err(Error::unsupported(format!(
                    "the table's URL has the scheme {}://; this build reads paths and file:// URLs",
                    escaped(scheme)
                )));
            }
            let path = url::Url::parse(table)
                .ok()
                .and_then(|url| url.to_file_path().ok())
                .ok_or_else(|| Error::invalid("the table's file:// URL names no local path"))?;
            Ok(Arc::new(LocalStorage::open(&path, memory)?))
        }
        _ => Ok(Arc::new(LocalStorage::open(table.as_ref(), memory)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn opened(table: &str) -> Result<Arc<dyn Storage>> {
        open(table, &Memory::default())
    }

    #[test]
    fn a_file_url_and_a_plain_path_open_the_same_root() {
        let dir = tempfile::tempdir().unwrap();
        let spaced = dir.path().join("a table");
        std::fs::create_dir(&spaced).unwrap();
        let plain = opened(spaced.to_str().unwrap()).unwrap();
        let url = format!("file://{}", spaced.to_str().unwrap().replace(' ', "%20"));
        assert_eq!(plain.root(), opened(&url).unwrap().root());
    }

    #[test]
    fn another_scheme_is_refused_without_showing_its_credentials() {
        let error = opened("s3://key:secret@bucket/table").err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("s3://"));
        assert!(!error.message().contains("secret"));
    }

    #[test]
    fn a_table_that_is_not_there_is_not_found() {
        assert_eq!(opened("/no/such/table").err().unwrap().kind(), ErrorKind::NotFound);
        assert_eq!(opened("").err().unwrap().kind(), ErrorKind::InvalidArgument);
    }
}
