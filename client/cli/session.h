// SPDX-License-Identifier: Apache-2.0
// What a command begins with: the configured server, and the options that every
// command takes.
#pragma once

#include <jansson.h>

#include "client/cli/options.h"
#include "client/cli/progress.h"

// Makes the client; the caller frees it with strata_client_free.
enum strata_status session_open(const struct invocation *invocation,
                                struct strata_client **client, struct strata_error *e);
// The same for a server and token that are given.
enum strata_status session_open_at(const struct invocation *invocation, const char *url,
                                   const char *token, struct strata_client **client,
                                   struct strata_error *e);
void session_close(struct strata_client **client);

// One page of a list: `token` is NULL for the first.
typedef enum strata_status page_fn(struct strata_client *client, const void *context,
                                   const char *token, char **json,
                                   struct strata_error *e);
// All pages as one document {"<plural>":[…],"next_page_token":null}.
enum strata_status session_list(struct strata_client *client, page_fn *page,
                                const void *context, const char *plural,
                                json_t **document, struct strata_error *e);
