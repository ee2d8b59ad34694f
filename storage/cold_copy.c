// SPDX-License-Identifier: Apache-2.0
#include "storage/cold_copy.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/pieces.h"
#include "common/log.h"

_Static_assert(CHAIN_CHUNK_SIZE % PIECE_SIZE == 0, "no piece is in two chunks");

struct cold_copy {
    atomic_uint holders;
    int64_t id;
    uint64_t size;
    struct tier_reader *reader;
    struct cold_layout *layout; // NULL: raw
    void *pieces;               // of a raw copy; NULL: the chain is its check
    struct chain chain;         // no states: checksums are the check
};

static enum err damaged(const struct cold_copy *copy, size_t index, const char *what,
                        struct error *e)
{
    return error_set(e, ERR_COLD_UNREADABLE, "chunk %zu of placement %" PRId64 " %s",
                     index, copy->id, what);
}

// What is stored has to fit a slot and to be the chunk that it is taken for.
static enum err check_layout(const struct cold_copy *copy, struct error *e)
{
    const struct cold_layout *layout = copy->layout;
    for (size_t i = 0; i < layout->count; i++) {
        if (layout->frames[i].stored > COLD_SLOT_SIZE ||
            layout->frames[i].size != chain_chunk_size(copy->size, i))
            return damaged(copy, i, "has a frame of another size", e);
    }
    if (copy->size > 0 && layout->count != chain_count(copy->size))
        return error_set(e, ERR_COLD_UNREADABLE, "placement %" PRId64 " has %zu frames",
                         copy->id, layout->count);
    return ERR_NONE;
}

static enum err take_pieces(struct cold_copy *copy,
                            const struct cold_copy_options *options, struct error *e)
{
    size_t size = options->seek_table_size;
    assert((options->seek_table == NULL) == (options->chain != NULL));
    if (options->seek_table == NULL)
        return ERR_NONE;
    if (size != pieces_table_size(copy->size))
        return error_set(e, ERR_COLD_UNREADABLE,
                         "placement %" PRId64 " has %zu bytes of checksums", copy->id,
                         size);
    copy->pieces = alloc_array(size, 1);
    memcpy(copy->pieces, options->seek_table, size);
    return ERR_NONE;
}

static enum err take_encoding(struct cold_copy *copy,
                              const struct cold_copy_options *options, struct error *e)
{
    if (strcmp(options->encoding, COLD_ENCODING) == 0) {
        enum err err =
            cold_layout_parse(options->seek_table, options->seek_table_size,
                              options->size, options->stored_size, &copy->layout, e);
        return err != ERR_NONE ? err : check_layout(copy, e);
    }
    if (strcmp(options->encoding, "raw") != 0)
        return error_set(e, ERR_UNAVAILABLE, // of a newer stratad: no damage
                         "the encoding %s is not known", options->encoding);
    if (options->stored_size != options->size)
        return error_set(e, ERR_COLD_UNREADABLE,
                         "placement %" PRId64 " is raw and of another size", copy->id);
    return take_pieces(copy, options, e);
}

static void take_chain(struct cold_copy *copy, const struct chain *chain)
{
    if (chain == NULL)
        return;
    assert(chain->size == copy->size);
    copy->chain = *chain;
    copy->chain.states = alloc_array(chain->count, CHAIN_STATE_SIZE);
    memcpy(copy->chain.states, chain->states, chain->count * CHAIN_STATE_SIZE);
}

enum err cold_copy_new(const struct cold_copy_options *options, struct cold_copy **copy,
                       struct error *e)
{
    struct cold_copy *c = alloc_zero(sizeof *c);
    atomic_init(&c->holders, 1);
    c->id = options->key.id;
    c->size = options->size;
    take_chain(c, options->chain);
    enum err err = take_encoding(c, options, e);
    if (err == ERR_NONE)
        err = options->store->ops->reader_new(options->store, &options->key,
                                              options->flags, &c->reader, e);
    if (err == ERR_NONE)
        *copy = c;
    else
        cold_copy_release(c);
    return err;
}

struct cold_copy *cold_copy_hold(struct cold_copy *copy)
{
    atomic_fetch_add(&copy->holders, 1);
    return copy;
}

