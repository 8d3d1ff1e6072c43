/* Two static libraries written in Rust live in one program. */
#include "check.h"

/* From the other library, which has a standard library and panics of its own. */
int other_library_panics_and_survives(void);

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    engine *engine = NULL;
    engine_error error;
    CHECK(other_library_panics_and_survives() == 1);
    CHECK_OK(engine_new(NULL, &engine, &error), error);
    engine_snapshot *snapshot = NULL;
    CHECK_OK(engine_snapshot_open(engine, argv[1], &snapshot, &error), error);
    CHECK(other_library_panics_and_survives() == 1);
    engine_snapshot_free(snapshot);
    engine_free(engine);
    return 0;
}
