// SPDX-License-Identifier: Apache-2.0
#include "server/policy/rule_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "common/json_text.h"
#include "server/policy/pass.h"
#include "server/registry/event.h"

#define NO_RULES "{\"rules\":[]}"
#define COLUMNS "SELECT r.id, r.rules, p.name, r.token_id, r.set_at"
#define FROM_RULES " FROM tier_rules r JOIN principals p ON p.id = r.set_by"

static const char newest_sql[] = COLUMNS FROM_RULES " ORDER BY r.id DESC LIMIT 1";

void tier_rules_row_clear(struct tier_rules_row *row)
{
    free(row->text);
    *row = (struct tier_rules_row){0};
}

void tier_rules_etag(int64_t version, char text[TIER_RULES_ETAG_SIZE])
{
    snprintf(text, TIER_RULES_ETAG_SIZE, "\"%" PRId64 "\"", version);
}

static void fill(struct tier_rules_row *row, const struct db_result *rows, int at)
{
    *row = (struct tier_rules_row){.version = db_int(rows, at, 0),
                                   .text = alloc_copy(db_text(rows, at, 1)),
                                   .set_at_us = db_time(rows, at, 4)};
    snprintf(row->set_by, sizeof row->set_by, "%s", db_text(rows, at, 2));
    snprintf(row->token_id, sizeof row->token_id, "%s", db_text(rows, at, 3));
}

static enum err read_newest(struct db *db, struct tier_rules_row *row, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    *row = (struct tier_rules_row){0};
    enum err err = db_query(db, newest_sql, DB_NO_PARAMS, &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) > 0)
        fill(row, rows, 0);
    else
        row->text = alloc_copy(NO_RULES);
    return ERR_NONE;
}

enum err tier_rules_get(struct policy *policy, struct tier_rules_row *row,
                        struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    *row = (struct tier_rules_row){0};
    enum err err = db_acquire(policy->options.db, &db, e);
    return err != ERR_NONE ? err : read_newest(db, row, e);
}

enum err tier_rules_history(struct policy *policy, int64_t before, int64_t limit,
                            struct tier_rules_row **out, size_t *count, struct error *e)
{
    static const char sql[] =
        COLUMNS FROM_RULES " WHERE r.id < $1 ORDER BY r.id DESC LIMIT $2";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = db_query(
            db, sql, DB_PARAMS(DB_INT(before > 0 ? before : INT64_MAX), DB_INT(limit)),
            &rows, e);
    *out = NULL;
    *count = 0;
    if (err != ERR_NONE)
        return err;
    *count = (size_t)db_rows(rows);
    *out = alloc_array(*count + 1, sizeof **out);
    for (size_t i = 0; i < *count; i++)
        fill(&(*out)[i], rows, (int)i);
    return ERR_NONE;
}

enum err rules_load(struct db *db, struct tier_rules **rules, struct error *e)
{
    CLEANUP(tier_rules_row_clear) struct tier_rules_row row = {0};
    enum err err = read_newest(db, &row, e);
    if (err != ERR_NONE)
        return err;
    AUTO_JSON json_t *json = json_loads(row.text, 0, NULL);
    struct error why = {0};
    if (tier_rules_parse(json, rules, &why) != ERR_NONE)
        err = error_set(e, ERR_INTERNAL, "the stored tier rules do not parse: %s",
                        why.detail);
    else
        (*rules)->version = row.version;
    error_clear(&why);
    return err;
}

// ---- a change -------------------------------------------------------------------

struct putting {
    const struct actor *actor;
    const json_t *body;
    const char *text;
    const struct tier_rules_condition *condition;
    struct tier_rules_row row;
};

static enum err insert(struct db *db, const struct putting *p, struct error *e)
{
    static const char sql[] = "INSERT INTO tier_rules (rules, set_at, set_by, token_id)"
                              " VALUES ($1::json, clock_timestamp(), $2, $3)";
    return db_exec(db, sql,
                   DB_PARAMS(DB_TEXT(p->text), DB_INT(p->actor->principal_id),
                             DB_TEXT(p->actor->token_id)),
                   NULL, e);
}

static enum err check_condition(const struct putting *p, struct error *e)
{
    char etag[TIER_RULES_ETAG_SIZE];
    tier_rules_etag(p->row.version, etag);
    if (p->condition == NULL || p->condition->holds(p->condition->context, etag))
        return ERR_NONE;
    return error_set(e, ERR_PRECONDITION_FAILED,
                     "the tier rules have been changed: they are %s now", etag);
}

static enum err put_work(struct db *db, void *context, struct error *e)
{
    // Writers wait for each other, readers for nobody.
    static const char lock[] = "LOCK TABLE tier_rules IN SHARE ROW EXCLUSIVE MODE";
    struct putting *p = context;
    tier_rules_row_clear(&p->row);
    enum err err = db_exec(db, lock, DB_NO_PARAMS, NULL, e);
    if (err == ERR_NONE)
        err = read_newest(db, &p->row, e);
    if (err == ERR_NONE)
        err = check_condition(p, e);
    if (err != ERR_NONE)
        return err;
    AUTO_JSON json_t *present = json_loads(p->row.text, 0, NULL);
    if (json_equal(present, p->body))
        return ERR_NONE;
    int64_t previous = p->row.version;
    tier_rules_row_clear(&p->row);
    err = insert(db, p, e);
    if (err == ERR_NONE)
        err = read_newest(db, &p->row, e);
    return err != ERR_NONE ? err
                           : event_put(db, p->actor, "tier-rules.set", "tier-rules",
                                       json_pack("{s:I, s:I}", "version",
                                                 (json_int_t)p->row.version, "previous",
                                                 (json_int_t)previous),
                                       e);
}

enum err tier_rules_put(struct policy *policy, const struct actor *actor,
                        const json_t *body,
                        const struct tier_rules_condition *condition,
                        struct tier_rules_row *row, struct error *e)
{
    CLEANUP(tier_rules_free_at) struct tier_rules *rules = NULL;
    *row = (struct tier_rules_row){0};
    enum err err = tier_rules_parse(body, &rules, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE char *text = json_text_dump(body, NULL);
    struct putting p = {
        .actor = actor, .body = body, .text = text, .condition = condition};
    err = db_tx_run(policy->options.db, put_work, &p, e);
    if (err == ERR_NONE)
        *row = p.row;
    else
        tier_rules_row_clear(&p.row);
    return err;
}

// ---- what cannot be held --------------------------------------------------------

enum err tier_rules_unsatisfied(struct policy *policy, json_t **list, struct error *e)
{
    static const char sql[] =
        "SELECT rule, tier, count(*), sum(missing)::bigint FROM blob_policy"
        " WHERE missing > 0 AND cause = 'rule' GROUP BY rule, tier ORDER BY rule, tier";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    if (err != ERR_NONE)
        return err;
    *list = json_array();
    for (int row = 0; row < db_rows(rows); row++)
        json_array_append_new(
            *list,
            json_pack("{s:s, s:s, s:I, s:I}", "rule", db_text(rows, row, 0), "tier",
                      db_text(rows, row, 1), "blobs", (json_int_t)db_int(rows, row, 2),
                      "missing_bytes", (json_int_t)db_int(rows, row, 3)));
    return ERR_NONE;
}
