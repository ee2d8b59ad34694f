// SPDX-License-Identifier: Apache-2.0
#include "storage/gc.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/db/tx.h"
#include "common/log.h"
#include "storage/blob_open.h"
#include "storage/event.h"
#include "storage/placement_drop.h"

#define BATCH 200

// Nothing names it; asked while its row is locked, or as a guess.
#define UNNAMED                                                                        \
    " NOT EXISTS (SELECT 1 FROM version_files f WHERE f.sha256 = b.sha256)"            \
    " AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.sha256 = b.sha256"                \
    "  AND l.until > now())"                                                           \
    " AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.base_sha256 = b.sha256)"

static bool is_cancelled(const atomic_bool *cancel)
{
    return cancel != NULL && atomic_load(cancel);
}

// Where the database is behind a tier, nothing is deleted: what it does not know may
// name the blob.
static bool may_delete(const struct storage *storage)
{
    for (int i = 0; i < TIER_COUNT; i++) {
        if (atomic_load(&storage->tiers[i].keep_unknown))
            return false;
    }
    return true;
}

// ---- one blob -----------------------------------------------------------------------

struct collecting {
    const struct digest *digest;
    bool deleted;
    int64_t size;
};

enum gc_verdict {
    VERDICT_NAMED,
    VERDICT_BUSY, // a move that copies has a file that no row would name any more
    VERDICT_GARBAGE,
};

static enum err judge(struct db *db, const struct digest *digest,
                      enum gc_verdict *verdict, struct error *e)
{
    static const char sql[] =
        "SELECT EXISTS (SELECT 1 FROM placements p WHERE p.sha256 = b.sha256"
        "  AND p.state IN ('copying', 'verifying'))"
        " FROM blobs b WHERE b.sha256 = $1 AND" UNNAMED;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_DIGEST(digest)), &rows, e);
    *verdict = VERDICT_NAMED;
    if (err == ERR_NONE && db_rows(rows) == 1)
        *verdict = db_bool(rows, 0, 0) ? VERDICT_BUSY : VERDICT_GARBAGE;
    return err;
}

static enum err delete_blob(struct db *db, const struct digest *digest, int64_t size,
                            struct error *e)
{
    static const char garbage[] =
        "INSERT INTO garbage (id, sha256, tier, node_id, stored_size)"
        " SELECT id, sha256, tier, node_id, stored_size FROM placements"
        " WHERE sha256 = $1";
    static const char placements[] = "DELETE FROM placements WHERE sha256 = $1";
    static const char leases[] = "DELETE FROM leases WHERE sha256 = $1";
    static const char blob[] = "DELETE FROM blobs WHERE sha256 = $1";
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    enum err err = db_exec(db, garbage, DB_PARAMS(DB_DIGEST(digest)), NULL, e);
    if (err == ERR_NONE)
        err = db_exec(db, placements, DB_PARAMS(DB_DIGEST(digest)), NULL, e);
    if (err == ERR_NONE)
        err = db_exec(db, leases, DB_PARAMS(DB_DIGEST(digest)), NULL, e);
    if (err == ERR_NONE)
        err = db_exec(db, blob, DB_PARAMS(DB_DIGEST(digest)), NULL, e);
    if (err == ERR_NONE)
        err = storage_event_put(db, "blob.deleted", hex,
                                json_pack("{s:I}", "size", (json_int_t)size), e);
    return err;
}

// The row's lock waits for those who publish it, and those who come later find it gone.
// What nothing names is asked afterwards, so that it sees what they committed.
static enum err collect(struct db *db, void *context, struct error *e)
{
    static const char lock[] = "SELECT size FROM blobs WHERE sha256 = $1 FOR UPDATE";
    static const char done[] = "DELETE FROM gc_candidates WHERE sha256 = $1";
    struct collecting *c = context;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum gc_verdict verdict = VERDICT_NAMED;
    c->deleted = false;
    enum err err = db_query(db, lock, DB_PARAMS(DB_DIGEST(c->digest)), &rows, e);
    bool here = err == ERR_NONE && db_rows(rows) == 1;
    if (here)
        err = judge(db, c->digest, &verdict, e);
    if (err == ERR_NONE && verdict == VERDICT_GARBAGE) {
        c->size = db_int(rows, 0, 0);
        err = delete_blob(db, c->digest, c->size, e);
        c->deleted = true;
    }
    return err != ERR_NONE || verdict == VERDICT_BUSY
               ? err
               : db_exec(db, done, DB_PARAMS(DB_DIGEST(c->digest)), NULL, e);
}

