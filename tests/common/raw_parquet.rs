//! Parquet files written page by page, so that a page may claim what it likes.
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;
use std::sync::Arc;

/// A file of one row group and one column.
pub struct RawFile {
    pub message: &'static str,
    pub compression: Compression,
    pub rows: i64,
    /// Of the column, as its footer says.
    pub values: i64,
    pub uncompressed_bytes: i64,
    pub pages: Vec<RawPage>,
}

/// A page, its header and its body as they lie in the file.
pub struct RawPage {
    is_dictionary: bool,
    bytes: Vec<u8>,
}

impl RawPage {
    /// A dictionary of `values` plain values.
    pub fn dictionary(values: i32, body: &[u8]) -> RawPage {
        let mut header = thrift_numbers(&[2, body.len() as i32, body.len() as i32]);
        // The seventh field is a struct.
        header.push(0x4c);
        header.extend(thrift_numbers(&[values, Encoding::PLAIN as i32]));
        header.extend([0, 0]);
        RawPage { is_dictionary: true, bytes: [&header[..], body].concat() }
    }

    /// A data page of the first version.
    pub fn data(values: i32, encoding: Encoding, body: &[u8]) -> RawPage {
        RawPage::packed(values, encoding, body.len() as i32, body)
    }

    /// The same of `packed` bytes that claims to have `len`.
    pub fn packed(values: i32, encoding: Encoding, len: i32, packed: &[u8]) -> RawPage {
        let mut header = thrift_numbers(&[0, len, packed.len() as i32]);
        // The fifth field is a struct.
        header.push(0x2c);
        let levels = Encoding::RLE as i32;
        header.extend(thrift_numbers(&[values, encoding as i32, levels, levels]));
        header.extend([0, 0]);
        RawPage { is_dictionary: false, bytes: [&header[..], packed].concat() }
    }
}

impl RawFile {
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"PAR1".to_vec();
        let mut offsets = Vec::new();
        for page in &self.pages {
            offsets.push((page.is_dictionary, bytes.len() as i64));
            bytes.extend(&page.bytes);
        }
        let offset_of = |wanted| offsets.iter().find(|(is_dictionary, _)| *is_dictionary == wanted);
        let schema = parse_message_type(self.message).expect("a schema");
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(schema)));
        let column = ColumnChunkMetaData::builder(schema.column(0))
            .set_compression(self.compression)
            .set_num_values(self.values)
            .set_total_compressed_size(bytes.len() as i64 - 4)
            .set_total_uncompressed_size(self.uncompressed_bytes)
            .set_data_page_offset(offset_of(false).map_or(4, |(_, offset)| *offset))
            .set_dictionary_page_offset(offset_of(true).map(|(_, offset)| *offset))
            .build()
            .expect("a column");
        let group = RowGroupMetaData::builder(Arc::clone(&schema))
            .set_num_rows(self.rows)
            .set_total_byte_size(self.uncompressed_bytes)
            .set_column_metadata(vec![column])
            .build()
            .expect("a row group");
        let file = FileMetaData::new(1, self.rows, None, None, schema, None);
        let metadata = ParquetMetaData::new(file, vec![group]);
        ParquetMetaDataWriter::new(&mut bytes, &metadata).finish().expect("a footer");
        bytes
    }
}

/// A number as Thrift's and Parquet's own bytes have it, seven bits in each.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = value >= 0x80;
        bytes.push((value & 0x7f) as u8 | if more { 0x80 } else { 0 });
        if !more {
            return bytes;
        }
        value >>= 7;
    }
}

/// So often one level or index, of one byte: a run.
pub fn run(count: u64, value: u8) -> Vec<u8> {
    [varint(count << 1), vec![value]].concat()
}

/// Levels with their length in front.
pub fn levels(runs: &[Vec<u8>]) -> Vec<u8> {
    let runs = runs.concat();
    [&(runs.len() as u32).to_le_bytes()[..], &runs].concat()
}

/// 32-bit fields of a struct in Thrift's compact form, numbered from 1.
fn thrift_numbers(values: &[i32]) -> Vec<u8> {
    let zigzag = |value: i32| u64::from(((value << 1) ^ (value >> 31)) as u32);
    values.iter().flat_map(|&value| [vec![0x15], varint(zigzag(value))].concat()).collect()
}
