// SPDX-License-Identifier: Apache-2.0
// Frames and the memory for them.
#include "storage/cold_state.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define DECODERS_MAXIMUM 16u
#define SLOTS_MINIMUM 3u // one frame that is read, one that is fetched and decoded

// ---- the table --------------------------------------------------------------------

static struct frame **bucket(struct cold_reads *reads, int64_t placement, size_t index)
{
    uint64_t hash =
        ((uint64_t)placement * 0x9E3779B97F4A7C15u + index) * 0xBF58476D1CE4E5B9u;
    return &reads->buckets[(hash >> 32) % FRAME_BUCKETS];
}

static struct frame *find(struct cold_reads *reads, int64_t placement, size_t index)
{
    struct frame *frame = *bucket(reads, placement, index);
    while (frame != NULL && (frame->placement != placement || frame->index != index))
        frame = frame->next_same;
    return frame;
}

static void take_out(struct cold_reads *reads, struct frame *frame)
{
    struct frame **at = bucket(reads, frame->placement, frame->index);
    while (*at != frame)
        at = &(*at)->next_same;
    *at = frame->next_same;
}

// ---- slots ------------------------------------------------------------------------

void *slot_take(struct cold_reads *reads)
{
    assert(reads->slots_used < reads->slots);
    void *slot;
    if (reads->slots_idle > 0) {
        slot = reads->idle_slots[--reads->slots_idle];
    } else {
        slot = mmap(NULL, COLD_SLOT_SIZE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (slot == MAP_FAILED)
            abort(); // as alloc.h does when memory is out
    }
    reads->slots_used++;
    if (reads->slots_used > reads->slots_most)
        reads->slots_most = reads->slots_used;
    return slot;
}

static void slot_give(struct cold_reads *reads, unsigned char **slot)
{
    if (*slot == NULL)
        return;
    reads->idle_slots[reads->slots_idle++] = *slot;
    reads->slots_used--;
    *slot = NULL;
}

// ---- frames -----------------------------------------------------------------------

static struct frame *frame_new(struct cold_reader *reader, size_t index)
{
    struct cold_reads *reads = reader->reads;
    struct frame *frame = alloc_zero(sizeof *frame);
    frame->placement = reader->placement;
    frame->index = index;
    frame->copy = cold_copy_hold(reader->copy);
    frame->extent = cold_copy_extent(reader->copy, index);
    frame->begun_for = reader->serial;
    pthread_cond_init(&frame->changed, NULL);
    struct frame **at = bucket(reads, frame->placement, index);
    frame->next_same = *at;
    *at = frame;
    frame_list_append(&reads->queue, frame);
    return frame;
}

struct frame *frame_request(struct cold_reader *reader, size_t index)
{
    struct frame *frame = find(reader->reads, reader->placement, index);
    return frame != NULL ? frame : frame_new(reader, index);
}

static void frame_destroy(struct frame *frame)
{
    cold_copy_release(frame->copy);
    error_clear(&frame->error);
    pthread_cond_destroy(&frame->changed);
    free(frame);
}

void frame_free_unused(struct frame *frame)
{
    if (frame->state == FRAME_FAILED && frame->waiters == 0)
        frame_destroy(frame);
}

void frame_give_stored(struct cold_reads *reads, struct frame *frame)
{
    slot_give(reads, &frame->stored);
}

void frame_give_memory(struct cold_reads *reads, struct frame *frame)
{
    slot_give(reads, &frame->stored);
    slot_give(reads, &frame->bytes);
}

void frame_fail(struct cold_reads *reads, struct frame *frame)
{
    assert(frame->pins == 0 && frame->parts_ended == frame->parts_begun);
    frame_give_memory(reads, frame);
    take_out(reads, frame);
    frame->state = FRAME_FAILED;
    pthread_cond_broadcast(&frame->changed);
    frame_free_unused(frame);
}

void frame_evict(struct cold_reads *reads, struct frame *frame)
{
    frame_list_remove(&reads->ready, frame);
    frame_fail(reads, frame);
}

// ---- the whole --------------------------------------------------------------------

static unsigned processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 2                  ? 2
           : count > DECODERS_MAXIMUM ? DECODERS_MAXIMUM
                                      : (unsigned)count;
}

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct cold_reads *cold_reads_new(const struct cold_reads_options *options)
{
    struct cold_reads *reads = alloc_zero(sizeof *reads);
    pthread_mutex_init(&reads->lock, NULL);
    cond_init(&reads->work);
    cond_init(&reads->decoder);
    reads->slots = options->memory / COLD_SLOT_SIZE;
    if (reads->slots < SLOTS_MINIMUM)
        reads->slots = SLOTS_MINIMUM;
    reads->idle_slots = alloc_array(reads->slots, sizeof *reads->idle_slots);
    reads->threads_maximum = options->threads > 0 ? options->threads : 1;
    reads->threads = alloc_array(reads->threads_maximum, sizeof *reads->threads);
    pthread_getaffinity_np(pthread_self(), sizeof reads->processors,
                           &reads->processors);
    reads->decoders_idle = processors();
    reads->decoders = alloc_array(reads->decoders_idle, sizeof(struct cold_decoder *));
    for (unsigned i = 0; i < reads->decoders_idle; i++)
        reads->decoders[i] = cold_decoder_new();
    return reads;
}

static void stop_threads(struct cold_reads *reads)
{
    pthread_mutex_lock(&reads->lock);
    assert(reads->readers == NULL);
    frames_drop_unwanted(reads);
    reads->stopping = true;
    pthread_cond_broadcast(&reads->work);
    pthread_mutex_unlock(&reads->lock);
    for (unsigned i = 0; i < reads->threads_count; i++)
        pthread_join(reads->threads[i], NULL);
}

void cold_reads_free(struct cold_reads *reads)
{
    if (reads == NULL)
        return;
    stop_threads(reads);
    for (struct frame *frame; (frame = reads->fetching.first) != NULL;) {
        frame_list_remove(&reads->fetching, frame);
        frame_fail(reads, frame);
    }
    while (reads->ready.first != NULL)
        frame_evict(reads, reads->ready.first);
    assert(reads->slots_used == 0);
    for (size_t i = 0; i < reads->slots_idle; i++)
        munmap(reads->idle_slots[i], COLD_SLOT_SIZE);
    for (unsigned i = 0; i < reads->decoders_idle; i++)
        cold_decoder_free(reads->decoders[i]);
    free(reads->decoders);
    free(reads->threads);
    free(reads->idle_slots);
    pthread_cond_destroy(&reads->decoder);
    pthread_cond_destroy(&reads->work);
    pthread_mutex_destroy(&reads->lock);
    free(reads);
}

void cold_reads_count(struct cold_reads *reads, struct cold_reads_counts *counts)
{
    LOCK_SCOPE(&reads->lock);
    *counts = reads->counts;
    counts->memory = reads->slots_most * COLD_SLOT_SIZE;
}
