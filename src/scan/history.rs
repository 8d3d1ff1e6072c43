//! The stream of commits: who did what, and when.
//!
//! A row comes from the first line of a commit, so that is what is read of it.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::stream::Counts;
use super::{BatchStream, Scan, columns};
use crate::delta_log::commit_info::{CommitInfo, InfoColumns, InfoField};
use crate::error::{Error, Result};
use crate::read_ahead::{Cancel, Planned, ReadAhead, Window};
use crate::snapshot::{Clock, Snapshot};
use crate::span::{Label, SpanKind};
use crate::storage::Storage;

/// Every column that a history can have; [`Scan::history`] says what each one
/// holds.
pub const HISTORY_COLUMNS: &[&str] = &[
    "version",
    "timestamp",
    "in_commit_timestamp",
    "operation",
    "operation_parameters",
    "operation_metrics",
    "engine_info",
    "user_metadata",
    "user_id",
    "user_name",
    "isolation_level",
    "read_version",
    "is_blind_append",
    "txn_id",
    "tags",
    "commit_info",
];

/// The columns a history has when none are named: all but the last, which holds
/// the others too.
pub const DEFAULT_HISTORY_COLUMNS: &[&str] = match HISTORY_COLUMNS.split_last() {
    Some((_, others)) => others,
    None => HISTORY_COLUMNS,
};

/// The most commits of a decode unit, and so of a batch: a storage that is far
/// away takes its time for each.
const RUN: u64 = 32;
/// The most bytes that the `commitInfo` of a unit's commits may have together.
const INFO_BYTES_MAX: usize = 64 << 20;

/// A column of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Version,
    Timestamp,
    Info(InfoField),
}

impl Column {
    fn named(name: &str) -> Option<Column> {
        Some(Column::Info(match name {
            "version" => return Some(Column::Version),
            "timestamp" => return Some(Column::Timestamp),
            "in_commit_timestamp" => InfoField::InCommitTimestamp,
            "operation" => InfoField::Operation,
            "operation_parameters" => InfoField::OperationParameters,
            "operation_metrics" => InfoField::OperationMetrics,
            "engine_info" => InfoField::EngineInfo,
            "user_metadata" => InfoField::UserMetadata,
            "user_id" => InfoField::UserId,
            "user_name" => InfoField::UserName,
            "isolation_level" => InfoField::IsolationLevel,
            "read_version" => InfoField::ReadVersion,
            "is_blind_append" => InfoField::IsBlindAppend,
            "txn_id" => InfoField::TxnId,
            "tags" => InfoField::Tags,
            "commit_info" => InfoField::Whole,
            _ => return None,
        }))
    }

    fn data_type(self) -> DataType {
        match self {
            Column::Version => DataType::Int64,
            Column::Timestamp => InfoField::InCommitTimestamp.data_type(),
            Column::Info(field) => field.data_type(),
        }
    }

    fn is_nullable(self) -> bool {
        matches!(self, Column::Info(_))
    }
}

/// Which commits a history has. Without more, all that the log has, down from
/// the snapshot's version.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct HistoryOptions {
    limit: Option<u64>,
    versions: Option<RangeInclusive<u64>>,
}

impl HistoryOptions {
    /// All of them.
    pub fn new() -> Self {
        HistoryOptions::default()
    }

    /// The newest of them alone, so many at the most.
    pub fn limit(mut self, commits: u64) -> Self {
        self.limit = Some(commits);
        self
    }

    /// Those of these versions alone. What is newer than the snapshot, or older
    /// than the log, has no row.
    pub fn versions(mut self, versions: RangeInclusive<u64>) -> Self {
        self.versions = Some(versions);
        self
    }

    /// The versions that are asked for, up to `newest`; `None` where there are
    /// none.
    fn within(&self, newest: u64) -> Result<Option<RangeInclusive<u64>>> {
        let asked = self.versions.clone().unwrap_or(0..=newest);
        if asked.is_empty() {
            return Err(Error::invalid(format!(
                "the history's versions begin at {} and end before, at {}",
                asked.start(),
                asked.end()
            )));
        }
        let newest = newest.min(*asked.end());
        let count = self.limit.unwrap_or(u64::MAX).min(newest + 1);
        let oldest = (newest + 1 - count).max(*asked.start());
        Ok((oldest <= newest).then_some(oldest..=newest))
    }
}

