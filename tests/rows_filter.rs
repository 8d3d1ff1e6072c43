//! The streams of rows with a filter: just the wanted rows, and what is not read for
//! them.

mod common;

use std::sync::Arc;

use arrow::array::*;
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int32Type, Int64Type};
use common::*;
use delta_engine::arrow;
use delta_engine::{Predicate, Progress, Result, Scan, Snapshot, Value, column};
use parquet::data_type::ByteArray;
use parquet::file::metadata::{
    ColumnChunkMetaDataBuilder, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
};
use parquet::file::statistics::Statistics;
use serde_json::json;

fn opened(table: &TestTable) -> Snapshot {
    engine(4).snapshot(table.root().to_str().unwrap()).unwrap()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, a)| (name, a, true)))
        .unwrap()
}

/// Where nothing else is said, what a value is of follows from the row's number.
fn texts(of: impl Fn(i64) -> Option<String>, rows: std::ops::Range<i64>) -> ArrayRef {
    Arc::new(rows.map(of).collect::<StringArray>())
}

fn long_text(i: i64) -> String {
    format!("{} {:05}", "the same for more bytes than bounds have, ".repeat(3), i / 3)
}

fn a_float(i: i64) -> f64 {
    match i % 13 {
        0 => f64::NAN,
        1 => -0.0,
        2 => 0.0,
        _ => i as f64 / 4.0 - 100.0,
    }
}

fn whole(i: i64) -> Option<i64> {
    (i % 11 > 0).then_some(i * 3 - 1000)
}

/// A field within a struct, which may be null itself.
fn inner(i: i64) -> Option<i64> {
    (i % 10 > 0 && i % 3 > 0).then_some(i)
}

fn deepest(i: i64) -> Option<String> {
    (i % 10 > 0 && i % 4 > 0).then(|| format!("d{:04}", i / 2))
}

const SCHEMA: &str = "id long, byte byte, short short, integer integer, long long, float float, \
                      double double, boolean boolean, text string, long_text string, \
                      binary binary, date date, time timestamp, wall timestamp_ntz, \
                      small decimal(9,2), middle decimal(18,2), large decimal(38,2)";

/// Rows of every type; null where there is nothing to be said of it.
fn mixed(rows: std::ops::Range<i64>) -> RecordBatch {
    let each = || rows.clone();
    let inner_x: ArrayRef =
        Arc::new(each().map(|i| inner(i).map(|x| x as i32)).collect::<Int32Array>());
    let deep: ArrayRef = texts(|i| (i % 4 > 0).then(|| format!("d{:04}", i / 2)), each());
    let t = StructArray::new(
        vec![Field::new("y", DataType::Utf8, true)].into(),
        vec![deep],
        Some(NullBuffer::from_iter(each().map(|i| i % 4 > 0))),
    );
    let s = StructArray::new(
        vec![Field::new("x", DataType::Int32, true), Field::new("t", t.data_type().clone(), true)]
            .into(),
        vec![inner_x, Arc::new(t)],
        Some(NullBuffer::from_iter(each().map(|i| i % 10 > 0))),
    );
    let l = ListArray::from_iter_primitive::<Int32Type, _, _>(
        each().map(|i| (i % 6 > 0).then(|| (0..i % 3).map(move |j| Some((i + j) as i32)))),
    );
    let decimals = |of: fn(i64) -> i128, precision| -> ArrayRef {
        let array = Decimal128Array::from_iter_values(each().map(of));
        Arc::new(array.with_precision_and_scale(precision, 2).unwrap())
    };
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(each()))),
        ("byte", Arc::new(Int8Array::from_iter_values(each().map(|i| (i / 50 % 100 - 20) as i8)))),
        ("short", Arc::new(Int16Array::from_iter_values(each().map(|i| (i - 700) as i16)))),
        ("integer", Arc::new(each().map(|i| whole(i).map(|n| n as i32)).collect::<Int32Array>())),
        ("long", Arc::new(each().map(whole).collect::<Int64Array>())),
        (
            "float",
            Arc::new(
                each().map(|i| Some(a_float(i) as f32)).collect::<PrimitiveArray<Float32Type>>(),
            ),
        ),
        (
            "double",
            Arc::new(each().map(|i| Some(a_float(i))).collect::<PrimitiveArray<Float64Type>>()),
        ),
        (
            "boolean",
            Arc::new(each().map(|i| (i % 5 > 0).then_some(i < 700)).collect::<BooleanArray>()),
        ),
        ("text", texts(|i| (i % 7 > 0).then(|| format!("t{i:06}")), each())),
        ("long_text", texts(|i| Some(long_text(i)), each())),
        ("binary", Arc::new(BinaryArray::from_iter_values(each().map(|i| i.to_be_bytes())))),
        ("date", Arc::new(Date32Array::from_iter_values(each().map(|i| i as i32)))),
        (
            "time",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(each().map(|i| i * 3_600_000_000))
                    .with_timezone("UTC"),
            ),
        ),
        ("wall", Arc::new(TimestampMicrosecondArray::from_iter_values(each().map(|i| i - 900)))),
        ("small", decimals(|i| i128::from(i - 500), 9)),
        ("middle", decimals(|i| i128::from(i - 500) * 1_000_000_007, 18)),
        ("large", decimals(|i| i128::from(i - 500) * 10_i128.pow(30), 38)),
        ("s", Arc::new(s)),
        ("l", Arc::new(l)),
    ])
}

fn mixed_schema() -> Action {
    let mut schema = flat_schema(SCHEMA);
    let field = |name: &str, data_type: serde_json::Value| json!({"name": name, "type": data_type, "nullable": true, "metadata": {}});
    let of = |fields: Vec<serde_json::Value>| json!({"type": "struct", "fields": fields});
    let t = of(vec![field("y", json!("string"))]);
    let s = of(vec![field("x", json!("integer")), field("t", t)]);
    let l = json!({"type": "array", "elementType": "integer", "containsNull": true});
    schema["fields"].as_array_mut().unwrap().extend([field("s", s), field("l", l)]);
    metadata("id long").with("schemaString", schema.to_string())
}

fn begin(metadata: Action) -> [Action; 2] {
    let features = ["deletionVectors", "timestampNtz"];
    [protocol_features(&features, &features), metadata]
}

/// One file after the other.
fn of_files(metadata: Action, files: impl FnOnce(&TestTable) -> Vec<Action>) -> TestTable {
    let table = TestTable::new();
    // The listing has the newest action of a commit last.
    let files = files(&table);
    table.commit(begin(metadata).into_iter().chain(files))
}

