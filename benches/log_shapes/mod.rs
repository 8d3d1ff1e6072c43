//! Makes the logs of Delta tables, each by the name of its shape, a number of
//! files and a seed. The benches, the tests and `delta-engine demo` use it.
//!
//! Only the log is made, because a listing opens no data file; tables that have
//! data are those of [`rows`]. Every name and number in
//! it follows from the seed, so two runs make the same bytes. File `n` of a
//! table is a function of `n` alone, and what a commit adds or removes is a range
//! of such numbers; so nothing is remembered, and the number of live files is
//! known before a byte is written. Text is appended to one buffer a file of the
//! log, without a tree of values between.
//!
//! The library never sees this module: it is no part of the package's `src`.

// Each program that includes this uses its own share of it.
#![allow(dead_code)]

mod checkpoint;
mod commit;
mod data_file;
pub(crate) mod rows;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

use data_file::DataFile;

/// Everything that can go wrong here is a full disk or a mistake.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// The seed of every table that nobody wants otherwise.
pub(crate) const SEED: u64 = 0x00de_17a0;
/// Increased when the same shape, number and seed make other bytes than before.
pub(crate) const EDITION: u32 = 1;

/// The version of the checkpoint, in a table that has one.
const CHECKPOINT_VERSION: u64 = 100;
/// 2024-06-01T00:00:00Z, when the checkpoint was written.
const CHECKPOINT_MS: u64 = 1_717_200_000_000;
const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

/// The same, in days of the year that a table's files are of.
const ONE_DAY: u64 = 10;

/// What a log looks like, whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// The adds of the checkpoint, or of all commits where there is none, when
    /// nobody asks for another number.
    pub(crate) files: u64,
    layout: Layout,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// A checkpoint, and so many commits after it.
    Checkpoint { naming: Naming, commits: u64 },
    /// No checkpoint: so many commits, or as many as so many adds each make; and
    /// of a number of adds, how many are removed by the commit that follows.
    Commits { commits: Commits, removed: (u64, u64) },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// One file. It is a single row group below a million rows.
    Classic,
    /// A multi-part checkpoint.
    Parts(u64),
    /// A UUID-named file of the V2 spec, with so many sidecars.
    Sidecars(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    Count(u64),
    AddsEach(u64),
}

/// What its files have that others have not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// The checkpoint has `stats_parsed` and no `stats`.
    ParsedStats,
    /// The checkpoint is in the order of the files' dates, and has
    /// `partitionValues_parsed` and `stats_parsed` beside the texts.
    Dated,
    /// Three of four files have deletion vectors, and commits change them.
    DeletionVectors,
    /// Eight partition columns.
    WidePartitions,
    /// Paths of some four hundred bytes, percent-encoded.
    LongPaths,
}

const fn checkpoint(name: &'static str, files: u64, naming: Naming, commits: u64) -> Shape {
    Shape { name, files, layout: Layout::Checkpoint { naming, commits }, kind: Kind::Plain }
}

const fn commits(name: &'static str, files: u64, commits: Commits, removed: (u64, u64)) -> Shape {
    Shape { name, files, layout: Layout::Commits { commits, removed }, kind: Kind::Plain }
}

const fn with(kind: Kind, shape: Shape) -> Shape {
    Shape { kind, ..shape }
}

/// Every shape there is.
pub(crate) const SHAPES: &[Shape] = &[
    commits("small", 12, Commits::Count(12), (7, 12)),
    checkpoint("checkpoint_100k", 100_000, Naming::Classic, 10),
    checkpoint("checkpoint_1m", 1_000_000, Naming::Classic, 10),
    checkpoint("checkpoint_4m", 4_000_000, Naming::Classic, 10),
    checkpoint("parts_1m", 1_000_000, Naming::Parts(20), 50),
    checkpoint("sidecars_1m", 1_000_000, Naming::Sidecars(20), 100),
    commits("commits_10k", 200_000, Commits::AddsEach(20), (1, 4)),
    commits("commits_40_big", 1_000_000, Commits::Count(40), (1, 10)),
    with(Kind::ParsedStats, checkpoint("stats_parsed_only", 200_000, Naming::Classic, 10)),
    with(Kind::Dated, checkpoint("dated_1m", 1_000_000, Naming::Classic, 10)),
    with(Kind::DeletionVectors, checkpoint("dv_heavy", 200_000, Naming::Classic, 10)),
    with(Kind::WidePartitions, checkpoint("wide_partitions", 200_000, Naming::Classic, 10)),
    with(Kind::LongPaths, checkpoint("long_paths", 200_000, Naming::Classic, 10)),
];

impl Shape {
    pub(crate) fn named(name: &str) -> Option<Shape> {
        SHAPES.iter().copied().find(|shape| shape.name == name)
    }

    /// The table of this shape with `files` in place of the shape's own number.
    pub(crate) fn table(self, files: u64) -> Table {
        Table { shape: self, files, seed: SEED }
    }

