// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "tests/bench/tiersim/caches.h"
#include "tests/bench/tiersim/strata.h"

int main(int argc, char **argv)
{
    int models = 200, days = 40;
    struct strata_options base = {.decide = {.heat = {7 * TRACE_DAY, TRACE_HOUR},
                                             .promote_reads = 2, .promote_windows = 48,
                                             .promote_heat = 0.5, .residence_times = 10,
                                             .retry_us = TRACE_HOUR},
                                  .high = 0.9, .low = 0.8};
    double hot = 0.1, warm = 0.3;
    const char *only = NULL; int caches = 1;
    for (int i = 1; i < argc; i++) {
        char *v = strchr(argv[i], '=');
        double x = v ? atof(v + 1) : 0;
        if (!strncmp(argv[i], "half=", 5)) base.decide.heat.half_life_us = (int64_t)(x * TRACE_DAY);
        if (!strncmp(argv[i], "window=", 7)) base.decide.heat.window_us = (int64_t)(x * TRACE_HOUR);
        if (!strncmp(argv[i], "reads=", 6)) base.decide.promote_reads = (int)x;
        if (!strncmp(argv[i], "windows=", 8)) base.decide.promote_windows = (int)x;
        if (!strncmp(argv[i], "heat=", 5)) base.decide.promote_heat = x;
        if (!strncmp(argv[i], "res=", 4)) base.decide.residence_times = (int)x;
        if (!strncmp(argv[i], "high=", 5)) base.high = x;
        if (!strncmp(argv[i], "low=", 4)) base.low = x;
        if (!strncmp(argv[i], "hot=", 4)) hot = x;
        if (!strncmp(argv[i], "warm=", 5)) warm = x;
        if (!strncmp(argv[i], "days=", 5)) days = (int)x;
        if (!strncmp(argv[i], "models=", 7)) models = (int)x;
        if (!strncmp(argv[i], "trace=", 6)) only = v + 1;
        if (!strncmp(argv[i], "caches=", 7)) caches = (int)x;
    }
    const struct sim_strategy *all[] = {&strata_strategy, &cache_lru, &cache_lfu, &cache_s3fifo, &cache_oracle};
    for (size_t k = 0; k < trace_kinds_count; k++) {
        if (only && strcmp(only, trace_kinds[k].name)) continue;
        struct trace *t = trace_new(&trace_kinds[k], models, days, 42);
        if (caches) printf("%s: %zu blobs %zu reads %.1f TB\n", t->name, t->blobs_count, t->reads_count, (double)t->bytes / 1e12);
        for (size_t s = 0; s < (caches ? 5 : 1); s++) {
            struct sim_setup setup = {all[s], &base, hot, warm};
            struct sim_result r = sim_run(t, &setup);
            double sum = (double)(r.read[0] + r.read[1] + r.read[2]);
            printf("  %-14s %-10s hot %5.1f%% hot+warm %5.1f%%  up %8.2f TB down %8.2f TB  wait %8.1f h  read %.1f TB cold req %5.1f%%\n", all[s]->name, t->name,
                   100 * (double)r.read[0] / sum, 100 * (double)(r.read[0] + r.read[1]) / sum,
                   (double)r.up / 1e12, (double)r.down / 1e12, r.waited_s / 3600, sum / 1e12,
                   100 * (double)r.requests[2] / (double)(r.requests[0] + r.requests[1] + r.requests[2]));
            fflush(stdout);
        }
        trace_free(t);
    }
}
