// SPDX-License-Identifier: Apache-2.0
#include "server/policy/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/policy/blob_facts.h"
#include "server/policy/facts.h"
#include "server/policy/pass.h"
#include "server/policy/sql_array.h"

#define VERSIONS_MAXIMUM 200 // of one blob, whose future is looked into
#define STEPS_MAXIMUM 16     // moments at which something may change

struct explaining {
    struct pass pass; // of which only the tiers count
    struct blob_facts blob;
    int64_t now_us;
    struct tier_rules *rules;
    struct facts facts; // of its versions
    bool has_facts;     // false: there are too many
    char pin[MODEL_SIZE + 24];
    struct buf words, next_words; // of the rules
};

static void explaining_clear(struct explaining *x)
{
    tier_rules_free(x->rules);
    facts_clear(&x->facts);
    buf_clear(&x->words);
    buf_clear(&x->next_words);
}

void explanation_clear(struct explanation *explanation)
{
    free(explanation->placements);
    *explanation = (struct explanation){0};
}

// ---- rows -----------------------------------------------------------------------

static enum err read_placements(struct db *db, const struct digest *digest,
                                struct explanation *out, struct error *e)
{
    static const char sql[] =
        "SELECT tier, node_id, state, stored_size, encoding, since, rule, damaged"
        " FROM placements WHERE sha256 = $1"
        " ORDER BY array_position(ARRAY['hot', 'warm', 'cold'], tier), node_id, id";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_DIGEST(digest)), &rows, e);
    if (err != ERR_NONE)
        return err;
    out->placements = alloc_array((size_t)db_rows(rows) + 1, sizeof *out->placements);
    for (int row = 0; row < db_rows(rows); row++) {
        struct explained_placement *p = &out->placements[out->count++];
        (void)tier_parse(db_text(rows, row, 0), &p->tier);
        p->node = db_int(rows, row, 1);
        p->stored_size = (uint64_t)db_int(rows, row, 3);
        p->since_us = db_time(rows, row, 5);
        p->is_damaged = db_bool(rows, row, 7);
        snprintf(p->state, sizeof p->state, "%s", db_text(rows, row, 2));
        snprintf(p->encoding, sizeof p->encoding, "%s", db_text(rows, row, 4));
        snprintf(p->rule, sizeof p->rule, "%s", db_text(rows, row, 6));
    }
    return ERR_NONE;
}

static enum err read_blob(struct db *db, const struct digest *digest,
                          struct explaining *x, struct error *e)
{
    CLEANUP(buf_clear) struct buf array = {0};
    CLEANUP(blob_facts_clear) struct blob_facts_list list = {0};
    sql_array_digest(&array, digest);
    enum err err = blob_facts_read(db, x->pass.policy, sql_array(&array), &list, e);
    if (err != ERR_NONE)
        return err;
    if (list.count == 0)
        return error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    x->blob = list.blobs[0];
    x->blob.in.rule = x->blob.rule;
    x->now_us = list.now_us;
    return ERR_NONE;
}

static enum err read_versions(struct db *db, struct explaining *x, struct error *e)
{
    static const char sql[] = "SELECT DISTINCT version_id FROM version_files"
                              " WHERE sha256 = $1 ORDER BY version_id LIMIT $2";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    int64_t ids[VERSIONS_MAXIMUM];
    enum err err = rules_load(db, &x->rules, e);
    if (err == ERR_NONE)
        err = db_query(
            db, sql,
            DB_PARAMS(DB_DIGEST(&x->blob.digest), DB_INT(VERSIONS_MAXIMUM + 1)), &rows,
            e);
    if (err != ERR_NONE || db_rows(rows) > VERSIONS_MAXIMUM)
        return err;
    for (int row = 0; row < db_rows(rows); row++)
        ids[row] = db_int(rows, row, 0);
    x->has_facts = true;
    return facts_read(db, x->rules, ids, (size_t)db_rows(rows), &x->facts, e);
}

// The one that asks for the fastest tier.
static enum err read_pin(struct db *db, struct explaining *x, struct error *e)
{
    static const char sql[] =
        "SELECT coalesce(m.full_name || '@' || v.number, 'this blob')"
        " FROM pin_blobs pb JOIN pins n ON n.id = pb.pin_id"
        " LEFT JOIN versions v ON v.id = n.version_id"
        " LEFT JOIN models m ON m.id = v.model_id"
        " WHERE pb.sha256 = $1 AND (n.until IS NULL OR n.until > now())"
        " ORDER BY array_position(ARRAY['hot', 'warm', 'cold'], n.tier), n.id LIMIT 1";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_DIGEST(&x->blob.digest)), &rows, e);
    if (err == ERR_NONE && db_rows(rows) > 0)
        snprintf(x->pin, sizeof x->pin, "%s", db_text(rows, 0, 0));
    x->blob.in.pin = x->pin;
    return err;
}

static enum err read_all(struct db *db, const struct digest *digest,
                         struct explaining *x, struct explanation *out, struct error *e)
{
    enum err err = read_blob(db, digest, x, e);
    if (err == ERR_NONE)
        err = read_placements(db, digest, out, e);
    if (err == ERR_NONE)
        err = read_versions(db, x, e);
    if (err == ERR_NONE)
        err = read_pin(db, x, e);
    return err != ERR_NONE
               ? err
               : pass_tiers(db, x->pass.policy, x->pass.status, x->pass.tiers, e);
}

