//! The files that make up one version: a checkpoint, and the commits after it.
//!
//! One listing decides. `_last_checkpoint` is a hint and only a hint: it says
//! where the listing may begin, and when it leads nowhere the whole log is
//! listed. A segment is complete or it is an error: commits are contiguous, and
//! what is before them is a complete checkpoint or nothing. What only saves
//! work, compactions and a checksum, is named and may turn out to be bad.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use bytes::Bytes;

use super::last_checkpoint::{self, CheckpointCounts, LastCheckpoint};
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
    pub(crate) said: Option<CheckpointCounts>,
}

/// A commit of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommitFile {
    pub(crate) version: u64,
    /// With its directory.
    pub(crate) name: Arc<str>,
    /// The content of a commit that only the table's catalog holds.
    pub(crate) inline: Option<Bytes>,
}

/// What stands for one version or for several.
#[derive(Debug, Clone)]
pub(crate) enum Stretch {
    Commit(CommitFile),
    Compaction(Compaction),
}

/// A file that several commits are reconciled in ("Log Compaction Files").
#[derive(Debug, Clone)]
pub(crate) struct Compaction {
    pub(crate) name: Arc<str>,
    /// What it stands for, newest first; never empty.
    pub(crate) commits: Vec<CommitFile>,
}

/// The files that make up one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogSegment {
    pub(crate) version: u64,
    pub(crate) checkpoint: Option<CheckpointFiles>,
    /// The commits after the checkpoint, oldest first, without a gap.
    pub(crate) commits: Vec<CommitFile>,
    /// First and last version of the compactions of these commits, by the last.
    compactions: Vec<(u64, u64)>,
    /// The newest version that has a checksum and is not older than the checkpoint.
    pub(crate) checksum: Option<u64>,
    /// How many of the commits were asked for by name since the log was listed.
    asked_for: usize,
    /// What was odd about the log and does not matter to this version: a line
    /// each, for the host's log.
    pub(crate) warnings: Vec<String>,
}

/// Which segment is wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// None: the latest.
    pub(crate) version: Option<u64>,
    /// What the catalog of a catalog-managed table says.
    pub(crate) catalog: Option<Catalog>,
    /// Checkpoint files that turned out to be unreadable.
    pub(crate) avoid: Vec<String>,
}

/// What a catalog knows of a table's log ("Catalog-managed tables").
#[derive(Debug, Clone)]
pub(crate) struct Catalog {
    /// The latest ratified version: whatever is newer is ignored.
    pub(crate) version: u64,
    /// Ratified commits, oldest first, without a gap. They count in place of
    /// what may be published under the same version.
    pub(crate) commits: Vec<CommitFile>,
}

/// What one listing of the log showed.
#[derive(Default)]
struct Listing {
    /// The versions that have a commit, in order: of most, nothing else is needed.
    commits: Vec<u64>,
    /// Those of them that are not where every table has them.
    given: Vec<CommitFile>,
    checkpoints: BTreeMap<u64, Vec<CheckpointName>>,
    compactions: Vec<(u64, u64)>,
    checksum: Option<u64>,
}

impl CommitFile {
    /// The commit of `version` where every table has it.
    pub(crate) fn published(version: u64) -> CommitFile {
        CommitFile { version, name: path::commit(version).into(), inline: None }
    }

    pub(crate) fn is_published(&self) -> bool {
        self.inline.is_none() && *self.name == *path::commit(self.version)
    }
}

impl Stretch {
    pub(crate) fn name(&self) -> &Arc<str> {
        match self {
            Stretch::Commit(commit) => &commit.name,
            Stretch::Compaction(compaction) => &compaction.name,
        }
    }

    pub(crate) fn newest(&self) -> u64 {
        self.commits()[0].version
    }

    pub(crate) fn oldest(&self) -> u64 {
        let commits = self.commits();
        commits[commits.len() - 1].version
    }

    /// What it stands for, newest first.
    fn commits(&self) -> &[CommitFile] {
        match self {
            Stretch::Commit(commit) => std::slice::from_ref(commit),
            Stretch::Compaction(compaction) => &compaction.commits,
        }
    }
}

