/* A host hears what happens inside, and cannot call back in from there. */
#include "check.h"

struct host {
    engine *engine;
    const char *table;
    int events;
    int refused;
};

/* With no workers, every event comes on the thread that calls. */
static void on_event(void *user_data, engine_event_level level, const char *message) {
    struct host *host = user_data;
    engine_snapshot *snapshot = NULL;
    engine_error error;
    CHECK(level <= ENGINE_EVENT_LEVEL_WARNING);
    CHECK(message[0] != '\0');
    host->events++;
    if (engine_snapshot_open(host->engine, host->table, &snapshot, &error) ==
        ENGINE_STATUS_MISUSE)
        host->refused++;
    CHECK(snapshot == NULL);
    engine_free(host->engine); /* does nothing here */
}

/* <table> <live files> <table with a _last_checkpoint that lies> */
int main(int argc, char **argv) {
    CHECK(argc >= 4);
    struct host host = {NULL, argv[3], 0, 0};
    engine_snapshot *snapshot = NULL;
    engine_error error;
    engine_options options = {.struct_size = sizeof options, .threads = ENGINE_THREADS_NONE,
                              .on_event = on_event, .user_data = &host};
    CHECK_OK(engine_new(&options, &host.engine, &error), error);
    CHECK_OK(engine_snapshot_open(host.engine, argv[3], &snapshot, &error), error);
    CHECK(host.events > 0);
    CHECK(host.refused == host.events);
    engine_snapshot_free(snapshot);
    engine_free(host.engine);
    return 0;
}
