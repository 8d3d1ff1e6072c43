//! Data files and deletion vectors: what a table is made of beside its log.
use super::{Action, TestTable, add};
use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use roaring::RoaringTreemap;
use serde_json::{Value, json};

/// How a Parquet file is cut and packed. The default is one row group and what
/// the Parquet crate makes of it, compressed with Snappy, without the Arrow
/// schema that only Arrow's own writers leave in a file.
#[derive(Clone, Debug)]
pub struct FileLayout {
    row_group_rows: Option<usize>,
    page_rows: Option<usize>,
    page_index: bool,
    arrow_schema: bool,
    compression: Compression,
    second_version: bool,
    encoding: Option<Encoding>,
    more: Option<fn(WriterPropertiesBuilder) -> WriterPropertiesBuilder>,
}

impl Default for FileLayout {
    fn default() -> Self {
        FileLayout {
            row_group_rows: None,
            page_rows: None,
            page_index: true,
            arrow_schema: false,
            compression: Compression::SNAPPY,
            second_version: false,
            encoding: None,
            more: None,
        }
    }
}

impl FileLayout {
    pub fn row_group_rows(mut self, rows: usize) -> Self {
        self.row_group_rows = Some(rows);
        self
    }

    pub fn page_rows(mut self, rows: usize) -> Self {
        self.page_rows = Some(rows);
        self
    }

    /// Without column and offset indexes.
    pub fn no_page_index(mut self) -> Self {
        self.page_index = false;
        self
    }

    /// With the Arrow schema in the file's metadata.
    pub fn arrow_schema(mut self) -> Self {
        self.arrow_schema = true;
        self
    }

    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// With data pages of the second version, and the encodings that came with it.
    pub fn second_version(mut self) -> Self {
        self.second_version = true;
        self
    }

    /// Without dictionaries, every column in this encoding.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// With what else can be said to the writer.
    pub fn with(mut self, more: fn(WriterPropertiesBuilder) -> WriterPropertiesBuilder) -> Self {
        self.more = Some(more);
        self
    }

    /// The file with the rows of `batch`. A field's id is what the entry
    /// `PARQUET:field_id` of its metadata says.
    pub fn parquet_of(&self, batch: &RecordBatch) -> Vec<u8> {
        let statistics =
            if self.page_index { EnabledStatistics::Page } else { EnabledStatistics::Chunk };
        let mut properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_statistics_enabled(statistics)
            .set_offset_index_disabled(!self.page_index)
            .set_max_row_group_row_count(self.row_group_rows);
        if self.second_version {
            properties = properties.set_writer_version(WriterVersion::PARQUET_2_0);
        }
        if let Some(encoding) = self.encoding {
            properties = properties.set_dictionary_enabled(false).set_encoding(encoding);
        }
        if let Some(rows) = self.page_rows {
            properties = properties.set_data_page_row_count_limit(rows).set_write_batch_size(rows);
        }
        if let Some(more) = self.more {
            properties = more(properties);
        }
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            .with_skip_arrow_metadata(!self.arrow_schema);
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new_with_options(&mut bytes, batch.schema(), options)
            .expect("a schema that Parquet can hold");
        writer.write(batch).expect("rows that Parquet can hold");
        writer.close().expect("a file in memory");
        bytes
    }
}

impl TestTable {
    /// Writes a data file with the rows of `batch`, and gives its `add`: with its
    /// size, its time and its number of rows. `path` is relative to the table's
    /// root; the log has it percent-encoded.
    pub fn data_file(&self, path: &str, batch: &RecordBatch) -> Action {
        self.data_file_as(path, batch, &FileLayout::default())
    }

    pub fn data_file_as(&self, path: &str, batch: &RecordBatch, layout: &FileLayout) -> Action {
        /// What RFC 2396 does not let a path hold as it is.
        const ENCODED: &AsciiSet = &CONTROLS
            .add(b' ')
            .add(b'"')
            .add(b'#')
            .add(b'%')
            .add(b'<')
            .add(b'>')
            .add(b'?')
            .add(b'[')
            .add(b'\\')
            .add(b']')
            .add(b'^')
            .add(b'`')
            .add(b'{')
            .add(b'|')
            .add(b'}');
        let bytes = layout.parquet_of(batch);
        self.write(path, &bytes);
        add(&utf8_percent_encode(path, ENCODED).to_string())
            .size(bytes.len() as i64)
            .stats(&json!({"numRecords": batch.num_rows()}).to_string())
    }

    /// Writes one file of deletion vectors below `directory`, which may be empty
    /// for the table's root, and gives the descriptor of each.
    pub fn dv_file(&self, directory: &str, vectors: &[&[u64]]) -> Vec<Value> {
        let uuid = self.uuid();
        let id: Vec<u8> = (0..32)
            .step_by(2)
            .map(|at| {
                let hex = uuid.replace('-', "");
                u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits")
            })
            .collect();
        let path_or_inline = format!("{directory}{}", z85(&id));

        // "Deletion Vector File Storage Format", version 1.
        let mut bytes = vec![1];
        let mut descriptors = Vec::new();
        for rows in vectors {
            let bitmap = bitmap_of(rows);
            descriptors.push(json!({
                "storageType": "u",
                "pathOrInlineDv": path_or_inline,
                "offset": bytes.len(),
                "sizeInBytes": bitmap.len(),
                "cardinality": rows.len(),
            }));
            bytes.extend((bitmap.len() as u32).to_be_bytes());
            bytes.extend(&bitmap);
            bytes.extend(crc32fast::hash(&bitmap).to_be_bytes());
        }
        let slash = if directory.is_empty() { "" } else { "/" };
        self.write(&format!("{directory}{slash}deletion_vector_{uuid}.bin"), &bytes);
        descriptors
    }
}

/// The descriptor of a deletion vector that stands in the log itself: of these
/// rows of its file, counted from 0, each named once.
pub fn inline_dv(rows: &[u64]) -> Value {
    let bitmap = bitmap_of(rows);
    json!({
        "storageType": "i",
        "pathOrInlineDv": z85(&bitmap),
        "sizeInBytes": bitmap.len(),
        "cardinality": rows.len(),
    })
}

/// "Deletion Vector Format": a magic number, and a 64-bit Roaring bitmap in its
/// portable format.
fn bitmap_of(rows: &[u64]) -> Vec<u8> {
    let bitmap: RoaringTreemap = rows.iter().collect();
    assert_eq!(bitmap.len(), rows.len() as u64, "each row is named once");
    let mut bytes = 1_681_511_377_u32.to_le_bytes().to_vec();
    bitmap.serialize_into(&mut bytes).expect("bytes in memory");
    bytes
}

/// ZeroMQ's base 85, of `bytes` and as many zeros as make whole groups of four.
fn z85(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 85] =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";
    let digits = bytes.chunks(4).flat_map(|group| {
        let mut padded = [0; 4];
        padded[..group.len()].copy_from_slice(group);
        let number = u32::from_be_bytes(padded);
        [85_u32.pow(4), 85_u32.pow(3), 85_u32.pow(2), 85, 1]
            .map(|power| char::from(DIGITS[(number / power % 85) as usize]))
    });
    digits.collect()
}
