// SPDX-License-Identifier: Apache-2.0
// The outbox (invariant 10): an event is a row of its change's own transaction.
#pragma once

#include <jansson.h>

#include "server/registry/registry.h"

// `subject` is `ns/name` or `ns/name@N`. Takes `payload` over (NULL = {}).
enum err event_put(struct db *db, const struct actor *actor, const char *kind,
                   const char *subject, json_t *payload, struct error *e) MUST_CHECK;
// The same with the subject `model@number`.
enum err event_put_version(struct db *db, const struct actor *actor, const char *kind,
                           const char *model, int64_t number, json_t *payload,
                           struct error *e) MUST_CHECK;
