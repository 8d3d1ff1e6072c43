/* Two hundred streams are left in every state there is, and nothing is left
 * behind: no thread, no open file. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <dirent.h>
#include <time.h>

/* How many entries a directory has; -1 where there is no such directory. */
static int entries(const char *path) {
    DIR *dir = opendir(path);
    int count = 0;
    if (dir == NULL) return -1;
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count;
}

/* Whether a directory comes to have so many entries: a thread that was joined
 * is listed for a moment longer. */
static int settles_at(const char *path, int expected) {
    const struct timespec moment = {0, 1000000};
    for (int i = 0; i < 5000 && entries(path) != expected; i++) nanosleep(&moment, NULL);
    return entries(path) == expected;
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    const int threads_before = entries("/proc/self/task");
    const int files_before = entries("/proc/self/fd");
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_error error;
    engine_options options = {.struct_size = sizeof options, .threads = 2};
    CHECK_OK(engine_new(&options, &engine, &error), error);
    CHECK_OK(engine_snapshot_open_at(engine, argv[1], 0, &snapshot, &error), error);
    for (int i = 0; i < 200; i++) {
        engine_scan *scan = NULL;
        engine_stream *stream = NULL;
        struct ArrowArray batch;
        struct ArrowArrayStream arrow;
        engine_scan_options small = {.struct_size = sizeof small, .batch_rows = 10};
        CHECK_OK(engine_scan_new(snapshot, &small, &scan, &error), error);
        CHECK_OK(engine_scan_files(scan, &stream, &error), error);
        engine_scan_free(scan);
        switch (i % 5) {
        case 0: /* nothing was read */
            break;
        case 1: /* one batch was read */
            CHECK_OK(engine_next_batch(stream, &batch, &error), error);
            batch.release(&batch);
            break;
        case 2: /* cancelled, and not asked again */
            engine_stream_cancel(stream);
            break;
        case 3: /* asked without patience */
            if (engine_next_batch_within(stream, 0, &batch, NULL) == ENGINE_STATUS_OK)
                batch.release(&batch);
            break;
        default: /* handed over, and not read */
            CHECK_OK(engine_stream_export(stream, &arrow, &error), error);
            arrow.release(&arrow);
        }
        engine_stream_free(stream);
    }
    /* The engine has its two workers, however many streams there were. */
    CHECK(entries("/proc/self/task") <= threads_before + 2);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    CHECK(settles_at("/proc/self/task", threads_before));
    CHECK(settles_at("/proc/self/fd", files_before));
    return 0;
}
