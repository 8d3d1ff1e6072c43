//! What a log must read as: action reconciliation, oldest first, in maps. Slow,
//! short, and sharing nothing with the library.
use super::Action;
use serde_json::Value;
use std::collections::BTreeMap;

/// The key of a logical file: the decoded path and the deletion vector's id.
pub type Key = (Vec<u8>, Option<String>);

/// The state of a table at one version.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub protocol: Option<Action>,
    pub metadata: Option<Action>,
    pub txns: BTreeMap<String, Action>,
    pub domains: BTreeMap<String, Action>,
    pub adds: BTreeMap<Key, Action>,
    pub removes: BTreeMap<Key, Action>,
}

/// The state after `commits`, oldest first.
pub fn reconcile<'a>(commits: impl IntoIterator<Item = &'a Vec<Action>>) -> State {
    let mut state = reconcile_range(commits);
    state.domains.retain(|_, action| action.field("removed") != true);
    state
}

/// The same of commits that have older ones before them: what removes a domain
/// of those is kept.
pub fn reconcile_range<'a>(commits: impl IntoIterator<Item = &'a Vec<Action>>) -> State {
    let mut state = State::default();
    for commit in commits {
        // Within one commit the order says nothing: removes are of what was
        // there before, so they go first.
        for action in commit.iter().filter(|action| action.name() == Some("remove")) {
            let key = key_of(action);
            state.adds.remove(&key);
            state.removes.insert(key, action.clone());
        }
        for action in commit {
            let text = |field| action.field(field).as_str().unwrap_or_default().to_owned();
            match action.name() {
                Some("protocol") => state.protocol = Some(action.clone()),
                Some("metaData") => state.metadata = Some(action.clone()),
                Some("txn") => drop(state.txns.insert(text("appId"), action.clone())),
                Some("domainMetadata") => {
                    drop(state.domains.insert(text("domain"), action.clone()));
                }
                Some("add") => {
                    let key = key_of(action);
                    state.removes.remove(&key);
                    state.adds.insert(key, action.clone());
                }
                _ => {}
            }
        }
    }
    state
}

impl State {
    /// The paths of the live files as the log spells them, sorted.
    pub fn live_files(&self) -> Vec<String> {
        let mut paths: Vec<_> = self.adds.values().map(|add| add.path().to_owned()).collect();
        paths.sort();
        paths
    }

    /// The bytes of the live files together.
    pub fn size_bytes(&self) -> i64 {
        self.adds.values().filter_map(|add| add.field("size").as_i64()).sum()
    }

    /// Every action a checkpoint of this state holds, but the file actions.
    pub fn table_actions(&self) -> Vec<Action> {
        let singles = self.protocol.iter().chain(&self.metadata);
        singles.chain(self.txns.values()).chain(self.domains.values()).cloned().collect()
    }

    /// The adds and the tombstones.
    pub fn file_actions(&self) -> Vec<Action> {
        self.adds.values().chain(self.removes.values()).cloned().collect()
    }
}

fn key_of(action: &Action) -> Key {
    let dv = dv_id(action.field("deletionVector"), "storageType", "pathOrInlineDv");
    (decoded(action.path()), dv)
}

/// The key of a file that was read: of its columns `path` and `deletion_vector`.
pub fn key_of_row(row: &Value) -> Key {
    let path = row["path"].as_str().expect("a path");
    (decoded(path), dv_id(&row["deletion_vector"], "storage_type", "path_or_inline_dv"))
}

/// The protocol's `deletionVector.uniqueId`.
fn dv_id(dv: &Value, storage_type: &str, path_or_inline: &str) -> Option<String> {
    let dv = dv.as_object()?;
    let text = |field: &str| dv.get(field).and_then(|v| v.as_str()).unwrap_or_default();
    let id = format!("{}{}", text(storage_type), text(path_or_inline));
    match dv.get("offset").and_then(|offset| offset.as_i64()) {
        Some(offset) => Some(format!("{id}@{offset}")),
        None => Some(id),
    }
}

fn decoded(path: &str) -> Vec<u8> {
    let bytes = path.as_bytes();
    let hex = |at: usize| bytes.get(at).and_then(|b| (*b as char).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}
