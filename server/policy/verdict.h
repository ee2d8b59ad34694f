// SPDX-License-Identifier: Apache-2.0
// Where one blob belongs, from what is known of it: pin before explicit move before
// rule before heat (DESIGN section 6). No database, no clock.
#pragma once

#include "server/policy/blob_facts.h"

// When a move that failed is asked for again, and one that was cancelled: by somebody,
// or because it was not wanted for a while.
#define VERDICT_RETRY_US (3600 * INT64_C(1000000))
#define VERDICT_CANCELLED_US (600 * INT64_C(1000000))

enum verdict_why {
    WHY_PIN,     // a pin asks for this tier
    WHY_HOLD,    // it was moved here by hand
    WHY_RULE,    // a rule asks for this tier
    WHY_HEAT,    // it is read often
    WHY_NOTHING, // nobody asks
    WHY_NO_COPY, // there is no copy here from which it could be moved
};

struct verdict {
    enum verdict_why why;
    bool is_asked;  // by a pin, an explicit move or a rule
    enum tier tier; // where it should be
    enum move_cause cause;
    bool moves; // a move is to begin now
    bool drops;
    bool is_moving;         // one that has the effect is under way
    bool cancels;           // the one under way is not wanted any more
    int64_t waits_until_us; // it moves then, not now: residence, or a failed move
    int64_t next_us;        // when time alone can change all this; 0: it cannot
};

struct verdict blob_verdict(const struct blob_facts *blob, int64_t now_us);
// Brings next_us forward to `at_us` when that is earlier.
void verdict_look_again(struct verdict *verdict, int64_t at_us);
