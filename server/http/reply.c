// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "server/http/exchange.h"

#define COPY_BLOCK_SIZE ((size_t)256 << 10)
#define SOURCE_BLOCK_SIZE ((size_t)512 << 10)

// A body of memory and of pieces of a descriptor or a source, copied out piece by
// piece.
struct copied_body {
    struct watched *watched; // the connection's
    int fd;
    struct response_source source;
    struct response_segment *segments;
    size_t count;
    size_t current;
    uint64_t done; // bytes of the current segment
};

static void copied_body_free(void *context)
{
    struct copied_body *body = context;
    for (size_t i = 0; i < body->count; i++)
        free(body->segments[i].bytes);
    free(body->segments);
    if (body->fd >= 0)
        close(body->fd);
    if (body->source.free != NULL)
        body->source.free(body->source.context);
    free(body);
}

// *got is 0 when it cannot be read.
static void read_source(const struct copied_body *body, char *to, size_t size,
                        size_t *got)
{
    const struct response_source *source = &body->source;
    const struct response_segment *segment = &body->segments[body->current];
    CLEANUP(error_clear) struct error e = {0};
    if (body->done == 0)
        source->expect(source->context, segment->offset, segment->size);
    watch_set_busy(body->watched, true);
    enum err err =
        source->read(source->context, segment->offset + body->done, to, size, got, &e);
    watch_set_busy(body->watched, false);
    if (err == ERR_NONE)
        return;
    *got = 0;
    log_error("an answer is cut", "error", e.detail, "offset",
              log_number((long long)(segment->offset + body->done)), NULL);
}

static void read_file(const struct copied_body *body, char *to, size_t size,
                      size_t *got)
{
    const struct response_segment *segment = &body->segments[body->current];
    ssize_t n = pread(body->fd, to, size, (off_t)(segment->offset + body->done));
    *got = n > 0 ? (size_t)n : 0;
}

static ssize_t copied_body_read(void *context, uint64_t position, char *to, size_t room)
{
    (void)position; // libmicrohttpd asks in order
    struct copied_body *body = context;
    while (body->current < body->count &&
           body->done == body->segments[body->current].size) {
        body->current++;
        body->done = 0;
    }
    if (body->current == body->count)
        return MHD_CONTENT_READER_END_OF_STREAM;
    const struct response_segment *segment = &body->segments[body->current];
    uint64_t left = segment->size - body->done;
    size_t size = left < room ? (size_t)left : room;
    if (segment->bytes != NULL) {
        memcpy(to, segment->bytes + body->done, size);
    } else if (body->source.read != NULL) {
        read_source(body, to, size, &size);
    } else {
        read_file(body, to, size, &size);
    }
    if (size == 0) // cut the connection, never pad
        return MHD_CONTENT_READER_END_WITH_ERROR;
    body->done += size;
    return (ssize_t)size;
}

static struct MHD_Response *from_segments(struct exchange *x)
{
    struct response *response = &x->response;
    for (size_t i = 0; i < response->segments_count; i++)
        x->sent += response->segments[i].size;
    struct copied_body *body = alloc_zero(sizeof *body);
    size_t block = response->source.read != NULL ? SOURCE_BLOCK_SIZE : COPY_BLOCK_SIZE;
    *body = (struct copied_body){.watched = x->link->watched,
                                 .fd = response->fd,
                                 .source = response->source,
                                 .segments = response->segments,
                                 .count = response->segments_count};
    response->fd = -1;
    response->source = (struct response_source){0};
    response->segments = NULL;
    response->segments_count = 0;
    struct MHD_Response *made = MHD_create_response_from_callback(
        x->sent, block, copied_body_read, body, copied_body_free);
    if (made == NULL)
        copied_body_free(body);
    return made;
}

static struct MHD_Response *from_file(struct exchange *x)
{
    struct response *response = &x->response;
    uint64_t size = response->segments[0].size;
    if (size == 0)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    struct MHD_Response *made = MHD_create_response_from_fd_at_offset64(
        size, response->fd, response->segments[0].offset);
    if (made != NULL)
        response->fd = -1; // closed by libmicrohttpd
    x->sent = size;
    return made;
}

static struct MHD_Response *from_text(struct exchange *x)
{
    struct response *response = &x->response;
    struct MHD_Response *made = MHD_create_response_from_buffer(
        response->text_size, response->text,
        response->text_is_static ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE);
    x->sent = response->text_size;
    if (made != NULL)
        response->text = NULL;
    return made;
}

static struct MHD_Response *make_response(struct exchange *x)
{
    const struct response *response = &x->response;
    if (response->fd >= 0 && response->segments_count == 1 &&
        response->segments[0].bytes == NULL)
        return from_file(x);
    if (response->segments_count > 0)
        return from_segments(x);
    return from_text(x);
}

enum MHD_Result exchange_send(struct exchange *x)
{
    struct MHD_Response *made = make_response(x);
    if (made == NULL)
        return MHD_NO;
    if (x->request.is_head)
        x->sent = 0;
    const struct response *response = &x->response;
    for (size_t i = 0; i < response->headers_count; i++)
        MHD_add_response_header(made, response->headers[i].name,
                                response->headers[i].value);
    enum MHD_Result result =
        MHD_queue_response(x->connection, (unsigned)response->status, made);
    MHD_destroy_response(made);
    return result;
}
