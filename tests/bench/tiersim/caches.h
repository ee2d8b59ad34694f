// SPDX-License-Identifier: Apache-2.0
// What Strata's policy is compared with: caches that bring up whatever is read, and one
// that knows the future.
#pragma once

#include "tests/bench/tiersim/sim.h"

extern const struct sim_strategy cache_lru;    // the longest unread goes
extern const struct sim_strategy cache_lfu;    // the least heat goes
extern const struct sim_strategy cache_s3fifo; // Yang et al., SOSP 2023, by bytes
// Belady: what is read latest again goes; and what is read later than all that is there
// does not come. Its moves take no time.
extern const struct sim_strategy cache_oracle;
