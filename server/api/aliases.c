// SPDX-License-Identifier: Apache-2.0
#include "server/api/aliases.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fields.h"
#include "server/api/conditions.h"
#include "server/api/place.h"
#include "server/registry/alias.h"

static json_t *render(const struct alias *alias)
{
    char set_at[CLOCK_TEXT_SIZE], hex[DIGEST_HEX_SIZE];
    clock_format(alias->set_at_us, set_at);
    digest_format(&alias->digest, hex);
    bool removed = alias->version == 0;
    return json_pack("{s:o, s:o, s:s, s:s}", "version",
                     removed ? json_null() : json_integer(alias->version), "digest",
                     removed ? json_null() : json_sprintf("sha256:%s", hex), "set_at",
                     set_at, "set_by", alias->set_by);
}

static json_t *render_named(const struct alias *alias)
{
    json_t *json = json_pack("{s:s}", "alias", alias->name);
    AUTO_JSON json_t *rest = render(alias);
    json_object_update(json, rest);
    return json;
}

// The page of at most `limit` rows under `key`; `next` is the key of the page behind.
static void respond_page(struct response *response, const char *key, json_t *rows,
                         const char *next)
{
    AUTO_FREE char *token = next != NULL ? page_token_encode(next) : NULL;
    response_json(response, 200,
                  json_pack("{s:o, s:s?}", key, rows, "next_page_token", token));
}

enum err aliases_list_handler(struct request *request, struct response *response,
                              struct error *e)
{
    char model[MODEL_SIZE];
    struct page page = {0};
    AUTO_FREE struct alias *aliases = NULL;
    size_t count = 0;
    enum err err = place_model(request, model, e);
    if (err == ERR_NONE)
        err = request_page(request, &page, e);
    if (err == ERR_NONE && page.token != NULL && !alias_is_valid(page.token))
        err = error_set_field(e, ERR_BAD_QUERY, "page_token",
                              "the page token is not one that was given out");
    if (err == ERR_NONE)
        err = alias_list(request->app->registry, model, page.token, page.limit,
                         &aliases, &count, e);
    if (err != ERR_NONE)
        return err;
    size_t shown = count > (size_t)page.limit ? (size_t)page.limit : count;
    json_t *rows = json_array();
    for (size_t i = 0; i < shown; i++)
        json_array_append_new(rows, render_named(&aliases[i]));
    respond_page(response, "aliases", rows,
                 count > shown ? aliases[shown - 1].name : NULL);
    return ERR_NONE;
}

enum err alias_history_handler(struct request *request, struct response *response,
                               struct error *e)
{
    char model[MODEL_SIZE], key[24];
    const char *name = NULL;
    struct page page = {0};
    int64_t before = 0;
    AUTO_FREE struct alias *entries = NULL;
    size_t count = 0;
    enum err err = place_alias(request, model, &name, e);
    if (err == ERR_NONE)
        err = request_page(request, &page, e);
    if (err == ERR_NONE)
        err = place_page_number(&page, INT64_MAX, &before, e);
    if (err == ERR_NONE)
        err = alias_history(request->app->registry, model, name, before, page.limit,
                            &entries, &count, e);
    if (err != ERR_NONE)
        return err;
    size_t shown = count > (size_t)page.limit ? (size_t)page.limit : count;
    json_t *rows = json_array();
    for (size_t i = 0; i < shown; i++)
        json_array_append_new(rows, render(&entries[i]));
    if (count > shown)
        snprintf(key, sizeof key, "%" PRId64, entries[shown - 1].sequence);
    respond_page(response, "history", rows, count > shown ? key : NULL);
    return ERR_NONE;
}

static void respond_alias(struct response *response, int status,
                          const struct alias *alias)
{
    char etag[ALIAS_ETAG_SIZE];
    alias_etag(alias, etag);
    response_header(response, "ETag", etag);
    response_json(response, status, render_named(alias));
}

enum err alias_get_handler(struct request *request, struct response *response,
                           struct error *e)
{
    char model[MODEL_SIZE];
    const char *name = NULL;
    int64_t at_us = 0;
    struct alias alias;
    const char *at = request_query(request, "at");
    enum err err = place_alias(request, model, &name, e);
    if (err == ERR_NONE && at != NULL && !clock_parse(at, &at_us))
        err = error_set_field(e, ERR_BAD_QUERY, "at", "this is no RFC 3339 time");
    if (err == ERR_NONE)
        err = alias_get(request->app->registry, model, name, at != NULL ? &at_us : NULL,
                        &alias, e);
    if (err == ERR_NONE)
        respond_alias(response, 200, &alias);
    return err;
}

enum err alias_put_parse(const json_t *body, int64_t *version, struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    *version = fields_int(&f, "version", FIELD_REQUIRED, 1, INT64_MAX, 0);
    return fields_end(&f);
}

enum err alias_put_handler(struct request *request, struct response *response,
                           struct error *e)
{
    char model[MODEL_SIZE];
    const char *name = NULL;
    int64_t version = 0;
    struct alias alias;
    bool created = false;
    enum err err = place_alias(request, model, &name, e);
    if (err == ERR_NONE)
        err = alias_put_parse(request->body, &version, e);
    if (err != ERR_NONE)
        return err;
    const struct etag_conditions conditions = {
        .match = request_header_all(request, "If-Match"),
        .none_match = request_header_all(request, "If-None-Match")};
    struct alias_condition condition = {.holds = etag_conditions_hold,
                                        .context = &conditions};
    struct actor actor = place_actor(request);
    err = alias_set(request->app->registry, &actor, model, name, version, &condition,
                    &alias, &created, e);
    if (err == ERR_NONE)
        respond_alias(response, created ? 201 : 200, &alias);
    return err;
}

enum err alias_delete_handler(struct request *request, struct response *response,
                              struct error *e)
{
    char model[MODEL_SIZE];
    const char *name = NULL;
    enum err err = place_alias(request, model, &name, e);
    const struct etag_conditions conditions = {
        .match = request_header_all(request, "If-Match")};
    struct alias_condition condition = {.holds = etag_conditions_hold,
                                        .context = &conditions};
    struct actor actor = place_actor(request);
    if (err == ERR_NONE)
        err = alias_remove(request->app->registry, &actor, model, name, &condition, e);
    if (err == ERR_NONE)
        response_empty(response, 204);
    return err;
}
