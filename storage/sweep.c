// SPDX-License-Identifier: Apache-2.0
// What time undoes: expired uploads, old leases and moves.
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "storage/mover.h"
#include "storage/tier_room.h"
#include "storage/upload_steps.h"

#define IDLE_MS (10 * 60 * 1000)
#define EPOCH_MS (60 * 60 * 1000)
#define BATCH 1000
#define MOVES_KEPT_DAYS 30
#define FORGOTTEN 50000      // moves in one sweep
#define SWEEP_MS (10 * 1000) // a stop waits for a sweep

struct expired {
    char (*ids)[UPLOAD_ID_SIZE];
    int count;
};

static enum err list_expired(struct storage *storage, struct expired *list,
                             struct error *e)
{
    static const char sql[] =
        "SELECT id FROM uploads WHERE expires_at < now() AND node_id = $1"
        " ORDER BY expires_at LIMIT $2";
    static const char open[] = "SELECT count(*) FROM uploads WHERE node_id = $1"
                               " AND state <> 'done'";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    CLEANUP(db_result_free_at) struct db_result *counted = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_INT(storage->options.node), DB_INT(BATCH)),
                       &rows, e);
    if (err == ERR_NONE)
        err = db_query(db, open, DB_PARAMS(DB_INT(storage->options.node)), &counted, e);
    if (err != ERR_NONE)
        return err;
    atomic_store(&storage->uploads_open, db_int(counted, 0, 0));
    list->count = db_rows(rows);
    list->ids = alloc_array((size_t)list->count + 1, sizeof *list->ids);
    for (int i = 0; i < list->count; i++)
        memcpy(list->ids[i], db_text(rows, i, 0), UPLOAD_ID_SIZE);
    return ERR_NONE;
}

// True when somebody works on it at this moment: it stays.
static bool is_busy(struct upload *u)
{
    LOCK_SCOPE(&u->lock);
    return u->busy > 0 || u->hashing || u->state == UPLOAD_COMPLETING;
}

static enum err sweep_one(struct storage *storage, const char *id, struct error *e)
{
    struct upload *u = NULL;
    enum err err = upload_find(storage, id, UPLOAD_ANY_PRINCIPAL, &u, e);
    if (err == ERR_UPLOAD_NOT_FOUND) // its file is gone: there is nothing but the row
        return upload_row_delete(storage, id, e);
    if (err != ERR_NONE)
        return err;
    if (!is_busy(u)) {
        err = upload_remove_held(storage, u, e);
        if (err == ERR_UPLOAD_NOT_OPEN) {
            // The row was left at `completing`: it is finished, and removed next time.
            struct blob blob;
            bool created;
            err = upload_complete_held(storage, u, &blob, &created, e);
        }
    }
    upload_release(storage->uploads, u);
    return err;
}

// Nothing but its lease may have named a blob.
static enum err drop_leases(struct storage *storage, struct error *e)
{
    static const char sql[] =
        "WITH gone AS (DELETE FROM leases WHERE until < now() RETURNING sha256)"
        " INSERT INTO gc_candidates (sha256) SELECT DISTINCT sha256 FROM gone"
        " ON CONFLICT DO NOTHING";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    return err != ERR_NONE ? err : db_exec(db, sql, DB_NO_PARAMS, NULL, e);
}

static enum err forget_moves(struct storage *storage, struct error *e)
{
    static const char sql[] =
        "DELETE FROM moves WHERE id IN (SELECT id FROM moves m"
        " WHERE finished_at < now() - make_interval(days => $1::int)"
        " AND NOT EXISTS (SELECT 1 FROM placements p WHERE p.id = m.placement_id"
        "  AND p.state IN ('copying', 'verifying')) LIMIT $2)";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    return err != ERR_NONE
               ? err
               : db_exec(db, sql, DB_PARAMS(DB_INT(MOVES_KEPT_DAYS), DB_INT(FORGOTTEN)),
                         NULL, e);
}

