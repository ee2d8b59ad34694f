// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "server/api/conditions.h"
#include "server/api/digest_field.h"

static void compares_entity_tags(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool weak, matches;
    } cases[] = {
        {"\"a\"", false, true},
        {"\"a\"", true, true},
        {"W/\"a\"", true, true},
        {"W/\"a\"", false, false},
        {"*", false, true},
        {" * ", true, true},
        {"\"b\", \"a\"", false, true},
        {"\"b\",,W/\"c\" ,\"a\"", false, true},
        {"\"b\"", true, false},
        {"a", true, false},
        {"\"a", true, false},
        {"\"aa\"", true, false},
        {"*, \"b\"", true, false},
        {"", true, false},
        {NULL, true, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(etag_list_has(cases[i].header, "\"a\"", cases[i].weak),
                         cases[i].matches);
}

static void if_range_is_strong(void **state)
{
    (void)state;
    assert_true(etag_is_same("\"a\"", "\"a\""));
    assert_true(etag_is_same(" \"a\" ", "\"a\""));
    assert_false(etag_is_same("W/\"a\"", "\"a\""));
    assert_false(etag_is_same("\"b\"", "\"a\""));
    assert_false(etag_is_same("\"a\", \"b\"", "\"a\""));
    assert_false(etag_is_same("Sun, 22 Nov 2026 20:35:51 GMT", "\"a\""));
}

#define TEST_DIGEST                                                                    \
    "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:" // of "test"

static void reads_content_digest(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        bool found;
    } cases[] = {
        {NULL, ERR_NONE, false},
        {TEST_DIGEST, ERR_NONE, true},
        {"sha-512=:AAAA:, " TEST_DIGEST, ERR_NONE, true},
        {TEST_DIGEST ", unixsum=:AA==:", ERR_NONE, true},
        {"sha-512=:AAAA:", ERR_NONE, false},
        {"sha-512=:AAAA:;q=1 , " TEST_DIGEST, ERR_NONE, true},
        {"", ERR_BAD_REQUEST, false},
        {"sha-256", ERR_BAD_REQUEST, false},
        {"sha-256=abc", ERR_BAD_REQUEST, false},
        {"sha-256=:AAAA:", ERR_BAD_REQUEST, false},
        {"sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", ERR_BAD_REQUEST,
         false},
        {TEST_DIGEST ",", ERR_BAD_REQUEST, true},
        {TEST_DIGEST " x", ERR_BAD_REQUEST, true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct error e = {0};
        struct digest digest;
        bool found;
        enum err err = digest_field_parse(cases[i].text, &digest, &found, &e);
        assert_int_equal(err, cases[i].err);
        assert_int_equal(found, cases[i].found);
    }
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    struct digest digest, read;
    struct error e = {0};
    bool found;
    char text[DIGEST_FIELD_SIZE];
    digest_of("test", 4, &digest);
    digest_field_format(&digest, text);
    assert_string_equal(text, TEST_DIGEST);
    assert_int_equal(digest_field_parse(text, &read, &found, &e), ERR_NONE);
    assert_true(found && digest_equal(&digest, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_entity_tags),
        cmocka_unit_test(if_range_is_strong),
        cmocka_unit_test(reads_content_digest),
        cmocka_unit_test(writes_what_it_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
