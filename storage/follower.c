// SPDX-License-Identifier: Apache-2.0
#include "storage/follower.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/log.h"

#define BUFFER_SIZE ((size_t)1 << 20)

struct follower {
    struct storage *storage;
    pthread_mutex_t lock; // for the queue
    pthread_cond_t wake;
    struct upload *first, **last; // held, linked by next_queued
    atomic_bool stopping;
    unsigned count;
    pthread_t *threads;
};

// Durable bytes from the first on, without a gap. The upload's lock is held.
static uint64_t prefix_of(const struct upload *u, uint64_t from)
{
    uint64_t part = from / u->part_size;
    while (part < u->parts && u->slots[part].state == PART_DURABLE)
        part++;
    return part == u->parts ? u->size : part * u->part_size;
}

// Reads and hashes at most one buffer before `end`. Only who set `hashing` calls it.
static enum err advance(struct upload *u, char *buffer, uint64_t end, struct error *e)
{
    uint64_t at = chain_hasher_size(u->hasher);
    size_t want = end - at < BUFFER_SIZE ? (size_t)(end - at) : BUFFER_SIZE;
    ssize_t n = pread(u->fd, buffer, want, (off_t)at);
    if (n <= 0)
        return error_set_errno(e, n < 0 ? errno : EIO, "cannot read upload %s", u->id);
    chain_hasher_update(u->hasher, buffer, (size_t)n);
    return ERR_NONE;
}

static bool begin(struct upload *u)
{
    LOCK_SCOPE(&u->lock);
    u->queued = false;
    if (u->hashing || u->state != UPLOAD_OPEN)
        return false;
    u->hashing = true;
    if (u->hasher == NULL)
        u->hasher = chain_hasher_new();
    return true;
}

// Bytes that may be hashed now; false, and no longer hashing, when there are none.
static bool target(struct upload *u, bool failed, uint64_t *end)
{
    LOCK_SCOPE(&u->lock);
    uint64_t at = chain_hasher_size(u->hasher);
    *end = prefix_of(u, at);
    if (!failed && u->state == UPLOAD_OPEN && *end > at)
        return true;
    u->hashing = false;
    pthread_cond_broadcast(&u->changed);
    return false;
}

// A server that stops does not wait for hundreds of gigabytes to be hashed.
static void follow(struct follower *f, struct upload *u, char *buffer)
{
    uint64_t end;
    struct error e = {0};
    enum err err = ERR_NONE;
    if (!begin(u))
        return;
    while (target(u, err != ERR_NONE || atomic_load(&f->stopping), &end))
        err = advance(u, buffer, end, &e);
    if (err != ERR_NONE) // `complete` meets it again and answers
        log_warn("hashing ahead failed", "upload", u->id, "error", e.detail, NULL);
    error_clear(&e);
}

static struct upload *next_queued(struct follower *f)
{
    LOCK_SCOPE(&f->lock);
    while (f->first == NULL && !f->stopping)
        pthread_cond_wait(&f->wake, &f->lock);
    if (f->stopping)
        return NULL;
    struct upload *u = f->first;
    f->first = u->next_queued;
    if (f->first == NULL)
        f->last = &f->first;
    return u;
}

static void *work(void *context)
{
    struct follower *f = context;
    AUTO_FREE char *buffer = alloc_grow(NULL, BUFFER_SIZE, 1);
    struct upload *u;
    while ((u = next_queued(f)) != NULL) {
        follow(f, u, buffer);
        upload_release(f->storage->uploads, u);
    }
    return NULL;
}

struct follower *follower_new(struct storage *storage, unsigned threads)
{
    struct follower *f = alloc_zero(sizeof *f);
    f->storage = storage;
    f->last = &f->first;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->wake, NULL);
    f->threads = alloc_array(threads, sizeof *f->threads);
    while (f->count < threads &&
           pthread_create(&f->threads[f->count], NULL, work, f) == 0)
        f->count++;
    return f;
}

void follower_free(struct follower *f)
{
    if (f == NULL)
        return;
    pthread_mutex_lock(&f->lock);
    f->stopping = true;
    pthread_cond_broadcast(&f->wake);
    pthread_mutex_unlock(&f->lock);
    for (unsigned i = 0; i < f->count; i++)
        pthread_join(f->threads[i], NULL);
    while (f->first != NULL) {
        struct upload *u = f->first;
        f->first = u->next_queued;
        upload_release(f->storage->uploads, u);
    }
    pthread_cond_destroy(&f->wake);
    pthread_mutex_destroy(&f->lock);
    free(f->threads);
    free(f);
}

static bool claim_place(struct upload *u)
{
    LOCK_SCOPE(&u->lock);
    uint64_t at = u->hashing || u->hasher == NULL ? 0 : chain_hasher_size(u->hasher);
    if (u->verifies_parts || u->queued || u->hashing || u->state != UPLOAD_OPEN ||
        prefix_of(u, at) == at)
        return false;
    u->queued = true;
    return true;
}

void follower_wake(struct follower *f, struct upload *u)
{
    if (!claim_place(u))
        return;
    upload_hold_again(f->storage->uploads, u);
    LOCK_SCOPE(&f->lock);
    u->next_queued = NULL;
    *f->last = u;
    f->last = &u->next_queued;
    pthread_cond_signal(&f->wake);
}

enum err follower_finish(struct upload *u, struct chain *chain, struct error *e)
{
    pthread_mutex_lock(&u->lock);
    while (u->hashing)
        pthread_cond_wait(&u->changed, &u->lock);
    u->hashing = true;
    if (u->hasher == NULL)
        u->hasher = chain_hasher_new();
    pthread_mutex_unlock(&u->lock);
    AUTO_FREE char *buffer = alloc_grow(NULL, BUFFER_SIZE, 1);
    enum err err = ERR_NONE;
    while (err == ERR_NONE && chain_hasher_size(u->hasher) < u->size)
        err = advance(u, buffer, u->size, e);
    if (err == ERR_NONE) {
        chain_hasher_finish(u->hasher, chain);
        chain_hasher_free(u->hasher);
    }
    LOCK_SCOPE(&u->lock);
    if (err == ERR_NONE)
        u->hasher = NULL;
    u->hashing = false;
    pthread_cond_broadcast(&u->changed);
    return err;
}
