//! The readers that know the library only as C does: by the exported functions
//! and by what `include/delta_engine.h` says of them.
//!
//! The declarations below repeat the few lines of the header that a listing
//! needs; the numbers of the layout are those of `ffi-tests/layout.c`.
use super::readers::{Holds, Listing, Outcome, Reader, drained};
use arrow::array::{RecordBatch, StructArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi};
use arrow::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use delta_engine::{Error, ErrorKind};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{MaybeUninit, offset_of};
use std::ptr::{null, null_mut};
use std::sync::Arc;

const ABI_VERSION: u32 = 1;
const STATUS_OK: c_int = 0;
const STATUS_END: c_int = 1;
const ERROR_MESSAGE_SIZE: usize = 1024;
const THREADS_NONE: i64 = -1;
const SCAN_LAST_ACTION_WINS: u64 = 1;
const SCAN_UNORDERED: u64 = 4;

#[repr(C)]
struct EngineOptions {
    struct_size: usize,
    threads: i64,
    window_bytes: u64,
    on_event: *const c_void,
    user_data: *mut c_void,
}

#[repr(C)]
struct ScanOptions {
    struct_size: usize,
    columns: *const *const c_char,
    columns_len: usize,
    threads: i64,
    window_bytes: u64,
    window_units: u64,
    batch_rows: u64,
    flags: u64,
    action_kinds: *const *const c_char,
    action_kinds_len: usize,
    row_limit: u64,
}

#[repr(C)]
struct CError {
    status: c_int,
    message: [c_char; ERROR_MESSAGE_SIZE],
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<EngineOptions>() == 40);
    assert!(offset_of!(EngineOptions, threads) == 8);
    assert!(offset_of!(EngineOptions, window_bytes) == 16);
    assert!(size_of::<ScanOptions>() == 88);
    assert!(offset_of!(ScanOptions, columns) == 8);
    assert!(offset_of!(ScanOptions, columns_len) == 16);
    assert!(offset_of!(ScanOptions, threads) == 24);
    assert!(offset_of!(ScanOptions, window_bytes) == 32);
    assert!(offset_of!(ScanOptions, window_units) == 40);
    assert!(offset_of!(ScanOptions, batch_rows) == 48);
    assert!(offset_of!(ScanOptions, flags) == 56);
    assert!(offset_of!(ScanOptions, row_limit) == 80);
    assert!(size_of::<CError>() == 1028);
    assert!(offset_of!(CError, message) == 4);
};

// A handle is a `void *` here: what it points to is not for C to know, and the
// library tells one kind from another by itself.
unsafe extern "C" {
    safe fn engine_abi_version() -> u32;
    safe fn engine_status_name(status: c_int) -> *const c_char;
    fn engine_new(options: *const EngineOptions, out: *mut Raw, error: *mut CError) -> c_int;
    fn engine_free(engine: Raw);
    fn engine_snapshot_open(
        engine: Raw,
        table: *const c_char,
        out: *mut Raw,
        error: *mut CError,
    ) -> c_int;
    fn engine_snapshot_open_at(
        engine: Raw,
        table: *const c_char,
        version: u64,
        out: *mut Raw,
        error: *mut CError,
    ) -> c_int;
    fn engine_snapshot_free(snapshot: Raw);
    fn engine_scan_new(
        snapshot: Raw,
        options: *const ScanOptions,
        out: *mut Raw,
        error: *mut CError,
    ) -> c_int;
    fn engine_scan_free(scan: Raw);
    fn engine_scan_files(scan: Raw, out: *mut Raw, error: *mut CError) -> c_int;
    fn engine_scan_rows(scan: Raw, out: *mut Raw, error: *mut CError) -> c_int;
    fn engine_stream_schema(stream: Raw, out: *mut FFI_ArrowSchema, error: *mut CError) -> c_int;
    fn engine_next_batch(stream: Raw, out: *mut FFI_ArrowArray, error: *mut CError) -> c_int;
    fn engine_stream_export(
        stream: Raw,
        out: *mut FFI_ArrowArrayStream,
        error: *mut CError,
    ) -> c_int;
    fn engine_stream_free(stream: Raw);
}

type Raw = *mut c_void;

// ---------------------------------------------------------------- the readers

/// Reads with `engine_next_batch`. 0 threads are asked of the engine.
pub struct CStream {
    pub threads: usize,
}

/// Reads an `ArrowArrayStream` with Arrow's own reader. 0 threads are asked of
/// the scan, whose engine has workers.
pub struct ArrowStream {
    pub threads: usize,
}

impl Reader for CStream {
    fn name(&self) -> String {
        format!("engine_next_batch, {} threads", self.threads)
    }

