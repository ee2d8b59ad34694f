// SPDX-License-Identifier: Apache-2.0
// What every tier store promises (storage/tier_store.h), held against a directory, or a
// bucket when the environment names one (tests/integration/test_tier_s3.py).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/cleanup.h"
#include "common/clock.h"
#include "storage/tier_directory.h"
#include "tests/unit/tier_subject.h"
#define MIB ((size_t)1 << 20)

static struct tier_subject subject;
static struct tier_store *store;

static int set_up(void **state)
{
    (void)state;
    bool made = tier_subject_init(&subject);
    store = subject.store;
    return made ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tier_subject_clear(&subject);
    return 0;
}

// ---- helpers ----------------------------------------------------------------------

static void check(enum err err, const struct error *e)
{
    if (err != ERR_NONE)
        fail_msg("%s: %s", error_slug(err), e->detail);
}

// A name that no test used before: the seed's digest.
static struct tier_key make_key(int64_t id, unsigned seed)
{
    struct tier_key key = {.id = id};
    digest_of(&seed, sizeof seed, &key.digest);
    return key;
}

static enum err write_copy(const struct tier_key *key, const void *bytes, size_t size,
                           size_t piece, uint64_t bound, struct error *e)
{
    CLEANUP(tier_writer_free_at) struct tier_writer *writer = NULL;
    enum err err = store->ops->writer_new(store, key, bound, &writer, e);
    const char *next = bytes;
    while (err == ERR_NONE && size > 0) {
        size_t n = size < piece ? size : piece;
        err = writer->ops->write(writer, next, n, e);
        next += n;
        size -= n;
    }
    return err == ERR_NONE ? writer->ops->finish(writer, e) : err;
}

static void put(const struct tier_key *key, const void *bytes, size_t size)
{
    struct error e = {0};
    check(write_copy(key, bytes, size, MIB, size, &e), &e);
}

static enum err read_copy(const struct tier_key *key, unsigned flags, uint64_t offset,
                          void *bytes, size_t size)
{
    struct error e = {0};
    CLEANUP(tier_reader_free_at) struct tier_reader *reader = NULL;
    enum err err = store->ops->reader_new(store, key, flags, &reader, &e);
    if (err == ERR_NONE)
        err = reader->ops->read(reader, offset, bytes, size, &e);
    assert_true(err == ERR_NONE || e.detail[0] != '\0');
    error_clear(&e);
    return err;
}

static void check_range(const struct tier_key *key, unsigned flags,
                        const unsigned char *bytes, uint64_t offset, size_t size)
{
    AUTO_FREE unsigned char *found = malloc(size + 1);
    assert_int_equal(read_copy(key, flags, offset, found, size), ERR_NONE);
    assert_true(size == 0 || memcmp(found, bytes + offset, size) == 0);
}

static bool is_there(const struct tier_key *key, uint64_t *size)
{
    struct error e = {0};
    bool found;
    uint64_t ignored;
    check(store->ops->stat(store, key, &found, size != NULL ? size : &ignored, &e), &e);
    return found;
}

static void remove_copy(const struct tier_key *key)
{
    struct error e = {0};
    check(store->ops->remove(store, key, &e), &e);
}

// How often `each` shows a key, and the sizes that it says.
struct look {
    struct tier_key key;
    unsigned count, incoming, unknown;
    uint64_t size;
    int64_t modified_us;
    bool aside; // quarantine what is met
};

static enum err look_at(void *context, const struct tier_found *found, struct error *e)
{
    struct look *look = context;
    if (!found->is_known) {
        look->unknown++;
        return ERR_NONE;
    }
    if (found->key.id != look->key.id)
        return ERR_NONE;
    if (found->is_incoming) {
        look->incoming++;
        return ERR_NONE;
    }
    if (!digest_equal(&found->key.digest, &look->key.digest))
        return ERR_NONE;
    look->count++;
    look->size = found->size;
    look->modified_us = found->modified_us;
    return look->aside ? store->ops->quarantine(store, found, e) : ERR_NONE;
}

static struct look look_for(const struct tier_key *key, bool aside)
{
    struct look look = {.key = *key, .aside = aside};
    struct error e = {0};
    check(store->ops->each(store, look_at, &look, &e), &e);
    return look;
}

