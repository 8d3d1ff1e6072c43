//! Table properties: what a table's `configuration` says of the table.
//!
//! What is known of a property is data, one row of a table each; one function
//! reads a value by its row. A property that is not set has its default, and a
//! name that stands in no row means nothing here. Properties ask something of
//! writers nearly always, so a value that makes no sense is an error only for
//! who asks for that property.
//!
//! Beside them stand the two metadata domains whose form the protocol gives:
//! the columns a table is clustered by, and the highest row id given out.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{Error, Result, escaped};

/// What a property's value is, and which values make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropertyKind {
    /// `true` or `false`, in any case.
    Boolean,
    /// A whole number from `min` to `max`.
    Integer {
        /// The smallest value.
        min: i64,
        /// The largest value.
        max: i64,
    },
    /// A number of bytes, plain or with a unit that is a power of 1024:
    /// `104857600`, `100mb`.
    Bytes,
    /// A length of time in Spark's words: `interval 7 days`, `1 day 12 hours`.
    /// Months and years are refused, for they have no fixed length.
    Interval,
    /// One of these words, in any case.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// Texts with commas between them.
    TextList,
    /// Columns with commas between them: a path has points between its names,
    /// and a name with other than letters, digits and underscores stands
    /// between backticks.
    ColumnList,
}
use PropertyKind::*;

/// A property's value, by its [`PropertyKind`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropertyValue {
    /// Of a [`PropertyKind::Boolean`].
    Boolean(bool),
    /// Of a [`PropertyKind::Integer`], or the bytes of a
    /// [`PropertyKind::Bytes`].
    Integer(i64),
    /// Of a [`PropertyKind::Interval`].
    Interval {
        /// Its length in microseconds, never negative.
        micros: i64,
    },
    /// Of a [`PropertyKind::Text`]; of a [`PropertyKind::OneOf`], the word as
    /// its row spells it.
    Text(String),
    /// Of a [`PropertyKind::TextList`].
    List(Vec<String>),
    /// Of a [`PropertyKind::ColumnList`]: the names on the way to each column.
    Columns(Vec<Vec<String>>),
}

/// A row of [`PROPERTIES`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Property {
    /// The key in a table's `configuration`, as Delta spells it.
    pub name: &'static str,
    /// What its value is.
    pub kind: PropertyKind,
    /// The value of a table that does not set it; `None` where that means more
    /// than any value could.
    pub default: Option<&'static str>,
    /// An older name, which counts where this one is not set.
    pub older_name: Option<&'static str>,
    /// What it says.
    pub meaning: &'static str,
    /// Where that stands: a section of the protocol, else the text it is from.
    pub source: &'static str,
}

const fn property(
    name: &'static str,
    kind: PropertyKind,
    default: Option<&'static str>,
    meaning: &'static str,
    source: &'static str,
) -> Property {
    Property { name, kind, default, older_name: None, meaning, source }
}

const NO: Option<&str> = Some("false");
const YES: Option<&str> = Some("true");
const NONE: Option<&str> = None;
/// A count that Spark keeps in 32 bits.
const POSITIVE: PropertyKind = Integer { min: 1, max: i32::MAX as i64 };
/// A version, an id or a time, in 64 bits.
const LONG: PropertyKind = Integer { min: 0, max: i64::MAX };