impl Request {
    /// The newest version that may be read.
    fn limit(&self) -> Result<Option<u64>> {
        match (self.version, &self.catalog) {
            (Some(version), Some(catalog)) if version > catalog.version => {
                Err(Error::not_found(format!(
                    "version {version} is not in the log: the catalog's latest version is {}",
                    catalog.version
                )))
            }
            (None, Some(catalog)) => Ok(Some(catalog.version)),
            (version, _) => Ok(version),
        }
    }
}

impl LogSegment {
    /// The segment that is wanted; an error of kind `NotFound` when the log does
    /// not reach its version.
    pub(crate) fn find(storage: &dyn Storage, request: &Request) -> Result<LogSegment> {
        let limit = request.limit()?;
        let mut warnings = Vec::new();
        if let Some(hint) = hint(storage, limit, &mut warnings) {
            let listing = Listing::new(storage, hint.version, limit, request)?;
            // A hint that is older than the newest checkpoint is still a good
            // place to begin; one without a complete checkpoint behind it is not.
            if let Some(mut checkpoint) = listing.newest_checkpoint(request) {
                checkpoint.said = listing.is_meant(&hint, &checkpoint).then_some(hint.counts);
                return listing.segment(Some(checkpoint), limit, request, warnings);
            }
            // Where its checkpoint is unreadable, that has been told already.
            if request.avoid.is_empty() {
                warnings.push(format!(
                    "{} points to version {}, where no complete checkpoint is: the whole log is \
                     listed",
                    path::LAST_CHECKPOINT,
                    hint.version
                ));
            }
        }
        let listing = Listing::new(storage, 0, limit, request)?;
        let checkpoint = listing.newest_checkpoint(request);
        listing.segment(checkpoint, limit, request, warnings)
    }

    /// As [`find`](Self::find), by a listing that begins where this segment
    /// ends: what is new decides what it costs.
    pub(crate) fn newer(&self, storage: &dyn Storage, request: &Request) -> Result<LogSegment> {
        /// A checkpoint that no hint tells of is found by a listing alone.
        const ASKED_FOR_MAX: usize = 64;
        let limit = request.limit()?;
        let own = self.checkpoint.as_ref().map(|checkpoint| checkpoint.version);
        let goes_back = limit.is_some_and(|limit| limit < self.version);
        // Staged commits are published, and then deleted where they were.
        let is_plain = self.commits.iter().all(CommitFile::is_published);
        // A checkpoint between the own one and this version is only found there.
        let mut warnings = Vec::new();
        let hint = hint(storage, limit, &mut warnings);
        let is_newer = hint.is_some_and(|hint| own.is_none_or(|own| hint.version > own));
        // So is one that log cleanup has left to begin with.
        let is_whole = self.oldest_file().is_some_and(|name| storage.stat(name).is_ok());
        let is_due = self.asked_for >= ASKED_FOR_MAX;
        if goes_back || !is_plain || is_newer || !is_whole || is_due {
            return LogSegment::find(storage, request);
        }
        let (asked_for, mut listing) =
            match Listing::of_next(storage, self.version, limit, request)? {
                Some(listing) => (self.asked_for + listing.commits.len(), listing),
                None => (0, Listing::new(storage, self.version, limit, request)?),
            };
        if let Some(checkpoint) = listing.newest_checkpoint(request)
            && own.is_none_or(|own| checkpoint.version > own)
        {
            return listing.segment(Some(checkpoint), limit, request, warnings);
        }
        listing.commits.retain(|&version| version > self.version);
        listing.commits.splice(0..0, self.commits.iter().map(|commit| commit.version));
        listing.compactions.extend(&self.compactions);
        listing.compactions.sort_unstable_by_key(|&(first, last)| (last, first));
        listing.compactions.dedup();
        listing.checksum = listing.checksum.max(self.checksum);
        let segment = listing.segment(self.checkpoint.clone(), limit, request, warnings)?;
        Ok(LogSegment { asked_for, ..segment })
    }

    /// The newest of its files that lie where every reader finds them.
    pub(crate) fn newest_file(&self) -> Option<&str> {
        let commit = self.commits.iter().rfind(|commit| commit.is_published());
        commit.map(|commit| &*commit.name).or(self.checkpoint_file())
    }

    /// The oldest of them: log cleanup takes it first.
    fn oldest_file(&self) -> Option<&str> {
        let commit = self.commits.iter().find(|commit| commit.is_published());
        self.checkpoint_file().or(commit.map(|commit| &*commit.name))
    }

    fn checkpoint_file(&self) -> Option<&str> {
        self.checkpoint.as_ref()?.names.first().map(String::as_str)
    }

