//! Partition values: the strings of the log as typed Arrow arrays.
//!
//! The formats are the protocol's "Partition Value Serialization". A string is
//! read as the column's type of today, so a value written before the column was
//! widened parses as well: "1" as a decimal, a date as a timestamp. Whatever
//! does not fit its type is an error; nothing becomes null by failing to parse.
//!
//! A table has few distinct values and many files, so a column remembers what
//! the costly types parsed to.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Float32Builder,
    Float64Builder, Int8Builder, Int16Builder, Int32Builder, Int64Builder, NullArray,
    StringBuilder, TimestampMicrosecondBuilder,
};

use crate::error::{Error, Result, escaped};
use crate::schema::{DataType, arrow_type};

/// Distinct values remembered; then the memo starts afresh.
const MEMO_VALUES_MAX: usize = 64 * 1024;
/// Longer strings are parsed each time, which bounds the memo's bytes. The
/// longest sensible value, a decimal, has 40.
const MEMO_VALUE_BYTES_MAX: usize = 64;
/// Arrow's 32-bit offsets address this much text in one array.
const TEXT_BYTES_MAX: usize = i32::MAX as usize;

/// Builds the array of one partition column, value by value.
pub(crate) struct PartitionColumn {
    name: String,
    data_type: DataType,
    builder: Builder,
    memo: Memo,
}

enum Builder {
    String(StringBuilder),
    Binary(BinaryBuilder),
    Boolean(BooleanBuilder),
    Byte(Int8Builder),
    Short(Int16Builder),
    Integer(Int32Builder),
    Long(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Decimal(Decimal128Builder, u8, u8),
    Date(Date32Builder),
    Timestamp(TimestampMicrosecondBuilder),
    TimestampNtz(TimestampMicrosecondBuilder),
    Void(usize),
}

impl PartitionColumn {
    /// A column without values yet. `name` is its logical name.
    ///
    /// Fails where no column of this type can partition a table.
    pub(crate) fn new(name: impl Into<String>, data_type: &DataType) -> Result<PartitionColumn> {
        let name = name.into();
        let builder = match data_type {
            DataType::String => Builder::String(StringBuilder::new()),
            DataType::Binary => Builder::Binary(BinaryBuilder::new()),
            DataType::Boolean => Builder::Boolean(BooleanBuilder::new()),
            DataType::Byte => Builder::Byte(Int8Builder::new()),
            DataType::Short => Builder::Short(Int16Builder::new()),
            DataType::Integer => Builder::Integer(Int32Builder::new()),
            DataType::Long => Builder::Long(Int64Builder::new()),
            DataType::Float => Builder::Float(Float32Builder::new()),
            DataType::Double => Builder::Double(Float64Builder::new()),
            DataType::Decimal { precision, scale } => {
                let builder = i8::try_from(*scale)
                    .ok()
                    .and_then(|s| {
                        Decimal128Builder::new().with_precision_and_scale(*precision, s).ok()
                    })
                    .ok_or_else(|| {
                        Error::invalid(format!(
                            "partition column {}: {data_type} is out of range",
                            escaped(&name)
                        ))
                    })?;
                Builder::Decimal(builder, *precision, *scale)
            }
            DataType::Date => Builder::Date(Date32Builder::new()),
            DataType::Timestamp => Builder::Timestamp(
                TimestampMicrosecondBuilder::new().with_data_type(arrow_type(data_type)),
            ),
            DataType::TimestampNtz => Builder::TimestampNtz(TimestampMicrosecondBuilder::new()),
            DataType::Void => Builder::Void(0),
            // The protocol has no partition format for intervals.
            DataType::IntervalYearMonth | DataType::IntervalDayTime => {
                return Err(Error::unsupported(format!(
                    "partition column {}: partitioning by {data_type} is not supported",
                    escaped(&name)
                )));
            }
            DataType::Struct(_) | DataType::Array(_) | DataType::Map(_) | DataType::Variant => {
                return Err(Error::corrupt(format!(
                    "partition column {}: a column of type {data_type} cannot partition a table",
                    escaped(&name)
                )));
            }
        };
        Ok(PartitionColumn { name, data_type: data_type.clone(), builder, memo: Memo::default() })
    }