fn ids_of(batches: &[RecordBatch]) -> Vec<i64> {
    let of = |batch: &RecordBatch| {
        batch.column_by_name("id").unwrap().as_primitive::<Int64Type>().values().to_vec()
    };
    batches.iter().flat_map(of).collect()
}

fn read(scan: &Scan) -> Result<(Vec<RecordBatch>, Progress)> {
    let mut stream = scan.rows()?;
    let batches = stream.by_ref().collect::<Result<Vec<_>>>()?;
    Ok((batches, stream.progress_handle().read()))
}

/// The wanted rows, the same by every number of threads and window, and what the
/// serial stream did.
#[track_caller]
fn filtered(
    snapshot: &Snapshot,
    predicate: &Predicate,
    ask: impl Fn(Scan) -> Scan,
) -> (Vec<RecordBatch>, Progress) {
    let scan = || ask(snapshot.scan().filter(predicate.clone()).unwrap());
    let (expected, progress) = read(&scan().threads(0)).unwrap();
    for (threads, units, bytes) in [(1, 8, 1 << 25), (2, 1, 1), (4, 64, 1 << 25)] {
        let scan = scan().threads(threads).window_units(units).window_bytes(bytes);
        let (found, by_threads) = read(&scan).unwrap();
        assert_eq!(found, expected, "{threads} {units} {bytes}: {predicate}");
        let counted =
            |p: Progress| (p.row_groups_skipped, p.pages_skipped, p.rows_skipped, p.rows_filtered);
        assert_eq!(counted(by_threads), counted(progress), "{predicate}");
    }
    (expected, progress)
}

/// The ids of the wanted rows.
#[track_caller]
fn ids(table: &TestTable, predicate: &Predicate) -> (Vec<i64>, Progress) {
    let (batches, progress) = filtered(&opened(table), predicate, |scan| scan.columns(["id"]));
    (ids_of(&batches), progress)
}

/// A predicate, and for which rows of [`mixed`] it is true.
type Case = (Predicate, Box<dyn Fn(i64) -> bool>);

fn case(predicate: Predicate, wanted: impl Fn(i64) -> bool + 'static) -> Case {
    (predicate, Box::new(wanted))
}

/// Spark's order: NaN is greater than all.
fn is_greater(value: f64, than: f64) -> bool {
    value.is_nan() && !than.is_nan() || value > than
}

fn cases() -> Vec<Case> {
    let decimal = |unscaled: i128, scale| Value::Decimal { unscaled, scale };
    vec![
        case(column("id").equal(1234), |i| i == 1234),
        case(column("id").not_equal(3), |i| i != 3),
        case(column("id").between(990, 1010), |i| (990..=1010).contains(&i)),
        case(column("id").greater(5000), |_| false),
        case(column("id").is_in([5, 600, 1900, 7000]), |i| [5, 600, 1900].contains(&i)),
        case(column("byte").less(-15), |i| i / 50 % 100 - 20 < -15),
        case(column("short").greater_or_equal(900), |i| i - 700 >= 900),
        case(column("integer").less(-400), |i| whole(i).is_some_and(|n| n < -400)),
        case(column("integer").is_null(), |i| whole(i).is_none()),
        case(column("long").equal(2000 * 3 - 1000 - 6), |i| whole(i) == Some(4994)),
        case(column("long").less(1000).not(), |i| whole(i).is_some_and(|n| n >= 1000)),
        case(column("float").greater(350.0), |i| is_greater(a_float(i), 350.0)),
        case(column("double").equal(f64::NAN), |i| a_float(i).is_nan()),
        case(column("double").equal(0.0), |i| a_float(i) == 0.0),
        case(column("double").less_or_equal(-99.0), |i| a_float(i) <= -99.0),
        case(column("boolean").is_true(), |i| i % 5 > 0 && i < 700),
        case(column("boolean").is_true().not(), |i| i % 5 > 0 && i >= 700),
        case(column("text").equal("t001700"), |i| i == 1700 && i % 7 > 0),
        case(column("text").starts_with("t0011"), |i| i % 7 > 0 && i / 100 == 11),
        case(column("text").like("%99"), |i| i % 7 > 0 && i % 100 == 99),
        case(column("text").is_null(), |i| i % 7 == 0),
        case(column("long_text").equal(long_text(1801)), |i| i / 3 == 1801 / 3),
        case(column("long_text").greater(long_text(1900)), |i| i / 3 > 1900 / 3),
        case(column("binary").less(&77_i64.to_be_bytes()[..]), |i| i < 77),
        case(column("date").greater(Value::Date(1990)), |i| i > 1990),
        case(column("time").as_date().equal(Value::Date(50)), |i| i / 24 == 50),
        case(column("wall").less(Value::TimestampNtz(0)), |i| i < 900),
        case(column("small").less_or_equal(decimal(-49, 1)), |i| i - 500 <= -490),
        case(column("middle").greater(0), |i| i > 500),
        case(column("large").equal(decimal(10_i128.pow(30) * 7, 2)), |i| i == 507),
        case(column("large").less(decimal(0, 0)), |i| i < 500),
        case(column("s.x").greater(1995), |i| inner(i).is_some_and(|x| x > 1995)),
        case(column("s.x").is_null(), |i| inner(i).is_none()),
        case(column("s.t.y").equal("d0017"), |i| deepest(i).as_deref() == Some("d0017")),
        case(column("s.t").is_null(), |i| i % 10 == 0 || i % 4 == 0),
        case(column("s").is_null(), |i| i % 10 == 0),
        case(column("l").is_not_null().and(column("id").less(40)), |i| i % 6 > 0 && i < 40),
        case(column("s.x").less(100).or(column("text").greater("t001990")), |i| {
            inner(i).is_some_and(|x| x < 100) || i % 7 > 0 && i > 1990
        }),
        case(column("s.x").less(100).and(column("s").is_not_null()), |i| {
            inner(i).is_some_and(|x| x < 100)
        }),
        case(Predicate::always(false), |_| false),
        case(Predicate::always(true), |_| true),
        case(column("id").equal(Value::Null), |_| false),
    ]
}

fn layouts() -> Vec<FileLayout> {
    let small = FileLayout::default().row_group_rows(400).page_rows(50);
    vec![
        FileLayout::default(),
        small.clone(),
        small.clone().no_page_index(),
        small.with(|p| p.set_bloom_filter_enabled(true).set_column_index_truncate_length(Some(8))),
    ]
}

