//! `snapshot`, `schema` and `properties`: what one version of a table says of
//! itself.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use delta_engine::{ErrorKind, Snapshot, Source};
use serde_json::{Value, json};

use crate::Failure;
use crate::table::{self, Version};
use crate::text::{printable, utc_from_millis};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    version: Version,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For a person
    Table,
    /// One JSON object
    #[value(alias = "jsonl")]
    Json,
}

impl Arguments {
    fn open(&self) -> Result<Snapshot, Failure> {
        self.version.open(&table::engine().build()?)
    }
}

/// Describes a snapshot.
pub(crate) fn snapshot(arguments: &Arguments) -> Result<(), Failure> {
    let description = describe(&arguments.open()?)?;
    match arguments.format {
        Format::Json => print(&description.to_string()),
        Format::Table => print(snapshot_text(&description).trim_end()),
    }
}

/// Prints the properties that the table has, known ones with their defaults too.
pub(crate) fn properties(arguments: &Arguments) -> Result<(), Failure> {
    let snapshot = arguments.open()?;
    let set = &snapshot.metadata().configuration;
    let mut rows: Vec<(String, Option<String>, &str)> = Vec::new();
    for known in snapshot.properties().iter() {
        let how = if known.is_set { "set" } else { "default" };
        rows.push((known.property.name.to_owned(), known.value.map(str::to_owned), how));
    }
    for (name, value) in set {
        if rows.iter().all(|(known, ..)| known != name) {
            rows.push((name.clone(), Some(value.clone()), "set"));
        }
    }
    rows.sort();
    match arguments.format {
        Format::Json => {
            let row = |(name, value, how): (String, Option<String>, &str)| {
                (name, json!({"value": value, "is_set": how == "set"}))
            };
            print(&Value::Object(rows.into_iter().map(row).collect()).to_string())
        }
        Format::Table => {
            let mut out = String::new();
            for (name, value, how) in &rows {
                // What has no default and is not set is not worth a line.
                let Some(value) = value else { continue };
                let _ = writeln!(out, "{} = {}  ({how})", printable(name), printable(value));
            }
            print(out.trim_end())
        }
    }
}

/// Prints a schema: its tree, or Delta's JSON as the log has it, indented.
pub(crate) fn schema(arguments: &Arguments) -> Result<(), Failure> {
    let snapshot = arguments.open()?;
    let schema: Value = serde_json::from_str(&snapshot.metadata().schema_string)
        .map_err(|error| Failure::said(format!("corrupt log: schemaString: {error}")))?;
    match arguments.format {
        Format::Json => print(&serde_json::to_string_pretty(&schema).map_err(Failure::said)?),
        Format::Table => {
            let mut out = "root\n".to_owned();
            push_children(&mut out, 0, &schema);
            print(out.trim_end())
        }
    }
}

pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::of_output)
}

