// SPDX-License-Identifier: Apache-2.0
// The body of a publish request, from files, the caller's origins and the CI run, and
// its idempotency key.
#pragma once

#include "client/lib/ci.h"
#include "client/lib/client.h"
#include "client/lib/source.h"
#include "client/lib/state.h"

// [{"path","sha256","media_type"}]; media_type only where the name tells it.
json_t *request_files(const struct source_list *sources);
// The same from lines "<sha256>  <path>". STRATA_LOCAL, STRATA_USAGE.
enum strata_status request_read_list(const char *list, json_t **files,
                                     struct strata_error *e);
// The body without a key: takes over `files`. STRATA_USAGE when origins is not an
// object, or when run or code is incomplete and the CI run does not say the rest.
enum strata_status request_build(json_t *files, const char *origins,
                                 const struct ci *ci, json_t **body,
                                 struct strata_error *e);
// Adds the idempotency key: the caller's, in a CI run one of the request and the run,
// otherwise the random one that *note holds until the server has answered.
void request_add_key(json_t *body, const char *key, const struct ci *ci,
                     struct strata_client *client, const char *model,
                     struct state_note **note);
