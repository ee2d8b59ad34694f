// SPDX-License-Identifier: Apache-2.0
// Local files that are to be sent: found below a folder, hashed, and watched for
// changes meanwhile.
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "client/lib/fail.h"
#include "client/lib/state.h"
#include "common/digest.h"
#include "common/format/chain.h"

#define SOURCE_IGNORE_FILE ".strataignore"

struct source {
    char *path;     // in the version
    char *disk;     // where it lies
    struct stat st; // when it was found
    bool hashed;
    struct digest sha256;
    struct chain chain; // of no size until it is hashed
};

struct source_list {
    struct source *items; // by path
    size_t count;
};

void source_list_clear(struct source_list *list);

// All regular files below a folder that its .strataignore lets through; a single file
// is taken by its own name. Symbolic links are followed within the folder. .git, the
// .strataignore itself and what a pull has not finished are left out. STRATA_LOCAL.
enum strata_status source_scan(const char *folder, struct source_list *list,
                               struct strata_error *e);
// One file under the path as given.
enum strata_status source_add(struct source_list *list, const char *path,
                              const char *disk, struct strata_error *e);

// Hears of bytes that were hashed; `hasher` is NULL where the chain was found in the
// state.
typedef void source_seen(void *context, const struct chain_hasher *hasher,
                         size_t bytes);
// Hashes a file, or finds its chain in the state; `seen` may be NULL. STRATA_LOCAL when
// it changed since it was found.
enum strata_status source_hash(struct source *source, struct state *state,
                               source_seen *seen, void *context,
                               const atomic_bool *cancel, struct strata_error *e);
// Opens it for sending.
enum strata_status source_open(const struct source *source, int *fd,
                               struct strata_error *e);
// STRATA_LOCAL when size, time or inode differ from what was found.
enum strata_status source_check(const struct source *source, struct strata_error *e);
