// SPDX-License-Identifier: Apache-2.0
#include "storage/throttle.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"

// While users are served. A move reads its bytes twice, to copy and to verify, so that
// it goes on at half of this: more than 20 MB/s.
#define BUSY_RATE ((uint64_t)48 << 20)
#define BURST_MS 250
#define NAP_MS 50 // a cancelled wait ends so soon
// Users go first. At the lowest priority, 19, a move gets less than its pace where
// they take every processor: 5 of 25 MB/s beside 8 streams of 22 GB/s on two. At 8 it
// keeps it, and it is the pace that leaves the rest to them; beside a move at full
// speed requests for metadata take as long as they do at 19.
#define NICE 8

struct throttle {
    pthread_mutex_t lock;
    uint64_t bandwidth;
    int64_t free_at_us; // when what was taken will have been paid for
    uint64_t taken;
    struct throttle_users users;
};

struct throttle *throttle_new(uint64_t bandwidth)
{
    struct throttle *t = alloc_zero(sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->bandwidth = bandwidth;
    return t;
}

void throttle_free(struct throttle *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    free(t);
}

void throttle_watch(struct throttle *t, const struct throttle_users *users)
{
    LOCK_SCOPE(&t->lock);
    t->users = *users;
}

// Bytes a second, 0 = as fast as it goes. The lock is held.
static uint64_t rate(const struct throttle *t)
{
    const struct throttle_users *users = &t->users;
    bool busy = users->transfers != NULL && users->transfers(users->context) > 0;
    if (!busy)
        return t->bandwidth;
    return t->bandwidth > 0 && t->bandwidth < BUSY_RATE ? t->bandwidth : BUSY_RATE;
}

// When the caller may go on, in microseconds of the monotonic clock.
static int64_t reserve(struct throttle *t, uint64_t bytes)
{
    LOCK_SCOPE(&t->lock);
    int64_t now_us = clock_monotonic_us();
    t->taken += bytes;
    uint64_t per_second = rate(t);
    if (per_second == 0) {
        t->free_at_us = now_us;
        return now_us;
    }
    int64_t burst_us = now_us - BURST_MS * 1000;
    if (t->free_at_us < burst_us)
        t->free_at_us = burst_us;
    t->free_at_us += (int64_t)((double)bytes * 1e6 / (double)per_second);
    return t->free_at_us;
}

static void nap(int64_t us)
{
    int64_t most_us = NAP_MS * 1000;
    struct timespec pause = {.tv_nsec = (us < most_us ? us : most_us) * 1000};
    nanosleep(&pause, NULL);
}

void throttle_step_aside(struct throttle *t)
{
    pthread_mutex_lock(&t->lock);
    const struct throttle_users users = t->users;
    pthread_mutex_unlock(&t->lock);
    if (users.step_aside != NULL) // it may wait for its new processor
        users.step_aside(users.context);
}

void throttle_take(struct throttle *t, uint64_t bytes, const atomic_bool *cancel)
{
    int64_t until_us = reserve(t, bytes);
    int64_t left_us;
    while ((left_us = until_us - clock_monotonic_us()) > 0 &&
           (cancel == NULL || !atomic_load(cancel)))
        nap(left_us);
    throttle_step_aside(t);
}

uint64_t throttle_taken(struct throttle *t)
{
    LOCK_SCOPE(&t->lock);
    return t->taken;
}

void throttle_thread(void)
{
    // On Linux a thread has a priority of its own. The service may have a lower one.
    if (getpriority(PRIO_PROCESS, (id_t)gettid()) < NICE)
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
}
