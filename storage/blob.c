// SPDX-License-Identifier: Apache-2.0
#include "storage/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/db/tx.h"
#include "common/log.h"
#include "storage/placement.h"
#include "storage/state.h"

// ---- rows and leases ------------------------------------------------------------

// {"\\x…","\\x…"}, the text form of a bytea array.
static void put_array(const struct blob *blobs, size_t count, struct buf *text)
{
    buf_putc(text, '{');
    for (size_t i = 0; i < count; i++) {
        char hex[DIGEST_HEX_SIZE];
        digest_format(&blobs[i].digest, hex);
        buf_printf(text, "%s\"\\\\x%s\"", i > 0 ? "," : "", hex);
    }
    buf_putc(text, '}');
}

enum err blob_lock_all(struct db *db, struct blob *blobs, bool *found, size_t count,
                       struct error *e)
{
    static const char sql[] =
        "SELECT sha256, size, chain_root FROM blobs WHERE sha256 = ANY ($1::bytea[])"
        " ORDER BY sha256 FOR KEY SHARE";
    CLEANUP(buf_clear) struct buf digests = {0};
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    put_array(blobs, count, &digests);
    enum err err = db_query(db, sql, DB_PARAMS(DB_TEXT(buf_text(&digests))), &rows, e);
    if (err != ERR_NONE)
        return err;
    int row = 0;
    for (size_t i = 0; i < count; i++) {
        struct digest digest;
        found[i] = row < db_rows(rows) && db_digest(rows, row, 0, &digest) &&
                   digest_equal(&digest, &blobs[i].digest);
        if (!found[i])
            continue;
        blobs[i].size = (uint64_t)db_int(rows, row, 1);
        db_digest(rows, row, 2, &blobs[i].chain_root);
        row++;
    }
    return ERR_NONE;
}

enum err lease_put(struct db *db, const struct digest *digest, int64_t principal_id,
                   int64_t until_us, struct error *e)
{
    static const char sql[] =
        "INSERT INTO leases AS l (sha256, principal_id, until) VALUES ($1, $2, $3)"
        " ON CONFLICT (sha256, principal_id)"
        " DO UPDATE SET until = greatest(l.until, excluded.until)";
    return db_exec(
        db, sql, DB_PARAMS(DB_DIGEST(digest), DB_INT(principal_id), DB_TIME(until_us)),
        NULL, e);
}

struct taking {
    struct blob *blob;
    bool found;
    int64_t principal_id;
    int64_t until_us;
};

static enum err take(struct db *db, void *context, struct error *e)
{
    struct taking *t = context;
    enum err err = blob_lock_all(db, t->blob, &t->found, 1, e);
    if (err != ERR_NONE || !t->found)
        return err;
    return lease_put(db, &t->blob->digest, t->principal_id, t->until_us, e);
}

// *lost: it has a copy, which cannot be read.
static enum err open_copy(struct storage *storage, const struct digest *digest,
                          struct blob_file *file, bool *lost, struct error *e);

enum err blob_take(struct storage *storage, const struct digest *digest,
                   int64_t principal_id, struct blob *blob, bool *found,
                   struct error *e)
{
    struct blob_file file;
    bool lost = false;
    *found = false;
    enum err err = open_copy(storage, digest, &file, &lost, e);
    if (err == ERR_BLOB_NOT_FOUND || lost) { // it is to be sent
        error_clear(e);
        return ERR_NONE;
    }
    if (err != ERR_NONE) // whether it is here is not known
        return err;
    close(file.fd);
    struct taking taking = {
        .blob = blob,
        .principal_id = principal_id,
        .until_us = clock_wall_us() + storage->options.lease_s * 1000000,
    };
    blob->digest = *digest;
    err = db_tx_run(storage->pool, take, &taking, e);
    *found = err == ERR_NONE && taking.found;
    return err;
}

// ---- open files -----------------------------------------------------------------

struct placement_file {
    int fd;
    uint64_t size;
};

void placement_file_free(void *value)
{
    struct placement_file *file = value;
    close(file->fd);
    free(file);
}

static enum err report_lost(struct storage *storage, const struct digest *digest,
                            const char *why, struct error *e)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    log_error("the file of a ready placement cannot be read", "sha256", hex, "why", why,
              NULL);
    atomic_fetch_add(&storage->missing_files, 1);
    return error_set(e, ERR_UNAVAILABLE, "the copy of blob %s cannot be read", hex);
}

