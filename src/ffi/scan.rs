//! `engine_scan`: what to read of a snapshot, as C holds it.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::handle::{self, Handle, object};
use super::input::{self, AnyBits, SizedStruct};
use super::predicate::{SQL_BYTES_MAX, copied, engine_predicate};
use super::snapshot::engine_snapshot;
use super::status::{engine_error, engine_status, produce};
use super::stream::{Stream, engine_stream};
use crate::error::{Error, Result};
use crate::predicate::Predicate;
use crate::scan::{BatchStream, HistoryOptions, Scan};
use crate::snapshot::Snapshot;

/// A flag of engine_scan_options: where one commit adds and removes the same
/// file, which the protocol forbids, the last of the two wins, as in Spark.
/// Without it such a commit is ENGINE_STATUS_CORRUPT_LOG.
pub const ENGINE_SCAN_LAST_ACTION_WINS: u64 = 1;

/// A flag of engine_scan_options: where a complete listing disagrees with what
/// the table itself says of this version (its checksum: number and bytes of the
/// files, protocol and metadata; or what is said of its checkpoint), that is an
/// event of level warning. Without it the stream ends with
/// ENGINE_STATUS_CORRUPT_LOG in place of its end.
pub const ENGINE_SCAN_DISAGREEMENTS_WARN: u64 = 2;

/// A flag of engine_scan_options: engine_scan_rows and engine_scan_change_rows give
/// their batches as they are decoded, in another order each time, and one that takes
/// long holds up no other.
pub const ENGINE_SCAN_UNORDERED: u64 = 4;

/// A flag of engine_scan_options: engine_scan_rows and engine_scan_change_rows may
/// read data files and deletion vectors outside the table's root, by absolute paths
/// of the local file system; a shallow clone has them. The log then names any file that this process
/// may read. Without it they are ENGINE_STATUS_UNSUPPORTED.
pub const ENGINE_SCAN_READS_OUTSIDE_ROOT: u64 = 8;

/// A flag of engine_scan_options: engine_scan_rows and engine_scan_change_rows give all
/// rows of what they have to decode, for a host that filters them itself: files, row
/// groups and pages without a wanted row are left out, as far as that is known.
pub const ENGINE_SCAN_WHOLE_FILES: u64 = 16;

const SCAN_FLAGS: u64 = ENGINE_SCAN_LAST_ACTION_WINS
    | ENGINE_SCAN_DISAGREEMENTS_WARN
    | ENGINE_SCAN_UNORDERED
    | ENGINE_SCAN_READS_OUTSIDE_ROOT
    | ENGINE_SCAN_WHOLE_FILES;

/// The most columns, or kinds of action, that a caller may name.
const NAMES_MAX: usize = 1024;

/// What to read of a snapshot, and how. It does not change, and any number of
/// threads may use it at once.
pub struct engine_scan {
    handle: Handle<Scan>,
}

object!(engine_scan, Scan, b"d.scan..");