    /// Appends the value of one file. `None` is a null, and so is the empty
    /// string: "An empty string for any type translates to a `null` partition
    /// value", strings included.
    ///
    /// Fails with `CorruptLog` where the value is not of the column's type, and
    /// then appends nothing. The caller knows the file and adds its name.
    pub(crate) fn append(&mut self, value: Option<&str>) -> Result<()> {
        let value = value.filter(|v| !v.is_empty());
        let memo = &mut self.memo;
        let parsed = match &mut self.builder {
            Builder::String(builder) => {
                let held = builder.values_slice().len();
                return text(value, held, &self.name).map(|v| builder.append_option(v));
            }
            Builder::Binary(builder) => {
                // "A string of escaped binary values, e.g. "\u0001\u0002\u0003""
                // shows JSON's escapes, which are gone by now. Spark writes the
                // bytes as UTF-8 text and reads that text's UTF-8 bytes, and so
                // do both kernels. (Bytes that are not UTF-8 were lost when they
                // were written; nothing here could bring them back.)
                let held = builder.values_slice().len();
                return text(value, held, &self.name).map(|v| builder.append_option(v));
            }
            Builder::Boolean(b) => {
                optional(value, parse_boolean).map(|v| b.append_option(v)).is_some()
            }
            // `FromStr` takes what Java's `parseInt` does: a sign, then digits.
            Builder::Byte(b) => optional(value, parse).map(|v| b.append_option(v)).is_some(),
            Builder::Short(b) => optional(value, parse).map(|v| b.append_option(v)).is_some(),
            Builder::Integer(b) => optional(value, parse).map(|v| b.append_option(v)).is_some(),
            Builder::Long(b) => optional(value, parse).map(|v| b.append_option(v)).is_some(),
            // And for floating point: NaN, Infinity and 1.0E10 among others.
            Builder::Float(b) => optional(value, |text| {
                memo.get(text, |text| parse::<f32>(text).map(Parsed::Float)).and_then(Parsed::float)
            })
            .map(|v| b.append_option(v))
            .is_some(),
            Builder::Double(b) => optional(value, |text| {
                memo.get(text, |text| parse(text).map(Parsed::Double)).and_then(Parsed::double)
            })
            .map(|v| b.append_option(v))
            .is_some(),
            Builder::Decimal(b, precision, scale) => optional(value, |text| {
                memo.get(text, |text| parse_decimal(text, *precision, *scale).map(Parsed::Decimal))
                    .and_then(Parsed::decimal)
            })
            .map(|v| b.append_option(v))
            .is_some(),
            Builder::Date(b) => optional(value, |text| {
                memo.get(text, |text| parse_date(text).map(|days| Parsed::Int(days.into())))
                    .and_then(Parsed::int)
                    .and_then(|days| i32::try_from(days).ok())
            })
            .map(|v| b.append_option(v))
            .is_some(),
            Builder::Timestamp(b) => optional(value, |text| {
                memo.get(text, |text| parse_timestamp(text).map(Parsed::Int)).and_then(Parsed::int)
            })
            .map(|v| b.append_option(v))
            .is_some(),
            Builder::TimestampNtz(b) => optional(value, |text| {
                memo.get(text, |text| parse_timestamp_ntz(text).map(Parsed::Int))
                    .and_then(Parsed::int)
            })
            .map(|v| b.append_option(v))
            .is_some(),
            Builder::Void(nulls) => {
                *nulls += usize::from(value.is_none());
                value.is_none()
            }
        };
        if parsed {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "partition column {}: '{}' is not a value of type {}",
            escaped(&self.name),
            escaped(value.unwrap_or_default()),
            self.data_type
        )))
    }

    /// The array of all values since the last call. Its type is
    /// [`arrow_type`]'s for the column.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::String(b) => Arc::new(b.finish()),
            Builder::Binary(b) => Arc::new(b.finish()),
            Builder::Boolean(b) => Arc::new(b.finish()),
            Builder::Byte(b) => Arc::new(b.finish()),
            Builder::Short(b) => Arc::new(b.finish()),
            Builder::Integer(b) => Arc::new(b.finish()),
            Builder::Long(b) => Arc::new(b.finish()),
            Builder::Float(b) => Arc::new(b.finish()),
            Builder::Double(b) => Arc::new(b.finish()),
            Builder::Decimal(b, ..) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Timestamp(b) | Builder::TimestampNtz(b) => Arc::new(b.finish()),
            Builder::Void(nulls) => Arc::new(NullArray::new(std::mem::take(nulls))),
        }
    }
}

/// The outer `None` says that the value could not be parsed.
fn optional<T>(value: Option<&str>, parse: impl FnOnce(&str) -> Option<T>) -> Option<Option<T>> {
    value.map_or(Some(None), |text| parse(text).map(Some))
}

/// `value`, if an array that holds `held` bytes has room for it: Arrow's
/// builders panic where an offset overflows.
fn text<'a>(value: Option<&'a str>, held: usize, name: &str) -> Result<Option<&'a str>> {
    let bytes = value.map_or(0, str::len);
    if bytes > TEXT_BYTES_MAX - held.min(TEXT_BYTES_MAX) {
        return Err(Error::limit(format!(
            "partition column {}: more than {TEXT_BYTES_MAX} bytes of values in one batch",
            escaped(name)
        )));
    }
    Ok(value)
}

