//! The tables that other engines wrote, with what they must read as.
use serde_json::Value;
use std::any::Any;
use std::path::PathBuf;

/// One of them.
pub struct AcceptanceTable {
    pub name: String,
    /// The directory with the table and its answers.
    pub directory: PathBuf,
    /// `expected.json`.
    pub expected: Value,
}

impl AcceptanceTable {
    /// The table's root.
    pub fn root(&self) -> PathBuf {
        self.directory.join("table")
    }

    pub fn verdict(&self) -> &str {
        self.expected["verdict"].as_str().expect("a verdict")
    }

    /// What must be read of the latest version.
    pub fn latest(&self) -> &Value {
        &self.expected["latest"]
    }
}

/// All tables by name, of those whose path contains `DELTA_ACCEPTANCE_ONLY`.
/// Without any a test passes, and says so.
pub fn expected_tables() -> Option<Vec<AcceptanceTable>> {
    let root = super::acceptance_tables()?;
    let only = std::env::var("DELTA_ACCEPTANCE_ONLY").unwrap_or_default();
    let entries = std::fs::read_dir(&root).expect("a directory");
    let mut directories: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("expected.json").exists())
        .filter(|path| path.to_str().is_some_and(|name| name.contains(&only)))
        .collect();
    directories.sort();
    let table = |directory: PathBuf| {
        let text = std::fs::read_to_string(directory.join("expected.json")).expect("expected.json");
        AcceptanceTable {
            name: directory.file_name().unwrap().to_str().unwrap().to_owned(),
            expected: serde_json::from_str(&text).expect("expected.json in JSON"),
            directory,
        }
    };
    Some(directories.into_iter().map(table).collect())
}

/// What a panic said.
pub fn text_of_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default()
}
