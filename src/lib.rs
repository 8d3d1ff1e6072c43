//! Reads Delta Lake tables in parallel.
#![deny(unsafe_code)]

#[cfg(test)]
mod acceptance_tables;
mod actions;
mod delta_log;
mod engine;
mod error;
mod features;
mod parquet_file;
mod partition_value;
mod read_ahead;
mod replay;
mod scan;
mod schema;
mod snapshot;
mod storage;

pub use actions::{Format, Metadata, Protocol};
pub use engine::{Engine, EngineBuilder, Event, EventLevel};
pub use error::{Error, ErrorKind, Result};
pub use features::{FEATURES, Feature, Support};
pub use scan::{
    CancelHandle, DEFAULT_FILE_COLUMNS, FILE_COLUMNS, FileStream, Progress, ProgressHandle, Scan,
};
pub use schema::{ArrayType, ColumnMappingMode, DataType, MapType, StructField, StructType};
pub use snapshot::Snapshot;
pub use storage::{FileStat, Storage};
