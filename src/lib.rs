//! Reads Delta Lake tables in parallel, from Rust and from C, without an
//! asynchronous runtime.
//!
//! An [`Engine`] is a pool of workers. It opens a [`Snapshot`], one version of
//! one table. A [`Scan`] says what to read of it, and gives a [`BatchStream`]: a
//! plain iterator of Arrow batches, which the workers decode ahead of demand
//! into a bounded window.
//!
//! ```no_run
//! let engine = delta_engine::Engine::new()?;
//! let snapshot = engine.snapshot("/data/events")?;
//! for batch in snapshot.scan().columns(["path", "size"]).files()? {
//!     let batch = batch?;
//!     println!("{} files", batch.num_rows());
//! }
//! # Ok::<(), delta_engine::Error>(())
//! ```
//!
//! [`Engine::open`] opens an older version, by number or by time. A host that
//! keeps a list of the files brings it up to date with [`Snapshot::refresh`] and
//! [`Scan::changes_since`]; [`Scan::actions`] tells what a range of commits did,
//! [`Scan::history`] who did it. [`Scan::rows`] reads the data itself, and
//! [`Scan::change_rows`] what became of which rows. A [`Predicate`], in SQL or of
//! [`column()`]s and [`Value`]s, says which rows are wanted ([`Scan::filter_sql`]): then
//! files, row groups and pages that cannot have them are left out.
//!
//! # What it promises
//!
//! - A stream that ends without an error is complete. End, error and data are
//!   three different answers, and cancelled is an error.
//! - The same snapshot and options give the same batches in the same order for
//!   every number of threads.
//! - Memory is bounded by the window, one decode unit a worker, and 16 bytes and
//!   a little for each file that commits add or remove; the files of a
//!   checkpoint add nothing.
//! - Nothing in a table makes it panic, hang or read outside the table's root.
//!
//! # The map
//!
//! Each module uses those after it in this list and none before:
//!
//! | module | answers |
//! |---|---|
//! | `ffi` | what is a call, a handle and an error in C? |
//! | `scan` | what to read of a snapshot, and in which columns? |
//! | `snapshot` | which version is meant, and where are its parts found? |
//! | `replay` | which files are live? |
//! | `delta_log` | what is in `_delta_log/`? |
//! | `parquet_file` | where can a Parquet file be cut, and how is a piece decoded? |
//! | `seen` | which logical files have newer actions? |
//! | `declarations` | what does a table declare of its values, in SQL? |
//! | `actions` | what is an action, and the key of a file? |
//! | `predicate` | which rows are wanted, and what do bounds say of them? |
//! | `features`, `partition_value`, `schema` | what may be read, and as which types? |
//! | `properties` | what do a table's properties say? |
//! | `storage` | where do bytes come from? |
//! | `engine` | which pool, which defaults? |
//! | `read_ahead` | how do units decode ahead, in order, within bounds? |
//! | `span` | what was a thread at, from when to when? |
//! | `memory`, `unescape`, `utf8_array` | what is used again, copied and checked fast? |
//! | `error` | what went wrong, and who can act? |
//!
//! # Invariants
//!
//! 1. Only `delta_log` spells the name of a log file. Only `read_ahead` starts
//!    threads. Only `ffi` has `unsafe`, and two measured loops with their proof:
//!    `unescape` and `utf8_array`.
//! 2. Nothing panics on a table's contents, and no panic crosses the C boundary.
//! 3. Every queue has a stated bound, in bytes where the items vary.
//! 4. A partial result never looks complete.
//! 5. A worker never waits for the consumer; the consumer never decodes while
//!    workers are idle, but for a table that takes less time than starting them.
//! 6. With zero workers everything runs on the caller's thread with the same
//!    results: the oracle of every test.
#![deny(unsafe_code)]

#[cfg(test)]
mod acceptance_tables;
mod actions;
mod declarations;
mod delta_log;
mod engine;
mod error;
mod features;
#[expect(unsafe_code, reason = "C gives raw pointers; only the boundary takes them")]
mod ffi;
mod memory;
mod parquet_file;
mod partition_value;
mod predicate;
mod properties;
mod read_ahead;
mod replay;
mod scan;
mod schema;
mod seen;
mod snapshot;
mod span;
mod storage;
#[expect(unsafe_code, reason = "a measured hot loop, with its proof: see the module")]
mod unescape;
#[expect(unsafe_code, reason = "a measured hot loop, with its proof: see the module")]
mod utf8_array;

/// The version of arrow whose types cross this library's interface.
pub use arrow;

pub use actions::{Format, Metadata, Protocol, Txn};
pub use declarations::Identity;
pub use delta_log::checksum::{FileSizeHistogram, FileStatistics};
pub use engine::{Engine, EngineBuilder, Event, EventLevel};
pub use error::{Error, ErrorKind, Result};
pub use features::{FEATURES, Feature, Support};
pub use predicate::{Comparison, Operand, Predicate, Value, column};
pub use properties::{
    CLUSTERING_DOMAIN, KnownProperty, PROPERTIES, Property, PropertyKind, PropertyValue,
    ROW_TRACKING_DOMAIN, TableProperties, clustering_columns, row_id_high_water_mark,
};
pub use scan::{
    ACTION_COLUMNS, ACTION_KINDS, BatchStream, CHANGE_COLUMNS, CHANGE_ROW_COLUMNS, CancelHandle,
    DEFAULT_FILE_COLUMNS, DEFAULT_HISTORY_COLUMNS, FILE_COLUMNS, FilterColumn, HISTORY_COLUMNS,
    HistoryOptions, Progress, ProgressHandle, ROW_METADATA_COLUMNS, Scan,
};
pub use schema::{
    ArrayType, ColumnMappingMode, DataType, MapType, StructField, StructType, TypeChange,
};
pub use snapshot::{CatalogCommit, Origin, Snapshot, SnapshotBuilder, Source};
pub use span::{Span, SpanKind};
pub use storage::{FileStat, Storage};

// The README's Rust is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
