//! `stats_parsed` and `partitionValues_parsed` of a checkpoint as the text that
//! `stats` and `partitionValues` would hold.
//!
//! Some writers put a file's statistics into a checkpoint as a struct only
//! ("Checkpoint Schema": `delta.checkpoint.writeStatsAsJson` is false). A
//! consumer gets one form: the text. Values are spelled as Spark spells them in
//! the statistics of a commit ("Per-file Statistics"), partition values as
//! "Partition Value Serialization" says.

use std::io::Write;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StringArray, StringBuilder, StructArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType,
};
use arrow::temporal_conversions::{
    date32_to_datetime, timestamp_ms_to_datetime, timestamp_ns_to_datetime,
    timestamp_us_to_datetime,
};

use crate::actions::string_map_builder;
use crate::error::{Error, Result, escaped};

/// No statistics nest deeper: a table's columns do not.
const DEPTH_MAX: usize = 64;

/// The JSON text of each row; null where the struct is null.
pub(crate) fn json_text(stats: &StructArray) -> Result<StringArray> {
    let mut out = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..stats.len() {
        if stats.is_null(row) {
            out.append_null();
            continue;
        }
        text.clear();
        write_struct(stats, row, &mut text, 0)?;
        let text = std::str::from_utf8(&text)
            .map_err(|_| Error::bug("statistics written as JSON are not UTF-8"))?;
        out.append_value(text);
    }
    Ok(out.finish())
}

/// A map for each row, of the names of the struct's fields, which are physical
/// names, to the values' text; null where the struct is null.
pub(crate) fn partition_values(parsed: &StructArray) -> Result<MapArray> {
    let mut out = string_map_builder();
    let mut text = Vec::new();
    let failed = |e| Error::bug(format!("a map of partition values: {e}"));
    for row in 0..parsed.len() {
        if parsed.is_null(row) {
            out.append(false).map_err(failed)?;
            continue;
        }
        for (field, column) in parsed.fields().iter().zip(parsed.columns()) {
            out.keys().append_value(field.name());
            text.clear();
            match partition_value(column, row, &mut text)? {
                true => out.values().append_value(std::str::from_utf8(&text).map_err(|_| {
                    let name = escaped(field.name());
                    Error::corrupt(format!("partitionValues_parsed.{name}: bytes that are no text"))
                })?),
                false => out.values().append_null(),
            }
        }
        out.append(true).map_err(failed)?;
    }
    Ok(out.finish())
}

/// Writes a value as partition values spell it; nothing, if it is null.
fn partition_value(array: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<bool> {
    if array.is_null(row) {
        return Ok(false);
    }
    match array.data_type() {
        DataType::Utf8 => out.extend_from_slice(array.as_string::<i32>().value(row).as_bytes()),
        DataType::Binary => out.extend_from_slice(array.as_binary::<i32>().value(row)),
        DataType::Struct(_) => {
            return Err(Error::corrupt("partitionValues_parsed has a struct for a value"));
        }
        other => {
            if !write_value(array, row, out, 0)? {
                return Err(Error::unsupported(format!(
                    "partitionValues_parsed has a value of type {other} that has no text"
                )));
            }
            // What JSON puts in quotes has nothing to be escaped.
            if out.first() == Some(&b'"') {
                out.pop();
                out.remove(0);
            }
            if matches!(other, DataType::Timestamp(_, None))
                && let Some(t) = out.iter().position(|&byte| byte == b'T')
            {
                out[t] = b' ';
            }
        }
    }
    Ok(true)
}

fn write_struct(array: &StructArray, row: usize, out: &mut Vec<u8>, depth: usize) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Error::limit(format!("stats_parsed nests deeper than {DEPTH_MAX}")));
    }
    out.push(b'{');
    let begin = out.len();
    for (field, column) in array.fields().iter().zip(array.columns()) {
        if column.is_null(row) {
            continue;
        }
        let before = out.len();
        if before > begin {
            out.push(b',');
        }
        write_string(field.name(), out)?;
        out.push(b':');
        // What has no spelling in statistics is left out: unknown, never wrong.
        if !write_value(column, row, out, depth)? {
            out.truncate(before);
        }
    }
    out.push(b'}');
    Ok(())
}

