//! When versions were committed, and which version a time means.
//!
//! A commit is dated by its in-commit timestamp from the version on that the
//! table has them, and by its file's modification time before ("In-Commit
//! Timestamps"). The former are made to increase, so a search reads a few
//! commits of a million. The latter are whatever clocks and copies made them:
//! Spark's readers take a commit that is not later than the one before it for
//! one millisecond later, and so does this. A time then depends on all those
//! before it, so every file of the range is asked for its time, and none is read.
//!
//! The protocol does not say how far back a time may go. As in Spark it is to
//! the first version that can be opened, which a listing of the whole log shows.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::temporal_conversions::timestamp_ms_to_datetime;

use super::Snapshot;
use crate::delta_log::commit_info::CommitInfo;
use crate::delta_log::path;
use crate::delta_log::segment::{CommitFile, Outline};
use crate::error::{Error, Result};
use crate::features::{self, InCommitTimestamps};
use crate::read_ahead::{Cancel, Counters, Planned, ReadAhead, Window};
use crate::span::{Label, SpanKind};
use crate::storage::Storage;

/// How the commits of a log are called and dated.
#[derive(Clone)]
pub(crate) struct Clock {
    enabled: Option<InCommitTimestamps>,
    /// The first version that an in-commit timestamp dates.
    ///
    /// A commit that only its catalog has always has one: such a table must have
    /// them enabled ("Catalog-managed tables"), and the time of a staged file is
    /// that of an attempt.
    first_in_commit: Option<u64>,
    /// What the table's catalog gave, oldest first.
    given: Arc<[CommitFile]>,
}

impl Clock {
    /// The commit of `version`.
    pub(crate) fn commit(&self, version: u64) -> CommitFile {
        match self.given.binary_search_by_key(&version, |commit| commit.version) {
            Ok(at) => self.given[at].clone(),
            Err(_) => CommitFile::published(version),
        }
    }

    /// Where in `versions` in-commit timestamps begin; its end where they do not.
    pub(crate) fn split(&self, versions: &Range<u64>) -> u64 {
        self.first_in_commit.unwrap_or(u64::MAX).clamp(versions.start, versions.end)
    }
}

impl Snapshot {
    pub(crate) fn clock(&self) -> Result<Clock> {
        let configuration = &self.metadata().configuration;
        let enabled = features::in_commit_timestamps(self.protocol(), configuration)?;
        let catalog = &self.inner.log.request.catalog;
        let given = catalog.as_ref().map_or(&[][..], |catalog| &catalog.commits);
        let staged = given.iter().find(|commit| !commit.is_published());
        let first = enabled.map(|enabled| enabled.version);
        let first_in_commit = first.into_iter().chain(staged.map(|commit| commit.version)).min();
        Ok(Clock { enabled, first_in_commit, given: given.into() })
    }

    /// Of `versions` those whose commits the log still has; an error where one
    /// is missing between them.
    pub(crate) fn commits_of(&self, versions: RangeInclusive<u64>) -> Result<Range<u64>> {
        self.outline(versions)?.all_commits()
    }

    fn outline(&self, versions: RangeInclusive<u64>) -> Result<Outline> {
        let log = &self.inner.log;
        let _watch = log.engine.pool().watch(|| Label::new(SpanKind::List, path::LOG_DIR));
        Outline::new(log.storage.as_ref(), versions, log.request.catalog.as_ref())
    }

    /// The modification times of the published commits of `versions`, oldest
    /// first, each made later than the one before it.
    pub(crate) fn modification_times(
        &self,
        versions: Range<u64>,
        window: Window,
    ) -> impl Iterator<Item = Result<i64>> + use<> {
        /// Few enough that all workers have some, enough that handing them over
        /// costs nothing beside them.
        const RUN: usize = 64;
        /// About as many as are asked while a thread starts.
        const FEW: u64 = 256;
        let engine = self.engine();
        let is_small = engine.spares_threads() && versions.end - versions.start <= FEW;
        let window = Window { threads: if is_small { 0 } else { window.threads }, ..window };
        let runs = versions.clone().step_by(RUN).map(move |first| {
            let run = first..versions.end.min(first + RUN as u64);
            let label = Label::new(SpanKind::List, path::LOG_DIR).share("versions", run.clone());
            Ok(Planned { unit: run, bytes: RUN * size_of::<i64>(), label })
        });
        let storage = self.storage();
        let times = ReadAhead::new(
            engine.pool(),
            window,
            Cancel::default(),
            Arc::new(Counters::default()),
            runs,
            move |run: Range<u64>| -> Result<Vec<i64>> {
                run.map(|version| modified_ms(storage.as_ref(), version)).collect()
            },
        );
        let mut latest = None;
        times
            .flat_map(|run| match run {
                Ok(times) => times.into_iter().map(Ok).collect(),
                Err(e) => vec![Err(e)],
            })
            .map(move |time| {
                let time = time?;
                let time = latest.map_or(time, |latest: i64| time.max(latest.saturating_add(1)));
                latest = Some(time);
                Ok(time)
            })
    }
}

