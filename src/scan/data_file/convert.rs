//! What becomes of decoded values.
//!
//! A conversion never loses anything: a value that has no equal in the table's
//! type is an error. Where the types are equal nothing is done at all.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, BooleanArray, ListArray, MapArray,
    PrimitiveArray, StructArray, UInt32Array, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, FilterBuilder, FilterPredicate, cast_with_options, take};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, DurationMicrosecondType, FieldRef,
    Fields, Int32Type, Int64Type, IntervalYearMonthType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use arrow::error::ArrowError;
use parquet_variant_compute::{VariantArray, unshred_variant};

use crate::utf8_array::utf8_array;

/// The array, or what is wrong with a value.
pub(super) type Converted = Result<ArrayRef, String>;

const MICROS_A_DAY: i64 = 86_400_000_000;
/// The Julian day that 1 January 1970 begins in, as INT96 counts days.
const JULIAN_DAY_OF_EPOCH: i64 = 2_440_588;

/// Where a wanted column comes from.
pub(super) enum Source {
    /// It is not in the file: nulls.
    Absent,
    /// The decoded column of this number.
    Column(usize, Convert),
}

/// Where in a file a wanted column, or a field within one, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Absent,
    /// In the leaf column of this number.
    Leaf(usize),
    /// In several, or in one that does not tell its values.
    Somewhere,
}

/// Which of some decoded rows are live.
pub(super) struct Live {
    rows: BooleanBuffer,
    filter: FilterPredicate,
    /// Their numbers, where they lie in short runs: to copy run by run is then slower
    /// than value by value.
    scattered: Option<UInt32Array>,
}

impl Live {
    pub(super) fn new(rows: BooleanBuffer) -> Live {
        const SHORT_RUN: usize = 32;
        let array = BooleanArray::new(rows.clone(), None);
        let filter = FilterBuilder::new(&array).optimize().build();
        let is_scattered = rows.set_slices().count() > filter.count() / SHORT_RUN;
        let scattered = is_scattered.then(|| rows.set_indices_u32().collect::<Vec<u32>>().into());
        Live { rows, filter, scattered }
    }

    /// The live ones of `array`.
    fn of(&self, array: &ArrayRef) -> Converted {
        match &self.scattered {
            Some(rows) if array.data_type().is_primitive() => take(array, rows, None),
            _ => self.filter.filter(array),
        }
        .map_err(text)
    }
}

impl Source {
    /// The column of the `rows` live rows, all where nothing is said of them, out of
    /// what was decoded.
    pub(super) fn live_array(
        &self,
        decoded: &[ArrayRef],
        live: Option<&Live>,
        to: &DataType,
        rows: usize,
    ) -> Converted {
        match (self, live) {
            (Source::Column(i, convert), Some(live)) => {
                let array = decoded.get(*i).ok_or("the column was not decoded")?;
                match convert {
                    Convert::Leaf(to, _) if *array.data_type() == DataType::BinaryView => {
                        of_views(array.as_binary_view(), Some(live), to)
                    }
                    _ => convert.apply(&live.of(array)?),
                }
            }
            _ => self.array(decoded, to, rows),
        }
    }

    /// The column of `rows` rows, out of what was decoded.
    fn array(&self, decoded: &[ArrayRef], to: &DataType, rows: usize) -> Converted {
        match self {
            Source::Absent => Ok(new_null_array(to, rows)),
            Source::Column(i, convert) => match decoded.get(*i) {
                Some(array) => convert.apply(array),
                None => Err("the column was not decoded".into()),
            },
        }
    }

    pub(super) fn column(&self) -> Option<usize> {
        match self {
            Source::Absent => None,
            Source::Column(i, _) => Some(*i),
        }
    }

