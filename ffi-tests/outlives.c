/* A batch outlives the engine, and is released on another thread. */
#include "check.h"

#include <pthread.h>

enum { BATCHES = 16 };

static struct ArrowArray batches[BATCHES];

static void *read_and_release(void *arg) {
    (void)arg;
    /* Last first: the order does not matter. */
    for (int i = BATCHES - 1; i >= 0; i--) {
        const struct ArrowArray *path = batches[i].children[0];
        const int32_t *at = (const int32_t *)path->buffers[1] + path->offset;
        CHECK(strncmp((const char *)path->buffers[2] + at[0], "day=", 4) == 0);
        batches[i].release(&batches[i]);
        CHECK(batches[i].release == NULL);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    pthread_t thread;
    engine_scan_options small = {.struct_size = sizeof small, .batch_rows = 50};
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    CHECK_OK(engine_scan_new(snapshot, &small, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    for (int i = 0; i < BATCHES; i++)
        CHECK_OK(engine_next_batch(stream, &batches[i], &error), error);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    CHECK(pthread_create(&thread, NULL, read_and_release, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
