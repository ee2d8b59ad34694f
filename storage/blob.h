// SPDX-License-Identifier: Apache-2.0
// Blobs as rows, leases on them, and reading their bytes.
#pragma once

#include "common/db/db.h"
#include "common/format/chain.h"
#include "storage/storage.h"
#include "storage/tier.h"

struct blob {
    struct digest digest;
    uint64_t size;
    struct digest chain_root;
};

// Locks (FOR KEY SHARE, in digest order: lock order "blob by digest") the rows of
// `blobs[i].digest`, which must be sorted and unique, and fills in size and chain_root
// of those that are here; found[i] says which. Inside the caller's transaction.
enum err blob_lock_all(struct db *db, struct blob *blobs, bool *found, size_t count,
                       struct error *e) MUST_CHECK;

// Writes or prolongs the caller's lease in the caller's transaction (invariant 6).
enum err lease_put(struct db *db, const struct digest *digest, int64_t principal_id,
                   int64_t until_us, struct error *e) MUST_CHECK;

// Whether the blob is here with a copy that can be read and is not damaged; if so,
// `blob` is filled in and the caller's lease is written.
enum err blob_take(struct storage *storage, const struct digest *digest,
                   int64_t principal_id, struct blob *blob, bool *found,
                   struct error *e) MUST_CHECK;

struct blob_source;

// An open copy of a blob. The descriptor holds its raw bytes from offset 0 and is the
// caller's own (a duplicate); use it with pread and sendfile only, since the file
// offset is shared. Where there is none (-1), the bytes come from `source`.
struct blob_file {
    int fd;
    struct blob_source *source; // owned; NULL: a descriptor
    uint64_t size;
    enum tier tier; // that it was opened on
};
void blob_file_clear(struct blob_file *file);

// From the descriptor cache, without the database when the placement is cached.
// ERR_BLOB_NOT_FOUND, ERR_UNAVAILABLE.
enum err blob_open(struct storage *storage, const struct digest *digest,
                   struct blob_file *file, struct error *e) MUST_CHECK;

// Reads `size` bytes at `offset`, all of which must be there. ERR_UNAVAILABLE.
enum err blob_file_read(const struct blob_file *file, uint64_t offset, void *bytes,
                        size_t size, struct error *e) MUST_CHECK;

// The blob's chain, cached for ever; *chain is a copy, the caller clears it.
enum err blob_chain(struct storage *storage, const struct digest *digest,
                    struct chain *chain, struct error *e) MUST_CHECK;
