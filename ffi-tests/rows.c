/* What a scan of rows can be told: columns, a limit, any order; and a count. */
#include "check.h"

static int64_t rows_with(const engine_snapshot *snapshot, engine_scan_options options) {
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    options.struct_size = sizeof options;
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_rows(scan, &stream, &error), error);
    engine_scan_free(scan);
    const int64_t rows = count_rows(stream);
    engine_stream_free(stream);
    return rows;
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    const int64_t rows = atoll(argv[2]);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);

    CHECK(rows_with(snapshot, (engine_scan_options){0}) == rows);
    CHECK(rows_with(snapshot, (engine_scan_options){.flags = ENGINE_SCAN_UNORDERED}) == rows);
    CHECK(rows_with(snapshot, (engine_scan_options){.threads = ENGINE_THREADS_NONE}) == rows);
    CHECK(rows_with(snapshot, (engine_scan_options){.batch_rows = 1, .window_units = 1}) == rows);
    CHECK(rows_with(snapshot, (engine_scan_options){.row_limit = 1}) == 1);
    CHECK(rows_with(snapshot, (engine_scan_options){.row_limit = 1u << 20}) == rows);

    /* The log alone says how many there are. */
    uint64_t counted = 0;
    CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
    CHECK_OK(engine_scan_count(scan, &counted, &error), error);
    CHECK((int64_t)counted == rows);
    CHECK(engine_scan_count(NULL, &counted, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(counted == 0);
    engine_scan_free(scan);

    /* Those that are wanted: 3 pears of two files, and nothing of the other. Of a file
     * that has a kiwi, all is decoded. */
    CHECK(rows_with(snapshot, (engine_scan_options){.where = "qty = 3"}) == 2);
    CHECK(rows_with(snapshot, (engine_scan_options){.where = "qty = 3 AND name = 'fig'"}) == 0);
    CHECK(rows_with(snapshot, (engine_scan_options){.where = "name LIKE 'k%'"}) == 1);
    CHECK(rows_with(snapshot, (engine_scan_options){.where = "name LIKE 'k%'",
                                                    .flags = ENGINE_SCAN_WHOLE_FILES}) == 3);
    const engine_scan_options wanted = {.struct_size = sizeof wanted, .where = "qty = 3"};
    engine_progress progress = {.struct_size = sizeof progress};
    CHECK_OK(engine_scan_new(snapshot, &wanted, &scan, &error), error);
    CHECK_OK(engine_scan_rows(scan, &stream, &error), error);
    CHECK(count_rows(stream) == 2);
    CHECK_OK(engine_stream_progress(stream, &progress, &error), error);
    CHECK(progress.files_kept == 2 && progress.row_groups == 2 && progress.rows_filtered == 2);
    engine_stream_free(stream);
    /* The log does not say how many of them there are. */
    CHECK(engine_scan_count(scan, &counted, &error) == ENGINE_STATUS_UNSUPPORTED);
    engine_scan_free(scan);
    CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);

    /* Without columns it has the table's; engine_snapshot_schema names them. */
    struct ArrowSchema table, batch;
    CHECK_OK(engine_snapshot_schema(snapshot, &table, &error), error);
    CHECK_OK(engine_scan_rows(scan, &stream, &error), error);
    CHECK_OK(engine_stream_schema(stream, &batch, &error), error);
    CHECK(batch.n_children == table.n_children);
    for (int64_t i = 0; i < table.n_children; i++) {
        CHECK(strcmp(batch.children[i]->name, table.children[i]->name) == 0);
        CHECK(strcmp(batch.children[i]->format, table.children[i]->format) == 0);
    }
    table.release(&table);
    batch.release(&batch);
    engine_scan_free(scan);

    /* A stream of rows is an Arrow stream like any other. */
    struct ArrowArrayStream exported;
    struct ArrowArray array;
    int64_t streamed = 0;
    CHECK_OK(engine_stream_export(stream, &exported, &error), error);
    engine_stream_free(stream);
    while (exported.get_next(&exported, &array) == 0 && array.release != NULL) {
        streamed += array.length;
        array.release(&array);
    }
    CHECK(exported.get_last_error(&exported) == NULL && streamed == rows);
    exported.release(&exported);

    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
