// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/facts.h"
#include "server/policy/pass.h"
#include "server/policy/sql_array.h"

#define MODELS_OF_A_BATCH 100000 // versions that publishing may push out of newest_n

struct batch {
    struct pass *pass;
    int64_t limit;
    int64_t after; // queue rows up to this one were taken before
    int64_t *ids;  // sorted and unique once gathered
    size_t count;
    int64_t *models;
    size_t models_count;
    int64_t taken, after_next;
};

static void batch_clear(struct batch *batch)
{
    free(batch->ids);
    free(batch->models);
}

static int compare_ids(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

static size_t sort_unique(int64_t *ids, size_t count)
{
    size_t kept = 0;
    if (count > 0)
        qsort(ids, count, sizeof *ids, compare_ids);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || ids[kept - 1] != ids[i])
            ids[kept++] = ids[i];
    }
    return kept;
}

static void add_ids(struct batch *batch, const struct db_result *rows)
{
    size_t count = (size_t)db_rows(rows);
    batch->ids = alloc_grow(batch->ids, batch->count + count + 1, sizeof *batch->ids);
    for (size_t i = 0; i < count; i++)
        batch->ids[batch->count++] = db_int(rows, (int)i, 0);
}

// ---- what is to be looked at ----------------------------------------------------

static const char lock_sql[] =
    "SELECT pg_advisory_xact_lock(hashtext('strata policy versions'))";
// From where the last batch ended, so that its dead rows are not passed again.
static const char queue_sql[] =
    "DELETE FROM policy_versions WHERE id = ANY (ARRAY(SELECT id FROM policy_versions"
    " WHERE id > $2 ORDER BY id LIMIT $1)) RETURNING version_id, model_id, id";
static const char due_sql[] = "SELECT version_id FROM version_policy"
                              " WHERE next_at <= now() ORDER BY next_at LIMIT $1";
static const char rules_sql[] = "SELECT version_id FROM version_policy"
                                " WHERE rules_id < $2"
                                " ORDER BY rules_id, version_id LIMIT $1";

static enum err take_queue(struct db *db, struct batch *batch, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, queue_sql, DB_PARAMS(DB_INT(batch->limit), DB_INT(batch->after)), &rows, e);
    if (err != ERR_NONE)
        return err;
    add_ids(batch, rows);
    size_t count = (size_t)db_rows(rows);
    batch->models = alloc_array(count + 1, sizeof *batch->models);
    for (size_t i = 0; i < count; i++) {
        int row = (int)i;
        if (db_int(rows, row, 2) > batch->after_next)
            batch->after_next = db_int(rows, row, 2);
        if (!db_is_null(rows, row, 1))
            batch->models[batch->models_count++] = db_int(rows, row, 1);
    }
    batch->models_count = sort_unique(batch->models, batch->models_count);
    return ERR_NONE;
}

static enum err take_due(struct db *db, struct batch *batch, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    int64_t left = batch->limit - (int64_t)batch->count;
    enum err err =
        left > 0 ? db_query(db, due_sql, DB_PARAMS(DB_INT(left)), &rows, e) : ERR_NONE;
    if (err != ERR_NONE || left <= 0)
        return err;
    add_ids(batch, rows);
    left = batch->limit - (int64_t)batch->count;
    if (left <= 0)
        return ERR_NONE;
    CLEANUP(db_result_free_at) struct db_result *old = NULL;
    err =
        db_query(db, rules_sql,
                 DB_PARAMS(DB_INT(left), DB_INT(batch->pass->rules->version)), &old, e);
    if (err == ERR_NONE)
        add_ids(batch, old);
    return err;
}

