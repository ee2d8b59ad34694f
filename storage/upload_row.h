// SPDX-License-Identifier: Apache-2.0
// Uploads as rows, and finding the one that a request names.
#pragma once

#include "storage/state.h"
#include "storage/upload_table.h"

#define UPLOAD_ANY_PRINCIPAL ((int64_t)-1) // also finds what has expired

// Held (let go with upload_release) and loaded. ERR_UPLOAD_NOT_FOUND, or the failure
// that removed it.
enum err upload_find(struct storage *storage, const char *id, int64_t principal_id,
                     struct upload **upload, struct error *e) MUST_CHECK;

struct upload_row {
    char id[UPLOAD_ID_SIZE];
    int64_t placement_id;
    enum tier asked; // by the client
    enum tier tier;  // where it is written
    uint64_t size;
    uint64_t part_size;
    bool resumable;
    int64_t principal_id;
    const struct digest *digest; // or NULL
    const struct chain *chain;   // or NULL
    bool chain_with_parts;
    int64_t expires_us;
};
// Commits a new row; sets id, placement_id and expires_us.
enum err upload_row_insert(struct storage *storage, struct upload_row *row,
                           struct error *e) MUST_CHECK;
// The row says `completing` and names its digest and chain, committed.
enum err upload_row_close(struct storage *storage, const struct upload *upload,
                          struct error *e) MUST_CHECK;
// Numbers of the durable parts, ascending; owned by the caller.
enum err upload_row_parts(struct db *db, const char *id, int64_t **numbers,
                          size_t *count, struct error *e) MUST_CHECK;

// Removes the file, then the row. The upload is settled as gone whatever happens; what
// could not be removed is left to the sweep.
enum err upload_discard(struct storage *storage, struct upload *upload,
                        const struct error *why, struct error *e) MUST_CHECK;
enum err upload_row_delete(struct storage *storage, const char *id,
                           struct error *e) MUST_CHECK;
