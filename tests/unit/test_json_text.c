// SPDX-License-Identifier: Apache-2.0
#include "common/json_text.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

static void expect_real(double value, const char *expected)
{
    CLEANUP(buf_clear) struct buf text = {0};
    assert_true(json_text_real(&text, value));
    assert_string_equal(buf_text(&text), expected);
}

static void reals_are_shortest(void **state)
{
    (void)state;
    expect_real(0.1, "0.1");
    expect_real(0.00002, "2e-05");
    expect_real(1, "1.0");
    expect_real(-0.0, "-0.0");
    expect_real(1e300, "1e+300");
    expect_real(1.0 / 3, "0.3333333333333333");
    expect_real(0.1 + 0.2, "0.30000000000000004");
    expect_real(NAN, "\"NaN\"");
    expect_real(INFINITY, "\"Infinity\"");
    expect_real(-INFINITY, "\"-Infinity\"");
}

static void reals_come_back_exactly(void **state)
{
    (void)state;
    uint64_t bits = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        CLEANUP(buf_clear) struct buf text = {0};
        assert_true(json_text_real(&text, value));
        AUTO_JSON json_t *back = json_loads(buf_text(&text), JSON_DECODE_ANY, NULL);
        assert_true(json_is_real(back));
        assert_true(json_real_value(back) == value);
    }
}

static void values_keep_their_order(void **state)
{
    (void)state;
    const char *text = "{\"z\":[1,-2.5,true,false,null],\"a\":{\"\\u00e9\\n\\\"\":\"x/y\"},"
                       "\"big\":9223372036854775807}";
    AUTO_JSON json_t *value = json_loads(text, 0, NULL);
    size_t size = 0;
    AUTO_FREE char *written = json_text_dump(value, &size);
    assert_int_equal(size, strlen(written));
    assert_string_equal(written,
                        "{\"z\":[1,-2.5,true,false,null],\"a\":{\"\xc3\xa9\\n\\\"\":"
                        "\"x/y\"},\"big\":9223372036854775807}");
}

static void the_maximum_holds(void **state)
{
    (void)state;
    CLEANUP(buf_clear) struct buf text;
    buf_init(&text, 8);
    assert_false(json_text_string(&text, "longer than eight"));
    AUTO_JSON json_t *value = json_pack("[i,i,i,i,i]", 10, 20, 30, 40, 50);
    assert_false(json_text_value(&text, value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reals_are_shortest),
        cmocka_unit_test(reals_come_back_exactly),
        cmocka_unit_test(values_keep_their_order),
        cmocka_unit_test(the_maximum_holds),
    };
    return cmocka_run_group_tests_name("json_text", tests, NULL, NULL);
}
