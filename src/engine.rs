//! The engine: a pool of workers, and the defaults that its streams begin with.
//!
//! It is not Delta Kernel's `Engine` trait: nothing here is to be implemented
//! by a host. An engine starts no thread until the first stream needs one, and
//! its last handle joins them.

use std::sync::Arc;

use crate::error::{Error, Result};

/// How loud an [`Event`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EventLevel {
    /// Something a developer of a host may want to see.
    Debug,
    /// A step worth a line in a log.
    Info,
    /// Something odd that was survived: a hint that lied, an incomplete checkpoint.
    Warning,
}

/// One thing that happened inside the engine, for a host's log.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// How loud.
    pub level: EventLevel,
    /// One line, lower case, no credential, control characters escaped.
    pub message: &'a str,
}

pub(crate) type EventSink = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// Settings of an [`Engine`]; see each method for its default.
#[derive(Default, Clone)]
pub struct EngineBuilder {
    threads: Option<usize>,
    window_bytes: Option<usize>,
    sink: Option<EventSink>,
}

impl EngineBuilder {
    /// Workers that decode: 0 means that everything runs on the caller's
    /// thread. Default: the number of cores the process may use.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The most bytes that one stream may hold decoded and not yet delivered,
    /// and the most raw commit bytes that a snapshot keeps for its first scan.
    /// One decode unit is always allowed. Default: 32 MiB.
    pub fn window_bytes(mut self, bytes: usize) -> Self {
        self.window_bytes = Some(bytes);
        self
    }

    /// Calls `sink` for each event, from whichever thread it happens on. It
    /// must not call back into the engine.
    pub fn on_event(mut self, sink: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// Builds the engine. No thread starts yet.
    ///
    /// # Errors
    /// `InvalidArgument` when a setting is out of range.
    pub fn build(self) -> Result<Engine> {
        Err(Error::bug("not built yet"))
    }
}

/// A pool of workers: open snapshots with [`Engine::snapshot`]. Cloning it
/// gives another handle to the same pool.
#[derive(Clone)]
pub struct Engine {}

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
}
