// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tier_subject.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "storage/tier_directory.h"

// ---- a directory --------------------------------------------------------------------

static bool directory_init(struct tier_subject *subject)
{
    struct error e = {0};
    strcpy(subject->root, "/tmp/test_tier_store.XXXXXX");
    if (mkdtemp(subject->root) != NULL &&
        tier_directory_new(subject->root, &subject->store, &e) == ERR_NONE)
        return true;
    fprintf(stderr, "%s\n", e.detail);
    return false;
}

static int directory_open(struct tier_subject *subject, const char *name, int flags)
{
    int root = tier_file_root(tier_directory_file(subject->store));
    return openat(root, name, flags | O_CLOEXEC, 0640);
}

static void directory_write(struct tier_subject *subject, const char *name,
                            const char *text)
{
    AUTO_FD int fd = directory_open(subject, name, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
}

static bool holds(int fd, const void *bytes, size_t size)
{
    struct stat s;
    AUTO_FREE char *found = malloc(size + 1);
    return fd >= 0 && fstat(fd, &s) == 0 && (size_t)s.st_size == size &&
           pread(fd, found, size, 0) == (ssize_t)size &&
           memcmp(found, bytes, size) == 0;
}

static unsigned directory_quarantined(struct tier_subject *subject, const void *bytes,
                                      size_t size)
{
    unsigned count = 0;
    int folder = directory_open(subject, "quarantine", O_RDONLY | O_DIRECTORY);
    DIR *dir = fdopendir(folder);
    if (dir == NULL)
        abort();
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        AUTO_FD int fd = openat(folder, entry->d_name, O_RDONLY | O_CLOEXEC);
        count += holds(fd, bytes, size);
    }
    closedir(dir);
    return count;
}

// ---- either -------------------------------------------------------------------------

bool tier_subject_init(struct tier_subject *subject)
{
    memset(subject, 0, sizeof *subject);
    return directory_init(subject);
}

void tier_subject_clear(struct tier_subject *subject)
{
    subject->store->ops->free(subject->store);
    AUTO_FREE char *command = NULL;
    if (asprintf(&command, "rm -rf '%s'", subject->root) < 0 || system(command) != 0)
        abort();
}

void tier_subject_add_stranger(struct tier_subject *subject)
{
    directory_write(subject, TIER_SUBJECT_STRANGER, "?");
}

void tier_subject_break_identity(struct tier_subject *subject)
{
    directory_write(subject, TIER_IDENTITY_FILE, "{\"cluster\":");
}

unsigned tier_subject_quarantined(struct tier_subject *subject, const void *bytes,
                                  size_t size)
{
    return directory_quarantined(subject, bytes, size);
}
