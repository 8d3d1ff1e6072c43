/* What a snapshot says about its table. */
#include "check.h"

static int is(engine_str text, const char *expected) {
    return text.data != NULL && text.len == strlen(expected) && strcmp(text.data, expected) == 0;
}

static void properties_have_kinds_and_defaults(const engine_snapshot *snapshot) {
    engine_property_value value, again;
    engine_error error;
    CHECK_OK(engine_snapshot_property_in_force(snapshot, "delta.appendOnly", &value, &error),
             error);
    CHECK(value.kind == ENGINE_PROPERTY_KIND_BOOLEAN && value.is_set && value.number == 0);
    CHECK(is(value.text, "false"));
    /* A default, of a property that is spelled in any case. */
    CHECK_OK(engine_snapshot_property_in_force(snapshot, "DELTA.enableExpiredLogCleanup", &value,
                                               &error),
             error);
    CHECK(value.kind == ENGINE_PROPERTY_KIND_BOOLEAN && !value.is_set && value.number == 1);
    CHECK_OK(engine_snapshot_property_in_force(snapshot, "delta.dataSkippingNumIndexedCols",
                                               &value, &error),
             error);
    CHECK(value.kind == ENGINE_PROPERTY_KIND_INTEGER && value.number == 32);
    CHECK_OK(engine_snapshot_property_in_force(snapshot, "delta.deletedFileRetentionDuration",
                                               &value, &error),
             error);
    CHECK(value.kind == ENGINE_PROPERTY_KIND_INTERVAL);
    CHECK(value.number == INT64_C(7) * 24 * 60 * 60 * 1000000);
    CHECK(is(value.text, "interval 1 week"));
    /* The table has another case. */
    CHECK_OK(engine_snapshot_property_in_force(snapshot, "delta.isolationLevel", &value, &error),
             error);
    CHECK(value.kind == ENGINE_PROPERTY_KIND_TEXT && value.is_set && value.number == 0);
    CHECK(is(value.text, "WriteSerializable"));
    CHECK_OK(engine_snapshot_property_in_force(snapshot, "delta.isolationLevel", &again, &error),
             error);
    CHECK(value.text.data == again.text.data);

    /* No value, for three reasons. */
    CHECK(engine_snapshot_property_in_force(snapshot, "owner", &value, &error) ==
          ENGINE_STATUS_NOT_FOUND);
    CHECK(value.kind == ENGINE_PROPERTY_KIND_NONE && value.text.data == NULL);
    CHECK(engine_snapshot_property_in_force(snapshot, "delta.targetFileSize", &value, &error) ==
          ENGINE_STATUS_NOT_FOUND);
    CHECK(engine_snapshot_property_in_force(snapshot, "delta.checkpointInterval", &value,
                                            &error) == ENGINE_STATUS_CORRUPT_LOG);
    CHECK(strstr(error.message, "'often'") != NULL);
}

static void what_applications_put_beside_the_files(const engine_snapshot *snapshot) {
    engine_error error;
    engine_txn txn;
    CHECK_OK(engine_snapshot_txn_at(snapshot, 0, &txn, &error), error);
    CHECK(is(txn.app_id, "counter") && txn.version == 7);
    CHECK(txn.last_updated_ms == ENGINE_TIME_NONE);
    CHECK_OK(engine_snapshot_txn_at(snapshot, 1, &txn, &error), error);
    CHECK(is(txn.app_id, "loader") && txn.last_updated_ms == 1700000000000);
    CHECK(engine_snapshot_txn_at(snapshot, 2, &txn, &error) == ENGINE_STATUS_END);
    CHECK(txn.app_id.data == NULL && error.message[0] == '\0');

    /* A list whose length is not known before it is read is read to its end. */
    const char *names[] = {"app.settings", "delta.clustering", "delta.rowTracking"};
    engine_property domain;
    engine_status status;
    size_t domains = 0;
    for (; !(status = engine_snapshot_domain_at(snapshot, domains, &domain, &error)); domains++)
        CHECK(domains < 3 && is(domain.key, names[domains]) && domain.value.len > 0);
    CHECK(status == ENGINE_STATUS_END && domains == 3);
    CHECK(domain.key.data == NULL && domain.value.data == NULL);

    engine_column_path column;
    CHECK_OK(engine_snapshot_clustering_column_at(snapshot, 0, &column, &error), error);
    CHECK(column.names_len == 1 && is(column.names[0], "id"));
    CHECK_OK(engine_snapshot_clustering_column_at(snapshot, 1, &column, &error), error);
    CHECK(column.names_len == 2);
    CHECK(is(column.names[0], "place") && is(column.names[1], "city"));
    CHECK(engine_snapshot_clustering_column_at(snapshot, 2, &column, &error) ==
          ENGINE_STATUS_END);
    CHECK(column.names == NULL && column.names_len == 0);

    int64_t highest = 0;
    CHECK_OK(engine_snapshot_row_id_high_water_mark(snapshot, &highest, &error), error);
    CHECK(highest == 2999);
}

