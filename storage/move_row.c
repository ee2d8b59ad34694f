// SPDX-License-Identifier: Apache-2.0
// The steps of a move as its rows see them.
#include <string.h>

#include "common/db/tx.h"
#include "common/log.h"
#include "storage/event.h"
#include "storage/mover.h"
#include "storage/placement_drop.h"

#define URGENT 10 // the priority of what people wait for
#define ANY 1000

enum err move_row_claim(struct storage *storage, bool urgent,
                        struct move moves[MOVES_CLAIMED_MAXIMUM], int *count,
                        struct error *e)
{
    // One move of a blob at a time, in the order in which they were asked for. The
    // first of the queue, and with it small ones that would cost more to claim than to
    // copy.
    static const char sql[] =
        "WITH next AS (SELECT id, priority, size FROM moves m WHERE node_id = $1"
        "   AND state = 'queued' AND priority <= $2 AND not_before <= now()"
        "   AND NOT EXISTS (SELECT 1 FROM moves o WHERE o.sha256 = m.sha256"
        "     AND o.node_id = m.node_id AND o.finished_at IS NULL AND o.id < m.id)"
        "   ORDER BY priority, id LIMIT $3 FOR UPDATE SKIP LOCKED)"
        " UPDATE moves SET state = 'copying', attempts = attempts + 1, bytes_done = 0,"
        "   started_at = coalesce(started_at, now()), error = ''"
        " WHERE id IN (SELECT id FROM next WHERE size <= 4194304 OR id ="
        "   (SELECT id FROM next ORDER BY priority, id LIMIT 1))"
        " RETURNING id, sha256, from_tier, to_tier, cause, rule, drops, state, size,"
        "   bytes_done, attempts, error, created_at, started_at, finished_at, "
        "cancelled";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql,
                       DB_PARAMS(DB_INT(storage->options.node),
                                 DB_INT(urgent ? URGENT : ANY),
                                 DB_INT(MOVES_CLAIMED_MAXIMUM)),
                       &rows, e);
    *count = 0;
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        if (!move_take_row(rows, i, &moves[*count]))
            continue;
        moves[*count].is_cancelled = db_bool(rows, i, 15);
        ++*count;
    }
    return err;
}

enum err move_row_requeue(struct storage *storage, const char *running, struct error *e)
{
    static const char sql[] =
        "UPDATE moves SET state = 'queued', bytes_done = 0 WHERE node_id = $1"
        " AND finished_at IS NULL AND state <> 'queued'"
        " AND NOT id = ANY ($2::text::bigint[])";
    CLEANUP(db_release_at) struct db *db = NULL;
    int64_t changed = 0;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err =
            db_exec(db, sql, DB_PARAMS(DB_INT(storage->options.node), DB_TEXT(running)),
                    &changed, e);
    if (err == ERR_NONE && changed > 0)
        log_info("moves that nobody runs are queued again", "count",
                 log_number(changed), NULL);
    return err;
}

// ---- placing ----------------------------------------------------------------------

struct step {
    struct storage *storage;
    const struct move *move;
    int64_t id;
    bool exists;
    const struct placement *copy;
    bool dropped;
};

// What keeps another copy from its place: a ready one, or one that is under way.
static enum err look_at_other(struct db *db, struct step *s, struct error *e)
{
    static const char sql[] =
        "SELECT state = 'ready' FROM placements WHERE sha256 = $1 AND tier = $2"
        " AND node_id = $3 AND state <> 'dropping'";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, sql,
                 DB_PARAMS(DB_DIGEST(&s->move->digest), DB_TEXT(tier_name(s->move->to)),
                           DB_INT(s->storage->tiers[s->move->to].node)),
                 &rows, e);
    s->exists = err == ERR_NONE && db_rows(rows) == 1 && db_bool(rows, 0, 0);
    if (err != ERR_NONE || s->exists)
        return err;
    return error_set(e, ERR_UNAVAILABLE, "another copy to the %s tier is under way",
                     tier_name(s->move->to));
}

