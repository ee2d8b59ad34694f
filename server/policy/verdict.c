// SPDX-License-Identifier: Apache-2.0
#include "server/policy/verdict.h"

// A copy stays for several times what it took to make it, whatever rules and heat say,
// so that nothing swings between two tiers. The rate is that of a slow disk or link.
#define RESIDENCE_TIMES 10
#define RATE_BYTES_PER_S 100000000

#define RELIEVED_US (6 * 3600 * INT64_C(1000000))

// Read in several windows, not in one burst.
#define PROMOTION_WINDOWS 2
#define RECENT_WINDOWS 24

void verdict_look_again(struct verdict *verdict, int64_t at_us)
{
    if (verdict->next_us == 0 || at_us < verdict->next_us)
        verdict->next_us = at_us;
}

static void ask(struct verdict *v, enum verdict_why why, enum tier tier,
                enum move_cause cause)
{
    v->why = why;
    v->tier = tier;
    v->cause = cause;
    v->is_asked = why != WHY_HEAT;
}

// Who decides, and where it should be.
static void choose(struct verdict *v, const struct blob_facts *blob, enum tier present,
                   int64_t now_us)
{
    if (blob->is_pinned)
        ask(v, WHY_PIN, blob->pin_tier, MOVE_PIN);
    else if (blob->is_held)
        ask(v, WHY_HOLD, blob->hold_tier, MOVE_EXPLICIT);
    else if (blob->has_rule)
        ask(v, WHY_RULE, blob->rule_tier, MOVE_RULE);
    else if (present != TIER_HOT &&
             read_heat_windows(&blob->heat, now_us, RECENT_WINDOWS) >=
                 PROMOTION_WINDOWS)
        ask(v, WHY_HEAT, TIER_HOT, MOVE_HEAT);
    else
        *v = (struct verdict){.why = WHY_NOTHING, .tier = present};
    if (blob->is_pinned && blob->pin_until_us != 0)
        verdict_look_again(v, blob->pin_until_us);
    if (blob->is_held)
        verdict_look_again(v, blob->hold_until_us);
}

static int64_t residence_us(const struct blob_facts *blob)
{
    return (int64_t)(blob->size / RATE_BYTES_PER_S + 1) * RESIDENCE_TIMES * 1000000 *
           (blob->size >= RATE_BYTES_PER_S / RESIDENCE_TIMES);
}

// When it may move: not just after it came, nor just after this failed.
static int64_t earliest(const struct verdict *v, const struct blob_facts *blob,
                        enum tier present)
{
    int64_t at_us = 0;
    if (v->cause == MOVE_RULE || v->cause == MOVE_HEAT)
        at_us = blob->since_us[present] + residence_us(blob);
    // A tier so full of what must stay that this had to go has no room for it soon.
    if (v->cause == MOVE_HEAT && blob->relieved_us != 0 &&
        blob->relieved_us + RELIEVED_US > at_us)
        at_us = blob->relieved_us + RELIEVED_US;
    int64_t pause_us = blob->was_cancelled ? VERDICT_CANCELLED_US : VERDICT_RETRY_US;
    if (blob->has_failed && blob->failed_to == v->tier &&
        blob->failed_us + pause_us > at_us)
        at_us = blob->failed_us + pause_us;
    return at_us;
}

// Whether the move under way was begun by this folder, and goes elsewhere than is
// wanted now. What people asked for is theirs to cancel, and copies that protect or
// heal are always wanted.
static bool is_unwanted(const struct verdict *v, const struct blob_facts *blob)
{
    if (!blob->is_moving || blob->move_to == v->tier)
        return false;
    if (blob->move_cause == MOVE_SPACE)
        return v->is_asked && blob->move_drops && blob->move_to > v->tier;
    return blob->move_cause == MOVE_RULE || blob->move_cause == MOVE_HEAT ||
           blob->move_cause == MOVE_PIN;
}

struct verdict blob_verdict(const struct blob_facts *blob, int64_t now_us)
{
    struct verdict v = {0};
    int present = blob_present(blob);
    if (present == TIER_COUNT)
        return (struct verdict){.why = WHY_NO_COPY, .tier = TIER_COLD};
    choose(&v, blob, (enum tier)present, now_us);
    v.cancels = is_unwanted(&v, blob);
    // A hold keeps; the move that made it is what moves.
    if (v.tier == (enum tier)present || v.why == WHY_HOLD || v.why == WHY_NOTHING)
        return v;
    v.drops = (int)v.tier > present;
    v.is_moving =
        blob->is_moving && blob->move_to == v.tier && (blob->move_drops || !v.drops);
    if (v.is_moving) {
        verdict_look_again(&v, now_us + VERDICT_RETRY_US);
        return v;
    }
    int64_t at_us = earliest(&v, blob, (enum tier)present);
    v.moves = at_us <= now_us;
    if (!v.moves) {
        v.waits_until_us = at_us;
        verdict_look_again(&v, at_us);
    }
    return v;
}
