// SPDX-License-Identifier: Apache-2.0
#include "storage/s3_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/log.h"

#define FILE_MAXIMUM ((size_t)64 << 10)
#define LOOK_AGAIN_MS 1000

struct s3_keys {
    char *file;
    pthread_mutex_t mutex;
    struct s3_credentials present; // access_key NULL: none yet
    struct stat seen;              // the file that they came from
    int64_t looked_ms;
};

struct s3_keys *s3_keys_new(const char *file)
{
    struct s3_keys *keys = alloc_zero(sizeof *keys);
    if (file != NULL && file[0] != '\0')
        keys->file = alloc_copy(file);
    pthread_mutex_init(&keys->mutex, NULL);
    return keys;
}

void s3_keys_free(struct s3_keys *keys)
{
    if (keys == NULL)
        return;
    s3_credentials_clear(&keys->present);
    pthread_mutex_destroy(&keys->mutex);
    free(keys->file);
    free(keys);
}

// ---- the file -------------------------------------------------------------------

static char **member(struct s3_credentials *credentials, const char *name,
                     size_t length)
{
    const struct {
        const char *name;
        char **value;
    } members[] = {{"access_key", &credentials->access_key},
                   {"secret_key", &credentials->secret_key},
                   {"session_token", &credentials->session_token}};
    for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
        if (strlen(members[i].name) == length &&
            strncmp(members[i].name, name, length) == 0)
            return members[i].value;
    }
    return NULL;
}

static size_t trimmed(const char *text, size_t length)
{
    while (length > 0 && strchr(" \t\r", text[length - 1]) != NULL)
        length--;
    return length;
}

// inih would cut a session token, which is longer than its lines.
static bool take_line(struct s3_credentials *credentials, const char *line,
                      size_t length)
{
    size_t skip = strspn(line, " \t");
    line += skip;
    length = trimmed(line, length - skip);
    if (length == 0 || *line == '#')
        return true;
    const char *equals = memchr(line, '=', length);
    if (equals == NULL)
        return false;
    char **value = member(credentials, line, trimmed(line, (size_t)(equals - line)));
    if (value == NULL || *value != NULL)
        return false;
    const char *end = line + length;
    for (equals++; equals < end && (*equals == ' ' || *equals == '\t');)
        equals++;
    *value = alloc_copy_n(equals, (size_t)(end - equals));
    // They go into headers.
    for (const char *c = *value; *c != '\0'; c++) {
        if (*c <= ' ' || *c == 0x7f)
            return false;
    }
    return true;
}

static bool is_set(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static enum err check_set(struct s3_credentials *credentials, const char *where,
                          struct error *e)
{
    if (!is_set(credentials->access_key) || !is_set(credentials->secret_key))
        return error_set(e, ERR_BAD_REQUEST, "%s lacks an access key or a secret key",
                         where);
    if (!is_set(credentials->session_token)) {
        free(credentials->session_token);
        credentials->session_token = NULL;
    }
    return ERR_NONE;
}

enum err s3_keys_parse(const char *text, struct s3_credentials *credentials,
                       struct error *e)
{
    *credentials = (struct s3_credentials){0};
    enum err err = ERR_NONE;
    for (unsigned line = 1; *text != '\0' && err == ERR_NONE; line++) {
        size_t length = strcspn(text, "\n");
        if (!take_line(credentials, text, length))
            err = error_set(e, ERR_BAD_REQUEST,
                            "line %u is none of access_key, secret_key and "
                            "session_token, comes twice, or holds a blank",
                            line);
        text += length + (text[length] == '\n');
    }
    if (err == ERR_NONE)
        err = check_set(credentials, "the credentials file", e);
    if (err != ERR_NONE)
        s3_credentials_clear(credentials);
    return err;
}

static enum err read_file(const char *path, struct s3_credentials *credentials,
                          struct stat *seen, struct error *e)
{
    AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, seen) != 0)
        return error_set_errno(e, errno, "cannot open %s", path);
    char *text = alloc_zero(FILE_MAXIMUM + 1);
    ssize_t size = read(fd, text, FILE_MAXIMUM);
    enum err err =
        size < 0 ? error_set_errno(e, errno, "cannot read %s", path)
        : strlen(text) != (size_t)size || size == (ssize_t)FILE_MAXIMUM
            ? error_set(e, ERR_BAD_REQUEST, "%s is no text, or too long", path)
            : s3_keys_parse(text, credentials, e);
    explicit_bzero(text, FILE_MAXIMUM);
    free(text);
    return err;
}

