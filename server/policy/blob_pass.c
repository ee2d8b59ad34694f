// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/blob_facts.h"
#include "server/policy/pass.h"
#include "server/policy/sql_array.h"

struct batch {
    struct pass *pass;
    int64_t limit;
    int64_t after, after_next; // as in version_pass.c
    int64_t moves;             // how many may begin
    struct digest *digests;    // sorted and unique once gathered
    size_t count;
    int64_t begun;
    int64_t *cancels; // moves that are not wanted any more
    size_t cancels_count;
    struct decide_tier tiers[TIER_COUNT]; // with what this batch began
    bool more;
};

static void batch_clear(struct batch *batch)
{
    free(batch->digests);
    free(batch->cancels);
}

// ---- what is to be looked at ----------------------------------------------------

static const char lock_sql[] =
    "SELECT pg_advisory_xact_lock(hashtext('strata policy blobs'))";
static const char queue_sql[] =
    "DELETE FROM policy_blobs WHERE id = ANY (ARRAY(SELECT id FROM policy_blobs"
    " WHERE id > $2 ORDER BY id LIMIT $1)) RETURNING sha256, id";
// One look serves all that is queued of a blob: many versions share a tokenizer.
static const char repeats_sql[] =
    "DELETE FROM policy_blobs WHERE sha256 = ANY ($1::bytea[])";
static const char due_sql[] = "SELECT sha256 FROM blob_policy WHERE next_at <= now()"
                              " ORDER BY next_at LIMIT $1";

static void add_digests(struct batch *batch, const struct db_result *rows)
{
    size_t count = (size_t)db_rows(rows);
    batch->digests =
        alloc_grow(batch->digests, batch->count + count + 1, sizeof *batch->digests);
    for (size_t i = 0; i < count; i++)
        batch->count += db_digest(rows, (int)i, 0, &batch->digests[batch->count]);
}

static void sort_unique(struct batch *batch)
{
    size_t kept = 0;
    if (batch->count > 0)
        qsort(batch->digests, batch->count, sizeof *batch->digests, digest_compare);
    for (size_t i = 0; i < batch->count; i++) {
        if (kept == 0 || !digest_equal(&batch->digests[kept - 1], &batch->digests[i]))
            batch->digests[kept++] = batch->digests[i];
    }
    batch->count = kept;
}

static enum err gather(struct db *db, struct batch *batch, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *queued = NULL;
    CLEANUP(db_result_free_at) struct db_result *due = NULL;
    enum err err =
        db_query(db, queue_sql, DB_PARAMS(DB_INT(batch->limit), DB_INT(batch->after)),
                 &queued, e);
    if (err != ERR_NONE)
        return err;
    add_digests(batch, queued);
    for (int row = 0; row < db_rows(queued); row++) {
        if (db_int(queued, row, 1) > batch->after_next)
            batch->after_next = db_int(queued, row, 1);
    }
    int64_t left = batch->limit - (int64_t)batch->count;
    if (left > 0)
        err = db_query(db, due_sql, DB_PARAMS(DB_INT(left)), &due, e);
    if (err == ERR_NONE && left > 0)
        add_digests(batch, due);
    batch->more = (int64_t)batch->count == batch->limit;
    sort_unique(batch);
    return err;
}

// ---- what comes of it -----------------------------------------------------------

static void look_again(struct decision *decision, int64_t at_us)
{
    if (decision->next_us == 0 || at_us < decision->next_us)
        decision->next_us = at_us;
}

static enum err begin_move(struct db *db, struct batch *batch,
                           const struct blob_facts *blob,
                           const struct decision *decision, struct error *e)
{
    struct move_request request = {.digest = blob->digest,
                                   .to = decision->tier,
                                   .cause = cause_of(decision->cause),
                                   .rule = decision->cause == DECIDE_RULE ? blob->rule
                                                                          : NULL,
                                   .drops = decision->drops};
    struct move move;
    enum err err =
        move_begin_in(db, batch->pass->policy->options.storage, &request, &move, e);
    if (err != ERR_NONE)
        return err;
    batch->begun++;
    if (blob->in.since_us[decision->tier] == 0)
        batch->tiers[decision->tier].used += blob->in.size;
    return ERR_NONE;
}

