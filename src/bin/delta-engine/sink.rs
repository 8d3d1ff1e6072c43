//! Where batches go: a format, and stdout or a file.
//!
//! One batch at a time is written and dropped, so memory stays bounded whatever
//! the size of the table. Of Parquet, which keeps a row group until it is whole,
//! the bound is [`ROW_GROUP_BYTES`].

use std::fs::{self, Permissions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use arrow::array::{RecordBatch, StructArray};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use clap::ValueEnum;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tempfile::NamedTempFile;

use crate::Failure;
use crate::text::{cut, printable};
use crate::values::{Style, Values};

/// Rows are held back until so many bytes of lines are there, or their batch ends.
const CHUNK_BYTES: usize = 64 * 1024;
/// The most bytes, by estimate, that a Parquet row group is collected to.
const ROW_GROUP_BYTES: usize = 128 << 20;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns for a person; long values are cut
    Table,
    /// One JSON object a row
    Jsonl,
    /// Comma-separated values with a header; a null is nothing, an empty string
    /// "", what is nested is JSON
    Csv,
    /// An Arrow IPC stream
    Arrow,
    /// A Parquet file
    Parquet,
    /// Nothing: read everything, print no row
    None,
}

impl Format {
    /// What it is called where a terminal must not get it.
    fn binary(self) -> Option<&'static str> {
        match self {
            Format::Arrow => Some("an Arrow stream is not for a terminal: redirect the output"),
            Format::Parquet => Some("a Parquet file is not for a terminal: redirect the output"),
            _ => None,
        }
    }
}

/// A format, and where it is written to.
pub(crate) enum Sink {
    Table(Table, Out),
    /// The lines not yet written out.
    Lines(Vec<u8>, Style, Out),
    Csv(Csv, Out),
    Arrow(Box<StreamWriter<BufWriter<Out>>>),
    Parquet(Box<ArrowWriter<BufWriter<Out>>>),
    Nothing,
}

impl Sink {
    /// Checks what can be checked before a table is opened.
    pub(crate) fn check(format: Format, file: Option<&Path>) -> Result<(), Failure> {
        match (format, file) {
            (Format::None, Some(_)) => Err(Failure::Usage("nothing is written to no file")),
            (_, None) if io::stdout().is_terminal() => {
                format.binary().map_or(Ok(()), |why| Err(Failure::Usage(why)))
            }
            _ => Ok(()),
        }
    }

    /// A sink for batches of `schema`; to stdout, if no `file` is named.
    pub(crate) fn new(
        format: Format,
        style: Style,
        file: Option<&Path>,
        schema: &SchemaRef,
    ) -> Result<Self, Failure> {
        if format == Format::None {
            return Ok(Sink::Nothing);
        }
        let out = file.map_or(Ok(Out::Stdout(io::stdout())), Out::file)?;
        Ok(match format {
            Format::None => Sink::Nothing,
            Format::Table => Sink::Table(Table::new(schema), out),
            Format::Jsonl => Sink::Lines(Vec::new(), style, out),
            Format::Csv => Sink::Csv(Csv::new(schema, &out), out),
            Format::Arrow => {
                Sink::Arrow(Box::new(StreamWriter::try_new(BufWriter::new(out), schema)?))
            }
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::SNAPPY)
                    .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
                    .build();
                let (out, schema) = (BufWriter::new(out), SchemaRef::clone(schema));
                Sink::Parquet(Box::new(ArrowWriter::try_new(out, schema, Some(properties))?))
            }
        })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        match self {
            Sink::Table(table, out) => table.write(batch, out),
            Sink::Lines(lines, style, out) => {
                let rows = StructArray::from(batch.clone());
                let values = Values::of(&rows, *style)?;
                write_lines(lines, out, batch.num_rows(), |row, lines| {
                    values.push_json(row, lines);
                })
            }
            Sink::Csv(csv, out) => csv.write(batch, out),
            Sink::Arrow(writer) => Ok(writer.write(batch)?),
            Sink::Parquet(writer) => Ok(writer.write(batch)?),
            Sink::Nothing => Ok(()),
        }
    }

    /// Only what is complete is finished: the Arrow stream of a listing that
    /// failed has no end mark, the Parquet file no footer, and a file no name.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let unbuffered = |out: BufWriter<Out>| {
            out.into_inner().map_err(|error| Failure::of_output(error.into_error()))
        };
        let out = match self {
            Sink::Table(table, mut out) => {
                table.finish(&mut out)?;
                out
            }
            Sink::Lines(_, _, out) => out,
            Sink::Csv(csv, mut out) => {
                csv.finish(&mut out)?;
                out
            }
            Sink::Arrow(mut writer) => {
                writer.finish()?;
                unbuffered(writer.into_inner()?)?
            }
            Sink::Parquet(writer) => unbuffered(writer.into_inner()?)?,
            Sink::Nothing => return Ok(()),
        };
        out.finish()
    }
}

/// Stdout, or a file that gets its name when it is complete.
pub(crate) enum Out {
    Stdout(io::Stdout),
    File(NamedTempFile, PathBuf),
}

