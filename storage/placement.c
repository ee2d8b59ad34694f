// SPDX-License-Identifier: Apache-2.0
#include "storage/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/db/tx.h"
#include "common/log.h"
#include "storage/move.h"

void placement_list_clear(struct placement_list *list)
{
    for (int i = 0; i < list->count; i++)
        free(list->placements[i].seek_table);
    list->count = 0;
}

static void take_row(const struct db_result *rows, int row, struct placement *p)
{
    p->id = db_int(rows, row, 1);
    p->stored_size = (uint64_t)db_int(rows, row, 3);
    snprintf(p->encoding, sizeof p->encoding, "%s", db_text(rows, row, 4));
    p->damaged = db_bool(rows, row, 5);
    p->seek_table = db_bytes(rows, row, 6, &p->seek_table_size);
}

enum err placement_list_get(struct storage *storage, const struct digest *digest,
                            struct placement_list *list, struct error *e)
{
    static const char sql[] =
        "SELECT b.size, p.id, p.tier, p.stored_size, p.encoding, p.damaged,"
        " p.seek_table FROM blobs b LEFT JOIN placements p ON p.sha256 = b.sha256"
        " AND p.node_id IN (0, $2) AND p.state = 'ready' WHERE b.sha256 = $1"
        " ORDER BY p.damaged, p.tier = 'cold', p.tier = 'warm'";
    memset(list, 0, sizeof *list);
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql,
                       DB_PARAMS(DB_DIGEST(digest), DB_INT(storage->options.node)),
                       &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    list->size = (uint64_t)db_int(rows, 0, 0);
    for (int row = 0; row < db_rows(rows) && list->count < TIER_COUNT; row++) {
        struct placement *p = &list->placements[list->count];
        if (db_is_null(rows, row, 1) || !tier_parse(db_text(rows, row, 2), &p->tier))
            continue;
        take_row(rows, row, p);
        list->count++;
    }
    return ERR_NONE;
}

enum err placement_look(struct storage *storage, const struct digest *digest,
                        const struct placement *placement, bool *seen, struct error *e)
{
    struct storage_tier *tier = &storage->tiers[placement->tier];
    const struct tier_key key = {.digest = *digest, .id = placement->id};
    bool found = false;
    uint64_t size = 0;
    enum err err = tier_require(tier, e);
    if (err == ERR_NONE)
        err = tier->store->ops->stat(tier->store, &key, &found, &size, e);
    *seen = err == ERR_NONE && found && size == placement->stored_size;
    return err;
}

// ---- the last transaction of an upload ---------------------------------------

enum upload_row_state { ROW_WAITS, ROW_DONE };

// The row's lock also waits for an earlier run whose answer was lost.
static enum err lock_upload(struct db *db, struct placement_birth *b,
                            enum upload_row_state *state, struct error *e)
{
    static const char sql[] = "SELECT state, asked_tier FROM uploads WHERE id = $1"
                              " FOR UPDATE";
    static const char placed[] = "SELECT 1 FROM placements WHERE id = $1";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_TEXT(b->upload_id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_UPLOAD_NOT_FOUND, "the upload is gone");
    *state = strcmp(db_text(rows, 0, 0), "done") == 0 ? ROW_DONE : ROW_WAITS;
    if (!tier_parse(db_text(rows, 0, 1), &b->asked))
        b->asked = b->tier;
    if (*state == ROW_WAITS)
        return ERR_NONE;
    // Asked after the lock was had: what the earlier run wrote is seen.
    err = db_query(db, placed, DB_PARAMS(DB_INT(b->placement_id)), &rows, e);
    b->own = err == ERR_NONE && db_rows(rows) == 1;
    return err;
}

// Inserts the blob's row or locks the one that is there, so that it stays.
static enum err take_blob(struct db *db, struct placement_birth *b, struct error *e)
{
    static const char insert[] =
        "INSERT INTO blobs (sha256, size, chain_root) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING";
    static const char insert_chain[] =
        "INSERT INTO chains (sha256, states) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    static const char lock[] = "SELECT 1 FROM blobs WHERE sha256 = $1 FOR KEY SHARE";
    struct digest root;
    chain_root(b->chain, &root);
    for (int attempt = 0; attempt < 3; attempt++) {
        int64_t inserted = 0;
        enum err err =
            db_exec(db, insert,
                    DB_PARAMS(DB_DIGEST(b->digest), DB_INT((int64_t)b->chain->size),
                              DB_DIGEST(&root)),
                    &inserted, e);
        if (err == ERR_NONE && inserted == 1)
            return db_exec(db, insert_chain,
                           DB_PARAMS(DB_DIGEST(b->digest),
                                     DB_BYTES(b->chain->states,
                                              b->chain->count * CHAIN_STATE_SIZE)),
                           NULL, e);
        CLEANUP(db_result_free_at) struct db_result *rows = NULL;
        if (err == ERR_NONE)
            err = db_query(db, lock, DB_PARAMS(DB_DIGEST(b->digest)), &rows, e);
        if (err != ERR_NONE || db_rows(rows) == 1)
            return err;
        // Collected between the two statements: once more.
    }
    return error_set(e, ERR_UNAVAILABLE, "the blob comes and goes; try again");
}

static enum err insert_placement(struct db *db, struct placement_birth *b,
                                 struct error *e)
{
    static const char sql[] =
        "INSERT INTO placements (id, sha256, tier, node_id, state, stored_size)"
        " VALUES ($1, $2, $5, $3, 'ready', $4)"
        " ON CONFLICT (sha256, tier, node_id) WHERE state <> 'dropping' DO NOTHING";
    int64_t inserted = 0;
    enum err err =
        db_exec(db, sql,
                DB_PARAMS(DB_INT(b->placement_id), DB_DIGEST(b->digest),
                          DB_INT(b->storage->tiers[b->tier].node),
                          DB_INT((int64_t)b->chain->size), DB_TEXT(tier_name(b->tier))),
                &inserted, e);
    b->own = err == ERR_NONE && inserted == 1;
    return err;
}

