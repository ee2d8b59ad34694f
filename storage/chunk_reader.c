// SPDX-License-Identifier: Apache-2.0
#include "storage/chunk_reader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/direct.h"
#include "common/format/cold.h"

#define SCRATCH_KEPT 16

// What decoding a frame needs beside the chunk's own room.
struct scratch {
    void *stored;
    size_t room;
    struct cold_decoder *decoder;
};

struct chunk_reader {
    struct tier_reader *copy;
    const struct chain *chain;
    struct cold_layout *layout; // NULL: raw
    pthread_mutex_t lock;
    struct scratch *idle[SCRATCH_KEPT];
    int idle_count;
};

enum err chunk_reader_new(struct tier_store *store, const struct placement *placement,
                          const struct chain *chain, unsigned flags,
                          struct chunk_reader **reader, struct error *e)
{
    struct digest digest;
    chain_digest(chain, &digest);
    const struct tier_key key = {.digest = digest, .id = placement->id};
    struct chunk_reader *r = alloc_zero(sizeof *r);
    pthread_mutex_init(&r->lock, NULL);
    r->chain = chain;
    enum err err = ERR_NONE;
    if (strcmp(placement->encoding, COLD_ENCODING) == 0)
        err = cold_layout_parse(placement->seek_table, placement->seek_table_size,
                                chain->size, placement->stored_size, &r->layout, e);
    else if (strcmp(placement->encoding, "raw") != 0)
        err = error_set(e, ERR_COLD_UNREADABLE, "the encoding %s is not known",
                        placement->encoding);
    if (err == ERR_NONE)
        err = store->ops->reader_new(store, &key, flags, &r->copy, e);
    if (err == ERR_NONE)
        *reader = r;
    else
        chunk_reader_free(r);
    return err;
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
    tier_reader_free_at(&r->copy);
    free(r->layout);
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
    const struct cold_frame *frame = &r->layout->frames[index];
    struct scratch *s = scratch_take(r, frame->stored);
    enum err err =
        r->copy->ops->read(r->copy, frame->offset, s->stored, frame->stored, e);
    if (err == ERR_NONE)
        err = cold_frame_decode(s->decoder, r->layout, index, s->stored, bytes, e);
    scratch_give(r, s);
    return err;
}

enum err chunk_reader_get(struct chunk_reader *r, size_t index, void *bytes,
                          struct error *e)
{
    size_t size = chain_chunk_size(r->chain->size, index);
    enum err err = ERR_NONE;
    if (r->layout != NULL && r->layout->count > 0)
        err = decode(r, index, bytes, e);
    else if (size > 0)
        err = r->copy->ops->read(r->copy, (uint64_t)index * CHAIN_CHUNK_SIZE, bytes,
                                 size, e);
    if (err == ERR_NONE && !chain_check_chunk(r->chain, index, bytes, size))
        err = error_set(e, ERR_DIGEST_MISMATCH, "chunk %zu holds other bytes", index);
    return err;
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
    return r->copy->ops->read(r->copy, offset, bytes, size, e);
}

uint64_t chunk_reader_encoded_size(const struct chunk_reader *r)
{
    return r->layout != NULL ? r->layout->stored_size : 0;
}

bool chunk_reader_is_damage(enum err err)
{
    return err == ERR_DIGEST_MISMATCH || err == ERR_COLD_UNREADABLE;
}
