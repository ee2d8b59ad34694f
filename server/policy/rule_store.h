// SPDX-License-Identifier: Apache-2.0
// The tier rules in force, their history, and what others would do. Any thread.
#pragma once

#include "server/policy/policy.h"
#include "server/policy/tier_rules.h"

struct tier_rules_row {
    int64_t version; // 0: none was ever put, `text` is {"rules":[]}
    char *text;      // the JSON as it was put, the caller's
    char set_by[NAME_SIZE];
    char token_id[40];
    int64_t set_at_us;
};
void tier_rules_row_clear(struct tier_rules_row *row);
#define TIER_RULES_ETAG_SIZE 32
void tier_rules_etag(int64_t version, char text[TIER_RULES_ETAG_SIZE]); // with quotes

enum err tier_rules_get(struct policy *policy, struct tier_rules_row *row,
                        struct error *e) MUST_CHECK;
// Those with versions below `before` (0: all), newest first. *rows is to be freed.
enum err tier_rules_history(struct policy *policy, int64_t before, int64_t limit,
                            struct tier_rules_row **rows, size_t *count,
                            struct error *e) MUST_CHECK;

// A condition on the ETag, asked under the lock.
struct tier_rules_condition {
    bool (*holds)(const void *context, const char *etag);
    const void *context;
};
// What is equal to the rules in force makes no new version. `condition` may be NULL.
// Errors: of tier_rules_parse; ERR_PRECONDITION_FAILED.
enum err tier_rules_put(struct policy *policy, const struct actor *actor,
                        const json_t *body,
                        const struct tier_rules_condition *condition,
                        struct tier_rules_row *row, struct error *e) MUST_CHECK;

// What these rules would do, without changing anything. *report, the caller's:
// {"rules":[{"name","tier","versions","blobs","bytes"}], "unmatched":{"versions",
// "blobs","bytes"}, "moves":[{"from","to","blobs","bytes"}], "unsatisfied":[{"tier",
// "missing_bytes"}]}: versions whose first fitting rule it is; blobs that go to their
// tier because of it; moves beside pins and holds, which stay.
enum err tier_rules_try(struct policy *policy, const json_t *body, json_t **report,
                        struct error *e) MUST_CHECK;

// Rules that a tier cannot hold: {"unsatisfied":[{"rule","tier","blobs",
// "missing_bytes"}]}'s array, the caller's.
enum err tier_rules_unsatisfied(struct policy *policy, json_t **list,
                                struct error *e) MUST_CHECK;
