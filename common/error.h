// SPDX-License-Identifier: Apache-2.0
// Errors. A function that can fail returns enum err (ERR_NONE = fine) and takes a
// struct error last, which it fills in by error_set. The caller owns the struct error;
// it holds the text inline, so there is nothing to free but `extra`.
#pragma once

#include <jansson.h>
#include <stddef.h>

enum err {
    ERR_NONE = 0,
#define X(symbol, status, slug, title) ERR_##symbol,
#include "common/error.def"
#undef X
    ERR_COUNT
};

struct error {
    enum err code;
    char detail[512]; // UTF-8, as is field
    char field[128]; // the request field at fault, or ""
    json_t *extra;   // further members of the problem object, or NULL; owned
};

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

// Fills *e (NULL is allowed) and returns code, so that callers write
// `return error_set(e, ERR_CONFLICT, "version %d exists", n);`. Any thread.
enum err error_set(struct error *e, enum err code, const char *format, ...)
    PRINTF_LIKE(3, 4);

// As error_set, and names the request field (a JSON path such as `files[3].path`).
enum err error_set_field(struct error *e, enum err code, const char *field,
                         const char *format, ...) PRINTF_LIKE(4, 5);

// Adds a member to the problem object; takes over `value`.
void error_add(struct error *e, const char *key, json_t *value);

// From errno: ENOSPC, EDQUOT -> ERR_INSUFFICIENT_STORAGE, everything else ERR_INTERNAL.
// The one place where errno becomes an error. `what` names the step that failed.
enum err error_set_errno(struct error *e, int errnum, const char *format, ...)
    PRINTF_LIKE(3, 4);

// Frees `extra` and makes *e empty again.
void error_clear(struct error *e);

// Moves *from into *to (which is cleared first).
void error_move(struct error *to, struct error *from);

// Keeps the first of several failures: unless *first is one already, it becomes `err`
// and *failure goes into *e (NULL is allowed). Empties *failure.
void error_keep_first(enum err *first, struct error *e, enum err err,
                      struct error *failure);

int error_status(enum err code);         // HTTP status, 200 for ERR_NONE
const char *error_slug(enum err code);   // "model-not-found"
const char *error_title(enum err code);  // "Model not found"
enum err error_from_slug(const char *slug); // ERR_INTERNAL when it is not known
