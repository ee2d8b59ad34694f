// SPDX-License-Identifier: Apache-2.0
// The header of a safetensors file: which tensor lies where. The input is hostile: all
// of it is bounded and checked, and memory stays within a small multiple of the header.
// What is valid is what the format's document and its reference library demand
// (github.com/huggingface/safetensors): 8 bytes of little-endian header size, that many
// bytes of a JSON object, then the tensors' bytes, all of them indexed, without overlap
// or hole.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define SAFETENSORS_PREFIX_SIZE 8
#define SAFETENSORS_HEADER_MAXIMUM 100000000u // bytes, as in the reference library
#define SAFETENSORS_TENSORS_MAXIMUM 262144u   // of one file
#define SAFETENSORS_METADATA_MAXIMUM 65536u   // members of __metadata__
#define SAFETENSORS_RANK_MAXIMUM 64
#define SAFETENSORS_NAME_MAXIMUM 1024 // bytes of a tensor's name
#define SAFETENSORS_DTYPE_MAXIMUM 32  // bytes

struct safetensors_tensor {
    uint64_t offset;   // of its first byte, from the first byte of the file
    uint64_t length;   // bytes
    const char *name;  // UTF-8 without NUL, may be "" and may hold any other character
    const char *dtype; // as in the file
    size_t rank;       // 0: one element
    uint64_t shape[];
};

// Read-only once it is made: any thread.
struct safetensors {
    struct safetensors_tensor **tensors; // by offset, then length, then name
    struct safetensors_tensor **by_name; // the same, bytewise by name
    size_t count;
    uint64_t header_size; // bytes of JSON
    size_t bytes;         // of memory, about
};

// The header's size, from the first eight bytes of a file of `file_size` bytes.
// ERR_TENSORS_UNREADABLE when the file is too short for it, or it is over the maximum.
enum err safetensors_header_size(const uint8_t prefix[SAFETENSORS_PREFIX_SIZE],
                                 uint64_t file_size, uint64_t *size,
                                 struct error *e) MUST_CHECK;

// Parses `size` bytes of JSON, as safetensors_header_size has said, of a file of
// `file_size` bytes. ERR_TENSORS_UNREADABLE says in its detail what is wrong. *index is
// to be freed with safetensors_free.
enum err safetensors_parse(const char *header, size_t size, uint64_t file_size,
                           struct safetensors **index, struct error *e) MUST_CHECK;
void safetensors_free(struct safetensors *index); // NULL is allowed
static inline void safetensors_free_at(struct safetensors **index)
{
    safetensors_free(*index);
}

// NULL when there is no tensor of this name.
const struct safetensors_tensor *safetensors_find(const struct safetensors *index,
                                                  const char *name);

// Bits of an element; 0 for a dtype that is not known here, whose tensors are indexed
// by their offsets alone.
unsigned safetensors_dtype_bits(const char *dtype);
