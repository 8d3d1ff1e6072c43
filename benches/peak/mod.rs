//! How much memory a listing has at its peak, counted by the allocator.

use std::path::Path;
use std::time::{Duration, Instant};

use delta_engine::Engine;
use peak_alloc::PeakAlloc;

#[global_allocator]
static COUNTING: PeakAlloc = PeakAlloc;

/// What a listing held.
pub(crate) struct Peak {
    pub(crate) files: u64,
    /// The most bytes at once beyond those before it.
    pub(crate) bytes: usize,
    /// The most in the window, as the engine estimates them.
    pub(crate) window_bytes: u64,
}

/// Opens a table and lists `columns` of its files with a consumer that is so slow
/// that whatever can be decoded ahead of it has been.
pub(crate) fn listing(table: &Path, threads: usize, window_bytes: usize, columns: &[&str]) -> Peak {
    let engine = Engine::builder().threads(threads).window_bytes(window_bytes);
    let engine = engine.build().expect("an engine");
    let before = COUNTING.current_usage();
    COUNTING.reset_peak_usage();
    let snapshot = engine.snapshot(table.to_str().expect("a path in UTF-8")).expect("a table");
    let mut stream = snapshot.scan().columns(columns.iter().copied()).files().expect("a stream");
    let progress = stream.progress_handle();
    let mut files = 0;
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
        files += batch.expect("a batch").num_rows() as u64;
    }
    let bytes = COUNTING.peak_usage().saturating_sub(before);
    Peak { files, bytes, window_bytes: progress.read().window_bytes_peak }
}
