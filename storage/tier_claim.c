// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "common/clock.h"
#include "common/db/tx.h"
#include "common/log.h"
#include "storage/state.h"
#include "storage/tier_identity.h"

// What the database says of this node's hot tier.
struct claim {
    int64_t node;
    struct tier_identity expected;
    bool is_named;
};

static enum err read_cluster(struct storage *storage, struct claim *claim,
                             struct error *e)
{
    static const char sql[] =
        "SELECT id::text, epoch,"
        " EXISTS (SELECT 1 FROM placements WHERE node_id = $1 AND tier = 'hot') OR"
        " EXISTS (SELECT 1 FROM uploads WHERE node_id = $1 AND tier = 'hot')"
        " FROM cluster";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_INT(claim->node)), &rows, e);
    if (err != ERR_NONE)
        return err;
    snprintf(claim->expected.cluster, sizeof claim->expected.cluster, "%s",
             db_text(rows, 0, 0));
    snprintf(claim->expected.tier, sizeof claim->expected.tier, "hot/%lld",
             (long long)claim->node);
    claim->expected.epoch = db_int(rows, 0, 1);
    claim->is_named = db_bool(rows, 0, 2);
    return ERR_NONE;
}

static enum err judge(struct storage *storage, const struct claim *claim,
                      enum tier_claim *verdict, struct error *e)
{
    int root = tier_file_root(storage->hot);
    struct tier_identity found;
    bool is_there, is_empty;
    enum err err = tier_identity_read(root, &found, &is_there, e);
    if (err == ERR_CONFLICT) {
        *verdict = TIER_CLAIM_FOREIGN;
        return ERR_NONE;
    }
    if (err == ERR_NONE)
        err = tier_file_is_empty(storage->hot, &is_empty, e);
    if (err != ERR_NONE)
        return err;
    *verdict = tier_identity_judge(&claim->expected, is_there ? &found : NULL, is_empty,
                                   claim->is_named);
    return ERR_NONE;
}

static enum err go_offline(struct storage *storage, const char *why)
{
    log_error("the hot tier is offline, nothing on it is touched", "why", why, "data",
              storage->data_dir, NULL);
    atomic_store(&storage->hot_state, TIER_OFFLINE);
    return ERR_NONE;
}

// A full tier is started on all the same, since what fills it can only then be removed.
// Until the epoch can be written, a database restored from a backup looks newer.
static enum err start_epoch(struct storage *storage, struct error *e)
{
    enum err err = tier_epoch_advance(storage, e);
    if (err != ERR_INSUFFICIENT_STORAGE)
        return err;
    log_warn("the tier's epoch stays behind until there is room", "error", e->detail,
             NULL);
    error_clear(e);
    return ERR_NONE;
}

enum err tier_claim_hot(struct storage *storage, struct error *e)
{
    struct claim claim = {.node = storage->options.node};
    enum tier_claim verdict;
    enum err err = read_cluster(storage, &claim, e);
    if (err == ERR_NONE)
        err = judge(storage, &claim, &verdict, e);
    if (err != ERR_NONE)
        return err;
    if (verdict == TIER_CLAIM_MISSING)
        return go_offline(storage, TIER_IDENTITY_FILE " is missing: is it mounted?");
    if (verdict == TIER_CLAIM_FOREIGN)
        return go_offline(storage, TIER_IDENTITY_FILE " names another cluster or tier");
    if (verdict == TIER_CLAIM_NEW)
        err = tier_identity_write(tier_file_root(storage->hot), &claim.expected, e);
    if (err == ERR_NONE)
        err = tier_file_prepare(storage->hot, e);
    if (err != ERR_NONE)
        return err;
    atomic_store(&storage->keep_unknown, verdict == TIER_CLAIM_RESTORED);
    if (verdict == TIER_CLAIM_RESTORED)
        log_error("the tier is newer than the database, which seems restored from a "
                  "backup: nothing unknown on it is removed or moved",
                  NULL);
    else
        err = start_epoch(storage, e);
    if (err == ERR_NONE)
        atomic_store(&storage->hot_state, TIER_ONLINE);
    return err;
}

static enum err advance(struct db *db, void *context, struct error *e)
{
    static const char sql[] =
        "UPDATE cluster SET epoch = epoch + 1 RETURNING id::text, epoch";
    struct claim *claim = context;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    if (err != ERR_NONE)
        return err;
    snprintf(claim->expected.cluster, sizeof claim->expected.cluster, "%s",
             db_text(rows, 0, 0));
    snprintf(claim->expected.tier, sizeof claim->expected.tier, "hot/%lld",
             (long long)claim->node);
    claim->expected.epoch = db_int(rows, 0, 1);
    return ERR_NONE;
}

enum err tier_epoch_advance(struct storage *storage, struct error *e)
{
    // Committed first: the tier must never be ahead of the database that owns it.
    struct claim claim = {.node = storage->options.node};
    enum err err = db_tx_run(storage->pool, advance, &claim, e);
    if (err == ERR_NONE)
        err = tier_identity_write(tier_file_root(storage->hot), &claim.expected, e);
    if (err == ERR_NONE)
        atomic_store(&storage->epoch_at_ms, clock_monotonic_ms());
    return err;
}
