// SPDX-License-Identifier: Apache-2.0
#include "server/api/token_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/api/role.h"

#define SECRET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"

static void a_made_token_parses(void **state)
{
    (void)state;
    char text[TOKEN_TEXT_SIZE], other[TOKEN_TEXT_SIZE];
    assert_int_equal(token_text_make(text, NULL), ERR_NONE);
    assert_int_equal(token_text_make(other, NULL), ERR_NONE);
    assert_int_equal(strlen(text), TOKEN_TEXT_SIZE - 1);
    assert_string_not_equal(text, other);
    char id[TOKEN_ID_LENGTH + 1];
    struct digest secret, expected;
    assert_true(token_text_parse(text, id, &secret));
    assert_memory_equal(text + 7, id, TOKEN_ID_LENGTH);
    digest_of(text + 7 + TOKEN_ID_LENGTH + 1, TOKEN_SECRET_LENGTH, &expected);
    assert_true(digest_equal(&secret, &expected));
}

static void other_texts_do_not_parse(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "strata_",
        "strata_0123456789abcdef",
        "strata_0123456789abcdef_",
        "Strata_0123456789abcdef_" SECRET,
        "strata_0123456789abcde_" SECRET,
        "strata_0123456789abcdef_" SECRET "x",
        "strata_0123456789abcdef-" SECRET,
        "strata_0123456789abcd-f_" SECRET,
        "strata_0123456789abcdef_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP ",
        "strata_0123456789abcdef_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP_",
    };
    char id[TOKEN_ID_LENGTH + 1];
    struct digest secret;
    assert_true(token_text_parse("strata_0123456789abcdef_" SECRET, id, &secret));
    assert_string_equal(id, "0123456789abcdef");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(token_text_parse(bad[i], id, &secret));
}

static void roles_are_ordered_and_named(void **state)
{
    (void)state;
    assert_true(ROLE_NONE < ROLE_READER && ROLE_READER < ROLE_PUBLISHER &&
                ROLE_PUBLISHER < ROLE_MAINTAINER && ROLE_MAINTAINER < ROLE_ADMIN);
    for (int i = ROLE_READER; i <= ROLE_ADMIN; i++) {
        enum role role = ROLE_NONE;
        assert_true(role_parse(role_name((enum role)i), &role));
        assert_int_equal(role, i);
    }
    enum role role;
    assert_false(role_parse("none", &role));
    assert_false(role_parse("Admin", &role));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_made_token_parses),
        cmocka_unit_test(other_texts_do_not_parse),
        cmocka_unit_test(roles_are_ordered_and_named),
    };
    return cmocka_run_group_tests_name("token_text", tests, NULL, NULL);
}
