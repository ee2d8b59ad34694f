// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/pieces.h"
#include "storage/blob_source.h"
#include "tests/unit/counted_store.h"

#define CHUNK ((size_t)CHAIN_CHUNK_SIZE)
#define MIB ((size_t)1 << 20)
#define SIZE (4 * CHUNK + 4321)
#define COPIES 3 // two on the cold tier, one in a file

struct subject {
    struct counted_store *store;
    struct cold_reads *reads;
    unsigned char *bytes;
    struct chain chain;
    struct tier_key keys[2]; // encoded, raw
    struct blob_place places[COPIES];
    int next_place;
    struct blob_failure failures[COPIES];
    int failures_count;
    bool freed;
};

// Half of it does not compress, so that a copy is encoded and still has a size.
static void make_bytes(struct subject *s)
{
    uint64_t state = 1;
    s->bytes = alloc_zero(SIZE + 8);
    for (size_t i = 0; i < SIZE; i += 8) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (i / 4096 % 2 == 0)
            memcpy(s->bytes + i, &state, 8);
    }
    struct chain_hasher *hasher = chain_hasher_new();
    chain_hasher_update(hasher, s->bytes, SIZE);
    chain_hasher_finish(hasher, &s->chain);
    chain_hasher_free(hasher);
}

struct encoding {
    const unsigned char *from;
    unsigned char *to;
    size_t size;
};

static enum err give(void *context, uint64_t offset, void *bytes, size_t size,
                     struct error *e)
{
    (void)e;
    memcpy(bytes, ((struct encoding *)context)->from + offset, size);
    return ERR_NONE;
}

static enum err take(void *context, const void *bytes, size_t size, struct error *e)
{
    (void)e;
    struct encoding *encoding = context;
    memcpy(encoding->to + encoding->size, bytes, size);
    encoding->size += size;
    return ERR_NONE;
}

static struct cold_copy *open_copy(struct subject *s, int which,
                                   const struct cold_encoded *encoded)
{
    const struct cold_copy_options options = {
        .store = &s->store->store,
        .key = s->keys[which],
        .encoding = encoded != NULL ? COLD_ENCODING : "raw",
        .size = SIZE,
        .stored_size = encoded != NULL ? encoded->stored_size : SIZE,
        .seek_table = encoded != NULL ? encoded->seek_table : NULL,
        .seek_table_size = encoded != NULL ? encoded->seek_table_size : 0,
        .chain = encoded != NULL ? NULL : &s->chain,
    };
    struct error e = {0};
    struct cold_copy *copy = NULL;
    assert_int_equal(cold_copy_new(&options, &copy, &e), ERR_NONE);
    return copy;
}

static void put_encoded(struct subject *s)
{
    struct encoding encoding = {s->bytes, alloc_zero(cold_bound(SIZE)), 0};
    const struct cold_encode_request request = {
        .chain = &s->chain, .read = give, .write = take, .context = &encoding};
    struct cold_encoded encoded = {0};
    struct error e = {0};
    assert_int_equal(cold_encode(&request, &encoded, &e), ERR_NONE);
    assert_true(encoding.size < SIZE * 3 / 4);
    counted_store_put(s->store, &s->keys[0], encoding.to, encoding.size);
    s->places[0] = (struct blob_place){1, TIER_COLD, -1, open_copy(s, 0, &encoded)};
    free(encoded.seek_table);
    free(encoding.to);
}

static void put_file(struct subject *s)
{
    char path[] = "/tmp/strata-source.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, s->bytes, SIZE) == (ssize_t)SIZE);
    unlink(path);
    s->places[2] = (struct blob_place){3, TIER_WARM, fd, NULL};
}

static int begin(void **state)
{
    struct subject *s = *state = alloc_zero(sizeof *s);
    s->store = counted_store_new();
    s->reads = cold_reads_new(&(struct cold_reads_options){64 * MIB, 8});
    make_bytes(s);
    for (int i = 0; i < 2; i++) {
        s->keys[i].id = i + 1;
        chain_digest(&s->chain, &s->keys[i].digest);
    }
    put_encoded(s);
    counted_store_put(s->store, &s->keys[1], s->bytes, SIZE);
    s->places[1] = (struct blob_place){2, TIER_COLD, -1, open_copy(s, 1, NULL)};
    put_file(s);
    return 0;
}