impl Scan {
    /// Starts the stream of commits, newest first. It ends, without an error,
    /// where the log begins: clean-up deletes old commits, also those behind a
    /// checkpoint.
    ///
    /// Its columns are those of [`columns`](Self::columns), by default
    /// [`DEFAULT_HISTORY_COLUMNS`]:
    ///
    /// | name | Arrow type | holds |
    /// |---|---|---|
    /// | `version` | `Int64`, not null | the version |
    /// | `timestamp` | `Timestamp(ms, UTC)`, not null | when it was committed: see below |
    /// | `in_commit_timestamp` | `Timestamp(ms, UTC)` | `inCommitTimestamp` |
    /// | `operation` | `Utf8` | `operation` |
    /// | `operation_parameters` | `Map<Utf8, Utf8>` | `operationParameters` |
    /// | `operation_metrics` | `Map<Utf8, Utf8>` | `operationMetrics` |
    /// | `engine_info` | `Utf8` | `engineInfo` |
    /// | `user_metadata` | `Utf8` | `userMetadata` |
    /// | `user_id` | `Utf8` | `userId` |
    /// | `user_name` | `Utf8` | `userName` |
    /// | `isolation_level` | `Utf8` | `isolationLevel` |
    /// | `read_version` | `Int64` | `readVersion` |
    /// | `is_blind_append` | `Boolean` | `isBlindAppend` |
    /// | `txn_id` | `Utf8` | `txnId` |
    /// | `tags` | `Map<Utf8, Utf8>` | `tags` |
    /// | `commit_info` | `Utf8` | all of the `commitInfo`, the JSON as the log has it |
    ///
    /// The protocol leaves the form of a `commitInfo` free ("Commit Provenance
    /// Information"): what a commit does not say, or says as another type, is
    /// null. In a map, what is no string is its JSON text.
    ///
    /// The `timestamp` is the in-commit timestamp from the version on that the
    /// table has them, as the snapshot's metadata says ("In-Commit Timestamps").
    /// Before, it is as in Spark's `DESCRIBE HISTORY`: the modification time of
    /// the commit's file, which counts as a millisecond later than that of the
    /// commit before where it is not later, from the oldest commit of this
    /// history on. To know them takes a look at each such file, not into it,
    /// before the stream starts, and eight bytes a commit.
    ///
    /// A commit is read as far as its first `commitInfo`, which nearly always is
    /// its first line; what stands behind is not checked. A batch has 32 rows at
    /// the most, or [`batch_rows`](Self::batch_rows) if that is less.
    ///
    /// # Errors
    /// `InvalidArgument` for a column that does not exist or is named twice, and
    /// for versions whose end is before their beginning. `CorruptLog` where a
    /// commit is missing between others; in the stream, for a line that is no
    /// JSON, and, if the `timestamp` is wanted, for a commit that lacks the
    /// in-commit timestamp it must have. `LimitExceeded` where the `commitInfo`
    /// of 32 commits have more than 64 MiB.
    pub fn history(&self, options: &HistoryOptions) -> Result<BatchStream> {
        self.refuse_filter("a history")?;
        let rows = self.history_rows()?;
        let snapshot = &self.snapshot;
        let engine = snapshot.engine();
        let mut window = self.window(u64::MAX);
        let commits = match options.within(snapshot.version())? {
            Some(versions) => snapshot.commits_of(versions)?,
            None => 0..0,
        };
        let clock = snapshot.clock()?;
        let times = match rows.columns.contains(&Column::Timestamp) {
            true => ModificationTimes::of(snapshot, &clock, &commits, window)?,
            false => ModificationTimes::default(),
        };
        let run = RUN.min(self.batch_rows as u64).max(1);
        if self.threads.is_none() && engine.spares_threads() && commits.end - commits.start <= run {
            window.threads = 0;
        }
        let counts = Counts::new(&snapshot.storage());
        let storage = Arc::clone(&counts.storage);
        let schema = Arc::clone(&rows.schema);
        let cancel = Cancel::default();
        let units = ReadAhead::new(
            engine.pool(),
            window,
            cancel.clone(),
            Arc::clone(&counts.units),
            plan(commits, run, &clock),
            move |versions| rows.decode(storage.as_ref(), &clock, versions, &times),
        );
        Ok(BatchStream::new(schema, cancel, counts, units))
    }

    /// The schema of a history, without starting it.
    ///
    /// # Errors
    /// `InvalidArgument`, naming it, for a column that does not exist or is
    /// named twice.
    pub fn history_schema(&self) -> Result<SchemaRef> {
        Ok(self.history_rows()?.schema)
    }

    fn history_rows(&self) -> Result<Rows> {
        let names: Vec<&str> = match &self.columns {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => DEFAULT_HISTORY_COLUMNS.to_vec(),
        };
        let columns = columns::named(&names, "a history", HISTORY_COLUMNS, Column::named)?;
        let fields: Vec<Field> = names
            .iter()
            .zip(&columns)
            .map(|(&name, column)| Field::new(name, column.data_type(), column.is_nullable()))
            .collect();
        Ok(Rows { columns, schema: Arc::new(Schema::new(fields)) })
    }
}

