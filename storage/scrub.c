// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "storage/blob_open.h"
#include "storage/chunk_reader.h"
#include "storage/placement_drop.h"
#include "storage/scrub_own.h"

#define BATCH 20
// A tier that is away is left alone so long.
#define AWAY_MS (60 * 1000)

struct scrub *scrub_new(struct storage *storage, const struct scrub_options *options)
{
    struct scrub *s = alloc_zero(sizeof *s);
    s->storage = storage;
    s->options = *options;
    s->throttle = throttle_new(options->bandwidth);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void scrub_free(struct scrub *s)
{
    if (s == NULL)
        return;
    throttle_free(s->throttle);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void scrub_watch(struct scrub *s, const struct throttle_users *users)
{
    throttle_watch(s->throttle, users);
}

void scrub_stop(struct scrub *s)
{
    atomic_store(&s->stopping, true);
}

void scrub_count(struct scrub *s, struct scrub_counts *counts)
{
    *counts = (struct scrub_counts){
        .copies = atomic_load(&s->copies),
        .bytes = atomic_load(&s->bytes),
        .bad = atomic_load(&s->bad),
        .healed = (int64_t)atomic_load(&s->storage->copies_healed),
        .damaged = atomic_load(&s->damaged),
    };
}

void scrub_show(struct scrub *s, struct scrub_state *state)
{
    LOCK_SCOPE(&s->lock);
    *state = s->state;
}

static void show_place(struct scrub *s, const struct digest *digest,
                       const struct placement *p)
{
    LOCK_SCOPE(&s->lock);
    s->state.is_running = true;
    s->state.current = (struct scrub_place){*digest, p->tier, p->id};
}

static void show_rest(struct scrub *s, bool is_running)
{
    LOCK_SCOPE(&s->lock);
    s->state.is_running = is_running;
    s->state.current = (struct scrub_place){.placement = 0};
}

static void show_finding(struct scrub *s, const struct digest *digest,
                         const struct placement *p, bool heals, const char *why)
{
    LOCK_SCOPE(&s->lock);
    struct scrub_finding *f = &s->state.last;
    *f = (struct scrub_finding){.place = {*digest, p->tier, p->id},
                                .found_us = clock_wall_us(),
                                .heals = heals};
    snprintf(f->why, sizeof f->why, "%s", why);
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
    err = chunk_reader_new(store, p, &chain, TIER_READ_DIRECT | TIER_READ_AS_IT_IS,
                           &reader, e);
    if (err != ERR_NONE)
        return err;
    const struct chunk_scan scan = {.reader = reader,
                                    .chain = &chain,
                                    .threads = 1,
                                    .throttle = s->throttle,
                                    .cancel = &s->stopping};
    return chunk_scan_verify(&scan, e);
}

// What it holds now is known to be good. A raw copy that was marked may have been so
// for its checksums, which the chain has shown to be wrong then: it goes without.
static enum err note_good(struct scrub *s, const struct digest *digest,
                          const struct placement *p, struct error *e)
{
    static const char sql[] =
        "UPDATE placements SET checked_at = now(), damaged = false,"
        " seek_table = CASE WHEN damaged AND encoding = 'raw' THEN NULL"
        "   ELSE seek_table END"
        " WHERE id = $1 AND state = 'ready' AND damaged = $2"; // not marked since
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_INT(p->id), DB_BOOL(p->damaged)), NULL, e);
    if (err == ERR_NONE && p->damaged)
        blob_copies_changed(s->storage, digest);
    return err;
}

// What is bad for good, or cannot be read now, is looked at again after the others.
static enum err put_off(struct scrub *s, int64_t id, struct error *e)
{
    static const char sql[] =
        "UPDATE placements SET checked_at = now() - make_interval(secs => $2) * 0.9"
        " WHERE id = $1 AND state = 'ready'";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    if (err != ERR_NONE)
        return err;
    return db_exec(db, sql,
                   DB_PARAMS(DB_INT(id), DB_DOUBLE((double)s->options.interval_s)),
                   NULL, e);
}

static bool is_bad(enum err err)
{
    return chunk_reader_is_damage(err) || err == ERR_BLOB_NOT_FOUND;
}

// A copy that was dropped meanwhile is no finding: condemning looks at its row again,
// and says so.
static enum err condemn(struct scrub *s, const struct digest *digest,
                        const struct placement *p, const char *why, enum err *unread,
                        struct error *e)
{
    enum verdict verdict = VERDICT_GONE;
    enum err err = placement_condemn(s->storage, digest, p, why, &verdict, e);
    if (err == ERR_UNAVAILABLE && !tier_is_online(&s->storage->tiers[p->tier])) {
        *unread = err;
        error_clear(e);
        return ERR_NONE;
    }
    if (verdict == VERDICT_KNOWN)
        *unread = ERR_COLD_UNREADABLE;
    if (verdict == VERDICT_HEALING || verdict == VERDICT_MARKED) {
        atomic_fetch_add(&s->bad, 1);
        show_finding(s, digest, p, verdict == VERDICT_HEALING, why);
    }
    return err != ERR_NONE ? err : put_off(s, p->id, e);
}

// *unread: nothing can be said or done of it now.
static enum err scrub_one(struct scrub *s, const struct digest *digest,
                          const struct placement *p, enum err *unread, struct error *e)
{
    struct error why = {0};
    show_place(s, digest, p);
    enum err err = check(s, digest, p, &why);
    *unread = ERR_NONE;
    if (atomic_load(&s->stopping)) {
        error_clear(&why);
        return ERR_NONE;
    }
    if (err == ERR_NONE) {
        atomic_fetch_add(&s->copies, 1);
        atomic_fetch_add(&s->bytes, (int64_t)p->stored_size);
        err = note_good(s, digest, p, e);
    } else if (is_bad(err)) {
        err = condemn(s, digest, p, why.detail, unread, e);
    } else {
        *unread = err;
        log_warn("the scrub cannot read a copy now", "placement", log_number(p->id),
                 "error", why.detail, NULL);
        err = put_off(s, p->id, e);
    }
    error_clear(&why);
    return err;
}

