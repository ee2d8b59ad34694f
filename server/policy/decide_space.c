// SPDX-License-Identifier: Apache-2.0
#include "server/policy/decide_parts.h"

// Of a tier of which nothing was measured: a hard disk's.
#define RATE_BYTES_PER_S UINT64_C(150000000)

// A copy came by promotion when a lower one is older.
static bool is_promoted(const struct decide_blob *blob, enum tier full)
{
    for (int tier = (int)full + 1; tier < TIER_COUNT; tier++) {
        if (blob->since_us[tier] != 0 && blob->since_us[tier] < blob->since_us[full])
            return true;
    }
    return false;
}

// Until when a promoted copy stays: several times what it took to write.
static int64_t residence_end(const struct decide_options *o,
                             const struct decide_blob *blob,
                             const struct decide_tier *tier, enum tier full)
{
    uint64_t rate = tier->rate > 0 ? tier->rate : RATE_BYTES_PER_S;
    double seconds = (double)blob->size / (double)rate * (double)o->residence_times;
    return is_promoted(blob, full) ? blob->since_us[full] + (int64_t)(seconds * 1e6)
                                   : 0;
}

static bool is_asked_for(const struct decide_blob *blob, enum tier full, bool rules_too)
{
    return (blob->is_pinned && blob->pin_tier <= full) ||
           (blob->is_held && blob->hold_tier <= full) ||
           (!rules_too && blob->has_rule && blob->rule_tier <= full);
}

static bool has_failed(const struct decide_options *o, const struct decide_blob *blob,
                       enum tier to, int64_t now_us)
{
    return blob->failed_us != 0 && blob->failed_tier == to &&
           blob->failed_us + o->retry_us > now_us;
}

static bool has_room(const struct decide_blob *blob, const struct decide_tier *tier)
{
    return !tier->is_limited || tier->used + blob->size <= tier->high;
}

// More than half way from the high mark to the end: no time for copies.
static bool is_urgent(const struct decide_tier *tier)
{
    return tier->used > tier->high &&
           tier->used - tier->high > tier->capacity - tier->used;
}

// The next lower tier that has it already, or where it is worth its room; else one that
// has it, which costs nothing: the copy on the full tier is unlinked. Else any room.
static bool choose_lower(const struct decide_options *o, const struct decide_blob *blob,
                         const struct decide_tier *tiers, enum tier full,
                         int64_t now_us, enum tier *to)
{
    int room = TIER_COUNT;
    for (int tier = (int)full + 1; tier < TIER_COUNT; tier++) {
        const struct decide_tier *lower = &tiers[tier];
        *to = (enum tier)tier;
        if (!lower->is_online || has_failed(o, blob, *to, now_us))
            continue;
        if (blob->since_us[tier] != 0 ||
            (!is_urgent(&tiers[full]) && decide_admits(o, blob, lower) == WAIT_NOT))
            return true;
        if (room == TIER_COUNT && has_room(blob, lower))
            room = tier;
    }
    *to = (enum tier)room;
    return room < TIER_COUNT;
}

void decide_space(const struct decide_options *o, const struct decide_blob *blob,
                  const struct decide_tier tiers[TIER_COUNT], enum tier full,
                  bool rules_too, int64_t now_us, struct decision *out)
{
    enum decide_wait wait = WAIT_NOT;
    enum tier to = full;
    int64_t stays_us = residence_end(o, blob, &tiers[full], full);
    *out = (struct decision){.cause = DECIDE_SPACE, .tier = full};
    if (decide_present(blob) != (int)full) {
        wait = WAIT_FASTER;
    } else if (is_asked_for(blob, full, rules_too)) {
        wait = WAIT_ASKED;
    } else if (stays_us > now_us) {
        wait = WAIT_RESIDENCE;
        decide_look_again(out, stays_us);
    } else if (!choose_lower(o, blob, tiers, full, now_us, &to)) {
        wait = WAIT_NOWHERE;
    }
    if (wait == WAIT_NOT)
        out->tier = to;
    out->wanted = out->tier;
    out->moves = out->drops = wait == WAIT_NOT;
    decide_say_space(blob, wait, full, out);
}
