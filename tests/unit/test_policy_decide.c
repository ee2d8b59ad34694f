// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "server/policy/decide.h"

#define HOUR (3600 * INT64_C(1000000))
#define DAY (24 * HOUR)
#define NOW (20000 * DAY) // 2024-10-04T00:00:00Z
#define GB UINT64_C(1000000000)

static const struct decide_options options = {
    .heat = {.half_life_us = 3 * DAY, .window_us = HOUR},
    .promote_reads = 2,
    .promote_windows = 4,
    .promote_heat = 1.5,
    .promote_burst = 4,
    .promote_factor = 2,
    .residence_times = 10,
    .retry_us = HOUR,
};

// Hot and warm half full, of what was never read and came long ago.
struct world {
    struct decide_blob blob;
    struct decide_tier tiers[TIER_COUNT];
};

static struct world world(void)
{
    struct world w = {.blob = {.size = 10 * GB, .created_us = NOW - 100 * DAY}};
    for (int tier = 0; tier < TIER_COUNT; tier++)
        w.tiers[tier] = (struct decide_tier){.is_online = true,
                                             .is_limited = tier != TIER_COLD,
                                             .used = 500 * GB,
                                             .capacity = 1000 * GB,
                                             .high = 900 * GB,
                                             .low = 800 * GB,
                                             .coldest = 0,
                                             .rate = 100000000};
    w.blob.since_us[TIER_COLD] = NOW - 100 * DAY;
    return w;
}

static void read_often(struct world *w)
{
    heat_add(&options.heat, &w->blob.heat, 1, NOW - HOUR);
    heat_add(&options.heat, &w->blob.heat, 1, NOW);
}

static struct decision decided(const struct world *w)
{
    struct decision d;
    decide(&options, &w->blob, w->tiers, NOW, &d);
    return d;
}

static void says(const struct decision *d, const char *text)
{
    if (strcmp(d->text, text) != 0)
        fail_msg("\"%s\"\nis not\n\"%s\"", d->text, text);
}

static void contains(const struct decision *d, const char *text)
{
    if (strstr(d->text, text) == NULL)
        fail_msg("\"%s\"\nhas no\n\"%s\"", d->text, text);
}

static void goes(const struct decision *d, enum tier tier, enum decide_cause cause,
                 bool drops)
{
    assert_int_equal(d->cause, cause);
    assert_true(d->moves);
    assert_int_equal(d->tier, tier);
    assert_int_equal(d->drops, drops);
}

static void stays(const struct decision *d, enum tier tier, enum decide_cause cause)
{
    assert_int_equal(d->cause, cause);
    assert_false(d->moves);
    assert_int_equal(d->tier, tier);
    assert_false(d->drops);
}

// ---- precedence ---------------------------------------------------------------------

static void everybody_asks(struct world *w)
{
    w->blob.since_us[TIER_WARM] = NOW - DAY;
    read_often(w);
    w->blob.has_rule = true;
    w->blob.rule_tier = TIER_COLD;
    w->blob.rule = "old";
    w->blob.is_held = true;
    w->blob.hold_tier = TIER_WARM;
    w->blob.hold_until_us = NOW + 2 * DAY;
    w->blob.is_pinned = true;
    w->blob.pin_tier = TIER_HOT;
    w->blob.pin_until_us = NOW + DAY;
}

static void pin_then_move_then_rule_then_heat(void **state)
{
    (void)state;
    struct world w = world();
    everybody_asks(&w);
    struct decision d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_PIN, false);
    assert_int_equal(d.next_us, NOW + DAY);
    w.blob.is_pinned = false;
    d = decided(&w);
    stays(&d, TIER_WARM, DECIDE_MOVE);
    assert_int_equal(d.next_us, NOW + 2 * DAY);
    w.blob.is_held = false;
    d = decided(&w);
    goes(&d, TIER_COLD, DECIDE_RULE, true);
    w.blob.has_rule = false;
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    w.blob.heat = (struct heat){0};
    d = decided(&w);
    stays(&d, TIER_WARM, DECIDE_DEFAULT);
    assert_int_equal(d.next_us, 0);
}

