//! Legal histories of a table, from a seed alone.
use super::{
    Action, Layout, Numbers, TestTable, add, commit_info, domain_metadata, dv, metadata,
    protocol_features, remove, txn,
};
use serde_json::{Value, json};

/// The first version of a table that may have all that a history can bring.
pub fn random_beginning(numbers: &mut Numbers) -> TestTable {
    let mut metadata = metadata("id long");
    if numbers.below(2) == 0 {
        metadata = metadata.property("delta.enableInCommitTimestamps", "true");
    }
    TestTable::new().commit([info(0), protocol(&[]), metadata])
}

/// One more version: a dozen paths come and go, with deletion vectors and without,
/// and now and then something else changes.
pub fn random_commit(table: &TestTable, numbers: &mut Numbers) -> Vec<Action> {
    let state = table.state();
    let version = table.version() + 1;
    let mut commit = Vec::new();
    for n in 0..12 {
        let path = format!("part%20{n}");
        let old = state.adds.values().find(|add| add.path() == path);
        let new = |numbers: &mut Numbers| {
            let size = numbers.below(1000) as i64;
            let new = add(&path).size(size).stats(&format!(r#"{{"numRecords":{size}}}"#));
            if numbers.below(3) == 0 { new.dv(dv(numbers.below(5) as u32)) } else { new }
        };
        let removed = |old: &Action| match old.field("deletionVector") {
            Value::Null => remove(&path),
            dv => remove(&path).dv(dv.clone()),
        };
        match (numbers.below(4), old) {
            (0, Some(old)) => commit.push(removed(old)),
            (1, Some(old)) => {
                let new = new(numbers);
                if new.field("deletionVector") != old.field("deletionVector") {
                    commit.push(removed(old));
                }
                commit.push(new);
            }
            (0 | 1, None) => commit.push(new(numbers)),
            _ => {}
        }
    }
    for n in 0..3 {
        let (app, domain) = (format!("app {n}"), format!("domain {n}"));
        let text = json!({"version": version}).to_string();
        match numbers.below(9) {
            0 => commit.push(txn(&app, version as i64)),
            1 => commit.push(domain_metadata(&domain, &text)),
            2 if state.domains.contains_key(&domain) => {
                commit.push(domain_metadata(&domain, "").removed());
            }
            _ => {}
        }
    }
    match numbers.below(10) {
        0 => {
            let old = state.metadata.as_ref().expect("a metaData");
            commit.push(old.clone().property("changed", &version.to_string()));
        }
        1 => commit.push(protocol(&["appendOnly", "invariants"][..numbers.below(3) as usize])),
        _ => {}
    }
    if numbers.below(2) == 0 {
        commit.reverse();
    }
    // "The `commitInfo` action must be the first action in the commit" where it
    // has the version's timestamp.
    commit.insert(0, info(version));
    commit
}

/// A checkpoint of the newest version, of any kind.
pub fn random_checkpoint(table: TestTable, numbers: &mut Numbers) -> TestTable {
    match numbers.below(6) {
        0 => table.checkpoint_as(&Layout::default().row_group_rows(3)),
        1 => table.multi_part_checkpoint(3),
        2 => table.v2_checkpoint_json(2),
        3 => table.v2_checkpoint_parquet(1),
        4 => table.v2_checkpoint_json(0),
        _ => table.v2_checkpoint_classic(0),
    }
}

fn info(version: u64) -> Action {
    commit_info().with("inCommitTimestamp", 1_700_000_000_000 + version)
}

fn protocol(more: &[&str]) -> Action {
    let mut features = vec!["deletionVectors", "v2Checkpoint"];
    let reader = features.clone();
    features.extend(["domainMetadata", "inCommitTimestamp"]);
    features.extend(more);
    protocol_features(&reader, &features)
}
