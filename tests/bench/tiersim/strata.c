// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/tiersim/strata.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"

struct strata {
    struct strata_options options;
    uint32_t *dirty; // read since the last pass
    bool *is_dirty;
    size_t dirty_count;
};

struct strata_options strata_options_of(const struct config *config)
{
    return (struct strata_options){.decide = decide_options_of(config),
                                   .high = (double)config->hot_high_mark / 100,
                                   .low = (double)config->hot_low_mark / 100};
}

static struct decide_blob known(const struct sim *sim, uint32_t blob)
{
    const struct sim_blob *b = &sim->blobs[blob];
    struct decide_blob known = {.size = sim_size(sim, blob),
                                .created_us = sim->trace->blobs[blob].born_us,
                                .heat = b->heat};
    for (int tier = 0; tier < TIER_COUNT; tier++)
        known.since_us[tier] = b->since_us[tier];
    return known;
}

static double score(const struct sim *sim, uint32_t blob)
{
    const struct strata *strata = sim->state;
    return heat_score(&strata->options.decide.heat, &sim->blobs[blob].heat,
                      sim->trace->blobs[blob].born_us);
}

static double coldest(const struct sim *sim, enum tier tier)
{
    double least = NAN;
    for (uint32_t blob = 0; blob < sim->born; blob++) {
        if (sim->blobs[blob].since_us[tier] == 0 || sim->blobs[blob].is_moving)
            continue;
        double this = score(sim, blob);
        if (isnan(least) || this < least)
            least = this;
    }
    return least;
}

static void look_at_tiers(const struct sim *sim, struct decide_tier tiers[TIER_COUNT])
{
    const struct strata *strata = sim->state;
    for (int tier = 0; tier < TIER_COUNT; tier++) {
        double capacity = (double)sim->capacity[tier];
        tiers[tier] = (struct decide_tier){
            .is_online = true,
            .is_limited = tier != TIER_COLD,
            .used = sim->used[tier] + sim->coming[tier],
            .capacity = sim->capacity[tier],
            .high = (uint64_t)(capacity * strata->options.high),
            .low = (uint64_t)(capacity * strata->options.low),
            .coldest = tier != TIER_COLD ? coldest(sim, (enum tier)tier) : NAN,
            .rate = sim_write_rate[tier],
        };
    }
}

// ---- what was read ------------------------------------------------------------------

static void look_at_blobs(struct sim *sim, struct decide_tier tiers[TIER_COUNT])
{
    struct strata *strata = sim->state;
    for (size_t i = 0; i < strata->dirty_count; i++) {
        uint32_t blob = strata->dirty[i];
        struct decide_blob facts = known(sim, blob);
        struct decision decision;
        strata->is_dirty[blob] = false;
        decide(&strata->options.decide, &facts, tiers, sim->now_us, &decision);
        if (decision.moves &&
            sim_move_begin(sim, blob, decision.tier, decision.drops) &&
            facts.since_us[decision.tier] == 0)
            tiers[decision.tier].used += facts.size;
    }
    strata->dirty_count = 0;
}

// ---- tiers above their mark -----------------------------------------------------

struct ranked {
    double score;
    uint32_t blob;
};

static int compare(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? -1 : 1;
    return x->blob < y->blob ? -1 : x->blob > y->blob;
}

static uint64_t leaving(const struct sim *sim, enum tier tier)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < sim->queue_count + sim->running_count; i++) {
        const struct sim_move *move =
            i < sim->running_count
                ? &sim->running[i]
                : &sim->queue[(sim->queue_first + i - sim->running_count) %
                              sim->queue_room];
        if (move->drops && move->to > tier &&
            sim->blobs[move->blob].since_us[tier] != 0)
            bytes += sim_size(sim, move->blob);
    }
    return bytes;
}

static void relieve(struct sim *sim, enum tier tier,
                    struct decide_tier tiers[TIER_COUNT])
{
    const struct strata *strata = sim->state;
    uint64_t left = leaving(sim, tier), fill = tiers[tier].used - left;
    if (fill <= tiers[tier].high)
        return;
    AUTO_FREE struct ranked *order = alloc_array(sim->born, sizeof *order);
    size_t count = 0;
    for (uint32_t blob = 0; blob < sim->born; blob++) {
        if (sim->blobs[blob].since_us[tier] != 0 && !sim->blobs[blob].is_moving)
            order[count++] = (struct ranked){score(sim, blob), blob};
    }
    qsort(order, count, sizeof *order, compare);
    for (size_t i = 0; i < count && fill > tiers[tier].low; i++) {
        struct decide_blob facts = known(sim, order[i].blob);
        struct decision decision;
        decide_space(&strata->options.decide, &facts, tiers, tier, false, sim->now_us,
                     &decision);
        if (!decision.moves ||
            !sim_move_begin(sim, order[i].blob, decision.tier, decision.drops))
            continue;
        fill -= facts.size;
        if (facts.since_us[decision.tier] == 0)
            tiers[decision.tier].used += facts.size;
    }
}

static void on_pass(struct sim *sim)
{
    struct strata *strata = sim->state;
    struct decide_tier tiers[TIER_COUNT];
    bool is_full = false;
    for (int tier = 0; tier < TIER_COLD; tier++) {
        uint64_t used = sim->used[tier] + sim->coming[tier];
        is_full = is_full ||
                  (double)used > strata->options.high * (double)sim->capacity[tier];
    }
    if (strata->dirty_count == 0 && !is_full)
        return;
    look_at_tiers(sim, tiers);
    look_at_blobs(sim, tiers);
    for (int tier = 0; tier < TIER_COLD; tier++)
        relieve(sim, (enum tier)tier, tiers);
}

static void on_read(struct sim *sim, uint32_t blob, double share, enum tier from)
{
    struct strata *strata = sim->state;
    heat_add(&strata->options.decide.heat, &sim->blobs[blob].heat, share, sim->now_us);
    if (from == TIER_HOT || strata->is_dirty[blob])
        return;
    strata->is_dirty[blob] = true;
    strata->dirty[strata->dirty_count++] = blob;
}

static void *begin(struct sim *sim, const void *options)
{
    struct strata *strata = alloc_zero(sizeof *strata);
    strata->options = *(const struct strata_options *)options;
    strata->dirty = alloc_array(sim->trace->blobs_count, sizeof *strata->dirty);
    strata->is_dirty = alloc_array(sim->trace->blobs_count, sizeof *strata->is_dirty);
    return strata;
}

static void end(struct sim *sim)
{
    struct strata *strata = sim->state;
    free(strata->dirty);
    free(strata->is_dirty);
    free(strata);
}

const struct sim_strategy strata_strategy = {.name = "Strata",
                                             .begin = begin,
                                             .on_read = on_read,
                                             .on_pass = on_pass,
                                             .end = end};
