//! Which of true, false and null a question may be for some rows.
//!
//! What is known of the rows is a set of possible values: all between two
//! bounds, null or not. Evaluated over it, a test gives the set of its possible
//! outcomes, and `AND`, `OR` and `NOT` combine such sets. A set may be too large,
//! never too small: that is all that skipping relies on. Of rows that are known
//! themselves each set has one member, so the same code filters them.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryViewArray, Decimal128Array, Float64Array, Int64Array, Scalar,
    StringArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{CastOptions, cast_with_options, like};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};

use super::bind::{Bound, Keys, Pattern, Question, Test};
use crate::error::{Error, Result};

/// A set of the outcomes true, false and null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcomes(u8);

impl Outcomes {
    /// Of no row at all.
    pub(crate) const NONE: Outcomes = Outcomes(0);
    pub(crate) const TRUE: Outcomes = Outcomes(1);
    pub(crate) const FALSE: Outcomes = Outcomes(2);
    pub(crate) const NULL: Outcomes = Outcomes(4);
    pub(crate) const ANY: Outcomes = Outcomes(7);

    pub(crate) const fn may_be_true(self) -> bool {
        self.has(Outcomes::TRUE)
    }

    /// Whether every row is wanted.
    pub(crate) const fn is_true(self) -> bool {
        self.0 == Outcomes::TRUE.0
    }

    const fn has(self, other: Outcomes) -> bool {
        self.0 & other.0 != 0
    }

    const fn with(self, other: Outcomes, is_in: bool) -> Outcomes {
        if is_in { Outcomes(self.0 | other.0) } else { self }
    }

    const fn and(self, other: Outcomes) -> Outcomes {
        if self.0 == 0 || other.0 == 0 {
            return Outcomes::NONE;
        }
        let (t, f, n) = (Outcomes::TRUE, Outcomes::FALSE, Outcomes::NULL);
        let null = self.has(n) && (other.has(t) || other.has(n)) || self.has(t) && other.has(n);
        Outcomes::NONE
            .with(t, self.has(t) && other.has(t))
            .with(f, self.has(f) || other.has(f))
            .with(n, null)
    }

    const fn not(self) -> Outcomes {
        let (t, f) = (Outcomes::TRUE, Outcomes::FALSE);
        Outcomes(self.0 & Outcomes::NULL.0).with(t, self.has(f)).with(f, self.has(t))
    }

    const fn or(self, other: Outcomes) -> Outcomes {
        self.not().and(other.not()).not()
    }
}

/// What is known of a column, for each of some sets of rows.
pub(crate) enum Asked {
    Nothing,
    /// Each set is one row, and this its value.
    Values(ArrayRef),
    Bounds(Bounds),
}

/// What a column's values lie between, for each of some sets of rows.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// No value is less; null where that is not known. A NaN may be in any set of
    /// floating point numbers, whatever the bounds: writers differ in whether
    /// they count it.
    pub(crate) lower: ArrayRef,
    /// No value is greater; null where that is not known.
    pub(crate) upper: ArrayRef,
    /// Where a value may be null.
    pub(crate) may_be_null: BooleanBuffer,
    /// Where a value may be none.
    pub(crate) may_be_value: BooleanBuffer,
}

impl Question {
    /// What the question may be for each of `sets` sets of rows, of whose columns
    /// `asked` says what is known, in the order of [`columns`](Self::columns). Arrays are
    /// of the columns' own types; those of bounds may be bytes where a column is
    /// text.
    pub(crate) fn outcomes(&self, sets: usize, asked: &[Asked]) -> Result<Vec<Outcomes>> {
        self.root.outcomes(sets, asked)
    }

    /// What is left of the question where the values of some columns are `known`:
    /// the same for all rows, each an array of one.
    pub(crate) fn given(&self, known: impl Fn(usize) -> Option<ArrayRef>) -> Result<Question> {
        let root = self.root.given(&known)?;
        Ok(Question { columns: self.columns.clone(), root })
    }

    /// The outcome of a question that no column is left in.
    pub(crate) fn constant(&self) -> Option<Outcomes> {
        match self.root {
            Bound::Constant(outcomes) => Some(outcomes),
            _ => None,
        }
    }

    /// Whether it is about the column of this place.
    pub(crate) fn asks(&self, column: usize) -> bool {
        self.root.asks(column)
    }
}

