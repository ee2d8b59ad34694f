// SPDX-License-Identifier: Apache-2.0
// Tiers above their high mark give their coldest bytes away until the low mark, and a
// tier that has no room for what rules and pins ask for makes some. Counted is what the
// files will free, not what the device says is free: an unlinked file frees nothing
// while it is open, and who waits for that empties the tier.
#include <math.h>

#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/pass.h"
#include "server/policy/sql_array.h"
#include "storage/move.h"

#define RELIEF_BATCH 500
#define RELIEF_BATCHES 20 // looked at in one pass; the next one goes on behind

struct relief {
    struct pass *pass;
    enum tier tier;
    uint64_t need;  // bytes to free
    bool asked_too; // also what a rule keeps here
    bool more;      // there are further copies behind
    struct relief_place place;
    struct relief_place next;
    uint64_t freed, promised[TIER_COUNT];
    int64_t begun;
};

// ---- how much -------------------------------------------------------------------

// Bytes that moves under way will free on the tier.
static enum err read_leaving(struct db *db, const struct pass *pass, enum tier tier,
                             uint64_t *leaving, struct error *e)
{
    static const char sql[] =
        "SELECT coalesce(sum(p.stored_size), 0)::bigint FROM placements p"
        " WHERE p.node_id = $1 AND p.tier = $2 AND p.state = 'ready' AND p.sha256 IN"
        " (SELECT m.sha256 FROM moves m WHERE m.node_id = $1 AND m.finished_at IS NULL"
        "  AND NOT m.cancelled AND m.drops"
        "  AND array_position(ARRAY['hot', 'warm', 'cold'], m.to_tier)"
        "   > array_position(ARRAY['hot', 'warm', 'cold'], $2))";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql,
        DB_PARAMS(DB_INT(pass->policy->options.node), DB_TEXT(tier_name(tier))), &rows,
        e);
    if (err == ERR_NONE)
        *leaving = (uint64_t)db_int(rows, 0, 0);
    return err;
}

static enum err read_missing(struct db *db, enum tier tier, uint64_t *missing,
                             struct error *e)
{
    static const char sql[] = "SELECT coalesce(sum(missing), 0)::bigint"
                              " FROM blob_policy WHERE tier = $1 AND missing > 0";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_PARAMS(DB_TEXT(tier_name(tier))), &rows, e);
    if (err == ERR_NONE)
        *missing = (uint64_t)db_int(rows, 0, 0);
    return err;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

struct fill {
    uint64_t fill; // bytes once everything under way has ended
    uint64_t high, low;
    uint64_t missing; // bytes that rules and pins want here and that are not
};

