//! A run that is recorded: what each thread did, and when, for the pictures
//! that `files` draws of it.
//!
//! The spans are the library's. What they cannot say is whether a thread that
//! was at something had a core for it: tasks can be concurrent without being
//! parallel. So the kernel is asked for each thread's time on a CPU, where
//! there is a `/proc` to ask.

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use delta_engine::{Engine, EngineBuilder, Span, SpanKind};

use crate::{Failure, chrome_trace, timeline};

/// A run, when it is over. Times count from the start of the program.
pub(crate) struct Run {
    /// The table, as the user named it.
    pub(crate) table: String,
    /// Why the listing is not complete, if it is not.
    pub(crate) failure: Option<String>,
    pub(crate) wall: Duration,
    /// The consumer, then the workers.
    pub(crate) lanes: Vec<Lane>,
}

/// What one thread did.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) name: String,
    /// Time on a CPU, where it is known.
    pub(crate) cpu: Option<Duration>,
    /// In order, none overlapping another.
    pub(crate) doings: Vec<Doing>,
}

/// A span that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Doing {
    pub(crate) worker: Option<usize>,
    pub(crate) kind: SpanKind,
    pub(crate) name: String,
    pub(crate) start: Duration,
    pub(crate) end: Duration,
}

/// What a kind of span is called in a picture.
pub(crate) fn word(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::List => "list",
        SpanKind::Open => "open",
        SpanKind::Decode => "decode",
        SpanKind::Probe => "probe",
        SpanKind::Wait => "wait",
        _ => "other",
    }
}

impl Run {
    pub(crate) fn threads(&self) -> usize {
        self.lanes.len() - 1
    }

    /// How many cores the program kept busy, over the whole run.
    pub(crate) fn cores_used(&self) -> Option<f64> {
        let cpu = self.lanes.iter().map(|lane| lane.cpu).sum::<Option<Duration>>()?;
        Some(cpu.as_secs_f64() / self.wall.as_secs_f64())
    }
}

impl Lane {
    /// The time that it was at something other than waiting.
    pub(crate) fn at_work(&self) -> Duration {
        self.doings.iter().filter(|d| d.kind != SpanKind::Wait).map(|d| d.end - d.start).sum()
    }
}

/// Records a run for the pictures that are wanted of it.
pub(crate) struct Recording {
    started: Instant,
    pictures: Vec<Picture>,
    heard: Arc<Mutex<Vec<Doing>>>,
}

struct Picture {
    path: PathBuf,
    file: File,
    draw: Draw,
}

type Draw = fn(&Run, &mut dyn Write) -> io::Result<()>;

impl Recording {
    /// Begins to record, unless no picture is wanted. The files are made now:
    /// a path that cannot be written is better said before a long listing.
    pub(crate) fn begin(
        trace: Option<&Path>,
        timeline: Option<&Path>,
        started: Instant,
    ) -> Result<Option<Recording>, Failure> {
        let trace = trace.map(|path| (path, chrome_trace::write as Draw));
        let timeline = timeline.map(|path| (path, timeline::write as Draw));
        let pictures = trace.into_iter().chain(timeline).map(|(path, draw)| {
            let file = File::create(path).map_err(|e| cannot_write(path, &e))?;
            Ok(Picture { path: path.to_owned(), file, draw })
        });
        let pictures = pictures.collect::<Result<Vec<_>, Failure>>()?;
        let recording = Recording { started, pictures, heard: Arc::default() };
        Ok((!recording.pictures.is_empty()).then_some(recording))
    }

    pub(crate) fn listen_to(&self, builder: EngineBuilder) -> EngineBuilder {
        let (started, heard) = (self.started, Arc::clone(&self.heard));
        builder.on_span(move |span: Span<'_>| {
            let doing = Doing {
                worker: span.worker,
                kind: span.kind,
                name: span.name.to_owned(),
                start: span.start.saturating_duration_since(started),
                end: span.end.saturating_duration_since(started),
            };
            heard.lock().unwrap_or_else(PoisonError::into_inner).push(doing);
        })
    }

    /// Draws the pictures of the run, whose last handle `engine` is: once it is
    /// dropped its threads are over, and nothing can be missing.
    pub(crate) fn finish(
        self,
        engine: Engine,
        table: &str,
        failure: Option<String>,
    ) -> Result<(), Failure> {
        let threads = engine.threads();
        let cpu = cpu_of_threads(threads);
        drop(engine);
        let wall = self.started.elapsed();

        let mut lanes: Vec<Lane> = Vec::new();
        for i in 0..=threads {
            let name = if i == 0 { "consumer".to_owned() } else { format!("worker {}", i - 1) };
            let cpu = cpu.as_ref().map(|cpu| cpu[i]);
            lanes.push(Lane { name, cpu, doings: Vec::new() });
        }
        let heard = mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner));
        for doing in heard {
            if let Some(lane) = lanes.get_mut(doing.worker.map_or(0, |worker| worker + 1)) {
                lane.doings.push(doing);
            }
        }
        lanes.iter_mut().for_each(|lane| lane.doings.sort_by_key(|d| (d.start, Reverse(d.end))));

        let run = Run { table: table.to_owned(), failure, wall, lanes };
        for Picture { path, file, draw } in self.pictures {
            let mut out = BufWriter::new(file);
            draw(&run, &mut out).and_then(|()| out.flush()).map_err(|e| cannot_write(&path, &e))?;
        }
        Ok(())
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::said(format_args!("cannot write {}: {error}", path.display()))
}

/// Time on a CPU of the main thread and of each worker, while they all live.
/// A worker that never started has had none.
fn cpu_of_threads(threads: usize) -> Option<Vec<Duration>> {
    // The kernel cuts a thread's name to 15 bytes, and with the hundredth
    // worker's two would be the same.
    if threads > 100 {
        return None;
    }
    let main = std::process::id().to_string();
    let mut lanes = vec![Duration::ZERO; threads + 1];
    for task in fs::read_dir("/proc/self/task").ok()? {
        let task = task.ok()?;
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let worker = name.trim_end().strip_prefix("delta-engine-").and_then(|i| i.parse().ok());
        let lane = match worker {
            _ if task.file_name().to_str() == Some(&main) => 0,
            Some(worker) => 1_usize.checked_add(worker)?,
            None => continue,
        };
        let spent = fs::read_to_string(task.path().join("schedstat")).ok()?;
        let nanos = spent.split(' ').next()?.parse().ok()?;
        *lanes.get_mut(lane)? = Duration::from_nanos(nanos);
    }
    // A kernel that does not keep the account says nought.
    (!lanes[0].is_zero()).then_some(lanes)
}
