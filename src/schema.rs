//! The schema of a table: Delta JSON in, typed fields, Arrow out.
//!
//! The JSON form is the protocol's "Schema Serialization Format". A column has
//! a logical name, which people see and may change, and under column mapping a
//! physical name, which data files, partition values and statistics use; this
//! module answers which is which. It does not know which features a table may
//! use: a type is read wherever it stands.
//!
//! What is not understood is kept or refused, never guessed: field metadata is
//! carried along untouched, an unknown type is an error that names its column.

mod arrow_schema;

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, escaped};

pub(crate) use arrow_schema::arrow_type;

/// Bytes of one schema's JSON. A schema of `FIELDS_MAX` fields fits.
const TEXT_BYTES_MAX: usize = 64 << 20;
/// Values of one schema's JSON, counted by what can begin one: parsed, two bytes
/// of text may take eighty of memory.
const VALUES_MAX: usize = 2_000_000;
/// Fields of one schema, nested ones included.
const FIELDS_MAX: usize = 100_000;
/// How deep types nest. serde_json stops at 128 levels of JSON, so only arrays
/// in arrays reach this.
const DEPTH_MAX: usize = 100;

const ID: &str = "delta.columnMapping.id";
const PHYSICAL_NAME: &str = "delta.columnMapping.physicalName";
const MAPPING_MODE: &str = "delta.columnMapping.mode";
const NESTED_IDS: &str = "delta.columnMapping.nested.ids";
const TYPE_CHANGES: &str = "delta.typeChanges";
/// Where Spark keeps the type of a column declared `char(n)` or `varchar(n)`.
pub(crate) const CHAR_VARCHAR_TYPE: &str = "__CHAR_VARCHAR_TYPE_STRING";

/// A struct: the columns of a table, or the fields of a struct column.
#[derive(Debug, Clone, PartialEq)]
pub struct StructType {
    /// The fields, in order. Their names differ in more than case.
    pub fields: Vec<StructField>,
}

/// A column, or a field of a struct column.
#[derive(Debug, Clone, PartialEq)]
pub struct StructField {
    /// The logical name.
    pub name: String,
    /// The type.
    pub data_type: DataType,
    /// Whether a value may be null.
    pub nullable: bool,
    /// The column's metadata, as in the log. A column whose type there is
    /// `char(n)` or `varchar(n)` has that text under Spark's key for it,
    /// `__CHAR_VARCHAR_TYPE_STRING`.
    pub metadata: Map<String, Value>,
}

/// The type of a column. [`Display`](fmt::Display) gives the protocol's name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DataType {
    /// UTF-8 text. `char(n)` and `varchar(n)` are read as this.
    String,
    /// 64-bit signed integer.
    Long,
    /// 32-bit signed integer.
    Integer,
    /// 16-bit signed integer.
    Short,
    /// 8-bit signed integer.
    Byte,
    /// 32-bit floating point number.
    Float,
    /// 64-bit floating point number.
    Double,
    /// Decimal number.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// `true` or `false`.
    Boolean,
    /// Bytes.
    Binary,
    /// A day, without a time zone.
    Date,
    /// Microseconds since the Unix epoch, UTC.
    Timestamp,
    /// Microseconds of a wall clock whose zone is not known.
    TimestampNtz,
    /// Always null.
    Void,
    /// Semi-structured data in Parquet's variant encoding.
    Variant,
    /// Signed months.
    IntervalYearMonth,
    /// Signed microseconds.
    IntervalDayTime,
    /// Fields of their own.
    Struct(StructType),
    /// A list.
    Array(Box<ArrayType>),
    /// Keys and values.
    Map(Box<MapType>),
}

/// The type of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayType {
    /// The type of its elements.
    pub element_type: DataType,
    /// Whether an element may be null.
    pub contains_null: bool,
}

/// The type of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct MapType {
    /// The type of its keys, which are never null.
    pub key_type: DataType,
    /// The type of its values.
    pub value_type: DataType,
    /// Whether a value may be null.
    pub value_contains_null: bool,
}

/// A change of a column's type ("Type Change Metadata").
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TypeChange<'a> {
    /// The type before.
    pub from: DataType,
    /// The type after.
    pub to: DataType,
    /// What of the column changed: empty for the column itself, else the way to an
    /// array's `element` or a map's `key` or `value`, with dots: `element.value`.
    pub field_path: &'a str,
}

/// How the columns of data files are found ("Column Mapping").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColumnMappingMode {
    /// By logical name.
    #[default]
    None,
    /// By physical name.
    Name,
    /// By Parquet field id; partition values and statistics by physical name.
    Id,
}

