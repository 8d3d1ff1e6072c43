/* A time leads to the version that was committed then. */
#include "check.h"

/* <table> <live files> <table with versions 0, 1 and 2 of 1000, 2000 and 3000 ms> */
int main(int argc, char **argv) {
    CHECK(argc >= 4);
    const char *table = argv[3];
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL, *older = NULL;
    engine_error error;
    uint64_t version = 7;
    int64_t time = 0;
    const engine_status missing = ENGINE_STATUS_NOT_FOUND;
    engine_snapshot_options at = {.struct_size = sizeof at,
                                  .flags = ENGINE_SNAPSHOT_AT_TIMESTAMP, .timestamp_ms = 2999};
    CHECK_OK(engine_new(NULL, &engine, &error), error);

    /* The table as it was at a time. */
    CHECK_OK(engine_snapshot_open_with(engine, table, &at, &snapshot, &error), error);
    CHECK(engine_snapshot_version(snapshot) == 1);
    CHECK_OK(engine_snapshot_timestamp_ms(snapshot, &time, &error), error);
    CHECK(time == 2000);
    at.timestamp_ms = 1000;
    CHECK_OK(engine_snapshot_refresh(snapshot, &at, &older, &error), error);
    CHECK(engine_snapshot_version(older) == 0);
    engine_snapshot_free(older);
    engine_snapshot_free(snapshot);

    /* Before the first version and after the latest one there was no table, or
     * there may be another one yet. 0 is a time, too. */
    at.timestamp_ms = 0;
    CHECK(engine_snapshot_open_with(engine, table, &at, &snapshot, &error) == missing);
    CHECK(snapshot == NULL);
    at.timestamp_ms = 3001;
    CHECK(engine_snapshot_open_with(engine, table, &at, &snapshot, &error) == missing);

    /* The version alone, from either side. */
    CHECK_OK(engine_version_at_or_before(engine, table, NULL, 2999, &version, &error), error);
    CHECK(version == 1);
    CHECK_OK(engine_version_at_or_before(engine, table, NULL, INT64_MAX, &version, &error), error);
    CHECK(version == 2);
    CHECK(engine_version_at_or_before(engine, table, NULL, 999, &version, &error) == missing);
    CHECK(version == 0);
    CHECK_OK(engine_version_at_or_after(engine, table, NULL, 2001, &version, &error), error);
    CHECK(version == 2);
    CHECK_OK(engine_version_at_or_after(engine, table, NULL, INT64_MIN, &version, &error), error);
    CHECK(version == 0);
    CHECK(engine_version_at_or_after(engine, table, NULL, 3001, &version, &error) == missing);

    /* Of the versions up to one. */
    engine_snapshot_options up_to = {.struct_size = sizeof up_to,
                                     .flags = ENGINE_SNAPSHOT_AT_VERSION, .version = 1};
    CHECK_OK(engine_version_at_or_before(engine, table, &up_to, 9000, &version, &error), error);
    CHECK(version == 1);
    CHECK(engine_version_at_or_after(engine, table, &up_to, 9000, &version, &error) == missing);
    up_to.flags |= ENGINE_SNAPSHOT_AT_TIMESTAMP;
    up_to.timestamp_ms = 1999;
    CHECK_OK(engine_snapshot_open_with(engine, table, &up_to, &snapshot, &error), error);
    CHECK(engine_snapshot_version(snapshot) == 0);
    engine_snapshot_free(snapshot);

    /* What makes no sense. */
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    CHECK(engine_version_at_or_before(engine, table, &up_to, 9000, &version, &error) == invalid);
    CHECK(engine_version_at_or_after(engine, table, &up_to, 9000, &version, &error) == invalid);
    CHECK(version == 0);
    up_to.flags = ENGINE_SNAPSHOT_AT_VERSION;
    CHECK(engine_snapshot_open_with(engine, table, &up_to, &snapshot, &error) == invalid);
    CHECK(strstr(error.message, "ENGINE_SNAPSHOT_AT_TIMESTAMP") != NULL);
    CHECK(engine_version_at_or_before(NULL, table, NULL, 0, &version, &error) == invalid);
    CHECK(engine_version_at_or_after(engine, NULL, NULL, 0, &version, &error) == invalid);
    CHECK(engine_version_at_or_after(engine, table, NULL, 0, NULL, &error) == invalid);

    engine_free(engine);
    return 0;
}
