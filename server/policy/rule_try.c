// SPDX-License-Identifier: Apache-2.0
// What rules would do. The outcome for each version goes into a table of the
// transaction's own, which is gone with it.
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/facts.h"
#include "server/policy/pass.h"
#include "server/policy/rule_store.h"
#include "server/policy/sql_array.h"

#define NOBODY TIER_COUNT // the tier of what no rule asks for

struct rule_sum {
    int64_t versions, blobs;
    uint64_t bytes;
};

struct flow {
    int64_t blobs;
    uint64_t bytes;
};

struct trial {
    struct policy *policy;
    const struct tier_rules *rules;
    struct rule_sum *sums; // one for each rule, and one for those that fit none
    struct flow flows[TIER_COUNT][TIER_COUNT]; // from, to
    uint64_t comes[TIER_COUNT];                // bytes that have no copy there yet
    uint64_t goes[TIER_COUNT];
};

// ---- versions -------------------------------------------------------------------

static enum err note_batch(struct db *db, struct trial *trial,
                           const struct facts *facts, struct error *e)
{
    static const char sql[] =
        "INSERT INTO policy_trial SELECT * FROM unnest($1::bigint[], $2::bigint[],"
        " $3::bigint[])";
    CLEANUP(buf_clear) struct buf ids = {0}, rules = {0}, tiers = {0};
    for (size_t i = 0; i < facts->count; i++) {
        struct rule_match match =
            tier_rules_match(trial->rules, &facts->versions[i], facts->now_us);
        size_t index = match.rule != NULL ? (size_t)(match.rule - trial->rules->rules)
                                          : trial->rules->count;
        trial->sums[index].versions++;
        sql_array_int(&ids, facts->versions[i].id);
        sql_array_int(&rules, (int64_t)index);
        sql_array_int(&tiers, match.rule != NULL ? (int64_t)match.rule->tier : NOBODY);
    }
    return db_exec(db, sql,
                   DB_PARAMS(sql_array(&ids), sql_array(&rules), sql_array(&tiers)),
                   NULL, e);
}

// *after: the last version looked at, 0 when there are no more.
static enum err try_batch(struct db *db, struct trial *trial, int64_t *after,
                          struct error *e)
{
    static const char sql[] = "SELECT id FROM versions WHERE id > $1"
                              " AND deleted_at IS NULL ORDER BY id LIMIT $2";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    CLEANUP(facts_clear) struct facts facts = {0};
    enum err err =
        db_query(db, sql, DB_PARAMS(DB_INT(*after), DB_INT(PASS_BATCH)), &rows, e);
    if (err != ERR_NONE)
        return err;
    size_t count = (size_t)db_rows(rows);
    *after = 0;
    if (count == 0)
        return ERR_NONE;
    AUTO_FREE int64_t *ids = alloc_array(count, sizeof *ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = db_int(rows, (int)i, 0);
    *after = ids[count - 1];
    err = facts_read(db, trial->rules, ids, count, &facts, e);
    return err != ERR_NONE ? err : note_batch(db, trial, &facts, e);
}

// ---- blobs ----------------------------------------------------------------------

// Each blob goes to the hottest tier that a version of it asks for. What is pinned or
// held stays. $1: this node; a present of 3: it has no copy here.
static const char blobs_sql[] =
    "WITH wanted AS (SELECT DISTINCT ON (f.sha256) f.sha256, f.size, t.rule, t.tier"
    "  FROM policy_trial t JOIN version_files f ON f.version_id = t.version_id"
    "  ORDER BY f.sha256, t.tier, t.rule),"
    " placed AS (SELECT sha256,"
    "  min(array_position(ARRAY['hot', 'warm', 'cold'], tier)) - 1 AS present,"
    "  bit_or(1 << array_position(ARRAY['hot', 'warm', 'cold'], tier)) AS tiers"
    "  FROM placements WHERE state = 'ready' AND node_id IN ($1, 0) GROUP BY sha256),"
    " held AS (SELECT sha256 FROM pin_blobs UNION SELECT sha256 FROM holds"
    "  WHERE until > now())"
    " SELECT w.rule, w.tier, coalesce(p.present, 3), h.sha256 IS NOT NULL,"
    "  (coalesce(p.tiers, 0) >> (w.tier + 1)::integer) & 1, count(*),"
    "  sum(w.size)::bigint"
    " FROM wanted w LEFT JOIN placed p ON p.sha256 = w.sha256"
    " LEFT JOIN held h ON h.sha256 = w.sha256 GROUP BY 1, 2, 3, 4, 5";

static void add_flow(struct trial *trial, enum tier from, enum tier to, bool is_there,
                     const struct flow *part)
{
    trial->flows[from][to].blobs += part->blobs;
    trial->flows[from][to].bytes += part->bytes;
    if (!is_there)
        trial->comes[to] += part->bytes;
    if (from < to)
        trial->goes[from] += part->bytes;
}

static enum err sum_blobs(struct db *db, struct trial *trial, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, blobs_sql,
                            DB_PARAMS(DB_INT(trial->policy->options.node)), &rows, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++) {
        struct rule_sum *sum = &trial->sums[db_int(rows, row, 0)];
        int64_t to = db_int(rows, row, 1), from = db_int(rows, row, 2);
        struct flow part = {.blobs = db_int(rows, row, 5),
                            .bytes = (uint64_t)db_int(rows, row, 6)};
        sum->blobs += part.blobs;
        sum->bytes += part.bytes;
        if (to != NOBODY && from != NOBODY && to != from && !db_bool(rows, row, 3))
            add_flow(trial, (enum tier)from, (enum tier)to, db_int(rows, row, 4) == 1,
                     &part);
    }
    return err;
}

