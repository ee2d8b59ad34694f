// SPDX-License-Identifier: Apache-2.0
#include "server/registry/content.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

void content_free(void *value)
{
    struct content *content = value;
    if (content == NULL)
        return;
    free(content->manifest);
    free(content->files);
    free(content->strings);
    free(content);
}

// The shared text of the default type is not copied for each file.
static const char *own_type(const json_t *file)
{
    return json_string_value(json_object_get(file, "media_type"));
}

static size_t strings_size(const json_t *files)
{
    size_t size = 1;
    for (size_t i = 0; i < json_array_size(files); i++) {
        const json_t *file = json_array_get(files, i);
        const char *type = own_type(file);
        size += json_string_length(json_object_get(file, "path")) + 1;
        size += type != NULL ? strlen(type) + 1 : 0;
    }
    return size;
}

static const char *keep(char **at, const char *text)
{
    char *copy = *at;
    size_t size = strlen(text) + 1;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

static bool fill_file(struct content_file *file, const json_t *json, char **at)
{
    const char *path = json_string_value(json_object_get(json, "path"));
    const char *hex = json_string_value(json_object_get(json, "sha256"));
    const char *type = own_type(json);
    if (path == NULL || hex == NULL || !digest_parse(hex, &file->digest))
        return false;
    file->path = keep(at, path);
    file->media_type = type != NULL ? keep(at, type) : MEDIA_TYPE_DEFAULT;
    file->size = (uint64_t)json_integer_value(json_object_get(json, "size"));
    return true;
}

enum err content_parse(char *manifest, struct content **out, struct error *e)
{
    CLEANUP(content_free_at) struct content *content = alloc_zero(sizeof *content);
    content->manifest = manifest;
    content->manifest_size = strlen(manifest);
    AUTO_JSON json_t *json = json_loads(manifest, 0, NULL);
    const json_t *files = json_object_get(json, "files");
    content->files = alloc_array(json_array_size(files) + 1, sizeof *content->files);
    content->strings = alloc_zero(strings_size(files));
    char *at = content->strings;
    for (size_t i = 0; i < json_array_size(files); i++) {
        if (!fill_file(&content->files[i], json_array_get(files, i), &at))
            return error_set(e, ERR_INTERNAL, "a stored manifest does not parse");
        content->files_count++;
    }
    if (content->files_count == 0)
        return error_set(e, ERR_INTERNAL, "a stored manifest has no files");
    *out = steal_ptr(content);
    return ERR_NONE;
}

size_t content_bytes(const struct content *content)
{
    size_t strings = 0;
    for (size_t i = 0; i < content->files_count; i++)
        strings += strlen(content->files[i].path) + 1;
    return sizeof *content + content->manifest_size + strings +
           content->files_count * sizeof *content->files;
}

static enum err read_manifest(struct db *db, int64_t version_id, char **manifest,
                              struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, "SELECT manifest FROM versions WHERE id = $1",
                            DB_PARAMS(DB_INT(version_id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0 || db_is_null(rows, 0, 0))
        return error_set(e, ERR_VERSION_DELETED, "the version has been purged");
    *manifest = alloc_copy(db_text(rows, 0, 0));
    return ERR_NONE;
}

enum err content_get(struct registry *registry, struct db *db, int64_t version_id,
                     struct cache_entry **entry, struct error *e)
{
    *entry =
        registry_cache_get(registry, CACHE_CONTENTS, &version_id, sizeof version_id);
    if (*entry != NULL)
        return ERR_NONE;
    uint64_t generation = registry_cache_generation(registry, CACHE_CONTENTS);
    CLEANUP(db_release_at) struct db *own = NULL;
    char *manifest = NULL;
    enum err err = db != NULL ? ERR_NONE : db_acquire(registry_db(registry), &own, e);
    if (err == ERR_NONE)
        err = read_manifest(db != NULL ? db : own, version_id, &manifest, e);
    struct content *content = NULL;
    if (err == ERR_NONE)
        err = content_parse(manifest, &content, e);
    if (err != ERR_NONE)
        return err;
    *entry =
        registry_cache_put(registry, CACHE_CONTENTS, &version_id, sizeof version_id,
                           content, content_bytes(content), generation);
    return ERR_NONE;
}

static int compare_path(const void *path, const void *file)
{
    return strcmp(path, ((const struct content_file *)file)->path);
}

const struct content_file *content_find(const struct content *content, const char *path)
{
    return bsearch(path, content->files, content->files_count, sizeof *content->files,
                   compare_path);
}
