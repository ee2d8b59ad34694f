// SPDX-License-Identifier: Apache-2.0
// How full each tier is, what it serves, and what it cannot hold.
#pragma once

#include "server/api/route.h"

// GET /api/v1/tiers
enum err tiers_handler(struct request *request, struct response *response,
                       struct error *e);
