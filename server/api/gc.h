// SPDX-License-Identifier: Apache-2.0
// /gc: what garbage collection did, does and would do.
#pragma once

#include "server/api/request.h"
#include "server/api/response.h"

enum err gc_get_handler(struct request *request, struct response *response,
                        struct error *e) MUST_CHECK;
enum err gc_run_handler(struct request *request, struct response *response,
                        struct error *e) MUST_CHECK;

struct gc_run_request {
    bool dry_run;
};
// `body` may be NULL.
enum err gc_run_parse(const json_t *body, struct gc_run_request *run,
                      struct error *e) MUST_CHECK;
