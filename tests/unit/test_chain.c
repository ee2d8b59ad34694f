// SPDX-License-Identifier: Apache-2.0
#include "common/format/chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHUNK ((size_t)CHAIN_CHUNK_SIZE)

static uint8_t *bytes_new(size_t size)
{
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    uint64_t x = 88172645463325252u; // Marsaglia's xorshift64
    for (size_t i = 0; i < size; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        bytes[i] = (uint8_t)x;
    }
    return bytes;
}

static void chain_make(const void *bytes, size_t size, size_t step, struct chain *chain)
{
    struct chain_hasher *hasher = chain_hasher_new();
    for (size_t at = 0; at < size; at += step) {
        size_t piece = size - at < step ? size - at : step;
        chain_hasher_update(hasher, (const uint8_t *)bytes + at, piece);
    }
    assert_int_equal(chain_hasher_size(hasher), size);
    chain_hasher_finish(hasher, chain);
    chain_hasher_free(hasher);
}

static void digest_is(const void *bytes, size_t size, const char *wanted)
{
    struct chain chain;
    chain_make(bytes, size, 7, &chain);
    struct digest digest;
    chain_digest(&chain, &digest);
    char text[DIGEST_HEX_SIZE];
    digest_format(&digest, text);
    assert_string_equal(text, wanted);
    chain_clear(&chain);
}

// FIPS 180-4's examples, and the empty message.
static void known_digests(void **state)
{
    (void)state;
    digest_is("", 0,
              "e3b0c44298fc1c149afbf4c8996fb924"
              "27ae41e4649b934ca495991b7852b855");
    digest_is("abc", 3,
              "ba7816bf8f01cfea414140de5dae2223"
              "b00361a396177a9cb410ff61f20015ad");
    const char *two = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    digest_is(two, strlen(two),
              "248d6a61d20638b8e5c026930c3e6039"
              "a33ce45964ff2167f6ecedd419db06c1");
    char *million = malloc(1000000);
    memset(million, 'a', 1000000);
    digest_is(million, 1000000,
              "cdc76e5c9914fb9281a1c7e284d73e67"
              "f1809a48a497200e046d39ccc7112cd0");
    free(million);
}

// Every chunk checks alone, last first, and one pass of EVP gives the same digest.
static void sizes_around_the_border(void **state)
{
    (void)state;
    const size_t sizes[] = {
        0,
        1,
        63,
        64,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        2 * CHUNK,
        2 * CHUNK + 64,
        3 * CHUNK - 1,
    };
    uint8_t *bytes = bytes_new(3 * CHUNK);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct chain chain;
        chain_make(bytes, sizes[i], 1000003, &chain);
        assert_int_equal(chain.size, sizes[i]);
        size_t count = sizes[i] == 0 ? 1 : (sizes[i] + CHUNK - 1) / CHUNK;
        assert_int_equal(chain.count, count);
        struct digest evp;
        digest_of(bytes, sizes[i], &evp);
        assert_memory_equal(chain.states[chain.count - 1], evp.bytes, DIGEST_SIZE);
        size_t covered = 0;
        for (size_t c = chain.count; c-- > 0;) { // out of order
            size_t size = chain_chunk_size(sizes[i], c);
            assert_true(chain_check_chunk(&chain, c, bytes + c * CHUNK, size));
            assert_false(chain_check_chunk(&chain, c, bytes + c * CHUNK, size + 1));
            covered += size;
        }
        assert_int_equal(covered, sizes[i]);
        chain_clear(&chain);
    }
    free(bytes);
}