static enum err read_fill(struct pass *pass, enum tier tier, struct fill *fill,
                          struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    const struct storage_tier_status *status = &pass->tiers[tier];
    uint64_t leaving = 0;
    enum err err = db_acquire(pass->policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = read_leaving(db, pass, tier, &leaving, e);
    if (err == ERR_NONE)
        err = read_missing(db, tier, &fill->missing, e);
    fill->high = status->capacity / 100 * status->high_mark;
    fill->low = status->capacity / 100 * status->low_mark;
    fill->fill =
        less(status->used + pass->coming[tier], status->pending_free + leaving);
    return err;
}

// ---- what goes ------------------------------------------------------------------

// From where the last batch ended; copies that a pin, an explicit move or a move under
// way concerns stay. $6: also those that a rule wants here.
static const char coldest_sql[] =
    "SELECT c.id, c.sha256, c.heat_score, c.stored_size, b.size,"
    " EXISTS (SELECT 1 FROM placements l WHERE l.sha256 = c.sha256 AND l.tier = 'warm'"
    "  AND l.node_id = $1 AND l.state = 'ready' AND NOT l.damaged) AS warm,"
    " EXISTS (SELECT 1 FROM placements l WHERE l.sha256 = c.sha256 AND l.tier = 'cold'"
    "  AND l.node_id = 0 AND l.state = 'ready' AND NOT l.damaged) AS cold,"
    " NOT (EXISTS (SELECT 1 FROM moves m WHERE m.sha256 = c.sha256 AND m.node_id = $1"
    "   AND m.finished_at IS NULL)"
    "  OR EXISTS (SELECT 1 FROM pin_blobs pb JOIN pins n ON n.id = pb.pin_id"
    "   WHERE pb.sha256 = c.sha256 AND (n.until IS NULL OR n.until > now())"
    "   AND array_position(ARRAY['hot', 'warm', 'cold'], n.tier) <= $7)"
    "  OR EXISTS (SELECT 1 FROM holds o WHERE o.sha256 = c.sha256 AND o.until > now()"
    "   AND array_position(ARRAY['hot', 'warm', 'cold'], o.tier) <= $7)"
    "  OR (NOT $6 AND EXISTS (SELECT 1 FROM version_files f"
    "   JOIN version_policy v ON v.version_id = f.version_id"
    "   WHERE f.sha256 = c.sha256"
    "   AND array_position(ARRAY['hot', 'warm', 'cold'], v.tier) <= $7))) AS goes"
    " FROM (SELECT p.id, p.sha256, p.heat_score, p.stored_size FROM placements p"
    "  WHERE p.node_id = $1 AND p.tier = $2 AND p.state = 'ready' AND NOT p.damaged"
    "  AND p.heat_score >= $3 AND (p.heat_score, p.id) > ($3, $4)"
    "  ORDER BY p.heat_score, p.id LIMIT $5) c"
    " JOIN blobs b ON b.sha256 = c.sha256 ORDER BY c.heat_score, c.id";
enum { ID, SHA256, SCORE, STORED, SIZE, WARM, COLD, GOES };

static bool has_room(const struct relief *relief, enum tier tier, uint64_t size)
{
    const struct pass *pass = relief->pass;
    const struct storage_tier_status *status = &pass->tiers[tier];
    uint64_t high = status->capacity / 100 * status->high_mark;
    if (!status->is_online)
        return false;
    return !status->is_limited ||
           status->used + pass->coming[tier] + relief->promised[tier] + size <= high;
}

// The next tier that has it or has room for it; an existing copy costs nothing.
static bool choose_tier(const struct relief *relief, const struct db_result *rows,
                        int row, enum tier *to)
{
    for (int tier = (int)relief->tier + 1; tier < TIER_COUNT; tier++) {
        bool is_there = db_bool(rows, row, tier == TIER_WARM ? WARM : COLD);
        if ((is_there && relief->pass->tiers[tier].is_online) ||
            has_room(relief, (enum tier)tier, (uint64_t)db_int(rows, row, SIZE))) {
            *to = (enum tier)tier;
            return true;
        }
    }
    return false;
}

static enum err give_away(struct db *db, struct relief *relief,
                          const struct db_result *rows, int row, struct error *e)
{
    struct move_request request = {.cause = MOVE_SPACE, .drops = true};
    struct move move;
    if (!choose_tier(relief, rows, row, &request.to))
        return ERR_NONE;
    (void)db_digest(rows, row, SHA256, &request.digest);
    enum err err =
        move_begin_in(db, relief->pass->policy->options.storage, &request, &move, e);
    if (err != ERR_NONE)
        return err;
    relief->begun++;
    relief->freed += (uint64_t)db_int(rows, row, STORED);
    if (!db_bool(rows, row, request.to == TIER_WARM ? WARM : COLD))
        relief->promised[request.to] += (uint64_t)db_int(rows, row, SIZE);
    return ERR_NONE;
}

static enum err relief_work(struct db *db, void *context, struct error *e)
{
    static const char lock[] =
        "SELECT pg_advisory_xact_lock(hashtext('strata policy blobs'))";
    struct relief *relief = context;
    struct pass *pass = relief->pass;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    relief->freed = 0;
    relief->begun = 0;
    for (int tier = 0; tier < TIER_COUNT; tier++)
        relief->promised[tier] = 0;
    struct relief_place place = relief->place;
    enum err err = db_exec(db, lock, DB_NO_PARAMS, NULL, e);
    if (err == ERR_NONE)
        err = db_query(db, coldest_sql,
                       DB_PARAMS(DB_INT(pass->policy->options.node),
                                 DB_TEXT(tier_name(relief->tier)),
                                 DB_DOUBLE(place.score), DB_INT(place.id),
                                 DB_INT(RELIEF_BATCH), DB_BOOL(relief->asked_too),
                                 DB_INT((int64_t)relief->tier + 1)),
                       &rows, e);
    int row = 0;
    for (; err == ERR_NONE && row < db_rows(rows) && relief->freed < relief->need &&
           relief->begun < pass->budget.moves;
         row++) {
        place = (struct relief_place){.score = db_double(rows, row, SCORE),
                                      .id = db_int(rows, row, ID)};
        if (db_bool(rows, row, GOES))
            err = give_away(db, relief, rows, row, e);
    }
    relief->next = place;
    relief->more = err == ERR_NONE && db_rows(rows) == RELIEF_BATCH;
    return err;
}

static void account(struct pass *pass, const struct relief *relief)
{
    pass->budget.moves -= relief->begun;
    pass->result->moves += relief->begun;
    pass->result->relieved[relief->tier] += (int64_t)relief->freed;
    for (int tier = 0; tier < TIER_COUNT; tier++)
        pass->coming[tier] += relief->promised[tier];
}

// *all: every copy has been looked at.
static enum err run(struct relief *relief, bool *all, struct error *e)
{
    struct pass *pass = relief->pass;
    enum err err = ERR_NONE;
    *all = false;
    for (int i = 0; err == ERR_NONE && i < RELIEF_BATCHES && relief->need > 0 &&
                    pass->budget.moves > 0;
         i++) {
        err = db_tx_run(pass->policy->options.db, relief_work, relief, e);
        if (err != ERR_NONE)
            return err;
        account(pass, relief);
        relief->place = relief->next;
        relief->need = less(relief->need, relief->freed);
        if (!relief->more && relief->need > 0) {
            *all = true;
            return ERR_NONE;
        }
    }
    return err;
}

static const struct relief_place from_coldest = {.score = -INFINITY, .id = 0};

static enum err relieve(struct pass *pass, enum tier tier, const struct fill *fill,
                        uint64_t need, struct error *e)
{
    struct relief relief = {.pass = pass, .tier = tier, .need = need};
    bool all = false;
    policy_relief_get(pass->policy, tier, &relief.place);
    enum err err = run(&relief, &all, e);
    // What rules keep here goes last, and only as far as it must, since it would come
    // back into any room below the mark.
    uint64_t freed = need - relief.need;
    if (err == ERR_NONE && all && less(fill->fill, freed) > fill->high) {
        relief.need = less(fill->fill, freed) - fill->high;
        relief.asked_too = true;
        relief.place = from_coldest;
        err = run(&relief, &all, e);
    }
    bool done = relief.need == 0 || all;
    policy_relief_set(pass->policy, tier, done ? &from_coldest : &relief.place,
                      all && relief.need > 0);
    pass->result->more = pass->result->more || (err == ERR_NONE && !done);
    return err;
}

// Above the high mark: down to the low one. Below it: what rules and pins miss.
static uint64_t needed(const struct fill *fill)
{
    if (fill->fill > fill->high)
        return fill->fill - fill->low;
    return less(fill->missing, fill->high - fill->fill);
}

enum err pass_watermarks(struct pass *pass, struct error *e)
{
    enum err err = ERR_NONE;
    for (int tier = 0; err == ERR_NONE && tier < TIER_COLD; tier++) {
        struct fill fill = {0};
        const struct storage_tier_status *status = &pass->tiers[tier];
        if (!status->is_online || !status->is_limited ||
            policy_relief_is_futile(pass->policy, (enum tier)tier))
            continue;
        err = read_fill(pass, (enum tier)tier, &fill, e);
        uint64_t need = err == ERR_NONE ? needed(&fill) : 0;
        if (need > 0)
            err = relieve(pass, (enum tier)tier, &fill, need, e);
    }
    return err;
}

// ---- room that came -------------------------------------------------------------

// The hottest first. Nothing is queued that would not fit.
enum err pass_room(struct pass *pass, struct error *e)
{
    static const char sql[] =
        "INSERT INTO policy_blobs (sha256) SELECT q.sha256 FROM blob_policy q"
        " LEFT JOIN heat h ON h.sha256 = q.sha256"
        " WHERE q.tier = $1 AND q.missing BETWEEN 1 AND $2"
        " ORDER BY h.heat_at DESC NULLS LAST LIMIT $3";
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(pass->policy->options.db, &db, e);
    for (int tier = 0; err == ERR_NONE && tier < TIER_COUNT; tier++) {
        const struct storage_tier_status *status = &pass->tiers[tier];
        uint64_t high = status->capacity / 100 * status->high_mark;
        uint64_t room = status->is_limited
                            ? less(high, status->used + pass->coming[tier])
                            : INT64_MAX;
        if (status->is_online && room > 0)
            err = db_exec(db, sql,
                          DB_PARAMS(DB_TEXT(tier_name((enum tier)tier)),
                                    DB_INT((int64_t)room), DB_INT(RELIEF_BATCH)),
                          NULL, e);
    }
    return err;
}
