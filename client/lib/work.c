// SPDX-License-Identifier: Apache-2.0
#include "client/lib/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/fetch.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/direct.h"

#define RUN_CHUNKS 8 // of one request or one check: 32 MiB
#define BUFFER_SIZE ((size_t)1 << 20)

// What a thread does next.
struct task {
    struct item *item;
    enum chunk_state kind; // CHUNK_MISSING or CHUNK_UNCHECKED, else prepare or finish
    bool chunks;
    size_t first;
    size_t count;
};

// By blob, then in the order of the version.
static int item_compare(const void *a, const void *b)
{
    const struct item *x = *(struct item *const *)a;
    const struct item *y = *(struct item *const *)b;
    int order = digest_compare(&x->file->sha256, &y->file->sha256);
    return order != 0 ? order : (x > y) - (x < y);
}

static void find_same(struct work *work)
{
    AUTO_FREE struct item **sorted = alloc_array(work->count, sizeof *sorted);
    for (size_t i = 0; i < work->count; i++)
        sorted[i] = &work->items[i];
    qsort(sorted, work->count, sizeof *sorted, item_compare);
    // A chain of them, one after the other: they share one partial file.
    for (size_t i = 1; i < work->count; i++) {
        if (digest_equal(&sorted[i]->file->sha256, &sorted[i - 1]->file->sha256))
            sorted[i]->same = sorted[i - 1];
    }
}

void work_init(struct work *work, struct strata_client *client, enum work_mode mode,
               const struct version *version, struct destination *to,
               bool (*wanted)(void *context, const char *path), void *context,
               const struct strata_watch *watch)
{
    *work = (struct work){.client = client, .mode = mode, .to = to, .watch = watch};
    pthread_mutex_init(&work->mutex, NULL);
    pthread_cond_init(&work->changed, NULL);
    work->items = alloc_array(version->count, sizeof *work->items);
    for (size_t i = 0; i < version->count; i++) {
        const struct version_file *file = &version->files[i];
        if (wanted != NULL && !wanted(context, file->path))
            continue;
        work->items[work->count++] =
            (struct item){.file = file, .fd = -1, .direct_fd = -1};
        work->progress.total += file->size;
    }
    work->progress.files = work->count;
    find_same(work);
}

static void item_reset(struct item *item)
{
    chain_clear(&item->chain);
    free(item->chunks);
    item->chunks = NULL;
    if (item->fd >= 0)
        close(item->fd);
    if (item->direct_fd >= 0)
        close(item->direct_fd);
    item->fd = item->direct_fd = -1;
    item->done = item->cursor = 0;
}

void work_clear(struct work *work)
{
    for (size_t i = 0; i < work->count; i++)
        item_reset(&work->items[i]);
    free(work->items);
    pthread_cond_destroy(&work->changed);
    pthread_mutex_destroy(&work->mutex);
}

// With the mutex held.
static void show_progress(struct work *work)
{
    if (work->watch != NULL && work->watch->progress != NULL)
        work->watch->progress(work->watch->context, &work->progress);
}

static void work_fail(struct work *work, enum strata_status status,
                      const struct strata_error *e)
{
    LOCK_SCOPE(&work->mutex);
    if (work->status == STRATA_OK) {
        work->status = status;
        work->error = *e;
    }
    atomic_store(&work->cancel, true);
    pthread_cond_broadcast(&work->changed);
}

static bool take_run(struct item *item, struct task *task)
{
    if (item->phase != ITEM_RUNNING || item->bad)
        return false;
    size_t i = item->cursor;
    while (i < item->chain.count && item->chunks[i] >= CHUNK_BUSY)
        i++;
    item->cursor = i;
    if (i == item->chain.count)
        return false;
    *task = (struct task){.item = item, .chunks = true, .first = i};
    task->kind = item->chunks[i];
    while (task->count < RUN_CHUNKS && i < item->chain.count &&
           item->chunks[i] == task->kind) {
        item->chunks[i++] = CHUNK_BUSY;
        task->count++;
    }
    item->busy += task->count;
    return true;
}

static bool take_item(struct work *work, struct task *task)
{
    if (work->active >= work->client->jobs)
        return false;
    while (work->next < work->count && work->items[work->next].phase != ITEM_NEW)
        work->next++;
    for (size_t i = work->next; i < work->count; i++) {
        struct item *item = &work->items[i];
        if (item->phase != ITEM_NEW ||
            (item->same != NULL && item->same->phase != ITEM_DONE))
            continue;
        item->phase = ITEM_PREPARING;
        work->active++;
        if (i >= work->end)
            work->end = i + 1;
        *task = (struct task){.item = item};
        return true;
    }
    return false;
}

static bool take_task(struct work *work, struct task *task)
{
    LOCK_SCOPE(&work->mutex);
    while (!atomic_load(&work->cancel) && work->done < work->count) {
        for (size_t i = work->first; i < work->end; i++) {
            if (take_run(&work->items[i], task))
                return true;
        }
        if (take_item(work, task))
            return true;
        pthread_cond_wait(&work->changed, &work->mutex);
    }
    return false;
}

