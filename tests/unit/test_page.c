// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "server/api/request.h"

// The key that a page token stands for, copied; NULL when it is refused.
static char *read_token(const char *token)
{
    struct request_pair query = {"page_token", token};
    struct request request = {.query = &query, .query_count = 1};
    struct page page;
    struct error e = {0};
    char *key = NULL;
    if (request_page(&request, &page, &e) == ERR_NONE)
        key = strdup(page.token);
    else
        assert_int_equal(e.code, ERR_BAD_QUERY);
    request_clear(&request);
    return key;
}

static void takes_what_was_given_out(void **state)
{
    (void)state;
    static const char *const keys[] = {"1", "12", "123", "a/b", "\xc3\xa9?>~"};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        AUTO_FREE char *token = page_token_encode(keys[i]);
        AUTO_FREE char *key = read_token(token);
        assert_non_null(key);
        assert_string_equal(key, keys[i]);
    }
}

static void refuses_what_was_not(void **state)
{
    (void)state;
    static const char *const tokens[] = {
        "",         // no key
        "A",        // no number of bytes
        "MQ==",     // with padding
        "M=E",      // padding within
        "MR",       // bits that count for nothing
        "    MTIz", // white space before
        "MTIz    ", // and behind
        "    ",     // nothing else
        "AAAA",     // NUL
        "_w",       // not UTF-8
        "M*",
    };
    for (size_t i = 0; i < ARRAY_SIZE(tokens); i++) {
        AUTO_FREE char *key = read_token(tokens[i]);
        if (key != NULL)
            fail_msg("\"%s\" was taken", tokens[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_was_given_out),
        cmocka_unit_test(refuses_what_was_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
