// SPDX-License-Identifier: Apache-2.0
#include "server/http/homes.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int processors(void)
{
    cpu_set_t set;
    assert_int_equal(pthread_getaffinity_np(pthread_self(), sizeof set, &set), 0);
    return CPU_COUNT(&set);
}

static void a_thread_stays_and_roams_again(void **state)
{
    (void)state;
    int before = processors();
    struct homes *homes = homes_new();
    int home = homes_stay(homes);
    if (before < 2) {
        assert_int_equal(home, HOME_NONE);
    } else {
        assert_int_not_equal(home, HOME_NONE);
        assert_int_equal(processors(), 1);
    }
    homes_roam(homes, home);
    assert_int_equal(processors(), before);
    homes_free(homes);
}

static void homes_fill_evenly(void **state)
{
    (void)state;
    int count = processors();
    struct homes *homes = homes_new();
    int threads[1024] = {0};
    for (int i = 0; i < 2 * count && count > 1; i++)
        threads[homes_stay(homes)]++;
    for (int i = 0; i < count && count > 1; i++)
        assert_int_equal(threads[i], 2);
    // Where one left is the next to fill.
    if (count > 1) {
        homes_leave(homes, count - 1);
        assert_int_equal(homes_stay(homes), count - 1);
    }
    homes_roam(homes, 0);
    assert_int_equal(processors(), count);
    homes_free(homes);
    homes_free(NULL);
}

static void others_avoid_homes_while_there_is_room(void **state)
{
    (void)state;
    int count = processors();
    struct homes *homes = homes_new();
    cpu_set_t before, at_home, after;
    pthread_getaffinity_np(pthread_self(), sizeof before, &before);
    int home = homes_stay(homes);
    pthread_getaffinity_np(pthread_self(), sizeof at_home, &at_home);
    homes_avoid(homes, true);
    pthread_getaffinity_np(pthread_self(), sizeof after, &after);
    if (count > 1) {
        assert_int_equal(CPU_COUNT(&after), count - 1);
        CPU_AND(&at_home, &at_home, &after);
        assert_int_equal(CPU_COUNT(&at_home), 0);
    }
    homes_avoid(homes, false);
    assert_int_equal(processors(), count);
    homes_leave(homes, home);
    homes_avoid(homes, true);
    assert_int_equal(processors(), count);
    for (int i = 0; i < count; i++)
        homes_stay(homes);
    homes_avoid(homes, true); // somebody stays on each
    assert_int_equal(processors(), count);
    assert_int_equal(pthread_setaffinity_np(pthread_self(), sizeof before, &before), 0);
    homes_free(homes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_stays_and_roams_again),
        cmocka_unit_test(others_avoid_homes_while_there_is_room),
        cmocka_unit_test(homes_fill_evenly),
    };
    return cmocka_run_group_tests_name("homes", tests, NULL, NULL);
}