    /// The table of `scale` times the shape's number, but for what is small
    /// already.
    pub(crate) fn scaled(self, scale: f64) -> Table {
        match self.files {
            0..100 => self.table(self.files),
            files => self.table(((files as f64 * scale) as u64).max(1)),
        }
    }

    pub(crate) fn has_checkpoint(self) -> bool {
        matches!(self.layout, Layout::Checkpoint { .. })
    }

    /// Whether the adds of the checkpoint are in several files.
    pub(crate) fn has_parts(self) -> bool {
        let Layout::Checkpoint { naming, .. } = self.layout else { return false };
        naming != Naming::Classic
    }
}

/// The day that benches ask for, in days since the epoch.
pub(crate) fn one_day() -> i32 {
    (data_file::DAY_ZERO + data_file::FIRST_DAY + ONE_DAY) as i32
}

/// One table that can be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) shape: Shape,
    pub(crate) files: u64,
    pub(crate) seed: u64,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Made {
    pub(crate) checkpoint_bytes: u64,
    /// Of the commits that a reader of the newest version needs.
    pub(crate) commit_bytes: u64,
}

/// What one commit does, in numbers of files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    version: u64,
    adds: Range<u64>,
    removes: Removes,
}

/// `count` files, `stride` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Removes {
    first: u64,
    count: u64,
    stride: u64,
}

impl Removes {
    fn numbers(self) -> impl Iterator<Item = u64> {
        (0..self.count).map(move |i| self.first + i * self.stride)
    }
}

/// The `i`th of `n` shares of `total`, as even as they can be.
fn share(total: u64, i: u64, n: u64) -> Range<u64> {
    let at = |i: u64| (u128::from(total) * u128::from(i) / u128::from(n)) as u64;
    at(i)..at(i + 1)
}

