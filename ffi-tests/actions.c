/* What each commit did, action by action. */
#include "check.h"

static engine_stream *actions(const engine_snapshot *snapshot, const char *const *kinds,
                              size_t kinds_len, uint64_t first, uint64_t last) {
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    const char *const columns[] = {"version", "action", "path", "json"};
    engine_scan_options options = {.struct_size = sizeof options, .columns = columns,
                                   .columns_len = 4, .action_kinds = kinds,
                                   .action_kinds_len = kinds_len};
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_actions(scan, first, last, &stream, &error), error);
    engine_scan_free(scan);
    return stream;
}

/* <table> <live files>: three commits, of which the last one removes files. */
int main(int argc, char **argv) {
    CHECK(argc >= 3);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    engine_status status;
    struct ArrowArray batch;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);

    /* Adds that were not removed are the live files. The oldest commit is first. */
    const char *const of_files[] = {"add", "remove"};
    int64_t live_files = 0, version = 0;
    stream = actions(snapshot, of_files, 2, 0, 2);
    while (!(status = engine_next_batch(stream, &batch, &error))) {
        const int64_t *versions = (const int64_t *)batch.children[0]->buffers[1];
        for (int64_t i = 0; i < batch.length; i++) {
            int len;
            const char *action = text_at(batch.children[1], batch.offset + i, &len);
            live_files += strncmp(action, "add", 3) == 0 ? 1 : -1;
            const int64_t at = versions[batch.children[0]->offset + batch.offset + i];
            CHECK(at >= version);
            version = at;
            CHECK(!is_null(batch.children[2], batch.offset + i));
            CHECK(is_null(batch.children[3], batch.offset + i));
        }
        batch.release(&batch);
    }
    CHECK(status == ENGINE_STATUS_END && version == 2);
    CHECK(live_files == atoll(argv[2]));
    engine_stream_free(stream);

    /* What is no file action comes as the text of the log. */
    const char *const txns[] = {"txn"};
    stream = actions(snapshot, txns, 1, 1, 2);
    CHECK_OK(engine_next_batch(stream, &batch, &error), error);
    int len;
    const char *json = text_at(batch.children[3], batch.offset, &len);
    CHECK(batch.length == 1 && is_null(batch.children[2], batch.offset));
    const char txn[] = "{\"appId\":\"counter\",\"version\":7}";
    CHECK(len == (int)sizeof txn - 1 && memcmp(json, txn, sizeof txn - 1) == 0);
    batch.release(&batch);
    CHECK(engine_next_batch(stream, &batch, &error) == ENGINE_STATUS_END);
    engine_stream_free(stream);

    /* Without a choice there are all of them; a range may be empty. */
    stream = actions(snapshot, NULL, 0, 1, 1);
    CHECK(count_rows(stream) == 1000 + 2);
    engine_stream_free(stream);
    stream = actions(snapshot, NULL, 0, 1, 0);
    CHECK(count_rows(stream) == 0);
    engine_stream_free(stream);

    /* Each stream has columns of its own beside those of a listing. */
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    const char *const of_changes[] = {"path", "change"};
    engine_scan_options options = {.struct_size = sizeof options, .columns = of_changes,
                                   .columns_len = 2};
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK(engine_scan_files(scan, &stream, &error) == invalid && stream == NULL);
    CHECK(engine_scan_actions(scan, 0, 2, &stream, &error) == invalid && stream == NULL);
    CHECK(strstr(error.message, "\"change\"") != NULL);
    CHECK_OK(engine_scan_changes(scan, 0, &stream, &error), error);
    CHECK(count_rows(stream) == 2 * 1000 + 250);
    engine_stream_free(stream);
    CHECK_OK(engine_scan_changes(scan, 2, &stream, &error), error);
    CHECK(count_rows(stream) == 0);
    engine_stream_free(stream);

    /* No stream goes beyond its snapshot. */
    CHECK(engine_scan_changes(scan, 3, &stream, &error) == invalid && stream == NULL);
    CHECK(engine_scan_changes(scan, ENGINE_VERSION_NONE, &stream, &error) == invalid);
    engine_scan_free(scan);
    const char *const wrong[] = {"txn", "append"};
    options.columns = NULL;
    options.columns_len = 0;
    options.action_kinds = wrong;
    options.action_kinds_len = 2;
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK(engine_scan_actions(scan, 0, 2, &stream, &error) == invalid && stream == NULL);
    CHECK(strstr(error.message, "append") != NULL);
    engine_scan_free(scan);
    options.action_kinds_len = 1;
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK(engine_scan_actions(scan, 0, UINT64_MAX, &stream, &error) == invalid);
    CHECK(engine_scan_actions(scan, 3, 3, &stream, &error) == invalid && stream == NULL);

    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
