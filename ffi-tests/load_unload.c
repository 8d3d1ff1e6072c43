/* The library is loaded, used and unloaded, again and again. */
#include "check.h"

#include <dlfcn.h>

/* A symbol as a function: through memory, since C has no cast for it. */
static void find(void *library, const char *name, void *function) {
    void *symbol = dlsym(library, name);
    CHECK(symbol != NULL);
    memcpy(function, &symbol, sizeof symbol);
}

/* <table> <live files> <shared library> */
int main(int argc, char **argv) {
    CHECK(argc >= 4);
    for (int round = 0; round < 20; round++) {
        void *library = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
        if (library == NULL) fprintf(stderr, "%s\n", dlerror());
        CHECK(library != NULL);

        uint32_t (*abi_version)(void);
        engine_status (*make)(const engine_options *, engine **, engine_error *);
        engine_status (*open)(const engine *, const char *, engine_snapshot **, engine_error *);
        engine_status (*scan_new)(const engine_snapshot *, const engine_scan_options *,
                                  engine_scan **, engine_error *);
        engine_status (*files)(const engine_scan *, engine_stream **, engine_error *);
        engine_status (*next)(engine_stream *, struct ArrowArray *, engine_error *);
        void (*free_engine)(engine *);
        void (*free_snapshot)(engine_snapshot *);
        void (*free_scan)(engine_scan *);
        void (*free_stream)(engine_stream *);
        find(library, "engine_abi_version", &abi_version);
        find(library, "engine_new", &make);
        find(library, "engine_snapshot_open", &open);
        find(library, "engine_scan_new", &scan_new);
        find(library, "engine_scan_files", &files);
        find(library, "engine_next_batch", &next);
        find(library, "engine_free", &free_engine);
        find(library, "engine_snapshot_free", &free_snapshot);
        find(library, "engine_scan_free", &free_scan);
        find(library, "engine_stream_free", &free_stream);
        CHECK(abi_version() == ENGINE_ABI_VERSION);

        engine *engine = NULL;
        engine_snapshot *snapshot = NULL;
        engine_scan *scan = NULL;
        engine_stream *stream = NULL;
        struct ArrowArray batch;
        engine_error error = {ENGINE_STATUS_OK, ""};
        engine_options options = {.struct_size = sizeof options, .threads = 2};
        if (make(&options, &engine, &error) || open(engine, argv[1], &snapshot, &error) ||
            scan_new(snapshot, NULL, &scan, &error) || files(scan, &stream, &error) ||
            next(stream, &batch, &error))
            fprintf(stderr, "%s\n", error.message);
        CHECK(error.status == ENGINE_STATUS_OK);
        batch.release(&batch);
        free_stream(stream);
        free_scan(scan);
        free_snapshot(snapshot);
        free_engine(engine);
        CHECK(dlclose(library) == 0);
    }
    return 0;
}
