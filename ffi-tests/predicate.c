/* Which rows are wanted: in SQL, in calls, and what is told of a mistake. The table has
 * a column id, a partition column day with three days, and a struct place. */
#include "check.h"

/* The SQL of a predicate, which is freed. */
static int is(engine_predicate *predicate, const char *sql) {
    const engine_str text = engine_predicate_text(predicate);
    const int same = text.len == strlen(sql) && memcmp(text.data, sql, text.len + 1) == 0;
    if (!same) fprintf(stderr, "%s\n", text.data);
    engine_predicate_free(predicate);
    return same;
}

/* The live files that may hold the wanted rows. */
static int64_t files(const engine_snapshot *snapshot, const char *where,
                     const engine_predicate *predicate) {
    engine_scan_options options = {.struct_size = sizeof options};
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_progress progress = {.struct_size = sizeof progress};
    engine_error error;
    options.where = where;
    options.predicate = predicate;
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    engine_scan_free(scan);
    const int64_t files = count_rows(stream);
    CHECK_OK(engine_stream_progress(stream, &progress, &error), error);
    CHECK((int64_t)progress.files_kept == files);
    engine_stream_free(stream);
    return files;
}

static engine_predicate *day_is(int64_t days) {
    const engine_value value = {.kind = ENGINE_VALUE_KIND_DATE, .number = days};
    engine_predicate *predicate = NULL;
    engine_error error;
    CHECK_OK(engine_predicate_compare("day", ENGINE_COMPARISON_EQUAL, &value, &predicate, &error),
             error);
    return predicate;
}

static void wanted_rows_choose_files(const engine_snapshot *snapshot, int64_t live_files) {
    engine_error error;
    /* In one line. */
    CHECK(files(snapshot, "id IS NULL OR id IS NOT NULL", NULL) == live_files);
    CHECK(files(snapshot, "day = DATE '2024-01-02'", NULL) == 1000);

    /* In calls. */
    engine_predicate *either[] = {day_is(19724), day_is(19725)}, *predicate = NULL;
    CHECK_OK(engine_predicate_or((const engine_predicate *const *)either, 2, &predicate, &error), error);
    CHECK(files(snapshot, NULL, predicate) == 2000);

    /* In both ways. What a predicate was made of may be gone. */
    engine_predicate_free(either[0]);
    engine_predicate_free(either[1]);
    CHECK(files(snapshot, "day < DATE '2024-01-03'", predicate) == 1000);
    CHECK(files(snapshot, "day < DATE '2024-01-01'", predicate) == 0);
    engine_predicate_free(predicate);
}

