//! Which version of a table is to be opened, as C says it.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use bytes::Bytes;

use super::engine::engine;
use super::handle;
use super::input::{self, AnyBits, SizedStruct};
use super::snapshot::{Opened, engine_snapshot};
use super::status::{engine_error, engine_status, produce};
use crate::error::{Error, Result};
use crate::snapshot::{CatalogCommit, SnapshotBuilder};

/// A flag of engine_snapshot_options: the version that the field version says,
/// instead of the latest.
pub const ENGINE_SNAPSHOT_AT_VERSION: u64 = 1;

/// A flag of engine_snapshot_options: the latest version that was committed at
/// or before timestamp_ms, of those up to version if that is given too.
///
/// A version was committed at its in-commit timestamp where the table has them,
/// and at its commit file's modification time before; one that is not later than
/// that of the version before counts as a millisecond later than that. A time
/// before the first version in reach is ENGINE_STATUS_NOT_FOUND, and so is one
/// after the latest version.
pub const ENGINE_SNAPSHOT_AT_TIMESTAMP: u64 = 2;

/// A flag of engine_snapshot_options: the table is catalog-managed, and the
/// fields that begin with catalog have what its catalog says. Such a table is
/// refused without it, and any other table with it.
pub const ENGINE_SNAPSHOT_WITH_CATALOG: u64 = 4;

/// The most commits that a catalog may give.
const CATALOG_COMMITS_MAX: usize = 1 << 20;

/// A ratified commit, as the catalog of a catalog-managed table knows it: a
/// staged file if staged_name is set, what is at content if that is set, and
/// else the file that every table has for this version.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct engine_catalog_commit {
    /// Its version; that of a staged commit stands in its name as well.
    pub version: u64,
    /// The name of a file in _delta_log/_staged_commits, with or without that
    /// directory; or NULL.
    pub staged_name: *const c_char,
    /// What a file of the commit would have: lines of JSON. Or NULL.
    pub content: *const c_void,
    /// How many bytes content has.
    pub content_len: usize,
}

/// Which version of a table. Set struct_size to sizeof(engine_snapshot_options)
/// and all else to zero, which is the latest; then what you want to be
/// different. A field counts only with its flag, and must be zero without it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct engine_snapshot_options {
    /// sizeof(engine_snapshot_options), so that the struct can grow.
    pub struct_size: usize,
    /// ENGINE_SNAPSHOT_ flags, or-ed together.
    pub flags: u64,
    /// The version, with ENGINE_SNAPSHOT_AT_VERSION.
    pub version: u64,
    /// Milliseconds since 1970 in UTC, with ENGINE_SNAPSHOT_AT_TIMESTAMP.
    pub timestamp_ms: i64,
    /// The latest version that the catalog ratified, with
    /// ENGINE_SNAPSHOT_WITH_CATALOG.
    pub catalog_version: u64,
    /// The ratified commits that the catalog knows of, oldest first, without a
    /// gap, up to catalog_version at the most: with
    /// ENGINE_SNAPSHOT_WITH_CATALOG. They count in place of what is published.
    /// All of it is copied.
    pub catalog_commits: *const engine_catalog_commit,
    /// How many items catalog_commits has; 0 if all are published.
    pub catalog_commits_len: usize,
}

// SAFETY: repr(C) with struct_size first.
unsafe impl SizedStruct for engine_snapshot_options {
    const NAME: &'static str = "engine_snapshot_options";
    const ZERO: Self = engine_snapshot_options {
        struct_size: 0,
        flags: 0,
        version: 0,
        timestamp_ms: 0,
        catalog_version: 0,
        catalog_commits: std::ptr::null(),
        catalog_commits_len: 0,
    };
}

// SAFETY: integers and a raw pointer accept any bits.
unsafe impl AnyBits for engine_snapshot_options {}

/// What the options ask for.
#[derive(Default)]
struct Wanted {
    version: Option<u64>,
    timestamp_ms: Option<i64>,
    catalog: Option<(u64, Vec<CatalogCommit>)>,
}

impl Wanted {
    fn of(self, mut builder: SnapshotBuilder) -> SnapshotBuilder {
        if let Some(version) = self.version {
            builder = builder.version(version);
        }
        if let Some(ms) = self.timestamp_ms {
            builder = builder.timestamp(ms);
        }
        if let Some((version, commits)) = self.catalog {
            builder = builder.catalog(version, commits);
        }
        builder
    }
}

