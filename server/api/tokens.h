// SPDX-License-Identifier: Apache-2.0
// Handlers of /tokens and /whoami.
#pragma once

#include "server/api/route.h"
#include "server/registry/token.h"

enum err token_create_handler(struct request *request, struct response *response,
                              struct error *e);
enum err tokens_list_handler(struct request *request, struct response *response,
                             struct error *e);
enum err token_revoke_handler(struct request *request, struct response *response,
                              struct error *e);
enum err whoami_handler(struct request *request, struct response *response,
                        struct error *e);

// The body of POST /tokens: principal, kind, role, description and expires_us of the
// token, which was zeroed before.
enum err token_create_parse(const json_t *body, struct token *token, enum role *role,
                            struct error *e) MUST_CHECK;
