// SPDX-License-Identifier: Apache-2.0
#include "server/registry/alias.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/registry/event.h"
#include "server/registry/model.h"

#define COLUMNS                                                                        \
    "SELECT h.alias, v.number, v.digest, h.set_at, p.name, h.id, h.version_id"
#define HISTORY_JOINS                                                                  \
    " JOIN principals p ON p.id = h.set_by LEFT JOIN versions v ON v.id = "            \
    "h.version_id"
#define FROM_HISTORY " FROM alias_history h" HISTORY_JOINS
#define FROM_ALIASES                                                                   \
    " FROM aliases a JOIN alias_history h ON h.id = a.history_id" HISTORY_JOINS

static void fill(struct alias *alias, const struct db_result *rows, int row)
{
    *alias = (struct alias){.version = db_int(rows, row, 1),
                            .set_at_us = db_time(rows, row, 3),
                            .sequence = db_int(rows, row, 5)};
    snprintf(alias->name, sizeof alias->name, "%s", db_text(rows, row, 0));
    snprintf(alias->set_by, sizeof alias->set_by, "%s", db_text(rows, row, 4));
    (void)db_digest(rows, row, 2, &alias->digest); // null where it was removed
}

void alias_etag(const struct alias *alias, char text[ALIAS_ETAG_SIZE])
{
    snprintf(text, ALIAS_ETAG_SIZE, "\"%" PRId64 "-%" PRId64 "\"", alias->version,
             alias->sequence);
}

static enum err not_found(const char *model, const char *name, struct error *e)
{
    return error_set(e, ERR_ALIAS_NOT_FOUND, "%s has no alias %s", model, name);
}

static const char now_sql[] =
    COLUMNS FROM_ALIASES " WHERE a.model_id = $1 AND a.alias = $2";
static const char at_sql[] =
    COLUMNS FROM_HISTORY " WHERE h.model_id = $1 AND h.alias = $2 AND h.set_at <= $3"
                         " ORDER BY h.id DESC LIMIT 1";

// *version_id is 0 where there is none.
static enum err read_now(struct db *db, int64_t model_id, const char *name,
                         struct alias *alias, int64_t *version_id, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, now_sql, DB_PARAMS(DB_INT(model_id), DB_TEXT(name)), &rows, e);
    *version_id = 0;
    if (err != ERR_NONE || db_rows(rows) == 0)
        return err;
    fill(alias, rows, 0);
    *version_id = db_int(rows, 0, 6);
    return ERR_NONE;
}

static enum err read_at(struct db *db, int64_t model_id, const char *name,
                        int64_t at_us, struct alias *alias, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, at_sql, DB_PARAMS(DB_INT(model_id), DB_TEXT(name), DB_TIME(at_us)),
                 &rows, e);
    *alias = (struct alias){0};
    if (err == ERR_NONE && db_rows(rows) > 0)
        fill(alias, rows, 0);
    return err;
}

enum err alias_get(struct registry *registry, const char *model, const char *name,
                   const int64_t *at_us, struct alias *alias, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    int64_t model_id = 0, version_id = 0;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err = model_find(db, model, &model_id, e);
    *alias = (struct alias){0};
    if (err == ERR_NONE && at_us != NULL)
        err = read_at(db, model_id, name, *at_us, alias, e);
    else if (err == ERR_NONE)
        err = read_now(db, model_id, name, alias, &version_id, e);
    if (err == ERR_NONE && alias->version == 0)
        err = not_found(model, name, e);
    return err;
}

// History is in order of time within an alias, whatever the clock does.
static const char history_sql[] =
    "INSERT INTO alias_history (model_id, alias, version_id, set_at, set_by, token_id)"
    " SELECT $1, $2, $3, greatest(clock_timestamp(), (SELECT h.set_at"
    "  FROM alias_history h WHERE h.model_id = $1 AND h.alias = $2"
    "  ORDER BY h.id DESC LIMIT 1)), $4, $5 RETURNING id";

static enum err put_history(struct db *db, const struct actor *actor, int64_t model_id,
                            const char *name, int64_t version_id, int64_t *id,
                            struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, history_sql,
                 DB_PARAMS(DB_INT(model_id), DB_TEXT(name),
                           version_id != 0 ? DB_INT(version_id) : DB_NULL,
                           DB_INT(actor->principal_id), DB_TEXT(actor->token_id)),
                 &rows, e);
    if (err == ERR_NONE)
        *id = db_int(rows, 0, 0);
    return err;
}

