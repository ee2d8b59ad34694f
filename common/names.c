// SPDX-License-Identifier: Apache-2.0
// NFC comes from GNU libunistring: one file name has then one spelling, whatever
// system it was published from. ASCII is NFC already and takes the short way.
#include "common/names.h"

#include <stdlib.h>
#include <string.h>
#include <uninorm.h>
#include <unistr.h>

#define DIGITS_MAXIMUM 18 // of a version number, so that it fits into int64_t

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name_start(char c)
{
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_name_char(char c)
{
    return is_name_start(c) || c == '.' || c == '_' || c == '-';
}

static bool name_is_valid_n(const char *name, size_t size)
{
    if (size == 0 || size > NAME_MAXIMUM || !is_name_start(name[0]))
        return false;
    for (size_t i = 1; i < size; i++) {
        if (!is_name_char(name[i]))
            return false;
    }
    return true;
}

bool name_is_valid(const char *name)
{
    return name_is_valid_n(name, strnlen(name, NAME_SIZE));
}

static bool all_digits(const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++) {
        if (!is_digit(text[i]))
            return false;
    }
    return size > 0;
}

bool alias_is_valid(const char *alias)
{
    return name_is_valid(alias) && !all_digits(alias) && strcmp(alias, "latest") != 0;
}

static bool take_name(const char *text, size_t size, char name[NAME_SIZE])
{
    if (!name_is_valid_n(text, size))
        return false;
    memcpy(name, text, size);
    name[size] = '\0';
    return true;
}

// `ns/name` in the first `size` bytes.
static enum err parse_model(const char *text, size_t size, const char *field,
                            struct ref *ref, struct error *e)
{
    *ref = (struct ref){.kind = REF_LATEST};
    const char *slash = memchr(text, '/', size);
    if (slash == NULL) {
        return error_set_field(e, ERR_INVALID_NAME, field,
                               "a model is written namespace/name");
    }
    size_t space_size = (size_t)(slash - text);
    if (!take_name(text, space_size, ref->space)) {
        return error_set_field(
            e, ERR_INVALID_NAME, field,
            "the namespace must match [A-Za-z0-9][A-Za-z0-9._-]{0,95}");
    }
    if (!take_name(slash + 1, size - space_size - 1, ref->name)) {
        return error_set_field(
            e, ERR_INVALID_NAME, field,
            "the model's name must match [A-Za-z0-9][A-Za-z0-9._-]{0,95}");
    }
    return ERR_NONE;
}

static bool take_number(const char *text, struct ref *ref)
{
    if (!all_digits(text) || text[0] == '0' || strlen(text) > DIGITS_MAXIMUM)
        return false;
    ref->kind = REF_NUMBER;
    ref->number = strtoll(text, NULL, 10);
    return true;
}

static bool take_alias(const char *text, struct ref *ref)
{
    if (!alias_is_valid(text))
        return false;
    ref->kind = REF_ALIAS;
    memcpy(ref->alias, text, strlen(text) + 1);
    return true;
}

// What is written the same way in a reference and in a URL.
static bool take_common(const char *text, struct ref *ref)
{
    static const char prefix[] = "sha256:";
    if (strcmp(text, "latest") == 0) {
        ref->kind = REF_LATEST;
        return true;
    }
    if (strncmp(text, prefix, strlen(prefix)) == 0) {
        ref->kind = REF_DIGEST;
        return digest_parse(text + strlen(prefix), &ref->digest);
    }
    return take_number(text, ref);
}

enum err ref_parse_model(const char *text, const char *field, struct ref *ref,
                         struct error *e)
{
    return parse_model(text, strlen(text), field, ref, e);
}

enum err ref_parse(const char *text, const char *field, struct ref *ref,
                   struct error *e)
{
    const char *at = strchr(text, '@');
    size_t model_size = at != NULL ? (size_t)(at - text) : strlen(text);
    enum err err = parse_model(text, model_size, field, ref, e);
    if (err != ERR_NONE || at == NULL)
        return err;
    if (take_common(at + 1, ref) || take_alias(at + 1, ref))
        return ERR_NONE;
    return error_set_field(e, ERR_INVALID_NAME, field,
                           "after @ stands a version number, an alias, latest or "
                           "sha256: and 64 hexadecimal digits");
}

enum err ref_parse_selector(const char *text, const char *field, struct ref *ref,
                            struct error *e)
{
    *ref = (struct ref){.kind = REF_LATEST};
    if (text[0] == '@' ? take_alias(text + 1, ref) : take_common(text, ref))
        return ERR_NONE;
    return error_set_field(e, ERR_INVALID_NAME, field,
                           "a version is a number, @alias, latest or sha256: and 64 "
                           "hexadecimal digits");
}

bool utf8_is_valid(const char *text, size_t size)
{
    return memchr(text, '\0', size) == NULL &&
           u8_check((const uint8_t *)text, size) == NULL;
}

void utf8_mend(char *text)
{
    size_t size = strlen(text);
    const uint8_t *wrong;
    while ((wrong = u8_check((const uint8_t *)text, size)) != NULL)
        text[wrong - (const uint8_t *)text] = '?';
}

static bool is_ascii(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] >= 0x80)
            return false;
    }
    return true;
}

static bool is_nfc(const char *text, size_t size)
{
    if (is_ascii(text, size))
        return true;
    uint8_t room[4 * PATH_MAXIMUM];
    size_t length = sizeof room;
    uint8_t *normal = u8_normalize(UNINORM_NFC, (const uint8_t *)text, size, room,
                                   &length);
    if (normal == NULL)
        return false;
    bool same = length == size && memcmp(normal, text, size) == 0;
    if (normal != room)
        free(normal);
    return same;
}

// C0, DEL and C1 (U+0080 to U+009F, in UTF-8 C2 80 to C2 9F).
static bool has_control(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        unsigned char next = (unsigned char)text[i + 1]; // at the end, the NUL
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
            return true;
    }
    return false;
}

static bool component_is_valid(const char *text, size_t size)
{
    return size > 0 && !(size == 1 && text[0] == '.') &&
           !(size == 2 && text[0] == '.' && text[1] == '.');
}

static bool components_are_valid(const char *path)
{
    for (;;) {
        size_t size = strcspn(path, "/");
        if (!component_is_valid(path, size))
            return false;
        if (path[size] == '\0')
            return true;
        path += size + 1;
    }
}

enum err path_check(const char *path, const char *field, struct error *e)
{
    size_t size = strnlen(path, PATH_MAXIMUM + 1);
    if (size == 0)
        return error_set_field(e, ERR_INVALID_PATH, field, "the path is empty");
    if (size > PATH_MAXIMUM) {
        return error_set_field(e, ERR_INVALID_PATH, field,
                               "the path is longer than %d bytes", PATH_MAXIMUM);
    }
    if (!utf8_is_valid(path, size))
        return error_set_field(e, ERR_INVALID_PATH, field, "the path is not UTF-8");
    if (has_control(path, size)) {
        return error_set_field(e, ERR_INVALID_PATH, field,
                               "the path has a control character");
    }
    if (!components_are_valid(path)) {
        return error_set_field(e, ERR_INVALID_PATH, field,
                               "the path must be relative, without empty, `.` or `..` "
                               "components");
    }
    if (!is_nfc(path, size)) {
        return error_set_field(e, ERR_INVALID_PATH, field,
                               "the path is not in Unicode normalization form NFC");
    }
    return ERR_NONE;
}
