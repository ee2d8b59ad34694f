// SPDX-License-Identifier: Apache-2.0
// The steps of a pass (evaluate.c), for the files of this folder alone. Each batch is a
// transaction; batches of a kind run one after the other, under an advisory lock, so
// that what was decided on older facts never overwrites what was on newer ones.
#pragma once

#include "server/policy/evaluate.h"
#include "server/policy/tier_rules.h"
#include "storage/status.h"

#define PASS_BATCH 1000

struct policy {
    struct policy_options options;
};

struct pass {
    struct policy *policy;
    const struct tier_rules *rules;
    struct storage_tier_status tiers[TIER_COUNT];
    struct policy_budget budget; // what is left
    struct policy_result *result;
};

// Matches versions that changed or are due against the rules, and queues their blobs
// where the outcome changed.
enum err pass_versions(struct pass *pass, struct error *e) MUST_CHECK;
// Decides blobs that are queued or due, and begins moves.
enum err pass_blobs(struct pass *pass, struct error *e) MUST_CHECK;
// Relieves tiers above their high mark.
enum err pass_watermarks(struct pass *pass, struct error *e) MUST_CHECK;

// The newest row, parsed; none: no rules, of version 0.
enum err rules_load(struct db *db, struct tier_rules **rules,
                    struct error *e) MUST_CHECK;
