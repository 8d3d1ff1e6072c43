//! Which rows of a file cannot be wanted, by what the file says of its row groups
//! and pages.
//!
//! Bounds are converted as values are, which keeps their order. What a writer may
//! have meant in another way is not believed: bounds by an order that is not said,
//! and of types whose order writers disagreed about.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, PrimitiveArray,
    UInt32Array, new_null_array,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::lt;
use arrow::compute::{nullif, take};
use arrow::datatypes::{
    DataType as ArrowType, Date32Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use parquet::basic::{ColumnOrder, Type as PhysicalType};
use parquet::bloom_filter::Sbbf;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use super::convert::leaf as convert;
use crate::error::{Error, Result};
use crate::parquet_file::{ChunkPages, ParquetFile, Take};
use crate::predicate::{Asked, Bounds, Key, Outcomes, Question, float_of_key};
use crate::schema::{DataType, arrow_type};

/// The rows of a row group that may be wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kept {
    /// All, each of which is to be asked.
    All,
    /// All, and it is known that they are wanted.
    Wanted,
    /// These alone, each of which is to be asked; none, even.
    Runs(Vec<Range<usize>>),
}

/// What was left out of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::scan) struct Skipped {
    pub(in crate::scan) row_groups: u64,
    pub(in crate::scan) row_groups_skipped: u64,
    pub(in crate::scan) pages_skipped: u64,
    pub(in crate::scan) rows_skipped: u64,
}

/// A leaf column that is asked about.
pub(super) struct AskedLeaf {
    /// Its place among the question's columns.
    pub(super) place: usize,
    pub(super) leaf: usize,
    pub(super) take: Take,
    /// As what it is decoded.
    pub(super) found: ArrowType,
    /// The table's type.
    pub(super) data_type: DataType,
}

/// What is known of a leaf column in some sets of rows, as the file has it.
#[derive(Default)]
struct Raw<'a> {
    lower: Vec<Option<Bound<'a>>>,
    upper: Vec<Option<Bound<'a>>>,
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

/// Finds which rows of `file` may be wanted, by `question`, of each row group.
pub(super) fn kept(
    file: &ParquetFile,
    question: &Question,
    leaves: &[AskedLeaf],
) -> Result<(Vec<Kept>, Skipped)> {
    let groups = file.row_groups().len();
    let rows_of = |i: usize| usize::try_from(file.row_groups()[i].num_rows()).unwrap_or(0);
    let mut asked = nothing(question);
    for leaf in leaves {
        if let Some(asked) = asked.get_mut(leaf.place) {
            *asked = Asked::Bounds(leaf.bounds(file, leaf.of_chunks(file)));
        }
    }
    let outcomes = question.outcomes(groups, &asked)?;
    let mut kept: Vec<Kept> = outcomes
        .iter()
        .map(|outcome| match outcome {
            outcome if outcome.is_true() => Kept::Wanted,
            outcome if outcome.may_be_true() => Kept::All,
            _ => Kept::Runs(Vec::new()),
        })
        .collect();
    let mut skipped = Skipped { row_groups: groups as u64, ..Skipped::default() };

    // What decides nothing for a whole row group may for its pages.
    let open: Vec<usize> = (0..groups).filter(|&i| kept[i] == Kept::All).collect();
    let chunks: Vec<(usize, usize)> =
        open.iter().flat_map(|&i| leaves.iter().map(move |leaf| (i, leaf.leaf))).collect();
    let mut indexes = file.page_indexes(&chunks)?.into_iter();
    for &i in &open {
        let pages: Vec<Option<ChunkPages>> = indexes.by_ref().take(leaves.len()).collect();
        let of_group = of_set(&asked, i)?;
        let Some(runs) = kept_runs(file, question, leaves, &pages, &of_group, rows_of(i))? else {
            continue;
        };
        for pages in pages.iter().flatten() {
            skipped.pages_skipped += pages_outside(&pages.begins, &runs, rows_of(i));
        }
        kept[i] = Kept::Runs(runs);
    }

    for (i, kept) in kept.iter_mut().enumerate() {
        let is_open = match kept {
            Kept::Wanted => false,
            Kept::All => true,
            Kept::Runs(runs) => !runs.is_empty(),
        };
        if is_open && is_ruled_out_by_values(file, question, leaves, &of_set(&asked, i)?, i)? {
            *kept = Kept::Runs(Vec::new());
        }
        if let Kept::Runs(runs) = kept {
            let rows: usize = runs.iter().map(ExactSizeIterator::len).sum();
            skipped.rows_skipped += rows_of(i).saturating_sub(rows) as u64;
            skipped.row_groups_skipped += u64::from(runs.is_empty());
        }
    }
    Ok((kept, skipped))
}

