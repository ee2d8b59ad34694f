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
// The users whose way is to be kept free; `transfers` may not block.
struct throttle_users {
    unsigned (*transfers)(void *context); // how many they have under way
    void (*step_aside)(void *context); // has the calling thread run where they do not
    void *context;
};
// Until then nobody is known of.
void throttle_watch(struct throttle *throttle, const struct throttle_users *users);
// Waits until `bytes` more may be moved, or *cancel (may be NULL) is true; then has the
// calling thread step aside.
void throttle_take(struct throttle *throttle, uint64_t bytes,
                   const atomic_bool *cancel);
void throttle_step_aside(struct throttle *throttle);
// Bytes that were taken so far.
uint64_t throttle_taken(struct throttle *throttle);
// Gives the calling thread a low CPU priority.
void throttle_thread(void);
