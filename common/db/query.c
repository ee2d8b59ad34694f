// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/connection.h"

#define PARAMS_MAXIMUM 32
#define NUMBER_TEXT_SIZE 48

static void result_clear(PGresult **rows)
{
    PQclear(*rows);
}

bool db_wait_socket(struct db *db, bool write, int64_t deadline_ms)
{
    struct pollfd p = {.fd = PQsocket(db->connection),
                       .events = (short)(write ? POLLIN | POLLOUT : POLLIN)};
    for (;;) {
        int64_t left = deadline_ms - clock_monotonic_ms();
        if (left <= 0 || p.fd < 0)
            return false;
        int ready = poll(&p, 1, (int)(left > 60000 ? 60000 : left));
        if (ready > 0)
            return true;
    }
}

static bool flush(struct db *db, int64_t deadline_ms)
{
    for (;;) {
        int pending = PQflush(db->connection);
        if (pending <= 0)
            return pending == 0;
        if (!db_wait_socket(db, true, deadline_ms) ||
            PQconsumeInput(db->connection) != 1)
            return false;
    }
}

PGresult *db_await(struct db *db, int64_t deadline_ms)
{
    PGresult *last = NULL;
    bool fine = flush(db, deadline_ms);
    while (fine) {
        if (PQisBusy(db->connection)) {
            fine = db_wait_socket(db, false, deadline_ms) &&
                   PQconsumeInput(db->connection) == 1;
            continue;
        }
        PGresult *next = PQgetResult(db->connection);
        if (next == NULL)
            return last;
        // A failed statement of a script ends it: keep the failure.
        PQclear(last);
        last = next;
    }
    db->broken = true;
    PQclear(last);
    return NULL;
}

static enum err code_of(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        enum err err;
    } table[] = {
        {"23", ERR_CONFLICT},       // integrity constraint violation
        {"08", ERR_UNAVAILABLE},    // connection exception
        {"57P", ERR_UNAVAILABLE},   // shutdown, crash, cannot connect now
        {"57014", ERR_UNAVAILABLE}, // cancelled: statement_timeout
        {"55P03", ERR_UNAVAILABLE}, // lock_timeout
        {"53100", ERR_INSUFFICIENT_STORAGE},
        {"53", ERR_UNAVAILABLE},    // insufficient resources
        {"25006", ERR_UNAVAILABLE}, // read only: a standby
        {"40", ERR_UNAVAILABLE},    // retried often enough already
    };
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        if (strncmp(sqlstate, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].err;
    }
    return ERR_INTERNAL;
}

static void remember(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from != NULL ? from : "");
}

enum err db_fail(struct db *db, const PGresult *rows, struct error *e)
{
    remember(db->sqlstate, sizeof db->sqlstate, "");
    remember(db->violated, sizeof db->violated, "");
    if (rows == NULL || PQstatus(db->connection) != CONNECTION_OK) {
        db->broken = true;
        return error_set(e, ERR_UNAVAILABLE, "the connection to PostgreSQL was lost");
    }
    remember(db->sqlstate, sizeof db->sqlstate,
             PQresultErrorField(rows, PG_DIAG_SQLSTATE));
    remember(db->violated, sizeof db->violated,
             PQresultErrorField(rows, PG_DIAG_CONSTRAINT_NAME));
    const char *message = PQresultErrorField(rows, PG_DIAG_MESSAGE_PRIMARY);
    return error_set(e, code_of(db->sqlstate), "PostgreSQL %s: %s", db->sqlstate,
                     message != NULL ? message : "no message");
}

bool db_is_retryable(const struct db *db)
{
    return strcmp(db->sqlstate, "40001") == 0 || strcmp(db->sqlstate, "40P01") == 0;
}

const char *db_violated(const struct db *db)
{
    return db->violated;
}

struct wire_params {
    const char *values[PARAMS_MAXIMUM];
    int lengths[PARAMS_MAXIMUM];
    int formats[PARAMS_MAXIMUM];
    char numbers[PARAMS_MAXIMUM][NUMBER_TEXT_SIZE];
};

static const char *double_text(char *text, double value)
{
    if (isnan(value))
        return "NaN";
    if (isinf(value))
        return value > 0 ? "Infinity" : "-Infinity";
    snprintf(text, NUMBER_TEXT_SIZE, "%.17g", value);
    return text;
}