// ---- those whose turn it is ---------------------------------------------------------

static enum err list_due(struct scrub *s, const struct storage_tier *tier,
                         struct db_result **rows, struct error *e)
{
    static const char sql[] =
        "SELECT sha256, id, stored_size, encoding, damaged, seek_table FROM placements"
        " WHERE node_id = $1 AND tier = $2 AND state = 'ready'"
        " AND checked_at < now() - make_interval(secs => $3)"
        " ORDER BY checked_at LIMIT $4";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    if (err != ERR_NONE)
        return err;
    return db_query(db, sql,
                    DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                              DB_DOUBLE((double)s->options.interval_s), DB_INT(BATCH)),
                    rows, e);
}

// Damaged, and there is a good copy by now to make them again from.
static enum err list_mendable(struct scrub *s, const struct storage_tier *tier,
                              struct db_result **rows, struct error *e)
{
    static const char sql[] =
        "SELECT sha256, id, stored_size, encoding, damaged, seek_table"
        " FROM placements p WHERE node_id = $1 AND tier = $2 AND damaged"
        " AND state = 'ready' AND EXISTS (SELECT FROM placements o"
        "  WHERE o.sha256 = p.sha256 AND o.node_id IN (0, $3) AND o.state = 'ready'"
        "  AND NOT o.damaged) LIMIT $4";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    if (err != ERR_NONE)
        return err;
    return db_query(db, sql,
                    DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                              DB_INT(s->storage->options.node), DB_INT(BATCH)),
                    rows, e);
}

// The rest of a batch waits when the server ends, when copies were asked for, which go
// first, and when the tier is away.
static enum err scrub_rows(struct scrub *s, const struct storage_tier *tier,
                           const struct db_result *rows, enum err *unread,
                           struct error *e)
{
    enum err err = ERR_NONE;
    *unread = ERR_NONE;
    for (int i = 0; err == ERR_NONE && *unread != ERR_UNAVAILABLE && i < db_rows(rows);
         i++) {
        struct digest digest;
        struct placement p = {.id = db_int(rows, i, 1),
                              .tier = tier->tier,
                              .stored_size = (uint64_t)db_int(rows, i, 2),
                              .damaged = db_bool(rows, i, 4)};
        if (atomic_load(&s->stopping) || atomic_load(&s->asked) != s->asked_seen ||
            !db_digest(rows, i, 0, &digest))
            break;
        snprintf(p.encoding, sizeof p.encoding, "%s", db_text(rows, i, 3));
        AUTO_FREE void *seek_table = db_bytes(rows, i, 5, &p.seek_table_size);
        p.seek_table = seek_table;
        err = scrub_one(s, &digest, &p, unread, e);
    }
    return err;
}

static enum err scrub_tier(struct scrub *s, const struct storage_tier *tier, int *found,
                           struct error *e)
{
    int64_t *due_at_ms = &s->due_at_ms[tier->tier];
    int64_t *mend_at_ms = &s->mend_at_ms[tier->tier];
    CLEANUP(db_result_free_at) struct db_result *mendable = NULL;
    CLEANUP(db_result_free_at) struct db_result *due = NULL;
    enum err err = ERR_NONE, unread = ERR_NONE;
    if (clock_monotonic_ms() >= *mend_at_ms) {
        err = list_mendable(s, tier, &mendable, e);
        if (err == ERR_NONE)
            err = scrub_rows(s, tier, mendable, &unread, e);
        *found += err == ERR_NONE ? db_rows(mendable) : 0;
        if (unread != ERR_NONE)
            *mend_at_ms = clock_monotonic_ms() + AWAY_MS;
    }
    if (err != ERR_NONE || clock_monotonic_ms() < *due_at_ms)
        return err;
    err = list_due(s, tier, &due, e);
    if (err == ERR_NONE)
        err = scrub_rows(s, tier, due, &unread, e);
    *found += err == ERR_NONE ? db_rows(due) : 0;
    if (unread == ERR_UNAVAILABLE)
        *due_at_ms = clock_monotonic_ms() + AWAY_MS;
    return err;
}

static enum err count_damaged(struct scrub *s, struct error *e)
{
    static const char sql[] = "SELECT count(*) FROM placements WHERE damaged"
                              " AND node_id IN (0, $1) AND state = 'ready'";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(s->storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_INT(s->storage->options.node)), &rows, e);
    if (err == ERR_NONE)
        atomic_store(&s->damaged, db_int(rows, 0, 0));
    return err;
}

enum err scrub_run(struct scrub *s, struct error *e)
{
    throttle_thread();
    enum err err = ERR_NONE;
    int found = 0;
    unsigned asked = atomic_load(&s->asked);
    if (asked != s->asked_seen) { // whoever asks wants to know now
        memset(s->due_at_ms, 0, sizeof s->due_at_ms);
        memset(s->mend_at_ms, 0, sizeof s->mend_at_ms);
    }
    s->asked_seen = asked;
    for (int i = 0; i < TIER_COUNT && err == ERR_NONE; i++) {
        if (tier_is_online(&s->storage->tiers[i]) && !atomic_load(&s->stopping))
            err = scrub_tier(s, &s->storage->tiers[i], &found, e);
    }
    show_rest(s, found > 0);
    return err != ERR_NONE ? err : count_damaged(s, e);
}
