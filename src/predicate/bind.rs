//! A predicate bound to a table: its columns found, its literals in their types.
//!
//! A literal becomes a value of its column's type without loss, or the test is
//! rewritten to one that says the same: no whole number lies between 2 and 2.5, so
//! `n < 2.5` is `n <= 2`, and what is beyond the type's range is true or false of
//! every value. Spark widens the column instead, with the same rows for a result,
//! but that floating point cannot tell large whole numbers apart: here they are
//! compared exactly.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{Decimal128Type, Float64Type, Int64Type};

use super::outcomes::{Outcomes, float_key};
use super::{Comparison, Literal, Name, Node, Operand, Place, Predicate, Value, path_text, shown};
use crate::error::{Result, escaped};
use crate::partition_value::PartitionColumn;
use crate::schema::{ColumnMappingMode, DataType, StructType, column_path};

const MICROS_A_DAY: i64 = 86_400_000_000;

/// A predicate bound to a table.
#[derive(Debug)]
pub(crate) struct Question {
    pub(super) columns: Arc<[AskedColumn]>,
    pub(super) root: Bound,
}

/// A column, or a field within one, that a question is about.
#[derive(Debug, PartialEq)]
pub(crate) struct AskedColumn {
    /// As the schema spells the names on the way.
    pub(crate) path: Vec<String>,
    /// As files and statistics have it.
    pub(crate) physical: Vec<String>,
    pub(crate) data_type: DataType,
    /// Its place among the table's partition columns, if it is one.
    pub(crate) partition: Option<usize>,
}

/// A node of a question; columns are known by their place.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    Constant(Outcomes),
    Leaf(usize, Test),
    And(Vec<Bound>),
    Or(Vec<Bound>),
    Not(Box<Bound>),
}

/// What is asked of a column's value; of a null it is null, but for `IsNull`.
#[derive(Debug, Clone)]
pub(super) enum Test {
    IsNull,
    /// The same for every value.
    IfValue(bool),
    Less(Keys),
    LessOrEqual(Keys),
    /// Whether it is one of these, which are in order.
    In(Keys),
    Like(Pattern),
}

/// Literals as what they are compared by.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    Int(Vec<i64>),
    Decimal(Vec<i128>),
    Bytes(Vec<Vec<u8>>),
}

/// A pattern with backslashes for escapes.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) text: String,
    /// What every text that is like it begins with.
    pub(super) prefix: Vec<u8>,
    /// Whether every text that begins with that is like it.
    pub(super) is_prefix: bool,
}

impl Question {
    /// Binds `predicate` to the columns of `schema`, of which those named
    /// `partition_columns` partition the table.
    ///
    /// # Errors
    /// `InvalidArgument`, saying where, for a column that does not exist or cannot be
    /// compared so, and for a literal that is no value of its type.
    pub(crate) fn new(
        predicate: &Predicate,
        schema: &StructType,
        partition_columns: &[String],
        mode: ColumnMappingMode,
    ) -> Result<Question> {
        let mut binder = Binder { schema, partition_columns, mode, columns: Vec::new() };
        let root = binder.node(&predicate.node)?;
        Ok(Question { columns: binder.columns.into(), root })
    }

    /// The columns that it is about, each once.
    pub(crate) fn columns(&self) -> &[AskedColumn] {
        &self.columns
    }
}

struct Binder<'a> {
    schema: &'a StructType,
    partition_columns: &'a [String],
    mode: ColumnMappingMode,
    columns: Vec<AskedColumn>,
}