void cold_copy_release(struct cold_copy *copy)
{
    if (copy == NULL || atomic_fetch_sub(&copy->holders, 1) != 1)
        return;
    tier_reader_free_at(&copy->reader);
    chain_clear(&copy->chain);
    free(copy->layout);
    free(copy->pieces);
    free(copy);
}

int64_t cold_copy_id(const struct cold_copy *copy)
{
    return copy->id;
}

uint64_t cold_copy_size(const struct cold_copy *copy)
{
    return copy->size;
}

bool cold_copy_is_encoded(const struct cold_copy *copy)
{
    return copy->layout != NULL;
}

bool cold_copy_is_in_pieces(const struct cold_copy *copy)
{
    return copy->pieces != NULL;
}

size_t cold_copy_memory(const struct cold_copy *copy)
{
    size_t size = sizeof *copy + copy->chain.count * CHAIN_STATE_SIZE;
    if (copy->layout != NULL)
        size +=
            sizeof *copy->layout + copy->layout->count * sizeof copy->layout->frames[0];
    if (copy->pieces != NULL)
        size += pieces_table_size(copy->size);
    return size;
}

struct cold_extent cold_copy_extent(const struct cold_copy *copy, size_t index)
{
    if (copy->layout != NULL) {
        assert(index < copy->layout->count);
        const struct cold_frame *frame = &copy->layout->frames[index];
        return (struct cold_extent){frame->offset, frame->stored, frame->size};
    }
    size_t size = chain_chunk_size(copy->size, index);
    return (struct cold_extent){(uint64_t)index * CHAIN_CHUNK_SIZE, size, size};
}

enum err cold_copy_read(const struct cold_copy *copy, uint64_t offset, void *bytes,
                        size_t size, struct error *e)
{
    return copy->reader->ops->read(copy->reader, offset, bytes, size, e);
}

enum err cold_copy_check_pieces(const struct cold_copy *copy, uint64_t offset,
                                const void *bytes, size_t size, struct error *e)
{
    if (pieces_check(copy->pieces, offset, bytes, size))
        return ERR_NONE;
    return damaged(copy, (size_t)(offset / CHAIN_CHUNK_SIZE), "holds other bytes", e);
}

enum err cold_copy_check(const struct cold_copy *copy, struct cold_decoder *decoder,
                         size_t index, const void *stored, void *bytes, struct error *e)
{
    if (copy->layout != NULL) {
        enum err err =
            cold_frame_decode(decoder, copy->layout, index, stored, bytes, e);
        if (err != ERR_NONE)
            return err;
    }
    assert(copy->pieces == NULL); // has a check of its own
    if (copy->chain.states != NULL &&
        !chain_check_chunk(&copy->chain, index, bytes,
                           chain_chunk_size(copy->size, index)))
        return damaged(copy, index, "holds other bytes", e);
    return ERR_NONE;
}

static enum err read_and_check(const struct cold_copy *copy,
                               struct cold_decoder *decoder, size_t index, void *stored,
                               void *bytes, struct error *e)
{
    const struct cold_extent extent = cold_copy_extent(copy, index);
    enum err err = cold_copy_read(copy, extent.offset, stored != NULL ? stored : bytes,
                                  extent.stored, e);
    return err != ERR_NONE ? err
                           : cold_copy_check(copy, decoder, index, stored, bytes, e);
}

enum err cold_copy_get(const struct cold_copy *copy, struct cold_decoder *decoder,
                       size_t index, void *stored, void *bytes, struct error *e)
{
    assert((stored != NULL) == cold_copy_is_encoded(copy));
    enum err err = read_and_check(copy, decoder, index, stored, bytes, e);
    if (err != ERR_COLD_UNREADABLE)
        return err;
    cold_copy_suspect(copy, index, e);
    return read_and_check(copy, decoder, index, stored, bytes, e);
}

void cold_copy_suspect(const struct cold_copy *copy, size_t index, struct error *e)
{
    log_warn("a chunk came with other bytes and is read once more", "placement",
             log_number(copy->id), "chunk", log_number((long long)index), "error",
             e != NULL ? e->detail : "", NULL);
    error_clear(e);
}
