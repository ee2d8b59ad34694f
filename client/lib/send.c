// SPDX-License-Identifier: Apache-2.0
#include "client/lib/send.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define RESTARTS_MAXIMUM 3
// Smaller files are hashed before the server has answered a question.
#define STREAM_MINIMUM ((off_t)64 << 20)

// What a sending thread does next.
struct task {
    enum { TASK_START, TASK_STREAM, TASK_PART } kind;
    struct send_item *item;
    size_t part;
};

void send_init(struct send *send, struct strata_client *client, struct source *sources,
               size_t count, const struct strata_watch *watch)
{
    *send = (struct send){.client = client, .watch = watch, .count = count};
    pthread_mutex_init(&send->mutex, NULL);
    pthread_cond_init(&send->changed, NULL);
    send->items = alloc_array(count, sizeof *send->items);
    for (size_t i = 0; i < count; i++) {
        send->items[i] = (struct send_item){.source = &sources[i], .fd = -1};
        send->progress.total += (uint64_t)sources[i].st.st_size;
    }
    send->progress.files = count;
}

void send_clear(struct send *send)
{
    for (size_t i = 0; i < send->count; i++) {
        send_item_close(&send->items[i], false);
        free(send->items[i].states);
    }
    free(send->items);
    pthread_cond_destroy(&send->changed);
    pthread_mutex_destroy(&send->mutex);
}

// With the mutex held.
static void show_progress(struct send *send)
{
    if (send->watch != NULL && send->watch->progress != NULL)
        send->watch->progress(send->watch->context, &send->progress);
}

void send_count(struct send *send, uint64_t moved, uint64_t present)
{
    LOCK_SCOPE(&send->mutex);
    send->progress.moved += moved;
    send->progress.present += present;
    show_progress(send);
}

static void send_fail(struct send *send, enum strata_status status,
                      const struct strata_error *e)
{
    LOCK_SCOPE(&send->mutex);
    if (send->status == STRATA_OK) {
        send->status = status;
        send->error = *e;
    }
    atomic_store(&send->cancel, true);
    pthread_cond_broadcast(&send->changed);
}

// With the mutex held.
static void item_end(struct send *send, struct send_item *item)
{
    item->phase = SEND_DONE;
    send->done++;
    send->progress.files_done = send->done;
    while (send->first < send->count && send->items[send->first].phase == SEND_DONE)
        send->first++;
    show_progress(send);
    pthread_cond_broadcast(&send->changed);
}

// A large file goes out while it is hashed, unless the same may come in this very run.
static bool may_stream(const struct send *send, const struct send_item *item)
{
    off_t size = item->source->st.st_size;
    if (send->dry_run || size < STREAM_MINIMUM)
        return false;
    for (const struct send_item *other = send->items; other < item; other++) {
        if (other->source->st.st_size == size)
            return false;
    }
    return true;
}

// Takes values of the chain in. With the mutex held.
static void take_states(struct send *send, struct send_item *item,
                        const uint8_t *states, size_t count)
{
    size_t before = item->states_count;
    size_t room = chain_count((uint64_t)item->source->st.st_size);
    if (count > room)
        count = room; // the file grows: hashing ends with that error
    if (count == before)
        return;
    memcpy(item->states[before], states + before * CHAIN_STATE_SIZE,
           (count - before) * CHAIN_STATE_SIZE);
    item->states_count = count;
    if (before == 0)
        item->stream = STREAM_WISHED;
    bool ends_part =
        item->part_size > 0 &&
        (count - before > 1 || count * CHAIN_CHUNK_SIZE % item->part_size == 0);
    if (before == 0 || ends_part)
        pthread_cond_broadcast(&send->changed);
}

struct hashing {
    struct send *send;
    struct send_item *item;
};

static void on_hashed(void *context, const struct chain_hasher *hasher, size_t bytes)
{
    struct hashing *hashing = context;
    struct send *send = hashing->send;
    struct send_item *item = hashing->item;
    LOCK_SCOPE(&send->mutex);
    if (item->states != NULL && hasher != NULL) {
        size_t count;
        const uint8_t *states = chain_hasher_states(hasher, &count);
        take_states(send, item, states, count);
    }
    send->progress.checked += bytes;
    show_progress(send);
}

static struct send_item *take_new(struct send *send)
{
    LOCK_SCOPE(&send->mutex);
    while (send->hash_next < send->count && !atomic_load(&send->cancel)) {
        struct send_item *item = &send->items[send->hash_next++];
        item->phase = SEND_HASHING;
        return item;
    }
    return NULL;
}