static enum err place(struct db *db, void *context, struct error *e)
{
    static const char sql[] =
        "INSERT INTO placements (sha256, tier, node_id, state, stored_size, rule)"
        " VALUES ($1, $2, $3, 'copying', $4, $5)"
        " ON CONFLICT (sha256, tier, node_id) WHERE state <> 'dropping' DO NOTHING"
        " RETURNING id";
    static const char note[] = "UPDATE moves SET placement_id = $2 WHERE id = $1"
                               " AND NOT cancelled";
    struct step *s = context;
    const struct move *m = s->move;
    const char *rule = m->cause == MOVE_RULE    ? m->rule
                       : m->cause == MOVE_SPACE ? "heat"
                       : m->cause == MOVE_PROTECT || m->cause == MOVE_HEAL
                           ? "default"
                           : move_cause_name(m->cause);
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql,
                            DB_PARAMS(DB_DIGEST(&m->digest), DB_TEXT(tier_name(m->to)),
                                      DB_INT(s->storage->tiers[m->to].node),
                                      DB_INT((int64_t)m->size), DB_TEXT(rule)),
                            &rows, e);
    s->exists = false;
    if (err == ERR_NONE && db_rows(rows) == 0)
        return look_at_other(db, s, e);
    if (err != ERR_NONE)
        return err;
    s->id = db_int(rows, 0, 0);
    int64_t noted = 0;
    err = db_exec(db, note, DB_PARAMS(DB_INT(m->id), DB_INT(s->id)), &noted, e);
    return err != ERR_NONE || noted == 1
               ? err
               : error_set(e, ERR_UNAVAILABLE, "cancelled"); // since it was claimed
}

enum err move_row_place(struct storage *storage, const struct move *move, int64_t *id,
                        bool *exists, struct error *e)
{
    struct step step = {.storage = storage, .move = move};
    enum err err = db_tx_run(storage->pool, place, &step, e);
    *id = step.id;
    *exists = step.exists;
    if (err == ERR_NONE && !step.exists)
        atomic_fetch_add(&storage->tiers[move->to].used, (int64_t)move->size);
    return err;
}

enum err move_row_verifying(struct storage *storage, const struct move *move,
                            int64_t id, struct error *e)
{
    static const char copy[] =
        "UPDATE placements SET state = 'verifying' WHERE id = $1";
    static const char sql[] = "UPDATE moves SET state = 'verifying' WHERE id = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_exec(db, copy, DB_PARAMS(DB_INT(id)), NULL, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_INT(move->id)), NULL, e);
    return err;
}

// ---- ready ------------------------------------------------------------------------

static enum err put_ready(struct db *db, const struct step *s, struct error *e)
{
    static const char sql[] =
        "UPDATE placements SET state = 'ready', stored_size = $2, encoding = $3,"
        " seek_table = $4, since = now(), checked_at = now(), damaged = false,"
        " heat_score = coalesce((SELECT max(o.heat_score) FROM placements o"
        "   WHERE o.sha256 = placements.sha256 AND o.id <> placements.id), 0)"
        " WHERE id = $1 AND state = 'verifying'";
    const struct placement *c = s->copy;
    int64_t changed = 0;
    enum err err = db_exec(
        db, sql,
        DB_PARAMS(DB_INT(c->id), DB_INT((int64_t)c->stored_size), DB_TEXT(c->encoding),
                  c->seek_table != NULL ? DB_BYTES(c->seek_table, c->seek_table_size)
                                        : DB_NULL),
        &changed, e);
    if (err == ERR_NONE && changed != 1)
        err = error_set(e, ERR_INTERNAL, "the row of the copy is gone");
    return err;
}

