//! `engine_stream`: batches, one consumer at a time, as C holds them.
//!
//! The batches stand behind a lock that is only ever tried, so a second thread
//! gets an answer at once. Cancel and progress stand beside it and never wait.
//! What the stream said last, the end or an error, it says for ever.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;

use arrow::array::{Array, RecordBatch, StructArray};
use arrow::datatypes::SchemaRef;
use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;

use super::arrow_stream;
use super::handle::{self, Handle, object};
use super::input::SizedStruct;
use super::snapshot::exported;
use super::status::{caught, engine_error, engine_status, produce, produce_or_end, produce_struct};
use crate::error::{Error, ErrorKind, Result};
use crate::scan::{BatchStream, Progress};

/// Batches, in an order that does not depend on the number of workers. One
/// thread at a time may ask for the next one; any thread may cancel it or read
/// its progress meanwhile.
pub struct engine_stream {
    handle: Handle<Stream>,
}

object!(engine_stream, Stream, b"d.stream");

/// Counters of a stream. Set struct_size to sizeof(engine_progress) before the
/// call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct engine_progress {
    /// sizeof(engine_progress), so that the struct can grow.
    pub struct_size: usize,
    /// Decode units submitted so far: commits, parts of checkpoints.
    pub units_planned: u64,
    /// Decode units finished.
    pub units_decoded: u64,
    /// Bytes that the stream read from storage. It can be 0: what the open
    /// read of the commits is kept for the first stream.
    pub bytes_read: u64,
    /// Rows of the batches delivered: of a listing, live files.
    pub rows_delivered: u64,
    /// Batches delivered.
    pub batches_delivered: u64,
    /// The most bytes that the window has held, by estimate.
    pub window_bytes_peak: u64,
    /// Bytes in the window now: decoded or being decoded, and not delivered.
    pub window_bytes: u64,
    /// Values of the column partition that are null because the log leaves
    /// out their key.
    pub partition_values_missing: u64,
    /// With a predicate, as are all that follow: live files that may have wanted
    /// rows.
    pub files_kept: u64,
    /// The bytes of those files.
    pub bytes_kept: u64,
    /// Live files left out by their partition values alone.
    pub files_pruned: u64,
    /// The bytes of those files.
    pub bytes_pruned: u64,
    /// Live files left out by their statistics.
    pub files_skipped: u64,
    /// The bytes of those files.
    pub bytes_skipped: u64,
    /// Rows of checkpoints that were not decoded, because what the checkpoint's
    /// columns say of them rules them out: nearly all are live files, which are
    /// counted nowhere else.
    pub checkpoint_rows_skipped: u64,
    /// Row groups of the data files that were opened.
    pub row_groups: u64,
    /// Those of which no row was decoded.
    pub row_groups_skipped: u64,
    /// Pages of the predicate's columns that were left out.
    pub pages_skipped: u64,
    /// Rows of data files that were left out undecoded.
    pub rows_skipped: u64,
    /// Rows that were decoded, as far as the predicate's columns go, and not
    /// wanted.
    pub rows_filtered: u64,
}

// SAFETY: repr(C) with struct_size first.
unsafe impl SizedStruct for engine_progress {
    const NAME: &'static str = "engine_progress";
    const ZERO: Self = engine_progress {
        struct_size: 0,
        units_planned: 0,
        units_decoded: 0,
        bytes_read: 0,
        rows_delivered: 0,
        batches_delivered: 0,
        window_bytes_peak: 0,
        window_bytes: 0,
        partition_values_missing: 0,
        files_kept: 0,
        bytes_kept: 0,
        files_pruned: 0,
        bytes_pruned: 0,
        files_skipped: 0,
        bytes_skipped: 0,
        checkpoint_rows_skipped: 0,
        row_groups: 0,
        row_groups_skipped: 0,
        pages_skipped: 0,
        rows_skipped: 0,
        rows_filtered: 0,
    };
}

/// Where batches come from.
pub(super) trait Batches: Send {
    /// The next batch; with `wait`, an error of kind `Timeout` after that time.
    fn next(&mut self, wait: Option<Duration>) -> Option<Result<RecordBatch>>;
}

impl Batches for BatchStream {
    fn next(&mut self, wait: Option<Duration>) -> Option<Result<RecordBatch>> {
        match wait {
            None => Iterator::next(self),
            Some(wait) => self.next_within(wait),
        }
    }
}

