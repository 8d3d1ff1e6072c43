//! `engine`: the pool of workers, as C holds it.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;

use super::handle::{self, Handle, object};
use super::input::{self, AnyBits, SizedStruct};
use super::status::{engine_error, engine_status, in_callback, produce};
use crate::engine::{Engine, EventLevel};
use crate::error::Result;

/// A pool of workers and the defaults of its streams. One for a process is
/// enough; it may be used by any number of threads at once.
pub struct engine {
    handle: Handle<Engine>,
}

// A panic while one table is opened must not take every other table of the
// process with it: opening changes nothing in the engine.
object!(engine, Engine, b"d.engine", POISONED_BY_PANIC = false);

/// How loud an event is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum engine_event_level {
    /// For whoever debugs the host.
    Debug = 0,
    /// A step worth a line in a log.
    Info,
    /// Something odd that was survived, such as an incomplete checkpoint.
    Warning,
}

/// Told of events, for the host's log: one line of UTF-8, valid during the
/// call only. It may be called from any thread, the library's own included,
/// and from several at once. It must not call the library: such a call is
/// refused with ENGINE_STATUS_MISUSE, and such a free does nothing. It must
/// not leave by longjmp. A C++ exception that leaves it ends the process.
pub type engine_event_callback = Option<
    unsafe extern "C-unwind" fn(
        user_data: *mut c_void,
        level: engine_event_level,
        message: *const c_char,
    ),
>;

/// Settings of an engine. Set struct_size to sizeof(engine_options) and all
/// else to zero, then what you want to be different.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct engine_options {
    /// sizeof(engine_options), so that the struct can grow.
    pub struct_size: usize,
    /// Workers that decode, at most 1024: 0 is one for each core this process
    /// may use, and none for a table that is decoded before a thread has
    /// started; ENGINE_THREADS_NONE is none, so that everything runs on the
    /// thread that calls.
    pub threads: i64,
    /// The most bytes that a stream holds decoded and not yet delivered: 0 is
    /// 32 MiB.
    pub window_bytes: u64,
    /// Told of events; NULL for silence.
    pub on_event: engine_event_callback,
    /// Given to on_event as it is. It must stay valid until the engine and all
    /// that came from it are freed.
    pub user_data: *mut c_void,
}

// SAFETY: repr(C) with struct_size first.
unsafe impl SizedStruct for engine_options {
    const NAME: &'static str = "engine_options";
    const ZERO: Self = engine_options {
        struct_size: 0,
        threads: 0,
        window_bytes: 0,
        on_event: None,
        user_data: std::ptr::null_mut(),
    };
}

// SAFETY: integers, a nullable function pointer and a raw pointer accept any
// bits. (That the pointer points to a function is for the caller to get right,
// as the header says.)
unsafe impl AnyBits for engine_options {}

/// The host's callback with its data.
struct Callback {
    function: unsafe extern "C-unwind" fn(*mut c_void, engine_event_level, *const c_char),
    user_data: *mut c_void,
}

// SAFETY: the pointer is never followed here, and the header says that the
// callback is called from any thread.
unsafe impl Send for Callback {}
// SAFETY: as above; the header says "from several at once".
unsafe impl Sync for Callback {}

impl Callback {
    fn call(&self, level: EventLevel, message: &str) {
        let level = match level {
            EventLevel::Debug => engine_event_level::Debug,
            EventLevel::Info => engine_event_level::Info,
            EventLevel::Warning => engine_event_level::Warning,
        };
        let message: Vec<u8> = message.bytes().filter(|&byte| byte != 0).collect();
        let Ok(message) = CString::new(message) else { return };
        in_callback::marked(|| {
            // SAFETY: the host gave a function of this type that may be called
            // from any thread; `message` lives during the call.
            unsafe { (self.function)(self.user_data, level, message.as_ptr()) }
        });
    }
}

/// Makes an engine. No thread starts before the first stream needs one.
///
/// options may be NULL for the defaults. On success *out is the engine, to be
/// freed with engine_free. On failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: out is NULL, struct_size is not the size of
/// the struct, a number is out of range, or a field is set that this version
/// of the library does not have.
#[unsafe(no_mangle)]
pub extern "C" fn engine_new(
    options: *const engine_options,
    out: Option<&mut MaybeUninit<*mut engine>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        // SAFETY: NULL, or a struct that says its size: the header asks for it.
        let options = unsafe { input::read_struct(options) }?;
        Ok(handle::new(build(&options)?))
    })
}

fn build(options: &engine_options) -> Result<Engine> {
    let mut builder = Engine::builder();
    if let Some(threads) = input::threads(options.threads)? {
        builder = builder.threads(threads);
    }
    if let Some(bytes) = input::count(options.window_bytes, "window_bytes")? {
        builder = builder.window_bytes(bytes);
    }
    if let Some(function) = options.on_event {
        let callback = Callback { function, user_data: options.user_data };
        builder = builder.on_event(move |event| callback.call(event.level, event.message));
    }
    builder.build()
}

/// Frees an engine. Its snapshots, scans and streams stay usable: the workers
/// are joined when the last of them is freed. NULL is allowed. In a child
/// process after fork it does nothing, since the workers are not there.
#[unsafe(no_mangle)]
pub extern "C" fn engine_free(engine: Option<Box<engine>>) {
    handle::free(engine, |_| ());
}
