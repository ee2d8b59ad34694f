// SPDX-License-Identifier: Apache-2.0
#include "server/api/gc.h"

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/fields.h"
#include "server/api/render.h"
#include "server/registry/collector.h"
#include "server/registry/purge.h"

static json_t *last_json(const struct collector_state *s)
{
    if (s->run == 0)
        return json_null();
    const struct gc_result *r = &s->result;
    return json_pack("{s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "run",
                     (json_int_t)s->run, "began_at", render_time(s->began_us),
                     "ended_at", render_time(s->ended_us), "versions_purged",
                     (json_int_t)s->purged, "blobs_deleted", (json_int_t)r->blobs,
                     "bytes_deleted", (json_int_t)r->blob_bytes, "copies_removed",
                     (json_int_t)r->copies, "bytes_freed", (json_int_t)r->copy_bytes,
                     "orphans_quarantined", (json_int_t)r->orphans,
                     "multiparts_aborted", (json_int_t)r->multiparts, "error",
                     s->error);
}

enum err gc_get_handler(struct request *request, struct response *response,
                        struct error *e)
{
    struct collector_state state;
    struct gc_waiting waiting;
    int64_t due = 0;
    enum err err = gc_waiting(request->app->storage, &waiting, e);
    if (err == ERR_NONE)
        err = purge_due(request->app->registry, &due, e);
    if (err != ERR_NONE)
        return err;
    collector_show(request->app->collector, &state);
    response_json(response, 200,
                  json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "state",
                            state.is_running ? "running" : "idle", "versions_due",
                            (json_int_t)due, "candidates",
                            (json_int_t)waiting.candidates, "copies_waiting",
                            (json_int_t)waiting.copies, "bytes_waiting",
                            (json_int_t)waiting.copy_bytes, "last", last_json(&state)));
    return ERR_NONE;
}

enum err gc_run_parse(const json_t *body, struct gc_run_request *run, struct error *e)
{
    struct fields f;
    run->dry_run = false;
    if (body == NULL)
        return ERR_NONE;
    fields_begin(&f, body, "", e);
    run->dry_run = fields_bool(&f, "dry_run", false);
    return fields_end(&f);
}

static enum err preview(struct request *request, struct response *response,
                        struct error *e)
{
    AUTO_FREE struct gc_preview *found = alloc_zero(sizeof *found);
    int64_t due = 0;
    enum err err = gc_preview(request->app->storage, found, e);
    if (err == ERR_NONE)
        err = purge_due(request->app->registry, &due, e);
    if (err != ERR_NONE)
        return err;
    json_t *listed = json_array();
    for (int i = 0; i < found->listed_count; i++)
        json_array_append_new(listed, render_digest(&found->listed[i]));
    response_json(response, 200,
                  json_pack("{s:b, s:I, s:I, s:I, s:o}", "dry_run", 1, "versions_due",
                            (json_int_t)due, "blobs", (json_int_t)found->blobs, "bytes",
                            (json_int_t)found->bytes, "sha256", listed));
    return ERR_NONE;
}

enum err gc_run_handler(struct request *request, struct response *response,
                        struct error *e)
{
    struct gc_run_request run;
    enum err err = gc_run_parse(request->body, &run, e);
    if (err != ERR_NONE)
        return err;
    if (run.dry_run)
        return preview(request, response, e);
    int64_t number = collector_start(request->app->collector);
    response_header(response, "Location", "/api/v1/gc");
    response_json(response, 202, json_pack("{s:I}", "run", (json_int_t)number));
    return ERR_NONE;
}
