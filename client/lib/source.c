// SPDX-License-Identifier: Apache-2.0
#include "client/lib/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define READ_PIECE ((size_t)1 << 20)
#define CACHE_MINIMUM ((off_t)1 << 20) // smaller files are hashed in no time
// A file that changed later than this before it was hashed may change again within one
// tick of its file system's clock, and nobody could tell.
#define CACHE_QUIET_SECONDS 2

void source_list_clear(struct source_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].path);
        free(list->items[i].disk);
        chain_clear(&list->items[i].chain);
    }
    free(list->items);
    *list = (struct source_list){0};
}

static enum strata_status changed(const struct source *source, struct strata_error *e)
{
    return fail_set(e, STRATA_LOCAL, "%s changed meanwhile", source->disk);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

enum strata_status source_check(const struct source *source, struct strata_error *e)
{
    struct stat st;
    if (stat(source->disk, &st) != 0)
        return fail_errno(e, errno, "%s", source->disk);
    return is_same(&st, &source->st) ? STRATA_OK : changed(source, e);
}

enum strata_status source_open(const struct source *source, int *fd,
                               struct strata_error *e)
{
    AUTO_FD int opened = open(source->disk, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (opened < 0 || fstat(opened, &st) != 0)
        return fail_errno(e, errno, "%s", source->disk);
    if (!is_same(&st, &source->st))
        return changed(source, e);
    *fd = steal_fd(&opened);
    return STRATA_OK;
}

static enum strata_status hash_fd(const struct source *source, int fd,
                                  struct chain_hasher *hasher, source_seen *seen,
                                  void *context, const atomic_bool *cancel,
                                  struct strata_error *e)
{
    AUTO_FREE char *piece = alloc_zero(READ_PIECE);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    for (;;) {
        if (cancel != NULL && atomic_load(cancel))
            return fail_set(e, STRATA_FAILED, "stopped");
        ssize_t size = read(fd, piece, READ_PIECE);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return fail_errno(e, errno, "%s", source->disk);
        if (size == 0)
            break;
        chain_hasher_update(hasher, piece, (size_t)size);
        if (seen != NULL)
            seen(context, hasher, (size_t)size);
    }
    if (chain_hasher_size(hasher) != (uint64_t)source->st.st_size)
        return changed(source, e);
    return source_check(source, e);
}

static void hasher_free(struct chain_hasher **hasher)
{
    chain_hasher_free(*hasher);
}

static void set_chain(struct source *source)
{
    chain_digest(&source->chain, &source->sha256);
    source->hashed = true;
}

enum strata_status source_hash(struct source *source, struct state *state,
                               source_seen *seen, void *context,
                               const atomic_bool *cancel, struct strata_error *e)
{
    bool cached = source->st.st_size >= CACHE_MINIMUM;
    enum strata_status status = source_check(source, e);
    if (status != STRATA_OK)
        return status;
    if (cached && state_hash_find(state, &source->st, &source->chain)) {
        set_chain(source);
        if (seen != NULL)
            seen(context, NULL, (size_t)source->st.st_size);
        return STRATA_OK;
    }
    AUTO_FD int fd = -1;
    status = source_open(source, &fd, e);
    if (status != STRATA_OK)
        return status;
    time_t begun = time(NULL);
    CLEANUP(hasher_free) struct chain_hasher *hasher = chain_hasher_new();
    status = hash_fd(source, fd, hasher, seen, context, cancel, e);
    if (status != STRATA_OK)
        return status;
    chain_hasher_finish(hasher, &source->chain);
    set_chain(source);
    if (cached && source->st.st_ctim.tv_sec + CACHE_QUIET_SECONDS < begun)
        state_hash_put(state, &source->st, &source->chain);
    return STRATA_OK;
}
