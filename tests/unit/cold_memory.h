// SPDX-License-Identifier: Apache-2.0
// Cold copies of blobs in memory, for the tests of the encoding.
#pragma once

#include <stdlib.h>
#include <string.h>

#include "common/format/cold.h"
#include "tests/unit/weights.h"

// What cold_encode and cold_decode are given: they read `from` and write to `to`.
struct memory {
    const uint8_t *from;
    size_t from_size;
    struct bytes to;
    size_t reads;      // bytes
    size_t fail_write; // that one fails, counted from 1; 0: none does
};

static inline enum err memory_read(void *context, uint64_t offset, void *bytes,
                                   size_t size, struct error *e)
{
    struct memory *memory = context;
    if (offset > memory->from_size || size > memory->from_size - offset)
        return error_set(e, ERR_INTERNAL, "read behind the end");
    if (size > 0)
        memcpy(bytes, memory->from + offset, size);
    __atomic_add_fetch(&memory->reads, size, __ATOMIC_RELAXED);
    return ERR_NONE;
}

static inline enum err memory_write(void *context, const void *bytes, size_t size,
                                    struct error *e)
{
    struct memory *memory = context;
    if (memory->fail_write > 0 && --memory->fail_write == 0)
        return error_set(e, ERR_INSUFFICIENT_STORAGE, "full");
    memory->to.data = alloc_grow(memory->to.data, memory->to.size + size + 1, 1);
    memcpy(memory->to.data + memory->to.size, bytes, size);
    memory->to.size += size;
    return ERR_NONE;
}

static inline void chain_of(const uint8_t *data, size_t size, struct chain *chain)
{
    struct chain_hasher *hasher = chain_hasher_new();
    chain_hasher_update(hasher, data, size);
    chain_hasher_finish(hasher, chain);
    chain_hasher_free(hasher);
}

// The copy of a blob; *encoded may be NULL.
static inline enum err memory_encode(const uint8_t *data, size_t size, unsigned threads,
                                     struct bytes *copy, struct cold_encoded *encoded,
                                     struct error *e)
{
    struct chain chain;
    struct cold_encoded own = {0};
    chain_of(data, size, &chain);
    struct memory memory = {.from = data, .from_size = size};
    const struct cold_encode_request request = {
        .chain = &chain,
        .read = memory_read,
        .write = memory_write,
        .context = &memory,
        .threads = threads,
    };
    enum err err = cold_encode(&request, &own, e);
    chain_clear(&chain);
    *copy = memory.to;
    if (encoded != NULL)
        *encoded = own;
    else
        free(own.seek_table);
    return err;
}

static inline enum err memory_decode(const uint8_t *data, size_t size, unsigned threads,
                                     struct bytes *blob, struct digest *digest,
                                     struct error *e)
{
    uint64_t blob_size = 0;
    struct memory memory = {.from = data, .from_size = size};
    const struct cold_decode_request request = {
        .stored_size = size,
        .read = memory_read,
        .write = memory_write,
        .context = &memory,
        .threads = threads,
    };
    enum err err = cold_decode(&request, digest, &blob_size, e);
    *blob = memory.to;
    if (err == ERR_NONE && blob_size != memory.to.size)
        abort();
    return err;
}