static void where_it_all_comes_from(const engine_snapshot *snapshot) {
    engine_error error;
    engine_origin origin = {.struct_size = sizeof origin};
    CHECK_OK(engine_snapshot_origin(snapshot, &origin, &error), error);
    CHECK(origin.struct_size == sizeof origin);
    CHECK(origin.protocol.kind == ENGINE_SOURCE_KIND_COMMIT && origin.protocol.version == 0);
    CHECK(origin.metadata.kind == ENGINE_SOURCE_KIND_COMMIT && origin.metadata.version == 0);
    CHECK(origin.txns.kind == ENGINE_SOURCE_KIND_REPLAY);
    CHECK(origin.txns.version == ENGINE_VERSION_NONE);
    CHECK(origin.checkpoint_version == ENGINE_VERSION_NONE && origin.checksum_version == 2);
    CHECK(origin.commits == 3 && origin.compactions == 0);
    CHECK(origin.files_read > 0 && origin.bytes_read > 0);
}

static void statistics_stand_in_the_checksum(const engine *engine, const char *table,
                                             const engine_snapshot *snapshot,
                                             uint64_t live_files) {
    engine_error error;
    engine_file_statistics files = {.struct_size = sizeof files};
    CHECK_OK(engine_snapshot_file_statistics(snapshot, &files, &error), error);
    CHECK(files.struct_size == sizeof files);
    CHECK(files.num_files == live_files && files.size_bytes > 1000 * live_files);
    CHECK(files.num_deleted_records == 0);
    CHECK(files.num_deletion_vectors == ENGINE_COUNT_NONE); /* not counted */
    CHECK(files.size_bins_len == 2);
    CHECK(files.size_bin_boundaries[0] == 0 && files.size_bin_boundaries[1] == 1500);
    CHECK(files.size_bin_files[0] + files.size_bin_files[1] == live_files);
    CHECK(files.size_bin_bytes[0] + files.size_bin_bytes[1] == files.size_bytes);
    CHECK(files.deleted_record_counts[0] == live_files && files.deleted_record_counts[9] == 0);

    /* An older program's struct ends earlier, and is written no further. */
    files.struct_size = 2 * sizeof(uint64_t);
    files.num_files = files.size_bytes = 1;
    CHECK_OK(engine_snapshot_file_statistics(snapshot, &files, &error), error);
    CHECK(files.num_files == live_files && files.size_bytes == 1);

    /* Version 0 has no checksum; nor is it clustered, nor has it row ids. */
    engine_snapshot *oldest = NULL;
    engine_column_path column;
    int64_t highest = 1;
    CHECK_OK(engine_snapshot_open_at(engine, table, 0, &oldest, &error), error);
    files.struct_size = sizeof files;
    CHECK(engine_snapshot_file_statistics(oldest, &files, &error) == ENGINE_STATUS_NOT_FOUND);
    CHECK(files.struct_size == sizeof files && files.num_files == 0);
    CHECK(files.size_bin_files == NULL && files.size_bins_len == 0);
    CHECK(engine_snapshot_clustering_column_at(oldest, 0, &column, &error) ==
          ENGINE_STATUS_NOT_FOUND);
    CHECK(engine_snapshot_row_id_high_water_mark(oldest, &highest, &error) ==
          ENGINE_STATUS_NOT_FOUND);
    CHECK(highest == 0);
    engine_snapshot_free(oldest);
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_error error;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);

    CHECK(engine_snapshot_version(snapshot) == 2);
    CHECK(engine_snapshot_table_root(snapshot).len > 0);
    CHECK(is(engine_snapshot_table_id(snapshot), "b2b0a2c6-6f5f-4f7e-8d58-0d6a1f6d8f10"));
    CHECK(is(engine_snapshot_table_name(snapshot), "table \xc3\xbc"));
    CHECK(engine_snapshot_table_description(snapshot).data == NULL);

    engine_protocol protocol = engine_snapshot_protocol(snapshot);
    CHECK(protocol.min_reader_version == 1);
    CHECK(protocol.min_writer_version == 7);
    CHECK(protocol.reader_feature_count == 0);
    CHECK(protocol.writer_feature_count == 5);
    CHECK(is(engine_snapshot_writer_feature_at(snapshot, 0), "appendOnly"));
    CHECK(is(engine_snapshot_writer_feature_at(snapshot, 1), "domainMetadata"));
    CHECK(engine_snapshot_writer_feature_at(snapshot, 5).data == NULL);
    CHECK(engine_snapshot_reader_feature_at(snapshot, 0).data == NULL);

    CHECK(engine_snapshot_partition_column_count(snapshot) == 1);
    CHECK(is(engine_snapshot_partition_column_at(snapshot, 0), "day"));
    CHECK(engine_snapshot_partition_column_at(snapshot, SIZE_MAX).data == NULL);

    /* Properties can be listed, or asked for by name. */
    CHECK(engine_snapshot_property_count(snapshot) == 5);
    CHECK(is(engine_snapshot_property_at(snapshot, 0).key, "delta.appendOnly"));
    CHECK(is(engine_snapshot_property_at(snapshot, 0).value, "false"));
    CHECK(is(engine_snapshot_property_at(snapshot, 4).key, "owner"));
    CHECK(engine_snapshot_property_at(snapshot, 5).key.data == NULL);
    engine_str owner;
    CHECK_OK(engine_snapshot_property(snapshot, "owner", &owner, &error), error);
    CHECK(is(owner, ""));

    properties_have_kinds_and_defaults(snapshot);

    CHECK(engine_snapshot_check_constraint_count(snapshot) == 1);
    CHECK(is(engine_snapshot_check_constraint_at(snapshot, 0).key, "recent"));
    CHECK(is(engine_snapshot_check_constraint_at(snapshot, 0).value, "day > '2020-01-01'"));
    CHECK(engine_snapshot_check_constraint_at(snapshot, 1).key.data == NULL);

    int64_t time = 0;
    CHECK_OK(engine_snapshot_created_time_ms(snapshot, &time, &error), error);
    CHECK(time == 1700000000000);
    CHECK_OK(engine_snapshot_timestamp_ms(snapshot, &time, &error), error);
    CHECK(time > 0);

    what_applications_put_beside_the_files(snapshot);
    where_it_all_comes_from(snapshot);
    statistics_stand_in_the_checksum(engine, argv[1], snapshot, strtoull(argv[2], NULL, 10));

    int64_t version = 0;
    CHECK_OK(engine_snapshot_txn_version(snapshot, "loader", &version, &error), error);
    CHECK(version == 42);
    CHECK(engine_snapshot_txn_version(snapshot, "nobody", &version, &error) ==
          ENGINE_STATUS_NOT_FOUND);
    CHECK(version == 0);

    engine_str domain, again;
    CHECK_OK(engine_snapshot_domain_metadata(snapshot, "app.settings", &domain, &error), error);
    CHECK(is(domain, "{\"a\":1}"));
    CHECK_OK(engine_snapshot_domain_metadata(snapshot, "app.settings", &again, &error), error);
    CHECK(domain.data == again.data);
    CHECK(engine_snapshot_domain_metadata(snapshot, "none", &domain, &error) ==
          ENGINE_STATUS_NOT_FOUND);

    CHECK(strstr(engine_snapshot_schema_json(snapshot).data, "\"fields\"") != NULL);
    struct ArrowSchema schema;
    CHECK_OK(engine_snapshot_schema(snapshot, &schema, &error), error);
    engine_snapshot_free(snapshot);
    engine_free(engine);

    /* The schema is the caller's own, and outlives everything. */
    CHECK(strcmp(schema.format, "+s") == 0);
    CHECK(schema.n_children == 3);
    CHECK(strcmp(schema.children[0]->name, "id") == 0);
    CHECK(strcmp(schema.children[0]->format, "l") == 0);
    CHECK(strcmp(schema.children[1]->name, "day") == 0);
    schema.release(&schema);
    CHECK(schema.release == NULL);
    return 0;
}
