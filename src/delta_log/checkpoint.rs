//! Checkpoints to actions: V1, multi-part, V2 with its sidecars ("Checkpoints",
//! "Checkpoint Specs", "Checkpoint Schema").
//!
//! A checkpoint's rows are actions that have been reconciled already, so an
//! `add` in it is live unless a newer commit says otherwise, and a `remove` is
//! a tombstone that matters to nobody who reads. Columns are found by name, in
//! any order; one that is missing is null.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use serde_json::Value;

use super::commit::{self, LogText};
use super::path;
use super::segment::CheckpointFiles;
use crate::actions::{RareAction, RareKind};
use crate::error::{Error, Result, escaped};
use crate::parquet_file::{ParquetFile, select};
use crate::storage::Storage;

/// A checkpoint whose top-level files have been opened.
pub(crate) struct Checkpoint {
    pub(crate) parts: Vec<Part>,
    /// Its sidecars, each once.
    pub(crate) sidecars: Vec<SidecarFile>,
    /// What must be in it.
    pub(crate) said: Said,
}

/// A sidecar, as its checkpoint knows it.
#[derive(Debug, Clone)]
pub(crate) struct SidecarFile {
    /// With its directory.
    pub(crate) name: String,
    pub(crate) size: Option<i64>,
}

/// What is said of a checkpoint's counts, to see whether it is whole: a file
/// that is valid and holds less than its writer put there shows only here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// The first of its files.
    pub(crate) name: String,
    /// The rows of its files, where `_last_checkpoint` says another number.
    pub(crate) rows: Option<(u64, u64)>,
    /// Its adds by `_last_checkpoint`.
    pub(crate) adds: Option<u64>,
    /// Its adds by its own `checkpointMetadata`.
    pub(crate) own_adds: Option<u64>,
    /// The actions of its sidecars by its own `checkpointMetadata`.
    pub(crate) sidecar_actions: Option<u64>,
}

/// One top-level file of a checkpoint.
pub(crate) enum Part {
    Parquet(ParquetFile),
    Json(LogText),
}

impl Part {
    /// Opens the file `name` and reads its rare actions of `kinds`, no other
    /// column.
    pub(crate) fn open(
        storage: &Arc<dyn Storage>,
        files: &CheckpointFiles,
        name: &str,
        kinds: &[RareKind],
    ) -> Result<(Part, Vec<RareAction>)> {
        if files.is_json {
            let rare = commit::rare_actions(storage.as_ref(), name, kinds)?;
            let text = LogText {
                name: Arc::from(name),
                version: files.version,
                size: rare.size,
                bytes: rare.bytes,
            };
            return Ok((Part::Json(text), rare.actions));
        }
        let file = ParquetFile::open(storage, name)?;
        let actions = rare_actions(&file, kinds)?;
        Ok((Part::Parquet(file), actions))
    }

    pub(crate) fn rare_actions(
        &self,
        storage: &dyn Storage,
        kinds: &[RareKind],
    ) -> Result<Vec<RareAction>> {
        match self {
            Part::Parquet(file) => rare_actions(file, kinds),
            Part::Json(text) => Ok(commit::rare_actions(storage, &text.name, kinds)?.actions),
        }
    }
}

impl Checkpoint {
    /// Its bytes, decoded, as far as that is known: with sidecars it is not.
    pub(crate) fn bytes(&self) -> u64 {
        let sidecars = if self.sidecars.is_empty() { 0 } else { u64::MAX };
        self.parts.iter().fold(sidecars, |bytes, part| {
            bytes.saturating_add(match part {
                Part::Parquet(file) => file.bytes(),
                Part::Json(text) => text.size,
            })
        })
    }

    /// The checkpoint `files` of `parts`, in which `rare` actions were found.
    pub(crate) fn new(
        files: &CheckpointFiles,
        parts: Vec<Part>,
        rare: &[RareAction],
    ) -> Result<Checkpoint> {
        let name = &files.names[0];
        let mut said = Said { name: name.clone(), ..Said::default() };
        let mut known = HashSet::new();
        let mut sidecars = Vec::new();
        for action in rare {
            match action {
                RareAction::Sidecar(sidecar) => {
                    let name = path::sidecar(&sidecar.path).ok_or_else(|| {
                        Error::corrupt(format!(
                            "{name}: the sidecar \"{}\" must be a Parquet file of the table's \
                             own _delta_log/_sidecars",
                            escaped(&sidecar.path)
                        ))
                    })?;
                    // A sidecar that is named twice still holds its files once.
                    if known.insert(name.clone()) {
                        sidecars.push(SidecarFile { name, size: sidecar.size_in_bytes });
                    }
                }
                RareAction::CheckpointMetadata(own) => {
                    if u64::try_from(own.version) != Ok(files.version) {
                        return Err(Error::corrupt(format!(
                            "{name}: a checkpoint of version {} by its checkpointMetadata",
                            own.version
                        )));
                    }
                    // Spark's tags; what is no number says nothing.
                    let tag = |key: &str| own.tags.get(key)?.as_ref()?.parse().ok();
                    said.own_adds = tag("numOfAddFiles");
                    said.sidecar_actions = tag("sidecarNumActions");
                }
                _ => {}
            }
        }
        // With sidecars, writers differ in what they count; and old writers that
        // state no adds are known to state sizes that were never true.
        if let Some(hint) = files.said.filter(|hint| hint.num_of_add_files.is_some()) {
            said.adds = hint.num_of_add_files;
            let rows = parts.iter().map(|part| match part {
                Part::Parquet(file) => Some(file.rows()),
                Part::Json(_) => None,
            });
            let rows = rows.sum::<Option<u64>>().filter(|_| sidecars.is_empty());
            said.rows = rows.zip(hint.size).filter(|(rows, size)| rows != size);
        }
        Ok(Checkpoint { parts, sidecars, said })
    }
}

