// SPDX-License-Identifier: Apache-2.0
#include "storage/chunk_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/direct.h"
#include "storage/cold_copy.h"

#define SCRATCH_KEPT 16

// What decoding a frame needs beside the chunk's own room.
struct scratch {
    void *stored;
    size_t room;
    struct cold_decoder *decoder;
};

struct chunk_reader {
    struct cold_copy *copy; // raw ones too: each chunk is held against the chain
    const struct chain *chain;
    uint64_t encoded_size; // 0: raw
    pthread_mutex_t lock;
    struct scratch *idle[SCRATCH_KEPT];
    int idle_count;
};

enum err chunk_reader_new(struct tier_store *store, const struct placement *placement,
                          const struct chain *chain, unsigned flags,
                          struct chunk_reader **reader, struct error *e)
{
    struct cold_copy_options options = {
        .store = store,
        .key = {.id = placement->id},
        .flags = flags,
        .encoding = placement->encoding,
        .size = chain->size,
        .stored_size = placement->stored_size,
        .seek_table = placement->seek_table,
        .seek_table_size = placement->seek_table_size,
        .chain = chain,
    };
    struct cold_copy *copy = NULL;
    if (strcmp(placement->encoding, "raw") == 0)
        options.seek_table = NULL; // its checksums are for those who have no chain
    chain_digest(chain, &options.key.digest);
    enum err err = cold_copy_new(&options, &copy, e);
    if (err != ERR_NONE)
        return err;
    struct chunk_reader *r = *reader = alloc_zero(sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->copy = copy;
    r->chain = chain;
    r->encoded_size = cold_copy_is_encoded(copy) ? placement->stored_size : 0;
    return ERR_NONE;
}

static void scratch_free(struct scratch *s)
{
    free(s->stored);
    cold_decoder_free(s->decoder);
    free(s);
}

void chunk_reader_free(struct chunk_reader *r)
{
    if (r == NULL)
        return;
    for (int i = 0; i < r->idle_count; i++)
        scratch_free(r->idle[i]);
    pthread_mutex_destroy(&r->lock);
    cold_copy_release(r->copy);
    free(r);
}

static struct scratch *scratch_take(struct chunk_reader *r, size_t size)
{
    struct scratch *s = NULL;
    pthread_mutex_lock(&r->lock);
    if (r->idle_count > 0)
        s = r->idle[--r->idle_count];
    pthread_mutex_unlock(&r->lock);
    if (s == NULL) {
        s = alloc_zero(sizeof *s);
        s->decoder = cold_decoder_new();
    }
    if (s->room < size) {
        free(s->stored);
        s->stored = direct_buffer(size);
        s->room = size;
    }
    return s;
}

static void scratch_give(struct chunk_reader *r, struct scratch *s)
{
    pthread_mutex_lock(&r->lock);
    bool kept = r->idle_count < SCRATCH_KEPT;
    if (kept)
        r->idle[r->idle_count++] = s;
    pthread_mutex_unlock(&r->lock);
    if (!kept)
        scratch_free(s);
}

static enum err decode(struct chunk_reader *r, size_t index, void *bytes,
                       struct error *e)
{
    const struct cold_extent extent = cold_copy_extent(r->copy, index);
    struct scratch *s = scratch_take(r, extent.stored);
    enum err err = cold_copy_get(r->copy, s->decoder, index, s->stored, bytes, e);
    scratch_give(r, s);
    return err;
}

enum err chunk_reader_get(struct chunk_reader *r, size_t index, void *bytes,
                          struct error *e)
{
    size_t size = chain_chunk_size(r->chain->size, index);
    if (size == 0) // of an empty blob, which has no frame either
        return ERR_NONE;
    if (r->encoded_size > 0)
        return decode(r, index, bytes, e);
    return cold_copy_get(r->copy, NULL, index, NULL, bytes, e);
}

enum err chunk_reader_read(struct chunk_reader *r, uint64_t offset, void *bytes,
                           size_t size, struct error *e)
{
    AUTO_FREE char *chunk = NULL;
    enum err err = ERR_NONE;
    for (size_t done = 0; done < size && err == ERR_NONE;) {
        size_t index = (size_t)((offset + done) / CHAIN_CHUNK_SIZE);
        size_t from = (size_t)((offset + done) % CHAIN_CHUNK_SIZE);
        size_t length = chain_chunk_size(r->chain->size, index);
        if (from == 0 && size - done >= length) {
            err = chunk_reader_get(r, index, (char *)bytes + done, e);
            done += length;
            continue;
        }
        if (chunk == NULL)
            chunk = direct_buffer(CHAIN_CHUNK_SIZE);
        err = chunk_reader_get(r, index, chunk, e);
        size_t n = size - done < length - from ? size - done : length - from;
        if (err == ERR_NONE)
            memcpy((char *)bytes + done, chunk + from, n);
        done += n;
    }
    return err;
}

enum err chunk_reader_read_stored(struct chunk_reader *r, uint64_t offset, void *bytes,
                                  size_t size, struct error *e)
{
    return cold_copy_read(r->copy, offset, bytes, size, e);
}

uint64_t chunk_reader_encoded_size(const struct chunk_reader *r)
{
    return r->encoded_size;
}

bool chunk_reader_is_damage(enum err err)
{
    return err == ERR_DIGEST_MISMATCH || err == ERR_COLD_UNREADABLE;
}