// ---- the report -----------------------------------------------------------------

static json_t *rules_json(const struct trial *trial)
{
    json_t *list = json_array();
    for (size_t i = 0; i < trial->rules->count; i++) {
        const struct tier_rule *rule = &trial->rules->rules[i];
        const struct rule_sum *sum = &trial->sums[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I, s:I}", "name",
                                              rule->name, "tier", tier_name(rule->tier),
                                              "versions", (json_int_t)sum->versions,
                                              "blobs", (json_int_t)sum->blobs, "bytes",
                                              (json_int_t)sum->bytes));
    }
    return list;
}

static json_t *moves_json(const struct trial *trial)
{
    json_t *list = json_array();
    for (int from = 0; from < TIER_COUNT; from++) {
        for (int to = 0; to < TIER_COUNT; to++) {
            const struct flow *flow = &trial->flows[from][to];
            if (flow->blobs > 0)
                json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:I}", "from",
                                                      tier_name((enum tier)from), "to",
                                                      tier_name((enum tier)to), "blobs",
                                                      (json_int_t)flow->blobs, "bytes",
                                                      (json_int_t)flow->bytes));
        }
    }
    return list;
}

static json_t *unsatisfied_json(const struct trial *trial,
                                const struct storage_tier_status *tiers)
{
    json_t *list = json_array();
    for (int tier = 0; tier < TIER_COUNT; tier++) {
        uint64_t after = tiers[tier].used + trial->comes[tier];
        uint64_t freed = trial->goes[tier] + tiers[tier].pending_free;
        after = after > freed ? after - freed : 0;
        uint64_t mark = tiers[tier].capacity / 100 * tiers[tier].high_mark;
        if (tiers[tier].is_limited && trial->comes[tier] > 0 && after > mark)
            json_array_append_new(
                list, json_pack("{s:s, s:I}", "tier", tier_name((enum tier)tier),
                                "missing_bytes", (json_int_t)(after - mark)));
    }
    return list;
}

static enum err try_work(struct db *db, void *context, struct error *e)
{
    static const char create[] =
        "CREATE TEMPORARY TABLE policy_trial (version_id bigint, rule bigint,"
        " tier bigint) ON COMMIT DROP";
    struct trial *trial = context;
    struct policy *policy = trial->policy;
    const struct tier_rules *rules = trial->rules;
    struct rule_sum *sums = trial->sums;
    for (size_t i = 0; i <= rules->count; i++)
        sums[i] = (struct rule_sum){0};
    *trial = (struct trial){.policy = policy, .rules = rules, .sums = sums};
    enum err err = db_exec(db, create, DB_NO_PARAMS, NULL, e);
    int64_t after = 0;
    do
        err = err == ERR_NONE ? try_batch(db, trial, &after, e) : err;
    while (err == ERR_NONE && after != 0);
    return err != ERR_NONE ? err : sum_blobs(db, trial, e);
}

enum err tier_rules_try(struct policy *policy, const json_t *body, json_t **report,
                        struct error *e)
{
    CLEANUP(tier_rules_free_at) struct tier_rules *rules = NULL;
    struct storage_tier_status tiers[TIER_COUNT];
    enum err err = tier_rules_parse(body, &rules, e);
    if (err == ERR_NONE)
        err = storage_tiers(policy->options.storage, tiers, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE struct rule_sum *sums = alloc_array(rules->count + 1, sizeof *sums);
    struct trial trial = {.policy = policy, .rules = rules, .sums = sums};
    err = db_tx_run(policy->options.db, try_work, &trial, e);
    if (err != ERR_NONE)
        return err;
    const struct rule_sum *rest = &sums[rules->count];
    *report =
        json_pack("{s:o, s:{s:I, s:I, s:I}, s:o, s:o}", "rules", rules_json(&trial),
                  "unmatched", "versions", (json_int_t)rest->versions, "blobs",
                  (json_int_t)rest->blobs, "bytes", (json_int_t)rest->bytes, "moves",
                  moves_json(&trial), "unsatisfied", unsatisfied_json(&trial, tiers));
    return ERR_NONE;
}