// Only with a good copy at the target the move has reached it, and only then is
// anything above it dropped (invariant 3).
static enum err finish_at_target(struct db *db, struct step *s, struct error *e)
{
    struct placement_states states; // again, now that the copy is ready
    enum err err = placement_lock_all(db, s->storage, &s->move->digest, &states, e);
    bool good = false;
    for (int i = 0; err == ERR_NONE && i < states.count; i++)
        good = good || (states.all[i].tier == s->move->to && states.all[i].ready &&
                        !states.all[i].damaged);
    if (err == ERR_NONE && !good)
        err = error_set(e, ERR_UNAVAILABLE, "the copy at the target is gone again");
    for (int i = 0; err == ERR_NONE && s->move->drops && i < states.count; i++) {
        const struct placement_state *p = &states.all[i];
        if (p->tier >= s->move->to)
            continue;
        s->dropped = true;
        if (!p->dropping)
            err = placement_mark_dropping(db, p->id, e);
    }
    return err;
}

static enum err protected_now(struct db *db, const struct step *s, struct error *e)
{
    static const char sql[] = "UPDATE blobs SET protect_at = NULL WHERE sha256 = $1";
    return s->move->to != TIER_COLD
               ? ERR_NONE
               : db_exec(db, sql, DB_PARAMS(DB_DIGEST(&s->move->digest)), NULL, e);
}

static enum err become_ready(struct db *db, void *context, struct error *e)
{
    struct step *s = context;
    struct placement_states states;
    s->dropped = false;
    enum err err = placement_lock_all(db, s->storage, &s->move->digest, &states, e);
    if (err == ERR_NONE)
        err = protected_now(db, s, e);
    if (err == ERR_NONE && s->copy != NULL)
        err = put_ready(db, s, e);
    return err != ERR_NONE ? err : finish_at_target(db, s, e);
}

enum err move_row_ready(struct storage *storage, const struct move *move,
                        const struct placement *copy, bool *dropped, struct error *e)
{
    struct step step = {.storage = storage, .move = move, .copy = copy};
    enum err err = db_tx_run(storage->pool, become_ready, &step, e);
    *dropped = step.dropped;
    if (err != ERR_NONE || copy == NULL)
        return err;
    struct storage_tier *tier = &storage->tiers[move->to];
    atomic_fetch_add(&tier->used, (int64_t)copy->stored_size - (int64_t)move->size);
    atomic_fetch_add(&tier->blobs, 1);
    return ERR_NONE;
}

// ---- the end ----------------------------------------------------------------------

// The lock waits for a COMMIT whose answer was lost; what it wrote is seen by the
// statements after this one.
static enum err lock_move(struct db *db, int64_t id, struct error *e)
{
    static const char sql[] = "SELECT 1 FROM moves WHERE id = $1 FOR UPDATE";
    return db_query(db, sql, DB_PARAMS(DB_INT(id)), NULL, e);
}

struct ending {
    const struct move *move;
    enum move_state state;
    const char *error;
    int64_t delay_ms;
};

static enum err put_event(struct db *db, const struct ending *n, struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&n->move->digest, hex);
    const char *kind = n->state == MOVE_DONE     ? "move.done"
                       : n->state == MOVE_FAILED ? "move.failed"
                                                 : "move.cancelled";
    return storage_event_put(
        db, kind, hex,
        json_pack("{s:I, s:s, s:s, s:s, s:s}", "move", (json_int_t)n->move->id, "from",
                  tier_name(n->move->from), "to", tier_name(n->move->to), "cause",
                  move_cause_name(n->move->cause), "error", n->error),
        e);
}