/// Every property known by name: the protocol's, and those of Spark, the
/// kernels, delta-rs and Databricks that tables are seen to have. Families of
/// names (`delta.constraints.*`, `delta.feature.*`,
/// `delta.universalFormat.config.*`) have no rows.
#[rustfmt::skip]
pub const PROPERTIES: &[Property] = &[
    // What writers may do.
    property("delta.appendOnly", Boolean, NO, "rows are neither changed nor removed", "Append-only Tables"),
    Property { older_name: Some("delta.enableChangeDataCapture"), ..property("delta.enableChangeDataFeed", Boolean, NO, "writers keep what changed", "Add CDC File") },
    property("delta.enableDeletionVectors", Boolean, NO, "writers may write new deletion vectors", "Deletion Vectors"),
    property("delta.enableTypeWidening", Boolean, NO, "types of columns may be widened", "Type Widening"),
    property("delta.enableVariantShredding", Boolean, NO, "variants may be written shredded", "Variant Shredding"),
    property("delta.isolationLevel", OneOf(&["Serializable", "WriteSerializable", "SnapshotIsolation"]), Some("Serializable"), "how far transactions are kept apart", "Spark"),

    // Columns.
    property("delta.columnMapping.mode", OneOf(&["none", "id", "name"]), Some("none"), "how columns are found in files", "Column Mapping"),
    property("delta.columnMapping.maxColumnId", LONG, Some("0"), "the highest column id given out", "Column Mapping"),

    // Row tracking.
    property("delta.enableRowTracking", Boolean, NO, "all rows have row ids and commit versions", "Row Tracking"),
    property("delta.rowTrackingSuspended", Boolean, NO, "writers give no row ids for now", "Row Tracking"),
    property("delta.rowTracking.materializedRowIdColumnName", Text, NONE, "the hidden column with row ids", "Row Tracking"),
    property("delta.rowTracking.materializedRowCommitVersionColumnName", Text, NONE, "the hidden column with row commit versions", "Row Tracking"),

    // Times of commits.
    property("delta.enableInCommitTimestamps", Boolean, NO, "commits hold their own time", "In-Commit Timestamps"),
    property("delta.inCommitTimestampEnablementVersion", LONG, NONE, "the first version that holds its time, where older ones do not", "In-Commit Timestamps"),
    property("delta.inCommitTimestampEnablementTimestamp", LONG, NONE, "that version's time, in milliseconds since the Unix epoch", "In-Commit Timestamps"),
    property("delta.enableInCommitTimestamps-preview", Boolean, NO, "as delta.enableInCommitTimestamps, of its preview", "Spark"),
    property("delta.inCommitTimestampEnablementVersion-preview", LONG, NONE, "as without -preview, of its preview", "Spark"),
    property("delta.inCommitTimestampEnablementTimestamp-preview", LONG, NONE, "as without -preview, of its preview", "Spark"),

    // The log and its checkpoints.
    property("delta.checkpointInterval", POSITIVE, Some("10"), "the commits between two checkpoints", "Spark"),
    property("delta.checkpointPolicy", OneOf(&["classic", "v2"]), Some("classic"), "the spec of new checkpoints", "Spark"),
    property("delta.checkpoint.writeStatsAsJson", Boolean, YES, "checkpoints hold statistics as text", "Checkpoints"),
    // False by the protocol; Spark's default is true.
    property("delta.checkpoint.writeStatsAsStruct", Boolean, NO, "checkpoints hold statistics and partition values as columns", "Checkpoints"),
    property("delta.checkpointRetentionDuration", Interval, Some("interval 2 days"), "how long checkpoints are kept", "Spark"),
    property("delta.logRetentionDuration", Interval, Some("interval 30 days"), "how long commits are kept", "Spark"),
    property("delta.enableExpiredLogCleanup", Boolean, YES, "expired commits and checkpoints are deleted", "Spark"),
    property("delta.enableFullRetentionRollback", Boolean, YES, "every version within the log's retention can be restored", "Spark"),
    property("delta.requireCheckpointProtectionBeforeVersion", LONG, Some("0"), "history before it is deleted whole or not at all", "RFC checkpoint-protection"),
    property("delta.dropFeatureTruncateHistory.retentionDuration", Interval, Some("interval 24 hours"), "how much history is kept when a feature is dropped", "Spark"),
    property("delta.setTransactionRetentionDuration", Interval, NONE, "how long transaction identifiers count; for ever where not set", "Spark"),

    // Data files.
    property("delta.deletedFileRetentionDuration", Interval, Some("interval 1 week"), "how long removed files stay readable", "Spark"),
    property("delta.sampleRetentionDuration", Interval, Some("interval 7 days"), "how long sample files are kept", "Spark"),
    property("delta.parquet.compression.codec", Text, Some("zstd"), "the codec of new Parquet files", "Table Properties"),
    property("delta.parquet.format.version", Text, Some("1.0.0"), "the data page format of new Parquet files", "Table Properties"),
    property("delta.randomizeFilePrefixes", Boolean, NO, "paths begin with random text", "Spark"),
    property("delta.randomPrefixLength", POSITIVE, Some("2"), "how long that text is", "Spark"),
    property("delta.targetFileSize", Bytes, NONE, "the size that new files should have", "delta-rs, Databricks"),
    property("delta.tuneFileSizesForRewrites", Boolean, NONE, "files are small where rows are often rewritten", "delta-rs, Databricks"),
    property("delta.autoOptimize", Boolean, NONE, "writers lay files out again as they write", "Spark"),
    property("delta.autoOptimize.optimizeWrite", Boolean, NONE, "writers shuffle rows into fewer files", "Spark"),
    property("delta.autoOptimize.autoCompact", OneOf(&["true", "false", "auto"]), NONE, "small files are compacted after writes", "Spark"),
    property("delta.writePartitionColumnsToParquet", Boolean, NONE, "files hold partition columns too, where writers can", "RFC materialize-partition-columns"),
    property("delta.enableMaterializePartitionColumnsFeature", Boolean, NONE, "turns the feature materializePartitionColumns on", "RFC materialize-partition-columns"),

    // Statistics.
    property("delta.dataSkippingNumIndexedCols", Integer { min: -1, max: i32::MAX as i64 }, Some("32"), "how many leaf columns have statistics; -1 for all", "Spark"),
    property("delta.dataSkippingStatsColumns", ColumnList, NONE, "the columns that have statistics, whatever their number", "Spark"),

    // Other formats.
    property("delta.enableIcebergCompatV1", Boolean, NO, "the table can be read as Iceberg", "Iceberg Compatibility V1"),
    property("delta.enableIcebergCompatV2", Boolean, NO, "the table can be read as Iceberg", "Iceberg Compatibility V2"),
    property("delta.enableIcebergCompatV3", Boolean, NO, "the table can be read as Iceberg", "RFC iceberg-compat-v3"),
    property("delta.enableIcebergWriterCompatV1", Boolean, NO, "the table can be written as Iceberg", "RFC iceberg-writer-compat-v1"),
    property("delta.enableIcebergWriterCompatV3", Boolean, NO, "the table can be written as Iceberg", "delta kernel"),
    property("delta.universalFormat.enabledFormats", TextList, Some(""), "the formats that metadata is also written in", "Spark"),
    property("delta.compatibility.symlinkFormatManifest.enabled", Boolean, NO, "commits write a manifest of files for other engines", "Spark"),

    // Coordination and redirection, of previews: JSON as text.
    property("delta.coordinatedCommits.commitCoordinator-preview", Text, NONE, "who coordinates commits", "Spark"),
    property("delta.coordinatedCommits.commitCoordinatorConf-preview", Text, NONE, "how the coordinator is reached", "Spark"),
    property("delta.coordinatedCommits.tableConf-preview", Text, NONE, "what the coordinator knows the table by", "Spark"),
    property("delta.redirectReaderWriter-preview", Text, NONE, "where the table moved, for readers and writers", "Spark"),
    property("delta.redirectWriterOnly-preview", Text, NONE, "where the table moved, for writers", "Spark"),

    // Orders to Spark that stand in no table but by a mistake.
    property("delta.minReaderVersion", POSITIVE, NONE, "the reader version to upgrade to; the protocol action counts", "Spark"),
    property("delta.minWriterVersion", POSITIVE, NONE, "the writer version to upgrade to; the protocol action counts", "Spark"),
    property("delta.ignoreProtocolDefaults", Boolean, NO, "a new table ignores the session's protocol", "Spark"),
];