static void encode_one(struct wire_params *wire, size_t i, const struct db_param *p)
{
    char *text = wire->numbers[i];
    wire->values[i] = text;
    switch (p->type) {
    case DB_TYPE_NULL:
        wire->values[i] = NULL;
        break;
    case DB_TYPE_TEXT:
        wire->values[i] = p->text;
        break;
    case DB_TYPE_INT:
        snprintf(text, NUMBER_TEXT_SIZE, "%" PRId64, p->integer);
        break;
    case DB_TYPE_DOUBLE:
        wire->values[i] = double_text(text, p->real);
        break;
    case DB_TYPE_BOOL:
        wire->values[i] = p->boolean ? "true" : "false";
        break;
    case DB_TYPE_BYTES:
        wire->values[i] =
            p->bytes.size > 0 || p->bytes.data == NULL ? p->bytes.data : "";
        wire->lengths[i] = (int)p->bytes.size;
        wire->formats[i] = 1;
        break;
    case DB_TYPE_TIME:
        clock_format(p->integer, text);
        break;
    }
}

// The slot of a statement's text; its index is the prepared statement's name.
static unsigned statement_slot(const struct db *db, const char *sql)
{
    unsigned slot = (unsigned)(((uintptr_t)sql * 0x9e3779b97f4a7c15u) >> 40);
    for (slot &= DB_STATEMENTS - 1; db->statements[slot] != NULL;
         slot = (slot + 1) & (DB_STATEMENTS - 1)) {
        if (db->statements[slot] == sql)
            break;
    }
    return slot;
}

static enum err prepare(struct db *db, const char *sql, const char *name, unsigned slot,
                        int64_t deadline_ms, struct error *e)
{
    assert(db->statements_count < DB_STATEMENTS / 2);
    CLEANUP(result_clear) PGresult *rows = NULL;
    if (PQsendPrepare(db->connection, name, sql, 0, NULL) == 1)
        rows = db_await(db, deadline_ms);
    if (PQresultStatus(rows) != PGRES_COMMAND_OK)
        return db_fail(db, rows, e);
    db->statements[slot] = sql;
    db->statements_count++;
    return ERR_NONE;
}

static enum err run(struct db *db, const char *sql, const struct db_param *params,
                    size_t count, PGresult **out, struct error *e)
{
    assert(count <= PARAMS_MAXIMUM);
    int64_t deadline_ms = clock_monotonic_ms() + db->pool->options.statement_timeout_ms;
    unsigned slot = statement_slot(db, sql);
    char name[16];
    snprintf(name, sizeof name, "s%u", slot);
    if (db->statements[slot] == NULL) {
        enum err err = prepare(db, sql, name, slot, deadline_ms, e);
        if (err != ERR_NONE)
            return err;
    }
    struct wire_params wire;
    memset(wire.lengths, 0, sizeof wire.lengths);
    memset(wire.formats, 0, sizeof wire.formats);
    for (size_t i = 0; i < count; i++)
        encode_one(&wire, i, &params[i]);
    CLEANUP(result_clear) PGresult *rows = NULL;
    if (PQsendQueryPrepared(db->connection, name, (int)count, wire.values, wire.lengths,
                            wire.formats, 0) == 1)
        rows = db_await(db, deadline_ms);
    ExecStatusType status = PQresultStatus(rows);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        return db_fail(db, rows, e);
    *out = steal_ptr(rows);
    return ERR_NONE;
}

enum err db_query(struct db *db, const char *sql, const struct db_param *params,
                  size_t count, struct db_result **result, struct error *e)
{
    CLEANUP(result_clear) PGresult *rows = NULL;
    enum err err = run(db, sql, params, count, &rows, e);
    if (err != ERR_NONE || result == NULL)
        return err;
    db_result_free(*result);
    *result = alloc_zero(sizeof **result);
    (*result)->rows = steal_ptr(rows);
    return ERR_NONE;
}

enum err db_exec(struct db *db, const char *sql, const struct db_param *params,
                 size_t count, int64_t *touched, struct error *e)
{
    CLEANUP(result_clear) PGresult *rows = NULL;
    enum err err = run(db, sql, params, count, &rows, e);
    if (err == ERR_NONE && touched != NULL)
        *touched = strtoll(PQcmdTuples(rows), NULL, 10);
    return err;
}

enum err db_script(struct db *db, const char *sql, struct error *e)
{
    int64_t deadline_ms = clock_monotonic_ms() + db->pool->options.statement_timeout_ms;
    CLEANUP(result_clear) PGresult *rows = NULL;
    if (PQsendQuery(db->connection, sql) == 1)
        rows = db_await(db, deadline_ms);
    ExecStatusType status = PQresultStatus(rows);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        return db_fail(db, rows, e);
    return ERR_NONE;
}
