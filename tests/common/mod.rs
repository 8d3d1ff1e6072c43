//! What every integration test shares: [`TestTable`] builds a picture of a
//! table, [`Listing`] reads it through every reader there is, and the oracle
//! says what must come out. Nothing here uses the library's own parsing.
// Each test crate uses its own part of this module, and none exports it.
#![allow(dead_code, unreachable_pub, unused_imports)]

mod actions;
mod c_readers;
mod checkpoint;
mod data;
mod history;
mod oracle;
mod raw_parquet;
mod readers;
mod table;
mod tables;
mod types;
mod values;
mod watched;

pub use actions::*;
pub use checkpoint::{Layout, StatsForm};
pub use data::{FileLayout, inline_dv};
pub use history::{random_beginning, random_checkpoint, random_commit};
pub use oracle::{Key, State, key_of_row, reconcile, reconcile_range};
pub use raw_parquet::{RawFile, RawPage, levels, run, varint};
pub use readers::{Listing, Outcome, Reader, engine, every_reader, few_readers};
pub use table::TestTable;
pub use tables::{AcceptanceTable, expected_tables, text_of_panic};
pub use types::{
    EVERY_TYPE, every_type, lines_of_every_type, rows_of_every_type, schema_of_every_type,
};
pub use values::{canonical, data_lines_of, rows_of, sorted_by_path};
pub use watched::{Listening, Record, Watched};

use delta_engine::{Error, ErrorKind};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// The file name of a commit.
pub fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// The file name of a classic checkpoint.
pub fn checkpoint_name(version: u64) -> String {
    format!("{version:020}.checkpoint.parquet")
}

/// The file name of a version's checksum.
pub fn checksum_name(version: u64) -> String {
    format!("{version:020}.crc")
}

/// The file name of the compaction of the commits from `first` to `last`.
pub fn compaction_name(first: u64, last: u64) -> String {
    format!("{first:020}.{last:020}.compacted.json")
}

/// The error of `result`, which must be of `kind` and whose message must
/// contain each of `parts`.
#[track_caller]
pub fn assert_error<T: Debug>(result: Result<T, Error>, kind: ErrorKind, parts: &[&str]) -> Error {
    let error = match result {
        Ok(value) => panic!("expected an error ({}), got {value:?}", kind.name()),
        Err(error) => error,
    };
    assert_eq!(error.kind(), kind, "{error}");
    for part in parts {
        assert!(error.message().contains(part), "{part:?} is not named by: {error}");
    }
    assert!(
        !error.message().chars().any(char::is_control),
        "a control character in {:?}",
        error.message()
    );
    error
}

/// As [`assert_error`] for a corrupt log, whose message must also name the
/// commit of `version` and its line.
#[track_caller]
pub fn assert_corrupt_line<T: Debug>(result: Result<T, Error>, version: u64, line: usize) -> Error {
    let name = commit_name(version);
    let error = assert_error(result, ErrorKind::CorruptLog, &[&name]);
    let forms = [format!("line {line}"), format!("{name}:{line}")];
    let named = forms.iter().any(|form| {
        error.message().match_indices(form.as_str()).any(|(at, _)| {
            let rest = &error.message()[at + form.len()..];
            !rest.starts_with(|c: char| c.is_ascii_digit())
        })
    });
    assert!(named, "line {line} is not named by: {error}");
    error
}

/// What `work` gives, which must not take longer than any healthy run could.
#[track_caller]
pub fn without_hanging<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    match result.recv_timeout(Duration::from_secs(180)) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("panicked"),
    }
}

/// Where the tables lie that other engines wrote, with what they must read as:
/// in the directory that `DELTA_ACCEPTANCE_TABLES` names, by default in
/// `../shared/tables` beside this package. Without it a test passes, and says so.
pub fn acceptance_tables() -> Option<PathBuf> {
    let root = std::env::var_os("DELTA_ACCEPTANCE_TABLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tables"),
        PathBuf::from,
    );
    if !root.is_dir() {
        println!("skipped: no acceptance tables in {}", root.display());
        return None;
    }
    Some(root)
}

/// A small generator of numbers that depend on nothing but the seed.
pub struct Numbers(u64);

impl Numbers {
    pub fn from_seed(seed: u64) -> Self {
        Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}
