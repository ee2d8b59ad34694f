// SPDX-License-Identifier: Apache-2.0
#include "server/api/prefetch.h"

#include <stdio.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "server/api/move_json.h"
#include "server/api/place.h"
#include "server/api/ref_field.h"
#include "server/api/tier_field.h"
#include "server/policy/pin.h"

static void check_files(struct fields *f, const json_t *files)
{
    size_t i;
    json_t *file;
    if (files != NULL && json_array_size(files) == 0)
        fields_fail(f, ERR_INVALID_FIELD, "files",
                    "this must not be empty; without it all files are brought");
    json_array_foreach(files, i, file)
    {
        char key[32];
        snprintf(key, sizeof key, "files[%zu]", i);
        if (!json_is_string(file) || json_string_length(file) == 0 ||
            json_string_length(file) > PATH_MAXIMUM)
            fields_fail(f, ERR_INVALID_FIELD, key,
                        "this must be a path or a pattern of 1 to %d bytes",
                        PATH_MAXIMUM);
    }
}

enum err prefetch_parse(const json_t *body, struct prefetch_body *prefetch,
                        struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    fields_ref(&f, FIELD_REQUIRED, &prefetch->ref);
    prefetch->tier = fields_tier(&f, FIELD_REQUIRED);
    prefetch->files = fields_array(&f, "files", FIELD_OPTIONAL, PREFETCH_FILES_MAXIMUM);
    check_files(&f, prefetch->files);
    return fields_end(&f);
}

enum err prefetch_handler(struct request *request, struct response *response,
                          struct error *e)
{
    struct prefetch_body body = {.files = NULL};
    enum err err = prefetch_parse(request->body, &body, e);
    if (err != ERR_NONE)
        return err;
    char model[MODEL_SIZE];
    snprintf(model, sizeof model, "%s/%s", body.ref.space, body.ref.name);
    size_t files_count = json_array_size(body.files);
    AUTO_FREE const char **files = alloc_array(files_count + 1, sizeof *files);
    for (size_t i = 0; i < files_count; i++)
        files[i] = json_string_value(json_array_get(body.files, i));
    const struct prefetch_request asked = {
        .model = model,
        .selector = &body.ref,
        .tier = body.tier,
        .files = body.files != NULL ? files : NULL,
        .files_count = files_count,
    };
    struct actor actor = place_actor(request);
    AUTO_FREE struct move *moves = NULL;
    size_t count = 0;
    err = prefetch(request->app->policy, &actor, &asked, &moves, &count, e);
    if (err == ERR_NONE)
        response_json(response, 202,
                      json_pack("{s:o}", "moves", moves_json(moves, count)));
    return err;
}
