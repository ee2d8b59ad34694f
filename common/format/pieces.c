// SPDX-License-Identifier: Apache-2.0
#include "common/format/pieces.h"

#include <assert.h>
#include <endian.h>
#include <string.h>
#include <xxhash.h>

#define ENTRY_SIZE 4u

static uint32_t checksum(const void *bytes, size_t size)
{
    return htole32((uint32_t)XXH64(bytes, size, 0));
}

size_t pieces_table_size(uint64_t size)
{
    return (size_t)((size + PIECE_SIZE - 1) / PIECE_SIZE) * ENTRY_SIZE;
}

static size_t entry_at(uint64_t offset)
{
    assert(offset % PIECE_SIZE == 0);
    return (size_t)(offset / PIECE_SIZE) * ENTRY_SIZE;
}

static size_t piece_length(size_t left)
{
    return left < PIECE_SIZE ? left : PIECE_SIZE;
}

void pieces_note(void *table, uint64_t offset, const void *bytes, size_t size)
{
    char *entry = (char *)table + entry_at(offset);
    for (size_t done = 0; done < size; done += PIECE_SIZE, entry += ENTRY_SIZE) {
        uint32_t sum = checksum((const char *)bytes + done, piece_length(size - done));
        memcpy(entry, &sum, ENTRY_SIZE);
    }
}

bool pieces_check(const void *table, uint64_t offset, const void *bytes, size_t size)
{
    const char *entry = (const char *)table + entry_at(offset);
    for (size_t done = 0; done < size; done += PIECE_SIZE, entry += ENTRY_SIZE) {
        uint32_t sum = checksum((const char *)bytes + done, piece_length(size - done));
        if (memcmp(entry, &sum, ENTRY_SIZE) != 0)
            return false;
    }
    return true;
}