impl Bound {
    fn asks(&self, column: usize) -> bool {
        match self {
            Bound::Constant(_) => false,
            Bound::Leaf(of, _) => *of == column,
            Bound::And(nodes) | Bound::Or(nodes) => nodes.iter().any(|node| node.asks(column)),
            Bound::Not(node) => node.asks(column),
        }
    }

    fn given(&self, known: &impl Fn(usize) -> Option<ArrayRef>) -> Result<Bound> {
        // What decides it alone; and of the others, those that matter.
        let joined = |nodes: &[Bound], decisive, neutral| -> Result<Vec<Bound>> {
            let mut left = Vec::new();
            for node in nodes {
                match node.given(known)? {
                    Bound::Constant(outcome) if outcome == neutral => {}
                    Bound::Constant(outcome) if outcome == decisive => {
                        return Ok(vec![Bound::Constant(outcome)]);
                    }
                    node => left.push(node),
                }
            }
            if left.is_empty() {
                left.push(Bound::Constant(neutral));
            }
            Ok(left)
        };
        Ok(match self {
            Bound::Constant(outcomes) => Bound::Constant(*outcomes),
            Bound::Leaf(column, test) => match known(*column) {
                None => self.clone(),
                Some(value) => match test.of_values(&value)?[..] {
                    [outcome] => Bound::Constant(outcome),
                    _ => return Err(Error::bug("a column's one value is not one")),
                },
            },
            Bound::And(nodes) => match joined(nodes, Outcomes::FALSE, Outcomes::TRUE)? {
                mut nodes if nodes.len() == 1 => nodes.remove(0),
                nodes => Bound::And(nodes),
            },
            Bound::Or(nodes) => match joined(nodes, Outcomes::TRUE, Outcomes::FALSE)? {
                mut nodes if nodes.len() == 1 => nodes.remove(0),
                nodes => Bound::Or(nodes),
            },
            Bound::Not(node) => match node.given(known)? {
                Bound::Constant(outcomes) => Bound::Constant(outcomes.not()),
                node => Bound::Not(Box::new(node)),
            },
        })
    }

    fn outcomes(&self, sets: usize, asked: &[Asked]) -> Result<Vec<Outcomes>> {
        let all = |nodes: &[Bound], start, join: fn(Outcomes, Outcomes) -> Outcomes| {
            let mut joined = vec![start; sets];
            for node in nodes {
                let more = node.outcomes(sets, asked)?;
                joined.iter_mut().zip(more).for_each(|(one, other)| *one = join(*one, other));
            }
            Ok(joined)
        };
        match self {
            Bound::Constant(outcomes) => Ok(vec![*outcomes; sets]),
            Bound::Leaf(column, test) => match asked.get(*column) {
                Some(Asked::Values(values)) => test.of_values(values),
                Some(Asked::Bounds(bounds)) => test.of_bounds(bounds),
                Some(Asked::Nothing) | None => Ok(vec![test.of_anything(); sets]),
            },
            Bound::And(nodes) => all(nodes, Outcomes::TRUE, Outcomes::and),
            Bound::Or(nodes) => all(nodes, Outcomes::FALSE, Outcomes::or),
            Bound::Not(node) => {
                Ok(node.outcomes(sets, asked)?.into_iter().map(Outcomes::not).collect())
            }
        }
    }
}

/// Values as what they are compared by.
enum Values {
    Int(Int64Array),
    Decimal(Decimal128Array),
    Bytes(BinaryViewArray),
}

impl Values {
    fn of(array: &ArrayRef) -> Result<Values> {
        let options = CastOptions { safe: false, ..Default::default() };
        let cast = |to| {
            cast_with_options(array, &to, &options)
                .map_err(|e| Error::bug(format!("values of type {}: {e}", array.data_type())))
        };
        Ok(match array.data_type() {
            DataType::Float32 | DataType::Float64 => {
                let floats = cast(DataType::Float64)?;
                let floats: &Float64Array = floats.as_primitive::<Float64Type>();
                Values::Int(floats.unary(float_key))
            }
            DataType::Decimal128(..) => {
                Values::Decimal(array.as_primitive::<Decimal128Type>().clone())
            }
            DataType::Utf8 | DataType::Utf8View | DataType::Binary | DataType::BinaryView => {
                Values::Bytes(cast(DataType::BinaryView)?.as_binary_view().clone())
            }
            _ => Values::Int(cast(DataType::Int64)?.as_primitive::<Int64Type>().clone()),
        })
    }

