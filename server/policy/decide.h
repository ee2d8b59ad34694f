// SPDX-License-Identifier: Apache-2.0
// Where one blob belongs, why, and what happens next, from what is known of it: pin
// before explicit move before rule before heat (DESIGN section 6). No database, no
// clock; any thread. docs/TIERING.md says it in words, with the figures behind the
// defaults.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/config.h"
#include "server/policy/heat.h"
#include "storage/tier.h"

struct decide_options {
    struct heat_options heat;
    // It goes up when read in `promote_reads` of the last `promote_windows` windows and
    // worth `promote_heat` whole reads; or in one of them, and worth `promote_burst`.
    int promote_reads, promote_windows;
    double promote_heat, promote_burst;
    // A tier filled to its low mark takes it when it is so many times as hot as the
    // coldest copy there, which has to leave for it in the end.
    double promote_factor;
    // A copy stays this many times as long as it took to write, whatever heat and full
    // tiers say.
    int64_t residence_times;
    int64_t retry_us; // after a move that failed, and of a tier that is away
};
struct decide_options decide_options_of(const struct config *config);

// A tier, as it is now.
struct decide_tier {
    bool is_online;
    bool is_limited;    // false: no end is known, the next four are of no account
    uint64_t used;      // bytes, with those that moves will write
    uint64_t capacity;  // bytes
    uint64_t high, low; // marks, in bytes
    double coldest;     // heat_score of the coldest copy that may leave; NAN: none
    uint64_t rate;      // bytes a second that it takes; 0: not known
};

// What is known of a blob. Texts are borrowed; NULL is "".
struct decide_blob {
    uint64_t size;
    int64_t since_us[TIER_COUNT]; // since when its copy there is ready; 0: none
    int64_t created_us;
    struct heat heat;
    bool is_pinned;
    enum tier pin_tier;   // the fastest of its pins
    int64_t pin_until_us; // when that ends; 0: never
    const char *pin;      // whose, as "prod-models@3"
    bool is_held;         // by an explicit move
    enum tier hold_tier;
    int64_t hold_until_us;
    bool has_rule;
    enum tier rule_tier;    // the hottest that a version of it asks for
    const char *rule;       // its name
    const char *rule_words; // why it fits, as "idle for 30 days"
    // When time alone changes what the rules ask for; 0: never. Then by this rule, on
    // that tier; next_rule "" = no rule.
    int64_t next_rule_us;
    enum tier next_rule_tier;
    const char *next_rule, *next_rule_words;
    // The last move that ended, when it failed or somebody cancelled it; 0: it did not.
    int64_t failed_us;
    enum tier failed_tier;
};

enum decide_cause {
    DECIDE_PIN,
    DECIDE_MOVE, // an explicit move holds it
    DECIDE_RULE,
    DECIDE_HEAT,
    DECIDE_SPACE, // a tier is above its high mark
    DECIDE_DEFAULT,
};
const char *decide_cause_name(enum decide_cause cause);

#define DECIDE_TEXT_SIZE 512
struct decision {
    enum tier tier; // where it should be now; the present one when it is to stay
    enum decide_cause cause;
    bool moves; // a move to `tier` is to begin now
    bool drops; // copies above `tier` go
    // Wanted on `wanted` and not possible now; equal to `tier` otherwise.
    enum tier wanted;
    uint64_t missing; // bytes that `wanted` lacks for a pin or a rule (unsatisfied)
    int64_t next_us;  // when time alone can change all this; 0: it cannot
    char text[DECIDE_TEXT_SIZE]; // why it is where it is, and what happens next
};

// The fastest tier with a ready copy; TIER_COUNT: there is none.
int decide_present(const struct decide_blob *blob);
// What to do with a blob. A blob without a ready copy stays where it is nowhere.
void decide(const struct decide_options *options, const struct decide_blob *blob,
            const struct decide_tier tiers[TIER_COUNT], int64_t now_us,
            struct decision *out);
// Whether its copy on `full`, a tier above its high mark, may go, and where to: the
// next lower tier that has a copy already, or room. Asked of the coldest first, by
// heat_score; `rules_too`: what a rule keeps there as well, when all else is gone.
void decide_space(const struct decide_options *options, const struct decide_blob *blob,
                  const struct decide_tier tiers[TIER_COUNT], enum tier full,
                  bool rules_too, int64_t now_us, struct decision *out);
