//! delta-engine as a C program uses it: these declarations are those of
//! `include/delta_engine.h`, written by hand.

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::{null, null_mut};

use arrow::array::{RecordBatch, StructArray};
use arrow::datatypes::{DataType, Schema};
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema, from_ffi_and_data_type};
// Its exported symbols are linked as well.
use delta_engine::Value;

use super::{Columns, Reader, Sink};
use crate::log_shapes::{Result, one_day};

const OK: c_int = 0;
const END: c_int = 1;
const THREADS_NONE: i64 = -1;

#[repr(C)]
struct EngineOptions {
    struct_size: usize,
    threads: i64,
    window_bytes: u64,
    on_event: Option<unsafe extern "C" fn(*mut c_void, c_int, *const c_char)>,
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
    filter: *const c_char,
}

#[repr(C)]
struct Error {
    status: c_int,
    message: [c_char; 1024],
}

unsafe extern "C" {
    fn engine_new(options: *const EngineOptions, out: *mut *mut c_void, error: *mut Error)
    -> c_int;
    fn engine_free(engine: *mut c_void);
    fn engine_snapshot_open(
        engine: *const c_void,
        table: *const c_char,
        out: *mut *mut c_void,
        error: *mut Error,
    ) -> c_int;
    fn engine_snapshot_free(snapshot: *mut c_void);
    fn engine_scan_new(
        snapshot: *const c_void,
        options: *const ScanOptions,
        out: *mut *mut c_void,
        error: *mut Error,
    ) -> c_int;
    fn engine_scan_free(scan: *mut c_void);
    fn engine_scan_files(scan: *const c_void, out: *mut *mut c_void, error: *mut Error) -> c_int;
    fn engine_stream_schema(
        stream: *const c_void,
        out: *mut FFI_ArrowSchema,
        error: *mut Error,
    ) -> c_int;
    fn engine_next_batch(stream: *mut c_void, out: *mut FFI_ArrowArray, error: *mut Error)
    -> c_int;
    fn engine_stream_free(stream: *mut c_void);
}

/// A handle that frees itself.
struct Handle {
    pointer: *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
}

impl Handle {
    fn new(
        free: unsafe extern "C" fn(*mut c_void),
        make: impl FnOnce(*mut *mut c_void, *mut Error) -> c_int,
    ) -> Result<Handle> {
        let mut pointer = null_mut();
        check(|error| make(&mut pointer, error))?;
        Ok(Handle { pointer, free })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the function that made the handle succeeded, `free` is the one
        // for its kind, and nobody frees it but this.
        unsafe { (self.free)(self.pointer) }
    }
}

/// Calls, and says whether there is more: false at the end of a stream.
fn check(call: impl FnOnce(*mut Error) -> c_int) -> Result<bool> {
    let mut error = Error { status: OK, message: [0; 1024] };
    match call(&mut error) {
        OK => Ok(true),
        END => Ok(false),
        _ => {
            let text = error.message.iter().take_while(|&&byte| byte != 0);
            let text: Vec<u8> = text.map(|&byte| byte as u8).collect();
            Err(String::from_utf8_lossy(&text).into())
        }
    }
}

/// An engine.
pub(super) struct DeltaEngine(Handle);

impl DeltaEngine {
    /// With so many workers; with none, everything runs on the thread that calls.
    /// As many as there are cores are the engine's own choice.
    pub(super) fn new(workers: usize) -> Result<DeltaEngine> {
        let options = EngineOptions {
            struct_size: size_of::<EngineOptions>(),
            threads: match workers {
                0 => THREADS_NONE,
                n if std::thread::available_parallelism().is_ok_and(|cores| cores.get() == n) => 0,
                n => n as i64,
            },
            window_bytes: 0,
            on_event: None,
            user_data: null_mut(),
        };
        // SAFETY: both structs and the place of the handle outlive the call.
        let new = |out, error| unsafe { engine_new(&options, out, error) };
        Ok(DeltaEngine(Handle::new(engine_free, new)?))
    }
}

impl Reader for DeltaEngine {
    fn list(&self, root: &Path, columns: Columns, sink: &Sink<'_>) -> Result<()> {
        let DeltaEngine(engine) = self;
        let root = CString::new(root.to_str().ok_or("a path that is not UTF-8")?)?;
        let filter = columns.date().map(|column| format!("{column} = {}", Value::Date(one_day())));
        let filter = filter.map(CString::new).transpose()?;
        let columns = match columns {
            Columns::All | Columns::OneDay | Columns::OneDayStats => &[
                c"path",
                c"size",
                c"modification_time",
                c"partition_values",
                c"stats",
                c"deletion_vector",
            ][..],
            Columns::Paths => &[c"path", c"size"],
        };
        let columns: Vec<_> = columns.iter().map(|name| name.as_ptr()).collect();
        let options = ScanOptions {
            struct_size: size_of::<ScanOptions>(),
            columns: columns.as_ptr(),
            columns_len: columns.len(),
            threads: 0,
            window_bytes: 0,
            window_units: 0,
            batch_rows: 0,
            flags: 0,
            action_kinds: null(),
            action_kinds_len: 0,
            row_limit: 0,
            filter: filter.as_ref().map_or(null(), |filter| filter.as_ptr()),
        };

        // SAFETY: the engine lives, and the name ends with a NUL.
        let open =
            |out, error| unsafe { engine_snapshot_open(engine.pointer, root.as_ptr(), out, error) };
        let snapshot = Handle::new(engine_snapshot_free, open)?;
        // SAFETY: the snapshot lives, and so do the options and the texts in them.
        let new = |out, error| unsafe { engine_scan_new(snapshot.pointer, &options, out, error) };
        let scan = Handle::new(engine_scan_free, new)?;
        // SAFETY: the scan lives.
        let files = |out, error| unsafe { engine_scan_files(scan.pointer, out, error) };
        let stream = Handle::new(engine_stream_free, files)?;

        let mut schema = FFI_ArrowSchema::empty();
        // SAFETY: the stream lives, and `schema` is a place for the answer.
        check(|error| unsafe { engine_stream_schema(stream.pointer, &mut schema, error) })?;
        let fields = DataType::Struct(Schema::try_from(&schema)?.fields);
        loop {
            let mut batch = FFI_ArrowArray::empty();
            // SAFETY: the stream lives, this thread alone asks it, and `batch` is a
            // place for the answer that holds nothing yet.
            if !check(|error| unsafe { engine_next_batch(stream.pointer, &mut batch, error) })? {
                return Ok(());
            }
            // SAFETY: the stream filled the array, and the type is that of its schema.
            let batch = unsafe { from_ffi_and_data_type(batch, fields.clone()) }?;
            sink(&RecordBatch::from(StructArray::from(batch)), &[])?;
        }
    }
}
