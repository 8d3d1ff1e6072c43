//! Which rows are wanted: predicates, and what they say of a file's bounds and
//! of rows.
//!
//! A [`Predicate`] is a tree that knows no table. Bound to a table's schema it
//! is a [`Question`], whose literals have their columns' types. A question is
//! asked in one way of everything: of what is known of some rows (a file's
//! statistics, a page's, a partition value, the rows themselves) it tells which
//! of true, false and null it may be for one of them. Where true is not among
//! them, nothing is lost by leaving the rows out.

mod bind;
mod outcomes;
mod sql;

use std::fmt;

pub(crate) use bind::{AskedColumn, Question};
pub(crate) use outcomes::{Asked, Bounds, Key, Outcomes, float_of_key};

use crate::error::{Error, Result, escaped};
use crate::schema::column_path;

/// A predicate that nests deeper is refused: what walks it uses the stack.
const DEPTH_MAX: usize = 256;

/// A condition on rows, in SQL's three-valued logic: rows for which it is true
/// are wanted, not those for which it is false or null.
///
/// It is made of columns and literals; whether there are such columns shows when
/// it is given to a scan ([`Scan::filter`](crate::Scan::filter)).
///
/// ```
/// use delta_engine::{Value, column};
///
/// let recent = column("date").greater_or_equal(Value::Date(20_089));
/// let wanted = recent.and(column("address.city").is_in(["Bonn", "Ghent"]));
/// assert_eq!(wanted.to_string(), "date >= DATE '2025-01-01' AND address.city IN ('Bonn', 'Ghent')");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Predicate {
    node: Node,
    /// How deep it nests.
    depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// True, false, or null.
    Constant(Option<bool>),
    Compare(Operand, Comparison, Literal),
    /// With a value that is null where the list has one.
    In(Operand, Vec<Literal>),
    IsNull(Operand),
    Like(Operand, Pattern),
    /// A column of booleans as it is.
    IsTrue(Operand),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    /// What was more than [`DEPTH_MAX`] deep: bound, it is an error.
    TooDeep,
}

/// How a column is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `IS DISTINCT FROM`: never null, and null is distinct from all but null.
    Distinct,
    /// `IS NOT DISTINCT FROM`
    NotDistinct,
}

/// A column, or a field within one, or the day of one: what is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Operand {
    name: Name,
    as_date: bool,
    at: Place,
}

#[derive(Debug, Clone)]
enum Name {
    /// As [`Scan::columns`](crate::Scan::columns) has it: a name, or a path.
    Text(String),
    /// The names on the way, from the top.
    Parts(Vec<String>),
}

impl Name {
    /// The names on the way, as far as can be told without a table.
    fn parts(&self) -> Vec<String> {
        match self {
            Name::Text(text) => column_path(text).unwrap_or_else(|_| vec![text.clone()]),
            Name::Parts(parts) => parts.clone(),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.parts() == other.parts()
    }
}

/// Where in the text of a predicate something stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// A line and a column of it, from 1; none where there is no text.
    at: Option<(u64, u64)>,
    /// Between double quotes, where some write text.
    in_double_quotes: bool,
}

