// SPDX-License-Identifier: Apache-2.0
// Copies that are not what the encoder wrote: refused, or the very same bytes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <zstd.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "common/format/cold_format.h"
#include "tests/unit/cold_memory.h"

// A small copy: a header, two kinds of elements, a phase.
static struct bytes small_blob(void)
{
    return safetensors_make("BF16", 2, 300, 1);
}

static struct bytes encoded(const struct bytes *blob)
{
    struct bytes copy = {0};
    struct error e = {0};
    if (memory_encode(blob->data, blob->size, 1, &copy, NULL, &e) != ERR_NONE)
        fail_msg("%s", e.detail);
    return copy;
}

// True when it was refused. What is written is the beginning of the blob or nothing.
static bool is_refused(const struct bytes *copy, const struct bytes *blob)
{
    struct error e = {0};
    struct digest digest;
    CLEANUP(bytes_clear) struct bytes out = {0};
    enum err err = memory_decode(copy->data, copy->size, 1, &out, &digest, &e);
    assert_int_equal(err, e.code);
    if (err == ERR_NONE)
        assert_int_equal(out.size, blob->size);
    else
        assert_int_equal(err, ERR_COLD_UNREADABLE);
    assert_true(out.size <= blob->size);
    if (out.size > 0)
        assert_memory_equal(out.data, blob->data, out.size);
    return err != ERR_NONE;
}

static void every_flipped_bit(void **state)
{
    (void)state;
    CLEANUP(bytes_clear) struct bytes blob = small_blob();
    CLEANUP(bytes_clear) struct bytes copy = encoded(&blob);
    size_t harmless = 0;
    assert_false(is_refused(&copy, &blob));
    for (size_t bit = 0; bit < 8 * copy.size; bit++) {
        copy.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        harmless += !is_refused(&copy, &blob);
        copy.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    // zstd's frame header has a bit without a meaning; a literal's padding may have
    // some.
    print_message("# %zu of %zu bits without a meaning\n", harmless, 8 * copy.size);
    assert_true(harmless <= 8);
}

static void every_length(void **state)
{
    (void)state;
    CLEANUP(bytes_clear) struct bytes blob = small_blob();
    CLEANUP(bytes_clear) struct bytes copy = encoded(&blob);
    size_t whole = copy.size;
    for (copy.size = 0; copy.size < whole; copy.size++)
        assert_true(is_refused(&copy, &blob));
    copy.data = alloc_grow(copy.data, whole + 1, 1);
    copy.data[whole] = 0;
    copy.size = whole + 1;
    assert_true(is_refused(&copy, &blob));
}

// ---- copies by hand ---------------------------------------------------------------

// A copy of the blob of `chunk_size` bytes whose one chunk has these frames.
struct made {
    struct bytes blob;
    const uint8_t *regions;
    size_t regions_size;
    const uint8_t *data;
    size_t data_size;
};

static void put_entry(struct bytes *copy, size_t stored, size_t size, uint32_t checksum)
{
    uint8_t *at = copy->data + copy->size;
    cold_put_32(at, (uint32_t)stored);
    cold_put_32(at + 4, (uint32_t)size);
    cold_put_32(at + 8, checksum);
    copy->size += COLD_ENTRY_SIZE;
}

static void put_bytes(struct bytes *copy, const void *bytes, size_t size)
{
    if (size > 0)
        memcpy(copy->data + copy->size, bytes, size);
    copy->size += size;
}

static struct bytes make_copy(const struct made *made)
{
    CLEANUP(chain_clear) struct chain chain = {0};
    AUTO_FREE uint8_t *description = NULL;
    size_t size;
    chain_of(made->blob.data, made->blob.size, &chain);
    cold_description_write(&chain, &description, &size);
    struct bytes copy = {
        .data = alloc_zero(size + made->regions_size + made->data_size + 99)};
    put_bytes(&copy, description, size);
    put_bytes(&copy, made->regions, made->regions_size);
    put_bytes(&copy, made->data, made->data_size);
    uint32_t frames = made->regions_size > 0 ? 3 : 2;
    uint8_t around[9];
    cold_put_32(around, COLD_MAGIC_SEEK_TABLE);
    cold_put_32(around + 4, frames * COLD_ENTRY_SIZE + COLD_TAIL_SIZE);
    put_bytes(&copy, around, 8);
    put_entry(&copy, size, 0, COLD_NO_BYTES_CHECKSUM);
    if (made->regions_size > 0)
        put_entry(&copy, made->regions_size, 0, COLD_NO_BYTES_CHECKSUM);
    put_entry(&copy, made->data_size, made->blob.size,
              made->data_size >= 4 ? cold_get_32(made->data + made->data_size - 4) : 0);
    cold_put_32(around, frames);
    around[4] = 0x80;
    cold_put_32(around + 5, COLD_MAGIC_SEEKABLE);
    put_bytes(&copy, around, 9);
    return copy;
}

static bool made_is_refused(const struct made *made)
{
    CLEANUP(bytes_clear) struct bytes copy = make_copy(made);
    return is_refused(&copy, &made->blob);
}

static size_t zstd_frame(const void *content, size_t size, bool checksum, bool has_size,
                         uint8_t *frame, size_t capacity)
{
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, checksum);
    ZSTD_CCtx_setParameter(zstd, ZSTD_c_contentSizeFlag, has_size);
    size_t stored = ZSTD_compress2(zstd, frame, capacity, content, size);
    ZSTD_freeCCtx(zstd);
    assert_false(ZSTD_isError(stored));
    return stored;
}

