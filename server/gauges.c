// SPDX-License-Identifier: Apache-2.0
#include "server/gauges.h"

#include <stdatomic.h>

#include "server/api/health.h"
#include "server/registry/collector.h"
#include "server/registry/registry.h"
#include "storage/cold_cache.h"
#include "storage/read_log.h"
#include "storage/scrub.h"
#include "storage/storage.h"

static int64_t read_in_use(void *app)
{
    return db_pool_in_use(((struct app *)app)->db);
}

static int64_t read_ready(void *app)
{
    return atomic_load(&((struct app *)app)->health->state) == HEALTH_READY;
}

static int64_t read_uploads(void *app)
{
    return storage_uploads_open(((struct app *)app)->storage);
}

static struct collector_state show_collector(const struct app *app)
{
    struct collector_state state = {0};
    if (app->collector != NULL)
        collector_show(app->collector, &state);
    return state;
}

static int64_t read_gc_blobs(void *app)
{
    return show_collector(app).blobs;
}

static int64_t read_gc_bytes(void *app)
{
    return show_collector(app).bytes;
}

static struct scrub_counts count_scrub(const struct app *app)
{
    struct scrub_counts counts = {0};
    if (app->scrub != NULL)
        scrub_count(app->scrub, &counts);
    return counts;
}

static int64_t read_scrub_copies(void *app)
{
    return count_scrub(app).copies;
}

static int64_t read_scrub_bytes(void *app)
{
    return count_scrub(app).bytes;
}

static int64_t read_scrub_bad(void *app)
{
    return count_scrub(app).bad;
}

static int64_t read_healed(void *app)
{
    return count_scrub(app).healed;
}

static int64_t read_damaged(void *app)
{
    return count_scrub(app).damaged;
}

static int64_t read_missing(void *app)
{
    return storage_files_missing(((struct app *)app)->storage);
}

static int64_t read_moves_bytes(void *app)
{
    return storage_moves_read_bytes(((struct app *)app)->storage);
}

static struct cold_reads_counts count_cold_reads(void *app)
{
    struct cold_reads_counts counts;
    storage_count_cold_reads(((struct app *)app)->storage, &counts);
    return counts;
}

static int64_t read_cold_fetched(void *app)
{
    return (int64_t)count_cold_reads(app).fetched;
}

static int64_t read_cold_shared(void *app)
{
    return (int64_t)count_cold_reads(app).shared;
}

static int64_t read_cold_fetched_bytes(void *app)
{
    return (int64_t)count_cold_reads(app).bytes;
}

static int64_t read_cold_failures(void *app)
{
    return (int64_t)count_cold_reads(app).failures;
}

static int64_t read_cold_waits(void *app)
{
    return (int64_t)count_cold_reads(app).waits;
}

static int64_t read_hits(void *app)
{
    return registry_cache_hits(((struct app *)app)->registry);
}

static int64_t read_misses(void *app)
{
    return registry_cache_misses(((struct app *)app)->registry);
}

#define TIER_METRIC(name, member, tier)                                                \
    static int64_t name(void *app)                                                     \
    {                                                                                  \
        struct read_totals totals;                                                     \
        read_log_totals(((struct app *)app)->reads, &totals);                          \
        return (int64_t)totals.member[tier];                                           \
    }
TIER_METRIC(read_hot_reads, reads, TIER_HOT)
TIER_METRIC(read_warm_reads, reads, TIER_WARM)
TIER_METRIC(read_cold_reads, reads, TIER_COLD)
TIER_METRIC(read_hot_bytes, bytes, TIER_HOT)
TIER_METRIC(read_warm_bytes, bytes, TIER_WARM)
TIER_METRIC(read_cold_bytes, bytes, TIER_COLD)

void gauges_add(struct app *app)
{
    struct metrics *metrics = app->metrics;
    metrics_pull(metrics, METRIC_HOT_READS, read_hot_reads, app);
    metrics_pull(metrics, METRIC_WARM_READS, read_warm_reads, app);
    metrics_pull(metrics, METRIC_COLD_READS, read_cold_reads, app);
    metrics_pull(metrics, METRIC_HOT_READ_BYTES, read_hot_bytes, app);
    metrics_pull(metrics, METRIC_WARM_READ_BYTES, read_warm_bytes, app);
    metrics_pull(metrics, METRIC_COLD_READ_BYTES, read_cold_bytes, app);
    metrics_pull(metrics, METRIC_DB_CONNECTIONS_IN_USE, read_in_use, app);
    metrics_pull(metrics, METRIC_READY, read_ready, app);
    metrics_pull(metrics, METRIC_UPLOADS_OPEN, read_uploads, app);
    metrics_pull(metrics, METRIC_MOVES_READ_BYTES, read_moves_bytes, app);
    metrics_pull(metrics, METRIC_SCRUB_COPIES, read_scrub_copies, app);
    metrics_pull(metrics, METRIC_SCRUB_BYTES, read_scrub_bytes, app);
    metrics_pull(metrics, METRIC_SCRUB_BAD, read_scrub_bad, app);
    metrics_pull(metrics, METRIC_COPIES_HEALED, read_healed, app);
    metrics_pull(metrics, METRIC_COPIES_DAMAGED, read_damaged, app);
    metrics_pull(metrics, METRIC_GC_BLOBS, read_gc_blobs, app);
    metrics_pull(metrics, METRIC_GC_BYTES, read_gc_bytes, app);
    metrics_pull(metrics, METRIC_FILES_MISSING, read_missing, app);
    metrics_pull(metrics, METRIC_COLD_CHUNKS_FETCHED, read_cold_fetched, app);
    metrics_pull(metrics, METRIC_COLD_CHUNKS_SHARED, read_cold_shared, app);
    metrics_pull(metrics, METRIC_COLD_FETCHED_BYTES, read_cold_fetched_bytes, app);
    metrics_pull(metrics, METRIC_COLD_FAILURES, read_cold_failures, app);
    metrics_pull(metrics, METRIC_COLD_WAITS, read_cold_waits, app);
    metrics_pull(metrics, METRIC_VERSION_CACHE_HITS, read_hits, app);
    metrics_pull(metrics, METRIC_VERSION_CACHE_MISSES, read_misses, app);
}
