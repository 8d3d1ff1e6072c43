//! The stream of the actions of a range of commits, as the log has them.
//!
//! Nothing is reconciled, so units need nothing of each other: each is decoded
//! to its batches on a worker, and the consumer only hands them on.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::columns::Rows;
use super::stream::{Counts, Units};
use super::{BatchStream, Scan};
use crate::actions::{ActionKind, ActionKinds, FileField, KeyHasher};
use crate::delta_log::commit::{self, Order, TextSlice, Wanted};
use crate::error::{Error, Result, escaped};
use crate::read_ahead::{Cancel, ReadAhead};
use crate::replay::{self, planned_text};

/// The actions of commits, by their names in the log.
pub const ACTION_KINDS: &[&str] =
    &["add", "remove", "cdc", "metaData", "protocol", "txn", "domainMetadata", "commitInfo"];

impl Scan {
    /// Starts the stream of the actions in the commits of `versions`, the oldest
    /// commit first and each commit's actions in the order of its lines: the
    /// log's side of a change data feed ("Add CDC File").
    ///
    /// Every action is a row, as its commit says it: nothing is reconciled, and
    /// what the protocol forbids two actions of one commit to say is not looked
    /// for. [`Scan::action_kinds`] chooses some of them. Actions that the
    /// protocol does not know are left out.
    ///
    /// Beside the columns of [`Scan::columns`] there are those of
    /// [`ACTION_COLUMNS`](crate::ACTION_COLUMNS):
    ///
    /// | name | Arrow type | holds |
    /// |---|---|---|
    /// | `version` | `Int64`, not null | the commit's version |
    /// | `action` | `Utf8`, not null | one of [`ACTION_KINDS`] |
    /// | `deletion_timestamp` | `Timestamp(ms, UTC)` | of a remove, when the file was removed |
    /// | `extended_file_metadata` | `Boolean` | of a remove, as in the log |
    /// | `json` | `Utf8` | of an action that is no file action, all of it: the text of the log, to the byte |
    ///
    /// Default: `version`, `action`, [`DEFAULT_FILE_COLUMNS`](crate::DEFAULT_FILE_COLUMNS),
    /// `data_change`, `json`. File actions are `add`, `remove` and `cdc`; the
    /// columns of files are null in all others, the path too, and so is what a
    /// file action does not have. `partition` is typed by this snapshot's schema
    /// for all of them; where a range goes over a change of the partition
    /// columns, `partition_values` is what can be read.
    ///
    /// An empty range gives an empty stream, whatever its bounds.
    ///
    /// # Errors
    /// `NotFound` if a commit is gone, naming it and the version that the log
    /// still reaches back to; `InvalidArgument` if the range ends after the
    /// snapshot's version, for a kind of action that does not exist, and for a
    /// column as in [`Scan::files_schema`].
    pub fn actions(&self, versions: RangeInclusive<u64>) -> Result<BatchStream> {
        self.refuse_filter("a stream of actions")?;
        let projection = self.resolve(Rows::Actions)?;
        let mut fields = projection.want;
        fields.insert(FileField::Path);
        let wanted = Wanted { rows: self.wanted_kinds()?, fields, keys: ActionKinds::default() };
        let version = self.snapshot.version();
        let versions = match versions.into_inner() {
            (first, last) if first > last => 0..0,
            (first, last) if last <= version => first..last + 1,
            (_, last) => {
                return Err(Error::invalid(format!(
                    "actions up to version {last} were asked of version {version}, which is older"
                )));
            }
        };
        let mut texts = self.snapshot.commits(versions)?;
        texts.reverse();

        let engine = self.snapshot.engine();
        let counts = Counts::new(&self.snapshot.storage());
        let window = self.window(texts.iter().map(|text| text.size).sum());
        let cancel = Cancel::default();
        let schema = Arc::clone(&projection.delivered);
        let plan = commit::plan(texts, Order::OldestFirst);
        let (projected, storage) = (Arc::clone(&counts), Arc::clone(&counts.storage));
        let memory = engine.memory().clone();
        let hasher = KeyHasher::new();
        let batch_rows = self.batch_rows;
        let decoded = ReadAhead::new(
            engine.pool(),
            window,
            cancel.clone(),
            Arc::clone(&counts.units),
            plan.map(|slices| Ok(planned_text(slices, |slices| slices))),
            move |slices: Vec<TextSlice>| {
                let actions = commit::decode(storage.as_ref(), &slices, wanted, &hasher, &memory)?;
                let rows = projection.project(&actions.rows, &actions.ends, &projected)?;
                if let Some((row, e)) = rows.bad_rows.into_iter().next() {
                    let at = actions.ends.partition_point(|end| end.rows <= row);
                    return Err(e.at(slices.get(at).map_or("", |slice| &slice.text.name)));
                }
                Ok(replay::cut(&rows.batch, batch_rows).collect())
            },
        );
        Ok(BatchStream::new(schema, cancel, counts, Units::new(decoded, engine.memory())))
    }

    fn wanted_kinds(&self) -> Result<ActionKinds> {
        let kind = |name: &str| {
            let kind = ActionKind::from_key(name.as_bytes());
            kind.filter(|_| ACTION_KINDS.contains(&name)).ok_or_else(|| {
                Error::invalid(format!(
                    "no action \"{}\" in a commit; there are {}",
                    escaped(name),
                    ACTION_KINDS.join(", ")
                ))
            })
        };
        match &self.action_kinds {
            Some(names) => names.iter().map(|name| kind(name)).collect(),
            None => ACTION_KINDS.iter().map(|name| kind(name)).collect(),
        }
    }
}
