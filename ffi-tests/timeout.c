/* A wait can be bounded; a timeout loses nothing. */
#include "check.h"

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    int64_t rows = 0;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    for (uint64_t wait_ms = 0;;) {
        struct ArrowArray batch;
        engine_status status = engine_next_batch_within(stream, wait_ms, &batch, &error);
        if (status == ENGINE_STATUS_END) break;
        if (status == ENGINE_STATUS_TIMEOUT) {
            /* Nothing yet: ask again, with more patience. */
            CHECK(batch.release == NULL);
            wait_ms = wait_ms * 2 + 1;
            continue;
        }
        CHECK_OK(status, error);
        rows += batch.length;
        batch.release(&batch);
        wait_ms = 0;
    }
    CHECK(rows == atoll(argv[2]));
    engine_stream_free(stream);

    /* The longest wait there is does not overflow anything. */
    struct ArrowArray batch;
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    CHECK_OK(engine_next_batch_within(stream, UINT64_MAX, &batch, &error), error);
    batch.release(&batch);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
