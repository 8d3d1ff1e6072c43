/* A process may end with everything still open. */
#include "check.h"

static engine *shared_engine;
static engine_snapshot *snapshot;
static engine_scan *scan;
static engine_stream *streams[20];

int main(int argc, char **argv) {
    CHECK(argc >= 3);
    engine_error error;
    engine_options options = {.struct_size = sizeof options, .threads = 2};
    CHECK_OK(engine_new(&options, &shared_engine, &error), error);
    CHECK_OK(engine_snapshot_open(shared_engine, argv[1], &snapshot, &error), error);
    CHECK_OK(engine_scan_new(snapshot, NULL, &scan, &error), error);
    for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++)
        CHECK_OK(engine_scan_files(scan, &streams[i], &error), error);
    return 0;
}
