// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "server/policy/tier_rules.h"

// ---- patterns -------------------------------------------------------------------

static char fold(char c, bool fold_case)
{
    return fold_case && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

// The first byte of the character after this one.
static const char *next_character(const char *text)
{
    do
        text++;
    while (((unsigned char)*text & 0xc0) == 0x80);
    return text;
}

// Takes one piece of the pattern that is no `*`; NULL when the text does not fit.
static const char *take_one(const char **pattern, const char *end, const char *text,
                            bool fold_case)
{
    const char *p = *pattern;
    if (p == end || *text == '\0')
        return NULL;
    if (*p == '?') {
        *pattern = p + 1;
        return next_character(text);
    }
    if (*p == '\\' && p + 1 < end)
        p++;
    if (fold(*p, fold_case) != fold(*text, fold_case))
        return NULL;
    *pattern = p + 1;
    return text + 1;
}

// Goes back to the last `*` alone: time is the product of the lengths at most.
static bool fits(const char *pattern, const char *end, const char *text, bool fold_case)
{
    const char *star = NULL, *star_text = NULL;
    for (;;) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            star_text = text;
            continue;
        }
        if (pattern == end && *text == '\0')
            return true;
        const char *after = take_one(&pattern, end, text, fold_case);
        if (after != NULL) {
            text = after;
            continue;
        }
        if (star == NULL || *star_text == '\0')
            return false;
        pattern = star;
        text = star_text = next_character(star_text);
    }
}

bool rule_pattern_fits(const char *pattern, const char *text, bool fold_case)
{
    return fits(pattern, pattern + strlen(pattern), text, fold_case);
}

// Where the value's pattern begins, or NULL: any value.
static const char *find_equals(const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern == '\\' && pattern[1] != '\0')
            pattern++;
        else if (*pattern == '=')
            return pattern;
    }
    return NULL;
}

static bool tag_fits(const char *pattern, const struct version_tag *tag)
{
    const char *equals = find_equals(pattern);
    if (equals == NULL)
        return rule_pattern_fits(pattern, tag->key, false);
    return fits(pattern, equals, tag->key, false) &&
           rule_pattern_fits(equals + 1, tag->value, false);
}

// ---- conditions -----------------------------------------------------------------

static bool any_fits(const struct rule_patterns *patterns, const char *text,
                     bool fold_case)
{
    for (size_t i = 0; i < patterns->count; i++) {
        if (rule_pattern_fits(patterns->patterns[i], text, fold_case))
            return true;
    }
    return false;
}

static bool alias_holds(const struct tier_rule *rule, const struct version_facts *facts)
{
    for (size_t i = 0; i < facts->aliases_count; i++) {
        if (any_fits(&rule->alias, facts->aliases[i], false))
            return true;
    }
    return rule->alias.count == 0;
}

static bool tag_holds(const struct tier_rule *rule, const struct version_facts *facts)
{
    for (size_t i = 0; i < rule->tag.count; i++) {
        for (size_t j = 0; j < facts->tags_count; j++) {
            if (tag_fits(rule->tag.patterns[i], &facts->tags[j]))
                return true;
        }
    }
    return rule->tag.count == 0;
}

static bool space_holds(const struct tier_rule *rule, const char *model,
                        const char *slash)
{
    if (rule->space.count == 0)
        return true;
    char space[NAME_SIZE] = "";
    memcpy(space, model,
           (size_t)(slash - model) < NAME_SIZE ? (size_t)(slash - model)
                                               : NAME_SIZE - 1);
    return any_fits(&rule->space, space, true);
}

static bool model_holds(const struct tier_rule *rule, const char *model,
                        const char *slash)
{
    for (size_t i = 0; i < rule->model.count; i++) {
        const char *pattern = rule->model.patterns[i];
        const char *pattern_slash = strchr(pattern, '/');
        if (pattern_slash == NULL) {
            if (rule_pattern_fits(pattern, slash + 1, true))
                return true;
            continue;
        }
        // `*` stays on its side of the slash.
        char space[NAME_SIZE] = "";
        size_t size = (size_t)(slash - model);
        memcpy(space, model, size < NAME_SIZE ? size : NAME_SIZE - 1);
        if (fits(pattern, pattern_slash, space, true) &&
            rule_pattern_fits(pattern_slash + 1, slash + 1, true))
            return true;
    }
    return rule->model.count == 0;
}

static bool names_hold(const struct tier_rule *rule, const struct version_facts *facts)
{
    const char *slash = strchr(facts->model, '/');
    if (slash == NULL)
        return false;
    return space_holds(rule, facts->model, slash) &&
           model_holds(rule, facts->model, slash);
}

// All but those of time.
static bool holds(const struct tier_rule *rule, const struct version_facts *facts)
{
    if (rule->asks_size && facts->size <= rule->larger_than)
        return false;
    if (rule->has_children != RULE_ANY &&
        facts->has_children != (rule->has_children == RULE_YES))
        return false;
    if (rule->newest_n > 0 && (facts->rank == 0 || facts->rank > rule->newest_n))
        return false;
    return names_hold(rule, facts) && alias_holds(rule, facts) &&
           tag_holds(rule, facts);
}

// From when on those of time hold, unless somebody reads the version; 0: always.
static int64_t holds_from(const struct tier_rule *rule,
                          const struct version_facts *facts)
{
    int64_t from = 0;
    int64_t used_us =
        facts->read_us > facts->created_us ? facts->read_us : facts->created_us;
    if (rule->idle_us >= 0)
        from = used_us + rule->idle_us;
    if (rule->older_us >= 0 && facts->created_us + rule->older_us > from)
        from = facts->created_us + rule->older_us;
    return from;
}

static int64_t newest_class(const struct tier_rules *rules, int64_t rank)
{
    int64_t class = 0;
    for (size_t i = 0; rank > 0 && i < rules->count; i++) {
        int64_t n = rules->rules[i].newest_n;
        if (n >= rank && (class == 0 || n < class))
            class = n;
    }
    return class;
}

struct rule_match tier_rules_match(const struct tier_rules *rules,
                                   const struct version_facts *facts, int64_t now_us)
{
    struct rule_match match = {.newest = newest_class(rules, facts->rank)};
    for (size_t i = 0; match.rule == NULL && i < rules->count; i++) {
        const struct tier_rule *rule = &rules->rules[i];
        if (!holds(rule, facts))
            continue;
        int64_t from = holds_from(rule, facts);
        if (from <= now_us) {
            match.rule = rule;
            match.is_idle = rule->idle_us >= 0;
        } else if (match.next_us == 0 || from < match.next_us) {
            match.next_us = from;
        }
    }
    return match;
}