/// Settings of a scan. Set struct_size to sizeof(engine_scan_options) and all
/// else to zero, then what you want to be different.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct engine_scan_options {
    /// sizeof(engine_scan_options), so that the struct can grow.
    pub struct_size: usize,
    /// Names of the columns that a batch shall have, in that order; NULL is the
    /// first seven that engine_scan_files lists, with a few more in the streams
    /// of changes and of actions, all but the last of engine_scan_history, and
    /// all of the table's in engine_scan_rows and engine_scan_change_rows, where
    /// the names may be paths. The names are copied; what is not named is not
    /// decoded.
    pub columns: *const *const c_char,
    /// How many names columns has.
    pub columns_len: usize,
    /// The most workers a stream uses: 0 is the engine's number,
    /// ENGINE_THREADS_NONE is none, so that everything runs on the thread that
    /// calls. The batches are the same, whatever the number.
    pub threads: i64,
    /// The most bytes that a stream holds decoded and not yet delivered: 0 is
    /// the engine's number.
    pub window_bytes: u64,
    /// The most decode units (commits, parts of checkpoints, row groups) that a
    /// stream holds submitted and not yet delivered, up to 4096: 0 is four for
    /// each worker.
    pub window_units: u64,
    /// The most rows of a batch: 0 is 8192. Batches end where decode units do
    /// as well, so they often have fewer.
    pub batch_rows: u64,
    /// ENGINE_SCAN_ flags, or-ed together.
    pub flags: u64,
    /// Names of the actions that engine_scan_actions shall have; NULL is all
    /// that it lists. The names are copied; what is not named is not decoded.
    pub action_kinds: *const *const c_char,
    /// How many names action_kinds has.
    pub action_kinds_len: usize,
    /// The most rows of engine_scan_rows and engine_scan_change_rows; 0 is all of
    /// them. The workers stop when they have so many.
    pub row_limit: u64,
    /// An SQL text that is true for the wanted rows, as for engine_predicate_parse:
    /// "day = DATE '2025-01-31'". NULL is all rows. engine_scan_files then has the
    /// live files that may hold such rows: all but those whose partition values or
    /// statistics rule it out. engine_scan_rows and engine_scan_change_rows have just
    /// those rows. The columns it is about need not be among the scan's.
    pub r#where: *const c_char,
    /// The same as a predicate, which is copied; NULL is all rows. With both, both
    /// hold for the wanted rows.
    pub predicate: *const engine_predicate,
}

// SAFETY: repr(C) with struct_size first.
unsafe impl SizedStruct for engine_scan_options {
    const NAME: &'static str = "engine_scan_options";
    const ZERO: Self = engine_scan_options {
        struct_size: 0,
        columns: std::ptr::null(),
        columns_len: 0,
        threads: 0,
        window_bytes: 0,
        window_units: 0,
        batch_rows: 0,
        flags: 0,
        action_kinds: std::ptr::null(),
        action_kinds_len: 0,
        row_limit: 0,
        r#where: std::ptr::null(),
        predicate: std::ptr::null(),
    };
}

// SAFETY: integers and raw pointers accept any bits.
unsafe impl AnyBits for engine_scan_options {}

/// Makes a scan of a snapshot. It reads nothing yet.
///
/// options may be NULL for the defaults. On success *out is the scan, to be
/// freed with engine_scan_free. On failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: a number or a flag is out of range; a field is
/// set that this version of the library does not have; the table does not have a
/// column that rows are wanted by, or its type has no such value, and the message tells
/// the place in the text. Whether there is a column of each name in columns, and none
/// twice, the start of a stream says: each kind of stream has columns of its own. So
/// it does, as ENGINE_STATUS_UNSUPPORTED, where rows cannot be told from others.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_new(
    snapshot: Option<&engine_snapshot>,
    options: *const engine_scan_options,
    out: Option<&mut MaybeUninit<*mut engine_scan>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        // SAFETY: NULL, or a struct that says its size: the header asks for it.
        let options = unsafe { input::read_struct(options) }?;
        // SAFETY: NULL, or an array of `columns_len` C strings that lives
        // during the call: the header asks for it.
        let columns = unsafe { names(options.columns, options.columns_len, "columns") }?;
        let (kinds, len) = (options.action_kinds, options.action_kinds_len);
        // SAFETY: as above, of `action_kinds_len`.
        let kinds = unsafe { names(kinds, len, "action_kinds") }?;
        let filters = [
            match options.r#where.is_null() {
                true => None,
                false => {
                    // SAFETY: a C string that lives during the call: the header asks
                    // for it.
                    let sql = unsafe { input::long_text(options.r#where, SQL_BYTES_MAX, "SQL") }?;
                    Some(Predicate::parse(sql)?)
                }
            },
            // SAFETY: NULL, or a handle: the header asks for it.
            match unsafe { options.predicate.as_ref() } {
                None => None,
                predicate => Some(copied(predicate)?),
            },
        ];
        handle::on(snapshot, |opened| {
            let mut scan = build(&opened.snapshot, &options, columns, kinds)?;
            for filter in filters.into_iter().flatten() {
                scan = scan.filter(filter)?;
            }
            Ok(handle::new(scan))
        })
    })
}

