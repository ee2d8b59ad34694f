// SPDX-License-Identifier: Apache-2.0
#include "storage/storage.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "storage/cold_cache.h"
#include "storage/follower.h"
#include "storage/mover.h"
#include "storage/throttle.h"
#include "storage/state.h"
#include "storage/tier_directory.h"
#include "storage/tier_s3.h"
#include "storage/upload_table.h"

#define FOLLOWERS 2
#define COLD_COPIES_BYTES ((size_t)32 << 20) // of chains, layouts and checksums
#define CHAINS_MAXIMUM 4096
#define CHAINS_BYTES ((size_t)32 << 20)

// A mount may have come over a root that was opened without it. Nobody uses the store
// of a tier that is offline.
enum err tier_reopen(struct storage_tier *tier, struct error *e)
{
    if (tier->store != NULL && tier->file == NULL)
        return ERR_NONE;
    if (atomic_load(&tier->was_online))
        return error_set(e, ERR_UNAVAILABLE,
                         "it went away while stratad ran: mend it and restart stratad");
    struct tier_store *store = NULL;
    enum err err = tier_directory_new(tier->where, &store, e);
    if (err != ERR_NONE)
        return err;
    if (tier->store != NULL)
        tier->store->ops->free(tier->store);
    tier->store = store;
    tier->file = tier_directory_file(store);
    return ERR_NONE;
}

static enum err open_bucket(struct storage *s, struct storage_tier *tier,
                            struct error *e)
{
    const struct tier_s3_options *bucket = s->options.bucket;
    tier->where = alloc_printf("%s/%s/%s", bucket->client.endpoint,
                               bucket->client.bucket, bucket->prefix);
    return tier_s3_new(bucket, &tier->store, e);
}

static enum err open_directory(struct storage *s, struct storage_tier *tier,
                               struct error *e)
{
    const char *dir = s->options.tiers[tier->tier].dir;
    tier->where = dir != NULL
                      ? alloc_copy(dir)
                      : alloc_printf("%s/%s", s->data_dir, tier_name(tier->tier));
    enum err err = tier_directory_new(tier->where, &tier->store, e);
    if (err == ERR_NONE) {
        tier->file = tier_directory_file(tier->store);
        return ERR_NONE;
    }
    if (tier->tier == TIER_HOT)
        return err;
    log_error("a tier cannot be opened", "tier", tier_name(tier->tier), "error",
              e != NULL ? e->detail : "", NULL);
    error_clear(e);
    return ERR_NONE;
}

static enum err open_tier(struct storage *s, enum tier which, struct error *e)
{
    struct storage_tier *tier = &s->tiers[which];
    tier->tier = which;
    tier->node = which == TIER_COLD ? 0 : s->options.node;
    return which == TIER_COLD && s->options.bucket != NULL ? open_bucket(s, tier, e)
                                                           : open_directory(s, tier, e);
}

enum err storage_open(const struct storage_options *options, struct db_pool *pool,
                      struct storage **storage, struct error *e)
{
    struct storage *s = alloc_zero(sizeof *s);
    s->options = *options;
    s->data_dir = alloc_copy(options->data_dir);
    s->options.data_dir = s->data_dir;
    s->pool = pool;
    s->descriptors = cache_new(&(struct cache_options){
        .entries = options->descriptor_cache,
        .bytes = COLD_COPIES_BYTES,
        .free_value = blob_copy_free});
    s->chains = cache_new(&(struct cache_options){.entries = CHAINS_MAXIMUM,
                                                  .bytes = CHAINS_BYTES,
                                                  .free_value = chain_value_free});
    s->uploads = upload_table_new();
    s->follower = follower_new(s, FOLLOWERS);
    enum err err = ERR_NONE;
    for (int i = 0; i < TIER_COUNT && err == ERR_NONE; i++)
        err = open_tier(s, (enum tier)i, e);
    s->options.bucket = NULL; // the caller's
    const struct storage_tier *cold = &s->tiers[TIER_COLD];
    s->cold_reads = cold_reads_new(&(struct cold_reads_options){
        .memory = options->cold_cache,
        .threads = cold->store != NULL ? cold->store->ops->parallel : 1});
    if (err == ERR_NONE)
        *storage = s;
    else
        storage_close(s);
    return err;
}

void storage_close(struct storage *s)
{
    if (s == NULL)
        return;
    movers_free(s->movers);
    follower_free(s->follower);
    upload_table_free(s->uploads);
    cache_free(s->chains);
    cache_free(s->descriptors);
    cold_reads_free(s->cold_reads);
    for (int i = 0; i < TIER_COUNT; i++) {
        if (s->tiers[i].store != NULL)
            s->tiers[i].store->ops->free(s->tiers[i].store);
        free(s->tiers[i].where);
    }
    free(s->data_dir);
    free(s);
}

enum err storage_start(struct storage *storage, struct error *e)
{
    return movers_start(storage, e);
}

void storage_stop(struct storage *storage)
{
    if (storage != NULL)
        movers_stop(storage->movers);
}

void storage_watch_users(struct storage *storage, const struct throttle_users *users)
{
    throttle_watch(movers_throttle(storage->movers), users);
}

void storage_add_metrics(struct storage *storage, struct metrics *metrics)
{
    const struct storage_tier *cold = &storage->tiers[TIER_COLD];
    if (cold->file == NULL && cold->store != NULL)
        tier_s3_add_metrics(cold->store, metrics);
}

int64_t storage_uploads_open(struct storage *storage)
{
    return atomic_load(&storage->uploads_open);
}

int64_t storage_files_missing(struct storage *storage)
{
    return (int64_t)atomic_load(&storage->missing_files);
}

int64_t storage_moves_read_bytes(struct storage *storage)
{
    return (int64_t)throttle_taken(movers_throttle(storage->movers));
}

void storage_count_cold_reads(struct storage *storage, struct cold_reads_counts *counts)
{
    cold_reads_count(storage->cold_reads, counts);
}
