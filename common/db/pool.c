// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/connection.h"

#define CONNECT_TIMEOUT_S "5"

// ISO dates in UTC and hex bytea are what db_time and db_bytes read.
#define SESSION_OPTIONS                                                                \
    "-c synchronous_commit=on -c timezone=UTC -c datestyle=ISO -c bytea_output=hex "   \
    "-c default_transaction_isolation=read\\ committed -c client_min_messages=warning"

struct db_pool *db_pool_new(const struct db_options *options)
{
    struct db_pool *pool = alloc_zero(sizeof *pool);
    pool->options = *options;
    pool->url = alloc_copy(options->url);
    pool->options.url = pool->url;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&pool->released, &attributes);
    pthread_condattr_destroy(&attributes);
    return pool;
}

static void connection_free(struct db *db)
{
    if (db == NULL)
        return;
    PQfinish(db->connection);
    free(db);
}

void db_pool_free(struct db_pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->in_use == 0);
    while (pool->idle != NULL) {
        struct db *db = pool->idle;
        pool->idle = db->next;
        connection_free(db);
    }
    pthread_cond_destroy(&pool->released);
    pthread_mutex_destroy(&pool->lock);
    free(pool->url);
    free(pool);
}

unsigned db_pool_in_use(struct db_pool *pool)
{
    LOCK_SCOPE(&pool->lock);
    return pool->in_use;
}

static void note_failure(struct db_pool *pool, const char *message)
{
    LOCK_SCOPE(&pool->lock);
    snprintf(pool->failure, sizeof pool->failure, "%.*s", (int)strcspn(message, "\n"),
             message);
}

void db_pool_failure(struct db_pool *pool, char text[DB_FAILURE_SIZE])
{
    LOCK_SCOPE(&pool->lock);
    memcpy(text, pool->failure, DB_FAILURE_SIZE);
}

static enum err connect_new(struct db_pool *pool, struct db **out, struct error *e)
{
    static const char *const keys[] = {"dbname",           "connect_timeout", "options",
                                       "application_name", "client_encoding", NULL};
    const char *const values[] = {
        pool->url, CONNECT_TIMEOUT_S, SESSION_OPTIONS, "stratad", "UTF8", NULL};
    struct db *db = alloc_zero(sizeof *db);
    db->pool = pool;
    db->connection = PQconnectdbParams(keys, values, 1);
    if (PQstatus(db->connection) != CONNECTION_OK ||
        PQsetnonblocking(db->connection, 1) != 0) {
        note_failure(pool, PQerrorMessage(db->connection));
        connection_free(db);
        return error_set(e, ERR_UNAVAILABLE, "PostgreSQL cannot be reached");
    }
    *out = db;
    return ERR_NONE;
}

// A server that went away has closed the socket or left a last message in it; the close
// may come after the message. A connection at rest has nothing else to say that is
// worth keeping it for: a change of parameters costs it once.
static bool is_alive(struct db *db)
{
    struct pollfd p = {.fd = PQsocket(db->connection), .events = POLLIN};
    return p.fd >= 0 && PQstatus(db->connection) == CONNECTION_OK &&
           poll(&p, 1, 0) == 0;
}

// Takes an idle connection, or the right to open one (*db stays NULL).
static enum err take_slot(struct db_pool *pool, struct db **db, struct error *e)
{
    struct timespec until =
        clock_deadline(clock_monotonic_ms() + pool->options.acquire_timeout_ms);
    LOCK_SCOPE(&pool->lock);
    while (pool->idle == NULL && pool->open >= pool->options.connections) {
        if (pthread_cond_timedwait(&pool->released, &pool->lock, &until) != 0)
            return error_set(e, ERR_UNAVAILABLE,
                             "all %u database connections stay busy",
                             pool->options.connections);
    }
    *db = pool->idle;
    if (*db != NULL)
        pool->idle = (*db)->next;
    else
        pool->open++;
    pool->in_use++;
    return ERR_NONE;
}

static void give_up_slot(struct db_pool *pool)
{
    LOCK_SCOPE(&pool->lock);
    pool->open--;
    pool->in_use--;
    pthread_cond_signal(&pool->released);
}

enum err db_acquire(struct db_pool *pool, struct db **out, struct error *e)
{
    struct db *db = NULL;
    enum err err = take_slot(pool, &db, e);
    if (err != ERR_NONE)
        return err;
    if (db != NULL && !is_alive(db)) {
        connection_free(db);
        db = NULL;
    }
    if (db == NULL)
        err = connect_new(pool, &db, e);
    if (err != ERR_NONE) {
        give_up_slot(pool);
        return err;
    }
    *out = db;
    return ERR_NONE;
}

void db_release(struct db *db)
{
    if (db == NULL)
        return;
    struct db_pool *pool = db->pool;
    bool idle = !db->broken && PQstatus(db->connection) == CONNECTION_OK &&
                PQtransactionStatus(db->connection) == PQTRANS_IDLE;
    if (!idle) {
        connection_free(db);
        give_up_slot(pool);
        return;
    }
    LOCK_SCOPE(&pool->lock);
    db->next = pool->idle;
    pool->idle = db;
    pool->in_use--;
    pthread_cond_signal(&pool->released);
}