/// The names in the field `what`; `None` for NULL.
///
/// # Safety
/// `items` is NULL, or points to `len` pointers, each of which is NULL or
/// points to a C string that lives as long as `'a`.
unsafe fn names<'a>(
    items: *const *const c_char,
    len: usize,
    what: &str,
) -> Result<Option<Vec<&'a str>>> {
    // SAFETY: as the caller says.
    let names = unsafe { input::array(items, len, NAMES_MAX, what) }?;
    if items.is_null() {
        return Ok(None);
    }
    if names.is_empty() {
        return Err(Error::invalid(format!("{what}_len is 0, but {what} is not NULL")));
    }
    let name = |(i, &name): (usize, &*const c_char)| {
        // SAFETY: NULL or a C string that lives long enough, as the caller says.
        unsafe { input::text(name, &format!("name in {what}[{i}]")) }
    };
    names.iter().enumerate().map(name).collect::<Result<Vec<_>>>().map(Some)
}

fn build(
    snapshot: &Snapshot,
    options: &engine_scan_options,
    columns: Option<Vec<&str>>,
    action_kinds: Option<Vec<&str>>,
) -> Result<Scan> {
    let mut scan = snapshot.scan();
    if let Some(columns) = columns {
        scan = scan.columns(columns);
    }
    if let Some(kinds) = action_kinds {
        scan = scan.action_kinds(kinds);
    }
    if let Some(threads) = input::threads(options.threads)? {
        scan = scan.threads(threads);
    }
    if let Some(bytes) = input::count(options.window_bytes, "window_bytes")? {
        scan = scan.window_bytes(bytes);
    }
    if let Some(units) = input::count(options.window_units, "window_units")? {
        scan = scan.window_units(units);
    }
    if let Some(rows) = input::count(options.batch_rows, "batch_rows")? {
        scan = scan.batch_rows(rows);
    }
    if options.row_limit != 0 {
        scan = scan.limit(options.row_limit);
    }
    input::flags(options.flags, SCAN_FLAGS)?;
    if options.flags & ENGINE_SCAN_LAST_ACTION_WINS != 0 {
        scan = scan.last_action_wins();
    }
    if options.flags & ENGINE_SCAN_DISAGREEMENTS_WARN != 0 {
        scan = scan.disagreements_warn();
    }
    if options.flags & ENGINE_SCAN_UNORDERED != 0 {
        scan = scan.unordered();
    }
    if options.flags & ENGINE_SCAN_READS_OUTSIDE_ROOT != 0 {
        scan = scan.reads_outside_root();
    }
    if options.flags & ENGINE_SCAN_WHOLE_FILES != 0 {
        scan = scan.whole_files();
    }
    Ok(scan)
}

/// Frees a scan. Its streams stay usable. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_free(scan: Option<Box<engine_scan>>) {
    handle::free(scan, |_| ());
}

/// Starts a stream of the snapshot's live files, as Arrow batches with one row
/// for each file. Decoding has begun when this returns, and runs ahead of the
/// caller as far as the window allows. A scan can start any number of streams;
/// all give the same batches in the same order. The columns, with Arrow's
/// formats (all but path are null where the log says nothing):
///
/// - path, u: as the log has it, a URI reference, percent-encoded
/// - size, l: bytes of the data file
/// - modification_time, tsm:UTC: when the data file was made
/// - partition_values, +m of u to u: as the log has them, by physical name
/// - num_records, l: rows by the statistics, deleted ones included
/// - stats, u: the statistics, as JSON
/// - deletion_vector, +s: storage_type u, path_or_inline_dv u, offset i,
///   size_in_bytes i, cardinality l; null where no row is deleted
/// - partition, +s: the partition values, typed, by logical name
/// - tags, +m of u to u
/// - data_change, b
/// - base_row_id, l: the row id of the file's first row
/// - default_row_commit_version, l
/// - clustering_provider, u
///
/// On success *out is the stream, to be freed with engine_stream_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: the scan names a column that such a stream
/// does not have.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_files(
    scan: Option<&engine_scan>,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    start(scan, out, error, Scan::files)
}

