//! Data files that are not what a writer left there. Reading one ends, soon and
//! within little memory, with an error that names it or with as many rows as
//! there are; and what is delivered is sound, whatever the file holds. A bit that
//! flips within a value cannot be seen.

mod common;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field};
use common::*;
use delta_engine::arrow;
use delta_engine::{ErrorKind, Result, Snapshot};
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use peak_alloc::PeakAlloc;
use serde_json::{Value, json};

#[global_allocator]
static COUNTING: PeakAlloc = PeakAlloc;

/// The tests count memory, so one runs after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const MIB: usize = 1 << 20;
/// What reading a file of a few kilobytes may take: a page that claims to be as
/// large as any page may be.
const READ_BYTES_MAX: usize = 300 * MIB;
const FILE: &str = "a.parquet";

/// Rows of every type: nulls, empty ones, texts that a dictionary has and others.
fn rows(count: usize) -> RecordBatch {
    let three = rows_of_every_type();
    let all = concat_batches(&three.schema(), vec![&three; count.div_ceil(3)]).unwrap();
    let texts = (0..all.num_rows()).map(|row| match row % 5 {
        0 => None,
        1 => Some("again and again".to_owned()),
        _ => Some(format!("the text of row {row}, which is no other's")),
    });
    let texts: ArrayRef = Arc::new(StringArray::from_iter(texts));
    let at = all.schema().index_of("string").unwrap();
    let mut columns = all.columns().to_vec();
    columns[at] = texts;
    RecordBatch::try_new(all.schema(), columns).unwrap().slice(0, count)
}

/// A table of one file, `bytes`, and the rows that it has.
struct Target {
    /// Its directory, which lasts as long.
    _table: TestTable,
    snapshot: Snapshot,
    path: PathBuf,
    whole: Vec<u8>,
    rows: usize,
}

impl Target {
    /// A file of these rows of every type, some of which may be deleted.
    fn new(batch: &RecordBatch, layout: &FileLayout, dv: Option<(Value, usize)>) -> Target {
        let deleted = dv.as_ref().map_or(0, |(_, count)| *count);
        let rows = batch.num_rows() - deleted;
        let bytes = layout.parquet_of(batch);
        Target::of(schema_of_every_type(), bytes, dv.map(|(dv, _)| dv), rows)
    }

    fn of(schema: Value, bytes: Vec<u8>, dv: Option<Value>, rows: usize) -> Target {
        let table = TestTable::new();
        let path = table.root().join(FILE);
        std::fs::create_dir_all(table.root()).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let file = add(FILE).size(bytes.len() as i64);
        let file = match dv {
            Some(dv) => file.dv(dv),
            None => file,
        };
        let features = ["deletionVectors", "timestampNtz", "variantType"];
        let metadata = metadata("a long").with("schemaString", schema.to_string());
        let table = table.commit([protocol_features(&features, &features), metadata, file]);
        let snapshot = engine(2).snapshot(table.root().to_str().unwrap()).unwrap();
        Target { _table: table, snapshot, path, whole: bytes, rows }
    }
}

/// A table's schema of one column.
fn schema_of(name: &str, data_type: Value) -> Value {
    let field = json!({"name": name, "type": data_type, "nullable": true, "metadata": {}});
    json!({"type": "struct", "fields": [field]})
}

/// Reads all rows, and looks at every array as a stranger would.
fn read(snapshot: &Snapshot, threads: usize) -> Result<usize> {
    let mut rows = 0;
    for batch in snapshot.scan().threads(threads).rows()? {
        let batch = batch?;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            assert_eq!(field.data_type(), column.data_type());
            column.to_data().validate_full().unwrap_or_else(|e| panic!("{}: {e}", field.name()));
        }
        rows += batch.num_rows();
    }
    Ok(rows)
}

