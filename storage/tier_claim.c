// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "common/clock.h"
#include "common/db/tx.h"
#include "common/log.h"
#include "storage/state.h"
#include "storage/tier.h"

// What the database says of a tier.
struct claim {
    struct tier_identity expected;
    bool is_named;
};

static void put_name(const struct storage_tier *tier, struct tier_identity *identity)
{
    snprintf(identity->tier, sizeof identity->tier, "%s/%lld", tier_name(tier->tier),
             (long long)tier->node);
}

static enum err read_cluster(struct storage *storage, const struct storage_tier *tier,
                             struct claim *claim, struct error *e)
{
    static const char sql[] =
        "SELECT id::text, epoch,"
        " EXISTS (SELECT 1 FROM placements WHERE node_id = $1 AND tier = $2) OR"
        " EXISTS (SELECT 1 FROM uploads WHERE node_id = $3 AND tier = $2)"
        " FROM cluster";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql,
                       DB_PARAMS(DB_INT(tier->node), DB_TEXT(tier_name(tier->tier)),
                                 DB_INT(storage->options.node)),
                       &rows, e);
    if (err != ERR_NONE)
        return err;
    snprintf(claim->expected.cluster, sizeof claim->expected.cluster, "%s",
             db_text(rows, 0, 0));
    put_name(tier, &claim->expected);
    claim->expected.epoch = db_int(rows, 0, 1);
    claim->is_named = db_bool(rows, 0, 2);
    return ERR_NONE;
}

static enum err judge(struct storage_tier *tier, const struct claim *claim,
                      enum tier_claim *verdict, struct error *e)
{
    struct tier_store *store = tier->store;
    struct tier_identity found;
    bool is_there, is_empty = false;
    enum err err = store->ops->identity_read(store, &found, &is_there, e);
    if (err == ERR_CONFLICT) {
        error_clear(e);
        *verdict = TIER_CLAIM_FOREIGN;
        return ERR_NONE;
    }
    if (err == ERR_NONE && !is_there)
        err = store->ops->is_empty(store, &is_empty, e);
    if (err != ERR_NONE)
        return err;
    *verdict = tier_identity_judge(&claim->expected, is_there ? &found : NULL, is_empty,
                                   claim->is_named);
    return ERR_NONE;
}

static void go_offline(struct storage_tier *tier, const char *why)
{
    if (atomic_exchange(&tier->state, TIER_OFFLINE) == TIER_OFFLINE)
        return;
    atomic_fetch_add(&tier->absences, 1);
    log_error("a tier is offline, nothing on it is touched", "tier",
              tier_name(tier->tier), "why", why, "where", tier->where, NULL);
}

static void keep_unknown(struct storage_tier *tier)
{
    if (!atomic_exchange(&tier->keep_unknown, true))
        log_error("the tier is newer than the database, which seems restored from a "
                  "backup: nothing unknown on it is removed or moved",
                  "tier", tier_name(tier->tier), NULL);
}

static enum err take(struct storage_tier *tier, const struct claim *claim,
                     enum tier_claim verdict, struct error *e)
{
    struct tier_store *store = tier->store;
    enum err err = ERR_NONE;
    if (verdict == TIER_CLAIM_NEW)
        err = store->ops->identity_write(store, &claim->expected, e);
    if (err == ERR_NONE)
        err = store->ops->prepare(store, e);
    if (err != ERR_NONE)
        return err;
    atomic_store(&tier->keep_unknown, false);
    if (verdict == TIER_CLAIM_RESTORED)
        keep_unknown(tier);
    return ERR_NONE;
}

