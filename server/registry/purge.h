// SPDX-License-Identifier: Apache-2.0
// The end of a deleted version, at its purge_at: files, tags, metrics and the manifest
// go; its number, digest and edges stay for ever (DESIGN invariant 6). Its blobs become
// candidates of storage/gc.h.
#pragma once

#include <stdatomic.h>

#include "server/registry/registry.h"

// Purges what is due, one transaction a version. *cancel (may be NULL) ends it soon.
enum err purge_run(struct registry *registry, const atomic_bool *cancel,
                   int64_t *purged, struct error *e) MUST_CHECK;
// How many versions are due.
enum err purge_due(struct registry *registry, int64_t *due, struct error *e) MUST_CHECK;
