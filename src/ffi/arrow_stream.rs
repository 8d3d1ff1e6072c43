//! A stream as an `ArrowArrayStream`: the Arrow C stream interface's callbacks.
//!
//! Arrow's own exporter lets a panic of the reader reach C and stops at a NUL
//! in an error's text. So the callbacks are our own, over the same body that
//! the handle has: one consumer at a time, the same answer after the last.

use std::ffi::{CString, c_char, c_int};
use std::sync::{Arc, Mutex};

use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;

use super::handle::{Body, after_fork, is_other_process};
use super::status::{caught, in_callback};
use super::stream::{Consumer, Stream};
use crate::error::{Error, ErrorKind, Result};

/// What `private_data` points to.
struct Exported {
    pid: u32,
    body: Arc<Body<Stream>>,
    last_error: Mutex<Option<CString>>,
}

/// An Arrow stream over `body`, which must have no other consumer.
pub(super) fn new(body: Arc<Body<Stream>>) -> FFI_ArrowArrayStream {
    let exported = Exported { pid: std::process::id(), body, last_error: Mutex::new(None) };
    let exported = Box::into_raw(Box::new(exported));
    // SAFETY: each callback expects the `Exported` that is given here as
    // private data and lives until `release`, which frees it once and marks
    // the stream as released.
    unsafe {
        FFI_ArrowArrayStream::new_unchecked(
            Some(get_schema),
            Some(get_next),
            Some(get_last_error),
            Some(release),
            exported.cast(),
        )
    }
}

/// What `stream` stands for; `None` if it is NULL or was released.
///
/// # Safety
/// `stream` is NULL, or points to a stream that [`new`] made, wherever it was
/// moved to since, or that was released.
unsafe fn exported<'a>(stream: *mut FFI_ArrowArrayStream) -> Option<&'a Exported> {
    // SAFETY: the caller's promise.
    let stream = unsafe { stream.as_ref() }?;
    // SAFETY: NULL in a released stream; else what `new` put there, which lives
    // until the release, and is only ever shared.
    unsafe { stream.private_data().cast::<Exported>().as_ref() }
}

/// Runs `call` and writes what it gives to `out`, which is empty otherwise;
/// answers in errno codes and keeps the message.
///
/// # Safety
/// As [`exported`]; `out` is NULL or may be written.
unsafe fn answer<T>(
    stream: *mut FFI_ArrowArrayStream,
    out: *mut T,
    empty: T,
    call: impl FnOnce(&Stream) -> Result<T>,
) -> c_int {
    if out.is_null() {
        return libc::EINVAL;
    }
    // SAFETY: the caller says that `out` may be written; what was there is not
    // ours to release.
    unsafe { out.write(empty) };
    // SAFETY: the caller's promise.
    let Some(exported) = (unsafe { exported(stream) }) else { return libc::EINVAL };
    let made = caught(|| {
        in_callback::refused()?;
        if is_other_process(exported.pid) {
            return Err(after_fork());
        }
        exported.body.run(call)
    });
    match made {
        Ok(value) => {
            // SAFETY: as above; the empty value owns nothing.
            unsafe { out.write(value) };
            exported.keep(None);
            0
        }
        Err(e) => {
            let code = errno(e.kind());
            exported.keep(Some(&e));
            code
        }
    }
}

impl Exported {
    fn keep(&self, error: Option<&Error>) {
        let text = error.map(|e| {
            let bytes: Vec<u8> = e.to_string().bytes().filter(|&byte| byte != 0).collect();
            CString::new(bytes).unwrap_or_default()
        });
        // The text is replaced as a whole, so a panic in between is impossible
        // and a poisoned lock would mean nothing.
        *self.last_error.lock().unwrap_or_else(|e| e.into_inner()) = text;
    }
}

fn errno(kind: ErrorKind) -> c_int {
    match kind {
        ErrorKind::Cancelled => libc::ECANCELED,
        ErrorKind::InvalidArgument | ErrorKind::Misuse => libc::EINVAL,
        ErrorKind::Unsupported => libc::ENOTSUP,
        _ => libc::EIO,
    }
}

unsafe extern "C" fn get_schema(
    stream: *mut FFI_ArrowArrayStream,
    out: *mut FFI_ArrowSchema,
) -> c_int {
    // SAFETY: Arrow's interface asks the consumer for a stream that is not
    // released and for room for the answer.
    unsafe { answer(stream, out, FFI_ArrowSchema::empty(), Stream::schema) }
}

unsafe extern "C" fn get_next(
    stream: *mut FFI_ArrowArrayStream,
    out: *mut FFI_ArrowArray,
) -> c_int {
    // The end of an Arrow stream is an array that is released already.
    let next = |stream: &Stream| {
        let batch = stream.next(Consumer::ArrowStream, None)?;
        Ok(batch.unwrap_or_else(FFI_ArrowArray::empty))
    };
    // SAFETY: as in `get_schema`.
    unsafe { answer(stream, out, FFI_ArrowArray::empty(), next) }
}