/// A table's properties: its `configuration` seen through [`PROPERTIES`].
///
/// Names are compared as Spark does. Who asks may spell one in any case, as in
/// `SET TBLPROPERTIES`, which writes it as its row has it; in the table itself
/// only that spelling counts.
#[derive(Debug, Clone, Copy)]
pub struct TableProperties<'a> {
    configuration: &'a BTreeMap<String, String>,
}

/// A known property of a table, and its value there.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct KnownProperty<'a> {
    /// Its row.
    pub property: &'static Property,
    /// The value in force, as text: the table's, else the default, else `None`.
    pub value: Option<&'a str>,
    /// Whether the table sets it.
    pub is_set: bool,
}

impl<'a> TableProperties<'a> {
    /// The properties in `configuration`, a
    /// [`Metadata`](crate::Metadata)'s.
    pub fn new(configuration: &'a BTreeMap<String, String>) -> Self {
        TableProperties { configuration }
    }

    /// Every known property, in the order of [`PROPERTIES`], with its value in
    /// force.
    pub fn iter(&self) -> impl Iterator<Item = KnownProperty<'a>> + use<'a> {
        let this = *self;
        PROPERTIES.iter().map(move |property| this.value_of(property))
    }

    /// The property `name`, in whatever case, with its value in force; `None` if
    /// it is not known.
    pub fn named(&self, name: &str) -> Option<KnownProperty<'a>> {
        let property = PROPERTIES.iter().find(|row| row.name.eq_ignore_ascii_case(name))?;
        Some(self.value_of(property))
    }

    /// The value in force of the property `name`, in whatever case; `None` if
    /// it is not known, or not set and without a default.
    ///
    /// # Errors
    /// `CorruptLog`, naming the property, if the table sets it to a value that
    /// its kind does not have.
    pub fn get(&self, name: &str) -> Result<Option<PropertyValue>> {
        let Some(known) = self.named(name) else { return Ok(None) };
        known.value.map(|value| known.property.parse(value)).transpose()
    }

    fn value_of(&self, property: &'static Property) -> KnownProperty<'a> {
        let names = [Some(property.name), property.older_name];
        let set = names.into_iter().flatten().find_map(|name| self.configuration.get(name));
        let value = set.map(String::as_str).or(property.default);
        KnownProperty { property, value, is_set: set.is_some() }
    }
}

