// SPDX-License-Identifier: Apache-2.0
#include "common/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void names(void **state)
{
    (void)state;
    assert_true(name_is_valid("a"));
    assert_true(name_is_valid("7"));
    assert_true(name_is_valid("Llama-3.1_8B"));
    const char *bad[] = {"", ".a", "-a", "_a", "a b", "a/b", "a@b", "\xc3\xa9", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(name_is_valid(bad[i]));
    char name[NAME_MAXIMUM + 2];
    memset(name, 'x', sizeof name);
    name[NAME_MAXIMUM] = '\0';
    assert_true(name_is_valid(name));
    name[NAME_MAXIMUM] = 'x';
    name[NAME_MAXIMUM + 1] = '\0';
    assert_false(name_is_valid(name));
}

static void aliases(void **state)
{
    (void)state;
    assert_true(alias_is_valid("prod"));
    assert_true(alias_is_valid("v1"));
    assert_true(alias_is_valid("1.0"));
    assert_true(alias_is_valid("Latest"));
    assert_false(alias_is_valid("1"));
    assert_false(alias_is_valid("0042"));
    assert_false(alias_is_valid("latest"));
    assert_false(alias_is_valid(""));
}

static enum ref_kind kind_of(const char *text, struct ref *ref)
{
    struct error e = {0};
    assert_int_equal(ref_parse(text, "ref", ref, &e), ERR_NONE);
    assert_string_equal(ref->space, "ns");
    assert_string_equal(ref->name, "name");
    return ref->kind;
}

static void refs(void **state)
{
    (void)state;
    struct ref ref;
    assert_int_equal(kind_of("ns/name", &ref), REF_LATEST);
    assert_int_equal(kind_of("ns/name@latest", &ref), REF_LATEST);
    assert_int_equal(kind_of("ns/name@17", &ref), REF_NUMBER);
    assert_int_equal(ref.number, 17);
    assert_int_equal(kind_of("ns/name@prod", &ref), REF_ALIAS);
    assert_string_equal(ref.alias, "prod");
    assert_int_equal(kind_of("ns/name@sha256:" HEX, &ref), REF_DIGEST);
    char text[DIGEST_HEX_SIZE];
    digest_format(&ref.digest, text);
    assert_string_equal(text, HEX);
    struct error e = {0};
    assert_int_equal(ref_parse_model("ns/name", "model", &ref, &e), ERR_NONE);
    const char *bad[] = {"",           "ns",         "/name",      "ns/",
                         "ns/a/b",     "ns/name@",   "ns/name@0",  "ns/name@07",
                         "ns/name@-1", "ns/na me",   "ns/name@@p",
                         "ns@1/name",  "ns/name@a/b", "ns/name@sha256:12",
                         "ns/name@1234567890123456789", "ns/name@sha256:" HEX "0"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ref_parse(bad[i], "the.field", &ref, &e), ERR_INVALID_NAME);
        assert_string_equal(e.field, "the.field");
    }
    assert_int_equal(ref_parse_model("ns/name@1", "model", &ref, &e), ERR_INVALID_NAME);
}

static void selectors(void **state)
{
    (void)state;
    struct ref ref;
    struct error e = {0};
    assert_int_equal(ref_parse_selector("7", "ref", &ref, &e), ERR_NONE);
    assert_int_equal(ref.kind, REF_NUMBER);
    assert_string_equal(ref.space, "");
    assert_int_equal(ref_parse_selector("@prod", "ref", &ref, &e), ERR_NONE);
    assert_int_equal(ref.kind, REF_ALIAS);
    assert_int_equal(ref_parse_selector("latest", "ref", &ref, &e), ERR_NONE);
    assert_int_equal(ref.kind, REF_LATEST);
    assert_int_equal(ref_parse_selector("sha256:" HEX, "ref", &ref, &e), ERR_NONE);
    assert_int_equal(ref.kind, REF_DIGEST);
    const char *bad[] = {"",  "prod", "@7",      "@latest",
                         "0", "@",    "sha256:", "@sha256:" HEX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(ref_parse_selector(bad[i], "ref", &ref, &e), ERR_INVALID_NAME);
}

static void good_paths(void **state)
{
    (void)state;
    const char *good[] = {
        "a",         "a/b/c.safetensors",        "...",    ".hidden",          "a b",
        "a/..b/c..", "\xe6\xa8\xa1\xe5\x9e\x8b", "C:\\x", "\xf0\x9f\xa4\x97",
        "\xc3\xa9",
    };
    struct error e = {0};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(path_check(good[i], "p", &e), ERR_NONE);
    char path[PATH_MAXIMUM + 2];
    memset(path, 'p', sizeof path);
    path[PATH_MAXIMUM] = '\0';
    assert_int_equal(path_check(path, "p", &e), ERR_NONE);
    path[PATH_MAXIMUM] = 'p';
    path[PATH_MAXIMUM + 1] = '\0';
    assert_int_equal(path_check(path, "p", &e), ERR_INVALID_PATH);
}

static void bad_paths(void **state)
{
    (void)state;
    const char *bad[] = {
        "",         "/",        "/etc",         "a/",          "a//b",
        ".",        "..",       "./a",          "a/..",        "a/../b",
        "a\nb",     "a\x7f",    "a\x1b[m",      "a\xc2\x85",   "caf\x65\xcc\x81",
        "\xff",     "\xc0\xaf", "\xed\xa0\x80", "\xe6\xa8",    "\xf4\x90\x80\x80",
        "\xe2\x84\xab", // ANGSTROM SIGN, in NFC another letter
    };
    struct error e = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(path_check(bad[i], "files[3].path", &e), ERR_INVALID_PATH);
        assert_string_equal(e.field, "files[3].path");
    }
}

static void utf8(void **state)
{
    (void)state;
    assert_true(utf8_is_valid("", 0));
    assert_true(utf8_is_valid("a\nb", 3));
    assert_false(utf8_is_valid("a\0b", 3));
    assert_false(utf8_is_valid("\xc3", 1));
    assert_false(utf8_is_valid("\xed\xb0\x80", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),      cmocka_unit_test(aliases),
        cmocka_unit_test(refs),       cmocka_unit_test(selectors),
        cmocka_unit_test(good_paths), cmocka_unit_test(bad_paths),
        cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
