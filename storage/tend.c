// SPDX-License-Identifier: Apache-2.0
// What is looked after every second: dropped copies, copies to the bucket, holds.
#include <string.h>

#include "common/db/tx.h"
#include "storage/move.h"
#include "storage/placement_drop.h"

#define BATCH 200

// ---- a copy in the bucket (invariant 3) ---------------------------------------------

struct unprotected {
    struct digest digest;
    bool is_named, is_there;
};

static enum err list(struct db *db, struct unprotected *all, int *count,
                     struct error *e)
{
    static const char sql[] =
        "SELECT sha256, EXISTS (SELECT 1 FROM version_files f"
        "   WHERE f.sha256 = b.sha256), EXISTS (SELECT 1 FROM placements p"
        "   WHERE p.sha256 = b.sha256 AND p.tier = 'cold' AND p.state = 'ready'"
        "   AND NOT p.damaged)"
        " FROM blobs b WHERE protect_at <= now() ORDER BY protect_at LIMIT $1"
        " FOR NO KEY UPDATE SKIP LOCKED";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_INT(BATCH)), &rows, e);
    *count = 0;
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        struct unprotected *u = &all[*count];
        if (!db_digest(rows, i, 0, &u->digest))
            continue;
        u->is_named = db_bool(rows, i, 1);
        u->is_there = db_bool(rows, i, 2);
        ++*count;
    }
    return err;
}

// Looked at again: what nothing names yet soon, since it may be named by then, and what
// has a move late, in case that is cancelled.
static enum err look_again(struct db *db, struct storage *storage,
                           const struct unprotected *u, struct error *e)
{
    static const char sql[] =
        "UPDATE blobs SET protect_at = CASE WHEN $2 THEN NULL"
        " ELSE now() + make_interval(secs => $3) END WHERE sha256 = $1";
    double after_s = (double)storage->options.protect_after_s;
    double delay_s = u->is_named ? after_s + 1 : after_s / 4;
    return db_exec(
        db, sql,
        DB_PARAMS(DB_DIGEST(&u->digest), DB_BOOL(u->is_there), DB_DOUBLE(delay_s)),
        NULL, e);
}

struct protecting {
    struct storage *storage;
    bool begun;
};

static enum err protect(struct db *db, void *context, struct error *e)
{
    struct protecting *p = context;
    struct unprotected all[BATCH];
    int count = 0;
    p->begun = false;
    enum err err = list(db, all, &count, e);
    for (int i = 0; i < count && err == ERR_NONE; i++) {
        const struct unprotected *u = &all[i];
        const struct move_request request = {
            .digest = u->digest, .to = TIER_COLD, .cause = MOVE_PROTECT};
        struct move move;
        err = look_again(db, p->storage, u, e);
        if (err != ERR_NONE || u->is_there || !u->is_named)
            continue;
        err = move_begin_in(db, p->storage, &request, &move, e);
        p->begun = true;
    }
    return err;
}

// A copy in a directory of this node would protect from nothing.
static enum err protect_batch(struct storage *storage, struct error *e)
{
    const struct storage_tier *cold = &storage->tiers[TIER_COLD];
    if (cold->file != NULL || !tier_is_online(cold))
        return ERR_NONE;
    struct protecting protecting = {.storage = storage};
    enum err err = db_tx_run(storage->pool, protect, &protecting, e);
    if (err == ERR_NONE && protecting.begun)
        storage_wake_movers(storage);
    return err;
}

// ---- holds whose time is over -------------------------------------------------------

static enum err end_holds(struct storage *storage, struct error *e)
{
    static const char sql[] = "DELETE FROM holds WHERE until < now()";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    return err != ERR_NONE ? err : db_exec(db, sql, DB_NO_PARAMS, NULL, e);
}

enum err storage_tend(struct storage *storage, struct error *e)
{
    // A tier that is away keeps the rest from nothing.
    struct error reaped = {0};
    enum err first = placement_reap(storage, &reaped);
    enum err err = protect_batch(storage, e);
    if (err == ERR_NONE)
        err = end_holds(storage, e);
    if (err == ERR_NONE && first != ERR_NONE)
        err = error_set(e, first, "%s", reaped.detail);
    error_clear(&reaped);
    return err;
}
