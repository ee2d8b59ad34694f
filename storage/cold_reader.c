// SPDX-License-Identifier: Apache-2.0
#include "storage/cold_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "storage/cold_state.h"

#define AHEAD_FIRST 2u // chunks, before it is known that they will be wanted

// ---- the list of readers ----------------------------------------------------------

static bool has_companion(const struct cold_reader *reader)
{
    for (const struct cold_reader *r = reader->reads->readers; r != NULL; r = r->next) {
        if (r != reader && r->placement == reader->placement)
            return true;
    }
    return false;
}

struct cold_reader *cold_reader_new(struct cold_reads *reads, struct cold_copy *copy)
{
    struct cold_reader *reader = alloc_zero(sizeof *reader);
    reader->reads = reads;
    reader->copy = cold_copy_hold(copy);
    reader->placement = cold_copy_id(copy);
    reader->end = chain_count(cold_copy_size(copy));
    reader->ahead = AHEAD_FIRST;
    reader->at_ms = clock_monotonic_ms();
    LOCK_SCOPE(&reads->lock);
    reader->serial = ++reads->serials;
    reader->next = reads->readers;
    if (reader->next != NULL)
        reader->next->previous = reader;
    reads->readers = reader;
    reads->groups += !has_companion(reader);
    return reader;
}

static void leave(struct cold_reader *reader)
{
    struct cold_reads *reads = reader->reads;
    LOCK_SCOPE(&reads->lock);
    reads->groups -= !has_companion(reader);
    if (reader->next != NULL)
        reader->next->previous = reader->previous;
    if (reader->previous != NULL)
        reader->previous->next = reader->next;
    else
        reads->readers = reader->next;
    frames_drop_unwanted(reads);
    fetch_wake(reads);
}

void cold_reader_free(struct cold_reader *reader)
{
    if (reader == NULL)
        return;
    leave(reader);
    cold_copy_release(reader->copy);
    free(reader);
}

// ---- where it is ------------------------------------------------------------------

// Half of the room for all copies that are being read.
static size_t ahead_maximum(const struct cold_reads *reads)
{
    size_t share = reads->slots / 2 / (reads->groups > 0 ? reads->groups : 1);
    return share < reads->threads_maximum ? share : reads->threads_maximum;
}

// How long it has taken for a chunk, once it has one behind it.
static void learn(struct cold_reader *reader, int64_t took_ms)
{
    reader->took_ms =
        reader->taken == 0 ? took_ms : (3 * reader->took_ms + took_ms) / 4;
    reader->taken++;
    if (took_ms < reader->quick_ms)
        reader->is_straggler = false;
}

static void move_to(struct cold_reader *reader, size_t index)
{
    if (index == reader->at)
        return;
    int64_t now_ms = clock_monotonic_ms();
    bool is_next = index == reader->at + 1;
    if (is_next)
        learn(reader, now_ms - reader->at_ms);
    reader->ahead = is_next ? reader->ahead * 2 + 1 : AHEAD_FIRST;
    reader->at = index;
    reader->at_ms = now_ms;
}

// Of the frames that it will want, those that are neither here nor asked for are.
static void ask_ahead(struct cold_reader *reader)
{
    size_t most = ahead_maximum(reader->reads);
    if (reader->ahead > most)
        reader->ahead = most;
    for (size_t i = 0; i <= reader->ahead && reader->at + i < reader->end; i++)
        frame_request(reader, reader->at + i);
    frames_drop_unwanted(reader->reads);
}

void cold_reader_expect(struct cold_reader *reader, uint64_t offset, uint64_t size)
{
    assert(offset + size <= cold_copy_size(reader->copy));
    LOCK_SCOPE(&reader->reads->lock);
    move_to(reader, (size_t)(offset / CHAIN_CHUNK_SIZE));
    reader->end =
        size > 0 ? (size_t)((offset + size - 1) / CHAIN_CHUNK_SIZE) + 1 : reader->at;
    frames_drop_unwanted(reader->reads);
}

// ---- reading ----------------------------------------------------------------------

