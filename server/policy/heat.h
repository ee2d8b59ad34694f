// SPDX-License-Identifier: Apache-2.0
// Heat: how often a blob is read, each read worth half as much a half-life later (LFU
// with decay), and in which of the last windows it was read at all, so that a habit is
// told from one burst and from a scan. A read counts by its bytes: a thousand ranges
// that together are the blob once are one read. No database, no clock; any thread.
#pragma once

#include <stdint.h>

#define HEAT_WINDOWS 64 // that are remembered
// A window counts when so much of the blob was read at once; a look at its header is no
// sign that the rest will be wanted.
#define HEAT_WINDOW_READS 0.01

struct heat_options {
    int64_t half_life_us;
    int64_t window_us;
};

// All zero: never read.
struct heat {
    double heat;      // whole reads, as of at_us
    int64_t at_us;    // 0: never read
    uint64_t windows; // bit n: read in the window n before that of at_us
    int64_t read_us;  // the last read
};

// How many whole reads so many bytes are, of a blob of `size` bytes that was asked for
// `requests` times. An empty blob is read whole by each request.
double heat_reads(uint64_t bytes, uint64_t size, uint64_t requests);
// Adds whole reads that ended at `at_us`, which may lie a little before the last.
void heat_add(const struct heat_options *options, struct heat *heat, double reads,
              int64_t at_us);
double heat_at(const struct heat_options *options, const struct heat *heat,
               int64_t now_us);
// How many of the last `count` windows (1 to HEAT_WINDOWS), the present one too, it was
// read in.
int heat_windows(const struct heat_options *options, const struct heat *heat,
                 int64_t now_us, int count);
// Orders blobs by heat and does not change while nobody reads: log2(heat) + at_us in
// half-lives. That it came, at `born_us`, counts as one read more.
double heat_score(const struct heat_options *options, const struct heat *heat,
                  int64_t born_us);
