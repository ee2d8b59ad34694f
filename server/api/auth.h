// SPDX-License-Identifier: Apache-2.0
// Who a request comes from. Live tokens are cached; a revocation through this process
// takes effect at once, one through another within a second (auth_refresh), and with
// PostgreSQL away cached tokens go on for five minutes (invariant 8).
#pragma once

#include "server/api/request.h"

struct auth; // any thread

// Both live longer than it does.
struct auth *auth_new(struct db_pool *pool, struct metrics *metrics);
void auth_free(struct auth *auth);

// From the value of the Authorization header (NULL when absent). ERR_UNAUTHENTICATED
// for anything but a live token; ERR_UNAVAILABLE when PostgreSQL is away and the token
// is not cached.
enum err auth_identify(struct auth *auth, const char *authorization,
                       struct identity *who, struct error *e) MUST_CHECK;

// After a token was revoked.
void auth_forget(struct auth *auth, const char *token_id);

// Forgets what was revoked elsewhere; called every second.
enum err auth_refresh(struct auth *auth, struct error *e) MUST_CHECK;
