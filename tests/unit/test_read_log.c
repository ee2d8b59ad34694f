// SPDX-License-Identifier: Apache-2.0
#include "storage/read_log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

static struct digest nth(uint32_t n)
{
    struct digest digest;
    digest_of(&n, sizeof n, &digest);
    return digest;
}

static void reads_are_gathered_by_blob(void **state)
{
    (void)state;
    struct read_log *log = read_log_new(1000);
    struct digest a = nth(1), b = nth(2);
    for (int i = 0; i < 10; i++)
        read_log_note(log, &a, TIER_HOT, 100);
    read_log_note(log, &b, TIER_COLD, 7);
    AUTO_FREE struct read_entry *entries = NULL;
    uint64_t dropped = 1;
    assert_int_equal(read_log_take(log, &entries, &dropped), 2);
    assert_int_equal(dropped, 0);
    assert_true(digest_compare(&entries[0].digest, &entries[1].digest) < 0);
    const struct read_entry *of_a =
        &entries[digest_equal(&entries[0].digest, &a) ? 0 : 1];
    assert_true(digest_equal(&of_a->digest, &a));
    assert_int_equal(of_a->bytes, 1000);
    assert_int_equal(of_a->reads, 10);
    assert_true(of_a->first_us <= of_a->last_us);
    struct read_totals totals;
    read_log_totals(log, &totals);
    assert_int_equal(totals.reads[TIER_HOT], 10);
    assert_int_equal(totals.bytes[TIER_HOT], 1000);
    assert_int_equal(totals.reads[TIER_COLD], 1);
    assert_int_equal(totals.reads[TIER_WARM], 0);
    AUTO_FREE struct read_entry *again = NULL;
    assert_int_equal(read_log_take(log, &again, NULL), 0);
    read_log_note(log, &a, TIER_HOT, 1);
    AUTO_FREE struct read_entry *later = NULL;
    assert_int_equal(read_log_take(log, &later, NULL), 1);
    assert_int_equal(later->bytes, 1);
    read_log_free(log);
}

static void what_finds_no_room_is_counted(void **state)
{
    (void)state;
    struct read_log *log = read_log_new(160);
    for (uint32_t i = 0; i < 5000; i++) {
        struct digest digest = nth(i);
        read_log_note(log, &digest, TIER_WARM, 1);
    }
    AUTO_FREE struct read_entry *entries = NULL;
    uint64_t dropped = 0;
    size_t count = read_log_take(log, &entries, &dropped);
    assert_in_range(count, 160, 200);
    assert_int_equal(count + dropped, 5000);
    read_log_free(log);
}

#define THREADS 4
#define NOTES 50000

static void *note_many(void *context)
{
    for (uint32_t i = 0; i < NOTES; i++) {
        struct digest digest = nth(i % 100);
        read_log_note(context, &digest, TIER_HOT, 1);
    }
    return NULL;
}

static void no_read_is_lost_between_threads(void **state)
{
    (void)state;
    struct read_log *log = read_log_new(1000);
    pthread_t threads[THREADS];
    uint64_t bytes = 0;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, log), 0);
    for (int round = 0; round < 20; round++) {
        AUTO_FREE struct read_entry *entries = NULL;
        size_t count = read_log_take(log, &entries, NULL);
        for (size_t i = 0; i < count; i++)
            bytes += entries[i].bytes;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    AUTO_FREE struct read_entry *rest = NULL;
    size_t count = read_log_take(log, &rest, NULL);
    for (size_t i = 0; i < count; i++)
        bytes += rest[i].bytes;
    assert_int_equal(bytes, (uint64_t)THREADS * NOTES);
    read_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_are_gathered_by_blob),
        cmocka_unit_test(what_finds_no_room_is_counted),
        cmocka_unit_test(no_read_is_lost_between_threads),
    };
    return cmocka_run_group_tests_name("read_log", tests, NULL, NULL);
}
