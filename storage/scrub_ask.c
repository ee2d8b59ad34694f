// SPDX-License-Identifier: Apache-2.0
// What is due for the scrub, and making copies due: those that were asked for say that
// they were checked at the epoch.
#include "storage/scrub_own.h"

#include "common/db/tx.h"

#define ASKED_AT_ONCE 1000

// ---- asking -------------------------------------------------------------------------

static enum err require_blob(struct scrub *s, const struct digest *digest,
                             struct error *e)
{
    static const char sql[] = "SELECT 1 FROM blobs WHERE sha256 = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_DIGEST(digest)), &rows, e);
    if (err == ERR_NONE && db_rows(rows) == 0)
        err = error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    return err;
}

// A tier that copies are asked for on.
struct asking {
    const struct storage_tier *tier;
    const struct digest *digest; // NULL: all that is there
    int64_t after;               // the last placement of the steps before
    int64_t count, last;         // of this step
};

static enum err ask_blob(struct db *db, void *context, struct error *e)
{
    struct asking *a = context;
    static const char sql[] =
        "UPDATE placements SET checked_at = 'epoch'"
        " WHERE sha256 = $1 AND node_id = $2 AND tier = $3 AND state = 'ready'";
    return db_exec(db, sql,
                   DB_PARAMS(DB_DIGEST(a->digest), DB_INT(a->tier->node),
                             DB_TEXT(tier_name(a->tier->tier))),
                   &a->count, e);
}

static enum err ask_some(struct db *db, void *context, struct error *e)
{
    struct asking *a = context;
    static const char sql[] =
        "WITH chosen AS (SELECT id FROM placements"
        "  WHERE id > $1 AND node_id = $2 AND tier = $3 AND state = 'ready'"
        "  ORDER BY id LIMIT $4 FOR NO KEY UPDATE),"
        " asked AS (UPDATE placements p SET checked_at = 'epoch' FROM chosen"
        "  WHERE p.id = chosen.id RETURNING p.id)"
        " SELECT count(*), max(id) FROM asked";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, sql,
                 DB_PARAMS(DB_INT(a->after), DB_INT(a->tier->node),
                           DB_TEXT(tier_name(a->tier->tier)), DB_INT(ASKED_AT_ONCE)),
                 &rows, e);
    a->count = err == ERR_NONE ? db_int(rows, 0, 0) : 0;
    a->last = a->count > 0 ? db_int(rows, 0, 1) : a->after;
    return err;
}

// Some at a time, since each step may meet a deadlock with those that note reads.
static enum err ask_tier(struct scrub *s, struct asking *a, int64_t *due,
                         struct error *e)
{
    db_tx_fn work = a->digest != NULL ? ask_blob : ask_some;
    enum err err;
    do {
        err = db_tx_run(s->storage->pool, work, a, e);
        if (err != ERR_NONE)
            return err;
        *due += a->count;
        a->after = a->last;
    } while (work == ask_some && a->count > 0);
    return ERR_NONE;
}

enum err scrub_ask(struct scrub *s, const struct digest *digest, const enum tier *tier,
                   int64_t *due, struct error *e)
{
    enum err err = digest != NULL ? require_blob(s, digest, e) : ERR_NONE;
    *due = 0;
    for (int i = 0; err == ERR_NONE && i < TIER_COUNT; i++) {
        const struct storage_tier *t = &s->storage->tiers[i];
        if (!tier_is_online(t) || (tier != NULL && t->tier != *tier))
            continue;
        err = ask_tier(s, &(struct asking){.tier = t, .digest = digest}, due, e);
    }
    atomic_fetch_add(&s->asked, 1);
    return err;
}

// ---- what is due --------------------------------------------------------------------

static enum err add_tier(struct scrub *s, struct db *db,
                         const struct storage_tier *tier, struct scrub_waiting *w,
                         struct error *e)
{
    static const char sql[] =
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM placements WHERE node_id = $1"
        "   AND tier = $2 AND state = 'ready'"
        "   AND checked_at < now() - make_interval(secs => $3) LIMIT $4) due),"
        " (SELECT count(*) FROM (SELECT 1 FROM placements WHERE node_id = $1"
        "   AND tier = $2 AND state = 'ready' AND checked_at = 'epoch' LIMIT $4) "
        "asked),"
        " (SELECT count(*) FROM placements WHERE node_id = $1 AND tier = $2"
        "   AND state = 'ready' AND damaged),"
        " (SELECT min(checked_at) FROM placements WHERE node_id = $1 AND tier = $2"
        "   AND state = 'ready' AND checked_at > 'epoch')";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, sql,
                 DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                           DB_DOUBLE((double)s->options.interval_s),
                           DB_INT(SCRUB_COUNTED_MAXIMUM)),
                 &rows, e);
    if (err != ERR_NONE)
        return err;
    w->due += db_int(rows, 0, 0);
    w->asked += tier_is_online(tier) ? db_int(rows, 0, 1) : 0;
    w->damaged += db_int(rows, 0, 2);
    int64_t oldest_us = db_is_null(rows, 0, 3) ? 0 : db_time(rows, 0, 3);
    if (oldest_us != 0 && (w->oldest_us == 0 || oldest_us < w->oldest_us))
        w->oldest_us = oldest_us;
    return ERR_NONE;
}

enum err scrub_waiting(struct scrub *s, struct scrub_waiting *waiting, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    *waiting = (struct scrub_waiting){.due = 0};
    for (int i = 0; err == ERR_NONE && i < TIER_COUNT; i++)
        err = add_tier(s, db, &s->storage->tiers[i], waiting, e);
    return err;
}
