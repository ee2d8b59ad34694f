// SPDX-License-Identifier: Apache-2.0
// One copy, of whatever tier, opened to be read chunk by chunk: what its encoding is,
// where each chunk lies and how a chunk is checked. It never changes and is counted, so
// that it can be cached and read by many. Any thread.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/format/chain.h"
#include "common/format/cold.h"
#include "storage/tier_store.h"

// A chunk, decoded or as it is stored, takes no more than this.
#define COLD_SLOT_SIZE ((size_t)CHAIN_CHUNK_SIZE + ((size_t)64 << 10))

struct cold_copy;

struct cold_copy_options {
    struct tier_store *store; // used by cold_copy_new and by its reader
    struct tier_key key;
    unsigned flags;       // TIER_READ_…
    const char *encoding; // "raw" or COLD_ENCODING
    uint64_t size;        // of the blob
    uint64_t stored_size; // of the copy
    // Of COLD_ENCODING its seek table. Of a raw copy the checksums of its pieces
    // (pieces.h), or NULL: older ones, and those in directories, have none.
    const void *seek_table;
    size_t seek_table_size;
    // A raw copy without checksums is checked against it; one with them has none.
    // Chunks of an encoded one are checked against both where it is given.
    const struct chain *chain;
};

// Opens the copy. Everything in the options is copied. ERR_BLOB_NOT_FOUND (it is not
// there), ERR_COLD_UNREADABLE, ERR_UNAVAILABLE, and those of the store.
enum err cold_copy_new(const struct cold_copy_options *options, struct cold_copy **copy,
                       struct error *e) MUST_CHECK;
struct cold_copy *cold_copy_hold(struct cold_copy *copy);
void cold_copy_release(struct cold_copy *copy); // NULL is allowed

int64_t cold_copy_id(const struct cold_copy *copy); // of the placement
uint64_t cold_copy_size(const struct cold_copy *copy);
bool cold_copy_is_encoded(const struct cold_copy *copy);
bool cold_copy_is_in_pieces(const struct cold_copy *copy);
size_t cold_copy_memory(const struct cold_copy *copy); // bytes that it takes, about

// Where chunk `index` lies in the copy.
struct cold_extent {
    uint64_t offset;
    size_t stored; // bytes there
    size_t size;   // bytes of the chunk
};
struct cold_extent cold_copy_extent(const struct cold_copy *copy, size_t index);
// Bytes of the copy, as they are stored.
enum err cold_copy_read(const struct cold_copy *copy, uint64_t offset, void *bytes,
                        size_t size, struct error *e) MUST_CHECK;
// Of a copy in pieces: those at `offset` of the blob, as pieces_check is given them.
// ERR_COLD_UNREADABLE.
enum err cold_copy_check_pieces(const struct cold_copy *copy, uint64_t offset,
                                const void *bytes, size_t size,
                                struct error *e) MUST_CHECK;
// Encoded: decodes `stored` into `bytes` and checks it. Raw: checks `bytes`, where the
// chunk has been read to. ERR_COLD_UNREADABLE.
enum err cold_copy_check(const struct cold_copy *copy, struct cold_decoder *decoder,
                         size_t index, const void *stored, void *bytes,
                         struct error *e) MUST_CHECK;
// Reads a chunk and checks it. `stored` has room for the extent's `stored` (encoded),
// `bytes` for the chunk. What fails its check may have been changed on the way: it is
// read once more before it counts as damage.
enum err cold_copy_get(const struct cold_copy *copy, struct cold_decoder *decoder,
                       size_t index, void *stored, void *bytes,
                       struct error *e) MUST_CHECK;
// For who reads once more by itself: logs the failed check and forgets it.
void cold_copy_suspect(const struct cold_copy *copy, size_t index, struct error *e);
