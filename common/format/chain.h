// SPDX-License-Identifier: Apache-2.0
// The chain of a blob: the SHA-256 chaining values at its 4 MiB borders, the digest
// last (DESIGN section 2). One pass gives name and chain; with the chain any chunk can
// be checked alone, in any order, on any thread. FIPS 180-4 is the source of the
// chaining value; OpenSSL's SHA256_CTX exposes it and chain.c alone touches it.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/error.h"

#define CHAIN_CHUNK_SIZE ((uint64_t)4 << 20) // bytes
#define CHAIN_STATE_SIZE 32                  // bytes, eight big-endian words

// `count` values of CHAIN_STATE_SIZE bytes, owned; the last is the blob's digest.
struct chain {
    uint64_t size; // bytes of the blob
    size_t count;  // chain_count(size)
    uint8_t (*states)[CHAIN_STATE_SIZE];
};

// Chunks of a blob of `size` bytes; an empty blob has one, of no bytes.
size_t chain_count(uint64_t size);
// Bytes of chunk `index`.
size_t chain_chunk_size(uint64_t size, size_t index);

void chain_clear(struct chain *chain);
void chain_digest(const struct chain *chain, struct digest *digest);
// SHA-256 of all values as raw bytes one after the other: the manifest's chain_root.
void chain_root(const struct chain *chain, struct digest *root);
// True when the chain's last value is `digest` and its root is `root`.
bool chain_is_bound(const struct chain *chain, const struct digest *digest,
                    const struct digest *root);

// Raw values as stored in PostgreSQL. `raw_size` must be count * CHAIN_STATE_SIZE.
enum err chain_from_raw(uint64_t size, const void *raw, size_t raw_size,
                        struct chain *chain, struct error *e) MUST_CHECK;
// {"states":[…]} or {"chunk_size","size","states":[…]}; errors are ERR_INVALID_FIELD
// and name `field`.states[i].
enum err chain_from_json(const json_t *json, uint64_t size, const char *field,
                         struct chain *chain, struct error *e) MUST_CHECK;
json_t *chain_to_json(const struct chain *chain); // {"chunk_size","size","states"}

// Hashes a blob from its first byte on and gathers the chain. One thread at a time.
struct chain_hasher;
struct chain_hasher *chain_hasher_new(void);
void chain_hasher_free(struct chain_hasher *hasher);
void chain_hasher_update(struct chain_hasher *hasher, const void *bytes, size_t size);
uint64_t chain_hasher_size(const struct chain_hasher *hasher); // bytes so far
// The values at the borders behind which a byte was hashed already, one after the
// other, and how many; good until the next call with the hasher.
const uint8_t *chain_hasher_states(const struct chain_hasher *hasher, size_t *count);
// Ends the hash; *chain is the caller's to clear. The hasher may only be freed then.
void chain_hasher_finish(struct chain_hasher *hasher, struct chain *chain);

// Checks consecutive chunks, from chunk `first` on, of bytes that come in pieces of any
// size. The chain must outlive the checker. One thread at a time.
struct chain_checker;
struct chain_checker *chain_checker_new(const struct chain *chain, size_t first);
// The same with the values of some chunks alone: states[0] is the one before chunk
// `first` (of no account when that is 0), states[1] its own, and so on to the last
// chunk that is checked; they must outlive the checker.
struct chain_checker *chain_checker_new_at(uint64_t size, size_t first, size_t count,
                                           const uint8_t (*states)[CHAIN_STATE_SIZE]);
void chain_checker_free(struct chain_checker *checker);
// False at the first chunk whose bytes do not lead to its value, and ever after; also
// when more bytes come than the blob has.
bool chain_checker_update(struct chain_checker *checker, const void *bytes,
                          size_t size);
// Chunks fully checked since the start.
size_t chain_checker_done(const struct chain_checker *checker);

// One whole chunk at once. Any thread.
bool chain_check_chunk(const struct chain *chain, size_t index, const void *bytes,
                       size_t size);
