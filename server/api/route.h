// SPDX-License-Identifier: Apache-2.0
// The table of routes. The dispatcher does 404, 405 with Allow, HEAD, authorisation,
// body limits and the metrics label from it; a handler only parses, calls one function
// below and renders.
#pragma once

#include <stddef.h>

#include "server/api/request.h"
#include "server/api/response.h"
#include "server/api/role.h"

enum body_kind {
    BODY_NONE,   // a body is refused (400) unless it is empty
    BODY_JSON,   // read whole, at most body_limit bytes, parsed: an object
    BODY_JSON_OPTIONAL, // as BODY_JSON, but may be absent (request->body NULL)
    BODY_STREAM, // handed on piece by piece, Content-Length required
};

// A streamed body: `begin` (the route's handler) sets the sink; then write for each
// piece in order, then finish, which fills in the response; abort instead when the
// connection is cut or an error was answered. After write or finish failed, abort is
// called as well. `context` is the sink's own; abort or finish must free it (finish
// that succeeds frees; finish that fails leaves it to abort).
struct body_sink {
    void *context;
    enum err (*write)(void *context, const void *bytes, size_t size, struct error *e);
    enum err (*finish)(void *context, struct request *request,
                       struct response *response, struct error *e);
    void (*abort)(void *context);
};

typedef enum err (*route_handler)(struct request *request, struct response *response,
                                  struct error *e);
// Before the body: checks what can be checked, and sets *sink; leaving sink->write NULL
// with ERR_NONE means that the response is already filled in.
typedef enum err (*route_begin)(struct request *request, struct body_sink *sink,
                                struct response *response, struct error *e);

struct route {
    const char *method;  // GET also serves HEAD
    const char *pattern; // "/api/v1/models/{ns}/{name}"; a last {path+} takes slashes
    enum role role;      // the right it needs; ROLE_NONE = no token
    enum body_kind body;
    size_t body_limit;       // bytes of a JSON body; 0 = 1 MiB
    const char *query;       // allowed parameters, separated by spaces, or NULL
    route_handler handler;   // BODY_NONE, BODY_JSON*
    route_begin begin;       // BODY_STREAM
};

// server/api/routes.c
extern const struct route routes[];
extern const size_t routes_count;
