// SPDX-License-Identifier: Apache-2.0
#include "client/cli/byte_range.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

// Digits only; *end is behind them.
static bool read_number(const char *text, int64_t *number, const char **end)
{
    if (!isdigit((unsigned char)text[0]))
        return false;
    char *after = NULL;
    errno = 0;
    *number = strtoll(text, &after, 10);
    *end = after;
    return errno == 0;
}

bool byte_range_parse(const char *text, struct byte_range *range)
{
    int64_t first = 0;
    int64_t last = 0;
    const char *end = NULL;
    if (text[0] == '-') {
        if (!read_number(text + 1, &last, &end) || *end != '\0' || last == 0)
            return false;
        *range = (struct byte_range){.offset = -last, .length = (uint64_t)last};
        return true;
    }
    if (!read_number(text, &first, &end) || *end != '-')
        return false;
    if (end[1] == '\0') {
        *range = (struct byte_range){.offset = first, .length = UINT64_MAX};
        return true;
    }
    if (!read_number(end + 1, &last, &end) || *end != '\0' || last < first)
        return false;
    *range =
        (struct byte_range){.offset = first, .length = (uint64_t)(last - first) + 1};
    return true;
}
