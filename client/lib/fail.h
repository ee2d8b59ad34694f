// SPDX-License-Identifier: Apache-2.0
// Errors inside libstrata: struct strata_error filled in from a text, from errno, from
// a common error or from the server's problem object.
#pragma once

#include <jansson.h>

#include "client/lib/strata.h"
#include "common/error.h"

enum strata_status fail_set(struct strata_error *e, enum strata_status status,
                            const char *format, ...) PRINTF_LIKE(3, 4);
// STRATA_LOCAL with the text of errnum; says so plainly when the disk is full.
enum strata_status fail_errno(struct strata_error *e, int errnum, const char *format,
                              ...) PRINTF_LIKE(3, 4);
// A bad argument, from a parser of common/.
enum strata_status fail_usage(struct strata_error *e, const struct error *from);
// The server's answer with an error status. `problem` may be NULL.
enum strata_status fail_problem(struct strata_error *e, int http_status,
                                const json_t *problem, const char *request_id);
// The class of an HTTP status.
enum strata_status fail_class(int http_status);
