// SPDX-License-Identifier: Apache-2.0
// Chunks are read by several threads into a ring of buffers and handed on in order by
// the caller's own thread.
#include <pthread.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/direct.h"
#include "common/format/cold.h"
#include "storage/chunk_reader.h"

#define THREADS_MAXIMUM 16

enum slot_state { SLOT_FREE, SLOT_READING, SLOT_READY, SLOT_FAILED };

struct slot {
    enum slot_state state;
    size_t index;
    void *bytes;
    struct error e;
};

struct ring {
    const struct chunk_scan *scan;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count;  // chunks of the blob
    size_t next;   // that nobody has begun to read
    size_t handed; // that the sink has had
    bool stopping;
    unsigned slots_count;
    struct slot slots[2 * THREADS_MAXIMUM];
};

static bool is_cancelled(const struct chunk_scan *scan)
{
    return scan->cancel != NULL && atomic_load(scan->cancel);
}

static enum err cancelled(struct error *e)
{
    return error_set(e, ERR_UNAVAILABLE, "cancelled");
}

static enum err hand_on(const struct chunk_scan *scan, size_t index, const void *bytes,
                        struct error *e)
{
    size_t size = chain_chunk_size(scan->chain->size, index);
    enum err err =
        scan->sink != NULL ? scan->sink(scan->context, bytes, size, e) : ERR_NONE;
    if (err == ERR_NONE && scan->done != NULL)
        atomic_fetch_add(scan->done, size);
    return err;
}

static enum err get(const struct chunk_scan *scan, size_t index, void *bytes,
                    struct error *e)
{
    size_t size = chain_chunk_size(scan->chain->size, index);
    throttle_take(scan->throttle, size, scan->cancel);
    if (is_cancelled(scan))
        return cancelled(e);
    enum err err = ERR_COLD_UNREADABLE;
    if (scan->unchecked && chunk_reader_encoded_size(scan->reader) == 0)
        err = chunk_reader_read_stored(scan->reader, index * CHAIN_CHUNK_SIZE, bytes,
                                       size, e);
    if (err != ERR_COLD_UNREADABLE)
        return err;
    error_clear(e); // what a device does not give may come the next time
    return chunk_reader_get(scan->reader, index, bytes, e);
}

static enum err run_alone(const struct chunk_scan *scan, struct error *e)
{
    AUTO_FREE void *bytes = direct_buffer(CHAIN_CHUNK_SIZE);
    enum err err = ERR_NONE;
    for (size_t i = 0; i < scan->chain->count && err == ERR_NONE; i++) {
        err = get(scan, i, bytes, e);
        if (err == ERR_NONE)
            err = hand_on(scan, i, bytes, e);
    }
    return err;
}

// The next chunk and a slot for it; NULL when there is nothing more to read.
static struct slot *take_work(struct ring *ring)
{
    LOCK_SCOPE(&ring->lock);
    for (;;) {
        if (ring->stopping || ring->next == ring->count)
            return NULL;
        struct slot *slot = &ring->slots[ring->next % ring->slots_count];
        if (slot->state == SLOT_FREE) {
            slot->state = SLOT_READING;
            slot->index = ring->next++;
            return slot;
        }
        pthread_cond_wait(&ring->changed, &ring->lock);
    }
}

static void *read_ahead(void *context)
{
    struct ring *ring = context;
    struct slot *slot;
    throttle_thread();
    while ((slot = take_work(ring)) != NULL) {
        enum err err = get(ring->scan, slot->index, slot->bytes, &slot->e);
        LOCK_SCOPE(&ring->lock);
        slot->state = err == ERR_NONE ? SLOT_READY : SLOT_FAILED;
        pthread_cond_broadcast(&ring->changed);
    }
    return NULL;
}

static enum err await(struct ring *ring, struct slot *slot, struct error *e)
{
    LOCK_SCOPE(&ring->lock);
    while (slot->state == SLOT_FREE || slot->state == SLOT_READING)
        pthread_cond_wait(&ring->changed, &ring->lock);
    if (slot->state == SLOT_READY)
        return ERR_NONE;
    return error_set(e, slot->e.code, "%s", slot->e.detail);
}