    /// The commits of `versions`, newest first.
    pub(crate) fn single_commits(&self, versions: Range<u64>) -> Vec<Stretch> {
        let commits = self.commits.iter().rev();
        let wanted = commits.filter(|commit| versions.contains(&commit.version));
        wanted.cloned().map(Stretch::Commit).collect()
    }

    /// What stands for the commits of `versions`, newest first, compactions in
    /// place of commits wherever they begin and end within.
    pub(crate) fn stretches(&self, versions: Range<u64>) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let begin = self.commits.partition_point(|commit| commit.version < versions.start);
        let mut end = self.commits.partition_point(|commit| commit.version < versions.end);
        while begin < end {
            let newest = &self.commits[end - 1];
            let from = self.compactions.partition_point(|&(_, last)| last < newest.version);
            let covering = self.compactions[from..]
                .iter()
                .take_while(|&&(_, last)| last == newest.version)
                .find_map(|&(first, last)| {
                    let at = end.checked_sub(usize::try_from(last - first).ok()? + 1)?;
                    (at >= begin).then_some((first, at))
                });
            let Some((first, at)) = covering else {
                stretches.push(Stretch::Commit(newest.clone()));
                end -= 1;
                continue;
            };
            let commits: Vec<CommitFile> = self.commits[at..end].iter().rev().cloned().collect();
            // What a catalog gives counts in place of what is published.
            if commits.iter().all(CommitFile::is_published) {
                let name = path::compaction(first, newest.version).into();
                stretches.push(Stretch::Compaction(Compaction { name, commits }));
            } else {
                stretches.extend(commits.into_iter().map(Stretch::Commit));
            }
            end = at;
        }
        stretches
    }

    /// The commit of `version`, where it has to be. One from before the
    /// checkpoint may be gone.
    pub(crate) fn commit(&self, version: u64, request: &Request) -> CommitFile {
        let own = self.commits.binary_search_by_key(&version, |commit| commit.version);
        let own = own.ok().map(|at| &self.commits[at]);
        let given = || {
            let given = request.catalog.iter().flat_map(|catalog| &catalog.commits);
            given.into_iter().find(|commit| commit.version == version)
        };
        own.or_else(given).cloned().unwrap_or_else(|| CommitFile::published(version))
    }

    /// From which version on the log has every commit; `None` where it does not
    /// even have this version's.
    pub(crate) fn reaches_back_to(
        &self,
        storage: &dyn Storage,
        request: &Request,
    ) -> Result<Option<u64>> {
        let outline = Outline::new(storage, 0..=self.version, request.catalog.as_ref())?;
        Ok(outline.first_without_gap())
    }

    /// The versions after the checkpoint.
    pub(crate) fn versions(&self) -> Range<u64> {
        let first = self.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.version + 1);
        first..self.version + 1
    }
}

/// What `_last_checkpoint` says, unless that is about a version beyond `limit`.
fn hint(
    storage: &dyn Storage,
    limit: Option<u64>,
    warnings: &mut Vec<String>,
) -> Option<LastCheckpoint> {
    let hint = last_checkpoint::read(storage).unwrap_or_else(|why| {
        warnings.push(why);
        None
    });
    hint.filter(|hint| limit.is_none_or(|limit| hint.version <= limit))
}