static void a_hold_does_not_move(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.is_held = true;
    w.blob.hold_tier = TIER_HOT; // its move has not ended yet, or did not succeed
    w.blob.hold_until_us = NOW + 90 * 60 * INT64_C(1000000);
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_MOVE);
    says(&d, "moved to hot by hand, held by that until 2024-10-04T01:30:00Z");
}

static void a_copy_that_is_there_is_no_move(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.since_us[TIER_HOT] = NOW - 1;
    w.blob.is_pinned = true;
    w.blob.pin_tier = TIER_HOT;
    w.blob.pin = "vision/net@3";
    struct decision d = decided(&w);
    stays(&d, TIER_HOT, DECIDE_PIN);
    says(&d, "pinned to hot by vision/net@3");
}

static void without_a_copy_nothing_moves(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.since_us[TIER_COLD] = 0;
    w.blob.is_pinned = true;
    assert_int_equal(decide_present(&w.blob), TIER_COUNT);
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_DEFAULT);
    says(&d, "no copy of it can be read here");
}

// ---- pins and rules that cannot have their way ----------------------------------

static void pins_fill_a_tier_to_its_end_rules_to_the_mark(void **state)
{
    (void)state;
    struct world w = world();
    w.tiers[TIER_HOT].used = 990 * GB;
    w.blob.is_pinned = w.blob.has_rule = true;
    w.blob.pin_tier = w.blob.rule_tier = TIER_HOT;
    w.blob.rule = "prod";
    w.blob.rule_words = "alias is `prod`";
    struct decision d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_PIN, false);
    w.tiers[TIER_HOT].used++;
    d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_PIN);
    assert_int_equal(d.missing, 1);
    contains(&d, "; hot lacks 1 bytes for it");
    w.blob.is_pinned = false;
    w.tiers[TIER_HOT].used = 890 * GB;
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_RULE, false);
    says(&d, "rule `prod`: alias is `prod`, wants it on hot; goes to hot now");
    w.tiers[TIER_HOT].used += 5;
    d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_RULE);
    assert_int_equal(d.wanted, TIER_HOT);
    assert_int_equal(d.missing, 5);
    assert_int_equal(d.next_us, 0); // room is nothing that comes by waiting
}

static void a_tier_without_end_lacks_nothing(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.since_us[TIER_HOT] = NOW - DAY;
    w.blob.since_us[TIER_COLD] = 0;
    w.blob.has_rule = true;
    w.blob.rule_tier = TIER_COLD;
    w.blob.rule = "old";
    w.tiers[TIER_COLD].used = UINT64_MAX / 2;
    struct decision d = decided(&w);
    goes(&d, TIER_COLD, DECIDE_RULE, true);
}

static void a_tier_that_is_away_is_asked_again(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.is_pinned = true;
    w.blob.pin_tier = TIER_HOT;
    w.tiers[TIER_HOT].is_online = false;
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_PIN);
    assert_int_equal(d.missing, 0);
    assert_int_equal(d.next_us, NOW + HOUR);
    contains(&d, "; hot is offline");
}

static void what_failed_is_not_repeated_at_once(void **state)
{
    (void)state;
    struct world w = world();
    read_often(&w);
    w.blob.failed_us = NOW - HOUR + 1000000;
    w.blob.failed_tier = TIER_HOT;
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_HEAT);
    assert_int_equal(d.next_us, NOW + 1000000);
    contains(&d, "did not succeed, the next begins at 2024-10-04T00:00:01Z");
    w.blob.failed_us = NOW - HOUR;
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    w.blob.failed_us = NOW - 1;
    w.blob.failed_tier = TIER_WARM; // another way is open
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
}

// ---- heat ---------------------------------------------------------------------------

