// SPDX-License-Identifier: Apache-2.0
#include "storage/tier_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "storage/tier_identity.h"

struct tier_file {
    char *root; // for messages
    int fd;
};

static void close_folder(DIR **folder)
{
    if (*folder != NULL)
        closedir(*folder);
}

void tier_file_name_incoming(int64_t id, char name[TIER_FILE_NAME_SIZE])
{
    snprintf(name, TIER_FILE_NAME_SIZE, TIER_FILE_INCOMING "/%" PRId64, id);
}

static void folder_of(const struct digest *digest, char name[TIER_FILE_NAME_SIZE])
{
    snprintf(name, TIER_FILE_NAME_SIZE, "sha256/%02x", digest->bytes[0]);
}

void tier_file_name_final(const struct digest *digest, int64_t id,
                          char name[TIER_FILE_NAME_SIZE])
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(digest, hex);
    snprintf(name, TIER_FILE_NAME_SIZE, "sha256/%.2s/%s.%" PRId64, hex, hex, id);
}

// A number as printf writes it: no sign, no leading zero, nothing after it.
static bool parse_id(const char *text, int64_t *id)
{
    char *end;
    if (*text < '1' || *text > '9')
        return false;
    errno = 0;
    *id = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0';
}

bool tier_file_name_parse(const char *folder, const char *base,
                          struct tier_file_name *name)
{
    memset(name, 0, sizeof *name);
    if (strcmp(folder, TIER_FILE_INCOMING) == 0)
        return parse_id(base, &name->id);
    char hex[DIGEST_HEX_SIZE];
    if (strlen(base) <= DIGEST_HEX_SIZE || base[DIGEST_HEX_SIZE - 1] != '.')
        return false;
    memcpy(hex, base, DIGEST_HEX_SIZE - 1);
    hex[DIGEST_HEX_SIZE - 1] = '\0';
    name->is_final = true;
    char expected[TIER_FILE_NAME_SIZE];
    if (!digest_parse(hex, &name->digest))
        return false;
    folder_of(&name->digest, expected);
    return strcmp(folder, expected) == 0 && parse_id(base + DIGEST_HEX_SIZE, &name->id);
}

enum err tier_file_new(const char *root, struct tier_file **tier, struct error *e)
{
    bool made = mkdir(root, 0750) == 0;
    if (!made && errno != EEXIST)
        return error_set_errno(e, errno, "cannot make %s", root);
    AUTO_FD int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(e, errno, "cannot open %s", root);
    AUTO_FD int parent =
        made ? openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (made && (parent < 0 || fsync(parent) != 0))
        return error_set_errno(e, errno, "cannot sync %s/..", root);
    *tier = alloc_zero(sizeof **tier);
    (*tier)->root = alloc_copy(root);
    (*tier)->fd = steal_fd(&fd);
    return ERR_NONE;
}

void tier_file_free(struct tier_file *tier)
{
    if (tier == NULL)
        return;
    close(tier->fd);
    free(tier->root);
    free(tier);
}

int tier_file_root(const struct tier_file *tier)
{
    return tier->fd;
}

static DIR *open_folder(struct tier_file *tier, const char *folder)
{
    AUTO_FD int fd = openat(tier->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    DIR *dir = fdopendir(fd);
    if (dir != NULL)
        steal_fd(&fd);
    return dir;
}

enum err tier_file_is_empty(struct tier_file *tier, bool *empty, struct error *e)
{
    CLEANUP(close_folder) DIR *dir = open_folder(tier, ".");
    if (dir == NULL)
        return error_set_errno(e, errno, "cannot list %s", tier->root);
    *empty = true;
    struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "lost+found") != 0 &&
            strcmp(entry->d_name, TIER_IDENTITY_TEMPORARY) != 0)
            *empty = false;
    }
    return ERR_NONE;
}

