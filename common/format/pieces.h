// SPDX-License-Identifier: Apache-2.0
// The checksums of a raw copy's pieces, as its placement's row keeps them: a piece can
// be handed to a reader before the rest of its chunk is there, and without hashing it.
// docs/COLD-FORMAT.md, "Raw copies". They tell damage, not malice; the chain proves the
// name.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PIECE_SIZE ((size_t)256 << 10) // bytes; a chunk is a whole number of pieces

// Bytes of the table for a blob of `size` bytes.
size_t pieces_table_size(uint64_t size);
// Puts the checksums of the bytes at `offset` of the blob into the table, or compares
// them with it. `offset` is a multiple of PIECE_SIZE, and so is `size` unless the bytes
// are the blob's last.
void pieces_note(void *table, uint64_t offset, const void *bytes, size_t size);
bool pieces_check(const void *table, uint64_t offset, const void *bytes, size_t size);