impl Binder<'_> {
    fn node(&mut self, node: &Node) -> Result<Bound> {
        let all = |binder: &mut Self, nodes: &[Node]| {
            nodes.iter().map(|node| binder.node(node)).collect::<Result<Vec<_>>>()
        };
        Ok(match node {
            Node::Constant(Some(true)) => Bound::Constant(Outcomes::TRUE),
            Node::Constant(Some(false)) => Bound::Constant(Outcomes::FALSE),
            Node::Constant(None) => Bound::Constant(Outcomes::NULL),
            Node::And(nodes) => Bound::And(all(self, nodes)?),
            Node::Or(nodes) => Bound::Or(all(self, nodes)?),
            Node::Not(node) => self.node(node)?.not(),
            Node::IsNull(operand) => {
                let column = self.column(operand)?;
                match self.columns[column].data_type {
                    DataType::Void => Bound::Constant(Outcomes::TRUE),
                    _ => Bound::Leaf(column, Test::IsNull),
                }
            }
            Node::IsTrue(operand) => {
                let value = Literal { value: Value::Boolean(true), at: operand.at };
                self.comparison(operand, Comparison::Equal, &value)?
            }
            Node::Compare(operand, comparison, literal) => {
                self.comparison(operand, *comparison, literal)?
            }
            Node::In(operand, literals) => self.one_of(operand, literals)?,
            Node::Like(operand, pattern) => self.like(operand, pattern)?,
            Node::TooDeep => return Err(Place::default().too_deep()),
        })
    }

    /// The place of the column of `operand` among those that are asked about.
    fn column(&mut self, operand: &Operand) -> Result<usize> {
        let parts = match &operand.name {
            Name::Parts(parts) => parts.clone(),
            Name::Text(text) if self.schema.fields.iter().any(|field| field.name == *text) => {
                vec![text.clone()]
            }
            Name::Text(text) => column_path(text).map_err(|e| operand.at.invalid(e.message()))?,
        };
        let lacks = |below: &[String]| {
            let below = escaped(&path_text(below));
            Err(operand.at.invalid(format!("no column {below} in the table{}", operand.at.hint())))
        };
        let (mut path, mut physical) = (Vec::new(), Vec::new());
        let schema = self.schema;
        let mut within = Some(schema);
        let mut data_type: Option<&DataType> = None;
        for (i, part) in parts.iter().enumerate() {
            let Some(field) = within.and_then(|schema| schema.field(part)) else {
                return match data_type {
                    Some(DataType::Array(_) | DataType::Map(_)) => Err(operand.at.invalid(
                        format!("{}: what is in lists and maps is not compared", shown(operand)),
                    )),
                    _ => lacks(&parts[..=i]),
                };
            };
            path.push(field.name.clone());
            physical.push(field.physical_name(self.mode)?.to_owned());
            within = match &field.data_type {
                DataType::Struct(schema) => Some(schema),
                _ => None,
            };
            data_type = Some(&field.data_type);
        }
        let Some(data_type) = data_type else { return lacks(&parts) };
        // The metaData's own spelling may differ in case from the schema's.
        let names = |name: &String| {
            self.schema.field(name).is_some_and(|field| Some(&field.name) == path.first())
        };
        let partition = self.partition_columns.iter().position(names);
        let column = AskedColumn { path, physical, data_type: data_type.clone(), partition };
        if operand.as_date
            && !matches!(
                column.data_type,
                DataType::Date | DataType::Timestamp | DataType::TimestampNtz
            )
        {
            return Err(operand.at.invalid(format!(
                "{} is of type {}: only a timestamp is cast to its date",
                escaped(&path_text(&column.path)),
                column.data_type
            )));
        }
        let known = self.columns.iter().position(|known| *known == column);
        Ok(known.unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        }))
    }

    fn comparison(
        &mut self,
        operand: &Operand,
        comparison: Comparison,
        literal: &Literal,
    ) -> Result<Bound> {
        let column = self.column(operand)?;
        let fit = self.fit(column, operand, literal)?;
        let is_null = || Bound::Leaf(column, Test::IsNull);
        let if_value = |is_true| Bound::Leaf(column, Test::IfValue(is_true));
        if let DataType::Void = self.columns[column].data_type {
            return Ok(match (comparison, fit) {
                (Comparison::Distinct, Fit::Null) => Bound::Constant(Outcomes::FALSE),
                (Comparison::NotDistinct, Fit::Null) => Bound::Constant(Outcomes::TRUE),
                (Comparison::Distinct, _) => Bound::Constant(Outcomes::TRUE),
                (Comparison::NotDistinct, _) => Bound::Constant(Outcomes::FALSE),
                _ => Bound::Constant(Outcomes::NULL),
            });
        }
        if matches!(fit, Fit::Null) {
            return Ok(match comparison {
                Comparison::NotDistinct => is_null(),
                Comparison::Distinct => is_null().not(),
                _ => Bound::Constant(Outcomes::NULL),
            });
        }
        let of_days = operand.as_date && !matches!(self.columns[column].data_type, DataType::Date);
        // Whether a value is less than the literal, and less or equal.
        let (less, less_or_equal, equal) = match (fit, of_days) {
            (Fit::Exact(Keys::Int(days)), true) => {
                let start = |day: i64| before(column, i128::from(day) * i128::from(MICROS_A_DAY));
                let (begin, end) = (start(days[0]), start(days[0] + 1));
                (begin.clone(), end.clone(), Bound::And(vec![begin.not(), end]))
            }
            (Fit::Above(Keys::Int(days)), true) => {
                let end = before(column, i128::from(days[0] + 1) * i128::from(MICROS_A_DAY));
                (end.clone(), end, if_value(false))
            }
            (Fit::Exact(keys), _) => {
                let leaf = |test| Bound::Leaf(column, test);
                let (less, equal) = (Test::Less(keys.clone()), Test::In(keys.clone()));
                (leaf(less), leaf(Test::LessOrEqual(keys)), leaf(equal))
            }
            (Fit::Above(keys), _) => {
                let below = Bound::Leaf(column, Test::LessOrEqual(keys));
                (below.clone(), below, if_value(false))
            }
            (Fit::TooHigh, _) => (if_value(true), if_value(true), if_value(false)),
            (Fit::TooLow | Fit::Null, _) => (if_value(false), if_value(false), if_value(false)),
        };
        Ok(match comparison {
            Comparison::Equal => equal,
            Comparison::NotEqual => equal.not(),
            Comparison::Less => less,
            Comparison::LessOrEqual => less_or_equal,
            Comparison::Greater => less_or_equal.not(),
            Comparison::GreaterOrEqual => less.not(),
            Comparison::NotDistinct => Bound::And(vec![is_null().not(), equal]),
            Comparison::Distinct => Bound::And(vec![is_null().not(), equal]).not(),
        })
    }

    fn one_of(&mut self, operand: &Operand, literals: &[Literal]) -> Result<Bound> {
        let column = self.column(operand)?;
        if literals.is_empty() {
            return Ok(Bound::Constant(Outcomes::FALSE));
        }
        let has_null = literals.iter().any(|literal| literal.value == Value::Null);
        let literals = literals.iter().filter(|literal| literal.value != Value::Null);
        let mut any = Vec::new();
        if operand.as_date {
            for literal in literals {
                any.push(self.comparison(operand, Comparison::Equal, literal)?);
            }
        } else if !matches!(self.columns[column].data_type, DataType::Void) {
            let (mut ints, mut decimals, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
            for literal in literals {
                match self.fit(column, operand, literal)? {
                    Fit::Exact(Keys::Int(key)) => ints.extend(key),
                    Fit::Exact(Keys::Decimal(key)) => decimals.extend(key),
                    Fit::Exact(Keys::Bytes(key)) => bytes.extend(key),
                    // No value of the column's type is this.
                    _ => {}
                }
            }
            ints.sort_unstable();
            decimals.sort_unstable();
            bytes.sort_unstable();
            any.push(Bound::Leaf(
                column,
                match (ints.len(), decimals.len(), bytes.len()) {
                    (0, 0, 0) => Test::IfValue(false),
                    (_, 0, 0) => Test::In(Keys::Int(ints)),
                    (0, _, 0) => Test::In(Keys::Decimal(decimals)),
                    _ => Test::In(Keys::Bytes(bytes)),
                },
            ));
        } else {
            any.push(Bound::Constant(Outcomes::NULL));
        }
        if has_null {
            any.push(Bound::Constant(Outcomes::NULL));
        }
        Ok(Bound::Or(any))
    }

    fn like(&mut self, operand: &Operand, pattern: &super::Pattern) -> Result<Bound> {
        let column = self.column(operand)?;
        let asked = &self.columns[column];
        match asked.data_type {
            DataType::Void => return Ok(Bound::Constant(Outcomes::NULL)),
            DataType::String if !operand.as_date => {}
            _ => {
                return Err(operand.at.invalid(format!(
                    "{} is of type {}: only text is compared by LIKE",
                    shown(operand),
                    asked.data_type
                )));
            }
        }
        let (mut text, mut prefix) = (String::new(), String::new());
        // Of the pattern so far.
        let (mut has_wildcard, mut is_prefix) = (false, true);
        let mut chars = pattern.text.chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                c if Some(c) == pattern.escape => match chars.next() {
                    Some(c) if matches!(c, '%' | '_') || Some(c) == pattern.escape => c,
                    // Spark refuses it as well.
                    _ => {
                        return Err(pattern.at.invalid(format!(
                            "'{}': the escape '{c}' must stand before %, _ or itself",
                            escaped(&pattern.text)
                        )));
                    }
                },
                '%' | '_' => {
                    text.push(c);
                    has_wildcard = true;
                    is_prefix &= c == '%';
                    continue;
                }
                c => c,
            };
            if matches!(literal, '%' | '_' | '\\') {
                text.push('\\');
            }
            text.push(literal);
            if has_wildcard {
                is_prefix = false;
            } else {
                prefix.push(literal);
            }
        }
        if !has_wildcard {
            return Ok(Bound::Leaf(column, Test::In(Keys::Bytes(vec![prefix.into_bytes()]))));
        }
        let pattern = Pattern { text, prefix: prefix.into_bytes(), is_prefix };
        Ok(Bound::Leaf(column, Test::Like(pattern)))
    }

    /// `literal` among the values of the column.
    fn fit(&self, column: usize, operand: &Operand, literal: &Literal) -> Result<Fit> {
        let asked = &self.columns[column];
        let day = DataType::Date;
        let data_type = if operand.as_date { &day } else { &asked.data_type };
        fit(&literal.value, data_type).ok_or_else(|| {
            literal.at.invalid(format!(
                "{} is no value of type {data_type}, which {} has",
                shown(&literal.value),
                shown(operand)
            ))
        })
    }
}

