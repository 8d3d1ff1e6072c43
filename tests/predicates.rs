//! Predicates on tables: which files a listing keeps, and which rows there are.
//!
//! The oracle knows rows as plain values and SQL's three-valued logic; it reads
//! neither log nor statistics.

mod common;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{Field, Int64Type, Schema};
use common::*;
use delta_engine::arrow;
use delta_engine::{
    Comparison, ErrorKind, HistoryOptions, Operand, Predicate, Progress, Result, Scan, Snapshot,
    Value, column,
};
use serde_json::{Value as Json, json};

const DAY: i64 = 86_400_000_000;

// ---------------------------------------------------------------------------
// The oracle.

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Bool(bool),
    Long(i64),
    Float(f32),
    Double(f64),
    /// In hundredths.
    Decimal(i128),
    Text(String),
    Bytes(Vec<u8>),
    Day(i32),
    Micros(i64),
}

impl Cell {
    /// As Spark compares them; `None` where one is null.
    fn order(&self, value: &Value) -> Option<Ordering> {
        let float =
            |a: f64, b: f64| a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
        let scaled = |cell: i128, scale: u32, other: i128, other_scale: u8| {
            let scale_up = |n: i128, by: u32| n * 10_i128.pow(by);
            scale_up(cell, other_scale.into()).cmp(&scale_up(other, scale))
        };
        Some(match (self, value) {
            (Cell::Null, _) | (_, Value::Null) => return None,
            (Cell::Bool(cell), Value::Boolean(value)) => cell.cmp(value),
            (Cell::Long(cell), Value::Long(value)) => cell.cmp(value),
            (Cell::Long(cell), Value::Decimal { unscaled, scale }) => {
                scaled((*cell).into(), 0, *unscaled, *scale)
            }
            // The numbers here are small.
            (Cell::Long(cell), Value::Double(value)) => float(*cell as f64, *value),
            (Cell::Float(cell), Value::Double(value)) => float(f64::from(*cell), *value),
            (Cell::Double(cell), Value::Double(value)) => float(*cell, *value),
            (Cell::Float(cell), Value::Long(value)) => float(f64::from(*cell), *value as f64),
            (Cell::Double(cell), Value::Long(value)) => float(*cell, *value as f64),
            (Cell::Decimal(cell), Value::Long(value)) => scaled(*cell, 2, (*value).into(), 0),
            (Cell::Decimal(cell), Value::Decimal { unscaled, scale }) => {
                scaled(*cell, 2, *unscaled, *scale)
            }
            (Cell::Text(cell), Value::String(value)) => cell.as_bytes().cmp(value.as_bytes()),
            (Cell::Bytes(cell), Value::Binary(value)) => cell.cmp(value),
            (Cell::Day(cell), Value::Date(value)) => cell.cmp(value),
            (Cell::Day(cell), Value::Timestamp(value)) => (i64::from(*cell) * DAY).cmp(value),
            (Cell::Micros(cell), Value::Timestamp(value) | Value::TimestampNtz(value)) => {
                cell.cmp(value)
            }
            (Cell::Micros(cell), Value::Date(value)) => cell.cmp(&(i64::from(*value) * DAY)),
            _ => panic!("{self:?} is not compared with {value:?}"),
        })
    }
}

/// A predicate, and what the oracle knows of it. Columns are places in [`COLUMNS`].
#[derive(Debug, Clone)]
enum Shape {
    Compare(usize, Comparison, Value),
    /// Of the day of a time.
    CompareDay(usize, Comparison, i32),
    In(usize, Vec<Value>),
    Between(usize, Value, Value),
    IsNull(usize),
    Prefix(usize, &'static str),
    Contains(usize, &'static str),
    IsTrue(usize),
    Not(Box<Shape>),
    And(Vec<Shape>),
    Or(Vec<Shape>),
}

impl Shape {
    fn predicate(&self) -> Predicate {
        let of = |at: usize| -> Operand { column(COLUMNS[at]) };
        let joined = |shapes: &[Shape], join: fn(Predicate, Predicate) -> Predicate| {
            shapes.iter().map(Shape::predicate).reduce(join).unwrap()
        };
        match self {
            Shape::Compare(at, how, value) => of(*at).compare(*how, value.clone()),
            Shape::CompareDay(at, how, day) => of(*at).as_date().compare(*how, Value::Date(*day)),
            Shape::In(at, values) => of(*at).is_in(values.iter().cloned()),
            Shape::Between(at, low, high) => of(*at).between(low.clone(), high.clone()),
            Shape::IsNull(at) => of(*at).is_null(),
            Shape::Prefix(at, prefix) => of(*at).starts_with(prefix),
            Shape::Contains(at, text) => of(*at).like(format!("%{}%", text.replace('%', "\\%"))),
            Shape::IsTrue(at) => of(*at).is_true(),
            Shape::Not(shape) => shape.predicate().not(),
            Shape::And(shapes) => joined(shapes, Predicate::and),
            Shape::Or(shapes) => joined(shapes, Predicate::or),
        }
    }

    fn truth(&self, row: &[Cell]) -> Option<bool> {
        let text = |at: usize| match &row[at] {
            Cell::Text(text) => Some(text.as_str()),
            _ => None,
        };
        match self {
            Shape::Compare(at, how, value) => compared(&row[*at], *how, value),
            Shape::CompareDay(at, how, day) => {
                let cell = match row[*at] {
                    Cell::Micros(micros) => Cell::Micros(micros.div_euclid(DAY) * DAY),
                    ref other => other.clone(),
                };
                compared(&cell, *how, &Value::Date(*day))
            }
            Shape::In(at, values) => {
                any(values.iter().map(|value| compared(&row[*at], Comparison::Equal, value)))
            }
            Shape::Between(at, low, high) => {
                let low = compared(&row[*at], Comparison::GreaterOrEqual, low);
                let high = compared(&row[*at], Comparison::LessOrEqual, high);
                not(any([not(low), not(high)]))
            }
            Shape::IsNull(at) => Some(row[*at] == Cell::Null),
            Shape::Prefix(at, prefix) => text(*at).map(|text| text.starts_with(prefix)),
            Shape::Contains(at, part) => text(*at).map(|text| text.contains(part)),
            Shape::IsTrue(at) => match row[*at] {
                Cell::Bool(is_true) => Some(is_true),
                _ => None,
            },
            Shape::Not(shape) => not(shape.truth(row)),
            Shape::And(shapes) => not(any(shapes.iter().map(|shape| not(shape.truth(row))))),
            Shape::Or(shapes) => any(shapes.iter().map(|shape| shape.truth(row))),
        }
    }
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|is_true| !is_true)
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

fn compared(cell: &Cell, comparison: Comparison, value: &Value) -> Option<bool> {
    let is_same = match (cell.order(value), cell, value) {
        (Some(order), ..) => order.is_eq(),
        (None, cell, value) => *cell == Cell::Null && *value == Value::Null,
    };
    Some(match comparison {
        Comparison::NotDistinct => is_same,
        Comparison::Distinct => !is_same,
        Comparison::Equal => cell.order(value)?.is_eq(),
        Comparison::NotEqual => cell.order(value)?.is_ne(),
        Comparison::Less => cell.order(value)?.is_lt(),
        Comparison::LessOrEqual => cell.order(value)?.is_le(),
        Comparison::Greater => cell.order(value)?.is_gt(),
        Comparison::GreaterOrEqual => cell.order(value)?.is_ge(),
    })
}

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

// ---------------------------------------------------------------------------
// The tables.

/// The columns of the random tables, as predicates name them. The first is another
/// number in every row; the last two partition the table.
const COLUMNS: [&str; 14] = [
    "id", "long", "float", "double", "price", "text", "bytes", "flag", "day", "at", "clock",
    "inner.n", "part", "on",
];
const ID: usize = 0;
const PART: usize = 12;

/// Which of its columns' types they have in the schema.
const TYPES: [&str; 14] = [
    "long",
    "long",
    "float",
    "double",
    "decimal(20,2)",
    "string",
    "binary",
    "boolean",
    "date",
    "timestamp",
    "timestamp_ntz",
    "integer",
    "integer",
    "date",
];

/// How the files of a table name their columns.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mapping {
    None,
    Name,
    Id,
}

impl Mapping {
    /// The physical name.
    fn of(self, logical: &str) -> String {
        match self {
            Mapping::None => logical.to_owned(),
            _ => format!("col-{logical}"),
        }
    }

