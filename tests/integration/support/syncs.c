// SPDX-License-Identifier: Apache-2.0
// Preloaded into stratad by test_durability.py: writes a line to $SYNCS_LOG for each
// call that makes something durable, in the order in which they return, and lets the
// next sync of an upload fail, once, when the file $SYNCS_FAIL is there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static void note(const char *what, const char *path)
{
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%s %s\n", what, path);
    int fd = open(getenv("SYNCS_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0 && write(fd, line, (size_t)size) == size)
        close(fd);
}

static void path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size > 0 ? size : 0] = '\0';
}

static int sync_with(const char *name, int (*next)(int), int fd)
{
    char path[PATH_MAX];
    path_of(fd, path);
    if (strstr(path, "/incoming/") != NULL && unlink(getenv("SYNCS_FAIL")) == 0) {
        note("failed", path);
        errno = EIO;
        return -1;
    }
    int result = next(fd);
    if (result == 0)
        note(name, path);
    return result;
}

int fsync(int fd)
{
    return sync_with("sync", NEXT(fsync), fd);
}

int fdatasync(int fd)
{
    return sync_with("sync", NEXT(fdatasync), fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    int result = NEXT(renameat)(from_fd, from, to_fd, to);
    if (result == 0)
        note("rename", to);
    return result;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    if (memmem(bytes, size, "COMMIT", 6) != NULL)
        note("commit", "");
    return NEXT(send)(fd, bytes, size, flags);
}
