//! The names of the files in `_delta_log/`, and which checkpoint wins at one
//! version.
//!
//! Everything that spells or reads such a name is here. See the protocol's
//! "Delta Log Entries", "Checkpoints" and "Checkpoint Naming Scheme".

/// The log's directory, below the table's root.
pub(crate) const LOG_DIR: &str = "_delta_log";
/// Where a V2 checkpoint's sidecars lie.
const SIDECAR_DIR: &str = "_delta_log/_sidecars";
/// Where commits wait to be ratified by a table's catalog.
const STAGED_DIR: &str = "_delta_log/_staged_commits";
/// The pointer to a recent checkpoint, with its directory.
pub(crate) const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";

/// A file of the log that says something of a table's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogFile {
    Commit,
    Checkpoint(CheckpointName),
    /// The actions of the commits from the name's version to `last`, reconciled
    /// ("Log Compaction Files").
    Compaction {
        last: u64,
    },
    /// What a writer counted at a version ("Version Checksum File").
    Checksum,
}

/// A checkpoint file's naming; the spec (V1, V2) is another axis, and only the
/// content tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CheckpointName {
    Part { of: u32, part: u32 },
    UuidJson(String),
    UuidParquet(String),
    Classic,
}

/// What `name`, without its directory, is, and its version; of a compaction,
/// its first. `None` for everything that says nothing of a table's state:
/// temporary files, a file system's own checksums, strangers.
pub(crate) fn parse(name: &str) -> Option<(u64, LogFile)> {
    let (version, rest) = name.split_once('.')?;
    let version = parse_version(version)?;
    match rest {
        "json" => return Some((version, LogFile::Commit)),
        "crc" => return Some((version, LogFile::Checksum)),
        _ => {}
    }
    if let Some(last) = rest.strip_suffix(".compacted.json") {
        // "y must be greater than x".
        let last = parse_version(last).filter(|&last| last > version)?;
        return Some((version, LogFile::Compaction { last }));
    }
    let rest = rest.strip_prefix("checkpoint.")?;
    let name = match rest.split('.').collect::<Vec<_>>()[..] {
        ["parquet"] => CheckpointName::Classic,
        [part, of, "parquet"] => {
            let part = u32::try_from(parse_digits(part, 10)?).ok()?;
            let of = u32::try_from(parse_digits(of, 10)?).ok()?;
            if part == 0 || part > of {
                return None;
            }
            CheckpointName::Part { of, part }
        }
        [uuid, "json"] if is_uuid(uuid) => CheckpointName::UuidJson(uuid.to_owned()),
        [uuid, "parquet"] if is_uuid(uuid) => CheckpointName::UuidParquet(uuid.to_owned()),
        _ => return None,
    };
    Some((version, LogFile::Checkpoint(name)))
}

/// The smallest name that a file of `version` can have: where a listing begins.
pub(crate) fn first_name(version: u64) -> String {
    format!("{version:020}.")
}

/// A commit's name, with its directory.
pub(crate) fn commit(version: u64) -> String {
    format!("{LOG_DIR}/{version:020}.json")
}

/// A version checksum's name, with its directory.
pub(crate) fn checksum(version: u64) -> String {
    format!("{LOG_DIR}/{version:020}.crc")
}

/// The name, with its directory, of the compaction of the commits from `first`
/// to `last`.
pub(crate) fn compaction(first: u64, last: u64) -> String {
    format!("{LOG_DIR}/{first:020}.{last:020}.compacted.json")
}

/// The name, with its directory, of the staged commit that a catalog calls
/// `name`: `<version>.<uuid>.json`, and its version. The directory may be spelled
/// as it lies below the table's root or below its log; any other leads elsewhere.
pub(crate) fn staged_commit(name: &str) -> Option<(u64, String)> {
    let bare = match name.rsplit_once('/') {
        None => name,
        Some((STAGED_DIR | "_staged_commits", bare)) => bare,
        Some(_) => return None,
    };
    let (version, uuid) = bare.strip_suffix(".json")?.split_once('.')?;
    is_uuid(uuid).then_some((parse_version(version)?, format!("{STAGED_DIR}/{bare}")))
}

/// A checkpoint file's name, with its directory.
pub(crate) fn checkpoint(version: u64, name: &CheckpointName) -> String {
    let rest = match name {
        CheckpointName::Classic => "parquet".to_owned(),
        CheckpointName::Part { of, part } => format!("{part:010}.{of:010}.parquet"),
        CheckpointName::UuidJson(uuid) => format!("{uuid}.json"),
        CheckpointName::UuidParquet(uuid) => format!("{uuid}.parquet"),
    };
    format!("{LOG_DIR}/{version:020}.checkpoint.{rest}")
}

/// The name, with its directory, of the sidecar that a checkpoint calls `path`:
/// a "URI-encoded path", decoded once ("Sidecar File Information").
///
/// It is the file's name alone, and the file "must always reside in the table's
/// own `_delta_log/_sidecars`": anything else could make a reader open what it
/// should not. Some writers spell the directory too, which stays inside.
pub(crate) fn sidecar(path: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let name = decoded.strip_prefix("_sidecars/").unwrap_or(&decoded);
    let is_plain = !name.contains(['/', '\\', '\0', ':']) && name.ends_with(".parquet");
    is_plain.then(|| format!("{SIDECAR_DIR}/{name}"))
}

