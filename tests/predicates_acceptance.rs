//! Predicates on the tables that other engines wrote: the rows that a filter leaves
//! are those that arrow's own kernels leave of all of them.
//!
//! `DELTA_ACCEPTANCE_ONLY` narrows them to names that contain it.
mod common;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, Scalar, StringArray};
use arrow::compute::kernels::cmp::{eq, gt_eq, lt, lt_eq};
use arrow::compute::kernels::comparison::starts_with;
use arrow::compute::{
    and_kleene, concat_batches, filter_record_batch, is_not_null, is_null, or_kleene,
    sort_to_indices,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType,
};
use common::{AcceptanceTable, engine, expected_tables, text_of_panic};
use delta_engine::{Operand, Predicate, Result, Scan, Snapshot, Value, column};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Columns whose statistics are not those of their rows: any reader that believes
/// them loses some.
const WRONG_STATISTICS: [(&str, &str, &str); 2] = [
    ("delta-rs__issue_1374", "timestamp", "the lower bound is greater than a row's time"),
    ("kernel-data__parsed-stats", "ts_col", "they have bounds, but files lack the column"),
];

/// Of tables with so many rows, or files, little is asked.
const MANY_ROWS: usize = 2_000;
const MANY_FILES: usize = 50;
/// Of a table with so many rows only one column is asked.
const TOO_MANY_ROWS: usize = 100_000;

#[test]
fn a_filter_leaves_the_rows_that_arrow_leaves() {
    let Some(tables) = expected_tables() else { return };
    let mut tally = Tally::default();
    let mut report = String::new();
    for table in tables {
        if table.verdict() != "read" {
            *tally.skipped.entry("tables that are not read".to_owned()).or_default() += 1;
            continue;
        }
        match catch_unwind(AssertUnwindSafe(|| check(&table, &mut tally))) {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => writeln!(report, "{}: {failure}", table.name).unwrap(),
            Err(panic) => {
                writeln!(report, "{}: panicked: {}", table.name, text_of_panic(&*panic)).unwrap();
            }
        }
    }
    let Tally { tables, predicates, files, files_left_out, skipped } = &tally;
    println!(
        "{predicates} predicates on {tables} tables; {files_left_out} of {files} files were left out"
    );
    for (what, count) in skipped {
        println!("skipped: {count} {what}");
    }
    assert!(report.is_empty(), "not as expected:\n{report}");
    assert!(*files_left_out > 0 || *tables < 100, "nothing is ever left out");
}

#[derive(Default)]
struct Tally {
    tables: usize,
    predicates: usize,
    /// Over all predicates.
    files: u64,
    files_left_out: u64,
    skipped: BTreeMap<String, usize>,
}

/// A predicate, and what arrow makes of it for every row.
#[derive(Clone)]
struct Case {
    predicate: Predicate,
    is_true: BooleanArray,
}

fn check(table: &AcceptanceTable, tally: &mut Tally) -> std::result::Result<(), String> {
    let root = table.root();
    let open = |threads| -> Result<Snapshot> { engine(threads).snapshot(root.to_str().unwrap()) };
    let told = |error: delta_engine::Error| format!("is not read: {error}");
    let snapshots = [open(0).map_err(told)?, open(2).map_err(told)?];
    let whole = rows(snapshots[0].scan()).map_err(told)?;
    let files = files(snapshots[0].scan()).map_err(told)?;
    let Some(whole) = whole else {
        *tally.skipped.entry("tables without rows".to_owned()).or_default() += 1;
        return Ok(());
    };
    tally.tables += 1;
    let is_big = whole.num_rows() > MANY_ROWS || files as usize > MANY_FILES;
    for (i, case) in cases(&table.name, &whole, is_big, tally).into_iter().enumerate() {
        let Case { predicate, is_true } = case;
        let expected = filter_record_batch(&whole, &is_true).map_err(|e| e.to_string())?;
        for (threads, snapshot) in snapshots.iter().enumerate() {
            // Two workers are asked every fourth time.
            if threads > 0 && i % 4 > 0 {
                continue;
            }
            let told = |error: delta_engine::Error| format!("{predicate}: {error}");
            let scan = snapshot.scan().filter(predicate.clone()).map_err(told)?;
            let found = rows(scan).map_err(told)?;
            let found_rows = found.as_ref().map_or(0, RecordBatch::num_rows);
            if found_rows != expected.num_rows() {
                let expected = expected.num_rows();
                return Err(format!("{predicate}: {found_rows} rows, not {expected}"));
            }
            if found.is_some_and(|found| found != expected) {
                return Err(format!("{predicate}: other rows, though as many"));
            }
        }
        let scan = snapshots[0].scan().filter(predicate.clone());
        let kept = scan.and_then(self::files).map_err(|error| format!("{predicate}: {error}"))?;
        tally.predicates += 1;
        tally.files += files;
        tally.files_left_out += files - kept;
    }
    Ok(())
}

