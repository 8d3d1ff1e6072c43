//! The tables that the tests make for themselves are what the protocol says.
mod common;

use common::{TestTable, inline_dv, metadata, protocol};
use serde_json::json;

/// The vector is one of Spark's. The protocol's own example is of an older format
/// with another magic number.
#[test]
fn a_deletion_vector_is_spelt_as_spark_spells_it() {
    let expected = json!({
        "storageType": "i",
        "pathOrInlineDv": "^Bg9^0rr910000000000iXQKl0rr91000935c8Xg000620@@D7",
        "sizeInBytes": 40,
        "cardinality": 4,
    });
    assert_eq!(inline_dv(&[0, 2, 3, 4]), expected);
}

#[test]
fn a_file_of_deletion_vectors_holds_each_at_its_offset() {
    let table = TestTable::new().commit([protocol(1, 2), metadata("id long")]);
    let vectors = table.dv_file("ab", &[&[0], &[1, 2, 1 << 33]]);
    let path = vectors[0]["pathOrInlineDv"].as_str().unwrap();
    assert!(path.starts_with("ab") && path.len() == 22, "{path}");
    assert_eq!(vectors[0]["offset"], 1);
    let second = 1 + 4 + vectors[0]["sizeInBytes"].as_u64().unwrap() + 4;
    assert_eq!(vectors[1]["offset"], second);
    assert_eq!(vectors[1]["cardinality"], 3);

    let files: Vec<_> = std::fs::read_dir(table.root().join("ab")).unwrap().collect();
    let bytes = std::fs::read(files[0].as_ref().unwrap().path()).unwrap();
    let size = vectors[1]["sizeInBytes"].as_u64().unwrap();
    assert_eq!(bytes.len() as u64, second + 4 + size + 4);
    assert_eq!(bytes[second as usize..][..4], u32::try_from(size).unwrap().to_be_bytes());
}