static void heat_asks_for_a_habit(void **state)
{
    (void)state;
    struct world w = world();
    heat_add(&options.heat, &w.blob.heat, 1, NOW - HOUR);
    heat_add(&options.heat, &w.blob.heat, 1, NOW - HOUR); // the same window
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_DEFAULT);
    says(&d, "no pin, explicit move or rule asks for a tier; read in 1 of the last 4 "
             "windows of 1 hour; goes up when read in 2, and worth 1.5 whole reads");
    heat_add(&options.heat, &w.blob.heat, 1, NOW);
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    says(&d, "read in 2 of the last 4 windows of 1 hour; goes to hot now");
    // The same three hours later: the first window is forgotten.
    decide(&options, &w.blob, w.tiers, NOW + 3 * HOUR, &d);
    stays(&d, TIER_COLD, DECIDE_DEFAULT);
}

static void small_parts_are_no_habit(void **state)
{
    (void)state;
    struct world w = world();
    for (int i = 3; i >= 0; i--)
        heat_add(&options.heat, &w.blob.heat, 0.3, NOW - i * HOUR);
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_DEFAULT);
}

static void a_crowd_does_not_wait(void **state)
{
    (void)state;
    struct world w = world();
    heat_add(&options.heat, &w.blob.heat, 3.9, NOW);
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_DEFAULT);
    heat_add(&options.heat, &w.blob.heat, 0.2, NOW);
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    contains(&d, "read in 1 of the last 4 windows");
}

static void what_is_hot_stays(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.since_us[TIER_HOT] = NOW;
    read_often(&w);
    struct decision d = decided(&w);
    stays(&d, TIER_HOT, DECIDE_HEAT);
    says(&d, "read in 2 of the last 4 windows of 1 hour");
    w.blob.heat = (struct heat){0};
    d = decided(&w);
    stays(&d, TIER_HOT, DECIDE_DEFAULT);
    says(&d,
         "no pin, explicit move or rule asks for a tier; never read; goes down when "
         "hot is above its high mark and nothing there is colder");
}

static void a_full_tier_takes_only_what_is_clearly_hotter(void **state)
{
    (void)state;
    struct world w = world();
    read_often(&w);
    double score = heat_score(&options.heat, &w.blob.heat, w.blob.created_us);
    w.tiers[TIER_WARM].is_online = false;
    w.tiers[TIER_HOT].used = 790 * GB; // up to the low mark nobody has to leave
    w.tiers[TIER_HOT].coldest = score + 5;
    struct decision d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    w.tiers[TIER_HOT].used++;
    d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_HEAT);
    assert_int_equal(d.wanted, TIER_HOT);
    assert_int_equal(d.missing, 0); // heat makes no demands
    contains(&d, "; hot is full of what is hotter or has to stay");
    w.tiers[TIER_HOT].coldest = score - 0.99; // not half as hot
    d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_HEAT);
    w.tiers[TIER_HOT].coldest = score - 1.01;
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    w.tiers[TIER_HOT].coldest = NAN; // nothing can leave: there is room to the mark
    w.tiers[TIER_HOT].used = 890 * GB;
    d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    w.tiers[TIER_HOT].used++;
    d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_HEAT);
}

static void a_tier_above_its_mark_takes_nothing(void **state)
{
    (void)state;
    struct world w = world();
    read_often(&w);
    w.tiers[TIER_HOT].used = 900 * GB; // at the mark, not above it
    struct decision d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_HEAT, false);
    w.tiers[TIER_HOT].used++;
    d = decided(&w);
    goes(&d, TIER_WARM, DECIDE_HEAT, false); // the next one does
    assert_int_equal(d.wanted, TIER_HOT);
    contains(&d, "; hot is too full for it; goes to warm now");
    w.tiers[TIER_WARM].used = 900 * GB + 1;
    d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_HEAT);
    w.blob.since_us[TIER_WARM] = NOW - DAY; // it is there: no move from warm to warm
    d = decided(&w);
    stays(&d, TIER_WARM, DECIDE_HEAT);
}

static void what_does_not_fit_does_not_come(void **state)
{
    (void)state;
    struct world w = world();
    read_often(&w);
    w.blob.size = 901 * GB;
    struct decision d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_HEAT);
    w.blob.size = 10 * GB;
    w.tiers[TIER_HOT].used = w.tiers[TIER_HOT].high = 995 * GB;
    w.tiers[TIER_WARM].is_online = false;
    d = decided(&w);
    stays(&d, TIER_COLD, DECIDE_HEAT);
}