/// All rows, in their order; nothing where there are none.
fn rows(scan: Scan) -> Result<Option<RecordBatch>> {
    let batches = scan.rows()?.collect::<Result<Vec<_>>>()?;
    let Some(first) = batches.first() else { return Ok(None) };
    let whole = concat_batches(&first.schema(), &batches).expect("batches of one schema");
    Ok((whole.num_rows() > 0).then_some(whole))
}

/// How many files are listed.
fn files(scan: Scan) -> Result<u64> {
    let batches = scan.columns(["path"]).files()?;
    batches.map(|batch| Ok(batch?.num_rows() as u64)).sum()
}

/// What is asked of a table: of each column by values that it has, and of each two
/// in a row.
fn cases(table: &str, whole: &RecordBatch, is_big: bool, tally: &mut Tally) -> Vec<Case> {
    let (mut cases, mut last) = (Vec::new(), None::<Case>);
    let schema = whole.schema();
    let columns = schema.fields().iter().zip(whole.columns());
    let asked = match whole.num_rows() > TOO_MANY_ROWS {
        true => 1,
        false => {
            if is_big {
                2
            } else {
                5
            }
        }
    };
    let step = columns.len().div_ceil(asked);
    for (i, (field, values)) in columns.enumerate() {
        if i % step > 0 {
            *tally.skipped.entry("columns of wide or big tables".to_owned()).or_default() += 1;
            continue;
        }
        let is_wrong =
            |(of, column, _): &(&str, &str, &str)| *of == table && *column == field.name();
        if let Some((.., why)) = WRONG_STATISTICS.iter().find(|wrong| is_wrong(wrong)) {
            *tally
                .skipped
                .entry(format!("column {} of {table}: {why}", field.name()))
                .or_default() += 1;
            continue;
        }
        let name = format!("`{}`", field.name().replace('`', "``"));
        let column = || column(name.as_str());
        cases.push(Case { predicate: column().is_null(), is_true: is_null(values).unwrap() });
        cases.push(Case {
            predicate: column().is_not_null(),
            is_true: is_not_null(values).unwrap(),
        });
        let Some(of_values) = of_values(values, column) else {
            let kind = format!("columns of type {}, but for IS NULL", kind_of(values.data_type()));
            *tally.skipped.entry(kind).or_default() += 1;
            continue;
        };
        if let (Some(last), Some(this)) = (last.take(), of_values.get(1)) {
            let both = last.predicate.clone().and(this.predicate.clone());
            let neither = last.predicate.or(this.predicate.clone()).not();
            let of_both = and_kleene(&last.is_true, &this.is_true).unwrap();
            let of_one = or_kleene(&last.is_true, &this.is_true).unwrap();
            let of_neither = arrow::compute::not(&of_one).unwrap();
            cases.push(Case { predicate: both, is_true: of_both });
            cases.push(Case { predicate: neither, is_true: of_neither });
        }
        last = of_values.last().cloned();
        // Each column is asked others; all of them take long.
        let asked = if is_big { 2 } else { 4 };
        let count = of_values.len();
        cases.extend(of_values.into_iter().cycle().skip(i % count).take(asked.min(count)));
    }
    cases
}

