// SPDX-License-Identifier: Apache-2.0
#include "storage/upload_row.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/direct.h"
#include "common/log.h"
#include "storage/upload_chain.h"

static enum err not_found(struct error *e)
{
    return error_set(e, ERR_UPLOAD_NOT_FOUND, "no such upload");
}

enum err upload_row_insert(struct storage *storage, struct upload_row *row,
                           struct error *e)
{
    static const char sql[] =
        "INSERT INTO uploads (principal_id, node_id, tier, size, part_size, sha256,"
        " chain, resumable, chain_with_parts, expires_at, asked_tier)"
        " VALUES ($1, $2, $10, $3, $4, $5, $6, $7, $8, $9, $11)"
        " RETURNING id, placement_id";
    row->expires_us = clock_wall_us() + storage->options.upload_expiry_s * 1000000;
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(
            db, sql,
            DB_PARAMS(DB_INT(row->principal_id), DB_INT(storage->options.node),
                      DB_INT((int64_t)row->size), DB_INT((int64_t)row->part_size),
                      row->digest == NULL ? DB_NULL : DB_DIGEST(row->digest),
                      row->chain == NULL
                          ? DB_NULL
                          : DB_BYTES(row->chain->states,
                                     row->chain->count * CHAIN_STATE_SIZE),
                      DB_BOOL(row->resumable), DB_BOOL(row->chain_with_parts),
                      DB_TIME(row->expires_us), DB_TEXT(tier_name(row->tier)),
                      DB_TEXT(tier_name(row->asked))),
            &rows, e);
    if (err != ERR_NONE)
        return err;
    snprintf(row->id, sizeof row->id, "%s", db_text(rows, 0, 0));
    row->placement_id = db_int(rows, 0, 1);
    return ERR_NONE;
}

enum err upload_row_close(struct storage *storage, const struct upload *u,
                          struct error *e)
{
    static const char sql[] =
        "UPDATE uploads SET state = 'completing', sha256 = $2, chain = $3"
        " WHERE id = $1 AND state <> 'done'";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    int64_t changed = 0;
    if (err == ERR_NONE)
        err = db_exec(
            db, sql,
            DB_PARAMS(DB_TEXT(u->id), DB_DIGEST(&u->digest),
                      DB_BYTES(u->chain.states, u->chain.count * CHAIN_STATE_SIZE)),
            &changed, e);
    if (err == ERR_NONE && changed != 1)
        err = not_found(e);
    return err;
}

enum err upload_row_delete(struct storage *storage, const char *id, struct error *e)
{
    static const char sql[] = "DELETE FROM uploads WHERE id = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_TEXT(id)), NULL, e);
    return err;
}

enum err upload_row_parts(struct db *db, const char *id, int64_t **numbers,
                          size_t *count, struct error *e)
{
    static const char sql[] =
        "SELECT number FROM upload_parts WHERE upload_id = $1 ORDER BY number";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_TEXT(id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    *count = (size_t)db_rows(rows);
    *numbers = alloc_array(*count + 1, sizeof **numbers);
    for (size_t i = 0; i < *count; i++)
        (*numbers)[i] = db_int(rows, (int)i, 0);
    return ERR_NONE;
}

// What is in a row was checked when it was written; a part whose values cannot be taken
// in is as good as not received.
static bool load_states(struct upload *u, uint64_t number, const struct db_result *rows,
                        int row)
{
    if (!u->chain_with_parts)
        return true;
    size_t size = 0;
    AUTO_FREE void *states = db_bytes(rows, row, 1, &size);
    struct error ignored = {0};
    bool good = size == upload_chain_values(u, number) * CHAIN_STATE_SIZE &&
                upload_chain_take(u, number, states, &ignored) == ERR_NONE;
    error_clear(&ignored);
    return good;
}

// A statement whose answer was lost, to this process or to one that was killed, may be
// under way still: it is waited for, or writes no row any more. The parts that are
// read afterwards are those that count, and what another attempt puts into the file in
// place of the others is never taken for what such a row says.
static enum err fence(struct db *db, struct upload *u, struct error *e)
{
    static const char sql[] = "UPDATE uploads SET generation = generation + 1"
                              " WHERE id = $1 RETURNING generation";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_TEXT(u->id)), &rows, e);
    if (err == ERR_NONE && db_rows(rows) == 0)
        err = not_found(e);
    if (err == ERR_NONE)
        u->generation = db_int(rows, 0, 0);
    return err;
}

