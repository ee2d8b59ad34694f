// SPDX-License-Identifier: Apache-2.0
// Models: the handlers of /api/v1/models.
#pragma once

#include "server/api/route.h"

// GET /api/v1/models
enum err models_list_handler(struct request *request, struct response *response,
                             struct error *e);
// POST /api/v1/models
enum err model_create_handler(struct request *request, struct response *response,
                              struct error *e);
// GET /api/v1/models/{ns}/{name}
enum err model_get_handler(struct request *request, struct response *response,
                           struct error *e);
// PATCH /api/v1/models/{ns}/{name}
enum err model_patch_handler(struct request *request, struct response *response,
                             struct error *e);
// DELETE /api/v1/models/{ns}/{name}
enum err model_delete_handler(struct request *request, struct response *response,
                              struct error *e);