/// The newest complete checkpoint among the checkpoint files of one version:
/// its file names, in order. Files of a multi-part checkpoint with a missing
/// part are ignored ("readers must ignore multi-part checkpoints with missing
/// parts").
///
/// The choice is the same in every listing order. A classic name comes first:
/// one Parquet file, written atomically; then a UUID-named Parquet file, a
/// UUID-named JSON file, and a multi-part checkpoint last.
pub(crate) fn winning_checkpoint(names: &[CheckpointName]) -> Option<Vec<CheckpointName>> {
    let mut single: Vec<_> =
        names.iter().filter(|n| !matches!(n, CheckpointName::Part { .. })).collect();
    single.sort();
    if let Some(best) = single.pop() {
        return Some(vec![best.clone()]);
    }
    let mut parts: Vec<_> = names
        .iter()
        .filter_map(|n| match n {
            CheckpointName::Part { of, part } => Some((*of, *part)),
            _ => None,
        })
        .collect();
    parts.sort_unstable();
    parts.dedup();
    parts
        .chunk_by(|a, b| a.0 == b.0)
        .rfind(|same| same.len() == same[0].0 as usize)
        .map(|same| same.iter().map(|&(of, part)| CheckpointName::Part { of, part }).collect())
}

/// Versions are Java longs where they are written.
fn parse_version(text: &str) -> Option<u64> {
    parse_digits(text, 20).filter(|&version| i64::try_from(version).is_ok())
}

fn parse_digits(text: &str, len: usize) -> Option<u64> {
    // `parse` alone would take a sign.
    (text.len() == len && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Whether `text` can be the unique string of a UUID-named checkpoint. Writers
/// use UUIDs; what counts is that it is one plain part of a name.
fn is_uuid(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "80a083e8-7026-4e79-81be-64bd76c43a11";

    #[test]
    fn every_naming_scheme_is_read_and_spelled_alike() {
        let names = [
            CheckpointName::Classic,
            CheckpointName::Part { of: 3, part: 2 },
            CheckpointName::UuidJson(UUID.into()),
            CheckpointName::UuidParquet(UUID.into()),
        ];
        for name in names {
            let spelled = checkpoint(10, &name);
            let bare = spelled.strip_prefix("_delta_log/").unwrap();
            assert_eq!(parse(bare), Some((10, LogFile::Checkpoint(name))), "{bare}");
        }
        for (spelled, file) in [
            (commit(7), LogFile::Commit),
            (checksum(7), LogFile::Checksum),
            (compaction(7, 8), LogFile::Compaction { last: 8 }),
        ] {
            let bare = spelled.strip_prefix("_delta_log/").unwrap();
            assert_eq!(parse(bare), Some((7, file)), "{bare}");
        }
        assert_eq!(checksum(7), "_delta_log/00000000000000000007.crc");
        assert_eq!(
            compaction(4, 6),
            "_delta_log/00000000000000000004.00000000000000000006.compacted.json"
        );
    }

    #[test]
    fn stray_names_are_no_part_of_the_log() {
        for name in [
            "35.json",
            "000000000000000000035.json",
            "0000000000000000003+.json",
            "00000000000000000035.json.tmp",
            "35.crc",
            ".00000000000000000035.crc",
            ".00000000000000000035.json.crc",
            "00000000000000000035.json.crc",
            "00000000000000000035.crc.crc",
            "00000000000000000035.checkpoint.parquet.crc",
            ".00000000000000000001.00000000000000000003.compacted.json",
            "00000000000000000001.3.compacted.json",
            "1.00000000000000000003.compacted.json",
            "00000000000000000003.00000000000000000003.compacted.json",
            "00000000000000000003.00000000000000000001.compacted.json",
            "00000000000000000001.00000000000000000003.compacted.json.tmp",
            "00000000000000000001.00000000000000000003.compacted.parquet",
            "00000000000000000001.compacted.json",
            "00000000000000000035.80a083e8-7026-4e79-81be-64bd76c43a11.json",
            "00000000000000000035.checkpoint.0000000000.0000000003.parquet",
            "00000000000000000035.checkpoint.0000000004.0000000003.parquet",
            "00000000000000000035.checkpoint.1.3.parquet",
            "_last_checkpoint",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_version_beyond_a_java_long_is_no_version() {
        assert_eq!(parse("99999999999999999999.json"), None);
        assert_eq!(parse("09223372036854775808.json"), None);
        assert!(parse("09223372036854775807.json").is_some());
        assert_eq!(parse("99999999999999999999.crc"), None);
        let compaction = |last: &str| parse(&format!("00000000000000000000.{last}.compacted.json"));
        assert_eq!(compaction("99999999999999999999"), None);
        assert_eq!(compaction("09223372036854775808"), None);
        assert!(compaction("09223372036854775807").is_some());
    }

    #[test]
    fn a_multi_part_checkpoint_counts_only_with_all_its_parts() {
        let part = |part, of| CheckpointName::Part { of, part };
        assert_eq!(winning_checkpoint(&[part(1, 2)]), None);
        assert_eq!(
            winning_checkpoint(&[part(2, 2), part(1, 3), part(1, 2)]),
            Some(vec![part(1, 2), part(2, 2)])
        );
        assert_eq!(
            winning_checkpoint(&[part(1, 2), CheckpointName::Classic, part(2, 2)]),
            Some(vec![CheckpointName::Classic])
        );
    }

    #[test]
    fn a_sidecar_lies_in_the_sidecar_directory_or_nowhere() {
        for (path, name) in [
            ("a.parquet", "a.parquet"),
            ("_sidecars/a.parquet", "a.parquet"),
            ("a%201%25.parquet", "a 1%.parquet"),
        ] {
            assert_eq!(sidecar(path), Some(format!("_delta_log/_sidecars/{name}")));
        }
        for path in [
            "../a.parquet",
            "/a.parquet",
            "file:/a.parquet",
            "..",
            "a/b.parquet",
            "",
            "a\\b.parquet",
            "..%2fa.parquet",
        ] {
            assert_eq!(sidecar(path), None, "{path}");
        }
    }
}
