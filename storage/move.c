// SPDX-License-Identifier: Apache-2.0
// Moves as rows: beginning, showing and cancelling them.
#include "storage/move.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/db/tx.h"
#include "storage/mover.h"
#include "storage/state.h"

static const char *const causes[] = {
    [MOVE_EXPLICIT] = "move",   [MOVE_PIN] = "pin",   [MOVE_PREFETCH] = "prefetch",
    [MOVE_RULE] = "rule",       [MOVE_HEAT] = "heat", [MOVE_SPACE] = "space",
    [MOVE_PROTECT] = "protect", [MOVE_HEAL] = "heal",
};
// What people wait for first, then what keeps bytes safe, then what tidies up.
static const int priorities[] = {
    [MOVE_EXPLICIT] = 10, [MOVE_PIN] = 10,  [MOVE_PREFETCH] = 10, [MOVE_SPACE] = 20,
    [MOVE_HEAL] = 20,     [MOVE_HEAT] = 30, [MOVE_RULE] = 30,     [MOVE_PROTECT] = 40,
};
static const char *const states[] = {
    [MOVE_QUEUED] = "queued",       [MOVE_COPYING] = "copying",
    [MOVE_VERIFYING] = "verifying", [MOVE_DONE] = "done",
    [MOVE_FAILED] = "failed",       [MOVE_CANCELLED] = "cancelled",
};

const char *move_cause_name(enum move_cause cause)
{
    return causes[cause];
}

const char *move_state_name(enum move_state state)
{
    return states[state];
}

bool move_state_parse(const char *text, enum move_state *state)
{
    for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
        if (strcmp(text, states[i]) == 0) {
            *state = (enum move_state)i;
            return true;
        }
    }
    return false;
}

bool move_cause_parse(const char *text, enum move_cause *cause)
{
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++) {
        if (strcmp(text, causes[i]) == 0) {
            *cause = (enum move_cause)i;
            return true;
        }
    }
    return false;
}

// ---- rows -------------------------------------------------------------------------

#define COLUMNS                                                                        \
    "id, sha256, from_tier, to_tier, cause, rule, drops, state, size, bytes_done,"     \
    " attempts, error, created_at, started_at, finished_at"

bool move_take_row(const struct db_result *rows, int row, struct move *m)
{
    *m = (struct move){.id = db_int(rows, row, 0),
                       .drops = db_bool(rows, row, 6),
                       .size = (uint64_t)db_int(rows, row, 8),
                       .bytes_done = (uint64_t)db_int(rows, row, 9),
                       .eta_s = -1,
                       .attempts = db_int(rows, row, 10),
                       .created_us = db_time(rows, row, 12)};
    if (!db_is_null(rows, row, 13))
        m->started_us = db_time(rows, row, 13);
    if (!db_is_null(rows, row, 14))
        m->finished_us = db_time(rows, row, 14);
    snprintf(m->rule, sizeof m->rule, "%s", db_text(rows, row, 5));
    snprintf(m->error, sizeof m->error, "%s", db_text(rows, row, 11));
    return db_digest(rows, row, 1, &m->digest) &&
           tier_parse(db_text(rows, row, 2), &m->from) &&
           tier_parse(db_text(rows, row, 3), &m->to) &&
           move_cause_parse(db_text(rows, row, 4), &m->cause) &&
           move_state_parse(db_text(rows, row, 7), &m->state);
}

static enum err take_one(struct storage *storage, const struct db_result *rows,
                         struct move *move, struct error *e)
{
    if (db_rows(rows) == 0)
        return error_set(e, ERR_MOVE_NOT_FOUND, "no such move");
    if (!move_take_row(rows, 0, move))
        return error_set(e, ERR_INTERNAL, "a move's row cannot be read");
    movers_progress(storage, move);
    return ERR_NONE;
}

// ---- begin ------------------------------------------------------------------------

// What is here of the blob, before the move.
struct present {
    uint64_t size;
    bool ready[TIER_COUNT];
    enum tier hottest;
    bool is_moving;           // by moves before this one
    enum tier hottest_coming; // of their targets
};

// What moves before this one will bring.
static enum err look_ahead(struct db *db, struct storage *storage,
                           const struct digest *digest, struct present *present,
                           struct error *e)
{
    static const char sql[] = "SELECT DISTINCT to_tier FROM moves WHERE sha256 = $1"
                              " AND node_id = $2 AND finished_at IS NULL";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql, DB_PARAMS(DB_DIGEST(digest), DB_INT(storage->options.node)), &rows, e);
    present->hottest_coming = TIER_COLD;
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        enum tier tier;
        present->is_moving = true;
        if (tier_parse(db_text(rows, i, 0), &tier) && tier < present->hottest_coming)
            present->hottest_coming = tier;
    }
    return err;
}

