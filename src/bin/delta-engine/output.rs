//! How a stream is decoded, drained and accounted for, whatever it holds.

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use clap::Args;
use delta_engine::{BatchStream, Engine, ErrorKind, ProgressHandle, Scan};
use indicatif::{BinaryBytes, HumanCount, ProgressBar};

use crate::recording::Recording;
use crate::sink::{Format, Sink};
use crate::summary::Summary;
use crate::values::Style;
use crate::{Failure, table};

/// How a stream is decoded and printed.
#[derive(Args)]
pub(crate) struct Output {
    /// Workers that decode; 0 decodes on the calling thread [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Most bytes decoded and not yet printed; takes k, KiB, m, MiB, g, GiB [default: 32MiB]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    window: Option<usize>,

    /// Most rows of a batch [default: 8192]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    batch_rows: Option<usize>,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Write it to this file instead of stdout; one that is there is replaced
    /// when the new one is complete
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print to stderr what it cost
    #[arg(long)]
    summary: bool,

    /// Write what each thread did, and when, as a trace that Perfetto and Chrome
    /// open
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Write the same as a picture, an SVG with one lane a thread
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
}

/// What the rows of a stream are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Files, or what else a log tells.
    Files,
    /// The table's data.
    Rows,
}

/// A stream that has begun.
pub(crate) struct Opened {
    stream: BatchStream,
    is_filtered: bool,
}

impl Opened {
    /// The stream that `begin` begins of `scan`.
    pub(crate) fn of(
        scan: Scan,
        begin: impl FnOnce(&Scan) -> Result<BatchStream, delta_engine::Error>,
    ) -> Result<Opened, delta_engine::Error> {
        Ok(Opened { stream: begin(&scan)?, is_filtered: scan.predicate().is_some() })
    }
}

impl Output {
    /// Prints the stream that `open` begins, which `holds` files or rows;
    /// `started` is when the program did, and `table` what it reads.
    pub(crate) fn print(
        &self,
        holds: Holds,
        table: &str,
        started: Instant,
        open: impl FnOnce(&Engine) -> Result<Opened, Failure>,
    ) -> Result<(), Failure> {
        Sink::check(self.format, self.output.as_deref())?;
        let trace = self.trace.as_deref();
        let recording = Recording::begin(trace, self.timeline.as_deref(), started)?;
        let engine = self.engine(recording.as_ref())?;
        let printed = open(&engine).and_then(|opened| self.drain(opened, holds, started));
        let Some(recording) = recording else { return printed };
        // A listing that broke off is the one whose picture is wanted most. That
        // the picture failed as well would only hide why.
        let failure = printed.as_ref().err().map(ToString::to_string);
        let drawn = recording.finish(engine, table, failure);
        printed.and(drawn)
    }

    /// `scan` with what was asked for.
    pub(crate) fn scan(&self, scan: Scan, columns: &[String]) -> Scan {
        let scan = match columns {
            [] => scan,
            columns => scan.columns(columns.iter().cloned()),
        };
        match self.batch_rows {
            Some(rows) => scan.batch_rows(rows),
            None => scan,
        }
    }

    fn drain(&self, opened: Opened, holds: Holds, started: Instant) -> Result<(), Failure> {
        let Opened { mut stream, is_filtered } = opened;
        let style = match holds {
            Holds::Files => Style::Text,
            Holds::Rows => Style::Exact,
        };
        let mut sink = Sink::new(self.format, style, self.output.as_deref(), &stream.schema())?;
        let mut summary = Summary::since(started, holds, is_filtered);
        let mut progress = Progress::of(&stream, self.format, started);
        while let Some(batch) = progress.next(&mut stream)? {
            summary.count(&batch);
            if let Err(failure) = sink.write(&batch) {
                // Nobody will read what the workers still decode.
                stream.cancel_handle().cancel();
                return Err(failure);
            }
        }
        sink.finish()?;
        drop(progress);
        if self.summary {
            summary.print(&stream.progress_handle().read());
        }
        Ok(())
    }

    /// An engine with what was asked for.
    pub(crate) fn engine(&self, recording: Option<&Recording>) -> Result<Engine, Failure> {
        let mut builder = table::engine();
        if let Some(threads) = self.threads {
            builder = builder.threads(threads);
        }
        if let Some(window) = self.window {
            builder = builder.window_bytes(window);
        }
        if let Some(recording) = recording {
            builder = recording.listen_to(builder);
        }
        Ok(builder.build()?)
    }
}

/// What is shown while the listing goes on: nothing in its first half second,
/// nothing unless stderr is a terminal, and nothing where it would stand
/// between the rows.
struct Progress {
    handle: ProgressHandle,
    started: Instant,
    is_wanted: bool,
    bar: Option<ProgressBar>,
}

impl Progress {
    const QUIET: Duration = Duration::from_millis(500);
    const REDRAW: Duration = Duration::from_millis(100);

    fn of(stream: &BatchStream, format: Format, started: Instant) -> Self {
        let is_alone = format == Format::None || !io::stdout().is_terminal();
        Progress {
            handle: stream.progress_handle(),
            started,
            is_wanted: is_alone && io::stderr().is_terminal(),
            bar: None,
        }
    }

    /// The next batch of `stream`, with the bar drawn while it is waited for.
    fn next(&mut self, stream: &mut BatchStream) -> Result<Option<RecordBatch>, Failure> {
        if !self.is_wanted {
            return Ok(stream.next().transpose()?);
        }
        loop {
            self.draw();
            match stream.next_within(Self::REDRAW) {
                Some(Err(error)) if error.kind() == ErrorKind::Timeout => {}
                next => return Ok(next.transpose()?),
            }
        }
    }

    fn draw(&mut self) {
        if self.started.elapsed() < Self::QUIET {
            return;
        }
        let now = self.handle.read();
        let bar = self.bar.get_or_insert_with(ProgressBar::new_spinner);
        bar.set_message(format!(
            "{} rows, {} read, {} of {} units decoded",
            HumanCount(now.rows_delivered),
            BinaryBytes(now.bytes_read),
            HumanCount(now.units_decoded),
            HumanCount(now.units_planned),
        ));
        bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

/// A number of bytes with an optional binary suffix.
fn bytes(text: &str) -> Result<usize, String> {
    let digits_end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(digits_end);
    let unit: usize = match suffix.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(format!("unknown suffix `{suffix}`: expected k, KiB, m, MiB, g or GiB")),
    };
    let number: usize = digits.parse().map_err(|error| format!("{error}"))?;
    number.checked_mul(unit).ok_or_else(|| "too many bytes for this machine".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_bytes_takes_binary_suffixes() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!(bytes("2k"), Ok(2048));
        assert_eq!(bytes("32MiB"), Ok(32 << 20));
        assert_eq!(bytes("1 gib"), Ok(1 << 30));
        for wrong in ["", "MiB", "-1", "1.5m", "1 apple", "99999999999999999999", "99999999999g"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
