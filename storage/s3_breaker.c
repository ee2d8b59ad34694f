// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_breaker.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define PROBE_WAIT_MS 100 // how soon to ask again while another probes

struct s3_breaker {
    struct s3_breaker_options options;
    pthread_mutex_t mutex;
    enum s3_breaker_state state;
    unsigned failures;
    int64_t open_ms, open_until_ms;
};

struct s3_breaker *s3_breaker_new(const struct s3_breaker_options *options)
{
    struct s3_breaker *breaker = alloc_zero(sizeof *breaker);
    breaker->options = *options;
    breaker->open_ms = options->open_ms;
    pthread_mutex_init(&breaker->mutex, NULL);
    return breaker;
}

void s3_breaker_free(struct s3_breaker *breaker)
{
    if (breaker == NULL)
        return;
    pthread_mutex_destroy(&breaker->mutex);
    free(breaker);
}

bool s3_breaker_enter(struct s3_breaker *breaker, int64_t now_ms, int64_t *wait_ms)
{
    LOCK_SCOPE(&breaker->mutex);
    if (breaker->state == S3_BREAKER_CLOSED)
        return true;
    if (breaker->state == S3_BREAKER_OPEN && now_ms >= breaker->open_until_ms) {
        breaker->state = S3_BREAKER_HALF_OPEN;
        return true;
    }
    *wait_ms = breaker->state == S3_BREAKER_OPEN ? breaker->open_until_ms - now_ms
                                                 : PROBE_WAIT_MS;
    return false;
}

// Whoever gets through, its probe or an older request: the bucket is there.
void s3_breaker_succeed(struct s3_breaker *breaker)
{
    LOCK_SCOPE(&breaker->mutex);
    breaker->state = S3_BREAKER_CLOSED;
    breaker->failures = 0;
    breaker->open_ms = breaker->options.open_ms;
}

void s3_breaker_fail(struct s3_breaker *breaker, int64_t now_ms)
{
    LOCK_SCOPE(&breaker->mutex);
    if (breaker->state == S3_BREAKER_OPEN) // an older request ends
        return;
    if (breaker->state == S3_BREAKER_CLOSED &&
        ++breaker->failures < breaker->options.failures)
        return;
    breaker->open_until_ms = now_ms + breaker->open_ms;
    breaker->open_ms *= 2;
    if (breaker->open_ms > breaker->options.open_max_ms)
        breaker->open_ms = breaker->options.open_max_ms;
    breaker->state = S3_BREAKER_OPEN;
}

enum s3_breaker_state s3_breaker_state(struct s3_breaker *breaker)
{
    LOCK_SCOPE(&breaker->mutex);
    return breaker->state;
}
