// SPDX-License-Identifier: Apache-2.0
// Reads a range of a file: whole chunks are fetched and checked, and what was asked for
// is handed out chunk by chunk.
#include <stdlib.h>
#include <string.h>

#include "client/lib/fetch.h"
#include "client/lib/strata_transfer.h"
#include "client/lib/version.h"
#include "common/alloc.h"
#include "common/cleanup.h"

struct reader {
    const struct chain *chain;
    char *chunk;    // CHAIN_CHUNK_SIZE bytes
    uint64_t begin; // what is wanted, within the blob
    uint64_t end;
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
    uint64_t begin = from > reader->begin ? from : reader->begin;
    uint64_t end = to < reader->end ? to : reader->end;
    if (begin >= end)
        return STRATA_OK;
    return reader->take(reader->context, reader->chunk + (begin - from),
                        (size_t)(end - begin), e);
}

static enum strata_status set_range(struct reader *reader, uint64_t size,
                                    int64_t offset, uint64_t length,
                                    struct strata_error *e)
{
    if (offset < 0) {
        uint64_t back = (uint64_t)-offset;
        reader->begin = back < size ? size - back : 0;
    } else {
        reader->begin = (uint64_t)offset;
    }
    if (reader->begin > size || (reader->begin == size && size > 0)) {
        return fail_set(e, STRATA_USAGE,
                        "the range begins behind the end: the file has %llu "
                        "bytes",
                        (unsigned long long)size);
    }
    uint64_t left = size - reader->begin;
    reader->end = reader->begin + (length < left ? length : left);
    return STRATA_OK;
}

enum strata_status strata_read(struct strata_client *client, const char *ref,
                               const char *path, int64_t offset, uint64_t length,
                               strata_read_fn *take, void *context,
                               struct strata_error *e)
{
    CLEANUP(version_clear) struct version version = {0};
    CLEANUP(chain_clear) struct chain chain = {0};
    struct reader reader = {.chain = &chain, .take = take, .context = context};
    enum strata_status status = version_fetch(client, ref, &version, e);
    if (status != STRATA_OK)
        return status;
    const struct version_file *file = version_file_find(&version, path);
    if (file == NULL)
        return fail_set(e, STRATA_NOT_FOUND, "%s has no file %s", ref, path);
    status = set_range(&reader, file->size, offset, length, e);
    if (status == STRATA_OK)
        status = version_chain(client, file, &chain, e);
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *chunk = alloc_zero((size_t)CHAIN_CHUNK_SIZE);
    reader.chunk = chunk;
    const struct fetch fetch = {
        .client = client,
        .chain = &chain,
        .take = on_bytes,
        .checked = on_chunk,
        .context = &reader,
    };
    if (reader.begin == reader.end)
        return STRATA_OK;
    size_t first = (size_t)(reader.begin / CHAIN_CHUNK_SIZE);
    size_t last = (size_t)((reader.end - 1) / CHAIN_CHUNK_SIZE);
    return fetch_chunks(&fetch, first, last - first + 1, e);
}
