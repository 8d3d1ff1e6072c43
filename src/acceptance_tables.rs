//! The acceptance tables, where they lie: real Delta tables beside what they
//! must read as. Tests find them through `DELTA_ACCEPTANCE_TABLES`, or beside
//! the package; without them, such a test says so and passes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// One table.
pub(crate) struct AcceptanceTable {
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    /// Its `expected.json`.
    pub(crate) expected: Value,
}

impl AcceptanceTable {
    pub(crate) fn verdict(&self) -> &str {
        self.expected["verdict"].as_str().unwrap()
    }
}

/// All tables, by name.
pub(crate) fn all() -> Vec<AcceptanceTable> {
    let directory = std::env::var_os("DELTA_ACCEPTANCE_TABLES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tables"),
        PathBuf::from,
    );
    let Ok(entries) = fs::read_dir(&directory) else {
        eprintln!("note: no acceptance tables at {}", directory.display());
        return Vec::new();
    };
    let mut tables: Vec<_> = entries
        .filter_map(|entry| {
            let directory = entry.unwrap().path();
            let text = fs::read_to_string(directory.join("expected.json")).ok()?;
            Some(AcceptanceTable {
                name: directory.file_name().unwrap().to_string_lossy().into_owned(),
                expected: serde_json::from_str(&text).unwrap(),
                directory,
            })
        })
        .collect();
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    tables
}

/// The tables whose latest version opens, whatever becomes of their rows.
pub(crate) fn that_open() -> Vec<AcceptanceTable> {
    let opens = |t: &AcceptanceTable| matches!(t.verdict(), "read" | "log-only" | "scan-fails");
    all().into_iter().filter(opens).collect()
}
