// SPDX-License-Identifier: Apache-2.0
// Placements as rows: where the copies of a blob are.
#pragma once

#include "storage/blob.h"
#include "storage/state.h"

#define PLACEMENT_ENCODING_SIZE 32

struct placement {
    int64_t id;
    enum tier tier;
    bool damaged;
    uint64_t stored_size;
    char encoding[PLACEMENT_ENCODING_SIZE]; // "raw" or COLD_ENCODING
    void *seek_table;                       // owned; as cold_copy.h says, or NULL
    size_t seek_table_size;
};

// The ready placements of a blob that this node can reach by rule (its own and the cold
// ones), the hottest first and damaged ones last.
struct placement_list {
    uint64_t size; // of the blob
    int count;
    struct placement placements[TIER_COUNT];
};
void placement_list_clear(struct placement_list *list);
// ERR_BLOB_NOT_FOUND. An empty list is no error.
enum err placement_list_get(struct storage *storage, const struct digest *digest,
                            struct placement_list *list, struct error *e) MUST_CHECK;

// Whether its file or object is there and as large as it should be. ERR_UNAVAILABLE:
// its tier is offline or away.
enum err placement_look(struct storage *storage, const struct digest *digest,
                        const struct placement *placement, bool *seen,
                        struct error *e) MUST_CHECK;

// What the last transaction of an upload makes.
struct placement_birth {
    struct storage *storage;
    const char *upload_id;
    int64_t placement_id;
    enum tier tier;
    int64_t principal_id;
    const struct digest *digest;
    const struct chain *chain;
    int64_t lease_until_us;
    bool own;        // out: the upload's file is the blob's; otherwise it is removed
    bool replaced;   // out: a bad placement has given way
    enum tier asked; // out: where the client wants it
    bool moves;      // out: a move to the tier that was asked for has begun
};

// Transaction: blob, chain, placement, lease, upload done. Harmless when repeated.
enum err placement_birth_run(struct placement_birth *birth, struct error *e) MUST_CHECK;
