/* A listing that disagrees with what the table says of itself fails, or is a
 * warning, as the caller likes. */
#include "check.h"

static int warnings;

/* With no workers, every event comes on the thread that calls. */
static void on_event(void *user_data, engine_event_level level, const char *message) {
    (void)user_data;
    if (level == ENGINE_EVENT_LEVEL_WARNING && strstr(message, ".crc") != NULL) warnings++;
}

/* <table> <live files> <table whose checksum counts one file> */
int main(int argc, char **argv) {
    CHECK(argc >= 4);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    struct ArrowArray batch;
    engine_status status;
    int64_t rows = 0;
    engine_options options = {.struct_size = sizeof options, .threads = ENGINE_THREADS_NONE,
                              .on_event = on_event};
    engine_scan_options warn = {.struct_size = sizeof warn,
                                .flags = ENGINE_SCAN_LAST_ACTION_WINS |
                                         ENGINE_SCAN_DISAGREEMENTS_WARN};
    CHECK_OK(engine_new(&options, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[3], &snapshot, &error), error);

    /* All files come, and then the failure in place of the end. */
    CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    while ((status = engine_next_batch(stream, &batch, &error)) == ENGINE_STATUS_OK) {
        rows += batch.length;
        batch.release(&batch);
    }
    CHECK(status == ENGINE_STATUS_CORRUPT_LOG);
    CHECK(strstr(error.message, "00000000000000000000.crc") != NULL);
    CHECK(rows > 1 && warnings == 0);
    engine_stream_free(stream);
    engine_scan_free(scan);

    /* Flags are or-ed together. */
    CHECK_OK(engine_scan_new(snapshot, &warn, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    CHECK(count_rows(stream) == rows);
    CHECK(warnings > 0);
    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
