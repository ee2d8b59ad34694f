// SPDX-License-Identifier: Apache-2.0
#include "server/api/tiers.h"

#include "common/cleanup.h"
#include "server/policy/rule_store.h"
#include "storage/read_log.h"
#include "storage/status.h"

// Of the bytes that were served since the start; null before the first.
static json_t *hit_ratio(const struct read_totals *totals, int tier)
{
    double bytes = 0;
    for (int i = 0; i < TIER_COUNT; i++)
        bytes += (double)totals->bytes[i];
    return bytes > 0 ? json_real((double)totals->bytes[tier] / bytes) : json_null();
}

static json_t *tier_json(const struct storage_tier_status *status,
                         const struct read_totals *totals, int tier)
{
    bool limited = status->is_limited;
    return json_pack(
        "{s:s, s:I, s:s, s:s, s:o, s:I, s:o, s:I, s:I, s:i, s:i, s:I, s:o}", "tier",
        tier_name((enum tier)tier), "node", (json_int_t)status->node, "kind",
        status->kind, "state", status->is_online ? "online" : "offline",
        "capacity_bytes",
        limited ? json_integer((json_int_t)status->capacity) : json_null(),
        "used_bytes", (json_int_t)status->used, "available_bytes",
        limited ? json_integer((json_int_t)status->available) : json_null(),
        "pending_free_bytes", (json_int_t)status->pending_free, "blobs",
        (json_int_t)status->blobs, "low_mark", (int)status->low_mark, "high_mark",
        (int)status->high_mark, "reads", (json_int_t)totals->reads[tier], "hit_ratio",
        hit_ratio(totals, tier));
}

enum err tiers_handler(struct request *request, struct response *response,
                       struct error *e)
{
    struct storage_tier_status tiers[TIER_COUNT];
    struct read_totals totals;
    json_t *unsatisfied = NULL;
    enum err err = storage_tiers(request->app->storage, tiers, e);
    if (err == ERR_NONE)
        err = tier_rules_unsatisfied(request->app->policy, &unsatisfied, e);
    if (err != ERR_NONE)
        return err;
    read_log_totals(request->app->reads, &totals);
    json_t *list = json_array();
    for (int i = 0; i < TIER_COUNT; i++)
        json_array_append_new(list, tier_json(&tiers[i], &totals, i));
    response_json(response, 200,
                  json_pack("{s:o, s:o}", "tiers", list, "unsatisfied", unsatisfied));
    return ERR_NONE;
}
