// SPDX-License-Identifier: Apache-2.0
#include "common/format/cold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "tests/unit/cold_memory.h"

#define CHUNK ((size_t)CHAIN_CHUNK_SIZE)

static void encode_ok(const uint8_t *data, size_t size, unsigned threads,
                      struct bytes *copy, struct cold_encoded *encoded)
{
    struct error e = {0};
    if (memory_encode(data, size, threads, copy, encoded, &e) != ERR_NONE)
        fail_msg("%zu bytes: %s", size, e.detail);
    assert_true(copy->size <= cold_bound(size));
}

static void decode_equals(const struct bytes *copy, unsigned threads,
                          const uint8_t *data, size_t size)
{
    struct error e = {0};
    struct digest digest, expected;
    CLEANUP(bytes_clear) struct bytes blob = {0};
    if (memory_decode(copy->data, copy->size, threads, &blob, &digest, &e) != ERR_NONE)
        fail_msg("%zu bytes: %s", size, e.detail);
    digest_of(data, size, &expected);
    assert_true(digest_equal(&digest, &expected));
    assert_int_equal(blob.size, size);
    if (size > 0)
        assert_memory_equal(blob.data, data, size);
}

// There and back; returns how many bytes the copy has.
static size_t round_trip(const uint8_t *data, size_t size)
{
    CLEANUP(bytes_clear) struct bytes copy = {0};
    encode_ok(data, size, 1, &copy, NULL);
    decode_equals(&copy, 1, data, size);
    return copy.size;
}

// Per cent of the blob that encoding saves.
static double saved(const struct bytes *blob)
{
    return 100 -
           100.0 * (double)round_trip(blob->data, blob->size) / (double)blob->size;
}

static void sizes_of_plain_bytes(void **state)
{
    (void)state;
    const size_t sizes[] = {
        0, 1, 2, 7, 9, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 77};
    size_t most = 2 * CHUNK + 77;
    AUTO_FREE uint8_t *data = alloc_zero(most);
    random_fill(data, most, 1);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        size_t stored = round_trip(data, sizes[i]);
        assert_true(stored >= sizes[i]); // nothing in it shrinks, and little is added
        assert_true(stored <= sizes[i] + sizes[i] / 1000 + 400);
    }
    memset(data, 'x', most);
    assert_true(round_trip(data, most) < 2000);
}

static void dtypes(void **state)
{
    (void)state;
    const struct {
        const char *dtype;
        unsigned width;
        double least; // per cent saved
    } cases[] = {{"BF16", 2, 32}, {"F32", 4, 15}, {"F16", 2, 5},    {"C64", 8, 15},
                 {"F64", 8, 5},   {"I8", 1, 5},   {"F8_E4M3", 1, 5}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(bytes_clear)
        struct bytes blob =
            safetensors_make(cases[i].dtype, cases[i].width, 1 << 18, 0);
        double have = saved(&blob);
        if (have < cases[i].least)
            fail_msg("%s: %.1f %% saved", cases[i].dtype, have);
    }
    CLEANUP(bytes_clear)
    struct bytes unknown = safetensors_make("BF32", 4, 1 << 18, 0);
    assert_true(saved(&unknown) < 15);
}

// The first border cuts an element at each of its bytes, which costs next to nothing.
static void phases(void **state)
{
    (void)state;
    const char *const names[] = {"BF16", "F32", "F64"};
    for (unsigned width = 2, i = 0; width <= 8; width *= 2, i++) {
        double least = 0, most = 0;
        for (size_t pad = 0; pad < width; pad++) {
            CLEANUP(bytes_clear)
            struct bytes blob =
                safetensors_make(names[i], width, (CHUNK + CHUNK / 4) / width, pad);
            double part = (double)round_trip(blob.data, blob.size) / (double)blob.size;
            least = pad == 0 || part < least ? part : least;
            most = part > most ? part : most;
        }
        if (most > 1.005 * least)
            fail_msg("%s: %.4f to %.4f of the size", names[i], least, most);
    }
}

