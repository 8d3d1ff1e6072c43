//! `engine_scan`: what to read of a snapshot, as C holds it.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::handle::{self, Handle, object};
use super::input::{self, AnyBits, SizedStruct};
use super::snapshot::engine_snapshot;
use super::status::{engine_error, engine_status, produce};
use super::stream::{Stream, engine_stream};
use crate::error::{Error, Result};
use crate::scan::Scan;
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

/// The most columns that a caller may name.
const COLUMNS_MAX: usize = 1024;

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
    /// Names of the columns that a batch of live files shall have, in that
    /// order; NULL is the first seven that engine_scan_files lists. The names
    /// are copied; what is not named is not decoded.
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
    /// The most decode units (commits, parts of checkpoints) that a stream
    /// holds submitted and not yet delivered, up to 4096: 0 is four for each
    /// worker.
    pub window_units: u64,
    /// The most rows of a batch: 0 is 8192. Batches end where decode units do
    /// as well, so they often have fewer.
    pub batch_rows: u64,
    /// ENGINE_SCAN_ flags, or-ed together.
    pub flags: u64,
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
    };
}

// SAFETY: integers and a raw pointer accept any bits.
unsafe impl AnyBits for engine_scan_options {}

/// Makes a scan of a snapshot. It reads nothing yet.
///
/// options may be NULL for the defaults. On success *out is the scan, to be
/// freed with engine_scan_free. On failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: there is no column of that name, or it
/// appears twice; a number or a flag is out of range; a field is set that this
/// version of the library does not have.
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
        let columns = unsafe { column_names(options.columns, options.columns_len) }?;
        handle::on(snapshot, |opened| {
            let scan = build(&opened.snapshot, &options, columns)?;
            // A wrong name is reported here, where the caller wrote it, and
            // not by the first stream.
            scan.files_schema()?;
            Ok(handle::new(scan))
        })
    })
}

/// The names in `columns`; `None` for NULL.
///
/// # Safety
/// `columns` is NULL, or points to `len` pointers, each of which is NULL or
/// points to a C string that lives as long as `'a`.
unsafe fn column_names<'a>(
    columns: *const *const c_char,
    len: usize,
) -> Result<Option<Vec<&'a str>>> {
    // SAFETY: as the caller says.
    let names = unsafe { input::array(columns, len, COLUMNS_MAX, "columns") }?;
    if columns.is_null() {
        return Ok(None);
    }
    if names.is_empty() {
        return Err(Error::invalid("columns_len is 0, but columns is not NULL"));
    }
    let name = |(i, &name): (usize, &*const c_char)| {
        // SAFETY: NULL or a C string that lives long enough, as the caller says.
        unsafe { input::text(name, &format!("name in columns[{i}]")) }
    };
    names.iter().enumerate().map(name).collect::<Result<Vec<_>>>().map(Some)
}

fn build(
    snapshot: &Snapshot,
    options: &engine_scan_options,
    columns: Option<Vec<&str>>,
) -> Result<Scan> {
    let mut scan = snapshot.scan();
    if let Some(columns) = columns {
        scan = scan.columns(columns);
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
    input::flags(options.flags, ENGINE_SCAN_LAST_ACTION_WINS | ENGINE_SCAN_DISAGREEMENTS_WARN)?;
    if options.flags & ENGINE_SCAN_LAST_ACTION_WINS != 0 {
        scan = scan.last_action_wins();
    }
    if options.flags & ENGINE_SCAN_DISAGREEMENTS_WARN != 0 {
        scan = scan.disagreements_warn();
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
#[unsafe(no_mangle)]
pub extern "C" fn engine_scan_files(
    scan: Option<&engine_scan>,
    out: Option<&mut MaybeUninit<*mut engine_stream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        handle::on(scan, |scan| Ok(handle::new(Stream::of(scan.files()?))))
    })
}
