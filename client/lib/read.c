// SPDX-License-Identifier: Apache-2.0
// Reads a range of a file, or of a tensor in it: whole chunks are fetched and checked,
// and what was asked for is handed out chunk by chunk.
#include <stdlib.h>
#include <string.h>

#include "client/lib/fetch.h"
#include "client/lib/span.h"
#include "client/lib/strata_transfer.h"
#include "client/lib/version.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/safetensors.h"

struct reader {
    const struct chain *chain;
    char *chunk; // CHAIN_CHUNK_SIZE bytes
    struct span span;
    strata_read_fn *take;
    void *context;
};

static enum strata_status on_bytes(void *context, uint64_t offset, const void *bytes,
                                   size_t size, struct strata_error *e)
{
    (void)e;
    struct reader *reader = context;
    memcpy(reader->chunk + offset % CHAIN_CHUNK_SIZE, bytes, size);
    return STRATA_OK;
}

static enum strata_status on_chunk(void *context, size_t chunk, struct strata_error *e)
{
    struct reader *reader = context;
    uint64_t from = chunk * CHAIN_CHUNK_SIZE;
    uint64_t to = from + chain_chunk_size(reader->chain->size, chunk);
    uint64_t begin = from > reader->span.begin ? from : reader->span.begin;
    uint64_t end = to < reader->span.end ? to : reader->span.end;
    if (begin >= end)
        return STRATA_OK;
    return reader->take(reader->context, reader->chunk + (begin - from),
                        (size_t)(end - begin), e);
}

// A file of a version, ready to be read.
struct opened {
    struct strata_client *client;
    struct version version;
    struct chain chain;
};

static void opened_clear(struct opened *opened)
{
    version_clear(&opened->version);
    chain_clear(&opened->chain);
}

static enum strata_status open_file(struct opened *opened, const char *ref,
                                    const char *path, struct strata_error *e)
{
    enum strata_status status = version_fetch(opened->client, ref, &opened->version, e);
    if (status != STRATA_OK)
        return status;
    const struct version_file *file = version_file_find(&opened->version, path);
    if (file == NULL)
        return fail_set(e, STRATA_NOT_FOUND, "%s has no file %s", ref, path);
    return version_chain(opened->client, file, &opened->chain, e);
}

// What is wanted of `size` bytes.
static enum strata_status set_range(struct reader *reader, uint64_t size,
                                    int64_t offset, uint64_t length,
                                    struct strata_error *e)
{
    if (span_of(size, offset, length, &reader->span))
        return STRATA_OK;
    return fail_set(e, STRATA_USAGE,
                    "the range begins behind the end: there are %llu bytes",
                    (unsigned long long)size);
}

static enum strata_status read_range(const struct opened *opened, struct reader *reader,
                                     struct strata_error *e)
{
    if (reader->span.begin == reader->span.end)
        return STRATA_OK;
    AUTO_FREE char *chunk = alloc_zero((size_t)CHAIN_CHUNK_SIZE);
    reader->chain = &opened->chain;
    reader->chunk = chunk;
    const struct fetch fetch = {
        .client = opened->client,
        .chain = &opened->chain,
        .take = on_bytes,
        .checked = on_chunk,
        .context = reader,
    };
    size_t first = (size_t)(reader->span.begin / CHAIN_CHUNK_SIZE);
    size_t last = (size_t)((reader->span.end - 1) / CHAIN_CHUNK_SIZE);
    return fetch_chunks(&fetch, first, last - first + 1, e);
}

enum strata_status strata_read(struct strata_client *client, const char *ref,
                               const char *path, int64_t offset, uint64_t length,
                               strata_read_fn *take, void *context,
                               struct strata_error *e)
{
    CLEANUP(opened_clear) struct opened opened = {.client = client};
    struct reader reader = {.take = take, .context = context};
    enum strata_status status = open_file(&opened, ref, path, e);
    if (status == STRATA_OK)
        status = set_range(&reader, opened.chain.size, offset, length, e);
    return status != STRATA_OK ? status : read_range(&opened, &reader, e);
}

// ---- tensors ----------------------------------------------------------------------

static enum strata_status gather(void *context, const void *bytes, size_t size,
                                 struct strata_error *e)
{
    (void)e;
    char **to = context;
    memcpy(*to, bytes, size);
    *to += size;
    return STRATA_OK;
}

static enum strata_status read_into(const struct opened *opened, uint64_t begin,
                                    uint64_t end, char *to, struct strata_error *e)
{
    struct reader reader = {
        .span = {.begin = begin, .end = end}, .take = gather, .context = &to};
    return read_range(opened, &reader, e);
}

static enum strata_status malformed(const char *path, const struct error *from,
                                    struct strata_error *e)
{
    return fail_set(e, STRATA_FAILED, "%s: its safetensors header is malformed: %s",
                    path, from->detail);
}

// The first chunk comes whole and mostly holds the header; the rest comes after it.
static enum strata_status read_header(const struct opened *opened, const char *path,
                                      struct safetensors **header,
                                      struct strata_error *e)
{
    uint64_t size = opened->chain.size, header_size = 0;
    uint64_t first = size < CHAIN_CHUNK_SIZE ? size : CHAIN_CHUNK_SIZE;
    struct error error = {0};
    AUTO_FREE char *text = alloc_zero((size_t)CHAIN_CHUNK_SIZE);
    enum strata_status status = read_into(opened, 0, first, text, e);
    if (status != STRATA_OK)
        return status;
    if (safetensors_header_size((const uint8_t *)text, size, &header_size, &error) !=
        ERR_NONE)
        return malformed(path, &error, e);
    uint64_t end = SAFETENSORS_PREFIX_SIZE + header_size;
    if (end > first) {
        text = alloc_grow(text, (size_t)end, 1);
        status = read_into(opened, first, end, text + first, e);
    }
    if (status == STRATA_OK &&
        safetensors_parse(text + SAFETENSORS_PREFIX_SIZE, (size_t)header_size, size,
                          header, &error) != ERR_NONE)
        status = malformed(path, &error, e);
    return status;
}

enum strata_status strata_tensor_read(struct strata_client *client, const char *ref,
                                      const char *path, const char *tensor,
                                      int64_t offset, uint64_t length,
                                      strata_read_fn *take, void *context,
                                      struct strata_error *e)
{
    CLEANUP(opened_clear) struct opened opened = {.client = client};
    CLEANUP(safetensors_free_at) struct safetensors *header = NULL;
    struct reader reader = {.take = take, .context = context};
    enum strata_status status = open_file(&opened, ref, path, e);
    if (status == STRATA_OK)
        status = read_header(&opened, path, &header, e);
    if (status != STRATA_OK)
        return status;
    const struct safetensors_tensor *found = safetensors_find(header, tensor);
    if (found == NULL)
        return fail_set(e, STRATA_NOT_FOUND, "%s has no tensor %s", path, tensor);
    status = set_range(&reader, found->length, offset, length, e);
    if (status != STRATA_OK)
        return status;
    reader.span.begin += found->offset;
    reader.span.end += found->offset;
    return read_range(&opened, &reader, e);
}
