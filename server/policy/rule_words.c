// SPDX-License-Identifier: Apache-2.0
#include <inttypes.h>

#include "server/policy/tier_rules.h"

static void begin(struct buf *words)
{
    if (words->size > 0)
        buf_puts(words, ", ");
}

static void say_patterns(struct buf *words, const char *what,
                         const struct rule_patterns *patterns)
{
    if (patterns->count == 0)
        return;
    begin(words);
    buf_printf(words, "%s %s", what, patterns->patterns[0]);
    if (patterns->count > 1)
        buf_printf(words, " or %zu others", patterns->count - 1);
}

static void say_time(struct buf *words, const char *what, int64_t us)
{
    static const struct {
        int64_t us;
        const char *name;
    } units[] = {{86400 * INT64_C(1000000), "days"},
                 {3600 * INT64_C(1000000), "hours"},
                 {60 * INT64_C(1000000), "minutes"},
                 {1000000, "seconds"}};
    size_t unit = 0;
    if (us < 0)
        return;
    while (unit < 3 && (us == 0 || us % units[unit].us != 0))
        unit++;
    begin(words);
    buf_printf(words, "%s %" PRId64 " %s", what, us / units[unit].us, units[unit].name);
}

void tier_rule_words(const struct tier_rule *rule, struct buf *words)
{
    say_patterns(words, "alias", &rule->alias);
    say_patterns(words, "namespace", &rule->space);
    say_patterns(words, "model", &rule->model);
    say_patterns(words, "tag", &rule->tag);
    say_time(words, "idle for", rule->idle_us);
    say_time(words, "older than", rule->older_us);
    if (rule->asks_size) {
        begin(words);
        buf_printf(words, "larger than %" PRIu64 " bytes", rule->larger_than);
    }
    if (rule->has_children != RULE_ANY) {
        begin(words);
        buf_puts(words,
                 rule->has_children == RULE_YES ? "has children" : "has no children");
    }
    if (rule->newest_n > 0) {
        begin(words);
        buf_printf(words, "among the newest %" PRId64, rule->newest_n);
    }
    if (words->size == 0)
        buf_puts(words, "every version");
}
