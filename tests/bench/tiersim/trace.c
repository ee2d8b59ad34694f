// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/tiersim/trace.h"

#include <stdbool.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "tests/bench/tiersim/trace_parts.h"

// ---- what happens in a registry -----------------------------------------------------

// So many reads a day, spread evenly by chance, of models by Zipf's law.
static void add_zipf(struct trace *trace, int days, int daily, double skew)
{
    CLEANUP(trace_zipf_clear) struct trace_zipf zipf;
    trace_zipf_init(trace, &zipf, skew);
    for (int i = 0; i < days * daily; i++)
        trace_read_model(trace, trace_zipf_draw(trace, &zipf),
                         TRACE_BEGIN + trace_random_int(trace, days * TRACE_DAY));
}

// The production set: each of some models is loaded once a day, in the morning, by
// machines that start one after the other.
static void add_daily(struct trace *trace, int days, uint32_t first, uint32_t count)
{
    for (int day = 0; day < days; day++) {
        for (uint32_t i = 0; i < count; i++)
            trace_read_model(trace, first + i,
                             TRACE_BEGIN + day * TRACE_DAY + 8 * TRACE_HOUR +
                                 trace_random_int(trace, 2 * TRACE_HOUR));
    }
}

// Once a week everything is read, one model after the other, over ten hours.
static void add_scans(struct trace *trace, int days)
{
    for (int day = 3; day < days; day += 7) {
        int64_t at_us = TRACE_BEGIN + day * TRACE_DAY + 20 * TRACE_HOUR;
        for (uint32_t model = 0; model < trace->models_count; model++) {
            trace_read_model(trace, model, at_us);
            at_us += 10 * TRACE_HOUR / (int64_t)trace->models_count;
        }
    }
}

// Every fourth day the world wants one model that nobody wanted before: 400 loads, half
// of them within six hours.
static void add_crowds(struct trace *trace, int days)
{
    for (int day = 2; day < days; day += 4) {
        uint32_t model =
            (uint32_t)trace_random_int(trace, (int64_t)trace->models_count);
        int64_t at_us = TRACE_BEGIN + day * TRACE_DAY + 14 * TRACE_HOUR;
        for (int i = 0; i < 400; i++) {
            double u = trace_random(trace);
            int64_t after = (int64_t)(u / (1.02 - u) * 6.0 * (double)TRACE_HOUR);
            trace_read_model(trace, model, at_us + after);
        }
    }
}

// Every third day one of ten products gets a new version; its 30 loads a day are of the
// new one within a day, and the old one is compared with now and then for a week.
static void add_releases(struct trace *trace, int days)
{
    enum { PRODUCTS = 10 };
    uint32_t current[PRODUCTS];
    for (uint32_t i = 0; i < PRODUCTS; i++)
        current[i] = i;
    for (int day = 0; day < days; day++) {
        int64_t at_us = TRACE_BEGIN + day * TRACE_DAY;
        uint32_t product = (uint32_t)(day / 3 % PRODUCTS), old = current[product];
        if (day % 3 == 0) {
            current[product] = trace_add_version(trace, old, at_us + 10 * TRACE_HOUR);
            for (int i = 0; i < 6; i++)
                trace_read_model(trace, old,
                                 at_us + TRACE_DAY +
                                     trace_random_int(trace, 6 * TRACE_DAY));
        }
        for (uint32_t i = 0; i < PRODUCTS; i++) {
            for (int n = 0; n < 30; n++) {
                int64_t load_us = at_us + trace_random_int(trace, TRACE_DAY);
                bool is_new = load_us > at_us + 11 * TRACE_HOUR;
                trace_read_model(trace, i == product && !is_new ? old : current[i],
                                 load_us);
            }
        }
    }
}

// Each hour a catalogue looks at the headers of everything.
static void add_peeks(struct trace *trace, int days)
{
    size_t count = trace->models_count;
    for (int hour = 0; hour < 24 * days; hour++) {
        for (uint32_t model = 0; model < count; model++)
            trace_peek_model(trace, model,
                             TRACE_BEGIN + hour * TRACE_HOUR +
                                 (int64_t)model * TRACE_SECOND);
    }
}

