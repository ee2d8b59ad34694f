// SPDX-License-Identifier: Apache-2.0
#include "common/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"

struct error_row {
    int status;
    const char *slug;
    const char *title;
};

static const struct error_row rows[ERR_COUNT] = {
    [ERR_NONE] = {200, "none", "No error"},
#define X(symbol, status, slug, title) [ERR_##symbol] = {status, slug, title},
#include "common/error.def"
#undef X
};

static void fill(struct error *e, enum err code, const char *field, const char *format,
                 va_list args)
{
    assert(code > ERR_NONE && code < ERR_COUNT);
    if (e == NULL)
        return;
    error_clear(e);
    e->code = code;
    snprintf(e->field, sizeof e->field, "%s", field);
    vsnprintf(e->detail, sizeof e->detail, format, args);
    // Both may have been cut in the middle of a character.
    utf8_mend(e->field);
    utf8_mend(e->detail);
}

enum err error_set(struct error *e, enum err code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(e, code, "", format, args);
    va_end(args);
    return code;
}

enum err error_set_field(struct error *e, enum err code, const char *field,
                         const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fill(e, code, field, format, args);
    va_end(args);
    return code;
}

void error_add(struct error *e, const char *key, json_t *value)
{
    if (e == NULL) {
        json_decref(value);
        return;
    }
    if (e->extra == NULL)
        e->extra = json_object();
    json_object_set_new(e->extra, key, value);
}

enum err error_set_errno(struct error *e, int errnum, const char *format, ...)
{
    enum err code = ERR_INTERNAL;
    if (errnum == ENOSPC || errnum == EDQUOT)
        code = ERR_INSUFFICIENT_STORAGE;
    va_list args;
    va_start(args, format);
    fill(e, code, "", format, args);
    va_end(args);
    if (e != NULL) {
        size_t used = strlen(e->detail);
        char text[128];
        snprintf(e->detail + used, sizeof e->detail - used, ": %s",
                 strerror_r(errnum, text, sizeof text));
    }
    return code;
}

void error_clear(struct error *e)
{
    if (e == NULL)
        return;
    json_decref(e->extra);
    memset(e, 0, sizeof *e);
}

void error_move(struct error *to, struct error *from)
{
    error_clear(to);
    *to = *from;
    memset(from, 0, sizeof *from);
}

void error_keep_first(enum err *first, struct error *e, enum err err,
                      struct error *failure)
{
    if (*first == ERR_NONE && err != ERR_NONE) {
        *first = err;
        if (e != NULL)
            error_move(e, failure);
    }
    error_clear(failure);
}

int error_status(enum err code)
{
    assert(code < ERR_COUNT);
    return rows[code].status;
}

const char *error_slug(enum err code)
{
    assert(code < ERR_COUNT);
    return rows[code].slug;
}

const char *error_title(enum err code)
{
    assert(code < ERR_COUNT);
    return rows[code].title;
}

enum err error_from_slug(const char *slug)
{
    for (int code = ERR_NONE + 1; code < ERR_COUNT; code++) {
        if (strcmp(rows[code].slug, slug) == 0)
            return (enum err)code;
    }
    return ERR_INTERNAL;
}