#[test]
fn every_type_is_filtered_as_its_values_are() {
    for (at, layout) in layouts().into_iter().enumerate() {
        let dead = [0, 1, 2, 399, 400, 401, 777];
        let table = of_files(mixed_schema(), |table| {
            vec![
                table.data_file_as("b.parquet", &mixed(1000..2000), &layout),
                table.data_file_as("a.parquet", &mixed(0..1000), &layout).dv(inline_dv(&dead)),
            ]
        });
        let snapshot = opened(&table);
        let all = read(&snapshot.scan()).unwrap().0;
        let all = arrow::compute::concat_batches(&all[0].schema(), &all).unwrap();
        let order = ids_of(std::slice::from_ref(&all));
        assert_eq!(order.len(), 2000 - dead.len());
        for (predicate, wanted) in cases() {
            let mask: BooleanArray = order.iter().map(|&i| Some(wanted(i))).collect();
            let expected = arrow::compute::filter_record_batch(&all, &mask).unwrap();
            for (batch_rows, names) in [
                (77, None),
                (300, Some(vec!["id"])),
                (8192, Some(vec!["text", "id", "s.x"])),
                (8192, Some(vec!["double", "s"])),
            ] {
                let ask = |scan: Scan| match &names {
                    Some(names) => scan.columns(names.clone()).batch_rows(batch_rows),
                    None => scan.batch_rows(batch_rows),
                };
                // Of small row groups and pages, in every way.
                let (found, _) = match batch_rows {
                    300 if at == 1 => filtered(&snapshot, &predicate, ask),
                    _ => {
                        let scan = snapshot.scan().filter(predicate.clone()).unwrap();
                        read(&ask(scan).threads(at)).unwrap()
                    }
                };
                assert!(found.iter().all(|batch| batch.num_rows() <= batch_rows));
                let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
                assert_eq!(rows, expected.num_rows(), "{predicate} {layout:?}");
                if rows == 0 {
                    continue;
                }
                let found = arrow::compute::concat_batches(&found[0].schema(), &found).unwrap();
                for (field, column) in found.schema().fields().iter().zip(found.columns()) {
                    let expected = expected.column_by_name(field.name()).unwrap();
                    if column.data_type() == expected.data_type() {
                        assert_eq!(column, expected, "{predicate} {}", field.name());
                    }
                }
            }
        }
    }
}

/// Ids in order, and beside them a column of many bytes.
fn wide(rows: std::ops::Range<i64>) -> RecordBatch {
    let noise = |i: i64| Some(format!("{:016x}", i.wrapping_mul(0x1e37_79b9_7f4a_7c15)).repeat(4));
    batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(rows.clone()))),
        // Any of them is in all row groups.
        ("even", Arc::new(Int64Array::from_iter_values(rows.clone().map(|i| i * 7919 % 1000 * 2)))),
        ("noise", texts(noise, rows)),
    ])
}

const WIDE: &str = "id long, even long, noise string";

fn wide_table(layout: FileLayout) -> TestTable {
    of_files(metadata(WIDE), |table| {
        vec![table.data_file_as("a.parquet", &wide(0..10_000), &layout)]
    })
}

fn in_groups() -> FileLayout {
    let plain = parquet::basic::Encoding::PLAIN;
    let layout = FileLayout::default().row_group_rows(1000).page_rows(100).encoding(plain);
    layout.compression(parquet::basic::Compression::UNCOMPRESSED)
}

#[test]
fn row_groups_and_pages_that_cannot_have_a_wanted_row_are_left_out() {
    let wanted = column("id").between(3210, 3345);
    let (found, progress) = ids(&wide_table(in_groups()), &wanted);
    assert!(found.into_iter().eq(3210..3346));
    assert_eq!((progress.row_groups, progress.row_groups_skipped), (10, 9));
    assert_eq!((progress.pages_skipped, progress.rows_skipped), (8, 9800));
    assert_eq!(progress.rows_filtered, 200 - 136);

    // Without a page index, what is left are row groups.
    let (found, progress) = ids(&wide_table(in_groups().no_page_index()), &wanted);
    assert!(found.into_iter().eq(3210..3346));
    assert_eq!((progress.row_groups_skipped, progress.pages_skipped), (9, 0));
    assert_eq!((progress.rows_skipped, progress.rows_filtered), (9000, 1000 - 136));

    // Nor has a row group anything to be asked of which all rows are wanted.
    let (found, progress) = ids(&wide_table(in_groups()), &column("id").greater_or_equal(2000));
    assert!(found.into_iter().eq(2000..10_000));
    assert_eq!((progress.row_groups_skipped, progress.rows_filtered), (2, 0));
}

#[test]
fn pages_of_three_columns_that_end_at_different_rows_are_asked_together() {
    let layout = in_groups().with(|p| {
        // Of the texts a page has far fewer rows.
        p.set_data_page_row_count_limit(250).set_data_page_size_limit(4000).set_write_batch_size(10)
    });
    let text = |i: i64| Some(format!("{i:064}"));
    let rows = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..1000))),
        ("text", texts(text, 0..1000)),
    ]);
    let table = of_files(metadata("id long, text string"), |table| {
        vec![table.data_file_as("a.parquet", &rows, &layout)]
    });
    for (low, high) in [(0, 10), (240, 260), (499, 501), (130, 870), (990, 999), (700, 600)] {
        let wanted = column("id")
            .greater_or_equal(low)
            .and(column("text").less_or_equal(text(high).unwrap()));
        let (found, progress) = ids(&table, &wanted);
        assert!(found.into_iter().eq(low..=high), "{low} {high}");
        assert!(progress.pages_skipped > 0);
        let either = column("id").less(low).or(column("text").greater(text(high).unwrap()));
        let (found, _) = ids(&table, &either);
        assert!(found.into_iter().eq((0..1000).filter(|&i| i < low || i > high)), "{low} {high}");
    }
}

#[test]
fn other_columns_are_not_read_where_no_row_is_wanted() {
    let table = wide_table(in_groups());
    let snapshot = opened(&table);
    let bytes = |predicate: Option<Predicate>| {
        let scan = snapshot.scan().columns(["id", "noise"]);
        let scan = predicate.into_iter().fold(scan, |scan, p| scan.filter(p).unwrap());
        read(&scan).unwrap().1
    };
    let all = bytes(None).bytes_read;
    assert!(all > 700_000, "{all}");
    // By row group: a tenth, and the footer with its indexes.
    let one = bytes(Some(column("id").between(3000, 3999))).bytes_read;
    assert!(one < all / 10 + (80 << 10), "{one} of {all}");
    // Odd numbers are between the bounds of all pages, and there are none.
    let none = bytes(Some(column("even").equal(1001)));
    assert!(none.bytes_read < 200_000, "{} of {all}", none.bytes_read);
    assert_eq!((none.rows_filtered, none.rows_delivered), (10_000, 0));
    assert_eq!((none.row_groups, none.row_groups_skipped), (10, 10));
}