static void frames_of_data(void **state)
{
    (void)state;
    uint8_t blob[] = "a blob that nobody would mistake for another", two[400];
    uint8_t frame[200], empty[50];
    struct made made = {.blob = {blob, sizeof blob}, .data = frame};
    made.data_size = zstd_frame(blob, sizeof blob, true, true, frame, sizeof frame);
    assert_false(made_is_refused(&made));
    // Without the checksum, of another size, of another content.
    made.data_size = zstd_frame(blob, sizeof blob, false, true, frame, sizeof frame);
    assert_true(made_is_refused(&made));
    made.data_size = zstd_frame(blob, sizeof blob - 1, true, true, frame, sizeof frame);
    assert_true(made_is_refused(&made));
    made.data_size = zstd_frame(two, sizeof blob + 1, true, true, frame, sizeof frame);
    assert_true(made_is_refused(&made));
    blob[0] = 'b';
    made.data_size = zstd_frame(blob, sizeof blob, true, true, frame, sizeof frame);
    blob[0] = 'a';
    assert_true(made_is_refused(&made));
    // Two frames where one should be.
    size_t first = zstd_frame(blob, 0, true, true, empty, sizeof empty);
    memcpy(two, empty, first);
    made.data = two;
    made.data_size = first + zstd_frame(blob, sizeof blob, true, true, two + first,
                                        sizeof two - first);
    assert_true(made_is_refused(&made));
    made.data_size = 0;
    assert_true(made_is_refused(&made));
}

static size_t list_regions(const struct cold_region *items, size_t count,
                           uint8_t *frame)
{
    struct cold_regions regions = {.count = count};
    if (count > 0)
        memcpy(regions.items, items, count * sizeof *items);
    return cold_regions_write(&regions, frame);
}

static void lists_of_regions(void **state)
{
    (void)state;
    uint8_t blob[20], content[20], frame[100], list[COLD_REGIONS_FRAME_MAXIMUM + 20];
    for (size_t i = 0; i < sizeof blob; i++)
        blob[i] = (uint8_t)(i * i + 1);
    struct cold_regions good = {.count = 3, .items = {{1, 3}, {2, 8}, {1, 9}}};
    cold_regions_split(&good, blob, content);
    struct made made = {.blob = {blob, sizeof blob}, .data = frame, .regions = list};
    made.data_size =
        zstd_frame(content, sizeof content, true, true, frame, sizeof frame);
    made.regions_size = cold_regions_write(&good, list);
    assert_false(made_is_refused(&made));
    const struct {
        size_t count;
        struct cold_region items[4];
    } lists[] = {
        {3, {{1, 3}, {2, 8}, {1, 8}}},           {3, {{1, 3}, {2, 8}, {1, 10}}},
        {3, {{1, 3}, {2, 9}, {1, 8}}},           {3, {{1, 3}, {3, 9}, {1, 8}}},
        {4, {{1, 3}, {2, 0}, {2, 8}, {1, 9}}},   {3, {{0, 3}, {2, 8}, {1, 9}}},
        {3, {{1, 3}, {16, 16}, {1, 1}}},         {1, {{1, 20}}},
        {3, {{2, 0xfffffffe}, {2, 2}, {2, 20}}}, {0, {{0, 0}}},
    };
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        made.regions_size = list_regions(lists[i].items, lists[i].count, list);
        if (!made_is_refused(&made))
            fail_msg("list %zu was taken", i);
    }
    // Other regions than the content was made with: whole frames, but not the blob.
    made.regions_size = list_regions((const struct cold_region[]){{2, 20}}, 1, list);
    assert_true(made_is_refused(&made));
}

static void tables_of_other_sizes(void **state)
{
    (void)state;
    CLEANUP(bytes_clear) struct bytes blob = small_blob();
    struct bytes copy = {0};
    struct cold_encoded made = {0};
    struct error e = {0};
    assert_int_equal(memory_encode(blob.data, blob.size, 1, &copy, &made, &e),
                     ERR_NONE);
    AUTO_FREE void *table = made.seek_table;
    const struct {
        size_t table_size;
        uint64_t size, stored_size;
    } bad[] = {
        {made.seek_table_size, blob.size + 1, copy.size},
        {made.seek_table_size, blob.size - 1, copy.size},
        {made.seek_table_size, 0, copy.size},
        {made.seek_table_size, blob.size + CHAIN_CHUNK_SIZE, copy.size},
        {made.seek_table_size, UINT64_MAX, copy.size},
        {made.seek_table_size, INT64_MAX, copy.size},
        {made.seek_table_size, blob.size, copy.size + 1},
        {made.seek_table_size, blob.size, copy.size - 1},
        {made.seek_table_size, blob.size, 0},
        {made.seek_table_size - 1, blob.size, copy.size},
        {16, blob.size, copy.size},
        {0, blob.size, copy.size},
    };
    struct cold_layout *layout = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        enum err err = cold_layout_parse(table, bad[i].table_size, bad[i].size,
                                         bad[i].stored_size, &layout, &e);
        assert_int_equal(err, ERR_COLD_UNREADABLE);
        assert_null(layout);
    }
    bytes_clear(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit),     cmocka_unit_test(every_length),
        cmocka_unit_test(frames_of_data),        cmocka_unit_test(lists_of_regions),
        cmocka_unit_test(tables_of_other_sizes),
    };
    return cmocka_run_group_tests_name("cold_damage", tests, NULL, NULL);
}
