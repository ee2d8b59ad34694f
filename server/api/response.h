// SPDX-License-Identifier: Apache-2.0
// What a handler fills in. It never sends: server/http does, once, when the handler has
// returned. A returned error replaces the response by a problem object (headers that
// were added with response_header stay).
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define RESPONSE_HEADERS_MAXIMUM 24

// A piece of a body: memory (bytes != NULL, owned) or `size` bytes at `offset` of the
// response's descriptor or source.
struct response_segment {
    char *bytes;
    uint64_t offset;
    uint64_t size;
};

// Where bytes come from that no descriptor has. One thread at a time, not always the
// one that made it.
struct response_source {
    void *context;
    // `size` bytes at `offset` will be read next; called before the first of them.
    void (*expect)(void *context, uint64_t offset, uint64_t size);
    // At least one byte and at most `room`; waits for them. An error cuts the
    // connection.
    enum err (*read)(void *context, uint64_t offset, void *bytes, size_t room,
                     size_t *got, struct error *e);
    void (*free)(void *context);
};

struct response_header {
    char *name;
    char *value;
};

struct response {
    int status; // 200 until set
    struct response_header headers[RESPONSE_HEADERS_MAXIMUM];
    size_t headers_count;
    char *text; // owned body in memory, text_size bytes
    size_t text_size;
    bool text_is_static;           // then it is not freed
    int fd;                        // owned, -1 for none; segments refer to it
    struct response_source source; // owned, the same; `read` is NULL for none
    struct response_segment *segments;
    size_t segments_count;
};

void response_init(struct response *response);
void response_clear(struct response *response);

// Copies both; replaces a header of the same name. CR and LF in values are dropped.
void response_header(struct response *response, const char *name, const char *value);

// JSON body, application/json; takes over `json`.
void response_json(struct response *response, int status, json_t *json);
// Text that is taken over (malloc'd).
void response_text(struct response *response, int status, const char *media_type,
                   char *text, size_t size);
// Text that outlives the server.
void response_static(struct response *response, int status, const char *media_type,
                     const char *text, size_t size);
void response_empty(struct response *response, int status);
// A body of memory and file pieces, one after the other; one piece of the file alone
// goes by sendfile. Takes over fd, `segments` and their bytes.
void response_segments(struct response *response, int status, int fd,
                       struct response_segment *segments, size_t count);

// The same with the bytes of a source, which is taken over.
void response_stream(struct response *response, int status,
                     const struct response_source *source,
                     struct response_segment *segments, size_t count);

// problem+json (RFC 9457) with `instance` = request id: the one place that writes it.
void response_problem(struct response *response, const struct error *error,
                      const char *request_id);
