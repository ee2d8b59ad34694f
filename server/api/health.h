// SPDX-License-Identifier: Apache-2.0
// What watches the server, its own description, and the readiness behind /readyz.
#pragma once

#include <stdatomic.h>

#include "server/api/route.h"

// How far the process has come. Written by main, read by any thread.
enum health_state { HEALTH_STARTING, HEALTH_READY, HEALTH_DRAINING };

struct health {
    atomic_int state; // enum health_state
};

enum err healthz_handler(struct request *request, struct response *response,
                         struct error *e);
enum err readyz_handler(struct request *request, struct response *response,
                        struct error *e);
enum err metrics_handler(struct request *request, struct response *response,
                         struct error *e);
enum err openapi_handler(struct request *request, struct response *response,
                         struct error *e);
