// SPDX-License-Identifier: Apache-2.0
#include "storage/placement_drop.h"

#include <string.h>

#include "common/db/tx.h"
#include "common/log.h"
#include "storage/blob_open.h"
#include "storage/event.h"
#include "storage/move.h"

#define REAP_BATCH 100

enum err placement_lock_all(struct db *db, struct storage *storage,
                            const struct digest *digest,
                            struct placement_states *states, struct error *e)
{
    static const char lock[] = "SELECT 1 FROM blobs WHERE sha256 = $1"
                               " FOR NO KEY UPDATE";
    static const char sql[] =
        "SELECT id, tier, state = 'ready', damaged, state = 'dropping' FROM placements"
        " WHERE sha256 = $1 AND node_id IN (0, $2) ORDER BY id FOR UPDATE";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    states->count = 0;
    enum err err = db_query(db, lock, DB_PARAMS(DB_DIGEST(digest)), NULL, e);
    if (err == ERR_NONE)
        err = db_query(db, sql,
                       DB_PARAMS(DB_DIGEST(digest), DB_INT(storage->options.node)),
                       &rows, e);
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        struct placement_state s = {.id = db_int(rows, i, 0),
                                    .ready = db_bool(rows, i, 2),
                                    .damaged = db_bool(rows, i, 3),
                                    .dropping = db_bool(rows, i, 4)};
        if (!tier_parse(db_text(rows, i, 1), &s.tier) ||
            states->count == PLACEMENTS_LOCKED_MAXIMUM)
            return error_set(e, ERR_INTERNAL, "too many copies of a blob");
        states->all[states->count++] = s;
    }
    return err;
}

enum err placement_mark_dropping(struct db *db, int64_t id, struct error *e)
{
    static const char sql[] =
        "UPDATE placements SET state = 'dropping', since = now() WHERE id = $1";
    return db_exec(db, sql, DB_PARAMS(DB_INT(id)), NULL, e);
}

// ---- removing -------------------------------------------------------------------

// *gone: by this call; others may remove it at the same time.
static enum err delete_row(struct storage *storage, const char *sql, int64_t id,
                           bool *gone, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    int64_t rows = 0;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_INT(id)), &rows, e);
    *gone = err == ERR_NONE && rows == 1;
    return err;
}

enum err placement_remove_copy(struct storage *storage, struct storage_tier *tier,
                               const struct tier_key *key, int64_t stored_size,
                               const char *delete_sql, bool *gone, struct error *e)
{
    *gone = false;
    enum err err = tier->store->ops->remove(tier->store, key, e);
    if (err == ERR_NONE)
        err = delete_row(storage, delete_sql, key->id, gone, e);
    if (*gone) {
        atomic_fetch_sub(&tier->used, stored_size);
        atomic_fetch_sub(&tier->blobs, 1);
    }
    return err;
}

// What the device gave is kept for whoever wants to know: it may have chunks that no
// other copy has.
static enum err set_aside(struct storage_tier *tier, const struct tier_key *key,
                          struct error *e)
{
    char name[TIER_FILE_NAME_SIZE];
    bool is_there = false;
    struct tier_found found = {.name = name, .is_known = true, .key = *key};
    tier_file_name_final(&key->digest, key->id, name);
    enum err err = tier->store->ops->stat(tier->store, key, &is_there, &found.size, e);
    return err != ERR_NONE || !is_there
               ? err
               : tier->store->ops->quarantine(tier->store, &found, e);
}

struct dropped {
    struct digest digest;
    enum tier tier;
    int64_t id, stored_size;
    bool damaged;
};

static enum err remove_one(struct storage *storage, const struct dropped *d,
                           struct error *e)
{
    static const char sql[] = "DELETE FROM placements WHERE id = $1";
    struct storage_tier *tier = &storage->tiers[d->tier];
    const struct tier_key key = {.digest = d->digest, .id = d->id};
    bool gone;
    enum err err = tier_require(tier, e);
    blob_copies_changed(storage, &d->digest);
    if (err == ERR_NONE && d->damaged)
        err = set_aside(tier, &key, e);
    return err != ERR_NONE ? err
                           : placement_remove_copy(storage, tier, &key, d->stored_size,
                                                   sql, &gone, e);
}

