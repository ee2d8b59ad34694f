// SPDX-License-Identifier: Apache-2.0
// Aliases and their history.
#pragma once

#include "server/api/route.h"

// GET /api/v1/models/{ns}/{name}/aliases
enum err aliases_list_handler(struct request *request, struct response *response,
                              struct error *e);
// GET /api/v1/models/{ns}/{name}/aliases/{alias}?at=
enum err alias_get_handler(struct request *request, struct response *response,
                           struct error *e);
// PUT /api/v1/models/{ns}/{name}/aliases/{alias}
enum err alias_put_handler(struct request *request, struct response *response,
                           struct error *e);
// DELETE /api/v1/models/{ns}/{name}/aliases/{alias}
enum err alias_delete_handler(struct request *request, struct response *response,
                              struct error *e);
// GET /api/v1/models/{ns}/{name}/aliases/{alias}/history
enum err alias_history_handler(struct request *request, struct response *response,
                               struct error *e);

// The body of a PUT: the number of the version that the alias is to name.
enum err alias_put_parse(const json_t *body, int64_t *version,
                         struct error *e) MUST_CHECK;