static bool is_known(const struct send *send, const struct send_item *item)
{
    for (const struct send_item *other = send->items; other < item; other++) {
        if (digest_equal(&other->source->sha256, &item->source->sha256))
            return true;
    }
    return false;
}

static enum strata_status hash(struct send *send, struct send_item *item,
                               struct strata_error *e)
{
    if (item->source->hashed)
        return STRATA_OK;
    if (may_stream(send, item)) {
        uint64_t size = (uint64_t)item->source->st.st_size;
        item->states = alloc_array(chain_count(size), CHAIN_STATE_SIZE);
    }
    struct hashing hashing = {send, item};
    return source_hash(item->source, send->client->state, on_hashed, &hashing,
                       &send->cancel, e);
}

static enum strata_status settle(struct send *send, struct send_item *item,
                                 struct strata_error *e);

// What was sent meanwhile goes on to its end, else a sender may begin.
static enum strata_status hashed(struct send *send, struct send_item *item,
                                 struct strata_error *e)
{
    bool known = is_known(send, item);
    {
        LOCK_SCOPE(&send->mutex);
        while (item->stream == STREAM_ASKING && !atomic_load(&send->cancel))
            pthread_cond_wait(&send->changed, &send->mutex);
        if (item->stream == STREAM_ASKING)
            return STRATA_OK; // cancelled: who asks may still look at the values
        item->hashed = true;
        pthread_cond_broadcast(&send->changed);
        if (item->stream != STREAM_YES) {
            item->stream = STREAM_NO;
            free(item->states); // the source has them all
            item->states = NULL;
            item->same = known;
            item->phase = SEND_HASHED;
            if (known)
                send->progress.present += (uint64_t)item->source->st.st_size;
            if (known || send->dry_run)
                item_end(send, item);
            return STRATA_OK;
        }
        const struct chain *chain = &item->source->chain;
        take_states(send, item, chain->states[0], chain->count);
    }
    return settle(send, item, e); // all parts may be there from the last time
}

// The one thread that hashes, so that the items before a hashed one are hashed as well.
static void *hasher(void *context)
{
    struct send *send = context;
    struct send_item *item;
    while ((item = take_new(send)) != NULL) {
        struct strata_error e = {0};
        enum strata_status status = hash(send, item, &e);
        if (status == STRATA_OK)
            status = hashed(send, item, &e);
        if (status != STRATA_OK) {
            send_fail(send, status, &e);
            break;
        }
    }
    return NULL;
}

// Whether a part can go out: with the values of the chain that it must bring along.
static bool is_ready(const struct send_item *item, size_t part)
{
    return item->hashed || item->stream != STREAM_YES ||
           item->states_count * CHAIN_CHUNK_SIZE >= (part + 1) * item->part_size;
}

static bool take_part(struct send_item *item, struct task *task)
{
    if (item->phase != SEND_RUNNING || item->restart)
        return false;
    while (item->cursor < item->part_count && item->parts[item->cursor] != PART_MISSING)
        item->cursor++;
    if (item->cursor == item->part_count || !is_ready(item, item->cursor))
        return false;
    *task = (struct task){.kind = TASK_PART, .item = item, .part = item->cursor};
    item->parts[item->cursor++] = PART_BUSY;
    item->busy++;
    return true;
}

static void begin_task(struct send_item *item, struct task *task)
{
    bool streams = item->phase == SEND_HASHING;
    if (streams)
        item->stream = STREAM_ASKING;
    else
        item->phase = SEND_STARTING;
    *task = (struct task){.kind = streams ? TASK_STREAM : TASK_START, .item = item};
}

// Parts of a file that is under way come first, then the next file.
static bool take_task(struct send *send, struct task *task)
{
    LOCK_SCOPE(&send->mutex);
    while (!atomic_load(&send->cancel) && send->done < send->count) {
        struct send_item *next = NULL;
        for (size_t i = send->first; i < send->hash_next; i++) {
            struct send_item *item = &send->items[i];
            if (take_part(item, task))
                return true;
            if (next == NULL &&
                (item->phase == SEND_HASHED || item->stream == STREAM_WISHED))
                next = item;
        }
        if (next != NULL) {
            begin_task(next, task);
            return true;
        }
        pthread_cond_wait(&send->changed, &send->mutex);
    }
    return false;
}

// *whole: the item has come to its end.
static enum strata_status complete(struct send *send, struct send_item *item,
                                   bool *whole, struct strata_error *e)
{
    *whole = false;
    enum strata_status status = send_item_complete(send, item, whole, e);
    if (status == STRATA_OK && *whole)
        status = source_check(item->source, e);
    if (status != STRATA_OK)
        return status;
    if (*whole)
        send_item_close(item, true);
    LOCK_SCOPE(&send->mutex);
    if (*whole)
        item_end(send, item);
    else
        item->phase = SEND_RUNNING;
    pthread_cond_broadcast(&send->changed);
    return STRATA_OK;
}

