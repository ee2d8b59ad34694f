// SPDX-License-Identifier: Apache-2.0
#include "server/admin_token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "server/api/token_text.h"
#include "server/registry/token.h"

#define PRINCIPAL "admin"
#define DESCRIPTION "first administrator"

struct place {
    struct db_pool *pool;
    const char *dir;
    char *final; // DATA/admin.token
    char *fresh; // DATA/admin.token.new
};

static void place_clear(struct place *place)
{
    free(place->final);
    free(place->fresh);
}

static enum err sync_dir(const struct place *place, struct error *e)
{
    AUTO_FD int fd = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        return error_set_errno(e, errno, "sync %s", place->dir);
    return ERR_NONE;
}

static enum err write_fresh(const struct place *place, const char *text,
                            struct error *e)
{
    if (unlink(place->fresh) != 0 && errno != ENOENT)
        return error_set_errno(e, errno, "remove %s", place->fresh);
    AUTO_FD int fd =
        open(place->fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    char line[TOKEN_TEXT_SIZE + 1];
    int length = snprintf(line, sizeof line, "%s\n", text);
    bool fine = fd >= 0 && write(fd, line, (size_t)length) == length && fsync(fd) == 0;
    int errnum = errno;
    OPENSSL_cleanse(line, sizeof line);
    if (!fine)
        return error_set_errno(e, errnum, "write %s", place->fresh);
    return sync_dir(place, e);
}

// False when the file is missing or holds no token.
static bool read_file(const char *path, struct token *token)
{
    char line[TOKEN_TEXT_SIZE + 2] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool fine = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    *token = (struct token){.kind = "person", .principal = PRINCIPAL, .role = "admin",
                            .description = DESCRIPTION};
    fine = fine && token_text_parse(line, token->id, &token->secret);
    OPENSSL_cleanse(line, sizeof line);
    return fine;
}

static enum err publish_file(const struct place *place, struct error *e)
{
    if (rename(place->fresh, place->final) != 0)
        return error_set_errno(e, errno, "rename %s", place->fresh);
    return sync_dir(place, e);
}

// A crash left admin.token.new: it counts when its row was committed.
static enum err finish_begun(const struct place *place, struct error *e)
{
    struct token begun, known;
    if (access(place->fresh, F_OK) != 0)
        return ERR_NONE;
    if (read_file(place->fresh, &begun)) {
        enum err err = token_find(place->pool, begun.id, &known, e);
        if (err == ERR_NONE && known.revoked_us == 0 &&
            digest_equal(&known.secret, &begun.secret))
            return publish_file(place, e);
        if (err != ERR_NONE && err != ERR_TOKEN_NOT_FOUND)
            return err;
        error_clear(e);
    }
    if (unlink(place->fresh) != 0)
        return error_set_errno(e, errno, "remove %s", place->fresh);
    return ERR_NONE;
}

static enum err make_token(const struct place *place, struct error *e)
{
    char text[TOKEN_TEXT_SIZE];
    struct token token;
    enum err err = token_text_make(text, e);
    if (err == ERR_NONE)
        err = write_fresh(place, text, e);
    OPENSSL_cleanse(text, sizeof text);
    if (err != ERR_NONE)
        return err;
    if (!read_file(place->fresh, &token))
        return error_set(e, ERR_INTERNAL, "%s does not read back", place->fresh);
    err = token_bootstrap_replace(place->pool, &token, e);
    return err != ERR_NONE ? err : publish_file(place, e);
}

// The database has never had a token: another one than the file's. The file's holder
// becomes its administrator.
static enum err adopt_file(const struct place *place, const struct token *from_file,
                           struct error *e)
{
    struct token token = *from_file;
    log_info("the token of admin.token is entered into an empty database", NULL);
    return token_bootstrap_replace(place->pool, &token, e);
}

static enum err warn_foreign(const struct place *place, const struct token *from_file,
                             struct error *e)
{
    struct token known;
    enum err err = token_find(place->pool, from_file->id, &known, e);
    if (err == ERR_NONE && digest_equal(&known.secret, &from_file->secret))
        return ERR_NONE;
    if (err != ERR_NONE && err != ERR_TOKEN_NOT_FOUND)
        return err;
    error_clear(e);
    log_warn("the token of admin.token is not in the database; run stratad "
             "--reset-admin-token for a new one",
             "file", place->final, NULL);
    return ERR_NONE;
}

enum err admin_token_ensure(struct db_pool *pool, const char *data_dir, bool reset,
                            char **path_written, struct error *e)
{
    CLEANUP(place_clear)
    struct place place = {.pool = pool, .dir = data_dir,
                          .final = alloc_printf("%s/admin.token", data_dir),
                          .fresh = alloc_printf("%s/admin.token.new", data_dir)};
    *path_written = NULL;
    bool exists = false;
    struct token from_file;
    enum err err = finish_begun(&place, e);
    if (err == ERR_NONE)
        err = token_bootstrap_exists(pool, &exists, e);
    if (err != ERR_NONE)
        return err;
    bool has_file = read_file(place.final, &from_file);
    if (!reset && exists)
        return has_file ? warn_foreign(&place, &from_file, e) : ERR_NONE;
    if (!reset && has_file)
        return adopt_file(&place, &from_file, e);
    err = make_token(&place, e);
    if (err == ERR_NONE)
        *path_written = steal_ptr(place.final);
    return err;
}