    /// What the file has of the field at `path`: of each struct on the way, which of
    /// its wanted fields comes next.
    pub(super) fn at(&self, path: &[usize]) -> At {
        match (self, path.split_first()) {
            (Source::Absent, _) => At::Absent,
            (Source::Column(_, Convert::Leaf(_, leaf)), None) => At::Leaf(*leaf),
            (Source::Column(_, Convert::Struct(_, sources)), Some((&next, rest))) => {
                sources.get(next).map_or(At::Somewhere, |source| source.at(rest))
            }
            _ => At::Somewhere,
        }
    }

    pub(super) fn renumber(&mut self, new: impl FnOnce(usize) -> usize) {
        if let Source::Column(i, _) = self {
            *i = new(*i);
        }
    }
}

/// How decoded values become those of the table.
pub(super) enum Convert {
    /// As many nulls.
    Nulls(DataType),
    /// With the number of the leaf column in the file.
    Leaf(DataType, usize),
    Struct(Fields, Vec<Source>),
    List(FieldRef, Box<Convert>),
    /// The entries, the keys and the values.
    Map(FieldRef, Box<Convert>, Box<Convert>),
    /// A variant, some of whose values are in columns of their own.
    Shredded(Fields),
}

impl Convert {
    fn apply(&self, array: &ArrayRef) -> Converted {
        let unlike = || format!("decoded as {}", array.data_type());
        match self {
            Convert::Nulls(to) => Ok(new_null_array(to, array.len())),
            Convert::Leaf(to, _) => leaf(array, to),
            Convert::Struct(fields, sources) => {
                let array = array.as_struct_opt().ok_or_else(unlike)?;
                let children = sources.iter().zip(fields).map(|(source, field)| {
                    source.array(array.columns(), field.data_type(), array.len())
                });
                let children = children.collect::<Result<Vec<_>, _>>()?;
                let (fields, nulls) = (fields.clone(), array.nulls().cloned());
                let array = StructArray::try_new_with_length(fields, children, nulls, array.len());
                Ok(Arc::new(array.map_err(text)?))
            }
            Convert::List(element, convert) => {
                let array = array.as_list_opt::<i32>().ok_or_else(unlike)?;
                let values = convert.apply(array.values())?;
                let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
                let array = ListArray::try_new(Arc::clone(element), offsets, values, nulls);
                Ok(Arc::new(array.map_err(text)?))
            }
            Convert::Map(field, keys, values) => {
                let array = array.as_map_opt().ok_or_else(unlike)?;
                let DataType::Struct(fields) = field.data_type() else { return Err(unlike()) };
                let columns = vec![keys.apply(array.keys())?, values.apply(array.values())?];
                let nulls = array.entries().nulls().cloned();
                let entries = StructArray::try_new(fields.clone(), columns, nulls).map_err(text)?;
                let (offsets, nulls) = (array.offsets().clone(), array.nulls().cloned());
                let array = MapArray::try_new(Arc::clone(field), offsets, entries, nulls, false);
                Ok(Arc::new(array.map_err(text)?))
            }
            Convert::Shredded(fields) => {
                let variants = VariantArray::try_new(array).map_err(text)?;
                let whole = unshred_variant(&variants).map_err(text)?;
                let columns = [whole.metadata_column(), whole.value_column()];
                let columns =
                    columns.into_iter().zip(fields).map(|(array, to)| leaf(array, to.data_type()));
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                let array = StructArray::try_new(fields.clone(), columns, array.nulls().cloned());
                Ok(Arc::new(array.map_err(text)?))
            }
        }
    }
}

