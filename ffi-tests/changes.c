/* Keeps a list of a table's live files up to date: the files are listed once,
 * and from then on each new version costs what its commits say. */
#include "check.h"

/* The keys of the live files, in no order. A host has a hash table here, and
 * what else it wants to know of a file; and decodes a path's percent signs. */
struct files {
    char **keys;
    size_t len;
};

static const char *const COLUMNS[] = {"path", "deletion_vector"};
static const char *const CHANGE_COLUMNS[] = {"path", "deletion_vector", "change"};

/* What makes a logical file: its path and its deletion vector. */
static char *key_of(const struct ArrowArray *path, const struct ArrowArray *vector, int64_t row) {
    char key[256];
    int len, stored_len, at_len, written;
    const char *text = text_at(path, row, &len);
    if (is_null(vector, row)) {
        written = snprintf(key, sizeof key, "%.*s", len, text);
    } else {
        const int64_t i = vector->offset + row; /* of the struct's children */
        const struct ArrowArray *offset = vector->children[2];
        const char *stored = text_at(vector->children[0], i, &stored_len);
        const char *at = text_at(vector->children[1], i, &at_len);
        const int32_t from = is_null(offset, i)
                                 ? 0
                                 : ((const int32_t *)offset->buffers[1])[offset->offset + i];
        written = snprintf(key, sizeof key, "%.*s %.*s%.*s@%" PRId32, len, text, stored_len,
                           stored, at_len, at, from);
    }
    CHECK(written > 0 && (size_t)written < sizeof key);
    char *copy = malloc((size_t)written + 1);
    CHECK(copy != NULL);
    memcpy(copy, key, (size_t)written + 1);
    return copy;
}

/* Where a key is; len if it is not there. */
static size_t find(const struct files *files, const char *key) {
    size_t i = 0;
    while (i < files->len && strcmp(files->keys[i], key) != 0) i++;
    return i;
}

/* Takes the key. It may be there already: what is known of the file is replaced. */
static void add(struct files *files, char *key) {
    const size_t i = find(files, key);
    if (i == files->len) {
        char **keys = realloc(files->keys, (files->len + 1) * sizeof *keys);
        CHECK(keys != NULL);
        files->keys = keys;
        files->len++;
    } else {
        free(files->keys[i]);
    }
    files->keys[i] = key;
}

/* Takes the key. It need not be there: the file may have come and gone. */
static void drop(struct files *files, char *key) {
    const size_t i = find(files, key);
    if (i < files->len) {
        free(files->keys[i]);
        files->keys[i] = files->keys[--files->len];
    }
    free(key);
}

static void clear(struct files *files) {
    while (files->len > 0) free(files->keys[--files->len]);
    free(files->keys);
    files->keys = NULL;
}

/* Applies what a stream says; returns how many rows that was. */
static int64_t apply(struct files *files, engine_stream *stream) {
    struct ArrowArray batch;
    engine_error error;
    engine_status status;
    int64_t rows = 0;
    while (!(status = engine_next_batch(stream, &batch, &error))) {
        for (int64_t i = 0; i < batch.length; i++) {
            const int64_t row = batch.offset + i;
            int len = 0;
            char *key = key_of(batch.children[0], batch.children[1], row);
            /* A listing has no column change: all of its files are live. */
            const char *change =
                batch.n_children > 2 ? text_at(batch.children[2], row, &len) : "add";
            if (strncmp(change, "remove", 6) == 0)
                drop(files, key);
            else
                add(files, key);
        }
        rows += batch.length;
        batch.release(&batch);
    }
    if (status != ENGINE_STATUS_END) fprintf(stderr, "%s\n", error.message);
    CHECK(status == ENGINE_STATUS_END);
    engine_stream_free(stream);
    return rows;
}

static void list(struct files *files, const engine_snapshot *snapshot) {
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    engine_scan_options options = {.struct_size = sizeof options, .columns = COLUMNS,
                                   .columns_len = 2};
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    CHECK_OK(engine_scan_files(scan, &stream, &error), error);
    clear(files);
    apply(files, stream);
    engine_scan_free(scan);
}

