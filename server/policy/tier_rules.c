// SPDX-License-Identifier: Apache-2.0
#include "server/policy/tier_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/config.h"
#include "common/fields.h"

#define DURATION_MAXIMUM_MS (36500LL * 86400 * 1000)
#define US_OF_MS 1000

static void patterns_clear(struct rule_patterns *patterns)
{
    for (size_t i = 0; i < patterns->count; i++)
        free(patterns->patterns[i]);
    free(patterns->patterns);
}

void tier_rules_free(struct tier_rules *rules)
{
    if (rules == NULL)
        return;
    for (size_t i = 0; i < rules->count; i++) {
        struct tier_rule *rule = &rules->rules[i];
        patterns_clear(&rule->alias);
        patterns_clear(&rule->space);
        patterns_clear(&rule->model);
        patterns_clear(&rule->tag);
    }
    free(rules->rules);
    free(rules);
}

// ---- patterns -------------------------------------------------------------------

typedef bool pattern_check_fn(const char *pattern);

static bool is_name_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           c == '.' || c == '_' || c == '-';
}

// Whether some name can fit it, with at most `slashes` of `/`.
static bool could_be_name(const char *pattern, int slashes)
{
    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '/' && slashes-- > 0)
            continue;
        if (!is_name_byte(*c) && *c != '*' && *c != '?')
            return false;
    }
    return true;
}

static bool check_space(const char *pattern)
{
    return could_be_name(pattern, 0);
}

static bool check_model(const char *pattern)
{
    return could_be_name(pattern, 1);
}

static bool check_alias(const char *pattern)
{
    return could_be_name(pattern, 0) && strcmp(pattern, "latest") != 0;
}

static bool check_tag(const char *pattern)
{
    for (const char *c = pattern; *c != '\0'; c++) {
        if (*c == '\\' && *++c == '\0')
            return false;
    }
    return *pattern != '=';
}

static void add_pattern(struct fields *f, const char *key, const char *text,
                        pattern_check_fn *check, struct rule_patterns *patterns)
{
    if (*text == '\0')
        fields_fail(f, ERR_INVALID_FIELD, key, "this is empty");
    else if (strlen(text) > RULE_PATTERN_MAXIMUM)
        fields_fail(f, ERR_INVALID_FIELD, key, "this is longer than %d bytes",
                    RULE_PATTERN_MAXIMUM);
    else if (!check(text))
        fields_fail(f, ERR_INVALID_FIELD, key, "nothing can fit this pattern");
    else
        patterns->patterns[patterns->count++] = alloc_copy(text);
}

static void read_list(struct fields *f, const char *key, pattern_check_fn *check,
                      struct rule_patterns *patterns)
{
    const json_t *list = fields_array(f, key, FIELD_REQUIRED, RULE_PATTERNS_MAXIMUM);
    if (list == NULL)
        return;
    size_t count = json_array_size(list);
    if (count == 0)
        fields_fail(f, ERR_INVALID_FIELD, key, "this list is empty");
    patterns->patterns = alloc_array(count + 1, sizeof *patterns->patterns);
    for (size_t i = 0; f->err == ERR_NONE && i < count; i++) {
        char item[32];
        snprintf(item, sizeof item, "%s[%zu]", key, i);
        const char *text = json_string_value(json_array_get(list, i));
        if (text == NULL)
            fields_fail(f, ERR_INVALID_FIELD, item, "this must be a string");
        else
            add_pattern(f, item, text, check, patterns);
    }
}

// A pattern or a list of them.
static void read_patterns(struct fields *f, const char *key, pattern_check_fn *check,
                          struct rule_patterns *patterns)
{
    if (!fields_has(f, key))
        return;
    if (json_is_array(json_object_get(f->object, key))) {
        read_list(f, key, check, patterns);
        return;
    }
    const char *text = fields_text(f, key, FIELD_REQUIRED, RULE_PATTERN_MAXIMUM);
    if (text == NULL)
        return;
    patterns->patterns = alloc_array(1, sizeof *patterns->patterns);
    add_pattern(f, key, text, check, patterns);
}

// ---- other conditions -----------------------------------------------------------

// Microseconds, -1 when it is not there.
static int64_t read_duration(struct fields *f, const char *key)
{
    const char *text = fields_text(f, key, FIELD_OPTIONAL, 32);
    int64_t ms = 0;
    if (text == NULL)
        return -1;
    if (config_parse_duration(text, &ms) && ms >= 0 && ms <= DURATION_MAXIMUM_MS)
        return ms * US_OF_MS;
    fields_fail(f, ERR_INVALID_FIELD, key,
                "this must be a duration such as 12h or 30d, 36500d at most");
    return -1;
}

// `10G`, or a number of bytes.
static void read_size(struct fields *f, const char *key, struct tier_rule *rule)
{
    rule->asks_size = fields_has(f, key);
    if (!rule->asks_size)
        return;
    if (json_is_integer(json_object_get(f->object, key))) {
        rule->larger_than =
            (uint64_t)fields_int(f, key, FIELD_REQUIRED, 0, INT64_MAX, 0);
        return;
    }
    const char *text = fields_text(f, key, FIELD_REQUIRED, 32);
    if (text != NULL &&
        (!config_parse_size(text, &rule->larger_than) || rule->larger_than > INT64_MAX))
        fields_fail(f, ERR_INVALID_FIELD, key,
                    "this must be a size such as 10G, or bytes");
}

