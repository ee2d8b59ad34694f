// SPDX-License-Identifier: Apache-2.0
// Bringing a version, or some of its files, to a tier now.
#pragma once

#include "common/names.h"
#include "server/api/route.h"
#include "storage/tier.h"

// POST /api/v1/prefetch
enum err prefetch_handler(struct request *request, struct response *response,
                          struct error *e);

// The body.
struct prefetch_body {
    struct ref ref;
    enum tier tier;
    const json_t *files; // texts; NULL: all
};
enum err prefetch_parse(const json_t *body, struct prefetch_body *prefetch,
                        struct error *e) MUST_CHECK;
