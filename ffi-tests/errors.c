/* Each failure has a status, a text, and an empty out parameter. */
#include "check.h"

/* <table> <live files> <missing table> <corrupt table> <unsupported table> */
int main(int argc, char **argv) {
    CHECK(argc == 6);
    const char *table = argv[1];
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_error error;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK(error.status == ENGINE_STATUS_OK && error.message[0] == '\0');

    /* The text names the table, and the handle is NULL whatever it was. */
    snapshot = (engine_snapshot *)&error;
    CHECK(engine_snapshot_open(engine, argv[3], &snapshot, &error) == ENGINE_STATUS_NOT_FOUND);
    CHECK(snapshot == NULL);
    CHECK(error.status == ENGINE_STATUS_NOT_FOUND);
    CHECK(strstr(error.message, argv[3]) != NULL);

    /* A caller that does not want the text passes NULL. */
    CHECK(engine_snapshot_open(engine, argv[3], &snapshot, NULL) == ENGINE_STATUS_NOT_FOUND);

    CHECK(engine_snapshot_open_at(engine, table, 1000, &snapshot, &error) ==
          ENGINE_STATUS_NOT_FOUND);
    CHECK(snapshot == NULL);

    CHECK(engine_snapshot_open(engine, argv[5], &snapshot, &error) == ENGINE_STATUS_UNSUPPORTED);
    CHECK(strstr(error.message, "someFutureFeature") != NULL);

    /* A long text is cut, and ends all the same. */
    char *longer = malloc(60001);
    CHECK(longer != NULL);
    memset(longer, 'x', 60000);
    longer[60000] = '\0';
    CHECK(engine_snapshot_open(engine, longer, &snapshot, &error) != ENGINE_STATUS_OK);
    CHECK(strlen(error.message) < sizeof error.message);
    free(longer);

    /* A success clears the error of before. */
    CHECK_OK(engine_snapshot_open(engine, table, &snapshot, &error), error);
    CHECK(error.status == ENGINE_STATUS_OK && error.message[0] == '\0');

    engine_str value = {"", 1};
    CHECK(engine_snapshot_property(snapshot, "no.such.key", &value, &error) ==
          ENGINE_STATUS_NOT_FOUND);
    CHECK(value.data == NULL && value.len == 0);

    /* A wrong column is told by the start of a stream, whichever it is. */
    const char *columns[] = {"path", "no_such_column"};
    engine_scan_options options = {.struct_size = sizeof options, .columns = columns,
                                   .columns_len = 2};
    engine_stream *none = NULL;
    engine_status status;
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    status = engine_scan_files(scan, &none, &error);
    CHECK(status == ENGINE_STATUS_INVALID_ARGUMENT && none == NULL);
    CHECK(strstr(error.message, "no_such_column") != NULL);
    status = engine_scan_rows(scan, &none, &error);
    CHECK(status == ENGINE_STATUS_INVALID_ARGUMENT && none == NULL);
    CHECK(strstr(error.message, "path") != NULL);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);

    /* A commit that cannot be parsed fails the open or the stream, and a
     * stream that failed once fails the same way again. */
    status = engine_snapshot_open(engine, argv[4], &snapshot, &error);
    if (status == ENGINE_STATUS_OK) {
        engine_stream *stream = NULL;
        struct ArrowArray batch;
        CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
        status = engine_scan_files(scan, &stream, &error);
        while (status == ENGINE_STATUS_OK) {
            status = engine_next_batch(stream, &batch, &error);
            if (status == ENGINE_STATUS_OK) batch.release(&batch);
        }
        if (stream != NULL) {
            engine_error again;
            memset(&batch, 0xff, sizeof batch);
            CHECK(engine_next_batch(stream, &batch, &again) == status);
            CHECK(batch.release == NULL);
            CHECK(strcmp(error.message, again.message) == 0);
        }
        engine_stream_free(stream);
        engine_scan_free(scan);
        engine_snapshot_free(snapshot);
    }
    CHECK(status == ENGINE_STATUS_CORRUPT_LOG);
    CHECK(strstr(error.message, "00000000000000000001.json") != NULL);

    CHECK(strcmp(engine_status_name(ENGINE_STATUS_CORRUPT_LOG), "corrupt log") == 0);
    CHECK(strcmp(engine_status_name(-7), "unknown status") == 0);
    CHECK(engine_abi_version() == ENGINE_ABI_VERSION);
    CHECK(strchr(engine_version_string(), '.') != NULL);

    engine_free(engine);
    return 0;
}