/// What an `engine_stream`, or an Arrow stream made of one, stands for.
pub(super) struct Stream {
    schema: SchemaRef,
    cancel: Box<dyn Fn() + Send + Sync>,
    progress: Box<dyn Fn() -> Progress + Send + Sync>,
    /// Whether an Arrow stream has become the consumer.
    exported: AtomicBool,
    state: Mutex<State>,
}

enum State {
    Open(Box<dyn Batches>),
    Ended,
    Failed(Error),
}

/// Who asks for a batch.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Consumer {
    Handle,
    ArrowStream,
}

impl Stream {
    pub(super) fn of(batches: BatchStream) -> Self {
        let cancel = batches.cancel_handle();
        let progress = batches.progress_handle();
        Stream::new(
            batches.schema(),
            move || cancel.cancel(),
            move || progress.read(),
            Box::new(batches),
        )
    }

    pub(super) fn new(
        schema: SchemaRef,
        cancel: impl Fn() + Send + Sync + 'static,
        progress: impl Fn() -> Progress + Send + Sync + 'static,
        batches: Box<dyn Batches>,
    ) -> Self {
        Stream {
            schema,
            cancel: Box::new(cancel),
            progress: Box::new(progress),
            exported: AtomicBool::new(false),
            state: Mutex::new(State::Open(batches)),
        }
    }

    pub(super) fn schema(&self) -> Result<FFI_ArrowSchema> {
        exported(&self.schema)
    }

    pub(super) fn cancel(&self) {
        (self.cancel)();
    }

    /// The next batch, ready for C; `None` at the end.
    pub(super) fn next(
        &self,
        consumer: Consumer,
        wait: Option<Duration>,
    ) -> Result<Option<FFI_ArrowArray>> {
        let mut state = self.only_consumer(consumer)?;
        let batches = match &mut *state {
            State::Open(batches) => batches,
            State::Ended => return Ok(None),
            State::Failed(e) => return Err(e.clone()),
        };
        // The source is dropped with its last word: nothing else will be asked
        // of it, and its workers and buffers are of use elsewhere.
        match batches.next(wait) {
            Some(Ok(batch)) => Ok(Some(FFI_ArrowArray::new(&StructArray::from(batch).into_data()))),
            None => {
                *state = State::Ended;
                Ok(None)
            }
            Some(Err(e)) if e.kind() == ErrorKind::Timeout => Err(e),
            Some(Err(e)) => {
                *state = State::Failed(e.clone());
                Err(e)
            }
        }
    }

    /// The state, unless somebody else is the consumer.
    fn only_consumer(&self, consumer: Consumer) -> Result<MutexGuard<'_, State>> {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            // The handle remembers the panic that did this, and answers it
            // before it comes here.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::misuse(
                    "another thread is inside this stream; one at a time may ask for a batch",
                ));
            }
        };
        if consumer == Consumer::Handle && self.exported.load(Ordering::Relaxed) {
            return Err(Error::misuse(
                "the batches of this stream were handed to an ArrowArrayStream",
            ));
        }
        Ok(state)
    }
}

/// The stream that the caller gave, where the header asks for one thread at a
/// time. It is a shared reference all the same, so that two threads are an
/// error and not undefined behaviour.
///
/// # Safety
/// `stream` is NULL or a handle that is not freed yet.
unsafe fn given<'a>(stream: *mut engine_stream) -> Option<&'a engine_stream> {
    // SAFETY: the caller's promise; every kind of handle has the same layout.
    unsafe { stream.as_ref() }
}

/// The schema of the stream's batches: a struct with one child for each
/// column. It waits for nothing, and works in every state of the stream.
///
/// On success the caller owns *out and calls out->release(out) when done; it
/// may outlive the stream. On failure out->release is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn engine_stream_schema(
    stream: Option<&engine_stream>,
    out: Option<&mut MaybeUninit<FFI_ArrowSchema>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    produce(out, FFI_ArrowSchema::empty(), error, || handle::on(stream, Stream::schema))
}