    /// Bounds: a NaN is none.
    fn of_bound(array: &ArrayRef) -> Result<Values> {
        let values = Values::of(array)?;
        Ok(match values {
            Values::Int(keys) if is_float(array.data_type()) => {
                let keys = keys.iter().map(|key| key.filter(|&key| key != float_key(f64::NAN)));
                Values::Int(keys.collect())
            }
            values => values,
        })
    }
}

fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float32 | DataType::Float64)
}

/// A number in the order of floating point numbers as Spark has it: both zeros
/// are equal, and NaN equals itself and is greater than all others.
pub(super) fn float_key(value: f64) -> i64 {
    if value.is_nan() {
        return i64::MAX;
    }
    if value == 0.0 {
        return 0;
    }
    let bits = value.to_bits() as i64;
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// Which outcomes `outcome` gives for a value.
fn of_value(is_true: bool) -> Outcomes {
    if is_true { Outcomes::TRUE } else { Outcomes::FALSE }
}

impl Test {
    /// Where nothing is known.
    fn of_anything(&self) -> Outcomes {
        match self {
            Test::IsNull => Outcomes(Outcomes::TRUE.0 | Outcomes::FALSE.0),
            Test::IfValue(is_true) => Outcomes(Outcomes::NULL.0 | of_value(*is_true).0),
            _ => Outcomes::ANY,
        }
    }

    /// Of rows that are known.
    fn of_values(&self, array: &ArrayRef) -> Result<Vec<Outcomes>> {
        let nulls = array.logical_nulls();
        let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let by_row = |outcome: &dyn Fn(usize) -> bool| {
            (0..array.len())
                .map(|row| if is_null(row) { Outcomes::NULL } else { of_value(outcome(row)) })
                .collect()
        };
        Ok(match self {
            Test::IsNull => (0..array.len()).map(|row| of_value(is_null(row))).collect(),
            Test::IfValue(is_true) => by_row(&|_| *is_true),
            Test::Like(pattern) => pattern.of_values(array)?,
            Test::Less(keys) | Test::LessOrEqual(keys) | Test::In(keys) => {
                match (Values::of(array)?, keys) {
                    (Values::Int(values), Keys::Int(keys)) => {
                        let holds = self.holds(keys);
                        let values = values.iter();
                        values.map(|v| v.map_or(Outcomes::NULL, |v| of_value(holds(v)))).collect()
                    }
                    (Values::Decimal(values), Keys::Decimal(keys)) => {
                        let holds = self.holds(keys);
                        let values = values.iter();
                        values.map(|v| v.map_or(Outcomes::NULL, |v| of_value(holds(v)))).collect()
                    }
                    (Values::Bytes(values), Keys::Bytes(keys)) => {
                        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                        let holds = self.holds(&keys);
                        let values = values.iter();
                        values.map(|v| v.map_or(Outcomes::NULL, |v| of_value(holds(v)))).collect()
                    }
                    _ => return Err(unlike(array)),
                }
            }
        })
    }

    /// Whether it is true for a value.
    fn holds<'a, T: Ord + Copy>(&'a self, keys: &'a [T]) -> impl Fn(T) -> bool + 'a {
        let first = keys.first().copied();
        move |value| match self {
            Test::Less(_) => first.is_some_and(|key| value < key),
            Test::LessOrEqual(_) => first.is_some_and(|key| value <= key),
            _ if keys.len() == 1 => first == Some(value),
            _ => keys.binary_search(&value).is_ok(),
        }
    }

    fn of_bounds(&self, bounds: &Bounds) -> Result<Vec<Outcomes>> {
        let Bounds { lower, upper, may_be_null, may_be_value } = bounds;
        let sets = may_be_null.len();
        let by_set = |of_value: &dyn Fn(usize) -> Outcomes| -> Vec<Outcomes> {
            (0..sets)
                .map(|set| {
                    let values =
                        if may_be_value.value(set) { of_value(set) } else { Outcomes::NONE };
                    values.with(Outcomes::NULL, may_be_null.value(set))
                })
                .collect()
        };
        let keys = match self {
            Test::IsNull => {
                let outcomes = |set| {
                    Outcomes::NONE
                        .with(Outcomes::TRUE, may_be_null.value(set))
                        .with(Outcomes::FALSE, may_be_value.value(set))
                };
                return Ok((0..sets).map(outcomes).collect());
            }
            Test::IfValue(is_true) => return Ok(by_set(&|_| of_value(*is_true))),
            Test::Less(keys) | Test::LessOrEqual(keys) | Test::In(keys) => Some(keys),
            Test::Like(_) => None,
        };
        let nan = is_float(lower.data_type()).then(|| float_key(f64::NAN));
        let (values, upper_values) = (Values::of_bound(lower)?, Values::of_bound(upper)?);
        Ok(match (values, upper_values, keys, self) {
            (Values::Int(lower), Values::Int(upper), Some(Keys::Int(keys)), _) => {
                let within = self.within(keys);
                let holds = self.holds(keys);
                by_set(&|set| {
                    let outcomes = within(at(&lower, set), at(&upper, set));
                    match nan {
                        Some(nan) => Outcomes(outcomes.0 | of_value(holds(nan)).0),
                        None => outcomes,
                    }
                })
            }
            (Values::Decimal(lower), Values::Decimal(upper), Some(Keys::Decimal(keys)), _) => {
                let within = self.within(keys);
                by_set(&|set| within(at(&lower, set), at(&upper, set)))
            }
            (Values::Bytes(lower), Values::Bytes(upper), Some(Keys::Bytes(keys)), _) => {
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                let within = self.within(&keys);
                by_set(&|set| within(bytes_at(&lower, set), bytes_at(&upper, set)))
            }
            (Values::Bytes(lower), Values::Bytes(upper), _, Test::Like(pattern)) => {
                by_set(&|set| pattern.within(bytes_at(&lower, set), bytes_at(&upper, set)))
            }
            _ => return Err(unlike(&bounds.lower)),
        })
    }

    /// What it may be for a value from `lower` to `upper`, as far as those are
    /// known.
    fn within<'a, T: Ord + Copy>(
        &'a self,
        keys: &'a [T],
    ) -> impl Fn(Option<T>, Option<T>) -> Outcomes + 'a {
        let holds = self.holds(keys);
        move |lower, upper| {
            // Of an `AND` of both tests one is true for the lowest value if for any.
            let (may_hold, may_fail) = match self {
                Test::In(_) => {
                    let first = lower.map_or(0, |lower| keys.partition_point(|&key| key < lower));
                    let may_hold =
                        keys.get(first).is_some_and(|&key| upper.is_none_or(|upper| key <= upper));
                    let is_one = lower.is_some() && lower == upper;
                    (may_hold, !(is_one && may_hold))
                }
                _ => (lower.is_none_or(&holds), upper.is_none_or(|upper| !holds(upper))),
            };
            Outcomes::NONE.with(Outcomes::TRUE, may_hold).with(Outcomes::FALSE, may_fail)
        }
    }
}

