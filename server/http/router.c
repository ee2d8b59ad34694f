// SPDX-License-Identifier: Apache-2.0
#include "server/http/router.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "server/http/target.h"

struct capture {
    const char *start;
    size_t length;
};

// Walks pattern and path side by side. `{name}` takes a non-empty segment, `{name+}`
// the non-empty rest.
static bool match(const char *pattern, const char *path, struct capture *captures,
                  size_t *count)
{
    *count = 0;
    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        const char *end = strchr(pattern, '}');
        assert(end != NULL && *count < REQUEST_PARAMS_MAXIMUM);
        size_t length = end[-1] == '+' ? strlen(path) : strcspn(path, "/");
        if (length == 0)
            return false;
        captures[(*count)++] = (struct capture){path, length};
        path += length;
        pattern = end + 1;
    }
    return *path == '\0';
}

static bool method_fits(const char *route_method, const char *method)
{
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    return strcmp(route_method, method) == 0;
}

static void add_allowed(char allow[256], const char *method)
{
    size_t used = strlen(allow);
    const char *head = strcmp(method, "GET") == 0 ? ", HEAD" : "";
    snprintf(allow + used, 256 - used, "%s%s%s", used > 0 ? ", " : "", method, head);
}

static enum err decode_params(struct request *request, const struct capture *captures,
                              size_t count, struct error *e)
{
    for (size_t i = 0; i < count; i++) {
        char *text = target_decode(captures[i].start, captures[i].length, false);
        if (text == NULL)
            return error_set(e, ERR_BAD_REQUEST, "the path does not decode to UTF-8");
        request->params[i] = request_keep(request, text);
    }
    return ERR_NONE;
}

enum err router_find(struct request *request, const char *method, const char *path,
                     const struct route **route, char allow[256], struct error *e)
{
    allow[0] = '\0';
    for (size_t i = 0; i < routes_count; i++) {
        struct capture captures[REQUEST_PARAMS_MAXIMUM];
        size_t count;
        if (!match(routes[i].pattern, path, captures, &count))
            continue;
        if (method_fits(routes[i].method, method)) {
            *route = &routes[i];
            return decode_params(request, captures, count, e);
        }
        add_allowed(allow, routes[i].method);
    }
    if (allow[0] != '\0')
        return error_set(e, ERR_METHOD_NOT_ALLOWED, "allowed here: %s", allow);
    return error_set(e, ERR_NOT_FOUND, "no route leads to %.200s", path);
}
