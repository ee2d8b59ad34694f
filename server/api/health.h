// SPDX-License-Identifier: Apache-2.0
// Handlers of what watches the server, and of its own description.
#pragma once

#include "server/api/route.h"

enum err healthz_handler(struct request *request, struct response *response,
                         struct error *e);
enum err readyz_handler(struct request *request, struct response *response,
                        struct error *e);
enum err metrics_handler(struct request *request, struct response *response,
                         struct error *e);
enum err openapi_handler(struct request *request, struct response *response,
                         struct error *e);
