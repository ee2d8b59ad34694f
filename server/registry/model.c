// SPDX-License-Identifier: Apache-2.0
#include "server/registry/model.h"

#include <inttypes.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/tx.h"
#include "server/registry/event.h"

#define COLUMNS                                                                        \
    "SELECT m.full_name, m.description, m.created_at, m.live_versions,"                \
    " (SELECT v.number FROM versions v WHERE v.model_id = m.id"                        \
    "  AND v.deleted_at IS NULL AND v.yanked_at IS NULL"                               \
    "  ORDER BY v.number DESC LIMIT 1) AS latest"                                      \
    " FROM models m WHERE m.deleted_at IS NULL"

static json_t *render(const struct db_result *rows, int row)
{
    char created[CLOCK_TEXT_SIZE];
    clock_format(db_time(rows, row, 2), created);
    const char *description = db_text(rows, row, 1);
    json_t *latest =
        db_is_null(rows, row, 4) ? json_null() : json_integer(db_int(rows, row, 4));
    return json_pack(
        "{s:s, s:o, s:s, s:o, s:I}", "model", db_text(rows, row, 0), "description",
        *description == '\0' ? json_null() : json_string(description), "created_at",
        created, "latest", latest, "versions", (json_int_t)db_int(rows, row, 3));
}

static enum err not_found(const char *model, struct error *e)
{
    return error_set(e, ERR_MODEL_NOT_FOUND, "there is no model %s", model);
}

