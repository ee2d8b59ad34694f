// SPDX-License-Identifier: Apache-2.0
// What one transaction touches, so that the caches forget it after the COMMIT and
// before the answer (invariant 8). Begin it at the start of the transaction's work,
// which may run again.
#pragma once

#include "server/registry/resolve.h"

struct change {
    char model[MODEL_SIZE];
    int64_t *ids; // versions whose documents change
    size_t ids_count;
    struct ref *selectors; // refs that resolve to something else
    size_t selectors_count;
};

void change_begin(struct change *change, const char *model); // keeps the memory
void change_clear(struct change *change);
void change_document(struct change *change, int64_t version_id);
// The version comes or goes: its document and every selector but aliases.
void change_version(struct change *change, const struct version_key *key);
void change_alias(struct change *change, const char *alias);
// `err` is what db_tx_run returned, and is returned.
enum err change_settle(struct change *change, struct registry *registry, enum err err);
