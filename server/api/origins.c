// SPDX-License-Identifier: Apache-2.0
#include "server/api/origins.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"

#define KEYS_MAXIMUM 1000
#define KEY_MAXIMUM 256
#define TAG_KEY_MAXIMUM 128
#define TAGS_MEMBERS_MAXIMUM 256
#define VALUE_MAXIMUM 4096

const char *fields_line(struct fields *f, const char *key, enum fields_need need,
                        size_t maximum)
{
    const char *text = fields_text(f, key, need, maximum);
    if (text != NULL && *text == '\0')
        fields_fail(f, ERR_INVALID_FIELD, key, "this must not be empty");
    if (text != NULL && strpbrk(text, "\t\n") != NULL)
        fields_fail(f, ERR_INVALID_FIELD, key, "this must be one line");
    return text;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if (((unsigned char)*text < ' ' && *text != '\t' && *text != '\n') ||
            *text == 0x7f)
            return true;
    }
    return false;
}

static void fail_member(struct fields *f, const char *key, const char *member,
                        const char *what)
{
    char field[KEY_MAXIMUM];
    snprintf(field, sizeof field, "%s.%.100s", key, member);
    fields_fail(f, ERR_INVALID_FIELD, field, "%s", what);
}

// What is wrong with a member, or NULL.
typedef const char *(*member_check)(const json_t *value);

static void check_members(struct fields *f, const char *key, const json_t *object,
                          size_t key_maximum, member_check check)
{
    json_t *members = (json_t *)(uintptr_t)object; // jansson iterates without const
    const char *member;
    json_t *value;
    json_object_foreach(members, member, value)
    {
        size_t size = strlen(member);
        if (size == 0 || size > key_maximum || has_control(member))
            fail_member(f, key, member,
                        "a key is empty, too long, or holds a control "
                        "character");
        const char *wrong = check(value);
        if (wrong != NULL)
            fail_member(f, key, member, wrong);
    }
}

static const char *check_string(const json_t *value)
{
    if (!json_is_string(value))
        return "this must be a string";
    if (json_string_length(value) > VALUE_MAXIMUM)
        return "this is longer than 4096 bytes";
    return has_control(json_string_value(value)) ? "this holds a control character"
                                                 : NULL;
}

static const char *check_string_or_null(const json_t *value)
{
    return json_is_null(value) ? NULL : check_string(value);
}

static const char *check_scalar(const json_t *value)
{
    if (json_is_number(value) || json_is_boolean(value))
        return NULL;
    return json_is_string(value) ? check_string(value)
                                 : "this must be a string, a number, true or false";
}

static bool is_number_word(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && (strcmp(text, "NaN") == 0 || strcmp(text, "Infinity") == 0 ||
                            strcmp(text, "-Infinity") == 0);
}

static const char *check_metric(const json_t *value)
{
    return json_is_number(value) || is_number_word(value)
               ? NULL
               : "this must be a number, \"NaN\", \"Infinity\" or \"-Infinity\"";
}

const json_t *fields_tags(struct fields *f, const char *key, enum tags_null null)
{
    // A patch may also name tags that it removes.
    size_t maximum =
        null == TAGS_ALLOW_NULL ? 2 * TAGS_MEMBERS_MAXIMUM : TAGS_MEMBERS_MAXIMUM;
    const json_t *tags = fields_object(f, key, FIELD_OPTIONAL, maximum);
    if (tags != NULL)
        check_members(f, key, tags, TAG_KEY_MAXIMUM,
                      null == TAGS_ALLOW_NULL ? check_string_or_null : check_string);
    return tags;
}

const json_t *fields_params(struct fields *f, const char *key)
{
    const json_t *params = fields_object(f, key, FIELD_OPTIONAL, KEYS_MAXIMUM);
    if (params != NULL)
        check_members(f, key, params, KEY_MAXIMUM, check_scalar);
    return params;
}

json_t *fields_metrics(struct fields *f, const char *key, enum fields_need need)
{
    const json_t *given = fields_object(f, key, need, KEYS_MAXIMUM);
    if (given == NULL)
        return NULL;
    check_members(f, key, given, KEY_MAXIMUM, check_metric);
    json_t *metrics = json_object();
    json_t *members = (json_t *)(uintptr_t)given;
    const char *member;
    json_t *value;
    json_object_foreach(members, member, value)
    {
        json_object_set_new(metrics, member,
                            json_is_number(value) ? json_real(json_number_value(value))
                                                  : json_incref(value));
    }
    return metrics;
}

enum err dataset_parse(const json_t *json, const char *prefix,
                       struct origin_dataset *dataset, struct error *e)
{
    struct fields f;
    struct digest digest;
    fields_begin(&f, json, prefix, e);
    dataset->uri = fields_line(&f, "uri", FIELD_REQUIRED, URI_MAXIMUM);
    dataset->sha256 = fields_line(&f, "sha256", FIELD_OPTIONAL, DIGEST_HEX_SIZE - 1);
    dataset->name = fields_line(&f, "name", FIELD_OPTIONAL, WORD_MAXIMUM);
    if (dataset->sha256 != NULL && !digest_parse(dataset->sha256, &digest))
        fields_fail(&f, ERR_INVALID_FIELD, "sha256",
                    "this must be 64 lower-case hex "
                    "digits");
    return fields_end(&f);
}