fn modified_ms(storage: &dyn Storage, version: u64) -> Result<i64> {
    let stat = storage.stat(&path::commit(version)).map_err(Error::of_listed_file)?;
    Ok(stat.modified_ms)
}

/// The versions of a log that can be opened, by time.
pub(super) struct Timeline<'a> {
    snapshot: &'a Snapshot,
    clock: Clock,
    /// The versions that a modification time dates.
    modified: Range<u64>,
    /// Those after them, that an in-commit timestamp dates.
    in_commit: Range<u64>,
    /// A time that is not before this one is searched for among the latter only.
    split_ms: i64,
}

impl<'a> Timeline<'a> {
    /// Of the versions up to that of `latest`.
    pub(super) fn up_to(latest: &'a Snapshot) -> Result<Timeline<'a>> {
        let last = latest.version();
        let first = latest.outline(0..=last)?.first_in_reach().ok_or_else(|| {
            Error::not_found(format!(
                "no version can be found by its time: {} is missing, or what leads up to it",
                path::commit(last)
            ))
        })?;
        let clock = latest.clock()?;
        if let Some(enabled) = clock.enabled.filter(|enabled| enabled.version > last) {
            return Err(Error::corrupt(format!(
                "in-commit timestamps are said to begin with version {}, by version {last}",
                enabled.version
            )));
        }
        let split = clock.split(&(first..last + 1));
        let (modified, in_commit) = (first..split, split..last + 1);
        let mut timeline =
            Timeline { snapshot: latest, clock, modified, in_commit, split_ms: i64::MIN };
        if !timeline.modified.is_empty() && !timeline.in_commit.is_empty() {
            timeline.split_ms = match timeline.clock.enabled {
                Some(enabled) if enabled.version == split => enabled.ms,
                _ => timeline.in_commit_ms(split)?,
            };
        }
        Ok(timeline)
    }

    /// The latest version committed at or before `ms`, as `TIMESTAMP AS OF` in
    /// Spark has it: a time after the latest commit is refused, since what is
    /// the latest then may change.
    pub(super) fn as_of(&self, ms: i64) -> Result<u64> {
        match self.latest_until(ms)? {
            None => Err(self.out_of_reach(ms, BEFORE)),
            Some((version, at)) if version == self.last() && at < ms => {
                Err(self.out_of_reach(ms, AFTER))
            }
            Some((version, _)) => Ok(version),
        }
    }

    pub(super) fn at_or_before(&self, ms: i64) -> Result<u64> {
        let latest = self.latest_until(ms)?;
        latest.map(|(version, _)| version).ok_or_else(|| self.out_of_reach(ms, BEFORE))
    }

    pub(super) fn at_or_after(&self, ms: i64) -> Result<u64> {
        self.earliest_from(ms)?.ok_or_else(|| self.out_of_reach(ms, AFTER))
    }

    pub(super) fn between(&self, from_ms: i64, to_ms: i64) -> Result<RangeInclusive<u64>> {
        if from_ms > to_ms {
            return Err(Error::invalid(format!(
                "the range of time begins at {} and ends before, at {}",
                utc(from_ms),
                utc(to_ms)
            )));
        }
        let (first, last) = (self.at_or_after(from_ms)?, self.at_or_before(to_ms)?);
        if first > last {
            return Err(Error::not_found(format!(
                "no version was committed from {} to {}: version {last} was before, version \
                 {first} after",
                utc(from_ms),
                utc(to_ms)
            )));
        }
        Ok(first..=last)
    }

    fn last(&self) -> u64 {
        self.in_commit.end - 1
    }

    /// "If timestamp X >= delta.inCommitTimestampEnablementTimestamp, only table
    /// versions >= delta.inCommitTimestampEnablementVersion should be considered
    /// for the query. Otherwise, only table versions less than" that.
    fn is_in_commit(&self, ms: i64) -> bool {
        !self.in_commit.is_empty() && (self.modified.is_empty() || ms >= self.split_ms)
    }

    /// The latest version that is not after `ms`, and its time.
    fn latest_until(&self, ms: i64) -> Result<Option<(u64, i64)>> {
        if self.is_in_commit(ms) {
            let (next, before) = self.search(|at| at > ms)?;
            if before.is_none() && !self.modified.is_empty() {
                return Err(Error::corrupt(format!(
                    "delta.inCommitTimestampEnablementTimestamp is {}, which is before the \
                     inCommitTimestamp of {}",
                    self.split_ms,
                    self.clock.commit(self.in_commit.start).name
                )));
            }
            return Ok(before.map(|at| (next - 1, at)));
        }
        let mut latest = None;
        for (version, at) in self.modified.clone().zip(self.modification_times()) {
            let at = at?;
            if at > ms {
                break;
            }
            latest = Some((version, at));
        }
        Ok(latest)
    }

    /// The earliest version that is not before `ms`.
    fn earliest_from(&self, ms: i64) -> Result<Option<u64>> {
        if self.is_in_commit(ms) {
            let (first, _) = self.search(|at| at >= ms)?;
            return Ok(Some(first).filter(|first| self.in_commit.contains(first)));
        }
        for (version, at) in self.modified.clone().zip(self.modification_times()) {
            if at? >= ms {
                return Ok(Some(version));
            }
        }
        // A time before that of the first in-commit timestamp.
        Ok(Some(self.in_commit.start).filter(|first| self.in_commit.contains(first)))
    }

    /// The first version of those with in-commit timestamps that `is_late`, and
    /// the time of the one before it. As many commits are read as the number of
    /// versions has binary digits.
    fn search(&self, is_late: impl Fn(i64) -> bool) -> Result<(u64, Option<i64>)> {
        let Range { start: mut low, end: mut high } = self.in_commit;
        let mut before = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let at = self.in_commit_ms(middle)?;
            if is_late(at) {
                high = middle;
            } else {
                low = middle + 1;
                before = Some(at);
            }
        }
        Ok((low, before))
    }