// A copy that could not be removed yet keeps its move's number, for the next attempt.
static enum err end(struct db *db, void *context, struct error *e)
{
    static const char sql[] =
        "UPDATE moves SET state = $2, error = $3, placement_id = (SELECT p.id"
        "   FROM placements p WHERE p.id = placement_id"
        "   AND p.state IN ('copying', 'verifying')),"
        " bytes_done = CASE WHEN $2 = 'done' THEN size ELSE 0 END,"
        " not_before = now() + make_interval(secs => $4),"
        " finished_at = CASE WHEN $2 <> 'queued' THEN now() END"
        " WHERE id = $1";
    const struct ending *n = context;
    enum err err = lock_move(db, n->move->id, e);
    if (err == ERR_NONE)
        err =
            db_exec(db, sql,
                    DB_PARAMS(DB_INT(n->move->id), DB_TEXT(move_state_name(n->state)),
                              DB_TEXT(n->error), DB_DOUBLE((double)n->delay_ms / 1000)),
                    NULL, e);
    return err != ERR_NONE || n->state == MOVE_QUEUED ? err : put_event(db, n, e);
}

enum err move_row_end(struct storage *storage, const struct move *move,
                      enum move_state state, const char *error, int64_t delay_ms,
                      struct error *e)
{
    struct ending ending = {move, state, error, delay_ms};
    return db_tx_run(storage->pool, end, &ending, e);
}

// ---- copies that came to nothing --------------------------------------------------

// The object, then the row.
static enum err remove_unfinished(struct storage *storage, enum tier on,
                                  const struct tier_key *key, int64_t size,
                                  struct error *e)
{
    static const char sql[] = "DELETE FROM placements WHERE id = $1"
                              " AND state IN ('copying', 'verifying')";
    struct storage_tier *tier = &storage->tiers[on];
    CLEANUP(db_release_at) struct db *db = NULL;
    int64_t deleted = 0;
    enum err err = tier_require(tier, e);
    if (err == ERR_NONE)
        err = tier->store->ops->remove(tier->store, key, e);
    if (err == ERR_NONE)
        err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_exec(db, sql, DB_PARAMS(DB_INT(key->id)), &deleted, e);
    if (err == ERR_NONE && deleted > 0)
        atomic_fetch_sub(&tier->used, size);
    return err;
}

enum err move_row_unplace(struct storage *storage, const struct move *move,
                          struct error *e)
{
    // Is it ready after all? One move of a blob runs at a time, so that what it or
    // another left is nobody's.
    static const char find[] =
        "SELECT p.id FROM placements p WHERE p.sha256 = $1 AND p.tier = $2"
        " AND p.state IN ('copying', 'verifying') AND EXISTS (SELECT 1 FROM moves m"
        "  WHERE m.placement_id = p.id AND m.node_id = $3) FOR UPDATE OF p";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = lock_move(db, move->id, e);
    if (err == ERR_NONE)
        err = db_query(db, find,
                       DB_PARAMS(DB_DIGEST(&move->digest), DB_TEXT(tier_name(move->to)),
                                 DB_INT(storage->options.node)),
                       &rows, e);
    db_release(steal_ptr(db));
    if (err != ERR_NONE || db_rows(rows) == 0)
        return err;
    const struct tier_key key = {.digest = move->digest, .id = db_int(rows, 0, 0)};
    return remove_unfinished(storage, move->to, &key, (int64_t)move->size, e);
}

enum err move_row_unplace_finished(struct storage *storage, struct error *e)
{
    static const char sql[] =
        "SELECT p.id, p.sha256, p.tier, m.size FROM moves m JOIN placements p"
        " ON p.id = m.placement_id WHERE m.node_id = $1 AND m.finished_at IS NOT NULL"
        " AND p.state IN ('copying', 'verifying') ORDER BY p.id LIMIT 1000";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_INT(storage->options.node)), &rows, e);
    db_release(steal_ptr(db));
    enum err first = err;
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        struct tier_key key = {.id = db_int(rows, i, 0)};
        struct error failure = {0};
        enum tier tier;
        if (!db_digest(rows, i, 1, &key.digest) ||
            !tier_parse(db_text(rows, i, 2), &tier) ||
            !tier_is_online(&storage->tiers[tier]))
            continue;
        enum err one =
            remove_unfinished(storage, tier, &key, db_int(rows, i, 3), &failure);
        error_keep_first(&first, e, one, &failure);
    }
    return first;
}
