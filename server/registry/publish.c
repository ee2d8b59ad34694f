// SPDX-License-Identifier: Apache-2.0
#include "server/registry/publish.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/db/tx.h"
#include "common/json_text.h"
#include "server/registry/alias.h"
#include "server/registry/document.h"
#include "server/registry/event.h"
#include "server/registry/manifest.h"
#include "server/registry/model.h"
#include "storage/blob.h"

// One attempt at the transaction.
struct publishing {
    struct registry *registry;
    const struct actor *actor;
    struct publish *publish;
    struct blob *blobs; // sorted by digest, unique
    size_t blobs_count;
    struct change change;
    struct version_key key;
    int64_t created_at_us;
    int64_t run_id;
    uint64_t size;
    char *origins;
    char *manifest;
    struct content *content; // once made, it owns the manifest
    struct published out;
};

static void reset(struct publishing *p)
{
    change_begin(&p->change, p->publish->model);
    free(p->origins);
    free(p->manifest);
    content_free(p->content);
    free(p->out.text);
    p->origins = NULL;
    p->manifest = NULL;
    p->content = NULL;
    p->out = (struct published){0};
    p->key = (struct version_key){0};
    p->run_id = 0;
    p->size = 0;
}

static void clear(struct publishing *p)
{
    reset(p);
    change_clear(&p->change);
    free(p->blobs);
}

// The version that this idempotency key made before; key.id stays 0 when there is none.
static enum err find_earlier(struct db *db, struct publishing *p, struct error *e)
{
    if (p->publish->idempotency_key == NULL)
        return ERR_NONE;
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db,
        "SELECT k.body_sha256, v.id, v.number,"
        " v.deleted_at IS NOT NULL FROM idempotency_keys k"
        " JOIN versions v ON v.id = k.version_id"
        " WHERE k.model_id = $1 AND k.key = $2",
        DB_PARAMS(DB_INT(p->key.model_id), DB_TEXT(p->publish->idempotency_key)), &rows,
        e);
    if (err != ERR_NONE || db_rows(rows) == 0)
        return err;
    struct digest body;
    int64_t number = db_int(rows, 0, 2);
    if (!db_digest(rows, 0, 0, &body) || !digest_equal(&body, &p->publish->body))
        return error_set_field(e, ERR_IDEMPOTENCY_CONFLICT, "idempotency_key",
                               "the key made version %" PRId64 " of another request",
                               number);
    if (db_bool(rows, 0, 3))
        return error_set(e, ERR_VERSION_DELETED,
                         "%s@%" PRId64 ", which the key made, is deleted",
                         p->publish->model, number);
    p->key.id = db_int(rows, 0, 1);
    p->key.number = number;
    return ERR_NONE;
}

static enum err lock_blobs(struct db *db, struct publishing *p, struct error *e)
{
    AUTO_FREE bool *found = alloc_array(p->blobs_count, sizeof *found);
    enum err err = blob_lock_all(db, p->blobs, found, p->blobs_count, e);
    if (err != ERR_NONE)
        return err;
    size_t missing = 0;
    json_t *digests = json_array();
    for (size_t i = 0; i < p->blobs_count; i++) {
        char hex[DIGEST_HEX_SIZE];
        if (found[i])
            continue;
        missing++;
        digest_format(&p->blobs[i].digest, hex);
        json_array_append_new(digests, json_string(hex));
    }
    if (missing == 0) {
        json_decref(digests);
        return ERR_NONE;
    }
    err = error_set(e, ERR_BLOBS_MISSING, "%zu blob%s not here", missing,
                    missing == 1 ? " is" : "s are");
    error_add(e, "digests", digests);
    return err;
}

// The next number, and a time that grows with it.
static const char next_number_sql[] =
    "UPDATE models m SET last_version = m.last_version + 1,"
    " live_versions = m.live_versions + 1 WHERE m.id = $1"
    " RETURNING m.last_version, greatest(clock_timestamp(), (SELECT v.created_at"
    "  + interval '1 microsecond' FROM versions v"
    "  WHERE v.model_id = m.id AND v.number = m.last_version - 1))";

