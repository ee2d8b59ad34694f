// SPDX-License-Identifier: Apache-2.0
#include "storage/status.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/log.h"
#include "storage/state.h"

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        closedir(*folder);
}

// Bytes on the file system of `root` that were unlinked and are still open in this
// process: an unlinked file frees nothing until its last descriptor is closed.
static uint64_t unlinked_bytes(int root)
{
    struct stat of_root, s;
    CLEANUP(close_folder) DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    uint64_t bytes = 0;
    if (dir == NULL || fstat(root, &of_root) != 0)
        return 0;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &s, 0) == 0 &&
            S_ISREG(s.st_mode) && s.st_nlink == 0 && s.st_dev == of_root.st_dev)
            bytes += (uint64_t)s.st_blocks * 512;
    }
    return bytes;
}

static enum err count_dropping(struct storage *storage,
                               struct storage_tier_status tiers[TIER_COUNT],
                               struct error *e)
{
    static const char sql[] =
        "SELECT tier, coalesce(sum(stored_size), 0)::bigint FROM placements"
        " WHERE state = 'dropping' AND node_id IN (0, $1) GROUP BY tier";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_INT(storage->options.node)), &rows, e);
    for (int i = 0; err == ERR_NONE && i < db_rows(rows); i++) {
        enum tier tier;
        if (tier_parse(db_text(rows, i, 0), &tier))
            tiers[tier].pending_free = (uint64_t)db_int(rows, i, 1);
    }
    return err;
}

// The end is the configured capacity or what the file system leaves to this tier,
// whichever comes first.
static void measure(const struct storage *storage, const struct storage_tier *tier,
                    struct storage_tier_status *status)
{
    struct tier_space space = {0};
    struct error ignored = {0};
    if (tier->store->ops->space(tier->store, &space, &ignored) != ERR_NONE)
        log_warn("a tier cannot be measured", "tier", tier_name(tier->tier), "error",
                 ignored.detail, NULL);
    error_clear(&ignored);
    // They are no longer in the rows, but still on the device.
    uint64_t unlinked =
        tier->file != NULL ? unlinked_bytes(tier_file_root(tier->file)) : 0;
    status->used += unlinked;
    status->pending_free += unlinked;
    uint64_t capacity = storage->options.tiers[tier->tier].capacity;
    uint64_t possible = status->used + space.available;
    status->is_limited = space.is_limited || capacity > 0;
    if (!status->is_limited)
        return;
    status->capacity = possible;
    if (capacity > 0 && (!space.is_limited || capacity < possible))
        status->capacity = capacity;
    status->available =
        status->capacity > status->used ? status->capacity - status->used : 0;
}

enum err storage_tiers(struct storage *storage,
                       struct storage_tier_status tiers[TIER_COUNT], struct error *e)
{
    memset(tiers, 0, TIER_COUNT * sizeof *tiers);
    enum err err = count_dropping(storage, tiers, e);
    for (int i = 0; err == ERR_NONE && i < TIER_COUNT; i++) {
        const struct storage_tier *tier = &storage->tiers[i];
        int64_t used = atomic_load(&tier->used), blobs = atomic_load(&tier->blobs);
        tiers[i].node = tier->node;
        tiers[i].kind = tier->store != NULL ? tier->store->ops->kind : "directory";
        tiers[i].is_online = tier_is_online(tier);
        tiers[i].used = used > 0 ? (uint64_t)used : 0;
        tiers[i].blobs = blobs > 0 ? (uint64_t)blobs : 0;
        tiers[i].high_mark = storage->options.tiers[i].high_mark;
        tiers[i].low_mark = storage->options.tiers[i].low_mark;
        if (tiers[i].is_online)
            measure(storage, tier, &tiers[i]);
    }
    return err;
}
