// SPDX-License-Identifier: Apache-2.0
#include "storage/upload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "storage/tier_room.h"
#include "storage/upload_chain.h"
#include "storage/upload_steps.h"
#include "storage/upload_row.h"

#define PART_SIZE_MINIMUM ((uint64_t)32 << 20)
// What a part brings along must fit in a header.
#define CHAINED_PART_MAXIMUM ((uint64_t)1 << 30)

bool upload_id_is_valid(const char *id)
{
    size_t i = 0;
    for (; id[i] != '\0' && i < UPLOAD_ID_SIZE; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool fits = dash ? id[i] == '-' : strchr("0123456789abcdef", id[i]) != NULL;
        if (!fits)
            return false;
    }
    return i == UPLOAD_ID_SIZE - 1;
}

uint64_t upload_part_size(uint64_t size)
{
    uint64_t needed = (size + UPLOAD_PARTS_MAXIMUM - 1) / UPLOAD_PARTS_MAXIMUM;
    if (needed <= PART_SIZE_MINIMUM)
        return PART_SIZE_MINIMUM;
    return (needed + CHAIN_CHUNK_SIZE - 1) / CHAIN_CHUNK_SIZE * CHAIN_CHUNK_SIZE;
}

uint64_t upload_part_count(uint64_t size, uint64_t part_size)
{
    return size / part_size + (size % part_size > 0 ? 1 : 0);
}

uint64_t upload_part_length(uint64_t size, uint64_t part_size, uint64_t number)
{
    uint64_t left = size - number * part_size;
    return left < part_size ? left : part_size;
}

void upload_info_clear(struct upload_info *info)
{
    free(info->received);
    memset(info, 0, sizeof *info);
}

// ---- begin ------------------------------------------------------------------------

static enum err check_request(const struct storage *storage,
                              const struct upload_request *r, struct error *e)
{
    if (r->size > storage->options.max_blob_size)
        return error_set_field(e, ERR_INVALID_FIELD, "size", "at most %" PRIu64,
                               storage->options.max_blob_size);
    if (r->chain_with_parts &&
        (r->size == 0 || upload_part_size(r->size) > CHAINED_PART_MAXIMUM))
        return error_set_field(e, ERR_INVALID_FIELD, "chain_with_parts",
                               "not with a blob of this size");
    if (r->chain == NULL || r->digest == NULL)
        return ERR_NONE;
    struct digest last;
    chain_digest(r->chain, &last);
    if (!digest_equal(&last, r->digest))
        return error_set_field(e, ERR_INVALID_FIELD, "chain",
                               "its last value is not sha256");
    return ERR_NONE;
}

enum err upload_make_file(struct storage *storage, struct upload_row *row,
                          struct error *e)
{
    enum err err = tier_room_choose(storage, row->asked, row->size, &row->tier, e);
    // Committed first, so that a row names the file before it exists.
    if (err == ERR_NONE)
        err = upload_row_insert(storage, row, e);
    if (err != ERR_NONE)
        return err;
    struct storage_tier *tier = &storage->tiers[row->tier];
    atomic_fetch_add(&storage->uploads_open, 1);
    atomic_fetch_add(&tier->used, (int64_t)row->size);
    atomic_fetch_add(&tier->reserved, (int64_t)row->size);
    AUTO_FD int fd = -1;
    err = tier_file_create(tier->file, row->placement_id, row->size, &fd, e);
    if (err == ERR_NONE)
        return ERR_NONE;
    // What cannot be undone now is left to the sweep.
    struct error ignored = {0};
    if (tier_file_remove(tier->file, NULL, row->placement_id, &ignored) == ERR_NONE &&
        upload_row_delete(storage, row->id, &ignored) == ERR_NONE) {
        atomic_fetch_sub(&storage->uploads_open, 1);
        atomic_fetch_sub(&tier->used, (int64_t)row->size);
        atomic_fetch_sub(&tier->reserved, (int64_t)row->size);
    }
    error_clear(&ignored);
    return err;
}

static enum err begins_alike(struct storage *storage, const struct upload_request *r,
                             bool *found, struct error *e)
{
    static const char sql[] =
        "SELECT 1 FROM chains c JOIN blobs b USING (sha256)"
        " WHERE substring(c.states FROM 1 FOR 32) = $1 AND b.size = $2 LIMIT 1";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql,
                       DB_PARAMS(DB_BYTES(r->unless_begins, CHAIN_STATE_SIZE),
                                 DB_INT((int64_t)r->size)),
                       &rows, e);
    *found = err == ERR_NONE && db_rows(rows) > 0;
    return err;
}

