// SPDX-License-Identifier: Apache-2.0
#include "server/api/range.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum spec_kind { SPEC_INVALID, SPEC_BEYOND, SPEC_WITHIN };

static const char *skip_space(const char *p)
{
    return p + strspn(p, " \t");
}

// Digits as a number that stays at the maximum; *digits says how many there were.
static const char *parse_number(const char *p, uint64_t *value, size_t *digits)
{
    *value = 0;
    *digits = strspn(p, "0123456789");
    for (size_t i = 0; i < *digits; i++) {
        uint64_t digit = (uint64_t)(p[i] - '0');
        if (*value > (UINT64_MAX - digit) / 10) {
            *value = UINT64_MAX;
            break;
        }
        *value = *value * 10 + digit;
    }
    return p + *digits;
}

// One of first-, first-last, -suffix.
static enum spec_kind parse_spec(const char **at, uint64_t size, struct range *range)
{
    uint64_t first, last;
    size_t first_digits, last_digits;
    const char *p = parse_number(*at, &first, &first_digits);
    if (*p != '-')
        return SPEC_INVALID;
    p = parse_number(p + 1, &last, &last_digits);
    *at = p;
    if (first_digits == 0) {
        if (last_digits == 0)
            return SPEC_INVALID;
        range->size = last < size ? last : size;
        range->first = size - range->size;
        return last > 0 ? SPEC_WITHIN : SPEC_BEYOND;
    }
    if (last_digits > 0 && last < first)
        return SPEC_INVALID;
    if (first >= size)
        return SPEC_BEYOND;
    if (last_digits == 0 || last >= size)
        last = size - 1;
    range->first = first;
    range->size = last - first + 1;
    return SPEC_WITHIN;
}

static bool touch(const struct range *a, const struct range *b)
{
    return a->first <= b->first + b->size && b->first <= a->first + a->size;
}

static void unite(struct range *into, const struct range *other)
{
    uint64_t end = into->first + into->size, other_end = other->first + other->size;
    if (other->first < into->first)
        into->first = other->first;
    into->size = (other_end > end ? other_end : end) - into->first;
}

// Adds a range. One that has grown may touch others now, so that it is taken out and
// looked at again, until it touches none.
static void add(struct range_set *set, struct range range)
{
    size_t place = set->count;
    for (size_t i = 0; i < set->count;) {
        if (!touch(&set->ranges[i], &range)) {
            i++;
            continue;
        }
        unite(&range, &set->ranges[i]);
        memmove(&set->ranges[i], &set->ranges[i + 1],
                (set->count - i - 1) * sizeof set->ranges[0]);
        set->count--;
        if (i < place)
            place = i;
        i = 0;
    }
    memmove(&set->ranges[place + 1], &set->ranges[place],
            (set->count - place) * sizeof set->ranges[0]);
    set->ranges[place] = range;
    set->count++;
}

// The list after the unit; false when it does not parse. *specs counts its members.
static bool parse_list(const char *p, uint64_t size, struct range_set *set,
                       size_t *specs)
{
    do {
        struct range range = {0, 0};
        p = skip_space(p);
        if (*p == ',' || *p == '\0') // an empty member of the list
            continue;
        enum spec_kind kind = parse_spec(&p, size, &range);
        p = skip_space(p);
        if (kind == SPEC_INVALID || (*p != ',' && *p != '\0'))
            return false;
        if (++*specs <= RANGE_MAXIMUM && kind == SPEC_WITHIN)
            add(set, range);
    } while (*p++ == ',');
    return *specs > 0;
}

enum range_verdict range_set_parse(const char *header, uint64_t size,
                                   struct range_set *set)
{
    size_t specs = 0;
    set->count = 0;
    if (header == NULL || strncasecmp(header, "bytes=", 6) != 0 ||
        !parse_list(header + 6, size, set, &specs))
        return RANGE_IGNORED;
    if (size == 0 && set->count > 0) // the last bytes of nothing are the whole
        return RANGE_IGNORED;
    return specs > RANGE_MAXIMUM || set->count == 0 ? RANGE_UNSATISFIABLE
                                                    : RANGE_PARTIAL;
}
