// SPDX-License-Identifier: Apache-2.0
#include "server/api/tier_rules.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "server/api/conditions.h"
#include "server/api/place.h"
#include "server/api/render.h"
#include "server/policy/rule_store.h"

#define HISTORY_MAXIMUM 100 // of a page: each is as large as a body

static json_t *rules_of(const struct tier_rules_row *row)
{
    AUTO_JSON json_t *json = json_loads(row->text, 0, NULL);
    return json_incref(json_object_get(json, "rules"));
}

// As it can be put again.
static void respond_rules(struct response *response, const struct tier_rules_row *row)
{
    char etag[TIER_RULES_ETAG_SIZE];
    tier_rules_etag(row->version, etag);
    response_header(response, "ETag", etag);
    response_json(response, 200, json_pack("{s:o}", "rules", rules_of(row)));
}

enum err tier_rules_get_handler(struct request *request, struct response *response,
                                struct error *e)
{
    CLEANUP(tier_rules_row_clear) struct tier_rules_row row = {0};
    enum err err = tier_rules_get(request->app->policy, &row, e);
    if (err == ERR_NONE)
        respond_rules(response, &row);
    return err;
}

enum err tier_rules_put_parse(const json_t *body, struct error *e)
{
    CLEANUP(tier_rules_free_at) struct tier_rules *rules = NULL;
    return tier_rules_parse(body, &rules, e);
}

static enum err put_rules(struct request *request, struct response *response,
                          struct error *e)
{
    const struct etag_conditions conditions = {
        .match = request_header_all(request, "If-Match"),
        .none_match = request_header_all(request, "If-None-Match")};
    const struct tier_rules_condition condition = {.holds = etag_conditions_hold,
                                                   .context = &conditions};
    CLEANUP(tier_rules_row_clear) struct tier_rules_row row = {0};
    struct actor actor = place_actor(request);
    enum err err = tier_rules_put(request->app->policy, &actor, request->body,
                                  &condition, &row, e);
    if (err == ERR_NONE)
        respond_rules(response, &row);
    return err;
}

enum err tier_rules_put_handler(struct request *request, struct response *response,
                                struct error *e)
{
    bool dry_run = false;
    json_t *report = NULL;
    enum err err = request_query_bool(request, "dry_run", &dry_run, e);
    if (err != ERR_NONE || !dry_run)
        return err != ERR_NONE ? err : put_rules(request, response, e);
    err = tier_rules_try(request->app->policy, request->body, &report, e);
    if (err == ERR_NONE)
        response_json(response, 200, report);
    return err;
}

static json_t *entry_json(const struct tier_rules_row *row)
{
    return json_pack("{s:I, s:o, s:o, s:s}", "version", (json_int_t)row->version,
                     "rules", rules_of(row), "set_at", render_time(row->set_at_us),
                     "set_by", row->set_by);
}

enum err tier_rules_history_handler(struct request *request, struct response *response,
                                    struct error *e)
{
    struct page page = {0};
    int64_t before = 0;
    AUTO_FREE struct tier_rules_row *rows = NULL;
    size_t count = 0;
    enum err err = request_page(request, &page, e);
    if (err == ERR_NONE)
        err = place_page_number(&page, 0, &before, e);
    if (page.limit > HISTORY_MAXIMUM)
        page.limit = HISTORY_MAXIMUM;
    if (err == ERR_NONE)
        err = tier_rules_history(request->app->policy, before, page.limit + 1, &rows,
                                 &count, e);
    if (err != ERR_NONE)
        return err;
    bool more = count > (size_t)page.limit;
    json_t *list = json_array();
    for (size_t i = 0; i < count - more; i++)
        json_array_append_new(list, entry_json(&rows[i]));
    respond_numbered_page(response, "history", list,
                          more ? rows[count - 2].version : 0);
    for (size_t i = 0; i < count; i++)
        tier_rules_row_clear(&rows[i]);
    return ERR_NONE;
}
