// SPDX-License-Identifier: Apache-2.0
#include "storage/flush.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "storage/upload_chain.h"
#include "storage/upload_row.h"

// The parts that wait for one sync. Freed by the last of them.
struct flush_batch {
    struct buf numbers; // "{3,4"
    struct buf states;  // "{NULL,NULL", or of each what it brought of the chain
    unsigned members;
    bool done;
    enum flush_outcome outcome;
    struct error error;
};

static enum err sync_file(struct upload *u, struct error *e)
{
    if (fdatasync(u->fd) == 0)
        return ERR_NONE;
    return error_set_errno(e, errno, "cannot sync upload %s", u->id);
}

// An upload on which somebody works does not expire: its row is moved on when half of
// its time has gone.
static enum err prolong(struct storage *storage, struct db *db, struct upload *u,
                        struct error *e)
{
    static const char sql[] = "UPDATE uploads SET expires_at = $2 WHERE id = $1";
    int64_t whole_us = storage->options.upload_expiry_s * 1000000;
    int64_t now_us = clock_wall_us();
    pthread_mutex_lock(&u->lock);
    bool due = u->expires_us - now_us < whole_us / 2;
    pthread_mutex_unlock(&u->lock);
    if (!due)
        return ERR_NONE;
    int64_t until_us = now_us + whole_us;
    enum err err =
        db_exec(db, sql, DB_PARAMS(DB_TEXT(u->id), DB_TIME(until_us)), NULL, e);
    if (err != ERR_NONE)
        return err;
    LOCK_SCOPE(&u->lock);
    u->expires_us = until_us;
    return ERR_NONE;
}

static enum err insert_rows(struct storage *storage, struct upload *u,
                            const struct flush_batch *batch, struct error *e)
{
    static const char sql[] =
        "WITH u AS (SELECT id FROM uploads"
        " WHERE id = $1 AND state = 'open' AND generation = $4 FOR SHARE)"
        " INSERT INTO upload_parts (upload_id, number, states)"
        " SELECT id, unnest($2::integer[]), unnest($3::bytea[]) FROM u"
        " ON CONFLICT DO NOTHING";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err =
            db_exec(db, sql,
                    DB_PARAMS(DB_TEXT(u->id), DB_TEXT(buf_text(&batch->numbers)),
                              DB_TEXT(buf_text(&batch->states)), DB_INT(u->generation)),
                    NULL, e);
    return err != ERR_NONE ? err : prolong(storage, db, u, e);
}

static void run(struct storage *storage, struct upload *u, struct flush_batch *batch)
{
    if (sync_file(u, &batch->error) != ERR_NONE) {
        // The kernel may have dropped the pages: a second sync would lie.
        struct error ignored = {0};
        batch->outcome = FLUSH_LOST;
        log_error("a sync failed, the upload is discarded", "upload", u->id, "error",
                  batch->error.detail, NULL);
        if (upload_discard(storage, u, &batch->error, &ignored) != ERR_NONE)
            log_error("cannot discard the upload", "error", ignored.detail, NULL);
        error_clear(&ignored);
        return;
    }
    buf_putc(&batch->numbers, '}');
    buf_putc(&batch->states, '}');
    enum err err = insert_rows(storage, u, batch, &batch->error);
    batch->outcome = err == ERR_NONE ? FLUSH_DURABLE : FLUSH_UNKNOWN;
}

// With the upload's lock held.
static void put_states(struct flush_batch *batch, const struct upload *u,
                       uint64_t number)
{
    buf_putc(&batch->states, batch->members == 0 ? '{' : ',');
    if (!u->chain_with_parts) {
        buf_puts(&batch->states, "NULL");
        return;
    }
    const uint8_t *state = upload_chain_of_part(u, number);
    char hex[2 * CHAIN_STATE_SIZE + 1];
    buf_puts(&batch->states, "\"\\\\x");
    for (size_t i = 0; i < upload_chain_values(u, number); i++) {
        hex_encode(state + i * CHAIN_STATE_SIZE, CHAIN_STATE_SIZE, hex);
        buf_puts(&batch->states, hex);
    }
    buf_putc(&batch->states, '"');
}

// The batch that still takes members; the upload's lock is held.
static struct flush_batch *join(struct upload *u, uint64_t number)
{
    struct flush_batch *batch = u->gathering;
    if (batch == NULL) {
        batch = alloc_zero(sizeof *batch);
        buf_init(&batch->numbers, 0);
        buf_init(&batch->states, 0);
        u->gathering = batch;
    }
    put_states(batch, u, number);
    buf_printf(&batch->numbers, "%c%" PRIu64, batch->members == 0 ? '{' : ',', number);
    batch->members++;
    return batch;
}

static void leave(struct flush_batch *batch)
{
    if (--batch->members > 0)
        return;
    buf_clear(&batch->numbers);
    buf_clear(&batch->states);
    error_clear(&batch->error);
    free(batch);
}

enum err flush_part(struct storage *storage, struct upload *u, uint64_t number,
                    enum flush_outcome *outcome, struct error *e)
{
    pthread_mutex_lock(&u->lock);
    struct flush_batch *batch = join(u, number);
    while (!batch->done && u->flushing)
        pthread_cond_wait(&u->changed, &u->lock);
    if (!batch->done) {
        u->flushing = true;
        u->gathering = NULL;
        pthread_mutex_unlock(&u->lock);
        run(storage, u, batch);
        pthread_mutex_lock(&u->lock);
        batch->done = true;
        u->flushing = false;
        pthread_cond_broadcast(&u->changed);
    }
    *outcome = batch->outcome;
    enum err err = batch->error.code;
    if (err != ERR_NONE)
        error_set(e, err, "%s", batch->error.detail);
    leave(batch);
    pthread_mutex_unlock(&u->lock);
    return err;
}