/// Starts a stream of the table's rows: what its data files hold, as Arrow
/// batches in the types of engine_snapshot_schema; ffi-tests/read_rows.c prints
/// some. Files, footers and row groups are read ahead on the workers. The rows
/// come file by file, in the order that each file has them, unless the scan is
/// ENGINE_SCAN_UNORDERED. Deleted rows are left out; a column that a file does not
/// have is null.
///
/// The scan's columns are paths: a name, or names with dots between them for the
/// field of a struct (s.a), of a list's elements (l.element.a), of a map's values
/// (m.value.a); backticks go about a name that has a dot. Paths into one struct
/// make one struct of what is wanted of it. No other column's bytes are read.
/// There are, too, each as a column of just that name:
///
/// - _metadata.file_path, u: the data file's path as the log has it
/// - _metadata.row_index, l: the row's place in its file, from 0, deleted rows
///   counted
/// - _metadata.file_modification_time, tsu:UTC
/// - _metadata.row_id, _metadata.row_commit_version, l: of row tracking
///
/// On success *out is the stream, to be freed with engine_stream_free. On
/// failure *out is NULL. A data file that is missing, cannot be read as the
/// table's columns or lies outside the table's root ends the stream with an error
/// that names it.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: the scan names a column that the table does
/// not have, or row tracking's where the table tracks no rows.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_rows(
    scan: Option<&engine_scan>,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    start(scan, out, error, Scan::rows)
}

/// Counts the table's rows by the log alone: no data file is read. On success
/// *out is the exact number; on failure it is 0. It lists the files, on the
/// thread that calls and the workers, and returns when that is done.
///
/// ENGINE_STATUS_UNSUPPORTED: the statistics of a file, which the message names,
/// do not say how many rows it has.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_count(
    scan: Option<&engine_scan>,
    out: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, 0, error, || handle::on(scan, |scan| scan.count()))
}

/// Starts a stream of what brings the live files of base_version to those of
/// the scan's snapshot, for a host that keeps a list of them: ffi-tests/changes.c
/// does so. One row for each logical file that the commits between speak of, its
/// newest action. No key comes twice, so rows may be applied in any order. A
/// logical file is a path, percent-decoded, together with its deletion vector's
/// storage type, path or inline text, and offset. A file whose deletion vector
/// was replaced is a remove of the old one and an add of the new one. The
/// columns are those of engine_scan_files, null in a remove that does not have
/// them, and:
///
/// - change, u: add or remove. The file of an add may be in the list already:
///   then the row takes its place. That of a remove need not be in it
/// - version, l: the version whose commit holds the action
/// - deletion_timestamp, tsm:UTC: when the file was removed
/// - extended_file_metadata, b: of a remove, as the log has it
///
/// Without columns of the scan's it has change, then those that a listing has.
/// With the snapshot's own version for base_version it is empty.
///
/// On success *out is the stream, to be freed with engine_stream_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_NOT_FOUND: the log no longer reaches back to base_version; list
/// the files anew. ENGINE_STATUS_INVALID_ARGUMENT: base_version is newer than
/// the snapshot, or the scan names a column that such a stream does not have.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_changes(
    scan: Option<&engine_scan>,
    base_version: u64,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    start(scan, out, error, |scan| scan.changes_since(base_version))
}

