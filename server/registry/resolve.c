// SPDX-License-Identifier: Apache-2.0
#include "server/registry/resolve.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"

#define COLUMNS                                                                        \
    "SELECT m.id, v.id, v.number, v.digest, v.deleted_at IS NOT NULL FROM models m "
#define OF_MODEL " WHERE m.full_name = $1 AND m.deleted_at IS NULL"

static const char by_number_sql[] =
    COLUMNS "LEFT JOIN versions v ON v.model_id = m.id AND v.number = $2" OF_MODEL;
static const char by_digest_sql[] =
    COLUMNS "LEFT JOIN versions v ON v.model_id = m.id AND v.digest = $2" OF_MODEL;
static const char by_alias_sql[] =
    COLUMNS "LEFT JOIN aliases a ON a.model_id = m.id AND a.alias = $2"
            " LEFT JOIN versions v ON v.id = a.version_id" OF_MODEL;
static const char latest_sql[] =
    COLUMNS "LEFT JOIN LATERAL ("
            "  SELECT * FROM versions l WHERE l.model_id = m.id"
            "  AND l.deleted_at IS NULL AND l.yanked_at IS NULL"
            "  ORDER BY l.number DESC LIMIT 1) v ON true" OF_MODEL;

static enum err query(struct db *db, const char *model, const struct ref *selector,
                      struct db_result **rows, struct error *e)
{
    struct db_param name = DB_TEXT(model);
    switch (selector->kind) {
    case REF_NUMBER:
        return db_query(db, by_number_sql, DB_PARAMS(name, DB_INT(selector->number)),
                        rows, e);
    case REF_DIGEST:
        return db_query(db, by_digest_sql,
                        DB_PARAMS(name, DB_DIGEST(&selector->digest)), rows, e);
    case REF_ALIAS:
        return db_query(db, by_alias_sql, DB_PARAMS(name, DB_TEXT(selector->alias)),
                        rows, e);
    case REF_LATEST:
        break;
    }
    return db_query(db, latest_sql, DB_PARAMS(name), rows, e);
}

static enum err not_found(const char *model, const struct ref *selector,
                          struct error *e)
{
    switch (selector->kind) {
    case REF_NUMBER:
        return error_set(e, ERR_VERSION_NOT_FOUND, "%s has no version %" PRId64, model,
                         selector->number);
    case REF_DIGEST:
        return error_set(e, ERR_VERSION_NOT_FOUND, "%s has no version of this digest",
                         model);
    case REF_ALIAS:
        return error_set(e, ERR_ALIAS_NOT_FOUND, "%s has no alias %s", model,
                         selector->alias);
    case REF_LATEST:
        break;
    }
    return error_set(e, ERR_VERSION_NOT_FOUND,
                     "%s has no version that is neither deleted nor yanked", model);
}

enum err version_find(struct db *db, const char *model, const struct ref *selector,
                      enum resolve_deleted deleted, struct version_key *key,
                      struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = query(db, model, selector, &rows, e);
    if (err != ERR_NONE)
        return err;
    if (db_rows(rows) == 0)
        return error_set(e, ERR_MODEL_NOT_FOUND, "there is no model %s", model);
    if (db_is_null(rows, 0, 1))
        return not_found(model, selector, e);
    *key = (struct version_key){.model_id = db_int(rows, 0, 0),
                                .id = db_int(rows, 0, 1),
                                .number = db_int(rows, 0, 2)};
    if (!db_digest(rows, 0, 3, &key->digest))
        return error_set(e, ERR_INTERNAL, "a version without a digest");
    if (db_bool(rows, 0, 4) && deleted == RESOLVE_LIVE)
        return error_set(e, ERR_VERSION_DELETED, "%s@%" PRId64 " is deleted", model,
                         key->number);
    return ERR_NONE;
}

void selector_format(const char *model, const struct ref *selector,
                     char text[SELECTOR_SIZE])
{
    char hex[DIGEST_HEX_SIZE];
    switch (selector->kind) {
    case REF_NUMBER:
        snprintf(text, SELECTOR_SIZE, "%s@%" PRId64, model, selector->number);
        return;
    case REF_DIGEST:
        digest_format(&selector->digest, hex);
        snprintf(text, SELECTOR_SIZE, "%s@sha256:%s", model, hex);
        return;
    case REF_ALIAS:
        snprintf(text, SELECTOR_SIZE, "%s@%s", model, selector->alias);
        return;
    case REF_LATEST:
        break;
    }
    snprintf(text, SELECTOR_SIZE, "%s@latest", model);
}

enum err version_resolve(struct registry *registry, const char *model,
                         const struct ref *selector, struct version_key *key,
                         struct error *e)
{
    char text[SELECTOR_SIZE];
    selector_format(model, selector, text);
    CLEANUP(cache_release_at)
    struct cache_entry *entry =
        registry_cache_get(registry, CACHE_REFS, text, strlen(text));
    if (entry != NULL) {
        *key = *(struct version_key *)cache_value(entry);
        return ERR_NONE;
    }
    uint64_t generation = registry_cache_generation(registry, CACHE_REFS);
    CLEANUP(db_release_at) struct db *db = NULL;
    enum err err = db_acquire(registry_db(registry), &db, e);
    if (err == ERR_NONE)
        err = version_find(db, model, selector, RESOLVE_LIVE, key, e);
    if (err != ERR_NONE)
        return err;
    struct version_key *kept = alloc_zero(sizeof *kept);
    *kept = *key;
    entry = registry_cache_put(registry, CACHE_REFS, text, strlen(text), kept,
                               sizeof *kept, generation);
    return ERR_NONE;
}
