// SPDX-License-Identifier: Apache-2.0
#include "server/policy/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "server/policy/facts.h"
#include "server/policy/pass.h"
#include "server/policy/sql_array.h"
#include "server/policy/verdict.h"

#define VERSIONS_MAXIMUM 200 // of one blob, whose future is looked into
#define STEPS_MAXIMUM 16     // moments at which something may change

struct explaining {
    struct policy *policy;
    struct blob_facts blob;
    int64_t now_us;
    struct tier_rules *rules;
    struct facts facts; // of its versions
    bool has_facts;     // false: there are too many
};

static void explaining_clear(struct explaining *x)
{
    tier_rules_free(x->rules);
    facts_clear(&x->facts);
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
    enum err err = blob_facts_read(db, x->policy, sql_array(&array), &list, e);
    if (err != ERR_NONE)
        return err;
    if (list.count == 0)
        return error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    x->blob = list.blobs[0];
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

// ---- what will be ---------------------------------------------------------------

// What the rules will ask for at that time, unless something else changes. Returns when
// time changes that again, 0: never.
static int64_t apply_rules(const struct explaining *x, struct blob_facts *blob,
                           int64_t at_us)
{
    int64_t next_us = 0;
    if (!x->has_facts)
        return 0;
    blob->has_rule = false;
    for (size_t i = 0; i < x->facts.count; i++) {
        struct rule_match match =
            tier_rules_match(x->rules, &x->facts.versions[i], at_us);
        if (match.next_us != 0 && (next_us == 0 || match.next_us < next_us))
            next_us = match.next_us;
        if (match.rule == NULL ||
            (blob->has_rule && blob->rule_tier <= match.rule->tier))
            continue;
        blob->has_rule = true;
        blob->rule_tier = match.rule->tier;
        snprintf(blob->rule, sizeof blob->rule, "%s", match.rule->name);
    }
    return next_us;
}

static void expire(struct blob_facts *blob, int64_t at_us)
{
    if (blob->is_pinned && blob->pin_until_us != 0 && blob->pin_until_us <= at_us)
        blob->is_pinned = false;
    if (blob->is_held && blob->hold_until_us <= at_us)
        blob->is_held = false;
}

// The first moment from now on at which it should be elsewhere; false: there is none.
static bool foresee(const struct explaining *x, enum tier present,
                    struct blob_facts *blob, struct verdict *verdict, int64_t *at_us)
{
    *at_us = x->now_us;
    *blob = x->blob;
    for (int step = 0; step < STEPS_MAXIMUM; step++) {
        int64_t rules_us = apply_rules(x, blob, *at_us);
        expire(blob, *at_us);
        *verdict = blob_verdict(blob, *at_us);
        if (verdict->tier != present)
            return true;
        if (rules_us != 0)
            verdict_look_again(verdict, rules_us);
        if (verdict->next_us <= *at_us)
            return false;
        *at_us = verdict->next_us;
    }
    return false;
}

// ---- in words -------------------------------------------------------------------

static const char *until(int64_t at_us, char text[CLOCK_TEXT_SIZE + 8])
{
    char time[CLOCK_TEXT_SIZE];
    if (at_us == 0)
        return "";
    clock_format(at_us, time);
    snprintf(text, CLOCK_TEXT_SIZE + 8, " until %s", time);
    return text;
}

static void say_who(const struct blob_facts *blob, const struct verdict *verdict,
                    char *to, size_t size)
{
    char time[CLOCK_TEXT_SIZE + 8];
    const char *tier = tier_name(verdict->tier);
    switch (verdict->why) {
    case WHY_PIN:
        snprintf(to, size, "a pin wants it on %s%s", tier,
                 until(blob->pin_until_us, time));
        return;
    case WHY_HOLD:
        snprintf(to, size, "it was moved to %s by hand, which holds%s", tier,
                 until(blob->hold_until_us, time));
        return;
    case WHY_RULE:
        snprintf(to, size, "rule \"%s\" wants it on %s", blob->rule, tier);
        return;
    case WHY_HEAT:
        snprintf(to, size, "it is read often enough to be on %s", tier);
        return;
    case WHY_NO_COPY:
        snprintf(to, size, "no copy of it can be read on this node");
        return;
    case WHY_NOTHING:
        break;
    }
    snprintf(
        to, size,
        "no pin, explicit move or rule asks for a tier; it stays until the tier is "
        "above its high mark or it is read often");
}

static void say_move(const struct blob_facts *blob, char *to, size_t size)
{
    const char *tier = tier_name(blob->move_to);
    if (blob->move_cause == MOVE_RULE)
        snprintf(to, size, "a move to %s is under way: rule \"%s\"", tier,
                 blob->move_rule);
    else
        snprintf(to, size, "a move to %s is under way, by cause %s", tier,
                 move_cause_name(blob->move_cause));
}

// Why it is not there yet though it should be.
static enum err say_wait(struct policy *policy, const struct explaining *x,
                         const struct verdict *verdict, struct explanation *out,
                         struct error *e)
{
    struct storage_tier_status tiers[TIER_COUNT];
    size_t length = strlen(out->why), left = sizeof out->why - length;
    enum err err = storage_tiers(policy->options.storage, tiers, e);
    if (err != ERR_NONE)
        return err;
    const struct storage_tier_status *tier = &tiers[verdict->tier];
    uint64_t high = tier->capacity / 100 * tier->high_mark;
    if (verdict->waits_until_us != 0) {
        out->next_us = verdict->waits_until_us;
        snprintf(out->why + length, left,
                 "; not before it has been where it is for a "
                 "while, or the last attempt is some time ago");
    } else if (!tier->is_online) {
        snprintf(out->why + length, left, "; that tier is offline");
    } else if (tier->is_limited && x->blob.since_us[verdict->tier] == 0 &&
               tier->used + x->blob.size > high) {
        snprintf(out->why + length, left,
                 "; that tier lacks %llu bytes below its high mark",
                 (unsigned long long)(tier->used + x->blob.size - high));
    } else {
        out->next_us = x->now_us;
        snprintf(out->why + length, left, "; a move begins with the next pass");
    }
    return ERR_NONE;
}

static enum err say_next(struct explaining *x, struct explanation *out, struct error *e)
{
    struct blob_facts then;
    struct verdict verdict;
    int64_t at_us = 0;
    int present = blob_present(&x->blob);
    out->next_tier = present < TIER_COUNT ? (enum tier)present : TIER_COLD;
    if (x->blob.is_moving) {
        out->next_tier = x->blob.move_to;
        say_move(&x->blob, out->why, sizeof out->why);
        return ERR_NONE;
    }
    bool changes = foresee(x, out->next_tier, &then, &verdict, &at_us);
    if (!changes) {
        verdict = blob_verdict(&x->blob, x->now_us);
        say_who(&x->blob, &verdict, out->why, sizeof out->why);
        return ERR_NONE;
    }
    out->next_tier = verdict.tier;
    say_who(&then, &verdict, out->why, sizeof out->why);
    if (at_us <= x->now_us)
        return say_wait(x->policy, x, &verdict, out, e);
    out->next_us = at_us;
    return ERR_NONE;
}

enum err policy_explain(struct policy *policy, const struct digest *digest,
                        struct explanation *out, struct error *e)
{
    CLEANUP(explaining_clear) struct explaining x = {.policy = policy};
    CLEANUP(db_release_at) struct db *db = NULL;
    *out = (struct explanation){.digest = *digest};
    enum err err = db_acquire(policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = read_blob(db, digest, &x, e);
    if (err == ERR_NONE)
        err = read_placements(db, digest, out, e);
    if (err == ERR_NONE)
        err = read_versions(db, &x, e);
    db_release(steal_ptr(db)); // storage takes its own
    if (err == ERR_NONE) {
        out->size = x.blob.size;
        out->heat = read_heat_at(&x.blob.heat, x.now_us);
        out->last_read_us = x.blob.heat.read_us;
        err = say_next(&x, out, e);
    }
    if (err != ERR_NONE)
        explanation_clear(out);
    return err;
}
