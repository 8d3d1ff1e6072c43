//! What a file says of the values of a leaf column: in its row groups, by their
//! statistics, and in the pages of one, by the page index.
//!
//! What a writer may have meant in another way is not believed: bounds by an order
//! that is not said, and of types whose order writers disagreed about.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, PrimitiveArray,
};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use parquet::basic::{ColumnOrder, Type as PhysicalType};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::{ChunkPages, ParquetFile};

/// What is known of a leaf column in some sets of rows.
pub(crate) struct LeafBounds {
    /// The least and the greatest values, as the column is decoded but that text may be
    /// bytes; null where they are not known, and nothing where none is.
    pub(crate) ends: Option<(ArrayRef, ArrayRef)>,
    /// How many values are null, where that is said.
    pub(crate) nulls: Vec<Option<u64>>,
    /// Whether a value may be null, and whether one may be none.
    pub(crate) may_be_null: Vec<bool>,
    pub(crate) may_be_value: Vec<bool>,
}

/// What is known of a leaf column in some sets of rows, as the file has it.
#[derive(Default)]
struct Raw<'a> {
    lower: Vec<Option<Bound<'a>>>,
    upper: Vec<Option<Bound<'a>>>,
    nulls: Vec<Option<u64>>,
    may_be_null: Vec<bool>,
    may_be_value: Vec<bool>,
}

/// A bound of a leaf column's values.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound<'a> {
    Bool(bool),
    Int(i64),
    Float(f32),
    Double(f64),
    Bytes(&'a [u8]),
}

