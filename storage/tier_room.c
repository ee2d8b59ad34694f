// SPDX-License-Identifier: Apache-2.0
#include "storage/tier_room.h"

#include <inttypes.h>

static uint64_t left_of(uint64_t all, int64_t taken)
{
    if (taken <= 0)
        return all;
    return (uint64_t)taken < all ? all - (uint64_t)taken : 0;
}

static enum err measure(struct storage_tier *tier,
                        const struct storage_options *options, bool reserve,
                        uint64_t counted, uint64_t *room, struct error *e)
{
    struct tier_space space;
    enum err err = tier->store->ops->space(tier->store, &space, e);
    if (err == ERR_NONE && space.is_read_only)
        err = error_set(e, ERR_UNAVAILABLE,
                        "the file system of the %s tier is read-only: mount it so that "
                        "it can be written",
                        tier_name(tier->tier));
    if (err != ERR_NONE)
        return err;
    int64_t reserved = reserve ? atomic_load(&tier->reserved) : 0;
    *room = space.is_limited ? left_of(space.available, reserved) : UINT64_MAX;
    uint64_t capacity = options->tiers[tier->tier].capacity;
    uint64_t left = left_of(capacity, atomic_load(&tier->used) - (int64_t)counted);
    if (capacity > 0 && left < *room)
        *room = left;
    return ERR_NONE;
}

enum err tier_room(struct storage_tier *tier, const struct storage_options *options,
                   bool reserve, uint64_t *room, struct error *e)
{
    return measure(tier, options, reserve, 0, room, e);
}

enum err tier_room_of_copy(struct storage_tier *tier,
                           const struct storage_options *options, uint64_t size,
                           uint64_t *room, struct error *e)
{
    return measure(tier, options, true, size, room, e);
}

struct choice {
    bool any_online;
    uint64_t most; // bytes, of the tiers that were looked at
};

// Uploads are written in any order, which only a directory takes. `reserve`: what other
// uploads have not written yet is theirs.
static enum err fits(struct storage *storage, enum tier which, uint64_t size,
                     bool reserve, struct choice *choice, bool *yes, struct error *e)
{
    struct storage_tier *tier = &storage->tiers[which];
    *yes = false;
    if (!tier_is_online(tier) || tier->file == NULL)
        return ERR_NONE;
    uint64_t room = 0;
    enum err err = tier_room(tier, &storage->options, reserve, &room, e);
    if (err == ERR_UNAVAILABLE) {
        error_clear(e); // as if it were offline
        return ERR_NONE;
    }
    choice->any_online = true;
    if (room > choice->most)
        choice->most = room;
    *yes = err == ERR_NONE && size <= room;
    return err;
}

enum err tier_room_choose(struct storage *storage, enum tier wanted, uint64_t size,
                          enum tier *tier, struct error *e)
{
    struct choice choice = {0};
    enum err err = ERR_NONE;
    bool yes = false;
    // The cold tier last, also where it is asked for: what is written there in any
    // order is not encoded. Who asks for it gets a move to it when the upload is
    // complete.
    static const enum tier order[][TIER_COUNT] = {
        [TIER_HOT] = {TIER_HOT, TIER_WARM, TIER_COLD},
        [TIER_WARM] = {TIER_WARM, TIER_HOT, TIER_COLD},
        [TIER_COLD] = {TIER_WARM, TIER_HOT, TIER_COLD},
    };
    for (int i = 0; i < 2 * TIER_COUNT && !yes && err == ERR_NONE; i++) {
        *tier = order[wanted][i % TIER_COUNT];
        err = fits(storage, *tier, size, i < TIER_COUNT, &choice, &yes, e);
    }
    if (err != ERR_NONE || yes)
        return err;
    if (!choice.any_online)
        return error_set(e, ERR_UNAVAILABLE,
                         "no tier that takes uploads is online and can be written");
    return error_set(e, ERR_INSUFFICIENT_STORAGE,
                     "%" PRIu64 " bytes do not fit: the most that is left on a tier is "
                     "%" PRIu64,
                     size, choice.most);
}

static enum err count(struct storage *storage, struct db *db, struct storage_tier *tier,
                      struct error *e)
{
    static const char sql[] =
        "SELECT (coalesce(sum(stored_size), 0)"
        " + (SELECT coalesce(sum(g.stored_size), 0) FROM garbage g"
        "    WHERE g.node_id = $1 AND g.tier = $2))::bigint,"
        " count(*) FILTER (WHERE state IN ('ready', 'dropping'))"
        " + (SELECT count(*) FROM garbage g WHERE g.node_id = $1 AND g.tier = $2),"
        " (SELECT coalesce(sum(size), 0)::bigint FROM uploads WHERE node_id = $3"
        "  AND tier = $2 AND state <> 'done')"
        " FROM placements WHERE node_id = $1 AND tier = $2";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, sql,
                 DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                           DB_INT(storage->options.node)),
                 &rows, e);
    if (err != ERR_NONE)
        return err;
    atomic_store(&tier->reserved, db_int(rows, 0, 2));
    atomic_store(&tier->used, db_int(rows, 0, 0) + db_int(rows, 0, 2));
    atomic_store(&tier->blobs, db_int(rows, 0, 1));
    return ERR_NONE;
}

enum err tier_room_count(struct storage *storage, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    for (int i = 0; i < TIER_COUNT && err == ERR_NONE; i++)
        err = count(storage, db, &storage->tiers[i], e);
    return err;
}