/// Everything that is said of a snapshot, as the JSON format prints it.
fn describe(snapshot: &Snapshot) -> Result<Value, Failure> {
    let protocol = snapshot.protocol();
    let metadata = snapshot.metadata();
    // The commit that carries it may have been cleaned up behind a checkpoint.
    let timestamp_ms = match snapshot.timestamp_ms() {
        Ok(at) => Some(at),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        // All else that is known of the version is worth a look.
        Err(error) if error.kind() == ErrorKind::CorruptLog => {
            table::warn(&error.to_string());
            None
        }
        Err(error) => return Err(error.into()),
    };
    let domain_metadata = snapshot.domain_metadata()?;
    let txns: serde_json::Map<_, _> = snapshot
        .txns()?
        .into_iter()
        .map(|(app_id, txn)| {
            let txn = json!({"version": txn.version, "last_updated": txn.last_updated});
            (app_id.to_owned(), txn)
        })
        .collect();
    let constraints: serde_json::Map<_, _> = metadata
        .check_constraints()
        .into_iter()
        .map(|(name, expression)| (name.to_owned(), json!(expression)))
        .collect();
    let statistics = snapshot.file_statistics().map(|files| {
        json!({
            "num_files": files.num_files,
            "size_bytes": files.size_bytes,
            "num_deletion_vectors": files.num_deletion_vectors,
            "num_deleted_records": files.num_deleted_records,
        })
    });
    let origin = snapshot.origin();
    Ok(json!({
        "table_root": snapshot.table_root(),
        "version": snapshot.version(),
        "timestamp": timestamp_ms.map(utc_from_millis),
        "timestamp_ms": timestamp_ms,
        "id": metadata.id,
        "name": metadata.name,
        "description": metadata.description,
        "created_time": metadata.created_time,
        "format": {
            "provider": metadata.format.provider,
            "options": metadata.format.options,
        },
        "protocol": {
            "min_reader_version": protocol.min_reader_version,
            "min_writer_version": protocol.min_writer_version,
            "reader_features": protocol.reader_features,
            "writer_features": protocol.writer_features,
        },
        "columns": snapshot.arrow_schema().fields().len(),
        "partition_columns": metadata.partition_columns,
        "configuration": metadata.configuration,
        "domain_metadata": domain_metadata,
        "txns": txns,
        "check_constraints": constraints,
        "clustering_columns": snapshot.clustering_columns()?,
        "row_id_high_water_mark": snapshot.row_id_high_water_mark()?,
        "file_statistics": statistics,
        "origin": {
            "protocol": source(origin.protocol),
            "metadata": source(origin.metadata),
            "domain_metadata": origin.domain_metadata.map(source),
            "txns": origin.txns.map(source),
            "checkpoint": origin.checkpoint,
            "commits": origin.commits,
            "compactions": origin.compactions,
            "checksum": origin.checksum,
            "files_read": origin.files_read,
            "bytes_read": origin.bytes_read,
        },
    }))
}

/// Where a part was found, in words.
fn source(source: Source) -> String {
    match source {
        Source::Commit(version) => format!("commit {version}"),
        Source::Compaction(version) => format!("compaction up to {version}"),
        Source::Checksum(version) => format!("checksum of {version}"),
        Source::Checkpoint(version) => format!("checkpoint of {version}"),
        _ => "the whole log".to_owned(),
    }
}

/// The description for a person: a line each, nothing said of what is absent.
fn snapshot_text(description: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "{name:<13}  {}", printable(value));
    };
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let list = |value: &Value| {
        let items: Vec<_> = value.as_array()?.iter().filter_map(text).collect();
        (!items.is_empty()).then(|| items.join(", "))
    };

    for (name, key) in [("table", "table_root"), ("version", "version")] {
        line(name, &text(&description[key]).unwrap_or_default());
    }
    line("timestamp", &text(&description["timestamp"]).unwrap_or_else(|| "unknown".to_owned()));
    for key in ["id", "name", "description"] {
        if let Some(value) = text(&description[key]) {
            line(key, &value);
        }
    }
    if let Some(at) = description["created_time"].as_i64() {
        line("created", &utc_from_millis(at));
    }
    line("format", &text(&description["format"]["provider"]).unwrap_or_default());
    for who in ["reader", "writer"] {
        let protocol = &description["protocol"];
        let mut value = format!("version {}", protocol[format!("min_{who}_version")]);
        if let Some(features) = list(&protocol[format!("{who}_features")]) {
            let _ = write!(value, ", features {features}");
        }
        line(who, &value);
    }
    line("columns", &description["columns"].to_string());
    line("partitions", &list(&description["partition_columns"]).unwrap_or("none".to_owned()));

    if let Some(columns) = description["clustering_columns"].as_array() {
        let columns: Vec<_> = columns.iter().filter_map(Value::as_array).collect();
        let dotted =
            |path: &&Vec<Value>| path.iter().filter_map(text).collect::<Vec<_>>().join(".");
        let columns: Vec<_> = columns.iter().map(dotted).collect();
        line(
            "clustered by",
            &if columns.is_empty() { "none".to_owned() } else { columns.join(", ") },
        );
    }
    if let Some(mark) = text(&description["row_id_high_water_mark"]) {
        line("row ids up to", &mark);
    }
    let files = &description["file_statistics"];
    if files.is_object() {
        line("files", &format!("{} of {} bytes", files["num_files"], files["size_bytes"]));
    }
    let origin = &description["origin"];
    let mut log = match origin["checkpoint"].as_u64() {
        Some(version) => format!("checkpoint of {version}, {} commits", origin["commits"]),
        None => format!("{} commits", origin["commits"]),
    };
    if origin["compactions"] != 0 {
        let _ = write!(log, ", {} compactions", origin["compactions"]);
    }
    if let Some(version) = text(&origin["checksum"]) {
        let _ = write!(log, ", checksum of {version}");
    }
    line("log", &log);
    let found = ["protocol", "metadata", "domain_metadata", "txns"].map(|part| {
        format!("{} from {}", part.replace('_', " "), text(&origin[part]).unwrap_or_default())
    });
    line("found", &found.join("; "));
    line("read", &format!("{} files, {} bytes", origin["files_read"], origin["bytes_read"]));

    let sections = [
        ("format options", &description["format"]["options"]),
        ("properties", &description["configuration"]),
        ("check constraints", &description["check_constraints"]),
        ("domain metadata", &description["domain_metadata"]),
        ("transactions", &description["txns"]),
    ];
    for (title, section) in sections {
        let Some(entries) = section.as_object().filter(|entries| !entries.is_empty()) else {
            continue;
        };
        let _ = writeln!(out, "{title}");
        for (key, value) in entries {
            let value = text(value).unwrap_or_default();
            let _ = writeln!(out, "  {} = {}", printable(key), printable(&value));
        }
    }
    out
}

