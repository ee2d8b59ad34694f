// SPDX-License-Identifier: Apache-2.0
// Chunks of a blob from one of its copies, whatever the tier and the encoding, checked
// against the chain unless it says otherwise. What moves, verifies and scrubs copies
// reads through it.
#pragma once

#include "common/format/chain.h"
#include "storage/placement.h"
#include "storage/throttle.h"

struct chunk_reader; // any thread

// `placement` and `chain` must outlive the reader. `flags`: TIER_READ_….
// ERR_BLOB_NOT_FOUND (its file is missing), ERR_COLD_UNREADABLE, and those of the
// store.
enum err chunk_reader_new(struct tier_store *store, const struct placement *placement,
                          const struct chain *chain, unsigned flags,
                          struct chunk_reader **reader, struct error *e) MUST_CHECK;
void chunk_reader_free(struct chunk_reader *reader);
static inline void chunk_reader_free_at(struct chunk_reader **reader)
{
    chunk_reader_free(*reader);
}

// The whole chunk, into `bytes` (page-aligned, with room for CHAIN_CHUNK_SIZE).
enum err chunk_reader_get(struct chunk_reader *reader, size_t index, void *bytes,
                          struct error *e) MUST_CHECK;
// Bytes of the copy as they are stored, and how many there are; 0: it is raw.
enum err chunk_reader_read_stored(struct chunk_reader *reader, uint64_t offset,
                                  void *bytes, size_t size, struct error *e) MUST_CHECK;
uint64_t chunk_reader_encoded_size(const struct chunk_reader *reader);
// Any range of the blob.
enum err chunk_reader_read(struct chunk_reader *reader, uint64_t offset, void *bytes,
                           size_t size, struct error *e) MUST_CHECK;
// True when an error of the two says that the copy's bytes are not what they should be.
bool chunk_reader_is_damage(enum err err);

// All chunks in order to `sink` (NULL: they are only checked), read by several threads
// ahead. *done counts bytes of the blob; it and `cancel` may be NULL.
typedef enum err chunk_sink_fn(void *context, const void *bytes, size_t size,
                               struct error *e);
struct chunk_scan {
    struct chunk_reader *reader;
    const struct chain *chain;
    bool unchecked; // a raw copy's chunks are handed on as they are
    unsigned threads;
    chunk_sink_fn *sink;
    void *context;
    struct throttle *throttle;
    const atomic_bool *cancel;
    atomic_uint_fast64_t *done;
};
// The whole copy, with what an encoded one holds beside the chunks; of that `sink` gets
// nothing.
enum err chunk_scan_verify(const struct chunk_scan *scan, struct error *e) MUST_CHECK;
// ERR_UNAVAILABLE when it was cancelled.
enum err chunk_scan_run(const struct chunk_scan *scan, struct error *e) MUST_CHECK;