/// # Safety
/// `options` is NULL or a struct that says its size, whose pointers are what
/// their fields say.
unsafe fn wanted(options: *const engine_snapshot_options) -> Result<Wanted> {
    // SAFETY: the caller's promise.
    let options = unsafe { input::read_struct(options) }?;
    const KNOWN: u64 =
        ENGINE_SNAPSHOT_AT_VERSION | ENGINE_SNAPSHOT_AT_TIMESTAMP | ENGINE_SNAPSHOT_WITH_CATALOG;
    input::flags(options.flags, KNOWN)?;
    let is_set = |flag: u64, name: &str, has_fields: bool| {
        let is_set = options.flags & flag != 0;
        if has_fields && !is_set {
            return Err(Error::invalid(format!(
                "a field of engine_snapshot_options is set that needs {name}"
            )));
        }
        Ok(is_set)
    };
    let mut wanted = Wanted::default();
    let has_version = options.version != 0;
    if is_set(ENGINE_SNAPSHOT_AT_VERSION, "ENGINE_SNAPSHOT_AT_VERSION", has_version)? {
        wanted.version = Some(options.version);
    }
    let has_timestamp = options.timestamp_ms != 0;
    if is_set(ENGINE_SNAPSHOT_AT_TIMESTAMP, "ENGINE_SNAPSHOT_AT_TIMESTAMP", has_timestamp)? {
        wanted.timestamp_ms = Some(options.timestamp_ms);
    }
    let (commits, len) = (options.catalog_commits, options.catalog_commits_len);
    let has_catalog = options.catalog_version != 0 || !commits.is_null() || len != 0;
    if is_set(ENGINE_SNAPSHOT_WITH_CATALOG, "ENGINE_SNAPSHOT_WITH_CATALOG", has_catalog)? {
        // SAFETY: the caller's promise; they are copied before this returns.
        let commits =
            unsafe { input::array(commits, len, CATALOG_COMMITS_MAX, "catalog_commits") }?;
        let commit = |(i, commit)| {
            // SAFETY: the caller's promise.
            unsafe { catalog_commit(commit) }.map_err(|e| e.at(format!("catalog_commits[{i}]")))
        };
        let commits = commits.iter().enumerate().map(commit).collect::<Result<_>>()?;
        wanted.catalog = Some((options.catalog_version, commits));
    }
    Ok(wanted)
}

/// # Safety
/// Each pointer of `commit` is NULL or what its field says.
unsafe fn catalog_commit(commit: &engine_catalog_commit) -> Result<CatalogCommit> {
    let &engine_catalog_commit { version, staged_name, content, content_len } = commit;
    // SAFETY: the caller's promise; bytes have no bits that mean nothing.
    let bytes =
        unsafe { input::array(content.cast::<u8>(), content_len, isize::MAX as usize, "content") }?;
    if staged_name.is_null() {
        return Ok(match content.is_null() {
            true => CatalogCommit::Published(version),
            false => CatalogCommit::Inline { version, content: Bytes::copy_from_slice(bytes) },
        });
    }
    if !content.is_null() {
        return Err(Error::invalid("a commit is staged or inline: it has both a name and content"));
    }
    // SAFETY: the caller's promise.
    let name = unsafe { input::text(staged_name, "staged_name") }?;
    let staged = CatalogCommit::Staged(name.to_owned());
    match staged.version() {
        Some(named) if named != version => Err(Error::invalid(format!(
            "version is {version}, and the name is one of version {named}"
        ))),
        _ => Ok(staged),
    }
}

/// Opens the latest version of a table.
///
/// table is a path or a file:// URL, UTF-8, of at most 64 KiB. The log is
/// listed and read as far as the protocol and the metadata need; the live
/// files are read by a scan. On success *out is the snapshot, to be freed with
/// engine_snapshot_free. On failure *out is NULL.
///
/// ENGINE_STATUS_NOT_FOUND: there is no table. ENGINE_STATUS_UNSUPPORTED: it
/// needs a feature this library does not read; the message names it.
/// ENGINE_STATUS_CORRUPT_LOG, ENGINE_STATUS_STORAGE: the message names the file.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_open(
    engine: Option<&engine>,
    table: *const c_char,
    out: Option<&mut MaybeUninit<*mut engine_snapshot>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header
        // asks for it.
        unsafe { open(engine, table, Wanted::default()) }
    })
}

/// Opens one version of a table; else as engine_snapshot_open.
///
/// ENGINE_STATUS_NOT_FOUND also: there is no such version, or the log no
/// longer reaches back to it.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_open_at(
    engine: Option<&engine>,
    table: *const c_char,
    version: u64,
    out: Option<&mut MaybeUninit<*mut engine_snapshot>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        let wanted = Wanted { version: Some(version), ..Wanted::default() };
        // SAFETY: NULL, or a C string that lives during the call: the header
        // asks for it.
        unsafe { open(engine, table, wanted) }
    })
}

