//! `engine_predicate`: a condition on rows, as C holds it.

use std::ffi::{c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use super::handle::{self, Handle, object};
use super::input;
use super::status::{caught, engine_error, engine_status, produce};
use super::text::{Text, engine_str, lent};
use crate::error::{Error, Result};
use crate::predicate::{Comparison, Operand, Predicate, Value, column};

/// The most bytes of an SQL text.
pub(super) const SQL_BYTES_MAX: usize = 1024 * 1024;

/// The most bytes of one value.
const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The most values of a list, or predicates to be joined.
const LIST_MAX: usize = 1024 * 1024;

/// A condition on rows: those for which it is true are wanted, not those for which
/// it is false or null. It knows no table, does not change, and any number of
/// threads may use it at once.
pub struct engine_predicate {
    handle: Handle<Built>,
}

object!(engine_predicate, Built, b"d.predic");

/// A predicate, and its text once somebody has asked.
pub(super) struct Built {
    pub(super) predicate: Predicate,
    text: OnceLock<Text>,
}

/// The kinds of an engine_value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum engine_value_kind {
    /// SQL's null.
    Null = 0,
    /// number, which is 0 for false, and anything else for true.
    Boolean,
    /// number, for a column of any type of numbers.
    Long,
    /// real, for a column of any type of numbers.
    Double,
    /// The whole number of 128 bits of which number is the lower half and high the
    /// upper one, divided by 10 to the power of scale.
    Decimal,
    /// len bytes of UTF-8 at data. For a column of another type it is read as a value
    /// of that type, as the log spells partition values.
    String,
    /// len bytes at data.
    Binary,
    /// number: days since 1970-01-01.
    Date,
    /// number: microseconds since 1970 in UTC.
    Timestamp,
    /// number: microseconds of a wall clock since its 1970-01-01 00:00.
    TimestampNtz,
}

/// How a column is compared with a value.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum engine_comparison {
    /// =
    Equal = 0,
    /// <>
    NotEqual,
    /// <
    Less,
    /// <=
    LessOrEqual,
    /// >
    Greater,
    /// >=
    GreaterOrEqual,
    /// IS DISTINCT FROM: never null, and null is distinct from all but null.
    Distinct,
    /// IS NOT DISTINCT FROM
    NotDistinct,
}

/// A value that a column is compared with. Set kind, and the fields that
/// engine_value_kind names for it; the others are not looked at. What data points to
/// is copied.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct engine_value {
    /// One of engine_value_kind.
    pub kind: c_int,
    /// Of ENGINE_VALUE_KIND_DECIMAL, from 0 to 38.
    pub scale: u32,
    /// A boolean, a whole number, days or microseconds; the lower half of a decimal.
    pub number: i64,
    /// The upper half of a decimal: of a small one 0, or -1 if it is negative.
    pub high: i64,
    /// Of ENGINE_VALUE_KIND_DOUBLE.
    pub real: f64,
    /// Of ENGINE_VALUE_KIND_STRING and ENGINE_VALUE_KIND_BINARY; NULL is empty.
    pub data: *const c_void,
    /// How many bytes data has.
    pub len: usize,
}

/// Makes a predicate of an SQL text: what stands behind WHERE, such as
/// "day >= DATE '2025-01-01' AND (city = 'Bonn' OR n IN (1, 2))". The text is of up
/// to 1 MiB. There are comparisons of a column with a value (= <> != < <= > >= <=>),
/// [NOT] IN, BETWEEN and LIKE, IS [NOT] NULL, TRUE, FALSE and DISTINCT FROM, AND, OR,
/// NOT and parentheses; text goes between single quotes, names that are no plain words
/// between backticks or double ones, and dots lead to the fields of a struct.
///
/// On success *out is the predicate, to be freed with engine_predicate_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: the message tells the line and the column of
/// what is wrong, or not supported. Whether a table has such columns is told by
/// engine_scan_new.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_parse(
    sql: *const c_char,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header asks
        // for it.
        let sql = unsafe { input::long_text(sql, SQL_BYTES_MAX, "SQL") }?;
        Predicate::parse(sql)
    })
}

