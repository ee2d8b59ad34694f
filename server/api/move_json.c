// SPDX-License-Identifier: Apache-2.0
#include "server/api/move_json.h"

#include "server/api/render.h"

json_t *move_json(const struct move *move)
{
    return json_pack(
        "{s:I, s:o, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:s, s:o, s:I, s:o, s:o, s:o}",
        "id", (json_int_t)move->id, "sha256", render_digest(&move->digest), "from",
        tier_name(move->from), "to", tier_name(move->to), "state",
        move_state_name(move->state), "bytes_done", (json_int_t)move->bytes_done,
        "size", (json_int_t)move->size, "eta_seconds",
        move->eta_s >= 0 ? json_integer(move->eta_s) : json_null(), "error",
        render_text(move->error), "cause", move_cause_name(move->cause), "rule",
        render_text(move->rule), "attempts", (json_int_t)move->attempts, "created_at",
        render_time(move->created_us), "started_at", render_time(move->started_us),
        "finished_at", render_time(move->finished_us));
}

json_t *moves_json(const struct move *moves, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, move_json(&moves[i]));
    return list;
}
