//! The `commitInfo` of a commit: who did what, and when ("Commit Provenance
//! Information").
//!
//! It is free-form: "implementations are free to store any valid JSON-formatted
//! data". So no field of it can be wrong, only absent, with one exception: where
//! in-commit timestamps are enabled, `inCommitTimestamp` must be there.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Int64Builder, MapBuilder, StringBuilder, TimestampMillisecondBuilder,
};
use arrow::datatypes::{DataType, TimeUnit};

use super::commit;
use super::json::{Cursor, RawStr, Text};
use super::segment::CommitFile;
use crate::actions::{self, RareKind};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// A `commitInfo` action, as the log has it.
pub(crate) struct CommitInfo {
    /// Its JSON text.
    pub(crate) text: String,
}

/// What is known by name in a `commitInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InfoField {
    InCommitTimestamp,
    Operation,
    OperationParameters,
    OperationMetrics,
    EngineInfo,
    UserMetadata,
    UserId,
    UserName,
    IsolationLevel,
    ReadVersion,
    IsBlindAppend,
    TxnId,
    Tags,
    /// All of it, as JSON.
    Whole,
}

#[derive(Clone, Copy)]
enum Shape {
    Time,
    Text,
    Long,
    Bool,
    Map,
    Json,
}

impl InfoField {
    /// Its key in the action; `None` for the whole of it.
    fn key(self) -> Option<&'static str> {
        Some(match self {
            InfoField::InCommitTimestamp => "inCommitTimestamp",
            InfoField::Operation => "operation",
            InfoField::OperationParameters => "operationParameters",
            InfoField::OperationMetrics => "operationMetrics",
            InfoField::EngineInfo => "engineInfo",
            InfoField::UserMetadata => "userMetadata",
            InfoField::UserId => "userId",
            InfoField::UserName => "userName",
            InfoField::IsolationLevel => "isolationLevel",
            InfoField::ReadVersion => "readVersion",
            InfoField::IsBlindAppend => "isBlindAppend",
            InfoField::TxnId => "txnId",
            InfoField::Tags => "tags",
            InfoField::Whole => return None,
        })
    }

    fn shape(self) -> Shape {
        match self {
            InfoField::InCommitTimestamp => Shape::Time,
            InfoField::ReadVersion => Shape::Long,
            InfoField::IsBlindAppend => Shape::Bool,
            InfoField::OperationParameters | InfoField::OperationMetrics | InfoField::Tags => {
                Shape::Map
            }
            InfoField::Whole => Shape::Json,
            InfoField::Operation
            | InfoField::EngineInfo
            | InfoField::UserMetadata
            | InfoField::UserId
            | InfoField::UserName
            | InfoField::IsolationLevel
            | InfoField::TxnId => Shape::Text,
        }
    }

    /// The type of its column.
    pub(crate) fn data_type(self) -> DataType {
        match self.shape() {
            Shape::Time => DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
            Shape::Text | Shape::Json => DataType::Utf8,
            Shape::Long => DataType::Int64,
            Shape::Bool => DataType::Boolean,
            Shape::Map => actions::string_map(),
        }
    }
}

impl CommitInfo {
    /// The first `commitInfo` of a commit, `None` where it has none.
    pub(crate) fn read(storage: &dyn Storage, commit: &CommitFile) -> Result<Option<CommitInfo>> {
        let text = commit::first_of(storage, commit, RareKind::CommitInfo)?;
        Ok(text.map(|text| CommitInfo { text }))
    }

    /// When it was committed, where its version has in-commit timestamps: a
    /// commit without one breaks the protocol ("In-Commit Timestamps").
    pub(crate) fn required_in_commit_timestamp(
        info: Option<&CommitInfo>,
        commit: &CommitFile,
    ) -> Result<i64> {
        let value = info.and_then(|info| info.values(&[InfoField::InCommitTimestamp])[0]);
        value.and_then(long).ok_or_else(|| {
            Error::corrupt(format!(
                "{}: no commitInfo with an inCommitTimestamp, where in-commit timestamps are \
                 enabled",
                commit.name
            ))
        })
    }

    /// The JSON text of each of `fields`, `None` where it is not there. Of a key
    /// that is there twice the last counts, as with most who read JSON.
    fn values(&self, fields: &[InfoField]) -> Vec<Option<&str>> {
        let is_whole = |field: &InfoField| field.key().is_none();
        let mut values: Vec<_> =
            fields.iter().map(|field| is_whole(field).then_some(&*self.text)).collect();
        each_member(&self.text, |key, text| {
            let is_named = |field: &InfoField| field.key().is_some_and(|name| key.is(name));
            if let Some(at) = fields.iter().position(is_named) {
                values[at] = Some(text);
            }
        });
        values
    }
}