static enum err collect_one(struct storage *storage, const struct digest *digest,
                            struct gc_result *result, struct error *e)
{
    struct collecting collecting = {.digest = digest};
    enum err err = db_tx_run(storage->pool, collect, &collecting, e);
    result->candidates++;
    if (err == ERR_NONE && !collecting.deleted)
        return ERR_NONE;
    // Also when the answer to COMMIT was lost.
    blob_copies_changed(storage, digest);
    cache_drop(storage->chains, digest, sizeof *digest);
    if (err != ERR_NONE)
        return err;
    result->blobs++;
    result->blob_bytes += collecting.size;
    return ERR_NONE;
}

// ---- candidates ---------------------------------------------------------------------

// In the order of their digests, after `after`: one that stays because a move copies it
// does not keep the rest.
static enum err list_candidates(struct storage *storage, const struct digest *after,
                                struct digest list[BATCH], int *count, struct error *e)
{
    static const char sql[] = "SELECT sha256 FROM gc_candidates WHERE sha256 > $1"
                              " ORDER BY sha256 LIMIT $2";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_DIGEST(after), DB_INT(BATCH)), &rows, e);
    *count = 0;
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++)
        *count += db_digest(rows, i, 0, &list[*count]);
    return err;
}

static enum err collect_blobs(struct storage *storage, const atomic_bool *cancel,
                              struct gc_result *result, struct error *e)
{
    struct digest *list = alloc_array(BATCH, sizeof *list);
    struct digest after = {0};
    int count = BATCH;
    enum err err = ERR_NONE;
    while (err == ERR_NONE && count == BATCH && !is_cancelled(cancel)) {
        err = list_candidates(storage, &after, list, &count, e);
        for (int i = 0; err == ERR_NONE && i < count && !is_cancelled(cancel); i++)
            err = collect_one(storage, &list[i], result, e);
        if (count > 0)
            after = list[count - 1];
    }
    free(list);
    return err;
}

// ---- files ----------------------------------------------------------------------

static enum err remove_copy(struct storage *storage, struct storage_tier *tier,
                            const struct tier_key *key, int64_t stored_size,
                            struct gc_result *result, struct error *e)
{
    static const char sql[] = "DELETE FROM garbage WHERE id = $1";
    bool gone;
    enum err err =
        placement_remove_copy(storage, tier, key, stored_size, sql, &gone, e);
    result->copies += gone;
    result->copy_bytes += gone ? stored_size : 0;
    return err;
}

// A batch of one tier, after the number *last; *more: it was full. Readers of the cold
// tier open their copy again and again, so that it stays a while. One that cannot be
// removed now keeps no others.
static enum err remove_batch(struct storage *storage, struct storage_tier *tier,
                             int64_t *last, bool *more, struct gc_result *result,
                             struct error *e)
{
    static const char sql[] =
        "SELECT id, sha256, stored_size FROM garbage WHERE node_id = $1 AND tier = $2"
        " AND (node_id > 0 OR since < now() - make_interval(secs => $3))"
        " AND id > $5 ORDER BY id LIMIT $4";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err =
            db_query(db, sql,
                     DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                               DB_DOUBLE((double)storage->options.cold_delete_after_s),
                               DB_INT(BATCH), DB_INT(*last)),
                     &rows, e);
    db_release(steal_ptr(db));
    if (err != ERR_NONE)
        return err;
    *more = db_rows(rows) == BATCH;
    *last = *more ? db_int(rows, BATCH - 1, 0) : *last;
    for (int i = 0; i < db_rows(rows); i++) {
        struct error failure = {0};
        struct tier_key key = {.id = db_int(rows, i, 0)};
        enum err one = ERR_NONE;
        if (db_digest(rows, i, 1, &key.digest))
            one =
                remove_copy(storage, tier, &key, db_int(rows, i, 2), result, &failure);
        error_keep_first(&err, e, one, &failure);
    }
    return err;
}

