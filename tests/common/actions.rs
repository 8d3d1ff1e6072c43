//! Actions as small values.
use serde_json::{Map, Value, json};

/// One line of a commit, or one row of a checkpoint.
#[derive(Clone, Debug)]
pub enum Action {
    /// An action by its name in the protocol.
    Known { name: &'static str, body: Map<String, Value> },
    /// A line as it is, for what no writer should write. The oracle skips it.
    Raw(Vec<u8>),
}

fn known(name: &'static str, body: Value) -> Action {
    match body {
        Value::Object(body) => Action::Known { name, body },
        other => unreachable!("an action's body is an object, not {other}"),
    }
}

/// `protocol` without table features.
pub fn protocol(reader: i32, writer: i32) -> Action {
    known("protocol", json!({"minReaderVersion": reader, "minWriterVersion": writer}))
}

/// `protocol` (3, 7) with table features.
pub fn protocol_features(reader: &[&str], writer: &[&str]) -> Action {
    known(
        "protocol",
        json!({
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": reader,
            "writerFeatures": writer,
        }),
    )
}

/// `metaData` with a flat schema such as `"id long, price decimal(10,2)"`.
pub fn metadata(columns: &str) -> Action {
    known(
        "metaData",
        json!({
            "id": "11111111-2222-3333-4444-555555555555",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": flat_schema(columns).to_string(),
            "partitionColumns": [],
            "configuration": {},
            "createdTime": 1_700_000_000_000_i64,
        }),
    )
}

/// The Delta JSON of a flat schema.
pub fn flat_schema(columns: &str) -> Value {
    let mut fields = Vec::new();
    let mut depth = 0;
    for column in columns.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    }) {
        let (name, data_type) = column.trim().split_once(' ').expect("a name and a type");
        fields.push(json!({
            "name": name, "type": data_type.trim(), "nullable": true, "metadata": {},
        }));
    }
    json!({"type": "struct", "fields": fields})
}

/// `add` of one byte, unpartitioned, without statistics.
pub fn add(path: &str) -> Action {
    known(
        "add",
        json!({
            "path": path,
            "partitionValues": {},
            "size": 1,
            "modificationTime": 1_700_000_000_000_i64,
            "dataChange": true,
        }),
    )
}

/// `remove`.
pub fn remove(path: &str) -> Action {
    known(
        "remove",
        json!({"path": path, "deletionTimestamp": 1_700_000_000_000_i64, "dataChange": true}),
    )
}

/// `txn`.
pub fn txn(app_id: &str, version: i64) -> Action {
    known("txn", json!({"appId": app_id, "version": version}))
}

/// `domainMetadata`; see [`Action::removed`].
pub fn domain_metadata(domain: &str, configuration: &str) -> Action {
    known(
        "domainMetadata",
        json!({"domain": domain, "configuration": configuration, "removed": false}),
    )
}

/// `commitInfo` as Spark writes it.
pub fn commit_info() -> Action {
    known(
        "commitInfo",
        json!({
            "timestamp": 1_700_000_000_000_i64,
            "operation": "WRITE",
            "operationParameters": {"mode": "Append", "partitionBy": "[]"},
            "isBlindAppend": true,
        }),
    )
}

/// `commitInfo` with an in-commit timestamp.
pub fn commit_info_at(ms: i64) -> Action {
    commit_info().with("inCommitTimestamp", ms)
}

/// `protocol` of a table that can have in-commit timestamps.
pub fn protocol_in_commit() -> Action {
    known(
        "protocol",
        json!({
            "minReaderVersion": 1,
            "minWriterVersion": 7,
            "writerFeatures": ["inCommitTimestamp"],
        }),
    )
}

/// `metaData` of a table that has in-commit timestamps from its first version on.
pub fn metadata_in_commit() -> Action {
    metadata("id long").property("delta.enableInCommitTimestamps", "true")
}

/// `metaData` of a table that has them from `version` on, committed at `ms`.
pub fn metadata_in_commit_since(version: u64, ms: i64) -> Action {
    metadata_in_commit()
        .property("delta.inCommitTimestampEnablementVersion", &version.to_string())
        .property("delta.inCommitTimestampEnablementTimestamp", &ms.to_string())
}

/// `cdc`.
pub fn cdc(path: &str) -> Action {
    known("cdc", json!({"path": path, "partitionValues": {}, "size": 1, "dataChange": false}))
}