// With the mutex held.
static void item_end(struct work *work, struct item *item)
{
    item->phase = ITEM_DONE;
    work->active--;
    work->done++;
    work->progress.files_done = work->done;
    while (work->first < work->end && work->items[work->first].phase == ITEM_DONE)
        work->first++;
    show_progress(work);
    pthread_cond_broadcast(&work->changed);
}

static enum strata_status finish(struct work *work, struct item *item,
                                 struct strata_error *e)
{
    enum strata_status status = work_item_finish(work, item, e);
    if (status != STRATA_OK)
        return status;
    LOCK_SCOPE(&work->mutex);
    if (item->existing)
        work->kept += item->file->size;
    item_reset(item);
    item_end(work, item);
    return STRATA_OK;
}

static enum strata_status prepare(struct work *work, struct item *item,
                                  struct strata_error *e)
{
    enum item_phase verdict = ITEM_DONE;
    enum strata_status status = work_item_prepare(work, item, &verdict, e);
    if (status != STRATA_OK)
        return status;
    LOCK_SCOPE(&work->mutex);
    if (verdict == ITEM_DONE)
        item_end(work, item);
    else
        item->phase = ITEM_RUNNING;
    pthread_cond_broadcast(&work->changed);
    return STRATA_OK;
}

// A wrong chunk of a file under its final name: verify reports it, pull takes the
// file anew. With the mutex held and no chunk busy.
static void item_give_up(struct work *work, struct item *item)
{
    bool anew = work->mode == WORK_PULL && item->existing;
    uint64_t seen = 0;
    for (size_t i = 0; i < item->chain.count; i++) {
        if (item->chunks[i] == CHUNK_DONE)
            seen += chain_chunk_size(item->file->size, i);
    }
    item_reset(item);
    if (!anew) {
        item_end(work, item);
        return;
    }
    work->progress.checked -= seen;
    work->progress.present -= seen;
    item->bad = item->existing = false;
    item->no_existing = true;
    item->phase = ITEM_NEW;
    work->active--;
    if ((size_t)(item - work->items) < work->next)
        work->next = (size_t)(item - work->items);
}

// One chunk's result.
static void chunk_set(struct work *work, struct item *item, size_t chunk,
                      enum chunk_state state, bool from_disk)
{
    LOCK_SCOPE(&work->mutex);
    item->chunks[chunk] = (uint8_t)state;
    item->busy--;
    if (state != CHUNK_DONE) {
        if (chunk < item->cursor)
            item->cursor = chunk;
        return;
    }
    item->done++;
    size_t size = chain_chunk_size(item->file->size, chunk);
    if (from_disk) {
        work->progress.checked += size;
        work->progress.present += size;
    } else {
        work->progress.moved += size;
    }
    show_progress(work);
}

// Marks a file as bad, with the reason for people.
static void item_bad(struct work *work, struct item *item, const char *problem)
{
    LOCK_SCOPE(&work->mutex);
    item->bad = true;
    if (item->problem[0] == '\0')
        snprintf(item->problem, sizeof item->problem, "%s", problem);
}

