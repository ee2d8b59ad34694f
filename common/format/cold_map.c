// SPDX-License-Identifier: Apache-2.0
#include "common/format/cold_map.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/format/safetensors.h"

// A header is read whole. A larger one is none of a model that anybody has.
#define HEADER_MAXIMUM ((uint64_t)32 << 20)

static const struct {
    const char *dtype;
    uint32_t width;
} split_dtypes[] = {{"BF16", 2}, {"F16", 2}, {"F32", 4}, {"C64", 4}, {"F64", 8}};

// 0: elements that ordinary compression does better with.
static uint32_t dtype_width(const char *dtype)
{
    for (size_t i = 0; i < ARRAY_SIZE(split_dtypes); i++) {
        if (strcmp(split_dtypes[i].dtype, dtype) == 0)
            return split_dtypes[i].width;
    }
    return safetensors_dtype_bits(dtype) == 8 && strcmp(dtype, "BOOL") != 0 ? 1 : 0;
}

void cold_map_clear(struct cold_map *map)
{
    free(map->ranges);
    *map = (struct cold_map){0};
}

// Neighbours of one width are one range: their borders are between two elements.
static void map_add(struct cold_map *map, const struct safetensors_tensor *tensor)
{
    uint32_t width = dtype_width(tensor->dtype);
    struct cold_range *last = map->count > 0 ? &map->ranges[map->count - 1] : NULL;
    if (width == 0 || tensor->length == 0)
        return;
    if (last != NULL && last->width == width && last->end == tensor->offset)
        last->end += tensor->length;
    else
        map->ranges[map->count++] =
            (struct cold_range){tensor->offset, tensor->offset + tensor->length, width};
}

static void map_header(struct cold_map *map, const char *header, size_t size,
                       uint64_t file_size)
{
    CLEANUP(safetensors_free_at) struct safetensors *index = NULL;
    if (safetensors_parse(header, size, file_size, &index, NULL) != ERR_NONE)
        return;
    map->ranges = alloc_array(index->count, sizeof *map->ranges);
    for (size_t i = 0; i < index->count; i++)
        map_add(map, index->tensors[i]);
}

enum err cold_map_read(const struct cold_encode_request *request, struct cold_map *map,
                       struct error *e)
{
    uint64_t file_size = request->chain->size, size;
    uint8_t start[SAFETENSORS_PREFIX_SIZE + 1];
    *map = (struct cold_map){0};
    if (file_size < sizeof start)
        return ERR_NONE;
    enum err err = request->read(request->context, 0, start, sizeof start, e);
    if (err != ERR_NONE)
        return err;
    if (safetensors_header_size(start, file_size, &size, NULL) != ERR_NONE ||
        size > HEADER_MAXIMUM || start[SAFETENSORS_PREFIX_SIZE] != '{')
        return ERR_NONE;
    AUTO_FREE char *header = alloc_zero(size + 1);
    err = request->read(request->context, SAFETENSORS_PREFIX_SIZE, header, size, e);
    if (err == ERR_NONE)
        map_header(map, header, size, file_size);
    return err;
}

// The first range that ends behind `offset`.
static size_t first_range(const struct cold_map *map, uint64_t offset)
{
    size_t low = 0, high = map->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (map->ranges[middle].end <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add_region(struct cold_regions *regions, uint32_t width, uint64_t size)
{
    struct cold_region *last =
        regions->count > 0 ? &regions->items[regions->count - 1] : NULL;
    if (size == 0)
        return;
    if (last != NULL && last->width == width)
        last->size += (uint32_t)size;
    else
        regions->items[regions->count++] = (struct cold_region){width, (uint32_t)size};
}

// The part of a range that is whole elements within the chunk; false: there is none.
static bool whole_elements(const struct cold_range *range, uint64_t offset,
                           uint64_t end, uint64_t *from, uint64_t *to)
{
    uint64_t width = range->width;
    *from = range->begin;
    if (*from < offset)
        *from += (offset - *from + width - 1) / width * width;
    *to = range->end < end ? range->end : end;
    if (*to <= *from)
        return false;
    *to -= (*to - *from) % width;
    return *to > *from;
}

size_t cold_map_regions(const struct cold_map *map, uint64_t offset, size_t size,
                        struct cold_regions *regions)
{
    uint64_t end = offset + size, next = offset, from, to;
    size_t elements = 0;
    bool splits = false;
    regions->count = 0;
    // A range adds two regions at most, and what is behind the last another.
    for (size_t i = first_range(map, offset);
         i < map->count && map->ranges[i].begin < end &&
         regions->count + 3 <= COLD_REGIONS_MAXIMUM;
         i++) {
        const struct cold_range *range = &map->ranges[i];
        if (!whole_elements(range, offset, end, &from, &to))
            continue;
        add_region(regions, 1, from - next);
        add_region(regions, range->width, to - from);
        elements += (size_t)(to - from);
        splits = splits || range->width > 1;
        next = to;
    }
    add_region(regions, 1, end - next);
    if (!splits)
        regions->count = 0;
    return elements;
}
