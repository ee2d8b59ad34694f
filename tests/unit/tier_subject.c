// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/tier_subject.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "storage/s3_list.h"
#include "storage/s3_object.h"
#include "storage/tier_directory.h"
#include "storage/tier_s3.h"

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

// ---- a bucket -----------------------------------------------------------------------

static const char *setting(const char *name, const char *otherwise)
{
    AUTO_FREE char *variable = alloc_printf("STRATA_TEST_S3_%s", name);
    const char *value = getenv(variable);
    return value != NULL ? value : otherwise;
}

static bool bucket_init(struct tier_subject *subject)
{
    const struct tier_s3_options options = {
        .client = {.endpoint = setting("ENDPOINT", ""),
                   .bucket = setting("BUCKET", ""),
                   .region = setting("REGION", "us-east-1"),
                   .is_virtual = strcmp(setting("STYLE", "path"), "virtual") == 0,
                   .credentials = setting("CREDENTIALS", ""),
                   .ca_file = setting("CA_FILE", ""),
                   .connections = 16,
                   .timeout_ms = atoll(setting("TIMEOUT_MS", "60000"))},
        .prefix = setting("PREFIX", ""),
        .part_minimum = strtoull(setting("PART_MINIMUM", "0"), NULL, 10),
        // AWS copies no part below 5 MiB but the last.
        .copy_piece = strtoull(setting("COPY_PIECE", "5242880"), NULL, 10),
    };
    struct error e = {0};
    if (tier_s3_new(&options, &subject->store, &e) == ERR_NONE)
        return true;
    fprintf(stderr, "%s\n", e.detail);
    return false;
}

static void bucket_write(struct tier_subject *subject, const char *name,
                         const char *text)
{
    struct error e = {0};
    AUTO_FREE char *key = alloc_printf("%s%s", setting("PREFIX", ""), name);
    if (s3_object_put(tier_s3_client(subject->store), key, text, strlen(text), &e) !=
        ERR_NONE)
        abort();
}

struct counting {
    struct s3_client *client;
    const void *bytes;
    size_t size;
    unsigned count;
};

static enum err count_same(void *context, const struct s3_item *item, struct error *e)
{
    struct counting *counting = context;
    if (item->size != counting->size)
        return ERR_NONE;
    AUTO_FREE char *bytes = malloc(counting->size + 1);
    enum err err =
        s3_object_read(counting->client, item->key, 0, bytes, counting->size, e);
    counting->count +=
        err == ERR_NONE && memcmp(bytes, counting->bytes, counting->size) == 0;
    return err;
}

static unsigned bucket_quarantined(struct tier_subject *subject, const void *bytes,
                                   size_t size)
{
    struct error e = {0};
    AUTO_FREE char *prefix = alloc_printf("%squarantine/", setting("PREFIX", ""));
    struct counting counting = {tier_s3_client(subject->store), bytes, size, 0};
    if (s3_list_objects(counting.client, prefix, 0, count_same, &counting, &e) !=
        ERR_NONE)
        abort();
    return counting.count;
}

// ---- either -------------------------------------------------------------------------

bool tier_subject_init(struct tier_subject *subject)
{
    memset(subject, 0, sizeof *subject);
    return getenv("STRATA_TEST_S3_ENDPOINT") != NULL ? bucket_init(subject)
                                                     : directory_init(subject);
}

void tier_subject_clear(struct tier_subject *subject)
{
    subject->store->ops->free(subject->store);
    if (subject->root[0] == '\0')
        return;
    AUTO_FREE char *command = alloc_printf("rm -rf '%s'", subject->root);
    if (system(command) != 0)
        abort();
}

static void write_text(struct tier_subject *subject, const char *name, const char *text)
{
    if (subject->root[0] != '\0')
        directory_write(subject, name, text);
    else
        bucket_write(subject, name, text);
}

void tier_subject_add_stranger(struct tier_subject *subject)
{
    write_text(subject, TIER_SUBJECT_STRANGER, "?");
}

void tier_subject_break_identity(struct tier_subject *subject)
{
    write_text(subject, TIER_IDENTITY_FILE, "{\"cluster\":");
}

unsigned tier_subject_quarantined(struct tier_subject *subject, const void *bytes,
                                  size_t size)
{
    return subject->root[0] != '\0' ? directory_quarantined(subject, bytes, size)
                                    : bucket_quarantined(subject, bytes, size);
}

unsigned char *tier_subject_bytes(size_t size, unsigned seed)
{
    unsigned char *bytes = malloc(size + 1);
    uint64_t x = seed * 2654435761u + 1;
    for (size_t i = 0; bytes != NULL && i < size; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (unsigned char)(x >> 56);
    }
    return bytes;
}
