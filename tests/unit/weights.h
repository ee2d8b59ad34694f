// SPDX-License-Identifier: Apache-2.0
// Bytes that look like weights, and safetensors files of them.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

struct bytes {
    uint8_t *data;
    size_t size;
};

static inline void bytes_clear(struct bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct bytes){0};
}

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline void random_fill(uint8_t *data, size_t size, uint64_t seed)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)(random_next(&state) >> 24);
}

// Numbers around zero, as weights are: the sum of twelve uniform ones, scaled.
static inline float random_weight(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += (double)(random_next(state) >> 11) / 9007199254740992.0;
    return (float)(0.02 * sum);
}

// Elements of `width` bytes, filled as the floating-point numbers of that width are.
static inline void weights_fill(uint8_t *data, size_t size, unsigned width,
                                uint64_t seed)
{
    uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (size_t i = 0; i + width <= size; i += width) {
        float value = random_weight(&state);
        double wide = (double)value;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        uint16_t upper = (uint16_t)(bits >> 16);
        if (width == 2)
            memcpy(data + i, &upper, sizeof upper);
        else if (width == 4)
            memcpy(data + i, &value, sizeof value);
        else if (width == 8)
            memcpy(data + i, &wide, sizeof wide);
        else
            data[i] = (uint8_t)(int)(value * 1000);
    }
}

// A safetensors file of one tensor. `pad` spaces behind the header shift its phase.
static inline struct bytes safetensors_make(const char *dtype, unsigned width,
                                            size_t elements, size_t pad)
{
    size_t tensor = elements * width;
    char *header = alloc_printf("{\"w\":{\"dtype\":\"%s\",\"shape\":[%zu],"
                                "\"data_offsets\":[0,%zu]}}%*s",
                                dtype, elements, tensor, (int)pad, "");
    uint64_t header_size = strlen(header);
    struct bytes blob = {.size = 8 + header_size + tensor};
    blob.data = alloc_zero(blob.size + 1);
    for (int i = 0; i < 8; i++)
        blob.data[i] = (uint8_t)(header_size >> 8 * i);
    memcpy(blob.data + 8, header, header_size);
    // A complex number is two ordinary ones.
    weights_fill(blob.data + 8 + header_size, tensor,
                 strcmp(dtype, "C64") == 0 ? 4 : width, elements + pad);
    free(header);
    return blob;
}
