// SPDX-License-Identifier: Apache-2.0
// Waiting for moves, with their progress on standard error.
#pragma once

#include <jansson.h>

#include "client/cli/options.h"

// Polls until all of `moves` have ended; each is then as the server says last. One that
// failed or was cancelled is STRATA_FAILED, after the others have ended too.
enum strata_status moves_wait(const struct invocation *invocation,
                              struct strata_client *client, json_t *moves,
                              struct strata_error *e);