// A ready placement whose file has been lost or cut, or is damaged, gives way to the
// upload's.
static enum err drop_lost(struct db *db, struct placement_birth *b, struct error *e)
{
    static const char find[] =
        "SELECT id, tier, stored_size, damaged FROM placements"
        " WHERE sha256 = $1 AND tier = $3 AND node_id = $2 AND state = 'ready'"
        " FOR UPDATE";
    // All that was in its file is in the upload's: nothing is to be set aside.
    static const char drop[] =
        "UPDATE placements SET state = 'dropping', damaged = false, since = now()"
        " WHERE id = $1";
    struct storage_tier *tier = &b->storage->tiers[b->tier];
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, find,
                            DB_PARAMS(DB_DIGEST(b->digest), DB_INT(tier->node),
                                      DB_TEXT(tier_name(b->tier))),
                            &rows, e);
    if (err != ERR_NONE || db_rows(rows) == 0)
        return err;
    int64_t id = db_int(rows, 0, 0);
    if (!db_bool(rows, 0, 3) &&
        tier_file_has_final(tier->file, b->digest, id, (uint64_t)db_int(rows, 0, 2)))
        return ERR_NONE;
    log_warn("a lost or damaged file is replaced by an upload", "placement",
             log_number(id), NULL);
    b->replaced = true;
    err = db_exec(db, drop, DB_PARAMS(DB_INT(id)), NULL, e);
    return err != ERR_NONE ? err : insert_placement(db, b, e);
}

// A bucket is not asked within a transaction.
static bool is_there(const struct placement_birth *b, enum tier on, int64_t id,
                     uint64_t stored_size)
{
    const struct storage_tier *tier = &b->storage->tiers[on];
    return tier_is_online(tier) &&
           (tier->file == NULL ||
            tier_file_has_final(tier->file, b->digest, id, stored_size));
}

// Another copy has the place. It stands for the upload's bytes only if it is good; one
// that a move is making may yet fail, so that then a good one has to be elsewhere.
static enum err require_good_copy(struct db *db, struct placement_birth *b,
                                  struct error *e)
{
    static const char sql[] =
        "SELECT tier, id, stored_size FROM placements WHERE sha256 = $1"
        " AND node_id IN (0, $2) AND state = 'ready' AND NOT damaged";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql, DB_PARAMS(DB_DIGEST(b->digest), DB_INT(b->storage->options.node)),
        &rows, e);
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        enum tier tier;
        if (tier_parse(db_text(rows, i, 0), &tier) &&
            is_there(b, tier, db_int(rows, i, 1), (uint64_t)db_int(rows, i, 2)))
            return ERR_NONE;
    }
    return err != ERR_NONE
               ? err
               : error_set(e, ERR_UNAVAILABLE,
                           "a copy of the blob is being made; complete it again");
}

// With the blob locked, so that no copy is condemned meanwhile.
static enum err settle_with_other(struct db *db, struct placement_birth *b,
                                  struct error *e)
{
    static const char lock[] = "SELECT 1 FROM blobs WHERE sha256 = $1"
                               " FOR NO KEY UPDATE";
    enum err err = db_query(db, lock, DB_PARAMS(DB_DIGEST(b->digest)), NULL, e);
    if (err == ERR_NONE)
        err = drop_lost(db, b, e);
    return err != ERR_NONE || b->own ? err : require_good_copy(db, b, e);
}

static enum err finish_upload(struct db *db, struct placement_birth *b, struct error *e)
{
    static const char done[] = "UPDATE uploads SET state = 'done', chain = NULL"
                               " WHERE id = $1";
    static const char parts[] = "DELETE FROM upload_parts WHERE upload_id = $1";
    enum err err = db_exec(db, done, DB_PARAMS(DB_TEXT(b->upload_id)), NULL, e);
    if (err == ERR_NONE)
        err = db_exec(db, parts, DB_PARAMS(DB_TEXT(b->upload_id)), NULL, e);
    return err;
}

// What was asked for on a lower tier than uploads are written on goes there now.
static enum err begin_move(struct db *db, struct placement_birth *b, struct error *e)
{
    const struct move_request request = {.digest = *b->digest,
                                         .to = b->asked,
                                         .cause = MOVE_EXPLICIT,
                                         .drops = true,
                                         .principal_id = b->principal_id};
    struct move move;
    b->moves = b->own && b->asked > b->tier;
    return b->moves ? move_begin_in(db, b->storage, &request, &move, e) : ERR_NONE;
}

static enum err birth(struct db *db, void *context, struct error *e)
{
    struct placement_birth *b = context;
    b->own = b->replaced = b->moves = false;
    enum upload_row_state state = ROW_WAITS;
    enum err err = lock_upload(db, b, &state, e);
    if (err != ERR_NONE || state == ROW_DONE)
        return err;
    err = take_blob(db, b, e);
    if (err == ERR_NONE)
        err = insert_placement(db, b, e);
    if (err == ERR_NONE && !b->own)
        err = settle_with_other(db, b, e);
    if (err == ERR_NONE)
        err = lease_put(db, b->digest, b->principal_id, b->lease_until_us, e);
    if (err == ERR_NONE)
        err = begin_move(db, b, e);
    return err != ERR_NONE ? err : finish_upload(db, b, e);
}

enum err placement_birth_run(struct placement_birth *b, struct error *e)
{
    return db_tx_run(b->storage->pool, birth, b, e);
}
