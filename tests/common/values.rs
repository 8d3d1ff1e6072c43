//! JSON to Arrow, to write checkpoints; Arrow to JSON, to compare what was read.
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray,
    MapArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DurationMicrosecondType, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalUnit, IntervalYearMonthType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType,
};
use serde_json::{Map, Number, Value};
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

/// An array of `data_type` from JSON values; what JSON has no type for (dates,
/// timestamps, decimals) is parsed from its text.
pub(super) fn array_of(data_type: &DataType, values: &[Option<&Value>]) -> ArrayRef {
    let values: Vec<_> = values.iter().map(|value| value.filter(|v| !v.is_null())).collect();
    let nulls = || NullBuffer::from_iter(values.iter().map(Option::is_some));
    match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from_iter(
            values.iter().map(|v| v.map(|v| v.as_bool().expect("a boolean"))),
        )),
        DataType::Int32 => {
            Arc::new(Int32Array::from_iter(values.iter().map(|v| v.map(|v| integer(v) as i32))))
        }
        DataType::Int64 => Arc::new(Int64Array::from_iter(values.iter().map(|v| v.map(integer)))),
        DataType::Float64 => Arc::new(Float64Array::from_iter(
            values.iter().map(|v| v.map(|v| v.as_f64().unwrap_or_else(|| parsed(v)))),
        )),
        DataType::Struct(fields) => {
            let children = fields.iter().map(|field| {
                let of_field = |v: &Option<&'_ Value>| -> Option<Value> {
                    v.and_then(|v| v.get(field.name())).cloned()
                };
                let owned: Vec<_> = values.iter().map(of_field).collect();
                array_of(field.data_type(), &owned.iter().map(Option::as_ref).collect::<Vec<_>>())
            });
            Arc::new(StructArray::new(fields.clone(), children.collect(), Some(nulls())))
        }
        DataType::List(item) => {
            let lists = values.iter().map(|v| v.map_or(&[][..], |v| v.as_array().expect("a list")));
            let flat: Vec<_> = lists.clone().flatten().map(Some).collect();
            Arc::new(ListArray::new(
                item.clone(),
                OffsetBuffer::from_lengths(lists.map(<[Value]>::len)),
                array_of(item.data_type(), &flat),
                Some(nulls()),
            ))
        }
        DataType::Map(entries, _) => {
            let maps = || values.iter().map(|v| v.map(|v| v.as_object().expect("an object")));
            let keys: Vec<_> = maps().flatten().flat_map(Map::keys).cloned().collect();
            let items: Vec<_> = maps().flatten().flat_map(Map::values).map(Some).collect();
            let DataType::Struct(fields) = entries.data_type() else { unreachable!() };
            let keys: Vec<Value> = keys.into_iter().map(Value::from).collect();
            let keys: Vec<_> = keys.iter().map(Some).collect();
            let children = vec![
                array_of(fields[0].data_type(), &keys),
                array_of(fields[1].data_type(), &items),
            ];
            Arc::new(MapArray::new(
                entries.clone(),
                OffsetBuffer::from_lengths(maps().map(|map| map.map_or(0, Map::len))),
                StructArray::new(fields.clone(), children, None),
                Some(nulls()),
                false,
            ))
        }
        other => {
            let texts = values.iter().map(|v| {
                v.map(|v| v.as_str().map_or_else(|| v.to_string(), |text| text.to_owned()))
            });
            let texts = StringArray::from_iter(texts);
            arrow::compute::cast(&texts, other).expect("a text that can be cast")
        }
    }
}

fn integer(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| parsed(value))
}

/// A number that the log has as text: a partition value, or one that is not finite.
fn parsed<T: FromStr<Err: Debug>>(value: &Value) -> T {
    value.as_str().expect("a text").parse().expect("a number")
}

/// The rows of `batches` as JSON objects: timestamps as their integers, dates
/// as days, decimals as their text, binary as hex.
pub fn rows_of(batches: &[RecordBatch]) -> Vec<Value> {
    values_of(batches, Maps::Objects)
}

/// The rows of a table's data in the form that the acceptance tables have them
/// in: as above, with a map as a list of pairs. As lines, because numbers that
/// were parsed alike are compared.
pub fn data_lines_of(batches: &[RecordBatch]) -> Vec<String> {
    let rows = values_of(batches, Maps::Pairs);
    rows.iter().map(|row| canonical(&row.to_string())).collect()
}

/// A line of JSON as this crate writes it. Two shortest forms of one number, such
/// as `1e-05` and `0.00001`, become the same.
pub fn canonical(line: &str) -> String {
    let value: Value = serde_json::from_str(line).expect("a line of JSON");
    value.to_string()
}

fn values_of(batches: &[RecordBatch], maps: Maps) -> Vec<Value> {
    let mut rows = Vec::new();
    for batch in batches {
        let whole = StructArray::from(batch.clone());
        rows.extend((0..batch.num_rows()).map(|row| value_at(&whole, row, maps)));
    }
    rows
}

/// Rows that have a `path`, sorted by all they say, `path` first.
pub fn sorted_by_path(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_cached_key(|row| {
        (row["path"].as_str().unwrap_or_default().to_owned(), row.to_string())
    });
    rows
}

#[derive(Clone, Copy)]
enum Maps {
    /// With strings for keys.
    Objects,
    /// Lists of pairs, in the order of the entries.
    Pairs,
}

fn value_at(array: &dyn Array, row: usize, maps: Maps) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => array.as_boolean().value(row).into(),
        DataType::Int8 => array.as_primitive::<Int8Type>().value(row).into(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).into(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).into(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).into(),
        DataType::Float32 => number(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => number(array.as_primitive::<Float64Type>().value(row)),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(row).into(),
        DataType::Interval(IntervalUnit::YearMonth) => {
            array.as_primitive::<IntervalYearMonthType>().value(row).into()
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            array.as_primitive::<DurationMicrosecondType>().value(row).into()
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().value(row).into()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().value(row).into()
        }
        DataType::Decimal128(..) => {
            array.as_primitive::<Decimal128Type>().value_as_string(row).into()
        }
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::Binary => {
            let bytes = array.as_binary::<i32>().value(row);
            bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
        }
        DataType::Struct(fields) => {
            let array = array.as_struct();
            let members = fields.iter().zip(array.columns());
            let value = |child| value_at(child, row, maps);
            members.map(|(field, child)| (field.name().clone(), value(child))).collect()
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            (0..elements.len()).map(|i| value_at(&elements, i, maps)).collect()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            let value = |i| value_at(values, i, maps);
            match maps {
                Maps::Objects => {
                    let keys = keys.as_string::<i32>();
                    (0..entries.len()).map(|i| (keys.value(i).to_owned(), value(i))).collect()
                }
                Maps::Pairs => {
                    let pair = |i| Value::from(vec![value_at(keys, i, maps), value(i)]);
                    (0..entries.len()).map(pair).collect()
                }
            }
        }
        other => panic!("no test expects a column of type {other}"),
    }
}

/// JSON has no number for what is not finite.
fn number(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => number.into(),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}
