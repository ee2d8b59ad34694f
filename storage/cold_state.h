// SPDX-License-Identifier: Apache-2.0
// What the cache of cold chunks consists of, for cold_frame.c (a frame's parts),
// cold_cache.c (the table of frames and the memory for them), cold_room.c (what goes
// when memory is short), cold_fetch.c (threads) and cold_reader.c alone. One lock
// guards it all; it is never held across a read, a decoding or a copy of bytes.
#pragma once

#include <pthread.h>
#include <sched.h>

#include "storage/cold_cache.h"
#include "storage/cold_copy.h"
#include "storage/cold_frame.h"

// It wants the chunks from `at` to `at + ahead`, but none from `end` on.
struct cold_reader {
    struct cold_reader *next, *previous;
    struct cold_reads *reads;
    struct cold_copy *copy;
    int64_t placement;
    uint64_t serial;
    size_t at, end;
    size_t ahead;
    int64_t at_ms;   // since when it is there, later by the time that it has waited
    int64_t wait_ms; // since when it waits, while it does
    int64_t took_ms; // for a chunk, waiting not counted, lately
    unsigned taken;  // chunks that this is known from
    size_t shared;   // index + 1 of the last chunk counted as shared
    bool is_waiting;
    bool is_straggler; // has held others up: what it will want is not kept for it
    int64_t quick_ms;  // until it takes a chunk in this time
};

#define FRAME_BUCKETS 256u

struct cold_reads {
    pthread_mutex_t lock;
    pthread_cond_t work;    // for the threads
    pthread_cond_t decoder; // one is free again
    size_t slots, slots_used, slots_idle, slots_most;
    void **idle_slots;
    struct frame *buckets[FRAME_BUCKETS];
    struct frame_list queue; // in the order of asking
    struct frame_list fetching;
    struct frame_list ready; // least recently used first
    struct cold_reader *readers;
    uint64_t serials;
    unsigned groups; // copies that have readers
    pthread_t *threads;
    cpu_set_t processors; // of the threads, whoever starts them
    unsigned threads_maximum, threads_count, threads_idle;
    struct cold_decoder **decoders; // that nobody uses
    unsigned decoders_idle;
    bool stopping;
    struct cold_reads_counts counts;
};

// ---- cold_cache.c; all with the lock held ---------------------------------------

void *slot_take(struct cold_reads *reads); // there is one
// The frame that the reader asks for: the one that is there, or a new one, queued.
struct frame *frame_request(struct cold_reader *reader, size_t index);
void frame_give_stored(struct cold_reads *reads, struct frame *frame);
void frame_give_memory(struct cold_reads *reads, struct frame *frame);
// Gives its memory back and takes it out of the table; freed once nobody looks at it.
// No part of it is under way, and nobody copies from it.
void frame_fail(struct cold_reads *reads, struct frame *frame);
void frame_evict(struct cold_reads *reads, struct frame *frame); // a READY one
void frame_free_unused(struct frame *frame);

// ---- cold_room.c; all with the lock held ----------------------------------------

// Whether a reader wants it now.
bool frame_is_wanted(const struct cold_reads *reads, const struct frame *frame);
// Takes queued frames away that nobody wants any more.
void frames_drop_unwanted(struct cold_reads *reads);
// Room for a queued frame's bytes. False: there is none now; ask again soon.
bool frame_make_room(struct cold_reads *reads, struct frame *frame);

// ---- cold_fetch.c; with the lock held -------------------------------------------

// There may be work. False: there is no thread to do it.
bool fetch_wake(struct cold_reads *reads);
