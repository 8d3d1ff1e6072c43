//! A predicate from its SQL text.
//!
//! Words and their places come from `sqlparser`'s tokenizer; what they mean
//! together is told here, in one loop over a stack of open parentheses, because a
//! host may pass on the text of a stranger. No text makes this code recurse far, and
//! no tree is made but the predicate's own, whose depth is bounded. `sqlparser`'s
//! own parser gives out its stack on 100,000 times `NOT`, and on 30 calls within
//! one another with a limit of 50 set; its trees are as deep as a list of `OR` is
//! long, and so is their drop.

use std::any::TypeId;
use std::cmp::Ordering;
use std::str::FromStr;

use arrow::array::AsArray;
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType,
};
use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer, Word};

use super::bind::{Fit, Keys, scaled};
use super::outcomes::float_key;
use super::{
    Comparison, DEPTH_MAX, Literal, Name, Node, Operand, Pattern, Place, Predicate, Value, shown,
};
use crate::error::{Error, Result, escaped};
use crate::partition_value::PartitionColumn;
use crate::schema::DataType;

/// Longer texts are refused: tokens take some 100 times the memory of theirs.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Casts of casts are refused beyond: they are all that is read by recursion.
const CASTS_MAX: usize = 8;

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
        Reader::new(text)?.predicate()
    }
}

impl FromStr for Predicate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Predicate> {
        Predicate::parse(text)
    }
}

/// The words of a text, and how many of them are read.
struct Reader {
    tokens: std::iter::Peekable<std::vec::IntoIter<(Token, Place)>>,
    end: Place,
    /// The casts that are being read, one within the other.
    casts: usize,
}

/// What stands between operators.
enum Term {
    Column(Operand),
    Value(Literal),
    Condition(Predicate, Place),
}

/// What was read since a parenthesis was opened.
struct Group {
    open: Place,
    /// All but the last of what `OR` joins.
    any: Option<Predicate>,
    /// Of the last, all but the last of what `AND` joins.
    all: Option<Predicate>,
    /// Whether there is a `NOT`, or an odd number of them, before the next term.
    is_negated: bool,
    /// Whether there is a `NOT` at all.
    has_not: bool,
}

impl Group {
    fn new(open: Place) -> Group {
        Group { open, any: None, all: None, is_negated: false, has_not: false }
    }

    /// Adds `term`, which `AND` or `OR` or the end follows.
    fn and(&mut self, term: Term) -> Result<()> {
        let at = term.place();
        let mut condition = term.condition()?;
        if std::mem::take(&mut self.is_negated) {
            condition = condition.not();
            not_too_deep(&condition, at)?;
        }
        self.has_not = false;
        self.all = Some(match self.all.take() {
            Some(all) => all.and(condition),
            None => condition,
        });
        self.all.as_ref().map_or(Ok(()), |all| not_too_deep(all, at))
    }

    /// Ends what `AND` joins.
    fn or(&mut self) -> Result<()> {
        self.any = match (self.any.take(), self.all.take()) {
            (Some(any), Some(all)) => Some(any.or(all)),
            (any, all) => any.or(all),
        };
        self.any.as_ref().map_or(Ok(()), |any| not_too_deep(any, self.open))
    }

    /// What all of it is, with `last` for the last term.
    fn closed(mut self, last: Term) -> Result<Term> {
        if self.any.is_none() && self.all.is_none() && !self.has_not {
            return Ok(last);
        }
        self.and(last)?;
        self.or()?;
        match self.any {
            Some(predicate) => Ok(Term::Condition(predicate, self.open)),
            None => Err(Error::bug("a group of conditions has none")),
        }
    }
}

fn not_too_deep(predicate: &Predicate, at: Place) -> Result<()> {
    match predicate.node {
        Node::TooDeep => Err(at.too_deep()),
        _ => Ok(()),
    }
}

