// SPDX-License-Identifier: Apache-2.0
#include "server/registry/deletion.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/tx.h"
#include "server/registry/alias.h"
#include "server/registry/document.h"
#include "server/registry/event.h"
#include "server/registry/model.h"
#include "server/registry/version.h"

struct deletion {
    struct registry *registry;
    const struct actor *actor;
    const char *model;
    const struct ref *selector;
    bool force;
    struct change change;
    json_t *answer;
    char *text;
};

// What hangs on a version; a sample of the children is enough to say why.
static const char reasons_sql[] =
    "SELECT 'alias', alias FROM aliases WHERE version_id = $1"
    " UNION ALL (SELECT 'pin', id::text FROM pins WHERE version_id = $1"
    "  AND (until IS NULL OR until > now()) LIMIT 100)"
    " UNION ALL (SELECT DISTINCT 'child', m.full_name || '@' || v.number"
    "  FROM parents p JOIN versions v ON v.id = p.version_id"
    "  JOIN models m ON m.id = v.model_id"
    "  WHERE p.parent_version_id = $1 AND v.deleted_at IS NULL LIMIT 100)"
    " ORDER BY 1, 2";

static enum err refuse_use(struct db *db, const struct deletion *deletion,
                           const struct version_key *key, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, reasons_sql, DB_PARAMS(DB_INT(key->id)), &rows, e);
    if (err != ERR_NONE || db_rows(rows) == 0)
        return err;
    json_t *reasons = json_array();
    for (int row = 0; row < db_rows(rows); row++)
        json_array_append_new(reasons,
                              json_pack("{s:s, s:s}", "kind", db_text(rows, row, 0),
                                        "name", db_text(rows, row, 1)));
    err = error_set(e, ERR_VERSION_IN_USE,
                    "aliases, pins or children hang on %s@%" PRId64
                    "; force deletes it all the same",
                    deletion->model, key->number);
    error_add(e, "reasons", reasons);
    return err;
}

// $2: seconds until the purge. One time for both, after the version was locked.
static const char delete_sql[] =
    "UPDATE versions SET deleted_at = statement_timestamp(), deleted_by = $3,"
    " purge_at = statement_timestamp() + make_interval(secs => $2::double precision)"
    " WHERE id = $1 RETURNING deleted_at, purge_at,"
    " (SELECT coalesce(sum(own.size), 0)::bigint FROM ("
    "   SELECT DISTINCT f.sha256, f.size FROM version_files f WHERE f.version_id = $1"
    "   AND NOT EXISTS (SELECT 1 FROM version_files o JOIN versions v"
    "    ON v.id = o.version_id WHERE o.sha256 = f.sha256 AND o.version_id <> $1"
    "    AND v.deleted_at IS NULL)) own)";

static enum err mark_deleted(struct db *db, struct deletion *deletion,
                             const struct version_key *key, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, delete_sql,
        DB_PARAMS(DB_INT(key->id), DB_INT(registry_purge_after_s(deletion->registry)),
                  DB_INT(deletion->actor->principal_id)),
        &rows, e);
    if (err != ERR_NONE)
        return err;
    char deleted_at[CLOCK_TEXT_SIZE], purge_at[CLOCK_TEXT_SIZE], hex[DIGEST_HEX_SIZE];
    clock_format(db_time(rows, 0, 0), deleted_at);
    clock_format(db_time(rows, 0, 1), purge_at);
    digest_format(&key->digest, hex);
    json_decref(deletion->answer);
    deletion->answer = json_pack(
        "{s:s, s:I, s:o, s:s, s:s, s:I}", "model", deletion->model, "version",
        (json_int_t)key->number, "digest", json_sprintf("sha256:%s", hex), "deleted_at",
        deleted_at, "purge_at", purge_at, "bytes", (json_int_t)db_int(rows, 0, 2));
    return ERR_NONE;
}

static enum err count_live(struct db *db, int64_t model_id, int64_t by, struct error *e)
{
    return db_exec(db,
                   "UPDATE models SET live_versions = live_versions + $2 WHERE id = $1",
                   DB_PARAMS(DB_INT(model_id), DB_INT(by)), NULL, e);
}

static enum err remove_pins(struct db *db, const struct version_key *key,
                            struct error *e)
{
    return db_exec(db, "DELETE FROM pins WHERE version_id = $1",
                   DB_PARAMS(DB_INT(key->id)), NULL, e);
}

