//! A Delta schema as an Arrow schema, and back.
//!
//! Arrow has no words for most of what a Delta column says, so an Arrow field
//! carries the column's metadata whole, in one entry of its own: the JSON object
//! of the log. What other readers look for stands beside it: the field id of
//! Parquet, and the name of the variant's extension type. On the way back that
//! one entry is believed and nothing else, because text alone does not tell a
//! number from a string; a schema that does not come from here gives its types,
//! its nullability and its field ids.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{
    DataType as ArrowType, Field, FieldRef, Fields, IntervalUnit, Schema, SchemaRef, TimeUnit,
};
use serde_json::{Map, Value};

use super::{ArrayType, DataType, ID, MapType, NESTED_IDS, Place, StructField, StructType};
use crate::error::{Error, Result, escaped};

/// The metadata of a Delta column: a JSON object, as in the log.
const DELTA_METADATA: &str = "DELTA:metadata";
/// Where Arrow's Parquet reader and writer keep a column's field id.
const FIELD_ID: &str = "PARQUET:field_id";
const EXTENSION_NAME: &str = "ARROW:extension:name";
const EXTENSION_METADATA: &str = "ARROW:extension:metadata";
/// Arrow's canonical extension type for Parquet's variants; its metadata is empty.
const VARIANT: &str = "arrow.parquet.variant";

impl StructType {
    /// The Arrow schema of a table's rows, under its logical names.
    ///
    /// | Delta | Arrow |
    /// |---|---|
    /// | `string`, `binary`, `boolean` | `Utf8`, `Binary`, `Boolean` |
    /// | `byte`, `short`, `integer`, `long` | `Int8`, `Int16`, `Int32`, `Int64` |
    /// | `float`, `double`, `decimal(p,s)` | `Float32`, `Float64`, `Decimal128(p, s)` |
    /// | `date` | `Date32` |
    /// | `timestamp`, `timestamp_ntz` | `Timestamp` in microseconds, of zone `UTC`, of none |
    /// | `void` | `Null`, always nullable |
    /// | `variant` | a struct of the `Binary` fields `metadata` and `value`, of extension type `arrow.parquet.variant` |
    /// | `interval year to month` | `Interval(YearMonth)` |
    /// | `interval day to second` | `Duration` in microseconds |
    /// | a struct | `Struct` |
    /// | an array | `List` of `element` |
    /// | a map | `Map` of `key_value`, a struct of `key` and `value` |
    ///
    /// A field's metadata has, where the column has them: `PARQUET:field_id`, its
    /// id of "Column Mapping" (elements, keys and values too: "Writer Requirements
    /// for IcebergCompatV2"), and `DELTA:metadata`, its [metadata] as a JSON object.
    ///
    /// [metadata]: StructField::metadata
    pub fn to_arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(arrow_fields(self)))
    }

    /// The Delta schema whose [`to_arrow`](StructType::to_arrow) is `schema`, or
    /// that of another Arrow schema, as far as Delta has names for its types.
    ///
    /// Text and bytes are taken in all their layouts, lists too, dictionaries and
    /// runs as what they hold, decimals of up to 38 digits, timestamps in
    /// microseconds of UTC or of no zone. A field without `DELTA:metadata` has its
    /// field id, and those of its elements, keys and values, as ids of "Column
    /// Mapping"; other metadata of Arrow is left out.
    ///
    /// # Errors
    /// `Unsupported` on any other type, naming the column; `InvalidArgument` on two
    /// names at one level that differ at most in case and on `DELTA:metadata` that is
    /// no JSON object; `LimitExceeded` on more than 100,000 fields or 100 levels.
    pub fn from_arrow(schema: &Schema) -> Result<StructType> {
        Reader::default().struct_type(schema.fields())
    }
}

// ---- to Arrow ----

/// The Arrow type of a column's values.
pub(crate) fn arrow_type(data_type: &DataType) -> ArrowType {
    Within { ids: None, path: String::new() }.arrow_type(data_type)
}

fn arrow_fields(schema: &StructType) -> Fields {
    schema.fields.iter().map(arrow_field).collect()
}