#[derive(Clone, Copy)]
enum Parsed {
    Int(i64),
    Float(f32),
    Double(f64),
    Decimal(i128),
}

impl Parsed {
    fn int(self) -> Option<i64> {
        if let Parsed::Int(v) = self { Some(v) } else { None }
    }
    fn float(self) -> Option<f32> {
        if let Parsed::Float(v) = self { Some(v) } else { None }
    }
    fn double(self) -> Option<f64> {
        if let Parsed::Double(v) = self { Some(v) } else { None }
    }
    fn decimal(self) -> Option<i128> {
        if let Parsed::Decimal(v) = self { Some(v) } else { None }
    }
}

/// What strings parsed to. Files of one partition mostly stand together, so the
/// last value is looked at first, without hashing.
#[derive(Default)]
struct Memo {
    last: Option<(String, Parsed)>,
    known: HashMap<String, Parsed>,
}

impl Memo {
    fn get(&mut self, text: &str, parse: impl FnOnce(&str) -> Option<Parsed>) -> Option<Parsed> {
        if let Some((last, parsed)) = &self.last
            && last == text
        {
            return Some(*parsed);
        }
        if text.len() > MEMO_VALUE_BYTES_MAX {
            return parse(text);
        }
        let parsed = match self.known.get(text) {
            Some(parsed) => *parsed,
            None => {
                let parsed = parse(text)?;
                if self.known.len() >= MEMO_VALUES_MAX {
                    self.known.clear();
                }
                self.known.insert(text.to_owned(), parsed);
                parsed
            }
        };
        match &mut self.last {
            Some((last, value)) => {
                last.clear();
                last.push_str(text);
                *value = parsed;
            }
            None => self.last = Some((text.to_owned(), parsed)),
        }
        Some(parsed)
    }
}

fn parse<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn parse_boolean(text: &str) -> Option<bool> {
    // The protocol writes lower case; Java's parser takes any.
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// The unscaled value of a decimal with `scale` digits after the point.
///
/// Takes what Java's `BigDecimal` prints and reads, exponents among it: Java
/// prints a zero of scale 18 as "0E-18". A value that would need rounding is
/// not of its type.
pub(crate) fn parse_decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let (negative, text) = split_sign(text);
    let (digits, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], parse::<i32>(&text[at + 1..])?),
        None => (text, 0),
    };
    // Zeros are held back until a digit follows, so that neither leading nor
    // trailing ones count against 38 digits.
    let (mut unscaled, mut zeros, mut after_point, mut seen) = (0_i128, 0_u32, 0_i64, false);
    let mut point = false;
    for byte in digits.bytes() {
        match byte {
            b'.' if !point => {
                point = true;
                continue;
            }
            b'0' => zeros = zeros.checked_add(1)?,
            b'1'..=b'9' => {
                if unscaled != 0 {
                    unscaled = unscaled.checked_mul(ten_to(i64::from(zeros) + 1)?)?;
                }
                unscaled = unscaled.checked_add((byte - b'0').into())?;
                zeros = 0;
            }
            _ => return None,
        }
        seen = true;
        after_point += i64::from(point);
    }
    if !seen {
        return None;
    }
    if unscaled == 0 {
        return Some(0);
    }
    let power = i64::from(zeros) + i64::from(exponent) - after_point + i64::from(scale);
    let unscaled = unscaled.checked_mul(ten_to(power)?)?;
    if unscaled >= ten_to(precision.into())? {
        return None;
    }
    Some(if negative { -unscaled } else { unscaled })
}

fn ten_to(power: i64) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(power).ok()?)
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// Days since 1970-01-01 of `{year}-{month}-{day}`. Java puts a sign before
/// years that do not have four digits.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date()?;
    cursor.at_end().then_some(days)
}

/// Microseconds since the epoch, UTC.
///
/// The protocol reads a value without a zone in the zone of the system that
/// wrote it, which nothing in the log tells. It is taken as UTC, as the other
/// readers that are not Spark do, and as Spark does in a session set to UTC.
pub(crate) fn parse_timestamp(text: &str) -> Option<i64> {
    let (wall_clock, offset_seconds) = parse_wall_clock(text)?;
    i64::try_from(wall_clock - i128::from(offset_seconds) * 1_000_000).ok()
}

/// Microseconds of a wall clock. A zone does not move a wall clock: Spark reads
/// one and ignores it.
pub(crate) fn parse_timestamp_ntz(text: &str) -> Option<i64> {
    let (wall_clock, _) = parse_wall_clock(text)?;
    i64::try_from(wall_clock).ok()
}