static enum err consume(struct ring *ring, struct error *e)
{
    enum err err = ERR_NONE;
    while (ring->handed < ring->count && err == ERR_NONE) {
        struct slot *slot = &ring->slots[ring->handed % ring->slots_count];
        err = await(ring, slot, e);
        if (err == ERR_NONE)
            err = hand_on(ring->scan, ring->handed, slot->bytes, e);
        LOCK_SCOPE(&ring->lock);
        ring->handed++;
        slot->state = SLOT_FREE;
        pthread_cond_broadcast(&ring->changed);
    }
    return err;
}

static void stop(struct ring *ring)
{
    LOCK_SCOPE(&ring->lock);
    ring->stopping = true;
    pthread_cond_broadcast(&ring->changed);
}

static void ring_init(struct ring *ring, const struct chunk_scan *scan,
                      unsigned threads)
{
    *ring = (struct ring){.scan = scan,
                          .count = scan->chain->count,
                          .slots_count = threads + threads / 2 + 1};
    pthread_mutex_init(&ring->lock, NULL);
    pthread_cond_init(&ring->changed, NULL);
    for (unsigned i = 0; i < ring->slots_count; i++)
        ring->slots[i].bytes = direct_buffer(CHAIN_CHUNK_SIZE);
}

static void ring_clear(struct ring *ring)
{
    for (unsigned i = 0; i < ring->slots_count; i++) {
        free(ring->slots[i].bytes);
        error_clear(&ring->slots[i].e);
    }
    pthread_cond_destroy(&ring->changed);
    pthread_mutex_destroy(&ring->lock);
}

enum err chunk_scan_run(const struct chunk_scan *scan, struct error *e)
{
    unsigned threads = scan->threads;
    if (threads > THREADS_MAXIMUM)
        threads = THREADS_MAXIMUM;
    if (threads > scan->chain->count)
        threads = (unsigned)scan->chain->count;
    if (threads <= 1)
        return run_alone(scan, e);
    struct ring ring;
    pthread_t made[THREADS_MAXIMUM];
    unsigned count = 0;
    ring_init(&ring, scan, threads);
    while (count < threads &&
           pthread_create(&made[count], NULL, read_ahead, &ring) == 0)
        count++;
    enum err err = count > 0 ? consume(&ring, e) : run_alone(scan, e);
    stop(&ring);
    for (unsigned i = 0; i < count; i++)
        pthread_join(made[i], NULL);
    ring_clear(&ring);
    return err;
}

// ---- an encoded copy whole ----------------------------------------------------------

static enum err read_stored(void *context, uint64_t offset, void *bytes, size_t size,
                            struct error *e)
{
    const struct chunk_scan *scan = context;
    throttle_take(scan->throttle, size, scan->cancel);
    return is_cancelled(scan)
               ? cancelled(e)
               : chunk_reader_read_stored(scan->reader, offset, bytes, size, e);
}

static enum err count_decoded(void *context, const void *bytes, size_t size,
                              struct error *e)
{
    const struct chunk_scan *scan = context;
    (void)bytes;
    (void)e;
    if (scan->done != NULL)
        atomic_fetch_add(scan->done, size);
    return ERR_NONE;
}

enum err chunk_scan_verify(const struct chunk_scan *scan, struct error *e)
{
    struct chunk_scan copy = *scan;
    uint64_t stored_size = chunk_reader_encoded_size(scan->reader);
    if (stored_size == 0)
        return chunk_scan_run(&copy, e);
    const struct cold_decode_request request = {.stored_size = stored_size,
                                                .read = read_stored,
                                                .write = count_decoded,
                                                .context = &copy,
                                                .threads = scan->threads};
    struct digest wanted, digest;
    uint64_t size = 0;
    chain_digest(scan->chain, &wanted);
    enum err err = cold_decode(&request, &digest, &size, e);
    if (err == ERR_NONE && !digest_equal(&wanted, &digest))
        err = error_set(e, ERR_DIGEST_MISMATCH, "it is another blob's copy");
    return err;
}