#[test]
fn a_row_group_that_lacks_a_value_by_its_bloom_filter_alone_is_not_read() {
    // All values are even, so that what is odd is between them and missing.
    fn columns(i: i64) -> i64 {
        i * 7919 % 1000 * 2
    }
    let each = || (0..1000).map(columns);
    let decimal = |precision| -> ArrayRef {
        let array = Decimal128Array::from_iter_values(each().map(i128::from));
        Arc::new(array.with_precision_and_scale(precision, 2).unwrap())
    };
    let micros = || TimestampMicrosecondArray::from_iter_values(each().map(|i| i * 1000));
    let millis = TimestampMillisecondArray::from_iter_values(each());
    let rows = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..1000))),
        ("short", Arc::new(Int16Array::from_iter_values(each().map(|i| i as i16)))),
        ("integer", Arc::new(Int32Array::from_iter_values(each().map(|i| i as i32)))),
        ("long", Arc::new(Int64Array::from_iter_values(each()))),
        ("wider", Arc::new(Int32Array::from_iter_values(each().map(|i| i as i32)))),
        ("float", Arc::new(Float32Array::from_iter_values(each().map(|i| i as f32)))),
        ("double", Arc::new(Float64Array::from_iter_values(each().map(|i| -(i as f64))))),
        ("text", Arc::new(StringArray::from_iter_values(each().map(|i| format!("{i:04}"))))),
        ("binary", Arc::new(BinaryArray::from_iter_values(each().map(|i| i.to_be_bytes())))),
        ("date", Arc::new(Date32Array::from_iter_values(each().map(|i| i as i32)))),
        ("time", Arc::new(micros().with_timezone("UTC"))),
        ("wall", Arc::new(micros())),
        ("millis", Arc::new(millis)),
        ("small", decimal(9)),
        ("middle", decimal(18)),
        ("large", decimal(30)),
    ]);
    let schema = "id long, short short, integer integer, long long, wider long, float float, \
                  double double, text string, binary binary, date date, time timestamp, \
                  wall timestamp_ntz, millis timestamp_ntz, small decimal(9,2), \
                  middle decimal(18,2), large decimal(30,2)";
    let table = |layout: FileLayout| {
        of_files(metadata(schema), |table| vec![table.data_file_as("a.parquet", &rows, &layout)])
    };
    let with =
        table(in_groups().with(|p| p.set_bloom_filter_enabled(true).set_bloom_filter_fpp(0.0001)));
    let without = table(in_groups());
    let decimal = |i: i64| Value::Decimal { unscaled: i.into(), scale: 2 };
    type OfNumber = Box<dyn Fn(i64) -> Value>;
    let values: Vec<(&str, OfNumber)> = vec![
        ("short", Box::new(Value::Long)),
        ("integer", Box::new(Value::Long)),
        ("long", Box::new(Value::Long)),
        ("wider", Box::new(Value::Long)),
        ("float", Box::new(|i| Value::Double(i as f64))),
        // Of two zeros, it has the negative one.
        ("double", Box::new(|i| Value::Double(0.0 - i as f64))),
        ("text", Box::new(|i| Value::String(format!("{i:04}")))),
        ("binary", Box::new(|i| Value::Binary(i.to_be_bytes().to_vec()))),
        ("date", Box::new(|i| Value::Date(i as i32))),
        ("time", Box::new(|i| Value::Timestamp(i * 1000))),
        ("wall", Box::new(|i| Value::TimestampNtz(i * 1000))),
        ("millis", Box::new(|i| Value::TimestampNtz(i * 1000))),
        ("small", Box::new(decimal)),
        ("middle", Box::new(decimal)),
        ("large", Box::new(decimal)),
    ];
    for (name, value) in values {
        let missing = column(name).equal(value(701));
        for (table, skipped) in [(&with, 1), (&without, 0)] {
            let (found, progress) = ids(table, &missing);
            assert_eq!(found, [0; 0]);
            assert_eq!(progress.rows_skipped, skipped * 1000, "{missing}");
        }
        // Each of those that are there is found.
        let (first, second) = (0, 1998);
        let there = column(name).is_in([value(first), value(701), value(second)]);
        let expected: Vec<i64> =
            (0..1000).filter(|&i| [first, second].contains(&columns(i))).collect();
        let (found, progress) = ids(&with, &there);
        assert_eq!((found, progress.row_groups_skipped), (expected, 0), "{there}");
        // What asks for more than equality is not answered by a Bloom filter.
        let (found, _) = ids(&with, &missing.clone().or(column("id").equal(5)));
        assert_eq!(found, [5], "{missing}");
        let (found, _) = ids(&with, &missing.not());
        assert_eq!(found.len(), 1000);
    }
    // Where the bounds decide, no filter is read.
    let table = wide_table(in_groups().with(|p| p.set_bloom_filter_enabled(true)));
    let of = |wanted| ids(&table, &wanted).1;
    let (by_bounds, by_filter) = (of(column("even").equal(-1)), of(column("even").equal(701)));
    assert_eq!((by_bounds.rows_skipped, by_filter.rows_skipped), (10_000, 10_000));
    assert!(by_bounds.bytes_read < by_filter.bytes_read);
    assert_eq!(by_bounds.bytes_read, of(column("even").less(-1)).bytes_read);
}

#[test]
fn nan_is_greater_than_the_bounds_of_a_page_say() {
    let numbers = (0..1000).map(|i| if i % 100 == 7 { f64::NAN } else { f64::from(i % 10) });
    let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values(numbers));
    let all: ArrayRef = Arc::new(Int64Array::from_iter_values(0..1000));
    let table = of_files(metadata("id long, x double"), |table| {
        vec![table.data_file_as(
            "a.parquet",
            &batch(vec![("id", all), ("x", numbers)]),
            &in_groups(),
        )]
    });
    let nans: Vec<i64> = (0..1000).filter(|i| i % 100 == 7).collect();
    assert_eq!(ids(&table, &column("x").greater(100.0)).0, nans);
    assert_eq!(ids(&table, &column("x").equal(f64::NAN)).0, nans);
    let (found, progress) = ids(&table, &column("x").less(-1.0));
    assert_eq!((found.len(), progress.rows_skipped), (0, 1000));
    assert_eq!(ids(&table, &column("x").greater_or_equal(0.0)).0.len(), 1000);
}