impl ParquetFile {
    /// The bounds of a leaf column in each row group; `found` is as what its values are
    /// decoded.
    pub(crate) fn bounds_of_chunks(&self, leaf: usize, found: &ArrowType) -> LeafBounds {
        let column = self.column(leaf);
        let is_required = column.max_def_level() == 0;
        let mut raw = Raw::default();
        for group in self.row_groups() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let statistics = group.column(leaf).statistics();
            let nulls = statistics.and_then(Statistics::null_count_opt);
            let nulls = nulls.filter(|&nulls| nulls <= rows);
            // The old bounds are of signed numbers, whatever they are bounds of.
            let believed =
                statistics.filter(|s| self.has_known_order(leaf, found, s.is_min_max_deprecated()));
            raw.lower.push(believed.and_then(|s| bound(s.physical_type(), s.min_bytes_opt()?)));
            raw.upper.push(believed.and_then(|s| bound(s.physical_type(), s.max_bytes_opt()?)));
            raw.nulls.push(nulls);
            raw.may_be_null.push(!is_required && nulls != Some(0));
            raw.may_be_value.push(nulls.is_none_or(|nulls| nulls < rows));
        }
        self.leaf_bounds(leaf, found, &raw)
    }

    /// The same of the pages of a chunk of `rows` rows.
    pub(crate) fn bounds_of_pages(
        &self,
        leaf: usize,
        found: &ArrowType,
        pages: &ChunkPages,
        rows: usize,
    ) -> LeafBounds {
        let is_required = self.column(leaf).max_def_level() == 0;
        let has_known_order = self.has_known_order(leaf, found, false);
        let mut raw = Raw::default();
        let ends = pages.begins.iter().copied().skip(1).chain([rows]);
        for (page, (&begin, end)) in pages.begins.iter().zip(ends).enumerate() {
            let rows = end.saturating_sub(begin) as u64;
            let nulls = pages.index.null_count(page).and_then(|nulls| u64::try_from(nulls).ok());
            let nulls = nulls.filter(|&nulls| nulls <= rows);
            // A page that is said to be null throughout, and not to have as many nulls.
            let is_null = pages.index.is_null_page(page) && nulls.is_none_or(|nulls| nulls == rows);
            let (lower, upper) = match pages.index.is_null_page(page) || !has_known_order {
                true => (None, None),
                false => page_bounds(&pages.index, page),
            };
            raw.lower.push(lower);
            raw.upper.push(upper);
            raw.nulls.push(nulls);
            raw.may_be_null.push(!is_required && nulls != Some(0));
            raw.may_be_value.push(!is_null);
        }
        self.leaf_bounds(leaf, found, &raw)
    }

    /// Whether it is known what order its bounds are of. Signed numbers have but one.
    fn has_known_order(&self, leaf: usize, found: &ArrowType, is_old: bool) -> bool {
        let is_by_type =
            matches!(self.column_order(leaf), Some(ColumnOrder::TYPE_DEFINED_ORDER(_)));
        match found {
            ArrowType::Boolean
            | ArrowType::Int8
            | ArrowType::Int16
            | ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Date32
            | ArrowType::Timestamp(..)
            | ArrowType::Float32
            | ArrowType::Float64 => true,
            ArrowType::Decimal128(..) => match self.physical_type(leaf) {
                PhysicalType::INT32 | PhysicalType::INT64 => true,
                // By the bytes or by the number: writers differed.
                PhysicalType::FIXED_LEN_BYTE_ARRAY => is_by_type && !is_old,
                _ => false,
            },
            _ => is_by_type && !is_old,
        }
    }

    fn leaf_bounds(&self, leaf: usize, found: &ArrowType, raw: &Raw<'_>) -> LeafBounds {
        let array = |bounds: &[_]| self.bounds_array(leaf, found, bounds);
        LeafBounds {
            ends: array(&raw.lower).zip(array(&raw.upper)),
            nulls: raw.nulls.clone(),
            may_be_null: raw.may_be_null.clone(),
            may_be_value: raw.may_be_value.clone(),
        }
    }

    /// The bounds as values of the column are decoded; `None` where they are of a
    /// type whose order is another.
    fn bounds_array(
        &self,
        leaf: usize,
        found: &ArrowType,
        bounds: &[Option<Bound<'_>>],
    ) -> Option<ArrayRef> {
        fn ints<T: ArrowPrimitiveType>(
            bounds: &[Option<Bound<'_>>],
            of: impl Fn(i64) -> Option<T::Native>,
        ) -> PrimitiveArray<T> {
            let of = |bound: &Option<Bound<'_>>| match bound {
                Some(Bound::Int(int)) => of(*int),
                _ => None,
            };
            bounds.iter().map(of).collect()
        }
        // An unsigned number's bits are those of a signed one of the column's width.
        let is_wide = self.physical_type(leaf) == PhysicalType::INT64;
        let unsigned = |int: i64| if is_wide { int as u64 } else { u64::from(int as u32) };
        Some(match found {
            ArrowType::Boolean => {
                let bounds = bounds.iter().map(|bound| match bound {
                    Some(Bound::Bool(value)) => Some(*value),
                    _ => None,
                });
                Arc::new(bounds.collect::<BooleanArray>())
            }
            ArrowType::Int8 => Arc::new(ints::<Int8Type>(bounds, |int| int.try_into().ok())),
            ArrowType::Int16 => Arc::new(ints::<Int16Type>(bounds, |int| int.try_into().ok())),
            ArrowType::Int32 => Arc::new(ints::<Int32Type>(bounds, |int| int.try_into().ok())),
            ArrowType::Int64 => Arc::new(ints::<Int64Type>(bounds, Some)),
            ArrowType::UInt8 => {
                Arc::new(ints::<UInt8Type>(bounds, |int| unsigned(int).try_into().ok()))
            }
            ArrowType::UInt16 => {
                Arc::new(ints::<UInt16Type>(bounds, |int| unsigned(int).try_into().ok()))
            }
            ArrowType::UInt32 => {
                Arc::new(ints::<UInt32Type>(bounds, |int| unsigned(int).try_into().ok()))
            }
            ArrowType::UInt64 => Arc::new(ints::<UInt64Type>(bounds, |int| Some(unsigned(int)))),
            ArrowType::Date32 => Arc::new(ints::<Date32Type>(bounds, |int| int.try_into().ok())),
            ArrowType::Timestamp(unit, zone) => match unit {
                TimeUnit::Second => return None,
                TimeUnit::Millisecond => Arc::new(
                    ints::<TimestampMillisecondType>(bounds, Some).with_timezone_opt(zone.clone()),
                ),
                TimeUnit::Microsecond => Arc::new(
                    ints::<TimestampMicrosecondType>(bounds, Some).with_timezone_opt(zone.clone()),
                ),
                TimeUnit::Nanosecond => Arc::new(
                    ints::<TimestampNanosecondType>(bounds, Some).with_timezone_opt(zone.clone()),
                ),
            },
            ArrowType::Float32 => {
                let bounds = bounds.iter().map(|bound| match bound {
                    Some(Bound::Float(value)) => Some(*value),
                    _ => None,
                });
                Arc::new(bounds.collect::<PrimitiveArray<Float32Type>>())
            }
            ArrowType::Float64 => {
                let bounds = bounds.iter().map(|bound| match bound {
                    Some(Bound::Double(value)) => Some(*value),
                    _ => None,
                });
                Arc::new(bounds.collect::<PrimitiveArray<Float64Type>>())
            }
            ArrowType::Decimal128(precision, scale) => {
                let length = usize::try_from(self.column(leaf).type_length()).unwrap_or(0);
                let bounds = bounds.iter().map(|bound| match bound {
                    Some(Bound::Int(int)) => Some(i128::from(*int)),
                    // A part of one says nothing of the whole.
                    Some(Bound::Bytes(bytes)) if bytes.len() == length => number(bytes),
                    _ => None,
                });
                let bounds: Decimal128Array = bounds.collect();
                Arc::new(bounds.with_precision_and_scale(*precision, *scale).ok()?)
            }
            ArrowType::Utf8 | ArrowType::Binary => {
                let bounds = bounds.iter().map(|bound| match bound {
                    Some(Bound::Bytes(bytes)) => Some(*bytes),
                    _ => None,
                });
                Arc::new(bounds.collect::<BinaryArray>())
            }
            _ => return None,
        })
    }
}