    fn read(&self, listing: &Listing) -> Outcome {
        let stream = match start(listing, number(self.threads), 0) {
            Ok(stream) => stream,
            Err(error) => return Outcome::failed(error),
        };
        let ffi_schema = stream.schema();
        let schema = Schema::try_from(&ffi_schema).expect("a schema that Arrow can import");
        drained(Arc::new(schema), || Some(stream.next()?.map(|array| imported(array, &ffi_schema))))
    }

    fn told(&self, error: &Error, _started: bool) -> Error {
        cut(error)
    }
}

impl Reader for ArrowStream {
    fn name(&self) -> String {
        format!("the Arrow stream, {} threads", self.threads)
    }

    fn read(&self, listing: &Listing) -> Outcome {
        let stream = match start(listing, 2, number(self.threads)) {
            Ok(stream) => stream,
            Err(error) => return Outcome::failed(error),
        };
        let schema = SchemaRef::new(
            Schema::try_from(&stream.schema()).expect("a schema that Arrow can import"),
        );
        let exported = stream.export();
        drop(stream);
        let mut reader = RecordBatchStreamReader::try_new(exported).expect("an Arrow stream");
        drained(schema, || Some(reader.next()?.map_err(|error| of_arrow(&error))))
    }

    fn told(&self, error: &Error, started: bool) -> Error {
        // An Arrow stream lends its text, which has no largest size.
        if started { error.clone() } else { cut(error) }
    }
}

/// How C says it: there, 0 is the default.
fn number(threads: usize) -> i64 {
    if threads == 0 { THREADS_NONE } else { threads as i64 }
}

/// The stream of `listing`, with all that it came from freed already.
fn start(listing: &Listing, engine_threads: i64, scan_threads: i64) -> Result<Stream, Error> {
    assert_eq!(engine_abi_version(), ABI_VERSION, "the declarations above are of another version");
    let options = EngineOptions {
        struct_size: size_of::<EngineOptions>(),
        threads: engine_threads,
        window_bytes: 0,
        on_event: null(),
        user_data: null_mut(),
    };
    let engine = Handle::new(engine_free, |out, error| {
        // SAFETY: options that say their size, and two out parameters.
        unsafe { engine_new(&options, out, error) }
    })?;

    let table = CString::new(listing.table.to_str().expect("a UTF-8 path")).expect("no NUL");
    let snapshot = Handle::new(engine_snapshot_free, |out, error| match listing.version {
        // SAFETY: a handle, a C string and two out parameters.
        None => unsafe { engine_snapshot_open(engine.raw, table.as_ptr(), out, error) },
        // SAFETY: as above.
        Some(version) => unsafe {
            engine_snapshot_open_at(engine.raw, table.as_ptr(), version, out, error)
        },
    })?;

    let names = listing.columns.as_ref().map(|columns| {
        assert!(!columns.is_empty(), "no columns is the default in C");
        let name = |name: &String| CString::new(name.as_str()).expect("no NUL");
        columns.iter().map(name).collect::<Vec<_>>()
    });
    let names: Option<Vec<_>> =
        names.as_ref().map(|names| names.iter().map(|name| name.as_ptr()).collect());
    assert_ne!(listing.batch_rows, Some(0), "no rows are the default in C");
    assert_ne!(listing.limit, Some(0), "all rows are the default in C");
    let last_action_wins = if listing.last_action_wins { SCAN_LAST_ACTION_WINS } else { 0 };
    let unordered = if listing.unordered { SCAN_UNORDERED } else { 0 };
    let options = ScanOptions {
        struct_size: size_of::<ScanOptions>(),
        columns: names.as_ref().map_or(null(), |names| names.as_ptr()),
        columns_len: names.as_ref().map_or(0, Vec::len),
        threads: scan_threads,
        window_bytes: 0,
        window_units: 2,
        batch_rows: listing.batch_rows.unwrap_or(0) as u64,
        flags: last_action_wins | unordered,
        action_kinds: null(),
        action_kinds_len: 0,
        row_limit: listing.limit.unwrap_or(0),
    };
    let scan = Handle::new(engine_scan_free, |out, error| {
        // SAFETY: a handle, options that say their size and whose names live
        // longer than the call, and two out parameters.
        unsafe { engine_scan_new(snapshot.raw, &options, out, error) }
    })?;
    let stream = Handle::new(engine_stream_free, |out, error| match listing.holds {
        // SAFETY: a handle and two out parameters.
        Holds::Files => unsafe { engine_scan_files(scan.raw, out, error) },
        // SAFETY: as above.
        Holds::Rows => unsafe { engine_scan_rows(scan.raw, out, error) },
    })?;
    Ok(Stream(stream))
}

