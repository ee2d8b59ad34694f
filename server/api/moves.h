// SPDX-License-Identifier: Apache-2.0
// Moves between tiers.
#pragma once

#include "server/api/route.h"
#include "storage/tier.h"

// POST /api/v1/blobs/{sha256}/move
enum err move_create_handler(struct request *request, struct response *response,
                             struct error *e);
// GET /api/v1/moves?state=&sha256=
enum err moves_list_handler(struct request *request, struct response *response,
                            struct error *e);
// GET /api/v1/moves/{id}
enum err move_get_handler(struct request *request, struct response *response,
                          struct error *e);
// DELETE /api/v1/moves/{id}
enum err move_cancel_handler(struct request *request, struct response *response,
                             struct error *e);

// The body of a POST.
enum err move_create_parse(const json_t *body, enum tier *tier,
                           struct error *e) MUST_CHECK;
