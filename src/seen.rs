//! The logical files that commits have spoken of, newest first.
//!
//! One table answers both questions that reconciliation has of a key: has a
//! newer action been seen, and does this very commit contradict itself? An
//! entry is 16 bytes: 96 bits of a keyed hash, which no two files of a table
//! will ever share, and 32 bits of what is known of it. So a commit costs
//! nothing beyond its keys, however large it is.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::actions::ActionKey;
use crate::error::{Error, escaped};

/// What the actions so far have said of each logical file.
#[derive(Default)]
pub(crate) struct Seen {
    entries: HashMap<Key, Known, BuildHasherDefault<KeyHash>>,
    /// The commit at hand: its version, and its place in the replay.
    commit: Option<u64>,
    place: u32,
}

/// Actions that one commit must not hold together ("Add File and Remove File").
///
/// Two removes of one path are let be: what they leave is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    PathAddedTwice,
    AddedAndRemoved,
}

impl Conflict {
    /// The error of the commit `name`; `path` is the one that it is about.
    pub(crate) fn error(self, name: &str, path: Option<&str>) -> Error {
        let what = match self {
            Conflict::PathAddedTwice => "adds the path twice",
            Conflict::AddedAndRemoved => "adds and removes the same logical file",
        };
        let path = path.map(|path| format!(" \"{}\"", escaped(path))).unwrap_or_default();
        Error::corrupt(format!(
            "{name}: one commit {what}{path}, which the protocol forbids; a scan can be told to \
             let the last action win"
        ))
    }
}

impl Seen {
    /// Notes an action of the commit `version`, and says whether it is the
    /// newest one of its logical file. All actions of a commit come in a row.
    ///
    /// With `last_action_wins`, a commit may contradict itself.
    #[inline]
    pub(crate) fn is_newest(
        &mut self,
        version: u64,
        action: &ActionKey,
        last_action_wins: bool,
    ) -> Result<bool, Conflict> {
        if self.commit != Some(version) {
            self.commit = Some(version);
            // Should it ever wrap, then for commits four billion apart.
            self.place = self.place.wrapping_add(1) & (u32::MAX >> Known::FLAGS);
        }
        if action.is_add && action.path != action.file {
            let path = self.known(action.path);
            if path.has(Known::PATH_ADDED) && !last_action_wins {
                return Err(Conflict::PathAddedTwice);
            }
            path.insert(Known::PATH_ADDED);
        }
        let file = self.known(action.file);
        if action.is_add {
            if action.path == action.file {
                if file.has(Known::PATH_ADDED) && !last_action_wins {
                    return Err(Conflict::PathAddedTwice);
                }
                file.insert(Known::PATH_ADDED);
            }
            if file.has(Known::FILE_REMOVED) && !last_action_wins {
                return Err(Conflict::AddedAndRemoved);
            }
            file.insert(Known::FILE_ADDED);
        } else {
            if file.has(Known::FILE_ADDED) && !last_action_wins {
                return Err(Conflict::AddedAndRemoved);
            }
            file.insert(Known::FILE_REMOVED);
        }
        let is_newest = !file.has(Known::SEEN);
        file.insert(Known::SEEN);
        Ok(is_newest)
    }

    fn known(&mut self, key: u128) -> &mut Known {
        self.entries.entry(Key::new(key)).or_default().of_commit(self.place)
    }

    /// Whether there was an action of the logical file.
    #[inline]
    pub(crate) fn contains(&self, file: u128) -> bool {
        self.entries.get(&Key::new(file)).is_some_and(|known| known.has(Known::SEEN))
    }

    /// Whether there was no action at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The first 96 bits of a hash. Three halves, so that an entry has no gap.
#[derive(PartialEq, Eq)]
struct Key([u32; 3]);

impl Key {
    fn new(key: u128) -> Key {
        Key([key as u32, (key >> 32) as u32, (key >> 64) as u32])
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.0[0]) | u64::from(self.0[1]) << 32);
    }
}