static json_t *payload(const char *name, int64_t version, int64_t previous)
{
    return json_pack("{s:s, s:o, s:o}", "alias", name, "version",
                     version != 0 ? json_integer(version) : json_null(), "previous",
                     previous != 0 ? json_integer(previous) : json_null());
}

enum err alias_point(struct db *db, const struct actor *actor, const char *model,
                     const char *name, const struct version_key *key,
                     struct change *change, struct error *e)
{
    struct alias before = {0};
    int64_t previous_id = 0, history_id = 0;
    enum err err = read_now(db, key->model_id, name, &before, &previous_id, e);
    if (err != ERR_NONE || previous_id == key->id)
        return err;
    change_alias(change, name);
    change_document(change, key->id);
    if (previous_id != 0)
        change_document(change, previous_id);
    err = put_history(db, actor, key->model_id, name, key->id, &history_id, e);
    if (err == ERR_NONE)
        err = db_exec(db,
                      "INSERT INTO aliases (model_id, alias, version_id, history_id)"
                      " VALUES ($1, $2, $3, $4) ON CONFLICT (model_id, alias)"
                      " DO UPDATE SET version_id = $3, history_id = $4",
                      DB_PARAMS(DB_INT(key->model_id), DB_TEXT(name), DB_INT(key->id),
                                DB_INT(history_id)),
                      NULL, e);
    return err != ERR_NONE ? err
                           : event_put(db, actor, "alias.set", model,
                                       payload(name, key->number, before.version), e);
}

static enum err drop_one(struct db *db, const struct actor *actor, const char *model,
                         int64_t model_id, const char *name, int64_t version,
                         struct error *e)
{
    int64_t history_id = 0;
    enum err err = put_history(db, actor, model_id, name, 0, &history_id, e);
    if (err == ERR_NONE)
        err = db_exec(db, "DELETE FROM aliases WHERE model_id = $1 AND alias = $2",
                      DB_PARAMS(DB_INT(model_id), DB_TEXT(name)), NULL, e);
    return err != ERR_NONE ? err
                           : event_put(db, actor, "alias.removed", model,
                                       payload(name, 0, version), e);
}

enum err aliases_remove_all(struct db *db, const struct actor *actor, const char *model,
                            const struct version_key *key, struct change *change,
                            struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, "SELECT alias FROM aliases WHERE version_id = $1 ORDER BY alias",
                 DB_PARAMS(DB_INT(key->id)), &rows, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++) {
        change_alias(change, db_text(rows, row, 0));
        err = drop_one(db, actor, model, key->model_id, db_text(rows, row, 0),
                       key->number, e);
    }
    return err;
}

struct move {
    struct registry *registry;
    const struct actor *actor;
    const char *model;
    const char *name;
    int64_t version; // 0 = remove
    const struct alias_condition *condition;
    struct change change;
    struct alias alias;
    bool created;
};

static enum err check(const struct move *move, const struct alias *now, bool exists,
                      struct error *e)
{
    char etag[ALIAS_ETAG_SIZE];
    alias_etag(now, etag);
    if (move->condition->holds(move->condition->context, exists ? etag : NULL))
        return ERR_NONE;
    if (!exists)
        return error_set(e, ERR_PRECONDITION_FAILED, "the alias does not exist");
    return error_set(e, ERR_PRECONDITION_FAILED, "the alias is at %s", etag);
}

static enum err find_target(struct db *db, const struct move *move,
                            struct version_key *key, struct error *e)
{
    struct ref selector = {.kind = REF_NUMBER, .number = move->version};
    enum err err = version_find(db, move->model, &selector, RESOLVE_LIVE, key, e);
    if (err == ERR_VERSION_NOT_FOUND || err == ERR_VERSION_DELETED)
        return error_set_field(e, ERR_INVALID_FIELD, "version",
                               "%s has no live version %" PRId64, move->model,
                               move->version);
    return err;
}