impl StructType {
    /// Reads the JSON of a `schemaString`.
    ///
    /// Fails with `CorruptLog` on anything that is not a schema, on two names
    /// at one level that differ at most in case, and on a decimal out of range;
    /// with `Unsupported` on a type this library does not know; and with
    /// `LimitExceeded` on a schema of more than 64 MiB, 2,000,000 JSON values or
    /// 100,000 fields, or nested deeper than about 40 structs or 100 lists.
    pub fn from_json(text: &str) -> Result<StructType> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Error::limit(format!(
                "schema: {} bytes of JSON, at most {TEXT_BYTES_MAX} are read",
                text.len()
            )));
        }
        if memchr::memchr3_iter(b',', b'[', b'{', text.as_bytes()).nth(VALUES_MAX).is_some() {
            return Err(Error::limit(format!("schema: more than {VALUES_MAX} JSON values")));
        }
        let value: Value = serde_json::from_str(text).map_err(|e| {
            // serde_json has no kind for this, only a text.
            if e.to_string().starts_with("recursion limit exceeded") {
                Error::limit("schema: types nest too deeply")
            } else {
                Error::corrupt(format!("schema: not valid JSON: {}", escaped(&e.to_string())))
            }
        })?;
        match Place::default().data_type(&value)? {
            DataType::Struct(schema) => Ok(schema),
            other => Err(Error::corrupt(format!("schema: expected a struct, found {other}"))),
        }
    }

    /// The schema as a `schemaString`. Reading it again gives an equal schema.
    pub fn to_json(&self) -> String {
        struct_to_value(self).to_string()
    }

    /// Two names of this struct's fields that do not differ in more than case, in
    /// words. "Schema Serialization Format": all column names must be unique
    /// regardless of casing. Spark holds nested fields to the same rule.
    fn names_alike(&self) -> Option<String> {
        let mut seen: HashMap<String, &str> = HashMap::with_capacity(self.fields.len());
        self.fields.iter().find_map(|field| {
            let first = seen.insert(field.name.to_lowercase(), &field.name)?;
            Some(format!(
                "column names must differ in more than case, found '{}' and '{}'",
                escaped(first),
                escaped(&field.name)
            ))
        })
    }

    /// The field of this name, as spelt or else regardless of case.
    pub fn field(&self, name: &str) -> Option<&StructField> {
        self.fields.iter().find(|f| f.name == name).or_else(|| {
            let name = name.to_lowercase();
            self.fields.iter().find(|f| f.name.to_lowercase() == name)
        })
    }
}

impl StructField {
    /// A field without metadata.
    pub fn new(name: impl Into<String>, data_type: DataType, nullable: bool) -> StructField {
        StructField { name: name.into(), data_type, nullable, metadata: Map::new() }
    }

    /// The name that data files, partition values and statistics use.
    ///
    /// Fails with `CorruptLog` where the mode demands a physical name and the
    /// field has none.
    pub fn physical_name(&self, mode: ColumnMappingMode) -> Result<&str> {
        // "Reader Requirements for Column Mapping": in id mode too, partition
        // values and statistics go by the physical name.
        if mode == ColumnMappingMode::None {
            return Ok(&self.name);
        }
        self.own_physical_name().ok_or_else(|| {
            Error::corrupt(format!(
                "schema column {}: column mapping is on, but {PHYSICAL_NAME} is missing",
                escaped(&self.name)
            ))
        })
    }

    pub(crate) fn own_physical_name(&self) -> Option<&str> {
        self.metadata.get(PHYSICAL_NAME)?.as_str().filter(|name| !name.is_empty())
    }

    /// The column's id (`delta.columnMapping.id`), if it has one.
    pub fn column_mapping_id(&self) -> Option<i64> {
        self.metadata.get(ID)?.as_i64()
    }
}

impl ColumnMappingMode {
    /// The mode that the table property `delta.columnMapping.mode` names. Whether
    /// the protocol lets a table have one at all is not asked here.
    pub(crate) fn from_configuration(
        configuration: &BTreeMap<String, String>,
    ) -> Result<ColumnMappingMode> {
        let Some(mode) = configuration.get(MAPPING_MODE) else {
            return Ok(ColumnMappingMode::None);
        };
        // The protocol spells the modes in lower case; Spark takes any case.
        match mode.to_ascii_lowercase().as_str() {
            "none" => Ok(ColumnMappingMode::None),
            "name" => Ok(ColumnMappingMode::Name),
            "id" => Ok(ColumnMappingMode::Id),
            _ => Err(Error::unsupported(format!(
                "table property {MAPPING_MODE}: expected none, name or id, found '{}'",
                escaped(mode)
            ))),
        }
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            DataType::Decimal { precision, scale } => {
                return write!(f, "decimal({precision},{scale})");
            }
            DataType::String => "string",
            DataType::Long => "long",
            DataType::Integer => "integer",
            DataType::Short => "short",
            DataType::Byte => "byte",
            DataType::Float => "float",
            DataType::Double => "double",
            DataType::Boolean => "boolean",
            DataType::Binary => "binary",
            DataType::Date => "date",
            DataType::Timestamp => "timestamp",
            DataType::TimestampNtz => "timestamp_ntz",
            DataType::Void => "void",
            DataType::Variant => "variant",
            DataType::IntervalYearMonth => "interval year to month",
            DataType::IntervalDayTime => "interval day to second",
            DataType::Struct(_) => "struct",
            DataType::Array(_) => "array",
            DataType::Map(_) => "map",
        };
        f.write_str(name)
    }
}

// ---- JSON to types ----

