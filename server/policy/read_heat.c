// SPDX-License-Identifier: Apache-2.0
#include "server/policy/read_heat.h"

#include <math.h>

#define WINDOWS 64

static double half_lives(int64_t from_us, int64_t to_us)
{
    return (double)(to_us - from_us) / (double)HEAT_HALF_LIFE_US;
}

double read_heat_at(const struct read_heat *heat, int64_t now_us)
{
    return heat->at_us == 0 ? 0 : heat->heat * exp2(-half_lives(heat->at_us, now_us));
}

// As seen from a later window.
static uint64_t shifted(const struct read_heat *heat, int64_t now_us)
{
    int64_t passed = now_us / HEAT_WINDOW_US - heat->at_us / HEAT_WINDOW_US;
    if (passed <= 0)
        return heat->windows;
    return passed < WINDOWS ? heat->windows << passed : 0;
}

void read_heat_add(struct read_heat *heat, uint64_t reads, int64_t at_us)
{
    if (at_us < heat->at_us)
        at_us = heat->at_us;
    heat->windows = heat->at_us == 0 ? 1 : shifted(heat, at_us) | 1;
    heat->heat = read_heat_at(heat, at_us) + (double)reads;
    heat->at_us = heat->read_us = at_us;
}

int read_heat_windows(const struct read_heat *heat, int64_t now_us, int count)
{
    if (heat->at_us == 0)
        return 0;
    uint64_t mask = count < WINDOWS ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
    return __builtin_popcountll(shifted(heat, now_us) & mask);
}

double read_heat_score(const struct read_heat *heat)
{
    return log2(heat->heat) + (double)heat->at_us / (double)HEAT_HALF_LIFE_US;
}
