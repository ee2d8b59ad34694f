// SPDX-License-Identifier: Apache-2.0
#include "server/api/publish_parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/api/origins.h"

#define FILES_MAXIMUM 20000
#define PARENTS_MAXIMUM 64
#define DATASETS_MAXIMUM 256
#define ALIASES_MAXIMUM 16
#define REF_MAXIMUM 300
#define PREFIX_SIZE 40

void publish_request_clear(struct publish_request *request)
{
    free(request->files);
    free(request->parents);
    free(request->datasets);
    free(request->aliases);
    json_decref(request->metrics);
    *request = (struct publish_request){0};
}

static const char media_token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789!#$&^_.+-";

static bool media_type_is_valid(const char *text)
{
    size_t type = strspn(text, media_token);
    if (type == 0 || text[type] != '/')
        return false;
    size_t subtype = strspn(text + type + 1, media_token);
    char after = text[type + 1 + subtype];
    return subtype > 0 && (after == '\0' || after == ';');
}

static enum err parse_file(const json_t *json, const char *prefix,
                           struct publish_file *file, struct error *e)
{
    struct fields f;
    char field[PREFIX_SIZE + 8];
    snprintf(field, sizeof field, "%spath", prefix);
    // First, since it is stricter on what text may hold.
    file->path = json_string_value(json_object_get(json, "path"));
    enum err err = file->path != NULL ? path_check(file->path, field, e) : ERR_NONE;
    if (err != ERR_NONE)
        return err;
    fields_begin(&f, json, prefix, e);
    (void)fields_text(&f, "path", FIELD_REQUIRED, PATH_MAXIMUM);
    const char *sha256 = fields_text(&f, "sha256", FIELD_REQUIRED, WORD_MAXIMUM);
    file->media_type = fields_line(&f, "media_type", FIELD_OPTIONAL, WORD_MAXIMUM);
    if (sha256 != NULL && !digest_parse(sha256, &file->digest))
        fields_fail(&f, ERR_INVALID_FIELD, "sha256",
                    "this must be 64 lower-case hex digits");
    if (file->media_type != NULL && !media_type_is_valid(file->media_type))
        fields_fail(&f, ERR_INVALID_FIELD, "media_type", "this is no media type");
    return fields_end(&f);
}

struct placed { // a path and where it stood
    const char *path;
    size_t index;
};

// Bytewise, but a slash comes before everything else: a folder's content then follows
// right after a file of the folder's name.
static int compare_folders_first(const void *a, const void *b)
{
    const unsigned char *x = (const unsigned char *)((const struct placed *)a)->path;
    const unsigned char *y = (const unsigned char *)((const struct placed *)b)->path;
    while (*x != '\0' && *x == *y) {
        x++;
        y++;
    }
    int left = *x == '/' ? 1 : *x == '\0' ? 0 : *x + 1;
    int right = *y == '/' ? 1 : *y == '\0' ? 0 : *y + 1;
    return left - right;
}

static enum err check_conflict(const struct placed *first, const struct placed *second,
                               struct error *e)
{
    size_t size = strlen(first->path);
    const char *what = NULL;
    if (strncmp(first->path, second->path, size) != 0)
        return ERR_NONE;
    if (second->path[size] == '\0')
        what = "the path is given twice";
    else if (second->path[size] == '/')
        what = "the path is a file and a folder";
    if (what == NULL)
        return ERR_NONE;
    char field[PREFIX_SIZE];
    size_t index = first->index > second->index ? first->index : second->index;
    snprintf(field, sizeof field, "files[%zu].path", index);
    return error_set_field(e, ERR_PATH_CONFLICT, field, "%s: %.200s", what,
                           first->path);
}

static enum err check_conflicts(const struct publish_request *request, struct error *e)
{
    size_t count = request->publish.files_count;
    AUTO_FREE struct placed *placed = alloc_array(count, sizeof *placed);
    for (size_t i = 0; i < count; i++)
        placed[i] = (struct placed){.path = request->files[i].path, .index = i};
    qsort(placed, count, sizeof *placed, compare_folders_first);
    enum err err = ERR_NONE;
    for (size_t i = 1; err == ERR_NONE && i < count; i++)
        err = check_conflict(&placed[i - 1], &placed[i], e);
    return err;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct publish_file *)a)->path,
                  ((const struct publish_file *)b)->path);
}