/// When those of a range of commits were committed that no in-commit timestamp
/// dates, in milliseconds since the Unix epoch.
#[derive(Default)]
pub(super) struct ModificationTimes {
    first: u64,
    ms: Vec<i64>,
}

impl ModificationTimes {
    /// Looks at each such file: a commit that is not later than the one before it
    /// counts as a millisecond later.
    pub(super) fn of(
        snapshot: &Snapshot,
        clock: &Clock,
        commits: &Range<u64>,
        window: Window,
    ) -> Result<ModificationTimes> {
        let modified = commits.start..clock.split(commits);
        let ms = match modified.is_empty() {
            true => Vec::new(),
            false => snapshot.modification_times(modified, window).collect::<Result<_>>()?,
        };
        Ok(ModificationTimes { first: commits.start, ms })
    }

    /// `None` where an in-commit timestamp says it.
    pub(super) fn get(&self, version: u64) -> Option<i64> {
        self.ms.get(usize::try_from(version.checked_sub(self.first)?).ok()?).copied()
    }
}

/// Runs of `run` versions, newest first.
fn plan(
    commits: Range<u64>,
    run: u64,
    clock: &Clock,
) -> impl Iterator<Item = Result<Planned<Range<u64>>>> + Send + use<> {
    /// Of a commit: what is read at once.
    const COMMIT_BYTES: usize = 16 << 10;
    let Range { start, mut end } = commits;
    let clock = clock.clone();
    std::iter::from_fn(move || {
        (start < end).then(|| {
            let versions = end.saturating_sub(run).max(start)..end;
            end = versions.start;
            let newest = clock.commit(versions.end - 1).name;
            let label = Label::new(SpanKind::Decode, newest).share("versions", versions.clone());
            let bytes = (versions.end - versions.start) as usize * COMMIT_BYTES;
            Ok(Planned { unit: versions, bytes, label })
        })
    })
}

/// The columns of a history, resolved.
struct Rows {
    columns: Vec<Column>,
    schema: SchemaRef,
}

impl Rows {
    /// The rows of `versions`, newest first.
    fn decode(
        &self,
        storage: &dyn Storage,
        clock: &Clock,
        versions: Range<u64>,
        times: &ModificationTimes,
    ) -> Result<RecordBatch> {
        let of_info = |column: &Column| match column {
            Column::Info(field) => Some(*field),
            Column::Version | Column::Timestamp => None,
        };
        let fields: Vec<InfoField> = self.columns.iter().filter_map(of_info).collect();
        let wants_timestamp = self.columns.contains(&Column::Timestamp);
        let mut infos = InfoColumns::new(&fields);
        let mut timestamps = Vec::new();
        let mut info_bytes = 0;
        for version in versions.clone().rev() {
            let commit = clock.commit(version);
            let time = times.get(version);
            let is_dated = time.is_some() || !wants_timestamp;
            let info = match fields.is_empty() && is_dated {
                true => None,
                false => CommitInfo::read(storage, &commit).map_err(Error::of_listed_file)?,
            };
            info_bytes += info.as_ref().map_or(0, |info| info.text.len());
            if info_bytes > INFO_BYTES_MAX {
                return Err(Error::limit(format!(
                    "{}: its commitInfo and those of up to {RUN} newer commits have more than \
                     {INFO_BYTES_MAX} bytes",
                    commit.name
                )));
            }
            if wants_timestamp {
                timestamps.push(match time {
                    Some(time) => time,
                    None => CommitInfo::required_in_commit_timestamp(info.as_ref(), &commit)?,
                });
            }
            infos.push(info.as_ref())?;
        }
        let mut infos = infos.finish().into_iter();
        let mut column = |column: &Column| -> Result<ArrayRef> {
            Ok(match column {
                Column::Version => {
                    let versions = versions.clone().rev().map(|version| version as i64);
                    Arc::new(Int64Array::from_iter_values(versions))
                }
                Column::Timestamp => {
                    let timestamps = TimestampMillisecondArray::from(timestamps.clone());
                    Arc::new(timestamps.with_timezone("UTC"))
                }
                Column::Info(_) => {
                    infos.next().ok_or_else(|| Error::bug("a column was not decoded"))?
                }
            })
        };
        let columns = self.columns.iter().map(&mut column).collect::<Result<Vec<_>>>()?;
        // The row count stands apart: a stream may have no column at all.
        let rows = (versions.end - versions.start) as usize;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::bug(format!("a batch of a history: {e}")))
    }
}
