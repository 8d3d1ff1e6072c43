/* What a snapshot says about its table. */
#include "check.h"

static int is(engine_str text, const char *expected) {
    return text.data != NULL && text.len == strlen(expected) && strcmp(text.data, expected) == 0;
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
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
    CHECK(protocol.writer_feature_count == 2);
    CHECK(is(engine_snapshot_writer_feature_at(snapshot, 0), "appendOnly"));
    CHECK(is(engine_snapshot_writer_feature_at(snapshot, 1), "domainMetadata"));
    CHECK(engine_snapshot_writer_feature_at(snapshot, 2).data == NULL);
    CHECK(engine_snapshot_reader_feature_at(snapshot, 0).data == NULL);

    CHECK(engine_snapshot_partition_column_count(snapshot) == 1);
    CHECK(is(engine_snapshot_partition_column_at(snapshot, 0), "day"));
    CHECK(engine_snapshot_partition_column_at(snapshot, SIZE_MAX).data == NULL);

    /* Properties can be listed, or asked for by name. */
    CHECK(engine_snapshot_property_count(snapshot) == 2);
    CHECK(is(engine_snapshot_property_at(snapshot, 0).key, "delta.appendOnly"));
    CHECK(is(engine_snapshot_property_at(snapshot, 0).value, "false"));
    CHECK(is(engine_snapshot_property_at(snapshot, 1).key, "owner"));
    CHECK(engine_snapshot_property_at(snapshot, 2).key.data == NULL);
    engine_str owner;
    CHECK_OK(engine_snapshot_property(snapshot, "owner", &owner, &error), error);
    CHECK(is(owner, ""));

    int64_t time = 0;
    CHECK_OK(engine_snapshot_created_time_ms(snapshot, &time, &error), error);
    CHECK(time == 1700000000000);
    CHECK_OK(engine_snapshot_timestamp_ms(snapshot, &time, &error), error);
    CHECK(time > 0);

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
    CHECK(schema.n_children == 2);
    CHECK(strcmp(schema.children[0]->name, "id") == 0);
    CHECK(strcmp(schema.children[0]->format, "l") == 0);
    CHECK(strcmp(schema.children[1]->name, "day") == 0);
    schema.release(&schema);
    CHECK(schema.release == NULL);
    return 0;
}