// ---- what time alone will change ------------------------------------------------

static void the_next_rule_is_announced(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.since_us[TIER_HOT] = NOW - DAY;
    w.blob.next_rule_us = NOW + DAY;
    w.blob.next_rule_tier = TIER_COLD;
    w.blob.next_rule = "old";
    w.blob.next_rule_words = "idle for 30 days";
    struct decision d = decided(&w);
    stays(&d, TIER_HOT, DECIDE_DEFAULT);
    assert_int_equal(d.next_us, NOW + DAY);
    contains(&d, "; rule `old`: idle for 30 days, wants it on cold from "
                 "2024-10-05T00:00:00Z on");
    // A pin that lasts longer is above it.
    w.blob.is_pinned = true;
    w.blob.pin_tier = TIER_HOT;
    w.blob.pin_until_us = NOW + 2 * DAY;
    d = decided(&w);
    says(&d, "pinned to hot until 2024-10-06T00:00:00Z");
    assert_int_equal(d.next_us, NOW + DAY);
    w.blob.pin_until_us = NOW + HOUR;
    d = decided(&w);
    contains(&d, "rule `old`");
    assert_int_equal(d.next_us, NOW + HOUR);
}

static void a_rule_may_end_by_time(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.has_rule = true;
    w.blob.rule_tier = TIER_COLD;
    w.blob.rule = "fresh";
    w.blob.next_rule_us = NOW + HOUR;
    struct decision d = decided(&w);
    says(&d, "rule `fresh`, wants it on cold; no rule asks for a tier from "
             "2024-10-04T01:00:00Z on");
    w.blob.next_rule_us = NOW; // it has passed
    d = decided(&w);
    assert_int_equal(d.next_us, 0);
    says(&d, "rule `fresh`, wants it on cold");
}

static void long_names_are_cut_not_overrun(void **state)
{
    (void)state;
    char name[2 * DECIDE_TEXT_SIZE];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct world w = world();
    w.blob.has_rule = true;
    w.blob.rule_tier = TIER_HOT;
    w.blob.rule = name;
    struct decision d = decided(&w);
    goes(&d, TIER_HOT, DECIDE_RULE, false);
    assert_int_equal(strlen(d.text), DECIDE_TEXT_SIZE - 1);
}

static void causes_have_the_names_of_the_interface(void **state)
{
    (void)state;
    static const char *const names[] = {"pin",  "move",  "rule",
                                        "heat", "space", "default"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_string_equal(decide_cause_name((enum decide_cause)i), names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pin_then_move_then_rule_then_heat),
        cmocka_unit_test(a_hold_does_not_move),
        cmocka_unit_test(a_copy_that_is_there_is_no_move),
        cmocka_unit_test(without_a_copy_nothing_moves),
        cmocka_unit_test(pins_fill_a_tier_to_its_end_rules_to_the_mark),
        cmocka_unit_test(a_tier_without_end_lacks_nothing),
        cmocka_unit_test(a_tier_that_is_away_is_asked_again),
        cmocka_unit_test(what_failed_is_not_repeated_at_once),
        cmocka_unit_test(heat_asks_for_a_habit),
        cmocka_unit_test(small_parts_are_no_habit),
        cmocka_unit_test(a_crowd_does_not_wait),
        cmocka_unit_test(what_is_hot_stays),
        cmocka_unit_test(a_full_tier_takes_only_what_is_clearly_hotter),
        cmocka_unit_test(a_tier_above_its_mark_takes_nothing),
        cmocka_unit_test(what_does_not_fit_does_not_come),
        cmocka_unit_test(the_next_rule_is_announced),
        cmocka_unit_test(a_rule_may_end_by_time),
        cmocka_unit_test(long_names_are_cut_not_overrun),
        cmocka_unit_test(causes_have_the_names_of_the_interface),
    };
    return cmocka_run_group_tests_name("policy_decide", tests, NULL, NULL);
}