impl Listing {
    fn new(
        storage: &dyn Storage,
        from: u64,
        limit: Option<u64>,
        request: &Request,
    ) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut commits = Vec::new();
        let is_within = |version: u64| limit.is_none_or(|limit| version <= limit);
        list(storage, from, |version, file| match file {
            // Those beyond the limit are kept, to tell a gap from the end.
            LogFile::Commit => commits.push(version),
            LogFile::Checkpoint(name) if is_within(version) => {
                listing.checkpoints.entry(version).or_default().push(name);
            }
            LogFile::Compaction { last } if is_within(last) => {
                listing.compactions.push((version, last));
            }
            LogFile::Checksum if is_within(version) => {
                listing.checksum = listing.checksum.max(Some(version));
            }
            LogFile::Checkpoint(_) | LogFile::Compaction { .. } | LogFile::Checksum => {}
        })?;
        if let Some(catalog) = &request.catalog {
            let given = catalog.commits.iter().filter(|commit| commit.version >= from);
            listing.given = given.cloned().collect();
            commits.retain(|&version| version <= catalog.version);
            commits.extend(listing.given.iter().map(|commit| commit.version));
        }
        // A store may list in any order, and a name twice.
        commits.sort_unstable();
        commits.dedup();
        listing.commits = commits;
        listing.compactions.sort_unstable_by_key(|&(first, last)| (last, first));
        listing.compactions.dedup();
        Ok(listing)
    }

    /// The few commits that may have come after `version`, asked for by name
    /// where a listing would cost the whole directory. `None` where it is better
    /// listed: there are many, or a catalog says which count.
    fn of_next(
        storage: &dyn Storage,
        version: u64,
        limit: Option<u64>,
        request: &Request,
    ) -> Result<Option<Listing>> {
        const AT_MOST: u64 = 16;
        if storage.lists_from() || request.catalog.is_some() {
            return Ok(None);
        }
        let is_there = |name: &str| match storage.stat(name) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        };
        let mut listing = Listing::default();
        for next in version + 1..=version + AT_MOST {
            if limit.is_some_and(|limit| next > limit) || !is_there(&path::commit(next))? {
                let newest = listing.commits.last().copied().unwrap_or(version);
                listing.checksum =
                    Some(newest).filter(|&v| is_there(&path::checksum(v)).unwrap_or(false));
                return Ok(Some(listing));
            }
            listing.commits.push(next);
        }
        Ok(None)
    }

    /// "For time travel, the checkpoint used must not be newer than the time
    /// travel version" ("Checkpoints").
    fn newest_checkpoint(&self, request: &Request) -> Option<CheckpointFiles> {
        self.checkpoints.iter().rev().find_map(|(&version, names)| {
            let is_avoided = |name| request.avoid.contains(&path::checkpoint(version, name));
            let names: Vec<_> = names.iter().filter(|name| !is_avoided(name)).cloned().collect();
            let names = path::winning_checkpoint(&names)?;
            Some(CheckpointFiles {
                version,
                is_json: matches!(names[..], [CheckpointName::UuidJson(_)]),
                names: names.iter().map(|name| path::checkpoint(version, name)).collect(),
                said: None,
            })
        })
    }

    /// Whether `hint` speaks of `checkpoint`, and not of another at its version
    /// that holds the same files in another number of actions.
    fn is_meant(&self, hint: &LastCheckpoint, checkpoint: &CheckpointFiles) -> bool {
        let names_another = hint.v2_name.as_ref().is_some_and(|name| {
            let listed = self.checkpoints.get(&hint.version);
            listed.is_some_and(|listed| listed.contains(name))
                && checkpoint.names != [path::checkpoint(hint.version, name)]
        });
        checkpoint.version == hint.version
            && checkpoint.names.len() == hint.parts.unwrap_or(1)
            && !names_another
    }

    fn segment(
        self,
        checkpoint: Option<CheckpointFiles>,
        limit: Option<u64>,
        request: &Request,
        mut warnings: Vec<String>,
    ) -> Result<LogSegment> {
        let first = checkpoint.as_ref().map_or(0, |c| c.version + 1);
        // Where a file is to be avoided, that has been told already.
        let newer = self.checkpoints.range(first..).filter(|_| request.avoid.is_empty());
        warnings.extend(newer.map(|(version, _)| {
            format!("the checkpoint of version {version} lacks a part and is ignored")
        }));
        let begin = self.commits.partition_point(|&version| version < first);
        let end = limit.map_or(self.commits.len(), |limit| {
            self.commits.partition_point(|&version| version <= limit)
        });
        let after = self.commits.get(end).copied();
        let commits = self.commits.get(begin..end).unwrap_or_default();

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

        let reached = commits.last().copied();
        let Some(version) = reached.or(checkpoint.as_ref().map(|c| c.version)) else {
            let nothing = format!("no commit and no complete checkpoint in {}", path::LOG_DIR);
            return Err(Error::not_found(match limit {
                Some(limit) => format!("version {limit} cannot be read: {nothing} reaches it"),
                None => format!("not a Delta table: {nothing}"),
            }));
        };
        if let Some(limit) = limit.filter(|&limit| limit != version) {
            return Err(match after {
                Some(after) => Error::corrupt(format!(
                    "{} is missing: the log goes on at version {after}",
                    path::commit(limit)
                )),
                None if request.version.is_none() => Error::not_found(format!(
                    "the catalog's latest version is {limit}, and the log with the commits it \
                     gave ends at version {version}"
                )),
                None => Error::not_found(format!(
                    "version {limit} is not in the log, whose latest version is {version}"
                )),
            });
        }
        let file = |&version: &u64| {
            let given = self.given.binary_search_by_key(&version, |commit| commit.version);
            given.map_or_else(|_| CommitFile::published(version), |at| self.given[at].clone())
        };
        let commits = commits.iter().map(file).collect();
        let mut compactions = self.compactions;
        compactions.retain(|&(begin, last)| begin >= first && last <= version);
        let checksum =
            self.checksum.filter(|&checksum| checksum + 1 >= first && checksum <= version);
        Ok(LogSegment {
            version,
            checkpoint,
            commits,
            compactions,
            checksum,
            asked_for: 0,
            warnings,
        })
    }
}

