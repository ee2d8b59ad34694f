// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/cold_subject.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/format/pieces.h"

static bool in_pieces;

int subject_use_pieces(void **state)
{
    (void)state;
    in_pieces = true;
    return 0;
}

int subject_use_chain(void **state)
{
    (void)state;
    in_pieces = false;
    return 0;
}

enum err subject_open(struct subject *s, size_t table_size, struct cold_copy **copy)
{
    struct error e = {0};
    AUTO_FREE void *table = alloc_zero(pieces_table_size(s->size));
    pieces_note(table, 0, s->bytes, s->size);
    const struct cold_copy_options options = {.store = &s->store->store,
                                              .key = s->key,
                                              .encoding = "raw",
                                              .size = s->size,
                                              .stored_size = s->size,
                                              .seek_table = in_pieces ? table : NULL,
                                              .seek_table_size = table_size,
                                              .chain = in_pieces ? NULL : &s->chain};
    return cold_copy_new(&options, copy, &e);
}

struct cold_copy *subject_put(struct subject *s, int64_t id)
{
    s->key.id = id;
    chain_digest(&s->chain, &s->key.digest);
    counted_store_put(s->store, &s->key, s->bytes, s->size);
    struct cold_copy *copy = NULL;
    assert_int_equal(subject_open(s, pieces_table_size(s->size), &copy), ERR_NONE);
    return copy;
}

static void make_bytes(struct subject *s, size_t size)
{
    uint64_t state = size + 1;
    s->size = size;
    s->bytes = alloc_zero(size + 8);
    for (size_t i = 0; i < size; i += 8) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(s->bytes + i, &state, 8);
    }
    struct chain_hasher *hasher = chain_hasher_new();
    chain_hasher_update(hasher, s->bytes, size);
    chain_hasher_finish(hasher, &s->chain);
    chain_hasher_free(hasher);
}

void subject_begin(struct subject *s, size_t size, size_t memory)
{
    memset(s, 0, sizeof *s);
    s->store = counted_store_new();
    s->reads = cold_reads_new(&(struct cold_reads_options){memory, 8});
    make_bytes(s, size);
    s->copy = subject_put(s, 1);
}

void subject_end(struct subject *s)
{
    cold_copy_release(s->copy);
    cold_reads_free(s->reads);
    counted_store_free(s->store);
    chain_clear(&s->chain);
    free(s->bytes);
}

struct cold_reads_counts subject_counts(struct subject *s)
{
    struct cold_reads_counts counts;
    cold_reads_count(s->reads, &counts);
    return counts;
}

// What was given in pieces may still be on its way.
void subject_await_fetched(struct subject *s, uint64_t chunks)
{
    int64_t until_ms = clock_monotonic_ms() + 5000;
    while (subject_counts(s).fetched < chunks && clock_monotonic_ms() < until_ms)
        usleep(1000);
    assert_int_equal(subject_counts(s).fetched, chunks);
}

// Reads a range in pieces of `piece` bytes; whether all of it was right.
bool subject_read(struct subject *s, struct cold_reader *reader, size_t offset,
                  size_t size, size_t piece)
{
    unsigned char *to = alloc_zero(piece);
    bool right = true;
    for (size_t done = 0, got; right && done < size; done += got) {
        struct error e = {0};
        size_t want = size - done < piece ? size - done : piece;
        right =
            cold_reader_read(reader, offset + done, to, want, &got, &e) == ERR_NONE &&
            got > 0 && memcmp(to, s->bytes + offset + done, got) == 0;
    }
    free(to);
    return right;
}

enum err subject_try(struct cold_reader *reader, size_t offset)
{
    struct error e = {0};
    unsigned char byte;
    size_t got;
    enum err err = cold_reader_read(reader, offset, &byte, 1, &got, &e);
    assert_int_equal(err, e.code);
    assert_true(err == ERR_NONE || e.detail[0] != '\0');
    return err;
}
