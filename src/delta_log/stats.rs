//! What the statistics of files say of some columns, as bounds ("Per-file
//! Statistics").
//!
//! A bound is only as good as its writer. Writers cut texts and times, some write
//! decimals by way of floating point numbers; what that may have cost is given
//! back here, so that a bound holds whoever wrote it. What cannot be read as its
//! column's type is not known, and never an error: statistics are a help.

use std::str::from_utf8;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Decimal128Builder, Float64Builder,
    Int64Array, Int64Builder, StringArray, StructArray, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
};

use memchr::{memchr2, memmem::Finder};

use super::json::{Cursor, Scan, Text};
use crate::error::Result;
use crate::partition_value::{parse_date, parse_decimal, parse_timestamp, parse_timestamp_ntz};
use crate::predicate::{AskedColumn, Bounds};
use crate::schema::DataType;

/// Spark cuts texts to as many characters, in UTF-16, and puts a greater one behind
/// where it cut a maximum; others do not.
const CUT_TEXT_UNITS: usize = 32;
/// 15 October 1582, in days.
const GREGORIAN_DAY: i64 = -141_427;
/// 2 January 1900, in microseconds: a day for what zones differ in.
const YEAR_1900: i64 = -2_208_902_400_000_000;
/// A whole number of more digits does not fit a floating point number exactly.
const EXACT_FLOAT: i128 = 1_000_000_000_000_000;

/// Whether it is the lower or the upper bound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lower,
    Upper,
}

/// The objects of statistics, and where they are in `stats_parsed`.
pub(super) const PARSED: [&str; 3] = ["minValues", "maxValues", "nullCount"];

/// Columns whose statistics are wanted.
pub(super) struct StatsColumns {
    columns: Vec<(Vec<String>, Kind)>,
    /// What finds the key of each, where all of them are top-level columns and their
    /// names begin like one.
    keys: Option<Vec<Finder<'static>>>,
    /// Where they are in the objects of statistics.
    tree: Vec<Node>,
}

/// A key of an object of statistics.
struct Node {
    name: String,
    column: Option<usize>,
    children: Vec<Node>,
}

/// How a column's values are written and compared.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Boolean,
    Int,
    Date,
    Timestamp,
    TimestampNtz,
    Float,
    Double,
    Decimal(u8, u8),
    Text,
    /// Its bounds are not known, but perhaps how many are null.
    Other {
        is_binary: bool,
    },
}

impl Kind {
    fn of(data_type: &DataType) -> Kind {
        match data_type {
            DataType::Boolean => Kind::Boolean,
            DataType::Byte | DataType::Short | DataType::Integer | DataType::Long => Kind::Int,
            DataType::Date => Kind::Date,
            DataType::Timestamp => Kind::Timestamp,
            DataType::TimestampNtz => Kind::TimestampNtz,
            DataType::Float => Kind::Float,
            DataType::Double => Kind::Double,
            DataType::Decimal { precision, scale } => Kind::Decimal(*precision, *scale),
            DataType::String => Kind::Text,
            other => Kind::Other { is_binary: *other == DataType::Binary },
        }
    }
}

