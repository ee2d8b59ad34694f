// SPDX-License-Identifier: Apache-2.0
// The walk of source_scan.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/lib/destination.h"
#include "client/lib/pattern.h"
#include "client/lib/source.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/names.h"

#define DEPTH_MAXIMUM 128
#define IGNORE_MAXIMUM ((size_t)1 << 20)

static const char default_patterns[] = "/" SOURCE_IGNORE_FILE "\n"
                                       ".git\n"
                                       "/" DESTINATION_PARTIAL "/\n";

struct scan {
    const char *root;
    char *real_root; // without links
    struct pattern_list patterns;
    struct source_list *list;
    struct stat above[DEPTH_MAXIMUM]; // the folders being walked
    int depth;
};

static void scan_clear(struct scan *scan)
{
    free(scan->real_root);
    pattern_list_clear(&scan->patterns);
}

static enum strata_status add(struct source_list *list, const char *path,
                              const char *disk, const struct stat *st,
                              struct strata_error *e)
{
    struct error error = {0};
    if (path_check(path, "path", &error) != ERR_NONE)
        return fail_set(e, STRATA_LOCAL, "%s: %s", disk, error.detail);
    if ((list->count & (list->count - 1)) == 0) // doubles when it is full
        list->items = alloc_grow(list->items, list->count > 0 ? 2 * list->count : 1,
                                 sizeof *list->items);
    list->items[list->count++] =
        (struct source){.path = alloc_copy(path), .disk = alloc_copy(disk), .st = *st};
    return STRATA_OK;
}

enum strata_status source_add(struct source_list *list, const char *path,
                              const char *disk, struct strata_error *e)
{
    struct stat st;
    if (stat(disk, &st) != 0)
        return fail_errno(e, errno, "%s", disk);
    if (!S_ISREG(st.st_mode))
        return fail_set(e, STRATA_LOCAL, "%s is not a regular file", disk);
    return add(list, path, disk, &st, e);
}

static enum strata_status read_ignore_file(struct scan *scan, struct strata_error *e)
{
    pattern_add_lines(&scan->patterns, default_patterns);
    AUTO_FREE char *path = alloc_printf("%s/%s", scan->root, SOURCE_IGNORE_FILE);
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? STRATA_OK : fail_errno(e, errno, "%s", path);
    CLEANUP(buf_clear) struct buf text = {.maximum = IGNORE_MAXIMUM};
    char piece[4096];
    ssize_t size;
    while ((size = read(fd, piece, sizeof piece)) > 0) {
        if (!buf_append(&text, piece, (size_t)size))
            return fail_set(e, STRATA_LOCAL, "%s is too long", path);
    }
    if (size < 0)
        return fail_errno(e, errno, "%s", path);
    pattern_add_lines(&scan->patterns, buf_text(&text));
    return STRATA_OK;
}

static enum strata_status check_link(const struct scan *scan, const char *disk,
                                     struct strata_error *e)
{
    AUTO_FREE char *target = realpath(disk, NULL);
    if (target == NULL)
        return fail_errno(e, errno, "the symbolic link %s", disk);
    size_t size = strlen(scan->real_root);
    bool at_root = strcmp(scan->real_root, "/") == 0;
    if (at_root || (strncmp(target, scan->real_root, size) == 0 &&
                    (target[size] == '/' || target[size] == '\0')))
        return STRATA_OK;
    return fail_set(e, STRATA_LOCAL, "the symbolic link %s leads out of %s, to %s",
                    disk, scan->root, target);
}

static enum strata_status walk(struct scan *scan, const char *path, const char *disk,
                               struct strata_error *e);

static enum strata_status enter(struct scan *scan, const char *path, const char *disk,
                                const struct stat *st, struct strata_error *e)
{
    if (scan->depth == DEPTH_MAXIMUM)
        return fail_set(e, STRATA_LOCAL, "%s lies too deep", disk);
    for (int i = 0; i < scan->depth; i++) {
        if (scan->above[i].st_dev == st->st_dev && scan->above[i].st_ino == st->st_ino)
            return fail_set(e, STRATA_LOCAL, "%s leads back to a folder above it",
                            disk);
    }
    scan->above[scan->depth++] = *st;
    enum strata_status status = walk(scan, path, disk, e);
    scan->depth--;
    return status;
}

static enum strata_status visit(struct scan *scan, const char *path, const char *disk,
                                struct strata_error *e)
{
    struct stat st;
    if (lstat(disk, &st) != 0)
        return fail_errno(e, errno, "%s", disk);
    bool is_link = S_ISLNK(st.st_mode);
    // A link to nothing is only an error when it is not ignored.
    bool found = !is_link || stat(disk, &st) == 0;
    if (pattern_match(&scan->patterns, path, found && S_ISDIR(st.st_mode)))
        return STRATA_OK;
    enum strata_status status = is_link ? check_link(scan, disk, e) : STRATA_OK;
    if (status != STRATA_OK)
        return status;
    if (S_ISDIR(st.st_mode))
        return enter(scan, path, disk, &st, e);
    if (!S_ISREG(st.st_mode))
        return fail_set(e, STRATA_LOCAL, "%s is neither a file nor a folder", disk);
    return add(scan->list, path, disk, &st, e);
}

static enum strata_status walk(struct scan *scan, const char *path, const char *disk,
                               struct strata_error *e)
{
    struct dirent **entries = NULL;
    int count = scandir(disk, &entries, NULL, alphasort);
    if (count < 0)
        return fail_errno(e, errno, "%s", disk);
    enum strata_status status = STRATA_OK;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (status == STRATA_OK && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            AUTO_FREE char *below =
                path[0] != '\0' ? alloc_printf("%s/%s", path, name) : alloc_copy(name);
            AUTO_FREE char *below_disk = alloc_printf("%s/%s", disk, name);
            status = visit(scan, below, below_disk, e);
        }
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int source_compare(const void *a, const void *b)
{
    return strcmp(((const struct source *)a)->path, ((const struct source *)b)->path);
}

enum strata_status source_scan(const char *folder, struct source_list *list,
                               struct strata_error *e)
{
    struct stat st;
    if (stat(folder, &st) != 0)
        return fail_errno(e, errno, "%s", folder);
    if (S_ISREG(st.st_mode)) {
        const char *slash = strrchr(folder, '/');
        return add(list, slash != NULL ? slash + 1 : folder, folder, &st, e);
    }
    CLEANUP(scan_clear) struct scan scan = {.root = folder, .list = list};
    scan.real_root = realpath(folder, NULL);
    if (scan.real_root == NULL)
        return fail_errno(e, errno, "%s", folder);
    enum strata_status status = read_ignore_file(&scan, e);
    if (status == STRATA_OK)
        status = enter(&scan, "", folder, &st, e);
    if (status == STRATA_OK && list->count == 0)
        status = fail_set(e, STRATA_LOCAL, "%s holds no files to publish", folder);
    if (list->count > 0)
        qsort(list->items, list->count, sizeof *list->items, source_compare);
    return status;
}