// ---- the promises -------------------------------------------------------------------

static void has_what_is_required(void **state)
{
    (void)state;
    const struct tier_ops *ops = store->ops;
    assert_non_null(ops->kind);
    assert_true(ops->parallel >= 1);
    assert_true(ops->free && ops->identity_read && ops->identity_write);
    assert_true(ops->is_empty && ops->prepare && ops->writer_new && ops->reader_new);
    assert_true(ops->stat && ops->remove && ops->quarantine && ops->each && ops->space);
}

static void keeps_copies_of_all_sizes(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 4095, 4096, 4097, 3 * MIB + 1};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct tier_key key = make_key(100 + i, 100 + i);
        AUTO_FREE unsigned char *bytes = tier_subject_bytes(sizes[i], i);
        uint64_t size = 77;
        put(&key, bytes, sizes[i]);
        assert_true(is_there(&key, &size));
        assert_int_equal(size, sizes[i]);
        check_range(&key, 0, bytes, 0, sizes[i]);
        check_range(&key, TIER_READ_DIRECT, bytes, 0, sizes[i]);
        remove_copy(&key);
    }
}

// Several parts of a bucket, several gathered pieces of a directory, the last short;
// the bound is larger than what comes, as of an encoding, and large enough for
// O_DIRECT.
static void keeps_a_large_copy(void **state)
{
    (void)state;
    size_t size = 37 * MIB + 12345;
    struct tier_key key = make_key(200, 200);
    struct error e = {0};
    AUTO_FREE unsigned char *bytes = tier_subject_bytes(size, 200);
    check(write_copy(&key, bytes, size, 1234567, 300 * MIB, &e), &e);
    uint64_t found;
    assert_true(is_there(&key, &found));
    assert_int_equal(found, size);
    check_range(&key, 0, bytes, 0, size);
    check_range(&key, TIER_READ_DIRECT, bytes, 0, size);
    remove_copy(&key);
}

// A bound of many parts, of which only a little comes.
static void keeps_less_than_its_bound(void **state)
{
    (void)state;
    struct tier_key key = make_key(210, 210);
    struct error e = {0};
    check(write_copy(&key, "abc", 3, 1, (uint64_t)40 << 30, &e), &e);
    check_range(&key, 0, (const unsigned char *)"abc", 0, 3);
    remove_copy(&key);
}

static void refuses_more_than_its_bound(void **state)
{
    (void)state;
    struct tier_key key = make_key(211, 211);
    struct error e = {0};
    assert_int_equal(write_copy(&key, "abcd", 4, 1, 3, &e), ERR_INTERNAL);
    error_clear(&e);
    assert_false(is_there(&key, NULL));
    assert_int_equal(look_for(&key, false).count, 0);
}

static void reads_any_range(void **state)
{
    (void)state;
    size_t size = 2 * MIB + 777;
    struct tier_key key = make_key(220, 220);
    AUTO_FREE unsigned char *bytes = tier_subject_bytes(size, 220);
    put(&key, bytes, size);
    static const struct {
        uint64_t offset;
        size_t size;
    } ranges[] = {{0, 1},         {0, 4096},         {1, 1},       {4095, 2},
                  {4096, 4096},   {4097, 9000},      {MIB, MIB},   {5, 0},
                  {2 * MIB, 777}, {7, 2 * MIB},      {MIB - 1, 3}, {MIB + 1, 1},
                  {8192, 10},     {2 * MIB + 776, 1}};
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
        check_range(&key, 0, bytes, ranges[i].offset, ranges[i].size);
        check_range(&key, TIER_READ_DIRECT, bytes, ranges[i].offset, ranges[i].size);
    }
    remove_copy(&key);
}

static void never_invents_bytes_behind_the_end(void **state)
{
    (void)state;
    struct tier_key key = make_key(230, 230);
    char bytes[8192];
    put(&key, "0123456789", 10);
    for (unsigned flags = 0; flags <= TIER_READ_DIRECT; flags++) {
        assert_int_equal(read_copy(&key, flags, 0, bytes, 11), ERR_UNAVAILABLE);
        assert_int_equal(read_copy(&key, flags, 5, bytes, 6), ERR_UNAVAILABLE);
        assert_int_equal(read_copy(&key, flags, 10, bytes, 1), ERR_UNAVAILABLE);
        assert_int_equal(read_copy(&key, flags, 4096, bytes, 4096), ERR_UNAVAILABLE);
    }
    remove_copy(&key);
}

