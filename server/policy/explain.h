// SPDX-License-Identifier: Apache-2.0
// Where a blob lies, by which rule, and what happens next.
#pragma once

#include "server/policy/policy.h"
#include "storage/tier.h"

struct explained_placement {
    enum tier tier;
    int64_t node;
    char state[16]; // copying, verifying, ready, dropping
    uint64_t stored_size;
    char encoding[32];
    int64_t since_us;
    char rule[100]; // a rule's name, pin, move, heat or default
    bool is_damaged;
};

#define EXPLANATION_SIZE 512
struct explanation {
    struct digest digest;
    uint64_t size;
    double heat;                            // reads, decayed until now
    int64_t last_read_us;                   // 0: never
    struct explained_placement *placements; // the fastest first
    size_t count;
    enum tier next_tier;        // where nothing will happen, the present one
    int64_t next_us;            // 0: nothing will happen, or nobody knows when
    char why[EXPLANATION_SIZE]; // a sentence
};
void explanation_clear(struct explanation *explanation);

// ERR_BLOB_NOT_FOUND.
enum err policy_explain(struct policy *policy, const struct digest *digest,
                        struct explanation *explanation, struct error *e) MUST_CHECK;