/// Makes a predicate that is true for every row, or for none where is_true is 0. *out
/// is to be freed with engine_predicate_free; on failure it is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_constant(
    is_true: c_int,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || Ok(Predicate::always(is_true != 0)))
}

/// Makes a predicate that compares a column with a value. The column is a name, or
/// names with dots between them for the field of a struct, in backticks where a name
/// has a dot. comparison is one of engine_comparison. To compare with a null is null,
/// but for ENGINE_COMPARISON_DISTINCT and ENGINE_COMPARISON_NOT_DISTINCT.
///
/// On success *out is the predicate, to be freed with engine_predicate_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: comparison, or the value, is none. Whether a table
/// has such a column, and of a type that has such values, is told by
/// engine_scan_new.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_compare(
    column: *const c_char,
    comparison: c_int,
    value: *const engine_value,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: NULL, or a C string and a value that live during the call, as does
        // what the value points to: the header asks for it.
        unsafe { compared(column, |column| column, comparison, value) }
    })
}

/// As engine_predicate_compare, but compares the day, in UTC, of a column of
/// timestamps: CAST(column AS DATE) in SQL. The value is most often one of
/// ENGINE_VALUE_KIND_DATE.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_compare_day(
    column: *const c_char,
    comparison: c_int,
    value: *const engine_value,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: as for engine_predicate_compare.
        unsafe { compared(column, Operand::as_date, comparison, value) }
    })
}

/// Makes a predicate that is true where a column has one of the values. With a null
/// among them it is null where it is not true, as in SQL; without any value it is
/// false. The column is as for engine_predicate_compare.
///
/// On success *out is the predicate, to be freed with engine_predicate_free. On
/// failure *out is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_in(
    column: *const c_char,
    values: *const engine_value,
    values_len: usize,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header asks
        // for it.
        let column = unsafe { operand(column) }?;
        // SAFETY: NULL, or as many values as that: the header asks for it.
        let values = unsafe { input::array(values, values_len, LIST_MAX, "values") }?;
        let value = |(i, one): (usize, &engine_value)| {
            // SAFETY: what a value points to lives during the call.
            unsafe { value_of(one) }.map_err(|e| e.at(format!("values[{i}]")))
        };
        let values = values.iter().enumerate().map(value).collect::<Result<Vec<_>>>()?;
        Ok(column.is_in(values))
    })
}

/// Makes a predicate that is true where a column is null, and false elsewhere. The
/// column is as for engine_predicate_compare.
///
/// On success *out is the predicate, to be freed with engine_predicate_free. On
/// failure *out is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_is_null(
    column: *const c_char,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header asks
        // for it.
        Ok(unsafe { operand(column) }?.is_null())
    })
}

/// Makes a predicate that is true where a column of text is like a pattern: % stands
/// for any text, _ for any character, and behind a backslash both, and the backslash,
/// for themselves. The column is as for engine_predicate_compare.
///
/// On success *out is the predicate, to be freed with engine_predicate_free. On
/// failure *out is NULL.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_like(
    column: *const c_char,
    pattern: *const c_char,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: NULL, or a C string that lives during the call: the header asks
        // for it.
        let column = unsafe { operand(column) }?;
        // SAFETY: as above.
        let pattern = unsafe { input::text(pattern, "pattern") }?;
        Ok(column.like(pattern))
    })
}

/// Makes a predicate that is true where all of predicates are; without any it is true.
/// They are copied, so they stay the caller's, and to join many at once takes less
/// than to join them one by one.
///
/// On success *out is the predicate, to be freed with engine_predicate_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: one of them is NULL, or the predicate would nest
/// deeper than 256 levels; what is joined in one way is one level.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_and(
    predicates: *const *const engine_predicate,
    predicates_len: usize,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: NULL, or as many handles, or NULLs, as that: the header asks for it.
        unsafe { joined(predicates, predicates_len, true, Predicate::and) }
    })
}

/// Makes a predicate that is true where one of predicates is; without any it is false.
/// All else is as for engine_predicate_and.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_or(
    predicates: *const *const engine_predicate,
    predicates_len: usize,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || {
        // SAFETY: NULL, or as many handles, or NULLs, as that: the header asks for it.
        unsafe { joined(predicates, predicates_len, false, Predicate::or) }
    })
}

