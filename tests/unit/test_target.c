// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"
#include "server/http/target.h"

static void splits_path_and_query(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } cases[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a?x=1", "/a", "x=1"},
        {"/a?", "/a", ""},
        {"/a?x=?", "/a", "x=?"},
        {"http://host:1/a?b", "/a", "b"},
        {"HTTPS://host/", "/", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *target = strdup(cases[i].target);
        char *path, *query;
        assert_int_equal(target_split(target, &path, &query, NULL), ERR_NONE);
        assert_string_equal(path, cases[i].path);
        assert_string_equal(query, cases[i].query);
    }
}

static void refuses_other_forms(void **state)
{
    (void)state;
    static const char *const cases[] = {"*", "host:443", "", "a/b", "http://host?x"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO_FREE char *target = strdup(cases[i]);
        char *path, *query;
        assert_int_equal(target_split(target, &path, &query, NULL), ERR_BAD_REQUEST);
    }
}

static void decodes_percent(void **state)
{
    (void)state;
    static const struct {
        const char *text, *plain, *query;
    } cases[] = {
        {"abc", "abc", "abc"},
        {"a%2Fb", "a/b", "a/b"},
        {"a%2fb", "a/b", "a/b"},
        {"a+b", "a+b", "a b"},
        {"%C3%A9", "\xc3\xa9", "\xc3\xa9"},
        {"", "", ""},
        {"%00", NULL, NULL},
        {"%", NULL, NULL},
        {"%4", NULL, NULL},
        {"%zz", NULL, NULL},
        {"%4z", NULL, NULL},
        {"%ff", NULL, NULL},
        {"%C0%AF", NULL, NULL},
        {"%ED%A0%80", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        for (int plus = 0; plus < 2; plus++) {
            const char *expected = plus ? cases[i].query : cases[i].plain;
            AUTO_FREE char *got =
                target_decode(cases[i].text, strlen(cases[i].text), plus);
            if (expected == NULL)
                assert_null(got);
            else
                assert_string_equal(got, expected);
        }
    }
}

static void parses_queries(void **state)
{
    (void)state;
    struct request request = {0};
    struct request_pair pairs[TARGET_QUERY_MAXIMUM];
    size_t count;
    assert_int_equal(target_parse_query(&request, "a=1&&b&c=%26=", pairs, &count, NULL),
                     ERR_NONE);
    assert_int_equal(count, 3);
    assert_string_equal(pairs[0].value, "1");
    assert_string_equal(pairs[1].name, "b");
    assert_string_equal(pairs[1].value, "");
    assert_string_equal(pairs[2].value, "&=");
    static const char *const bad[] = {"a=%", "a=1&a=2", "a=%00",
                                      "a&b&c&d&e&f&g&h&i&j&k&l&m&n&o&p&q"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(target_parse_query(&request, bad[i], pairs, &count, NULL),
                         ERR_BAD_QUERY);
    request_clear(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_path_and_query),
        cmocka_unit_test(refuses_other_forms),
        cmocka_unit_test(decodes_percent),
        cmocka_unit_test(parses_queries),
    };
    return cmocka_run_group_tests_name("target", tests, NULL, NULL);
}