impl Pattern {
    fn of_values(&self, array: &ArrayRef) -> Result<Vec<Outcomes>> {
        let pattern = Scalar::new(StringArray::from(vec![self.text.as_str()]));
        let options = CastOptions { safe: false, ..Default::default() };
        let texts = cast_with_options(array, &DataType::Utf8, &options);
        let found = texts.and_then(|texts| like(&texts.as_string::<i32>(), &pattern));
        let found = found.map_err(|e| Error::bug(format!("LIKE: {e}")))?;
        Ok(found.iter().map(|found| found.map_or(Outcomes::NULL, of_value)).collect())
    }

    /// By the text that it begins with.
    fn within(&self, lower: Option<&[u8]>, upper: Option<&[u8]>) -> Outcomes {
        let prefix = self.prefix.as_slice();
        let head = |bound: &'_ [u8]| bound[..bound.len().min(prefix.len())].cmp(prefix);
        let below = lower.is_none_or(|lower| head(lower).is_le());
        let above = upper.is_none_or(|upper| head(upper).is_ge());
        let both_begin = lower.is_some_and(|lower| lower.starts_with(prefix))
            && upper.is_some_and(|upper| upper.starts_with(prefix));
        Outcomes::NONE
            .with(Outcomes::TRUE, below && above)
            .with(Outcomes::FALSE, !(self.is_prefix && both_begin))
    }
}

fn at<T: arrow::array::ArrowPrimitiveType>(
    array: &arrow::array::PrimitiveArray<T>,
    set: usize,
) -> Option<T::Native> {
    array.is_valid(set).then(|| array.value(set))
}

fn bytes_at(array: &BinaryViewArray, set: usize) -> Option<&[u8]> {
    array.is_valid(set).then(|| array.value(set))
}

fn unlike(array: &ArrayRef) -> Error {
    Error::bug(format!("values of type {} for a predicate of another", array.data_type()))
}
