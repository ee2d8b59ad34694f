// SPDX-License-Identifier: Apache-2.0
#include "client/lib/span.h"

bool span_of(uint64_t size, int64_t offset, uint64_t length, struct span *span)
{
    if (offset < 0) {
        uint64_t back = -(uint64_t)offset; // INT64_MIN has no positive counterpart
        span->begin = back < size ? size - back : 0;
    } else {
        span->begin = (uint64_t)offset;
    }
    if (span->begin > size || (span->begin == size && size > 0))
        return false;
    uint64_t left = size - span->begin;
    span->end = span->begin + (length < left ? length : left);
    return true;
}
