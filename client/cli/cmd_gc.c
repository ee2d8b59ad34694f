// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/lib/fail.h"
#include "client/lib/strata_tiers.h"
#include "common/cleanup.h"

#define POLL_MS 200

static enum strata_status dry_run(struct invocation *invocation,
                                  struct strata_client *client, struct strata_error *e)
{
    AUTO_FREE char *text = NULL;
    enum strata_status status = strata_gc_run(client, true, &text, e);
    if (status != STRATA_OK || option_given(invocation, "json"))
        return status != STRATA_OK ? status : print_json(text, e);
    AUTO_JSON json_t *found = json_loads(text, 0, NULL);
    AUTO_FREE char *versions = member_text(found, "versions_due");
    AUTO_FREE char *blobs = member_text(found, "blobs");
    AUTO_FREE char *bytes = member_size(found, "bytes");
    print_line("would purge %s versions and delete %s blobs of %s", versions, blobs,
               bytes);
    size_t i;
    json_t *digest;
    json_array_foreach(json_object_get(found, "sha256"), i, digest)
        print_line("%s", json_string_value(digest));
    return STRATA_OK;
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

// Until a run of this number or a later one has ended; *last is that one.
static enum strata_status await(struct strata_client *client, json_int_t run,
                                json_t **last, struct strata_error *e)
{
    for (;;) {
        AUTO_FREE char *text = NULL;
        enum strata_status status = strata_gc_get(client, &text, e);
        if (status != STRATA_OK)
            return status;
        AUTO_JSON json_t *state = json_loads(text, 0, NULL);
        json_t *shown = json_object_get(state, "last");
        const char *name = json_string_value(json_object_get(state, "state"));
        if (number_of(shown, "run") >= run && name != NULL &&
            strcmp(name, "idle") == 0) {
            *last = json_incref(shown);
            return STRATA_OK;
        }
        struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

static enum strata_status tell(struct invocation *invocation, const json_t *last,
                               struct strata_error *e)
{
    AUTO_FREE char *error = member_text(last, "error");
    AUTO_FREE char *versions = member_text(last, "versions_purged");
    AUTO_FREE char *blobs = member_text(last, "blobs_deleted");
    AUTO_FREE char *bytes = member_size(last, "bytes_deleted");
    AUTO_FREE char *freed = member_size(last, "bytes_freed");
    if (option_given(invocation, "json")) {
        enum strata_status status = print_document(last, e);
        if (status != STRATA_OK)
            return status;
    } else {
        print_line("purged %s versions, deleted %s blobs of %s, freed %s", versions,
                   blobs, bytes, freed);
    }
    return error[0] == '\0' ? STRATA_OK
                            : fail_set(e, STRATA_FAILED, "it ended early: %s", error);
}

enum strata_status cmd_gc(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    AUTO_JSON json_t *last = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK && option_given(invocation, "dry-run"))
        return dry_run(invocation, client, e);
    if (status == STRATA_OK)
        status = strata_gc_run(client, false, &text, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *begun = json_loads(text, 0, NULL);
    if (option_given(invocation, "wait")) {
        status = await(client, number_of(begun, "run"), &last, e);
        return status != STRATA_OK ? status : tell(invocation, last, e);
    }
    if (option_given(invocation, "json"))
        return print_json(text, e);
    print_line("run %lld begins", (long long)number_of(begun, "run"));
    return STRATA_OK;
}
