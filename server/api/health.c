// SPDX-License-Identifier: Apache-2.0
#include "server/api/health.h"

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/embedded.h"

#define METRICS_MAXIMUM ((size_t)8 << 20)

static enum err say_ok(struct response *response)
{
    response_header(response, "Cache-Control", "no-store");
    response_json(response, 200, json_pack("{s:s}", "status", "ok"));
    return ERR_NONE;
}

enum err healthz_handler(struct request *request, struct response *response,
                         struct error *e)
{
    (void)request;
    (void)e;
    return say_ok(response);
}

static enum err check_state(const struct health *health, struct error *e)
{
    switch ((enum health_state)atomic_load(&health->state)) {
    case HEALTH_STARTING:
        return error_set(e, ERR_UNAVAILABLE, "the server is still starting");
    case HEALTH_DRAINING:
        return error_set(e, ERR_UNAVAILABLE, "the server is shutting down");
    case HEALTH_READY:
        break;
    }
    return ERR_NONE;
}

// Starting ends with the administrator's token written and the storage repaired; after
// it, only PostgreSQL can go away.
enum err readyz_handler(struct request *request, struct response *response,
                        struct error *e)
{
    static const char sql[] = "SELECT FROM cluster";
    enum err err = check_state(request->app->health, e);
    if (err != ERR_NONE)
        return err;
    CLEANUP(db_release_at) struct db *db = NULL;
    err = db_acquire(request->app->db, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_NO_PARAMS, NULL, e);
    if (err != ERR_NONE)
        return err;
    return say_ok(response);
}

enum err metrics_handler(struct request *request, struct response *response,
                         struct error *e)
{
    (void)e;
    CLEANUP(buf_clear) struct buf text;
    buf_init(&text, METRICS_MAXIMUM);
    metrics_render(request->app->metrics, &text);
    size_t size = text.size;
    response_header(response, "Cache-Control", "no-store");
    response_text(response, 200, METRICS_MEDIA_TYPE, buf_steal(&text), size);
    return ERR_NONE;
}

enum err openapi_handler(struct request *request, struct response *response,
                         struct error *e)
{
    (void)request;
    (void)e;
    response_static(response, 200, "application/yaml", embedded_openapi,
                    embedded_openapi_size);
    return ERR_NONE;
}
