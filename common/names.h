// SPDX-License-Identifier: Apache-2.0
// The grammar of names, references and file paths (DESIGN section 2), shared by server
// and client. No allocation; errors name the field.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/error.h"

#define NAME_MAXIMUM 96       // bytes of a namespace, model or alias
#define NAME_SIZE 97          // with the NUL
#define PATH_MAXIMUM 1024     // bytes of a file path

// [A-Za-z0-9][A-Za-z0-9._-]{0,95}
bool name_is_valid(const char *name);
// A valid name that is neither all digits nor `latest`.
bool alias_is_valid(const char *alias);

enum ref_kind { REF_LATEST, REF_NUMBER, REF_ALIAS, REF_DIGEST };

// A parsed reference. For the selector alone `space` and `name` are "".
struct ref {
    char space[NAME_SIZE]; // the namespace
    char name[NAME_SIZE];
    enum ref_kind kind;
    int64_t number; // REF_NUMBER, from 1
    char alias[NAME_SIZE];
    struct digest digest;
};

// `ns/name`: ERR_INVALID_NAME names the field.
enum err ref_parse_model(const char *text, const char *field, struct ref *ref,
                         struct error *e) MUST_CHECK;
// `ns/name`, `ns/name@7`, `ns/name@prod`, `ns/name@sha256:<hex>`, `ns/name@latest`.
enum err ref_parse(const char *text, const char *field, struct ref *ref,
                   struct error *e) MUST_CHECK;
// The {ref} of a URL: `7`, `@prod`, `sha256:<hex>`, `latest`; sets the selector only.
enum err ref_parse_selector(const char *text, const char *field, struct ref *ref,
                            struct error *e) MUST_CHECK;

// UTF-8 in NFC, at most PATH_MAXIMUM bytes, relative, no empty, `.` or `..` component,
// no control character. (NFC: see names.c.) ERR_INVALID_PATH.
enum err path_check(const char *path, const char *field, struct error *e) MUST_CHECK;
// Well-formed UTF-8 without surrogates and without NUL in the first `size` bytes.
bool utf8_is_valid(const char *text, size_t size);
// Puts `?` for each byte of a text that belongs to no whole UTF-8 character.
void utf8_mend(char *text);
