//! What a C caller holds: a tag, the process it was made in, and a share of a body.
//!
//! All kinds of handle have one layout, whatever their body, because `Arc<T>`
//! is one pointer. So a pointer to a handle of the wrong kind points to a
//! valid handle, its tag may be read, and the mistake becomes an error.
//!
//! Each call takes its own share of the body before it does anything. So a
//! stream that is freed while another thread waits in it stays alive until
//! that call has returned, and handles can be freed in any order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::status::{caught, in_callback};
use crate::error::{Error, Result};

/// The common layout of every handle.
///
/// The atomic tag also tells the compiler that the memory may change, or go,
/// under a shared reference: without it, freeing a handle while another
/// thread's call is inside would be undefined behaviour.
#[repr(C)]
pub(super) struct Handle<T> {
    tag: AtomicU64,
    pid: u32,
    body: Arc<Body<T>>,
}

/// What a handle stands for, and the panic that made it unusable, if any.
pub(super) struct Body<T> {
    poison: OnceLock<Error>,
    inner: T,
}

impl<T> Body<T> {
    /// Runs `call` on the body; after a panic, the same error for ever.
    pub(super) fn run<R>(&self, call: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        if let Some(poison) = self.poison.get() {
            return Err(poison.clone());
        }
        let mut returned = false;
        let result = caught(|| {
            let result = call(&self.inner);
            returned = true;
            result
        });
        if !returned && let Err(panic) = &result {
            // A second thread may have been first; its panic is as good.
            let _ = self.poison.set(panic.clone());
        }
        result
    }

    /// The body itself, for what must work even after a panic.
    pub(super) fn inner(&self) -> &T {
        &self.inner
    }
}

/// A kind of handle.
pub(super) trait Object: Sized {
    /// What it stands for.
    type Inner;
    /// Its first word.
    const TAG: u64;
    /// Whether a panic inside one call spoils later calls. It does where a
    /// call changes the body.
    const POISONED_BY_PANIC: bool = true;
    /// Wraps the common layout.
    fn new(handle: Handle<Self::Inner>) -> Self;
    /// The common layout.
    fn handle(&self) -> &Handle<Self::Inner>;
}

/// Gives a handle type its kind, and holds it to the common layout.
macro_rules! object {
    ($name:ident, $inner:ty, $tag:literal $(, $option:ident = $value:expr)?) => {
        impl crate::ffi::handle::Object for $name {
            type Inner = $inner;
            const TAG: u64 = u64::from_be_bytes(*$tag);
            $(const $option: bool = $value;)?
            fn new(handle: crate::ffi::handle::Handle<$inner>) -> Self {
                $name { handle }
            }
            fn handle(&self) -> &crate::ffi::handle::Handle<$inner> {
                &self.handle
            }
        }

        const _: () = {
            assert!(size_of::<$name>() == size_of::<crate::ffi::handle::Handle<()>>());
            assert!(align_of::<$name>() == align_of::<crate::ffi::handle::Handle<()>>());
            assert!(std::mem::offset_of!($name, handle) == 0);
            // Any thread may use and free a handle.
            const fn shared<T: Send + Sync>() {}
            shared::<$inner>();
        };
    };
}
pub(super) use object;

/// The tag of a handle that was freed. Reading it is already too late, but it
/// often turns a double free into nothing at all.
const FREED: u64 = u64::from_be_bytes(*b"d.freed.");

/// Each kind's tag and name, for messages.
const KINDS: [(&[u8; 8], &str); 5] = [
    (b"d.engine", "an engine"),
    (b"d.snapsh", "an engine_snapshot"),
    (b"d.scan..", "an engine_scan"),
    (b"d.stream", "an engine_stream"),
    (b"d.predic", "an engine_predicate"),
];

fn kind_name(tag: u64) -> Option<&'static str> {
    KINDS.iter().find(|(bytes, _)| u64::from_be_bytes(**bytes) == tag).map(|(_, name)| *name)
}

/// A new handle, to be given to the caller.
pub(super) fn new<H: Object>(inner: H::Inner) -> *mut H {
    let handle = Handle {
        tag: AtomicU64::new(H::TAG),
        pid: std::process::id(),
        body: Arc::new(Body { poison: OnceLock::new(), inner }),
    };
    Box::into_raw(Box::new(H::new(handle)))
}

/// Runs `call` on what `handle` stands for, if it is what it should be.
pub(super) fn on<H: Object, R>(
    handle: Option<&H>,
    call: impl FnOnce(&H::Inner) -> Result<R>,
) -> Result<R> {
    let body = share(handle)?;
    if H::POISONED_BY_PANIC { body.run(call) } else { caught(|| call(&body.inner)) }
}

