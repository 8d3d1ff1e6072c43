//! The least that a listing of a checkpoint must do: decode the columns it asks
//! for with the plain Parquet crate, and nothing else. `benches/replay.rs` and
//! `benches/peers/` use it; the tables are those of `log_shapes`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{AsArray, StructArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::file::metadata::PageIndexPolicy;

/// The files of a log that the newest version needs, each list in the order of
/// its names.
pub(crate) struct LogFiles {
    pub(crate) commits: Vec<PathBuf>,
    pub(crate) checkpoint: Vec<PathBuf>,
}

impl LogFiles {
    /// `root` is a table of the generator: it has one checkpoint or none, and the
    /// commit of the checkpoint's own version is still there.
    pub(crate) fn of(root: &Path) -> LogFiles {
        let log = root.join("_delta_log");
        let list = |folder: &Path, ending: &str| -> BTreeSet<PathBuf> {
            let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
            let paths = entries.map(|entry| entry.expect("an entry").path());
            paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
        };
        let mut checkpoint = list(&log, ".parquet");
        checkpoint.append(&mut list(&log.join("_sidecars"), ".parquet"));
        // The commit of the checkpoint's own version is in the checkpoint.
        let old = usize::from(!checkpoint.is_empty());
        LogFiles {
            commits: list(&log, ".json").into_iter().skip(old).collect(),
            checkpoint: checkpoint.into_iter().collect(),
        }
    }
}

/// Decodes the columns `leaves` of the adds of checkpoint files on `threads`. Each
/// batch of adds goes to `sink`, null where a row is another action.
pub(crate) fn decode(
    files: &[PathBuf],
    threads: usize,
    leaves: &[&str],
    sink: impl Fn(&StructArray) + Sync,
) {
    // The offset index lets a range of rows skip the pages before it.
    let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
    let mut units = Vec::new();
    for path in files {
        let file = File::open(path).expect("a checkpoint file");
        let metadata = ArrowReaderMetadata::load(&file, options.clone()).expect("a footer");
        for (group, rows) in metadata.metadata().row_groups().iter().enumerate() {
            // As many ranges as threads, so that one row group keeps them all busy.
            let rows = rows.num_rows() as usize;
            for i in 0..threads {
                let range = rows * i / threads..rows * (i + 1) / threads;
                units.push((path, metadata.clone(), group, range));
            }
        }
    }
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((path, metadata, group, rows)) =
            units.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let file = File::open(path).expect("a checkpoint file");
            let schema = metadata.metadata().file_metadata().schema_descr();
            let wanted = schema.columns().iter().enumerate().filter(|(_, column)| {
                let parts = column.path().parts();
                parts[0] == "add" && leaves.contains(&parts[1].as_str())
            });
            let mask = ProjectionMask::leaves(schema, wanted.map(|(i, _)| i));
            let selection = RowSelection::from(vec![
                RowSelector::skip(rows.start),
                RowSelector::select(rows.len()),
            ]);
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone())
                .with_row_groups(vec![*group])
                .with_row_selection(selection)
                .with_projection(mask)
                .with_batch_size(8_192)
                .build()
                .expect("a reader");
            for batch in reader {
                let batch = black_box(batch.expect("a batch"));
                // A V2 checkpoint's own file has no adds, and no column of them.
                if let Some(adds) = batch.column_by_name("add") {
                    sink(adds.as_struct());
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}
