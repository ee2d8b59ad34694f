// SPDX-License-Identifier: Apache-2.0
#include "storage/tier_directory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/direct.h"
#include "common/log.h"

// Enough for a disk to be read at its speed, few enough for its head.
#define PARALLEL_READS 4

struct directory {
    struct tier_store store;
    struct tier_file *file;
};

struct tier_file *tier_directory_file(struct tier_store *store)
{
    assert(strcmp(store->ops->kind, "directory") == 0);
    return ((struct directory *)store)->file;
}

static enum err directory_stat(struct tier_store *store, const struct tier_key *key,
                               bool *found, uint64_t *size, struct error *e)
{
    char name[TIER_FILE_NAME_SIZE];
    struct stat s;
    tier_file_name_final(&key->digest, key->id, name);
    *found = fstatat(tier_file_root(tier_directory_file(store)), name, &s, 0) == 0;
    if (!*found && errno != ENOENT)
        return error_set_errno(e, errno, "cannot look at %s", name);
    *size = *found ? (uint64_t)s.st_size : 0;
    return ERR_NONE;
}

// ---- writing ----------------------------------------------------------------------

#define GATHER_SIZE ((size_t)4 << 20)

struct directory_writer {
    struct tier_writer writer;
    struct tier_file *file;
    struct tier_key key;
    int fd, direct_fd; // direct_fd: -1 for small copies
    char *gathered;
    size_t gathered_size;
    uint64_t offset, bound; // offset: in the file, without what is gathered
    bool failed;            // for good
    bool finished;
};

static enum err fail(struct directory_writer *w, int errnum, const char *what,
                     struct error *e)
{
    bool is_full = errnum == ENOSPC || errnum == EDQUOT;
    w->failed = true;
    return error_set_errno(e, errnum, "%scannot %s placement %" PRId64,
                           is_full ? "the tier's file system is full, make room on it: "
                                   : "",
                           what, w->key.id);
}

static enum err put(struct directory_writer *w, const void *bytes, size_t size,
                    struct error *e)
{
    if (!direct_write(w->direct_fd, w->fd, bytes, size, w->offset))
        return fail(w, errno, "write", e);
    w->offset += size;
    return ERR_NONE;
}

static enum err flush(struct directory_writer *w, struct error *e)
{
    enum err err = put(w, w->gathered, w->gathered_size, e);
    w->gathered_size = 0;
    return err;
}

static enum err check_writable(struct directory_writer *w, size_t size, struct error *e)
{
    assert(!w->finished);
    if (w->failed)
        return error_set(e, ERR_INTERNAL, "placement %" PRId64 " failed before",
                         w->key.id);
    if (size > w->bound - w->offset - w->gathered_size) {
        w->failed = true;
        return error_set(e, ERR_INTERNAL, "placement %" PRId64 " is over its bound",
                         w->key.id);
    }
    return ERR_NONE;
}

static enum err writer_write(struct tier_writer *writer, const void *bytes, size_t size,
                             struct error *e)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    const char *next = bytes;
    enum err err = check_writable(w, size, e);
    while (size > 0 && err == ERR_NONE) {
        size_t n = GATHER_SIZE - w->gathered_size;
        if (n > size)
            n = size;
        if (n == GATHER_SIZE && (uintptr_t)next % DIRECT_ALIGNMENT == 0) {
            err = put(w, next, n, e); // as it lies, without a copy
        } else {
            memcpy(w->gathered + w->gathered_size, next, n);
            w->gathered_size += n;
            if (w->gathered_size == GATHER_SIZE)
                err = flush(w, e);
        }
        next += n;
        size -= n;
    }
    return err;
}

static void close_files(struct directory_writer *w)
{
    cleanup_fd(&w->direct_fd);
    cleanup_fd(&w->fd);
    w->direct_fd = w->fd = -1;
}

static enum err writer_finish(struct tier_writer *writer, struct error *e)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    enum err err = check_writable(w, 0, e);
    if (err == ERR_NONE)
        err = flush(w, e);
    if (err == ERR_NONE && (fchmod(w->fd, 0440) != 0 || fsync(w->fd) != 0))
        err = fail(w, errno, "sync", e); // never synced again (invariant 1)
    if (err == ERR_NONE)
        err = tier_file_publish(w->file, &w->key.digest, w->key.id, e);
    w->failed = err != ERR_NONE;
    w->finished = err == ERR_NONE;
    if (w->finished) // held open it would keep its file system from a remount
        close_files(w);
    return err;
}

static void writer_free(struct tier_writer *writer)
{
    struct directory_writer *w = (struct directory_writer *)writer;
    struct error e = {0};
    close_files(w);
    if (!w->finished &&
        tier_file_remove(w->file, &w->key.digest, w->key.id, &e) != ERR_NONE)
        log_debug("a copy that was given up stays", "error", e.detail, NULL);
    error_clear(&e);
    free(w->gathered);
    free(w);
}

static const struct tier_writer_ops writer_ops = {
    .write = writer_write,
    .finish = writer_finish,
    .free = writer_free,
};

