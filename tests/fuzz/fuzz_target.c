// SPDX-License-Identifier: Apache-2.0
// The request target: path, query and route. Input: the method, a space, the target.
// Parser: server/http/target.c
// Parser: server/http/router.c
// Options: -max_len=512
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/names.h"
#include "server/http/router.h"
#include "server/http/target.h"
#include "tests/fuzz/fuzz.h"

// Every byte as %XX: what decodes to the text again.
static void put_encoded(struct buf *to, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        char code[] = {'%', digits[*c >> 4], digits[*c & 15]};
        buf_append(to, code, sizeof code);
    }
}

static void check_query(const char *query)
{
    struct request request = {0}, other = {0};
    struct request_pair pairs[TARGET_QUERY_MAXIMUM], again[TARGET_QUERY_MAXIMUM];
    size_t count = 0, count_again = 0;
    struct error e = {0};
    CLEANUP(buf_clear) struct buf encoded = {0};
    enum err err = target_parse_query(&request, query, pairs, &count, &e);
    REQUIRE(count <= TARGET_QUERY_MAXIMUM && (err == ERR_NONE || err == ERR_BAD_QUERY));
    REQUIRE(err == e.code);
    for (size_t i = 0; err == ERR_NONE && i < count; i++) {
        REQUIRE(utf8_is_valid(pairs[i].name, strlen(pairs[i].name)));
        for (size_t k = 0; k < i; k++)
            REQUIRE(strcmp(pairs[i].name, pairs[k].name) != 0);
        put_encoded(&encoded, pairs[i].name);
        buf_putc(&encoded, '=');
        put_encoded(&encoded, pairs[i].value);
        buf_putc(&encoded, '&');
    }
    if (err == ERR_NONE) {
        err = target_parse_query(&other, buf_text(&encoded), again, &count_again, &e);
        REQUIRE(err == ERR_NONE && count_again == count);
        for (size_t i = 0; i < count; i++)
            REQUIRE(strcmp(pairs[i].name, again[i].name) == 0 &&
                    strcmp(pairs[i].value, again[i].value) == 0);
    }
    request_clear(&request);
    request_clear(&other);
}

// The path of a route with these parameters.
static void put_path(struct buf *to, const struct route *route,
                     const char *const *params)
{
    for (const char *c = route->pattern; *c != '\0'; c++) {
        if (*c == '{') {
            put_encoded(to, *params++);
            c = strchr(c, '}');
        } else {
            buf_putc(to, *c);
        }
    }
}

static void check_route(const struct request *found, const struct route *route)
{
    struct request request = {0};
    const struct route *again = NULL;
    char allow[256];
    struct error e = {0};
    CLEANUP(buf_clear) struct buf path = {0};
    put_path(&path, route, found->params);
    enum err err =
        router_find(&request, route->method, buf_text(&path), &again, allow, &e);
    REQUIRE(err == ERR_NONE && again == route);
    for (size_t i = 0; i < REQUEST_PARAMS_MAXIMUM; i++) {
        const char *param = found->params[i];
        REQUIRE((param == NULL) == (request.params[i] == NULL));
        REQUIRE(param == NULL || strcmp(param, request.params[i]) == 0);
    }
    request_clear(&request);
}

static void check_path(const char *method, const char *path)
{
    struct request request = {0};
    const struct route *route = NULL;
    char allow[256];
    struct error e = {0};
    enum err err = router_find(&request, method, path, &route, allow, &e);
    REQUIRE(err == e.code);
    if (err == ERR_NONE) {
        bool is_head = strcmp(method, "HEAD") == 0;
        REQUIRE(strcmp(route->method, is_head ? "GET" : method) == 0);
        check_route(&request, route);
    }
    if (err == ERR_METHOD_NOT_ALLOWED) // what is said to be allowed is
        REQUIRE(allow[0] != '\0' && strstr(allow, method) == NULL);
    request_clear(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    static const char *const methods[] = {"GET", "HEAD",  "POST",
                                          "PUT", "PATCH", "DELETE"};
    AUTO_FREE char *text = fuzz_text(data, length);
    char *space = strchr(text, ' ');
    if (space == NULL)
        return 0;
    *space = '\0';
    const char *method = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        method = strcmp(text, methods[i]) == 0 ? methods[i] : method;
    char *path, *query;
    struct error e = {0};
    if (method == NULL || target_split(space + 1, &path, &query, &e) != ERR_NONE)
        return 0;
    REQUIRE(path[0] == '/' && strchr(path, '?') == NULL);
    check_path(method, path);
    check_query(query);
    return 0;
}
