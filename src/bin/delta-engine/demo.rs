//! `demo`: makes a table, then looks at it with the commands a person would use.
//!
//! The table is the log of a busy event table just after a checkpoint: every
//! name and number in it follows from a seed, so two demos list the same. Its
//! data files do not exist, because listing a table never opens them. The
//! commands run as processes of their own, so that what they report is theirs.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, ListBuilder, MapBuilder, MapFieldNames,
    RecordBatch, StringArray, StringBuilder, StructArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use clap::Args;
use indicatif::{BinaryBytes, HumanCount};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::json;

use crate::Failure;
use crate::text::push_date;

const SEED: u64 = 0x00de_17a0;
/// 2024-06-01T00:00:00Z, when the checkpoint was written.
const CHECKPOINT_MS: i64 = 1_717_200_000_000;
const CHECKPOINT_VERSION: u64 = 100;
const COMMITS_AFTER: u64 = 10;
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 86_400_000;
/// 2023-06-01, the first of the year of dates that the table is partitioned by.
const FIRST_DAY: i64 = 19_509;
/// The rows of the checkpoint that are built at a time.
const BATCH_ROWS: u64 = 8_192;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The files that the table's checkpoint lists
    #[arg(long, value_name = "N", default_value_t = 200_000,
          value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    files: u64,

    /// Make the table in this new or empty folder, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Makes the table, and shows it.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Dropped, and so removed, at the end: also when a command fails.
    let mut temporary = None;
    let root = match &arguments.keep {
        Some(folder) => folder.clone(),
        None => {
            let made = tempfile::Builder::new().prefix("delta-engine-demo-").tempdir();
            let made = made.map_err(|e| Failure::said(format!("no temporary folder: {e}")))?;
            temporary.insert(made).path().to_owned()
        }
    };

    let started = Instant::now();
    let table = Table { files: arguments.files };
    let (checkpoint_bytes, commit_bytes) = table
        .write(&root)
        .map_err(|e| Failure::said(format!("cannot make a table in {}: {e}", root.display())))?;
    say(format_args!(
        "made {root} in {seconds:.1} s\n  \
         a checkpoint of {adds} adds and {tombstones} removes, one row group, {checkpoint}\n  \
         {COMMITS_AFTER} commits after it, each of {new} adds and {old} removes, {commits}\n  \
         so {live} live files; no data files, for a listing opens none",
        root = root.display(),
        seconds = started.elapsed().as_secs_f64(),
        adds = HumanCount(table.files),
        tombstones = HumanCount(table.tombstones()),
        checkpoint = BinaryBytes(checkpoint_bytes),
        new = HumanCount(table.adds_a_commit()),
        old = HumanCount(table.removes_a_commit()),
        commits = BinaryBytes(commit_bytes),
        live = HumanCount(table.live_files()),
    ))?;

    show(&root, &["snapshot"], usize::MAX)?;
    let few = ["files", "--columns", "path,size,modification_time,num_records"];
    show(&root, &few, 5)?;
    show(&root, &["files", "--format", "none", "--summary"], usize::MAX)?;

    match temporary {
        Some(folder) => {
            folder.close().map_err(Failure::said)?;
            say(format_args!("\nremoved it; --keep DIR keeps it"))
        }
        None => say(format_args!("\nkept it in {}", root.display())),
    }
}

fn say(line: std::fmt::Arguments<'_>) -> Result<(), Failure> {
    writeln!(io::stdout(), "{line}").map_err(Failure::of_output)
}

/// Runs this program on the table with `arguments`, and shows its first lines.
fn show(root: &Path, arguments: &[&str], lines_max: usize) -> Result<(), Failure> {
    let head = match lines_max {
        usize::MAX => String::new(),
        lines => format!(" | head -n {lines}"),
    };
    let (command, options) = arguments.split_first().unwrap_or((&"", &[]));
    let options: String = options.iter().map(|option| format!(" {option}")).collect();
    say(format_args!("\n$ delta-engine {command} {}{options}{head}", root.display()))?;

    let program = std::env::current_exe()
        .map_err(|e| Failure::said(format!("cannot find this program: {e}")))?;
    let mut child = Command::new(program)
        .arg(command)
        .arg(root)
        .args(&arguments[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::said(format!("cannot run this program: {e}")))?;
    let output = child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines());
    let shown = output.take(lines_max).try_for_each(|line| match line {
        Ok(line) => say(format_args!("{line}")),
        Err(error) => Err(Failure::said(error)),
    });
    // The pipe is closed by now, so a command cut short ends as well.
    let status = child.wait().map_err(Failure::said)?;
    shown?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::said(format!("the command above failed: {status}"))),
    }
}

/// The shape of the demonstration table. File `n` is the same wherever it is
/// spoken of; the first `files` of them are the checkpoint's.
struct Table {
    files: u64,
}