// Begins the move that is decided, unless it is under way, and says when to look again.
static enum err act(struct db *db, struct batch *batch, const struct blob_facts *blob,
                    struct decision *decision, int64_t now_us, struct error *e)
{
    int64_t retry_us = batch->pass->policy->options.decide.retry_us;
    // What an explicit move wants, that move does.
    if (!decision->moves || decision->cause == DECIDE_MOVE)
        return ERR_NONE;
    bool is_moving = blob->is_moving && blob->move_to == decision->tier &&
                     (blob->move_drops || !decision->drops);
    if (!is_moving && batch->begun >= batch->moves) {
        batch->more = true;
        look_again(decision, now_us);
        return ERR_NONE;
    }
    look_again(decision, now_us + retry_us);
    return is_moving ? ERR_NONE : begin_move(db, batch, blob, decision, e);
}

// Whether the move under way was begun by a pass, and goes elsewhere than is wanted
// now. What people asked for is theirs to cancel, and copies that protect or heal are
// always wanted.
static bool is_unwanted(const struct decision *decision, const struct blob_facts *blob)
{
    if (!blob->is_moving || blob->move_to == decision->tier)
        return false;
    // Room is made of what rules keep as well, when nothing else is left.
    if (blob->move_cause == MOVE_SPACE)
        return (decision->cause == DECIDE_PIN || decision->cause == DECIDE_MOVE) &&
               blob->move_to > decision->tier;
    return blob->move_cause == MOVE_RULE || blob->move_cause == MOVE_HEAT ||
           blob->move_cause == MOVE_PIN;
}

static const char write_sql[] =
    "INSERT INTO blob_policy AS p (sha256, tier, cause, rule, missing, next_at,"
    "  cancelled_move) SELECT t.sha256, nullif(t.tier, ''), t.cause, t.rule, t.missing,"
    "  CASE WHEN t.next_us <> 0 THEN"
    "   'epoch'::timestamptz + t.next_us * interval '1 microsecond' END,"
    "  nullif(t.cancelled, 0)"
    " FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[],"
    "  $6::bigint[], $7::bigint[])"
    "  AS t(sha256, tier, cause, rule, missing, next_us, cancelled)"
    " ON CONFLICT (sha256) DO UPDATE SET tier = excluded.tier, cause = excluded.cause,"
    "  rule = excluded.rule, missing = excluded.missing, next_at = excluded.next_at,"
    "  cancelled_move = excluded.cancelled_move"
    " WHERE (p.tier, p.cause, p.rule, p.missing, p.next_at, p.cancelled_move)"
    "  IS DISTINCT FROM (excluded.tier, excluded.cause, excluded.rule,"
    "  excluded.missing, excluded.next_at, excluded.cancelled_move)";
static const char forget_sql[] =
    "DELETE FROM blob_policy WHERE sha256 = ANY ($1::bytea[])";

enum { SHA256, TIER, CAUSE, RULE, MISSING, NEXT, CANCELLED, COLUMNS, PLAIN = COLUMNS };

// A blob of which nobody asks anything has no row.
static void note(struct buf columns[COLUMNS + 1], const struct blob_facts *blob,
                 const struct decision *decision, int64_t cancelled)
{
    bool by_rule = decision->cause == DECIDE_RULE;
    bool asked =
        by_rule || decision->cause == DECIDE_PIN || decision->cause == DECIDE_MOVE;
    if (!asked && decision->next_us == 0 && cancelled == 0) {
        sql_array_digest(&columns[PLAIN], &blob->digest);
        return;
    }
    sql_array_digest(&columns[SHA256], &blob->digest);
    sql_array_word(&columns[TIER], asked ? tier_name(decision->wanted) : "");
    sql_array_word(&columns[CAUSE], decide_cause_name(decision->cause));
    sql_array_word(&columns[RULE], by_rule ? blob->rule : "");
    sql_array_int(&columns[MISSING],
                  decision->missing > 0 ? (int64_t)blob->in.size : 0);
    sql_array_int(&columns[NEXT], decision->next_us);
    sql_array_int(&columns[CANCELLED], cancelled);
}

static enum err write_notes(struct db *db, struct buf columns[COLUMNS + 1],
                            struct error *e)
{
    enum err err = ERR_NONE;
    if (columns[SHA256].size > 0)
        err = db_exec(db, write_sql,
                      DB_PARAMS(sql_array(&columns[SHA256]), sql_array(&columns[TIER]),
                                sql_array(&columns[CAUSE]), sql_array(&columns[RULE]),
                                sql_array(&columns[MISSING]), sql_array(&columns[NEXT]),
                                sql_array(&columns[CANCELLED])),
                      NULL, e);
    if (err == ERR_NONE && columns[PLAIN].size > 0)
        err = db_exec(db, forget_sql, DB_PARAMS(sql_array(&columns[PLAIN])), NULL, e);
    return err;
}

