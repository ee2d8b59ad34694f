// SPDX-License-Identifier: Apache-2.0
#include "server/registry/purge.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "common/db/tx.h"
#include "storage/event.h"

#define DUE                                                                            \
    " FROM versions v WHERE v.deleted_at IS NOT NULL AND v.purged_at IS NULL"          \
    " AND v.purge_at <= now()"

struct purging {
    int64_t id; // of the version; 0: nothing is due
};

// Another node, or somebody who restores it, may hold its row: the next one then.
static enum err take(struct db *db, struct purging *p, char subject[MODEL_SIZE + 24],
                     struct error *e)
{
    static const char sql[] =
        "SELECT v.id, v.number, (SELECT m.full_name FROM models m"
        " WHERE m.id = v.model_id)" DUE
        " ORDER BY v.purge_at LIMIT 1 FOR UPDATE OF v SKIP LOCKED";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    p->id = err == ERR_NONE && db_rows(rows) == 1 ? db_int(rows, 0, 0) : 0;
    if (p->id != 0)
        snprintf(subject, MODEL_SIZE + 24, "%s@%" PRId64, db_text(rows, 0, 2),
                 db_int(rows, 0, 1));
    return err;
}

static enum err remove_rows(struct db *db, int64_t id, struct error *e)
{
    static const char *const statements[] = {
        "INSERT INTO gc_candidates (sha256) SELECT DISTINCT sha256 FROM version_files"
        " WHERE version_id = $1 ON CONFLICT DO NOTHING",
        "DELETE FROM version_files WHERE version_id = $1",
        "DELETE FROM version_tags WHERE version_id = $1",
        "DELETE FROM version_metrics WHERE version_id = $1",
        "DELETE FROM evaluation_metrics WHERE evaluation_id IN"
        " (SELECT id FROM evaluations WHERE version_id = $1)",
        "DELETE FROM evaluations WHERE version_id = $1",
        "DELETE FROM pins WHERE version_id = $1",
        "UPDATE versions SET manifest = NULL, params = '{}', description = '',"
        " purged_at = now() WHERE id = $1",
    };
    enum err err = ERR_NONE;
    for (size_t i = 0; i < ARRAY_SIZE(statements) && err == ERR_NONE; i++)
        err = db_exec(db, statements[i], DB_PARAMS(DB_INT(id)), NULL, e);
    return err;
}

static enum err purge(struct db *db, void *context, struct error *e)
{
    struct purging *p = context;
    char subject[MODEL_SIZE + 24];
    enum err err = take(db, p, subject, e);
    if (err == ERR_NONE && p->id != 0)
        err = remove_rows(db, p->id, e);
    if (err == ERR_NONE && p->id != 0)
        err = storage_event_put(db, "version.purged", subject, NULL, e);
    return err;
}

enum err purge_run(struct registry *registry, const atomic_bool *cancel,
                   int64_t *purged, struct error *e)
{
    struct purging purging = {.id = 1};
    enum err err = ERR_NONE;
    while (err == ERR_NONE && purging.id != 0 &&
           (cancel == NULL || !atomic_load(cancel))) {
        err = db_tx_run(registry_db(registry), purge, &purging, e);
        if (err != ERR_NONE || purging.id == 0)
            break;
        registry_cache_drop(registry, CACHE_CONTENTS, &purging.id, sizeof purging.id);
        registry_cache_drop(registry, CACHE_DOCUMENTS, &purging.id, sizeof purging.id);
        ++*purged;
    }
    return err;
}

enum err purge_due(struct registry *registry, int64_t *due, struct error *e)
{
    static const char sql[] = "SELECT count(*)" DUE;
    CLEANUP(db_release_at) struct db *db = NULL;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err = db_query(db, sql, DB_NO_PARAMS, &rows, e);
    *due = err == ERR_NONE ? db_int(rows, 0, 0) : 0;
    return err;
}
