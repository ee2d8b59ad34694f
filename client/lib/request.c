// SPDX-License-Identifier: Apache-2.0
#include "client/lib/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/hex.h"
#include "common/names.h"

#define RUN_ID_MAXIMUM 255
#define KEY_BYTES 16

static const char *media_type(const char *path)
{
    static const struct {
        const char *suffix;
        const char *type;
    } types[] = {
        {".json", "application/json"}, {".txt", "text/plain"},
        {".md", "text/markdown"},      {".yaml", "application/yaml"},
        {".yml", "application/yaml"},  {".csv", "text/csv"},
        {".png", "image/png"},         {".jpg", "image/jpeg"},
    };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < ARRAY_SIZE(types); i++) {
        if (strcasecmp(dot, types[i].suffix) == 0)
            return types[i].type;
    }
    return NULL;
}

static json_t *file_json(const char *path, const char *sha256)
{
    return json_pack("{s:s, s:s, s:s*}", "path", path, "sha256", sha256, "media_type",
                     media_type(path));
}

json_t *request_files(const struct source_list *sources)
{
    json_t *files = json_array();
    for (size_t i = 0; i < sources->count; i++) {
        char hex[DIGEST_HEX_SIZE];
        digest_format(&sources->items[i].sha256, hex);
        json_array_append_new(files, file_json(sources->items[i].path, hex));
    }
    return files;
}

static enum strata_status read_line(const char *list, int number, char *line,
                                    json_t *files, struct strata_error *e)
{
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#')
        return STRATA_OK;
    size_t size = strcspn(line, " \t");
    const char *path = line + size;
    path += strspn(path, " \t");
    while (path[0] == '.' && path[1] == '/') // as a shell completes a name
        path += 2;
    line[size] = '\0';
    struct digest digest;
    struct error error = {0};
    if (!digest_parse(line, &digest)) {
        return fail_set(e, STRATA_USAGE, "%s, line %d does not begin with a SHA-256",
                        list, number);
    }
    if (path > line + size && path_check(path, "path", &error) == ERR_NONE) {
        json_array_append_new(files, file_json(path, line));
        return STRATA_OK;
    }
    return fail_set(e, STRATA_USAGE, "%s, line %d: %s", list, number,
                    error.detail[0] != '\0' ? error.detail : "the path is missing");
}

static void close_file(FILE **file)
{
    if (*file != NULL && *file != stdin)
        fclose(*file);
}

enum strata_status request_read_list(const char *list, json_t **result,
                                     struct strata_error *e)
{
    CLEANUP(close_file) FILE *file = strcmp(list, "-") == 0 ? stdin : fopen(list, "re");
    if (file == NULL)
        return fail_errno(e, errno, "%s", list);
    AUTO_JSON json_t *files = json_array();
    AUTO_FREE char *line = NULL;
    size_t room = 0;
    for (int number = 1; getline(&line, &room, file) >= 0; number++) {
        enum strata_status status = read_line(list, number, line, files, e);
        if (status != STRATA_OK)
            return status;
    }
    if (ferror(file))
        return fail_errno(e, errno, "%s", list);
    if (json_array_size(files) == 0)
        return fail_set(e, STRATA_USAGE, "%s names no files", list);
    *result = steal_ptr(files);
    return STRATA_OK;
}

static void set_missing(json_t *object, const char *key, const char *value)
{
    if (value != NULL && json_object_get(object, key) == NULL)
        json_object_set_new(object, key, json_string(value));
}

static enum strata_status add_code(json_t *body, const struct ci *ci,
                                   struct strata_error *e)
{
    json_t *code = json_object_get(body, "code");
    bool said = code != NULL;
    if (!said) {
        code = json_object();
        json_object_set_new(body, "code", code);
    }
    set_missing(code, "commit", ci->commit);
    set_missing(code, "repository", ci->repository);
    bool whole = json_object_get(code, "commit") != NULL &&
                 json_object_get(code, "repository") != NULL;
    if (!whole && said)
        return fail_set(e, STRATA_USAGE, "the commit and the repository go together");
    if (!whole)
        json_object_del(body, "code");
    return STRATA_OK;
}

// A run that only has an address is named by it.
static void add_run(json_t *body, const struct ci *ci)
{
    json_t *run = json_object_get(body, "run");
    bool said = run != NULL;
    if (!said && ci->run_id == NULL)
        return;
    if (!said) {
        run = json_object();
        json_object_set_new(body, "run", run);
    }
    const char *url = json_string_value(json_object_get(run, "url"));
    bool other =
        said &&
        ((url != NULL && ci->run_url != NULL && strcmp(url, ci->run_url) != 0) ||
         json_object_get(run, "id") != NULL);
    if (!other) {
        set_missing(run, "id", ci->run_id);
        set_missing(run, "url", ci->run_url);
        set_missing(run, "system", ci->system);
    }
    if (url != NULL && json_object_get(run, "id") == NULL) {
        AUTO_FREE char *id = alloc_copy_n(url, RUN_ID_MAXIMUM);
        set_missing(run, "id", id);
    }
}

enum strata_status request_build(json_t *files, const char *origins,
                                 const struct ci *ci, json_t **result,
                                 struct strata_error *e)
{
    AUTO_JSON json_t *owned = files;
    AUTO_JSON json_t *body = origins != NULL
                                 ? json_loads(origins, JSON_REJECT_DUPLICATES, NULL)
                                 : json_object();
    if (!json_is_object(body))
        return fail_set(e, STRATA_USAGE, "the origins are not a JSON object");
    json_object_set(body, "files", owned);
    enum strata_status status = add_code(body, ci, e);
    if (status != STRATA_OK)
        return status;
    add_run(body, ci);
    *result = steal_ptr(body);
    return STRATA_OK;
}

static char *random_key(void)
{
    uint8_t bytes[KEY_BYTES];
    char text[2 * KEY_BYTES + 1];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return NULL; // every request is a version of its own then
    hex_encode(bytes, sizeof bytes, text);
    return alloc_copy(text);
}

void request_add_key(json_t *body, const char *key, const struct ci *ci,
                     struct strata_client *client, const char *model,
                     struct state_note **note)
{
    AUTO_FREE char *made = NULL;
    if (key == NULL) {
        AUTO_FREE char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
        struct digest digest;
        if (ci->run_id != NULL) {
            state_key(&digest, model, text, ci->system,
                      ci->repository != NULL ? ci->repository : "", ci->run_id, NULL);
            char hex[DIGEST_HEX_SIZE];
            digest_format(&digest, hex);
            made = alloc_printf("ci-%s", hex);
        } else {
            state_key(&digest, client->base, model, text, NULL);
            *note = state_note_open(client->state, STATE_PUBLISH, &digest);
            const char *known = state_note_text(*note);
            made = known[0] != '\0' ? alloc_copy(known) : random_key();
            if (made != NULL)
                state_note_write(*note, made);
        }
        key = made;
    }
    if (key != NULL)
        json_object_set_new(body, "idempotency_key", json_string(key));
}
