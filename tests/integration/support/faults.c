// SPDX-License-Identifier: Apache-2.0
// Preloaded into stratad by a test (support/faults.py): the calls that change the tier
// are counted while the file named by STRATA_FAULT_PLAN exists, and the one that it
// names is the last (kill -9 before or after it), or it fails. The name of the call that
// was struck is left in a file beside the plan.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define NEXT(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static atomic_int calls;

enum verdict { PASS, KILL_AFTER, FAIL };

static void leave_name(const char *path, const char *name)
{
    char hit[4096];
    snprintf(hit, sizeof hit, "%s.hit", path);
    int fd = open(hit, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd >= 0 && NEXT(write)(fd, name, strlen(name)) >= 0)
        close(fd);
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    pause();
}

// "fail NAME": every call of that name, with EIO; "fail NAME N ERRNO": its Nth, with N 0
// every one. Several of them, a line each.
static enum verdict judge_failure(const char *path, const char *plan, const char *name)
{
    char word[64] = "";
    int number = 0, code = EIO;
    while (plan != NULL && strcmp(word, name) != 0) {
        number = 0;
        code = EIO;
        if (sscanf(plan, "fail %63s %d %d", word, &number, &code) < 1)
            return PASS;
        plan = strchr(plan, '\n');
        plan = plan == NULL ? NULL : plan + 1;
    }
    if (strcmp(word, name) != 0)
        return PASS;
    if (number > 0 && atomic_fetch_add(&calls, 1) + 1 != number)
        return PASS;
    leave_name(path, name);
    errno = code;
    return FAIL;
}

// The plan: "before N", "after N", or as above. `changes`: the call changes the tier.
static enum verdict judge(const char *name, bool changes)
{
    char plan[512] = "", word[64];
    const char *path = getenv("STRATA_FAULT_PLAN");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        atomic_store(&calls, 0);
        return PASS;
    }
    ssize_t size = read(fd, plan, sizeof plan - 1);
    close(fd);
    int number = 0;
    if (size > 0 && strncmp(plan, "fail ", 5) == 0)
        return judge_failure(path, plan, name);
    if (!changes || size <= 0 || sscanf(plan, "%63s %d", word, &number) != 2)
        return PASS;
    if (atomic_fetch_add(&calls, 1) + 1 != number)
        return PASS;
    leave_name(path, name);
    if (strcmp(word, "after") == 0)
        return KILL_AFTER;
    die();
    return PASS;
}

static bool is_of_tier(int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    return strstr(path, "/hot/") != NULL || strstr(path, "/warm/") != NULL ||
           strstr(path, "/cold/") != NULL;
}

#define INTERCEPT(type, name, changes, when, parameters, arguments)                    \
    type name parameters;                                                              \
    type name parameters                                                               \
    {                                                                                  \
        static __typeof__(&(name)) _Atomic real;                                       \
        if (real == NULL)                                                              \
            real = NEXT(name);                                                         \
        if (!(when))                                                                   \
            return real arguments;                                                     \
        enum verdict verdict = judge(#name, changes);                                  \
        if (verdict == FAIL)                                                           \
            return -1;                                                                 \
        type result = real arguments;                                                  \
        if (verdict == KILL_AFTER)                                                     \
            die();                                                                     \
        return result;                                                                 \
    }

INTERCEPT(int, fsync, true, true, (int fd), (fd))
INTERCEPT(int, fdatasync, true, true, (int fd), (fd))
INTERCEPT(int, ftruncate, true, true, (int fd, off_t size), (fd, size))
INTERCEPT(int, fchmod, true, true, (int fd, mode_t mode), (fd, mode))
INTERCEPT(int, renameat, true, true,
          (int from_fd, const char *from, int to_fd, const char *to),
          (from_fd, from, to_fd, to))
INTERCEPT(int, renameat2, true, true,
          (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
          (from_fd, from, to_fd, to, flags))
INTERCEPT(int, unlinkat, true, true, (int fd, const char *name, int flags),
          (fd, name, flags))
INTERCEPT(ssize_t, pwrite, true, is_of_tier(fd),
          (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at))
INTERCEPT(ssize_t, pwrite64, true, is_of_tier(fd),
          (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at))
INTERCEPT(ssize_t, write, true, is_of_tier(fd), (int fd, const void *bytes, size_t size),
          (fd, bytes, size))
INTERCEPT(ssize_t, pread, false, is_of_tier(fd),
          (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at))
INTERCEPT(ssize_t, sendfile, false, is_of_tier(in),
          (int out, int in, off_t *at, size_t size), (out, in, at, size))
INTERCEPT(ssize_t, sendfile64, false, is_of_tier(in),
          (int out, int in, off64_t *at, size_t size), (out, in, at, size))

// Only where a file is made; folders are opened by the hundred.
int openat(int folder, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(list, mode_t) : 0;
    va_end(list);
    int (*real)(int, const char *, int, ...) = NEXT(openat);
    if ((flags & O_CREAT) == 0)
        return real(folder, path, flags, mode);
    enum verdict verdict = judge("openat", true);
    if (verdict == FAIL)
        return -1;
    int result = real(folder, path, flags, mode);
    if (verdict == KILL_AFTER)
        die();
    return result;
}
