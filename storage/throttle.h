// SPDX-License-Identifier: Apache-2.0
// The pace of what works behind the users' backs: a token bucket, and while users are
// being sent bytes a pace that leaves the machine to them.
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct throttle; // any thread

// `bandwidth`: bytes a second, 0 = no limit.
struct throttle *throttle_new(uint64_t bandwidth);
void throttle_free(struct throttle *throttle);
// How many transfers users have under way; NULL: not known. `read` must not block.
void throttle_watch(struct throttle *throttle, unsigned (*read)(void *context),
                    void *context);
// Waits until `bytes` more may be moved, or *cancel (may be NULL) is true.
void throttle_take(struct throttle *throttle, uint64_t bytes,
                   const atomic_bool *cancel);
// Gives the calling thread a low CPU priority.
void throttle_thread(void);