/// The rare actions of `kinds` in a Parquet checkpoint file.
///
/// One column of each kind says which rows hold it; the others are decoded for
/// those rows only. Row groups whose statistics say that the column is all null
/// are not read at all.
fn rare_actions(file: &ParquetFile, kinds: &[RareKind]) -> Result<Vec<RareAction>> {
    let mut actions = Vec::new();
    let required = |kind: &RareKind| {
        file.leaves(|path| path == [kind.key(), kind.required_field()]).first().copied()
    };
    for (row_group, group) in file.row_groups().iter().enumerate() {
        let rows = usize::try_from(group.num_rows()).unwrap_or(0);
        for kind in kinds {
            let Some(leaf) = required(kind) else { continue };
            let nulls = group.column(leaf).statistics().and_then(|s| s.null_count_opt());
            if nulls == Some(rows as u64) {
                continue;
            }
            let found = match file.rows_with_value(row_group, leaf)? {
                Some(found) => found,
                None => rows_by_values(file, row_group, *kind, leaf)?,
            };
            if found.is_empty() {
                continue;
            }
            let leaves = file.leaves(|path| path.first() == Some(&kind.key()));
            file.check_levels(row_group, &leaves)?;
            let batch = file.read(row_group, select_rows(&found), &leaves)?;
            for row in 0..batch.num_rows() {
                let value = json_value(batch.column(0), row, 0).map_err(|e| file.error(e))?;
                let action =
                    kind.action(value).map_err(|e| file.error(format!("{}: {e}", kind.key())))?;
                actions.push(action);
            }
        }
    }
    for kind in [RareKind::Protocol, RareKind::Metadata] {
        if actions.iter().filter(|action| action.kind() == kind).count() > 1 {
            return Err(file.error(format!("more than one {} action", kind.key())));
        }
    }
    Ok(actions)
}

/// The rows that hold an action of `kind`, by the values of its required field.
fn rows_by_values(
    file: &ParquetFile,
    row_group: usize,
    kind: RareKind,
    leaf: usize,
) -> Result<Vec<usize>> {
    let rows = usize::try_from(file.row_groups()[row_group].num_rows()).unwrap_or(0);
    let mut found = Vec::new();
    let mut begin = 0;
    for batch in file.batches(row_group, select(0..rows), &[leaf], 64 << 10)? {
        let batch = batch?;
        let Some(parent) = batch.column(0).as_struct_opt() else {
            return Err(file.error(format!("{} is not a struct", kind.key())));
        };
        // A required field of a null struct has a value of no meaning.
        let column = parent.column(0);
        let is_there = |&i: &usize| parent.is_valid(i) && column.is_valid(i);
        found.extend((0..parent.len()).filter(is_there).map(|i| begin + i));
        begin += parent.len();
    }
    Ok(found)
}

/// The selection of single rows, in order.
fn select_rows(rows: &[usize]) -> RowSelection {
    let mut selectors = Vec::with_capacity(rows.len() * 2);
    let mut at = 0;
    for &row in rows {
        selectors.push(RowSelector::skip(row - at));
        selectors.push(RowSelector::select(1));
        at = row + 1;
    }
    RowSelection::from(selectors)
}

/// One value as JSON, to be read by the same types that read a commit's line.
fn json_value(array: &ArrayRef, row: usize, depth: usize) -> Result<Value, String> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    if depth > 8 {
        return Err("a rare action nests deeper than any of the protocol".into());
    }
    Ok(match array.data_type() {
        DataType::Utf8 => Value::from(array.as_string::<i32>().value(row)),
        DataType::Boolean => Value::from(array.as_boolean().value(row)),
        DataType::Int32 => Value::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
        DataType::Struct(fields) => {
            let columns = fields.iter().zip(array.as_struct().columns());
            columns
                .map(|(field, column)| {
                    Ok((field.name().clone(), json_value(column, row, depth + 1)?))
                })
                .collect::<Result<_, String>>()
                .map(Value::Object)?
        }
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            (0..values.len())
                .map(|i| json_value(&values, i, depth + 1))
                .collect::<Result<_, _>>()
                .map(Value::Array)?
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            (0..entries.len())
                .map(|i| {
                    let key = json_value(entries.column(0), i, depth + 1)?;
                    let key = key.as_str().ok_or("a map's key is not a string")?.to_owned();
                    Ok((key, json_value(entries.column(1), i, depth + 1)?))
                })
                .collect::<Result<_, String>>()
                .map(Value::Object)?
        }
        // Strings that a writer did not mark as text.
        DataType::Binary => Value::from(
            std::str::from_utf8(array.as_binary::<i32>().value(row)).map_err(|e| e.to_string())?,
        ),
        other => return Err(format!("a column of type {other} where no action has one")),
    })
}
