// SPDX-License-Identifier: Apache-2.0
// What an item of the work begins and ends with: the files on disk.
#include "client/lib/work.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/direct.h"

#define COPY_PIECE ((size_t)64 << 20)

static void mark_all(struct item *item, enum chunk_state state)
{
    item->chunks = alloc_zero(item->chain.count);
    memset(item->chunks, (int)state, item->chain.count);
}

// Chunks that hold data may be right and are checked; holes are missing. Where the file
// system knows no holes, all of it is data.
static void mark_data(struct item *item)
{
    mark_all(item, CHUNK_MISSING);
    off_t size = (off_t)item->file->size;
    off_t at = 0;
    while (at < size) {
        off_t data = lseek(item->fd, at, SEEK_DATA);
        if (data < 0)
            return; // nothing but a hole is left
        off_t hole = lseek(item->fd, data, SEEK_HOLE);
        if (hole < 0)
            hole = size;
        size_t last = (size_t)(hole - 1) / CHAIN_CHUNK_SIZE;
        for (size_t i = (size_t)data / CHAIN_CHUNK_SIZE;
             i <= last && i < item->chain.count; i++)
            item->chunks[i] = CHUNK_UNCHECKED;
        at = hole;
    }
}

static enum strata_status find_existing(struct work *work, struct item *item,
                                        struct strata_error *e)
{
    const char *path = item->file->path;
    AUTO_FD int fd = -1;
    enum strata_status status = destination_open_file(work->to, path, &fd, e);
    if (status != STRATA_OK || fd < 0)
        return status;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return fail_errno(e, errno, "%s/%s", work->to->path, path);
    if ((uint64_t)st.st_size != item->file->size) {
        snprintf(item->problem, sizeof item->problem, "it has %lld bytes, not %llu",
                 (long long)st.st_size, (unsigned long long)item->file->size);
        return STRATA_OK;
    }
    item->fd = steal_fd(&fd);
    item->existing = true;
    return STRATA_OK;
}

// Fills the partial file from an earlier file with the same bytes, as far as it goes;
// what it then holds is checked like anything that was found on disk.
static void copy_same(struct work *work, struct item *item)
{
    AUTO_FD int from = -1;
    struct strata_error ignored;
    if (destination_open_file(work->to, item->same->file->path, &from, &ignored) !=
            STRATA_OK ||
        from < 0)
        return;
    loff_t in = 0;
    loff_t out = 0;
    while (copy_file_range(from, &in, item->fd, &out, COPY_PIECE, 0) > 0)
        continue;
}

static enum strata_status open_partial(struct work *work, struct item *item,
                                       struct strata_error *e)
{
    if (strncmp(item->file->path, DESTINATION_PARTIAL "/",
                strlen(DESTINATION_PARTIAL "/")) == 0) {
        return fail_set(e, STRATA_LOCAL, "%s: this folder is for unfinished files",
                        item->file->path);
    }
    enum strata_status status = destination_open_partial(
        work->to, &item->file->sha256, item->file->size, &item->fd, e);
    if (status != STRATA_OK)
        return status;
    if (item->same != NULL)
        copy_same(work, item);
    item->direct_fd = direct_open(item->fd, item->file->size);
    mark_data(item);
    return STRATA_OK;
}

static enum strata_status prepare_pull(struct work *work, struct item *item,
                                       struct strata_error *e)
{
    enum strata_status status = STRATA_OK;
    if (!item->no_existing)
        status = find_existing(work, item, e);
    if (status == STRATA_OK)
        status = version_chain(work->client, item->file, &item->chain, e);
    if (status != STRATA_OK)
        return status;
    if (!item->existing)
        return open_partial(work, item, e);
    mark_all(item, CHUNK_UNCHECKED);
    return STRATA_OK;
}

static enum strata_status prepare_folder(struct work *work, struct item *item,
                                         struct strata_error *e)
{
    struct strata_error found = {0};
    enum strata_status status = find_existing(work, item, &found);
    if (status != STRATA_OK)
        snprintf(item->problem, sizeof item->problem, "%s", found.detail);
    if (!item->existing) {
        if (item->problem[0] == '\0')
            snprintf(item->problem, sizeof item->problem, "it is missing");
        item->bad = true;
        return STRATA_OK;
    }
    status = version_chain(work->client, item->file, &item->chain, e);
    if (status == STRATA_OK)
        mark_all(item, CHUNK_UNCHECKED);
    return status;
}

static enum strata_status prepare_server(struct work *work, struct item *item,
                                         struct strata_error *e)
{
    if (item->same != NULL) {
        item->bad = item->same->bad;
        memcpy(item->problem, item->same->problem, sizeof item->problem);
        return STRATA_OK;
    }
    struct strata_error found = {0};
    enum strata_status status =
        version_chain(work->client, item->file, &item->chain, &found);
    if (status == STRATA_CORRUPT || status == STRATA_NOT_FOUND) {
        item->bad = true;
        snprintf(item->problem, sizeof item->problem, "%s", found.detail);
        return STRATA_OK;
    }
    if (status == STRATA_OK)
        mark_all(item, CHUNK_MISSING);
    *e = found;
    return status;
}

enum strata_status work_item_prepare(struct work *work, struct item *item,
                                     enum item_phase *verdict, struct strata_error *e)
{
    enum strata_status status = STRATA_OK;
    if (work->mode == WORK_PULL)
        status = prepare_pull(work, item, e);
    else if (work->mode == WORK_VERIFY_FOLDER)
        status = prepare_folder(work, item, e);
    else
        status = prepare_server(work, item, e);
    *verdict = item->chunks != NULL ? ITEM_RUNNING : ITEM_DONE;
    return status;
}

enum strata_status work_item_finish(struct work *work, struct item *item,
                                    struct strata_error *e)
{
    if (work->mode != WORK_PULL || item->existing)
        return STRATA_OK;
    return destination_finish(work->to, &item->file->sha256, item->fd, item->file->path,
                              e);
}
