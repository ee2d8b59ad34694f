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

// The bodies. Texts are borrowed from the JSON.
struct model_create_request {
    const char *model;
    const char *description; // "" when there is none
};
enum err model_create_parse(const json_t *body, struct model_create_request *parsed,
                            struct error *e) MUST_CHECK;
// *description stays NULL when it is not to be changed.
enum err model_patch_parse(const json_t *body, const char **description,
                           struct error *e) MUST_CHECK;