/// The next batch; waits for it if it is not decoded yet.
///
/// On ENGINE_STATUS_OK *out is a struct array with one child for each column
/// of engine_stream_schema. The caller owns it and calls out->release(out)
/// when done: on any thread, in any order, after everything else was freed if
/// it likes. On every other status out->release is NULL. What was in *out
/// before is overwritten, not released.
///
/// ENGINE_STATUS_END: there are no more; every later call says so again. After
/// a failure every later call gives the same failure, so a list that reached
/// the end is complete. ENGINE_STATUS_CANCELLED: engine_stream_cancel was
/// called. ENGINE_STATUS_MISUSE: another thread is inside this stream, or it
/// was exported; that changes nothing in the stream.
#[unsafe(no_mangle)]
pub extern "C" fn engine_next_batch(
    stream: *mut engine_stream,
    out: Option<&mut MaybeUninit<FFI_ArrowArray>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    // SAFETY: NULL or a handle: the header asks for it.
    let stream = unsafe { given(stream) };
    produce_or_end(out, FFI_ArrowArray::empty(), error, || {
        handle::on(stream, |stream| stream.next(Consumer::Handle, None))
    })
}

/// As engine_next_batch, but gives up after timeout_ms milliseconds with
/// ENGINE_STATUS_TIMEOUT. Then nothing was lost, and either call may be made
/// again. 0 asks without waiting.
///
/// A stream without workers decodes inside the call, and looks at the clock
/// only between two decode units.
///
/// What compares a listing, at its end, with what the table counts itself is
/// not interrupted by the time, only by a cancel.
#[unsafe(no_mangle)]
pub extern "C" fn engine_next_batch_within(
    stream: *mut engine_stream,
    timeout_ms: u64,
    out: Option<&mut MaybeUninit<FFI_ArrowArray>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    // SAFETY: NULL or a handle: the header asks for it.
    let stream = unsafe { given(stream) };
    let wait = Duration::from_millis(timeout_ms);
    produce_or_end(out, FFI_ArrowArray::empty(), error, || {
        handle::on(stream, |stream| stream.next(Consumer::Handle, Some(wait)))
    })
}

/// Asks a stream to stop, and returns at once: it only sets a flag. It may be
/// called by any thread at any time before engine_stream_free, any number of
/// times. A call that waits in the stream, and every later one, answers
/// ENGINE_STATUS_CANCELLED; a stream that has already ended, or failed, stays
/// so. Batches that were delivered stay valid. NULL does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn engine_stream_cancel(stream: Option<&engine_stream>) {
    let _ = caught(|| {
        if let Some(stream) = handle::peek(stream) {
            stream.cancel();
        }
        Ok(())
    });
}

/// Reads a stream's counters, from any thread, without waiting. As many bytes
/// of *out are written as its struct_size says; fields that this version of
/// the library does not have become 0.
#[unsafe(no_mangle)]
pub extern "C" fn engine_stream_progress(
    stream: Option<&engine_stream>,
    out: *mut engine_progress,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    let read = || {
        let progress = handle::on(stream, |stream| Ok((stream.progress)()))?;
        Ok(engine_progress {
            struct_size: size_of::<engine_progress>(),
            units_planned: progress.units_planned,
            units_decoded: progress.units_decoded,
            bytes_read: progress.bytes_read,
            rows_delivered: progress.rows_delivered,
            batches_delivered: progress.batches_delivered,
            window_bytes_peak: progress.window_bytes_peak,
            window_bytes: progress.window_bytes,
            partition_values_missing: progress.partition_values_missing,
            files_kept: progress.files_kept,
            bytes_kept: progress.bytes_kept,
            files_pruned: progress.files_pruned,
            bytes_pruned: progress.bytes_pruned,
            files_skipped: progress.files_skipped,
            bytes_skipped: progress.bytes_skipped,
            checkpoint_rows_skipped: progress.checkpoint_rows_skipped,
            row_groups: progress.row_groups,
            row_groups_skipped: progress.row_groups_skipped,
            pages_skipped: progress.pages_skipped,
            rows_skipped: progress.rows_skipped,
            rows_filtered: progress.rows_filtered,
        })
    };
    // SAFETY: NULL, or a struct that says its size: the header asks for it.
    unsafe { produce_struct(out, error, read) }
}

