// SPDX-License-Identifier: Apache-2.0
// Versions: shown, listed, changed, deleted, restored and yanked.
#pragma once

#include "server/api/route.h"
#include "server/registry/version.h"

// GET /api/v1/models/{ns}/{name}/versions
enum err versions_list_handler(struct request *request, struct response *response,
                               struct error *e);
// GET /api/v1/models/{ns}/{name}/versions/{ref}
enum err version_get_handler(struct request *request, struct response *response,
                             struct error *e);
// PATCH /api/v1/models/{ns}/{name}/versions/{ref}
enum err version_patch_handler(struct request *request, struct response *response,
                               struct error *e);
// DELETE /api/v1/models/{ns}/{name}/versions/{ref}?force=
enum err version_delete_handler(struct request *request, struct response *response,
                                struct error *e);
// GET /api/v1/models/{ns}/{name}/versions/{ref}/manifest
enum err version_manifest_handler(struct request *request, struct response *response,
                                  struct error *e);
// POST /api/v1/models/{ns}/{name}/versions/{ref}/restore
enum err version_restore_handler(struct request *request, struct response *response,
                                 struct error *e);
// POST /api/v1/models/{ns}/{name}/versions/{ref}/yank
enum err version_yank_handler(struct request *request, struct response *response,
                              struct error *e);

// The bodies. Texts and tags are borrowed from the JSON.
enum err version_patch_parse(const json_t *body, struct version_patch *patch,
                             struct error *e) MUST_CHECK;
enum err version_yank_parse(const json_t *body, const char **message,
                            struct error *e) MUST_CHECK;