/// Makes a predicate that is true where another is false, and null where that is. It is
/// copied, and stays the caller's.
///
/// On success *out is the predicate, to be freed with engine_predicate_free. On
/// failure *out is NULL.
///
/// ENGINE_STATUS_INVALID_ARGUMENT: the predicate would nest deeper than 256 levels.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_not(
    predicate: Option<&engine_predicate>,
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
) -> engine_status {
    make(out, error, || copied(predicate).map(Predicate::not))
}

/// A predicate as SQL, of which engine_predicate_parse makes the same again. The text
/// belongs to the predicate.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_text(predicate: Option<&engine_predicate>) -> engine_str {
    let text = caught(|| {
        Ok(lent(
            handle::peek(predicate)
                .map(|built| built.text.get_or_init(|| Text::new(&built.predicate.to_string()))),
        ))
    });
    text.unwrap_or(engine_str::NONE)
}

/// Frees a predicate. What was made of it stays usable. NULL is allowed.
#[unsafe(no_mangle)]
pub extern "C" fn engine_predicate_free(predicate: Option<Box<engine_predicate>>) {
    handle::free(predicate, |_| ());
}

fn make(
    out: Option<&mut MaybeUninit<*mut engine_predicate>>,
    error: Option<&mut MaybeUninit<engine_error>>,
    make: impl FnOnce() -> Result<Predicate>,
) -> engine_status {
    produce(out, std::ptr::null_mut(), error, || {
        let predicate = make()?.checked()?;
        Ok(handle::new(Built { predicate, text: OnceLock::new() }))
    })
}

/// A copy of what `predicate` stands for.
pub(super) fn copied(predicate: Option<&engine_predicate>) -> Result<Predicate> {
    handle::on(predicate, |built| Ok(built.predicate.clone()))
}

/// # Safety
/// `name` is NULL, or points to a C string that lives during the call.
unsafe fn operand(name: *const c_char) -> Result<Operand> {
    // SAFETY: as the caller says.
    let name = unsafe { input::text(name, "column") }?;
    Ok(column(name))
}

/// # Safety
/// `name` is NULL, or points to a C string; `value` is NULL, or points to a value;
/// they, and what that points to, live during the call.
unsafe fn compared(
    name: *const c_char,
    of: impl FnOnce(Operand) -> Operand,
    comparison: c_int,
    value: *const engine_value,
) -> Result<Predicate> {
    // SAFETY: as the caller says.
    let column = unsafe { operand(name) }?;
    if value.is_null() {
        return Err(Error::invalid("the value is NULL"));
    }
    // SAFETY: one value is there, as the caller says; whether it is aligned is looked
    // at.
    let values = unsafe { input::array(value, 1, 1, "value") }?;
    let comparison = comparison_of(comparison)?;
    let [value] = values else { return Err(Error::bug("one value is not one")) };
    // SAFETY: as the caller says.
    let value = unsafe { value_of(value) }?;
    Ok(of(column).compare(comparison, value))
}

fn comparison_of(number: c_int) -> Result<Comparison> {
    const ALL: [(engine_comparison, Comparison); 8] = [
        (engine_comparison::Equal, Comparison::Equal),
        (engine_comparison::NotEqual, Comparison::NotEqual),
        (engine_comparison::Less, Comparison::Less),
        (engine_comparison::LessOrEqual, Comparison::LessOrEqual),
        (engine_comparison::Greater, Comparison::Greater),
        (engine_comparison::GreaterOrEqual, Comparison::GreaterOrEqual),
        (engine_comparison::Distinct, Comparison::Distinct),
        (engine_comparison::NotDistinct, Comparison::NotDistinct),
    ];
    let found = ALL.iter().find(|(known, _)| *known as c_int == number);
    found
        .map(|(_, comparison)| *comparison)
        .ok_or_else(|| Error::invalid(format!("{number} is no engine_comparison")))
}

