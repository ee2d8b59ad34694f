// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "client/lib/request.h"
#include "client/lib/send.h"
#include "client/lib/strata_transfer.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/json_text.h"
#include "common/names.h"

#define SEND_ROUNDS 3 // of blobs that were here and are not any more

struct totals {
    uint64_t total;
    uint64_t sent;
};

static enum strata_status send_all(struct strata_client *client, struct source *sources,
                                   size_t count, bool dry_run, const char *tier,
                                   const struct strata_watch *watch,
                                   struct totals *totals, struct strata_error *e)
{
    CLEANUP(send_clear) struct send send;
    send_init(&send, client, sources, count, watch);
    send.dry_run = dry_run;
    send.tier = tier;
    enum strata_status status = send_run(&send, e);
    totals->sent += send.progress.moved;
    return status;
}

static json_t *totals_json(const struct totals *totals)
{
    uint64_t present = totals->total > totals->sent ? totals->total - totals->sent : 0;
    return json_pack("{s:I, s:I, s:I}", "total", (json_int_t)totals->total, "sent",
                     (json_int_t)totals->sent, "present", (json_int_t)present);
}

enum strata_status strata_upload(struct strata_client *client, const char *path,
                                 const char *tier, const struct strata_watch *watch,
                                 char **json, struct strata_error *e)
{
    *json = NULL;
    CLEANUP(source_list_clear) struct source_list list = {0};
    const char *slash = strrchr(path, '/');
    if (!utf8_is_valid(path, strlen(path)))
        return fail_set(e, STRATA_LOCAL, "%s: the path is not UTF-8", path);
    enum strata_status status =
        source_add(&list, slash != NULL ? slash + 1 : path, path, e);
    if (status != STRATA_OK)
        return status;
    struct totals totals = {.total = (uint64_t)list.items[0].st.st_size};
    status = send_all(client, list.items, 1, false, tier, watch, &totals, e);
    if (status != STRATA_OK)
        return status;
    char hex[DIGEST_HEX_SIZE];
    digest_format(&list.items[0].sha256, hex);
    AUTO_JSON json_t *answer =
        json_pack("{s:s, s:s, s:I, s:I}", "path", path, "sha256", hex, "size",
                  (json_int_t)totals.total, "sent", (json_int_t)totals.sent);
    *json = json_text_dump(answer, NULL);
    return STRATA_OK;
}

struct publishing {
    struct strata_client *client;
    const struct strata_publish *publish;
    const struct strata_watch *watch;
    struct source_list sources;
    struct ci ci;
    json_t *body;
    struct state_note *note;
    struct totals totals;
};

static void publishing_clear(struct publishing *p)
{
    source_list_clear(&p->sources);
    ci_clear(&p->ci);
    json_decref(p->body);
    state_note_close(p->note, false);
}

// Finds, hashes and sends the files; *files is what the request says of them.
static enum strata_status bring_files(struct publishing *p, json_t **files,
                                      struct strata_error *e)
{
    if (p->publish->list != NULL)
        return request_read_list(p->publish->list, files, e);
    enum strata_status status = source_scan(p->publish->folder, &p->sources, e);
    if (status != STRATA_OK)
        return status;
    for (size_t i = 0; i < p->sources.count; i++)
        p->totals.total += (uint64_t)p->sources.items[i].st.st_size;
    status = send_all(p->client, p->sources.items, p->sources.count,
                      p->publish->dry_run, p->publish->tier, p->watch, &p->totals, e);
    for (size_t i = 0; status == STRATA_OK && i < p->sources.count; i++)
        status = source_check(&p->sources.items[i], e);
    if (status == STRATA_OK)
        *files = request_files(&p->sources);
    return status;
}

static bool is_named(const json_t *digests, const struct source *source)
{
    size_t i;
    json_t *item;
    json_array_foreach(digests, i, item)
    {
        struct digest digest;
        const char *text = json_string_value(item);
        if (text != NULL && digest_parse(text, &digest) &&
            digest_equal(&digest, &source->sha256))
            return true;
    }
    return false;
}

// Sends the blobs that a `blobs-missing` lists; false when none of them is ours.
static enum strata_status send_again(struct publishing *p, const json_t *digests,
                                     struct strata_error *e)
{
    AUTO_FREE struct source *missing =
        alloc_array(p->sources.count, sizeof *missing); // borrows what it points to
    size_t count = 0;
    for (size_t i = 0; i < p->sources.count; i++) {
        if (is_named(digests, &p->sources.items[i]))
            missing[count++] = p->sources.items[i];
    }
    if (count == 0)
        return e->status;
    return send_all(p->client, missing, count, false, p->publish->tier, p->watch,
                    &p->totals, e);
}

static enum strata_status post(struct publishing *p, const struct ref *model,
                               json_t **version, struct strata_error *e)
{
    AUTO_FREE char *path = client_model_path(model, "/versions");
    struct call call = {.method = "POST",
                        .path = path,
                        .body = p->body,
                        .needs = "digest",
                        .once = json_object_get(p->body, "idempotency_key") == NULL};
    for (int round = 1;; round++) {
        AUTO_JSON json_t *problem = NULL;
        enum strata_status status = client_call(p->client, &call, version, &problem, e);
        bool missing =
            status == STRATA_CONFLICT && strcmp(e->type, "blobs-missing") == 0;
        if (missing && round < SEND_ROUNDS) {
            status = send_again(p, json_object_get(problem, "digests"), e);
            if (status == STRATA_OK)
                continue;
        }
        // With no answer, the key stays for the next try.
        if (status != STRATA_AWAY) {
            state_note_close(p->note, true);
            p->note = NULL;
        }
        return status;
    }
}

static char *dry_json(const struct publishing *p)
{
    AUTO_JSON json_t *json =
        json_pack("{s:b, s:s, s:O, s:o}", "dry_run", 1, "model", p->publish->model,
                  "request", p->body, "transfer", totals_json(&p->totals));
    return json_text_dump(json, NULL);
}

enum strata_status strata_publish(struct strata_client *client,
                                  const struct strata_publish *publish,
                                  const struct strata_watch *watch, char **json,
                                  struct strata_error *e)
{
    struct strata_error own;
    if (e == NULL)
        e = &own;
    *json = NULL;
    struct ref model;
    enum strata_status status = client_parse_model(publish->model, &model, e);
    if (status != STRATA_OK)
        return status;
    CLEANUP(publishing_clear)
    struct publishing p = {.client = client, .publish = publish, .watch = watch};
    ci_read(&p.ci, ci_environment);
    // What is wrong with the request is said before gigabytes are sent.
    AUTO_JSON json_t *trial = NULL;
    status = request_build(json_array(), publish->origins, &p.ci, &trial, e);
    json_t *files = NULL;
    if (status == STRATA_OK)
        status = bring_files(&p, &files, e);
    if (status == STRATA_OK)
        status = request_build(files, publish->origins, &p.ci, &p.body, e);
    if (status != STRATA_OK)
        return status;
    if (publish->dry_run) {
        *json = dry_json(&p);
        return STRATA_OK;
    }
    request_add_key(p.body, publish->idempotency_key, &p.ci, client, publish->model,
                    &p.note);
    AUTO_JSON json_t *version = NULL;
    status = post(&p, &model, &version, e);
    if (status != STRATA_OK)
        return status;
    json_object_set_new(version, "transfer", totals_json(&p.totals));
    *json = json_text_dump(version, NULL);
    state_prune(client->state);
    return STRATA_OK;
}
