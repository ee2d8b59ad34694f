// SPDX-License-Identifier: Apache-2.0
// From the JSON of POST …/versions to a struct publish, with everything checked that
// needs no database. Strings are borrowed from the JSON, which must outlive it.
#pragma once

#include "server/registry/publish.h"

struct publish_request {
    struct publish publish;
    struct publish_file *files;
    struct origin_parent *parents;
    struct origin_dataset *datasets;
    struct origin_run run;
    struct origin_code code;
    const char **aliases;
    json_t *metrics;
};

// 422 with the field named. `request` is to be cleared in any case; publish.model is
// the caller's to set.
enum err publish_parse(const json_t *body, struct publish_request *request,
                       struct error *e) MUST_CHECK;
void publish_request_clear(struct publish_request *request);
