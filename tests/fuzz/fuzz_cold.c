// SPDX-License-Identifier: Apache-2.0
// Cold copies of any bytes. The first byte says what the rest is:
//   d  a whole copy, as it is
//   t  8 bytes of blob size, 8 of the copy's size, a seek table
//   l  the last bytes of a copy
//   f  1 byte r, r regions of 1 byte of width and 2 of size, and what they contain: a
//      well-made frame and list around it
//   z  the same, but the rest is the data frame itself
//   e  a blob, there and back
//   m  1 byte n, n times 2 bytes of a place and 1 to change it by, a blob: its copy,
//      changed so, gives the blob or nothing
//   n  the same, but the description's check is made right again: a hostile one
// Parser: common/format/cold_layout.c
// Parser: common/format/cold_description.c
// Parser: common/format/cold_regions.c
// Parser: common/format/cold_decode.c
// Parser: common/format/cold_map.c
// Options: -max_len=4096
#include <zstd.h>

#include "common/cleanup.h"
#include "common/format/cold_format.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/cold_memory.h"

static struct {
    struct cold_decoder *decoder;
    ZSTD_CCtx *zstd;
} kept;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    kept.decoder = cold_decoder_new();
    kept.zstd = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(kept.zstd, ZSTD_c_checksumFlag, 1);
    return 0;
}

struct input {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes && input->left > 0; i++, input->left--)
        value |= (uint64_t)*input->at++ << 8 * i;
    return value;
}

static void check_refusal(enum err err, struct error *e)
{
    REQUIRE(err == ERR_COLD_UNREADABLE && e->code == err && e->detail[0] != '\0');
}

// What is decoded hashes to the digest that comes with it.
static enum err decode(const uint8_t *data, size_t size, struct bytes *blob)
{
    struct error e = {0};
    struct digest digest, hashed;
    enum err err = memory_decode(data, size, 1, blob, &digest, &e);
    if (err != ERR_NONE) {
        check_refusal(err, &e);
        return err;
    }
    digest_of(blob->data, blob->size, &hashed);
    REQUIRE(digest_equal(&digest, &hashed));
    return err;
}

static void fuzz_copy(struct input *input)
{
    CLEANUP(bytes_clear) struct bytes blob = {0};
    (void)!decode(input->at, input->left, &blob);
}

static void check_layout(const struct cold_layout *layout)
{
    uint64_t next = cold_description_size(layout->count), size = 0;
    REQUIRE(layout->count == chain_count(layout->size));
    for (size_t i = 0; i < layout->count; i++) {
        const struct cold_frame *frame = &layout->frames[i];
        REQUIRE(frame->offset == next && frame->stored <= COLD_FRAME_MAXIMUM);
        REQUIRE(frame->regions <= frame->stored);
        REQUIRE(frame->regions <= COLD_REGIONS_FRAME_MAXIMUM);
        REQUIRE(frame->size == chain_chunk_size(layout->size, i));
        next += frame->stored;
        size += frame->size;
    }
    REQUIRE(size == layout->size && next <= layout->stored_size);
}

static void fuzz_table(struct input *input)
{
    uint64_t size = take(input, 8), stored_size = take(input, 8);
    AUTO_FREE struct cold_layout *layout = NULL;
    struct error e = {0};
    enum err err =
        cold_layout_parse(input->at, input->left, size, stored_size, &layout, &e);
    if (err != ERR_NONE) {
        check_refusal(err, &e);
        REQUIRE(layout == NULL);
        return;
    }
    REQUIRE(layout->size == size && layout->stored_size == stored_size);
    check_layout(layout);
}

static void fuzz_tail(struct input *input)
{
    uint8_t tail[COLD_TAIL_SIZE] = {0};
    uint64_t offset = 0;
    struct error e = {0};
    memcpy(tail, input->at, input->left < sizeof tail ? input->left : sizeof tail);
    enum err err = cold_tail_parse(tail, 1 << 20, &offset, &e);
    if (err == ERR_NONE)
        REQUIRE(offset < 1 << 20);
    else
        check_refusal(err, &e);
}

static void take_regions(struct input *input, struct cold_regions *regions)
{
    regions->count = (size_t)take(input, 1);
    for (size_t i = 0; i < regions->count; i++) {
        regions->items[i].width = (uint32_t)take(input, 1);
        regions->items[i].size = (uint32_t)take(input, 2);
    }
}

// One frame of a layout that says of it what is there.
static enum err decode_frame(const uint8_t *stored, size_t regions_size, size_t size,
                             size_t content_size, uint8_t *bytes, struct error *e)
{
    AUTO_FREE struct cold_layout *layout =
        alloc_zero(sizeof *layout + sizeof layout->frames[0]);
    layout->count = 1;
    layout->frames[0] = (struct cold_frame){
        .stored = (uint32_t)size,
        .size = (uint32_t)content_size,
        .regions = (uint32_t)regions_size,
        .checksum = size >= 4 ? cold_get_32(stored + size - 4) : 0,
    };
    return cold_frame_decode(kept.decoder, layout, 0, stored, bytes, e);
}