// Versions of the model that came among its newest, or fell out. $3: the rules'
// newest_n, of which a version's class is the smallest that it is within.
static const char newest_sql[] =
    "WITH top AS (SELECT l.id, coalesce((SELECT min(n) FROM unnest($3::bigint[]) n"
    "   WHERE n >= l.rank), 0) AS class"
    "  FROM (SELECT id, row_number() OVER (ORDER BY number DESC) AS rank FROM versions"
    "   WHERE model_id = $1 AND deleted_at IS NULL AND yanked_at IS NULL"
    "   ORDER BY number DESC LIMIT $2) l),"
    " known AS (SELECT version_id, newest FROM version_policy WHERE model_id = $1"
    "  AND newest > 0)"
    " SELECT coalesce(top.id, known.version_id) FROM top"
    " FULL JOIN known ON known.version_id = top.id"
    " WHERE coalesce(top.class, 0) <> coalesce(known.newest, 0) LIMIT $4";

static enum err take_newest(struct db *db, struct batch *batch, struct error *e)
{
    const struct tier_rules *rules = batch->pass->rules;
    CLEANUP(buf_clear) struct buf classes = {0};
    for (size_t i = 0; i < rules->count; i++) {
        if (rules->rules[i].newest_n > 0)
            sql_array_int(&classes, rules->rules[i].newest_n);
    }
    struct db_param array = sql_array(&classes);
    enum err err = ERR_NONE;
    for (size_t i = 0;
         err == ERR_NONE && rules->newest_max > 0 && i < batch->models_count; i++) {
        CLEANUP(db_result_free_at) struct db_result *rows = NULL;
        err = db_query(db, newest_sql,
                       DB_PARAMS(DB_INT(batch->models[i]), DB_INT(rules->newest_max),
                                 array, DB_INT(MODELS_OF_A_BATCH)),
                       &rows, e);
        if (err == ERR_NONE)
            add_ids(batch, rows);
    }
    return err;
}

// ---- what comes of it -----------------------------------------------------------

// Blobs are queued where a version's rule or tier changed, or is new.
static const char write_sql[] =
    "WITH fresh AS (SELECT t.version_id, t.model_id, t.rule, nullif(t.tier, '') AS "
    "tier,"
    "  t.newest, t.idle, CASE WHEN t.next_us <> 0 THEN"
    "   'epoch'::timestamptz + t.next_us * interval '1 microsecond' END AS next_at"
    "  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[],"
    "   $6::boolean[], $7::bigint[])"
    "  AS t(version_id, model_id, rule, tier, newest, idle, next_us)),"
    " changed AS (SELECT n.version_id FROM fresh n LEFT JOIN version_policy o"
    "  USING (version_id) WHERE o.version_id IS NULL"
    "  OR o.rule <> n.rule OR o.tier IS DISTINCT FROM n.tier),"
    " written AS (INSERT INTO version_policy AS p (version_id, model_id, rules_id, "
    "rule,"
    "   tier, newest, idle, next_at)"
    "  SELECT version_id, model_id, $8, rule, tier, newest, idle, next_at FROM fresh"
    "  ON CONFLICT (version_id) DO UPDATE SET rules_id = excluded.rules_id,"
    "   rule = excluded.rule, tier = excluded.tier, newest = excluded.newest,"
    "   idle = excluded.idle, next_at = excluded.next_at)"
    " INSERT INTO policy_blobs (sha256) SELECT DISTINCT f.sha256"
    "  FROM changed JOIN version_files f USING (version_id)";