fn imported(array: FFI_ArrowArray, schema: &FFI_ArrowSchema) -> RecordBatch {
    // SAFETY: the header says that the array is of the stream's schema.
    let data = unsafe { from_ffi(array, schema) }.expect("an array that Arrow can import");
    data.validate_full().expect("an array as Arrow wants it");
    RecordBatch::from(StructArray::from(data))
}

// ----------------------------------------------------------------- the handles

/// A handle, freed when it goes.
struct Handle {
    raw: Raw,
    free: unsafe extern "C" fn(Raw),
}

impl Handle {
    fn new(
        free: unsafe extern "C" fn(Raw),
        make: impl FnOnce(*mut Raw, *mut CError) -> c_int,
    ) -> Result<Self, Error> {
        let raw = answer(make, |raw| raw.is_null()).expect("a handle, not the end")?;
        Ok(Handle { raw, free })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: this kind of handle is freed by this function, once and here.
        unsafe { (self.free)(self.raw) }
    }
}

struct Stream(Handle);

impl Stream {
    fn schema(&self) -> FFI_ArrowSchema {
        let made = answer(
            // SAFETY: a handle and two out parameters.
            |out, error| unsafe { engine_stream_schema(self.0.raw, out, error) },
            |schema| schema.release().is_none(),
        );
        made.expect("a schema, not the end").expect("a schema in every state")
    }

    fn next(&self) -> Option<Result<FFI_ArrowArray, Error>> {
        answer(
            // SAFETY: a handle and two out parameters.
            |out, error| unsafe { engine_next_batch(self.0.raw, out, error) },
            FFI_ArrowArray::is_released,
        )
    }

    fn export(&self) -> FFI_ArrowArrayStream {
        let made = answer(
            // SAFETY: a handle and two out parameters.
            |out, error| unsafe { engine_stream_export(self.0.raw, out, error) },
            |stream| stream.release().is_none(),
        );
        made.expect("a stream, not the end").expect("a stream that nobody read yet")
    }
}

/// What `call` wrote; `None` at the end of a stream.
fn answer<T>(
    call: impl FnOnce(*mut T, *mut CError) -> c_int,
    is_empty: impl FnOnce(&T) -> bool,
) -> Option<Result<T, Error>> {
    let mut out = MaybeUninit::uninit();
    let mut error = MaybeUninit::uninit();
    let status = call(out.as_mut_ptr(), error.as_mut_ptr());
    // SAFETY: the header says that the out parameter is written in any case.
    let out = unsafe { out.assume_init() };
    // SAFETY: and so is the error.
    let error: CError = unsafe { error.assume_init() };
    assert_eq!(error.status, status, "the error's status");
    assert_eq!(is_empty(&out), status != STATUS_OK, "what is written with status {status}");
    let message = error.message.map(|byte| byte as u8);
    let message = CStr::from_bytes_until_nul(&message).expect("a NUL").to_str().expect("UTF-8");
    assert_eq!(message.is_empty(), matches!(status, STATUS_OK | STATUS_END), "{message}");
    match status {
        STATUS_OK => Some(Ok(out)),
        STATUS_END => None,
        status => {
            // SAFETY: the header promises a C string for every number.
            let name = unsafe { CStr::from_ptr(engine_status_name(status)) };
            Some(Err(Error::new(kind(name.to_str().expect("UTF-8")), message)))
        }
    }
}

// ------------------------------------------------------------------ the errors

fn kind(name: &str) -> ErrorKind {
    use ErrorKind::{
        Bug, Cancelled, CorruptLog, InvalidArgument, LimitExceeded, Misuse, NotFound, Storage,
        Timeout, Unsupported,
    };
    let mut kinds = [
        CorruptLog,
        Storage,
        Unsupported,
        NotFound,
        InvalidArgument,
        Misuse,
        Cancelled,
        Timeout,
        LimitExceeded,
        Bug,
    ]
    .into_iter();
    kinds.find(|kind| kind.name() == name).unwrap_or_else(|| panic!("no kind is named {name:?}"))
}

/// `error` as an `engine_error` has room for it.
fn cut(error: &Error) -> Error {
    let message = error.message();
    let mut end = message.len().min(ERROR_MESSAGE_SIZE - 1);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    Error::new(error.kind(), &message[..end])
}

/// The error that the library gave to Arrow's reader: its text stands last in
/// the reader's own.
fn of_arrow(error: &ArrowError) -> Error {
    let text = error.to_string();
    let (_, text) =
        text.split_once("Producer error: ").unwrap_or_else(|| panic!("no text: {text}"));
    let (name, message) = text.split_once(": ").unwrap_or_else(|| panic!("no kind: {text}"));
    Error::new(kind(name), message)
}
