// SPDX-License-Identifier: Apache-2.0
// A request as handlers see it: routed, authorised, its query parsed, its JSON body
// read. Everything in it lives as long as the request and is freed by the dispatcher.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"
#include "server/api/app.h"
#include "server/api/role.h"

#define REQUEST_PARAMS_MAXIMUM 4

struct http_exchange; // server/http's own, for headers

// Who asks; ROLE_NONE where the route needs no token.
struct identity {
    int64_t principal_id;
    char principal[97];
    char kind[16];
    char token_id[33];
    enum role role;
};

struct request {
    const struct app *app;
    struct http_exchange *exchange;
    const char *id;     // request id
    const char *method; // "GET", also for HEAD
    struct identity who;
    const char *params[REQUEST_PARAMS_MAXIMUM]; // decoded {…} of the pattern, in order
    const char *raw_path;   // as it came, without the query
    json_t *body;           // JSON routes: an object; NULL where no body is expected
    const char *body_text;  // its exact bytes, body_size long
    size_t body_size;
    int64_t content_length; // -1 when not given
    bool is_head;
};

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