impl Bound {
    fn not(self) -> Bound {
        match self {
            Bound::Not(node) => *node,
            node => Bound::Not(Box::new(node)),
        }
    }
}

/// Whether a timestamp is before `micros`.
fn before(column: usize, micros: i128) -> Bound {
    Bound::Leaf(
        column,
        match i64::try_from(micros) {
            Ok(micros) => Test::Less(Keys::Int(vec![micros])),
            Err(_) => Test::IfValue(micros > 0),
        },
    )
}

/// Where a literal lies among the values of a type.
pub(super) enum Fit {
    Null,
    /// It is this one.
    Exact(Keys),
    /// It is greater than this one and less than the next.
    Above(Keys),
    TooHigh,
    TooLow,
}

/// Where `value` lies among the values of a type; `None` where it is not compared
/// with them.
fn fit(value: &Value, data_type: &DataType) -> Option<Fit> {
    let int = |key| Some(Fit::Exact(Keys::Int(vec![key])));
    Some(match (data_type, value) {
        (_, Value::Null) => Fit::Null,
        (DataType::Void, _) => Fit::TooHigh,
        (DataType::String | DataType::Binary, Value::String(text)) => {
            Fit::Exact(Keys::Bytes(vec![text.clone().into_bytes()]))
        }
        (DataType::Binary, Value::Binary(bytes)) => Fit::Exact(Keys::Bytes(vec![bytes.clone()])),
        (DataType::Boolean, Value::Boolean(value)) => return int(i64::from(*value)),
        (DataType::Date, Value::Date(days)) => return int(i64::from(*days)),
        (DataType::Date, Value::Timestamp(micros) | Value::TimestampNtz(micros)) => {
            let days = vec![micros.div_euclid(MICROS_A_DAY)];
            match micros.rem_euclid(MICROS_A_DAY) {
                0 => Fit::Exact(Keys::Int(days)),
                _ => Fit::Above(Keys::Int(days)),
            }
        }
        (DataType::Timestamp | DataType::TimestampNtz, value) if value.is_time() => match value {
            Value::Timestamp(micros) | Value::TimestampNtz(micros) => return int(*micros),
            // Midnight, as Spark casts a date. (In a session set to UTC.)
            Value::Date(days) => match i64::from(*days).checked_mul(MICROS_A_DAY) {
                Some(micros) => return int(micros),
                None if *days > 0 => Fit::TooHigh,
                None => Fit::TooLow,
            },
            _ => return None,
        },
        (DataType::Byte, value) if value.is_number() => {
            whole(value, i8::MIN.into(), i8::MAX.into())?
        }
        (DataType::Short, value) if value.is_number() => {
            whole(value, i16::MIN.into(), i16::MAX.into())?
        }
        (DataType::Integer, value) if value.is_number() => {
            whole(value, i32::MIN.into(), i32::MAX.into())?
        }
        (DataType::Long, value) if value.is_number() => whole(value, i64::MIN, i64::MAX)?,
        (DataType::Double, value) if value.is_number() => return int(float_key(float(value)?)),
        (DataType::Float, value) if value.is_number() => {
            // As Spark compares: with the column's numbers as double precision.
            let wide = float(value)?;
            let narrow = wide as f32;
            if wide.is_nan() || f64::from(narrow) == wide {
                return int(float_key(wide));
            }
            let below = if f64::from(narrow) > wide { narrow.next_down() } else { narrow };
            Fit::Above(Keys::Int(vec![float_key(f64::from(below))]))
        }
        (DataType::Decimal { precision, scale }, value) if value.is_number() => {
            let limit = 10_i128.checked_pow(u32::from(*precision))? - 1;
            scaled(value, i32::from(*scale), -limit, limit)?
        }
        // A value as the log and data files' folders spell it.
        (_, Value::String(text)) if !text.is_empty() => {
            let mut column = PartitionColumn::new("", data_type).ok()?;
            column.append(Some(text)).ok()?;
            let array = column.finish();
            Fit::Exact(match array.data_type() {
                arrow::datatypes::DataType::Decimal128(..) => {
                    Keys::Decimal(vec![array.as_primitive::<Decimal128Type>().value(0)])
                }
                arrow::datatypes::DataType::Float32 | arrow::datatypes::DataType::Float64 => {
                    // Of a float the nearest float, not what lies between two of them.
                    let wide = cast(&array, &arrow::datatypes::DataType::Float64).ok()?;
                    Keys::Int(vec![float_key(wide.as_primitive::<Float64Type>().value(0))])
                }
                _ => {
                    let ints = cast(&array, &arrow::datatypes::DataType::Int64).ok()?;
                    Keys::Int(vec![ints.as_primitive::<Int64Type>().value(0)])
                }
            })
        }
        _ => return None,
    })
}