fn write_value(array: &ArrayRef, row: usize, out: &mut Vec<u8>, depth: usize) -> Result<bool> {
    match array.data_type() {
        DataType::Struct(_) => write_struct(array.as_struct(), row, out, depth + 1)?,
        DataType::Utf8 => write_string(array.as_string::<i32>().value(row), out)?,
        DataType::Boolean => write(out, format_args!("{}", array.as_boolean().value(row))),
        DataType::Int8 => {
            write(out, format_args!("{}", array.as_primitive::<Int8Type>().value(row)))
        }
        DataType::Int16 => {
            write(out, format_args!("{}", array.as_primitive::<Int16Type>().value(row)));
        }
        DataType::Int32 => {
            write(out, format_args!("{}", array.as_primitive::<Int32Type>().value(row)));
        }
        DataType::Int64 => {
            write(out, format_args!("{}", array.as_primitive::<Int64Type>().value(row)));
        }
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            write_float(f64::from(value), format_args!("{value:?}"), out);
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            write_float(value, format_args!("{value:?}"), out);
        }
        DataType::Decimal128(..) => {
            let text = array.as_primitive::<Decimal128Type>().value_as_string(row);
            write(out, format_args!("{text}"));
        }
        DataType::Date32 => {
            let date = date32_to_datetime(array.as_primitive::<Date32Type>().value(row));
            let Some(date) = date else { return Ok(false) };
            write(out, format_args!("\"{}\"", date.format("%Y-%m-%d")));
        }
        DataType::Timestamp(unit, zone) => {
            let moment = match unit {
                TimeUnit::Millisecond => timestamp_ms_to_datetime(
                    array.as_primitive::<TimestampMillisecondType>().value(row),
                ),
                TimeUnit::Microsecond => timestamp_us_to_datetime(
                    array.as_primitive::<TimestampMicrosecondType>().value(row),
                ),
                TimeUnit::Nanosecond => timestamp_ns_to_datetime(
                    array.as_primitive::<TimestampNanosecondType>().value(row),
                ),
                TimeUnit::Second => None,
            };
            let Some(moment) = moment else { return Ok(false) };
            let zone = if zone.is_some() { "Z" } else { "" };
            // Microseconds where there are any, else milliseconds, as Spark writes.
            let format = match moment.and_utc().timestamp_subsec_nanos() % 1_000_000 {
                0 => "%Y-%m-%dT%H:%M:%S%.3f",
                _ => "%Y-%m-%dT%H:%M:%S%.6f",
            };
            write(out, format_args!("\"{}{zone}\"", moment.format(format)));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// A number that JSON has no spelling for is a string, as Spark writes it.
fn write_float(value: f64, text: std::fmt::Arguments<'_>, out: &mut Vec<u8>) {
    if value.is_nan() {
        write(out, format_args!("\"NaN\""));
    } else if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        write(out, format_args!("\"{sign}Infinity\""));
    } else {
        write(out, text);
    }
}

fn write_string(text: &str, out: &mut Vec<u8>) -> Result<()> {
    serde_json::to_writer(out, text).map_err(|e| Error::bug(format!("a string as JSON: {e}")))
}

fn write(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{
        BinaryArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::Field;
    use std::sync::Arc;

    fn structs(fields: Vec<(&str, ArrayRef)>) -> StructArray {
        let fields: Vec<_> = fields
            .into_iter()
            .map(|(name, array)| {
                (Arc::new(Field::new(name, array.data_type().clone(), true)), array)
            })
            .collect();
        StructArray::from(fields)
    }

    #[test]
    fn each_type_is_spelled_as_in_a_commit() {
        let values = structs(vec![
            ("s", Arc::new(StringArray::from(vec!["a\"b"]))),
            ("f", Arc::new(Float64Array::from(vec![f64::NAN]))),
            ("g", Arc::new(Float64Array::from(vec![1.5]))),
            ("d", Arc::new(Date32Array::from(vec![0]))),
            ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC"))),
            ("n", Arc::new(TimestampMicrosecondArray::from(vec![1]))),
            (
                "m",
                Arc::new(
                    Decimal128Array::from(vec![1230]).with_precision_and_scale(10, 2).unwrap(),
                ),
            ),
            ("b", Arc::new(BinaryArray::from(vec![&b"x"[..]]))),
            ("z", Arc::new(Int64Array::from(vec![None::<i64>]))),
        ]);
        let stats = structs(vec![
            ("numRecords", Arc::new(Int64Array::from(vec![3]))),
            ("minValues", Arc::new(values)),
        ]);
        assert_eq!(
            json_text(&stats).unwrap().value(0),
            r#"{"numRecords":3,"minValues":{"s":"a\"b","f":"NaN","g":1.5,"d":"1970-01-01","t":"1970-01-01T00:00:01.500Z","n":"1970-01-01T00:00:00.000001","m":12.30}}"#
        );
    }

    #[test]
    fn each_type_is_spelled_as_a_partition_value() {
        let values = structs(vec![
            ("s", Arc::new(StringArray::from(vec!["a\"b", ""]))),
            ("d", Arc::new(Date32Array::from(vec![Some(0), None]))),
            (
                "t",
                Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, 1]).with_timezone("UTC")),
            ),
            (
                "m",
                Arc::new(
                    Decimal128Array::from(vec![1230, -5]).with_precision_and_scale(10, 2).unwrap(),
                ),
            ),
            ("i", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000, 1]))),
            ("b", Arc::new(BinaryArray::from(vec![&b"\x01"[..], b"x"]))),
        ]);
        let map = partition_values(&values).unwrap();
        let text = |row: usize| -> Vec<(String, Option<String>)> {
            let entries = map.value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let values = values.as_string::<i32>();
            keys.iter()
                .flatten()
                .map(str::to_owned)
                .zip(values.iter().map(|v| v.map(str::to_owned)))
                .collect()
        };
        let expected = |values: [Option<&str>; 6]| -> Vec<(String, Option<String>)> {
            let names = ["s", "d", "t", "m", "i", "b"].map(str::to_owned);
            names.into_iter().zip(values.map(|v| v.map(str::to_owned))).collect()
        };
        let t = "1970-01-01T00:00:01.500Z";
        let first = [
            Some("a\"b"),
            Some("1970-01-01"),
            Some(t),
            Some("12.30"),
            Some("1970-01-01 00:00:01.500"),
            Some("\u{1}"),
        ];
        assert_eq!(text(0), expected(first));
        let t = "1970-01-01T00:00:00.000001Z";
        assert_eq!(
            text(1),
            expected([
                Some(""),
                None,
                Some(t),
                Some("-0.05"),
                Some("1970-01-01 00:00:00.000001"),
                Some("x")
            ])
        );
        let bytes = structs(vec![("b", Arc::new(BinaryArray::from(vec![&b"\xff"[..]])))]);
        assert!(partition_values(&bytes).is_err());
    }
}
