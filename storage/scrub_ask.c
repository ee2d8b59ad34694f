// SPDX-License-Identifier: Apache-2.0
// What is due for the scrub, and making copies due: those that were asked for say that
// they were checked at the epoch.
#include "storage/scrub_own.h"

#define ASKED_AT_ONCE 1000

// ---- asking -------------------------------------------------------------------------

static enum err require_blob(struct db *db, const struct digest *digest,
                             struct error *e)
{
    static const char sql[] = "SELECT 1 FROM blobs WHERE sha256 = $1";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_DIGEST(digest)), &rows, e);
    if (err == ERR_NONE && db_rows(rows) == 0)
        err = error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    return err;
}

static enum err ask_blob(struct db *db, const struct storage_tier *tier,
                         const struct digest *digest, int64_t *due, struct error *e)
{
    static const char sql[] =
        "UPDATE placements SET checked_at = 'epoch'"
        " WHERE sha256 = $1 AND node_id = $2 AND tier = $3 AND state = 'ready'";
    int64_t rows = 0;
    enum err err = db_exec(db, sql,
                           DB_PARAMS(DB_DIGEST(digest), DB_INT(tier->node),
                                     DB_TEXT(tier_name(tier->tier))),
                           &rows, e);
    *due += rows;
    return err;
}

// Some at a time, locked in the order in which others lock them.
static enum err ask_tier(struct db *db, const struct storage_tier *tier, int64_t *due,
                         struct error *e)
{
    static const char sql[] =
        "WITH chosen AS (SELECT id FROM placements"
        "  WHERE id > $1 AND node_id = $2 AND tier = $3 AND state = 'ready'"
        "  ORDER BY id LIMIT $4 FOR NO KEY UPDATE),"
        " asked AS (UPDATE placements p SET checked_at = 'epoch' FROM chosen"
        "  WHERE p.id = chosen.id RETURNING p.id)"
        " SELECT count(*), max(id) FROM asked";
    int64_t after = 0, count = ASKED_AT_ONCE;
    enum err err = ERR_NONE;
    while (err == ERR_NONE && count == ASKED_AT_ONCE) {
        CLEANUP(db_result_free_at) struct db_result *rows = NULL;
        err = db_query(db, sql,
                       DB_PARAMS(DB_INT(after), DB_INT(tier->node),
                                 DB_TEXT(tier_name(tier->tier)), DB_INT(ASKED_AT_ONCE)),
                       &rows, e);
        count = err == ERR_NONE ? db_int(rows, 0, 0) : 0;
        after = count > 0 ? db_int(rows, 0, 1) : after;
        *due += count;
    }
    return err;
}

enum err scrub_ask(struct scrub *s, const struct digest *digest, const enum tier *tier,
                   int64_t *due, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    *due = 0;
    if (err == ERR_NONE && digest != NULL)
        err = require_blob(db, digest, e);
    for (int i = 0; err == ERR_NONE && i < TIER_COUNT; i++) {
        const struct storage_tier *t = &s->storage->tiers[i];
        if (!tier_is_online(t) || (tier != NULL && t->tier != *tier))
            continue;
        err =
            digest != NULL ? ask_blob(db, t, digest, due, e) : ask_tier(db, t, due, e);
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
