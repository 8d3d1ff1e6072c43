/*
 * What the programs here share: CHECK, and the loop that list_files.c explains.
 *
 * Each program is called as `program <table> <live files> ...`. It returns 0,
 * or says what failed and returns 1.
 */

#ifndef CHECK_H
#define CHECK_H

#include "delta_engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);   \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

/* CHECK for a call: says what the library said. */
#define CHECK_OK(call, error)                                                 \
    do {                                                                      \
        if ((call) != ENGINE_STATUS_OK) {                                     \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call, \
                    engine_status_name((error).status), (error).message);     \
            exit(1);                                                          \
        }                                                                     \
    } while (0)

/* Counts the rows that are left in a stream. */
static inline int64_t count_rows(engine_stream *stream) {
    engine_error error;
    struct ArrowArray batch;
    engine_status status;
    int64_t rows = 0;
    while ((status = engine_next_batch(stream, &batch, &error)) == ENGINE_STATUS_OK) {
        rows += batch.length;
        batch.release(&batch);
    }
    if (status != ENGINE_STATUS_END) {
        fprintf(stderr, "%s: %s\n", engine_status_name(status), error.message);
        exit(1);
    }
    return rows;
}

/* Counts the live files of a snapshot. */
static inline int64_t count_files(const engine_snapshot *snapshot) {
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    const int64_t files = count_rows(stream);
    engine_stream_free(stream);
    engine_scan_free(scan);
    return files;
}

/* Whether a column has nothing in a row. */
static inline int is_null(const struct ArrowArray *column, int64_t row) {
    const uint8_t *validity = (const uint8_t *)column->buffers[0];
    const int64_t i = column->offset + row;
    return validity != NULL && !(validity[i / 8] >> (i % 8) & 1);
}

/* The text of a utf8 column (validity, offsets, bytes) in a row; no NUL ends it. */
static inline const char *text_at(const struct ArrowArray *column, int64_t row, int *len) {
    const int32_t *at = (const int32_t *)column->buffers[1] + column->offset + row;
    *len = (int)(at[1] - at[0]);
    return (const char *)column->buffers[2] + at[0];
}

#endif
