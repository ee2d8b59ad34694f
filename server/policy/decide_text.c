// SPDX-License-Identifier: Apache-2.0
#include "server/policy/decide_parts.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/clock.h"

#define DURATION_SIZE 32

static void say(struct decision *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void say(struct decision *out, const char *format, ...)
{
    size_t length = strlen(out->text);
    va_list list;
    va_start(list, format);
    vsnprintf(out->text + length, sizeof out->text - length, format, list);
    va_end(list);
}

static void say_time(struct decision *out, const char *before, int64_t at_us)
{
    char time[CLOCK_TEXT_SIZE];
    // A time of whole seconds reads better without six zeros.
    clock_format(at_us / 1000000 * 1000000, time);
    say(out, "%s%.19sZ", before, time);
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

// "6 hours", in the largest unit of which it is a whole number.
static void duration(int64_t us, char text[DURATION_SIZE])
{
    static const struct {
        int64_t us;
        const char *name;
    } units[] = {
        {86400 * INT64_C(1000000), "day"},
        {3600 * INT64_C(1000000), "hour"},
        {60 * INT64_C(1000000), "minute"},
        {INT64_C(1000000), "second"},
    };
    size_t i = 0;
    while (i < 3 && us % units[i].us != 0)
        i++;
    int64_t count = us / units[i].us;
    snprintf(text, DURATION_SIZE, "%" PRId64 " %s%s", count, units[i].name,
             count == 1 ? "" : "s");
}

// ---- who decides, and why -----------------------------------------------------------

static void say_pin(const struct decide_blob *blob, struct decision *out)
{
    say(out, "pinned to %s", tier_name(out->wanted));
    if (is_given(blob->pin))
        say(out, " by %s", blob->pin);
    if (blob->pin_until_us != 0)
        say_time(out, " until ", blob->pin_until_us);
}

static void say_rule(const struct decide_blob *blob, struct decision *out)
{
    say(out, "rule `%s`", blob->rule);
    if (is_given(blob->rule_words))
        say(out, ": %s", blob->rule_words);
    say(out, ", wants it on %s", tier_name(out->wanted));
}

static void say_windows(const struct decide_options *o, const struct decide_blob *blob,
                        int64_t now_us, struct decision *out)
{
    char window[DURATION_SIZE];
    duration(o->heat.window_us, window);
    say(out, "read in %d of the last %d windows of %s",
        heat_windows(&o->heat, &blob->heat, now_us, o->promote_windows),
        o->promote_windows, window);
}

static void say_default(const struct decide_options *o, const struct decide_blob *blob,
                        int64_t now_us, struct decision *out)
{
    say(out, "no pin, explicit move or rule asks for a tier; ");
    if (blob->heat.at_us == 0)
        say(out, "never read");
    else
        say_windows(o, blob, now_us, out);
    if (out->tier != TIER_HOT)
        say(out, "; goes up when read in %d, and worth %g whole reads",
            o->promote_reads, o->promote_heat);
    if (out->tier != TIER_COLD)
        say(out,
            "; goes down when %s is above its high mark and nothing there is colder",
            tier_name(out->tier));
}

static void say_who(const struct decide_options *o, const struct decide_blob *blob,
                    int64_t now_us, struct decision *out)
{
    switch (out->cause) {
    case DECIDE_PIN:
        say_pin(blob, out);
        break;
    case DECIDE_MOVE:
        say(out, "moved to %s by hand", tier_name(out->wanted));
        say_time(out, ", held by that until ", blob->hold_until_us);
        break;
    case DECIDE_RULE:
        say_rule(blob, out);
        break;
    case DECIDE_HEAT:
        say_windows(o, blob, now_us, out);
        break;
    case DECIDE_SPACE:
    case DECIDE_DEFAULT:
        say_default(o, blob, now_us, out);
        break;
    }
}

// ---- what happens next --------------------------------------------------------------

static void say_wait(enum decide_wait wait, struct decision *out)
{
    const char *tier = tier_name(out->wanted);
    switch (wait) {
    case WAIT_OFFLINE:
        say(out, "; %s is offline", tier);
        break;
    case WAIT_FULL:
        say(out, "; %s is too full for it", tier);
        break;
    case WAIT_COLDER:
        say(out, "; %s is full of what is hotter or has to stay", tier);
        break;
    case WAIT_ROOM:
        say(out, "; %s lacks %" PRIu64 " bytes for it", tier, out->missing);
        break;
    case WAIT_RETRY:
        say(out, "; the last move there did not succeed");
        say_time(out, ", the next begins at ", out->next_us);
        break;
    default:
        break;
    }
}

// What the rules will ask for by time alone; a pin or a hold that lasts longer is
// above them.
static void say_next_rule(const struct decide_blob *blob, int64_t now_us,
                          struct decision *out)
{
    if (blob->next_rule_us <= now_us ||
        (out->cause == DECIDE_PIN &&
         (blob->pin_until_us == 0 || blob->pin_until_us > blob->next_rule_us)) ||
        (out->cause == DECIDE_MOVE && blob->hold_until_us > blob->next_rule_us))
        return;
    if (!is_given(blob->next_rule)) {
        say_time(out, "; no rule asks for a tier from ", blob->next_rule_us);
        say(out, " on");
        return;
    }
    say(out, "; rule `%s`", blob->next_rule);
    if (is_given(blob->next_rule_words))
        say(out, ": %s", blob->next_rule_words);
    say(out, ", wants it on %s", tier_name(blob->next_rule_tier));
    say_time(out, " from ", blob->next_rule_us);
    say(out, " on");
}

void decide_say_lost(struct decision *out)
{
    say(out, "no copy of it can be read here");
}

void decide_say(const struct decide_options *options, const struct decide_blob *blob,
                enum decide_wait wait, int64_t now_us, struct decision *out)
{
    say_who(options, blob, now_us, out);
    say_wait(wait, out);
    if (out->moves)
        say(out, "; goes to %s now", tier_name(out->tier));
    say_next_rule(blob, now_us, out);
}

void decide_say_space(const struct decide_blob *blob, enum decide_wait wait,
                      enum tier full, struct decision *out)
{
    const char *tier = tier_name(full);
    say(out, "%s is above its high mark; ", tier);
    switch (wait) {
    case WAIT_FASTER:
        say(out, "stays, since the copy on a faster tier would go with it");
        break;
    case WAIT_ASKED:
        say(out, "stays, since a pin, an explicit move or a rule wants it there");
        break;
    case WAIT_RESIDENCE:
        say(out, "stays, since it came a short while ago");
        say_time(out, ", at least until ", out->next_us);
        break;
    case WAIT_NOWHERE:
        say(out, "stays, since no lower tier has it or has room for it");
        break;
    default:
        say(out, "nothing there is colder; %s on %s",
            blob->since_us[out->tier] != 0 ? "its copy is dropped, it is"
                                           : "goes to a copy",
            tier_name(out->tier));
    }
}
