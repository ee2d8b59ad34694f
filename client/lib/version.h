// SPDX-License-Identifier: Apache-2.0
// A published version as its manifest says, and the chains of its blobs. Both are bound
// to digests before anything is believed.
#pragma once

#include "client/lib/client.h"
#include "common/format/chain.h"

struct version_file {
    char *path; // checked by path_check
    uint64_t size;
    struct digest sha256;
    struct digest chain_root;
};

struct version {
    char *model; // ns/name
    int64_t number;
    struct digest digest;
    struct version_file *files;
    size_t count;
    uint64_t total; // bytes
};

void version_clear(struct version *version);

// Fills in all but the digest from a manifest's text; *version, zeroed before, is to be
// cleared in any case. STRATA_CORRUPT.
enum strata_status version_read_manifest(const char *text, struct version *version,
                                         struct strata_error *e);
// Fetches the manifest that `ref` names and checks it against the version's digest,
// which is the caller's own when the ref is a digest. STRATA_CORRUPT when it differs.
enum strata_status version_fetch(struct strata_client *client, const char *ref,
                                 struct version *version, struct strata_error *e);
// NULL when the version has no such file.
const struct version_file *version_file_find(const struct version *version,
                                             const char *path);
// Fetches the chain of a file's blob and binds it to the manifest; one chunk needs no
// request. The caller clears *chain.
enum strata_status version_chain(struct strata_client *client,
                                 const struct version_file *file, struct chain *chain,
                                 struct strata_error *e);
