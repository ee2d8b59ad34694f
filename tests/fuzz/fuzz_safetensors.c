// SPDX-License-Identifier: Apache-2.0
// A safetensors file of any bytes: it is refused with a reason, or what its index says
// holds.
// Parser: common/format/safetensors.c
// Options: -max_len=4096
#include <stdint.h>
#include <string.h>

#include "common/format/safetensors.h"
#include "common/names.h"
#include "tests/fuzz/fuzz.h"

static void check_text(const char *text, size_t maximum)
{
    size_t size = strlen(text);
    REQUIRE(size <= maximum && utf8_is_valid(text, size));
}

// The shape's elements fill the length, in numbers that cannot overflow.
static void check_length(const struct safetensors_tensor *tensor)
{
    unsigned bits = safetensors_dtype_bits(tensor->dtype);
    unsigned __int128 elements = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        elements *= tensor->shape[i];
        REQUIRE(elements <= UINT64_MAX);
    }
    REQUIRE(bits == 0 || elements * bits == (unsigned __int128)tensor->length * 8);
}

static void check_index(const struct safetensors *index, uint64_t file_size)
{
    uint64_t next = SAFETENSORS_PREFIX_SIZE + index->header_size;
    REQUIRE(index->count <= SAFETENSORS_TENSORS_MAXIMUM);
    for (size_t i = 0; i < index->count; i++) {
        const struct safetensors_tensor *tensor = index->tensors[i];
        REQUIRE(tensor->offset == next); // in order, without overlap or hole
        REQUIRE(tensor->length <= file_size - next);
        next += tensor->length;
        REQUIRE(tensor->rank <= SAFETENSORS_RANK_MAXIMUM);
        check_text(tensor->name, SAFETENSORS_NAME_MAXIMUM);
        check_text(tensor->dtype, SAFETENSORS_DTYPE_MAXIMUM);
        check_length(tensor);
        REQUIRE(safetensors_find(index, tensor->name) == tensor);
        REQUIRE(i == 0 ||
                strcmp(index->by_name[i - 1]->name, index->by_name[i]->name) < 0);
    }
    REQUIRE(next == file_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t prefix[SAFETENSORS_PREFIX_SIZE] = {0};
    uint64_t header_size = 0;
    struct safetensors *index = NULL;
    struct error e = {0};
    memcpy(prefix, data, size < sizeof prefix ? size : sizeof prefix);
    enum err err = safetensors_header_size(prefix, size, &header_size, &e);
    if (err == ERR_NONE)
        err = safetensors_parse((const char *)data + sizeof prefix, (size_t)header_size,
                                size, &index, &e);
    if (err == ERR_NONE) {
        check_index(index, size);
    } else {
        REQUIRE(err == ERR_TENSORS_UNREADABLE && index == NULL);
        REQUIRE(e.detail[0] != '\0' && utf8_is_valid(e.detail, strlen(e.detail)));
    }
    safetensors_free(index);
    error_clear(&e);
    return 0;
}
