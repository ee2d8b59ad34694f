// SPDX-License-Identifier: Apache-2.0
#include "server/api/uploads.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/fields.h"
#include "common/hex.h"
#include "server/api/chain_field.h"
#include "server/api/digest_field.h"
#include "server/api/tier_field.h"
#include "storage/upload.h"

static enum err parse_id(const struct request *request, struct error *e)
{
    if (upload_id_is_valid(request->params[0]))
        return ERR_NONE;
    return error_set_field(e, ERR_INVALID_FIELD, "id", "this must be a UUID");
}

static json_t *blob_json(const struct blob *blob)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&blob->digest, hex);
    return json_pack("{s:s, s:I}", "sha256", hex, "size", (json_int_t)blob->size);
}

static json_t *info_json(const struct upload_info *info)
{
    char hex[DIGEST_HEX_SIZE], expires[CLOCK_TEXT_SIZE];
    clock_format(info->expires_us, expires);
    json_t *received = json_array();
    for (size_t i = 0; i < info->received_count; i++)
        json_array_append_new(received, json_integer(info->received[i]));
    json_t *json =
        json_pack("{s:s, s:I, s:I, s:o, s:s, s:s}", "id", info->id, "size",
                  (json_int_t)info->size, "part_size", (json_int_t)info->part_size,
                  "received", received, "state", info->state, "expires_at", expires);
    if (info->chain_with_parts)
        json_object_set_new(json, "chain_with_parts", json_true());
    if (info->has_digest) {
        digest_format(&info->digest, hex);
        json_object_set_new(json, "sha256", json_string(hex));
    }
    return json;
}

// ---- begin ------------------------------------------------------------------------

static void parse_chain_with_parts(struct fields *f, struct upload_create_request *c)
{
    struct upload_request *r = &c->request;
    r->chain_with_parts = fields_bool(f, "chain_with_parts", false);
    if (r->chain_with_parts && fields_has(f, "chain"))
        fields_fail(f, ERR_INVALID_FIELD, "chain_with_parts", "not beside `chain`");
    const char *begins =
        fields_text(f, "unless_begins", FIELD_OPTIONAL, 2 * CHAIN_STATE_SIZE);
    if (begins == NULL)
        return;
    if (!r->chain_with_parts || r->size <= CHAIN_CHUNK_SIZE)
        fields_fail(f, ERR_INVALID_FIELD, "unless_begins",
                    "only with `chain_with_parts`, of more than one chunk");
    else if (strlen(begins) != 2 * CHAIN_STATE_SIZE ||
             !hex_decode(begins, c->begins, CHAIN_STATE_SIZE))
        fields_fail(f, ERR_INVALID_FIELD, "unless_begins",
                    "this must be 64 lower-case hex digits");
    else
        r->unless_begins = c->begins;
}

enum err upload_create_parse(const json_t *body, struct upload_create_request *c,
                             struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    c->request.size = (uint64_t)fields_int(&f, "size", FIELD_REQUIRED, 0, INT64_MAX, 0);
    const char *sha256 = fields_text(&f, "sha256", FIELD_OPTIONAL, DIGEST_HEX_SIZE);
    if (sha256 != NULL && !digest_parse(sha256, &c->digest))
        fields_fail(&f, ERR_INVALID_FIELD, "sha256",
                    "this must be 64 lower-case hex digits");
    const json_t *chain = fields_object(&f, "chain", FIELD_OPTIONAL, 3);
    parse_chain_with_parts(&f, c);
    c->request.tier = fields_tier(&f, FIELD_OPTIONAL);
    enum err err = fields_end(&f);
    if (err != ERR_NONE)
        return err;
    c->request.digest = sha256 != NULL ? &c->digest : NULL;
    if (chain == NULL)
        return ERR_NONE;
    c->request.chain = &c->chain;
    return chain_from_json(chain, c->request.size, "chain", &c->chain, e);
}

enum err upload_create_handler(struct request *request, struct response *response,
                               struct error *e)
{
    struct upload_create_request c = {.request = {0}};
    CLEANUP(upload_info_clear) struct upload_info info = {.size = 0};
    struct blob blob;
    enum upload_answer answer = UPLOAD_MADE;
    enum err err = upload_create_parse(request->body, &c, e);
    c.request.principal_id = request->who.principal_id;
    if (err == ERR_NONE)
        err = upload_begin(request->app->storage, &c.request, &answer, &blob, &info, e);
    chain_clear(&c.chain);
    if (err != ERR_NONE)
        return err;
    if (answer != UPLOAD_MADE) {
        response_json(response, 200,
                      answer == UPLOAD_HAVE
                          ? json_pack("{s:o}", "blob", blob_json(&blob))
                          : json_pack("{s:b}", "begins_alike", 1));
        return ERR_NONE;
    }
    AUTO_FREE char *location = alloc_printf("/api/v1/uploads/%s", info.id);
    response_header(response, "Location", location);
    response_json(response, 201, info_json(&info));
    return ERR_NONE;
}

