/* Prints who did what, and when: the newest commit first. */
#include "check.h"

static engine_stream *history(const engine_snapshot *snapshot, uint64_t first, uint64_t last,
                              uint64_t limit) {
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    const char *const columns[] = {"version", "timestamp", "operation"};
    engine_scan_options options = {.struct_size = sizeof options, .columns = columns,
                                   .columns_len = 3};
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_history(scan, first, last, limit, &stream, &error), error);
    engine_scan_free(scan);
    return stream;
}

static int64_t number_at(const struct ArrowArray *column, int64_t row) {
    return ((const int64_t *)column->buffers[1])[column->offset + row];
}

/* Prints a stream's rows, which begin at a version and go down; returns how many. */
static int64_t print(engine_stream *stream, int64_t newest) {
    struct ArrowArray batch;
    engine_error error;
    engine_status status;
    int64_t rows = 0;
    while (!(status = engine_next_batch(stream, &batch, &error))) {
        for (int64_t row = batch.offset; row < batch.offset + batch.length; row++) {
            int len;
            const int64_t version = number_at(batch.children[0], row);
            const int64_t ms = number_at(batch.children[1], row);
            const char *operation = text_at(batch.children[2], row, &len);
            printf("%" PRId64 " at %" PRId64 ": %.*s\n", version, ms, len, operation);
            CHECK(version == newest - rows);
            CHECK(ms == 1000 * (version + 1));
            CHECK(len == 5 && strncmp(operation, "WRITE", 5) == 0);
            rows++;
        }
        batch.release(&batch);
    }
    CHECK(status == ENGINE_STATUS_END);
    engine_stream_free(stream);
    return rows;
}

/* <table> <live files> <table with versions 0, 1 and 2 of 1000, 2000 and 3000 ms> */
int main(int argc, char **argv) {
    CHECK(argc >= 4);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[3], &snapshot, &error), error);

    /* All of it, the newest two, and what is known of some versions. */
    CHECK(print(history(snapshot, 0, ENGINE_VERSION_NONE, 0), 2) == 3);
    CHECK(print(history(snapshot, 0, ENGINE_VERSION_NONE, 2), 2) == 2);
    CHECK(print(history(snapshot, 1, 1, 0), 1) == 1);
    CHECK(print(history(snapshot, 0, 1, 1), 1) == 1);
    CHECK(print(history(snapshot, 3, 9, 0), 9) == 0);

    /* Each stream has columns of its own; without any named it has many. */
    struct ArrowSchema schema;
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
    CHECK(engine_scan_history(scan, 2, 1, 0, &stream, &error) == invalid && stream == NULL);
    CHECK(engine_scan_history(scan, 0, 2, 0, NULL, &error) == invalid);
    CHECK(engine_scan_history(NULL, 0, 2, 0, &stream, &error) == invalid && stream == NULL);
    CHECK_OK(engine_scan_history(scan, 0, 2, 0, &stream, &error), error);
    CHECK_OK(engine_stream_schema(stream, &schema, &error), error);
    CHECK(schema.n_children == 15 && strcmp(schema.children[1]->format, "tsm:UTC") == 0);
    schema.release(&schema);
    engine_stream_free(stream);
    engine_scan_free(scan);
    const char *const whole[] = {"commit_info"};
    engine_scan_options options = {.struct_size = sizeof options, .columns = whole,
                                   .columns_len = 1};
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK(engine_scan_files(scan, &stream, &error) == invalid && stream == NULL);
    CHECK_OK(engine_scan_history(scan, 0, 2, 0, &stream, &error), error);
    CHECK(count_rows(stream) == 3);
    engine_stream_free(stream);
    engine_scan_free(scan);
    const char *const of_files[] = {"path"};
    options.columns = of_files;
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK(engine_scan_history(scan, 0, 2, 0, &stream, &error) == invalid && stream == NULL);
    CHECK(strstr(error.message, "\"path\"") != NULL);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
