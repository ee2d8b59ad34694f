// SPDX-License-Identifier: Apache-2.0
#include "server/api/response.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/json_text.h"

void response_init(struct response *response)
{
    *response = (struct response){.status = 200, .fd = -1};
}

static void clear_body(struct response *response)
{
    if (!response->text_is_static)
        free(response->text);
    response->text = NULL;
    response->text_size = 0;
    response->text_is_static = false;
    if (response->fd >= 0)
        close(response->fd);
    response->fd = -1;
    if (response->source.free != NULL)
        response->source.free(response->source.context);
    response->source = (struct response_source){0};
    for (size_t i = 0; i < response->segments_count; i++)
        free(response->segments[i].bytes);
    free(response->segments);
    response->segments = NULL;
    response->segments_count = 0;
}

void response_clear(struct response *response)
{
    clear_body(response);
    for (size_t i = 0; i < response->headers_count; i++) {
        free(response->headers[i].name);
        free(response->headers[i].value);
    }
    response->headers_count = 0;
}

static char *copy_value(const char *value)
{
    char *copy = alloc_copy(value);
    char *to = copy;
    for (const char *from = copy; *from != '\0'; from++) {
        if (*from != '\r' && *from != '\n')
            *to++ = *from;
    }
    *to = '\0';
    return copy;
}

void response_header(struct response *response, const char *name, const char *value)
{
    size_t i = 0;
    while (i < response->headers_count &&
           strcasecmp(response->headers[i].name, name) != 0)
        i++;
    assert(i < RESPONSE_HEADERS_MAXIMUM);
    if (i == response->headers_count) {
        response->headers[i].name = alloc_copy(name);
        response->headers[i].value = NULL;
        response->headers_count++;
    }
    free(response->headers[i].value);
    response->headers[i].value = copy_value(value);
}

void response_empty(struct response *response, int status)
{
    clear_body(response);
    response->status = status;
}

void response_text(struct response *response, int status, const char *media_type,
                   char *text, size_t size)
{
    response_empty(response, status);
    response->text = text;
    response->text_size = size;
    response_header(response, "Content-Type", media_type);
}

void response_static(struct response *response, int status, const char *media_type,
                     const char *text, size_t size)
{
    response_empty(response, status);
    // Only read, and never freed: text_is_static says so.
    memcpy(&response->text, &text, sizeof text);
    response->text_size = size;
    response->text_is_static = true;
    response_header(response, "Content-Type", media_type);
}

static void put_json(struct response *response, int status, const char *media_type,
                     json_t *json)
{
    size_t size = 0;
    char *text = json_text_dump(json, &size);
    json_decref(json);
    response_text(response, status, media_type, text, size);
}

void response_json(struct response *response, int status, json_t *json)
{
    put_json(response, status, "application/json", json);
}

void response_segments(struct response *response, int status, int fd,
                       struct response_segment *segments, size_t count)
{
    response_empty(response, status);
    response->fd = fd;
    response->segments = segments;
    response->segments_count = count;
}

void response_stream(struct response *response, int status,
                     const struct response_source *source,
                     struct response_segment *segments, size_t count)
{
    response_segments(response, status, -1, segments, count);
    response->source = *source;
}

void response_problem(struct response *response, const struct error *error,
                      const char *request_id)
{
    int status = error_status(error->code);
    json_t *problem = json_object();
    json_object_set_new(problem, "type",
                        json_sprintf("urn:strata:error:%s", error_slug(error->code)));
    json_object_set_new(problem, "title", json_string(error_title(error->code)));
    json_object_set_new(problem, "status", json_integer(status));
    json_object_set_new(problem, "detail", json_string(error->detail));
    json_object_set_new(problem, "instance", json_string(request_id));
    if (error->field[0] != '\0')
        json_object_set_new(problem, "field", json_string(error->field));
    json_object_update_missing(problem, error->extra);
    put_json(response, status, "application/problem+json", problem);
}