fn nothing(question: &Question) -> Vec<Asked> {
    question.columns().iter().map(|_| Asked::Nothing).collect()
}

/// What is known of one of some sets.
fn of_set(asked: &[Asked], set: usize) -> Result<Vec<Asked>> {
    let set = u32::try_from(set).map_err(|_| Error::bug("a file of so many row groups"))?;
    let set = UInt32Array::from(vec![set]);
    asked
        .iter()
        .map(|asked| match asked {
            Asked::Bounds(bounds) => of_sets(bounds, &set).map(Asked::Bounds),
            _ => Ok(Asked::Nothing),
        })
        .collect()
}

/// The bounds of these sets, one or more times each.
fn of_sets(bounds: &Bounds, sets: &UInt32Array) -> Result<Bounds> {
    let taken =
        |array: &ArrayRef| take(array, sets, None).map_err(|e| Error::bug(format!("bounds: {e}")));
    let bits = |bits: &BooleanBuffer| {
        let at = |i: usize| bits.value(sets.value(i) as usize);
        BooleanBuffer::collect_bool(sets.len(), at)
    };
    Ok(Bounds {
        lower: taken(&bounds.lower)?,
        upper: taken(&bounds.upper)?,
        may_be_null: bits(&bounds.may_be_null),
        may_be_value: bits(&bounds.may_be_value),
    })
}

/// The rows of a row group that may be wanted by the page indexes of its leaves;
/// `None` where all may. Pages of one column end elsewhere than another's: a set of
/// rows that is asked about is of one page of each.
fn kept_runs(
    file: &ParquetFile,
    question: &Question,
    leaves: &[AskedLeaf],
    pages: &[Option<ChunkPages>],
    of_group: &[Asked],
    rows: usize,
) -> Result<Option<Vec<Range<usize>>>> {
    let mut by_page = Vec::new();
    for (leaf, pages) in leaves.iter().zip(pages) {
        if let Some(pages) = pages {
            let bounds = leaf.bounds(file, leaf.of_pages(file, pages, rows));
            by_page.push((leaf.place, &pages.begins, bounds));
        }
    }
    if by_page.is_empty() {
        return Ok(None);
    }
    let mut begins: Vec<usize> =
        by_page.iter().flat_map(|(_, begins, _)| begins.iter().copied()).collect();
    begins.sort_unstable();
    begins.dedup();
    let sets = |of: &dyn Fn(usize) -> usize| -> Result<UInt32Array> {
        let places = begins.iter().map(|&begin| u32::try_from(of(begin)));
        let places = places.collect::<std::result::Result<Vec<u32>, _>>();
        Ok(places.map_err(|_| Error::bug("an index of so many pages"))?.into())
    };
    let one = sets(&|_| 0)?;
    let mut asked = Vec::with_capacity(of_group.len());
    for (place, of_group) in of_group.iter().enumerate() {
        let of_pages = by_page.iter().find(|(of, _, _)| *of == place);
        asked.push(match (of_pages, of_group) {
            (Some((_, of, bounds)), _) => {
                // The page that has the set's first row, and so all of them.
                let page = |begin| of.partition_point(|&first| first <= begin).saturating_sub(1);
                Asked::Bounds(of_sets(bounds, &sets(&page)?)?)
            }
            (None, Asked::Bounds(bounds)) => Asked::Bounds(of_sets(bounds, &one)?),
            _ => Asked::Nothing,
        });
    }
    let outcomes = question.outcomes(begins.len(), &asked)?;
    let ends = begins.iter().copied().skip(1).chain([rows]);
    let mut runs: Vec<Range<usize>> = Vec::new();
    for ((&begin, end), outcome) in begins.iter().zip(ends).zip(outcomes) {
        if !outcome.may_be_true() || begin >= end {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == begin => run.end = end,
            _ => runs.push(begin..end),
        }
    }
    Ok(if runs == [0..rows] { None } else { Some(runs) })
}

/// How many of the pages have no row of `runs`.
fn pages_outside(begins: &[usize], runs: &[Range<usize>], rows: usize) -> u64 {
    let ends = begins.iter().copied().skip(1).chain([rows]);
    let is_outside = |begin: usize, end: usize| {
        let after = runs.partition_point(|run| run.end <= begin);
        runs.get(after).is_none_or(|run| run.start >= end)
    };
    begins.iter().zip(ends).filter(|&(&begin, end)| is_outside(begin, end)).count() as u64
}