impl Term {
    fn place(&self) -> Place {
        match self {
            Term::Column(operand) => operand.at,
            Term::Value(literal) => literal.at,
            Term::Condition(_, at) => *at,
        }
    }

    fn condition(self) -> Result<Predicate> {
        match self {
            Term::Condition(predicate, _) => Ok(predicate),
            Term::Column(operand) => Ok(operand.is_true()),
            Term::Value(Literal { value: Value::Boolean(is_true), .. }) => {
                Ok(Predicate::always(is_true))
            }
            Term::Value(Literal { value: Value::Null, .. }) => Ok(constant(None)),
            Term::Value(Literal { value, at }) => {
                Err(at.invalid(format!("{} is no condition", shown(&value))))
            }
        }
    }
}

fn constant(outcome: Option<bool>) -> Predicate {
    Predicate::leaf(Node::Constant(outcome))
}

impl Reader {
    fn new(text: &str) -> Result<Reader> {
        let start = place(Location { line: 1, column: 1 });
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::invalid(format!(
                "predicate: its text has more than {TEXT_BYTES_MAX} bytes"
            )));
        }
        let mut end = start;
        let mut tokens = Vec::new();
        let spaced = Tokenizer::new(&Words, text).tokenize_with_location().map_err(|e| {
            let mut message = e.message.chars();
            let first = message.next().map(|c| c.to_ascii_lowercase());
            let message: String = first.into_iter().chain(message).collect();
            place(e.location).invalid(escaped(&message))
        })?;
        for token in spaced {
            end = place(token.span.end);
            if !matches!(token.token, Token::Whitespace(_) | Token::EOF) {
                tokens.push((token.token, place(token.span.start)));
            }
        }
        if tokens.is_empty() {
            return Err(Error::invalid("predicate: its text is empty"));
        }
        Ok(Reader { tokens: tokens.into_iter().peekable(), end, casts: 0 })
    }

    fn predicate(mut self) -> Result<Predicate> {
        let mut groups: Vec<Group> = Vec::new();
        let mut group = Group::new(self.place());
        loop {
            let at = self.place();
            if self.skip("NOT") {
                group.is_negated = !group.is_negated;
                group.has_not = true;
                continue;
            }
            if self.skip_token(&Token::LParen) {
                // More than its text has where a predicate is shown: some may be
                // written about a single name.
                if groups.len() > DEPTH_MAX {
                    return Err(at.too_deep());
                }
                groups.push(std::mem::replace(&mut group, Group::new(at)));
                continue;
            }
            let mut term = self.simple()?;
            loop {
                term = self.behind(term)?;
                let at = self.place();
                if self.skip_token(&Token::RParen) {
                    match groups.pop() {
                        Some(outer) => {
                            term = std::mem::replace(&mut group, outer).closed(term)?;
                            continue;
                        }
                        None => {
                            return Err(at.invalid("a parenthesis is closed that was not opened"));
                        }
                    }
                }
                if self.skip("AND") {
                    group.and(term)?;
                } else if self.skip("OR") {
                    group.and(term)?;
                    group.or()?;
                } else if self.tokens.peek().is_some() {
                    return Err(self.no_operator(if groups.is_empty() {
                        "the end"
                    } else {
                        "\")\""
                    }));
                } else if !groups.is_empty() {
                    return Err(group.open.invalid("this parenthesis is not closed"));
                } else {
                    return group.closed(term)?.condition();
                }
                break;
            }
        }
    }

    /// `term` with all that is asked of it behind it.
    fn behind(&mut self, mut term: Term) -> Result<Term> {
        loop {
            let at = term.place();
            let predicate = if let Some(comparison) = self.comparison() {
                compared(term, comparison, self.value()?)?
            } else if self.skip("IS") {
                self.behind_is(term)?
            } else {
                let is_negated = self.skip("NOT");
                let predicate = if self.skip("IN") {
                    self.behind_in(term)?
                } else if self.skip("BETWEEN") {
                    let (low, high) = term.twice()?;
                    let low = compared(low, Comparison::GreaterOrEqual, self.value()?)?;
                    self.expect("AND")?;
                    low.and(compared(high, Comparison::LessOrEqual, self.value()?)?)
                } else if self.skip("LIKE") {
                    self.behind_like(term)?
                } else if is_negated {
                    return Err(self.unexpected("IN, BETWEEN or LIKE"));
                } else {
                    return Ok(term);
                };
                if is_negated { predicate.not() } else { predicate }
            };
            term = Term::Condition(predicate, at);
        }
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let comparison = match self.tokens.peek()?.0 {
            Token::Eq | Token::DoubleEq => Comparison::Equal,
            Token::Neq => Comparison::NotEqual,
            Token::Lt => Comparison::Less,
            Token::LtEq => Comparison::LessOrEqual,
            Token::Gt => Comparison::Greater,
            Token::GtEq => Comparison::GreaterOrEqual,
            Token::Spaceship => Comparison::NotDistinct,
            _ => return None,
        };
        self.tokens.next();
        Some(comparison)
    }

    fn behind_is(&mut self, term: Term) -> Result<Predicate> {
        let is_negated = self.skip("NOT");
        let same = if is_negated { Comparison::Distinct } else { Comparison::NotDistinct };
        let at = self.place();
        if self.skip("DISTINCT") {
            self.expect("FROM")?;
            let distinct = if is_negated { Comparison::NotDistinct } else { Comparison::Distinct };
            return compared(term, distinct, self.value()?);
        }
        for (word, is_true) in [("TRUE", true), ("FALSE", false)] {
            if self.skip(word) {
                let value = Literal { value: Value::Boolean(is_true), at };
                return compared(term, same, Term::Value(value));
            }
        }
        if !self.skip("NULL") {
            return Err(self.unexpected("NULL, TRUE, FALSE or DISTINCT FROM"));
        }
        let is_null = match term {
            Term::Column(operand) => operand.is_null(),
            Term::Value(literal) => Predicate::always(literal.value == Value::Null),
            Term::Condition(_, at) => return Err(unsupported(at, "IS NULL of a condition is")),
        };
        Ok(if is_negated { is_null.not() } else { is_null })
    }

    fn behind_in(&mut self, term: Term) -> Result<Predicate> {
        if !self.skip_token(&Token::LParen) {
            return Err(self.unexpected("a list in parentheses"));
        }
        let mut literals = Vec::new();
        // No value at all is not SQL's, but may be what a program writes.
        while !self.skip_token(&Token::RParen) {
            if !literals.is_empty() && !self.skip_token(&Token::Comma) {
                return Err(self.unexpected("a comma or \")\""));
            }
            match self.value()? {
                Term::Value(literal) => literals.push(literal),
                term => {
                    let at = term.place();
                    let what = format!("a list of other than values{} is", at.hint());
                    return Err(unsupported(at, &what));
                }
            }
        }
        match term {
            Term::Column(operand) => Ok(Predicate::leaf(Node::In(operand, literals))),
            Term::Value(value) => {
                literals.into_iter().try_fold(Predicate::always(false), |any, of| {
                    Ok(any.or(folded(&value, Comparison::Equal, &of)?))
                })
            }
            Term::Condition(_, at) => Err(unsupported(at, "IN of a condition is")),
        }
    }

    fn behind_like(&mut self, term: Term) -> Result<Predicate> {
        let text = |term: Term| match term {
            Term::Value(Literal { value: Value::String(text), at }) => Ok((text, at)),
            term => Err(term.place().invalid("expected a text between single quotes")),
        };
        let (pattern, at) = text(self.value()?)?;
        let mut escape = Some('\\');
        if self.skip("ESCAPE") {
            let (text, at) = text(self.value()?)?;
            let mut chars = text.chars();
            escape = chars.next();
            if chars.next().is_some() {
                return Err(at.invalid("an escape is one character, or none"));
            }
        }
        match term {
            Term::Column(operand) => {
                Ok(Predicate::leaf(Node::Like(operand, Pattern { text: pattern, escape, at })))
            }
            term => Err(unsupported(term.place(), "LIKE of other than a column is")),
        }
    }

    /// A column or a value, which may stand in parentheses.
    fn value(&mut self) -> Result<Term> {
        let open = self.place();
        let mut parentheses = 0_usize;
        while self.skip_token(&Token::LParen) {
            parentheses += 1;
        }
        let term = self.simple()?;
        for _ in 0..parentheses {
            if self.tokens.peek().is_none() {
                return Err(open.invalid("this parenthesis is not closed"));
            }
            if !self.skip_token(&Token::RParen) {
                return Err(self.no_operator("\")\""));
            }
        }
        Ok(term)
    }

    /// A column or a value, which is none in parentheses, and its casts.
    fn simple(&mut self) -> Result<Term> {
        let mut term = self.bare()?;
        while self.skip_token(&Token::DoubleColon) {
            let data_type = self.data_type()?;
            term = cast(term, &data_type)?;
        }
        Ok(term)
    }

    fn bare(&mut self) -> Result<Term> {
        let at = self.place();
        let value = match self.tokens.next_if(|(token, _)| is_value(token)) {
            None => return Err(self.unexpected("a column or a value")),
            Some((Token::Word(word), _)) => return self.word(word, at),
            Some((Token::Number(text, is_long), _)) => number(&text, is_long, at)?,
            Some((sign @ (Token::Minus | Token::Plus), _)) => match self.tokens.next() {
                Some((Token::Number(text, is_long), _)) if sign == Token::Minus => {
                    number(&format!("-{text}"), is_long, at)?
                }
                Some((Token::Number(text, is_long), _)) => number(&text, is_long, at)?,
                _ => return Err(unsupported(at, "arithmetic is")),
            },
            Some((Token::HexStringLiteral(text), _)) => Value::Binary(
                hexadecimal(&text)
                    .ok_or_else(|| at.invalid("expected pairs of hexadecimal digits"))?,
            ),
            Some((Token::SingleQuotedString(text) | Token::NationalStringLiteral(text), _)) => {
                Value::String(text)
            }
            Some((token, _)) => return Err(Error::bug(format!("{token} was taken for a value"))),
        };
        Ok(Term::Value(Literal { value, at }))
    }

    /// What begins with `word`: a column, a value, or what is not supported.
    fn word(&mut self, word: Word, at: Place) -> Result<Term> {
        let value = |value| Ok(Term::Value(Literal { value, at }));
        if word.quote_style.is_none() {
            let upper = word.value.to_ascii_uppercase();
            let next = self.tokens.peek().map(|(token, _)| token);
            match (upper.as_str(), next) {
                ("TRUE", _) => return value(Value::Boolean(true)),
                ("FALSE", _) => return value(Value::Boolean(false)),
                ("NULL", _) => return value(Value::Null),
                ("SELECT" | "EXISTS" | "WITH", _) => return Err(unsupported(at, "subqueries are")),
                ("CASE" | "INTERVAL", _) => return Err(unsupported(at, &format!("{upper} is"))),
                (_, _) if is_reserved(&upper) => {
                    return Err(at.invalid(format!(
                        "expected a column or a value, found {upper} (backticks make a name of it)"
                    )));
                }
                ("CAST", Some(Token::LParen)) => {
                    let term = self.cast_value(at)?;
                    self.expect("AS")?;
                    let data_type = self.data_type()?;
                    self.close()?;
                    return Ok(cast(term, &data_type)?.moved(at));
                }
                ("DATE", Some(Token::LParen)) => {
                    let term = cast(self.cast_value(at)?, &DataType::Date)?;
                    self.close()?;
                    return Ok(term.moved(at));
                }
                (_, Some(Token::SingleQuotedString(_))) => {
                    let data_type = self.type_of(&word.value, at)?;
                    if let Some((Token::SingleQuotedString(text), _)) = self.tokens.next() {
                        return value(typed(&text, &data_type, at)?);
                    }
                }
                _ => {}
            }
        }
        let mut in_double_quotes = word.quote_style == Some('"');
        let mut parts = vec![word.value];
        while self.skip_token(&Token::Period) {
            match self.tokens.next_if(|(token, _)| matches!(token, Token::Word(_))) {
                Some((Token::Word(word), _)) => {
                    in_double_quotes |= word.quote_style == Some('"');
                    parts.push(word.value);
                }
                _ => return Err(self.unexpected("a name")),
            }
        }
        if let Some((Token::LParen, _)) = self.tokens.peek() {
            return Err(unsupported(at, &format!("the function {} is", escaped(&parts.join(".")))));
        }
        if parts.iter().any(String::is_empty) {
            return Err(at.invalid("a name is empty"));
        }
        let at = Place { in_double_quotes, ..at };
        Ok(Term::Column(Operand { name: Name::Parts(parts), as_date: false, at }))
    }

    /// What a cast that begins at `at` is of.
    fn cast_value(&mut self, at: Place) -> Result<Term> {
        if self.casts == CASTS_MAX {
            return Err(at.invalid(format!("there are more than {CASTS_MAX} casts around it")));
        }
        self.skip_token(&Token::LParen);
        self.casts += 1;
        let term = self.value()?;
        self.casts -= 1;
        Ok(term)
    }

    fn data_type(&mut self) -> Result<DataType> {
        let at = self.place();
        match self.tokens.next_if(|(token, _)| matches!(token, Token::Word(_))) {
            Some((Token::Word(word), _)) => self.type_of(&word.value, at),
            _ => Err(self.unexpected("a type")),
        }
    }

    /// The type that `name`, and what follows, is the name of.
    fn type_of(&mut self, name: &str, at: Place) -> Result<DataType> {
        Ok(match name.to_ascii_uppercase().as_str() {
            "BOOLEAN" => DataType::Boolean,
            "BYTE" | "TINYINT" => DataType::Byte,
            "SHORT" | "SMALLINT" => DataType::Short,
            "INT" | "INTEGER" => DataType::Integer,
            "LONG" | "BIGINT" => DataType::Long,
            "FLOAT" | "REAL" => DataType::Float,
            "DOUBLE" => DataType::Double,
            "STRING" => DataType::String,
            "BINARY" => DataType::Binary,
            "DATE" => DataType::Date,
            "TIMESTAMP" | "TIMESTAMP_LTZ" => DataType::Timestamp,
            "TIMESTAMP_NTZ" => DataType::TimestampNtz,
            "DECIMAL" | "DEC" | "NUMERIC" => {
                // As in Spark, where nothing is said of them.
                let (mut precision, mut scale) = (10, 0);
                if self.skip_token(&Token::LParen) {
                    precision = self.digits()?;
                    if self.skip_token(&Token::Comma) {
                        scale = self.digits()?;
                    }
                    self.close()?;
                }
                if !(1..=38).contains(&precision) || scale > precision {
                    return Err(at.invalid(format!(
                        "a decimal has 1 to 38 digits, of which some are behind the point: not \
                         {precision} and {scale}"
                    )));
                }
                DataType::Decimal { precision, scale }
            }
            name => {
                return Err(at.invalid(format!("{} is no type that is known here", escaped(name))));
            }
        })
    }

    fn digits(&mut self) -> Result<u8> {
        let number = match self.tokens.peek() {
            Some((Token::Number(text, false), _)) => text.parse().ok(),
            _ => None,
        };
        let Some(number) = number else { return Err(self.unexpected("a number of digits")) };
        self.tokens.next();
        Ok(number)
    }

    fn place(&mut self) -> Place {
        self.tokens.peek().map_or(self.end, |(_, at)| *at)
    }

    /// Whether the next word was `word`, which is behind then.
    fn skip(&mut self, word: &str) -> bool {
        let is_word = |token: &Token| match token {
            Token::Word(next) => {
                next.quote_style.is_none() && next.value.eq_ignore_ascii_case(word)
            }
            _ => false,
        };
        self.tokens.next_if(|(token, _)| is_word(token)).is_some()
    }

    fn skip_token(&mut self, token: &Token) -> bool {
        self.tokens.next_if(|(next, _)| next == token).is_some()
    }

    fn expect(&mut self, word: &str) -> Result<()> {
        if self.skip(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    fn close(&mut self) -> Result<()> {
        if self.skip_token(&Token::RParen) { Ok(()) } else { Err(self.no_operator("\")\"")) }
    }

    fn unexpected(&mut self, expected: &str) -> Error {
        let found = match self.tokens.peek() {
            Some((token, _)) => escaped(&token.to_string()),
            None => "the end".to_owned(),
        };
        self.place().invalid(format!("expected {expected}, found {found}"))
    }

    /// For what follows a term and is not known: `end` may have.
    fn no_operator(&mut self, end: &str) -> Error {
        let at = self.place();
        match self.tokens.peek() {
            Some((
                Token::Plus
                | Token::Minus
                | Token::Mul
                | Token::Div
                | Token::Mod
                | Token::StringConcat
                | Token::Ampersand
                | Token::Pipe
                | Token::Caret
                | Token::ShiftLeft
                | Token::ShiftRight,
                _,
            )) => unsupported(at, "arithmetic is"),
            Some((Token::LBracket, _)) => unsupported(at, "what is in lists and maps is"),
            Some((Token::Comma, _)) => unsupported(at, "a list before IN, or without one, is"),
            Some((Token::Word(word), _)) if is_reserved(&word.value) => {
                unsupported(at, &format!("{} here is", word.value.to_ascii_uppercase()))
            }
            _ => self.unexpected(&format!("an operator or {end}")),
        }
    }
}

fn place(at: Location) -> Place {
    Place { at: Some((at.line, at.column)), in_double_quotes: false }
}

fn unsupported(at: Place, what: &str) -> Error {
    at.invalid(format!("{what} not supported; {SUPPORTED}"))
}

/// Whether a column or a value may begin so.
fn is_value(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(_)
            | Token::Number(..)
            | Token::Minus
            | Token::Plus
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedString(_)
            | Token::NationalStringLiteral(_)
    )
}

