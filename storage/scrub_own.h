// SPDX-License-Identifier: Apache-2.0
// What a struct scrub consists of, for its files alone.
#pragma once

#include <pthread.h>

#include "storage/scrub.h"
#include "storage/state.h"

struct scrub {
    struct storage *storage;
    struct scrub_options options;
    struct throttle *throttle;
    atomic_bool stopping;
    atomic_uint asked; // moves on when copies are asked for
    _Atomic int64_t copies, bytes, bad, damaged;

    // The thread's own: when a tier is looked at again, monotonic.
    unsigned asked_seen;
    int64_t due_at_ms[TIER_COUNT], mend_at_ms[TIER_COUNT];

    pthread_mutex_t lock; // for what follows; held for no more than a copy
    struct scrub_state state;
};
