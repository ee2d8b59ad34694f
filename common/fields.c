// SPDX-License-Identifier: Apache-2.0
#include "common/fields.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fields_fail(struct fields *f, enum err code, const char *key, const char *format,
                 ...)
{
    if (f->err != ERR_NONE)
        return;
    char field[sizeof f->e->field];
    int length = snprintf(field, sizeof field, "%s%s", f->prefix, key);
    if (*key == '\0' && length > 0 && length < (int)sizeof field)
        field[length - 1] = '\0'; // the dot of the prefix
    char detail[sizeof f->e->detail];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    f->err = error_set_field(f->e, code, field, "%s", detail);
}

void fields_begin(struct fields *f, const json_t *json, const char *prefix,
                  struct error *e)
{
    *f = (struct fields){.object = json, .e = e};
    snprintf(f->prefix, sizeof f->prefix, "%s", prefix);
    if (!json_is_object(json)) {
        f->object = NULL;
        fields_fail(f, ERR_INVALID_FIELD, "", "this must be an object");
    }
}

static bool was_taken(const struct fields *f, const char *key)
{
    for (size_t i = 0; i < f->taken_count; i++) {
        if (strcmp(f->taken[i], key) == 0)
            return true;
    }
    return false;
}

enum err fields_end(struct fields *f)
{
    if (f->err != ERR_NONE || json_object_size(f->object) == 0)
        return f->err;
    const char *key;
    json_t *value;
    json_t *object = json_incref((json_t *)(uintptr_t)f->object);
    json_object_foreach(object, key, value)
    {
        if (!was_taken(f, key))
            fields_fail(f, ERR_UNKNOWN_FIELD, key, "the field is not known here");
    }
    json_decref(object);
    return f->err;
}

// The member, marked as taken; JSON null counts as absent unless a caller looks itself.
static const json_t *take(struct fields *f, const char *key, enum fields_need need)
{
    if (f->err != ERR_NONE)
        return NULL;
    assert(f->taken_count < FIELDS_MAXIMUM);
    f->taken[f->taken_count++] = key;
    const json_t *value = json_object_get(f->object, key);
    if (value == NULL && need == FIELD_REQUIRED)
        fields_fail(f, ERR_INVALID_FIELD, key, "the field is required");
    return value;
}

static const char *check_text(struct fields *f, const char *key, const json_t *value,
                              size_t maximum)
{
    if (!json_is_string(value)) {
        fields_fail(f, ERR_INVALID_FIELD, key, "this must be a string");
        return NULL;
    }
    const char *text = json_string_value(value);
    if (json_string_length(value) > maximum) {
        fields_fail(f, ERR_INVALID_FIELD, key, "this is longer than %zu bytes",
                    maximum);
        return NULL;
    }
    for (const char *c = text; *c != '\0'; c++) {
        if (((unsigned char)*c < ' ' && *c != '\t' && *c != '\n') || *c == 0x7f) {
            fields_fail(f, ERR_INVALID_FIELD, key, "this holds a control character");
            return NULL;
        }
    }
    return text;
}

const char *fields_text(struct fields *f, const char *key, enum fields_need need,
                        size_t maximum)
{
    const json_t *value = take(f, key, need);
    return value == NULL ? NULL : check_text(f, key, value, maximum);
}

const char *fields_text_or_null(struct fields *f, const char *key, size_t maximum,
                                bool *is_null)
{
    const json_t *value = take(f, key, FIELD_OPTIONAL);
    *is_null = value != NULL && json_is_null(value);
    return value == NULL || *is_null ? NULL : check_text(f, key, value, maximum);
}

int64_t fields_int(struct fields *f, const char *key, enum fields_need need,
                   int64_t minimum, int64_t maximum, int64_t absent)
{
    const json_t *value = take(f, key, need);
    if (value == NULL)
        return absent;
    if (!json_is_integer(value)) {
        fields_fail(f, ERR_INVALID_FIELD, key, "this must be an integer");
        return absent;
    }
    int64_t number = json_integer_value(value);
    if (number < minimum || number > maximum)
        fields_fail(f, ERR_INVALID_FIELD, key,
                    "this must be from %" PRId64 " to %" PRId64, minimum, maximum);
    return number;
}

bool fields_bool(struct fields *f, const char *key, bool absent)
{
    const json_t *value = take(f, key, FIELD_OPTIONAL);
    if (value == NULL)
        return absent;
    if (!json_is_boolean(value))
        fields_fail(f, ERR_INVALID_FIELD, key, "this must be true or false");
    return json_is_true(value);
}

const json_t *fields_array(struct fields *f, const char *key, enum fields_need need,
                           size_t maximum)
{
    const json_t *value = take(f, key, need);
    if (value == NULL)
        return NULL;
    if (!json_is_array(value))
        fields_fail(f, ERR_INVALID_FIELD, key, "this must be an array");
    else if (json_array_size(value) > maximum)
        fields_fail(f, ERR_INVALID_FIELD, key, "this has more than %zu items", maximum);
    return f->err == ERR_NONE ? value : NULL;
}

const json_t *fields_object(struct fields *f, const char *key, enum fields_need need,
                            size_t maximum)
{
    const json_t *value = take(f, key, need);
    if (value == NULL)
        return NULL;
    if (!json_is_object(value))
        fields_fail(f, ERR_INVALID_FIELD, key, "this must be an object");
    else if (json_object_size(value) > maximum)
        fields_fail(f, ERR_INVALID_FIELD, key, "this has more than %zu members",
                    maximum);
    return f->err == ERR_NONE ? value : NULL;
}

bool fields_has(const struct fields *f, const char *key)
{
    return f->err == ERR_NONE && json_object_get(f->object, key) != NULL;
}
