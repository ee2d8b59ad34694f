// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/pieces.h"

#define SIZE (3 * PIECE_SIZE + 77)

static void has_four_bytes_for_each_piece(void **state)
{
    (void)state;
    assert_int_equal(pieces_table_size(0), 0);
    assert_int_equal(pieces_table_size(1), 4);
    assert_int_equal(pieces_table_size(PIECE_SIZE), 4);
    assert_int_equal(pieces_table_size(PIECE_SIZE + 1), 8);
    assert_int_equal(pieces_table_size((uint64_t)1 << 40), 16 << 20);
}

static void is_the_low_half_of_xxh64(void **state)
{
    (void)state;
    static const uint8_t wanted[4] = {0x5B, 0x6E, 0x8C, 0xA9}; // of D24EC4F1A98C6E5B
    uint8_t table[4];
    pieces_note(table, 0, "a", 1);
    assert_memory_equal(table, wanted, 4);
}

static void tells_every_changed_piece(void **state)
{
    (void)state;
    AUTO_FREE unsigned char *bytes = alloc_zero(SIZE);
    unsigned char table[16];
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 31 + i / 1000);
    pieces_note(table, 0, bytes, 2 * PIECE_SIZE); // in two goes
    pieces_note(table, 2 * PIECE_SIZE, bytes + 2 * PIECE_SIZE, SIZE - 2 * PIECE_SIZE);
    assert_true(pieces_check(table, 0, bytes, SIZE));
    assert_true(pieces_check(table, PIECE_SIZE, bytes + PIECE_SIZE, PIECE_SIZE));
    for (size_t piece = 0; piece < 4; piece++) {
        size_t from = piece * PIECE_SIZE;
        size_t size = piece < 3 ? PIECE_SIZE : 77;
        bytes[from + size - 1] ^= 0x80;
        assert_false(pieces_check(table, from, bytes + from, size));
        assert_false(pieces_check(table, 0, bytes, SIZE));
        bytes[from + size - 1] ^= 0x80;
    }
    assert_false(pieces_check(table, 0, bytes + PIECE_SIZE, PIECE_SIZE));
}

int main(void)
{
    const struct CMUnitTest pieces_tests[] = {
        cmocka_unit_test(has_four_bytes_for_each_piece),
        cmocka_unit_test(is_the_low_half_of_xxh64),
        cmocka_unit_test(tells_every_changed_piece),
    };
    return cmocka_run_group_tests(pieces_tests, NULL, NULL);
}
