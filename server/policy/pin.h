// SPDX-License-Identifier: Apache-2.0
// Pins: blobs kept on a tier until a time, whatever rules, heat and explicit moves say;
// of several pins the fastest tier counts. A ref is resolved when the pin is made, and
// the pin stays with that version. A pin does not keep a blob that nothing names from
// being collected. Prefetch: brought to a tier now, and not held there. Any thread.
#pragma once

#include "server/policy/policy.h"
#include "server/registry/resolve.h"
#include "storage/move.h"

struct pin {
    int64_t id;
    char model[MODEL_SIZE]; // "": a pin of one blob
    int64_t version;
    struct digest digest; // of the version, or of the blob
    enum tier tier;
    int64_t until_us; // 0: until it is deleted
    int64_t created_us;
    char created_by[NAME_SIZE];
    int64_t blobs;
    uint64_t bytes;
};

// One of `model` with `selector`, or `digest`.
struct pin_request {
    const char *model;
    const struct ref *selector;
    const struct digest *digest;
    enum tier tier;
    int64_t until_us; // 0: until it is deleted
};

// Begins the moves at once. Errors of version_find; ERR_BLOB_NOT_FOUND;
// ERR_INVALID_FIELD names `until` when it has passed.
enum err pin_create(struct policy *policy, const struct actor *actor,
                    const struct pin_request *request, struct pin *pin,
                    struct error *e) MUST_CHECK;
// Newest first, ids below `before` (0: all), expired ones not. *pins is to be freed.
enum err pin_list(struct policy *policy, int64_t before, int64_t limit,
                  struct pin **pins, size_t *count, struct error *e) MUST_CHECK;
// ERR_PIN_NOT_FOUND.
enum err pin_delete(struct policy *policy, const struct actor *actor, int64_t id,
                    struct error *e) MUST_CHECK;

#define PREFETCH_FILES_MAXIMUM 10000

struct prefetch_request {
    const char *model;
    const struct ref *selector;
    enum tier tier;
    const char *const *files; // paths or patterns (`*.safetensors`); NULL: all
    size_t files_count;
};

// The moves in the order in which they were begun, that in which a loader reads the
// files: what is small and needed first (configuration, index, tokenizer), then the
// shards by number. *moves is to be freed. Errors of version_find; ERR_FILE_NOT_FOUND
// names a file that fits nothing.
enum err prefetch(struct policy *policy, const struct actor *actor,
                  const struct prefetch_request *request, struct move **moves,
                  size_t *count, struct error *e) MUST_CHECK;
