//! Which files a predicate has no use for: partition pruning and data skipping,
//! one question asked of what is known of a file.
//!
//! It is asked of a file alone, after its action was found to be the newest or
//! without regard to that: whether an older one is hidden never depends on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, MapArray, StructArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, cast_with_options, nullif};
use arrow::datatypes::{DataType as ArrowType, Int64Type, TimeUnit};

use super::stats::StatsColumns;
use crate::actions::{FileColumns, FileField, FileFields, value_of};
use crate::error::Result;
use crate::partition_value::PartitionColumn;
use crate::predicate::{Asked, AskedColumn, Bounds, Outcomes, Question};
use crate::schema::arrow_type;

/// A question asked of files.
pub(crate) struct Skipping {
    question: Arc<Question>,
    /// Its columns that are in statistics.
    pub(super) stats: StatsColumns,
    pub(crate) tally: Arc<Tally>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its partition values rule it out.
    Pruned,
    /// Its statistics do, or both together.
    Skipped,
    Kept,
}

/// Files and bytes by their verdict.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    files: [AtomicU64; 3],
    bytes: [AtomicU64; 3],
    /// Rows of checkpoints that were not decoded.
    pub(crate) rows_ruled_out: AtomicU64,
}

impl Tally {
    fn add(&self, verdict: Verdict, files: u64, bytes: i64) {
        self.files[verdict as usize].fetch_add(files, Ordering::Relaxed);
        self.bytes[verdict as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The files of this verdict, and their bytes.
    pub(crate) fn of(&self, verdict: Verdict) -> (u64, u64) {
        let at = verdict as usize;
        (self.files[at].load(Ordering::Relaxed), self.bytes[at].load(Ordering::Relaxed))
    }
}

/// The verdicts on some files, live or not.
pub(crate) struct Judged {
    verdicts: Vec<Verdict>,
    /// Their bytes.
    sizes: Int64Array,
}

impl Judged {
    pub(crate) fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// Whether each file is kept.
    pub(super) fn kept(&self) -> BooleanBuffer {
        BooleanBuffer::collect_bool(self.len(), |i| self.verdicts[i] == Verdict::Kept)
    }

    /// Judges those that were kept anew, by what is now `found` of each of them.
    pub(super) fn narrow(&mut self, found: &Judged) {
        let kept = self.verdicts.iter_mut().filter(|verdict| **verdict == Verdict::Kept);
        kept.zip(&found.verdicts).for_each(|(verdict, found)| *verdict = *found);
    }

    /// The same, where `found` is of all of them.
    pub(super) fn narrow_where_kept(&mut self, found: &Judged) {
        for (verdict, found) in self.verdicts.iter_mut().zip(&found.verdicts) {
            if *verdict == Verdict::Kept {
                *verdict = *found;
            }
        }
    }

    /// Counts the live ones, and says of each file that is kept whether it is live.
    pub(crate) fn count(&self, is_live: impl Fn(usize) -> bool, tally: &Tally) -> BooleanBuffer {
        let (mut files, mut bytes) = ([0_u64; 3], [0_i64; 3]);
        let mut kept = Vec::with_capacity(self.len());
        for (i, &verdict) in self.verdicts.iter().enumerate() {
            let is_live = is_live(i);
            if verdict == Verdict::Kept {
                kept.push(is_live);
            }
            if is_live {
                files[verdict as usize] += 1;
                let size = if self.sizes.is_valid(i) { self.sizes.value(i) } else { 0 };
                bytes[verdict as usize] = bytes[verdict as usize].wrapping_add(size);
            }
        }
        for verdict in [Verdict::Pruned, Verdict::Skipped, Verdict::Kept] {
            tally.add(verdict, files[verdict as usize], bytes[verdict as usize]);
        }
        BooleanBuffer::from(kept)
    }
}

impl Skipping {
    pub(crate) fn new(question: &Arc<Question>, tally: &Arc<Tally>) -> Skipping {
        let in_stats = question.columns().iter().filter(|column| column.partition.is_none());
        let stats = StatsColumns::new(in_stats);
        Skipping { question: Arc::clone(question), stats, tally: Arc::clone(tally) }
    }

    /// The columns that it asks for.
    pub(super) fn columns(&self) -> &[AskedColumn] {
        self.question.columns()
    }

    /// Whether each of `sets` sets of files may have one that is wanted, by the bounds of
    /// each column, as far as they are known.
    pub(super) fn may_be_wanted(
        &self,
        sets: usize,
        bounds: Vec<Option<Bounds>>,
    ) -> Result<Vec<bool>> {
        let asked = bounds.into_iter().map(|bounds| bounds.map_or(Asked::Nothing, Asked::Bounds));
        let outcomes = self.question.outcomes(sets, &asked.collect::<Vec<_>>())?;
        Ok(outcomes.into_iter().map(Outcomes::may_be_true).collect())
    }

    /// The partition columns that it asks for.
    pub(super) fn partition_columns(&self) -> impl Iterator<Item = &AskedColumn> {
        self.columns().iter().filter(|column| column.partition.is_some())
    }

    /// The fields of an action that it asks for.
    pub(crate) fn wants(&self) -> FileFields {
        let mut wants = FileFields::from_iter([FileField::Size]);
        if self.partition_columns().next().is_some() {
            wants.insert(FileField::PartitionValues);
        }
        if !self.stats.is_empty() {
            wants.insert(FileField::Stats);
        }
        wants
    }

    /// Judges files by all that was decoded of them, and leaves out those that are
    /// not kept.
    pub(crate) fn judge_all(&self, files: &mut FileColumns) -> Result<Judged> {
        let partition = self.partition_of_text(files)?;
        let mut judged = self.judge(files, &partition, None)?;
        if !self.stats.is_empty() {
            let kept = judged.kept();
            files.filter(&kept)?;
            let texts = files.column(FileField::Stats)?.as_string::<i32>();
            let stats = self.stats.of_texts(texts)?.into_iter().map(Some).collect();
            let partition = self.partition_of_text(files)?;
            let found = self.judge(files, &partition, Some(stats))?;
            files.filter(&found.kept())?;
            judged.narrow(&found);
        } else {
            files.filter(&judged.kept())?;
        }
        Ok(judged)
    }

    /// Judges files by their partition values, and by their statistics if there are
    /// any.
    pub(super) fn judge(
        &self,
        files: &FileColumns,
        partition: &[Option<Bounds>],
        stats: Option<Vec<Option<Bounds>>>,
    ) -> Result<Judged> {
        let out = if stats.is_some() { Verdict::Skipped } else { Verdict::Pruned };
        let mut partition = partition.iter();
        let mut stats = stats.unwrap_or_default().into_iter();
        let bounds = self.columns().iter().map(|column| match column.partition {
            Some(_) => partition.next().cloned().flatten(),
            None => stats.next().flatten(),
        });
        let wanted = self.may_be_wanted(files.rows, bounds.collect())?;
        let verdict = |may_be_wanted| if may_be_wanted { Verdict::Kept } else { out };
        let sizes = files.column(FileField::Size)?.as_primitive::<Int64Type>().clone();
        Ok(Judged { verdicts: wanted.into_iter().map(verdict).collect(), sizes })
    }

    /// The partition values that it asks for, as the log has them.
    pub(super) fn partition_of_text(&self, files: &FileColumns) -> Result<Vec<Option<Bounds>>> {
        if self.partition_columns().next().is_none() {
            return Ok(Vec::new());
        }
        let map = files.column(FileField::PartitionValues)?.as_map();
        self.partition_columns().map(|column| partition_bounds(map, column).map(Some)).collect()
    }

    /// The same, of a checkpoint's struct; `None` for a column that it does not have in
    /// the table's type.
    pub(super) fn partition_of_struct(&self, parsed: &StructArray) -> Vec<Option<Bounds>> {
        self.partition_columns().map(|column| parsed_partition_bounds(parsed, column)).collect()
    }
}

/// The values of a partition column: known, but where the log leaves one out or has
/// one that is none of the column's type.
fn partition_bounds(map: &MapArray, column: &AskedColumn) -> Result<Bounds> {
    let name = column.physical.first().map_or("", String::as_str);
    let mut values = PartitionColumn::new(name, &column.data_type)?;
    let mut known = Vec::with_capacity(map.len());
    for row in 0..map.len() {
        let value = value_of(map, row, name);
        let is_known = value.is_some_and(|value| values.append(value).is_ok());
        if !is_known {
            values.append(None)?;
        }
        known.push(is_known);
    }
    Ok(known_values(values.finish(), &known.into()))
}

fn parsed_partition_bounds(parsed: &StructArray, column: &AskedColumn) -> Option<Bounds> {
    let values = parsed.column_by_name(column.physical.first()?)?;
    let values = as_partition_values(values, column)?;
    let known = BooleanBuffer::collect_bool(parsed.len(), |row| parsed.is_valid(row));
    Some(known_values(without_empty(values), &known))
}

/// Values of a checkpoint's struct as those of a partition column, or as bytes where
/// they are text; `None` where they are of another type.
pub(super) fn as_partition_values(values: &ArrayRef, column: &AskedColumn) -> Option<ArrayRef> {
    let data_type = arrow_type(&column.data_type);
    let options = CastOptions { safe: false, ..Default::default() };
    match (values.data_type(), &data_type) {
        (have, want) if have == want => Some(Arc::clone(values)),
        (ArrowType::Binary, ArrowType::Utf8) => Some(Arc::clone(values)),
        // Written before the column was widened, or by a writer that has but one type of
        // whole numbers, and zones by any name.
        (have, want) if have.is_integer() && want.is_integer() => {
            cast_with_options(values, want, &options).ok()
        }
        (
            ArrowType::Timestamp(TimeUnit::Microsecond, _),
            ArrowType::Timestamp(TimeUnit::Microsecond, _),
        ) => cast_with_options(values, &data_type, &options).ok(),
        _ => None,
    }
}

/// "An empty string for any type translates to a `null` partition value", also where a
/// writer has made a column of the log's strings.
fn without_empty(values: ArrayRef) -> ArrayRef {
    let lengths = match values.data_type() {
        ArrowType::Utf8 => values.as_string::<i32>().offsets().clone(),
        ArrowType::Binary => values.as_binary::<i32>().offsets().clone(),
        _ => return values,
    };
    let empty: BooleanArray = lengths.lengths().map(|length| Some(length == 0)).collect();
    nullif(&values, &empty).unwrap_or(values)
}

/// Bounds of values that are `known`.
fn known_values(values: ArrayRef, known: &BooleanBuffer) -> Bounds {
    let nulls = values.logical_nulls();
    let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let rows = values.len();
    Bounds {
        may_be_null: BooleanBuffer::collect_bool(rows, |row| is_null(row) || !known.value(row)),
        may_be_value: BooleanBuffer::collect_bool(rows, |row| !is_null(row) || !known.value(row)),
        lower: Arc::clone(&values),
        upper: values,
    }
}