// Rows: id, sha256, tier, stored_size, damaged.
static enum err remove_rows(struct storage *storage, const struct db_result *rows,
                            struct error *e)
{
    enum err first = ERR_NONE;
    for (int i = 0; i < db_rows(rows); i++) {
        struct dropped d = {.id = db_int(rows, i, 0),
                            .stored_size = db_int(rows, i, 3),
                            .damaged = db_bool(rows, i, 4)};
        if (!db_digest(rows, i, 1, &d.digest) ||
            !tier_parse(db_text(rows, i, 2), &d.tier))
            continue;
        struct error failure = {0};
        enum err err = remove_one(storage, &d, &failure);
        error_keep_first(&first, e, err, &failure);
    }
    return first;
}

enum err placement_remove_dropped(struct storage *storage, const struct digest *digest,
                                  struct error *e)
{
    static const char sql[] =
        "SELECT id, sha256, tier, stored_size, damaged FROM placements"
        " WHERE sha256 = $1 AND node_id = $2 AND state = 'dropping'";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql,
                       DB_PARAMS(DB_DIGEST(digest), DB_INT(storage->options.node)),
                       &rows, e);
    db_release(steal_ptr(db));
    return err != ERR_NONE ? err : remove_rows(storage, rows, e);
}

// From where the last batch ended, so that copies that cannot be removed now keep no
// others from it.
static enum err reap_tier(struct storage *storage, struct storage_tier *tier,
                          struct error *e)
{
    static const char sql[] =
        "SELECT id, sha256, tier, stored_size, damaged FROM placements"
        " WHERE state = 'dropping' AND node_id = $1 AND tier = $2 AND id > $3"
        " AND (node_id > 0 OR since < now() - make_interval(secs => $4))"
        " ORDER BY id LIMIT $5";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err =
            db_query(db, sql,
                     DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                               DB_INT(tier->reaped),
                               DB_DOUBLE((double)storage->options.cold_delete_after_s),
                               DB_INT(REAP_BATCH)),
                     &rows, e);
    db_release(steal_ptr(db));
    if (err != ERR_NONE)
        return err;
    int count = db_rows(rows);
    tier->reaped = count == REAP_BATCH ? db_int(rows, count - 1, 0) : 0;
    return remove_rows(storage, rows, e);
}

enum err placement_reap(struct storage *storage, struct error *e)
{
    enum err first = ERR_NONE;
    for (int i = 0; i < TIER_COUNT; i++) {
        struct storage_tier *tier = &storage->tiers[i];
        struct error failure = {0};
        enum err err =
            tier_is_online(tier) ? reap_tier(storage, tier, &failure) : ERR_NONE;
        error_keep_first(&first, e, err, &failure);
    }
    return first;
}

// ---- bad copies -----------------------------------------------------------------

struct condemning {
    struct storage *storage;
    const struct digest *digest;
    const struct placement *placement;
    const char *why;
    int64_t others[TIER_COUNT]; // copies that were seen, 0: none
    enum verdict verdict;
};

// Which of the other copies can be seen now. One on a tier that is offline, or without
// its file, stands for nothing.
static enum err look_at_others(struct condemning *c, struct error *e)
{
    CLEANUP(placement_list_clear) struct placement_list list = {0};
    enum err err = placement_list_get(c->storage, c->digest, &list, e);
    for (int i = 0; err == ERR_NONE && i < list.count; i++) {
        const struct placement *p = &list.placements[i];
        struct error ignored = {0};
        bool seen = false;
        if (p->id != c->placement->id && !p->damaged &&
            placement_look(c->storage, c->digest, p, &seen, &ignored) == ERR_NONE &&
            seen)
            c->others[p->tier] = p->id;
        error_clear(&ignored);
    }
    if (err != ERR_BLOB_NOT_FOUND)
        return err;
    error_clear(e);
    return ERR_NONE;
}

static enum err mark_damaged(struct db *db, int64_t id, struct error *e)
{
    static const char sql[] = "UPDATE placements SET damaged = true WHERE id = $1";
    return db_exec(db, sql, DB_PARAMS(DB_INT(id)), NULL, e);
}

// However the heal ends, a copy in the bucket is wanted again (invariant 3).
static enum err protect_again(struct db *db, struct condemning *c, struct error *e)
{
    static const char sql[] = "UPDATE blobs SET protect_at = now()"
                              " + make_interval(secs => $2) WHERE sha256 = $1";
    if (c->placement->tier != TIER_COLD)
        return ERR_NONE;
    double after_s = (double)c->storage->options.protect_after_s;
    return db_exec(db, sql, DB_PARAMS(DB_DIGEST(c->digest), DB_DOUBLE(after_s)), NULL,
                   e);
}

