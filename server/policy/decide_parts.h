// SPDX-License-Identifier: Apache-2.0
// What the files of decide.h share.
#pragma once

#include "server/policy/decide.h"

// Why a blob is not where it is wanted, or a copy does not leave.
enum decide_wait {
    WAIT_NOT,
    WAIT_OFFLINE,   // the tier is away
    WAIT_FULL,      // above its high mark, or not large enough
    WAIT_COLDER,    // what could leave for it is hotter, or about as hot
    WAIT_ROOM,      // `missing` bytes short
    WAIT_RETRY,     // the last move there failed a short while ago
    WAIT_RESIDENCE, // it came a short while ago
    WAIT_ASKED,     // a pin, an explicit move or a rule keeps it
    WAIT_FASTER,    // the copy on a faster tier would go as well
    WAIT_NOWHERE,   // no lower tier has it or has room for it
};

static inline void decide_look_again(struct decision *out, int64_t at_us)
{
    if (out->next_us == 0 || at_us < out->next_us)
        out->next_us = at_us;
}

// Whether a tier takes a blob for its heat. Below the low mark nobody has to leave for
// it. Beyond, what is colder does, sooner or later; it must be clearly colder, or blobs
// that are equally hot take each other's place for ever. A tier above its high mark
// takes nothing.
enum decide_wait decide_admits(const struct decide_options *options,
                               const struct decide_blob *blob,
                               const struct decide_tier *tier);

// Words, into out->text.
void decide_say_lost(struct decision *out);
void decide_say(const struct decide_options *options, const struct decide_blob *blob,
                enum decide_wait wait, int64_t now_us, struct decision *out);
void decide_say_space(const struct decide_blob *blob, enum decide_wait wait,
                      enum tier full, struct decision *out);
