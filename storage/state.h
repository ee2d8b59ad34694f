// SPDX-License-Identifier: Apache-2.0
// What a struct storage consists of, for the files of storage/ alone.
//
// Locks. The table's lock (upload_table.c), an upload's lock (struct upload), the
// follower's lock (follower.c) and the caches' own are never held together, and none is
// held across a statement, a read, a write or a sync. In PostgreSQL the order is: an
// upload's row, the blob by digest, its placement, its lease.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "common/cache.h"
#include "common/cleanup.h"
#include "storage/storage.h"
#include "storage/tier_file.h"

struct follower;
struct upload_table;

enum tier_state {
    TIER_UNCLAIMED, // storage_repair has not run
    TIER_ONLINE,
    TIER_OFFLINE, // missing or foreign: nothing on it is touched
};

struct storage {
    struct storage_options options;
    char *data_dir;
    struct db_pool *pool;
    struct tier_file *hot;
    _Atomic enum tier_state hot_state;
    // The tier has seen a later epoch than the database, which was restored from a
    // backup: what the database does not name may be a newer blob, so nothing is
    // removed or moved aside.
    atomic_bool keep_unknown;
    _Atomic int64_t epoch_at_ms; // when the epoch was last moved on
    atomic_uint_fast64_t missing_files; // ready placements found without their file
    _Atomic int64_t uploads_open; // counted anew by each sweep
    struct cache *descriptors; // digest -> struct placement_file
    struct cache *chains;      // digest -> struct chain
    struct upload_table *uploads;
    struct follower *follower;
};

// How the caches let their values go (blob.c).
void placement_file_free(void *value);
void chain_value_free(void *value);

// ERR_UNAVAILABLE unless the hot tier is online.
enum err storage_require_hot(struct storage *storage, struct error *e) MUST_CHECK;
// Moves the cluster's epoch on and writes it to the tier, so that a database restored
// from an earlier backup is seen to be behind (tier_claim.c).
enum err tier_epoch_advance(struct storage *storage, struct error *e) MUST_CHECK;
// Claims or checks the hot tier, sets hot_state (tier_claim.c).
enum err tier_claim_hot(struct storage *storage, struct error *e) MUST_CHECK;
