// SPDX-License-Identifier: Apache-2.0
// literalCompressionMode has no stable name, but a number in the shared library.
#define ZSTD_STATIC_LINKING_ONLY
#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/cold_map.h"
#include "common/ordered.h"

#define LEVEL_OTHER 3
// Looks for repetitions at one byte in a thousand: weights have none, and a match that
// is found by chance makes the literals around it dearer.
#define LEVEL_WEIGHTS (-1000)
#define ESTIMATE_CHUNKS 16
#define CONTENT_CHECKSUM_SIZE 4

// ---- one chunk --------------------------------------------------------------------

// What a thread has for itself.
struct encoder {
    ZSTD_CCtx *zstd;
    size_t size;           // bytes of the chunk
    uint8_t *chunk;        // the blob's bytes
    uint8_t *content;      // the same, split
    uint8_t *stored;       // the frames
    size_t capacity;       // of `stored`
    size_t regions_stored; // bytes of the first frame, 0: there is none
    size_t data_stored;
};

static struct encoder *encoder_new(uint64_t blob_size)
{
    size_t most = chain_chunk_size(blob_size, 0);
    struct encoder *encoder = alloc_zero(sizeof *encoder);
    encoder->zstd = ZSTD_createCCtx();
    encoder->chunk = alloc_zero(most + 1);
    encoder->content = alloc_zero(most + 1);
    encoder->capacity =
        COLD_REGIONS_FRAME_MAXIMUM + ZSTD_compressBound(most) + CONTENT_CHECKSUM_SIZE;
    assert(encoder->capacity <= COLD_FRAME_MAXIMUM);
    encoder->stored = alloc_zero(encoder->capacity);
    return encoder;
}

static void encoder_free(void *worker)
{
    struct encoder *encoder = worker;
    if (encoder == NULL)
        return;
    ZSTD_freeCCtx(encoder->zstd);
    free(encoder->chunk);
    free(encoder->content);
    free(encoder->stored);
    free(encoder);
}

static void encoder_free_at(struct encoder **encoder)
{
    encoder_free(*encoder);
}

// A library that has lost the parameter finds next to nothing at LEVEL_WEIGHTS.
static void set_method(ZSTD_CCtx *zstd, bool is_weights)
{
    int level = is_weights ? LEVEL_WEIGHTS : LEVEL_OTHER;
    size_t failed = ZSTD_CCtx_setParameter(zstd, ZSTD_c_literalCompressionMode,
                                           is_weights ? ZSTD_ps_enable : ZSTD_ps_auto);
    if (ZSTD_isError(failed) && is_weights)
        level = 1;
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
}

static enum err compress(struct encoder *encoder, const uint8_t *content,
                         struct error *e)
{
    size_t before = encoder->regions_stored;
    encoder->data_stored =
        ZSTD_compress2(encoder->zstd, encoder->stored + before,
                       encoder->capacity - before, content, encoder->size);
    if (!ZSTD_isError(encoder->data_stored))
        return ERR_NONE;
    return error_set(e, ERR_INTERNAL, "zstd: %s",
                     ZSTD_getErrorName(encoder->data_stored));
}

static size_t encoder_stored(const struct encoder *encoder)
{
    return encoder->regions_stored + encoder->data_stored;
}

// The frames of `size` bytes in encoder->chunk, which stand in the blob at `offset`.
static enum err encode(struct encoder *encoder, const struct cold_map *map,
                       uint64_t offset, size_t size, struct error *e)
{
    struct cold_regions regions;
    size_t elements = cold_map_regions(map, offset, size, &regions);
    encoder->size = size;
    encoder->regions_stored = 0;
    set_method(encoder->zstd, elements > size / 2);
    if (regions.count == 0)
        return compress(encoder, encoder->chunk, e);
    cold_regions_split(&regions, encoder->chunk, encoder->content);
    encoder->regions_stored = cold_regions_write(&regions, encoder->stored);
    enum err err = compress(encoder, encoder->content, e);
    // What does not shrink costs the reader least as it is.
    if (err == ERR_NONE && encoder_stored(encoder) >= size) {
        encoder->regions_stored = 0;
        err = compress(encoder, encoder->chunk, e);
    }
    return err;
}

// ---- the seek table ---------------------------------------------------------------

struct seek_table {
    uint8_t *bytes;
    size_t count, capacity; // entries
};

static void table_clear(struct seek_table *table)
{
    free(table->bytes);
}

static size_t table_size(size_t entries)
{
    return COLD_SKIPPABLE_HEADER + entries * COLD_ENTRY_SIZE + COLD_TAIL_SIZE;
}

static void table_add(struct seek_table *table, size_t stored, size_t size,
                      uint32_t checksum)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity > 0 ? 2 * table->capacity : 16;
        table->bytes = alloc_grow(table->bytes, table_size(table->capacity), 1);
    }
    uint8_t *at =
        table->bytes + COLD_SKIPPABLE_HEADER + table->count++ * COLD_ENTRY_SIZE;
    cold_put_32(at, (uint32_t)stored);
    cold_put_32(at + 4, (uint32_t)size);
    cold_put_32(at + 8, checksum);
}

