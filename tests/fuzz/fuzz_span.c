// SPDX-License-Identifier: Apache-2.0
// What `strata cat --range` and strata_read take. Input: SIZE, a character, the range;
// or SIZE, OFFSET and LENGTH, with a character between, for the library's callers.
// Parser: client/cli/byte_range.c
// Parser: client/lib/span.c
// Options: -max_len=96
#include "client/cli/byte_range.h"
#include "client/lib/span.h"
#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

static void check_span(uint64_t size, int64_t offset, uint64_t length)
{
    struct span span;
    if (!span_of(size, offset, length, &span)) {
        REQUIRE(offset >= 0 && (uint64_t)offset >= size);
        return;
    }
    REQUIRE(span.begin <= span.end && span.end <= size);
    REQUIRE(span.end - span.begin <= length);
    REQUIRE(size == 0 || length == 0 || span.begin < span.end);
    REQUIRE(offset < 0 || span.begin == (uint64_t)offset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    const char *rest = text;
    uint64_t size = fuzz_take_number(&rest);
    struct byte_range range;
    if (byte_range_parse(rest, &range))
        check_span(size, range.offset, range.length);
    int64_t offset = (int64_t)fuzz_take_number(&rest);
    check_span(size, offset, fuzz_take_number(&rest));
    return 0;
}