fn arrow_field(field: &StructField) -> FieldRef {
    let mut within = Within {
        ids: field.metadata.get(NESTED_IDS).and_then(Value::as_object),
        // "Writer Requirements for IcebergCompatV2": by physical name. Spark takes
        // the logical one where there is no other.
        path: field.own_physical_name().unwrap_or(&field.name).to_owned(),
    };
    let id = field.column_mapping_id();
    let mut arrow = within.field(&field.name, &field.data_type, field.nullable, id);
    if !field.metadata.is_empty() {
        let metadata = Value::Object(field.metadata.clone()).to_string();
        arrow.metadata_mut().insert(DELTA_METADATA.to_owned(), metadata);
    }
    Arc::new(arrow)
}

/// The place within one column, down to the structs of its own type. The ids of
/// elements, keys and values stand at the column, under the way to them.
struct Within<'a> {
    ids: Option<&'a Map<String, Value>>,
    path: String,
}

impl Within<'_> {
    fn arrow_type(&mut self, data_type: &DataType) -> ArrowType {
        match data_type {
            DataType::String => ArrowType::Utf8,
            DataType::Long => ArrowType::Int64,
            DataType::Integer => ArrowType::Int32,
            DataType::Short => ArrowType::Int16,
            DataType::Byte => ArrowType::Int8,
            DataType::Float => ArrowType::Float32,
            DataType::Double => ArrowType::Float64,
            // Both are at most 38 in a schema that was read; a field built by hand
            // may say more, and Arrow refuses that where arrays are built.
            DataType::Decimal { precision, scale } => {
                ArrowType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
            }
            DataType::Boolean => ArrowType::Boolean,
            DataType::Binary => ArrowType::Binary,
            DataType::Date => ArrowType::Date32,
            DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            DataType::TimestampNtz => ArrowType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Void => ArrowType::Null,
            DataType::Variant => ArrowType::Struct(Fields::from(vec![
                Field::new("metadata", ArrowType::Binary, false),
                Field::new("value", ArrowType::Binary, false),
            ])),
            DataType::IntervalYearMonth => ArrowType::Interval(IntervalUnit::YearMonth),
            DataType::IntervalDayTime => ArrowType::Duration(TimeUnit::Microsecond),
            DataType::Struct(schema) => ArrowType::Struct(arrow_fields(schema)),
            DataType::Array(array) => {
                ArrowType::List(self.child("element", &array.element_type, array.contains_null))
            }
            DataType::Map(map) => {
                let entries = Fields::from(vec![
                    self.child("key", &map.key_type, false),
                    self.child("value", &map.value_type, map.value_contains_null),
                ]);
                let entries = Field::new("key_value", ArrowType::Struct(entries), false);
                ArrowType::Map(Arc::new(entries), false)
            }
        }
    }

    fn child(&mut self, step: &str, data_type: &DataType, nullable: bool) -> FieldRef {
        let outer = self.path.len();
        self.path.push('.');
        self.path.push_str(step);
        let id = self.ids.and_then(|ids| ids.get(&self.path)?.as_i64());
        let field = self.field(step, data_type, nullable, id);
        self.path.truncate(outer);
        Arc::new(field)
    }

    fn field(
        &mut self,
        name: &str,
        data_type: &DataType,
        nullable: bool,
        id: Option<i64>,
    ) -> Field {
        let mut metadata = HashMap::new();
        if let Some(id) = id {
            metadata.insert(FIELD_ID.to_owned(), id.to_string());
        }
        if *data_type == DataType::Variant {
            metadata.insert(EXTENSION_NAME.to_owned(), VARIANT.to_owned());
            metadata.insert(EXTENSION_METADATA.to_owned(), String::new());
        }
        // A void column holds nothing but nulls, whatever its schema claims.
        let nullable = nullable || *data_type == DataType::Void;
        Field::new(name, self.arrow_type(data_type), nullable).with_metadata(metadata)
    }
}

// ---- from Arrow ----

