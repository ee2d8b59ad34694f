// SPDX-License-Identifier: Apache-2.0
#include "common/db/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define EXEC_FAILED 127

// A clean one: PGPORT, PGDATA, LD_PRELOAD and their like are not for this server.
static char *const environment[] = {
    (char[]){"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    (char[]){"LC_ALL=C"}, (char[]){"TZ=UTC"}, (char[]){"HOME=/"}, NULL};

enum err account_find(struct account *account, struct error *e)
{
    *account = (struct account){.uid = geteuid(), .gid = getegid()};
    if (account->uid != 0)
        return ERR_NONE;
    const struct passwd *user = getpwnam("postgres");
    if (user == NULL)
        user = getpwnam("nobody");
    if (user == NULL || user->pw_uid == 0)
        return error_set(e, ERR_INTERNAL,
                         "PostgreSQL does not run as root and there is neither a user "
                         "postgres nor nobody: run `useradd --system postgres`");
    *account = (struct account){alloc_copy(user->pw_name), user->pw_uid, user->pw_gid,
                                true};
    return ERR_NONE;
}

void account_clear(struct account *account)
{
    free(account->name);
    account->name = NULL;
}

// ---- in the child: async-signal-safe calls only ---------------------------------

static void become(const struct account *account)
{
    if (account == NULL || !account->change)
        return;
    if (setgroups(1, &account->gid) != 0 || setgid(account->gid) != 0 ||
        setuid(account->uid) != 0)
        _exit(EXEC_FAILED);
}

static void reset_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// `tied`: the child is killed when this process dies.
static void become_program(const char *const *argv, const struct account *account,
                           int output, bool tied)
{
    reset_signals();
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(EXEC_FAILED);
    close_range(3, ~0U, 0);
    become(account);
    if (tied)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    umask(077);
    if (chdir("/") == 0)
        execve(argv[0], (char *const *)(uintptr_t)argv, environment);
    _exit(EXEC_FAILED);
}

// ---- in the parent ------------------------------------------------------------------

static int wait_for(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void read_all(int fd, struct buf *output)
{
    char piece[4096];
    for (;;) {
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        buf_append(output, piece, (size_t)n);
    }
}

enum err process_run(const char *const *argv, const struct account *account,
                     struct buf *output, int *status, struct error *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set_errno(e, errno, "pipe");
    AUTO_FD int from = ends[0];
    AUTO_FD int to = ends[1];
    pid_t pid = fork();
    if (pid < 0)
        return error_set_errno(e, errno, "fork");
    if (pid == 0)
        become_program(argv, account, to, true);
    close(steal_fd(&to));
    read_all(from, output);
    *status = wait_for(pid);
    return ERR_NONE;
}

enum err process_spawn(const char *const *argv, const struct account *account,
                       int log_fd, pid_t *pid, struct error *e)
{
    *pid = fork();
    if (*pid < 0)
        return error_set_errno(e, errno, "fork");
    if (*pid == 0) {
        setsid();
        become_program(argv, account, log_fd, false);
    }
    return ERR_NONE;
}

static bool can_chdir(const struct account *account, const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        become(account);
        _exit(chdir(path) == 0 ? 0 : 1);
    }
    return pid > 0 && wait_for(pid) == 0;
}

bool account_can_enter(const struct account *account, const char *path, char **blocked)
{
    if (can_chdir(account, path))
        return true;
    AUTO_FREE char *part = alloc_copy(path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!can_chdir(account, part)) {
            *blocked = steal_ptr(part);
            return false;
        }
        *slash = '/';
    }
    *blocked = steal_ptr(part);
    return false;
}

bool process_lives(pid_t pid, const char *folder)
{
    pid_t child = waitpid(pid, NULL, WNOHANG);
    if (child >= 0) // ours: it has ended, or it has not
        return child == 0;
    // EPERM: a process of somebody else, which has got the number since.
    if (kill(pid, 0) != 0)
        return false;
    AUTO_FREE char *link = alloc_printf("/proc/%d/cwd", (int)pid);
    char place[4096];
    ssize_t length = readlink(link, place, sizeof place - 1);
    if (length < 0)
        return errno != ENOENT && errno != ESRCH;
    place[length] = '\0';
    return strcmp(place, folder) == 0;
}
