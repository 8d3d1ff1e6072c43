//! The lines of one commit.

use super::data_file::{COLUMNS, DataFile, Random, partition_columns, push_key, push_number};
use super::{CHECKPOINT_MS, CHECKPOINT_VERSION, Change, DAY_MS, Kind, MINUTE_MS, Table};

/// Appends the commit: `commitInfo` first, then what it does.
pub(super) fn append(table: &Table, change: &Change, out: &mut Vec<u8>) {
    let at = match table.shape.has_checkpoint() {
        true => CHECKPOINT_MS + (change.version - CHECKPOINT_VERSION) * MINUTE_MS,
        false => CHECKPOINT_MS - 30 * DAY_MS + change.version * MINUTE_MS,
    };
    push_commit_info(table, change, at, out);
    if table.begins_with(change.version) {
        push_protocol(table, out);
        push_metadata(table, out);
    }
    push_transaction(change.version, at, out);

    let mut stats = Vec::new();
    for n in change.removes.numbers() {
        push_remove(&table.file(n), at, out);
        if table.shape.kind == Kind::DeletionVectors {
            push_add(&table.file_updated(n), &mut stats, out);
        }
    }
    for n in change.adds.clone() {
        push_add(&table.file(n), &mut stats, out);
    }
}

fn push_commit_info(table: &Table, change: &Change, at: u64, out: &mut Vec<u8>) {
    let adds = change.adds.end - change.adds.start;
    let removes = change.removes.count;
    let operation = if removes == 0 { "WRITE" } else { "MERGE" };
    let read_version = match change.version {
        0 => String::new(),
        version => format!("\"readVersion\":{},", version - 1),
    };
    let id = Random::of(table.seed, u64::MAX - 1 - change.version).uuid();
    push_text(
        out,
        &format!(
            "{{\"commitInfo\":{{\"timestamp\":{at},\"operation\":\"{operation}\",\
             \"operationParameters\":{{\"mode\":\"Append\",\"partitionBy\":\"[]\"}},\
             {read_version}\"isolationLevel\":\"Serializable\",\
             \"isBlindAppend\":{is_append},\"operationMetrics\":{{\
             \"numTargetFilesAdded\":\"{adds}\",\"numTargetFilesRemoved\":\"{removes}\",\
             \"executionTimeMs\":\"{time}\"}},\"engineInfo\":\"delta-engine log_shapes\",\
             \"txnId\":\"{id}\"}}}}\n",
            is_append = removes == 0,
            time = 400 + adds,
        ),
    );
}

fn push_protocol(table: &Table, out: &mut Vec<u8>) {
    let (reader, writer) = table.protocol();
    push_text(
        out,
        &format!("{{\"protocol\":{{\"minReaderVersion\":{reader},\"minWriterVersion\":{writer}"),
    );
    let features = table.features();
    if !features.is_empty() {
        let list = format!("[\"{}\"]", features.join("\",\""));
        push_text(out, &format!(",\"readerFeatures\":{list},\"writerFeatures\":{list}"));
    }
    out.extend_from_slice(b"}}\n");
}

fn push_metadata(table: &Table, out: &mut Vec<u8>) {
    let Metadata { id, name, description, schema, created_ms } = Metadata::of(table);
    let names: Vec<_> = partition_columns(table.shape.kind).iter().map(|(name, _)| *name).collect();
    let schema = schema.replace('"', "\\\"");
    push_text(
        out,
        &format!(
            "{{\"metaData\":{{\"id\":\"{id}\",\"name\":\"{name}\",\
             \"description\":\"{description}\",\
             \"format\":{{\"provider\":\"parquet\",\"options\":{{}}}},\
             \"schemaString\":\"{schema}\",\"partitionColumns\":[\"{names}\"],\
             \"configuration\":{{\"{key}\":\"{value}\"}},\"createdTime\":{created_ms}}}}}\n",
            names = names.join("\",\""),
            key = PROPERTY.0,
            value = PROPERTY.1,
        ),
    );
}

/// A stream's transaction, as each of its commits has one.
fn push_transaction(version: u64, at: u64, out: &mut Vec<u8>) {
    push_text(
        out,
        &format!(
            "{{\"txn\":{{\"appId\":\"{APP_ID}\",\"version\":{version},\"lastUpdated\":{at}}}}}\n"
        ),
    );
}

fn push_add(file: &DataFile, stats: &mut Vec<u8>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"add\":{\"path\":\"");
    file.push_path(out);
    out.extend_from_slice(b"\",");
    push_partition_values(file, out);
    out.extend_from_slice(b",\"size\":");
    push_number(out, file.size);
    out.extend_from_slice(b",\"modificationTime\":");
    push_number(out, file.modified_ms);
    out.extend_from_slice(b",\"dataChange\":true,\"stats\":\"");
    stats.clear();
    file.push_stats(stats);
    for (i, part) in stats.split(|&byte| byte == b'"').enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\\\"");
        }
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\",\"tags\":{");
    for (i, (name, value)) in file.tags().into_iter().enumerate() {
        push_key(out, i, name);
        out.push(b'"');
        push_number(out, value);
        out.push(b'"');
    }
    out.push(b'}');
    push_vector(file, out);
    out.extend_from_slice(b"}}\n");
}

fn push_remove(file: &DataFile, at: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"remove\":{\"path\":\"");
    file.push_path(out);
    out.extend_from_slice(b"\",\"deletionTimestamp\":");
    push_number(out, at);
    out.extend_from_slice(b",\"dataChange\":true,\"extendedFileMetadata\":true,");
    push_partition_values(file, out);
    out.extend_from_slice(b",\"size\":");
    push_number(out, file.size);
    push_vector(file, out);
    out.extend_from_slice(b"}}\n");
}

fn push_partition_values(file: &DataFile, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"partitionValues\":{");
    for (i, (name, _)) in partition_columns(file.kind()).iter().enumerate() {
        push_key(out, i, name);
        out.push(b'"');
        file.push_partition_value(i, out);
        out.push(b'"');
    }
    out.push(b'}');
}

fn push_vector(file: &DataFile, out: &mut Vec<u8>) {
    let Some(vector) = &file.vector else { return };
    out.extend_from_slice(b",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":\"");
    // Base85 as the protocol has it knows neither quote nor backslash.
    vector.push_id(out);
    push_text(
        out,
        &format!(
            "\",\"offset\":{},\"sizeInBytes\":{},\"cardinality\":{}}}",
            vector.offset, vector.size, vector.cardinality
        ),
    );
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// The one table property.
pub(super) const PROPERTY: (&str, &str) = ("delta.checkpointInterval", "100");
pub(super) const APP_ID: &str = "events-ingest";

/// The table's metadata, as a commit and a checkpoint have it.
pub(super) struct Metadata {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) schema: String,
    pub(super) created_ms: u64,
}

impl Metadata {
    pub(super) fn of(table: &Table) -> Metadata {
        let fields: Vec<_> = COLUMNS
            .iter()
            .chain(partition_columns(table.shape.kind))
            .map(|(name, kind)| {
                format!(
                    "{{\"name\":\"{name}\",\"type\":\"{kind}\",\"nullable\":true,\"metadata\":{{}}}}"
                )
            })
            .collect();
        Metadata {
            id: Random::of(table.seed, u64::MAX).uuid(),
            name: "events",
            description: "a log without data files",
            schema: format!("{{\"type\":\"struct\",\"fields\":[{}]}}", fields.join(",")),
            created_ms: CHECKPOINT_MS - 366 * DAY_MS,
        }
    }
}