static enum err remove_copies(struct storage *storage, const atomic_bool *cancel,
                              struct gc_result *result, struct error *e)
{
    enum err first = ERR_NONE;
    for (int i = 0; i < TIER_COUNT; i++) {
        struct storage_tier *tier = &storage->tiers[i];
        struct error failure = {0};
        enum err err = ERR_NONE;
        int64_t last = 0;
        bool more = tier_is_online(tier);
        while (more && err == ERR_NONE && !is_cancelled(cancel))
            err = remove_batch(storage, tier, &last, &more, result, &failure);
        error_keep_first(&first, e, err, &failure);
    }
    return first;
}

enum err gc_collect(struct storage *storage, const atomic_bool *cancel,
                    struct gc_result *result, struct error *e)
{
    if (!may_delete(storage))
        return ERR_NONE;
    enum err err = collect_blobs(storage, cancel, result, e);
    return err != ERR_NONE ? err : remove_copies(storage, cancel, result, e);
}

// ---- the walk -------------------------------------------------------------------

struct walking {
    int64_t blobs;
    bool ended;
};

static enum err walk(struct db *db, void *context, struct error *e)
{
    static const char add[] =
        "WITH next AS (SELECT b.sha256 FROM blobs b, gc_walk w WHERE b.sha256 > w.after"
        "   ORDER BY b.sha256 LIMIT $1),"
        " added AS (INSERT INTO gc_candidates (sha256) SELECT b.sha256 FROM blobs b"
        "   JOIN next USING (sha256) WHERE" UNNAMED " ON CONFLICT DO NOTHING)"
        " SELECT max(encode(sha256, 'hex')), count(*) FROM next";
    static const char on[] = "UPDATE gc_walk SET after = decode($1, 'hex'),"
                             " ended_at = NULL";
    static const char around[] = "UPDATE gc_walk SET after = '', ended_at = now(),"
                                 " began_at = now()";
    struct walking *w = context;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, add, DB_PARAMS(DB_INT(w->blobs)), &rows, e);
    if (err != ERR_NONE)
        return err;
    w->ended = db_int(rows, 0, 1) < w->blobs;
    return w->ended ? db_exec(db, around, DB_NO_PARAMS, NULL, e)
                    : db_exec(db, on, DB_PARAMS(DB_TEXT(db_text(rows, 0, 0))), NULL, e);
}

enum err gc_walk(struct storage *storage, int64_t blobs, bool *ended, struct error *e)
{
    struct walking walking = {.blobs = blobs};
    enum err err = db_tx_run(storage->pool, walk, &walking, e);
    *ended = walking.ended;
    return err;
}

// ---- what is shown --------------------------------------------------------------

enum err gc_preview(struct storage *storage, struct gc_preview *preview,
                    struct error *e)
{
    static const char sql[] =
        "SELECT b.sha256, b.size FROM gc_candidates c JOIN blobs b USING (sha256)"
        " WHERE" UNNAMED " ORDER BY b.sha256";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    memset(preview, 0, sizeof *preview);
    if (!may_delete(storage))
        return ERR_NONE;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    if (err != ERR_NONE)
        return err;
    preview->blobs = db_rows(rows);
    for (int i = 0; i < db_rows(rows); i++) {
        preview->bytes += db_int(rows, i, 1);
        if (preview->listed_count < GC_LISTED)
            preview->listed_count +=
                db_digest(rows, i, 0, &preview->listed[preview->listed_count]);
    }
    return ERR_NONE;
}

enum err gc_waiting(struct storage *storage, struct gc_waiting *waiting,
                    struct error *e)
{
    static const char sql[] = "SELECT (SELECT count(*) FROM gc_candidates), count(*),"
                              " coalesce(sum(stored_size), 0)::bigint FROM garbage";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    if (err == ERR_NONE)
        *waiting = (struct gc_waiting){db_int(rows, 0, 0), db_int(rows, 0, 1),
                                       db_int(rows, 0, 2)};
    return err;
}
