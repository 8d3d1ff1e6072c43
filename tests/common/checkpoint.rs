//! Actions to the Parquet of a checkpoint or a sidecar, by the protocol's
//! "Checkpoint Schema", in every layout that writers choose.
use super::data::FileLayout;
use super::values::array_of;
use super::{Action, State};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use parquet::basic::Compression;
use serde_json::{Value, json};
use std::sync::Arc;

/// In which form a checkpoint keeps statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatsForm {
    /// `stats`, JSON text.
    Json,
    /// `stats_parsed`, a struct.
    Parsed,
    /// Both columns.
    Both,
}

/// How a checkpoint file is laid out. The default is what Spark writes, with
/// JSON statistics and one row group.
#[derive(Clone, Debug)]
pub struct Layout {
    file: FileLayout,
    stats: StatsForm,
    without: Vec<String>,
    reversed: bool,
    extra_columns: bool,
    strings: DataType,
    size_type: DataType,
    parsed_partition_values: bool,
    required_fields: bool,
}

impl Default for Layout {
    fn default() -> Self {
        Layout {
            file: FileLayout::default(),
            stats: StatsForm::Json,
            without: Vec::new(),
            reversed: false,
            extra_columns: false,
            strings: DataType::Utf8,
            size_type: DataType::Int64,
            parsed_partition_values: false,
            required_fields: false,
        }
    }
}

impl Layout {
    pub fn row_group_rows(mut self, rows: usize) -> Self {
        self.file = self.file.row_group_rows(rows);
        self
    }

    pub fn page_rows(mut self, rows: usize) -> Self {
        self.file = self.file.page_rows(rows);
        self
    }

    /// Without column and offset indexes.
    pub fn no_page_index(mut self) -> Self {
        self.file = self.file.no_page_index();
        self
    }

    pub fn stats(mut self, form: StatsForm) -> Self {
        self.stats = form;
        self
    }

    /// Leaves out a column (`"remove"`) or a field (`"add.tags"`).
    pub fn without(mut self, column: &str) -> Self {
        self.without.push(column.to_owned());
        self
    }

    /// Columns, and the fields of each, from last to first.
    pub fn reversed(mut self) -> Self {
        self.reversed = true;
        self
    }

    /// A top-level column and a field of `add` that no protocol knows.
    pub fn extra_columns(mut self) -> Self {
        self.extra_columns = true;
        self
    }

    /// The Arrow type of every string, stored in the file's Arrow schema.
    pub fn strings(mut self, data_type: DataType) -> Self {
        self.strings = data_type;
        self.file = self.file.arrow_schema();
        self
    }

    pub fn compression(mut self, compression: Compression) -> Self {
        self.file = self.file.compression(compression);
        self
    }

    /// `add.size` and its like as another integer type.
    pub fn size_type(mut self, data_type: DataType) -> Self {
        self.size_type = data_type;
        self
    }

    /// What the protocol requires of an action is required of its struct too,
    /// as some writers have it: then only the struct itself can be null.
    pub fn required_fields(mut self) -> Self {
        self.required_fields = true;
        self
    }

    /// With `add.partitionValues_parsed`.
    pub fn parsed_partition_values(mut self) -> Self {
        self.parsed_partition_values = true;
        self
    }
}

/// The Parquet file with `actions` as its rows, in their order. The metadata of
/// `state` says which columns the parsed statistics have.
pub(super) fn parquet_of(actions: &[Action], state: &State, layout: &Layout) -> Vec<u8> {
    let table = TableColumns::of(state);
    let rows: Vec<Value> = actions.iter().map(|action| row_of(action, layout, &table)).collect();
    let rows: Vec<_> = rows.iter().map(Some).collect();

    let schema = Arc::new(schema(layout, &table));
    let column = |field: &Arc<Field>| -> ArrayRef {
        let values: Vec<_> = rows.iter().map(|row| row.and_then(|r| r.get(field.name()))).collect();
        array_of(field.data_type(), &values)
    };
    let columns: Vec<_> = schema.fields().iter().map(column).collect();
    let batch = RecordBatch::try_new(schema.clone(), columns).expect("columns fit their schema");

    layout.file.parquet_of(&batch)
}

