// SPDX-License-Identifier: Apache-2.0
// Soft deletion and its reversal. The row stays: its number is never used again.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "server/registry/registry.h"

// ERR_VERSION_IN_USE with `reasons` while aliases, pins or live children hang on it and
// not `force`; with it aliases and pins go. *out is the answer, the caller's.
enum err version_delete(struct registry *registry, const struct actor *actor,
                        const char *model, const struct ref *selector, bool force,
                        json_t **out, struct error *e) MUST_CHECK;

// ERR_VERSION_NOT_DELETED; ERR_CONFLICT when it has been purged. *text is the version's
// document, the caller's.
enum err version_restore(struct registry *registry, const struct actor *actor,
                         const char *model, const struct ref *selector, char **text,
                         struct error *e) MUST_CHECK;