// ---- parts ------------------------------------------------------------------------

static enum err part_write(void *context, const void *bytes, size_t size,
                           struct error *e)
{
    return part_writer_write(context, bytes, size, e);
}

static enum err part_finish(void *context, struct request *request,
                            struct response *response, struct error *e)
{
    (void)request;
    enum err err = part_writer_finish(context, e);
    if (err != ERR_NONE)
        return err;
    part_writer_free(context);
    response_empty(response, 204);
    return ERR_NONE;
}

static void part_abort(void *context)
{
    part_writer_free(context);
}

static enum err parse_number(const char *text, int64_t *number, struct error *e)
{
    char *end;
    if (strspn(text, "0123456789") != strlen(text) || *text == '\0')
        return error_set_field(e, ERR_INVALID_FIELD, "n", "this must be a number");
    *number = strtoll(text, &end, 10); // stays at the maximum, which no upload has
    return ERR_NONE;
}

static enum err parse_claim(struct request *request, struct part_claim *claim,
                            struct digest *digest, uint8_t **states, struct error *e)
{
    bool has_digest = false;
    enum err err = digest_field_parse(request_header_all(request, "Content-Digest"),
                                      digest, &has_digest, e);
    const char *chain = request_header_all(request, "Strata-Chain");
    if (err == ERR_NONE && chain != NULL) {
        *states = chain_field_parse(chain, &claim->states_count);
        if (*states == NULL)
            err = error_set_field(e, ERR_INVALID_FIELD, "Strata-Chain",
                                  "values are 64 lower-case hex digits, with commas "
                                  "between them");
    }
    claim->size = (uint64_t)request->content_length;
    claim->digest = has_digest ? digest : NULL;
    claim->states = *states;
    return err;
}

enum err upload_part_begin(struct request *request, struct body_sink *sink,
                           struct response *response, struct error *e)
{
    (void)response;
    int64_t number = 0;
    struct digest digest;
    struct part_claim claim = {.size = 0};
    AUTO_FREE uint8_t *states = NULL;
    enum err err = parse_id(request, e);
    if (err == ERR_NONE)
        err = parse_number(request->params[1], &number, e);
    if (err == ERR_NONE)
        err = parse_claim(request, &claim, &digest, &states, e);
    struct part_writer *writer = NULL;
    if (err == ERR_NONE)
        err = part_writer_new(request->app->storage, request->params[0],
                              request->who.principal_id, number, &claim, &writer, e);
    if (err == ERR_NONE)
        *sink = (struct body_sink){.context = writer,
                                   .write = part_write,
                                   .finish = part_finish,
                                   .abort = part_abort};
    return err;
}

// ---- show, complete, delete -------------------------------------------------------

enum err upload_get_handler(struct request *request, struct response *response,
                            struct error *e)
{
    CLEANUP(upload_info_clear) struct upload_info info = {.size = 0};
    enum err err = parse_id(request, e);
    if (err == ERR_NONE)
        err = upload_get(request->app->storage, request->params[0],
                         request->who.principal_id, &info, e);
    if (err == ERR_NONE)
        response_json(response, 200, info_json(&info));
    return err;
}

enum err upload_complete_parse(const json_t *body, struct error *e)
{
    struct fields f;
    if (body == NULL)
        return ERR_NONE;
    fields_begin(&f, body, "", e);
    return fields_end(&f);
}

enum err upload_complete_handler(struct request *request, struct response *response,
                                 struct error *e)
{
    struct blob blob;
    bool created = false;
    enum err err = parse_id(request, e);
    if (err == ERR_NONE)
        err = upload_complete_parse(request->body, e);
    if (err == ERR_NONE)
        err = upload_complete(request->app->storage, request->params[0],
                              request->who.principal_id, &blob, &created, e);
    if (err != ERR_NONE)
        return err;
    metrics_add(request->app->metrics, METRIC_BLOBS_STORED, created);
    response_json(response, 201, blob_json(&blob));
    return ERR_NONE;
}

enum err upload_delete_handler(struct request *request, struct response *response,
                               struct error *e)
{
    enum err err = parse_id(request, e);
    if (err == ERR_NONE)
        err = upload_delete(request->app->storage, request->params[0],
                            request->who.principal_id, e);
    if (err == ERR_NONE)
        response_empty(response, 204);
    return err;
}
