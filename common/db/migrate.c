// SPDX-License-Identifier: Apache-2.0
#include "common/db/migrate.h"

#include <assert.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/db/tx.h"
#include "common/log.h"

// Any constant that no other program uses on this database.
#define LOCK_SQL "SELECT pg_advisory_xact_lock(7309940312850)"

struct step {
    const struct embedded_migration *migrations;
    size_t count;
    size_t next; // index of the migration to apply
    bool done;
};

static enum err make_table(struct db *db, struct error *e)
{
    return db_script(db,
                     "CREATE TABLE IF NOT EXISTS schema_migrations ("
                     " number integer PRIMARY KEY, name text NOT NULL,"
                     " sha256 bytea NOT NULL,"
                     " applied_at timestamptz NOT NULL DEFAULT now())",
                     e);
}

static enum err check_row(const struct step *step, const struct db_result *rows,
                          int row, struct error *e)
{
    int64_t number = db_int(rows, row, 0);
    if (number != row + 1 || (size_t)number > step->count)
        return error_set(e, ERR_CONFLICT,
                         "the database has migration %lld (%s), which this stratad "
                         "does not know: it is newer; run the newer stratad",
                         (long long)number, db_text(rows, row, 1));
    const struct embedded_migration *known = &step->migrations[row];
    struct digest expected, found;
    digest_of(known->sql, strlen(known->sql), &expected);
    if (!db_digest(rows, row, 2, &found) || !digest_equal(&expected, &found))
        return error_set(e, ERR_CONFLICT,
                         "migration %d (%s) was applied with another text: this "
                         "stratad does not belong to this database",
                         known->number, known->name);
    return ERR_NONE;
}

static enum err check_applied(struct db *db, struct step *step, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, "SELECT number, name, sha256 FROM schema_migrations ORDER BY number",
        DB_NO_PARAMS, &rows, e);
    if (err != ERR_NONE)
        return err;
    for (int row = 0; row < db_rows(rows) && err == ERR_NONE; row++)
        err = check_row(step, rows, row, e);
    step->next = (size_t)db_rows(rows);
    return err;
}

static enum err apply_next(struct db *db, void *context, struct error *e)
{
    struct step *step = context;
    enum err err = db_script(db, LOCK_SQL, e);
    if (err == ERR_NONE)
        err = make_table(db, e);
    if (err == ERR_NONE)
        err = check_applied(db, step, e);
    if (err != ERR_NONE)
        return err;
    step->done = step->next == step->count;
    if (step->done)
        return ERR_NONE;
    const struct embedded_migration *migration = &step->migrations[step->next];
    assert(migration->number == (int)step->next + 1);
    struct digest digest;
    digest_of(migration->sql, strlen(migration->sql), &digest);
    err = db_script(db, migration->sql, e);
    if (err != ERR_NONE)
        return err;
    return db_exec(db,
                   "INSERT INTO schema_migrations (number, name, sha256)"
                   " VALUES ($1, $2, $3)",
                   DB_PARAMS(DB_INT(migration->number), DB_TEXT(migration->name),
                             DB_DIGEST(&digest)),
                   NULL, e);
}

enum err db_migrate(struct db_pool *pool, const struct embedded_migration *migrations,
                    size_t count, int *applied, struct error *e)
{
    struct step step = {.migrations = migrations, .count = count};
    int done = 0;
    for (;;) {
        enum err err = db_tx_run(pool, apply_next, &step, e);
        if (err != ERR_NONE)
            return err;
        if (step.done)
            break;
        log_debug("applied migration", "name", migrations[step.next].name, NULL);
        done++;
    }
    if (applied != NULL)
        *applied = done;
    return ERR_NONE;
}
