/* The layout of every public struct: programs that are compiled rely on it.
 * src/ffi/layout.rs checks the same numbers. */
#include "delta_engine.h"

#ifdef __cplusplus
#define STATIC_ASSERT(condition) static_assert(condition, #condition)
#else
#define STATIC_ASSERT(condition) _Static_assert(condition, #condition)
#endif
#define SIZE(type, size) STATIC_ASSERT(sizeof(type) == size)
#define FIELD(type, field, offset) STATIC_ASSERT(offsetof(type, field) == offset)

#if UINTPTR_MAX == UINT64_MAX

SIZE(engine_status, 4);
SIZE(engine_event_level, 4);

SIZE(engine_error, 1028);
FIELD(engine_error, status, 0);
FIELD(engine_error, message, 4);
SIZE(((engine_error *)0)->message, ENGINE_ERROR_MESSAGE_SIZE);

SIZE(engine_str, 16);
FIELD(engine_str, data, 0);
FIELD(engine_str, len, 8);

SIZE(engine_property, 32);
FIELD(engine_property, key, 0);
FIELD(engine_property, value, 16);

SIZE(engine_column_path, 16);
FIELD(engine_column_path, names, 0);
FIELD(engine_column_path, names_len, 8);

SIZE(engine_options, 40);
FIELD(engine_options, struct_size, 0);
FIELD(engine_options, threads, 8);
FIELD(engine_options, window_bytes, 16);
FIELD(engine_options, on_event, 24);
FIELD(engine_options, user_data, 32);

SIZE(engine_catalog_commit, 32);
FIELD(engine_catalog_commit, version, 0);
FIELD(engine_catalog_commit, staged_name, 8);
FIELD(engine_catalog_commit, content, 16);
FIELD(engine_catalog_commit, content_len, 24);

SIZE(engine_snapshot_options, 56);
FIELD(engine_snapshot_options, struct_size, 0);
FIELD(engine_snapshot_options, flags, 8);
FIELD(engine_snapshot_options, version, 16);
FIELD(engine_snapshot_options, timestamp_ms, 24);
FIELD(engine_snapshot_options, catalog_version, 32);
FIELD(engine_snapshot_options, catalog_commits, 40);
FIELD(engine_snapshot_options, catalog_commits_len, 48);

SIZE(engine_protocol, 24);
FIELD(engine_protocol, min_reader_version, 0);
FIELD(engine_protocol, min_writer_version, 4);
FIELD(engine_protocol, reader_feature_count, 8);
FIELD(engine_protocol, writer_feature_count, 16);

SIZE(engine_property_kind, 4);
SIZE(engine_property_value, 32);
FIELD(engine_property_value, kind, 0);
FIELD(engine_property_value, is_set, 4);
FIELD(engine_property_value, number, 8);
FIELD(engine_property_value, text, 16);

SIZE(engine_txn, 32);
FIELD(engine_txn, app_id, 0);
FIELD(engine_txn, version, 16);
FIELD(engine_txn, last_updated_ms, 24);

SIZE(engine_file_statistics, 80);
FIELD(engine_file_statistics, struct_size, 0);
FIELD(engine_file_statistics, num_files, 8);
FIELD(engine_file_statistics, size_bytes, 16);
FIELD(engine_file_statistics, num_deletion_vectors, 24);
FIELD(engine_file_statistics, num_deleted_records, 32);
FIELD(engine_file_statistics, size_bins_len, 40);
FIELD(engine_file_statistics, size_bin_boundaries, 48);
FIELD(engine_file_statistics, size_bin_files, 56);
FIELD(engine_file_statistics, size_bin_bytes, 64);
FIELD(engine_file_statistics, deleted_record_counts, 72);

SIZE(engine_source_kind, 4);
SIZE(engine_source, 16);
FIELD(engine_source, kind, 0);
FIELD(engine_source, version, 8);