static enum err move_work(struct db *db, void *context, struct error *e)
{
    struct move *move = context;
    struct version_key key;
    struct alias before = {0};
    int64_t model_id = 0, version_id = 0;
    change_begin(&move->change, move->model);
    enum err err = model_lock(db, move->model, &model_id, e);
    if (err == ERR_NONE)
        err = read_now(db, model_id, move->name, &before, &version_id, e);
    if (err == ERR_NONE)
        err = check(move, &before, version_id != 0, e);
    if (err == ERR_NONE)
        err = find_target(db, move, &key, e);
    if (err == ERR_NONE)
        err = alias_point(db, move->actor, move->model, move->name, &key, &move->change,
                          e);
    move->created = version_id == 0;
    return err != ERR_NONE
               ? err
               : read_now(db, model_id, move->name, &move->alias, &version_id, e);
}

static enum err remove_work(struct db *db, void *context, struct error *e)
{
    struct move *move = context;
    struct alias before = {0};
    int64_t model_id = 0, version_id = 0;
    change_begin(&move->change, move->model);
    enum err err = model_lock(db, move->model, &model_id, e);
    if (err == ERR_NONE)
        err = read_now(db, model_id, move->name, &before, &version_id, e);
    if (err == ERR_NONE && version_id == 0)
        err = not_found(move->model, move->name, e);
    if (err == ERR_NONE)
        err = check(move, &before, true, e);
    if (err != ERR_NONE)
        return err;
    change_alias(&move->change, move->name);
    change_document(&move->change, version_id);
    return drop_one(db, move->actor, move->model, model_id, move->name, before.version,
                    e);
}

static enum err run_move(struct move *move, db_tx_fn work, struct error *e)
{
    enum err err = change_settle(&move->change, move->registry,
                                 db_tx_run(registry_db(move->registry), work, move, e));
    change_clear(&move->change);
    return err;
}

enum err alias_set(struct registry *registry, const struct actor *actor,
                   const char *model, const char *name, int64_t version,
                   const struct alias_condition *condition, struct alias *alias,
                   bool *created, struct error *e)
{
    struct move move = {.registry = registry,
                        .actor = actor,
                        .model = model,
                        .name = name,
                        .version = version,
                        .condition = condition};
    enum err err = run_move(&move, move_work, e);
    *alias = move.alias;
    *created = move.created;
    return err;
}

enum err alias_remove(struct registry *registry, const struct actor *actor,
                      const char *model, const char *name,
                      const struct alias_condition *condition, struct error *e)
{
    struct move move = {.registry = registry,
                        .actor = actor,
                        .model = model,
                        .name = name,
                        .condition = condition};
    return run_move(&move, remove_work, e);
}

static void fill_all(const struct db_result *rows, struct alias **aliases,
                     size_t *count)
{
    *count = (size_t)db_rows(rows);
    *aliases = alloc_array(*count + 1, sizeof **aliases);
    for (size_t i = 0; i < *count; i++)
        fill(&(*aliases)[i], rows, (int)i);
}

enum err alias_list(struct registry *registry, const char *model, const char *after,
                    int64_t limit, struct alias **aliases, size_t *count,
                    struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    int64_t model_id = 0;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err = model_find(db, model, &model_id, e);
    if (err == ERR_NONE)
        err = db_query(db,
                       COLUMNS FROM_ALIASES " WHERE a.model_id = $1 AND a.alias > $2"
                                            " ORDER BY a.alias LIMIT $3",
                       DB_PARAMS(DB_INT(model_id), DB_TEXT(after != NULL ? after : ""),
                                 DB_INT(limit + 1)),
                       &rows, e);
    if (err == ERR_NONE)
        fill_all(rows, aliases, count);
    return err;
}

enum err alias_history(struct registry *registry, const char *model, const char *name,
                       int64_t before, int64_t limit, struct alias **entries,
                       size_t *count, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    int64_t model_id = 0;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err = model_find(db, model, &model_id, e);
    if (err == ERR_NONE)
        err =
            db_query(db,
                     COLUMNS FROM_HISTORY " WHERE h.model_id = $1 AND h.alias = $2"
                                          " AND h.id < $3 ORDER BY h.id DESC LIMIT $4",
                     DB_PARAMS(DB_INT(model_id), DB_TEXT(name), DB_INT(before),
                               DB_INT(limit + 1)),
                     &rows, e);
    if (err == ERR_NONE && db_rows(rows) == 0 && before == INT64_MAX)
        err = not_found(model, name, e);
    if (err == ERR_NONE)
        fill_all(rows, entries, count);
    return err;
}
