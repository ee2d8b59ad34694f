// SPDX-License-Identifier: Apache-2.0
// Pins: what is kept on a tier until a time, or until the pin is deleted.
#pragma once

#include "common/names.h"
#include "server/api/route.h"
#include "storage/tier.h"

// POST /api/v1/pins
enum err pin_create_handler(struct request *request, struct response *response,
                            struct error *e);
// GET /api/v1/pins
enum err pins_list_handler(struct request *request, struct response *response,
                           struct error *e);
// DELETE /api/v1/pins/{id}
enum err pin_delete_handler(struct request *request, struct response *response,
                            struct error *e);

// The body of a POST: a version by its ref, or a blob.
struct pin_body {
    bool has_ref; // otherwise the digest counts
    struct ref ref;
    struct digest digest;
    enum tier tier;
    int64_t until_us; // 0: until it is deleted
};
enum err pin_create_parse(const json_t *body, struct pin_body *pin,
                          struct error *e) MUST_CHECK;