static int end(void **state)
{
    struct subject *s = *state;
    for (int i = 0; i < COPIES; i++) { // those that no source has taken
        cold_copy_release(s->places[i].copy);
        if (s->places[i].fd >= 0)
            close(s->places[i].fd);
    }
    cold_reads_free(s->reads);
    counted_store_free(s->store);
    chain_clear(&s->chain);
    free(s->bytes);
    free(s);
    return 0;
}

static struct blob_place take_place(struct subject *s, int which)
{
    struct blob_place place = s->places[which];
    s->places[which] = (struct blob_place){.fd = -1};
    return place;
}

static enum err next(void *context, const struct blob_failure *failure,
                     struct blob_place *place, struct error *e)
{
    struct subject *s = context;
    s->failures[s->failures_count++] = *failure;
    if (s->next_place >= COPIES)
        return error_set(e, ERR_UNAVAILABLE, "there is no other copy");
    *place = take_place(s, s->next_place++);
    return ERR_NONE;
}

static void note_free(void *context)
{
    ((struct subject *)context)->freed = true;
}

static struct blob_source *open_source(struct subject *s, int first, int second)
{
    s->next_place = second;
    return blob_source_new(&(struct blob_source_options){.reads = s->reads,
                                                         .size = SIZE,
                                                         .place = take_place(s, first),
                                                         .next = next,
                                                         .context = s,
                                                         .free_context = note_free});
}

static enum err read_range(struct subject *s, struct blob_source *source, size_t offset,
                           size_t size)
{
    AUTO_FREE unsigned char *to = alloc_zero(size);
    CLEANUP(error_clear) struct error e = {0};
    enum err err = blob_source_read_all(source, offset, to, size, &e);
    if (err == ERR_NONE)
        assert_memory_equal(to, s->bytes + offset, size);
    return err;
}

static void reads_an_encoded_copy(void **state)
{
    struct subject *s = *state;
    struct blob_source *source = open_source(s, 0, COPIES);
    assert_int_equal(read_range(s, source, 0, SIZE), ERR_NONE);
    assert_int_equal(read_range(s, source, CHUNK - 5, 10), ERR_NONE);
    assert_int_equal(read_range(s, source, SIZE - 1, 1), ERR_NONE);
    assert_true(atomic_load(&s->store->bytes) < SIZE * 3 / 4);
    assert_int_equal(blob_source_tier(source), TIER_COLD);
    blob_source_free(source);
    assert_true(s->freed);
    assert_int_equal(s->failures_count, 0);
}

static void reads_a_file(void **state)
{
    struct subject *s = *state;
    struct blob_source *source = open_source(s, 2, COPIES);
    assert_int_equal(read_range(s, source, 0, SIZE), ERR_NONE);
    assert_int_equal(blob_source_tier(source), TIER_WARM);
    assert_int_equal(atomic_load(&s->store->bytes), 0);
    blob_source_free(source);
}

static void goes_on_after_damage(void **state)
{
    struct subject *s = *state;
    counted_store_damage(s->store, &s->keys[1], 2 * CHUNK + 9);
    struct blob_source *source = open_source(s, 1, 2);
    assert_int_equal(read_range(s, source, 0, SIZE), ERR_NONE);
    assert_int_equal(s->failures_count, 1);
    assert_int_equal(s->failures[0].place.placement, 2);
    assert_int_equal(s->failures[0].reason, ERR_COLD_UNREADABLE);
    assert_int_equal(s->failures[0].offset, 2 * CHUNK);
    assert_int_equal(blob_source_tier(source), TIER_WARM);
    blob_source_free(source);
}

static struct cold_copy *open_in_pieces(struct subject *s)
{
    struct error e = {0};
    struct cold_copy *copy = NULL;
    AUTO_FREE void *table = alloc_zero(pieces_table_size(SIZE));
    pieces_note(table, 0, s->bytes, SIZE);
    const struct cold_copy_options options = {
        .store = &s->store->store,
        .key = s->keys[1],
        .encoding = "raw",
        .size = SIZE,
        .stored_size = SIZE,
        .seek_table = table,
        .seek_table_size = pieces_table_size(SIZE),
    };
    assert_int_equal(cold_copy_new(&options, &copy, &e), ERR_NONE);
    return copy;
}

