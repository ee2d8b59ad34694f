// SPDX-License-Identifier: Apache-2.0
#include "common/cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

struct cache_entry {
    struct cache_entry *newer; // towards the most recently used
    struct cache_entry *older;
    struct cache_entry *chain; // next in the bucket
    uint64_t hash;
    void *value;
    size_t bytes;
    size_t key_size;
    atomic_int holders; // the cache itself counts as one
    void (*free_value)(void *value);
    unsigned char key[];
};

struct cache {
    pthread_mutex_t lock;
    struct cache_options options;
    struct cache_entry **buckets;
    size_t buckets_count; // a power of two
    struct cache_entry *newest;
    struct cache_entry *oldest;
    size_t count;
    size_t bytes;
    uint64_t generation;
};

struct cache *cache_new(const struct cache_options *options)
{
    struct cache *cache = alloc_zero(sizeof *cache);
    pthread_mutex_init(&cache->lock, NULL);
    cache->options = *options;
    cache->buckets_count = 16;
    while (cache->buckets_count < options->entries)
        cache->buckets_count *= 2;
    cache->buckets = alloc_array(cache->buckets_count, sizeof(struct cache_entry *));
    return cache;
}

// FNV-1a, 64 bits.
static uint64_t hash_of(const void *key, size_t key_size)
{
    const unsigned char *bytes = key;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < key_size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash ^ hash >> 32;
}

static struct cache_entry **slot_of(struct cache *cache, uint64_t hash, const void *key,
                                    size_t key_size)
{
    struct cache_entry **slot = &cache->buckets[hash & (cache->buckets_count - 1)];
    for (; *slot != NULL; slot = &(*slot)->chain) {
        struct cache_entry *entry = *slot;
        if (entry->hash == hash && entry->key_size == key_size &&
            memcmp(entry->key, key, key_size) == 0)
            break;
    }
    return slot;
}

static void unlink_recency(struct cache *cache, struct cache_entry *entry)
{
    if (entry->newer != NULL)
        entry->newer->older = entry->older;
    else
        cache->newest = entry->older;
    if (entry->older != NULL)
        entry->older->newer = entry->newer;
    else
        cache->oldest = entry->newer;
}

static void link_newest(struct cache *cache, struct cache_entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    if (cache->newest != NULL)
        cache->newest->newer = entry;
    else
        cache->oldest = entry;
    cache->newest = entry;
}

void cache_release(struct cache_entry *entry)
{
    if (entry == NULL || atomic_fetch_sub(&entry->holders, 1) > 1)
        return;
    if (entry->free_value != NULL)
        entry->free_value(entry->value);
    free(entry);
}

// Takes *slot out of the cache; the caller releases the entry outside the lock.
static struct cache_entry *detach(struct cache *cache, struct cache_entry **slot)
{
    struct cache_entry *entry = *slot;
    *slot = entry->chain;
    unlink_recency(cache, entry);
    cache->count--;
    cache->bytes -= entry->bytes;
    entry->chain = NULL;
    return entry;
}

static bool is_over(const struct cache *cache)
{
    return cache->count > cache->options.entries ||
           (cache->options.bytes > 0 && cache->bytes > cache->options.bytes);
}

static struct cache_entry *detach_one(struct cache *cache, struct cache_entry *entry)
{
    return detach(cache, slot_of(cache, entry->hash, entry->key, entry->key_size));
}

// Detaches the oldest entries until the limits hold, and before them a new one that is
// larger than all may be; a list linked by `chain`.
static struct cache_entry *evict(struct cache *cache)
{
    struct cache_entry *list = NULL;
    size_t limit = cache->options.bytes;
    if (limit > 0 && cache->newest != NULL && cache->newest->bytes > limit)
        list = detach_one(cache, cache->newest);
    while (is_over(cache) && cache->oldest != NULL) {
        struct cache_entry *entry = detach_one(cache, cache->oldest);
        entry->chain = list;
        list = entry;
    }
    return list;
}

static void release_list(struct cache_entry *list)
{
    while (list != NULL) {
        struct cache_entry *next = list->chain;
        cache_release(list);
        list = next;
    }
}

uint64_t cache_generation(struct cache *cache)
{
    LOCK_SCOPE(&cache->lock);
    return cache->generation;
}

struct cache_entry *cache_get(struct cache *cache, const void *key, size_t key_size)
{
    uint64_t hash = hash_of(key, key_size);
    LOCK_SCOPE(&cache->lock);
    struct cache_entry *entry = *slot_of(cache, hash, key, key_size);
    if (entry == NULL)
        return NULL;
    atomic_fetch_add(&entry->holders, 1);
    if (cache->newest != entry) {
        unlink_recency(cache, entry);
        link_newest(cache, entry);
    }
    return entry;
}

static struct cache_entry *entry_new(struct cache *cache, const void *key,
                                     size_t key_size, void *value, size_t bytes)
{
    struct cache_entry *entry = alloc_zero(sizeof *entry + key_size);
    memcpy(entry->key, key, key_size);
    entry->key_size = key_size;
    entry->hash = hash_of(key, key_size);
    entry->value = value;
    entry->bytes = bytes;
    entry->free_value = cache->options.free_value;
    atomic_init(&entry->holders, 1);
    return entry;
}

struct cache_entry *cache_put(struct cache *cache, const void *key, size_t key_size,
                              void *value, size_t bytes, uint64_t generation)
{
    struct cache_entry *entry = entry_new(cache, key, key_size, value, bytes);
    struct cache_entry *gone = NULL;
    {
        LOCK_SCOPE(&cache->lock);
        if (cache->generation == generation) {
            struct cache_entry **slot = slot_of(cache, entry->hash, key, key_size);
            struct cache_entry *old = *slot != NULL ? detach(cache, slot) : NULL;
            slot = slot_of(cache, entry->hash, key, key_size);
            *slot = entry;
            link_newest(cache, entry);
            cache->count++;
            cache->bytes += bytes;
            atomic_fetch_add(&entry->holders, 1);
            gone = evict(cache);
            if (old != NULL) {
                old->chain = gone;
                gone = old;
            }
        }
    }
    release_list(gone);
    return entry;
}

void *cache_value(const struct cache_entry *entry)
{
    return entry->value;
}

void cache_drop(struct cache *cache, const void *key, size_t key_size)
{
    uint64_t hash = hash_of(key, key_size);
    struct cache_entry *entry = NULL;
    {
        LOCK_SCOPE(&cache->lock);
        cache->generation++;
        struct cache_entry **slot = slot_of(cache, hash, key, key_size);
        if (*slot != NULL)
            entry = detach(cache, slot);
    }
    cache_release(entry);
}

void cache_drop_all(struct cache *cache)
{
    struct cache_entry *list = NULL;
    {
        LOCK_SCOPE(&cache->lock);
        cache->generation++;
        size_t entries = cache->options.entries;
        cache->options.entries = 0;
        list = evict(cache);
        cache->options.entries = entries;
    }
    release_list(list);
}

size_t cache_count(struct cache *cache)
{
    LOCK_SCOPE(&cache->lock);
    return cache->count;
}

void cache_free(struct cache *cache)
{
    if (cache == NULL)
        return;
    cache_drop_all(cache);
    pthread_mutex_destroy(&cache->lock);
    free(cache->buckets);
    free(cache);
}
