// SPDX-License-Identifier: Apache-2.0
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/policy/decide.h"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define NOW (20000 * DAY)
#define GB UINT64_C(1000000000)

static const struct decide_options options = {
    .heat = {.half_life_us = 3 * DAY, .window_us = 3600 * SECOND},
    .promote_factor = 2,
    .residence_times = 10,
    .retry_us = 3600 * SECOND,
};

// Hot is a little above its high mark; warm has room.
struct world {
    struct decide_blob blob;
    struct decide_tier tiers[TIER_COUNT];
    bool rules_too;
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
    w.tiers[TIER_HOT].used = 905 * GB;
    w.blob.since_us[TIER_HOT] = NOW - 50 * DAY;
    return w;
}

static struct decision asked(const struct world *w, enum tier full)
{
    struct decision d;
    decide_space(&options, &w->blob, w->tiers, full, w->rules_too, NOW, &d);
    assert_int_equal(d.cause, DECIDE_SPACE);
    return d;
}

static void goes(const struct world *w, enum tier tier, const char *text)
{
    struct decision d = asked(w, TIER_HOT);
    assert_true(d.moves);
    assert_true(d.drops);
    assert_int_equal(d.tier, tier);
    assert_string_equal(d.text, text);
}

static struct decision stays(const struct world *w, const char *text)
{
    struct decision d = asked(w, TIER_HOT);
    assert_false(d.moves);
    assert_false(d.drops);
    assert_int_equal(d.tier, TIER_HOT);
    assert_string_equal(d.text, text);
    return d;
}

#define FULL "hot is above its high mark; "
#define COPIED FULL "nothing there is colder; goes to a copy on warm"
#define DROPPED(tier)                                                                  \
    FULL "nothing there is colder; its copy is dropped, it is on " tier
#define ASKED FULL "stays, since a pin, an explicit move or a rule wants it there"
#define NOWHERE FULL "stays, since no lower tier has it or has room for it"

static void it_goes_to_the_next_tier(void **state)
{
    (void)state;
    struct world w = world();
    goes(&w, TIER_WARM, COPIED);
    w.blob.since_us[TIER_COLD] = NOW - DAY; // warm has room for it all the same
    goes(&w, TIER_WARM, COPIED);
    w.blob.since_us[TIER_WARM] = NOW - DAY;
    goes(&w, TIER_WARM, DROPPED("warm"));
}

static void with_a_cold_copy_it_must_be_worth_its_room(void **state)
{
    (void)state;
    struct world w = world();
    double score = heat_score(&options.heat, &w.blob.heat, w.blob.created_us);
    w.blob.since_us[TIER_COLD] = NOW - DAY;
    w.tiers[TIER_WARM].used = 795 * GB;
    w.tiers[TIER_WARM].coldest = score - 2;
    goes(&w, TIER_WARM, COPIED);
    w.tiers[TIER_WARM].coldest = score;
    goes(&w, TIER_COLD, DROPPED("cold"));
    // Without one, any room below the mark will do before a copy is made on cold.
    w.blob.since_us[TIER_COLD] = 0;
    w.tiers[TIER_COLD].is_online = false;
    goes(&w, TIER_WARM, COPIED);
}

static void in_a_hurry_nothing_is_copied(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.since_us[TIER_COLD] = NOW - DAY;
    w.tiers[TIER_HOT].used = 950 * GB;
    goes(&w, TIER_WARM, COPIED);
    w.tiers[TIER_HOT].used++; // more than half way from the mark to the end
    goes(&w, TIER_COLD, DROPPED("cold"));
    w.blob.since_us[TIER_COLD] = 0; // a copy there must be
    goes(&w, TIER_WARM, COPIED);
}