#[test]
fn a_file_whose_partition_is_not_wanted_is_not_opened() {
    let table = TestTable::new();
    let file = |name: &str, from: i64, part: Option<&str>| {
        table.data_file(name, &wide(from..from + 10)).partition("p", part)
    };
    let files = [
        file("c.parquet", 20, None),
        file("b.parquet", 10, Some("2")),
        file("a.parquet", 0, Some("1")),
    ];
    let described = metadata(&format!("{WIDE}, p integer")).partitioned_by(&["p"]);
    let table = table.commit(begin(described).into_iter().chain(files));
    let found = |wanted: &Predicate| {
        let mut found = ids(&table, wanted).0;
        found.sort_unstable();
        found
    };
    assert!(found(&column("p").is_null()).into_iter().eq(20..30));
    assert!(
        found(&column("p").equal(2).or(column("id").less(3))).into_iter().eq((0..3).chain(10..20))
    );
    let table = table.delete_file("b.parquet").delete_file("c.parquet");
    let (found, progress) = ids(&table, &column("p").equal(1));
    assert!(found.into_iter().eq(0..10));
    // All that is left of it is true of the file.
    assert_eq!((progress.rows_filtered, progress.row_groups), (0, 1));
    let (found, _) = ids(&table, &column("p").equal(1).and(column("even").less(400)));
    assert!(found.into_iter().eq((0..10).filter(|i| i * 7919 % 1000 * 2 < 400)));
}

#[test]
fn a_column_that_a_file_lacks_is_null_in_all_of_it() {
    let table = of_files(metadata(&format!("{WIDE}, new long")), |table| {
        vec![table.data_file_as("a.parquet", &wide(0..2000), &in_groups())]
    });
    let (found, progress) = ids(&table, &column("new").is_null());
    assert!(found.into_iter().eq(0..2000));
    assert_eq!(progress.rows_filtered, 0);
    let (found, progress) = ids(&table, &column("new").equal(1));
    assert_eq!((found.len(), progress.rows_skipped, progress.row_groups_skipped), (0, 2000, 2));
    let (found, _) = ids(&table, &column("new").equal(1).or(column("id").equal(1234)));
    assert_eq!(found, [1234]);
    let (found, _) = ids(&table, &column("new").equal(1).not());
    assert_eq!(found, [0; 0]);
}

#[test]
fn mapped_columns_are_found_by_name_and_by_id() {
    let inner: ArrayRef = Arc::new(Int32Array::from_iter_values(0..2000));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..2000));
    let with_id =
        |field: Field, id: &str| field.with_metadata([("PARQUET:field_id", id.to_owned())]);
    let x = with_id(Field::new("col-x", DataType::Int32, true), "3");
    let s = StructArray::new(vec![x].into(), vec![inner], None);
    let schema = arrow::datatypes::Schema::new(vec![
        with_id(Field::new("col-s", s.data_type().clone(), true), "2"),
        with_id(Field::new("col-id", DataType::Int64, true), "1"),
    ]);
    let rows = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(s), numbers]).unwrap();
    for mode in ["name", "id"] {
        let field = |name: &str, physical: &str, id: i64, data_type: serde_json::Value| {
            json!({"name": name, "type": data_type, "nullable": true, "metadata": {
                "delta.columnMapping.id": id, "delta.columnMapping.physicalName": physical,
            }})
        };
        let inner = json!({"type": "struct", "fields": [field("x", "col-x", 3, json!("integer"))]});
        let schema = json!({"type": "struct", "fields": [
            field("id", "col-id", 1, json!("long")), field("s", "col-s", 2, inner),
        ]});
        let described = metadata("id long")
            .with("schemaString", schema.to_string())
            .property("delta.columnMapping.mode", mode);
        let table = TestTable::new();
        let file = table.data_file_as("a.parquet", &rows, &in_groups());
        let features = ["columnMapping"];
        let table = table.commit([protocol_features(&features, &features), described, file]);
        let (found, progress) = ids(&table, &column("s.x").between(1500, 1509));
        assert!(found.into_iter().eq(1500..1510), "{mode}");
        assert_eq!((progress.row_groups_skipped, progress.pages_skipped), (1, 9));
    }
}

#[test]
fn bounds_of_a_narrower_type_are_widened_as_values_are() {
    let ints = || Int32Array::from_iter_values((0..2000).map(|i| i - 1000));
    let nanos = (0..2000).map(|i| (i - 1000) * 500);
    let rows = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..2000))),
        ("long", Arc::new(ints())),
        ("double", Arc::new(ints())),
        ("number", Arc::new(Float32Array::from_iter_values((0..2000).map(|i| i as f32 / 2.0)))),
        ("day", Arc::new(Date32Array::from_iter_values((0..2000).map(|i| i - 1000)))),
        ("nanos", Arc::new(TimestampNanosecondArray::from_iter_values(nanos))),
        ("decimal", {
            let array = Decimal128Array::from_iter_values((0..2000).map(|i| i - 1000));
            Arc::new(array.with_precision_and_scale(6, 1).unwrap())
        }),
        ("of_int", Arc::new(ints())),
    ]);
    let table = of_files(
        metadata(
            "id long, long long, double double, number double, day timestamp_ntz, \
             nanos timestamp, decimal decimal(20,3), of_int decimal(12,1)",
        ),
        |table| vec![table.data_file_as("a.parquet", &rows, &in_groups())],
    );
    let day = 86_400_000_000;
    let decimal = |unscaled: i128| Value::Decimal { unscaled, scale: 3 };
    for (wanted, rows) in [
        (column("long").greater_or_equal(950), 1950..2000),
        // A NaN would be greater.
        (column("double").less(-950.0), 0..50),
        (column("double").less(-950.5), 0..50),
        (column("number").less(25.0), 0..50),
        (column("day").greater(Value::TimestampNtz(949 * day)), 1950..2000),
        // Two values of nanoseconds to each microsecond.
        (column("nanos").greater_or_equal(Value::Timestamp(475)), 1950..2000),
        (column("decimal").greater_or_equal(decimal(95_000)), 1950..2000),
        (column("of_int").greater_or_equal(decimal(949_001)), 1950..2000),
    ] {
        let (found, progress) = ids(&table, &wanted);
        assert!(found.into_iter().eq(rows), "{wanted}");
        assert_eq!(progress.rows_skipped, 1900, "{wanted}");
    }
    // Before 1970 they are rounded down, and so are the bounds.
    let (found, _) = ids(&table, &column("nanos").equal(Value::Timestamp(-1)));
    assert_eq!(found, [998, 999]);
}

