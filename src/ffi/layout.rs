//! The layout of every public struct, as numbers: a change here breaks
//! programs that are already compiled. `ffi-tests/layout.c` checks the same
//! numbers in C.
#![cfg(target_pointer_width = "64")]

use std::mem::offset_of;

use arrow::ffi::{FFI_ArrowArray, FFI_ArrowSchema};
use arrow::ffi_stream::FFI_ArrowArrayStream;

use super::engine::{engine_event_level, engine_options};
use super::look_up::{
    engine_file_statistics, engine_origin, engine_property_kind, engine_property_value,
    engine_source, engine_source_kind, engine_txn,
};
use super::open::{engine_catalog_commit, engine_snapshot_options};
use super::predicate::{engine_comparison, engine_value, engine_value_kind};
use super::scan::engine_scan_options;
use super::snapshot::engine_protocol;
use super::status::{engine_error, engine_status};
use super::stream::engine_progress;
use super::text::{engine_column_path, engine_property, engine_str};

macro_rules! layout {
    ($name:ident: $size:literal $(, $field:ident: $offset:literal)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$name>() == $size);
            $(assert!(offset_of!($name, $field) == $offset);)*
        };
    };
}

layout!(engine_status: 4);
layout!(engine_event_level: 4);
layout!(engine_error: 1028, status: 0, message: 4);
layout!(engine_str: 16, data: 0, len: 8);
layout!(engine_property: 32, key: 0, value: 16);
layout!(engine_column_path: 16, names: 0, names_len: 8);
layout!(engine_options: 40, struct_size: 0, threads: 8, window_bytes: 16, on_event: 24, user_data: 32);
layout!(
    engine_catalog_commit: 32,
    version: 0,
    staged_name: 8,
    content: 16,
    content_len: 24,
);
layout!(
    engine_snapshot_options: 56,
    struct_size: 0,
    flags: 8,
    version: 16,
    timestamp_ms: 24,
    catalog_version: 32,
    catalog_commits: 40,
    catalog_commits_len: 48,
);
layout!(
    engine_protocol: 24,
    min_reader_version: 0,
    min_writer_version: 4,
    reader_feature_count: 8,
    writer_feature_count: 16,
);
layout!(engine_property_kind: 4);
layout!(engine_property_value: 32, kind: 0, is_set: 4, number: 8, text: 16);
layout!(engine_txn: 32, app_id: 0, version: 16, last_updated_ms: 24);
layout!(
    engine_file_statistics: 80,
    struct_size: 0,
    num_files: 8,
    size_bytes: 16,
    num_deletion_vectors: 24,
    num_deleted_records: 32,
    size_bins_len: 40,
    size_bin_boundaries: 48,
    size_bin_files: 56,
    size_bin_bytes: 64,
    deleted_record_counts: 72,
);
layout!(engine_source_kind: 4);
layout!(engine_source: 16, kind: 0, version: 8);
layout!(
    engine_origin: 120,
    struct_size: 0,
    protocol: 8,
    metadata: 24,
    domain_metadata: 40,
    txns: 56,
    checkpoint_version: 72,
    checksum_version: 80,
    commits: 88,
    compactions: 96,
    files_read: 104,
    bytes_read: 112,
);
layout!(engine_value_kind: 4);
layout!(engine_comparison: 4);
layout!(
    engine_value: 48,
    kind: 0,
    scale: 4,
    number: 8,
    high: 16,
    real: 24,
    data: 32,
    len: 40,
);
layout!(
    engine_scan_options: 104,
    struct_size: 0,
    columns: 8,
    columns_len: 16,
    threads: 24,
    window_bytes: 32,
    window_units: 40,
    batch_rows: 48,
    flags: 56,
    action_kinds: 64,
    action_kinds_len: 72,
    row_limit: 80,
    r#where: 88,
    predicate: 96,
);
layout!(
    engine_progress: 168,
    struct_size: 0,
    units_planned: 8,
    units_decoded: 16,
    bytes_read: 24,
    rows_delivered: 32,
    batches_delivered: 40,
    window_bytes_peak: 48,
    window_bytes: 56,
    partition_values_missing: 64,
    files_kept: 72,
    bytes_kept: 80,
    files_pruned: 88,
    bytes_pruned: 96,
    files_skipped: 104,
    bytes_skipped: 112,
    checkpoint_rows_skipped: 120,
    row_groups: 128,
    row_groups_skipped: 136,
    pages_skipped: 144,
    rows_skipped: 152,
    rows_filtered: 160,
);
layout!(FFI_ArrowSchema: 72);
layout!(FFI_ArrowArray: 80);
layout!(FFI_ArrowArrayStream: 40);
