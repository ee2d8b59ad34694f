// SPDX-License-Identifier: Apache-2.0
// Tiers above their high mark give their coldest bytes away until the low mark, and a
// tier that has no room for what rules and pins ask for makes some. Counted is what the
// files will free, not what the device says is free: an unlinked file frees nothing
// while it is open, and who waits for that empties the tier.
#include <math.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/policy/blob_facts.h"
#include "server/policy/pass.h"
#include "server/policy/sql_array.h"
#include "storage/move.h"

#define RELIEF_BATCH 500
#define RELIEF_BATCHES 20 // looked at in one pass; the next one goes on behind
#define COLDEST_LOOKED_AT 100

struct relief {
    struct pass *pass;
    enum tier tier;
    uint64_t need;  // bytes to free
    bool rules_too; // also what a rule keeps here
    bool more;      // there are further copies behind
    struct relief_place place, next;
    uint64_t freed;
    int64_t begun;
    struct decide_tier tiers[TIER_COUNT]; // with what this batch began
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
    uint64_t fill;    // bytes once everything under way has ended
    uint64_t missing; // bytes that rules and pins want here and that are not
};

static enum err read_fill(struct pass *pass, enum tier tier, struct fill *fill,
                          struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    uint64_t leaving = 0;
    enum err err = db_acquire(pass->policy->options.db, &db, e);
    if (err == ERR_NONE)
        err = read_leaving(db, pass, tier, &leaving, e);
    if (err == ERR_NONE)
        err = read_missing(db, tier, &fill->missing, e);
    fill->fill =
        less(pass->tiers[tier].used, pass->status[tier].pending_free + leaving);
    return err;
}

// ---- what goes ------------------------------------------------------------------

// From where the last batch ended.
static const char coldest_sql[] =
    "SELECT p.id, p.sha256, p.heat_score, p.stored_size FROM placements p"
    " WHERE p.node_id = $1 AND p.tier = $2 AND p.state = 'ready' AND NOT p.damaged"
    " AND p.heat_score >= $3 AND (p.heat_score, p.id) > ($3, $4)"
    " ORDER BY p.heat_score, p.id LIMIT $5";
enum { ID, SHA256, SCORE, STORED };

static enum err read_coldest(struct db *db, const struct pass *pass, enum tier tier,
                             const struct relief_place *after, int64_t limit,
                             struct db_result **rows, struct blob_facts_list *list,
                             struct error *e)
{
    CLEANUP(buf_clear) struct buf digests = {0};
    enum err err =
        db_query(db, coldest_sql,
                 DB_PARAMS(DB_INT(pass->policy->options.node), DB_TEXT(tier_name(tier)),
                           DB_DOUBLE(after->score), DB_INT(after->id), DB_INT(limit)),
                 rows, e);
    if (err != ERR_NONE)
        return err;
    for (int row = 0; row < db_rows(*rows); row++) {
        struct digest digest;
        if (db_digest(*rows, row, SHA256, &digest))
            sql_array_digest(&digests, &digest);
    }
    return blob_facts_read(db, pass->policy, sql_array(&digests), list, e);
}

// Whether the copy of this row may go, and where to; what is being moved stays until
// that has ended.
static bool may_go(const struct pass *pass, const struct decide_tier *tiers,
                   enum tier tier, bool rules_too, const struct db_result *rows,
                   int row, const struct blob_facts_list *list,
                   struct decision *decision)
{
    struct digest digest;
    if (!db_digest(rows, row, SHA256, &digest))
        return false;
    const struct blob_facts *blob = blob_facts_find(list, &digest);
    if (blob == NULL || blob->is_moving)
        return false;
    decide_space(&pass->policy->options.decide, &blob->in, tiers, tier, rules_too,
                 list->now_us, decision);
    return decision->moves;
}

static enum err give_away(struct db *db, struct relief *relief,
                          const struct db_result *rows, int row,
                          const struct blob_facts_list *list,
                          const struct decision *decision, struct error *e)
{
    struct move_request request = {
        .to = decision->tier, .cause = MOVE_SPACE, .drops = true};
    struct move move;
    (void)db_digest(rows, row, SHA256, &request.digest);
    const struct blob_facts *blob = blob_facts_find(list, &request.digest);
    enum err err =
        move_begin_in(db, relief->pass->policy->options.storage, &request, &move, e);
    if (err != ERR_NONE)
        return err;
    relief->begun++;
    relief->freed += (uint64_t)db_int(rows, row, STORED);
    if (blob->in.since_us[request.to] == 0)
        relief->tiers[request.to].used += blob->in.size;
    return ERR_NONE;
}