static enum strata_status read_chunk(struct work *work, const struct item *item,
                                     size_t chunk, char *buffer, size_t *size,
                                     struct strata_error *e)
{
    *size = 0;
    size_t wanted = chain_chunk_size(item->file->size, chunk);
    while (*size < wanted) {
        off_t offset = (off_t)(chunk * CHAIN_CHUNK_SIZE + *size);
        ssize_t got = pread(item->fd, buffer + *size, wanted - *size, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_errno(e, errno, "%s/%s", work->to->path, item->file->path);
        if (got == 0)
            break; // shorter than it was a moment ago
        *size += (size_t)got;
    }
    return STRATA_OK;
}

static enum strata_status run_check(struct work *work, const struct task *task,
                                    struct strata_error *e)
{
    struct item *item = task->item;
    AUTO_FREE char *buffer = alloc_zero((size_t)CHAIN_CHUNK_SIZE);
    for (size_t i = task->first; i < task->first + task->count; i++) {
        size_t size = 0;
        enum strata_status status = read_chunk(work, item, i, buffer, &size, e);
        if (status != STRATA_OK)
            return status;
        bool good = chain_check_chunk(&item->chain, i, buffer, size);
        if (!good && item->existing) {
            char problem[64];
            snprintf(problem, sizeof problem, "chunk %zu does not match", i);
            item_bad(work, item, problem);
        }
        chunk_set(work, item, i, good ? CHUNK_DONE : CHUNK_MISSING, true);
    }
    return STRATA_OK;
}

struct receiver {
    struct work *work;
    struct item *item;
    size_t checked;
    char *buffer;    // gathers what goes past the page cache; NULL: nothing does
    size_t buffered; // bytes in it
    uint64_t offset; // of its first byte in the file
};

static enum strata_status put(const struct receiver *receiver, uint64_t offset,
                              const void *bytes, size_t size, struct strata_error *e)
{
    const struct item *item = receiver->item;
    if (direct_write(item->direct_fd, item->fd, bytes, size, offset))
        return STRATA_OK;
    return fail_errno(e, errno, "%s/%s", receiver->work->to->path, item->file->path);
}

static enum strata_status flush(struct receiver *receiver, struct strata_error *e)
{
    size_t size = receiver->buffered;
    uint64_t offset = receiver->offset;
    receiver->offset += size;
    receiver->buffered = 0;
    return put(receiver, offset, receiver->buffer, size, e);
}

static enum strata_status gather(struct receiver *receiver, uint64_t offset,
                                 const char *bytes, size_t size, struct strata_error *e)
{
    if (offset != receiver->offset + receiver->buffered) { // a chunk comes again
        receiver->offset = offset;
        receiver->buffered = 0;
    }
    while (size > 0) {
        size_t room = BUFFER_SIZE - receiver->buffered;
        size_t piece = size < room ? size : room;
        memcpy(receiver->buffer + receiver->buffered, bytes, piece);
        receiver->buffered += piece;
        bytes += piece;
        size -= piece;
        enum strata_status status =
            receiver->buffered == BUFFER_SIZE ? flush(receiver, e) : STRATA_OK;
        if (status != STRATA_OK)
            return status;
    }
    return STRATA_OK;
}

static enum strata_status on_bytes(void *context, uint64_t offset, const void *bytes,
                                   size_t size, struct strata_error *e)
{
    struct receiver *receiver = context;
    if (receiver->item->fd < 0)
        return STRATA_OK; // verify keeps nothing
    if (receiver->buffer != NULL)
        return gather(receiver, offset, bytes, size, e);
    return put(receiver, offset, bytes, size, e);
}

static enum strata_status on_chunk(void *context, size_t chunk, struct strata_error *e)
{
    struct receiver *receiver = context;
    // What is left is the end of the file: a chunk is a number of whole buffers.
    enum strata_status status = receiver->buffered > 0 ? flush(receiver, e) : STRATA_OK;
    if (status != STRATA_OK)
        return status;
    receiver->checked++;
    chunk_set(receiver->work, receiver->item, chunk, CHUNK_DONE, false);
    return STRATA_OK;
}

static enum strata_status run_fetch(struct work *work, const struct task *task,
                                    struct strata_error *e)
{
    struct item *item = task->item;
    AUTO_FREE char *buffer = item->direct_fd >= 0 ? direct_buffer(BUFFER_SIZE) : NULL;
    struct receiver receiver = {.work = work, .item = item, .buffer = buffer};
    const struct fetch fetch = {
        .client = work->client,
        .chain = &item->chain,
        .cancel = &work->cancel,
        .take = on_bytes,
        .checked = on_chunk,
        .context = &receiver,
    };
    enum strata_status status = fetch_chunks(&fetch, task->first, task->count, e);
    bool finding = status == STRATA_CORRUPT || status == STRATA_NOT_FOUND;
    if (finding && work->mode == WORK_VERIFY_SERVER) {
        item_bad(work, item, e->detail);
        for (size_t i = receiver.checked; i < task->count; i++)
            chunk_set(work, item, task->first + i, CHUNK_MISSING, false);
        return STRATA_OK;
    }
    // Writing begins now, so that the sync at the end does not wait for all of it.
    if (status == STRATA_OK && item->fd >= 0) {
        sync_file_range(item->fd, (off_t)(task->first * CHAIN_CHUNK_SIZE),
                        (off_t)(task->count * CHAIN_CHUNK_SIZE), SYNC_FILE_RANGE_WRITE);
    }
    return status;
}

static enum strata_status run_chunks(struct work *work, const struct task *task,
                                     struct strata_error *e)
{
    struct item *item = task->item;
    enum strata_status status = task->kind == CHUNK_MISSING ? run_fetch(work, task, e)
                                                            : run_check(work, task, e);
    if (status != STRATA_OK)
        return status;
    {
        LOCK_SCOPE(&work->mutex);
        bool whole = item->done == item->chain.count;
        pthread_cond_broadcast(&work->changed);
        if (item->busy > 0 || item->phase != ITEM_RUNNING || (!whole && !item->bad))
            return STRATA_OK;
        if (item->bad) {
            item_give_up(work, item);
            return STRATA_OK;
        }
        item->phase = ITEM_FINISHING;
    }
    return finish(work, item, e);
}

static void *worker(void *context)
{
    struct work *work = context;
    struct task task;
    while (take_task(work, &task)) {
        struct strata_error e = {0};
        enum strata_status status =
            task.chunks ? run_chunks(work, &task, &e) : prepare(work, task.item, &e);
        if (status != STRATA_OK)
            work_fail(work, status, &e);
    }
    return NULL;
}

enum strata_status work_run(struct work *work, struct strata_error *e)
{
    size_t count = work->client->jobs;
    AUTO_FREE pthread_t *threads = alloc_array(count, sizeof *threads);
    size_t started = 0;
    while (started < count &&
           pthread_create(&threads[started], NULL, worker, work) == 0)
        started++;
    if (started == 0)
        worker(work);
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    if (work->status != STRATA_OK && e != NULL)
        *e = work->error;
    return work->status;
}
