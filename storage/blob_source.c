// SPDX-License-Identifier: Apache-2.0
#include "storage/blob_source.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"

// Copies tried for one byte: placements that come and go are not followed for ever.
#define TRIES_MAXIMUM 8

struct blob_source {
    struct blob_source_options options;
    struct blob_place place;
    struct cold_reader *reader;         // NULL: `place` has a descriptor
    uint64_t expect_offset, expect_end; // of the blob
};

static void close_place(struct blob_source *source)
{
    cold_reader_free(source->reader);
    source->reader = NULL;
    cold_copy_release(source->place.copy);
    if (source->place.fd >= 0)
        close(source->place.fd);
    source->place = (struct blob_place){.fd = -1};
}

static void open_place(struct blob_source *source, const struct blob_place *place)
{
    source->place = *place;
    if (place->fd >= 0)
        return;
    assert(cold_copy_size(place->copy) == source->options.size);
    source->reader = cold_reader_new(source->options.reads, place->copy);
}

struct blob_source *blob_source_new(const struct blob_source_options *options)
{
    struct blob_source *source = alloc_zero(sizeof *source);
    source->options = *options;
    source->expect_end = options->size;
    open_place(source, &options->place);
    return source;
}

void blob_source_free(struct blob_source *source)
{
    if (source == NULL)
        return;
    close_place(source);
    if (source->options.free_context != NULL)
        source->options.free_context(source->options.context);
    free(source);
}

enum tier blob_source_tier(const struct blob_source *source)
{
    return source->place.tier;
}

void blob_source_expect(struct blob_source *source, uint64_t offset, uint64_t size)
{
    assert(offset + size <= source->options.size);
    source->expect_offset = offset;
    source->expect_end = offset + size;
    if (source->reader != NULL)
        cold_reader_expect(source->reader, offset, size);
}

// ---- going on elsewhere -----------------------------------------------------------

static void log_failure(const struct blob_failure *failure)
{
    log_warn("a copy cannot be read", "placement", log_number(failure->place.placement),
             "tier", tier_name(failure->place.tier), "offset",
             log_number((long long)failure->offset), "error", failure->detail, NULL);
}

// The present copy stays where there is no other: only what touches a bad chunk fails.
static enum err go_elsewhere(struct blob_source *source, uint64_t offset,
                             const struct error *cause, struct error *e)
{
    struct blob_failure failure = {source->place, offset, cause->code, cause->detail};
    struct blob_place place = {.fd = -1};
    log_failure(&failure);
    CLEANUP(error_clear) struct error none = {0};
    enum err err = ERR_UNAVAILABLE;
    if (source->options.next != NULL)
        err = source->options.next(source->options.context, &failure, &place, &none);
    if (err != ERR_NONE)
        return error_set(e,
                         cause->code == ERR_ARCHIVED ? ERR_ARCHIVED : ERR_UNAVAILABLE,
                         "no copy can be read at %llu: %s", (unsigned long long)offset,
                         cause->detail);
    close_place(source);
    open_place(source, &place);
    if (source->reader != NULL && offset < source->expect_end)
        cold_reader_expect(source->reader, offset, source->expect_end - offset);
    return ERR_NONE;
}

// ---- reading ----------------------------------------------------------------------

struct piece {
    uint64_t offset;
    void *bytes; // NULL: it is only waited for
    size_t size;
    size_t got;
};

static enum err read_file(const struct blob_source *source, struct piece *piece,
                          struct error *e)
{
    if (piece->bytes == NULL)
        return ERR_NONE;
    uint64_t left = source->options.size - piece->offset;
    size_t size = piece->size < left ? piece->size : (size_t)left;
    ssize_t n;
    do
        n = pread(source->place.fd, piece->bytes, size, (off_t)piece->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return error_set_errno(e, errno, "cannot read a blob");
    if (n == 0)
        return error_set(e, ERR_UNAVAILABLE, "the file is cut short");
    piece->got = (size_t)n;
    return ERR_NONE;
}

static enum err read_piece(struct blob_source *source, struct piece *piece,
                           struct error *e)
{
    if (source->reader == NULL)
        return read_file(source, piece, e);
    if (piece->bytes == NULL)
        return cold_reader_wait(source->reader, piece->offset, e);
    return cold_reader_read(source->reader, piece->offset, piece->bytes, piece->size,
                            &piece->got, e);
}

static enum err try_copies(struct blob_source *source, struct piece *piece,
                           struct error *e)
{
    assert(piece->offset < source->options.size);
    enum err err = ERR_NONE;
    for (int tries = 0; tries < TRIES_MAXIMUM; tries++) {
        CLEANUP(error_clear) struct error cause = {0};
        if (read_piece(source, piece, &cause) == ERR_NONE)
            return ERR_NONE;
        err = go_elsewhere(source, piece->offset, &cause, e);
        if (err != ERR_NONE)
            return err;
    }
    return error_set(e, ERR_UNAVAILABLE, "the copies of the blob come and go");
}

enum err blob_source_start(struct blob_source *source, uint64_t offset, uint64_t size,
                           struct error *e)
{
    struct piece piece = {.offset = offset};
    blob_source_expect(source, offset, size);
    return size > 0 ? try_copies(source, &piece, e) : ERR_NONE;
}

enum err blob_source_read(struct blob_source *source, uint64_t offset, void *bytes,
                          size_t size, size_t *got, struct error *e)
{
    struct piece piece = {.offset = offset, .bytes = bytes, .size = size};
    enum err err = try_copies(source, &piece, e);
    *got = piece.got;
    return err;
}

enum err blob_source_read_all(struct blob_source *source, uint64_t offset, void *bytes,
                              size_t size, struct error *e)
{
    blob_source_expect(source, offset, size);
    enum err err = ERR_NONE;
    for (size_t done = 0, got; done < size && err == ERR_NONE; done += got)
        err = blob_source_read(source, offset + done, (char *)bytes + done, size - done,
                               &got, e);
    return err;
}