/// Whether Bloom filters say that a row group has none of the values that are asked
/// for. They are read only where that would decide.
fn is_ruled_out_by_values(
    file: &ParquetFile,
    question: &Question,
    leaves: &[AskedLeaf],
    asked: &[Asked],
    row_group: usize,
) -> Result<bool> {
    let group = &file.row_groups()[row_group];
    let has_filter = |leaf: &&AskedLeaf| group.column(leaf.leaf).bloom_filter_offset().is_some();
    let leaves: Vec<&AskedLeaf> = leaves.iter().filter(has_filter).collect();
    let of_place = |place: usize| leaves.iter().find(|leaf| leaf.place == place);
    let decides = |lacks: &mut dyn FnMut(usize, Key<'_>) -> bool| -> Result<bool> {
        let outcomes = question.without(lacks).outcomes(1, asked)?;
        Ok(!outcomes.first().copied().is_none_or(Outcomes::may_be_true))
    };
    if leaves.is_empty() || !decides(&mut |place, _| of_place(place).is_some())? {
        return Ok(false);
    }
    let mut filters = Vec::with_capacity(leaves.len());
    for leaf in &leaves {
        filters.push(file.bloom_filter(row_group, leaf.leaf)?);
    }
    decides(&mut |place, key| {
        let mut known = leaves.iter().zip(&filters);
        match known.find(|(leaf, _)| leaf.place == place) {
            Some((leaf, Some(filter))) => leaf.lacks(file, filter, key),
            _ => false,
        }
    })
}

