//! The stream of live files, and what it has in common with that of changes.

use std::sync::Arc;

use super::checks::Checked;
use super::columns::{Projection, Rows};
use super::stream::Counts;
use super::{BatchStream, Scan};
use crate::actions::{ActionKind, ActionKinds, FileColumns};
use crate::delta_log::checkpoint::Checkpoint;
use crate::delta_log::commit::{CommitText, SliceEnd};
use crate::delta_log::skipping::Skipping;
use crate::error::Result;
use crate::read_ahead::Cancel;
use crate::replay::{Plan, Replay};

impl Scan {
    /// Starts the stream of live files, newest commit first, then the
    /// checkpoint. Decoding has begun when it returns, and runs ahead of the
    /// consumer as far as the window allows.
    ///
    /// # Errors
    /// As [`Scan::files_schema`], and what a look at the log's files gives.
    pub fn files(&self) -> Result<BatchStream> {
        let projection = self.resolve(Rows::Files)?;
        let schema = Arc::clone(&projection.delivered);
        let (cancel, counts, listing) = self.listing(projection)?;
        Ok(BatchStream::new(schema, cancel, counts, listing))
    }

    /// Starts the listing of the live files.
    pub(super) fn listing(
        &self,
        mut projection: Projection,
    ) -> Result<(Cancel, Arc<Counts>, Checked)> {
        let snapshot = &self.snapshot;
        let (commits, checkpoint) = snapshot.take_log()?;
        let checksum = snapshot.checksum();
        let size_column = checksum.is_some().then(|| projection.size_column());
        let said = checkpoint.as_ref().map(|checkpoint| checkpoint.said.clone());
        let adds = ActionKinds::from_iter([ActionKind::ADD]);
        let (cancel, counts, replay) =
            self.replay(projection, adds, commits, checkpoint, size_column);
        let checked = Checked {
            replay,
            snapshot: snapshot.clone(),
            checksum,
            said,
            is_whole: self.filter.is_none(),
            warns: self.checks_warn,
            cancel: cancel.clone(),
        };
        Ok((cancel, counts, checked))
    }

    /// Starts the replay of `commits` and `checkpoint`, with the newest action
    /// of each logical file for a row if it is one of `rows`.
    pub(super) fn replay(
        &self,
        projection: Projection,
        rows: ActionKinds,
        commits: Vec<CommitText>,
        checkpoint: Option<Arc<Checkpoint>>,
        size_column: Option<usize>,
    ) -> (Cancel, Arc<Counts>, Replay) {
        let engine = self.snapshot.engine();
        let counts = Counts::new(&self.snapshot.storage());
        let projected = Arc::clone(&counts);
        let skipping = self
            .filter
            .as_ref()
            .map(|filter| Arc::new(Skipping::new(&filter.question, &counts.skipped.listing)));
        let commit_bytes = commits.iter().map(|commit| commit.text.size).sum::<u64>();
        let log_bytes = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.bytes());
        let plan = Plan {
            memory: engine.memory().clone(),
            storage: Arc::clone(&counts.storage) as _,
            commits,
            events: engine.events().clone(),
            checkpoint,
            rows,
            want: projection.want,
            skipping,
            delivered_columns: projection.delivered.fields().len(),
            project: Arc::new(move |actions: &FileColumns, ends: &[SliceEnd]| {
                projection.project(actions, ends, &projected)
            }),
            size_column,
            batch_rows: self.batch_rows,
            last_action_wins: self.last_action_wins,
            window: self.window(log_bytes.saturating_add(commit_bytes)),
        };
        let cancel = Cancel::default();
        let replay = Replay::new(engine.pool(), cancel.clone(), Arc::clone(&counts.units), plan);
        (cancel, counts, replay)
    }
}