impl Out {
    fn file(path: &Path) -> Result<Self, Failure> {
        let cannot =
            |why: &dyn std::fmt::Display| Failure::said(format!("{}: {why}", path.display()));
        // A device or a pipe would be replaced by a file.
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(cannot(&"is no file: redirect the output there"));
        }
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        // What every new file may be, less the process's mask.
        let made = tempfile::Builder::new()
            .prefix(".delta-engine-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory);
        Ok(Out::File(made.map_err(|error| cannot(&error))?, path.to_owned()))
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Out::Stdout(stdout) if stdout.is_terminal())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_all(bytes).and_then(|()| self.flush()).map_err(Failure::of_output)
    }

    fn finish(mut self) -> Result<(), Failure> {
        self.flush().map_err(Failure::of_output)?;
        match self {
            Out::Stdout(_) => Ok(()),
            Out::File(file, path) => {
                file.persist(&path).map_err(|error| Failure::of_output(error.error))?;
                Ok(())
            }
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Out::Stdout(stdout) => stdout.write(bytes),
            Out::File(file, _) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Out::Stdout(stdout) => stdout.flush(),
            Out::File(file, _) => file.flush(),
        }
    }
}

/// Writes a line for each of so many rows.
fn write_lines(
    lines: &mut Vec<u8>,
    out: &mut Out,
    rows: usize,
    mut push: impl FnMut(usize, &mut Vec<u8>),
) -> Result<(), Failure> {
    for row in 0..rows {
        push(row, lines);
        lines.push(b'\n');
        if lines.len() >= CHUNK_BYTES {
            out.put(lines)?;
            lines.clear();
        }
    }
    // A slow listing shows what it has, so a batch leaves nothing behind.
    out.put(lines)?;
    lines.clear();
    Ok(())
}

/// Comma-separated values after RFC 4180, with the line ends of Unix. A null is
/// nothing and an empty string two quotes, as Spark writes them.
pub(crate) struct Csv {
    /// What is not yet written out, the header at first.
    lines: Vec<u8>,
    /// Whether values are to be kept from steering a terminal.
    is_shown: bool,
}

impl Csv {
    fn new(schema: &Schema, out: &Out) -> Self {
        let csv = Csv { lines: Vec::new(), is_shown: out.is_terminal() };
        let mut lines = Vec::new();
        for (i, field) in schema.fields().iter().enumerate() {
            csv.push_cell(i, Some(field.name().as_bytes()), &mut lines);
        }
        lines.push(b'\n');
        Csv { lines, ..csv }
    }

    fn write(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<(), Failure> {
        let columns = batch
            .columns()
            .iter()
            .map(|column| Values::of(column, Style::Text))
            .collect::<Result<Vec<_>, _>>()?;
        let mut lines = std::mem::take(&mut self.lines);
        let mut cell = Vec::new();
        write_lines(&mut lines, out, batch.num_rows(), |row, lines| {
            let start = lines.len();
            for (i, values) in columns.iter().enumerate() {
                cell.clear();
                let is_null = values.is_null(row);
                if !is_null {
                    values.push_text(row, &mut cell);
                }
                self.push_cell(i, (!is_null).then_some(&cell), lines);
            }
            // Many readers skip an empty line, and so would lose the row.
            if lines.len() == start {
                lines.extend_from_slice(b"\"\"");
            }
        })?;
        self.lines = lines;
        Ok(())
    }

    fn push_cell(&self, i: usize, cell: Option<&[u8]>, lines: &mut Vec<u8>) {
        if i > 0 {
            lines.push(b',');
        }
        let Some(cell) = cell else { return };
        let shown = self.is_shown.then(|| printable(&String::from_utf8_lossy(cell)).into_owned());
        let cell = shown.as_ref().map_or(cell, |shown| shown.as_bytes());
        if !cell.is_empty() && !cell.iter().any(|byte| b",\"\r\n".contains(byte)) {
            lines.extend_from_slice(cell);
            return;
        }
        lines.push(b'"');
        for &byte in cell {
            if byte == b'"' {
                lines.push(b'"');
            }
            lines.push(byte);
        }
        lines.push(b'"');
    }

    fn finish(self, out: &mut Out) -> Result<(), Failure> {
        out.put(&self.lines)
    }
}

/// Aligned columns, a page at a time: the widths of one page begin with those
/// of the page before, so that memory is bounded and columns seldom move.
pub(crate) struct Table {
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

    fn write(&mut self, batch: &RecordBatch, out: &mut Out) -> Result<(), Failure> {
        for first in (0..batch.num_rows()).step_by(Self::PAGE_ROWS) {
            let rows = Self::PAGE_ROWS.min(batch.num_rows() - first);
            self.write_page(&batch.slice(first, rows), out)?;
        }
        Ok(())
    }

    fn write_page(&mut self, page: &RecordBatch, out: &mut Out) -> Result<(), Failure> {
        let columns = page
            .columns()
            .iter()
            .map(|column| Values::of(column, Style::Text))
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

        let mut text = String::new();
        if !self.has_header {
            self.push_header(&mut text);
        }
        let to_right: Vec<_> = columns.iter().map(Values::is_number).collect();
        for row in cells.chunks(columns.len().max(1)) {
            self.push_row(&mut text, row, &to_right);
        }
        out.put(text.as_bytes())
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

    fn finish(mut self, out: &mut Out) -> Result<(), Failure> {
        let mut text = String::new();
        if !self.has_header {
            self.push_header(&mut text);
        }
        out.put(text.as_bytes())
    }
}