static void knows_what_is_not_there(void **state)
{
    (void)state;
    struct tier_key key = make_key(240, 240);
    char byte;
    assert_false(is_there(&key, NULL));
    assert_int_equal(read_copy(&key, 0, 0, &byte, 1), ERR_BLOB_NOT_FOUND);
    assert_int_equal(read_copy(&key, TIER_READ_DIRECT, 0, &byte, 1),
                     ERR_BLOB_NOT_FOUND);
    remove_copy(&key);
    remove_copy(&key);
}

static void removes_once_and_again(void **state)
{
    (void)state;
    struct tier_key key = make_key(250, 250);
    char byte;
    put(&key, "x", 1);
    assert_true(is_there(&key, NULL));
    remove_copy(&key);
    assert_false(is_there(&key, NULL));
    assert_int_equal(read_copy(&key, 0, 0, &byte, 1), ERR_BLOB_NOT_FOUND);
    assert_int_equal(look_for(&key, false).count, 0);
    remove_copy(&key);
}

// Invariant 4: two copies of one blob are two files or objects.
static void invariant_4_copies_of_a_blob_have_names_of_their_own(void **state)
{
    (void)state;
    struct tier_key first = make_key(260, 260), second = make_key(261, 260);
    put(&first, "first", 5);
    put(&second, "second", 6);
    check_range(&first, 0, (const unsigned char *)"first", 0, 5);
    remove_copy(&first);
    assert_false(is_there(&first, NULL));
    check_range(&second, 0, (const unsigned char *)"second", 0, 6);
    remove_copy(&second);
}

// What is given up leaves nothing, after one byte and after several parts.
static void leaves_nothing_of_what_was_given_up(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 30 * MIB};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct tier_key key = make_key(270 + i, 270 + i);
        AUTO_FREE unsigned char *bytes = tier_subject_bytes(sizes[i], i);
        struct tier_writer *writer = NULL;
        struct error e = {0};
        check(store->ops->writer_new(store, &key, 40 * MIB, &writer, &e), &e);
        check(writer->ops->write(writer, bytes, sizes[i], &e), &e);
        assert_false(is_there(&key, NULL));
        tier_writer_free_at(&writer);
        assert_false(is_there(&key, NULL));
        struct look look = look_for(&key, false);
        assert_int_equal(look.count + look.incoming, 0);
        uint64_t swept = 0;
        if (store->ops->sweep != NULL)
            check(store->ops->sweep(store, clock_wall_us() + 60000000, &swept, &e), &e);
        assert_int_equal(swept, 0);
    }
}

static void lists_what_was_finished(void **state)
{
    (void)state;
    struct tier_key keys[20];
    int64_t before = clock_wall_us();
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        keys[i] = make_key(300 + i, 300 + i);
        put(&keys[i], "0123456789012345678901234567890", i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        struct look look = look_for(&keys[i], false);
        assert_int_equal(look.count, 1);
        assert_int_equal(look.size, i);
        // A bucket tells whole seconds, of a clock that need not be ours.
        assert_true(look.modified_us > before - 60000000);
        assert_true(look.modified_us < clock_wall_us() + 60000000);
        remove_copy(&keys[i]);
    }
}

static enum err stop_at_once(void *context, const struct tier_found *found,
                             struct error *e)
{
    unsigned *visits = context;
    (void)found;
    ++*visits;
    return error_set(e, ERR_CONFLICT, "seen enough");
}

static void ends_a_listing_when_it_is_told_to(void **state)
{
    (void)state;
    struct tier_key keys[] = {make_key(330, 330), make_key(331, 331)};
    unsigned visits = 0;
    struct error e = {0};
    put(&keys[0], "a", 1);
    put(&keys[1], "b", 1);
    assert_int_equal(store->ops->each(store, stop_at_once, &visits, &e), ERR_CONFLICT);
    assert_string_equal(e.detail, "seen enough");
    assert_int_equal(visits, 1);
    remove_copy(&keys[0]);
    remove_copy(&keys[1]);
}