/// What is wrong with the answer to a broken file, if something is.
fn complaint(read: std::thread::Result<Result<usize>>, rows: usize, peak: usize) -> Option<String> {
    if peak > READ_BYTES_MAX {
        return Some(format!("takes {} MiB", peak / MIB));
    }
    match read {
        Err(panic) => Some(format!("panics: {}", text_of_panic(&*panic))),
        Ok(Ok(found)) => (found != rows).then(|| format!("gives {found} rows of {rows}")),
        Ok(Err(e)) if e.kind() == ErrorKind::Bug => Some(e.to_string()),
        Ok(Err(e)) => (!e.message().contains("a.parquet")).then(|| e.to_string()),
    }
}

/// Reads a file again and again, broken by `break_it` in all of these ways.
fn break_in_every_way<W: Clone + Send + std::fmt::Debug + 'static>(
    target: &Target,
    ways: impl IntoIterator<Item = W>,
    break_it: impl Fn(&mut Vec<u8>, &W) + Copy + Send + 'static,
) -> Vec<String> {
    assert_eq!(read(&target.snapshot, 0).unwrap(), target.rows);
    let mut ways: VecDeque<W> = ways.into_iter().collect();
    let mut wrong = Vec::new();
    let mut hanging = 0;
    let mut errors = 0;
    while !ways.is_empty() && hanging < 3 {
        // One thread goes on until it is done or hangs; then another takes over.
        let (snapshot, whole) = (target.snapshot.clone(), target.whole.clone());
        let (path, rows, todo) = (target.path.clone(), target.rows, ways.clone());
        let (done, results) = mpsc::channel();
        std::thread::spawn(move || {
            for (n, way) in todo.into_iter().enumerate() {
                let mut broken = whole.clone();
                break_it(&mut broken, &way);
                std::fs::write(&path, &broken).unwrap();
                let before = COUNTING.current_usage();
                COUNTING.reset_peak_usage();
                // Serially as a rule, where a panic is not contained.
                let threads = if n % 16 == 0 { 2 } else { 0 };
                let read = catch_unwind(AssertUnwindSafe(|| read(&snapshot, threads)));
                let peak = COUNTING.peak_usage().saturating_sub(before);
                let is_error = matches!(read, Ok(Err(_)));
                if done.send((is_error, complaint(read, rows, peak))).is_err() {
                    return;
                }
            }
        });
        while let Some(way) = ways.pop_front() {
            match results.recv_timeout(Duration::from_secs(20)) {
                Ok((is_error, complaint)) => {
                    errors += usize::from(is_error);
                    wrong.extend(complaint.map(|what| format!("{way:?} {what}")));
                }
                Err(_) => {
                    wrong.push(format!("{way:?} hangs"));
                    hanging += 1;
                    break;
                }
            }
        }
    }
    std::fs::write(&target.path, &target.whole).unwrap();
    assert!(errors > 0, "nothing was broken");
    wrong
}

/// Bits, of which more lie in the footer and in what is near it than elsewhere.
fn bits(target: &Target, seed: u64, count: usize) -> Vec<(usize, u8)> {
    let mut numbers = Numbers::from_seed(seed);
    (0..count)
        .map(|_| (numbers.below(target.whole.len() as u64) as usize, numbers.below(8) as u8))
        .collect()
}

fn flip(bytes: &mut [u8], (byte, bit): &(usize, u8)) {
    bytes[*byte] ^= 1 << bit;
}

fn layouts() -> Vec<(&'static str, FileLayout)> {
    let plain = FileLayout::default;
    vec![
        ("snappy", plain().row_group_rows(50)),
        ("small pages", plain().row_group_rows(70).page_rows(7)),
        ("bare", plain().compression(Compression::UNCOMPRESSED).no_page_index()),
        ("zstd", plain().compression(Compression::ZSTD(ZstdLevel::default())).second_version()),
        ("gzip", plain().compression(Compression::GZIP(GzipLevel::default())).row_group_rows(64)),
        ("plain", plain().compression(Compression::UNCOMPRESSED).encoding(Encoding::PLAIN)),
        ("lz4", plain().compression(Compression::LZ4_RAW).second_version().page_rows(20)),
    ]
}

