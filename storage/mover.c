// SPDX-License-Identifier: Apache-2.0
#include "storage/mover.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "storage/placement_drop.h"
#include "storage/throttle.h"

#define PAUSE_MS 1000 // between two looks at the queue when nobody wakes
#define MOVERS_MAXIMUM 64

struct mover {
    struct movers *all;
    pthread_t thread;
    bool urgent; // takes only what people wait for
    struct running_move running;
};

struct movers {
    struct storage *storage;
    struct throttle *throttle;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    unsigned wakes; // counts calls, so that none is missed
    bool stopping;
    unsigned count;
    struct mover movers[MOVERS_MAXIMUM];
};

// ---- one mover ----------------------------------------------------------------------

static bool is_stopping(struct movers *all)
{
    LOCK_SCOPE(&all->lock);
    return all->stopping;
}

static bool begin(struct mover *m, int64_t id)
{
    LOCK_SCOPE(&m->all->lock);
    atomic_store(&m->running.done, 0);
    atomic_store(&m->running.cancel, m->all->stopping);
    m->running.verifying = false;
    m->running.began_ms = clock_monotonic_ms();
    m->running.id = id;
    return !m->all->stopping;
}

static void finish(struct mover *m)
{
    LOCK_SCOPE(&m->all->lock);
    m->running.id = 0;
}

// Waits for a wake, the time to look again, or the end.
static bool rest(struct mover *m, unsigned *seen)
{
    struct movers *all = m->all;
    struct timespec until = clock_deadline(clock_monotonic_ms() + PAUSE_MS);
    LOCK_SCOPE(&all->lock);
    while (!all->stopping && all->wakes == *seen &&
           pthread_cond_timedwait(&all->wake, &all->lock, &until) == 0)
        continue;
    *seen = all->wakes;
    return !all->stopping;
}

// What was claimed and not begun is queued again.
static void give_back(struct storage *storage, const struct move *move)
{
    struct error e = {0};
    if (move_row_end(storage, move, MOVE_QUEUED, "", 0, &e) != ERR_NONE)
        log_warn("a claimed move is not given back", "move", log_number(move->id),
                 "error", e.detail, NULL);
    error_clear(&e);
}

// False when there was nothing to do.
static bool work_once(struct mover *m)
{
    struct storage *storage = m->all->storage;
    struct move *moves = alloc_array(MOVES_CLAIMED_MAXIMUM, sizeof *moves);
    struct error e = {0};
    int count = 0;
    if (!is_stopping(m->all) &&
        move_row_claim(storage, m->urgent, moves, &count, &e) != ERR_NONE)
        log_debug("no move can be claimed", "error", e.detail, NULL);
    error_clear(&e);
    for (int i = 0; i < count; i++) {
        if (begin(m, moves[i].id))
            move_run(storage, &moves[i], &m->running, m->all->throttle);
        else
            give_back(storage, &moves[i]);
        finish(m);
    }
    free(moves);
    return count > 0;
}

static void *work(void *context)
{
    struct mover *m = context;
    unsigned seen = 0;
    throttle_thread();
    do {
        while (work_once(m))
            continue;
    } while (rest(m, &seen));
    return NULL;
}

// ---- all ----------------------------------------------------------------------------

enum err movers_start(struct storage *storage, struct error *e)
{
    struct movers *all = storage->movers = alloc_zero(sizeof *all);
    all->storage = storage;
    all->throttle = throttle_new(storage->options.move_bandwidth);
    pthread_mutex_init(&all->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&all->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    unsigned wanted = storage->options.movers;
    while (all->count < wanted && all->count < MOVERS_MAXIMUM) {
        struct mover *m = &all->movers[all->count];
        m->all = all;
        m->urgent = all->count == 0 && wanted > 1;
        int errnum = pthread_create(&m->thread, NULL, work, m);
        if (errnum != 0)
            return error_set_errno(e, errnum, "start a mover");
        all->count++;
    }
    return ERR_NONE;
}

static void tell_stop(struct movers *all)
{
    LOCK_SCOPE(&all->lock);
    all->stopping = true;
    for (unsigned i = 0; i < all->count; i++)
        atomic_store(&all->movers[i].running.cancel, true);
    pthread_cond_broadcast(&all->wake);
}

void movers_stop(struct movers *all)
{
    if (all == NULL)
        return;
    tell_stop(all);
    for (unsigned i = 0; i < all->count; i++)
        pthread_join(all->movers[i].thread, NULL);
    throttle_free(all->throttle);
    pthread_cond_destroy(&all->wake);
    pthread_mutex_destroy(&all->lock);
    free(all);
}

struct throttle *movers_throttle(struct movers *movers)
{
    return movers->throttle;
}

void storage_wake_movers(struct storage *storage)
{
    struct movers *all = storage->movers;
    if (all == NULL)
        return;
    LOCK_SCOPE(&all->lock);
    all->wakes++;
    pthread_cond_broadcast(&all->wake);
}

static struct running_move *find(struct movers *all, int64_t id)
{
    for (unsigned i = 0; i < all->count; i++) {
        if (all->movers[i].running.id == id)
            return &all->movers[i].running;
    }
    return NULL;
}

// Half of the way is the copy, half its verification.
static void fill_in(const struct running_move *running, struct move *move)
{
    uint64_t done = atomic_load(&running->done);
    uint64_t passed = done < move->size ? done : move->size;
    move->bytes_done = running->verifying ? move->size / 2 + passed / 2 : passed / 2;
    int64_t taken_ms = clock_monotonic_ms() - running->began_ms;
    if (move->bytes_done > 0)
        move->eta_s = (int64_t)((double)taken_ms / 1000 *
                                (double)(move->size - move->bytes_done) /
                                (double)move->bytes_done);
}

void movers_progress(struct storage *storage, struct move *move)
{
    struct movers *all = storage->movers;
    if (all == NULL || move->finished_us != 0)
        return;
    LOCK_SCOPE(&all->lock);
    const struct running_move *running = find(all, move->id);
    if (running != NULL)
        fill_in(running, move);
}

void movers_cancel(struct storage *storage, int64_t id)
{
    struct movers *all = storage->movers;
    if (all == NULL)
        return;
    LOCK_SCOPE(&all->lock);
    struct running_move *running = find(all, id);
    if (running != NULL)
        atomic_store(&running->cancel, true);
}

bool movers_are_stopping(struct storage *storage)
{
    return is_stopping(storage->movers);
}

int64_t movers_running(struct storage *storage)
{
    struct movers *all = storage->movers;
    int64_t running = 0;
    if (all == NULL)
        return 0;
    LOCK_SCOPE(&all->lock);
    for (unsigned i = 0; i < all->count; i++)
        running += all->movers[i].running.id != 0;
    return running;
}
