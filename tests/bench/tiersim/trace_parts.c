// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/tiersim/trace_parts.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"

#define SHARD UINT64_C(5000000000)
#define READ_BYTES_PER_S 1000000000 // how fast a reader goes from file to file

// splitmix64
static uint64_t draw(struct trace *trace)
{
    uint64_t z = (trace->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

double trace_random(struct trace *trace)
{
    return (double)(draw(trace) >> 11) * 0x1p-53;
}

int64_t trace_random_int(struct trace *trace, int64_t count)
{
    return (int64_t)(trace_random(trace) * (double)count);
}

static void add_blob(struct trace *trace, uint64_t size, int64_t born_us)
{
    if (trace->blobs_count == trace->blobs_room) {
        trace->blobs_room = 2 * trace->blobs_room + 64;
        trace->blobs =
            alloc_grow(trace->blobs, trace->blobs_room, sizeof *trace->blobs);
    }
    trace->blobs[trace->blobs_count++] =
        (struct trace_blob){.size = size, .born_us = born_us};
    trace->models[trace->models_count - 1].count++;
    trace->bytes += size;
}

static uint32_t begin_model(struct trace *trace)
{
    if (trace->models_count == trace->models_room) {
        trace->models_room = 2 * trace->models_room + 64;
        trace->models =
            alloc_grow(trace->models, trace->models_room, sizeof *trace->models);
    }
    trace->models[trace->models_count++] =
        (struct trace_model){.first = (uint32_t)trace->blobs_count};
    return (uint32_t)trace->models_count - 1;
}

uint32_t trace_add_model(struct trace *trace, int64_t born_us)
{
    // Box and Muller's normal variable; e^1.1 to either side of 10 GB.
    double u = 1 - trace_random(trace), v = trace_random(trace);
    double normal = sqrt(-2 * log(u)) * cos(2 * M_PI * v);
    double size = fmin(fmax(1e10 * exp(1.1 * normal), 2e8), 1.5e11);
    uint32_t model = begin_model(trace);
    add_blob(trace, 2000 + (uint64_t)trace_random_int(trace, 4000), born_us);
    add_blob(trace, 1000000 + (uint64_t)trace_random_int(trace, 10000000), born_us);
    for (uint64_t left = (uint64_t)size; left > 0;) {
        uint64_t shard = left < SHARD ? left : SHARD;
        add_blob(trace, shard, born_us);
        left -= shard;
    }
    return model;
}

uint32_t trace_add_version(struct trace *trace, uint32_t of, int64_t born_us)
{
    struct trace_model old = trace->models[of];
    uint32_t model = begin_model(trace);
    for (uint32_t i = 0; i < old.count; i++)
        add_blob(trace, trace->blobs[old.first + i].size, born_us);
    return model;
}

static void add_read(struct trace *trace, uint32_t blob, uint64_t bytes, int64_t at_us)
{
    if (at_us >= trace->end_us)
        return;
    if (trace->reads_count == trace->reads_room) {
        trace->reads_room = 2 * trace->reads_room + 1024;
        trace->reads =
            alloc_grow(trace->reads, trace->reads_room, sizeof *trace->reads);
    }
    trace->reads[trace->reads_count++] =
        (struct trace_read){.at_us = at_us, .bytes = bytes, .blob = blob};
}

void trace_read_model(struct trace *trace, uint32_t model, int64_t at_us)
{
    const struct trace_model *m = &trace->models[model];
    for (uint32_t blob = m->first; blob < m->first + m->count; blob++) {
        uint64_t size = trace->blobs[blob].size;
        add_read(trace, blob, size, at_us);
        at_us += (int64_t)(size / (READ_BYTES_PER_S / TRACE_SECOND)) + 1;
    }
}

void trace_peek_model(struct trace *trace, uint32_t model, int64_t at_us)
{
    const struct trace_model *m = &trace->models[model];
    for (uint32_t blob = m->first; blob < m->first + m->count; blob++) {
        uint64_t size = trace->blobs[blob].size;
        add_read(trace, blob, size < 100000 ? size : 100000, at_us++);
    }
}

void trace_read_tensors(struct trace *trace, uint32_t model, int64_t at_us)
{
    const struct trace_model *m = &trace->models[model];
    uint32_t largest = m->first;
    for (uint32_t blob = m->first; blob < m->first + m->count; blob++) {
        if (trace->blobs[blob].size > trace->blobs[largest].size)
            largest = blob;
    }
    add_read(trace, largest, trace->blobs[largest].size / 100 * 3, at_us);
}

void trace_zipf_init(struct trace *trace, struct trace_zipf *zipf, double skew)
{
    zipf->count = trace->models_count;
    zipf->sums = alloc_array(zipf->count, sizeof *zipf->sums);
    zipf->order = alloc_array(zipf->count, sizeof *zipf->order);
    double sum = 0;
    for (size_t i = 0; i < zipf->count; i++) {
        zipf->sums[i] = sum += pow((double)(i + 1), -skew);
        // Fisher and Yates, inside out: which model has which rank is chance.
        size_t j = (size_t)trace_random_int(trace, (int64_t)i + 1);
        zipf->order[i] = zipf->order[j];
        zipf->order[j] = (uint32_t)i;
    }
}

void trace_zipf_clear(struct trace_zipf *zipf)
{
    free(zipf->sums);
    free(zipf->order);
}

uint32_t trace_zipf_draw(struct trace *trace, const struct trace_zipf *zipf)
{
    double x = trace_random(trace) * zipf->sums[zipf->count - 1];
    size_t low = 0, high = zipf->count - 1;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (zipf->sums[middle] > x)
            high = middle;
        else
            low = middle + 1;
    }
    return zipf->order[low];
}
