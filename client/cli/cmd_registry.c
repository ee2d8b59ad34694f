// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/commands.h"
#include "client/cli/output.h"
#include "client/cli/session.h"
#include "client/lib/fail.h"
#include "client/lib/strata_transfer.h"
#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json_text.h"

#define PAGE 1000

// "prod, staging"
static char *join(const json_t *texts)
{
    CLEANUP(buf_clear) struct buf all = {0};
    size_t i;
    json_t *text;
    json_array_foreach(texts, i, text)
        buf_printf(&all, "%s%s", i > 0 ? ", " : "", json_string_value(text));
    return all.size > 0 ? buf_steal(&all) : alloc_copy("-");
}

static void print_models(const json_t *document)
{
    static const char *const titles[] = {"MODEL", "LATEST", "VERSIONS", "CREATED",
                                         "DESCRIPTION"};
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *model;
    json_array_foreach(json_object_get(document, "models"), i, model)
    {
        table_add(&table, member_text(model, "model"));
        table_add(&table, member_text(model, "latest"));
        table_add(&table, member_text(model, "versions"));
        table_add(&table, member_day(model, "created_at"));
        table_add(&table, member_text(model, "description"));
    }
    table_print(&table);
}

static void print_versions(const json_t *document)
{
    static const char *const titles[] = {"VERSION", "CREATED", "BY",         "FILES",
                                         "SIZE",    "ALIASES", "DESCRIPTION"};
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *version;
    json_array_foreach(json_object_get(document, "versions"), i, version)
    {
        bool yanked = json_is_object(json_object_get(version, "yanked"));
        AUTO_FREE char *number = member_text(version, "version");
        table_add(&table, alloc_printf("%s%s", number, yanked ? " (yanked)" : ""));
        table_add(&table, member_day(version, "created_at"));
        table_add(&table, member_text(version, "created_by"));
        table_add(&table, member_text(version, "files_count"));
        table_add(&table, member_size(version, "size"));
        table_add(&table, join(json_object_get(version, "aliases")));
        table_add(&table, member_text(version, "description"));
    }
    table_print(&table);
}

static enum strata_status model_page(struct strata_client *client, const void *context,
                                     const char *token, char **json,
                                     struct strata_error *e)
{
    (void)context;
    return strata_model_list(client, token, PAGE, json, e);
}

static enum strata_status version_page(struct strata_client *client,
                                       const void *context, const char *token,
                                       char **json, struct strata_error *e)
{
    return strata_version_list(client, context, token, PAGE, json, e);
}

enum strata_status cmd_ls(struct invocation *invocation, struct strata_error *e)
{
    bool models = invocation->argument_count == 0;
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *document = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK && models)
        status = session_list(client, model_page, NULL, "models", &document, e);
    else if (status == STRATA_OK)
        status = session_list(client, version_page, invocation->arguments[0],
                              "versions", &document, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_document(document, e);
    if (models)
        print_models(document);
    else
        print_versions(document);
    return STRATA_OK;
}

// Malformed files stand beside the list's own items.
struct tensors_context {
    const char *ref;
    json_t *unreadable; // of the pages so far
};

static enum strata_status tensors_page(struct strata_client *client,
                                       const void *context, const char *token,
                                       char **json, struct strata_error *e)
{
    const struct tensors_context *tensors = context;
    enum strata_status status =
        strata_tensor_list(client, tensors->ref, token, PAGE, json, e);
    if (status != STRATA_OK)
        return status;
    AUTO_JSON json_t *page = json_loads(*json, 0, NULL);
    json_array_extend(tensors->unreadable, json_object_get(page, "unreadable"));
    return STRATA_OK;
}

static void print_tensors(const json_t *document)
{
    static const char *const titles[] = {"NAME", "DTYPE", "SHAPE", "SIZE", "FILE"};
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *tensor;
    json_array_foreach(json_object_get(document, "tensors"), i, tensor)
    {
        table_add(&table, member_text(tensor, "name"));
        table_add(&table, member_text(tensor, "dtype"));
        table_add(&table, member_text(tensor, "shape"));
        table_add(&table, member_size(tensor, "length"));
        table_add(&table, member_text(tensor, "file"));
    }
    table_print(&table);
    json_array_foreach(json_object_get(document, "unreadable"), i, tensor)
    {
        AUTO_FREE char *file = member_text(tensor, "file");
        AUTO_FREE char *detail = member_text(tensor, "detail");
        fputs("strata: ", stderr);
        print_text(stderr, file);
        fputs(": its safetensors header is malformed: ", stderr);
        print_text(stderr, detail);
        fputc('\n', stderr);
    }
}

enum strata_status cmd_tensors(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *document = NULL;
    AUTO_JSON json_t *unreadable = json_array();
    const struct tensors_context context = {invocation->arguments[0], unreadable};
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = session_list(client, tensors_page, &context, "tensors", &document, e);
    if (status != STRATA_OK)
        return status;
    json_object_set(document, "unreadable", unreadable);
    if (option_given(invocation, "json"))
        return print_document(document, e);
    print_tensors(document);
    return STRATA_OK;
}

// "key=value, key=value" of an object.
static void print_pairs(const char *title, const json_t *object)
{
    CLEANUP(buf_clear) struct buf line = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        AUTO_FREE char *text = member_text(object, key);
        buf_printf(&line, "%s%s=%s", line.size > 0 ? ", " : "", key, text);
    }
    if (line.size > 0)
        print_line("%-12s %s", title, buf_text(&line));
}