// Every number of elements around what is done sixteen at a time.
static void few_elements(void **state)
{
    (void)state;
    const char *const names[] = {"BF16", "F32", "F64"};
    for (unsigned width = 2, i = 0; width <= 8; width *= 2, i++) {
        for (size_t count = 0; count < 70; count++) {
            CLEANUP(bytes_clear)
            struct bytes blob = safetensors_make(names[i], width, count, count % 3);
            round_trip(blob.data, blob.size);
        }
    }
    // So that they are split and not stored as they are: all the same.
    for (unsigned width = 2, i = 0; width <= 8; width *= 2, i++) {
        for (size_t count = 200; count < 240; count++) {
            CLEANUP(bytes_clear)
            struct bytes blob = safetensors_make(names[i], width, count, count % 3);
            memset(blob.data + blob.size - count * width, 0x5a, count * width - 3);
            assert_true(round_trip(blob.data, blob.size) < blob.size);
        }
    }
}

// Tensors of changing dtypes and odd lengths, more than a chunk can list.
static void many_tensors(void **state)
{
    (void)state;
    const struct {
        const char *dtype;
        size_t width;
    } kinds[] = {{"BF16", 2}, {"U8", 1}, {"F32", 4}, {"BOOL", 1}, {"F64", 8}};
    for (size_t count = 1; count <= 1500; count += 37) {
        struct buf header;
        buf_init(&header, 0);
        size_t offset = 0;
        for (size_t i = 0; i < count; i++) {
            size_t k = (i * 7 + i / 5) % ARRAY_SIZE(kinds), elements = 1 + i % 97;
            size_t end = offset + elements * kinds[k].width;
            buf_printf(&header,
                       "%c\"%zu\":{\"dtype\":\"%s\",\"shape\":[%zu],"
                       "\"data_offsets\":[%zu,%zu]}",
                       i > 0 ? ',' : '{', i, kinds[k].dtype, elements, offset, end);
            offset = end;
        }
        buf_putc(&header, '}');
        CLEANUP(bytes_clear) struct bytes blob = {.size = 8 + header.size + offset};
        blob.data = alloc_zero(blob.size);
        for (int i = 0; i < 8; i++)
            blob.data[i] = (uint8_t)(header.size >> 8 * i);
        memcpy(blob.data + 8, header.data, header.size);
        weights_fill(blob.data + 8 + header.size, offset, 2, count);
        round_trip(blob.data, blob.size);
        buf_clear(&header);
    }
}

// A header that is not what a safetensors file has: bytes like any other.
static void malformed_headers(void **state)
{
    (void)state;
    const char *const headers[] = {
        "{", "{}", "[]",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,9]}}",
        "{\"w\":{\"dtype\":\"F32\",\"shape\":[99999999999],\"data_offsets\":[0,8]}}"};
    for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
        size_t length = strlen(headers[i]);
        uint8_t data[300] = {0};
        data[0] = (uint8_t)length;
        memcpy(data + 8, headers[i], length);
        random_fill(data + 8 + length, 100, i);
        round_trip(data, 8 + length + 8);
        round_trip(data, sizeof data);
        round_trip(data, 9);
        data[5] = 1; // far more header than there is file
        round_trip(data, sizeof data);
    }
}

static void threads(void **state)
{
    (void)state;
    CLEANUP(bytes_clear)
    struct bytes blob = safetensors_make("BF16", 2, 5 * CHUNK / 2 + 12345, 1);
    CLEANUP(bytes_clear) struct bytes one = {0};
    encode_ok(blob.data, blob.size, 1, &one, NULL);
    for (unsigned count = 2; count <= 9; count += 3) {
        CLEANUP(bytes_clear) struct bytes copy = {0};
        encode_ok(blob.data, blob.size, count, &copy, NULL);
        assert_int_equal(copy.size, one.size);
        assert_memory_equal(copy.data, one.data, one.size);
        decode_equals(&copy, count, blob.data, blob.size);
    }
}

