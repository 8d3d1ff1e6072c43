//! The `commitInfo` of a commit: who did what, and when ("Commit Provenance
//! Information").
//!
//! It is free-form: "implementations are free to store any valid JSON-formatted
//! data". So no field of it can be wrong, only absent, with one exception: where
//! in-commit timestamps are enabled, `inCommitTimestamp` must be there.

use super::commit;
use super::json::{Cursor, RawStr};
use super::segment::CommitFile;
use crate::actions::RareKind;
use crate::error::{Error, Result};
use crate::storage::Storage;

/// A `commitInfo` action, as the log has it.
pub(crate) struct CommitInfo {
    /// Its JSON text.
    text: String,
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
        let value = info.and_then(|info| info.value("inCommitTimestamp"));
        value.and_then(long).ok_or_else(|| {
            Error::corrupt(format!(
                "{}: no commitInfo with an inCommitTimestamp, where in-commit timestamps are \
                 enabled",
                commit.name
            ))
        })
    }

    /// The JSON text of the field `name`, `None` where it is not there. Of a key
    /// that is there twice the last counts, as with most who read JSON.
    fn value(&self, name: &str) -> Option<&str> {
        let mut value = None;
        each_member(&self.text, |key, text| {
            if key.is(name) {
                value = Some(text);
            }
        });
        value
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

fn long(value: &str) -> Option<i64> {
    Cursor::new(value).i64().ok()
}