static void nowhere_to_go(void **state)
{
    (void)state;
    struct world w = world();
    w.tiers[TIER_WARM].used = 891 * GB;
    w.tiers[TIER_WARM].coldest = NAN;
    w.tiers[TIER_COLD].is_online = false;
    stays(&w, NOWHERE);
    w.tiers[TIER_WARM].is_online = false;
    w.blob.since_us[TIER_WARM] = NOW - DAY; // a copy that cannot be read is none
    stays(&w, NOWHERE);
    w.tiers[TIER_WARM].is_online = true;
    w.blob.failed_us = NOW - SECOND;
    w.blob.failed_tier = TIER_WARM;
    stays(&w, NOWHERE);
    w.blob.failed_us = NOW - 3600 * SECOND;
    goes(&w, TIER_WARM, DROPPED("warm"));
}

static void what_somebody_wants_there_stays(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.is_pinned = true;
    w.blob.pin_tier = TIER_HOT;
    stays(&w, ASKED);
    w.rules_too = true;
    stays(&w, ASKED);
    w.blob.pin_tier = TIER_WARM; // nobody asks for more
    goes(&w, TIER_WARM, COPIED);
    w.blob.is_pinned = false;
    w.blob.is_held = true;
    w.blob.hold_tier = TIER_HOT;
    stays(&w, ASKED);
    w.blob.is_held = false;
    w.blob.has_rule = true;
    w.blob.rule_tier = TIER_HOT;
    goes(&w, TIER_WARM, COPIED); // all else is gone
    w.rules_too = false;
    stays(&w, ASKED);
}

static void a_promoted_copy_stays_a_while(void **state)
{
    (void)state;
    struct world w = world();
    // 10 GB at 100 MB/s are 100 s, ten times of which it stays.
    w.blob.since_us[TIER_COLD] = NOW - 50 * DAY;
    w.blob.since_us[TIER_HOT] = NOW - 999 * SECOND;
    struct decision d =
        stays(&w, FULL "stays, since it came a short while ago, at least "
                       "until 2024-10-04T00:00:01Z");
    assert_int_equal(d.next_us, NOW + SECOND);
    w.blob.since_us[TIER_HOT] = NOW - 1000 * SECOND;
    goes(&w, TIER_WARM, COPIED);
    // What was born there has nothing that would be undone.
    w.blob.since_us[TIER_HOT] = NOW - 10 * SECOND;
    w.blob.since_us[TIER_COLD] = NOW - 5 * SECOND;
    goes(&w, TIER_WARM, COPIED);
    // The rate of a tier that nobody measured is that of a hard disk, 150 MB/s.
    w.blob.since_us[TIER_COLD] = NOW - 50 * DAY;
    w.tiers[TIER_HOT].rate = 0;
    w.blob.since_us[TIER_HOT] = NOW - 660 * SECOND;
    assert_false(asked(&w, TIER_HOT).moves);
    w.blob.since_us[TIER_HOT] = NOW - 667 * SECOND;
    assert_true(asked(&w, TIER_HOT).moves);
}

static void a_slower_copy_goes_after_the_faster_one(void **state)
{
    (void)state;
    struct world w = world();
    w.blob.since_us[TIER_WARM] = w.blob.since_us[TIER_COLD] = NOW - 60 * DAY;
    w.tiers[TIER_WARM].used = 950 * GB;
    struct decision d = asked(&w, TIER_WARM);
    assert_false(d.moves);
    assert_string_equal(d.text,
                        "warm is above its high mark; stays, since the copy on a "
                        "faster tier would go with it");
    w.blob.since_us[TIER_HOT] = 0;
    d = asked(&w, TIER_WARM);
    assert_true(d.moves);
    assert_int_equal(d.tier, TIER_COLD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_goes_to_the_next_tier),
        cmocka_unit_test(with_a_cold_copy_it_must_be_worth_its_room),
        cmocka_unit_test(in_a_hurry_nothing_is_copied),
        cmocka_unit_test(nowhere_to_go),
        cmocka_unit_test(what_somebody_wants_there_stays),
        cmocka_unit_test(a_promoted_copy_stays_a_while),
        cmocka_unit_test(a_slower_copy_goes_after_the_faster_one),
    };
    return cmocka_run_group_tests_name("policy_space", tests, NULL, NULL);
}
