/* What a caller can get wrong and the library can see is an error. */
#include "check.h"

#include <pthread.h>

static void null_is_an_error(const engine *engine, const engine_snapshot *snapshot,
                             const engine_scan *scan, engine_stream *stream) {
    engine_error error;
    struct ArrowArray batch;
    struct ArrowSchema schema;
    struct ArrowArrayStream arrow;
    struct engine *an_engine;
    engine_snapshot *a_snapshot;
    engine_scan *a_scan;
    engine_stream *a_stream;
    engine_str text;
    engine_property_value value;
    engine_txn txn;
    engine_column_path column;
    engine_origin origin = {.struct_size = sizeof origin, .files_read = 1};
    int64_t number;
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;

    CHECK(engine_new(NULL, NULL, &error) == invalid);
    CHECK(engine_new(NULL, NULL, NULL) == invalid);
    CHECK(engine_snapshot_open(NULL, "/", &a_snapshot, &error) == invalid);
    CHECK(engine_snapshot_open(engine, NULL, &a_snapshot, &error) == invalid);
    CHECK(a_snapshot == NULL);
    CHECK(engine_snapshot_open(engine, "/", NULL, &error) == invalid);
    CHECK(engine_snapshot_open_at(NULL, NULL, 0, NULL, NULL) == invalid);
    CHECK(engine_snapshot_open_with(NULL, "/", NULL, &a_snapshot, &error) == invalid);
    CHECK(engine_snapshot_open_with(engine, NULL, NULL, &a_snapshot, &error) == invalid);
    CHECK(engine_snapshot_open_with(engine, "/", NULL, NULL, &error) == invalid);
    CHECK(engine_snapshot_refresh(NULL, NULL, &a_snapshot, &error) == invalid);
    CHECK(a_snapshot == NULL);
    CHECK(engine_snapshot_refresh(snapshot, NULL, NULL, &error) == invalid);
    CHECK(engine_snapshot_schema(NULL, &schema, &error) == invalid);
    CHECK(schema.release == NULL);
    CHECK(engine_snapshot_schema(snapshot, NULL, &error) == invalid);
    CHECK(engine_snapshot_timestamp_ms(NULL, &number, &error) == invalid);
    CHECK(engine_snapshot_created_time_ms(snapshot, NULL, &error) == invalid);
    CHECK(engine_snapshot_property(snapshot, NULL, &text, &error) == invalid);
    CHECK(engine_snapshot_property(NULL, "key", &text, &error) == invalid);
    CHECK(engine_snapshot_txn_version(snapshot, NULL, &number, &error) == invalid);
    CHECK(engine_snapshot_domain_metadata(snapshot, NULL, &text, &error) == invalid);
    CHECK(engine_snapshot_property_in_force(snapshot, NULL, &value, &error) == invalid);
    CHECK(value.kind == ENGINE_PROPERTY_KIND_NONE);
    CHECK(engine_snapshot_property_in_force(snapshot, "key", NULL, &error) == invalid);
    CHECK(engine_snapshot_txn_at(NULL, 0, &txn, &error) == invalid && txn.app_id.data == NULL);
    CHECK(engine_snapshot_domain_at(snapshot, 0, NULL, &error) == invalid);
    CHECK(engine_snapshot_clustering_column_at(NULL, 0, &column, &error) == invalid);
    CHECK(column.names == NULL);
    CHECK(engine_snapshot_row_id_high_water_mark(snapshot, NULL, &error) == invalid);
    CHECK(engine_snapshot_file_statistics(snapshot, NULL, &error) == invalid);
    CHECK(engine_snapshot_origin(NULL, &origin, &error) == invalid && origin.files_read == 0);
    CHECK(engine_snapshot_origin(NULL, NULL, NULL) == invalid);
    CHECK(engine_scan_new(NULL, NULL, &a_scan, &error) == invalid && a_scan == NULL);
    CHECK(engine_scan_new(snapshot, NULL, NULL, &error) == invalid);
    CHECK(engine_scan_files(NULL, &a_stream, &error) == invalid && a_stream == NULL);
    CHECK(engine_scan_files(scan, NULL, &error) == invalid);
    CHECK(engine_scan_changes(NULL, 0, &a_stream, &error) == invalid && a_stream == NULL);
    CHECK(engine_scan_changes(scan, 0, NULL, &error) == invalid);
    CHECK(engine_scan_actions(NULL, 0, 0, &a_stream, &error) == invalid && a_stream == NULL);
    CHECK(engine_scan_actions(scan, 0, 0, NULL, &error) == invalid);
    CHECK(engine_stream_schema(NULL, &schema, &error) == invalid);
    CHECK(engine_next_batch(NULL, &batch, &error) == invalid && batch.release == NULL);
    CHECK(engine_next_batch(stream, NULL, &error) == invalid);
    CHECK(engine_next_batch_within(NULL, 1, &batch, &error) == invalid);
    CHECK(engine_stream_progress(stream, NULL, &error) == invalid);
    CHECK(engine_stream_progress(NULL, NULL, &error) == invalid);
    CHECK(engine_stream_export(NULL, &arrow, &error) == invalid && arrow.release == NULL);
    CHECK(engine_stream_export(stream, NULL, &error) == invalid);

    CHECK(engine_snapshot_version(NULL) == ENGINE_VERSION_NONE);
    CHECK(engine_snapshot_table_root(NULL).data == NULL);
    CHECK(engine_snapshot_property_count(NULL) == 0);
    CHECK(engine_snapshot_property_at(NULL, 0).key.data == NULL);
    CHECK(engine_snapshot_check_constraint_count(NULL) == 0);
    CHECK(engine_snapshot_check_constraint_at(NULL, 0).key.data == NULL);
    CHECK(engine_snapshot_partition_column_count(NULL) == 0);
    CHECK(engine_snapshot_protocol(NULL).min_reader_version == 0);
    engine_stream_cancel(NULL);
    engine_free(NULL);
    engine_snapshot_free(NULL);
    engine_scan_free(NULL);
    engine_stream_free(NULL);
    (void)an_engine;
}

