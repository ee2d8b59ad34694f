// SPDX-License-Identifier: Apache-2.0
// The rules that say on which tier versions lie.
#pragma once

#include "server/api/route.h"

// GET /api/v1/tier-rules
enum err tier_rules_get_handler(struct request *request, struct response *response,
                                struct error *e);
// PUT /api/v1/tier-rules?dry_run=
enum err tier_rules_put_handler(struct request *request, struct response *response,
                                struct error *e);
// GET /api/v1/tier-rules/history
enum err tier_rules_history_handler(struct request *request, struct response *response,
                                    struct error *e);

// The body of a PUT, only checked.
enum err tier_rules_put_parse(const json_t *body, struct error *e) MUST_CHECK;
