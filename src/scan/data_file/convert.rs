//! What becomes of decoded values.
//!
//! A conversion never loses anything: a value that has no equal in the table's
//! type is an error. Where the types are equal nothing is done at all.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, PrimitiveArray, StructArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, DurationMicrosecondType, FieldRef,
    Fields, Int32Type, Int64Type, IntervalYearMonthType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType,
};
use arrow::error::ArrowError;
use parquet_variant_compute::{VariantArray, unshred_variant};

/// The array, or what is wrong with a value.
type Converted = Result<ArrayRef, String>;

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

impl Source {
    /// The column of `rows` rows, out of what was decoded.
    pub(super) fn array(&self, decoded: &[ArrayRef], to: &DataType, rows: usize) -> Converted {
        match self {
            Source::Absent => Ok(new_null_array(to, rows)),
            Source::Column(i, convert) => match decoded.get(*i) {
                Some(array) => convert.apply(array),
                None => Err("the column was not decoded".into()),
            },
        }
    }
}

impl Source {
    pub(super) fn column(&self) -> Option<usize> {
        match self {
            Source::Absent => None,
            Source::Column(i, _) => Some(*i),
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
    Leaf(DataType),
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
            Convert::Leaf(to) => leaf(array, to),
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

fn leaf(array: &ArrayRef, to: &DataType) -> Converted {
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
        (Utf8View, Utf8) => {
            check_text_bytes(array.as_string_view().views())?;
            cast(array, to)?
        }
        (BinaryView, Binary) => {
            check_text_bytes(array.as_binary_view().views())?;
            cast(array, to)?
        }
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
/// Days are counted as they are: Spark, too, takes a file without its marker of
/// the old hybrid calendar for one of the Gregorian calendar, as it does dates
/// (`spark.sql.parquet.int96RebaseModeInRead` and `datetimeRebaseModeInRead` are
/// `EXCEPTION`, or `CORRECTED` since 4.0, for times before 1900 alone).
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

/// Checks that texts fit a batch: Arrow's offsets are 32-bit, and its conversion
/// panics where they end.
fn check_text_bytes(views: &[u128]) -> Result<(), String> {
    // A view's length is in its low half.
    let bytes: u64 = views.iter().map(|view| u64::from(*view as u32)).sum();
    match i32::try_from(bytes) {
        Ok(_) => Ok(()),
        Err(_) => Err("the values of a few rows have more than 2 GiB".into()),
    }
}