static enum err have(struct storage *storage, const struct upload_request *r,
                     enum upload_answer *answer, struct blob *blob, struct error *e)
{
    bool found = false;
    enum err err = ERR_NONE;
    *answer = UPLOAD_MADE;
    if (r->unless_begins != NULL) {
        err = begins_alike(storage, r, &found, e);
        if (found)
            *answer = UPLOAD_ALIKE;
    }
    if (err != ERR_NONE || found || r->digest == NULL)
        return err;
    err = blob_take(storage, r->digest, r->principal_id, blob, &found, e);
    if (found)
        *answer = UPLOAD_HAVE;
    if (err == ERR_NONE && found && blob->size != r->size)
        err = error_set_field(e, ERR_INVALID_FIELD, "size",
                              "the blob of this sha256 has %" PRIu64 " bytes",
                              blob->size);
    return err;
}

enum err upload_begin(struct storage *storage, const struct upload_request *r,
                      enum upload_answer *answer, struct blob *blob,
                      struct upload_info *info, struct error *e)
{
    enum err err = check_request(storage, r, e);
    if (err == ERR_NONE)
        err = have(storage, r, answer, blob, e);
    if (err != ERR_NONE || *answer != UPLOAD_MADE)
        return err;
    struct upload_row row = {
        .principal_id = r->principal_id,
        .asked = r->tier,
        .size = r->size,
        .part_size = upload_part_size(r->size),
        .resumable = true,
        .digest = r->digest,
        .chain = r->chain,
        .chain_with_parts = r->chain_with_parts,
    };
    err = upload_make_file(storage, &row, e);
    return err != ERR_NONE ? err
                           : upload_get(storage, row.id, r->principal_id, info, e);
}

// ---- show, delete -----------------------------------------------------------------

static const char *state_name(enum upload_state state)
{
    if (state == UPLOAD_OPEN)
        return "open";
    return state == UPLOAD_DONE ? "done" : "completing";
}

static void describe(struct upload *u, struct upload_info *info)
{
    memset(info, 0, sizeof *info);
    LOCK_SCOPE(&u->lock);
    memcpy(info->id, u->id, sizeof info->id);
    info->size = u->size;
    info->part_size = u->part_size;
    info->has_digest = u->has_digest;
    info->digest = u->digest;
    info->chain_with_parts = u->chain_with_parts;
    info->expires_us = u->expires_us;
    memcpy(info->state, state_name(u->state), strlen(state_name(u->state)));
    info->received = alloc_array(u->parts + 1, sizeof *info->received);
    for (uint64_t i = 0; i < u->parts; i++) {
        if (u->state != UPLOAD_OPEN || u->slots[i].state == PART_DURABLE)
            info->received[info->received_count++] = (int64_t)i;
    }
}

enum err upload_get(struct storage *storage, const char *id, int64_t principal_id,
                    struct upload_info *info, struct error *e)
{
    struct upload *u = NULL;
    enum err err = upload_find(storage, id, principal_id, &u, e);
    if (err != ERR_NONE)
        return err;
    describe(u, info);
    upload_release(storage->uploads, u);
    return ERR_NONE;
}

// Shuts out every writer; false when another thread completes or removes it.
static bool shut(struct upload *u)
{
    LOCK_SCOPE(&u->lock);
    if (u->state != UPLOAD_OPEN && u->state != UPLOAD_DONE)
        return false;
    if (u->state == UPLOAD_OPEN)
        u->state = UPLOAD_COMPLETING; // nobody else removes or completes it now
    while (u->busy > 0)
        pthread_cond_wait(&u->changed, &u->lock);
    return u->state != UPLOAD_GONE;
}

enum err upload_remove_held(struct storage *storage, struct upload *u, struct error *e)
{
    if (!shut(u))
        return error_set(e, ERR_UPLOAD_NOT_OPEN, "the upload is being completed");
    pthread_mutex_lock(&u->lock);
    bool done = u->state == UPLOAD_DONE;
    pthread_mutex_unlock(&u->lock);
    if (!done)
        return upload_discard(storage, u, NULL, e);
    // Its file is the blob's now, or a second copy that was to be removed.
    enum err err = upload_remove_copy(storage, u, e);
    if (err == ERR_NONE)
        err = upload_row_delete(storage, u->id, e);
    if (err == ERR_NONE)
        upload_settle(storage->uploads, u, UPLOAD_GONE);
    return err;
}

enum err upload_remove_copy(struct storage *storage, struct upload *u, struct error *e)
{
    static const char sql[] = "SELECT 1 FROM placements WHERE id = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_INT(u->placement_id)), &rows, e);
    if (err != ERR_NONE || db_rows(rows) > 0)
        return err;
    err = tier_require(&storage->tiers[u->tier], e);
    return err != ERR_NONE ? err
                           : tier_file_remove(storage->tiers[u->tier].file, &u->digest,
                                              u->placement_id, e);
}

enum err upload_delete(struct storage *storage, const char *id, int64_t principal_id,
                       struct error *e)
{
    struct upload *u = NULL;
    enum err err = upload_find(storage, id, principal_id, &u, e);
    if (err != ERR_NONE)
        return err;
    err = upload_remove_held(storage, u, e);
    upload_release(storage->uploads, u);
    return err;
}
