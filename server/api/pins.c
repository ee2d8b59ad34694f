// SPDX-License-Identifier: Apache-2.0
#include "server/api/pins.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "server/api/place.h"
#include "server/api/ref_field.h"
#include "server/api/render.h"
#include "server/api/tier_field.h"
#include "server/policy/pin.h"

static json_t *render(const struct pin *pin)
{
    bool is_version = pin->model[0] != '\0';
    json_t *ref = is_version ? json_sprintf("%s@%" PRId64, pin->model, pin->version)
                             : json_null();
    return json_pack(
        "{s:I, s:o, s:o, s:s, s:o, s:I, s:I, s:o, s:s}", "id", (json_int_t)pin->id,
        "ref", ref, "sha256", is_version ? json_null() : render_digest(&pin->digest),
        "tier", tier_name(pin->tier), "until", render_time(pin->until_us), "blobs",
        (json_int_t)pin->blobs, "bytes", (json_int_t)pin->bytes, "created_at",
        render_time(pin->created_us), "created_by", pin->created_by);
}

// ---- create -----------------------------------------------------------------------

static void read_until(struct fields *f, int64_t *until_us)
{
    const char *text = fields_text(f, "until", FIELD_OPTIONAL, CLOCK_TEXT_SIZE);
    if (text != NULL && !clock_parse(text, until_us))
        fields_fail(f, ERR_INVALID_FIELD, "until",
                    "until must be a time as in 2030-01-31T12:00:00Z");
}

enum err pin_create_parse(const json_t *body, struct pin_body *pin, struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    pin->has_ref = fields_ref(&f, FIELD_OPTIONAL, &pin->ref);
    const char *sha256 = fields_text(&f, "sha256", FIELD_OPTIONAL, DIGEST_HEX_SIZE);
    if (sha256 != NULL && !digest_parse(sha256, &pin->digest))
        fields_fail(&f, ERR_INVALID_FIELD, "sha256",
                    "this must be 64 lower-case hex digits");
    if (pin->has_ref && sha256 != NULL)
        fields_fail(&f, ERR_INVALID_FIELD, "sha256", "not beside `ref`");
    if (!pin->has_ref && sha256 == NULL)
        fields_fail(&f, ERR_INVALID_FIELD, "ref", "`ref` or `sha256` is required");
    pin->tier = fields_tier(&f, FIELD_REQUIRED);
    read_until(&f, &pin->until_us);
    return fields_end(&f);
}

enum err pin_create_handler(struct request *request, struct response *response,
                            struct error *e)
{
    struct pin_body body = {.until_us = 0};
    enum err err = pin_create_parse(request->body, &body, e);
    if (err != ERR_NONE)
        return err;
    char model[MODEL_SIZE];
    snprintf(model, sizeof model, "%s/%s", body.ref.space, body.ref.name);
    const struct pin_request asked = {
        .model = body.has_ref ? model : NULL,
        .selector = body.has_ref ? &body.ref : NULL,
        .digest = body.has_ref ? NULL : &body.digest,
        .tier = body.tier,
        .until_us = body.until_us,
    };
    struct actor actor = place_actor(request);
    struct pin pin;
    err = pin_create(request->app->policy, &actor, &asked, &pin, e);
    if (err == ERR_NONE)
        response_json(response, 201, render(&pin));
    return err;
}

// ---- list, delete -----------------------------------------------------------------

enum err pins_list_handler(struct request *request, struct response *response,
                           struct error *e)
{
    struct page page = {0};
    int64_t before = 0;
    AUTO_FREE struct pin *pins = NULL;
    size_t count = 0;
    enum err err = request_page(request, &page, e);
    if (err == ERR_NONE)
        err = place_page_number(&page, 0, &before, e);
    if (err == ERR_NONE)
        err = pin_list(request->app->policy, before, page.limit + 1, &pins, &count, e);
    if (err != ERR_NONE)
        return err;
    bool more = count > (size_t)page.limit;
    count -= more;
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, render(&pins[i]));
    respond_numbered_page(response, "pins", rows, more ? pins[count - 1].id : 0);
    return ERR_NONE;
}

enum err pin_delete_handler(struct request *request, struct response *response,
                            struct error *e)
{
    int64_t id = 0;
    struct actor actor = place_actor(request);
    enum err err = place_id(request, &id, e);
    if (err == ERR_NONE)
        err = pin_delete(request->app->policy, &actor, id, e);
    if (err == ERR_NONE)
        response_empty(response, 204);
    return err;
}
