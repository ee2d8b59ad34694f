// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "tests/unit/cold_memory.h"
#include "tests/unit/cold_subject.h"

static void gives_any_range_of_a_blob(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, 3 * CHUNK + 12345, 96 * MIB);
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    assert_true(subject_read(&s, reader, 0, s.size, 300 * 1024));
    assert_true(subject_read(&s, reader, 3 * CHUNK + 12344, 1, 1));
    assert_true(subject_read(&s, reader, CHUNK - 7, 14, 100));
    cold_reader_free(reader);
    subject_await_fetched(&s, 4);
    assert_int_equal(atomic_load(&s.store->bytes), s.size);
    subject_end(&s);
}

static void fetches_the_chunks_of_the_range_alone(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, 8 * CHUNK, 96 * MIB);
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    cold_reader_expect(reader, 2 * CHUNK + 5, 100);
    assert_true(subject_read(&s, reader, 2 * CHUNK + 5, 100, 100));
    cold_reader_expect(reader, 5 * CHUNK - 1, 2);
    assert_true(subject_read(&s, reader, 5 * CHUNK - 1, 2, 2));
    cold_reader_free(reader);
    subject_await_fetched(&s, 3);
    assert_int_equal(atomic_load(&s.store->bytes), 3 * CHUNK);
    subject_end(&s);
}

static void takes_the_first_chunk_over_several_connections(void **state)
{
    (void)state;
    struct subject s;
    struct error e = {0};
    subject_begin(&s, CHUNK, 96 * MIB);
    s.store->delay_us = 100000;
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(cold_reader_wait(reader, 0, &e), ERR_NONE);
    assert_true(clock_monotonic_ms() - start_ms < 400);
    assert_true(atomic_load(&s.store->reading_most) >= 4);
    assert_true(subject_read(&s, reader, 0, s.size, MIB));
    cold_reader_free(reader);
    subject_end(&s);
}

static void reads_ahead_in_parallel(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, 16 * CHUNK, 96 * MIB);
    s.store->delay_us = 20000;
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    assert_true(subject_read(&s, reader, 0, CHUNK, MIB));
    atomic_store(&s.store->reading_most, 0); // those were parts of one chunk
    assert_true(subject_read(&s, reader, CHUNK, s.size - CHUNK, MIB));
    cold_reader_free(reader);
    assert_true(atomic_load(&s.store->reading_most) >= 4);
    assert_int_equal(atomic_load(&s.store->bytes), s.size);
    subject_end(&s);
}

// ---- many readers -----------------------------------------------------------------

struct client {
    struct subject *subject;
    struct cold_copy *copy;
    size_t piece;
    unsigned pause_us; // between two pieces
    bool right;
    pthread_t thread;
};

static void *read_all(void *context)
{
    struct client *c = context;
    struct cold_reader *reader = cold_reader_new(c->subject->reads, c->copy);
    c->right = true;
    for (size_t at = 0; at < c->subject->size && c->right; at += c->piece) {
        size_t left = c->subject->size - at;
        c->right = subject_read(c->subject, reader, at,
                                left < c->piece ? left : c->piece, c->piece);
        if (c->pause_us > 0)
            usleep(c->pause_us);
    }
    cold_reader_free(reader);
    return NULL;
}

static void run_clients(struct client *clients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(
            pthread_create(&clients[i].thread, NULL, read_all, &clients[i]), 0);
    for (size_t i = 0; i < count; i++) {
        pthread_join(clients[i].thread, NULL);
        assert_true(clients[i].right);
    }
}

static void fetches_once_for_many_readers(void **state)
{
    (void)state;
    struct subject s;
    struct client clients[16];
    // Room for all of it: with less, a reader that a busy machine leaves far behind
    // fetches again what has gone.
    subject_begin(&s, 20 * CHUNK + 1, 96 * MIB);
    s.store->delay_us = 2000;
    for (size_t i = 0; i < 16; i++)
        clients[i] = (struct client){.subject = &s,
                                     .copy = s.copy,
                                     .piece = (256 + 64 * i) * 1024,
                                     .pause_us = (unsigned)(i * 100)};
    run_clients(clients, 16);
    struct cold_reads_counts counts = subject_counts(&s);
    assert_int_equal(atomic_load(&s.store->bytes), s.size);
    assert_int_equal(counts.fetched, 21);
    assert_int_equal(counts.bytes, s.size);
    assert_true(counts.shared >= 15 * 21);
    subject_end(&s);
}

