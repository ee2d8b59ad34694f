// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/tiersim/caches.h"

#include <stdlib.h>

#include "common/alloc.h"

#define NOBODY UINT32_MAX

struct cache {
    struct heat_options heat;
    // What goes first has the least; the strategy's own.
    double (*rank)(const struct sim *sim, uint32_t blob);
    uint32_t (*victim)(struct sim *sim, enum tier tier);
    int64_t turn;                 // of S3-FIFO's queues
    uint64_t evicted[TIER_COUNT]; // bytes, ever
};

static bool may_go(const struct sim *sim, uint32_t blob, enum tier tier)
{
    return sim->blobs[blob].since_us[tier] != 0 && !sim->blobs[blob].is_moving;
}

static uint32_t least(struct sim *sim, enum tier tier)
{
    const struct cache *cache = sim->state;
    uint32_t best = NOBODY;
    double rank = 0;
    for (uint32_t blob = 0; blob < sim->born; blob++) {
        if (!may_go(sim, blob, tier))
            continue;
        double this = cache->rank(sim, blob);
        if (best == NOBODY || this < rank) {
            best = blob;
            rank = this;
        }
    }
    return best;
}

static void enter(struct sim *sim, uint32_t blob, enum tier tier);

static void make_room(struct sim *sim, enum tier tier, uint64_t need)
{
    struct cache *cache = sim->state;
    while (sim->used[tier] + need > sim->capacity[tier]) {
        uint32_t blob = cache->victim(sim, tier);
        if (blob == NOBODY)
            return;
        sim_drop(sim, blob, tier);
        cache->evicted[tier] += sim_size(sim, blob);
        if (tier == TIER_HOT && sim->blobs[blob].since_us[TIER_WARM] == 0) {
            make_room(sim, TIER_WARM, sim_size(sim, blob));
            sim_place(sim, blob, TIER_HOT, TIER_WARM);
            enter(sim, blob, TIER_WARM);
        }
    }
}

// ---- any of them --------------------------------------------------------------------

static void *begin(double (*rank)(const struct sim *, uint32_t),
                   uint32_t (*victim)(struct sim *, enum tier))
{
    struct cache *cache = alloc_zero(sizeof *cache);
    cache->heat =
        (struct heat_options){.half_life_us = 3 * TRACE_DAY, .window_us = TRACE_HOUR};
    cache->rank = rank;
    cache->victim = victim;
    return cache;
}

static void end(struct sim *sim)
{
    free(sim->state);
}

static void on_birth(struct sim *sim, uint32_t blob)
{
    make_room(sim, TIER_HOT, sim_size(sim, blob));
    enter(sim, blob, TIER_HOT);
}

static void on_read(struct sim *sim, uint32_t blob, double share, enum tier from)
{
    const struct cache *cache = sim->state;
    struct sim_blob *b = &sim->blobs[blob];
    heat_add(&cache->heat, &b->heat, share, sim->now_us);
    if (b->fifo[from].reads < 3)
        b->fifo[from].reads++;
    if (from != TIER_HOT)
        (void)sim_move_begin(sim, blob, TIER_HOT, false);
}

static void on_start(struct sim *sim, const struct sim_move *move)
{
    make_room(sim, move->to, sim_size(sim, move->blob));
    enter(sim, move->blob, move->to);
}

// ---- LRU, LFU
// -------------------------------------------------------------------------

static double last_read(const struct sim *sim, uint32_t blob)
{
    return (double)sim->blobs[blob].read_us;
}

static double decayed(const struct sim *sim, uint32_t blob)
{
    const struct cache *cache = sim->state;
    return heat_score(&cache->heat, &sim->blobs[blob].heat,
                      sim->trace->blobs[blob].born_us);
}

static void *begin_lru(struct sim *sim, const void *options)
{
    (void)sim, (void)options;
    return begin(last_read, least);
}

static void *begin_lfu(struct sim *sim, const void *options)
{
    (void)sim, (void)options;
    return begin(decayed, least);
}

const struct sim_strategy cache_lru = {.name = "LRU",
                                       .begin = begin_lru,
                                       .on_birth = on_birth,
                                       .on_read = on_read,
                                       .on_start = on_start,
                                       .end = end};
const struct sim_strategy cache_lfu = {.name = "LFU with decay",
                                       .begin = begin_lfu,
                                       .on_birth = on_birth,
                                       .on_read = on_read,
                                       .on_start = on_start,
                                       .end = end};

// ---- S3-FIFO
// ----------------------------------------------------------------------------

