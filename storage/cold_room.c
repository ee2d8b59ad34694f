// SPDX-License-Identifier: Apache-2.0
// Which frame goes when memory is short. What a reader is about to want is kept for it,
// so that many readers of one copy fetch it once though some are ahead: those ahead
// wait for those behind. A reader that is much slower than those that wait loses that
// claim, and what it wants is fetched again for it alone.
#include "storage/cold_state.h"

#include "common/clock.h"

// Slots that reading ahead leaves to readers that come; where there are few, none.
#define RESERVE 4u
// A reader that keeps others waiting is too slow for them: when it has been at one
// chunk for so long and STALLED times as long as they take for one; or when it takes
// SLOW times as long as they do, seen over some chunks.
#define STALLED_MS 500
#define STALLED 3
#define SLOW_MS 50
#define SLOW 4
#define SLOW_SEEN 4u

static bool reaches(const struct cold_reader *reader, const struct frame *frame,
                    size_t span)
{
    return reader->placement == frame->placement && frame->index >= reader->at &&
           frame->index < reader->end && frame->index - reader->at <= span;
}

bool frame_is_wanted(const struct cold_reads *reads, const struct frame *frame)
{
    for (const struct cold_reader *r = reads->readers; r != NULL; r = r->next) {
        if (reaches(r, frame, r->ahead))
            return true;
    }
    return false;
}

void frames_drop_unwanted(struct cold_reads *reads)
{
    for (struct frame *frame = reads->queue.first, *next; frame != NULL; frame = next) {
        next = frame->next;
        if (frame->waiters > 0 || frame_is_wanted(reads, frame))
            continue;
        frame_list_remove(&reads->queue, frame);
        frame_fail(reads, frame);
    }
}

// ---- who keeps what ---------------------------------------------------------------

enum claim {
    CLAIM_NONE,
    CLAIM_WEAK, // a slow reader is in the middle of it
    CLAIM_KEPT, // a reader is about to want it
    CLAIM_USED, // by a reader at this moment
};

static enum claim claim_of(const struct cold_reads *reads, const struct frame *frame)
{
    enum claim claim = CLAIM_NONE;
    if (frame->pins > 0 || frame->waiters > 0)
        return CLAIM_USED;
    for (const struct cold_reader *r = reads->readers; r != NULL; r = r->next) {
        if (!r->is_straggler && reaches(r, frame, reads->slots))
            return CLAIM_KEPT;
        if (r->is_straggler && reaches(r, frame, 0))
            claim = CLAIM_WEAK;
    }
    return claim;
}

static size_t count_free(const struct cold_reads *reads)
{
    return reads->slots - reads->slots_used;
}

static size_t count_room(const struct cold_reads *reads)
{
    size_t room = count_free(reads);
    for (const struct frame *frame = reads->ready.first; frame != NULL;
         frame = frame->next)
        room += claim_of(reads, frame) == CLAIM_NONE;
    return room;
}

// The least recently used first.
static void evict(struct cold_reads *reads, size_t slots, enum claim at_most)
{
    for (struct frame *frame = reads->ready.first, *next; frame != NULL; frame = next) {
        next = frame->next;
        if (count_free(reads) >= slots)
            return;
        if (claim_of(reads, frame) <= at_most)
            frame_evict(reads, frame);
    }
}

// ---- those that hold others up ----------------------------------------------------

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

// Of the quickest that waits for it.
static int64_t pace_of_waiters(const struct cold_reads *reads,
                               const struct frame *frame)
{
    int64_t pace_ms = INT64_MAX;
    for (const struct cold_reader *r = reads->readers; r != NULL; r = r->next) {
        if (r->is_waiting && reaches(r, frame, 0) && r->took_ms < pace_ms)
            pace_ms = r->took_ms;
    }
    return pace_ms == INT64_MAX ? 0 : pace_ms;
}

static bool is_too_slow(const struct cold_reader *reader, int64_t pace_ms)
{
    int64_t here_ms = clock_monotonic_ms() - reader->at_ms;
    return here_ms > largest(STALLED_MS, STALLED * pace_ms) ||
           (reader->taken >= SLOW_SEEN &&
            reader->took_ms > largest(SLOW_MS, SLOW * pace_ms));
}

// *going_on: some other reader will give room by itself, or prove to be too slow.
static void shed_slow(struct cold_reads *reads, int64_t pace_ms, bool *going_on)
{
    *going_on = false;
    for (struct cold_reader *r = reads->readers; r != NULL; r = r->next) {
        if (r->is_waiting || r->is_straggler)
            continue;
        if (is_too_slow(r, pace_ms)) {
            r->is_straggler = true;
            r->quick_ms = largest(SLOW_MS, 2 * pace_ms);
        } else if (r->at < r->end) {
            *going_on = true;
        }
    }
}

// Somebody waits for it.
static void make_room_at_a_cost(struct cold_reads *reads, struct frame *frame,
                                size_t slots)
{
    bool going_on;
    shed_slow(reads, pace_of_waiters(reads, frame), &going_on);
    evict(reads, slots, CLAIM_NONE);
    evict(reads, slots, CLAIM_WEAK);
    if (!going_on)
        evict(reads, slots, CLAIM_KEPT);
}

bool frame_make_room(struct cold_reads *reads, struct frame *frame)
{
    size_t slots = cold_copy_is_encoded(frame->copy) ? 2 : 1;
    size_t reserve = frame->waiters == 0 && reads->slots > 4 * RESERVE ? RESERVE : 0;
    if (count_room(reads) >= slots + reserve)
        evict(reads, slots, CLAIM_NONE);
    else if (frame->waiters > 0)
        make_room_at_a_cost(reads, frame, slots);
    if (count_free(reads) < slots)
        return false;
    frame->bytes = slot_take(reads);
    frame->stored = slots == 2 ? slot_take(reads) : NULL;
    return true;
}
