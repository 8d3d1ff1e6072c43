//! What a contestant has listed: a count and a sum that cost next to nothing, and
//! checksums of every value for the run that is not timed.

use std::hash::{DefaultHasher, Hasher};
use std::hint::black_box;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use serde::{Deserialize, Serialize};

use crate::log_shapes::Result;

/// The values of a file, in the order of [`Tally::checksums`], each by the names
/// that the contestants give it.
pub(crate) const FIELDS: [&[&str]; 6] = [
    &["path"],
    &["size", "size_bytes"],
    &["modification_time", "modificationTime"],
    &["partition_values", "partitionValues", "partition"],
    &["stats"],
    &["deletion_vector", "deletionVector"],
];

/// Sums over live files, in any order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) files: u64,
    pub(crate) bytes: i64,
    /// For each of [`FIELDS`] the sum of a hash of path and value: none before the
    /// first batch, and of a field that is not there.
    #[serde(default)]
    pub(crate) checksums: [Option<u64>; 6],
}

impl Tally {
    /// Counts the live files, and nothing that takes time.
    pub(crate) fn count(&mut self, batch: &RecordBatch, live: &[bool]) -> Result<()> {
        let sizes = column(batch, FIELDS[1]).ok_or("no column of sizes")?;
        let sizes = sizes.as_primitive::<Int64Type>().values();
        // Kept from the optimiser, as a host would use them.
        for column in batch.columns() {
            black_box(column);
        }
        for (row, size) in sizes.iter().enumerate() {
            if is_live(live, row) {
                self.files += 1;
                self.bytes += size;
            }
        }
        Ok(())
    }

    /// Hashes every value as well.
    pub(crate) fn check(&mut self, batch: &RecordBatch, live: &[bool]) -> Result<()> {
        self.count(batch, live)?;
        let paths = column(batch, FIELDS[0]).ok_or("no column of paths")?;
        let paths = paths.as_string::<i32>();
        for (names, checksum) in FIELDS.iter().zip(&mut self.checksums) {
            let Some(values) = column(batch, names) else { continue };
            let mut text = Vec::new();
            let mut sum = checksum.unwrap_or(0);
            let append = text_of(&values)?;
            for row in (0..batch.num_rows()).filter(|&row| is_live(live, row)) {
                text.clear();
                text.extend_from_slice(paths.value(row).as_bytes());
                text.push(0);
                append(row, &mut text);
                let mut hasher = DefaultHasher::new();
                hasher.write(&text);
                sum = sum.wrapping_add(hasher.finish());
            }
            *checksum = Some(sum);
        }
        Ok(())
    }
}

fn is_live(live: &[bool], row: usize) -> bool {
    live.get(row).copied().unwrap_or(true)
}

/// A column by one of its names. The kernel has partition values one level down.
fn column(batch: &RecordBatch, names: &[&str]) -> Option<ArrayRef> {
    let below = batch.column_by_name("fileConstantValues").map(|values| values.as_struct());
    let find = |name: &&str| {
        let above = batch.column_by_name(name);
        above.or_else(|| below.and_then(|below| below.column_by_name(name))).cloned()
    };
    names.iter().find_map(find)
}

type Append = Box<dyn Fn(usize, &mut Vec<u8>)>;

/// How a value of the column is written, whatever the column's type: strings as
/// they are, integers and times as their number, maps by key, and typed partition
/// values as the log has them. A null is nothing, and a null in something is left
/// out.
fn text_of(values: &ArrayRef) -> Result<Append> {
    Ok(match values.data_type() {
        DataType::Utf8 => {
            let values = values.as_string::<i32>().clone();
            Box::new(move |row, text| {
                if values.is_valid(row) {
                    text.extend_from_slice(b"=");
                    text.extend_from_slice(values.value(row).as_bytes());
                }
            })
        }
        DataType::Map(..) => {
            let values = values.as_map().clone();
            let keys = text_of(values.keys())?;
            let items = text_of(values.values())?;
            Box::new(move |row, text| {
                if values.is_null(row) {
                    return;
                }
                let range = values.value_offsets()[row]..values.value_offsets()[row + 1];
                let mut entries: Vec<Vec<u8>> = range
                    .map(|entry| {
                        let mut text = Vec::new();
                        keys(entry as usize, &mut text);
                        items(entry as usize, &mut text);
                        text
                    })
                    .collect();
                entries.sort();
                text.push(b'{');
                text.extend(entries.into_iter().flatten());
            })
        }
        DataType::Struct(fields) if fields.iter().any(|field| is_vector_type(field.name())) => {
            let values = values.as_struct().clone();
            let parts: Vec<Append> = values.columns().iter().map(text_of).collect::<Result<_>>()?;
            Box::new(move |row, text| {
                if values.is_valid(row) {
                    parts.iter().for_each(|part| part(row, text));
                }
            })
        }
        DataType::Struct(_) => partition_text(values.as_struct())?,
        _ => {
            let values = cast(values, &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>().clone();
            Box::new(move |row, text| {
                if values.is_valid(row) {
                    text.extend_from_slice(format!("={}", values.value(row)).as_bytes());
                }
            })
        }
    })
}

fn is_vector_type(name: &str) -> bool {
    matches!(name, "storage_type" | "storageType")
}

/// A struct of typed values, as the map of strings that they were made of.
fn partition_text(values: &StructArray) -> Result<Append> {
    let mut columns = Vec::new();
    for (field, column) in values.fields().iter().zip(values.columns()) {
        let texts = cast(column, &DataType::Utf8)?;
        columns.push((field.name().clone(), text_of(&texts)?));
    }
    columns.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Box::new(move |row, text| {
        text.push(b'{');
        for (name, value) in &columns {
            text.push(b'=');
            text.extend_from_slice(name.as_bytes());
            value(row, text);
        }
    }))
}