/// Hands the batches that are left over to an Arrow C stream, for a consumer
/// that knows Arrow and nothing of this library.
///
/// On success the caller owns *out and calls out->release(out) when done, on
/// any thread; its get_next gives what engine_next_batch would have given. The
/// engine_stream stays: it can still be cancelled and asked for its schema and
/// progress, and is to be freed, before or after the release; freeing it no
/// longer cancels. engine_next_batch on it answers ENGINE_STATUS_MISUSE, as
/// does a second export. On failure out->release is NULL and the stream is as
/// it was.
///
/// The callbacks give 0 or an errno code: ECANCELED after a cancel, EINVAL
/// after misuse, ENOTSUP for a feature that is not read, EIO for the rest;
/// get_last_error has the text of the last failure.
#[unsafe(no_mangle)]
pub extern "C" fn engine_stream_export(
    stream: *mut engine_stream,
    out: Option<&mut MaybeUninit<FFI_ArrowArrayStream>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    // SAFETY: NULL or a handle: the header asks for it.
    let stream = unsafe { given(stream) };
    produce(out, FFI_ArrowArrayStream::empty(), error, || {
        let body = handle::share(stream)?;
        body.run(|stream| {
            let _state = stream.only_consumer(Consumer::Handle)?;
            stream.exported.store(true, Ordering::Relaxed);
            Ok(())
        })?;
        Ok(arrow_stream::new(body))
    })
}

/// Frees a stream, and cancels it unless it was exported. It returns without
/// waiting for what is being decoded. Batches that were delivered stay valid.
/// If another thread waits in a call on this stream, that call answers
/// ENGINE_STATUS_CANCELLED; no call may begin once the free has. NULL is
/// allowed.
#[unsafe(no_mangle)]
pub extern "C" fn engine_stream_free(stream: Option<Box<engine_stream>>) {
    handle::free(stream, |stream| {
        if !stream.exported.load(Ordering::Relaxed) {
            stream.cancel();
        }
    });
}

/// Streams whose batches come from a closure, for the tests of this module.
#[cfg(test)]
pub(super) mod scripted {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    struct Script<F>(F);

    impl<F> Batches for Script<F>
    where
        F: FnMut(Option<Duration>) -> Option<Result<RecordBatch>> + Send,
    {
        fn next(&mut self, wait: Option<Duration>) -> Option<Result<RecordBatch>> {
            (self.0)(wait)
        }
    }

    pub(in crate::ffi) fn batch(rows: i64) -> RecordBatch {
        let column = Arc::new(Int64Array::from_iter_values(0..rows));
        RecordBatch::try_from_iter([("n", column as _)]).unwrap()
    }