static enum err delete_work(struct db *db, void *context, struct error *e)
{
    struct deletion *deletion = context;
    struct version_key key;
    int64_t model_id = 0;
    change_begin(&deletion->change, deletion->model);
    enum err err = model_lock(db, deletion->model, &model_id, e);
    if (err == ERR_NONE)
        err = version_lock(db, deletion->model, deletion->selector, RESOLVE_LIVE, &key,
                           e);
    if (err == ERR_NONE && !deletion->force)
        err = refuse_use(db, deletion, &key, e);
    if (err != ERR_NONE)
        return err;
    change_version(&deletion->change, &key);
    err = aliases_remove_all(db, deletion->actor, deletion->model, &key,
                             &deletion->change, e);
    if (err == ERR_NONE)
        err = remove_pins(db, &key, e);
    if (err == ERR_NONE)
        err = mark_deleted(db, deletion, &key, e);
    if (err == ERR_NONE)
        err = count_live(db, model_id, -1, e);
    return err != ERR_NONE ? err
                           : event_put_version(db, deletion->actor, "version.deleted",
                                               deletion->model, key.number, NULL, e);
}

enum err version_delete(struct registry *registry, const struct actor *actor,
                        const char *model, const struct ref *selector, bool force,
                        json_t **out, struct error *e)
{
    struct deletion deletion = {.registry = registry,
                                .actor = actor,
                                .model = model,
                                .selector = selector,
                                .force = force};
    enum err err =
        change_settle(&deletion.change, registry,
                      db_tx_run(registry_db(registry), delete_work, &deletion, e));
    *out = err == ERR_NONE ? json_incref(deletion.answer) : NULL;
    json_decref(deletion.answer);
    change_clear(&deletion.change);
    return err;
}

static enum err check_deleted(struct db *db, const char *model,
                              const struct version_key *key, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db,
                            "SELECT deleted_at IS NOT NULL, purged_at IS NOT NULL"
                            " FROM versions WHERE id = $1",
                            DB_PARAMS(DB_INT(key->id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (!db_bool(rows, 0, 0))
        return error_set(e, ERR_VERSION_NOT_DELETED, "%s@%" PRId64 " is live", model,
                         key->number);
    if (db_bool(rows, 0, 1))
        return error_set(e, ERR_CONFLICT, "%s@%" PRId64 " has been purged", model,
                         key->number);
    return ERR_NONE;
}

static enum err restore_work(struct db *db, void *context, struct error *e)
{
    struct deletion *deletion = context;
    struct version_key key;
    int64_t model_id = 0;
    change_begin(&deletion->change, deletion->model);
    enum err err = model_lock(db, deletion->model, &model_id, e);
    if (err == ERR_NONE)
        err = version_lock(db, deletion->model, deletion->selector, RESOLVE_DELETED_TOO,
                           &key, e);
    if (err == ERR_NONE)
        err = check_deleted(db, deletion->model, &key, e);
    if (err != ERR_NONE)
        return err;
    change_version(&deletion->change, &key);
    err = db_exec(db,
                  "UPDATE versions SET deleted_at = NULL, deleted_by = NULL,"
                  " purge_at = NULL WHERE id = $1",
                  DB_PARAMS(DB_INT(key.id)), NULL, e);
    if (err == ERR_NONE)
        err = count_live(db, model_id, 1, e);
    if (err == ERR_NONE)
        err = event_put_version(db, deletion->actor, "version.restored",
                                deletion->model, key.number, NULL, e);
    return err != ERR_NONE
               ? err
               : document_read(deletion->registry, db, key.id, &deletion->text, e);
}

enum err version_restore(struct registry *registry, const struct actor *actor,
                         const char *model, const struct ref *selector, char **text,
                         struct error *e)
{
    struct deletion deletion = {
        .registry = registry, .actor = actor, .model = model, .selector = selector};
    enum err err =
        change_settle(&deletion.change, registry,
                      db_tx_run(registry_db(registry), restore_work, &deletion, e));
    *text = NULL;
    if (err == ERR_NONE)
        *text = steal_ptr(deletion.text);
    free(deletion.text);
    change_clear(&deletion.change);
    return err;
}
