// SPDX-License-Identifier: Apache-2.0
// Reads chunks of a blob from the server, checks each as it comes, and goes on at the
// first chunk that is not there yet when the connection breaks or a chunk is bad.
#pragma once

#include <stdatomic.h>

#include "client/lib/client.h"
#include "common/format/chain.h"

struct fetch {
    struct strata_client *client;
    const struct chain *chain;
    const atomic_bool *cancel; // NULL or true = stop soon
    // Takes bytes that are not checked yet; the same may come again.
    enum strata_status (*take)(void *context, uint64_t offset, const void *bytes,
                               size_t size, struct strata_error *e);
    // The bytes of this chunk that were taken last are right. An error ends the fetch.
    enum strata_status (*checked)(void *context, size_t chunk, struct strata_error *e);
    void *context;
};

// Chunks first to first + count - 1. STRATA_CORRUPT when a chunk came wrong several
// times. Any thread.
enum strata_status fetch_chunks(const struct fetch *fetch, size_t first, size_t count,
                                struct strata_error *e);
