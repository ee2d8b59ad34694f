// SPDX-License-Identifier: Apache-2.0
#include "server/http/target.h"

#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/names.h"

enum err target_split(char *target, char **path, char **query, struct error *e)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (const char *c = target; *c != '\0'; c++) {
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return error_set(e, ERR_BAD_REQUEST, "the request target is malformed");
    }
    *path = target;
    for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
        size_t length = strlen(schemes[i]);
        if (strncasecmp(target, schemes[i], length) == 0)
            *path = target + length + strcspn(target + length, "/?");
    }
    if (**path != '/')
        return error_set(e, ERR_BAD_REQUEST, "the request target is not a path");
    char *mark = strchr(*path, '?');
    *query = mark != NULL ? mark + 1 : strchr(*path, '\0');
    if (mark != NULL)
        *mark = '\0';
    return ERR_NONE;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// One character of the text, after %XX; -1 when it is malformed.
static int decode_one(const char *text, size_t left, bool plus_is_space, size_t *used)
{
    *used = 1;
    if (*text == '+' && plus_is_space)
        return ' ';
    if (*text != '%')
        return (unsigned char)*text;
    int high = left >= 3 ? hex_value(text[1]) : -1;
    int low = high >= 0 ? hex_value(text[2]) : -1;
    *used = 3;
    return low < 0 ? -1 : high << 4 | low;
}

char *target_decode(const char *text, size_t length, bool plus_is_space)
{
    AUTO_FREE char *decoded = alloc_zero(length + 1);
    size_t size = 0;
    for (size_t i = 0, used; i < length; i += used) {
        int c = decode_one(text + i, length - i, plus_is_space, &used);
        if (c <= 0)
            return NULL;
        decoded[size++] = (char)c;
    }
    return utf8_is_valid(decoded, size) ? steal_ptr(decoded) : NULL;
}

static enum err parse_pair(struct request *request, const char *text, size_t length,
                           struct request_pair *pair, struct error *e)
{
    const char *equals = memchr(text, '=', length);
    size_t name_length = equals != NULL ? (size_t)(equals - text) : length;
    size_t value_start = equals != NULL ? name_length + 1 : length;
    char *name = target_decode(text, name_length, true);
    char *value = target_decode(text + value_start, length - value_start, true);
    if (name != NULL)
        request_keep(request, name);
    if (value != NULL)
        request_keep(request, value);
    if (name == NULL || value == NULL)
        return error_set(e, ERR_BAD_QUERY, "the query does not decode to UTF-8 text");
    *pair = (struct request_pair){name, value};
    return ERR_NONE;
}

enum err target_parse_query(struct request *request, const char *query,
                            struct request_pair pairs[TARGET_QUERY_MAXIMUM],
                            size_t *count, struct error *e)
{
    *count = 0;
    for (const char *p = query; *p != '\0';) {
        size_t length = strcspn(p, "&");
        if (length > 0 && *count == TARGET_QUERY_MAXIMUM)
            return error_set(e, ERR_BAD_QUERY, "the query has too many parameters");
        if (length > 0) {
            enum err err = parse_pair(request, p, length, &pairs[*count], e);
            if (err != ERR_NONE)
                return err;
            for (size_t i = 0; i < *count; i++) {
                if (strcmp(pairs[i].name, pairs[*count].name) == 0)
                    return error_set_field(e, ERR_BAD_QUERY, pairs[i].name,
                                           "the parameter is given twice");
            }
            ++*count;
        }
        p += length + (p[length] == '&');
    }
    return ERR_NONE;
}