// ---- the present ones -----------------------------------------------------------

static enum err read_environment(struct s3_credentials *credentials, struct error *e)
{
    *credentials = (struct s3_credentials){
        .access_key = alloc_copy(getenv("AWS_ACCESS_KEY_ID")),
        .secret_key = alloc_copy(getenv("AWS_SECRET_ACCESS_KEY")),
        .session_token = alloc_copy(getenv("AWS_SESSION_TOKEN")),
    };
    return check_set(credentials, "the environment", e);
}

static bool is_unchanged(const struct s3_keys *keys)
{
    struct stat s;
    if (keys->present.access_key == NULL)
        return false;
    if (keys->file == NULL)
        return true;
    return stat(keys->file, &s) == 0 && s.st_ino == keys->seen.st_ino &&
           s.st_dev == keys->seen.st_dev && s.st_size == keys->seen.st_size &&
           s.st_mtim.tv_sec == keys->seen.st_mtim.tv_sec &&
           s.st_mtim.tv_nsec == keys->seen.st_mtim.tv_nsec;
}

static enum err look(struct s3_keys *keys, struct error *e)
{
    struct s3_credentials fresh = {0};
    struct stat seen = {0};
    keys->looked_ms = clock_monotonic_ms();
    enum err err = keys->file != NULL ? read_file(keys->file, &fresh, &seen, e)
                                      : read_environment(&fresh, e);
    if (err != ERR_NONE) {
        s3_credentials_clear(&fresh);
        return err;
    }
    s3_credentials_clear(&keys->present);
    keys->present = fresh;
    keys->seen = seen;
    return ERR_NONE;
}

enum err s3_keys_get(struct s3_keys *keys, struct s3_credentials *credentials,
                     struct error *e)
{
    LOCK_SCOPE(&keys->mutex);
    bool is_due = keys->present.access_key == NULL ||
                  clock_monotonic_ms() - keys->looked_ms >= LOOK_AGAIN_MS;
    struct error why = {0};
    if (is_due && !is_unchanged(keys) && look(keys, &why) != ERR_NONE) {
        if (keys->present.access_key == NULL) {
            error_set(e, ERR_UNAVAILABLE, "no credentials for the bucket: %s",
                      why.detail);
            error_clear(&why);
            return ERR_UNAVAILABLE;
        }
        log_debug("the old credentials stay", "error", why.detail, NULL);
        error_clear(&why);
    }
    if (is_due)
        keys->looked_ms = clock_monotonic_ms();
    *credentials = (struct s3_credentials){
        .access_key = alloc_copy(keys->present.access_key),
        .secret_key = alloc_copy(keys->present.secret_key),
        .session_token = alloc_copy(keys->present.session_token),
    };
    return ERR_NONE;
}

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool s3_keys_renew(struct s3_keys *keys, const struct s3_credentials *used)
{
    struct error ignored = {0};
    LOCK_SCOPE(&keys->mutex);
    bool changed = look(keys, &ignored) == ERR_NONE &&
                   (!same(keys->present.access_key, used->access_key) ||
                    !same(keys->present.session_token, used->session_token) ||
                    !same(keys->present.secret_key, used->secret_key));
    error_clear(&ignored);
    return changed;
}