// ---- the traces -----------------------------------------------------------------

#define DAILY_MODELS 24

static void make_zipf(struct trace *trace, int days)
{
    add_zipf(trace, days, 200, 0.9);
}

static void make_daily(struct trace *trace, int days)
{
    add_daily(trace, days, 0, DAILY_MODELS);
    add_zipf(trace, days, 20, 0.6);
}

static void make_scan(struct trace *trace, int days)
{
    make_daily(trace, days);
    add_scans(trace, days);
}

static void make_crowd(struct trace *trace, int days)
{
    add_zipf(trace, days, 60, 0.8);
    add_crowds(trace, days);
}

static void make_release(struct trace *trace, int days)
{
    add_zipf(trace, days, 40, 0.6);
    add_releases(trace, days);
}

static void make_ranges(struct trace *trace, int days)
{
    add_peeks(trace, days);
    for (int i = 0; i < 500 * days; i++)
        trace_read_tensors(
            trace, (uint32_t)trace_random_int(trace, (int64_t)trace->models_count),
            TRACE_BEGIN + trace_random_int(trace, days * TRACE_DAY));
    add_zipf(trace, days, 40, 0.8);
}

static void make_mixed(struct trace *trace, int days)
{
    add_zipf(trace, days, 60, 0.8);
    add_daily(trace, days, 20, DAILY_MODELS / 2);
    add_scans(trace, days);
    add_crowds(trace, days);
    add_releases(trace, days);
}

const struct trace_kind trace_kinds[] = {
    {"zipf", "200 loads a day, models by Zipf's law (0.9)", make_zipf},
    {"daily", "24 models every morning, 20 others a day", make_daily},
    {"scan+daily", "the same, and once a week everything is read", make_scan},
    {"crowd", "every fourth day 400 loads of a model nobody read before", make_crowd},
    {"release", "10 products, a new version every third day", make_release},
    {"ranges",
     "headers of everything each hour, 500 reads of tensors and 40 loads a day",
     make_ranges},
    {"mixed", "all of these but headers and tensors", make_mixed},
};
const size_t trace_kinds_count = sizeof trace_kinds / sizeof *trace_kinds;

// ---- one of them ----------------------------------------------------------------

static int compare(const void *a, const void *b)
{
    const struct trace_read *x = a, *y = b;
    if (x->at_us != y->at_us)
        return x->at_us < y->at_us ? -1 : 1;
    if (x->blob != y->blob)
        return x->blob < y->blob ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static void find_next(struct trace *trace)
{
    AUTO_FREE int64_t *next = alloc_array(trace->blobs_count, sizeof *next);
    for (size_t i = 0; i < trace->blobs_count; i++)
        next[i] = INT64_MAX;
    for (size_t i = trace->reads_count; i-- > 0;) {
        struct trace_read *read = &trace->reads[i];
        read->next_us = next[read->blob];
        next[read->blob] = read->at_us;
    }
    for (size_t i = 0; i < trace->blobs_count; i++)
        trace->blobs[i].first_us = next[i];
}

struct trace *trace_new(const struct trace_kind *kind, int models, int days,
                        uint64_t seed)
{
    struct trace *trace = alloc_zero(sizeof *trace);
    trace->name = kind->name;
    trace->random = seed;
    trace->end_us = TRACE_BEGIN + days * TRACE_DAY;
    trace->warmup_us = TRACE_BEGIN + days / 4 * TRACE_DAY;
    for (int i = 0; i < models; i++)
        trace_add_model(trace, TRACE_BEGIN - (models - i) * TRACE_DAY);
    kind->make(trace, days);
    qsort(trace->reads, trace->reads_count, sizeof *trace->reads, compare);
    find_next(trace);
    return trace;
}

void trace_free(struct trace *trace)
{
    free(trace->blobs);
    free(trace->reads);
    free(trace->models);
    free(trace);
}