static enum err read_one(struct db *db, const char *model, json_t **out,
                         struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, COLUMNS " AND m.full_name = $1",
                            DB_PARAMS(DB_TEXT(model)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return not_found(model, e);
    json_decref(*out);
    *out = render(rows, 0);
    return ERR_NONE;
}

enum err model_get(struct registry *registry, const char *model, json_t **out,
                   struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(registry_db(registry), &db, e);
    *out = NULL;
    return err != ERR_NONE ? err : read_one(db, model, out, e);
}

// A page ends early, before 8 MiB of descriptions.
static const char list_sql[] =
    "SELECT full_name, description, created_at, live_versions, latest, fetched FROM ("
    " SELECT page.*, count(*) OVER () AS fetched,"
    "  sum(octet_length(description)) OVER (ORDER BY full_name"
    "   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before FROM (" COLUMNS
    " AND m.full_name > $1 ORDER BY m.full_name LIMIT $2) page) sized"
    " WHERE coalesce(before, 0) < 8388608 ORDER BY full_name";

enum err model_list(struct registry *registry, const char *after, int64_t limit,
                    json_t *models, bool *more, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err =
            db_query(db, list_sql,
                     DB_PARAMS(DB_TEXT(after != NULL ? after : ""), DB_INT(limit + 1)),
                     &rows, e);
    if (err != ERR_NONE)
        return err;
    int row = 0;
    for (; row < db_rows(rows) && row < limit; row++)
        json_array_append_new(models, render(rows, row));
    *more = row > 0 && db_int(rows, 0, 5) > row;
    return ERR_NONE;
}

enum err model_find(struct db *db, const char *model, int64_t *id, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, "SELECT id FROM models WHERE full_name = $1 AND deleted_at IS NULL",
        DB_PARAMS(DB_TEXT(model)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return not_found(model, e);
    *id = db_int(rows, 0, 0);
    return ERR_NONE;
}

enum err model_lock(struct db *db, const char *model, int64_t *id, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db,
        "SELECT id FROM models WHERE full_name = $1 AND deleted_at IS NULL FOR UPDATE",
        DB_PARAMS(DB_TEXT(model)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return not_found(model, e);
    *id = db_int(rows, 0, 0);
    return ERR_NONE;
}

// *found: the row is there and locked.
static enum err lock_any_spelling(struct db *db, const char *model,
                                  struct model_row *row, bool *found, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db,
                            "SELECT id, full_name, deleted_at IS NOT NULL FROM models"
                            " WHERE lower(full_name) = lower($1 COLLATE \"C\")"
                            " FOR UPDATE",
                            DB_PARAMS(DB_TEXT(model)), &rows, e);
    if (err != ERR_NONE)
        return err;
    *found = db_rows(rows) > 0;
    if (!*found)
        return ERR_NONE;
    if (strcmp(db_text(rows, 0, 1), model) != 0)
        return error_set(e, ERR_CONFLICT, "the model is there as %s",
                         db_text(rows, 0, 1));
    *row = (struct model_row){.id = db_int(rows, 0, 0), .is_new = db_bool(rows, 0, 2)};
    return ERR_NONE;
}

static enum err ensure_namespace(struct db *db, const char *space, int64_t *id,
                                 struct error *e)
{
    enum err err =
        db_exec(db, "INSERT INTO namespaces (name) VALUES ($1) ON CONFLICT DO NOTHING",
                DB_PARAMS(DB_TEXT(space)), NULL, e);
    if (err != ERR_NONE)
        return err;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    err = db_query(db,
                   "SELECT id, name FROM namespaces"
                   " WHERE lower(name) = lower($1 COLLATE \"C\")",
                   DB_PARAMS(DB_TEXT(space)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_INTERNAL, "a namespace has gone");
    if (strcmp(db_text(rows, 0, 1), space) != 0)
        return error_set(e, ERR_CONFLICT, "the namespace is there as %s",
                         db_text(rows, 0, 1));
    *id = db_int(rows, 0, 0);
    return ERR_NONE;
}

static enum err insert(struct db *db, const struct actor *actor, const char *model,
                       bool *inserted, struct error *e)
{
    AUTO_FREE char *space = strndup(model, strcspn(model, "/"));
    int64_t space_id = 0;
    enum err err = ensure_namespace(db, space, &space_id, e);
    if (err != ERR_NONE)
        return err;
    int64_t rows = 0;
    err = db_exec(
        db,
        "INSERT INTO models (namespace_id, full_name, created_by)"
        " VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        DB_PARAMS(DB_INT(space_id), DB_TEXT(model), DB_INT(actor->principal_id)), &rows,
        e);
    *inserted = rows == 1;
    return err;
}

static enum err revive(struct db *db, int64_t id, struct error *e)
{
    return db_exec(db, "UPDATE models SET deleted_at = NULL WHERE id = $1",
                   DB_PARAMS(DB_INT(id)), NULL, e);
}

enum err model_ensure(struct db *db, const struct actor *actor, const char *model,
                      struct model_row *row, struct error *e)
{
    bool found = false, inserted = false;
    enum err err = lock_any_spelling(db, model, row, &found, e);
    if (err == ERR_NONE && !found) {
        err = insert(db, actor, model, &inserted, e);
        if (err == ERR_NONE)
            err = lock_any_spelling(db, model, row, &found, e);
        if (err == ERR_NONE && !found)
            err = error_set(e, ERR_INTERNAL, "a model has gone");
    }
    if (err == ERR_NONE && row->is_new)
        err = revive(db, row->id, e);
    if (err != ERR_NONE)
        return err;
    row->is_new = row->is_new || inserted;
    return row->is_new ? event_put(db, actor, "model.created", model, NULL, e)
                       : ERR_NONE;
}

struct edit {
    const struct actor *actor;
    const char *model;
    const char *description;
    json_t *answer;
};

static enum err set_description(struct db *db, int64_t id, const char *description,
                                struct error *e)
{
    return db_exec(db, "UPDATE models SET description = $2 WHERE id = $1",
                   DB_PARAMS(DB_INT(id), DB_TEXT(description)), NULL, e);
}

static enum err create_work(struct db *db, void *context, struct error *e)
{
    struct edit *edit = context;
    struct model_row row = {0};
    enum err err = model_ensure(db, edit->actor, edit->model, &row, e);
    if (err == ERR_CONFLICT)
        return e->code = ERR_MODEL_EXISTS;
    if (err != ERR_NONE)
        return err;
    if (!row.is_new)
        return error_set(e, ERR_MODEL_EXISTS, "model %s exists", edit->model);
    err = set_description(db, row.id, edit->description, e);
    return err != ERR_NONE ? err : read_one(db, edit->model, &edit->answer, e);
}

static enum err describe_work(struct db *db, void *context, struct error *e)
{
    struct edit *edit = context;
    int64_t id = 0;
    enum err err = model_lock(db, edit->model, &id, e);
    if (err == ERR_NONE)
        err = set_description(db, id, edit->description, e);
    if (err == ERR_NONE)
        err = event_put(db, edit->actor, "model.changed", edit->model, NULL, e);
    return err != ERR_NONE ? err : read_one(db, edit->model, &edit->answer, e);
}

static enum err run_edit(struct registry *registry, db_tx_fn work, struct edit *edit,
                         json_t **out, struct error *e)
{
    enum err err = db_tx_run(registry_db(registry), work, edit, e);
    *out = err == ERR_NONE ? json_incref(edit->answer) : NULL;
    json_decref(edit->answer);
    return err;
}

enum err model_create(struct registry *registry, const struct actor *actor,
                      const char *model, const char *description, json_t **out,
                      struct error *e)
{
    struct edit edit = {.actor = actor, .model = model, .description = description};
    return run_edit(registry, create_work, &edit, out, e);
}

enum err model_describe(struct registry *registry, const struct actor *actor,
                        const char *model, const char *description, json_t **out,
                        struct error *e)
{
    struct edit edit = {.actor = actor, .model = model, .description = description};
    return run_edit(registry, describe_work, &edit, out, e);
}

static enum err refuse_live(struct db *db, int64_t id, const char *model,
                            struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, "SELECT live_versions FROM models WHERE id = $1",
                            DB_PARAMS(DB_INT(id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    int64_t live = db_int(rows, 0, 0);
    if (live > 0)
        return error_set(e, ERR_MODEL_NOT_EMPTY, "%s has %" PRId64 " live version%s",
                         model, live, live == 1 ? "" : "s");
    return ERR_NONE;
}

static enum err delete_work(struct db *db, void *context, struct error *e)
{
    struct edit *edit = context;
    int64_t id = 0;
    enum err err = model_lock(db, edit->model, &id, e);
    if (err == ERR_NONE)
        err = refuse_live(db, id, edit->model, e);
    if (err == ERR_NONE)
        err = db_exec(db,
                      "UPDATE models SET deleted_at = clock_timestamp(),"
                      " description = '' WHERE id = $1",
                      DB_PARAMS(DB_INT(id)), NULL, e);
    return err != ERR_NONE
               ? err
               : event_put(db, edit->actor, "model.deleted", edit->model, NULL, e);
}

enum err model_delete(struct registry *registry, const struct actor *actor,
                      const char *model, struct error *e)
{
    // No version was live, so that no cache names one of the model.
    struct edit edit = {.actor = actor, .model = model};
    return db_tx_run(registry_db(registry), delete_work, &edit, e);
}
