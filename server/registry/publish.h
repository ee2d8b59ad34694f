// SPDX-License-Identifier: Apache-2.0
// Publishing: one transaction that makes a version and all that belongs to it, or
// nothing (invariant 2).
#pragma once

#include "server/registry/origin.h"

struct publish_file {
    const char *path;
    const char *media_type; // NULL = not given
    struct digest digest;
};

// All strings and JSON are borrowed. Everything has been checked but what only the
// database knows.
struct publish {
    const char *model;
    struct publish_file *files; // sorted by path, bytewise
    size_t files_count;
    struct origins origins;
    const json_t *tags; // an object of strings, or NULL
    const char *description;
    const char **aliases;
    size_t aliases_count;
    const char *idempotency_key; // or NULL
    struct digest body;          // of the canonical request, for the key
};

struct published {
    int64_t number;
    bool created; // false: the idempotency key made it before
    char *text;   // the version's document, the caller's
};

// ERR_BLOBS_MISSING with `digests`, ERR_PARENT_NOT_FOUND, ERR_IDEMPOTENCY_CONFLICT,
// ERR_CONFLICT (the model's name in another spelling), ERR_VERSION_DELETED (the key's
// version).
enum err version_publish(struct registry *registry, const struct actor *actor,
                         struct publish *publish, struct published *out,
                         struct error *e) MUST_CHECK;
