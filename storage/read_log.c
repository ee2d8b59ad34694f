// SPDX-License-Identifier: Apache-2.0
#include "storage/read_log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"

#define SHARDS 16

// `slots` holds places in `entries`, from 1 on; it is never more than half full, so
// that a search ends.
struct shard {
    pthread_mutex_t lock;
    struct read_entry *entries;
    size_t count, room, maximum;
    uint32_t *slots;
    size_t slots_count; // a power of two
    uint64_t dropped;
};

struct read_log {
    struct shard shards[SHARDS];
    atomic_uint_fast64_t reads[TIER_COUNT];
    atomic_uint_fast64_t bytes[TIER_COUNT];
};

struct read_log *read_log_new(size_t blobs_maximum)
{
    struct read_log *log = alloc_zero(sizeof *log);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &log->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->maximum = blobs_maximum / SHARDS + 1;
        for (shard->slots_count = 2; shard->slots_count < 2 * shard->maximum;)
            shard->slots_count *= 2;
        shard->slots = alloc_array(shard->slots_count, sizeof *shard->slots);
    }
    return log;
}

void read_log_free(struct read_log *log)
{
    if (log == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        free(log->shards[i].entries);
        free(log->shards[i].slots);
        pthread_mutex_destroy(&log->shards[i].lock);
    }
    free(log);
}

// NULL: there is no room.
static struct read_entry *entry_of(struct shard *shard, const struct digest *digest,
                                   int64_t now_us)
{
    size_t mask = shard->slots_count - 1;
    size_t slot;
    memcpy(&slot, digest->bytes + 1, sizeof slot); // the first byte chose the shard
    for (slot &= mask; shard->slots[slot] != 0; slot = (slot + 1) & mask) {
        struct read_entry *entry = &shard->entries[shard->slots[slot] - 1];
        if (digest_equal(&entry->digest, digest))
            return entry;
    }
    if (shard->count == shard->maximum)
        return NULL;
    if (shard->count == shard->room) {
        shard->room = shard->room > 0 ? 2 * shard->room : 64;
        shard->entries =
            alloc_grow(shard->entries, shard->room, sizeof *shard->entries);
    }
    struct read_entry *entry = &shard->entries[shard->count++];
    shard->slots[slot] = (uint32_t)shard->count;
    *entry = (struct read_entry){.digest = *digest, .first_us = now_us};
    return entry;
}

void read_log_note(struct read_log *log, const struct digest *digest, enum tier tier,
                   uint64_t bytes)
{
    int64_t now_us = clock_wall_us();
    struct shard *shard = &log->shards[digest->bytes[0] % SHARDS];
    atomic_fetch_add_explicit(&log->reads[tier], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&log->bytes[tier], bytes, memory_order_relaxed);
    LOCK_SCOPE(&shard->lock);
    struct read_entry *entry = entry_of(shard, digest, now_us);
    if (entry == NULL) {
        shard->dropped++;
        return;
    }
    entry->reads++;
    entry->bytes += bytes;
    entry->last_us = now_us;
}

static void take_shard(struct shard *shard, struct shard *taken)
{
    LOCK_SCOPE(&shard->lock);
    taken->entries = steal_ptr(shard->entries);
    taken->count = shard->count;
    taken->dropped = shard->dropped;
    if (shard->count > 0)
        memset(shard->slots, 0, shard->slots_count * sizeof *shard->slots);
    shard->count = shard->room = 0;
    shard->dropped = 0;
}

static int compare(const void *a, const void *b)
{
    return digest_compare(&((const struct read_entry *)a)->digest,
                          &((const struct read_entry *)b)->digest);
}

size_t read_log_take(struct read_log *log, struct read_entry **entries,
                     uint64_t *dropped)
{
    size_t count = 0;
    uint64_t lost = 0;
    *entries = NULL;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard taken = {0};
        take_shard(&log->shards[i], &taken);
        lost += taken.dropped;
        if (taken.count > 0) {
            *entries = alloc_grow(*entries, count + taken.count, sizeof **entries);
            memcpy(*entries + count, taken.entries,
                   taken.count * sizeof *taken.entries);
            count += taken.count;
        }
        free(taken.entries);
    }
    if (count > 0)
        qsort(*entries, count, sizeof **entries, compare);
    if (dropped != NULL)
        *dropped = lost;
    return count;
}

void read_log_totals(struct read_log *log, struct read_totals *totals)
{
    for (int tier = 0; tier < TIER_COUNT; tier++) {
        totals->reads[tier] = atomic_load(&log->reads[tier]);
        totals->bytes[tier] = atomic_load(&log->bytes[tier]);
    }
}
