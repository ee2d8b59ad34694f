// SPDX-License-Identifier: Apache-2.0
#include "server/registry/origin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/alloc.h"
#include "common/buf.h"
#include "common/cleanup.h"
#include "common/json_text.h"

// One row per inside parent that is found, whether deleted or not.
static const char find_parents_sql[] =
    "SELECT p.position, v.id"
    " FROM jsonb_to_recordset($1::jsonb) AS p(position bigint, model text,"
    "  number bigint, alias text, digest text, latest boolean)"
    " JOIN models m ON m.full_name = p.model AND m.deleted_at IS NULL"
    " JOIN LATERAL ("
    "  SELECT n.id FROM versions n"
    "   WHERE p.number IS NOT NULL AND n.model_id = m.id AND n.number = p.number"
    "  UNION ALL SELECT a.version_id FROM aliases a"
    "   WHERE p.alias IS NOT NULL AND a.model_id = m.id AND a.alias = p.alias"
    "  UNION ALL SELECT d.id FROM versions d WHERE p.digest IS NOT NULL"
    "   AND d.model_id = m.id AND d.digest = decode(p.digest, 'hex')"
    "  UNION ALL (SELECT l.id FROM versions l WHERE p.latest AND l.model_id = m.id"
    "   AND l.deleted_at IS NULL AND l.yanked_at IS NULL"
    "   ORDER BY l.number DESC LIMIT 1)) v ON true";

// Deletion waits for this lock and then sees the child, or came first.
static const char lock_parents_sql[] =
    "SELECT v.id, m.full_name, v.model_id, v.number, v.digest FROM versions v"
    " JOIN models m ON m.id = v.model_id"
    " WHERE v.id = ANY($1::bigint[]) AND v.deleted_at IS NULL"
    " ORDER BY v.id FOR SHARE OF v";

static json_t *lookup_of(const struct origin_parent *parent, size_t position)
{
    json_t *lookup =
        json_pack("{s:I, s:o, s:b}", "position", (json_int_t)position, "model",
                  json_sprintf("%s/%s", parent->ref.space, parent->ref.name), "latest",
                  parent->ref.kind == REF_LATEST);
    char hex[DIGEST_HEX_SIZE];
    if (parent->ref.kind == REF_NUMBER)
        json_object_set_new(lookup, "number", json_integer(parent->ref.number));
    if (parent->ref.kind == REF_ALIAS)
        json_object_set_new(lookup, "alias", json_string(parent->ref.alias));
    if (parent->ref.kind == REF_DIGEST) {
        digest_format(&parent->ref.digest, hex);
        json_object_set_new(lookup, "digest", json_string(hex));
    }
    return lookup;
}

static enum err find_parents(struct db *db, struct origins *origins, struct error *e)
{
    AUTO_JSON json_t *lookups = json_array();
    for (size_t i = 0; i < origins->parents_count; i++) {
        origins->parents[i].key = (struct version_key){0};
        if (origins->parents[i].uri == NULL)
            json_array_append_new(lookups, lookup_of(&origins->parents[i], i));
    }
    if (json_array_size(lookups) == 0)
        return ERR_NONE;
    size_t size = 0;
    AUTO_FREE char *text = json_text_dump(lookups, &size);
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(db, find_parents_sql, DB_PARAMS(DB_TEXT(text)), &rows, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++)
        origins->parents[db_int(rows, row, 0)].key.id = db_int(rows, row, 1);
    return err;
}

static void fill_parents(struct origins *origins, const struct db_result *rows, int row)
{
    for (size_t i = 0; i < origins->parents_count; i++) {
        struct origin_parent *parent = &origins->parents[i];
        if (parent->uri != NULL || parent->key.id != db_int(rows, row, 0))
            continue;
        snprintf(parent->model, sizeof parent->model, "%s", db_text(rows, row, 1));
        parent->key.model_id = db_int(rows, row, 2);
        parent->key.number = db_int(rows, row, 3);
        (void)db_digest(rows, row, 4, &parent->key.digest);
    }
}

static enum err lock_parents(struct db *db, struct origins *origins, struct error *e)
{
    CLEANUP(buf_clear) struct buf ids = {0};
    for (size_t i = 0; i < origins->parents_count; i++) {
        if (origins->parents[i].key.id != 0)
            buf_printf(&ids, "%c%" PRId64, ids.size == 0 ? '{' : ',',
                       origins->parents[i].key.id);
    }
    if (ids.size == 0)
        return ERR_NONE;
    buf_putc(&ids, '}');
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, lock_parents_sql, DB_PARAMS(DB_TEXT(buf_text(&ids))), &rows, e);
    for (int row = 0; err == ERR_NONE && row < db_rows(rows); row++)
        fill_parents(origins, rows, row);
    return err;
}

enum err origins_resolve(struct db *db, struct origins *origins, struct error *e)
{
    enum err err = find_parents(db, origins, e);
    if (err == ERR_NONE)
        err = lock_parents(db, origins, e);
    for (size_t i = 0; err == ERR_NONE && i < origins->parents_count; i++) {
        char field[40];
        snprintf(field, sizeof field, "parents[%zu].ref", i);
        if (origins->parents[i].uri == NULL && origins->parents[i].key.number == 0)
            err = error_set_field(e, ERR_PARENT_NOT_FOUND, field,
                                  "there is no such live version");
    }
    return err;
}