fn row_of(action: &Action, layout: &Layout, table: &TableColumns) -> Value {
    let Action::Known { name, body } = action else {
        panic!("a checkpoint row cannot be a raw line");
    };
    let mut body = Value::Object(body.clone());
    if *name == "add" {
        if let (true, Some(text)) = (layout.stats != StatsForm::Json, body["stats"].as_str()) {
            body["stats_parsed"] = serde_json::from_str(text).expect("statistics in JSON");
        }
        let is_parsed = body.get("partitionValues_parsed").is_some();
        if layout.parsed_partition_values && !table.partition.is_empty() && !is_parsed {
            body["partitionValues_parsed"] = body["partitionValues"].clone();
        }
        if layout.extra_columns {
            body["fieldOfTheFuture"] = json!({"depth": 1});
        }
    }
    if matches!(*name, "checkpointMetadata" | "metaData" | "sidecar") {
        // Maps that the helpers leave out where they are empty.
        for map in ["tags", "configuration"] {
            if body.get(map).is_none() {
                body[map] = Value::Null;
            }
        }
    }
    json!({*name: body})
}

/// What the parsed forms need to know of the table's schema: physical names.
struct TableColumns {
    data: Vec<Column>,
    partition: Vec<Column>,
}

struct Column {
    name: String,
    kind: Value,
}

impl TableColumns {
    fn of(state: &State) -> Self {
        let Some(metadata) = &state.metadata else {
            return TableColumns { data: Vec::new(), partition: Vec::new() };
        };
        let schema: Value = metadata
            .field("schemaString")
            .as_str()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let partitioned: Vec<_> = metadata.field("partitionColumns").as_array().unwrap().clone();
        let (partition, data): (Vec<_>, Vec<_>) = fields_of(&schema)
            .into_iter()
            .partition(|(logical, _)| partitioned.iter().any(|name| name == logical));
        let columns = |list: Vec<(String, Column)>| list.into_iter().map(|(_, c)| c).collect();
        TableColumns { data: columns(data), partition: columns(partition) }
    }
}

/// The fields of a Delta struct, each with its logical name in front.
fn fields_of(schema: &Value) -> Vec<(String, Column)> {
    let fields = schema["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let column = |field: &Value| {
        let logical = field["name"].as_str().expect("a name").to_owned();
        let physical = field["metadata"]["delta.columnMapping.physicalName"].as_str();
        let name = physical.unwrap_or(&logical).to_owned();
        (logical, Column { name, kind: field["type"].clone() })
    };
    fields.iter().map(column).collect()
}

/// The Arrow type of a Delta type; none for those without bounds.
fn bound_type(kind: &Value, strings: &DataType) -> Option<DataType> {
    let utc = || Some(Arc::from("+00:00"));
    Some(match kind.as_str() {
        Some("string") => strings.clone(),
        Some("long") => DataType::Int64,
        Some("integer" | "short" | "byte") => DataType::Int32,
        Some("double") => DataType::Float64,
        Some("float") => DataType::Float32,
        Some("date") => DataType::Date32,
        Some("timestamp") => DataType::Timestamp(TimeUnit::Microsecond, utc()),
        Some("timestamp_ntz") => DataType::Timestamp(TimeUnit::Microsecond, None),
        Some(decimal) if decimal.starts_with("decimal(") => {
            let numbers = decimal.trim_start_matches("decimal(").trim_end_matches(')');
            let (precision, scale) = numbers.split_once(',').expect("a precision and a scale");
            DataType::Decimal128(
                precision.trim().parse().expect("a precision"),
                scale.trim().parse().expect("a scale"),
            )
        }
        Some(_) => return None,
        None if kind["type"] == "struct" => {
            let fields: Fields = fields_of(kind)
                .into_iter()
                .filter_map(|(_, c)| Some(optional(&c.name, bound_type(&c.kind, strings)?)))
                .collect();
            if fields.is_empty() {
                return None;
            }
            DataType::Struct(fields)
        }
        None => return None,
    })
}

fn null_count_type(kind: &Value) -> DataType {
    if kind["type"] != "struct" {
        return DataType::Int64;
    }
    let fields =
        fields_of(kind).into_iter().map(|(_, c)| optional(&c.name, null_count_type(&c.kind)));
    DataType::Struct(fields.collect())
}

fn optional(name: &str, data_type: DataType) -> Field {
    Field::new(name, data_type, true)
}

fn struct_of<'a>(fields: impl IntoIterator<Item = (&'a str, DataType)>) -> DataType {
    DataType::Struct(fields.into_iter().map(|(name, kind)| optional(name, kind)).collect())
}

