// SPDX-License-Identifier: Apache-2.0
// Writes the text of a manifest, once; it is stored and served verbatim, and its
// SHA-256 is the version's digest (DESIGN section 2).
#pragma once

#include "server/registry/origin.h"

struct manifest_file {
    const char *path;
    const char *media_type; // NULL = not given
    uint64_t size;
    struct digest digest;
    struct digest chain_root;
};

struct manifest {
    const char *model;
    int64_t number;
    int64_t created_at_us;
    const struct manifest_file *files; // sorted by path, bytewise
    size_t files_count;
    const char *origins; // origins_text
};

// {"parents":…,"datasets":…,"run":…,"code":…,"params":…,"metrics":…} with the parents
// resolved. Both texts are the caller's; NULL when they would pass 64 MiB.
char *origins_text(const struct origins *origins);
char *manifest_text(const struct manifest *manifest, size_t *size);
