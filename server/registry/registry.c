// SPDX-License-Identifier: Apache-2.0
#include "server/registry/registry.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "server/registry/content.h"
#include "server/registry/document.h"

#define REFS_MAXIMUM 65536
#define DOCUMENTS_MAXIMUM 65536
#define CONTENTS_MAXIMUM 16384
// Longer than PostgreSQL can go on with a statement whose client has given up.
#define DOUBT_MS 120000

struct registry {
    struct registry_options options;
    struct cache *caches[CACHE_COUNT];
    atomic_int_fast64_t doubt_until_ms;
    atomic_int_fast64_t hits;
    atomic_int_fast64_t misses;
};

struct registry *registry_new(const struct registry_options *options)
{
    struct registry *registry = alloc_zero(sizeof *registry);
    registry->options = *options;
    atomic_init(&registry->doubt_until_ms, 0);
    registry->caches[CACHE_REFS] =
        cache_new(&(struct cache_options){.entries = REFS_MAXIMUM, .free_value = free});
    registry->caches[CACHE_DOCUMENTS] =
        cache_new(&(struct cache_options){.entries = DOCUMENTS_MAXIMUM,
                                          .bytes = options->cache_bytes / 2 + 1,
                                          .free_value = document_free});
    registry->caches[CACHE_CONTENTS] =
        cache_new(&(struct cache_options){.entries = CONTENTS_MAXIMUM,
                                          .bytes = options->cache_bytes / 2 + 1,
                                          .free_value = content_free});
    return registry;
}

void registry_free(struct registry *registry)
{
    if (registry == NULL)
        return;
    for (size_t i = 0; i < CACHE_COUNT; i++)
        cache_free(registry->caches[i]);
    free(registry);
}

struct db_pool *registry_db(const struct registry *registry)
{
    return registry->options.db;
}

int64_t registry_purge_after_s(const struct registry *registry)
{
    return registry->options.purge_after_s;
}

struct cache_entry *registry_cache_get(struct registry *registry,
                                       enum registry_cache cache, const void *key,
                                       size_t key_size)
{
    struct cache_entry *entry = cache_get(registry->caches[cache], key, key_size);
    atomic_fetch_add_explicit(entry != NULL ? &registry->hits : &registry->misses, 1,
                              memory_order_relaxed);
    return entry;
}

int64_t registry_cache_hits(const struct registry *registry)
{
    return atomic_load_explicit(&registry->hits, memory_order_relaxed);
}

int64_t registry_cache_misses(const struct registry *registry)
{
    return atomic_load_explicit(&registry->misses, memory_order_relaxed);
}

uint64_t registry_cache_generation(struct registry *registry, enum registry_cache cache)
{
    return cache_generation(registry->caches[cache]);
}

struct cache_entry *registry_cache_put(struct registry *registry,
                                       enum registry_cache cache, const void *key,
                                       size_t key_size, void *value, size_t bytes,
                                       uint64_t generation)
{
    bool doubtful = cache != CACHE_CONTENTS &&
                    clock_monotonic_ms() < atomic_load(&registry->doubt_until_ms);
    return cache_put(registry->caches[cache], key, key_size, value, bytes,
                     doubtful ? UINT64_MAX : generation);
}

void registry_cache_drop(struct registry *registry, enum registry_cache cache,
                         const void *key, size_t key_size)
{
    cache_drop(registry->caches[cache], key, key_size);
}

void registry_doubt(struct registry *registry)
{
    atomic_store(&registry->doubt_until_ms, clock_monotonic_ms() + DOUBT_MS);
}
