// SPDX-License-Identifier: Apache-2.0
// The scrub: reads every ready copy of this node and of the cold tier again and again,
// past the page cache and at a set pace, and checks it chunk by chunk (invariant 5). A
// bad or missing one is condemned (storage/placement_drop.h): made again from a good
// copy, or marked as damaged; a marked one is made again once there is a good copy.
// Any thread, but for scrub_run.
#pragma once

#include "common/digest.h"
#include "storage/storage.h"

struct scrub;

struct scrub_options {
    int64_t interval_s; // of a whole round
    uint64_t bandwidth; // bytes a second, 0 = no limit
};

// Nothing runs yet.
struct scrub *scrub_new(struct storage *storage, const struct scrub_options *options);
void scrub_free(struct scrub *scrub); // NULL is allowed; nothing runs
struct throttle_users;                // storage/throttle.h
void scrub_watch(struct scrub *scrub, const struct throttle_users *users);
// Checks the copies that are due, a batch; called again and again by one thread. A tier
// that is away is no finding, and is left alone for a while.
enum err scrub_run(struct scrub *scrub, struct error *e) MUST_CHECK;
void scrub_stop(struct scrub *scrub); // ends a run soon, for good

// Makes copies on the tiers that are online due now: of one blob (NULL: of all), on one
// tier (NULL: on all). *due: how many. ERR_BLOB_NOT_FOUND.
enum err scrub_ask(struct scrub *scrub, const struct digest *digest,
                   const enum tier *tier, int64_t *due, struct error *e) MUST_CHECK;

// Since the server's start.
struct scrub_counts {
    int64_t copies, bytes; // checked, bytes as they are stored
    int64_t bad;           // found missing or damaged
    int64_t healed;        // copies that gave way to a new one, whoever found them bad
    int64_t damaged;       // now, as the last run saw it
};
void scrub_count(struct scrub *scrub, struct scrub_counts *counts);

struct scrub_place {
    struct digest digest;
    enum tier tier;
    int64_t placement; // 0: none
};
struct scrub_finding {
    struct scrub_place place;
    int64_t found_us; // since 1970
    bool heals;       // false: it was the only copy
    char why[512];
};
struct scrub_state {
    bool is_running; // there was something to check when it last looked
    struct scrub_place current;
    struct scrub_finding last; // since the server's start
};
void scrub_show(struct scrub *scrub, struct scrub_state *state);

// From the rows.
#define SCRUB_COUNTED_MAXIMUM 100000 // a tier; more are not counted
struct scrub_waiting {
    int64_t due;       // copies
    int64_t asked;     // of them by scrub_ask, on tiers that are online
    int64_t damaged;   // copies, all of them
    int64_t oldest_us; // when the copy was checked whose turn is next; 0: none
};
enum err scrub_waiting(struct scrub *scrub, struct scrub_waiting *waiting,
                       struct error *e) MUST_CHECK;
