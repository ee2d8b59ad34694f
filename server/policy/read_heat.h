// SPDX-License-Identifier: Apache-2.0
// Heat: how often a blob is read, each read worth half as much a half-life later; and
// in which of the last windows it was read at all, so that one burst is told from a
// habit.
#pragma once

#include <stdint.h>

#define HEAT_HALF_LIFE_US (7 * 86400 * INT64_C(1000000))
#define HEAT_WINDOW_US (3600 * INT64_C(1000000)) // 64 of them are remembered

struct read_heat {
    double heat;      // as of at_us
    int64_t at_us;    // 0: never read
    uint64_t windows; // bit n: read in the window n before that of at_us
    int64_t read_us;  // the last read
};

double read_heat_at(const struct read_heat *heat, int64_t now_us);
// Adds `reads` that ended at `at_us`, which may lie a little before the last.
void read_heat_add(struct read_heat *heat, uint64_t reads, int64_t at_us);
// How many of the last `count` windows it was read in.
int read_heat_windows(const struct read_heat *heat, int64_t now_us, int count);
// Orders blobs by heat and does not change while nobody reads (0004_tiers.sql).
double read_heat_score(const struct read_heat *heat);
