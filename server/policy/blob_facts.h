// SPDX-License-Identifier: Apache-2.0
// What decides of many blobs at once, as the database has it now.
#pragma once

#include "common/db/db.h"
#include "common/names.h"
#include "server/policy/policy.h"
#include "server/policy/read_heat.h"
#include "storage/move.h"
#include "storage/tier.h"

struct blob_facts {
    struct digest digest;
    uint64_t size;
    int64_t
        since_us[TIER_COUNT];    // since when its copy there is ready; 0: there is none
    uint64_t stored[TIER_COUNT]; // bytes of it
    struct read_heat heat;
    bool is_pinned;
    enum tier pin_tier;   // the fastest of its pins
    int64_t pin_until_us; // when the first of them ends; 0: none does
    bool is_held;
    enum tier hold_tier;
    int64_t hold_until_us;
    bool has_rule;
    enum tier rule_tier; // the hottest that a version of it asks for
    char rule[NAME_SIZE];
    bool is_moving; // the newest active move
    int64_t move_id;
    enum tier move_to;
    bool move_drops;
    enum move_cause move_cause;
    char move_rule[100];
    // The last move that ended, when it failed or was cancelled.
    bool has_failed, was_cancelled;
    enum tier failed_to;
    int64_t failed_us;
    int64_t relieved_us; // when that move made room on a full tier; 0: it did not
};

struct blob_facts_list {
    struct blob_facts *blobs; // those that are here, by digest
    size_t count;
    int64_t now_us; // of PostgreSQL's clock
};
void blob_facts_clear(struct blob_facts_list *list);

// `digests` is a bytea[].
enum err blob_facts_read(struct db *db, const struct policy *policy,
                         struct db_param digests, struct blob_facts_list *list,
                         struct error *e) MUST_CHECK;
// The fastest tier with a ready copy; TIER_COUNT: there is none here.
int blob_present(const struct blob_facts *blob);
