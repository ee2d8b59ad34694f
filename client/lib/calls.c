// SPDX-License-Identifier: Apache-2.0
// The calls that answer with what the server says.
#include <stdlib.h>
#include <string.h>

#include "client/lib/client.h"
#include "client/lib/strata_transfer.h"
#include "common/alloc.h"
#include "common/cleanup.h"

static enum strata_status get(struct strata_client *client, const char *path,
                              const char *needs, char **json, struct strata_error *e)
{
    struct call call = {.method = "GET", .path = path, .needs = needs};
    return client_call_text(client, &call, json, e);
}

static enum strata_status get_page(struct strata_client *client, const char *path,
                                   const char *page_token, int limit, char **json,
                                   struct strata_error *e)
{
    CLEANUP(buf_clear) struct buf url = {0};
    buf_printf(&url, "%s?limit=%d", path, limit);
    if (page_token != NULL) {
        buf_puts(&url, "&page_token=");
        http_url_append(&url, page_token, false);
    }
    return get(client, buf_text(&url), NULL, json, e);
}

enum strata_status strata_whoami(struct strata_client *client, char **json,
                                 struct strata_error *e)
{
    return get(client, "/api/v1/whoami", "principal", json, e);
}

enum strata_status strata_model_list(struct strata_client *client,
                                     const char *page_token, int limit, char **json,
                                     struct strata_error *e)
{
    return get_page(client, "/api/v1/models", page_token, limit, json, e);
}

enum strata_status strata_version_list(struct strata_client *client, const char *model,
                                       const char *page_token, int limit, char **json,
                                       struct strata_error *e)
{
    *json = NULL;
    struct ref ref;
    enum strata_status status = client_parse_model(model, &ref, e);
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *path = client_model_path(&ref, "/versions");
    return get_page(client, path, page_token, limit, json, e);
}

enum strata_status strata_version_get(struct strata_client *client, const char *text,
                                      char **json, struct strata_error *e)
{
    *json = NULL;
    struct ref ref;
    enum strata_status status = client_parse_ref(text, &ref, e);
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *path = client_version_path(&ref, "");
    return get(client, path, "version", json, e);
}

enum strata_status strata_version_delete(struct strata_client *client, const char *text,
                                         bool force, char **json,
                                         struct strata_error *e)
{
    *json = NULL;
    struct ref ref;
    enum strata_status status = client_parse_ref(text, &ref, e);
    if (status != STRATA_OK)
        return status;
    // A ref that moves must not be deleted twice by a repeated request.
    bool moves = ref.kind == REF_LATEST || ref.kind == REF_ALIAS;
    AUTO_FREE char *path = client_version_path(&ref, force ? "?force=true" : "");
    struct call call = {
        .method = "DELETE", .path = path, .once = moves, .needs = "version"};
    return client_call_text(client, &call, json, e);
}

enum strata_status strata_tensor_list(struct strata_client *client, const char *text,
                                      const char *page_token, int limit, char **json,
                                      struct strata_error *e)
{
    *json = NULL;
    struct ref ref;
    enum strata_status status = client_parse_ref(text, &ref, e);
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *path = client_version_path(&ref, "/tensors");
    return get_page(client, path, page_token, limit, json, e);
}

// The number of the version that a ref names; STRATA_NOT_FOUND where there is none.
static enum strata_status resolve(struct strata_client *client, const struct ref *ref,
                                  int64_t *number, struct strata_error *e)
{
    AUTO_FREE char *path = client_version_path(ref, "");
    AUTO_JSON json_t *version = NULL;
    struct call call = {.method = "GET", .path = path, .needs = "version"};
    enum strata_status status = client_call(client, &call, &version, NULL, e);
    *number = json_integer_value(json_object_get(version, "version"));
    return status;
}

static enum strata_status alias_path(const struct ref *ref, const char *alias,
                                     const char *more, char **path,
                                     struct strata_error *e)
{
    if (!alias_is_valid(alias)) {
        return fail_set(e, STRATA_USAGE,
                        "%s: an alias matches [A-Za-z0-9][A-Za-z0-9._-]{0,95} and is "
                        "neither a number nor latest",
                        alias);
    }
    AUTO_FREE char *rest = alloc_printf("/aliases/%s%s", alias, more);
    *path = client_model_path(ref, rest);
    return STRATA_OK;
}

enum strata_status strata_alias_set(struct strata_client *client, const char *text,
                                    const char *alias, char **json,
                                    struct strata_error *e)
{
    *json = NULL;
    struct ref ref;
    int64_t number = 0;
    AUTO_FREE char *path = NULL;
    enum strata_status status = client_parse_ref(text, &ref, e);
    if (status == STRATA_OK)
        status = alias_path(&ref, alias, "", &path, e);
    if (status == STRATA_OK)
        status = resolve(client, &ref, &number, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *body = json_pack("{s:I}", "version", (json_int_t)number);
    struct call call = {
        .method = "PUT", .path = path, .body = body, .needs = "version"};
    return client_call_text(client, &call, json, e);
}

enum strata_status strata_alias_delete(struct strata_client *client, const char *model,
                                       const char *alias, struct strata_error *e)
{
    struct ref ref;
    AUTO_FREE char *path = NULL;
    enum strata_status status = client_parse_model(model, &ref, e);
    if (status == STRATA_OK)
        status = alias_path(&ref, alias, "", &path, e);
    if (status != STRATA_OK)
        return status;
    struct call call = {.method = "DELETE", .path = path, .once = true};
    return client_call(client, &call, NULL, NULL, e);
}

enum strata_status strata_alias_history(struct strata_client *client, const char *model,
                                        const char *alias, const char *page_token,
                                        int limit, char **json, struct strata_error *e)
{
    *json = NULL;
    struct ref ref;
    AUTO_FREE char *path = NULL;
    enum strata_status status = client_parse_model(model, &ref, e);
    if (status == STRATA_OK)
        status = alias_path(&ref, alias, "/history", &path, e);
    if (status != STRATA_OK)
        return status;
    return get_page(client, path, page_token, limit, json, e);
}

enum strata_status strata_token_list(struct strata_client *client,
                                     const char *page_token, int limit, char **json,
                                     struct strata_error *e)
{
    return get_page(client, "/api/v1/tokens", page_token, limit, json, e);
}

enum strata_status strata_token_create(struct strata_client *client,
                                       const char *principal, const char *kind,
                                       const char *role, const char *description,
                                       const char *expires_at, char **json,
                                       struct strata_error *e)
{
    AUTO_JSON json_t *body =
        json_pack("{s:s, s:s, s:s*, s:s*, s:s*}", "principal", principal, "role", role,
                  "kind", kind, "description", description, "expires_at", expires_at);
    if (body == NULL)
        return fail_set(e, STRATA_USAGE, "principal, role or description is not UTF-8");
    struct call call = {.method = "POST",
                        .path = "/api/v1/tokens",
                        .body = body,
                        .once = true,
                        .needs = "token"};
    return client_call_text(client, &call, json, e);
}

enum strata_status strata_token_revoke(struct strata_client *client, const char *id,
                                       struct strata_error *e)
{
    CLEANUP(buf_clear) struct buf path = {0};
    buf_puts(&path, "/api/v1/tokens/");
    http_url_append(&path, id, false);
    struct call call = {.method = "DELETE", .path = buf_text(&path), .once = true};
    return client_call(client, &call, NULL, NULL, e);
}