// The blob's row is locked, so that two moves of it begin one after the other.
static enum err look(struct db *db, struct storage *storage,
                     const struct digest *digest, struct present *present,
                     struct error *e)
{
    static const char lock[] = "SELECT size FROM blobs WHERE sha256 = $1"
                               " FOR NO KEY UPDATE";
    static const char sql[] =
        "SELECT tier FROM placements WHERE sha256 = $1 AND node_id IN (0, $2)"
        " AND state = 'ready' AND NOT damaged";
    CLEANUP(db_result_free_at) struct db_result *blob = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, lock, DB_PARAMS(DB_DIGEST(digest)), &blob, e);
    if (err == ERR_NONE && db_rows(blob) == 0)
        err = error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    if (err == ERR_NONE)
        err = db_query(db, sql,
                       DB_PARAMS(DB_DIGEST(digest), DB_INT(storage->options.node)),
                       &rows, e);
    if (err != ERR_NONE)
        return err;
    *present =
        (struct present){.size = (uint64_t)db_int(blob, 0, 0), .hottest = TIER_COLD};
    for (int i = 0; i < db_rows(rows); i++) {
        enum tier tier;
        if (!tier_parse(db_text(rows, i, 0), &tier))
            continue;
        present->ready[tier] = true;
        if (tier < present->hottest)
            present->hottest = tier;
    }
    return look_ahead(db, storage, digest, present, e);
}

// The active move with the same effect.
static enum err find_active(struct db *db, struct storage *storage,
                            const struct move_request *request, struct move *move,
                            bool *found, struct error *e)
{
    static const char sql[] =
        "SELECT " COLUMNS " FROM moves WHERE sha256 = $1 AND node_id = $2"
        " AND finished_at IS NULL AND NOT cancelled AND to_tier = $3 AND drops = $4"
        " ORDER BY id DESC LIMIT 1";
    // An earlier wish for another tier is overtaken by this one: it stands behind.
    static const char last[] = "SELECT max(id) FROM moves WHERE sha256 = $1"
                               " AND node_id = $2 AND finished_at IS NULL";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    CLEANUP(db_result_free_at) struct db_result *newest = NULL;
    enum err err =
        db_query(db, sql,
                 DB_PARAMS(DB_DIGEST(&request->digest), DB_INT(storage->options.node),
                           DB_TEXT(tier_name(request->to)), DB_BOOL(request->drops)),
                 &rows, e);
    if (err == ERR_NONE)
        err = db_query(
            db, last,
            DB_PARAMS(DB_DIGEST(&request->digest), DB_INT(storage->options.node)),
            &newest, e);
    *found = err == ERR_NONE && db_rows(rows) == 1 &&
             db_int(rows, 0, 0) == db_int(newest, 0, 0);
    return *found ? take_one(storage, rows, move, e) : err;
}

static enum err raise_priority(struct db *db, const struct move *move,
                               enum move_cause cause, struct error *e)
{
    static const char sql[] =
        "UPDATE moves SET priority = least(priority, $2::int), not_before = CASE WHEN"
        " $3 THEN now() ELSE not_before END WHERE id = $1 AND finished_at IS NULL";
    return db_exec(db, sql,
                   DB_PARAMS(DB_INT(move->id), DB_INT(priorities[cause]),
                             DB_BOOL(priorities[cause] == priorities[MOVE_EXPLICIT])),
                   NULL, e);
}

// What is under way may still take it away again.
static bool is_reached(const struct present *present,
                       const struct move_request *request)
{
    return !present->is_moving && present->ready[request->to] &&
           (!request->drops || present->hottest >= request->to);
}

static enum err insert(struct db *db, struct storage *storage,
                       const struct move_request *request,
                       const struct present *present, struct move *move,
                       struct error *e)
{
    static const char sql[] =
        "INSERT INTO moves (sha256, node_id, from_tier, to_tier, drops, cause, rule,"
        " priority, size, principal_id, state, bytes_done, started_at, finished_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, nullif($10, 0::bigint), $11,"
        " CASE WHEN $12 THEN $9::bigint ELSE 0 END,"
        " CASE WHEN $12 THEN now() END, CASE WHEN $12 THEN now() END)"
        " RETURNING " COLUMNS;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    bool reached = is_reached(present, request);
    enum err err = db_query(
        db, sql,
        DB_PARAMS(DB_DIGEST(&request->digest), DB_INT(storage->options.node),
                  DB_TEXT(tier_name(present->hottest)), DB_TEXT(tier_name(request->to)),
                  DB_BOOL(request->drops), DB_TEXT(causes[request->cause]),
                  DB_TEXT(request->rule != NULL ? request->rule : ""),
                  DB_INT(priorities[request->cause]), DB_INT((int64_t)present->size),
                  DB_INT(request->principal_id),
                  DB_TEXT(states[reached ? MOVE_DONE : MOVE_QUEUED]), DB_BOOL(reached)),
        &rows, e);
    return err != ERR_NONE ? err : take_one(storage, rows, move, e);
}

