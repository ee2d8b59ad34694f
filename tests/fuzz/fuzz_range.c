// SPDX-License-Identifier: Apache-2.0
// The header Range. Input: SIZE, a character, the header's value.
// Parser: server/api/range.c
// Options: -max_len=512
#include <inttypes.h>
#include <stdbool.h>
#include <strings.h>

#include "common/cleanup.h"
#include "server/api/range.h"
#include "tests/fuzz/fuzz.h"

static bool are_apart(const struct range *a, const struct range *b)
{
    return a->first + a->size < b->first || b->first + b->size < a->first;
}

static void check_set(const struct range_set *set, uint64_t size)
{
    REQUIRE(set->count <= RANGE_MAXIMUM);
    for (size_t i = 0; i < set->count; i++) {
        const struct range *range = &set->ranges[i];
        REQUIRE(range->size > 0 && range->first < size);
        REQUIRE(range->size <= size - range->first);
        for (size_t k = 0; k < i; k++)
            REQUIRE(are_apart(range, &set->ranges[k]));
    }
}

// Written out and read again it is the same set.
static void check_round_trip(const struct range_set *set, uint64_t size)
{
    char text[64 * 44] = "bytes=";
    size_t used = strlen(text);
    for (size_t i = 0; i < set->count; i++) {
        const struct range *range = &set->ranges[i];
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%s%" PRIu64 "-%" PRIu64, i > 0 ? ", " : "",
                                 range->first, range->first + range->size - 1);
    }
    struct range_set again;
    REQUIRE(range_set_parse(text, size, &again) == RANGE_PARTIAL);
    REQUIRE(again.count == set->count);
    for (size_t i = 0; i < set->count; i++)
        REQUIRE(again.ranges[i].first == set->ranges[i].first &&
                again.ranges[i].size == set->ranges[i].size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    const char *header = text;
    uint64_t size = fuzz_take_number(&header);
    struct range_set set;
    enum range_verdict verdict = range_set_parse(header, size, &set);
    if (verdict == RANGE_PARTIAL) {
        REQUIRE(set.count > 0);
        check_set(&set, size);
        check_round_trip(&set, size);
    }
    if (strncasecmp(header, "bytes=", 6) != 0)
        REQUIRE(verdict == RANGE_IGNORED);
    REQUIRE(range_set_parse(NULL, size, &set) == RANGE_IGNORED);
    return 0;
}
