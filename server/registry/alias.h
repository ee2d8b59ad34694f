// SPDX-License-Identifier: Apache-2.0
// Aliases and their history. An alias changes only under its model's row lock.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "server/registry/change.h"

struct alias {
    char name[NAME_SIZE];
    int64_t version; // 0: removed (in a history)
    struct digest digest;
    int64_t set_at_us;
    char set_by[NAME_SIZE];
    int64_t sequence; // grows with each change: half of the ETag
};

#define ALIAS_ETAG_SIZE 48
void alias_etag(const struct alias *alias, char text[ALIAS_ETAG_SIZE]); // with quotes

// Where it points now, or pointed at *at_us (NULL = now). ERR_ALIAS_NOT_FOUND.
enum err alias_get(struct registry *registry, const char *model, const char *name,
                   const int64_t *at_us, struct alias *alias,
                   struct error *e) MUST_CHECK;

// A condition on the alias's ETag (NULL: there is no such alias), asked under the lock.
struct alias_condition {
    bool (*holds)(const void *context, const char *etag);
    const void *context;
};

// *created: it is new. ERR_INVALID_FIELD names `version` when it is not there or is
// deleted; ERR_PRECONDITION_FAILED.
enum err alias_set(struct registry *registry, const struct actor *actor,
                   const char *model, const char *name, int64_t version,
                   const struct alias_condition *condition, struct alias *alias,
                   bool *created, struct error *e) MUST_CHECK;
enum err alias_remove(struct registry *registry, const struct actor *actor,
                      const char *model, const char *name,
                      const struct alias_condition *condition,
                      struct error *e) MUST_CHECK;

// Up to `limit` + 1 rows, for the caller to free: aliases by name behind `after` (NULL:
// from the first).
enum err alias_list(struct registry *registry, const char *model, const char *after,
                    int64_t limit, struct alias **aliases, size_t *count,
                    struct error *e) MUST_CHECK;
// The history, newest first, with sequences below `before`. ERR_ALIAS_NOT_FOUND when
// there never was such an alias.
enum err alias_history(struct registry *registry, const char *model, const char *name,
                       int64_t before, int64_t limit, struct alias **entries,
                       size_t *count, struct error *e) MUST_CHECK;

// ---- for transactions of this folder, which hold the model's row lock ----

// Points the alias to `key` and notes it in history, event and change.
enum err alias_point(struct db *db, const struct actor *actor, const char *model,
                     const char *name, const struct version_key *key,
                     struct change *change, struct error *e) MUST_CHECK;
// Removes every alias of the version.
enum err aliases_remove_all(struct db *db, const struct actor *actor, const char *model,
                            const struct version_key *key, struct change *change,
                            struct error *e) MUST_CHECK;