static enum err parse_files(const json_t *files, struct publish_request *request,
                            struct error *e)
{
    size_t count = json_array_size(files);
    if (count == 0)
        return error_set_field(e, ERR_INVALID_FIELD, "files",
                               "a version has at least one file");
    request->files = alloc_array(count, sizeof *request->files);
    request->publish.files = request->files;
    request->publish.files_count = count;
    enum err err = ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < count; i++) {
        char prefix[PREFIX_SIZE];
        snprintf(prefix, sizeof prefix, "files[%zu].", i);
        err = parse_file(json_array_get(files, i), prefix, &request->files[i], e);
    }
    if (err == ERR_NONE)
        err = check_conflicts(request, e);
    if (err == ERR_NONE)
        qsort(request->files, count, sizeof *request->files, compare_paths);
    return err;
}

static bool relation_is_known(const char *relation)
{
    static const char *const known[] = {"fine-tune", "checkpoint", "quantize", "merge",
                                        "distill",   "adapter",    "convert"};
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcmp(relation, known[i]) == 0)
            return true;
    }
    return false;
}

static enum err parse_parent(const json_t *json, const char *prefix,
                             struct origin_parent *parent, struct error *e)
{
    struct fields f;
    char field[PREFIX_SIZE + 8];
    fields_begin(&f, json, prefix, e);
    const char *ref = fields_text(&f, "ref", FIELD_OPTIONAL, REF_MAXIMUM);
    parent->uri = fields_line(&f, "uri", FIELD_OPTIONAL, URI_MAXIMUM);
    parent->relation = fields_text(&f, "relation", FIELD_REQUIRED, WORD_MAXIMUM);
    if (parent->relation != NULL && !relation_is_known(parent->relation))
        fields_fail(&f, ERR_INVALID_FIELD, "relation",
                    "this must be fine-tune, checkpoint, quantize, merge, distill, "
                    "adapter or convert");
    if ((ref == NULL) == (parent->uri == NULL))
        fields_fail(&f, ERR_INVALID_FIELD, "ref", "either ref or uri is required");
    enum err err = fields_end(&f);
    snprintf(field, sizeof field, "%sref", prefix);
    return err != ERR_NONE || ref == NULL ? err
                                          : ref_parse(ref, field, &parent->ref, e);
}

static enum err parse_parents(const json_t *parents, struct publish_request *request,
                              struct error *e)
{
    size_t count = json_array_size(parents);
    request->parents = alloc_array(count + 1, sizeof *request->parents);
    request->publish.origins.parents = request->parents;
    request->publish.origins.parents_count = count;
    enum err err = ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < count; i++) {
        char prefix[PREFIX_SIZE];
        snprintf(prefix, sizeof prefix, "parents[%zu].", i);
        err = parse_parent(json_array_get(parents, i), prefix, &request->parents[i], e);
    }
    return err;
}

static enum err parse_datasets(const json_t *datasets, struct publish_request *request,
                               struct error *e)
{
    size_t count = json_array_size(datasets);
    request->datasets = alloc_array(count + 1, sizeof *request->datasets);
    request->publish.origins.datasets = request->datasets;
    request->publish.origins.datasets_count = count;
    enum err err = ERR_NONE;
    for (size_t i = 0; err == ERR_NONE && i < count; i++) {
        char prefix[PREFIX_SIZE];
        snprintf(prefix, sizeof prefix, "datasets[%zu].", i);
        err = dataset_parse(json_array_get(datasets, i), prefix, &request->datasets[i],
                            e);
    }
    return err;
}

static enum err parse_run(const json_t *run, struct publish_request *request,
                          struct error *e)
{
    struct fields f;
    if (run == NULL)
        return ERR_NONE;
    fields_begin(&f, run, "run.", e);
    request->run.id = fields_line(&f, "id", FIELD_REQUIRED, WORD_MAXIMUM);
    request->run.url = fields_line(&f, "url", FIELD_OPTIONAL, URI_MAXIMUM);
    request->run.system = fields_line(&f, "system", FIELD_OPTIONAL, WORD_MAXIMUM);
    request->publish.origins.run = &request->run;
    return fields_end(&f);
}

