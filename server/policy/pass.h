// SPDX-License-Identifier: Apache-2.0
// The steps of a pass (evaluate.c), for the files of this folder alone. Each batch is a
// transaction; batches of a kind run one after the other, under an advisory lock, so
// that what was decided on older facts never overwrites what was on newer ones.
#pragma once

#include <pthread.h>

#include "server/policy/evaluate.h"
#include "server/policy/tier_rules.h"
#include "storage/move.h"
#include "storage/status.h"

#define PASS_BATCH 1000

// A copy's place in the order of heat of its tier.
struct relief_place {
    double score;
    int64_t id;
};

struct policy {
    struct policy_options options;
    pthread_mutex_t lock; // of what follows; held for no statement
    struct {
        struct relief_place place; // where the next look at the tier begins
        // Filled no further than so many bytes, nothing there can go.
        uint64_t futile;
        int64_t futile_until_ms;
    } relief[TIER_COUNT];
};

// Where relief of a tier goes on. `futile`: nothing could go at that fill, which is not
// tried again for a while; 0: it was not.
void policy_relief_get(struct policy *policy, enum tier tier,
                       struct relief_place *place);
void policy_relief_set(struct policy *policy, enum tier tier,
                       const struct relief_place *place, uint64_t futile);
bool policy_relief_is_futile(struct policy *policy, enum tier tier, uint64_t fill);

// The tiers as decide.h takes them; `coldest` is not filled in.
enum err pass_tiers(struct db *db, struct policy *policy,
                    const struct storage_tier_status status[TIER_COUNT],
                    struct decide_tier tiers[TIER_COUNT], struct error *e) MUST_CHECK;
enum move_cause cause_of(enum decide_cause cause);

struct pass {
    struct policy *policy;
    const struct tier_rules *rules;
    struct storage_tier_status status[TIER_COUNT]; // as it was when the pass began
    struct decide_tier tiers[TIER_COUNT];          // with what moves will write
    struct policy_budget budget;                   // what is left
    struct policy_result *result;
};

// Matches versions that changed or are due against the rules, and queues their blobs
// where the outcome changed.
enum err pass_versions(struct pass *pass, struct error *e) MUST_CHECK;
// Decides blobs that are queued or due, and begins moves.
enum err pass_blobs(struct pass *pass, struct error *e) MUST_CHECK;
// Queues blobs for which a tier had no room, as far as it has now.
enum err pass_room(struct pass *pass, struct error *e) MUST_CHECK;
// Fills in tiers[].coldest, where a tier is so full that it matters.
enum err pass_coldest(struct pass *pass, struct error *e) MUST_CHECK;
// Relieves tiers above their high mark.
enum err pass_watermarks(struct pass *pass, struct error *e) MUST_CHECK;

// The newest row, parsed; none: no rules, of version 0.
enum err rules_load(struct db *db, struct tier_rules **rules,
                    struct error *e) MUST_CHECK;
