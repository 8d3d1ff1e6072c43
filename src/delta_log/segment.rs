//! The files that make up one version: a checkpoint, and the commits after it.
//!
//! One listing decides. `_last_checkpoint` is a hint and only a hint: it says
//! where the listing may begin, and when it leads nowhere the whole log is
//! listed. A segment is complete or it is an error: commits are contiguous, and
//! what is before them is a complete checkpoint or nothing.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::path::{self, CheckpointName, LogFile};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::Storage;

/// The checkpoint of a segment: one file, or all parts of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CheckpointFiles {
    pub(crate) version: u64,
    /// With their directory, in part order.
    pub(crate) names: Vec<String>,
    pub(crate) is_json: bool,
    /// What `_last_checkpoint` says of it, where it speaks of this one.
    pub(crate) said: Option<LastCheckpoint>,
}

/// The checkpoint and commits that make up one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSegment {
    pub(crate) version: u64,
    pub(crate) checkpoint: Option<CheckpointFiles>,
    /// Versions of the commits after the checkpoint, oldest first, without a gap.
    pub(crate) commits: Vec<u64>,
    /// What was odd about the log and does not matter to this version: a line
    /// each, for the host's log.
    pub(crate) warnings: Vec<String>,
}

/// What this reader uses of `_last_checkpoint` ("Last Checkpoint File Schema"):
/// where a listing may begin, and what the checkpoint must then hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LastCheckpoint {
    version: u64,
    /// The number of actions.
    pub(crate) size: Option<u64>,
    pub(crate) num_of_add_files: Option<u64>,
    parts: Option<usize>,
}

/// What one listing of the log showed.
#[derive(Default)]
struct Listing {
    commits: Vec<u64>,
    checkpoints: BTreeMap<u64, Vec<CheckpointName>>,
}

impl LogSegment {
    /// The segment of the latest version.
    pub(crate) fn latest(storage: &dyn Storage) -> Result<LogSegment> {
        LogSegment::find(storage, None)
    }

    /// The segment of `version`; an error of kind `NotFound` when the log does
    /// not reach it.
    pub(crate) fn at_version(storage: &dyn Storage, version: u64) -> Result<LogSegment> {
        LogSegment::find(storage, Some(version))
    }

    fn find(storage: &dyn Storage, wanted: Option<u64>) -> Result<LogSegment> {
        let hint = last_checkpoint(storage)
            .filter(|hint| wanted.is_none_or(|wanted| hint.version <= wanted));
        let mut warnings = Vec::new();
        if let Some(hint) = hint {
            let listing = Listing::new(storage, hint.version)?;
            // A hint that is older than the newest checkpoint is still a good
            // place to begin; one without a complete checkpoint behind it is not.
            if let Some(mut checkpoint) = listing.newest_checkpoint(wanted) {
                let is_same = checkpoint.version == hint.version
                    && checkpoint.names.len() == hint.parts.unwrap_or(1);
                checkpoint.said = is_same.then_some(hint);
                return listing.segment(Some(checkpoint), wanted, warnings);
            }
            warnings.push(format!(
                "{} points to version {}, where no complete checkpoint is: the whole log is listed",
                path::LAST_CHECKPOINT,
                hint.version
            ));
        }
        let listing = Listing::new(storage, 0)?;
        let checkpoint = listing.newest_checkpoint(wanted);
        listing.segment(checkpoint, wanted, warnings)
    }
}

impl Listing {
    fn new(storage: &dyn Storage, from: u64) -> Result<Listing> {
        let mut listing = Listing::default();
        let listed = storage.list(path::LOG_DIR, &path::first_name(from), &mut |name| {
            match path::parse(name) {
                Some((version, LogFile::Commit)) => listing.commits.push(version),
                Some((version, LogFile::Checkpoint(name))) => {
                    listing.checkpoints.entry(version).or_default().push(name);
                }
                None => {}
            }
            Ok(())
        });
        listed.map_err(|e| match e.kind() {
            ErrorKind::NotFound => {
                Error::not_found(format!("not a Delta table: no {} below its root", path::LOG_DIR))
            }
            _ => e,
        })?;
        // A store may list in any order, and a name twice.
        listing.commits.sort_unstable();
        listing.commits.dedup();
        Ok(listing)
    }

    /// "For time travel, the checkpoint used must not be newer than the time
    /// travel version" ("Checkpoints").
    fn newest_checkpoint(&self, wanted: Option<u64>) -> Option<CheckpointFiles> {
        let versions = self.checkpoints.range(..=wanted.unwrap_or(u64::MAX));
        versions.rev().find_map(|(&version, names)| {
            let names = path::winning_checkpoint(names)?;
            Some(CheckpointFiles {
                version,
                is_json: matches!(names[..], [CheckpointName::UuidJson(_)]),
                names: names.iter().map(|name| path::checkpoint(version, name)).collect(),
                said: None,
            })
        })
    }

    fn segment(
        self,
        checkpoint: Option<CheckpointFiles>,
        wanted: Option<u64>,
        mut warnings: Vec<String>,
    ) -> Result<LogSegment> {
        let first = checkpoint.as_ref().map_or(0, |c| c.version + 1);
        let newer = self.checkpoints.range(first..).map(|(&version, _)| version);
        warnings.extend(newer.filter(|&v| wanted.is_none_or(|wanted| v <= wanted)).map(
            |version| format!("the checkpoint of version {version} lacks a part and is ignored"),
        ));
        let begin = self.commits.partition_point(|&v| v < first);
        let end = self.commits.partition_point(|&v| wanted.is_none_or(|wanted| v <= wanted));
        let commits = self.commits.get(begin..end).unwrap_or_default().to_vec();

        for (&found, expected) in commits.iter().zip(first..) {
            if found == expected {
                continue;
            }
            let missing = path::commit(expected);
            return Err(Error::corrupt(if expected == 0 {
                format!(
                    "{missing} is missing: the log begins at version {found}, and no complete \
                     checkpoint covers what is before it"
                )
            } else {
                format!("{missing} is missing: the log goes on at version {found}")
            }));
        }

        let reached = commits.last().copied().or(checkpoint.as_ref().map(|c| c.version));
        let Some(version) = reached else {
            let nothing = format!("no commit and no complete checkpoint in {}", path::LOG_DIR);
            return Err(Error::not_found(match wanted {
                Some(wanted) => format!("version {wanted} cannot be read: {nothing} reaches it"),
                None => format!("not a Delta table: {nothing}"),
            }));
        };
        if let Some(wanted) = wanted.filter(|&wanted| wanted != version) {
            return Err(match self.commits.iter().find(|&&v| v > wanted) {
                Some(after) => Error::corrupt(format!(
                    "{} is missing: the log goes on at version {after}",
                    path::commit(wanted)
                )),
                None => Error::not_found(format!(
                    "version {wanted} is not in the log, whose latest version is {version}"
                )),
            });
        }
        Ok(LogSegment { version, checkpoint, commits, warnings })
    }
}

/// What `_last_checkpoint` says. The file is optional and may
/// be missing, half-written or no file at all: nothing wrong with it is an error.
fn last_checkpoint(storage: &dyn Storage) -> Option<LastCheckpoint> {
    serde_json::from_slice(&storage.read(path::LAST_CHECKPOINT).ok()?).ok()
}
