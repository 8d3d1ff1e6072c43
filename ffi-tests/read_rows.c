/* Prints two columns of every row of a table's latest version: name and qty. */
#include "delta_engine.h"
#include <inttypes.h>
#include <stdio.h>

int main(int argc, char **argv) {
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    struct ArrowArray batch;
    const char *columns[] = {"name", "qty"};
    engine_scan_options options = {.struct_size = sizeof options, .columns = columns, .columns_len = 2};
    engine_status status = engine_new(NULL, &engine, &error);
    if (!status) status = engine_snapshot_open(engine, argv[argc - 1], &snapshot, &error);
    if (!status) status = engine_scan_new(snapshot, &options, &scan, &error);
    if (!status) status = engine_scan_rows(scan, &stream, &error);
    while (!status && !(status = engine_next_batch(stream, &batch, &error))) {
        const struct ArrowArray *name = batch.children[0], *qty = batch.children[1];
        const int32_t *at = (const int32_t *)name->buffers[1] + name->offset;
        const int64_t *number = (const int64_t *)qty->buffers[1] + qty->offset;
        for (int64_t i = 0; i < batch.length; i++)
            printf("%.*s %" PRId64 "\n", (int)(at[i + 1] - at[i]),
                   (const char *)name->buffers[2] + at[i], number[i]);
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