static void fuzz_frame(struct input *input)
{
    struct cold_regions regions;
    struct error e = {0};
    take_regions(input, &regions);
    size_t content_size = input->left, capacity = ZSTD_compressBound(content_size) + 4;
    AUTO_FREE uint8_t *stored = alloc_zero(COLD_REGIONS_FRAME_MAXIMUM + capacity);
    AUTO_FREE uint8_t *bytes = malloc(content_size + 1);
    AUTO_FREE uint8_t *again = malloc(content_size + 1);
    size_t size = cold_regions_write(&regions, stored), regions_size = size;
    size += ZSTD_compress2(kept.zstd, stored + size, capacity, input->at, content_size);
    enum err err = decode_frame(stored, regions_size, size, content_size, bytes, &e);
    if (err != ERR_NONE) {
        check_refusal(err, &e);
        return;
    }
    // Only one content splits into this one.
    cold_regions_split(&regions, bytes, again);
    REQUIRE(memcmp(again, input->at, content_size) == 0);
}

static void fuzz_data(struct input *input)
{
    struct cold_regions regions;
    struct error e = {0};
    take_regions(input, &regions);
    size_t content_size = 0;
    for (size_t i = 0; i < regions.count; i++)
        content_size += regions.items[i].size;
    AUTO_FREE uint8_t *stored = alloc_zero(COLD_REGIONS_FRAME_MAXIMUM + input->left);
    AUTO_FREE uint8_t *bytes = malloc(content_size + 1);
    size_t size = regions.count > 1 ? cold_regions_write(&regions, stored) : 0;
    size_t regions_size = size;
    if (input->left > 0)
        memcpy(stored + size, input->at, input->left);
    size += input->left;
    // Memory of exactly its size, so that a read behind it is seen.
    AUTO_FREE uint8_t *exact = malloc(size + (size == 0));
    REQUIRE(exact != NULL);
    memcpy(exact, stored, size);
    enum err err = decode_frame(exact, regions_size, size, content_size, bytes, &e);
    if (err != ERR_NONE)
        check_refusal(err, &e);
}

static void encode(struct input *input, struct bytes *copy)
{
    struct error e = {0};
    REQUIRE(memory_encode(input->at, input->left, 1, copy, NULL, &e) == ERR_NONE);
    REQUIRE(copy->size <= cold_bound(input->left));
}

static void check_same(const struct bytes *blob, const struct input *input)
{
    REQUIRE(blob->size == input->left);
    REQUIRE(blob->size == 0 || memcmp(blob->data, input->at, blob->size) == 0);
}

static void fuzz_blob(struct input *input)
{
    CLEANUP(bytes_clear) struct bytes copy = {0}, blob = {0};
    encode(input, &copy);
    REQUIRE(decode(copy.data, copy.size, &blob) == ERR_NONE);
    check_same(&blob, input);
}

// As far as the description is still one.
static void repair_description(struct bytes *copy)
{
    size_t end = COLD_SKIPPABLE_HEADER + (size_t)cold_get_32(copy->data + 4);
    if (end > copy->size || end < COLD_DESCRIPTION_FIXED + COLD_CHECK_SIZE)
        return;
    end -= COLD_CHECK_SIZE;
    cold_check_of(copy->data + COLD_SKIPPABLE_HEADER, end - COLD_SKIPPABLE_HEADER,
                  copy->data + end);
}

static void change_copy(struct input *input, bool repairs)
{
    uint8_t changes[3 * 255];
    size_t count = (size_t)take(input, 1);
    for (size_t i = 0; i < 3 * count; i++)
        changes[i] = (uint8_t)take(input, 1);
    CLEANUP(bytes_clear) struct bytes copy = {0}, blob = {0};
    encode(input, &copy);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *change = changes + 3 * i;
        size_t place = (size_t)(change[0] | change[1] << 8) % copy.size;
        copy.data[place] ^= change[2];
    }
    if (repairs)
        repair_description(&copy);
    // Another blob would have another digest, and none is known that bytes lead to.
    if (decode(copy.data, copy.size, &blob) == ERR_NONE)
        check_same(&blob, input);
}

static void fuzz_changes(struct input *input)
{
    change_copy(input, false);
}

static void fuzz_hostile(struct input *input)
{
    change_copy(input, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        char name;
        void (*run)(struct input *input);
    } kinds[] = {{'d', fuzz_copy},    {'t', fuzz_table},  {'l', fuzz_tail},
                 {'f', fuzz_frame},   {'z', fuzz_data},   {'e', fuzz_blob},
                 {'m', fuzz_changes}, {'n', fuzz_hostile}};
    struct input input = {data + 1, size - 1};
    for (size_t i = 0; size > 0 && i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].name == (char)data[0])
            kinds[i].run(&input);
    }
    return 0;
}