/// Where a schema that is being read stands, for messages and bounds, and how
/// much of it there is already.
#[derive(Default)]
struct Place<'a> {
    path: Vec<&'a str>,
    fields: usize,
}

impl<'a> Place<'a> {
    fn data_type(&mut self, value: &'a Value) -> Result<DataType> {
        self.check_depth()?;
        let object = match value {
            Value::String(name) => {
                return primitive(name).map_err(|problem| match problem {
                    Unreadable::Unknown => Error::unsupported(format!(
                        "schema{}: type '{}' is not supported",
                        self.place(),
                        escaped(name)
                    )),
                    Unreadable::Decimal => self.corrupt(format!(
                        "expected decimal(1..=38, 0..=precision), found '{}'",
                        escaped(name)
                    )),
                });
            }
            Value::Object(object) => object,
            other => {
                return Err(self.corrupt(format!("expected a type, found {}", kind_of(other))));
            }
        };
        match object.get("type").and_then(Value::as_str) {
            Some("struct") => Ok(DataType::Struct(self.struct_type(object)?)),
            Some("array") => Ok(DataType::Array(Box::new(ArrayType {
                element_type: self.child("element", "elementType", object)?,
                contains_null: self.flag("containsNull", object)?,
            }))),
            Some("map") => Ok(DataType::Map(Box::new(MapType {
                key_type: self.child("key", "keyType", object)?,
                value_type: self.child("value", "valueType", object)?,
                value_contains_null: self.flag("valueContainsNull", object)?,
            }))),
            // The protocol's example of "Variant Data Type" has an element's type
            // so, against the plain name of a column's; Spark writes the name.
            Some("variant") => Ok(DataType::Variant),
            Some(other) => Err(Error::unsupported(format!(
                "schema{}: type '{}' is not supported",
                self.place(),
                escaped(other)
            ))),
            None => Err(self.corrupt("a type without the text 'type'".into())),
        }
    }

    fn struct_type(&mut self, object: &'a Map<String, Value>) -> Result<StructType> {
        let Some(Value::Array(values)) = object.get("fields") else {
            return Err(self.corrupt("a struct without a list of 'fields'".into()));
        };
        self.count_fields(values.len())?;
        let fields = values.iter().map(|v| self.field(v)).collect::<Result<Vec<_>>>()?;
        let schema = StructType { fields };
        match schema.names_alike() {
            Some(problem) => Err(self.corrupt(problem)),
            None => Ok(schema),
        }
    }

    fn field(&mut self, value: &'a Value) -> Result<StructField> {
        let Some(name) = value.get("name").and_then(Value::as_str) else {
            return Err(self.corrupt("a field without the text 'name'".into()));
        };
        self.path.push(name);
        let Some(declared) = value.get("type") else {
            return Err(self.corrupt("a field without 'type'".into()));
        };
        let data_type = self.data_type(declared)?;
        let Some(nullable) = value.get("nullable").and_then(Value::as_bool) else {
            return Err(self.corrupt("a field without the boolean 'nullable'".into()));
        };
        // The protocol lists `metadata` as a map; Spark also reads fields without.
        let mut metadata = match value.get("metadata") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(metadata)) => metadata.clone(),
            Some(other) => {
                return Err(
                    self.corrupt(format!("expected a map 'metadata', found {}", kind_of(other)))
                );
            }
        };
        // As Spark does where it takes such a type for a string.
        if data_type == DataType::String && *declared != DataType::String.to_string() {
            metadata.entry(CHAR_VARCHAR_TYPE).or_insert_with(|| declared.clone());
        }
        self.path.pop();
        Ok(StructField { name: name.to_owned(), data_type, nullable, metadata })
    }

    fn child(
        &mut self,
        step: &'static str,
        key: &str,
        object: &'a Map<String, Value>,
    ) -> Result<DataType> {
        self.path.push(step);
        let Some(value) = object.get(key) else {
            return Err(self.corrupt(format!("a type without '{key}'")));
        };
        let data_type = self.data_type(value)?;
        self.path.pop();
        Ok(data_type)
    }

    /// A nullability of an array or a map. The protocol's table of "Map Type"
    /// leaves `valueContainsNull` out, so a missing one is the wider answer.
    fn flag(&self, key: &str, object: &Map<String, Value>) -> Result<bool> {
        match object.get(key) {
            None => Ok(true),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => {
                Err(self.corrupt(format!("expected a boolean '{key}', found {}", kind_of(other))))
            }
        }
    }

    fn check_depth(&self) -> Result<()> {
        if self.path.len() > DEPTH_MAX {
            return Err(Error::limit(format!(
                "schema: types nest more than {DEPTH_MAX} levels deep"
            )));
        }
        Ok(())
    }

    fn count_fields(&mut self, more: usize) -> Result<()> {
        self.fields += more;
        if self.fields > FIELDS_MAX {
            return Err(Error::limit(format!("schema: more than {FIELDS_MAX} fields")));
        }
        Ok(())
    }

    fn corrupt(&self, problem: String) -> Error {
        Error::corrupt(format!("schema{}: {problem}", self.place()))
    }

    fn place(&self) -> String {
        if self.path.is_empty() {
            return String::new();
        }
        format!(" column {}", escaped(&self.path.join(".")))
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl DataType {
    /// The primitive type that the protocol calls by this name.
    pub(crate) fn of_name(name: &str) -> Option<DataType> {
        primitive(name).ok()
    }
}

enum Unreadable {
    Unknown,
    Decimal,
}

fn primitive(name: &str) -> Result<DataType, Unreadable> {
    Ok(match name {
        "string" => DataType::String,
        "long" => DataType::Long,
        "integer" => DataType::Integer,
        "short" => DataType::Short,
        "byte" => DataType::Byte,
        "float" => DataType::Float,
        "double" => DataType::Double,
        "boolean" => DataType::Boolean,
        "binary" => DataType::Binary,
        "date" => DataType::Date,
        // Spark's other name for its timestamp with local time zone.
        "timestamp" | "timestamp_ltz" => DataType::Timestamp,
        "timestamp_ntz" => DataType::TimestampNtz,
        // Spark wrote "null" before it wrote "void", and still reads both.
        "void" | "null" => DataType::Void,
        "variant" => DataType::Variant,
        // As Spark reads a decimal without precision.
        "decimal" => DataType::Decimal { precision: 10, scale: 0 },
        _ => {
            if let Some(arguments) = arguments_of("decimal", name) {
                return decimal(arguments).ok_or(Unreadable::Decimal);
            }
            // Spark's `char(n)` and `varchar(n)` are strings whose length only
            // writers check. Delta writes "string" and keeps the length in the
            // column's metadata; other writers have put the name here.
            for text in ["char", "varchar"] {
                if arguments_of(text, name).is_some_and(|n| n.trim().parse::<u32>().is_ok()) {
                    return Ok(DataType::String);
                }
            }
            return interval(name).ok_or(Unreadable::Unknown);
        }
    })
}

/// What stands between the brackets of `name(...)`.
fn arguments_of<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    text.strip_prefix(name)?.trim_start().strip_prefix('(')?.strip_suffix(')')
}

