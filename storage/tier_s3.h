// SPDX-License-Identifier: Apache-2.0
// The tier store of a bucket (storage/tier_store.h):
//
//     <prefix>strata-tier.json           whose it is
//     <prefix>sha256/<ab>/<hex>.<id>     a copy
//     <prefix>quarantine/<time>-<n>/…    what nothing names
//
// Nothing else in the bucket is touched, and `each` and `sweep` look below
// <prefix>sha256/ alone. A reader is opened without a request: that the copy is missing
// is told by the first read. A writer of more than one part sends several at once; it
// holds one part in memory when that is all, otherwise two to four, 64 MiB together
// unless two parts are more (tier_s3_part_size). A copy that was given up while the
// bucket was away may leave an unfinished multipart upload, which `remove` and `sweep`
// take away.
#pragma once

#include "common/metrics.h"
#include "storage/s3_client.h"
#include "storage/tier_store.h"

struct tier_s3_options {
    struct s3_client_options client;
    const char *prefix;    // "" or what keys begin with
    uint64_t part_minimum; // bytes; 0 = 8 MiB
    uint64_t copy_piece;   // larger ones are copied in pieces of so much; 0 = 1 GiB
};

// ERR_BAD_REQUEST: an option is not usable. Sends nothing.
enum err tier_s3_new(const struct tier_s3_options *options, struct tier_store **store,
                     struct error *e) MUST_CHECK;
// What is below the store; it lives as long. Assert: the store is a bucket.
struct s3_client *tier_s3_client(struct tier_store *store);
// The metrics strata_s3_… are read from it. The store outlives them.
void tier_s3_add_metrics(struct tier_store *store, struct metrics *metrics);

// Of a copy of at most `bound` bytes: the smallest whole MiB, not below `minimum`, that
// needs no more parts than S3 takes.
uint64_t tier_s3_part_size(uint64_t bound, uint64_t minimum);
