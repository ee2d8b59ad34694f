// SPDX-License-Identifier: Apache-2.0
#include "common/format/cold_format.h"
#include "common/format/planes.h"

#define REGION_SIZE 5 // bytes in the frame

size_t cold_regions_write(const struct cold_regions *regions, uint8_t *frame)
{
    uint8_t *at = frame + COLD_SKIPPABLE_HEADER;
    for (size_t i = 0; i < regions->count; i++, at += REGION_SIZE) {
        at[0] = (uint8_t)regions->items[i].width;
        cold_put_32(at + 1, regions->items[i].size);
    }
    size_t listed = regions->count * REGION_SIZE;
    cold_check_of(frame + COLD_SKIPPABLE_HEADER, listed, at);
    cold_put_32(frame, COLD_MAGIC_REGIONS);
    cold_put_32(frame + 4, (uint32_t)(listed + COLD_CHECK_SIZE));
    return COLD_SKIPPABLE_HEADER + listed + COLD_CHECK_SIZE;
}

static bool region_is_valid(const struct cold_region *region)
{
    uint32_t width = region->width;
    return (width == 1 || width == 2 || width == 4 || width == 8) && region->size > 0 &&
           region->size % width == 0;
}

static enum err check_frame(const uint8_t *frame, size_t frame_size, struct error *e)
{
    size_t around = COLD_SKIPPABLE_HEADER + COLD_CHECK_SIZE;
    if (frame_size < around + REGION_SIZE || frame_size > COLD_REGIONS_FRAME_MAXIMUM ||
        (frame_size - around) % REGION_SIZE != 0 ||
        cold_get_32(frame) != COLD_MAGIC_REGIONS ||
        cold_get_32(frame + 4) != frame_size - COLD_SKIPPABLE_HEADER)
        return COLD_UNREADABLE(e, "the list of regions is malformed");
    uint8_t check[COLD_CHECK_SIZE];
    cold_check_of(frame + COLD_SKIPPABLE_HEADER, frame_size - around, check);
    if (memcmp(check, frame + frame_size - COLD_CHECK_SIZE, sizeof check) != 0)
        return COLD_UNREADABLE(e, "the list of regions is damaged");
    return ERR_NONE;
}

enum err cold_regions_parse(const uint8_t *frame, size_t frame_size, size_t chunk_size,
                            struct cold_regions *regions, struct error *e)
{
    enum err err = check_frame(frame, frame_size, e);
    if (err != ERR_NONE)
        return err;
    size_t left = chunk_size;
    uint32_t widest = 1;
    const uint8_t *at = frame + COLD_SKIPPABLE_HEADER;
    regions->count =
        (frame_size - COLD_SKIPPABLE_HEADER - COLD_CHECK_SIZE) / REGION_SIZE;
    for (size_t i = 0; i < regions->count; i++, at += REGION_SIZE) {
        struct cold_region *region = &regions->items[i];
        *region = (struct cold_region){at[0], cold_get_32(at + 1)};
        if (!region_is_valid(region) || region->size > left)
            return COLD_UNREADABLE(e, "region %zu is malformed", i);
        left -= region->size;
        widest = region->width > widest ? region->width : widest;
    }
    if (left > 0 || widest == 1)
        return COLD_UNREADABLE(e,
                               "the regions are not those of a chunk that was split");
    return ERR_NONE;
}

// Where the planes of each number begin in the content.
static void plane_starts(const struct cold_regions *regions,
                         size_t starts[PLANES_MAXIMUM])
{
    size_t sizes[PLANES_MAXIMUM] = {0}, next = 0;
    for (size_t i = 0; i < regions->count; i++) {
        const struct cold_region *region = &regions->items[i];
        for (uint32_t k = 0; k < region->width; k++)
            sizes[k] += region->size / region->width;
    }
    for (size_t k = 0; k < PLANES_MAXIMUM; k++) {
        starts[k] = next;
        next += sizes[k];
    }
}

void cold_regions_split(const struct cold_regions *regions, const uint8_t *chunk,
                        uint8_t *content)
{
    size_t starts[PLANES_MAXIMUM];
    plane_starts(regions, starts);
    for (size_t i = 0; i < regions->count; i++) {
        const struct cold_region *region = &regions->items[i];
        size_t count = region->size / region->width;
        uint8_t *planes[PLANES_MAXIMUM];
        for (size_t k = 0; k < PLANES_MAXIMUM; k++)
            planes[k] = content + starts[k];
        if (region->width == 1)
            memcpy(planes[0], chunk, count);
        else
            planes_split(region->width, chunk, count, planes);
        for (uint32_t k = 0; k < region->width; k++)
            starts[k] += count;
        chunk += region->size;
    }
}

void cold_regions_join(const struct cold_regions *regions, const uint8_t *content,
                       uint8_t *chunk)
{
    size_t starts[PLANES_MAXIMUM];
    plane_starts(regions, starts);
    for (size_t i = 0; i < regions->count; i++) {
        const struct cold_region *region = &regions->items[i];
        size_t count = region->size / region->width;
        const uint8_t *planes[PLANES_MAXIMUM];
        for (size_t k = 0; k < PLANES_MAXIMUM; k++)
            planes[k] = content + starts[k];
        if (region->width == 1)
            memcpy(chunk, planes[0], count);
        else
            planes_join(region->width, chunk, count, planes);
        for (uint32_t k = 0; k < region->width; k++)
            starts[k] += count;
        chunk += region->size;
    }
}
