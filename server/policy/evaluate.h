// SPDX-License-Identifier: Apache-2.0
// The pass: looks at versions and blobs that changed or are due, decides where each
// blob belongs, begins moves, and relieves tiers above their high mark. Its state is in
// PostgreSQL, so that it goes on where it was, and several may run at once.
#pragma once

#include "server/policy/policy.h"
#include "storage/tier.h"

// At most so much in one call; 0: as much as is due.
struct policy_budget {
    int64_t versions, blobs, moves;
};

struct policy_result {
    int64_t versions, blobs;      // looked at
    int64_t moves;                // begun
    int64_t relieved[TIER_COUNT]; // bytes that begun moves will free
    bool more;                    // the budget ended it
};

// ERR_UNAVAILABLE when PostgreSQL is away; what was committed until then stays.
enum err policy_pass(struct policy *policy, const struct policy_budget *budget,
                     struct policy_result *result, struct error *e) MUST_CHECK;

// Writes the reads gathered since the last call to heat and placements, in batches, and
// marks what they can change. *blobs (may be NULL): how many were read.
enum err policy_flush_heat(struct policy *policy, int64_t *blobs,
                           struct error *e) MUST_CHECK;
