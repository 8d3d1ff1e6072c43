//! Tables that have data: a few big files or many small ones, with and without
//! deletion vectors.
//!
//! Every value follows from the seed, the number of its file and of its row. One
//! commit adds all files; what is deleted is named by deletion vectors in files of
//! their own, a hundred vectors in each, as a writer of many files leaves them.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::data_file::{DAY_ZERO, Random, push_base85};
use super::{CHECKPOINT_MS, DAY_MS, EDITION, Result, SEED, kept};

/// The names and types of the columns.
pub(crate) const COLUMNS: [(&str, &str); 12] = [
    ("id", "long"),
    ("customer", "integer"),
    ("quantity", "integer"),
    ("session", "long"),
    ("price", "decimal(12,2)"),
    ("discount", "double"),
    ("weight", "double"),
    ("day", "date"),
    ("at", "timestamp"),
    ("status", "string"),
    ("comment", "string"),
    ("paid", "boolean"),
];

/// What of a file's rows is deleted, where anything is: one of so many.
const DELETED_OF: u64 = 10;
/// The rows of one batch to the writer.
const CHUNK_ROWS: u64 = 65_536;
/// The deletion vectors of one file.
const VECTORS_A_FILE: usize = 100;

const STATUS: [&str; 5] = ["cancelled", "delivered", "open", "returned", "shipped"];
const WORDS: [&str; 16] = [
    "above",
    "brown",
    "careful",
    "deposit",
    "even",
    "final",
    "green",
    "hollow",
    "instruction",
    "just",
    "kindly",
    "lazy",
    "merry",
    "never",
    "only",
    "pending",
];

/// One table that can be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DataTable {
    pub(crate) name: &'static str,
    pub(crate) files: u64,
    pub(crate) rows_a_file: u64,
    /// Whether a tenth of the rows is deleted.
    pub(crate) has_vectors: bool,
}

/// Every table there is.
pub(crate) const DATA_TABLES: [DataTable; 4] = [
    DataTable { name: "big_files", files: 10, rows_a_file: 1_000_000, has_vectors: false },
    DataTable { name: "big_files_dv", files: 10, rows_a_file: 1_000_000, has_vectors: true },
    DataTable { name: "small_files", files: 2_000, rows_a_file: 5_000, has_vectors: false },
    DataTable { name: "small_files_dv", files: 2_000, rows_a_file: 5_000, has_vectors: true },
];

impl DataTable {
    pub(crate) fn named(name: &str) -> Option<DataTable> {
        DATA_TABLES.into_iter().find(|table| table.name == name)
    }

    /// The table with `scale` times its rows: in as many files where they are big,
    /// in fewer where they are many.
    pub(crate) fn scaled(self, scale: f64) -> DataTable {
        let scaled = |number: u64| ((number as f64 * scale) as u64).max(1);
        match self.files > 100 {
            true => DataTable { files: scaled(self.files), ..self },
            false => DataTable { rows_a_file: scaled(self.rows_a_file), ..self },
        }
    }

    /// The rows of all files, deleted ones included.
    pub(crate) fn rows(&self) -> u64 {
        self.files * self.rows_a_file
    }

    /// The table's own folder in `folder`. It is made now if it is not there.
    pub(crate) fn kept_in(&self, folder: &Path) -> Result<PathBuf> {
        let DataTable { name, files, rows_a_file, .. } = self;
        let name = format!("{name}-{files}-{rows_a_file}-{SEED:x}-{EDITION}");
        kept(folder, &name, |root| self.write(root).map(drop))
    }

    /// Writes the table below `root`, which is new or empty, and gives the bytes of
    /// its data files.
    pub(crate) fn write(&self, root: &Path) -> Result<u64> {
        fs::create_dir_all(root)?;
        if fs::read_dir(root)?.next().is_some() {
            return Err("the folder is not empty".into());
        }
        let log = root.join("_delta_log");
        fs::create_dir(&log)?;

        let mut vectors = match self.has_vectors {
            true => self.write_vectors(root)?.into_iter(),
            false => Vec::new().into_iter(),
        };
        let mut commit = self.first_lines();
        let mut bytes_written = 0;
        for file in 0..self.files {
            let path = format!("part-{file:05}.snappy.parquet");
            let bytes = self.write_file(&root.join(&path), file)?;
            let vector = vectors.next().unwrap_or_default();
            let (rows, at) = (self.rows_a_file, CHECKPOINT_MS + file);
            writeln!(
                commit,
                "{{\"add\":{{\"path\":\"{path}\",\"partitionValues\":{{}},\"size\":{bytes},\
                 \"modificationTime\":{at},\"dataChange\":true{vector},\
                 \"stats\":\"{{\\\"numRecords\\\":{rows}}}\"}}}}"
            )?;
            bytes_written += bytes;
        }
        fs::write(log.join("00000000000000000000.json"), commit)?;
        Ok(bytes_written)
    }

