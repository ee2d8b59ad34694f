// SPDX-License-Identifier: Apache-2.0
#include "common/ordered.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"

struct run {
    const struct ordered_work *work;
    void *context;
    pthread_mutex_t mutex;
    pthread_cond_t turned;
    size_t next;  // piece to be taken
    size_t turn;  // piece to be handed on
    enum err err; // of the first that failed: all end
    struct error e;
};

static bool take(struct run *run, size_t *index)
{
    LOCK_SCOPE(&run->mutex);
    if (run->err != ERR_NONE || run->next == run->work->count)
        return false;
    *index = run->next++;
    return true;
}

// False when a piece before it has failed.
static bool wait_turn(struct run *run, size_t index)
{
    LOCK_SCOPE(&run->mutex);
    while (run->err == ERR_NONE && run->turn != index)
        pthread_cond_wait(&run->turned, &run->mutex);
    return run->err == ERR_NONE;
}

static void pass_turn(struct run *run, enum err err, struct error *e)
{
    LOCK_SCOPE(&run->mutex);
    run->turn++;
    run->err = err;
    error_move(&run->e, e);
    pthread_cond_broadcast(&run->turned);
}

static void *run_thread(void *argument)
{
    struct run *run = argument;
    void *worker = run->work->begin(run->context);
    size_t index;
    while (take(run, &index)) {
        struct error e = {0};
        enum err err = run->work->make(run->context, worker, index, &e);
        if (!wait_turn(run, index)) {
            error_clear(&e);
            break;
        }
        if (err == ERR_NONE)
            err = run->work->emit(run->context, worker, index, &e);
        pass_turn(run, err, &e);
    }
    run->work->end(worker);
    return NULL;
}

enum err ordered_run(const struct ordered_work *work, void *context, struct error *e)
{
    struct run run = {.work = work, .context = context};
    size_t threads = work->threads > 1 ? work->threads : 1;
    if (threads > work->count)
        threads = work->count > 0 ? work->count : 1;
    pthread_mutex_init(&run.mutex, NULL);
    pthread_cond_init(&run.turned, NULL);
    AUTO_FREE pthread_t *others = alloc_array(threads, sizeof *others);
    size_t started = 0;
    // With fewer than asked for, all of it is done as well.
    while (started < threads - 1 &&
           pthread_create(&others[started], NULL, run_thread, &run) == 0)
        started++;
    run_thread(&run);
    for (size_t i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    pthread_cond_destroy(&run.turned);
    pthread_mutex_destroy(&run.mutex);
    if (run.err == ERR_NONE)
        return ERR_NONE;
    if (e != NULL)
        error_move(e, &run.e);
    else
        error_clear(&run.e);
    return run.err;
}