static enum err hold(struct db *db, struct storage *storage,
                     const struct move_request *request, struct error *e)
{
    static const char sql[] =
        "INSERT INTO holds (sha256, tier, until) VALUES ($1, $2, $3)"
        " ON CONFLICT (sha256) DO UPDATE SET tier = excluded.tier,"
        " until = excluded.until";
    int64_t until_us = clock_wall_us() + storage->options.move_hold_s * 1000000;
    return db_exec(db, sql,
                   DB_PARAMS(DB_DIGEST(&request->digest),
                             DB_TEXT(tier_name(request->to)), DB_TIME(until_us)),
                   NULL, e);
}

// Somebody who asks for a tier wants the blob there and nowhere above: a demotion drops
// what is above, a promotion keeps what is below.
static bool is_demotion(const struct present *present, enum tier to)
{
    return present->hottest < to ||
           (present->is_moving && present->hottest_coming < to);
}

enum err move_begin_in(struct db *db, struct storage *storage,
                       const struct move_request *asked, struct move *move,
                       struct error *e)
{
    struct present present;
    struct move_request request = *asked;
    bool found = false;
    enum err err = look(db, storage, &request.digest, &present, e);
    // The policy asks again for what is held, which does not hold it longer.
    if (err == ERR_NONE && request.cause == MOVE_EXPLICIT &&
        request.principal_id != 0) {
        request.drops = is_demotion(&present, request.to);
        err = hold(db, storage, &request, e);
    }
    if (err == ERR_NONE)
        err = find_active(db, storage, &request, move, &found, e);
    if (err != ERR_NONE)
        return err;
    return found ? raise_priority(db, move, request.cause, e)
                 : insert(db, storage, &request, &present, move, e);
}

struct beginning {
    struct storage *storage;
    const struct move_request *request;
    struct move *move;
};

static enum err begin(struct db *db, void *context, struct error *e)
{
    struct beginning *b = context;
    return move_begin_in(db, b->storage, b->request, b->move, e);
}

enum err move_begin(struct storage *storage, const struct move_request *request,
                    struct move *move, struct error *e)
{
    struct beginning beginning = {storage, request, move};
    enum err err = db_tx_run(storage->pool, begin, &beginning, e);
    if (err == ERR_NONE)
        storage_wake_movers(storage);
    return err;
}

// ---- show -------------------------------------------------------------------------

enum err move_get(struct storage *storage, int64_t id, struct move *move,
                  struct error *e)
{
    static const char sql[] = "SELECT " COLUMNS " FROM moves WHERE id = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_INT(id)), &rows, e);
    return err != ERR_NONE ? err : take_one(storage, rows, move, e);
}

enum err move_list(struct storage *storage, const enum move_state *state,
                   const struct digest *digest, int64_t before, int64_t limit,
                   struct move **moves, size_t *count, struct error *e)
{
    static const char sql[] =
        "SELECT " COLUMNS " FROM moves WHERE ($1::bigint = 0 OR id < $1)"
        " AND ($2::text IS NULL OR state = $2) AND ($3::bytea IS NULL OR sha256 = $3)"
        " ORDER BY id DESC LIMIT $4";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(
            db, sql,
            DB_PARAMS(DB_INT(before), DB_TEXT(state != NULL ? states[*state] : NULL),
                      digest != NULL ? DB_DIGEST(digest) : DB_NULL, DB_INT(limit)),
            &rows, e);
    if (err != ERR_NONE)
        return err;
    *count = 0;
    *moves = alloc_array((size_t)db_rows(rows) + 1, sizeof **moves);
    for (int i = 0; i < db_rows(rows); i++) {
        struct move *m = &(*moves)[*count];
        if (!move_take_row(rows, i, m))
            continue;
        movers_progress(storage, m);
        ++*count;
    }
    return ERR_NONE;
}

// ---- cancel -----------------------------------------------------------------------

// One that runs ends at its next step; one that waits ends here.
static enum err cancel(struct db *db, void *context, struct error *e)
{
    static const char lock[] = "SELECT state, finished_at IS NOT NULL FROM moves"
                               " WHERE id = $1 FOR UPDATE";
    static const char sql[] =
        "UPDATE moves SET cancelled = true, state = CASE WHEN state = 'queued'"
        " THEN 'cancelled' ELSE state END, finished_at = CASE WHEN state = 'queued'"
        " THEN now() END WHERE id = $1";
    const int64_t *id = context;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, lock, DB_PARAMS(DB_INT(*id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_MOVE_NOT_FOUND, "no such move");
    if (db_bool(rows, 0, 1))
        return error_set(e, ERR_MOVE_FINISHED, "the move is %s", db_text(rows, 0, 0));
    return db_exec(db, sql, DB_PARAMS(DB_INT(*id)), NULL, e);
}

enum err move_cancel(struct storage *storage, int64_t id, struct error *e)
{
    enum err err = db_tx_run(storage->pool, cancel, &id, e);
    if (err == ERR_NONE)
        movers_cancel(storage, id);
    return err;
}
