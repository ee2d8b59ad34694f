// SPDX-License-Identifier: Apache-2.0
// Tier rules as data: parsed, checked, and matched against what is known of a version.
// No database. Parsed rules never change: any thread.
//
// `alias`, `namespace`, `model` and `tag` take a pattern or a list of patterns, of
// which one must fit: `*` any characters, `?` one, `\` before either takes it as it is.
// Namespaces and models are compared without regard to case, as their names are
// unique. A `model` with a `/` is compared with `namespace/name`, else with the name. A
// `tag` is `key` (any value) or `key=value`. All conditions of a rule must hold; a rule
// without conditions fits every version.
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/names.h"
#include "storage/tier.h"

#define TIER_RULES_MAXIMUM 100    // rules
#define RULE_PATTERNS_MAXIMUM 100 // patterns of one condition
#define RULE_PATTERN_MAXIMUM 512  // bytes of one
#define RULE_NEWEST_MAXIMUM 1000  // newest_n

struct rule_patterns {
    char **patterns;
    size_t count; // 0: not asked
};

enum rule_flag { RULE_ANY, RULE_YES, RULE_NO };

struct tier_rule {
    char name[NAME_SIZE];
    enum tier tier;
    struct rule_patterns alias, space, model, tag; // `space`: the namespace
    int64_t idle_us, older_us;                     // -1: not asked
    bool asks_size;
    uint64_t larger_than; // bytes of the version
    enum rule_flag has_children;
    int64_t newest_n; // 0: not asked
};

struct tier_rules {
    int64_t version; // of the stored row; 0: none was ever put
    size_t count;
    struct tier_rule *rules;
    int64_t newest_max;  // largest newest_n, 0: none
    int64_t idle_min_us; // smallest idle_longer_than, -1: none
};

// {"rules":[{"name","when":{…},"tier"}]}. ERR_UNKNOWN_FIELD and ERR_INVALID_FIELD name
// the field (`rules[3].when.tag`). Names are unique and none of those that the
// interface uses for other causes (`pin`, `move`, `heat`, `default`…).
enum err tier_rules_parse(const json_t *json, struct tier_rules **rules,
                          struct error *e) MUST_CHECK;
void tier_rules_free(struct tier_rules *rules); // NULL is allowed
static inline void tier_rules_free_at(struct tier_rules **rules)
{
    tier_rules_free(*rules);
}

struct version_tag {
    const char *key, *value;
};

// What a rule may ask of a version. Borrowed texts.
struct version_facts {
    int64_t id, model_id;
    const char *model; // namespace/name
    const char *const *aliases;
    size_t aliases_count;
    const struct version_tag *tags;
    size_t tags_count;
    int64_t created_us;
    int64_t read_us; // last read of a file of at least 1 % of its bytes; 0: never
    uint64_t size;
    bool has_children; // live ones
    int64_t rank;      // 1: the newest of its model; 0: beyond newest_max, or yanked
};

struct rule_match {
    const struct tier_rule *rule; // the first that fits, or NULL
    int64_t next_us;              // when time alone can change that; 0: it cannot
    bool is_idle;   // a read can change that: idle_longer_than holds in a rule
                    // that was looked at
    int64_t newest; // smallest newest_n that its rank is within, 0: none
};

struct rule_match tier_rules_match(const struct tier_rules *rules,
                                   const struct version_facts *facts, int64_t now_us);
// Appends its conditions, as "alias prod, idle for 30 days".
void tier_rule_words(const struct tier_rule *rule, struct buf *words);
bool rule_pattern_fits(const char *pattern, const char *text, bool fold_case);