/// Predicates that say the same are equal, wherever they say it.
impl PartialEq for Place {
    fn eq(&self, _: &Place) -> bool {
        true
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Literal {
    value: Value,
    at: Place,
}

/// A pattern of `LIKE`: `%` stands for any text, `_` for any character, and
/// behind the escape character both for themselves.
#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    text: String,
    escape: Option<char>,
    at: Place,
}

/// A value that a column is compared with.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// SQL's null: to compare with it is null, but for
    /// [`Distinct`](Comparison::Distinct) and [`NotDistinct`](Comparison::NotDistinct).
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number, for a column of any type of numbers.
    Long(i64),
    /// A floating point number, for a column of any type of numbers.
    Double(f64),
    /// `unscaled` / 10^`scale`, for a column of any type of numbers.
    Decimal {
        /// All of its digits, as a whole number.
        unscaled: i128,
        /// How many of them stand behind the point, at most 38.
        scale: u8,
    },
    /// Text. For a column of another type it is read as a value of that type, in
    /// the spelling of the protocol's "Partition Value Serialization".
    String(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since the Unix epoch, UTC.
    Timestamp(i64),
    /// Microseconds of a wall clock since its 1970-01-01 00:00.
    TimestampNtz(i64),
}

macro_rules! values {
    ($($from:ty => $value:expr),* $(,)?) => {
        $(impl std::convert::From<$from> for Value {
            fn from(value: $from) -> Value {
                $value(value.into())
            }
        })*
    };
}

values! {
    bool => Value::Boolean,
    i8 => Value::Long,
    i16 => Value::Long,
    i32 => Value::Long,
    i64 => Value::Long,
    u8 => Value::Long,
    u16 => Value::Long,
    u32 => Value::Long,
    f32 => Value::Double,
    f64 => Value::Double,
    &str => Value::String,
    String => Value::String,
    &[u8] => Value::Binary,
    Vec<u8> => Value::Binary,
}

/// The column of this name, or the field at this path, to make a [`Predicate`]
/// of. Paths are those of [`Scan::rows`](crate::Scan::rows): names with dots
/// between them, in backticks where a name has a dot; fields within lists and
/// maps are not compared.
pub fn column(path: impl Into<String>) -> Operand {
    Operand { name: Name::Text(path.into()), as_date: false, at: Place::default() }
}

impl Operand {
    /// The day, in UTC, of a timestamp: `CAST(column AS DATE)`.
    pub fn as_date(mut self) -> Operand {
        self.as_date = true;
        self
    }

    /// The column compared with `value`.
    pub fn compare(self, comparison: Comparison, value: impl Into<Value>) -> Predicate {
        let value = Literal { value: value.into(), at: Place::default() };
        Predicate::leaf(Node::Compare(self, comparison, value))
    }

    /// `column = value`
    pub fn equal(self, value: impl Into<Value>) -> Predicate {
        self.compare(Comparison::Equal, value)
    }

    /// `column <> value`
    pub fn not_equal(self, value: impl Into<Value>) -> Predicate {
        self.compare(Comparison::NotEqual, value)
    }

    /// `column < value`
    pub fn less(self, value: impl Into<Value>) -> Predicate {
        self.compare(Comparison::Less, value)
    }

    /// `column <= value`
    pub fn less_or_equal(self, value: impl Into<Value>) -> Predicate {
        self.compare(Comparison::LessOrEqual, value)
    }

    /// `column > value`
    pub fn greater(self, value: impl Into<Value>) -> Predicate {
        self.compare(Comparison::Greater, value)
    }

    /// `column >= value`
    pub fn greater_or_equal(self, value: impl Into<Value>) -> Predicate {
        self.compare(Comparison::GreaterOrEqual, value)
    }

    /// `column BETWEEN low AND high`: both ends are wanted.
    pub fn between(self, low: impl Into<Value>, high: impl Into<Value>) -> Predicate {
        self.clone().greater_or_equal(low).and(self.less_or_equal(high))
    }

    /// `column IN (values)`. With a null among them it is null where it is not
    /// true, as in SQL; without any value it is false.
    pub fn is_in<V: Into<Value>>(self, values: impl IntoIterator<Item = V>) -> Predicate {
        let literal = |value: V| Literal { value: value.into(), at: Place::default() };
        Predicate::leaf(Node::In(self, values.into_iter().map(literal).collect()))
    }

    /// `column IS NULL`
    pub fn is_null(self) -> Predicate {
        Predicate::leaf(Node::IsNull(self))
    }

    /// `column IS NOT NULL`
    pub fn is_not_null(self) -> Predicate {
        self.is_null().not()
    }

    /// `column LIKE pattern`, where `%` stands for any text and `_` for any
    /// character, and behind a backslash both for themselves. What comes before
    /// the first of them is used to skip files.
    pub fn like(self, pattern: impl Into<String>) -> Predicate {
        let pattern = Pattern { text: pattern.into(), escape: Some('\\'), at: Place::default() };
        Predicate::leaf(Node::Like(self, pattern))
    }