enum err tier_claim(struct storage *storage, struct storage_tier *tier, struct error *e)
{
    struct claim claim;
    enum tier_claim verdict;
    if (tier->store == NULL) {
        go_offline(tier, "its root cannot be opened");
        return ERR_NONE;
    }
    enum err err = read_cluster(storage, tier, &claim, e);
    if (err == ERR_NONE)
        err = judge(tier, &claim, &verdict, e);
    if (err == ERR_UNAVAILABLE && tier->file == NULL) {
        go_offline(tier, e != NULL ? e->detail : "away");
        error_clear(e);
        return ERR_NONE;
    }
    if (err != ERR_NONE)
        return err;
    if (verdict == TIER_CLAIM_MISSING)
        go_offline(tier, TIER_IDENTITY_FILE " is missing: is it mounted?");
    else if (verdict == TIER_CLAIM_FOREIGN)
        go_offline(tier, TIER_IDENTITY_FILE " names another cluster or tier");
    else
        err = take(tier, &claim, verdict, e);
    if (err == ERR_NONE && verdict != TIER_CLAIM_MISSING &&
        verdict != TIER_CLAIM_FOREIGN)
        atomic_store(&tier->state, TIER_CLAIMED);
    return err;
}

enum err tier_check(struct storage *storage, struct storage_tier *tier, struct error *e)
{
    struct claim claim;
    enum tier_claim verdict = TIER_CLAIM_OURS;
    enum err err = tier_require(tier, e);
    if (err == ERR_NONE)
        err = read_cluster(storage, tier, &claim, e);
    if (err == ERR_NONE)
        err = judge(tier, &claim, &verdict, e);
    if (err != ERR_NONE)
        return err;
    // Another node may have moved the epoch on between the two reads.
    if (verdict == TIER_CLAIM_RESTORED)
        err = read_cluster(storage, tier, &claim, e);
    if (err == ERR_NONE && verdict == TIER_CLAIM_RESTORED)
        err = judge(tier, &claim, &verdict, e);
    if (err != ERR_NONE)
        return err;
    if (verdict == TIER_CLAIM_RESTORED)
        keep_unknown(tier);
    else if (verdict == TIER_CLAIM_MISSING || verdict == TIER_CLAIM_NEW)
        go_offline(tier, TIER_IDENTITY_FILE " has gone");
    else if (verdict == TIER_CLAIM_FOREIGN)
        go_offline(tier, TIER_IDENTITY_FILE " names another cluster or tier by now");
    return tier_require(tier, e);
}

enum err tier_require(const struct storage_tier *tier, struct error *e)
{
    if (tier_is_online(tier))
        return ERR_NONE;
    return error_set(e, ERR_UNAVAILABLE, "the %s tier is offline",
                     tier_name(tier->tier));
}

static enum err advance(struct db *db, void *context, struct error *e)
{
    static const char sql[] =
        "UPDATE cluster SET epoch = epoch + 1 RETURNING id::text, epoch";
    struct tier_identity *identity = context;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    if (err != ERR_NONE)
        return err;
    snprintf(identity->cluster, sizeof identity->cluster, "%s", db_text(rows, 0, 0));
    identity->epoch = db_int(rows, 0, 1);
    return ERR_NONE;
}

// A full tier is no reason to stop: what fills it can only be removed while it runs.
// Its epoch stays behind until there is room, as does that of one that is away.
static void write_epoch(struct storage *storage, struct storage_tier *tier,
                        struct tier_identity *identity)
{
    struct error e = {0};
    put_name(tier, identity);
    enum err err = tier_check(storage, tier, &e);
    if (err == ERR_NONE && !atomic_load(&tier->keep_unknown))
        err = tier->store->ops->identity_write(tier->store, identity, &e);
    if (err != ERR_NONE)
        log_warn("the tier's epoch stays behind", "tier", tier_name(tier->tier),
                 "error", e.detail, NULL);
    error_clear(&e);
}

enum err tier_epoch_advance(struct storage *storage, struct error *e)
{
    // Committed first: a tier must never be ahead of the database that owns it.
    struct tier_identity identity = {0};
    enum err err = db_tx_run(storage->pool, advance, &identity, e);
    if (err != ERR_NONE)
        return err;
    for (int i = 0; i < TIER_COUNT; i++) {
        if (tier_is_online(&storage->tiers[i]))
            write_epoch(storage, &storage->tiers[i], &identity);
    }
    atomic_store(&storage->epoch_at_ms, clock_monotonic_ms());
    return ERR_NONE;
}
