// SPDX-License-Identifier: Apache-2.0
#include "server/api/moves.h"

#include <inttypes.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fields.h"
#include "server/api/move_json.h"
#include "server/api/place.h"
#include "server/api/render.h"
#include "server/api/tier_field.h"
#include "storage/move.h"

enum err move_create_parse(const json_t *body, enum tier *tier, struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    *tier = fields_tier(&f, FIELD_REQUIRED);
    return fields_end(&f);
}

enum err move_create_handler(struct request *request, struct response *response,
                             struct error *e)
{
    struct move_request asked = {.cause = MOVE_EXPLICIT,
                                 .principal_id = request->who.principal_id};
    struct move move;
    enum err err = place_digest(request, &asked.digest, e);
    if (err == ERR_NONE)
        err = move_create_parse(request->body, &asked.to, e);
    if (err == ERR_NONE)
        err = move_begin(request->app->storage, &asked, &move, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE char *location = alloc_printf("/api/v1/moves/%" PRId64, move.id);
    response_header(response, "Location", location);
    response_json(response, 202, move_json(&move));
    return ERR_NONE;
}

struct move_filter {
    enum move_state state;
    struct digest digest;
    bool has_state, has_digest;
    int64_t before; // 0: all
};

static enum err parse_filter(struct request *request, const struct page *page,
                             struct move_filter *filter, struct error *e)
{
    const char *state = request_query(request, "state");
    const char *sha256 = request_query(request, "sha256");
    filter->has_state = state != NULL;
    filter->has_digest = sha256 != NULL;
    if (state != NULL && !move_state_parse(state, &filter->state))
        return error_set_field(e, ERR_BAD_QUERY, "state",
                               "a move is queued, copying, verifying, done, failed or "
                               "cancelled");
    if (sha256 != NULL && !digest_parse(sha256, &filter->digest))
        return error_set_field(e, ERR_BAD_QUERY, "sha256",
                               "this must be 64 lower-case hex digits");
    return place_page_number(page, 0, &filter->before, e);
}

enum err moves_list_handler(struct request *request, struct response *response,
                            struct error *e)
{
    struct page page = {0};
    struct move_filter filter = {.before = 0};
    AUTO_FREE struct move *moves = NULL;
    size_t count = 0;
    enum err err = request_page(request, &page, e);
    if (err == ERR_NONE)
        err = parse_filter(request, &page, &filter, e);
    if (err == ERR_NONE)
        err = move_list(request->app->storage, filter.has_state ? &filter.state : NULL,
                        filter.has_digest ? &filter.digest : NULL, filter.before,
                        page.limit + 1, &moves, &count, e);
    if (err != ERR_NONE)
        return err;
    bool more = count > (size_t)page.limit;
    count -= more;
    respond_numbered_page(response, "moves", moves_json(moves, count),
                          more ? moves[count - 1].id : 0);
    return ERR_NONE;
}

enum err move_get_handler(struct request *request, struct response *response,
                          struct error *e)
{
    int64_t id = 0;
    struct move move;
    enum err err = place_id(request, &id, e);
    if (err == ERR_NONE)
        err = move_get(request->app->storage, id, &move, e);
    if (err == ERR_NONE)
        response_json(response, 200, move_json(&move));
    return err;
}

enum err move_cancel_handler(struct request *request, struct response *response,
                             struct error *e)
{
    int64_t id = 0;
    enum err err = place_id(request, &id, e);
    if (err == ERR_NONE)
        err = move_cancel(request->app->storage, id, e);
    if (err == ERR_NONE)
        response_empty(response, 204);
    return err;
}
