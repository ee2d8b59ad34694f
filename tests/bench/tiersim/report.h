// SPDX-License-Identifier: Apache-2.0
// Traces under strategies, and the tables of docs/TIERING.md.
#pragma once

#include "common/config.h"
#include "tests/bench/tiersim/sim.h"

struct report_options {
    int models, days;
    int seeds;         // each makes a trace of its own; figures are their means
    double hot, warm;  // capacities, as shares of the bytes of all blobs
    const char *trace; // or NULL: all
    const struct config *config;
};

// A table of each trace: Strata beside the others.
void report_compare(const struct report_options *options);
// One table: options of stratad, each with some values, the others as they are; figures
// are means over the traces.
void report_sweep(const struct report_options *options);
