// SPDX-License-Identifier: Apache-2.0
#include "client/lib/destination.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define OPEN_TRIES 8

// Makes one folder, durably, unless it is there.
static int make_folder(const char *path)
{
    if (mkdir(path, 0777) != 0)
        return errno == EEXIST ? 0 : -1;
    AUTO_FREE char *above = alloc_printf("%s/..", path);
    AUTO_FD int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    // A folder that may be written but not read cannot be synced by its user.
    if (fd < 0)
        return errno == EACCES ? 0 : -1;
    return fsync(fd);
}

// The folder is the user's own choice, so links on the way to it are followed.
static enum strata_status make_root(const char *path, struct strata_error *e)
{
    if (path[0] == '\0')
        return fail_set(e, STRATA_USAGE, "the folder's name is empty");
    AUTO_FREE char *part = alloc_copy(path);
    for (char *slash = part;;) {
        slash = strchr(slash + 1, '/');
        if (slash != NULL)
            *slash = '\0';
        if (make_folder(part) != 0)
            return fail_errno(e, errno, "%s cannot be made", part);
        if (slash == NULL)
            return STRATA_OK;
        *slash = '/';
    }
}

void destination_tidy(struct destination *to)
{
    int copy = openat(to->partial_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (dir == NULL) {
        if (copy >= 0)
            close(copy);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct digest digest;
        if (!digest_parse(entry->d_name, &digest))
            continue;
        AUTO_FD int fd = openat(to->partial_fd, entry->d_name,
                                O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(to->partial_fd, entry->d_name, 0);
    }
    closedir(dir);
}

void destination_close(struct destination *to)
{
    if (to->partial_fd >= 0) {
        close(to->partial_fd);
        unlinkat(to->fd, DESTINATION_PARTIAL, AT_REMOVEDIR); // stays unless empty
    }
    if (to->fd >= 0)
        close(to->fd);
    free(to->path);
    *to = (struct destination){.fd = -1, .partial_fd = -1};
}

static enum strata_status not_safe(const struct destination *to, const char *path,
                                   int errnum, struct strata_error *e)
{
    if (errnum == ELOOP || errnum == ENOTDIR) {
        return fail_set(
            e, STRATA_LOCAL,
            "%s/%s: on the way lies a symbolic link or a file; it is not followed",
            to->path, path);
    }
    return fail_errno(e, errnum, "%s/%s", to->path, path);
}

// Opens a folder below `parent`, made durably when it is missing and `create`.
static int open_below(int parent, const char *name, bool create)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent, name, flags);
    if (fd >= 0 || errno != ENOENT || !create)
        return fd;
    if (mkdirat(parent, name, 0777) != 0 && errno != EEXIST)
        return -1;
    if (fsync(parent) != 0)
        return -1;
    return openat(parent, name, flags);
}

enum strata_status destination_open(struct destination *to, const char *path,
                                    bool create, struct strata_error *e)
{
    *to = (struct destination){.fd = -1, .partial_fd = -1, .path = alloc_copy(path)};
    if (create) {
        enum strata_status status = make_root(path, e);
        if (status != STRATA_OK)
            return status;
    }
    to->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to->fd < 0)
        return fail_errno(e, errno, "%s cannot be opened", path);
    if (!create)
        return STRATA_OK;
    to->partial_fd = open_below(to->fd, DESTINATION_PARTIAL, true);
    if (to->partial_fd < 0)
        return not_safe(to, DESTINATION_PARTIAL, errno, e);
    return STRATA_OK;
}

// The folder that `path` lies in; *name is its last component. -1 and errno.
static int open_parent(const struct destination *to, const char *path, bool create,
                       const char **name)
{
    int fd = fcntl(to->fd, F_DUPFD_CLOEXEC, 0);
    const char *slash;
    while (fd >= 0 && (slash = strchr(path, '/')) != NULL) {
        AUTO_FREE char *component = alloc_copy_n(path, (size_t)(slash - path));
        int below = open_below(fd, component, create);
        int errnum = errno;
        close(fd);
        errno = errnum;
        fd = below;
        path = slash + 1;
    }
    *name = path;
    return fd;
}

enum strata_status destination_open_file(struct destination *to, const char *path,
                                         int *fd, struct strata_error *e)
{
    *fd = -1;
    const char *name;
    AUTO_FD int parent = open_parent(to, path, false, &name);
    if (parent < 0)
        return errno == ENOENT ? STRATA_OK : not_safe(to, path, errno, e);
    AUTO_FD int found =
        openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (found < 0)
        return errno == ENOENT ? STRATA_OK : not_safe(to, path, errno, e);
    struct stat st;
    if (fstat(found, &st) != 0)
        return fail_errno(e, errno, "%s/%s", to->path, path);
    if (!S_ISREG(st.st_mode))
        return fail_set(e, STRATA_LOCAL, "%s/%s is not a regular file", to->path, path);
    *fd = steal_fd(&found);
    return STRATA_OK;
}

// -1 with errno; EWOULDBLOCK when another process holds it.
static int open_locked(int folder, const char *name)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        AUTO_FD int fd =
            openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
            return -1;
        struct stat held, named;
        if (fstat(fd, &held) == 0 &&
            fstatat(folder, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
            held.st_ino == named.st_ino && held.st_dev == named.st_dev)
            return steal_fd(&fd);
        // Its last holder gave it its final name between our open and our lock.
    }
    errno = EWOULDBLOCK;
    return -1;
}

enum strata_status destination_open_partial(struct destination *to,
                                            const struct digest *sha256, uint64_t size,
                                            int *result, struct strata_error *e)
{
    char name[DIGEST_HEX_SIZE];
    digest_format(sha256, name);
    AUTO_FD int fd = open_locked(to->partial_fd, name);
    // ENOENT: its folder went away with the end of another pull.
    if (fd < 0 && (errno == EWOULDBLOCK || errno == ENOENT)) {
        return fail_set(e, STRATA_CONFLICT, "another pull into %s is under way",
                        to->path);
    }
    if (fd < 0)
        return fail_errno(e, errno, "%s/%s/%s", to->path, DESTINATION_PARTIAL, name);
    if (ftruncate(fd, (off_t)size) != 0)
        return fail_errno(e, errno, "%s/%s/%s", to->path, DESTINATION_PARTIAL, name);
    // Says now, not after an hour, that the disk has no room. Holes stay holes to
    // SEEK_DATA; where the file system cannot reserve, the writes tell.
    if (size > 0 && fallocate(fd, 0, 0, (off_t)size) != 0 &&
        (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
        return fail_errno(e, errno, "%s has no room for %llu bytes", to->path,
                          (unsigned long long)size);
    }
    *result = steal_fd(&fd);
    return STRATA_OK;
}

enum strata_status destination_finish(struct destination *to,
                                      const struct digest *sha256, int fd,
                                      const char *path, struct strata_error *e)
{
    if (fsync(fd) != 0)
        return fail_errno(e, errno, "%s/%s", to->path, path);
    char partial[DIGEST_HEX_SIZE];
    digest_format(sha256, partial);
    const char *name;
    AUTO_FD int parent = open_parent(to, path, true, &name);
    if (parent < 0)
        return not_safe(to, path, errno, e);
    struct stat st;
    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        return not_safe(to, path, ELOOP, e);
    if (renameat(to->partial_fd, partial, parent, name) != 0 || fsync(parent) != 0)
        return fail_errno(e, errno, "%s/%s", to->path, path);
    return STRATA_OK;
}
