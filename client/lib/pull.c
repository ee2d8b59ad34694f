// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "client/lib/pattern.h"
#include "client/lib/work.h"
#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/json_text.h"

struct choice {
    struct pattern_list include;
    struct pattern_list exclude;
};

static void choice_clear(struct choice *choice)
{
    pattern_list_clear(&choice->include);
    pattern_list_clear(&choice->exclude);
}

static void add_all(struct pattern_list *list, const char *const *patterns)
{
    for (; patterns != NULL && *patterns != NULL; patterns++)
        pattern_add(list, *patterns);
}

static bool is_wanted(void *context, const char *path)
{
    const struct choice *choice = context;
    if (choice->include.count > 0 && !pattern_match_file(&choice->include, path))
        return false;
    return !pattern_match_file(&choice->exclude, path);
}

static json_t *version_json(const struct version *version)
{
    char digest[DIGEST_HEX_SIZE];
    digest_format(&version->digest, digest);
    AUTO_FREE char *text = alloc_printf("sha256:%s", digest);
    return json_pack("{s:s, s:I, s:s}", "model", version->model, "version",
                     (json_int_t)version->number, "digest", text);
}

static void set_number(json_t *json, const char *key, uint64_t number)
{
    json_object_set_new(json, key, json_integer((json_int_t)number));
}

static char *pull_json(const struct version *version, const struct work *work,
                       const char *folder)
{
    AUTO_JSON json_t *json = version_json(version);
    json_object_set_new(json, "folder", json_string(folder));
    set_number(json, "files", work->count);
    set_number(json, "total", work->progress.total);
    set_number(json, "received", work->progress.moved);
    set_number(json, "kept", work->kept);
    return json_text_dump(json, NULL);
}

enum strata_status strata_pull(struct strata_client *client,
                               const struct strata_pull *pull,
                               const struct strata_watch *watch, char **json,
                               struct strata_error *e)
{
    *json = NULL;
    CLEANUP(version_clear) struct version version = {0};
    enum strata_status status = version_fetch(client, pull->ref, &version, e);
    if (status != STRATA_OK)
        return status;
    CLEANUP(choice_clear) struct choice choice = {0};
    add_all(&choice.include, pull->include);
    add_all(&choice.exclude, pull->exclude);
    CLEANUP(destination_close) struct destination to = {.fd = -1, .partial_fd = -1};
    status = destination_open(&to, pull->folder, true, e);
    if (status != STRATA_OK)
        return status;
    CLEANUP(work_clear) struct work work;
    work_init(&work, client, WORK_PULL, &version, &to, is_wanted, &choice, watch);
    if (work.count == 0)
        return fail_set(e, STRATA_NOT_FOUND, "no file of %s matches the patterns",
                        pull->ref);
    status = work_run(&work, e);
    if (status != STRATA_OK)
        return status;
    destination_tidy(&to);
    *json = pull_json(&version, &work, pull->folder);
    return STRATA_OK;
}

static json_t *bad_json(const struct work *work)
{
    json_t *bad = json_array();
    for (size_t i = 0; i < work->count; i++) {
        const struct item *item = &work->items[i];
        if (!item->bad)
            continue;
        json_array_append_new(bad, json_pack("{s:s, s:s}", "path", item->file->path,
                                             "problem", item->problem));
    }
    return bad;
}

enum strata_status strata_verify(struct strata_client *client, const char *ref,
                                 const char *folder, const struct strata_watch *watch,
                                 char **text, struct strata_error *e)
{
    *text = NULL;
    CLEANUP(version_clear) struct version version = {0};
    CLEANUP(destination_close) struct destination to = {.fd = -1, .partial_fd = -1};
    enum strata_status status = version_fetch(client, ref, &version, e);
    if (status == STRATA_OK && folder != NULL)
        status = destination_open(&to, folder, false, e);
    if (status != STRATA_OK)
        return status;
    CLEANUP(work_clear) struct work work;
    work_init(&work, client, folder != NULL ? WORK_VERIFY_FOLDER : WORK_VERIFY_SERVER,
              &version, &to, NULL, NULL, watch);
    status = work_run(&work, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *json = version_json(&version);
    set_number(json, "files", work.count);
    set_number(json, "total", work.progress.total);
    json_t *bad = bad_json(&work);
    size_t count = json_array_size(bad);
    json_object_set_new(json, "bad", bad);
    *text = json_text_dump(json, NULL);
    if (count == 0)
        return STRATA_OK;
    return fail_set(e, STRATA_CORRUPT, "%zu of %zu files are not what %s says", count,
                    work.count, ref);
}
