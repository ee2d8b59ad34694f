// SPDX-License-Identifier: Apache-2.0
// Where a blob has elements of which kind, from its safetensors header if it has one.
// What the header says is hostile, but it can only make the copy larger.
#pragma once

#include "common/format/cold_format.h"

struct cold_range {
    uint64_t begin, end; // bytes of the blob
    uint32_t width;      // 1: elements of 8 bits, which are not split
};
// In their order, without overlap. A blob that is no safetensors file has none.
// Read-only once made: any thread.
struct cold_map {
    size_t count;
    struct cold_range *ranges; // owned
};

// Fails only as the request's `read` does.
enum err cold_map_read(const struct cold_encode_request *request, struct cold_map *map,
                       struct error *e) MUST_CHECK;
void cold_map_clear(struct cold_map *map);
// The regions of a chunk: none when nothing in it can be split. Returns how many of its
// bytes are elements of a tensor.
size_t cold_map_regions(const struct cold_map *map, uint64_t offset, size_t size,
                        struct cold_regions *regions);