static enum err parse_code(const json_t *code, struct publish_request *request,
                           struct error *e)
{
    struct fields f;
    if (code == NULL)
        return ERR_NONE;
    fields_begin(&f, code, "code.", e);
    request->code.repository =
        fields_line(&f, "repository", FIELD_REQUIRED, URI_MAXIMUM);
    request->code.commit = fields_line(&f, "commit", FIELD_REQUIRED, WORD_MAXIMUM);
    request->code.dirty = fields_bool(&f, "dirty", false);
    request->publish.origins.code = &request->code;
    return fields_end(&f);
}

static bool is_repeated(const struct publish_request *request, const char *alias)
{
    for (size_t i = 0; i < request->publish.aliases_count; i++) {
        if (strcmp(request->aliases[i], alias) == 0)
            return true;
    }
    return false;
}

static enum err parse_aliases(const json_t *aliases, struct publish_request *request,
                              struct error *e)
{
    size_t count = json_array_size(aliases);
    request->aliases = alloc_array(count + 1, sizeof *request->aliases);
    request->publish.aliases = request->aliases;
    for (size_t i = 0; i < count; i++) {
        char field[PREFIX_SIZE];
        snprintf(field, sizeof field, "aliases[%zu]", i);
        const char *alias = json_string_value(json_array_get(aliases, i));
        if (alias == NULL)
            return error_set_field(e, ERR_INVALID_FIELD, field,
                                   "this must be a string");
        if (!alias_is_valid(alias))
            return error_set_field(
                e, ERR_INVALID_NAME, field,
                "an alias must match [A-Za-z0-9][A-Za-z0-9._-]{0,95} "
                "and be neither all digits nor latest");
        if (is_repeated(request, alias))
            return error_set_field(e, ERR_INVALID_FIELD, field, "this is given twice");
        request->aliases[request->publish.aliases_count++] = alias;
    }
    return ERR_NONE;
}

struct parts { // members that have a parser of their own
    const json_t *files, *parents, *datasets, *run, *code, *aliases;
};

static enum err take_members(const json_t *body, struct publish_request *request,
                             struct parts *parts, struct error *e)
{
    struct fields f;
    struct publish *publish = &request->publish;
    fields_begin(&f, body, "", e);
    parts->files = fields_array(&f, "files", FIELD_REQUIRED, FILES_MAXIMUM);
    parts->parents = fields_array(&f, "parents", FIELD_OPTIONAL, PARENTS_MAXIMUM);
    parts->datasets = fields_array(&f, "datasets", FIELD_OPTIONAL, DATASETS_MAXIMUM);
    parts->run = fields_object(&f, "run", FIELD_OPTIONAL, SIZE_MAX);
    parts->code = fields_object(&f, "code", FIELD_OPTIONAL, SIZE_MAX);
    parts->aliases = fields_array(&f, "aliases", FIELD_OPTIONAL, ALIASES_MAXIMUM);
    publish->origins.params = fields_params(&f, "params");
    request->metrics = fields_metrics(&f, "metrics", FIELD_OPTIONAL);
    publish->origins.metrics = request->metrics;
    publish->tags = fields_tags(&f, "tags", TAGS_STRINGS);
    publish->description =
        fields_text(&f, "description", FIELD_OPTIONAL, DESCRIPTION_MAXIMUM);
    if (publish->description == NULL)
        publish->description = "";
    publish->idempotency_key =
        fields_line(&f, "idempotency_key", FIELD_OPTIONAL, WORD_MAXIMUM);
    return fields_end(&f);
}

enum err publish_parse(const json_t *body, struct publish_request *request,
                       struct error *e)
{
    struct parts parts = {0};
    *request = (struct publish_request){0};
    enum err err = take_members(body, request, &parts, e);
    if (err == ERR_NONE)
        err = parse_files(parts.files, request, e);
    if (err == ERR_NONE)
        err = parse_parents(parts.parents, request, e);
    if (err == ERR_NONE)
        err = parse_datasets(parts.datasets, request, e);
    if (err == ERR_NONE)
        err = parse_run(parts.run, request, e);
    if (err == ERR_NONE)
        err = parse_code(parts.code, request, e);
    return err != ERR_NONE ? err : parse_aliases(parts.aliases, request, e);
}
