// SPDX-License-Identifier: Apache-2.0
// The scrub: reads every ready copy of this node and of the cold tier again and again,
// past the page cache and at a set pace, and checks it chunk by chunk (invariant 5). A
// bad or missing one is condemned (storage/placement_drop.h): made again from a good
// copy, or marked as damaged.
#pragma once

#include "storage/storage.h"

struct scrub;

struct scrub_options {
    int64_t interval_s; // of a whole round
    uint64_t bandwidth; // bytes a second, 0 = no limit
};

// Nothing runs yet.
struct scrub *scrub_new(struct storage *storage, const struct scrub_options *options);
void scrub_free(struct scrub *scrub); // NULL is allowed; nothing runs
void scrub_watch(struct scrub *scrub, unsigned (*transfers)(void *context),
                 void *context);
// Checks the copies that are due, a batch; called again and again by one thread. A tier
// that is away is no finding.
enum err scrub_run(struct scrub *scrub, struct error *e) MUST_CHECK;
void scrub_stop(struct scrub *scrub); // ends a run soon, for good

// Since the server's start.
struct scrub_counts {
    int64_t copies, bytes; // checked, bytes as they are stored
    int64_t bad;           // found missing or damaged
};
void scrub_count(struct scrub *scrub, struct scrub_counts *counts);