static enum err open_placement(struct storage *storage, const struct digest *digest,
                               struct placement_file **file, bool *lost,
                               struct error *e)
{
    struct placement placement;
    struct stat s;
    enum err err = storage_require_hot(storage, e);
    if (err == ERR_NONE)
        err = placement_get(storage, digest, &placement, lost, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FD int fd = tier_file_open_final(storage->hot, digest, placement.id);
    *lost = true;
    if (fd < 0 && errno != ENOENT)
        return error_set_errno(e, errno, "cannot open a blob");
    if (fd < 0 || fstat(fd, &s) != 0)
        return report_lost(storage, digest, "missing", e);
    if ((uint64_t)s.st_size != placement.size)
        return report_lost(storage, digest, "its size differs", e);
    *lost = false;
    *file = alloc_zero(sizeof **file);
    (*file)->size = placement.size;
    (*file)->fd = steal_fd(&fd);
    return ERR_NONE;
}

// Cut since it was opened: sendfile would wait for the missing bytes without end.
static bool is_whole(const struct placement_file *file)
{
    struct stat s;
    return fstat(file->fd, &s) == 0 && (uint64_t)s.st_size == file->size;
}

static enum err open_copy(struct storage *storage, const struct digest *digest,
                          struct blob_file *file, bool *lost, struct error *e)
{
    CLEANUP(cache_release_at)
    struct cache_entry *entry = cache_get(storage->descriptors, digest, sizeof *digest);
    if (entry == NULL) {
        uint64_t generation = cache_generation(storage->descriptors);
        struct placement_file *opened = NULL;
        enum err err = open_placement(storage, digest, &opened, lost, e);
        if (err != ERR_NONE)
            return err;
        entry = cache_put(storage->descriptors, digest, sizeof *digest, opened,
                          sizeof *opened, generation);
    }
    const struct placement_file *cached = cache_value(entry);
    if (!is_whole(cached)) {
        cache_drop(storage->descriptors, digest, sizeof *digest);
        *lost = true;
        return report_lost(storage, digest, "its size differs", e);
    }
    file->fd = fcntl(cached->fd, F_DUPFD_CLOEXEC, 0);
    if (file->fd < 0)
        return error_set(e, ERR_UNAVAILABLE, "too many open files");
    file->size = cached->size;
    file->tier = TIER_HOT;
    return ERR_NONE;
}

enum err blob_open(struct storage *storage, const struct digest *digest,
                   struct blob_file *file, struct error *e)
{
    bool lost = false;
    return open_copy(storage, digest, file, &lost, e);
}

enum err blob_file_read(const struct blob_file *file, uint64_t offset, void *bytes,
                        size_t size, struct error *e)
{
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

// ---- chains ---------------------------------------------------------------------

void chain_value_free(void *value)
{
    chain_clear(value);
    free(value);
}

static enum err read_chain(struct storage *storage, const struct digest *digest,
                           struct chain **chain, struct error *e)
{
    static const char sql[] = "SELECT b.size, c.states FROM blobs b"
                              " JOIN chains c USING (sha256) WHERE b.sha256 = $1";
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(storage->pool, &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_PARAMS(DB_DIGEST(digest)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_BLOB_NOT_FOUND, "no such blob");
    size_t size;
    AUTO_FREE void *raw = db_bytes(rows, 0, 1, &size);
    *chain = alloc_zero(sizeof **chain);
    err = chain_from_raw((uint64_t)db_int(rows, 0, 0), raw, size, *chain, e);
    if (err != ERR_NONE)
        free(*chain);
    return err;
}

static void copy_chain(const struct chain *from, struct chain *to)
{
    to->size = from->size;
    to->count = from->count;
    to->states = alloc_array(from->count, CHAIN_STATE_SIZE);
    memcpy(to->states, from->states, from->count * CHAIN_STATE_SIZE);
}

enum err blob_chain(struct storage *storage, const struct digest *digest,
                    struct chain *chain, struct error *e)
{
    CLEANUP(cache_release_at)
    struct cache_entry *entry = cache_get(storage->chains, digest, sizeof *digest);
    if (entry == NULL) {
        uint64_t generation = cache_generation(storage->chains);
        struct chain *read = NULL;
        enum err err = read_chain(storage, digest, &read, e);
        if (err != ERR_NONE)
            return err;
        entry = cache_put(storage->chains, digest, sizeof *digest, read,
                          read->count * CHAIN_STATE_SIZE, generation);
    }
    copy_chain(cache_value(entry), chain);
    return ERR_NONE;
}
