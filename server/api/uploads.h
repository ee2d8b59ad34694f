// SPDX-License-Identifier: Apache-2.0
// Bytes in, in parts: the handlers of /api/v1/uploads (storage/upload.h does the work).
#pragma once

#include "server/api/route.h"
#include "storage/upload.h"

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

// The body of POST /uploads; zeroed before. `request` points into it and lacks the
// principal; `chain` is to be cleared in any case.
struct upload_create_request {
    struct upload_request request;
    struct digest digest;
    struct chain chain;
    uint8_t begins[CHAIN_STATE_SIZE];
};
enum err upload_create_parse(const json_t *body, struct upload_create_request *parsed,
                             struct error *e) MUST_CHECK;
// The body of …/complete, which has no members yet; NULL is allowed.
enum err upload_complete_parse(const json_t *body, struct error *e) MUST_CHECK;
