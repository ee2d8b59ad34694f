// SPDX-License-Identifier: Apache-2.0
// Cold copies whose pieces have checksums of their own; test_cold_reader.c runs its
// tests with them as well.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/format/pieces.h"
#include "tests/unit/cold_subject.h"

static void gives_a_piece_before_the_rest_of_its_chunk(void **state)
{
    (void)state;
    struct subject s;
    struct error e = {0};
    unsigned char *bytes = alloc_zero(CHUNK);
    subject_begin(&s, 2 * CHUNK + 5, 96 * MIB);
    for (size_t wanted = 0; wanted < 16; wanted += 5) {
        size_t from = wanted * PIECE_SIZE + 7, got;
        struct cold_copy *copy = subject_put(&s, 10 + (int64_t)wanted);
        struct cold_reader *reader = cold_reader_new(s.reads, copy);
        cold_reader_expect(reader, from, CHUNK - from);
        counted_store_close(s.store, (wanted + 1) * PIECE_SIZE);
        assert_int_equal(cold_reader_wait(reader, from, &e), ERR_NONE);
        assert_int_equal(cold_reader_read(reader, from, bytes, CHUNK, &got, &e),
                         ERR_NONE);
        assert_int_equal(got, PIECE_SIZE - 7);
        assert_memory_equal(bytes, s.bytes + from, got);
        counted_store_open(s.store);
        assert_true(subject_read(&s, reader, from, CHUNK - from, CHUNK));
        assert_true(subject_read(&s, reader, 0, CHUNK, CHUNK));
        cold_reader_free(reader);
        cold_copy_release(copy);
    }
    free(bytes);
    subject_await_fetched(&s, 4);
    assert_int_equal(atomic_load(&s.store->bytes), 4 * CHUNK);
    subject_end(&s);
}

static void reads_a_piece_once_more_before_it_is_damaged(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, PIECE_SIZE, 96 * MIB);
    counted_store_damage(s.store, &s.key, 1);
    struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
    assert_int_equal(subject_try(reader, 0), ERR_COLD_UNREADABLE);
    assert_int_equal(atomic_load(&s.store->bytes), 2 * PIECE_SIZE);
    counted_store_damage(s.store, &s.key, 1); // as it was
    assert_true(subject_read(&s, reader, 0, s.size, MIB));
    cold_reader_free(reader);
    subject_end(&s);
}

static void needs_a_checksum_of_each_piece(void **state)
{
    (void)state;
    struct subject s;
    struct cold_copy *copy = NULL;
    subject_begin(&s, PIECE_SIZE + 1, 96 * MIB);
    size_t size = pieces_table_size(s.size);
    assert_int_equal(subject_open(&s, size - 1, &copy), ERR_COLD_UNREADABLE);
    assert_int_equal(subject_open(&s, size + 1, &copy), ERR_COLD_UNREADABLE);
    subject_end(&s);
}

struct prober {
    struct subject *subject;
    size_t from;
    bool right; // every byte that came was
    bool failed;
    pthread_t thread;
};

static void *probe(void *context)
{
    struct prober *p = context;
    const struct subject *s = p->subject;
    struct cold_reader *reader = cold_reader_new(s->reads, s->copy);
    unsigned char *bytes = alloc_zero(CHUNK);
    p->right = true;
    for (size_t at = p->from, got; at < s->size && !p->failed; at += got) {
        struct error e = {0};
        p->failed = cold_reader_read(reader, at, bytes, 300000, &got, &e) != ERR_NONE;
        if (p->failed)
            break;
        p->right = p->right && memcmp(bytes, s->bytes + at, got) == 0;
    }
    free(bytes);
    cold_reader_free(reader);
    return NULL;
}

// Some copy pieces out of a chunk while another piece of it fails.
static void a_damaged_piece_fails_under_its_readers(void **state)
{
    (void)state;
    struct subject s;
    struct prober probers[12];
    subject_begin(&s, CHUNK, 96 * MIB);
    counted_store_damage(s.store, &s.key, 9 * PIECE_SIZE + 1);
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < 12; i++) {
            probers[i] = (struct prober){.subject = &s, .from = i * PIECE_SIZE};
            assert_int_equal(
                pthread_create(&probers[i].thread, NULL, probe, &probers[i]), 0);
        }
        for (size_t i = 0; i < 12; i++) {
            pthread_join(probers[i].thread, NULL);
            assert_true(probers[i].right);
            assert_true(probers[i].failed || probers[i].from > 9 * PIECE_SIZE);
        }
    }
    subject_end(&s);
}

static void says_how_much_memory_checksums_take(void **state)
{
    (void)state;
    struct subject small, large;
    subject_begin(&small, PIECE_SIZE, 96 * MIB);
    subject_begin(&large, 9 * PIECE_SIZE, 96 * MIB);
    assert_int_equal(cold_copy_memory(large.copy) - cold_copy_memory(small.copy),
                     pieces_table_size(8 * PIECE_SIZE));
    subject_end(&small);
    subject_end(&large);
}

static void brings_the_rest_of_a_chunk_though_its_reader_has_gone(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, CHUNK, 96 * MIB);
    for (int round = 1; round <= 20; round++) {
        struct cold_copy *copy = subject_put(&s, 10 + round);
        struct cold_reader *reader = cold_reader_new(s.reads, copy);
        assert_int_equal(subject_try(reader, 0), ERR_NONE);
        cold_reader_free(reader);
        subject_await_fetched(&s, (uint64_t)round);
        cold_copy_release(copy);
    }
    subject_end(&s);
}

static void ends_in_the_middle_of_a_chunk(void **state)
{
    (void)state;
    struct subject s;
    subject_begin(&s, CHUNK, 96 * MIB);
    for (int round = 0; round < 50; round++) {
        struct cold_reader *reader = cold_reader_new(s.reads, s.copy);
        assert_int_equal(subject_try(reader, 0), ERR_NONE);
        cold_reader_free(reader);
        cold_reads_free(s.reads);
        s.reads = cold_reads_new(&(struct cold_reads_options){96 * MIB, 8});
    }
    subject_end(&s);
}

int main(void)
{
    const struct CMUnitTest cold_pieces_tests[] = {
        cmocka_unit_test(gives_a_piece_before_the_rest_of_its_chunk),
        cmocka_unit_test(reads_a_piece_once_more_before_it_is_damaged),
        cmocka_unit_test(needs_a_checksum_of_each_piece),
        cmocka_unit_test(a_damaged_piece_fails_under_its_readers),
        cmocka_unit_test(says_how_much_memory_checksums_take),
        cmocka_unit_test(brings_the_rest_of_a_chunk_though_its_reader_has_gone),
        cmocka_unit_test(ends_in_the_middle_of_a_chunk),
    };
    subject_use_pieces(NULL);
    alarm(120); // a piece that never comes would be waited for
    return cmocka_run_group_tests(cold_pieces_tests, NULL, NULL);
}
