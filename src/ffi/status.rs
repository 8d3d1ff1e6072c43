//! How a call answers: a status, an optional message, and an out parameter
//! that is never left as it was.

use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::input::{SizedStruct, write_struct};
use crate::error::{Error, ErrorKind, Result, text_of_panic};

/// The version of this header's promises. It changes when a program compiled
/// with the older header would no longer work; compare it with
/// engine_abi_version() when the library is loaded at run time.
pub const ENGINE_ABI_VERSION: u32 = 1;

/// The bytes of an engine_error's message, the final NUL included.
pub const ENGINE_ERROR_MESSAGE_SIZE: usize = 1024;

/// How a call ended, sorted by who must act. Zero is success.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum engine_status {
    /// It worked; the out parameters are written.
    Ok = 0,
    /// The stream has ended: not an error. Every later call says so again.
    End,
    /// The table's log breaks the protocol: look at its writer.
    CorruptLog,
    /// Bytes could not be read: permissions, a vanished file, a failing disk.
    Storage,
    /// The table needs a feature that this library does not read.
    Unsupported,
    /// No such table, version, column or key.
    NotFound,
    /// A value given by the caller makes no sense.
    InvalidArgument,
    /// The caller broke a rule of use, such as two threads in one stream.
    Misuse,
    /// The stream was cancelled.
    Cancelled,
    /// The time given has passed; the same call may be made again.
    Timeout,
    /// A limit that protects the process was reached.
    LimitExceeded,
    /// A defect of this library: please report it with the message.
    Bug,
}

impl From<ErrorKind> for engine_status {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::CorruptLog => engine_status::CorruptLog,
            ErrorKind::Storage => engine_status::Storage,
            ErrorKind::Unsupported => engine_status::Unsupported,
            ErrorKind::NotFound => engine_status::NotFound,
            ErrorKind::InvalidArgument => engine_status::InvalidArgument,
            ErrorKind::Misuse => engine_status::Misuse,
            ErrorKind::Cancelled => engine_status::Cancelled,
            ErrorKind::Timeout => engine_status::Timeout,
            ErrorKind::LimitExceeded => engine_status::LimitExceeded,
            ErrorKind::Bug => engine_status::Bug,
        }
    }
}

/// What went wrong, for a person. The caller owns it, on the stack if it
/// likes: the library allocates nothing for it and keeps no pointer to it. It
/// need not be initialised before a call.
#[repr(C)]
pub struct engine_error {
    /// The same value that the call returned.
    pub status: engine_status,
    /// UTF-8, always NUL-terminated, and cut between two characters when the
    /// text is longer. Empty after ENGINE_STATUS_OK and ENGINE_STATUS_END. It
    /// names the file and never shows a credential; control characters that
    /// came from a table are escaped.
    pub message: [c_char; ENGINE_ERROR_MESSAGE_SIZE],
}

impl engine_error {
    fn new(status: engine_status, text: &str) -> Self {
        let mut message = [0; ENGINE_ERROR_MESSAGE_SIZE];
        let mut end = text.len().min(ENGINE_ERROR_MESSAGE_SIZE - 1);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        for (to, &byte) in message.iter_mut().zip(&text.as_bytes()[..end]) {
            // A NUL inside would end the text early and hide what follows.
            *to = if byte == 0 { b'?' } else { byte } as c_char;
        }
        engine_error { status, message }
    }
}

/// The version of the library that is running, such as "0.1.0". It stays valid
/// for as long as the library is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn engine_version_string() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The ENGINE_ABI_VERSION of the library that is running.
#[unsafe(no_mangle)]
pub extern "C" fn engine_abi_version() -> u32 {
    ENGINE_ABI_VERSION
}

/// A status in words, such as "corrupt log"; "unknown status" for a number
/// that is none. Never NULL; stays valid for as long as the library is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn engine_status_name(status: c_int) -> *const c_char {
    // An int, not the enum: C lets any number be passed for an enum, and a
    // Rust enum must never hold a number that names none of its variants.
    let name = match status {
        0 => c"ok",
        1 => c"end",
        2 => c"corrupt log",
        3 => c"storage",
        4 => c"unsupported",
        5 => c"not found",
        6 => c"invalid argument",
        7 => c"misuse",
        8 => c"cancelled",
        9 => c"timeout",
        10 => c"limit exceeded",
        11 => c"bug",
        _ => c"unknown status",
    };
    name.as_ptr()
}

/// Runs `make` and answers for it: `out` first becomes `empty`, then what was
/// made; a panic becomes an error of kind `Bug`; `error` gets the message.
///
/// `Ok(None)` is the end of a stream.
pub(super) fn produce_or_end<T>(
    out: Option<&mut MaybeUninit<T>>,
    empty: T,
    error: Option<&mut MaybeUninit<engine_error>>,
    make: impl FnOnce() -> Result<Option<T>>,
) -> engine_status {
    let made = match out {
        None => Err(Error::invalid("the out parameter is NULL")),
        Some(out) => {
            let out = out.write(empty);
            let made = in_callback::refused().and_then(|()| caught(make));
            made.map(|made| match made {
                // What is replaced is the empty value, which owns nothing.
                Some(value) => {
                    *out = value;
                    engine_status::Ok
                }
                None => engine_status::End,
            })
        }
    };
    let (status, text) = match &made {
        Ok(status) => (*status, ""),
        Err(e) => (e.kind().into(), e.message()),
    };
    if let Some(error) = error {
        error.write(engine_error::new(status, text));
    }
    status
}

