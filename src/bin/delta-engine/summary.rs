//! What a stream cost: time, cores, memory.
//!
//! CPU time and peak memory come from `/proc/self`: reading a file needs no
//! `unsafe` and no dependency, and the kernel counts the threads that have
//! ended too. Where there is no `/proc`, they are unknown, and said to be.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use delta_engine::Progress;
use indicatif::{BinaryBytes, HumanCount};

use crate::filter::left_out;
use crate::output::Holds;

/// The clock ticks of a second in `/proc/self/stat`. The kernel converts to
/// this one rate for user space whatever its own timer is (`USER_HZ`).
const TICKS_A_SECOND: u64 = 100;

/// Counts a stream while it goes on.
pub(crate) struct Summary {
    holds: Holds,
    is_filtered: bool,
    started: Instant,
    first_batch: Option<Duration>,
    batches: u64,
    /// Files, or rows of data.
    rows: u64,
    /// Of the files: none when the stream has no column `size`.
    bytes: Option<i128>,
}

impl Summary {
    /// Nothing counted, and the time runs from `started`.
    pub(crate) fn since(started: Instant, holds: Holds, is_filtered: bool) -> Self {
        let (first_batch, bytes) = (None, None);
        Summary { holds, is_filtered, started, first_batch, batches: 0, rows: 0, bytes }
    }

    /// Counts a batch that has just been delivered.
    pub(crate) fn count(&mut self, batch: &RecordBatch) {
        self.first_batch.get_or_insert_with(|| self.started.elapsed());
        self.batches += 1;
        self.rows += batch.num_rows() as u64;
        if self.holds == Holds::Rows {
            return;
        }
        let sizes = batch.column_by_name("size");
        if let Some(sizes) = sizes.and_then(|sizes| sizes.as_primitive_opt::<Int64Type>()) {
            let sum: i128 = sizes.iter().flatten().map(i128::from).sum();
            *self.bytes.get_or_insert(0) += sum;
        }
    }

    /// Writes the summary to stderr, whose end is nobody's error.
    pub(crate) fn print(&self, progress: &Progress) {
        let _ = io::stderr().write_all(self.text(progress).as_bytes());
    }

    fn text(&self, progress: &Progress) -> String {
        let wall = self.started.elapsed();
        let cpu = cpu_time();
        let unknown = || "unknown".to_owned();
        let seconds = |time: Duration| format!("{:.3} s", time.as_secs_f64());

        let bytes = match self.bytes {
            Some(bytes) => {
                let human = u64::try_from(bytes).map(BinaryBytes);
                human.map_or_else(|_| bytes.to_string(), |human| format!("{bytes} ({human})"))
            }
            None if self.rows == 0 => "0".to_owned(),
            None => "unknown (the column size was not asked for)".to_owned(),
        };
        let (what, size) = match self.holds {
            Holds::Files => ("files", ("bytes", bytes)),
            Holds::Rows => ("rows", ("read", BinaryBytes(progress.bytes_read).to_string())),
        };
        let cores = cpu.map(|cpu| format!("{:.2}", cpu.as_secs_f64() / wall.as_secs_f64()));
        let memory = peak_memory_bytes().map(|bytes| BinaryBytes(bytes).to_string());
        let lines = [
            (what, HumanCount(self.rows).to_string()),
            size,
            ("wall", seconds(wall)),
            ("cpu", cpu.map_or_else(unknown, seconds)),
            ("cores used", cores.unwrap_or_else(unknown)),
            ("first batch", self.first_batch.map_or_else(|| "none".to_owned(), seconds)),
            ("peak memory", memory.unwrap_or_else(unknown)),
            ("batches", HumanCount(self.batches).to_string()),
        ];
        let mut text: String =
            lines.into_iter().map(|(name, value)| format!("{name:<14}{value}\n")).collect();
        if self.is_filtered {
            for (name, value) in left_out(progress, self.holds) {
                let _ = writeln!(text, "{name:<24}{value}");
            }
        }
        text
    }
}

/// User and system time of this process, its ended threads included.
fn cpu_time() -> Option<Duration> {
    cpu_time_of(&fs::read_to_string("/proc/self/stat").ok()?)
}

fn cpu_time_of(stat: &str) -> Option<Duration> {
    // The second field is the program's name in parentheses, and may hold
    // anything, parentheses too; utime and stime are the 14th and the 15th.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * (1_000 / TICKS_A_SECOND)))
}

/// The most memory that this process has had resident.
fn peak_memory_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0 20 0 1";
        assert_eq!(cpu_time_of(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(cpu_time_of("42 (a"), None);
        assert_eq!(cpu_time_of("42 (a) S 1"), None);
    }
}