impl StatsColumns {
    pub(super) fn new<'a>(columns: impl IntoIterator<Item = &'a AskedColumn>) -> StatsColumns {
        let columns: Vec<(Vec<String>, Kind)> = columns
            .into_iter()
            .map(|column| (column.physical.clone(), Kind::of(&column.data_type)))
            .collect();
        let mut tree = Vec::new();
        for (at, (path, _)) in columns.iter().enumerate() {
            let mut nodes: &mut Vec<Node> = &mut tree;
            for (depth, name) in path.iter().enumerate() {
                let known = nodes.iter().position(|node| node.name == *name);
                let place = known.unwrap_or_else(|| {
                    nodes.push(Node { name: name.clone(), column: None, children: Vec::new() });
                    nodes.len() - 1
                });
                if depth + 1 == path.len() {
                    nodes[place].column = Some(at);
                }
                nodes = &mut nodes[place].children;
            }
        }
        let key = |(path, _): &(Vec<String>, Kind)| match &path[..] {
            [name] if is_plain(name) => {
                Some(Finder::new(format!("\"{name}\":").as_bytes()).into_owned())
            }
            _ => None,
        };
        let keys = columns.iter().map(key).collect();
        StatsColumns { columns, keys, tree }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Their physical paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &[String]> {
        self.columns.iter().map(|(path, _)| path.as_slice())
    }

    /// The bounds of each column in files whose statistics are `texts`.
    pub(super) fn of_texts(&self, texts: &StringArray) -> Result<Vec<Bounds>> {
        let mut rows = Rows {
            columns: self,
            lower: self.columns.iter().map(|(_, kind)| Builder::new(*kind)).collect(),
            upper: self.columns.iter().map(|(_, kind)| Builder::new(*kind)).collect(),
            null_counts: self.columns.iter().map(|_| Int64Builder::new()).collect(),
            records: Int64Builder::new(),
            row: Row::default(),
        };
        texts.iter().for_each(|text| rows.append(text));
        rows.finish()
    }

    /// The ends of the bounds of the column at this place in some sets of files, out of
    /// the ends of what a struct has of them.
    fn of_ends(
        &self,
        place: usize,
        lower: Option<ArrayRef>,
        upper: Option<ArrayRef>,
        sets: usize,
    ) -> (ArrayRef, ArrayRef) {
        let kind = self.columns[place].1;
        let end = |array: Option<ArrayRef>, end| {
            let bound = array.and_then(|array| parsed_bound(&array, kind, end));
            bound.unwrap_or_else(|| Builder::unknown(kind, sets))
        };
        (end(lower, End::Lower), end(upper, End::Upper))
    }

    /// The same, where each end is the least or the greatest of many files'. What one of
    /// them lost where it was cut is given back to the greatest one, which may be of a
    /// file that was not cut, or is less than what was lost.
    pub(super) fn of_many_ends(
        &self,
        place: usize,
        lower: Option<ArrayRef>,
        upper: Option<ArrayRef>,
        sets: usize,
    ) -> (ArrayRef, ArrayRef) {
        let kind = self.columns[place].1;
        if matches!(kind, Kind::Float | Kind::Double) {
            // A bound that is NaN says nothing of its file, and nobody counts it among
            // the others.
            return (Builder::unknown(kind, sets), Builder::unknown(kind, sets));
        }
        let (lower, upper) = self.of_ends(place, lower, upper, sets);
        if kind != Kind::Text {
            return (lower, upper);
        }
        let cut = |text: &[u8]| -> Option<Vec<u8>> {
            let Some(long) = text.strip_suffix(&[0xff]) else { return Some(text.to_vec()) };
            let mut units = 0;
            let chars = from_utf8(long).ok()?.chars().take_while(|c| {
                units += c.len_utf16();
                units < CUT_TEXT_UNITS
            });
            let mut text = chars.collect::<String>().into_bytes();
            text.push(0xff);
            Some(text)
        };
        let texts = upper.as_binary::<i32>().iter().map(|text| text.and_then(cut));
        (lower, Arc::new(BinaryArray::from_iter(texts)))
    }

    /// The same, of statistics that are a struct. `None` for a column of which it
    /// has nothing.
    pub(super) fn of_struct(&self, stats: &StructArray) -> Result<Vec<Option<Bounds>>> {
        let options = CastOptions { safe: true, ..Default::default() };
        let ints = |array: &ArrayRef| {
            let ints = cast_with_options(array, &ArrowType::Int64, &options).ok()?;
            Some(ints.as_primitive::<Int64Type>().clone())
        };
        let records = stats.column_by_name("numRecords").and_then(ints);
        let records = records.map(|records| under(stats, &records));
        let columns = self.columns.iter().enumerate().map(|(place, (path, _))| {
            let [lower, upper, nulls] = PARSED.map(|object| field_at(stats, object, path));
            if lower.is_none() && upper.is_none() && nulls.is_none() {
                return Ok(None);
            }
            let (lower, upper) = self.of_ends(place, lower, upper, stats.len());
            let nulls = nulls.as_ref().and_then(ints);
            bounds(lower, upper, nulls, records.as_ref()).map(Some)
        });
        columns.collect()
    }
}

/// Where a parent is null its fields are too, whatever they hold.
fn under(parent: &StructArray, ints: &Int64Array) -> Int64Array {
    let nulls = arrow::buffer::NullBuffer::union(parent.nulls(), ints.nulls());
    Int64Array::new(ints.values().clone(), nulls)
}

/// The field at `path` of the struct `object` in `stats`, null where one on the way
/// is.
fn field_at(stats: &StructArray, object: &str, path: &[String]) -> Option<ArrayRef> {
    let mut within = stats.clone();
    let mut nulls = stats.nulls().cloned();
    let names = std::iter::once(object).chain(path.iter().map(String::as_str));
    let mut found: Option<ArrayRef> = None;
    for name in names {
        if let Some(parent) = found {
            within = parent.as_struct_opt()?.clone();
            nulls = arrow::buffer::NullBuffer::union(nulls.as_ref(), within.nulls());
        }
        found = Some(Arc::clone(within.column_by_name(name)?));
    }
    let found = found?;
    let nulls = arrow::buffer::NullBuffer::union(nulls.as_ref(), found.nulls());
    let data = found.to_data().into_builder().nulls(nulls).build().ok()?;
    Some(arrow::array::make_array(data))
}

