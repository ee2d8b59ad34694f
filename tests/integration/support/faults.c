// SPDX-License-Identifier: Apache-2.0
// Preloaded into stratad by a test (support/faults.py): the calls that change the tier
// are counted while the file named by STRATA_FAULT_PLAN exists, and the one that it
// names is the last (kill -9 before or after it), or all of a name fail.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int calls;

enum verdict { PASS, KILL_AFTER, FAIL };

// The plan: "before N", "after N" or "fail NAME".
static enum verdict judge(const char *name)
{
    char plan[64] = "", word[64];
    const char *path = getenv("STRATA_FAULT_PLAN");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        atomic_store(&calls, 0);
        return PASS;
    }
    ssize_t size = read(fd, plan, sizeof plan - 1);
    close(fd);
    int number = 0;
    if (size > 0 && sscanf(plan, "fail %63s", word) == 1)
        return strcmp(word, name) == 0 ? FAIL : PASS;
    if (size <= 0 || sscanf(plan, "%63s %d", word, &number) != 2)
        return PASS;
    if (atomic_fetch_add(&calls, 1) + 1 != number)
        return PASS;
    if (strcmp(word, "after") == 0)
        return KILL_AFTER;
    kill(getpid(), SIGKILL);
    pause();
    return PASS;
}

#define INTERCEPT(name, parameters, arguments)                                         \
    int name parameters;                                                               \
    int name parameters                                                                \
    {                                                                                  \
        static int(*_Atomic real) parameters;                                          \
        if (real == NULL)                                                              \
            real = (int(*) parameters)dlsym(RTLD_NEXT, #name);                         \
        enum verdict verdict = judge(#name);                                           \
        if (verdict == FAIL) {                                                         \
            errno = EIO;                                                               \
            return -1;                                                                 \
        }                                                                              \
        int result = real arguments;                                                   \
        if (verdict == KILL_AFTER) {                                                   \
            kill(getpid(), SIGKILL);                                                   \
            pause();                                                                   \
        }                                                                              \
        return result;                                                                 \
    }

INTERCEPT(fsync, (int fd), (fd))
INTERCEPT(fdatasync, (int fd), (fd))
INTERCEPT(ftruncate, (int fd, off_t size), (fd, size))
INTERCEPT(fchmod, (int fd, mode_t mode), (fd, mode))
INTERCEPT(renameat, (int from_fd, const char *from, int to_fd, const char *to),
          (from_fd, from, to_fd, to))
INTERCEPT(unlinkat, (int fd, const char *name, int flags), (fd, name, flags))
