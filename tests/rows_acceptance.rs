//! The rows of the tables that other engines wrote.
//!
//! `DELTA_ACCEPTANCE_ONLY` narrows them to names that contain it.
mod common;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{concat_batches, max_string, min_string};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, DecimalType, Int8Type, Int16Type, Int32Type, Int64Type,
    Schema,
};
use common::{
    AcceptanceTable, Listing, canonical, data_lines_of, engine, expected_tables, text_of_panic,
};
use delta_engine::{ErrorKind, Snapshot};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Tables of which no file is there, and that come to an end all the same.
const COMES_TO_AN_END: [(&str, &str); 2] = [
    (
        "kernel-golden__canonicalized-paths-special-a",
        "the only add is removed, by another spelling of its path: no file is live",
    ),
    ("kernel-golden__canonicalized-paths-special-b", "as -a"),
];

/// Tables whose rows others could not read, but whose files are there.
const MAY_BE_READ: [(&str, &str); 2] = [
    ("delta-spark__variant-stats-no-checkpoint", "its variants are shredded"),
    ("delta-spark__variant-stats-state-reconstruction", "as above"),
];

/// Tables of so many bytes of data are read by few readers.
const BIG_BYTES: u64 = 300_000;

#[test]
fn the_rows_of_every_table_are_as_expected() {
    let Some(tables) = expected_tables() else { return };
    let mut counts = BTreeMap::<String, (usize, usize, u64, usize)>::new();
    let mut report = String::new();
    for entry in tables {
        let mut table = Table { entry, failures: Vec::new(), rows: 0, is_counted: false };
        let checked = catch_unwind(AssertUnwindSafe(|| table.check()));
        if let Err(panic) = checked {
            table.fail(format!("panicked: {}", text_of_panic(&*panic)));
        }
        let count = counts.entry(table.entry.verdict().to_owned()).or_default();
        count.0 += 1;
        count.1 += usize::from(!table.failures.is_empty());
        count.2 += table.rows;
        count.3 += usize::from(table.is_counted);
        for failure in table.failures {
            writeln!(report, "{failure}").unwrap();
        }
    }
    for (verdict, (tables, failed, rows, counted)) in counts {
        println!(
            "{verdict}: {tables} tables, {failed} not as expected, {rows} rows; {counted} tables \
             counted by their logs"
        );
    }
    assert!(report.is_empty(), "not as expected:\n{report}");
}

struct Table {
    entry: AcceptanceTable,
    failures: Vec<String>,
    /// How many were compared.
    rows: u64,
    /// Whether the log alone tells how many there are.
    is_counted: bool,
}

impl Table {
    fn fail(&mut self, what: impl AsRef<str>) {
        let mut what = what.as_ref().to_owned();
        if what.len() > 2_000 {
            what.truncate((0..2_000).rev().find(|&at| what.is_char_boundary(at)).unwrap_or(0));
            what.push('…');
        }
        self.failures.push(format!("{}: {what}", self.entry.name));
    }

    fn listing(&self) -> Listing {
        let listing = Listing::of_rows(&self.entry.root());
        let files = self.entry.latest()["files"].as_array().into_iter().flatten();
        let bytes: u64 = files.filter_map(|file| file["size"].as_u64()).sum();
        if bytes > BIG_BYTES { listing.with_few_readers() } else { listing }
    }

    fn check(&mut self) {
        let listed = |list: &[(&str, &str)]| list.iter().any(|(name, _)| *name == self.entry.name);
        match self.entry.verdict() {
            "read" => self.check_rows(),
            "log-only" | "scan-fails" => {
                let (must_end, may_end) = (listed(&COMES_TO_AN_END), listed(&MAY_BE_READ));
                match self.listing().batches() {
                    Ok(batches) if must_end && batches.is_empty() => {}
                    Ok(batches) if may_end => self.rows += count(&batches),
                    Ok(batches) => {
                        let rows = count(&batches);
                        self.fail(format!("must not be read, but came to an end with {rows} rows"));
                    }
                    Err(error) if must_end => self.fail(format!("is not read: {error}")),
                    Err(error) if error.kind() == ErrorKind::Bug => self.fail(error.to_string()),
                    Err(error) => println!("{} {}: {error}", self.entry.verdict(), self.entry.name),
                }
            }
            "refuse" => {
                if self.listing().batches().is_ok() {
                    self.fail("must be refused");
                }
            }
            "disputed" => match self.listing().batches() {
                Ok(batches) => {
                    println!("disputed {}: {} rows", self.entry.name, count(&batches));
                }
                Err(error) => println!("disputed {}: {error}", self.entry.name),
            },
            other => self.fail(format!("an unknown verdict {other}")),
        }
    }

