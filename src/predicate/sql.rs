//! A predicate from its SQL text.
//!
//! The grammar is `sqlparser`'s; what its tree means for a predicate is told here.
//! Of the parser's many keywords it is left those of conditions alone, so there is
//! no statement that it could read. A host may pass on the text of a stranger, and
//! the parser's calls and its trees, which are as deep as a list of `OR` is long,
//! take more stack than a thread may have: both are bounded, and a stack that is
//! large enough for them is made for the time of reading.

use std::any::TypeId;
use std::cmp::Ordering;
use std::panic::catch_unwind;
use std::str::FromStr;

use arrow::array::AsArray;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use sqlparser::ast::{self, BinaryOperator, Expr, Ident, Spanned, UnaryOperator};
use sqlparser::dialect::Dialect;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};

use super::bind::{Fit, Keys, scaled};
use super::outcomes::float_key;
use super::{
    Comparison, DEPTH_MAX, Literal, Name, Node, Operand, Pattern, Place, Predicate, Value, shown,
};
use crate::error::{Error, Result, escaped, text_of_panic};
use crate::partition_value::PartitionColumn;
use crate::schema::DataType;

/// Longer texts are refused: tokens take some 100 times the memory of theirs, and
/// each operator is a level of the parser's tree.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// The parser's calls within one another; two are a level of a predicate.
const CALLS_MAX: usize = 2 * DEPTH_MAX + 32;

/// The stack to read on: for anything, for each of the parser's calls within one
/// another, of which none is without a byte of the text, and for each level of its
/// tree when it is dropped. Without optimization a call takes up to 84 KiB and a level
/// 96 bytes, and what is not touched takes no memory.
const STACK_BYTES: usize = 2 << 20;
const CALL_BYTES: usize = 192 << 10;
const LEVEL_BYTES: usize = 128;

const MICROS_A_DAY: i64 = 86_400_000_000;

const SUPPORTED: &str = "supported are comparisons of a column with a value, IN, BETWEEN, LIKE, \
     IS [NOT] NULL, TRUE, FALSE and DISTINCT FROM, and AND, OR and NOT between them";

/// Words that are no column's name unless they are quoted.
const RESERVED: [&str; 19] = [
    "AND", "BETWEEN", "CASE", "ESCAPE", "EXISTS", "FALSE", "FROM", "ILIKE", "IN", "INTERVAL", "IS",
    "LIKE", "NOT", "NULL", "OR", "RLIKE", "SELECT", "TRUE", "WITH",
];

pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}

/// Backticks and double quotes go about names, and a backslash in a text is one.
#[derive(Debug)]
struct Words;

impl Dialect for Words {
    fn dialect(&self) -> TypeId {
        TypeId::of::<Words>()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_'
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    /// No value at all is not SQL's, but may be what a program writes.
    fn supports_in_empty_list(&self) -> bool {
        true
    }

    /// What could not be read as what its keyword begins is no name instead.
    fn is_reserved_for_identifier(&self, _: Keyword) -> bool {
        true
    }

    /// Values with a sign or a type before them, whatever the type, are leaves.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        use Keyword::{AND, BETWEEN, ESCAPE, FROM, IN, IS, LIKE, NoKeyword, OR};
        let [this, next] = [0, 1].map(|n| parser.peek_nth_token_ref(n));
        Some(match (&this.token, &next.token) {
            (Token::Word(word), _)
                if [AND, BETWEEN, ESCAPE, FROM, IN, IS, LIKE, OR].contains(&word.keyword) =>
            {
                parser.expected_ref("a column or a value (backticks make a name of it)", this)
            }
            (Token::Word(word), Token::SingleQuotedString(_))
                if word.keyword == NoKeyword && word.quote_style.is_none() =>
            {
                parser.parse_data_type().and_then(|data_type| {
                    let value = parser.parse_value()?;
                    let typed = ast::TypedString { data_type, value, uses_odbc_syntax: false };
                    Ok(Expr::TypedString(typed))
                })
            }
            (sign @ (Token::Minus | Token::Plus), Token::Number(digits, is_long)) => {
                let sign = if *sign == Token::Minus { "-" } else { "" };
                let number = ast::Value::Number(format!("{sign}{digits}"), *is_long);
                let number = number.with_span(this.span);
                parser.advance_token();
                parser.advance_token();
                Ok(Expr::Value(number))
            }
            _ => return None,
        })
    }

    /// Tells what may stand behind `IS` and `NOT`, of which the parser knows more.
    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        use Keyword::{BETWEEN, DISTINCT, FALSE, IN, IS, LIKE, NOT, NULL, TRUE};
        let keyword = |n| match &parser.peek_nth_token_ref(n).token {
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
        let (n, words, expected) = match keyword(0) {
            NOT => (1, &[IN, BETWEEN, LIKE][..], "IN, BETWEEN or LIKE"),
            IS => {
                let n = if keyword(1) == NOT { 2 } else { 1 };
                (n, &[NULL, TRUE, FALSE, DISTINCT][..], "NULL, TRUE, FALSE or DISTINCT FROM")
            }
            _ => return None,
        };
        let is_known = words.contains(&keyword(n));
        (!is_known).then(|| parser.expected_ref(expected, parser.peek_nth_token_ref(n)))
    }
}

impl Predicate {
    /// The predicate of an SQL text: what stands behind `WHERE`.
    ///
    /// ```
    /// use delta_engine::{Predicate, column};
    ///
    /// let wanted = Predicate::parse("n BETWEEN 1 AND 5 AND `my city` IS NOT NULL")?;
    /// assert_eq!(wanted, column("n").between(1, 5).and(column("my city").is_not_null()));
    /// # Ok::<(), delta_engine::Error>(())
    /// ```
    ///
    /// There are comparisons of a column with a value, either way round (`=`, `==`,
    /// `<>`, `!=`, `<`, `<=`, `>`, `>=`, `<=>`, `IS [NOT] DISTINCT FROM`), `[NOT] IN`,
    /// `[NOT] BETWEEN`, `[NOT] LIKE` with `ESCAPE` and a backslash without it,
    /// `IS [NOT] NULL`, `TRUE` and `FALSE`, columns of booleans as they are, and `AND`,
    /// `OR`, `NOT` and parentheses.
    ///
    /// A column is a name, or names with dots between them for a field of a struct;
    /// backticks or double quotes go about a name that is no plain word. The day of a
    /// timestamp is `CAST(column AS DATE)`, `column::DATE` or `DATE(column)`.
    ///
    /// Values are `'text'` with `''` for a quote and a backslash for itself, numbers
    /// (exact, but for those with an exponent, which are of double precision),
    /// `TRUE`, `FALSE`, `NULL`, `X'00FF'`, `DATE '2025-01-31'`, `TIMESTAMP '2025-01-31
    /// 12:00:00'` (of UTC unless a zone follows), `TIMESTAMP_NTZ '...'`, and
    /// `CAST(value AS type)`; what is between quotes is spelled as in the protocol's
    /// "Partition Value Serialization".
    ///
    /// # Errors
    /// `InvalidArgument`, with the line and the column of what is wrong, from 1, in
    /// characters.
    pub fn parse(text: &str) -> Result<Predicate> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::invalid(format!(
                "predicate: its text has more than {TEXT_BYTES_MAX} bytes"
            )));
        }
        let calls = text.len().min(CALLS_MAX);
        let stack = STACK_BYTES + calls * CALL_BYTES + text.len() * LEVEL_BYTES;
        // Where there is no room for a stack, the crate panics.
        catch_unwind(|| stacker::grow(stack, || read(text))).unwrap_or_else(|panic| {
            let why = text_of_panic(&*panic);
            Err(Error::limit(format!("predicate: its text cannot be read: {why}")))
        })
    }
}

