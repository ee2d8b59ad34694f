// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "storage/s3_breaker.h"

static struct s3_breaker *breaker;
static int64_t wait_ms;

static int set_up(void **state)
{
    (void)state;
    breaker = s3_breaker_new(&(struct s3_breaker_options){
        .failures = 3, .open_ms = 100, .open_max_ms = 300});
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    s3_breaker_free(breaker);
    return 0;
}

static void fail_at(int64_t now_ms)
{
    assert_true(s3_breaker_enter(breaker, now_ms, &wait_ms));
    s3_breaker_fail(breaker, now_ms);
}

static void open_at(int64_t now_ms)
{
    for (int i = 0; i < 3; i++)
        fail_at(now_ms);
    assert_int_equal(s3_breaker_state(breaker), S3_BREAKER_OPEN);
}

static void opens_after_failures_in_a_row(void **state)
{
    (void)state;
    fail_at(0);
    fail_at(0);
    s3_breaker_succeed(breaker);
    fail_at(0);
    fail_at(0);
    assert_int_equal(s3_breaker_state(breaker), S3_BREAKER_CLOSED);
    fail_at(0);
    assert_int_equal(s3_breaker_state(breaker), S3_BREAKER_OPEN);
    assert_false(s3_breaker_enter(breaker, 40, &wait_ms));
    assert_int_equal(wait_ms, 60);
}

static void lets_one_probe(void **state)
{
    (void)state;
    open_at(0);
    assert_false(s3_breaker_enter(breaker, 99, &wait_ms));
    assert_true(s3_breaker_enter(breaker, 100, &wait_ms));
    assert_int_equal(s3_breaker_state(breaker), S3_BREAKER_HALF_OPEN);
    assert_false(s3_breaker_enter(breaker, 100, &wait_ms));
    assert_true(wait_ms > 0);
    s3_breaker_succeed(breaker);
    assert_int_equal(s3_breaker_state(breaker), S3_BREAKER_CLOSED);
    assert_true(s3_breaker_enter(breaker, 100, &wait_ms));
}

static void waits_longer_after_each_failed_probe(void **state)
{
    (void)state;
    static const int64_t lasts[] = {100, 200, 300, 300};
    int64_t now_ms = 1000;
    open_at(now_ms);
    for (size_t i = 0; i < 4; i++) {
        assert_false(s3_breaker_enter(breaker, now_ms + lasts[i] - 1, &wait_ms));
        now_ms += lasts[i];
        fail_at(now_ms);
        assert_int_equal(s3_breaker_state(breaker), S3_BREAKER_OPEN);
    }
    now_ms += 300;
    assert_true(s3_breaker_enter(breaker, now_ms, &wait_ms));
    s3_breaker_succeed(breaker);
    open_at(now_ms); // and begins anew
    assert_false(s3_breaker_enter(breaker, now_ms, &wait_ms));
    assert_int_equal(wait_ms, 100);
}

static void is_not_moved_by_older_requests_that_fail(void **state)
{
    (void)state;
    open_at(0);
    s3_breaker_fail(breaker, 90);
    assert_true(s3_breaker_enter(breaker, 100, &wait_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opens_after_failures_in_a_row, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lets_one_probe, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waits_longer_after_each_failed_probe, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(is_not_moved_by_older_requests_that_fail,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
