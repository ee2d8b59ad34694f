// SPDX-License-Identifier: Apache-2.0
// What traces are put together from.
#pragma once

#include "tests/bench/tiersim/trace.h"

double trace_random(struct trace *trace); // from 0 on, below 1
int64_t trace_random_int(struct trace *trace, int64_t count);
// A model of a few small files and shards of at most 5 GB, 10 GB in all at the median.
uint32_t trace_add_model(struct trace *trace, int64_t born_us);
// The same with as many bytes as another.
uint32_t trace_add_version(struct trace *trace, uint32_t of, int64_t born_us);
// All files, one after the other, whole.
void trace_read_model(struct trace *trace, uint32_t model, int64_t at_us);
// A few bytes of each file: what a catalogue looks at.
void trace_peek_model(struct trace *trace, uint32_t model, int64_t at_us);
// Three hundredths of the largest file: some tensors of it.
void trace_read_tensors(struct trace *trace, uint32_t model, int64_t at_us);

struct trace_zipf {
    double *sums;
    uint32_t *order;
    size_t count;
};
void trace_zipf_init(struct trace *trace, struct trace_zipf *zipf, double skew);
void trace_zipf_clear(struct trace_zipf *zipf);
uint32_t trace_zipf_draw(struct trace *trace, const struct trace_zipf *zipf);
