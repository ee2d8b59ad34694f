// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_body.h"

#include <stdbool.h>

#include "common/cleanup.h"

// How deep arrays and objects lie in each other, as far as that can be told of a text
// that may not parse.
static size_t json_depth(const char *text, size_t size)
{
    size_t depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '[' || c == '{') && ++depth > deepest)
            deepest = depth;
        else if (!in_string && (c == ']' || c == '}') && depth > 0)
            depth--;
    }
    return deepest;
}

enum err json_body_parse(const char *text, size_t size, json_t **body, struct error *e)
{
    *body = NULL;
    // The parser recurses, and a thread's stack is small.
    if (json_depth(text, size) > JSON_DEPTH_MAXIMUM)
        return error_set(e, ERR_BAD_JSON, "nested more than %d deep",
                         JSON_DEPTH_MAXIMUM);
    json_error_t where;
    AUTO_JSON json_t *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (json == NULL)
        return error_set(e, ERR_BAD_JSON, "line %d, column %d: %s", where.line,
                         where.column, where.text);
    if (!json_is_object(json))
        return error_set(e, ERR_INVALID_FIELD, "the body must be a JSON object");
    *body = steal_ptr(json);
    return ERR_NONE;
}
