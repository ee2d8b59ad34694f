// SPDX-License-Identifier: Apache-2.0
#include "server/policy/decide.h"

#include <math.h>

#include "server/policy/decide_parts.h"

#define RETRY_US (3600 * INT64_C(1000000))

struct decide_options decide_options_of(const struct config *config)
{
    return (struct decide_options){
        .heat = {.half_life_us = config->heat_half_life_ms * 1000,
                 .window_us = config->heat_window_ms * 1000},
        .promote_reads = (int)config->promote_reads,
        .promote_windows = (int)config->promote_windows,
        .promote_heat = (double)config->promote_heat / 100,
        .promote_burst = (double)config->promote_burst / 100,
        .promote_factor = (double)config->promote_factor,
        .residence_times = config->residence_factor,
        .retry_us = RETRY_US,
    };
}

const char *decide_cause_name(enum decide_cause cause)
{
    static const char *const names[] = {
        [DECIDE_PIN] = "pin",   [DECIDE_MOVE] = "move",   [DECIDE_RULE] = "rule",
        [DECIDE_HEAT] = "heat", [DECIDE_SPACE] = "space", [DECIDE_DEFAULT] = "default",
    };
    return names[cause];
}

int decide_present(const struct decide_blob *blob)
{
    int tier = 0;
    while (tier < TIER_COUNT && blob->since_us[tier] == 0)
        tier++;
    return tier;
}

// ---- what it takes to go up by heat -------------------------------------------------

static bool is_read_often(const struct decide_options *o, const struct heat *heat,
                          int64_t now_us)
{
    double reads = heat_at(&o->heat, heat, now_us);
    int windows = heat_windows(&o->heat, heat, now_us, o->promote_windows);
    return (windows >= o->promote_reads && reads >= o->promote_heat) ||
           (windows > 0 && reads >= o->promote_burst);
}

enum decide_wait decide_admits(const struct decide_options *o,
                               const struct decide_blob *blob,
                               const struct decide_tier *tier)
{
    if (!tier->is_online)
        return WAIT_OFFLINE;
    if (!tier->is_limited)
        return WAIT_NOT;
    if (tier->used > tier->high || blob->size > tier->high ||
        blob->size > tier->capacity - tier->used)
        return WAIT_FULL;
    // Where nothing can leave, there is still the room below the high mark.
    uint64_t filled = tier->used + blob->size;
    if (filled <= tier->low || (isnan(tier->coldest) && filled <= tier->high))
        return WAIT_NOT;
    double score = heat_score(&o->heat, &blob->heat, blob->created_us);
    double least = tier->coldest + log2(o->promote_factor);
    return score > least ? WAIT_NOT : WAIT_COLDER;
}

// The fastest tier above the present one that takes it, or none: nobody waits for room,
// it is served from where it is.
static void go_up(const struct decide_options *o, const struct decide_blob *blob,
                  const struct decide_tier tiers[TIER_COUNT], int present,
                  struct decision *out, enum decide_wait *wait)
{
    *wait = WAIT_NOT;
    out->cause = DECIDE_HEAT;
    out->wanted = TIER_HOT;
    for (int tier = TIER_HOT; tier < present; tier++) {
        enum decide_wait this = decide_admits(o, blob, &tiers[tier]);
        if (tier == TIER_HOT)
            *wait = this;
        if (this == WAIT_OFFLINE)
            continue;
        if (this == WAIT_NOT) {
            out->tier = (enum tier)tier;
            return;
        }
    }
}

// ---- who decides ----------------------------------------------------------------

static void ask(struct decision *out, enum decide_cause cause, enum tier tier)
{
    out->cause = cause;
    out->wanted = out->tier = tier;
}

static void choose(const struct decide_options *o, const struct decide_blob *blob,
                   const struct decide_tier tiers[TIER_COUNT], int64_t now_us,
                   struct decision *out, enum decide_wait *wait)
{
    int present = decide_present(blob);
    ask(out, DECIDE_DEFAULT, (enum tier)present);
    if (blob->is_pinned)
        ask(out, DECIDE_PIN, blob->pin_tier);
    else if (blob->is_held)
        ask(out, DECIDE_MOVE, blob->hold_tier);
    else if (blob->has_rule)
        ask(out, DECIDE_RULE, blob->rule_tier);
    else if (is_read_often(o, &blob->heat, now_us))
        go_up(o, blob, tiers, present, out, wait);
}

// Times at which the above may be different, without anybody doing anything.
static void note_ends(const struct decide_blob *blob, int64_t now_us,
                      struct decision *out)
{
    if (blob->is_pinned && blob->pin_until_us != 0)
        decide_look_again(out, blob->pin_until_us);
    if (blob->is_held)
        decide_look_again(out, blob->hold_until_us);
    if (blob->next_rule_us > now_us)
        decide_look_again(out, blob->next_rule_us);
}

// Bytes that the tier lacks for what a pin or a rule wants on it. Rules fill a tier to
// its high mark, above which it would give them away again; pins to its end.
static uint64_t lacks(const struct decide_blob *blob, const struct decide_tier *tier,
                      enum decide_cause cause)
{
    uint64_t end = cause == DECIDE_PIN ? tier->capacity : tier->high;
    if (!tier->is_limited || tier->used + blob->size <= end)
        return 0;
    return tier->used + blob->size - end;
}

// What keeps a pin or a rule from having its way.
static enum decide_wait hindrance(const struct decide_options *o,
                                  const struct decide_blob *blob,
                                  const struct decide_tier *tier, int64_t now_us,
                                  struct decision *out)
{
    if (!tier->is_online) {
        decide_look_again(out, now_us + o->retry_us);
        return WAIT_OFFLINE;
    }
    if (blob->since_us[out->wanted] == 0)
        out->missing = lacks(blob, tier, out->cause);
    return out->missing == 0 ? WAIT_NOT : WAIT_ROOM;
}

static bool has_just_failed(const struct decide_options *o,
                            const struct decide_blob *blob, int64_t now_us,
                            struct decision *out)
{
    int64_t again_us = blob->failed_us + o->retry_us;
    if (blob->failed_us == 0 || blob->failed_tier != out->tier || again_us <= now_us)
        return false;
    decide_look_again(out, again_us);
    return true;
}

void decide(const struct decide_options *o, const struct decide_blob *blob,
            const struct decide_tier tiers[TIER_COUNT], int64_t now_us,
            struct decision *out)
{
    int present = decide_present(blob);
    enum decide_wait wait = WAIT_NOT;
    *out = (struct decision){.cause = DECIDE_DEFAULT};
    if (present == TIER_COUNT) {
        ask(out, DECIDE_DEFAULT, TIER_COLD);
        decide_say_lost(out);
        return;
    }
    choose(o, blob, tiers, now_us, out, &wait);
    note_ends(blob, now_us, out);
    // A hold keeps; the move that made it is what moves.
    if (out->cause == DECIDE_MOVE)
        out->tier = (enum tier)present;
    if (out->tier != (enum tier)present) {
        if (has_just_failed(o, blob, now_us, out))
            wait = WAIT_RETRY;
        else if (out->cause != DECIDE_HEAT)
            wait = hindrance(o, blob, &tiers[out->wanted], now_us, out);
        if (wait == WAIT_RETRY || (out->cause != DECIDE_HEAT && wait != WAIT_NOT))
            out->tier = (enum tier)present;
    }
    out->moves = out->tier != (enum tier)present;
    out->drops = (int)out->tier > present;
    decide_say(o, blob, wait, now_us, out);
}
