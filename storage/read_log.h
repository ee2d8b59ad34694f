// SPDX-License-Identifier: Apache-2.0
// Reads, gathered in memory until somebody takes them: never a write per read. Bounded:
// when it is full, reads of further blobs are dropped and counted, since heat is an
// estimate and a reader never waits for it. Any thread; readers of different blobs
// mostly take different locks, each held for a look-up in a hash table.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "storage/tier.h"

struct read_log;

// At most so many blobs at once, about 100 bytes each.
struct read_log *read_log_new(size_t blobs_maximum);
void read_log_free(struct read_log *log); // NULL is allowed

// One request for a blob, or for a part of it.
void read_log_note(struct read_log *log, const struct digest *digest, enum tier tier,
                   uint64_t bytes);

struct read_entry {
    struct digest digest;
    uint64_t reads;
    uint64_t bytes;
    int64_t first_us, last_us; // wall clock
};

// What was noted since the last call, in order of digest; the caller frees *entries.
// *dropped (may be NULL): reads that found no room.
size_t read_log_take(struct read_log *log, struct read_entry **entries,
                     uint64_t *dropped);

// Reads and bytes by tier since the start, for /metrics and hit ratios.
struct read_totals {
    uint64_t reads[TIER_COUNT];
    uint64_t bytes[TIER_COUNT];
};
void read_log_totals(struct read_log *log, struct read_totals *totals);
