// SPDX-License-Identifier: Apache-2.0
// A blob with raw copies in a store that counts, read through a cache of its own.
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "storage/cold_reader.h"
#include "tests/unit/counted_store.h"

#define CHUNK ((size_t)CHAIN_CHUNK_SIZE)
#define MIB ((size_t)1 << 20)

struct subject {
    struct counted_store *store;
    struct cold_reads *reads;
    unsigned char *bytes;
    size_t size;
    struct chain chain;
    struct tier_key key;
    struct cold_copy *copy;
};

// What is put has checksums of its pieces, and no chain; otherwise the chain alone.
int subject_use_pieces(void **state);
int subject_use_chain(void **state);

// Bytes that the size decides, and a copy of them; `memory` of the cache, which has 8
// threads.
void subject_begin(struct subject *s, size_t size, size_t memory);
void subject_end(struct subject *s);
struct cold_copy *subject_put(struct subject *s, int64_t id);
// With so many bytes of checksums.
enum err subject_open(struct subject *s, size_t table_size, struct cold_copy **copy);

struct cold_reads_counts subject_counts(struct subject *s);
// Until so many chunks have come: what was given in pieces may still be on its way.
void subject_await_fetched(struct subject *s, uint64_t chunks);
// Reads a range in pieces of `piece` bytes; whether all of it was right.
bool subject_read(struct subject *s, struct cold_reader *reader, size_t offset,
                  size_t size, size_t piece);
// The error of reading one byte.
enum err subject_try(struct cold_reader *reader, size_t offset);