impl FromStr for Predicate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Predicate> {
        Predicate::parse(text)
    }
}

/// Reads on a stack that is large enough.
fn read(text: &str) -> Result<Predicate> {
    let tokens = tokens(text)?;
    let Some(TokenWithSpan { span: Span { end, .. }, .. }) = tokens.last().cloned() else {
        return Err(Error::invalid("predicate: its text is empty"));
    };
    let mut parser =
        Parser::new(&Words).with_recursion_limit(CALLS_MAX).with_tokens_with_locations(tokens);
    let expr = parser.parse_expr().and_then(|expr| match parser.peek_token_ref() {
        TokenWithSpan { token: Token::EOF, .. } => Ok(expr),
        token => parser.expected_ref("an operator or the end", token),
    });
    match expr {
        Ok(expr) => condition(expr),
        Err(ParserError::RecursionLimitExceeded) => {
            Err(place(parser.get_current_token().span.start).too_deep())
        }
        Err(ParserError::ParserError(text) | ParserError::TokenizerError(text)) => {
            let told = || {
                let (message, at) = text.rsplit_once(" at Line: ")?;
                let (line, column) = at.split_once(", Column: ")?;
                Some((message, Location::new(line.parse().ok()?, column.parse().ok()?)))
            };
            let (message, at) = told().unwrap_or((&text, end));
            let spellings = [
                ("Expected: ", "expected "),
                (", found: ", ", found "),
                ("found EOF", "found the end"),
                ("expected an expression", "expected a column or a value"),
            ];
            let message = spellings.iter().fold(message.to_owned(), |message, (theirs, ours)| {
                message.replacen(theirs, ours, 1)
            });
            Err(place(at).invalid(escaped(&message)))
        }
    }
}

/// The tokens of a text. Words that are no condition's are names to the parser,
/// whatever it knows that begins with them.
fn tokens(text: &str) -> Result<Vec<TokenWithSpan>> {
    let mut tokens = Tokenizer::new(&Words, text).tokenize_with_location().map_err(|e| {
        let mut message = e.message;
        if let Some(first) = message.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        place(e.location).invalid(escaped(&message))
    })?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_) | Token::EOF));
    let mut is_behind_point = false;
    for i in 0..tokens.len() {
        let next = tokens.get(i + 1).map(|next| &next.token);
        let is_call = next == Some(&Token::LParen);
        let is_before_from = matches!(next, Some(Token::Word(Word { keyword: Keyword::FROM, .. })));
        let Some(this) = tokens.get_mut(i) else { break };
        let at = place(this.span.start);
        match &mut this.token {
            Token::Word(word) => {
                let upper = word.value.to_ascii_uppercase();
                let is_known = match upper.as_str() {
                    _ if is_behind_point || word.quote_style.is_some() => false,
                    "SELECT" | "EXISTS" | "WITH" => return Err(unsupported(at, "subqueries are")),
                    "CASE" | "ILIKE" | "INTERVAL" | "RLIKE" => {
                        return Err(unsupported(at, &format!("{upper} is")));
                    }
                    "CAST" => is_call,
                    "DISTINCT" => is_before_from,
                    upper => upper == "AS" || is_reserved(upper),
                };
                if !is_known {
                    word.keyword = Keyword::NoKeyword;
                }
            }
            Token::LBracket => return Err(unsupported(at, "what is in lists and maps is")),
            Token::Placeholder(_) => return Err(unsupported(at, "a value that is given later is")),
            _ => {}
        }
        is_behind_point = this.token == Token::Period;
    }
    Ok(tokens)
}

fn place(at: Location) -> Place {
    Place { at: Some((at.line, at.column)), in_double_quotes: false }
}

fn unsupported(at: Place, what: &str) -> Error {
    at.invalid(format!("{what} not supported; {SUPPORTED}"))
}

/// Where it begins: by a loop, for it may be as deep as it is long.
fn start(mut expr: &Expr) -> Place {
    loop {
        expr = match expr {
            Expr::Nested(first)
            | Expr::IsNull(first)
            | Expr::IsNotNull(first)
            | Expr::IsTrue(first)
            | Expr::IsNotTrue(first)
            | Expr::IsFalse(first)
            | Expr::IsNotFalse(first)
            | Expr::IsDistinctFrom(first, _)
            | Expr::IsNotDistinctFrom(first, _)
            | Expr::BinaryOp { left: first, .. }
            | Expr::UnaryOp { expr: first, .. }
            | Expr::Cast { expr: first, .. }
            | Expr::InList { expr: first, .. }
            | Expr::Between { expr: first, .. }
            | Expr::Like { expr: first, .. }
            | Expr::JsonAccess { value: first, .. }
            | Expr::CompoundFieldAccess { root: first, .. } => first,
            Expr::Tuple(parts) => match parts.first() {
                Some(first) => first,
                None => return Place::default(),
            },
            Expr::Function(function) => return place(function.name.span().start),
            Expr::TypedString(typed) => match &typed.data_type {
                ast::DataType::Custom(name, _) => return place(name.span().start),
                _ => return place(typed.value.span.start),
            },
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => {
                return place(expr.span().start);
            }
            _ => return Place::default(),
        }
    }
}

fn constant(outcome: Option<bool>) -> Predicate {
    Predicate::leaf(Node::Constant(outcome))
}