static enum err load_parts(struct db *db, struct upload *u, struct error *e)
{
    static const char sql[] = "SELECT number, states FROM upload_parts"
                              " WHERE upload_id = $1 ORDER BY number";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_TEXT(u->id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    for (int row = 0; row < db_rows(rows); row++) {
        uint64_t number = (uint64_t)db_int(rows, row, 0);
        if (number < u->parts && load_states(u, number, rows, row))
            u->slots[number].state = PART_DURABLE;
    }
    return ERR_NONE;
}

static enum upload_state state_parse(const char *text)
{
    if (strcmp(text, "open") == 0)
        return UPLOAD_OPEN;
    return strcmp(text, "done") == 0 ? UPLOAD_DONE : UPLOAD_CLOSED;
}

static enum err load_row(struct storage *storage, struct db *db, struct upload *u,
                         enum upload_state *state, struct error *e)
{
    static const char sql[] =
        "SELECT principal_id, placement_id, size, part_size, state, sha256, chain,"
        " resumable, expires_at, chain_with_parts, tier FROM uploads"
        " WHERE id = $1 AND node_id = $2";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql, DB_PARAMS(DB_TEXT(u->id), DB_INT(storage->options.node)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return not_found(e);
    u->principal_id = db_int(rows, 0, 0);
    u->placement_id = db_int(rows, 0, 1);
    u->size = (uint64_t)db_int(rows, 0, 2);
    u->part_size = (uint64_t)db_int(rows, 0, 3);
    u->parts = upload_part_count(u->size, u->part_size);
    u->slots = alloc_array(u->parts + 1, sizeof *u->slots);
    *state = state_parse(db_text(rows, 0, 4));
    u->has_digest = db_digest(rows, 0, 5, &u->digest);
    u->resumable = db_bool(rows, 0, 7);
    u->expires_us = db_time(rows, 0, 8);
    u->chain_with_parts = db_bool(rows, 0, 9);
    if (!tier_parse(db_text(rows, 0, 10), &u->tier))
        return not_found(e);
    u->verifies_parts =
        *state == UPLOAD_OPEN && (u->chain_with_parts || !db_is_null(rows, 0, 6));
    if (u->verifies_parts && u->chain_with_parts) {
        upload_chain_begin(u); // all that is known is in the rows of the parts
        return ERR_NONE;
    }
    if (*state == UPLOAD_DONE || db_is_null(rows, 0, 6))
        return ERR_NONE;
    size_t size;
    AUTO_FREE void *raw = db_bytes(rows, 0, 6, &size);
    return chain_from_raw(u->size, raw, size, &u->chain, e);
}

// A row that is completing names two places, the file is in one of them.
static int open_file(struct storage *storage, struct upload *u, enum upload_state state)
{
    struct tier_file *files = storage->tiers[u->tier].file;
    if (state == UPLOAD_OPEN)
        return tier_file_open_incoming(files, u->placement_id, O_RDWR);
    int fd = tier_file_open_incoming(files, u->placement_id, O_RDONLY);
    if (fd < 0 && errno == ENOENT)
        fd = tier_file_open_final(files, &u->digest, u->placement_id);
    return fd;
}

static enum err load_file(struct storage *storage, struct upload *u,
                          enum upload_state state, struct error *e)
{
    if (state == UPLOAD_DONE)
        return ERR_NONE;
    enum err err = tier_require(&storage->tiers[u->tier], e);
    if (err != ERR_NONE)
        return err;
    u->fd = open_file(storage, u, state);
    // Where the follower hashes what was written, it is better found in memory.
    if (u->fd >= 0 && state == UPLOAD_OPEN && (u->verifies_parts || !u->resumable))
        u->direct_fd = direct_open(u->fd, u->size);
    if (u->fd >= 0)
        return ERR_NONE;
    if (errno != ENOENT)
        return error_set_errno(e, errno, "cannot open the file of upload %s", u->id);
    log_error("the file of an upload is missing", "upload", u->id, "placement",
              log_number(u->placement_id), NULL);
    return not_found(e);
}

static enum err load(struct storage *storage, struct upload *u, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum upload_state state = UPLOAD_GONE;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = load_row(storage, db, u, &state, e);
    if (err == ERR_NONE && state == UPLOAD_OPEN)
        err = fence(db, u, e);
    if (err == ERR_NONE && state == UPLOAD_OPEN)
        err = load_parts(db, u, e);
    if (err == ERR_NONE)
        err = load_file(storage, u, state, e);
    if (err == ERR_NONE)
        upload_settle(storage->uploads, u, state);
    else
        upload_fail(storage->uploads, u, e);
    return err;
}

// Waits until another thread has loaded it.
static enum err await(struct upload *u, struct error *e)
{
    LOCK_SCOPE(&u->lock);
    while (u->state == UPLOAD_LOADING)
        pthread_cond_wait(&u->changed, &u->lock);
    if (u->state != UPLOAD_GONE)
        return ERR_NONE;
    if (u->failure.code == ERR_NONE)
        return not_found(e);
    return error_set(e, u->failure.code, "%s", u->failure.detail);
}

static bool is_visible(struct upload *u, int64_t principal_id)
{
    LOCK_SCOPE(&u->lock);
    return principal_id == UPLOAD_ANY_PRINCIPAL ||
           (principal_id == u->principal_id && u->expires_us > clock_wall_us());
}

enum err upload_find(struct storage *storage, const char *id, int64_t principal_id,
                     struct upload **upload, struct error *e)
{
    bool is_new;
    struct upload *u = upload_hold(storage->uploads, id, &is_new);
    enum err err = is_new ? load(storage, u, e) : await(u, e);
    if (err == ERR_NONE && !is_visible(u, principal_id))
        err = not_found(e);
    if (err == ERR_NONE)
        *upload = u;
    else
        upload_release(storage->uploads, u);
    return err;
}

enum err upload_discard(struct storage *storage, struct upload *u,
                        const struct error *why, struct error *e)
{
    // The row goes last, so that no file is ever without one.
    struct storage_tier *tier = &storage->tiers[u->tier];
    enum err err = tier_require(tier, e);
    if (err == ERR_NONE)
        err = tier_file_remove(tier->file, u->has_digest ? &u->digest : NULL,
                               u->placement_id, e);
    if (err == ERR_NONE)
        err = upload_row_delete(storage, u->id, e);
    if (err == ERR_NONE) {
        atomic_fetch_sub(&storage->uploads_open, 1);
        atomic_fetch_sub(&tier->used, (int64_t)u->size);
        atomic_fetch_sub(&tier->reserved, (int64_t)u->size);
    }
    if (why != NULL)
        upload_fail(storage->uploads, u, why);
    else
        upload_settle(storage->uploads, u, UPLOAD_GONE);
    return err;
}
