// SPDX-License-Identifier: Apache-2.0
// The origins of a publish request from the options of `strata publish`.
#pragma once

#include <jansson.h>

#include "client/cli/options.h"

// STRATA_USAGE names the option.
enum strata_status origins_read(const struct invocation *invocation, json_t **origins,
                                struct strata_error *e);