static enum err writer_new(struct tier_store *store, const struct tier_key *key,
                           uint64_t bound, struct tier_writer **writer, struct error *e)
{
    struct tier_file *file = tier_directory_file(store);
    bool found;
    uint64_t size;
    enum err err = directory_stat(store, key, &found, &size, e);
    // A rename would replace it: a name that is used twice is a bug (invariant 4).
    if (err == ERR_NONE && found)
        err = error_set(e, ERR_INTERNAL, "placement %" PRId64 " is there already",
                        key->id);
    if (err != ERR_NONE)
        return err;
    int fd;
    err = tier_file_create(file, key->id, 0, &fd, e);
    if (err != ERR_NONE)
        return err;
    struct directory_writer *w = alloc_zero(sizeof *w);
    *w = (struct directory_writer){.writer.ops = &writer_ops,
                                   .file = file,
                                   .key = *key,
                                   .fd = fd,
                                   .direct_fd = direct_open(fd, bound),
                                   .gathered = direct_buffer(GATHER_SIZE),
                                   .bound = bound};
    *writer = &w->writer;
    return ERR_NONE;
}

// ---- reading ----------------------------------------------------------------------

#define BOUNCE_SIZE ((size_t)1 << 20)

struct directory_reader {
    struct tier_reader reader;
    struct tier_key key;
    int fd;
    int direct_fd; // -1: reads go through the page cache
    bool drop;     // past the page cache, but the file system cannot: drop it before
};

static enum err short_read(const struct directory_reader *r, ssize_t n, struct error *e)
{
    if (n < 0 && (errno == EIO || errno == EBADMSG || errno == EUCLEAN))
        return error_set(e, ERR_COLD_UNREADABLE,
                         "cannot read placement %" PRId64 ": %s", r->key.id,
                         strerror(errno));
    if (n < 0)
        return error_set_errno(e, errno, "cannot read placement %" PRId64, r->key.id);
    return error_set(e, ERR_UNAVAILABLE, "placement %" PRId64 " is cut short",
                     r->key.id);
}

