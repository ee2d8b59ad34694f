// SPDX-License-Identifier: Apache-2.0
// Strata's own policy, server/policy, in the simulator: the pass of every 30 seconds
// looks at what was read, then at tiers above their high mark.
#pragma once

#include "tests/bench/tiersim/sim.h"

struct strata_options {
    struct decide_options decide;
    double high, low; // marks, as shares of the capacity
};
struct strata_options strata_options_of(const struct config *config);
extern const struct sim_strategy strata_strategy; // its options: struct strata_options
