//! The engine: a pool of workers, and the defaults that its streams begin with.
//!
//! It is not Delta Kernel's `Engine` trait: nothing here is to be implemented
//! by a host. An engine starts no thread until the first stream needs one, and
//! its last handle joins them; snapshots and streams are handles too.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::memory::Memory;
use crate::read_ahead::{Pool, Window};
use crate::span::{Span, Spans};

/// The default of [`EngineBuilder::window_bytes`].
const WINDOW_BYTES: usize = 32 << 20;
/// More workers than this are a mistake in the unit, not a wish.
const THREADS_MAX: usize = 1024;

/// How loud an [`Event`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EventLevel {
    /// Something a developer of a host may want to see.
    Debug,
    /// A step worth a line in a log.
    Info,
    /// Something odd that was survived: a hint that led nowhere, a checkpoint
    /// with a missing part.
    Warning,
}

/// One thing that happened inside the engine, for a host's log.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Event<'a> {
    /// How loud.
    pub level: EventLevel,
    /// One line, lower case, no credential, control characters escaped.
    pub message: &'a str,
}

type EventSink = dyn Fn(Event<'_>) + Send + Sync;

/// Where an engine's events go. Unlike the engine, a worker may hold it.
#[derive(Default, Clone)]
pub(crate) struct Events(Option<Arc<EventSink>>);

impl Events {
    pub(crate) fn tell(&self, level: EventLevel, message: &str) {
        if let Some(sink) = &self.0 {
            sink(Event { level, message });
        }
    }
}

/// Settings of an [`Engine`]; see each method for its default.
#[derive(Default, Clone)]
pub struct EngineBuilder {
    threads: Option<usize>,
    window_bytes: Option<usize>,
    events: Events,
    spans: Spans,
}

impl EngineBuilder {
    /// Workers that decode, at most 1024; with 0, everything runs on the
    /// caller's thread. Default: the number of cores that the process may use,
    /// and none for a table that is decoded before a thread has started.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The most bytes that one stream may hold decoded and not yet delivered,
    /// and the most raw commit bytes that a snapshot keeps for its first scan.
    /// One decode unit is always allowed. Default: 32 MiB.
    ///
    /// Beside that, up to 32 MiB of an engine's buffers lie idle while a stream
    /// runs, to be used again; when a stream is dropped they are freed.
    pub fn window_bytes(mut self, bytes: usize) -> Self {
        self.window_bytes = Some(bytes);
        self
    }

    /// Calls `sink` for each event, on whichever thread it happens. It must not
    /// call back into the engine.
    pub fn on_event(mut self, sink: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        self.events = Events(Some(Arc::new(sink)));
        self
    }

    /// Calls `hook` for each [`Span`], as soon as it ends and on the thread
    /// that it was of, workers included: thousands in a big listing. The hook
    /// must not block and must not call back into the engine; its panics are
    /// swallowed. The spans of one thread do not overlap, and with the engine's
    /// last handle (snapshots and streams are handles too) gone, all have been
    /// told. Without a hook no clock is read for spans.
    pub fn on_span(mut self, hook: impl Fn(Span<'_>) + Send + Sync + 'static) -> Self {
        self.spans = Spans::to(hook);
        self
    }

    /// Builds the engine. No thread starts yet.
    ///
    /// # Errors
    /// `InvalidArgument` when a setting is out of range.
    pub fn build(self) -> Result<Engine> {
        let threads = self.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
        });
        if threads > THREADS_MAX {
            return Err(Error::invalid(format!(
                "{threads} threads were asked for; at most {THREADS_MAX} are possible"
            )));
        }
        Ok(Engine {
            memory: Memory::default(),
            spares_threads: self.threads.is_none(),
            pool: Pool::watched(threads, self.spans),
            window_bytes: self.window_bytes.unwrap_or(WINDOW_BYTES),
            events: self.events,
        })
    }
}

/// A pool of workers: open snapshots with [`Engine::snapshot`]. Cloning it
/// gives another handle to the same pool.
#[derive(Clone)]
pub struct Engine {
    pool: Arc<Pool>,
    /// What the engine's streams read and decode into, one after the other.
    memory: Memory,
    spares_threads: bool,
    window_bytes: usize,
    events: Events,
}

impl Engine {
    /// An engine with one worker for each core.
    ///
    /// # Errors
    /// As [`EngineBuilder::build`].
    pub fn new() -> Result<Engine> {
        Engine::builder().build()
    }

    /// Settings other than the defaults.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The number of workers; 0 means that the caller's thread does it all.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether the caller's thread may do what is too little for workers: a caller
    /// that names a number of them gets them.
    pub(crate) fn spares_threads(&self) -> bool {
        self.spares_threads
    }

    /// The window of a stream that asks for nothing else.
    pub(crate) fn window(&self) -> Window {
        let threads = self.threads();
        // Enough that no worker waits while the consumer takes its time.
        Window { threads, units: (threads * 4).max(4), bytes: self.window_bytes }
    }

    pub(crate) fn events(&self) -> &Events {
        &self.events
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("threads", &self.threads()).finish_non_exhaustive()
    }
}
