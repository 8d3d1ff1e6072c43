//! Whether rows of an older version can be given in the schema of a newer one.
//!
//! They can be where columns were only added: an older row is null there. A column
//! that was renamed or dropped since, or has another type, would be told wrongly or
//! not at all. The protocol is silent on it; these are the rules of Spark's batch
//! reads of a change data feed.

use crate::actions::Metadata;
use crate::error::{Result, escaped};
use crate::schema::{ColumnMappingMode, DataType, StructField, StructType};

/// What a version says of its columns.
pub(super) struct Described<'a> {
    pub(super) schema: &'a StructType,
    pub(super) partition_columns: &'a [String],
    pub(super) mapping: ColumnMappingMode,
}

impl<'a> Described<'a> {
    pub(super) fn new(
        schema: &'a StructType,
        metadata: &'a Metadata,
        mapping: ColumnMappingMode,
    ) -> Described<'a> {
        Described { schema, partition_columns: &metadata.partition_columns, mapping }
    }

    /// What keeps rows of this version from being given in the schema of a `newer`
    /// one, in words; `None` where nothing does.
    ///
    /// # Errors
    /// `CorruptLog` where a column that is mapped has no physical name.
    pub(super) fn misfit(&self, newer: &Described<'_>) -> Result<Option<String>> {
        use ColumnMappingMode::*;
        match (self.mapping, newer.mapping) {
            (from, to) if from == to => {}
            // What was written before is found by names that are now the physical ones.
            (None, Name | Id) => {}
            (from, to) => {
                return Ok(Some(format!("columns were mapped by {from:?}, and are by {to:?}")));
            }
        }
        // Where columns are not mapped Spark lets this pass, and gives nulls for a
        // column that a file has in itself and not in its partition values.
        if self.partition_columns != newer.partition_columns {
            return Ok(Some("the partition columns are others".to_owned()));
        }
        let mut walk = Walk { from: self.mapping, to: newer.mapping, path: Vec::new() };
        walk.columns(self.schema, newer.schema)
    }
}

