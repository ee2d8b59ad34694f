// SPDX-License-Identifier: Apache-2.0
#include "client/lib/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "client/lib/state_format.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"

#define HASH_FILE_MAXIMUM ((off_t)64 << 20)
#define KEEP_SECONDS ((time_t)30 * 24 * 3600)
#define OPEN_TRIES 8

struct state {
    char *folder; // NULL: nothing is kept
};

struct state_note {
    int fd;
    char *path;
    char text[STATE_NOTE_MAXIMUM + 1];
};

static const char *const kind_folders[] = {
    [STATE_UPLOAD] = "uploads",
    [STATE_PUBLISH] = "publishes",
};
static const char hash_folder[] = "hashes";

static char *default_folder(void)
{
    const char *state = getenv("XDG_STATE_HOME");
    if (state != NULL && state[0] == '/')
        return alloc_printf("%s/strata", state);
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/') {
        const struct passwd *pw = getpwuid(getuid());
        home = pw != NULL ? pw->pw_dir : NULL;
    }
    return home != NULL ? alloc_printf("%s/.local/state/strata", home) : NULL;
}

static bool make_folders(const char *path)
{
    AUTO_FREE char *part = alloc_copy(path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(part, 0700) != 0 && errno != EEXIST)
            return false;
        if (slash == NULL)
            return true;
        *slash = '/';
    }
}

struct state *state_new(const char *folder)
{
    struct state *state = alloc_zero(sizeof *state);
    state->folder = folder != NULL ? alloc_copy(folder) : default_folder();
    return state;
}

void state_free(struct state *state)
{
    if (state == NULL)
        return;
    free(state->folder);
    free(state);
}

void state_key(struct digest *key, ...)
{
    CLEANUP(buf_clear) struct buf all = {.maximum = (size_t)1 << 30};
    va_list args;
    va_start(args, key);
    for (const char *text; (text = va_arg(args, const char *)) != NULL;)
        buf_append(&all, text, strlen(text) + 1);
    va_end(args);
    digest_of(buf_text(&all), all.size, key);
}

// The path of an entry, whose folder is made when it is missing; NULL when it cannot.
static char *entry_path(const struct state *state, const char *folder,
                        const struct digest *key)
{
    if (state->folder == NULL)
        return NULL;
    AUTO_FREE char *parent = alloc_printf("%s/%s", state->folder, folder);
    if (!make_folders(parent))
        return NULL;
    char name[DIGEST_HEX_SIZE];
    digest_format(key, name);
    return alloc_printf("%s/%s", parent, name);
}

// An open, locked file that still has its name; -1 when another holds it.
static int open_locked(const char *path)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        AUTO_FD int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
            return -1;
        struct stat held, named;
        if (fstat(fd, &held) == 0 && stat(path, &named) == 0 &&
            held.st_ino == named.st_ino && held.st_dev == named.st_dev)
            return steal_fd(&fd);
        // Its last holder removed it between our open and our lock.
    }
    return -1;
}

struct state_note *state_note_open(struct state *state, enum state_kind kind,
                                   const struct digest *key)
{
    AUTO_FREE char *path = entry_path(state, kind_folders[kind], key);
    if (path == NULL)
        return NULL;
    int fd = open_locked(path);
    if (fd < 0)
        return NULL;
    struct state_note *note = alloc_zero(sizeof *note);
    note->fd = fd;
    note->path = steal_ptr(path);
    ssize_t size = pread(fd, note->text, STATE_NOTE_MAXIMUM, 0);
    note->text[size > 0 ? size : 0] = '\0';
    state_note_parse(note->text);
    return note;
}

const char *state_note_text(const struct state_note *note)
{
    return note != NULL ? note->text : "";
}

void state_note_write(struct state_note *note, const char *text)
{
    if (note == NULL)
        return;
    bool good = state_note_format(text, note->text) && ftruncate(note->fd, 0) == 0;
    size_t size = strlen(note->text);
    if (!good || pwrite(note->fd, note->text, size, 0) != (ssize_t)size) {
        note->text[0] = '\0';
        return;
    }
    fdatasync(note->fd);
    state_note_parse(note->text);
}

void state_note_close(struct state_note *note, bool forget)
{
    if (note == NULL)
        return;
    if (forget)
        unlink(note->path);
    close(note->fd);
    free(note->path);
    free(note);
}

static char *hash_path(const struct state *state, const struct stat *st)
{
    AUTO_FREE char *text = alloc_printf(
        "%llu %llu %lld %lld.%09ld %lld.%09ld", (unsigned long long)st->st_dev,
        (unsigned long long)st->st_ino, (long long)st->st_size,
        (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
        (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
    struct digest key;
    state_key(&key, text, NULL);
    return entry_path(state, hash_folder, &key);
}

static bool read_whole(const char *path, struct buf *b)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > HASH_FILE_MAXIMUM)
        return false;
    char piece[65536];
    ssize_t size;
    while ((size = read(fd, piece, sizeof piece)) > 0) {
        if (!buf_append(b, piece, (size_t)size))
            return false;
    }
    futimens(fd, NULL); // keeps it from being pruned
    return size == 0;
}

bool state_hash_find(struct state *state, const struct stat *st, struct chain *chain)
{
    AUTO_FREE char *path = hash_path(state, st);
    CLEANUP(buf_clear) struct buf file = {.maximum = (size_t)HASH_FILE_MAXIMUM};
    if (path == NULL || !read_whole(path, &file))
        return false;
    return state_hash_parse(buf_text(&file), file.size, (uint64_t)st->st_size, chain);
}

void state_hash_put(struct state *state, const struct stat *st,
                    const struct chain *chain)
{
    AUTO_FREE char *path = hash_path(state, st);
    if (path == NULL)
        return;
    CLEANUP(buf_clear) struct buf file = {.maximum = (size_t)HASH_FILE_MAXIMUM};
    if (!state_hash_format(chain, &file))
        return;
    AUTO_FREE char *temporary = alloc_printf("%s.XXXXXX", path);
    AUTO_FD int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return;
    bool good = write(fd, file.data, file.size) == (ssize_t)file.size &&
                rename(temporary, path) == 0;
    if (!good)
        unlink(temporary);
}

static void prune_folder(const struct state *state, const char *folder)
{
    AUTO_FREE char *path = alloc_printf("%s/%s", state->folder, folder);
    DIR *dir = opendir(path);
    if (dir == NULL)
        return;
    time_t oldest = time(NULL) - KEEP_SECONDS;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtime < oldest)
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    closedir(dir);
}

void state_prune(struct state *state)
{
    if (state->folder == NULL)
        return;
    prune_folder(state, hash_folder);
    for (size_t i = 0; i < ARRAY_SIZE(kind_folders); i++)
        prune_folder(state, kind_folders[i]);
}