fn kind_of(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Struct(_) => "struct",
        DataType::List(_) => "array",
        DataType::Map(..) => "map",
        _ => "no values to compare",
    }
}

/// What is asked of a column by its own values, of which there is one at least.
fn of_values(values: &ArrayRef, column: impl Fn() -> Operand) -> Option<Vec<Case>> {
    let values = comparable(values);
    let places = match values.data_type() {
        DataType::Struct(_) | DataType::List(_) | DataType::Map(..) | DataType::Null => {
            return None;
        }
        _ => sort_to_indices(&values, None, None).ok()?,
    };
    let places = &places.values()[values.null_count()..];
    let (&first, &last) = (places.first()?, places.last()?);
    let middle = places[places.len() / 2];
    let at = |place: u32| -> Option<(Value, Scalar<ArrayRef>)> {
        let place = place as usize;
        Some((value_at(&values, place)?, Scalar::new(values.slice(place, 1))))
    };
    let ((min, of_min), (mid, of_mid), (max, of_max)) = (at(first)?, at(middle)?, at(last)?);
    let case = |predicate, is_true: std::result::Result<BooleanArray, _>| Case {
        predicate,
        is_true: is_true.expect("values that are compared"),
    };
    let equal = |to: &Scalar<ArrayRef>| eq(&values, to);
    let mut cases = vec![
        case(column().equal(mid.clone()), equal(&of_mid)),
        case(column().less(mid.clone()), lt(&values, &of_mid)),
        case(column().greater_or_equal(mid.clone()), gt_eq(&values, &of_mid)),
        case(column().equal(max.clone()), equal(&of_max)),
        case(column().equal(min.clone()), equal(&of_min)),
        case(
            column().between(min.clone(), mid.clone()),
            and_kleene(&gt_eq(&values, &of_min).unwrap(), &lt_eq(&values, &of_mid).unwrap()),
        ),
        case(
            column().is_in([min, max]),
            or_kleene(&equal(&of_min).unwrap(), &equal(&of_max).unwrap()),
        ),
    ];
    if let Value::String(text) = &mid {
        let prefix: String = text.chars().take(2).collect();
        let of_prefix = Scalar::new(StringArray::from(vec![prefix.as_str()]));
        let begins = starts_with(&values.as_string::<i32>(), &of_prefix);
        cases.push(case(column().starts_with(&prefix), begins));
    }
    Some(cases)
}

/// Values that arrow orders as Spark does: there is but one zero and one NaN.
fn comparable(values: &ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => {
            let one = |value: f32| if value.is_nan() { f32::NAN } else { value + 0.0 };
            Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(one))
        }
        DataType::Float64 => {
            let one = |value: f64| if value.is_nan() { f64::NAN } else { value + 0.0 };
            Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(one))
        }
        _ => Arc::clone(values),
    }
}

fn value_at(values: &ArrayRef, place: usize) -> Option<Value> {
    macro_rules! primitive {
        ($kind:ty) => {
            values.as_primitive::<$kind>().value(place)
        };
    }
    Some(match values.data_type() {
        DataType::Boolean => values.as_boolean().value(place).into(),
        DataType::Int8 => primitive!(Int8Type).into(),
        DataType::Int16 => primitive!(Int16Type).into(),
        DataType::Int32 => primitive!(Int32Type).into(),
        DataType::Int64 => primitive!(Int64Type).into(),
        DataType::Float32 => primitive!(Float32Type).into(),
        DataType::Float64 => primitive!(Float64Type).into(),
        DataType::Decimal128(_, scale) => Value::Decimal {
            unscaled: primitive!(Decimal128Type),
            scale: u8::try_from(*scale).ok()?,
        },
        DataType::Utf8 => values.as_string::<i32>().value(place).into(),
        DataType::Binary => values.as_binary::<i32>().value(place).into(),
        DataType::Date32 => Value::Date(primitive!(Date32Type)),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = primitive!(TimestampMicrosecondType);
            match zone {
                Some(_) => Value::Timestamp(micros),
                None => Value::TimestampNtz(micros),
            }
        }
        _ => return None,
    })
}