unsafe extern "C" fn get_last_error(stream: *mut FFI_ArrowArrayStream) -> *const c_char {
    // SAFETY: as in `get_schema`.
    let Some(exported) = (unsafe { exported(stream) }) else { return std::ptr::null() };
    let text = exported.last_error.lock().unwrap_or_else(|e| e.into_inner());
    // The text stays where it is until the next call, as the interface says.
    text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr())
}

unsafe extern "C" fn release(stream: *mut FFI_ArrowArrayStream) {
    if stream.is_null() {
        return;
    }
    // SAFETY: as in `get_schema`.
    let private_data = unsafe { &*stream }.private_data().cast::<Exported>();
    // The interface wants a released stream to say so. The old value must not
    // be dropped: its drop would call this function.
    // SAFETY: `stream` points to a stream, which may be written.
    unsafe { stream.write(FFI_ArrowArrayStream::empty()) };
    if private_data.is_null() {
        return;
    }
    // SAFETY: `new` made it with `Box::into_raw`, and the stream that had it
    // has just forgotten it.
    let exported = unsafe { Box::from_raw(private_data) };
    if is_other_process(exported.pid) || in_callback::now() {
        // Its workers are not here, or may be this thread.
        std::mem::forget(exported);
        return;
    }
    let _ = caught(|| {
        exported.body.inner().cancel();
        drop(exported);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::mem::MaybeUninit;

    use super::super::status::engine_status;
    use super::super::stream::scripted::{batch, free, stream};
    use super::super::stream::{engine_stream, engine_stream_export};
    use super::*;

    fn export(stream: *mut engine_stream) -> FFI_ArrowArrayStream {
        let mut out = MaybeUninit::uninit();
        assert_eq!(engine_stream_export(stream, Some(&mut out), None), engine_status::Ok);
        free(stream);
        // SAFETY: the export succeeded.
        unsafe { out.assume_init() }
    }

    fn next(stream: &mut FFI_ArrowArrayStream) -> (c_int, FFI_ArrowArray) {
        let mut out = FFI_ArrowArray::empty();
        let get_next = stream.get_next().unwrap();
        // SAFETY: the callback gets the stream it came from.
        (unsafe { get_next(stream, &mut out) }, out)
    }

    fn last_error(stream: &mut FFI_ArrowArrayStream) -> Option<String> {
        let get_last_error = stream.get_last_error().unwrap();
        // SAFETY: the callback gets the stream it came from.
        let text = unsafe { get_last_error(stream) };
        if text.is_null() {
            return None;
        }
        // SAFETY: a C string until the next call.
        let text = unsafe { CStr::from_ptr(text) };
        Some(text.to_str().unwrap().to_owned())
    }

    #[test]
    fn arrows_own_reader_reads_it() {
        let mut left = 3;
        let exported = export(stream(
            || (),
            move |_| {
                left -= 1;
                (left >= 0).then(|| Ok(batch(4)))
            },
        ));
        let reader = arrow::ffi_stream::RecordBatchStreamReader::try_new(exported).unwrap();
        let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
        assert_eq!(rows, 12);
    }

    #[test]
    fn a_nul_in_an_errors_text_neither_panics_nor_hides_the_rest() {
        let mut exported = export(stream(|| (), |_| Some(Err(Error::corrupt("a\0b")))));
        let (code, array) = next(&mut exported);
        assert_eq!((code, array.release().is_none()), (libc::EIO, true));
        assert_eq!(last_error(&mut exported).unwrap(), "corrupt log: ab");
    }

    #[test]
    fn a_panic_is_an_error_code_for_ever() {
        let mut exported = export(stream(|| (), |_| panic!("boom")));
        for _ in 0..2 {
            assert_eq!(next(&mut exported).0, libc::EIO);
            let text = last_error(&mut exported).unwrap();
            assert_eq!(text, "bug: the library panicked: boom");
        }
    }

    #[test]
    fn the_text_goes_when_a_call_succeeds() {
        let mut fails = true;
        let mut exported = export(stream(
            || (),
            move |_| {
                let answer = if fails { Err(Error::timeout("later")) } else { Ok(batch(1)) };
                fails = false;
                Some(answer)
            },
        ));
        assert_eq!(next(&mut exported).0, libc::EIO);
        assert_eq!(last_error(&mut exported).unwrap(), "timeout: later");
        assert_eq!(next(&mut exported).0, 0);
        assert_eq!(last_error(&mut exported), None);
    }

    #[test]
    fn a_released_stream_answers_and_is_not_released_twice() {
        let mut exported = export(stream(|| (), |_| None));
        let get_next = exported.get_next().unwrap();
        let release = exported.release().unwrap();
        // SAFETY: the callback gets the stream it came from.
        unsafe { release(&mut exported) };
        assert!(exported.release().is_none());
        let mut out = FFI_ArrowArray::empty();
        // SAFETY: a released stream has no private data, which is checked.
        assert_eq!(unsafe { get_next(&mut exported, &mut out) }, libc::EINVAL);
        // SAFETY: as above.
        unsafe { release(&mut exported) };
        // SAFETY: NULL is checked for.
        unsafe { release(std::ptr::null_mut()) };
    }
}
