// SPDX-License-Identifier: Apache-2.0
// Evaluations: metrics measured after publishing, appended with who and when.
#pragma once

#include <jansson.h>

#include "server/registry/origin.h"
#include "server/registry/resolve.h"

// One evaluation `e` as JSON, for the SQL of this folder.
#define EVALUATION_JSON                                                                \
    "json_build_object('id', e.id, 'metrics',"                                         \
    " (SELECT json_object_agg(em.name, em.value ORDER BY em.name COLLATE \"C\")"       \
    "  FROM evaluation_metrics em WHERE em.evaluation_id = e.id),"                     \
    " 'dataset', CASE WHEN d.id IS NOT NULL THEN json_build_object('uri', d.uri,"      \
    "  'sha256', nullif(d.sha256, ''), 'name', nullif(d.name, '')) END,"               \
    " 'note', nullif(e.note, ''), 'at', to_char(e.created_at AT TIME ZONE 'UTC',"      \
    "  'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'by', ep.name)"
#define EVALUATION_FROM                                                                \
    " FROM evaluations e JOIN principals ep ON ep.id = e.created_by"                   \
    " LEFT JOIN datasets d ON d.id = e.dataset_id"

struct evaluation {
    const json_t *metrics; // reals, or the strings of what JSON has no number for
    const struct origin_dataset *dataset; // or NULL
    const char *note;                     // "" for none
};

// *out is the evaluation as JSON, the caller's.
enum err evaluation_add(struct registry *registry, const struct actor *actor,
                        const char *model, const struct ref *selector,
                        const struct evaluation *evaluation, json_t **out,
                        struct error *e) MUST_CHECK;
