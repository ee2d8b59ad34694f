// SPDX-License-Identifier: Apache-2.0
#include "server/policy/heat.h"

#include <math.h>

static double half_lives(const struct heat_options *options, int64_t us)
{
    return (double)us / (double)options->half_life_us;
}

double heat_reads(uint64_t bytes, uint64_t size, uint64_t requests)
{
    return size == 0 ? (double)requests : (double)bytes / (double)size;
}

// As seen from a later window.
static uint64_t shifted(const struct heat_options *options, const struct heat *heat,
                        int64_t now_us)
{
    int64_t passed = now_us / options->window_us - heat->at_us / options->window_us;
    if (passed <= 0)
        return heat->windows;
    return passed < HEAT_WINDOWS ? heat->windows << passed : 0;
}

void heat_add(const struct heat_options *options, struct heat *heat, double reads,
              int64_t at_us)
{
    if (reads <= 0)
        return;
    if (at_us < heat->at_us)
        at_us = heat->at_us;
    heat->windows = heat->at_us == 0 ? 0 : shifted(options, heat, at_us);
    if (reads >= HEAT_WINDOW_READS)
        heat->windows |= 1;
    heat->heat = heat_at(options, heat, at_us) + reads;
    heat->at_us = heat->read_us = at_us;
}

double heat_at(const struct heat_options *options, const struct heat *heat,
               int64_t now_us)
{
    if (heat->at_us == 0)
        return 0;
    int64_t age_us = now_us > heat->at_us ? now_us - heat->at_us : 0;
    return heat->heat * exp2(-half_lives(options, age_us));
}

int heat_windows(const struct heat_options *options, const struct heat *heat,
                 int64_t now_us, int count)
{
    if (heat->at_us == 0)
        return 0;
    uint64_t mask = count < HEAT_WINDOWS ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
    return __builtin_popcountll(shifted(options, heat, now_us) & mask);
}

double heat_score(const struct heat_options *options, const struct heat *heat,
                  int64_t born_us)
{
    // Its birth is a read as well, so that what came just now is not the first to go,
    // and there is always something to take the logarithm of.
    int64_t at_us = heat->at_us > born_us ? heat->at_us : born_us;
    double birth = exp2(-half_lives(options, at_us - born_us));
    return log2(heat_at(options, heat, at_us) + birth) + half_lives(options, at_us);
}
