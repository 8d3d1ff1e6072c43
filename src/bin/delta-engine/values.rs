//! Arrow values as JSON, and as text for a person.
//!
//! A column is looked at once a batch, not once a value: [`Values::of`]
//! resolves its type into a tree of typed readers, and a row is then written
//! straight from the arrays into a buffer.

use std::io::Write;

use arrow::array::{Array, AsArray, OffsetSizeTrait};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DecimalType, DurationMicrosecondType, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, IntervalUnit, IntervalYearMonthType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type,
    UInt64Type,
};

use crate::Failure;
use crate::text::{printable, push_date, push_micros, push_millis};

/// Appends the value of a row.
type Append<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;
/// The range of a row's elements in the child array.
type Range<'a> = Box<dyn Fn(usize) -> std::ops::Range<usize> + 'a>;

/// How the values are written that JSON has no type for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// To be read, and not to be lost in another time zone: dates and times as ISO
    /// 8601, a map whose keys are strings as an object, a float with the digits
    /// that a float needs.
    Text,
    /// To be compared: dates as days and times as microseconds since the Unix
    /// epoch, every map as a list of pairs, a float with the digits of the double
    /// of its value.
    Exact,
}

/// One array, ready to be written row by row.
pub(crate) struct Values<'a> {
    nulls: Option<&'a NullBuffer>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    /// Every row is null.
    Null,
    /// What JSON writes as it is: integers and booleans.
    Bare(Append<'a>),
    /// A floating-point number. JSON has none for what is not finite, which it
    /// puts in quotes, as Delta's statistics do.
    Float(Box<dyn Fn(usize) -> f64 + 'a>, Append<'a>),
    /// ASCII text that JSON puts in quotes: dates, decimals, hex.
    Quoted(Append<'a>),
    /// Strings, which JSON escapes as needed.
    Text(Box<dyn Fn(usize) -> &'a str + 'a>),
    /// Milliseconds since the Unix epoch: JSON has the log's own integer, a
    /// person a date.
    Millis(&'a [i64]),
    /// Each field with `"name":` before it.
    Struct(Vec<(Vec<u8>, Values<'a>)>),
    /// With keys that an object can have.
    Map(Range<'a>, Box<Values<'a>>, Box<Values<'a>>),
    /// Any other map.
    Pairs(Range<'a>, Box<Values<'a>>, Box<Values<'a>>),
    List(Range<'a>, Box<Values<'a>>),
    /// The value of each key.
    Dictionary(Vec<usize>, Box<Values<'a>>),
}

impl<'a> Values<'a> {
    /// The values of `array`.
    ///
    /// # Errors
    /// When there is no agreed way to write its type.
    pub(crate) fn of(array: &'a dyn Array, style: Style) -> Result<Self, Failure> {
        let kind = match array.data_type() {
            DataType::Null => Kind::Null,
            DataType::Boolean => {
                let values = array.as_boolean();
                Kind::Bare(Box::new(move |row, out| {
                    out.extend_from_slice(if values.value(row) { b"true" } else { b"false" });
                }))
            }
            DataType::Int8 => integers::<Int8Type>(array),
            DataType::Int16 => integers::<Int16Type>(array),
            DataType::Int32 => integers::<Int32Type>(array),
            DataType::Int64 => integers::<Int64Type>(array),
            DataType::UInt8 => integers::<UInt8Type>(array),
            DataType::UInt16 => integers::<UInt16Type>(array),
            DataType::UInt32 => integers::<UInt32Type>(array),
            DataType::UInt64 => integers::<UInt64Type>(array),
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                let number = move |row| f64::from(values.value(row));
                match style {
                    Style::Text => Kind::Float(
                        Box::new(number),
                        Box::new(move |row, out| push_number(out, &values.value(row))),
                    ),
                    Style::Exact => doubles(number),
                }
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                doubles(move |row| values.value(row))
            }
            DataType::Decimal32(..) => decimals::<Decimal32Type>(array),
            DataType::Decimal64(..) => decimals::<Decimal64Type>(array),
            DataType::Decimal128(..) => decimals::<Decimal128Type>(array),
            DataType::Decimal256(..) => decimals::<Decimal256Type>(array),
            DataType::Date32 if style == Style::Exact => integers::<Date32Type>(array),
            DataType::Timestamp(TimeUnit::Microsecond, _) if style == Style::Exact => {
                integers::<TimestampMicrosecondType>(array)
            }
            // Months and microseconds, which have no calendar to be written by.
            DataType::Interval(IntervalUnit::YearMonth) => integers::<IntervalYearMonthType>(array),
            DataType::Duration(TimeUnit::Microsecond) => integers::<DurationMicrosecondType>(array),
            DataType::Date32 => {
                let values = array.as_primitive::<Date32Type>();
                Kind::Quoted(Box::new(move |row, out| push_date(out, values.value(row).into())))
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                Kind::Millis(array.as_primitive::<TimestampMillisecondType>().values())
            }
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                let values = array.as_primitive::<TimestampMicrosecondType>();
                // Without a zone it is a `timestamp_ntz`: a wall clock's time.
                let suffix: &[u8] = if zone.is_some() { b"Z" } else { b"" };
                Kind::Quoted(Box::new(move |row, out| {
                    push_micros(out, values.value(row));
                    out.extend_from_slice(suffix);
                }))
            }
            DataType::Utf8 => {
                let values = array.as_string::<i32>();
                Kind::Text(Box::new(move |row| values.value(row)))
            }
            DataType::LargeUtf8 => {
                let values = array.as_string::<i64>();
                Kind::Text(Box::new(move |row| values.value(row)))
            }
            DataType::Utf8View => {
                let values = array.as_string_view();
                Kind::Text(Box::new(move |row| values.value(row)))
            }
            DataType::Binary => {
                let values = array.as_binary::<i32>();
                Kind::Quoted(Box::new(move |row, out| push_hex(out, values.value(row))))
            }
            DataType::LargeBinary => {
                let values = array.as_binary::<i64>();
                Kind::Quoted(Box::new(move |row, out| push_hex(out, values.value(row))))
            }
            DataType::BinaryView => {
                let values = array.as_binary_view();
                Kind::Quoted(Box::new(move |row, out| push_hex(out, values.value(row))))
            }
            DataType::FixedSizeBinary(_) => {
                let values = array.as_fixed_size_binary();
                Kind::Quoted(Box::new(move |row, out| push_hex(out, values.value(row))))
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns();
                Kind::Struct(
                    fields
                        .iter()
                        .zip(columns)
                        .map(|(field, column)| Ok((key(field.name()), Values::of(column, style)?)))
                        .collect::<Result<_, Failure>>()?,
                )
            }
            DataType::Map(..) => {
                let map = array.as_map();
                let keys = Box::new(Values::of(map.keys(), style)?);
                let values = Box::new(Values::of(map.values(), style)?);
                match style == Style::Text && keys.is_text() {
                    true => Kind::Map(range(map.value_offsets()), keys, values),
                    false => Kind::Pairs(range(map.value_offsets()), keys, values),
                }
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Kind::List(range(list.value_offsets()), Box::new(Values::of(list.values(), style)?))
            }
            DataType::LargeList(_) => {
                let list = array.as_list::<i64>();
                Kind::List(range(list.value_offsets()), Box::new(Values::of(list.values(), style)?))
            }
            DataType::Dictionary(..) => {
                let dictionary = array.as_any_dictionary();
                // An empty dictionary has no key to normalize, only nulls.
                let keys = match dictionary.values().is_empty() {
                    true => vec![0; array.len()],
                    false => dictionary.normalized_keys(),
                };
                Kind::Dictionary(keys, Box::new(Values::of(dictionary.values(), style)?))
            }
            other => return Err(Failure::said(format!("no text form for the type {other}"))),
        };
        Ok(Values { nulls: array.nulls(), kind })
    }

    /// Whether a column of it reads better aligned to the right.
    pub(crate) fn is_number(&self) -> bool {
        matches!(self.kind, Kind::Bare(_) | Kind::Float(..))
    }

    /// Appends the value of `row` as JSON.
    pub(crate) fn push_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.kind {
            Kind::Null => {}
            Kind::Bare(append) => append(row, out),
            Kind::Float(number, append) if number(row).is_finite() => append(row, out),
            Kind::Float(number, _) => {
                out.push(b'"');
                push_not_finite(number(row), out);
                out.push(b'"');
            }
            Kind::Quoted(append) => {
                out.push(b'"');
                append(row, out);
                out.push(b'"');
            }
            Kind::Text(text) => push_string(out, text(row)),
            Kind::Millis(values) => push_number(out, &values[row]),
            Kind::Struct(fields) => {
                out.push(b'{');
                for (i, (key, values)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    values.push_json(row, out);
                }
                out.push(b'}');
            }
            Kind::Map(range, keys, values) => {
                out.push(b'{');
                for (i, entry) in range(row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    keys.push_json(entry, out);
                    out.push(b':');
                    values.push_json(entry, out);
                }
                out.push(b'}');
            }
            Kind::Pairs(range, keys, values) => {
                out.push(b'[');
                for (i, entry) in range(row).enumerate() {
                    out.extend_from_slice(if i > 0 { b",[" } else { b"[" });
                    keys.push_json(entry, out);
                    out.push(b',');
                    values.push_json(entry, out);
                    out.push(b']');
                }
                out.push(b']');
            }
            Kind::List(range, values) => {
                out.push(b'[');
                for (i, element) in range(row).enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    values.push_json(element, out);
                }
                out.push(b']');
            }
            Kind::Dictionary(keys, values) => values.push_json(keys[row], out),
        }
    }

    /// The value of `row` for a person: as [`push_text`](Self::push_text), and
    /// nothing that a terminal would obey.
    pub(crate) fn to_text(&self, row: usize) -> String {
        let mut out = Vec::new();
        self.push_text(row, &mut out);
        printable(&String::from_utf8_lossy(&out)).into_owned()
    }

    /// Appends the value of `row` without quotes around it; what is nested is JSON.
    pub(crate) fn push_text(&self, row: usize, out: &mut Vec<u8>) {
        match &self.kind {
            _ if self.is_null(row) => out.extend_from_slice(b"null"),
            Kind::Text(text) => out.extend_from_slice(text(row).as_bytes()),
            Kind::Quoted(append) => append(row, out),
            Kind::Float(number, _) if !number(row).is_finite() => {
                push_not_finite(number(row), out);
            }
            Kind::Millis(values) => {
                push_millis(out, values[row]);
                out.push(b'Z');
            }
            Kind::Dictionary(keys, values) => values.push_text(keys[row], out),
            _ => self.push_json(row, out),
        }
    }

    /// Whether `row` is null, by itself or as every value of its type is.
    pub(crate) fn is_null(&self, row: usize) -> bool {
        match &self.kind {
            Kind::Null => true,
            _ if self.nulls.is_some_and(|nulls| nulls.is_null(row)) => true,
            Kind::Dictionary(keys, values) => values.is_null(keys[row]),
            _ => false,
        }
    }

    fn is_text(&self) -> bool {
        match &self.kind {
            Kind::Text(_) => true,
            Kind::Dictionary(_, values) => values.is_text(),
            _ => false,
        }
    }
}

fn integers<'a, T>(array: &'a dyn Array) -> Kind<'a>
where
    T: ArrowPrimitiveType<Native: serde::Serialize>,
{
    let values = array.as_primitive::<T>();
    Kind::Bare(Box::new(move |row, out| push_number(out, &values.value(row))))
}

fn doubles<'a>(number: impl Fn(usize) -> f64 + Copy + 'a) -> Kind<'a> {
    let append = move |row, out: &mut Vec<u8>| push_number(out, &number(row));
    Kind::Float(Box::new(number), Box::new(append))
}