fn condition(expr: Expr) -> Result<Predicate> {
    let at = start(&expr);
    let negated = |predicate: Predicate, is_negated| match is_negated {
        true => predicate.not(),
        false => predicate,
    };
    let is = |operand: Expr, comparison, is_true| {
        let value = Literal { value: Value::Boolean(is_true), at };
        compared(term(operand)?, comparison, Term::Value(value))
    };
    let predicate = match expr {
        Expr::Nested(inner) => return condition(*inner),
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => condition(*expr)?.not(),
        Expr::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), left, right } => {
            // The first two of `a AND b AND c` are one, on the left.
            let (mut first, mut rest) = (*left, vec![*right]);
            first = loop {
                first = match first {
                    Expr::BinaryOp { op: next, left, right } if next == op => {
                        rest.push(*right);
                        *left
                    }
                    first => break first,
                }
            };
            let join = if op == BinaryOperator::And { Predicate::and } else { Predicate::or };
            let mut rest = rest.into_iter().rev();
            rest.try_fold(condition(first)?, |all, next| {
                Ok::<_, Error>(join(all, condition(next)?))
            })?
        }
        Expr::BinaryOp { left, op, right } => match comparison(&op) {
            Some(comparison) => compared(term(*left)?, comparison, term(*right)?)?,
            None => return Err(unsupported(at, "arithmetic is")),
        },
        Expr::IsDistinctFrom(one, other) => {
            compared(term(*one)?, Comparison::Distinct, term(*other)?)?
        }
        Expr::IsNotDistinctFrom(one, other) => {
            compared(term(*one)?, Comparison::NotDistinct, term(*other)?)?
        }
        Expr::IsTrue(operand) => is(*operand, Comparison::NotDistinct, true)?,
        Expr::IsNotTrue(operand) => is(*operand, Comparison::Distinct, true)?,
        Expr::IsFalse(operand) => is(*operand, Comparison::NotDistinct, false)?,
        Expr::IsNotFalse(operand) => is(*operand, Comparison::Distinct, false)?,
        Expr::IsNull(operand) => match term(*operand)? {
            Term::Column(operand) => operand.is_null(),
            Term::Value(literal) => Predicate::always(literal.value == Value::Null),
        },
        Expr::IsNotNull(operand) => condition(Expr::IsNull(operand))?.not(),
        Expr::InList { expr, list, negated: is_negated } => {
            negated(is_in(term(*expr)?, list)?, is_negated)
        }
        Expr::Between { expr, negated: is_negated, low, high } => {
            let one = term(*expr)?;
            let low = compared(one.clone(), Comparison::GreaterOrEqual, term(*low)?)?;
            let high = compared(one, Comparison::LessOrEqual, term(*high)?)?;
            negated(low.and(high), is_negated)
        }
        Expr::Like { negated: is_negated, any: false, expr, pattern, escape_char } => {
            negated(like(term(*expr)?, *pattern, escape_char)?, is_negated)
        }
        expr => match term(expr)? {
            Term::Column(operand) => operand.is_true(),
            Term::Value(Literal { value: Value::Boolean(is_true), .. }) => {
                Predicate::always(is_true)
            }
            Term::Value(Literal { value: Value::Null, .. }) => constant(None),
            Term::Value(Literal { value, at }) => {
                return Err(at.invalid(format!("{} is no condition", shown(&value))));
            }
        },
    };
    match predicate.node {
        Node::TooDeep => Err(at.too_deep()),
        _ => Ok(predicate),
    }
}

fn comparison(op: &BinaryOperator) -> Option<Comparison> {
    Some(match op {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        BinaryOperator::Spaceship => Comparison::NotDistinct,
        _ => return None,
    })
}

fn is_in(one: Term, list: Vec<Expr>) -> Result<Predicate> {
    let literal = |of| match term(of)? {
        Term::Value(literal) => Ok(literal),
        Term::Column(Operand { at, .. }) => {
            let what = format!("a list of other than values{} is", at.hint());
            Err(unsupported(at, &what))
        }
    };
    let literals: Vec<Literal> = list.into_iter().map(literal).collect::<Result<_>>()?;
    match one {
        Term::Column(operand) => Ok(Predicate::leaf(Node::In(operand, literals))),
        Term::Value(value) => literals.iter().try_fold(Predicate::always(false), |any, of| {
            Ok(any.or(folded(&value, Comparison::Equal, of)?))
        }),
    }
}

fn like(one: Term, pattern: Expr, escape: Option<Box<Expr>>) -> Result<Predicate> {
    let text = |of| match term(of)? {
        Term::Value(Literal { value: Value::String(text), at }) => Ok((text, at)),
        Term::Value(Literal { at, .. }) | Term::Column(Operand { at, .. }) => {
            Err(at.invalid("expected a text between single quotes"))
        }
    };
    let (pattern, at) = text(pattern)?;
    let mut escape_char = Some('\\');
    if let Some(escape) = escape {
        let (text, at) = text(*escape)?;
        let mut chars = text.chars();
        escape_char = chars.next();
        if chars.next().is_some() {
            return Err(at.invalid("an escape is one character, or none"));
        }
    }
    let pattern = Pattern { text: pattern, escape: escape_char, at };
    match one {
        Term::Column(operand) => Ok(Predicate::leaf(Node::Like(operand, pattern))),
        Term::Value(literal) => Err(unsupported(literal.at, "LIKE of other than a column is")),
    }
}

/// What a condition is about.
#[derive(Clone)]
enum Term {
    Column(Operand),
    Value(Literal),
}

/// A column or a value, with the casts about it.
fn term(mut expr: Expr) -> Result<Term> {
    let at = start(&expr);
    let value = |value| Ok(Term::Value(Literal { value, at }));
    let mut casts = Vec::new();
    let term = loop {
        expr = match expr {
            Expr::Nested(inner) => *inner,
            Expr::Cast { expr, data_type, .. } => {
                casts.push(type_of(&data_type, at)?);
                *expr
            }
            Expr::Function(function) => {
                casts.push(DataType::Date);
                argument_of_date(function, at)?
            }
            Expr::Identifier(ident) => break column(vec![ident], at),
            Expr::CompoundIdentifier(idents) => break column(idents, at),
            Expr::TypedString(ast::TypedString { data_type, value: text, .. }) => {
                let text = text.value.into_string().unwrap_or_default();
                break value(typed(&text, &type_of(&data_type, at)?, at)?);
            }
            Expr::Value(of) => break value(literal(of.value, at)?),
            other => {
                let is_arithmetic = match &other {
                    Expr::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => false,
                    Expr::BinaryOp { op, .. } => comparison(op).is_none(),
                    Expr::UnaryOp { op, .. } => *op != UnaryOperator::Not,
                    _ => false,
                };
                let what = if is_arithmetic {
                    "arithmetic is"
                } else {
                    "other than a column or a value here is"
                };
                return Err(unsupported(at, what));
            }
        }
    };
    casts.iter().rev().try_fold(term?, cast)
}

fn literal(value: ast::Value, at: Place) -> Result<Value> {
    Ok(match value {
        ast::Value::Number(text, is_long) => number(&text, is_long, at)?,
        ast::Value::SingleQuotedString(text) | ast::Value::NationalStringLiteral(text) => {
            Value::String(text)
        }
        ast::Value::HexStringLiteral(text) => Value::Binary(
            hexadecimal(&text).ok_or_else(|| at.invalid("expected pairs of hexadecimal digits"))?,
        ),
        ast::Value::Boolean(is_true) => Value::Boolean(is_true),
        ast::Value::Null => Value::Null,
        other => return Err(unsupported(at, &format!("{} is", shown(&other)))),
    })
}

fn column(idents: Vec<Ident>, at: Place) -> Result<Term> {
    let is_quoted = |quote| idents.iter().any(|ident| ident.quote_style == Some(quote));
    if is_quoted('\'') || idents.iter().any(|ident| ident.value.is_empty()) {
        return Err(at.invalid("a name is empty, or a text between single quotes"));
    }
    let at = Place { in_double_quotes: is_quoted('"'), ..at };
    let name = Name::Parts(idents.into_iter().map(|ident| ident.value).collect());
    Ok(Term::Column(Operand { name, as_date: false, at }))
}

/// What `DATE(..)` is of, which is the one function there is.
fn argument_of_date(function: ast::Function, at: Place) -> Result<Expr> {
    let name = function.name.to_string();
    if let ast::FunctionArguments::List(mut list) = function.args
        && let Some(ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr))) = list.args.pop()
        && list.args.is_empty()
        && name.eq_ignore_ascii_case("DATE")
    {
        return Ok(expr);
    }
    Err(unsupported(at, &format!("the function {} is", escaped(&name))))
}

