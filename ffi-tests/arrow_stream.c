/* A stream is handed over to whoever knows Arrow's C stream interface. */
#include "check.h"

#include <errno.h>

/* A consumer that has never heard of this library. */
static int64_t rows_of(struct ArrowArrayStream *stream) {
    struct ArrowArray batch;
    struct ArrowSchema schema;
    int64_t rows = 0;
    CHECK(stream->get_schema(stream, &schema) == 0);
    CHECK(strcmp(schema.format, "+s") == 0);
    CHECK(strcmp(schema.children[0]->name, "path") == 0);
    schema.release(&schema);
    for (;;) {
        CHECK(stream->get_next(stream, &batch) == 0);
        if (batch.release == NULL) return rows;
        rows += batch.length;
        batch.release(&batch);
    }
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    const int64_t live_files = atoll(argv[2]);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    struct ArrowArrayStream arrow, second;
    struct ArrowSchema schema;
    struct ArrowArray batch;
    engine_scan_options options = {.struct_size = sizeof options, .batch_rows = 100};
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);

    /* What was already read stays read; the rest is handed over, once. */
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    CHECK_OK(engine_next_batch(stream, &batch, &error), error);
    const int64_t first = batch.length;
    batch.release(&batch);
    CHECK_OK(engine_stream_export(stream, &arrow, &error), error);
    CHECK(engine_next_batch(stream, &batch, &error) == ENGINE_STATUS_MISUSE);
    CHECK(batch.release == NULL);
    CHECK(engine_stream_export(stream, &second, &error) == ENGINE_STATUS_MISUSE);
    CHECK(second.release == NULL);

    /* The handle still answers the other questions. */
    engine_progress progress = {.struct_size = sizeof progress};
    CHECK_OK(engine_stream_schema(stream, &schema, &error), error);
    schema.release(&schema);
    CHECK(rows_of(&arrow) == live_files - first);
    CHECK_OK(engine_stream_progress(stream, &progress, &error), error);
    CHECK(progress.rows_delivered == (uint64_t)live_files);

    /* After the end, the end again. */
    CHECK(arrow.get_next(&arrow, &batch) == 0 && batch.release == NULL);
    CHECK(arrow.get_last_error(&arrow) == NULL);
    engine_stream_free(stream);
    arrow.release(&arrow);
    CHECK(arrow.release == NULL);

    /* The Arrow stream outlives everything it came from, and can be moved. */
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    CHECK_OK(engine_stream_export(stream, &arrow, &error), error);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    second = arrow;
    arrow.release = NULL;
    CHECK(rows_of(&second) == live_files);
    second.release(&second);

    /* The handle cancels it; that is an error, and stays one. */
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    CHECK_OK(engine_stream_export(stream, &arrow, &error), error);
    engine_stream_cancel(stream);
    CHECK(arrow.get_next(&arrow, &batch) == ECANCELED);
    CHECK(batch.release == NULL);
    CHECK(strstr(arrow.get_last_error(&arrow), "cancelled") != NULL);
    CHECK(arrow.get_next(&arrow, &batch) == ECANCELED);
    CHECK(arrow.get_schema(&arrow, &schema) == 0);
    schema.release(&schema);
    arrow.release(&arrow);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