/// # Safety
/// Where `value` is text or bytes, its `data` is NULL, or points to `len` bytes that
/// live during the call.
unsafe fn value_of(value: &engine_value) -> Result<Value> {
    // An int, not the enum: C lets any number be written there.
    const NULL: c_int = engine_value_kind::Null as c_int;
    const BOOLEAN: c_int = engine_value_kind::Boolean as c_int;
    const LONG: c_int = engine_value_kind::Long as c_int;
    const DOUBLE: c_int = engine_value_kind::Double as c_int;
    const DECIMAL: c_int = engine_value_kind::Decimal as c_int;
    const STRING: c_int = engine_value_kind::String as c_int;
    const BINARY: c_int = engine_value_kind::Binary as c_int;
    const DATE: c_int = engine_value_kind::Date as c_int;
    const TIMESTAMP: c_int = engine_value_kind::Timestamp as c_int;
    const TIMESTAMP_NTZ: c_int = engine_value_kind::TimestampNtz as c_int;
    let number = value.number;
    Ok(match value.kind {
        NULL => Value::Null,
        BOOLEAN => Value::Boolean(number != 0),
        LONG => Value::Long(number),
        DOUBLE => Value::Double(value.real),
        DECIMAL => {
            let scale = u8::try_from(value.scale).ok().filter(|scale| *scale <= 38);
            let scale = scale.ok_or_else(|| {
                Error::invalid(format!("scale is {}; a decimal's is 0 to 38", value.scale))
            })?;
            let unscaled = i128::from(value.high) << 64 | i128::from(number as u64);
            Value::Decimal { unscaled, scale }
        }
        STRING | BINARY => {
            // SAFETY: as the caller says.
            let bytes = unsafe {
                input::array(value.data.cast::<u8>(), value.len, VALUE_BYTES_MAX, "data")
            };
            let bytes = bytes?.to_vec();
            if value.kind == BINARY {
                return Ok(Value::Binary(bytes));
            }
            Value::String(String::from_utf8(bytes).map_err(|e| {
                let at = e.utf8_error().valid_up_to();
                Error::invalid(format!("the value is not UTF-8: byte {at} is wrong"))
            })?)
        }
        DATE => {
            Value::Date(i32::try_from(number).map_err(|_| {
                Error::invalid(format!("{number} days are more than a date can have"))
            })?)
        }
        TIMESTAMP => Value::Timestamp(number),
        TIMESTAMP_NTZ => Value::TimestampNtz(number),
        kind => return Err(Error::invalid(format!("{kind} is no engine_value_kind"))),
    })
}

/// # Safety
/// `predicates` is NULL, or points to `len` pointers, each of which is NULL or points
/// to a handle that lives during the call.
unsafe fn joined(
    predicates: *const *const engine_predicate,
    len: usize,
    of_none: bool,
    join: fn(Predicate, Predicate) -> Predicate,
) -> Result<Predicate> {
    // SAFETY: as the caller says.
    let predicates = unsafe { input::array(predicates, len, LIST_MAX, "predicates") }?;
    let mut all: Option<Predicate> = None;
    for (i, predicate) in predicates.iter().enumerate() {
        // SAFETY: NULL or a handle, as the caller says.
        let predicate = unsafe { predicate.as_ref() };
        let predicate = copied(predicate).map_err(|e| e.at(format!("predicates[{i}]")))?;
        all = Some(match all {
            Some(all) => join(all, predicate),
            None => predicate,
        });
    }
    Ok(all.unwrap_or_else(|| Predicate::always(of_none)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ZERO: engine_value = engine_value {
        kind: 0,
        scale: 0,
        number: 0,
        high: 0,
        real: 0.0,
        data: std::ptr::null(),
        len: 0,
    };

    fn value(value: engine_value) -> Value {
        // SAFETY: the tests' values have no bytes.
        unsafe { value_of(&value) }.unwrap()
    }

    #[test]
    fn a_decimal_is_made_of_its_halves() {
        let kind = engine_value_kind::Decimal as c_int;
        for unscaled in [0, 1, -1, i64::MIN.into(), 1_i128 << 64, -(1 << 64) - 1, i128::MIN] {
            let (high, number) = ((unscaled >> 64) as i64, unscaled as i64);
            let made = value(engine_value { kind, scale: 2, number, high, ..ZERO });
            assert_eq!(made, Value::Decimal { unscaled, scale: 2 });
        }
    }
}