/// [`produce_or_end`] for what has no end.
pub(super) fn produce<T>(
    out: Option<&mut MaybeUninit<T>>,
    empty: T,
    error: Option<&mut MaybeUninit<engine_error>>,
    make: impl FnOnce() -> Result<T>,
) -> engine_status {
    produce_or_end(out, empty, error, || make().map(Some))
}

/// [`produce`] for a struct of the caller's that says its size.
///
/// # Safety
/// `out` is NULL, or points to a `size_t` and as many writable bytes as it says.
pub(super) unsafe fn produce_struct<T: SizedStruct>(
    out: *mut T,
    error: Option<&mut MaybeUninit<engine_error>>,
    make: impl FnOnce() -> Result<T>,
) -> engine_status {
    // SAFETY: the caller's promise.
    let emptied = unsafe { write_struct(out, &T::ZERO) };
    let mut nothing = MaybeUninit::uninit();
    produce(Some(&mut nothing), (), error, || {
        emptied?;
        let made = make()?;
        // SAFETY: the caller's promise.
        unsafe { write_struct(out, &made) }
    })
}

/// What `body` returns; an error of kind `Bug` when it panics.
pub(super) fn caught<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    // What a panic may leave half-changed is behind a handle, and the handle
    // remembers the panic and answers nothing else from then on.
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        Err(Error::bug(format!("the library panicked: {}", text_of_panic(&*payload))))
    })
}

/// Whether this thread is inside the host's event callback.
///
/// A callback that calls the library back could wait for a lock that its own
/// caller holds. So the thread is marked while it is out, and every call that
/// could wait refuses at once.
pub(super) mod in_callback {
    use std::cell::Cell;

    use crate::error::{Error, Result};

    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }

    /// Runs `callback` with the thread marked.
    pub(in crate::ffi) fn marked(callback: impl FnOnce()) {
        let before = INSIDE.replace(true);
        callback();
        INSIDE.set(before);
    }

    /// Whether a call made now comes from inside a callback.
    pub(in crate::ffi) fn now() -> bool {
        INSIDE.get()
    }

    /// The error for a call from inside a callback.
    pub(in crate::ffi) fn refused() -> Result<()> {
        if now() {
            return Err(Error::misuse("an event callback must not call the engine"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn text_of(error: &engine_error) -> String {
        let bytes: Vec<u8> = error.message.iter().map(|&c| c as u8).collect();
        CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap().to_owned()
    }

    fn status_and_text(make: impl FnOnce() -> Result<u8>) -> (engine_status, String, u8) {
        let mut out = MaybeUninit::new(7);
        let mut error = MaybeUninit::uninit();
        let status = produce(Some(&mut out), 0, Some(&mut error), make);
        // SAFETY: `produce` writes `error` whenever it is given.
        let error = unsafe { error.assume_init_ref() };
        assert_eq!(error.status, status);
        // SAFETY: it was initialised above.
        (status, text_of(error), unsafe { out.assume_init() })
    }

    #[test]
    fn a_success_clears_the_error_and_writes_the_out_parameter() {
        assert_eq!(status_and_text(|| Ok(3)), (engine_status::Ok, String::new(), 3));
    }

    #[test]
    fn a_failure_empties_the_out_parameter() {
        let answer = status_and_text(|| Err(Error::not_found("no table at /x")));
        assert_eq!(answer, (engine_status::NotFound, "no table at /x".to_owned(), 0));
    }

    #[test]
    fn a_panic_is_an_error_of_kind_bug() {
        let answer = status_and_text(|| panic!("index {} out of range", 3));
        let text = "the library panicked: index 3 out of range".to_owned();
        assert_eq!(answer, (engine_status::Bug, text, 0));
    }

    #[test]
    fn a_message_is_cut_between_two_characters() {
        // 1023 bytes are left for the text, so the last two-byte character
        // does not fit.
        let error = engine_error::new(engine_status::Bug, &"ü".repeat(600));
        assert_eq!(text_of(&error), "ü".repeat(511));
        let error = engine_error::new(engine_status::Bug, &"x".repeat(1023));
        assert_eq!(text_of(&error).len(), 1023);
    }

    #[test]
    fn a_nul_inside_a_message_does_not_end_it() {
        assert_eq!(text_of(&engine_error::new(engine_status::Bug, "a\0b")), "a?b");
    }

    #[test]
    fn a_call_from_inside_a_callback_is_refused() {
        in_callback::marked(|| {
            let (status, ..) = status_and_text(|| Ok(1));
            assert_eq!(status, engine_status::Misuse);
        });
        assert_eq!(status_and_text(|| Ok(1)).0, engine_status::Ok);
    }

    #[test]
    fn every_status_has_the_name_that_its_kind_has() {
        for kind in [
            ErrorKind::CorruptLog,
            ErrorKind::Storage,
            ErrorKind::Unsupported,
            ErrorKind::NotFound,
            ErrorKind::InvalidArgument,
            ErrorKind::Misuse,
            ErrorKind::Cancelled,
            ErrorKind::Timeout,
            ErrorKind::LimitExceeded,
            ErrorKind::Bug,
        ] {
            let name = engine_status_name(engine_status::from(kind) as c_int);
            // SAFETY: it points to a C string literal.
            let name = unsafe { CStr::from_ptr(name) };
            assert_eq!(name.to_str().unwrap(), kind.name());
        }
    }
}