/// Appends a line for each child of the type `parent`, and theirs below them.
/// The JSON parser bounds how deep that can go.
fn push_children(out: &mut String, depth: usize, parent: &Value) {
    match parent["type"].as_str() {
        Some("struct") => {
            for field in parent["fields"].as_array().into_iter().flatten() {
                let name = field["name"].as_str().unwrap_or_default();
                push_type(out, depth, name, &field["type"], &field["nullable"]);
            }
        }
        Some("array") => {
            push_type(out, depth, "element", &parent["elementType"], &parent["containsNull"]);
        }
        Some("map") => {
            push_type(out, depth, "key", &parent["keyType"], &Value::Bool(false));
            push_type(out, depth, "value", &parent["valueType"], &parent["valueContainsNull"]);
        }
        _ => {}
    }
}

fn push_type(out: &mut String, depth: usize, name: &str, kind: &Value, nullable: &Value) {
    // A primitive type is a string, any other an object with its own `type`.
    let kind_name = kind.as_str().or_else(|| kind["type"].as_str()).unwrap_or("unknown");
    let nullable = if nullable == &Value::Bool(false) { "not null" } else { "nullable" };
    out.extend(std::iter::repeat_n(" |   ", depth));
    let _ = writeln!(out, " |-- {}: {} ({nullable})", printable(name), printable(kind_name));
    push_children(out, depth + 1, kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_prints_as_a_tree() {
        let schema = json!({"type": "struct", "fields": [
            {"name": "id", "type": "long", "nullable": false},
            {"name": "tags", "nullable": true, "type": {
                "type": "map", "keyType": "string", "valueContainsNull": true, "valueType": {
                    "type": "array", "elementType": "decimal(10,2)", "containsNull": false}}},
            {"name": "at\n", "nullable": true, "type": {
                "type": "struct", "fields": [
                    {"name": "x", "type": "double", "nullable": true}]}},
        ]});
        let mut out = String::new();
        push_children(&mut out, 0, &schema);
        let expected = [
            " |-- id: long (not null)",
            " |-- tags: map (nullable)",
            " |    |-- key: string (not null)",
            " |    |-- value: array (nullable)",
            " |    |    |-- element: decimal(10,2) (not null)",
            " |-- at\\n: struct (nullable)",
            " |    |-- x: double (nullable)",
            "",
        ];
        assert_eq!(out, expected.join("\n"));
    }
}
