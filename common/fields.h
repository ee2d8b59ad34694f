// SPDX-License-Identifier: Apache-2.0
// Strict reading of JSON objects: every member is either taken or refused, and an error
// names it by its path (`files[3].path`). The first error sticks; later calls do
// nothing, so that a parser reads its fields in a row and asks once at the end.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/error.h"

#define FIELDS_MAXIMUM 32

struct fields {
    const json_t *object;
    char prefix[96]; // "" or "files[3]."
    const char *taken[FIELDS_MAXIMUM];
    size_t taken_count;
    enum err err;
    struct error *e;
};

// `json` must be an object, else ERR_INVALID_FIELD. `prefix` as above.
void fields_begin(struct fields *f, const json_t *json, const char *prefix,
                  struct error *e);
// ERR_UNKNOWN_FIELD when a member was not taken; otherwise the first error.
enum err fields_end(struct fields *f) MUST_CHECK;

enum fields_need { FIELD_OPTIONAL, FIELD_REQUIRED };

// A string of at most `maximum` bytes without control characters other than tab and
// newline; NULL when absent (and optional). Borrowed from the JSON.
const char *fields_text(struct fields *f, const char *key, enum fields_need need,
                        size_t maximum);
// As fields_text; JSON null counts as given: *is_null says so (merge patch).
const char *fields_text_or_null(struct fields *f, const char *key, size_t maximum,
                                bool *is_null);
// An integer in [minimum, maximum]; `absent` when it is not there.
int64_t fields_int(struct fields *f, const char *key, enum fields_need need,
                   int64_t minimum, int64_t maximum, int64_t absent);
bool fields_bool(struct fields *f, const char *key, bool absent);
// Borrowed; NULL when absent. At most `maximum` members.
const json_t *fields_array(struct fields *f, const char *key, enum fields_need need,
                           size_t maximum);
const json_t *fields_object(struct fields *f, const char *key, enum fields_need need,
                            size_t maximum);
bool fields_has(const struct fields *f, const char *key);
// Sets the sticking error, naming prefix + key.
void fields_fail(struct fields *f, enum err code, const char *key, const char *format,
                 ...) PRINTF_LIKE(4, 5);
