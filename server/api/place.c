// SPDX-License-Identifier: Apache-2.0
#include "server/api/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAM_SPACE, PARAM_NAME, PARAM_REST };

enum err place_model(const struct request *request, char model[MODEL_SIZE],
                     struct error *e)
{
    static const char *const fields[] = {"ns", "name"};
    for (int i = PARAM_SPACE; i <= PARAM_NAME; i++) {
        if (!name_is_valid(request->params[i]))
            return error_set_field(e, ERR_INVALID_NAME, fields[i],
                                   "a name must match [A-Za-z0-9][A-Za-z0-9._-]{0,95}");
    }
    snprintf(model, MODEL_SIZE, "%s/%s", request->params[PARAM_SPACE],
             request->params[PARAM_NAME]);
    return ERR_NONE;
}

enum err place_version(const struct request *request, char model[MODEL_SIZE],
                       struct ref *selector, struct error *e)
{
    enum err err = place_model(request, model, e);
    return err != ERR_NONE
               ? err
               : ref_parse_selector(request->params[PARAM_REST], "ref", selector, e);
}

enum err place_alias(const struct request *request, char model[MODEL_SIZE],
                     const char **alias, struct error *e)
{
    enum err err = place_model(request, model, e);
    *alias = request->params[PARAM_REST];
    if (err == ERR_NONE && !alias_is_valid(*alias))
        err = error_set_field(e, ERR_INVALID_NAME, "alias",
                              "an alias must match [A-Za-z0-9][A-Za-z0-9._-]{0,95} and "
                              "be neither all digits nor latest");
    return err;
}

enum err place_digest(const struct request *request, struct digest *digest,
                      struct error *e)
{
    if (digest_parse(request->params[0], digest))
        return ERR_NONE;
    return error_set_field(e, ERR_INVALID_FIELD, "sha256",
                           "this must be 64 lower-case hex digits");
}

enum err place_id(const struct request *request, int64_t *id, struct error *e)
{
    struct ref parsed;
    if (ref_parse_selector(request->params[0], "id", &parsed, NULL) != ERR_NONE ||
        parsed.kind != REF_NUMBER)
        return error_set_field(e, ERR_INVALID_FIELD, "id",
                               "this must be a number from 1");
    *id = parsed.number;
    return ERR_NONE;
}

struct actor place_actor(const struct request *request)
{
    return (struct actor){.principal_id = request->who.principal_id,
                          .principal = request->who.principal,
                          .token_id = request->who.token_id,
                          .request_id = request->id};
}

enum err place_page_number(const struct page *page, int64_t first, int64_t *number,
                           struct error *e)
{
    *number = first;
    if (page->token == NULL)
        return ERR_NONE;
    struct ref parsed;
    if (ref_parse_selector(page->token, "page_token", &parsed, NULL) != ERR_NONE ||
        parsed.kind != REF_NUMBER)
        return error_set_field(e, ERR_BAD_QUERY, "page_token",
                               "the page token is not one that was given out");
    *number = parsed.number;
    return ERR_NONE;
}
