// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <stdlib.h>
#include <zstd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/cold_format.h"
#include "common/ordered.h"

#define ZSTD_HEADER_MINIMUM 6 // bytes: magic, descriptor, the smallest of sizes
#define CONTENT_CHECKSUM_SIZE 4
#define FRAME_HAS_CHECKSUM 4 // bit of the frame header's descriptor, RFC 8878 3.1.1.1.1

// ---- one frame --------------------------------------------------------------------

struct cold_decoder {
    ZSTD_DCtx *zstd;
    uint8_t *content; // of a frame that was split
    size_t capacity;  // of it; grows with what is decoded
};

struct cold_decoder *cold_decoder_new(void)
{
    struct cold_decoder *decoder = alloc_zero(sizeof *decoder);
    decoder->zstd = ZSTD_createDCtx();
    return decoder;
}

void cold_decoder_free(struct cold_decoder *decoder)
{
    if (decoder == NULL)
        return;
    ZSTD_freeDCtx(decoder->zstd);
    free(decoder->content);
    free(decoder);
}

// One frame of zstd's present format, and nothing behind it, with the checksum that the
// seek table says. That the content has it is checked by zstd itself.
static bool is_expected(const struct cold_frame *frame, const uint8_t *data,
                        size_t size)
{
    return size >= ZSTD_HEADER_MINIMUM + CONTENT_CHECKSUM_SIZE &&
           cold_get_32(data) == COLD_MAGIC_ZSTD &&
           (data[4] & FRAME_HAS_CHECKSUM) != 0 &&
           cold_get_32(data + size - CONTENT_CHECKSUM_SIZE) == frame->checksum &&
           ZSTD_findFrameCompressedSize(data, size) == size;
}

static enum err decode_data(struct cold_decoder *decoder,
                            const struct cold_frame *frame, size_t index,
                            const uint8_t *stored, uint8_t *content, struct error *e)
{
    const uint8_t *data = stored + frame->regions;
    size_t size = frame->stored - frame->regions;
    if (!is_expected(frame, data, size))
        return COLD_UNREADABLE(e, "chunk %zu is no frame of its checksum", index);
    size_t got = ZSTD_decompressDCtx(decoder->zstd, content, frame->size, data, size);
    if (ZSTD_isError(got))
        return COLD_UNREADABLE(e, "chunk %zu: %s", index, ZSTD_getErrorName(got));
    if (got != frame->size)
        return COLD_UNREADABLE(e, "chunk %zu has %zu bytes, not %u", index, got,
                               frame->size);
    return ERR_NONE;
}

enum err cold_frame_decode(struct cold_decoder *decoder,
                           const struct cold_layout *layout, size_t index,
                           const void *stored, void *bytes, struct error *e)
{
    assert(index < layout->count);
    const struct cold_frame *frame = &layout->frames[index];
    struct cold_regions regions;
    if (frame->regions == 0)
        return decode_data(decoder, frame, index, stored, bytes, e);
    enum err err = cold_regions_parse(stored, frame->regions, frame->size, &regions, e);
    if (err != ERR_NONE)
        return err;
    if (decoder->capacity < frame->size) {
        free(steal_ptr(decoder->content));
        decoder->content = alloc_zero(frame->size);
        decoder->capacity = frame->size;
    }
    err = decode_data(decoder, frame, index, stored, decoder->content, e);
    if (err == ERR_NONE)
        cold_regions_join(&regions, decoder->content, bytes);
    return err;
}

// ---- the whole --------------------------------------------------------------------

struct decoding {
    const struct cold_decode_request *request;
    struct chain chain;
    struct cold_layout *layout;
};

static void decoding_clear(struct decoding *decoding)
{
    chain_clear(&decoding->chain);
    free(decoding->layout);
}

// What a thread has for itself.
struct reader {
    struct cold_decoder *decoder;
    uint8_t *stored;
    uint8_t *bytes;
};

static size_t most_stored(const struct cold_layout *layout)
{
    size_t most = 0;
    for (size_t i = 0; i < layout->count; i++)
        most = layout->frames[i].stored > most ? layout->frames[i].stored : most;
    return most;
}

static void *reader_new(void *context)
{
    const struct decoding *decoding = context;
    struct reader *reader = alloc_zero(sizeof *reader);
    reader->decoder = cold_decoder_new();
    reader->stored = alloc_zero(most_stored(decoding->layout) + 1);
    reader->bytes = alloc_zero(chain_chunk_size(decoding->chain.size, 0) + 1);
    return reader;
}

