// SPDX-License-Identifier: Apache-2.0
#include "server/api/versions.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/api/origins.h"
#include "server/api/place.h"
#include "server/registry/deletion.h"
#include "server/registry/document.h"
#include "server/registry/version.h"

#define LIST_MAXIMUM ((size_t)128 << 20)
#define MESSAGE_MAXIMUM 4096

enum err versions_list_handler(struct request *request, struct response *response,
                               struct error *e)
{
    char model[MODEL_SIZE];
    struct page page = {0};
    int64_t before = 0, last = 0;
    CLEANUP(buf_clear) struct buf to;
    buf_init(&to, LIST_MAXIMUM);
    buf_puts(&to, "{\"versions\":");
    enum err err = place_model(request, model, e);
    if (err == ERR_NONE)
        err = request_page(request, &page, e);
    if (err == ERR_NONE)
        err = place_page_number(&page, INT64_MAX, &before, e);
    if (err == ERR_NONE)
        err = document_list(request->app->registry, model, before, page.limit, &to,
                            &last, e);
    if (err != ERR_NONE)
        return err;
    char key[24];
    snprintf(key, sizeof key, "%" PRId64, last);
    AUTO_FREE char *next = page_token_encode(key);
    if (last != 0)
        buf_printf(&to, ",\"next_page_token\":\"%s\"}", next);
    else
        buf_puts(&to, ",\"next_page_token\":null}");
    size_t size = to.size;
    response_text(response, 200, "application/json", buf_steal(&to), size);
    return ERR_NONE;
}

static void respond_document(struct response *response, int status, char *text)
{
    response_text(response, status, "application/json", text, strlen(text));
}

enum err version_get_handler(struct request *request, struct response *response,
                             struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    struct version_key key = {0};
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = version_resolve(request->app->registry, model, &selector, &key, e);
    if (err == ERR_NONE)
        err = document_get(request->app->registry, key.id, &entry, e);
    if (err != ERR_NONE)
        return err;
    const struct document *document = cache_value(entry);
    respond_document(response, 200, alloc_copy_n(document->text, document->size));
    return ERR_NONE;
}

enum err version_patch_parse(const json_t *body, struct version_patch *patch,
                             struct error *e)
{
    struct fields f;
    bool is_null = false;
    *patch = (struct version_patch){0};
    fields_begin(&f, body, "", e);
    patch->description =
        fields_text_or_null(&f, "description", DESCRIPTION_MAXIMUM, &is_null);
    patch->set_description = patch->description != NULL || is_null;
    if (is_null)
        patch->description = "";
    patch->clear_tags = json_is_null(json_object_get(body, "tags"));
    if (!patch->clear_tags)
        patch->tags = fields_tags(&f, "tags", TAGS_ALLOW_NULL);
    else
        (void)fields_text_or_null(&f, "tags", 0, &is_null);
    return fields_end(&f);
}

enum err version_patch_handler(struct request *request, struct response *response,
                               struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    struct version_patch patch;
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = version_patch_parse(request->body, &patch, e);
    struct actor actor = place_actor(request);
    char *text = NULL;
    if (err == ERR_NONE)
        err = version_patch(request->app->registry, &actor, model, &selector, &patch,
                            &text, e);
    if (err == ERR_NONE)
        respond_document(response, 200, text);
    return err;
}

enum err version_delete_handler(struct request *request, struct response *response,
                                struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    bool force = false;
    json_t *answer = NULL;
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = request_query_bool(request, "force", &force, e);
    struct actor actor = place_actor(request);
    if (err == ERR_NONE)
        err = version_delete(request->app->registry, &actor, model, &selector, force,
                             &answer, e);
    if (err == ERR_NONE)
        response_json(response, 200, answer);
    return err;
}

enum err version_restore_handler(struct request *request, struct response *response,
                                 struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    char *text = NULL;
    enum err err = place_version(request, model, &selector, e);
    struct actor actor = place_actor(request);
    if (err == ERR_NONE)
        err =
            version_restore(request->app->registry, &actor, model, &selector, &text, e);
    if (err == ERR_NONE)
        respond_document(response, 200, text);
    return err;
}

enum err version_yank_parse(const json_t *body, const char **message, struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    *message = fields_text(&f, "message", FIELD_REQUIRED, MESSAGE_MAXIMUM);
    if (*message != NULL && **message == '\0')
        fields_fail(&f, ERR_INVALID_FIELD, "message", "this must not be empty");
    return fields_end(&f);
}

enum err version_yank_handler(struct request *request, struct response *response,
                              struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    const char *message = NULL;
    char *text = NULL;
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = version_yank_parse(request->body, &message, e);
    struct actor actor = place_actor(request);
    if (err == ERR_NONE)
        err = version_yank(request->app->registry, &actor, model, &selector, message,
                           &text, e);
    if (err == ERR_NONE)
        respond_document(response, 200, text);
    return err;
}

// The manifest never changes, and its digest names it.
static void validators(struct response *response, const struct digest *digest,
                       char etag[DIGEST_HEX_SIZE + 16])
{
    char hex[DIGEST_HEX_SIZE], base64[64], repr[96];
    digest_format(digest, hex);
    snprintf(etag, DIGEST_HEX_SIZE + 16, "\"%s\"", hex);
    EVP_EncodeBlock((unsigned char *)base64, digest->bytes, DIGEST_SIZE);
    snprintf(repr, sizeof repr, "sha-256=:%s:", base64);
    response_header(response, "ETag", etag);
    response_header(response, "Repr-Digest", repr);
}

enum err version_manifest_handler(struct request *request, struct response *response,
                                  struct error *e)
{
    char model[MODEL_SIZE], etag[DIGEST_HEX_SIZE + 16];
    struct ref selector;
    struct version_key key = {0};
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = version_resolve(request->app->registry, model, &selector, &key, e);
    if (err == ERR_NONE)
        err = content_get(request->app->registry, NULL, key.id, &entry, e);
    if (err != ERR_NONE)
        return err;
    const struct content *content = cache_value(entry);
    validators(response, &key.digest, etag);
    response_text(response, 200, "application/json",
                  alloc_copy_n(content->manifest, content->manifest_size),
                  content->manifest_size);
    return ERR_NONE;
}
