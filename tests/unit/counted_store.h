// SPDX-License-Identifier: Apache-2.0
// A directory as a tier store that counts what is read of it, holds reads up and fails
// them when it is told to.
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "storage/tier_store.h"

struct counted_store {
    struct tier_store store;
    struct tier_store *directory;
    char root[64];
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool is_closed;       // reads wait until it is open again
    uint64_t closed_from; // those at this offset of the copy and above
    bool is_away;         // reads fail with ERR_UNAVAILABLE
    unsigned delay_us;    // each read takes that long
    atomic_uint reading, reading_most;
    atomic_uint_fast64_t reads, bytes;
};

struct counted_store *counted_store_new(void);
void counted_store_free(struct counted_store *store); // with its files
void counted_store_close(struct counted_store *store, uint64_t from);
void counted_store_open(struct counted_store *store);
// Writes a copy.
void counted_store_put(struct counted_store *store, const struct tier_key *key,
                       const void *bytes, size_t size);
// Changes one byte of a copy, or cuts it.
void counted_store_damage(struct counted_store *store, const struct tier_key *key,
                          uint64_t offset);
void counted_store_cut(struct counted_store *store, const struct tier_key *key,
                       uint64_t size);