/// The values of a leaf column as those of the table's type `to`.
pub(super) fn leaf(array: &ArrayRef, to: &DataType) -> Converted {
    use DataType::*;
    let converted: ArrayRef = match (array.data_type(), to) {
        (from, to) if from == to => Arc::clone(array),
        (FixedSizeBinary(_), Timestamp(TimeUnit::Microsecond, _)) => int96(array, to)?,
        (Timestamp(unit, _), Timestamp(TimeUnit::Microsecond, _)) => match unit {
            // Rounded down, before 1970 too, as Spark does.
            TimeUnit::Nanosecond => micros(
                to,
                array.as_primitive::<TimestampNanosecondType>().unary(|ns| ns.div_euclid(1000)),
            ),
            TimeUnit::Microsecond => {
                micros(to, array.as_primitive::<TimestampMicrosecondType>().clone())
            }
            TimeUnit::Millisecond => {
                let array = array.as_primitive::<TimestampMillisecondType>();
                micros(to, checked(array, |ms| ms.checked_mul(1000))?)
            }
            TimeUnit::Second => return Err("seconds were decoded".into()),
        },
        (Date32, Timestamp(TimeUnit::Microsecond, _)) => {
            let array = array.as_primitive::<Date32Type>();
            micros(to, checked(array, |day| i64::from(day).checked_mul(MICROS_A_DAY))?)
        }
        // Spark has no annotations for intervals.
        (Int32, Interval(_)) => {
            Arc::new(array.as_primitive::<Int32Type>().reinterpret_cast::<IntervalYearMonthType>())
        }
        (Int64, Duration(_)) => Arc::new(
            array.as_primitive::<Int64Type>().reinterpret_cast::<DurationMicrosecondType>(),
        ),
        (BinaryView, Utf8 | Binary) => of_views(array.as_binary_view(), None, to)?,
        _ => cast(array, to)?,
    };
    if let Decimal128(precision, _) = to {
        check_digits(converted.as_primitive(), *precision)?;
    }
    Ok(converted)
}

/// Arrow's own conversion, an error where a value has no equal.
fn cast(array: &ArrayRef, to: &DataType) -> Converted {
    let options = CastOptions { safe: false, ..Default::default() };
    cast_with_options(array, to, &options).map_err(text)
}

fn text(error: ArrowError) -> String {
    error.to_string()
}

fn too_far() -> String {
    "a time is too far away for 64 bits of microseconds".into()
}

/// Microseconds, in the zone of the wanted type or in none.
fn micros(to: &DataType, array: PrimitiveArray<TimestampMicrosecondType>) -> ArrayRef {
    match to {
        DataType::Timestamp(_, zone) => Arc::new(array.with_timezone_opt(zone.clone())),
        _ => Arc::new(array),
    }
}

fn checked<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    micros: impl Fn(T::Native) -> Option<i64>,
) -> Result<PrimitiveArray<TimestampMicrosecondType>, String> {
    array.try_unary(|value| micros(value).ok_or_else(too_far))
}

/// The old timestamps: nanoseconds of a day, and the day. The decoder's own
/// conversion wraps around where it should fail.
///
/// Days are counted as they are, here and in dates. So does Spark with files that
/// its version 3 or later wrote without its marker of the old hybrid calendar
/// (`org.apache.spark.legacyINT96`, `legacyDateTime`), and since version 4 with
/// those of other writers. The others it rebases, which moves dates before
/// 15 October 1582 and times before 1900; the protocol knows nothing of that.
fn int96(array: &ArrayRef, to: &DataType) -> Converted {
    let array = array.as_fixed_size_binary();
    let (values, _) = array.value_data().as_chunks::<12>();
    let micros_of = |value: &[u8; 12]| -> Option<i64> {
        let (nanos, day) = value.split_first_chunk::<8>()?;
        let nanos = i64::from_le_bytes(*nanos);
        let day = i64::from(i32::from_le_bytes(*day.first_chunk::<4>()?));
        let midnight = (day - JULIAN_DAY_OF_EPOCH).checked_mul(MICROS_A_DAY)?;
        midnight.checked_add(nanos.div_euclid(1000))
    };
    let mut converted = Vec::with_capacity(array.len());
    for (i, value) in values.iter().enumerate() {
        match micros_of(value) {
            Some(micros) => converted.push(micros),
            None if array.is_null(i) => converted.push(0),
            None => return Err(too_far()),
        }
    }
    let nulls = array.nulls().cloned();
    let converted = PrimitiveArray::try_new(converted.into(), nulls).map_err(text)?;
    Ok(micros(to, converted))
}

