// SPDX-License-Identifier: Apache-2.0
// How full each tier of the node is. Any thread.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "storage/storage.h"
#include "storage/tier.h"

struct storage_tier_status {
    int64_t node;     // 0: shared by all, the cold tier
    const char *kind; // "directory", "s3"; static
    bool is_online;
    bool is_limited;       // false: no end is known; capacity and available are 0
    uint64_t capacity;     // bytes it may hold
    uint64_t used;         // bytes of its copies, those being written too
    uint64_t available;    // bytes that can still be written
    uint64_t pending_free; // of `used`, bytes of copies that are being dropped, and of
                           // files that are unlinked and still open somewhere
    uint64_t blobs;        // copies that are ready
    unsigned high_mark, low_mark; // per cent of the capacity
};

// ERR_UNAVAILABLE when PostgreSQL is away; a tier that is away is no error.
enum err storage_tiers(struct storage *storage,
                       struct storage_tier_status tiers[TIER_COUNT],
                       struct error *e) MUST_CHECK;
