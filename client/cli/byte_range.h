// SPDX-License-Identifier: Apache-2.0
// A range of bytes as a user writes it, in the manner of HTTP.
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct byte_range {
    int64_t offset; // negative: from the end
    uint64_t length;
};

// `A-B` (both included), `A-` to the end, `-N` the last N; false otherwise.
bool byte_range_parse(const char *text, struct byte_range *range);