/// Checks that decimals have no more digits than their type. A file may hold any
/// number that its bytes have room for.
fn check_digits(array: &PrimitiveArray<Decimal128Type>, precision: u8) -> Result<(), String> {
    let limit = 10_u128.pow(u32::from(precision.min(38)));
    let fits = |value: &i128| value.unsigned_abs() < limit;
    // Without a branch on each value, which is what this usually comes to.
    if array.values().iter().fold(true, |all, value| all & fits(value)) {
        return Ok(());
    }
    match array.iter().flatten().find(|value| !fits(value)) {
        Some(value) => {
            Err(format!("a decimal of {precision} digits has the unscaled value {value}"))
        }
        None => Ok(()),
    }
}

/// Views of bytes as the texts or bytes of the table, those alone that are live.
///
/// Arrow's own filter and conversion go over each value three times; this copies
/// a value once, when it is known to stay, and checks a text when it is there.
fn of_views(array: &BinaryViewArray, live: Option<&Live>, to: &DataType) -> Converted {
    let Copied { ends, bytes, nulls } = copied(array, live)?;
    if *to == DataType::Utf8 {
        return Ok(Arc::new(utf8_array(&ends, bytes.into(), nulls)?));
    }
    let offsets = [0].into_iter().chain(ends).collect::<Vec<i32>>();
    let array = BinaryArray::try_new(OffsetBuffer::new(offsets.into()), bytes.into(), nulls);
    Ok(Arc::new(array.map_err(text)?))
}

/// Values one after the other.
struct Copied {
    ends: Vec<i32>,
    bytes: Vec<u8>,
    nulls: Option<NullBuffer>,
}

fn copied(array: &BinaryViewArray, live: Option<&Live>) -> Result<Copied, String> {
    /// A value of so many bytes lies in its view, behind its length.
    const INLINE: usize = 12;
    let views = array.views();
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    // What is null is an empty value, whatever its view says.
    let view = |i: usize| match nulls {
        Some(nulls) if nulls.is_null(i) => 0,
        _ => views[i],
    };
    let kept: Vec<u128> = match live {
        None => (0..views.len()).map(view).collect(),
        Some(Live { scattered: Some(rows), .. }) => {
            rows.values().iter().map(|&i| view(i as usize)).collect()
        }
        Some(live) => {
            let runs = live.rows.set_slices();
            runs.flat_map(|(begin, end)| begin..end).map(view).collect()
        }
    };
    let count = kept.len();
    // A view's length is in its lowest bits. Arrow's offsets have 31 of them.
    let total: u64 = kept.iter().map(|view| u64::from(*view as u32)).sum();
    if i32::try_from(total).is_err() {
        return Err("the values of a few rows have more than 2 GiB".into());
    }
    let total = total as usize;
    let mut ends = Vec::with_capacity(count);
    let mut bytes: Vec<u8> = Vec::with_capacity(total + INLINE);
    for view in kept {
        let len = view as u32 as usize;
        let end = bytes.len() + len;
        if len <= INLINE {
            // Whole, with what is behind the value: that is faster than to copy just it.
            bytes.extend_from_slice(&view.to_le_bytes()[4..]);
            bytes.truncate(end);
        } else {
            let (block, begin) = ((view >> 64) as u32 as usize, (view >> 96) as usize);
            let value = array.data_buffers().get(block);
            let value = value.and_then(|block| block.get(begin..begin + len));
            bytes.extend_from_slice(value.ok_or("a view leads to no value")?);
        }
        ends.push(end as i32);
    }
    let nulls = match (nulls, live) {
        (Some(nulls), Some(live)) => {
            let bits = BooleanArray::new(nulls.inner().clone(), None);
            let bits = live.filter.filter(&bits).map_err(text)?;
            Some(NullBuffer::new(bits.as_boolean().values().clone()))
        }
        (nulls, _) => nulls.cloned(),
    };
    Ok(Copied { ends, bytes, nulls })
}