static void puts_aside_twice_under_two_names(void **state)
{
    (void)state;
    struct tier_key key = make_key(340, 340);
    unsigned before = tier_subject_quarantined(&subject, "aside", 5);
    for (unsigned i = 0; i < 2; i++) {
        put(&key, "aside", 5);
        assert_int_equal(look_for(&key, true).count, 1);
        assert_false(is_there(&key, NULL));
        assert_int_equal(look_for(&key, false).count, 0);
    }
    assert_int_equal(tier_subject_quarantined(&subject, "aside", 5), before + 2);
}

// More than one part when it is copied (the bucket is told to copy in small parts).
static void puts_a_large_copy_aside(void **state)
{
    (void)state;
    size_t size = 21 * MIB + 5;
    struct tier_key key = make_key(345, 345);
    AUTO_FREE unsigned char *bytes = tier_subject_bytes(size, 345);
    unsigned before = tier_subject_quarantined(&subject, bytes, size);
    put(&key, bytes, size);
    assert_int_equal(look_for(&key, true).count, 1);
    assert_false(is_there(&key, NULL));
    assert_int_equal(tier_subject_quarantined(&subject, bytes, size), before + 1);
}

static void shows_and_puts_aside_what_it_does_not_know(void **state)
{
    (void)state;
    struct tier_key nobody = {.id = -1};
    tier_subject_add_stranger(&subject);
    assert_int_equal(look_for(&nobody, false).unknown, 1);
    struct error e = {0};
    struct tier_found found = {.name = TIER_SUBJECT_STRANGER, .size = 1};
    check(store->ops->quarantine(store, &found, &e), &e);
    assert_int_equal(look_for(&nobody, false).unknown, 0);
}

static void knows_whose_it_is(void **state)
{
    (void)state;
    struct tier_identity identity = {"cluster-1", "cold/0", 7}, found;
    struct error e = {0};
    bool is_found, is_empty;
    check(store->ops->identity_read(store, &found, &is_found, &e), &e);
    assert_false(is_found);
    for (int i = 0; i < 2; i++) {
        identity.epoch++;
        check(store->ops->identity_write(store, &identity, &e), &e);
        check(store->ops->identity_read(store, &found, &is_found, &e), &e);
        assert_true(is_found);
        assert_string_equal(found.cluster, "cluster-1");
        assert_string_equal(found.tier, "cold/0");
        assert_int_equal(found.epoch, identity.epoch);
    }
    check(store->ops->is_empty(store, &is_empty, &e), &e);
    assert_false(is_empty);
    struct tier_key nobody = {.id = -1};
    assert_int_equal(look_for(&nobody, false).unknown, 0);
}

static void refuses_an_identity_that_does_not_parse(void **state)
{
    (void)state;
    struct tier_identity found;
    struct error e = {0};
    bool is_found;
    tier_subject_break_identity(&subject);
    assert_int_equal(store->ops->identity_read(store, &found, &is_found, &e),
                     ERR_CONFLICT);
    error_clear(&e);
}

// Runs first: nothing was written yet.
static void begins_empty(void **state)
{
    (void)state;
    struct error e = {0};
    bool is_empty;
    check(store->ops->is_empty(store, &is_empty, &e), &e);
    assert_true(is_empty);
    check(store->ops->prepare(store, &e), &e);
    check(store->ops->prepare(store, &e), &e);
    struct tier_key key = make_key(1, 1);
    put(&key, "x", 1);
    check(store->ops->is_empty(store, &is_empty, &e), &e);
    assert_false(is_empty);
    remove_copy(&key);
}

static void says_what_space_there_is(void **state)
{
    (void)state;
    struct tier_space space;
    struct error e = {0};
    check(store->ops->space(store, &space, &e), &e);
    if (space.is_limited) {
        assert_true(space.total > 0);
        assert_true(space.available <= space.total);
    }
}

struct reading {
    struct tier_reader *reader;
    const unsigned char *bytes;
    size_t size;
    unsigned seed;
    bool good;
};

