// SPDX-License-Identifier: Apache-2.0
// Inside of common/db: what pool, statements and transactions share.
#pragma once

#include <libpq-fe.h>
#include <pthread.h>

#include "common/db/db.h"

#define DB_STATEMENTS 512 // a power of two, well above the number of SQL texts

struct db {
    struct db *next; // in the pool's idle list
    struct db_pool *pool;
    PGconn *connection;
    bool broken; // must be closed: its state is not known
    char sqlstate[6];
    char violated[64];
    const char *statements[DB_STATEMENTS]; // prepared texts, hashed by address
    unsigned statements_count;
};

struct db_pool {
    pthread_mutex_t lock;
    pthread_cond_t released;
    struct db_options options;
    char *url;
    struct db *idle;
    unsigned open; // idle and in use, connecting ones included
    unsigned in_use;
    char failure[DB_FAILURE_SIZE]; // one line
};

struct db_result {
    PGresult *rows;
};

// Waits for the answer to what was sent until `deadline_ms`; the last result, or NULL
// (then db->broken is set).
PGresult *db_await(struct db *db, int64_t deadline_ms);
// Waits until the socket is readable (and writable when asked); false at the deadline.
bool db_wait_socket(struct db *db, bool write, int64_t deadline_ms);
// SQLSTATE -> enum err, in one place. Takes no ownership.
enum err db_fail(struct db *db, const PGresult *rows, struct error *e);
bool db_is_retryable(const struct db *db); // serialization failure or deadlock
