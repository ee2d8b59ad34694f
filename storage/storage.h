// SPDX-License-Identifier: Apache-2.0
// The bytes of one node: its tiers, the caches over them, what moves blobs between them
// and what repairs them at start. Everything else in storage/ works on a struct
// storage. Any thread.
#pragma once

#include <stdint.h>

#include "common/db/db.h"
#include "common/error.h"
#include "storage/tier.h"

struct storage;
struct tier_s3_options;
struct metrics;

struct storage_tier_options {
    const char *dir;    // a directory; NULL: data_dir/<name of the tier>
    uint64_t capacity;  // bytes, 0 = what it holds
    unsigned high_mark; // per cent of the capacity
    unsigned low_mark;
};

struct storage_options {
    const char *data_dir;
    struct storage_tier_options tiers[TIER_COUNT];
    struct tier_s3_options *bucket; // of the cold tier; NULL: it is a directory
    int64_t node;                   // this node's id
    uint64_t max_blob_size;         // bytes
    int64_t upload_expiry_s;        // an upload nobody finishes
    int64_t lease_s;                // how long "here" is kept for the caller
    unsigned descriptor_cache;      // open files kept for reads
    uint64_t cold_cache;            // bytes of chunks of the cold tier
    unsigned movers;                // moves at once
    uint64_t move_bandwidth;        // bytes a second of all moves, 0 = no limit
    int64_t move_hold_s;            // how long an explicit move holds
    int64_t protect_after_s;        // until every referenced blob is in the bucket
    int64_t cold_delete_after_s;
};

// Opens the tiers, no database connection yet. A root of the warm or the cold tier that
// cannot be opened leaves that tier offline.
enum err storage_open(const struct storage_options *options, struct db_pool *pool,
                      struct storage **storage, struct error *e) MUST_CHECK;
void storage_close(struct storage *storage);

// Start-up repair, before the first request: claims or checks strata-tier.json of each
// tier against the cluster row, finishes or undoes what a crash left between two steps,
// moves unknown files to quarantine/. Idempotent.
enum err storage_repair(struct storage *storage, struct error *e) MUST_CHECK;
// Starts the movers, after the repair.
enum err storage_start(struct storage *storage, struct error *e) MUST_CHECK;
// Ends the movers; what runs goes on after the next start. NULL is allowed.
void storage_stop(struct storage *storage);
// Whom moves make way for; before it is known, they go as fast as they can.
struct throttle_users; // storage/throttle.h
void storage_watch_users(struct storage *storage, const struct throttle_users *users);
// Work for a background thread: removes copies that were dropped, begins copies to the
// bucket (`protect_after`), ends holds.
enum err storage_tend(struct storage *storage, struct error *e) MUST_CHECK;

// Removes uploads past their expiry and their files, forgets old moves, looks at tiers
// that are offline, counts what lies where; called now and then.
enum err storage_sweep(struct storage *storage, struct error *e) MUST_CHECK;

// Before the first request: what a bucket counts goes to /metrics.
void storage_add_metrics(struct storage *storage, struct metrics *metrics);
// For /metrics: uploads that are not completed, and reads or repairs that met a ready
// placement without its file.
int64_t storage_uploads_open(struct storage *storage);
int64_t storage_files_missing(struct storage *storage);
// By moves, to copy and to verify.
int64_t storage_moves_read_bytes(struct storage *storage);
struct cold_reads_counts; // storage/cold_cache.h
void storage_count_cold_reads(struct storage *storage,
                              struct cold_reads_counts *counts);