fn decimals<'a, T: DecimalType>(array: &'a dyn Array) -> Kind<'a> {
    let values = array.as_primitive::<T>();
    Kind::Quoted(Box::new(move |row, out| {
        out.extend_from_slice(values.value_as_string(row).as_bytes());
    }))
}

fn range<O: OffsetSizeTrait>(offsets: &[O]) -> Range<'_> {
    Box::new(move |row| offsets[row].as_usize()..offsets[row + 1].as_usize())
}

fn key(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 3);
    push_string(&mut out, name);
    out.push(b':');
    out
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    let _ = serde_json::to_writer(out, text);
}

fn push_number(out: &mut Vec<u8>, number: &impl serde::Serialize) {
    let _ = serde_json::to_writer(out, number);
}

fn push_not_finite(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(match value {
        f64::INFINITY => b"Infinity".as_slice(),
        f64::NEG_INFINITY => b"-Infinity",
        _ => b"NaN",
    });
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray,
        DurationMicrosecondArray, Float32Array, Float64Array, Int64Array, Int64Builder,
        IntervalYearMonthArray, ListArray, MapBuilder, StringArray, StringBuilder, StringViewArray,
        StructArray, TimestampMicrosecondArray, TimestampMillisecondArray, new_null_array,
    };
    use arrow::datatypes::{Field, Int8Type};

    use super::*;

    fn json(array: impl Array) -> Vec<String> {
        json_as(Style::Text, array)
    }

    fn json_as(style: Style, array: impl Array) -> Vec<String> {
        let values = Values::of(&array, style).unwrap_or_else(|_| panic!("{}", array.data_type()));
        let line = |row| {
            let mut out = Vec::new();
            values.push_json(row, &mut out);
            String::from_utf8(out).unwrap()
        };
        (0..array.len()).map(line).collect()
    }

    fn text(array: impl Array) -> Vec<String> {
        let values =
            Values::of(&array, Style::Text).unwrap_or_else(|_| panic!("{}", array.data_type()));
        (0..array.len()).map(|row| values.to_text(row)).collect()
    }

    #[test]
    fn numbers_are_json_numbers_and_what_is_not_finite_is_a_string() {
        assert_eq!(
            json(Int64Array::from(vec![Some(i64::MIN), None])),
            ["-9223372036854775808", "null"]
        );
        assert_eq!(
            json(Float64Array::from(vec![0.1, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
            ["0.1", "-0.0", "\"NaN\"", "\"Infinity\"", "\"-Infinity\""],
        );
        // A float is not widened: 0.1 stays 0.1.
        assert_eq!(json(Float32Array::from(vec![0.1, f32::NAN])), ["0.1", "\"NaN\""]);
    }

    #[test]
    fn decimals_keep_their_scale() {
        let array = Decimal128Array::from(vec![150, -5, 0]).with_precision_and_scale(5, 2).unwrap();
        assert_eq!(json(array), ["\"1.50\"", "\"-0.05\"", "\"0.00\""]);
    }

    #[test]
    fn dates_and_times_are_iso_8601() {
        assert_eq!(json(Date32Array::from(vec![19_782])), ["\"2024-02-29\""]);
        let micros = TimestampMicrosecondArray::from(vec![-1]);
        assert_eq!(json(micros.clone()), ["\"1969-12-31T23:59:59.999999\""]);
        assert_eq!(json(micros.with_timezone("UTC")), ["\"1969-12-31T23:59:59.999999Z\""]);
    }

    #[test]
    fn milliseconds_are_an_integer_in_json_and_a_date_for_a_person() {
        let millis = TimestampMillisecondArray::from(vec![Some(1_717_200_000_123), None]);
        assert_eq!(json(millis.clone()), ["1717200000123", "null"]);
        assert_eq!(text(millis), ["2024-06-01T00:00:00.123Z", "null"]);
    }

    #[test]
    fn binary_is_lower_case_hex() {
        assert_eq!(json(BinaryArray::from_vec(vec![b"\x00\xab\xff", b""])), ["\"00abff\"", "\"\""]);
    }

    #[test]
    fn strings_of_every_layout_are_escaped_no_more_than_json_needs() {
        let strings = ["ü\"\\\n", "\u{7f}\u{2028}/"];
        let expected = ["\"ü\\\"\\\\\\n\"", "\"\u{7f}\u{2028}/\""];
        assert_eq!(json(StringArray::from(strings.to_vec())), expected);
        assert_eq!(json(StringViewArray::from(strings.to_vec())), expected);
        let dictionary: DictionaryArray<Int8Type> = strings.into_iter().collect();
        assert_eq!(json(dictionary), expected);
    }

    #[test]
    fn an_empty_dictionary_has_only_nulls() {
        let dictionary: DictionaryArray<Int8Type> = [None::<&str>, None].into_iter().collect();
        assert_eq!(json(dictionary.clone()), ["null", "null"]);
        assert_eq!(text(dictionary), ["null", "null"]);
    }

    #[test]
    fn maps_structs_and_lists_nest() {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        builder.keys().append_value("a\"");
        builder.values().append_value("1");
        builder.keys().append_value("b");
        builder.values().append_null();
        builder.append(true).unwrap();
        builder.append(false).unwrap();
        builder.append(true).unwrap();
        let maps: ArrayRef = Arc::new(builder.finish());
        assert_eq!(json(maps.clone()), [r#"{"a\"":"1","b":null}"#, "null", "{}"]);
        assert_eq!(json(maps.slice(1, 2)), ["null", "{}"]);

        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        let fields = vec![
            Field::new("m", maps.data_type().clone(), true),
            Field::new("l", lists.data_type().clone(), true),
        ];
        let rows = StructArray::new(fields.into(), vec![maps, Arc::new(lists)], None);
        let expected = [
            r#"{"m":{"a\"":"1","b":null},"l":[1,null]}"#,
            r#"{"m":null,"l":null}"#,
            r#"{"m":{},"l":[]}"#,
        ];
        assert_eq!(json(rows.clone()), expected);
        assert_eq!(json(rows.slice(2, 1)), expected[2..]);
        assert_eq!(json(new_null_array(rows.data_type(), 1)), ["null"]);
    }

    #[test]
    fn exact_values_are_the_numbers_that_arrow_has() {
        let exact = |array: ArrayRef| json_as(Style::Exact, array);
        assert_eq!(exact(Arc::new(Date32Array::from(vec![Some(-1), None]))), ["-1", "null"]);
        let micros = TimestampMicrosecondArray::from(vec![-1]);
        assert_eq!(exact(Arc::new(micros.clone())), ["-1"]);
        assert_eq!(exact(Arc::new(micros.with_timezone("UTC"))), ["-1"]);
        let floats = Float32Array::from(vec![0.1, f32::NAN, f32::NEG_INFINITY]);
        let expected = ["0.10000000149011612", "\"NaN\"", "\"-Infinity\""];
        assert_eq!(exact(Arc::new(floats)), expected);
        assert_eq!(exact(Arc::new(IntervalYearMonthArray::from(vec![14]))), ["14"]);
        assert_eq!(exact(Arc::new(DurationMicrosecondArray::from(vec![-1]))), ["-1"]);
    }

    #[test]
    fn a_map_is_an_object_where_its_keys_are_text_and_pairs_where_that_is_exact() {
        let mut builder = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        builder.keys().append_value("b");
        builder.values().append_value(1);
        builder.keys().append_value("a");
        builder.values().append_null();
        builder.append(true).unwrap();
        builder.append(true).unwrap();
        let map = builder.finish();
        assert_eq!(json(map.clone()), [r#"{"b":1,"a":null}"#, "{}"]);
        assert_eq!(json_as(Style::Exact, map), [r#"[["b",1],["a",null]]"#, "[]"]);

        let mut builder = MapBuilder::new(None, Int64Builder::new(), Int64Builder::new());
        builder.keys().append_value(1);
        builder.values().append_value(2);
        builder.append(true).unwrap();
        assert_eq!(json(builder.finish()), ["[[1,2]]"]);
    }

    #[test]
    fn text_for_a_person_has_no_quotes_and_steers_nothing() {
        assert_eq!(text(StringArray::from(vec!["a\x1b[2J", "\"q\""])), ["a\\u{1b}[2J", "\"q\""]);
        assert_eq!(text(Date32Array::from(vec![0])), ["1970-01-01"]);
        assert_eq!(text(Float64Array::from(vec![1.5, f64::NAN])), ["1.5", "NaN"]);
    }
}
