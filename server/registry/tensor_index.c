// SPDX-License-Identifier: Apache-2.0
#include "server/registry/tensor_index.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "storage/blob.h"

#define INDEXES_MAXIMUM 16384
// Of headers that are read at the same time; the largest one fits.
#define READING_MAXIMUM ((uint64_t)128 << 20)

struct tensor_indexes {
    struct storage *storage;
    struct cache *cache;
    atomic_uint_fast64_t reading; // bytes of headers in memory that are being parsed
};

static void index_free(void *value)
{
    struct tensor_index *index = value;
    safetensors_free(index->header);
    free(index->detail);
    free(index);
}

struct tensor_indexes *tensor_indexes_new(struct storage *storage, size_t cache_bytes)
{
    struct tensor_indexes *indexes = alloc_zero(sizeof *indexes);
    indexes->storage = storage;
    indexes->cache = cache_new(&(struct cache_options){.entries = INDEXES_MAXIMUM,
                                                       .bytes = cache_bytes + 1,
                                                       .free_value = index_free});
    atomic_init(&indexes->reading, 0);
    return indexes;
}

void tensor_indexes_free(struct tensor_indexes *indexes)
{
    if (indexes == NULL)
        return;
    cache_free(indexes->cache);
    free(indexes);
}

static enum err read_and_parse(const struct blob_file *file, uint64_t size,
                               struct safetensors **header, struct error *e)
{
    AUTO_FREE char *text = alloc_zero((size_t)size + 1);
    enum err err = blob_file_read(file, SAFETENSORS_PREFIX_SIZE, text, (size_t)size, e);
    return err != ERR_NONE
               ? err
               : safetensors_parse(text, (size_t)size, file->size, header, e);
}

static enum err read_header(struct tensor_indexes *indexes,
                            const struct blob_file *file, struct tensor_index *index,
                            struct error *e)
{
    uint8_t prefix[SAFETENSORS_PREFIX_SIZE] = {0};
    size_t prefix_size =
        file->size < sizeof prefix ? (size_t)file->size : sizeof prefix;
    uint64_t size = 0;
    enum err err = blob_file_read(file, 0, prefix, prefix_size, e);
    if (err == ERR_NONE)
        err = safetensors_header_size(prefix, file->size, &size, e);
    if (err != ERR_NONE)
        return err;
    index->read_bytes = size;
    if (atomic_fetch_add(&indexes->reading, size) + size > READING_MAXIMUM)
        err = error_set(e, ERR_UNAVAILABLE, "too many large headers are being read");
    else
        err = read_and_parse(file, size, &index->header, e);
    atomic_fetch_sub(&indexes->reading, size);
    return err;
}

static size_t index_bytes(const struct tensor_index *index)
{
    return sizeof *index +
           (index->header != NULL ? index->header->bytes : strlen(index->detail) + 1);
}

enum err tensor_index_get(struct tensor_indexes *indexes, const struct digest *digest,
                          struct cache_entry **entry, struct error *e)
{
    *entry = cache_get(indexes->cache, digest, sizeof *digest);
    if (*entry != NULL)
        return ERR_NONE;
    uint64_t generation = cache_generation(indexes->cache);
    struct blob_file file;
    enum err err = blob_open(indexes->storage, digest, &file, e);
    if (err != ERR_NONE)
        return err;
    struct tensor_index *index = alloc_zero(sizeof *index);
    struct error malformed = {0};
    err = read_header(indexes, &file, index, &malformed);
    blob_file_clear(&file);
    if (err != ERR_NONE && err != ERR_TENSORS_UNREADABLE) {
        index_free(index);
        error_move(e, &malformed);
        return err;
    }
    index->detail = err != ERR_NONE ? alloc_copy(malformed.detail) : NULL;
    error_clear(&malformed);
    *entry = cache_put(indexes->cache, digest, sizeof *digest, index,
                       index_bytes(index), generation);
    return ERR_NONE;
}
