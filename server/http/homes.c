// SPDX-License-Identifier: Apache-2.0
#include "server/http/homes.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/alloc.h"

struct homes {
    cpu_set_t all;
    int count; // of processors
    int *processors;
    atomic_int *threads; // that stay on each
};

struct homes *homes_new(void)
{
    struct homes *homes = alloc_zero(sizeof *homes);
    homes->processors = alloc_array(CPU_SETSIZE, sizeof *homes->processors);
    homes->threads = alloc_array(CPU_SETSIZE, sizeof *homes->threads);
    // With more processors than fit in the set this fails, and nothing is bound.
    if (sched_getaffinity(0, sizeof homes->all, &homes->all) != 0)
        return homes;
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &homes->all))
            homes->processors[homes->count++] = i;
    }
    return homes;
}

void homes_free(struct homes *homes)
{
    if (homes == NULL)
        return;
    free(homes->processors);
    free(homes->threads);
    free(homes);
}

static int emptiest(struct homes *homes)
{
    int best = 0;
    for (int i = 1; i < homes->count; i++) {
        if (atomic_load(&homes->threads[i]) < atomic_load(&homes->threads[best]))
            best = i;
    }
    return best;
}

int homes_stay(struct homes *homes)
{
    if (homes->count < 2)
        return HOME_NONE;
    int home = emptiest(homes);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(homes->processors[home], &one);
    if (pthread_setaffinity_np(pthread_self(), sizeof one, &one) != 0)
        return HOME_NONE; // the process was given other processors meanwhile
    atomic_fetch_add(&homes->threads[home], 1);
    return home;
}

void homes_roam(struct homes *homes, int home)
{
    if (home == HOME_NONE)
        return;
    pthread_setaffinity_np(pthread_self(), sizeof homes->all, &homes->all);
    homes_leave(homes, home);
}

void homes_avoid(const struct homes *homes, bool avoid)
{
    // A new thread may have begun where the one that made it ran.
    static _Thread_local bool is_free;
    cpu_set_t empty;
    CPU_ZERO(&empty);
    if (!avoid && is_free)
        return;
    is_free = !avoid;
    for (int i = 0; i < homes->count; i++) {
        if (atomic_load(&homes->threads[i]) == 0)
            CPU_SET(homes->processors[i], &empty);
    }
    if (homes->count > 1)
        pthread_setaffinity_np(pthread_self(), sizeof empty,
                               avoid && CPU_COUNT(&empty) > 0 ? &empty : &homes->all);
}

void homes_leave(struct homes *homes, int home)
{
    if (home != HOME_NONE)
        atomic_fetch_sub(&homes->threads[home], 1);
}