/// The type of this name, which is not the parser's to know.
fn type_of(data_type: &ast::DataType, at: Place) -> Result<DataType> {
    let none =
        |at: Place| at.invalid(format!("{} is no type that is known here", shown(data_type)));
    let ast::DataType::Custom(ast::ObjectName(parts), modifiers) = data_type else {
        return Err(none(at));
    };
    let [ast::ObjectNamePart::Identifier(ident)] = parts.as_slice() else { return Err(none(at)) };
    let name = ident.value.to_ascii_lowercase();
    let name = match name.as_str() {
        "tinyint" => "byte",
        "smallint" => "short",
        "int" => "integer",
        "bigint" => "long",
        "real" => "float",
        "dec" | "numeric" => "decimal",
        name => name,
    };
    let known = match (name, modifiers.as_slice()) {
        (name, []) => DataType::of_name(name),
        ("decimal", [precision]) => DataType::of_name(&format!("decimal({precision},0)")),
        ("decimal", [precision, scale]) => {
            DataType::of_name(&format!("decimal({precision},{scale})"))
        }
        _ => None,
    };
    known.ok_or_else(|| none(place(ident.span.start)))
}

fn compared(one: Term, comparison: Comparison, other: Term) -> Result<Predicate> {
    let node = match (one, other) {
        (Term::Column(operand), Term::Value(literal)) => {
            Node::Compare(operand, comparison, literal)
        }
        (Term::Value(literal), Term::Column(operand)) => {
            Node::Compare(operand, comparison.flipped(), literal)
        }
        (Term::Value(one), Term::Value(other)) => return folded(&one, comparison, &other),
        (Term::Column(_), Term::Column(other)) => {
            let what = format!("a comparison of two columns{} is", other.at.hint());
            return Err(unsupported(other.at, &what));
        }
    };
    Ok(Predicate::leaf(node))
}

impl Comparison {
    /// With its sides exchanged.
    fn flipped(self) -> Comparison {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            both_ways => both_ways,
        }
    }
}

/// What the comparison of two values comes to.
fn folded(one: &Literal, comparison: Comparison, other: &Literal) -> Result<Predicate> {
    let is_null = |literal: &Literal| literal.value == Value::Null;
    let ordering = match (is_null(one), is_null(other)) {
        (false, false) => ordered(&one.value, &other.value).ok_or_else(|| {
            other.at.invalid(format!(
                "{} and {} are of different types",
                shown(&one.value),
                shown(&other.value)
            ))
        })?,
        // As far as distinctness goes, which is all that is asked of it.
        (true, true) => Ordering::Equal,
        _ => Ordering::Less,
    };
    let is_true = match comparison {
        Comparison::Distinct => ordering.is_ne(),
        Comparison::NotDistinct => ordering.is_eq(),
        _ if is_null(one) || is_null(other) => return Ok(constant(None)),
        Comparison::Equal => ordering.is_eq(),
        Comparison::NotEqual => ordering.is_ne(),
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
    };
    Ok(Predicate::always(is_true))
}

/// The order of two values of like types; `None` where they are not.
fn ordered(one: &Value, other: &Value) -> Option<Ordering> {
    Some(match (one, other) {
        (Value::Boolean(one), Value::Boolean(other)) => one.cmp(other),
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Binary(one), Value::Binary(other)) => one.cmp(other),
        (Value::Date(one), Value::Date(other)) => one.cmp(other),
        (Value::Timestamp(one), Value::Timestamp(other))
        | (Value::TimestampNtz(one), Value::TimestampNtz(other)) => one.cmp(other),
        (Value::Double(one), Value::Double(other)) => float_key(*one).cmp(&float_key(*other)),
        (Value::Double(_), _) => ordered(other, one)?.reverse(),
        _ => {
            let (unscaled, scale) = match one {
                Value::Long(number) => (i128::from(*number), 0),
                Value::Decimal { unscaled, scale } => (*unscaled, i32::from(*scale)),
                _ => return None,
            };
            match scaled(other, scale, i128::MIN, i128::MAX)? {
                Fit::Exact(Keys::Decimal(keys)) => unscaled.cmp(keys.first()?),
                Fit::Above(Keys::Decimal(keys)) if unscaled <= *keys.first()? => Ordering::Less,
                Fit::Above(Keys::Decimal(_)) | Fit::TooLow => Ordering::Greater,
                Fit::TooHigh => Ordering::Less,
                _ => return None,
            }
        }
    })
}

