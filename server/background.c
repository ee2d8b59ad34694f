// SPDX-License-Identifier: Apache-2.0
#include "server/background.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

struct background {
    struct background_options options;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping;
};

// False when it is to stop.
static bool rest(struct background *b)
{
    struct timespec until = clock_deadline(clock_monotonic_ms() + b->options.pause_ms);
    LOCK_SCOPE(&b->lock);
    while (!b->stopping &&
           pthread_cond_timedwait(&b->wake, &b->lock, &until) == 0)
        continue;
    return !b->stopping;
}

static void *work(void *context)
{
    struct background *b = context;
    bool failing = false;
    while (rest(b)) {
        struct error e = {0};
        enum err err = b->options.run(b->options.context, &e);
        if (err != ERR_NONE && !failing)
            log_warn("background work fails, it is tried again", "work",
                     b->options.name, "reason", e.detail, NULL);
        if (err == ERR_NONE && failing)
            log_info("background work goes on", "work", b->options.name, NULL);
        failing = err != ERR_NONE;
        error_clear(&e);
    }
    return NULL;
}

static void free_background(struct background *b)
{
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

enum err background_start(const struct background_options *options,
                          struct background **out, struct error *e)
{
    struct background *b = alloc_zero(sizeof *b);
    b->options = *options;
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    int errnum = pthread_create(&b->thread, NULL, work, b);
    if (errnum != 0) {
        free_background(b);
        return error_set_errno(e, errnum, "start a thread");
    }
    *out = b;
    return ERR_NONE;
}

void background_stop(struct background *b)
{
    if (b == NULL)
        return;
    pthread_mutex_lock(&b->lock);
    b->stopping = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    free_background(b);
}
