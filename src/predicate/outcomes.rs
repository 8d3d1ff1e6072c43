//! Which of true, false and null a question may be for some rows.
//!
//! What is known of the rows is a set of possible values: all between two
//! bounds, null or not. Evaluated over it, a test gives the set of its possible
//! outcomes, and `AND`, `OR` and `NOT` combine such sets. A set may be too large,
//! never too small: that is all that skipping relies on. Of rows that are known
//! themselves each set has one member, so the same code filters them.

use std::sync::Arc;

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

    /// The question of rows whose column lacks some of the values that it is asked to
    /// equal: `lacks` tells those, by the column's place.
    pub(crate) fn without(&self, lacks: &mut dyn FnMut(usize, Key<'_>) -> bool) -> Question {
        Question { columns: self.columns.clone(), root: self.root.without(lacks) }
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

    fn without(&self, lacks: &mut dyn FnMut(usize, Key<'_>) -> bool) -> Bound {
        let all = |nodes: &[Bound], lacks: &mut dyn FnMut(usize, Key<'_>) -> bool| {
            nodes.iter().map(|node| node.without(lacks)).collect()
        };
        match self {
            Bound::And(nodes) => Bound::And(all(nodes, lacks)),
            Bound::Or(nodes) => Bound::Or(all(nodes, lacks)),
            Bound::Not(node) => Bound::Not(Box::new(node.without(lacks))),
            Bound::Leaf(column, Test::In(keys)) => {
                let keys = keys.without(&mut |key| lacks(*column, key));
                let test = if keys.is_empty() { Test::IfValue(false) } else { Test::In(keys) };
                Bound::Leaf(*column, test)
            }
            node => node.clone(),
        }
    }

    fn given(&self, known: &impl Fn(usize) -> Option<ArrayRef>) -> Result<Bound> {
        // What decides it alone; else those that matter, what is constant as one.
        type Join = fn(Outcomes, Outcomes) -> Outcomes;
        let left = |nodes: &[Bound], join: Join, decisive, neutral| -> Result<Vec<Bound>> {
            let (mut left, mut constant) = (Vec::new(), neutral);
            for node in nodes {
                match node.given(known)? {
                    Bound::Constant(outcome) if outcome == decisive => {
                        return Ok(vec![Bound::Constant(outcome)]);
                    }
                    Bound::Constant(outcome) => constant = join(constant, outcome),
                    node => left.push(node),
                }
            }
            if left.is_empty() || constant != neutral {
                left.push(Bound::Constant(constant));
            }
            Ok(left)
        };
        let joined = |mut nodes: Vec<Bound>, many: fn(Vec<Bound>) -> Bound| match nodes.len() {
            1 => nodes.remove(0),
            _ => many(nodes),
        };
        let (t, f) = (Outcomes::TRUE, Outcomes::FALSE);
        Ok(match self {
            Bound::Constant(outcomes) => Bound::Constant(*outcomes),
            Bound::Leaf(column, test) => match known(*column) {
                None => self.clone(),
                Some(value) => match test.of_values(&value)?[..] {
                    [outcome] => Bound::Constant(outcome),
                    _ => return Err(Error::bug("a column's one value is not one")),
                },
            },
            Bound::And(nodes) => joined(left(nodes, Outcomes::and, f, t)?, Bound::And),
            Bound::Or(nodes) => joined(left(nodes, Outcomes::or, t, f)?, Bound::Or),
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

/// A literal as what it is compared by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Key<'a> {
    /// Of a number, a boolean, a date in days or a time in microseconds; of a floating
    /// point number what [`float_of_key`] takes.
    Int(i64),
    /// Unscaled.
    Decimal(i128),
    Bytes(&'a [u8]),
}

impl Keys {
    fn is_empty(&self) -> bool {
        match self {
            Keys::Int(keys) => keys.is_empty(),
            Keys::Decimal(keys) => keys.is_empty(),
            Keys::Bytes(keys) => keys.is_empty(),
        }
    }

    fn without(&self, lacks: &mut dyn FnMut(Key<'_>) -> bool) -> Keys {
        match self {
            Keys::Int(keys) => {
                Keys::Int(keys.iter().copied().filter(|&key| !lacks(Key::Int(key))).collect())
            }
            Keys::Decimal(keys) => Keys::Decimal(
                keys.iter().copied().filter(|&key| !lacks(Key::Decimal(key))).collect(),
            ),
            Keys::Bytes(keys) => {
                Keys::Bytes(keys.iter().filter(|key| !lacks(Key::Bytes(key))).cloned().collect())
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

/// The number that has this key: of both zeros the positive one, of NaNs any.
pub(crate) fn float_of_key(key: i64) -> f64 {
    match key {
        i64::MAX => f64::NAN,
        key => f64::from_bits((key ^ (((key >> 63) as u64) >> 1) as i64) as u64),
    }
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
                let ends = |set| (bytes_at(&lower, set), bytes_at(&upper, set));
                // Where both bounds are one text all of the values are, as of a partition.
                let is_one = |set| matches!(ends(set), (Some(l), Some(u)) if l == u);
                let ones = (0..sets).map(|set| ends(set).0.filter(|_| is_one(set)));
                let ones = ones.map(|one| one.and_then(|one| std::str::from_utf8(one).ok()));
                let ones: ArrayRef = Arc::new(ones.collect::<StringArray>());
                let of_ones = match ones.null_count() < sets {
                    true => pattern.of_values(&ones)?,
                    false => Vec::new(),
                };
                by_set(&|set| match of_ones.get(set) {
                    Some(&outcome) if ones.is_valid(set) => outcome,
                    _ => pattern.within(ends(set).0, ends(set).1),
                })
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

#[cfg(test)]
mod tests {
    //! All questions of some shapes about all small sets of values of each type,
    //! against an oracle that compares plain values, one by one.

    use std::cmp::Ordering;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Float32Array, Int8Array, Int16Array, Int32Array,
        TimestampMicrosecondArray, UInt32Array,
    };
    use arrow::compute::take;

    use super::*;
    use crate::predicate::{Comparison, Operand, Predicate, Value, column};
    use crate::schema::{self, ColumnMappingMode, StructField, StructType};

    const DAY: i64 = 86_400_000_000;

    const COMPARISONS: [Comparison; 8] = [
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessOrEqual,
        Comparison::Greater,
        Comparison::GreaterOrEqual,
        Comparison::Distinct,
        Comparison::NotDistinct,
    ];

    /// A value as the oracle compares it.
    #[derive(Debug, Clone, PartialEq)]
    enum Plain {
        /// Millionths, and whether it is a little more.
        Number(i128, bool),
        Float(f64),
        Bytes(Vec<u8>),
        Micros(i128),
    }

    impl Plain {
        /// In Spark's order.
        fn order(&self, other: &Plain) -> Ordering {
            match (self, other) {
                (Plain::Number(a, more), Plain::Number(b, other)) => (a, more).cmp(&(b, other)),
                (Plain::Float(a), Plain::Float(b)) => {
                    a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
                }
                (Plain::Bytes(a), Plain::Bytes(b)) => a.cmp(b),
                (Plain::Micros(a), Plain::Micros(b)) => a.cmp(b),
                _ => panic!("{self:?} is not compared with {other:?}"),
            }
        }

        fn is_nan(&self) -> bool {
            matches!(self, Plain::Float(number) if number.is_nan())
        }

        fn midnight(&self) -> Plain {
            match self {
                Plain::Micros(micros) => {
                    Plain::Micros(micros.div_euclid(DAY.into()) * i128::from(DAY))
                }
                other => panic!("{other:?} has no day"),
            }
        }

        fn text(&self) -> &str {
            match self {
                Plain::Bytes(bytes) => std::str::from_utf8(bytes).unwrap(),
                other => panic!("{other:?} is no text"),
            }
        }
    }

    fn number(millionths: i128) -> Plain {
        Plain::Number(millionths, false)
    }

    /// A column, some values of its type, and what they are compared with.
    struct Kind {
        data_type: schema::DataType,
        /// The last is null.
        array: ArrayRef,
        values: Vec<Option<Plain>>,
        literals: Vec<(Value, Plain)>,
        /// Whether a question may be about its day.
        has_day: bool,
    }

    impl Kind {
        fn new(
            data_type: schema::DataType,
            array: ArrayRef,
            plain: impl IntoIterator<Item = Plain>,
            literals: impl IntoIterator<Item = (Value, Plain)>,
        ) -> Kind {
            let values: Vec<_> = plain.into_iter().map(Some).chain([None]).collect();
            assert_eq!(array.len(), values.len(), "{data_type}");
            assert!(array.is_null(array.len() - 1) && array.null_count() == 1, "{data_type}");
            let has_day =
                matches!(values[0], Some(Plain::Micros(_))) && data_type != schema::DataType::Date;
            Kind { data_type, array, values, literals: literals.into_iter().collect(), has_day }
        }

        /// The sets of up to three of the values, by their places.
        fn sets(&self) -> Vec<Vec<usize>> {
            small_sets(self.values.len())
        }
    }

    fn small_sets(members: usize) -> Vec<Vec<usize>> {
        let mut sets = Vec::new();
        for a in 0..members {
            sets.push(vec![a]);
            for b in a + 1..members {
                sets.push(vec![a, b]);
                sets.extend((b + 1..members).map(|c| vec![a, b, c]));
            }
        }
        sets
    }

    /// Literals of numbers, as `of` has them.
    fn numbers() -> Vec<(Value, Plain)> {
        let whole = |n: i64| (Value::Long(n), number(i128::from(n) * 1_000_000));
        let decimal = |unscaled, scale, plain| (Value::Decimal { unscaled, scale }, plain);
        let double = |n: f64, millionths| (Value::Double(n), number(millionths));
        vec![
            whole(-129),
            whole(-128),
            whole(-1),
            whole(0),
            whole(1),
            whole(2),
            whole(127),
            whole(128),
            whole(1000),
            whole(i64::MIN),
            whole(i64::MAX),
            decimal(10, 1, number(1_000_000)),
            decimal(15, 1, number(1_500_000)),
            decimal(-1505, 3, number(-1_505_000)),
            decimal(i128::from(i64::MAX) + 1, 0, number((i128::from(i64::MAX) + 1) * 1_000_000)),
            decimal(1, 38, Plain::Number(0, true)),
            decimal(-1, 38, Plain::Number(-1, true)),
            double(2.0, 2_000_000),
            double(-0.0, 0),
            double(1.5, 1_500_000),
            double(-0.5, -500_000),
            double(4_611_686_018_427_387_904.0, 4_611_686_018_427_387_904_000_000),
            double(1e300, i128::MAX),
            double(f64::NEG_INFINITY, i128::MIN),
            double(f64::NAN, i128::MAX),
            (Value::String("1".to_owned()), number(1_000_000)),
        ]
    }

    /// The same with what they are as numbers of double precision.
    fn floats() -> Vec<(Value, Plain)> {
        let double = |n: f64| (Value::Double(n), Plain::Float(n));
        vec![
            double(f64::NEG_INFINITY),
            double(-1.5),
            double(-0.0),
            double(0.0),
            double(1e-60),
            double(-1e-60),
            double(0.1),
            double(f64::from(0.1_f32)),
            double(1e300),
            double(-1e300),
            double(f64::INFINITY),
            double(f64::NAN),
            (Value::Long(1), Plain::Float(1.0)),
            (Value::Decimal { unscaled: 1, scale: 1 }, Plain::Float(0.1)),
            (Value::Decimal { unscaled: -150, scale: 2 }, Plain::Float(-1.5)),
            (Value::String("NaN".to_owned()), Plain::Float(f64::NAN)),
        ]
    }

    fn times() -> Vec<(Value, Plain)> {
        let micros = |n: i64| (Value::Timestamp(n), Plain::Micros(n.into()));
        let date = |n: i32| (Value::Date(n), Plain::Micros(i128::from(n) * i128::from(DAY)));
        vec![
            micros(i64::MIN),
            micros(-DAY - 1),
            micros(-DAY),
            micros(-1),
            micros(0),
            micros(DAY - 1),
            micros(i64::MAX),
            (Value::TimestampNtz(DAY), Plain::Micros(DAY.into())),
            date(i32::MIN),
            date(-1),
            date(0),
            date(1),
            date(20_000),
            date(i32::MAX),
            (Value::String("1970-01-02".to_owned()), Plain::Micros(DAY.into())),
        ]
    }

    macro_rules! whole {
        ($data_type:ident, $array:ident, $values:expr) => {
            Kind::new(
                schema::DataType::$data_type,
                Arc::new($array::from_iter($values.into_iter().map(Some).chain([None]))),
                $values.map(|n| number(i128::from(n) * 1_000_000)),
                numbers(),
            )
        };
    }

    fn kinds() -> Vec<Kind> {
        use schema::DataType as Type;
        let text = |text: &str| (Value::from(text), Plain::Bytes(text.into()));
        let texts = ["", "%", "a", "a_b", "ab", "abc", "b", "é", "日本", "\u{10ffff}"];
        let other_texts = ["A", "aa", "abcd", "\u{7f}", "日"];
        let blobs: [&[u8]; 5] = [b"", b"\0", b"\0\xff", b"\xff", b"\xff\xff"];
        let floats_of = [-1.5, -0.0, 0.0, 0.1, 1.0];
        let narrow = [f32::NEG_INFINITY].into_iter().chain(floats_of.map(|n| n as f32));
        let narrow: Vec<_> = narrow.chain([f32::MAX, f32::INFINITY, f32::NAN]).collect();
        let wide = [f64::NEG_INFINITY].into_iter().chain(floats_of);
        let wide: Vec<_> = wide.chain([f64::MAX, f64::INFINITY, f64::NAN]).collect();
        let decimals = [-99_999, -150, 0, 1, 150, 99_999];
        let dates = [i32::MIN, -1, 0, 1, 20_000, i32::MAX];
        let micros = [i64::MIN, -DAY - 1, -DAY, -1, 0, DAY - 1, DAY, i64::MAX];
        let of_micros = || {
            let values = micros.into_iter().map(Some).chain([None]);
            TimestampMicrosecondArray::from_iter(values)
        };
        let nearest = |n: f32| (Value::String(n.to_string()), Plain::Float(n.into()));
        vec![
            Kind::new(
                Type::Boolean,
                Arc::new(BooleanArray::from(vec![Some(false), Some(true), None])),
                [number(0), number(1_000_000)],
                [
                    (Value::Boolean(false), number(0)),
                    (Value::Boolean(true), number(1_000_000)),
                    (Value::String("true".to_owned()), number(1_000_000)),
                ],
            ),
            whole!(Byte, Int8Array, [i8::MIN, -1, 0, 1, 2, i8::MAX]),
            whole!(Short, Int16Array, [i16::MIN, -1, 0, 1, 127, 128, i16::MAX]),
            whole!(Integer, Int32Array, [i32::MIN, -1, 0, 1, 2, 128, i32::MAX]),
            whole!(Long, Int64Array, [i64::MIN, -1, 0, 1, 2, 1 << 62, i64::MAX]),
            Kind::new(
                Type::Decimal { precision: 5, scale: 2 },
                Arc::new(
                    Decimal128Array::from_iter(decimals.into_iter().map(Some).chain([None]))
                        .with_precision_and_scale(5, 2)
                        .unwrap(),
                ),
                decimals.map(|n| number(n * 10_000)),
                numbers(),
            ),
            Kind::new(
                Type::Float,
                Arc::new(Float32Array::from_iter(narrow.iter().copied().map(Some).chain([None]))),
                narrow.iter().map(|&n| Plain::Float(n.into())),
                floats().into_iter().chain([nearest(0.1), nearest(f32::MAX)]),
            ),
            Kind::new(
                Type::Double,
                Arc::new(Float64Array::from_iter(wide.iter().copied().map(Some).chain([None]))),
                wide.iter().map(|&n| Plain::Float(n)),
                floats().into_iter().chain([(Value::from("0.1"), Plain::Float(0.1))]),
            ),
            Kind::new(
                Type::String,
                Arc::new(StringArray::from_iter(texts.into_iter().map(Some).chain([None]))),
                texts.map(|text| Plain::Bytes(text.into())),
                texts.into_iter().chain(other_texts).map(text),
            ),
            Kind::new(
                Type::Binary,
                Arc::new(BinaryArray::from_iter(blobs.into_iter().map(Some).chain([None]))),
                blobs.map(|bytes| Plain::Bytes(bytes.into())),
                blobs
                    .into_iter()
                    .map(|bytes| (Value::from(bytes), Plain::Bytes(bytes.into())))
                    .chain([text("a"), (Value::from(&b"\xfe"[..]), Plain::Bytes(b"\xfe".into()))]),
            ),
            Kind::new(
                Type::Date,
                Arc::new(Date32Array::from_iter(dates.into_iter().map(Some).chain([None]))),
                dates.map(|days| Plain::Micros(i128::from(days) * i128::from(DAY))),
                // The ends of timestamps are on no day's midnight, as others.
                times(),
            ),
            Kind::new(
                Type::Timestamp,
                Arc::new(of_micros().with_timezone("UTC")),
                micros.map(|n| Plain::Micros(n.into())),
                times()
                    .into_iter()
                    .filter(|(value, _)| !matches!(value, Value::String(_)))
                    .chain([(Value::from("1970-01-01T00:00:00.000000Z"), Plain::Micros(0))]),
            ),
            Kind::new(
                Type::TimestampNtz,
                Arc::new(of_micros()),
                micros.map(|n| Plain::Micros(n.into())),
                times()
                    .into_iter()
                    .filter(|(value, _)| !matches!(value, Value::String(_)))
                    .chain([(Value::from("1970-01-01 00:00:00"), Plain::Micros(0))]),
            ),
        ]
    }

    /// A predicate that the oracle knows as well.
    #[derive(Debug, Clone)]
    enum Shape {
        Constant(Option<bool>),
        Compare(At, Comparison, Option<(Value, Plain)>),
        In(At, Vec<Option<(Value, Plain)>>),
        Between(At, (Value, Plain), (Value, Plain)),
        IsNull(At),
        Like(At, String),
        IsTrue(At),
        Not(Box<Shape>),
        And(Vec<Shape>),
        Or(Vec<Shape>),
    }

    /// A column by its place, or its day.
    #[derive(Debug, Clone, Copy)]
    struct At(usize, bool);

    impl At {
        fn operand(self) -> Operand {
            let operand = column(format!("c{}", self.0));
            if self.1 { operand.as_date() } else { operand }
        }

        fn value(self, row: &[Option<&Plain>]) -> Option<Plain> {
            let value = row[self.0]?;
            Some(if self.1 { value.midnight() } else { value.clone() })
        }
    }

    fn value_of(literal: &Option<(Value, Plain)>) -> Value {
        literal.as_ref().map_or(Value::Null, |(value, _)| value.clone())
    }

    impl Shape {
        fn not(self) -> Shape {
            Shape::Not(Box::new(self))
        }

        fn predicate(&self) -> Predicate {
            let joined = |shapes: &[Shape], join: fn(Predicate, Predicate) -> Predicate| {
                shapes.iter().map(Shape::predicate).reduce(join).unwrap()
            };
            match self {
                Shape::Constant(Some(is_true)) => Predicate::always(*is_true),
                // `NULL` alone, by comparing with one.
                Shape::Constant(None) => column("c0").equal(Value::Null),
                Shape::Compare(at, how, literal) => at.operand().compare(*how, value_of(literal)),
                Shape::In(at, literals) => at.operand().is_in(literals.iter().map(value_of)),
                Shape::Between(at, (low, _), (high, _)) => {
                    at.operand().between(low.clone(), high.clone())
                }
                Shape::IsNull(at) => at.operand().is_null(),
                Shape::Like(at, pattern) => at.operand().like(pattern.as_str()),
                Shape::IsTrue(at) => at.operand().is_true(),
                Shape::Not(shape) => shape.predicate().not(),
                Shape::And(shapes) => joined(shapes, Predicate::and),
                Shape::Or(shapes) => joined(shapes, Predicate::or),
            }
        }

        /// What SQL makes of it for a row.
        fn truth(&self, row: &[Option<&Plain>]) -> Option<bool> {
            match self {
                Shape::Constant(truth) => *truth,
                Shape::Compare(at, comparison, literal) => {
                    let value = at.value(row);
                    let literal = literal.as_ref().map(|(_, plain)| plain);
                    compared(value.as_ref(), *comparison, literal)
                }
                Shape::In(at, literals) => {
                    let value = at.value(row);
                    let equal = |literal: &Option<(Value, Plain)>| {
                        let literal = literal.as_ref().map(|(_, plain)| plain);
                        compared(value.as_ref(), Comparison::Equal, literal)
                    };
                    any(literals.iter().map(equal))
                }
                Shape::Between(at, (_, low), (_, high)) => {
                    let value = at.value(row)?;
                    Some(value.order(low).is_ge() && value.order(high).is_le())
                }
                Shape::IsNull(at) => Some(row[at.0].is_none()),
                Shape::Like(at, pattern) => {
                    let text: Vec<char> = row[at.0]?.text().chars().collect();
                    let pattern: Vec<char> = pattern.chars().collect();
                    Some(is_like(&text, &pattern))
                }
                Shape::IsTrue(at) => row[at.0].map(|value| *value != number(0)),
                Shape::Not(shape) => shape.truth(row).map(|is_true| !is_true),
                Shape::And(shapes) => {
                    any(shapes.iter().map(|shape| shape.truth(row).map(|is_true| !is_true)))
                        .map(|is_true| !is_true)
                }
                Shape::Or(shapes) => any(shapes.iter().map(|shape| shape.truth(row))),
            }
        }
    }

    fn compared(
        value: Option<&Plain>,
        comparison: Comparison,
        literal: Option<&Plain>,
    ) -> Option<bool> {
        match comparison {
            Comparison::NotDistinct => Some(match (value, literal) {
                (Some(value), Some(literal)) => value.order(literal).is_eq(),
                (value, literal) => value.is_none() && literal.is_none(),
            }),
            Comparison::Distinct => {
                compared(value, Comparison::NotDistinct, literal).map(|is_true| !is_true)
            }
            _ => {
                let order = value?.order(literal?);
                Some(match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessOrEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
        }
    }

    fn any(truths: impl IntoIterator<Item = Option<bool>>) -> Option<bool> {
        let mut found = Some(false);
        for truth in truths {
            match truth {
                Some(true) => return Some(true),
                Some(false) => {}
                None => found = None,
            }
        }
        found
    }

    fn is_like(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|skipped| is_like(&text[skipped..], rest)),
            ['_', rest @ ..] => !text.is_empty() && is_like(&text[1..], rest),
            ['\\', c, rest @ ..] | [c, rest @ ..] => {
                text.first() == Some(c) && is_like(&text[1..], rest)
            }
        }
    }

    fn outcome_of(truth: Option<bool>) -> Outcomes {
        match truth {
            Some(true) => Outcomes::TRUE,
            Some(false) => Outcomes::FALSE,
            None => Outcomes::NULL,
        }
    }

    /// All shapes of one leaf on the column `at`.
    fn leaves(kind: &Kind, at: At) -> Vec<Shape> {
        // A day is compared with no text of a time.
        let is_asked = |value: &Value| !at.1 || !matches!(value, Value::String(_));
        let literals = || kind.literals.iter().filter(|(value, _)| is_asked(value)).cloned();
        let mut shapes = vec![Shape::IsNull(at), Shape::In(at, vec![]), Shape::In(at, vec![None])];
        for comparison in COMPARISONS {
            shapes.push(Shape::Compare(at, comparison, None));
            shapes.extend(literals().map(|one| Shape::Compare(at, comparison, Some(one))));
        }
        for (i, one) in literals().enumerate() {
            shapes.push(Shape::In(at, vec![Some(one.clone())]));
            shapes.push(Shape::In(at, vec![None, Some(one.clone())]));
            for (j, other) in literals().enumerate() {
                shapes.push(Shape::Between(at, one.clone(), other.clone()));
                if i < j {
                    shapes.push(Shape::In(at, vec![Some(other.clone()), Some(one.clone())]));
                    let third = literals().nth((i + j) % 11).filter(|_| (i + j) % 4 != 0);
                    shapes.push(Shape::In(at, vec![Some(one.clone()), Some(other), third]));
                }
            }
        }
        match kind.data_type {
            schema::DataType::Boolean => shapes.push(Shape::IsTrue(at)),
            schema::DataType::String => shapes.extend(
                [
                    "",
                    "%",
                    "%%",
                    "_",
                    "__",
                    "_%",
                    "a",
                    "a%",
                    "a_",
                    "a%%",
                    "ab%",
                    "a%c",
                    "%b",
                    "%b%",
                    "a\\_%",
                    "a\\_b",
                    "\\%",
                    "\\%%",
                    "é%",
                    "é",
                    "日%",
                    "日_",
                    "_本",
                    "\u{10ffff}%",
                    "b%",
                    "\u{7f}%",
                ]
                .map(|pattern| Shape::Like(at, pattern.to_owned())),
            ),
            _ => {}
        }
        shapes
    }

    fn bound(shape: &Shape, kinds: &[&Kind]) -> Question {
        let field = |(i, kind): (usize, &&Kind)| {
            StructField::new(format!("c{i}"), kind.data_type.clone(), true)
        };
        let schema = StructType { fields: kinds.iter().enumerate().map(field).collect() };
        Question::new(&shape.predicate(), &schema, &[], ColumnMappingMode::None)
            .unwrap_or_else(|error| panic!("{}: {error}", shape.predicate()))
    }

    /// How much is known of a set: each side's bound is the true one, a wider one or
    /// none.
    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Known {
        lower: Side,
        upper: Side,
        /// Whether it is known that none is null, that all are, that one is not.
        nulls: bool,
        /// Whether NaN counts for the upper bound, as Spark has it.
        nan_is_upper: bool,
    }

    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Side {
        True,
        Wider,
        None,
    }

    fn some_known() -> [Known; 8] {
        [
            (Side::True, Side::True, true, true),
            (Side::True, Side::True, true, false),
            (Side::True, Side::True, false, false),
            (Side::Wider, Side::Wider, true, true),
            (Side::True, Side::Wider, false, true),
            (Side::True, Side::None, true, true),
            (Side::None, Side::True, true, false),
            (Side::None, Side::None, false, true),
        ]
        .map(|(lower, upper, nulls, nan_is_upper)| Known {
            lower,
            upper,
            nulls,
            nan_is_upper,
        })
    }

    /// The places of a set's bounds among the values of its kind.
    fn ends(kind: &Kind, set: &[usize], known: Known) -> (Option<usize>, Option<usize>) {
        let order = |a: &usize, b: &usize| {
            let plain = |at: usize| kind.values[at].as_ref().unwrap();
            plain(*a).order(plain(*b))
        };
        let counts = |&at: &usize| {
            let value = kind.values[at].as_ref();
            value.is_some_and(|value| known.nan_is_upper || !value.is_nan())
        };
        let all = 0..kind.values.len();
        let (mut members, all) = (set.iter().copied().filter(counts), all.filter(counts));
        let side = |side, of_set: Option<usize>, of_all: Option<usize>| match side {
            Side::True => of_set,
            Side::Wider => of_set.and(of_all),
            Side::None => None,
        };
        (
            side(known.lower, members.clone().min_by(order), all.clone().min_by(order)),
            side(known.upper, members.by_ref().max_by(order), all.max_by(order)),
        )
    }

    /// What is known of each of `sets`, which are of places among the values.
    fn asked_bounds(kind: &Kind, sets: &[Vec<usize>], known: Known) -> Asked {
        let (lower, upper): (Vec<_>, Vec<_>) =
            sets.iter().map(|set| ends(kind, set, known)).unzip();
        let values = |places: Vec<Option<usize>>| {
            let places = places.into_iter().map(|at| at.map(|at| at as u32));
            take(&kind.array, &UInt32Array::from_iter(places), None).unwrap()
        };
        let has = |is_null: bool| {
            let in_set = |set: &Vec<usize>| {
                !known.nulls || set.iter().any(|&at| kind.values[at].is_none() == is_null)
            };
            BooleanBuffer::from_iter(sets.iter().map(in_set))
        };
        Asked::Bounds(Bounds {
            lower: values(lower),
            upper: values(upper),
            may_be_null: has(true),
            may_be_value: has(false),
        })
    }

    fn asked_values(kind: &Kind, places: impl IntoIterator<Item = usize>) -> Asked {
        let places = UInt32Array::from_iter_values(places.into_iter().map(|at| at as u32));
        Asked::Values(take(&kind.array, &places, None).unwrap())
    }

    #[test]
    fn every_value_has_the_outcome_that_sql_gives_it() {
        for kind in kinds() {
            for day in [false, true] {
                if day && !kind.has_day {
                    continue;
                }
                for shape in leaves(&kind, At(0, day)) {
                    for shape in [shape.clone(), shape.not()] {
                        let question = bound(&shape, &[&kind]);
                        let asked = [asked_values(&kind, 0..kind.values.len())];
                        let found = question.outcomes(kind.values.len(), &asked).unwrap();
                        for (at, found) in found.into_iter().enumerate() {
                            let value = kind.values[at].as_ref();
                            let expected = outcome_of(shape.truth(&[value]));
                            assert_eq!(found, expected, "{} of {value:?}", shape.predicate());
                            let one = kind.array.slice(at, 1);
                            let given = question.given(|_| Some(one.clone())).unwrap();
                            assert_eq!(given.constant(), Some(expected), "{}", shape.predicate());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn no_outcome_that_a_value_has_is_ruled_out_by_bounds() {
        for kind in kinds() {
            let sets = kind.sets();
            let asked = some_known().map(|known| (known, [asked_bounds(&kind, &sets, known)]));
            let days = [false, true].into_iter().filter(|&day| !day || kind.has_day);
            let shapes = days.flat_map(|day| leaves(&kind, At(0, day)));
            // There are many pairs of literals.
            let of_pair = |shape: &Shape| matches!(shape, Shape::In(..) | Shape::Between(..));
            let shapes = shapes.enumerate().filter(|(i, shape)| !of_pair(shape) || i % 7 == 0);
            for (_, shape) in shapes {
                let question = bound(&shape, &[&kind]);
                let truth = |value: &Option<Plain>| outcome_of(shape.truth(&[value.as_ref()]));
                let truths: Vec<_> = kind.values.iter().map(truth).collect();
                for (known, asked) in &asked {
                    let found = question.outcomes(sets.len(), asked).unwrap();
                    for (set, found) in sets.iter().zip(found) {
                        let told = || format!("{} {known:?} {set:?}", shape.predicate());
                        let had = set.iter().fold(Outcomes::NONE, |all, &at| all | truths[at]);
                        assert_eq!(found | had, found, "{}", told());
                        if let Some(may_be_true) = may_be_true(&shape, &kind, set, *known) {
                            assert_eq!(found.may_be_true(), may_be_true, "{}", told());
                        }
                    }
                }
            }
        }
    }

    /// Whether a comparison may be true of what lies between the bounds of `set`, if
    /// those say it all: neither bound is less tight than need be.
    fn may_be_true(shape: &Shape, kind: &Kind, set: &[usize], known: Known) -> Option<bool> {
        let (lower, upper) = ends(kind, set, known);
        let is_float = matches!(kind.values[0], Some(Plain::Float(_)));
        let nan = is_float.then_some(Plain::Float(f64::NAN));
        if !known.nulls || kind.values[*set.last()?].is_none() {
            return None;
        }
        let (day, comparison, literal) = match shape {
            Shape::Compare(At(0, day), comparison, Some((_, literal))) => {
                (day, comparison, literal)
            }
            // Of one text it is known whether it is like any pattern.
            Shape::Like(..) if lower.is_some() && lower == upper => {
                return Some(shape.truth(&[kind.values[lower?].as_ref()]) == Some(true));
            }
            _ => return None,
        };
        // Of a NaN alone nothing is known but that.
        let (lower, upper) = (kind.values[lower?].as_ref()?, kind.values[upper?].as_ref()?);
        if lower.is_nan() || upper.is_nan() {
            return None;
        }
        let ends = [Some(lower), Some(upper), nan.as_ref()];
        let is_true = |end: &Plain| shape.truth(&[Some(end)]) == Some(true);
        let at_an_end = ends.into_iter().flatten().any(is_true);
        match comparison {
            Comparison::Equal | Comparison::NotDistinct => {
                let midnight = |end: &Plain| if *day { end.midnight() } else { end.clone() };
                let between = midnight(lower).order(literal).is_le()
                    && midnight(upper).order(literal).is_ge();
                // What is none of the type's values lies nowhere, but that is not known here.
                (!between || at_an_end).then_some(at_an_end)
            }
            _ => Some(at_an_end),
        }
    }

    #[test]
    fn where_bounds_say_it_of_every_value_a_question_is_true() {
        let known = Known { lower: Side::True, upper: Side::True, nulls: true, nan_is_upper: true };
        for kind in kinds() {
            if matches!(kind.values[0], Some(Plain::Float(_))) {
                continue;
            }
            let sets = kind.sets();
            let asked = [asked_bounds(&kind, &sets, known)];
            for comparison in &COMPARISONS[..6] {
                for literal in &kind.literals {
                    let shape = Shape::Compare(At(0, false), *comparison, Some(literal.clone()));
                    let found = bound(&shape, &[&kind]).outcomes(sets.len(), &asked).unwrap();
                    for (set, found) in sets.iter().zip(found) {
                        let truth = |&at: &usize| shape.truth(&[kind.values[at].as_ref()]);
                        let all = set.iter().map(truth).all(|truth| truth == Some(true));
                        // Only a value between the bounds is unequal to some that are not.
                        let is_unequal = *comparison == Comparison::NotEqual && set.len() > 1;
                        if !is_unequal {
                            assert_eq!(found.is_true(), all, "{} {set:?}", shape.predicate());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_without_rows_is_never_wanted_and_one_of_nulls_only_where_null_is() {
        for kind in kinds() {
            let bounds = |may_be_null: bool| {
                let nothing = kind.array.slice(kind.array.len() - 1, 1);
                Asked::Bounds(Bounds {
                    lower: nothing.clone(),
                    upper: nothing,
                    may_be_null: BooleanBuffer::from(vec![may_be_null]),
                    may_be_value: BooleanBuffer::from(vec![false]),
                })
            };
            for shape in leaves(&kind, At(0, false)) {
                let question = bound(&shape, &[&kind]);
                if question.constant().is_none() {
                    let found = question.outcomes(1, &[bounds(false)]).unwrap()[0];
                    // A constant beside a column, as of `IN (NULL, 1)`, is what it is.
                    assert!(!found.may_be_true(), "{}", shape.predicate());
                }
                let found = question.outcomes(1, &[bounds(true)]).unwrap()[0];
                let truth = shape.truth(&[None]);
                assert_eq!(found.may_be_true(), truth == Some(true), "{}", shape.predicate());
            }
        }
    }

    /// The questions of two columns: of each a few, in every combination.
    fn of_two(kinds: &[&Kind]) -> Vec<Shape> {
        let leaves = |at: usize| {
            let kind = kinds[at];
            let literal = |i: usize| kind.literals[i % kind.literals.len()].clone();
            let at = At(at, false);
            vec![
                Shape::IsNull(at),
                Shape::IsNull(at).not(),
                Shape::Compare(at, Comparison::Equal, Some(literal(4))),
                Shape::Compare(at, Comparison::NotEqual, Some(literal(4))),
                Shape::Compare(at, Comparison::Less, Some(literal(3))),
                Shape::Compare(at, Comparison::GreaterOrEqual, Some(literal(5))),
                Shape::Compare(at, Comparison::NotDistinct, Some(literal(2))),
                Shape::Compare(at, Comparison::Distinct, None),
                Shape::In(at, vec![Some(literal(2)), None]),
                Shape::Between(at, literal(2), literal(5)).not(),
            ]
        };
        let constants = [Some(true), Some(false), None].map(Shape::Constant);
        let mut shapes: Vec<_> = leaves(0);
        shapes.extend(constants);
        let firsts = shapes.clone();
        let mut joined = Vec::new();
        for one in &firsts {
            for other in leaves(1).into_iter().chain(leaves(0)) {
                for negated in [false, true] {
                    let one = if negated { one.clone().not() } else { one.clone() };
                    let pair = || vec![one.clone(), other.clone()];
                    joined.push(Shape::And(pair()));
                    joined.push(Shape::Or(pair()));
                    joined.push(Shape::And(pair()).not());
                    joined.push(Shape::Or(vec![Shape::And(pair()), Shape::Or(pair()).not()]));
                }
            }
        }
        joined
    }

    #[test]
    fn and_or_and_not_of_two_columns_are_what_sql_makes_of_them() {
        let all = kinds();
        let find = |data_type| all.iter().find(|kind| kind.data_type == data_type).unwrap();
        let kinds = [find(schema::DataType::Byte), find(schema::DataType::String)];
        // Rows of a few values of each column.
        let few = |kind: &Kind| [1, 3, 4, kind.values.len() - 1];
        let rows: Vec<[usize; 2]> =
            few(kinds[0]).into_iter().flat_map(|a| few(kinds[1]).map(|b| [a, b])).collect();
        let sets = small_sets(rows.len());
        let known = Known { lower: Side::True, upper: Side::True, nulls: true, nan_is_upper: true };
        let loose = Known { lower: Side::Wider, upper: Side::None, nulls: false, ..known };
        let of_column = |column: usize| -> Vec<Vec<usize>> {
            let places = |set: &Vec<usize>| set.iter().map(|&row| rows[row][column]).collect();
            sets.iter().map(places).collect()
        };
        let of_columns = [of_column(0), of_column(1)];
        let bounds = |column: usize, known| asked_bounds(kinds[column], &of_columns[column], known);
        let asked = [
            [bounds(0, known), bounds(1, known)],
            [bounds(0, loose), bounds(1, known)],
            [bounds(0, known), bounds(1, loose)],
            [bounds(0, known), Asked::Nothing],
            [Asked::Nothing, Asked::Nothing],
        ];
        let values =
            |column: usize| asked_values(kinds[column], rows.iter().map(|row| row[column]));
        let values = [values(0), values(1)];
        for shape in of_two(&kinds) {
            let question = bound(&shape, &kinds);
            // The column that is asked first comes first.
            let place =
                |name: &str| question.columns().iter().position(|column| column.path == [name]);
            let order = |asked: &[Asked; 2]| -> Vec<Asked> {
                let mut ordered: Vec<Asked> =
                    question.columns().iter().map(|_| Asked::Nothing).collect();
                for (name, asked) in ["c0", "c1"].iter().zip(asked) {
                    if let Some(place) = place(name) {
                        ordered[place] = asked.copied();
                    }
                }
                ordered
            };
            let truth = |row: &[usize; 2]| {
                let [a, b] = [0, 1].map(|column| kinds[column].values[row[column]].as_ref());
                outcome_of(shape.truth(&[a, b]))
            };
            let truths: Vec<_> = rows.iter().map(truth).collect();
            let found = question.outcomes(rows.len(), &order(&values)).unwrap();
            assert_eq!(found, truths, "{}", shape.predicate());
            for (i, asked) in asked.iter().enumerate() {
                let found = question.outcomes(sets.len(), &order(asked)).unwrap();
                for (set, found) in sets.iter().zip(found) {
                    let had = set.iter().fold(Outcomes::NONE, |all, &row| all | truths[row]);
                    assert_eq!(found | had, found, "{} {i} {set:?}", shape.predicate());
                }
            }
            // With the first column's value known, the other column's rows are left.
            for first in few(kinds[0]) {
                let known = kinds[0].array.slice(first, 1);
                let given = question
                    .given(|column| (Some(column) == place("c0")).then(|| known.clone()))
                    .unwrap();
                assert!(place("c0").is_none_or(|place| !given.asks(place)));
                let is_left = |&place: &usize| rows[place][0] == first;
                let left: Vec<_> = (0..rows.len()).filter(is_left).collect();
                let others = asked_values(kinds[1], left.iter().map(|&place| rows[place][1]));
                let found = given.outcomes(left.len(), &order(&[Asked::Nothing, others]));
                let expected: Vec<_> = left.iter().map(|&place| truths[place]).collect();
                assert_eq!(found.unwrap(), expected, "{}", shape.predicate());
            }
        }
    }

    impl Asked {
        fn copied(&self) -> Asked {
            match self {
                Asked::Nothing => Asked::Nothing,
                Asked::Values(values) => Asked::Values(values.clone()),
                Asked::Bounds(Bounds { lower, upper, may_be_null, may_be_value }) => {
                    Asked::Bounds(Bounds {
                        lower: lower.clone(),
                        upper: upper.clone(),
                        may_be_null: may_be_null.clone(),
                        may_be_value: may_be_value.clone(),
                    })
                }
            }
        }
    }

    impl std::ops::BitOr for Outcomes {
        type Output = Outcomes;

        fn bitor(self, other: Outcomes) -> Outcomes {
            Outcomes(self.0 | other.0)
        }
    }
}
