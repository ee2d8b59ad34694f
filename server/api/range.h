// SPDX-License-Identifier: Apache-2.0
// Byte ranges of RFC 9110, section 14.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RANGE_MAXIMUM 64

struct range {
    uint64_t first; // offset
    uint64_t size;  // bytes, at least 1
};

// In the order asked for; those that overlap or touch are one, in the place of the
// earliest of them.
struct range_set {
    struct range ranges[RANGE_MAXIMUM];
    size_t count;
};

enum range_verdict {
    RANGE_IGNORED,       // none, of another unit, or it does not parse: send the whole
    RANGE_PARTIAL,       // `set` holds at least one
    RANGE_UNSATISFIABLE, // none begins before the end, or more than 64: 416
};

// `header` is the value of Range, or NULL; `size` the bytes of the whole.
enum range_verdict range_set_parse(const char *header, uint64_t size,
                               struct range_set *set);
