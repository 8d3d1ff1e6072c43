/* One thread reads a stream, another one cancels it. */
#include "check.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int batches_read;
static int is_cancelled;

static void *consumer(void *arg) {
    engine_stream *stream = arg;
    struct ArrowArray batch;
    engine_error error;
    engine_status status;
    while ((status = engine_next_batch(stream, &batch, &error)) == ENGINE_STATUS_OK) {
        batch.release(&batch);
        /* After the first batch, wait until the other thread has cancelled. */
        pthread_mutex_lock(&lock);
        batches_read++;
        pthread_cond_broadcast(&changed);
        while (!is_cancelled) pthread_cond_wait(&changed, &lock);
        pthread_mutex_unlock(&lock);
    }
    /* The stream did not reach its end, and never says that it did. */
    CHECK(status == ENGINE_STATUS_CANCELLED);
    CHECK(batch.release == NULL);
    CHECK(error.message[0] != '\0');
    CHECK(engine_next_batch(stream, &batch, &error) == ENGINE_STATUS_CANCELLED);
    CHECK(engine_next_batch_within(stream, 0, &batch, &error) == ENGINE_STATUS_CANCELLED);
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    pthread_t thread;
    const int64_t threads[] = {ENGINE_THREADS_NONE, 1, 2};

    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
        batches_read = is_cancelled = 0;
        engine_scan_options options = {.struct_size = sizeof options, .threads = threads[i],
                                       .window_units = 1, .batch_rows = 10};
        CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
        CHECK_OK(engine_scan_files(scan, &stream, &error), error);
        CHECK(pthread_create(&thread, NULL, consumer, stream) == 0);

        pthread_mutex_lock(&lock);
        while (batches_read == 0) pthread_cond_wait(&changed, &lock);
        engine_stream_cancel(stream);
        engine_stream_cancel(stream); /* twice is as good as once */
        is_cancelled = 1;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);

        CHECK(pthread_join(thread, NULL) == 0);
        engine_stream_free(stream);
        engine_scan_free(scan);
    }
    engine_snapshot_free(snapshot);
    engine_free(engine);
    engine_stream_cancel(NULL);
    return 0;
}