static void every_call_says_what_sql_says(void) {
    const char bytes[] = {0, 'a'};
    const struct {
        engine_value value;
        const char *sql;
    } values[] = {
        {{.kind = ENGINE_VALUE_KIND_NULL}, "v <= NULL"},
        {{.kind = ENGINE_VALUE_KIND_BOOLEAN, .number = 7}, "v <= TRUE"},
        {{.kind = ENGINE_VALUE_KIND_LONG, .number = INT64_MIN}, "v <= -9223372036854775808"},
        {{.kind = ENGINE_VALUE_KIND_DOUBLE, .real = -0.25}, "v <= -2.5e-1"},
        {{.kind = ENGINE_VALUE_KIND_DECIMAL, .number = -1, .high = -1, .scale = 3}, "v <= -0.001"},
        {{.kind = ENGINE_VALUE_KIND_DECIMAL, .number = 0, .high = 1}, "v <= 18446744073709551616."},
        {{.kind = ENGINE_VALUE_KIND_STRING, .data = "it's", .len = 4}, "v <= 'it''s'"},
        {{.kind = ENGINE_VALUE_KIND_STRING}, "v <= ''"},
        {{.kind = ENGINE_VALUE_KIND_BINARY, .data = bytes, .len = 2}, "v <= X'0061'"},
        {{.kind = ENGINE_VALUE_KIND_DATE, .number = -1}, "v <= DATE '1969-12-31'"},
        {{.kind = ENGINE_VALUE_KIND_TIMESTAMP, .number = 1},
         "v <= TIMESTAMP '1970-01-01 00:00:00.000001Z'"},
        {{.kind = ENGINE_VALUE_KIND_TIMESTAMP_NTZ, .number = 60000000},
         "v <= TIMESTAMP_NTZ '1970-01-01 00:01:00.000000'"},
    };
    const char *comparisons[] = {"=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"};
    const engine_value one = {.kind = ENGINE_VALUE_KIND_LONG, .number = 1};
    const engine_value two = {.kind = ENGINE_VALUE_KIND_LONG, .number = 2};
    const engine_value list[] = {one, two};
    engine_predicate *predicate = NULL, *again = NULL;
    engine_error error;
    char sql[64];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        CHECK_OK(engine_predicate_compare("v", ENGINE_COMPARISON_LESS_OR_EQUAL, &values[i].value, &predicate,
                                          &error),
                 error);
        CHECK_OK(engine_predicate_parse(values[i].sql, &again, &error), error);
        CHECK(is(predicate, values[i].sql) && is(again, values[i].sql));
    }
    for (int i = 0; i < 8; i++) {
        snprintf(sql, sizeof sql, "a.`b c` %s 1", comparisons[i]);
        CHECK_OK(engine_predicate_compare("a.b c", i, &one, &predicate, &error), error);
        CHECK(is(predicate, sql));
    }
    CHECK_OK(engine_predicate_compare_day("t", ENGINE_COMPARISON_LESS, &values[9].value, &predicate, &error),
             error);
    CHECK(is(predicate, "CAST(t AS DATE) < DATE '1969-12-31'"));
    CHECK_OK(engine_predicate_in("v", list, 2, &predicate, &error), error);
    CHECK(is(predicate, "v IN (1, 2)"));
    CHECK_OK(engine_predicate_in("v", NULL, 0, &predicate, &error), error);
    CHECK(is(predicate, "v IN ()"));
    CHECK_OK(engine_predicate_is_null("v", &predicate, &error), error);
    CHECK_OK(engine_predicate_not(predicate, &again, &error), error);
    CHECK(is(predicate, "v IS NULL") && is(again, "v IS NOT NULL"));
    CHECK_OK(engine_predicate_like("v", "100\\%%", &predicate, &error), error);
    CHECK(is(predicate, "v LIKE '100\\%%'"));
    CHECK_OK(engine_predicate_constant(2, &predicate, &error), error);
    CHECK(is(predicate, "TRUE"));
    CHECK_OK(engine_predicate_and(NULL, 0, &predicate, &error), error);
    CHECK(is(predicate, "TRUE"));
    CHECK_OK(engine_predicate_or(NULL, 0, &predicate, &error), error);
    CHECK(is(predicate, "FALSE"));
}

