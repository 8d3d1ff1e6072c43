//! `--where`: which rows are wanted, where its text is wrong, and what it spared.

use clap::Args;
use delta_engine::{Error, Progress, Scan};
use indicatif::{BinaryBytes, HumanCount};

use crate::Failure;
use crate::output::Holds;
use crate::text::printable;

/// The characters that are shown of a line before a place in it, and behind.
const SHOWN_BEFORE: usize = 60;
const SHOWN_BEHIND: usize = 30;

#[derive(Args)]
pub(crate) struct Filter {
    /// Only what this is true for, in SQL: day >= DATE '2025-01-31' AND city = 'Bonn'
    #[arg(long = "where", value_name = "SQL")]
    pub(crate) sql: Option<String>,
}

impl Filter {
    /// `scan` with what was asked for.
    pub(crate) fn of(&self, scan: Scan) -> Result<Scan, Failure> {
        match &self.sql {
            None => Ok(scan),
            Some(sql) => scan.filter_sql(sql).map_err(|error| pointed(sql, &error)),
        }
    }
}

/// `error` with the line of `sql` that it is about, if it tells one.
pub(crate) fn pointed(sql: &str, error: &Error) -> Failure {
    let shown = place(error.message()).and_then(|(line, column)| {
        let text = sql.lines().nth(line.checked_sub(1)?)?;
        let column = column.checked_sub(1)?;
        let from = column.saturating_sub(SHOWN_BEFORE);
        let before: String = text.chars().skip(from).take(column - from).collect();
        let behind: String = text.chars().skip(column).take(SHOWN_BEHIND).collect();
        let before = printable(&before);
        let cut = if from > 0 { "…" } else { "" };
        let indent = " ".repeat(cut.chars().count() + before.chars().count());
        Some(format!("  {cut}{before}{}\n  {indent}^", printable(&behind)))
    });
    Failure::Text(error.to_string(), shown)
}

/// The line and the column that the message about a predicate begins with.
fn place(message: &str) -> Option<(usize, usize)> {
    let (place, _) = message.strip_prefix("predicate, ")?.split_once(": ")?;
    let (line, column) = match place.strip_prefix("line ").and_then(|rest| rest.split_once(", ")) {
        Some((line, column)) => (line.parse().ok()?, column),
        None => (1, place),
    };
    Some((line, column.strip_prefix("column ")?.parse().ok()?))
}

/// What a filter left out, as names and values. Of `holds` that is no listing, what it
/// left out of data files, too.
pub(crate) fn left_out(progress: &Progress, holds: Holds) -> Vec<(&'static str, String)> {
    let files = |files, bytes| format!("{} ({})", HumanCount(files), BinaryBytes(bytes));
    let Progress { files_kept, files_pruned, files_skipped, .. } = *progress;
    let Progress { bytes_kept, bytes_pruned, bytes_skipped, .. } = *progress;
    let count = |count| HumanCount(count).to_string();
    let mut lines = vec![
        (
            "files looked at",
            files(
                files_kept.saturating_add(files_pruned).saturating_add(files_skipped),
                bytes_kept.saturating_add(bytes_pruned).saturating_add(bytes_skipped),
            ),
        ),
        ("  pruned by partition", files(files_pruned, bytes_pruned)),
        ("  skipped by statistics", files(files_skipped, bytes_skipped)),
        ("  kept", files(files_kept, bytes_kept)),
        ("checkpoint rows skipped", count(progress.checkpoint_rows_skipped)),
    ];
    if holds == Holds::Rows {
        let skipped = count(progress.row_groups_skipped);
        lines.extend([
            ("row groups skipped", format!("{skipped} of {}", HumanCount(progress.row_groups))),
            ("pages skipped", count(progress.pages_skipped)),
            ("rows skipped", count(progress.rows_skipped)),
            ("rows filtered", count(progress.rows_filtered)),
        ]);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use delta_engine::ErrorKind;

    fn shown(sql: &str, place: &str) -> String {
        let error = Error::new(ErrorKind::InvalidArgument, format!("predicate, {place}: wrong"));
        match pointed(sql, &error) {
            Failure::Text(_, Some(shown)) => shown,
            failure => format!("no place: {failure}"),
        }
    }

    #[test]
    fn a_caret_stands_under_the_place() {
        assert_eq!(shown("a = b", "column 5"), "  a = b\n      ^");
        assert_eq!(shown("a\n  = größe x", "line 2, column 11"), "    = größe x\n            ^");
        assert_eq!(shown("a =", "column 4"), "  a =\n     ^");
        // What is shown as an escape is as wide as that.
        assert_eq!(shown("a\t= b", "column 5"), "  a\\t= b\n       ^");
        let long = format!("{} = b", "x".repeat(100));
        let expected = format!("  …{} = b\n  {}^", "x".repeat(57), " ".repeat(61));
        assert_eq!(shown(&long, "column 104"), expected);
    }

    #[test]
    fn a_message_without_a_place_in_the_text_has_no_caret() {
        for place in ["column x", "column 0", "line 9, column 1", "line 1", "row 1"] {
            assert!(shown("a = b", place).starts_with("no place"), "{place}");
        }
    }
}