impl AskedLeaf {
    /// What is known of its row groups.
    fn of_chunks<'a>(&self, file: &'a ParquetFile) -> Raw<'a> {
        let column = file.column(self.leaf);
        let is_required = column.max_def_level() == 0;
        let mut raw = Raw::default();
        for group in file.row_groups() {
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let statistics = group.column(self.leaf).statistics();
            let nulls = statistics.and_then(Statistics::null_count_opt);
            let nulls = nulls.filter(|&nulls| nulls <= rows);
            // The old bounds are of signed numbers, whatever they are bounds of.
            let believed =
                statistics.filter(|s| self.has_known_order(file, s.is_min_max_deprecated()));
            raw.lower.push(believed.and_then(|s| bound(s.physical_type(), s.min_bytes_opt()?)));
            raw.upper.push(believed.and_then(|s| bound(s.physical_type(), s.max_bytes_opt()?)));
            raw.may_be_null.push(!is_required && nulls != Some(0));
            raw.may_be_value.push(nulls.is_none_or(|nulls| nulls < rows));
        }
        raw
    }

    /// What is known of the pages of a chunk of `rows` rows.
    fn of_pages<'a>(&self, file: &ParquetFile, pages: &'a ChunkPages, rows: usize) -> Raw<'a> {
        let is_required = file.column(self.leaf).max_def_level() == 0;
        let has_known_order = self.has_known_order(file, false);
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
            raw.may_be_null.push(!is_required && nulls != Some(0));
            raw.may_be_value.push(!is_null);
        }
        raw
    }

    /// Whether it is known what order its bounds are of. Signed numbers have but one.
    fn has_known_order(&self, file: &ParquetFile, is_old: bool) -> bool {
        let is_by_type =
            matches!(file.column_order(self.leaf), Some(ColumnOrder::TYPE_DEFINED_ORDER(_)));
        match self.found {
            ArrowType::Boolean
            | ArrowType::Int8
            | ArrowType::Int16
            | ArrowType::Int32
            | ArrowType::Int64
            | ArrowType::Date32
            | ArrowType::Timestamp(..)
            | ArrowType::Float32
            | ArrowType::Float64 => true,
            ArrowType::Decimal128(..) => match file.physical_type(self.leaf) {
                PhysicalType::INT32 | PhysicalType::INT64 => true,
                // By the bytes or by the number: writers differed.
                PhysicalType::FIXED_LEN_BYTE_ARRAY => is_by_type && !is_old,
                _ => false,
            },
            _ => is_by_type && !is_old,
        }
    }

    /// The bounds as the table's type has them.
    fn bounds(&self, file: &ParquetFile, raw: Raw<'_>) -> Bounds {
        let sets = raw.may_be_null.len();
        let to = match self.data_type {
            // Bounds of text need not be text.
            DataType::String | DataType::Binary => ArrowType::Binary,
            ref data_type => arrow_type(data_type),
        };
        let converted = |bounds: &[Option<Bound<'_>>]| {
            let array = self.array(file, bounds)?;
            convert(&array, &to).ok()
        };
        let bounds = converted(&raw.lower).zip(converted(&raw.upper));
        let sound = bounds.and_then(|(lower, upper)| {
            // Whoever wrote bounds that cross meant something else by them.
            let crossed = lt(&upper, &lower).ok()?;
            Some((nullif(&lower, &crossed).ok()?, nullif(&upper, &crossed).ok()?))
        });
        let unknown = || new_null_array(&to, sets);
        let (lower, upper) = sound.unwrap_or_else(|| (unknown(), unknown()));
        Bounds {
            lower,
            upper,
            may_be_null: raw.may_be_null.into(),
            may_be_value: raw.may_be_value.into(),
        }
    }

    /// The bounds as values of the column are decoded; `None` where they are of a
    /// type whose order is another.
    fn array(&self, file: &ParquetFile, bounds: &[Option<Bound<'_>>]) -> Option<ArrayRef> {
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
        let is_wide = file.physical_type(self.leaf) == PhysicalType::INT64;
        let unsigned = |int: i64| if is_wide { int as u64 } else { u64::from(int as u32) };
        Some(match &self.found {
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
            ArrowType::Timestamp(unit, zone) if self.take == Take::Annotated => match unit {
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
                let length = usize::try_from(file.column(self.leaf).type_length()).ok()?;
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

    /// Whether a Bloom filter of the column's values says that none is `key`.
    fn lacks(&self, file: &ParquetFile, filter: &Sbbf, key: Key<'_>) -> bool {
        use ArrowType as A;
        let physical_type = file.physical_type(self.leaf);
        // As the file has it: a number that it has no room for, it has not.
        let lacks_int = |int: Option<i128>| match physical_type {
            PhysicalType::INT32 => {
                let int = int.and_then(|int| i32::try_from(int).ok());
                int.is_none_or(|int| !filter.check(&int))
            }
            PhysicalType::INT64 => {
                let int = int.and_then(|int| i64::try_from(int).ok());
                int.is_none_or(|int| !filter.check(&int))
            }
            _ => false,
        };
        match (&self.found, &self.data_type, key) {
            (A::Utf8 | A::Binary, DataType::String | DataType::Binary, Key::Bytes(bytes)) => {
                physical_type == PhysicalType::BYTE_ARRAY && !filter.check(bytes)
            }
            (
                A::Int8 | A::Int16 | A::Int32 | A::Int64,
                DataType::Byte | DataType::Short | DataType::Integer | DataType::Long,
                Key::Int(int),
            )
            | (A::Date32, DataType::Date, Key::Int(int))
            | (A::Int32, DataType::Date, Key::Int(int))
            | (
                A::Timestamp(TimeUnit::Microsecond, _),
                DataType::Timestamp | DataType::TimestampNtz,
                Key::Int(int),
            ) => lacks_int(Some(int.into())),
            (
                A::Timestamp(TimeUnit::Millisecond, _),
                DataType::Timestamp | DataType::TimestampNtz,
                Key::Int(micros),
            ) => lacks_int((micros % 1000 == 0).then_some(i128::from(micros / 1000))),
            (A::Float32, DataType::Float | DataType::Double, Key::Int(key)) => {
                let wide = float_of_key(key);
                let value = wide as f32;
                match value {
                    _ if wide.is_nan() => false,
                    0.0 if wide == 0.0 => !filter.check(&0.0_f32) && !filter.check(&-0.0_f32),
                    value => f64::from(value) != wide || !filter.check(&value),
                }
            }
            (A::Float64, DataType::Double, Key::Int(key)) => match float_of_key(key) {
                value if value.is_nan() => false,
                0.0 => !filter.check(&0.0_f64) && !filter.check(&-0.0_f64),
                value => !filter.check(&value),
            },
            (A::Decimal128(_, found), DataType::Decimal { scale, .. }, Key::Decimal(unscaled)) => {
                let more = i32::from(*scale) - i32::from(*found);
                let Ok(more) = u32::try_from(more) else { return false };
                let Some(ten) = 10_i128.checked_pow(more) else { return false };
                let of_file = (unscaled % ten == 0).then_some(unscaled / ten);
                let length = file.column(self.leaf).type_length();
                match (physical_type, usize::try_from(length)) {
                    (PhysicalType::FIXED_LEN_BYTE_ARRAY, Ok(length @ 1..=16)) => {
                        let bytes = of_file.map(i128::to_be_bytes);
                        let bytes = bytes.as_ref().map(|bytes| &bytes[16 - length..]);
                        // What does not fit into so many bytes is not what they say.
                        let bytes = bytes.filter(|bytes| number(bytes) == of_file);
                        bytes.is_none_or(|bytes| !filter.check(bytes))
                    }
                    _ => lacks_int(of_file),
                }
            }
            _ => false,
        }
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
fn number(bytes: &[u8]) -> Option<i128> {
    let (&first, _) = bytes.split_first().filter(|_| bytes.len() <= 16)?;
    let sign = if first < 0x80 { 0 } else { -1 };
    Some(bytes.iter().fold(sign, |number, &byte| number << 8 | i128::from(byte)))
}
