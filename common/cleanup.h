// SPDX-License-Identifier: Apache-2.0
// Scope clean-up: CLEANUP(buf_clear) struct buf b = {0}; runs buf_clear(&b) when the
// scope ends. steal_ptr and steal_fd hand a thing over and disarm its clean-up.
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define AUTO_FREE CLEANUP(cleanup_free)
#define AUTO_FD CLEANUP(cleanup_fd)
#define AUTO_JSON CLEANUP(cleanup_json)
// Holds the mutex until the end of the enclosing scope.
#define LOCK_SCOPE(mutex)                                                              \
    CLEANUP(cleanup_unlock)                                                            \
    pthread_mutex_t *CLEANUP_JOIN(lock_, __LINE__) = cleanup_lock(mutex)
#define CLEANUP_JOIN(a, b) CLEANUP_JOIN2(a, b)
#define CLEANUP_JOIN2(a, b) a##b

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

static inline void cleanup_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_json(json_t **json)
{
    json_decref(*json);
}

static inline pthread_mutex_t *cleanup_lock(pthread_mutex_t *mutex)
{
    pthread_mutex_lock(mutex);
    return mutex;
}

static inline void cleanup_unlock(pthread_mutex_t **mutex)
{
    pthread_mutex_unlock(*mutex);
}

static inline void *steal_pointer(void *pointer)
{
    void *stolen = *(void **)pointer;
    *(void **)pointer = NULL;
    return stolen;
}

#define steal_ptr(p) ((__typeof__(p))steal_pointer(&(p)))

static inline int steal_fd(int *fd)
{
    int stolen = *fd;
    *fd = -1;
    return stolen;
}