/// A keyed hash needs no second hash.
#[derive(Default)]
struct KeyHash(u64);

impl Hasher for KeyHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// What is known of a key: flags, and the place of the commit that they are of.
#[derive(Clone, Copy, Default)]
struct Known(u32);

impl Known {
    const FLAGS: u32 = 4;

    const PATH_ADDED: u32 = 1;
    const FILE_ADDED: u32 = 2;
    const FILE_REMOVED: u32 = 4;
    /// In any commit. The key of a path with a deletion vector may have an entry
    /// without: what is known of the path is not known of a file.
    const SEEN: u32 = 8;

    /// The entry, its flags those of the commit at `place`.
    fn of_commit(&mut self, place: u32) -> &mut Known {
        if self.0 >> Known::FLAGS != place {
            self.0 = self.0 & Known::SEEN | place << Known::FLAGS;
        }
        self
    }

    fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    fn insert(&mut self, flag: u32) {
        self.0 |= flag;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(path: u128, file: u128) -> ActionKey {
        ActionKey { file, path, is_add: true }
    }

    fn remove(path: u128, file: u128) -> ActionKey {
        ActionKey { file, path, is_add: false }
    }

    #[test]
    fn an_entry_has_sixteen_bytes() {
        assert_eq!(size_of::<(Key, Known)>(), 16);
    }

    #[test]
    fn the_newest_action_of_a_file_is_the_first_that_is_seen() {
        let mut seen = Seen::default();
        assert!(seen.is_empty());
        assert_eq!(seen.is_newest(7, &remove(1, 1), false), Ok(true));
        assert_eq!(seen.is_newest(6, &add(1, 1), false), Ok(false));
        assert_eq!(seen.is_newest(6, &add(2, 2), false), Ok(true));
        assert_eq!(seen.is_newest(5, &add(2, 2), false), Ok(false));
        assert!(seen.contains(1) && seen.contains(2) && !seen.contains(3));
    }

    #[test]
    fn a_path_is_not_a_file_with_a_deletion_vector() {
        let mut seen = Seen::default();
        assert_eq!(seen.is_newest(7, &add(1, 11), false), Ok(true));
        assert!(seen.contains(11) && !seen.contains(1));
        assert_eq!(seen.is_newest(7, &remove(1, 1), false), Ok(true));
        assert_eq!(seen.is_newest(6, &add(1, 1), false), Ok(false));
    }

    #[test]
    fn a_commit_that_contradicts_itself_is_found_and_two_commits_are_none() {
        use Conflict::{AddedAndRemoved, PathAddedTwice};
        for (first, second, conflict) in [
            (add(1, 1), add(1, 1), Some(PathAddedTwice)),
            (add(1, 11), add(1, 12), Some(PathAddedTwice)),
            (add(1, 11), add(1, 1), Some(PathAddedTwice)),
            (add(1, 1), add(1, 11), Some(PathAddedTwice)),
            (add(1, 1), remove(1, 1), Some(AddedAndRemoved)),
            (remove(1, 1), add(1, 1), Some(AddedAndRemoved)),
            (remove(1, 11), add(1, 11), Some(AddedAndRemoved)),
            (remove(1, 1), add(1, 11), None),
            (add(1, 11), remove(1, 1), None),
            (remove(1, 1), remove(1, 1), None),
        ] {
            let mut seen = Seen::default();
            assert_eq!(seen.is_newest(7, &first, false), Ok(true));
            let again = seen.is_newest(7, &second, false);
            assert_eq!(again.err(), conflict, "{first:?} {second:?}");

            let mut seen = Seen::default();
            assert_eq!(seen.is_newest(7, &first, true), Ok(true));
            assert_eq!(seen.is_newest(7, &second, true), Ok(first.file != second.file));
            assert_eq!(seen.is_newest(6, &second, false), Ok(false));
        }
    }
}