static void goes_on_in_the_middle_of_a_chunk(void **state)
{
    struct subject *s = *state;
    size_t bad = 2 * CHUNK + 9 * PIECE_SIZE;
    cold_copy_release(s->places[1].copy);
    s->places[1].copy = open_in_pieces(s);
    counted_store_damage(s->store, &s->keys[1], bad + 9);
    struct blob_source *source = open_source(s, 1, 2);
    assert_int_equal(read_range(s, source, 2 * CHUNK + 1, CHUNK), ERR_NONE);
    assert_int_equal(s->failures_count, 1);
    assert_int_equal(s->failures[0].reason, ERR_COLD_UNREADABLE);
    assert_in_range(s->failures[0].offset, 2 * CHUNK + 1, bad);
    assert_int_equal(blob_source_tier(source), TIER_WARM);
    blob_source_free(source);
}

static void goes_on_from_one_cold_copy_to_the_next(void **state)
{
    struct subject *s = *state;
    counted_store_damage(s->store, &s->keys[0], 3 * MIB);
    struct blob_source *source = open_source(s, 0, 1);
    assert_int_equal(read_range(s, source, 0, SIZE), ERR_NONE);
    assert_int_equal(s->failures_count, 1);
    assert_int_equal(s->failures[0].reason, ERR_COLD_UNREADABLE);
    assert_int_equal(blob_source_tier(source), TIER_COLD);
    blob_source_free(source);
}

static void goes_on_when_a_tier_goes_away(void **state)
{
    struct subject *s = *state;
    struct blob_source *source = open_source(s, 0, 2);
    assert_int_equal(read_range(s, source, 0, 10), ERR_NONE);
    pthread_mutex_lock(&s->store->lock);
    s->store->is_away = true;
    pthread_mutex_unlock(&s->store->lock);
    assert_int_equal(read_range(s, source, 0, SIZE), ERR_NONE);
    assert_int_equal(s->failures[0].reason, ERR_UNAVAILABLE);
    blob_source_free(source);
}

static void goes_on_after_a_file_that_is_cut(void **state)
{
    struct subject *s = *state;
    assert_int_equal(ftruncate(s->places[2].fd, (off_t)CHUNK), 0);
    struct blob_source *source = open_source(s, 2, 0);
    assert_int_equal(read_range(s, source, 0, SIZE), ERR_NONE);
    assert_int_equal(s->failures[0].offset, CHUNK);
    assert_int_equal(blob_source_tier(source), TIER_COLD);
    blob_source_free(source);
}

static void what_is_whole_of_a_damaged_copy_can_be_read(void **state)
{
    struct subject *s = *state;
    struct error e = {0};
    counted_store_damage(s->store, &s->keys[1], CHUNK);
    struct blob_source *source = open_source(s, 1, COPIES);
    assert_int_equal(read_range(s, source, 0, SIZE), ERR_UNAVAILABLE);
    assert_int_equal(blob_source_start(source, CHUNK, 1, &e), ERR_UNAVAILABLE);
    assert_int_equal(read_range(s, source, 2 * CHUNK, CHUNK), ERR_NONE);
    assert_int_equal(blob_source_start(source, 0, 1, &e), ERR_NONE);
    blob_source_free(source);
    error_clear(&e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest blob_source_tests[] = {
        TEST(reads_an_encoded_copy),
        TEST(reads_a_file),
        TEST(goes_on_after_damage),
        TEST(goes_on_in_the_middle_of_a_chunk),
        TEST(goes_on_from_one_cold_copy_to_the_next),
        TEST(goes_on_when_a_tier_goes_away),
        TEST(goes_on_after_a_file_that_is_cut),
        TEST(what_is_whole_of_a_damaged_copy_can_be_read),
    };
    return cmocka_run_group_tests(blob_source_tests, NULL, NULL);
}