/// One data file, as an add action has it.
struct DataFile {
    path: String,
    date: String,
    size: i64,
    modification_time: i64,
    stats: String,
}

impl Table {
    fn adds_a_commit(&self) -> u64 {
        (self.files / 1_000).max(2)
    }

    /// Half of what is added, of the checkpoint's files while it has some.
    fn removes_a_commit(&self) -> u64 {
        (self.adds_a_commit() / 2).min(self.files / COMMITS_AFTER)
    }

    fn tombstones(&self) -> u64 {
        self.files / 200
    }

    fn live_files(&self) -> u64 {
        self.files + COMMITS_AFTER * (self.adds_a_commit() - self.removes_a_commit())
    }

    /// Writes the log below `root`, and says how many bytes the checkpoint and
    /// the commits after it have.
    fn write(&self, root: &Path) -> Result<(u64, u64), Box<dyn std::error::Error>> {
        let log = root.join("_delta_log");
        fs::create_dir_all(root)?;
        if fs::read_dir(root)?.next().is_some() {
            return Err("the folder is not empty".into());
        }
        fs::create_dir(&log)?;

        let checkpoint = log.join(format!("{CHECKPOINT_VERSION:020}.checkpoint.parquet"));
        let actions = self.write_checkpoint(&checkpoint)?;
        let checkpoint_bytes = fs::metadata(&checkpoint)?.len();
        let hint = json!({
            "version": CHECKPOINT_VERSION,
            "size": actions,
            "sizeInBytes": checkpoint_bytes,
            "numOfAddFiles": self.files,
        });
        fs::write(log.join("_last_checkpoint"), hint.to_string())?;

        // Older commits were cleaned up; the checkpoint's own is still there.
        let mut commit_bytes = 0;
        for version in CHECKPOINT_VERSION..=CHECKPOINT_VERSION + COMMITS_AFTER {
            let commit = self.commit(version);
            fs::write(log.join(format!("{version:020}.json")), &commit)?;
            if version > CHECKPOINT_VERSION {
                commit_bytes += commit.len() as u64;
            }
        }
        Ok((checkpoint_bytes, commit_bytes))
    }