SIZE(engine_origin, 120);
FIELD(engine_origin, struct_size, 0);
FIELD(engine_origin, protocol, 8);
FIELD(engine_origin, metadata, 24);
FIELD(engine_origin, domain_metadata, 40);
FIELD(engine_origin, txns, 56);
FIELD(engine_origin, checkpoint_version, 72);
FIELD(engine_origin, checksum_version, 80);
FIELD(engine_origin, commits, 88);
FIELD(engine_origin, compactions, 96);
FIELD(engine_origin, files_read, 104);
FIELD(engine_origin, bytes_read, 112);

SIZE(engine_value_kind, 4);
SIZE(engine_comparison, 4);

SIZE(engine_value, 48);
FIELD(engine_value, kind, 0);
FIELD(engine_value, scale, 4);
FIELD(engine_value, number, 8);
FIELD(engine_value, high, 16);
FIELD(engine_value, real, 24);
FIELD(engine_value, data, 32);
FIELD(engine_value, len, 40);

SIZE(engine_scan_options, 104);
FIELD(engine_scan_options, struct_size, 0);
FIELD(engine_scan_options, columns, 8);
FIELD(engine_scan_options, columns_len, 16);
FIELD(engine_scan_options, threads, 24);
FIELD(engine_scan_options, window_bytes, 32);
FIELD(engine_scan_options, window_units, 40);
FIELD(engine_scan_options, batch_rows, 48);
FIELD(engine_scan_options, flags, 56);
FIELD(engine_scan_options, action_kinds, 64);
FIELD(engine_scan_options, action_kinds_len, 72);
FIELD(engine_scan_options, row_limit, 80);
FIELD(engine_scan_options, where, 88);
FIELD(engine_scan_options, predicate, 96);

SIZE(engine_progress, 168);
FIELD(engine_progress, struct_size, 0);
FIELD(engine_progress, units_planned, 8);
FIELD(engine_progress, units_decoded, 16);
FIELD(engine_progress, bytes_read, 24);
FIELD(engine_progress, rows_delivered, 32);
FIELD(engine_progress, batches_delivered, 40);
FIELD(engine_progress, window_bytes_peak, 48);
FIELD(engine_progress, window_bytes, 56);
FIELD(engine_progress, partition_values_missing, 64);
FIELD(engine_progress, files_kept, 72);
FIELD(engine_progress, bytes_kept, 80);
FIELD(engine_progress, files_pruned, 88);
FIELD(engine_progress, bytes_pruned, 96);
FIELD(engine_progress, files_skipped, 104);
FIELD(engine_progress, bytes_skipped, 112);
FIELD(engine_progress, checkpoint_rows_skipped, 120);
FIELD(engine_progress, row_groups, 128);
FIELD(engine_progress, row_groups_skipped, 136);
FIELD(engine_progress, pages_skipped, 144);
FIELD(engine_progress, rows_skipped, 152);
FIELD(engine_progress, rows_filtered, 160);

SIZE(struct ArrowSchema, 72);
FIELD(struct ArrowSchema, release, 56);
SIZE(struct ArrowArray, 80);
FIELD(struct ArrowArray, release, 64);
SIZE(struct ArrowArrayStream, 40);
FIELD(struct ArrowArrayStream, release, 24);

#endif