    /// Whether a text begins with `prefix`.
    pub fn starts_with(self, prefix: &str) -> Predicate {
        let mut pattern = String::with_capacity(prefix.len() + 1);
        for c in prefix.chars() {
            if matches!(c, '%' | '_' | '\\') {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        pattern.push('%');
        self.like(pattern)
    }

    /// A column of booleans as it is.
    pub fn is_true(self) -> Predicate {
        Predicate::leaf(Node::IsTrue(self))
    }
}

impl Predicate {
    fn leaf(node: Node) -> Predicate {
        Predicate { node, depth: 1 }
    }

    fn nested(depth: usize, node: impl FnOnce() -> Node) -> Predicate {
        match depth {
            0..=DEPTH_MAX => Predicate { node: node(), depth },
            _ => Predicate::leaf(Node::TooDeep),
        }
    }

    /// True or false for every row.
    pub fn always(is_true: bool) -> Predicate {
        Predicate::leaf(Node::Constant(Some(is_true)))
    }

    /// True where both are.
    pub fn and(self, other: Predicate) -> Predicate {
        // What is an `AND` already does not nest deeper for one more.
        let depth = |of: &Predicate| of.depth + usize::from(!matches!(of.node, Node::And(_)));
        let depth = depth(&self).max(depth(&other));
        Predicate::nested(depth, || Node::And(joined(self.node, other.node, Node::all)))
    }

    /// True where one of them is.
    pub fn or(self, other: Predicate) -> Predicate {
        let depth = |of: &Predicate| of.depth + usize::from(!matches!(of.node, Node::Or(_)));
        let depth = depth(&self).max(depth(&other));
        Predicate::nested(depth, || Node::Or(joined(self.node, other.node, Node::any)))
    }

    /// True where it is false, and null where it is null.
    #[expect(clippy::should_implement_trait, reason = "a builder like its neighbours")]
    pub fn not(self) -> Predicate {
        let Predicate { node, depth } = self;
        match node {
            Node::Not(inner) => Predicate { node: *inner, depth: depth - 1 },
            node => Predicate::nested(depth + 1, || Node::Not(Box::new(node))),
        }
    }

    /// An error if it is one that was to nest too deep.
    pub(crate) fn checked(self) -> Result<Predicate> {
        match self.node {
            Node::TooDeep => Err(Place::default().too_deep()),
            _ => Ok(self),
        }
    }
}

/// The parts of two nodes in a row.
fn joined(one: Node, other: Node, parts: fn(Node) -> Vec<Node>) -> Vec<Node> {
    let mut joined = parts(one);
    joined.extend(parts(other));
    joined
}

impl Node {
    /// All of which it is the `AND`.
    fn all(self) -> Vec<Node> {
        match self {
            Node::And(nodes) => nodes,
            node => vec![node],
        }
    }

    /// All of which it is the `OR`.
    fn any(self) -> Vec<Node> {
        match self {
            Node::Or(nodes) => nodes,
            node => vec![node],
        }
    }
}

impl Place {
    /// What to say of a name that was not expected here.
    fn hint(self) -> &'static str {
        if self.in_double_quotes { " (text goes between single quotes)" } else { "" }
    }

    fn too_deep(self) -> Error {
        self.invalid(format!("it nests deeper than {DEPTH_MAX} levels"))
    }

    /// An error of `what` is wrong here.
    fn invalid(self, what: impl fmt::Display) -> Error {
        Error::invalid(match self.at {
            Some((1, column)) => format!("predicate, column {column}: {what}"),
            Some((line, column)) => format!("predicate, line {line}, column {column}: {what}"),
            None => format!("predicate: {what}"),
        })
    }
}

/// As SQL has it: [`Predicate::parse`] makes the same predicate of it.
impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Node::Constant(Some(true)) => f.write_str("TRUE"),
            Node::Constant(Some(false)) => f.write_str("FALSE"),
            Node::Constant(None) => f.write_str("NULL"),
            Node::Compare(operand, comparison, literal) => {
                write!(f, "{operand} {comparison} {}", literal.value)
            }
            Node::In(operand, literals) => {
                write!(f, "{operand} IN (")?;
                for (i, literal) in literals.iter().enumerate() {
                    write!(f, "{}{}", if i > 0 { ", " } else { "" }, literal.value)?;
                }
                f.write_str(")")
            }
            Node::IsNull(operand) => write!(f, "{operand} IS NULL"),
            Node::Like(operand, pattern) => {
                write!(f, "{operand} LIKE {}", Quoted(&pattern.text))?;
                match pattern.escape {
                    Some('\\') => Ok(()),
                    Some(escape) => write!(f, " ESCAPE {}", Quoted(&escape.to_string())),
                    None => f.write_str(" ESCAPE ''"),
                }
            }
            Node::IsTrue(operand) => operand.fmt(f),
            Node::And(nodes) => within(f, nodes, " AND "),
            Node::Or(nodes) => within(f, nodes, " OR "),
            Node::Not(node) => match &**node {
                Node::IsNull(operand) => write!(f, "{operand} IS NOT NULL"),
                node => write!(f, "NOT ({node})"),
            },
            Node::TooDeep => f.write_str("(what nests too deep)"),
        }
    }
}

