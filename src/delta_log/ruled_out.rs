//! Which pieces of a checkpoint have no file that a predicate may want, by what the
//! checkpoint's own statistics say of its columns `partitionValues_parsed` and
//! `stats_parsed`: the least of the least values, and the greatest of the greatest.
//!
//! They speak of the values that are there. So they are believed only where every add
//! has one: in a page without nulls, or a row group with as many as it has rows of
//! other actions.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{cast, nullif, take};
use arrow::datatypes::{DataType as ArrowType, Int64Type};

use super::checkpoint_adds::{PARTITION_PARSED, STATS_PARSED};
use super::skipping::{Skipping, as_partition_values};
use super::stats::PARSED;
use crate::error::{Error, Result};
use crate::parquet_file::{ChunkPages, LeafBounds, ParquetFile, Piece};
use crate::predicate::{AskedColumn, Bounds};

/// Where a checkpoint has what is known of a column, by leaf.
enum Leaves {
    Partition(Option<usize>),
    /// Of `minValues`, `maxValues` and `nullCount`.
    Stats([Option<usize>; 3]),
}

/// What is known of a leaf column in each of some sets of rows.
struct Known {
    lower: ArrayRef,
    upper: ArrayRef,
    /// Whether every add of the set has a value.
    every: Vec<bool>,
}

/// The `pieces` of `file` that may have files that are wanted; `path` is the leaf that
/// every add has. Whether its struct of partition values is to be believed says
/// `has_partition`.
pub(super) fn pieces_kept(
    file: &ParquetFile,
    skipping: &Skipping,
    has_partition: bool,
    path: usize,
    mut pieces: Vec<Piece>,
) -> Result<Vec<Piece>> {
    let asked = skipping.columns().iter().map(|column| match column.partition {
        Some(_) if !has_partition => Leaves::Partition(None),
        _ => Leaves::of(file, column),
    });
    let asked: Vec<Leaves> = asked.collect();
    let leaves: Vec<usize> = asked.iter().flat_map(Leaves::all).collect();
    let found: HashMap<usize, ArrowType> =
        leaves.iter().filter_map(|&leaf| Some((leaf, file.arrow_type(leaf)?))).collect();
    if found.is_empty() {
        return Ok(pieces);
    }
    // As many rows of a row group are of other actions.
    let others = file.bounds_of_chunks(path, &ArrowType::Utf8).nulls;
    let of_chunks = found.iter().filter_map(|(&leaf, found)| {
        let bounds = file.bounds_of_chunks(leaf, found);
        let every = bounds.nulls.iter().zip(&others);
        let every = every.map(|(nulls, others)| nulls.is_some() && nulls == others).collect();
        Some((leaf, Known::of(bounds, every)?))
    });
    let of_chunks: HashMap<usize, Known> = of_chunks.collect();
    let groups = may_be_wanted(skipping, &asked, &of_chunks, file.row_groups().len())?;
    pieces.retain(|piece| groups[piece.row_group]);

    let mut open: Vec<usize> = pieces.iter().map(|piece| piece.row_group).collect();
    open.dedup();
    let chunks: Vec<(usize, usize)> =
        open.iter().flat_map(|&group| found.keys().map(move |&leaf| (group, leaf))).collect();
    let mut indexes = file.page_indexes(&chunks)?.into_iter();
    let mut wanted = HashMap::new();
    for group in open {
        let pages: Vec<(usize, ChunkPages)> = found
            .keys()
            .zip(indexes.by_ref())
            .filter_map(|(&leaf, pages)| Some((leaf, pages?)))
            .collect();
        let rows = usize::try_from(file.row_groups()[group].num_rows()).unwrap_or(0);
        let mut begins: Vec<usize> =
            pages.iter().flat_map(|(_, pages)| pages.begins.iter().copied()).collect();
        begins.sort_unstable();
        begins.dedup();
        // A set of rows is of one page of each leaf.
        let mut known = HashMap::new();
        for (leaf, pages) in &pages {
            let bounds = file.bounds_of_pages(*leaf, &found[leaf], pages, rows);
            let whole = of_chunks.get(leaf).is_some_and(|known| known.every[group]);
            let every = bounds.nulls.iter().map(|nulls| whole || *nulls == Some(0)).collect();
            if let Some(of_pages) = Known::of(bounds, every) {
                known.insert(*leaf, of_pages.of_sets(&begins, &pages.begins)?);
            }
        }
        let sets = may_be_wanted(skipping, &asked, &known, begins.len())?;
        let ends = begins.iter().copied().skip(1).chain([rows]);
        let runs = begins.iter().copied().zip(ends).zip(sets);
        let runs = runs.filter(|(_, is_wanted)| *is_wanted).map(|((begin, end), _)| begin..end);
        if !begins.is_empty() {
            wanted.insert(group, runs.collect::<Vec<Range<usize>>>());
        }
    }
    pieces.retain(|piece| {
        let Some(runs) = wanted.get(&piece.row_group) else { return true };
        let after = runs.partition_point(|run| run.end <= piece.rows.start);
        runs.get(after).is_some_and(|run| run.start < piece.rows.end)
    });
    Ok(pieces)
}

