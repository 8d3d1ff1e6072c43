//! [`TestTable`]: a log, drawn commit by commit.
use super::checkpoint::parquet_of;
use super::{
    Action, Layout, Listing, State, checkpoint_metadata, checkpoint_name, checksum_name,
    commit_name, compaction_name, reconcile, reconcile_range, sidecar,
};
use delta_engine::{Error, Snapshot};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::TempDir;

/// A table in a directory of its own, which goes when this goes.
///
/// Each method writes at once. The actions of every commit are kept, so that a
/// checkpoint can be written of them and the oracle be asked.
pub struct TestTable {
    dir: TempDir,
    commits: BTreeMap<u64, Vec<Action>>,
    next_version: u64,
    names: AtomicU32,
}

impl TestTable {
    /// A directory with an empty `_delta_log`.
    pub fn new() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        fs::create_dir_all(dir.path().join("table/_delta_log")).expect("a directory");
        TestTable { dir, commits: BTreeMap::new(), next_version: 0, names: AtomicU32::new(0) }
    }

    /// The next version.
    pub fn commit(self, actions: impl IntoIterator<Item = Action>) -> Self {
        let version = self.next_version;
        self.commit_at(version, actions)
    }

    pub fn commit_at(mut self, version: u64, actions: impl IntoIterator<Item = Action>) -> Self {
        let actions: Vec<_> = actions.into_iter().collect();
        let mut bytes = Vec::new();
        for action in &actions {
            bytes.extend(action.line());
            bytes.push(b'\n');
        }
        self.commits.insert(version, actions);
        self.commit_bytes(version, &bytes)
    }

    /// A commit of these bytes; the oracle does not look into them.
    pub fn commit_bytes(mut self, version: u64, bytes: &[u8]) -> Self {
        self.next_version = self.next_version.max(version.saturating_add(1));
        self.log_file(&commit_name(version), bytes)
    }

    /// A classic V1 checkpoint of the newest version.
    pub fn checkpoint(self) -> Self {
        self.checkpoint_as(&Layout::default())
    }

    pub fn checkpoint_as(self, layout: &Layout) -> Self {
        let state = self.state();
        let mut actions = state.table_actions();
        actions.extend(state.file_actions());
        self.checkpoint_of(actions, layout)
    }

    /// A classic checkpoint of the newest version with these rows.
    pub fn checkpoint_of(self, actions: impl IntoIterator<Item = Action>, layout: &Layout) -> Self {
        let name = checkpoint_name(self.version());
        self.parquet_file(&format!("_delta_log/{name}"), actions, layout).0
    }

    /// A multi-part V1 checkpoint of the newest version.
    pub fn multi_part_checkpoint(self, parts: usize) -> Self {
        self.multi_part_checkpoint_as(&vec![Layout::default(); parts])
    }

    /// As above, each part in its own layout.
    pub fn multi_part_checkpoint_as(mut self, parts: &[Layout]) -> Self {
        let state = self.state();
        let mut actions = state.table_actions();
        actions.extend(state.file_actions());
        let rows = actions.len().div_ceil(parts.len()).max(1);
        let mut chunks = actions.chunks(rows);
        for (i, layout) in parts.iter().enumerate() {
            let part = chunks.next().unwrap_or_default().to_vec();
            let name = self.part_name(self.version(), i + 1, parts.len());
            self = self.parquet_file(&format!("_delta_log/{name}"), part, layout).0;
        }
        self
    }

    /// The name of part `part` of `parts`, counted from 1.
    pub fn part_name(&self, version: u64, part: usize, parts: usize) -> String {
        format!("{version:020}.checkpoint.{part:010}.{parts:010}.parquet")
    }

    /// A UUID-named V2 checkpoint in JSON, its file actions in `sidecars`
    /// sidecar files; none: in the checkpoint itself.
    pub fn v2_checkpoint_json(self, sidecars: usize) -> Self {
        let (table, actions) = self.with_sidecars(sidecars, &Layout::default());
        let name = format!("{:020}.checkpoint.{}.json", table.version(), table.uuid());
        table.json_file(&format!("_delta_log/{name}"), actions)
    }

    /// The same in Parquet.
    pub fn v2_checkpoint_parquet(self, sidecars: usize) -> Self {
        self.v2_checkpoint_parquet_as(sidecars, &Layout::default())
    }

    pub fn v2_checkpoint_parquet_as(self, sidecars: usize, layout: &Layout) -> Self {
        let (table, actions) = self.with_sidecars(sidecars, layout);
        let name = format!("{:020}.checkpoint.{}.parquet", table.version(), table.uuid());
        table.parquet_file(&format!("_delta_log/{name}"), actions, layout).0
    }

    /// A V2 checkpoint under a classic name.
    pub fn v2_checkpoint_classic(self, sidecars: usize) -> Self {
        let (table, actions) = self.with_sidecars(sidecars, &Layout::default());
        table.checkpoint_of(actions, &Layout::default())
    }

    /// A UUID-named JSON checkpoint of the newest version with these actions.
    pub fn v2_checkpoint_json_of(self, actions: impl IntoIterator<Item = Action>) -> Self {
        let name = format!("{:020}.checkpoint.{}.json", self.version(), self.uuid());
        self.json_file(&format!("_delta_log/{name}"), actions)
    }

    /// A sidecar of these file actions; gives its size too.
    pub fn sidecar_file(
        self,
        name: &str,
        actions: impl IntoIterator<Item = Action>,
    ) -> (Self, u64) {
        let layout = sidecar_layout(&Layout::default());
        self.parquet_file(&format!("_delta_log/_sidecars/{name}"), actions, &layout)
    }

    /// A Parquet file of actions anywhere in the table; gives its size too.
    pub fn parquet_file(
        self,
        name: &str,
        actions: impl IntoIterator<Item = Action>,
        layout: &Layout,
    ) -> (Self, u64) {
        let actions: Vec<_> = actions.into_iter().collect();
        let bytes = parquet_of(&actions, &self.state(), layout);
        let size = bytes.len() as u64;
        (self.file(name, &bytes), size)
    }

    fn json_file(self, name: &str, actions: impl IntoIterator<Item = Action>) -> Self {
        let mut bytes = Vec::new();
        for action in actions {
            bytes.extend(action.line());
            bytes.push(b'\n');
        }
        self.file(name, &bytes)
    }

    /// Writes the sidecars and gives the actions of the file that names them.
    fn with_sidecars(mut self, sidecars: usize, layout: &Layout) -> (Self, Vec<Action>) {
        let state = self.state();
        let mut actions = vec![checkpoint_metadata(self.version())];
        actions.extend(state.table_actions());
        let files = state.file_actions();
        if sidecars == 0 {
            actions.extend(files);
            return (self, actions);
        }
        let rows = files.len().div_ceil(sidecars).max(1);
        let mut chunks = files.chunks(rows);
        let layout = sidecar_layout(layout);
        for _ in 0..sidecars {
            let name = format!("{}.parquet", self.uuid());
            let part = chunks.next().unwrap_or_default().to_vec();
            let size;
            (self, size) =
                self.parquet_file(&format!("_delta_log/_sidecars/{name}"), part, &layout);
            actions.push(sidecar(&name, size));
        }
        (self, actions)
    }

    /// The checksum of the newest version, with all that a writer can say.
    pub fn checksum(self) -> Self {
        self.checksum_as(|_| {})
    }

    /// As above, and changed.
    pub fn checksum_as(self, change: impl FnOnce(&mut Value)) -> Self {
        let (version, state) = (self.version(), self.state());
        let bodies = |actions: &BTreeMap<String, Action>| -> Value {
            actions.values().map(Action::body).collect()
        };
        let info = |action: &&Action| action.name() == Some("commitInfo");
        let info = self.commits[&version].iter().find(info);
        let timestamp = info.map_or(&Value::Null, |info| info.field("inCommitTimestamp"));
        let mut checksum = json!({
            "txnId": "00000000-0000-4000-8000-000000000000",
            "tableSizeBytes": state.size_bytes(),
            "numFiles": state.adds.len(),
            "numMetadata": 1,
            "numProtocol": 1,
            "inCommitTimestampOpt": timestamp,
            "setTransactions": bodies(&state.txns),
            "domainMetadata": bodies(&state.domains),
            "metadata": state.metadata.as_ref().map(Action::body),
            "protocol": state.protocol.as_ref().map(Action::body),
        });
        change(&mut checksum);
        self.log_file(&checksum_name(version), checksum.to_string().as_bytes())
    }

    /// The actions of the commits from `first` to `last`, reconciled.
    pub fn compacted(&self, first: u64, last: u64) -> Vec<Action> {
        let state = reconcile_range(self.commits.range(first..=last).map(|(_, actions)| actions));
        let mut actions = state.table_actions();
        actions.extend(state.file_actions());
        actions
    }

    /// A compaction of the commits from `first` to `last`.
    pub fn compaction(self, first: u64, last: u64) -> Self {
        let actions = self.compacted(first, last);
        self.compaction_of(first, last, actions)
    }

    /// One that holds these actions.
    pub fn compaction_of(
        self,
        first: u64,
        last: u64,
        actions: impl IntoIterator<Item = Action>,
    ) -> Self {
        self.json_file(&format!("_delta_log/{}", compaction_name(first, last)), actions)
    }

    /// Sets the modification time of the commit of `version`.
    pub fn modified_at(self, version: u64, ms: i64) -> Self {
        let time = UNIX_EPOCH + Duration::from_millis(ms.try_into().expect("after 1970"));
        let path = self.log().join(commit_name(version));
        let file = fs::File::options().write(true).open(path).expect("a commit");
        file.set_modified(time).expect("a new time");
        self
    }

    /// `_last_checkpoint`.
    pub fn last_checkpoint(self, text: &str) -> Self {
        self.log_file("_last_checkpoint", text.as_bytes())
    }

    /// Deletes the commit of `version`.
    pub fn delete(self, version: u64) -> Self {
        self.delete_file(&format!("_delta_log/{}", commit_name(version)))
    }

    /// Deletes every commit before `version`, as log cleanup does.
    pub fn delete_before(mut self, version: u64) -> Self {
        for older in 0..version {
            if self.root().join("_delta_log").join(commit_name(older)).exists() {
                self = self.delete(older);
            }
        }
        self
    }

    /// Deletes all that the log has of versions before `version`, as log cleanup
    /// does where that one has a checkpoint; but for sidecars.
    pub fn clean_up(mut self, version: u64) -> Self {
        let first = format!("{version:020}");
        for name in self.log_names("0000") {
            if name < first {
                self = self.delete_file(&format!("_delta_log/{name}"));
            }
        }
        self
    }

    pub fn delete_file(self, name: &str) -> Self {
        fs::remove_file(self.root().join(name)).expect("a file to delete");
        self
    }

    /// A file with these bytes, `name` being relative to the table's root.
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.write(name, bytes);
        self
    }

    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }

    /// A file in `_delta_log`.
    pub fn log_file(self, name: &str, bytes: &[u8]) -> Self {
        self.file(&format!("_delta_log/{name}"), bytes)
    }

    /// The table's root.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("table")
    }

    /// `_delta_log`.
    pub fn log(&self) -> PathBuf {
        self.root().join("_delta_log")
    }

    /// A directory beside the table's root.
    pub fn outside(&self) -> &Path {
        self.dir.path()
    }

    /// The names in `_delta_log` that contain `part`, sorted.
    pub fn log_names(&self, part: &str) -> Vec<String> {
        let entries = fs::read_dir(self.log()).expect("a directory");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .filter(|name| name.contains(part))
            .collect();
        names.sort();
        names
    }

    /// The newest version committed.
    pub fn version(&self) -> u64 {
        self.next_version.checked_sub(1).expect("a commit")
    }

    /// The state by the oracle.
    pub fn state(&self) -> State {
        reconcile(self.commits.values())
    }

    /// The state at `version` by the oracle.
    pub fn state_at(&self, version: u64) -> State {
        reconcile(self.commits.range(..=version).map(|(_, actions)| actions))
    }

    /// What to list, and how; by default the newest version.
    pub fn listing(&self) -> Listing {
        Listing::of(&self.root())
    }

    /// The paths of the live files, sorted, by every reader.
    #[track_caller]
    pub fn live_files(&self) -> Vec<String> {
        self.listing().live_files()
    }

    /// As above; the error that every reader gives.
    #[track_caller]
    pub fn try_live_files(&self) -> Result<Vec<String>, Error> {
        self.listing().try_live_files()
    }

    /// The paths of the live files of `version`, sorted, by every reader.
    #[track_caller]
    pub fn live_files_at(&self, version: u64) -> Vec<String> {
        self.listing().at(version).live_files()
    }

    /// The live files as JSON objects sorted by path, by every reader.
    #[track_caller]
    pub fn rows<const N: usize>(&self, columns: [&str; N]) -> Vec<Value> {
        self.listing().columns(columns).rows()
    }

    /// The table's rows, in the form of [`data_lines_of`](super::data_lines_of) and
    /// in order, by every reader.
    #[track_caller]
    pub fn data(&self) -> Vec<String> {
        let batches = Listing::of_rows(&self.root()).batches();
        super::data_lines_of(&batches.unwrap_or_else(|error| panic!("{error}")))
    }

    /// The newest version, opened with no workers.
    #[track_caller]
    pub fn snapshot(&self) -> Snapshot {
        self.try_snapshot().expect("a snapshot")
    }

    pub fn try_snapshot(&self) -> Result<Snapshot, Error> {
        super::engine(0).snapshot(self.root().to_str().expect("a UTF-8 path"))
    }

    /// Another one each time.
    pub(super) fn uuid(&self) -> String {
        let n = self.names.fetch_add(1, Ordering::Relaxed) + 1;
        format!("{n:08x}-0000-4000-8000-{:012x}", self.next_version)
    }
}

/// Sidecars hold adds and removes only.
fn sidecar_layout(layout: &Layout) -> Layout {
    let others = ["txn", "metaData", "protocol", "domainMetadata", "checkpointMetadata", "sidecar"];
    others.iter().fold(layout.clone(), |layout, column| layout.without(column))
}
