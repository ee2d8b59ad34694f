// SPDX-License-Identifier: Apache-2.0
#include "storage/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "storage/chunk_reader.h"
#include "storage/placement_drop.h"
#include "storage/throttle.h"

#define BATCH 20

struct scrub {
    struct storage *storage;
    struct scrub_options options;
    struct throttle *throttle;
    atomic_bool stopping;
    _Atomic int64_t copies, bytes, bad;
};

struct scrub *scrub_new(struct storage *storage, const struct scrub_options *options)
{
    struct scrub *s = alloc_zero(sizeof *s);
    s->storage = storage;
    s->options = *options;
    s->throttle = throttle_new(options->bandwidth);
    return s;
}

void scrub_free(struct scrub *s)
{
    if (s == NULL)
        return;
    throttle_free(s->throttle);
    free(s);
}

void scrub_watch(struct scrub *s, unsigned (*transfers)(void *context), void *context)
{
    throttle_watch(s->throttle, transfers, context);
}

void scrub_stop(struct scrub *s)
{
    atomic_store(&s->stopping, true);
}

void scrub_count(struct scrub *s, struct scrub_counts *counts)
{
    *counts = (struct scrub_counts){atomic_load(&s->copies), atomic_load(&s->bytes),
                                    atomic_load(&s->bad)};
}

// ---- one copy -----------------------------------------------------------------------

// ERR_NONE: it holds the blob. Damage is as chunk_reader_is_damage says, and
// ERR_BLOB_NOT_FOUND that it is not there.
static enum err check(struct scrub *s, const struct digest *digest,
                      const struct placement *p, struct error *e)
{
    struct tier_store *store = s->storage->tiers[p->tier].store;
    const struct tier_key key = {.digest = *digest, .id = p->id};
    CLEANUP(chain_clear) struct chain chain = {0};
    CLEANUP(chunk_reader_free_at) struct chunk_reader *reader = NULL;
    bool found = false;
    uint64_t size = 0;
    enum err err = blob_chain(s->storage, digest, &chain, e);
    if (err == ERR_NONE)
        err = store->ops->stat(store, &key, &found, &size, e);
    if (err != ERR_NONE)
        return err;
    if (!found || size != p->stored_size)
        return error_set(e, ERR_BLOB_NOT_FOUND,
                         found ? "it has another size" : "it is missing");
    err = chunk_reader_new(store, p, &chain, TIER_READ_DIRECT, &reader, e);
    if (err != ERR_NONE)
        return err;
    const struct chunk_scan scan = {.reader = reader,
                                    .chain = &chain,
                                    .threads = 1,
                                    .throttle = s->throttle,
                                    .cancel = &s->stopping};
    return chunk_scan_verify(&scan, e);
}

static enum err note_good(struct scrub *s, int64_t id, struct error *e)
{
    static const char sql[] = "UPDATE placements SET checked_at = now(),"
                              " damaged = false WHERE id = $1 AND state = 'ready'";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    return err != ERR_NONE ? err : db_exec(db, sql, DB_PARAMS(DB_INT(id)), NULL, e);
}

// What cannot be read now is looked at again after the others.
static enum err put_off(struct scrub *s, int64_t id, struct error *e)
{
    static const char sql[] =
        "UPDATE placements SET checked_at = now() - make_interval(secs => $2) * 0.9"
        " WHERE id = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    return err != ERR_NONE
               ? err
               : db_exec(
                     db, sql,
                     DB_PARAMS(DB_INT(id), DB_DOUBLE((double)s->options.interval_s)),
                     NULL, e);
}

static bool is_bad(enum err err)
{
    return chunk_reader_is_damage(err) || err == ERR_BLOB_NOT_FOUND;
}

// A copy that was dropped meanwhile is no finding: condemning looks at its row again.
static enum err condemn(struct scrub *s, const struct digest *digest,
                        const struct placement *p, const char *why, struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    log_warn("the scrub found a bad copy", "sha256", hex, "tier", tier_name(p->tier),
             "placement", log_number(p->id), "why", why, NULL);
    atomic_fetch_add(&s->bad, 1);
    enum err err = placement_condemn(s->storage, digest, p, why, e);
    return err != ERR_NONE ? err : put_off(s, p->id, e);
}

static enum err scrub_one(struct scrub *s, const struct digest *digest,
                          const struct placement *p, struct error *e)
{
    struct error why = {0};
    enum err err = check(s, digest, p, &why);
    if (atomic_load(&s->stopping)) {
        error_clear(&why);
        return ERR_NONE;
    }
    if (err == ERR_NONE) {
        atomic_fetch_add(&s->copies, 1);
        atomic_fetch_add(&s->bytes, (int64_t)p->stored_size);
        err = note_good(s, p->id, e);
    } else if (is_bad(err)) {
        err = condemn(s, digest, p, why.detail, e);
    } else {
        log_warn("the scrub cannot read a copy now", "placement", log_number(p->id),
                 "error", why.detail, NULL);
        err = put_off(s, p->id, e);
    }
    error_clear(&why);
    return err;
}

// ---- those that are due -------------------------------------------------------------

static enum err list(struct scrub *s, const struct storage_tier *tier,
                     struct db_result **rows, struct error *e)
{
    static const char sql[] =
        "SELECT sha256, id, stored_size, encoding, damaged, seek_table FROM placements"
        " WHERE node_id = $1 AND tier = $2 AND state = 'ready'"
        " AND checked_at < now() - make_interval(secs => $3)"
        " ORDER BY checked_at LIMIT $4";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    return err != ERR_NONE
               ? err
               : db_query(db, sql,
                          DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                                    DB_DOUBLE((double)s->options.interval_s),
                                    DB_INT(BATCH)),
                          rows, e);
}

static enum err scrub_tier(struct scrub *s, const struct storage_tier *tier,
                           struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = list(s, tier, &rows, e);
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        struct digest digest;
        struct placement p = {.id = db_int(rows, i, 1),
                              .tier = tier->tier,
                              .stored_size = (uint64_t)db_int(rows, i, 2),
                              .damaged = db_bool(rows, i, 4)};
        if (atomic_load(&s->stopping) || !db_digest(rows, i, 0, &digest))
            break;
        snprintf(p.encoding, sizeof p.encoding, "%s", db_text(rows, i, 3));
        AUTO_FREE void *seek_table = db_bytes(rows, i, 5, &p.seek_table_size);
        p.seek_table = seek_table;
        err = scrub_one(s, &digest, &p, e);
    }
    return err;
}

enum err scrub_run(struct scrub *s, struct error *e)
{
    throttle_thread();
    enum err err = ERR_NONE;
    for (int i = 0; i < TIER_COUNT && err == ERR_NONE; i++) {
        if (tier_is_online(&s->storage->tiers[i]) && !atomic_load(&s->stopping))
            err = scrub_tier(s, &s->storage->tiers[i], e);
    }
    return err;
}