    /// A table that reads: what it holds, and what follows from that.
    fn check_rows(&mut self) {
        let batches = match self.listing().batches() {
            Ok(batches) => batches,
            Err(error) => return self.fail(format!("is not read: {error}")),
        };
        self.rows = count(&batches);
        let expected_rows = self.entry.latest()["num_rows"].as_u64();
        if expected_rows.is_some_and(|expected| expected != self.rows) {
            return self.fail(format!("{} rows, not {expected_rows:?}", self.rows));
        }
        let aggregates = self.entry.latest()["column_aggregates"].clone();
        match std::fs::read_to_string(self.entry.directory.join("rows.jsonl")) {
            Ok(text) => {
                let mut expected: Vec<_> = text.lines().map(canonical).collect();
                self.check_lines("the rows", data_lines_of(&batches), &mut expected);
            }
            Err(_) => match aggregates.as_object() {
                Some(expected) => self.check_aggregates(&batches, expected),
                None => self.fail("neither rows nor aggregates are known"),
            },
        }
        if let Err(failure) = self.check_views(&batches) {
            self.fail(failure);
        }
    }

    /// Compares rows whose order says nothing.
    fn check_lines(&mut self, what: &str, mut found: Vec<String>, expected: &mut [String]) {
        found.sort();
        expected.sort();
        if found != *expected {
            let pairs = found.iter().zip(expected.iter());
            let (found, expected) = pairs
                .filter(|(found, expected)| found != expected)
                .map(|(found, expected)| (found.as_str(), expected.as_str()))
                .next()
                .unwrap_or(("nothing", "more"));
            self.fail(format!("{what}: found\n  {found}\nfor\n  {expected}"));
        }
    }

    fn check_aggregates(&mut self, batches: &[RecordBatch], expected: &Map<String, Value>) {
        let Some(whole) = whole(batches) else { return self.fail("no batch at all") };
        for (name, expected) in expected {
            let Some(column) = whole.column_by_name(name) else {
                self.fail(format!("no column {name}"));
                continue;
            };
            let found = aggregates_of(column.as_ref());
            for (what, expected) in expected.as_object().into_iter().flatten() {
                // A long text was cut.
                let is_same = match (found[what].as_str(), expected.as_str()) {
                    (Some(found), Some(expected)) if expected.len() == 100 => {
                        found.starts_with(expected)
                    }
                    _ => found[what] == *expected,
                };
                if !is_same {
                    self.fail(format!("{what} of {name} is {}, not {expected}", found[what]));
                }
            }
        }
    }

