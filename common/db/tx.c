// SPDX-License-Identifier: Apache-2.0
#include "common/db/tx.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/connection.h"

#define TX_ATTEMPTS 8
#define TX_BACKOFF_MAXIMUM_US 20000

static void back_off(int attempt)
{
    long limit = 500L << attempt;
    if (limit > TX_BACKOFF_MAXIMUM_US)
        limit = TX_BACKOFF_MAXIMUM_US;
    long us = clock_monotonic_us() % limit;
    struct timespec pause = {.tv_nsec = us * 1000};
    nanosleep(&pause, NULL);
}

// Either the answer is COMMIT, or a definite failure, or nobody knows.
static enum err commit(struct db *db, struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + db->pool->options.statement_timeout_ms;
    PGresult *rows = NULL;
    if (PQsendQuery(db->connection, "COMMIT") == 1)
        rows = db_await(db, deadline_ms);
    enum err err = ERR_NONE;
    if (rows == NULL || PQstatus(db->connection) != CONNECTION_OK) {
        db->broken = true;
        err = error_set(e, ERR_OUTCOME_UNKNOWN,
                        "the answer to COMMIT was lost; repeat the request");
    } else if (PQresultStatus(rows) != PGRES_COMMAND_OK) {
        err = db_fail(db, rows, e);
    } else if (strcmp(PQcmdStatus(rows), "COMMIT") != 0) {
        err = error_set(e, ERR_INTERNAL, "the transaction had failed before COMMIT");
    }
    PQclear(rows);
    return err;
}

static void roll_back(struct db *db)
{
    if (!db->broken && db_script(db, "ROLLBACK", NULL) != ERR_NONE)
        db->broken = true;
}

static enum err attempt_once(struct db *db, db_tx_fn work, void *context,
                             struct error *e)
{
    db->sqlstate[0] = '\0';
    enum err err = db_script(db, "BEGIN", e);
    if (err != ERR_NONE)
        return err;
    err = work(db, context, e);
    if (err == ERR_NONE)
        return commit(db, e);
    // ROLLBACK would overwrite the state that says whether to try again.
    char sqlstate[sizeof db->sqlstate];
    memcpy(sqlstate, db->sqlstate, sizeof sqlstate);
    roll_back(db);
    memcpy(db->sqlstate, sqlstate, sizeof sqlstate);
    return err;
}

enum err db_tx_run(struct db_pool *pool, db_tx_fn work, void *context, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(pool, &db, e);
    for (int attempt = 0; err == ERR_NONE; attempt++) {
        err = attempt_once(db, work, context, e);
        if (err == ERR_NONE || db->broken || !db_is_retryable(db) ||
            attempt + 1 == TX_ATTEMPTS)
            return err;
        error_clear(e);
        err = ERR_NONE;
        back_off(attempt);
    }
    return err;
}