static void reader_free(void *worker)
{
    struct reader *reader = worker;
    cold_decoder_free(reader->decoder);
    free(reader->stored);
    free(reader->bytes);
    free(reader);
}

static enum err get(const struct decoding *decoding, uint64_t offset, void *bytes,
                    size_t size, struct error *e)
{
    return decoding->request->read(decoding->request->context, offset, bytes, size, e);
}

static enum err make_once(const struct decoding *decoding, struct reader *reader,
                          size_t index, struct error *e)
{
    const struct cold_frame *frame = &decoding->layout->frames[index];
    enum err err = get(decoding, frame->offset, reader->stored, frame->stored, e);
    if (err == ERR_NONE)
        err = cold_frame_decode(reader->decoder, decoding->layout, index,
                                reader->stored, reader->bytes, e);
    if (err == ERR_NONE &&
        !chain_check_chunk(&decoding->chain, index, reader->bytes, frame->size))
        err = COLD_UNREADABLE(e, "chunk %zu does not lead to the digest", index);
    return err;
}

// What `read` gave may have been changed on the way: it is asked once more.
static enum err decoding_make(void *context, void *worker, size_t index,
                              struct error *e)
{
    enum err err = make_once(context, worker, index, e);
    if (err != ERR_COLD_UNREADABLE)
        return err;
    error_clear(e);
    return make_once(context, worker, index, e);
}

static enum err decoding_emit(void *context, void *worker, size_t index,
                              struct error *e)
{
    const struct decoding *decoding = context;
    const struct cold_decode_request *request = decoding->request;
    const struct reader *reader = worker;
    size_t size = decoding->layout->frames[index].size;
    return size > 0 ? request->write(request->context, reader->bytes, size, e)
                    : ERR_NONE;
}

static enum err read_description(struct decoding *decoding, struct error *e)
{
    uint64_t stored_size = decoding->request->stored_size, size;
    uint8_t fixed[COLD_DESCRIPTION_FIXED];
    size_t frame_size;
    if (stored_size < sizeof fixed)
        return COLD_UNREADABLE(e, "it is too short for a cold object");
    enum err err = get(decoding, 0, fixed, sizeof fixed, e);
    if (err == ERR_NONE)
        err = cold_description_head(fixed, stored_size, &size, &frame_size, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE uint8_t *frame = alloc_zero(frame_size);
    err = get(decoding, 0, frame, frame_size, e);
    // Read twice: what was checked is not what is there now, if somebody writes to it.
    if (err == ERR_NONE && memcmp(frame, fixed, sizeof fixed) != 0)
        err = COLD_UNREADABLE(e, "it changes while it is read");
    if (err == ERR_NONE)
        err = cold_description_parse(frame, frame_size, &decoding->chain, e);
    return err;
}

static enum err read_layout(struct decoding *decoding, struct error *e)
{
    uint64_t stored_size = decoding->request->stored_size, offset;
    uint8_t tail[COLD_TAIL_SIZE];
    enum err err = get(decoding, stored_size - sizeof tail, tail, sizeof tail, e);
    if (err == ERR_NONE)
        err = cold_tail_parse(tail, stored_size, &offset, e);
    if (err != ERR_NONE)
        return err;
    size_t size = (size_t)(stored_size - offset);
    AUTO_FREE uint8_t *table = alloc_zero(size);
    err = get(decoding, offset, table, size, e);
    if (err == ERR_NONE)
        err = cold_layout_parse(table, size, decoding->chain.size, stored_size,
                                &decoding->layout, e);
    return err;
}

static enum err read_again(enum err (*part)(struct decoding *, struct error *),
                           struct decoding *decoding, struct error *e)
{
    enum err err = part(decoding, e);
    if (err != ERR_COLD_UNREADABLE)
        return err;
    error_clear(e);
    return part(decoding, e);
}

enum err cold_decode(const struct cold_decode_request *request, struct digest *digest,
                     uint64_t *size, struct error *e)
{
    CLEANUP(decoding_clear) struct decoding decoding = {.request = request};
    enum err err = read_again(read_description, &decoding, e);
    if (err == ERR_NONE)
        err = read_again(read_layout, &decoding, e);
    if (err != ERR_NONE)
        return err;
    const struct ordered_work work = {
        .count = decoding.layout->count,
        .threads = request->threads,
        .begin = reader_new,
        .end = reader_free,
        .make = decoding_make,
        .emit = decoding_emit,
    };
    err = ordered_run(&work, &decoding, e);
    if (err != ERR_NONE)
        return err;
    chain_digest(&decoding.chain, digest);
    *size = decoding.chain.size;
    return ERR_NONE;
}