impl Property {
    /// `text` as a value of this property.
    ///
    /// # Errors
    /// `CorruptLog`, naming the property, if it is none.
    pub fn parse(&self, text: &str) -> Result<PropertyValue> {
        self.kind.parse(text).map_err(|expected| {
            Error::corrupt(format!(
                "table property {}: expected {expected}, found '{}'",
                self.name,
                escaped(text)
            ))
        })
    }
}

impl PropertyKind {
    /// `text` as a value of this kind, or what was expected.
    fn parse(self, text: &str) -> Result<PropertyValue, String> {
        Ok(match self {
            Boolean if text.eq_ignore_ascii_case("true") => PropertyValue::Boolean(true),
            Boolean if text.eq_ignore_ascii_case("false") => PropertyValue::Boolean(false),
            Boolean => return Err("true or false".into()),
            Integer { min, max } => match text.parse::<i64>() {
                Ok(value) if (min..=max).contains(&value) => PropertyValue::Integer(value),
                _ => return Err(format!("a whole number from {min} to {max}")),
            },
            Bytes => PropertyValue::Integer(
                bytes(text).ok_or("a number of bytes, such as 104857600 or 100mb")?,
            ),
            Interval => PropertyValue::Interval { micros: interval_micros(text)? },
            OneOf(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => PropertyValue::Text((*word).to_owned()),
                None => return Err(format!("one of {}", words.join(", "))),
            },
            Text => PropertyValue::Text(text.to_owned()),
            TextList => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                PropertyValue::List(items.map(str::to_owned).collect())
            }
            ColumnList => PropertyValue::Columns(columns(text)?),
        })
    }
}

/// A number of bytes as Spark reads it: a whole number, then no unit, `b`, or a
/// power of 1024 such as `k`, `kb` or `kib`.
fn bytes(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let power = match unit.trim_start() {
        "" | "b" => 0,
        unit => {
            let power = "kmgtp".find(unit.get(..1)?)? as u32 + 1;
            matches!(unit.get(1..)?, "" | "b" | "ib").then_some(power)?
        }
    };
    number.parse::<i64>().ok()?.checked_mul(1 << (10 * power))
}

/// The length in microseconds of an interval in the words of Spark's
/// `CalendarInterval`: the word `interval`, which may be left out, then numbers,
/// each with its unit. Only seconds may have a fraction, of nine digits at the
/// most. What comes out must not be negative, nor have months: Spark takes no
/// such value for a property.
fn interval_micros(text: &str) -> Result<i64, String> {
    let expected = || "an interval, such as '7 days' or '1 day 12 hours'".to_owned();
    let lower = text.to_ascii_lowercase();
    let mut words = lower.split_ascii_whitespace().peekable();
    words.next_if_eq(&"interval");
    words.peek().ok_or_else(expected)?;
    let (mut months, mut micros) = (0i64, 0i64);
    while let Some(word) = words.next() {
        // A sign may stand apart from its number.
        let (sign, number) = match word.strip_prefix('-') {
            Some(number) => (-1, number),
            None => (1, word.strip_prefix('+').unwrap_or(word)),
        };
        let number = match number {
            "" => words.next().ok_or_else(expected)?,
            number => number,
        };
        let unit = words.next().ok_or_else(expected)?;
        let of = |sum: i64, micros_each: i64| {
            let amount = amount(number, micros_each)?.checked_mul(sign)?;
            sum.checked_add(amount)
        };
        let sum = match unit.strip_suffix('s').unwrap_or(unit) {
            "year" => of(months, 12).map(|sum| months = sum),
            "month" => of(months, 1).map(|sum| months = sum),
            unit => micros_of(unit).and_then(|each| of(micros, each)).map(|sum| micros = sum),
        };
        sum.ok_or_else(expected)?;
    }
    if months != 0 {
        return Err("an interval without months and years, whose length is not fixed".into());
    }
    if micros < 0 {
        return Err("an interval that is not negative".into());
    }
    Ok(micros)
}

const MICROS_PER_SECOND: i64 = 1_000_000;