static void flipped_bit_is_found_in_its_chunk(void **state)
{
    (void)state;
    size_t size = 3 * CHUNK + 5;
    uint8_t *bytes = bytes_new(size);
    struct chain chain;
    chain_make(bytes, size, size, &chain);
    const size_t places[] = {0, CHUNK - 1, CHUNK, 2 * CHUNK + 77, size - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        bytes[places[i]] ^= 0x10;
        for (size_t c = 0; c < chain.count; c++) {
            assert_int_equal(chain_check_chunk(&chain, c, bytes + c * CHUNK,
                                               chain_chunk_size(size, c)),
                             c != places[i] / CHUNK);
        }
        struct chain_checker *checker = chain_checker_new(&chain, 0);
        assert_false(chain_checker_update(checker, bytes, size));
        assert_int_equal(chain_checker_done(checker), places[i] / CHUNK);
        assert_false(chain_checker_update(checker, bytes, 0));
        chain_checker_free(checker);
        bytes[places[i]] ^= 0x10;
    }
    chain_clear(&chain);
    free(bytes);
}

static void checker_takes_any_pieces_from_any_chunk(void **state)
{
    (void)state;
    size_t size = 3 * CHUNK + 5;
    uint8_t *bytes = bytes_new(size);
    struct chain chain;
    chain_make(bytes, size, 4096, &chain);
    for (size_t first = 0; first < chain.count; first++) {
        struct chain_checker *checker = chain_checker_new(&chain, first);
        for (size_t at = first * CHUNK; at < size; at += 65537) {
            size_t piece = size - at < 65537 ? size - at : 65537;
            assert_int_equal(chain_checker_done(checker), at / CHUNK - first);
            assert_true(chain_checker_update(checker, bytes + at, piece));
        }
        assert_int_equal(chain_checker_done(checker), chain.count - first);
        assert_false(chain_checker_update(checker, bytes, 1)); // more than the blob has
        chain_checker_free(checker);
    }
    chain_clear(&chain);
    free(bytes);
}

// The values of chunks 1 and 2 alone, with the one before them.
static void checker_of_a_part_stops_at_its_end(void **state)
{
    (void)state;
    size_t size = 3 * CHUNK + 5;
    uint8_t *bytes = bytes_new(size);
    struct chain chain;
    chain_make(bytes, size, size, &chain);
    const uint8_t(*states)[CHAIN_STATE_SIZE] =
        (const uint8_t(*)[CHAIN_STATE_SIZE])chain.states;
    struct chain_checker *checker = chain_checker_new_at(size, 1, 2, states);
    assert_true(chain_checker_update(checker, bytes + CHUNK, 2 * CHUNK));
    assert_int_equal(chain_checker_done(checker), 2);
    assert_false(chain_checker_update(checker, bytes + 3 * CHUNK, 1));
    chain_checker_free(checker);
    bytes[2 * CHUNK] ^= 1;
    checker = chain_checker_new_at(size, 1, 2, states);
    assert_false(chain_checker_update(checker, bytes + CHUNK, 2 * CHUNK));
    assert_int_equal(chain_checker_done(checker), 1);
    chain_checker_free(checker);
    chain_clear(&chain);
    free(bytes);
}

static void empty_blob(void **state)
{
    (void)state;
    struct chain chain;
    chain_make("", 0, 1, &chain);
    assert_int_equal(chain_count(0), 1);
    assert_int_equal(chain_chunk_size(0, 0), 0);
    struct chain_checker *checker = chain_checker_new(&chain, 0);
    assert_true(chain_checker_update(checker, "", 0));
    assert_int_equal(chain_checker_done(checker), 1);
    assert_false(chain_checker_update(checker, "x", 1));
    chain_checker_free(checker);
    chain.states[0][0] ^= 1;
    assert_false(chain_check_chunk(&chain, 0, "", 0));
    chain_clear(&chain);
}

