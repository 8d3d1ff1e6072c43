//! Whether a complete listing is what the table's own counts say.
//!
//! A file of the log may be valid and hold less than its writer put there, or
//! be another one than it was. Nothing in it shows that; what a writer counted
//! elsewhere does.

use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use arrow::array::RecordBatch;
use crossbeam_channel::Select;

use crate::actions::Protocol;
use crate::delta_log::checkpoint::Said;
use crate::delta_log::checksum::VersionChecksum;
use crate::delta_log::path;
use crate::engine::EventLevel;
use crate::error::{Error, Result};
use crate::read_ahead::{Cancel, Source};
use crate::replay::Replay;
use crate::snapshot::{self, Snapshot};

/// A replay that is compared, when it has ended, with what is said of it.
pub(super) struct Checked {
    pub(super) replay: Replay,
    pub(super) snapshot: Snapshot,
    /// Of this very version.
    pub(super) checksum: Option<Arc<VersionChecksum>>,
    /// Of its checkpoint.
    pub(super) said: Option<Said>,
    /// Whether it has all files: else they are not counted.
    pub(super) is_whole: bool,
    /// Whether a disagreement is told to the host instead of being an error.
    pub(super) warns: bool,
    pub(super) cancel: Cancel,
}

impl Source for Checked {
    type Item = Result<RecordBatch>;

    fn next_until(&mut self, deadline: Option<Instant>) -> Poll<Option<Result<RecordBatch>>> {
        match self.replay.next_until(deadline) {
            Poll::Ready(None) => Poll::Ready(self.compare().err().map(Err)),
            next => next,
        }
    }

    fn wakes<'a>(&'a self, select: &mut Select<'a>) {
        self.replay.wakes(select);
    }
}

impl Checked {
    fn compare(&self) -> Result<()> {
        let disagreements = self.disagreements()?;
        if self.warns {
            let events = self.snapshot.engine().events();
            disagreements.iter().for_each(|text| events.tell(EventLevel::Warning, text));
            return Ok(());
        }
        disagreements.into_iter().next().map_or(Ok(()), |text| Err(Error::corrupt(text)))
    }

    fn disagreements(&self) -> Result<Vec<String>> {
        let totals = self.replay.totals();
        let mut found = Vec::new();
        let mut compare = |file: &str, what: &str, counted: u64, by: &str, said: Option<u64>| {
            if let Some(said) = said.filter(|&said| said != counted) {
                found.push(format!("{file}: {counted} {what} where {by} says {said}"));
            }
        };
        if let Some(said) = self.said.as_ref().filter(|_| self.is_whole) {
            let (name, adds) = (&said.name, totals.checkpoint_adds);
            if let Some((rows, size)) = said.rows {
                compare(name, "actions", rows, path::LAST_CHECKPOINT, Some(size));
            }
            compare(name, "adds", adds, path::LAST_CHECKPOINT, said.adds);
            compare(name, "adds", adds, "its checkpointMetadata", said.own_adds);
            let (actions, by) = (totals.sidecar_actions, "its checkpointMetadata");
            compare(name, "actions in sidecars", actions, by, said.sidecar_actions);
        }
        let log = format!("the log up to version {}", self.snapshot.version());
        // "Readers MAY use Version Checksums to validate table state integrity",
        // and then "SHOULD surface the discrepancy to users via error messaging".
        let own = path::checksum(self.snapshot.version());
        if let Some(checksum) = self.checksum.as_ref().filter(|_| self.is_whole) {
            let files = &checksum.files;
            compare(&log, "live files", totals.files, &own, Some(files.num_files));
            compare(&log, "bytes of live files", totals.bytes, &own, Some(files.size_bytes));
        }
        // An older checksum that newer commits were applied to is held to its word
        // as well: what it says is what the snapshot has.
        let origin = self.snapshot.origin();
        let base = |source| match source {
            snapshot::Source::Checksum(version) => path::checksum(version),
            _ => own.clone(),
        };
        let (protocol, metadata) = self.snapshot.logged(&self.cancel)?;
        let said = self.checksum.as_ref();
        let said_protocol = said.and_then(|checksum| checksum.protocol.as_ref());
        let mut protocols = said_protocol.into_iter().chain([self.snapshot.protocol()]);
        if protocols.any(|said| !is_same(said, &protocol)) {
            found.push(format!("{log}: another protocol than {} says", base(origin.protocol)));
        }
        let said_metadata = said.and_then(|checksum| checksum.metadata.as_ref());
        let mut metadatas = said_metadata.into_iter().chain([self.snapshot.metadata()]);
        if metadatas.any(|said| *said != metadata) {
            found.push(format!("{log}: another metaData than {} says", base(origin.metadata)));
        }
        Ok(found)
    }
}

/// Whether two protocols ask the same; their lists of features are sets.
fn is_same(one: &Protocol, other: &Protocol) -> bool {
    let sorted = |protocol: &Protocol| {
        let mut protocol = protocol.clone();
        let Protocol { reader_features, writer_features, .. } = &mut protocol;
        [reader_features, writer_features].into_iter().flatten().for_each(|names| names.sort());
        protocol
    };
    sorted(one) == sorted(other)
}