static enum err read_cached(struct directory_reader *r, uint64_t offset, char *bytes,
                            size_t size, struct error *e)
{
    if (r->drop)
        posix_fadvise(r->fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
    while (size > 0) {
        ssize_t n = pread(r->fd, bytes, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return short_read(r, n, e);
        bytes += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return ERR_NONE;
}

// One piece, from the block that holds `offset`; *taken of its bytes go to `bytes`.
static ssize_t read_blocks(struct directory_reader *r, char *bounce, uint64_t offset,
                           char *bytes, size_t size, size_t *taken)
{
    size_t skip = offset % DIRECT_ALIGNMENT;
    size_t whole = size - size % DIRECT_ALIGNMENT;
    ssize_t n;
    if (skip == 0 && whole > 0 && (uintptr_t)bytes % DIRECT_ALIGNMENT == 0) {
        n = pread(r->direct_fd, bytes, whole, (off_t)offset);
        *taken = n > 0 ? (size_t)n : 0;
        return n;
    }
    n = pread(r->direct_fd, bounce, BOUNCE_SIZE, (off_t)(offset - skip));
    *taken = n > (ssize_t)skip ? (size_t)n - skip : 0;
    if (*taken > size)
        *taken = size;
    memcpy(bytes, bounce + skip, *taken);
    return n;
}

static enum err read_direct(struct directory_reader *r, uint64_t offset, char *bytes,
                            size_t size, struct error *e)
{
    AUTO_FREE char *bounce = direct_buffer(BOUNCE_SIZE);
    while (size > 0) {
        size_t taken;
        ssize_t n = read_blocks(r, bounce, offset, bytes, size, &taken);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EINVAL) // a device with larger blocks
            return read_cached(r, offset, bytes, size, e);
        if (taken == 0)
            return short_read(r, n < 0 ? n : 0, e);
        bytes += taken;
        offset += taken;
        size -= taken;
    }
    return ERR_NONE;
}

static enum err reader_read(struct tier_reader *reader, uint64_t offset, void *bytes,
                            size_t size, struct error *e)
{
    struct directory_reader *r = (struct directory_reader *)reader;
    return r->direct_fd >= 0 ? read_direct(r, offset, bytes, size, e)
                             : read_cached(r, offset, bytes, size, e);
}

static int reader_fd(struct tier_reader *reader)
{
    return ((struct directory_reader *)reader)->fd;
}

static void reader_free(struct tier_reader *reader)
{
    struct directory_reader *r = (struct directory_reader *)reader;
    if (r->direct_fd >= 0)
        close(r->direct_fd);
    close(r->fd);
    free(r);
}

static const struct tier_reader_ops reader_ops = {
    .read = reader_read,
    .free = reader_free,
    .fd = reader_fd,
};

static enum err reader_new(struct tier_store *store, const struct tier_key *key,
                           unsigned flags, struct tier_reader **reader, struct error *e)
{
    struct tier_file *file = tier_directory_file(store);
    AUTO_FD int fd = tier_file_open_final(file, &key->digest, key->id);
    if (fd < 0 && errno == ENOENT)
        return error_set(e, ERR_BLOB_NOT_FOUND, "placement %" PRId64 " has no file",
                         key->id);
    if (fd < 0)
        return error_set_errno(e, errno, "cannot open placement %" PRId64, key->id);
    int direct_fd = -1;
    if (flags & (TIER_READ_DIRECT | TIER_READ_ASIDE)) {
        char path[64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        direct_fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    }
    struct directory_reader *r = alloc_zero(sizeof *r);
    *r = (struct directory_reader){.reader.ops = &reader_ops,
                                   .key = *key,
                                   .fd = steal_fd(&fd),
                                   .direct_fd = direct_fd,
                                   .drop = flags & TIER_READ_DIRECT};
    *reader = &r->reader;
    return ERR_NONE;
}

// ---- the whole tier ----------------------------------------------------------------

static enum err directory_identity_read(struct tier_store *store,
                                        struct tier_identity *identity, bool *found,
                                        struct error *e)
{
    return tier_identity_read(tier_file_root(tier_directory_file(store)), identity,
                              found, e);
}

static enum err directory_identity_write(struct tier_store *store,
                                         const struct tier_identity *identity,
                                         struct error *e)
{
    return tier_identity_write(tier_file_root(tier_directory_file(store)), identity, e);
}

static enum err directory_is_empty(struct tier_store *store, bool *empty,
                                   struct error *e)
{
    return tier_file_is_empty(tier_directory_file(store), empty, e);
}

static enum err directory_prepare(struct tier_store *store, struct error *e)
{
    return tier_file_prepare(tier_directory_file(store), e);
}

static enum err directory_remove(struct tier_store *store, const struct tier_key *key,
                                 struct error *e)
{
    return tier_file_remove(tier_directory_file(store), &key->digest, key->id, e);
}

static enum err directory_quarantine(struct tier_store *store,
                                     const struct tier_found *found, struct error *e)
{
    const char *slash = strrchr(found->name, '/');
    assert(slash != NULL);
    AUTO_FREE char *folder = alloc_copy_n(found->name, (size_t)(slash - found->name));
    return tier_file_quarantine(tier_directory_file(store), folder, slash + 1, e);
}

struct visit {
    struct tier_file *file;
    tier_visit_fn *visit;
    void *context;
};

static enum err visit_one(void *context, const char *folder, const char *base,
                          struct error *e)
{
    struct visit *v = context;
    AUTO_FREE char *name = alloc_printf("%s/%s", folder, base);
    struct stat s;
    if (fstatat(tier_file_root(v->file), name, &s, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) // gone since it was listed
            return ERR_NONE;
        return error_set_errno(e, errno, "cannot look at %s", name);
    }
    struct tier_file_name parsed;
    struct tier_found found = {
        .name = name,
        .size = (uint64_t)s.st_size,
        .modified_us = (int64_t)s.st_mtim.tv_sec * 1000000 + s.st_mtim.tv_nsec / 1000,
    };
    found.is_known = S_ISREG(s.st_mode) && tier_file_name_parse(folder, base, &parsed);
    if (found.is_known) {
        found.is_incoming = !parsed.is_final;
        found.key = (struct tier_key){.digest = parsed.digest, .id = parsed.id};
    }
    return v->visit(v->context, &found, e);
}

static enum err directory_each(struct tier_store *store, tier_visit_fn *visit,
                               void *context, struct error *e)
{
    struct tier_file *file = tier_directory_file(store);
    struct visit v = {.file = file, .visit = visit, .context = context};
    return tier_file_each(file, visit_one, &v, e);
}

static enum err directory_space(struct tier_store *store, struct tier_space *space,
                                struct error *e)
{
    struct statvfs s;
    if (fstatvfs(tier_file_root(tier_directory_file(store)), &s) != 0)
        return error_set_errno(e, errno, "cannot measure the tier");
    *space = (struct tier_space){.is_limited = true,
                                 .total = (uint64_t)s.f_blocks * s.f_frsize,
                                 .available = (uint64_t)s.f_bavail * s.f_frsize,
                                 .is_read_only = s.f_flag & ST_RDONLY};
    return ERR_NONE;
}

static void directory_free(struct tier_store *store)
{
    tier_file_free(tier_directory_file(store));
    free(store);
}

static const struct tier_ops directory_ops = {
    .kind = "directory",
    .parallel = PARALLEL_READS,
    .free = directory_free,
    .identity_read = directory_identity_read,
    .identity_write = directory_identity_write,
    .is_empty = directory_is_empty,
    .prepare = directory_prepare,
    .writer_new = writer_new,
    .reader_new = reader_new,
    .stat = directory_stat,
    .remove = directory_remove,
    .quarantine = directory_quarantine,
    .each = directory_each,
    .space = directory_space,
};

enum err tier_directory_new(const char *root, struct tier_store **store,
                            struct error *e)
{
    struct directory *directory = alloc_zero(sizeof *directory);
    directory->store.ops = &directory_ops;
    enum err err = tier_file_new(root, &directory->file, e);
    if (err == ERR_NONE)
        *store = &directory->store;
    else
        free(directory);
    return err;
}
