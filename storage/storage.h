// SPDX-License-Identifier: Apache-2.0
// The bytes of one node: its tier directories, the caches over them and what repairs
// them at start. Everything else in storage/ works on a struct storage. Any thread.
#pragma once

#include <stdint.h>

#include "common/db/db.h"
#include "common/error.h"

struct storage;

struct storage_options {
    const char *data_dir;      // hot tier: data_dir/hot
    int64_t node;              // this node's id
    uint64_t max_blob_size;    // bytes
    int64_t upload_expiry_s;   // an upload nobody finishes
    int64_t lease_s;           // how long "here" is kept for the caller
    unsigned descriptor_cache; // open files kept for reads
};

// Makes the directories, checks whose they are (invariant 7), opens no database
// connection yet.
enum err storage_open(const struct storage_options *options, struct db_pool *pool,
                      struct storage **storage, struct error *e) MUST_CHECK;
void storage_close(struct storage *storage);

// Start-up repair, before the first request: claims or checks strata-tier.json against
// the cluster row, finishes or undoes what a crash left between two steps, moves
// unknown files to quarantine/. Idempotent.
enum err storage_repair(struct storage *storage, struct error *e) MUST_CHECK;

// Removes uploads past their expiry and their files; called now and then.
enum err storage_sweep(struct storage *storage, struct error *e) MUST_CHECK;

// For /metrics: uploads that are not completed, and reads or repairs that met a ready
// placement without its file.
int64_t storage_uploads_open(struct storage *storage);
int64_t storage_files_missing(struct storage *storage);
