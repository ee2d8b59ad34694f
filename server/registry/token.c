// SPDX-License-Identifier: Apache-2.0
#include "server/registry/token.h"

#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "server/registry/event.h"

#define COLUMNS                                                                        \
    "t.id, t.principal_id, p.name, p.kind, t.role, t.secret_sha256, t.description,"    \
    " t.created_at, t.expires_at, t.revoked_at"
#define FROM " FROM tokens t JOIN principals p ON p.id = t.principal_id"

// How long a transaction that revokes may take before other nodes miss it.
#define OVERLAP_US 60000000

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

static enum err read_row(const struct db_result *rows, int row, struct token *token,
                         struct error *e)
{
    *token = (struct token){.principal_id = db_int(rows, row, 1)};
    copy_text(token->id, sizeof token->id, db_text(rows, row, 0));
    copy_text(token->principal, sizeof token->principal, db_text(rows, row, 2));
    copy_text(token->kind, sizeof token->kind, db_text(rows, row, 3));
    copy_text(token->role, sizeof token->role, db_text(rows, row, 4));
    copy_text(token->description, sizeof token->description, db_text(rows, row, 6));
    token->created_us = db_time(rows, row, 7);
    token->expires_us = db_is_null(rows, row, 8) ? 0 : db_time(rows, row, 8);
    token->revoked_us = db_is_null(rows, row, 9) ? 0 : db_time(rows, row, 9);
    if (!db_digest(rows, row, 5, &token->secret))
        return error_set(e, ERR_INTERNAL, "token %s has no digest", token->id);
    return ERR_NONE;
}

static enum err query(struct db_pool *pool, const char *sql,
                      const struct db_param *params, size_t count,
                      struct db_result **rows, struct error *e)
{
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(pool, &db, e);
    if (err != ERR_NONE)
        return err;
    return db_query(db, sql, params, count, rows, e);
}

enum err token_find(struct db_pool *pool, const char *id, struct token *token,
                    struct error *e)
{
    static const char sql[] = "SELECT " COLUMNS FROM " WHERE t.id = $1";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = query(pool, sql, DB_PARAMS(DB_TEXT(id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_TOKEN_NOT_FOUND, "there is no token %.32s", id);
    return read_row(rows, 0, token, e);
}

// ---- insert ---------------------------------------------------------------------

struct insertion {
    struct token *token;
    const struct actor *actor; // NULL: the first administrator's, nobody's doing
};

static enum err tell(struct db *db, const struct actor *actor, const char *kind,
                     const char *id, json_t *payload, struct error *e)
{
    char subject[48];
    snprintf(subject, sizeof subject, "token:%.32s", id);
    return event_put(db, actor, kind, subject, payload, e);
}

static enum err insert_principal(struct db *db, const struct token *token,
                                 struct error *e)
{
    static const char sql[] = "INSERT INTO principals (name, kind) VALUES ($1, $2)"
                              " ON CONFLICT (name) DO NOTHING";
    return db_exec(db, sql, DB_PARAMS(DB_TEXT(token->principal), DB_TEXT(token->kind)),
                   NULL, e);
}

static enum err insert_token(struct db *db, const struct insertion *insertion,
                             struct error *e)
{
    static const char sql[] =
        "WITH t AS ("
        " INSERT INTO tokens (id, principal_id, role, secret_sha256, description,"
        "  expires_at, created_by, bootstrap)"
        " SELECT $1, p.id, $3, $4, $5, $6, $7, $8 FROM principals p WHERE p.name = $2"
        " RETURNING *) "
        "SELECT " COLUMNS " FROM t JOIN principals p ON p.id = t.principal_id";
    struct token *token = insertion->token;
    const struct actor *actor = insertion->actor;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, sql,
        DB_PARAMS(DB_TEXT(token->id), DB_TEXT(token->principal), DB_TEXT(token->role),
                  DB_DIGEST(&token->secret), DB_TEXT(token->description),
                  token->expires_us != 0 ? DB_TIME(token->expires_us) : DB_NULL,
                  actor != NULL ? DB_INT(actor->principal_id) : DB_NULL,
                  DB_BOOL(actor == NULL)),
        &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) != 1)
        return error_set(e, ERR_INTERNAL, "the principal has gone");
    return read_row(rows, 0, token, e);
}

static enum err insert(struct db *db, void *context, struct error *e)
{
    const struct insertion *insertion = context;
    const struct token *token = insertion->token;
    enum err err = insert_principal(db, token, e);
    if (err == ERR_NONE)
        err = insert_token(db, insertion, e);
    if (err != ERR_NONE)
        return err;
    const struct actor own = {token->principal_id, token->principal, token->id, NULL};
    return tell(db, insertion->actor != NULL ? insertion->actor : &own, "token.created",
                token->id,
                json_pack("{s:s, s:s}", "principal", token->principal, "role",
                          token->role),
                e);
}