    fn first_lines(&self) -> String {
        let features = match self.has_vectors {
            true => {
                "\"minReaderVersion\":3,\"minWriterVersion\":7,\
                 \"readerFeatures\":[\"deletionVectors\"],\"writerFeatures\":[\"deletionVectors\"]"
            }
            false => "\"minReaderVersion\":1,\"minWriterVersion\":2",
        };
        let field = |(name, data_type): (&str, &str)| {
            format!(
                "{{\\\"name\\\":\\\"{name}\\\",\\\"type\\\":\\\"{data_type}\\\",\
                 \\\"nullable\\\":true,\\\"metadata\\\":{{}}}}"
            )
        };
        let fields = COLUMNS.map(field).join(",");
        format!(
            "{{\"protocol\":{{{features}}}}}\n\
             {{\"metaData\":{{\"id\":\"5ca1ab1e-0000-4000-8000-000000000000\",\"name\":\"orders\",\
             \"format\":{{\"provider\":\"parquet\",\"options\":{{}}}},\
             \"schemaString\":\"{{\\\"type\\\":\\\"struct\\\",\\\"fields\\\":[{fields}]}}\",\
             \"partitionColumns\":[],\"configuration\":{{}},\"createdTime\":{CHECKPOINT_MS}}}}}\n"
        )
    }

    /// Writes file `file`, and gives its size. The defaults of the Parquet crate,
    /// and so one row group of a million rows, are much like what Spark writes.
    fn write_file(&self, path: &Path, file: u64) -> Result<u64> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let options =
            ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let mut random = Random::of(SEED, file);
        let mut first = 0;
        let batch = self.batch(&mut random, file, 0..0)?;
        let mut writer =
            ArrowWriter::try_new_with_options(File::create(path)?, batch.schema(), options)?;
        while first < self.rows_a_file {
            let end = (first + CHUNK_ROWS).min(self.rows_a_file);
            writer.write(&self.batch(&mut random, file, first..end)?)?;
            first = end;
        }
        writer.close()?;
        Ok(fs::metadata(path)?.len())
    }

    fn batch(
        &self,
        random: &mut Random,
        file: u64,
        rows: std::ops::Range<u64>,
    ) -> Result<RecordBatch> {
        let count = (rows.end - rows.start) as usize;
        let first = file * self.rows_a_file + rows.start;
        let mut draw = |end: u64| -> Vec<u64> { (0..count).map(|_| random.below(end)).collect() };
        let integers = |values: Vec<u64>| -> ArrayRef {
            Arc::new(Int32Array::from_iter_values(values.into_iter().map(|value| value as i32)))
        };
        // Days pass with the rows, so that neighbours are alike, as they are where
        // orders come in.
        let day = |row: u64| DAY_ZERO + row * 365 / self.rows().max(1);
        let days = (0..count as u64).map(|i| day(first + i));
        let comments = draw(u64::MAX);
        let comment = |(i, draw): (usize, u64)| {
            let word = |place: u64| WORDS[(draw >> (place * 4) & 15) as usize];
            let words = (0..3 + draw % 6).map(word).collect::<Vec<_>>().join(" ");
            format!("{words} {}", first + i as u64)
        };
        let nullable = |value: u64| (!value.is_multiple_of(16)).then_some(value);
        let prices = draw(100_000_000).into_iter().map(|cents| i128::from(cents) - 1_000_000);
        let arrays: [ArrayRef; 12] = [
            Arc::new(Int64Array::from_iter_values((0..count as u64).map(|i| (first + i) as i64))),
            integers(draw(50_000)),
            integers(draw(100)),
            Arc::new(Int64Array::from_iter_values(draw(u64::MAX).iter().map(|v| (v >> 1) as i64))),
            Arc::new(Decimal128Array::from_iter_values(prices).with_precision_and_scale(12, 2)?),
            Arc::new(Float64Array::from_iter(
                draw(1_600).into_iter().map(|v| nullable(v).map(|v| v as f64 / 3_200.0)),
            )),
            Arc::new(Float64Array::from_iter_values(
                draw(1 << 53).into_iter().map(|v| v as f64 / (1_u64 << 53) as f64 * 40.0),
            )),
            Arc::new(Date32Array::from_iter_values(days.clone().map(|day| day as i32))),
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    days.zip(draw(DAY_MS * 1_000))
                        .map(|(day, within)| (day * DAY_MS * 1_000 + within) as i64),
                )
                .with_timezone("UTC"),
            ),
            Arc::new(StringArray::from_iter_values(
                draw(64).into_iter().map(|v| STATUS[(v % 9 % 5) as usize]),
            )),
            Arc::new(StringArray::from_iter_values(comments.into_iter().enumerate().map(comment))),
            Arc::new(BooleanArray::from_iter(
                draw(48).into_iter().map(|v| nullable(v).map(|v| v % 3 > 0)),
            )),
        ];
        let columns = COLUMNS.into_iter().zip(arrays);
        Ok(RecordBatch::try_from_iter_with_nullable(
            columns.map(|((name, _), array)| (name, array, true)),
        )?)
    }

    /// Writes the deletion vectors of all files, and gives the field of each one's
    /// `add`.
    fn write_vectors(&self, root: &Path) -> Result<Vec<String>> {
        let mut fields = Vec::new();
        let files: Vec<u64> = (0..self.files).collect();
        for (number, files) in files.chunks(VECTORS_A_FILE).enumerate() {
            // Apart from the numbers of the data files.
            let mut random = Random::of(SEED, u64::MAX - number as u64);
            let id = (random.next(), random.next());
            let mut path = Vec::new();
            push_base85(id, &mut path);
            let path = String::from_utf8(path)?;
            // "Deletion Vector File Storage Format", version 1.
            let mut bytes = vec![1];
            for &file in files {
                let deleted = self.deleted(file);
                let bitmap = bitmap_of(&deleted);
                fields.push(format!(
                    ",\"deletionVector\":{{\"storageType\":\"u\",\"pathOrInlineDv\":\"{path}\",\
                     \"offset\":{offset},\"sizeInBytes\":{size},\"cardinality\":{cardinality}}}",
                    offset = bytes.len(),
                    size = bitmap.len(),
                    cardinality = deleted.len(),
                ));
                bytes.extend_from_slice(&(bitmap.len() as u32).to_be_bytes());
                bytes.extend_from_slice(&bitmap);
                bytes.extend_from_slice(&crc32_of(&bitmap).to_be_bytes());
            }
            let (high, low) = id;
            let name = format!(
                "deletion_vector_{:08x}-{:04x}-{:04x}-{:04x}-{:012x}.bin",
                high >> 32,
                high >> 16 & 0xffff,
                high & 0xffff,
                low >> 48,
                low & 0xffff_ffff_ffff,
            );
            fs::write(root.join(name), bytes)?;
        }
        Ok(fields)
    }

    /// The rows of file `file` that are deleted, all over it.
    pub(crate) fn deleted(&self, file: u64) -> Vec<u32> {
        let mut random = Random::of(SEED, u64::MAX / 2 + file);
        let rows = 0..u32::try_from(self.rows_a_file).unwrap_or(u32::MAX);
        rows.filter(|_| random.below(DELETED_OF) == 0).collect()
    }
}