static enum err read_when(const json_t *json, const char *prefix,
                          struct tier_rule *rule, struct error *e)
{
    struct fields f;
    fields_begin(&f, json, prefix, e);
    read_patterns(&f, "alias", check_alias, &rule->alias);
    read_patterns(&f, "namespace", check_space, &rule->space);
    read_patterns(&f, "model", check_model, &rule->model);
    read_patterns(&f, "tag", check_tag, &rule->tag);
    rule->idle_us = read_duration(&f, "idle_longer_than");
    rule->older_us = read_duration(&f, "older_than");
    read_size(&f, "larger_than", rule);
    if (fields_has(&f, "has_children"))
        rule->has_children =
            fields_bool(&f, "has_children", false) ? RULE_YES : RULE_NO;
    rule->newest_n =
        fields_int(&f, "newest_n", FIELD_OPTIONAL, 1, RULE_NEWEST_MAXIMUM, 0);
    return fields_end(&f);
}

// ---- rules ----------------------------------------------------------------------

// What a placement's `rule` says when no rule put it there.
static bool is_reserved(const char *name)
{
    static const char *const names[] = {"pin",     "move",     "heat",
                                        "default", "prefetch", "rule",
                                        "space",   "protect",  "heal"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool is_taken(const struct tier_rules *rules, const char *name)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (strcmp(rules->rules[i].name, name) == 0)
            return true;
    }
    return false;
}

static void read_name(struct fields *f, const struct tier_rules *rules,
                      struct tier_rule *rule)
{
    const char *name = fields_text(f, "name", FIELD_REQUIRED, NAME_MAXIMUM);
    if (name == NULL)
        return;
    if (!name_is_valid(name))
        fields_fail(f, ERR_INVALID_NAME, "name", "\"%s\" is no name", name);
    else if (is_reserved(name))
        fields_fail(f, ERR_INVALID_FIELD, "name",
                    "\"%s\" means something else where placements name their rule",
                    name);
    else if (is_taken(rules, name))
        fields_fail(f, ERR_INVALID_FIELD, "name", "another rule is called \"%s\"",
                    name);
    else
        snprintf(rule->name, sizeof rule->name, "%s", name);
}

static void read_tier(struct fields *f, struct tier_rule *rule)
{
    const char *tier = fields_text(f, "tier", FIELD_REQUIRED, 16);
    if (tier != NULL && !tier_parse(tier, &rule->tier))
        fields_fail(f, ERR_INVALID_FIELD, "tier", "this must be hot, warm or cold");
}

static enum err read_rule(const json_t *json, struct tier_rules *rules, size_t index,
                          struct error *e)
{
    struct tier_rule *rule = &rules->rules[index];
    char prefix[32], when_prefix[48];
    snprintf(prefix, sizeof prefix, "rules[%zu].", index);
    snprintf(when_prefix, sizeof when_prefix, "%swhen.", prefix);
    *rule = (struct tier_rule){.idle_us = -1, .older_us = -1};
    struct fields f;
    fields_begin(&f, json, prefix, e);
    read_name(&f, rules, rule);
    read_tier(&f, rule);
    const json_t *when = fields_object(&f, "when", FIELD_OPTIONAL, 32);
    enum err err = fields_end(&f);
    // Counted before its patterns are read, so that they are freed.
    rules->count++;
    return err != ERR_NONE || when == NULL ? err
                                           : read_when(when, when_prefix, rule, e);
}

static void note_limits(struct tier_rules *rules)
{
    rules->idle_min_us = -1;
    for (size_t i = 0; i < rules->count; i++) {
        const struct tier_rule *rule = &rules->rules[i];
        if (rule->newest_n > rules->newest_max)
            rules->newest_max = rule->newest_n;
        if (rule->idle_us >= 0 &&
            (rules->idle_min_us < 0 || rule->idle_us < rules->idle_min_us))
            rules->idle_min_us = rule->idle_us;
    }
}

enum err tier_rules_parse(const json_t *json, struct tier_rules **out, struct error *e)
{
    CLEANUP(tier_rules_free_at) struct tier_rules *rules = alloc_zero(sizeof *rules);
    struct fields f;
    fields_begin(&f, json, "", e);
    const json_t *list = fields_array(&f, "rules", FIELD_REQUIRED, TIER_RULES_MAXIMUM);
    enum err err = fields_end(&f);
    if (err != ERR_NONE)
        return err;
    size_t count = json_array_size(list);
    rules->rules = alloc_array(count + 1, sizeof *rules->rules);
    for (size_t i = 0; err == ERR_NONE && i < count; i++)
        err = read_rule(json_array_get(list, i), rules, i, e);
    note_limits(rules);
    if (err == ERR_NONE)
        *out = steal_ptr(rules);
    return err;
}
