// SPDX-License-Identifier: Apache-2.0
#include "server/api/models.h"

#include <stdio.h>

#include "common/cleanup.h"
#include "server/api/origins.h"
#include "server/api/place.h"
#include "server/registry/model.h"

enum err models_list_handler(struct request *request, struct response *response,
                             struct error *e)
{
    struct page page;
    struct ref after;
    bool more = false;
    enum err err = request_page(request, &page, e);
    if (err == ERR_NONE && page.token != NULL &&
        ref_parse_model(page.token, "page_token", &after, NULL) != ERR_NONE)
        err = error_set_field(e, ERR_BAD_QUERY, "page_token",
                              "the page token is not one that was given out");
    AUTO_JSON json_t *models = json_array();
    if (err == ERR_NONE)
        err = model_list(request->app->registry, page.token, page.limit, models, &more,
                         e);
    if (err != ERR_NONE)
        return err;
    const json_t *last = json_array_get(models, json_array_size(models) - 1);
    AUTO_FREE char *next =
        more ? page_token_encode(json_string_value(json_object_get(last, "model")))
             : NULL;
    response_json(response, 200,
                  json_pack("{s:O, s:s?}", "models", models, "next_page_token", next));
    return ERR_NONE;
}

enum err model_create_parse(const json_t *body, struct model_create_request *parsed,
                            struct error *e)
{
    struct fields f;
    struct ref ref;
    fields_begin(&f, body, "", e);
    parsed->model = fields_text(&f, "model", FIELD_REQUIRED, MODEL_SIZE);
    parsed->description =
        fields_text(&f, "description", FIELD_OPTIONAL, DESCRIPTION_MAXIMUM);
    if (parsed->description == NULL)
        parsed->description = "";
    enum err err = fields_end(&f);
    return err != ERR_NONE ? err : ref_parse_model(parsed->model, "model", &ref, e);
}

enum err model_create_handler(struct request *request, struct response *response,
                              struct error *e)
{
    struct model_create_request parsed;
    enum err err = model_create_parse(request->body, &parsed, e);
    if (err != ERR_NONE)
        return err;
    struct actor actor = place_actor(request);
    json_t *answer = NULL;
    err = model_create(request->app->registry, &actor, parsed.model, parsed.description,
                       &answer, e);
    if (err != ERR_NONE)
        return err;
    char location[MODEL_SIZE + 32];
    snprintf(location, sizeof location, "/api/v1/models/%s", parsed.model);
    response_header(response, "Location", location);
    response_json(response, 201, answer);
    return ERR_NONE;
}

enum err model_get_handler(struct request *request, struct response *response,
                           struct error *e)
{
    char model[MODEL_SIZE];
    json_t *answer = NULL;
    enum err err = place_model(request, model, e);
    if (err == ERR_NONE)
        err = model_get(request->app->registry, model, &answer, e);
    if (err == ERR_NONE)
        response_json(response, 200, answer);
    return err;
}

enum err model_patch_parse(const json_t *body, const char **description,
                           struct error *e)
{
    struct fields f;
    bool is_null = false;
    fields_begin(&f, body, "", e);
    *description =
        fields_text_or_null(&f, "description", DESCRIPTION_MAXIMUM, &is_null);
    if (is_null)
        *description = "";
    return fields_end(&f);
}

enum err model_patch_handler(struct request *request, struct response *response,
                             struct error *e)
{
    char model[MODEL_SIZE];
    const char *description = NULL;
    enum err err = place_model(request, model, e);
    if (err == ERR_NONE)
        err = model_patch_parse(request->body, &description, e);
    if (err != ERR_NONE)
        return err;
    struct actor actor = place_actor(request);
    json_t *answer = NULL;
    if (description != NULL)
        err = model_describe(request->app->registry, &actor, model, description,
                             &answer, e);
    else
        err = model_get(request->app->registry, model, &answer, e);
    if (err == ERR_NONE)
        response_json(response, 200, answer);
    return err;
}

enum err model_delete_handler(struct request *request, struct response *response,
                              struct error *e)
{
    char model[MODEL_SIZE];
    enum err err = place_model(request, model, e);
    struct actor actor = place_actor(request);
    if (err == ERR_NONE)
        err = model_delete(request->app->registry, &actor, model, e);
    if (err == ERR_NONE)
        response_empty(response, 204);
    return err;
}