/// Bounds that a checkpoint has in a type of its own, as they are compared;
/// `None` where that is not the column's.
fn parsed_bound(array: &ArrayRef, kind: Kind, end: End) -> Option<ArrayRef> {
    use ArrowType::{Date32, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, Utf8};
    let mut builder = Builder::new(kind);
    let options = CastOptions { safe: true, ..Default::default() };
    let cast = |to| cast_with_options(array, &to, &options).ok();
    let held;
    let scalars: Box<dyn Iterator<Item = Option<Scalar>> + '_>;
    match (kind, array.data_type()) {
        (Kind::Int, Int8 | Int16 | Int32 | Int64) => {
            held = cast(Int64)?;
            scalars = Box::new(held.as_primitive::<Int64Type>().iter().map(|v| v.map(Scalar::Int)));
        }
        (Kind::Date, Date32) => {
            let days = array.as_primitive::<Date32Type>().iter();
            scalars = Box::new(days.map(|v| v.map(|days| Scalar::Int(days.into()))));
        }
        (Kind::Timestamp | Kind::TimestampNtz, ArrowType::Timestamp(unit, _)) => {
            held = cast(Int64)?;
            let micros = |time: i64| match unit {
                TimeUnit::Second => time.checked_mul(1_000_000),
                TimeUnit::Millisecond => time.checked_mul(1000),
                TimeUnit::Microsecond => Some(time),
                // Also what an INT96 is decoded as, which wraps around in 2262.
                TimeUnit::Nanosecond => None,
            };
            let times = held.as_primitive::<Int64Type>().iter();
            scalars = Box::new(times.map(move |v| v.and_then(micros).map(Scalar::Int)));
        }
        (Kind::Float, Float32) | (Kind::Double, Float32 | Float64) => {
            held = cast(Float64)?;
            let floats = held.as_primitive::<Float64Type>().iter();
            scalars = Box::new(floats.map(|v| v.map(Scalar::Float)));
        }
        (Kind::Decimal(precision, scale), Decimal128(..)) => {
            held = cast(Decimal128(precision, i8::try_from(scale).ok()?))?;
            let decimals = held.as_primitive::<Decimal128Type>().iter();
            scalars = Box::new(decimals.map(|v| v.map(Scalar::Decimal)));
        }
        (Kind::Text, ArrowType::Binary) => {
            let texts = array.as_binary::<i32>().iter();
            scalars = Box::new(texts.map(|v| v.map(|text| Scalar::Bytes(text.to_vec()))));
        }
        (Kind::Text, Utf8) => {
            let texts = array.as_string::<i32>().iter();
            scalars =
                Box::new(texts.map(|v| v.map(|text| Scalar::Bytes(text.as_bytes().to_vec()))));
        }
        (Kind::Boolean, ArrowType::Boolean) => {
            let values = array.as_boolean().iter();
            scalars = Box::new(values.map(|v| v.map(|v| Scalar::Int(v.into()))));
        }
        _ => return None,
    }
    scalars.for_each(|scalar| builder.append(scalar.and_then(|scalar| scalar.widened(kind, end))));
    Some(builder.finish())
}

/// One bound.
#[derive(Clone, PartialEq, Debug)]
enum Scalar {
    Int(i64),
    Float(f64),
    Decimal(i128),
    Bytes(Vec<u8>),
}

impl Scalar {
    /// What holds of the values, whatever the writer cut off.
    fn widened(self, kind: Kind, end: End) -> Option<Scalar> {
        Some(match (kind, self) {
            // Data files of the old hybrid calendar are read as they are, statistics are
            // in the new one: they differ before its first day, and in times before
            // zones were.
            (Kind::Date, Scalar::Int(days)) if days < GREGORIAN_DAY => match end {
                End::Lower => return None,
                End::Upper => Scalar::Int(GREGORIAN_DAY),
            },
            (Kind::Timestamp | Kind::TimestampNtz, Scalar::Int(micros)) if micros < YEAR_1900 => {
                match end {
                    End::Lower => return None,
                    End::Upper => Scalar::Int(YEAR_1900),
                }
            }
            // Spark writes milliseconds, of both ends. Each bound is loosened, whoever
            // wrote it: so the greatest is still the greatest.
            (Kind::Timestamp | Kind::TimestampNtz, Scalar::Int(micros)) => match end {
                End::Upper => Scalar::Int(micros.checked_add(999)?),
                // Before 1970 a writer may have cut toward zero.
                End::Lower if micros <= 0 => Scalar::Int(micros.checked_sub(999)?),
                End::Lower => Scalar::Int(micros),
            },
            (Kind::Decimal(..), Scalar::Decimal(unscaled)) if unscaled.abs() >= EXACT_FLOAT => {
                let slack = (unscaled.abs() >> 52) + 1;
                Scalar::Decimal(match end {
                    End::Lower => unscaled.checked_sub(slack)?,
                    End::Upper => unscaled.checked_add(slack)?,
                })
            }
            // A file from before the column was widened has the text of a float, 0.1,
            // where its values are 0.100000001.
            (Kind::Double, Scalar::Float(value)) if value.abs() <= f32::MAX.into() => {
                let float = f64::from(value as f32);
                Scalar::Float(match end {
                    End::Lower => value.min(float),
                    End::Upper => value.max(float),
                })
            }
            (Kind::Text, Scalar::Bytes(mut text)) if end == End::Upper => {
                // Java counts in UTF-16.
                let units = from_utf8(&text).ok()?.encode_utf16().count();
                if units >= CUT_TEXT_UNITS {
                    // Half a character at the cut is written as one of these, and the
                    // greater one may stand behind it.
                    for ends in [["\u{10ffff}", "\u{7f}"], ["\u{fffd}", "?"]] {
                        if let Some(end) = ends.iter().find(|end| text.ends_with(end.as_bytes())) {
                            text.truncate(text.len() - end.len());
                        }
                    }
                    // Greater than all that begins so: no text has this byte.
                    text.push(0xff);
                }
                Scalar::Bytes(text)
            }
            (_, scalar) => scalar,
        })
    }
}

