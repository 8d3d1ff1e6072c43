//! One measurement, in a process of its own: so that its memory, its CPU time and
//! its threads are the contestant's alone. The child prints one line of JSON.

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use arrow::ipc::reader::StreamReader;
use serde::{Deserialize, Serialize};

use crate::log_shapes::Result;
use crate::readers::{Columns, Contestant};
use crate::tally::Tally;

/// Lists a table of a few files so often within one child.
pub(crate) const REPEATS: usize = 200;

#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Task {
    pub(crate) contestant: String,
    pub(crate) root: PathBuf,
    pub(crate) columns: Columns,
    pub(crate) threads: usize,
    /// 1 measures a process that begins; more, one that is warm.
    pub(crate) repeats: usize,
    /// Sums up every value, and counts threads: not to be timed.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Of one listing: the only one, or the median of the repeated ones.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) wall_s: f64,
    pub(crate) cpu_s: f64,
    /// From the beginning to the first batch.
    pub(crate) first_s: f64,
    /// What the process had in memory before it began.
    pub(crate) base_bytes: u64,
    pub(crate) peak_bytes: u64,
    /// The most threads that were seen between two batches: of a check only.
    pub(crate) threads_max: usize,
    pub(crate) tally: Tally,
}

/// Has the task done by a child.
pub(crate) fn run(task: &Task, python: Option<&Path>) -> Result<Measured> {
    let mut command = match python {
        Some(python) => {
            let mut command = Command::new(python);
            command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/readers/list_deltalake.py"));
            command.arg(&task.root).arg(task.repeats.to_string());
            command.args(task.check.then(listing_file).transpose()?);
            command
        }
        None => {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["child", &task.contestant]).arg(&task.root);
            command.args([
                task.columns.name(),
                &task.threads.to_string(),
                &task.repeats.to_string(),
            ]);
            command.args(task.check.then_some("--check"));
            command
        }
    };
    let mut measured: Measured = serde_json::from_slice(&stdout_of(&mut command)?)?;
    if python.is_some() && task.check {
        measured.tally = tally_of_file()?;
    }
    Ok(measured)
}

/// What a child prints that must succeed.
pub(crate) fn stdout_of(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stderr(Stdio::piped()).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no reason");
        return Err(format!("{}: {last}", output.status).into());
    }
    Ok(output.stdout)
}

/// Where Python leaves what it has listed, to be summed up as everybody's is.
fn listing_file() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("deltalake.arrows"))
}

fn tally_of_file() -> Result<Tally> {
    let path = listing_file()?;
    let mut tally = Tally::default();
    for batch in StreamReader::try_new_buffered(File::open(&path)?, None)? {
        tally.check(&batch?, &[])?;
    }
    fs::remove_file(path)?;
    Ok(tally)
}

/// Does the task in this process.
pub(crate) fn main(task: &Task) -> Result<Measured> {
    let contestant = Contestant::named(&task.contestant).ok_or("no such contestant")?;
    let base_bytes = memory_bytes("VmRSS:")?;
    let cpu_before_s = cpu_s()?;
    let (mut walls, mut firsts) = (Vec::new(), Vec::new());
    let mut warm = None;
    let mut seen = Seen::default();
    for _ in 0..task.repeats {
        let started = Instant::now();
        let threads_max = seen.threads_max;
        let listing = Mutex::new(Seen { threads_max, ..Default::default() });
        let reader = match warm.take() {
            Some(reader) => reader,
            None => contestant.reader(task.threads)?,
        };
        reader.list(&task.root, task.columns, &|batch, live| {
            let mut seen = listing.lock().map_err(|_| "a thread panicked")?;
            seen.first_s.get_or_insert_with(|| started.elapsed().as_secs_f64());
            if task.check {
                seen.threads_max = seen.threads_max.max(threads()?);
                seen.tally.check(batch, live)
            } else {
                seen.tally.count(batch, live)
            }
        })?;
        // What is used once is freed within the clock.
        if task.repeats > 1 {
            warm = Some(reader);
        } else {
            drop(reader);
        }
        walls.push(started.elapsed().as_secs_f64());
        seen = listing.into_inner().map_err(|_| "a thread panicked")?;
        firsts.push(seen.first_s.ok_or("no batch at all")?);
    }
    Ok(Measured {
        wall_s: median(walls),
        cpu_s: (cpu_s()? - cpu_before_s) / task.repeats as f64,
        first_s: median(firsts),
        base_bytes,
        peak_bytes: memory_bytes("VmHWM:")?,
        threads_max: seen.threads_max,
        tally: seen.tally,
    })
}

/// What one listing has shown so far.
#[derive(Default)]
struct Seen {
    first_s: Option<f64>,
    threads_max: usize,
    tally: Tally,
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// User and system time of the process, all threads.
pub(crate) fn cpu_s() -> Result<f64> {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: there is room for the answer.
    if unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: it was filled, since the call succeeded.
    let usage = unsafe { usage.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// A line of `/proc/self/status`. `ru_maxrss` would not do in place of `VmHWM`: a
/// child begins with its parent's.
pub(crate) fn memory_bytes(name: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    Ok(line.trim_end_matches("kB").trim().parse::<u64>()? * 1024)
}

pub(crate) fn threads() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}
