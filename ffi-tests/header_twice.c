/* The header stands alone, comes twice without harm, and lives beside another
 * header that brings Arrow's structs. Valid as C99 and as C++11. */
#include "delta_engine.h"

#include "delta_engine.h"

#include "delta_engine_arrow.h"

/* What another library's header does: nothing, since the guard is set. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE
struct ArrowSchema {
    int something_else;
};
#endif

static engine_status (*const next)(engine_stream *, struct ArrowArray *,
                                   engine_error *) = engine_next_batch;

int main(void) {
    struct ArrowArray batch;
    return next(NULL, &batch, NULL) == ENGINE_STATUS_INVALID_ARGUMENT ? 0 : 1;
}