    /// A handle whose cancel calls `cancel` and whose batches are `next`'s.
    pub(in crate::ffi) fn stream(
        cancel: impl Fn() + Send + Sync + 'static,
        next: impl FnMut(Option<Duration>) -> Option<Result<RecordBatch>> + Send + 'static,
    ) -> *mut engine_stream {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, false)]);
        let batches = Box::new(Script(next));
        handle::new(Stream::new(Arc::new(schema), cancel, Progress::default, batches))
    }

    /// What `engine_next_batch` answers, with the rows of the batch.
    pub(in crate::ffi) fn next(stream: *mut engine_stream) -> (engine_status, usize, String) {
        answered(|out, error| engine_next_batch(stream, Some(out), Some(error)))
    }

    pub(in crate::ffi) fn answered(
        call: impl FnOnce(
            &mut MaybeUninit<FFI_ArrowArray>,
            &mut MaybeUninit<engine_error>,
        ) -> engine_status,
    ) -> (engine_status, usize, String) {
        let mut out = MaybeUninit::uninit();
        let mut error = MaybeUninit::uninit();
        let status = call(&mut out, &mut error);
        // SAFETY: the call writes it in any case.
        let out = unsafe { out.assume_init() };
        // SAFETY: as above.
        let error = unsafe { error.assume_init() };
        assert_eq!(out.release().is_some(), status == engine_status::Ok);
        let bytes: Vec<u8> = error.message.iter().map(|&c| c as u8).collect();
        let text = std::ffi::CStr::from_bytes_until_nul(&bytes).unwrap();
        (status, out.len(), text.to_str().unwrap().to_owned())
    }

    pub(in crate::ffi) fn free(stream: *mut engine_stream) {
        // SAFETY: each test frees its stream once.
        engine_stream_free(Some(unsafe { Box::from_raw(stream) }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Barrier};

    use super::scripted::{answered, batch, free, next, stream};
    use super::*;

    /// A pointer that goes to another thread, as pointers of C do.
    #[derive(Clone, Copy)]
    struct Sent(*mut engine_stream);
    // SAFETY: the header lets any thread use a stream.
    unsafe impl Send for Sent {}

    impl Sent {
        fn get(self) -> *mut engine_stream {
            self.0
        }
    }

    #[test]
    fn after_the_end_comes_the_end_and_the_source_is_gone() {
        let source = Arc::new(());
        let held = Arc::downgrade(&source);
        let mut left = 2;
        let s = stream(
            || (),
            move |_| {
                let _ = &source;
                left -= 1;
                (left >= 0).then(|| Ok(batch(3)))
            },
        );
        assert_eq!(next(s), (engine_status::Ok, 3, String::new()));
        assert_eq!(next(s), (engine_status::Ok, 3, String::new()));
        assert_eq!(next(s), (engine_status::End, 0, String::new()));
        assert!(held.upgrade().is_none());
        assert_eq!(next(s), (engine_status::End, 0, String::new()));
        free(s);
    }

    #[test]
    fn after_a_failure_comes_the_same_failure() {
        let mut asked = 0;
        let s = stream(
            || (),
            move |_| {
                asked += 1;
                Some(Err(Error::storage(format!("failure {asked}"))))
            },
        );
        let first = next(s);
        assert_eq!(first, (engine_status::Storage, 0, "failure 1".to_owned()));
        assert_eq!(next(s), first);
        free(s);
    }

    #[test]
    fn after_a_timeout_the_stream_goes_on() {
        let s = stream(
            || (),
            |wait| match wait {
                Some(wait) => Some(Err(Error::timeout(format!("{wait:?} have passed")))),
                None => Some(Ok(batch(1))),
            },
        );
        let (status, _, text) =
            answered(|out, error| engine_next_batch_within(s, 5, Some(out), Some(error)));
        assert_eq!((status, text.as_str()), (engine_status::Timeout, "5ms have passed"));
        assert_eq!(next(s).0, engine_status::Ok);
        free(s);
    }

    #[test]
    fn a_panic_is_the_streams_last_word() {
        let s = stream(|| (), |_| panic!("in the middle"));
        let first = next(s);
        assert_eq!(first.0, engine_status::Bug);
        assert_eq!(first.2, "the library panicked: in the middle");
        assert_eq!(next(s), first);
        // The others are not affected, and this one can still be freed.
        let other = stream(|| (), |_| Some(Ok(batch(1))));
        assert_eq!(next(other).0, engine_status::Ok);
        free(other);
        free(s);
    }

    #[test]
    fn a_second_thread_in_a_stream_is_told_at_once() {
        let entered = Arc::new(Barrier::new(2));
        let (go_on, waits) = channel();
        let inside = Arc::clone(&entered);
        let s = stream(
            || (),
            move |_| {
                inside.wait();
                waits.recv().unwrap();
                Some(Ok(batch(1)))
            },
        );
        let sent = Sent(s);
        let first = std::thread::spawn(move || next(sent.get()).0);
        entered.wait();
        let (status, _, text) = next(s);
        assert_eq!(status, engine_status::Misuse);
        assert!(text.contains("another thread"), "{text}");
        go_on.send(()).unwrap();
        // The mistake of the second thread is not the first one's.
        assert_eq!(first.join().unwrap(), engine_status::Ok);
        free(s);
    }

    #[test]
    fn a_free_ends_the_call_that_waits_in_another_thread() {
        let entered = Arc::new(Barrier::new(2));
        let (cancel, cancelled) = channel();
        let inside = Arc::clone(&entered);
        let s = stream(
            move || cancel.send(()).unwrap(),
            move |_| {
                inside.wait();
                cancelled.recv().unwrap();
                Some(Err(Error::cancelled("the stream was cancelled")))
            },
        );
        let sent = Sent(s);
        let waiting = std::thread::spawn(move || next(sent.get()).0);
        entered.wait();
        free(s);
        assert_eq!(waiting.join().unwrap(), engine_status::Cancelled);
    }

    #[test]
    fn a_free_cancels_only_what_was_not_exported() {
        let cancels = Arc::new(AtomicUsize::new(0));
        let counted = || {
            let cancels = Arc::clone(&cancels);
            move || {
                cancels.fetch_add(1, Ordering::SeqCst);
            }
        };
        free(stream(counted(), |_| None));
        assert_eq!(cancels.load(Ordering::SeqCst), 1);

        let s = stream(counted(), |_| None);
        let mut out = MaybeUninit::uninit();
        assert_eq!(engine_stream_export(s, Some(&mut out), None), engine_status::Ok);
        free(s);
        assert_eq!(cancels.load(Ordering::SeqCst), 1);
        // SAFETY: the export succeeded. The drop releases it, and that cancels.
        drop(unsafe { out.assume_init() });
        assert_eq!(cancels.load(Ordering::SeqCst), 2);
    }
}