impl Leaves {
    fn of(file: &ParquetFile, column: &AskedColumn) -> Leaves {
        if column.partition.is_some() {
            let name = column.physical.first().map(String::as_str);
            let found = file
                .leaves(|path| matches!(path, ["add", PARTITION_PARSED, of] if Some(*of) == name));
            return Leaves::Partition(found.first().copied());
        }
        Leaves::Stats(PARSED.map(|object| {
            let found = file.leaves(|path| match path {
                ["add", STATS_PARSED, of, path @ ..] => *of == object && path == column.physical,
                _ => false,
            });
            found.first().copied()
        }))
    }

    fn all(&self) -> impl Iterator<Item = usize> {
        let leaves: &[Option<usize>] = match self {
            Leaves::Partition(leaf) => std::slice::from_ref(leaf),
            Leaves::Stats(leaves) => leaves,
        };
        leaves.iter().copied().flatten()
    }
}

impl Known {
    fn of(bounds: LeafBounds, every: Vec<bool>) -> Option<Known> {
        let (lower, upper) = bounds.ends?;
        Some(Known { lower, upper, every })
    }

    /// What is known of sets of rows that begin at `begins`, by the page of each.
    fn of_sets(&self, begins: &[usize], pages: &[usize]) -> Result<Known> {
        let page = |begin: &usize| pages.partition_point(|first| first <= begin).saturating_sub(1);
        let places: Vec<usize> = begins.iter().map(page).collect();
        let indexes = places.iter().map(|&page| u32::try_from(page));
        let indexes = indexes.collect::<std::result::Result<Vec<u32>, _>>();
        let indexes =
            UInt32Array::from(indexes.map_err(|_| Error::bug("an index of so many pages"))?);
        let taken = |array: &ArrayRef| {
            take(array, &indexes, None).map_err(|e| Error::bug(format!("bounds of pages: {e}")))
        };
        Ok(Known {
            lower: taken(&self.lower)?,
            upper: taken(&self.upper)?,
            every: places.iter().map(|&page| self.every[page]).collect(),
        })
    }

    /// An end, null where not every add has a value.
    fn believed(&self, end: &ArrayRef) -> Option<ArrayRef> {
        let unknown: BooleanArray = self.every.iter().map(|every| Some(!every)).collect();
        nullif(end, &unknown).ok()
    }
}

/// Whether each of `sets` sets of rows may have a file that is wanted, by what is
/// `known` of leaves.
fn may_be_wanted(
    skipping: &Skipping,
    asked: &[Leaves],
    known: &HashMap<usize, Known>,
    sets: usize,
) -> Result<Vec<bool>> {
    let known = |leaf: Option<usize>| known.get(&leaf?);
    let mut place = 0;
    let bounds = skipping.columns().iter().zip(asked).map(|(column, leaves)| match leaves {
        Leaves::Partition(leaf) => partition_bounds(column, known(*leaf)?),
        Leaves::Stats([lower, upper, null_count]) => {
            let lower = known(*lower).and_then(|known| known.believed(&known.lower));
            let upper = known(*upper).and_then(|known| known.believed(&known.upper));
            let null_count = known(*null_count).and_then(|known| known.believed(&known.upper));
            let ends = skipping.stats.of_many_ends(place, lower, upper, sets);
            place += 1;
            let (lower, upper) = ends;
            let nulls = null_count.and_then(|nulls| cast(&nulls, &ArrowType::Int64).ok());
            let has_none = |set: usize| {
                let nulls = nulls.as_ref().map(|nulls| nulls.as_primitive::<Int64Type>());
                nulls.is_some_and(|nulls| nulls.is_valid(set) && nulls.value(set) == 0)
            };
            Some(Bounds {
                lower,
                upper,
                may_be_null: BooleanBuffer::collect_bool(sets, |set| !has_none(set)),
                may_be_value: BooleanBuffer::new_set(sets),
            })
        }
    });
    skipping.may_be_wanted(sets, bounds.collect())
}

/// The bounds of partition values: what is not null has a value.
fn partition_bounds(column: &AskedColumn, known: &Known) -> Option<Bounds> {
    let end = |end: &ArrayRef| as_partition_values(&known.believed(end)?, column);
    let (lower, upper) = (end(&known.lower)?, end(&known.upper)?);
    // An empty text is a null ("Partition Value Serialization").
    let may_be_empty = |set: usize| match lower.data_type() {
        ArrowType::Binary => lower.as_binary::<i32>().value(set).is_empty(),
        _ => false,
    };
    let is_unknown = |set: usize| lower.is_null(set);
    Some(Bounds {
        may_be_null: BooleanBuffer::collect_bool(lower.len(), |set| {
            is_unknown(set) || may_be_empty(set)
        }),
        may_be_value: BooleanBuffer::new_set(lower.len()),
        lower: Arc::clone(&lower),
        upper,
    })
}