impl Value {
    fn is_number(&self) -> bool {
        matches!(self, Value::Long(_) | Value::Double(_) | Value::Decimal { .. })
    }

    fn is_time(&self) -> bool {
        matches!(self, Value::Date(_) | Value::Timestamp(_) | Value::TimestampNtz(_))
    }
}

/// A number as one of double precision, the nearest.
fn float(value: &Value) -> Option<f64> {
    Some(match value {
        Value::Long(number) => *number as f64,
        Value::Double(number) => *number,
        Value::Decimal { unscaled, scale } => format!("{unscaled}e-{scale}").parse().ok()?,
        _ => return None,
    })
}

/// A number among the whole ones from `lowest` to `highest`.
fn whole(value: &Value, lowest: i64, highest: i64) -> Option<Fit> {
    // The shortest text that means a large whole number is not always that number.
    let exact = match value {
        Value::Double(number) if number.fract() == 0.0 => {
            Some(Value::Decimal { unscaled: *number as i128, scale: 0 })
        }
        _ => None,
    };
    let fit = scaled(exact.as_ref().unwrap_or(value), 0, lowest.into(), highest.into())?;
    let narrow = |keys: Keys| match keys {
        // Both are within the limits.
        Keys::Decimal(keys) => {
            let keys = keys.into_iter().map(i64::try_from);
            Some(Keys::Int(keys.collect::<std::result::Result<_, _>>().ok()?))
        }
        _ => None,
    };
    Some(match fit {
        Fit::Exact(keys) => Fit::Exact(narrow(keys)?),
        Fit::Above(keys) => Fit::Above(narrow(keys)?),
        fit => fit,
    })
}

