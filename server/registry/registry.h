// SPDX-License-Identifier: Apache-2.0
// The registry: models, versions, aliases, evaluations, over PostgreSQL, with the
// caches of DESIGN invariant 8. Everything else in this folder works on a struct
// registry. A model is always named by its full name, `namespace/name`, already
// checked. Any thread.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cache.h"
#include "common/db/db.h"
#include "common/names.h"

#define MODEL_SIZE (2 * NAME_SIZE) // bytes of a full name, with the NUL

struct registry;

struct registry_options {
    struct db_pool *db;
    int64_t purge_after_s; // how long a deleted version can be restored
    size_t cache_bytes;    // for documents and contents together
};

struct registry *registry_new(const struct registry_options *options);
void registry_free(struct registry *registry);

struct db_pool *registry_db(const struct registry *registry);
int64_t registry_purge_after_s(const struct registry *registry);

// Who makes a change, for history and events. The strings are borrowed.
struct actor {
    int64_t principal_id;
    const char *principal;
    const char *token_id;
    const char *request_id;
};

// The caches. `refs`: model and selector -> struct version_key; `documents`: version id
// -> the rendered version; `contents`: version id -> manifest and files, which never
// change.
enum registry_cache { CACHE_REFS, CACHE_DOCUMENTS, CACHE_CONTENTS, CACHE_COUNT };

struct cache_entry *registry_cache_get(struct registry *registry,
                                       enum registry_cache cache, const void *key,
                                       size_t key_size);
// Look-ups that found something, and those that did not, since the start.
int64_t registry_cache_hits(const struct registry *registry);
int64_t registry_cache_misses(const struct registry *registry);
uint64_t registry_cache_generation(struct registry *registry,
                                   enum registry_cache cache);
// As cache_put; the value is not kept while the outcome of a change is unknown.
struct cache_entry *registry_cache_put(struct registry *registry,
                                       enum registry_cache cache, const void *key,
                                       size_t key_size, void *value, size_t bytes,
                                       uint64_t generation);
void registry_cache_drop(struct registry *registry, enum registry_cache cache,
                         const void *key, size_t key_size);
// A change may still be committed that nobody will hear of: nothing that can change is
// kept for a while.
void registry_doubt(struct registry *registry);