/// A walk through two schemas at once.
struct Walk<'a> {
    from: ColumnMappingMode,
    to: ColumnMappingMode,
    /// Where in the schemas it is.
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn columns(&mut self, older: &'a StructType, newer: &StructType) -> Result<Option<String>> {
        for field in &older.fields {
            self.path.push(&field.name);
            // As it is spelt: another spelling is a rename.
            let found = newer.fields.iter().find(|newer| newer.name == field.name);
            let misfit = match found {
                Some(newer) => self.column(field, newer)?,
                None => Some(self.says("was renamed or dropped")),
            };
            if misfit.is_some() {
                return Ok(misfit);
            }
            self.path.pop();
        }
        Ok(None)
    }

    fn column(&mut self, older: &'a StructField, newer: &StructField) -> Result<Option<String>> {
        let is_other_name = older.physical_name(self.from)? != newer.physical_name(self.to)?;
        let is_other_id = self.from == ColumnMappingMode::Id
            && older.column_mapping_id() != newer.column_mapping_id();
        if is_other_name || is_other_id {
            return Ok(Some(self.says("was dropped, and another has its name")));
        }
        if older.nullable && !newer.nullable {
            return Ok(Some(self.says("could be null, and cannot be now")));
        }
        self.types(&older.data_type, &newer.data_type)
    }

    fn types(&mut self, older: &'a DataType, newer: &DataType) -> Result<Option<String>> {
        match (older, newer) {
            (DataType::Struct(older), DataType::Struct(newer)) => self.columns(older, newer),
            (DataType::Array(older), DataType::Array(newer)) => {
                if older.contains_null && !newer.contains_null {
                    return Ok(Some(self.says("could have null elements, and cannot now")));
                }
                self.inner("element", &older.element_type, &newer.element_type)
            }
            (DataType::Map(older), DataType::Map(newer)) => {
                if older.value_contains_null && !newer.value_contains_null {
                    return Ok(Some(self.says("could have null values, and cannot now")));
                }
                let keys = self.inner("key", &older.key_type, &newer.key_type)?;
                match keys {
                    Some(misfit) => Ok(Some(misfit)),
                    None => self.inner("value", &older.value_type, &newer.value_type),
                }
            }
            (older, newer) if older == newer => Ok(None),
            // Not even where it was widened, though each file could be read.
            (older, newer) => Ok(Some(self.says(&format!("was {older}, and is {newer}")))),
        }
    }

    fn inner(
        &mut self,
        step: &'static str,
        older: &'a DataType,
        newer: &DataType,
    ) -> Result<Option<String>> {
        self.path.push(step);
        let misfit = self.types(older, newer)?;
        self.path.pop();
        Ok(misfit)
    }

    fn says(&self, what: &str) -> String {
        format!("column {} {what}", escaped(&self.path.join(".")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ColumnMappingMode::{Id, Name, None as Unmapped};

    const LONG: &str = r#""long""#;

    /// A nullable field; its id and physical name are those of `physical`.
    fn field(name: &str, data_type: &str, physical: &str) -> String {
        let id = physical.len();
        format!(
            r#"{{"name":"{name}","type":{data_type},"nullable":true,"metadata":{{
                "delta.columnMapping.id":{id},"delta.columnMapping.physicalName":"{physical}"}}}}"#
        )
    }

    fn of(fields: &[String]) -> String {
        format!(r#"{{"type":"struct","fields":[{}]}}"#, fields.join(","))
    }

    fn array(element: &str, contains_null: bool) -> String {
        format!(r#"{{"type":"array","elementType":{element},"containsNull":{contains_null}}}"#)
    }

    fn map(value: &str, contains_null: bool) -> String {
        format!(
            r#"{{"type":"map","keyType":"long","valueType":{value},"valueContainsNull":{contains_null}}}"#
        )
    }

    type Version<'a> = (&'a str, ColumnMappingMode, &'a [&'a str]);

    fn misfit(older: Version<'_>, newer: Version<'_>) -> Option<String> {
        let read = |(text, mapping, partition): Version<'_>| {
            let partition: Vec<String> = partition.iter().map(|&name| name.to_owned()).collect();
            (StructType::from_json(text).unwrap(), mapping, partition)
        };
        let (older, newer) = (read(older), read(newer));
        fn described(version: &(StructType, ColumnMappingMode, Vec<String>)) -> Described<'_> {
            let (schema, mapping, partition_columns) = version;
            Described { schema, partition_columns, mapping: *mapping }
        }
        described(&older).misfit(&described(&newer)).unwrap()
    }

    fn unmapped(older: &str, newer: &str) -> Option<String> {
        let same = field("same", LONG, "s");
        let schema = |data_type: &str| of(&[same.clone(), field("c", data_type, "c")]);
        misfit((&schema(older), Unmapped, &[]), (&schema(newer), Unmapped, &[]))
    }

    #[test]
    fn columns_may_be_added_at_every_depth() {
        let (a, b) = (field("a", LONG, "a"), field("b", LONG, "b"));
        let (one, two) = (of(std::slice::from_ref(&a)), of(&[b, a]));
        assert_eq!(misfit((&one, Unmapped, &[]), (&two, Unmapped, &[])), None);
        assert_eq!(unmapped(&one, &two), None);
        assert_eq!(unmapped(&array(&one, false), &array(&two, true)), None);
        assert_eq!(unmapped(&map(&one, false), &map(&two, true)), None);
    }

    #[test]
    fn a_column_that_is_gone_renamed_or_of_another_type_is_named() {
        let (a, b) = (of(&[field("a", LONG, "a")]), of(&[field("A", LONG, "a")]));
        for (older, newer, says) in [
            (a.as_str(), b.as_str(), "column c.a was renamed or dropped"),
            (&array(&a, true), &array(&b, true), "column c.element.a was renamed or dropped"),
            (&map(&a, true), &map(&b, true), "column c.value.a was renamed or dropped"),
            (LONG, r#""double""#, "column c was long, and is double"),
            (r#""integer""#, LONG, "column c was integer, and is long"),
            (&a, LONG, "column c was struct"),
            (&array(LONG, true), &array(LONG, false), "column c could have null elements"),
            (&map(LONG, true), &map(LONG, false), "column c could have null values"),
        ] {
            let misfit = unmapped(older, newer).unwrap();
            assert!(misfit.starts_with(says), "{misfit}");
        }
    }

    #[test]
    fn what_could_be_null_must_still_be_allowed_to() {
        let nullable = of(&[field("a", LONG, "a")]);
        let required = nullable.replace(r#""nullable":true"#, r#""nullable":false"#);
        let fits = |older: &str, newer: &str| {
            misfit((older, Unmapped, &[]), (newer, Unmapped, &[])).is_none()
        };
        assert!(fits(&required, &nullable) && fits(&required, &required));
        assert!(!fits(&nullable, &required));
    }

    #[test]
    fn mapped_columns_are_the_same_by_name_and_physical_name() {
        let a = of(&[field("a", LONG, "a")]);
        let renamed = of(&[field("b", LONG, "a")]);
        let again = of(&[field("a", LONG, "aa")]);
        let fits = |older: (&str, ColumnMappingMode), newer: (&str, ColumnMappingMode)| {
            misfit((older.0, older.1, &[]), (newer.0, newer.1, &[])).is_none()
        };
        for mode in [Name, Id] {
            assert!(fits((&a, mode), (&a, mode)));
            assert!(!fits((&a, mode), (&renamed, mode)));
            assert!(!fits((&a, mode), (&again, mode)));
            // Mapping was switched on: names became physical ones.
            assert!(fits((&a, Unmapped), (&a, mode)));
            assert!(!fits((&a, Unmapped), (&again, mode)));
            assert!(!fits((&a, mode), (&a, Unmapped)));
        }
        assert!(fits((&a, Unmapped), (&again, Unmapped)));
        assert!(!fits((&a, Name), (&a, Id)));
    }

    #[test]
    fn partition_columns_stay_what_they_are() {
        let schema = of(&[field("a", LONG, "a"), field("b", LONG, "b")]);
        let fits = |older: &[&str], newer: &[&str]| {
            misfit((&schema, Unmapped, older), (&schema, Unmapped, newer)).is_none()
        };
        assert!(fits(&["a"], &["a"]) && fits(&[], &[]));
        assert!(!fits(&[], &["a"]) && !fits(&["a"], &["b"]) && !fits(&["a", "b"], &["b", "a"]));
    }
}
