// SPDX-License-Identifier: Apache-2.0
// Pieces of work made on several threads at once and handed on in their order, with no
// more than one piece a thread in memory.
#pragma once

#include <stddef.h>

#include "common/error.h"

struct ordered_work {
    size_t count;     // of pieces
    unsigned threads; // the caller's is one of them; 0 = 1
    // What a thread keeps from piece to piece; never NULL.
    void *(*begin)(void *context);
    void (*end)(void *worker);
    // Makes piece `index`; several threads at once.
    enum err (*make)(void *context, void *worker, size_t index, struct error *e);
    // Hands on the piece that this worker has just made; in order, one at a time.
    enum err (*emit)(void *context, void *worker, size_t index, struct error *e);
};

// Returns when all threads have ended: after the last piece, or with the error of the
// first piece, in their order, that failed; those before it have been handed on.
enum err ordered_run(const struct ordered_work *work, void *context,
                     struct error *e) MUST_CHECK;