static void print_member(const char *title, const json_t *object, const char *key)
{
    AUTO_FREE char *text = member_text(object, key);
    if (strcmp(text, "-") != 0)
        print_line("%-12s %s", title, text);
}

static void print_origins(const json_t *version)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(version, "parents"), i, item)
    {
        bool inside = json_object_get(item, "ref") != NULL;
        AUTO_FREE char *name = member_text(item, inside ? "ref" : "uri");
        AUTO_FREE char *relation = member_text(item, "relation");
        print_line("%-12s %s (%s)", "parent", name, relation);
    }
    json_array_foreach(json_object_get(version, "datasets"), i, item)
        print_member("dataset", item, "uri");
    const json_t *run = json_object_get(version, "run");
    print_member("run", run,
                 json_is_string(json_object_get(run, "url")) ? "url" : "id");
    print_member("commit", json_object_get(version, "code"), "commit");
    print_member("repository", json_object_get(version, "code"), "repository");
}

static void print_files(const json_t *version)
{
    struct table table = {.columns = 3};
    size_t i;
    json_t *file;
    putchar('\n');
    json_array_foreach(json_object_get(version, "files"), i, file)
    {
        table_add(&table, member_size(file, "size"));
        table_add(&table, member_text(file, "sha256"));
        table_add(&table, member_text(file, "path"));
    }
    table_print(&table);
}

static void print_version(const json_t *version)
{
    AUTO_FREE char *model = member_text(version, "model");
    AUTO_FREE char *number = member_text(version, "version");
    AUTO_FREE char *aliases = join(json_object_get(version, "aliases"));
    AUTO_FREE char *size = member_size(version, "size");
    const json_t *yanked = json_object_get(version, "yanked");
    print_line("%-12s %s@%s", "version", model, number);
    if (json_is_object(yanked))
        print_member("yanked", yanked, "message");
    print_member("digest", version, "digest");
    print_line("%-12s %s", "aliases", aliases);
    print_member("created", version, "created_at");
    print_member("by", version, "created_by");
    print_member("description", version, "description");
    print_line("%-12s %s", "size", size);
    print_origins(version);
    print_pairs("params", json_object_get(version, "params"));
    print_pairs("metrics", json_object_get(version, "metrics"));
    print_pairs("tags", json_object_get(version, "tags"));
    size_t i;
    json_t *evaluation;
    json_array_foreach(json_object_get(version, "evaluations"), i, evaluation)
        print_pairs("evaluation", json_object_get(evaluation, "metrics"));
    print_files(version);
}

enum strata_status cmd_show(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_version_get(client, invocation->arguments[0], &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *version = json_loads(text, 0, NULL);
    print_version(version);
    return STRATA_OK;
}

enum strata_status cmd_rm(struct invocation *invocation, struct strata_error *e)
{
    const char *ref = invocation->arguments[0];
    if (strchr(ref, '@') == NULL)
        return fail_set(e, STRATA_USAGE, "name the version to delete, as %s@7", ref);
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_version_delete(client, ref, option_given(invocation, "force"),
                                       &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    AUTO_FREE char *model = member_text(json, "model");
    AUTO_FREE char *number = member_text(json, "version");
    AUTO_FREE char *until = member_text(json, "purge_at");
    AUTO_FREE char *bytes = member_size(json, "bytes");
    print_line("%s@%s is deleted; until %s it can be restored, then %s are freed",
               model, number, until, bytes);
    return STRATA_OK;
}

enum strata_status cmd_alias_set(struct invocation *invocation, struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_FREE char *text = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_alias_set(client, invocation->arguments[0],
                                  invocation->arguments[1], &text, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_json(text, e);
    AUTO_JSON json_t *json = json_loads(text, 0, NULL);
    AUTO_FREE char *number = member_text(json, "version");
    print_line("%s points to version %s", invocation->arguments[1], number);
    return STRATA_OK;
}

enum strata_status cmd_alias_rm(struct invocation *invocation, struct strata_error *e)
{
    const char *alias = invocation->arguments[1];
    CLEANUP(session_close) struct strata_client *client = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = strata_alias_delete(client, invocation->arguments[0], alias, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json")) {
        AUTO_JSON json_t *json = json_pack("{s:s, s:b}", "alias", alias, "removed", 1);
        return print_document(json, e);
    }
    print_line("%s is removed", alias);
    return STRATA_OK;
}

static enum strata_status history_page(struct strata_client *client,
                                       const void *context, const char *token,
                                       char **json, struct strata_error *e)
{
    char *const *words = context;
    return strata_alias_history(client, words[0], words[1], token, PAGE, json, e);
}

enum strata_status cmd_alias_history(struct invocation *invocation,
                                     struct strata_error *e)
{
    CLEANUP(session_close) struct strata_client *client = NULL;
    AUTO_JSON json_t *document = NULL;
    enum strata_status status = session_open(invocation, &client, e);
    if (status == STRATA_OK)
        status = session_list(client, history_page, invocation->arguments, "history",
                              &document, e);
    if (status != STRATA_OK)
        return status;
    if (option_given(invocation, "json"))
        return print_document(document, e);
    static const char *const titles[] = {"VERSION", "SET", "BY"};
    struct table table = {.columns = ARRAY_SIZE(titles)};
    table_add_titles(&table, titles);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(document, "history"), i, entry)
    {
        bool removal = json_is_null(json_object_get(entry, "version"));
        table_add(&table,
                  removal ? alloc_copy("removed") : member_text(entry, "version"));
        table_add(&table, member_text(entry, "set_at"));
        table_add(&table, member_text(entry, "set_by"));
    }
    table_print(&table);
    return STRATA_OK;
}