/// A number among the multiples of 10^-`scale` from `lowest` to `highest`, both
/// given unscaled.
pub(super) fn scaled(value: &Value, scale: i32, lowest: i128, highest: i128) -> Option<Fit> {
    // A NaN is greater than any number.
    let (unscaled, exponent) = match value {
        Value::Long(number) => (i128::from(*number), 0),
        Value::Decimal { unscaled, scale } => (*unscaled, -i32::from(*scale)),
        Value::Double(number) if number.is_nan() || *number == f64::INFINITY => {
            return Some(Fit::TooHigh);
        }
        Value::Double(number) if *number == f64::NEG_INFINITY => return Some(Fit::TooLow),
        // By the shortest text that means it.
        Value::Double(number) => {
            let text = format!("{number:e}");
            let (digits, exponent) = text.split_once('e')?;
            let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let unscaled: i128 = digits.replace('.', "").parse().ok()?;
            (unscaled, exponent.parse::<i32>().ok()? - i32::try_from(fraction).ok()?)
        }
        _ => return None,
    };
    let beyond = || if unscaled > 0 { Fit::TooHigh } else { Fit::TooLow };
    let power = exponent.checked_add(scale)?;
    let ten_to = |power: i32| 10_i128.checked_pow(power.unsigned_abs());
    let (key, is_exact) = match power {
        _ if unscaled == 0 => (0, true),
        0.. => match ten_to(power).and_then(|ten| unscaled.checked_mul(ten)) {
            Some(key) => (key, true),
            None => return Some(beyond()),
        },
        _ => match ten_to(power) {
            Some(ten) => (unscaled.div_euclid(ten), unscaled.rem_euclid(ten) == 0),
            // Less than one such multiple.
            None => (if unscaled < 0 { -1 } else { 0 }, false),
        },
    };
    Some(match key {
        key if key > highest => Fit::TooHigh,
        key if key < lowest => Fit::TooLow,
        key if is_exact => Fit::Exact(Keys::Decimal(vec![key])),
        key => Fit::Above(Keys::Decimal(vec![key])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::predicate::{DEPTH_MAX, Place, column};

    fn schema() -> StructType {
        let field = |name: &str, physical: &str, data_type: &str| {
            format!(
                r#"{{"name":"{name}","type":{data_type},"nullable":true,
                    "metadata":{{"delta.columnMapping.physicalName":"{physical}"}}}}"#
            )
        };
        let inner = field("City.Name", "p-city", r#""string""#);
        let of = |inner: &str| format!(r#"{{"type":"struct","fields":[{inner}]}}"#);
        let list = r#"{"type":"array","elementType":"long","containsNull":true}"#;
        let fields = [
            field("id", "p-id", r#""long""#),
            field("a.b", "p-ab", r#""integer""#),
            field("Address", "p-address", &of(&inner)),
            field("list", "p-list", list),
            field("day", "p-day", r#""date""#),
            field("at", "p-at", r#""timestamp""#),
            field("void", "p-void", r#""void""#),
            field("name", "p-name", r#""string""#),
            field("variant", "p-variant", r#""variant""#),
        ];
        StructType::from_json(&of(&fields.join(","))).unwrap()
    }

    fn bound(predicate: &Predicate) -> Result<Question> {
        let partition_columns = ["DAY".to_owned(), "id".to_owned()];
        Question::new(predicate, &schema(), &partition_columns, ColumnMappingMode::Name)
    }

    #[track_caller]
    fn refused(predicate: &Predicate) -> String {
        let error = bound(predicate).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.message().to_owned()
    }

    #[test]
    fn a_column_is_found_in_any_case_and_known_by_its_path_and_its_physical_one() {
        for path in ["Address.`City.Name`", "ADDRESS.`city.name`"] {
            let question = bound(&column(path).is_null()).unwrap();
            let [asked] = question.columns() else { panic!("one column") };
            assert_eq!(asked.path, ["Address", "City.Name"]);
            assert_eq!(asked.physical, ["p-address", "p-city"]);
            assert_eq!(asked.partition, None);
        }
        // A whole name with a dot needs no backticks.
        for path in ["a.b", "`a.b`"] {
            assert_eq!(bound(&column(path).equal(1)).unwrap().columns()[0].path, ["a.b"]);
        }
    }

    #[test]
    fn partition_columns_are_known_by_their_place_and_a_column_asked_twice_is_one() {
        let twice = column("day").is_null().or(column("Day").equal(Value::Date(1)));
        let question = bound(&twice.and(column("ID").equal(1)).and(column("at").is_null()));
        let question = question.unwrap();
        let places: Vec<_> = question.columns().iter().map(|asked| asked.partition).collect();
        assert_eq!(places, [Some(0), Some(1), None]);
    }

    #[test]
    fn what_is_no_column_to_compare_is_refused() {
        let cases = [
            (column("none").equal(1), "predicate: no column none in the table"),
            (column("Address.zip").equal(1), "predicate: no column Address.zip in the table"),
            (column("id.x").equal(1), "predicate: no column id.x in the table"),
            (
                column("list.element").equal(1),
                "predicate: list.element: what is in lists and maps is not compared",
            ),
            (
                column("id").as_date().is_null(),
                "predicate: id is of type long: only a timestamp is cast to its date",
            ),
            (
                column("id").like("a%"),
                "predicate: id is of type long: only text is compared by LIKE",
            ),
            (
                column("at").as_date().like("1%"),
                "predicate: CAST(at AS DATE) is of type timestamp: only text is compared by LIKE",
            ),
            (
                column("name").like("a\\b"),
                "predicate: 'a\\b': the escape '\\' must stand before %, _ or itself",
            ),
        ];
        for (predicate, expected) in cases {
            assert_eq!(refused(&predicate), expected);
        }
        for path in ["", ".", "a.", "`a", "a..b"] {
            assert!(refused(&column(path).is_null()).starts_with("predicate: "), "{path}");
        }
    }

    #[test]
    fn a_literal_that_is_no_value_of_its_columns_type_is_refused_wherever_it_stands() {
        let cases = [
            (column("id").equal("x"), "'x' is no value of type long, which id has"),
            (column("id").equal(""), "'' is no value of type long, which id has"),
            (column("id").equal(true), "TRUE is no value of type long, which id has"),
            (column("id").equal(Value::Date(0)), "DATE '1970-01-01' is no value of type long"),
            (column("name").less(1), "1 is no value of type string, which name has"),
            (column("name").is_true(), "TRUE is no value of type string, which name has"),
            (column("at").equal(1), "1 is no value of type timestamp, which at has"),
            (column("at").as_date().equal("1970-13-01"), "is no value of type date, which CAST(at"),
            (column("day").equal("1970-02-30"), "'1970-02-30' is no value of type date"),
            (column("Address").equal(1), "which Address has"),
            (column("list").equal("x"), "which list has"),
            (column("variant").equal("x"), "which variant has"),
            (column("id").is_in([Value::Long(1), Value::from("x")]), "'x' is no value of type"),
            (column("at").is_in([Value::Long(1)]), "1 is no value of type timestamp"),
        ];
        for (predicate, expected) in cases {
            for predicate in [predicate.clone(), predicate.clone().not()] {
                let nested = column("id").is_null().or(predicate);
                assert!(refused(&nested).contains(expected), "{}", refused(&nested));
            }
        }
    }

    #[test]
    fn any_column_may_be_null_and_is_compared_with_null() {
        for name in ["Address", "list", "variant"] {
            let question = bound(&column(name).is_not_null()).unwrap();
            assert!(matches!(&question.root, Bound::Not(leaf) if
                matches!(**leaf, Bound::Leaf(0, Test::IsNull))));
            let question = bound(&column(name).equal(Value::Null)).unwrap();
            assert_eq!(question.constant(), Some(Outcomes::NULL));
        }
    }

    #[test]
    fn a_column_without_values_is_always_null() {
        let constant = |predicate: Predicate| {
            let left = bound(&predicate).unwrap().given(|_| None).unwrap();
            left.constant().unwrap_or_else(|| panic!("{predicate} is not constant"))
        };
        let void = || column("void");
        assert_eq!(constant(void().is_null()), Outcomes::TRUE);
        assert_eq!(constant(void().is_not_null()), Outcomes::FALSE);
        assert_eq!(constant(void().like("%")), Outcomes::NULL);
        assert_eq!(constant(void().is_in([1, 2])), Outcomes::NULL);
        assert_eq!(constant(void().is_in([Value::Null])), Outcomes::NULL);
        let of = |comparison, value: Value| constant(void().compare(comparison, value));
        assert_eq!(of(Comparison::Less, Value::Long(1)), Outcomes::NULL);
        assert_eq!(of(Comparison::Equal, Value::Null), Outcomes::NULL);
        assert_eq!(of(Comparison::Distinct, Value::Long(1)), Outcomes::TRUE);
        assert_eq!(of(Comparison::NotDistinct, Value::Long(1)), Outcomes::FALSE);
        assert_eq!(of(Comparison::Distinct, Value::Null), Outcomes::FALSE);
        assert_eq!(of(Comparison::NotDistinct, Value::Null), Outcomes::TRUE);
    }

    #[test]
    fn an_error_says_where_its_text_has_what_is_wrong() {
        let mut predicate = column("none").equal(1);
        for (place, expected) in [
            (Some((1, 14)), "predicate, column 14: no column none in the table"),
            (Some((3, 2)), "predicate, line 3, column 2: no column none in the table"),
        ] {
            let Node::Compare(operand, ..) = &mut predicate.node else { unreachable!() };
            operand.at = Place { at: place, in_double_quotes: false };
            assert_eq!(refused(&predicate), expected);
        }
        let mut predicate = column("id").equal("x");
        let Node::Compare(_, _, literal) = &mut predicate.node else { unreachable!() };
        literal.at = Place { at: Some((1, 6)), in_double_quotes: false };
        assert_eq!(
            refused(&predicate),
            "predicate, column 6: 'x' is no value of type long, which id has"
        );
    }

    #[test]
    fn what_nests_too_deep_is_refused_and_what_is_long_is_not() {
        let leaf = || column("id").equal(1);
        let nested = |levels: usize| {
            let add = |all: Predicate, i: usize| match i % 2 {
                0 => leaf().and(all),
                _ => leaf().or(all),
            };
            (1..levels).fold(leaf(), add)
        };
        assert!(bound(&nested(DEPTH_MAX)).is_ok());
        for levels in [DEPTH_MAX + 1, 100_000] {
            assert_eq!(refused(&nested(levels)), "predicate: it nests deeper than 256 levels");
        }
        let long = (0..10_000).fold(leaf(), |all, i| all.or(column("id").equal(i)));
        assert!(bound(&long).is_ok());
        // Two negations are none.
        assert!(bound(&(0..10_000).fold(leaf(), |all, _| all.not())).is_ok());
    }
}
