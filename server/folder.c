// SPDX-License-Identifier: Apache-2.0
#include "server/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"

// Others may pass through to what is theirs (PostgreSQL's folder), not look around.
#define FOLDER_MODE 0711

static enum err take_lock(const char *path, int fd, struct error *e)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return ERR_NONE;
    if (errno != EWOULDBLOCK)
        return error_set_errno(e, errno, "lock %s", path);
    char holder[32] = "";
    ssize_t length = pread(fd, holder, sizeof holder - 1, 0);
    holder[length > 0 ? strspn(holder, "0123456789") : 0] = '\0';
    return error_set(e, ERR_CONFLICT,
                     "another stratad (process %s) works in this data directory: stop "
                     "it first, or choose another --data",
                     holder);
}

static enum err sync_parent(const char *absolute, struct error *e)
{
    AUTO_FREE char *parent = alloc_printf("%s/..", absolute);
    AUTO_FD int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_set_errno(e, errno, "sync %s", parent);
    return ERR_NONE;
}

enum err folder_take(const char *dir, char **path, int *lock, struct error *e)
{
    bool made = mkdir(dir, FOLDER_MODE) == 0;
    if (!made && errno != EEXIST)
        return error_set(e, ERR_INTERNAL, "the data directory %s cannot be made: %s",
                         dir, strerror(errno));
    AUTO_FREE char *absolute = realpath(dir, NULL);
    if (absolute == NULL)
        return error_set(e, ERR_INTERNAL, "the data directory %s: %s", dir,
                         strerror(errno));
    AUTO_FREE char *lock_path = alloc_printf("%s/lock", absolute);
    AUTO_FD int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_set(e, ERR_INTERNAL,
                         "%s cannot be opened: %s; run as the owner of the data "
                         "directory",
                         lock_path, strerror(errno));
    enum err err = take_lock(lock_path, fd, e);
    if (err == ERR_NONE && made)
        err = sync_parent(absolute, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE char *line = alloc_printf("%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, line, strlen(line), 0) < 0)
        return error_set_errno(e, errno, "write %s", lock_path);
    *path = steal_ptr(absolute);
    *lock = steal_fd(&fd);
    return ERR_NONE;
}

enum err folder_write_file(const char *path, const char *text, struct error *e)
{
    AUTO_FREE char *fresh = alloc_printf("%s.new", path);
    size_t size = strlen(text);
    AUTO_FD int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || rename(fresh, path) != 0)
        return error_set_errno(e, errno, "write %s", path);
    return ERR_NONE;
}
