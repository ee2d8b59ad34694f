// SPDX-License-Identifier: Apache-2.0
#include "server/registry/version.h"

#include <stdlib.h>

#include "common/cleanup.h"
#include "common/db/tx.h"
#include "common/json_text.h"
#include "server/registry/document.h"
#include "server/registry/event.h"

#define LOCK_ATTEMPTS 16

enum err version_lock(struct db *db, const char *model, const struct ref *selector,
                      enum resolve_deleted deleted, struct version_key *key,
                      struct error *e)
{
    // While this waits for the row, the version may be deleted or the alias moved: what
    // is found must be what is locked.
    int64_t locked = 0;
    for (int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
        enum err err = version_find(db, model, selector, deleted, key, e);
        if (err != ERR_NONE || key->id == locked)
            return err;
        err = db_exec(db, "SELECT id FROM versions WHERE id = $1 FOR NO KEY UPDATE",
                      DB_PARAMS(DB_INT(key->id)), NULL, e);
        if (err != ERR_NONE)
            return err;
        locked = key->id;
    }
    return error_set(e, ERR_CONFLICT, "the ref keeps moving, try again");
}

struct edit {
    struct registry *registry;
    const struct actor *actor;
    const char *model;
    const struct ref *selector;
    const struct version_patch *patch;
    const char *message;
    struct change change;
    char *text;
};

static enum err run_edit(struct edit *edit, db_tx_fn work, char **text, struct error *e)
{
    enum err err = change_settle(&edit->change, edit->registry,
                                 db_tx_run(registry_db(edit->registry), work, edit, e));
    *text = NULL;
    if (err == ERR_NONE)
        *text = steal_ptr(edit->text);
    free(edit->text);
    change_clear(&edit->change);
    return err;
}

static enum err merge_tags(struct db *db, int64_t id, const struct version_patch *patch,
                           struct error *e)
{
    size_t size = 0;
    AUTO_FREE char *tags =
        patch->tags != NULL ? json_text_dump(patch->tags, &size) : NULL;
    enum err err = db_exec(db,
                           "DELETE FROM version_tags WHERE version_id = $1 AND ($2"
                           " OR key IN (SELECT jsonb_object_keys($3::jsonb)))",
                           DB_PARAMS(DB_INT(id), DB_BOOL(patch->clear_tags),
                                     DB_TEXT(tags != NULL ? tags : "{}")),
                           NULL, e);
    if (err == ERR_NONE && tags != NULL)
        err = db_exec(db,
                      "INSERT INTO version_tags (version_id, key, value)"
                      " SELECT $1, key, value FROM jsonb_each_text($2::jsonb)"
                      " WHERE value IS NOT NULL",
                      DB_PARAMS(DB_INT(id), DB_TEXT(tags)), NULL, e);
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    if (err == ERR_NONE)
        err = db_query(db, "SELECT count(*) FROM version_tags WHERE version_id = $1",
                       DB_PARAMS(DB_INT(id)), &rows, e);
    if (err == ERR_NONE && db_int(rows, 0, 0) > TAGS_MAXIMUM)
        err = error_set_field(e, ERR_INVALID_FIELD, "tags",
                              "a version has at most %d tags", TAGS_MAXIMUM);
    return err;
}

static enum err patch_work(struct db *db, void *context, struct error *e)
{
    struct edit *edit = context;
    struct version_key key;
    change_begin(&edit->change, edit->model);
    enum err err = version_lock(db, edit->model, edit->selector, RESOLVE_LIVE, &key, e);
    if (err != ERR_NONE)
        return err;
    change_document(&edit->change, key.id);
    if (edit->patch->set_description)
        err = db_exec(db, "UPDATE versions SET description = $2 WHERE id = $1",
                      DB_PARAMS(DB_INT(key.id), DB_TEXT(edit->patch->description)),
                      NULL, e);
    if (err == ERR_NONE && (edit->patch->tags != NULL || edit->patch->clear_tags))
        err = merge_tags(db, key.id, edit->patch, e);
    if (err == ERR_NONE)
        err = event_put_version(db, edit->actor, "version.changed", edit->model,
                                key.number, NULL, e);
    return err != ERR_NONE ? err
                           : document_read(edit->registry, db, key.id, &edit->text, e);
}

enum err version_patch(struct registry *registry, const struct actor *actor,
                       const char *model, const struct ref *selector,
                       const struct version_patch *patch, char **text, struct error *e)
{
    struct edit edit = {.registry = registry,
                        .actor = actor,
                        .model = model,
                        .selector = selector,
                        .patch = patch};
    return run_edit(&edit, patch_work, text, e);
}

static enum err yank_work(struct db *db, void *context, struct error *e)
{
    struct edit *edit = context;
    struct version_key key;
    change_begin(&edit->change, edit->model);
    enum err err = version_lock(db, edit->model, edit->selector, RESOLVE_LIVE, &key, e);
    if (err != ERR_NONE)
        return err;
    change_version(&edit->change, &key);
    err = db_exec(db,
                  "UPDATE versions SET yanked_at = clock_timestamp(), yanked_by = $2,"
                  " yank_message = $3 WHERE id = $1",
                  DB_PARAMS(DB_INT(key.id), DB_INT(edit->actor->principal_id),
                            DB_TEXT(edit->message)),
                  NULL, e);
    if (err == ERR_NONE)
        err = event_put_version(db, edit->actor, "version.yanked", edit->model,
                                key.number,
                                json_pack("{s:s}", "message", edit->message), e);
    return err != ERR_NONE ? err
                           : document_read(edit->registry, db, key.id, &edit->text, e);
}

enum err version_yank(struct registry *registry, const struct actor *actor,
                      const char *model, const struct ref *selector,
                      const char *message, char **text, struct error *e)
{
    struct edit edit = {.registry = registry,
                        .actor = actor,
                        .model = model,
                        .selector = selector,
                        .message = message};
    return run_edit(&edit, yank_work, text, e);
}