// Whether no part is busy or missing, so that the item is this thread's to end.
static bool is_settled(struct send *send, struct send_item *item)
{
    LOCK_SCOPE(&send->mutex);
    pthread_cond_broadcast(&send->changed);
    bool running = item->phase == SEND_RUNNING && item->busy == 0;
    if (!running || (item->stream == STREAM_YES && !item->hashed && !item->restart))
        return false;
    bool missing = memchr(item->parts, PART_MISSING, item->part_count) != NULL;
    if (missing && !item->restart)
        return false;
    item->phase = SEND_COMPLETING;
    return true;
}

// The upload was lost: the server is asked for another one.
static enum strata_status restart(struct send *send, struct send_item *item,
                                  struct strata_error *e)
{
    if (++item->restarts > RESTARTS_MAXIMUM) {
        return fail_set(e, STRATA_FAILED, "the upload of %s was lost again and again",
                        item->source->path);
    }
    send_item_close(item, true);
    LOCK_SCOPE(&send->mutex);
    item->restart = false;
    item->stream = STREAM_NO;
    item->phase = item->hashed ? SEND_HASHED : SEND_HASHING;
    pthread_cond_broadcast(&send->changed);
    return STRATA_OK;
}

// What an item comes to when no part is busy: more parts, its end, or a fresh start.
static enum strata_status settle(struct send *send, struct send_item *item,
                                 struct strata_error *e)
{
    while (is_settled(send, item)) {
        if (item->restart)
            return restart(send, item, e);
        bool whole;
        enum strata_status status = complete(send, item, &whole, e);
        if (status != STRATA_OK || whole)
            return status;
    }
    return STRATA_OK;
}

static enum strata_status run_start(struct send *send, struct send_item *item,
                                    struct strata_error *e)
{
    bool here = false;
    enum strata_status status = send_item_start(send, item, &here, e);
    if (status == STRATA_OK && here)
        status = source_check(item->source, e);
    if (status != STRATA_OK)
        return status;
    if (here) {
        send_item_close(item, true);
        LOCK_SCOPE(&send->mutex);
        item_end(send, item);
        return STRATA_OK;
    }
    {
        LOCK_SCOPE(&send->mutex);
        item->phase = SEND_RUNNING;
    }
    return settle(send, item, e); // all parts may be there from the last time
}

static enum strata_status run_stream(struct send *send, struct send_item *item,
                                     struct strata_error *e)
{
    bool made = false;
    enum strata_status status = send_item_stream(send, item, &made, e);
    if (status != STRATA_OK)
        return status;
    LOCK_SCOPE(&send->mutex);
    item->stream = made ? STREAM_YES : STREAM_NO;
    if (made)
        item->phase = SEND_RUNNING;
    pthread_cond_broadcast(&send->changed);
    return STRATA_OK;
}

static enum strata_status run_part(struct send *send, const struct task *task,
                                   struct strata_error *e)
{
    struct send_item *item = task->item;
    enum strata_status status = send_item_part(send, item, task->part, e);
    if (status != STRATA_OK)
        return status;
    {
        LOCK_SCOPE(&send->mutex);
        item->busy--;
        if (!item->restart)
            item->parts[task->part] = PART_DONE;
    }
    return settle(send, item, e);
}

static enum strata_status run_task(struct send *send, const struct task *task,
                                   struct strata_error *e)
{
    if (task->kind == TASK_PART)
        return run_part(send, task, e);
    return task->kind == TASK_STREAM ? run_stream(send, task->item, e)
                                     : run_start(send, task->item, e);
}

static void *sender(void *context)
{
    struct send *send = context;
    struct task task;
    while (take_task(send, &task)) {
        struct strata_error e = {0};
        enum strata_status status = run_task(send, &task, &e);
        if (status != STRATA_OK)
            send_fail(send, status, &e);
    }
    return NULL;
}

enum strata_status send_run(struct send *send, struct strata_error *e)
{
    size_t count = 1 + (send->dry_run ? 0 : send->client->jobs);
    AUTO_FREE pthread_t *threads = alloc_array(count, sizeof *threads);
    size_t started = 0;
    while (started < count && pthread_create(&threads[started], NULL,
                                             started == 0 ? hasher : sender, send) == 0)
        started++;
    if (started < 2 && started < count) { // no threads to be had: one after the other
        if (started == 0)
            hasher(send);
        sender(send);
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (send->status != STRATA_OK && e != NULL)
        *e = send->error;
    return send->status;
}
