// SPDX-License-Identifier: Apache-2.0
// A request as handlers see it: routed, authorised, its query parsed, its JSON body
// read. Everything in it lives as long as the request and is freed by the dispatcher.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "server/api/app.h"
#include "server/api/role.h"

#define REQUEST_PARAMS_MAXIMUM 4

// A header or a query parameter.
struct request_pair {
    const char *name;
    const char *value; // "" when it has none
};

// Who asks; ROLE_NONE where the route needs no token.
struct identity {
    int64_t principal_id;
    char principal[97];
    char kind[16];
    char token_id[33];
    int64_t token_expires_us; // 0 = never
    enum role role;
};

struct request {
    const struct app *app;
    const char *id;     // request id
    const char *method; // "GET", also for HEAD
    struct identity who;
    const char *params[REQUEST_PARAMS_MAXIMUM]; // decoded {…} of the pattern, in order
    const char *raw_path;                       // as it came, without the query
    json_t *body;          // JSON routes: an object; NULL where no body is expected
    const char *body_text; // its exact bytes, body_size long
    size_t body_size;
    int64_t content_length; // -1 when not given
    bool is_head;
    const struct request_pair *headers;
    size_t headers_count;
    const struct request_pair *query;
    size_t query_count;
    char **kept; // freed with the request
    size_t kept_count;
};

void request_clear(struct request *request);

// First value of a header, case-insensitive; NULL when absent.
const char *request_header(const struct request *request, const char *name);
// All values of a header joined with ", "; NULL when absent. Freed with the request.
const char *request_header_all(struct request *request, const char *name);
// Decoded query parameter; NULL when absent, "" when it has no value. Given twice or
// unknown to the route: the dispatcher has refused it (ERR_BAD_QUERY).
const char *request_query(const struct request *request, const char *name);
// `true`/`false` (or no value = true); ERR_BAD_QUERY otherwise.
enum err request_query_bool(const struct request *request, const char *name,
                            bool *value, struct error *e) MUST_CHECK;
// Memory that is freed with the request.
char *request_keep(struct request *request, char *text);

// `limit` (1 to 1,000, default 100; else ERR_INVALID_FIELD) and `page_token`.
struct page {
    int64_t limit;
    const char *token; // decoded key of the last row of the page before, or NULL
};
enum err request_page(struct request *request, struct page *page,
                      struct error *e) MUST_CHECK;
// What `page_token` decodes to `key` again, for next_page_token; the caller frees.
char *page_token_encode(const char *key);
