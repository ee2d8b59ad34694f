// SPDX-License-Identifier: Apache-2.0
#include "storage/storage.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "storage/follower.h"
#include "storage/state.h"
#include "storage/upload_table.h"

#define FOLLOWERS 2
#define CHAINS_MAXIMUM 4096
#define CHAINS_BYTES ((size_t)32 << 20)

enum err storage_open(const struct storage_options *options, struct db_pool *pool,
                      struct storage **storage, struct error *e)
{
    AUTO_FREE char *root = alloc_printf("%s/hot", options->data_dir);
    struct tier_file *hot = NULL;
    enum err err = tier_file_new(root, &hot, e);
    if (err != ERR_NONE)
        return err;
    struct storage *s = alloc_zero(sizeof *s);
    s->options = *options;
    s->data_dir = alloc_copy(options->data_dir);
    s->options.data_dir = s->data_dir;
    s->pool = pool;
    s->hot = hot;
    s->descriptors = cache_new(&(struct cache_options){
        .entries = options->descriptor_cache, .free_value = placement_file_free});
    s->chains = cache_new(&(struct cache_options){.entries = CHAINS_MAXIMUM,
                                                  .bytes = CHAINS_BYTES,
                                                  .free_value = chain_value_free});
    s->uploads = upload_table_new();
    s->follower = follower_new(s, FOLLOWERS);
    *storage = s;
    return ERR_NONE;
}

void storage_close(struct storage *s)
{
    if (s == NULL)
        return;
    follower_free(s->follower);
    upload_table_free(s->uploads);
    cache_free(s->chains);
    cache_free(s->descriptors);
    tier_file_free(s->hot);
    free(s->data_dir);
    free(s);
}

enum err storage_require_hot(struct storage *storage, struct error *e)
{
    if (atomic_load(&storage->hot_state) == TIER_ONLINE)
        return ERR_NONE;
    return error_set(e, ERR_UNAVAILABLE, "the hot tier is offline");
}

int64_t storage_uploads_open(struct storage *storage)
{
    return atomic_load(&storage->uploads_open);
}

int64_t storage_files_missing(struct storage *storage)
{
    return (int64_t)atomic_load(&storage->missing_files);
}
