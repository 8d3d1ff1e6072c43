//! `explain`: what a filter asks of a table, and what it spares.

use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use crate::Failure;
use crate::describe::{self, Format};
use crate::files::Leniency;
use crate::filter::{self, Filter};
use crate::output::Holds;
use crate::table::{self, Version};
use crate::text::printable;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    version: Version,

    #[command(flatten)]
    filter: Filter,

    #[command(flatten)]
    leniency: Leniency,

    /// Tell what is spared of the files that are kept, too: their rows are read, as far
    /// as the filter's columns go
    #[arg(long)]
    rows: bool,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

/// Lists the table's files with the filter, or reads their rows, and prints what became
/// of them.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { version, filter, leniency, rows, format } = arguments;
    let snapshot = version.open(&table::engine().build()?)?;
    // Of either there is a column that is there without more being read.
    let (holds, column) = match rows {
        true => (Holds::Rows, "_metadata.row_index"),
        false => (Holds::Files, "path"),
    };
    let scan = leniency.of(filter.of(snapshot.scan().columns([column]))?);
    let Some(predicate) = scan.predicate() else {
        return Err(Failure::Usage("nothing to explain: --where is not given"));
    };
    let columns = scan.filter_columns();
    let mut stream = if *rows { scan.rows()? } else { scan.files()? };
    stream.try_for_each(|batch| batch.map(drop))?;
    let progress = stream.progress_handle().read();
    let text = match format {
        Format::Json => {
            let column = |column: &delta_engine::FilterColumn| {
                json!({
                    "path": column.path,
                    "type": column.data_type.to_string(),
                    "is_partition_column": column.is_partition_column,
                })
            };
            let files = |files: u64, bytes: u64| json!({"files": files, "bytes": bytes});
            let mut explained = json!({
                "predicate": predicate.to_string(),
                "columns": columns.iter().map(column).collect::<Vec<Value>>(),
                "pruned_by_partition": files(progress.files_pruned, progress.bytes_pruned),
                "skipped_by_statistics": files(progress.files_skipped, progress.bytes_skipped),
                "kept": files(progress.files_kept, progress.bytes_kept),
                "checkpoint_rows_skipped": progress.checkpoint_rows_skipped,
            });
            if *rows {
                explained["row_groups"] = progress.row_groups.into();
                explained["row_groups_skipped"] = progress.row_groups_skipped.into();
                explained["pages_skipped"] = progress.pages_skipped.into();
                explained["rows_skipped"] = progress.rows_skipped.into();
                explained["rows_filtered"] = progress.rows_filtered.into();
            }
            explained.to_string()
        }
        Format::Table => {
            let mut out = String::new();
            let mut line = |name: &str, value: &str| {
                let _ = writeln!(out, "{name:<24}{}", printable(value));
            };
            line("predicate", &predicate.to_string());
            for (i, column) in columns.iter().enumerate() {
                let mut value = format!("{}: {}", column.path.join("."), column.data_type);
                if column.is_partition_column {
                    value.push_str(", partition column");
                }
                line(if i == 0 { "columns" } else { "" }, &value);
            }
            for (name, value) in filter::left_out(&progress, holds) {
                line(name, &value);
            }
            out.trim_end().to_owned()
        }
    };
    describe::print(&text)
}