fn within(f: &mut fmt::Formatter<'_>, nodes: &[Node], word: &str) -> fmt::Result {
    for (i, node) in nodes.iter().enumerate() {
        f.write_str(if i > 0 { word } else { "" })?;
        match node {
            Node::And(_) | Node::Or(_) => write!(f, "({node})")?,
            node => write!(f, "{node}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
            Comparison::Distinct => "IS DISTINCT FROM",
            Comparison::NotDistinct => "IS NOT DISTINCT FROM",
        })
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.as_date {
            f.write_str("CAST(")?;
        }
        f.write_str(&path_text(&self.name.parts()))?;
        if self.as_date { f.write_str(" AS DATE)") } else { Ok(()) }
    }
}

/// A path as SQL has it.
fn path_text(parts: &[String]) -> String {
    let is_plain = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && chars.all(|c| c.is_alphanumeric() || c == '_')
            && !sql::is_reserved(part)
    };
    let quoted = |part: &String| match is_plain(part) {
        true => part.clone(),
        false => format!("`{}`", part.replace('`', "``")),
    };
    parts.iter().map(quoted).collect::<Vec<_>>().join(".")
}

/// A text between quotes, as SQL has it.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

/// What SQL has for `part`, in a message.
fn shown(part: &impl fmt::Display) -> String {
    escaped(&part.to_string())
}

/// A date in the proleptic Gregorian calendar.
struct Day(i64);

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Years begin in March, so that the leap day ends them, and eras have 400.
        let days = self.0 + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = (month_from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let sign = match year {
            ..0 => "-",
            0..=9999 => "",
            _ => "+",
        };
        write!(f, "{sign}{:04}-{month:02}-{day:02}", year.abs())
    }
}

/// A time of a day, in microseconds since 1970-01-01 00:00.
struct Time(i64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, micros) = (self.0.div_euclid(1_000_000), self.0.rem_euclid(1_000_000));
        let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{} {hour:02}:{minute:02}:{second:02}.{micros:06}", Day(day))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => f.write_str("NULL"),
            Value::Boolean(true) => f.write_str("TRUE"),
            Value::Boolean(false) => f.write_str("FALSE"),
            Value::Long(number) => number.fmt(f),
            Value::Double(number) if number.is_finite() => write!(f, "{number:e}"),
            Value::Double(number) => write!(f, "DOUBLE '{number}'"),
            // With a point, or it would be a `Long`.
            Value::Decimal { unscaled, scale: 0 } => write!(f, "{unscaled}."),
            Value::Decimal { unscaled, scale } => {
                let digits = format!("{:0>1$}", unscaled.unsigned_abs(), usize::from(*scale) + 1);
                let (whole, fraction) = digits.split_at(digits.len() - usize::from(*scale));
                write!(f, "{}{whole}.{fraction}", if *unscaled < 0 { "-" } else { "" })
            }
            Value::String(text) => Quoted(text).fmt(f),
            Value::Binary(bytes) => {
                f.write_str("X'")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}"))?;
                f.write_str("'")
            }
            Value::Date(days) => write!(f, "DATE '{}'", Day((*days).into())),
            Value::Timestamp(micros) => write!(f, "TIMESTAMP '{}Z'", Time(*micros)),
            Value::TimestampNtz(micros) => write!(f, "TIMESTAMP_NTZ '{}'", Time(*micros)),
        }
    }
}