/// Builds the bounds of one end of a column.
enum Builder {
    Int(Int64Builder),
    Float(Float64Builder),
    Decimal(Decimal128Builder),
    Bytes(BinaryBuilder),
}

impl Builder {
    fn new(kind: Kind) -> Builder {
        match kind {
            Kind::Float | Kind::Double => Builder::Float(Float64Builder::new()),
            // The builder's own type is not looked at: keys compare unscaled.
            Kind::Decimal(..) => Builder::Decimal(Decimal128Builder::new()),
            Kind::Text | Kind::Other { is_binary: true } => Builder::Bytes(BinaryBuilder::new()),
            _ => Builder::Int(Int64Builder::new()),
        }
    }

    fn unknown(kind: Kind, rows: usize) -> ArrayRef {
        let none = Builder::new(kind).finish();
        new_null_array(none.data_type(), rows)
    }

    fn append(&mut self, scalar: Option<Scalar>) {
        match (self, scalar) {
            (Builder::Int(b), Some(Scalar::Int(v))) => b.append_value(v),
            (Builder::Float(b), Some(Scalar::Float(v))) => b.append_value(v),
            (Builder::Decimal(b), Some(Scalar::Decimal(v))) => b.append_value(v),
            (Builder::Bytes(b), Some(Scalar::Bytes(v))) => b.append_value(v),
            (Builder::Int(b), _) => b.append_null(),
            (Builder::Float(b), _) => b.append_null(),
            (Builder::Decimal(b), _) => b.append_null(),
            (Builder::Bytes(b), _) => b.append_null(),
        }
    }

    fn finish(mut self) -> ArrayRef {
        match &mut self {
            Builder::Int(b) => Arc::new(b.finish()),
            Builder::Float(b) => Arc::new(b.finish()),
            Builder::Decimal(b) => Arc::new(b.finish()),
            Builder::Bytes(b) => Arc::new(b.finish()),
        }
    }
}

/// Bounds with what the counts say. With deletion vectors those of nulls may be
/// out of date, but not where they say none or all: "if the nullCount for a column
/// equals 0 then all valid rows are non-null", and where it equals `numRecords`
/// all are null, whether the bounds are tight or wide.
fn bounds(
    lower: ArrayRef,
    upper: ArrayRef,
    nulls: Option<Int64Array>,
    records: Option<&Int64Array>,
) -> Result<Bounds> {
    let rows = lower.len();
    let at = |ints: Option<&Int64Array>, row| {
        ints.filter(|ints| row < ints.len() && ints.is_valid(row)).map(|ints| ints.value(row))
    };
    let nulls = nulls.as_ref();
    let may_be_null = BooleanBuffer::collect_bool(rows, |row| at(nulls, row) != Some(0));
    let may_be_value = BooleanBuffer::collect_bool(rows, |row| {
        let nulls = at(nulls, row);
        nulls.is_none() || nulls != at(records, row)
    });
    Ok(Bounds { lower, upper, may_be_null, may_be_value })
}

/// Statistics, file by file.
struct Rows<'a> {
    columns: &'a StatsColumns,
    lower: Vec<Builder>,
    upper: Vec<Builder>,
    null_counts: Vec<Int64Builder>,
    records: Int64Builder,
    row: Row,
}

