// SPDX-License-Identifier: Apache-2.0
#include "storage/mover.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "storage/placement_drop.h"
#include "storage/throttle.h"

#define PAUSE_MS 1000 // between two looks at the queue when nobody wakes
#define MOVERS_MAXIMUM 64
#define TIDY_MS (60 * 1000)

struct claimed {
    int64_t id; // 0: ended
    bool cancel;
};

struct mover {
    struct movers *all;
    pthread_t thread;
    bool urgent; // takes only what people wait for
    bool claiming;
    int claimed_count;
    struct claimed claimed[MOVES_CLAIMED_MAXIMUM];
    struct running_move running;
};

struct movers {
    struct storage *storage;
    struct throttle *throttle;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    unsigned wakes; // counts calls, so that none is missed
    bool stopping;
    bool tidying;       // nobody claims meanwhile
    int64_t tidy_at_ms; // some row may say that a move runs which nobody runs
    unsigned count;
    struct mover movers[MOVERS_MAXIMUM];
};

// ---- one mover ----------------------------------------------------------------------

static bool is_stopping(struct movers *all)
{
    LOCK_SCOPE(&all->lock);
    return all->stopping;
}

static bool begin(struct mover *m, struct claimed *claimed)
{
    LOCK_SCOPE(&m->all->lock);
    atomic_store(&m->running.done, 0);
    atomic_store(&m->running.cancel, m->all->stopping || claimed->cancel);
    atomic_store(&m->running.verifying, false);
    m->running.began_ms = clock_monotonic_ms();
    m->running.id = claimed->id;
    return !m->all->stopping;
}

// `recorded`: the row says so.
static void finish(struct mover *m, struct claimed *claimed, bool recorded)
{
    LOCK_SCOPE(&m->all->lock);
    m->running.id = 0;
    claimed->id = 0;
    if (!recorded)
        m->all->tidy_at_ms = 0;
}

// ---- claims ---------------------------------------------------------------------

static bool begin_claim(struct mover *m)
{
    LOCK_SCOPE(&m->all->lock);
    m->claiming = !m->all->stopping && !m->all->tidying;
    return m->claiming;
}

static void end_claim(struct mover *m, const struct move *moves, int count, bool known)
{
    LOCK_SCOPE(&m->all->lock);
    m->claiming = false;
    m->claimed_count = count;
    for (int i = 0; i < count; i++)
        m->claimed[i] = (struct claimed){moves[i].id, moves[i].is_cancelled};
    if (!known)
        m->all->tidy_at_ms = 0;
}

// What runs here, as an array's text; NULL: it is not the time to tidy.
static char *begin_tidying(struct movers *all)
{
    LOCK_SCOPE(&all->lock);
    bool busy = all->stopping || all->tidying || clock_monotonic_ms() < all->tidy_at_ms;
    for (unsigned i = 0; i < all->count; i++)
        busy = busy || all->movers[i].claiming;
    if (busy)
        return NULL;
    all->tidying = true;
    struct buf text;
    buf_init(&text, 0);
    buf_putc(&text, '{');
    for (unsigned i = 0; i < all->count; i++) {
        const struct mover *m = &all->movers[i];
        for (int j = 0; j < m->claimed_count; j++)
            buf_printf(&text, "%s%" PRId64, text.size > 1 ? "," : "", m->claimed[j].id);
    }
    buf_putc(&text, '}');
    return buf_steal(&text);
}

// The answer to a claim, or to the end of a move, may be lost with its connection.
static void tidy(struct movers *all)
{
    AUTO_FREE char *running = begin_tidying(all);
    struct error e = {0};
    if (running == NULL)
        return;
    enum err err = move_row_requeue(all->storage, running, &e);
    if (err != ERR_NONE)
        log_debug("moves cannot be queued again yet", "error", e.detail, NULL);
    error_clear(&e);
    LOCK_SCOPE(&all->lock);
    all->tidying = false;
    if (err == ERR_NONE)
        all->tidy_at_ms = clock_monotonic_ms() + TIDY_MS;
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
static bool give_back(struct storage *storage, const struct move *move)
{
    struct error e = {0};
    enum err err = move_row_end(storage, move, MOVE_QUEUED, "", 0, &e);
    if (err != ERR_NONE)
        log_warn("a claimed move is not given back", "move", log_number(move->id),
                 "error", e.detail, NULL);
    error_clear(&e);
    return err == ERR_NONE;
}

static int claim(struct mover *m, struct move moves[MOVES_CLAIMED_MAXIMUM])
{
    struct error e = {0};
    int count = 0;
    if (!begin_claim(m))
        return 0;
    enum err err = move_row_claim(m->all->storage, m->urgent, moves, &count, &e);
    if (err != ERR_NONE)
        log_debug("no move can be claimed", "error", e.detail, NULL);
    end_claim(m, moves, count, err == ERR_NONE);
    error_clear(&e);
    return count;
}

// False when there was nothing to do.
static bool work_once(struct mover *m)
{
    struct storage *storage = m->all->storage;
    struct move *moves = alloc_array(MOVES_CLAIMED_MAXIMUM, sizeof *moves);
    tidy(m->all);
    int count = claim(m, moves);
    for (int i = 0; i < count; i++) {
        bool recorded =
            begin(m, &m->claimed[i])
                ? move_run(storage, &moves[i], &m->running, m->all->throttle)
                : give_back(storage, &moves[i]);
        finish(m, &m->claimed[i], recorded);
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
    LOCK_SCOPE(&all->lock); // none claims before it counts: its moves would be tidied
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
    if (all == NULL || is_stopping(all))
        return;
    tell_stop(all);
    for (unsigned i = 0; i < all->count; i++)
        pthread_join(all->movers[i].thread, NULL);
}

void movers_free(struct movers *all)
{
    if (all == NULL)
        return;
    movers_stop(all);
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
    move->bytes_done =
        atomic_load(&running->verifying) ? move->size / 2 + passed / 2 : passed / 2;
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
    for (unsigned i = 0; i < all->count; i++) {
        struct mover *m = &all->movers[i];
        for (int j = 0; j < m->claimed_count; j++)
            m->claimed[j].cancel = m->claimed[j].cancel || m->claimed[j].id == id;
        if (m->running.id == id)
            atomic_store(&m->running.cancel, true);
    }
}

bool movers_are_stopping(struct storage *storage)
{
    return is_stopping(storage->movers);
}
