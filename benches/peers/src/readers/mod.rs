//! The readers that are compared. Each lists the live files of a table's newest
//! version, as Arrow, to a [`Sink`].

mod c_abi;
mod floor;
mod kernel;

use std::num::NonZero;
use std::path::Path;

use arrow::array::RecordBatch;

use crate::log_shapes::{Result, Table};
pub(crate) use kernel::{Tuning, engine as kernel_engine};

use kernel::Executor;

/// What a listing has to deliver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Columns {
    /// Path, size, modification time, partition values, stats, deletion vector.
    All,
    /// Path and size.
    Paths,
    /// All of them, of the files of one day: by their partition values.
    OneDay,
    /// The same by their statistics.
    OneDayStats,
}

impl Columns {
    /// As the command line has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Columns::All => "all",
            Columns::Paths => "paths",
            Columns::OneDay => "one-day",
            Columns::OneDayStats => "one-day-stats",
        }
    }

    /// The column of dates that is filtered by.
    pub(crate) fn date(self) -> Option<&'static str> {
        match self {
            Columns::All | Columns::Paths => None,
            Columns::OneDay => Some("date"),
            Columns::OneDayStats => Some("event_date"),
        }
    }
}

/// Takes a batch, and which of its rows are live files. Rows beyond the end of the
/// slice are live. Any thread may call it.
pub(crate) type Sink<'a> = dyn Fn(&RecordBatch, &[bool]) -> Result<()> + Sync + 'a;

/// A reader that is ready: its threads and runtimes, if any, may be there already.
pub(crate) trait Reader {
    /// Opens the newest version of the table, and lists all of it.
    fn list(&self, root: &Path, columns: Columns, sink: &Sink<'_>) -> Result<()>;
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// With no worker, or as many as there are threads.
    DeltaEngine {
        serial: bool,
    },
    Kernel(Tuning),
    /// Python, in a process of its own.
    Deltalake,
    Floor,
}

/// One way to list a table.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    /// For who reads the results.
    pub(crate) about: &'static str,
    kind: Kind,
}

const fn delta_engine(name: &'static str, about: &'static str, serial: bool) -> Contestant {
    Contestant { name, about, kind: Kind::DeltaEngine { serial } }
}

const fn kernel(name: &'static str, about: &'static str, tuning: Tuning) -> Contestant {
    Contestant { name, about, kind: Kind::Kernel(tuning) }
}

/// The kernel as its examples set it up, but for the executor: this one can use
/// more than one core.
pub(crate) const KERNEL: Tuning = Tuning {
    executor: Executor::MultiThread,
    row_transforms: true,
    batch_rows: None,
    files_ahead: None,
    two_phases: false,
};
/// In batches as big as delta-engine's.
pub(crate) const KERNEL_BATCHES: Tuning = Tuning { batch_rows: NonZero::new(8_192), ..KERNEL };
const PARALLEL: Tuning = Tuning { two_phases: true, ..KERNEL };
const TUNED: Tuning = Tuning { row_transforms: false, files_ahead: NonZero::new(16), ..PARALLEL };

pub(crate) const CONTESTANTS: &[Contestant] = &[
    delta_engine("delta-engine", "through the C ABI, as many workers as threads", false),
    delta_engine("delta-engine-serial", "through the C ABI, no workers", true),
    kernel("kernel", "`DefaultEngine` on `TokioMultiThreadExecutor`, `scan_metadata`", KERNEL),
    kernel(
        "kernel-background",
        "`kernel` on `TokioBackgroundExecutor`, which is what its builder makes unasked",
        Tuning { executor: Executor::Background, ..KERNEL },
    ),
    kernel(
        "kernel-no-transforms",
        "`kernel` with `ScanBuilder::without_row_transforms`",
        Tuning { row_transforms: false, ..KERNEL },
    ),
    kernel(
        "kernel-batches",
        "`kernel` with `DefaultEngineBuilder::with_batch_size(8192)` in place of 1000",
        KERNEL_BATCHES,
    ),
    kernel(
        "kernel-buffer",
        "`kernel` with `DefaultEngineBuilder::with_buffer_size(16)` in place of 1000",
        Tuning { files_ahead: NonZero::new(16), ..KERNEL },
    ),
    kernel(
        "kernel-parallel",
        "`kernel` with `parallel_scan_metadata`: parts and sidecars on as many threads",
        PARALLEL,
    ),
    kernel(
        "kernel-tuned",
        "no row transforms, a buffer of 16, and `parallel_scan_metadata`, at once",
        TUNED,
    ),
    Contestant {
        name: "deltalake",
        about: "the Python package, `DeltaTable(path).get_add_actions(flatten=False)`",
        kind: Kind::Deltalake,
    },
    Contestant {
        name: "floor",
        about: "the same columns with the plain Parquet crate, or one pass over the commits' lines",
        kind: Kind::Floor,
    },
];

impl Contestant {
    pub(crate) fn named(name: &str) -> Option<Contestant> {
        CONTESTANTS.iter().copied().find(|contestant| contestant.name == name)
    }

    pub(crate) fn is_kernel(self) -> bool {
        matches!(self.kind, Kind::Kernel(_))
    }

    pub(crate) fn is_python(self) -> bool {
        self.kind == Kind::Deltalake
    }

    /// Whether it has something to show here.
    pub(crate) fn takes_part(self, table: Table, columns: Columns) -> bool {
        match (self.kind, columns) {
            // It has no way to leave out a column.
            (Kind::Deltalake, Columns::Paths) => false,
            (Kind::Kernel(tuning), Columns::Paths) => tuning == KERNEL || tuning == TUNED,
            (Kind::Kernel(tuning), _) if columns.date().is_some() => {
                tuning == KERNEL || tuning == KERNEL_BATCHES || tuning == TUNED
            }
            (Kind::Floor | Kind::Deltalake, _) if columns.date().is_some() => false,
            // The second phase is for what this table has not.
            (Kind::Kernel(tuning), _) if tuning == PARALLEL => table.shape.has_parts(),
            _ => true,
        }
    }

    /// How many files it lists: those of a checkpoint's floor are not reconciled
    /// with the commits after it.
    pub(crate) fn files_expected(self, table: Table, columns: Columns) -> u64 {
        if columns.date().is_some() {
            return table.files_of_one_day();
        }
        match self.skips_commits(table) {
            true => table.checkpoint_adds(),
            false => table.live_files(),
        }
    }

    pub(crate) fn skips_commits(self, table: Table) -> bool {
        self.kind == Kind::Floor && table.shape.has_checkpoint()
    }

    pub(crate) fn reader(self, threads: usize) -> Result<Box<dyn Reader>> {
        Ok(match self.kind {
            Kind::DeltaEngine { serial: true } => Box::new(c_abi::DeltaEngine::new(0)?),
            Kind::DeltaEngine { serial: false } => Box::new(c_abi::DeltaEngine::new(threads)?),
            Kind::Kernel(tuning) => Box::new(kernel::Kernel::new(tuning, threads)?),
            Kind::Floor => Box::new(floor::Floor { threads }),
            Kind::Deltalake => return Err("deltalake is run by Python".into()),
        })
    }
}