/// Those of one file.
#[derive(Default)]
struct Row {
    records: Option<i64>,
    lower: Vec<Option<Scalar>>,
    upper: Vec<Option<Scalar>>,
    null_counts: Vec<Option<i64>>,
    /// The last date that was read.
    date: Option<(String, Scalar)>,
    scratch: Text,
}

impl Rows<'_> {
    fn append(&mut self, text: Option<&str>) {
        let columns = self.columns.columns.len();
        let row = &mut self.row;
        row.clear(columns);
        if let Some(text) = text
            && row.find(self.columns, text).is_none()
        {
            row.clear(columns);
            if row.read(self.columns, text).is_err() {
                row.clear(columns);
            }
        }
        self.records.append_option(row.records);
        for at in 0..columns {
            self.lower[at].append(row.lower[at].take());
            self.upper[at].append(row.upper[at].take());
            self.null_counts[at].append_option(row.null_counts[at]);
        }
    }

    fn finish(mut self) -> Result<Vec<Bounds>> {
        let records = self.records.finish();
        let ends = self.lower.into_iter().zip(self.upper);
        let columns = ends.zip(&mut self.null_counts);
        columns
            .map(|((lower, upper), nulls)| {
                bounds(lower.finish(), upper.finish(), Some(nulls.finish()), Some(&records))
            })
            .collect()
    }
}

impl Row {
    fn clear(&mut self, columns: usize) {
        self.records = None;
        for ends in [&mut self.lower, &mut self.upper] {
            ends.clear();
            ends.resize(columns, None);
        }
        self.null_counts.clear();
        self.null_counts.resize(columns, None);
    }

    /// Searches for the keys, where the statistics are written as Spark does and no
    /// object is in another: most of a text is then not looked at. `None` where they
    /// are not.
    fn find(&mut self, columns: &StatsColumns, text: &str) -> Option<()> {
        let keys = columns.keys.as_ref()?;
        let bytes = text.as_bytes();
        let mut at =
            bytes.strip_prefix(b"{\"numRecords\":").map(|rest| bytes.len() - rest.len())?;
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.records = Some(text[at..at + digits].parse().ok()?);
        at += digits;
        let tight: [&[u8]; 2] = [b",\"tightBounds\":true", b",\"tightBounds\":false"];
        let after_tight = |at: usize| {
            let found = tight.iter().find(|tight| bytes[at..].starts_with(tight));
            at + found.map_or(0, |tight| tight.len())
        };
        at = after_tight(at);
        let objects: [(Object, &[u8]); 3] = [
            (Object::Lower, b",\"minValues\":{"),
            (Object::Upper, b",\"maxValues\":{"),
            (Object::NullCount, b",\"nullCount\":{"),
        ];
        for (object, name) in objects {
            if !bytes[at..].starts_with(name) {
                continue;
            }
            let begin = at + name.len();
            // A brace in a text is not followed by what has to follow this one.
            let end = begin + memchr2(b'{', b'}', &bytes[begin..])?;
            if bytes[end] != b'}' {
                return None;
            }
            for (column, key) in keys.iter().enumerate() {
                let Some(found) = key.find(&bytes[begin..end]) else { continue };
                // Not the end of a text with a quote in it.
                if !matches!(bytes[begin + found - 1], b'{' | b',') {
                    return None;
                }
                let mut cursor = Cursor::new(text);
                cursor.seek(begin + found + key.needle().len());
                self.value(column, columns.columns[column].1, object, text, &mut cursor).ok()?;
            }
            at = end + 1;
        }
        (bytes[after_tight(at)..] == *b"}").then_some(())
    }

    fn read(&mut self, columns: &StatsColumns, text: &str) -> Scan<()> {
        let cursor = &mut Cursor::new(text);
        cursor.begin_object()?;
        let mut first = true;
        while let Some(key) = cursor.next_key(&mut first)? {
            let [min, max, nulls] = PARSED;
            if cursor.null()? {
                continue;
            }
            match key {
                key if key.is("numRecords") => {
                    self.records = Some(cursor.i64()?).filter(|&records| records >= 0);
                }
                key if key.is(min) => {
                    self.object(columns, &columns.tree, Object::Lower, text, cursor)?
                }
                key if key.is(max) => {
                    self.object(columns, &columns.tree, Object::Upper, text, cursor)?
                }
                key if key.is(nulls) => {
                    self.object(columns, &columns.tree, Object::NullCount, text, cursor)?;
                }
                _ => cursor.skip_value()?,
            }
        }
        Ok(())
    }

