// SPDX-License-Identifier: Apache-2.0
#include "client/lib/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TYPE_PREFIX "urn:strata:error:"

static void fill(struct strata_error *e, enum strata_status status, const char *format,
                 va_list args)
{
    memset(e, 0, sizeof *e);
    e->status = status;
    vsnprintf(e->detail, sizeof e->detail, format, args);
}

enum strata_status fail_set(struct strata_error *e, enum strata_status status,
                            const char *format, ...)
{
    if (e == NULL)
        return status;
    va_list args;
    va_start(args, format);
    fill(e, status, format, args);
    va_end(args);
    return status;
}

enum strata_status fail_errno(struct strata_error *e, int errnum, const char *format,
                              ...)
{
    if (e == NULL)
        return STRATA_LOCAL;
    va_list args;
    va_start(args, format);
    fill(e, STRATA_LOCAL, format, args);
    va_end(args);
    char text[128];
    const char *why = strerror_r(errnum, text, sizeof text);
    if (errnum == ENOSPC)
        why = "the disk is full";
    else if (errnum == EDQUOT)
        why = "the disk quota is used up";
    size_t used = strlen(e->detail);
    snprintf(e->detail + used, sizeof e->detail - used, ": %s", why);
    return STRATA_LOCAL;
}

enum strata_status fail_usage(struct strata_error *e, const struct error *from)
{
    fail_set(e, STRATA_USAGE, "%s", from->detail);
    if (e != NULL)
        snprintf(e->field, sizeof e->field, "%s", from->field);
    return STRATA_USAGE;
}

enum strata_status fail_class(int http_status)
{
    switch (http_status) {
    case 401:
    case 403:
        return STRATA_DENIED;
    case 404:
    case 410:
        return STRATA_NOT_FOUND;
    case 409:
    case 412:
        return STRATA_CONFLICT;
    case 400:
    case 422:
        return STRATA_USAGE;
    case 429:
    case 502:
    case 503:
    case 504:
        return STRATA_AWAY;
    default:
        return STRATA_FAILED;
    }
}

static void copy_member(char *to, size_t size, const json_t *problem, const char *key)
{
    const char *text = json_string_value(json_object_get(problem, key));
    if (text != NULL)
        snprintf(to, size, "%s", text);
}

// What stands in the way of a deletion, for people.
static void add_reasons(struct strata_error *e, const json_t *problem)
{
    size_t i;
    json_t *reason;
    json_array_foreach(json_object_get(problem, "reasons"), i, reason)
    {
        const char *kind = json_string_value(json_object_get(reason, "kind"));
        const char *name = json_string_value(json_object_get(reason, "name"));
        size_t used = strlen(e->detail);
        snprintf(e->detail + used, sizeof e->detail - used, "%s %s %s",
                 i == 0 ? ":" : ",", kind != NULL ? kind : "",
                 name != NULL ? name : "");
    }
}

enum strata_status fail_problem(struct strata_error *e, int http_status,
                                const json_t *problem, const char *request_id)
{
    enum strata_status status = fail_class(http_status);
    if (e == NULL)
        return status;
    memset(e, 0, sizeof *e);
    e->http_status = http_status;
    const char *type = json_string_value(json_object_get(problem, "type"));
    if (type != NULL && strncmp(type, TYPE_PREFIX, strlen(TYPE_PREFIX)) == 0)
        snprintf(e->type, sizeof e->type, "%s", type + strlen(TYPE_PREFIX));
    copy_member(e->title, sizeof e->title, problem, "title");
    snprintf(e->detail, sizeof e->detail, "the server answered with status %d",
             http_status);
    copy_member(e->detail, sizeof e->detail, problem, "detail");
    copy_member(e->field, sizeof e->field, problem, "field");
    if (request_id != NULL)
        snprintf(e->request_id, sizeof e->request_id, "%s", request_id);
    copy_member(e->request_id, sizeof e->request_id, problem, "instance");
    add_reasons(e, problem);
    if (strcmp(e->type, "digest-mismatch") == 0)
        status = STRATA_CORRUPT;
    if (strcmp(e->type, "parent-not-found") == 0)
        status = STRATA_NOT_FOUND;
    e->status = status;
    return status;
}
