// SPDX-License-Identifier: Apache-2.0
// Who a request comes from.
#pragma once

#include "server/api/request.h"

struct auth; // any thread

// From the value of the Authorization header (NULL when absent). ERR_UNAUTHENTICATED
// for anything but a live token; ERR_UNAVAILABLE when PostgreSQL is away and the token
// is not cached.
enum err auth_identify(struct auth *auth, const char *authorization,
                       struct identity *who, struct error *e) MUST_CHECK;