#[derive(Default)]
struct Reader<'a> {
    place: Place<'a>,
    /// Where in the place's path the nearest struct field is.
    column: usize,
    /// The field ids within that one, by the way to them.
    ids: Map<String, Value>,
}

impl<'a> Reader<'a> {
    fn struct_type(&mut self, fields: &'a Fields) -> Result<StructType> {
        self.place.count_fields(fields.len())?;
        let outer = (std::mem::take(&mut self.ids), self.column);
        self.column = self.place.path.len();
        let fields = fields.iter().map(|f| self.struct_field(f)).collect::<Result<Vec<_>>>()?;
        (self.ids, self.column) = outer;
        let schema = StructType { fields };
        match schema.names_alike() {
            Some(problem) => Err(self.invalid(&problem)),
            None => Ok(schema),
        }
    }

    fn struct_field(&mut self, field: &'a Field) -> Result<StructField> {
        self.place.path.push(field.name());
        let data_type = self.data_type(field)?;
        let ids = std::mem::take(&mut self.ids);
        let mut metadata = Map::new();
        if let Some(text) = field.metadata().get(DELTA_METADATA) {
            metadata = serde_json::from_str(text)
                .map_err(|_| self.invalid(&format!("{DELTA_METADATA} is no JSON object")))?;
        } else {
            if let Some(id) = field_id(field) {
                metadata.insert(ID.to_owned(), id.into());
            }
            if !ids.is_empty() {
                metadata.insert(NESTED_IDS.to_owned(), ids.into());
            }
        }
        self.place.path.pop();
        Ok(StructField {
            name: field.name().clone(),
            data_type,
            nullable: field.is_nullable(),
            metadata,
        })
    }

    fn data_type(&mut self, field: &'a Field) -> Result<DataType> {
        self.place.check_depth()?;
        let mut arrow = field.data_type();
        // These say how values are laid out, not what they are.
        loop {
            arrow = match arrow {
                ArrowType::Dictionary(_, values) => values,
                ArrowType::RunEndEncoded(_, values) => values.data_type(),
                _ => break,
            };
        }
        Ok(match arrow {
            ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::String,
            ArrowType::Int64 => DataType::Long,
            ArrowType::Int32 => DataType::Integer,
            ArrowType::Int16 => DataType::Short,
            ArrowType::Int8 => DataType::Byte,
            ArrowType::Float32 => DataType::Float,
            ArrowType::Float64 => DataType::Double,
            ArrowType::Decimal32(precision, scale)
            | ArrowType::Decimal64(precision, scale)
            | ArrowType::Decimal128(precision, scale) => {
                let precision = *precision;
                match u8::try_from(*scale) {
                    Ok(scale) if (1..=38).contains(&precision) && scale <= precision => {
                        DataType::Decimal { precision, scale }
                    }
                    _ => return Err(self.unsupported(&arrow.to_string())),
                }
            }
            ArrowType::Boolean => DataType::Boolean,
            ArrowType::Binary
            | ArrowType::LargeBinary
            | ArrowType::BinaryView
            | ArrowType::FixedSizeBinary(_) => DataType::Binary,
            ArrowType::Date32 => DataType::Date,
            ArrowType::Timestamp(TimeUnit::Microsecond, None) => DataType::TimestampNtz,
            ArrowType::Timestamp(TimeUnit::Microsecond, Some(zone)) if is_utc(zone) => {
                DataType::Timestamp
            }
            ArrowType::Null => DataType::Void,
            ArrowType::Interval(IntervalUnit::YearMonth) => DataType::IntervalYearMonth,
            ArrowType::Duration(TimeUnit::Microsecond) => DataType::IntervalDayTime,
            ArrowType::Struct(_) if field.extension_type_name() == Some(VARIANT) => {
                DataType::Variant
            }
            ArrowType::Struct(fields) => DataType::Struct(self.struct_type(fields)?),
            ArrowType::List(element)
            | ArrowType::LargeList(element)
            | ArrowType::FixedSizeList(element, _)
            | ArrowType::ListView(element)
            | ArrowType::LargeListView(element) => DataType::Array(Box::new(ArrayType {
                element_type: self.child("element", element)?,
                contains_null: element.is_nullable(),
            })),
            ArrowType::Map(entries, _) => match entries.data_type() {
                ArrowType::Struct(fields) if fields.len() == 2 => {
                    DataType::Map(Box::new(MapType {
                        key_type: self.child("key", &fields[0])?,
                        value_type: self.child("value", &fields[1])?,
                        value_contains_null: fields[1].is_nullable(),
                    }))
                }
                _ => return Err(self.unsupported("Map of something else than keys and values")),
            },
            // A union's own text may be as deep as it is.
            ArrowType::Union(..) => return Err(self.unsupported("Union")),
            other => return Err(self.unsupported(&other.to_string())),
        })
    }

