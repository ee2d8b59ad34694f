// SPDX-License-Identifier: Apache-2.0
#include "server/api/conditions.h"

#include <stddef.h>
#include <string.h>

static const char *skip(const char *p, const char *characters)
{
    return p + strspn(p, characters);
}

bool etag_list_has(const char *header, const char *etag, bool weak)
{
    if (header == NULL)
        return false;
    const char *p = skip(header, " \t");
    if (*p == '*')
        return *skip(p + 1, " \t") == '\0';
    size_t length = strlen(etag);
    for (p = skip(p, " \t,"); *p != '\0'; p = skip(p, " \t,")) {
        bool is_weak = strncmp(p, "W/", 2) == 0;
        p += is_weak ? 2 : 0;
        const char *end = *p == '"' ? strchr(p + 1, '"') : NULL;
        if (end == NULL)
            return false;
        end++;
        if ((size_t)(end - p) == length && memcmp(p, etag, length) == 0 &&
            (weak || !is_weak))
            return true;
        p = end;
    }
    return false;
}

bool etag_is_same(const char *header, const char *etag)
{
    const char *p = skip(header, " \t");
    size_t length = strlen(etag);
    return strncmp(p, etag, length) == 0 && *skip(p + length, " \t") == '\0';
}

bool etag_conditions_hold(const void *context, const char *etag)
{
    const struct etag_conditions *conditions = context;
    if (conditions->match != NULL &&
        (etag == NULL || !etag_list_has(conditions->match, etag, false)))
        return false;
    return etag == NULL || !etag_list_has(conditions->none_match, etag, true);
}
