//! How much memory a stream has at its peak, counted by the allocator.

use std::path::Path;
use std::time::{Duration, Instant};

use delta_engine::{BatchStream, Engine, Result, Snapshot};
use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTING: PeakAlloc = PeakAlloc;

/// What a stream held.
pub(crate) struct Peak {
    /// The rows that it gave: of a listing, files.
    pub(crate) rows: u64,
    /// The most bytes at once beyond those before it.
    pub(crate) bytes: usize,
    /// The most in the window, as the engine estimates them.
    pub(crate) window_bytes: u64,
}

/// Opens a table and lists `columns` of its files.
pub(crate) fn listing(table: &Path, threads: usize, window_bytes: usize, columns: &[&str]) -> Peak {
    of(table, threads, window_bytes, |snapshot| {
        snapshot.scan().columns(columns.iter().copied()).files()
    })
}

/// Opens a table and reads a stream of it with a consumer that is so slow that
/// whatever can be decoded ahead of it has been.
pub(crate) fn of(
    table: &Path,
    threads: usize,
    window_bytes: usize,
    start: impl Fn(&Snapshot) -> Result<BatchStream>,
) -> Peak {
    let engine = Engine::builder().threads(threads).window_bytes(window_bytes);
    let engine = engine.build().expect("an engine");
    let before = COUNTING.current_usage();
    COUNTING.reset_peak_usage();
    let snapshot = engine.snapshot(table.to_str().expect("a path in UTF-8")).expect("a table");
    let mut stream = start(&snapshot).expect("a stream");
    let progress = stream.progress_handle();
    let mut rows = 0;
    loop {
        // Everything that was submitted is decoded, and stays so: nothing more is
        // submitted before something is delivered. A failed unit never is.
        let patience = Instant::now() + Duration::from_secs(10);
        while threads > 0 && Instant::now() < patience {
            let now = progress.read();
            if now.units_decoded == now.units_planned {
                break;
            }
            std::thread::yield_now();
        }
        let Some(batch) = stream.next() else { break };
        rows += batch.expect("a batch").num_rows() as u64;
    }
    let bytes = COUNTING.peak_usage().saturating_sub(before);
    Peak { rows, bytes, window_bytes: progress.read().window_bytes_peak }
}