static enum err insert_parents(struct db *db, int64_t version_id,
                               const struct origins *origins, struct error *e)
{
    AUTO_JSON json_t *edges = json_array();
    for (size_t i = 0; i < origins->parents_count; i++) {
        const struct origin_parent *parent = &origins->parents[i];
        json_t *edge = json_pack("{s:I, s:s, s:s*}", "position", (json_int_t)i,
                                 "relation", parent->relation, "uri", parent->uri);
        if (parent->uri == NULL)
            json_object_set_new(edge, "id", json_integer(parent->key.id));
        json_array_append_new(edges, edge);
    }
    if (json_array_size(edges) == 0)
        return ERR_NONE;
    size_t size = 0;
    AUTO_FREE char *text = json_text_dump(edges, &size);
    return db_exec(db,
                   "INSERT INTO parents"
                   " (version_id, position, relation, parent_version_id, uri)"
                   " SELECT $1, p.position, p.relation, p.id, p.uri"
                   " FROM jsonb_to_recordset($2::jsonb)"
                   "  AS p(position int, relation text, id bigint, uri text)",
                   DB_PARAMS(DB_INT(version_id), DB_TEXT(text)), NULL, e);
}

#define DATASETS_OF_TEXT                                                               \
    " FROM jsonb_array_elements($1::jsonb -> 'datasets') WITH ORDINALITY AS o(o, n),"  \
    " LATERAL (SELECT o ->> 'uri' AS uri, coalesce(o ->> 'sha256', '') AS sha256,"     \
    "  coalesce(o ->> 'name', '') AS name) s"

// In order, so that two transactions with the same datasets do not meet crosswise.
static const char put_datasets_sql[] =
    "INSERT INTO datasets (uri, sha256, name)"
    " SELECT DISTINCT s.uri, s.sha256, s.name" DATASETS_OF_TEXT
    " ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING";
static const char link_datasets_sql[] =
    "INSERT INTO version_datasets (version_id, position, dataset_id)"
    " SELECT $2, o.n - 1, d.id" DATASETS_OF_TEXT
    " JOIN datasets d ON d.uri = s.uri AND d.sha256 = s.sha256 AND d.name = s.name";

static enum err insert_datasets(struct db *db, int64_t version_id, const char *text,
                                struct error *e)
{
    enum err err = db_exec(db, put_datasets_sql, DB_PARAMS(DB_TEXT(text)), NULL, e);
    if (err != ERR_NONE)
        return err;
    return db_exec(db, link_datasets_sql, DB_PARAMS(DB_TEXT(text), DB_INT(version_id)),
                   NULL, e);
}

enum err origins_insert(struct db *db, int64_t version_id,
                        const struct origins *origins, const char *text,
                        struct error *e)
{
    enum err err = insert_parents(db, version_id, origins, e);
    if (err == ERR_NONE && origins->datasets_count > 0)
        err = insert_datasets(db, version_id, text, e);
    if (err == ERR_NONE && json_object_size(origins->metrics) > 0)
        err = db_exec(db,
                      "INSERT INTO version_metrics (version_id, name, value)"
                      " SELECT $1, key, value::double precision"
                      " FROM jsonb_each_text($2::jsonb -> 'metrics')",
                      DB_PARAMS(DB_INT(version_id), DB_TEXT(text)), NULL, e);
    return err;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static enum err ensure(struct db *db, const char *insert_sql, const char *select_sql,
                       const struct db_param *params, size_t count, int64_t *id,
                       struct error *e)
{
    enum err err = db_exec(db, insert_sql, params, count, NULL, e);
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    if (err == ERR_NONE)
        err = db_query(db, select_sql, params, count, &rows, e);
    if (err == ERR_NONE && db_rows(rows) == 0)
        err = error_set(e, ERR_INTERNAL, "an origin has gone");
    if (err == ERR_NONE)
        *id = db_int(rows, 0, 0);
    return err;
}

enum err run_ensure(struct db *db, const struct origin_run *run, int64_t *id,
                    struct error *e)
{
    static const char insert_sql[] =
        "INSERT INTO runs (system, external_id, url) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING";
    static const char select_sql[] =
        "SELECT id FROM runs WHERE system = $1 AND external_id = $2 AND url = $3";
    return ensure(db, insert_sql, select_sql,
                  DB_PARAMS(DB_TEXT(or_empty(run->system)), DB_TEXT(run->id),
                            DB_TEXT(or_empty(run->url))),
                  id, e);
}

enum err dataset_ensure(struct db *db, const struct origin_dataset *dataset,
                        int64_t *id, struct error *e)
{
    static const char insert_sql[] =
        "INSERT INTO datasets (uri, sha256, name) VALUES ($1, $2, $3)"
        " ON CONFLICT DO NOTHING";
    static const char select_sql[] =
        "SELECT id FROM datasets WHERE uri = $1 AND sha256 = $2 AND name = $3";
    return ensure(db, insert_sql, select_sql,
                  DB_PARAMS(DB_TEXT(dataset->uri), DB_TEXT(or_empty(dataset->sha256)),
                            DB_TEXT(or_empty(dataset->name))),
                  id, e);
}