static void keeps_to_its_memory(void **state)
{
    (void)state;
    struct subject s;
    struct client clients[24];
    struct cold_copy *copies[6];
    subject_begin(&s, 4 * CHUNK + 77, 16 * MIB);
    for (size_t i = 0; i < 6; i++)
        copies[i] = subject_put(&s, (int64_t)i + 2);
    for (size_t i = 0; i < 24; i++)
        clients[i] =
            (struct client){.subject = &s, .copy = copies[i % 6], .piece = 200 * 1024};
    run_clients(clients, 24);
    assert_true(subject_counts(&s).memory <= 16 * MIB);
    for (size_t i = 0; i < 6; i++)
        cold_copy_release(copies[i]);
    subject_end(&s);
}

static void is_not_held_up_by_slow_readers(void **state)
{
    (void)state;
    struct subject s;
    struct cold_reader *slow[3];
    subject_begin(&s, 12 * CHUNK, 16 * MIB);
    for (size_t i = 0; i < 3; i++) {
        slow[i] = cold_reader_new(s.reads, s.copy);
        assert_true(subject_read(&s, slow[i], i * CHUNK, 10, 10));
    }
    struct client quick = {.subject = &s, .copy = s.copy, .piece = MIB};
    int64_t start_ms = clock_monotonic_ms();
    run_clients(&quick, 1);
    assert_true(clock_monotonic_ms() - start_ms < 5000);
    for (size_t i = 0; i < 3; i++) {
        assert_true(subject_read(&s, slow[i], i * CHUNK + 10, 2 * CHUNK, MIB));
        cold_reader_free(slow[i]);
    }
    subject_end(&s);
}

// ---- failures ---------------------------------------------------------------------

static void a_damaged_chunk_fails_alone(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, 3 * CHUNK, 96 * MIB);
    counted_store_damage(s.store, &s.key, CHUNK + 1000);
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    assert_true(subject_read(&s, reader, 0, CHUNK, MIB));
    assert_int_equal(subject_try(reader, CHUNK), ERR_COLD_UNREADABLE);
    assert_true(subject_read(&s, reader, 2 * CHUNK, CHUNK, MIB));
    assert_int_equal(subject_try(reader, 2 * CHUNK - 1), ERR_COLD_UNREADABLE);
    counted_store_damage(s.store, &s.key, CHUNK + 1000); // as it was
    assert_true(subject_read(&s, reader, CHUNK, CHUNK, MIB));
    assert_true(subject_counts(&s).failures >= 2);
    cold_reader_free(reader);
    subject_end(&s);
}

static void what_is_cut_short_or_away_is_unavailable(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, 2 * CHUNK, 96 * MIB);
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    s.store->is_away = true;
    assert_int_equal(subject_try(reader, 0), ERR_UNAVAILABLE);
    pthread_mutex_lock(&s.store->lock);
    s.store->is_away = false;
    pthread_mutex_unlock(&s.store->lock);
    counted_store_cut(s.store, &s.key, CHUNK + 10);
    assert_int_equal(subject_try(reader, CHUNK), ERR_UNAVAILABLE);
    assert_true(subject_read(&s, reader, 0, CHUNK, MIB));
    cold_reader_free(reader);
    subject_end(&s);
}

static void a_copy_that_is_gone_is_not_found(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, 10, 96 * MIB);
    struct cold_copy_options options = {.store = &s.store->store,
                                        .key = s.key,
                                        .encoding = "raw",
                                        .size = s.size,
                                        .stored_size = s.size,
                                        .chain = &s.chain};
    options.key.id = 99;
    struct error e = {0};
    struct cold_copy *copy = NULL;
    assert_int_equal(cold_copy_new(&options, &copy, &e), ERR_BLOB_NOT_FOUND);
    options.key.id = 1;
    options.encoding = "rot13"; // of a newer stratad: no damage
    assert_int_equal(cold_copy_new(&options, &copy, &e), ERR_UNAVAILABLE);
    options.encoding = "raw";
    options.stored_size = 9;
    assert_int_equal(cold_copy_new(&options, &copy, &e), ERR_COLD_UNREADABLE);
    subject_end(&s);
}

// ---- a client that goes away ------------------------------------------------------

static void fetches_no_further_for_who_has_gone(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, 16 * CHUNK, 96 * MIB);
    cold_reads_free(s.reads);
    s.reads = cold_reads_new(&(struct cold_reads_options){96 * MIB, 1});
    counted_store_close(s.store, CHUNK);
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    assert_true(subject_read(&s, reader, 0, CHUNK, MIB));
    while (atomic_load(&s.store->reading) == 0) // the next chunk; one more is queued
        usleep(1000);
    int64_t start_ms = clock_monotonic_ms();
    cold_reader_free(reader);
    assert_true(clock_monotonic_ms() - start_ms < 1000);
    counted_store_open(s.store);
    reader = cold_reader_new(s.reads, s.copy);
    cold_reader_expect(reader, 15 * CHUNK, CHUNK);
    assert_true(subject_read(&s, reader, 15 * CHUNK, CHUNK, MIB));
    cold_reader_free(reader);
    usleep(200000); // for what should not come
    assert_int_equal(atomic_load(&s.store->bytes), 3 * CHUNK);
    subject_end(&s);
}

