// SPDX-License-Identifier: Apache-2.0
// Writes past the page cache (O_DIRECT), for large files that go to disk once: the copy
// into fresh pages and their write-back cost more CPU than SHA-256 does. File systems
// that refuse, and pieces that are not aligned, are written as usual. Such writes are
// not durable by themselves: fdatasync of either descriptor is still needed.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Of buffer, offset and size, in bytes.
#define DIRECT_ALIGNMENT ((size_t)4096)
// Smaller files are better left in the page cache for who reads them next.
#define DIRECT_FILE_MINIMUM ((uint64_t)256 << 20)

// Opens the file of `fd` once more, for writing past the page cache. -1 when its size
// is below DIRECT_FILE_MINIMUM or where that cannot be had; the caller closes it.
int direct_open(int fd, uint64_t size);
// Memory that is aligned; never NULL, freed with free. `size` is a multiple of the
// alignment.
void *direct_buffer(size_t size);
// Writes all of it, through `direct_fd` (or -1) what is aligned, through `fd` what is
// not. False with errno.
bool direct_write(int direct_fd, int fd, const void *bytes, size_t size,
                  uint64_t offset);
