// SPDX-License-Identifier: Apache-2.0
// The policy with its defaults, on small traces: it must not be worse than the caches
// that everybody would write, and must move far less.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "tests/bench/tiersim/caches.h"
#include "tests/bench/tiersim/strata.h"

#define MODELS 100
#define DAYS 24

static void trace_free_at(struct trace **trace)
{
    trace_free(*trace);
}

static struct trace *make(const char *name)
{
    for (size_t i = 0; i < trace_kinds_count; i++) {
        if (strcmp(trace_kinds[i].name, name) == 0)
            return trace_new(&trace_kinds[i], MODELS, DAYS, 7);
    }
    fail_msg("no trace %s", name);
    return NULL;
}

static struct sim_result run(const struct trace *trace,
                             const struct sim_strategy *strategy)
{
    CLEANUP(config_free_at) struct config *config = NULL;
    char program[] = "tiersim", data[] = "--data=.";
    char *argv[] = {program, data, NULL};
    struct error e = {0};
    assert_int_equal(config_load(2, argv, &config, &e), ERR_NONE);
    struct strata_options strata = strata_options_of(config);
    struct sim_setup setup = {strategy, &strata, .hot = 0.1, .warm = 0.3};
    return sim_run(trace, &setup);
}

static uint64_t moved(const struct sim_result *result)
{
    return result->up + result->down;
}

static uint64_t near(const struct sim_result *result)
{
    return result->read[TIER_HOT] + result->read[TIER_WARM];
}

// Not worse than LRU by bytes, with an eighth of the bytes moved.
static void beats_lru(const char *name)
{
    CLEANUP(trace_free_at) struct trace *trace = make(name);
    struct sim_result ours = run(trace, &strata_strategy);
    struct sim_result lru = run(trace, &cache_lru);
    assert_true(ours.read[TIER_HOT] >= lru.read[TIER_HOT]);
    assert_true(near(&ours) >= near(&lru));
    assert_true(moved(&ours) > 0);
    assert_true(moved(&ours) <= moved(&lru) / 8);
}

static void scans_do_not_drive_out_what_is_read_daily(void **state)
{
    (void)state;
    beats_lru("scan+daily");
}

static void what_everybody_reads_comes_up(void **state)
{
    (void)state;
    beats_lru("zipf");
}

// Looks at headers and tensors bring nothing up by themselves.
static void small_ranges_move_little(void **state)
{
    (void)state;
    CLEANUP(trace_free_at) struct trace *trace = make("ranges");
    struct sim_result ours = run(trace, &strata_strategy);
    struct sim_result lru = run(trace, &cache_lru);
    assert_true(near(&ours) >= near(&lru));
    assert_true(moved(&ours) <= moved(&lru) / 20);
}

// A model that nobody read before comes up within the hour, not with the next window.
static void crowds_are_served_from_hot(void **state)
{
    (void)state;
    CLEANUP(trace_free_at) struct trace *trace = make("crowd");
    struct sim_result ours = run(trace, &strata_strategy);
    struct sim_result oracle = run(trace, &cache_oracle);
    assert_true((double)ours.read[TIER_HOT] > 0.85 * (double)oracle.read[TIER_HOT]);
}

static void nobody_beats_the_oracle(void **state)
{
    (void)state;
    CLEANUP(trace_free_at) struct trace *trace = make("zipf");
    struct sim_result oracle = run(trace, &cache_oracle);
    static const struct sim_strategy *const others[] = {&strata_strategy, &cache_lru,
                                                        &cache_lfu, &cache_s3fifo};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
        struct sim_result other = run(trace, others[i]);
        assert_true(oracle.read[TIER_HOT] > other.read[TIER_HOT]);
    }
}

static void the_same_seed_gives_the_same(void **state)
{
    (void)state;
    CLEANUP(trace_free_at) struct trace *a = make("mixed");
    CLEANUP(trace_free_at) struct trace *b = make("mixed");
    struct sim_result x = run(a, &strata_strategy), y = run(b, &strata_strategy);
    assert_memory_equal(x.read, y.read, sizeof x.read);
    assert_memory_equal(x.requests, y.requests, sizeof x.requests);
    assert_int_equal(x.up, y.up);
    assert_int_equal(x.down, y.down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scans_do_not_drive_out_what_is_read_daily),
        cmocka_unit_test(what_everybody_reads_comes_up),
        cmocka_unit_test(small_ranges_move_little),
        cmocka_unit_test(crowds_are_served_from_hot),
        cmocka_unit_test(nobody_beats_the_oracle),
        cmocka_unit_test(the_same_seed_gives_the_same),
    };
    return cmocka_run_group_tests_name("tiersim", tests, NULL, NULL);
}