// *removed says how many rows went; *full that there may be more.
static enum err sweep_batch(struct storage *storage, int *removed, bool *full,
                            struct error *e)
{
    struct expired list = {0};
    enum err err = list_expired(storage, &list, e);
    *removed = 0;
    *full = list.count == BATCH;
    for (int i = 0; i < list.count && err != ERR_UNAVAILABLE; i++) {
        err = sweep_one(storage, list.ids[i], e);
        if (err == ERR_NONE)
            ++*removed;
        else
            log_warn("an expired upload stays", "upload", list.ids[i], "error",
                     e != NULL ? e->detail : "", NULL);
        if (err != ERR_NONE && err != ERR_UNAVAILABLE) {
            error_clear(e); // of its tier's device: the others are looked at
            err = ERR_NONE;
        }
    }
    free(list.ids);
    return err;
}

// Batch by batch, as long as they get it forward: each whole blob leaves a row.
static enum err sweep_uploads(struct storage *storage, struct error *e)
{
    enum err err = ERR_NONE;
    int removed = 0, all = 0;
    bool full = true;
    int64_t until_ms = clock_monotonic_ms() + SWEEP_MS;
    while (err == ERR_NONE && full && clock_monotonic_ms() < until_ms) {
        err = sweep_batch(storage, &removed, &full, e);
        all += removed;
        full = full && removed > 0;
    }
    if (all > 0)
        log_info("expired uploads removed", "count", log_number(all), NULL);
    return err;
}

// A mount that was missing at start, a bucket that was away.
static void look_at_offline(struct storage *storage, struct storage_tier *tier)
{
    struct error e = {0};
    enum err err = tier_reopen(tier, &e);
    if (err == ERR_NONE)
        err = storage_bring_online(storage, tier, &e);
    if (err == ERR_NONE && tier_is_online(tier))
        log_info("a tier is online again", "tier", tier_name(tier->tier), NULL);
    else if (err != ERR_NONE)
        log_warn("a tier stays offline", "tier", tier_name(tier->tier), "error",
                 e.detail, NULL);
    error_clear(&e);
}

static void look_at_tiers(struct storage *storage)
{
    for (int i = 0; i < TIER_COUNT; i++) {
        struct storage_tier *tier = &storage->tiers[i];
        struct error e = {0};
        if (!tier_is_online(tier))
            look_at_offline(storage, tier);
        else if (tier_check(storage, tier, &e) != ERR_NONE)
            log_warn("nobody knows whose a tier is", "tier", tier_name(tier->tier),
                     "error", e.detail, NULL);
        error_clear(&e);
    }
}

static bool may_remove(const struct storage *storage)
{
    for (int i = 0; i < TIER_COUNT; i++) {
        if (atomic_load(&storage->tiers[i].keep_unknown))
            return false;
    }
    return tier_is_online(&storage->tiers[TIER_HOT]);
}

// A tier that lets nothing go now keeps the rest from nothing.
static void tend_moves(struct storage *storage)
{
    struct error e = {0};
    if (move_row_unplace_finished(storage, &e) != ERR_NONE)
        log_warn("what an ended move left stays for now", "error", e.detail, NULL);
    error_clear(&e);
    if (forget_moves(storage, &e) != ERR_NONE)
        log_warn("old moves are not forgotten now", "error", e.detail, NULL);
    error_clear(&e);
}

enum err storage_sweep(struct storage *storage, struct error *e)
{
    upload_table_trim(storage->uploads, IDLE_MS);
    enum err err = drop_leases(storage, e);
    if (err == ERR_NONE)
        tend_moves(storage);
    if (err == ERR_NONE)
        look_at_tiers(storage);
    // Where the database is behind a tier, nothing is removed.
    if (err != ERR_NONE || !may_remove(storage))
        return err;
    err = sweep_uploads(storage, e);
    if (err == ERR_NONE)
        err = tier_room_count(storage, e);
    if (err == ERR_NONE &&
        clock_monotonic_ms() - atomic_load(&storage->epoch_at_ms) > EPOCH_MS)
        err = tier_epoch_advance(storage, e);
    return err;
}
