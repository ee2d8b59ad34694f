// SPDX-License-Identifier: Apache-2.0
// Names, references and digests. Input: the text.
// Parser: common/names.c: is_digit is_name_start is_name_char name_is_valid_n
// Parser: common/names.c: name_is_valid all_digits alias_is_valid take_name parse_model
// Parser: common/names.c: take_number take_alias take_common ref_parse_model ref_parse
// Parser: common/names.c: ref_parse_selector
// Parser: common/digest.c: digest_parse
// Parser: common/hex.c: hex_decode digit_value
// Parser: storage/upload.c: upload_id_is_valid
// Options: -max_len=320
#include <inttypes.h>

#include "common/cleanup.h"
#include "common/names.h"
#include "storage/upload.h"
#include "tests/fuzz/fuzz.h"

#define FIRST "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// The rule of docs/openapi.yaml once more.
static bool is_name(const char *text)
{
    size_t size = strlen(text);
    return size >= 1 && size <= 96 && strspn(text, FIRST) >= 1 &&
           strspn(text, FIRST "._-") == size;
}

static bool is_alias(const char *text)
{
    return is_name(text) && text[strspn(text, "0123456789")] != '\0' &&
           strcmp(text, "latest") != 0;
}

static void format_selector(const struct ref *ref, const char *at, char text[128])
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&ref->digest, hex);
    switch (ref->kind) {
    case REF_LATEST:
        snprintf(text, 128, "latest");
        break;
    case REF_NUMBER:
        REQUIRE(ref->number >= 1);
        snprintf(text, 128, "%" PRId64, ref->number);
        break;
    case REF_ALIAS:
        REQUIRE(is_alias(ref->alias));
        snprintf(text, 128, "%s%s", at, ref->alias);
        break;
    case REF_DIGEST:
        snprintf(text, 128, "sha256:%s", hex);
        break;
    }
}

static void check_ref(const char *text)
{
    struct ref ref;
    struct error e = {0};
    char selector[128], whole[512];
    if (ref_parse(text, "ref", &ref, &e) != ERR_NONE) {
        REQUIRE(e.code == ERR_INVALID_NAME && strcmp(e.field, "ref") == 0);
        return;
    }
    REQUIRE(is_name(ref.space) && is_name(ref.name));
    format_selector(&ref, "", selector);
    // `ns/name` alone means the same as `ns/name@latest`.
    bool bare = strchr(text, '@') == NULL;
    REQUIRE(!bare || ref.kind == REF_LATEST);
    snprintf(whole, sizeof whole, "%s/%s%s%s", ref.space, ref.name, bare ? "" : "@",
             bare ? "" : selector);
    REQUIRE(strcmp(whole, text) == 0);
}

static void check_selector(const char *text)
{
    struct ref ref;
    struct error e = {0};
    char selector[128];
    if (ref_parse_selector(text, "ref", &ref, &e) != ERR_NONE)
        return;
    format_selector(&ref, "@", selector);
    REQUIRE(strcmp(selector, text) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_FREE char *text = fuzz_text(data, length);
    struct ref ref;
    struct digest digest;
    struct error e = {0};
    char hex[DIGEST_HEX_SIZE];
    REQUIRE(name_is_valid(text) == is_name(text));
    REQUIRE(alias_is_valid(text) == is_alias(text));
    check_ref(text);
    check_selector(text);
    bool is_model = ref_parse_model(text, "model", &ref, &e) == ERR_NONE;
    REQUIRE(is_model == (strchr(text, '@') == NULL &&
                         ref_parse(text, "model", &ref, &e) == ERR_NONE));
    if (digest_parse(text, &digest)) {
        digest_format(&digest, hex);
        REQUIRE(strcmp(hex, text) == 0);
    }
    if (upload_id_is_valid(text))
        REQUIRE(strlen(text) == UPLOAD_ID_SIZE - 1);
    return 0;
}
