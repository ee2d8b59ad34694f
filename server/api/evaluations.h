// SPDX-License-Identifier: Apache-2.0
// Metrics measured after publishing.
#pragma once

#include "server/api/route.h"
#include "server/registry/evaluation.h"

// POST /api/v1/models/{ns}/{name}/versions/{ref}/evaluations
enum err evaluation_create_handler(struct request *request, struct response *response,
                                   struct error *e);

// The body; zeroed before. `evaluation` points into it; texts are borrowed from the
// JSON, `metrics` is to be released in any case.
struct evaluation_request {
    struct evaluation evaluation;
    struct origin_dataset dataset;
    json_t *metrics;
};
enum err evaluation_parse(const json_t *body, struct evaluation_request *parsed,
                          struct error *e) MUST_CHECK;
