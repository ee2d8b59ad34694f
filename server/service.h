// SPDX-License-Identifier: Apache-2.0
// One running stratad: everything it is made of, started in order and ended in the
// reverse one. Used by the main thread.
#pragma once

#include <stdbool.h>

#include "common/config.h"
#include "common/error.h"

struct service;

// Returns when requests are served. *service is set on failure too, as far as it came,
// for service_stop. `cancelled` is asked while PostgreSQL is waited for.
enum err service_start(const struct config *config, bool (*cancelled)(void),
                       struct service **service, struct error *e) MUST_CHECK;

// Not ready any more: stops accepting; what runs goes on.
void service_quiesce(struct service *service);
// Requests that still run.
unsigned service_active(const struct service *service);
// Connections on which something is under way between client and server.
unsigned service_pending(const struct service *service);
// Cuts what is left, stops the threads and the private PostgreSQL, frees all.
void service_stop(struct service *service);