static size_t table_finish(struct seek_table *table)
{
    size_t size = table_size(table->count);
    uint8_t *tail = table->bytes + size - COLD_TAIL_SIZE;
    cold_put_32(table->bytes, COLD_MAGIC_SEEK_TABLE);
    cold_put_32(table->bytes + 4, (uint32_t)(size - COLD_SKIPPABLE_HEADER));
    cold_put_32(tail, (uint32_t)table->count);
    tail[4] = 0x80;
    cold_put_32(tail + 5, COLD_MAGIC_SEEKABLE);
    return size;
}

// ---- the whole --------------------------------------------------------------------

struct encoding {
    const struct cold_encode_request *request;
    struct cold_map map;
    struct seek_table table;
    uint64_t stored_size;
};

static void encoding_clear(struct encoding *encoding)
{
    cold_map_clear(&encoding->map);
    table_clear(&encoding->table);
}

static void *encoding_begin(void *context)
{
    struct encoding *encoding = context;
    return encoder_new(encoding->request->chain->size);
}

static enum err encoding_make(void *context, void *worker, size_t index,
                              struct error *e)
{
    struct encoding *encoding = context;
    struct encoder *encoder = worker;
    const struct cold_encode_request *request = encoding->request;
    uint64_t offset = index * CHAIN_CHUNK_SIZE;
    size_t size = chain_chunk_size(request->chain->size, index);
    enum err err = ERR_NONE;
    if (request->cancel != NULL && atomic_load(request->cancel))
        return error_set(e, ERR_UNAVAILABLE, "cancelled");
    if (size > 0)
        err = request->read(request->context, offset, encoder->chunk, size, e);
    if (err == ERR_NONE)
        err = encode(encoder, &encoding->map, offset, size, e);
    return err;
}

static enum err put(struct encoding *encoding, const void *bytes, size_t size,
                    struct error *e)
{
    encoding->stored_size += size;
    return encoding->request->write(encoding->request->context, bytes, size, e);
}

static enum err encoding_emit(void *context, void *worker, size_t index,
                              struct error *e)
{
    (void)index;
    struct encoding *encoding = context;
    const struct encoder *encoder = worker;
    size_t stored = encoder_stored(encoder);
    uint32_t checksum = cold_get_32(encoder->stored + stored - CONTENT_CHECKSUM_SIZE);
    if (encoder->regions_stored > 0)
        table_add(&encoding->table, encoder->regions_stored, 0, COLD_NO_BYTES_CHECKSUM);
    table_add(&encoding->table, encoder->data_stored, encoder->size, checksum);
    return put(encoding, encoder->stored, stored, e);
}

static enum err put_description(struct encoding *encoding, struct error *e)
{
    AUTO_FREE uint8_t *frame = NULL;
    size_t size;
    cold_description_write(encoding->request->chain, &frame, &size);
    table_add(&encoding->table, size, 0, COLD_NO_BYTES_CHECKSUM);
    return put(encoding, frame, size, e);
}

enum err cold_encode(const struct cold_encode_request *request,
                     struct cold_encoded *encoded, struct error *e)
{
    CLEANUP(encoding_clear) struct encoding encoding = {.request = request};
    const struct ordered_work work = {
        .count = request->chain->count,
        .threads = request->threads,
        .begin = encoding_begin,
        .end = encoder_free,
        .make = encoding_make,
        .emit = encoding_emit,
    };
    enum err err = cold_map_read(request, &encoding.map, e);
    if (err == ERR_NONE)
        err = put_description(&encoding, e);
    if (err == ERR_NONE)
        err = ordered_run(&work, &encoding, e);
    if (err != ERR_NONE)
        return err;
    size_t size = table_finish(&encoding.table);
    err = put(&encoding, encoding.table.bytes, size, e);
    if (err == ERR_NONE)
        *encoded = (struct cold_encoded){encoding.stored_size,
                                         steal_ptr(encoding.table.bytes), size};
    return err;
}

uint64_t cold_bound(uint64_t size)
{
    uint64_t chunks = chain_count(size);
    return cold_description_size(chunks) + table_size(1 + 2 * chunks) +
           chunks * (COLD_REGIONS_FRAME_MAXIMUM + CONTENT_CHECKSUM_SIZE +
                     ZSTD_compressBound(chain_chunk_size(size, 0)));
}

enum err cold_estimate(const struct cold_encode_request *request, uint64_t *stored_size,
                       struct error *e)
{
    CLEANUP(encoding_clear) struct encoding encoding = {.request = request};
    const struct chain *chain = request->chain;
    size_t tries = chain->count < ESTIMATE_CHUNKS ? chain->count : ESTIMATE_CHUNKS;
    uint64_t bytes = 0, stored = 0;
    enum err err = cold_map_read(request, &encoding.map, e);
    CLEANUP(encoder_free_at) struct encoder *encoder = encoder_new(chain->size);
    for (size_t i = 0; i < tries && err == ERR_NONE; i++) {
        // The middle one of each of `tries` stretches.
        size_t index = (2 * i + 1) * chain->count / (2 * tries);
        err = encoding_make(&encoding, encoder, index, e);
        bytes += encoder->size;
        stored += encoder_stored(encoder) + COLD_ENTRY_SIZE;
        stored += encoder->regions_stored > 0 ? COLD_ENTRY_SIZE : 0;
    }
    if (err != ERR_NONE)
        return err;
    if (bytes < chain->size)
        stored = (uint64_t)((double)stored / (double)bytes * (double)chain->size);
    *stored_size = cold_description_size(chain->count) + table_size(1) + stored;
    return ERR_NONE;
}
