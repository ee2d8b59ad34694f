// SPDX-License-Identifier: Apache-2.0
// Changes to what of a version can change: tags, description, yank. Answers are the
// version's document as JSON text, the caller's.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "server/registry/change.h"

#define TAGS_MAXIMUM 256

// Finds the version and locks its row; the model's row must be locked before when both
// are. ERR as version_find.
enum err version_lock(struct db *db, const char *model, const struct ref *selector,
                      enum resolve_deleted deleted, struct version_key *key,
                      struct error *e) MUST_CHECK;

struct version_patch {
    bool set_description;
    const char *description; // "" clears it
    bool clear_tags;         // before `tags` are merged
    const json_t *tags;      // key -> string, or null to remove; or NULL
};

// ERR_INVALID_FIELD when there would be more than TAGS_MAXIMUM tags.
enum err version_patch(struct registry *registry, const struct actor *actor,
                       const char *model, const struct ref *selector,
                       const struct version_patch *patch, char **text,
                       struct error *e) MUST_CHECK;

// A repeat replaces the message.
enum err version_yank(struct registry *registry, const struct actor *actor,
                      const char *model, const struct ref *selector,
                      const char *message, char **text, struct error *e) MUST_CHECK;
