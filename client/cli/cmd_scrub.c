// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/lib/fail.h"
#include "client/lib/strata_tiers.h"
#include "common/alloc.h"
#include "common/cleanup.h"

#define POLL_MS 200

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_finding(const json_t *finding)
{
    if (!json_is_object(finding))
        return;
    AUTO_FREE char *sha256 = member_text(finding, "sha256");
    AUTO_FREE char *tier = member_text(finding, "tier");
    AUTO_FREE char *outcome = member_text(finding, "outcome");
    AUTO_FREE char *found_at = member_text(finding, "found_at");
    AUTO_FREE char *why = member_text(finding, "why");
    print_line("last found: %s, %s on %s, %s: %s", found_at, sha256, tier, outcome,
               why);
}

static void print_state(const json_t *state)
{
    static const char *const members[] = {"state", "due",    "oldest_check", "checked",
                                          "bad",   "healed", "damaged"};
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        AUTO_FREE char *value = member_text(state, members[i]);
        print_line("%-12s %s", members[i], value);
    }
    AUTO_FREE char *bytes = member_size(state, "bytes");
    print_line("%-12s %s", "bytes", bytes);
    print_finding(json_object_get(state, "last_finding"));
}

enum strata_status cmd_scrub(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_scrub_get(client, &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *state = json_loads(text, 0, NULL);
    print_state(state);
    return STRATA_OK;
}

// ---- asked for, and waited for ------------------------------------------------------

// Until nothing is left that anybody asked for; *state is as it is then.
static enum strata_status await(struct strata_client *client, json_t **state,
                                struct strata_error *e)
{
    for (;;) {
        AUTO_FREE char *text = NULL;
        enum strata_status status = strata_scrub_get(client, &text, e);
        if (status != STRATA_OK)
            return status;
        json_decref(steal_ptr(*state));
        *state = json_loads(text, 0, NULL);
        if (number_of(*state, "asked") == 0)
            return STRATA_OK;
        struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        nanosleep(&pause, NULL);
    }
}

static enum strata_status wait_for(struct invocation *invocation,
                                   struct strata_client *client, const json_t *before,
                                   json_int_t due, struct strata_error *e)
{
    AUTO_JSON json_t *state = NULL;
    enum strata_status status = await(client, &state, e);
    if (status == STRATA_OK && option_given(invocation, "json"))
        status = print_document(state, e);
    if (status != STRATA_OK)
        return status;
    json_int_t bad = number_of(state, "bad") - number_of(before, "bad");
    json_int_t damaged = number_of(state, "damaged");
    if (!option_given(invocation, "json")) {
        print_line("%lld copies were checked, %lld were found bad", (long long)due,
                   (long long)bad);
        if (bad > 0)
            print_finding(json_object_get(state, "last_finding"));
    }
    return damaged == 0
               ? STRATA_OK
               : fail_set(e, STRATA_CORRUPT,
                          "%lld copies are damaged; a blob that is sent again is "
                          "whole again",
                          (long long)damaged);
}

enum strata_status cmd_scrub_start(struct invocation *invocation,
                                   struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    const char *sha256 =
        invocation->argument_count > 0 ? invocation->arguments[0] : NULL;
    const char *tier = NULL;
    AUTO_FREE char *text = NULL, *asked = NULL;
    enum strata_status status = option_tier(invocation, OPTION_OPTIONAL, &tier, e);
    if (status == STRATA_OK)
        status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_scrub_get(client, &text, e);
    if (status == STRATA_OK)
        status = strata_scrub_start(client, sha256, tier, &asked, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *before = json_loads(text, 0, NULL);
    AUTO_JSON json_t *answer = json_loads(asked, 0, NULL);
    json_int_t due = number_of(answer, "due");
    if (option_given(invocation, "wait"))
        return wait_for(invocation, client, before, due, e);
    if (option_given(invocation, "json"))
        return print_json(asked, e);
    print_line("%lld copies are checked now; see `strata scrub`", (long long)due);
    return STRATA_OK;
}
