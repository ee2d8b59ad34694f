// SPDX-License-Identifier: Apache-2.0
#include "server/policy/decide_text.h"

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

static bool takes(const struct decide_options *o, const struct decide_blob *blob,
                  const struct decide_tier *tiers, enum tier to, int64_t now_us)
{
    const struct decide_tier *tier = &tiers[to];
    bool failed = blob->failed_us != 0 && blob->failed_tier == to &&
                  blob->failed_us + o->retry_us > now_us;
    bool has_room = !tier->is_limited || tier->used + blob->size <= tier->high;
    return tier->is_online && !failed && (blob->since_us[to] != 0 || has_room);
}

// A copy that is there already costs nothing: the one on the full tier is unlinked.
static bool choose_lower(const struct decide_options *o, const struct decide_blob *blob,
                         const struct decide_tier *tiers, enum tier full,
                         int64_t now_us, enum tier *to)
{
    bool found = false;
    for (int tier = TIER_COLD; tier > (int)full; tier--) {
        bool is_there = blob->since_us[tier] != 0;
        if (!takes(o, blob, tiers, (enum tier)tier, now_us) ||
            (found && !is_there && blob->since_us[*to] != 0))
            continue;
        *to = (enum tier)tier;
        found = true;
    }
    return found;
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
