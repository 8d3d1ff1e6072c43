/* Handles do not work in a child process, and say so; the parent goes on. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL, *exported = NULL;
    engine_error error;
    struct ArrowArray batch;
    struct ArrowArrayStream arrow;
    int result;
    engine_options options = {.struct_size = sizeof options, .threads = 2};
    engine_scan_options small = {.struct_size = sizeof small, .batch_rows = 10};
    CHECK_OK(engine_new(&options, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    CHECK_OK(engine_scan_new(snapshot, &small, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    CHECK_OK(engine_scan_files(scan, &exported, &error), error);
    CHECK_OK(engine_stream_export(exported, &arrow, &error), error);
    CHECK_OK(engine_next_batch(stream, &batch, &error), error);
    const int64_t first = batch.length;

    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct ArrowArray other;
        struct engine *own = NULL;
        engine_snapshot *opened = NULL;
        CHECK(engine_next_batch(stream, &other, &error) == ENGINE_STATUS_MISUSE);
        CHECK(strstr(error.message, "fork") != NULL);
        CHECK(other.release == NULL);
        CHECK(engine_snapshot_open(engine, argv[1], &opened, &error) == ENGINE_STATUS_MISUSE);
        CHECK(engine_scan_new(snapshot, NULL, &scan, &error) == ENGINE_STATUS_MISUSE);
        CHECK(arrow.get_next(&arrow, &other) == EINVAL);
        CHECK(strstr(arrow.get_last_error(&arrow), "fork") != NULL);
        /* Memory is there, and can be read and released. */
        CHECK(engine_snapshot_version(snapshot) == 2);
        batch.release(&batch);
        /* Frees join no threads: they return. */
        arrow.release(&arrow);
        engine_stream_free(exported);
        engine_stream_free(stream);
        engine_snapshot_free(snapshot);
        engine_free(engine);
        /* The child's own engine works. */
        CHECK_OK(engine_new(&options, &own, &error), error);
        CHECK_OK(engine_snapshot_open(own, argv[1], &opened, &error), error);
        CHECK_OK(engine_scan_new(opened, NULL, &scan, &error), error);
        CHECK_OK(engine_scan_files(scan, &stream, &error), error);
        CHECK(count_rows(stream) == atoll(argv[2]));
        engine_stream_free(stream);
        engine_scan_free(scan);
        engine_snapshot_free(opened);
        engine_free(own);
        _exit(0);
    }
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(WIFEXITED(result) && WEXITSTATUS(result) == 0);

    batch.release(&batch);
    CHECK(count_rows(stream) == atoll(argv[2]) - first);
    arrow.release(&arrow);
    engine_stream_free(exported);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
