// SPDX-License-Identifier: Apache-2.0
// A bounded cache with least-recently-used eviction and a generation (invariant 8): a
// fill whose generation was taken before a cache_drop is handed out but not kept.
// Values are shared and counted; they are freed when the last holder lets go. Any
// thread; the lock is held for the look-up alone.
#pragma once

#include <stddef.h>
#include <stdint.h>

struct cache;
struct cache_entry;

struct cache_options {
    size_t entries; // at most this many
    size_t bytes;   // and at most this many bytes, 0 = no limit; larger is not kept
    void (*free_value)(void *value);
};

struct cache *cache_new(const struct cache_options *options);
void cache_free(struct cache *cache); // values still held live on

// Take it before reading what a value is made from.
uint64_t cache_generation(struct cache *cache);

// A held entry, or NULL. Let go with cache_release.
struct cache_entry *cache_get(struct cache *cache, const void *key, size_t key_size);
// Takes `value` over and gives it back held. It is kept under the key (replacing what
// was there) unless the generation has moved since `generation`. `bytes` is its size
// for the limit.
struct cache_entry *cache_put(struct cache *cache, const void *key, size_t key_size,
                              void *value, size_t bytes, uint64_t generation);
void *cache_value(const struct cache_entry *entry);
void cache_release(struct cache_entry *entry); // NULL is allowed
static inline void cache_release_at(struct cache_entry **entry)
{
    cache_release(*entry);
}

// Forgets one key, or all, and moves the generation on.
void cache_drop(struct cache *cache, const void *key, size_t key_size);
void cache_drop_all(struct cache *cache);
size_t cache_count(struct cache *cache);
