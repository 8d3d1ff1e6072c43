//! A stream's rows, in one of several formats.
//!
//! One batch at a time is taken, written and dropped, so memory stays bounded
//! whatever the size of the table.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::iter;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use arrow::array::{Array, RecordBatch, StructArray};
use arrow::datatypes::Schema;
use arrow::ipc::writer::StreamWriter;
use clap::{Args, ValueEnum};
use delta_engine::{BatchStream, Engine, ErrorKind, ProgressHandle, Scan};
use indicatif::{BinaryBytes, HumanCount, ProgressBar};

use crate::recording::Recording;
use crate::summary::Summary;
use crate::text::cut;
use crate::values::Values;
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

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Aligned columns for a person; long values are cut
    Table,
    /// One JSON object a row
    Jsonl,
    /// An Arrow IPC stream
    Arrow,
    /// Nothing: read everything, print no row
    None,
}

impl Output {
    /// Prints the stream that `open` begins; `started` is when the program did,
    /// and `table` what it reads.
    pub(crate) fn print(
        &self,
        table: &str,
        started: Instant,
        open: impl FnOnce(&Engine) -> Result<BatchStream, Failure>,
    ) -> Result<(), Failure> {
        if self.format == Format::Arrow && io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "an Arrow stream is not for a terminal: redirect the output",
            ));
        }
        let trace = self.trace.as_deref();
        let recording = Recording::begin(trace, self.timeline.as_deref(), started)?;
        let engine = self.engine(recording.as_ref())?;
        let printed = open(&engine).and_then(|stream| self.drain(stream, started));
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

    fn drain(&self, mut stream: BatchStream, started: Instant) -> Result<(), Failure> {
        let mut sink = Sink::new(self.format, &stream.schema())?;
        let mut summary = Summary::since(started);
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
            summary.print();
        }
        Ok(())
    }

    fn engine(&self, recording: Option<&Recording>) -> Result<Engine, Failure> {
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

/// Where batches go.
enum Sink {
    Table(Table),
    /// The lines not yet written out.
    Lines(Vec<u8>),
    Arrow(Box<StreamWriter<BufWriter<io::StdoutLock<'static>>>>),
    Nothing,
}

impl Sink {
    fn new(format: Format, schema: &Schema) -> Result<Self, Failure> {
        Ok(match format {
            Format::Table => Sink::Table(Table::new(schema)),
            Format::Jsonl => Sink::Lines(Vec::new()),
            Format::Arrow => {
                let out = BufWriter::new(io::stdout().lock());
                Sink::Arrow(Box::new(StreamWriter::try_new(out, schema)?))
            }
            Format::None => Sink::Nothing,
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        match self {
            Sink::Table(table) => table.write(batch),
            Sink::Lines(lines) => write_lines(batch, lines),
            Sink::Arrow(writer) => Ok(writer.write(batch)?),
            Sink::Nothing => Ok(()),
        }
    }

    /// Only a listing that is complete is finished: the Arrow stream of one
    /// that failed has no end mark.
    fn finish(self) -> Result<(), Failure> {
        match self {
            Sink::Arrow(mut writer) => {
                writer.finish()?;
                writer.into_inner()?.flush().map_err(Failure::of_output)
            }
            Sink::Table(table) => table.finish(),
            Sink::Lines(_) | Sink::Nothing => Ok(()),
        }
    }
}

/// Writes one JSON object a row.
fn write_lines(batch: &RecordBatch, lines: &mut Vec<u8>) -> Result<(), Failure> {
    const CHUNK_BYTES: usize = 64 * 1024;
    let rows = StructArray::from(batch.clone());
    let values = Values::of(&rows)?;
    for row in 0..rows.len() {
        values.push_json(row, lines);
        lines.push(b'\n');
        if lines.len() >= CHUNK_BYTES {
            write_out(lines)?;
            lines.clear();
        }
    }
    // A slow listing shows what it has, so a batch leaves nothing behind.
    write_out(lines)?;
    lines.clear();
    Ok(())
}

/// Writes `bytes`, a whole number of lines, to stdout.
fn write_out(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(Failure::of_output)
}

/// Aligned columns, a page at a time: the widths of one page begin with those
/// of the page before, so that memory is bounded and columns seldom move.
struct Table {
    names: Vec<String>,
    widths: Vec<usize>,
    has_header: bool,
}

impl Table {
    const PAGE_ROWS: usize = 1_000;
    /// The most characters of a value; statistics would fill the screen. A path
    /// is what a listing is for, and is never cut.
    const CELL_CHARS: usize = 40;

    fn new(schema: &Schema) -> Self {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let widths = names.iter().map(|name| name.chars().count()).collect();
        Table { names, widths, has_header: false }
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        for first in (0..batch.num_rows()).step_by(Self::PAGE_ROWS) {
            let rows = Self::PAGE_ROWS.min(batch.num_rows() - first);
            self.write_page(&batch.slice(first, rows))?;
        }
        Ok(())
    }

    fn write_page(&mut self, page: &RecordBatch) -> Result<(), Failure> {
        let columns = page
            .columns()
            .iter()
            .map(|column| Values::of(column))
            .collect::<Result<Vec<_>, _>>()?;
        let mut cells = Vec::with_capacity(page.num_rows() * columns.len());
        for row in 0..page.num_rows() {
            for (i, values) in columns.iter().enumerate() {
                let mut cell = values.to_text(row);
                if self.names[i] != "path" {
                    cut(&mut cell, Self::CELL_CHARS);
                }
                self.widths[i] = self.widths[i].max(cell.chars().count());
                cells.push(cell);
            }
        }

        let mut out = String::new();
        if !self.has_header {
            self.push_header(&mut out);
        }
        let to_right: Vec<_> = columns.iter().map(Values::is_number).collect();
        for row in cells.chunks(columns.len().max(1)) {
            self.push_row(&mut out, row, &to_right);
        }
        write_out(out.as_bytes())
    }

    fn push_header(&mut self, out: &mut String) {
        let to_left = vec![false; self.names.len()];
        let rules: Vec<_> = self.widths.iter().map(|&width| "-".repeat(width)).collect();
        self.push_row(out, &self.names, &to_left);
        self.push_row(out, &rules, &to_left);
        self.has_header = true;
    }

    fn push_row(&self, out: &mut String, cells: &[String], to_right: &[bool]) {
        let start = out.len();
        for (i, cell) in cells.iter().enumerate() {
            let padding = self.widths[i] - cell.chars().count();
            let (before, after) = if to_right[i] { (padding, 0) } else { (0, padding) };
            if i > 0 {
                out.push_str("  ");
            }
            out.extend(iter::repeat_n(' ', before));
            out.push_str(cell);
            out.extend(iter::repeat_n(' ', after));
        }
        out.truncate(start + out[start..].trim_end_matches(' ').len());
        out.push('\n');
    }

    fn finish(mut self) -> Result<(), Failure> {
        let mut out = String::new();
        if !self.has_header {
            self.push_header(&mut out);
        }
        write_out(out.as_bytes())
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
