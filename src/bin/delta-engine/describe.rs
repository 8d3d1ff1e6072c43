//! `snapshot` and `schema`: what one version of a table says of itself.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::{Args, ValueEnum};
use delta_engine::{Engine, ErrorKind, Snapshot};
use serde_json::{Value, json};

use crate::Failure;
use crate::text::{printable, utc_from_millis};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The table: a path or a file:// URL
    table: String,

    /// Look at this version of the table instead of the latest
    #[arg(long, value_name = "N")]
    version: Option<u64>,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a person
    Table,
    /// One JSON object
    #[value(alias = "jsonl")]
    Json,
}

impl Arguments {
    fn open(&self) -> Result<Snapshot, Failure> {
        let engine = Engine::new()?;
        Ok(match self.version {
            Some(version) => engine.snapshot_at(&self.table, version)?,
            None => engine.snapshot(&self.table)?,
        })
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

fn print(text: &str) -> Result<(), Failure> {
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
        Err(error) => return Err(error.into()),
    };
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
        "domain_metadata": snapshot.domain_metadata()?,
    }))
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

    let sections = [
        ("format options", &description["format"]["options"]),
        ("properties", &description["configuration"]),
        ("domain metadata", &description["domain_metadata"]),
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
