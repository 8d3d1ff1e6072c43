/* Keeps a snapshot up to date: asks again and again for the table as it is now,
 * and pays for what is new. */
#include "check.h"

/* What another process does meanwhile: commits one more file. */
static void commit_a_file(const char *table, uint64_t version) {
    char name[4096];
    const int len = snprintf(name, sizeof name, "%s/_delta_log/%020" PRIu64 ".json", table, version);
    CHECK(len > 0 && (size_t)len < sizeof name);
    FILE *file = fopen(name, "w");
    CHECK(file != NULL);
    fprintf(file,
            "{\"add\":{\"path\":\"new-%" PRIu64 ".parquet\",\"partitionValues\":{},\"size\":1,"
            "\"modificationTime\":1700000000000,\"dataChange\":true}}\n",
            version);
    CHECK(fclose(file) == 0);
}

/* <table> <live files> <a table to commit to> */
int main(int argc, char **argv) {
    CHECK(argc >= 4);
    const char *table = argv[3];
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_error error;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, table, &snapshot, &error), error);
    const uint64_t first = engine_snapshot_version(snapshot);
    const int64_t files_at_first = count_files(snapshot);

    /* The loop. */
    for (uint64_t round = 1; round <= 6; round++) {
        /* Another process commits, but not in every round. */
        const uint64_t commits = round / 2;
        if (round % 2 == 0) commit_a_file(table, first + commits);

        engine_snapshot *newer = NULL;
        CHECK_OK(engine_snapshot_refresh(snapshot, NULL, &newer, &error), error);
        CHECK(newer != NULL && newer != snapshot);
        const int is_new = engine_snapshot_version(newer) != engine_snapshot_version(snapshot);
        CHECK(is_new == (round % 2 == 0));
        CHECK(engine_snapshot_version(newer) == first + commits);
        CHECK(count_files(newer) == files_at_first + (int64_t)commits);
        if (is_new) {
            /* What has not changed is taken over and not read again. */
            engine_origin origin = {.struct_size = sizeof origin};
            CHECK_OK(engine_snapshot_origin(newer, &origin, &error), error);
            CHECK(origin.protocol.kind == ENGINE_SOURCE_KIND_COMMIT);
            CHECK(origin.protocol.version == 0);
            /* The old one stays as it is, until it is freed. */
            CHECK(count_files(snapshot) == files_at_first + (int64_t)commits - 1);
        }
        engine_snapshot_free(snapshot);
        snapshot = newer;
    }

    /* It need not be the latest version. */
    engine_snapshot *older = NULL;
    engine_snapshot_options options = {.struct_size = sizeof options,
                                       .flags = ENGINE_SNAPSHOT_AT_VERSION, .version = first};
    CHECK_OK(engine_snapshot_refresh(snapshot, &options, &older, &error), error);
    CHECK(engine_snapshot_version(older) == first);
    CHECK(count_files(older) == files_at_first);
    engine_snapshot_free(older);

    /* A failure leaves the old one usable. */
    options.version = first + 1000;
    CHECK(engine_snapshot_refresh(snapshot, &options, &older, &error) == ENGINE_STATUS_NOT_FOUND);
    CHECK(older == NULL);
    CHECK(count_files(snapshot) == files_at_first + 3);

    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