static enum err sync_folder(struct tier_file *tier, const char *folder, struct error *e)
{
    AUTO_FD int fd = openat(tier->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_set_errno(e, errno, "cannot sync %s/%s", tier->root, folder);
    return ERR_NONE;
}

static enum err make_folder(struct tier_file *tier, const char *folder, struct error *e)
{
    if (mkdirat(tier->fd, folder, 0750) == 0)
        return sync_folder(tier, folder, e);
    if (errno != EEXIST)
        return error_set_errno(e, errno, "cannot make %s/%s", tier->root, folder);
    return ERR_NONE;
}

enum err tier_file_prepare(struct tier_file *tier, struct error *e)
{
    static const char *const folders[] = {TIER_FILE_INCOMING, "sha256",
                                          TIER_FILE_QUARANTINE};
    enum err err = ERR_NONE;
    for (size_t i = 0; i < ARRAY_SIZE(folders) && err == ERR_NONE; i++)
        err = make_folder(tier, folders[i], e);
    for (unsigned i = 0; i < 256 && err == ERR_NONE; i++) {
        char name[TIER_FILE_NAME_SIZE];
        folder_of(&(struct digest){.bytes = {(uint8_t)i}}, name);
        err = make_folder(tier, name, e);
    }
    if (err == ERR_NONE)
        err = sync_folder(tier, "sha256", e);
    if (err == ERR_NONE)
        err = sync_folder(tier, ".", e);
    return err;
}

enum err tier_file_create(struct tier_file *tier, int64_t id, uint64_t size, int *fd,
                          struct error *e)
{
    char name[TIER_FILE_NAME_SIZE];
    tier_file_name_incoming(id, name);
    AUTO_FD int made =
        openat(tier->fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (made < 0)
        return error_set_errno(e, errno, "cannot make %s/%s", tier->root, name);
    if (ftruncate(made, (off_t)size) != 0)
        return error_set_errno(e, errno, "cannot size %s/%s", tier->root, name);
    enum err err = sync_folder(tier, TIER_FILE_INCOMING, e);
    if (err == ERR_NONE)
        *fd = steal_fd(&made);
    return err;
}

int tier_file_open_incoming(struct tier_file *tier, int64_t id, int flags)
{
    char name[TIER_FILE_NAME_SIZE];
    tier_file_name_incoming(id, name);
    return openat(tier->fd, name, flags | O_CLOEXEC);
}

int tier_file_open_final(struct tier_file *tier, const struct digest *digest,
                         int64_t id)
{
    char name[TIER_FILE_NAME_SIZE];
    tier_file_name_final(digest, id, name);
    return openat(tier->fd, name, O_RDONLY | O_CLOEXEC);
}

bool tier_file_has_final(struct tier_file *tier, const struct digest *digest,
                         int64_t id, uint64_t size)
{
    char name[TIER_FILE_NAME_SIZE];
    struct stat s;
    tier_file_name_final(digest, id, name);
    if (fstatat(tier->fd, name, &s, 0) != 0)
        return errno != ENOENT;
    return (uint64_t)s.st_size == size;
}

// Moves between incoming/ and sha256/ab/ and makes both folders durable. What has been
// moved already is found at `to`.
static enum err move(struct tier_file *tier, const char *from, const char *to,
                     const struct digest *digest, struct error *e)
{
    struct stat s;
    if (renameat(tier->fd, from, tier->fd, to) != 0 &&
        (errno != ENOENT || fstatat(tier->fd, to, &s, 0) != 0))
        return error_set_errno(e, errno, "cannot rename %s/%s", tier->root, from);
    char folder[TIER_FILE_NAME_SIZE];
    folder_of(digest, folder);
    enum err err = sync_folder(tier, folder, e);
    return err != ERR_NONE ? err : sync_folder(tier, TIER_FILE_INCOMING, e);
}

enum err tier_file_publish(struct tier_file *tier, const struct digest *digest,
                           int64_t id, struct error *e)
{
    char incoming[TIER_FILE_NAME_SIZE], final[TIER_FILE_NAME_SIZE];
    tier_file_name_incoming(id, incoming);
    tier_file_name_final(digest, id, final);
    return move(tier, incoming, final, digest, e);
}

enum err tier_file_unpublish(struct tier_file *tier, const struct digest *digest,
                             int64_t id, struct error *e)
{
    char incoming[TIER_FILE_NAME_SIZE], final[TIER_FILE_NAME_SIZE];
    tier_file_name_incoming(id, incoming);
    tier_file_name_final(digest, id, final);
    enum err err = move(tier, final, incoming, digest, e);
    if (err == ERR_NONE && fchmodat(tier->fd, incoming, 0640, 0) != 0)
        err = error_set_errno(e, errno, "cannot reopen %s/%s", tier->root, incoming);
    return err;
}

static bool is_there(struct tier_file *tier, const char *name)
{
    struct stat s;
    return fstatat(tier->fd, name, &s, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static enum err unlink_one(struct tier_file *tier, const char *name, const char *folder,
                           struct error *e)
{
    if (unlinkat(tier->fd, name, 0) != 0 && errno != ENOENT) {
        int errnum = errno;
        // A read-only file system refuses before it looks.
        if (errnum != EROFS || is_there(tier, name))
            return error_set_errno(e, errnum, "cannot remove %s/%s", tier->root, name);
    }
    return sync_folder(tier, folder, e);
}

enum err tier_file_remove(struct tier_file *tier, const struct digest *digest,
                          int64_t id, struct error *e)
{
    char name[TIER_FILE_NAME_SIZE], folder[TIER_FILE_NAME_SIZE];
    tier_file_name_incoming(id, name);
    enum err err = unlink_one(tier, name, TIER_FILE_INCOMING, e);
    if (err != ERR_NONE || digest == NULL)
        return err;
    tier_file_name_final(digest, id, name);
    folder_of(digest, folder);
    return unlink_one(tier, name, folder, e);
}

enum err tier_file_quarantine(struct tier_file *tier, const char *folder,
                              const char *base, struct error *e)
{
    AUTO_FREE char *from = alloc_printf("%s/%s", folder, base);
    // The time first, since names may be of the longest that a file system takes.
    AUTO_FREE char *to =
        alloc_printf(TIER_FILE_QUARANTINE "/%" PRId64 ".%.200s", clock_wall_us(), base);
    if (renameat2(tier->fd, from, tier->fd, to, RENAME_NOREPLACE) != 0)
        return error_set_errno(e, errno, "cannot quarantine %s/%s", tier->root, from);
    enum err err = sync_folder(tier, TIER_FILE_QUARANTINE, e);
    return err != ERR_NONE ? err : sync_folder(tier, folder, e);
}

static enum err each_in(struct tier_file *tier, const char *folder,
                        tier_file_visit visit, void *context, struct error *e)
{
    CLEANUP(close_folder) DIR *dir = open_folder(tier, folder);
    if (dir == NULL)
        return error_set_errno(e, errno, "cannot list %s/%s", tier->root, folder);
    struct dirent *entry;
    enum err err = ERR_NONE;
    errno = 0;
    while (err == ERR_NONE && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            err = visit(context, folder, entry->d_name, e);
        errno = 0;
    }
    if (err == ERR_NONE && errno != 0)
        err = error_set_errno(e, errno, "cannot list %s/%s", tier->root, folder);
    return err;
}

enum err tier_file_each(struct tier_file *tier, tier_file_visit visit, void *context,
                        struct error *e)
{
    enum err err = each_in(tier, TIER_FILE_INCOMING, visit, context, e);
    for (unsigned i = 0; i < 256 && err == ERR_NONE; i++) {
        char name[TIER_FILE_NAME_SIZE];
        folder_of(&(struct digest){.bytes = {(uint8_t)i}}, name);
        err = each_in(tier, name, visit, context, e);
    }
    return err;
}