static bool is_readable(const struct frame *frame, size_t at)
{
    return frame_readable(frame, at) > at;
}

static void count(struct cold_reader *reader, const struct frame *frame, size_t at)
{
    struct cold_reads *reads = reader->reads;
    reads->counts.waits += !is_readable(frame, at);
    if (frame->begun_for == reader->serial || reader->shared == frame->index + 1)
        return;
    reads->counts.shared++;
    reader->shared = frame->index + 1;
}

static enum err wait_for(struct cold_reader *reader, struct frame *frame, size_t at,
                         struct error *e)
{
    struct cold_reads *reads = reader->reads;
    if (!fetch_wake(reads))
        return error_set(e, ERR_UNAVAILABLE, "no thread can be started");
    reader->is_waiting = true;
    reader->wait_ms = clock_monotonic_ms();
    while (!is_readable(frame, at) && frame->state != FRAME_FAILED)
        pthread_cond_wait(&frame->changed, &reads->lock);
    reader->is_waiting = false;
    reader->at_ms += clock_monotonic_ms() - reader->wait_ms;
    if (frame->state != FRAME_FAILED)
        return ERR_NONE;
    return error_set(e, frame->error.code, "%s", frame->error.detail);
}

// The frame in which `offset` can be read. The lock is held; a READY one is the most
// recently used one afterwards.
static enum err take(struct cold_reader *reader, uint64_t offset, struct frame **taken,
                     struct error *e)
{
    struct cold_reads *reads = reader->reads;
    size_t index = (size_t)(offset / CHAIN_CHUNK_SIZE);
    size_t at = (size_t)(offset % CHAIN_CHUNK_SIZE);
    move_to(reader, index);
    struct frame *frame = frame_request(reader, index);
    count(reader, frame, at);
    if (frame->waiters++ == 0)
        frame->wanted = at;
    ask_ahead(reader);
    enum err err = wait_for(reader, frame, at, e);
    frame->waiters--;
    if (err != ERR_NONE) {
        frame_free_unused(frame);
        frames_drop_unwanted(reads);
        return err;
    }
    if (frame->state == FRAME_READY) {
        frame_list_remove(&reads->ready, frame);
        frame_list_append(&reads->ready, frame);
    }
    *taken = frame;
    return ERR_NONE;
}

enum err cold_reader_wait(struct cold_reader *reader, uint64_t offset, struct error *e)
{
    assert(offset < cold_copy_size(reader->copy));
    struct frame *frame;
    LOCK_SCOPE(&reader->reads->lock);
    return take(reader, offset, &frame, e);
}

// What is read to its end is not wanted any more, and leaves room for what comes.
static void let_go(struct cold_reader *reader, struct frame *frame, bool is_read)
{
    if (--frame->pins == 0 && frame->state == FRAME_FETCHING)
        pthread_cond_broadcast(&frame->changed); // it may have failed meanwhile
    if (is_read) {
        move_to(reader, frame->index + 1);
        ask_ahead(reader);
    }
    fetch_wake(reader->reads);
}

enum err cold_reader_read(struct cold_reader *reader, uint64_t offset, void *bytes,
                          size_t size, size_t *got, struct error *e)
{
    assert(offset < cold_copy_size(reader->copy) && size > 0);
    struct cold_reads *reads = reader->reads;
    struct frame *frame;
    size_t from = (size_t)(offset % CHAIN_CHUNK_SIZE);
    pthread_mutex_lock(&reads->lock);
    enum err err = take(reader, offset, &frame, e);
    if (err != ERR_NONE) {
        pthread_mutex_unlock(&reads->lock);
        return err;
    }
    frame->pins++;
    size_t here = frame_readable(frame, from) - from;
    pthread_mutex_unlock(&reads->lock);
    *got = size < here ? size : here;
    memcpy(bytes, frame->bytes + from, *got);
    pthread_mutex_lock(&reads->lock);
    let_go(reader, frame, from + *got == frame->extent.size);
    pthread_mutex_unlock(&reads->lock);
    return ERR_NONE;
}
