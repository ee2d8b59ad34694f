// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"
#include "common/names.h"

#define LONG                                                                           \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" \
    "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9"

static bool is_utf8(const char *text)
{
    return utf8_is_valid(text, strlen(text));
}

static void texts_that_are_cut_stay_utf8(void **state)
{
    (void)state;
    struct error e = {0};
    error_set(&e, ERR_NOT_FOUND, "no %.5s here", LONG);
    assert_true(is_utf8(e.detail));
    assert_string_equal(e.detail, "no \xc3\xa9\xc3\xa9? here");
    error_set_field(&e, ERR_INVALID_FIELD, "x" LONG LONG LONG, "%s", "wrong");
    assert_true(strlen(e.field) > 100);
    assert_true(is_utf8(e.field));
    for (size_t i = 0; i < 4; i++) {
        error_set(&e, ERR_NOT_FOUND, "%s" LONG LONG LONG LONG LONG LONG LONG LONG LONG,
                  "abcd" + i);
        assert_true(strlen(e.detail) > 500);
        assert_true(is_utf8(e.detail));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_that_are_cut_stay_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