/// `sidecar`, for a checkpoint put together by hand.
pub fn sidecar(path: &str, size_in_bytes: u64) -> Action {
    known(
        "sidecar",
        json!({
            "path": path, "sizeInBytes": size_in_bytes, "modificationTime": 1_700_000_000_000_i64,
        }),
    )
}

/// `checkpointMetadata`, for a checkpoint put together by hand.
pub fn checkpoint_metadata(version: u64) -> Action {
    known("checkpointMetadata", json!({"version": version}))
}

/// A line that is what it is.
pub fn raw_line(line: impl AsRef<[u8]>) -> Action {
    Action::Raw(line.as_ref().to_vec())
}

/// The descriptor of a deletion vector file; each `n` below 100 is another one.
pub fn dv(n: u32) -> Value {
    assert!(n < 100);
    json!({
        "storageType": "u",
        "pathOrInlineDv": format!("vBn[lx{{q8@P<9BNH/i{n:02}"),
        "offset": 1,
        "sizeInBytes": 36,
        "cardinality": 2,
    })
}

impl Action {
    /// The action with `field` of its body set to `value`.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body_mut().insert(field.to_owned(), value.into());
        self
    }

    /// The action without `field`.
    pub fn without(mut self, field: &str) -> Self {
        self.body_mut().shift_remove(field);
        self
    }

    pub fn size(self, bytes: i64) -> Self {
        self.with("size", bytes)
    }

    pub fn modified(self, ms: i64) -> Self {
        self.with("modificationTime", ms)
    }

    /// The statistics, as the text that the log holds.
    pub fn stats(self, text: &str) -> Self {
        self.with("stats", text)
    }

    pub fn partition(mut self, column: &str, value: Option<&str>) -> Self {
        let values = self.body_mut().entry("partitionValues").or_insert_with(|| json!({}));
        values[column] = value.map_or(Value::Null, Value::from);
        self
    }

    /// With a deletion vector, such as [`dv`] gives.
    pub fn dv(self, descriptor: Value) -> Self {
        self.with("deletionVector", descriptor)
    }

    pub fn tags(self, tags: &[(&str, &str)]) -> Self {
        let tags: Map<_, _> = tags.iter().map(|&(k, v)| (k.to_owned(), Value::from(v))).collect();
        self.with("tags", tags)
    }

    pub fn base_row_id(self, id: i64) -> Self {
        self.with("baseRowId", id)
    }

    pub fn default_row_commit_version(self, version: i64) -> Self {
        self.with("defaultRowCommitVersion", version)
    }

    pub fn clustering_provider(self, name: &str) -> Self {
        self.with("clusteringProvider", name)
    }

    pub fn data_change(self, data_change: bool) -> Self {
        self.with("dataChange", data_change)
    }

    /// Of `metaData`: the partition columns.
    pub fn partitioned_by(self, columns: &[&str]) -> Self {
        self.with("partitionColumns", columns.to_vec())
    }

    /// Of `metaData`: one table property.
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.body_mut()["configuration"][key] = Value::from(value);
        self
    }

    /// Of `domainMetadata`: a tombstone.
    pub fn removed(self) -> Self {
        self.with("removed", true)
    }

    /// The action's name in the protocol; none for a raw line.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Action::Known { name, .. } => Some(name),
            Action::Raw(_) => None,
        }
    }

    /// One field of the body; null where it is absent.
    pub fn field(&self, field: &str) -> &Value {
        match self {
            Action::Known { body, .. } => body.get(field).unwrap_or(&Value::Null),
            Action::Raw(_) => &Value::Null,
        }
    }

    /// All fields of the body; null for a raw line.
    pub fn body(&self) -> Value {
        match self {
            Action::Known { body, .. } => Value::Object(body.clone()),
            Action::Raw(_) => Value::Null,
        }
    }

    /// `add.path`, `remove.path`.
    pub fn path(&self) -> &str {
        self.field("path").as_str().unwrap_or_default()
    }

    /// The line in a commit, without its newline.
    pub fn line(&self) -> Vec<u8> {
        match self {
            Action::Known { name, body } => json!({*name: body}).to_string().into_bytes(),
            Action::Raw(line) => line.clone(),
        }
    }

    fn body_mut(&mut self) -> &mut Map<String, Value> {
        match self {
            Action::Known { body, .. } => body,
            Action::Raw(_) => panic!("a raw line has no fields"),
        }
    }
}