/// A share of what `handle` stands for.
pub(super) fn share<H: Object>(handle: Option<&H>) -> Result<Arc<Body<H::Inner>>> {
    let handle = checked(handle)?;
    if is_other_process(handle.pid) {
        return Err(after_fork());
    }
    Ok(Arc::clone(&handle.body))
}

/// What `handle` stands for, for the getters that only read memory or touch an
/// atomic: they have no status, cannot wait, and work after a fork too.
pub(super) fn peek<H: Object>(handle: Option<&H>) -> Option<&H::Inner> {
    checked(handle).ok().map(|handle| &handle.body.inner)
}

fn checked<H: Object>(handle: Option<&H>) -> Result<&Handle<H::Inner>> {
    let expected = kind_name(H::TAG).unwrap_or("a handle");
    let Some(handle) = handle else {
        return Err(Error::invalid(format!("NULL was given for {expected}")));
    };
    let handle = handle.handle();
    let tag = handle.tag.load(Ordering::Relaxed);
    if tag != H::TAG {
        let found = kind_name(tag).unwrap_or("something else, or one that was freed");
        return Err(Error::misuse(format!("expected {expected}, found {found}")));
    }
    Ok(handle)
}

/// Whether `pid` is not this process: then the handle was copied by a fork,
/// and the threads behind it were not.
pub(super) fn is_other_process(pid: u32) -> bool {
    std::process::id() != pid
}

/// The error for a call on a handle that a fork copied.
pub(super) fn after_fork() -> Error {
    Error::misuse(
        "the handle was made before this process was forked: its workers are not here; \
         make a new engine in the child",
    )
}

/// Frees a handle; `last_rites` runs first. Does nothing with NULL.
///
/// What cannot be freed safely is left alone, which leaks: a handle of the
/// wrong kind, one of before a fork (its threads cannot be joined here), and
/// one that an event callback frees (it may be running on the very thread that
/// would be joined).
pub(super) fn free<H: Object>(handle: Option<Box<H>>, last_rites: impl FnOnce(&H::Inner)) {
    let Some(handle) = handle else { return };
    let may_free = match checked(Some(&*handle)) {
        Ok(handle) => !is_other_process(handle.pid) && !in_callback::now(),
        Err(_) => false,
    };
    if !may_free {
        std::mem::forget(handle);
        return;
    }
    handle.handle().tag.store(FREED, Ordering::Relaxed);
    // There is nobody to tell about a panic here, and nothing left to spoil.
    let _ = caught(|| {
        last_rites(&handle.handle().body.inner);
        drop(handle);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Left {
        handle: Handle<u8>,
    }
    object!(Left, u8, b"d.scan..");
    struct Right {
        handle: Handle<String>,
    }
    object!(Right, String, b"d.stream");

    fn left() -> Box<Left> {
        // SAFETY: `new` made it with `Box::into_raw`, and it is taken once.
        unsafe { Box::from_raw(new::<Left>(7)) }
    }

    #[test]
    fn a_handle_of_the_wrong_kind_is_misuse_and_is_not_freed() {
        let left = Box::into_raw(left());
        // SAFETY: both types have the common layout; the tag is read before
        // anything that differs.
        let wrong = unsafe { &*left.cast::<Right>() };
        let e = on(Some(wrong), |_| Ok(())).unwrap_err();
        assert_eq!(e.to_string(), "misuse: expected an engine_stream, found an engine_scan");

        // SAFETY: as above; `free` leaves it alone, so it stays ours.
        free(Some(unsafe { Box::from_raw(left.cast::<Right>()) }), |_| ());
        // SAFETY: it was not freed.
        let left = unsafe { Box::from_raw(left) };
        assert_eq!(on(Some(&*left), |n| Ok(*n)).unwrap(), 7);
        free(Some(left), |_| ());
    }

    #[test]
    fn after_a_panic_a_handle_gives_the_same_error_and_can_be_freed() {
        let left = left();
        let first = on(Some(&*left), |_| -> Result<()> { panic!("boom") }).unwrap_err();
        let second = on(Some(&*left), |n| Ok(*n)).unwrap_err();
        assert_eq!(first.to_string(), "bug: the library panicked: boom");
        assert_eq!(first.to_string(), second.to_string());
        free(Some(left), |_| ());
    }

    #[test]
    fn an_error_that_is_no_panic_spoils_nothing() {
        let left = left();
        let _ = on(Some(&*left), |_| -> Result<()> { Err(Error::bug("just said so")) });
        assert_eq!(on(Some(&*left), |n| Ok(*n)).unwrap(), 7);
        free(Some(left), |_| ());
    }

    #[test]
    fn a_panic_while_freeing_goes_nowhere() {
        free(Some(left()), |_| panic!("boom"));
    }

    #[test]
    fn freeing_null_does_nothing() {
        free::<Left>(None, |_| panic!("never"));
    }
}