/// "Primitive Types": precision and scale can be up to 38.
fn decimal(arguments: &str) -> Option<DataType> {
    let (precision, scale) = arguments.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let in_range = (1..=38).contains(&precision) && scale <= precision;
    in_range.then_some(DataType::Decimal { precision, scale })
}

/// Spark's intervals: `interval <field>` or `interval <field> to <lesser field>`
/// of one family. The narrower spellings only bound what is displayed, so both
/// families are read as their widest member.
fn interval(name: &str) -> Option<DataType> {
    const YEAR_MONTH: [&str; 2] = ["year", "month"];
    const DAY_TIME: [&str; 4] = ["day", "hour", "minute", "second"];
    let fields = name.strip_prefix("interval ")?;
    let (from, to) = match fields.split_once(" to ") {
        Some((from, to)) => (from, Some(to)),
        None => (fields, None),
    };
    let is_of = |family: &[&str]| {
        let place = |field: &str| family.iter().position(|f| *f == field);
        place(from).is_some_and(|from| to.is_none_or(|to| place(to).is_some_and(|to| from < to)))
    };
    if is_of(&YEAR_MONTH) {
        Some(DataType::IntervalYearMonth)
    } else if is_of(&DAY_TIME) {
        Some(DataType::IntervalDayTime)
    } else {
        None
    }
}

// ---- types to JSON ----

fn struct_to_value(schema: &StructType) -> Value {
    let fields: Vec<Value> = schema
        .fields
        .iter()
        .map(|field| {
            json!({
                "name": field.name,
                "type": type_to_value(&field.data_type),
                "nullable": field.nullable,
                "metadata": field.metadata,
            })
        })
        .collect();
    json!({ "type": "struct", "fields": fields })
}

fn type_to_value(data_type: &DataType) -> Value {
    match data_type {
        DataType::Struct(schema) => struct_to_value(schema),
        DataType::Array(array) => json!({
            "type": "array",
            "elementType": type_to_value(&array.element_type),
            "containsNull": array.contains_null,
        }),
        DataType::Map(map) => json!({
            "type": "map",
            "keyType": type_to_value(&map.key_type),
            "valueType": type_to_value(&map.value_type),
            "valueContainsNull": map.value_contains_null,
        }),
        primitive => Value::String(primitive.to_string()),
    }
}

// ---- type widening ----

/// The first type change recorded in `schema` that this library cannot undo
/// while reading older files, in words.
///
/// "Reader Requirements for Type Widening": readers must validate that they
/// support all type changes of the schema, and fail when finding another.
pub(crate) fn unsupported_type_change(schema: &StructType) -> Option<String> {
    first_change(schema, &mut Vec::new())
}

