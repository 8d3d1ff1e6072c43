//! A tiny table of each shape that the benches read, held against what its
//! generator says of it: a bench of a table that reads wrong measures nothing.

#[path = "../benches/log_shapes/mod.rs"]
mod log_shapes;

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use delta_engine::{Engine, Snapshot, Value, column};
use log_shapes::rows::{self, DATA_TABLES, DataTable};
use log_shapes::{SHAPES, Shape, Table};

fn made(table: Table) -> (tempfile::TempDir, Snapshot) {
    let folder = tempfile::tempdir().unwrap();
    table.write(folder.path()).unwrap();
    let engine = Engine::builder().threads(0).build().unwrap();
    let snapshot = engine.snapshot(folder.path().to_str().unwrap()).unwrap();
    (folder, snapshot)
}

/// Each live file's statistics and number of tags, by its path.
fn files(snapshot: &Snapshot) -> BTreeMap<String, (String, i64)> {
    let mut found = BTreeMap::new();
    let columns = ["path", "stats", "num_records", "tags", "partition", "deletion_vector"];
    for batch in snapshot.scan().columns(columns).files().unwrap() {
        let batch = batch.unwrap();
        let partition = batch.column(4).as_struct();
        assert!(partition.columns().iter().all(|column| column.null_count() == 0));
        for row in 0..batch.num_rows() {
            let path = batch.column(0).as_string::<i32>().value(row).to_owned();
            let stats = batch.column(1).as_string::<i32>().value(row).to_owned();
            let records = batch.column(2).as_primitive::<Int64Type>().value(row);
            assert!(records > 0, "{path}");
            assert_eq!(batch.column(3).as_map().value_length(row), 4, "{path}");
            assert!(
                found.insert(path.clone(), (stats, records)).is_none(),
                "{path} is twice there"
            );
        }
    }
    found
}

fn holds(name: &str, count: u64) -> BTreeMap<String, (String, i64)> {
    let table = Shape::named(name).unwrap().table(count);
    let (_folder, snapshot) = made(table);
    let files = files(&snapshot);
    assert_eq!(files.len() as u64, table.live_files(), "{name} of {count}");
    let one_day = column("date").equal(Value::Date(log_shapes::one_day()));
    let scan = snapshot.scan().columns(["path"]).filter(one_day).unwrap();
    let of_one_day: usize = scan.files().unwrap().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(of_one_day as u64, table.files_of_one_day(), "{name} of {count}, one day");
    files
}

macro_rules! each_shape {
    ($($name:ident: $count:literal gives $live:literal,)*) => {
        $(#[test]
        fn $name() {
            assert_eq!(holds(stringify!($name), $count).len(), $live);
        })*

        #[test]
        fn no_shape_is_left_out() {
            let names: Vec<_> = SHAPES.iter().map(|shape| shape.name).collect();
            for name in &names {
                assert!([$(stringify!($name)),*].contains(name), "{name} has no test");
            }
            assert_eq!(names.len(), [$($count),*].len());
        }
    };
}

each_shape! {
    small: 12 gives 5,
    checkpoint_100k: 1_000 gives 1_010,
    checkpoint_1m: 9_000 gives 9_050,
    checkpoint_4m: 200 gives 210,
    parts_1m: 1_003 gives 1_053,
    sidecars_1m: 1_003 gives 1_103,
    commits_10k: 210 gives 162,
    commits_40_big: 4_000 gives 3_610,
    stats_parsed_only: 500 gives 510,
    dated_1m: 1_000 gives 1_010,
    dv_heavy: 400 gives 420,
    wide_partitions: 300 gives 310,
    long_paths: 300 gives 310,
}

/// More parts than files, more commits than adds, no file at all.
#[test]
fn the_smallest_table_of_each_shape_is_a_table() {
    for shape in SHAPES {
        for count in [1, 2, 3] {
            holds(shape.name, count);
        }
    }
}

#[test]
fn statistics_are_the_same_in_either_form() {
    let text = holds("checkpoint_100k", 100);
    let parsed = holds("stats_parsed_only", 100);
    assert!(!text.is_empty());
    for (path, (stats, _)) in &text {
        assert_eq!(stats, &parsed[path].0);
        let length = stats.len();
        assert!((600..900).contains(&length), "{length} bytes of statistics");
    }
}

#[test]
fn a_table_is_the_same_every_time_and_another_for_another_seed() {
    let table = Shape::named("parts_1m").unwrap().table(50);
    let read = |table: Table| files(&made(table).1);
    let first = read(table);
    assert!(first == read(table));
    let other = read(Table { seed: table.seed + 1, ..table });
    assert!(first.keys().all(|path| !other.contains_key(path)));
}

#[test]
fn deletion_vectors_are_in_the_checkpoint_and_replaced_by_commits() {
    let (_folder, snapshot) = made(Shape::named("dv_heavy").unwrap().table(400));
    let mut with = 0;
    for batch in snapshot.scan().columns(["deletion_vector"]).files().unwrap() {
        let batch = batch.unwrap();
        with += batch.num_rows() - batch.column(0).null_count();
    }
    // 300 to begin with; of the ten that commits update, some had none.
    assert!((300..=310).contains(&with), "{with}");
}

/// So many rows that one container of a vector is an array and another a bitmap.
#[test]
fn a_data_table_has_all_rows_but_those_its_vectors_delete() {
    let table = DataTable { files: 2, rows_a_file: 70_000, ..DATA_TABLES[1] };
    let folder = tempfile::tempdir().unwrap();
    table.write(folder.path()).unwrap();
    let engine = Engine::builder().threads(2).build().unwrap();
    let snapshot = engine.snapshot(folder.path().to_str().unwrap()).unwrap();
    let mut ids = Vec::new();
    for batch in snapshot.scan().rows().unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch.num_columns(), rows::COLUMNS.len());
        ids.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
    }
    let deleted: std::collections::HashSet<i64> = (0..2)
        .flat_map(|file| table.deleted(file).into_iter().map(move |row| (file, row)))
        .map(|(file, row)| file as i64 * 70_000 + i64::from(row))
        .collect();
    assert!((13_000..15_000).contains(&deleted.len()), "{}", deleted.len());
    ids.sort_unstable();
    assert!(ids.into_iter().eq((0..140_000).filter(|id| !deleted.contains(id))));
}

#[test]
fn a_table_is_scaled_by_its_rows_or_by_its_files() {
    for table in DATA_TABLES {
        let small = DataTable::named(table.name).unwrap().scaled(0.01);
        assert_eq!(small.rows(), table.rows() / 100, "{}", table.name);
        assert!(small.files == table.files || small.rows_a_file == table.rows_a_file);
    }
}
