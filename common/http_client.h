// SPDX-License-Identifier: Apache-2.0
// A blocking HTTP client over libcurl with a bounded pool of connections that stay
// open between requests. The only module that knows libcurl. It retries nothing and
// follows no redirect: its callers know what may be repeated.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"

struct http_pool;

struct http_pool_options {
    size_t handles;            // the most requests at once; 0 = 8
    int64_t wait_ms;           // for a free handle, then ERR_UNAVAILABLE; 0 = 30 s
    int64_t connect_timeout_ms; // 0 = 10 s
    int64_t stall_timeout_ms;  // no byte in either direction for so long; 0 = 60 s
    const char *user_agent;    // copied; NULL = "strata"
    const char *ca_file;       // certificates to trust, copied; NULL = the system's
};

struct http_pool *http_pool_new(const struct http_pool_options *options);
void http_pool_free(struct http_pool *pool); // no request may run

struct http_header {
    const char *name;
    const char *value;
};

struct http_response {
    int status;      // 0 until a status line came
    struct buf body; // what no write callback took; at most response_maximum bytes
    struct buf head; // "name: value" lines of the last answer, each ended by NUL
};

void http_response_clear(struct http_response *response);
// The first header of this name (any case), or NULL; valid while the response is.
const char *http_response_header(const struct http_response *response,
                                 const char *name);

// Puts up to `room` bytes of the body from `offset` on and sets *size; an error ends
// the request and is what it returns. Must give the same bytes when asked again.
typedef enum err http_read_fn(void *context, uint64_t offset, void *bytes, size_t room,
                              size_t *size, struct error *e);
// Takes the next bytes of a 2xx answer, whose status and headers are in `response`.
typedef enum err http_write_fn(void *context, const struct http_response *response,
                               const void *bytes, size_t size, struct error *e);

struct http_request {
    const char *method; // "GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"
    const char *url;    // absolute, http or https
    const struct http_header *headers;
    size_t header_count;

    // Body: `body_size` bytes at `body`, or from `read` when that is set. PUT, POST
    // and PATCH always send a Content-Length, 0 included.
    const void *body;
    uint64_t body_size;
    http_read_fn *read;

    http_write_fn *write; // NULL: the answer goes to response->body
    void *context;        // of read and write

    size_t response_maximum;   // bytes of response->body; 0 = 16 MiB
    int64_t timeout_ms;        // of the whole request; 0 = none
    int64_t stall_timeout_ms;  // 0 = the pool's
    const atomic_bool *cancel; // NULL, or true ends the request soon
};

// ERR_NONE: an answer of any status came. ERR_UNAVAILABLE: it did not (no connection,
// time-out, cut short, cancelled); *e says why and has the member "sent": false when
// nothing of the request can have reached the server. Otherwise what a callback
// returned. Any thread.
enum err http_pool_run(struct http_pool *pool, const struct http_request *request,
                       struct http_response *response, struct error *e) MUST_CHECK;

// Appends `text` percent-encoded; '/' stays when keep_slashes.
bool http_url_append(struct buf *url, const char *text, bool keep_slashes);