static void many_come_and_go_while_a_chunk_comes(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, CHUNK, 96 * MIB);
    s.store->delay_us = 20000;
    for (int round = 0; round < 5; round++) {
        struct client clients[4];
        for (size_t i = 0; i < 4; i++)
            clients[i] = (struct client){
                .subject = &s, .copy = s.copy, .piece = (i + 1) * 1000 * 1000};
        run_clients(clients, 4);
    }
    subject_end(&s);
}

static size_t memory_of_encoded(struct subject *s)
{
    struct bytes stored = {0};
    struct cold_encoded encoded = {0};
    struct error e = {0};
    struct cold_copy *copy = NULL;
    assert_int_equal(memory_encode(s->bytes, s->size, 2, &stored, &encoded, &e),
                     ERR_NONE);
    s->key.id = 2;
    counted_store_put(s->store, &s->key, stored.data, stored.size);
    const struct cold_copy_options options = {.store = &s->store->store,
                                              .key = s->key,
                                              .encoding = COLD_ENCODING,
                                              .size = s->size,
                                              .stored_size = stored.size,
                                              .seek_table = encoded.seek_table,
                                              .seek_table_size =
                                                  encoded.seek_table_size};
    assert_int_equal(cold_copy_new(&options, &copy, &e), ERR_NONE);
    size_t memory = cold_copy_memory(copy);
    cold_copy_release(copy);
    free(encoded.seek_table);
    bytes_clear(&stored);
    return memory;
}

// Of all that it holds: a large blob's copy is no small thing to cache.
static void says_how_much_memory_it_takes(void **state)
{
    (void)state;
    struct subject small, large;
    subject_begin(&small, CHUNK, 96 * MIB);
    subject_begin(&large, 5 * CHUNK, 96 * MIB);
    assert_int_equal(cold_copy_memory(large.copy) - cold_copy_memory(small.copy),
                     4 * CHAIN_STATE_SIZE);
    assert_int_equal(memory_of_encoded(&large) - memory_of_encoded(&small),
                     4 * sizeof(struct cold_frame));
    subject_end(&small);
    subject_end(&large);
}

// The same once more, with a copy of the other kind.
#define IN_PIECES(test)                                                                \
    {                                                                                  \
#test "_in_pieces", test, subject_use_pieces, subject_use_chain, NULL          \
    }

int main(void)
{
    const struct CMUnitTest cold_reader_tests[] = {
        cmocka_unit_test(gives_any_range_of_a_blob),
        cmocka_unit_test(fetches_the_chunks_of_the_range_alone),
        cmocka_unit_test(takes_the_first_chunk_over_several_connections),
        cmocka_unit_test(reads_ahead_in_parallel),
        cmocka_unit_test(fetches_once_for_many_readers),
        cmocka_unit_test(keeps_to_its_memory),
        cmocka_unit_test(is_not_held_up_by_slow_readers),
        cmocka_unit_test(a_damaged_chunk_fails_alone),
        cmocka_unit_test(what_is_cut_short_or_away_is_unavailable),
        cmocka_unit_test(a_copy_that_is_gone_is_not_found),
        cmocka_unit_test(fetches_no_further_for_who_has_gone),
        cmocka_unit_test(many_come_and_go_while_a_chunk_comes),
        cmocka_unit_test(says_how_much_memory_it_takes),
        IN_PIECES(gives_any_range_of_a_blob),
        IN_PIECES(fetches_the_chunks_of_the_range_alone),
        IN_PIECES(takes_the_first_chunk_over_several_connections),
        IN_PIECES(reads_ahead_in_parallel),
        IN_PIECES(fetches_once_for_many_readers),
        IN_PIECES(keeps_to_its_memory),
        IN_PIECES(is_not_held_up_by_slow_readers),
        IN_PIECES(what_is_cut_short_or_away_is_unavailable),
        IN_PIECES(fetches_no_further_for_who_has_gone),
        IN_PIECES(many_come_and_go_while_a_chunk_comes),
    };
    return cmocka_run_group_tests(cold_reader_tests, NULL, NULL);
}
