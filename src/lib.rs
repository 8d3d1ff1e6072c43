//! Reads Delta Lake tables in parallel.
#![deny(unsafe_code)]

mod engine;
mod error;
mod scan;
mod snapshot;

pub use engine::{Engine, EngineBuilder, Event, EventLevel};
pub use error::{Error, ErrorKind, Result};
pub use scan::{
    CancelHandle, DEFAULT_FILE_COLUMNS, FILE_COLUMNS, FileStream, Progress, ProgressHandle, Scan,
};
pub use snapshot::{Metadata, Protocol, Snapshot};