    fn in_commit_ms(&self, version: u64) -> Result<i64> {
        in_commit_ms(self.snapshot, &self.clock.commit(version)).map_err(Error::of_listed_file)
    }

    fn modification_times(&self) -> impl Iterator<Item = Result<i64>> {
        self.snapshot.modification_times(self.modified.clone(), self.snapshot.engine().window())
    }

    /// The error for a time outside of the log, with what is inside.
    fn out_of_reach(&self, ms: i64, place: &str) -> Error {
        let said = || {
            let first = match self.modified.clone().next() {
                Some(first) => modified_ms(self.snapshot.storage().as_ref(), first)?,
                None => self.in_commit_ms(self.in_commit.start)?,
            };
            let last = match self.in_commit.is_empty() {
                true => self.modification_times().last().transpose()?.unwrap_or(first),
                false => self.in_commit_ms(self.last())?,
            };
            Ok(Error::not_found(format!(
                "{} is {place}: the versions that can be opened are {}, of {}, to {}, of {}",
                utc(ms),
                self.modified.start,
                utc(first),
                self.last(),
                utc(last)
            )))
        };
        said().unwrap_or_else(|e: Error| e)
    }
}

const BEFORE: &str = "before the first commit in reach";
const AFTER: &str = "after the latest commit";

/// The in-commit timestamp of `commit`, which must have one.
pub(super) fn in_commit_ms(snapshot: &Snapshot, commit: &CommitFile) -> Result<i64> {
    let pool = snapshot.engine().pool();
    let _watch = pool.watch(|| Label::new(SpanKind::Open, Arc::clone(&commit.name)));
    let info = CommitInfo::read(snapshot.storage().as_ref(), commit)?;
    CommitInfo::required_in_commit_timestamp(info.as_ref(), commit)
}

/// A time for a person, in UTC and as what the caller counts.
fn utc(ms: i64) -> String {
    match timestamp_ms_to_datetime(ms) {
        Some(time) => format!("{time} UTC ({ms} ms)"),
        None => format!("{ms} ms"),
    }
}