static void another_kind_of_handle_is_misuse(engine *engine, engine_snapshot *snapshot,
                                             engine_scan *scan, engine_stream *stream) {
    engine_error error;
    struct ArrowArray batch;
    engine_snapshot *a_snapshot;
    engine_scan *a_scan;
    engine_stream *a_stream;
    CHECK(engine_snapshot_open((struct engine *)snapshot, "/", &a_snapshot, &error) ==
          ENGINE_STATUS_MISUSE);
    CHECK(strcmp(error.message, "expected an engine, found an engine_snapshot") == 0);
    CHECK(a_snapshot == NULL);
    CHECK(engine_snapshot_refresh((engine_snapshot *)scan, NULL, &a_snapshot, &error) ==
          ENGINE_STATUS_MISUSE);
    CHECK(a_snapshot == NULL);
    CHECK(engine_scan_new((engine_snapshot *)engine, NULL, &a_scan, &error) ==
          ENGINE_STATUS_MISUSE);
    CHECK(engine_scan_files((engine_scan *)stream, &a_stream, &error) == ENGINE_STATUS_MISUSE);
    CHECK(engine_next_batch((engine_stream *)scan, &batch, &error) == ENGINE_STATUS_MISUSE);
    CHECK(batch.release == NULL);
    CHECK(engine_snapshot_version((engine_snapshot *)scan) == ENGINE_VERSION_NONE);
    CHECK(engine_snapshot_table_id((engine_snapshot *)stream).data == NULL);
    engine_stream_cancel((engine_stream *)snapshot);

    /* Nor does the wrong free free it. */
    engine_free((struct engine *)stream);
    engine_stream_free((engine_stream *)engine);
    engine_scan_free((engine_scan *)snapshot);
    engine_snapshot_free((engine_snapshot *)scan);
    CHECK(engine_snapshot_version(snapshot) != ENGINE_VERSION_NONE);

    /* Something that is no handle at all, but is memory. */
    uint64_t words[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    CHECK(engine_next_batch((engine_stream *)words, &batch, &error) == ENGINE_STATUS_MISUSE);
}

static void a_struct_must_know_its_size(void) {
    engine *engine = NULL;
    engine_error error;
    engine_options options = {0};
    const size_t odd[] = {0, 1, 7, 9, sizeof options + 1, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        options.struct_size = odd[i];
        CHECK(engine_new(&options, &engine, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
        CHECK(strstr(error.message, "struct_size") != NULL);
        CHECK(engine == NULL);
    }
    /* An older program's struct ends earlier. */
    options.struct_size = sizeof(size_t);
    CHECK_OK(engine_new(&options, &engine, &error), error);
    engine_free(engine);
    /* A newer program's struct has more, which must be zero. */
    struct {
        engine_options known;
        uint64_t unknown;
    } newer;
    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    CHECK_OK(engine_new(&newer.known, &engine, &error), error);
    engine_free(engine);
    newer.unknown = 1;
    CHECK(engine_new(&newer.known, &engine, &error) == ENGINE_STATUS_INVALID_ARGUMENT);

    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.threads = -2;
    CHECK(engine_new(&options, &engine, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
}

static void a_snapshot_checks_its_options(const engine *engine, const char *table) {
    engine_snapshot *snapshot;
    engine_error error;
    engine_catalog_commit commit = {.version = 0};
    engine_snapshot_options options = {0};
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    const size_t odd[] = {0, 7, sizeof options + 1, 4104, SIZE_MAX};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        options.struct_size = odd[i];
        CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
        CHECK(strstr(error.message, "struct_size of the engine_snapshot_options") != NULL);
        CHECK(snapshot == NULL);
    }
    options.struct_size = sizeof options;
    options.flags = UINT64_C(1) << 40;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "flags") != NULL);

    /* A field without its flag is a flag that was forgotten. */
    options.flags = 0;
    options.version = 1;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "ENGINE_SNAPSHOT_AT_VERSION") != NULL);
    options.version = 0;
    options.catalog_version = 1;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "ENGINE_SNAPSHOT_WITH_CATALOG") != NULL);
    options.catalog_version = 0;
    options.catalog_commits_len = 1;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "ENGINE_SNAPSHOT_WITH_CATALOG") != NULL);

    /* An array is there and has a length that makes sense. */
    options.flags = ENGINE_SNAPSHOT_WITH_CATALOG;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "catalog_commits is NULL") != NULL);
    options.catalog_commits = &commit;
    options.catalog_commits_len = SIZE_MAX;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "catalog_commits_len") != NULL);
    options.catalog_commits = (const engine_catalog_commit *)((const char *)&commit + 1);
    options.catalog_commits_len = 1;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "not aligned") != NULL);
    CHECK(snapshot == NULL);
    options.catalog_commits = &commit;
    commit.content = "";
    commit.content_len = SIZE_MAX;
    CHECK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "catalog_commits[0]: content_len") != NULL);

    /* An older program's struct ends before its fields. */
    options.struct_size = sizeof(size_t);
    CHECK_OK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error), error);
    engine_snapshot_free(snapshot);
}