    /// The name in data files.
    fn in_files(self, logical: &str) -> String {
        match self {
            // Ids are what counts.
            Mapping::Id => format!("file-{logical}"),
            other => other.of(logical),
        }
    }
}

/// The physical path of the column `at`.
fn path(at: usize, name: impl Fn(&str) -> String) -> Vec<String> {
    COLUMNS[at].split('.').map(name).collect()
}

/// What the statistics of a file say.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stats {
    None,
    /// Every bound in full.
    Exact,
    /// As Spark cuts them: texts to 32 characters, with a tie-breaker behind a maximum
    /// that was cut, times to milliseconds; NaN is the greatest number.
    Spark,
    /// Cut without a tie-breaker; no NaN.
    Cut,
    /// Of every other column only.
    SomeColumns,
    /// Of all rows, deleted ones too, with some slack.
    Wide,
    /// Only how many rows and nulls.
    Counts,
}

const EVERY_STATS: [Stats; 7] = [
    Stats::None,
    Stats::Exact,
    Stats::Spark,
    Stats::Cut,
    Stats::SomeColumns,
    Stats::Wide,
    Stats::Counts,
];

/// Where a table's adds lie.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Where {
    Commits,
    CheckpointText,
    CheckpointParsed,
    CheckpointBoth,
    SidecarsParsed,
    SidecarsJson,
    /// Half of them before a checkpoint, half after.
    Halves,
}

const EVERYWHERE: [Where; 7] = [
    Where::Commits,
    Where::CheckpointText,
    Where::CheckpointParsed,
    Where::CheckpointBoth,
    Where::SidecarsParsed,
    Where::SidecarsJson,
    Where::Halves,
];

/// A file, all rows that are in it, and which of them are deleted.
struct Drawn {
    path: String,
    rows: Vec<Vec<Cell>>,
    deleted: BTreeSet<usize>,
}

impl Drawn {
    fn live(&self) -> impl Iterator<Item = &Vec<Cell>> {
        self.rows.iter().enumerate().filter(|(i, _)| !self.deleted.contains(i)).map(|(_, row)| row)
    }
}

/// A table of random rows.
struct Random {
    table: TestTable,
    files: Vec<Drawn>,
}

const TEXTS: [&str; 9] = [
    "",
    "a",
    "ab",
    "b%_",
    "é",
    "日本語",
    "a long text of many characters, of which the end is cut",
    "a long text of many characters, which is cut",
    "\u{10ffff}\u{10ffff}",
];

impl Random {
    fn new(seed: u64, place: Where, mapping: Mapping) -> Random {
        let mut numbers = Numbers::from_seed(seed);
        let table = TestTable::new();
        let mut files = Vec::new();
        let mut adds = Vec::new();
        for n in 0..14 {
            let stats = EVERY_STATS[n % EVERY_STATS.len()];
            let drawn = drawn(&mut numbers, n, stats == Stats::Wide || numbers_are(n));
            adds.push(add_of(&table, &drawn, stats, mapping));
            files.push(drawn);
        }
        let begin = [
            protocol_features(
                &["columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint"],
                &["columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint"],
            ),
            metadata_of(mapping),
        ];
        let (half, rest) = (adds.split_off(7), adds);
        let (first, second) = match place {
            Where::Halves => (rest, half),
            _ => (rest.into_iter().chain(half).collect(), Vec::new()),
        };
        let table = table.commit(begin).commit(first);
        let parsed = Layout::default().stats(StatsForm::Parsed).parsed_partition_values();
        let table = match place {
            Where::Commits => table,
            Where::CheckpointText => table.checkpoint(),
            Where::CheckpointParsed => {
                table.checkpoint_as(&parsed.without("add.partitionValues").row_group_rows(3))
            }
            Where::CheckpointBoth => {
                table.checkpoint_as(&parsed.stats(StatsForm::Both).page_rows(3))
            }
            Where::SidecarsParsed => table.v2_checkpoint_parquet_as(2, &parsed),
            Where::SidecarsJson => table.v2_checkpoint_json(3),
            Where::Halves => table.checkpoint_as(&parsed).commit(second),
        };
        Random { table, files }
    }

    fn wanted(&self, shape: &Shape) -> BTreeSet<i64> {
        let wanted = |row: &&Vec<Cell>| shape.truth(row) == Some(true);
        self.files.iter().flat_map(Drawn::live).filter(wanted).map(|row| id_of(row)).collect()
    }
}

/// Whether rows of the file `n` are deleted.
fn numbers_are(n: usize) -> bool {
    n % 5 == 2
}

fn id_of(row: &[Cell]) -> i64 {
    match row[ID] {
        Cell::Long(id) => id,
        ref other => panic!("{other:?} is no id"),
    }
}

/// Up to six rows that are near each other, so that files differ.
fn drawn(numbers: &mut Numbers, n: usize, has_deleted: bool) -> Drawn {
    let base = numbers.below(4) as i64;
    let count = 1 + numbers.below(6) as usize;
    let null_share = numbers.below(3);
    let part = match numbers.below(4) {
        0 => Cell::Null,
        n => Cell::Long(n as i64),
    };
    let on = Cell::Day(19_000 + numbers.below(3) as i32);
    let mut row = |i: usize| -> Vec<Cell> {
        let near = |numbers: &mut Numbers| base * 3 + numbers.below(4) as i64;
        let mut cells = vec![Cell::Long((n * 100 + i) as i64)];
        for at in 1..PART {
            let value = near(numbers);
            let is_null = match null_share {
                0 => false,
                1 => numbers.below(3) == 0,
                // All of some columns.
                _ => at % 3 == n % 3,
            };
            cells.push(match at {
                _ if is_null => Cell::Null,
                1 | 11 => Cell::Long(value - 4),
                2 if value == 11 => Cell::Float(f32::NAN),
                2 => Cell::Float(value as f32 / 10.0),
                3 if value % 7 == 6 => Cell::Double(f64::NAN),
                3 if value == 0 => Cell::Double(-0.0),
                3 => Cell::Double(value as f64 / 10.0 - 0.3),
                // Some of more digits than a floating point number has.
                4 if base == 3 => Cell::Decimal(1_234_567_890_123_456_700 + i128::from(value)),
                4 => Cell::Decimal(i128::from(value) * 25 - 100),
                5 => Cell::Text(TEXTS[value as usize % TEXTS.len()].to_owned()),
                6 => Cell::Bytes(vec![0xf0 + value as u8; value as usize % 3]),
                7 => Cell::Bool(value % 2 == 0),
                8 => Cell::Day(value as i32 - 5),
                9 => Cell::Micros((value - 5) * DAY / 2 + value * 300),
                10 => Cell::Micros((value - 5) * 500),
                other => unreachable!("no column {other}"),
            });
        }
        cells.extend([part.clone(), on.clone()]);
        cells
    };
    let rows: Vec<_> = (0..count).map(&mut row).collect();
    let deleted = match has_deleted {
        // Not all of them.
        true => (0..count - 1).filter(|i| i % 2 == 0).collect(),
        false => BTreeSet::new(),
    };
    Drawn { path: format!("f{n:02}.parquet"), rows, deleted }
}

fn metadata_of(mapping: Mapping) -> Action {
    let ids: Vec<&str> = COLUMNS.iter().map(|path| path.split('.').next().unwrap()).collect();
    let field = |name: &str, data_type: Json, id: usize| {
        let extra = match mapping {
            Mapping::None => json!({}),
            _ => json!({
                "delta.columnMapping.id": id,
                "delta.columnMapping.physicalName": mapping.of(name),
            }),
        };
        json!({"name": name, "type": data_type, "nullable": true, "metadata": extra})
    };
    let fields: Vec<Json> = (0..COLUMNS.len())
        .map(|at| match COLUMNS[at].split_once('.') {
            None => field(ids[at], json!(TYPES[at]), at + 1),
            Some((outer, inner)) => {
                let inner = field(inner, json!(TYPES[at]), 100 + at);
                field(outer, json!({"type": "struct", "fields": [inner]}), at + 1)
            }
        })
        .collect();
    let schema = json!({"type": "struct", "fields": fields}).to_string();
    let metadata = metadata("id long").with("schemaString", schema).partitioned_by(&["part", "on"]);
    match mapping {
        Mapping::None => metadata,
        Mapping::Name => metadata.property("delta.columnMapping.mode", "name"),
        Mapping::Id => metadata.property("delta.columnMapping.mode", "id"),
    }
}

