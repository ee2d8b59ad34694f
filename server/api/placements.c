// SPDX-License-Identifier: Apache-2.0
#include "server/api/placements.h"

#include "common/cleanup.h"
#include "server/api/place.h"
#include "server/api/render.h"
#include "server/policy/explain.h"

static json_t *placement_json(const struct explanation *x,
                              const struct explained_placement *placement)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:s, s:o, s:s, s:b}", "tier",
                     tier_name(placement->tier), "node", (json_int_t)placement->node,
                     "state", placement->state, "size", (json_int_t)x->size,
                     "stored_size", (json_int_t)placement->stored_size, "encoding",
                     placement->encoding, "since", render_time(placement->since_us),
                     "rule", placement->rule, "damaged", placement->is_damaged);
}

enum err placements_handler(struct request *request, struct response *response,
                            struct error *e)
{
    struct digest digest;
    CLEANUP(explanation_clear) struct explanation x = {0};
    enum err err = place_digest(request, &digest, e);
    if (err == ERR_NONE)
        err = policy_explain(request->app->policy, &digest, &x, e);
    if (err != ERR_NONE)
        return err;
    json_t *placements = json_array();
    for (size_t i = 0; i < x.count; i++)
        json_array_append_new(placements, placement_json(&x, &x.placements[i]));
    response_json(response, 200,
                  json_pack("{s:o, s:I, s:f, s:o, s:o, s:{s:s, s:s, s:o}}", "sha256",
                            render_digest(&digest), "size", (json_int_t)x.size, "heat",
                            x.heat, "last_read_at", render_time(x.last_read_us),
                            "placements", placements, "next", "tier",
                            tier_name(x.next_tier), "why", x.why, "when",
                            render_time(x.next_us)));
    return ERR_NONE;
}
