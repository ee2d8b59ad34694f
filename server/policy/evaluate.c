// SPDX-License-Identifier: Apache-2.0
#include "server/policy/evaluate.h"

#include <math.h>

#include "common/cleanup.h"
#include "server/policy/pass.h"
#include "storage/move.h"

// What moves that wait will write: it is not in the tier's own figures yet.
static enum err add_coming(struct db *db, const struct policy *policy,
                           struct decide_tier tiers[TIER_COUNT], struct error *e)
{
    static const char sql[] =
        "SELECT m.to_tier, sum(m.size)::bigint FROM moves m WHERE m.node_id = $1"
        " AND m.finished_at IS NULL AND NOT m.cancelled AND m.placement_id IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.sha256 = m.sha256"
        "  AND p.tier = m.to_tier AND p.node_id IN ($1, 0) AND p.state = 'ready')"
        " GROUP BY m.to_tier";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_INT(policy->options.node)), &rows, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++) {
        enum tier tier;
        if (tier_parse(db_text(rows, row, 0), &tier))
            tiers[tier].used += (uint64_t)db_int(rows, row, 1);
    }
    return err;
}

enum err pass_tiers(struct db *db, struct policy *policy,
                    const struct storage_tier_status status[TIER_COUNT],
                    struct decide_tier tiers[TIER_COUNT], struct error *e)
{
    for (int tier = 0; tier < TIER_COUNT; tier++) {
        const struct storage_tier_status *s = &status[tier];
        tiers[tier] = (struct decide_tier){.is_online = s->is_online,
                                           .is_limited = s->is_limited,
                                           .used = s->used,
                                           .capacity = s->capacity,
                                           .high = s->capacity / 100 * s->high_mark,
                                           .low = s->capacity / 100 * s->low_mark,
                                           .coldest = NAN};
    }
    return add_coming(db, policy, tiers, e);
}

enum move_cause cause_of(enum decide_cause cause)
{
    switch (cause) {
    case DECIDE_PIN:
        return MOVE_PIN;
    case DECIDE_RULE:
        return MOVE_RULE;
    case DECIDE_HEAT:
        return MOVE_HEAT;
    case DECIDE_MOVE:
        return MOVE_EXPLICIT;
    case DECIDE_SPACE:
    case DECIDE_DEFAULT:
        break;
    }
    return MOVE_SPACE;
}

// What has passed: the triggers queue the blobs that it concerns.
static enum err expire(struct db *db, struct error *e)
{
    static const char pins[] = "DELETE FROM pins WHERE until <= now()";
    static const char holds[] = "DELETE FROM holds WHERE until <= now()";
    enum err err = db_exec(db, pins, DB_NO_PARAMS, NULL, e);
    return err != ERR_NONE ? err : db_exec(db, holds, DB_NO_PARAMS, NULL, e);
}

static enum err prepare(struct pass *pass, struct tier_rules **rules, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(pass->policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = expire(db, e);
    if (err == ERR_NONE)
        err = rules_load(db, rules, e);
    return err != ERR_NONE ? err
                           : pass_tiers(db, pass->policy, pass->status, pass->tiers, e);
}

static int64_t limit(int64_t budget)
{
    return budget > 0 ? budget : INT64_MAX;
}

enum err policy_pass(struct policy *policy, const struct policy_budget *budget,
                     struct policy_result *result, struct error *e)
{
    CLEANUP(tier_rules_free_at) struct tier_rules *rules = NULL;
    *result = (struct policy_result){0};
    struct pass pass = {.policy = policy, .result = result};
    pass.budget = (struct policy_budget){.versions = limit(budget->versions),
                                         .blobs = limit(budget->blobs),
                                         .moves = limit(budget->moves)};
    enum err err = storage_tiers(policy->options.storage, pass.status, e);
    if (err == ERR_NONE)
        err = prepare(&pass, &rules, e);
    pass.rules = rules;
    if (err == ERR_NONE)
        err = pass_versions(&pass, e);
    if (err == ERR_NONE)
        err = pass_room(&pass, e);
    if (err == ERR_NONE)
        err = pass_coldest(&pass, e);
    if (err == ERR_NONE)
        err = pass_blobs(&pass, e);
    if (err == ERR_NONE)
        err = pass_watermarks(&pass, e);
    if (result->moves > 0)
        storage_wake_movers(policy->options.storage);
    return err;
}
