// SPDX-License-Identifier: Apache-2.0
#include "client/cli/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/lib/fail.h"
#include "common/alloc.h"
#include "common/cleanup.h"

void cli_config_clear(struct cli_config *config)
{
    free(config->url);
    free(config->token);
    *config = (struct cli_config){0};
}

static char *config_folder(void)
{
    const char *base = getenv("XDG_CONFIG_HOME");
    if (base != NULL && base[0] == '/')
        return alloc_printf("%s/strata", base);
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/') {
        const struct passwd *pw = getpwuid(getuid());
        home = pw != NULL ? pw->pw_dir : "";
    }
    return alloc_printf("%s/.config/strata", home);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum strata_status read_file(json_t **json, struct strata_error *e)
{
    AUTO_FREE char *folder = config_folder();
    AUTO_FREE char *path = alloc_printf("%s/config.json", folder);
    *json = NULL;
    if (access(path, F_OK) != 0)
        return STRATA_OK;
    json_error_t error;
    *json = json_load_file(path, 0, &error);
    if (*json == NULL)
        return fail_set(e, STRATA_LOCAL, "%s: %s", path, error.text);
    return STRATA_OK;
}

static size_t url_size(const char *url)
{
    size_t size = strlen(url);
    while (size > 0 && url[size - 1] == '/')
        size--;
    return size;
}

// Slashes at the end make no other server.
static bool is_same_url(const char *a, const char *b)
{
    size_t size = url_size(a);
    return size == url_size(b) && strncmp(a, b, size) == 0;
}

enum strata_status cli_config_load(struct cli_config *config, struct strata_error *e)
{
    const char *url = environment("STRATA_URL");
    const char *token = environment("STRATA_TOKEN");
    AUTO_JSON json_t *json = NULL;
    if (url == NULL || token == NULL) {
        enum strata_status status = read_file(&json, e);
        if (status != STRATA_OK)
            return status;
    }
    const char *file_url = json_string_value(json_object_get(json, "url"));
    if (url == NULL)
        url = file_url;
    if (token == NULL && url != NULL && file_url != NULL && is_same_url(url, file_url))
        token = json_string_value(json_object_get(json, "token"));
    config->url = alloc_copy(url);
    config->token = alloc_copy(token);
    return STRATA_OK;
}

static enum strata_status make_folders(char *path, struct strata_error *e)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return fail_errno(e, errno, "%s", path);
        if (slash == NULL)
            return STRATA_OK;
        *slash = '/';
    }
}

enum strata_status cli_config_save(const struct cli_config *config, char **path,
                                   struct strata_error *e)
{
    AUTO_FREE char *folder = config_folder();
    enum strata_status status = make_folders(folder, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *json =
        json_pack("{s:s, s:s}", "url", config->url, "token", config->token);
    AUTO_FREE char *text = json_dumps(json, JSON_INDENT(2));
    if (text == NULL)
        return fail_set(e, STRATA_USAGE, "the URL or the token is not UTF-8");
    AUTO_FREE char *final = alloc_printf("%s/config.json", folder);
    AUTO_FREE char *temporary = alloc_printf("%s.XXXXXX", final);
    AUTO_FD int fd = mkostemp(temporary, O_CLOEXEC); // made with mode 0600
    if (fd < 0)
        return fail_errno(e, errno, "%s", folder);
    if (dprintf(fd, "%s\n", text) < 0 || fsync(fd) != 0 ||
        rename(temporary, final) != 0) {
        int errnum = errno;
        unlink(temporary);
        return fail_errno(e, errnum, "%s", final);
    }
    *path = steal_ptr(final);
    return STRATA_OK;
}