static enum err write_matches(struct db *db, const struct batch *batch,
                              const struct facts *facts, struct error *e)
{
    enum { ID, MODEL, RULE, TIER, NEWEST, IDLE, NEXT, ARRAYS };
    struct buf arrays[ARRAYS] = {0};
    for (size_t i = 0; i < facts->count; i++) {
        const struct version_facts *version = &facts->versions[i];
        struct rule_match match =
            tier_rules_match(batch->pass->rules, version, facts->now_us);
        sql_array_int(&arrays[ID], version->id);
        sql_array_int(&arrays[MODEL], version->model_id);
        sql_array_word(&arrays[RULE], match.rule != NULL ? match.rule->name : "");
        sql_array_word(&arrays[TIER],
                       match.rule != NULL ? tier_name(match.rule->tier) : "");
        sql_array_int(&arrays[NEWEST], match.newest);
        sql_array_bool(&arrays[IDLE], match.is_idle);
        sql_array_int(&arrays[NEXT], match.next_us);
    }
    enum err err = db_exec(db, write_sql,
                           DB_PARAMS(sql_array(&arrays[ID]), sql_array(&arrays[MODEL]),
                                     sql_array(&arrays[RULE]), sql_array(&arrays[TIER]),
                                     sql_array(&arrays[NEWEST]),
                                     sql_array(&arrays[IDLE]), sql_array(&arrays[NEXT]),
                                     DB_INT(batch->pass->rules->version)),
                           NULL, e);
    for (size_t i = 0; i < ARRAYS; i++)
        buf_clear(&arrays[i]);
    return err;
}

static const char forget_sql[] =
    "WITH gone AS (DELETE FROM version_policy WHERE version_id = ANY ($1::bigint[])"
    "  RETURNING version_id)"
    " INSERT INTO policy_blobs (sha256) SELECT DISTINCT f.sha256"
    "  FROM gone JOIN version_files f USING (version_id)";

// Versions that are no longer live ask for nothing.
static enum err forget_gone(struct db *db, const struct batch *batch,
                            const struct facts *facts, struct error *e)
{
    CLEANUP(buf_clear) struct buf gone = {0};
    size_t live = 0;
    for (size_t i = 0; i < batch->count; i++) {
        if (live < facts->count && facts->versions[live].id == batch->ids[i])
            live++;
        else
            sql_array_int(&gone, batch->ids[i]);
    }
    if (gone.size == 0)
        return ERR_NONE;
    return db_exec(db, forget_sql, DB_PARAMS(sql_array(&gone)), NULL, e);
}

static enum err evaluate(struct db *db, struct batch *batch, struct error *e)
{
    CLEANUP(facts_clear) struct facts facts = {0};
    enum err err =
        facts_read(db, batch->pass->rules, batch->ids, batch->count, &facts, e);
    if (err == ERR_NONE && facts.count > 0)
        err = write_matches(db, batch, &facts, e);
    return err != ERR_NONE ? err : forget_gone(db, batch, &facts, e);
}

static enum err batch_work(struct db *db, void *context, struct error *e)
{
    struct batch *batch = context;
    batch_clear(batch);
    batch->ids = batch->models = NULL;
    batch->count = batch->models_count = 0;
    batch->after_next = batch->after;
    enum err err = db_exec(db, lock_sql, DB_NO_PARAMS, NULL, e);
    if (err == ERR_NONE)
        err = take_queue(db, batch, e);
    if (err == ERR_NONE)
        err = take_due(db, batch, e);
    batch->taken = (int64_t)batch->count;
    if (err == ERR_NONE)
        err = take_newest(db, batch, e);
    batch->count = sort_unique(batch->ids, batch->count);
    return err != ERR_NONE || batch->count == 0 ? err : evaluate(db, batch, e);
}

enum err pass_versions(struct pass *pass, struct error *e)
{
    CLEANUP(batch_clear) struct batch batch = {.pass = pass};
    enum err err = ERR_NONE;
    while (err == ERR_NONE && pass->budget.versions > 0) {
        batch.limit =
            pass->budget.versions < PASS_BATCH ? pass->budget.versions : PASS_BATCH;
        err = db_tx_run(pass->policy->options.db, batch_work, &batch, e);
        if (err != ERR_NONE)
            break;
        batch.after = batch.after_next;
        pass->budget.versions -= (int64_t)batch.count;
        pass->result->versions += (int64_t)batch.count;
        if (batch.taken < batch.limit)
            return ERR_NONE;
    }
    pass->result->more = true;
    return err;
}