fn schema(layout: &Layout, table: &TableColumns) -> Schema {
    use DataType::{Boolean, Int32, Int64};
    let string = || layout.strings.clone();
    let list = || DataType::List(Arc::new(optional("element", string())));
    let map = || {
        let entry = DataType::Struct(Fields::from(vec![
            Field::new("key", string(), false),
            optional("value", string()),
        ]));
        DataType::Map(Arc::new(Field::new("key_value", entry, false)), false)
    };
    let deletion_vector = || {
        struct_of([
            ("storageType", string()),
            ("pathOrInlineDv", string()),
            ("offset", Int32),
            ("sizeInBytes", Int32),
            ("cardinality", Int64),
        ])
    };

    let mut add = vec![
        ("path", string()),
        ("partitionValues", map()),
        ("size", layout.size_type.clone()),
        ("modificationTime", Int64),
        ("dataChange", Boolean),
        ("tags", map()),
        ("deletionVector", deletion_vector()),
        ("baseRowId", Int64),
        ("defaultRowCommitVersion", Int64),
        ("clusteringProvider", string()),
    ];
    if layout.stats != StatsForm::Parsed {
        add.push(("stats", string()));
    }
    if layout.stats != StatsForm::Json {
        add.push(("stats_parsed", parsed_stats(table, layout)));
    }
    if layout.parsed_partition_values && !table.partition.is_empty() {
        let fields = table
            .partition
            .iter()
            .filter_map(|c| Some(optional(&c.name, bound_type(&c.kind, &layout.strings)?)));
        add.push(("partitionValues_parsed", DataType::Struct(fields.collect())));
    }
    if layout.extra_columns {
        add.push(("fieldOfTheFuture", struct_of([("depth", Int64)])));
    }

    let mut columns = vec![
        ("txn", vec![("appId", string()), ("version", Int64), ("lastUpdated", Int64)]),
        ("add", add),
        (
            "remove",
            vec![
                ("path", string()),
                ("deletionTimestamp", Int64),
                ("dataChange", Boolean),
                ("extendedFileMetadata", Boolean),
                ("partitionValues", map()),
                ("size", Int64),
                ("deletionVector", deletion_vector()),
            ],
        ),
        (
            "metaData",
            vec![
                ("id", string()),
                ("name", string()),
                ("description", string()),
                ("format", struct_of([("provider", string()), ("options", map())])),
                ("schemaString", string()),
                ("partitionColumns", list()),
                ("createdTime", Int64),
                ("configuration", map()),
            ],
        ),
        (
            "protocol",
            vec![
                ("minReaderVersion", Int32),
                ("minWriterVersion", Int32),
                ("readerFeatures", list()),
                ("writerFeatures", list()),
            ],
        ),
        (
            "domainMetadata",
            vec![("domain", string()), ("configuration", string()), ("removed", Boolean)],
        ),
        ("checkpointMetadata", vec![("version", Int64), ("tags", map())]),
        (
            "sidecar",
            vec![
                ("path", string()),
                ("sizeInBytes", Int64),
                ("modificationTime", Int64),
                ("tags", map()),
            ],
        ),
    ];
    if layout.extra_columns {
        columns.push(("actionOfTheFuture", vec![("what", string())]));
    }
    if layout.reversed {
        columns.reverse();
    }

    let kept = |name: &str| !layout.without.iter().any(|without| without == name);
    let mut fields = Vec::new();
    for (name, mut members) in columns.into_iter().filter(|(name, _)| kept(name)) {
        if layout.reversed {
            members.reverse();
        }
        members.retain(|(member, _)| kept(&format!("{name}.{member}")));
        let is_required = |member: &str| layout.required_fields && required(name).contains(&member);
        let member = |(member, kind)| Field::new(member, kind, !is_required(member));
        fields.push(optional(name, DataType::Struct(members.into_iter().map(member).collect())));
    }
    Schema::new(fields)
}

/// The fields that no action of this name goes without.
fn required(action: &str) -> &'static [&'static str] {
    match action {
        "txn" => &["appId", "version"],
        "add" => &["path", "partitionValues", "size", "modificationTime", "dataChange"],
        "remove" | "sidecar" => &["path"],
        "metaData" => &["id", "format", "schemaString", "partitionColumns"],
        "protocol" => &["minReaderVersion", "minWriterVersion"],
        "domainMetadata" => &["domain", "configuration", "removed"],
        "checkpointMetadata" => &["version"],
        _ => &[],
    }
}

fn parsed_stats(table: &TableColumns, layout: &Layout) -> DataType {
    let bounds = || {
        let fields = table
            .data
            .iter()
            .filter_map(|c| Some(optional(&c.name, bound_type(&c.kind, &layout.strings)?)));
        DataType::Struct(fields.collect())
    };
    let null_counts = table.data.iter().map(|c| optional(&c.name, null_count_type(&c.kind)));
    let mut fields = vec![
        ("numRecords", DataType::Int64),
        ("tightBounds", DataType::Boolean),
        ("minValues", bounds()),
        ("maxValues", bounds()),
        ("nullCount", DataType::Struct(null_counts.collect())),
    ];
    // Parquet has no group without fields.
    fields.retain(|(_, kind)| !matches!(kind, DataType::Struct(fields) if fields.is_empty()));
    struct_of(fields)
}