    /// The same rows in other ways: unordered, one column at a time, fewer of them,
    /// only counted.
    fn check_views(&mut self, batches: &[RecordBatch]) -> Result<(), String> {
        let root = self.entry.root();
        let rows = count(batches);
        let unordered = Listing::of_rows(&root).unordered().outcome_with(2).into_batches();
        let unordered = unordered.map_err(|error| format!("unordered: {error}"))?;
        if rows <= 5_000 {
            let mut expected = data_lines_of(batches);
            self.check_lines("unordered", data_lines_of(&unordered), &mut expected);
        } else if count(&unordered) != rows {
            return Err(format!("unordered: {} rows, not {rows}", count(&unordered)));
        }

        let snapshot = self.snapshot()?;
        let schema = snapshot.scan().rows_schema().map_err(|error| error.to_string())?;
        let names = |schema: &Schema| -> Vec<_> {
            schema.fields().iter().map(|field| field.name().clone()).collect()
        };
        if names(&schema) != names(&snapshot.arrow_schema()) {
            return Err(format!("the columns are not the table's, but {:?}", names(&schema)));
        }
        let whole_batch = whole(batches);
        for (i, field) in schema.fields().iter().enumerate() {
            let path = format!("`{}`", field.name().replace('`', "``"));
            let listing = Listing::of_rows(&root).columns([&path]);
            let found = listing.serial_outcome();
            let wanted = Schema::new(vec![field.clone()]);
            if found.schema.as_ref().is_some_and(|found| **found != wanted) {
                return Err(format!("{path} has schema {:?}, not {wanted:?}", found.schema));
            }
            let found = found.into_batches().map_err(|error| format!("{path}: {error}"))?;
            let expected = whole_batch.as_ref().map(|whole| whole.column(i).as_ref());
            let found = whole(&found);
            if found.as_ref().map(|found| found.column(0).as_ref()) != expected {
                return Err(format!("{path} alone is not what it is among others"));
            }
        }

        let limit = rows / 2 + 1;
        let listing = Listing::of_rows(&root).limit(limit).with_few_readers();
        let few = match rows > 5_000 {
            true => listing.outcome_with(2).into_batches(),
            false => listing.batches(),
        };
        let few = whole(&few.map_err(|error| format!("limited: {error}"))?);
        let first = whole_batch.map(|whole| whole.slice(0, limit.min(rows) as usize));
        if few != first {
            return Err(format!("limited to {limit}: not the first rows"));
        }

        match snapshot.scan().count() {
            Ok(counted) if counted == rows => {
                self.is_counted = true;
                Ok(())
            }
            Ok(counted) => Err(format!("counted {counted} rows from the log, not {rows}")),
            // Not every log knows.
            Err(_) => Ok(()),
        }
    }

    fn snapshot(&self) -> Result<Snapshot, String> {
        let root = self.entry.root();
        engine(0).snapshot(root.to_str().expect("a UTF-8 path")).map_err(|e| e.to_string())
    }
}

fn count(batches: &[RecordBatch]) -> u64 {
    batches.iter().map(|batch| batch.num_rows() as u64).sum()
}

/// `batches` as one; nothing of none.
fn whole(batches: &[RecordBatch]) -> Option<RecordBatch> {
    let schema = batches.first()?.schema();
    Some(concat_batches(&schema, batches).expect("batches of one schema"))
}

/// What `column_aggregates` says of a column, as far as its type has it.
fn aggregates_of(column: &dyn Array) -> Value {
    let mut found = json!({"non_null": column.len() - column.null_count()});
    let mut integers = |values: Vec<i64>, is_summed: bool| {
        found["min"] = json!(values.iter().min());
        found["max"] = json!(values.iter().max());
        if is_summed {
            let sum: i128 = values.iter().copied().map(i128::from).sum();
            found["sum"] = sum.to_string().into();
        }
    };
    match column.data_type() {
        DataType::Int8 => {
            let values = column.as_primitive::<Int8Type>().iter().flatten();
            integers(values.map(i64::from).collect(), true);
        }
        DataType::Int16 => {
            let values = column.as_primitive::<Int16Type>().iter().flatten();
            integers(values.map(i64::from).collect(), true);
        }
        DataType::Int32 => {
            let values = column.as_primitive::<Int32Type>().iter().flatten();
            integers(values.map(i64::from).collect(), true);
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().iter().flatten();
            integers(values.collect(), true);
        }
        DataType::Date32 => {
            let values = column.as_primitive::<Date32Type>().iter().flatten();
            integers(values.map(i64::from).collect(), false);
        }
        DataType::Decimal128(_, scale) => {
            let sum: i128 = column.as_primitive::<Decimal128Type>().iter().flatten().sum();
            let text = Decimal128Type::format_decimal(sum, 38, *scale);
            // The sums are written without the zeros at their ends.
            let text = match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.'),
                false => &text,
            };
            found["sum"] = text.into();
        }
        DataType::Utf8 => {
            let strings = column.as_string::<i32>();
            found["min"] = json!(min_string(strings));
            found["max"] = json!(max_string(strings));
            found["total_bytes"] = json!(strings.iter().flatten().map(str::len).sum::<usize>());
        }
        _ => {}
    }
    found
}