/// Starts a stream of the actions in the commits from first_version to
/// last_version, the oldest commit first, each commit's in the order of its
/// lines: the log's side of a change data feed. Every action is a row, as its
/// commit says it; nothing is reconciled. The columns are those of
/// engine_scan_files, null where the action does not have them, path too, and:
///
/// - version, l: the commit's version
/// - action, u: add, remove, cdc, metaData, protocol, txn, domainMetadata or
///   commitInfo; action_kinds of engine_scan_options chooses some
/// - deletion_timestamp, tsm:UTC: of a remove
/// - extended_file_metadata, b: of a remove
/// - json, u: of an action that is none of the first three, the object that the
///   log has under its name, to the byte
///
/// Without columns of the scan's it has version and action, then those that a
/// listing has, then data_change and json. It is empty where first_version is
/// after last_version.
///
/// On success *out is the stream, to be freed with engine_stream_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_NOT_FOUND: the log no longer reaches back to first_version.
/// ENGINE_STATUS_INVALID_ARGUMENT: last_version is newer than the snapshot; the
/// scan names a column, or a kind of action, that does not exist.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_actions(
    scan: Option<&engine_scan>,
    first_version: u64,
    last_version: u64,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    start(scan, out, error, |scan| scan.actions(first_version..=last_version))
}

/// Starts a stream of the rows that the versions from first_version to the scan's
/// snapshot inserted, updated and deleted: a change data feed;
/// ffi-tests/change_rows.c keeps a sum up to date by it. The oldest version comes
/// first, unless the scan is ENGINE_SCAN_UNORDERED. The columns are those of
/// engine_scan_rows, in the snapshot's schema and without row tracking's, and behind
/// them, or where the scan names them:
///
/// - _change_type, u: insert, delete, update_preimage or update_postimage
/// - _commit_version, l: the version that made the change
/// - _commit_timestamp, tsu:UTC: when, as in engine_scan_history
///
/// A version with change data files (cdc actions) has just their rows. In any other
/// the rows of the files that it adds were inserted, and those of the files that it
/// removes were deleted, so far as it changes data; of a file that gets another
/// deletion vector, only the rows that make the difference. Columns that were added
/// since a version are null in its rows.
///
/// On success *out is the stream, to be freed with engine_stream_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_UNSUPPORTED, here for first_version and else of the stream, naming
/// the version: the table did not record its changes (delta.enableChangeDataFeed),
/// or a column was renamed or dropped since, or has another type.
/// ENGINE_STATUS_NOT_FOUND: the log no longer reaches back to first_version.
/// ENGINE_STATUS_INVALID_ARGUMENT: first_version is newer than the snapshot, or the
/// scan names a column that such a stream does not have.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_change_rows(
    scan: Option<&engine_scan>,
    first_version: u64,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    start(scan, out, error, |scan| scan.change_rows(first_version))
}

/// Starts a stream of the commits from last_version down to first_version, with
/// one row for each: who did what, and when. limit is the most rows, and 0 is
/// all. It ends, without an error, where the log begins, and what is newer than
/// the snapshot has no row: 0 and ENGINE_VERSION_NONE are the whole history. The
/// columns (all but the first two are null where a commit does not say):
///
/// - version, l
/// - timestamp, tsm:UTC: when it was committed: the in-commit timestamp where the
///   table has them, and the modification time of the commit's file before
/// - in_commit_timestamp, tsm:UTC
/// - operation, u
/// - operation_parameters, +m of u to u
/// - operation_metrics, +m of u to u
/// - engine_info, user_metadata, user_id, user_name, isolation_level, u
/// - read_version, l
/// - is_blind_append, b
/// - txn_id, u
/// - tags, +m of u to u
/// - commit_info, u: all of the commitInfo, the JSON as the log has it
///
/// On success *out is the stream, to be freed with engine_stream_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: first_version is after last_version, or the
/// scan names a column that such a stream does not have.
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_history(
    scan: Option<&engine_scan>,
    first_version: u64,
    last_version: u64,
    limit: u64,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    let mut options = HistoryOptions::new().versions(first_version..=last_version);
    if limit != 0 {
        options = options.limit(limit);
    }
    start(scan, out, error, |scan| scan.history(&options))
}

fn start(
    scan: Option<&engine_scan>,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
    stream: impl FnOnce(&Scan) -> Result<BatchStream>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        handle::on(scan, |scan| Ok(handle::new(Stream::of(stream(scan)?))))
    })
}
