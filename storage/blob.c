// SPDX-License-Identifier: Apache-2.0
#include "storage/blob.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/db/tx.h"
#include "storage/blob_open.h"
#include "storage/state.h"

// ---- rows and leases ------------------------------------------------------------

// {"\\x…","\\x…"}, the text form of a bytea array.
static void put_array(const struct blob *blobs, size_t count, struct buf *text)
{
    buf_putc(text, '{');
    for (size_t i = 0; i < count; i++) {
        char hex[DIGEST_HEX_SIZE];
        digest_format(&blobs[i].digest, hex);
        buf_printf(text, "%s\"\\\\x%s\"", i > 0 ? "," : "", hex);
    }
    buf_putc(text, '}');
}

enum err blob_lock_all(struct db *db, struct blob *blobs, bool *found, size_t count,
                       struct error *e)
{
    static const char sql[] =
        "SELECT sha256, size, chain_root FROM blobs WHERE sha256 = ANY ($1::bytea[])"
        " ORDER BY sha256 FOR KEY SHARE";
    CLEANUP(buf_clear) struct buf digests = {0};
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    put_array(blobs, count, &digests);
    enum err err = db_query(db, sql, DB_PARAMS(DB_TEXT(buf_text(&digests))), &rows, e);
    if (err != ERR_NONE)
        return err;
    int row = 0;
    for (size_t i = 0; i < count; i++) {
        struct digest digest;
        found[i] = row < db_rows(rows) && db_digest(rows, row, 0, &digest) &&
                   digest_equal(&digest, &blobs[i].digest);
        if (!found[i])
            continue;
        blobs[i].size = (uint64_t)db_int(rows, row, 1);
        db_digest(rows, row, 2, &blobs[i].chain_root);
        row++;
    }
    return ERR_NONE;
}

enum err lease_put(struct db *db, const struct digest *digest, int64_t principal_id,
                   int64_t until_us, struct error *e)
{
    static const char sql[] =
        "INSERT INTO leases AS l (sha256, principal_id, until) VALUES ($1, $2, $3)"
        " ON CONFLICT (sha256, principal_id)"
        " DO UPDATE SET until = greatest(l.until, excluded.until)";
    return db_exec(
        db, sql, DB_PARAMS(DB_DIGEST(digest), DB_INT(principal_id), DB_TIME(until_us)),
        NULL, e);
}

struct taking {
    struct storage *storage;
    struct blob *blob;
    bool found;
    int64_t principal_id;
    int64_t until_us;
};

// Where all copies are damaged the bytes are wanted again.
static enum err has_good_copy(struct db *db, const struct taking *t, bool *has,
                              struct error *e)
{
    static const char sql[] =
        "SELECT 1 FROM placements WHERE sha256 = $1 AND node_id IN (0, $2)"
        " AND state = 'ready' AND NOT damaged LIMIT 1";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql,
        DB_PARAMS(DB_DIGEST(&t->blob->digest), DB_INT(t->storage->options.node)), &rows,
        e);
    *has = err == ERR_NONE && db_rows(rows) > 0;
    return err;
}

static enum err take(struct db *db, void *context, struct error *e)
{
    struct taking *t = context;
    enum err err = blob_lock_all(db, t->blob, &t->found, 1, e);
    if (err == ERR_NONE && t->found)
        err = has_good_copy(db, t, &t->found, e);
    if (err != ERR_NONE || !t->found)
        return err;
    return lease_put(db, &t->blob->digest, t->principal_id, t->until_us, e);
}

enum err blob_take(struct storage *storage, const struct digest *digest,
                   int64_t principal_id, struct blob *blob, bool *found,
                   struct error *e)
{
    bool readable = false;
    *found = false;
    enum err err = blob_is_readable(storage, digest, &readable, e);
    if (err != ERR_NONE || !readable) // not known, or it is to be sent
        return err;
    struct taking taking = {
        .storage = storage,
        .blob = blob,
        .principal_id = principal_id,
        .until_us = clock_wall_us() + storage->options.lease_s * 1000000,
    };
    blob->digest = *digest;
    err = db_tx_run(storage->pool, take, &taking, e);
    *found = err == ERR_NONE && taking.found;
    return err;
}

// ---- chains ---------------------------------------------------------------------

void chain_value_free(void *value)
{
    chain_clear(value);
    free(value);
}

static enum err read_chain(struct storage *storage, const struct digest *digest,
                           struct chain **chain, struct error *e)
{
    static const char sql[] = "SELECT b.size, c.states FROM blobs b"
                              " JOIN chains c USING (sha256) WHERE b.sha256 = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_DIGEST(digest)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    size_t size;
    AUTO_FREE void *raw = db_bytes(rows, 0, 1, &size);
    *chain = alloc_zero(sizeof **chain);
    err = chain_from_raw((uint64_t)db_int(rows, 0, 0), raw, size, *chain, e);
    if (err != ERR_NONE)
        free(*chain);
    return err;
}

static void copy_chain(const struct chain *from, struct chain *to)
{
    to->size = from->size;
    to->count = from->count;
    to->states = alloc_array(from->count, CHAIN_STATE_SIZE);
    memcpy(to->states, from->states, from->count * CHAIN_STATE_SIZE);
}

enum err blob_chain(struct storage *storage, const struct digest *digest,
                    struct chain *chain, struct error *e)
{
    CLEANUP(cache_release_at)
    struct cache_entry *entry = cache_get(storage->chains, digest, sizeof *digest);
    if (entry == NULL) {
        uint64_t generation = cache_generation(storage->chains);
        struct chain *read = NULL;
        enum err err = read_chain(storage, digest, &read, e);
        if (err != ERR_NONE)
            return err;
        entry = cache_put(storage->chains, digest, sizeof *digest, read,
                          read->count * CHAIN_STATE_SIZE, generation);
    }
    copy_chain(cache_value(entry), chain);
    return ERR_NONE;
}
