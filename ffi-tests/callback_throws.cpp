// An exception that leaves the event callback ends the process: it neither
// unwinds through the library nor is lost. The test expects SIGABRT.
#include "check.h"

#include <csignal>
#include <stdexcept>

#include <sys/wait.h>
#include <unistd.h>

static void throws(void*, engine_event_level, const char*) {
    throw std::runtime_error("thrown by the host's callback");
}

// <table> <live files> <table with a _last_checkpoint that lies>
int main(int argc, char** argv) {
    CHECK(argc >= 4);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        engine_options options{};
        options.struct_size = sizeof options;
        options.threads = ENGINE_THREADS_NONE;
        options.on_event = throws;
        engine* engine = nullptr;
        engine_snapshot* snapshot = nullptr;
        try {
            if (engine_new(&options, &engine, nullptr) != ENGINE_STATUS_OK) _exit(1);
            engine_snapshot_open(engine, argv[3], &snapshot, nullptr);
        } catch (...) {
            _exit(2);
        }
        _exit(3);
    }
    int result = 0;
    CHECK(waitpid(child, &result, 0) == child);
    CHECK(WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT);
    return 0;
}
