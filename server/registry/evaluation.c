// SPDX-License-Identifier: Apache-2.0
#include "server/registry/evaluation.h"

#include "common/cleanup.h"
#include "common/db/tx.h"
#include "common/json_text.h"
#include "server/registry/change.h"
#include "server/registry/event.h"
#include "server/registry/version.h"

struct adding {
    const struct actor *actor;
    const char *model;
    const struct ref *selector;
    const struct evaluation *evaluation;
    struct change change;
    json_t *answer;
};

static enum err insert(struct db *db, const struct adding *adding, int64_t version_id,
                       int64_t *id, struct error *e)
{
    const struct evaluation *evaluation = adding->evaluation;
    int64_t dataset_id = 0;
    enum err err = ERR_NONE;
    if (evaluation->dataset != NULL)
        err = dataset_ensure(db, evaluation->dataset, &dataset_id, e);
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    if (err == ERR_NONE)
        err = db_query(db,
                       "INSERT INTO evaluations (version_id, dataset_id, note,"
                       " created_at, created_by, token_id)"
                       " VALUES ($1, $2, $3, clock_timestamp(), $4, $5) RETURNING id",
                       DB_PARAMS(DB_INT(version_id),
                                 dataset_id != 0 ? DB_INT(dataset_id) : DB_NULL,
                                 DB_TEXT(evaluation->note),
                                 DB_INT(adding->actor->principal_id),
                                 DB_TEXT(adding->actor->token_id)),
                       &rows, e);
    if (err != ERR_NONE)
        return err;
    *id = db_int(rows, 0, 0);
    size_t size = 0;
    AUTO_FREE char *metrics = json_text_dump(evaluation->metrics, &size);
    return db_exec(db,
                   "INSERT INTO evaluation_metrics (evaluation_id, name, value)"
                   " SELECT $1, key, value::double precision"
                   " FROM jsonb_each_text($2::jsonb)",
                   DB_PARAMS(DB_INT(*id), DB_TEXT(metrics)), NULL, e);
}

static enum err read_back(struct db *db, int64_t id, json_t **out, struct error *e)
{
    CLEANUP(db_result_free_at) struct db_result *rows = NULL;
    enum err err =
        db_query(db, "SELECT " EVALUATION_JSON EVALUATION_FROM " WHERE e.id = $1",
                 DB_PARAMS(DB_INT(id)), &rows, e);
    if (err != ERR_NONE)
        return err;
    json_decref(*out);
    *out = json_loads(db_text(rows, 0, 0), 0, NULL);
    return *out != NULL ? ERR_NONE
                        : error_set(e, ERR_INTERNAL, "an evaluation does not parse");
}

static enum err add_work(struct db *db, void *context, struct error *e)
{
    struct adding *adding = context;
    struct version_key key;
    int64_t id = 0;
    change_begin(&adding->change, adding->model);
    enum err err =
        version_lock(db, adding->model, adding->selector, RESOLVE_LIVE, &key, e);
    if (err != ERR_NONE)
        return err;
    change_document(&adding->change, key.id);
    err = insert(db, adding, key.id, &id, e);
    if (err == ERR_NONE)
        err = event_put_version(db, adding->actor, "evaluation.added", adding->model,
                                key.number, json_pack("{s:I}", "evaluation", id), e);
    return err != ERR_NONE ? err : read_back(db, id, &adding->answer, e);
}

enum err evaluation_add(struct registry *registry, const struct actor *actor,
                        const char *model, const struct ref *selector,
                        const struct evaluation *evaluation, json_t **out,
                        struct error *e)
{
    struct adding adding = {
        .actor = actor, .model = model, .selector = selector, .evaluation = evaluation};
    enum err err =
        change_settle(&adding.change, registry,
                      db_tx_run(registry_db(registry), add_work, &adding, e));
    *out = err == ERR_NONE ? json_incref(adding.answer) : NULL;
    json_decref(adding.answer);
    change_clear(&adding.change);
    return err;
}
