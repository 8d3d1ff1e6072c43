//! delta_kernel with its default engine, and what its user can set.

use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::expressions::{Expression, Predicate, Scalar};
use delta_kernel::object_store::local::LocalFileSystem;
use delta_kernel::scan::{
    AfterSequentialScanMetadata, ParallelScanMetadata, ScanMetadata, StatsOptions,
};
use delta_kernel::{Engine, FileMeta, Snapshot};
use delta_kernel_default_engine::DefaultEngineBuilder;
use delta_kernel_default_engine::executor::tokio::{
    TokioBackgroundExecutor, TokioMultiThreadExecutor,
};
use url::Url;

use super::{Columns, Reader, Sink};
use crate::log_shapes::{Error, Result, one_day};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Executor {
    MultiThread,
    Background,
}

/// What can be set to be faster.
#[derive(Clone, Copy, PartialEq)]
pub(crate) struct Tuning {
    pub(super) executor: Executor,
    /// The most rows of a batch, of JSON and of Parquet: 1000 without it.
    pub(super) batch_rows: Option<NonZero<usize>>,
    /// The most files that are open ahead of the one that is read: 1000 without it.
    pub(super) files_ahead: Option<NonZero<usize>>,
    /// Whether each file gets the expression that makes table rows of its rows.
    pub(super) row_transforms: bool,
    /// Whether the parts or sidecars of a checkpoint are decoded on several threads,
    /// after the commits.
    pub(super) two_phases: bool,
}

pub(super) struct Kernel {
    tuning: Tuning,
    threads: usize,
    engine: Arc<dyn Engine>,
}

/// The kernel's default engine with what can be set of it.
pub(crate) fn engine(tuning: Tuning, threads: usize) -> Result<Arc<dyn Engine>> {
    let mut builder = DefaultEngineBuilder::new(Arc::new(LocalFileSystem::new()));
    if let Some(rows) = tuning.batch_rows {
        builder = builder.with_batch_size(rows);
    }
    if let Some(files) = tuning.files_ahead {
        builder = builder.with_buffer_size(files);
    }
    Ok(match tuning.executor {
        Executor::MultiThread => {
            let executor = TokioMultiThreadExecutor::new_owned_runtime(Some(threads), None)?;
            Arc::new(builder.with_task_executor(Arc::new(executor)).build())
        }
        Executor::Background => {
            let executor = TokioBackgroundExecutor::new();
            Arc::new(builder.with_task_executor(Arc::new(executor)).build())
        }
    })
}

impl Kernel {
    pub(super) fn new(tuning: Tuning, threads: usize) -> Result<Kernel> {
        Ok(Kernel { tuning, threads, engine: engine(tuning, threads)? })
    }

    /// Each thread takes the next file as soon as it is done with one.
    fn list_parts(
        &self,
        files: &[FileMeta],
        list: impl Fn(FileMeta) -> Result<()> + Sync,
    ) -> Result<()> {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                list(file.clone())?;
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().map_err(|_| Error::from("a thread panicked"))?
            })
        })
    }
}

impl Reader for Kernel {
    fn list(&self, root: &Path, columns: Columns, sink: &Sink<'_>) -> Result<()> {
        let url = Url::from_directory_path(root).map_err(|()| "a path that is not absolute")?;
        let snapshot = Snapshot::builder_for(url).build(self.engine.as_ref())?;
        let mut builder = snapshot.scan_builder();
        if columns == Columns::Paths {
            builder = builder.with_stats(StatsOptions::none());
        }
        if let Some(column) = columns.date() {
            let day = Scalar::Date(one_day());
            let is_on_it = Predicate::eq(Expression::column([column]), Expression::literal(day));
            builder = builder.with_predicate(Arc::new(is_on_it));
        }
        if !self.tuning.row_transforms {
            builder = builder.without_row_transforms();
        }
        let scan = builder.build()?;

        if !self.tuning.two_phases {
            for batch in scan.scan_metadata(self.engine.as_ref())? {
                give(batch?, sink)?;
            }
            return Ok(());
        }
        let mut first = scan.parallel_scan_metadata(Arc::clone(&self.engine))?;
        for batch in &mut first {
            give(batch?, sink)?;
        }
        match first.finish()? {
            AfterSequentialScanMetadata::Done => Ok(()),
            AfterSequentialScanMetadata::Parallel { state, files } => {
                let state = Arc::new(*state);
                self.list_parts(&files, |file| {
                    let engine = Arc::clone(&self.engine);
                    for batch in ParallelScanMetadata::try_new(engine, state.clone(), vec![file])? {
                        give(batch?, sink)?;
                    }
                    Ok(())
                })
            }
        }
    }
}

fn give(metadata: ScanMetadata, sink: &Sink<'_>) -> Result<()> {
    let (files, live) = metadata.scan_files.into_parts();
    let files = ArrowEngineData::try_from_engine_data(files)?;
    sink(files.record_batch(), &live)
}