/// Deleted rows: single ones, and all of a row group.
fn deleted() -> Option<(Value, usize)> {
    let rows: Vec<u64> = (0..50).chain([60, 61, 119]).collect();
    Some((inline_dv(&rows), rows.len()))
}

#[test]
fn flipped_bits_end_in_an_error_or_in_as_many_rows() {
    const FLIPS: usize = 210;
    let _alone = alone();
    let mut wrong = Vec::new();
    for (seed, (name, layout)) in layouts().into_iter().enumerate() {
        let target = Target::new(&rows(120), &layout, None);
        let mut found =
            break_in_every_way(&target, bits(&target, seed as u64, FLIPS), |bytes, way| {
                flip(bytes, way)
            });
        let target = Target::new(&rows(120), &layout, deleted());
        let flips = bits(&target, 100 + seed as u64, FLIPS / 3);
        found.extend(break_in_every_way(&target, flips, |bytes, way| flip(bytes, way)));
        wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{}: {wrong:#?}", wrong.len());
}

#[test]
fn a_file_that_ends_early_or_is_another_is_an_error_or_has_that_ones_rows() {
    let _alone = alone();
    for (name, layout) in layouts().into_iter().take(3) {
        let target = Target::new(&rows(20), &layout, None);
        let len = target.whole.len();
        let ends = (0..len).filter(|end| *end < 40 || *end + 400 > len || end % 97 == 0);
        let found = break_in_every_way(&target, ends, |bytes, end| bytes.truncate(*end));
        assert!(found.is_empty(), "{name}: {found:#?}");
        // Without its first bytes, and with others behind it.
        let found = break_in_every_way(&target, 1..80, |bytes, count: &usize| {
            bytes.drain(..*count);
        });
        assert!(found.is_empty(), "{name}: {found:#?}");
        let found = break_in_every_way(&target, 1..20, |bytes, count: &usize| {
            bytes.extend(vec![0; *count]);
        });
        assert!(found.is_empty(), "{name}: {found:#?}");
    }
    // Another table's file, of columns by these names that are other things.
    let target = Target::new(&rows(20), &FileLayout::default(), None);
    let others = [
        RecordBatch::try_from_iter([("list", target_column(&rows(9), "long"))]),
        RecordBatch::try_from_iter([("long", target_column(&rows(9), "map"))]),
        RecordBatch::try_from_iter([("struct", target_column(&rows(9), "list"))]),
    ];
    for other in others {
        let other = FileLayout::default().parquet_of(&other.unwrap());
        std::fs::write(&target.path, other).unwrap();
        assert_error(read(&target.snapshot, 2), ErrorKind::CorruptLog, &["a.parquet"]);
    }
    let fewer = FileLayout::default().parquet_of(&rows(7));
    std::fs::write(&target.path, fewer).unwrap();
    assert_eq!(read(&target.snapshot, 2).unwrap(), 7);
}

fn target_column(batch: &RecordBatch, name: &str) -> ArrayRef {
    batch.column_by_name(name).unwrap().clone()
}

/// Row groups that are cut where pages begin, by an offset index that may be wrong.
#[test]
fn flipped_bits_of_a_file_that_is_read_in_pieces_end_alike() {
    const FLIPS: usize = 60;
    let _alone = alone();
    let rows = 3000;
    // Forty megabytes decoded, of a file of a few kilobytes.
    let texts = ["x".repeat(100 << 10), "short".to_owned()];
    let text = |row: usize| texts[usize::from(!row.is_multiple_of(7) || row > 2800)].as_str();
    let strings: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(text)));
    let longs: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let columns = [("string", strings, true), ("long", longs, true)];
    let mut columns = columns.to_vec();
    columns.push(("list", target_column(&self::rows(rows), "list"), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let layout = FileLayout::default().page_rows(100);
    let dead: Vec<u64> = (0..300).chain([2999]).collect();
    for (seed, layout, dv) in [
        (1, layout.clone(), None),
        (
            2,
            layout.compression(Compression::ZSTD(ZstdLevel::default())),
            Some((inline_dv(&dead), 301)),
        ),
    ] {
        let target = Target::new(&batch, &layout, dv);
        let is_cut = |target: &Target| {
            let mut rows = target.snapshot.scan().rows().unwrap();
            rows.by_ref().for_each(|batch| drop(batch.unwrap()));
            // One unit is of the log.
            rows.progress_handle().read().units_decoded > 2
        };
        assert!(is_cut(&target));
        let len = target.whole.len();
        let flips = bits(&target, seed, FLIPS).into_iter().map(|(byte, bit)| {
            // The text is most of what is not packed, and nothing is to be seen there.
            (if byte < len / 2 { len - 1 - byte } else { byte }, bit)
        });
        let found = break_in_every_way(&target, flips, |bytes, way| flip(bytes, way));
        assert!(found.is_empty(), "{found:#?}");
    }
}

/// Variants, some of whose values are in a column of numbers.
fn variants(values: ArrayRef, typed: ArrayRef) -> Target {
    // One name: `a`.
    const METADATA: &[u8] = &[0x11, 1, 0, 1, b'a'];
    let rows = values.len();
    let field = |name: &str, data_type, nullable| Arc::new(Field::new(name, data_type, nullable));
    let fields = vec![
        field("metadata", DataType::Binary, false),
        field("value", DataType::Binary, true),
        field("typed_value", DataType::Int64, true),
    ];
    let metadata = BinaryArray::from_iter_values((0..rows).map(|_| METADATA));
    let children = vec![Arc::new(metadata) as _, values, typed];
    let variants: ArrayRef = Arc::new(StructArray::new(fields.into(), children, None));
    let batch = RecordBatch::try_from_iter_with_nullable([("v", variants, true)]).unwrap();
    let layout = FileLayout::default().compression(Compression::UNCOMPRESSED).no_page_index();
    let bytes = layout.encoding(Encoding::PLAIN).parquet_of(&batch);
    Target::of(schema_of("v", json!("variant")), bytes, None, rows)
}

/// A shredded variant is put together by what its bytes say.
#[test]
fn flipped_bits_of_a_variant_end_alike() {
    const FLIPS: usize = 300;
    // An object, whose field `a` is 5, and the number 7.
    const VALUES: [&[u8]; 2] = [&[0x02, 1, 0, 0, 2, 0x0c, 5], &[0x0c, 7]];
    let _alone = alone();
    let is_typed = |row: usize| row.is_multiple_of(3);
    let values = (0..40).map(|row| (!is_typed(row)).then_some(VALUES[row % 2]));
    let typed = (0..40).map(|row| is_typed(row).then_some(row as i64));
    let target =
        variants(Arc::new(BinaryArray::from_iter(values)), Arc::new(Int64Array::from_iter(typed)));
    let pages = target.whole.len() / 2;
    let flips = bits(&target, 7, FLIPS).into_iter().map(|(byte, bit)| (byte % pages, bit));
    let found = break_in_every_way(&target, flips, |bytes, way| flip(bytes, way));
    assert!(found.is_empty(), "{found:#?}");
}

/// Lists in lists: to look into them would take a stack as deep.
#[test]
fn a_variant_of_any_depth_is_read_or_refused() {
    let _alone = alone();
    for depth in [1, 100, 100_000] {
        // Lists of one element, with offsets of four bytes; in the last is a null.
        let mut value = vec![0];
        for _ in 0..depth {
            let len = (value.len() as u32).to_le_bytes();
            value = [&[0x0f, 1, 0, 0, 0, 0][..], &len, &value].concat();
        }
        let values: ArrayRef = Arc::new(BinaryArray::from_iter_values([&value]));
        let target = variants(values, Arc::new(Int64Array::from(vec![None])));
        let read = without_hanging(move || read(&target.snapshot, 2));
        assert!(
            read.as_ref().map_or_else(|e| e.kind() == ErrorKind::CorruptLog, |&n| n == 1),
            "{depth}: {read:?}"
        );
    }
}

/// A table of one column, `a`, and what reading a file of it comes to: the answer,
/// and the memory it took.
fn read_raw(data_type: Value, file: &RawFile) -> (Result<Vec<RecordBatch>>, usize) {
    let target = Target::of(schema_of("a", data_type), file.bytes(), None, file.rows as usize);
    without_hanging(move || {
        let before = COUNTING.current_usage();
        COUNTING.reset_peak_usage();
        let read = target.snapshot.scan().rows().and_then(Iterator::collect);
        (read, COUNTING.peak_usage().saturating_sub(before))
    })
}

/// What a text is in a page.
fn plain(text: &str) -> Vec<u8> {
    [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

const TEXT: &str = "message m { required binary a (UTF8); }";
const LONG: &str = "message m { required int64 a; }";

fn of_text(rows: u64, pages: Vec<RawPage>) -> RawFile {
    RawFile {
        message: TEXT,
        compression: Compression::UNCOMPRESSED,
        rows: rows as i64,
        values: rows as i64,
        uncompressed_bytes: 2 << 20,
        pages,
    }
}

#[test]
fn a_text_that_every_row_refers_to_is_a_limit_before_it_is_memory() {
    let _alone = alone();
    let long = "x".repeat(MIB);
    let dictionary = || RawPage::dictionary(2, &[plain(&long), plain("short")].concat());
    let referring = |runs: &[Vec<u8>]| [vec![1], runs.concat()].concat();
    // A terabyte.
    for (page_rows, pages) in [(1_000_000, 1), (1000, 1000)] {
        let page = || {
            RawPage::data(
                page_rows,
                Encoding::RLE_DICTIONARY,
                &referring(&[run(page_rows as u64, 0)]),
            )
        };
        let pages = std::iter::once(dictionary()).chain((0..pages).map(|_| page())).collect();
        let (read, peak) = read_raw("string".into(), &of_text(1_000_000, pages));
        assert_error(read, ErrorKind::LimitExceeded, &["a.parquet"]);
        assert!(peak < 100 * MIB, "{} MiB", peak / MIB);
    }
    // One long text among many short ones, and some beside each other.
    let (rows, long_rows) = (100_000, 40);
    for before in [0, 77_777, rows - long_rows] {
        let runs = [run(before, 1), run(long_rows, 0), run(rows - long_rows - before, 1)];
        let body = referring(&runs);
        let data = RawPage::data(rows as i32, Encoding::RLE_DICTIONARY, &body);
        let (read, peak) = read_raw("string".into(), &of_text(rows, vec![dictionary(), data]));
        let batches = read.unwrap();
        let texts = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>());
        let is_long = |row: usize| (before..before + long_rows).contains(&(row as u64));
        assert!(texts.enumerate().all(|(row, text)| {
            text == Some(if is_long(row) { long.as_str() } else { "short" })
        }));
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64, rows);
        assert!(batches.iter().all(|batch| batch.num_rows() <= 8192));
        assert!(peak < 300 * MIB, "{} MiB", peak / MIB);
    }
}

#[test]
fn lengths_that_make_much_of_little_are_refused() {
    let _alone = alone();
    // 128 in a block, of four parts.
    let lengths = |count: u64, first: u64, blocks: &[u8]| {
        [varint(128), varint(4), varint(count), varint(first << 1), blocks.to_vec()].concat()
    };
    let data = |rows: u64, encoding, body: &[u8]| {
        of_text(rows, vec![RawPage::data(rows as i32, encoding, body)])
    };
    // More lengths than a process can have memory for.
    for encoding in [Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
        for claimed in [11, 1 << 33, 1 << 60] {
            let (read, peak) =
                read_raw("string".into(), &data(10, encoding, &lengths(claimed, 0, &[])));
            assert_error(read, ErrorKind::CorruptLog, &["a.parquet"]);
            assert!(peak < 50 * MIB, "{} MiB", peak / MIB);
        }
    }
    let numbers = RawFile {
        message: LONG,
        ..data(10, Encoding::DELTA_BINARY_PACKED, &lengths(1 << 60, 0, &[]))
    };
    assert_error(read_raw("long".into(), &numbers).0, ErrorKind::CorruptLog, &["a.parquet"]);

    // The second text has all of the first and nothing more, and so has each.
    let rows = 100_000_u64;
    let same = |to: u64| {
        // From zero to `to`, and then differences of zero.
        let mut blocks =
            [varint(0), vec![32, 0, 0, 0], (to as u32).to_le_bytes().to_vec()].concat();
        blocks.resize(blocks.len() + 124, 0);
        (1..(rows - 1).div_ceil(128)).for_each(|_| blocks.extend([0; 5]));
        blocks
    };
    let suffixes = |len: u64| {
        let step = -(len as i64);
        let zigzag = ((step << 1) ^ (step >> 63)) as u64;
        // The least difference is the first one's, so the others are as far above it.
        let mut blocks = [varint(zigzag), vec![32, 32, 32, 32]].concat();
        for i in 0..128 {
            blocks.extend((if i == 0 { 0 } else { len as u32 }).to_le_bytes());
        }
        (1..(rows - 1).div_ceil(128)).for_each(|_| blocks.extend([0; 5]));
        lengths(rows, len, &blocks)
    };
    for (len, is_limit) in [(MIB, true), (100, false)] {
        let prefixes = lengths(rows, 0, &same(len as u64));
        let text = "x".repeat(len);
        let body = [prefixes, suffixes(len as u64), text.clone().into_bytes()].concat();
        let (read, peak) =
            read_raw("string".into(), &data(rows, Encoding::DELTA_BYTE_ARRAY, &body));
        if is_limit {
            assert_error(read, ErrorKind::LimitExceeded, &["a.parquet"]);
        } else {
            let batches = read.unwrap();
            let texts = batches.iter().flat_map(|batch| batch.column(0).as_string::<i32>());
            assert_eq!(texts.map(|read| assert_eq!(read, Some(&*text))).count() as u64, rows);
        }
        assert!(peak < 100 * MIB, "{} MiB", peak / MIB);
    }
}

#[test]
fn values_that_are_not_there_take_no_memory() {
    let _alone = alone();
    // One row of two billion nulls; a footer that says so, and one that does not.
    let count = i32::MAX;
    let list = json!({"type": "array", "elementType": "long", "containsNull": true});
    let elements =
        [levels(&[run(1, 0), run(count as u64 - 1, 1)]), levels(&[run(count as u64, 2)])];
    for (values, kind) in [(count.into(), ErrorKind::LimitExceeded), (9, ErrorKind::CorruptLog)] {
        let file = RawFile {
            message: "message m { optional group a (LIST) { repeated group list {
                optional int64 element; } } }",
            compression: Compression::UNCOMPRESSED,
            rows: 1,
            values,
            uncompressed_bytes: 100,
            pages: vec![RawPage::data(count, Encoding::PLAIN, &elements.concat())],
        };
        let (read, peak) = read_raw(list.clone(), &file);
        assert_error(read, kind, &["a.parquet"]);
        assert!(peak < 50 * MIB, "{} MiB", peak / MIB);
    }
    // A dictionary of as many values, of which there is one.
    for (message, schema, one) in [(LONG, "long", vec![0; 8]), (TEXT, "string", plain("x"))] {
        for claimed in [2, i32::MAX] {
            let page = RawPage::data(5, Encoding::RLE_DICTIONARY, &[vec![1], run(5, 0)].concat());
            let pages = vec![RawPage::dictionary(claimed, &one), page];
            let (read, peak) = read_raw(schema.into(), &RawFile { message, ..of_text(5, pages) });
            assert_error(read, ErrorKind::CorruptLog, &["a.parquet"]);
            assert!(peak < 50 * MIB, "{} MiB", peak / MIB);
        }
    }
}

