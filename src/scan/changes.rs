//! The stream of what changed between two versions.
//!
//! It is the replay of a listing that stops at the older version instead of at
//! the checkpoint, with the removes that stay for rows as well.

use std::sync::Arc;

use super::columns::Rows;
use super::{BatchStream, Scan};
use crate::actions::{ActionKind, ActionKinds};
use crate::delta_log::commit::CommitText;
use crate::error::{Error, Result};

impl Scan {
    /// Starts the stream of what brings the live files of `base_version` to
    /// those of this snapshot, for a host that keeps a list of them.
    ///
    /// Of each logical file that the commits between speak of there is one row,
    /// its newest action, the newest commit first. `change` says what it is:
    ///
    /// - `add`: the file is live, with what this row says of it. The list may
    ///   have it already; then the row takes the place of the old one.
    /// - `remove`: the file is not live. The list need not have it: it may have
    ///   come and gone between the two versions.
    ///
    /// A logical file is a path, percent-decoded, together with its deletion
    /// vector's storage type, path or inline text, and offset. No key comes
    /// twice, so rows may be applied in any order. A file whose deletion vector
    /// was replaced is two rows: a `remove` of the old one, an `add` of the new
    /// one ("Add File and Remove File").
    ///
    /// Beside the columns of [`Scan::columns`] there are those of
    /// [`CHANGE_COLUMNS`](crate::CHANGE_COLUMNS):
    ///
    /// | name | Arrow type | holds |
    /// |---|---|---|
    /// | `change` | `Utf8`, not null | `add` or `remove` |
    /// | `version` | `Int64`, not null | the version whose commit holds the action |
    /// | `deletion_timestamp` | `Timestamp(ms, UTC)` | when the file was removed; null in an add |
    /// | `extended_file_metadata` | `Boolean` | as in the log; null in an add |
    ///
    /// Default: `change`, then [`DEFAULT_FILE_COLUMNS`](crate::DEFAULT_FILE_COLUMNS).
    /// What a remove does not have is null; of many it is all but the path and
    /// the deletion vector. So is a value of `partition` in a remove that this
    /// snapshot's schema does not understand: it is an older schema's file.
    ///
    /// The commits themselves are read, not compactions of them and no
    /// checkpoint; checkpoints on the way make no difference. With
    /// `base_version` the snapshot's own, the stream is empty.
    ///
    /// # Errors
    /// `NotFound` if a commit after `base_version` is gone, naming it and the
    /// version that the log still reaches back to: then the files have to be
    /// listed anew. `InvalidArgument` if `base_version` is newer than the
    /// snapshot; for a column as in [`Scan::files_schema`]. What breaks the
    /// protocol within one commit is an error of the stream as it is in
    /// [`Scan::files`].
    pub fn changes_since(&self, base_version: u64) -> Result<BatchStream> {
        self.refuse_filter("a stream of changes")?;
        let projection = self.resolve(Rows::Changes)?;
        let schema = Arc::clone(&projection.delivered);
        let version = self.snapshot.version();
        if base_version > version {
            return Err(Error::invalid(format!(
                "changes since version {base_version} were asked of version {version}, which is \
                 older"
            )));
        }
        let commits = self.snapshot.commits(base_version + 1..version + 1)?;
        let commits = commits.into_iter().map(CommitText::of_commit).collect();
        let rows = ActionKinds::from_iter([ActionKind::ADD, ActionKind::REMOVE]);
        let (cancel, counts, replay) = self.replay(projection, rows, commits, None, None);
        Ok(BatchStream::new(schema, cancel, counts, replay))
    }
}