/// The versions that a log's listing shows, and nothing else of it: what a
/// million commits leave behind is eight bytes each.
pub(crate) struct Outline {
    /// The last version that counts.
    last: u64,
    /// The versions up to there that have a commit, in order.
    commits: Vec<u64>,
    /// Those that have a complete checkpoint, in order.
    checkpoints: Vec<u64>,
}

impl Outline {
    /// What the log, with what its catalog gave, has of `versions`.
    pub(crate) fn new(
        storage: &dyn Storage,
        versions: RangeInclusive<u64>,
        catalog: Option<&Catalog>,
    ) -> Result<Outline> {
        let mut commits = Vec::new();
        let mut checkpoints: BTreeMap<u64, Vec<CheckpointName>> = BTreeMap::new();
        list(storage, *versions.start(), |version, file| match file {
            _ if !versions.contains(&version) => {}
            LogFile::Commit => commits.push(version),
            LogFile::Checkpoint(name) => checkpoints.entry(version).or_default().push(name),
            LogFile::Compaction { .. } | LogFile::Checksum => {}
        })?;
        let given = catalog.iter().flat_map(|catalog| &catalog.commits);
        commits.extend(given.map(|commit| commit.version).filter(|v| versions.contains(v)));
        // A store may list in any order, and a name twice.
        commits.sort_unstable();
        commits.dedup();
        checkpoints.retain(|_, names| path::winning_checkpoint(names).is_some());
        let checkpoints = checkpoints.into_keys().collect();
        Ok(Outline { last: *versions.end(), commits, checkpoints })
    }

    /// The first of the versions that can be opened and have a commit, and from
    /// which on no commit is missing up to the last; `None` where the last one
    /// has none.
    pub(crate) fn first_in_reach(&self) -> Option<u64> {
        let first = self.first_without_gap()?;
        if first == 0 {
            return Some(0);
        }
        // With a checkpoint just before, the first commit completes a version.
        let at = self.checkpoints.partition_point(|&checkpoint| checkpoint + 1 < first);
        Some(first.max(*self.checkpoints.get(at)?))
    }

    /// The versions of all commits; an error where one is missing among them or
    /// after them.
    pub(crate) fn all_commits(&self) -> Result<Range<u64>> {
        let Some(&first) = self.commits.first() else { return Ok(self.last + 1..self.last + 1) };
        let contiguous = self.first_without_gap().unwrap_or(self.last + 1);
        if contiguous > first {
            return Err(Error::corrupt(format!(
                "{} is missing: the log has commits before it",
                path::commit(contiguous - 1)
            )));
        }
        Ok(first..self.last + 1)
    }

    /// The first commit of those that lead to the last without a gap.
    fn first_without_gap(&self) -> Option<u64> {
        let newest_first = self.commits.iter().rev().copied();
        let leading = newest_first.zip((0..=self.last).rev());
        leading.take_while(|(found, expected)| found == expected).map(|(found, _)| found).last()
    }
}

/// Calls `visit` with the version and the kind of every file of the log, from
/// those of version `from` on, in any order.
fn list(storage: &dyn Storage, from: u64, mut visit: impl FnMut(u64, LogFile)) -> Result<()> {
    let listed = storage.list(path::LOG_DIR, &path::first_name(from), &mut |name| {
        if let Some((version, file)) = path::parse(name) {
            visit(version, file);
        }
        Ok(())
    });
    listed.map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            Error::not_found(format!("not a Delta table: no {} below its root", path::LOG_DIR))
        }
        _ => e,
    })
}