#[test]
fn a_schema_of_any_depth_or_width_is_an_error() {
    let _alone = alone();
    let groups = |count: usize, children: u64| {
        // Required, by the name `a`.
        let one = [&[0x35, 0, 0x18, 1, b'a', 0x15][..], &varint(children << 1), &[0]].concat();
        let list = [&[0x15, 2, 0x19, 0xfc][..], &varint(count as u64), &one.repeat(count)].concat();
        let footer = [&list[..], &[0x16, 0, 0x19, 0x0c, 0]].concat();
        [&b"PAR1"[..], &footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
    };
    for bytes in [groups(300_000, 1), groups(1000, i32::MAX as u64), groups(1, i32::MAX as u64)] {
        let target = Target::of(schema_of("a", json!("long")), bytes, None, 0);
        let snapshot = target.snapshot.clone();
        let read = without_hanging(move || {
            let before = COUNTING.current_usage();
            COUNTING.reset_peak_usage();
            (read(&snapshot, 2), COUNTING.peak_usage().saturating_sub(before))
        });
        assert_error(read.0, ErrorKind::CorruptLog, &["a.parquet", "schema"]);
        assert!(read.1 < 50 * MIB, "{} MiB", read.1 / MIB);
    }
}

#[test]
fn a_page_that_unpacks_into_more_than_it_claims_is_refused_with_little_memory() {
    let _alone = alone();
    const ZEROS: usize = 24 * MIB;
    let zeros = |mut writer: Box<dyn std::io::Write + '_>| {
        let part = vec![0; MIB];
        (0..ZEROS / MIB).for_each(|_| writer.write_all(&part).unwrap());
    };
    let (mut gzip, mut brotli, mut lz4) = (Vec::new(), Vec::new(), Vec::new());
    zeros(Box::new(flate2::write::GzEncoder::new(&mut gzip, flate2::Compression::fast())));
    zeros(Box::new(brotli::CompressorWriter::new(&mut brotli, 4096, 0, 22)));
    zeros(Box::new(lz4_flex::frame::FrameEncoder::new(&mut lz4).auto_finish()));
    // Zstandard: a header, and blocks that repeat a byte.
    const BLOCK: usize = 128 << 10;
    let mut zstd = [&0xfd2f_b528_u32.to_le_bytes()[..], &[0, 0x38]].concat();
    for block in 1..=ZEROS / BLOCK {
        let header = u32::from(block == ZEROS / BLOCK) | 1 << 1 | (BLOCK as u32) << 3;
        zstd.extend(&header.to_le_bytes()[..3]);
        zstd.push(0);
    }
    for (compression, packed) in [
        (Compression::GZIP(Default::default()), gzip),
        (Compression::BROTLI(Default::default()), brotli),
        (Compression::LZ4, lz4),
        (Compression::ZSTD(Default::default()), zstd),
    ] {
        assert!(packed.len() < MIB, "{compression:?}: {}", packed.len());
        // What there should be, and what no page may have.
        for claimed in [8_i32, i32::MAX] {
            let file = RawFile {
                message: LONG,
                compression,
                uncompressed_bytes: 8,
                ..of_text(1, vec![RawPage::packed(1, Encoding::PLAIN, claimed, &packed)])
            };
            let (read, peak) = read_raw("long".into(), &file);
            assert_error(read, ErrorKind::CorruptLog, &["a.parquet"]);
            assert!(peak < 16 * MIB, "{compression:?}: {} MiB", peak / MIB);
        }
    }
}
