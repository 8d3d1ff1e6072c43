//! Reads Delta Lake tables in parallel.
#![deny(unsafe_code)]

#[cfg(test)]
mod acceptance_tables;
mod engine;
mod error;
#[allow(dead_code)]
mod features;
#[allow(dead_code)]
mod partition_value;
mod read_ahead;
mod scan;
#[allow(dead_code)]
mod schema;
mod snapshot;

pub use engine::{Engine, EngineBuilder, Event, EventLevel};
pub use error::{Error, ErrorKind, Result};
pub use scan::{
    CancelHandle, DEFAULT_FILE_COLUMNS, FILE_COLUMNS, FileStream, Progress, ProgressHandle, Scan,
};
pub use schema::{ArrayType, ColumnMappingMode, DataType, MapType, StructField, StructType};
pub use snapshot::{Metadata, Protocol, Snapshot};
