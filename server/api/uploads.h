// SPDX-License-Identifier: Apache-2.0
// Bytes in, in parts: the handlers of /api/v1/uploads (storage/upload.h does the work).
#pragma once

#include "server/api/route.h"

// POST /api/v1/uploads
enum err upload_create_handler(struct request *request, struct response *response,
                               struct error *e);
// PUT /api/v1/uploads/{id}/parts/{n}
enum err upload_part_begin(struct request *request, struct body_sink *sink,
                           struct response *response, struct error *e);
// GET /api/v1/uploads/{id}
enum err upload_get_handler(struct request *request, struct response *response,
                            struct error *e);
// POST /api/v1/uploads/{id}/complete
enum err upload_complete_handler(struct request *request, struct response *response,
                                 struct error *e);
// DELETE /api/v1/uploads/{id}
enum err upload_delete_handler(struct request *request, struct response *response,
                               struct error *e);