/* Brings the list from a version to the one of the snapshot. */
static int64_t bring(struct files *files, uint64_t from, const engine_snapshot *snapshot) {
    engine_scan *scan = NULL;
    engine_stream *stream = NULL;
    engine_error error;
    int64_t changes = -1;
    engine_scan_options options = {.struct_size = sizeof options, .columns = CHANGE_COLUMNS,
                                   .columns_len = 3};
    CHECK_OK(engine_scan_new(snapshot, &options, &scan, &error), error);
    const engine_status status = engine_scan_changes(scan, from, &stream, &error);
    if (status == ENGINE_STATUS_OK) {
        changes = apply(files, stream);
    } else {
        /* The commits between are gone; the files are not. */
        CHECK(status == ENGINE_STATUS_NOT_FOUND && stream == NULL);
        list(files, snapshot);
    }
    engine_scan_free(scan);
    return changes;
}

/* What another process does meanwhile: commits a new file, removes an old one,
 * and deletes rows of a third. */
static void commit(const char *table, int version) {
    char name[4096];
    const int len = snprintf(name, sizeof name, "%s/_delta_log/%020d.json", table, version);
    CHECK(len > 0 && (size_t)len < sizeof name);
    FILE *file = fopen(name, "w");
    CHECK(file != NULL);
    fprintf(file,
            "{\"add\":{\"path\":\"new-%d.parquet\",\"partitionValues\":{},\"size\":1,"
            "\"modificationTime\":1,\"dataChange\":true}}\n"
            "{\"remove\":{\"path\":\"day=2024-01-01/part-%05d.parquet\",\"dataChange\":true}}\n",
            version, 2 * version);
    const int third = 2 * version + 1;
    fprintf(file,
            "{\"remove\":{\"path\":\"day=2024-01-01/part-%05d.parquet\",\"dataChange\":true}}\n"
            "{\"add\":{\"path\":\"day=2024-01-01/part-%05d.parquet\",\"partitionValues\":{},"
            "\"size\":1,\"modificationTime\":1,\"dataChange\":true,\"stats\":"
            "\"{\\\"numRecords\\\":9}\",\"deletionVector\":{\"storageType\":\"u\",\"pathOrInlineDv\":"
            "\"vBn[lx{q8@P<9BNH/isA\",\"offset\":1,\"sizeInBytes\":36,\"cardinality\":2}}}\n",
            third, third);
    CHECK(fclose(file) == 0);
}

/* <table> <live files> <a table to commit to> <a table without old commits> */
int main(int argc, char **argv) {
    CHECK(argc >= 5);
    const char *table = argv[3];
    engine *engine = NULL;
    engine_snapshot *snapshot = NULL, *newer = NULL;
    engine_error error;
    struct files files = {NULL, 0}, listed = {NULL, 0};
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    CHECK_OK(engine_snapshot_open(engine, table, &snapshot, &error), error);
    list(&files, snapshot);
    CHECK(files.len == 1000 || engine_snapshot_version(snapshot) > 0);

    for (int round = 0; round < 4; round++) {
        const uint64_t version = engine_snapshot_version(snapshot);
        /* As many commits as the round has: none, one, two, three. */
        for (int i = 1; i <= round; i++) commit(table, (int)version + i);
        CHECK_OK(engine_snapshot_refresh(snapshot, NULL, &newer, &error), error);
        CHECK(engine_snapshot_version(newer) == version + (uint64_t)round);
        CHECK(bring(&files, version, newer) == 4 * round);
        engine_snapshot_free(snapshot);
        snapshot = newer;

        /* It is what a listing says. */
        list(&listed, snapshot);
        CHECK(listed.len == files.len);
        for (size_t i = 0; i < listed.len; i++) CHECK(find(&files, listed.keys[i]) < files.len);
    }
    engine_snapshot_free(snapshot);

    /* Where the commits between are gone, the files are listed anew. */
    clear(&files);
    CHECK_OK(engine_snapshot_open(engine, argv[4], &snapshot, &error), error);
    CHECK(bring(&files, 0, snapshot) == -1);
    CHECK(files.len == 2);

    clear(&files);
    clear(&listed);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
