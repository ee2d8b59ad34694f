// SPDX-License-Identifier: Apache-2.0
#include "client/cli/session.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli/config.h"
#include "client/lib/fail.h"
#include "common/alloc.h"
#include "common/cleanup.h"

#define RETRY_MAXIMUM_S 86400
#define JOBS_MAXIMUM 64

enum strata_status session_open_at(const struct invocation *invocation, const char *url,
                                   const char *token, struct strata_client **client,
                                   struct strata_error *e)
{
    long retry = 0;
    long jobs = 0;
    enum strata_status status =
        option_number(invocation, "retry", 0, RETRY_MAXIMUM_S, -1, &retry, e);
    if (status == STRATA_OK)
        status = option_number(invocation, "jobs", 1, JOBS_MAXIMUM, 0, &jobs, e);
    if (status != STRATA_OK)
        return status;
    struct strata_options options = {
        .url = url,
        .token = token,
        .jobs = (unsigned)jobs,
        // In the library 0 is the default and -1 never.
        .retry_ms = retry < 0    ? 0
                    : retry == 0 ? -1
                                 : (int64_t)retry * 1000,
    };
    return strata_client_new(&options, client, e);
}

enum strata_status session_open(const struct invocation *invocation,
                                struct strata_client **client, struct strata_error *e)
{
    CLEANUP(cli_config_clear) struct cli_config config = {0};
    enum strata_status status = cli_config_load(&config, e);
    if (status != STRATA_OK)
        return status;
    return session_open_at(invocation, config.url, config.token, client, e);
}

void session_close(struct strata_client **client)
{
    strata_client_free(*client);
}

enum strata_status session_list(struct strata_client *client, page_fn *page,
                                const void *context, const char *plural,
                                json_t **document, struct strata_error *e)
{
    AUTO_JSON json_t *all = json_array();
    AUTO_FREE char *token = NULL;
    do {
        AUTO_FREE char *text = NULL;
        enum strata_status status = page(client, context, token, &text, e);
        if (status != STRATA_OK)
            return status;
        AUTO_JSON json_t *json = json_loads(text, 0, NULL);
        json_t *items = json_object_get(json, plural);
        if (!json_is_array(items))
            return fail_set(e, STRATA_FAILED, "the server's answer has no %s", plural);
        json_array_extend(all, items);
        const char *next = json_string_value(json_object_get(json, "next_page_token"));
        if (next != NULL && token != NULL && strcmp(next, token) == 0)
            return fail_set(e, STRATA_FAILED, "the server's list of %s has no end",
                            plural);
        free(token);
        token = alloc_copy(next);
    } while (token != NULL);
    *document = json_pack("{s:O, s:n}", plural, all, "next_page_token");
    return STRATA_OK;
}