/// Calls `visit` with each key of an object and the text of its value; `None`
/// where `text`, which is JSON, is no object.
fn each_member<'a>(text: &'a str, mut visit: impl FnMut(RawStr<'a>, &'a str)) -> Option<()> {
    let mut cursor = Cursor::new(text);
    cursor.begin_object().ok()?;
    let mut first = true;
    while let Some(key) = cursor.next_key(&mut first).ok()? {
        cursor.peek();
        let begin = cursor.pos();
        cursor.skip_value().ok()?;
        visit(key, text.get(begin..cursor.pos())?);
    }
    Some(())
}

/// The text of a string's quotes. Half of a surrogate pair is no text.
fn unquoted<'a>(raw: RawStr<'a>, scratch: &'a mut Text) -> Option<&'a str> {
    std::str::from_utf8(raw.resolve(scratch).ok()?).ok()
}

fn long(value: &str) -> Option<i64> {
    Cursor::new(value).i64().ok()
}

/// The columns of some fields of `commitInfo` actions, a row each.
pub(crate) struct InfoColumns {
    fields: Vec<InfoField>,
    columns: Vec<Column>,
}

enum Column {
    Time(TimestampMillisecondBuilder),
    Text(StringBuilder),
    Json(StringBuilder),
    Long(Int64Builder),
    Bool(BooleanBuilder),
    Map(Box<MapBuilder<StringBuilder, StringBuilder>>),
}

impl InfoColumns {
    pub(crate) fn new(fields: &[InfoField]) -> InfoColumns {
        let column = |field: &InfoField| match field.shape() {
            Shape::Time => {
                Column::Time(TimestampMillisecondBuilder::new().with_data_type(field.data_type()))
            }
            Shape::Text => Column::Text(StringBuilder::new()),
            Shape::Json => Column::Json(StringBuilder::new()),
            Shape::Long => Column::Long(Int64Builder::new()),
            Shape::Bool => Column::Bool(BooleanBuilder::new()),
            Shape::Map => Column::Map(Box::new(actions::string_map_builder())),
        };
        InfoColumns { fields: fields.to_vec(), columns: fields.iter().map(column).collect() }
    }

    /// Appends a row. A field that is not there, or is not of the column's type,
    /// is null; so are all of a commit without a `commitInfo`.
    pub(crate) fn push(&mut self, info: Option<&CommitInfo>) -> Result<()> {
        let mut scratch = Text::default();
        let values = info.map(|info| info.values(&self.fields));
        for (i, column) in self.columns.iter_mut().enumerate() {
            let value = values.as_ref().and_then(|values| values[i]);
            match column {
                Column::Time(builder) => builder.append_option(value.and_then(long)),
                Column::Long(builder) => builder.append_option(value.and_then(long)),
                Column::Bool(builder) => {
                    builder.append_option(value.and_then(|value| Cursor::new(value).bool().ok()));
                }
                Column::Json(builder) => builder.append_option(value),
                Column::Text(builder) => {
                    let raw = value.and_then(|value| Cursor::new(value).string().ok());
                    builder.append_option(raw.and_then(|raw| unquoted(raw, &mut scratch)));
                }
                Column::Map(builder) => append_map(builder, value)?,
            }
        }
        Ok(())
    }

    /// The columns, in the order of their fields.
    pub(crate) fn finish(self) -> Vec<ArrayRef> {
        let finished = |column| -> ArrayRef {
            match column {
                Column::Time(mut builder) => Arc::new(builder.finish()),
                Column::Text(mut builder) | Column::Json(mut builder) => Arc::new(builder.finish()),
                Column::Long(mut builder) => Arc::new(builder.finish()),
                Column::Bool(mut builder) => Arc::new(builder.finish()),
                Column::Map(mut builder) => Arc::new(builder.finish()),
            }
        };
        self.columns.into_iter().map(finished).collect()
    }
}

/// Appends an object as a map: strings as they are, null as null, and anything
/// else as its JSON text.
fn append_map(
    builder: &mut MapBuilder<StringBuilder, StringBuilder>,
    value: Option<&str>,
) -> Result<()> {
    // A key that is no text leaves no map to speak of, so it is looked for first.
    let mut is_text = true;
    let is_map = value.and_then(|value| {
        each_member(value, |key, _| is_text &= unquoted(key, &mut Text::default()).is_some())
    });
    let is_map = is_map.is_some() && is_text;
    if let Some(value) = value.filter(|_| is_map) {
        let mut scratch = Text::default();
        each_member(value, |key, text| {
            builder.keys().append_option(unquoted(key, &mut scratch));
            let mut cursor = Cursor::new(text);
            match cursor.peek() {
                Some(b'n') => builder.values().append_null(),
                Some(b'"') => {
                    let raw = cursor.string().ok();
                    let value = raw.and_then(|raw| unquoted(raw, &mut scratch));
                    builder.values().append_option(value);
                }
                _ => builder.values().append_value(text),
            }
        });
    }
    builder.append(is_map).map_err(|e| Error::bug(format!("a map of a commitInfo: {e}")))
}