fn first_change<'a>(schema: &'a StructType, path: &mut Vec<&'a str>) -> Option<String> {
    for field in &schema.fields {
        path.push(&field.name);
        // "Type Change Metadata": a change inside an array or a map is recorded
        // at the nearest struct field, so only fields are looked at.
        let found = match field.recorded_type_changes() {
            Ok(changes) => changes.into_iter().find(|c| !is_readable_change(&c.from, &c.to)).map(
                |TypeChange { from, to, field_path }| {
                    let inner = [field_path].into_iter().filter(|inner| !inner.is_empty());
                    let column = path.iter().copied().chain(inner).collect::<Vec<_>>().join(".");
                    format!("column {}: type change from {from} to {to}", escaped(&column))
                },
            ),
            Err(e) => Some(format!("column {}: {}", escaped(&path.join(".")), e.message())),
        };
        if found.is_some() {
            return found;
        }
        if let Some(found) = first_change_within(&field.data_type, path) {
            return Some(found);
        }
        path.pop();
    }
    None
}

fn first_change_within<'a>(data_type: &'a DataType, path: &mut Vec<&'a str>) -> Option<String> {
    let (step, child) = match data_type {
        DataType::Struct(schema) => return first_change(schema, path),
        DataType::Array(array) => ("element", &array.element_type),
        DataType::Map(map) => {
            path.push("key");
            if let Some(found) = first_change_within(&map.key_type, path) {
                return Some(found);
            }
            path.pop();
            ("value", &map.value_type)
        }
        _ => return None,
    };
    path.push(step);
    let found = first_change_within(child, path);
    path.pop();
    found
}

impl StructField {
    /// The changes of this column's type since its oldest files, in the order they
    /// were made (`delta.typeChanges`, "Type Change Metadata").
    ///
    /// # Errors
    /// `CorruptLog` where that is no list of changes, `Unsupported` where a type of
    /// it is not known. Both name the column.
    pub fn type_changes(&self) -> Result<Vec<TypeChange<'_>>> {
        self.recorded_type_changes()
            .map_err(|e| e.at(format!("schema column {}", escaped(&self.name))))
    }

    fn recorded_type_changes(&self) -> Result<Vec<TypeChange<'_>>> {
        match self.metadata.get(TYPE_CHANGES) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(changes)) => changes.iter().map(type_change).collect(),
            Some(other) => Err(Error::corrupt(format!(
                "expected a list of type changes, found {}",
                kind_of(other)
            ))),
        }
    }
}

fn type_change(change: &Value) -> Result<TypeChange<'_>> {
    let text = |key| match change.get(key).and_then(Value::as_str) {
        Some(text) => Ok(text),
        None => Err(Error::corrupt(format!("a type change without the text '{key}'"))),
    };
    let (from, to) = (text("fromType")?, text("toType")?);
    let field_path = change.get("fieldPath").map_or(Ok(""), |_| text("fieldPath"))?;
    match (primitive(from), primitive(to)) {
        (Ok(from), Ok(to)) => Ok(TypeChange { from, to, field_path }),
        _ => Err(Error::unsupported(format!(
            "type change from {} to {}",
            escaped(from),
            escaped(to)
        ))),
    }
}

/// Whether values of a type can be read as those of another: the supported type
/// changes of "Type Widening".
pub(crate) fn is_readable_change(from: &DataType, to: &DataType) -> bool {
    use DataType::*;
    match (from, to) {
        // Nothing to undo; Spark lets it pass too.
        (from, to) if from == to => true,
        (Byte, Short | Integer | Long) | (Short, Integer | Long) | (Integer, Long) => true,
        (Float | Byte | Short | Integer, Double) => true,
        (Date, TimestampNtz) => true,
        (Decimal { precision: p, scale: s }, Decimal { precision, scale }) => {
            scale >= s && precision.saturating_sub(*scale) >= p.saturating_sub(*s)
        }
        (Byte | Short | Integer | Long, Decimal { precision, scale }) => {
            // The protocol asks ten digits before the point of all three small
            // integers, because they share a Parquet type. Tables written while
            // the feature was in preview have decimal(4,1) from a byte and
            // decimal(6,1) from a short: every value fits, so they are read.
            let digits = match from {
                Byte => 3,
                Short => 5,
                Integer => 10,
                _ => 20,
            };
            precision.saturating_sub(*scale) >= digits
        }
        _ => false,
    }
}