/* Statuses are numbers that programs were compiled with. */
STATIC_ASSERT(ENGINE_STATUS_OK == 0);
STATIC_ASSERT(ENGINE_STATUS_END == 1);
STATIC_ASSERT(ENGINE_STATUS_CORRUPT_LOG == 2);
STATIC_ASSERT(ENGINE_STATUS_STORAGE == 3);
STATIC_ASSERT(ENGINE_STATUS_UNSUPPORTED == 4);
STATIC_ASSERT(ENGINE_STATUS_NOT_FOUND == 5);
STATIC_ASSERT(ENGINE_STATUS_INVALID_ARGUMENT == 6);
STATIC_ASSERT(ENGINE_STATUS_MISUSE == 7);
STATIC_ASSERT(ENGINE_STATUS_CANCELLED == 8);
STATIC_ASSERT(ENGINE_STATUS_TIMEOUT == 9);
STATIC_ASSERT(ENGINE_STATUS_LIMIT_EXCEEDED == 10);
STATIC_ASSERT(ENGINE_STATUS_BUG == 11);
STATIC_ASSERT(ENGINE_EVENT_LEVEL_DEBUG == 0);
STATIC_ASSERT(ENGINE_EVENT_LEVEL_INFO == 1);
STATIC_ASSERT(ENGINE_EVENT_LEVEL_WARNING == 2);
STATIC_ASSERT(ENGINE_PROPERTY_KIND_NONE == 0);
STATIC_ASSERT(ENGINE_PROPERTY_KIND_BOOLEAN == 1);
STATIC_ASSERT(ENGINE_PROPERTY_KIND_INTEGER == 2);
STATIC_ASSERT(ENGINE_PROPERTY_KIND_INTERVAL == 3);
STATIC_ASSERT(ENGINE_PROPERTY_KIND_TEXT == 4);
STATIC_ASSERT(ENGINE_SOURCE_KIND_NONE == 0);
STATIC_ASSERT(ENGINE_SOURCE_KIND_COMMIT == 1);
STATIC_ASSERT(ENGINE_SOURCE_KIND_COMPACTION == 2);
STATIC_ASSERT(ENGINE_SOURCE_KIND_CHECKSUM == 3);
STATIC_ASSERT(ENGINE_SOURCE_KIND_CHECKPOINT == 4);
STATIC_ASSERT(ENGINE_SOURCE_KIND_REPLAY == 5);
STATIC_ASSERT(ENGINE_THREADS_NONE == -1);
STATIC_ASSERT(ENGINE_SNAPSHOT_AT_VERSION == 1);
STATIC_ASSERT(ENGINE_SNAPSHOT_AT_TIMESTAMP == 2);
STATIC_ASSERT(ENGINE_SNAPSHOT_WITH_CATALOG == 4);
STATIC_ASSERT(ENGINE_SCAN_LAST_ACTION_WINS == 1);
STATIC_ASSERT(ENGINE_SCAN_DISAGREEMENTS_WARN == 2);
STATIC_ASSERT(ENGINE_SCAN_UNORDERED == 4);
STATIC_ASSERT(ENGINE_SCAN_READS_OUTSIDE_ROOT == 8);
STATIC_ASSERT(ENGINE_SCAN_WHOLE_FILES == 16);
STATIC_ASSERT(ENGINE_VALUE_KIND_NULL == 0);
STATIC_ASSERT(ENGINE_VALUE_KIND_BOOLEAN == 1);
STATIC_ASSERT(ENGINE_VALUE_KIND_LONG == 2);
STATIC_ASSERT(ENGINE_VALUE_KIND_DOUBLE == 3);
STATIC_ASSERT(ENGINE_VALUE_KIND_DECIMAL == 4);
STATIC_ASSERT(ENGINE_VALUE_KIND_STRING == 5);
STATIC_ASSERT(ENGINE_VALUE_KIND_BINARY == 6);
STATIC_ASSERT(ENGINE_VALUE_KIND_DATE == 7);
STATIC_ASSERT(ENGINE_VALUE_KIND_TIMESTAMP == 8);
STATIC_ASSERT(ENGINE_VALUE_KIND_TIMESTAMP_NTZ == 9);
STATIC_ASSERT(ENGINE_COMPARISON_EQUAL == 0);
STATIC_ASSERT(ENGINE_COMPARISON_NOT_EQUAL == 1);
STATIC_ASSERT(ENGINE_COMPARISON_LESS == 2);
STATIC_ASSERT(ENGINE_COMPARISON_LESS_OR_EQUAL == 3);
STATIC_ASSERT(ENGINE_COMPARISON_GREATER == 4);
STATIC_ASSERT(ENGINE_COMPARISON_GREATER_OR_EQUAL == 5);
STATIC_ASSERT(ENGINE_COMPARISON_DISTINCT == 6);
STATIC_ASSERT(ENGINE_COMPARISON_NOT_DISTINCT == 7);

int main(void) {
    return 0;
}