// ---- what the rules will say ----------------------------------------------------

// The rule that wins for the blob at that time, unless something else changes; NULL:
// none. *next_us: when time changes that again, 0: never.
static const struct tier_rule *rule_at(const struct explaining *x, int64_t at_us,
                                       int64_t *next_us)
{
    const struct tier_rule *hottest = NULL;
    *next_us = 0;
    for (size_t i = 0; i < x->facts.count; i++) {
        struct rule_match match =
            tier_rules_match(x->rules, &x->facts.versions[i], at_us);
        if (match.next_us != 0 && (*next_us == 0 || match.next_us < *next_us))
            *next_us = match.next_us;
        if (match.rule != NULL && (hottest == NULL || match.rule->tier < hottest->tier))
            hottest = match.rule;
    }
    return hottest;
}

static void note_rules(struct explaining *x)
{
    struct decide_blob *in = &x->blob.in;
    int64_t at_us = 0;
    if (!x->has_facts)
        return;
    const struct tier_rule *rule = rule_at(x, x->now_us, &at_us), *then = rule;
    in->has_rule = rule != NULL;
    if (rule != NULL) {
        in->rule_tier = rule->tier;
        in->rule = rule->name;
        tier_rule_words(rule, &x->words);
        in->rule_words = buf_text(&x->words);
    }
    for (int step = 0; step < STEPS_MAXIMUM && at_us != 0; step++) {
        int64_t changes_us = at_us;
        then = rule_at(x, changes_us, &at_us);
        if (then == rule)
            continue;
        in->next_rule_us = changes_us;
        in->next_rule_tier = then != NULL ? then->tier : TIER_COLD;
        in->next_rule = then != NULL ? then->name : "";
        if (then != NULL)
            tier_rule_words(then, &x->next_words);
        in->next_rule_words = buf_text(&x->next_words);
        return;
    }
}

// ---- what happens next ----------------------------------------------------------

static void pass_time(struct decide_blob *in, int64_t at_us)
{
    if (in->is_pinned && in->pin_until_us != 0 && in->pin_until_us <= at_us)
        in->is_pinned = false;
    if (in->is_held && in->hold_until_us <= at_us)
        in->is_held = false;
    if (in->next_rule_us != 0 && in->next_rule_us <= at_us) {
        in->has_rule = in->next_rule != NULL && in->next_rule[0] != '\0';
        in->rule_tier = in->next_rule_tier;
        in->rule = in->next_rule;
        in->rule_words = in->next_rule_words;
        in->next_rule_us = 0;
    }
}

// The first moment at which it is to be elsewhere, if there is one.
static void foresee(const struct explaining *x, const struct decision *now,
                    struct explanation *out)
{
    struct decide_blob in = x->blob.in;
    struct decision decision = *now;
    int64_t at_us = x->now_us;
    for (int step = 0; step < STEPS_MAXIMUM; step++) {
        if (decision.moves && decision.cause != DECIDE_MOVE) {
            out->next_tier = decision.tier;
            out->next_us = at_us;
            return;
        }
        if (decision.next_us <= at_us)
            return;
        at_us = decision.next_us;
        pass_time(&in, at_us);
        decide(&x->pass.policy->options.decide, &in, x->pass.tiers, at_us, &decision);
    }
}

static void say_move(const struct blob_facts *blob, char *to, size_t size)
{
    const char *tier = tier_name(blob->move_to);
    if (blob->move_cause == MOVE_RULE)
        snprintf(to, size, "a move to %s is under way, by rule \"%s\"", tier,
                 blob->move_rule);
    else
        snprintf(to, size, "a move to %s is under way, by cause %s", tier,
                 move_cause_name(blob->move_cause));
}

static void say_next(struct explaining *x, struct explanation *out)
{
    struct decision decision;
    int present = decide_present(&x->blob.in);
    out->next_tier = present < TIER_COUNT ? (enum tier)present : TIER_COLD;
    if (x->blob.is_moving) {
        out->next_tier = x->blob.move_to;
        say_move(&x->blob, out->why, sizeof out->why);
        return;
    }
    note_rules(x);
    decide(&x->pass.policy->options.decide, &x->blob.in, x->pass.tiers, x->now_us,
           &decision);
    snprintf(out->why, sizeof out->why, "%s", decision.text);
    foresee(x, &decision, out);
}

enum err policy_explain(struct policy *policy, const struct digest *digest,
                        struct explanation *out, struct error *e)
{
    CLEANUP(explaining_clear) struct explaining x = {.pass.policy = policy};
    CLEANUP(db_release_at) struct db *db = NULL;
    *out = (struct explanation){.digest = *digest};
    enum err err = storage_tiers(policy->options.storage, x.pass.status, e);
    if (err == ERR_NONE)
        err = db_acquire(policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = read_all(db, digest, &x, out, e);
    db_release(steal_ptr(db)); // the next step takes its own
    if (err == ERR_NONE)
        err = pass_coldest(&x.pass, e);
    if (err != ERR_NONE) {
        explanation_clear(out);
        return err;
    }
    const struct heat_options *heat = &policy->options.decide.heat;
    out->size = x.blob.in.size;
    out->heat = heat_at(heat, &x.blob.in.heat, x.now_us);
    out->last_read_us = x.blob.in.heat.read_us;
    say_next(&x, out);
    return ERR_NONE;
}
