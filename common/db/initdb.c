// SPDX-License-Identifier: Apache-2.0
#include "common/db/initdb.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define OUTPUT_MAXIMUM 65536
#define REMOVE_ATTEMPTS 100

// The socket's folder lets in that user and root alone, so whoever gets there may.
static const char hba[] = "# Unix socket only, in a folder of mode 0700.\n"
                          "local all all trust\n";
static const char settings[] = "\n# Strata's; ALTER SYSTEM and later lines override.\n"
                               "max_wal_size = '4GB'\n";

static int remove_one(const char *path, const struct stat *status, int kind,
                      struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

// A child of a killed initdb may still be writing there for a moment.
static enum err remove_tree(const char *path, struct error *e)
{
    for (int attempt = 0; attempt < REMOVE_ATTEMPTS; attempt++) {
        if (access(path, F_OK) != 0 && errno == ENOENT)
            return ERR_NONE;
        if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT) == 0)
            return ERR_NONE;
        struct timespec pause = {.tv_nsec = 50000000};
        nanosleep(&pause, NULL);
    }
    return error_set_errno(e, errno, "remove %s", path);
}

enum err initdb_make_folder(const char *path, const struct account *account,
                            struct error *e)
{
    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? ERR_NONE : error_set_errno(e, errno, "make %s", path);
    if (account->change && chown(path, account->uid, account->gid) != 0)
        return error_set_errno(e, errno, "chown %s", path);
    return ERR_NONE;
}

enum err initdb_check_reach(const char *dir, const struct account *account,
                            struct error *e)
{
    AUTO_FREE char *blocked = NULL;
    if (account_can_enter(account, dir, &blocked))
        return ERR_NONE;
    if (!account->change)
        return error_set(e, ERR_INTERNAL, "%s cannot be entered", blocked);
    if (strcmp(blocked, dir) == 0)
        return error_set(e, ERR_INTERNAL,
                         "PostgreSQL runs as the user %s, who cannot enter %s: run "
                         "`chown -R %s %s`",
                         account->name, dir, account->name, dir);
    return error_set(e, ERR_INTERNAL,
                     "PostgreSQL runs as the user %s, who cannot pass through %s: run "
                     "`chmod o+x %s`, or choose another data directory",
                     account->name, blocked, blocked);
}

// The file is there and keeps its owner.
static enum err write_text(const char *dir, const char *name, int flags,
                           const char *text, struct error *e)
{
    AUTO_FREE char *path = alloc_printf("%s/%s", dir, name);
    AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags);
    size_t size = strlen(text);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size || fsync(fd) != 0)
        return error_set_errno(e, errno, "write %s", path);
    return ERR_NONE;
}

static enum err run_initdb(const char *dir, const struct installation *installation,
                           const struct account *account, bool sync, struct error *e)
{
    AUTO_FREE char *program = alloc_printf("%s/initdb", installation->bin);
    const char *argv[] = {
        program,         "-D",            dir,        "--username=" INITDB_USER,
        "--auth=trust",  "--encoding=UTF8", "--locale=C", "--data-checksums",
        "--no-instructions", sync ? NULL : "--no-sync", NULL};
    CLEANUP(buf_clear) struct buf output = {.maximum = OUTPUT_MAXIMUM};
    int status = 0;
    enum err err = process_run(argv, account, &output, &status, e);
    if (err != ERR_NONE || status == 0)
        return err;
    const char *text = buf_text(&output);
    size_t length = strlen(text);
    return error_set(e, ERR_INTERNAL, "initdb failed with status %d: %s", status,
                     length > 400 ? text + length - 400 : text);
}

static enum err sync_folder(const char *dir, struct error *e)
{
    AUTO_FREE char *path = alloc_copy(dir);
    *strrchr(path, '/') = '\0';
    AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_set_errno(e, errno, "sync %s", path);
    return ERR_NONE;
}

enum err initdb_make(const char *dir, const struct installation *installation,
                     const struct account *account, bool sync, struct error *e)
{
    AUTO_FREE char *fresh = alloc_printf("%s.new", dir);
    enum err err = remove_tree(fresh, e);
    if (err == ERR_NONE)
        err = initdb_make_folder(fresh, account, e);
    if (err == ERR_NONE)
        err = initdb_check_reach(fresh, account, e);
    if (err == ERR_NONE)
        err = run_initdb(fresh, installation, account, sync, e);
    if (err == ERR_NONE)
        err = write_text(fresh, "pg_hba.conf", O_TRUNC, hba, e);
    if (err == ERR_NONE)
        err = write_text(fresh, "postgresql.conf", O_APPEND, settings, e);
    if (err != ERR_NONE)
        return err;
    if (rename(fresh, dir) != 0)
        return error_set_errno(e, errno, "%s is not a PostgreSQL cluster and not empty",
                               dir);
    return sync_folder(dir, e);
}