static enum err relief_work(struct db *db, void *context, struct error *e)
{
    static const char lock[] =
        "SELECT pg_advisory_xact_lock(hashtext('strata policy blobs'))";
    struct relief *relief = context;
    struct pass *pass = relief->pass;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    CLEANUP(blob_facts_clear) struct blob_facts_list list = {0};
    relief->freed = 0;
    relief->begun = 0;
    relief->next = relief->place;
    memcpy(relief->tiers, pass->tiers, sizeof relief->tiers);
    enum err err = db_exec(db, lock, DB_NO_PARAMS, NULL, e);
    if (err == ERR_NONE)
        err = read_coldest(db, pass, relief->tier, &relief->place, RELIEF_BATCH, &rows,
                           &list, e);
    for (int row = 0;
         err == ERR_NONE && row < db_rows(rows) && relief->freed < relief->need &&
         relief->begun < pass->budget.moves;
         row++) {
        struct decision decision;
        relief->next = (struct relief_place){.score = db_double(rows, row, SCORE),
                                             .id = db_int(rows, row, ID)};
        if (may_go(pass, relief->tiers, relief->tier, relief->rules_too, rows, row,
                   &list, &decision))
            err = give_away(db, relief, rows, row, &list, &decision, e);
    }
    relief->more = err == ERR_NONE && db_rows(rows) == RELIEF_BATCH;
    return err;
}

static void account(struct pass *pass, const struct relief *relief)
{
    pass->budget.moves -= relief->begun;
    pass->result->moves += relief->begun;
    pass->result->relieved[relief->tier] += (int64_t)relief->freed;
    memcpy(pass->tiers, relief->tiers, sizeof pass->tiers);
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
    uint64_t high = pass->tiers[tier].high;
    bool all = false;
    policy_relief_get(pass->policy, tier, &relief.place);
    enum err err = run(&relief, &all, e);
    // What rules keep here goes last, and only as far as it must, since it would come
    // back into any room below the mark.
    uint64_t left = less(fill->fill, need - relief.need);
    if (err == ERR_NONE && all && left > high) {
        relief.need = left - high;
        relief.rules_too = true;
        relief.place = from_coldest;
        err = run(&relief, &all, e);
    }
    bool done = relief.need == 0 || all;
    policy_relief_set(pass->policy, tier, done ? &from_coldest : &relief.place,
                      all && relief.need > 0 ? fill->fill : 0);
    pass->result->more = pass->result->more || (err == ERR_NONE && !done);
    return err;
}

// Above the high mark: down to the low one. Below it: what rules and pins miss.
static uint64_t needed(const struct decide_tier *tier, const struct fill *fill)
{
    if (fill->fill > tier->high)
        return fill->fill - tier->low;
    return less(fill->missing, tier->high - fill->fill);
}

enum err pass_watermarks(struct pass *pass, struct error *e)
{
    enum err err = ERR_NONE;
    for (int tier = 0; err == ERR_NONE && tier < TIER_COLD; tier++) {
        struct fill fill = {0};
        const struct decide_tier *now = &pass->tiers[tier];
        if (!now->is_online || !now->is_limited)
            continue;
        err = read_fill(pass, (enum tier)tier, &fill, e);
        uint64_t need = err == ERR_NONE ? needed(now, &fill) : 0;
        if (need > 0 &&
            !policy_relief_is_futile(pass->policy, (enum tier)tier, fill.fill))
            err = relieve(pass, (enum tier)tier, &fill, need, e);
    }
    return err;
}

// ---- what heat has to beat ------------------------------------------------------

static enum err find_coldest(struct db *db, struct pass *pass, enum tier tier,
                             struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    CLEANUP(blob_facts_clear) struct blob_facts_list list = {0};
    enum err err =
        read_coldest(db, pass, tier, &from_coldest, COLDEST_LOOKED_AT, &rows, &list, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++) {
        struct decision decision;
        if (may_go(pass, pass->tiers, tier, false, rows, row, &list, &decision)) {
            pass->tiers[tier].coldest = db_double(rows, row, SCORE);
            return ERR_NONE;
        }
    }
    return err;
}

enum err pass_coldest(struct pass *pass, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(pass->policy->options.db, &db, e);
    for (int tier = 0; err == ERR_NONE && tier < TIER_COLD; tier++) {
        const struct decide_tier *now = &pass->tiers[tier];
        if (now->is_online && now->is_limited)
            err = find_coldest(db, pass, (enum tier)tier, e);
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
        const struct decide_tier *now = &pass->tiers[tier];
        uint64_t room = now->is_limited ? less(now->high, now->used) : INT64_MAX;
        if (now->is_online && room > 0)
            err = db_exec(db, sql,
                          DB_PARAMS(DB_TEXT(tier_name((enum tier)tier)),
                                    DB_INT((int64_t)room), DB_INT(RELIEF_BATCH)),
                          NULL, e);
    }
    return err;
}
