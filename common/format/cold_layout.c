// SPDX-License-Identifier: Apache-2.0
// The seek table: entries in order, from which the place of every frame follows.
#include <inttypes.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/cold_format.h"

#define AROUND (COLD_SKIPPABLE_HEADER + COLD_TAIL_SIZE) // bytes that are not entries
#define HAS_CHECKSUMS 0x80

enum err cold_tail_parse(const uint8_t tail[COLD_TAIL_SIZE], uint64_t stored_size,
                         uint64_t *seek_table_offset, struct error *e)
{
    uint64_t size = AROUND + (uint64_t)cold_get_32(tail) * COLD_ENTRY_SIZE;
    if (tail[4] != HAS_CHECKSUMS || cold_get_32(tail + 5) != COLD_MAGIC_SEEKABLE)
        return COLD_UNREADABLE(e, "it does not end with a seek table");
    if (size > stored_size)
        return COLD_UNREADABLE(e, "its seek table is larger than itself");
    *seek_table_offset = stored_size - size;
    return ERR_NONE;
}

struct entry {
    uint32_t stored, size, checksum;
};

// Reads entries from the first to the last.
struct reading {
    const uint8_t *next, *end;
    uint64_t offset; // in the copy, of the frame that `next` is about
};

static bool take_entry(struct reading *reading, struct entry *entry)
{
    if (reading->next == reading->end)
        return false;
    entry->stored = cold_get_32(reading->next);
    entry->size = cold_get_32(reading->next + 4);
    entry->checksum = cold_get_32(reading->next + 8);
    reading->next += COLD_ENTRY_SIZE;
    reading->offset += entry->stored;
    return true;
}

static bool is_skippable(const struct entry *entry)
{
    return entry->size == 0 && entry->checksum == COLD_NO_BYTES_CHECKSUM;
}

static enum err check_frame(const uint8_t *table, size_t size, struct error *e)
{
    uint64_t offset;
    if (size < AROUND || cold_get_32(table) != COLD_MAGIC_SEEK_TABLE ||
        cold_get_32(table + 4) != size - COLD_SKIPPABLE_HEADER)
        return COLD_UNREADABLE(e, "the seek table is malformed");
    enum err err = cold_tail_parse(table + size - COLD_TAIL_SIZE, size, &offset, e);
    if (err == ERR_NONE && offset != 0)
        err = COLD_UNREADABLE(e, "the seek table has another size than it says");
    return err;
}

// A chunk's one entry or two.
static enum err take_chunk(struct reading *reading, size_t index, size_t chunk_size,
                           struct cold_frame *frame, struct error *e)
{
    struct entry entry;
    *frame = (struct cold_frame){.offset = reading->offset};
    bool found = take_entry(reading, &entry);
    if (found && chunk_size > 0 && is_skippable(&entry)) {
        if (entry.stored > COLD_REGIONS_FRAME_MAXIMUM)
            return COLD_UNREADABLE(e, "too many regions in chunk %zu", index);
        frame->regions = entry.stored;
        found = take_entry(reading, &entry);
    }
    if (!found || entry.size != chunk_size ||
        entry.stored > COLD_FRAME_MAXIMUM - frame->regions)
        return COLD_UNREADABLE(e, "the seek table does not fit: chunk %zu", index);
    frame->stored = frame->regions + entry.stored;
    frame->size = entry.size;
    frame->checksum = entry.checksum;
    return ERR_NONE;
}

static enum err take_chunks(struct reading *reading, struct cold_layout *layout,
                            struct error *e)
{
    struct entry first;
    if (!take_entry(reading, &first) || !is_skippable(&first) ||
        first.stored != cold_description_size(layout->count))
        return COLD_UNREADABLE(e, "the seek table does not fit: description");
    for (size_t i = 0; i < layout->count; i++) {
        enum err err = take_chunk(reading, i, chain_chunk_size(layout->size, i),
                                  &layout->frames[i], e);
        if (err != ERR_NONE)
            return err;
    }
    if (reading->next != reading->end)
        return COLD_UNREADABLE(e, "the seek table has more frames than chunks");
    return ERR_NONE;
}

enum err cold_layout_parse(const void *seek_table, size_t seek_table_size,
                           uint64_t size, uint64_t stored_size,
                           struct cold_layout **layout, struct error *e)
{
    const uint8_t *table = seek_table;
    enum err err = check_frame(table, seek_table_size, e);
    if (err != ERR_NONE)
        return err;
    // Before memory is taken for so many: there is an entry for each at least.
    if (size > INT64_MAX || chain_count(size) > seek_table_size / COLD_ENTRY_SIZE)
        return COLD_UNREADABLE(e, "the seek table is too short for %" PRIu64 " bytes",
                               size);
    size_t count = chain_count(size);
    AUTO_FREE struct cold_layout *made =
        alloc_zero(sizeof *made + count * sizeof made->frames[0]);
    *made = (struct cold_layout){size, stored_size, count};
    struct reading reading = {.next = table + COLD_SKIPPABLE_HEADER,
                              .end = table + seek_table_size - COLD_TAIL_SIZE};
    err = take_chunks(&reading, made, e);
    if (err == ERR_NONE && reading.offset + seek_table_size != stored_size)
        err = COLD_UNREADABLE(e, "the frames' sizes are not those of %" PRIu64 " bytes",
                              stored_size);
    if (err == ERR_NONE)
        *layout = steal_ptr(made);
    return err;
}
