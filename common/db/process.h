// SPDX-License-Identifier: Apache-2.0
// Child processes of the private PostgreSQL, as an unprivileged user when this process
// is root. Private to common/db.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "common/buf.h"
#include "common/error.h"

// Whose the cluster is; uid and gid of this process unless it is root.
struct account {
    char *name;
    uid_t uid;
    gid_t gid;
    bool change; // children must become that user
};

enum err account_find(struct account *account, struct error *e) MUST_CHECK;
void account_clear(struct account *account);

// Runs argv[0] to its end, with standard output and error into `output` (at most its
// maximum); *status is its exit status, 128 + n when signal n ended it. It dies with
// this process. `account` NULL = as this process.
enum err process_run(const char *const *argv, const struct account *account,
                     struct buf *output, int *status, struct error *e) MUST_CHECK;

// Starts argv[0] in a session of its own with standard output and error appended to
// log_fd; it outlives this process.
enum err process_spawn(const char *const *argv, const struct account *account,
                       int log_fd, pid_t *pid, struct error *e) MUST_CHECK;

// True when that user reaches the folder: *blocked (to be freed) is otherwise the first
// folder on the way that it cannot enter.
bool account_can_enter(const struct account *account, const char *path, char **blocked);

// False when it has ended (a child is reaped then), or when it is no child and works in
// another folder than `folder`: the number was given out again.
bool process_lives(pid_t pid, const char *folder);
