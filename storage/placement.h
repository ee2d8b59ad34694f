// SPDX-License-Identifier: Apache-2.0
// Placements as rows: where the copies of a blob are.
#pragma once

#include "storage/blob.h"
#include "storage/state.h"

struct placement {
    int64_t id;
    uint64_t size; // of the blob
};

// The ready raw placement of a blob on this node's hot tier. ERR_BLOB_NOT_FOUND,
// ERR_UNAVAILABLE; *lost then says that the blob is known but no copy can be read here.
enum err placement_get(struct storage *storage, const struct digest *digest,
                       struct placement *placement, bool *lost,
                       struct error *e) MUST_CHECK;

// What the last transaction of an upload makes.
struct placement_birth {
    struct storage *storage;
    const char *upload_id;
    int64_t placement_id;
    int64_t principal_id;
    const struct digest *digest;
    const struct chain *chain;
    int64_t lease_until_us;
    bool own;      // out: the upload's file is the blob's; otherwise it is removed
    bool replaced; // out: a placement whose file was lost has given way
};

// Transaction: blob, chain, placement, lease, upload done. Harmless when repeated.
enum err placement_birth_run(struct placement_birth *birth, struct error *e) MUST_CHECK;
