// SPDX-License-Identifier: Apache-2.0
#include "server/policy/tier_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/cleanup.h"

#define DAY_US (86400 * 1000000LL)
#define NOW_US (1000 * DAY_US)

#define RULES(...) "{\"rules\":[" __VA_ARGS__ "]}"
#define RULE(name, when, tier)                                                         \
    "{\"name\":\"" name "\",\"when\":{" when "},\"tier\":\"" tier "\"}"

static struct tier_rules *parse(const char *text)
{
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    struct tier_rules *rules = NULL;
    struct error e = {0};
    enum err err = tier_rules_parse(json, &rules, &e);
    if (err != ERR_NONE)
        print_message("%s: %s\n", e.field, e.detail);
    assert_int_equal(err, ERR_NONE);
    return rules;
}

static void refuses(const char *text, enum err expected, const char *field)
{
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    struct tier_rules *rules = NULL;
    struct error e = {0};
    assert_int_equal(tier_rules_parse(json, &rules, &e), expected);
    assert_string_equal(e.field, field);
    assert_null(rules);
    error_clear(&e);
}

static void wrong_fields_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
        const char *field;
    } table[] = {
        {"{}", ERR_INVALID_FIELD, "rules"},
        {"[]", ERR_INVALID_FIELD, ""},
        {"{\"rules\":[],\"x\":1}", ERR_UNKNOWN_FIELD, "x"},
        {RULES("7"), ERR_INVALID_FIELD, "rules[0]"},
        {RULES("{\"tier\":\"hot\"}"), ERR_INVALID_FIELD, "rules[0].name"},
        {RULES("{\"name\":\"a\"}"), ERR_INVALID_FIELD, "rules[0].tier"},
        {RULES(RULE("a", "", "hot") "," RULE("b", "", "ice")), ERR_INVALID_FIELD,
         "rules[1].tier"},
        {RULES(RULE("a b", "", "hot")), ERR_INVALID_NAME, "rules[0].name"},
        {RULES(RULE("pin", "", "hot")), ERR_INVALID_FIELD, "rules[0].name"},
        {RULES(RULE("default", "", "hot")), ERR_INVALID_FIELD, "rules[0].name"},
        {RULES(RULE("a", "", "hot") "," RULE("a", "", "hot")), ERR_INVALID_FIELD,
         "rules[1].name"},
        {RULES("{\"name\":\"a\",\"tier\":\"hot\",\"then\":1}"), ERR_UNKNOWN_FIELD,
         "rules[0].then"},
        {RULES("{\"name\":\"a\",\"tier\":\"hot\",\"when\":[]}"), ERR_INVALID_FIELD,
         "rules[0].when"},
        {RULES(RULE("a", "\"colour\":1", "hot")), ERR_UNKNOWN_FIELD,
         "rules[0].when.colour"},
        {RULES(RULE("a", "\"alias\":\"\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.alias"},
        {RULES(RULE("a", "\"alias\":\"latest\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.alias"},
        {RULES(RULE("a", "\"alias\":[\"b\",\"c/d\"]", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.alias[1]"},
        {RULES(RULE("a", "\"alias\":[]", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.alias"},
        {RULES(RULE("a", "\"alias\":[7]", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.alias[0]"},
        {RULES(RULE("a", "\"alias\":null", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.alias"},
        {RULES(RULE("a", "\"namespace\":\"a/b\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.namespace"},
        {RULES(RULE("a", "\"model\":\"a/b/c\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.model"},
        {RULES(RULE("a", "\"tag\":\"a\\\\\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.tag"},
        {RULES(RULE("a", "\"tag\":\"=x\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.tag"},
        {RULES(RULE("a", "\"idle_longer_than\":\"30 days\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.idle_longer_than"},
        {RULES(RULE("a", "\"older_than\":30", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.older_than"},
        {RULES(RULE("a", "\"older_than\":\"36501d\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.older_than"},
        {RULES(RULE("a", "\"larger_than\":\"big\"", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.larger_than"},
        {RULES(RULE("a", "\"larger_than\":-1", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.larger_than"},
        {RULES(RULE("a", "\"has_children\":1", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.has_children"},
        {RULES(RULE("a", "\"newest_n\":0", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.newest_n"},
        {RULES(RULE("a", "\"newest_n\":1001", "hot")), ERR_INVALID_FIELD,
         "rules[0].when.newest_n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        refuses(table[i].text, table[i].err, table[i].field);
}

static void there_is_a_bound(void **state)
{
    (void)state;
    AUTO_JSON json_t *list = json_array();
    for (int i = 0; i <= TIER_RULES_MAXIMUM; i++)
        json_array_append_new(list, json_pack("{s:o, s:s}", "name",
                                              json_sprintf("r%d", i), "tier", "hot"));
    AUTO_JSON json_t *json = json_pack("{s:O}", "rules", list);
    struct tier_rules *rules = NULL;
    struct error e = {0};
    assert_int_equal(tier_rules_parse(json, &rules, &e), ERR_INVALID_FIELD);
    assert_string_equal(e.field, "rules");
    json_array_remove(list, 0);
    assert_int_equal(tier_rules_parse(json, &rules, &e), ERR_NONE);
    assert_int_equal(rules->count, TIER_RULES_MAXIMUM);
    tier_rules_free(rules);
}

static void patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool fold, fits;
    } table[] = {
        {"prod", "prod", false, true},
        {"prod", "Prod", false, false},
        {"prod", "PROD", true, true},
        {"prod", "prod2", false, false},
        {"prod*", "prod-eu", false, true},
        {"*-eu", "prod-eu", false, true},
        {"*", "", false, true},
        {"?", "", false, false},
        {"a*b*c", "a-b-b-c", false, true},
        {"a*b*c", "a-b-b", false, false},
        {"**a", "bba", false, true},
        {"v?", "v1", false, true},
        {"v?", "v12", false, false},
        {"?", "\xc3\xa9", false, true},
        {"??", "\xc3\xa9", false, false},
        {"\\*", "*", false, true},
        {"\\*", "x", false, false},
        {"*ab", "aab", false, true},
        {"*\xa9", "\xc3\xa9", false, false},
        {"", "", false, true},
        {"", "a", false, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (rule_pattern_fits(table[i].pattern, table[i].text, table[i].fold) !=
            table[i].fits)
            fail_msg("%s on %s", table[i].pattern, table[i].text);
    }
}

static const struct version_facts *plain(void)
{
    static const char *const aliases[] = {"prod", "v1-eu"};
    static const struct version_tag tags[] = {{"team", "vision"}, {"a=b", "c*"}};
    static const struct version_facts facts = {
        .id = 1,
        .model_id = 1,
        .model = "Team/bert-base",
        .aliases = aliases,
        .aliases_count = ARRAY_SIZE(aliases),
        .tags = tags,
        .tags_count = ARRAY_SIZE(tags),
        .created_us = NOW_US - 40 * DAY_US,
        .read_us = NOW_US - 10 * DAY_US,
        .size = 10240,
        .has_children = true,
        .rank = 3,
    };
    return &facts;
}

static void each_condition(void **state)
{
    (void)state;
    static const struct {
        const char *when;
        bool fits;
    } table[] = {
        {"", true},
        {"\"alias\":\"prod\"", true},
        {"\"alias\":\"staging\"", false},
        {"\"alias\":[\"staging\",\"v?-*\"]", true},
        {"\"namespace\":\"team\"", true},
        {"\"namespace\":\"t\"", false},
        {"\"model\":\"bert-*\"", true},
        {"\"model\":\"team/*\"", true},
        {"\"model\":\"*/bert\"", false},
        {"\"model\":\"t*-base\"", false},
        {"\"model\":\"*m/BERT-base\"", true},
        {"\"tag\":\"team\"", true},
        {"\"tag\":\"team=vision\"", true},
        {"\"tag\":\"team=Vision\"", false},
        {"\"tag\":\"te?m=v*\"", true},
        {"\"tag\":\"a\\\\=b\"", true},
        {"\"tag\":\"a=b\"", false},
        {"\"tag\":\"a\\\\=b=c\\\\*\"", true},
        {"\"tag\":\"owner\"", false},
        {"\"larger_than\":\"9K\"", true},
        {"\"larger_than\":\"10K\"", false},
        {"\"larger_than\":10239", true},
        {"\"has_children\":true", true},
        {"\"has_children\":false", false},
        {"\"newest_n\":3", true},
        {"\"newest_n\":2", false},
        {"\"older_than\":\"39d\"", true},
        {"\"older_than\":\"41d\"", false},
        {"\"idle_longer_than\":\"9d\"", true},
        {"\"idle_longer_than\":\"11d\"", false},
        {"\"alias\":\"prod\",\"has_children\":false", false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "{\"rules\":[{\"name\":\"a\",\"when\":{%s},\"tier\":\"cold\"}]}",
                 table[i].when);
        CLEANUP(tier_rules_free_at) struct tier_rules *rules = parse(text);
        struct rule_match match = tier_rules_match(rules, plain(), NOW_US);
        if ((match.rule != NULL) != table[i].fits)
            fail_msg("%s", table[i].when);
    }
}

static void the_first_that_fits_wins(void **state)
{
    (void)state;
    CLEANUP(tier_rules_free_at)
    struct tier_rules *rules =
        parse(RULES(RULE("never", "\"alias\":\"x\"", "cold") "," RULE(
            "old", "\"older_than\":\"50d\"",
            "cold") "," RULE("prod", "\"alias\":\"prod\"",
                             "hot") "," RULE("rest", "\"older_than\":\"45d\"",
                                             "warm")));
    struct rule_match match = tier_rules_match(rules, plain(), NOW_US);
    assert_string_equal(match.rule->name, "prod");
    assert_int_equal(match.rule->tier, TIER_HOT);
    // Time alone changes it when the rule above begins to hold; the one below cannot.
    assert_int_equal(match.next_us, NOW_US + 10 * DAY_US);
    match = tier_rules_match(rules, plain(), NOW_US + 10 * DAY_US);
    assert_string_equal(match.rule->name, "old");
    assert_int_equal(match.next_us, 0);
    assert_false(match.is_idle);
}

static void a_read_puts_idleness_off(void **state)
{
    (void)state;
    CLEANUP(tier_rules_free_at)
    struct tier_rules *rules =
        parse(RULES(RULE("idle", "\"idle_longer_than\":\"30d\"", "cold")));
    assert_int_equal(rules->idle_min_us, 30 * DAY_US);
    struct version_facts facts = *plain();
    struct rule_match match = tier_rules_match(rules, &facts, NOW_US);
    assert_null(match.rule);
    assert_int_equal(match.next_us, NOW_US + 20 * DAY_US);
    facts.read_us = 0; // never: since it was published
    match = tier_rules_match(rules, &facts, NOW_US);
    assert_non_null(match.rule);
    assert_true(match.is_idle);
    facts.read_us = facts.created_us - DAY_US; // its blob is older than it
    match = tier_rules_match(rules, &facts, facts.created_us);
    assert_int_equal(match.next_us, facts.created_us + 30 * DAY_US);
}

static void the_newest(void **state)
{
    (void)state;
    CLEANUP(tier_rules_free_at)
    struct tier_rules *rules = parse(RULES(RULE("a", "\"newest_n\":5", "hot") "," RULE(
        "b", "\"newest_n\":2", "hot") "," RULE("c", "\"newest_n\":9", "warm")));
    assert_int_equal(rules->newest_max, 9);
    static const struct {
        int64_t rank, newest;
        const char *rule;
    } table[] = {{1, 2, "a"}, {2, 2, "a"}, {3, 5, "a"},
                 {5, 5, "a"}, {6, 9, "c"}, {0, 0, NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        struct version_facts facts = *plain();
        facts.rank = table[i].rank;
        struct rule_match match = tier_rules_match(rules, &facts, NOW_US);
        assert_int_equal(match.newest, table[i].newest);
        assert_int_equal(match.rule != NULL, table[i].rule != NULL);
        if (match.rule != NULL)
            assert_string_equal(match.rule->name, table[i].rule);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_fields_are_named),
        cmocka_unit_test(there_is_a_bound),
        cmocka_unit_test(patterns),
        cmocka_unit_test(each_condition),
        cmocka_unit_test(the_first_that_fits_wins),
        cmocka_unit_test(a_read_puts_idleness_off),
        cmocka_unit_test(the_newest),
    };
    return cmocka_run_group_tests_name("tier_rules", tests, NULL, NULL);
}