    fn object(
        &mut self,
        columns: &StatsColumns,
        nodes: &[Node],
        object: Object,
        text: &str,
        cursor: &mut Cursor<'_>,
    ) -> Scan<()> {
        if cursor.peek() != Some(b'{') {
            return cursor.skip_value();
        }
        cursor.begin_object()?;
        let mut first = true;
        while let Some(key) = cursor.next_key(&mut first)? {
            let Some(node) = nodes.iter().find(|node| key.is(&node.name)) else {
                cursor.skip_value()?;
                continue;
            };
            match (cursor.peek(), node.column) {
                (Some(b'{'), _) => self.object(columns, &node.children, object, text, cursor)?,
                (_, None) => cursor.skip_value()?,
                (_, Some(column)) => {
                    self.value(column, columns.columns[column].1, object, text, cursor)?
                }
            }
        }
        Ok(())
    }

    fn value(
        &mut self,
        column: usize,
        kind: Kind,
        object: Object,
        text: &str,
        cursor: &mut Cursor<'_>,
    ) -> Scan<()> {
        if matches!(cursor.peek(), Some(b'n' | b'[')) {
            return cursor.skip_value();
        }
        let is_text = cursor.peek() == Some(b'"');
        let begin = cursor.pos() + usize::from(is_text);
        let value = if is_text {
            let raw = cursor.string()?;
            match raw.plain() {
                Some(_) => text.get(begin..cursor.pos() - 1),
                // Half a character, at the cut, is an escape that means nothing.
                None => raw.resolve(&mut self.scratch).ok().and_then(|t| from_utf8(t).ok()),
            }
        } else {
            cursor.scalar()?;
            text.get(begin..cursor.pos())
        };
        let Some(value) = value else { return Ok(()) };
        let end = match object {
            Object::NullCount => {
                self.null_counts[column] = value.parse().ok().filter(|&count: &i64| count >= 0);
                return Ok(());
            }
            Object::Lower => End::Lower,
            Object::Upper => End::Upper,
        };
        let scalar = match &self.date {
            // Often both bounds are the same, and those of the next file.
            Some((text, scalar)) if kind == Kind::Date && text == value => Some(scalar.clone()),
            _ => {
                let scalar = scalar(value, is_text, kind);
                if kind == Kind::Date {
                    self.date = scalar.clone().map(|scalar| (value.to_owned(), scalar));
                }
                scalar
            }
        };
        let scalar = scalar.and_then(|scalar| scalar.widened(kind, end));
        match end {
            End::Lower => self.lower[column] = scalar,
            End::Upper => self.upper[column] = scalar,
        }
        Ok(())
    }
}

/// Whether a name stands in JSON as it is, and no text of JSON that is not its key has
/// it between quotes and before a colon: behind the end of another string comes what
/// no such name begins with.
fn is_plain(name: &str) -> bool {
    let has_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    name.as_bytes().first().is_some_and(has_letter)
        && name.bytes().all(|byte| byte >= b' ' && byte.is_ascii() && !matches!(byte, b'"' | b'\\'))
}

/// One of the objects of statistics.
#[derive(Clone, Copy)]
enum Object {
    Lower,
    Upper,
    NullCount,
}