#[test]
fn what_is_known_of_a_row_is_that_of_the_rows_that_are_left() {
    let table = of_files(metadata(WIDE), |table| {
        let file = table.data_file_as("a.parquet", &wide(0..5000), &in_groups());
        vec![file.dv(inline_dv(&[1, 2003, 2500, 4999]))]
    });
    let wanted = column("even").less(40).and(column("id").not_equal(2600));
    let names = ["_metadata.row_index", "id", "_metadata.file_path"];
    let (found, progress) = filtered(&opened(&table), &wanted, |scan| scan.columns(names));
    let indexes: Vec<i64> = found
        .iter()
        .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values().to_vec())
        .collect();
    let expected: Vec<i64> = (0..5000)
        .filter(|i| i * 7919 % 1000 * 2 < 40 && ![1, 2003, 2500, 4999, 2600].contains(i))
        .collect();
    assert_eq!((&indexes, &ids_of(&found)), (&expected, &expected));
    assert!(progress.rows_filtered > 4000);
    // No data column at all.
    let (found, _) = filtered(&opened(&table), &wanted, |scan| scan.columns([names[0]]));
    let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(rows, expected.len());
}

#[test]
fn a_limit_counts_wanted_rows_and_what_is_behind_them_is_not_read() {
    let table = of_files(metadata(WIDE), |table| {
        (0..40)
            .rev()
            .map(|n| {
                let rows = wide(n * 2000..n * 2000 + 2000);
                table.data_file_as(&format!("{n:02}.parquet"), &rows, &in_groups())
            })
            .collect()
    });
    let snapshot = opened(&table);
    let wanted = column("even").less(100);
    let all = ids_of(&filtered(&snapshot, &wanted, |scan| scan.columns(["id"])).0);
    for limit in [0, 1, 99, 150, 1_000_000] {
        let ask = |scan: Scan| scan.columns(["id"]).limit(limit);
        let scan = snapshot.scan().filter(wanted.clone()).unwrap();
        for threads in [0, 1, 4] {
            let scan = ask(scan.clone().threads(threads).window_units(4));
            let (found, progress) = read(&scan).unwrap();
            let limit = usize::try_from(limit).unwrap().min(all.len());
            assert_eq!(ids_of(&found), all[..limit]);
            // Each file has two row groups, and a hundred wanted rows: the one or two
            // that it takes, and what the windows of both steps have room for.
            if limit < 100 {
                assert!(progress.row_groups <= 2 * (2 + 4 + 4), "{progress:?}");
            }
        }
    }
    // Of row groups that are wanted as they are, as many as it takes.
    let scan = snapshot.scan().columns(["id"]).filter(column("id").greater_or_equal(0)).unwrap();
    let (found, progress) = read(&scan.limit(1500).threads(0)).unwrap();
    assert_eq!((ids_of(&found).len(), progress.rows_filtered), (1500, 0));
}

#[test]
fn few_rows_that_are_left_of_each_unit_are_one_batch() {
    let table = wide_table(in_groups().no_page_index());
    let snapshot = opened(&table);
    let wanted = column("even").less(20);
    let (found, progress) =
        filtered(&snapshot, &wanted, |scan| scan.columns(["noise", "id", "even"]).batch_rows(64));
    assert_eq!(progress.batches_delivered, 10);
    assert!(found.iter().all(|batch| batch.num_rows() == 10));
}

#[test]
fn unordered_rows_are_the_same_rows() {
    let table = of_files(metadata(WIDE), |table| {
        let files = (0..8).map(|n| {
            let rows = wide(n * 1000..n * 1000 + 1000);
            table.data_file_as(&format!("{n}.parquet"), &rows, &in_groups())
        });
        files.collect()
    });
    let scan = opened(&table).scan().filter(column("even").less(300)).unwrap();
    let mut found = ids_of(&read(&scan.unordered()).unwrap().0);
    found.sort_unstable();
    assert!(found.into_iter().eq((0..8000).filter(|i| i * 7919 % 1000 * 2 < 300)));
}

#[test]
fn whole_files_have_all_rows_but_for_what_is_ruled_out_by_row_group_or_page() {
    let table = wide_table(in_groups());
    let snapshot = opened(&table);
    let ask = |scan: Scan| scan.columns(["noise", "id"]).whole_files();
    let (found, progress) = filtered(&snapshot, &column("id").between(3210, 3345), ask);
    assert!(ids_of(&found).into_iter().eq(3200..3400));
    assert_eq!((progress.rows_skipped, progress.rows_filtered), (9800, 0));
    let (found, _) = filtered(&snapshot, &column("even").equal(1001), ask);
    assert!(ids_of(&found).into_iter().eq(0..10_000));
    let ask = |scan: Scan| ask(scan).limit(250);
    let (found, _) = filtered(&snapshot, &column("id").is_in([15, 1215, 9915]), ask);
    assert!(ids_of(&found).into_iter().eq((0..100).chain(1200..1300).chain(9900..9950)));
}

#[test]
fn a_row_group_that_is_cut_is_left_out_piece_by_piece_and_page_by_page() {
    // More bytes than one unit has, in pages of 1000 rows.
    let rows = 400_000;
    let table = of_files(metadata(WIDE), |table| {
        let layout = FileLayout::default()
            .encoding(parquet::basic::Encoding::PLAIN)
            .page_rows(1000)
            .compression(parquet::basic::Compression::UNCOMPRESSED);
        vec![table.data_file_as("a.parquet", &wide(0..rows), &layout)]
    });
    let snapshot = opened(&table);
    let read_of = |wanted: &Predicate| {
        let ask = |scan: Scan| scan.columns(["id", "noise", "even"]);
        let (found, progress) = filtered(&snapshot, wanted, ask);
        (ids_of(&found), progress)
    };
    let (found, progress) = read_of(&column("id").is_in([5, 123_456, 399_999]));
    assert_eq!(found, [5, 123_456, 399_999]);
    assert_eq!(progress.rows_skipped, rows as u64 - 3000);
    // Three pages of each column, footer and indexes.
    assert!(progress.bytes_read < 1 << 20, "{}", progress.bytes_read);
    let wanted = column("even").equal(0).and(column("id").less(390_000));
    let (found, progress) = read_of(&wanted);
    assert!(found.into_iter().eq((0..390_000).step_by(1000)));
    assert_eq!(progress.rows_skipped, 10_000);
    // By values, where bounds say nothing.
    let wanted = column("noise").like("%000000%");
    let (found, progress) = read_of(&wanted);
    assert_eq!(found.len() as u64 + progress.rows_filtered, rows as u64);
}

