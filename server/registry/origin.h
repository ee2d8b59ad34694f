// SPDX-License-Identifier: Apache-2.0
// What a version was made from: parents, datasets, run, code, params, metrics. All
// strings and JSON are borrowed from the request.
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "server/registry/resolve.h"

struct origin_parent {
    const char *relation;
    const char *uri; // of an outside parent; NULL = `ref` counts
    struct ref ref;
    // Filled in by origins_resolve for a parent of this registry:
    char model[MODEL_SIZE];
    struct version_key key;
};

// Optional members are NULL.
struct origin_dataset {
    const char *uri;
    const char *sha256;
    const char *name;
};

struct origin_run {
    const char *id;
    const char *url;
    const char *system;
};

struct origin_code {
    const char *repository;
    const char *commit;
    bool dirty;
};

struct origins {
    struct origin_parent *parents;
    size_t parents_count;
    const struct origin_dataset *datasets;
    size_t datasets_count;
    const struct origin_run *run;   // or NULL
    const struct origin_code *code; // or NULL
    const json_t *params;           // objects; metrics hold reals, or the strings NaN,
    const json_t *metrics;          // Infinity and -Infinity; NULL = {}
};

// Finds the parents and locks their rows against deletion. ERR_PARENT_NOT_FOUND names
// the field.
enum err origins_resolve(struct db *db, struct origins *origins,
                         struct error *e) MUST_CHECK;
// Writes the edges of a version; `text` is origins_text of manifest.h.
enum err origins_insert(struct db *db, int64_t version_id,
                        const struct origins *origins, const char *text,
                        struct error *e) MUST_CHECK;

// The row of a run or a dataset, made where it is missing.
enum err run_ensure(struct db *db, const struct origin_run *run, int64_t *id,
                    struct error *e) MUST_CHECK;
enum err dataset_ensure(struct db *db, const struct origin_dataset *dataset,
                        int64_t *id, struct error *e) MUST_CHECK;
