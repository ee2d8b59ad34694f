// SPDX-License-Identifier: Apache-2.0
// Models. Answers are JSON objects as docs/openapi.yaml describes them, owned by the
// caller.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "server/registry/registry.h"

enum err model_get(struct registry *registry, const char *model, json_t **out,
                   struct error *e) MUST_CHECK;
// ERR_MODEL_EXISTS, also when only the case of letters differs. A deleted model comes
// back, its numbers go on.
enum err model_create(struct registry *registry, const struct actor *actor,
                      const char *model, const char *description, json_t **out,
                      struct error *e) MUST_CHECK;
enum err model_describe(struct registry *registry, const struct actor *actor,
                        const char *model, const char *description, json_t **out,
                        struct error *e) MUST_CHECK;
// ERR_MODEL_NOT_EMPTY while it has live versions.
enum err model_delete(struct registry *registry, const struct actor *actor,
                      const char *model, struct error *e) MUST_CHECK;

// At most `limit` models behind the full name `after` (NULL: from the first) into the
// array `models`; *more says whether others follow the last.
enum err model_list(struct registry *registry, const char *after, int64_t limit,
                    json_t *models, bool *more, struct error *e) MUST_CHECK;

// ---- for transactions of this folder ----

struct model_row {
    int64_t id;
    bool is_new; // made or brought back by this transaction
};

// The id of a model that is there; ERR_MODEL_NOT_FOUND.
enum err model_find(struct db *db, const char *model, int64_t *id,
                    struct error *e) MUST_CHECK;
// The same, and its row is locked (lock order: model first).
enum err model_lock(struct db *db, const char *model, int64_t *id,
                    struct error *e) MUST_CHECK;
// Makes namespace and model where they are missing, brings a deleted model back, and
// locks its row. ERR_CONFLICT when it is there under another spelling.
enum err model_ensure(struct db *db, const struct actor *actor, const char *model,
                      struct model_row *row, struct error *e) MUST_CHECK;