fn micros_of(unit: &str) -> Option<i64> {
    const DAY: i64 = 86_400 * MICROS_PER_SECOND;
    Some(match unit {
        "week" => 7 * DAY,
        "day" => DAY,
        "hour" => 3_600 * MICROS_PER_SECOND,
        "minute" => 60 * MICROS_PER_SECOND,
        "second" => MICROS_PER_SECOND,
        "millisecond" => 1_000,
        "microsecond" => 1,
        _ => return None,
    })
}

/// `number`, digits that may have a fraction if they are seconds, times `each`.
fn amount(number: &str, each: i64) -> Option<i64> {
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) if each == MICROS_PER_SECOND => (whole, fraction),
        Some(_) => return None,
        None => (number, ""),
    };
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    if !has_digits || !is_digits(whole) || !is_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // What is less than a microsecond is cut off.
    let micros = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    let micros = micros.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
    whole.checked_mul(each)?.checked_add(micros)
}

/// The columns that `text` lists, as Spark's SQL names them: a backtick in a
/// name is written twice. A name without backticks may have other characters
/// than Spark's grammar allows: what it means is plain all the same.
fn columns(text: &str) -> Result<Vec<Vec<String>>, String> {
    let expected = || "columns with commas between them, such as 'a, b.c, `d e`'".to_owned();
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut columns = vec![Vec::new()];
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let name;
        (name, rest) = match rest.strip_prefix('`') {
            Some(quoted) => backticked(quoted).ok_or_else(expected)?,
            None => {
                let end = rest.find([',', '.', '`']).unwrap_or(rest.len());
                let (name, rest) = rest.split_at(end);
                (name.trim_end().to_owned(), rest.trim_start())
            }
        };
        if name.is_empty() {
            return Err(expected());
        }
        if let Some(path) = columns.last_mut() {
            path.push(name);
        }
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(columns);
        }
        if let Some(after) = rest.strip_prefix(',') {
            columns.push(Vec::new());
            rest = after;
        } else {
            rest = rest.strip_prefix('.').ok_or_else(expected)?;
        }
    }
}

/// The name up to its closing backtick, and what comes after that.
fn backticked(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, after) = rest.split_once('`')?;
        name.push_str(part);
        match after.strip_prefix('`') {
            Some(after) => {
                name.push('`');
                rest = after;
            }
            None => return Some((name, after)),
        }
    }
}

/// The metadata domain that holds the clustering columns ("Clustered Table").
pub const CLUSTERING_DOMAIN: &str = "delta.clustering";
/// The metadata domain that holds the row id high water mark ("Row Tracking").
pub const ROW_TRACKING_DOMAIN: &str = "delta.rowTracking";

/// The columns that a table is clustered by, from the configuration of its
/// domain [`CLUSTERING_DOMAIN`]: the names on the way to each, physical ones
/// under column mapping. There may be none.
///
/// The protocol's example has a name for each column, which leads to none that
/// is nested; Spark and the kernels write a list of names for each. Both are
/// read.
///
/// # Errors
/// `CorruptLog` if the configuration is of another form.
pub fn clustering_columns(configuration: &str) -> Result<Vec<Vec<String>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Clustering {
        clustering_columns: Vec<Column>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Column {
        Name(String),
        Path(Vec<String>),
    }
    let clustering: Clustering = domain(CLUSTERING_DOMAIN, configuration)?;
    let paths = clustering.clustering_columns.into_iter().map(|column| match column {
        Column::Path(path) if path.is_empty() => Err(Error::corrupt(format!(
            "metadata domain {CLUSTERING_DOMAIN}: a clustering column has no name"
        ))),
        Column::Path(path) => Ok(path),
        Column::Name(name) => Ok(vec![name]),
    });
    paths.collect()
}

/// The highest row id that was given out, from the configuration of a table's
/// domain [`ROW_TRACKING_DOMAIN`].
///
/// # Errors
/// `CorruptLog` if the configuration is of another form.
pub fn row_id_high_water_mark(configuration: &str) -> Result<i64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RowTracking {
        row_id_high_water_mark: i64,
    }
    Ok(domain::<RowTracking>(ROW_TRACKING_DOMAIN, configuration)?.row_id_high_water_mark)
}

