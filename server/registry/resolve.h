// SPDX-License-Identifier: Apache-2.0
// From a model and a selector (number, alias, digest, latest) to one version.
#pragma once

#include "server/registry/registry.h"

// Names one version; never changes once the version is there.
struct version_key {
    int64_t model_id;
    int64_t id;
    int64_t number;
    struct digest digest;
};

enum resolve_deleted { RESOLVE_LIVE, RESOLVE_DELETED_TOO };

// Finds `selector` (its space and name are not looked at) within `model`.
// ERR_MODEL_NOT_FOUND, ERR_VERSION_NOT_FOUND, ERR_ALIAS_NOT_FOUND, ERR_VERSION_DELETED
// (not with RESOLVE_DELETED_TOO).
enum err version_find(struct db *db, const char *model, const struct ref *selector,
                      enum resolve_deleted deleted, struct version_key *key,
                      struct error *e) MUST_CHECK;

// The same among live versions, through the cache.
enum err version_resolve(struct registry *registry, const char *model,
                         const struct ref *selector, struct version_key *key,
                         struct error *e) MUST_CHECK;

// The text under which the cache keeps `selector` of `model`.
#define SELECTOR_SIZE (MODEL_SIZE + NAME_SIZE + 16)
void selector_format(const char *model, const struct ref *selector,
                     char text[SELECTOR_SIZE]);
