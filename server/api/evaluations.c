// SPDX-License-Identifier: Apache-2.0
#include "server/api/evaluations.h"

#include "common/cleanup.h"
#include "server/api/origins.h"
#include "server/api/place.h"
#include "server/registry/evaluation.h"

#define NOTE_MAXIMUM 4096

enum err evaluation_parse(const json_t *body, struct evaluation_request *parsed,
                          struct error *e)
{
    struct fields f;
    fields_begin(&f, body, "", e);
    parsed->metrics = fields_metrics(&f, "metrics", FIELD_REQUIRED);
    const json_t *dataset = fields_object(&f, "dataset", FIELD_OPTIONAL, SIZE_MAX);
    const char *note = fields_text(&f, "note", FIELD_OPTIONAL, NOTE_MAXIMUM);
    if (parsed->metrics != NULL && json_object_size(parsed->metrics) == 0)
        fields_fail(&f, ERR_INVALID_FIELD, "metrics",
                    "at least one metric is required");
    enum err err = fields_end(&f);
    parsed->evaluation.metrics = parsed->metrics;
    parsed->evaluation.note = note != NULL ? note : "";
    if (err != ERR_NONE || dataset == NULL)
        return err;
    parsed->evaluation.dataset = &parsed->dataset;
    return dataset_parse(dataset, "dataset.", &parsed->dataset, e);
}

enum err evaluation_create_handler(struct request *request, struct response *response,
                                   struct error *e)
{
    char model[MODEL_SIZE];
    struct ref selector;
    struct evaluation_request parsed = {0};
    enum err err = place_version(request, model, &selector, e);
    if (err == ERR_NONE)
        err = evaluation_parse(request->body, &parsed, e);
    struct actor actor = place_actor(request);
    json_t *answer = NULL;
    if (err == ERR_NONE)
        err = evaluation_add(request->app->registry, &actor, model, &selector,
                             &parsed.evaluation, &answer, e);
    json_decref(parsed.metrics);
    if (err == ERR_NONE)
        response_json(response, 201, answer);
    return err;
}