static void *read_ranges(void *context)
{
    struct reading *reading = context;
    AUTO_FREE unsigned char *found = malloc(MIB);
    struct error e = {0};
    uint64_t x = reading->seed;
    reading->good = true;
    for (int i = 0; i < 20 && reading->good; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        size_t size = (x >> 40) % MIB;
        uint64_t offset = (x >> 20) % (reading->size - size);
        reading->good = reading->reader->ops->read(reading->reader, offset, found, size,
                                                   &e) == ERR_NONE &&
                        memcmp(found, reading->bytes + offset, size) == 0;
        error_clear(&e);
    }
    return NULL;
}

static void lets_many_read_one_reader(void **state)
{
    (void)state;
    size_t size = 5 * MIB + 11;
    struct tier_key key = make_key(400, 400);
    AUTO_FREE unsigned char *bytes = tier_subject_bytes(size, 400);
    put(&key, bytes, size);
    for (unsigned flags = 0; flags <= TIER_READ_DIRECT; flags++) {
        struct error e = {0};
        CLEANUP(tier_reader_free_at) struct tier_reader *reader = NULL;
        check(store->ops->reader_new(store, &key, flags, &reader, &e), &e);
        pthread_t threads[8];
        struct reading readings[8];
        for (unsigned i = 0; i < 8; i++) {
            readings[i] = (struct reading){reader, bytes, size, i + 1, false};
            assert_int_equal(
                pthread_create(&threads[i], NULL, read_ranges, &readings[i]), 0);
        }
        for (unsigned i = 0; i < 8; i++) {
            pthread_join(threads[i], NULL);
            assert_true(readings[i].good);
        }
    }
    remove_copy(&key);
}

// Where a reader has a descriptor it reads the same bytes, after a removal too.
static void gives_a_descriptor_that_outlives_the_name(void **state)
{
    (void)state;
    struct tier_key key = make_key(410, 410);
    struct error e = {0};
    char bytes[4];
    put(&key, "data", 4);
    CLEANUP(tier_reader_free_at) struct tier_reader *reader = NULL;
    check(store->ops->reader_new(store, &key, 0, &reader, &e), &e);
    remove_copy(&key);
    if (reader->ops->fd == NULL)
        return;
    struct stat s;
    int fd = reader->ops->fd(reader);
    assert_int_equal(fstat(fd, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0440);
    assert_int_equal(pread(fd, bytes, 4, 0), 4);
    assert_memory_equal(bytes, "data", 4);
}

// A directory knows that a name was used; of a bucket nobody may ask so much.
static void invariant_4_a_directory_refuses_a_name_again(void **state)
{
    (void)state;
    if (strcmp(store->ops->kind, "directory") != 0)
        return;
    struct tier_key key = make_key(420, 420);
    struct error e = {0};
    put(&key, "once", 4);
    assert_int_equal(write_copy(&key, "twice", 5, 5, 5, &e), ERR_INTERNAL);
    error_clear(&e);
    check_range(&key, 0, (const unsigned char *)"once", 0, 4);
    remove_copy(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(begins_empty),
        cmocka_unit_test(has_what_is_required),
        cmocka_unit_test(keeps_copies_of_all_sizes),
        cmocka_unit_test(keeps_a_large_copy),
        cmocka_unit_test(keeps_less_than_its_bound),
        cmocka_unit_test(refuses_more_than_its_bound),
        cmocka_unit_test(reads_any_range),
        cmocka_unit_test(never_invents_bytes_behind_the_end),
        cmocka_unit_test(knows_what_is_not_there),
        cmocka_unit_test(removes_once_and_again),
        cmocka_unit_test(invariant_4_copies_of_a_blob_have_names_of_their_own),
        cmocka_unit_test(leaves_nothing_of_what_was_given_up),
        cmocka_unit_test(lists_what_was_finished),
        cmocka_unit_test(ends_a_listing_when_it_is_told_to),
        cmocka_unit_test(puts_aside_twice_under_two_names),
        cmocka_unit_test(puts_a_large_copy_aside),
        cmocka_unit_test(shows_and_puts_aside_what_it_does_not_know),
        cmocka_unit_test(says_what_space_there_is),
        cmocka_unit_test(lets_many_read_one_reader),
        cmocka_unit_test(gives_a_descriptor_that_outlives_the_name),
        cmocka_unit_test(invariant_4_a_directory_refuses_a_name_again),
        cmocka_unit_test(knows_whose_it_is),
        cmocka_unit_test(refuses_an_identity_that_does_not_parse),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
