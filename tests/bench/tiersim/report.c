// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/tiersim/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "tests/bench/tiersim/caches.h"
#include "tests/bench/tiersim/strata.h"

struct figures {
    double hot, faster; // per cent of the bytes read, from hot, from hot or warm
    double up, down;    // TB
    double cold;        // per cent of the requests
    double waited;      // hours
    int count;
};

static void add(struct figures *sum, const struct sim_result *r)
{
    double bytes =
        (double)(r->read[TIER_HOT] + r->read[TIER_WARM] + r->read[TIER_COLD]);
    double requests = (double)(r->requests[TIER_HOT] + r->requests[TIER_WARM] +
                               r->requests[TIER_COLD]);
    sum->hot += 100 * (double)r->read[TIER_HOT] / bytes;
    sum->faster += 100 * (double)(r->read[TIER_HOT] + r->read[TIER_WARM]) / bytes;
    sum->up += (double)r->up / 1e12;
    sum->down += (double)r->down / 1e12;
    sum->cold += 100 * (double)r->requests[TIER_COLD] / requests;
    sum->waited += r->waited_s / 3600;
    sum->count++;
}

static void print_row(const char *name, const struct figures *sum)
{
    double n = sum->count;
    printf("| %s | %.1f | %.1f | %.1f | %.1f | %.1f | %.0f |\n", name, sum->hot / n,
           sum->faster / n, sum->up / n, sum->down / n, sum->cold / n, sum->waited / n);
    fflush(stdout);
}

static void print_head(const char *what)
{
    printf(
        "| %s | hot %% | hot, warm %% | up TB | down TB | cold requests %% | waited h "
        "|\n| --- | --- | --- | --- | --- | --- | --- |\n",
        what);
}

static bool is_wanted(const struct report_options *options, const char *name)
{
    return options->trace == NULL || strcmp(options->trace, name) == 0;
}

static struct trace *make(const struct report_options *options, size_t kind, int seed)
{
    return trace_new(&trace_kinds[kind], options->models, options->days,
                     (uint64_t)seed + 1);
}

static struct sim_setup setup_of(const struct report_options *options,
                                 const struct sim_strategy *strategy,
                                 const struct strata_options *strata)
{
    return (struct sim_setup){.strategy = strategy,
                              .options = strata,
                              .hot = options->hot,
                              .warm = options->warm};
}

void report_compare(const struct report_options *options)
{
    static const struct sim_strategy *const all[] = {
        &strata_strategy, &cache_lru, &cache_lfu, &cache_s3fifo, &cache_oracle};
    struct strata_options strata = strata_options_of(options->config);
    for (size_t kind = 0; kind < trace_kinds_count; kind++) {
        struct figures sums[ARRAY_SIZE(all)] = {0};
        if (!is_wanted(options, trace_kinds[kind].name))
            continue;
        for (int seed = 0; seed < options->seeds; seed++) {
            struct trace *trace = make(options, kind, seed);
            for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                struct sim_setup setup = setup_of(options, all[i], &strata);
                struct sim_result result = sim_run(trace, &setup);
                add(&sums[i], &result);
            }
            trace_free(trace);
        }
        printf("\n%s: %s\n\n", trace_kinds[kind].name, trace_kinds[kind].what);
        print_head("");
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
            print_row(all[i]->name, &sums[i]);
    }
}

// ---- options ------------------------------------------------------------------------

static const struct {
    const char *option, *values[5];
} sweep[] = {
    {"heat_half_life", {"1d", "2d", "3d", "5d", "14d"}},
    {"heat_window", {"10m", "30m", "1h", "2h", "6h"}},
    {"promote_reads", {"1", "2", "3", "4", NULL}},
    {"promote_windows", {"12", "24", "48", "64", NULL}},
    {"promote_heat", {"0", "50", "100", "150", "200"}},
    {"promote_burst", {"200", "300", "400", "800", "1000000"}},
    {"promote_factor", {"1", "2", "3", "4", "8"}},
    {"residence_factor", {"0", "10", "100", "1000", NULL}},
};

static void sweep_one(const struct report_options *options, const char *option,
                      const char *value)
{
    struct figures sum = {0};
    AUTO_FREE char *argument = alloc_printf("--%s=%s", option, value);
    AUTO_FREE char *name = alloc_printf("`%s` %s", option, value);
    CLEANUP(config_free_at) struct config *config = NULL;
    char program[] = "tiersim", data[] = "--data=.";
    char *argv[] = {program, data, argument, NULL};
    struct error e = {0};
    if (config_load(3, argv, &config, &e) != ERR_NONE)
        abort(); // the table above is wrong
    struct strata_options strata = strata_options_of(config);
    for (size_t kind = 0; kind < trace_kinds_count; kind++) {
        for (int seed = 0;
             is_wanted(options, trace_kinds[kind].name) && seed < options->seeds;
             seed++) {
            struct trace *trace = make(options, kind, seed);
            struct sim_setup setup = setup_of(options, &strata_strategy, &strata);
            struct sim_result result = sim_run(trace, &setup);
            add(&sum, &result);
            trace_free(trace);
        }
    }
    print_row(name, &sum);
}

void report_sweep(const struct report_options *options)
{
    print_head("option");
    for (size_t i = 0; i < ARRAY_SIZE(sweep); i++) {
        for (size_t v = 0; v < ARRAY_SIZE(sweep[i].values); v++) {
            if (sweep[i].values[v] != NULL)
                sweep_one(options, sweep[i].option, sweep[i].values[v]);
        }
    }
}
