// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_writer.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "storage/s3_multipart.h"
#include "storage/s3_object.h"

#define SLOTS_MAXIMUM 4
#define SLOTS_MINIMUM 2
#define BUFFERS_MAXIMUM ((uint64_t)64 << 20)

enum slot_state { SLOT_FREE, SLOT_FULL, SLOT_SENDING };

// A buffer of one part, and the thread that sends it.
struct slot {
    struct s3_writer *writer;
    enum slot_state state;
    unsigned number; // of the part
    char *bytes;
    size_t size;
    pthread_t thread;
};

struct s3_writer {
    struct s3_client *client;
    char *key;
    uint64_t bound, part_size, written;
    struct slot slots[SLOTS_MAXIMUM];
    size_t slot_count;
    struct slot *filling; // NULL: the next write takes a free one
    unsigned part_count;  // that were handed over
    bool is_multipart;    // begun, and its threads run
    struct s3_multipart multipart;
    bool finished;

    pthread_mutex_t mutex; // the states of the slots, and what follows
    pthread_cond_t changed;
    bool stopping;
    struct error failure; // the first; code ERR_NONE: none
};

static size_t buffer_size(const struct s3_writer *w)
{
    return (size_t)(w->bound < w->part_size ? w->bound : w->part_size);
}

struct s3_writer *s3_writer_new(struct s3_client *client, const char *key,
                                uint64_t bound, uint64_t part_size)
{
    struct s3_writer *w = alloc_zero(sizeof *w);
    uint64_t slots = BUFFERS_MAXIMUM / part_size;
    *w = (struct s3_writer){.client = client,
                            .key = alloc_copy(key),
                            .bound = bound,
                            .part_size = part_size,
                            .slot_count = slots > SLOTS_MAXIMUM   ? SLOTS_MAXIMUM
                                          : slots < SLOTS_MINIMUM ? SLOTS_MINIMUM
                                                                  : (size_t)slots};
    for (size_t i = 0; i < w->slot_count; i++)
        w->slots[i].writer = w;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    return w;
}

// ---- sending ----------------------------------------------------------------------

static void keep_failure(struct s3_writer *w, struct error *e)
{
    LOCK_SCOPE(&w->mutex);
    if (w->failure.code == ERR_NONE)
        error_move(&w->failure, e);
    error_clear(e);
    pthread_cond_broadcast(&w->changed);
}

static enum err failed(struct s3_writer *w, struct error *e)
{
    LOCK_SCOPE(&w->mutex);
    if (w->failure.code == ERR_NONE)
        return ERR_NONE;
    return error_set(e, w->failure.code, "%s", w->failure.detail);
}

// False: there is nothing more to send.
static bool wait_full(struct s3_writer *w, struct slot *slot)
{
    LOCK_SCOPE(&w->mutex);
    while (slot->state != SLOT_FULL && !w->stopping)
        pthread_cond_wait(&w->changed, &w->mutex);
    if (slot->state != SLOT_FULL || w->failure.code != ERR_NONE)
        return false;
    slot->state = SLOT_SENDING;
    return true;
}

static void set_state(struct s3_writer *w, struct slot *slot, enum slot_state state)
{
    LOCK_SCOPE(&w->mutex);
    slot->state = state;
    pthread_cond_broadcast(&w->changed);
}

// Who writes may have stepped aside from users for a moment (storage/throttle.h).
static void run_anywhere(void)
{
    cpu_set_t all;
    if (sched_getaffinity(getpid(), sizeof all, &all) == 0)
        pthread_setaffinity_np(pthread_self(), sizeof all, &all);
}

static void *send_parts(void *context)
{
    struct slot *slot = context;
    struct s3_writer *w = slot->writer;
    run_anywhere();
    while (wait_full(w, slot)) {
        struct error e = {0};
        if (s3_multipart_put(&w->multipart, slot->number, slot->bytes, slot->size,
                             &e) != ERR_NONE)
            keep_failure(w, &e);
        set_state(w, slot, SLOT_FREE);
    }
    return NULL;
}

// ---- filling ----------------------------------------------------------------------

static struct slot *find_free(struct s3_writer *w)
{
    for (size_t i = 0; i < w->slot_count; i++) {
        if (w->slots[i].state == SLOT_FREE)
            return &w->slots[i];
    }
    return NULL;
}

// Waits for a free one; NULL after a failure.
static struct slot *take_slot(struct s3_writer *w)
{
    LOCK_SCOPE(&w->mutex);
    struct slot *slot;
    while ((slot = find_free(w)) == NULL && w->failure.code == ERR_NONE)
        pthread_cond_wait(&w->changed, &w->mutex);
    return w->failure.code == ERR_NONE ? slot : NULL;
}

