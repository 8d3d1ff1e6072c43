/* Prints the path of every file that is live in the latest version of a table. */
#include "delta_engine.h"
#include <stdio.h>

int main(int argc, char **argv) {
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    struct ArrowArray batch;
    engine_status status = engine_new(NULL, &engine, &error);
    if (!status) status = engine_snapshot_open(engine, argv[argc - 1], &snapshot, &error);
    if (!status) status = engine_scan_new(snapshot, NULL, &scan, &error);
    if (!status) status = engine_scan_files(scan, &stream, &error);
    while (!status && !(status = engine_next_batch(stream, &batch, &error))) {
        const struct ArrowArray *path = batch.children[0]; /* utf8: validity, offsets, bytes */
        const int32_t *at = (const int32_t *)path->buffers[1] + path->offset;
        for (int64_t i = 0; i < path->length; i++)
            printf("%.*s\n", (int)(at[i + 1] - at[i]), (const char *)path->buffers[2] + at[i]);
        batch.release(&batch);
    }
    if (status != ENGINE_STATUS_END)
        fprintf(stderr, "%s: %s\n", engine_status_name(status), error.message);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return status == ENGINE_STATUS_END ? 0 : 1;
}
