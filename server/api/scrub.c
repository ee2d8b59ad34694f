// SPDX-License-Identifier: Apache-2.0
#include "server/api/scrub.h"

#include "common/config.h"
#include "common/fields.h"
#include "server/api/app.h"
#include "server/api/render.h"
#include "server/api/tier_field.h"
#include "storage/scrub.h"

static json_t *current_json(const struct scrub_place *place)
{
    if (place->placement == 0)
        return json_null();
    return json_pack("{s:o, s:s}", "sha256", render_digest(&place->digest), "tier",
                     tier_name(place->tier));
}

static json_t *finding_json(const struct scrub_finding *f)
{
    if (f->place.placement == 0)
        return json_null();
    return json_pack("{s:o, s:s, s:s, s:s, s:o}", "sha256",
                     render_digest(&f->place.digest), "tier", tier_name(f->place.tier),
                     "outcome", f->heals ? "healing" : "damaged", "why", f->why,
                     "found_at", render_time(f->found_us));
}

enum err scrub_get_handler(struct request *request, struct response *response,
                           struct error *e)
{
    struct scrub *scrub = request->app->scrub;
    const struct config *config = request->app->config;
    struct scrub_waiting waiting;
    struct scrub_counts counts;
    struct scrub_state state;
    enum err err = scrub_waiting(scrub, &waiting, e);
    if (err != ERR_NONE)
        return err;
    scrub_count(scrub, &counts);
    scrub_show(scrub, &state);
    response_json(
        response, 200,
        json_pack(
            "{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:o, s:o}",
            "state", state.is_running ? "running" : "idle", "interval_seconds",
            (json_int_t)(config->scrub_interval_ms / 1000), "bandwidth",
            (json_int_t)config->scrub_bandwidth, "checked", (json_int_t)counts.copies,
            "bytes", (json_int_t)counts.bytes, "bad", (json_int_t)counts.bad, "healed",
            (json_int_t)counts.healed, "damaged", (json_int_t)waiting.damaged,
            "oldest_check", render_time(waiting.oldest_us), "due",
            (json_int_t)waiting.due, "asked", (json_int_t)waiting.asked, "current",
            current_json(&state.current), "last_finding", finding_json(&state.last)));
    return ERR_NONE;
}

enum err scrub_start_parse(const json_t *body, struct scrub_body *asked,
                           struct error *e)
{
    struct fields f;
    *asked = (struct scrub_body){.has_digest = false};
    if (body == NULL)
        return ERR_NONE;
    fields_begin(&f, body, "", e);
    const char *sha256 = fields_text(&f, "sha256", FIELD_OPTIONAL, DIGEST_HEX_SIZE);
    if (sha256 != NULL && !digest_parse(sha256, &asked->digest))
        fields_fail(&f, ERR_INVALID_FIELD, "sha256",
                    "this must be 64 lower-case hex digits");
    asked->has_digest = sha256 != NULL;
    asked->has_tier = fields_has(&f, "tier");
    asked->tier = fields_tier(&f, FIELD_OPTIONAL);
    return fields_end(&f);
}

enum err scrub_start_handler(struct request *request, struct response *response,
                             struct error *e)
{
    struct scrub_body asked;
    int64_t due = 0;
    enum err err = scrub_start_parse(request->body, &asked, e);
    if (err == ERR_NONE)
        err = scrub_ask(request->app->scrub, asked.has_digest ? &asked.digest : NULL,
                        asked.has_tier ? &asked.tier : NULL, &due, e);
    if (err != ERR_NONE)
        return err;
    response_header(response, "Location", "/api/v1/scrub");
    response_json(response, 202, json_pack("{s:I}", "due", (json_int_t)due));
    return ERR_NONE;
}