#[test]
fn changed_rows_are_filtered_as_rows_are() {
    let table = TestTable::new();
    let file = |name: &str, from: i64, part: &str| {
        table.data_file_as(name, &wide(from..from + 1000), &in_groups()).partition("p", Some(part))
    };
    let (a, b) = (file("a.parquet", 0, "1"), file("b.parquet", 1000, "2"));
    let changes = {
        let rows = wide(500..600);
        let mut columns: Vec<(&str, ArrayRef)> =
            ["id", "even", "noise"].into_iter().zip(rows.columns().iter().cloned()).collect();
        let types = (500..600).map(|i| if i % 2 == 0 { "delete" } else { "insert" });
        columns.push(("_change_type", Arc::new(StringArray::from_iter_values(types))));
        let written = table.data_file("c.parquet", &batch(columns));
        cdc(written.path()).size(written.body()["size"].as_i64().unwrap()).partition("p", Some("1"))
    };
    let described = metadata(&format!("{WIDE}, p integer"))
        .partitioned_by(&["p"])
        .property("delta.enableChangeDataFeed", "true");
    let features = ["deletionVectors"];
    let protocol = protocol_features(&features, &["deletionVectors", "changeDataFeed"]);
    let deleted = a.clone().dv(inline_dv(&[3, 7, 700]));
    let gone = remove(a.path()).with("partitionValues", json!({"p": "1"}));
    let table = table.commit([protocol, described, a, b]).commit([gone, deleted]).commit([changes]);
    let snapshot = opened(&table);
    let found = |wanted: Predicate, threads: usize| {
        let names = ["_commit_version", "_change_type", "id"];
        let scan = snapshot.scan().columns(names).filter(wanted).unwrap().threads(threads);
        let batches = scan.change_rows(0).unwrap().collect::<Result<Vec<_>>>().unwrap();
        data_lines_of(&batches)
    };
    let line = |version: i64, what: &str, id: i64| {
        json!({"_commit_version": version, "_change_type": what, "id": id}).to_string()
    };
    for threads in [0, 4] {
        let expected = [
            line(0, "insert", 7),
            line(0, "insert", 520),
            line(0, "insert", 521),
            line(0, "insert", 1500),
            line(1, "delete", 7),
            line(2, "delete", 520),
            line(2, "insert", 521),
        ];
        assert_eq!(found(column("id").is_in([7, 520, 521, 1500]), threads), expected);
        let one = column("id").is_in([7, 520, 521, 1500]).and(column("p").equal(2));
        assert_eq!(found(one, threads), [line(0, "insert", 1500)]);
    }
    // Nothing is opened that is of another partition.
    let table = table.delete_file("a.parquet").delete_file("c.parquet");
    let snapshot = opened(&table);
    let scan = snapshot.scan().columns(["id"]).filter(column("p").equal(2)).unwrap();
    let batches = scan.change_rows(0).unwrap().collect::<Result<Vec<_>>>().unwrap();
    assert!(ids_of(&batches).into_iter().eq(1000..2000));
}

#[test]
fn a_wrong_bit_in_a_page_index_or_bloom_filter_makes_nothing_panic() {
    let layout = FileLayout::default().page_rows(50).with(|p| {
        p.set_bloom_filter_enabled(true).set_bloom_filter_max_ndv(50).set_dictionary_enabled(false)
    });
    let rows = batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..200))),
        ("text", texts(|i| Some(format!("{i:04}")), 0..200)),
    ]);
    let whole = layout.parquet_of(&rows);
    let metadata_of = parquet::file::metadata::ParquetMetaDataReader::new()
        .parse_and_finish(&bytes::Bytes::from(whole.clone()))
        .unwrap();
    let mut places: Vec<std::ops::Range<usize>> = Vec::new();
    for chunk in metadata_of.row_group(0).columns() {
        let range = |offset: Option<i64>, length: Option<i32>| {
            let start = offset.unwrap() as usize;
            start..start + length.unwrap() as usize
        };
        places.push(range(chunk.column_index_offset(), chunk.column_index_length()));
        places.push(range(chunk.offset_index_offset(), chunk.offset_index_length()));
        let bloom = range(chunk.bloom_filter_offset(), chunk.bloom_filter_length());
        places.push(bloom.start..bloom.start + 24);
    }
    let (mut right, mut refused) = (0, 0);
    let file = add("a.parquet").size(whole.len() as i64);
    let described = begin(metadata("id long, text string"));
    let table = TestTable::new().commit(described.into_iter().chain([file]));
    let snapshot = opened(&table);
    for at in places.into_iter().flatten() {
        for bit in [at % 5, 7] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            std::fs::write(table.root().join("a.parquet"), &bytes).unwrap();
            for wanted in [
                column("id").equal(77).or(column("text").equal("0123")),
                column("text").is_in(["0123", "0123x"]),
            ] {
                let scan = snapshot.scan().threads(0).filter(wanted).unwrap();
                match read(&scan) {
                    // What was said wrongly may hide a row, but not make one.
                    Ok((found, _)) => {
                        assert!(ids_of(&found).iter().all(|id| [77, 123].contains(id)));
                        right += 1;
                    }
                    Err(e) => {
                        assert!(e.message().contains("a.parquet"), "{e}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(right > refused && right > 100, "{right} {refused}");
}

/// The file with other metadata at its end.
fn with_metadata(bytes: &[u8], change: impl FnOnce(ParquetMetaData) -> ParquetMetaData) -> Vec<u8> {
    let whole = bytes::Bytes::from(bytes.to_vec());
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&whole).unwrap();
    let (front, end) = bytes.split_at(bytes.len() - 8);
    let footer = u32::from_le_bytes(*end.first_chunk().unwrap()) as usize;
    let mut changed = front[..front.len() - footer].to_vec();
    let metadata = change(metadata);
    let writer = ParquetMetaDataWriter::new(&mut changed, &metadata);
    // Without it the places of the indexes are lost.
    writer.with_preserve_page_index_locations(true).finish().unwrap();
    changed
}

/// The metadata with other column chunks in its first row group.
fn with_chunks(
    metadata: ParquetMetaData,
    change: impl Fn(usize, ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
) -> ParquetMetaData {
    let mut groups = metadata.row_groups().to_vec();
    let chunks = groups[0].columns().iter().cloned().enumerate();
    let chunks = chunks.map(|(i, chunk)| change(i, chunk.into_builder()).build().unwrap());
    let chunks: Vec<_> = chunks.collect();
    groups[0] = groups[0].clone().into_builder().set_column_metadata(chunks).build().unwrap();
    metadata.into_builder().set_row_groups(groups).build()
}

/// A file of three columns and one row group.
fn three_columns(layout: &FileLayout) -> Vec<u8> {
    layout.parquet_of(&batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..1000))),
        ("text", texts(|i| Some(format!("{:04}", i / 10)), 0..1000)),
        ("unsigned", Arc::new(UInt32Array::from_iter_values(0..1000))),
    ]))
}

