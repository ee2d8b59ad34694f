// SPDX-License-Identifier: Apache-2.0
#include "server/registry/collector.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"
#include "server/registry/purge.h"

// Blobs of the slow walk that a run takes: a million within a month of hourly runs.
#define WALKED 2000

struct collector {
    struct collector_options options;
    atomic_bool stopping;
    pthread_mutex_t lock; // for what follows
    bool asked;
    int64_t next_ms, next_orphans_ms; // monotonic
    struct collector_state state;
};

struct collector *collector_new(const struct collector_options *options)
{
    struct collector *c = alloc_zero(sizeof *c);
    int64_t now_ms = clock_monotonic_ms();
    c->options = *options;
    c->next_ms = now_ms + options->interval_ms;
    c->next_orphans_ms = now_ms + options->orphan_interval_ms;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void collector_free(struct collector *c)
{
    if (c == NULL)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void collector_stop(struct collector *c)
{
    atomic_store(&c->stopping, true);
}

int64_t collector_start(struct collector *c)
{
    LOCK_SCOPE(&c->lock);
    c->asked = true;
    return c->state.run + 1;
}

void collector_show(struct collector *c, struct collector_state *state)
{
    LOCK_SCOPE(&c->lock);
    *state = c->state;
}

// False when it is not time. *orphans: every file is looked at.
static bool begin(struct collector *c, bool *orphans)
{
    LOCK_SCOPE(&c->lock);
    int64_t now_ms = clock_monotonic_ms();
    if (!c->asked && now_ms < c->next_ms)
        return false;
    *orphans = c->asked || now_ms >= c->next_orphans_ms;
    c->asked = false;
    c->next_ms = now_ms + c->options.interval_ms;
    if (*orphans)
        c->next_orphans_ms = now_ms + c->options.orphan_interval_ms;
    c->state = (struct collector_state){.is_running = true,
                                        .run = c->state.run + 1,
                                        .began_us = clock_wall_us(),
                                        .blobs = c->state.blobs,
                                        .bytes = c->state.bytes};
    return true;
}

static void end(struct collector *c, int64_t purged, const struct gc_result *result,
                const char *error)
{
    LOCK_SCOPE(&c->lock);
    struct collector_state *s = &c->state;
    s->is_running = false;
    s->ended_us = clock_wall_us();
    s->purged = purged;
    s->result = *result;
    s->blobs += result->blobs;
    s->bytes += result->blob_bytes;
    snprintf(s->error, sizeof s->error, "%s", error);
}

static enum err run(struct collector *c, bool orphans, int64_t *purged,
                    struct gc_result *result, struct error *e)
{
    struct storage *storage = c->options.storage;
    bool ended = false;
    enum err err = purge_run(c->options.registry, &c->stopping, purged, e);
    if (err == ERR_NONE)
        err = gc_walk(storage, WALKED, &ended, e);
    if (err == ERR_NONE)
        err = gc_collect(storage, &c->stopping, result, e);
    if (err == ERR_NONE && orphans && !atomic_load(&c->stopping))
        err = gc_orphans(storage, c->options.orphan_age_s, &c->stopping, result, e);
    return err;
}

enum err collector_tick(struct collector *c, struct error *e)
{
    struct gc_result result = {0};
    int64_t purged = 0;
    bool orphans = false;
    if (!begin(c, &orphans))
        return ERR_NONE;
    enum err err = run(c, orphans, &purged, &result, e);
    end(c, purged, &result, err != ERR_NONE && e != NULL ? e->detail : "");
    if (purged > 0 || result.blobs > 0 || result.orphans > 0)
        log_info("garbage collected", "versions", log_number(purged), "blobs",
                 log_number(result.blobs), "bytes", log_number(result.blob_bytes),
                 "orphans", log_number(result.orphans), NULL);
    return err;
}