static void a_mistake_is_told_with_its_place(const engine_snapshot *snapshot) {
    engine_scan_options options = {.struct_size = sizeof options};
    engine_predicate *predicate = NULL;
    engine_scan *scan = NULL;
    engine_error error;
    CHECK(engine_predicate_parse("id = 1 AND\n  upper(x) = 'A'", &predicate, &error) ==
          ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(predicate == NULL);
    CHECK(strncmp(error.message, "predicate, line 2, column 3: the function upper is not supported", 64) == 0);
    CHECK(engine_predicate_parse("id = \xff", &predicate, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(strcmp(error.message, "the SQL is not UTF-8: byte 5 is wrong") == 0);
    CHECK(engine_predicate_parse("", &predicate, &error) == ENGINE_STATUS_INVALID_ARGUMENT);

    /* What depends on the table is told when there is one. */
    options.where = "id = 1 AND colour = 'red'";
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(scan == NULL);
    CHECK(strcmp(error.message, "predicate, column 12: no column colour in the table") == 0);
    options.where = "id = 'x'";
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
    CHECK(strcmp(error.message, "predicate, column 6: 'x' is no value of type long, which id has") == 0);

    /* An older program does not have the field, and a stray pointer behind it is its own. */
    options.struct_size = offsetof(engine_scan_options, where);
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    engine_scan_free(scan);
}

/* What says the same in other words, and what does not. */
static void depth_is_bounded(void) {
    engine_predicate *predicate = NULL, *is_null = NULL, *next = NULL;
    engine_error error;
    engine_status status = ENGINE_STATUS_OK;
    int levels = 1;
    CHECK_OK(engine_predicate_is_null("a", &is_null, &error), error);
    CHECK_OK(engine_predicate_is_null("b", &predicate, &error), error);
    for (; status == ENGINE_STATUS_OK && levels < 1000; levels++) {
        const engine_predicate *both[] = {predicate, is_null};
        if (levels % 2) status = engine_predicate_and(both, 2, &next, &error);
        else status = engine_predicate_or(both, 2, &next, &error);
        if (status == ENGINE_STATUS_OK) {
            engine_predicate_free(predicate);
            predicate = next;
        }
    }
    CHECK(status == ENGINE_STATUS_INVALID_ARGUMENT && next == NULL && levels == 257);
    CHECK(strcmp(error.message, "predicate: it nests deeper than 256 levels") == 0);
    /* The deepest that there is can be shown, read and copied. */
    const engine_str text = engine_predicate_text(predicate);
    CHECK_OK(engine_predicate_parse(text.data, &next, &error), error);
    CHECK(is(next, text.data));
    CHECK(engine_predicate_not(predicate, &next, &error) == ENGINE_STATUS_INVALID_ARGUMENT);
    engine_predicate_free(predicate);

    /* Many at one level are not deep, nor are two NOTs. */
    const engine_predicate *many[5000];
    for (int i = 0; i < 5000; i++) many[i] = is_null;
    CHECK_OK(engine_predicate_or(many, 5000, &predicate, &error), error);
    CHECK(engine_predicate_text(predicate).len == 5000 * strlen("a IS NULL OR ") - 4);
    engine_predicate_free(predicate);
    predicate = is_null;
    for (int i = 0; i < 2000; i++) {
        CHECK_OK(engine_predicate_not(predicate, &next, &error), error);
        engine_predicate_free(predicate);
        predicate = next;
    }
    CHECK(is(predicate, "a IS NULL"));
}

static void misuse_is_an_error(const engine_snapshot *snapshot, const engine *engine) {
    const engine_status invalid = ENGINE_STATUS_INVALID_ARGUMENT;
    engine_value value = {.kind = ENGINE_VALUE_KIND_LONG, .number = 1};
    engine_predicate *predicate = NULL, *made = NULL;
    engine_error error;
    CHECK(engine_predicate_parse(NULL, &predicate, &error) == invalid && predicate == NULL);
    CHECK(engine_predicate_parse("a", NULL, &error) == invalid);
    CHECK(engine_predicate_constant(1, NULL, NULL) == invalid);
    CHECK(engine_predicate_compare(NULL, 0, &value, &predicate, &error) == invalid);
    CHECK(engine_predicate_compare("a", 0, NULL, &predicate, &error) == invalid);
    CHECK(strcmp(error.message, "the value is NULL") == 0);
    CHECK(engine_predicate_compare("a", 8, &value, &predicate, &error) == invalid);
    CHECK(engine_predicate_compare("a", -1, &value, &predicate, &error) == invalid);
    CHECK(strcmp(error.message, "-1 is no engine_comparison") == 0);
    CHECK(engine_predicate_compare("a\xff", 0, &value, &predicate, &error) == invalid);
    CHECK(engine_predicate_compare_day("a", 8, &value, &predicate, &error) == invalid);
    CHECK(engine_predicate_in("a", NULL, 1, &predicate, &error) == invalid);
    CHECK(engine_predicate_in("a", &value, SIZE_MAX, &predicate, &error) == invalid);
    CHECK(engine_predicate_in("a", (engine_value *)((char *)&value + 1), 1, &predicate, &error) == invalid);
    CHECK(engine_predicate_is_null(NULL, &predicate, &error) == invalid);
    CHECK(engine_predicate_like("a", NULL, &predicate, &error) == invalid);
    CHECK(engine_predicate_not(NULL, &predicate, &error) == invalid);
    CHECK(engine_predicate_and(NULL, 1, &predicate, &error) == invalid);

    value.kind = 10;
    CHECK(engine_predicate_in("a", &value, 1, &predicate, &error) == invalid);
    CHECK(strcmp(error.message, "values[0]: 10 is no engine_value_kind") == 0);
    value.kind = -1;
    CHECK(engine_predicate_compare("a", 0, &value, &predicate, &error) == invalid);
    value = (engine_value){.kind = ENGINE_VALUE_KIND_DECIMAL, .scale = 39};
    CHECK(engine_predicate_compare("a", 0, &value, &predicate, &error) == invalid);
    value = (engine_value){.kind = ENGINE_VALUE_KIND_DATE, .number = INT64_MAX};
    CHECK(engine_predicate_compare("a", 0, &value, &predicate, &error) == invalid);
    value = (engine_value){.kind = ENGINE_VALUE_KIND_STRING, .data = "\xff", .len = 1};
    CHECK(engine_predicate_compare("a", 0, &value, &predicate, &error) == invalid);
    value = (engine_value){.kind = ENGINE_VALUE_KIND_STRING, .data = NULL, .len = 1};
    CHECK(engine_predicate_compare("a", 0, &value, &predicate, &error) == invalid);
    value = (engine_value){.kind = ENGINE_VALUE_KIND_BINARY, .data = "", .len = SIZE_MAX};
    CHECK(engine_predicate_compare("a", 0, &value, &predicate, &error) == invalid);
    CHECK(predicate == NULL);

    CHECK_OK(engine_predicate_constant(0, &made, &error), error);
    const engine_predicate *list[] = {made, NULL};
    CHECK(engine_predicate_or(list, 2, &predicate, &error) == invalid);
    CHECK(strcmp(error.message, "predicates[1]: NULL was given for an engine_predicate") == 0);
    list[1] = (const engine_predicate *)engine;
    CHECK(engine_predicate_or(list, 2, &predicate, &error) == ENGINE_STATUS_MISUSE);
    CHECK(engine_predicate_not((const engine_predicate *)snapshot, &predicate, &error) ==
          ENGINE_STATUS_MISUSE);
    CHECK(strcmp(error.message, "expected an engine_predicate, found an engine_snapshot") == 0);
    CHECK(engine_predicate_text(NULL).data == NULL);
    CHECK(engine_predicate_text((const engine_predicate *)snapshot).data == NULL);
    engine_scan_options options = {.struct_size = sizeof options};
    engine_scan *scan = NULL;
    options.predicate = (const engine_predicate *)engine;
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == ENGINE_STATUS_MISUSE && scan == NULL);
    options.predicate = NULL;
    options.where = "a\xff";
    CHECK(engine_scan_new(snapshot, &options, &scan, &error) == invalid && scan == NULL);
    /* Nor does the wrong free free it. */
    engine_predicate_free((engine_predicate *)(uintptr_t)snapshot);
    engine_scan_free((engine_scan *)(uintptr_t)made);
    CHECK(is(made, "FALSE"));
    engine_predicate_free(NULL);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL;
    engine_error error;
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    every_call_says_what_sql_says();
    a_mistake_is_told_with_its_place(snapshot);
    depth_is_bounded();
    misuse_is_an_error(snapshot, engine);
    wanted_rows_choose_files(snapshot, atoll(argv[2]));
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
