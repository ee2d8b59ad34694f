// SPDX-License-Identifier: Apache-2.0
#include "server/api/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fields.h"
#include "server/api/auth.h"
#include "server/api/place.h"
#include "server/api/render.h"
#include "server/api/token_text.h"
#include "server/registry/token.h"

static json_t *render_token(const struct token *token)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", token->id,
                     "principal", token->principal, "kind", token->kind, "role",
                     token->role, "description", render_text(token->description),
                     "created_at", render_time(token->created_us), "expires_at",
                     render_time(token->expires_us), "revoked_at",
                     render_time(token->revoked_us));
}

// ---- create -----------------------------------------------------------------------

static void read_kind(struct fields *f, struct token *token)
{
    const char *kind = fields_text(f, "kind", FIELD_OPTIONAL, 16);
    if (kind == NULL)
        kind = "service";
    if (strcmp(kind, "person") != 0 && strcmp(kind, "service") != 0)
        fields_fail(f, ERR_INVALID_FIELD, "kind", "kind must be person or service");
    snprintf(token->kind, sizeof token->kind, "%s", kind);
}

static void read_role(struct fields *f, enum role *role)
{
    const char *text = fields_text(f, "role", FIELD_REQUIRED, 16);
    if (text != NULL && !role_parse(text, role))
        fields_fail(f, ERR_INVALID_FIELD, "role",
                    "role must be reader, publisher, maintainer or admin");
}

static void read_expiry(struct fields *f, struct token *token)
{
    const char *text = fields_text(f, "expires_at", FIELD_OPTIONAL, CLOCK_TEXT_SIZE);
    if (text == NULL)
        return;
    if (!clock_parse(text, &token->expires_us))
        fields_fail(f, ERR_INVALID_FIELD, "expires_at",
                    "expires_at must be a time as in 2030-01-31T12:00:00Z");
    else if (token->expires_us <= clock_wall_us())
        fields_fail(f, ERR_INVALID_FIELD, "expires_at", "expires_at has passed");
}

// Fills in what the body says; fields_text has kept each text within its array.
enum err token_create_parse(const json_t *body, struct token *token, enum role *role,
                            struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    const char *principal =
        fields_text(&f, "principal", FIELD_REQUIRED, PRINCIPAL_MAXIMUM);
    if (principal != NULL && principal[strcspn(principal, "\t\n")] != '\0')
        fields_fail(&f, ERR_INVALID_FIELD, "principal",
                    "principal must not hold control characters");
    if (principal != NULL && principal[0] == '\0')
        fields_fail(&f, ERR_INVALID_FIELD, "principal", "principal must not be empty");
    read_kind(&f, token);
    read_role(&f, role);
    const char *description =
        fields_text(&f, "description", FIELD_OPTIONAL, TOKEN_DESCRIPTION_MAXIMUM);
    read_expiry(&f, token);
    enum err err = fields_end(&f);
    if (err != ERR_NONE)
        return err;
    snprintf(token->principal, sizeof token->principal, "%s", principal);
    snprintf(token->description, sizeof token->description, "%s",
             description != NULL ? description : "");
    snprintf(token->role, sizeof token->role, "%s", role_name(*role));
    return ERR_NONE;
}

static enum err check_rights(const struct identity *who, const struct token *token,
                             enum role role, struct error *e)
{
    if (who->role == ROLE_ADMIN)
        return ERR_NONE;
    if (strcmp(token->principal, who->principal) != 0)
        return error_set_field(e, ERR_FORBIDDEN, "principal",
                               "only an administrator makes tokens for others than "
                               "themselves (%s)",
                               who->principal);
    if (role > who->role)
        return error_set_field(e, ERR_FORBIDDEN, "role",
                               "a %s cannot make a token with the role %s",
                               role_name(who->role), role_name(role));
    if (who->token_expires_us != 0 &&
        (token->expires_us == 0 || token->expires_us > who->token_expires_us))
        return error_set_field(e, ERR_FORBIDDEN, "expires_at",
                               "a token that expires makes none that outlives it");
    return ERR_NONE;
}

enum err token_create_handler(struct request *request, struct response *response,
                              struct error *e)
{
    struct token token = {0};
    enum role role = ROLE_NONE;
    enum err err = token_create_parse(request->body, &token, &role, e);
    if (err == ERR_NONE)
        err = check_rights(&request->who, &token, role, e);
    char text[TOKEN_TEXT_SIZE];
    if (err == ERR_NONE)
        err = token_text_make(text, e);
    if (err != ERR_NONE)
        return err;
    token_text_parse(text, token.id, &token.secret);
    struct actor actor = place_actor(request);
    err = token_insert(request->app->db, &token, &actor, e);
    if (err != ERR_NONE)
        return err;
    json_t *json = render_token(&token);
    json_object_set_new(json, "token", json_string(text));
    response_header(response, "Cache-Control", "no-store");
    response_json(response, 201, json);
    return ERR_NONE;
}

// ---- list, revoke, whoami -----------------------------------------------------------

// 0, every principal's, for administrators.
static int64_t visible_principal(const struct request *request)
{
    return request->who.role == ROLE_ADMIN ? 0 : request->who.principal_id;
}

enum err tokens_list_handler(struct request *request, struct response *response,
                             struct error *e)
{
    struct page page;
    enum err err = request_page(request, &page, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE struct token *tokens = NULL;
    size_t count = 0;
    err = token_list(request->app->db, visible_principal(request), page.token,
                     page.limit + 1, &tokens, &count, e);
    if (err != ERR_NONE)
        return err;
    bool more = count > (size_t)page.limit;
    if (more)
        count--;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, render_token(&tokens[i]));
    AUTO_FREE char *next = more ? page_token_encode(tokens[count - 1].id) : NULL;
    response_json(response, 200,
                  json_pack("{s:o, s:s?}", "tokens", list, "next_page_token", next));
    return ERR_NONE;
}

enum err token_revoke_handler(struct request *request, struct response *response,
                              struct error *e)
{
    const char *id = request->params[0];
    struct actor actor = place_actor(request);
    enum err err =
        token_revoke(request->app->db, id, visible_principal(request), &actor, e);
    // The outcome of a lost COMMIT is unknown: better asked again than served.
    auth_forget(request->app->auth, id);
    if (err != ERR_NONE)
        return err;
    response_empty(response, 204);
    return ERR_NONE;
}

enum err whoami_handler(struct request *request, struct response *response,
                        struct error *e)
{
    const struct identity *who = &request->who;
    struct token token;
    enum err err = token_find(request->app->db, who->token_id, &token, e);
    if (err != ERR_NONE)
        return err;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:{s:s, s:o, s:o}}", "principal", who->principal, "kind",
        who->kind, "role", role_name(who->role), "token", "id", token.id, "description",
        render_text(token.description), "expires_at", render_time(token.expires_us));
    response_json(response, 200, json);
    return ERR_NONE;
}
