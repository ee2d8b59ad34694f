// SPDX-License-Identifier: Apache-2.0
// What of a version never changes: its manifest, verbatim, and its files. Cached.
#pragma once

#include "server/registry/resolve.h"

struct content_file {
    const char *path;
    const char *media_type;
    uint64_t size;
    struct digest digest;
};

struct content {
    char *manifest;
    size_t manifest_size;
    struct content_file *files; // by path, bytewise
    size_t files_count;
    char *strings; // what the files point to
};

#define MEDIA_TYPE_DEFAULT "application/octet-stream"

// From the text of a manifest, which is taken over.
enum err content_parse(char *manifest, struct content **content,
                       struct error *e) MUST_CHECK;
void content_free(void *content);
static inline void content_free_at(struct content **content)
{
    content_free(*content);
}
size_t content_bytes(const struct content *content); // of memory

// Through the cache, *entry is held and holds a struct content. `db` may be NULL: then
// a connection is taken where it is needed. ERR_VERSION_DELETED when it has been
// purged.
enum err content_get(struct registry *registry, struct db *db, int64_t version_id,
                     struct cache_entry **entry, struct error *e) MUST_CHECK;

// NULL when there is no such file.
const struct content_file *content_find(const struct content *content,
                                        const char *path);
