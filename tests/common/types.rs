//! A table with a column of each type.
use super::{Action, FileLayout, TestTable, inline_dv, metadata, protocol_features};
use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int32Builder, Int64Array, Int64Builder, ListBuilder,
    MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use serde_json::{Value, json};
use std::sync::Arc;

/// The columns that [`every_type`] has in its files, in the order of its schema,
/// which ends with the partition column `part`.
pub const EVERY_TYPE: [&str; 16] = [
    "byte",
    "short",
    "integer",
    "long",
    "float",
    "double",
    "decimal",
    "boolean",
    "string",
    "binary",
    "date",
    "timestamp",
    "timestamp_ntz",
    "struct",
    "list",
    "map",
];

/// Two files of [`rows_of_every_type`] each, `part=0/a.parquet` and
/// `part=1/b b.parquet`, in row groups of two rows; the second row of the second
/// file is deleted.
pub fn every_type() -> TestTable {
    let batch = rows_of_every_type();
    let layout = FileLayout::default().row_group_rows(2);
    let table = TestTable::new();
    let file = |path: &str, part: &str| -> Action {
        table.data_file_as(path, &batch, &layout).partition("part", Some(part))
    };
    let files =
        [file("part=0/a.parquet", "0"), file("part=1/b b.parquet", "1").dv(inline_dv(&[1]))];
    let features = ["deletionVectors", "timestampNtz"];
    let metadata = metadata("part integer")
        .with("schemaString", schema_of_every_type().to_string())
        .partitioned_by(&["part"]);
    table.commit([protocol_features(&features, &features), metadata].into_iter().chain(files))
}

/// The lines of the first file as the acceptance tables would have them.
pub fn lines_of_every_type() -> [&'static str; 3] {
    [
        concat!(
            r#"{"byte":1,"short":2,"integer":3,"long":4,"float":0.10000000149011612,"double":0.1,"#,
            r#""decimal":"1.500","boolean":true,"string":"ü\"\\\n,","binary":"00ff","date":19782,"#,
            r#""timestamp":1717200000000001,"timestamp_ntz":-1,"struct":{"a":1,"b":"x"},"#,
            r#""list":[1,null],"map":[["k",1],["j",null]],"part":0}"#,
        ),
        concat!(
            r#"{"byte":-128,"short":-32768,"integer":-2147483648,"long":-9223372036854775808,"#,
            r#""float":"NaN","double":"-Infinity","decimal":"-99999999999999999.999","#,
            r#""boolean":false,"string":"","binary":"","date":-25508,"timestamp":-1,"#,
            r#""timestamp_ntz":32503680000000000,"struct":{"a":null,"b":null},"#,
            r#""list":[],"map":[],"part":0}"#,
        ),
        concat!(
            r#"{"byte":null,"short":null,"integer":null,"long":null,"float":null,"double":null,"#,
            r#""decimal":null,"boolean":null,"string":null,"binary":null,"date":null,"#,
            r#""timestamp":null,"timestamp_ntz":null,"struct":null,"list":null,"map":null,"part":0}"#,
        ),
    ]
}

/// A row of values, one of their ends and empty ones, one of nulls.
pub fn rows_of_every_type() -> RecordBatch {
    let decimals = vec![Some(1_500), Some(-99_999_999_999_999_999_999), None];
    let micros = |values| TimestampMicrosecondArray::from(values);
    let fields = vec![
        Arc::new(Field::new("a", DataType::Int32, true)),
        Arc::new(Field::new("b", DataType::Utf8, true)),
    ];
    let members: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![Some(1), None, None])),
        Arc::new(StringArray::from(vec![Some("x"), None, None])),
    ];
    let is_there = NullBuffer::from(vec![true, true, false]);
    let element = Field::new("element", DataType::Int64, true);
    let mut lists = ListBuilder::new(Int64Builder::new()).with_field(element);
    lists.append_value([Some(1), None]);
    lists.append_value([]);
    lists.append_null();
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), Int32Builder::new());
    maps.keys().append_value("k");
    maps.values().append_value(1);
    maps.keys().append_value("j");
    maps.values().append_null();
    for is_valid in [true, true, false] {
        maps.append(is_valid).expect("as many keys as values");
    }
    let arrays: [ArrayRef; 16] = [
        Arc::new(Int8Array::from(vec![Some(1), Some(i8::MIN), None])),
        Arc::new(Int16Array::from(vec![Some(2), Some(i16::MIN), None])),
        Arc::new(Int32Array::from(vec![Some(3), Some(i32::MIN), None])),
        Arc::new(Int64Array::from(vec![Some(4), Some(i64::MIN), None])),
        Arc::new(Float32Array::from(vec![Some(0.1), Some(f32::NAN), None])),
        Arc::new(Float64Array::from(vec![Some(0.1), Some(f64::NEG_INFINITY), None])),
        Arc::new(Decimal128Array::from(decimals).with_precision_and_scale(20, 3).expect("fits")),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        Arc::new(StringArray::from(vec![Some("ü\"\\\n,"), Some(""), None])),
        Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), Some(b""), None])),
        Arc::new(Date32Array::from(vec![Some(19_782), Some(-25_508), None])),
        Arc::new(micros(vec![Some(1_717_200_000_000_001), Some(-1), None]).with_timezone("UTC")),
        Arc::new(micros(vec![Some(-1), Some(32_503_680_000_000_000), None])),
        Arc::new(StructArray::new(fields.into(), members, Some(is_there))),
        Arc::new(lists.finish()),
        Arc::new(maps.finish()),
    ];
    RecordBatch::try_from_iter_with_nullable(
        EVERY_TYPE.into_iter().zip(arrays).map(|(name, array)| (name, array, true)),
    )
    .expect("columns of one length")
}

/// The schema of [`every_type`], as a table's metadata has it.
pub fn schema_of_every_type() -> Value {
    let field = |name: &str, data_type: Value| json!({"name": name, "type": data_type, "nullable": true, "metadata": {}});
    let data_type = |name: &str| match name {
        "decimal" => json!("decimal(20,3)"),
        "struct" => json!({"type": "struct", "fields": [
            field("a", json!("integer")), field("b", json!("string")),
        ]}),
        "list" => json!({"type": "array", "elementType": "long", "containsNull": true}),
        "map" => json!({
            "type": "map", "keyType": "string", "valueType": "integer", "valueContainsNull": true,
        }),
        primitive => json!(primitive),
    };
    let fields = EVERY_TYPE.iter().map(|name| field(name, data_type(name)));
    let part = field("part", json!("integer"));
    json!({"type": "struct", "fields": fields.chain([part]).collect::<Vec<_>>()})
}
