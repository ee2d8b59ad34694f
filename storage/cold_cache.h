// SPDX-License-Identifier: Apache-2.0
// Reads from the cold tier: a cache of decoded chunks that all readers share, bounded
// whatever their number, and the threads that fetch them. However many wait for a
// chunk, it is read from the tier once. Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cold_reads;

struct cold_reads_options {
    size_t memory;    // bytes of chunks, decoded and as they are stored
    unsigned threads; // reads from the tier at once; tier_ops.parallel
};

// Threads start with the first read.
struct cold_reads *cold_reads_new(const struct cold_reads_options *options);
// All readers are gone. Waits for the reads that are under way. NULL is allowed.
void cold_reads_free(struct cold_reads *reads);

// Since the start.
struct cold_reads_counts {
    uint64_t fetched;  // chunks that were read and checked
    uint64_t shared;   // times that a reader met a chunk which was read for another
    uint64_t bytes;    // read from the tier
    uint64_t failures; // chunks that could not be read or checked
    uint64_t waits;    // times that a reader waited for a chunk or a piece
    uint64_t memory;   // bytes that chunks have taken, at most at once
};
void cold_reads_count(struct cold_reads *reads, struct cold_reads_counts *counts);
