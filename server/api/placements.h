// SPDX-License-Identifier: Apache-2.0
// Where a blob's copies lie, why, and what happens next.
#pragma once

#include "server/api/route.h"

// GET /api/v1/blobs/{sha256}/placements
enum err placements_handler(struct request *request, struct response *response,
                            struct error *e);
