// SPDX-License-Identifier: Apache-2.0
// Which tensor lies where in a blob that is a safetensors file. A blob never changes,
// so that its index is kept under its digest, within a bound of memory; so is that its
// header is malformed. Any thread.
#pragma once

#include "common/cache.h"
#include "common/format/safetensors.h"
#include "storage/storage.h"

struct tensor_indexes;

// `cache_bytes` bounds what is kept. The storage must live on.
struct tensor_indexes *tensor_indexes_new(struct storage *storage, size_t cache_bytes);
void tensor_indexes_free(struct tensor_indexes *indexes); // NULL is allowed

struct tensor_index {
    struct safetensors *header; // NULL when it is malformed
    char *detail;               // then what is wrong with it
    uint64_t read_bytes;        // of the blob, to make this
};

// *entry is held and holds a struct tensor_index, also when the header is malformed.
// ERR_BLOB_NOT_FOUND; ERR_UNAVAILABLE when the blob cannot be read, or too many large
// headers are being read.
enum err tensor_index_get(struct tensor_indexes *indexes, const struct digest *digest,
                          struct cache_entry **entry, struct error *e) MUST_CHECK;