enum err token_insert(struct db_pool *pool, struct token *token,
                      const struct actor *actor, struct error *e)
{
    struct insertion insertion = {.token = token, .actor = actor};
    return db_tx_run(pool, insert, &insertion, e);
}

static enum err replace_bootstrap(struct db *db, void *context, struct error *e)
{
    static const char sql[] = "UPDATE tokens SET revoked_at = now()"
                              " WHERE bootstrap AND revoked_at IS NULL";
    enum err err = db_exec(db, sql, DB_NO_PARAMS, NULL, e);
    if (err != ERR_NONE)
        return err;
    return insert(db, context, e);
}

enum err token_bootstrap_replace(struct db_pool *pool, struct token *token,
                                 struct error *e)
{
    struct insertion insertion = {.token = token};
    return db_tx_run(pool, replace_bootstrap, &insertion, e);
}

enum err token_bootstrap_exists(struct db_pool *pool, bool *exists, struct error *e)
{
    static const char sql[] = "SELECT EXISTS (SELECT FROM tokens WHERE bootstrap)";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = query(pool, sql, DB_NO_PARAMS, &rows, e);
    if (err == ERR_NONE)
        *exists = db_bool(rows, 0, 0);
    return err;
}

// ---- list and revoke ----------------------------------------------------------------

enum err token_list(struct db_pool *pool, int64_t principal_id, const char *after,
                    int64_t limit, struct token **tokens, size_t *count,
                    struct error *e)
{
    static const char all[] =
        "SELECT " COLUMNS FROM " WHERE t.id > $1 ORDER BY t.id LIMIT $2";
    static const char own[] = "SELECT " COLUMNS FROM " WHERE t.id > $1"
                              " AND t.principal_id = $3 ORDER BY t.id LIMIT $2";
    const struct db_param params[] = {DB_TEXT(after != NULL ? after : ""),
                                      DB_INT(limit), DB_INT(principal_id)};
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = principal_id == 0 ? query(pool, all, params, 2, &rows, e)
                                     : query(pool, own, params, 3, &rows, e);
    if (err != ERR_NONE)
        return err;
    size_t found = (size_t)db_rows(rows);
    AUTO_FREE struct token *list = alloc_array(found, sizeof *list);
    for (size_t i = 0; i < found && err == ERR_NONE; i++)
        err = read_row(rows, (int)i, &list[i], e);
    if (err != ERR_NONE)
        return err;
    *tokens = steal_ptr(list);
    *count = found;
    return ERR_NONE;
}

struct revocation {
    const char *id;
    int64_t principal_id;
    const struct actor *actor;
};

static enum err revoke_one(struct db *db, void *context, struct error *e)
{
    static const char find[] = "SELECT revoked_at IS NULL FROM tokens WHERE id = $1"
                               " AND ($2::bigint = 0 OR principal_id = $2) FOR UPDATE";
    static const char set[] = "UPDATE tokens SET revoked_at = now() WHERE id = $1";
    const struct revocation *r = context;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db, find, DB_PARAMS(DB_TEXT(r->id), DB_INT(r->principal_id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_TOKEN_NOT_FOUND, "there is no token %.32s", r->id);
    if (!db_bool(rows, 0, 0))
        return ERR_NONE;
    err = db_exec(db, set, DB_PARAMS(DB_TEXT(r->id)), NULL, e);
    return err != ERR_NONE ? err : tell(db, r->actor, "token.revoked", r->id, NULL, e);
}

enum err token_revoke(struct db_pool *pool, const char *id, int64_t principal_id,
                      const struct actor *actor, struct error *e)
{
    struct revocation revocation = {id, principal_id, actor};
    return db_tx_run(pool, revoke_one, &revocation, e);
}

enum err token_revoked_since(struct db_pool *pool, int64_t *since_us,
                             void (*revoked)(const char *id, void *context),
                             void *context, struct error *e)
{
    static const char now_sql[] = "SELECT now()";
    static const char sql[] =
        "SELECT now(), id FROM (SELECT) one LEFT JOIN tokens ON revoked_at >= $1";
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = *since_us == 0
                       ? query(pool, now_sql, DB_NO_PARAMS, &rows, e)
                       : query(pool, sql, DB_PARAMS(DB_TIME(*since_us)), &rows, e);
    if (err != ERR_NONE)
        return err;
    for (int row = 0; *since_us != 0 && row < db_rows(rows); row++) {
        if (!db_is_null(rows, row, 1))
            revoked(db_text(rows, row, 1), context);
    }
    *since_us = db_time(rows, 0, 0) - OVERLAP_US;
    return ERR_NONE;
}
