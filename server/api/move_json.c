// SPDX-License-Identifier: Apache-2.0
#include "server/api/move_json.h"

json_t *move_json(const struct move *move)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&move->digest, hex);
    json_t *json = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:I, s:I}", "id", (json_int_t)move->id, "sha256",
        hex, "from", tier_name(move->from), "to", tier_name(move->to), "state",
        move_state_name(move->state), "bytes_done", (json_int_t)move->bytes_done,
        "size", (json_int_t)move->size);
    json_object_set_new(json, "eta_seconds",
                        move->eta_s >= 0 ? json_integer(move->eta_s) : json_null());
    json_object_set_new(
        json, "error", move->error[0] != '\0' ? json_string(move->error) : json_null());
    return json;
}