static void wrong_chain_is_not_bound(void **state)
{
    (void)state;
    size_t size = CHUNK + 9;
    uint8_t *bytes = bytes_new(size);
    struct chain chain;
    chain_make(bytes, size, size, &chain);
    struct digest digest, root, raw;
    chain_digest(&chain, &digest);
    chain_root(&chain, &root);
    digest_of(chain.states, 2 * CHAIN_STATE_SIZE, &raw);
    assert_true(digest_equal(&root, &raw));
    assert_true(chain_is_bound(&chain, &digest, &root));
    chain.states[0][31] ^= 1; // the digest is right, a border is not
    assert_false(chain_is_bound(&chain, &digest, &root));
    assert_false(chain_check_chunk(&chain, 0, bytes, CHUNK));
    assert_false(chain_check_chunk(&chain, 1, bytes + CHUNK, 9));
    chain.states[0][31] ^= 1;
    digest.bytes[0] ^= 1;
    assert_false(chain_is_bound(&chain, &digest, &root));
    chain_clear(&chain);
    free(bytes);
}

static void json_goes_there_and_back(void **state)
{
    (void)state;
    size_t size = CHUNK + 9;
    uint8_t *bytes = bytes_new(size);
    struct chain chain, back;
    chain_make(bytes, size, size, &chain);
    json_t *json = chain_to_json(&chain);
    struct error e = {0};
    assert_int_equal(chain_from_json(json, size, "chain", &back, &e), ERR_NONE);
    assert_int_equal(back.count, 2);
    assert_memory_equal(back.states, chain.states, 2 * CHAIN_STATE_SIZE);
    chain_clear(&back);
    assert_int_equal(chain_from_raw(size, chain.states, 64, &back, &e), ERR_NONE);
    assert_memory_equal(back.states, chain.states, 2 * CHAIN_STATE_SIZE);
    chain_clear(&back);
    assert_int_equal(chain_from_raw(size, chain.states, 63, &back, &e),
                     ERR_INVALID_FIELD);
    json_decref(json);
    chain_clear(&chain);
    free(bytes);
}

static void json_refused(const char *text, uint64_t size, enum err code,
                         const char *field)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(json);
    struct chain chain;
    struct error e = {0};
    assert_int_equal(chain_from_json(json, size, "chain", &chain, &e), code);
    assert_string_equal(e.field, field);
    json_decref(json);
}

static void bad_json_names_its_field(void **state)
{
    (void)state;
#define STATE "0000000000000000000000000000000000000000000000000000000000000000"
    json_refused("[]", 1, ERR_INVALID_FIELD, "chain");
    json_refused("{}", 1, ERR_INVALID_FIELD, "chain.states");
    json_refused("{\"states\":[]}", 0, ERR_INVALID_FIELD, "chain.states");
    json_refused("{\"states\":[\"" STATE "\"]}", 0, ERR_INVALID_FIELD, "chain.states");
    json_refused("{\"states\":[\"" STATE "\",\"" STATE "\"]}", CHAIN_CHUNK_SIZE,
                 ERR_INVALID_FIELD, "chain.states");
    json_refused("{\"states\":[\"" STATE "\",\"x\"]}", CHAIN_CHUNK_SIZE + 1,
                 ERR_INVALID_FIELD, "chain.states[1]");
    json_refused("{\"states\":[7]}", 1, ERR_INVALID_FIELD, "chain.states[0]");
    json_refused("{\"states\":[\"" STATE "\"],\"size\":2}", 1, ERR_INVALID_FIELD,
                 "chain.size");
    json_refused("{\"states\":[\"" STATE "\"],\"chunk_size\":1}", 1, ERR_INVALID_FIELD,
                 "chain.chunk_size");
    json_refused("{\"states\":[\"" STATE "\"],\"more\":1}", 1, ERR_UNKNOWN_FIELD,
                 "chain.more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(sizes_around_the_border),
        cmocka_unit_test(flipped_bit_is_found_in_its_chunk),
        cmocka_unit_test(checker_takes_any_pieces_from_any_chunk),
        cmocka_unit_test(checker_of_a_part_stops_at_its_end),
        cmocka_unit_test(empty_blob),
        cmocka_unit_test(wrong_chain_is_not_bound),
        cmocka_unit_test(json_goes_there_and_back),
        cmocka_unit_test(bad_json_names_its_field),
    };
    return cmocka_run_group_tests_name("chain", tests, NULL, NULL);
}
