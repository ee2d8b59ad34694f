// SPDX-License-Identifier: Apache-2.0
// The encoding of blobs on the cold tier; docs/COLD-FORMAT.md has it byte by byte. A
// sequence of zstd frames in the seekable format: a skippable frame that describes the
// blob, one frame for each chunk (CHAIN_CHUNK_SIZE), a seek table. Elements of
// floating-point tensors are split into planes first. What is decoded is hostile.
//
// Errors: ERR_COLD_UNREADABLE (the bytes are not what the format says), and whatever a
// callback returned.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/error.h"
#include "common/format/chain.h"

#define COLD_ENCODING "zstd-planes-1" // the placement's `encoding`; "raw" is the other
#define COLD_SAVING_MINIMUM 5         // per cent, below which a blob is stored raw
// No chunk is stored in more bytes.
#define COLD_FRAME_MAXIMUM ((size_t)CHAIN_CHUNK_SIZE + ((size_t)32 << 10))

// All `size` bytes of the blob at `offset`; from several threads at once.
typedef enum err cold_read_fn(void *context, uint64_t offset, void *bytes, size_t size,
                              struct error *e);
// The next bytes of the encoded copy, in order, from one thread at a time.
typedef enum err cold_write_fn(void *context, const void *bytes, size_t size,
                               struct error *e);

struct cold_encode_request {
    const struct chain *chain; // of the blob: its size and digest too
    cold_read_fn *read;
    cold_write_fn *write;
    void *context;
    unsigned threads;          // 0 = 1; memory is a few chunks for each
    const atomic_bool *cancel; // or NULL; true: ERR_UNAVAILABLE soon
};
struct cold_encoded {
    uint64_t stored_size;
    void *seek_table; // owned, free() it: the last frame, as cold_layout_parse takes it
    size_t seek_table_size;
};
// An estimate from evenly spaced chunks (all of them in a small blob) of how many bytes
// the copy will have, without reading the rest. `write` is of no account.
enum err cold_estimate(const struct cold_encode_request *request, uint64_t *stored_size,
                       struct error *e) MUST_CHECK;
// No larger than this, whatever the bytes.
uint64_t cold_bound(uint64_t size);
// Bytes that do not lead to the chain are encoded all the same: decoding tells.
enum err cold_encode(const struct cold_encode_request *request,
                     struct cold_encoded *encoded, struct error *e) MUST_CHECK;

struct cold_frame {
    uint64_t offset;   // in the copy
    uint32_t stored;   // bytes there, at most COLD_FRAME_MAXIMUM
    uint32_t size;     // bytes of the blob's chunk
    uint32_t regions;  // of `stored`, the first so many bytes list regions
    uint32_t checksum; // of the frame behind them
};
// Where each chunk lies. Read-only once made: any thread. free() it.
struct cold_layout {
    uint64_t size, stored_size;
    size_t count;
    struct cold_frame frames[];
};
// From the seek table alone, as it stands in the placement's row: no request is spent
// on finding it. Every bound is checked against `size` and `stored_size`.
enum err cold_layout_parse(const void *seek_table, size_t seek_table_size,
                           uint64_t size, uint64_t stored_size,
                           struct cold_layout **layout, struct error *e) MUST_CHECK;
// Where the seek table is, from the last COLD_TAIL_SIZE bytes of a copy.
#define COLD_TAIL_SIZE 9
enum err cold_tail_parse(const uint8_t tail[COLD_TAIL_SIZE], uint64_t stored_size,
                         uint64_t *seek_table_offset, struct error *e) MUST_CHECK;

// Decodes frames; keeps what zstd needs between two calls. One thread at a time.
struct cold_decoder;
struct cold_decoder *cold_decoder_new(void);
void cold_decoder_free(struct cold_decoder *decoder);
// `stored` is the frame `index` of the copy, `bytes` has room for its `size`. The
// frame's checksum has been checked when it returns ERR_NONE.
enum err cold_frame_decode(struct cold_decoder *decoder,
                           const struct cold_layout *layout, size_t index,
                           const void *stored, void *bytes, struct error *e) MUST_CHECK;

// A whole copy without a database: digest, size and chain from its first frame, every
// chunk and the whole checked against them. `read` gives bytes of the copy; where they
// are wrong it is asked once more, as they may have been changed on the way.
struct cold_decode_request {
    uint64_t stored_size;
    cold_read_fn *read;
    cold_write_fn *write; // of the blob's bytes, each chunk once it is checked
    void *context;
    unsigned threads;
};
enum err cold_decode(const struct cold_decode_request *request, struct digest *digest,
                     uint64_t *size, struct error *e) MUST_CHECK;