impl Term {
    /// The same for both of two conditions.
    fn twice(self) -> Result<(Term, Term)> {
        match self {
            Term::Column(operand) => Ok((Term::Column(operand.clone()), Term::Column(operand))),
            Term::Value(literal) => Ok((Term::Value(literal.clone()), Term::Value(literal))),
            Term::Condition(_, at) => Err(unsupported(at, "BETWEEN of a condition is")),
        }
    }

    /// The same, said to stand at `at`, where what is around it begins.
    fn moved(self, at: Place) -> Term {
        match self {
            Term::Column(Operand { name, as_date, at: Place { in_double_quotes, .. } }) => {
                Term::Column(Operand { name, as_date, at: Place { in_double_quotes, ..at } })
            }
            Term::Value(Literal { value, .. }) => Term::Value(Literal { value, at }),
            Term::Condition(predicate, _) => Term::Condition(predicate, at),
        }
    }
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
        (Term::Condition(_, at), _) | (_, Term::Condition(_, at)) => {
            return Err(unsupported(at, "a comparison of a condition is"));
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
    let at = term.place();
    let literal = match term {
        Term::Column(operand) if *data_type == DataType::Date => {
            return Ok(Term::Column(operand.as_date()));
        }
        Term::Column(_) => {
            return Err(unsupported(at, &format!("a cast of a column to {data_type} is")));
        }
        Term::Value(literal) => literal,
        Term::Condition(_, at) => return Err(unsupported(at, "a cast of a condition is")),
    };
    let value = match (literal.value, data_type) {
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
        for text in ["CAST(t.u AS DATE)", "t.u::date", "DATE(t.u)", "(cast((t.u) as date))"] {
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
            ("a 'x'", "predicate, column 1: A is no type that is known here"),
            ("(a = 5", "predicate, column 1: this parenthesis is not closed"),
            ("a = 5)", "predicate, column 6: a parenthesis is closed that was not opened"),
            (
                "a\n  AND\n  größe = = 5",
                "predicate, line 3, column 11: expected a column or a value, found =",
            ),
            (
                "a = b",
                "predicate, column 5: a comparison of two columns is not supported; <supported>",
            ),
            ("a = 5 + 1", "predicate, column 7: arithmetic is not supported; <supported>"),
            ("a = -b", "predicate, column 5: arithmetic is not supported; <supported>"),
            (
                "b AND\nlower(a) = 'x'",
                "predicate, line 2, column 1: the function lower is not supported; <supported>",
            ),
            ("a IN (SELECT 1)", "predicate, column 7: subqueries are not supported; <supported>"),
            ("EXISTS (SELECT 1)", "predicate, column 1: subqueries are not supported; <supported>"),
            ("CASE WHEN a THEN b END", "predicate, column 1: CASE is not supported; <supported>"),
            ("a ILIKE 'x'", "predicate, column 3: ILIKE here is not supported; <supported>"),
            (
                "(a, b) IN (1)",
                "predicate, column 3: a list before IN, or without one, is not supported; <supported>",
            ),
            (
                "a[1] = 5",
                "predicate, column 2: what is in lists and maps is not supported; <supported>",
            ),
            (
                "(a > 1) = TRUE",
                "predicate, column 2: a comparison of a condition is not supported; <supported>",
            ),
            (
                "a > 1 IS NULL",
                "predicate, column 1: IS NULL of a condition is not supported; <supported>",
            ),
            ("1 = 'a'", "predicate, column 5: 1 and 'a' are of different types"),
            ("a AND 5", "predicate, column 7: 5 is no condition"),
            ("a IN 5", "predicate, column 6: expected a list in parentheses, found 5"),
            ("a IN (1 2)", "predicate, column 9: expected a comma or \")\", found 2"),
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
                "predicate, column 15: a decimal has 1 to 38 digits, of which some are behind the point: not 50 and 2",
            ),
            (
                "and = 5",
                "predicate, column 1: expected a column or a value, found AND (backticks make a name of it)",
            ),
            ("a = 1; DROP", "predicate, column 6: expected an operator or the end, found ;"),
            ("a = ?", "predicate, column 5: expected a column or a value, found ?"),
            ("a. = 5", "predicate, column 4: expected a name, found ="),
            ("`` = 5", "predicate, column 1: a name is empty"),
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
                "predicate, column 1: n is of type integer: only a timestamp is cast to its date",
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
            let deep = "predicate, column 258: it nests deeper than 256 levels";
            assert_eq!(refusal(&"(".repeat(n)), deep);
            assert!(refusal(&("a = ".to_owned() + &"(".repeat(n))).ends_with("found the end"));
            assert_eq!(parsed(&("NOT ".repeat(n) + "a")), column("a").is_true());
            assert!(refusal(&"NOT (".repeat(n)).contains("nests deeper"));
            assert_eq!(parsed(&vec!["a"; n].join(" OR ")).to_string().len(), 5 * n - 4);
            assert_eq!(parsed(&vec!["a"; n].join(" AND ")).to_string().len(), 6 * n - 5);
            assert_eq!(parsed(&format!("a{}", "::date".repeat(n))).to_string(), "CAST(a AS DATE)");
            refusal(&format!("a{}", ".a = 5 + ".repeat(n)));
            refusal(&"CAST(".repeat(n));
            refusal(&"f(".repeat(n));
            refusal(&"- ".repeat(n));
            refusal(&"CASE WHEN ".repeat(n));
            refusal(&format!("a{}", " IS NULL".repeat(n)));
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
