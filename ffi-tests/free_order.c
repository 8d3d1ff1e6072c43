/* Handles are freed in each of their 24 orders, with the stream half read. */
#include "check.h"

static void free_one(int which, engine *engine, engine_snapshot *snapshot, engine_scan *scan,
                     engine_stream *stream) {
    switch (which) {
    case 0: engine_free(engine); break;
    case 1: engine_snapshot_free(snapshot); break;
    case 2: engine_scan_free(scan); break;
    default: engine_stream_free(stream); break;
    }
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    for (int order = 0; order < 4 * 4 * 4 * 4; order++) {
        const int at[4] = {order & 3, order >> 2 & 3, order >> 4 & 3, order >> 6 & 3};
        if ((1 << at[0] | 1 << at[1] | 1 << at[2] | 1 << at[3]) != 15) continue;

        engine *engine = NULL;
        engine_snapshot *snapshot = NULL;
        engine_scan *scan = NULL;
        engine_stream *stream = NULL;
        engine_error error;
        struct ArrowArray first, second;
        engine_options options = {.struct_size = sizeof options, .threads = 2};
        engine_scan_options small = {.struct_size = sizeof small, .batch_rows = 10};
        CHECK_OK(engine_new(&options, &engine, &error), error);
        CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
        CHECK_OK(engine_scan_new(snapshot, &small, &scan, &error), error);
        CHECK_OK(engine_scan_files(scan, &stream, &error), error);
        CHECK_OK(engine_next_batch(stream, &first, &error), error);
        for (int i = 0; i < 4; i++) {
            /* The stream works for as long as it is there itself. */
            if (i == 3 && at[3] == 3) {
                CHECK_OK(engine_next_batch(stream, &second, &error), error);
                second.release(&second);
            }
            free_one(at[i], engine, snapshot, scan, stream);
        }
        /* And a batch for as long as it is not released. */
        CHECK(first.length == 10);
        CHECK(((const int32_t *)first.children[0]->buffers[1])[1] > 0);
        first.release(&first);
    }
    return 0;
}
