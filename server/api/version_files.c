// SPDX-License-Identifier: Apache-2.0
#include "server/api/version_files.h"

#include <inttypes.h>

#include "common/cleanup.h"
#include "server/api/bytes.h"
#include "server/api/place.h"
#include "server/registry/content.h"

#define PARAM_PATH 3

// A repeated read finds version and file in the caches and asks no database.
enum err version_file_handler(struct request *request, struct response *response,
                              struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    struct version_key key = {0};
    const char *path = request->params[PARAM_PATH];
    CLEANUP(cache_release_at) struct cache_entry *entry = NULL;
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = path_check(path, "path", e);
    if (err == ERR_NONE)
        err = version_resolve(request->app->registry, model, &selector, &key, e);
    if (err == ERR_NONE)
        err = content_get(request->app->registry, NULL, key.id, &entry, e);
    if (err != ERR_NONE)
        return err;
    const struct content_file *file = content_find(cache_value(entry), path);
    if (file == NULL)
        return error_set(e, ERR_FILE_NOT_FOUND, "%s@%" PRId64 " has no file %.200s",
                         model, key.number, path);
    return bytes_respond(request, response, &file->digest, file->path, file->media_type,
                         e);
}