    fn child(&mut self, step: &'static str, field: &'a Field) -> Result<DataType> {
        self.place.path.push(step);
        if let (Some(id), Some(path)) = (field_id(field), self.place.path.get(self.column..)) {
            self.ids.insert(path.join("."), id.into());
        }
        let data_type = self.data_type(field)?;
        self.place.path.pop();
        Ok(data_type)
    }

    fn unsupported(&self, arrow: &str) -> Error {
        let place = self.place.place();
        Error::unsupported(format!(
            "schema{place}: Delta has no type for Arrow's {}",
            escaped(arrow)
        ))
    }

    fn invalid(&self, problem: &str) -> Error {
        Error::invalid(format!("schema{}: {problem}", self.place.place()))
    }
}

fn field_id(field: &Field) -> Option<i64> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

/// Delta's timestamps are UTC, which Arrow's writers spell in these ways.
fn is_utc(zone: &str) -> bool {
    ["UTC", "Etc/UTC", "Z", "+00:00"].iter().any(|utc| zone.eq_ignore_ascii_case(utc))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use serde_json::json;

    fn column(data_type: DataType, metadata: Value) -> StructField {
        let Value::Object(metadata) = metadata else { panic!("{metadata} is no object") };
        StructField { metadata, ..StructField::new("c", data_type, true) }
    }

    fn schema(fields: impl IntoIterator<Item = StructField>) -> StructType {
        StructType { fields: fields.into_iter().collect() }
    }

    fn array(element_type: DataType) -> DataType {
        DataType::Array(Box::new(ArrayType { element_type, contains_null: true }))
    }

    fn map(key_type: DataType, value_type: DataType) -> DataType {
        DataType::Map(Box::new(MapType { key_type, value_type, value_contains_null: true }))
    }

    /// Reads one Arrow field, with its metadata, as a Delta column.
    fn read(field: Field) -> Result<StructField> {
        Ok(StructType::from_arrow(&Schema::new(vec![field]))?.fields.remove(0))
    }

    fn read_type(arrow: ArrowType) -> Result<DataType> {
        Ok(read(Field::new("c", arrow, true))?.data_type)
    }

    fn list(element: Field) -> ArrowType {
        ArrowType::List(Arc::new(element))
    }

    fn with(field: Field, key: &str, value: &str) -> Field {
        field.with_metadata(HashMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn every_type_has_its_arrow_type_and_comes_back() {
        let micros =
            |zone: Option<&str>| ArrowType::Timestamp(TimeUnit::Microsecond, zone.map(Arc::from));
        let binary = |name| Field::new(name, ArrowType::Binary, false);
        let entries = Fields::from(vec![
            Field::new("key", ArrowType::Utf8, false),
            Field::new("value", list(Field::new("element", ArrowType::Int64, true)), true),
        ]);
        let entries = Field::new("key_value", ArrowType::Struct(entries), false);
        let inner = StructField::new("a", DataType::Date, false);
        for (delta, arrow) in [
            (DataType::String, ArrowType::Utf8),
            (DataType::Long, ArrowType::Int64),
            (DataType::Integer, ArrowType::Int32),
            (DataType::Short, ArrowType::Int16),
            (DataType::Byte, ArrowType::Int8),
            (DataType::Float, ArrowType::Float32),
            (DataType::Double, ArrowType::Float64),
            (DataType::Decimal { precision: 38, scale: 38 }, ArrowType::Decimal128(38, 38)),
            (DataType::Decimal { precision: 1, scale: 0 }, ArrowType::Decimal128(1, 0)),
            (DataType::Boolean, ArrowType::Boolean),
            (DataType::Binary, ArrowType::Binary),
            (DataType::Date, ArrowType::Date32),
            (DataType::Timestamp, micros(Some("UTC"))),
            (DataType::TimestampNtz, micros(None)),
            (DataType::Void, ArrowType::Null),
            (
                DataType::Variant,
                ArrowType::Struct(Fields::from(vec![binary("metadata"), binary("value")])),
            ),
            (DataType::IntervalYearMonth, ArrowType::Interval(IntervalUnit::YearMonth)),
            (DataType::IntervalDayTime, ArrowType::Duration(TimeUnit::Microsecond)),
            (
                DataType::Struct(schema([inner])),
                ArrowType::Struct(Fields::from(vec![Field::new("a", ArrowType::Date32, false)])),
            ),
            (
                map(DataType::String, array(DataType::Long)),
                ArrowType::Map(Arc::new(entries), false),
            ),
        ] {
            assert_eq!(arrow_type(&delta), arrow, "{delta}");
            for nullable in [true, false] {
                let table = schema([StructField::new("Name", delta.clone(), nullable)]);
                let field = table.to_arrow().field(0).clone();
                assert_eq!((field.name().as_str(), field.data_type()), ("Name", &arrow));
                // Void holds nulls, whatever its schema claims.
                let nullable = nullable || delta == DataType::Void;
                assert_eq!(field.is_nullable(), nullable, "{delta}");
                let back = schema([StructField::new("Name", delta.clone(), nullable)]);
                assert_eq!(StructType::from_arrow(&table.to_arrow()).unwrap(), back);
            }
        }
    }

    #[test]
    fn a_variant_is_an_extension_type_and_a_struct_like_it_is_a_struct() {
        let variants = schema([column(array(DataType::Variant), json!({}))]);
        let arrow = variants.to_arrow();
        let ArrowType::List(element) = arrow.field(0).data_type() else { panic!("{arrow}") };
        assert_eq!(element.extension_type_name(), Some("arrow.parquet.variant"));
        assert_eq!(element.extension_type_metadata(), Some(""));
        assert_eq!(StructType::from_arrow(&arrow).unwrap(), variants);

        let alike = read_type(element.data_type().clone()).unwrap();
        let DataType::Struct(alike) = alike else { panic!("{alike}") };
        assert_eq!(alike.fields[0], StructField::new("metadata", DataType::Binary, false));
    }

    #[test]
    fn a_fields_metadata_is_its_id_and_the_logs_object() {
        let metadata = json!({
            "delta.columnMapping.id": 7, "delta.columnMapping.physicalName": "p", "comment": "c",
        });
        let arrow = schema([column(DataType::Long, metadata.clone())]).to_arrow();
        let found = arrow.field(0).metadata();
        assert_eq!(found.len(), 2);
        assert_eq!(found.get("PARQUET:field_id").map(|id| id.as_ref()), Some("7"));
        let text = found.get("DELTA:metadata").unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), metadata);

        let plain = schema([column(array(DataType::Long), json!({}))]).to_arrow();
        assert!(plain.field(0).metadata().is_empty());
    }

    /// The field ids of `arrow` and of all within it, by the way to them.
    fn ids_of(arrow: &Field, way: &str, ids: &mut Vec<(String, i64)>) {
        ids.extend(field_id(arrow).map(|id| (way.to_owned(), id)));
        let (fields, way) = match arrow.data_type() {
            ArrowType::Struct(fields) => (fields.iter().collect(), way),
            ArrowType::List(element) => (vec![element], way),
            // The entries between a map and its keys and values have no name in Delta.
            ArrowType::Map(entries, _) => match entries.data_type() {
                ArrowType::Struct(fields) => (fields.iter().collect(), way),
                other => panic!("{other}"),
            },
            _ => return,
        };
        fields.into_iter().for_each(|f| ids_of(f, &format!("{way}.{}", f.name()), ids));
    }

    #[test]
    fn elements_keys_and_values_have_the_ids_that_their_column_holds() {
        // The example of "Writer Requirements for IcebergCompatV2".
        let sub = StructField {
            name: "subcol1".into(),
            ..column(
                array(DataType::Integer),
                json!({"delta.columnMapping.id": 4, "delta.columnMapping.physicalName": "col-ddd",
                    "delta.columnMapping.nested.ids": {"col-ddd.element": 107}}),
            )
        };
        let tables = [
            (
                array(array(DataType::Integer)),
                json!({"col-aaa.element": 100, "col-aaa.element.element": 101}),
                vec![("c", 1), ("c.element", 100), ("c.element.element", 101)],
            ),
            (
                map(DataType::Integer, array(DataType::Integer)),
                json!({"col-aaa.key": 102, "col-aaa.value": 103, "col-aaa.value.element": 104}),
                vec![("c", 1), ("c.key", 102), ("c.value", 103), ("c.value.element", 104)],
            ),
            (
                map(DataType::Integer, DataType::Struct(schema([sub]))),
                json!({"col-aaa.key": 105, "col-aaa.value": 106}),
                vec![
                    ("c", 1),
                    ("c.key", 105),
                    ("c.value", 106),
                    ("c.value.subcol1", 4),
                    ("c.value.subcol1.element", 107),
                ],
            ),
        ];
        for (data_type, nested, expected) in tables {
            let metadata = json!({"delta.columnMapping.id": 1,
                "delta.columnMapping.physicalName": "col-aaa",
                "delta.columnMapping.nested.ids": nested});
            let arrow = schema([column(data_type, metadata)]).to_arrow();
            let mut ids = Vec::new();
            ids_of(arrow.field(0), "c", &mut ids);
            let ids: Vec<_> = ids.iter().map(|(way, id)| (way.as_str(), *id)).collect();
            assert_eq!(ids, expected);
        }
    }

    #[test]
    fn field_ids_of_another_schema_come_back_as_column_mapping_ids() {
        let id = |field, id| with(field, "PARQUET:field_id", id);
        let item = id(Field::new("item", ArrowType::Int32, true), "3");
        let inner = id(Field::new("x", list(item), true), "2");
        let element = id(Field::new("item", ArrowType::Struct(vec![inner].into()), true), "4");
        let found = read(id(Field::new("c", list(element), true), "1")).unwrap();

        let expected = json!({"delta.columnMapping.id": 1,
            "delta.columnMapping.nested.ids": {"c.element": 4}});
        assert_eq!(Value::Object(found.metadata.clone()), expected);
        let mut ids = Vec::new();
        ids_of(schema([found]).to_arrow().field(0), "c", &mut ids);
        let ids: Vec<_> = ids.iter().map(|(way, id)| (way.as_str(), *id)).collect();
        let x = ("c.element.x", 2);
        assert_eq!(ids, [("c", 1), ("c.element", 4), x, ("c.element.x.element", 3)]);
    }

    #[test]
    fn other_layouts_of_the_same_values_are_read() {
        let dictionary =
            |values| ArrowType::Dictionary(Box::new(ArrowType::Int32), Box::new(values));
        let element = || Arc::new(Field::new("item", ArrowType::Int64, false));
        let runs = ArrowType::RunEndEncoded(
            Arc::new(Field::new("run_ends", ArrowType::Int32, false)),
            Arc::new(Field::new("values", ArrowType::Utf8, true)),
        );
        for (arrow, delta) in [
            (ArrowType::LargeUtf8, DataType::String),
            (ArrowType::Utf8View, DataType::String),
            (dictionary(ArrowType::Utf8), DataType::String),
            (dictionary(dictionary(ArrowType::Date32)), DataType::Date),
            (runs, DataType::String),
            (ArrowType::LargeBinary, DataType::Binary),
            (ArrowType::BinaryView, DataType::Binary),
            (ArrowType::FixedSizeBinary(16), DataType::Binary),
            (ArrowType::Decimal32(9, 2), DataType::Decimal { precision: 9, scale: 2 }),
            (ArrowType::Decimal64(18, 0), DataType::Decimal { precision: 18, scale: 0 }),
        ] {
            assert_eq!(read_type(arrow.clone()).unwrap(), delta, "{arrow}");
        }
        for zone in ["UTC", "utc", "Etc/UTC", "Z", "+00:00"] {
            let zoned = ArrowType::Timestamp(TimeUnit::Microsecond, Some(zone.into()));
            assert_eq!(read_type(zoned).unwrap(), DataType::Timestamp, "{zone}");
        }
        for arrow in [
            ArrowType::List(element()),
            ArrowType::LargeList(element()),
            ArrowType::FixedSizeList(element(), 3),
            ArrowType::ListView(element()),
            ArrowType::LargeListView(element()),
        ] {
            let DataType::Array(found) = read_type(arrow).unwrap() else { panic!("no array") };
            assert_eq!((found.element_type, found.contains_null), (DataType::Long, false));
        }
    }

    #[test]
    fn what_delta_has_no_type_for_is_unsupported_and_names_its_column() {
        let entries = |fields| ArrowType::Map(Arc::new(Field::new("e", fields, false)), false);
        let zoned = |unit, zone: &str| ArrowType::Timestamp(unit, Some(zone.into()));
        for arrow in [
            ArrowType::UInt8,
            ArrowType::UInt64,
            ArrowType::Float16,
            ArrowType::Date64,
            ArrowType::Time32(TimeUnit::Second),
            ArrowType::Time64(TimeUnit::Microsecond),
            ArrowType::Timestamp(TimeUnit::Nanosecond, None),
            zoned(TimeUnit::Millisecond, "UTC"),
            zoned(TimeUnit::Microsecond, "+01:00"),
            zoned(TimeUnit::Microsecond, "Europe/Berlin"),
            ArrowType::Duration(TimeUnit::Nanosecond),
            ArrowType::Interval(IntervalUnit::DayTime),
            ArrowType::Interval(IntervalUnit::MonthDayNano),
            ArrowType::Decimal256(39, 0),
            ArrowType::Decimal256(10, 2),
            ArrowType::Decimal128(39, 0),
            ArrowType::Decimal128(5, -2),
            ArrowType::Decimal128(2, 3),
            ArrowType::Union(
                arrow::datatypes::UnionFields::empty(),
                arrow::datatypes::UnionMode::Sparse,
            ),
            entries(ArrowType::Int32),
            entries(ArrowType::Struct(Fields::from(vec![Field::new("k", ArrowType::Int8, false)]))),
        ] {
            let nested = list(Field::new("item", arrow.clone(), true));
            let error = read_type(nested).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{arrow:?}");
            assert!(error.message().starts_with("schema column c.element: "), "{error}");
        }
    }

    #[test]
    fn names_alike_and_foreign_delta_metadata_are_the_callers_fault() {
        let twins = Schema::new(vec![
            Field::new("a", ArrowType::Int8, true),
            Field::new("A", ArrowType::Int8, true),
        ]);
        let error = StructType::from_arrow(&twins).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        for text in ["", "[]", "{", "7"] {
            let field = with(Field::new("c", ArrowType::Int8, true), "DELTA:metadata", text);
            let error = read(field).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}");
            assert!(error.message().contains("column c"), "{error}");
        }
        let odd = with(Field::new("c", ArrowType::Int8, true), "PARQUET:field_id", "seven");
        assert!(read(odd).unwrap().metadata.is_empty());
    }

    #[test]
    fn a_deep_and_a_wide_arrow_schema_reach_a_limit() {
        let lists = |depth| (0..depth).fold(ArrowType::Int8, |t, _| list(Field::new("i", t, true)));
        assert!(read_type(lists(90)).is_ok());
        for depth in [100, 1_000] {
            assert_eq!(read_type(lists(depth)).unwrap_err().kind(), ErrorKind::LimitExceeded);
        }
        let wide = |n: usize| {
            let field = |i: usize| Field::new(i.to_string(), ArrowType::Int8, true);
            StructType::from_arrow(&Schema::new((0..n).map(field).collect::<Vec<_>>()))
        };
        assert!(wide(100_000).is_ok());
        assert_eq!(wide(100_001).unwrap_err().kind(), ErrorKind::LimitExceeded);
    }

    /// Numbers that look random and are the same in every run.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (self.0 >> 33) % sides
        }

        fn data_type(&mut self, depth: u64) -> DataType {
            let primitives = [
                DataType::String,
                DataType::Long,
                DataType::Integer,
                DataType::Short,
                DataType::Byte,
                DataType::Float,
                DataType::Double,
                DataType::Boolean,
                DataType::Binary,
                DataType::Date,
                DataType::Timestamp,
                DataType::TimestampNtz,
                DataType::Variant,
                DataType::IntervalYearMonth,
                DataType::IntervalDayTime,
            ];
            match self.roll(if depth == 0 { 4 } else { 8 }) {
                0..=2 => primitives[self.roll(primitives.len() as u64) as usize].clone(),
                3 => {
                    let precision = self.roll(38) as u8 + 1;
                    let scale = self.roll(u64::from(precision) + 1) as u8;
                    DataType::Decimal { precision, scale }
                }
                4 | 5 => DataType::Struct(self.schema(depth - 1)),
                6 => DataType::Array(Box::new(ArrayType {
                    element_type: self.data_type(depth - 1),
                    contains_null: self.roll(2) == 0,
                })),
                _ => DataType::Map(Box::new(MapType {
                    key_type: self.data_type(depth - 1),
                    value_type: self.data_type(depth - 1),
                    value_contains_null: self.roll(2) == 0,
                })),
            }
        }

        fn schema(&mut self, depth: u64) -> StructType {
            let fields = 0..self.roll(5);
            let names = ["plain", "with.dot", "Ünïcode", "", "quote\"s\n"];
            schema(fields.map(|i| {
                // A column of nulls always may be null.
                let (data_type, nullable) = match self.roll(10) {
                    0 => (DataType::Void, true),
                    _ => (self.data_type(depth), self.roll(2) == 0),
                };
                let name = names[i as usize].to_owned();
                StructField {
                    metadata: self.metadata(),
                    ..StructField::new(name, data_type, nullable)
                }
            }))
        }

        fn metadata(&mut self) -> Map<String, Value> {
            let entries = [
                ("delta.columnMapping.id", json!(self.roll(1 << 31))),
                ("delta.columnMapping.physicalName", json!("col-aaa")),
                ("delta.columnMapping.nested.ids", json!({"col-aaa.element": 9, "plain.key": 8})),
                ("delta.typeChanges", json!([{"fromType": "byte", "toType": "short"}])),
                ("delta.identity.allowExplicitInsert", json!(true)),
                ("delta.identity.step", json!(-1)),
                ("delta.invariants", json!(r#"{"expression":{"expression":"a > \"\""}}"#)),
                ("__COLLATIONS", json!({"plain": "icu.UNICODE"})),
                ("comment", json!("7")),
                ("nothing", Value::Null),
            ];
            let taken = entries.into_iter().filter(|_| self.roll(4) == 0);
            taken.map(|(key, value)| (key.to_owned(), value)).collect()
        }
    }

    #[test]
    fn every_generated_schema_comes_back_equal_from_arrow_and_from_json() {
        let mut dice = Dice(1);
        let mut deep = 0;
        for round in 0..500 {
            let table = dice.schema(5);
            deep += usize::from(table.to_json().len() > 2_000);
            let arrow = table.to_arrow();
            assert_eq!(StructType::from_arrow(&arrow).unwrap(), table, "round {round}");
            assert_eq!(StructType::from_json(&table.to_json()).unwrap(), table, "round {round}");
            // And what came back gives the same Arrow schema.
            assert_eq!(StructType::from_arrow(&arrow).unwrap().to_arrow(), arrow);
        }
        assert!(deep > 50, "only {deep} schemas were of any size");
    }
}