/// A bound as it is written.
fn scalar(text: &str, is_text: bool, kind: Kind) -> Option<Scalar> {
    if text.is_empty() && kind != Kind::Text {
        return None;
    }
    Some(match kind {
        Kind::Text if is_text => Scalar::Bytes(text.as_bytes().to_vec()),
        Kind::Int => Scalar::Int(text.parse().ok()?),
        Kind::Date if is_text => Scalar::Int(parse_date(text)?.into()),
        Kind::Timestamp if is_text => Scalar::Int(parse_timestamp(text)?),
        Kind::TimestampNtz if is_text => Scalar::Int(parse_timestamp_ntz(text)?),
        // In the precision that it was printed of: 0.1 is another number in each.
        Kind::Float => Scalar::Float(text.parse::<f32>().ok()?.into()),
        Kind::Double => Scalar::Float(text.parse().ok()?),
        Kind::Decimal(precision, scale) => Scalar::Decimal(parse_decimal(text, precision, scale)?),
        Kind::Boolean => Scalar::Int(text.parse::<bool>().ok()?.into()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::{Question, column};
    use crate::schema::{ColumnMappingMode, StructField, StructType};

    fn columns(of: &[(&str, DataType)]) -> StatsColumns {
        let asked: Vec<_> = of.iter().map(|(path, data_type)| asked(path, data_type)).collect();
        StatsColumns::new(asked.iter().flat_map(|question| question.columns()))
    }

    /// The column at a path of names with dots between.
    fn asked(path: &str, data_type: &DataType) -> Question {
        let mut field: Option<StructField> = None;
        for name in path.rsplit('.') {
            let data_type = match field {
                Some(field) => DataType::Struct(StructType { fields: vec![field] }),
                None => data_type.clone(),
            };
            field = Some(StructField::new(name, data_type, true));
        }
        let schema = StructType { fields: field.into_iter().collect() };
        let predicate = column(path).is_null();
        Question::new(&predicate, &schema, &[], ColumnMappingMode::None).unwrap()
    }

    /// What is known of the only column: its lower and upper bound, whether it may be
    /// null, and whether it may be a value.
    fn known(data_type: DataType, text: &str) -> (Option<Scalar>, Option<Scalar>, bool, bool) {
        let bounds = columns(&[("c", data_type)]).of_texts(&StringArray::from(vec![text])).unwrap();
        let scalar = |array: &ArrayRef| {
            array.is_valid(0).then(|| match array.data_type() {
                ArrowType::Int64 => Scalar::Int(array.as_primitive::<Int64Type>().value(0)),
                ArrowType::Float64 => Scalar::Float(array.as_primitive::<Float64Type>().value(0)),
                ArrowType::Binary => Scalar::Bytes(array.as_binary::<i32>().value(0).to_vec()),
                _ => Scalar::Decimal(array.as_primitive::<Decimal128Type>().value(0)),
            })
        };
        let Bounds { lower, upper, may_be_null, may_be_value } = &bounds[0];
        (scalar(lower), scalar(upper), may_be_null.value(0), may_be_value.value(0))
    }

    fn both(data_type: DataType, min: &str, max: &str) -> (Option<Scalar>, Option<Scalar>) {
        let text = format!(
            r#"{{"numRecords":3,"minValues":{{"c":{min}}},"maxValues":{{"c":{max}}},"nullCount":{{"c":1}}}}"#
        );
        let (lower, upper, ..) = known(data_type, &text);
        (lower, upper)
    }

    #[test]
    fn a_bound_gives_back_what_its_writer_may_have_cut_off() {
        let int = |n| Some(Scalar::Int(n));
        let bytes = |b: &[u8]| Some(Scalar::Bytes(b.to_vec()));
        let of = |data_type, min, max| both(data_type, min, max);
        assert_eq!(of(DataType::Long, "-3", "7"), (int(-3), int(7)));
        assert_eq!(of(DataType::Date, "\"1970-01-02\"", "\"1970-01-03\""), (int(1), int(2)));
        // Milliseconds; microseconds are loosened alike.
        let time = "\"1970-01-01T00:00:01.500Z\"";
        assert_eq!(of(DataType::Timestamp, time, time), (int(1_500_000), int(1_500_999)));
        let time = "\"1970-01-01T00:00:01.500001Z\"";
        assert_eq!(of(DataType::Timestamp, time, time), (int(1_500_001), int(1_501_000)));
        let time = "\"1969-12-31T23:59:59.500Z\"";
        assert_eq!(of(DataType::Timestamp, time, time), (int(-500_999), int(-499_001)));
        // A text of 32 characters may have been longer.
        assert_eq!(of(DataType::String, "\"a\"", "\"b\""), (bytes(b"a"), bytes(b"b")));
        let long = "x".repeat(32);
        let quoted = format!("\"{long}\"");
        let cut = [long.as_bytes(), b"\xff"].concat();
        assert_eq!(of(DataType::String, &quoted, &quoted), (bytes(long.as_bytes()), bytes(&cut)));
        let half = format!("\"{}?\"", "x".repeat(31));
        let cut = [&long.as_bytes()[..31], b"\xff"].concat();
        assert_eq!(of(DataType::String, &half, &half).1, bytes(&cut));
        // A float is read as one; a decimal of many digits may have been one.
        let float = |f| Some(Scalar::Float(f));
        assert_eq!(
            of(DataType::Float, "0.1", "0.1"),
            (float(0.1_f32.into()), float(0.1_f32.into()))
        );
        assert_eq!(of(DataType::Double, "0.1", "0.1"), (float(0.1), float(0.1_f32.into())));
        let infinite = (float(0.5), float(f64::INFINITY));
        assert_eq!(of(DataType::Double, "0.5", "\"Infinity\""), infinite);
        let decimal = |precision| DataType::Decimal { precision, scale: 2 };
        let exact = |n| Some(Scalar::Decimal(n));
        assert_eq!(of(decimal(10), "1.5", "\"2.25\""), (exact(150), exact(225)));
        let lossy = 1_234_567_890_123_456_700_i128;
        let (lower, upper) = of(decimal(38), "12345678901234567", "1.2345678901234567e16");
        let slack = (lossy >> 52) + 1;
        assert_eq!((lower, upper), (exact(lossy - slack), exact(lossy + slack)));
    }

    #[test]
    fn what_is_no_value_of_the_type_is_not_known() {
        for (data_type, value) in [
            (DataType::Long, "1.5"),
            (DataType::Long, "true"),
            (DataType::Long, "99999999999999999999"),
            (DataType::Date, "5"),
            (DataType::Date, "\"yesterday\""),
            (DataType::Timestamp, "\"\""),
            (DataType::String, "7"),
            (DataType::String, "\"\\ud800\""),
            (DataType::Decimal { precision: 5, scale: 1 }, "1.55"),
            (DataType::Binary, "\"x\""),
            (DataType::Long, "null"),
            (DataType::Long, "[1]"),
            (DataType::Long, "{\"c\":1}"),
        ] {
            assert_eq!(both(data_type, value, value), (None, None), "{value}");
        }
    }

    #[test]
    fn counts_say_where_nulls_and_values_may_be() {
        let nulls = |text: &str| {
            let (_, _, may_be_null, may_be_value) = known(DataType::Long, text);
            (may_be_null, may_be_value)
        };
        assert_eq!(nulls(r#"{"numRecords":2,"nullCount":{"c":0}}"#), (false, true));
        assert_eq!(nulls(r#"{"numRecords":2,"nullCount":{"c":1}}"#), (true, true));
        assert_eq!(nulls(r#"{"numRecords":2,"nullCount":{"c":2}}"#), (true, false));
        assert_eq!(nulls(r#"{"numRecords":0,"nullCount":{"c":0}}"#), (false, false));
        assert_eq!(nulls(r#"{"nullCount":{"c":2}}"#), (true, true));
        assert_eq!(nulls(r#"{"numRecords":2}"#), (true, true));
        assert_eq!(nulls(r#"{"numRecords":2,"nullCount":{"c":-2}}"#), (true, true));
        assert_eq!(nulls("{}"), (true, true));
        assert_eq!(nulls("not JSON"), (true, true));
    }

    #[test]
    fn a_search_finds_what_a_reading_finds() {
        let columns = columns(&[("c", DataType::String), ("d", DataType::Long)]);
        let texts = [
            r#"{"numRecords":1,"minValues":{"c":"a","d":1},"maxValues":{"c":"b","d":2},"nullCount":{"c":0,"d":0}}"#,
            r#"{"numRecords":1,"tightBounds":false,"minValues":{"d":1},"maxValues":{},"nullCount":{"c":1,"d":0}}"#,
            r#"{"numRecords":1,"minValues":{"x":"\"c\":","c":"}"},"maxValues":{"y":"{\"d\":7","d":2},"nullCount":{}}"#,
            r#"{"numRecords":1,"minValues":{"x":"\"c\":","c":"a\\\\"}}"#,
            r#"{"numRecords":1,"minValues":{"x\"c":5,"c":"a"},"nullCount":{"c":0},"tightBounds":true}"#,
            r#"{"numRecords":1,"minValues":{"s":{"c":"a","d":5},"d":1},"maxValues":{"s":{"d":3}}}"#,
            r#"{"numRecords":1,"minValues":{"maxValues":{"d":9}},"maxValues":{"d":2}}"#,
            r#"{"numRecords":1,"maxValues":{"d":2},"minValues":{"d":1}}"#,
            r#"{"numRecords":1,"minValues":{"d":1,"c":"a"#,
            r#"{"numRecords":1,"minValues":{"d":1},"maxValues":{"d":2}} and more"#,
            r#"{ "numRecords" : 1 , "minValues" : { "d" : 1 } }"#,
            r#"{"numRecords":1.5,"minValues":{"d":1}}"#,
            "",
        ];
        let (mut found, mut left) = (0, 0);
        for text in texts {
            let (mut searched, mut read) = (Row::default(), Row::default());
            searched.clear(2);
            read.clear(2);
            let is_found = searched.find(&columns, text).is_some();
            let is_read = read.read(&columns, text).is_ok();
            if is_found {
                assert!(is_read, "{text}");
                assert_eq!(searched.lower, read.lower, "{text}");
                assert_eq!(searched.upper, read.upper, "{text}");
                assert_eq!(searched.null_counts, read.null_counts, "{text}");
                assert_eq!(searched.records, read.records, "{text}");
            }
            found += usize::from(is_found);
            left += usize::from(!is_found);
        }
        assert!(found >= 3 && left >= 5, "{found} searched, {left} left to be read");
    }

    #[test]
    fn a_field_of_a_struct_is_found_in_the_struct_alone() {
        let columns = columns(&[("s.d", DataType::Long)]);
        let text = r#"{"numRecords":1,"minValues":{"d":9,"s":{"d":1}},"maxValues":{"d":9,"s":{"d":2}},"nullCount":{"s":{"d":0}}}"#;
        let bounds = columns.of_texts(&StringArray::from(vec![text])).unwrap();
        let value = |array: &ArrayRef| array.as_primitive::<Int64Type>().value(0);
        assert_eq!((value(&bounds[0].lower), value(&bounds[0].upper)), (1, 2));
        assert!(!bounds[0].may_be_null.value(0));
    }
}