static void errors_of_callbacks(void **state)
{
    (void)state;
    CLEANUP(bytes_clear) struct bytes blob = safetensors_make("BF16", 2, 2 * CHUNK, 0);
    CLEANUP(chain_clear) struct chain chain = {0};
    chain_of(blob.data, blob.size, &chain);
    atomic_bool cancel = false;
    for (unsigned run = 0; run < 16; run++) {
        struct memory memory = {.from = blob.data, .from_size = blob.size};
        struct cold_encode_request request = {
            .chain = &chain,
            .read = memory_read,
            .write = memory_write,
            .context = &memory,
            .threads = 1 + run % 3,
            .cancel = &cancel,
        };
        struct cold_encoded encoded = {0};
        struct error e = {0};
        enum err expected = ERR_INSUFFICIENT_STORAGE;
        // The description, five chunks, the seek table: seven writes.
        memory.fail_write = run < 7 ? run + 1 : 0;
        if (run >= 7 && run < 12) {
            memory.from_size = blob.size - 1;
            expected = ERR_INTERNAL;
        } else if (run >= 12) {
            cancel = true;
            expected = ERR_UNAVAILABLE;
        }
        assert_int_equal(cold_encode(&request, &encoded, &e), expected);
        assert_int_equal(e.code, expected);
        assert_null(encoded.seek_table);
        bytes_clear(&memory.to);
    }
}

static void estimates(void **state)
{
    (void)state;
    const struct {
        size_t elements;
        double off; // of the true size
    } cases[] = {{0, 0}, {100000, 0}, {3 * CHUNK, 0}, {20 * CHUNK, 0.02}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(bytes_clear)
        struct bytes blob = safetensors_make("BF16", 2, cases[i].elements, 0);
        CLEANUP(chain_clear) struct chain chain = {0};
        chain_of(blob.data, blob.size, &chain);
        struct memory memory = {.from = blob.data, .from_size = blob.size};
        const struct cold_encode_request request = {
            .chain = &chain, .read = memory_read, .context = &memory};
        struct error e = {0};
        uint64_t estimate = 0;
        assert_int_equal(cold_estimate(&request, &estimate, &e), ERR_NONE);
        assert_true(memory.reads <= 17 * CHUNK);
        size_t stored = round_trip(blob.data, blob.size);
        double off = (double)estimate / (double)stored - 1;
        if (off > cases[i].off || off < -cases[i].off)
            fail_msg("%zu bytes: %zu stored, estimated %zu", blob.size, stored,
                     (size_t)estimate);
    }
}

static void chunks_alone(void **state)
{
    (void)state;
    CLEANUP(bytes_clear)
    struct bytes blob = safetensors_make("F32", 4, 2 * CHUNK / 4 + 9999, 3);
    CLEANUP(bytes_clear) struct bytes copy = {0};
    struct cold_encoded encoded;
    struct error e = {0};
    encode_ok(blob.data, blob.size, 1, &copy, &encoded);
    AUTO_FREE void *table = encoded.seek_table;
    AUTO_FREE struct cold_layout *layout = NULL;
    uint64_t offset = 0;
    assert_int_equal(encoded.stored_size, copy.size);
    assert_int_equal(
        cold_tail_parse(copy.data + copy.size - COLD_TAIL_SIZE, copy.size, &offset, &e),
        ERR_NONE);
    assert_int_equal(offset + encoded.seek_table_size, copy.size);
    assert_memory_equal(copy.data + offset, table, encoded.seek_table_size);
    assert_int_equal(cold_layout_parse(table, encoded.seek_table_size, blob.size,
                                       copy.size, &layout, &e),
                     ERR_NONE);
    assert_int_equal(layout->count, 3);
    struct cold_decoder *decoder = cold_decoder_new();
    AUTO_FREE uint8_t *bytes = alloc_zero(CHUNK);
    for (size_t i = layout->count; i-- > 0;) {
        const struct cold_frame *frame = &layout->frames[i];
        assert_true(frame->regions > 0 && frame->stored <= COLD_FRAME_MAXIMUM);
        assert_int_equal(frame->size, chain_chunk_size(blob.size, i));
        assert_int_equal(
            cold_frame_decode(decoder, layout, i, copy.data + frame->offset, bytes, &e),
            ERR_NONE);
        assert_memory_equal(bytes, blob.data + i * CHUNK, frame->size);
    }
    cold_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_of_plain_bytes),
        cmocka_unit_test(dtypes),
        cmocka_unit_test(phases),
        cmocka_unit_test(few_elements),
        cmocka_unit_test(many_tensors),
        cmocka_unit_test(malformed_headers),
        cmocka_unit_test(threads),
        cmocka_unit_test(errors_of_callbacks),
        cmocka_unit_test(estimates),
        cmocka_unit_test(chunks_alone),
    };
    return cmocka_run_group_tests_name("cold", tests, NULL, NULL);
}