static enum err begin(struct s3_writer *w, struct error *e)
{
    size_t parts = (size_t)((w->bound + w->part_size - 1) / w->part_size);
    enum err err = s3_multipart_begin(w->client, w->key, parts, &w->multipart, e);
    if (err != ERR_NONE)
        return err;
    size_t started = 0;
    while (started < w->slot_count &&
           pthread_create(&w->slots[started].thread, NULL, send_parts,
                          &w->slots[started]) == 0)
        started++;
    w->is_multipart = true;
    if (started == w->slot_count)
        return ERR_NONE;
    w->slot_count = started; // those that run are ended as usual
    return error_set(e, ERR_UNAVAILABLE, "no thread for a part of %s", w->key);
}

static enum err hand_over(struct s3_writer *w, struct error *e)
{
    struct slot *slot = w->filling;
    enum err err = w->is_multipart ? ERR_NONE : begin(w, e);
    if (err != ERR_NONE)
        return err;
    slot->number = ++w->part_count;
    w->filling = NULL;
    set_state(w, slot, SLOT_FULL);
    return ERR_NONE;
}

static enum err next_slot(struct s3_writer *w, struct error *e)
{
    enum err err = ERR_NONE;
    if (w->filling != NULL && w->filling->size == buffer_size(w))
        err = hand_over(w, e);
    if (err != ERR_NONE || w->filling != NULL)
        return err;
    w->filling = take_slot(w);
    if (w->filling == NULL)
        return failed(w, e);
    if (w->filling->bytes == NULL)
        w->filling->bytes = alloc_zero(buffer_size(w));
    w->filling->size = 0;
    return ERR_NONE;
}

static enum err put_bytes(struct s3_writer *w, const char *bytes, size_t size,
                          struct error *e)
{
    while (size > 0) {
        enum err err = next_slot(w, e);
        if (err != ERR_NONE)
            return err;
        size_t room = buffer_size(w) - w->filling->size;
        size_t n = size < room ? size : room;
        memcpy(w->filling->bytes + w->filling->size, bytes, n);
        w->filling->size += n;
        w->written += n;
        bytes += n;
        size -= n;
    }
    return ERR_NONE;
}

enum err s3_writer_write(struct s3_writer *w, const void *bytes, size_t size,
                         struct error *e)
{
    assert(!w->finished);
    enum err err = failed(w, e);
    if (err != ERR_NONE)
        return err;
    struct error why = {0};
    if (size > w->bound - w->written)
        err = error_set(&why, ERR_INTERNAL, "%s is over its bound", w->key);
    else
        err = put_bytes(w, bytes, size, &why);
    if (err == ERR_NONE)
        return ERR_NONE;
    keep_failure(w, &why);
    return failed(w, e);
}

// ---- ending -----------------------------------------------------------------------

// What is full is still sent, unless a part has failed.
static void join(struct s3_writer *w)
{
    if (!w->is_multipart)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stopping = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    for (size_t i = 0; i < w->slot_count; i++)
        pthread_join(w->slots[i].thread, NULL);
    w->is_multipart = false;
}

static enum err finish_multipart(struct s3_writer *w, struct error *e)
{
    enum err err = w->filling != NULL ? hand_over(w, e) : ERR_NONE;
    join(w);
    if (err == ERR_NONE)
        err = failed(w, e);
    if (err == ERR_NONE)
        err = s3_multipart_complete(&w->multipart, w->part_count, e);
    if (err == ERR_NONE)
        err = s3_object_confirm(w->client, w->key, w->written, e);
    return err;
}

enum err s3_writer_finish(struct s3_writer *w, struct error *e)
{
    assert(!w->finished);
    enum err err = failed(w, e);
    if (err != ERR_NONE)
        return err;
    const struct slot *slot = w->filling;
    if (w->is_multipart)
        err = finish_multipart(w, e);
    else
        err = s3_object_put(w->client, w->key, slot != NULL ? slot->bytes : "",
                            slot != NULL ? slot->size : 0, e);
    w->finished = err == ERR_NONE;
    return err;
}

void s3_writer_free(struct s3_writer *w)
{
    if (w == NULL)
        return;
    struct error e = {0};
    if (!w->finished) {
        error_set(&e, ERR_UNAVAILABLE, "given up");
        keep_failure(w, &e);
    }
    join(w);
    if (!w->finished && w->multipart.upload_id != NULL &&
        s3_multipart_abort(w->client, w->key, w->multipart.upload_id, &e) != ERR_NONE)
        log_debug("an upload that was given up stays", "error", e.detail, NULL);
    error_clear(&e);
    error_clear(&w->failure);
    s3_multipart_clear(&w->multipart);
    for (size_t i = 0; i < SLOTS_MAXIMUM; i++)
        free(w->slots[i].bytes);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    free(w->key);
    free(w);
}
