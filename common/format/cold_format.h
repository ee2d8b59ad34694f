// SPDX-License-Identifier: Apache-2.0
// What the encoder and the decoder share: the frames of docs/COLD-FORMAT.md, written
// and read. Only common/format/cold_*.c and its tests include it. What is read is
// hostile; errors are ERR_COLD_UNREADABLE. Any thread.
#pragma once

#include <endian.h>
#include <string.h>

#include "common/format/cold.h"

#define COLD_MAGIC_DESCRIPTION 0x184D2A53u
#define COLD_MAGIC_REGIONS 0x184D2A54u
#define COLD_MAGIC_SEEK_TABLE 0x184D2A5Eu
#define COLD_MAGIC_SEEKABLE 0x8F92EAB1u
#define COLD_MAGIC_ZSTD 0xFD2FB528u

#define COLD_SKIPPABLE_HEADER 8 // bytes: magic and size
#define COLD_CHECK_SIZE 8       // the first bytes of a SHA-256
#define COLD_DESCRIPTION_FIXED 64
#define COLD_ENTRY_SIZE 12
#define COLD_NO_BYTES_CHECKSUM 0x51D8E999u

#define COLD_REGIONS_MAXIMUM 256
#define COLD_REGIONS_FRAME_MAXIMUM                                                     \
    (COLD_SKIPPABLE_HEADER + 5 * COLD_REGIONS_MAXIMUM + COLD_CHECK_SIZE)

#define COLD_UNREADABLE(e, ...) error_set(e, ERR_COLD_UNREADABLE, __VA_ARGS__)

static inline uint32_t cold_get_32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline uint64_t cold_get_64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static inline void cold_put_32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static inline void cold_put_64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

// ---- cold_description.c -----------------------------------------------------------

// Bytes of the first frame of a blob of so many chunks.
uint64_t cold_description_size(uint64_t chunks);
// *frame is the caller's to free.
void cold_description_write(const struct chain *chain, uint8_t **frame, size_t *size);
// From the first COLD_DESCRIPTION_FIXED bytes of the frame; *frame_size is that of all
// of it, and no larger than `stored_size`.
enum err cold_description_head(const uint8_t *fixed, uint64_t stored_size,
                               uint64_t *size, size_t *frame_size,
                               struct error *e) MUST_CHECK;
// The whole frame, of the size that cold_description_head has said.
enum err cold_description_parse(const uint8_t *frame, size_t frame_size,
                                struct chain *chain, struct error *e) MUST_CHECK;

// ---- cold_regions.c ---------------------------------------------------------------

struct cold_region {
    uint32_t width;
    uint32_t size; // bytes
};
// Of one chunk; none: it is not split.
struct cold_regions {
    size_t count;
    struct cold_region items[COLD_REGIONS_MAXIMUM];
};
// Into COLD_REGIONS_FRAME_MAXIMUM bytes; returns how many it took.
size_t cold_regions_write(const struct cold_regions *regions, uint8_t *frame);
enum err cold_regions_parse(const uint8_t *frame, size_t frame_size, size_t chunk_size,
                            struct cold_regions *regions, struct error *e) MUST_CHECK;
// Between a chunk's bytes and what its frame contains, of the same size.
void cold_regions_split(const struct cold_regions *regions, const uint8_t *chunk,
                        uint8_t *content);
void cold_regions_join(const struct cold_regions *regions, const uint8_t *content,
                       uint8_t *chunk);

// The first COLD_CHECK_SIZE bytes of the SHA-256 of `size` bytes.
void cold_check_of(const void *bytes, size_t size, uint8_t check[COLD_CHECK_SIZE]);