    /// File `n`: a random-looking, reproducible version of what Spark writes.
    fn file(&self, n: u64) -> DataFile {
        let mut random = Random(SEED ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let date = date(FIRST_DAY + (n % 366) as i64);
        let path = format!("date={date}/part-{:05}-{}.c000.snappy.parquet", n % 200, random.uuid());

        let records = random.below(50_000) + 1;
        let first_id = n * 50_000;
        let first_user = random.below(1_000);
        let hour = random.below(12);
        let cents = random.below(90_000) + 10_000;
        let country = ["AT", "BR", "DE", "IN", "JP", "KE", "PT", "US"][random.below(8) as usize];
        let nulls = random.below(records);
        let stats = format!(
            "{{\"numRecords\":{records},\
             \"minValues\":{{\"event_id\":{first_id},\"event_time\":\"{date}T{hour:02}:00:00.000Z\",\
             \"user_id\":{first_user},\"country\":\"{country}\",\"amount\":0.01}},\
             \"maxValues\":{{\"event_id\":{last_id},\"event_time\":\"{date}T{last_hour:02}:59:59.999Z\",\
             \"user_id\":{last_user},\"country\":\"ZA\",\"amount\":{euros}.{rest:02}}},\
             \"nullCount\":{{\"event_id\":0,\"event_time\":0,\"user_id\":{nulls},\
             \"country\":0,\"amount\":0}}}}",
            last_id = first_id + records - 1,
            last_hour = hour + 11,
            last_user = first_user + 1_000_000,
            euros = cents / 100,
            rest = cents % 100,
        );
        DataFile {
            path,
            date,
            size: (records * 37 + random.below(4_096)) as i64,
            modification_time: CHECKPOINT_MS - DAY_MS + (n % 86_400) as i64 * 1_000,
            stats,
        }
    }

    /// One commit: commitInfo, then its adds and removes.
    fn commit(&self, version: u64) -> String {
        let place = version - CHECKPOINT_VERSION;
        let at = CHECKPOINT_MS + place as i64 * MINUTE_MS;
        let (adds, removes) = match place {
            // What the checkpoint's own commit added is in the checkpoint.
            0 => (0..self.adds_a_commit().min(self.files), 0..0),
            _ => {
                let first_add = self.files + (place - 1) * self.adds_a_commit();
                let first_remove = (place - 1) * self.removes_a_commit();
                (
                    first_add..first_add + self.adds_a_commit(),
                    first_remove..first_remove + self.removes_a_commit(),
                )
            }
        };
        let info = json!({"commitInfo": {
            "timestamp": at,
            "operation": if removes.is_empty() { "WRITE" } else { "MERGE" },
            "operationParameters": {"mode": "Append", "partitionBy": "[\"date\"]"},
            "readVersion": version - 1,
            "isolationLevel": "Serializable",
            "isBlindAppend": removes.is_empty(),
            "operationMetrics": {
                "numTargetFilesAdded": adds.clone().count().to_string(),
                "numTargetFilesRemoved": removes.clone().count().to_string(),
            },
            "engineInfo": "delta-engine demo",
            "txnId": Random::of(u64::MAX - version).uuid(),
        }});
        let mut commit = format!("{info}\n");
        for n in removes {
            let file = self.file(n);
            let remove = json!({"remove": {
                "path": file.path,
                "deletionTimestamp": at,
                "dataChange": true,
                "extendedFileMetadata": true,
                "partitionValues": {"date": file.date},
                "size": file.size,
            }});
            let _ = writeln!(commit, "{remove}");
        }
        for n in adds {
            let file = self.file(n);
            let add = json!({"add": {
                "path": file.path,
                "partitionValues": {"date": file.date},
                "size": file.size,
                "modificationTime": file.modification_time,
                "dataChange": true,
                "stats": file.stats,
            }});
            let _ = writeln!(commit, "{add}");
        }
        commit
    }

    /// Writes a classic V1 checkpoint as one row group, and returns how many
    /// actions it has.
    fn write_checkpoint(&self, path: &Path) -> Result<u64, Box<dyn std::error::Error>> {
        let schema = Arc::new(Schema::new(checkpoint_fields()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(None)
            .build();
        let mut writer =
            ArrowWriter::try_new(File::create(path)?, schema.clone(), Some(properties))?;
        let mut actions = 0;
        let mut write = |name: &str, values: Vec<ArrayRef>| {
            let batch = actions_named(&schema, name, values)?;
            actions += batch.num_rows() as u64;
            writer.write(&batch)?;
            Ok::<_, Box<dyn std::error::Error>>(())
        };

        write(
            "protocol",
            vec![Arc::new(Int32Array::from(vec![1])), Arc::new(Int32Array::from(vec![2]))],
        )?;
        write("metaData", metadata_columns()?)?;
        write(
            "txn",
            vec![
                strings(["demo-ingest"]),
                Arc::new(Int64Array::from(vec![CHECKPOINT_VERSION as i64])),
                Arc::new(Int64Array::from(vec![CHECKPOINT_MS])),
            ],
        )?;
        for first in (0..self.files).step_by(BATCH_ROWS as usize) {
            let rows = first..self.files.min(first + BATCH_ROWS);
            let files: Vec<_> = rows.map(|n| self.file(n)).collect();
            write("add", add_columns(&files)?)?;
        }
        // Files that went before the checkpoint, kept for VACUUM to see. Their
        // numbers are beyond every file that is added.
        let gone = self.files * 2 + COMMITS_AFTER * self.adds_a_commit();
        for first in (0..self.tombstones()).step_by(BATCH_ROWS as usize) {
            let rows = first..self.tombstones().min(first + BATCH_ROWS);
            let files: Vec<_> = rows.map(|n| self.file(gone + n)).collect();
            write("remove", remove_columns(&files)?)?;
        }
        writer.close()?;
        Ok(actions)
    }
}

/// Rows that hold the action `name` alone: every other column is null.
fn actions_named(
    schema: &Arc<Schema>,
    name: &str,
    values: Vec<ArrayRef>,
) -> Result<RecordBatch, arrow::error::ArrowError> {
    let rows = values[0].len();
    let mut columns: Vec<ArrayRef> =
        schema.fields().iter().map(|field| new_null_array(field.data_type(), rows)).collect();
    let place = schema.index_of(name)?;
    if let DataType::Struct(fields) = schema.field(place).data_type() {
        columns[place] = Arc::new(StructArray::try_new(fields.clone(), values, None)?);
    }
    RecordBatch::try_new(schema.clone(), columns)
}

/// The checkpoint's columns, as the protocol's "Checkpoint Schema" has them.
fn checkpoint_fields() -> Fields {
    use DataType::{Boolean, Int32, Int64, Utf8};
    let action = |name: &str, fields: Vec<Field>| nullable(name, DataType::Struct(fields.into()));
    Fields::from(vec![
        action(
            "txn",
            vec![
                nullable("appId", Utf8),
                nullable("version", Int64),
                nullable("lastUpdated", Int64),
            ],
        ),
        action(
            "add",
            vec![
                nullable("path", Utf8),
                nullable("partitionValues", map()),
                nullable("size", Int64),
                nullable("modificationTime", Int64),
                nullable("dataChange", Boolean),
                nullable("tags", map()),
                nullable("stats", Utf8),
            ],
        ),
        action(
            "remove",
            vec![
                nullable("path", Utf8),
                nullable("deletionTimestamp", Int64),
                nullable("dataChange", Boolean),
                nullable("extendedFileMetadata", Boolean),
                nullable("partitionValues", map()),
                nullable("size", Int64),
            ],
        ),
        action("metaData", metadata_fields()),
        action(
            "protocol",
            vec![nullable("minReaderVersion", Int32), nullable("minWriterVersion", Int32)],
        ),
    ])
}

fn metadata_fields() -> Vec<Field> {
    use DataType::{Int64, Utf8};
    let format = vec![nullable("provider", Utf8), nullable("options", map())];
    vec![
        nullable("id", Utf8),
        nullable("name", Utf8),
        nullable("description", Utf8),
        nullable("format", DataType::Struct(format.into())),
        nullable("schemaString", Utf8),
        nullable("partitionColumns", DataType::List(Arc::new(nullable("element", Utf8)))),
        nullable("configuration", map()),
        nullable("createdTime", Int64),
    ]
}

fn nullable(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

/// A map of strings, named as Parquet's own specification names its parts.
fn map() -> DataType {
    let entries = vec![
        Arc::new(Field::new("key", DataType::Utf8, false)),
        Arc::new(nullable("value", DataType::Utf8)),
    ];
    let entries = DataType::Struct(entries.into());
    DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
}

fn maps<'a, M>(maps: impl IntoIterator<Item = M>) -> Result<ArrayRef, arrow::error::ArrowError>
where
    M: IntoIterator<Item = (&'a str, &'a str)>,
{
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for entries in maps {
        for (key, value) in entries {
            builder.keys().append_value(key);
            builder.values().append_value(value);
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn strings<'a>(values: impl IntoIterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn booleans(value: bool, rows: usize) -> ArrayRef {
    Arc::new(BooleanArray::from(vec![value; rows]))
}

fn add_columns(files: &[DataFile]) -> Result<Vec<ArrayRef>, arrow::error::ArrowError> {
    Ok(vec![
        strings(files.iter().map(|file| file.path.as_str())),
        maps(files.iter().map(|file| [("date", file.date.as_str())]))?,
        integers(files.iter().map(|file| file.size)),
        integers(files.iter().map(|file| file.modification_time)),
        // "dataChange" is false in a checkpoint: it changes nothing.
        booleans(false, files.len()),
        new_null_array(&map(), files.len()),
        strings(files.iter().map(|file| file.stats.as_str())),
    ])
}

fn remove_columns(files: &[DataFile]) -> Result<Vec<ArrayRef>, arrow::error::ArrowError> {
    Ok(vec![
        strings(files.iter().map(|file| file.path.as_str())),
        integers(files.iter().map(|_| CHECKPOINT_MS - MINUTE_MS)),
        booleans(false, files.len()),
        booleans(true, files.len()),
        maps(files.iter().map(|file| [("date", file.date.as_str())]))?,
        integers(files.iter().map(|file| file.size)),
    ])
}

fn metadata_columns() -> Result<Vec<ArrayRef>, arrow::error::ArrowError> {
    let field = |name: &str, kind: &str, nullable: bool| json!({"name": name, "type": kind, "nullable": nullable, "metadata": {}});
    let schema = json!({"type": "struct", "fields": [
        field("event_id", "long", false),
        field("event_time", "timestamp", false),
        field("user_id", "long", true),
        field("country", "string", true),
        field("amount", "decimal(18,2)", true),
        field("date", "date", true),
    ]});
    let format = vec![nullable("provider", DataType::Utf8), nullable("options", map())];
    let no_options: [(&str, &str); 0] = [];
    let format =
        StructArray::try_new(format.into(), vec![strings(["parquet"]), maps([no_options])?], None)?;
    let mut partition_columns =
        ListBuilder::new(StringBuilder::new()).with_field(nullable("element", DataType::Utf8));
    partition_columns.values().append_value("date");
    partition_columns.append(true);
    Ok(vec![
        strings([Random::of(u64::MAX).uuid().as_str()]),
        strings(["events"]),
        strings(["what delta-engine demo made"]),
        Arc::new(format),
        strings([schema.to_string().as_str()]),
        Arc::new(partition_columns.finish()),
        maps([[("delta.checkpointInterval", "100")]])?,
        integers([CHECKPOINT_MS - 366 * DAY_MS]),
    ])
}

/// SplitMix64: a seed's own sequence, with no dependency to agree with.
struct Random(u64);

impl Random {
    /// The sequence of thing `n`. The seed is mixed, because those of neighbours
    /// would else run into one another.
    fn of(n: u64) -> Self {
        Random(Random(SEED ^ n).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A random UUID, of version 4 and variant 1.
    fn uuid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0x0fff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff,
        )
    }
}

fn date(day: i64) -> String {
    let mut out = Vec::new();
    push_date(&mut out, day);
    String::from_utf8_lossy(&out).into_owned()
}
