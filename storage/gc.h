// SPDX-License-Identifier: Apache-2.0
// Garbage collection of bytes (invariant 6): blobs that no version file, no live lease
// and no encoding base names. The foreign keys are the lock and nothing is counted.
// What a run does not finish the next one does. Any thread.
#pragma once

#include <stdatomic.h>

#include "common/digest.h"
#include "storage/storage.h"

struct gc_result {
    int64_t candidates; // looked at
    int64_t blobs;      // deleted
    int64_t blob_bytes; // of the blobs
    int64_t copies;     // files and objects removed
    int64_t copy_bytes; // of them
    int64_t orphans;    // moved to quarantine: what no row names
    int64_t multiparts; // of the bucket, stale ones
};

// Deletes the blobs among the candidates that nothing names, and removes the files that
// may go. *cancel (may be NULL) ends it soon; everything done until then stays.
enum err gc_collect(struct storage *storage, const atomic_bool *cancel,
                    struct gc_result *result, struct error *e) MUST_CHECK;
// Takes the next blobs of the slow walk among the candidates; *ended: once around.
enum err gc_walk(struct storage *storage, int64_t blobs, bool *ended,
                 struct error *e) MUST_CHECK;
// Looks at every file and object of the tiers that are online: those that no row names
// and that are older than `age_s` go to quarantine (invariant 7); not on a tier that is
// newer than the database.
enum err gc_orphans(struct storage *storage, int64_t age_s, const atomic_bool *cancel,
                    struct gc_result *result, struct error *e) MUST_CHECK;

#define GC_LISTED 1000
// What gc_collect would delete now.
struct gc_preview {
    int64_t blobs, bytes;
    struct digest listed[GC_LISTED]; // in the order of their digests
    int listed_count;
};
enum err gc_preview(struct storage *storage, struct gc_preview *preview,
                    struct error *e) MUST_CHECK;
// What waits: candidates, and copies that are still to be removed.
struct gc_waiting {
    int64_t candidates, copies, copy_bytes;
};
enum err gc_waiting(struct storage *storage, struct gc_waiting *waiting,
                    struct error *e) MUST_CHECK;
