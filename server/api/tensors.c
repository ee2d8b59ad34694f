// SPDX-License-Identifier: Apache-2.0
#include "server/api/tensors.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/api/bytes.h"
#include "server/api/place.h"
#include "server/registry/tensor_list.h"

#define PARAM_TENSOR 3
// A page of the longest names and paths, each byte as \u0041, stays below it.
#define LIST_MAXIMUM ((size_t)32 << 20)

static enum err open_version(const struct request *request, struct version_key *key,
                             struct cache_entry **entry, struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = version_resolve(request->app->registry, model, &selector, key, e);
    if (err == ERR_NONE)
        err = content_get(request->app->registry, NULL, key->id, entry, e);
    return err;
}

// ---- the list ---------------------------------------------------------------------

// The version's number stands in it: places in another version's list mean nothing.
static char *cursor_format(int64_t number, const struct tensor_cursor *at)
{
    return alloc_printf("%" PRId64 " %" PRIu64 " %" PRIu64, number, at->file,
                        at->tensor);
}

static enum err cursor_parse(const char *text, int64_t number, struct tensor_cursor *at,
                             struct error *e)
{
    *at = (struct tensor_cursor){0};
    if (text == NULL)
        return ERR_NONE;
    char *end = NULL;
    int64_t given = strtoll(text, &end, 10);
    at->file = strtoull(end, &end, 10);
    at->tensor = strtoull(end, &end, 10);
    AUTO_FREE char *same = cursor_format(given, at);
    if (strcmp(text, same) != 0)
        return error_set_field(e, ERR_BAD_QUERY, "page_token",
                               "the page token is not one that was given out");
    if (given != number)
        return error_set_field(e, ERR_BAD_QUERY, "page_token",
                               "the ref names another version now: begin again");
    return ERR_NONE;
}

static void respond_list(struct response *response, const struct buf *tensors,
                         const struct buf *unreadable, const char *next)
{
    struct buf to;
    buf_init(&to, tensors->maximum + unreadable->maximum);
    buf_printf(&to, "{\"tensors\":[%s],\"unreadable\":[%s],\"next_page_token\":",
               buf_text(tensors), buf_text(unreadable));
    buf_printf(&to, next != NULL ? "\"%s\"}" : "null}", next);
    size_t size = to.size;
    response_text(response, 200, "application/json", buf_steal(&to), size);
}

enum err tensors_list_handler(struct request *request, struct response *response,
                              struct error *e)
{
    struct page page = {0};
    struct version_key key = {0};
    struct tensor_cursor at = {0};
    bool more = false;
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    CLEANUP(buf_clear) struct buf tensors;
    CLEANUP(buf_clear) struct buf unreadable;
    buf_init(&tensors, LIST_MAXIMUM);
    buf_init(&unreadable, LIST_MAXIMUM);
    enum err err = request_page(request, &page, e);
    if (err == ERR_NONE)
        err = open_version(request, &key, &entry, e);
    if (err == ERR_NONE)
        err = cursor_parse(page.token, key.number, &at, e);
    if (err == ERR_NONE)
        err = tensor_list(request->app->tensors, cache_value(entry),
                          (uint64_t)page.limit, &at, &more, &tensors, &unreadable, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE char *text = cursor_format(key.number, &at);
    AUTO_FREE char *next = more ? page_token_encode(text) : NULL;
    respond_list(response, &tensors, &unreadable, next);
    return ERR_NONE;
}

// ---- one tensor -------------------------------------------------------------------

enum err tensor_get_handler(struct request *request, struct response *response,
                            struct error *e)
{
    const char *name = request->params[PARAM_TENSOR];
    const char *path = request_query(request, "file");
    struct version_key key = {0};
    struct tensor_place place;
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    enum err err = path != NULL ? path_check(path, "file", e) : ERR_NONE;
    if (err == ERR_NONE)
        err = open_version(request, &key, &entry, e);
    if (err == ERR_NONE)
        err = tensor_find(request->app->tensors, cache_value(entry), path, name, &place,
                          e);
    if (err != ERR_NONE)
        return err;
    const struct bytes_part part = {&place.file->digest, place.offset, place.length};
    return bytes_respond_part(request, response, &part, name, e);
}
