// SPDX-License-Identifier: Apache-2.0
// Made-up histories of a registry: models of several files, versions that are published
// and reads of them over some weeks. The same seed makes the same trace.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TRACE_SECOND INT64_C(1000000) // times are microseconds of the virtual clock
#define TRACE_HOUR (3600 * TRACE_SECOND)
#define TRACE_DAY (24 * TRACE_HOUR)
// Times begin at a day border, so that none is 0, which stands for never.
#define TRACE_BEGIN (20000 * TRACE_DAY)

struct trace_blob {
    uint64_t size;
    int64_t born_us;
    int64_t first_us; // when it is read first; INT64_MAX: never
};

struct trace_read {
    int64_t at_us;
    uint64_t bytes;
    int64_t next_us; // when the blob is read the next time; INT64_MAX: never again
    uint32_t blob;
};

struct trace_model {
    uint32_t first, count; // its blobs
};

struct trace {
    const char *name;
    struct trace_blob *blobs; // by birth
    struct trace_read *reads; // by time
    struct trace_model *models;
    size_t blobs_count, reads_count, models_count;
    size_t blobs_room, reads_room, models_room;
    uint64_t bytes;    // of all blobs
    int64_t warmup_us; // what is read before counts for nothing
    int64_t end_us;
    uint64_t random; // state
};

struct trace_kind {
    const char *name, *what;
    void (*make)(struct trace *trace, int days);
};
extern const struct trace_kind trace_kinds[];
extern const size_t trace_kinds_count;

struct trace *trace_new(const struct trace_kind *kind, int models, int days,
                        uint64_t seed);
void trace_free(struct trace *trace);