/// By each predicate these rows of the file are wanted, and so many are left out
/// undecoded.
#[track_caller]
fn doubted_file(bytes: &[u8], expected: &[(Predicate, std::ops::Range<i64>, u64)]) {
    let file = add("a.parquet").size(bytes.len() as i64);
    let described = begin(metadata("id long, text string, unsigned long"));
    let table =
        TestTable::new().file("a.parquet", bytes).commit(described.into_iter().chain([file]));
    for (wanted, rows, skipped) in expected {
        let (found, progress) = ids(&table, wanted);
        assert!(found.into_iter().eq(rows.clone()), "{wanted}");
        assert_eq!(progress.rows_skipped, *skipped, "{wanted}");
    }
}

/// The same of a file that says of itself what `change` makes of it.
#[track_caller]
fn doubted(
    layout: &FileLayout,
    change: impl FnOnce(ParquetMetaData) -> ParquetMetaData,
    expected: &[(Predicate, std::ops::Range<i64>, u64)],
) {
    doubted_file(&with_metadata(&three_columns(layout), change), expected);
}

#[test]
fn bounds_of_an_order_that_is_not_said_are_not_believed() {
    let wanted = |skipped: [u64; 3]| {
        [
            (column("id").less(100), 0..100, skipped[0]),
            (column("text").less("0010"), 0..100, skipped[1]),
            (column("unsigned").less(100), 0..100, skipped[2]),
        ]
    };
    doubted(&in_groups(), |metadata| metadata, &wanted([900, 900, 900]));
    // An order that nobody knows yet, of each of the three columns.
    let mut bytes = three_columns(&in_groups());
    let orders = [&[0x3c][..], &[0x1c, 0, 0].repeat(3)].concat();
    let at = bytes.windows(orders.len()).rposition(|found| found == orders).unwrap();
    (0..3).for_each(|i| bytes[at + 1 + 3 * i] = 0x4c);
    doubted_file(&bytes, &wanted([900, 0, 0]));
    // Old bounds, of bytes that are compared as signed ones.
    let old = |metadata: ParquetMetaData| {
        with_chunks(metadata, |i, chunk| match i {
            0 => chunk.set_statistics(Statistics::int64(Some(0), Some(9), None, Some(0), true)),
            1 => {
                let (low, high) = (ByteArray::from("0000"), ByteArray::from("0001"));
                let nulls = Some(0);
                chunk.set_statistics(Statistics::byte_array(
                    Some(low),
                    Some(high),
                    None,
                    nulls,
                    true,
                ))
            }
            _ => chunk.set_statistics(Statistics::int32(Some(0), Some(9), None, Some(0), true)),
        })
    };
    let nowhere = 0..0;
    doubted(
        &in_groups().no_page_index(),
        old,
        &[
            (column("id").greater(9), nowhere, 1000),
            (column("text").greater_or_equal("0099"), 990..1000, 0),
            (column("unsigned").greater_or_equal(990), 990..1000, 0),
        ],
    );
}

#[test]
fn what_statistics_do_not_say_or_contradict_is_not_known() {
    let of = |statistics: Statistics| {
        move |metadata: ParquetMetaData| {
            with_chunks(metadata, |i, chunk| match i {
                0 => chunk.set_statistics(statistics.clone()),
                _ => chunk,
            })
        }
    };
    let layout = in_groups().no_page_index();
    // The least is greater than the most.
    let crossed = of(Statistics::int64(Some(900), Some(10), None, Some(0), false));
    doubted(&layout, crossed, &[(column("id").less(5), 0..5, 0)]);
    // No bounds at all; one of them; no count of nulls; too many.
    let nothing = of(Statistics::int64(None, None, None, None, false));
    doubted(&layout, nothing, &[(column("id").less(5), 0..5, 0)]);
    let lower = of(Statistics::int64(Some(0), None, None, None, false));
    doubted(
        &layout,
        lower,
        &[(column("id").less(0), 0..0, 1000), (column("id").greater(998), 999..1000, 0)],
    );
    let uncounted = of(Statistics::int64(Some(0), Some(999), None, None, false));
    doubted(&layout, uncounted, &[(column("id").is_null(), 0..0, 0)]);
    let too_many = of(Statistics::int64(Some(0), Some(999), None, Some(1001), false));
    doubted(&layout, too_many, &[(column("id").is_not_null(), 0..1000, 0)]);
}

#[test]
fn an_absurd_page_index_or_bloom_filter_is_ignored() {
    // Of the texts there are other pages than of the numbers.
    let layout = in_groups().with(|p| {
        p.set_data_page_size_limit(1500).set_write_batch_size(10).set_bloom_filter_enabled(true)
    });
    let wanted = |skipped: u64, by_value: u64| {
        [
            (column("id").less(100), 0..100, skipped),
            (column("id").equal(5000).or(column("text").equal("0050x")), 0..0, by_value),
        ]
    };
    doubted(&layout, |metadata| metadata, &wanted(900, 1000));
    let swapped = |metadata: ParquetMetaData| {
        let other = metadata.row_group(0).column(1).clone();
        with_chunks(metadata, |i, chunk| match i {
            0 => chunk
                .set_column_index_offset(other.column_index_offset())
                .set_column_index_length(other.column_index_length()),
            _ => chunk,
        })
    };
    doubted(&layout, swapped, &wanted(0, 1000));
    for (offset, length) in
        [(-1, 10), (i64::MAX, 10), (4, -1), (4, i32::MAX), (4, 40), (1 << 20, 40)]
    {
        let index_elsewhere = |metadata: ParquetMetaData| {
            with_chunks(metadata, |_, chunk| {
                let chunk = chunk.set_column_index_offset(Some(offset));
                chunk.set_column_index_length(Some(length))
            })
        };
        doubted(&layout, index_elsewhere, &wanted(0, 1000));
        let filter_elsewhere = |metadata: ParquetMetaData| {
            with_chunks(metadata, |_, chunk| {
                let chunk = chunk.set_bloom_filter_offset(Some(offset));
                chunk.set_bloom_filter_length(Some(length))
            })
        };
        let found = [(column("text").equal("0050x"), 0..0, 900)];
        doubted(&layout, filter_elsewhere, &found);
    }
    // A length need not be said.
    let without_length = |metadata: ParquetMetaData| {
        with_chunks(metadata, |_, chunk| chunk.set_bloom_filter_length(None))
    };
    doubted(&layout, without_length, &wanted(900, 1000));
}
