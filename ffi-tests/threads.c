/* Many threads read streams of one engine, with every number of workers. */
#include "check.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 2 };

static engine *shared_engine;
static engine_snapshot *shared_snapshot;
static int64_t live_files;

static void *reader(void *arg) {
    const int number = *(const int *)arg;
    engine_error error;
    for (int round = 0; round < ROUNDS; round++) {
        engine_scan *scan = NULL;
        engine_stream *stream = NULL;
        engine_progress progress = {.struct_size = sizeof progress};
        engine_scan_options options = {
            .struct_size = sizeof options,
            .threads = number % 4 == 0 ? ENGINE_THREADS_NONE : number % 4,
            .window_units = (uint64_t)round,
            .batch_rows = (uint64_t)(number * 300),
        };
        CHECK_OK(engine_scan_new(shared_snapshot, &options, &scan, &error), error);
        CHECK_OK(engine_scan_files(scan, &stream, &error), error);
        engine_scan_free(scan);
        /* Every other stream is left behind after one batch. */
        if ((number + round) % 2 == 0) {
            struct ArrowArray batch;
            CHECK_OK(engine_next_batch(stream, &batch, &error), error);
            batch.release(&batch);
        } else {
            CHECK(count_rows(stream) == live_files);
            CHECK_OK(engine_stream_progress(stream, &progress, &error), error);
            CHECK(progress.struct_size == sizeof progress);
            CHECK(progress.rows_delivered == (uint64_t)live_files);
            CHECK(progress.units_decoded <= progress.units_planned);
            CHECK(progress.batches_delivered >= 1);
        }
        engine_stream_free(stream);
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    const int64_t workers[] = {0, ENGINE_THREADS_NONE, 1, 4};
    engine_error error;
    live_files = atoll(argv[2]);
    for (size_t i = 0; i < sizeof workers / sizeof workers[0]; i++) {
        pthread_t threads[THREADS];
        int numbers[THREADS];
        engine_options options = {.struct_size = sizeof options, .threads = workers[i]};
        CHECK_OK(engine_new(&options, &shared_engine, &error), error);
        CHECK_OK(engine_snapshot_open(shared_engine, argv[1], &shared_snapshot, &error), error);
        for (int t = 0; t < THREADS; t++) {
            numbers[t] = t;
            CHECK(pthread_create(&threads[t], NULL, reader, &numbers[t]) == 0);
        }
        for (int t = 0; t < THREADS; t++) CHECK(pthread_join(threads[t], NULL) == 0);
        engine_snapshot_free(shared_snapshot);
        engine_free(shared_engine);
    }
    return 0;
}
