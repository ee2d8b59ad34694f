// SPDX-License-Identifier: Apache-2.0
// Tier rules, and what they say of a version. Input: the JSON.
// Parser: server/policy/tier_rules.c
// Parser: server/policy/rule_match.c
// Options: -max_len=512
#include "common/cleanup.h"
#include "common/json_text.h"
#include "server/http/json_body.h"
#include "server/policy/tier_rules.h"
#include "tests/fuzz/fuzz.h"

#define DAY_US (86400 * INT64_C(1000000))
#define NOW_US (20000 * DAY_US)

static const char *const aliases[] = {"prod", "a-eu"};
static const struct version_tag tags[] = {{"team", "a"}, {"k=v", "*"}};

static void check_match(const struct tier_rules *rules, struct version_facts facts)
{
    struct rule_match match = tier_rules_match(rules, &facts, NOW_US);
    REQUIRE(match.next_us == 0 || match.next_us > NOW_US);
    REQUIRE(match.newest == 0 || match.newest >= facts.rank);
    if (match.rule != NULL)
        REQUIRE(match.rule >= rules->rules && match.rule < rules->rules + rules->count);
    REQUIRE(!match.is_idle || match.rule != NULL);
    if (match.next_us == 0)
        return;
    // Nothing changes before, and then something does.
    struct rule_match before = tier_rules_match(rules, &facts, match.next_us - 1);
    struct rule_match then = tier_rules_match(rules, &facts, match.next_us);
    REQUIRE(before.rule == match.rule && before.next_us == match.next_us);
    REQUIRE(then.rule != match.rule && then.rule != NULL);
}

static void check_rules(const struct tier_rules *rules)
{
    REQUIRE(rules->count <= TIER_RULES_MAXIMUM);
    for (size_t i = 0; i < rules->count; i++) {
        REQUIRE(name_is_valid(rules->rules[i].name));
        for (size_t j = 0; j < i; j++)
            REQUIRE(strcmp(rules->rules[i].name, rules->rules[j].name) != 0);
    }
    check_match(rules, (struct version_facts){.model = "a/b", .rank = 1});
    check_match(rules, (struct version_facts){.model = "team/bert",
                                              .aliases = aliases,
                                              .aliases_count = 2,
                                              .tags = tags,
                                              .tags_count = 2,
                                              .created_us = NOW_US - 9 * DAY_US,
                                              .read_us = NOW_US - DAY_US,
                                              .size = 1 << 20,
                                              .has_children = true,
                                              .rank = 3});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    AUTO_JSON json_t *json = NULL;
    CLEANUP(tier_rules_free_at) struct tier_rules *rules = NULL;
    struct error e = {0};
    if (json_body_parse((const char *)data, length, &json, &e) != ERR_NONE)
        return 0;
    enum err err = tier_rules_parse(json, &rules, &e);
    REQUIRE((err == ERR_NONE) == (rules != NULL));
    if (err == ERR_NONE)
        check_rules(rules);
    else
        REQUIRE(error_status(err) == 422 && e.detail[0] != '\0');
    return 0;
}