/// The table `name` in `folder`. It is made now if it is not there.
fn kept(folder: &Path, name: &str, write: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = folder.join(name);
    if !root.exists() {
        // Under another name first: a table that was interrupted is none.
        let unfinished = folder.join(format!("{name}.unfinished"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        let started = Instant::now();
        write(&unfinished)?;
        fs::rename(&unfinished, &root)?;
        eprintln!("made {} in {:.1} s", root.display(), started.elapsed().as_secs_f64());
    }
    Ok(root)
}

impl Table {
    /// The commits that a reader of the newest version needs.
    pub(crate) fn commits(&self) -> u64 {
        match self.shape.layout {
            Layout::Checkpoint { commits, .. } => commits,
            Layout::Commits { commits: Commits::Count(count), .. } => count,
            Layout::Commits { commits: Commits::AddsEach(adds), .. } => self.files.div_ceil(adds),
        }
    }

    /// The day that file `n` is of, in a year of 366 of them.
    fn day_of(&self, n: u64) -> u64 {
        match self.shape.kind {
            Kind::Dated => (u128::from(n) * 366 / u128::from(self.files)).min(365) as u64,
            _ => n % 366,
        }
    }

    /// How many live files are of [`one_day`].
    pub(crate) fn files_of_one_day(&self) -> u64 {
        // A deletion vector that is replaced leaves its file there.
        let is_gone = self.shape.kind != Kind::DeletionVectors;
        let removed = self.changes().filter(|_| is_gone);
        let removed = removed.flat_map(|change| change.removes.numbers());
        let on_day = |n: &u64| self.day_of(*n) == ONE_DAY;
        let adds = self.changes().flat_map(|change| change.adds);
        let there = (0..self.checkpoint_adds()).chain(adds).filter(on_day).count();
        (there - removed.filter(on_day).count()) as u64
    }

    /// The adds of those commits.
    pub(crate) fn commit_adds(&self) -> u64 {
        self.changes().map(|change| change.adds.end - change.adds.start).sum()
    }

    /// The removes of those commits. A deletion vector that is replaced is a
    /// remove and an add, and counts in neither.
    pub(crate) fn commit_removes(&self) -> u64 {
        match self.shape.kind {
            Kind::DeletionVectors => 0,
            _ => self.changes().map(|change| change.removes.count).sum(),
        }
    }

    /// The adds of the checkpoint.
    pub(crate) fn checkpoint_adds(&self) -> u64 {
        if self.shape.has_checkpoint() { self.files } else { 0 }
    }

    /// The removes of the checkpoint: files that went before it, kept for VACUUM
    /// to see.
    pub(crate) fn tombstones(&self) -> u64 {
        self.checkpoint_adds() / 200
    }

    /// The files of the checkpoint, in a few words.
    pub(crate) fn checkpoint_files(&self) -> String {
        match self.shape.layout {
            Layout::Checkpoint { naming: Naming::Classic, .. } => "one file".to_owned(),
            Layout::Checkpoint { naming: Naming::Parts(n), .. } => format!("{n} parts"),
            Layout::Checkpoint { naming: Naming::Sidecars(n), .. } => format!("{n} sidecars"),
            Layout::Commits { .. } => "no file".to_owned(),
        }
    }

    /// The files that a reader of the newest version must list.
    pub(crate) fn live_files(&self) -> u64 {
        self.checkpoint_adds() + self.commit_adds() - self.commit_removes()
    }

    /// The table's own folder in `folder`. It is made now if it is not there.
    pub(crate) fn kept_in(&self, folder: &Path) -> Result<PathBuf> {
        let name = format!("{}-{}-{:x}-{EDITION}", self.shape.name, self.files, self.seed);
        kept(folder, &name, |root| self.write(root).map(drop))
    }

    /// Writes the log below `root`, which is new or empty.
    pub(crate) fn write(&self, root: &Path) -> Result<Made> {
        fs::create_dir_all(root)?;
        if fs::read_dir(root)?.next().is_some() {
            return Err("the folder is not empty".into());
        }
        let log = root.join("_delta_log");
        fs::create_dir(&log)?;

        let mut made = Made::default();
        let mut text = Vec::new();
        if let Layout::Checkpoint { naming, .. } = self.shape.layout {
            made.checkpoint_bytes = checkpoint::write(self, naming, &log)?;
            // Older commits were cleaned up; the checkpoint's own is still there.
            let adds = 0..self.adds_a_commit().min(self.files);
            let removes = Removes { first: 0, count: 0, stride: 1 };
            let change = Change { version: CHECKPOINT_VERSION, adds, removes };
            self.write_commit(&change, &log, &mut text)?;
        }
        for change in self.changes() {
            self.write_commit(&change, &log, &mut text)?;
            made.commit_bytes += text.len() as u64;
        }
        Ok(made)
    }

    fn write_commit(&self, change: &Change, log: &Path, text: &mut Vec<u8>) -> Result<()> {
        text.clear();
        commit::append(self, change, text);
        fs::write(log.join(format!("{:020}.json", change.version)), text)?;
        Ok(())
    }

    /// The commits that a reader needs, oldest first.
    fn changes(&self) -> impl Iterator<Item = Change> {
        (0..self.commits()).map(|place| self.change(place))
    }

    fn change(&self, place: u64) -> Change {
        let commits = self.commits();
        match self.shape.layout {
            Layout::Checkpoint { .. } => {
                let (adds, removes) = (self.adds_a_commit(), self.removes_a_commit());
                let first = self.files + place * adds;
                // All over the checkpoint, and no file twice.
                let stride = self.files / (removes * commits).max(1);
                let removes = Removes { first: place * removes * stride, count: removes, stride };
                let version = CHECKPOINT_VERSION + 1 + place;
                Change { version, adds: first..first + adds, removes }
            }
            Layout::Commits { removed: (part, of), .. } => {
                let adds = share(self.files, place, commits);
                // What one commit adds, only the next one removes: no file twice.
                let before = match place {
                    0 => 0..0,
                    _ => share(self.files, place - 1, commits),
                };
                let there = before.end - before.start;
                let wanted = share(self.files * part / of, place, commits);
                let count = (wanted.end - wanted.start).min(there);
                let stride = there / count.max(1);
                let removes = Removes { first: before.start, count, stride };
                Change { version: place, adds, removes }
            }
        }
    }

    fn adds_a_commit(&self) -> u64 {
        (self.files / 1_000).max(2)
    }

    /// Half of what is added, of the checkpoint's files while it has some.
    fn removes_a_commit(&self) -> u64 {
        (self.adds_a_commit() / 2).min(self.files / self.commits())
    }

    /// The number of the first file that is in a tombstone: beyond every file
    /// that is ever added.
    fn first_tombstone(&self) -> u64 {
        self.files * 2 + self.commits() * self.adds_a_commit()
    }

    /// The first version's commit holds what else the checkpoint would.
    fn begins_with(&self, version: u64) -> bool {
        !self.shape.has_checkpoint() && version == 0
    }

    /// File `n` as it was added first.
    fn file(&self, n: u64) -> DataFile {
        DataFile::new(self, n, false)
    }

    /// File `n` after its deletion vector was replaced.
    fn file_updated(&self, n: u64) -> DataFile {
        DataFile::new(self, n, true)
    }

    /// The table features: of readers and writers, and of writers.
    fn features(&self) -> &'static [&'static str] {
        match (self.shape.kind, self.shape.layout) {
            (Kind::DeletionVectors, _) => &["deletionVectors"],
            (_, Layout::Checkpoint { naming: Naming::Sidecars(_), .. }) => &["v2Checkpoint"],
            _ => &[],
        }
    }

    /// `minReaderVersion` and `minWriterVersion`.
    fn protocol(&self) -> (i32, i32) {
        if self.features().is_empty() { (1, 2) } else { (3, 7) }
    }
}
