//! Who may use whom: the modules' `use crate::` lines against the house's order,
//! and the words that only one module may spell.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module with those it may use. No module uses one that is listed before
/// it; what is missing from a row is not allowed.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "ffi",
        &[
            "scan",
            "snapshot",
            "predicate",
            "properties",
            "engine",
            "schema",
            "actions",
            "storage",
            "error",
        ],
    ),
    (
        "scan",
        &[
            "snapshot",
            "replay",
            "delta_log",
            "parquet_file",
            "features",
            "properties",
            "seen",
            "actions",
            "predicate",
            "partition_value",
            "schema",
            "storage",
            "engine",
            "read_ahead",
            "memory",
            "span",
            "utf8_array",
            "error",
        ],
    ),
    (
        "snapshot",
        &[
            "replay",
            "delta_log",
            "actions",
            "features",
            "properties",
            "schema",
            "storage",
            "engine",
            "read_ahead",
            "span",
            "error",
        ],
    ),
    (
        "replay",
        &[
            "delta_log",
            "parquet_file",
            "seen",
            "actions",
            "storage",
            "engine",
            "memory",
            "read_ahead",
            "span",
            "error",
        ],
    ),
    (
        "delta_log",
        &[
            "parquet_file",
            "seen",
            "actions",
            "predicate",
            "partition_value",
            "schema",
            "storage",
            "memory",
            "unescape",
            "utf8_array",
            "error",
        ],
    ),
    ("parquet_file", &["storage", "memory", "utf8_array", "error"]),
    ("features", &["actions", "schema", "error"]),
    ("declarations", &["actions", "schema", "error"]),
    ("properties", &["error"]),
    ("seen", &["actions", "error"]),
    ("actions", &["error"]),
    ("predicate", &["partition_value", "schema", "error"]),
    ("partition_value", &["schema", "error"]),
    ("schema", &["error"]),
    ("storage", &["memory", "error"]),
    ("unescape", &[]),
    ("utf8_array", &[]),
    ("engine", &["read_ahead", "span", "memory", "error"]),
    ("read_ahead", &["span", "error"]),
    ("span", &["error"]),
    ("memory", &[]),
    ("error", &[]),
];

fn sources() -> Vec<(String, PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut dirs = vec![src.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let below = path.strip_prefix(&src).unwrap();
            let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
            let module = first.trim_end_matches(".rs").to_owned();
            // Tests may use what they like, and stand last in a file.
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            found.push((module, path, code));
        }
    }
    found
}

#[test]
fn modules_use_only_those_below_them() {
    let mut checked = 0;
    for (module, path, code) in sources() {
        if matches!(module.as_str(), "lib" | "bin" | "acceptance_tables") {
            continue;
        }
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{module} has no row in MAY_USE"));
        for line in code.lines().filter_map(|line| line.trim().strip_prefix("use crate::")) {
            let used: String =
                line.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                used == module || allowed.contains(&used.as_str()),
                "{}: {module} must not use {used}",
                path.display()
            );
            checked += 1;
        }
    }
    assert!(checked > 30, "only {checked} lines were looked at");
}

#[test]
fn each_module_stands_above_those_it_uses() {
    for (i, (module, allowed)) in MAY_USE.iter().enumerate() {
        for used in *allowed {
            let at = MAY_USE.iter().position(|(name, _)| name == used).unwrap();
            assert!(at > i, "{module} uses {used}, which stands above it");
        }
    }
}

#[test]
fn only_delta_log_spells_the_names_of_log_files() {
    for (module, path, code) in sources() {
        if matches!(module.as_str(), "delta_log" | "bin" | "acceptance_tables") {
            continue;
        }
        let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for name in ["\"_delta_log", "_last_checkpoint\"", "checkpoint.parquet", "_sidecars"] {
                assert!(!line.contains(name), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn only_read_ahead_starts_threads_and_only_ffi_is_unsafe() {
    for (module, path, code) in sources() {
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if !matches!(module.as_str(), "read_ahead" | "bin") {
                for word in ["thread::spawn", "thread::Builder", "ThreadPoolBuilder", "rayon::"] {
                    assert!(!line.contains(word), "{}: {line}", path.display());
                }
            }
            if !matches!(module.as_str(), "ffi" | "unescape" | "utf8_array") {
                for word in ["unsafe {", "unsafe fn", "unsafe impl"] {
                    assert!(!line.contains(word), "{}: {line}", path.display());
                }
            }
        }
    }
}