static void a_scan_checks_its_options(const engine_snapshot *snapshot) {
    engine_scan *scan;
    engine_error error;
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    const char *names[] = {"path", NULL};
    const char *bytes[] = {"pa\xff"};

    engine_scan_options options = {.struct_size = sizeof options, .flags = 1u << 20};
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid && scan == NULL);
    options.flags = 0;
    options.columns_len = 3;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid);
    options.columns = names;
    options.columns_len = 2;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid);
    CHECK(strstr(error.message, "columns[1]") != NULL);
    options.columns_len = 0;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid);
    options.columns_len = SIZE_MAX;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid);
    options.columns = bytes;
    options.columns_len = 1;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid);
    CHECK(strstr(error.message, "not UTF-8") != NULL);
    options.columns = NULL;
    options.columns_len = 0;
    options.action_kinds_len = 1;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid);
    CHECK(strstr(error.message, "action_kinds is NULL") != NULL);
    options.action_kinds_len = 0;
    options.threads = INT64_MIN;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid);
}

static void a_table_name_must_be_text(const engine *engine) {
    engine_snapshot *snapshot;
    engine_error error;
    CHECK(engine_snapshot_open(engine, "/tab\xc3(le", &snapshot, &error) ==
          ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(engine_snapshot_open(engine, "", &snapshot, &error) != ENGINE_STATUS_OK);
    /* A string that is far too long is not read to its end. */
    size_t size = (size_t)64 << 20;
    char *text = malloc(size);
    CHECK(text != NULL);
    memset(text, 'x', size);
    text[size - 1] = '\0';
    CHECK(engine_snapshot_open(engine, text, &snapshot, &error) ==
          ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(strstr(error.message, "longer") != NULL);
    free(text);
}

/* Two threads in one stream: each batch goes to one of them, and a thread that
 * comes while the other is inside is told so. */
static int64_t rows_seen[2];

struct reader {
    engine_stream *stream;
    int number;
};

static void *read_all(void *arg) {
    struct reader *reader = arg;
    struct ArrowArray batch;
    engine_error error;
    for (;;) {
        engine_status status = engine_next_batch(reader->stream, &batch, &error);
        if (status == ENGINE_STATUS_END) return NULL;
        if (status == ENGINE_STATUS_MISUSE) {
            CHECK(batch.release == NULL);
            continue;
        }
        CHECK_OK(status, error);
        rows_seen[reader->number] += batch.length;
        batch.release(&batch);
    }
}

static void a_second_thread_in_a_stream_is_told(engine_stream *stream, int64_t live_files) {
    pthread_t threads[2];
    struct reader readers[2] = {{stream, 0}, {stream, 1}};
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, read_all, &readers[i]) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(rows_seen[0] + rows_seen[1] == live_files);
}

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    engine_scan_options options = {.struct_size = sizeof options, .batch_rows = 7};

    a_struct_must_know_its_size();
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    a_table_name_must_be_text(engine);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    a_snapshot_checks_its_options(engine, argv[1]);
    a_scan_checks_its_options(snapshot);
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    null_is_an_error(engine, snapshot, scan, stream);
    another_kind_of_handle_is_misuse(engine, snapshot, scan, stream);
    a_second_thread_in_a_stream_is_told(stream, atoll(argv[2]));

    engine_stream_free(stream);
    engine_scan_free(scan);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
