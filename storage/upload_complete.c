// SPDX-License-Identifier: Apache-2.0
// The end of an upload: verify, name, make durable, and one transaction.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/clock.h"
#include "common/log.h"
#include "storage/blob_open.h"
#include "storage/upload_steps.h"
#include "storage/follower.h"
#include "storage/move.h"
#include "storage/placement.h"
#include "storage/placement_drop.h"
#include "storage/upload_row.h"

#define MISSING_LISTED 1000

// Parts whose row may have been committed although the answer was lost.
static enum err settle_doubts(struct storage *storage, struct upload *u,
                              struct error *e)
{
    bool doubt = false;
    pthread_mutex_lock(&u->lock);
    for (uint64_t i = 0; i < u->parts; i++)
        doubt = doubt || u->slots[i].state == PART_WRITTEN;
    pthread_mutex_unlock(&u->lock);
    if (!doubt)
        return ERR_NONE;
    CLEANUP(db_release_at) struct db *db = NULL;
    AUTO_FREE int64_t *numbers = NULL;
    size_t count = 0;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = upload_row_parts(db, u->id, &numbers, &count, e);
    LOCK_SCOPE(&u->lock);
    for (size_t i = 0; i < count; i++) {
        if (u->slots[numbers[i]].state == PART_WRITTEN)
            u->slots[numbers[i]].state = PART_DURABLE;
    }
    return err;
}

// The upload's lock is held.
static enum err check_parts(struct upload *u, struct error *e)
{
    json_t *missing = json_array();
    uint64_t count = 0;
    for (uint64_t i = 0; i < u->parts; i++) {
        if (u->slots[i].state == PART_DURABLE)
            continue;
        if (count++ < MISSING_LISTED)
            json_array_append_new(missing, json_integer((json_int_t)i));
    }
    if (count == 0) {
        json_decref(missing);
        return ERR_NONE;
    }
    error_set(e, ERR_PARTS_MISSING, "%" PRIu64 " of %" PRIu64 " parts are missing",
              count, u->parts);
    error_add(e, "parts", missing);
    return ERR_PARTS_MISSING;
}

enum turn {
    TURN_MINE,     // the caller completes it
    TURN_CARRY_ON, // the caller goes on from the row's `completing`
    TURN_DONE,
    TURN_FAILED,
};

static enum turn refuse(struct upload *u, struct error *e)
{
    if (u->failure.code != ERR_NONE)
        error_set(e, u->failure.code, "%s", u->failure.detail);
    else
        error_set(e, ERR_UPLOAD_NOT_FOUND, "the upload is gone");
    return TURN_FAILED;
}

// Waits while another thread completes it; one thread at a time gets the turn.
static enum turn take_turn(struct upload *u, struct error *e)
{
    LOCK_SCOPE(&u->lock);
    while (u->state == UPLOAD_COMPLETING)
        pthread_cond_wait(&u->changed, &u->lock);
    if (u->state == UPLOAD_DONE)
        return TURN_DONE;
    bool carry_on = u->state == UPLOAD_CLOSED;
    if (!carry_on && u->state != UPLOAD_OPEN)
        return refuse(u, e);
    if (!carry_on && check_parts(u, e) != ERR_NONE)
        return TURN_FAILED;
    u->state = UPLOAD_COMPLETING;
    // No writer comes in any more; those inside a pwrite or a sync leave first.
    while (u->busy > 0)
        pthread_cond_wait(&u->changed, &u->lock);
    if (u->state != UPLOAD_COMPLETING)
        return refuse(u, e);
    return carry_on ? TURN_CARRY_ON : TURN_MINE;
}

// Removes the upload for good; who waits gets the same answer.
static enum err give_up(struct storage *storage, struct upload *u, struct error *e)
{
    struct error why = *e, ignored = {0};
    why.extra = NULL;
    if (upload_discard(storage, u, &why, &ignored) != ERR_NONE)
        log_warn("cannot discard an upload yet", "upload", u->id, "error",
                 ignored.detail, NULL);
    error_clear(&ignored);
    return e->code;
}

// Hashes what is not hashed yet, compares with what the client said.
static enum err verify(struct storage *storage, struct upload *u, struct error *e)
{
    enum err err = ERR_NONE;
    if (u->chain.count == 0)
        err = follower_finish(u, &u->chain, e);
    if (err != ERR_NONE)
        return err;
    struct digest digest;
    chain_digest(&u->chain, &digest);
    if (u->has_digest && !digest_equal(&digest, &u->digest)) {
        char hex[DIGEST_HEX_SIZE];
        digest_format(&digest, hex);
        error_set(e, ERR_DIGEST_MISMATCH, "the bytes hash to %s", hex);
        return give_up(storage, u, e);
    }
    LOCK_SCOPE(&u->lock);
    u->digest = digest;
    u->has_digest = true;
    return ERR_NONE;
}