static enum err begin_heal(struct db *db, struct condemning *c, struct error *e)
{
    const struct move_request request = {
        .digest = *c->digest, .to = c->placement->tier, .cause = MOVE_HEAL};
    struct move move;
    return move_begin_in(db, c->storage, &request, &move, e);
}

static enum err put_event(struct db *db, const struct condemning *c, struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(c->digest, hex);
    return storage_event_put(
        db, c->verdict == VERDICT_HEALING ? "blob.healing" : "blob.damaged", hex,
        json_pack("{s:s, s:s, s:I}", "tier", tier_name(c->placement->tier), "why",
                  c->why, "placement", (json_int_t)c->placement->id),
        e);
}

static enum verdict judge(const struct condemning *c,
                          const struct placement_states *states)
{
    int64_t id = c->placement->id;
    bool found = false, was_damaged = false, has_other = false;
    for (int i = 0; i < states->count; i++) {
        const struct placement_state *s = &states->all[i];
        if (s->id == id) {
            found = s->ready;
            was_damaged = s->damaged;
        } else if (s->ready && !s->damaged && c->others[s->tier] == s->id) {
            has_other = true;
        }
    }
    if (!found)
        return VERDICT_GONE;
    if (has_other)
        return VERDICT_HEALING;
    return was_damaged ? VERDICT_KNOWN : VERDICT_MARKED;
}

static enum err condemn(struct db *db, void *context, struct error *e)
{
    struct condemning *c = context;
    struct placement_states states;
    c->verdict = VERDICT_GONE;
    enum err err = placement_lock_all(db, c->storage, c->digest, &states, e);
    if (err != ERR_NONE)
        return err;
    c->verdict = judge(c, &states);
    if (c->verdict != VERDICT_HEALING && c->verdict != VERDICT_MARKED)
        return ERR_NONE;
    err = mark_damaged(db, c->placement->id, e);
    if (err == ERR_NONE && c->verdict == VERDICT_HEALING)
        err = placement_mark_dropping(db, c->placement->id, e);
    if (err == ERR_NONE && c->verdict == VERDICT_HEALING)
        err = protect_again(db, c, e);
    if (err == ERR_NONE && c->verdict == VERDICT_HEALING)
        err = begin_heal(db, c, e);
    return err != ERR_NONE ? err : put_event(db, c, e);
}

// What cannot be set aside now stays, and is tried again by placement_reap.
static void remove_now(struct storage *storage, const struct digest *digest)
{
    struct error e = {0};
    if (placement_remove_dropped(storage, digest, &e) != ERR_NONE)
        log_warn("a bad copy stays for now", "error", e.detail, NULL);
    error_clear(&e);
}

enum err placement_condemn(struct storage *storage, const struct digest *digest,
                           const struct placement *placement, const char *why,
                           enum verdict *verdict, struct error *e)
{
    struct condemning c = {
        .storage = storage, .digest = digest, .placement = placement, .why = why};
    // A tier that has become another's lacks everything, and is no reason to judge.
    enum err err = tier_check(storage, &storage->tiers[placement->tier], e);
    if (err == ERR_NONE)
        err = look_at_others(&c, e);
    if (err == ERR_NONE)
        err = db_tx_run(storage->pool, condemn, &c, e);
    if (verdict != NULL)
        *verdict = err == ERR_NONE ? c.verdict : VERDICT_GONE;
    if (err != ERR_NONE || c.verdict == VERDICT_GONE || c.verdict == VERDICT_KNOWN)
        return err;
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    blob_copies_changed(storage, digest);
    if (c.verdict == VERDICT_HEALING) {
        log_warn("a bad copy is replaced from another", "sha256", hex, "tier",
                 tier_name(placement->tier), "why", why, NULL);
        atomic_fetch_add(&storage->copies_healed, 1);
        storage_wake_movers(storage);
        if (placement->tier != TIER_COLD)
            remove_now(storage, digest);
        return ERR_NONE;
    }
    log_error("the only copy of a blob is damaged", "sha256", hex, "tier",
              tier_name(placement->tier), "why", why, NULL);
    atomic_fetch_add(&storage->copies_damaged, 1);
    return ERR_NONE;
}