fn domain<'a, T: Deserialize<'a>>(name: &str, configuration: &'a str) -> Result<T> {
    serde_json::from_str(configuration)
        .map_err(|e| Error::corrupt(format!("metadata domain {name}: {}", escaped(&e.to_string()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acceptance_tables;
    use crate::engine::Engine;
    use crate::error::ErrorKind;
    use std::collections::BTreeSet;

    const DAY: i64 = 86_400_000_000;

    fn set(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn get(pairs: &[(&str, &str)], name: &str) -> Option<PropertyValue> {
        TableProperties::new(&set(pairs)).get(name).unwrap()
    }

    fn refusal(name: &str, value: &str) -> String {
        let configuration = set(&[(name, value)]);
        let error = TableProperties::new(&configuration).get(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CorruptLog, "{name} {value}");
        assert!(error.message().contains(name), "{error}");
        error.message().to_owned()
    }

    fn micros(text: &str) -> Result<i64, String> {
        interval_micros(text)
    }

    #[test]
    fn every_property_stands_once_and_its_default_is_of_its_kind() {
        let mut names = BTreeSet::new();
        for property in PROPERTIES {
            for name in [Some(property.name), property.older_name].into_iter().flatten() {
                assert!(name.starts_with("delta."), "{name}");
                assert!(names.insert(name.to_ascii_lowercase()), "{name}");
            }
            assert!(!property.meaning.is_empty() && !property.source.is_empty());
            if let Some(default) = property.default {
                property.parse(default).unwrap();
            }
        }
        assert!(PROPERTIES.len() > 50);
    }

    #[test]
    fn a_property_that_is_not_set_has_its_default() {
        for (name, value) in [
            ("delta.appendOnly", PropertyValue::Boolean(false)),
            ("delta.checkpointInterval", PropertyValue::Integer(10)),
            ("delta.logRetentionDuration", PropertyValue::Interval { micros: 30 * DAY }),
            ("delta.deletedFileRetentionDuration", PropertyValue::Interval { micros: 7 * DAY }),
            ("delta.columnMapping.mode", PropertyValue::Text("none".into())),
            ("delta.checkpoint.writeStatsAsJson", PropertyValue::Boolean(true)),
            ("delta.checkpoint.writeStatsAsStruct", PropertyValue::Boolean(false)),
            ("delta.dataSkippingNumIndexedCols", PropertyValue::Integer(32)),
            ("delta.universalFormat.enabledFormats", PropertyValue::List(vec![])),
        ] {
            assert_eq!(get(&[], name), Some(value), "{name}");
        }
        for name in [
            "delta.setTransactionRetentionDuration",
            "delta.dataSkippingStatsColumns",
            "delta.rowTracking.materializedRowIdColumnName",
            "delta.inCommitTimestampEnablementVersion",
        ] {
            assert_eq!(get(&[], name), None, "{name}");
        }
    }

    #[test]
    fn a_value_is_read_by_its_propertys_kind() {
        for (name, text, value) in [
            ("delta.appendOnly", "TRUE", PropertyValue::Boolean(true)),
            ("delta.columnMapping.mode", "Name", PropertyValue::Text("name".into())),
            ("delta.isolationLevel", "serializable", PropertyValue::Text("Serializable".into())),
            ("delta.dataSkippingNumIndexedCols", "-1", PropertyValue::Integer(-1)),
            ("delta.columnMapping.maxColumnId", "53", PropertyValue::Integer(53)),
            (
                "delta.inCommitTimestampEnablementTimestamp",
                "1739859743394",
                PropertyValue::Integer(1_739_859_743_394),
            ),
            ("delta.targetFileSize", "33554432", PropertyValue::Integer(33_554_432)),
            ("delta.targetFileSize", "100mb", PropertyValue::Integer(100 << 20)),
            ("delta.targetFileSize", "1 GiB", PropertyValue::Integer(1 << 30)),
            (
                "delta.setTransactionRetentionDuration",
                "interval 1 days",
                PropertyValue::Interval { micros: DAY },
            ),
            (
                "delta.universalFormat.enabledFormats",
                "iceberg, hudi",
                PropertyValue::List(vec!["iceberg".into(), "hudi".into()]),
            ),
            ("delta.parquet.compression.codec", "x y", PropertyValue::Text("x y".into())),
        ] {
            assert_eq!(get(&[(name, text)], name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_value_that_is_not_of_its_kind_is_corrupt_and_names_the_property() {
        for (name, values) in [
            ("delta.appendOnly", &["yes", "", " true", "1", "%WRITE%"][..]),
            ("delta.checkpointInterval", &["0", "-1", "ten", "", "1.5", "2147483648", " 1"]),
            ("delta.columnMapping.maxColumnId", &["-1", "9223372036854775808"]),
            ("delta.dataSkippingNumIndexedCols", &["-2"]),
            ("delta.columnMapping.mode", &["names", ""]),
            ("delta.targetFileSize", &["", "mb", "1.5gb", "-1", "1x", "9000000p", "1mbb", "1é"]),
            ("delta.logRetentionDuration", &["", "30", "1 month", "-1 day"]),
            ("delta.dataSkippingStatsColumns", &["a,", ",a", "a..b", "`a", "a`b`", "``", "."]),
        ] {
            values.iter().for_each(|value| _ = refusal(name, value));
        }
        assert!(refusal("delta.columnMapping.mode", "names").contains("none, id, name"));
        assert!(!refusal("delta.appendOnly", "\u{1b}[31m").contains('\u{1b}'));
        // Nobody else is troubled.
        let bad = [("delta.appendOnly", "yes"), ("delta.checkpointInterval", "3")];
        assert_eq!(get(&bad, "delta.checkpointInterval"), Some(PropertyValue::Integer(3)));
    }

    #[test]
    fn a_name_is_asked_for_in_any_case_and_counts_in_a_table_as_it_is_spelt() {
        let yes = Some(PropertyValue::Boolean(true));
        let no = Some(PropertyValue::Boolean(false));
        assert_eq!(get(&[("delta.appendOnly", "true")], "DELTA.appendonly"), yes);
        assert_eq!(get(&[("delta.appendonly", "true")], "delta.appendOnly"), no);
        for unknown in ["appendOnly", "delta.noSuch", "", "delta.feature.appendOnly"] {
            assert_eq!(get(&[(unknown, "true")], unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_older_name_counts_where_the_newer_one_is_not_set() {
        let (older, newer) = ("delta.enableChangeDataCapture", "delta.enableChangeDataFeed");
        let feed = |pairs: &[(&str, &str)]| get(pairs, newer).unwrap();
        assert_eq!(feed(&[(older, "true")]), PropertyValue::Boolean(true));
        assert_eq!(feed(&[(older, "true"), (newer, "false")]), PropertyValue::Boolean(false));
    }

    #[test]
    fn the_iteration_says_of_each_known_property_what_holds_and_whether_it_is_set() {
        let configuration = set(&[
            ("delta.checkpointInterval", "5"),
            ("delta.appendOnly", "false"),
            ("my.own", "1"),
        ]);
        let all: Vec<_> = TableProperties::new(&configuration).iter().collect();
        assert_eq!(all.len(), PROPERTIES.len());
        let set: Vec<_> =
            all.iter().filter(|p| p.is_set).map(|p| (p.property.name, p.value)).collect();
        assert_eq!(
            set,
            [("delta.appendOnly", Some("false")), ("delta.checkpointInterval", Some("5"))]
        );
        let retention = all.iter().find(|p| p.property.name == "delta.logRetentionDuration");
        assert_eq!(retention.unwrap().value, Some("interval 30 days"));
    }

    #[test]
    fn intervals_are_read_as_spark_reads_them() {
        for (text, expected) in [
            ("interval 7 days", 7 * DAY),
            ("30 days", 30 * DAY),
            ("2 weeks", 14 * DAY),
            ("INTERVAL 1 Week", 7 * DAY),
            ("1 day 2 hours", DAY + 2 * 3_600_000_000),
            ("  interval\t1 day\n-1 hour ", DAY - 3_600_000_000),
            ("1 minute 1 second 1 millisecond 1 microsecond", 61_001_001),
            ("0 days", 0),
            ("+ 1 day", DAY),
            ("1 day - 24 hours", 0),
            ("1.5 seconds", 1_500_000),
            (".25 second", 250_000),
            ("2. seconds", 2_000_000),
            ("0.123456789 seconds", 123_456),
            // Months that cancel out are none.
            ("12 months -1 year 3 days", 3 * DAY),
            ("9223372036854775807 microseconds", i64::MAX),
        ] {
            assert_eq!(micros(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_interval_of_fixed_length_is_refused() {
        for text in [
            "",
            " ",
            "interval",
            "interval interval 1 day",
            "intervals 1 day",
            "days",
            "7",
            "7days",
            "1 day 2",
            "1 day2 hours",
            "1 day, 2 hours",
            "one day",
            "1 dayss",
            "1 decade",
            "1.5 days",
            "1.5 milliseconds",
            ". seconds",
            "0.1234567890 seconds",
            "1e3 seconds",
            "--1 day",
            "- -1 day",
            "-",
            "+",
            "١ day",
            "9223372036854775808 microseconds",
            "9223372036854775807 days",
            "9223372036854775807 microseconds 1 microsecond",
            "interval '7' day",
        ] {
            assert!(micros(text).unwrap_err().contains("such as"), "{text}");
        }
        assert!(micros("1 month").unwrap_err().contains("months"));
        assert!(micros("1 year 30 days").unwrap_err().contains("months"));
        assert!(micros("-1 microsecond").unwrap_err().contains("not negative"));
    }

    #[test]
    fn columns_are_paths_and_backticks_hold_any_name() {
        let name = "delta.dataSkippingStatsColumns";
        for (text, expected) in [
            ("", vec![]),
            ("  ", vec![]),
            ("a", vec![vec!["a"]]),
            ("a,b_1 , c", vec![vec!["a"], vec!["b_1"], vec!["c"]]),
            ("a.b.c,d", vec![vec!["a", "b", "c"], vec!["d"]]),
            ("`a,b`.`c.d`, `e``f`", vec![vec!["a,b", "c.d"], vec!["e`f"]]),
            ("a . `b c`", vec![vec!["a", "b c"]]),
            ("ü.x-y", vec![vec!["ü", "x-y"]]),
        ] {
            let expected = expected.into_iter().map(|path| path.into_iter().map(str::to_owned));
            let expected = PropertyValue::Columns(expected.map(Iterator::collect).collect());
            assert_eq!(get(&[(name, text)], name), Some(expected), "{text}");
        }
        assert!(refusal(name, "`a`b").contains("columns"));
        assert!(refusal(name, "`a`é").contains("columns"));
    }

    #[test]
    fn clustering_columns_are_names_or_paths() {
        for (configuration, expected) in [
            (r#"{"clusteringColumns":[]}"#, vec![]),
            (r#"{"clusteringColumns":["col-1","col-2"]}"#, vec![vec!["col-1"], vec!["col-2"]]),
            (
                r#"{"clusteringColumns":[["a"],["b","c.d"]],"domainName":"delta.clustering"}"#,
                vec![vec!["a"], vec!["b", "c.d"]],
            ),
        ] {
            assert_eq!(clustering_columns(configuration).unwrap(), expected, "{configuration}");
        }
        for configuration in
            ["", "{}", "[]", r#"{"clusteringColumns":[1]}"#, r#"{"clusteringColumns":[[]]}"#]
        {
            let error = clustering_columns(configuration).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CorruptLog);
            assert!(error.message().contains(CLUSTERING_DOMAIN), "{error}");
        }
    }

    #[test]
    fn the_row_id_high_water_mark_is_a_whole_number() {
        let mark = row_id_high_water_mark;
        assert_eq!(mark(r#"{"rowIdHighWaterMark":9,"duplicate":false}"#).unwrap(), 9);
        for configuration in
            ["", "{}", r#"{"rowIdHighWaterMark":"9"}"#, r#"{"rowIdHighWaterMark":1.5}"#]
        {
            let error = mark(configuration).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::CorruptLog);
            assert!(error.message().contains(ROW_TRACKING_DOMAIN), "{error}");
        }
    }

    #[test]
    fn the_acceptance_tables_properties_are_known_and_of_their_kinds() {
        let tables = acceptance_tables::that_open();
        let mut parsed = 0;
        for table in &tables {
            let configuration: BTreeMap<String, String> =
                serde_json::from_value(table.expected["latest"]["configuration"].clone()).unwrap();
            let properties = TableProperties::new(&configuration);
            for (name, value) in configuration.iter().filter(|(name, _)| name.starts_with("delta."))
            {
                if name.starts_with("delta.feature.") || name.starts_with("delta.constraints.") {
                    continue;
                }
                assert!(properties.named(name).is_some(), "{}: {name}", table.name);
                let value_read = properties.get(name);
                // Some tables were committed with a test's placeholders in them.
                if value.starts_with('%') {
                    assert_eq!(value_read.unwrap_err().kind(), ErrorKind::CorruptLog);
                } else {
                    assert!(value_read.unwrap().is_some(), "{}: {name}", table.name);
                    parsed += 1;
                }
            }
        }
        if tables.is_empty() {
            return eprintln!("skipped: no acceptance tables");
        }
        assert!(parsed > 50, "{parsed}");
    }

    #[test]
    fn an_acceptance_tables_domains_are_read() {
        let tables = acceptance_tables::all();
        let named = |t: &&acceptance_tables::AcceptanceTable| {
            t.name == "delta-rs__table-with-domain-metadata"
        };
        let Some(table) = tables.iter().find(named) else {
            assert!(tables.is_empty());
            return eprintln!("skipped: no acceptance tables");
        };
        let engine = Engine::new().unwrap();
        let root = table.directory.join("table");
        let snapshot = engine.snapshot(root.to_str().unwrap()).unwrap();
        let domains = snapshot.domain_metadata().unwrap();
        assert_eq!(clustering_columns(&domains[CLUSTERING_DOMAIN]).unwrap(), [["department"]]);
        assert_eq!(row_id_high_water_mark(&domains[ROW_TRACKING_DOMAIN]).unwrap(), 435);
    }
}
