// SPDX-License-Identifier: Apache-2.0
#include "storage/blob_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/log.h"
#include "storage/placement_drop.h"

#define LOOKS 3 // at the rows, while copies come and go

// The copy that is read, in the cache of descriptors.
struct blob_copy {
    int fd;
    uint64_t size; // of the blob
    enum tier tier;
};

void blob_copy_free(void *value)
{
    struct blob_copy *copy = value;
    if (copy->fd >= 0)
        close(copy->fd);
    free(copy);
}

void blob_copies_changed(struct storage *storage, const struct digest *digest)
{
    cache_drop(storage->descriptors, digest, sizeof *digest);
}

// ---- one copy -------------------------------------------------------------------

static void report_lost(struct storage *storage, const struct digest *digest,
                        const struct placement *placement, const char *why)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    log_error("the file of a ready placement cannot be read", "sha256", hex, "tier",
              tier_name(placement->tier), "placement", log_number(placement->id), "why",
              why, NULL);
    atomic_fetch_add(&storage->missing_files, 1);
}

enum found {
    FOUND,
    FOUND_NOTHING, // its file is not there, or is not what it should be
    FOUND_OFFLINE, // its tier is
};

static enum err open_file(struct storage *storage, const struct digest *digest,
                          const struct placement *placement, uint64_t size,
                          struct blob_copy *copy, enum found *found, struct error *e)
{
    const struct storage_tier *tier = &storage->tiers[placement->tier];
    struct stat s;
    *found = FOUND_OFFLINE;
    if (!tier_is_online(tier))
        return ERR_NONE;
    AUTO_FD int fd = tier_file_open_final(tier->file, digest, placement->id);
    if (fd < 0 && errno != ENOENT)
        return error_set_errno(e, errno, "cannot open a blob");
    *found = FOUND_NOTHING;
    if (fd < 0 || fstat(fd, &s) != 0 || (uint64_t)s.st_size != size)
        return ERR_NONE;
    copy->fd = steal_fd(&fd);
    *found = FOUND;
    return ERR_NONE;
}

// ---- the best copy --------------------------------------------------------------

struct search {
    struct blob_copy *copy; // out; NULL: none could be opened
    bool offline;           // some copy may be all right, on a tier that is offline
    struct error failure;   // why a copy could not be opened, if not for those reasons
    int missing;            // copies without their file
};

static bool same_placements(const struct placement_list *a,
                            const struct placement_list *b)
{
    if (a->count != b->count)
        return false;
    for (int i = 0; i < a->count; i++) {
        if (a->placements[i].id != b->placements[i].id)
            return false;
    }
    return true;
}

static enum err try_copies(struct storage *storage, const struct digest *digest,
                           const struct placement_list *list, struct search *search)
{
    struct blob_copy copy = {.fd = -1, .size = list->size};
    search->missing = 0;
    for (int i = 0; i < list->count; i++) {
        const struct placement *p = &list->placements[i];
        enum found found = FOUND_NOTHING;
        enum err err =
            open_file(storage, digest, p, list->size, &copy, &found, &search->failure);
        if (err == ERR_NONE && found == FOUND) {
            copy.tier = p->tier;
            search->copy = alloc_zero(sizeof copy);
            *search->copy = copy;
            return ERR_NONE;
        }
        search->offline = search->offline || found == FOUND_OFFLINE;
        search->missing += err == ERR_NONE && found == FOUND_NOTHING;
    }
    return ERR_NONE;
}

static void report_all_lost(struct storage *storage, const struct digest *digest,
                            const struct placement_list *list)
{
    for (int i = 0; i < list->count; i++) {
        const struct placement *p = &list->placements[i];
        struct blob_copy copy = {.fd = -1};
        enum found found = FOUND;
        struct error ignored = {0};
        enum err err =
            open_file(storage, digest, p, list->size, &copy, &found, &ignored);
        if (err == ERR_NONE && found == FOUND_NOTHING) {
            report_lost(storage, digest, p, "missing, or its size differs");
            err =
                placement_condemn(storage, digest, p,
                                  "its file is missing, or its size differs", &ignored);
        }
        cleanup_fd(&copy.fd);
        error_clear(&ignored);
    }
}

