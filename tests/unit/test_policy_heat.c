// SPDX-License-Identifier: Apache-2.0
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/policy/heat.h"

#define HOUR (3600 * INT64_C(1000000))
#define DAY (24 * HOUR)
#define NOW (20000 * DAY)

static const struct heat_options options = {.half_life_us = 3 * DAY, .window_us = HOUR};

static void close_to(double a, double b)
{
    assert_true(fabs(a - b) < 1e-9);
}

static void a_read_is_worth_half_after_a_half_life(void **state)
{
    (void)state;
    struct heat heat = {0};
    close_to(heat_at(&options, &heat, NOW), 0);
    heat_add(&options, &heat, 1, NOW);
    close_to(heat_at(&options, &heat, NOW), 1);
    close_to(heat_at(&options, &heat, NOW + 3 * DAY), 0.5);
    heat_add(&options, &heat, 1, NOW + 3 * DAY);
    close_to(heat_at(&options, &heat, NOW + 6 * DAY), 0.75);
    // Asked for a time before the last read, it is what it was then.
    close_to(heat_at(&options, &heat, NOW), 1.5);
}

static void a_thousand_ranges_are_one_read(void **state)
{
    (void)state;
    struct heat ranges = {0}, whole = {0};
    for (int i = 0; i < 1000; i++)
        heat_add(&options, &ranges, heat_reads(5000000, 5000000000, 1), NOW);
    heat_add(&options, &whole, heat_reads(5000000000, 5000000000, 1), NOW);
    close_to(heat_at(&options, &ranges, NOW), heat_at(&options, &whole, NOW));
    close_to(heat_reads(0, 0, 3), 3); // an empty blob
}

static void a_look_at_the_header_is_no_window(void **state)
{
    (void)state;
    struct heat heat = {0};
    heat_add(&options, &heat, HEAT_WINDOW_READS / 2, NOW);
    assert_int_equal(heat_windows(&options, &heat, NOW, HEAT_WINDOWS), 0);
    heat_add(&options, &heat, HEAT_WINDOW_READS, NOW);
    assert_int_equal(heat_windows(&options, &heat, NOW, HEAT_WINDOWS), 1);
    heat_add(&options, &heat, 0, NOW + DAY); // nothing was read
    assert_int_equal(heat.read_us, NOW);
}

static void windows_end_at_their_borders(void **state)
{
    (void)state;
    struct heat heat = {0};
    heat_add(&options, &heat, 1, NOW + HOUR - 1);
    heat_add(&options, &heat, 1, NOW + HOUR); // the next window
    heat_add(&options, &heat, 1, NOW + HOUR + 1);
    assert_int_equal(heat_windows(&options, &heat, NOW + HOUR, 64), 2);
    assert_int_equal(heat_windows(&options, &heat, NOW + HOUR, 1), 1);
    assert_int_equal(heat_windows(&options, &heat, NOW + 2 * HOUR, 1), 0);
    assert_int_equal(heat_windows(&options, &heat, NOW + 2 * HOUR, 2), 1);
    assert_int_equal(heat_windows(&options, &heat, NOW + 63 * HOUR, 64), 2);
    assert_int_equal(heat_windows(&options, &heat, NOW + 64 * HOUR, 64), 1);
    assert_int_equal(heat_windows(&options, &heat, NOW + 65 * HOUR, 64), 0);
    assert_int_equal(heat_windows(&options, &heat, NOW + 1000 * DAY, 64), 0);
}

static void a_late_report_counts_as_now(void **state)
{
    (void)state;
    struct heat heat = {0};
    heat_add(&options, &heat, 1, NOW);
    heat_add(&options, &heat, 1, NOW - 2 * HOUR);
    assert_int_equal(heat.at_us, NOW);
    close_to(heat_at(&options, &heat, NOW), 2);
    assert_int_equal(heat_windows(&options, &heat, NOW, 64), 1);
}

static void scores_stay_and_order_by_heat(void **state)
{
    (void)state;
    struct heat old = {0}, fresh = {0}, never = {0};
    for (int i = 0; i < 6; i++)
        heat_add(&options, &old, 1, NOW);
    heat_add(&options, &fresh, 1, NOW + DAY);
    double score_old = heat_score(&options, &old, NOW - 100 * DAY);
    double score_fresh = heat_score(&options, &fresh, NOW - 100 * DAY);
    // The order of scores is that of heat, whenever it is looked at.
    for (int days = 1; days < 60; days += 7) {
        int64_t at_us = NOW + days * DAY;
        assert_int_equal(heat_at(&options, &old, at_us) >
                             heat_at(&options, &fresh, at_us),
                         score_old > score_fresh);
    }
    assert_true(score_old > score_fresh);
    // Twice the heat is one more.
    struct heat twice = old;
    twice.heat *= 2;
    assert_true(fabs(heat_score(&options, &twice, 0) - heat_score(&options, &old, 0) -
                     1) < 1e-6);
    // What nobody read goes by its age.
    assert_true(heat_score(&options, &never, NOW) >
                heat_score(&options, &never, NOW - DAY));
    close_to(heat_score(&options, &never, NOW), (double)NOW / (3.0 * (double)DAY));
}

static void scores_are_always_numbers(void **state)
{
    (void)state;
    const struct heat_options brief = {.half_life_us = 60000000, .window_us = HOUR};
    struct heat heat = {0};
    heat_add(&brief, &heat, 1e-9, NOW);
    assert_true(isfinite(heat_score(&brief, &heat, 1)));
    assert_true(isfinite(heat_score(&brief, &heat, NOW + DAY)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_read_is_worth_half_after_a_half_life),
        cmocka_unit_test(a_thousand_ranges_are_one_read),
        cmocka_unit_test(a_look_at_the_header_is_no_window),
        cmocka_unit_test(windows_end_at_their_borders),
        cmocka_unit_test(a_late_report_counts_as_now),
        cmocka_unit_test(scores_stay_and_order_by_heat),
        cmocka_unit_test(scores_are_always_numbers),
    };
    return cmocka_run_group_tests_name("policy_heat", tests, NULL, NULL);
}
