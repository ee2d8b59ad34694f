// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/pass.h"
#include "server/policy/sql_array.h"
#include "server/policy/verdict.h"

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
    uint64_t promised[TIER_COUNT]; // bytes of moves that this batch began
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

// Bytes that the tier may still take for this cause. Rules fill it to its high mark,
// above which it would give them away again. Heat goes beyond, whereupon what is colder
// leaves, down to the low mark. Pins go to its end.
static uint64_t room(const struct batch *batch, const struct verdict *verdict)
{
    const struct storage_tier_status *tier = &batch->pass->tiers[verdict->tier];
    if (!tier->is_limited)
        return UINT64_MAX;
    uint64_t mark = verdict->cause == MOVE_PIN ? tier->capacity
                                               : tier->capacity / 100 * tier->high_mark;
    uint64_t used = tier->used + batch->pass->coming[verdict->tier] +
                    batch->promised[verdict->tier];
    return mark > used ? mark - used : 0;
}

static enum err begin_move(struct db *db, struct batch *batch,
                           const struct blob_facts *blob, const struct verdict *verdict,
                           struct error *e)
{
    struct move_request request = {.digest = blob->digest,
                                   .to = verdict->tier,
                                   .cause = verdict->cause,
                                   .rule =
                                       verdict->cause == MOVE_RULE ? blob->rule : NULL,
                                   .drops = verdict->drops};
    struct move move;
    enum err err =
        move_begin_in(db, batch->pass->policy->options.storage, &request, &move, e);
    if (err != ERR_NONE)
        return err;
    batch->begun++;
    if (blob->since_us[verdict->tier] == 0)
        batch->promised[verdict->tier] += blob->size;
    return ERR_NONE;
}

// Carries the verdict out as far as there is room, and says when to look again.
static enum err act(struct db *db, struct batch *batch, const struct blob_facts *blob,
                    struct verdict *verdict, uint64_t *missing, struct error *e)
{
    *missing = 0;
    if (!verdict->moves)
        return ERR_NONE;
    bool is_there = blob->since_us[verdict->tier] != 0;
    if (!is_there && !batch->pass->tiers[verdict->tier].is_online) {
        verdict_look_again(verdict, batch->pass->now_us + VERDICT_RETRY_US);
        return ERR_NONE;
    }
    if (!is_there && room(batch, verdict) < blob->size) {
        // Looked at again when there is room, which for heat is of no hurry.
        *missing = verdict->is_asked ? blob->size : 0;
        return ERR_NONE;
    }
    if (batch->begun >= batch->moves) {
        batch->more = true;
        verdict_look_again(verdict, batch->pass->now_us);
        return ERR_NONE;
    }
    verdict_look_again(verdict, batch->pass->now_us + VERDICT_RETRY_US);
    return begin_move(db, batch, blob, verdict, e);
}

static const char write_sql[] =
    "INSERT INTO blob_policy AS p (sha256, tier, cause, rule, missing, next_at)"
    " SELECT t.sha256, nullif(t.tier, ''), t.cause, t.rule, t.missing,"
    "  CASE WHEN t.next_us <> 0 THEN"
    "   'epoch'::timestamptz + t.next_us * interval '1 microsecond' END"
    " FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::bigint[],"
    "  $6::bigint[]) AS t(sha256, tier, cause, rule, missing, next_us)"
    " ON CONFLICT (sha256) DO UPDATE SET tier = excluded.tier, cause = excluded.cause,"
    "  rule = excluded.rule, missing = excluded.missing, next_at = excluded.next_at"
    " WHERE (p.tier, p.cause, p.rule, p.missing, p.next_at) IS DISTINCT FROM"
    "  (excluded.tier, excluded.cause, excluded.rule, excluded.missing,"
    "  excluded.next_at)";
static const char forget_sql[] =
    "DELETE FROM blob_policy WHERE sha256 = ANY ($1::bytea[])";

enum column { SHA256, TIER, CAUSE, RULE, MISSING, NEXT, COLUMNS, PLAIN = COLUMNS };

// A blob of which nobody asks anything has no row.
static void note(struct buf columns[COLUMNS + 1], const struct blob_facts *blob,
                 const struct verdict *verdict, uint64_t missing)
{
    if (!verdict->is_asked && verdict->next_us == 0) {
        sql_array_digest(&columns[PLAIN], &blob->digest);
        return;
    }
    bool by_rule = verdict->is_asked && verdict->cause == MOVE_RULE;
    sql_array_digest(&columns[SHA256], &blob->digest);
    sql_array_word(&columns[TIER], verdict->is_asked ? tier_name(verdict->tier) : "");
    sql_array_word(&columns[CAUSE],
                   verdict->is_asked ? move_cause_name(verdict->cause) : "default");
    sql_array_word(&columns[RULE], by_rule ? blob->rule : "");
    sql_array_int(&columns[MISSING], (int64_t)missing);
    sql_array_int(&columns[NEXT], verdict->next_us);
}

static enum err write_notes(struct db *db, struct buf columns[COLUMNS + 1],
                            struct error *e)
{
    enum err err = ERR_NONE;
    if (columns[SHA256].size > 0)
        err =
            db_exec(db, write_sql,
                    DB_PARAMS(sql_array(&columns[SHA256]), sql_array(&columns[TIER]),
                              sql_array(&columns[CAUSE]), sql_array(&columns[RULE]),
                              sql_array(&columns[MISSING]), sql_array(&columns[NEXT])),
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

static enum err decide_all(struct db *db, struct batch *batch,
                           const struct blob_facts_list *list, struct error *e)
{
    struct buf columns[COLUMNS + 1] = {0};
    enum err err = ERR_NONE;
    batch->pass->now_us = list->now_us;
    for (size_t i = 0; err == ERR_NONE && i < list->count; i++) {
        const struct blob_facts *blob = &list->blobs[i];
        struct verdict verdict = blob_verdict(blob, list->now_us);
        uint64_t missing = 0;
        if (verdict.cancels)
            add_cancel(batch, blob->move_id);
        err = act(db, batch, blob, &verdict, &missing, e);
        note(columns, blob, &verdict, missing);
    }
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
    for (int tier = 0; tier < TIER_COUNT; tier++)
        batch->promised[tier] = 0;
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
    for (int tier = 0; tier < TIER_COUNT; tier++)
        pass->coming[tier] += batch->promised[tier];
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