/// The rows as a data file has them.
fn batch_of(rows: &[Vec<Cell>], mapping: Mapping) -> RecordBatch {
    macro_rules! values {
        ($cell:ident, $at:expr) => {
            rows.iter().map(|row| match row[$at].clone() {
                Cell::$cell(value) => Some(value),
                _ => None,
            })
        };
    }
    let array = |at: usize| -> ArrayRef {
        match TYPES[at] {
            "long" => Arc::new(Int64Array::from_iter(values!(Long, at))),
            "integer" => {
                Arc::new(Int32Array::from_iter(values!(Long, at).map(|v| v.map(|v| v as i32))))
            }
            "float" => Arc::new(Float32Array::from_iter(values!(Float, at))),
            "double" => Arc::new(Float64Array::from_iter(values!(Double, at))),
            "decimal(20,2)" => Arc::new(
                Decimal128Array::from_iter(values!(Decimal, at))
                    .with_precision_and_scale(20, 2)
                    .unwrap(),
            ),
            "string" => Arc::new(StringArray::from_iter(values!(Text, at))),
            "binary" => Arc::new(BinaryArray::from_iter(values!(Bytes, at))),
            "boolean" => Arc::new(BooleanArray::from_iter(values!(Bool, at))),
            "date" => Arc::new(Date32Array::from_iter(values!(Day, at))),
            "timestamp" => Arc::new(
                TimestampMicrosecondArray::from_iter(values!(Micros, at)).with_timezone("UTC"),
            ),
            "timestamp_ntz" => Arc::new(TimestampMicrosecondArray::from_iter(values!(Micros, at))),
            other => unreachable!("no column of type {other}"),
        }
    };
    let field = |name: &str, array: &ArrayRef, id: usize| {
        let field = Field::new(mapping.in_files(name), array.data_type().clone(), true);
        field.with_metadata([("PARQUET:field_id".to_owned(), id.to_string())])
    };
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (at, &name) in COLUMNS.iter().enumerate().take(PART) {
        let (mut values, mut name) = (array(at), name);
        if let Some((outer, inner)) = name.split_once('.') {
            // Where the field is null, half of the structs are.
            let is_there = |(i, value): (usize, bool)| value || i % 2 == 0;
            let is_valid = (0..values.len()).map(|i| values.is_valid(i)).enumerate();
            let nulls = NullBuffer::from_iter(is_valid.map(is_there));
            let inner = Arc::new(field(inner, &values, 100 + at));
            values = Arc::new(StructArray::new(vec![inner].into(), vec![values], Some(nulls)));
            name = outer;
        }
        fields.push(field(name, &values, at + 1));
        arrays.push(values);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn add_of(table: &TestTable, file: &Drawn, stats: Stats, mapping: Mapping) -> Action {
    let layout = FileLayout::default().row_group_rows(4).page_rows(2);
    let add = table.data_file_as(&file.path, &batch_of(&file.rows, mapping), &layout);
    let text = |cell: &Cell| match cell {
        Cell::Null => None,
        Cell::Long(n) => Some(n.to_string()),
        Cell::Day(day) => Some(day_text(*day)),
        other => panic!("{other:?} partitions nothing"),
    };
    let mut add = add;
    for at in [PART, PART + 1] {
        let value = text(&file.rows[0][at]);
        add = add.partition(&mapping.of(COLUMNS[at]), value.as_deref());
    }
    if !file.deleted.is_empty() {
        let deleted: Vec<u64> = file.deleted.iter().map(|&row| row as u64).collect();
        add = add.dv(inline_dv(&deleted));
    }
    match stats_of(file, stats, mapping) {
        Some(stats) => add.stats(&stats.to_string()),
        None => add.without("stats"),
    }
}

fn day_text(days: i32) -> String {
    let date = arrow::temporal_conversions::date32_to_datetime(days).unwrap();
    date.format("%Y-%m-%d").to_string()
}

fn time_text(micros: i64, millis_only: bool, zone: &str) -> String {
    let time = arrow::temporal_conversions::timestamp_us_to_datetime(micros).unwrap();
    let digits = if millis_only { "%.3f" } else { "%.6f" };
    format!("{}{zone}", time.format(&format!("%Y-%m-%dT%H:%M:%S{digits}")))
}

/// A file's statistics, which hold for its live rows.
fn stats_of(file: &Drawn, stats: Stats, mapping: Mapping) -> Option<Json> {
    if stats == Stats::None {
        return None;
    }
    let is_wide = !file.deleted.is_empty();
    let mut found = json!({"numRecords": file.rows.len()});
    if is_wide {
        found["tightBounds"] = json!(false);
    }
    for at in 0..PART {
        if stats == Stats::SomeColumns && at % 2 == 0 {
            continue;
        }
        let mut put = |object: &str, value: Json| {
            let mut within = &mut found[object];
            for name in path(at, |name| mapping.of(name)) {
                within = &mut within[name];
            }
            *within = value;
        };
        // With deletion vectors statistics stay those of all rows: wide bounds.
        let cells = || file.rows.iter().map(|row| &row[at]);
        put("nullCount", json!(cells().filter(|cell| **cell == Cell::Null).count()));
        let counts_nan = matches!(stats, Stats::Spark | Stats::Wide);
        let is_nan = |cell: &&Cell| match cell {
            Cell::Double(value) => value.is_nan(),
            Cell::Float(value) => value.is_nan(),
            _ => false,
        };
        let mut values: Vec<&Cell> = cells().filter(|cell| **cell != Cell::Null).collect();
        if !counts_nan {
            values.retain(|cell| !is_nan(cell));
        }
        values.sort_by(|a, b| order_of(a, b));
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else { continue };
        if stats == Stats::Counts {
            continue;
        }
        for (object, cell) in [("minValues", min), ("maxValues", max)] {
            if let Some(bound) = bound_of(cell, TYPES[at], object == "maxValues", stats) {
                put(object, bound);
            }
        }
    }
    Some(found)
}

fn order_of(a: &Cell, b: &Cell) -> Ordering {
    let value = match b.clone() {
        Cell::Null => Value::Null,
        Cell::Bool(v) => Value::Boolean(v),
        Cell::Long(v) => Value::Long(v),
        Cell::Float(v) => Value::Double(v.into()),
        Cell::Double(v) => Value::Double(v),
        Cell::Decimal(unscaled) => Value::Decimal { unscaled, scale: 2 },
        Cell::Text(v) => Value::String(v),
        Cell::Bytes(v) => Value::Binary(v),
        Cell::Day(v) => Value::Date(v),
        Cell::Micros(v) => Value::Timestamp(v),
    };
    a.order(&value).unwrap()
}

/// A bound as a writer has it; none of binary and boolean columns.
fn bound_of(cell: &Cell, data_type: &str, is_max: bool, stats: Stats) -> Option<Json> {
    let is_cut = matches!(stats, Stats::Spark | Stats::Cut);
    let slack = if stats == Stats::Wide { 1 } else { 0 };
    let slack = if is_max { slack } else { -slack };
    let float = |value: f64| match value {
        value if value.is_nan() => json!("NaN"),
        value => json!(value),
    };
    Some(match cell {
        Cell::Null | Cell::Bool(_) | Cell::Bytes(_) => return None,
        Cell::Long(value) => json!(value + slack),
        Cell::Float(value) => float(value.to_string().parse().unwrap()),
        Cell::Double(value) => float(*value),
        Cell::Decimal(unscaled) => {
            let text = Value::Decimal { unscaled: *unscaled, scale: 2 };
            let text = column("x").equal(text).to_string();
            serde_json::from_str(text.trim_start_matches("x = ")).unwrap()
        }
        Cell::Text(text) if is_cut => {
            let mut cut: String = text.chars().take(32).collect();
            if is_max && stats == Stats::Spark && cut.len() < text.len() {
                cut.push('\u{10ffff}');
            }
            json!(cut)
        }
        Cell::Text(text) => json!(text),
        Cell::Day(day) => json!(day_text(day + slack as i32)),
        Cell::Micros(micros) => {
            // Down for both ends: Spark formats them so.
            let zone = if data_type == "timestamp" { "Z" } else { "" };
            let micros = if is_cut { micros.div_euclid(1000) * 1000 } else { *micros };
            json!(time_text(micros, is_cut, zone))
        }
    })
}

// ---------------------------------------------------------------------------
// The predicates.

/// What each column is compared with: values of it, between them and beyond.
fn literals(at: usize) -> Vec<Value> {
    let micros = |values: &[i64]| -> Vec<Value> {
        let all = values.iter().map(|&value| Value::Timestamp(value));
        all.chain([Value::Date(-1), Value::Date(0), Value::Date(1)]).collect()
    };
    match TYPES[at] {
        "long" | "integer" => {
            let mut all: Vec<Value> = [-100, -4, -1, 0, 1, 3, 5, 8, 1000].map(Value::Long).into();
            all.extend([Value::Double(0.5), Value::Decimal { unscaled: 10, scale: 1 }]);
            all
        }
        "float" => {
            let floats = [-1.0, 0.0, f64::from(0.3_f32), 0.3, 0.75, 1.1, 9.0, f64::NAN];
            floats.map(Value::Double).into()
        }
        "double" => [-1.0, -0.3, 0.0, -0.0, 0.25, 0.5, 9.0, f64::INFINITY, f64::NAN]
            .map(Value::Double)
            .into(),
        "decimal(20,2)" => {
            let unscaled = [-100, -25, 0, 50, 175, 1_234_567_890_123_456_709, i128::MAX / 1000];
            let mut all: Vec<Value> =
                unscaled.map(|unscaled| Value::Decimal { unscaled, scale: 2 }).into();
            all.extend([Value::Long(1), Value::Decimal { unscaled: 12_345, scale: 4 }]);
            all
        }
        "string" => TEXTS
            .into_iter()
            .chain(["a long text of many characters, ", "a long text of many characters, z", "B"])
            .map(Value::from)
            .collect(),
        "binary" => {
            [vec![], vec![0xf1], vec![0xf4], vec![0xf4, 0xf4], vec![0xff]].map(Value::Binary).into()
        }
        "boolean" => vec![Value::Boolean(false), Value::Boolean(true)],
        "date" => [-5, -1, 0, 3, 19_000, 19_001, 30_000]
            .map(Value::Date)
            .into_iter()
            .chain([Value::Timestamp(-DAY), Value::Timestamp(DAY / 2)])
            .collect(),
        "timestamp" => micros(&[-5 * DAY / 2, -DAY / 2 + 1200, -1, 1500, 3 * DAY / 2 + 2400, DAY]),
        "timestamp_ntz" => micros(&[-2500, -2000, -500, -1, 0, 1, 500, 999, 1000, 3000]),
        other => unreachable!("no column of type {other}"),
    }
}

/// Every question of one column.
fn leaves() -> Vec<Shape> {
    let mut shapes = Vec::new();
    for (at, &data_type) in TYPES.iter().enumerate().take(COLUMNS.len()) {
        shapes.push(Shape::IsNull(at));
        shapes.push(Shape::Not(Box::new(Shape::IsNull(at))));
        for how in COMPARISONS {
            let values = literals(at).into_iter().chain([Value::Null]);
            shapes.extend(values.map(|value| Shape::Compare(at, how, value)));
        }
        let values = literals(at);
        for (i, value) in values.iter().enumerate() {
            let other = &values[(i + 2) % values.len()];
            shapes.push(Shape::In(at, vec![value.clone(), other.clone()]));
            shapes.push(Shape::In(at, vec![value.clone(), Value::Null]));
            shapes.push(Shape::Between(at, value.clone(), other.clone()));
        }
        match data_type {
            "string" => {
                for prefix in ["a", "ab", "a long text of many characters, w", "日", "é", "b%"] {
                    shapes.push(Shape::Prefix(at, prefix));
                    shapes.push(Shape::Contains(at, prefix));
                }
            }
            "boolean" => shapes.push(Shape::IsTrue(at)),
            "timestamp" | "timestamp_ntz" => {
                for how in COMPARISONS {
                    shapes.extend([-2, -1, 0, 1].map(|day| Shape::CompareDay(at, how, day)));
                }
            }
            _ => {}
        }
    }
    shapes
}

/// A few questions, some of them of several columns.
fn some_shapes(numbers: &mut Numbers, count: usize) -> Vec<Shape> {
    let leaves = leaves();
    let leaf = |numbers: &mut Numbers| {
        let leaf = leaves[numbers.below(leaves.len() as u64) as usize].clone();
        if numbers.below(4) == 0 { Shape::Not(Box::new(leaf)) } else { leaf }
    };
    let joined = |numbers: &mut Numbers| match numbers.below(4) {
        0 => leaf(numbers),
        1 => Shape::And(vec![leaf(numbers), leaf(numbers)]),
        2 => Shape::Or(vec![leaf(numbers), leaf(numbers), leaf(numbers)]),
        _ => Shape::Not(Box::new(Shape::Or(vec![
            leaf(numbers),
            Shape::And(vec![leaf(numbers), leaf(numbers)]),
        ]))),
    };
    (0..count).map(|_| joined(numbers)).collect()
}

// ---------------------------------------------------------------------------
// How they are asked.

fn opened(table: &TestTable, threads: usize) -> Snapshot {
    engine(threads).snapshot(table.root().to_str().unwrap()).unwrap()
}

/// The paths of the files that a listing keeps, sorted, and what it counted.
fn listed(scan: Scan, predicate: &Predicate) -> Result<(Vec<String>, Progress)> {
    let mut stream = scan.columns(["path"]).filter(predicate.clone())?.files()?;
    let mut paths = Vec::new();
    for batch in stream.by_ref() {
        let batch = batch?;
        assert_eq!(batch.num_columns(), 1);
        paths.extend(batch.column(0).as_string::<i32>().iter().map(|p| p.unwrap().to_owned()));
    }
    paths.sort();
    Ok((paths, stream.progress_handle().read()))
}

/// As above, and the same for every number of threads.
#[track_caller]
fn kept(table: &TestTable, predicate: &Predicate) -> Vec<String> {
    let (expected, counted) = listed(opened(table, 0).scan(), predicate).unwrap();
    let live = table.state().adds.len() as u64;
    let counts =
        |p: &Progress| (p.files_kept, p.files_pruned, p.files_skipped, p.checkpoint_rows_skipped);
    let (files_kept, pruned, skipped, ruled_out) = counts(&counted);
    assert_eq!(files_kept, expected.len() as u64, "{predicate}");
    let left_out = live - files_kept;
    assert!(
        pruned + skipped <= left_out && left_out <= pruned + skipped + ruled_out,
        "{counted:?}"
    );
    for (threads, units) in [(1, 1), (2, 8), (4, 64)] {
        let scan = opened(table, threads).scan().window_units(units);
        let (found, counted) = listed(scan, predicate).unwrap();
        assert_eq!(found, expected, "{predicate} by {threads} threads");
        assert_eq!(counted.files_kept, files_kept, "{predicate} by {threads} threads");
    }
    expected
}

/// The ids of the wanted rows.
fn ids(scan: Scan, predicate: &Predicate) -> Result<BTreeSet<i64>> {
    let mut ids = BTreeSet::new();
    for batch in scan.columns(["id"]).filter(predicate.clone())?.rows()? {
        let batch = batch?;
        let column = batch.column(0).as_primitive::<Int64Type>();
        assert_eq!(column.null_count(), 0);
        for &id in column.values() {
            assert!(ids.insert(id), "{id} comes twice");
        }
    }
    Ok(ids)
}

/// How many random tables there are; each is asked its share of the single questions.
const TABLES: usize = 21;

/// Every random table: of each place, one for each way of naming columns.
fn random_tables() -> impl Iterator<Item = (u64, Where, Mapping)> {
    let mappings = [Mapping::None, Mapping::Name, Mapping::Id];
    EVERYWHERE.into_iter().zip(0..).flat_map(move |(place, i)| {
        mappings.into_iter().zip(0..).map(move |(mapping, j)| (i * 3 + j, place, mapping))
    })
}

#[test]
fn every_file_that_has_a_wanted_row_is_kept() {
    let (mut left_out, mut could_be) = (0, 0);
    for (seed, place, mapping) in random_tables() {
        let random = Random::new(seed, place, mapping);
        let snapshot = opened(&random.table, 0);
        let mut numbers = Numbers::from_seed(seed + 1000);
        let single = leaves().into_iter().enumerate();
        let single = single.filter(|(i, _)| i % TABLES == seed as usize).map(|(_, shape)| shape);
        for shape in single.chain(some_shapes(&mut numbers, 30)) {
            let predicate = shape.predicate();
            let (kept, counted) = listed(snapshot.scan(), &predicate).unwrap();
            let is_wanted = |row: &Vec<Cell>| shape.truth(row) == Some(true);
            for file in &random.files {
                if file.live().any(is_wanted) {
                    let told = || format!("{place:?} {mapping:?} lost {}: {predicate}", file.path);
                    assert!(kept.contains(&file.path), "{}", told());
                } else {
                    could_be += 1;
                }
            }
            assert_eq!(counted.files_kept, kept.len() as u64);
            left_out += random.files.len() - kept.len();
        }
    }
    println!("{left_out} of {could_be} files without wanted rows were left out");
    // Two files in seven say little, and text, nulls and NaN hide much.
    assert!(left_out * 3 > could_be, "only {left_out} of {could_be} files were left out");
}

#[test]
fn rows_are_those_for_which_the_predicate_is_true() {
    for (seed, place, mapping) in random_tables() {
        let random = Random::new(seed, place, mapping);
        let snapshots = [opened(&random.table, 0), opened(&random.table, 2)];
        let mut numbers = Numbers::from_seed(seed + 2000);
        let single = leaves().into_iter().enumerate();
        let single = single.filter(|(i, _)| i % TABLES == seed as usize).map(|(_, shape)| shape);
        let shapes = single.chain(some_shapes(&mut numbers, 15)).enumerate();
        for (i, shape) in shapes {
            let predicate = shape.predicate();
            let found = ids(snapshots[i % 2].scan(), &predicate).unwrap();
            assert_eq!(found, random.wanted(&shape), "{place:?} {mapping:?}: {predicate}");
        }
    }
}

// ---------------------------------------------------------------------------
// What writers write.

/// A table of adds without data files, with a column `x` of `data_type`.
fn of_stats(data_type: &str, files: &[(&str, Json)]) -> TestTable {
    let adds = files.iter().map(|(path, stats)| add(path).stats(&stats.to_string()));
    let begin = [
        protocol_features(
            &["deletionVectors", "timestampNtz"],
            &["deletionVectors", "timestampNtz"],
        ),
        metadata(&format!("x {data_type}")),
    ];
    TestTable::new().commit(begin.into_iter().chain(adds))
}

/// The statistics of four rows, none of them null.
fn of_x(min: impl Into<Json>, max: impl Into<Json>) -> Json {
    let (min, max): (Json, Json) = (min.into(), max.into());
    json!({"numRecords": 4, "minValues": {"x": min}, "maxValues": {"x": max}, "nullCount": {"x": 0}})
}

/// What is kept of a table, the same from its commits as from a checkpoint in each form.
#[track_caller]
fn assert_kept(table: impl Fn() -> TestTable, cases: &[(Predicate, &[&str])]) {
    let layout = |form| Layout::default().stats(form);
    let forms = [
        ("commits", table()),
        ("text", table().checkpoint_as(&layout(StatsForm::Json))),
        ("struct", table().checkpoint_as(&layout(StatsForm::Parsed).parsed_partition_values())),
        ("both", table().checkpoint_as(&layout(StatsForm::Both))),
        ("sidecars", table().v2_checkpoint_parquet_as(2, &layout(StatsForm::Parsed))),
        ("JSON", table().v2_checkpoint_json(0)),
    ];
    for (form, table) in forms {
        for (predicate, expected) in cases {
            assert_eq!(kept(&table, predicate), *expected, "{predicate}, {form}");
        }
    }
}

fn x() -> Operand {
    column("x")
}

#[test]
fn bounds_rule_files_out_on_both_sides_and_not_at_them() {
    let table =
        || of_stats("long", &[("low", of_x(1, 5)), ("one", of_x(7, 7)), ("up", of_x(9, 12))]);
    assert_kept(
        table,
        &[
            (x().less(1), &[]),
            (x().less_or_equal(1), &["low"]),
            (x().less(7), &["low"]),
            (x().less_or_equal(7), &["low", "one"]),
            (x().greater(5), &["one", "up"]),
            (x().greater_or_equal(5), &["low", "one", "up"]),
            (x().greater(12), &[]),
            (x().equal(7), &["one"]),
            (x().equal(6), &[]),
            (x().not_equal(7), &["low", "up"]),
            (x().equal(7).not(), &["low", "up"]),
            (x().is_in([6, 8, 10]), &["up"]),
            (x().is_in([7]).not(), &["low", "up"]),
            (x().between(6, 8), &["one"]),
            (x().between(6, 8).not(), &["low", "up"]),
            (x().between(5, 1), &["low"]),
            (x().is_null(), &[]),
            (x().is_not_null(), &["low", "one", "up"]),
            (x().equal(Value::Null), &[]),
            (x().compare(Comparison::Distinct, 7), &["low", "up"]),
            (x().compare(Comparison::NotDistinct, 7), &["one"]),
            (x().compare(Comparison::NotDistinct, Value::Null), &[]),
            (x().less(1).or(x().greater(11)), &["up"]),
            (x().greater(4).and(x().less(9)), &["low", "one"]),
            (x().equal(2.5), &[]),
            (x().less(1.5), &["low"]),
            (x().greater(11.5), &["up"]),
            (Predicate::always(true), &["low", "one", "up"]),
            (Predicate::always(false), &[]),
        ],
    );
}

#[test]
fn counts_of_nulls_tell_where_there_are_none_and_where_there_is_nothing_else() {
    let counts = |nulls: Json| json!({"numRecords": 4, "nullCount": nulls});
    let table = || {
        of_stats(
            "long",
            &[
                ("all", counts(json!({"x": 4}))),
                ("all-wide", {
                    let mut wide = counts(json!({"x": 4}));
                    wide["tightBounds"] = json!(false);
                    wide
                }),
                ("none", of_x(1, 3)),
                ("some", counts(json!({"x": 1}))),
                ("unknown", json!({"numRecords": 4, "minValues": {"x": 1}, "maxValues": {"x": 3}})),
                ("unsaid", counts(json!({}))),
            ],
        )
    };
    assert_kept(
        table,
        &[
            (x().is_null(), &["all", "all-wide", "some", "unknown", "unsaid"]),
            (x().is_not_null(), &["none", "some", "unknown", "unsaid"]),
            (x().equal(2), &["none", "some", "unknown", "unsaid"]),
            (x().not_equal(2), &["none", "some", "unknown", "unsaid"]),
            (x().greater(3), &["some", "unsaid"]),
            (
                x().compare(Comparison::Distinct, 2),
                &["all", "all-wide", "none", "some", "unknown", "unsaid"],
            ),
            (x().greater(3).or(x().is_null()), &["all", "all-wide", "some", "unknown", "unsaid"]),
            // Null is not true, nor is what is not null.
            (x().is_in([Value::Null, Value::Long(9)]), &["some", "unsaid"]),
            (x().is_in([Value::Null, Value::Long(9)]).not(), &[]),
        ],
    );
}

#[test]
fn wide_bounds_rule_out_as_tight_ones_do_and_claim_no_more() {
    // "tightBounds": the deleted row may be the one that a bound or a null is of.
    let table = || {
        let mut wide = of_x(1, 5);
        wide["tightBounds"] = json!(false);
        let mut nulls = wide.clone();
        nulls["nullCount"]["x"] = json!(1);
        let table = of_stats("long", &[("tight", of_x(1, 5))]);
        table.commit([
            add("wide").stats(&wide.to_string()).dv(inline_dv(&[2])),
            add("with-nulls").stats(&nulls.to_string()).dv(inline_dv(&[0])),
        ])
    };
    assert_kept(
        table,
        &[
            (x().greater(5), &[]),
            (x().equal(5), &["tight", "wide", "with-nulls"]),
            (x().is_null(), &["with-nulls"]),
            (x().is_not_null(), &["tight", "wide", "with-nulls"]),
            (x().not_equal(5), &["tight", "wide", "with-nulls"]),
        ],
    );
}

#[test]
fn texts_that_were_cut_bound_what_they_were_cut_from() {
    let cut = "a".repeat(32);
    let (longer, whole) = (format!("{cut}b"), "a".repeat(31));
    let table = || {
        of_stats(
            "string",
            &[
                // Maxima: Spark's tie-breakers, none, one that was not cut.
                ("ascii", of_x("a", format!("{cut}\u{7f}"))),
                ("plain", of_x("a", cut.clone())),
                ("tie", of_x("a", format!("{cut}\u{10ffff}"))),
                ("whole", of_x("a", whole.clone())),
                ("z-minimum", of_x("z".repeat(32), "{")),
            ],
        )
    };
    let long: &[&str] = &["ascii", "plain", "tie"];
    let a_files: &[&str] = &["ascii", "plain", "tie", "whole"];
    assert_kept(
        table,
        &[
            (x().equal(longer.as_str()), long),
            (x().greater(longer.as_str()), &["ascii", "plain", "tie", "z-minimum"]),
            (x().starts_with(&longer), long),
            (x().starts_with("aa"), a_files),
            (x().starts_with("aaa").not(), &["ascii", "plain", "tie", "whole", "z-minimum"]),
            (x().equal("b"), &[]),
            (x().greater("aab"), &["z-minimum"]),
            (x().equal(whole.as_str()), a_files),
            (x().less("z"), a_files),
            (x().starts_with("z"), &["z-minimum"]),
            (x().like("%a%"), &["ascii", "plain", "tie", "whole", "z-minimum"]),
            (x().like("b%"), &[]),
            // The minimum is the beginning of a text.
            (x().equal("z".repeat(40)), &["z-minimum"]),
            (x().equal("z".repeat(31)), &[]),
        ],
    );
}

#[test]
fn where_a_text_was_cut_within_a_pair_of_surrogates_the_file_is_kept() {
    // 31 letters and half of an emoji, as writers have put it.
    let beginning = "a".repeat(31);
    let emoji = format!("{beginning}\u{1f600}");
    for half in ["?", "\u{fffd}", "\u{fffd}\u{10ffff}", "?\u{7f}"] {
        let table = || of_stats("string", &[("half", of_x("a", format!("{beginning}{half}")))]);
        assert_kept(
            table,
            &[
                (x().equal(emoji.as_str()), &["half"]),
                (x().starts_with(&emoji), &["half"]),
                (x().greater("b"), &[]),
            ],
        );
    }
    // Java counts sixteen emojis as 32, and writes half of one that it cut.
    let emojis = "\u{1f600}".repeat(16);
    let (text, cut) = (format!("a{emojis}"), format!("a{}?\u{10ffff}", &emojis[4..]));
    let table = || of_stats("string", &[("half", of_x("a", cut.clone()))]);
    assert_kept(table, &[(x().equal(text.as_str()), &["half"]), (x().equal("b"), &[])]);
    // As JSON's escape of half a character there is no text at all.
    let stats = format!(
        r#"{{"numRecords":1,"minValues":{{"x":"a"}},"maxValues":{{"x":"{beginning}\ud83d"}}}}"#
    );
    let table =
        TestTable::new().commit([protocol(1, 2), metadata("x string"), add("half").stats(&stats)]);
    assert_eq!(kept(&table, &x().equal(emoji.as_str())), ["half"]);
    assert!(kept(&table, &x().less("a")).is_empty());
}

#[test]
fn times_that_were_cut_to_milliseconds_bound_what_they_were_cut_from() {
    let time = |micros| Value::Timestamp(micros);
    let table = || {
        of_stats(
            "timestamp",
            &[
                // From -1,500.7 ms to 2,000.9 ms, cut down; the same with a zone.
                ("down", of_x("1969-12-31T23:59:58.499Z", "1970-01-01T00:00:02.000Z")),
                ("zone", of_x("1970-01-01T00:59:58.499+01:00", "1970-01-01T01:00:02.000+01:00")),
                // Cut toward zero.
                ("zero", of_x("1969-12-31T23:59:58.500Z", "1970-01-01T00:00:02.000Z")),
            ],
        )
    };
    let all: &[&str] = &["down", "zero", "zone"];
    assert_kept(
        table,
        &[
            (x().equal(time(2_000_900)), all),
            (x().greater(time(2_000_500)), all),
            (x().greater(time(2_001_000)), &[]),
            (x().equal(time(-1_500_700)), all),
            (x().less(time(-1_502_000)), &[]),
            (x().as_date().equal(Value::Date(-1)), all),
            (x().as_date().equal(Value::Date(1)), &[]),
            (x().as_date().less(Value::Date(-1)), &[]),
            (x().greater_or_equal(Value::Date(0)), all),
        ],
    );
    // The last day's last millisecond is cut to one of the same day.
    let table = || {
        of_stats(
            "timestamp_ntz",
            &[("day", of_x("1970-01-02T00:00:00.000", "1970-01-02T23:59:59.999"))],
        )
    };
    assert_kept(
        table,
        &[
            (x().as_date().equal(Value::Date(1)), &["day"]),
            (x().as_date().equal(Value::Date(2)), &[]),
            (x().equal(Value::TimestampNtz(2 * DAY - 1)), &["day"]),
            (x().greater_or_equal(Value::TimestampNtz(2 * DAY)), &[]),
            (x().less(Value::Date(1)), &[]),
        ],
    );
}

#[test]
fn the_greatest_bound_of_many_files_says_no_more_than_each_of_them() {
    // Beside a writer that cuts is one that does not, and has the greater bound.
    let cut = "a".repeat(32);
    let table = || {
        of_stats(
            "string",
            &[("cut", of_x("a", cut.clone())), ("whole", of_x("a", format!("{cut}b")))],
        )
    };
    assert_kept(table, &[(x().equal(format!("{cut}z")), &["cut"]), (x().equal("b"), &[])]);
    let half = format!("{}?", "a".repeat(31));
    let table = || {
        let greater = of_x("a", format!("{}b", "a".repeat(31)));
        of_stats("string", &[("greater", greater), ("half", of_x("a", half.clone()))])
    };
    assert_kept(table, &[(x().equal(format!("{}\u{1f600}", "a".repeat(31))), &["half"])]);
    let (low, high) = ("1969-12-31T23:59:58.500Z", "1970-01-01T00:00:02.000Z");
    let table = || {
        of_stats(
            "timestamp",
            &[
                ("cut", of_x(low, high)),
                ("whole", of_x("1969-12-31T23:59:58.499700Z", "1970-01-01T00:00:02.000500Z")),
            ],
        )
    };
    let both: &[&str] = &["cut", "whole"];
    assert_kept(
        table,
        &[
            (x().equal(Value::Timestamp(2_000_900)), both),
            (x().equal(Value::Timestamp(-1_500_900)), both),
            (x().greater(Value::Timestamp(2_002_000)), &[]),
        ],
    );
}

#[test]
fn what_was_before_the_gregorian_calendar_or_zones_is_loosely_bounded() {
    // Statistics have the day that a writer meant, files of old writers the number of
    // that day in another calendar.
    let table = || {
        of_stats(
            "date",
            &[
                ("across", of_x("1500-01-01", "2024-01-01")),
                ("after", of_x("1582-10-15", "2024-01-01")),
                ("before", of_x("0100-01-01", "0100-01-01")),
            ],
        )
    };
    assert_kept(
        table,
        &[
            (x().equal("0099-12-30"), &["across", "before"]),
            (x().less("0001-01-01"), &["across", "before"]),
            (x().greater("1582-10-15"), &["across", "after"]),
            (x().equal("2025-01-01"), &[]),
        ],
    );
    let table = || {
        of_stats(
            "timestamp",
            &[
                ("after", of_x("1950-01-01T00:00:00.000Z", "1950-01-01T00:00:00.000Z")),
                ("before", of_x("0100-01-01T01:02:03.000Z", "0100-01-01T01:02:03.000Z")),
            ],
        )
    };
    assert_kept(
        table,
        &[
            (x().as_date().equal("0099-12-30"), &["before"]),
            (x().as_date().less("1890-01-01"), &["before"]),
            (x().as_date().greater("1900-01-02"), &["after"]),
        ],
    );
}

#[test]
fn a_nan_may_hide_behind_any_bounds_of_floating_point_numbers() {
    for data_type in ["float", "double"] {
        let table = || {
            of_stats(
                data_type,
                &[
                    // Left out by one writer, the maximum by another.
                    ("left-out", of_x(1.0, 3.0)),
                    ("maximum", of_x(1.0, "NaN")),
                    ("nothing-else", of_x("NaN", "NaN")),
                    ("zero", of_x(-0.0, 0.0)),
                ],
            )
        };
        let all: &[&str] = &["left-out", "maximum", "nothing-else", "zero"];
        assert_kept(
            table,
            &[
                (x().equal(f64::NAN), all),
                (x().greater(3.0), all),
                (x().less_or_equal(3.0).not(), all),
                (x().less(1.0), &["nothing-else", "zero"]),
                (x().equal(0.0), &["nothing-else", "zero"]),
                (x().equal(-0.0), &["nothing-else", "zero"]),
                (x().equal(0.5), &["nothing-else"]),
                // The greatest number but NaN is not known.
                (x().equal(100.0), &["maximum", "nothing-else"]),
                (x().is_null(), &[]),
            ],
        );
    }
    let infinite = || of_stats("double", &[("infinite", of_x("-Infinity", "Infinity"))]);
    assert_kept(infinite, &[(x().less(-1e308), &["infinite"]), (x().equal(0.0), &["infinite"])]);
}

#[test]
fn decimals_are_compared_in_all_their_digits() {
    let decimal = |unscaled| Value::Decimal { unscaled, scale: 2 };
    let number = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    let table = || {
        of_stats(
            "decimal(20,2)",
            &[
                ("exponent", of_x(number("1e2"), number("1.5E2"))),
                ("small", of_x(number("-0.25"), number("12.5"))),
                ("whole", of_x(20, 30)),
            ],
        )
    };
    assert_kept(
        table,
        &[
            (x().equal(decimal(-25)), &["small"]),
            (x().less(decimal(-25)), &[]),
            (x().equal(decimal(1250)), &["small"]),
            (x().equal(decimal(1251)), &[]),
            (x().equal(20), &["whole"]),
            (x().greater(30), &["exponent"]),
            (x().greater(Value::Decimal { unscaled: 15_000_001, scale: 5 }), &[]),
        ],
    );
}

#[test]
fn statistics_that_cannot_be_read_keep_their_file() {
    let bad = [
        "",
        "null",
        "[]",
        "{",
        r#"{"numRecords":4,"minValues":{"x":9},"maxValues":{"x":10}"#,
        r#"{"numRecords":4,"minValues":[9],"maxValues":{"y":1}}"#,
        r#"{"numRecords":4,"minValues":{"x":"nine"},"maxValues":{"x":{"y":1}}}"#,
        r#"{"numRecords":4,"minValues":{"x":9.5},"maxValues":{"x":null}}"#,
        r#"{"numRecords":4,"minValues":{"x":99999999999999999999999}}"#,
        r#"{"numRecords":-1,"nullCount":{"x":-1}}"#,
        r#"{"numRecords":"4","nullCount":{"x":"4"},"minValues":{"X":9}}"#,
    ];
    for text in bad {
        let table = TestTable::new()
            .commit([protocol(1, 2), metadata("x long"), add("bad").stats(text)])
            .checkpoint();
        assert_eq!(kept(&table, &x().equal(1)), ["bad"], "{text}");
        assert_eq!(kept(&table, &x().is_null()), ["bad"], "{text}");
    }
    let table = TestTable::new().commit([
        protocol(1, 2),
        metadata("x long"),
        add("bare"),
        add("null").with("stats", Json::Null),
    ]);
    assert_eq!(kept(&table, &x().equal(1)), ["bare", "null"]);
}

#[test]
fn partition_values_rule_files_out_whatever_statistics_say() {
    let table = || {
        let file = |path: &str, p: Option<&str>, day: Option<&str>| {
            add(path).partition("p", p).partition("day", day).stats(&of_x(1, 5).to_string())
        };
        TestTable::new().commit([
            protocol(1, 2),
            metadata("x long, p string, day date").partitioned_by(&["p", "day"]),
            file("a", Some("ü b"), Some("2024-01-01")),
            file("b", None, Some("2024-01-02")),
            // An empty text is null.
            file("c", Some(""), Some("2024-02-01")),
            file("d", Some("10"), None),
        ])
    };
    let (p, day) = (|| column("p"), || column("day"));
    assert_kept(
        table,
        &[
            (p().equal("ü b"), &["a"]),
            (p().not_equal("ü b"), &["d"]),
            (p().is_null(), &["b", "c"]),
            (p().is_not_null(), &["a", "d"]),
            (p().starts_with("1"), &["d"]),
            (p().starts_with("1").not(), &["a"]),
            (p().like("%b"), &["a"]),
            (day().equal("2024-01-02"), &["b"]),
            (day().between(Value::Date(19_723), Value::Date(19_724)), &["a", "b"]),
            (day().is_in([Value::Date(19_723), Value::Null]).not(), &[]),
            (day().compare(Comparison::Distinct, Value::Date(19_723)), &["b", "c", "d"]),
            (p().equal("10").and(x().equal(3)), &["d"]),
            (p().equal("10").and(x().equal(6)), &[]),
            (p().equal("10").or(x().equal(6)), &["d"]),
            (p().is_null().and(day().less("2024-01-15")), &["b"]),
        ],
    );
    let counted = |predicate: &Predicate| listed(opened(&table(), 0).scan(), predicate).unwrap().1;
    let progress = counted(&p().equal("10").and(x().equal(3)));
    assert_eq!((progress.files_kept, progress.files_pruned, progress.files_skipped), (1, 3, 0));
    assert_eq!((progress.bytes_kept, progress.bytes_pruned), (1, 3));
    let progress = counted(&p().is_null().and(x().greater(5)));
    assert_eq!((progress.files_kept, progress.files_pruned, progress.files_skipped), (0, 2, 2));
    assert_eq!((progress.bytes_skipped, progress.bytes_pruned), (2, 2));
}

#[test]
fn a_time_without_a_zone_is_utc_whoever_parsed_it_for_a_checkpoint() {
    let layout = Layout::default().parsed_partition_values();
    let add = add("f").partition("at", Some("2024-01-01 00:00:00"));
    let table = TestTable::new()
        .commit([
            protocol(1, 2),
            metadata("x long, at timestamp").partitioned_by(&["at"]),
            // By a session an hour east of UTC.
            add.with("partitionValues_parsed", json!({"at": "2023-12-31T23:00:00Z"})),
        ])
        .checkpoint_as(&layout);
    assert_eq!(kept(&table, &column("at").equal("2024-01-01 00:00:00")), ["f"]);
    assert!(kept(&table, &column("at").equal("2023-12-31 23:00:00")).is_empty());
}

#[test]
fn a_partition_value_that_the_log_leaves_out_is_not_known() {
    let table = TestTable::new().commit([
        protocol(1, 2),
        metadata("x long, p long").partitioned_by(&["p"]),
        add("without"),
        add("with").partition("p", Some("1")),
    ]);
    assert_eq!(kept(&table, &column("p").equal(2)), ["without"]);
    assert_eq!(kept(&table, &column("p").equal(1)), ["with", "without"]);
}

#[test]
fn fields_of_structs_are_bounded_by_their_own_statistics() {
    let schema = json!({"type": "struct", "fields": [
        {"name": "outer", "nullable": true, "metadata": {}, "type": {"type": "struct", "fields": [
            {"name": "a.b", "type": "long", "nullable": true, "metadata": {}},
            {"name": "c", "type": "string", "nullable": true, "metadata": {}},
        ]}},
        {"name": "outer.c", "type": "string", "nullable": true, "metadata": {}},
    ]});
    let stats = json!({
        "numRecords": 2,
        "minValues": {"outer": {"a.b": 1, "c": "k"}, "outer.c": "x"},
        "maxValues": {"outer": {"a.b": 3, "c": "m"}, "outer.c": "z"},
        "nullCount": {"outer": {"a.b": 0, "c": 1}, "outer.c": 0},
    });
    let table = || {
        let metadata = metadata("id long").with("schemaString", schema.to_string());
        TestTable::new().commit([protocol(1, 2), metadata, add("f").stats(&stats.to_string())])
    };
    let none: &[&str] = &[];
    assert_kept(
        table,
        &[
            (column("outer.`a.b`").equal(2), &["f"]),
            (column("outer.`a.b`").equal(4), none),
            (column("OUTER.`A.b`").is_null(), none),
            // The whole name goes before the path.
            (column("outer.c").equal("l"), none),
            (column("outer.c").equal("y"), &["f"]),
            (column("outer.`c`").equal("l"), &["f"]),
            (column("outer.`c`").equal("y"), none),
            (column("outer.`c`").is_null(), &["f"]),
            (column("outer").is_null(), &["f"]),
        ],
    );
}

// ---------------------------------------------------------------------------
// What is left out still counts.

/// The add of `f` with `x` from `min` to `max`.
fn f(min: i64, max: i64) -> Action {
    add("f").stats(&of_x(min, max).to_string())
}

#[test]
fn a_newer_add_that_is_left_out_hides_the_older_one() {
    // As where statistics are analyzed anew, or the newer ones are tighter.
    let begin = || [protocol(1, 2), metadata("x long")];
    let wanted = x().greater(5);
    for older in [add("f"), f(0, 100)] {
        let newer = f(0, 0);
        let first = || TestTable::new().commit(begin().into_iter().chain([older.clone()]));
        let tables = [
            ("two commits", first().commit([newer.clone()])),
            ("over a checkpoint", first().checkpoint().commit([newer.clone()])),
            ("over a struct", {
                let layout = Layout::default().stats(StatsForm::Parsed);
                first().checkpoint_as(&layout).commit([newer.clone()])
            }),
            ("over sidecars", first().v2_checkpoint_parquet(1).commit([newer.clone()])),
            ("over JSON", first().v2_checkpoint_json(0).commit([newer.clone()])),
            ("a compaction", {
                let table = first().commit([add("g").stats(&of_x(0, 1).to_string())]);
                table.commit([newer.clone()]).compaction(1, 2)
            }),
        ];
        for (what, table) in tables {
            assert!(kept(&table, &wanted).is_empty(), "{what}");
            assert!(kept(&table, &x().equal(0)).contains(&"f".to_owned()), "{what}");
        }
    }
}

#[test]
fn an_older_add_that_is_left_out_does_not_hide_the_newer_one() {
    let begin = || [protocol(1, 2), metadata("x long")];
    for newer in [add("f"), f(0, 100)] {
        let first = || TestTable::new().commit(begin().into_iter().chain([f(0, 0)]));
        for table in [
            first().commit([newer.clone()]),
            first().checkpoint().commit([newer.clone()]),
            first().commit([newer.clone()]).checkpoint(),
        ] {
            assert_eq!(kept(&table, &x().greater(5)), ["f"]);
        }
    }
}

#[test]
fn a_remove_hides_an_add_whatever_either_says() {
    // Added bare, added again with statistics, removed.
    let begin = || [protocol(1, 2), metadata("x long")];
    let stats = of_x(0, 0).to_string();
    for remove in [remove("f"), remove("f").with("stats", stats)] {
        let first = || TestTable::new().commit(begin().into_iter().chain([add("f")]));
        for table in [
            first().commit([f(0, 0)]).commit([remove.clone()]),
            first().checkpoint().commit([f(0, 0)]).commit([remove.clone()]),
            first().commit([f(0, 0)]).checkpoint().commit([remove.clone()]),
            first().commit([f(0, 0)]).commit([remove.clone()]).compaction(1, 2),
        ] {
            assert!(kept(&table, &x().greater(5)).is_empty());
            assert!(kept(&table, &x().equal(0)).is_empty());
        }
    }
}

#[test]
fn a_new_deletion_vector_is_another_file_and_its_statistics_its_own() {
    let begin =
        || [protocol_features(&["deletionVectors"], &["deletionVectors"]), metadata("x long")];
    // The same path before and after a deletion, with other statistics each.
    let after = f(0, 0).dv(inline_dv(&[1]));
    let first = || TestTable::new().commit(begin().into_iter().chain([f(0, 9)]));
    let second = || [remove("f"), after.clone()];
    for table in [
        first().commit(second()),
        first().checkpoint().commit(second()),
        first().commit(second()).checkpoint(),
        first().commit(second()).v2_checkpoint_json(1),
    ] {
        assert!(kept(&table, &x().greater(5)).is_empty());
        assert_eq!(kept(&table, &x().equal(0)), ["f"]);
    }
    // And the other way round: what is left out is the older one.
    let restored = f(0, 9);
    let dropped = remove("f").dv(inline_dv(&[1]));
    for table in [
        first().commit(second()).commit([dropped.clone(), restored.clone()]),
        first().commit(second()).checkpoint().commit([dropped.clone(), restored.clone()]),
    ] {
        assert_eq!(kept(&table, &x().greater(5)), ["f"]);
    }
}

#[test]
fn files_that_are_left_out_of_a_checkpoint_leave_the_others_as_they_are() {
    let columns = ["path", "size", "stats", "num_records", "partition_values", "tags"];
    for form in [StatsForm::Json, StatsForm::Parsed, StatsForm::Both] {
        let adds = (0..200_i64).map(|i| {
            let add = add(&format!("f{i:03}")).size(i).tags(&[("n", &i.to_string())]);
            match i % 5 {
                0 => add,
                _ => add.stats(&of_x(i, i + 10).to_string()),
            }
        });
        let layout = Layout::default().stats(form).row_group_rows(37).page_rows(10);
        let table = TestTable::new()
            .commit([protocol(1, 2), metadata("x long")].into_iter().chain(adds))
            .checkpoint_as(&layout)
            .commit([remove("f004"), add("f007"), add("new").stats(&of_x(1, 2).to_string())]);
        let wanted = x().between(50, 55).or(x().equal(1));
        let read = |scan: Scan| -> Vec<Json> {
            let batches = scan.columns(columns).files().unwrap().collect::<Result<Vec<_>>>();
            sorted_by_path(rows_of(&batches.unwrap()))
        };
        for threads in [0, 2] {
            let snapshot = opened(&table, threads);
            let kept = listed(snapshot.scan(), &wanted).unwrap().0;
            let expected: Vec<Json> = read(snapshot.scan())
                .into_iter()
                .filter(|row| kept.iter().any(|path| row["path"] == **path))
                .collect();
            assert_eq!(read(snapshot.scan().filter(wanted.clone()).unwrap()), expected, "{form:?}");
            let is_wanted = |i: &i64| i % 5 == 0 || *i == 7 || (40..=55).contains(i) || *i == 1;
            let names: Vec<String> =
                (0..200).filter(is_wanted).map(|i| format!("f{i:03}")).collect();
            assert_eq!(kept, [&names[..], &["new".to_owned()]].concat(), "{form:?}");
        }
    }
}

#[test]
fn a_second_filter_is_one_more_condition() {
    let table = of_stats("long", &[("low", of_x(1, 5)), ("up", of_x(9, 12))]);
    let scan = opened(&table, 0).scan().filter(x().greater(3)).unwrap();
    assert_eq!(listed(scan, &x().less(7)).unwrap().0, ["low"]);
}

#[test]
fn a_stream_that_a_filter_means_nothing_to_refuses_it() {
    let table = of_stats("long", &[("low", of_x(1, 5))]).commit([]);
    let snapshot = opened(&table, 0);
    let scan = || snapshot.scan().filter(x().greater(3)).unwrap();
    let text = "x > 3";
    assert_error(scan().changes_since(0).map(|_| ()), ErrorKind::Unsupported, &[text]);
    assert_error(scan().actions(0..=1).map(|_| ()), ErrorKind::Unsupported, &[text]);
    let history = scan().history(&HistoryOptions::default());
    assert_error(history.map(|_| ()), ErrorKind::Unsupported, &[text]);
}