// After an attempt whose COMMIT nobody answered, the file may be a placement's by now.
// The row tells, once whatever holds it has ended.
static bool may_be_placed(struct storage *storage, const struct upload *u)
{
    struct error ignored = {0};
    enum err err = upload_row_close(storage, u, &ignored);
    error_clear(&ignored);
    return err != ERR_NONE;
}

static enum err make_durable(struct storage *storage, struct upload *u, bool carry_on,
                             struct error *e)
{
    if (fchmod(u->fd, 0440) != 0 || fsync(u->fd) != 0)
        error_set_errno(e, errno, "cannot sync upload %s", u->id);
    else if (tier_file_publish(storage->tiers[u->tier].file, &u->digest,
                               u->placement_id, e) == ERR_NONE)
        return ERR_NONE;
    if (carry_on && may_be_placed(storage, u))
        return e->code;
    log_error("a blob cannot be made durable, it is discarded", "upload", u->id,
              "error", e->detail, NULL);
    return give_up(storage, u, e);
}

static enum err record(struct storage *storage, struct upload *u, bool *created,
                       struct error *e)
{
    struct placement_birth birth = {
        .storage = storage,
        .upload_id = u->id,
        .placement_id = u->placement_id,
        .tier = u->tier,
        .principal_id = u->principal_id,
        .digest = &u->digest,
        .chain = &u->chain,
        .lease_until_us = clock_wall_us() + storage->options.lease_s * 1000000,
    };
    enum err err = placement_birth_run(&birth, e);
    if (err != ERR_NONE)
        return err;
    *created = birth.own;
    atomic_fetch_sub(&storage->uploads_open, 1);
    struct error ignored = {0};
    if (birth.replaced &&
        placement_remove_dropped(storage, &u->digest, &ignored) != ERR_NONE)
        log_debug("the copy that was replaced stays for now", "error", ignored.detail,
                  NULL);
    if (birth.replaced)
        blob_copies_changed(storage, &u->digest);
    error_clear(&ignored);
    struct storage_tier *tier = &storage->tiers[u->tier];
    atomic_fetch_sub(&tier->reserved, (int64_t)u->size);
    if (birth.own)
        atomic_fetch_add(&tier->blobs, 1);
    else if (tier_file_remove(tier->file, &u->digest, u->placement_id, &ignored) !=
             ERR_NONE)
        log_warn("a second copy stays until the sweep", "error", ignored.detail, NULL);
    else
        atomic_fetch_sub(&tier->used, (int64_t)u->size);
    error_clear(&ignored);
    if (birth.moves)
        storage_wake_movers(storage);
    return ERR_NONE;
}

static enum err complete(struct storage *storage, struct upload *u, bool carry_on,
                         bool *created, struct error *e)
{
    bool closed = carry_on;
    enum err err = carry_on ? ERR_NONE : verify(storage, u, e);
    if (err == ERR_NONE && !carry_on) {
        // From here on the row names sha256/…<id>, before there is such a file.
        err = upload_row_close(storage, u, e);
        closed = err == ERR_NONE;
    }
    if (err == ERR_NONE)
        err = make_durable(storage, u, carry_on, e);
    if (err == ERR_NONE)
        err = record(storage, u, created, e);
    pthread_mutex_lock(&u->lock);
    bool gone = u->state == UPLOAD_GONE;
    pthread_mutex_unlock(&u->lock);
    // What failed for a reason that passes is there for the next attempt.
    if (err == ERR_NONE)
        upload_settle(storage->uploads, u, UPLOAD_DONE);
    else if (!gone)
        upload_settle(storage->uploads, u, closed ? UPLOAD_CLOSED : UPLOAD_OPEN);
    return err;
}

enum err upload_complete_held(struct storage *storage, struct upload *u,
                              struct blob *blob, bool *created, struct error *e)
{
    enum err err = settle_doubts(storage, u, e);
    if (err != ERR_NONE)
        return err;
    *created = false;
    enum turn turn = take_turn(u, e);
    if (turn == TURN_FAILED)
        return e->code;
    if (turn == TURN_DONE) {
        bool found;
        err = blob_take(storage, &u->digest, u->principal_id, blob, &found, e);
        if (err == ERR_NONE && !found)
            err = error_set(e, ERR_UPLOAD_NOT_FOUND, "its blob has been removed");
        return err;
    }
    err = complete(storage, u, turn == TURN_CARRY_ON, created, e);
    if (err == ERR_NONE) {
        blob->digest = u->digest;
        blob->size = u->size;
        chain_root(&u->chain, &blob->chain_root);
    }
    return err;
}

enum err upload_complete(struct storage *storage, const char *id, int64_t principal_id,
                         struct blob *blob, bool *created, struct error *e)
{
    struct upload *u = NULL;
    enum err err = upload_find(storage, id, principal_id, &u, e);
    if (err == ERR_NONE)
        err = upload_complete_held(storage, u, blob, created, e);
    upload_release(storage->uploads, u);
    return err;
}