/// "Deletion Vector Format": a magic number, and a 64-bit Roaring bitmap in its
/// portable form, here of one 32-bit bitmap.
fn bitmap_of(rows: &[u32]) -> Vec<u8> {
    const MAGIC: u32 = 1_681_511_377;
    const COOKIE_WITHOUT_RUNS: u32 = 12_346;
    const ARRAY_MAX: usize = 4_096;
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&1_u64.to_le_bytes());
    out.extend_from_slice(&0_u32.to_le_bytes());
    let containers: Vec<&[u32]> = rows.chunk_by(|a, b| a >> 16 == b >> 16).collect();
    out.extend_from_slice(&COOKIE_WITHOUT_RUNS.to_le_bytes());
    out.extend_from_slice(&(containers.len() as u32).to_le_bytes());
    for rows in &containers {
        out.extend_from_slice(&((rows[0] >> 16) as u16).to_le_bytes());
        out.extend_from_slice(&((rows.len() - 1) as u16).to_le_bytes());
    }
    // Where each begins, counted from the cookie.
    let mut offset = 8 + 8 * containers.len();
    for rows in &containers {
        out.extend_from_slice(&(offset as u32).to_le_bytes());
        offset += if rows.len() > ARRAY_MAX { 8_192 } else { 2 * rows.len() };
    }
    for rows in &containers {
        if rows.len() > ARRAY_MAX {
            let mut words = [0_u64; 1_024];
            for row in *rows {
                words[(row >> 6 & 1_023) as usize] |= 1 << (row & 63);
            }
            out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        } else {
            out.extend(rows.iter().flat_map(|row| (*row as u16).to_le_bytes()));
        }
    }
    out
}

/// The checksum of zip files, bit by bit: these are small.
fn crc32_of(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
