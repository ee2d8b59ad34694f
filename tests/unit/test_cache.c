// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/cache.h"

static int freed;

static void count_and_free(void *value)
{
    freed++;
    free(value);
}

static struct cache *make(size_t entries, size_t bytes)
{
    freed = 0;
    struct cache_options options = {entries, bytes, count_and_free};
    return cache_new(&options);
}

static void put(struct cache *cache, const char *key, size_t bytes)
{
    cache_release(cache_put(cache, key, strlen(key), alloc_copy(key), bytes,
                            cache_generation(cache)));
}

static bool has(struct cache *cache, const char *key)
{
    struct cache_entry *entry = cache_get(cache, key, strlen(key));
    bool found = entry != NULL && strcmp(cache_value(entry), key) == 0;
    cache_release(entry);
    return found;
}

static void evicts_the_least_recently_used(void **state)
{
    (void)state;
    struct cache *cache = make(2, 0);
    put(cache, "a", 1);
    put(cache, "b", 1);
    assert_true(has(cache, "a"));
    put(cache, "c", 1);
    assert_true(has(cache, "a"));
    assert_false(has(cache, "b"));
    assert_true(has(cache, "c"));
    assert_int_equal(freed, 1);
    cache_free(cache);
    assert_int_equal(freed, 3);
}

static void keeps_to_its_bytes(void **state)
{
    (void)state;
    struct cache *cache = make(100, 10);
    put(cache, "a", 6);
    put(cache, "b", 6);
    assert_false(has(cache, "a"));
    assert_true(has(cache, "b"));
    put(cache, "big", 11); // displaces nothing
    assert_false(has(cache, "big"));
    assert_true(has(cache, "b"));
    put(cache, "b", 11);
    assert_int_equal(cache_count(cache), 0);
    cache_free(cache);
}

static void replaces_a_key(void **state)
{
    (void)state;
    struct cache *cache = make(4, 0);
    put(cache, "a", 1);
    put(cache, "a", 1);
    assert_int_equal(cache_count(cache), 1);
    assert_int_equal(freed, 1);
    cache_free(cache);
}

static void invariant_8_a_fill_older_than_a_drop_is_not_kept(void **state)
{
    (void)state;
    struct cache *cache = make(4, 0);
    uint64_t generation = cache_generation(cache);
    cache_drop(cache, "other", 5);
    struct cache_entry *entry =
        cache_put(cache, "a", 1, alloc_copy("a"), 1, generation);
    assert_string_equal(cache_value(entry), "a");
    cache_release(entry);
    assert_int_equal(freed, 1);
    assert_false(has(cache, "a"));
    cache_free(cache);
}

static void a_held_value_outlives_its_drop(void **state)
{
    (void)state;
    struct cache *cache = make(4, 0);
    put(cache, "a", 1);
    struct cache_entry *entry = cache_get(cache, "a", 1);
    cache_drop_all(cache);
    assert_int_equal(freed, 0);
    assert_string_equal(cache_value(entry), "a");
    cache_release(entry);
    assert_int_equal(freed, 1);
    cache_free(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evicts_the_least_recently_used),
        cmocka_unit_test(keeps_to_its_bytes),
        cmocka_unit_test(replaces_a_key),
        cmocka_unit_test(invariant_8_a_fill_older_than_a_drop_is_not_kept),
        cmocka_unit_test(a_held_value_outlives_its_drop),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
