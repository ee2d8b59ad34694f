// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "client/lib/client.h"
#include "client/lib/strata_tiers.h"
#include "common/alloc.h"
#include "common/cleanup.h"

static enum strata_status get(struct strata_client *client, const char *path,
                              const char *needs, char **json, struct strata_error *e)
{
    struct call call = {.method = "GET", .path = path, .needs = needs};
    return client_call_text(client, &call, json, e);
}

static enum strata_status post(struct strata_client *client, const char *path,
                               const json_t *body, const char *needs, bool once,
                               char **json, struct strata_error *e)
{
    struct call call = {
        .method = "POST", .path = path, .body = body, .once = once, .needs = needs};
    return client_call_text(client, &call, json, e);
}

// `base` and what names one thing below it.
static char *path_of(const char *base, const char *name)
{
    struct buf path = {0};
    buf_puts(&path, base);
    http_url_append(&path, name, false);
    return buf_steal(&path);
}

static void add_parameter(struct buf *url, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_printf(url, "&%s=", name);
    http_url_append(url, value, false);
}

static enum strata_status check_digest(const char *text, struct strata_error *e)
{
    struct digest digest;
    return digest_parse(text, &digest)
               ? STRATA_OK
               : fail_set(e, STRATA_USAGE,
                          "%s: a blob is named by 64 lower-case hex digits", text);
}

// ---- tiers and placements ----------------------------------------------------------

enum strata_status strata_tier_list(struct strata_client *client, char **json,
                                    struct strata_error *e)
{
    return get(client, "/api/v1/tiers", "tiers", json, e);
}

enum strata_status strata_placement_list(struct strata_client *client,
                                         const char *sha256, char **json,
                                         struct strata_error *e)
{
    *json = NULL;
    enum strata_status status = check_digest(sha256, e);
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *path = alloc_printf("/api/v1/blobs/%s/placements", sha256);
    return get(client, path, "placements", json, e);
}

// ---- moves ---------------------------------------------------------------------

enum strata_status strata_move_begin(struct strata_client *client, const char *sha256,
                                     const char *tier, char **json,
                                     struct strata_error *e)
{
    *json = NULL;
    enum strata_status status = check_digest(sha256, e);
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *path = alloc_printf("/api/v1/blobs/%s/move", sha256);
    AUTO_JSON json_t *body = json_pack("{s:s}", "tier", tier);
    if (body == NULL)
        return fail_set(e, STRATA_USAGE, "the tier is not UTF-8");
    return post(client, path, body, "id", false, json, e);
}

enum strata_status strata_move_get(struct strata_client *client, const char *id,
                                   char **json, struct strata_error *e)
{
    AUTO_FREE char *path = path_of("/api/v1/moves/", id);
    return get(client, path, "id", json, e);
}

enum strata_status strata_move_list(struct strata_client *client, const char *state,
                                    const char *page_token, int limit, char **json,
                                    struct strata_error *e)
{
    CLEANUP(buf_clear) struct buf url = {0};
    buf_printf(&url, "/api/v1/moves?limit=%d", limit);
    add_parameter(&url, "state", state);
    add_parameter(&url, "page_token", page_token);
    return get(client, buf_text(&url), "moves", json, e);
}

enum strata_status strata_move_cancel(struct strata_client *client, const char *id,
                                      struct strata_error *e)
{
    AUTO_FREE char *path = path_of("/api/v1/moves/", id);
    struct call call = {.method = "DELETE", .path = path, .once = true};
    return client_call(client, &call, NULL, NULL, e);
}

// ---- pins and prefetch ---------------------------------------------------------

enum strata_status strata_pin_create(struct strata_client *client, const char *what,
                                     const char *tier, const char *until, char **json,
                                     struct strata_error *e)
{
    *json = NULL;
    struct digest digest;
    struct ref ref;
    bool is_blob = digest_parse(what, &digest);
    enum strata_status status = is_blob ? STRATA_OK : client_parse_ref(what, &ref, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:s*}", is_blob ? "sha256" : "ref",
                                       what, "tier", tier, "until", until);
    if (body == NULL)
        return fail_set(e, STRATA_USAGE, "tier or time is not UTF-8");
    return post(client, "/api/v1/pins", body, "id", true, json, e);
}

