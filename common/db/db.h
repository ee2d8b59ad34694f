// SPDX-License-Identifier: Apache-2.0
// PostgreSQL: a bounded pool of connections, typed parameters, one transaction runner.
// The only folder that knows libpq. SQL is static text that stands beside its caller;
// each connection prepares a text once, by its address.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/digest.h"
#include "common/error.h"

struct db_pool;   // any thread
struct db;        // one connection, held by one thread at a time
struct db_result; // rows of one statement, owned by the caller

struct db_options {
    const char *url;           // libpq connection string or URI
    unsigned connections;      // at most this many at once
    int acquire_timeout_ms;    // then ERR_UNAVAILABLE
    int statement_timeout_ms;  // a server that answers later counts as away
};

// Opens no connection yet. The strings are copied.
struct db_pool *db_pool_new(const struct db_options *options);
void db_pool_free(struct db_pool *pool); // all connections must have been released
unsigned db_pool_in_use(struct db_pool *pool);
// Why the last connection could not be made, for logs: it names hosts and users, which
// no answer to a client may. "" when none has failed.
#define DB_FAILURE_SIZE 512
void db_pool_failure(struct db_pool *pool, char text[DB_FAILURE_SIZE]);

// ERR_UNAVAILABLE when PostgreSQL cannot be reached or every connection stays busy.
enum err db_acquire(struct db_pool *pool, struct db **db, struct error *e) MUST_CHECK;
void db_release(struct db *db); // a broken connection is closed, NULL is allowed
static inline void db_release_at(struct db **db)
{
    db_release(*db);
}

enum db_type {
    DB_TYPE_NULL,
    DB_TYPE_TEXT, // any type whose text form is given (uuid, jsonb with a cast …)
    DB_TYPE_INT,
    DB_TYPE_DOUBLE,
    DB_TYPE_BOOL,
    DB_TYPE_BYTES,
    DB_TYPE_TIME, // microseconds since 1970, for timestamptz
};

struct db_param {
    enum db_type type;
    union {
        const char *text;
        int64_t integer;
        double real;
        bool boolean;
        struct {
            const void *data;
            size_t size;
        } bytes;
    };
};

// DB_TEXT(NULL) and DB_BYTES(NULL, 0) are SQL null. What they point to must outlive the
// call.
#define DB_NULL ((struct db_param){.type = DB_TYPE_NULL})
#define DB_TEXT(t) ((struct db_param){.type = DB_TYPE_TEXT, .text = (t)})
#define DB_INT(i) ((struct db_param){.type = DB_TYPE_INT, .integer = (i)})
#define DB_DOUBLE(d) ((struct db_param){.type = DB_TYPE_DOUBLE, .real = (d)})
#define DB_BOOL(b) ((struct db_param){.type = DB_TYPE_BOOL, .boolean = (b)})
#define DB_TIME(us) ((struct db_param){.type = DB_TYPE_TIME, .integer = (us)})
#define DB_BYTES(p, n) ((struct db_param){.type = DB_TYPE_BYTES, .bytes = {(p), (n)}})
#define DB_DIGEST(d) DB_BYTES((d)->bytes, DIGEST_SIZE)
#define DB_PARAMS(...)                                                                 \
    (const struct db_param[]){__VA_ARGS__},                                            \
        sizeof((const struct db_param[]){__VA_ARGS__}) / sizeof(struct db_param)
#define DB_NO_PARAMS NULL, 0

// Runs one statement; `sql` must be static text (it is prepared under its address).
// *result may be NULL when the rows are not wanted. Errors: ERR_UNAVAILABLE (away, too
// slow), ERR_INSUFFICIENT_STORAGE, ERR_CONFLICT (unique or foreign key; ask
// db_violated), ERR_INTERNAL.
enum err db_query(struct db *db, const char *sql, const struct db_param *params,
                  size_t count, struct db_result **result, struct error *e) MUST_CHECK;
// As db_query, and says how many rows were touched (may be NULL).
enum err db_exec(struct db *db, const char *sql, const struct db_param *params,
                 size_t count, int64_t *rows, struct error *e) MUST_CHECK;
// Several statements without parameters, separated by semicolons (migrations).
enum err db_script(struct db *db, const char *sql, struct error *e) MUST_CHECK;
// Name of the constraint that the last statement violated, or "".
const char *db_violated(const struct db *db);

void db_result_free(struct db_result *result);
static inline void db_result_free_at(struct db_result **result)
{
    db_result_free(*result);
}
int db_rows(const struct db_result *result);
bool db_is_null(const struct db_result *result, int row, int column);
const char *db_text(const struct db_result *result, int row, int column); // "" for null
int64_t db_int(const struct db_result *result, int row, int column);      // 0 for null
double db_double(const struct db_result *result, int row, int column);
bool db_bool(const struct db_result *result, int row, int column);
int64_t db_time(const struct db_result *result, int row, int column); // microseconds
// False when null or of another size.
bool db_digest(const struct db_result *result, int row, int column,
               struct digest *digest);
// Decoded bytea, to be freed; NULL for null.
void *db_bytes(const struct db_result *result, int row, int column, size_t *size);
