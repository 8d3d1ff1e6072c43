//! The only code that knows what is in `_delta_log/`.
//!
//! `path` names its files, `segment` chooses those that make up one version,
//! `commit` and `checkpoint` decode them to the same actions.

pub(crate) mod checkpoint;
pub(crate) mod commit;
mod json;
pub(crate) mod path;
pub(crate) mod segment;
mod stats_parsed;
