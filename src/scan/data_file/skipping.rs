//! Which rows of a file cannot be wanted, by what the file says of its row groups
//! and pages.
//!
//! Bounds are converted as values are, which keeps their order.

use std::ops::Range;

use arrow::array::{ArrayRef, UInt32Array, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp::lt;
use arrow::compute::{nullif, take};
use arrow::datatypes::{DataType as ArrowType, TimeUnit};
use parquet::basic::Type as PhysicalType;
use parquet::bloom_filter::Sbbf;

use super::convert::leaf as convert;
use crate::error::{Error, Result};
use crate::parquet_file::{ChunkPages, LeafBounds, ParquetFile, Take, number};
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
            *asked = Asked::Bounds(leaf.bounds(file.bounds_of_chunks(leaf.leaf, &leaf.found)));
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
            let bounds = leaf.bounds(file.bounds_of_pages(leaf.leaf, &leaf.found, pages, rows));
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
    let is_all = matches!(&runs[..], [run] if *run == (0..rows));
    Ok((!is_all).then_some(runs))
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
    /// The bounds as the table's type has them.
    fn bounds(&self, of: LeafBounds) -> Bounds {
        let sets = of.nulls.len();
        let to = match self.data_type {
            // Bounds of text need not be text.
            DataType::String | DataType::Binary => ArrowType::Binary,
            ref data_type => arrow_type(data_type),
        };
        // A time that is not annotated as one is of an order of its own.
        let is_ordered =
            self.take == Take::Annotated || !matches!(self.found, ArrowType::Timestamp(..));
        let bounds = of.ends.filter(|_| is_ordered).and_then(|(lower, upper)| {
            Some((convert(&lower, &to).ok()?, convert(&upper, &to).ok()?))
        });
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
            may_be_null: of.may_be_null.into(),
            may_be_value: of.may_be_value.into(),
        }
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
