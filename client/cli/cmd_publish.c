// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/origins.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/lib/fail.h"
#include "client/lib/strata_transfer.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/json_text.h"

static uint64_t number_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

// "sent 1.2 GB of 14.0 GB, the rest was there"
static void print_transfer(const json_t *transfer)
{
    char sent[SIZE_TEXT], total[SIZE_TEXT];
    size_format(number_of(transfer, "sent"), sent);
    size_format(number_of(transfer, "total"), total);
    bool rest = number_of(transfer, "present") > 0;
    print_line("sent %s of %s%s", sent, total, rest ? ", the rest was there" : "");
}

static void print_dry(const json_t *json)
{
    const json_t *request = json_object_get(json, "request");
    size_t i;
    json_t *file;
    json_array_foreach(json_object_get(request, "files"), i, file)
    {
        AUTO_FREE char *sha256 = member_text(file, "sha256");
        AUTO_FREE char *path = member_text(file, "path");
        print_line("%s  %s", sha256, path);
    }
    char total[SIZE_TEXT];
    size_format(number_of(json_object_get(json, "transfer"), "total"), total);
    AUTO_FREE char *model = member_text(json, "model");
    print_line("would publish %zu files, %s, to %s; nothing was sent", i, total, model);
}

static void print_published(const json_t *version)
{
    print_transfer(json_object_get(version, "transfer"));
    AUTO_FREE char *model = member_text(version, "model");
    AUTO_FREE char *number = member_text(version, "version");
    AUTO_FREE char *digest = member_text(version, "digest");
    print_line("published %s@%s", model, number);
    print_line("%s", digest);
}

static enum strata_status set_places(const struct invocation *invocation,
                                     struct strata_publish *publish,
                                     struct strata_error *e)
{
    publish->list = option_value(invocation, "files");
    int wanted = publish->list != NULL ? 1 : 2;
    if (invocation->argument_count != wanted) {
        return fail_set(e, STRATA_USAGE,
                        "usage: strata publish DIR MODEL, or "
                        "strata publish --files LIST MODEL");
    }
    if (publish->list == NULL)
        publish->folder = invocation->arguments[0];
    publish->model = invocation->arguments[wanted - 1];
    return STRATA_OK;
}

enum strata_status cmd_publish(struct invocation *invocation, struct strata_error *e)
{
    struct strata_publish publish = {
        .idempotency_key = option_value(invocation, "idempotency-key"),
        .dry_run = option_given(invocation, "dry-run"),
    };
    AUTO_JSON json_t *origins = NULL;
    CLEANUP(session_close) struct strata_client *client = NULL;
    enum strata_status status = set_places(invocation, &publish, e);
    if (status == STRATA_OK)
        status = option_tier(invocation, OPTION_OPTIONAL, &publish.tier, e);
    if (status == STRATA_OK)
        status = origins_read(invocation, &origins, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *origins_text = json_text_dump(origins, NULL);
    publish.origins = origins_text;
    struct progress progress;
    progress_init(&progress, "sent", option_given(invocation, "quiet"));
    const struct strata_watch watch = {.progress = progress_show, .context = &progress};
    AUTO_FREE char *text = NULL;
    status = strata_publish(client, &publish, &watch, &text, e);
    progress_end(&progress);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    if (publish.dry_run)
        print_dry(json);
    else
        print_published(json);
    return STRATA_OK;
}

static enum strata_status upload_one(const struct invocation *invocation,
                                     struct strata_client *client, const char *path,
                                     const char *tier, json_t *files,
                                     struct strata_error *e)
{
    struct progress progress;
    progress_init(&progress, "sent", option_given(invocation, "quiet"));
    const struct strata_watch watch = {.progress = progress_show, .context = &progress};
    AUTO_FREE char *text = NULL;
    enum strata_status status = strata_upload(client, path, tier, &watch, &text, e);
    progress_end(&progress);
    if (status != STRATA_OK)
        return status;
    json_t *file = json_loads(text, 0, NULL);
    json_array_append_new(files, file);
    if (!option_given(invocation, "json")) {
        AUTO_FREE char *sha256 = member_text(file, "sha256");
        print_line("%s  %s", sha256, path);
        fflush(stdout);
    }
    return STRATA_OK;
}

enum strata_status cmd_upload(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    const char *tier = NULL;
    enum strata_status status = option_tier(invocation, OPTION_OPTIONAL, &tier, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    AUTO_JSON json_t *files = json_array();
    for (int i = 0; status == STRATA_OK && i < invocation->argument_count; i++)
        status =
            upload_one(invocation, client, invocation->arguments[i], tier, files, e);
    if (status != STRATA_OK || !option_given(invocation, "json"))
        return status;
    AUTO_JSON json_t *document = json_pack("{s:O}", "files", files);
    AUTO_FREE char *text = json_text_dump(document, NULL);
    return print_json(text, e);
}