/// A number as it is written, with a minus before it or without a sign.
fn number(text: &str, is_long: bool, at: Place) -> Result<Value> {
    let out_of_range = || at.invalid(format!("{} is out of range", escaped(text)));
    if text.contains(['e', 'E']) && !is_long {
        let number: Option<f64> = text.parse().ok();
        return number.filter(|n| n.is_finite()).map(Value::Double).ok_or_else(out_of_range);
    }
    if let Ok(number) = text.parse() {
        return Ok(Value::Long(number));
    }
    if is_long {
        return Err(out_of_range());
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let scale = u8::try_from(fraction.len()).ok().filter(|scale| *scale <= 38);
    match (format!("{whole}{fraction}").parse(), scale) {
        (Ok(unscaled), Some(scale)) => Ok(Value::Decimal { unscaled, scale }),
        _ => Err(out_of_range()),
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let pair = |pair: &[u32]| match pair {
        [high, low] => u8::try_from(high * 16 + low).ok(),
        _ => None,
    };
    digits?.chunks(2).map(pair).collect()
}

fn cast(term: Term, data_type: &DataType) -> Result<Term> {
    let Literal { value, at } = match term {
        Term::Column(operand) if *data_type == DataType::Date => {
            return Ok(Term::Column(operand.as_date()));
        }
        Term::Column(Operand { at, .. }) => {
            return Err(unsupported(at, &format!("a cast of a column to {data_type} is")));
        }
        Term::Value(literal) => literal,
    };
    let value = match (value, data_type) {
        (Value::Null, _) => Value::Null,
        (Value::String(text), _) => typed(&text, data_type, at)?,
        (Value::Boolean(is_true), DataType::Boolean) => Value::Boolean(is_true),
        (Value::Binary(bytes), DataType::Binary) => Value::Binary(bytes),
        (Value::Long(number), DataType::String) => Value::String(number.to_string()),
        (
            number @ (Value::Long(_) | Value::Double(_) | Value::Decimal { .. }),
            DataType::Byte
            | DataType::Short
            | DataType::Integer
            | DataType::Long
            | DataType::Float
            | DataType::Double
            | DataType::Decimal { .. },
        ) => match number {
            // Not SQL's spelling of it.
            Value::Double(number) => typed(&number.to_string(), data_type, at)?,
            number => typed(number.to_string().trim_end_matches('.'), data_type, at)?,
        },
        (Value::Date(days), DataType::Date) => Value::Date(days),
        (Value::Date(days), DataType::Timestamp | DataType::TimestampNtz) => {
            let out_of_range = || at.invalid(format!("{} is out of range", Value::Date(days)));
            let micros = i64::from(days).checked_mul(MICROS_A_DAY).ok_or_else(out_of_range)?;
            of_micros(micros, data_type)
        }
        (Value::Timestamp(micros) | Value::TimestampNtz(micros), DataType::Date) => {
            match i32::try_from(micros.div_euclid(MICROS_A_DAY)) {
                Ok(days) => Value::Date(days),
                Err(_) => return Err(Error::bug("more days than microseconds have")),
            }
        }
        (
            Value::Timestamp(micros) | Value::TimestampNtz(micros),
            DataType::Timestamp | DataType::TimestampNtz,
        ) => of_micros(micros, data_type),
        (value, _) => {
            return Err(unsupported(at, &format!("a cast of {} to {data_type} is", shown(&value))));
        }
    };
    Ok(Term::Value(Literal { value, at }))
}

fn of_micros(micros: i64, data_type: &DataType) -> Value {
    match data_type {
        DataType::TimestampNtz => Value::TimestampNtz(micros),
        _ => Value::Timestamp(micros),
    }
}

/// The value of a type that the log spells `text`.
fn typed(text: &str, data_type: &DataType, at: Place) -> Result<Value> {
    match data_type {
        DataType::String => return Ok(Value::String(text.to_owned())),
        DataType::Binary => return Ok(Value::Binary(text.as_bytes().to_vec())),
        _ => {}
    }
    let none = || at.invalid(format!("'{}' is no value of type {data_type}", escaped(text)));
    if text.is_empty() {
        return Err(none());
    }
    let mut column = PartitionColumn::new("", data_type).map_err(|_| none())?;
    column.append(Some(text)).map_err(|_| none())?;
    let array = column.finish();
    let wide = |to| arrow::compute::cast(&array, &to).map_err(|_| none());
    Ok(match data_type {
        DataType::Boolean => Value::Boolean(array.as_boolean().value(0)),
        DataType::Float | DataType::Double => {
            let wide = wide(arrow::datatypes::DataType::Float64)?;
            Value::Double(wide.as_primitive::<Float64Type>().value(0))
        }
        DataType::Decimal { scale, .. } => {
            let unscaled = array.as_primitive::<Decimal128Type>().value(0);
            Value::Decimal { unscaled, scale: *scale }
        }
        DataType::Date => Value::Date(array.as_primitive::<Date32Type>().value(0)),
        DataType::Timestamp | DataType::TimestampNtz => {
            of_micros(array.as_primitive::<TimestampMicrosecondType>().value(0), data_type)
        }
        _ => {
            let wide = wide(arrow::datatypes::DataType::Int64)?;
            Value::Long(wide.as_primitive::<Int64Type>().value(0))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::predicate::{Question, column};
    use crate::schema::{ColumnMappingMode, StructField, StructType};

    fn parsed(text: &str) -> Predicate {
        Predicate::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    fn refusal(text: &str) -> String {
        let error = Predicate::parse(text).map(|p| p.to_string()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        error.message().replace(SUPPORTED, "<supported>")
    }

    /// The value that a text is.
    fn value(text: &str) -> Value {
        match parsed(&format!("a = {text}")).node {
            Node::Compare(_, Comparison::Equal, literal) => literal.value,
            node => panic!("{text}: {node}"),
        }
    }

    fn decimal(unscaled: i128, scale: u8) -> Value {
        Value::Decimal { unscaled, scale }
    }

    #[test]
    fn a_comparison_is_of_a_column_and_a_value_either_way_round() {
        for (sign, comparison, flipped) in [
            ("=", Comparison::Equal, Comparison::Equal),
            ("==", Comparison::Equal, Comparison::Equal),
            ("<>", Comparison::NotEqual, Comparison::NotEqual),
            ("!=", Comparison::NotEqual, Comparison::NotEqual),
            ("<", Comparison::Less, Comparison::Greater),
            ("<=", Comparison::LessOrEqual, Comparison::GreaterOrEqual),
            (">", Comparison::Greater, Comparison::Less),
            (">=", Comparison::GreaterOrEqual, Comparison::LessOrEqual),
            ("<=>", Comparison::NotDistinct, Comparison::NotDistinct),
            ("IS NOT DISTINCT FROM", Comparison::NotDistinct, Comparison::NotDistinct),
            ("is distinct from", Comparison::Distinct, Comparison::Distinct),
        ] {
            assert_eq!(parsed(&format!("a {sign} 5")), column("a").compare(comparison, 5));
            assert_eq!(parsed(&format!("5 {sign} a")), column("a").compare(flipped, 5));
            assert_eq!(parsed(&format!("(5) {sign} ((a))")), column("a").compare(flipped, 5));
        }
    }

    #[test]
    fn not_binds_more_than_and_and_and_more_than_or() {
        let is = |name: &str| column(name).is_true();
        assert_eq!(
            parsed("a OR b AND NOT c OR d"),
            is("a").or(is("b").and(is("c").not())).or(is("d"))
        );
        assert_eq!(
            parsed("(a OR b) AND NOT (c OR d)"),
            is("a").or(is("b")).and(is("c").or(is("d")).not())
        );
        assert_eq!(parsed("NOT a = 1"), column("a").equal(1).not());
        assert_eq!(parsed("NOT NOT a"), is("a"));
        assert_eq!(parsed("not (not a) and ((b))"), is("a").and(is("b")));
        assert_eq!(parsed("a AND b AND c"), parsed("a AND (b AND c)"));
        assert_ne!(parsed("a OR b AND c"), parsed("(a OR b) AND c"));
    }

    #[test]
    fn lists_ranges_patterns_and_nulls_have_a_not_of_their_own() {
        let is_in = column("a").is_in([1, 2]);
        assert_eq!(parsed("a IN (1, 2)"), is_in);
        assert_eq!(parsed("a NOT IN (1, 2)"), is_in.not());
        let with_null = column("a").is_in([Value::Long(1), Value::Null]);
        assert_eq!(parsed("a IN (1, NULL)"), with_null);
        let between = column("a").between(1, 5);
        assert_eq!(parsed("a BETWEEN 1 AND 5"), between);
        assert_eq!(parsed("a NOT BETWEEN 1 AND 5 OR b"), between.not().or(column("b").is_true()));
        assert_eq!(parsed("5 BETWEEN a AND b"), parsed("a <= 5 AND b >= 5"));
        assert_eq!(parsed("a LIKE 'x%'"), column("a").like("x%"));
        assert_eq!(parsed("a NOT LIKE 'x%'"), column("a").like("x%").not());
        assert_ne!(parsed("a LIKE 'x!%' ESCAPE '!'"), column("a").like("x!%"));
        assert_eq!(parsed(r"a LIKE 'x\%' ESCAPE '\'"), column("a").like(r"x\%"));
        assert_ne!(parsed(r"a LIKE 'x\%' ESCAPE ''"), column("a").like(r"x\%"));
        assert_eq!(parsed("a IS NULL"), column("a").is_null());
        assert_eq!(parsed("a IS NOT NULL"), column("a").is_not_null());
    }

    #[test]
    fn whether_a_column_is_true_is_never_null() {
        let compared = |comparison, value: bool| column("a").compare(comparison, value);
        assert_eq!(parsed("a IS TRUE"), compared(Comparison::NotDistinct, true));
        assert_eq!(parsed("a IS NOT TRUE"), compared(Comparison::Distinct, true));
        assert_eq!(parsed("a IS FALSE"), compared(Comparison::NotDistinct, false));
        assert_eq!(parsed("a IS NOT FALSE"), compared(Comparison::Distinct, false));
        assert_eq!(parsed("a"), column("a").is_true());
        assert_eq!(parsed("a = true"), column("a").equal(true));
    }

    #[test]
    fn names_are_words_or_quoted_and_dots_lead_into_structs() {
        let parts = |parts: &[&str]| {
            let name = Name::Parts(parts.iter().map(|&part| part.to_owned()).collect());
            Operand { name, as_date: false, at: Place::default() }.is_null()
        };
        for (text, expected) in [
            ("a.B.c_1", &["a", "B", "c_1"][..]),
            ("`a.b`.\"c d\"", &["a.b", "c d"]),
            ("`a``b`", &["a`b"]),
            ("\"a\"\"b\"", &["a\"b"]),
            ("größe.名", &["größe", "名"]),
            ("s.order.null", &["s", "order", "null"]),
            ("`null`", &["null"]),
            ("date.cast", &["date", "cast"]),
            ("x", &["x"]),
            ("n", &["n"]),
        ] {
            assert_eq!(parsed(&format!("{text} IS NULL")), parts(expected), "{text}");
        }
    }

    #[test]
    fn numbers_are_exact_unless_they_have_an_exponent() {
        for (text, expected) in [
            ("5", Value::Long(5)),
            ("-5", Value::Long(-5)),
            ("- 5", Value::Long(-5)),
            ("+5", Value::Long(5)),
            ("5L", Value::Long(5)),
            ("-9223372036854775808", Value::Long(i64::MIN)),
            ("9223372036854775808", decimal(9_223_372_036_854_775_808, 0)),
            ("0.10", decimal(10, 2)),
            ("-.5", decimal(-5, 1)),
            ("5.", decimal(5, 0)),
            ("1e3", Value::Double(1000.0)),
            ("-2.5E-1", Value::Double(-0.25)),
            ("CAST(5 AS DOUBLE)", Value::Double(5.0)),
            ("CAST('5' AS BIGINT)", Value::Long(5)),
            ("CAST(1.50 AS DECIMAL(10, 3))", decimal(1500, 3)),
            ("'7'::int", Value::Long(7)),
            ("DOUBLE '-Infinity'", Value::Double(f64::NEG_INFINITY)),
            ("CAST('0.1' AS FLOAT)", Value::Double(f64::from(0.1_f32))),
            ("CAST(1e10 AS DECIMAL(11))", decimal(10_000_000_000, 0)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        let Value::Double(nan) = value("DOUBLE 'NaN'") else { panic!("no double") };
        assert!(nan.is_nan());
    }

    #[test]
    fn other_values_are_spelled_as_in_the_log() {
        let noon = 1_738_324_800_000_000;
        for (text, expected) in [
            ("'it''s \\n'", Value::String("it's \\n".into())),
            ("''", Value::String(String::new())),
            ("N'x'", Value::String("x".into())),
            ("X'00fF'", Value::Binary(vec![0, 255])),
            ("x''", Value::Binary(vec![])),
            ("TRUE", Value::Boolean(true)),
            ("CAST('true' AS BOOLEAN)", Value::Boolean(true)),
            ("NULL", Value::Null),
            ("CAST(NULL AS INT)", Value::Null),
            ("DATE '2025-01-31'", Value::Date(20_119)),
            ("date'1969-12-31'", Value::Date(-1)),
            ("TIMESTAMP '2025-01-31 12:00:00'", Value::Timestamp(noon)),
            ("TIMESTAMP '2025-01-31T13:00:00+01:00'", Value::Timestamp(noon)),
            ("TIMESTAMP_NTZ '2025-01-31 12:00:00'", Value::TimestampNtz(noon)),
            ("TIMESTAMP '2025-01-31 12:00:00'::DATE", Value::Date(20_119)),
            ("CAST(DATE '1970-01-02' AS TIMESTAMP)", Value::Timestamp(MICROS_A_DAY)),
            ("DATE('2025-01-31')", Value::Date(20_119)),
            ("CAST(5 AS STRING)", Value::String("5".into())),
            ("CAST('a' AS BINARY)", Value::Binary(b"a".to_vec())),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn the_day_of_a_timestamp_has_three_spellings() {
        let expected = column("t.u").as_date().less(Value::Date(0));
        for text in
            ["CAST(t.u AS DATE)", "t.u::date", "(t.u)::date", "DATE(t.u)", "(cast((t.u) as date))"]
        {
            assert_eq!(parsed(&format!("{text} < DATE '1970-01-01'")), expected, "{text}");
        }
        // A column of that name is one as well.
        assert_eq!(parsed("date < DATE '1970-01-01'"), column("date").less(Value::Date(0)));
    }

    #[test]
    fn what_is_asked_of_values_alone_is_answered() {
        for (text, expected) in [
            ("1 = 1", Some(true)),
            ("1 <> 1.0", Some(false)),
            ("1.5 < 1.25", Some(false)),
            ("1 < 1.5", Some(true)),
            ("-1.5 < -1", Some(true)),
            ("2 > 1e0", Some(true)),
            ("1e0 < 2", Some(true)),
            ("1 < 1e300", Some(true)),
            ("9223372036854775807 < 9223372036854775807.5", Some(true)),
            ("DOUBLE 'NaN' = DOUBLE 'NaN'", Some(true)),
            ("'a' <= 'b'", Some(true)),
            ("X'01' > X'0001'", Some(true)),
            ("DATE '2025-01-01' = DATE '2025-01-02'", Some(false)),
            ("TRUE > FALSE", Some(true)),
            ("NULL = 1", None),
            ("NULL <=> NULL", Some(true)),
            ("1 IS DISTINCT FROM NULL", Some(true)),
            ("TRUE", Some(true)),
            ("FALSE", Some(false)),
            ("NULL", None),
            ("NULL IS NULL", Some(true)),
            ("TRUE IS NOT TRUE", Some(false)),
        ] {
            assert_eq!(parsed(text), constant(expected), "{text}");
        }
        assert_eq!(parsed("5 IN (1, 5)").to_string(), "FALSE OR FALSE OR TRUE");
        assert_eq!(parsed("5 BETWEEN 1 AND 4").to_string(), "TRUE AND FALSE");
    }

    #[test]
    fn comments_and_lines_are_space() {
        let text = "a = 1 -- one\r\n  AND /* two /* nested */ */ b\n = 2";
        assert_eq!(parsed(text), column("a").equal(1).and(column("b").equal(2)));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            ("", "predicate: its text is empty"),
            (" -- nothing\n", "predicate: its text is empty"),
            ("a =", "predicate, column 4: expected a column or a value, found the end"),
            ("a = 'x", "predicate, column 5: unterminated string literal"),
            ("a = 5 5", "predicate, column 7: expected an operator or the end, found 5"),
            ("a 'x'", "predicate, column 1: a is no type that is known here"),
            ("(a = 5", "predicate, column 7: expected ), found the end"),
            ("a = 5)", "predicate, column 6: expected an operator or the end, found )"),
            (
                "a\n  AND\n  größe = = 5",
                "predicate, line 3, column 11: expected a column or a value, found =",
            ),
            (
                "a = b",
                "predicate, column 5: a comparison of two columns is not supported; <supported>",
            ),
            ("a = 5 + 1", "predicate, column 5: arithmetic is not supported; <supported>"),
            ("a = -b", "predicate, column 6: arithmetic is not supported; <supported>"),
            (
                "b AND\nlower(a) = 'x'",
                "predicate, line 2, column 1: the function lower is not supported; <supported>",
            ),
            ("a IN (SELECT 1)", "predicate, column 7: subqueries are not supported; <supported>"),
            ("EXISTS (SELECT 1)", "predicate, column 1: subqueries are not supported; <supported>"),
            ("CASE WHEN a THEN b END", "predicate, column 1: CASE is not supported; <supported>"),
            ("a ILIKE 'x'", "predicate, column 3: ILIKE is not supported; <supported>"),
            (
                "(a, b) IN (1)",
                "predicate, column 2: other than a column or a value here is not supported; <supported>",
            ),
            (
                "a[1] = 5",
                "predicate, column 2: what is in lists and maps is not supported; <supported>",
            ),
            (
                "(a > 1) = TRUE",
                "predicate, column 2: other than a column or a value here is not supported; <supported>",
            ),
            (
                "a > 1 IS NULL",
                "predicate, column 1: other than a column or a value here is not supported; <supported>",
            ),
            ("1 = 'a'", "predicate, column 5: 1 and 'a' are of different types"),
            ("a AND 5", "predicate, column 7: 5 is no condition"),
            ("a IN 5", "predicate, column 6: expected (, found 5"),
            ("a IN (1 2)", "predicate, column 9: expected ), found 2"),
            ("a NOT NULL", "predicate, column 7: expected IN, BETWEEN or LIKE, found NULL"),
            ("a NOT 5", "predicate, column 7: expected IN, BETWEEN or LIKE, found 5"),
            ("a IS 5", "predicate, column 6: expected NULL, TRUE, FALSE or DISTINCT FROM, found 5"),
            ("a BETWEEN 1 OR 2", "predicate, column 13: expected AND, found OR"),
            ("a LIKE b", "predicate, column 8: expected a text between single quotes"),
            ("a LIKE 'x' ESCAPE 'ab'", "predicate, column 19: an escape is one character, or none"),
            ("d = DATE '2025-02-30'", "predicate, column 5: '2025-02-30' is no value of type date"),
            ("d = DATE ''", "predicate, column 5: '' is no value of type date"),
            ("a = X'0'", "predicate, column 5: expected pairs of hexadecimal digits"),
            ("a = 1e999", "predicate, column 5: 1e999 is out of range"),
            (
                "CAST(a AS INT) = 5",
                "predicate, column 6: a cast of a column to integer is not supported; <supported>",
            ),
            ("a = CAST(5.5 AS INT)", "predicate, column 10: '5.5' is no value of type integer"),
            (
                "a = CAST(5 AS DECIMAL(50, 2))",
                "predicate, column 15: DECIMAL(50, 2) is no type that is known here",
            ),
            (
                "and = 5",
                "predicate, column 1: expected a column or a value (backticks make a name of it), found and",
            ),
            ("a = 1; DROP", "predicate, column 6: expected an operator or the end, found ;"),
            (
                "a = ?",
                "predicate, column 5: a value that is given later is not supported; <supported>",
            ),
            ("a. = 5", "predicate, column 4: expected identifier, found ="),
            ("`` = 5", "predicate, column 1: a name is empty, or a text between single quotes"),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
    }

    #[test]
    fn what_a_table_refuses_is_told_with_its_place() {
        let field = |name, data_type| StructField::new(name, data_type, true);
        let fields = vec![field("n", DataType::Integer), field("city", DataType::String)];
        let schema = StructType { fields };
        for (text, expected) in [
            ("n = 1 AND\n m.k = 2", "predicate, line 2, column 2: no column m in the table"),
            (
                "n = 1 OR n = 'x'",
                "predicate, column 14: 'x' is no value of type integer, which n has",
            ),
            (
                "city LIKE 'x\\y'",
                "predicate, column 11: 'x\\y': the escape '\\' must stand before %, _ or itself",
            ),
            (
                "city > X'00'",
                "predicate, column 8: X'00' is no value of type string, which city has",
            ),
            (
                "CAST(n AS DATE) > DATE '2025-01-01'",
                "predicate, column 6: n is of type integer: only a timestamp is cast to its date",
            ),
            (
                "\"Bonn\" = city",
                "predicate, column 10: a comparison of two columns is not supported; <supported>",
            ),
            (
                "city = \"Bonn\"",
                "predicate, column 8: a comparison of two columns (text goes between single quotes) is not supported; <supported>",
            ),
            (
                "city IN (\"Bonn\")",
                "predicate, column 10: a list of other than values (text goes between single quotes) is not supported; <supported>",
            ),
            (
                "city = 'a' OR \"Bonn\" = 'b'",
                "predicate, column 15: no column Bonn in the table (text goes between single quotes)",
            ),
        ] {
            let bound = Predicate::parse(text)
                .and_then(|of| Question::new(&of, &schema, &[], ColumnMappingMode::None));
            let error = bound.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
            assert_eq!(error.message().replace(SUPPORTED, "<supported>"), expected, "{text}");
        }
    }

    #[test]
    fn a_predicate_is_parsed_from_what_it_is_shown_as() {
        let values = [
            Value::Boolean(true),
            Value::Long(0),
            Value::Long(i64::MIN),
            Value::Double(0.1),
            Value::Double(-1e300),
            Value::Double(5.0),
            Value::Double(f64::MIN_POSITIVE),
            Value::Double(f64::INFINITY),
            decimal(5, 0),
            decimal(-5, 0),
            decimal(-5, 38),
            decimal(1230, 2),
            decimal(i128::MAX, 0),
            decimal(i128::MIN, 38),
            Value::String(String::new()),
            Value::String("it's \\ \"q\" `b` \n\t\0 \u{202e} -- /* 名".into()),
            Value::String("long ".repeat(1000)),
            Value::Binary(vec![]),
            Value::Binary(vec![0, 0xff]),
            Value::Date(0),
            Value::Date(-719_529),
            Value::Date(i32::MAX),
            Value::Date(i32::MIN),
            Value::Date(11_016),
            Value::Timestamp(0),
            Value::Timestamp(-1),
            Value::Timestamp(i64::MAX),
            Value::Timestamp(i64::MIN),
            Value::TimestampNtz(i64::MIN),
            Value::TimestampNtz(951_782_400_000_001),
            Value::Null,
        ];
        let names = [
            "a",
            "a.b.c",
            "`a.b`.c",
            "order by",
            "null",
            "and",
            "Cast",
            "date",
            "x",
            "n",
            "`a``b`",
            "1a",
            "größe",
            "q\"q",
            "line\nbreak",
        ];
        let comparisons = [
            Comparison::Equal,
            Comparison::NotEqual,
            Comparison::Less,
            Comparison::LessOrEqual,
            Comparison::Greater,
            Comparison::GreaterOrEqual,
            Comparison::Distinct,
            Comparison::NotDistinct,
        ];
        let mut leaves = vec![constant(Some(true)), constant(Some(false)), constant(None)];
        for (i, name) in names.into_iter().enumerate() {
            let (column, day) = (column(name), column(name).as_date());
            for operand in [column, day] {
                let comparison = comparisons[i % comparisons.len()];
                leaves.extend([
                    operand.clone().is_true(),
                    operand.clone().is_null(),
                    operand.clone().is_not_null(),
                    operand.clone().compare(comparison, values[i].clone()),
                    operand.clone().is_in(values.clone()),
                    operand.clone().is_in::<i64>([]),
                    operand.clone().like("it's %\\_"),
                    operand.starts_with("100%_\\"),
                ]);
            }
        }
        for value in &values {
            for comparison in comparisons {
                leaves.push(column("v").compare(comparison, value.clone()));
            }
        }
        for escape in [None, Some('!'), Some('\''), Some('\\')] {
            let pattern = Pattern { text: "a!%'".into(), escape, at: Place::default() };
            leaves.push(Predicate::leaf(Node::Like(column("a"), pattern)));
        }
        // Neighbours joined in every way, thrice over.
        let mut shapes = leaves.clone();
        for _ in 0..3 {
            let joined: Vec<Predicate> = shapes
                .windows(3)
                .step_by(2)
                .enumerate()
                .map(|(i, near)| {
                    let [a, b, c] = [&near[0], &near[1], &near[2]].map(Predicate::clone);
                    match i % 6 {
                        0 => a.and(b).or(c),
                        1 => a.or(b).and(c),
                        2 => a.and(b.or(c)).not(),
                        3 => a.not().or(b.and(c).not()),
                        4 => a.and(b).and(c).not().not(),
                        _ => a.or(b).not().and(c.not()),
                    }
                })
                .collect();
            shapes.clone_from(&joined);
            leaves.extend(joined);
        }
        assert!(leaves.len() > 500, "{}", leaves.len());
        for predicate in leaves {
            let text = predicate.to_string();
            let again = parsed(&text);
            assert_eq!(again.to_string(), text);
            assert_eq!(again, predicate, "{text}");
        }
    }

    #[test]
    fn of_any_words_a_predicate_is_made_that_reads_back_or_an_error_with_a_place() {
        const WORDS: [&str; 60] = [
            "a",
            "b.c",
            "`d e`",
            "\"f\"",
            "date",
            "1",
            "-1",
            "1.5",
            "2e3",
            "'x'",
            "'it''s'",
            "x'00'",
            "n'y'",
            "TRUE",
            "FALSE",
            "NULL",
            "DATE '2025-01-31'",
            "DATE",
            "TIMESTAMP '2025-01-31'",
            "CAST(",
            "AS",
            "DATE)",
            "::date",
            "::int",
            "::decimal(5,",
            "2)",
            "(",
            "(",
            "(",
            ")",
            ")",
            ")",
            ",",
            "=",
            "<",
            ">=",
            "<>",
            "<=>",
            "AND",
            "AND",
            "OR",
            "OR",
            "NOT",
            "NOT",
            "IN",
            "IN (",
            "BETWEEN",
            "LIKE",
            "ESCAPE '!'",
            "IS",
            "IS NULL",
            "IS NOT DISTINCT FROM",
            "-- c\n",
            "/*",
            "*/",
            "'",
            "`",
            "\u{0}é\u{202e}",
            ";",
            "0x1",
        ];
        // A generator of Knuth's, with the same numbers each time.
        let mut state = 1_u64;
        let mut next = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut read = 0;
        for _ in 0..20_000 {
            let words: Vec<&str> = (0..1 + next(9)).map(|_| WORDS[next(WORDS.len())]).collect();
            let text = words.join(["", " ", " ", "\n"][next(4)]);
            match Predicate::parse(&text) {
                Ok(predicate) => {
                    assert_eq!(parsed(&predicate.to_string()), predicate, "{text}");
                    read += 1;
                }
                Err(error) => {
                    let message = error.message();
                    assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}: {error}");
                    let is_placed = message.starts_with("predicate, column ")
                        || message.starts_with("predicate, line ");
                    assert!(is_placed || message == "predicate: its text is empty", "{error}");
                }
            }
        }
        assert!(read > 500, "{read}");
    }

    /// Runs `test` with a quarter of the stack that a thread has.
    fn with_little_stack(test: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(512 * 1024).spawn(test).unwrap().join().unwrap();
    }

    #[test]
    fn no_text_takes_more_stack_than_another() {
        with_little_stack(|| {
            let n = 100_000;
            let deep = "it nests deeper than 256 levels";
            // As many calls as there are, the largest among them.
            for open in
                ["(", "a = (", "NOT ", "NOT (", "- ", "CAST(", "f(", "a OR a AND NOT 1 = f("]
            {
                let error = refusal(&open.repeat(TEXT_BYTES_MAX / open.len()));
                assert!(
                    error.starts_with("predicate, column ") && error.ends_with(deep),
                    "{error}"
                );
                for times in [5, 50, 100, 150, 200, 250, 300, 400, 500] {
                    let _ = Predicate::parse(&(open.repeat(times) + "a" + &")".repeat(times)));
                }
            }
            // As many levels as there are in the parser's tree.
            refusal(&("1=".repeat(TEXT_BYTES_MAX / 2 - 1) + "1"));
            for chain in ["1+", "a:", "a.", "a::b = "] {
                refusal(&(chain.repeat(n) + "="));
            }
            assert_eq!(parsed(&vec!["a"; n].join(" OR ")).to_string().len(), 5 * n - 4);
            assert_eq!(parsed(&vec!["a"; n].join(" AND ")).to_string().len(), 6 * n - 5);
            assert_eq!(parsed(&format!("a{}", "::date".repeat(n))).to_string(), "CAST(a AS DATE)");
            refusal(&format!("a{}", ".a = 5 + ".repeat(n)));
            refusal(&"CASE WHEN ".repeat(n));
            refusal(&format!("a{}", " IS NULL".repeat(n)));
            refusal(&format!("({}, b) IN (1)", vec!["a"; n].join(" = ")));
        });
    }

    #[test]
    fn as_deep_as_a_predicate_may_be_it_is_parsed_from_what_it_is_shown_as() {
        let nested = |levels: usize| {
            (1..levels).fold(column("a").is_true(), |inner, level| match level % 3 {
                0 => inner.and(column("b").is_null()),
                1 => inner.or(column("c").is_null()),
                _ => inner.not(),
            })
        };
        with_little_stack(move || {
            let deepest = nested(DEPTH_MAX);
            assert_eq!(parsed(&deepest.to_string()).to_string(), deepest.to_string());
            let text = format!("NOT (b AND ({deepest}))");
            assert!(refusal(&text).ends_with("nests deeper than 256 levels"), "{text}");
        });
    }

    #[test]
    fn long_lists_are_read_and_too_long_a_text_is_not() {
        let list: Vec<i64> = (0..10_000).collect();
        let texts: Vec<String> = list.iter().map(i64::to_string).collect();
        let text = format!("a IN ({})", texts.join(", "));
        assert_eq!(parsed(&text), column("a").is_in(list));
        let long = format!("a = '{}'", "x".repeat(TEXT_BYTES_MAX - 6));
        assert_eq!(parsed(&long).to_string().len(), TEXT_BYTES_MAX);
        let too_long = long + " ";
        assert_eq!(refusal(&too_long), "predicate: its text has more than 1048576 bytes");
    }
}