// What left a short while ago, by the bytes that have left since, is remembered, and
// goes to the main queue when it comes back.
static void enter(struct sim *sim, uint32_t blob, enum tier tier)
{
    struct cache *cache = sim->state;
    struct sim_blob *b = &sim->blobs[blob];
    uint64_t since = cache->evicted[tier] - b->fifo[tier].evicted;
    b->fifo[tier].is_main = b->fifo[tier].is_ghost && since < sim->capacity[tier];
    b->fifo[tier].is_ghost = false;
    b->fifo[tier].reads = 0;
    b->fifo[tier].turn = cache->turn++;
}

static uint32_t oldest(const struct sim *sim, enum tier tier, bool is_main,
                       uint64_t *bytes)
{
    uint32_t best = NOBODY;
    *bytes = 0;
    for (uint32_t blob = 0; blob < sim->born; blob++) {
        const struct sim_blob *b = &sim->blobs[blob];
        if (!may_go(sim, blob, tier) || b->fifo[tier].is_main != is_main)
            continue;
        *bytes += sim_size(sim, blob);
        if (best == NOBODY || b->fifo[tier].turn < sim->blobs[best].fifo[tier].turn)
            best = blob;
    }
    return best;
}

static uint32_t fifo_victim(struct sim *sim, enum tier tier)
{
    struct cache *cache = sim->state;
    for (;;) {
        uint64_t small_bytes, main_bytes;
        uint32_t small = oldest(sim, tier, false, &small_bytes);
        uint32_t main = oldest(sim, tier, true, &main_bytes);
        bool from_small = small != NOBODY &&
                          (main == NOBODY || small_bytes > sim->capacity[tier] / 10);
        uint32_t blob = from_small ? small : main;
        if (blob == NOBODY)
            return blob;
        struct sim_blob *b = &sim->blobs[blob];
        if (from_small ? b->fifo[tier].reads <= 1 : b->fifo[tier].reads == 0) {
            b->fifo[tier].is_ghost = from_small;
            b->fifo[tier].evicted = cache->evicted[tier];
            return blob;
        }
        b->fifo[tier].reads = from_small ? 0 : b->fifo[tier].reads - 1;
        b->fifo[tier].is_main = true;
        b->fifo[tier].turn = cache->turn++;
    }
}

static void *begin_fifo(struct sim *sim, const void *options)
{
    (void)sim, (void)options;
    return begin(NULL, fifo_victim);
}

const struct sim_strategy cache_s3fifo = {.name = "S3-FIFO",
                                          .begin = begin_fifo,
                                          .on_birth = on_birth,
                                          .on_read = on_read,
                                          .on_start = on_start,
                                          .end = end};

// ---- the one that knows ---------------------------------------------------------

static double sooner(const struct sim *sim, uint32_t blob)
{
    return -(double)sim->blobs[blob].next_us;
}

static void *begin_oracle(struct sim *sim, const void *options)
{
    (void)sim, (void)options;
    return begin(sooner, least);
}

// Bytes that are free or belong to what is read later.
static uint64_t room_for(const struct sim *sim, uint32_t blob, enum tier tier)
{
    uint64_t room = sim->capacity[tier] - sim->used[tier];
    for (uint32_t other = 0; other < sim->born; other++) {
        if (sim->blobs[other].since_us[tier] != 0 &&
            sim->blobs[other].next_us > sim->blobs[blob].next_us)
            room += sim_size(sim, other);
    }
    return room;
}

// Takes it where there is room without the loss of what is read sooner.
static void offer(struct sim *sim, uint32_t blob, enum tier from, enum tier tier)
{
    uint64_t size = sim_size(sim, blob);
    for (; tier < sim_present(&sim->blobs[blob]); tier++) {
        if (room_for(sim, blob, tier) < size)
            continue;
        while (sim->used[tier] + size > sim->capacity[tier]) {
            uint32_t victim = least(sim, tier);
            sim_drop(sim, victim, tier);
            offer(sim, victim, tier, tier + 1);
        }
        sim_place(sim, blob, from, tier);
        if (tier == TIER_HOT)
            sim_drop(sim, blob, TIER_WARM);
        return;
    }
}

static void oracle_read(struct sim *sim, uint32_t blob, double share, enum tier from)
{
    (void)share;
    if (sim->blobs[blob].next_us != INT64_MAX)
        offer(sim, blob, from, TIER_HOT);
}

const struct sim_strategy cache_oracle = {
    .name = "oracle", .begin = begin_oracle, .on_read = oracle_read, .end = end};