enum strata_status strata_pin_list(struct strata_client *client, const char *page_token,
                                   int limit, char **json, struct strata_error *e)
{
    CLEANUP(buf_clear) struct buf url = {0};
    buf_printf(&url, "/api/v1/pins?limit=%d", limit);
    add_parameter(&url, "page_token", page_token);
    return get(client, buf_text(&url), "pins", json, e);
}

enum strata_status strata_pin_delete(struct strata_client *client, const char *id,
                                     struct strata_error *e)
{
    AUTO_FREE char *path = path_of("/api/v1/pins/", id);
    struct call call = {.method = "DELETE", .path = path, .once = true};
    return client_call(client, &call, NULL, NULL, e);
}

enum strata_status strata_prefetch(struct strata_client *client, const char *ref,
                                   const char *tier, const char *const *files,
                                   char **json, struct strata_error *e)
{
    *json = NULL;
    struct ref parsed;
    enum strata_status status = client_parse_ref(ref, &parsed, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *body = json_pack("{s:s, s:s}", "ref", ref, "tier", tier);
    AUTO_JSON json_t *list = json_array();
    for (size_t i = 0; files != NULL && files[i] != NULL; i++) {
        if (json_array_append_new(list, json_string(files[i])) != 0)
            return fail_set(e, STRATA_USAGE, "%s is not UTF-8", files[i]);
    }
    if (body == NULL)
        return fail_set(e, STRATA_USAGE, "the tier is not UTF-8");
    if (json_array_size(list) > 0)
        json_object_set(body, "files", list);
    return post(client, "/api/v1/prefetch", body, "moves", false, json, e);
}

// ---- rules ---------------------------------------------------------------------

enum strata_status strata_tier_rules_get(struct strata_client *client, char **json,
                                         struct strata_error *e)
{
    return get(client, "/api/v1/tier-rules", "rules", json, e);
}

enum strata_status strata_tier_rules_set(struct strata_client *client,
                                         const char *rules, bool dry_run, char **json,
                                         struct strata_error *e)
{
    *json = NULL;
    json_error_t why;
    AUTO_JSON json_t *body = json_loads(rules, JSON_REJECT_DUPLICATES, &why);
    if (body == NULL)
        return fail_set(e, STRATA_USAGE, "the rules are no JSON: line %d: %s", why.line,
                        why.text);
    struct call call = {.method = "PUT",
                        .path = dry_run ? "/api/v1/tier-rules?dry_run=true"
                                        : "/api/v1/tier-rules",
                        .body = body,
                        .needs = "rules"};
    return client_call_text(client, &call, json, e);
}

enum strata_status strata_tier_rules_history(struct strata_client *client,
                                             const char *page_token, int limit,
                                             char **json, struct strata_error *e)
{
    CLEANUP(buf_clear) struct buf url = {0};
    buf_printf(&url, "/api/v1/tier-rules/history?limit=%d", limit);
    add_parameter(&url, "page_token", page_token);
    return get(client, buf_text(&url), "history", json, e);
}

// ---- garbage -----------------------------------------------------------------------

enum strata_status strata_gc_get(struct strata_client *client, char **json,
                                 struct strata_error *e)
{
    return get(client, "/api/v1/gc", "state", json, e);
}

enum strata_status strata_gc_run(struct strata_client *client, bool dry_run,
                                 char **json, struct strata_error *e)
{
    AUTO_JSON json_t *body = json_pack("{s:b}", "dry_run", dry_run);
    return post(client, "/api/v1/gc", body, dry_run ? "blobs" : "run", false, json, e);
}

// ---- scrub -------------------------------------------------------------------------

enum strata_status strata_scrub_get(struct strata_client *client, char **json,
                                    struct strata_error *e)
{
    return get(client, "/api/v1/scrub", "state", json, e);
}

enum strata_status strata_scrub_start(struct strata_client *client, const char *sha256,
                                      const char *tier, char **json,
                                      struct strata_error *e)
{
    *json = NULL;
    enum strata_status status = sha256 != NULL ? check_digest(sha256, e) : STRATA_OK;
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *body = json_pack("{s:s*, s:s*}", "sha256", sha256, "tier", tier);
    if (body == NULL)
        return fail_set(e, STRATA_USAGE, "the tier is not UTF-8");
    return post(client, "/api/v1/scrub", body, "due", false, json, e);
}
