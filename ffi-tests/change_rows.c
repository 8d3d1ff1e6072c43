/* Keeps a sum over a table's rows up to date by what each version changed. */
#include "check.h"

/* <table>: four versions that record their changes. Prints the sum of qty after each
 * of them, and checks the last against the rows themselves. */
int main(int argc, char **argv) {
    CHECK(argc >= 2);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    engine_status status;
    struct ArrowArray batch;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    const uint64_t latest = engine_snapshot_version(snapshot);
    CHECK(latest == 3);

    const char *const columns[] = {"_commit_version", "_change_type", "qty"};
    engine_scan_options options = {.struct_size = sizeof options, .columns = columns,
                                   .columns_len = 3};
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_change_rows(scan, 0, &stream, &error), error);
    int64_t sum = 0, version = 0;
    while (!(status = engine_next_batch(stream, &batch, &error))) {
        const int64_t *versions =
            (const int64_t *)batch.children[0]->buffers[1] + batch.children[0]->offset;
        const int64_t *qty =
            (const int64_t *)batch.children[2]->buffers[1] + batch.children[2]->offset;
        for (int64_t i = 0; i < batch.length; i++) {
            for (; version < versions[i]; version++) printf("%" PRId64 "\n", sum);
            CHECK(version == versions[i]);
            int len;
            const char *change = text_at(batch.children[1], i, &len);
            const int comes = strncmp(change, "insert", len) == 0 ||
                              strncmp(change, "update_postimage", len) == 0;
            const int goes = strncmp(change, "delete", len) == 0 ||
                             strncmp(change, "update_preimage", len) == 0;
            CHECK(comes != goes);
            sum += comes ? qty[i] : -qty[i];
        }
        batch.release(&batch);
    }
    CHECK(status == ENGINE_STATUS_END);
    for (; version <= (int64_t)latest; version++) printf("%" PRId64 "\n", sum);
    engine_stream_free(stream);
    /* They are no columns of rows. */
    CHECK(engine_scan_rows(scan, &stream, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(stream == NULL && strstr(error.message, "_c") != NULL);
    /* No stream begins beyond its snapshot. */
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    CHECK(engine_scan_change_rows(scan, latest + 1, &stream, &error) == invalid);
    CHECK(engine_scan_change_rows(scan, ENGINE_VERSION_NONE, &stream, &error) == invalid);
    CHECK(stream == NULL);
    engine_scan_free(scan);

    /* The rows of the latest version have the same sum. */
    const char *const of_rows[] = {"qty"};
    options.columns = of_rows;
    options.columns_len = 1;
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_rows(scan, &stream, &error), error);
    int64_t whole = 0;
    while (!(status = engine_next_batch(stream, &batch, &error))) {
        const int64_t *qty =
            (const int64_t *)batch.children[0]->buffers[1] + batch.children[0]->offset;
        for (int64_t i = 0; i < batch.length; i++) whole += qty[i];
        batch.release(&batch);
    }
    CHECK(status == ENGINE_STATUS_END && whole == sum);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);

    /* By default there are three columns behind the table's; and a limit. */
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    engine_scan_options limited = {.struct_size = sizeof limited, .row_limit = 2};
    CHECK_OK(engine_scan_new(snapshot, &limited, &scan, &error), error);
    CHECK_OK(engine_scan_change_rows(scan, 1, &stream, &error), error);
    struct ArrowSchema schema;
    CHECK_OK(engine_stream_schema(stream, &schema, &error), error);
    CHECK(schema.n_children == 5 && strcmp(schema.children[2]->name, "_change_type") == 0);
    CHECK(strcmp(schema.children[4]->format, "tsu:UTC") == 0);
    schema.release(&schema);
    CHECK(count_rows(stream) == 2);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);

    if (argc > 2) {
        /* A table that records nothing says so. */
        CHECK_OK(engine_snapshot_open(engine, argv[2], &snapshot, &error), error);
        CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
        CHECK(engine_scan_change_rows(scan, 0, &stream, &error) == ENGINE_STATUS_UNSUPPORTED);
        CHECK(stream == NULL && strstr(error.message, "version 0") != NULL);
        engine_scan_free(scan);
        engine_snapshot_free(snapshot);
    }
    engine_free(engine);
    return 0;
}
