// SPDX-License-Identifier: Apache-2.0
// /scrub: what the scrub does and found, and checking copies now.
#pragma once

#include "common/digest.h"
#include "server/api/request.h"
#include "server/api/response.h"
#include "storage/tier.h"

enum err scrub_get_handler(struct request *request, struct response *response,
                           struct error *e) MUST_CHECK;
enum err scrub_start_handler(struct request *request, struct response *response,
                             struct error *e) MUST_CHECK;

struct scrub_body {
    bool has_digest, has_tier;
    struct digest digest;
    enum tier tier;
};
// `body` may be NULL.
enum err scrub_start_parse(const json_t *body, struct scrub_body *asked,
                           struct error *e) MUST_CHECK;
