// SPDX-License-Identifier: Apache-2.0
// A chunk of a cold copy in memory, or on its way there. The lock of the cache guards
// it (cold_state.h).
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "storage/cold_copy.h"

enum frame_state {
    FRAME_QUEUED,   // in `queue`
    FRAME_FETCHING, // in `fetching` while some part of it has not begun
    FRAME_READY,    // in `ready`, checked
    FRAME_FAILED,   // in no list and not in the table: whoever comes next tries again
};

#define FRAME_PARTS_MAXIMUM 8u

// A part of a frame, read on a connection of its own; from and to: bytes of what is
// stored of the frame.
struct frame_part {
    size_t from, to;
    bool is_checked; // of a copy in pieces: it can be read before the frame is READY
};

// A chunk that somebody wants or wanted.
struct frame {
    struct frame *next_same; // of its hash
    struct frame *next, *previous;
    int64_t placement;
    size_t index;
    enum frame_state state;
    struct cold_copy *copy; // held until it is READY or FAILED
    struct cold_extent extent;
    uint64_t begun_for; // the reader that asked first
    unsigned waiters;   // readers that wait for it now
    unsigned pins;      // readers that copy from it now
    size_t wanted;      // where in the chunk the first that waits is: comes first
    unsigned parts, parts_begun, parts_ended;
    struct frame_part part[FRAME_PARTS_MAXIMUM]; // in the order in which they begin
    bool given_up;                               // no further part begins
    unsigned char *bytes;                        // a slot, from FETCHING on
    unsigned char *stored;                       // a slot, while FETCHING and encoded
    struct error error;                          // of FAILED
    pthread_cond_t changed;
};

struct frame_list {
    struct frame *first, *last;
};

void frame_list_append(struct frame_list *list, struct frame *frame);
void frame_list_remove(struct frame_list *list, struct frame *frame);

// Adds a part, from and to in bytes of what is stored; the last may say more.
void frame_add_part(struct frame *frame, size_t from, size_t to);
// Up to where the chunk can be read from `from` on; `from` itself: there is nothing
// yet.
size_t frame_readable(const struct frame *frame, size_t from);
