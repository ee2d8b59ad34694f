// SPDX-License-Identifier: Apache-2.0
// The version as the interface shows it: JSON text made from what never changes
// (content.h) and what does (aliases, tags, description, evaluations, yank). Cached.
#pragma once

#include <stdbool.h>

#include "common/buf.h"
#include "server/registry/content.h"

struct document {
    char *text;
    size_t size;
};

void document_free(void *document);

// Through the cache; *entry is held and holds a struct document.
enum err document_get(struct registry *registry, int64_t version_id,
                      struct cache_entry **entry, struct error *e) MUST_CHECK;

// From the rows as `db` sees them, for the answer of a change; *text is the caller's.
enum err document_read(struct registry *registry, struct db *db, int64_t version_id,
                       char **text, struct error *e) MUST_CHECK;
// The same for a version that may yet be rolled back: its content is not cached.
enum err document_read_new(struct db *db, int64_t version_id,
                           const struct content *content, char **text,
                           struct error *e) MUST_CHECK;

// Appends `[…]` of at most `limit` live versions of the model with numbers below
// `before`, newest first, without their files; *last is the last one's number when more
// follow, else 0.
enum err document_list(struct registry *registry, const char *model, int64_t before,
                       int64_t limit, struct buf *to, int64_t *last,
                       struct error *e) MUST_CHECK;
