// SPDX-License-Identifier: Apache-2.0
#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOON INT64_C(1801396800000000) // 2027-01-31T12:00:00Z

static void formatted_times_parse(void **state)
{
    (void)state;
    char text[CLOCK_TEXT_SIZE];
    int64_t us;
    clock_format(NOON + 123, text);
    assert_string_equal(text, "2027-01-31T12:00:00.000123Z");
    assert_true(clock_parse(text, &us));
    assert_int_equal(us, NOON + 123);
    clock_format_http(NOON, text);
    assert_string_equal(text, "Sun, 31 Jan 2027 12:00:00 GMT");
    assert_true(clock_parse_http(text, &us));
    assert_int_equal(us, NOON);
}

static void every_form_parses(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "2027-01-31T12:00:00Z",      "2027-01-31T12:00:00z",
        "2027-01-31T12:00:00.000Z",  "2027-01-31T12:00:00.000000999Z",
        "2027-01-31T13:30:00+01:30", "2027-01-31T00:00:00-12:00",
        "2027-02-01T00:00:00.0+12:00",
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        int64_t us = 0;
        assert_true(clock_parse(forms[i], &us));
        assert_int_equal(us, NOON);
    }
}

static void anything_else_does_not(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "now", "2027-01-31", "2027-01-31T12:00:00", "2027-01-31 12:00:00Z",
        "2027-1-31T12:00:00Z", " 2027-01-31T12:00:00Z", "2027-01-31T12:00Z",
        "2027-13-01T12:00:00Z", "2027-00-01T12:00:00Z", "2027-02-30T12:00:00Z",
        "2027-02-29T12:00:00Z", "2027-04-31T12:00:00Z", "2027-01-31T24:00:00Z",
        "2027-01-31T12:60:00Z", "2027-01-31T12:00:00.Z", "2027-01-31T12:00:00.0000000000Z",
        "2027-01-31T12:00:00+24:00", "2027-01-31T12:00:00+1:00", "2027-01-31T12:00:00ZZ",
        "1801396800", "20270131T120000Z",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t us;
        assert_false(clock_parse(texts[i], &us));
    }
}

static void leap_days_are_days(void **state)
{
    (void)state;
    int64_t leap, next;
    assert_true(clock_parse("2028-02-29T00:00:00Z", &leap));
    assert_true(clock_parse("2028-03-01T00:00:00Z", &next));
    assert_int_equal(next - leap, INT64_C(86400000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formatted_times_parse),
        cmocka_unit_test(every_form_parses),
        cmocka_unit_test(anything_else_does_not),
        cmocka_unit_test(leap_days_are_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
