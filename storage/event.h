// SPDX-License-Identifier: Apache-2.0
// Events of the bytes, in the outbox (invariant 10): a row of the change's own
// transaction. Those of the registry name who did it; these nobody did.
#pragma once

#include <jansson.h>

#include "common/db/db.h"

// `subject` is a digest. Takes `payload` over (NULL = {}).
enum err storage_event_put(struct db *db, const char *kind, const char *subject,
                           json_t *payload, struct error *e) MUST_CHECK;