// A copy that is being dropped loses its file before its row: a file that is missing is
// lost only when its row says `ready` afterwards as well.
static enum err search_copies(struct storage *storage, const struct digest *digest,
                              struct search *search, struct error *e)
{
    CLEANUP(placement_list_clear) struct placement_list list = {0};
    enum err err = placement_list_get(storage, digest, &list, e);
    for (int look = 0; err == ERR_NONE && look < LOOKS; look++) {
        error_clear(&search->failure);
        search->offline = false;
        err = try_copies(storage, digest, &list, search);
        if (err != ERR_NONE || (search->copy != NULL && search->missing == 0))
            return err;
        CLEANUP(placement_list_clear) struct placement_list again = {0};
        err = placement_list_get(storage, digest, &again, e);
        bool same = err == ERR_NONE && same_placements(&list, &again);
        if (same && search->missing > 0)
            report_all_lost(storage, digest, &list);
        if (same || search->copy != NULL)
            return ERR_NONE;
        placement_list_clear(&list);
        list = again;
        memset(&again, 0, sizeof again);
    }
    return err;
}

static enum err none_readable(const struct digest *digest, const struct search *search,
                              struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    if (search->failure.code != ERR_NONE)
        return error_set(e, search->failure.code, "%s", search->failure.detail);
    return error_set(e, ERR_UNAVAILABLE,
                     search->offline ? "the tier of the only copy of blob %s is offline"
                                     : "the copy of blob %s cannot be read",
                     hex);
}

// Cut since it was opened: sendfile would wait for the missing bytes without end.
static bool is_whole(const struct blob_copy *copy)
{
    struct stat s;
    return fstat(copy->fd, &s) == 0 && (uint64_t)s.st_size == copy->size;
}

// *lost: every copy that it has is known to be missing.
static enum err find_copy(struct storage *storage, const struct digest *digest,
                          struct cache_entry **entry, bool *lost, struct error *e)
{
    *lost = false;
    *entry = cache_get(storage->descriptors, digest, sizeof *digest);
    if (*entry != NULL && is_whole(cache_value(*entry)))
        return ERR_NONE;
    if (*entry != NULL) {
        cache_release(*entry);
        *entry = NULL;
        blob_copies_changed(storage, digest);
    }
    struct search search = {0};
    uint64_t generation = cache_generation(storage->descriptors);
    enum err err = search_copies(storage, digest, &search, e);
    if (err == ERR_NONE && search.copy == NULL) {
        *lost = !search.offline && search.failure.code == ERR_NONE;
        err = none_readable(digest, &search, e);
    }
    error_clear(&search.failure);
    if (err == ERR_NONE)
        *entry = cache_put(storage->descriptors, digest, sizeof *digest, search.copy,
                           sizeof *search.copy, generation);
    return err;
}

enum err blob_is_readable(struct storage *storage, const struct digest *digest,
                          bool *readable, struct error *e)
{
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    bool lost = false;
    enum err err = find_copy(storage, digest, &entry, &lost, e);
    *readable = err == ERR_NONE;
    if (err != ERR_BLOB_NOT_FOUND && !lost)
        return err;
    error_clear(e);
    return ERR_NONE;
}

enum err blob_open(struct storage *storage, const struct digest *digest,
                   struct blob_file *file, struct error *e)
{
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    bool lost = false;
    enum err err = find_copy(storage, digest, &entry, &lost, e);
    if (err != ERR_NONE)
        return err;
    const struct blob_copy *copy = cache_value(entry);
    file->fd = fcntl(copy->fd, F_DUPFD_CLOEXEC, 0);
    if (file->fd < 0)
        return error_set(e, ERR_UNAVAILABLE, "too many open files");
    file->source = NULL;
    file->size = copy->size;
    file->tier = copy->tier;
    return ERR_NONE;
}