/// The parts of a path, as Spark writes one: dots between them, backticks about
/// one that has a dot of its own, a backtick in it doubled.
pub(crate) fn column_path(path: &str) -> Result<Vec<String>> {
    let bad = || {
        Error::invalid(format!(
            "\"{}\" is no path of a column: names with dots between them were expected, in \
             backticks where a name has a dot",
            escaped(path)
        ))
    };
    let mut parts = Vec::new();
    let mut rest = path;
    loop {
        let mut part = String::new();
        if let Some(mut quoted) = rest.strip_prefix('`') {
            loop {
                let (before, after) = quoted.split_once('`').ok_or_else(bad)?;
                part.push_str(before);
                match after.strip_prefix('`') {
                    Some(more) => {
                        part.push('`');
                        quoted = more;
                    }
                    None => {
                        rest = after;
                        break;
                    }
                }
            }
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            part.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        if part.is_empty() {
            return Err(bad());
        }
        parts.push(part);
        match rest.strip_prefix('.') {
            Some(more) => rest = more,
            None if rest.is_empty() => return Ok(parts),
            None => return Err(bad()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance_tables;
    use crate::error::ErrorKind;

    fn schema_of(fields: &str) -> Result<StructType> {
        StructType::from_json(&format!(r#"{{"type":"struct","fields":[{fields}]}}"#))
    }

    fn field(name: &str, data_type: &str) -> String {
        format!(r#"{{"name":{name:?},"type":{data_type},"nullable":true,"metadata":{{}}}}"#)
    }

    fn type_of(data_type: &str) -> Result<DataType> {
        Ok(schema_of(&field("c", data_type))?.fields.remove(0).data_type)
    }

    fn named(name: &str) -> Result<DataType> {
        type_of(&format!("{name:?}"))
    }

    #[test]
    fn every_primitive_reads_back_as_itself() {
        for name in [
            "string",
            "long",
            "integer",
            "short",
            "byte",
            "float",
            "double",
            "decimal(38,18)",
            "boolean",
            "binary",
            "date",
            "timestamp",
            "timestamp_ntz",
            "void",
            "variant",
            "interval year to month",
            "interval day to second",
        ] {
            assert_eq!(named(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn older_and_narrower_spellings_are_read() {
        assert_eq!(named("null").unwrap(), DataType::Void);
        assert_eq!(named("timestamp_ltz").unwrap(), DataType::Timestamp);
        assert_eq!(named("decimal").unwrap(), DataType::Decimal { precision: 10, scale: 0 });
        assert_eq!(
            named("decimal( 10 , 4 )").unwrap(),
            DataType::Decimal { precision: 10, scale: 4 }
        );
        assert_eq!(named("varchar(20)").unwrap(), DataType::String);
        assert_eq!(named("char(3)").unwrap(), DataType::String);
        assert_eq!(named("interval month").unwrap(), DataType::IntervalYearMonth);
        assert_eq!(named("interval hour to minute").unwrap(), DataType::IntervalDayTime);
    }

    #[test]
    fn a_variant_is_read_as_a_name_and_as_the_protocols_example_has_it() {
        assert_eq!(type_of(r#"{"type":"variant"}"#).unwrap(), DataType::Variant);
        let array = r#"{"type":"array","elementType":{"type":"variant"},"containsNull":false}"#;
        let DataType::Array(array) = type_of(array).unwrap() else { panic!("no array") };
        assert_eq!(array.element_type, DataType::Variant);
        assert!(named("Variant").is_err());
    }

    #[test]
    fn the_declared_length_of_a_text_column_is_kept_where_spark_keeps_it() {
        let kept = |data_type: &str, metadata: &str| {
            let field = format!(
                r#"{{"name":"c","type":{data_type},"nullable":true,"metadata":{metadata}}}"#
            );
            schema_of(&field).unwrap().fields[0].metadata.get(CHAR_VARCHAR_TYPE).cloned()
        };
        assert_eq!(kept(r#""varchar(20)""#, "{}"), Some(json!("varchar(20)")));
        assert_eq!(kept(r#""char(3)""#, "{}"), Some(json!("char(3)")));
        assert_eq!(kept(r#""string""#, "{}"), None);
        assert_eq!(kept(r#""long""#, "{}"), None);
        let spark = r#"{"__CHAR_VARCHAR_TYPE_STRING":"varchar(5)"}"#;
        assert_eq!(kept(r#""string""#, spark), Some(json!("varchar(5)")));
        assert_eq!(kept(r#""varchar(20)""#, spark), Some(json!("varchar(5)")));
    }

    #[test]
    fn a_map_that_does_not_say_may_have_null_values() {
        let map = r#"{"type":"map","keyType":"string","valueType":"long"}"#;
        let DataType::Map(map) = type_of(map).unwrap() else { panic!("no map") };
        assert!(map.value_contains_null);
    }

    #[test]
    fn an_unknown_type_names_its_column_and_itself() {
        for name in [
            "geometry(OGC:CRS84)",
            "varchar",
            "varchar(x)",
            "interval month to day",
            "interval month to year",
            "interval day to day",
            "Integer",
            "",
        ] {
            let error = named(name).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{name}");
            assert!(error.message().contains(&format!("column c: type '{name}'")), "{error}");
        }
        let nested = r#"{"type":"array","elementType":"geography","containsNull":true}"#;
        let error = type_of(nested).unwrap_err();
        assert!(error.message().contains("column c.element: type 'geography'"), "{error}");
        let user_defined = type_of(r#"{"type":"udt","class":"x"}"#).unwrap_err();
        assert_eq!(user_defined.kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn a_decimal_out_of_range_is_corrupt() {
        for name in ["decimal(38,38)", "decimal(1,0)"] {
            assert!(named(name).is_ok(), "{name}");
        }
        for name in ["decimal(39,0)", "decimal(0,0)", "decimal(5,6)", "decimal(5,-1)", "decimal()"]
        {
            assert_eq!(named(name).unwrap_err().kind(), ErrorKind::CorruptLog, "{name}");
        }
    }

    #[test]
    fn names_that_differ_only_in_case_are_corrupt() {
        let two = |a, b| schema_of(&[field(a, r#""long""#), field(b, r#""long""#)].join(","));
        assert!(two("a", "b").is_ok());
        let error = two("Name", "nAME").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptLog);
        assert!(error.message().contains("'Name' and 'nAME'"), "{error}");
        assert!(two("Ä", "ä").is_err());
    }

    #[test]
    fn names_are_unique_within_a_struct_not_across_structs() {
        let inner = |fields: &str| format!(r#"{{"type":"struct","fields":[{fields}]}}"#);
        let a = field("a", r#""long""#);
        assert!(schema_of(&format!("{a},{}", field("s", &inner(&a)))).is_ok());
        let twice = inner(&format!("{a},{}", field("A", r#""long""#)));
        let error = schema_of(&field("s", &twice)).unwrap_err();
        assert!(error.message().starts_with("schema column s:"), "{error}");
    }

    #[test]
    fn what_is_not_a_schema_is_corrupt() {
        for text in [
            "",
            "null",
            "[]",
            "\"long\"",
            "{}",
            r#"{"type":"struct"}"#,
            r#"{"type":"struct","fields":{}}"#,
            r#"{"type":"struct","fields":[1]}"#,
            r#"{"type":"struct","fields":[{"name":"a","nullable":true}]}"#,
            r#"{"type":"struct","fields":[{"name":"a","type":"long"}]}"#,
            r#"{"type":"struct","fields":[{"name":"a","type":7,"nullable":true}]}"#,
            r#"{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":[]}]}"#,
            r#"{"type":"struct","fields":[{"name":"a","type":{"type":"array"},"nullable":true}]}"#,
        ] {
            assert_eq!(
                StructType::from_json(text).unwrap_err().kind(),
                ErrorKind::CorruptLog,
                "{text}"
            );
        }
    }

    #[test]
    fn a_field_without_metadata_and_an_empty_schema_are_read() {
        let schema = schema_of(r#"{"name":"a","type":"long","nullable":false}"#).unwrap();
        assert_eq!(schema.fields, [StructField::new("a", DataType::Long, false)]);
        assert!(schema_of("").unwrap().fields.is_empty());
    }

    #[test]
    fn deep_types_reach_a_limit_not_the_end_of_the_stack() {
        let arrays = |depth: usize| {
            let open = r#"{"containsNull":true,"type":"array","elementType":"#.repeat(depth);
            type_of(&format!(r#"{open}"long"{}"#, "}".repeat(depth)))
        };
        assert!(arrays(90).is_ok());
        for depth in [DEPTH_MAX, 120, 10_000, 1_000_000] {
            assert_eq!(arrays(depth).unwrap_err().kind(), ErrorKind::LimitExceeded, "{depth}");
        }
        let open = r#"{"type":"struct","fields":[{"name":"s","nullable":true,"type":"#;
        let structs = format!("{}\"long\"{}", open.repeat(10_000), "}]}".repeat(10_000));
        let error = StructType::from_json(&structs).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn too_many_fields_reach_a_limit() {
        let fields = |n: usize| {
            schema_of(
                &(0..n).map(|i| field(&i.to_string(), r#""long""#)).collect::<Vec<_>>().join(","),
            )
        };
        assert_eq!(fields(FIELDS_MAX).unwrap().fields.len(), FIELDS_MAX);
        assert_eq!(fields(FIELDS_MAX + 1).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }

    #[test]
    fn a_small_text_of_many_values_reaches_a_limit_before_it_is_parsed() {
        let error = StructType::from_json(&format!("[{}0]", "0,".repeat(VALUES_MAX))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded);
        let error = StructType::from_json(&format!("[{}0]", "0,".repeat(1_000))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptLog);
    }

    #[test]
    fn control_characters_of_a_column_name_do_not_reach_a_message() {
        let error = schema_of(&field("a\u{1b}[31m", r#""x\ny""#)).unwrap_err();
        assert!(!error.message().contains(['\u{1b}', '\n']), "{error}");
    }

    #[test]
    fn a_physical_name_is_demanded_where_columns_are_mapped() {
        let mut field = StructField::new("logical", DataType::Long, true);
        assert_eq!(field.physical_name(ColumnMappingMode::None).unwrap(), "logical");
        let error = field.physical_name(ColumnMappingMode::Name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptLog);
        assert!(error.message().contains("logical"), "{error}");

        field.metadata.insert(PHYSICAL_NAME.to_owned(), json!("physical"));
        assert_eq!(field.physical_name(ColumnMappingMode::None).unwrap(), "logical");
        assert_eq!(field.physical_name(ColumnMappingMode::Name).unwrap(), "physical");
        assert_eq!(field.physical_name(ColumnMappingMode::Id).unwrap(), "physical");
    }

    #[test]
    fn a_mapping_mode_is_one_of_three() {
        let mode = |value: &str| {
            let configuration = BTreeMap::from([(MAPPING_MODE.to_owned(), value.to_owned())]);
            ColumnMappingMode::from_configuration(&configuration)
        };
        let absent = ColumnMappingMode::from_configuration(&BTreeMap::new());
        assert_eq!(absent.unwrap(), ColumnMappingMode::None);
        assert_eq!(mode("none").unwrap(), ColumnMappingMode::None);
        assert_eq!(mode("name").unwrap(), ColumnMappingMode::Name);
        assert_eq!(mode("ID").unwrap(), ColumnMappingMode::Id);
        assert_eq!(mode("both").unwrap_err().kind(), ErrorKind::Unsupported);
    }

    fn change(from: &str, to: &str) -> Option<String> {
        let mut field = StructField::new("c", DataType::Long, true);
        let changes = json!([{ "fromType": from, "toType": to }]);
        field.metadata.insert(TYPE_CHANGES.to_owned(), changes);
        unsupported_type_change(&StructType { fields: vec![field] })
    }

    #[test]
    fn the_protocols_type_changes_are_supported_and_no_others() {
        for (from, to) in [
            ("byte", "short"),
            ("byte", "long"),
            ("integer", "long"),
            ("float", "double"),
            ("integer", "double"),
            ("date", "timestamp_ntz"),
            ("decimal(6,2)", "decimal(10, 4)"),
            ("integer", "decimal(10,0)"),
            ("integer", "decimal(12,2)"),
            ("long", "decimal(20,0)"),
            ("byte", "decimal(4,1)"),
        ] {
            assert_eq!(change(from, to), None, "{from} to {to}");
        }
        for (from, to) in [
            ("long", "integer"),
            ("long", "double"),
            ("double", "float"),
            ("date", "timestamp"),
            ("timestamp", "date"),
            ("decimal(6,2)", "decimal(7,4)"),
            ("decimal(6,2)", "decimal(10,1)"),
            ("integer", "decimal(10,1)"),
            ("long", "decimal(19,0)"),
            ("byte", "string"),
            ("byte", "unsupported"),
        ] {
            let found = change(from, to).unwrap_or_else(|| panic!("{from} to {to}"));
            assert!(found.contains("column c") && found.contains(to), "{found}");
        }
    }

    #[test]
    fn a_nested_type_change_is_found_and_named() {
        let text = |to: &str| {
            format!(
                r#"{{"name":"a","nullable":true,"type":{{"type":"map","keyType":"string",
                "valueContainsNull":true,"valueType":{{"type":"struct","fields":[
                {{"name":"b","nullable":true,"type":{{"type":"array","containsNull":true,
                "elementType":"double"}},"metadata":{{"delta.typeChanges":[
                {{"fromType":"float","toType":"{to}","fieldPath":"element"}}]}}}}]}}}}}}"#
            )
        };
        assert_eq!(unsupported_type_change(&schema_of(&text("double")).unwrap()), None);
        let found = unsupported_type_change(&schema_of(&text("string")).unwrap()).unwrap();
        assert!(found.contains("a.value.b.element"), "{found}");
    }

    #[test]
    fn a_columns_type_changes_are_listed_in_order() {
        let mut field = StructField::new("c", DataType::Long, true);
        assert_eq!(field.type_changes().unwrap(), []);
        let changes = json!([
            { "fromType": "short", "toType": "integer", "tableVersion": 3 },
            { "fromType": "decimal(6, 2)", "toType": "decimal(10,4)", "fieldPath": "element.value" },
        ]);
        field.metadata.insert(TYPE_CHANGES.to_owned(), changes);
        let decimal = |precision, scale| DataType::Decimal { precision, scale };
        let (from, to) = (decimal(6, 2), decimal(10, 4));
        assert_eq!(
            field.type_changes().unwrap(),
            [
                TypeChange { from: DataType::Short, to: DataType::Integer, field_path: "" },
                TypeChange { from, to, field_path: "element.value" },
            ]
        );
    }

    #[test]
    fn a_malformed_list_of_type_changes_is_not_taken_for_none() {
        for (changes, kind) in [
            (json!("x"), ErrorKind::CorruptLog),
            (json!([1]), ErrorKind::CorruptLog),
            (json!([{ "fromType": "byte" }]), ErrorKind::CorruptLog),
            (
                json!([{ "fromType": "byte", "toType": "long", "fieldPath": 1 }]),
                ErrorKind::CorruptLog,
            ),
            (json!([{ "fromType": "byte", "toType": "huge" }]), ErrorKind::Unsupported),
        ] {
            let mut field = StructField::new("c", DataType::Long, true);
            field.metadata.insert(TYPE_CHANGES.to_owned(), changes);
            let error = field.type_changes().unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.message().starts_with("schema column c: "), "{error}");
            assert!(unsupported_type_change(&StructType { fields: vec![field] }).is_some());
        }
    }

    #[test]
    fn the_acceptance_tables_schemas_read_and_come_back_equal() {
        for table in acceptance_tables::that_open() {
            let expected = &table.expected["latest"]["schema"];
            let schema = StructType::from_json(&expected.to_string())
                .unwrap_or_else(|e| panic!("{}: {e}", table.name));
            let back: Value = serde_json::from_str(&schema.to_json()).unwrap();
            assert_eq!(&back, expected, "{}", table.name);
            assert_eq!(StructType::from_json(&schema.to_json()).unwrap(), schema);
            let arrow = schema.to_arrow();
            assert_eq!(StructType::from_arrow(&arrow).unwrap(), schema, "{}", table.name);
            assert_eq!(unsupported_type_change(&schema), None, "{}", table.name);
        }
    }
}
