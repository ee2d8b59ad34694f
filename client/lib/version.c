// SPDX-License-Identifier: Apache-2.0
#include "client/lib/version.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define DIGEST_PREFIX "sha256:"

void version_clear(struct version *version)
{
    for (size_t i = 0; i < version->count; i++)
        free(version->files[i].path);
    free(version->files);
    free(version->model);
    *version = (struct version){0};
}

static bool read_digest(const json_t *object, const char *key, struct digest *digest)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && digest_parse(text, digest);
}

static enum strata_status read_file(const json_t *json, struct version_file *file,
                                    struct strata_error *e)
{
    const char *path = json_string_value(json_object_get(json, "path"));
    json_t *size = json_object_get(json, "size");
    struct error error = {0};
    if (path == NULL || path_check(path, "path", &error) != ERR_NONE) {
        return fail_set(e, STRATA_CORRUPT, "the manifest names an unsafe path: %s",
                        error.detail);
    }
    if (!json_is_integer(size) || json_integer_value(size) < 0 ||
        !read_digest(json, "sha256", &file->sha256) ||
        !read_digest(json, "chain_root", &file->chain_root))
        return fail_set(e, STRATA_CORRUPT, "the manifest's entry of %s is damaged",
                        path);
    file->size = (uint64_t)json_integer_value(size);
    file->path = alloc_copy(path);
    return STRATA_OK;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// Two entries of one path would be written into one file at the same time.
static enum strata_status check_paths(const struct version *version,
                                      struct strata_error *e)
{
    AUTO_FREE char **paths = alloc_array(version->count + 1, sizeof *paths);
    for (size_t i = 0; i < version->count; i++)
        paths[i] = version->files[i].path;
    qsort(paths, version->count, sizeof *paths, compare_paths);
    for (size_t i = 1; i < version->count; i++) {
        if (strcmp(paths[i - 1], paths[i]) == 0)
            return fail_set(e, STRATA_CORRUPT, "the manifest names %s twice", paths[i]);
    }
    return STRATA_OK;
}

enum strata_status version_read_manifest(const char *text, struct version *version,
                                         struct strata_error *e)
{
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    const char *model = json_string_value(json_object_get(json, "model"));
    json_t *files = json_object_get(json, "files");
    version->number = json_integer_value(json_object_get(json, "version"));
    if (model == NULL || !json_is_array(files) || version->number < 1)
        return fail_set(e, STRATA_CORRUPT, "the manifest is damaged");
    version->model = alloc_copy(model);
    version->files = alloc_array(json_array_size(files), sizeof *version->files);
    size_t i;
    json_t *item;
    json_array_foreach(files, i, item)
    {
        enum strata_status status = read_file(item, &version->files[i], e);
        if (status != STRATA_OK)
            return status;
        version->count = i + 1;
        if (__builtin_add_overflow(version->total, version->files[i].size,
                                   &version->total))
            return fail_set(e, STRATA_CORRUPT, "the manifest's sizes do not add up");
    }
    return check_paths(version, e);
}

// The digest of the version that a movable ref names now, and its number.
static enum strata_status resolve(struct strata_client *client, struct ref *ref,
                                  struct digest *digest, struct strata_error *e)
{
    AUTO_FREE char *path = client_version_path(ref, "");
    AUTO_JSON json_t *json = NULL;
    struct call call = {.method = "GET", .path = path};
    enum strata_status status = client_call(client, &call, &json, NULL, e);
    if (status != STRATA_OK)
        return status;
    const char *text = json_string_value(json_object_get(json, "digest"));
    json_int_t number = json_integer_value(json_object_get(json, "version"));
    if (text == NULL || number < 1 ||
        strncmp(text, DIGEST_PREFIX, strlen(DIGEST_PREFIX)) != 0 ||
        !digest_parse(text + strlen(DIGEST_PREFIX), digest))
        return fail_set(e, STRATA_FAILED, "the server's answer names no version");
    ref->kind = REF_NUMBER;
    ref->number = number;
    return STRATA_OK;
}

enum strata_status version_fetch(struct strata_client *client, const char *text,
                                 struct version *version, struct strata_error *e)
{
    struct ref ref;
    enum strata_status status = client_parse_ref(text, &ref, e);
    if (status == STRATA_OK && ref.kind != REF_DIGEST)
        status = resolve(client, &ref, &version->digest, e);
    else
        version->digest = ref.digest;
    if (status != STRATA_OK)
        return status;
    AUTO_FREE char *path = client_version_path(&ref, "/manifest");
    AUTO_FREE char *manifest = NULL;
    struct call call = {.method = "GET", .path = path};
    status = client_call_text(client, &call, &manifest, e);
    if (status != STRATA_OK)
        return status;
    struct digest digest;
    digest_of(manifest, strlen(manifest), &digest);
    if (!digest_equal(&digest, &version->digest)) {
        char hex[DIGEST_HEX_SIZE];
        digest_format(&digest, hex);
        return fail_set(
            e, STRATA_CORRUPT,
            "the manifest of %s hashes to %s, which is not the version's digest", text,
            hex);
    }
    return version_read_manifest(manifest, version, e);
}

const struct version_file *version_file_find(const struct version *version,
                                             const char *path)
{
    for (size_t i = 0; i < version->count; i++) {
        if (strcmp(version->files[i].path, path) == 0)
            return &version->files[i];
    }
    return NULL;
}

static enum strata_status fetch_chain(struct strata_client *client,
                                      const struct version_file *file,
                                      struct chain *chain, struct strata_error *e)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&file->sha256, hex);
    AUTO_FREE char *path = alloc_printf("/api/v1/blobs/%s/chain", hex);
    AUTO_JSON json_t *json = NULL;
    struct call call = {.method = "GET", .path = path};
    enum strata_status status = client_call(client, &call, &json, NULL, e);
    if (status != STRATA_OK)
        return status;
    struct error error = {0};
    if (chain_from_json(json, file->size, "", chain, &error) == ERR_NONE)
        return STRATA_OK;
    return fail_set(e, STRATA_CORRUPT, "the chain of %s: %s: %s", file->path,
                    error.field, error.detail);
}

enum strata_status version_chain(struct strata_client *client,
                                 const struct version_file *file, struct chain *chain,
                                 struct strata_error *e)
{
    enum strata_status status = STRATA_OK;
    if (chain_count(file->size) == 1) { // the digest is all of it
        enum err err =
            chain_from_raw(file->size, file->sha256.bytes, DIGEST_SIZE, chain, NULL);
        (void)err;
    } else {
        status = fetch_chain(client, file, chain, e);
    }
    if (status != STRATA_OK)
        return status;
    if (chain_is_bound(chain, &file->sha256, &file->chain_root))
        return STRATA_OK;
    chain_clear(chain);
    return fail_set(e, STRATA_CORRUPT, "the chain of %s is not the one of the manifest",
                    file->path);
}