static enum err take_number(struct db *db, struct publishing *p, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, next_number_sql, DB_PARAMS(DB_INT(p->key.model_id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    p->key.number = db_int(rows, 0, 0);
    p->created_at_us = db_time(rows, 0, 1);
    return ERR_NONE;
}

static const struct blob *blob_of(const struct publishing *p,
                                  const struct digest *digest)
{
    // The digest is a blob's first member.
    return bsearch(digest, p->blobs, p->blobs_count, sizeof *p->blobs, digest_compare);
}

static enum err write_manifest(struct publishing *p, struct error *e)
{
    const struct publish *publish = p->publish;
    AUTO_FREE struct manifest_file *files =
        alloc_array(publish->files_count, sizeof *files);
    for (size_t i = 0; i < publish->files_count; i++) {
        const struct blob *blob = blob_of(p, &publish->files[i].digest);
        files[i] = (struct manifest_file){.path = publish->files[i].path,
                                          .media_type = publish->files[i].media_type,
                                          .size = blob->size,
                                          .digest = blob->digest,
                                          .chain_root = blob->chain_root};
        p->size += blob->size;
    }
    p->origins = origins_text(&publish->origins);
    if (p->origins == NULL)
        return error_set(e, ERR_BODY_TOO_LARGE, "the origins pass 64 MiB");
    struct manifest manifest = {.model = publish->model,
                                .number = p->key.number,
                                .created_at_us = p->created_at_us,
                                .files = files,
                                .files_count = publish->files_count,
                                .origins = p->origins};
    size_t size = 0;
    p->manifest = manifest_text(&manifest, &size);
    if (p->manifest == NULL)
        return error_set(e, ERR_BODY_TOO_LARGE, "the manifest passes 64 MiB");
    digest_of(p->manifest, size, &p->key.digest);
    return ERR_NONE;
}

static enum err insert_version(struct db *db, struct publishing *p, struct error *e)
{
    const struct publish *publish = p->publish;
    const struct origin_code *code = publish->origins.code;
    size_t size = 0;
    AUTO_FREE char *params = publish->origins.params != NULL
                                 ? json_text_dump(publish->origins.params, &size)
                                 : alloc_copy("{}");
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err = db_query(
        db,
        "INSERT INTO versions (model_id, number, digest, manifest, origins, size,"
        " files_count, description, params, run_id, code_repository, code_commit,"
        " code_dirty, created_at, created_by, token_id) VALUES ($1, $2, $3, $4, $5, $6,"
        " $7, $8, $9::jsonb, $10, $11, $12, $13, $14, $15, $16) RETURNING id",
        DB_PARAMS(
            DB_INT(p->key.model_id), DB_INT(p->key.number), DB_DIGEST(&p->key.digest),
            DB_TEXT(p->manifest), DB_TEXT(p->origins), DB_INT((int64_t)p->size),
            DB_INT((int64_t)publish->files_count), DB_TEXT(publish->description),
            DB_TEXT(params), p->run_id != 0 ? DB_INT(p->run_id) : DB_NULL,
            DB_TEXT(code != NULL ? code->repository : NULL),
            DB_TEXT(code != NULL ? code->commit : NULL),
            code != NULL ? DB_BOOL(code->dirty) : DB_NULL, DB_TIME(p->created_at_us),
            DB_INT(p->actor->principal_id), DB_TEXT(p->actor->token_id)),
        &rows, e);
    if (err == ERR_NONE)
        p->key.id = db_int(rows, 0, 0);
    return err;
}

// The foreign key to blobs is GC's lock (invariant 6).
static const char insert_files_sql[] =
    "INSERT INTO version_files (version_id, path, sha256, size, media_type)"
    " SELECT $1, f.path, decode(f.sha256, 'hex'), f.size,"
    "  coalesce(f.media_type, '" MEDIA_TYPE_DEFAULT "')"
    " FROM jsonb_to_recordset($2::jsonb -> 'files')"
    "  AS f(path text, sha256 text, size bigint, media_type text)";

static enum err insert_tags(struct db *db, const struct publishing *p, struct error *e)
{
    if (json_object_size(p->publish->tags) == 0)
        return ERR_NONE;
    size_t size = 0;
    AUTO_FREE char *tags = json_text_dump(p->publish->tags, &size);
    return db_exec(db,
                   "INSERT INTO version_tags (version_id, key, value)"
                   " SELECT $1, key, value FROM jsonb_each_text($2::jsonb)",
                   DB_PARAMS(DB_INT(p->key.id), DB_TEXT(tags)), NULL, e);
}

static enum err insert_key(struct db *db, const struct publishing *p, struct error *e)
{
    if (p->publish->idempotency_key == NULL)
        return ERR_NONE;
    return db_exec(db,
                   "INSERT INTO idempotency_keys (model_id, key, body_sha256,"
                   " version_id) VALUES ($1, $2, $3, $4)",
                   DB_PARAMS(DB_INT(p->key.model_id),
                             DB_TEXT(p->publish->idempotency_key),
                             DB_DIGEST(&p->publish->body), DB_INT(p->key.id)),
                   NULL, e);
}

static json_t *event_payload(const struct publishing *p)
{
    char hex[DIGEST_HEX_SIZE];
    digest_format(&p->key.digest, hex);
    return json_pack("{s:o, s:I}", "digest", json_sprintf("sha256:%s", hex), "size",
                     (json_int_t)p->size);
}

static enum err insert_rows(struct db *db, struct publishing *p, struct error *e)
{
    const struct publish *publish = p->publish;
    enum err err = ERR_NONE;
    if (publish->origins.run != NULL)
        err = run_ensure(db, publish->origins.run, &p->run_id, e);
    if (err == ERR_NONE)
        err = insert_version(db, p, e);
    if (err == ERR_NONE)
        err = db_exec(db, insert_files_sql,
                      DB_PARAMS(DB_INT(p->key.id), DB_TEXT(p->manifest)), NULL, e);
    if (err == ERR_NONE)
        err = origins_insert(db, p->key.id, &publish->origins, p->origins, e);
    if (err == ERR_NONE)
        err = insert_tags(db, p, e);
    if (err == ERR_NONE)
        err = insert_key(db, p, e);
    if (err == ERR_NONE)
        err = event_put_version(db, p->actor, "version.published", publish->model,
                                p->key.number, event_payload(p), e);
    for (size_t i = 0; err == ERR_NONE && i < publish->aliases_count; i++)
        err = alias_point(db, p->actor, publish->model, publish->aliases[i], &p->key,
                          &p->change, e);
    return err;
}

static enum err make_version(struct db *db, struct publishing *p, struct error *e)
{
    // Lock order: model (held), versions, blobs by digest.
    enum err err = origins_resolve(db, &p->publish->origins, e);
    if (err == ERR_NONE)
        err = lock_blobs(db, p, e);
    if (err == ERR_NONE)
        err = take_number(db, p, e);
    if (err == ERR_NONE)
        err = write_manifest(p, e);
    if (err == ERR_NONE)
        err = insert_rows(db, p, e);
    if (err != ERR_NONE)
        return err;
    change_version(&p->change, &p->key);
    err = content_parse(steal_ptr(p->manifest), &p->content, e);
    p->out.created = true;
    return err != ERR_NONE
               ? err
               : document_read_new(db, p->key.id, p->content, &p->out.text, e);
}

static enum err publish_work(struct db *db, void *context, struct error *e)
{
    struct publishing *p = context;
    struct model_row model = {0};
    reset(p);
    enum err err = model_ensure(db, p->actor, p->publish->model, &model, e);
    p->key.model_id = model.id;
    if (err == ERR_NONE)
        err = find_earlier(db, p, e);
    if (err == ERR_NONE && p->key.id != 0)
        err = document_read(p->registry, db, p->key.id, &p->out.text, e);
    else if (err == ERR_NONE)
        err = make_version(db, p, e);
    p->out.number = p->key.number;
    return err;
}

static int compare_blobs(const void *a, const void *b)
{
    return digest_compare(&((const struct blob *)a)->digest,
                          &((const struct blob *)b)->digest);
}

// The blobs that the files name, sorted and once each.
static void collect_blobs(struct publishing *p)
{
    const struct publish *publish = p->publish;
    p->blobs = alloc_array(publish->files_count, sizeof *p->blobs);
    for (size_t i = 0; i < publish->files_count; i++)
        p->blobs[i].digest = publish->files[i].digest;
    qsort(p->blobs, publish->files_count, sizeof *p->blobs, compare_blobs);
    for (size_t i = 0; i < publish->files_count; i++) {
        if (p->blobs_count == 0 ||
            compare_blobs(&p->blobs[p->blobs_count - 1], &p->blobs[i]) != 0)
            p->blobs[p->blobs_count++] = p->blobs[i];
    }
}

enum err version_publish(struct registry *registry, const struct actor *actor,
                         struct publish *publish, struct published *out,
                         struct error *e)
{
    struct publishing p = {.registry = registry, .actor = actor, .publish = publish};
    collect_blobs(&p);
    *out = (struct published){0};
    enum err err = change_settle(&p.change, registry,
                                 db_tx_run(registry_db(registry), publish_work, &p, e));
    if (err == ERR_NONE) {
        *out = p.out;
        p.out.text = NULL;
    }
    clear(&p);
    return err;
}