/// A bound in the plain encoding.
fn bound(physical_type: PhysicalType, bytes: &[u8]) -> Option<Bound<'_>> {
    Some(match physical_type {
        PhysicalType::BOOLEAN => Bound::Bool(*bytes.first()? != 0),
        PhysicalType::INT32 => Bound::Int(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        PhysicalType::INT64 => Bound::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        PhysicalType::FLOAT => Bound::Float(f32::from_le_bytes(bytes.try_into().ok()?)),
        PhysicalType::DOUBLE => Bound::Double(f64::from_le_bytes(bytes.try_into().ok()?)),
        PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY => Bound::Bytes(bytes),
        PhysicalType::INT96 => return None,
    })
}

/// The lower and the upper bound of a page that is not null throughout.
fn page_bounds(index: &ColumnIndexMetaData, page: usize) -> (Option<Bound<'_>>, Option<Bound<'_>>) {
    use ColumnIndexMetaData as I;
    fn both<'a, T>(
        lower: Option<T>,
        upper: Option<T>,
        bound: impl Fn(T) -> Bound<'a>,
    ) -> (Option<Bound<'a>>, Option<Bound<'a>>) {
        (lower.map(&bound), upper.map(&bound))
    }
    match index {
        I::BOOLEAN(of) => both(of.min_value(page), of.max_value(page), |&v| Bound::Bool(v)),
        I::INT32(of) => both(of.min_value(page), of.max_value(page), |&v| Bound::Int(v.into())),
        I::INT64(of) => both(of.min_value(page), of.max_value(page), |&v| Bound::Int(v)),
        I::FLOAT(of) => both(of.min_value(page), of.max_value(page), |&v| Bound::Float(v)),
        I::DOUBLE(of) => both(of.min_value(page), of.max_value(page), |&v| Bound::Double(v)),
        I::BYTE_ARRAY(of) | I::FIXED_LEN_BYTE_ARRAY(of) => {
            both(of.min_value(page), of.max_value(page), Bound::Bytes)
        }
        I::INT96(_) => (None, None),
    }
}

/// A number of up to sixteen bytes, the highest first.
pub(crate) fn number(bytes: &[u8]) -> Option<i128> {
    let (&first, _) = bytes.split_first().filter(|_| bytes.len() <= 16)?;
    let sign = if first < 0x80 { 0 } else { -1 };
    Some(bytes.iter().fold(sign, |number, &byte| number << 8 | i128::from(byte)))
}
