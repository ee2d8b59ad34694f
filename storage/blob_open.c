// SPDX-License-Identifier: Apache-2.0
#include "storage/blob_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/format/pieces.h"
#include "common/log.h"
#include "storage/placement_drop.h"

#define LOOKS 3 // at the rows, while copies come and go

// The copy that is read, in the cache of descriptors.
struct blob_copy {
    int fd;                 // the raw bytes; -1: it is read through `cold`
    struct cold_copy *cold; // or NULL
    uint64_t size;          // of the blob
    enum tier tier;
    int64_t id;
    bool is_damaged; // there is no better one
};

void blob_copy_free(void *value)
{
    struct blob_copy *copy = value;
    if (copy->fd >= 0)
        close(copy->fd);
    cold_copy_release(copy->cold);
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

static enum err open_file(const struct storage_tier *tier, const struct digest *digest,
                          const struct placement *placement, uint64_t size,
                          struct blob_copy *copy, enum found *found, struct error *e)
{
    struct stat s;
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

// Of a raw copy the chain has the last word: on one that is marked, and where the row's
// checksums are not the blob's.
static bool has_checksums(const struct placement *placement, uint64_t size)
{
    if (strcmp(placement->encoding, "raw") != 0)
        return true;
    return placement->seek_table != NULL && !placement->damaged &&
           placement->seek_table_size == pieces_table_size(size);
}

// What is encoded, lies in a bucket, or is known to be damaged is read chunk by chunk,
// each checked.
static enum err open_cold(struct storage *storage, const struct digest *digest,
                          const struct placement *placement, uint64_t size,
                          struct blob_copy *copy, enum found *found, struct error *e)
{
    CLEANUP(chain_clear) struct chain chain = {0};
    bool by_chain = !has_checksums(placement, size);
    enum err err = by_chain ? blob_chain(storage, digest, &chain, e) : ERR_NONE;
    const struct cold_copy_options options = {
        .store = storage->tiers[placement->tier].store,
        .key = {.digest = *digest, .id = placement->id},
        .encoding = placement->encoding,
        .size = size,
        .stored_size = placement->stored_size,
        .seek_table = by_chain ? NULL : placement->seek_table,
        .seek_table_size = placement->seek_table_size,
        .chain = by_chain ? &chain : NULL,
    };
    if (err == ERR_NONE)
        err = cold_copy_new(&options, &copy->cold, e);
    *found = err == ERR_NONE ? FOUND : FOUND_NOTHING;
    if (err != ERR_BLOB_NOT_FOUND)
        return err;
    error_clear(e);
    return ERR_NONE;
}

static enum err open_placement(struct storage *storage, const struct digest *digest,
                               const struct placement *placement, uint64_t size,
                               struct blob_copy *copy, enum found *found,
                               struct error *e)
{
    const struct storage_tier *tier = &storage->tiers[placement->tier];
    *copy = (struct blob_copy){.fd = -1,
                               .size = size,
                               .tier = placement->tier,
                               .id = placement->id,
                               .is_damaged = placement->damaged};
    *found = FOUND_OFFLINE;
    if (!tier_is_online(tier))
        return ERR_NONE;
    bool raw = strcmp(placement->encoding, "raw") == 0;
    return raw && tier->file != NULL && !placement->damaged
               ? open_file(tier, digest, placement, size, copy, found, e)
               : open_cold(storage, digest, placement, size, copy, found, e);
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
    struct blob_copy copy;
    search->missing = 0;
    for (int i = 0; i < list->count; i++) {
        const struct placement *p = &list->placements[i];
        enum found found = FOUND_NOTHING;
        enum err err = open_placement(storage, digest, p, list->size, &copy, &found,
                                      &search->failure);
        if (err == ERR_NONE && found == FOUND) {
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
        struct blob_copy copy;
        enum found found = FOUND;
        struct error ignored = {0};
        enum err err =
            open_placement(storage, digest, p, list->size, &copy, &found, &ignored);
        if (err == ERR_NONE && found == FOUND_NOTHING) {
            report_lost(storage, digest, p, "missing, or its size differs");
            err = placement_condemn(storage, digest, p,
                                    "its file is missing, or its size differs", NULL,
                                    &ignored);
        }
        cleanup_fd(&copy.fd);
        cold_copy_release(copy.cold);
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
    return copy->fd < 0 ||
           (fstat(copy->fd, &s) == 0 && (uint64_t)s.st_size == copy->size);
}

// Descriptors are bounded by their number.
static size_t memory_of(const struct blob_copy *copy)
{
    return copy->cold != NULL ? cold_copy_memory(copy->cold) : 0;
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
                           memory_of(search.copy), generation);
    return err;
}

enum err blob_is_readable(struct storage *storage, const struct digest *digest,
                          bool *readable, struct error *e)
{
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    bool lost = false;
    enum err err = find_copy(storage, digest, &entry, &lost, e);
    *readable =
        err == ERR_NONE && !((struct blob_copy *)cache_value(entry))->is_damaged;
    if (err != ERR_BLOB_NOT_FOUND && !lost)
        return err;
    error_clear(e);
    return ERR_NONE;
}

// ---- going on from another copy ---------------------------------------------------

#define TRIED_MAXIMUM 8

// Of one reader.
struct failover {
    struct storage *storage;
    struct digest digest;
    int64_t tried[TRIED_MAXIMUM];
    int tried_count;
};

static bool was_tried(const struct failover *f, int64_t id)
{
    for (int i = 0; i < f->tried_count; i++) {
        if (f->tried[i] == id)
            return true;
    }
    return false;
}

// Missing or damaged, not merely away.
static void blame(struct failover *f, const struct blob_failure *failure)
{
    const struct placement bad = {.id = failure->place.placement,
                                  .tier = failure->place.tier};
    struct error ignored = {0};
    if (failure->reason != ERR_COLD_UNREADABLE && failure->reason != ERR_BLOB_NOT_FOUND)
        return;
    if (placement_condemn(f->storage, &f->digest, &bad, failure->detail, NULL,
                          &ignored) != ERR_NONE)
        log_warn("a bad copy is not marked yet", "error", ignored.detail, NULL);
    error_clear(&ignored);
}

static enum err next_place(void *context, const struct blob_failure *failure,
                           struct blob_place *place, struct error *e)
{
    struct failover *f = context;
    CLEANUP(placement_list_clear) struct placement_list list = {0};
    blame(f, failure);
    if (f->tried_count < TRIED_MAXIMUM)
        f->tried[f->tried_count++] = failure->place.placement;
    blob_copies_changed(f->storage, &f->digest);
    enum err err = placement_list_get(f->storage, &f->digest, &list, e);
    for (int i = 0; err == ERR_NONE && i < list.count; i++) {
        const struct placement *p = &list.placements[i];
        struct blob_copy copy;
        enum found found = FOUND_NOTHING;
        if (was_tried(f, p->id) || open_placement(f->storage, &f->digest, p, list.size,
                                                  &copy, &found, e) != ERR_NONE)
            continue;
        if (found != FOUND)
            continue;
        *place = (struct blob_place){p->id, p->tier, copy.fd, copy.cold};
        return ERR_NONE;
    }
    if (err != ERR_NONE)
        return err;
    return error_set(e,
                     failure->reason == ERR_ARCHIVED ? ERR_ARCHIVED : ERR_UNAVAILABLE,
                     "no copy of the blob can be read here: %s", failure->detail);
}

static struct blob_source *failover_source(struct storage *storage,
                                           const struct digest *digest,
                                           const struct blob_copy *copy)
{
    struct failover *f = alloc_zero(sizeof *f);
    *f = (struct failover){.storage = storage, .digest = *digest};
    return blob_source_new(&(struct blob_source_options){
        .reads = storage->cold_reads,
        .size = copy->size,
        .place = {copy->id, copy->tier, -1, cold_copy_hold(copy->cold)},
        .next = next_place,
        .context = f,
        .free_context = free});
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
    *file = (struct blob_file){.fd = -1, .size = copy->size, .tier = copy->tier};
    if (copy->cold != NULL) {
        file->source = failover_source(storage, digest, copy);
        return ERR_NONE;
    }
    file->fd = fcntl(copy->fd, F_DUPFD_CLOEXEC, 0);
    if (file->fd < 0)
        return error_set(e, ERR_UNAVAILABLE, "too many open files");
    return ERR_NONE;
}

void blob_file_clear(struct blob_file *file)
{
    cleanup_fd(&file->fd);
    blob_source_free(file->source);
    file->source = NULL;
}

enum err blob_file_read(const struct blob_file *file, uint64_t offset, void *bytes,
                        size_t size, struct error *e)
{
    if (file->source != NULL)
        return blob_source_read_all(file->source, offset, bytes, size, e);
    for (size_t done = 0; done < size;) {
        ssize_t n =
            pread(file->fd, (char *)bytes + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(e, ERR_UNAVAILABLE, "the copy of a blob cannot be read");
        done += (size_t)n;
    }
    return ERR_NONE;
}
