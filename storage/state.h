// SPDX-License-Identifier: Apache-2.0
// What a struct storage consists of, for the files of storage/ alone.
//
// Locks. The table's lock (upload_table.c), an upload's lock (struct upload), the
// follower's lock (follower.c), the movers' lock (mover.c) and the caches' own are
// never held together, and none is held across a statement, a read, a write or a sync.
// In PostgreSQL the order is: an upload's or a move's row, the blob by digest, its
// placement, its lease.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "common/cache.h"
#include "common/cleanup.h"
#include "storage/storage.h"
#include "storage/tier_file.h"
#include "storage/tier_store.h"

struct cold_reads;
struct follower;
struct movers;
struct upload_table;

enum tier_state {
    TIER_UNCLAIMED, // not looked at yet
    TIER_CLAIMED,   // ours, and about to be repaired
    TIER_ONLINE,
    TIER_OFFLINE, // missing, foreign or away: nothing on it is touched
};

struct storage_tier {
    enum tier tier;
    int64_t node; // of its placements: 0 on the cold tier, which nodes share
    struct tier_store *store; // NULL: its root could not be opened
    struct tier_file *file;   // the same as a directory; NULL: a bucket
    char *where;              // for the log
    _Atomic enum tier_state state;
    atomic_bool was_online; // since the start
    atomic_uint absences;   // how often it went offline since then
    // The tier has seen a later epoch than the database, which was restored from a
    // backup: what the database does not name may be a newer blob, so nothing is
    // removed or moved aside.
    atomic_bool keep_unknown;
    int64_t reaped; // placement_reap's own: the number of the copy that it tried last
    // Bytes of the copies and uploads that its rows name; about, between two counts.
    _Atomic int64_t used;
    _Atomic int64_t blobs;
    _Atomic int64_t reserved; // of `used`: unfinished uploads, which may be written yet
};

struct storage {
    struct storage_options options;
    char *data_dir;
    struct db_pool *pool;
    struct storage_tier tiers[TIER_COUNT];
    _Atomic int64_t epoch_at_ms;        // when the epoch was last moved on
    atomic_uint_fast64_t missing_files; // ready placements found without their file
    atomic_uint_fast64_t copies_healed, copies_damaged;
    _Atomic int64_t uploads_open; // counted anew by each sweep
    struct cold_reads *cold_reads;
    struct cache *descriptors; // digest -> struct blob_copy
    struct cache *chains;      // digest -> struct chain
    struct upload_table *uploads;
    struct follower *follower;
    struct movers *movers; // NULL until storage_start
};

// How the caches let their values go (blob_open.c, blob.c).
void blob_copy_free(void *value);
void chain_value_free(void *value);

static inline bool tier_is_online(const struct storage_tier *tier)
{
    return atomic_load(&tier->state) == TIER_ONLINE;
}
// ERR_UNAVAILABLE unless it is online.
enum err tier_require(const struct storage_tier *tier, struct error *e) MUST_CHECK;
// Moves the cluster's epoch on and writes it to the tiers that are online, so that a
// database restored from an earlier backup is seen to be behind (tier_claim.c).
enum err tier_epoch_advance(struct storage *storage, struct error *e) MUST_CHECK;
// Looks whose it is and sets its state, CLAIMED or OFFLINE; claims it when it is new
// and nobody's (tier_claim.c).
enum err tier_claim(struct storage *storage, struct storage_tier *tier,
                    struct error *e) MUST_CHECK;
// Whether a tier that is online still is ours: a bucket that was emptied or given to
// somebody else is not one that lost its copies. When it is not: ERR_UNAVAILABLE, and
// it is offline from then on (tier_claim.c).
enum err tier_check(struct storage *storage, struct storage_tier *tier,
                    struct error *e) MUST_CHECK;
// Opens the root of an offline tier again (storage.c). A directory that was online
// stays offline until the next start: its files are still open.
enum err tier_reopen(struct storage_tier *tier, struct error *e) MUST_CHECK;
// Claims and repairs it (repair.c). Also while others run, for a tier that was offline.
enum err storage_bring_online(struct storage *storage, struct storage_tier *tier,
                              struct error *e) MUST_CHECK;