static void add_cancel(struct batch *batch, int64_t id)
{
    batch->cancels =
        alloc_grow(batch->cancels, batch->cancels_count + 1, sizeof *batch->cancels);
    batch->cancels[batch->cancels_count++] = id;
}

// After the COMMIT, since a mover is told too. One that has ended meanwhile is looked
// at again like any other.
static enum err cancel_unwanted(const struct batch *batch, struct error *e)
{
    struct storage *storage = batch->pass->policy->options.storage;
    for (size_t i = 0; i < batch->cancels_count; i++) {
        enum err err = move_cancel(storage, batch->cancels[i], e);
        if (err != ERR_NONE && err != ERR_MOVE_FINISHED && err != ERR_MOVE_NOT_FOUND)
            return err;
        error_clear(e);
    }
    return ERR_NONE;
}

static enum err decide_one(struct db *db, struct batch *batch,
                           const struct blob_facts *blob, int64_t now_us,
                           struct buf columns[COLUMNS + 1], struct error *e)
{
    struct decision decision;
    int64_t cancelled = blob->own_cancel;
    decide(&batch->pass->policy->options.decide, &blob->in, batch->tiers, now_us,
           &decision);
    if (is_unwanted(&decision, blob)) {
        cancelled = blob->move_id;
        add_cancel(batch, cancelled);
    }
    enum err err = act(db, batch, blob, &decision, now_us, e);
    note(columns, blob, &decision, cancelled);
    return err;
}

static enum err decide_all(struct db *db, struct batch *batch,
                           const struct blob_facts_list *list, struct error *e)
{
    struct buf columns[COLUMNS + 1] = {0};
    enum err err = ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < list->count; i++)
        err = decide_one(db, batch, &list->blobs[i], list->now_us, columns, e);
    if (err == ERR_NONE)
        err = write_notes(db, columns, e);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
        buf_clear(&columns[i]);
    return err;
}

static enum err batch_work(struct db *db, void *context, struct error *e)
{
    struct batch *batch = context;
    CLEANUP(blob_facts_clear) struct blob_facts_list list = {0};
    CLEANUP(buf_clear) struct buf array = {0};
    batch->count = 0;
    batch->begun = 0;
    batch->cancels_count = 0;
    batch->after_next = batch->after;
    memcpy(batch->tiers, batch->pass->tiers, sizeof batch->tiers);
    enum err err = db_exec(db, lock_sql, DB_NO_PARAMS, NULL, e);
    if (err == ERR_NONE)
        err = gather(db, batch, e);
    if (err != ERR_NONE || batch->count == 0)
        return err;
    for (size_t i = 0; i < batch->count; i++)
        sql_array_digest(&array, &batch->digests[i]);
    struct db_param digests = sql_array(&array);
    err = db_exec(db, repeats_sql, DB_PARAMS(digests), NULL, e);
    if (err == ERR_NONE)
        err = blob_facts_read(db, batch->pass->policy, digests, &list, e);
    return err != ERR_NONE ? err : decide_all(db, batch, &list, e);
}

static void account(struct pass *pass, const struct batch *batch)
{
    pass->budget.blobs -= (int64_t)batch->count;
    pass->budget.moves -= batch->begun;
    pass->result->blobs += (int64_t)batch->count;
    pass->result->moves += batch->begun;
    memcpy(pass->tiers, batch->tiers, sizeof pass->tiers);
}

enum err pass_blobs(struct pass *pass, struct error *e)
{
    CLEANUP(batch_clear) struct batch batch = {.pass = pass};
    enum err err = ERR_NONE;
    while (err == ERR_NONE && pass->budget.blobs > 0 && pass->budget.moves > 0) {
        batch.limit = pass->budget.blobs < PASS_BATCH ? pass->budget.blobs : PASS_BATCH;
        batch.moves = pass->budget.moves;
        err = db_tx_run(pass->policy->options.db, batch_work, &batch, e);
        if (err != ERR_NONE)
            break;
        batch.after = batch.after_next;
        account(pass, &batch);
        err = cancel_unwanted(&batch, e);
        if (err != ERR_NONE || !batch.more)
            return err;
    }
    pass->result->more = true;
    return err;
}
