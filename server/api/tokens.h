// SPDX-License-Identifier: Apache-2.0
// Handlers of /tokens and /whoami.
#pragma once

#include "server/api/route.h"

enum err token_create_handler(struct request *request, struct response *response,
                              struct error *e);
enum err tokens_list_handler(struct request *request, struct response *response,
                             struct error *e);
enum err token_revoke_handler(struct request *request, struct response *response,
                              struct error *e);
enum err whoami_handler(struct request *request, struct response *response,
                        struct error *e);
