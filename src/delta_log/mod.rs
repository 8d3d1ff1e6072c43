//! The only code that knows what is in `_delta_log/`.
//!
//! `path` names its files, `segment` chooses those that make up one version,
//! `last_checkpoint` says where to begin, `checksum` what a writer counted at one,
//! `commit` and `checkpoint` decode them to the same actions, `checkpoint_adds`
//! those that are millions, `commit_info` who did what. `json` is the cursor that walks a line, `file_columns`
//! the columns it fills, `parsed` what is no text yet. `stats` makes bounds of what is
//! said of a file, by which `skipping` leaves files out,
//! and `ruled_out` pieces of a checkpoint.

pub(crate) mod checkpoint;
pub(crate) mod checkpoint_adds;
pub(crate) mod checksum;
pub(crate) mod commit;
pub(crate) mod commit_info;
mod file_columns;
mod json;
mod last_checkpoint;
mod parsed;
pub(crate) mod path;
mod ruled_out;
pub(crate) mod segment;
pub(crate) mod skipping;
mod stats;