/// Opens the version of a table that the options say; else as
/// engine_snapshot_open. options may be NULL for the latest.
///
/// ENGINE_STATUS_NOT_FOUND also: there is no such version, or none of that time,
/// or the log no longer reaches back to it. ENGINE_STATUS_INVALID_ARGUMENT: the
/// catalog's commits have a gap or go beyond its version, a name is none of a staged
/// commit, or a field is set without its flag.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_open_with(
    engine: Option<&engine>,
    table: *const c_char,
    options: *const engine_snapshot_options,
    out: Option<&mut MaybeUninit<*mut engine_snapshot>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        // SAFETY: NULL, or a struct that says its size and its pointers: the
        // header asks for it.
        let wanted = unsafe { wanted(options) }?;
        // SAFETY: NULL, or a C string that lives during the call: the header
        // asks for it.
        unsafe { open(engine, table, wanted) }
    })
}

/// # Safety
/// `table` is NULL or a C string.
unsafe fn open(
    engine: Option<&engine>,
    table: *const c_char,
    wanted: Wanted,
) -> Result<*mut engine_snapshot> {
    let open = |builder: SnapshotBuilder| Ok(handle::new(Opened::new(builder.snapshot()?)));
    // SAFETY: the caller's promise.
    unsafe { with_builder(engine, table, wanted, open) }
}

/// # Safety
/// `table` is NULL or a C string.
unsafe fn with_builder<T>(
    engine: Option<&engine>,
    table: *const c_char,
    wanted: Wanted,
    answer: impl FnOnce(SnapshotBuilder) -> Result<T>,
) -> Result<T> {
    // SAFETY: the caller's promise.
    let table = unsafe { input::text(table, "table") }?;
    handle::on(engine, |engine| answer(wanted.of(engine.open(table))))
}

/// Opens the same table as it is now: its latest version, or the one that the
/// options say. options may be NULL.
///
/// *out is a new handle that equals one of engine_snapshot_open, whether there
/// is a new version or not; engine_snapshot_version tells. It costs what is new
/// in the log. The old snapshot stays as it is, with its strings and streams,
/// and both are to be freed. A catalog-managed table needs what its catalog
/// says now.
///
/// It fails as engine_snapshot_open_with; the old snapshot is not affected.
#[unsafe(no_mangle)]
pub extern "C" fn engine_snapshot_refresh(
    snapshot: Option<&engine_snapshot>,
    options: *const engine_snapshot_options,
    out: Option<&mut MaybeUninit<*mut engine_snapshot>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        // SAFETY: NULL, or a struct that says its size and its pointers: the
        // header asks for it.
        let wanted = unsafe { wanted(options) }?;
        handle::on(snapshot, |opened| {
            let refreshed = wanted.of(opened.snapshot.refresh_to()).snapshot()?;
            Ok(handle::new(Opened::new(refreshed)))
        })
    })
}

/// The latest version of a table that was committed at or before timestamp_ms,
/// milliseconds since 1970 in UTC: ENGINE_SNAPSHOT_AT_TIMESTAMP says when that
/// was. For a time after the latest version it is the latest. options say up to
/// which version is looked, and what a catalog knows; NULL is all of the table.
///
/// ENGINE_STATUS_NOT_FOUND: the time is before the first version in reach.
/// ENGINE_STATUS_INVALID_ARGUMENT: the options have a time of their own. Else it
/// fails as engine_snapshot_open_with.
#[unsafe(no_mangle)]
pub extern "C" fn engine_version_at_or_before(
    engine: Option<&engine>,
    table: *const c_char,
    options: *const engine_snapshot_options,
    timestamp_ms: i64,
    out: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, 0, error, || {
        // SAFETY: what the header asks for.
        unsafe { version(engine, table, options, |of| of.version_at_or_before(timestamp_ms)) }
    })
}

/// The first version of a table that was committed at or after timestamp_ms; for
/// a time before the first version in reach, that one. Else as
/// engine_version_at_or_before.
///
/// ENGINE_STATUS_NOT_FOUND: the time is after the latest version.
#[unsafe(no_mangle)]
pub extern "C" fn engine_version_at_or_after(
    engine: Option<&engine>,
    table: *const c_char,
    options: *const engine_snapshot_options,
    timestamp_ms: i64,
    out: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, 0, error, || {
        // SAFETY: what the header asks for.
        unsafe { version(engine, table, options, |of| of.version_at_or_after(timestamp_ms)) }
    })
}

/// # Safety
/// `table` is NULL or a C string; `options` are NULL or a struct that says its
/// size, whose pointers are what their fields say.
unsafe fn version(
    engine: Option<&engine>,
    table: *const c_char,
    options: *const engine_snapshot_options,
    find: impl FnOnce(SnapshotBuilder) -> Result<u64>,
) -> Result<u64> {
    // SAFETY: the caller's promise.
    let wanted = unsafe { wanted(options) }?;
    if wanted.timestamp_ms.is_some() {
        return Err(Error::invalid("ENGINE_SNAPSHOT_AT_TIMESTAMP is set, beside another time"));
    }
    // SAFETY: the caller's promise.
    unsafe { with_builder(engine, table, wanted, find) }
}
