// SPDX-License-Identifier: Apache-2.0
// The part of a file that a caller of strata_read means.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct span {
    uint64_t begin; // within the file
    uint64_t end;   // the byte behind the last
};

// `offset` below 0 counts from the end; `length` is cut at the end. False when it
// begins at or behind the end of a file that is not empty.
bool span_of(uint64_t size, int64_t offset, uint64_t length, struct span *span);
