/* Opens a catalog-managed table: its catalog, and not its directory, says which
 * commits count. */
#include "check.h"

static const char STAGED[] = "00000000000000000001.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.json";
static const char INLINE[] =
    "{\"commitInfo\":{\"inCommitTimestamp\":1700000002000}}\n"
    "{\"add\":{\"path\":\"inline.parquet\",\"partitionValues\":{},\"size\":1,"
    "\"modificationTime\":1700000000000,\"dataChange\":true}}\n";

/* <table> <live files> <catalog-managed table> */
int main(int argc, char **argv) {
    CHECK(argc >= 4);
    const char *table = argv[3];
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL, *newer = NULL;
    engine_error error;
    int64_t time = 0;
    CHECK_OK(engine_new(NULL, &engine, &error), error);

    /* Without its catalog such a table is refused. */
    CHECK(engine_snapshot_open(engine, table, &snapshot, &error) == ENGINE_STATUS_UNSUPPORTED);
    CHECK(strstr(error.message, "catalog") != NULL);

    /* The catalog has ratified version 1, whose file is still a staged one. */
    engine_catalog_commit commits[] = {
        {.version = 0}, /* published: neither a name nor content */
        {.version = 1, .staged_name = STAGED},
        {.version = 2, .content = INLINE, .content_len = sizeof INLINE - 1},
    };
    engine_snapshot_options options = {.struct_size = sizeof options,
                                       .flags = ENGINE_SNAPSHOT_WITH_CATALOG,
                                       .catalog_version = 1, .catalog_commits = commits,
                                       .catalog_commits_len = 2};
    CHECK_OK(engine_snapshot_open_with(engine, table, &options, &snapshot, &error), error);
    CHECK(engine_snapshot_version(snapshot) == 1);
    CHECK(count_files(snapshot) == 2);

    /* Then version 2, which it keeps itself. What it says is copied: the caller
     * may do with its memory what it likes. */
    char *content = malloc(sizeof INLINE);
    CHECK(content != NULL);
    memcpy(content, INLINE, sizeof INLINE);
    commits[2].content = content;
    options.catalog_version = 2;
    options.catalog_commits_len = 3;
    CHECK_OK(engine_snapshot_refresh(snapshot, &options, &newer, &error), error);
    memset(content, 'x', sizeof INLINE);
    free(content);
    commits[2].content = INLINE;
    CHECK(engine_snapshot_version(newer) == 2);
    CHECK(count_files(newer) == 3);
    CHECK(count_files(newer) == 3);
    CHECK_OK(engine_snapshot_timestamp_ms(newer, &time, &error), error);
    CHECK(time == 1700000002000);
    engine_snapshot_free(newer);

    /* An older version is asked for as of any table. */
    options.flags |= ENGINE_SNAPSHOT_AT_VERSION;
    options.version = 1;
    CHECK_OK(engine_snapshot_open_with(engine, table, &options, &newer, &error), error);
    CHECK(engine_snapshot_version(newer) == 1);
    engine_snapshot_free(newer);
    options.flags = ENGINE_SNAPSHOT_WITH_CATALOG;
    options.version = 0;

    /* A refresh needs what the catalog says now. */
    CHECK(engine_snapshot_refresh(snapshot, NULL, &newer, &error) == ENGINE_STATUS_UNSUPPORTED);
    CHECK(newer == NULL);

    /* Any other table has no catalog. */
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    options.catalog_commits_len = 0; /* all are published */
    CHECK(engine_snapshot_open_with(engine, argv[1], &options, &newer, &error) == invalid);
    CHECK(strstr(error.message, "not catalog-managed") != NULL);
    options.catalog_commits_len = 3;

    /* What a catalog says has no gap and no end beyond its version. */
    options.catalog_version = 1;
    CHECK(engine_snapshot_open_with(engine, table, &options, &newer, &error) == invalid);
    CHECK(newer == NULL);
    options.catalog_version = 3;
    commits[2].version = 3;
    CHECK(engine_snapshot_open_with(engine, table, &options, &newer, &error) == invalid);
    CHECK(strstr(error.message, "gap") != NULL);
    options.catalog_version = commits[2].version = 2;

    /* A commit is one of the three kinds, of the version that it says. */
    commits[1].version = 7;
    CHECK(engine_snapshot_open_with(engine, table, &options, &newer, &error) == invalid);
    CHECK(strstr(error.message, "catalog_commits[1]: version is 7") != NULL);
    commits[1].version = 1;
    commits[1].staged_name = "1.json";
    CHECK(engine_snapshot_open_with(engine, table, &options, &newer, &error) == invalid);
    CHECK(strstr(error.message, "commit 2 of the catalog") != NULL);
    CHECK(strstr(error.message, "1.json") == NULL); /* a name may hold a secret */
    commits[1].staged_name = STAGED;
    commits[1].content = INLINE;
    CHECK(engine_snapshot_open_with(engine, table, &options, &newer, &error) == invalid);
    CHECK(strstr(error.message, "both") != NULL);
    commits[1].content = NULL;
    commits[1].content_len = 1;
    CHECK(engine_snapshot_open_with(engine, table, &options, &newer, &error) == invalid);
    CHECK(strstr(error.message, "content is NULL") != NULL);
    commits[1].content_len = 0;
    CHECK_OK(engine_snapshot_open_with(engine, table, &options, &newer, &error), error);

    engine_snapshot_free(newer);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