/// Microseconds as written, and the seconds that its zone is ahead of UTC.
///
/// The sums are 128 bits wide: midnight of the first day that 64 bits reach into
/// lies outside of them.
fn parse_wall_clock(text: &str) -> Option<(i128, i64)> {
    let mut cursor = Cursor(text.as_bytes());
    let days = cursor.date()?;
    let (mut micros_of_day, mut offset_seconds) = (0, 0);
    // A date alone is a timestamp from before the column was widened.
    if !cursor.at_end() {
        if !cursor.skip(b' ') && !cursor.skip(b'T') {
            return None;
        }
        micros_of_day = cursor.time_of_day()?;
        offset_seconds = cursor.zone()?;
        if !cursor.at_end() {
            return None;
        }
    }
    Some((i128::from(days) * 86_400_000_000 + i128::from(micros_of_day), offset_seconds))
}

struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn at_end(&self) -> bool {
        self.0.is_empty()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    /// A number of one to `digits_max` digits, and how many it had.
    fn number(&mut self, digits_max: usize) -> Option<(i64, usize)> {
        let digits = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || digits > digits_max {
            return None;
        }
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        let value = number.iter().fold(0_i64, |value, b| value * 10 + i64::from(b - b'0'));
        Some((value, digits))
    }

    /// A number of one or two digits, at most `max`.
    fn part(&mut self, max: i64) -> Option<i64> {
        self.number(2).map(|(value, _)| value).filter(|value| *value <= max)
    }

    /// Days since 1970-01-01 in the proleptic Gregorian calendar.
    fn date(&mut self) -> Option<i32> {
        let negative = self.skip(b'-');
        if !negative {
            self.skip(b'+');
        }
        // Seven digits reach past what 32 bits of days can count.
        let (year, _) = self.number(7)?;
        let year = if negative { -year } else { year };
        if !self.skip(b'-') {
            return None;
        }
        let month = self.part(12)?;
        if !self.skip(b'-') {
            return None;
        }
        let day = self.part(31)?;
        if month == 0 || day == 0 || day > days_of_month(year, month) {
            return None;
        }
        i32::try_from(days_from_civil(year, month, day)).ok()
    }

    /// Microseconds since midnight of `{hour}:{minute}:{second}[.{fraction}]`.
    fn time_of_day(&mut self) -> Option<i64> {
        let hour = self.part(23)?;
        if !self.skip(b':') {
            return None;
        }
        let minute = self.part(59)?;
        // Java leaves out seconds that are zero.
        let second = if self.skip(b':') { self.part(59)? } else { 0 };
        let mut micros = 0;
        if self.skip(b'.') {
            // Nanoseconds are cut, as Spark cuts them.
            let (fraction, digits) = self.number(9)?;
            let nanos = (digits..9).fold(fraction, |fraction, _| fraction * 10);
            micros = nanos / 1_000;
        }
        Some(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
    }

    /// Seconds ahead of UTC: nothing, `Z`, `UTC`, or `+01:00` and its shorter
    /// forms.
    fn zone(&mut self) -> Option<i64> {
        self.skip(b' ');
        if matches!(self.0, b"" | b"Z" | b"z" | b"UTC") {
            self.0 = &[];
            return Some(0);
        }
        let negative = self.skip(b'-');
        if !negative && !self.skip(b'+') {
            return None;
        }
        let (hours, minutes) = match self.number(4)? {
            (compact, 4) => (compact / 100, compact % 100),
            (hours, 1 | 2) if self.skip(b':') => (hours, self.part(59)?),
            (hours, 1 | 2) => (hours, 0),
            _ => return None,
        };
        let seconds = (hours * 60 + minutes) * 60;
        // Java's offsets end at 18 hours.
        if minutes > 59 || seconds > 18 * 3600 {
            return None;
        }
        Some(if negative { -seconds } else { seconds })
    }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. The year is taken to begin in March, so that the leap
/// day ends it, and years are counted in eras of 400, which all have 146,097
/// days.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    // 719,468 days lie between 0000-03-01 and the epoch.
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance_tables;
    use crate::error::ErrorKind;
    use crate::schema::{ColumnMappingMode, StructType};
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{
        DataType as ArrowType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type,
        Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    };
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;

    fn column(data_type: &DataType, values: &[Option<&str>]) -> Result<ArrayRef> {
        let mut column = PartitionColumn::new("p", data_type)?;
        for value in values {
            column.append(*value)?;
        }
        let array = column.finish();
        assert_eq!(array.data_type(), &arrow_type(data_type));
        assert_eq!(array.len(), values.len());
        Ok(array)
    }

    fn one(data_type: DataType, value: &str) -> Option<ArrayRef> {
        match column(&data_type, &[Some(value)]) {
            Ok(array) => Some(array),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::CorruptLog);
                let message = error.message();
                assert!(message.contains("column p"), "{message}");
                assert!(message.contains(&format!("'{value}'")), "{message}");
                assert!(message.contains(&data_type.to_string()), "{message}");
                None
            }
        }
    }

    fn decimal(precision: u8, scale: u8, value: &str) -> Option<i128> {
        let array = one(DataType::Decimal { precision, scale }, value)?;
        Some(array.as_primitive::<Decimal128Type>().value(0))
    }

    fn double(value: &str) -> Option<f64> {
        Some(one(DataType::Double, value)?.as_primitive::<Float64Type>().value(0))
    }

    fn date(value: &str) -> Option<i32> {
        Some(one(DataType::Date, value)?.as_primitive::<Date32Type>().value(0))
    }

    fn timestamp(value: &str) -> Option<i64> {
        let array = one(DataType::Timestamp, value)?;
        Some(array.as_primitive::<TimestampMicrosecondType>().value(0))
    }

    fn timestamp_ntz(value: &str) -> Option<i64> {
        let array = one(DataType::TimestampNtz, value)?;
        Some(array.as_primitive::<TimestampMicrosecondType>().value(0))
    }

    const ALL: [DataType; 14] = [
        DataType::String,
        DataType::Long,
        DataType::Integer,
        DataType::Short,
        DataType::Byte,
        DataType::Float,
        DataType::Double,
        DataType::Decimal { precision: 10, scale: 2 },
        DataType::Boolean,
        DataType::Binary,
        DataType::Date,
        DataType::Timestamp,
        DataType::TimestampNtz,
        DataType::Void,
    ];

    #[test]
    fn an_empty_string_is_null_in_every_type() {
        for data_type in ALL {
            let array = column(&data_type, &[Some(""), None]).unwrap();
            assert_eq!(array.logical_null_count(), 2, "{data_type}");
        }
    }

    #[test]
    fn a_blank_is_not_empty() {
        assert!(one(DataType::String, " ").is_some());
        assert!(one(DataType::Integer, " ").is_none());
        assert!(one(DataType::Void, " ").is_none());
    }

    #[test]
    fn a_finished_column_begins_anew() {
        for data_type in ALL {
            let mut column = PartitionColumn::new("p", &data_type).unwrap();
            column.append(None).unwrap();
            assert_eq!(column.finish().len(), 1);
            assert_eq!(column.finish().len(), 0);
            column.append(None).unwrap();
            assert_eq!(column.finish().len(), 1);
        }
    }

    #[test]
    fn a_value_that_does_not_parse_appends_nothing() {
        let mut column = PartitionColumn::new("p", &DataType::Date).unwrap();
        column.append(Some("2020-01-01")).unwrap();
        column.append(Some("tomorrow")).unwrap_err();
        column.append(Some("2020-01-02")).unwrap();
        assert_eq!(column.finish().as_primitive::<Date32Type>().values(), &[18_262, 18_263]);
    }

    #[test]
    fn nested_types_cannot_partition_a_table() {
        let schema = StructType { fields: Vec::new() };
        for data_type in [DataType::Struct(schema), DataType::Variant] {
            let error = PartitionColumn::new("the_column", &data_type).err().unwrap();
            assert_eq!(error.kind(), ErrorKind::CorruptLog);
            assert!(error.message().contains("the_column"), "{error}");
        }
        let error = PartitionColumn::new("p", &DataType::IntervalDayTime).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_message_carries_no_control_characters() {
        let mut column = PartitionColumn::new("a\nb", &DataType::Long).unwrap();
        let error = column.append(Some("\u{1b}[31m")).unwrap_err();
        assert!(!error.message().contains(['\n', '\u{1b}']), "{error}");
    }

    #[test]
    fn strings_are_taken_as_they_are() {
        let array = column(&DataType::String, &[Some("null"), Some("a%20b"), Some("ä/ö")]);
        let array = array.unwrap();
        let values: Vec<_> = array.as_string::<i32>().iter().map(Option::unwrap).collect();
        assert_eq!(values, ["null", "a%20b", "ä/ö"]);
    }

    #[test]
    fn binary_is_the_strings_utf_8() {
        let bytes =
            |value| one(DataType::Binary, value).unwrap().as_binary::<i32>().value(0).to_vec();
        assert_eq!(bytes("\u{1}\u{2}\u{3}"), [1, 2, 3]);
        assert_eq!(bytes("é"), [0xc3, 0xa9]);
        // No second round of unescaping.
        assert_eq!(bytes("\\u0001"), b"\\u0001");
    }

    #[test]
    fn integers_end_where_their_type_does() {
        let long = |v| Some(one(DataType::Long, v)?.as_primitive::<Int64Type>().value(0));
        let integer = |v| Some(one(DataType::Integer, v)?.as_primitive::<Int32Type>().value(0));
        let short = |v| Some(one(DataType::Short, v)?.as_primitive::<Int16Type>().value(0));
        let byte = |v| Some(one(DataType::Byte, v)?.as_primitive::<Int8Type>().value(0));
        assert_eq!(long("-9223372036854775808"), Some(i64::MIN));
        assert_eq!(long("9223372036854775808"), None);
        assert_eq!(integer("+7"), Some(7));
        assert_eq!(integer("2147483648"), None);
        assert_eq!(short("-32768"), Some(i16::MIN));
        assert_eq!(short("32768"), None);
        assert_eq!(byte("-0"), Some(0));
        assert_eq!(byte("128"), None);
        for wrong in ["1.0", "1e3", "0x1", "+", "--1", " 1", "1 ", "1L", "one"] {
            assert_eq!(long(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn floating_point_takes_javas_spellings() {
        assert_eq!(double("1.0E10"), Some(1e10));
        assert_eq!(double("9.323372040456E9"), Some(9_323_372_040.456));
        assert_eq!(double("-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(double("Infinity"), Some(f64::INFINITY));
        assert!(double("NaN").unwrap().is_nan());
        // Written while the column was an integer.
        assert_eq!(double("1"), Some(1.0));
        assert_eq!(double("4.9E-324"), Some(f64::from_bits(1)));
        for wrong in ["1,5", "", "1.0E", "Inf inity", "0x1p3"] {
            assert!(wrong.is_empty() || double(wrong).is_none(), "{wrong}");
        }
        let float = one(DataType::Float, "3.1415927").unwrap();
        assert_eq!(float.as_primitive::<Float32Type>().value(0), std::f32::consts::PI);
    }

    #[test]
    fn a_decimal_takes_its_columns_scale() {
        assert_eq!(decimal(12, 2, "1"), Some(100));
        assert_eq!(decimal(12, 2, "-1.5"), Some(-150));
        assert_eq!(decimal(12, 2, "+.5"), Some(50));
        assert_eq!(decimal(12, 2, "1.2500"), Some(125));
        assert_eq!(decimal(12, 2, "1.255"), None);
        assert_eq!(decimal(3, 2, "9.99"), Some(999));
        assert_eq!(decimal(3, 2, "10.00"), None);
        assert_eq!(decimal(1, 0, "000000000000000000000000000000000000000000000007"), Some(7));
    }

    #[test]
    fn a_decimal_may_have_an_exponent() {
        assert_eq!(decimal(38, 18, "0E-18"), Some(0));
        assert_eq!(decimal(38, 18, "1E-18"), Some(1));
        assert_eq!(decimal(38, 18, "1E-19"), None);
        assert_eq!(decimal(10, 2, "1.5e+3"), Some(150_000));
        assert_eq!(decimal(10, 0, "1E2147483647"), None);
        assert_eq!(decimal(10, 0, "0E2147483647"), Some(0));
        assert_eq!(decimal(10, 0, "1E2147483648"), None);
    }

    #[test]
    fn a_decimal_has_at_most_38_digits() {
        let widest = "99999999999999999999999999999999999999";
        assert_eq!(decimal(38, 0, widest), Some(10_i128.pow(38) - 1));
        assert_eq!(
            decimal(38, 0, "-99999999999999999999999999999999999999").unwrap(),
            1 - 10_i128.pow(38)
        );
        assert_eq!(decimal(38, 0, "100000000000000000000000000000000000000"), None);
        assert_eq!(decimal(38, 0, &"9".repeat(400)), None);
        for wrong in [".", "-", "1.2.3", "1-", "E5", "1E", "1 ", "NaN", "1_0"] {
            assert_eq!(decimal(38, 0, wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_boolean_is_true_or_false_in_any_case() {
        let boolean = |v| Some(one(DataType::Boolean, v)?.as_boolean().value(0));
        assert_eq!(boolean("true"), Some(true));
        assert_eq!(boolean("FALSE"), Some(false));
        for wrong in ["1", "t", "yes", "true "] {
            assert_eq!(boolean(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn days_are_counted_on_both_sides_of_the_epoch() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("1969-12-31"), Some(-1));
        assert_eq!(date("2000-02-29"), Some(11_016));
        assert_eq!(date("2024-6-9"), date("2024-06-09"));
        assert_eq!(date("0001-01-01"), Some(-719_162));
        assert_eq!(date("0000-02-29"), Some(-719_469));
        assert_eq!(date("-0001-12-31"), Some(-719_529));
    }

    #[test]
    fn a_year_may_have_more_than_four_digits_while_its_days_fit() {
        assert_eq!(date("9999-12-31"), Some(2_932_896));
        assert_eq!(date("10000-01-01"), Some(2_932_897));
        assert_eq!(date("+10000-01-01"), Some(2_932_897));
        assert_eq!(date("+5881580-07-11"), Some(i32::MAX));
        assert_eq!(date("+5881580-07-12"), None);
        assert_eq!(date("-5877641-06-23"), Some(i32::MIN));
        assert_eq!(date("-5877641-06-22"), None);
        assert_eq!(date("99999999-01-01"), None);
    }

    #[test]
    fn a_day_that_no_calendar_has_is_not_a_date() {
        for wrong in [
            "2023-02-29",
            "1900-02-29",
            "2024-04-31",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-01-32",
            "2024-01",
            "2024",
            "20240101",
            "2024/01/01",
            "2024-01-01 ",
            "2024-01-01T00:00:00",
            "2024-001-01",
            "--1-01-01",
            "x",
        ] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_day_of_many_years_follows_the_one_before() {
        let mut expected = days_from_civil(-801, 1, 1);
        for year in -801..2801 {
            for month in 1..=12 {
                for day in 1..=days_of_month(year, month) {
                    assert_eq!(days_from_civil(year, month, day), expected);
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn a_timestamp_without_a_zone_is_utc() {
        assert_eq!(timestamp("1970-01-01 00:00:00"), Some(0));
        assert_eq!(timestamp("1970-01-01 00:00:00.123456"), Some(123_456));
        assert_eq!(timestamp("1969-12-31 23:59:59.9"), Some(-100_000));
        assert_eq!(timestamp("1970-01-01T00:01"), Some(60_000_000));
        assert_eq!(timestamp("1970-01-02"), Some(86_400_000_000));
    }

    #[test]
    fn a_zone_moves_a_timestamp_to_utc() {
        let noon = timestamp("2024-01-01 12:00:00");
        assert!(noon.is_some());
        for same in [
            "2024-01-01T12:00:00.000000Z",
            "2024-01-01 12:00:00 UTC",
            "2024-01-01T13:00:00+01:00",
            "2024-01-01T13:00:00+1",
            "2024-01-01T06:30:00-0530",
            "2024-01-02T06:00:00+18:00",
        ] {
            assert_eq!(timestamp(same), noon, "{same}");
        }
        for wrong in [
            "2024-01-01T12:00:00+18:01",
            "2024-01-01T12:00:00+01:60",
            "2024-01-01T12:00:00+0160",
            "2024-01-01T12:00:00+",
            "2024-01-01T12:00:00+123",
            "2024-01-01T12:00:00 Europe/Paris",
            "2024-01-01T12:00:00ZZ",
        ] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_zone_does_not_move_a_wall_clock() {
        let noon = timestamp_ntz("2024-01-01 12:00:00");
        assert_eq!(noon, timestamp("2024-01-01 12:00:00"));
        assert_eq!(timestamp_ntz("2024-01-01T12:00:00+01:00"), noon);
        // Written while the column was a date.
        assert_eq!(timestamp_ntz("1970-01-02"), Some(86_400_000_000));
    }

    #[test]
    fn fractions_are_cut_to_microseconds() {
        assert_eq!(timestamp("1970-01-01 00:00:00.123456789"), Some(123_456));
        assert_eq!(timestamp("1969-12-31 23:59:59.000000999"), Some(-1_000_000));
        assert_eq!(timestamp("1970-01-01 00:00:00.1"), Some(100_000));
        assert_eq!(timestamp("1970-01-01 00:00:00.1234567891"), None);
        assert_eq!(timestamp("1970-01-01 00:00:00."), None);
    }

    #[test]
    fn a_time_that_no_clock_shows_is_not_a_timestamp() {
        for wrong in [
            "1970-01-01 24:00:00",
            "1970-01-01 00:60:00",
            "1970-01-01 00:00:60",
            "1970-01-01 00",
            "1970-01-01 ",
            "1970-01-01T",
            "1970-01-01  00:00:00",
            "1970-01-01x00:00:00",
            "00:00:00",
            "0",
        ] {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_timestamp_ends_where_its_microseconds_do() {
        assert_eq!(timestamp("+294247-01-10 04:00:54.775807"), Some(i64::MAX));
        assert_eq!(timestamp("+294247-01-10 04:00:54.775808"), None);
        assert_eq!(timestamp("+294247-01-10 04:00:54.775807-00:01"), None);
        assert_eq!(timestamp("-290308-12-21 19:59:05.224192"), Some(i64::MIN));
        assert_eq!(timestamp("-290308-12-21 19:59:05.224191"), None);
        assert_eq!(timestamp("-290308-12-21 20:59:05.224192+01:00"), Some(i64::MIN));
        assert_eq!(timestamp("+5881580-07-11 00:00:00"), None);
        assert_eq!(timestamp("9999-12-31 23:59:59.999999"), Some(253_402_300_799_999_999));
    }

    #[test]
    fn a_full_memo_forgets_and_stays_right() {
        let mut column = PartitionColumn::new("p", &DataType::Double).unwrap();
        let values: Vec<String> = (0..MEMO_VALUES_MAX + 10).map(|i| format!("{i}.5")).collect();
        for value in values.iter().chain(&values) {
            column.append(Some(value)).unwrap();
            assert!(column.memo.known.len() <= MEMO_VALUES_MAX);
        }
        let long = format!("{}1.5", "0".repeat(MEMO_VALUE_BYTES_MAX));
        column.append(Some(&long)).unwrap();
        assert!(!column.memo.known.contains_key(&long));

        let array = column.finish();
        let array = array.as_primitive::<Float64Type>();
        for i in 0..values.len() {
            assert_eq!(array.value(i), i as f64 + 0.5);
            assert_eq!(array.value(values.len() + i), i as f64 + 0.5);
        }
        assert_eq!(array.value(2 * values.len()), 1.5);
    }

    /// A value as `rows.jsonl` writes it, floating point rounded so that two
    /// parsers of the same decimal agree.
    fn shown(array: &dyn Array, row: usize) -> String {
        if array.is_null(row) {
            return "null".to_owned();
        }
        match array.data_type() {
            ArrowType::Utf8 => format!("{:?}", array.as_string::<i32>().value(row)),
            ArrowType::Boolean => array.as_boolean().value(row).to_string(),
            ArrowType::Int8 => array.as_primitive::<Int8Type>().value(row).to_string(),
            ArrowType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
            ArrowType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
            ArrowType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
            ArrowType::Date32 => array.as_primitive::<Date32Type>().value(row).to_string(),
            ArrowType::Timestamp(..) => {
                array.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
            }
            ArrowType::Float32 => {
                format!("{:.12e}", f64::from(array.as_primitive::<Float32Type>().value(row)))
            }
            ArrowType::Float64 => {
                format!("{:.12e}", array.as_primitive::<Float64Type>().value(row))
            }
            ArrowType::Decimal128(..) => {
                format!("{:?}", array.as_primitive::<Decimal128Type>().value_as_string(row))
            }
            ArrowType::Binary => {
                let hex = array.as_binary::<i32>().value(row).iter().map(|b| format!("{b:02x}"));
                format!("{:?}", hex.collect::<String>())
            }
            other => panic!("{other}"),
        }
    }

    fn shown_row(value: &Value, data_type: &DataType) -> String {
        match value {
            Value::String(text) => format!("{text:?}"),
            Value::Number(n) if matches!(data_type, DataType::Float | DataType::Double) => {
                format!("{:.12e}", n.as_f64().unwrap())
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn the_acceptance_tables_partition_values_are_those_of_their_rows() {
        let (mut parsed, mut compared) = (0, 0);
        for table in acceptance_tables::that_open() {
            let latest = &table.expected["latest"];
            let partition_columns = latest["partition_columns"].as_array().unwrap();
            if partition_columns.is_empty() {
                continue;
            }
            let schema = StructType::from_json(&latest["schema"].to_string()).unwrap();
            let configuration: BTreeMap<String, String> =
                serde_json::from_value(latest["configuration"].clone()).unwrap();
            let mode = ColumnMappingMode::from_configuration(&configuration).unwrap();
            let rows: Option<Vec<Value>> = fs::read_to_string(table.directory.join("rows.jsonl"))
                .ok()
                .map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect());
            for name in partition_columns {
                let name = name.as_str().unwrap();
                let field = schema.field(name).unwrap();
                let physical = field.physical_name(mode).unwrap();
                let mut column = PartitionColumn::new(name, &field.data_type).unwrap();
                for file in latest["files"].as_array().unwrap() {
                    let value = &file["partition_values"][physical];
                    column.append(value.as_str()).unwrap_or_else(|e| panic!("{}: {e}", table.name));
                }
                let array = column.finish();
                parsed += array.len();
                let Some(rows) = rows.as_ref().filter(|_| table.verdict() == "read") else {
                    continue;
                };
                let ours: BTreeSet<_> = (0..array.len()).map(|row| shown(&array, row)).collect();
                let theirs: BTreeSet<_> =
                    rows.iter().map(|row| shown_row(&row[&field.name], &field.data_type)).collect();
                assert_eq!(ours, theirs, "{} {name}", table.name);
                compared += 1;
            }
        }
        eprintln!("{parsed} partition values parsed, {compared} columns compared");
    }
}
